"""Sensor: a friction partition crossed its threshold -> run diagnoses, tickets and fix_drafts for that type.

Put here: which crossings are due. Not here: the decision itself (a column of `friction_levels`), filing.

A plain sensor with a cursor of its own: `@asset_sensor` sees only the newest of several partitions that were
materialized between two ticks. The cursor is the storage id of the newest materialization looked at; crossings
of the last days that the ledger does not know as handled are offered again, so none is lost with a failed run.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import dagster as dg

from signals_assets import automation
from signals_assets.guard import guarded
from signals_assets.partitions import FRICTION_TYPES, between
from signals_assets.resources.ledger import Ledger
from signals_assets.resources.warehouse import Warehouse
from signals_assets.sensors import DAY_TAG, EPISODE_TAG, request
from signals_assets.settings import Settings
from signals_assets.tables import Cause, FrictionLevel

PAGE = 500


@dataclass(frozen=True, slots=True)
class Crossing:
    """One friction type that crossed its threshold on a day, among all sessions or in the slice of its episode."""

    day: date
    type: str
    episode: str


def due(
    levels: Iterable[Mapping[str, Any]],
    *,
    newest: date,
    act_within_days: int,
    handled: frozenset[str],
    with_causes: frozenset[date],
) -> tuple[list[Crossing], list[Crossing]]:
    """Crossings to act on, and stale ones (older than `act_within_days` before the newest day), each once.

    A crossing whose day has no causes yet, or whose episode the ledger knows as handled, is in neither list.
    """
    act: dict[str, Crossing] = {}
    stale: dict[str, Crossing] = {}
    for row in levels:
        if not row["crossed"] or row["episode"] in handled:
            continue
        crossing = Crossing(row["day"], row["type"], row["episode"])
        if row["day"] < newest - timedelta(days=act_within_days):
            stale[crossing.episode] = crossing
        elif row["day"] in with_causes:
            act[crossing.episode] = crossing
    return [act[key] for key in sorted(act)], [stale[key] for key in sorted(stale)]


def sensor_for(settings: Settings) -> dg.SensorDefinition:
    """The sensor, running by default where nothing leaves the machine."""

    @dg.sensor(
        name="friction_threshold",
        job=automation.act,
        minimum_interval_seconds=30,
        default_status=automation.sensor_status(settings),
        description="A friction type crossed its threshold: diagnose it and file its tickets.",
    )
    @guarded
    def friction_threshold(
        context: dg.SensorEvaluationContext, warehouse: dg.ResourceParam[Warehouse], ledger: dg.ResourceParam[Ledger]
    ) -> dg.SensorResult | dg.SkipReason:
        cursor, touched = _touched_days(context)
        stored = warehouse.days(FrictionLevel)
        if not stored:
            return dg.SkipReason("friction_levels has no day yet")
        newest = stored[-1]
        recent = between(newest - timedelta(days=settings.thresholds.act_within_days), newest)
        days = sorted((touched | set(recent)) & set(stored))
        handled = frozenset(entry.key for entry in ledger.entries(["episode", "stale"]))
        crossings, stale = due(
            warehouse.read(FrictionLevel, days).to_pylist(),
            newest=newest,
            act_within_days=settings.thresholds.act_within_days,
            handled=handled,
            with_causes=frozenset(warehouse.days(Cause)),
        )
        for crossing in stale:
            ledger.append("stale", crossing.episode, {"type": crossing.type, "day": crossing.day.isoformat()})
        # A new instance over an old warehouse does not know the partitions yet.
        context.instance.add_dynamic_partitions(str(FRICTION_TYPES.name), [crossing.type for crossing in crossings])
        return dg.SensorResult(
            run_requests=[_request(context, crossing, newest) for crossing in crossings], cursor=cursor
        )

    return friction_threshold


def _touched_days(context: dg.SensorEvaluationContext) -> tuple[str, set[date]]:
    """The new cursor, and the days of friction_levels materialized since the old one (all of them, by pages)."""
    after = int(context.cursor or 0)
    days: set[date] = set()
    while True:
        page = context.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(FrictionLevel.table), after_storage_id=after),
            limit=PAGE,
            ascending=True,
        )
        days |= {date.fromisoformat(item.partition_key) for item in page.records if item.partition_key}
        if page.records:
            after = page.records[-1].storage_id
        if not page.has_more:
            return str(after), days


def _request(context: dg.SensorEvaluationContext, crossing: Crossing, newest: date) -> dg.RunRequest:
    tags = {DAY_TAG: crossing.day.isoformat(), EPISODE_TAG: crossing.episode}
    return request(context, f"{crossing.episode}:{newest}", crossing.type, tags)
