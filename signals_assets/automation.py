"""Automation: how an asset of the flow is declared, when the graph runs by itself.

Put here: the two decorators of daily assets, the jobs, the schedules, freshness.
Not here: sensors (see `sensors/`), what an asset does (see `assets/`).
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any, Final

import dagster as dg

from signals_assets import metadata
from signals_assets.guard import guarded
from signals_assets.partitions import DAYS, FRICTION_TYPES, WHOLE_RANGE, days_of, today
from signals_assets.resources.analyst import Analyst
from signals_assets.resources.remembering import RememberingWarehouse
from signals_assets.resources.retention import expire
from signals_assets.resources.session_source import SessionSource
from signals_assets.resources.warehouse import Warehouse
from signals_assets.settings import Settings
from signals_assets.tables import TABLES, Row

FRESH: Final = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))
"""A daily table is stale when no day of it was materialized for a day and a half."""

LANGUAGE_MODEL_POOL: Final = "analyst"

Body = Callable[..., Any]


def daily_asset(
    model: type[Row],
    *,
    deps: Sequence[str] = (),
    kinds: Sequence[str] = (),
    code_version: str | None = None,
    pool: str | None = None,
) -> Callable[[Body], dg.AssetsDefinition]:
    """Declare the asset of one table: named like it, in its stage's group, one run for a range of days."""

    def decorate(body: Body) -> dg.AssetsDefinition:
        return dg.asset(
            name=model.table,
            group_name=model.stage,
            deps=list(deps),
            partitions_def=DAYS,
            backfill_policy=WHOLE_RANGE,
            metadata=metadata.describe(model),
            kinds={"python", "parquet", *kinds},
            tags={"zone": model.zone},
            description=_description(model, body),
            code_version=code_version,
            freshness_policy=FRESH,
            pool=pool,
        )(_needing(deps, body, [model]))

    return decorate


def daily_assets(
    *models: type[Row], name: str, deps: Sequence[str] = (), kinds: Sequence[str] = (), code_version: str | None = None
) -> Callable[[Body], dg.AssetsDefinition]:
    """Declare several tables that one pass over the sessions makes together.

    Subsettable: Dagster 1.13 refuses a backfill from the UI that covers a multi-asset which is not, when its tables
    are reached over several parents ("targeted subset must match"). `metadata.store` writes the selected ones only.
    """

    def decorate(body: Body) -> dg.AssetsDefinition:
        return dg.multi_asset(
            name=name,
            specs=[
                dg.AssetSpec(
                    key=model.table,
                    group_name=model.stage,
                    deps=list(deps),
                    partitions_def=DAYS,
                    metadata=metadata.describe(model),
                    kinds={"python", "parquet", *kinds},
                    skippable=True,
                    tags={"zone": model.zone},
                    description=_description(model, body),
                    code_version=code_version,
                    freshness_policy=FRESH,
                )
                for model in models
            ],
            partitions_def=DAYS,
            backfill_policy=WHOLE_RANGE,
            can_subset=True,
        )(_needing(deps, body, models))

    return decorate


def _needing(deps: Sequence[str], body: Body, models: Sequence[type[Row]]) -> Body:
    """The body, refused before it writes where a table it reads lacks a day of the run.

    Its warehouse writes the zones of its own tables only, and reads each day of a table once.
    """
    zones = sorted({model.zone for model in models})

    def limited(context: dg.AssetExecutionContext, doors: dict[str, Any]) -> dict[str, Any]:
        _refuse_missing_days(deps, doors["warehouse"], days_of(context))
        return doors | {"warehouse": RememberingWarehouse(doors["warehouse"].limited_to(zones))}

    @functools.wraps(body)
    def whole(context: dg.AssetExecutionContext, **doors: Any) -> Any:
        return body(context, **limited(context, doors))

    @functools.wraps(body)
    def stepwise(context: dg.AssetExecutionContext, **doors: Any) -> Any:
        yield from body(context, **limited(context, doors))

    return guarded(stepwise if inspect.isgeneratorfunction(body) else whole)


def _refuse_missing_days(deps: Sequence[str], warehouse: Warehouse, days: Sequence[date]) -> None:
    """Fail where a table lacks a day: it would count as a day without sessions, and what was made of it be lost."""
    for name in deps:
        lacking = sorted(set(days) - set(warehouse.days(TABLES[name])))
        if lacking:
            raise dg.Failure(
                f"{name} lacks {lacking[0]} ({len(lacking)} of this run's {len(days)} days): it expired or was never "
                f"materialized. Nothing was written; materialize {name} for these days first.",
                allow_retries=False,
            )


