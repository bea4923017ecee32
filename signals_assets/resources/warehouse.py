"""Door: the tables.

Put here: `Warehouse` and the embedded implementation (Parquet files with DuckDB views).
Not here: row models (see `tables.py`), what rows mean (see `core/`).
"""

import contextlib
import copy
import hashlib
import os
import re
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from signals_assets.resources.stored_rows import (
    GROUP_ROWS,
    WarehouseError,
    checked_batches,
    conformed,
    refuse_new_text,
    rows_changed,
    selected,
)
from signals_assets.tables import TABLES, Row, arrow_schema
from signals_assets.zones import ZONES, Zone

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

ANALYST_ZONES: Final[tuple[Zone, ...]] = ("abstracted", "published")
"""What a query sees unless it asks for more: raw text is never a slip of the keyboard away."""


class Warehouse(ABC):
    """Tables in, tables out: whole days, atomically, by column name."""

    @abstractmethod
    def replace(self, model: type[Row], day: date, rows: "Iterable[Row] | pa.Table | Iterable[pa.RecordBatch]") -> int:
        """Replace the day's rows in one atomic step and return their number.

        Zero rows clear the day and leave it stored (materialized, empty). Columns go by name; a missing
        non-nullable column, a foreign column or a row of another day raises `WarehouseError` and keeps the old
        rows. Rows are streamed: iterables are consumed once, in bounded memory.

        Tables of the abstracted zone, and any with a column of admitted text, take rows of their model only, and only
        text that the barrier made: an Arrow table cannot say who admitted its text.
        """

    @abstractmethod
    def days(self, model: type[Row]) -> list[date]:
        """Days that are stored, ascending, empty ones included."""

    @abstractmethod
    def read(self, model: type[Row], days: Sequence[date] | date, columns: Sequence[str] | None = None) -> "pa.Table":
        """The rows of the days that are stored (others add nothing), in stored order, with the model's schema.

        Columns that an older file lacks are null. Never blocks a writer, never sees a torn day.
        """

    @abstractmethod
    def stream(
        self, model: type[Row], day: date, columns: Sequence[str] | None = None, rows_per_batch: int = 64
    ) -> "Iterator[pa.RecordBatch]":
        """The same for one day in batches, in bounded memory."""

    def chunks(self, model: type[Row], day: date, columns: Sequence[str] | None = None) -> "Iterator[StoredChunk]":
        """The same for one day in pieces of work, by reference where workers can read this warehouse themselves."""
        for batch in self.stream(model, day, columns):
            yield HeldChunk(tuple(batch.to_pylist()))

    @abstractmethod
    def query(self, sql: str, parameters: Sequence[object] = (), zones: Sequence[Zone] = ANALYST_ZONES) -> "pa.Table":
        """A read-only query over views named like the tables of the zones.

        Raises `WarehouseError` for anything that writes, and for tables of other zones.
        """

    @abstractmethod
    def written_on(self, model: type[Row], day: date) -> date | None:
        """The UTC date on which the stored day was last written; None where it is not stored."""

    @abstractmethod
    def delete_days(self, model: type[Row], days: Sequence[date]) -> int:
        """Remove stored days (retention, erasure) and return how many there were."""

    @abstractmethod
    def rewrite(self, model: type[Row], day: date, change: "Callable[[pa.RecordBatch], pa.RecordBatch]") -> int:
        """Take rows out of a stored day, or change them, in one atomic step; returns how many rows went or differ.

        `change` gets the stored rows in batches with the columns they were stored with, and returns what stays. For
        erasure: `written_on` does not move (what is left must not live longer), other rows stay as they are, and a
        day in which nothing changes is not written. 0 where the day is not stored. A column of admitted text may lose
        texts; one that was not there raises `WarehouseError` and keeps the day.
        """

    @abstractmethod
    def limited_to(self, zones: Sequence[Zone]) -> "Warehouse":
        """The same warehouse, refusing to write tables of other zones with `WarehouseError`."""

    @abstractmethod
    def check(self) -> str:
        """One harmless call for `signals doctor`: says what answered. Raises `WarehouseError`."""


