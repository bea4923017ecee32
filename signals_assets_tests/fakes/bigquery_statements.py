"""Statements for the local BigQuery: what they filter by, what they read, what it costs.

Put here: looking at one statement. Not here: running it (`bigquery_state.py`), banned words (`bigquery_lint.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.tokens import TokenType

from signals_assets_tests.fakes.bigquery_values import Field, Refused


def billed(size: int) -> int:
    """Bytes billed: whole MiB, at least ten of them, unless nothing was read."""
    return 0 if size == 0 else max(10 * 2**20, -(-size // 2**20) * 2**20)


def bytes_of(one: Field) -> str:
    """DuckDB's expression for the logical bytes of one value."""
    column = f'"{one["name"]}"'
    kind = one["type"].upper()
    if one.get("mode") == "REPEATED" or kind in ("RECORD", "STRUCT", "JSON"):
        return f"length({column}::VARCHAR)"
    if kind == "STRING":
        return f"strlen({column}) + 2"
    return f"CASE WHEN {column} IS NULL THEN 0 ELSE 8 END"


def filters(node: exp.Table, partitioned_by: str | None) -> list[exp.Expression]:
    """Conditions next to the table that compare its partitioning column with constants."""
    select = node.find_ancestor(exp.Select, exp.Delete, exp.Update)
    where = select.args.get("where") if select is not None else None
    if where is None:
        return []
    conditions = where.this.flatten() if isinstance(where.this, exp.And) else [where.this]
    return [one for one in conditions if _constant(one, partitioned_by)]


def _constant(condition: exp.Expression, partitioned_by: str | None) -> bool:
    columns = {column.name for column in condition.find_all(exp.Column)}
    return columns == {partitioned_by} and not condition.find(exp.Select)


def named(sql: str, parameters: Sequence[Mapping[str, Any]]) -> str:
    """Positional parameters by names, in the order of the text."""
    if not parameters or parameters[0].get("name"):
        return sql
    tokens = [one for one in sqlglot.tokenize(sql, read="bigquery") if one.token_type == TokenType.PLACEHOLDER]
    if len(tokens) != len(parameters):
        raise Refused(400, "invalidQuery", f"{len(tokens)} positional parameters in the query, {len(parameters)} given")
    for number, token in reversed(list(enumerate(tokens))):
        sql = f"{sql[: token.start]}@p{number}{sql[token.end + 1 :]}"
    return sql


def alias_of(node: exp.Table) -> str:
    """The alias that the statement gave, not the one that quoting a whole path makes up."""
    return "" if "." in node.alias else node.alias
