"""`signals watch`: follow growing transcripts and print events as they happen; no text of a session is printed.

Put here: what grew, what of it is new to a session's fold, when a session is over, the printed lines.
Not here: what an event is (see `core/detectors`), formats (see `core/readers`), files of tables (see `analyze.py`).

A file that grew is read again from its beginning, up to its last whole line, and the steps that a session's fold has
taken are compared by a digest each: where they are the same, only those beyond are fed; where they are not (a rewind,
a file written anew), the fold starts again and events that stand before the first change are not told twice. So every
format is followed by its own reader, and nothing of a file is kept between two readings but eight bytes and a time
per step. A reading or a listing that took long rests longer before the next: each takes at most a tenth of a core.
"""

import math
import os
import re
import signal
import sys
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import RawIOBase
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, cast

import click
import orjson

from signals_assets.cli.printing import harmless_json
from signals_assets.core.detectors import Detected, Fold
from signals_assets.core.readers import READERS, Limits, Rejected, format_of_head, read_stream
from signals_assets.core.sessions import Session, Step, format_time
from signals_assets.resources.session_source import SessionSourceError, session_files
from signals_assets.settings import Settings

POLL_SECONDS: Final = 0.5
IDLE_SECONDS: Final = 1800.0
QUIET_SECONDS: Final = 5.0
"""What may still change its meaning (see `_settled`) waits until its file has been still for so long."""
REST: Final = 9.0
"""A file rests so many times as long as its last reading took."""
MOST_OPEN: Final = 256
"""Sessions with a fold at the same time; above it the one that has been still for longest is finished."""
MOST_NAMED: Final = 20
"""Of one reason so many places are named; the others are counted."""
ARCHIVES: Final = (".gz", ".zst")
_ARCHIVE_STARTS: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
_PASSING: Final = frozenset({"no_steps", "empty", "no_sessions", "unknown_format", "invalid_json", "not_a_session"})
"""What a whole file or session may be said to be while it is still being written."""
_USUAL: Final = frozenset({"no_steps", "empty", "sub_agent_transcript"})
"""What is nobody's mistake: counted, not named."""
_UUID_START: Final = re.compile(r"[0-9a-f]{8}(?=-[0-9a-f]{4}-)", re.I)
_CHUNK: Final = 1 << 16
_GROWING, _QUIET, _FINAL = 0, 1, 2


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="JSON lines on standard output.")
@click.option(
    "--from-start/--from-now", "from_start", default=True, show_default=True,
    help="Print the events of what is there already, or only those with a step that is still to come.",
)  # fmt: skip
@click.option(
    "--idle", type=click.FloatRange(min=0), default=IDLE_SECONDS, show_default=True, metavar="SECONDS",
    help="A session without growth for so long is finished: what was open is printed.",
)  # fmt: skip
@click.option("--once", is_flag=True, help="Read what is there, finish and exit.")
@click.option("--min-confidence", type=click.FloatRange(0, 1), help="Default: min_confidence of the settings.")
@click.option("--format", "session_format", type=click.Choice(list(READERS)), help="Default: recognised by itself.")
def command(
    paths: tuple[Path, ...],
    as_json: bool,
    from_start: bool,
    idle: float,
    once: bool,
    min_confidence: float | None,
    session_format: str | None,
) -> None:
    """Follow growing transcripts (files, or folders in which they appear) and print events as they happen.

    Followed line by line: Claude Code transcripts, Codex rollouts, canonical sessions, chat messages. Documents that
    are written whole (JSON) are read again when they changed. OpenTelemetry spans come in the order of their ends,
    so their sessions are told when their file has been still for a few seconds. Compressed files and standard input
    cannot be followed: use `signals analyze`.

    Ctrl-C ends with what was still open and with a line that says what was read.
    """
    settings = Settings()
    options = Options(
        from_start=from_start or once,
        idle=idle,
        min_confidence=settings.min_confidence if min_confidence is None else min_confidence,
        session_format=session_format or settings.session_format,
    )
    for path in paths:
        _check(path, options.session_format)
    clock = Clock()
    clock.listen()
    try:
        Watch(paths, options, Teller(as_json), clock).run(once=once)
    except UnheardError as error:
        if not isinstance(error.__cause__, BrokenPipeError):
            raise click.ClickException(f"cannot write what was found: {error}") from None
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read the lines has seen enough


