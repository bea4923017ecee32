"""Retention: how long each table is kept, counted from the day on which it was written.

Put here: the plan by zone and table. Not here: removing (see `resources/retention.py`), the schedule (`automation.py`).
"""

from typing import Final, Literal

from signals_assets.core import discovery_items, within_sessions
from signals_assets.settings import Settings
from signals_assets.tables import Row

EXPIRING: Final = ("raw_sessions", "quarantine", "feedback", "analyses", "rereadings", "word_support")
"""Restricted tables whose days expire after `retention_days`."""
WINDOWED: Final = ("error_logs",)
"""Restricted tables that later days still read back on for four weeks: they are kept at least that long."""
WINDOW_DAYS: Final = within_sessions.WINDOW_DAYS
VECTORS: Final = ("embeddings",)
"""Vectors of admitted texts, which tell no more than the texts. A day may be repeated while its raw text is here, and
reads four weeks back then: so they are kept for both terms together, and never longer than the texts themselves."""
KEYED: Final = ("analysis_batches", "user_outcomes")
"""Restricted tables without text, under pseudonyms: they expire with the abstracted zone."""
PERSONLESS: Final = ("releases", "pull_requests")
"""Restricted tables about the agent, not about its users: kept."""

Term = Literal["raw", "window", "vectors", "abstracted", "kept"]


def term_of(model: type[Row]) -> Term:
    """By which of the settings a table expires; the published zone is kept."""
    if model.table in EXPIRING:
        return "raw"
    if model.table in WINDOWED:
        return "window"
    if model.table in VECTORS:
        return "vectors"
    return "abstracted" if model.zone == "abstracted" or model.table in KEYED else "kept"


def days_kept(model: type[Row], settings: Settings) -> int | None:
    """Days for which a table is kept after it was written; None: for good."""
    abstracted = max(settings.retention_days, settings.abstracted_retention_days)
    terms = {
        "raw": settings.retention_days,
        "window": max(settings.retention_days, WINDOW_DAYS),
        "vectors": min(discovery_items.WINDOW_DAYS + settings.retention_days, abstracted),
        "abstracted": abstracted,
        "kept": None,
    }
    return terms[term_of(model)]
