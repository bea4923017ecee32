"""Rows on their way into a warehouse and out of it: what every implementation checks in the same way.

Put here: `checked_batches` (the contract of a write), rows that wait on disk until they are written, rows as dicts a
few at a time, conforming to a model's schema, what a rewrite may do.
Not here: where rows are stored (see `warehouse.py`, `bigquery.py`), row models (see `tables.py`).
"""

import contextlib
import hashlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from signals_assets.resources.folders import private_folder
from signals_assets.tables import Row, admitted_columns, arrow_schema, to_arrow

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS: Final = 8_192
GROUP_BYTES: Final = 8 * 2**20
"""A row group holds at most so much: bounds the memory of writers and of streaming readers (sessions are big)."""
DICT_ROWS: Final = 1_024
"""Rows that are Python objects at a time: dicts of a table, or models on their way into one."""


class WarehouseError(RuntimeError):
    """A refusal by the warehouse: names table, day and what to do; holds no row content."""


def checked_batches(
    model: type[Row], day: date, rows: "Iterable[Row] | pa.Table | Iterable[pa.RecordBatch]"
) -> "Iterator[pa.RecordBatch]":
    """The rows of a day in batches that fit a row group, with the model's schema.

    Raises `WarehouseError` (without any value in it) for a missing non-nullable column, a foreign column, another
    type, a null, a row of another day, a key that occurs twice, and text that the barrier did not admit. Needs about
    100 bytes of memory a row, for the keys.
    """
    where, schema = f"{model.table} ({day})", arrow_schema(model)
    keys = _Keys(model, where)
    for batch in _as_batches(model, rows, where):
        checked = _checked(batch, model, schema, day, where)
        keys.add(checked)
        yield checked


class SpooledRows:
    """Rows of one model that wait in a file without a name until `replace` takes them, once, in place of the rows.

    For a pass that makes several tables: each is written when the pass has ended well, and none is in memory till then.
    Arrow cannot show who admitted its text, so nothing comes out that `add` did not check as `replace` checks rows.
    """

    def __init__(self, model: type[Row], folder: Path) -> None:
        """`folder`: of the restricted zone, made where it is not there."""
        import pyarrow as pa

        self.model = model
        self._file = tempfile.TemporaryFile(dir=private_folder(folder))  # noqa: SIM115 - `close` closes it
        self._writer = pa.ipc.new_stream(self._file, arrow_schema(model))

    def add(self, rows: Iterable[Row]) -> None:
        """Rows behind those that were added before. Raises `WarehouseError` as `Warehouse.replace` does."""
        for batch in _row_batches(self.model, rows, self.model.table):
            self._writer.write_batch(batch)

    def __iter__(self) -> "Iterator[pa.RecordBatch]":
        """What was added, in batches that fit a row group whatever the sizes of the additions were."""
        import pyarrow as pa

        self._writer.close()
        self._file.seek(0)
        waiting: list[pa.RecordBatch] = []
        for batch in pa.ipc.open_stream(self._file):
            waiting.append(batch)
            if sum(one.num_rows for one in waiting) >= GROUP_ROWS:
                *whole, rest = _cut(pa.Table.from_batches(waiting).combine_chunks())
                yield from whole
                waiting = [rest]
        if waiting:
            yield from _cut(pa.Table.from_batches(waiting).combine_chunks())

    def close(self) -> None:
        """The file is gone with this, or with the process."""
        self._file.close()


@contextlib.contextmanager
def spooled(folder: Path, *models: type[Row]) -> Iterator[list[SpooledRows]]:
    """A spool for each of the models, in their order, until the block ends."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(SpooledRows(model, folder))) for model in models]


def row_by_row(table: "pa.Table") -> Iterator[dict[str, Any]]:
    """The rows as dicts, of which a few are there at a time: a row as a dict is ten times what it is as columns."""
    for batch in table.to_batches(max_chunksize=DICT_ROWS):
        yield from batch.to_pylist()


def selected(model: type[Row], columns: Sequence[str] | None) -> "pa.Schema":
    """The schema of a model's columns in the order asked for (all where None); raises for one that it does not have."""
    import pyarrow as pa

    schema = arrow_schema(model)
    if columns is None:
        return schema
    foreign = sorted(set(columns) - set(schema.names))
    if foreign:
        raise WarehouseError(f"{model.table} has no column {', '.join(foreign)}; see its row model in tables.py")
    return pa.schema([schema.field(name) for name in columns])


