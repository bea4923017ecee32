"""Asset checks: one blocking contract check per table, coverage checks where a stage may fall short.

Put here: check factories. Not here: guards that must stop a write (see `metadata.store` and the assets).

Checks read the days of their own run from the warehouse: a check without partitions of its own sees the whole
range of a ranged run at once, which costs one step instead of one per day.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import dagster as dg

from signals_assets.guard import guarded
from signals_assets.metadata import shown
from signals_assets.partitions import days_of_run
from signals_assets.resources.stored_rows import row_by_row
from signals_assets.resources.warehouse import Warehouse
from signals_assets.tables import TABLES, Row, arrow_schema
from signals_assets.zones import ZONES

HEAVY: Final = ("session", "message", "answer", "vector", "user_hashes")
"""Columns that are too large to be read again for a check; the warehouse refuses nulls in them when it writes."""


def violations(model: type[Row], warehouse: Warehouse, days: Sequence[date]) -> dict[str, int]:
    """What breaks the table's contract in the given days: missing days, keys, nulls, foreign days. Codes and counts."""
    stored = set(warehouse.days(model))
    key = dict.fromkeys(("day", *model.key))
    required = [field.name for field in arrow_schema(model) if not field.nullable and field.name not in HEAVY]
    found: Counter[str] = Counter()
    for day in days:
        if day not in stored:
            found["missing_day"] += 1
            continue
        table = warehouse.read(model, day, columns=list(key | dict.fromkeys(required)))
        keys = {_digest(row) for row in row_by_row(table.select(list(key)))}
        found["repeated_key"] += table.num_rows - len(keys)
        found["null"] += sum(table[name].null_count for name in required)
        found["foreign_day"] += len(set(table["day"].unique().to_pylist()) - {day})
    return {code: count for code, count in found.items() if count}


def _digest(row: Mapping[str, Any]) -> bytes:
    """What stands for a key: the keys of all of a day's rows as text would take ten times the memory."""
    said = repr([str(value) for value in row.values()])
    return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def contract(model: type[Row], asset: dg.AssetKey | None = None) -> dg.AssetChecksDefinition:
    """The blocking contract check of one table."""

    @dg.asset_check(
        asset=asset or dg.AssetKey(model.table),
        name="contract",
        blocking=True,
        description=f"Days, keys and required columns of {model.table} are as its row model says.",
    )
    @guarded
    def check(context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
        found = violations(model, warehouse, days_of_run(context.op_execution_context.run))
        return dg.AssetCheckResult(passed=not found, metadata=shown(**found))

    return check


def contracts() -> list[dg.AssetChecksDefinition]:
    """One contract check for every table."""
    return [contract(model) for model in TABLES.values()]


def share(model: type[Row], name: str, description: str, *, sql: str, at_least: float) -> dg.AssetChecksDefinition:
    """A warning when a share, computed by SQL over the run's days (`{days}`), falls below `at_least`."""

    @dg.asset_check(asset=dg.AssetKey(model.table), name=name, description=description)
    @guarded
    def check(context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
        days = days_of_run(context.op_execution_context.run)
        listed = ", ".join(f"DATE '{day.isoformat()}'" for day in days) or "NULL"
        row: dict[str, Any] = warehouse.query(sql.format(days=listed), zones=ZONES).to_pylist()[0]
        value = row["share"]
        return dg.AssetCheckResult(
            passed=value is None or value >= at_least,
            severity=dg.AssetCheckSeverity.WARN,
            metadata=shown(share=-1.0 if value is None else float(value), at_least=at_least),
        )

    return check
