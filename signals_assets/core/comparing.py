"""Two cohorts of sessions against each other: a prompt experiment, a staged rollout, two versions on the same tasks.

Put here: what is known of a session when cohorts are compared, who is paired with whom, the four verdicts.
Not here: reading files (see `cli/compare.py`), the tests themselves (see `statistics.py`), releases of a stored life
(see `correlations.py`, which looks every day and needs evidence that stays valid under daily looks; this is one look).

Where both cohorts did the same tasks, tasks are pairs: only tasks of both count, each the same however often it was
tried, and what a hard task does to both cancels. Elsewhere the method is that of releases (`statistics.compare`), by
user, or by session where no user is known. One family holds everything that is shown, and Benjamini-Hochberg at 5 %
controls its false discoveries.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from signals_assets.core.arrays import Floats, Integers
from signals_assets.core.detectors import examine
from signals_assets.core.sessions import Session
from signals_assets.core.statistics import (
    EQUIVALENCE_POINTS,
    EQUIVALENCE_SHARE,
    Cohort,
    benjamini_hochberg,
    compare,
    standardised_difference,
)
from signals_assets.core.user_days import ANY, OTHER, day_number

Pairing = Literal["task", "user", "session"]
Verdict = Literal["improved", "regressed", "unchanged", "not enough data"]
What = Literal["friction", "delight", "outcome", "reward"]

DISCOVERY_RATE: Final = 0.05
"""Benjamini-Hochberg level of the one family that a comparison is."""
MIN_EVENTS: Final = 10
"""Sessions with and sessions without an event, both cohorts together, below which it is not tested."""
MIN_UNITS: Final = 10
"""Tasks, users or sessions of either cohort below which nothing is said."""
REWARD_MARGIN: Final = 0.2
"""`unchanged` of a reward: the interval lies within so many standard deviations of single rewards."""
POWER_Z: Final = 1.959963984540054 + 0.8416212335729143
"""Standard errors that a single test at 5 % needs to see a difference with 80 % power."""
OUTCOMES: Final[Mapping[str, bool]] = {"success": True, "abandoned": False}
"""Outcomes that are compared, and whether more of them is better."""


@dataclass(frozen=True, slots=True)
class Case:
    """What counts of one session."""

    key: str
    day: int
    steps: int
    outcome: str
    met: frozenset[tuple[str, str]]
    """Kind and type of its events; type `all` of friction: any of medium or high severity."""
    user: str | None = None
    task: str | None = None
    reward: float | None = None


def case_of(session: Session, min_confidence: float, *, task: str | None, reward: float | None) -> Case:
    """A session as the detectors see it; events below `min_confidence` and of type `other` do not count."""
    examined = examine(session)
    sure = [event for event in examined.detected if event.confidence >= min_confidence and event.type != OTHER]
    met = {(event.kind, event.type) for event in sure}
    if any(event.kind == "friction" and event.severity in ("medium", "high") for event in sure):
        met.add(("friction", ANY))
    return Case(
        key=session.key,
        day=day_number(session.day),
        steps=len(session.steps),
        outcome=examined.facets.outcome,
        met=frozenset(met),
        user=session.user_id,
        task=task,
        reward=reward,
    )


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the comparison: a share of sessions, or the mean reward."""

    what: What
    name: str
    more_is_better: bool

    def of(self, case: Case) -> float | None:
        """The session's value; None where it has none."""
        if self.what == "reward":
            return case.reward
        if self.what == "outcome":
            return float(case.outcome == self.name)
        return float((self.what, self.name) in case.met)


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one measure. Effects are after minus before, with a 95 % interval; q None: not tested."""

    measure: Measure
    before: float
    after: float
    effect: float
    low: float
    high: float
    q: float | None
    smallest_detectable: float
    """Least effect that this many sessions would show with 80 % power in a test of its own."""
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """A whole comparison."""

    pairing: Pairing
    units: tuple[int, int]
    """Tasks, users or sessions before and after."""
    shared: int
    """Of them, in both cohorts."""
    sessions: tuple[int, int]
    days_overlap: bool
    """Whether a day exists on which both cohorts ran."""
    findings: list[Finding]
    comparisons: int
    left_out: dict[str, int] = field(default_factory=dict)
    """Sessions that were not compared, by reason."""


def measures(friction: Collection[str], delight: Collection[str]) -> list[Measure]:
    """Everything that is compared, in the order in which it is shown; slugs of the taxonomy, `other` is none."""
    return [
        Measure("reward", "reward", True),
        *(Measure("outcome", name, better) for name, better in OUTCOMES.items()),
        Measure("friction", ANY, False),
        *(Measure("friction", name, False) for name in friction if name != OTHER),
        *(Measure("delight", name, True) for name in delight),
    ]


def compare_cohorts(before: Sequence[Case], after: Sequence[Case], wanted: Sequence[Measure]) -> Outcome:
    """Compare two cohorts of cases; sessions that are in both are left out of both and counted.

    A measure that no session of either cohort has is shown with the rate 0 and tells what it would have seen;
    a reward that no session has is absent.
    """
    both = {case.key for case in before} & {case.key for case in after}
    left_out = Counter({"in_both_cohorts": 2 * len(both)})
    cohorts = [[case for case in cohort if case.key not in both] for cohort in (before, after)]
    pairing = _pairing(*cohorts)
    if pairing == "task":
        shared = {case.task for case in cohorts[0]} & {case.task for case in cohorts[1]} - {None}
        for place, cohort in enumerate(cohorts):
            cohorts[place] = [case for case in cohort if case.task in shared]
            left_out["task_not_in_both"] += sum(case.task is not None and case.task not in shared for case in cohort)
            left_out["no_task"] += sum(case.task is None for case in cohort)
    drafts = [
        (measure, estimate)
        for measure in wanted
        if (estimate := _estimate(measure, cohorts[0], cohorts[1], pairing)) is not None
    ]
    tested = [place for place, (_, estimate) in enumerate(drafts) if estimate.testable]
    q_values = dict(zip(tested, benjamini_hochberg([drafts[place][1].p for place in tested]), strict=True))
    units = [{_unit(case, pairing) for case in cohort} for cohort in cohorts]
    days = [{case.day for case in cohort} for cohort in cohorts]
    return Outcome(
        pairing=pairing,
        units=(len(units[0]), len(units[1])),
        shared=len(units[0] & units[1]),
        sessions=(len(cohorts[0]), len(cohorts[1])),
        days_overlap=bool(days[0] & days[1]),
        findings=[_finding(*draft, q_values.get(place)) for place, draft in enumerate(drafts)],
        comparisons=len(tested),
        left_out={reason: count for reason, count in sorted(left_out.items()) if count},
    )


def _pairing(before: Sequence[Case], after: Sequence[Case]) -> Pairing:
    """By task where most sessions of both cohorts did tasks of both, by user where most have one, else by session."""
    shared = {case.task for case in before} & {case.task for case in after} - {None}
    if len(shared) >= MIN_UNITS and all(
        2 * sum(case.task in shared for case in cohort) >= len(cohort) for cohort in (before, after)
    ):
        return "task"
    known = all(2 * sum(case.user is not None for case in cohort) >= len(cohort) for cohort in (before, after))
    return "user" if known and before and after else "session"


def _unit(case: Case, pairing: Pairing) -> tuple[str, str | None]:
    """What varies independently: a session without a user is a unit of its own."""
    if pairing == "task":
        return ("task", case.task)
    return ("user", case.user) if pairing == "user" and case.user is not None else ("session", case.key)


@dataclass(frozen=True, slots=True)
class _Estimate:
    """A measure's figures before the family is judged."""

    before: float
    after: float
    effect: float
    low: float
    high: float
    error: float
    p: float
    margin: float
    testable: bool
    units: int
    """Of the cohort that has fewer."""


