"""Stage 6 · correlations, leading indicators: what comes before what, and what it costs.

Put here: `leading_indicators`: the questions, who could give which answer, the comparison.
Not here: backend errors (see `error_association.py`), reading the window (see `within_sessions.py`), tests (see
`statistics.py`).

Every question is asked every day of every type, and what cannot be answered says so. Four designs:
- `session_length`: sessions with the sign against sessions of the same length (fifths of agentic steps) without it.
- `same_step`: hazard-style. From the first such moment on, is the session abandoned within the next steps, or does a
  complaint follow, against sessions that came as far without such a moment and may still meet it.
- `next_stage`: the chance of one more statement of a request after so many, against the chance at the stage before.
- `by_user`: users who met it in the first half of the window against users as active who did not; what the records
  tell of them in the second half. Users of whom it was told before are left out.
All intervals are by user, and one family with Benjamini-Hochberg holds everything that is tested. "Before" is not
"because": users who are given to one friction may be given to another, and that is a sign, too.

Measured on 1,500 sessions of 300 heavy-tailed users in which nothing depends on anything: a verdict in 0 of 60
repetitions, in 1 of 60 where each user is given to each friction in a measure of their own.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from signals_assets.core.arrays import Floats, Integers
from signals_assets.core.barrier.thresholds import (
    Size,
    band,
    coarse,
    concerned_shown,
    part_shown,
    rounded_high,
    rounded_low,
    rounded_q,
    rounded_rate,
    size_shown,
)
from signals_assets.core.coverage import Coverage
from signals_assets.core.statistics import (
    MIN_EXPECTED_EVENTS,
    Cohort,
    benjamini_hochberg,
    standardised_difference,
)
from signals_assets.core.user_days import ANONYMOUS, CountedType, Rows, day_number, records
from signals_assets.core.within_sessions import (
    WINDOW_DAYS,
    WindowEvent,
    WindowSession,
    visible,
    window_events,
    window_sessions,
)
from signals_assets.settings import Audience
from signals_assets.tables import LeadingIndicator

Design = Literal["session_length", "same_step", "next_stage", "by_user"]
Mask = NDArray[np.bool_]

LENGTH_GROUPS: Final = 5
STEP_GROUPS: Final = 10
"""Groups of the step at which a sign came first; each is compared with sessions that reached its middle."""
WITHIN_STEPS: Final = 20
"""Steps after a sign within which `same_step` looks for the end."""
HORIZONS: Final = (5, 10, WITHIN_STEPS, 40, 80)
"""The same of the first friction of any type: together they are the curve of the sessions that go on."""
FIRST_STEPS: Final = 10
"""Steps that are the beginning of a session: a request and the first work on it."""
STATEMENTS: Final[tuple[int, ...]] = (3, 4, 5)
"""After how many statements of the same request the chance of a further one is asked for."""
ONE_MORE: Final = "one more statement"
REPHRASING: Final = "repeated_rephrasing"
ERROR: Final = "error_event"
LATER: Final = ("escalation_tone", "correction")
ASSOCIATION_Q: Final = 0.05
USER_OUTCOMES: Final = frozenset(
    {"churned", "stalled", "refused_upgrade", "downgraded", "converted", "upgraded", "returned"}
)
"""Words for what happened to a user that are published as they are; others by the label they are given."""


@dataclass(frozen=True, slots=True)
class _Units:
    """Who could give an answer, a row each: a session, a session at a step, or a user.

    user: what varies independently; person: for thresholds; session: what sizes count; stratum: rows of one number
    are compared with each other; worth: sessions that a row stands for.
    """

    user: Integers
    person: Integers
    organization: Integers
    session: Integers
    stratum: Integers
    worth: Integers

    def at(self, rows: Integers, stratum: Integers) -> "_Units":
        """These rows, in other strata; a row may come more than once."""
        return _Units(
            self.user[rows], self.person[rows], self.organization[rows], self.session[rows], stratum, self.worth[rows]
        )


@dataclass(frozen=True, slots=True)
class _Question:
    """Rows with and without the sign, and which of them had the outcome."""

    indicator: str
    outcome: str
    design: Design
    units: _Units
    exposed: Mask
    hit: Mask
    control: Mask
    control_hit: Mask
    weight: Floats
    lead_steps: Floats | None = None
    lead_seconds: Floats | None = None


def leading_indicators(
    day: date,
    *,
    friction: Rows,
    delight: Rows,
    facets: Rows,
    metrics: Rows,
    outcomes: Rows,
    labels: Rows,
    types: Sequence[CountedType],
    audience: Audience,
    label: Callable[[str, str], str],
    min_confidence: float,
) -> tuple[list[LeadingIndicator], Coverage]:
    """The answers of the trailing 28 days to every question; the module says which there are.

    outcomes: rows of `user_outcomes`. Of analysed sessions only where a session's own outcome is asked for, weighted.
    A row without figures is a question that cannot be answered from so little. A user's outcome is asked about where
    enough users had it for this audience; nothing is for `public`. Coverage counts questions.
    """
    sessions = window_sessions(metrics, day)
    events = window_events(friction, "friction", labels, types, day, min_confidence)
    pleased = {event.session_id for event in window_events(delight, "delight", labels, types, day, min_confidence)}
    names = [item.type for item in types if item.kind == "friction"]
    table = _Table.of(day, sessions, events, pleased, facets, names)
    happened = _happened(day, outcomes)
    asked = [word for word, users in happened.items() if concerned_shown(audience, len(users))]
    questions = [*_questions(table, names)]
    for word in asked:
        name = word if word in USER_OUTCOMES else label("user_outcome", word)
        questions += _of_users(day, sessions, events, happened[word], names, name)
    unasked = (len(happened) - len(asked)) * (len(names) + 1)
    if audience == "public":
        unasked, questions = unasked + len(questions), []
    drafts = [_answer(day, question, audience) for question in questions]
    tested = [index for index, (_, p, _) in enumerate(drafts) if p is not None]
    q_values = dict(zip(tested, benjamini_hochberg([p for _, p, _ in drafts if p is not None]), strict=True))
    rows = [_judged(row, q_values.get(index), audience) for index, (row, _, _) in enumerate(drafts)]
    skipped = Counter(reason for _, _, reason in drafts if reason)
    skipped["too_few_users"] += unasked
    answered = sum(not reason for _, _, reason in drafts)
    reasons = {reason: count for reason, count in skipped.items() if count}
    return rows, Coverage(asked=len(rows) + unasked, answered=answered, skipped=reasons)


# --- questions about sessions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Table:
    """Sessions as arrays, a row each: first and last step and second of each type, statements, outcome."""

    units: _Units
    steps: Floats
    seconds: Floats
    first: Mapping[str, tuple[Floats, Floats]]
    last: Mapping[str, tuple[Floats, Floats]]
    statements: Floats
    severe_error: Mask
    """Sessions with an error that was not recovered from at once (of medium or high severity)."""
    pleased: Mask
    outcome: NDArray[np.str_]
    weight: Floats

    @classmethod
    def of(
        cls,
        day: date,
        sessions: Mapping[str, WindowSession],
        events: Sequence[WindowEvent],
        pleased: Collection[str],
        facets: Rows,
        types: Collection[str],
    ) -> "_Table":
        """Fill the arrays; sessions in the order of their ids."""
        place = {session_id: index for index, session_id in enumerate(sorted(sessions))}
        ordered = [sessions[session_id] for session_id in place]
        first = {type_: (np.full(len(ordered), np.inf), np.full(len(ordered), np.nan)) for type_ in sorted(types)}
        last = {type_: (np.full(len(ordered), -np.inf), np.full(len(ordered), np.nan)) for type_ in sorted(types)}
        statements, severe = np.zeros(len(ordered)), np.zeros(len(ordered), dtype=bool)
        for event in events:
            index = place.get(event.session_id)
            if index is None:
                continue
            seconds = np.nan if event.seconds is None else event.seconds
            if event.step < first[event.type][0][index]:
                first[event.type][0][index], first[event.type][1][index] = event.step, seconds
            if event.step > last[event.type][0][index]:
                last[event.type][0][index], last[event.type][1][index] = event.step, seconds
            if event.type == REPHRASING:
                statements[index] = max(statements[index], event.statements)
            severe[index] |= event.type == ERROR and event.severity != "low"
        outcome, weight = np.full(len(ordered), "", dtype="<U16"), np.zeros(len(ordered))
        names = ("session_id", "day", "known_on", "facet", "value", "inclusion_weight")
        for session_id, about, known_on, facet, value, inclusion in records(facets, names):
            if facet == "outcome" and session_id in place and visible(about, known_on, day):
                outcome[place[session_id]], weight[place[session_id]] = value, inclusion
        return cls(
            units=_session_units(ordered),
            steps=np.array([session.steps for session in ordered], dtype=np.float64),
            seconds=np.array([session.seconds for session in ordered], dtype=np.float64),
            first=first,
            last=last,
            statements=statements,
            severe_error=severe,
            pleased=np.array([session_id in pleased for session_id in place], dtype=bool),
            outcome=outcome,
            weight=weight,
        )


def _session_units(ordered: Sequence[WindowSession]) -> _Units:
    return _Units(
        user=_codes([session.user for session in ordered]),
        person=_codes([session.person for session in ordered]),
        organization=_codes([session.organization or "" for session in ordered], missing=""),
        session=np.arange(len(ordered)),
        stratum=_groups([session.agentic_steps for session in ordered], LENGTH_GROUPS),
        worth=np.ones(len(ordered), dtype=np.int64),
    )


def _codes(values: Sequence[str], missing: str | None = None) -> Integers:
    code = {value: index for index, value in enumerate(sorted(set(values)))}
    return np.array([-1 if value == missing else code[value] for value in values], dtype=np.int64)


def _groups(values: Sequence[float] | Floats, count: int) -> Integers:
    """Numbers of groups of about equal size, by value."""
    numbers = np.asarray(values, dtype=np.float64)
    edges = np.quantile(numbers, np.arange(1, count) / count) if len(numbers) else np.zeros(0)
    return np.searchsorted(edges, numbers, side="left").astype(np.int64)


def _questions(table: _Table, types: Sequence[str]) -> Iterator[_Question]:
    """What is asked of sessions, in the order of the taxonomy's types."""
    for type_ in types:
        yield from _after_friction(table, type_, *table.first[type_])
        yield from _complaint_later(table, type_)
    starts = [table.first[type_] for type_ in types]
    if starts:
        steps = np.array([step for step, _ in starts])
        earliest, every = steps.argmin(axis=0), np.arange(len(table.steps))
        first = steps[earliest, every], np.array([seconds for _, seconds in starts])[earliest, every]
        yield from _after_friction(table, "friction", *first, within=HORIZONS)
        early = first[0] < FIRST_STEPS
        for value in ("abandoned", "success"):
            yield _of_outcome(table, f"friction in the first {FIRST_STEPS} steps", value, early, ~early, first)
    if REPHRASING in table.first:
        yield from _after_statements(table)
    if ERROR in table.first:
        yield from _after_errors(table)


