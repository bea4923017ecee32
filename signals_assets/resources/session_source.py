"""Door: where raw sessions come from.

Put here: `SessionSource` and the embedded implementation over files and folders.
Not here: formats (see `core/readers`), pseudonyms and segments (see `core/sessions.py`, `core/identity.py`).
"""

import hashlib
import io
import os
import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import orjson

from signals_assets.core.readers import Rejected, format_of_head, read_stream
from signals_assets.core.sessions import Session, from_json, segments, to_json
from signals_assets.resources.folders import private_folder
from signals_assets.settings import UserFrom


class SessionSource(ABC):
    """Sessions by day, streamed."""

    @abstractmethod
    def days(self) -> list[date]:
        """UTC days that have sessions, ascending. Cheap after the first call (an index is kept)."""

    @abstractmethod
    def sessions(self, day: date) -> Iterator[Session | Rejected]:
        """The sessions (segments) that start on `day`, in a stable order, and what could not be read.

        Records that cannot be dated (unreadable ones) come with the day of their file.
        """

    @abstractmethod
    def counts(self) -> dict[date, int]:
        """Sessions (segments) per day as `sessions` would yield them; looks for new and changed files first."""

    @abstractmethod
    def everybody(self) -> Iterator[tuple[str | None, str | None, str]]:
        """User, organisation and session key of every session (segment) of the source, of erased ones, too.

        Reads all that there is once; keeps nothing.
        """

    @abstractmethod
    def forget(self, session_ids: Collection[str]) -> int:
        """Erase this door's own copies and notes of the sessions (by their source's ids); returns how many there were.

        The source itself is not changed: what was erased is passed over when it is read again, and counted as
        `Rejected` with the reason `erased`. Safe to repeat and to kill.
        """

    @abstractmethod
    def expire(self, before: datetime, *, dry_run: bool = False) -> int:
        """Remove this door's own copies of sessions that were made before then; returns how many.

        Their days can still be read, from the source itself.
        """

    @abstractmethod
    def set_aside(self, user_id: str) -> list[Rejected]:
        """What could not be read in files that are one user's own, e.g. in a folder named like the user."""


ERASED: Final = "erased"
"""Reason of what is not read because its user, organisation or session was erased."""
Covers = Callable[[str | None, str | None, str | None], bool]
"""Whether one of user id, organisation id, session key (as the source knows them) was erased."""


def _nobody(*_: str | None) -> bool:
    return False


SUFFIXES: Final = (".jsonl", ".json", ".ndjson", ".gz", ".zst")
_INDEX_VERSION: Final = 2
_BUFFERED_BYTES: Final = 64 << 20
_SQLITE_WAIT_SECONDS: Final = 3600.0
"""As long as another process may take to read a large file into the same spool."""


class SessionSourceError(RuntimeError):
    """Sessions cannot be read: names the path and what to do; holds no content."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file that may hold sessions, and its folders below the path that it was found under."""

    path: Path
    folders: tuple[str, ...]


def _listed(paths: Sequence[Path]) -> tuple[list[_File], Counter[str]]:
    """Files under the paths in a stable order, and how many others there are by reason.

    Raises SessionSourceError for a path that does not exist.
    """
    files: dict[Path, _File] = {}
    skipped: Counter[str] = Counter()
    for path in paths:
        root = path.expanduser()
        if root.is_file():
            files.setdefault(root.resolve(), _File(root.resolve(), ()))
        elif root.is_dir():
            for file in _below(root.resolve(), skipped):
                files.setdefault(file.path, file)
        else:
            raise SessionSourceError(
                f"no sessions at {path}: it is neither a file nor a folder; correct `sessions` in signals.toml "
                "(SIGNALS_SESSIONS) or the path on the command line"
            )
    return list(files.values()), skipped


def _below(root: Path, skipped: Counter[str]) -> Iterator[_File]:
    """Plausible files below `root`, sorted by path. Links are not followed, so nothing outside can be read."""
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        for name in list(folders):
            if name.startswith(".") or (here / name).is_symlink():
                folders.remove(name)
                skipped["hidden" if name.startswith(".") else "symlink"] += 1
        folders.sort()
        for name in sorted(names):
            path = here / name
            if reason := _implausible(path):
                skipped[reason] += 1
            else:
                yield _File(path, path.relative_to(root).parts[:-1])


def _implausible(path: Path) -> str | None:
    if path.name.startswith("."):
        return "hidden"
    if path.is_symlink():
        return "symlink"
    if not path.name.lower().endswith(SUFFIXES):
        return "suffix"
    return None if path.is_file() else "not_a_file"


