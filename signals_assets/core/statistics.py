"""Tests and intervals that respect that sessions of one user belong together.

Put here: comparing two cohorts (`compare`), one rate's interval (`interval`), families of tests (`benjamini_hochberg`,
`e_benjamini_hochberg`, `judge`). Pure functions of arrays.
Not here: which cohorts are compared and who may see the result (see `correlations.py`), counting (see `user_days.py`).

Method of `compare`: generalised least squares under the working model of `mixed_model.py` gives the effect; variance
from leaving out one user at a time over both cohorts together, so that a user present in both cancels, at least that
of independent sessions; plus what single days add (an outage moves all users at once and no user-level variance sees
it), as far as the two cohorts' days differ; referred to Student's t. Evidence is an mSPRT e-value, which stays valid
however often one looks. For a statistician: docs/statistics.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from signals_assets.core.arrays import Floats, Integers, add_up, numbered, sums
from signals_assets.core.mixed_model import DRIFT, EFFECT, HABIT, Cells, Weights, tempered, weigh

Evidence = Literal["confirmed", "suspected", "none", "not_enough_data"]

SUSPECTED_Q: Final = 0.025
"""Benjamini-Hochberg level of one day's family; daily looks pile up, so it is stricter than the 5 % aimed at."""
CONFIRMED_RATE: Final = 0.05
"""e-BH level: false discoveries among what is called confirmed."""
MIN_EXPECTED_EVENTS: Final = 10
"""Below this many expected events in the later cohort nothing is tested."""
MIN_BASELINE_DAYS: Final = 5
"""Days of the earlier cohort below which the spread between days cannot be judged at all."""
EFFECT_SCALES: Final = (0.3, 1.0)
"""Sizes of change, as shares of the baseline rate, that the e-value bets on (the mean of two e-values is one)."""
SMALLEST_RATE: Final = 0.02
"""Baseline rate that scales are at least taken from: a type that never occurred can still begin."""
DAY_SPREAD: Final = 0.1
"""Day-to-day spread, as a share of the rate, assumed before any day was seen."""
DAY_SPREAD_DAYS: Final = 6
"""How many days of evidence that assumption is worth: it carries a baseline of a week, not one of a month."""
ASSUMED_CORRELATION: Final = 0.05
"""Least correlation between sessions of one user that intervals of single rates allow for."""
LENT_DAYS: Final = 12
"""How many days of evidence all types together are worth for the day-to-day spread of one."""
_INCIDENT: Final = 1e6
"""Variance of the shock of a day set apart, in the working model: what all users met on it says nothing."""
EQUIVALENCE_SHARE: Final = 0.3
EQUIVALENCE_POINTS: Final = 0.02
"""`unchanged` needs the 95 % interval within +-30 % of the baseline rate (or 2 points, where that is more)."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """Counts of a cohort by user and day, for one or several types at once.

    user, day: integer codes per cell (days count from 1970-01-01); sessions: how many there were; weight: the same
    weighted by inclusion; events: shape (types, cells), weighted sessions with at least one such event.
    """

    user: Integers
    day: Integers
    sessions: Floats
    weight: Floats
    events: Floats

    def where(self, mask: NDArray[np.bool_]) -> "Cohort":
        """The cells for which `mask` holds."""
        return Cohort(self.user[mask], self.day[mask], self.sessions[mask], self.weight[mask], self.events[:, mask])

    def of_types(self, rows: Integers) -> "Cohort":
        """The same cells, only these types."""
        return Cohort(self.user, self.day, self.sessions, self.weight, self.events[rows])

    @property
    def worth(self) -> float:
        """How many sessions of equal weight these are worth (Kish); as many as they are where weights are equal."""
        squares = float((self.weight**2 / self.sessions).sum())
        return float(self.weight.sum()) ** 2 / squares if squares else 0.0

    def merged(self) -> "Cohort":
        """One cell per user and day, in that order: how counts were split over rows must not matter."""
        if not len(self.user):
            return self
        first = self.day.min()
        span = int(self.day.max() - first) + 1
        if (np.diff(self.user * span + (self.day - first)) > 0).all():
            return self
        keys, index = np.unique(self.user * span + (self.day - first), return_inverse=True)
        size = len(keys)
        return Cohort(
            user=keys // span,
            day=keys % span + first,
            sessions=add_up(index, self.sessions, size),
            weight=add_up(index, self.weight, size),
            events=sums(index, size, self.events),
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of one type from the earlier cohort to the later one.

    Rates are shares of sessions in which the many sessions of one user count less each (`Cohort.tempered`).
    """

    rate_before: float
    rate_after: float
    effect: float
    low: float
    high: float
    standard_error: float
    z: float
    p: float
    e_value: float
    df: float
    users_before: int
    users_after: int
    sessions_before: int
    sessions_after: int
    expected_events: float
    enough: bool
    """False: too few events, users or days to test; the figures are then only descriptive."""

    def smallest_detectable(self, comparisons: int) -> float:
        """Least change that a family of so many comparisons would show with 80 % power."""
        from scipy.special import ndtri

        level = SUSPECTED_Q / max(comparisons, 1)
        return float((ndtri(1 - level / 2) + ndtri(0.8)) * self.standard_error)

    @property
    def equivalent(self) -> bool:
        """Whether the interval lies within the margin of `unchanged`."""
        margin = max(EQUIVALENCE_SHARE * self.rate_before, EQUIVALENCE_POINTS)
        return self.enough and -margin < self.low and self.high < margin


