"""Sensor: a new verdict on a shipped fix -> run `tickets` for that type, which comments, closes or reopens.

Put here: which verdicts no ticket was told. Not here: verdicts (see `core/outcomes.py`), acting.
"""

from collections.abc import Iterable

import dagster as dg

from signals_assets import automation
from signals_assets.guard import guarded
from signals_assets.resources.ledger import Entry, Ledger
from signals_assets.sensors import VERDICT_TAG, request
from signals_assets.settings import Settings


def due(outcomes: Iterable[Entry], told: frozenset[str]) -> dict[str, list[str]]:
    """Friction type -> keys (ticket and version) of its verdicts that no ticket was told."""
    found: dict[str, list[str]] = {}
    for entry in outcomes:
        if entry.key not in told:
            found.setdefault(entry.payload["type"], []).append(entry.key)
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
    @guarded
    def fix_tracking(context: dg.SensorEvaluationContext, ledger: dg.ResourceParam[Ledger]) -> dg.SensorResult:
        told = frozenset(entry.key for entry in ledger.entries(["verdict"]))
        requests = [
            request(context, "|".join(keys), friction, {VERDICT_TAG: str(len(keys))})
            for friction, keys in due(ledger.entries(["outcome"]), told).items()
        ]
        return dg.SensorResult(run_requests=requests)

    return fix_tracking
