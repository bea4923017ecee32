"""Simulation: an agent's users as counts by user, day and version, for worlds that need no sessions.

Put here: `Population`, `lived`, `counts_of`.
Not here: what happens in a world (see `benchmarks/`), sessions (see `world.py`).

Activity of users is Pareto(1.5), sessions of one user resemble each other (correlation 0.05, beta-binomial), weekends
are quiet, and a day may be a little better or worse for everybody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from signals_assets.core.user_days import Counts
from signals_assets.tables import UserDay, arrow_schema

CORRELATION: Final = 0.05
WEEKEND: Final = 0.4
ADOPTS: Final = 0.3
"""Chance, on each day, that a user who has not switched to a new version does."""


@dataclass(frozen=True, slots=True)
class Population:
    """Users of a world: how much of the traffic each is, and how prone to each type (types, users)."""

    share: NDArray[np.float64]
    prone: NDArray[np.float64]

    @classmethod
    def drawn(cls, rng: np.random.Generator, users: int, rates: Sequence[float]) -> "Population":
        """Users with the given mean rates per type."""
        share = rng.pareto(1.5, users) + 0.2
        strength = 1 / CORRELATION - 1
        prone = np.stack([rng.beta(rate * strength, (1 - rate) * strength, users) for rate in rates])
        return cls(share / share.sum(), prone)

    def sessions(self, rng: np.random.Generator, day: date, sessions_a_day: float) -> NDArray[np.int64]:
        """Sessions of each user on a day."""
        mean = sessions_a_day * (WEEKEND if day.weekday() >= 5 else 1.24)
        return rng.poisson(mean * self.share)


@dataclass(frozen=True, slots=True)
class Day:
    """A day's counts by user: the version each ran, sessions, and sessions with each type (types, users)."""

    day: date
    version: NDArray[np.str_]
    sessions: NDArray[np.int64]
    met: NDArray[np.int64]


def lived(
    rng: np.random.Generator,
    population: Population,
    day: date,
    sessions_a_day: float,
    version: NDArray[np.str_],
    factor: NDArray[np.float64],
    spread: float,
) -> Day:
    """One day; `factor` (types, users): how much more of a type there is; `spread`: the day's own shock, per type."""
    sessions = population.sessions(rng, day, sessions_a_day)
    shock = np.exp(rng.normal(0, spread, len(factor)))[:, None] if spread else 1.0
    chance = np.clip(population.prone * factor * shock, 0, 0.95)
    return Day(day, version, sessions, rng.binomial(sessions, chance))


def counts_of(days: Sequence[Day], types: Sequence[tuple[str, str]], organizations: int = 12) -> Counts:
    """Counts as of the last day; types: (kind, type) of the rows of `met`. Every type is counted by detectors."""
    import pyarrow as pa

    columns: dict[str, list[Any]] = {name: [] for name in arrow_schema(UserDay).names}

    def add(day: Day, users: NDArray[np.int64], kind: str, type_: str, sessions: NDArray[np.int64]) -> None:
        size = len(users)
        rows: Mapping[str, Any] = {
            "day": [day.day] * size,
            "about_day": [day.day] * size,
            "known_on": [day.day] * size,
            "user_id": [f"u{user}" for user in users.tolist()],
            "organization_id": [f"o{user % organizations}" for user in users.tolist()],
            "agent_name": ["agent"] * size,
            "agent_version": day.version[users].tolist(),
            "source": ["detector"] * size,
            "kind": [kind] * size,
            "type": [type_] * size,
            "sessions": sessions[users].tolist(),
            "weight": sessions[users].astype(float).tolist(),
            "events": sessions[users].tolist(),
        }
        for name, values in columns.items():
            values.extend(rows.get(name, [_DEFAULTS.get(name)] * size))

    for day in days:
        add(day, np.flatnonzero(day.sessions), "session", "all", day.sessions)
        for row, (kind, type_) in enumerate(types):
            add(day, np.flatnonzero(day.met[row]), kind, type_, day.met[row])
    return Counts.of(pa.Table.from_pydict(columns, schema=arrow_schema(UserDay)))


_DEFAULTS: Final[Mapping[str, Any]] = {"high": 0.0, "medium": 0.0, "taxonomy_version": 1, "intent": "unknown"}


def days_from(first: date, count: int) -> list[date]:
    """Consecutive days."""
    return [first + timedelta(days=number) for number in range(count)]


def adopted(rng: np.random.Generator, users: int) -> NDArray[np.int64]:
    """Days after a release on which each user runs it."""
    return rng.geometric(ADOPTS, users) - 1
