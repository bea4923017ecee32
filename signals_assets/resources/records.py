"""Door: the outside's own records: releases, error logs, feedback, pull requests, user outcomes.

Put here: `Records`, the embedded implementation over JSON Lines, CSV and changelog files, what a raw record of any
source becomes, and the choice of a source for each kind.
Not here: services (see `resources/github_records.py`, `resources/cloudwatch.py`, `resources/sentry.py`), row models
(see `tables.py`), pseudonyms (see `core/records.py`).
"""

import csv
import io
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from signals_assets.core.readers.archives import opened
from signals_assets.core.readers.common import ContentError, Limits, dig, json_records, lines, name_of
from signals_assets.core.sessions import parse_time

RecordKind = Literal["releases", "error_logs", "feedback", "pull_requests", "user_outcomes"]
RECORD_KINDS: Final[tuple[RecordKind, ...]] = ("releases", "error_logs", "feedback", "pull_requests", "user_outcomes")


class RecordsError(RuntimeError):
    """Records could not be read as a whole, so none are told: names the source and what to do; holds no content."""


class Records(ABC):
    """Records by kind and day."""

    @abstractmethod
    def days(self, kind: RecordKind) -> list[date]:
        """UTC days that have records of the kind, ascending."""

    @abstractmethod
    def records(self, kind: RecordKind, day: date) -> Iterator[dict[str, Any]]:
        """The day's records with normalised keys (see `FileRecords`), in a stable order.

        A bad one is {"rejected": code}; those that are none of ours may stand as {"skipped": code, "count": number}.
        """

    @abstractmethod
    def check(self) -> str:
        """What is read from where; one harmless call."""


class RecordsByKind(Records):
    """Some kinds from doors of their own, every other kind from the door beside them."""

    def __init__(self, beside: Records, doors: Mapping[RecordKind, Records]) -> None:
        self._beside, self._doors = beside, dict(doors)

    def days(self, kind: RecordKind) -> list[date]:
        """See `Records.days`."""
        return self._doors.get(kind, self._beside).days(kind)

    def records(self, kind: RecordKind, day: date) -> Iterator[dict[str, Any]]:
        """See `Records.records`."""
        return self._doors.get(kind, self._beside).records(kind, day)

    def check(self) -> str:
        """What each door says, with the kinds that it is asked for."""
        kinds: dict[Records, list[str]] = {}
        for kind in RECORD_KINDS:
            kinds.setdefault(self._doors.get(kind, self._beside), []).append(kind)
        return "; ".join(f"{', '.join(asked)} from {door.check()}" for door, asked in kinds.items())


Normal = dict[str, Any]
"""A record with normalised keys; times are seconds since 1970 in UTC."""

TEXT_SUFFIXES: Final = (".jsonl", ".ndjson", ".json", ".csv", ".md")
_ARCHIVE_SUFFIXES: Final = (".gz", ".zst")
_MAX_TEXT: Final = 100_000
_LIMITS: Final = Limits(record_bytes=4 << 20)

_TIMES: Final = ("timestamp", "@timestamp", "time", "ts", "date", "datetime", "at", "created_at")
_RELEASED: Final = ("released_at", "published_at", "changelog_first_seen_at", "first_seen_at", *_TIMES)
_LOGGED: Final = ("logged_at", *_TIMES, "asctime")
_GIVEN: Final = ("given_at", "rated_at", *_TIMES)
_HAPPENED: Final = ("happened_at", "occurred_at", *_TIMES)
_MESSAGES: Final = ("message", "msg", "body", "text", "event")
_SERVICES: Final = ("service", "service.name", "service_name", "component", "app", "logger", "logger_name", "name")
_LEVELS: Final = ("level", "severity", "severityText", "severity_text", "levelname", "lvl", "log.level")
_SESSIONS: Final = ("session_id", "sessionId", "session.id", "session", "conversation_id", "gen_ai.conversation.id")
_USERS: Final = ("user_id", "userId", "user.id", "user", "enduser.id")
_LEVEL_NUMBERS: Final = (("severityNumber", 17), ("severity_number", 17), ("levelno", 40))
_ERROR_LEVELS: Final = re.compile(r"(?i)(err|crit|fatal|alert|emerg|severe|panic|exception)")
_UP: Final = frozenset({"1", "+1", "up", "thumbs_up", "thumbsup", "positive", "like", "good", "true", "yes"})
_DOWN: Final = frozenset({"-1", "0", "down", "thumbs_down", "thumbsdown", "negative", "dislike", "bad", "false", "no"})
_PULL_REQUEST_STATES: Final = frozenset({"open", "merged", "closed"})
_CHANGELOG_RELEASE: Final = re.compile(
    r"^##?\s+\[?v?(\d[^\]\s]*)\]?(?:\([^)]*\))?(?:\s*[-–—:(]?\s*(\d{4}-\d{2}-\d{2}))?"
)
_CHANGELOG_PULL_REQUEST: Final = re.compile(r"/pull/(\d+)|[(\[]#(\d+)[)\]]")


