"""Records from tables of the user's own in BigQuery, behind the door of records.

Put here: `BigQueryRecords`. Not here: names and parameters (see `bigquery_reading.py`), what makes a record of a row
(see `resources/records.py`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import orjson

from signals_assets.resources.bigquery_connection import BigQueryJobs
from signals_assets.resources.bigquery_reading import Lines, OwnTable, as_json, asked, dates, undated
from signals_assets.resources.records import TIME_OF, Normal, RecordKind, Records, day_of, errors_of, normalised

COLUMNS: Final[Mapping[RecordKind, tuple[str, ...]]] = {
    "releases": ("agent_name", "kind", "version", "released_at", "pull_request_ids"),
    "error_logs": ("logged_at", "service", "level", "message", "session_id", "user_id"),
    "feedback": ("session_id", "step", "rating", "comment", "given_at", "user_id"),
    "pull_requests": (
        "pull_request_id", "title", "branch", "body", "state", "opened_at", "merged_at", "closed_at", "files",
        "released_in",
    ),
    "user_outcomes": ("user_id", "outcome", "happened_at"),
}  # fmt: skip
"""Our names of the columns of each kind; a table needs those that a record cannot be without."""
NEEDED: Final[Mapping[RecordKind, tuple[str, ...]]] = {
    "releases": ("version", "released_at"),
    "error_logs": ("logged_at", "message"),
    "feedback": ("session_id", "rating", "given_at"),
    "pull_requests": ("pull_request_id", "title", "state", "opened_at"),
    "user_outcomes": ("user_id", "outcome", "happened_at"),
}
"""Columns that a table must have; under their own names where the settings name no other."""
_REACH: Final = timedelta(days=1)
_NARROW: Final = "raise bigquery.errors_a_day, or leave lines out in a view"


class BigQueryRecords(Records):
    """Records of one kind from one table; there are no records of another kind.

    A day's rows lie in the partition of the day or in one beside it (another zone's day); a table without a day column
    is read whole: right for releases, and for pull requests, whose rows tell of several days. Rows that have no time,
    or one further away (`out_of_reach`), come with the day of their partition; in a table without partitions, those
    without a time come with the last day that it tells of. A line of a log without a level is an error, as in a file.
    """

    def __init__(
        self,
        jobs: BigQueryJobs,
        kind: RecordKind,
        table: str,
        *,
        day_column: str | None = None,
        columns: Mapping[str, str] | None = None,
        errors_a_day: int = 200_000,
        first_day: date,
        spool: Path,
    ) -> None:
        """Nothing is asked yet. Raises ValueError for names that cannot be.

        Args:
            jobs: The connection.
            kind: Of the records.
            table: project.dataset.table
            day_column: DATE column that the table is partitioned by.
            columns: Our names (`COLUMNS`) -> the table's.
            errors_a_day: More lines of a log are an error of the day.
            first_day: Earlier partitions are not looked at.
            spool: Folder of the restricted zone.
        """
        own = {name: name for name in NEEDED[kind]} | dict(columns or {})
        if foreign := sorted(set(own) - set(COLUMNS[kind])):
            raise ValueError(f"no such columns of {kind}: {', '.join(foreign)}; there are {', '.join(COLUMNS[kind])}")
        self._jobs, self._kind, self._table = jobs, kind, OwnTable(table, own, day_column)
        self._most, self._first_day, self._spool = errors_a_day, first_day, spool

    def days(self, kind: RecordKind) -> list[date]:
        """See `Records.days`: days that the rows' times name; reads every row."""
        if kind != self._kind:
            return []
        sql, parameters = self._statement(self._first_day, None)
        found = (record for _, record in self._normal(sql, parameters))
        return sorted({day_of(kind, record) for record in found if TIME_OF[kind] in record})

    def records(self, kind: RecordKind, day: date) -> Iterator[dict[str, Any]]:
        """See `Records.records`; in the order of time, bad ones at the end. Raises RecordsError, WarehouseError."""
        if kind != self._kind:
            return
        told = self._of_day(day, *self._statement(day - _REACH, day + _REACH))
        yield from errors_of(day, told, most=self._most, narrow=_NARROW) if kind == "error_logs" else told

    def check(self) -> str:
        """The table, with its statement tried without running it, and rows that have no day."""
        sql, parameters = self._statement(self._first_day, self._first_day)
        self._jobs.refuse_wrong(f"reading {self._table.name}", sql, parameters, {"verb": "check"})
        return f"bigquery: {self._table.name}" + (undated(self._jobs, self._table) if self._table.day_column else "")

    def _statement(self, first: date, last: date | None) -> tuple[str, tuple[Any, ...]]:
        table = self._table
        if table.day_column is None:
            return f"SELECT {table.named(table.columns)} FROM {table.source}", ()
        sql = f"SELECT {table.day} AS partition_day, {table.named(table.columns)} FROM {table.source}"
        if last is None:
            return f"{sql} WHERE {table.day} >= @first", dates(first=first)
        return f"{sql} WHERE {table.day} BETWEEN @first AND @last", dates(first=first, last=last)

    def _normal(self, sql: str, parameters: tuple[Any, ...]) -> Iterator[tuple[date | None, Normal]]:
        """What the rows mean, each with its partition."""
        what, labels = f"{self._kind} from {self._table.name}", {"verb": "records", "kind": self._kind}
        for row in asked(self._jobs, what, sql, parameters, labels):
            partition = row.pop("partition_day", None)
            raw = {name: value for name, value in row.items() if value is not None}
            yield from ((partition, record) for record in normalised(self._kind, raw))

    def _of_day(self, day: date, sql: str, parameters: tuple[Any, ...]) -> Iterator[Normal]:
        """The day's records in order; lines wait in a file, as an answer has no order."""
        last: date | None = None
        undated: Counter[str] = Counter()
        passed: Counter[str] = Counter()
        with Lines(self._spool) as lines:
            for partition, record in self._normal(sql, parameters):
                if "rejected" in record:
                    undated[record["rejected"]] += partition in (None, day)
                elif "skipped" in record:
                    passed[record["skipped"]] += partition in (None, day)
                else:
                    told = day_of(self._kind, record)
                    last = told if last is None else max(last, told)
                    if partition == day and abs(told - day) > _REACH:
                        undated["out_of_reach"] += 1
                    elif told == day:
                        lines.add(f"{record[TIME_OF[self._kind]]:020.6f}", as_json(record))
            yield from (orjson.loads(line) for _, line in lines)
        if self._table.day_column is not None or last == day:
            yield from ({"rejected": code} for code in sorted(undated.elements()))
            yield from ({"skipped": code, "count": count} for code, count in sorted(passed.items()) if count)