def materialized(context: dg.AssetExecutionContext, *models: type[Row]) -> Iterator[dg.MaterializeResult[None]]:
    """What the body of `daily_assets` yields at its end; counts and coverage were recorded per day."""
    for model in models:
        if metadata.selected(context, model):
            yield dg.MaterializeResult(asset_key=model.table)


def _description(model: type[Row], body: Body) -> str:
    return f"{(model.__doc__ or '').strip()}\n\n{(body.__doc__ or '').strip()}\n\nZone: {model.zone}."


ACTING: Final = ("diagnoses", "tickets", "fix_drafts")
"""Assets partitioned by friction type: they act on the outside and write ledger rows."""

DAY_TAG: Final = "signals/day"
"""Run tag: the day whose tables an acting run reads."""
EPISODE_TAG: Final = "signals/episode"
"""Run tag: the episode of a crossing that an acting run handles."""
VERDICT_TAG: Final = "signals/verdict"
"""Run tag: the run only tells tickets the verdicts on their fixes."""

_DAILY = dg.AssetSelection.all() - dg.AssetSelection.assets(*ACTING)
_TO_ANALYST = dg.AssetSelection.groups("sessions", "metrics") | dg.AssetSelection.assets("analysis_batches")

flow = dg.define_asset_job(
    "flow", selection=_DAILY, partitions_def=DAYS, description="The whole daily graph for a day or a range of days."
)
cycle = dg.define_asset_job(
    "cycle",
    selection=_TO_ANALYST,
    partitions_def=DAYS,
    description="Up to the requests to the analyst; the analysis_collection sensor launches the rest.",
)
collection = dg.define_asset_job(
    "collection",
    selection=_DAILY - _TO_ANALYST | dg.AssetSelection.assets("analysis_batches"),
    partitions_def=DAYS,
    description="Collect the analyst's answers and everything that follows from them.",
)
resubmission = dg.define_asset_job(
    "resubmission",
    selection=dg.AssetSelection.assets("analysis_batches"),
    partitions_def=DAYS,
    description="Take in what the analyst has answered of a day, send what waits or may be asked again.",
)
act = dg.define_asset_job(
    "act",
    selection=dg.AssetSelection.assets(*ACTING),
    partitions_def=FRICTION_TYPES,
    description="Diagnose, file and draft for one friction type. Launched by the friction_threshold sensor.",
)


def stays_inside(settings: Settings) -> bool:
    """Whether every door is an embedded one, so that nothing leaves the machine."""
    doors = (settings.analyst, settings.tracker, settings.code_host, settings.notifier, settings.warehouse)
    return (
        doors == ("rules", "files", "git", "files", "parquet")
        and settings.second_reader.analyst in ("none", "rules")
        and settings.embedder != "openai"
        and settings.compute != "dask"
    )


def schedules(settings: Settings) -> list[Any]:
    """The daily cycle and retention; running by default only where nothing leaves the machine."""
    status = dg.DefaultScheduleStatus.RUNNING if stays_inside(settings) else dg.DefaultScheduleStatus.STOPPED
    daily_cycle = dg.build_schedule_from_partitioned_job(
        cycle,
        name="daily_cycle",
        hour_of_day=2,
        default_status=status,
        description="Yesterday, every night at 02:00 UTC.",
    )
    return [
        daily_cycle,
        dg.ScheduleDefinition(
            name="retention_cycle", job=retention, cron_schedule="0 4 * * *", default_status=status,
            description="What has expired is removed, every night at 04:00 UTC.",
        ),
    ]  # fmt: skip


def sensor_status(settings: Settings) -> dg.DefaultSensorStatus:
    """Sensors run by default only where nothing leaves the machine."""
    return dg.DefaultSensorStatus.RUNNING if stays_inside(settings) else dg.DefaultSensorStatus.STOPPED


@dg.op(description="Remove what has expired.")
@guarded
def remove_expired_days(
    context: dg.OpExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    analyst: dg.ResourceParam[Analyst],
    second_reader: dg.ResourceParam[Analyst],
    session_source: dg.ResourceParam[SessionSource],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Raw text, answers, vectors and rows under pseudonyms expire, counted from the day on which they were written.

    Rebuilding an expired day fails clearly before it writes, unless the source still has it.
    """
    doors = {
        "settings": settings, "warehouse": warehouse, "analyst": analyst, "second_reader": second_reader,
        "session_source": session_source,
    }  # fmt: skip
    for item in expire(doors, today()):
        context.log.info("%s: %d removed, kept for %d days", item.what, item.removed, item.kept_days)


@dg.job(description="Retention: remove what has expired.")
def retention() -> None:
    """One step, safe to repeat and to kill."""
    remove_expired_days()