class FileRecords(Records):
    """Files of a folder: `<kind>.jsonl` or `.csv`, `<kind>-anything.csv`, or many of them in a folder `<kind>/`.

    gzip and zstd are understood; releases may also be a Keep-a-Changelog file (`.md`). What follows the kind in
    the name of a file of releases (`releases_claude_code.csv`, `releases/my-agent.md`) is the agent's name where
    its rows name none. Normalised keys by kind:

    - releases: agent_name, kind (version, prompt, model), version, released_at, pull_request_ids
    - error_logs: logged_at, service, level, message, session_id, user_id; below error level is passed over
    - feedback: session_id, step, rating (1, -1), comment, given_at, user_id
    - pull_requests: pull_request_id, title, branch, body, state, opened_at, merged_at, files, released_in,
      moved_at; one record for each day it moved, in the state as of that day
    - user_outcomes: user_id, outcome, happened_at

    A bad record is `{"rejected": code}` and comes with the last day of its file. Each file is read once as long as
    it does not change; what is kept is compressed.
    """

    def __init__(self, folder: Path | None, *, agent_name: str | None = None) -> None:
        """No records when `folder` is None; raises ValueError when it is not a folder."""
        if folder is not None and folder.exists() and not folder.is_dir():
            raise ValueError(f"records = {folder} is not a folder; set it to the folder that holds releases.jsonl etc.")
        self._folder, self._agent_name = folder, agent_name
        self._known: dict[RecordKind, tuple[object, _ByDay]] = {}

    def days(self, kind: RecordKind) -> list[date]:
        """UTC days that have records of the kind, ascending."""
        return sorted(self._by_day(kind).days)

    def records(self, kind: RecordKind, day: date) -> Iterator[dict[str, Any]]:
        """The day's records in the order of the files, bad ones as {"rejected": code} at the end."""
        known = self._by_day(kind)
        yield from known.of(day)
        yield from ({"rejected": code} for code in known.rejected.get(day, ()))

    def skipped(self, kind: RecordKind) -> dict[str, int]:
        """Records that are none of ours, by reason: below_error_level, unreleased."""
        return dict(sorted(self._by_day(kind).skipped.items()))

    def check(self) -> str:
        """Files by kind."""
        counts = {kind: len(self._files(kind)) for kind in RECORD_KINDS}
        return f"{self._folder or 'no folder'}: " + ", ".join(f"{kind} {n} files" for kind, n in counts.items())

    def _files(self, kind: RecordKind) -> list[Path]:
        if self._folder is None or not self._folder.is_dir():
            return []
        beside = [path for path in self._folder.iterdir() if re.match(rf"{kind}(?:[-_.]|$)", path.name)]
        found = [*beside, *(path for path in (self._folder / kind).rglob("*") if (self._folder / kind).is_dir())]
        return sorted(path for path in found if _plain_name(path).endswith(TEXT_SUFFIXES) and _is_inside(path))

    def _by_day(self, kind: RecordKind) -> "_ByDay":
        files = self._files(kind)
        signature = [(path, stat.st_size, stat.st_mtime_ns) for path in files for stat in (path.stat(),)]
        if kind not in self._known or self._known[kind][0] != signature:
            self._known[kind] = (signature, self._read(kind, files))
        return self._known[kind][1]

    def _read(self, kind: RecordKind, files: list[Path]) -> "_ByDay":
        known = _ByDay()
        for path in files:
            days: set[date] = set()
            rejected: list[str] = []
            for raw in _raw_records(path, (_agent_of(path, kind) or self._agent_name) if kind == "releases" else None):
                for record in normalised(kind, raw):
                    if "skipped" in record:
                        known.skipped[record["skipped"]] += 1
                    elif "rejected" in record:
                        rejected.append(record["rejected"])
                    else:
                        days.add(known.add(record, day_of(kind, record)))
            if rejected:
                # A record that cannot be dated comes with its file: with the last day that the file tells of.
                modified = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
                known.rejected.setdefault(max(days, default=modified), []).extend(rejected)
        known.settle(newest_of="pull_request_id" if kind == "pull_requests" else None)
        return known


