"""Breakers: what in the data itself says that something is wrong with measuring, so that nothing is filed on it.

Put here: the inputs of the data's circuit breakers, and which of them are open, as a pure function.
Not here: the breaker for failures of the tracker, the kill switch and budgets (see `resources/filing.py`,
`core/tickets.py`).

Measuring goes on while one is open; it closes by itself when its inputs are right again on a later day: half at first
(`half_open`), when one ticket may be filed.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Final

from signals_assets.core.causes import DataRow
from signals_assets.core.outcomes import is_reverted
from signals_assets.core.tickets import LedgerEntry, keys_named, newest_pull_requests
from signals_assets.core.wording import percent
from signals_assets.settings import BreakerSettings

BREAKER_KIND: Final = "breaker"
"""Ledger kind of what the breakers looked at where one was open."""
HISTORY: Final = 28
"""Days before the day whose candidates its own are compared with."""
LEAST_HISTORY: Final = 7
"""With fewer days before it nobody knows what is usual."""


@dataclass(frozen=True, slots=True)
class BreakerInputs:
    """What the data's breakers look at on one day, in plain JSON types: stored, so that a decision can be replayed.

    candidates: types and slices over their threshold.  usual_candidates: their median on the days before; None where
    these are too few.  sessions, quarantined: read and set aside.  summaries, refused: written and refused by the
    barrier.  fixes, failed_fixes: newest settled pull requests for tickets, and those of them that were taken back or
    closed unmerged.  taxonomy_changed: the day is the first under other categories.
    """

    day: str
    candidates: int = 0
    usual_candidates: float | None = None
    sessions: int = 0
    quarantined: int = 0
    summaries: int = 0
    refused: int = 0
    fixes: int = 0
    failed_fixes: int = 0
    taxonomy_changed: bool = False


def open_breakers(given: BreakerInputs, settings: BreakerSettings) -> list[str]:
    """The reasons why nothing is filed on the day, in words; empty where all is well."""
    reasons = []
    if given.usual_candidates is not None:
        most = settings.candidates * max(given.usual_candidates, 1.0)
        if given.candidates > most:
            reasons.append(f"{given.candidates} types are over their thresholds at once, more than {most:g}")
    for part, whole, limit, what in (
        (given.quarantined, given.sessions + given.quarantined, settings.quarantined, "sessions were set aside"),
        (given.refused, given.summaries, settings.refused, "summaries were refused by the barrier"),
    ):
        if whole and part / whole > limit:
            reasons.append(f"{percent(part / whole)} of the day's {what}, more than {percent(limit)}")
    if given.failed_fixes >= settings.failed_fixes:
        reasons.append(f"{given.failed_fixes} of the last {given.fixes} fixes were reverted or closed unmerged")
    if given.taxonomy_changed and settings.taxonomy_changed:
        reasons.append("the categories changed today")
    return [f"a circuit breaker is open: {reason}" for reason in reasons]


def half_open(noted: Iterable[LedgerEntry], previous: date | None) -> bool:
    """Whether a breaker was open on the evaluated day before: then one ticket a day is enough to see what comes of it.

    noted: entries of BREAKER_KIND.  previous: the day evaluated before this one, None where there is none.
    """
    return previous is not None and any(entry.payload["inputs"]["day"] == previous.isoformat() for entry in noted)


def candidates(levels: Iterable[DataRow], day: date) -> tuple[int, float | None]:
    """How many types and slices are over their threshold on the day, and the median of the days before it.

    levels: `friction_levels` rows up to the day; a row is a candidate while it counts days over its threshold.
    """
    by_day: dict[date, int] = {}
    for row in levels:
        if day - timedelta(HISTORY) <= row["day"] <= day:
            by_day[row["day"]] = by_day.get(row["day"], 0) + (row["days_over"] > 0)
    today = by_day.pop(day, 0)
    return today, median(by_day.values()) if len(by_day) >= LEAST_HISTORY else None


def settled_fixes(pull_requests: Iterable[DataRow], names: Collection[str], day: date, last: int) -> tuple[int, int]:
    """How many of the newest `last` settled pull requests for tickets there are, and how many of them failed.

    pull_requests: rows of all days up to this one.  names: keys of our tickets, and the tracker's identifiers of them.
    Settled: merged, or closed unmerged. One failed when it was closed unmerged, or taken back by another.
    """
    newest = newest_pull_requests(day, pull_requests).values()
    settled = [row for row in newest if row["state"] != "open" and not set(names).isdisjoint(keys_named(row))]
    latest = sorted(settled, key=lambda row: (row["opened_at"], row["pull_request_id"]))[-last:]
    return len(latest), sum(row["state"] == "closed" or is_reverted(row, newest) for row in latest)
