"""Readers: bytes of a foreign format in, canonical sessions out; one format per file.

Put here: the registry, `Source`, `Rejected`.
Not here: where bytes come from (see `resources/session_source.py`).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that could not be read: why, where, how large; never what it said."""

    reason: str
    source_format: str
    position: str
    """Opaque position, e.g. "line 12" of the source given by `source`."""
    source: str
    """Name of the file, for the person who owns it; stored only as a keyed hash."""
    bytes: int = 0
    count: int = 1
    day: str | None = None
