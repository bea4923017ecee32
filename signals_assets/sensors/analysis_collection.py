"""Sensor: the analyst's requests of a day moved on -> bring them forward, or collect them and run what follows.

Put here: which days are due. Not here: submitting and collecting (see `assets/analysis.py`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import dagster as dg

from signals_assets import automation
from signals_assets.guard import guarded
from signals_assets.resources.analyst import Analyst, Progress, all_labels
from signals_assets.resources.ledger import Entry, Ledger
from signals_assets.sensors import request
from signals_assets.settings import Settings

IN_PROGRESS: Final = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


@dataclass(frozen=True)
class Due:
    """What a tick asks for: days to collect, and days whose requests have something to do; ascending."""

    collect: tuple[tuple[date, str], ...]
    """Day, and the key of what was sent: the same day is collected again after more was sent."""
    again: tuple[tuple[date, Progress], ...]


def due_days(
    sent: Iterable[Entry], collected: Iterable[Entry], look_at: Callable[[Mapping[str, Any]], Progress | None]
) -> Due:
    """Days all of whose requests ended and that were not collected since; days whose requests can be brought forward.

    `look_at` says of what was sent of a day how far all its labels are together, and None where nothing was asked.

    A day reads what the day before it made, so none is collected before an earlier one that still runs. Bringing
    requests forward needs no order.
    """
    done = {entry.key for entry in collected}
    last = {date.fromisoformat(entry.payload["day"]): entry for entry in sent}  # what was sent later holds all of it
    open_days = {day: entry for day, entry in last.items() if entry.key not in done}
    looks = {day: look_at(entry.payload) for day, entry in sorted(open_days.items())}
    collect = []
    for day, look in looks.items():
        if look is not None and look.next != "done":
            break
        collect.append((day, open_days[day].key))
    again = tuple((day, look) for day, look in looks.items() if look is not None and look.next == "again")
    return Due(tuple(collect), again)


def sensor_for(settings: Settings) -> dg.SensorDefinition:
    """The sensor, running by default where nothing leaves the machine."""

    @dg.sensor(
        name="analysis_collection",
        jobs=[automation.collection, automation.resubmission],
        minimum_interval_seconds=60,
        default_status=automation.sensor_status(settings),
        description="A day's requests ended: collect the answers and run what follows. Some ended: bring it forward.",
    )
    @guarded
    def analysis_collection(
        context: dg.SensorEvaluationContext,
        ledger: dg.ResourceParam[Ledger],
        analyst: dg.ResourceParam[Analyst],
        second_reader: dg.ResourceParam[Analyst],
    ) -> dg.SensorResult | dg.SkipReason:
        if context.instance.get_runs_count(dg.RunsFilter(statuses=IN_PROGRESS)):
            return dg.SkipReason("a run is in progress: it may collect its days itself")
        due = due_days(
            ledger.entries(["batch"]),
            ledger.entries(["collected"]),
            lambda sent: all_labels(sent, analyst, second_reader),
        )
        requests = [
            request(context, f"collect:{key}", day.isoformat(), job_name="collection") for day, key in due.collect
        ] + [
            request(context, f"again:{day}:{look.mark}", day.isoformat(), job_name="resubmission")
            for day, look in due.again
        ]
        return dg.SensorResult(run_requests=requests)

    return analysis_collection