def compare(before: Cohort, after: Cohort, apart: Integers | None = None) -> list[Comparison]:
    """Compare two cohorts, one result per type (row of `events`).

    `apart`: days set apart as incidents; only what users met differently on the same such day is compared. Where only
    one user exists there is no variation between users; days then stand in their place, and the result speaks about
    that user alone. Method: the module's docstring; its measured error rates: `benchmarks/correlations.py`.
    """
    types = before.events.shape[0]
    if not len(before.user) or not len(after.user):
        return [_nothing(before, after)] * types
    sample = _Sample.of(before.merged(), after.merged(), np.array([], dtype=np.int64) if apart is None else apart)
    return _results(before, after, sample, _estimate(sample))


@dataclass(frozen=True, slots=True)
class _Sample:
    """Both cohorts as cells of the working model, with their weighted events as of sessions of equal weight."""

    cells: Cells
    """What varies independently stands in the place of `user`: the days of one user alone."""
    events: Floats
    groups: Integers
    """Per cell its cohort and kind of day: 0 and 1 before (weekday, weekend), 2 and 3 after."""
    apart: NDArray[np.bool_]
    """Per day code: set apart as an incident."""

    @classmethod
    def of(cls, before: Cohort, after: Cohort, apart: Integers) -> "_Sample":
        size = np.concatenate([cohort.weight * (cohort.worth / cohort.weight.sum()) for cohort in (before, after)])
        weight = np.concatenate([before.weight, after.weight])
        events = np.concatenate([before.events, after.events], axis=1)
        later = np.repeat([0, 1], [len(before.user), len(after.user)])
        first = min(int(before.day.min()), int(after.day.min()))
        days, day = numbered(np.concatenate([before.day, after.day]) - first)
        weekend = np.concatenate([_strata(before.day), _strata(after.day)])
        if not _standardisable(before, _strata(before.day), _strata(after.day)):
            weekend = np.zeros_like(weekend)
        users, user = numbered(np.concatenate([before.user, after.user]))
        return cls(
            cells=Cells(user if len(users) > 1 else day, day, later, weekend, size),
            events=events if np.array_equal(size, weight) else events * (size / weight),
            groups=later * 2 + weekend,
            apart=np.isin(days + first, apart),
        )

    @property
    def baseline_days(self) -> int:
        """Days of the earlier cohort that are no incidents."""
        seen = np.bincount(self.cells.day[self.cells.later == 0], minlength=len(self.apart)) > 0
        return int((seen & ~self.apart).sum())

    @property
    def free_days(self) -> int:
        """Degrees of freedom that the days of the earlier cohort leave for the spread between days."""
        kinds = np.bincount(self.groups, minlength=4)[:2]
        return max(self.baseline_days - int((kinds > 0).sum()), 0)


@dataclass(frozen=True, slots=True)
class _Estimate:
    """Effect per type with the two parts of its variance."""

    rate_before: Floats
    rate_after: Floats
    effect: Floats
    by_user: Floats
    user_df: float
    by_day: Floats
    day_df: float
    expected: Floats
    """Events expected in the later cohort outside of incidents at the pooled rate."""