def _check(path: Path, session_format: str | None) -> None:
    """Raise click.ClickException for a file that cannot be followed."""
    if path.is_dir():
        return
    if not path.is_file():
        raise click.ClickException(f"{path} cannot be followed: it is no file; use `signals analyze -` for a stream")
    with path.open("rb") as stream:
        if path.name.lower().endswith(ARCHIVES) or stream.read(4).startswith(_ARCHIVE_STARTS):
            raise click.ClickException(f"{path} cannot be followed: it is compressed; use `signals analyze`")
        stream.seek(0)
        whole_line = b"\n" in stream.read(_CHUNK)
        stream.seek(0)
        if whole_line and session_format is None and format_of_head(stream, path.name) is None:
            raise click.ClickException(
                f"{path} cannot be followed: its format is not recognised; name it with --format ({', '.join(READERS)})"
            )


class Clock:
    """Time, and whether somebody asked to stop."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def listen(self) -> None:
        """Take Ctrl-C and the signal of a service manager as the wish to stop; a second Ctrl-C ends at once."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._asked)

    def _asked(self, *_: object) -> None:
        self._stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def now(self) -> float:
        """Seconds since 1970, as in the times of files."""
        return time.time()

    def stopped(self) -> bool:
        """Whether the watch was asked to stop."""
        return self._stop.is_set()

    def wait(self, seconds: float) -> None:
        """Sleep so long, or until the watch is asked to stop."""
        self._stop.wait(seconds)


# --- printing --------------------------------------------------------------------------------------------------


class UnheardError(Exception):
    """What was found cannot be printed: no matter of the file that was read."""


class Teller:
    """Prints events, places that could not be read and the coverage; never a session's text."""

    def __init__(self, as_json: bool = False, echo: Callable[..., None] = click.echo) -> None:
        self._json, self._echo = as_json, echo
        self._named: Counter[str] = Counter()

    def event(self, file: str, key: str, at: float | None, event: Detected, before: bool) -> None:
        """One event. `before`: it stood in the file when the watch began."""
        if self._json:
            self._line(
                what="event",
                at=format_time(at),
                file=file,
                session_id=key,
                kind=event.kind,
                type=event.type,
                severity=event.severity,
                confidence=event.confidence,
                steps=event.steps,
                tool_names=[_shown(name) for name in event.tool_names],
                before=before,
            )
            return
        when = "-" * 19 if at is None else datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        tools = ", ".join(map(_shown, event.tool_names))
        self._say(
            f"{when}  {short(key):<16}  {event.kind:<8}  {event.type:<22}  {event.severity or '-':<6}  "
            f"{event.confidence:.2f}  steps {', '.join(map(str, event.steps))}{tools and '  ' + tools}"
        )

    def heading(self, text: str) -> None:
        """What the following events are; JSON lines say it themselves."""
        if not self._json:
            self._say(f"-- {text}")

    def notice(self, what: str, file: str, text: str, **more: Any) -> None:
        """Something about a file that its reader should know."""
        if self._json:
            self._line(what=what, file=file, **more)
        else:
            self._say(f"{_shown(file, 200)}: {text}", err=True)

    def set_aside(self, rejected: Rejected, file: str) -> None:
        """A place that could not be read; of many with one reason the first are named."""
        self._named[rejected.reason] += 1
        if self._named[rejected.reason] > MOST_NAMED:
            return
        more = " (more of these are only counted)" if self._named[rejected.reason] == MOST_NAMED else ""
        text = f"{rejected.position} set aside: {rejected.reason}{more}"
        self.notice("set_aside", file, text, position=rejected.position, reason=rejected.reason)

    def coverage(self, counts: "Coverage") -> None:
        """The last line."""
        if self._json:
            self._line(
                what="coverage",
                sessions=counts.sessions,
                steps=counts.steps,
                events=counts.events,
                below_confidence=counts.unsure,
                set_aside=dict(sorted(counts.set_aside.items())),
                files_passed_over=dict(sorted(counts.passed_over.items())),
            )
            return
        aside, passed = _listed(counts.set_aside), _listed(counts.passed_over)
        self._say(
            f"{counts.sessions:,} sessions, {counts.steps:,} steps read, "
            f"{counts.set_aside.total():,} lines or files set aside{aside}, {counts.events:,} events told, "
            f"{counts.unsure:,} below the confidence; {counts.passed_over.total():,} files passed over{passed}",
            err=True,
        )

    def _say(self, text: str, **where: bool) -> None:
        try:
            self._echo(text, **where)
        except OSError as error:
            raise UnheardError(error.strerror or type(error).__name__) from error

    def _line(self, **data: Any) -> None:
        self._say(harmless_json(orjson.dumps(data).decode()))


