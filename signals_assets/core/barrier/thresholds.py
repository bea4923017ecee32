"""Who may see which aggregate: thresholds of distinct users, bands, rounding.

Put here: the audience table and every function that turns a count into something publishable.
Not here: rules about text (see `rules.py`), statistics (see `core/correlations.py`).

One function decides for all surfaces: `shown`. Counts leave as bands, rates are rounded so that the count of
people behind them cannot be read back (small numerators are suppressed, not shown as zero).
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from signals_assets.settings import Audience


@dataclass(frozen=True, slots=True)
class Threshold:
    """Least distinct users, sessions and (where known) organisations."""

    users: int
    sessions: int
    organizations: int


SHOWN: Final[dict[Audience, Threshold]] = {
    "self": Threshold(1, 1, 0),
    "team": Threshold(3, 5, 0),
    "company": Threshold(5, 8, 2),
    "public": Threshold(5, 8, 2),
}
"""From which size an aggregate is shown."""

TICKET: Final[dict[Audience, Threshold]] = {
    "self": Threshold(1, 3, 0),
    "team": Threshold(4, 8, 0),
    "company": Threshold(10, 20, 3),
    "public": Threshold(10, 20, 3),
}
"""From which size a ticket may be filed."""

BANDS: Final[tuple[int, ...]] = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000, 1_000_000)


def reaches(threshold: Threshold, users: int, sessions: int, organizations: int | None) -> bool:
    """Whether counts reach a threshold; unknown organisations (None) are not asked for."""
    return (
        users >= threshold.users
        and sessions >= threshold.sessions
        and (organizations is None or organizations >= threshold.organizations)
    )


def shown(audience: Audience, users: int, sessions: int, organizations: int | None = None) -> bool:
    """Whether an aggregate over so many distinct users, sessions, organisations may be published."""
    return reaches(SHOWN[audience], users, sessions, organizations)


def ticketable(audience: Audience, users: int, sessions: int, organizations: int | None = None) -> bool:
    """Whether a friction that concerns so many may become a ticket."""
    return reaches(TICKET[audience], users, sessions, organizations)


def band(count: int, audience: Audience = "company") -> str:
    """A count as a band ("20-49"); the exact count for the audience `self`."""
    if audience == "self":
        return str(count)
    if count < BANDS[0]:
        return f"<{BANDS[0]}"
    for low, high in pairwise(BANDS):
        if count < high:
            return f"{low}-{high - 1}"
    return f"{BANDS[-1]}+"


def rounded_rate(rate: float, sessions: int, audience: Audience = "company") -> float:
    """A rate rounded to a step coarse enough that its numerator cannot be told to within two sessions.

    The step is the smallest of 0.001, 0.005, 0.01, 0.02, 0.05, 0.1 that spans at least two sessions; for `self`
    the rate is kept to four digits.
    """
    if audience == "self" or sessions <= 0:
        return round(rate, 4)
    for step in (0.001, 0.005, 0.01, 0.02, 0.05, 0.1):
        if step * sessions >= 2:
            return round(round(rate / step) * step, 4)
    return round(round(rate / 0.1) * 0.1, 4)