def _estimate(measure: Measure, before: Sequence[Case], after: Sequence[Case], pairing: Pairing) -> _Estimate | None:
    """None where a cohort has no value at all. Rewards are moved to 0..1, where shares live, and back."""
    valued = [
        [(case, value) for case in cohort if (value := measure.of(case)) is not None] for cohort in (before, after)
    ]
    if not all(valued):
        return None
    if pairing == "task":  # a reward may be missing on one side of a pair
        tasks = {case.task for case, _ in valued[0]} & {case.task for case, _ in valued[1]}
        valued = [[one for one in cohort if one[0].task in tasks] for cohort in valued]
        if not tasks:
            return None
    values = [np.array([value for _, value in cohort]) for cohort in valued]
    joined = np.concatenate(values)
    least, width = (0.0, 1.0) if ((joined >= 0) & (joined <= 1)).all() else (joined.min(), np.ptp(joined) or 1.0)
    cases = [[case for case, _ in cohort] for cohort in valued]
    scaled = [(one - least) / width for one in values]
    found = _paired(cases, scaled) if pairing == "task" else _by_unit(cases, scaled, pairing)
    rate_before, rate_after, effect, low, high, error, p = found
    total = float(sum(one.sum() for one in scaled))
    units = min(len({_unit(case, pairing) for case in cohort}) for cohort in cases)
    if measure.what == "reward":
        margin = REWARD_MARGIN * float(joined.std())
    else:
        margin = max(EQUIVALENCE_SHARE * min(rate_before, 1 - rate_before), EQUIVALENCE_POINTS)
    return _Estimate(
        before=float(least + width * rate_before),
        after=float(least + width * rate_after),
        effect=float(width * effect),
        low=float(width * low),
        high=float(width * high),
        error=float(width * error),
        p=p,
        margin=margin,
        testable=units >= MIN_UNITS and min(total, len(joined) - total) >= MIN_EVENTS,
        units=units,
    )