class _ByDay:
    """Normalised records by day, compressed: error logs may be many."""

    def __init__(self) -> None:
        self.rejected: dict[date, list[str]] = {}
        self.skipped: Counter[str] = Counter()
        self._waiting: dict[date, list[Normal]] = {}
        self._kept: dict[date, bytes] = {}

    @property
    def days(self) -> set[date]:
        """Days that have records."""
        return set(self._kept)

    def add(self, record: Normal, day: date) -> date:
        """Keep a record of a day; returns the day."""
        self._waiting.setdefault(day, []).append(record)
        return day

    def settle(self, newest_of: str | None) -> None:
        """Compress; with `newest_of`, of the records with the same value in that key the last one told remains."""
        import zstandard

        compressor = zstandard.ZstdCompressor(level=1)
        for day, records in self._waiting.items():
            if newest_of:
                records = list({record[newest_of]: record for record in records}.values())
            self._kept[day] = compressor.compress(b"\n".join(orjson.dumps(record) for record in records))
        self._waiting = {}

    def of(self, day: date) -> Iterator[Normal]:
        """The day's records."""
        import zstandard

        if day in self._kept:
            for line in zstandard.ZstdDecompressor().decompress(self._kept[day]).split(b"\n"):
                yield orjson.loads(line)


# --- files to raw records --------------------------------------------------------------------------------------