class StoredChunk(ABC):
    """Some rows of a stored day, in stored order: what per-session stages map through `Compute`.

    Picklable. Where the warehouse can be read from anywhere, what travels is a reference, and the rows are read where
    the chunk is iterated, in bounded memory; otherwise the rows travel themselves.
    """

    @abstractmethod
    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows. Raises `WarehouseError` where the day is no longer as it was when the chunk was made."""

    @abstractmethod
    def column(self, name: str) -> list[Any]:
        """One column's values alone, without reading the others."""


@dataclass(frozen=True, slots=True)
class HeldChunk(StoredChunk):
    """Rows that travel themselves."""

    rows: tuple[dict[str, Any], ...]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def column(self, name: str) -> list[Any]:
        """See `StoredChunk.column`."""
        return [row[name] for row in self.rows]


# --- Parquet files with DuckDB views ---------------------------------------------------------------------------

ROWS_AT_A_TIME: Final = 64
"""Rows of a chunk that are Python objects at a time."""
_FOOTER_END: Final = 8
"""A Parquet file ends with the size of its footer (4 bytes) and four letters."""

ABANDONED_SECONDS: Final = 6 * 3600
"""A temporary file this old belongs to a process that died: it may hold raw text, so the next write removes it."""

QUERY_MEMORY: Final = "1GB"
QUERY_THREADS: Final = 2

_REWRITING: Final = ".tmp-erasure-"
MODES: Final[dict[Zone, int]] = {"restricted": 0o700, "abstracted": 0o750, "published": 0o755}
"""Who may open a zone's folder: its owner, the group of the analysts, everybody."""

_DAY_FILES: Final = "????-??-??.parquet"


