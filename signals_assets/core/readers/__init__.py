"""Readers: bytes of a foreign format in, canonical sessions out; one format per file.

Put here: the registry, recognition, and the one way to read a stream.
Not here: where bytes come from (see `resources/session_source.py`), what readers share (see `common.py`).
"""

from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, Final

from signals_assets.core.readers.archives import opened
from signals_assets.core.readers.canonical import CanonicalReader
from signals_assets.core.readers.claude_code import ClaudeCodeReader
from signals_assets.core.readers.codex import CodexReader
from signals_assets.core.readers.common import ContentError, Limits, Reader, Reading, Record, Rejected, json_records
from signals_assets.core.readers.openai_chat import OpenAIChatReader
from signals_assets.core.readers.otel import OtelReader
from signals_assets.core.sessions import Session

__all__ = [
    "READERS",
    "UNKNOWN_FORMAT",
    "Limits",
    "Reader",
    "Reading",
    "Record",
    "Rejected",
    "format_of_head",
    "read_stream",
    "recognise",
]

UNKNOWN_FORMAT: Final = "unknown"

READERS: Final[dict[str, Reader]] = {
    reader.name: reader
    for reader in (CanonicalReader(), ClaudeCodeReader(), CodexReader(), OtelReader(), OpenAIChatReader())
}
"""Every format by name, in the order in which they are tried."""


def recognise(name: str, head: bytes) -> str | None:
    """The format of a stream called `name` that begins with `head` (plain bytes), or None."""
    return next((reader.name for reader in READERS.values() if reader.sniff(name, head)), None)


def format_of_head(stream: BinaryIO, source: str) -> str | None:
    """The format of a plain, gzip or zstd stream by its first bytes, or None."""
    try:
        _, beginning = opened(stream, Limits())
    except ContentError:
        return None
    return recognise(source, beginning)


def read_stream(
    stream: BinaryIO,
    source: str,
    *,
    format: str | None = None,  # noqa: A002 - the word of the command line and the settings
    limits: Limits | None = None,
    user_field: str = "",
    tally: Counter[str] | None = None,
) -> Iterator[Session | Rejected]:
    """Sessions and rejections of a plain, gzip or zstd stream, in its order and in bounded memory.

    `source` is the file's name; `format` forces a reader, default is recognition by the head. `tally` is filled with
    what became of the records: those in `tally["records"]` and those counted by rejections are all there were.
    Never raises for content; raises ValueError when `format` names no reader.
    """
    if format is not None and format not in READERS:
        raise ValueError(f"unknown session format {format!r}: use one of {', '.join(READERS)}")
    reading = Reading(source, limits or Limits(), user_field, Counter() if tally is None else tally)
    name = format or UNKNOWN_FORMAT
    try:
        plain, beginning = opened(stream, reading.limits)
        name = format or recognise(source, beginning) or UNKNOWN_FORMAT
        if name == UNKNOWN_FORMAT:
            yield reading.rejected("unknown_format" if beginning.strip() else "empty", name, "file", len(beginning))
            return
        for item in READERS[name].read(json_records(plain, reading.limits), reading):
            if isinstance(item, Session):
                item.source_format = name
            yield item
    except ContentError as error:
        yield reading.rejected(str(error), name, "file")