def short(key: str) -> str:
    """A session's name for the terminal: the beginning of its UUID, else of its id."""
    found = _UUID_START.search(key)
    return found[0] if found else key[:16]


def _shown(name: str, most: int = 40) -> str:
    """A foreign name without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:most])


def _listed(counts: Counter[str]) -> str:
    return f" ({', '.join(f'{reason} {n}' for reason, n in sorted(counts.items()))})" if counts else ""


# --- one session -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Followed:
    """One session: its fold while it is open, digests and times of the steps taken, the events that were told."""

    fold: Fold | None = None
    taken: "array[int]" = field(default_factory=lambda: array("q"))
    times: "array[float]" = field(default_factory=lambda: array("d"))
    told: set[int] = field(default_factory=set)
    """Hashes of the events that were found, and of their steps as they were then."""
    known: int = 0
    """Events wholly before this step need not be told: they were, or nobody asked for them."""
    grown: float = 0.0
    """When it last grew."""
    maybe_shorter: bool = False
    """Its file was replaced or cut since it was last seen in it."""

    def change(self, steps: Sequence[Step]) -> int | None:
        """The first step that is not what was taken, or None. A mere beginning of it is the same session."""
        digests = zip(self.taken, map(_digest, steps), strict=False)
        same = next((n for n, (before, now) in enumerate(digests) if before != now), min(len(self.taken), len(steps)))
        if same == len(self.taken) or (same == len(steps) and not self.maybe_shorter):
            return None
        return same

    def start_again(self, same: int) -> None:
        """Forget the fold: only the steps before `same` are as they were."""
        self._restart()
        self.known = min(self.known, same)

    def take(self, steps: Sequence[Step]) -> list[Detected]:
        """Feed the steps beyond those taken; returns new events. A finished session is fed from its beginning."""
        if len(steps) <= len(self.taken):
            return []
        if self.fold is None:
            self.known = max(self.known, len(self.taken))
            self._restart()
            self.fold = Fold(with_facets=False)
        found: list[Detected] = []
        for step in steps[len(self.taken) :]:
            found += self.fold.update(step)
            self.taken.append(_digest(step))
            self.times.append(math.nan if step.at is None else step.at)
        return self._new(found)

    def finish(self) -> list[Detected]:
        """End the session: returns the events that were open, drops the fold."""
        found = self._new(self.fold.finish()) if self.fold is not None else []
        self.fold = None
        return found

    def at(self, event: Detected) -> float | None:
        """The time of an event's last step."""
        at = self.times[event.steps[-1]] if event.steps else math.nan
        return None if math.isnan(at) else at

    def _restart(self) -> None:
        self.fold, self.taken, self.times = None, array("q"), array("d")

    def _new(self, found: Sequence[Detected]) -> list[Detected]:
        new = []
        for event in found:
            name = hash((event.kind, event.type, event.steps, *(self.taken[step] for step in event.steps)))
            if name not in self.told:
                self.told.add(name)
                if max(event.steps, default=-1) >= self.known:
                    new.append(event)
        return new


