"""Files that are loaded into the local BigQuery, read and checked as BigQuery does.

Put here: formats, columns and modes of what is uploaded. Not here: where rows go (`bigquery_state.py`).
"""

import copy
import io
from collections.abc import Mapping
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from signals_assets_tests.fakes.bigquery_values import Field, Refused, Schema, duckdb_type


def mode_of(one: Field) -> str:
    return str(one.get("mode") or "NULLABLE").upper()


def resource_of(config: Mapping[str, Any], project: str, name: tuple[str, str]) -> dict[str, Any]:
    if "schema" not in config:
        raise Refused(400, "invalid", "no schema specified on job or table")
    kept = {key: copy.deepcopy(config[key]) for key in ("schema", "timePartitioning", "clustering") if key in config}
    reference = {"projectId": project, "datasetId": name[0], "tableId": name[1]}
    return {"tableReference": reference, "type": "TABLE", **kept}


def rows_in(config: Mapping[str, Any], content: bytes, schema: Schema) -> pa.Table:
    """The rows of an uploaded file, checked as BigQuery checks them."""
    kind = config.get("sourceFormat", "CSV")
    try:
        if kind == "PARQUET":
            found = pq.read_table(io.BytesIO(content))
        elif kind == "NEWLINE_DELIMITED_JSON":
            import pyarrow.json as pj

            found = pj.read_json(io.BytesIO(content)) if content.strip() else pa.table({})
        else:
            raise Refused(400, "invalid", f"source format {kind} is not spoken here")
    except pa.ArrowInvalid as error:
        raise Refused(400, "invalid", f"Error while reading data: {error}") from None
    modes = {one["name"]: mode_of(one) for one in schema}
    foreign = sorted(set(found.schema.names) - set(modes))
    if foreign and not config.get("ignoreUnknownValues"):
        raise Refused(400, "invalid", f"No such field: {foreign[0]}")
    if kind == "PARQUET":
        _check_parquet(found.schema, modes, config.get("parquetOptions") or {})
    return found


def _check_parquet(schema: pa.Schema, modes: Mapping[str, str], options: Mapping[str, Any]) -> None:
    for one in schema:
        if pa.types.is_list(one.type) and not options.get("enableListInference"):
            raise Refused(400, "invalid", f"Field {one.name} is a record of lists without enableListInference")
        if one.nullable and modes[one.name] == "REQUIRED":
            raise Refused(400, "invalid", f"Field {one.name} has changed mode from REQUIRED to NULLABLE")
        if not one.nullable and modes[one.name] == "NULLABLE":
            raise Refused(400, "invalid", f"Field {one.name} has changed mode from NULLABLE to REQUIRED")


def typed(schema: Schema, source: str, db: duckdb.DuckDBPyConnection) -> str:
    """The incoming rows with the table's columns and types; no list is an empty one."""
    given = {row[0] for row in db.execute(f"DESCRIBE {source}").fetchall()}
    columns = [_typed_column(one, one["name"] in given) for one in schema]
    return f"SELECT {', '.join(columns)} FROM {source}"


def _typed_column(one: Field, given: bool) -> str:
    value = f'"{one["name"]}"' if given else "NULL"
    cast = f"CAST({value} AS {duckdb_type(one)})"
    return f'coalesce({cast}, []) AS "{one["name"]}"' if mode_of(one) == "REPEATED" else f'{cast} AS "{one["name"]}"'
