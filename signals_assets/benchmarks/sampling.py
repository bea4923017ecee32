"""`signals benchmark sampling`: bias, coverage of intervals and cost of the sample under a token budget.

Put here: a seeded world of a day's sessions, and scoring of what `select` draws from it, against two plainer ways.
Not here: the draw (see `core/selection.py`), intervals (see `core/statistics.py`).

Users have one or many sessions (Pareto) that resemble each other; sizes in tokens are lognormal, and long sessions meet
more friction; detectors see half of the friction and are wrong on some sessions without. The estimates are shares of
sessions with each of three types. Bias is against the day's own share among all eligible sessions; an interval covers
when it holds the share among the sessions of users like these, which is what intervals by user speak about.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Final

import numpy as np

from signals_assets.core.arrays import add_up
from signals_assets.core.selection import estimated_tokens, select
from signals_assets.core.statistics import effective_number, interval

DAY: Final = date(2026, 1, 5)
BASE: Final = (-1.5, -3.0, -4.0)
"""Log odds of the three types for a user and a size in the middle."""
USER_SPREAD: Final = 0.7
SIZE_SLOPE: Final = 0.8
SEEN: Final = 0.5
WRONG: Final = 0.08
"""Share of true moments that detectors see, and of sessions without one in which they see it all the same."""
SEVERE: Final = 0.15
NAMES: Final = ("error_event", "correction", "escalation_tone")


@dataclass(frozen=True, slots=True)
class World:
    """A day: per session its user and which types it has (types, sessions); the rows that `select` reads."""

    user: np.ndarray
    has: np.ndarray
    metrics: Sequence[Mapping[str, Any]]
    detections: Sequence[Mapping[str, Any]]
    tokens: np.ndarray


Way = Callable[[World, float, int], np.ndarray]
"""(world, budget, seed) -> weight of each session, 0 for those that are not asked about."""


def run(*, quick: bool = False, seed: int = 0, repetitions: int | None = None, users: int = 250) -> dict[str, Any]:
    """Simulate days and score every way at budgets of 10 to 60 % of the tokens; ready for JSON."""
    count = repetitions or (60 if quick else 2000)
    ways: dict[str, Way] = {"select": chosen, "until the budget is used up": until_used_up, "each by itself": by_itself}
    rows = [
        {"budget": share, "way": name, **score(way, share=share, repetitions=count, seed=seed, users=users)}
        for share in (0.1, 0.3, 0.6)
        for name, way in ways.items()
    ]
    return {
        "benchmark": "sampling",
        "parameters": {"seed": seed, "repetitions": count, "users": users},
        "ways": rows,
    }


def score(way: Way, *, share: float, repetitions: int, seed: int, users: int) -> dict[str, Any]:
    """Bias and standard error of the first type's rate, as shares of it; coverage of all types; tokens over budget."""
    truth = true_rates(users)
    errors, covered, widths, spent = [], [], [], []
    for repetition in range(repetitions):
        world = simulate(np.random.default_rng([seed, repetition]), users)
        budget = share * float(world.tokens.sum())
        weight = way(world, budget, repetition)
        found = estimate(world, weight)
        errors.append(found.rate[0] - world.has[0].mean())
        covered.append((found.low <= truth) & (truth <= found.high))
        widths.append(found.high - found.low)
        spent.append(float(world.tokens[weight > 0].sum()) / budget)
    error = np.array(errors) / truth[0]
    return {
        "bias": float(error.mean()),
        "bias_error": float(error.std() / np.sqrt(repetitions)),
        "error": float(error.std()),
        "covered": float(np.mean(covered)),
        "width": float(np.mean(widths)),
        "spent": float(np.mean(spent)),
        "most_spent": float(np.max(spent)),
    }


def estimate(world: World, weight: np.ndarray) -> Any:
    """Weighted rates of the types with their intervals, as `friction_rates` computes them."""
    asked = weight > 0
    users, index = np.unique(world.user[asked], return_inverse=True)
    events = np.array([add_up(index, (weight * has)[asked], len(users)) for has in world.has])
    worth = effective_number(weight[asked])
    return interval(add_up(index, weight[asked], len(users)), events, float(asked.sum()), worth)


def simulate(rng: np.random.Generator, users: int) -> World:
    """One day of so many users."""
    user, has, characters = _sessions(rng, users)
    found = np.where(has, rng.random(has.shape) < SEEN, rng.random(has.shape) < WRONG)
    severe = rng.random(has.shape) < SEVERE
    metrics = [
        {"session_id": f"s{number}", "known_on": DAY, "agentic_steps": 40, "steps": 40, "characters": size}
        for number, size in enumerate(characters.tolist())
    ]
    detections = [
        {"session_id": f"s{number}", "type": NAMES[kind], "severity": "high" if high else "low", "confidence": 0.9}
        for kind, number, high in zip(*np.nonzero(found), severe[found].tolist(), strict=True)
    ]
    tokens = np.array([estimated_tokens(row) for row in metrics], dtype=np.float64)
    return World(user, has, metrics, detections, tokens)


def _sessions(rng: np.random.Generator, users: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """User, types and characters of each session."""
    activity = np.minimum(rng.pareto(1.5, users) + 0.3, 15.0)
    user = np.repeat(np.arange(users), 1 + rng.poisson(1.5 * activity))
    size = rng.normal(0.0, 1.0, len(user))
    odds = rng.normal(0.0, USER_SPREAD, users)[user] + SIZE_SLOPE * size
    has = np.array([rng.random(len(user)) < 1 / (1 + np.exp(-(base + odds))) for base in BASE])
    return user, has, np.exp(10.4 + 1.2 * size).astype(np.int64)


@cache
def true_rates(users: int) -> np.ndarray:
    """Share of sessions with each type over very many days of such users."""
    rng = np.random.default_rng(12345)
    total, events = 0, np.zeros(len(BASE))
    for _ in range(100):
        _, has, _ = _sessions(rng, 20 * users)
        total, events = total + has.shape[1], events + has.sum(axis=1)
    return np.asarray(events / total)


# --- ways to draw -----------------------------------------------------------------------------------------------


def chosen(world: World, budget: float, seed: int) -> np.ndarray:
    """What the product does."""
    drawn = select(world.metrics, world.detections, min_steps=30, daily_token_budget=int(budget), seed=seed, day=DAY)
    return np.array([item.inclusion_weight if item.selected else 0.0 for item in drawn])


def until_used_up(world: World, budget: float, seed: int) -> np.ndarray:
    """In random order as long as the budget lasts; weights are all over drawn."""
    order = np.random.default_rng([seed, 1]).permutation(len(world.tokens))
    drawn = order[np.cumsum(world.tokens[order]) <= budget]
    weight = np.zeros(len(order))
    weight[drawn] = len(order) / max(len(drawn), 1)
    return weight


def by_itself(world: World, budget: float, seed: int) -> np.ndarray:
    """Each session by itself with the same chance (Poisson sampling): the budget holds on average only."""
    chance = budget / float(world.tokens.sum())
    return np.where(np.random.default_rng([seed, 2]).random(len(world.tokens)) < chance, 1 / chance, 0.0)
