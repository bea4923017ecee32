"""The section on backend errors of `signals benchmark correlations`: which error comes before which friction.

Put here: seeded worlds of sessions, log lines and frictions with a few causal pairs, and scoring of what
`error_correlations` says of them, beside Fisher's test with Benjamini-Hochberg and lift.
Not here: the method (see `core/error_association.py`), releases (see `benchmarks/correlations.py`).

The worlds hold what makes errors and frictions meet without a cause: session lengths that differ a hundredfold, users
of very different activity, a daily rhythm, three incident hours in which everything fails more often and, in some,
work that comes in bursts of some minutes in which users try, tools fail and frictions happen: none, every second or all
templates and types follow them.
A causal pair: an error of the template brings a friction of the type with probability 0.4, two minutes later on the
average.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from signals_assets.core.error_association import error_correlations
from signals_assets.core.statistics import benjamini_hochberg
from signals_assets.core.user_days import CountedType
from signals_assets.tables import ErrorLog, FrictionEvent, SessionMetrics, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

LAST_DAY: Final = date(2026, 3, 1)
DAYS: Final = 7
TYPES: Final = 8
TEMPLATES: Final = 40
CAUSAL: Final = 6
ERRORS_PER_HOUR: Final = 0.25
FRICTIONS_PER_HOUR: Final = 0.5
INCIDENTS: Final = 3
INCIDENT_FACTOR: Final = 6.0
EFFECT: Final = 0.4
"""Probability that an error of a causal pair brings its friction."""
DELAY_SECONDS: Final = 120.0
BURST_SECONDS: Final = 240.0
"""Mean length of a burst; what follows bursts happens in them only."""
LEAST_LIFT: Final = 2.0
LEAST_JOINT: Final = 3

Pair = tuple[int, int]
"""Template, type."""
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class World:
    """A week of sessions with the error lines and frictions in them; times are seconds since 1970."""

    start: Floats
    seconds: Floats
    user: Integers
    error_session: Integers
    error_template: Integers
    error_at: Floats
    friction_session: Integers
    friction_type: Integers
    friction_at: Floats
    causal: frozenset[Pair]


def run(*, quick: bool = False, seed: int = 0, repetitions: int | None = None) -> dict[str, Any]:
    """Simulate and score; returns parameters and one record per scenario and method, ready for JSON.

    A false discovery is a pair that is named without being causal; rates are means over repetitions of the share of
    false ones among those named (0 where none is), power of the share of the causal pairs that are named.
    """
    count = repetitions or (3 if quick else 40)
    scenarios = [
        _scenario(sessions, bursty, seed, count)
        for sessions in ((1000,) if quick else (300, 1000, 4000))
        for bursty in ((0, 1) if quick else (0, 0.5, 1))
    ]
    return {
        "parameters": {
            "seed": seed, "repetitions": count, "types": TYPES, "templates": TEMPLATES, "causal_pairs": CAUSAL,
            "effect": EFFECT, "errors_per_hour": ERRORS_PER_HOUR, "frictions_per_hour": FRICTIONS_PER_HOUR,
            "incident_hours": INCIDENTS, "incident_factor": INCIDENT_FACTOR, "days": DAYS,
        },
        "scenarios": scenarios,
    }  # fmt: skip


def _scenario(sessions: int, bursty: float, seed: int, repetitions: int) -> dict[str, Any]:
    found: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}
    for repetition in range(repetitions):
        world = simulate(sessions, bursty, np.random.default_rng([seed, repetition, sessions, round(10 * bursty)]))
        for method, named in METHODS.items():
            found[method].append(score(world.causal, named(world)))
    return {
        "sessions": sessions,
        "share_in_bursts": bursty,
        "methods": {method: _means(scores) for method, scores in found.items()},
    }


def score(causal: frozenset[Pair], named: set[Pair]) -> tuple[float, float]:
    """Share of false ones among the named pairs, share of the causal ones that are named."""
    return len(named - causal) / len(named) if named else 0.0, len(named & causal) / len(causal)


def _means(scores: Sequence[tuple[float, float]]) -> dict[str, float | None]:
    values = np.array(scores)
    means, spread = values.mean(axis=0), values.std(axis=0, ddof=min(1, len(values) - 1)) / np.sqrt(len(values))
    names = ("fdr", "power")
    return {
        **{name: round(float(mean), 4) for name, mean in zip(names, means, strict=True)},
        **{f"{name}_standard_error": round(float(error), 4) for name, error in zip(names, spread, strict=True)},
    }


# --- the world --------------------------------------------------------------------------------------------------


def simulate(sessions: int, bursty: float, rng: np.random.Generator) -> World:
    """A week of sessions. Errors and frictions are Poisson within sessions, but for the frictions that errors bring."""
    users = max(sessions // 4, 20)
    activity = rng.pareto(1.5, users) + 0.2
    user = rng.choice(users, sessions, p=activity / activity.sum())
    day = rng.integers(0, DAYS, sessions)
    hour = np.clip(rng.normal(13, 3.5, sessions), 0, 23.9)
    seconds = np.clip(rng.lognormal(np.log(1200), 1.0, sessions), 60, 14_400)
    first = datetime.combine(LAST_DAY, datetime.min.time(), UTC).timestamp() - (DAYS - 1) * 86_400
    start = first + day * 86_400 + hour * 3600
    incidents = np.float64(first) + 3600 * (
        24 * rng.choice(DAYS, INCIDENTS, replace=False) + rng.integers(10, 17, INCIDENTS)
    )
    plain = _Moments(start, seconds, None, incidents, rng)
    in_bursts = replace(plain, bursts=_burst_starts(seconds, rng))

    def drawn(kinds: int, per_hour: float) -> list[tuple[Integers, Floats]]:
        return [(in_bursts if kind % 2 < 2 * bursty else plain).draw(per_hour) for kind in range(kinds)]

    errors, frictions = drawn(TEMPLATES, ERRORS_PER_HOUR), drawn(TYPES, FRICTIONS_PER_HOUR)
    cells = rng.choice(TEMPLATES * TYPES, CAUSAL, replace=False)
    causal = frozenset((int(cell) // TYPES, int(cell) % TYPES) for cell in cells)
    for template, type_ in sorted(causal):
        session, at = errors[template]
        brought = rng.random(len(at)) < EFFECT
        later = at[brought] + rng.exponential(DELAY_SECONDS, int(brought.sum()))
        inside = later < (start + seconds)[session[brought]]
        known, known_at = frictions[type_]
        frictions[type_] = np.append(known, session[brought][inside]), np.append(known_at, later[inside])
    return World(start, seconds, user, *_flat(errors), *_flat(frictions), causal)


def _flat(moments: Sequence[tuple[Integers, Floats]]) -> tuple[Integers, Integers, Floats]:
    kind = np.repeat(np.arange(len(moments)), [len(at) for _, at in moments])
    return np.concatenate([session for session, _ in moments]), kind, np.concatenate([at for _, at in moments])


def _burst_starts(seconds: Floats, rng: np.random.Generator) -> list[Floats]:
    """Starts of the bursts of each session, one in twenty minutes and at least one."""
    return [rng.uniform(0, length, 1 + rng.poisson(length / 1200)) for length in seconds]


@dataclass(frozen=True, slots=True)
class _Moments:
    """Draws moments within sessions."""

    start: Floats
    seconds: Floats
    bursts: list[Floats] | None
    incidents: Floats
    rng: np.random.Generator

    def draw(self, per_hour: float) -> tuple[Integers, Floats]:
        """Sessions and times of moments at a rate, more often by INCIDENT_FACTOR in incident hours."""
        rng = self.rng
        most = rng.poisson(self.seconds / 3600 * per_hour * INCIDENT_FACTOR)
        session = np.repeat(np.arange(len(most)), most)
        if self.bursts is None:
            offset = rng.uniform(0, 1, len(session)) * self.seconds[session]
        else:
            picked = [rng.choice(self.bursts[one], count) for one, count in enumerate(most) if count]
            offset = np.concatenate([np.zeros(0), *picked]) + rng.exponential(BURST_SECONDS, len(session))
        at = self.start[session] + offset
        incident = ((at[:, None] >= self.incidents) & (at[:, None] < self.incidents + 3600)).any(axis=1)
        kept = (offset < self.seconds[session]) & (incident | (rng.random(len(at)) < 1 / INCIDENT_FACTOR))
        return session[kept], at[kept]


# --- the methods ------------------------------------------------------------------------------------------------


def lift(world: World) -> set[Pair]:
    """Sessions with both are at least twice as many as independence gives, and at least three."""
    both, with_error, with_friction, total = _contingency(world)
    expected = with_error[:, None] * with_friction[None, :] / total
    return _pairs((both >= LEAST_JOINT) & (both >= LEAST_LIFT * expected))


def fisher(world: World) -> set[Pair]:
    """Fisher's exact test of sessions with both, one-sided, with Benjamini-Hochberg at 5 %."""
    from scipy.stats import hypergeom

    both, with_error, with_friction, total = _contingency(world)
    p = hypergeom.sf(both - 1, total, with_error[:, None], with_friction[None, :])
    return _pairs(np.array(benjamini_hochberg(list(p.ravel()))).reshape(p.shape) <= 0.05)


