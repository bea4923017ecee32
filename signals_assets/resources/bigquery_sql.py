"""BigQuery: a reader's query in the warehouse's own words, made BigQuery's.

Put here: reading, checking and translating one statement. Not here: running it (see `bigquery.py`).

Every warehouse is asked in the same SQL (DuckDB's): the graph, the commands and a person's query run unchanged. The
statement is read by sqlglot, and what is sent is written anew from what was read, so that nothing unread is sent. A
bare table name becomes a subquery over the qualified table that shows the model's columns; a name that is neither a
table of the opened zones nor one of the statement's own is refused, and so is all that is not one reading statement.
"""

from collections.abc import Callable, Collection
from datetime import date, datetime
from typing import Any

import sqlglot
from google.cloud import bigquery as bq
from sqlglot import exp
from sqlglot.errors import SqlglotError

from signals_assets.resources.stored_rows import WarehouseError

SCHEMA = "main"
"""What a table is called by where a name of the statement's own hides it, as in DuckDB."""


def translated(sql: str, tables: Collection[str], shown: Callable[[str], str]) -> str:
    """The statement for BigQuery; `shown` gives the subquery that stands for a table of `tables`.

    Raises `WarehouseError`: more or less than one reading statement, another table, words that BigQuery lacks.
    """
    tree = _parsed(sql)
    for node in list(tree.find_all(exp.Table)):
        name = node.name.lower()
        qualified = node.text("db").lower() == SCHEMA and not node.text("catalog")
        if not isinstance(node.this, exp.Identifier) or (node.text("db") and not qualified):
            raise WarehouseError("only tables by their names can be read here, no functions and no other schemas")
        if not qualified and name in _own_names(node):
            continue
        if name not in tables:
            raise WarehouseError(f"there is no table {name} in the zones that were opened")
        alias = exp.TableAlias(this=exp.to_identifier(node.alias or node.name), columns=_renamed(node))
        inner = sqlglot.parse_one(shown(name), read="bigquery")
        node.replace(exp.Subquery(this=inner, alias=alias))
    try:
        return tree.sql(dialect="bigquery", unsupported_level=sqlglot.ErrorLevel.RAISE)
    except SqlglotError as error:
        raise WarehouseError(f"BigQuery has no words for this: {error}") from None


def _parsed(sql: str) -> exp.Query:
    try:
        found = [one for one in sqlglot.parse(sql, read="duckdb") if one is not None]
    except SqlglotError as error:
        raise WarehouseError(f"the query cannot be read: {error}") from None
    if len(found) != 1 or not isinstance(found[0], exp.Query) or found[0].find(exp.Into, exp.DML, exp.DDL):
        raise WarehouseError(
            "only one reading statement is allowed here (SELECT, WITH); tables are written by the assets alone"
        )
    return found[0]


def _own_names(node: exp.Table) -> set[str]:
    """Names that the statement gives to queries of its own, as far as they are known where the table stands."""
    names: set[str] = set()
    inside: Any = None
    above: Any = node
    while above is not None:
        if isinstance(above, exp.CTE):
            inside = above
        if isinstance(given := above.args.get("with_") or above.args.get("with"), exp.With):
            own = list(given.expressions)
            if inside in own and not given.recursive:
                own = own[: own.index(inside)]
            names |= {one.alias.lower() for one in own}
        above = above.parent
    return names


def _renamed(node: exp.Table) -> list[exp.Expression] | None:
    alias = node.args.get("alias")
    return alias.args.get("columns") if alias is not None else None


def as_parameters(values: Collection[Any]) -> tuple[Any, ...]:
    """Values as parameters by position."""
    return tuple(bq.ScalarQueryParameter(None, _type_of(value), value) for value in values)


def _type_of(value: object) -> str:
    kinds = ((bool, "BOOL"), (int, "INT64"), (float, "FLOAT64"), (datetime, "TIMESTAMP"), (date, "DATE"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "STRING")
