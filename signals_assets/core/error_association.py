"""Stage 6 · correlations, backend errors: which error template comes before which friction more often than after it.

Put here: `error_correlations`: reading log lines of any number, the test of a template and a friction type.
Not here: masks and mining (see `error_templates.py`), who may read a template's text, releases (see `correlations.py`).

Comparisons that have to agree, all by user. Within each session: was the error logged in the ten minutes before the
friction, against the chance of that with the same number of lines at random times of that session (self-controlled,
so length is no explanation). And in time: more before frictions than after them, so that work that comes in bursts,
incident hours and the day's rhythm, which hold both alike before and after, are none either. The words are "coincides
with", never "causes". Where lines name no session, the clock takes the session's place, hour by hour.

Measured on 15 weeks of 1,000 sessions, as in `benchmarks/errors.py`: where work comes in bursts, 97 % of the pairs that
are named without the comparison in time are false; where heavy users count fully, power without bursts is 0.76 for 1.0.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from signals_assets.core.arrays import Floats, Integers
from signals_assets.core.barrier.thresholds import (
    BANDS,
    SHOWN,
    band,
    coarse,
    coarse_ends,
    concerned_shown,
    family,
    rounded_q,
    size_shown,
)
from signals_assets.core.correlations import Label
from signals_assets.core.coverage import Coverage
from signals_assets.core.error_templates import masked, mined, template_id
from signals_assets.core.statistics import benjamini_hochberg, effective_number
from signals_assets.core.user_days import CountedType, Rows, records
from signals_assets.core.within_sessions import (
    WindowEvent,
    WindowSession,
    organizations_known,
    size_of,
    visible,
    window_events,
    window_sessions,
)
from signals_assets.settings import Audience
from signals_assets.tables import ErrorCorrelation

Method = Literal["self_controlled", "time_bins"]

START_SLACK: Final = 60.0
"""Starts are stored to the minute, so a friction may lie up to this much later than its time says."""
REACH: Final[Mapping[Method, float]] = {"self_controlled": 600.0 + START_SLACK, "time_bins": 240.0 + START_SLACK}
"""Length in seconds of the window before a friction, and of the one after it.

An error counts when it was logged at most ten minutes before; on the clock, where everybody's errors meet everybody's
frictions, at most four: in longer windows hardly a friction is without an error.
"""
USER_CORRELATION: Final = 0.05
"""A user's n frictions count as n / (1 + (n - 1) times this), so nobody decides a pair alone or drowns it."""
DIRECTED_P: Final = 0.05
"""Level at which the pair by itself has to lie more before than after; the family is controlled by the rest."""
DOUBTLESS: Final = 3.0
"""Standard errors above nothing from which on what comes after frictions is taken as common to all pairs."""
AFTER_WEIGHT: Final = 1.5
"""How much more often before a friction than after it an error has to be.

The slack belongs to the window before, so that an error in the very moment counts. What merely comes in the same
bursts lies more in that window then, for it is nearer: 1.08, 1.26 and 1.57 times as much in bursts of ten, four and two
minutes (integrals of an exponential kernel over both windows).
"""
BLOCK_SECONDS: Final = 3600.0
"""Without session ids, chance is taken from the same hour: the day's rhythm is no coincidence."""
SLOT_SECONDS: Final = 10.0
"""Lines of one message without a session that are nearer than this are one: what bounds memory on a flood."""
COMMON_SHARE: Final = 0.5
"""A template in more than this share of sessions has no contrast and is left out."""
MOST_MESSAGES: Final = 100_000
"""Distinct masked messages that are mined; lines of further ones are counted and left out."""
MIN_JOINT_EVENTS: Final = 10
MIN_USERS: Final = 3
ASSOCIATION_Q: Final = 0.05
_KEY: Final = 1e8
"""Seconds that separate two sessions (or the clock's zero) in one sorted array of times."""


