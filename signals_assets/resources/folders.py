"""Folders of the restricted zone: for their owner only, whoever makes them first.

Put here: making such a folder. Not here: what lies in it.
"""

from pathlib import Path
from typing import Final

RESTRICTED: Final = "restricted"


def private_folder(folder: Path) -> Path:
    """Make `folder` for its owner only, and every folder named `restricted` above it; returns it.

    `Path.mkdir(parents=True, mode=...)` gives the mode to the last folder alone, so the zone's own would be open.
    """
    for part in (*reversed(folder.parents), folder):
        private = part == folder or part.name == RESTRICTED or RESTRICTED in [above.name for above in part.parents]
        if not part.exists():
            part.mkdir(mode=0o700 if private else 0o777, exist_ok=True)
        if part.name == RESTRICTED and part.stat().st_mode & 0o077:
            part.chmod(0o700)  # made by an earlier version
    return folder
