"""JSON lines that a person hands to a command: label sheets, rewards.

Put here: reading them, and naming the line that cannot be used.
Not here: sessions (see `resources/session_source.py`), what the records mean.
"""

from pathlib import Path
from typing import Any

import click
import orjson


def records(path: Path, needed: tuple[str, ...]) -> list[dict[str, Any]]:
    """The JSON lines of a file; ClickException names the number of one that is not JSON or lacks a needed field."""
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            record = None
        if not isinstance(record, dict) or any(name not in record for name in needed):
            raise click.ClickException(f"{path}, line {number}: not a JSON object with {' and '.join(needed)}")
        found.append(record)
    return found
