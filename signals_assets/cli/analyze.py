"""`signals analyze`: the per-session stages on files and pipes, without Dagster.

Put here: arguments, passes over the input, files that appear whole, the printed tables.
Not here: what is computed of a session (see `core/quick_look.py`), formats (see `core/readers`).

The input is read once into a compressed spool without a name (the system frees it however the run ends). Then which
of two copies of a session is the longer is known, a small input needs no worker processes, and an audience that
asks for the support of several users gets its second pass; memory holds a few chunks and the words of the answers.
"""

import io
import os
import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, repeat
from pathlib import Path
from typing import Any, BinaryIO, Final, Self, get_args

import click
import orjson

from signals_assets.cli.printing import json_option, show, write_json
from signals_assets.core import quick_look
from signals_assets.core.analysis_rules import RULES_MODEL
from signals_assets.core.barrier import Support
from signals_assets.core.barrier.support import day_vocabulary
from signals_assets.core.barrier.thresholds import SHOWN
from signals_assets.core.coverage import Coverage
from signals_assets.core.quick_look import CountChunk, LookChunk, Options, Part
from signals_assets.core.readers import READERS, Rejected, read_stream
from signals_assets.core.sessions import Session
from signals_assets.core.taxonomy import seed
from signals_assets.prompts import pinned
from signals_assets.resources.compute import Compute, ComputeError, ProcessCompute, SerialCompute
from signals_assets.resources.session_source import SessionSourceError, read_paths
from signals_assets.settings import Audience, Settings, UserFrom