class ParquetWarehouse(Warehouse):
    """One Parquet file per table and day, replaced as a whole: `<folder>/<zone>/<table>/<day>.parquet`.

    A rename is the commit, so readers never wait and never see half a day. `schema.parquet` beside the days holds
    zero rows: views exist before the first day does, and show columns that no stored day has yet. The restricted
    zone's folder is readable by its owner only, the abstracted one's by its owner's group.
    """

    def __init__(self, folder: Path, zones: Sequence[Zone] | None = None) -> None:
        """Tables under `folder` (made at the first write); writes only to `zones` (default: all)."""
        self.folder = Path(folder)
        self.zones: tuple[Zone, ...] = ZONES if zones is None else tuple(zones)
        self._schemas_written: set[str] = set()

    def __repr__(self) -> str:
        return f"ParquetWarehouse({str(self.folder)!r}, zones={self.zones!r})"

    def replace(self, model: type[Row], day: date, rows: "Iterable[Row] | pa.Table | Iterable[pa.RecordBatch]") -> int:
        """See `Warehouse.replace`. Also refuses a key that occurs twice (about 100 bytes of memory a row)."""
        if model.zone not in self.zones:
            raise WarehouseError(
                f"{model.table} ({day}): this door may write to {', '.join(self.zones)} only, and the table is "
                f"{model.zone}; write it from an asset of its own zone"
            )
        folder = self._table_folder(model)
        _remove_abandoned(folder)
        temporary = folder / f".tmp-{uuid.uuid4().hex}"
        try:
            count = _write(temporary, model, day, rows)
            temporary.replace(folder / f"{day.isoformat()}.parquet")
        finally:
            temporary.unlink(missing_ok=True)
        _sync(folder)
        return count

    def days(self, model: type[Row]) -> list[date]:
        """See `Warehouse.days`."""
        return sorted(date.fromisoformat(path.stem) for path in self._path(model).glob(_DAY_FILES))

    def read(self, model: type[Row], days: Sequence[date] | date, columns: Sequence[str] | None = None) -> "pa.Table":
        """See `Warehouse.read`; days come in ascending order, each once."""
        import pyarrow as pa

        schema = selected(model, columns)
        wanted = [days] if isinstance(days, date) else sorted(set(days))
        batches = [batch for day in wanted for batch in self._batches(model, day, schema, GROUP_ROWS)]
        return pa.Table.from_batches(batches, schema=schema)

    def stream(
        self, model: type[Row], day: date, columns: Sequence[str] | None = None, rows_per_batch: int = 64
    ) -> "Iterator[pa.RecordBatch]":
        """See `Warehouse.stream`; holds one row group (8 MB of values) at a time."""
        return self._batches(model, day, selected(model, columns), rows_per_batch)

    def chunks(self, model: type[Row], day: date, columns: Sequence[str] | None = None) -> "Iterator[StoredChunk]":
        """See `Warehouse.chunks`: one reference for each row group (8 MB of values), which any process reads itself."""
        import pyarrow.parquet as pq

        path, names = self._path(model) / f"{day.isoformat()}.parquet", tuple(selected(model, columns).names)
        try:
            with path.open("rb") as file:
                footer, groups = _footer(file), pq.ParquetFile(file).num_row_groups
        except FileNotFoundError:
            return
        for group in range(groups):
            yield _ParquetChunk(path.absolute(), model, names, group, footer)

    def query(self, sql: str, parameters: Sequence[object] = (), zones: Sequence[Zone] = ANALYST_ZONES) -> "pa.Table":
        """See `Warehouse.query`; DuckDB's SQL, one statement, no access to any other file."""
        import duckdb

        try:
            return self._query_once(sql, parameters, zones)
        except duckdb.IOException:
            # A day was deleted between listing and opening the files; a second look lists anew.
            try:
                return self._query_once(sql, parameters, zones)
            except duckdb.Error as error:
                raise _refusal(error) from None
        except duckdb.Error as error:
            raise _refusal(error) from None

    def views_sql(self, zones: Sequence[Zone] = ANALYST_ZONES) -> str:
        """Statements that open the tables in any DuckDB shell: `duckdb -init views.sql`. Files stay where they are."""
        views = "".join(f"{self._view_sql(model)};\n" for model in _models(zones))
        return f"SET TimeZone = 'UTC';\n{views}"

    def written_on(self, model: type[Row], day: date) -> date | None:
        """See `Warehouse.written_on`."""
        try:
            written = (self._path(model) / f"{day.isoformat()}.parquet").stat().st_mtime
        except FileNotFoundError:
            return None
        return datetime.fromtimestamp(written, UTC).date()

    def delete_days(self, model: type[Row], days: Sequence[date]) -> int:
        """See `Warehouse.delete_days`; what died while it wrote this table is removed, too."""
        if model.zone not in self.zones:
            raise WarehouseError(f"{model.table}: this door may not delete days of the {model.zone} zone")
        folder, deleted = self._path(model), 0
        for day in set(days):
            with contextlib.suppress(FileNotFoundError):
                (folder / f"{day.isoformat()}.parquet").unlink()
                deleted += 1
        if folder.is_dir():
            _remove_abandoned(folder)
            _sync(folder)
        return deleted

    def rewrite(self, model: type[Row], day: date, change: "Callable[[pa.RecordBatch], pa.RecordBatch]") -> int:
        """See `Warehouse.rewrite`; a kill before the rename leaves the old day, after it the new one."""
        import pyarrow.parquet as pq

        if model.zone not in self.zones:
            raise WarehouseError(f"{model.table} ({day}): this door may not change rows of the {model.zone} zone")
        folder = self._path(model)
        path, temporary = folder / f"{day.isoformat()}.parquet", folder / f"{_REWRITING}{uuid.uuid4().hex}"
        if not path.exists():
            return 0
        for left in folder.glob(f"{_REWRITING}*"):
            left.unlink(missing_ok=True)  # by an erasure that was killed; there is one at a time
        written, changed = path.stat().st_mtime_ns, 0
        try:
            with pq.ParquetFile(path, pre_buffer=False) as stored, temporary.open("wb") as file:
                with pq.ParquetWriter(file, stored.schema_arrow, compression="zstd") as writer:
                    for group in range(stored.num_row_groups):
                        for batch in stored.read_row_group(group, use_threads=False).combine_chunks().to_batches():
                            left = change(batch)
                            refuse_new_text(model, day, batch, left)
                            changed += rows_changed(batch, left)
                            writer.write_batch(left)
                file.flush()
                os.fsync(file.fileno())
            if changed:
                os.utime(temporary, ns=(written, written))
                temporary.replace(path)
                _sync(folder)
        finally:
            temporary.unlink(missing_ok=True)
        return changed

    def limited_to(self, zones: Sequence[Zone]) -> "ParquetWarehouse":
        """See `Warehouse.limited_to`; never widens an earlier limit."""
        limited = copy.copy(self)
        limited.zones = tuple(zone for zone in zones if zone in self.zones)
        return limited

    def check(self) -> str:
        """Writes and removes an empty file in the folder of each zone and counts what is stored."""
        try:
            for zone in self.zones:
                probe = self._zone_folder(zone) / f".tmp-{uuid.uuid4().hex}"
                probe.touch()
                probe.unlink()
        except OSError as error:
            raise WarehouseError(
                f"the folder of the tables cannot be written ({type(error).__name__}); set SIGNALS_HOME to one that can"
            ) from None
        stored = [len(self.days(model)) for model in TABLES.values()]
        return f"Parquet files: {sum(n > 0 for n in stored)} tables, {sum(stored)} table days"

    # --- paths

    def _path(self, model: type[Row]) -> Path:
        return self.folder / model.zone / model.table

    def _zone_folder(self, zone: Zone) -> Path:
        folder = self.folder / zone
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(MODES[zone])
        return folder

    def _table_folder(self, model: type[Row]) -> Path:
        """The table's folder, with its schema file in its present form."""
        folder = self._zone_folder(model.zone) / model.table
        if model.table not in self._schemas_written:
            folder.mkdir(exist_ok=True)
            _write_schema(folder, model)
            self._schemas_written.add(model.table)
        return folder

    # --- reading

    def _batches(self, model: type[Row], day: date, schema: "pa.Schema", size: int) -> "Iterator[pa.RecordBatch]":
        import pyarrow.parquet as pq

        try:
            # Without pre_buffer=False all row groups are held until the last one is read.
            file = pq.ParquetFile(self._path(model) / f"{day.isoformat()}.parquet", pre_buffer=False)
        except FileNotFoundError:
            return
        with file:
            yield from _rows_of(file, schema, size, range(file.num_row_groups))

    def _query_once(self, sql: str, parameters: Sequence[object], zones: Sequence[Zone]) -> "pa.Table":
        import duckdb

        connection = duckdb.connect(
            ":memory:",
            config={
                "threads": QUERY_THREADS,
                "memory_limit": QUERY_MEMORY,
                "temp_directory": "",  # nothing spills to disk outside the zones
                "python_enable_replacements": False,  # a name in SQL is never a Python variable
                "autoinstall_known_extensions": False,  # never a download
            },
        )
        with connection:
            _refuse_writing(connection, sql)
            models = _models(zones)
            # Binding a view opens every file of its table; so only those are made that the statement names.
            named = [model for model in models if re.search(rf"\b{model.table}\b", sql, re.IGNORECASE)]
            for model in named or models:
                connection.execute(self._view_sql(model))
            folders = ", ".join(_quoted(f"{self._path(model).resolve()}/") for model in models)
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"SET allowed_directories = [{folders}]")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            answer = connection.sql(sql, params=list(parameters))
            return answer.to_arrow_table()

    def _view_sql(self, model: type[Row]) -> str:
        folder = self._table_folder(model).resolve()
        files = ", ".join(_quoted(str(folder / name)) for name in ("schema.parquet", _DAY_FILES))
        columns = ", ".join(f'"{name}"' for name in model.model_fields)
        if not self.days(model):  # a pattern without a file is an error in DuckDB
            files = _quoted(str(folder / "schema.parquet"))
        return (
            f'CREATE OR REPLACE VIEW "{model.table}" AS SELECT {columns} '
            f"FROM read_parquet([{files}], union_by_name = true, hive_partitioning = false)"
        )