def _plain_name(path: Path) -> str:
    """The file's name without an archive's suffix, in lower case."""
    name = path.name.lower()
    for suffix in _ARCHIVE_SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _is_inside(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and not path.name.startswith(".")


def _agent_of(path: Path, kind: str) -> str | None:
    stem = re.sub(r"\.[a-z]+$", "", _plain_name(path))
    rest = stem if path.parent.name == kind else stem.removeprefix(kind)
    return rest.strip("-_.").replace("_", "-") or None


def _raw_records(path: Path, agent_name: str | None) -> Iterator[Any]:
    """The raw records of a file; an unreadable one is a text, the code of its reason."""
    name = _plain_name(path)
    try:
        with path.open("rb") as file:
            stream, _ = opened(file, _LIMITS)
            read = _read_csv if name.endswith(".csv") else _read_changelog if name.endswith(".md") else _read_json
            for raw in read(stream):
                if isinstance(raw, dict) and agent_name:
                    raw.setdefault("agent_name", agent_name)
                yield raw
    except ContentError as error:
        yield str(error)


def _read_json(stream: io.BufferedReader) -> Iterator[Any]:
    for record in json_records(stream, _LIMITS):
        yield record.reason or (record.value if isinstance(record.value, dict) else "not_a_record")


def _text_lines(stream: io.BufferedReader) -> Iterator[str]:
    for line in lines(stream, _LIMITS.record_bytes):
        yield "" if line.data is None else line.data.decode("utf-8-sig", "replace").replace("\0", "\ufffd")


def _read_csv(stream: io.BufferedReader) -> Iterator[Any]:
    rows = csv.DictReader(_text_lines(stream))
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield "bad_csv"
            continue
        yield {key: value for key, value in row.items() if key is not None and value not in ("", None)}


def _read_changelog(stream: io.BufferedReader) -> Iterator[Any]:
    """Releases of a Keep-a-Changelog file, with the pull requests that their sections name.

    A heading of the first or second level that begins with a version is a release (some tools write large ones with
    one #); without a day it cannot be dated. Any other heading of the second level is none of ours.
    """
    release: dict[str, Any] | None = None
    for line in _text_lines(stream):
        found = _CHANGELOG_RELEASE.match(line)
        if found or line.startswith("## "):
            if release:
                yield release
            release = {"version": found[1], "released_at": found[2], "pull_request_ids": []} if found else None
            if found is None:
                yield {"unreleased": True}
        elif release is not None:
            ids = (first or second for first, second in _CHANGELOG_PULL_REQUEST.findall(line))
            release["pull_request_ids"] = list(dict.fromkeys([*release["pull_request_ids"], *ids]))
    if release:
        yield release


# --- raw records to normal ones --------------------------------------------------------------------------------


def normalised(kind: RecordKind, raw: Mapping[str, Any] | str) -> list[Normal]:
    """What a raw record means: one record or several, {"rejected": code} where it means none, {"skipped": code}.

    Keys of `raw` may have any of the customary names; the normalised ones win. A text is the code of why it is none.
    """
    if isinstance(raw, str):
        return [{"rejected": raw}]
    try:
        return list(_NORMALISERS[kind](raw))
    except ContentError as error:
        return [{"rejected": str(error)}]


def day_of(kind: RecordKind, record: Normal) -> date:
    """The UTC day that a normalised record belongs to."""
    return datetime.fromtimestamp(record[TIME_OF[kind]], UTC).date()


def has_level(raw: Mapping[str, Any]) -> bool:
    """Whether a raw line of a log says how bad it is."""
    return _first(raw, (*_LEVELS, *(name for name, _ in _LEVEL_NUMBERS))) is not None


def errors_of(day: date, found: Iterable[Normal], *, most: int, narrow: str) -> Iterator[Normal]:
    """What a service of logs found, as `Records.records` tells it: those of the day, the others counted at the end.

    Raises RecordsError, which says how to `narrow` the question, where there are more than `most`.
    """
    passed: Counter[str] = Counter()
    told = 0
    for record in found:
        if "skipped" in record:
            passed[record["skipped"]] += record.get("count", 1)
        elif "rejected" not in record and day_of("error_logs", record) != day:
            passed["other_day"] += 1
        else:
            told += 1
            if told > most:
                raise RecordsError(f"{day} has more than {most} lines of error logs and none were kept; {narrow}")
            yield record
    yield from ({"skipped": code, "count": count} for code, count in sorted(passed.items()))


def _first(raw: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((value for name in names if (value := dig(raw, name)) not in (None, "")), None)


def _name(raw: Mapping[str, Any], *names: str) -> str | None:
    return next((value for name in names if (value := name_of(dig(raw, name)))), None)


def _needed(raw: Mapping[str, Any], code: str, *names: str) -> str:
    if (value := _name(raw, *names)) is None:
        raise ContentError(code)
    return value


def _text(raw: Mapping[str, Any], *names: str) -> str | None:
    value = _first(raw, names)
    if value is None:
        return None
    return (value if isinstance(value, str) else orjson.dumps(value).decode())[:_MAX_TEXT]


def _time(raw: Mapping[str, Any], names: Iterable[str]) -> float | None:
    value = _first(raw, names)
    if isinstance(value, str) and re.fullmatch(r"\d{9,13}(\.\d+)?", value):
        value = float(value)
    return parse_time(value)


def _needed_time(raw: Mapping[str, Any], names: Iterable[str]) -> float:
    if (at := _time(raw, names)) is None:
        raise ContentError("no_time")
    return at


def _strings(value: Any) -> list[str]:
    """A list of texts, also from CSV, where they stand in one cell."""
    if isinstance(value, str):
        value = re.split(r"[;,|\s]+", value)
    return [name for item in value if (name := name_of(item))] if isinstance(value, list) else []


def _release(raw: Mapping[str, Any]) -> Iterator[Normal]:
    if raw.get("unreleased") is True:
        yield {"skipped": "unreleased"}
        return
    kind = _name(raw, "kind")
    yield {
        "agent_name": _name(raw, "agent_name", "agent"),
        "kind": kind if kind in ("prompt", "model") else "version",
        "version": _needed(raw, "no_version", "version", "tag_name", "tag", "name"),
        "released_at": _needed_time(raw, _RELEASED),
        "pull_request_ids": _strings(_first(raw, ("pull_request_ids", "pull_requests"))),
    }


def _error_log(raw: Mapping[str, Any]) -> Iterator[Normal]:
    level = _first(raw, _LEVELS)
    if not _is_error(raw, level):
        yield {"skipped": "below_error_level"}
        return
    message = _text(raw, *_MESSAGES)
    if message is None:
        raise ContentError("no_message")
    yield {
        "logged_at": _needed_time(raw, _LOGGED),
        "service": _name(raw, *_SERVICES) or "unknown",
        "level": name_of(level) or "error",
        "message": message,
        "session_id": _name(raw, *_SESSIONS),
        "user_id": _name(raw, *_USERS),
    }


def _is_error(raw: Mapping[str, Any], level: Any) -> bool:
    """Error level and above in words, or in the numbers of OpenTelemetry (17), Python (40) and pino (50)."""
    for name, least in _LEVEL_NUMBERS:
        if isinstance(raw.get(name), int):
            return bool(raw[name] >= least)
    if isinstance(level, int | float):
        return level >= 50
    return level is None or _ERROR_LEVELS.search(str(level)) is not None


def _feedback(raw: Mapping[str, Any]) -> Iterator[Normal]:
    value = str(_first(raw, ("rating", "thumb", "score", "value"))).strip().lower().removesuffix(".0")
    if value not in _UP | _DOWN:
        raise ContentError("no_rating")
    step = _first(raw, ("step", "step_index"))
    yield {
        "session_id": _needed(raw, "no_session", *_SESSIONS),
        "step": int(step) if re.fullmatch(r"\d{1,9}", str(step)) else None,
        "rating": 1 if value in _UP else -1,
        "comment": _text(raw, "comment", "text", "reason"),
        "given_at": _needed_time(raw, _GIVEN),
        "user_id": _name(raw, *_USERS),
    }


def _pull_request(raw: Mapping[str, Any]) -> Iterator[Normal]:
    """A record for the day it was opened and one for the day it was merged or closed: as of a day, later is unknown."""
    opened_at = _needed_time(raw, ("opened_at", "created_at"))
    merged_at = _time(raw, ("merged_at",))
    state = (_name(raw, "state", "status") or "open").lower()
    if state not in _PULL_REQUEST_STATES:
        raise ContentError("unknown_state")
    ended_at = merged_at or (_time(raw, ("closed_at", "updated_at")) or opened_at if state != "open" else None)
    record = {
        "pull_request_id": _needed(raw, "no_id", "pull_request_id", "id", "number"),
        "title": _text(raw, "title") or "",
        "branch": _name(raw, "branch", "head_branch", "head.ref"),
        "body": _text(raw, "body", "description"),
        "state": "open",
        "opened_at": opened_at,
        "merged_at": None,
        "files": _strings(_first(raw, ("files", "changed_files"))),
        "released_in": None,
        "moved_at": opened_at,
    }
    yield record
    if ended_at is not None:
        yield record | {
            "state": "merged" if merged_at or state == "merged" else "closed",
            "merged_at": merged_at or (ended_at if state == "merged" else None),
            "released_in": _name(raw, "released_in"),
            "moved_at": max(opened_at, ended_at),
        }


def _user_outcome(raw: Mapping[str, Any]) -> Iterator[Normal]:
    yield {
        "user_id": _needed(raw, "no_user", *_USERS),
        "outcome": _needed(raw, "no_outcome", "outcome", "event", "kind", "type", "status"),
        "happened_at": _needed_time(raw, _HAPPENED),
    }


_NORMALISERS: Final[dict[RecordKind, Callable[[Mapping[str, Any]], Iterable[Normal]]]] = {
    "releases": _release,
    "error_logs": _error_log,
    "feedback": _feedback,
    "pull_requests": _pull_request,
    "user_outcomes": _user_outcome,
}
TIME_OF: Final[dict[RecordKind, str]] = {
    "releases": "released_at",
    "error_logs": "logged_at",
    "feedback": "given_at",
    "pull_requests": "moved_at",
    "user_outcomes": "happened_at",
}
"""The time by which a record of the kind belongs to a day."""
