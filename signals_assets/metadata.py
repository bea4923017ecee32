"""Metadata: what the Dagster UI shows of a table and of a day.

Put here: column schemas, counts, coverage, small pictures, and storing a day together with its metadata.
Not here: pictures themselves (see `core/pictures.py`), checks (see `checks.py`).

Everything here becomes visible to everybody who may open the UI: counts, enums, dates and pictures of the
published zone only. There is deliberately no function that takes free text or rows; `shown` refuses them.

Row counts and coverage are exact, for every audience, and no thresholds hold for them: engineers have to see that 1 of
412 files was rejected. They count rows, sessions, requests and withheld figures of a whole stage and day, never under a
word of a session, but a day of one session shows as one, and the coverage of a published table tells how many of its
figures were withheld. Therefore the UI must be open to those only who run the deployment, not to all who may read the
report, and its counts belong into no text that leaves it: reports tell totals rounded (`thresholds.about`).
"""

import base64
import re
import typing
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from signals_assets.core.coverage import Coverage
from signals_assets.resources.stored_rows import SpooledRows
from signals_assets.resources.warehouse import Warehouse
from signals_assets.tables import Row, to_arrow
from signals_assets.zones import Abstracted

if TYPE_CHECKING:
    import pyarrow as pa

REPUBLISH_TAG = "signals/republish"
"""Run tag that allows a published day to be written again; its value is the reason and is audited."""


SHRINK_TAG = "signals/allow_shrink"
"""Run tag that allows a redone day to hold fewer sessions than before."""


def describe(model: type[Row]) -> dict[str, Any]:
    """Definition metadata of a table: column schema with descriptions, name, zone, key."""
    columns = []
    for name, info in model.model_fields.items():
        kind, values = _column_type(info.annotation)
        constraints = dg.TableColumnConstraints(
            nullable=type(None) in typing.get_args(info.annotation),
            other=[f"one of {', '.join(values)}"] if values else [],
        )
        columns.append(dg.TableColumn(name, kind, description=info.description, constraints=constraints))
    return {
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/table_name": model.table,
        "zone": model.zone,
        "key": ", ".join(model.key),
    }


def _column_type(annotation: Any) -> tuple[str, tuple[str, ...]]:
    """The column's type in words, and the values it may take where they are listed."""
    origin = typing.get_origin(annotation)
    arguments = [argument for argument in typing.get_args(annotation) if argument is not type(None)]
    if origin is typing.Literal:
        return "string", tuple(str(value) for value in arguments)
    if origin is list:
        return f"list of {_column_type(arguments[0])[0]}", ()
    if origin is not None:
        return _column_type(arguments[0])
    return {str: "string", Abstracted: "admitted text", bool: "boolean", datetime: "timestamp"}.get(
        annotation, annotation.__name__
    ), ()


def selected(context: dg.AssetExecutionContext, model: type[Row]) -> bool:
    """Whether this run was asked for the table (a run may be asked for some tables of a common pass only)."""
    return dg.AssetKey(model.table) in context.selected_asset_keys


def record(
    context: dg.AssetExecutionContext,
    asset: str,
    day: date,
    *,
    rows: int,
    coverage: Coverage | None = None,
    **more: int | float | str | bool | None,
) -> None:
    """Attach a day's counts and coverage to its materialization. `more` holds numbers, enums and dates only."""
    values: dict[str, Any] = {"dagster/partition_row_count": rows}
    if coverage is not None:
        values |= {f"coverage/{name}": count for name, count in coverage.as_dict().items() if count or name == "asked"}
        if coverage.share is not None:
            values["coverage/share"] = round(coverage.share, 4)
    values |= more
    context.add_asset_metadata(shown(**values), asset_key=asset, partition_key=day.isoformat())


class MetadataError(TypeError):
    """A value that may not be shown as metadata: says which name, where that is a plain one, and never the value."""


_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./ -]{0,80}")
_CODE: Final = re.compile(r"[a-z][a-z_]{0,30}")


def shown(**values: int | float | str | bool | date | None) -> dict[str, int | float | str | bool]:
    """The values as metadata: numbers, days, and codes of ours (lower-case words); None is left out.

    The only way in which values become metadata of a run. Raises MetadataError for anything that could be a word of a
    session: other types, texts that are no code, names that are none.
    """
    kept: dict[str, int | float | str | bool] = {}
    for name, value in values.items():
        if value is None:
            continue
        if not _NAME.fullmatch(name):
            raise MetadataError("the name of a metadata value is no plain one")
        if not isinstance(value, int | float | date) and not (isinstance(value, str) and _CODE.fullmatch(value)):
            raise MetadataError(f"metadata {name} is a {type(value).__name__} that is no number, day or code")
        kept[name] = value.isoformat() if isinstance(value, date) else value
    return kept


def picture(context: dg.AssetExecutionContext, asset: str, day: date, pictures: Mapping[str, bytes]) -> None:
    """Attach small PNG pictures of the published zone to a day, as Markdown with the image inside."""
    values = {
        name: dg.MetadataValue.md(f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})")
        for name, png in pictures.items()
    }
    context.add_asset_metadata(values, asset_key=asset, partition_key=day.isoformat())


def store(
    context: dg.AssetExecutionContext,
    warehouse: Warehouse,
    model: type[Row],
    day: date,
    rows: "Iterable[Row] | pa.Table | SpooledRows",
    coverage: Coverage | None = None,
    **more: int | float | str | bool | None,
) -> int:
    """Replace the day in the warehouse, as the zone demands, and record its metadata; returns the rows written.

    A published day is written once. When it is stored already, the new rows are compared with it and the stored
    ones stay (metadata `kept` = same or different), unless the run carries the republish tag.
    """
    if not selected(context, model):
        return 0
    if model.zone == "published" and day in set(warehouse.days(model)) and REPUBLISH_TAG not in context.run.tags:
        stored = warehouse.read(model, day)
        computed = rows if hasattr(rows, "num_rows") else to_arrow(model, rows)
        same = _canonical(stored, model) == _canonical(computed, model)
        record(context, model.table, day, rows=stored.num_rows, coverage=coverage,
               kept="same" if same else "different", **more)  # fmt: skip
        return int(stored.num_rows)
    count = warehouse.replace(model, day, rows)
    record(context, model.table, day, rows=count, coverage=coverage, **more)
    return count


def _canonical(table: "pa.Table", model: type[Row]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return sorted(rows, key=lambda row: tuple(str(row[name]) for name in model.key))