def _digest(step: Step) -> int:
    return hash(orjson.dumps(step, option=orjson.OPT_NON_STR_KEYS))


def _settled(session: Session) -> int:
    """How many steps cannot change their meaning by what follows.

    Codex says in the record after a text whether a person typed it. Spans are in order when all of them have ended.
    """
    steps = session.steps
    if session.source_format == "otel":
        return 0
    count = len(steps)
    while session.source_format == "codex" and count and _by_user(steps[count - 1]):
        count -= 1
    return count


def _by_user(step: Step) -> bool:
    return step.kind == "user_message" or step.name == "injected"


# --- one file --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class File:
    """A file that is followed."""

    path: Path
    changed: float
    """When it was last seen to change."""
    mark: tuple[int, int, int] = (0, 0, 0)
    """Size, time of change, inode: equal marks are the same content."""
    begin: int | None = None
    """What stood in it when the watch began, in bytes, as long as that has still to be read and not told."""
    stage: int = -1
    """How its present state was read: not yet, growing, quiet, final."""
    read_once: bool = False
    left: bool = True
    """Whether a later stage would read more of it."""
    due: float = 0.0
    """Not to be read before."""
    named: set[str] = field(default_factory=set)
    aside: Counter[str] = field(default_factory=Counter)
    """What was set aside, by reason, as of the last reading."""
    sessions: dict[str, Followed] = field(default_factory=dict)

    def look(self, stat: os.stat_result, now: float) -> bool:
        """Take note of the file's state; returns whether it was replaced or cut."""
        mark = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        before = self.mark
        if mark == before:
            return False
        self.mark = mark
        self.stage = -1
        if before != (0, 0, 0):
            self.changed = now
        shorter = mark[0] < before[0]
        if shorter or before[2] not in (0, mark[2]):
            self.begin = None
            for followed in self.sessions.values():
                followed.maybe_shorter = True
        return shorter

    def age(self, now: float, idle: float) -> int:
        """How still it has been: growing, quiet or final."""
        still = now - self.changed
        return _FINAL if still >= idle else _QUIET if still >= min(QUIET_SECONDS, idle) else _GROWING