@dataclass(frozen=True, slots=True)
class _ParquetChunk(StoredChunk):
    """One row group of a day's file, and the digest of the footer that says what is in the file."""

    path: Path
    model: type[Row]
    columns: tuple[str, ...]
    group: int
    footer: bytes

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._batches(self.columns):
            yield from batch.to_pylist()

    def column(self, name: str) -> list[Any]:
        """See `StoredChunk.column`."""
        return [value for batch in self._batches((name,)) for value in batch.column(name).to_pylist()]

    def _batches(self, columns: Sequence[str]) -> "Iterator[pa.RecordBatch]":
        import pyarrow.parquet as pq

        where = f"{self.model.table} ({self.path.stem})"
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            raise WarehouseError(
                f"{where}: the day is not there any more, or this worker does not see the folder of the tables; "
                "workers on other machines need it on a shared disk"
            ) from None
        with file:
            if _footer(file) != self.footer:
                raise WarehouseError(f"{where}: the day was replaced while it was read; run the day again")
            stored = pq.ParquetFile(file, pre_buffer=False)
            yield from _rows_of(stored, selected(self.model, columns), ROWS_AT_A_TIME, [self.group])


def _rows_of(
    file: "pq.ParquetFile", schema: "pa.Schema", size: int, groups: Iterable[int]
) -> "Iterator[pa.RecordBatch]":
    stored = set(file.schema_arrow.names)  # made anew each time it is asked for
    present = [name for name in schema.names if name in stored]
    for batch in file.iter_batches(batch_size=size, row_groups=list(groups), columns=present, use_threads=False):
        yield conformed(batch, schema)


