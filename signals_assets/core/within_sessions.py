"""Stage 6 · correlations, inside sessions: which backend error comes before friction, and what comes after friction.

Put here: `error_correlations` and `leading_indicators`, which need the order of things within a session.
Not here: rates and releases (see `correlations.py`), templates (see `error_templates.py`), tests (see `statistics.py`).

Longer sessions hold more of everything, so counting sessions with both would flag nearly every pair. Errors are
therefore compared with chance within the same session, and outcomes with sessions of the same length. The words are
"coincides with" and "comes before", never "causes".
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from signals_assets.core.barrier.thresholds import (
    BANDS,
    SHOWN,
    Size,
    band,
    coarse,
    coarse_ends,
    concerned_shown,
    family,
    part_shown,
    rounded_high,
    rounded_low,
    rounded_q,
    rounded_rate,
    size_shown,
)
from signals_assets.core.correlations import Label
from signals_assets.core.coverage import Coverage
from signals_assets.core.error_templates import template_id, templates
from signals_assets.core.statistics import (
    MIN_EXPECTED_EVENTS,
    Cohort,
    Floats,
    Integers,
    benjamini_hochberg,
    effective_number,
    standardised_difference,
)
from signals_assets.core.user_days import ANONYMOUS, CountedType, Rows, day_number, newest_labels, records
from signals_assets.settings import Audience
from signals_assets.tables import ErrorCorrelation, LeadingIndicator

WINDOW_DAYS: Final = 28
"""Trailing days that are looked at."""
BEFORE_SECONDS: Final = 600.0
"""An error counts when it was logged at most this long before the friction."""
START_SLACK: Final = 60.0
"""Starts are stored to the minute, so a friction may lie up to this much later than its time says."""
BLOCK_SECONDS: Final = 3600.0
"""Without session ids, chance is taken from the same hour: the day's rhythm is no coincidence."""
COMMON_SHARE: Final = 0.5
"""A template in more than this share of sessions has no contrast and is left out."""
MIN_JOINT_EVENTS: Final = 10
MIN_USERS: Final = 3
ASSOCIATION_Q: Final = 0.05
LEAST_RATIO: Final = 1.2
"""Least observed over expected, at the lower end of its interval, that is called a coincidence.

Log lines and friction both follow the bursts of work inside a session, which the test's null (a random time of the
session) does not know: templates without any effect reach 1.05 to 1.15 in four simulated weeks.
"""
LENGTH_GROUPS: Final = 5
STATEMENTS: Final[tuple[int, ...]] = (3, 4, 5)
"""After how many statements of the same request the chance of a further one is asked for."""
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class _Session:
    """What the order within a session needs."""

    start: float
    seconds: float
    user: str
    organization: str | None
    steps: int
    agentic_steps: int

    @property
    def person(self) -> str:
        """The user for thresholds: all unknown ones are one."""
        return ANONYMOUS if self.user.startswith(ANONYMOUS) else self.user


@dataclass(frozen=True, slots=True)
class _Event:
    """A counted friction event."""

    session_id: str
    type: str
    step: int
    seconds: float | None
    statements: int


def _sessions(metrics: Rows, day: date) -> dict[str, _Session]:
    names = ("session_id", "day", "known_on", "started_at", "duration_seconds", "user_id", "organization_id")
    return {
        row[0]: _Session(row[3] / 1e6, row[4], row[5] or ANONYMOUS + row[0], row[6], row[7], row[8])
        for row in records(metrics, (*names, "steps", "agentic_steps"))
        if _visible(row[1], row[2], day)
    }


def _visible(about: date, known_on: date, day: date) -> bool:
    return known_on <= day and 0 <= day_number(day) - day_number(about) < WINDOW_DAYS


