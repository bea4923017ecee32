"""Who may see which aggregate: thresholds of distinct users, bands, rounding, complements.

Put here: the audience table and every function that turns a count into something publishable.
Not here: rules about text (see `rules.py`), statistics (see `core/correlations.py`), noise (see `differential.py`).

One function decides for all surfaces: `shown`. Counts leave as bands. A rate leaves on a grid that depends on the band
of its sessions only, so wide that neither it nor what is missing to 100 % can be counted back; an interval is rounded
outwards on the same grid. Where fewer people than the threshold are concerned, and where nobody is, the figure is
absent: zero and few look the same. For the audience `public` nothing is shown without noise.

`tests/core/barrier/test_differencing.py` enumerates worlds against these functions.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

from signals_assets.settings import Audience

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Threshold:
    """Least distinct users, sessions and (where known) organisations."""

    users: int
    sessions: int
    organizations: int


@dataclass(frozen=True, slots=True)
class Size:
    """What an aggregate rests on. organizations: None where no session knows one.

    largest: sessions of the organisation that has most of them (0 where none is known).
    """

    users: int
    sessions: int
    organizations: int | None = None
    largest: int = 0


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
STEPS: Final[tuple[float, ...]] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5)
"""Grids of rates, finest first."""
MANY_USERS: Final = 50
"""From so many users on, one of them does not move an interval's rounded ends by itself."""
SMALL_CORRELATION: Final = 0.2
"""Correlation of one user's sessions that intervals of few users allow for, where it is not measured."""
WITHHELD: Final = "not shown"
"""In the place of a band where nothing may be said about a size."""
ACCOUNT_DAYS: Final = 7
"""A ticket asks for users whose accounts were seen so many days before: accounts made for the purpose open none."""
PATTERNS_A_DAY: Final = 3
"""So many patterns of a day one user's support counts for: a single account cannot lift everything over a threshold."""


def reaches(threshold: Threshold, users: int, sessions: int, organizations: int | None, largest: int = 0) -> bool:
    """Whether counts reach a threshold; unknown organisations (None) are not asked for.

    One organisation's sessions count for at most half of those that are counted: with `largest` of them from one
    organisation, twice the others is all that counts (where the threshold asks for organisations).
    """
    if organizations is None or not threshold.organizations:
        return users >= threshold.users and sessions >= threshold.sessions
    counted = min(sessions, 2 * (sessions - largest))
    return users >= threshold.users and counted >= threshold.sessions and organizations >= threshold.organizations


def shown(audience: Audience, users: int, sessions: int, organizations: int | None = None, largest: int = 0) -> bool:
    """Whether an aggregate over so many distinct users, sessions, organisations may be published as it is.

    Never for `public`: what leaves the house leaves with noise (see `differential.py`) or not at all.
    """
    return audience != "public" and reaches(SHOWN[audience], users, sessions, organizations, largest)


def size_shown(audience: Audience, size: Size) -> bool:
    """`shown` for a `Size`."""
    return shown(audience, size.users, size.sessions, size.organizations, size.largest)


def day_shown(audience: Audience, size: Size) -> bool:
    """`shown` for a single day that stands beside the week it belongs to: four times the threshold.

    The difference of the two is the other days, and of two weeks a day apart it is two days: small ones would show.
    """
    beside = 1 if audience == "self" else 4
    return size_shown(audience, size) and (
        size.users >= beside * SHOWN[audience].users and size.sessions >= beside * SHOWN[audience].sessions
    )


def ticketable(
    audience: Audience, users: int, sessions: int, organizations: int | None = None, largest: int = 0
) -> bool:
    """Whether a friction that concerns so many may become a ticket."""
    return reaches(TICKET[audience], users, sessions, organizations, largest)


def concerned_shown(audience: Audience, users: int) -> bool:
    """Whether a part of a shown group may be spoken of: enough distinct users are in it. Nobody is not enough."""
    return audience == "self" or (audience != "public" and users >= SHOWN[audience].users)


def part_shown(audience: Audience, concerned: int, others: int) -> bool:
    """Whether a rate may be told: enough users met it and enough had sessions without it.

    "All of them" and "all but one" say as much of people as "none" and "one".
    """
    return audience == "self" or (concerned_shown(audience, concerned) and concerned_shown(audience, others))


def band(count: int, audience: Audience = "company") -> str:
    """A count as a band ("20-49"); the exact count for the audience `self`, nothing for `public`."""
    if audience == "self":
        return str(count)
    if audience == "public":
        return WITHHELD
    if count < BANDS[0]:
        return f"<{BANDS[0]}"
    for low, high in pairwise(BANDS):
        if count < high:
            return f"{low}-{high - 1}"
    return f"{BANDS[-1]}+"


def about(count: int, audience: Audience = "company") -> int:
    """A total for operators (rows, requests, skips), rounded to tens, above 1000 to two digits; exact for `self`."""
    if audience == "self":
        return count
    digits = -1 if count < 1000 else 1 - math.floor(math.log10(count))
    return round(count, digits)


def step(sessions: int, audience: Audience = "company") -> float:
    """The grid of rates over so many sessions: the finest that spans as many sessions as the threshold asks users.

    It depends on the band of the sessions only, so the grid tells no more of their number than the band does.
    """
    floor, people = _floor(sessions, SHOWN[audience].sessions), SHOWN[audience].users
    return next((width for width in STEPS if width * floor >= people), STEPS[-1])


