"""Sessions from paths and pipes for commands that need no home: read once, kept for several passes.

Put here: one pass over the input with what was met, the spool, where users come from.
Not here: formats (see `core/readers`), what is computed of the sessions, Dagster.
"""

import io
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import click

from signals_assets.core import quick_look
from signals_assets.core.coverage import Coverage
from signals_assets.core.readers import Rejected, read_stream
from signals_assets.core.sessions import Session
from signals_assets.resources.session_source import read_paths
from signals_assets.settings import UserFrom

STDIN: Final = Path("-")


def user_origin(text: str) -> UserFrom:
    """What `--user-from KIND:VALUE` says. Raises click.BadParameter."""
    kind, _, value = text.partition(":")
    try:
        origin = UserFrom.model_validate({"kind": kind, "value": value})
        int(origin.value if origin.kind == "folder" and origin.value else 0)
    except ValueError:  # pydantic's error is one
        raise click.BadParameter(
            f"{text!r} is none of folder:LEVEL (a number), setting:NAME, field:NAME, none", param_hint="--user-from"
        ) from None
    return origin


class Spool:
    """Lines in a compressed file that has no name: written once, then read as often as needed, one reader at a time."""

    def __init__(self, folder: Path) -> None:
        import zstandard

        self._file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed with the spool
        self._writer: Any = zstandard.ZstdCompressor(level=1).stream_writer(self._file, closefd=False)
        self.size = 0
        """Bytes before compression."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, line: bytes) -> None:
        """Append one line, given without its end."""
        self._writer.write(line + b"\n")
        self.size += len(line) + 1

    def close(self) -> None:
        """No more lines."""
        self._writer.close()

    def lines(self, without: Collection[int] = ()) -> Iterator[bytes]:
        """All lines with their ends, except those whose numbers are in `without`."""
        import zstandard

        self._file.seek(0)
        with zstandard.ZstdDecompressor().stream_reader(self._file, closefd=False) as plain:
            for number, line in enumerate(io.BufferedReader(plain, 1 << 20)):
                if number not in without:
                    yield line


@dataclass(slots=True)
class Reading:
    """One pass over the input: what to read, and what was met."""

    paths: Sequence[Path]
    session_format: str | None
    user_from: UserFrom
    agent_name: str | None
    tally: Counter[str] = field(default_factory=Counter)
    """Files and records, as the readers count them."""
    quarantined: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    superseded: set[int] = field(default_factory=set)
    """Numbers of sessions that stand in the input again, with more steps or earlier with as many."""
    _kept: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Session key -> steps, number."""

    def fill(self, spool: Spool, key: bytes) -> None:
        """Put every session into the spool. Raises click.ClickException when there is none."""
        number = 0
        for item in self._items():
            if isinstance(item, Rejected):
                self.quarantined[item.reason] += item.count
                continue
            spool.write(quick_look.stored_session(item, key))
            self._keep_longest(item, number)
            number += 1
        spool.close()
        if not number:
            reasons = ", ".join(f"{n} x {reason}" for reason, n in sorted(self.quarantined.items())) or "nothing there"
            raise click.ClickException(f"no session could be read ({reasons}); name the format with --format")

    @property
    def sessions(self) -> int:
        """Sessions that go on."""
        return len(self._kept)

    @property
    def coverage(self) -> Coverage:
        """Asked: every session and every record that is in none. Rejected: set aside, with reasons."""
        rejected = sum(self.quarantined.values())
        return Coverage(self.sessions + rejected, self.sessions, rejected=rejected, notes=dict(self.notes))

    def _items(self) -> Iterator[Session | Rejected]:
        for piped, paths in groupby(self.paths, key=lambda path: path == STDIN):
            if piped:
                yield from self._standard_input()
            else:
                yield from read_paths(
                    list(paths),
                    session_format=self.session_format,
                    user_from=self.user_from,
                    agent_name=self.agent_name,
                    tally=self.tally,
                )

    def _standard_input(self) -> Iterator[Session | Rejected]:
        self.tally["files"] += 1
        user_field = self.user_from.value if self.user_from.kind == "field" else ""
        stream = sys.stdin.buffer
        for item in read_stream(
            stream, "standard input", format=self.session_format, user_field=user_field, tally=self.tally
        ):
            if isinstance(item, Session):
                if self.user_from.kind == "setting":
                    item.user_id = item.user_id or self.user_from.value or None
                if self.agent_name and item.agent.name == "unknown":
                    item.agent.name = self.agent_name
                if item.started_at is None:
                    item.start_known_from = "unknown"
            yield item

    def _keep_longest(self, session: Session, number: int) -> None:
        steps = len(session.steps)
        before = self._kept.get(session.key)
        if before is not None:
            self.quarantined["duplicate_session"] += 1
            self.superseded.add(number if steps <= before[0] else before[1])
        if before is None or steps > before[0]:
            self._kept[session.key] = steps, number
        for note, holds in (
            ("start_from_file", session.start_known_from == "file"),
            ("start_unknown", session.start_known_from == "unknown"),
            ("cut", bool(session.notes)),
        ):
            if holds:
                self.notes[note] += 1