def _footer(file: BinaryIO) -> bytes:
    """A digest of a Parquet file's footer (places, sizes and bounds of all columns), the same on every machine."""
    file.seek(-_FOOTER_END, os.SEEK_END)
    size = int.from_bytes(file.read(4), "little")
    file.seek(-_FOOTER_END - size, os.SEEK_END)
    digest = hashlib.blake2b(file.read(size), digest_size=16).digest()
    file.seek(0)
    return digest


def _models(zones: Sequence[Zone]) -> list[type[Row]]:
    return [model for model in TABLES.values() if model.zone in zones]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _refuse_writing(connection: "duckdb.DuckDBPyConnection", sql: str) -> None:
    """One statement that reads. The parser knows; words in a string or comment do not matter."""
    import duckdb

    statements = connection.extract_statements(sql)
    reads = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
    if len(statements) != 1 or statements[0].type not in reads:
        raise WarehouseError(
            "only one reading statement is allowed here (SELECT, WITH, FROM, DESCRIBE, SHOW, SUMMARIZE, EXPLAIN); "
            "tables are written by the assets alone"
        )


def _refusal(error: "duckdb.Error") -> WarehouseError:
    """DuckDB's words where they can only be about the statement; else its kind, since values may be quoted."""
    import duckdb

    about_sql = isinstance(error, duckdb.ParserException | duckdb.BinderException | duckdb.CatalogException)
    detail = str(error) if about_sql else type(error).__name__
    return WarehouseError(f"the query failed: {detail}")


# --- writing


def _write(path: Path, model: type[Row], day: date, rows: "Iterable[Row] | pa.Table | Iterable[pa.RecordBatch]") -> int:
    """Write checked row groups to `path`, synced to disk; returns the number of rows."""
    import pyarrow.parquet as pq

    count = 0
    with path.open("wb") as file:
        with pq.ParquetWriter(file, arrow_schema(model), compression="zstd") as writer:
            for batch in checked_batches(model, day, rows):
                writer.write_batch(batch)
                count += batch.num_rows
        file.flush()
        os.fsync(file.fileno())
    return count


def _write_schema(folder: Path, model: type[Row]) -> None:
    """The zero-row file, unless it is there in this form."""
    import pyarrow.parquet as pq

    schema, path = arrow_schema(model), folder / "schema.parquet"
    if path.exists() and pq.read_schema(path).equals(schema, check_metadata=True):
        return
    temporary = folder / f".tmp-{uuid.uuid4().hex}"
    pq.write_table(schema.empty_table(), temporary)
    temporary.replace(path)


def _remove_abandoned(folder: Path) -> None:
    """Remove what a process that died left behind."""
    for path in folder.glob(".tmp-*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()


def _sync(folder: Path) -> None:
    """Make renames and removals in the folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
