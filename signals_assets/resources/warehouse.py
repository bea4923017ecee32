"""Door: the tables.

Put here: `Warehouse` and the embedded implementation (Parquet files with DuckDB views).
Not here: row models (see `tables.py`), what rows mean (see `core/`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

from signals_assets.tables import Row
from signals_assets.zones import Zone

if TYPE_CHECKING:
    import pyarrow as pa


class Warehouse(ABC):
    """Tables in, tables out: whole days, atomically, by column name."""

    @abstractmethod
    def replace(self, model: type[Row], day: date, rows: "Iterable[Row] | pa.Table | Iterable[pa.RecordBatch]") -> int:
        """Replace the day's rows in one atomic step and return their number.

        Zero rows clear the day and leave it stored (materialized, empty). Columns go by name; a missing
        non-nullable column, a foreign column or a row of another day raises `WarehouseError` and keeps the old
        rows. Rows are streamed: iterables are consumed once, in bounded memory.
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

    @abstractmethod
    def query(self, sql: str, parameters: Sequence[object] = ()) -> "pa.Table":
        """A read-only query over views named like the tables. Raises `WarehouseError` for anything that writes."""

    @abstractmethod
    def delete_days(self, model: type[Row], days: Sequence[date]) -> int:
        """Remove stored days (retention, erasure) and return how many there were."""

    @abstractmethod
    def limited_to(self, zones: Sequence[Zone]) -> "Warehouse":
        """The same warehouse, refusing to write tables of other zones with `WarehouseError`."""


class WarehouseError(RuntimeError):
    """A refusal by the warehouse: names table, day and what to do; holds no row content."""