def _read_file(
    file: _File,
    session_format: str | None,
    user_from: UserFrom,
    agent_name: str | None,
    modified: float,
    tally: Counter[str] | None = None,
) -> Iterator[Session | Rejected]:
    """Whole sessions of a file with user, agent name and start filled in where the format knows none."""
    user_field = user_from.value if user_from.kind == "field" else ""
    user = _user(file, user_from)
    with file.path.open("rb") as stream:
        items = read_stream(stream, file.path.name, format=session_format, user_field=user_field, tally=tally)
        for item in items:
            if isinstance(item, Session):
                item.user_id = item.user_id or user
                if agent_name and item.agent.name == "unknown":
                    item.agent.name = agent_name
                if item.started_at is None:
                    item.started_at, item.start_known_from = modified, "file"
            yield item


def _user(file: _File, user_from: UserFrom) -> str | None:
    if user_from.kind == "setting":
        return user_from.value or None
    if user_from.kind == "folder":
        level = int(user_from.value or 0)
        return file.folders[level] if -len(file.folders) <= level < len(file.folders) else None
    return None


def read_paths(
    paths: Sequence[Path],
    *,
    session_format: str | None = None,
    user_from: UserFrom | None = None,
    agent_name: str | None = None,
    tally: Counter[str] | None = None,
) -> Iterator[Session | Rejected]:
    """Whole sessions (not cut into segments) of files and folders in file order, and what could not be read.

    Keeps nothing on disk. `tally` is filled with the files read and passed over by reason, and what became of their
    records. Raises SessionSourceError when a path does not exist or holds no plausible file.
    """
    files, skipped = _listed(paths)
    if tally is not None:
        tally.update({"files": len(files)} | {f"files_passed_over.{reason}": n for reason, n in skipped.items()})
    if not files:
        raise SessionSourceError(
            f"no session files under {', '.join(map(str, paths))}: expected names ending in {', '.join(SUFFIXES)}"
            f" (passed over: {dict(skipped) or 'nothing'})"
        )
    for file in files:
        modified = file.path.stat().st_mtime
        yield from _read_file(file, session_format, user_from or UserFrom(), agent_name, modified, tally)


def session_files(paths: Sequence[Path]) -> tuple[list[Path], Counter[str]]:
    """The files under the paths that may hold sessions, in a stable order, and those passed over by reason.

    Raises SessionSourceError for a path that does not exist.
    """
    files, skipped = _listed(paths)
    return [file.path for file in files], skipped