_Figures = tuple[float, float, float, float, float, float, float]
"""Before, after, effect, its ends, its standard error, p."""


def _paired(cases: Sequence[Sequence[Case]], values: Sequence[Floats]) -> _Figures:
    """Each task counts once in each cohort; variance by task and, where users are known, at least that by user.

    The error is at least that of one task which differs, so that no difference at all does not look like certainty.
    Few tasks differ, and by whole tasks: one of them is taken off the effect before it is tested, and added to the
    interval (the continuity correction of McNemar's test; Edwards 1948). Measured on 60 pairs without any difference,
    ten types and a reward, 400 comparisons: any false verdict in 4.5 % with it, in 6.5 % without (standard error 1).
    """
    from scipy.special import stdtr, stdtrit

    cohorts, tasks, users = [], [], []
    task_code, user_code = _codes([case.task for side in cases for case in side]), _codes(_people(cases))
    for side, value in zip(cases, values, strict=True):
        tries = Counter(case.task for case in side)
        weight = np.array([1 / tries[case.task] for case in side])
        cohorts.append(_cohort(side, weight, weight * value))
        tasks.append(np.array([task_code[case.task] for case in side], dtype=np.int64))
        users.append(np.array([user_code[case.user or case.key] for case in side], dtype=np.int64))
    flat = (np.zeros(len(cases[0]), dtype=np.int64), np.zeros(len(cases[1]), dtype=np.int64))
    contrasts = [
        standardised_difference(cohorts[0], cohorts[1], (units[0], units[1]), flat, binomial_floor=False)
        for units in ([tasks, users] if any(case.user for side in cases for case in side) else [tasks])
    ]
    widest = max(contrasts, key=lambda contrast: float(contrast.variance[0]))
    one = 1 / len(task_code)
    error = max(float(np.sqrt(widest.variance[0])), one)
    rate_before, rate_after = float(widest.rate_before[0]), float(widest.rate_after[0])
    effect, reach = rate_after - rate_before, float(stdtrit(widest.df, 0.975)) * error + one
    p = 2 * float(stdtr(widest.df, -max(abs(effect) - one, 0.0) / error))
    return rate_before, rate_after, effect, max(effect - reach, -1.0), min(effect + reach, 1.0), error, p


def _by_unit(cases: Sequence[Sequence[Case]], values: Sequence[Floats], pairing: Pairing) -> _Figures:
    """As releases are compared: by user (or session), weekday-standardised, with what single days add."""
    code = _codes([_unit(case, pairing) for side in cases for case in side])
    cohorts = []
    for side, value in zip(cases, values, strict=True):
        plain = _cohort(side, np.ones(len(side)), value)
        unit = np.array([code[_unit(case, pairing)] for case in side], dtype=np.int64)
        cohorts.append(Cohort(unit, plain.day, plain.sessions, plain.weight, plain.events))
    found = compare(cohorts[0], cohorts[1])[0]
    return (
        found.rate_before,
        found.rate_after,
        found.effect,
        found.low,
        found.high,
        found.standard_error,
        found.p,
    )


def _people(cases: Sequence[Sequence[Case]]) -> list[str]:
    return [case.user or case.key for side in cases for case in side]


def _codes(values: Sequence[object]) -> dict[object, int]:
    return {value: code for code, value in enumerate(sorted(set(values), key=str))}


def _cohort(cases: Sequence[Case], weight: Floats, events: Floats) -> Cohort:
    days: Integers = np.array([case.day for case in cases], dtype=np.int64)
    return Cohort(np.arange(len(cases)), days, np.ones(len(cases)), weight, events[None, :])


def _finding(measure: Measure, found: _Estimate, q: float | None) -> Finding:
    verdict: Verdict = "not enough data"
    if q is not None and q <= DISCOVERY_RATE:
        verdict = "improved" if (found.effect > 0) == measure.more_is_better else "regressed"
    elif found.units >= MIN_UNITS and -found.margin < found.low and found.high < found.margin:
        verdict = "unchanged"
    return Finding(
        measure=measure,
        before=found.before,
        after=found.after,
        effect=found.effect,
        low=found.low,
        high=found.high,
        q=q,
        smallest_detectable=POWER_Z * found.error,
        verdict=verdict,
    )
