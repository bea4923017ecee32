"""The band of agreement: whether detectors and analyst agree on a day as they did on the days before it.

Put here: the rule, and nothing else.
Not here: agreement itself (see `abstractions.py`), who reads again after a day outside (see `rereading.py`).

The rule. Of the sessions in which either source found a type, some have it from both. The day's share of those stands
against the pooled share of the trailing days by Fisher's exact test (Fisher 1922), two-sided: more agreement than ever
is as suspicious as less. Types with too few sessions are not judged. Over the types judged, false discoveries are held
at 5 % (Benjamini and Hochberg 1995), and F1 must have moved by a tenth: a large day shows differences that nobody needs
to look at. Sessions of one user count one by one here, as in the table.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from signals_assets.core.statistics import benjamini_hochberg

BAND_DAYS: Final = 14
"""Trailing days that the band is made of."""
LEAST_TODAY: Final = 10
LEAST_BEFORE: Final = 30
"""Sessions in which either source found the type, on the day and on the days before it together."""
FALSE_DISCOVERY: Final = 0.05
LEAST_CHANGE: Final = 0.1
"""Of F1."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A type of the day against its band."""

    kind: str
    type: str
    f1: float
    f1_before: float
    q: float
    """Among the types judged."""

    @property
    def outside(self) -> bool:
        """Whether the day fell out of the band."""
        return self.q <= FALSE_DISCOVERY and abs(self.f1 - self.f1_before) >= LEAST_CHANGE


def judged(today: Iterable[Mapping[str, Any]], before: Iterable[Mapping[str, Any]]) -> list[Judged]:
    """Every type of the day with enough sessions, from rows of `agreement`; sorted by kind and type."""
    pooled: dict[tuple[str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in before:
        both, either = _counts(row)
        pooled[row["kind"], row["type"]] = (
            pooled[row["kind"], row["type"]][0] + both,
            pooled[row["kind"], row["type"]][1] + either,
        )
    chosen = []
    for row in sorted(today, key=lambda row: (row["kind"], row["type"])):
        now, then = _counts(row), pooled[row["kind"], row["type"]]
        if now[1] >= LEAST_TODAY and then[1] >= LEAST_BEFORE:
            chosen.append((row["kind"], row["type"], now, then))
    q_values = benjamini_hochberg([_p(now, then) for _, _, now, then in chosen])
    return [
        Judged(kind, type_, _f1(*now), _f1(*then), q)
        for (kind, type_, now, then), q in zip(chosen, q_values, strict=True)
    ]


def _counts(row: Mapping[str, Any]) -> tuple[int, int]:
    """Sessions in which both found the type, and in which either did."""
    return row["both"], row["both"] + row["detector_only"] + row["analyst_only"]


def _f1(both: int, either: int) -> float:
    return round(2 * both / (both + either), 4)


def _p(now: tuple[int, int], then: tuple[int, int]) -> float:
    from scipy.stats import fisher_exact

    table = [[now[0], now[1] - now[0]], [then[0], then[1] - then[0]]]
    return float(fisher_exact(table).pvalue)
