"""The working model of a comparison: how much each user's sessions of each day count in it.

Put here: `weigh`, the weights of generalised least squares for cells of two cohorts. Pure functions of arrays.
Not here: what the weights are applied to, variances and tests (see `statistics.py`), cohorts (see `releases.py`).

The model of a stepped-wedge trial (Hussey and Hughes, Contemporary Clinical Trials 28, 2007), with users in place of
clusters: whether a session meets a friction is

    level + weekend + effect of the later cohort + joining + habit + drift + shock of the day + noise

with random joining (users who come to be in the later cohort differ from those who do not), habit (of a user), drift
(of a user, from one cohort to the other), shock and noise, the rest fixed. Generalised least squares then finds by
itself what the data allow: where all users switched on one day it compares before with after; where some still run the
old version on the same days, their sessions tell what those days would have been (the difference in differences), as
far as days differ; a user who is in both cohorts is compared with himself; one with very many sessions counts for no
more than 1 / `DRIFT` of them in either cohort. The weights need the right proportions only roughly: variances are
estimated from the data afterwards (Liang and Zeger, Biometrika 73, 1986).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from signals_assets.core.arrays import Floats, Integers, add_up, sums

HABIT: Final = 0.05
"""Correlation of any two sessions of one user, beyond what all share."""
DRIFT: Final = 0.02
"""Further correlation of a user's sessions of one cohort: habits change with time, whatever is released."""
JOINING: Final = 0.01
"""Variance of the difference between those who join the later cohort and those who do not."""
EFFECT: Final = 1
"""Row of the effect in columns and weights."""


@dataclass(frozen=True, slots=True)
class Cells:
    """What is compared: one cell per user, day and cohort.

    user, day: codes from 0 without gaps; later, weekend: 1 or 0; size: how many equal sessions a cell is worth.
    """

    user: Integers
    day: Integers
    later: Integers
    weekend: Integers
    size: Floats

    @property
    def part(self) -> Integers:
        """Code of the user in one cohort."""
        return self.user * 2 + self.later


@dataclass(frozen=True, slots=True)
class Weights:
    """Estimates are `weights @ shares`: level, effect, and weekend and joining where they can be told."""

    columns: Floats
    """What multiplies the estimates in the model, shape (estimates, cells)."""
    weights: Floats
    """Shape (estimates, cells). Those of the effect add up to 1 over the later cohort and to -1 over the earlier."""


def tempered(cells: Cells) -> Floats:
    """What each cell is worth beside the other sessions of its user in the same cohort: n count as n / (1 + n r)."""
    part = cells.part
    total = add_up(part, cells.size, int(part.max()) + 1)[part]
    return cells.size / (1 + DRIFT * np.maximum(total - 1, 0.0))


def weigh(cells: Cells, shocks: Floats) -> Weights:
    """Weights of generalised least squares.

    shocks: per day code the variance of its shock, as a multiple of that of a single session. The inverse of the
    covariance is never formed: users are eliminated one by one, days by one system of their number (Woodbury).
    """
    known = [np.ones(len(cells.user)), cells.later.astype(np.float64)]
    prior = [0.0, 0.0]
    if 0 < cells.weekend.sum() < len(cells.user):
        known.append(cells.weekend.astype(np.float64))
        prior.append(0.0)
    joined = (add_up(cells.user, known[EFFECT], int(cells.user.max()) + 1) > 0)[cells.user].astype(np.float64)
    if not joined.all():
        known.append(joined)
        prior.append(1 / JOINING)
    columns = np.stack(known)
    precision = _Precision.of(cells)
    weighted = precision.times(columns)
    of_days = sums(cells.day, len(shocks), weighted)
    between = np.linalg.inv(np.diag(1 / shocks) + precision.of_days(cells.day, len(shocks)))
    solved = np.linalg.inv(columns @ weighted.T - of_days @ between @ of_days.T + np.diag(prior))
    reach = np.asarray(solved @ columns - (solved @ of_days @ between)[:, cells.day], dtype=np.float64)
    return Weights(columns, precision.times(reach))


@dataclass(frozen=True, slots=True)
class _Precision:
    """The inverse covariance of cells within users (habit, drift and noise), as an operator."""

    user: Integers
    part: Integers
    single: Floats
    """Precision of each cell by itself."""
    within_part: Floats
    """Per part: what is taken off for what its cells share."""
    left: Floats
    """Per cell: its precision after that."""
    within_user: Floats

    @classmethod
    def of(cls, cells: Cells) -> "_Precision":
        part = cells.part
        single = cells.size / (1 - HABIT - DRIFT)
        shrunk = 1 / (1 + DRIFT * add_up(part, single, int(part.max()) + 1))
        left = single * shrunk[part]
        within_user = 1 / (1 / HABIT + add_up(cells.user, left, int(cells.user.max()) + 1))
        return cls(cells.user, part, single, DRIFT * shrunk, left, within_user)

    def times(self, values: Floats) -> Floats:
        """The operator applied to rows of cells."""
        weighted = self.single * values
        shared = sums(self.part, len(self.within_part), weighted) * self.within_part
        first = weighted - self.single * shared[:, self.part]
        common = sums(self.user, len(self.within_user), first) * self.within_user
        return np.asarray(first - self.left * common[:, self.user])

    def of_days(self, day: Integers, days: int) -> Floats:
        """The operator between the indicators of days: shape (days, days)."""

        def by_day(index: Integers, rows: int, values: Floats) -> Floats:
            return add_up(index * days + day, values, rows * days).reshape(rows, days)

        parts = by_day(self.part, len(self.within_part), self.single)
        users = by_day(self.user, len(self.within_user), self.left)
        shared = (parts * self.within_part[:, None]).T @ parts + (users * self.within_user[:, None]).T @ users
        return np.asarray(np.diag(parts.sum(axis=0)) - shared)
