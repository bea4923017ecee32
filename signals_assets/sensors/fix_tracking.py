"""Sensor: a new verdict on a shipped fix -> run `tickets` for that type, which comments, closes or reopens.

Put here: which verdicts no ticket knows yet. Not here: verdicts (see `core/outcomes.py`), acting.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import dagster as dg

from signals_assets import automation
from signals_assets.resources.ledger import Ledger
from signals_assets.resources.warehouse import Warehouse
from signals_assets.sensors import DAY_TAG
from signals_assets.settings import Settings
from signals_assets.tables import FixOutcome


def verdict_key(row: Mapping[str, Any]) -> str:
    """What makes a verdict new: ticket, version and verdict."""
    return f"{row['ticket_key']}:{row['version']}:{row['verdict']}"


def due(outcomes: Iterable[Mapping[str, Any]], told: frozenset[str]) -> dict[str, list[str]]:
    """Friction type -> keys of its verdicts that no ticket was told; `inconclusive` says nothing yet."""
    found: dict[str, list[str]] = {}
    for row in outcomes:
        if row["verdict"] != "inconclusive" and verdict_key(row) not in told:
            found.setdefault(row["type"], []).append(verdict_key(row))
    return {friction: sorted(keys) for friction, keys in sorted(found.items())}


def sensor_for(settings: Settings) -> dg.SensorDefinition:
    """The sensor, running by default where nothing leaves the machine."""

    @dg.sensor(
        name="fix_tracking",
        job=automation.act,
        minimum_interval_seconds=60,
        default_status=automation.sensor_status(settings),
        description="A fix was measured: tell its ticket.",
    )
    def fix_tracking(
        context: dg.SensorEvaluationContext, warehouse: dg.ResourceParam[Warehouse], ledger: dg.ResourceParam[Ledger]
    ) -> dg.SensorResult | dg.SkipReason:
        days = warehouse.days(FixOutcome)
        if not days:
            return dg.SkipReason("fix_outcomes has no day yet")
        newest: date = days[-1]
        told = frozenset(entry.key for entry in ledger.entries(["verdict"]))
        requests = [
            dg.RunRequest(
                partition_key=friction, run_key=f"{newest}:{'|'.join(keys)}", tags={DAY_TAG: newest.isoformat()}
            )
            for friction, keys in due(warehouse.read(FixOutcome, newest).to_pylist(), told).items()
        ]
        return dg.SensorResult(run_requests=requests)

    return fix_tracking
