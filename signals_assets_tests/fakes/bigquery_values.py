"""Columns and values as BigQuery's REST API writes them, beside DuckDB's and Arrow's.

Put here: types, cells of rows, parameters of queries, how BigQuery says no. Not here: tables (`bigquery_state.py`).
"""

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

DUCKDB = {
    "STRING": "VARCHAR", "INTEGER": "BIGINT", "INT64": "BIGINT", "FLOAT": "DOUBLE", "FLOAT64": "DOUBLE",
    "BOOLEAN": "BOOLEAN", "BOOL": "BOOLEAN", "DATE": "DATE", "TIMESTAMP": "TIMESTAMPTZ", "DATETIME": "TIMESTAMP",
    "TIME": "TIME", "BYTES": "BLOB", "NUMERIC": "DECIMAL(38, 9)", "JSON": "JSON",
}  # fmt: skip
"""Type of BigQuery -> type of DuckDB, records aside."""

Field = Mapping[str, Any]
Schema = Sequence[Field]


class Refused(Exception):  # noqa: N818
    """What BigQuery answers instead: a status, a reason and words."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    def as_json(self) -> dict[str, Any]:
        return {"reason": self.reason, "message": self.message, "location": ""}


def duckdb_type(field: Field) -> str:
    """DuckDB's type of a column of a schema."""
    kind = field["type"].upper()
    if kind in ("RECORD", "STRUCT"):
        inner = "STRUCT(" + ", ".join(f'"{one["name"]}" {duckdb_type(one)}' for one in field["fields"]) + ")"
    else:
        inner = DUCKDB[kind]
    return f"{inner}[]" if field.get("mode") == "REPEATED" else inner


def schema_of(schema: pa.Schema) -> list[dict[str, Any]]:
    """The schema of a query's answer."""
    return [_field(field) for field in schema]


def _field(field: pa.Field) -> dict[str, Any]:
    kind = field.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return {**_field(kind.value_field.with_name(field.name)), "mode": "REPEATED"}
    if pa.types.is_struct(kind):
        inner = [_field(kind.field(number)) for number in range(kind.num_fields)]
        return {"name": field.name, "type": "RECORD", "mode": "NULLABLE", "fields": inner}
    return {"name": field.name, "type": _scalar(kind), "mode": "NULLABLE"}


def _scalar(kind: pa.DataType) -> str:
    tests = (
        (pa.types.is_boolean, "BOOLEAN"), (pa.types.is_integer, "INTEGER"), (pa.types.is_floating, "FLOAT"),
        (pa.types.is_date, "DATE"), (pa.types.is_time, "TIME"), (pa.types.is_binary, "BYTES"),
    )  # fmt: skip
    for fits, name in tests:
        if fits(kind):
            return name
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz else "DATETIME"
    if pa.types.is_decimal(kind):
        return "INTEGER" if kind.scale == 0 else "NUMERIC"  # DuckDB sums whole numbers as 128 bit ones
    return "STRING"


def rows_of(table: pa.Table, *, whole_microseconds: bool) -> Iterator[dict[str, Any]]:
    """The rows of an answer. Timestamps are microseconds where asked for, else seconds."""
    columns = [column.to_pylist() for column in table.columns]
    for values in zip(*columns, strict=True):
        yield {"f": [{"v": cell(value, whole_microseconds=whole_microseconds)} for value in values]}


def cell(value: Any, *, whole_microseconds: bool) -> Any:
    """One value. Everything but structure is text."""
    if isinstance(value, list):
        return [{"v": cell(item, whole_microseconds=whole_microseconds)} for item in value]
    if isinstance(value, dict):
        return {"f": [{"v": cell(item, whole_microseconds=whole_microseconds)} for item in value.values()]}
    if isinstance(value, datetime) and value.tzinfo is not None:
        micros = (value - datetime(1970, 1, 1, tzinfo=UTC)) // (datetime.resolution)
        return str(micros) if whole_microseconds else repr(micros / 1e6)
    return _text(value)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    return repr(value) if isinstance(value, float) else str(value)


def parameter(sent: Mapping[str, Any]) -> tuple[Any, str]:
    """The value of a query's parameter and DuckDB's type of it."""
    return _parameter(sent["parameterType"], sent.get("parameterValue", {}))


def _parameter(kind: Mapping[str, Any], value: Mapping[str, Any]) -> tuple[Any, str]:
    if kind["type"] == "ARRAY":
        items = [_parameter(kind["arrayType"], item)[0] for item in value.get("arrayValues", [])]
        return items, f"{DUCKDB[kind['arrayType']['type']]}[]"
    found = value.get("value")
    if found is not None and kind["type"] in ("BOOL", "BOOLEAN"):
        found = str(found).lower() == "true"
    if found is not None and kind["type"] == "BYTES":
        found = base64.b64decode(found)
    return found, DUCKDB[kind["type"]]