def conformed(batch: "pa.RecordBatch", schema: "pa.Schema") -> "pa.RecordBatch":
    """The batch with exactly the schema's columns: others dropped, missing ones null, types cast safely."""
    import pyarrow as pa

    columns = [
        batch.column(field.name).cast(field.type)
        if field.name in batch.schema.names
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def refuse_new_text(model: type[Row], day: date, before: "pa.RecordBatch", after: "pa.RecordBatch") -> None:
    """A change of stored rows may take admitted text away; only the barrier makes more of it."""
    for name in admitted_columns(model):
        if name in after.schema.names and not _texts(after, name) <= _texts(before, name):
            raise WarehouseError(
                f"{model.table} ({day}): a change would put text into {name} that was not stored there; the day is kept"
            )


def _texts(batch: "pa.RecordBatch", name: str) -> set[str]:
    if name not in batch.schema.names:
        return set()
    values = batch.column(name).to_pylist()
    return {text for value in values for text in (value if isinstance(value, list) else (value,)) if text is not None}


def rows_changed(before: "pa.RecordBatch", after: "pa.RecordBatch") -> int:
    """Rows that are gone, or else differ."""
    if before.num_rows != after.num_rows:
        return int(before.num_rows - after.num_rows)
    if before.equals(after):
        return 0
    return sum(not before.slice(row, 1).equals(after.slice(row, 1)) for row in range(before.num_rows))


def _as_batches(
    model: type[Row], rows: "Iterable[Row] | pa.Table | Iterable[pa.RecordBatch]", where: str
) -> "Iterator[pa.RecordBatch]":
    """Whatever came as record batches that fit a row group."""
    import pyarrow as pa

    if isinstance(rows, SpooledRows):
        if rows.model is not model:
            raise WarehouseError(f"{where}: got a spool of {rows.model.__name__}, not {model.__name__}")
        yield from rows
        return
    if isinstance(rows, pa.Table):
        _refuse_arrow(model, where)
        yield from _cut(rows)
        return
    stream = iter(rows)
    first = next(stream, None)
    if first is None:
        return
    every = itertools.chain([first], stream)
    if isinstance(first, pa.RecordBatch):
        _refuse_arrow(model, where)
        for batch in every:
            yield from _cut(pa.Table.from_batches([batch]))
        return
    yield from _row_batches(model, every, where)


def _row_batches(model: type[Row], rows: Iterable[Any], where: str) -> "Iterator[pa.RecordBatch]":
    """Rows of the model as record batches; refuses others, and text that the barrier did not admit."""
    import pyarrow as pa

    parts: list[pa.Table] = []
    for part, last in _parts(model, rows, where):
        try:
            parts.append(to_arrow(model, part))
        except (TypeError, pa.ArrowInvalid):  # Arrow's words quote the value
            raise WarehouseError(
                f"{where}: a row was built past the validation of {model.__name__}, or holds text that the barrier "
                "did not admit; old rows are kept"
            ) from None
        if last:
            yield from pa.concat_tables(parts).combine_chunks().to_batches()
            parts = []


def _refuse_arrow(model: type[Row], where: str) -> None:
    """Arrow knows no `Abstracted`: text in it could be anybody's."""
    if model.zone == "abstracted" or admitted_columns(model):
        raise WarehouseError(
            f"{where}: takes rows of {model.__name__} only, since Arrow tables cannot show that the barrier admitted "
            "their text; old rows are kept"
        )


def _cut(table: "pa.Table") -> "Iterator[pa.RecordBatch]":
    bytes_per_row = max(1, table.nbytes // max(1, table.num_rows))
    yield from table.to_batches(max_chunksize=max(1, min(GROUP_ROWS, GROUP_BYTES // bytes_per_row)))


def _parts(model: type[Row], rows: Iterable[Any], where: str) -> Iterator[tuple[list[Row], bool]]:
    """Rows in lists of at most `DICT_ROWS`, and whether the list ends a row group; refuses what is not of the model.

    A row of Python takes several times what it takes in columns (a vector eight times), so few of them wait as such.
    """
    part: list[Row] = []
    count = size = 0
    for row in rows:
        if type(row) is not model:
            raise WarehouseError(f"{where}: got {type(row).__name__}, not {model.__name__}; old rows are kept")
        part.append(row)
        count += 1
        size += sum(len(value) for value in row.__dict__.values() if isinstance(value, str))
        full = count >= GROUP_ROWS or size >= GROUP_BYTES
        if full or len(part) >= DICT_ROWS:
            yield part, full
            part = []
        if full:
            count = size = 0
    if count:
        yield part, True


def _checked(batch: "pa.RecordBatch", model: type[Row], schema: "pa.Schema", day: date, where: str) -> "pa.RecordBatch":
    """The batch with the model's schema, or `WarehouseError` (without any value in it)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    given = batch.schema.names
    foreign = sorted(set(given) - set(schema.names))
    missing = sorted(field.name for field in schema if not field.nullable and field.name not in given)
    if foreign or missing or len(set(given)) != len(given):
        raise WarehouseError(
            f"{where}: foreign columns {foreign or 'none'}, missing columns {missing or 'none'}; columns are those of "
            f"{model.__name__} in tables.py, each once; old rows are kept"
        )
    try:
        found = conformed(batch, schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        raise WarehouseError(
            f"{where}: a column does not have the type of {model.__name__} in tables.py; old rows are kept"
        ) from None
    empty = [field.name for field in schema if not field.nullable and found.column(field.name).null_count]
    if empty:
        raise WarehouseError(f"{where}: nulls in {', '.join(empty)}, which may not be null; old rows are kept")
    if found.num_rows and not pc.all(pc.equal(found.column("day"), pa.scalar(day, pa.date32()))).as_py():
        raise WarehouseError(f"{where}: rows of another day; write each day by itself; old rows are kept")
    return found


class _Keys:
    """Remembers a short digest of every key written, to refuse the second."""

    def __init__(self, model: type[Row], where: str) -> None:
        self._columns, self._where = list(model.key), where
        self._seen: set[bytes] = set()
        self._rows = 0

    def add(self, batch: "pa.RecordBatch") -> None:
        columns = [batch.column(name).to_pylist() for name in self._columns]
        for key in zip(*columns, strict=True):
            self._seen.add(hashlib.blake2b(repr(key).encode("utf-8", "surrogatepass"), digest_size=12).digest())
        self._rows += batch.num_rows
        if len(self._seen) != self._rows:
            raise WarehouseError(
                f"{self._where}: a key ({', '.join(self._columns)}) occurs more than once; old rows are kept"
            )