class FileSessionSource(SessionSource):
    """Files and folders of sessions in any readable format.

    One pass over new and changed files fills an index and, except for canonical files of one day, a spool of
    their sessions by day; later calls read from there. Both lie under `spool` (restricted: readable by the
    owner only) and follow the files: what was changed is replaced, what was removed is forgotten.
    The same session and segment in two places is kept where it has more steps; the other is rejected as
    `duplicate_session`. Rejections of unreadable records come with the last day of the sessions of their file,
    or the day of the file where it has none.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        session_format: str | None = None,
        user_from: UserFrom | None = None,
        agent_name: str | None = None,
        spool: Path,
        erased: Callable[[], Covers] | None = None,
    ) -> None:
        """`erased` gives the test for whom may not be read, as of now. Raises SessionSourceError for a missing path."""
        self._paths = tuple(paths)
        self._format, self._user_from, self._agent_name = session_format, user_from or UserFrom(), agent_name
        self._spool = spool
        self._erased: Callable[[], Covers] = erased or (lambda: _nobody)
        self._index: _Index | None = None
        self._skipped: Counter[str] = Counter()
        _listed(self._paths)

    def days(self) -> list[date]:
        """UTC days that have sessions, ascending; looks for new and changed files."""
        return self._refreshed().days()

    def sessions(self, day: date) -> Iterator[Session | Rejected]:
        """The day's segments by file and position, then what could not be read; looks for files at the first call."""
        index = self._index or self._refreshed()
        losers, erased = index.losers(day), self._erased()
        for entry in index.entries(day):
            for number, session in self._day_of(entry, day):
                if erased(session.user_id, session.organization_id, session.key):  # a file read as it is, or since
                    yield Rejected(ERASED, "", "", "", day=day.isoformat())
                elif (entry.file_id, number) in losers:
                    yield Rejected("duplicate_session", entry.format, f"session {number}", entry.path.name)
                else:
                    yield session
        yield from index.rejected(day)
        yield from index.erased(day)

    def counts(self) -> dict[date, int]:
        """See `SessionSource.counts`."""
        index = self._refreshed()
        return {day: count - len(index.losers(day)) for day, count in index.counts().items()}

    def everybody(self) -> Iterator[tuple[str | None, str | None, str]]:
        """See `SessionSource.everybody`."""
        for file in _listed(self._paths)[0]:
            modified = file.path.stat().st_mtime
            for item in _read_file(file, self._format, self._user_from, self._agent_name, modified):
                if isinstance(item, Session):
                    yield from ((part.user_id, part.organization_id, part.key) for part in segments(item))

    def forget(self, session_ids: Collection[str]) -> int:
        """See `SessionSource.forget`: files that have one of the sessions are taken anew, without what is erased."""
        if not (self._spool / "index.sqlite").exists():
            return 0
        index = self._index or _Index(self._spool)
        count = index.forget(session_ids)
        self._index = index
        self._refreshed()
        index.remove_orphans()
        return count

    def expire(self, before: datetime, *, dry_run: bool = False) -> int:
        """See `SessionSource.expire`: copies by day, by the age of their files."""
        copies = (self._spool / "shards").glob("*/*.zst")
        old = [path for path in copies if path.stat().st_mtime < before.timestamp()]
        for path in () if dry_run else old:
            path.unlink(missing_ok=True)
        return len(old)

    def set_aside(self, user_id: str) -> list[Rejected]:
        """See `SessionSource.set_aside`."""
        if self._user_from.kind not in ("folder", "setting"):
            return []
        index = self._refreshed()
        own = {str(file.path) for file in _listed(self._paths)[0] if _user(file, self._user_from) == user_id}
        return index.rejected_in(own)

    def skipped(self) -> dict[str, int]:
        """Counts of all listed files: files read and passed over, records in sessions, without a step, rejected."""
        index = self._index or self._refreshed()
        counts = Counter({"files": index.files()}) + index.tally()
        counts.update({f"files_passed_over.{reason}": count for reason, count in self._skipped.items()})
        counts.update({f"rejected.{reason}": count for reason, count in index.rejections().items()})
        return dict(sorted(counts.items()))

    def check(self) -> str:
        """How many files there are and how the first of them would be read; reads their heads only."""
        files, skipped = _listed(self._paths)
        formats: Counter[str] = Counter()
        for file in files[:20]:
            with file.path.open("rb") as stream:
                formats[self._format or format_of_head(stream, file.path.name) or "unknown"] += 1
        passed = f", passed over: {dict(sorted(skipped.items()))}" if skipped else ""
        return f"{len(files)} files under {len(self._paths)} paths, the first are {dict(formats)}{passed}"

    def _refreshed(self) -> "_Index":
        listed, self._skipped = _listed(self._paths)
        erased = self._erased()
        files: list[_File] = []
        gone: list[_File] = []
        for file in listed:
            (gone if erased(_user(file, self._user_from), None, None) else files).append(file)
        if gone:
            self._skipped[ERASED] += len(gone)
        private_folder(self._spool)
        index = self._index or _Index(self._spool)
        for file in files:
            stat = file.path.stat()
            options = repr((_INDEX_VERSION, self._format, self._user_from, self._agent_name, file.folders))
            mark = _Mark(str(file.path), stat.st_size, stat.st_mtime_ns, options)
            with index.writing():
                if not index.knows(mark):
                    self._take(index, file, mark, erased)
        index.drop([str(file.path) for file in gone])
        index.limit_to([str(file.path) for file in files])
        self._index = index
        return index

    def _take(self, index: "_Index", file: _File, mark: "_Mark", erased: Covers) -> None:
        """Read a new or changed file once into the index and the spool."""
        modified = mark.modified_ns / 1e9
        shards = _Shards(self._spool / "shards" / _digest(mark))
        found_format = "unknown"
        rows: list[tuple[int, str, int, str, int]] = []
        rejected: dict[tuple[str, str], list[Rejected]] = {}
        segmented = False
        tally: Counter[str] = Counter()
        gone: Counter[str] = Counter()
        number = -1
        for item in _read_file(file, self._format, self._user_from, self._agent_name, modified, tally):
            if isinstance(item, Rejected):
                rejected.setdefault((item.reason, item.source_format), []).append(item)
                _merge(rejected[item.reason, item.source_format])
                continue
            found_format = item.source_format
            for part in segments(item):
                segmented = segmented or part is not item
                number += 1  # erased ones count: a file that is read by day is read as it is
                if erased(part.user_id, part.organization_id, part.key):
                    gone[part.day.isoformat()] += 1
                    continue
                shards.add(part.day, number, part)
                rows.append((number, part.session_id, part.segment, part.day.isoformat(), len(part.steps)))
        plain = found_format == "canonical" and not segmented and len({row[3] for row in rows} | set(gone)) == 1
        direct = plain or not rows
        if direct:
            shards.remove()
        else:
            shards.close()
        last_day = max((row[3] for row in rows), default=_day(modified))
        kept = [item for items in rejected.values() for item in items]
        index.replace(mark, found_format, direct, last_day, rows, kept, tally, Counter() if plain and rows else gone)

    def _day_of(self, entry: "_Entry", day: date) -> Iterator[tuple[int, Session]]:
        copy = self._spool / "shards" / _digest(entry.mark) / f"{day.isoformat()}.zst"
        if not entry.direct and (copy.exists() or not copy.parent.is_dir()):
            yield from _shard_sessions(copy)
            return
        file = next((file for file in _listed(self._paths)[0] if str(file.path) == entry.mark.path), None)
        if file is None:
            raise SessionSourceError("a file of sessions is gone since it was listed: run again")
        modified = entry.mark.modified_ns / 1e9
        found = _read_file(file, self._format, self._user_from, self._agent_name, modified)
        parts = (part for item in found if isinstance(item, Session) for part in segments(item))
        yield from ((number, part) for number, part in enumerate(parts) if part.day == day)


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _merge(kept: list[Rejected], most: int = 100) -> None:
    """After the first `most` of a reason in a file, count the others together: a broken file stays small here."""
    if len(kept) > most + 1:
        last, before = kept.pop(), kept[-1]
        kept[-1] = replace(before, count=before.count + last.count, bytes=before.bytes + last.bytes)


