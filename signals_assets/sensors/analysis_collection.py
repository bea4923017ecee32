"""Sensor: the analyst's batches ended -> collect them and run what follows, in day order.

Put here: which days are due. Not here: collecting (see `assets/analysis.py`).
"""

import itertools
from collections.abc import Callable, Iterable
from datetime import date
from typing import Final

import dagster as dg

from signals_assets import automation
from signals_assets.guard import guarded
from signals_assets.resources.analyst import Analyst, BatchState
from signals_assets.resources.ledger import Entry, Ledger
from signals_assets.sensors import request
from signals_assets.settings import Settings

IN_PROGRESS: Final = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


def due_days(sent: Iterable[Entry], collected: Iterable[Entry], poll: Callable[[str], BatchState]) -> list[date]:
    """Days all of whose sent batches ended and that were not collected since, ascending.

    A day reads what the day before it made, so none is due before an earlier one that still runs.
    """
    done = {entry.key for entry in collected}
    open_days: dict[date, list[str]] = {}
    for entry in sent:
        if entry.key not in done:
            open_days.setdefault(date.fromisoformat(entry.payload["day"]), []).extend(entry.payload["batch_ids"])
    ended = itertools.takewhile(
        lambda day: all(poll(batch).state != "running" for batch in open_days[day]), sorted(open_days)
    )
    return list(ended)


def sensor_for(settings: Settings) -> dg.SensorDefinition:
    """The sensor, running by default where nothing leaves the machine."""

    @dg.sensor(
        name="analysis_collection",
        job=automation.collection,
        minimum_interval_seconds=60,
        default_status=automation.sensor_status(settings),
        description="A day's batches ended: collect the answers and run what follows.",
    )
    @guarded
    def analysis_collection(
        context: dg.SensorEvaluationContext, ledger: dg.ResourceParam[Ledger], analyst: dg.ResourceParam[Analyst]
    ) -> dg.SensorResult | dg.SkipReason:
        if context.instance.get_runs_count(dg.RunsFilter(statuses=IN_PROGRESS)):
            return dg.SkipReason("a run is in progress: it may collect its days itself")
        days = due_days(ledger.entries(["batch"]), ledger.entries(["collected"]), analyst.poll)
        requests = [request(context, f"collect:{day}", day.isoformat()) for day in days]
        return dg.SensorResult(run_requests=requests)

    return analysis_collection
