"""Retention through the doors: remove what has expired.

Put here: removing, by table and door. Not here: how long what is kept (see `core/retention.py`).
Every removal is of a whole day or file, so that a kill in between leaves nothing to repair.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from signals_assets.core.retention import days_kept
from signals_assets.resources.stopped_runs import remove_stopped_runs
from signals_assets.resources.warehouse import Warehouse
from signals_assets.settings import Settings
from signals_assets.tables import TABLES


@dataclass(frozen=True, slots=True)
class Expired:
    """What was removed of a table (days) or a door (files), and for how long it is kept."""

    what: str
    zone: str
    kept_days: int
    removed: int


def expire(doors: Mapping[str, Any], today: date, *, dry_run: bool = False) -> list[Expired]:
    """Remove what was written longer ago than it is kept; safe to repeat and to kill.

    `doors` has settings, warehouse, analyst, second_reader and session_source. With `dry_run` only counts.
    """
    settings: Settings = doors["settings"]
    warehouse: Warehouse = doors["warehouse"]
    found = []
    for model in TABLES.values():
        keep = days_kept(model, settings)
        if keep is None:
            continue
        cut = today - timedelta(days=keep)
        days = [day for day in warehouse.days(model) if (warehouse.written_on(model, day) or day) < cut]
        removed = len(days) if dry_run else warehouse.delete_days(model, days)
        found.append(Expired(model.table, model.zone, keep, removed))
    cut = today - timedelta(days=settings.retention_days)
    before = datetime(cut.year, cut.month, cut.day, tzinfo=UTC)
    for what, door in (
        ("batches of answers", "analyst"),
        ("batches of second answers", "second_reader"),
        ("spool copies by day", "session_source"),
    ):
        removed = doors[door].expire(before, dry_run=dry_run)
        found.append(Expired(what, "restricted", settings.retention_days, removed))
    removed = remove_stopped_runs(settings, before, dry_run=dry_run)
    found.append(Expired("stopped runs of signals analyze", "restricted", settings.retention_days, removed))
    return found
