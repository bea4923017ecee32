"""A seeded world of counts by user and day, with planted changes, for `signals benchmark correlations`.

Put here: `World`, `simulate`, and the same counts as the line that the product's test reads.
Not here: the product's simulation of sessions (see `simulation/`), what methods say about the world (see
`correlations_methods.py`).

The world follows the project's notes: users whose activity is Pareto(1.5), whose sessions resemble each other
(correlation 0.05), quiet weekends, days that are worse or better than others for everybody: half of that shock is
common to all types, half each type's own. It is not made to suit the test: shocks multiply, habits are beta
distributed, activity has no finite variance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import numpy as np

from signals_assets.core.releases import Line, Shipped
from signals_assets.core.user_days import Cells, CountedType

FIRST_DAY: Final = date(2026, 1, 5)
ORIGIN: Final = (FIRST_DAY - date(1970, 1, 1)).days
CORRELATION: Final = 0.05
Counts = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class World:
    """What is simulated. Rates are shares of sessions; `changes`: type -> (release, new rate)."""

    sessions_per_day: int
    types: int
    baseline_days: int
    releases: int
    release_every: int
    day_spread: float
    staggered: bool
    base_rate: float
    changes: Mapping[int, Sequence[tuple[int, float]]] = field(default_factory=dict)
    common: float = 0.5
    """Share of the variance of days' shocks that is common to all types."""
    eager: float = 0.0
    """By how much more friction those meet who switch first, whatever they run."""
    outage: int | None = None
    """Release on whose second day half of the types occur three times as often, whatever is run."""

    @property
    def days(self) -> int:
        """Length of the simulated time."""
        return self.baseline_days + self.releases * self.release_every

    def release_day(self, release: int) -> int:
        """Day of a release; release 0 is what ran before all others."""
        return self.baseline_days + (release - 1) * self.release_every if release else -1


def simulate(world: World, rng: np.random.Generator) -> Counts:
    """Cells (user, day, release) with sessions `n` and events `x` of shape (types, cells), ordered by user and day."""
    users = max(40, world.sessions_per_day)
    activity = rng.pareto(1.5, users) + 0.2
    activity /= activity.sum()
    days = np.arange(world.days)
    weekend = (ORIGIN + days + 3) % 7 >= 5
    volume = world.sessions_per_day * np.where(weekend, 0.4, 1.0) * 7 / 5.8
    sessions = rng.poisson(volume[None, :] * activity[:, None])
    shipped = np.array([world.release_day(release) for release in range(world.releases + 1)])
    delay = rng.geometric(0.4, users) - 1 if world.staggered else np.zeros(users, dtype=np.int64)
    running = np.searchsorted(shipped, days[None, :] - delay[:, None], side="right") - 1
    user, day = np.nonzero(sessions)
    release, n = np.maximum(running[user, day], 0), sessions[user, day]
    first = np.exp(-delay / 1.5)
    temper = 1 + world.eager * (first - first.mean())
    common = np.sqrt(world.common) * rng.standard_normal(world.days)
    x = np.zeros((world.types, len(n)))
    for type_ in range(world.types):
        rate = np.full(world.releases + 1, world.base_rate)
        for changed, new in world.changes.get(type_, ()):
            rate[changed:] = new
        start, spread = float(rate[0]), (1 - CORRELATION) / CORRELATION
        habit = rng.beta(start * spread, (1 - start) * spread, users) / start * temper
        own = np.sqrt(1 - world.common) * rng.standard_normal(world.days)
        shock = np.maximum(1 + world.day_spread * (common + own), 0.1) * np.where(weekend, 0.85, 1.0)
        if world.outage is not None and type_ % 2:
            shock[world.release_day(world.outage) + 1] *= 3
        x[type_] = rng.binomial(n, np.clip(habit[user] * rate[release] * shock[day], 0, 0.95))
    return {"user": user, "day": day, "release": release, "n": n.astype(np.float64), "x": x}


def line(world: World, counts: Counts, day: int) -> Line:
    """What the product's test reads on a day of the world."""
    seen = counts["day"] <= day
    n, events = counts["n"][seen], counts["x"][:, seen]
    nothing = np.broadcast_to(0.0, events.shape)
    return Line(
        agent="agent",
        kind="version",
        source="detector",
        types=[CountedType("friction", f"type_{type_:02}", "detector") for type_ in range(world.types)],
        shipped=[
            Shipped(f"1.{release}", ORIGIN + world.release_day(release), listed=release > 0)
            for release in range(world.releases + 1)
            if world.release_day(release) <= day
        ],
        cells=Cells(
            columns={"user": counts["user"][seen], "about": counts["day"][seen] + ORIGIN},
            sessions=n, weight=n, squares=n, events=events, high=nothing, medium=nothing, concerned=nothing,
        ),
        position=counts["release"][seen],
    )  # fmt: skip