def _contingency(world: World) -> tuple[Integers, Integers, Integers, int]:
    total = len(world.start)
    error, friction = np.zeros((TEMPLATES, total), dtype=np.int64), np.zeros((TYPES, total), dtype=np.int64)
    error[world.error_template, world.error_session] = 1
    friction[world.friction_type, world.friction_session] = 1
    return error @ friction.T, error.sum(axis=1), friction.sum(axis=1), total


def _pairs(named: NDArray[np.bool_]) -> set[Pair]:
    return {(int(template), int(type_)) for template, type_ in zip(*np.nonzero(named), strict=True)}


def self_controlled(world: World) -> set[Pair]:
    """What the product says where lines name their session."""
    return _said(world, named=True)


def time_bins(world: World) -> set[Pair]:
    """What the product says where no line names a session."""
    return _said(world, named=False)


METHODS: Final[Mapping[str, Callable[[World], set[Pair]]]] = {
    "lift": lift,
    "fisher": fisher,
    "self_controlled": self_controlled,
    "time_bins": time_bins,
}


def _said(world: World, *, named: bool) -> set[Pair]:
    rows, _ = error_correlations(
        LAST_DAY,
        logs=[_log_table(world, named=named)],
        friction=_friction_table(world),
        metrics=_session_table(world),
        labels=[],
        types=[CountedType("friction", _type(type_), "detector") for type_ in range(TYPES)],
        audience="self",
        label=lambda _, word: word,
        publishable=lambda text: text,
        min_confidence=0.5,
    )
    number = {_template(template): template for template in range(TEMPLATES)}
    return {(number[row.template], int(row.type[5:])) for row in rows if row.verdict == "coincides"}


