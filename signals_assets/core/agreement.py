"""Agreement: how far two readings of the same sessions say the same, with intervals by session.

Put here: one to one matching of moments, figures over counts (F1, shares, kappa), the bootstrap by session.
Not here: who reads what (see `benchmarks/detectors.py`), rates over days and releases (see `statistics.py`).

A figure is a function of counts that are summed over sessions: its last axis holds the counts, the axes before it are
resamples. So a thousand resamples of a thousand sessions are one product of matrices.
"""

import math
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.float64]
"""Counts on the last axis: (sessions, k), (resamples, k) or (k,)."""
Figure = Callable[[Counts], Counts]
"""A figure of counts (..., k) -> (...); nan where it is not defined."""

LEVELS: Final = ("low", "medium", "high")
"""Severities, the rows and columns of `kappa`."""
COVERED: Final = (2.5, 97.5)
"""The percentiles of a 95 % interval."""


def match(left: Sequence[AbstractSet[int]], right: Sequence[AbstractSet[int]]) -> list[tuple[int, int]]:
    """The largest one to one matching of step sets that share a step, as sorted pairs of places.

    Augmenting paths (Kuhn 1955); the larger overlap is tried first. A greedy matching loses moments where one
    detection touches two labels and another only the first of them.
    """
    near = [
        sorted((place for place in range(len(right)) if steps & right[place]), key=lambda at: -len(steps & right[at]))
        for steps in left
    ]
    taken: dict[int, int] = {}

    def place(mine: int, tried: set[int]) -> bool:
        for other in near[mine]:
            if other not in tried:
                tried.add(other)
                if other not in taken or place(taken[other], tried):
                    taken[other] = mine
                    return True
        return False

    for mine in range(len(left)):
        place(mine, set())
    return sorted((mine, other) for other, mine in taken.items())


def share(counts: Counts) -> Counts:
    """Part of a whole, from (part, whole)."""
    return _ratio(counts[..., 0], counts[..., 1])


def f1(counts: Counts) -> Counts:
    """F1 from (hits, found, true); not defined where nothing is found and nothing is true."""
    return _ratio(2 * counts[..., 0], counts[..., 1] + counts[..., 2])


def macro_f1(counts: Counts) -> Counts:
    """Mean F1 over classes, from (hits, found, true) of each class in turn; classes without a true case are left out.

    A resample may miss a rare class altogether: it is then the mean over the others.
    """
    of_class = counts.reshape(*counts.shape[:-1], -1, 3)
    present = of_class[..., 2] > 0
    figures = np.where(present, f1(of_class), 0.0)
    return _ratio(figures.sum(axis=-1), present.sum(axis=-1).astype(np.float64))


def balanced_accuracy(counts: Counts) -> Counts:
    """Mean of the shares right among yes and among no, from (right yes, yes, right no, no)."""
    return (share(counts[..., :2]) + share(counts[..., 2:])) / 2


def gain(counts: Counts) -> Counts:
    """Difference of two shares of the same whole, from (part, whole, other part)."""
    return _ratio(counts[..., 0] - counts[..., 2], counts[..., 1])


def kappa(counts: Counts) -> Counts:
    """Cohen's kappa with quadratic weights (Cohen 1968), from the nine cells of LEVELS by LEVELS, row by row."""
    size = len(LEVELS)
    cells = counts.reshape(*counts.shape[:-1], size, size)
    distance = (np.subtract.outer(np.arange(size), np.arange(size)) ** 2).astype(np.float64)
    expected = cells.sum(axis=-1)[..., :, None] * cells.sum(axis=-2)[..., None, :]
    seen = (distance * cells).sum(axis=(-2, -1)) * cells.sum(axis=(-2, -1))
    return np.asarray(1 - _ratio(seen, (distance * expected).sum(axis=(-2, -1))))


def nominal_kappa(counts: Counts) -> Counts:
    """Cohen's kappa of two readings in classes without an order (Cohen 1960), from the square of cells, row by row."""
    size = math.isqrt(counts.shape[-1])
    cells = counts.reshape(*counts.shape[:-1], size, size)
    total = cells.sum(axis=(-2, -1))
    agreed = np.trace(cells, axis1=-2, axis2=-1) * total
    chance = (cells.sum(axis=-1) * cells.sum(axis=-2)).sum(axis=-1)
    return _ratio(agreed - chance, total**2 - chance)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval, each None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


class Bootstrap:
    """Resamples of sessions, drawn once, so that all figures of one run meet the same sessions.

    A session is drawn with all that was counted in it: sheets of the same session never count as independent.
    """

    def __init__(self, sessions: int, resamples: int, seed: int) -> None:
        """Draw `resamples` samples of `sessions` sessions with replacement; equal arguments draw the same."""
        generator = np.random.default_rng(seed)
        self.drawn: Counts = np.zeros((resamples, sessions))
        if sessions:
            self.drawn += generator.multinomial(sessions, np.full(sessions, 1 / sessions), size=resamples)

    def estimate(self, counts: Counts, figure: Figure) -> Estimate:
        """The figure of counts (sessions, k) and its 95 % percentile interval over the resamples.

        Resamples in which the figure is not defined are left out. Fewer than two sessions give no interval.
        """
        value = float(figure(counts.sum(axis=0)))
        drawn = figure(self.drawn @ counts)
        drawn = drawn[~np.isnan(drawn)]
        if np.isnan(value) or len(counts) < 2 or not len(drawn):
            return Estimate(None if np.isnan(value) else round(value, 3), None, None)
        low, high = np.percentile(drawn, COVERED)
        return Estimate(round(value, 3), round(float(low), 3), round(float(high), 3))

    def figure(self, name: str, counts: Counts, figure: Figure) -> dict[str, Any]:
        """The same as `name` and `name_interval` ([low, high] or None), as results are written."""
        found = self.estimate(counts, figure)
        return {name: found.value, f"{name}_interval": None if found.low is None else [found.low, found.high]}


def _ratio(part: Counts, whole: Counts) -> Counts:
    """`part / whole`, nan where the whole is empty."""
    result = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=result, where=np.asarray(whole) > 0)
    return result
