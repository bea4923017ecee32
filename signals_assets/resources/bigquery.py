"""Door: the tables, in BigQuery.

Put here: `BigQueryWarehouse`. Not here: the connection (see `bigquery_connection.py`), names and shapes of tables (see
`bigquery_layout.py`), the words of a person's query (see `bigquery_sql.py`).

A day is one partition, and a write of it one load job with WRITE_TRUNCATE into `table$YYYYMMDD`: it happens as a whole
or not at all. Loads are safe to repeat and never out of order: a job's id is made of the table, the day and the write
that is stored there now, so of all who would take the same next step one job gets the id. The others are told that it
exists, wait for it, and go on from what it stored: a job that a process started before it died cannot come late over
something newer. `stored_as` in the rows says which write is there.

Nothing is kept on disk but one unnamed temporary file of a day in the restricted folder, which ends with its process.
"""

import contextlib
import copy
import hashlib
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any, Final, cast

import pyarrow as pa
import pyarrow.parquet as pq
from google.api_core import exceptions as google
from google.cloud import bigquery as bq

from signals_assets.resources.bigquery_connection import (
    APPLICATION,
    PASSING,
    TIMEOUT_SECONDS,
    TROUBLE,
    BigQueryJobs,
    batches,
    passes,
    refusal,
    refused,
    whole,
)
from signals_assets.resources.bigquery_layout import (
    EMPTY_DAYS,
    OWN_FIELDS,
    Layout,
    needs_filter,
    renewed,
    sql_type,
)
from signals_assets.resources.bigquery_sql import as_parameters, translated
from signals_assets.resources.stored_rows import (
    WarehouseError,
    checked_batches,
    conformed,
    refuse_new_text,
    rows_changed,
    selected,
)
from signals_assets.resources.warehouse import ANALYST_ZONES, Warehouse
from signals_assets.tables import TABLES, Row, arrow_schema
from signals_assets.zones import ZONES, Zone

_MULTIPART: Final = 8 * 2**20
"""A file up to this size goes in one request; a larger one in parts that are sent again one by one."""
_STEPS: Final = 50
"""Turns that a write takes at most before it gives up: each means that another writer was faster."""
_SPOOL_MODE: Final = 0o700


@dataclass(frozen=True, slots=True)
class _State:
    """What is stored of a day: when and by which write, and whether it has rows."""

    stored_on: date
    stored_as: str
    filled: bool


@dataclass(slots=True)
class _Spooled:
    """A day on its way: a Parquet file with the store's own columns, its rows and which write it is."""

    file: IO[bytes]
    rows: int
    stored_on: date
    stored_as: str


@dataclass(slots=True)
class _Known:
    """What this process knows of the project, shared by limited copies of a warehouse."""

    ready: set[type[Row]] = field(default_factory=set)
    columns: dict[type[Row], list[bq.SchemaField]] = field(default_factory=dict)
    zones: set[Zone] = field(default_factory=set)