def _after_friction(
    table: _Table, type_: str, step: Floats, second: Floats, within: Sequence[int] = (WITHIN_STEPS,)
) -> Iterator[_Question]:
    """Does the session end badly, is it given up soon after (`within` so many steps)?"""
    present = np.isfinite(step)
    for value in ("abandoned", "partial"):
        yield _of_outcome(table, f"{type_}>=1", value, present, ~present, (step, second))
    analysed, abandoned, last = table.outcome != "", table.outcome == "abandoned", table.steps - 1
    for steps in within:

        def soon(rows: Integers, since: Floats, steps: int = steps) -> Mask:
            return np.asarray(abandoned[rows] & (last[rows] - since <= steps))

        yield _from_then_on(
            table, type_, f"abandoned within {steps} steps", (step, second), analysed, np.zeros_like(step), soon,
            table.weight, (last, table.seconds),
        )  # fmt: skip


def _complaint_later(table: _Table, type_: str) -> Iterator[_Question]:
    """Does a complaint of another type follow? Among sessions of the same length, for more follows in longer ones."""
    everywhere = np.ones(len(table.steps), dtype=bool)
    for later in LATER:
        if later != type_ and later in table.last:
            at, moment = table.last[later]

            def follows(rows: Integers, since: Floats, at: Floats = at) -> Mask:
                return np.asarray(at[rows] > since)

            yield _from_then_on(
                table, type_, f"later {later}", table.first[type_], everywhere, table.units.stratum, follows,
                np.ones(len(everywhere)), (at, moment),
            )  # fmt: skip


