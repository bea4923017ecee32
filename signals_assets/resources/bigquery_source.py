"""Door: sessions from a table of the user's own in BigQuery.

Put here: `BigQuerySessionSource`: which rows are a day's, how a row becomes a line that the canonical reader reads.
Not here: names and parameters (see `bigquery_reading.py`), formats (see `core/readers`), segments (`core/sessions.py`).

A row is one session (shape `sessions`), with its steps as JSON text, a JSON value or a repeated record in canonical
form; or one step (shape `steps`), which a query gathers by session. Whatever it holds goes through the reader of
canonical files, so bad rows become rejections with the same reasons as bad lines, and long ones are bounded alike.

Nothing of a session is kept here between calls: a day on its way lies in one file without a name. What is kept is how
many rows each day had when it was read and how many sessions they made, so that late ones show without reading a day.
"""

import io
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from signals_assets.core.readers import Rejected, read_stream
from signals_assets.core.readers.common import ContentError, parse_json
from signals_assets.core.sessions import Session, parse_time, segments
from signals_assets.resources.bigquery_connection import BigQueryJobs
from signals_assets.resources.bigquery_reading import NULLS_LAST, Lines, OwnTable, as_json, asked, dates, undated
from signals_assets.resources.folders import private_folder
from signals_assets.resources.session_source import ERASED, Covers, SessionSource

Shape = Literal["sessions", "steps"]

WHOSE: Final = (
    "session_id",
    "user_id",
    "organization_id",
    "agent_name",
    "agent_version",
    "agent_model",
    "prompt_version",
)
"""Columns about a session that both shapes may have."""
OF_SESSION: Final = (*WHOSE, "session", "steps", "feedback", "started_at", "ended_at")
OF_STEP: Final = (
    "kind", "text", "at", "order", "tool_name", "tool_call_id", "arguments", "by", "status", "user_comment", "name",
    "llm_call_id",
)  # fmt: skip
NEEDED: Final[Mapping[Shape, tuple[str, ...]]] = {
    "sessions": ("session_id", "steps"),
    "steps": ("session_id", "kind", "text", "at"),
}
"""Columns that a table must have, under their own names where the settings name no other; a whole session has all."""
KINDS: Final[Mapping[str, str]] = {
    "user": "user_message", "human": "user_message", "assistant": "assistant_message", "ai": "assistant_message",
    "tool": "tool_result", "function": "tool_result", "system": "event",
}  # fmt: skip
"""What customary roles mean."""
_AGENT: Final = {
    "agent_name": "name",
    "agent_version": "version",
    "agent_model": "model",
    "prompt_version": "prompt_version",
}
_JSON: Final = ("session", "steps", "feedback")
_READABLE: Final = b"-"
"""Stands in a line where another one has the reason why it cannot be read."""
_TOLD_APART: Final = 100
"""Rejections of one reason that are told one by one; the others are counted together."""


