"""Door: the tables, remembered while one step reads them.

Put here: `RememberingWarehouse`. Not here: warehouses themselves (see `warehouse.py`, `bigquery.py`).

A step goes through its days in order, and each day looks back on weeks: without memory a run of a month would read the
same file thirty times and more.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

from signals_assets.resources.warehouse import ANALYST_ZONES, StoredChunk, Warehouse
from signals_assets.tables import Row
from signals_assets.zones import Zone

if TYPE_CHECKING:
    import pyarrow as pa

MOST_BYTES: Final = 256 * 2**20
"""What was asked for longest ago is forgotten above it; a window that is larger is read anew each time."""
_Key = tuple[str, tuple[str, ...] | None, date]


class RememberingWarehouse(Warehouse):
    """A warehouse that reads each day of a table once, for the time of one step.

    Days that this object writes are read anew; what others write meanwhile is not seen, so a step sees one state.
    Streams and queries are not remembered.
    """

    def __init__(self, inner: Warehouse, most_bytes: int = MOST_BYTES) -> None:
        """`most_bytes`: size of what is kept in memory."""
        self._inner, self._most = inner, most_bytes
        self._kept: OrderedDict[_Key, pa.Table] = OrderedDict()
        self._size = 0

    def read(self, model: type[Row], days: Sequence[date] | date, columns: Sequence[str] | None = None) -> "pa.Table":
        """See `Warehouse.read`; days that are not remembered are read in one go."""
        import pyarrow as pa

        wanted = [days] if isinstance(days, date) else sorted(set(days))
        names = None if columns is None else tuple(columns)
        here = {day: self._kept[key] for day in wanted if (key := (model.table, names, day)) in self._kept}
        new = [day for day in wanted if day not in here]
        here |= self._read(model, new, names)
        for day in wanted:
            self._remember((model.table, names, day), here[day])
        return pa.concat_tables([here[day] for day in wanted]) if wanted else self._inner.read(model, [], columns)

    def _read(self, model: type[Row], days: list[date], names: tuple[str, ...] | None) -> "dict[date, pa.Table]":
        """Each of the days by itself; one that is not stored has no rows."""
        import numpy as np

        if not days:
            return {}
        asked = names if names is None or "day" in names else (*names, "day")
        table = self._inner.read(model, days, asked)
        stored = table.column("day").to_numpy().astype("datetime64[D]")
        ends = np.searchsorted(stored, np.array(days, dtype="datetime64[D]"), side="right").tolist()
        table = table if names is None else table.select(list(names))
        return {day: table.slice(start, end - start) for day, start, end in zip(days, [0, *ends], ends, strict=False)}

    def _remember(self, key: _Key, table: "pa.Table") -> None:
        if key not in self._kept:
            self._size += table.nbytes
            self._kept[key] = table
        self._kept.move_to_end(key)
        while self._size > self._most:
            _, gone = self._kept.popitem(last=False)
            self._size -= gone.nbytes

    def _forget(self, model: type[Row], days: Iterable[date]) -> None:
        gone = {(model.table, day) for day in days}
        for key in [key for key in self._kept if (key[0], key[2]) in gone]:
            self._size -= self._kept.pop(key).nbytes

    def replace(self, model: type[Row], day: date, rows: "Iterable[Row] | pa.Table | Iterable[pa.RecordBatch]") -> int:
        """See `Warehouse.replace`."""
        self._forget(model, [day])
        return self._inner.replace(model, day, rows)

    def rewrite(self, model: type[Row], day: date, change: "Callable[[pa.RecordBatch], pa.RecordBatch]") -> int:
        """See `Warehouse.rewrite`."""
        self._forget(model, [day])
        return self._inner.rewrite(model, day, change)

    def delete_days(self, model: type[Row], days: Sequence[date]) -> int:
        """See `Warehouse.delete_days`."""
        self._forget(model, days)
        return self._inner.delete_days(model, days)

    def days(self, model: type[Row]) -> list[date]:
        """See `Warehouse.days`; never remembered."""
        return self._inner.days(model)

    def stream(
        self, model: type[Row], day: date, columns: Sequence[str] | None = None, rows_per_batch: int = 64
    ) -> "Iterator[pa.RecordBatch]":
        """See `Warehouse.stream`."""
        return self._inner.stream(model, day, columns, rows_per_batch)

    def chunks(self, model: type[Row], day: date, columns: Sequence[str] | None = None) -> Iterator[StoredChunk]:
        """See `Warehouse.chunks`."""
        return self._inner.chunks(model, day, columns)

    def query(self, sql: str, parameters: Sequence[object] = (), zones: Sequence[Zone] = ANALYST_ZONES) -> "pa.Table":
        """See `Warehouse.query`."""
        return self._inner.query(sql, parameters, zones)

    def written_on(self, model: type[Row], day: date) -> date | None:
        """See `Warehouse.written_on`."""
        return self._inner.written_on(model, day)

    def limited_to(self, zones: Sequence[Zone]) -> "RememberingWarehouse":
        """See `Warehouse.limited_to`; remembers by itself."""
        return RememberingWarehouse(self._inner.limited_to(zones), self._most)

    def check(self) -> str:
        """See `Warehouse.check`."""
        return self._inner.check()
