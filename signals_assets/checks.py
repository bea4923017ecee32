"""Asset checks: one blocking contract check per table, coverage checks where a stage may fall short.

Put here: check factories. Not here: guards that must stop a write (see `metadata.store` and the assets).

Checks read the days of their own run from the warehouse: a check without partitions of its own sees the whole
range of a ranged run at once, which costs one step instead of one per day.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

import dagster as dg

from signals_assets.partitions import days_of_run
from signals_assets.resources.warehouse import Warehouse
from signals_assets.tables import TABLES, Row, arrow_schema


def violations(model: type[Row], warehouse: Warehouse, days: Sequence[date]) -> dict[str, int]:
    """What breaks the table's contract in the given days: missing days, keys, nulls, foreign days. Codes and counts."""
    stored = set(warehouse.days(model))
    found: dict[str, int] = {"missing_day": sum(day not in stored for day in days)}
    columns = ["day", *(name for name in model.key if name != "day")]
    required = [f.name for f in arrow_schema(model) if not f.nullable and f.name not in columns]
    for day in days:
        if day not in stored:
            continue
        scalars = [name for name in required if not str(arrow_schema(model).field(name).type).startswith("list")]
        light = [name for name in scalars if name not in ("session", "message", "answer")]
        table = warehouse.read(model, day, columns=[*columns, *light])
        keys = {tuple(str(value) for value in row.values()) for row in table.select(columns).to_pylist()}
        found["repeated_key"] = found.get("repeated_key", 0) + table.num_rows - len(keys)
        found["null"] = found.get("null", 0) + sum(table[name].null_count for name in (*columns[:1], *light))
        other_days = {value for value in table["day"].to_pylist() if value != day}
        found["foreign_day"] = found.get("foreign_day", 0) + len(other_days)
    return {code: count for code, count in found.items() if count}


def contract(model: type[Row], asset: dg.AssetKey | None = None) -> dg.AssetChecksDefinition:
    """The blocking contract check of one table."""

    @dg.asset_check(
        asset=asset or dg.AssetKey(model.table),
        name="contract",
        blocking=True,
        description=f"Days, keys and required columns of {model.table} are as its row model says.",
    )
    def check(context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
        found = violations(model, warehouse, days_of_run(context.op_execution_context.run))
        return dg.AssetCheckResult(passed=not found, metadata=dict(found))

    return check


def contracts() -> list[dg.AssetChecksDefinition]:
    """One contract check for every table."""
    return [contract(model) for model in TABLES.values()]


def share(model: type[Row], name: str, description: str, *, sql: str, at_least: float) -> dg.AssetChecksDefinition:
    """A warning when a share, computed by SQL over the run's days (`{days}`), falls below `at_least`."""

    @dg.asset_check(asset=dg.AssetKey(model.table), name=name, description=description)
    def check(context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
        days = days_of_run(context.op_execution_context.run)
        listed = ", ".join(f"DATE '{day.isoformat()}'" for day in days) or "NULL"
        row: dict[str, Any] = warehouse.query(sql.format(days=listed)).to_pylist()[0]
        value = row["share"]
        return dg.AssetCheckResult(
            passed=value is None or value >= at_least,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"share": -1.0 if value is None else float(value), "at_least": at_least},
        )

    return check