def _of_outcome(
    table: _Table, indicator: str, value: str, exposed: Mask, control: Mask, since: tuple[Floats, Floats] | None = None
) -> _Question:
    """The outcome of analysed sessions, weighted; `since`: step and second from which the lead to the end counts."""
    analysed, hit = table.outcome != "", table.outcome == value
    lead = (None, None) if since is None else (table.steps - 1 - since[0], table.seconds - since[1])
    return _Question(
        indicator, f"outcome={value}", "session_length", table.units, exposed & analysed, hit, control & analysed, hit,
        table.weight, *lead,
    )  # fmt: skip


def _from_then_on(
    table: _Table,
    type_: str,
    outcome: str,
    since: tuple[Floats, Floats],
    asked: Mask,
    length: NDArray[Any],
    hit: Callable[[Integers, Floats], Mask],
    weight: Floats,
    end: tuple[Floats, Floats],
) -> _Question:
    """Hazard-style: from the first such moment on, against sessions that came as far without one.

    asked: sessions that the question is about; length: their groups that are not mixed; hit: of some sessions, whether
    it happened from a step on; end: step and second to which the lead counts.
    """
    step = since[0]
    exposed = np.nonzero(np.isfinite(step) & asked)[0]
    group = _groups(step[exposed], STEP_GROUPS)
    rows, strata, hits = [exposed], [group], [hit(exposed, step[exposed])]
    for stratum in np.unique(group):
        middle = np.median(step[exposed][group == stratum])
        control = np.nonzero(asked & (table.steps - 1 > middle) & (step > middle))[0]
        rows.append(control)
        strata.append(np.full(len(control), stratum))
        hits.append(hit(control, np.full(len(control), middle)))
    row, happened = np.concatenate(rows), np.concatenate(hits)
    stratum = np.concatenate(strata).astype(np.int64) * LENGTH_GROUPS + length[row].astype(np.int64)
    with_it = np.arange(len(row)) < len(exposed)
    lead = [np.where(np.isfinite(to) & np.isfinite(at), to - np.where(np.isfinite(at), at, 0), np.nan)
            for to, at in zip(end, since, strict=True)]  # fmt: skip
    return _Question(
        f"{type_}>=1", outcome, "same_step", table.units.at(row, stratum), with_it, happened, ~with_it, happened,
        weight[row], lead[0][row], lead[1][row],
    )  # fmt: skip