# --- reading ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Lines:
    """Log lines while they are read: whole numbers and times only, each moment of a message once."""

    day: date
    place: Mapping[str, int]
    """Number of each session of the window."""
    messages: dict[str, int] = field(default_factory=dict)
    services: Counter[tuple[int, str]] = field(default_factory=Counter)
    named: Counter[int] = field(default_factory=Counter)
    """Lines that name a session, by message."""
    total: Counter[int] = field(default_factory=Counter)
    beyond: int = 0
    """Lines of messages beyond MOST_MESSAGES."""
    parts: list[Floats] = field(default_factory=list)
    """Columns message, session (-1: none), time."""

    def read(self, batch: Rows) -> None:
        """Take over some rows of `error_logs`."""
        names = ("day", "known_on", "message", "service", "logged_at", "session_id")
        rows = [row for row in records(batch, names) if visible(row[0], row[1], self.day)]
        texts = {message: masked(message) for message in {row[2] for row in rows}}
        kept = []
        for _, _, message, service, logged_at, session_id in rows:
            text = texts[message]
            code = self.messages.get(text)
            if code is None:
                if len(self.messages) >= MOST_MESSAGES:
                    self.beyond += 1
                    continue
                code = self.messages[text] = len(self.messages)
            self.services[code, service] += 1
            self.total[code] += 1
            self.named[code] += session_id is not None
            session = -1 if session_id is None else self.place.get(session_id, -2)
            if session != -2:  # a line of a session that nobody knows says nothing
                slot = SLOT_SECONDS if session == -1 else 1.0
                kept.append((code, session, logged_at / 1e6 // slot * slot))
        if kept:
            self.parts.append(np.unique(np.array(kept), axis=0))

    def by_template(self) -> dict[str, "_Template"]:
        """The lines under the template of their message, sorted by session and time."""
        template = mined(self.messages)
        names = sorted(set(template.values()))
        number = {name: index for index, name in enumerate(names)}
        of_message = np.array([number[template[text]] for text in self.messages], dtype=np.int64)
        lines = np.concatenate([np.zeros((0, 3)), *self.parts])
        code = of_message[lines[:, 0].astype(np.int64)]
        order = np.lexsort((lines[:, 2], lines[:, 1], code))
        bounds = np.searchsorted(code[order], np.arange(len(names) + 1))
        services: dict[int, Counter[str]] = defaultdict(Counter)
        for (message, service), count in self.services.items():
            services[int(of_message[message])][service] += count
        named, total = ([sum(counts[m] for m in members) for members in _groups(of_message, len(names))]
                        for counts in (self.named, self.total))  # fmt: skip
        return {
            name: _Template(
                service=min(services[index].items(), key=lambda item: (-item[1], item[0]))[0],
                method="self_controlled" if 2 * named[index] >= total[index] else "time_bins",
                session=lines[order[bounds[index] : bounds[index + 1]], 1].astype(np.int64),
                at=lines[order[bounds[index] : bounds[index + 1]], 2],
            )
            for index, name in enumerate(names)
        }


def _groups(of_message: Integers, size: int) -> list[list[int]]:
    members: list[list[int]] = [[] for _ in range(size)]
    for message, index in enumerate(of_message.tolist()):
        members[index].append(message)
    return members


@dataclass(frozen=True, slots=True)
class _Template:
    """Lines of one template in the order of session and time; session -1: the line names none."""

    service: str
    method: Method
    session: Integers
    at: Floats


@dataclass(frozen=True, slots=True)
class _Frictions:
    """Sessions and their frictions as arrays; times are seconds since 1970."""

    start: Floats
    seconds: Floats
    user: Integers
    session: Integers
    """Per friction, like what follows."""
    type: Integers
    at: Floats

    @classmethod
    def of(
        cls, sessions: Mapping[str, WindowSession], events: Sequence[WindowEvent], types: Sequence[str]
    ) -> "_Frictions":
        place = {session_id: number for number, session_id in enumerate(sessions)}
        users = {user: number for number, user in enumerate(sorted({one.user for one in sessions.values()}))}
        number = {type_: index for index, type_ in enumerate(types)}
        start = np.array([one.start for one in sessions.values()], dtype=np.float64)
        seconds = np.array([one.seconds for one in sessions.values()], dtype=np.float64)
        timed = [(place[one.session_id], number[one.type], one.seconds) for one in events if one.seconds is not None]
        session = np.array([one[0] for one in timed], dtype=np.int64)
        since = np.array([one[2] for one in timed], dtype=np.float64)
        return cls(
            start=start,
            seconds=seconds,
            user=np.array([users[one.user] for one in sessions.values()], dtype=np.int64),
            session=session,
            type=np.array([one[1] for one in timed], dtype=np.int64),
            at=start[session] + np.minimum(since, seconds[session]),
        )


# --- the test ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Windows:
    """Frictions that could meet a template: whether it came before and after, and the chance of each.

    unit: what varies independently besides the user: the session's user again, or the hour of the clock.
    """

    friction: Integers
    before: Floats
    chance_before: Floats
    after: Floats
    chance_after: Floats
    unit: Integers

    def where(self, mask: NDArray[np.bool_]) -> "_Windows":
        """The frictions for which `mask` holds."""
        return _Windows(
            self.friction[mask],
            self.before[mask],
            self.chance_before[mask],
            self.after[mask],
            self.chance_after[mask],
            self.unit[mask],
        )


def _in_sessions(lines: _Template, frictions: _Frictions) -> _Windows:
    """Within each session that has both, among its own lines."""
    known = lines.session >= 0
    session, since = lines.session[known], lines.at[known]
    since = since - frictions.start[session]
    inside = (since >= 0) & (since <= frictions.seconds[session] + START_SLACK)
    session, since = session[inside], since[inside]
    count = np.bincount(session, minlength=len(frictions.start))
    friction = np.nonzero(count[frictions.session])[0]
    of = frictions.session[friction]
    at, end = frictions.at[friction] - frictions.start[of], frictions.seconds[of] + START_SLACK
    middle = at + START_SLACK
    reach, keys = REACH[lines.method], session * _KEY + since
    first, last = np.maximum(middle - reach, 0.0), np.minimum(middle + reach, end)

    def within(low: Floats, high: Floats) -> Floats:
        found = np.searchsorted(keys, of * _KEY + high, "right") > np.searchsorted(keys, of * _KEY + low, "left")
        return found.astype(np.float64)

    def chance(length: Floats) -> Floats:
        return np.asarray(1 - (1 - np.clip(length / end, 0.0, 1.0)) ** count[of])

    return _Windows(
        friction=friction,
        before=within(first, middle),
        chance_before=chance(middle - first),
        after=within(middle + 1e-6, last),
        chance_after=chance(np.maximum(last - middle, 0.0)),
        unit=frictions.user[of],
    )


def _on_the_clock(lines: _Template, frictions: _Frictions) -> _Windows:
    """On the clock, whosever the line is: chance is the share of the friction's hour that lies so near to a line.

    That is the mean over all circular shifts of the hour, with the lines where they are. Frictions whose hour lies
    wholly near to lines, or has none near, carry no information.
    """
    times, reach = np.sort(lines.at), REACH[lines.method]
    block = np.floor(frictions.at / BLOCK_SECONDS)
    middle = frictions.at + START_SLACK

    def near(from_: Floats, offset: float) -> Floats:
        """Whether a line lies within `reach` after `from_` + offset."""
        low = from_ + offset
        return np.asarray(np.searchsorted(times, low + reach, "right") > np.searchsorted(times, low, "left"))

    hours, place = np.unique(block, return_inverse=True)
    grid = hours[:, None] * BLOCK_SECONDS + (np.arange(BLOCK_SECONDS / START_SLACK) + 0.5) * START_SLACK
    before, after = (near(grid.ravel(), offset).reshape(grid.shape).mean(axis=1) for offset in (-reach, 1e-6))
    chance_before, chance_after = before[place], after[place]
    friction = np.nonzero((chance_before + chance_after > 0) & (chance_before + chance_after < 2))[0]
    return _Windows(
        friction=friction,
        before=near(middle[friction], -reach).astype(np.float64),
        chance_before=chance_before[friction],
        after=near(middle[friction], 1e-6).astype(np.float64),
        chance_after=chance_after[friction],
        unit=place[friction],
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    """A template and a friction type that met in some sessions."""

    template: str
    type: str
    windows: _Windows
    user: Integers
    session: Integers

    @property
    def enough(self) -> bool:
        """Whether there is enough to test."""
        units = min(len(np.unique(self.windows.unit)), len(np.unique(self.user)))
        chance = self.windows.chance_before
        return units >= MIN_USERS and len(self.user) >= MIN_JOINT_EVENTS and bool((chance * (1 - chance)).sum() > 0)

    @property
    def weight(self) -> Floats:
        """Per friction, less the more frictions its user has."""
        _, index, count = np.unique(self.user, return_inverse=True, return_counts=True)
        return np.asarray(1 / (1 + USER_CORRELATION * (count[index] - 1)))


@dataclass(frozen=True, slots=True)
class _Tested:
    """Outcome of one pair's test."""

    observed: float
    expected: float
    error: float
    """Standard error of observed minus expected."""
    p: float
    """One-sided: more often than by chance, and more often before than after."""


def _tests(pairs: Sequence[_Pair]) -> list[_Tested | None]:
    """Every pair with enough to test."""
    echo = _echoes([pair for pair in pairs if pair.enough])
    return [_test(pair, echo(pair)) if pair.enough else None for pair in pairs]


def _echoes(pairs: Sequence[_Pair]) -> Callable[[_Pair], float]:
    """By which share of chance the error of a pair comes more often after its frictions, too.

    What comes after frictions is common to many pairs (bursts of work are), so it is estimated over all pairs of the
    template and over all of the type; the larger share counts. Where only some follow the bursts, a pair of such two
    has more than either: their product over the share of all pairs, once that is beyond doubt.
    """
    sums: dict[tuple[str, str], NDArray[np.float64]] = defaultdict(lambda: np.zeros(3))
    for pair in pairs:
        weight, windows = pair.weight, pair.windows
        chance = windows.chance_after
        part = np.array([weight @ (windows.after - chance), weight @ chance, weight**2 @ (chance * (1 - chance))])
        for key in (("template", pair.template), ("type", pair.type), ("all", "")):
            sums[key] += part
    share = {key: max(found[0] / found[1], 0.0) if found[1] > 0 else 0.0 for key, found in sums.items()}
    doubtless = bool(pairs) and sums["all", ""][0] > DOUBTLESS * math.sqrt(sums["all", ""][2])

    def echo(pair: _Pair) -> float:
        of_template, of_type = share["template", pair.template], share["type", pair.type]
        both = of_template * of_type / share["all", ""] if doubtless else 0.0
        return max(of_template, of_type, both)

    return echo


def _test(pair: _Pair, echo: float) -> _Tested:
    """The three comparisons; `echo` as `_echoes` says. The pair's own has to agree at a laxer level."""
    windows, weight = pair.windows, pair.weight
    units = (pair.user, windows.unit)
    surplus, after = windows.before - windows.chance_before, windows.after - windows.chance_after
    chance = windows.chance_before * (1 - windows.chance_before)
    directed_chance = chance + AFTER_WEIGHT**2 * windows.chance_after * (1 - windows.chance_after)
    error, by_chance = _one_sided(surplus, chance, weight, units)
    _, beyond_echo = _one_sided(surplus - AFTER_WEIGHT * echo * windows.chance_after, chance, weight, units)
    _, directed = _one_sided(surplus - AFTER_WEIGHT * after, directed_chance, weight, units)
    expected = float(windows.chance_before.sum())
    scale = expected / float((weight * windows.chance_before).sum())
    own = directed if directed > DIRECTED_P else 0.0
    return _Tested(float(windows.before.sum()), expected, scale * error, max(by_chance, beyond_echo, own))


def _one_sided(surplus: Floats, chance: Floats, weight: Floats, units: Sequence[Integers]) -> tuple[float, float]:
    """Standard error of a weighted sum and the p-value of it being above 0.

    The variance is the largest of what each kind of unit shows and what chance alone gives, so a few equal units cannot
    look certain; Student's t by the effective number of units.
    """
    from scipy.special import stdtr

    weighed = weight * surplus
    variance, df = float((weight**2 * chance).sum()), math.inf
    for unit in units:
        _, index = np.unique(unit, return_inverse=True)
        sums, effective = np.bincount(index, weighed), np.bincount(index, weight * chance).astype(np.float64)
        between = len(sums) / (len(sums) - 1) * float(np.square(sums - sums.mean()).sum())
        variance = max(variance, between)
        df = min(df, max(effective_number(effective) - 1, 1.0))
    error = math.sqrt(variance)
    return error, float(stdtr(df, -float(weighed.sum()) / error))


# --- what is published ------------------------------------------------------------------------------------------


def error_correlations(
    day: date,
    *,
    logs: Iterable[Rows],
    friction: Rows,
    metrics: Rows,
    labels: Rows,
    types: Sequence[CountedType],
    audience: Audience,
    label: Label,
    publishable: Callable[[str], str],
    min_confidence: float,
) -> tuple[list[ErrorCorrelation], Coverage]:
    """Which backend error template coincides with which friction, over the trailing 28 days.

    logs: rows of `error_logs` in batches, read once; memory follows the sessions and the distinct messages, not the
    lines. Templates whose lines mostly name no session are tested on the clock. `publishable` turns a template into
    its text where that may be read, else into an opaque label. Coverage counts pairs; a note counts lines left out.
    """
    sessions = window_sessions(metrics, day)
    listed = list(sessions.values())
    known = organizations_known(sessions)
    events = [
        event
        for event in window_events(friction, "friction", labels, types, day, min_confidence)
        if event.session_id in sessions
    ]
    names = sorted({event.type for event in events})
    frictions = _Frictions.of(sessions, events, names)
    lines = _Lines(day, {session_id: number for number, session_id in enumerate(sessions)})
    for batch in logs:
        lines.read(batch)
    by_template = lines.by_template()
    common = [
        template
        for template, found in by_template.items()
        if len(np.unique(found.session[found.session >= 0])) > COMMON_SHARE * len(sessions)
    ]
    pairs = [
        pair
        for template, found in by_template.items()
        if template not in common
        for pair in _pairs(template, found, frictions, names)
    ]
    results = _tests(pairs)
    q_values = iter(benjamini_hochberg([result.p for result in results if result]))
    comparisons = sum(result is not None for result in results)
    rows: list[ErrorCorrelation] = []
    for pair, result in zip(pairs, results, strict=True):
        q = None if result is None else next(q_values)
        size = size_of(_sessions_of(pair, listed), known)
        if not size_shown(audience, size):
            continue
        rows.append(
            ErrorCorrelation(
                day=day,
                template_id=template_id(pair.template),
                template=publishable(pair.template),
                service=label("service", by_template[pair.template].service),
                type=pair.type,
                method=by_template[pair.template].method,
                users=band(size.users, audience),
                sessions=band(size.sessions, audience),
                comparisons=family(comparisons, audience),
                **_verdict(pair, result, q, listed, size.users, audience),
            )
        )
    skipped = {"too_few_users": len(pairs) - len(rows), "template_in_most_sessions": len(common)}
    return rows, Coverage(
        asked=len(pairs) + len(common),
        answered=len(rows),
        skipped={reason: count for reason, count in skipped.items() if count},
        notes={"lines_beyond_variety": lines.beyond} if lines.beyond else {},
    )


def _pairs(template: str, found: _Template, frictions: _Frictions, names: Sequence[str]) -> list[_Pair]:
    """Each friction type that the template could meet."""
    windows = (_in_sessions if found.method == "self_controlled" else _on_the_clock)(found, frictions)
    of_type = frictions.type[windows.friction]
    pairs = []
    for type_ in np.unique(of_type):
        part = windows.where(of_type == type_)
        session = frictions.session[part.friction]
        pairs.append(_Pair(template, names[type_], part, frictions.user[session], session))
    return pairs


def _sessions_of(pair: _Pair, listed: Sequence[WindowSession], hit: bool | None = None) -> list[WindowSession]:
    """The sessions of a pair; `hit`: those with (without) the error shortly before a friction."""
    before = pair.windows.before > 0
    chosen = pair.session if hit is None else pair.session[before if hit else ~before]
    return [listed[number] for number in np.unique(chosen).tolist()]


def _verdict(
    pair: _Pair,
    result: _Tested | None,
    q: float | None,
    listed: Sequence[WindowSession],
    users: int,
    audience: Audience,
) -> dict[str, Any]:
    """The figures of a pair that may be told; without enough data or too few users with the error before, none."""
    met, spared = (len({one.person for one in _sessions_of(pair, listed, hit)}) for hit in (True, False))
    if result is None or q is None or not concerned_shown(audience, met):
        return {"verdict": "not_enough_data"}
    if not concerned_shown(audience, spared):
        return _association(_as_if_all(len(pair.user), result, users, audience), 0.0, audience) | {"q": None}
    return _association(result, q, audience)


def _as_if_all(joint: int, result: _Tested, users: int, audience: Audience) -> _Tested:
    """The figures where fewer users than the threshold ever met the friction without the error: as if none had.

    From coarse numbers only, and the error allows for the whole threshold of users, so that none and few look the same.
    """
    observed, expected = coarse(float(joint), audience), coarse(result.expected, audience)
    few = SHOWN[audience].users
    people = max([few, *(low for low in BANDS if low <= users)])
    return replace(
        result, observed=observed, expected=expected, error=math.hypot(math.sqrt(expected), few * observed / people)
    )


def _association(result: _Tested, q: float, audience: Audience) -> dict[str, Any]:
    """The published figures of a test: all of them coarse (the ends of the interval outwards)."""
    from scipy.special import ndtri

    reach = float(ndtri(0.975)) * result.error
    low, high = max(result.observed - reach, 0.0) / result.expected, (result.observed + reach) / result.expected
    exact = audience == "self"
    wide = (low, high) if exact else coarse_ends(low, high)
    return {
        "verdict": "coincides" if q <= ASSOCIATION_Q and low > 1 else "not_shown",
        "observed": float(result.observed) if exact else coarse(result.observed, audience),
        "expected": round(result.expected, 2) if exact else coarse(result.expected, audience),
        "ratio": min(max(coarse(result.observed / result.expected, audience), wide[0]), wide[1]),
        "low": round(wide[0], 4),
        "high": round(wide[1], 4),
        "q": rounded_q(q, audience),
    }