def _events(
    friction: Rows, labels: Rows, types: Sequence[CountedType], day: date, min_confidence: float
) -> list[_Event]:
    """Friction events in stored order, under their newest label, from the one source their type is counted from."""
    wanted = {(item.type, item.source) for item in types if item.kind == "friction"}
    newest = newest_labels(labels, day)
    names = ("event_id", "day", "known_on", "session_id", "type", "source", "confidence", "steps", "seconds_from_start")
    events = []
    for event_id, about, known_on, session_id, stored, source, confidence, steps, seconds in records(friction, names):
        kind, type_ = newest.get(event_id, ("friction", stored))
        sure = type_ != stored or confidence >= min_confidence  # the doubt was about the type that it was stored with
        if sure and steps and kind == "friction" and (type_, source) in wanted and _visible(about, known_on, day):
            events.append(_Event(session_id, type_, min(steps), seconds, len(steps)))
    return events


# --- backend errors ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    """One log line under its template."""

    template: str
    service: str
    at: float
    session_id: str | None


@dataclass(slots=True)
class _Pair:
    """Template and friction type: observed and expected by unit, that is by what varies independently.

    Units are users where sessions are their own control, and hours of the clock where all frictions of a block face the
    same errors.
    """

    observed: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    expected: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    variance: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    sessions: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    hits: set[str] = field(default_factory=set)
    """Sessions in which the template came shortly before."""
    misses: set[str] = field(default_factory=set)
    """Sessions in which a friction came without it."""
    joint: int = 0

    def add(self, unit: str, user: str, session_id: str, hit: bool, chance: float) -> None:
        """One friction: whether an error came shortly before, and how likely that was by chance."""
        self.observed[unit] += hit
        self.expected[unit] += chance
        self.variance[unit] += chance * (1 - chance)
        self.sessions.add(session_id)
        if hit:
            self.hits.add(session_id)
        else:
            self.misses.add(session_id)
        self.users.add(user)
        self.joint += 1


@dataclass(frozen=True, slots=True)
class _Tested:
    """Outcome of one pair's test."""

    observed: float
    expected: float
    error: float
    t: float
    p: float
    """One-sided: more often than by chance."""


def error_correlations(
    day: date,
    *,
    logs: Rows,
    friction: Rows,
    metrics: Rows,
    labels: Rows,
    types: Sequence[CountedType],
    audience: Audience,
    label: Label,
    publishable: Callable[[str], str],
    min_confidence: float,
) -> tuple[list[ErrorCorrelation], Coverage]:
    """Which backend error template comes before which friction more often than chance, over the trailing 28 days.

    Per friction in a session with the template: was it logged in the 10 minutes before, against the chance of that
    with the same number of lines at random times of that session (self-controlled). Templates whose lines mostly
    name no session are tested against random times within the same hour. `publishable` turns a template into its
    text where that may be read, else into an opaque label. Coverage counts pairs.
    """
    sessions = _sessions(metrics, day)
    organizations_known = any(session.organization is not None for session in sessions.values())
    events = [event for event in _events(friction, labels, types, day, min_confidence) if event.session_id in sessions]
    by_template, services, common = _log_lines(logs, day, len(sessions))
    tested: list[tuple[str, Literal["self_controlled", "time_bins"], str, _Pair]] = []
    for template in sorted(by_template):
        lines = by_template[template]
        named = sum(line.session_id is not None for line in lines)
        method: Literal["self_controlled", "time_bins"] = "self_controlled" if 2 * named >= len(lines) else "time_bins"
        measure = _self_controlled if method == "self_controlled" else _time_bins
        tested += [(template, method, type_, pair) for type_, pair in sorted(measure(lines, events, sessions).items())]
    results = [_pair_test(pair) for _, _, _, pair in tested]
    in_family = [index for index, result in enumerate(results) if result is not None]
    q_values = dict(zip(in_family, benjamini_hochberg([result.p for result in results if result]), strict=True))
    rows: list[ErrorCorrelation] = []
    few = 0
    for index, ((template, method, type_, pair), result) in enumerate(zip(tested, results, strict=True)):
        size = _size([sessions[session_id] for session_id in pair.sessions], organizations_known)
        if not size_shown(audience, size):
            few += 1
            continue
        row: dict[str, Any] = {"verdict": "not_enough_data"}
        if result is not None and concerned_shown(audience, len({sessions[one].person for one in pair.hits})):
            row = _association(result, q_values[index], audience)
            if not concerned_shown(audience, len({sessions[one].person for one in pair.misses})):
                row = _association(_as_if_all(pair, result, size.users, audience), 0.0, audience) | {"q": None}
        rows.append(
            ErrorCorrelation(
                day=day,
                template_id=template_id(template),
                template=publishable(template),
                service=label("service", services[template]),
                type=type_,
                method=method,
                users=band(size.users, audience),
                sessions=band(size.sessions, audience),
                comparisons=family(len(in_family), audience),
                **row,
            )
        )
    skipped = {"too_few_users": few, "template_in_most_sessions": common}
    return rows, Coverage(
        asked=len(tested) + common,
        answered=len(rows),
        skipped={reason: count for reason, count in skipped.items() if count},
    )


