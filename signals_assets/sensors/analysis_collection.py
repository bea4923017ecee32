"""Sensor: the analyst's batches ended -> collect them and run what follows, in day order.

Put here: which days are due. Not here: collecting (see `assets/analysis.py`).
"""

from collections.abc import Callable, Iterable
from datetime import date

import dagster as dg

from signals_assets import automation
from signals_assets.resources.analyst import Analyst, BatchState
from signals_assets.resources.ledger import Entry, Ledger
from signals_assets.settings import Settings


def due_days(sent: Iterable[Entry], collected: Iterable[Entry], poll: Callable[[str], BatchState]) -> list[date]:
    """Days all of whose sent batches ended and that were not collected since, ascending."""
    done = {entry.key for entry in collected}
    open_days: dict[date, list[str]] = {}
    for entry in sent:
        if entry.key not in done:
            open_days.setdefault(date.fromisoformat(entry.payload["day"]), []).extend(entry.payload["batch_ids"])
    return sorted(day for day, batches in open_days.items() if all(poll(batch).state != "running" for batch in batches))


def sensor_for(settings: Settings) -> dg.SensorDefinition:
    """The sensor, running by default where nothing leaves the machine."""

    @dg.sensor(
        name="analysis_collection",
        job=automation.collection,
        minimum_interval_seconds=60,
        default_status=automation.sensor_status(settings),
        description="A day's batches ended: collect the answers and run what follows.",
    )
    def analysis_collection(
        context: dg.SensorEvaluationContext, ledger: dg.ResourceParam[Ledger], analyst: dg.ResourceParam[Analyst]
    ) -> dg.SensorResult:
        days = due_days(ledger.entries(["batch"]), ledger.entries(["collected"]), analyst.poll)
        requests = [
            dg.RunRequest(partition_key=day.isoformat(), run_key=f"collect:{day}:{_failures(context, day)}",
                          tags={"signals/collect": day.isoformat()})
            for day in days
        ]  # fmt: skip
        return dg.SensorResult(run_requests=requests)

    return analysis_collection


def _failures(context: dg.SensorEvaluationContext, day: date) -> int:
    """How many collections of the day failed: part of the run key, so that a failed one is asked for again."""
    filters = dg.RunsFilter(tags={"signals/collect": day.isoformat()}, statuses=[dg.DagsterRunStatus.FAILURE])
    return min(3, context.instance.get_runs_count(filters))
