"""Files of JSON lines of the restricted zone: compressed, written in one step, read as a stream.

Put here: writing and reading them. Not here: what a line holds (see `analyst.py`, `language_model.py`).
"""

import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import orjson


def store_lines(path: Path, lines: Iterable[Any]) -> None:
    """Write the lines; the file appears whole or not at all. What a killed process leaves begins with a dot."""
    import zstandard

    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with unfinished.open("wb") as raw, zstandard.ZstdCompressor(level=3).stream_writer(raw) as file:
        for line in lines:
            file.write(orjson.dumps(line) + b"\n")
    unfinished.replace(path)


def rewrite_lines(path: Path, lines: Iterable[Any]) -> None:
    """Put these lines in the place of a file's; it keeps its age, by which it expires."""
    written = path.stat().st_mtime_ns
    store_lines(path, lines)
    os.utime(path, ns=(written, written))


def stored_lines(path: Path) -> Iterator[Any]:
    """The lines of a file, one at a time. Raises FileNotFoundError at the first one where it is gone."""
    import zstandard

    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as file:
        lines: IO[bytes] = io.BufferedReader(file)
        for line in lines:
            yield orjson.loads(line)
