"""What stopped runs of `signals analyze` with a language model left in the home: text on its way, and answers.

Put here: where that lies, removing it. Not here: going on with it (see `cli/asking.py`).

One folder for each model and address that was asked. A run that ends well leaves none.
"""

import shutil
from datetime import datetime
from pathlib import Path

from signals_assets.settings import Settings

NAME = "analyze"
"""The folder's name in the restricted zone."""


def remove_stopped_runs(settings: Settings, before: datetime | None = None, *, dry_run: bool = False) -> int:
    """Remove what was left, or only what nobody went on with since `before`; returns how many runs that were.

    The next run under the same model asks everything again.
    """
    old = [path for path in sorted((settings.restricted / NAME).glob("*")) if before is None or _newest(path) < before]
    for path in () if dry_run else old:
        shutil.rmtree(path, ignore_errors=True)
    return len(old)


def _newest(folder: Path) -> datetime:
    times = [path.stat().st_mtime for path in (folder, *folder.rglob("*")) if path.exists()]
    return datetime.fromtimestamp(max(times, default=0.0)).astimezone()