def _estimate(sample: _Sample) -> _Estimate:
    """Generalised least squares under the working model, then variances from the data: by user and by day."""
    cells = sample.cells
    mass, events = add_up(sample.groups, cells.size, 4), sums(sample.groups, 4, sample.events)
    base = np.maximum(events[:, :2].sum(axis=1) / mass[:2].sum(), 1e-6)
    spread, pooled = _day_spread(sample, events / np.maximum(mass, 1e-12), base)
    typical = min(max(float(base.mean()), SMALLEST_RATE), 0.5)
    fitted = weigh(cells, np.where(sample.apart, _INCIDENT, max(pooled, 1e-4) * typical / (1 - typical)))
    rates = fitted.weights / cells.size
    estimates = sample.events @ rates.T
    weights = fitted.weights[EFFECT]
    by_user, kish = _by_user(sample, fitted, rates[EFFECT], estimates)
    pooled_rate = (events.sum(axis=1) + 0.5) / (mass.sum() + 1.0)
    binomial = pooled_rate * (1 - pooled_rate) * float((weights * rates[EFFECT]).sum())
    imbalance = float(np.square(add_up(cells.day, weights, len(sample.apart))[~sample.apart]).sum())
    before, after = _plain_rates(sample)
    return _Estimate(
        rate_before=before,
        rate_after=after,
        effect=estimates[:, EFFECT],
        by_user=np.maximum(by_user, binomial),
        user_df=max(kish - 1.0, 1.0),
        by_day=spread * np.square(base) * imbalance,
        day_df=float(sample.free_days + DAY_SPREAD_DAYS),
        expected=pooled_rate * float(cells.size[(cells.later == 1) & ~sample.apart[cells.day]].sum()),
    )


def _by_user(sample: _Sample, fitted: Weights, rates: Floats, estimates: Floats) -> tuple[Floats, float]:
    """Variance of the effect by leaving out one user at a time, and the effective number of users."""
    part, size = sample.cells.part, 2 * (int(sample.cells.user.max()) + 1)
    weights = fitted.weights[EFFECT]
    influence = sums(part, size, sample.events * rates) - estimates @ sums(part, size, weights * fitted.columns)
    held = add_up(part, np.abs(weights), size).reshape(-1, 2)
    held /= held.sum(axis=0)
    left_out = (influence / _left(1.0, held).ravel()).reshape(len(influence), -1, 2).sum(axis=2)
    return np.square(left_out).sum(axis=1), min(effective_number(held[:, 0]), effective_number(held[:, 1]))


def _plain_rates(sample: _Sample) -> tuple[Floats, Floats]:
    """Both cohorts' rates, the earlier one's at the later one's mix of weekdays and weekends."""
    worth = tempered(sample.cells)
    mass = add_up(sample.groups, worth, 4).reshape(2, 2)
    events = sums(sample.groups, 4, sample.events * (worth / sample.cells.size)).reshape(-1, 2, 2)
    rates, shares = events / np.maximum(mass, 1e-12), mass[1] / mass[1].sum()
    return rates[:, 0] @ shares, rates[:, 1] @ shares