def _type(type_: int) -> str:
    return f"type_{type_}"


def _template(template: int) -> str:
    """A message of its own words, so that mining does not join two."""
    return " ".join(f"{word}{chr(97 + template // 26)}{chr(97 + template % 26)}" for word in ("part", "gave", "up"))


def _session_table(world: World) -> "pa.Table":
    size = len(world.start)
    return _table(
        SessionMetrics,
        size,
        day=[LAST_DAY] * size,
        known_on=[LAST_DAY] * size,
        session_id=[f"s{number}" for number in range(size)],
        user_id=[f"u{user}" for user in world.user],
        started_at=_times(np.floor(world.start / 60) * 60),  # stored to the minute
        duration_seconds=world.seconds,
        steps=[100] * size,
        agentic_steps=[50] * size,
    )


def _friction_table(world: World) -> "pa.Table":
    size = len(world.friction_at)
    return _table(
        FrictionEvent,
        size,
        event_id=[f"e{number}" for number in range(size)],
        day=[LAST_DAY] * size,
        known_on=[LAST_DAY] * size,
        session_id=[f"s{session}" for session in world.friction_session],
        type=[_type(type_) for type_ in world.friction_type],
        source=["detector"] * size,
        confidence=np.ones(size),
        steps=[[1]] * size,
        seconds_from_start=world.friction_at - world.start[world.friction_session],
    )


def _log_table(world: World, *, named: bool) -> "pa.Table":
    size = len(world.error_at)
    return _table(
        ErrorLog,
        size,
        day=[LAST_DAY] * size,
        known_on=[LAST_DAY] * size,
        message=[_template(template) for template in world.error_template],
        service=["backend"] * size,
        logged_at=_times(world.error_at),
        session_id=[f"s{session}" for session in world.error_session] if named else [None] * size,
    )


def _times(seconds: Floats) -> Iterator[datetime]:
    return (datetime.fromtimestamp(0, UTC) + timedelta(seconds=float(second)) for second in seconds)


def _table(model: Any, size: int, **columns: Any) -> "pa.Table":
    """Rows of a model; columns that are not given are null."""
    import pyarrow as pa

    schema = arrow_schema(model)
    return pa.table(
        [
            pa.array(columns[name], schema.field(name).type)
            if name in columns
            else pa.nulls(size, schema.field(name).type)
            for name in schema.names
        ],
        schema=schema,
    )
