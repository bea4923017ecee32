"""Sensor: sessions of a day that was materialized already arrived later -> redo that day's restricted tables on.

Put here: which days grew. Not here: how a redo marks its rows (`known_on`, see `assets/sessions.py`).
"""

from collections.abc import Mapping
from datetime import date

import dagster as dg

from signals_assets import automation
from signals_assets.guard import guarded
from signals_assets.resources.session_source import SessionSource
from signals_assets.resources.warehouse import Warehouse
from signals_assets.sensors import request
from signals_assets.settings import Settings
from signals_assets.tables import RawSession

LATE_TAG = "signals/late"
DAYS_PER_TICK = 14
"""A tick looks at so many newest stored days: older lateness is redone by a backfill on purpose."""


def grown(available: Mapping[date, int], stored: Mapping[date, int]) -> list[date]:
    """Stored days for which the source now has more sessions, ascending."""
    return sorted(day for day, count in stored.items() if available.get(day, 0) > count)


def sensor_for(settings: Settings) -> dg.SensorDefinition:
    """The sensor, running by default where nothing leaves the machine."""

    @dg.sensor(
        name="late_sessions",
        job=automation.flow,
        minimum_interval_seconds=600,
        default_status=automation.sensor_status(settings),
        description="Sessions of a stored day arrived late: redo that day; published days stay as they were.",
    )
    @guarded
    def late_sessions(
        context: dg.SensorEvaluationContext,
        warehouse: dg.ResourceParam[Warehouse],
        session_source: dg.ResourceParam[SessionSource],
    ) -> dg.SensorResult:
        recent = warehouse.days(RawSession)[-DAYS_PER_TICK:]
        stored = {day: warehouse.read(RawSession, day, columns=["day"]).num_rows for day in recent}
        available = session_source.counts()
        requests = [
            request(
                context,
                f"late:{day}:{available[day]}",
                day.isoformat(),
                {LATE_TAG: str(available[day] - stored[day])},
            )
            for day in grown(available, stored)
        ]
        return dg.SensorResult(run_requests=requests)

    return late_sessions