def _day_spread(sample: _Sample, rates: Floats, base: Floats) -> tuple[Floats, float]:
    """Variance of the days' shocks as a share of the squared rate: per type, and of all types together.

    rates: by type and group of cells; base: rate of the earlier cohort by type. Moment estimate: the excess of the
    squared deviations of days over what the users of that day explain, after what each user always does was taken
    out. Types lend each other strength, as far as they were measured exactly (moderated variances: Smyth, Statistical
    Applications in Genetics and Molecular Biology 3, 2004), and all lean on an assumed spread, because a week of days
    cannot show how days differ.
    """
    cells, groups = sample.cells, sample.groups
    users = int(cells.user.max()) + 1
    sessions = add_up(cells.user * 4 + groups, cells.size, 4 * users).reshape(users, 4)
    habit = (sums(cells.user, users, sample.events) - rates @ sessions.T) / (1 / HABIT + sessions.sum(axis=1))
    worth = 1 / (1 + DRIFT * np.maximum(cells.size - 1, 0.0))
    residual = sample.events * worth
    residual -= (rates[:, groups] + habit[:, cells.user]) * (cells.size * worth)
    size = 2 * len(sample.apart)
    place = cells.day * 2 + cells.later
    mass = add_up(place, cells.size * worth * ~sample.apart[cells.day], size)
    group = np.zeros(size, dtype=np.int64)
    group[place] = groups
    used = mass > 0
    mass, group = mass[used], group[used]
    deviation = sums(place, size, residual)[:, used] / mass
    explained = sums(place, size, np.square(residual))[:, used] / mass**2
    part = mass / add_up(group, mass, 4)[group]
    freedom = float((mass * (1 - part)).sum())
    relative, noise = np.zeros(len(base)), np.ones(len(base))
    if freedom > 1e-9:
        relative = (mass * (deviation**2 - (1 - part) * explained)).sum(axis=1) / freedom / base**2
        noise = (mass * explained).sum(axis=1) / mass.sum() / base**2
    trust = 1 / (noise + DAY_SPREAD**2) ** 2
    days = sample.free_days
    common = max(float((trust * relative).sum() / trust.sum()), 0.0)
    pooled = (days * common + DAY_SPREAD_DAYS * DAY_SPREAD**2) / (days + DAY_SPREAD_DAYS)
    moderated = (days * np.maximum(relative, 0.0) + LENT_DAYS * pooled) / (days + LENT_DAYS)
    return moderated, pooled


@dataclass(frozen=True, slots=True)
class Contrast:
    """A standardised difference of rates per type with its variance by unit (user)."""

    rate_before: Floats
    rate_after: Floats
    variance: Floats
    df: float
    shares: Floats
    """Share of the later cohort per stratum: what the earlier one is standardised to."""
    strata_rates: Floats
    """Rate before, shape (types, strata)."""
    units_before: int
    units_after: int


def standardised_difference(
    before: Cohort,
    after: Cohort,
    units: tuple[Integers, Integers],
    strata: tuple[Integers, Integers],
    *,
    binomial_floor: bool,
) -> Contrast:
    """Rate of `after` minus the rate of `before` re-weighted to the strata of `after`; variance by leaving out units.

    Strata of `after` must occur in `before`. `binomial_floor`: the variance is at least that of independent
    sessions at the pooled rate, so that a handful of lucky users cannot look certain.
    """
    codes, joined = np.unique(np.concatenate(units), return_inverse=True)
    size, split = len(codes), len(before.user)
    unit_before, unit_after = joined[:split], joined[split:]
    levels = int(max(strata[0].max(), strata[1].max())) + 1
    total_after = after.weight.sum()
    shares = add_up(strata[1], after.weight, levels) / total_after
    rate_after = after.events.sum(axis=1) / total_after
    mass_before = add_up(strata[0], before.weight, levels)
    strata_rates = sums(strata[0], levels, before.events) / np.maximum(mass_before, 1e-12)
    rate_before = strata_rates @ shares

    unit_weight = add_up(unit_after, after.weight, size)
    influence = (sums(unit_after, size, after.events) - rate_after[:, None] * unit_weight) / _left(
        total_after, unit_weight
    )
    cell = unit_before * levels + strata[0]
    weight = add_up(cell, before.weight, size * levels).reshape(size, levels)
    events = sums(cell, size * levels, before.events).reshape(-1, size, levels)
    residual = (events - strata_rates[:, None, :] * weight) / _left(mass_before, weight)
    influence -= residual @ shares
    variance = (influence**2).sum(axis=1)
    if binomial_floor:
        variance = np.maximum(variance, _binomial(before, after, shares, strata[0]))
    kish = min(effective_number(unit_weight), effective_number(weight.sum(axis=1)))
    return Contrast(
        rate_before=rate_before,
        rate_after=rate_after,
        variance=variance,
        df=max(kish - 1.0, 1.0),
        shares=shares,
        strata_rates=strata_rates,
        units_before=len(np.unique(unit_before)),
        units_after=len(np.unique(unit_after)),
    )


def effective_number(weights: Floats) -> float:
    """Kish's effective number of units: how many equal ones would be worth as much as these unequal ones."""
    total = float(np.square(weights).sum())
    return float(weights.sum() ** 2 / total) if total else 0.0


def _left(total: Any, part: Floats) -> Floats:
    """What is left of a total without each unit; where nothing is left, the whole (such cohorts are not tested)."""
    rest = total - part
    return np.asarray(np.where(rest > 1e-9, rest, np.maximum(total, 1e-12)), dtype=np.float64)