def _as_if_all(pair: _Pair, result: _Tested, users: int, audience: Audience) -> _Tested:
    """The figures where fewer users than the threshold ever met the friction without the error: as if none had.

    From coarse numbers only, and the error allows for the whole threshold of users, so that none and few look the same.
    """
    observed, expected = coarse(float(pair.joint), audience), coarse(result.expected, audience)
    few = SHOWN[audience].users
    people = max([few, *(low for low in BANDS if low <= users)])
    return replace(
        result, observed=observed, expected=expected, error=math.hypot(math.sqrt(expected), few * observed / people)
    )


def _size(sessions: Sequence[_Session], organizations_known: bool) -> Size:
    """What some sessions rest on, for thresholds and bands."""
    of_organization = Counter(session.organization for session in sessions if session.organization is not None)
    return Size(
        users=len({session.person for session in sessions}),
        sessions=len(sessions),
        organizations=len(of_organization) if organizations_known else None,
        largest=max(of_organization.values(), default=0),
    )


def _association(result: _Tested, q: float, audience: Audience) -> dict[str, Any]:
    """The published figures of a test: all of them coarse (the ends of the interval outwards)."""
    from scipy.special import ndtri

    reach = float(ndtri(0.975)) * result.error
    low, high = max(result.observed - reach, 0.0) / result.expected, (result.observed + reach) / result.expected
    exact = audience == "self"
    wide = (low, high) if exact else coarse_ends(low, high)
    return {
        "verdict": "coincides" if q <= ASSOCIATION_Q and low >= LEAST_RATIO else "not_shown",
        "observed": float(result.observed) if exact else coarse(result.observed, audience),
        "expected": round(result.expected, 2) if exact else coarse(result.expected, audience),
        "ratio": min(max(coarse(result.observed / result.expected, audience), wide[0]), wide[1]),
        "low": round(wide[0], 4),
        "high": round(wide[1], 4),
        "q": rounded_q(q, audience),
    }


def _log_lines(logs: Rows, day: date, sessions: int) -> tuple[dict[str, list[_Line]], dict[str, str], int]:
    """Lines by template, each template's most frequent service, and how many templates were too common."""
    names = ("day", "known_on", "message", "service", "logged_at", "session_id")
    found = [row for row in records(logs, names) if _visible(row[0], row[1], day)]
    by_template: dict[str, list[_Line]] = defaultdict(list)
    for row, template in zip(found, templates([row[2] for row in found]), strict=True):
        by_template[template].append(_Line(template, row[3], row[4] / 1e6, row[5]))
    spread = {template: len({line.session_id for line in lines} - {None}) for template, lines in by_template.items()}
    kept = {template: lines for template, lines in by_template.items() if spread[template] <= COMMON_SHARE * sessions}
    services = {
        template: min(Counter(line.service for line in lines).items(), key=lambda item: (-item[1], item[0]))[0]
        for template, lines in kept.items()
    }
    return kept, services, len(by_template) - len(kept)


