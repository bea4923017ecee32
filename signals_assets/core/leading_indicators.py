"""Stage 6 · correlations, leading indicators: what comes before what inside sessions, and what it costs.

Put here: `leading_indicators`: the questions, the sessions with and without, the comparison.
Not here: backend errors (see `error_association.py`), reading the window (see `within_sessions.py`), tests (see
`statistics.py`).
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray

from signals_assets.core.arrays import Floats, Integers
from signals_assets.core.barrier.thresholds import (
    Size,
    band,
    coarse,
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
from signals_assets.core.user_days import CountedType, Rows, records
from signals_assets.core.within_sessions import WindowEvent, WindowSession, visible, window_events, window_sessions
from signals_assets.settings import Audience
from signals_assets.tables import LeadingIndicator

LENGTH_GROUPS: Final = 5
STATEMENTS: Final[tuple[int, ...]] = (3, 4, 5)
"""After how many statements of the same request the chance of a further one is asked for."""


@dataclass(frozen=True, slots=True)
class _Table:
    """Sessions as arrays: user codes, length groups, first step and second of each type, statements, outcome."""

    user: Integers
    person: Integers
    organization: Integers
    length: Integers
    steps: Floats
    seconds: Floats
    first: Mapping[str, tuple[Floats, Floats]]
    last: Mapping[str, tuple[Floats, Floats]]
    statements: Floats
    outcome: NDArray[np.str_]
    weight: Floats


@dataclass(frozen=True, slots=True)
class _Question:
    """Sessions with and without the indicator, and who of them had the outcome."""

    indicator: str
    outcome: str
    exposed: NDArray[np.bool_]
    hit: NDArray[np.bool_]
    control: NDArray[np.bool_]
    control_hit: NDArray[np.bool_]
    weight: Floats
    lead_steps: Floats | None = None
    lead_seconds: Floats | None = None


def leading_indicators(
    day: date,
    *,
    friction: Rows,
    facets: Rows,
    metrics: Rows,
    labels: Rows,
    types: Sequence[CountedType],
    audience: Audience,
    min_confidence: float,
) -> tuple[list[LeadingIndicator], Coverage]:
    """What comes after each friction, over the trailing 28 days, compared with sessions of the same length.

    Outcomes: the session was abandoned or reached its goal in part (analysed sessions, weighted), a later escalation
    or correction (all sessions; in those without the indicator anywhere, which makes the difference a cautious
    one). For rephrasing: the chance of one more statement after 3, 4, 5 against the chance at the stage before.
    """
    sessions = window_sessions(metrics, day)
    events = window_events(friction, "friction", labels, types, day, min_confidence)
    table = _table(day, sessions, events, facets, [item.type for item in types if item.kind == "friction"])
    questions = _questions(table) if sessions else []
    rows: list[LeadingIndicator] = []
    p_values: list[float | None] = []
    skipped: Counter[str] = Counter()
    for question in questions:
        reason = _withheld(table, question, audience)
        if reason:
            skipped[reason] += 1
            continue
        row, p = _indicator(day, table, question, audience)
        rows.append(row)
        p_values.append(p)
    in_family = [index for index, p in enumerate(p_values) if p is not None]
    q_values = dict(zip(in_family, benjamini_hochberg([p for p in p_values if p is not None]), strict=True))
    rows = [
        row.model_copy(update={"q": rounded_q(q_values[index], audience)}) if index in q_values else row
        for index, row in enumerate(rows)
    ]
    return rows, Coverage(asked=len(questions), answered=len(rows), skipped=dict(skipped))


def _table(
    day: date,
    sessions: Mapping[str, WindowSession],
    events: Sequence[WindowEvent],
    facets: Rows,
    types: Collection[str],
) -> _Table:
    place = {session_id: index for index, session_id in enumerate(sorted(sessions))}
    ordered = [sessions[session_id] for session_id in place]
    first = {type_: (np.full(len(ordered), np.inf), np.full(len(ordered), np.nan)) for type_ in sorted(types)}
    last = {type_: (np.full(len(ordered), -np.inf), np.full(len(ordered), np.nan)) for type_ in sorted(types)}
    statements = np.zeros(len(ordered))
    for event in events:
        index = place.get(event.session_id)
        if index is None:
            continue
        seconds = np.nan if event.seconds is None else event.seconds
        if event.step < first[event.type][0][index]:
            first[event.type][0][index], first[event.type][1][index] = event.step, seconds
        if event.step > last[event.type][0][index]:
            last[event.type][0][index], last[event.type][1][index] = event.step, seconds
        if event.type == "repeated_rephrasing":
            statements[index] = max(statements[index], event.statements)
    outcome, weight = np.full(len(ordered), "", dtype="<U16"), np.zeros(len(ordered))
    names = ("session_id", "day", "known_on", "facet", "value", "inclusion_weight")
    for session_id, about, known_on, facet, value, inclusion in records(facets, names):
        if facet == "outcome" and session_id in place and visible(about, known_on, day):
            outcome[place[session_id]], weight[place[session_id]] = value, inclusion
    lengths = np.array([session.agentic_steps for session in ordered], dtype=np.float64)
    edges = np.quantile(lengths, np.arange(1, LENGTH_GROUPS) / LENGTH_GROUPS) if ordered else np.zeros(0)
    return _Table(
        user=_codes([session.user for session in ordered]),
        person=_codes([session.person for session in ordered]),
        organization=_codes([session.organization or "" for session in ordered], missing=""),
        length=np.searchsorted(edges, lengths, side="left").astype(np.int64),
        steps=np.array([session.steps for session in ordered], dtype=np.float64),
        seconds=np.array([session.seconds for session in ordered], dtype=np.float64),
        first=first,
        last=last,
        statements=statements,
        outcome=outcome,
        weight=weight,
    )


def _codes(values: Sequence[str], missing: str | None = None) -> Integers:
    code = {value: index for index, value in enumerate(sorted(set(values)))}
    return np.array([-1 if value == missing else code[value] for value in values], dtype=np.int64)


def _questions(table: _Table) -> list[_Question]:
    ones = np.ones(len(table.user))
    questions = []
    for type_, (step, second) in table.first.items():
        present = np.isfinite(step)
        analysed = table.outcome != ""
        for value in ("abandoned", "partial"):
            hit = table.outcome == value
            questions.append(
                _Question(
                    f"{type_}>=1",
                    f"outcome={value}",
                    present & analysed,
                    hit,
                    ~present & analysed,
                    hit,
                    table.weight,
                    table.steps - 1 - step,
                    table.seconds - second,
                )
            )
        for later in ("escalation_tone", "correction"):
            if later != type_ and later in table.last:
                after = table.last[later][0] > step
                questions.append(
                    _Question(
                        f"{type_}>=1",
                        f"later {later}",
                        present,
                        after,
                        ~present,
                        np.isfinite(table.last[later][0]),
                        ones,
                        table.last[later][0] - step,
                        table.last[later][1] - second,
                    )
                )
    if "repeated_rephrasing" in table.first:
        for k in STATEMENTS:
            earlier = table.statements >= (k - 1 if k > STATEMENTS[0] else 0)
            questions.append(
                _Question(
                    f"repeated_rephrasing statements>={k}",
                    "one more statement",
                    table.statements >= k,
                    table.statements >= k + 1,
                    earlier,
                    table.statements >= k,
                    ones,
                )
            )
    return questions


def _withheld(table: _Table, question: _Question, audience: Audience) -> str | None:
    """Why a question may not be published, if so."""
    for group, hit in ((question.exposed, question.hit), (question.control, question.control_hit)):
        if not group.any() or not size_shown(audience, _size_of(table, group)):
            return "too_few_users"
        met, spared = (len(np.unique(table.person[group & mask])) for mask in (hit, ~hit))
        if not part_shown(audience, met, spared):
            return "small_numerator"
    return None


def _size_of(table: _Table, group: NDArray[np.bool_]) -> Size:
    """What the sessions of a group rest on, for thresholds."""
    organizations = table.organization[group]
    by_organization = np.bincount(organizations[organizations >= 0])
    return Size(
        users=len(np.unique(table.person[group])),
        sessions=int(group.sum()),
        organizations=int((by_organization > 0).sum()) if (table.organization >= 0).any() else None,
        largest=int(by_organization.max(initial=0)),
    )


def _indicator(
    day: date, table: _Table, question: _Question, audience: Audience
) -> tuple[LeadingIndicator, float | None]:
    """The row of a question and its p-value (None where too few outcomes are expected to test)."""
    from scipy.special import stdtr, stdtrit

    comparable = np.isin(table.length, np.unique(table.length[question.control]))
    exposed = question.exposed & comparable if (question.exposed & comparable).any() else question.exposed
    same = exposed is question.exposed and not comparable[exposed].all()
    length = np.zeros_like(table.length) if same else table.length
    after = _cohort(table, exposed, question.hit, question.weight)
    before = _cohort(table, question.control, question.control_hit, question.weight)
    contrast = standardised_difference(
        before,
        after,
        (table.user[question.control], table.user[exposed]),
        (length[question.control], length[exposed]),
        binomial_floor=True,
    )
    rate_with, rate_without = float(contrast.rate_after[0]), float(contrast.rate_before[0])
    error = float(np.sqrt(contrast.variance[0]))
    reach = float(stdtrit(contrast.df, 0.975)) * error
    sessions = int(exposed.sum())
    both = exposed & question.hit
    worth = round(after.worth)  # unequal weights make published rates coarser
    expected = after.worth * (rate_with + rate_without) / 2
    p = 2 * float(stdtr(contrast.df, -abs(rate_with - rate_without) / error))
    row = LeadingIndicator(
        day=day,
        indicator=question.indicator,
        outcome=question.outcome,
        rate_with=rounded_rate(rate_with, worth, audience),
        rate_without=rounded_rate(rate_without, worth, audience),
        difference=rounded_rate(rate_with - rate_without, worth, audience),
        low=rounded_low(max(rate_with - rate_without - reach, -1.0), worth, audience),
        high=rounded_high(min(rate_with - rate_without + reach, 1.0), worth, audience),
        lead_steps=_median(question.lead_steps, both, question.weight, audience),
        lead_minutes=_median(
            None if question.lead_seconds is None else question.lead_seconds / 60, both, question.weight, audience
        ),
        users=band(len(np.unique(table.person[exposed])), audience),
        sessions=band(sessions, audience),
    )
    return row, p if expected >= MIN_EXPECTED_EVENTS and contrast.units_after > 1 else None


def _cohort(table: _Table, group: NDArray[np.bool_], hit: NDArray[np.bool_], weight: Floats) -> Cohort:
    size = int(group.sum())
    return Cohort(
        user=table.user[group],
        day=np.zeros(size, dtype=np.int64),
        sessions=np.ones(size),
        weight=weight[group],
        events=(weight[group] * hit[group])[None, :],
    )


def _median(values: Floats | None, mask: NDArray[np.bool_], weight: Floats, audience: Audience) -> float | None:
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