def _strata(day: Integers) -> Integers:
    """0 for Monday to Friday, 1 for the weekend; day 0 (1970-01-01) was a Thursday."""
    return ((day + 3) % 7 >= 5).astype(np.int64)


def _standardisable(before: Cohort, strata_before: Integers, strata_after: Integers) -> bool:
    """Whether every kind of day in the later cohort was seen on at least two days of the earlier one."""
    days = before.day - before.day.min()
    return all(len(numbered(days[strata_before == kind])[0]) >= 2 for kind in numbered(strata_after)[0])


def _binomial(before: Cohort, after: Cohort, shares: Floats, strata_before: Integers) -> Floats:
    """Variance of the difference if all sessions were independent with the pooled (slightly smoothed) rate."""
    size = len(shares)
    mass = add_up(strata_before, before.weight, size)
    squares = add_up(strata_before, before.weight**2 / before.sessions, size)
    spread = float((shares**2 * squares / np.maximum(mass, 1e-12) ** 2).sum())
    spread += float((after.weight**2 / after.sessions).sum() / after.weight.sum() ** 2)
    share = (before.events.sum(axis=1) + after.events.sum(axis=1)) / (before.weight.sum() + after.weight.sum())
    total = before.sessions.sum() + after.sessions.sum()
    pooled = (share * total + 0.5) / (total + 1.0)
    return np.asarray(pooled * (1 - pooled) * spread)


def _results(before: Cohort, after: Cohort, sample: _Sample, found: _Estimate) -> list[Comparison]:
    from scipy.special import ndtri, stdtr, stdtrit

    variance = np.maximum(found.by_user + found.by_day, 1e-12)
    error = np.sqrt(variance)
    df = variance**2 / (found.by_user**2 / found.user_df + found.by_day**2 / found.day_df)  # Satterthwaite
    effect = found.effect
    p = np.maximum(2 * stdtr(df, -np.abs(effect) / error), 1e-300)
    z = -ndtri(p / 2) * np.sign(effect)
    scale = np.maximum(found.rate_before, SMALLEST_RATE)
    e_value = np.mean([_mixture(z, variance, share * scale) for share in EFFECT_SCALES], axis=0)
    reach = stdtrit(df, 0.975) * error
    units = [len(numbered(sample.cells.user[sample.cells.later == cohort])[0]) for cohort in (0, 1)]
    testable = min(units) >= 2 and sample.baseline_days >= MIN_BASELINE_DAYS
    users_before, users_after = len(numbered(before.user)[0]), len(numbered(after.user)[0])
    return [
        Comparison(
            rate_before=float(found.rate_before[i]),
            rate_after=float(found.rate_after[i]),
            effect=float(effect[i]),
            low=float(max(effect[i] - reach[i], -1.0)),
            high=float(min(effect[i] + reach[i], 1.0)),
            standard_error=float(error[i]),
            z=float(z[i]),
            p=float(p[i]),
            e_value=float(e_value[i]),
            df=float(df[i]),
            users_before=users_before,
            users_after=users_after,
            sessions_before=round(float(before.sessions.sum())),
            sessions_after=round(float(after.sessions.sum())),
            expected_events=float(found.expected[i]),
            enough=bool(testable and found.expected[i] >= MIN_EXPECTED_EVENTS),
        )
        for i in range(len(effect))
    ]


def _mixture(z: Floats, variance: Floats, scale: Floats) -> Floats:
    """The mSPRT e-value of a normal effect with standard deviation `scale` against none."""
    kept = scale**2 / (variance + scale**2)
    return np.asarray(np.sqrt(1 - kept) * np.exp(np.minimum(z**2 / 2 * kept, 600.0)))


def _nothing(before: Cohort, after: Cohort) -> Comparison:
    """The comparison with an empty cohort."""
    return Comparison(
        rate_before=0.0,
        rate_after=0.0,
        effect=0.0,
        low=-1.0,
        high=1.0,
        standard_error=1.0,
        z=0.0,
        p=1.0,
        e_value=1.0,
        df=1.0,
        users_before=len(np.unique(before.user)),
        users_after=len(np.unique(after.user)),
        sessions_before=round(float(before.sessions.sum())),
        sessions_after=round(float(after.sessions.sum())),
        expected_events=0.0,
        enough=False,
    )