def _floor(count: int, least: int) -> int:
    """The least that a published band says of a count."""
    return max([least, *(low for low in BANDS if low <= count)])


def rounded_rate(rate: float, sessions: int, audience: Audience = "company") -> float:
    """A rate (or a difference of rates) on the grid of `step`; to four digits for `self`."""
    return _on_grid(rate, sessions, audience, round)


def rounded_low(low: float, sessions: int, audience: Audience = "company") -> float:
    """The lower end of an interval, rounded downwards: rounding never makes an interval narrower."""
    return _on_grid(low, sessions, audience, math.floor)


def rounded_high(high: float, sessions: int, audience: Audience = "company") -> float:
    """The upper end of an interval, rounded upwards."""
    return _on_grid(high, sessions, audience, math.ceil)


def _on_grid(value: float, sessions: int, audience: Audience, rounding: Callable[[float], int]) -> float:
    if audience == "self":
        return round(value, 4)
    width = step(sessions, audience)
    return round(rounding(round(value / width, 9)) * width, 4)


def rounded_interval(
    interval: tuple[float, float, float], sessions: int, users: int, audience: Audience = "company"
) -> tuple[float, float, float]:
    """A rate with the ends of its 95 % interval (rate, low, high) as it may be published.

    Of fewer than `MANY_USERS` users the ends are computed from what is published anyhow, the band of sessions and
    users and the edges of the rate's grid, so that they tell nothing more: the exact ones differ between "all" and
    "all but one". Wilson's interval with the design effect of `SMALL_CORRELATION` and Student's t.
    """
    rate, low, high = interval
    if audience == "self" or users >= MANY_USERS:
        rounded = (rounded_low(low, sessions, audience), rounded_high(high, sessions, audience))
        return rounded_rate(rate, sessions, audience), max(rounded[0], 0.0), min(rounded[1], 1.0)
    from scipy.special import stdtrit

    people, many = _floor(users, SHOWN[audience].users), _floor(sessions, SHOWN[audience].sessions)
    t = float(stdtrit(max(people - 1, 1), 0.975))
    n = many / (1 + SMALL_CORRELATION * max(many / people - 1, 0.0))
    middle, half = rounded_rate(rate, sessions, audience), step(sessions, audience) / 2
    ends = [_wilson(min(max(edge, 0.0), 1.0), n, t) for edge in (middle - half, middle + half)]
    return middle, rounded_low(ends[0][0], sessions, audience), rounded_high(ends[1][1], sessions, audience)


def _wilson(rate: float, n: float, t: float) -> tuple[float, float]:
    centre = (rate + t**2 / (2 * n)) / (1 + t**2 / n)
    reach = t / (1 + t**2 / n) * math.sqrt(rate * (1 - rate) / n + t**2 / (4 * n**2))
    return max(centre - reach, 0.0), min(centre + reach, 1.0)


_DIGITS: Final = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0)


def coarse(value: float, audience: Audience = "company") -> float:
    """A ratio, median or evidence to the nearest of 1, 1.5, 2, 3, 5, 7 times a power of ten; two digits for `self`.

    For figures that are no share of anything: exact, they would tell counts of a few apart.
    """
    if value == 0 or not math.isfinite(value):
        return value
    if audience == "self":
        return float(f"{value:.2g}")
    power = 10.0 ** math.floor(math.log10(abs(value)))
    digit = min(_DIGITS, key=lambda one: abs(abs(value) / power - one))
    return float(f"{math.copysign(digit * power, value):.3g}")


def coarse_ends(low: float, high: float) -> tuple[float, float]:
    """The ends of an interval of ratios, outwards to the numbers of `coarse`."""
    grid = [0.0, *(digit * 10.0**power for power in range(-3, 6) for digit in _DIGITS[:-1])]
    least = max((one for one in grid if one <= low + 1e-9), default=0.0)
    return round(least, 4), round(min((one for one in grid if one >= high - 1e-9), default=high), 4)


def family(comparisons: int, audience: Audience = "company") -> int:
    """How many tests a family holds at most, to tens: whether one more had enough data is a count's doing."""
    return comparisons if audience == "self" else 10 * max(math.ceil(comparisons / 10), 1)


_Q_GRID: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0)
_E_GRID: Final = (0.0, 0.1, 0.5, 1.0, 5.0, 10.0, 20.0, 100.0, 1000.0)


def rounded_q(q: float, audience: Audience = "company") -> float:
    """A q-value, upwards to one of seven: exact, a very small one tells worlds apart that differ by one person."""
    return coarse(q, audience) if audience == "self" else next((one for one in _Q_GRID if q <= one), 1.0)


def rounded_e(e_value: float, audience: Audience = "company") -> float:
    """An e-value, downwards to one of nine, 1000 at most, for the same reason."""
    return coarse(e_value, audience) if audience == "self" else max(one for one in _E_GRID if one <= max(e_value, 0.0))


def without_complements(parts: Sequence[T], size: Callable[[T], int], alone: Callable[[Sequence[T]], bool]) -> list[T]:
    """Complementary suppression: which parts may stand beside their total.

    Hides the next smallest part (by `size`) for as long as what is left of the total without the shown parts would be
    a group that may not be shown. `alone` says so of the shown parts. Order is kept.
    """
    kept = list(parts)
    while kept and alone(kept):
        smallest = min(range(len(kept)), key=lambda index: (size(kept[index]), index))
        del kept[smallest]
    return kept