def _after_statements(table: _Table) -> Iterator[_Question]:
    """After k statements of one request: is there one more, and does it succeed or is it given up?"""
    for k in STATEMENTS:
        reached, earlier = table.statements >= k, table.statements >= (k - 1 if k > STATEMENTS[0] else 0)
        yield _Question(
            f"{REPHRASING} statements>={k}", ONE_MORE, "next_stage",
            table.units.at(table.units.session, np.zeros_like(table.units.stratum)), reached, table.statements >= k + 1,
            earlier, reached, np.ones(len(reached)),
        )  # fmt: skip
        for value in ("success", "abandoned"):
            yield _of_outcome(table, f"{REPHRASING} statements>={k}", value, reached, table.statements == 0)


def _after_errors(table: _Table) -> Iterator[_Question]:
    """Do errors that were recovered from at once please more, or end better, than none, and than others?"""
    any_ = np.isfinite(table.first[ERROR][0])
    recovered = any_ & ~table.severe_error
    for name, exposed, control in (
        (f"{ERROR} recovered, not none", recovered, ~any_),
        (f"{ERROR} recovered, not unrecovered", recovered, table.severe_error),
    ):
        yield _Question(
            name, "any delight", "session_length", table.units, exposed, table.pleased, control, table.pleased,
            np.ones(len(exposed)),
        )  # fmt: skip
        yield _of_outcome(table, name, "success", exposed, control)


