"""Partitions: the days, and the friction types. Nothing else is partitioned.

Put here: partition definitions, the days of a run, looking back.
Not here: what happens on a day (see `assets/`).

Every asset of the flow is daily with one run for a whole range of days (`BackfillPolicy.single_run`), because
Dagster's own overhead is per step and event, and because a range must go through its days in order: clusters,
proposals, causes and levels read their own previous day from the warehouse. Lineage therefore shows same-day
edges; a window or a previous day is read through the warehouse door and named in the asset's description.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

import dagster as dg

from signals_assets.settings import Settings

FRICTION_TYPES: Final = dg.DynamicPartitionsDefinition(name="friction_type")
"""One partition per friction type of the taxonomy, for the three assets that act."""

WHOLE_RANGE: Final = dg.BackfillPolicy.single_run()
RANGE_START: Final = "dagster/asset_partition_range_start"
RANGE_END: Final = "dagster/asset_partition_range_end"


def daily(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Days from the settings' first to their last (default: yesterday)."""
    end = settings.end_day + timedelta(days=1) if settings.end_day else None
    return dg.DailyPartitionsDefinition(
        start_date=settings.start_day.isoformat(), end_date=end.isoformat() if end else None
    )


DAYS: Final = daily(Settings())


def range_tags(first: date, last: date) -> dict[str, str]:
    """Run tags that make one run materialize every day from `first` to `last`."""
    return {RANGE_START: first.isoformat(), RANGE_END: last.isoformat()}


def days_of(context: dg.AssetExecutionContext) -> list[date]:
    """The days of this run, ascending."""
    return sorted(date.fromisoformat(key) for key in context.partition_keys)


def days_of_run(run: dg.DagsterRun) -> list[date]:
    """The days a run was launched for, from its tags; empty when it was not for days."""
    if RANGE_START in run.tags:
        first, last = (date.fromisoformat(run.tags[tag]) for tag in (RANGE_START, RANGE_END))
        return list(between(first, last))
    key = run.tags.get("dagster/partition", "")
    try:
        return [date.fromisoformat(key)]
    except ValueError:
        return []


def between(first: date, last: date) -> Iterator[date]:
    """Every day from `first` to `last`, both included."""
    for offset in range((last - first).days + 1):
        yield first + timedelta(days=offset)


def window(day: date, length: int) -> list[date]:
    """The `length` days that end with `day`."""
    return list(between(day - timedelta(days=length - 1), day))


def today() -> date:
    """The UTC date: only for `known_on` of what a redo of a stored day adds, and for the schedule."""
    return datetime.now(UTC).date()