STDIN: Final = Path("-")
CHUNK_SESSIONS: Final = 32
CHUNK_BYTES: Final = 2 << 20
"""A chunk closes at so many sessions or so many bytes of them."""
SERIAL_BYTES: Final = 16 << 20
"""Below it starting worker processes takes longer than the work."""
EMBEDDER_USED: Final = "none (no per-session stage needs vectors)"


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the files.")
@click.option("--analyst", type=click.Choice([quick_look.ANALYST]), default=quick_look.ANALYST, show_default=True)
@click.option(
    "--audience", type=click.Choice(get_args(Audience)), default="self", show_default=True, help="Who will read it."
)
@click.option(
    "--min-steps", type=click.IntRange(min=0), default=0, show_default=True, help="Least agentic steps to be analysed."
)
@click.option("--format", "session_format", type=click.Choice(list(READERS)), help="Default: recognised by itself.")
@click.option(
    "--embedder", type=click.Choice(["auto", "sentence-transformers", "none"]), default="auto", show_default=True,
    help="For stages that need vectors; at present none of these does.",
)  # fmt: skip
@click.option(
    "--user-from", metavar="KIND:VALUE",
    help="Where the format knows no user: folder:LEVEL, setting:NAME or field:NAME.",
)  # fmt: skip
@json_option
def command(
    paths: tuple[Path, ...],
    out: Path,
    analyst: str,
    audience: Audience,
    min_steps: int,
    session_format: str | None,
    embedder: str,
    user_from: str | None,
    json_file: str | None,
) -> None:
    """Read sessions from files, folders or standard input (-) and write what each of them shows to --out.

    Writes session_metrics, detections, facets, abstracted_summaries, friction_events, delight_events and unmet_needs
    as JSON Lines, and coverage.json. Existing files of these names are replaced when all are complete.
    """
    settings = Settings()
    origin = settings.user_from if user_from is None else _user_from(user_from)
    reading = _Reading(paths, session_format or settings.session_format, origin, settings.agent_name)
    options = _options(settings, audience, min_steps)
    parameters = {
        "analyst": analyst,
        "model": RULES_MODEL,
        "prompt": options.prompt,
        "taxonomy_version": options.taxonomy.version,
        "audience": audience,
        "min_steps": min_steps,
        "min_confidence": options.min_confidence,
        "format": reading.session_format or "recognised",
        "user_from": origin.kind,
        "embedder_asked_for": embedder,
        "embedder": EMBEDDER_USED,
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _Spool(out) as spool, _Files(out) as files:
            reading.fill(spool, options.key)
            total = _analyzed(spool, reading, options, _compute(settings, spool), files)
            coverage = {"parameters": parameters, **_coverage(reading, total)}
            files.finish(coverage)
    except (SessionSourceError, ComputeError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        what = error.strerror or type(error).__name__
        raise click.ClickException(f"{what}: {error.filename or out}; check the path and its rights") from None
    write_json(json_file, coverage)
    if json_file != "-":
        _show(coverage, out)


def _user_from(text: str) -> UserFrom:
    kind, _, value = text.partition(":")
    try:
        origin = UserFrom.model_validate({"kind": kind, "value": value})
        int(origin.value if origin.kind == "folder" and origin.value else 0)
    except ValueError:  # pydantic's error is one
        raise click.BadParameter(
            f"{text!r} is none of folder:LEVEL (a number), setting:NAME, field:NAME, none", param_hint="--user-from"
        ) from None
    return origin


def _options(settings: Settings, audience: Audience, min_steps: int) -> Options:
    key = settings.pseudonym_key
    return Options(
        audience=audience,
        key=secrets.token_bytes(32) if key is None else key.get_secret_value().encode(),
        min_steps=min_steps,
        min_confidence=settings.min_confidence,
        prompt=pinned("analyze_session", 2).id,
        taxonomy=seed(),
        components=settings.components,
    )


def _compute(settings: Settings, spool: "_Spool") -> Compute:
    if settings.compute == "serial" or spool.size < SERIAL_BYTES:
        return SerialCompute()
    return ProcessCompute(settings.workers)


# --- reading ---------------------------------------------------------------------------------------------------


class _Spool:
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
class _Reading:
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

    def fill(self, spool: _Spool, key: bytes) -> None:
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


# --- passes ----------------------------------------------------------------------------------------------------


def _analyzed(spool: _Spool, reading: _Reading, options: Options, compute: Compute, files: "_Files") -> Part:
    """Everything that is known of the sessions except the lines, which are in the files."""
    sessions = _Passes(spool, reading.superseded, options, compute, files)
    try:
        if SHOWN[options.audience].users <= 1:
            return sessions.once()
        return sessions.twice()
    finally:
        if isinstance(compute, ProcessCompute):
            compute.close()


@dataclass(frozen=True, slots=True)
class _Passes:
    spool: _Spool
    without: Collection[int]
    options: Options
    compute: Compute
    files: "_Files"

    def once(self) -> Part:
        """All stages of a session at once."""
        total = Part()
        for part in self.compute.map(quick_look.look, self._chunks()):
            self._take(part, total)
        return total

    def twice(self) -> Part:
        """Measure and answer; count the users behind the words of the answers; then let the barrier judge."""
        total = Part()
        with _Spool(self.files.folder) as cases:
            for part in self.compute.map(quick_look.measure, self._chunks()):
                for case in part.cases:
                    cases.write(case)
                self._take(part, total)
            cases.close()
            support = self._support(total.texts)
            for part in self.compute.map(quick_look.abstract, self._chunks(cases, support)):
                self._take(part, total)
        return total

    def _take(self, part: Part, total: Part) -> None:
        """Lines go to the files; what stays in memory are counts and, between two passes, the answers' words."""
        self.files.append(part.lines)
        part.lines, part.cases = {}, []
        total.add(part)

    def _support(self, texts: Iterable[str]) -> Support:
        """Distinct users of what the answers say, over all sessions."""
        key, vocabulary = self.options.key, day_vocabulary(texts)
        chunks = (CountChunk(chunk.sessions, vocabulary, key) for chunk in self._chunks())
        return quick_look.supported(self.compute.map(quick_look.count, chunks), key)

    def _chunks(self, cases: _Spool | None = None, support: Support | None = None) -> Iterator[LookChunk]:
        """The sessions in chunks, in the order of the input; with their cases in the second pass."""
        sessions = self.spool.lines(self.without)
        beside = repeat(b"") if cases is None else cases.lines()
        waiting: list[tuple[bytes, bytes]] = []
        size = 0
        for session, case in zip(sessions, beside, strict=False):
            waiting.append((session, case))
            size += len(session)
            if len(waiting) == CHUNK_SESSIONS or size >= CHUNK_BYTES:
                yield self._chunk(waiting, support)
                waiting, size = [], 0
        if waiting:
            yield self._chunk(waiting, support)

    def _chunk(self, waiting: Iterable[tuple[bytes, bytes]], support: Support | None) -> LookChunk:
        sessions, cases = zip(*waiting, strict=True)
        return LookChunk(sessions, self.options, cases, support or Support())


# --- writing ---------------------------------------------------------------------------------------------------


class _Files:
    """The files of a run: written beside their place under a passing name, moved to it together when all are whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mark = f".{os.getpid()}.tmp"
        self._open: dict[str, BinaryIO] = {}

    def __enter__(self) -> Self:
        for model in quick_look.TABLES:
            self._open[f"{model.table}.jsonl"] = (self.folder / f"{model.table}.jsonl{self._mark}").open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        for name, file in self._open.items():
            file.close()
            (self.folder / f"{name}{self._mark}").unlink(missing_ok=True)

    def append(self, lines: Mapping[str, Sequence[bytes]]) -> None:
        """Append to the files of the tables."""
        for table, rows in lines.items():
            self._open[f"{table}.jsonl"].writelines(row + b"\n" for row in rows)

    def finish(self, coverage: Mapping[str, Any]) -> None:
        """Put all files in their place; coverage.json comes last and says that the others are whole."""
        last = "coverage.json"
        self._open[last] = (self.folder / f"{last}{self._mark}").open("wb")
        self._open[last].write(orjson.dumps(coverage, option=orjson.OPT_INDENT_2) + b"\n")
        for file in self._open.values():
            file.close()
        for name in self._open:
            (self.folder / f"{name}{self._mark}").replace(self.folder / name)


def _coverage(reading: _Reading, total: Part) -> dict[str, Any]:
    """What was read, what became of it, and what was found; counts only."""
    stages = {"sessions": reading.coverage, **total.stages}
    return {
        "sessions": {
            "read": reading.sessions,
            "measured": stages["metrics"].answered,
            "analysed": stages["analysis"].answered,
            "quarantined": sum(reading.quarantined.values()),
        },
        "quarantined_by_reason": dict(sorted(reading.quarantined.items())),
        "input": dict(sorted(reading.tally.items())),
        "stages": {name: coverage.as_dict() for name, coverage in stages.items()},
        "refused_by_rule": dict(sorted(total.refused.items())),
        "moments": dict(sorted(total.moments.items())),
        "outcomes": dict(sorted(total.outcomes.items())),
        "types": [
            {"kind": kind, "type": name, "sessions": total.sessions[kind, name], "events": events}
            for (kind, name), events in sorted(total.events.items(), key=lambda item: (item[0][0] != "friction", item))
        ],
    }


def _show(coverage: Mapping[str, Any], out: Path) -> None:
    sessions = coverage["sessions"]
    rows = [{"what": what, "sessions": n, "why": ""} for what, n in sessions.items() if what != "quarantined"]
    rows += [
        {"what": f"not {past}", "sessions": n, "why": reason}
        for past, stage in (("measured", "metrics"), ("analysed", "analysis"))
        for reason, n in _losses(coverage["stages"][stage])
    ]
    rows += [
        {"what": "quarantined", "sessions": n, "why": reason} for reason, n in coverage["quarantined_by_reason"].items()
    ]
    rows += [
        {"what": "files passed over", "sessions": n, "why": name.partition(".")[2]}
        for name, n in coverage["input"].items()
        if name.startswith("files_passed_over.")
    ]
    show("Sessions", rows)
    click.echo()
    show("Friction and delight", coverage["types"], note=f"in {out}: one file per table, and coverage.json")


def _losses(stage: Mapping[str, int]) -> list[tuple[str, int]]:
    skipped = [(name.partition(".")[2], n) for name, n in stage.items() if name.startswith("skipped.")]
    return [(name, n) for name, n in [*skipped, ("failed", stage["failed"])] if n]
