"""Helpers of the reader tests: read bytes, tell sessions from rejections."""

import io
from collections import Counter

import orjson

from signals_assets.core.readers import Limits, Rejected, read_stream
from signals_assets.core.sessions import Session


def read(
    data: bytes, name: str = "file.jsonl", *, limits: Limits | None = None, **options
) -> tuple[list[Session], list[Rejected]]:
    """Sessions and rejections of the bytes."""
    items = list(read_stream(io.BytesIO(data), name, limits=limits, **options))
    return (
        [item for item in items if isinstance(item, Session)],
        [item for item in items if isinstance(item, Rejected)],
    )


def one(data: bytes, name: str = "file.jsonl", **options) -> Session:
    """The only session of the bytes; nothing may be rejected."""
    sessions, rejected = read(data, name, **options)
    assert rejected == []
    assert len(sessions) == 1
    return sessions[0]


def jsonl(*records: object) -> bytes:
    """Records as JSON Lines."""
    return b"".join(orjson.dumps(record) + b"\n" for record in records)


def outline(session: Session) -> list[tuple[str, str | None]]:
    """Kind and name (of events), status (of results) or tool (of calls) of every step."""
    return [(step.kind, step.name or step.status or step.tool_name) for step in session.steps]


def accounted(data: bytes, name: str, reader: str) -> int:
    """How many records of the stream are in a session or in a rejection that stands for records."""
    tally: Counter[str] = Counter()
    items = list(read_stream(io.BytesIO(data), name, format=reader, tally=tally))
    return tally["records"] + sum(item.count for item in items if isinstance(item, Rejected))