# --- questions about users --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _User:
    """A user's first half of the window."""

    organization: str | None
    sessions: int = 0
    met: set[str] = field(default_factory=set)


def _happened(day: date, outcomes: Rows) -> dict[str, dict[str, int]]:
    """Of whom an outcome was told by `day`, and on which day it happened first; in alphabetical order."""
    happened: dict[str, dict[str, int]] = {}
    for user, outcome, moment, known_on in records(outcomes, ("user_id", "outcome", "happened_at", "known_on")):
        on = int(moment // 86_400_000_000)
        if known_on <= day and on <= day_number(day):
            told = happened.setdefault(outcome, {})
            told[user] = min(told.get(user, on), on)
    return dict(sorted(happened.items()))


def _of_users(
    day: date,
    sessions: Mapping[str, WindowSession],
    events: Sequence[WindowEvent],
    happened: Mapping[str, int],
    types: Sequence[str],
    outcome: str,
) -> Iterator[_Question]:
    """Did users who met a friction in the first half have the outcome more often in the second?"""
    half = day - timedelta(days=WINDOW_DAYS // 2)
    users: dict[str, _User] = {}
    for session in sessions.values():
        before = happened.get(session.user, 1 << 30) <= day_number(half)
        if session.day <= half and session.person != ANONYMOUS and not before:
            users.setdefault(session.user, _User(session.organization)).sessions += 1
    for event in events:
        seen = sessions.get(event.session_id)
        if seen is not None and seen.day <= half and seen.user in users:
            users[seen.user].met |= {event.type, "friction"}
    everybody = sorted(users)
    units = _user_units([users[user] for user in everybody])
    hit = np.array([user in happened for user in everybody], dtype=bool)
    for type_ in (*types, "friction"):
        met = np.array([type_ in users[user].met for user in everybody], dtype=bool)
        yield _Question(
            f"{type_}>=1", f"user {outcome} within {WINDOW_DAYS // 2} days", "by_user", units, met, hit, ~met, hit,
            np.ones(len(everybody)),
        )  # fmt: skip


def _user_units(users: Sequence[_User]) -> _Units:
    number = np.arange(len(users))
    return _Units(
        user=number,
        person=number,
        organization=_codes([user.organization or "" for user in users], missing=""),
        session=number,
        stratum=_groups([user.sessions for user in users], LENGTH_GROUPS),
        worth=np.array([user.sessions for user in users], dtype=np.int64),
    )


# --- answers ----------------------------------------------------------------------------------------------------


def _answer(day: date, question: _Question, audience: Audience) -> tuple[LeadingIndicator, float | None, str]:
    """The row of a question without its verdict, its p-value where it was tested, and why it has no figures."""
    reason = _withheld(question, audience)
    if reason:
        size = _size(question.units, question.exposed) if audience == "self" else Size(0, 0)
        row = LeadingIndicator(
            day=day,
            indicator=question.indicator,
            outcome=question.outcome,
            design=question.design,
            verdict="not_enough_data",
            users=band(size.users, audience),
            sessions=band(size.sessions, audience),
        )
        return row, None, reason
    return *_figures(day, question, audience), ""


def _withheld(question: _Question, audience: Audience) -> str | None:
    """Why a question may not be answered, if so."""
    for group, hit in ((question.exposed, question.hit), (question.control, question.control_hit)):
        if (
            not group.any()
            or not question.weight[group].sum()
            or not size_shown(audience, _size(question.units, group))
        ):
            return "too_few_users"
        met, spared = (len(np.unique(question.units.person[group & mask])) for mask in (hit, ~hit))
        if not part_shown(audience, met, spared):
            return "small_numerator"
    return None


def _size(units: _Units, group: Mask) -> Size:
    """What the rows of a group rest on, each session once."""
    _, first = np.unique(units.session[group], return_index=True)
    organization, worth = units.organization[group][first], units.worth[group][first]
    known = organization >= 0
    by_organization = np.bincount(organization[known], worth[known])
    return Size(
        users=len(np.unique(units.person[group])),
        sessions=int(worth.sum()),
        organizations=int((by_organization > 0).sum()) if (units.organization >= 0).any() else None,
        largest=int(by_organization.max(initial=0)),
    )


def _figures(day: date, question: _Question, audience: Audience) -> tuple[LeadingIndicator, float | None]:
    """The figures of a question, and its p-value unless too few outcomes are expected to test."""
    from scipy.special import stdtr, stdtrit

    units = question.units
    comparable = np.isin(units.stratum, np.unique(units.stratum[question.control]))
    exposed = question.exposed & comparable
    stratum = units.stratum
    if not exposed.any():  # no stratum has both: without strata, then, rather than not at all
        exposed, stratum = question.exposed, np.zeros_like(stratum)
    after = _cohort(units, exposed, question.hit, question.weight)
    before = _cohort(units, question.control, question.control_hit, question.weight)
    contrast = standardised_difference(
        before,
        after,
        (units.user[question.control], units.user[exposed]),
        (stratum[question.control], stratum[exposed]),
        binomial_floor=True,
    )
    rate_with, rate_without = float(contrast.rate_after[0]), float(contrast.rate_before[0])
    difference, error = rate_with - rate_without, float(np.sqrt(contrast.variance[0]))
    reach = float(stdtrit(contrast.df, 0.975)) * error
    size = _size(units, exposed)
    both = exposed & question.hit
    worth = round(after.worth)  # unequal weights make published rates coarser
    minutes = None if question.lead_seconds is None else question.lead_seconds / 60
    row = LeadingIndicator(
        day=day,
        indicator=question.indicator,
        outcome=question.outcome,
        design=question.design,
        verdict="not_enough_data",
        rate_with=rounded_rate(rate_with, worth, audience),
        rate_without=rounded_rate(rate_without, worth, audience),
        difference=rounded_rate(difference, worth, audience),
        low=rounded_low(max(difference - reach, -1.0), worth, audience),
        high=rounded_high(min(difference + reach, 1.0), worth, audience),
        lead_steps=_median(question.lead_steps, both, question.weight, audience),
        lead_minutes=_median(minutes, both, question.weight, audience),
        users=band(size.users, audience),
        sessions=band(size.sessions, audience),
    )
    expected = after.worth * (rate_with + rate_without) / 2
    enough = expected >= MIN_EXPECTED_EVENTS and contrast.units_after > 1
    return row, 2 * float(stdtr(contrast.df, -abs(difference) / error)) if enough else None


def _judged(row: LeadingIndicator, q: float | None, audience: Audience) -> LeadingIndicator:
    """The row with its verdict, from what is published of it only: the word tells nothing more."""
    if q is None or row.low is None or row.high is None:
        return row
    told = rounded_q(q, audience)
    verdict = "not_shown"
    if told <= ASSOCIATION_Q and row.low > 0:
        verdict = "more_often"
    elif told <= ASSOCIATION_Q and row.high < 0:
        verdict = "less_often"
    return row.model_copy(update={"q": told, "verdict": verdict})


def _cohort(units: _Units, group: Mask, hit: Mask, weight: Floats) -> Cohort:
    size = int(group.sum())
    return Cohort(
        user=units.user[group],
        day=np.zeros(size, dtype=np.int64),
        sessions=np.ones(size),
        weight=weight[group],
        events=(weight[group] * hit[group])[None, :],
    )


def _median(values: Floats | None, mask: Mask, weight: Floats, audience: Audience) -> float | None:
    """Weighted median of the finite values, coarse: it is one session's own number. To one digit for `self`."""
    if values is None:
        return None
    chosen = mask & np.isfinite(values)
    if not chosen.any():
        return None
    order = np.argsort(values[chosen], kind="stable")
    ordered, reached = values[chosen][order], np.cumsum(weight[chosen][order])
    half = reached[-1] / 2  # where a value ends just there, the middle between it and the next, as without weights
    ends = [np.searchsorted(reached, half * (1 + side)) for side in (-1e-9, 1e-9)]
    median = float(ordered[ends].mean())
    return round(median, 1) if audience == "self" else coarse(median)