# --- the index -------------------------------------------------------------------------------------------------

_SCHEMA: Final = """
create table if not exists files (
  id integer primary key, path text unique not null, size integer not null, modified_ns integer not null,
  options text not null, format text not null, direct integer not null, last_day text not null, tally blob not null);
create table if not exists segments (
  file_id integer not null, number integer not null, session_id text not null, segment integer not null,
  day text not null, steps integer not null, primary key (file_id, number)) without rowid;
create index if not exists segments_by_session on segments (session_id, segment);
create index if not exists segments_by_day on segments (day);
create table if not exists rejected (
  file_id integer not null, reason text not null, format text not null, position text not null,
  bytes integer not null, count integer not null);
create table if not exists erased (file_id integer not null, day text not null, count integer not null);
create temp table listed (file_id integer primary key, place integer not null);
"""

_LOSERS: Final = """
with ranked as (
  select s.file_id, s.number, s.day, row_number() over (
    partition by s.session_id, s.segment order by s.steps desc, l.place, s.number) as rank
  from segments s join listed l using (file_id)
  where (s.session_id, s.segment) in (select session_id, segment from segments where day = :day))
select file_id, number from ranked where rank > 1 and day = :day
"""


@dataclass(frozen=True, slots=True)
class _Mark:
    """What tells that a file is unchanged and was read in the same way."""

    path: str
    size: int
    modified_ns: int
    options: str