# --- families ---------------------------------------------------------------------------------------------------


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """q-values: the least false discovery rate at which each p-value would be reported."""
    values = np.asarray(p, dtype=np.float64)
    count = len(values)
    order = np.argsort(values, kind="stable")
    ranked = values[order] * count / np.arange(1, count + 1)
    q = np.empty(count)
    q[order] = np.minimum.accumulate(ranked[::-1])[::-1] if count else ranked
    return [float(min(value, 1.0)) for value in q]


def e_benjamini_hochberg(e: Sequence[float], rate: float = CONFIRMED_RATE) -> list[bool]:
    """e-BH: which e-values are discoveries at the false discovery rate, under any dependence.

    Source: Wang and Ramdas, arXiv 2009.02824. Take the values as of today, never their running maximum.
    """
    values = np.asarray(e, dtype=np.float64)
    count = len(values)
    ranked = np.sort(values)[::-1]
    passing = np.nonzero(np.arange(1, count + 1) * ranked >= count / rate)[0]
    if not len(passing):
        return [False] * count
    least = ranked[passing[-1]]
    return [bool(value >= least) for value in values]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A comparison's place in its family."""

    evidence: Evidence
    q: float | None
    comparisons: int


def judge(family: Sequence[Comparison]) -> list[Judgement]:
    """Evidence of each comparison of one family: everything that is shown together.

    `confirmed` by e-BH at 5 %, `suspected` by Benjamini-Hochberg at 2.5 %, else `none`; comparisons without enough
    data are outside the family and say so.
    """
    tested = [index for index, comparison in enumerate(family) if comparison.enough]
    q = dict(zip(tested, benjamini_hochberg([family[i].p for i in tested]), strict=True))
    sure = dict(zip(tested, e_benjamini_hochberg([family[i].e_value for i in tested]), strict=True))
    judged = []
    for index in range(len(family)):
        evidence: Evidence = "not_enough_data"
        if index in q:
            evidence = "confirmed" if sure[index] else "suspected" if q[index] <= SUSPECTED_Q else "none"
        judged.append(Judgement(evidence, q.get(index), len(tested)))
    return judged


# --- one rate ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Intervals:
    """Rates with 95 % intervals, one per type."""

    rate: Floats
    low: Floats
    high: Floats

    def of(self, row: int) -> tuple[float, float, float]:
        """Rate, low and high of one type."""
        return float(self.rate[row]), float(self.low[row]), float(self.high[row])


def interval(weight: Floats, events: Floats, sessions: float, worth: float | None = None) -> Intervals:
    """Rates and their 95 % intervals by user, within [0, 1] and sensible at 0 and 1.

    `weight` (users,): weighted sessions, all positive; `events` (types, users): the weighted sessions with the event;
    `sessions`: how many sessions there were. A Wilson interval at the effective sample size: the design effect
    is the leave-one-user-out variance over the binomial one, at least what a correlation of `ASSUMED_CORRELATION`
    within users gives; Student's t by the effective number of users. With one user the sessions are the
    units, and the interval speaks about that user alone.
    """
    from scipy.special import stdtrit

    total = float(weight.sum())
    rate = events.sum(axis=1) / total
    worth = sessions if worth is None else worth
    n, t = np.full(len(rate), worth), 1.959963984540054
    if len(weight) > 1:
        influence = (events - rate[:, None] * weight) / _left(total, weight)
        binomial = rate * (1 - rate) / sessions
        kish = effective_number(weight)
        assumed = 1 + ASSUMED_CORRELATION * max(sessions / kish - 1, 0.0)
        unequal = np.full_like(rate, sessions / worth)
        inflation = np.divide((influence**2).sum(axis=1), binomial, out=unequal, where=binomial > 1e-12)
        n = sessions / np.maximum(inflation, assumed)
        t = float(stdtrit(max(kish - 1, 1.0), 0.975))
    centre = (rate + t**2 / (2 * n)) / (1 + t**2 / n)
    reach = t / (1 + t**2 / n) * np.sqrt(rate * (1 - rate) / n + t**2 / (4 * n**2))
    low, high = np.clip(centre - reach, 0.0, rate), np.clip(centre + reach, rate, 1.0)
    return Intervals(rate, low, np.minimum(high, 1.0))
