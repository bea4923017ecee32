"""BigQuery: tables that are not ours, read by a mapping of their columns.

Put here: what a person may name in a statement, and lines put in order. Not here: the connection (see
`bigquery_connection.py`), what rows mean (see `bigquery_source.py`, `bigquery_records.py`).

Values are parameters of a query, never part of its text. Names of tables and columns cannot be parameters: they are
held to letters, digits and underscores, and quoted.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any, Final

import orjson
from google.cloud import bigquery as bq

from signals_assets.resources.bigquery_connection import BigQueryJobs, batches
from signals_assets.resources.folders import private_folder

_TABLE: Final = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]\.\w{1,1024}\.[\w-]{1,1024}", re.ASCII)
_COLUMN: Final = re.compile(r"[A-Za-z_]\w{0,299}(?:\.[A-Za-z_]\w{0,299})*", re.ASCII)

NULLS_LAST: Final = "\U0010ffff"
"""Sorts after every key."""


@dataclass(frozen=True, slots=True)
class OwnTable:
    """A table of the user's: its full name, its columns by the names that they have here, and its day."""

    name: str
    columns: Mapping[str, str]
    day_column: str | None
    """DATE column that it is partitioned by; None for a table that is read whole."""

    def __post_init__(self) -> None:
        """Raises ValueError for a name that BigQuery does not have."""
        if not _TABLE.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no table; write project.dataset.table")
        for column in (*self.columns.values(), *([self.day_column] if self.day_column else [])):
            if not _COLUMN.fullmatch(column):
                raise ValueError(f"{column!r} is no column; write its name, with dots into records")

    @property
    def source(self) -> str:
        """The table as it stands after FROM."""
        return f"`{self.name}`"

    def column(self, name: str) -> str:
        """The column that is called `name` here, as it stands in a statement."""
        return quoted(self.columns[name])

    @property
    def day(self) -> str:
        """The day's column. Raises ValueError where the table has none."""
        if self.day_column is None:
            raise ValueError(f"{self.name} has no day_column")
        return quoted(self.day_column)

    def named(self, names: Iterable[str]) -> str:
        """The columns under the names that they have here, quoted: some are words of SQL (at, by, order)."""
        return ", ".join(f"{self.column(name)} AS `{name}`" for name in names)


def quoted(column: str) -> str:
    """A column's path in backticks."""
    return ".".join(f"`{part}`" for part in column.split("."))


def dates(**values: date) -> tuple[Any, ...]:
    """Days as parameters by name."""
    return tuple(bq.ScalarQueryParameter(name, "DATE", value) for name, value in values.items())


def asked(
    jobs: BigQueryJobs, what: str, sql: str, parameters: tuple[Any, ...], labels: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """The rows of a query, a page at a time; raises WarehouseError where they do not come whole.

    The job gets a new id each time: under a known one BigQuery would hand out yesterday's answer.
    """
    rows = jobs.query(what, sql, parameters, labels)
    for batch in batches(rows, jobs.storage, what):
        yield from batch.to_pylist()


def undated(jobs: BigQueryJobs, table: OwnTable) -> str:
    """What a check says of rows whose day is empty, which no day reads; nothing where there are none."""
    sql = f"SELECT COUNT(*) AS found FROM {table.source} WHERE {table.day} IS NULL"
    (row,) = asked(jobs, f"rows without a day in {table.name}", sql, (), {"verb": "check"})
    return f"; {row['found']} rows without {table.day_column} are never read" if row["found"] else ""


def as_json(value: object) -> bytes:
    """A row on one line; times as ISO 8601, numbers without a JSON form as text."""
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)


class Lines:
    """Lines put in order outside of memory: an answer of BigQuery has none, and sorting it there has a limit.

    They lie packed in one file without a name, which ends with its process; in memory is their order (about 150 bytes
    a line). To be used as a context.
    """

    def __init__(self, folder: Path) -> None:
        """`folder`: of the restricted zone."""
        import zstandard

        self._folder, self._packer = folder, zstandard.ZstdCompressor(level=1)
        self._places: list[tuple[str, bytes, int, int]] = []
        self._size = 0

    def __enter__(self) -> "Lines":
        private_folder(self._folder)
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, key: str, line: bytes) -> None:
        """Keep a line under its key; equal keys are ordered by what the lines hold."""
        packed = self._packer.compress(line)
        self._places.append((key, hashlib.sha256(line).digest()[:16], self._size, len(packed)))
        self._file.write(packed)
        self._size += len(packed)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Keys and lines in order."""
        import zstandard

        unpacker = zstandard.ZstdDecompressor()
        for key, _, start, size in sorted(self._places):
            self._file.seek(start)
            yield key, unpacker.decompress(self._file.read(size))