class _Beginning(RawIOBase):
    """The first bytes of a stream, as a stream."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self._left = stream, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(min(len(buffer), self._left))
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)


def whole_size(stream: IO[bytes], size: int) -> int:
    """Bytes up to the end of the last whole line: one with its end, or one that is JSON already.

    A document that spans lines is taken as it is: its reader knows where it ends.
    """
    stream.seek(0)
    if stream.readline(_CHUNK).rstrip().endswith((b"{", b"[")):
        return size
    most = Limits().record_bytes
    position, tail = size, b""
    while position > 0 and b"\n" not in tail and len(tail) <= most:
        step = min(max(_CHUNK, len(tail)), position)
        position -= step
        stream.seek(position)
        tail = stream.read(step) + tail
    last = tail[tail.rfind(b"\n") + 1 :]
    if not last or len(last) > most or _is_json(last):
        return size
    return size - len(last)


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict | list)
    except orjson.JSONDecodeError:
        return False


# --- the watch -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Options:
    """What to follow and what to print."""

    from_start: bool = True
    idle: float = IDLE_SECONDS
    min_confidence: float = 0.5
    session_format: str | None = None


@dataclass(slots=True)
class Coverage:
    """What was read and what became of it."""

    sessions: int
    steps: int
    events: int
    unsure: int
    set_aside: Counter[str]
    passed_over: Counter[str]


class Watch:
    """Follows files and folders: `look` once per round, `end` at last; `run` does both."""

    def __init__(self, paths: Sequence[Path], options: Options, teller: Teller, clock: Clock) -> None:
        self._paths, self._options, self._teller, self._clock = tuple(paths), options, teller, clock
        self._files: dict[Path, File] = {}
        self._open: dict[tuple[Path, str], Followed] = {}
        """Sessions with a fold."""
        self._passed_over: Counter[str] = Counter()
        self._events = self._unsure = 0
        self._first = True
        self._pause = POLL_SECONDS

    def run(self, *, once: bool = False) -> None:
        """Follow until the clock says stop, or read once; ends with the coverage."""
        if self._options.from_start and not once:
            self._teller.heading("already there")
        self.look(_FINAL if once else None)
        if not once:
            self._teller.heading("from now on")
        while not once and not self._clock.stopped():
            self._clock.wait(self._pause)
            self.look()
        self.end(once)

    def look(self, stage: int | None = None) -> None:
        """One round: read what grew, finish what has been still for long. `stage` reads all files so."""
        for file in self._changed():
            if self._clock.stopped():
                return
            now = self._clock.now()
            wanted = file.age(now, self._options.idle) if stage is None else stage
            grown = file.stage < 0 and now >= file.due and file.begin != file.mark[0]
            if grown or (file.left and file.stage >= 0 and wanted > file.stage):
                self._read(file, wanted)
                self._finish_still()
        self._finish_still()
        self._first = False

    def end(self, all_read: bool = False) -> None:
        """Finish what is open and tell the coverage; first read what waited, unless `all_read`."""
        for file in [] if all_read else self._changed():
            if file.read_once and (file.left or file.stage < 0):
                self._read(file, _FINAL)
        if self._open and not all_read:
            self._teller.heading("still open at the end")
        for key in list(self._open):
            self._finish(key)
        self._teller.coverage(self.coverage())

    def coverage(self) -> Coverage:
        """The counts as of now."""
        followed = [session for file in self._files.values() for session in file.sessions.values()]
        aside, passed_over = Counter[str](), Counter(self._passed_over)
        for file in self._files.values():
            aside.update(file.aside)
            passed_over.update({} if file.read_once else {"not_read": 1})
        steps = sum(len(session.taken) for session in followed)
        return Coverage(len(followed), steps, self._events, self._unsure, aside, passed_over)

    def _changed(self) -> list[File]:
        """All files, with those that appeared; each has taken note of its state."""
        began = self._clock.now()
        try:
            paths, self._passed_over = session_files(self._paths)
        except SessionSourceError:  # it was there when the watch began: moved away, perhaps to come back
            paths = [path for path in self._files if path.exists()]
        now = self._clock.now()
        found = []
        for path in paths:
            if path.name.lower().endswith(ARCHIVES):
                self._passed_over["compressed"] += 1
                continue
            try:
                stat = path.stat()
            except OSError:
                continue  # it went between the listing and now
            file = self._files.get(path)
            if file is None:
                file = self._files[path] = File(path, min(now, stat.st_mtime))
                file.begin = stat.st_size if self._first and not self._options.from_start else None
            if file.look(stat, now):
                self._teller.notice("restart", str(path), "is shorter than it was: read again from its beginning")
            found.append(file)
        self._pause = max(POLL_SECONDS, REST * (self._clock.now() - began))
        return found

    def _read(self, file: File, stage: int) -> None:
        """Read a file again and feed what is new."""
        began = self._clock.now()
        try:
            with file.path.open("rb") as stream:
                if file.begin is not None:
                    self._pass_over(file, stream)
                size = file.mark[0]
                end = size if stage == _FINAL else whole_size(stream, size)
                file.left = end < size
                self._feed(file, stream, end, stage)
        except OSError as error:
            self._set_aside(file, Rejected("unreadable_file", "", error.strerror or "file", file.path.name), _FINAL)
        file.stage, file.read_once = stage, True
        spent = self._clock.now() - began
        file.due = began + spent * (1 + REST)

    def _pass_over(self, file: File, stream: IO[bytes]) -> None:
        """Take what stood in the file when the watch began, without telling it."""
        stream.seek(0)
        begin, file.begin = whole_size(stream, file.begin or 0), None
        for item in self._items(file, stream, begin):
            if isinstance(item, Session):
                followed = file.sessions.setdefault(item.key, Followed())
                followed.take(item.steps[: _settled(item)])
                followed.known = len(followed.taken)
                self._opened(file, item.key, followed)

    def _feed(self, file: File, stream: IO[bytes], end: int, stage: int) -> None:
        file.aside = Counter()
        seen: set[str] = set()
        for item in self._items(file, stream, end):
            if isinstance(item, Rejected):
                self._set_aside(file, item, stage)
                continue
            again = item.key in seen
            seen.add(item.key)
            self._follow(file, item, again, stage)

    def _follow(self, file: File, session: Session, again: bool, stage: int) -> None:
        """Feed what is new of a session; `again`: it stood in this file already."""
        followed = file.sessions.setdefault(session.key, Followed())
        change = followed.change(session.steps)
        if change is not None and again:
            file.aside["duplicate_session"] += 1
            return
        if change is not None:
            text = f"session {short(session.key)} changed from step {change} on: it is followed anew from there"
            self._teller.notice("restart", str(file.path), text, session_id=session.key, step=change)
            followed.start_again(change)
        followed.maybe_shorter = False
        settled = len(session.steps) if stage >= _QUIET else _settled(session)
        file.left |= settled < len(session.steps)
        before = len(followed.taken)
        try:
            found = followed.take(session.steps[:settled])
        except Exception as error:  # noqa: BLE001 - one hostile session must not stop the others; no text of it here
            followed.fold, found = None, []
            self._set_aside(file, Rejected(f"failed_{type(error).__name__}", "", "session", file.path.name), _FINAL)
        self._tell(file, session.key, followed, found)
        if len(followed.taken) != before or change is not None:
            self._opened(file, session.key, followed)

    def _items(self, file: File, stream: IO[bytes], end: int) -> Iterator[Session | Rejected]:
        if end == 0:
            return iter(())
        stream.seek(0)
        beginning = cast(BinaryIO, _Beginning(stream, end))
        return read_stream(beginning, file.path.name, format=self._options.session_format)

    def _opened(self, file: File, key: str, followed: Followed) -> None:
        followed.grown = file.changed
        if followed.fold is not None:
            self._open[file.path, key] = followed
            if len(self._open) > MOST_OPEN:
                self._finish(min(self._open, key=lambda name: self._open[name].grown))

    def _finish_still(self) -> None:
        latest = self._clock.now() - self._options.idle
        for name in [name for name, followed in self._open.items() if followed.grown <= latest]:
            self._finish(name)

    def _finish(self, key: tuple[Path, str]) -> None:
        followed = self._open.pop(key)
        self._tell(self._files[key[0]], key[1], followed, followed.finish())

    def _tell(self, file: File, key: str, followed: Followed, events: Sequence[Detected]) -> None:
        for event in events:
            if event.confidence < self._options.min_confidence:
                self._unsure += 1
                continue
            self._events += 1
            self._teller.event(str(file.path), key, followed.at(event), event, self._first)

    def _set_aside(self, file: File, rejected: Rejected, stage: int) -> None:
        """Count what could not be read; name it once, and what may pass only when the file is done."""
        if rejected.reason in _PASSING and not rejected.position.startswith("line ") and stage < _FINAL:
            file.left = True
            return
        file.aside[rejected.reason] += rejected.count
        place = f"{rejected.position} {rejected.reason}"
        if rejected.reason not in _USUAL and place not in file.named and len(file.named) < MOST_NAMED:
            file.named.add(place)
            self._teller.set_aside(rejected, str(file.path))