class BigQuerySessionSource(SessionSource):
    """Sessions from one table that is partitioned by day (UTC): of a session's start, or of the step.

    A session is told on the days of its segments. Rows of the partitions around a day are read with it: as many as
    `reach_days` before and after, because a session is resumed later, and a day may be another zone's. A segment that
    begins further from its row's partition is set aside as `out_of_reach`.

    With the shape `steps` a day is read with the steps of its sessions within reach, and a later segment's number is
    the number of days since the session's first step, looked for in `history_days` partitions.
    """

    def __init__(
        self,
        jobs: BigQueryJobs,
        table: str,
        *,
        shape: Shape = "sessions",
        day_column: str = "day",
        columns: Mapping[str, str] | None = None,
        kinds: Mapping[str, str] | None = None,
        reach_days: int = 1,
        history_days: int = 30,
        first_day: date,
        agent_name: str | None = None,
        spool: Path,
        erased: Callable[[], Covers] | None = None,
    ) -> None:
        """Nothing is asked yet. Raises ValueError for names that cannot be.

        Args:
            jobs: The connection.
            table: project.dataset.table
            shape: What a row is.
            day_column: DATE column that the table is partitioned by.
            columns: Our names (`OF_SESSION`, or `WHOSE` and `OF_STEP`) -> the table's.
            kinds: The table's words for kinds of steps -> ours, beside `KINDS`.
            reach_days: See the class.
            history_days: See the class.
            first_day: Earlier partitions are not looked at.
            agent_name: For sessions without one.
            spool: Folder of the restricted zone.
            erased: Gives the test for whom may not be read, as of now.
        """
        given = dict(columns or {})
        own = given if "session" in given else {name: name for name in NEEDED[shape]} | given
        known = OF_SESSION if shape == "sessions" else (*WHOSE, *OF_STEP)
        if foreign := sorted(set(own) - set(known)):
            raise ValueError(
                f"no such columns of a table of {shape}: {', '.join(foreign)}; there are {', '.join(known)}"
            )
        self._jobs, self._table, self._shape = jobs, OwnTable(table, own, day_column), shape
        self._kinds = {**KINDS, **(kinds or {})}
        self._reach, self._history, self._first_day = reach_days, history_days, first_day
        self._agent_name, self._spool = agent_name, spool
        self._erased = erased or (lambda: lambda *_: False)

    def days(self) -> list[date]:
        """See `SessionSource.days`: partitions that have rows."""
        return sorted(self._rows_by_day())

    def sessions(self, day: date) -> Iterator[Session | Rejected]:
        """See `SessionSource.sessions`; by session id, then by segment. Raises WarehouseError."""
        erased, numbers = self._erased(), self._first_days(day) if self._shape == "steps" else {}
        rows = told = 0
        with Lines(self._spool) as lines:
            for row in self._rows(day):
                rows += row["partition_day"] == day
                lines.add(*self._line(row))
            for item in _bounded(self._told(day, lines, numbers)):
                if isinstance(item, Session) and erased(item.user_id, item.organization_id, item.key):
                    item = Rejected(ERASED, "", "", "", day=day.isoformat())
                told += isinstance(item, Session)
                yield item
        self._note(day, rows, told)

    def counts(self) -> dict[date, int]:
        """See `SessionSource.counts`: what a day gave when it was read, and the rows that its partition got since."""
        read = self._notes()
        return {
            day: read[day][1] + max(0, rows - read[day][0]) if day in read else rows
            for day, rows in sorted(self._rows_by_day().items())
        }

    def everybody(self) -> Iterator[tuple[str | None, str | None, str]]:
        """See `SessionSource.everybody`: one query over all partitions from the first day on."""
        sql, parameters = self._statement(self._first_day, date.max)
        what = f"everybody in {self._table.name}"
        for row in asked(self._jobs, what, sql, parameters, {"verb": "everybody"}):
            first = row["partition_day"]
            for item in self._sessions_in(self._line(row)[1]):
                if isinstance(item, Session):
                    yield from (
                        (one.user_id, one.organization_id, one.key) for one in self._segments(item, first, first)
                    )

    def forget(self, session_ids: Collection[str]) -> int:  # noqa: ARG002 - nothing of a session is kept
        """See `SessionSource.forget`: there are no copies."""
        return 0

    def expire(self, before: datetime, *, dry_run: bool = False) -> int:  # noqa: ARG002 - nothing of a session is kept
        """See `SessionSource.expire`: there are no copies."""
        return 0

    def set_aside(self, user_id: str) -> list[Rejected]:  # noqa: ARG002 - a table has no rows of one user by their place
        """See `SessionSource.set_aside`: no part of a table is one user's own."""
        return []

    def check(self) -> str:
        """The table, with its statement tried without running it (names, rights, bytes), and rows that have no day."""
        sql, parameters = self._statement(self._first_day, self._first_day)
        self._jobs.refuse_wrong(f"reading {self._table.name}", sql, parameters, {"verb": "check"})
        return f"bigquery: {self._table.name}, a row is one of the {self._shape}{undated(self._jobs, self._table)}"

    # --- statements ---------------------------------------------------------------------------------------------------

    def _statement(self, first: date, last: date, having: date | None = None) -> tuple[str, tuple[Any, ...]]:
        """Rows of the partitions from `first` to `last`, each of one session with the first of its partitions.

        `having`: of rows of steps, only sessions with a step on that day.
        """
        table, within = self._table, f"WHERE {self._table.day} BETWEEN @first AND @last"
        if self._shape == "sessions":
            sql = f"SELECT {table.day} AS partition_day, {table.named(table.columns)} FROM {table.source} {within}"
            return sql, dates(first=first, last=last)
        session_id, whole = table.column("session_id"), table.named(one for one in table.columns if one != "session_id")
        sql = (
            f"SELECT {session_id} AS session_id, MIN({table.day}) AS partition_day, "
            f"ARRAY_AGG(STRUCT({whole})) AS steps FROM {table.source} {within} GROUP BY {session_id}"
        )
        if having is None:
            return sql, dates(first=first, last=last)
        return f"{sql} HAVING COUNTIF({table.day} = @day) > 0", dates(first=first, last=last, day=having)

    def _rows(self, day: date) -> Iterator[dict[str, Any]]:
        around = timedelta(days=self._reach)
        sql, parameters = self._statement(day - around, day + around, day)
        labels = {"verb": "sessions", "day": f"{day:%Y%m%d}"}
        for row in asked(self._jobs, f"sessions of {day} from {self._table.name}", sql, parameters, labels):
            yield row if self._shape == "sessions" else row | {"partition_day": day}

    def _first_days(self, day: date) -> dict[str, date]:
        """First partition of each session that has steps on the day and before it."""
        table, session_id = self._table, self._table.column("session_id")
        sql = (
            f"SELECT {session_id} AS session_id, MIN({table.day}) AS first_day FROM {table.source} "
            f"WHERE {table.day} BETWEEN @first AND @day "
            f"AND {session_id} IN (SELECT {session_id} FROM {table.source} WHERE {table.day} = @day) "
            f"GROUP BY {session_id} HAVING MIN({table.day}) < @day"
        )
        parameters = dates(first=day - timedelta(days=self._history), day=day)
        what = f"first days of sessions of {day} in {table.name}"
        return {
            str(row["session_id"]): row["first_day"]
            for row in asked(self._jobs, what, sql, parameters, {"verb": "days"})
        }

    def _rows_by_day(self) -> dict[date, int]:
        table = self._table
        counted = "COUNT(*)" if self._shape == "sessions" else f"COUNT(DISTINCT {table.column('session_id')})"
        sql = (
            f"SELECT {table.day} AS day, {counted} AS found FROM {table.source} WHERE {table.day} >= @first "
            f"GROUP BY {table.day}"
        )
        found = asked(self._jobs, f"days of {table.name}", sql, dates(first=self._first_day), {"verb": "days"})
        return {row["day"]: row["found"] for row in found}

    # --- rows to sessions ---------------------------------------------------------------------------------------------

    def _line(self, row: Mapping[str, Any]) -> tuple[str, bytes]:
        """A row as a key that orders it and a line: its partition's day, then the session in canonical form.

        What cannot be parsed stands as text where the reader expects a structure, behind a mark of the reason.
        """
        values = dict(row)
        partition = values.pop("partition_day").isoformat().encode()
        try:
            for name in _JSON:
                if isinstance(values.get(name), str):
                    values[name], _ = parse_json(values[name].encode("utf-8", "replace"))
            session = self._gathered(values) if self._shape == "steps" else _whole(values)
        except ContentError as error:
            return NULLS_LAST, b"%b %b " % (partition, str(error).encode())
        key = session.get("session_id")
        return NULLS_LAST if key is None else str(key), b"%b %b %b" % (partition, _READABLE, as_json(session))

    def _gathered(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """One session of its steps, in the order of time; what steps say of the session is taken from the first."""
        steps = sorted(row["steps"], key=_in_order)
        known = {name: next((step[name] for step in steps if step.get(name) is not None), None) for name in WHOSE[1:]}
        told = [{name: step[name] for name in OF_STEP if name in step and name != "order"} for step in steps]
        for step in told:
            step["kind"] = self._kinds.get(str(step["kind"]).lower(), step["kind"])
        return _whole({**known, "session_id": row["session_id"], "steps": told})

    def _told(self, day: date, lines: Lines, first_days: Mapping[str, date]) -> Iterator[Session | Rejected]:
        """What the lines hold of the day, in their order; doubles of a segment are rejected, the shorter first."""
        read = self._read(day, lines, first_days)
        for _, found in groupby(read, key=lambda item: item.session_id if isinstance(item, Session) else item.position):
            parts = list(found)
            best: dict[int, int] = {}
            for number, part in enumerate(parts):
                if isinstance(part, Session) and len(part.steps) > _steps_of(parts, best.get(part.segment)):
                    best[part.segment] = number
            for number, part in enumerate(parts):
                if isinstance(part, Session) and best[part.segment] != number:
                    yield self._rejected("duplicate_session", f"{part.key} {number}", 0, day)
                else:
                    yield part

    def _read(self, day: date, lines: Lines, first_days: Mapping[str, date]) -> Iterator[Session | Rejected]:
        """Segments of the day, and what cannot be told of rows that lie in its partition."""
        for number, (_, line) in enumerate(lines):
            lies, reason, data = line.split(b" ", 2)
            partition = date.fromisoformat(lies.decode())
            position = f"row {number}"
            if reason != _READABLE:
                if partition == day:
                    yield self._rejected(reason.decode(), position, 0, day)
                continue
            for item in self._sessions_in(line):
                if isinstance(item, Session):
                    first = first_days.get(item.session_id)
                    yield from self._parts(self._segments(item, partition, first), day, partition, position)
                elif partition == day:
                    yield self._rejected(item.reason, position, len(data), day)

    def _parts(
        self, parts: Iterable[Session], day: date, partition: date, position: str
    ) -> Iterator[Session | Rejected]:
        for part in parts:
            if part.day == day:
                yield part
            elif partition == day and self._shape == "sessions" and abs((part.day - day).days) > self._reach:
                yield self._rejected("out_of_reach", f"{position}.{part.segment}", 0, day)

    def _sessions_in(self, line: bytes) -> Iterator[Session | Rejected]:
        """What the canonical reader makes of a line; nothing of one that is marked with a reason."""
        _, reason, data = line.split(b" ", 2)
        if reason == _READABLE:
            yield from read_stream(io.BytesIO(data), self._table.name, format="canonical")

    def _segments(self, session: Session, partition: date, first: date | None) -> Iterator[Session]:
        """Segments of a session of a partition; rows of steps number them by days since its `first` one."""
        if self._agent_name and session.agent.name == "unknown":
            session.agent.name = self._agent_name
        if session.started_at is None:  # its day is that of the place where it lies, as for a file
            session.started_at = datetime.combine(partition, time(), UTC).timestamp()
            session.start_known_from = "file"
        for part in segments(session):
            if self._shape == "steps" and first is not None:
                part.segment = (part.day - first).days
            yield part

    def _rejected(self, reason: str, position: str, size: int, day: date) -> Rejected:
        return Rejected(reason, "canonical", position, self._table.name, size, day=day.isoformat())

    # --- what a day had -----------------------------------------------------------------------------------------------

    @property
    def _notes_file(self) -> Path:
        return self._spool / "bigquery_days.json"

    def _notes(self) -> dict[date, tuple[int, int]]:
        if not self._notes_file.exists():
            return {}
        found = orjson.loads(self._notes_file.read_bytes()).get(self._table.name, {})
        return {date.fromisoformat(day): (rows, told) for day, (rows, told) in found.items()}

    def _note(self, day: date, rows: int, told: int) -> None:
        private_folder(self._spool)
        notes = {known.isoformat(): counts for known, counts in self._notes().items()} | {day.isoformat(): (rows, told)}
        beside = self._notes_file.with_suffix(f".{os.getpid()}.tmp")
        beside.write_bytes(orjson.dumps({self._table.name: notes}, option=orjson.OPT_SORT_KEYS))
        beside.replace(self._notes_file)


def _whole(values: Mapping[str, Any]) -> dict[str, Any]:
    """A session in canonical form; single columns win over the whole session's JSON."""
    session = values.get("session")
    base: dict[str, Any] = dict(session) if isinstance(session, dict) else {}
    agent = base.get("agent")
    own = {name: values[column] for column, name in _AGENT.items() if values.get(column) is not None}
    if own or not agent:
        base["agent"] = {**(agent if isinstance(agent, dict) else {"name": agent}), **own}
    return base | {
        name: value for name, value in values.items() if value is not None and name not in ("session", *_AGENT)
    }


def _in_order(step: Mapping[str, Any]) -> tuple[bool, Any, bool, float, bytes]:
    """Where a step comes: by the table's own order where it has one, else by time; unknown ones last."""
    order, at = step.get("order"), step.get("at")
    moment = parse_time(at)
    return order is None, order if order is not None else 0, moment is None, moment or 0.0, as_json(step)


def _steps_of(parts: list[Session | Rejected], number: int | None) -> int:
    part = None if number is None else parts[number]
    return len(part.steps) if isinstance(part, Session) else -1


def _bounded(items: Iterator[Session | Rejected]) -> Iterator[Session | Rejected]:
    """The items, with rejections of one reason counted together from a number on: a broken table stays small."""
    apart: Counter[str] = Counter()
    rest: dict[str, Rejected] = {}
    for item in items:
        if isinstance(item, Rejected):
            apart[item.reason] += 1
            if apart[item.reason] > _TOLD_APART:
                last = rest.get(item.reason)
                counted = (0, 0) if last is None else (last.count, last.bytes)
                rest[item.reason] = replace(item, count=counted[0] + item.count, bytes=counted[1] + item.bytes)
                continue
        yield item
    yield from (rest[reason] for reason in sorted(rest))