def _self_controlled(
    lines: Sequence[_Line], events: Sequence[_Event], sessions: Mapping[str, _Session]
) -> dict[str, _Pair]:
    """Observed against expected within each session that has both the template and a friction."""
    of_session: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        session = sessions.get(line.session_id) if line.session_id is not None else None
        if session is not None and line.session_id is not None:
            seconds = line.at - session.start
            if 0 <= seconds <= session.seconds + START_SLACK:
                of_session[line.session_id].append(seconds)
    pairs: dict[str, _Pair] = defaultdict(_Pair)
    for event in events:
        times = of_session.get(event.session_id)
        if not times or event.seconds is None:
            continue
        session = sessions[event.session_id]
        latest = min(event.seconds, session.seconds) + START_SLACK
        earliest = max(latest - START_SLACK - BEFORE_SECONDS, 0.0)
        chance = 1 - (1 - (latest - earliest) / (session.seconds + START_SLACK)) ** len(times)
        hit = any(earliest <= at <= latest for at in times)
        pairs[event.type].add(session.user, session.user, event.session_id, hit, chance)
    return pairs


def _time_bins(lines: Sequence[_Line], events: Sequence[_Event], sessions: Mapping[str, _Session]) -> dict[str, _Pair]:
    """The same over the clock: chance is the share of the same hour that lies shortly after an error.

    That is the mean over all circular shifts of the errors within their hour. Only frictions in an hour that
    had an error carry information.
    """
    blocks: dict[int, list[float]] = defaultdict(list)
    for line in lines:
        blocks[int(line.at // BLOCK_SECONDS)].append(line.at % BLOCK_SECONDS)
    covered = {block: _covered(np.sort(np.array(times))) for block, times in blocks.items()}
    pairs: dict[str, _Pair] = defaultdict(_Pair)
    for event in events:
        if event.seconds is None:
            continue
        session = sessions[event.session_id]
        at = session.start + event.seconds
        block = int(at // BLOCK_SECONDS)
        if block in blocks:
            lag = (at % BLOCK_SECONDS + START_SLACK - np.array(blocks[block])) % BLOCK_SECONDS
            hit = bool((lag <= BEFORE_SECONDS + START_SLACK).any())
            pairs[event.type].add(str(block), session.user, event.session_id, hit, covered[block])
    return pairs


def _covered(times: Floats) -> float:
    """Share of the block within the window after one of the sorted times, around the block's end."""
    gaps = np.diff(np.append(times, times[0] + BLOCK_SECONDS))
    return float(np.minimum(gaps, BEFORE_SECONDS + START_SLACK).sum() / BLOCK_SECONDS)


def _pair_test(pair: _Pair) -> _Tested | None:
    """Sum of observed minus expected against its spread between units; None without enough to test.

    The variance is the larger of what units show and what chance alone gives, so a few equal units cannot look
    certain; Student's t by the effective number of units.
    """
    from scipy.special import stdtr

    units = sorted(pair.observed)
    observed = np.array([pair.observed[unit] for unit in units])
    expected = np.array([pair.expected[unit] for unit in units])
    chance = np.array([pair.variance[unit] for unit in units])
    if min(len(units), len(pair.users)) < MIN_USERS or pair.joint < MIN_JOINT_EVENTS or chance.sum() <= 0:
        return None
    surplus = observed - expected
    between = len(units) / (len(units) - 1) * np.square(surplus - surplus.mean()).sum()
    error = float(np.sqrt(max(between, chance.sum())))
    t = float(surplus.sum()) / error
    df = max(effective_number(chance) - 1, 1.0)
    return _Tested(float(observed.sum()), float(expected.sum()), error, t, float(stdtr(df, -t)))


# --- leading indicators -----------------------------------------------------------------------------------------


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
    sessions = _sessions(metrics, day)
    events = _events(friction, labels, types, day, min_confidence)
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
    day: date, sessions: Mapping[str, _Session], events: Sequence[_Event], facets: Rows, types: Collection[str]
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
        if facet == "outcome" and session_id in place and _visible(about, known_on, day):
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