class BigQueryWarehouse(Warehouse):
    """Tables in three datasets of a project. Datasets and tables are made at the first write."""

    def __init__(self, jobs: BigQueryJobs, layout: Layout, spool: Path, zones: Sequence[Zone] | None = None) -> None:
        """Nothing is asked yet. `spool`: folder of the restricted zone for a day on its way."""
        self.jobs, self.layout, self.spool = jobs, layout, spool
        self.zones: tuple[Zone, ...] = ZONES if zones is None else tuple(zones)
        self._known = _Known()

    def __repr__(self) -> str:
        return f"BigQueryWarehouse({self.layout.project!r}, {self.layout.prefix!r}, zones={self.zones!r})"

    # --- writing --------------------------------------------------------------------------------------------------

    def replace(self, model: type[Row], day: date, rows: "Iterable[Row] | pa.Table | Iterable[pa.RecordBatch]") -> int:
        """See `Warehouse.replace`. Also refuses a key that occurs twice (about 100 bytes of memory a row)."""
        self._refuse_zone(model, f" ({day})", "write")
        with self._temporary() as file:
            self._make(model)
            found = self._spooled(file, model, checked_batches(model, day, rows), _today())
            for _ in range(_STEPS):
                if self._stored(model, day, found, self._state(model, day)):
                    return found.rows
        raise WarehouseError(f"{model.table} ({day}): other writers were faster {_STEPS} times; old rows are kept")

    def rewrite(self, model: type[Row], day: date, change: "Callable[[pa.RecordBatch], pa.RecordBatch]") -> int:
        """See `Warehouse.rewrite`. Where another writer was faster, the change is made anew on what it stored."""
        self._refuse_zone(model, f" ({day})", "change rows of")
        for _ in range(_STEPS):
            state = self._state(model, day)
            if state is None:
                return 0
            with self._temporary() as file:
                changed, found = self._changed(model, day, state, change, file)
                if not changed or self._stored(model, day, found, state):
                    return changed
        raise WarehouseError(f"{model.table} ({day}): other writers were faster {_STEPS} times; the day is kept")

    def delete_days(self, model: type[Row], days: Sequence[date]) -> int:
        """See `Warehouse.delete_days`; a day goes with its partition, then from the list of empty ones."""
        self._refuse_zone(model, "", "delete days of")
        going = sorted(set(days) & set(self.days(model)))
        if not going:
            return 0
        where = f"{model.table} ({going[0]} to {going[-1]})"
        for day in going:
            self.jobs.call(where, self.jobs.client.delete_table, self._partition(model, day), not_found_ok=True)
        self._ask(
            where,
            f"DELETE FROM `{self.layout.path(model.zone, EMPTY_DAYS)}` WHERE table_name = @table AND {_in(going)}",
            bq.ScalarQueryParameter("table", "STRING", model.table),
        )
        return len(going)

    def set_up(self) -> list[str]:
        """Make every dataset, table and view that is not there, and set who may read; returns the datasets' names.

        May be repeated. The account must own the project's datasets or may create them.
        """
        client, call = self.jobs.client, self.jobs.call
        for dataset in self.layout.datasets():
            made = call(dataset.dataset_id, client.create_dataset, dataset, exists_ok=True)
            made.access_entries = dataset.access_entries
            call(dataset.dataset_id, client.update_dataset, made, ["access_entries"])
        for model in TABLES.values():
            self._make(model)
        for view in self.layout.views():
            call(view.table_id, client.create_table, view, exists_ok=True)
            call(view.table_id, client.update_table, view, ["view_query", "description", "labels"])
        for name, views in self.layout.authorised().items():
            dataset = call(name, client.get_dataset, f"{self.layout.project}.{name}")
            reading = [bq.AccessEntry(None, "view", view.reference.to_api_repr()) for view in views]
            dataset.access_entries = [*dataset.access_entries, *reading]
            call(name, client.update_dataset, dataset, ["access_entries"])
        return [dataset.dataset_id for dataset in self.layout.datasets()]

    # --- reading --------------------------------------------------------------------------------------------------

    def days(self, model: type[Row]) -> list[date]:
        """See `Warehouse.days`: partitions that have rows, and the days that are stored without."""
        return sorted(day for _, day in self._listed(model.zone, model.table))

    def read(self, model: type[Row], days: Sequence[date] | date, columns: Sequence[str] | None = None) -> "pa.Table":
        """See `Warehouse.read`; days come in ascending order, each once."""
        schema = selected(model, columns)
        wanted = [days] if isinstance(days, date) else sorted(set(days))
        found = list(self._rows(model, wanted, schema)) if wanted else []
        return pa.Table.from_batches(found, schema=schema)

    def stream(
        self, model: type[Row], day: date, columns: Sequence[str] | None = None, rows_per_batch: int = 64
    ) -> "Iterator[pa.RecordBatch]":
        """See `Warehouse.stream`; holds a page of the answer (10 MB) at a time. The answer is of one moment."""
        return _rebatched(self._rows(model, [day], selected(model, columns)), rows_per_batch)

    def query(self, sql: str, parameters: Sequence[object] = (), zones: Sequence[Zone] = ANALYST_ZONES) -> "pa.Table":
        """See `Warehouse.query`; one statement in DuckDB's SQL, translated (see `bigquery_sql.py`)."""
        names = {model.table for model in TABLES.values() if model.zone in zones}
        asked = translated(sql, names, lambda name: self._shown(TABLES[name]))
        given, labels = as_parameters(parameters), {"verb": "query"}
        self.jobs.refuse_wrong("the query", asked, given, labels)
        return whole(self.jobs.query("the query", asked, given, labels), self.jobs.storage, "the query")

    def written_on(self, model: type[Row], day: date) -> date | None:
        """See `Warehouse.written_on`."""
        state = self._state(model, day)
        return None if state is None else state.stored_on

    def limited_to(self, zones: Sequence[Zone]) -> "BigQueryWarehouse":
        """See `Warehouse.limited_to`; never widens an earlier limit."""
        limited = copy.copy(self)
        limited.zones = tuple(zone for zone in zones if zone in self.zones)
        return limited

    def check(self) -> str:
        """Lists the stored days of every zone that may be written."""
        stored = {(name, day) for zone in self.zones for name, day in self._listed(zone)}
        tables = {name for name, _ in stored} & set(TABLES)
        days = sum(name in tables for name, _ in stored)
        return f"BigQuery, project {self.layout.project}: {len(tables)} tables, {days} table days"

    # --- one write ------------------------------------------------------------------------------------------------

    def _stored(self, model: type[Row], day: date, found: _Spooled, before: _State | None) -> bool:
        """One step from what is stored to what was found; False where another writer took it.

        The step's job id depends on what is stored before it. An id is used up by a job that failed, and by one whose
        rows were deleted since: then the next one is tried.
        """
        where = f"{model.table} ({day})"
        if not found.rows:
            self._note_empty(model, day, found)
        pauses = self.jobs.pauses()
        next(pauses)
        for turn in range(_STEPS):
            job = self._job(model, day, before, turn, found)
            ours, failed = job.labels.get("write") == found.stored_as, job.error_result
            if ours and not failed:
                return True
            if ours and failed and (failed["reason"] not in PASSING or not next(pauses, False)):
                raise refused(where, failed["reason"])
            if not failed and self._state(model, day) != before:
                return False
        raise WarehouseError(f"{where}: {_STEPS} jobs stand where this one belongs; old rows are kept")

    def _job(self, model: type[Row], day: date, before: _State | None, turn: int, found: _Spooled) -> bq.LoadJob:
        """The finished job of a step: found where it was started already, else started now."""
        where = f"{model.table} ({day})"
        step = f"{self.layout.name(model)}|{day}|{before.stored_as if before else ''}|{turn}"
        name = f"signals_{model.table}_{day:%Y%m%d}_{hashlib.sha256(step.encode()).hexdigest()[:24]}"
        try:
            job = self._known_job(where, name)
        except google.NotFound:
            job = self._load(where, model, day, name, found)
        return self._finished(where, job)

    def _known_job(self, where: str, name: str) -> bq.LoadJob:
        return cast("bq.LoadJob", self.jobs.call(where, self.jobs.client.get_job, name, location=self.layout.location))

    def _load(self, where: str, model: type[Row], day: date, name: str, found: _Spooled) -> bq.LoadJob:
        """Send the file. An answer that was lost is no matter: the id says whether the job is there."""
        parquet = bq.ParquetOptions()  # type: ignore[no-untyped-call]
        parquet.enable_list_inference = True
        config = bq.LoadJobConfig(
            source_format=bq.SourceFormat.PARQUET,
            write_disposition=bq.WriteDisposition.WRITE_TRUNCATE,
            create_disposition=bq.CreateDisposition.CREATE_NEVER,
            schema=self._known.columns[model],
            labels={**APPLICATION, "verb": "write", "table": model.table, "write": found.stored_as},
        )
        config.parquet_options = parquet
        found.file.seek(0, 2)
        size = found.file.tell()
        problem: Exception | None = None
        for _ in self.jobs.pauses():
            try:
                return self.jobs.client.load_table_from_file(
                    found.file,
                    self._partition(model, day),
                    rewind=True,
                    size=size if size <= _MULTIPART else None,
                    num_retries=0,
                    job_id=name,
                    location=self.layout.location,
                    job_config=config,
                    timeout=TIMEOUT_SECONDS,
                )
            except google.Conflict as error:
                problem = error
                with contextlib.suppress(google.NotFound):  # a new job is not always shown at once
                    return self._known_job(where, name)
            except TROUBLE as error:
                problem = error
                if not passes(error):
                    break
        raise refusal(where, problem or RuntimeError()) from None

    def _finished(self, where: str, job: bq.LoadJob) -> bq.LoadJob:
        """The job when it is done, however it ended."""
        try:
            job.result(retry=self.jobs.retry)
        except TROUBLE as error:
            if job.state != "DONE":
                raise refusal(where, error) from None
        return job

    def _changed(
        self,
        model: type[Row],
        day: date,
        state: _State,
        change: "Callable[[pa.RecordBatch], pa.RecordBatch]",
        file: IO[bytes],
    ) -> tuple[int, _Spooled]:
        """How many stored rows go or differ after a change, and the rows as they are then."""
        self._make(model)
        changed, schema = 0, arrow_schema(model)

        def after() -> "Iterator[pa.RecordBatch]":
            nonlocal changed
            for batch in self._rows(model, [day], schema, f"stored_as = '{state.stored_as}'"):
                left = change(batch)
                refuse_new_text(model, day, batch, left)
                changed += rows_changed(batch, left)
                yield conformed(left, schema)

        found = self._spooled(file, model, after(), state.stored_on)
        return changed, found

    def _spooled(
        self, file: IO[bytes], model: type[Row], rows: "Iterable[pa.RecordBatch]", stored_on: date
    ) -> _Spooled:
        """Rows in a Parquet file as the table has them, with the store's own columns."""
        modes = {one.name: one.mode for one in self._known.columns[model]}
        schema = pa.schema(
            [
                one.with_nullable(modes[one.name] == "NULLABLE") if modes[one.name] != "REPEATED" else one
                for one in (*arrow_schema(model), *OWN_FIELDS)
            ]
        )
        count, stored_as = 0, uuid.uuid4().hex
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in rows:
                size = batch.num_rows
                own = [
                    pa.array(range(count, count + size), pa.int64()),
                    pa.repeat(pa.scalar(stored_on, pa.date32()), size),
                    pa.repeat(pa.scalar(stored_as), size),
                ]
                writer.write_batch(pa.RecordBatch.from_arrays([*batch.columns, *own], schema=schema))
                count += size
        return _Spooled(file, count, stored_on, stored_as)

    def _note_empty(self, model: type[Row], day: date, found: _Spooled) -> None:
        """Before the rows go, so that the day is stored all the time."""
        self._ask(
            f"{model.table} ({day})",
            f"INSERT INTO `{self.layout.path(model.zone, EMPTY_DAYS)}` (table_name, day, stored_on, stored_as) "
            "VALUES (@table, @day, @stored_on, @stored_as)",
            bq.ScalarQueryParameter("table", "STRING", model.table),
            bq.ScalarQueryParameter("day", "DATE", day),
            bq.ScalarQueryParameter("stored_on", "DATE", found.stored_on),
            bq.ScalarQueryParameter("stored_as", "STRING", found.stored_as),
        )

    # --- what is stored -------------------------------------------------------------------------------------------

    def _state(self, model: type[Row], day: date) -> _State | None:
        """What is stored of a day now; its rows come before an older note that it had none."""
        try:
            found = self._ask(
                f"{model.table} ({day})",
                "SELECT MAX(stored_on) AS stored_on, MAX(stored_as) AS stored_as, COUNT(*) AS held "
                f"FROM `{self.layout.name(model)}` WHERE {_in([day])} UNION ALL "
                f"SELECT stored_on, stored_as, 0 AS held FROM `{self.layout.path(model.zone, EMPTY_DAYS)}` "
                f"WHERE table_name = @table AND {_in([day])}",
                bq.ScalarQueryParameter("table", "STRING", model.table),
            )
        except google.NotFound:
            return None
        states = [(row["held"] > 0, row["stored_on"], row["stored_as"]) for row in found if row["stored_on"]]
        if not states:
            return None
        filled, stored_on, stored_as = max(states)
        return _State(stored_on, stored_as, filled)

    def _listed(self, zone: Zone, table: str | None = None) -> set[tuple[str, date]]:
        """Tables and their stored days."""
        dataset = f"{self.layout.project}.{self.layout.dataset(zone)}"
        only = " AND table_name = @table" if table else ""
        given = [bq.ScalarQueryParameter("table", "STRING", table)] if table else []
        try:
            found = self._ask(
                f"days of {table or zone}",
                "SELECT table_name, partition_id, CAST(NULL AS DATE) AS day "
                f"FROM `{dataset}.INFORMATION_SCHEMA.PARTITIONS` WHERE total_rows > 0{only} UNION ALL "
                f"SELECT table_name, CAST(NULL AS STRING) AS partition_id, day FROM `{dataset}.{EMPTY_DAYS}` "
                f"WHERE day IS NOT NULL{only}",
                *given,
            )
        except google.NotFound:
            return set()
        return {
            (row["table_name"], row["day"] or datetime.strptime(row["partition_id"], "%Y%m%d").date())  # noqa: DTZ007
            for row in found
            if row["day"] or (row["partition_id"] or "").isdigit()
        }

    def _rows(
        self, model: type[Row], days: Sequence[date], schema: "pa.Schema", only: str = ""
    ) -> "Iterator[pa.RecordBatch]":
        """Rows of days in stored order, with the schema's columns; those that the table lacks are null."""
        where = f"{model.table} ({days[0]}{f' to {days[-1]}' if len(days) > 1 else ''})"
        stored = {one.name for one in self._columns(model) or ()}
        names = [f"`{name}`" for name in schema.names if name in stored] or ["stored_order"]
        if not stored:
            return
        try:
            found = self._ask(
                where,
                f"SELECT {', '.join(names)} FROM `{self.layout.name(model)}` "
                f"WHERE {_in(days)}{f' AND {only}' if only else ''} ORDER BY day, stored_order",
            )
        except google.NotFound:
            return
        for batch in batches(found, self.jobs.storage, where):
            yield conformed(batch, schema)

    def _shown(self, model: type[Row]) -> str:
        """The query that stands for a table in a person's query: its model's columns, and nothing else."""
        stored = {one.name for one in self._columns(model) or ()}
        columns = ", ".join(
            f"`{one.name}`" if one.name in stored else f"CAST(NULL AS {sql_type(one.type)}) AS `{one.name}`"
            for one in arrow_schema(model)
        )
        if not stored:
            return f"SELECT {columns} FROM (SELECT 1 AS one) AS nothing WHERE one = 0"
        every = " WHERE day >= DATE '0001-01-01'" if needs_filter(model) else ""
        return f"SELECT {columns} FROM `{self.layout.name(model)}`{every}"

    def _ask(self, where: str, sql: str, *parameters: Any) -> Any:
        """The rows of a statement of our own. `NotFound` passes: what is not made yet holds nothing."""
        return self.jobs.query(where, sql, parameters, {"verb": "read"})

    # --- tables ---------------------------------------------------------------------------------------------------

    def _columns(self, model: type[Row]) -> list[bq.SchemaField] | None:
        """The table's columns, None where there is no table; asked again until it has all that the model has."""
        if model not in self._known.columns:
            try:
                table = self.jobs.call(model.table, self.jobs.client.get_table, self.layout.name(model))
            except google.NotFound:
                return None
            if renewed(table.schema, self.layout.table(model).schema):
                return list(table.schema)
            self._known.columns[model] = list(table.schema)
        return self._known.columns[model]

    def _make(self, model: type[Row]) -> None:
        """The model's table as it should be, made or with columns added; asked for once in a process."""
        if model in self._known.ready:
            return
        client, call, name = self.jobs.client, self.jobs.call, self.layout.name(model)
        self._make_zone(model.zone)
        for _ in range(_STEPS):
            try:
                table = call(name, client.get_table, name)
            except google.NotFound:
                table = call(name, client.create_table, self.layout.table(model), exists_ok=True)
            changed = renewed(table.schema, self.layout.table(model).schema)
            if changed is None:
                break
            table.schema = changed
            try:
                client.update_table(table, ["schema"], retry=self.jobs.retry)
            except google.PreconditionFailed:  # another process was faster: look again
                continue
            except TROUBLE as error:
                raise refusal(name, error) from None
        self._known.columns[model] = list(table.schema)
        self._known.ready.add(model)

    def _make_zone(self, zone: Zone) -> None:
        if zone in self._known.zones:
            return
        client, call, note = self.jobs.client, self.jobs.call, self.layout.empty_days(zone)
        try:
            call(zone, client.get_table, note.reference)
        except google.NotFound:
            [dataset] = [one for one in self.layout.datasets() if one.dataset_id == self.layout.dataset(zone)]
            call(zone, client.create_dataset, dataset, exists_ok=True)
            call(zone, client.create_table, note, exists_ok=True)
        self._known.zones.add(zone)

    def _partition(self, model: type[Row], day: date) -> str:
        return f"{self.layout.name(model)}${day:%Y%m%d}"

    def _temporary(self) -> IO[bytes]:
        """A file without a name: nothing of a day is left by a process that dies."""
        self.spool.mkdir(parents=True, exist_ok=True, mode=_SPOOL_MODE)
        return tempfile.TemporaryFile(dir=self.spool)

    def _refuse_zone(self, model: type[Row], day: str, what: str) -> None:
        if model.zone not in self.zones:
            raise WarehouseError(
                f"{model.table}{day}: this door may {what} {', '.join(self.zones) or 'no zone'} only, and the table "
                f"is {model.zone}"
            )


def _in(days: Sequence[date]) -> str:
    """A filter that names days one by one: BigQuery then reads their partitions and no others."""
    listed = ", ".join(f"DATE '{day.isoformat()}'" for day in days)
    return f"day IN ({listed})"


def _rebatched(found: "Iterable[pa.RecordBatch]", size: int) -> "Iterator[pa.RecordBatch]":
    """The same rows in batches of so many rows; the last may have fewer."""
    held: pa.Table | None = None
    for batch in found:
        table = pa.Table.from_batches([batch])
        held = table if held is None else pa.concat_tables([held, table])
        whole = held.num_rows - held.num_rows % size
        for start in range(0, whole, size):
            yield held.slice(start, size).combine_chunks().to_batches()[0]
        held = held.slice(whole)
    if held is not None and held.num_rows:
        yield held.combine_chunks().to_batches()[0]


def _today() -> date:
    return datetime.now(UTC).date()