def _digest(mark: _Mark) -> str:
    """Name of a file's folder in the spool: a hash, because names from outside never become paths inside."""
    return hashlib.sha256(repr(mark).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _names(path: str) -> tuple[str, str]:
    """The two names under which a file may be remembered: its path, and a hash of it."""
    return path, hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file with sessions of a day."""

    file_id: int
    mark: _Mark
    format: str
    direct: bool

    @property
    def path(self) -> Path:
        return Path(self.mark.path)


class _Index:
    """Which file holds which segment of which day, in SQLite under the spool."""

    def __init__(self, spool: Path) -> None:
        path = spool / "index.sqlite"
        path.touch(mode=0o600)
        self._spool = spool
        self._connection = sqlite3.connect(
            path, timeout=_SQLITE_WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("pragma secure_delete = on")  # what is forgotten is overwritten
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One file's change: complete or not at all, one process at a time."""
        self._connection.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._connection.execute("rollback")
            raise
        self._connection.execute("commit")

    def knows(self, mark: _Mark) -> bool:
        """Whether the file was read as it is now, and its part of the spool is still there."""
        row = self._connection.execute(
            "select size, modified_ns, options, direct, format from files where path in (?, ?)", _names(mark.path)
        ).fetchone()
        if row is None or row[:3] != (mark.size, mark.modified_ns, mark.options):
            return False
        return bool(row[3]) or (self._spool / "shards" / _digest(mark)).is_dir()

    def replace(
        self,
        mark: _Mark,
        found_format: str,
        direct: bool,
        last_day: str,
        rows: list[tuple[int, str, int, str, int]],
        rejected: list[Rejected],
        tally: Counter[str],
        gone: Counter[str],
    ) -> None:
        """Put the file's rows in the place of its earlier ones.

        A file of which nothing but erased sessions could be read is remembered under a hash of its path: the path
        may name them.
        """
        self._forget(mark.path, keep=_digest(mark))
        if gone and not rows:
            mark = replace(mark, path=_names(mark.path)[1])
        cursor = self._connection.execute(
            "insert into files (path, size, modified_ns, options, format, direct, last_day, tally) "
            "values (?, ?, ?, ?, ?, ?, ?, ?)",
            (*astuple(mark), found_format, direct, last_day, orjson.dumps(tally)),
        )
        file_id = cursor.lastrowid
        self._connection.executemany(
            "insert into segments (file_id, number, session_id, segment, day, steps) values (?, ?, ?, ?, ?, ?)",
            ((file_id, *row) for row in rows),
        )
        self._connection.executemany(
            "insert into rejected (file_id, reason, format, position, bytes, count) values (?, ?, ?, ?, ?, ?)",
            ((file_id, r.reason, r.source_format, r.position, r.bytes, r.count) for r in rejected),
        )
        self._connection.executemany(
            "insert into erased (file_id, day, count) values (?, ?, ?)",
            ((file_id, day, count) for day, count in sorted(gone.items())),
        )

    def _forget(self, path: str, keep: str = "") -> None:
        row = self._connection.execute(
            "select id, size, modified_ns, options from files where path in (?, ?)", _names(path)
        ).fetchone()
        if row is None:
            return
        folder = _digest(_Mark(path, *row[1:]))
        if folder != keep:
            shutil.rmtree(self._spool / "shards" / folder, ignore_errors=True)
        for table in ("segments", "rejected", "erased"):
            self._connection.execute(f"delete from {table} where file_id = ?", (row[0],))
        self._connection.execute("delete from files where id = ?", (row[0],))

    def limit_to(self, paths: list[str]) -> None:
        """Answer for these files only, in this order; forget files that are no longer on disk."""
        wanted = {name: path for path in paths for name in _names(path)}
        known = dict(self._connection.execute("select path, id from files").fetchall())
        with self.writing():
            for name in known:
                if name not in wanted and not Path(name).exists():
                    self._forget(name)
        known = {wanted[name]: number for name, number in known.items() if name in wanted}
        with self.writing():
            self._connection.execute("delete from listed")
            self._connection.executemany(
                "insert into listed (file_id, place) values (?, ?)",
                ((known[path], place) for place, path in enumerate(paths)),
            )

    def days(self) -> list[date]:
        """Days of the listed files."""
        rows = self._connection.execute("select distinct day from segments join listed using (file_id) order by day")
        return [date.fromisoformat(day) for (day,) in rows]

    def counts(self) -> dict[date, int]:
        """Segments of the listed files by day, doubles included."""
        rows = self._connection.execute(
            "select day, count(*) from segments join listed using (file_id) group by day order by day"
        )
        return {date.fromisoformat(day): int(count) for day, count in rows}

    def entries(self, day: date) -> list[_Entry]:
        """Listed files that have segments of the day."""
        rows = self._connection.execute(
            "select f.id, f.path, f.size, f.modified_ns, f.options, f.format, f.direct from files f "
            "join listed l on l.file_id = f.id "
            "where f.id in (select file_id from segments where day = ?) order by l.place",
            (day.isoformat(),),
        )
        return [_Entry(row[0], _Mark(*row[1:5]), row[5], bool(row[6])) for row in rows.fetchall()]

    def losers(self, day: date) -> set[tuple[int, int]]:
        """Segments of the day that stand in another place with at least as many steps, as (file, number)."""
        return set(self._connection.execute(_LOSERS, {"day": day.isoformat()}).fetchall())

    def rejected(self, day: date) -> list[Rejected]:
        """Rejections of the listed files that come with the day."""
        rows = self._connection.execute(
            "select r.reason, r.format, r.position, f.path, r.bytes, r.count from rejected r "
            "join files f on f.id = r.file_id join listed l on l.file_id = f.id "
            "where f.last_day = ? order by l.place, r.rowid",
            (day.isoformat(),),
        )
        return [
            Rejected(reason, found_format, position, Path(path).name, size, count, day.isoformat())
            for reason, found_format, position, path, size, count in rows.fetchall()
        ]

    def erased(self, day: date) -> list[Rejected]:
        """Sessions of the day in the listed files that were passed over, counted together."""
        (count,) = self._connection.execute(
            "select coalesce(sum(count), 0) from erased join listed using (file_id) where day = ?", (day.isoformat(),)
        ).fetchone()
        return [Rejected(ERASED, "", "", "", count=count, day=day.isoformat())] if count else []

    def rejected_in(self, paths: Collection[str]) -> list[Rejected]:
        """Rejections of these files."""
        rows = self._connection.execute(
            "select r.reason, r.format, r.position, f.path, r.bytes, r.count, f.last_day from rejected r "
            "join files f on f.id = r.file_id"
        )
        return [
            Rejected(reason, found_format, position, Path(path).name, size, count, day)
            for reason, found_format, position, path, size, count, day in rows.fetchall()
            if path in paths
        ]

    def forget(self, session_ids: Collection[str]) -> int:
        """Forget every file that has one of the sessions; returns how many of their segments there were."""
        rows = self._connection.execute(
            "select f.path, s.session_id from segments s join files f on f.id = s.file_id"
        ).fetchall()
        affected = Counter(path for path, session_id in rows if session_id in session_ids)
        self.drop(sorted(affected))
        return affected.total()

    def drop(self, paths: Sequence[str]) -> None:
        """Forget these files."""
        for path in paths:
            with self.writing():
                self._forget(path)

    def remove_orphans(self) -> None:
        """Remove copies that belong to no file: a process died between writing them and noting it."""
        with self.writing():
            rows = self._connection.execute("select path, size, modified_ns, options from files").fetchall()
            owned = {_digest(_Mark(*row)) for row in rows}
            for folder in (self._spool / "shards").glob("*"):
                if folder.name not in owned:
                    shutil.rmtree(folder, ignore_errors=True)

    def rejections(self) -> dict[str, int]:
        """Rejected records of the listed files by reason."""
        rows = self._connection.execute(
            "select reason, sum(count) from rejected join listed using (file_id) group by reason order by reason"
        )
        return dict(rows.fetchall())

    def tally(self) -> Counter[str]:
        """What became of the records of the listed files."""
        total: Counter[str] = Counter()
        for (tally,) in self._connection.execute("select tally from files join listed on file_id = id"):
            total.update(orjson.loads(tally))
        return total

    def files(self) -> int:
        """How many files are listed."""
        return int(self._connection.execute("select count(*) from listed").fetchone()[0])


# --- the spool -------------------------------------------------------------------------------------------------


class _Shards:
    """A file's sessions by day: one zstd file a day, written in frames so that no file stays open."""

    def __init__(self, folder: Path) -> None:
        import zstandard

        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        self._folder, self._compressor = folder, zstandard.ZstdCompressor(level=1)
        self._waiting: dict[date, list[bytes]] = {}
        self._size = 0

    def add(self, day: date, number: int, session: Session) -> None:
        """Keep the session as the file's segment `number`."""
        extra = orjson.dumps([number, session.start_known_from, session.source_format, session.notes])
        line = b"%b\t%b\n" % (extra, to_json(session))
        self._waiting.setdefault(day, []).append(line)
        self._size += len(line)
        if self._size > _BUFFERED_BYTES:
            self.close()

    def close(self) -> None:
        """Write what waits."""
        for day, waiting in self._waiting.items():
            descriptor = os.open(self._folder / f"{day.isoformat()}.zst", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(self._compressor.compress(b"".join(waiting)))
        self._waiting, self._size = {}, 0

    def remove(self) -> None:
        """Throw away what was kept: the file itself can be read by day."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _shard_sessions(path: Path) -> Iterator[tuple[int, Session]]:
    import zstandard

    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise SessionSourceError(
            "the spool lost a file: another run may have replaced it while this one read; run again"
        ) from None
    with file, zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as plain:
        for line in io.BufferedReader(plain, 1 << 20):
            extra, _, data = line.partition(b"\t")
            session = from_json(data)
            number, session.start_known_from, session.source_format, session.notes = orjson.loads(extra)
            yield number, session
