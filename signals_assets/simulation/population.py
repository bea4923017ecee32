"""Simulation: organisations and users, with habits that make one user's sessions resemble each other.

Put here: who exists, how active they are, how fast they take a release, what they are prone to.
Not here: rates of the story (see `story.py`), what happens in a session (see `moments.py`).
"""

import math
import random
from dataclasses import dataclass
from typing import Final

from signals_assets.simulation.artifacts import STACKS, Stack
from signals_assets.simulation.words import pick

INTRA_USER_CORRELATION: Final = 0.05
"""Share of the variance of "this session has that friction" that lies between users (the notes' simulations use it)."""
ACTIVITY_EXPONENT: Final = 1.5
"""Pareto exponent of activity: a few users own much of the traffic."""
ADOPTION_MEDIAN_HOURS: Final = 12.0
"""Half of the users run a release after about this long; the slow ones take days."""

INTENTS: Final = (
    "connect_database",
    "write_tests",
    "fix_bug",
    "build_dashboard",
    "add_endpoint",
    "deploy_preview",
    "import_data",
    "refactor_module",
    "speed_up_query",
    "set_up_alerts",
)
INTENT_WEIGHTS: Final = (0.10, 0.09, 0.2, 0.13, 0.1, 0.08, 0.08, 0.08, 0.08, 0.06)


@dataclass(frozen=True, slots=True)
class Style:
    """How a user writes."""

    language: str
    capitals: bool
    period: bool
    opener: str


@dataclass(frozen=True, slots=True)
class User:
    """One person: weight of activity, peak hour (UTC), delay of adoption, style, intents they favour."""

    user_id: str
    organization_id: str
    stack: Stack
    activity: float
    peak_hour: float
    adoption_hours: float
    patience: float
    style: Style
    intents: tuple[float, ...]


def population(seed: int, users: int, organizations: int) -> list[User]:
    """The users of a world, activity normalised to sum to 1. Organisations are of unequal size, none is empty."""
    rng = random.Random(f"{seed}/population")
    ranks = list(range(users))
    rng.shuffle(ranks)
    raw = [((rank + 0.5) / users) ** (-1 / ACTIVITY_EXPONENT) for rank in ranks]
    total = sum(raw)
    stacks = [STACKS[number % len(STACKS)] for number in range(organizations)]
    zones = [rng.choice((-6.0, -4.0, 0.0, 0.0, 1.0, 5.0)) for _ in range(organizations)]
    return [
        _user(
            random.Random(f"{seed}/user/{number}"),
            number,
            _organization(number, organizations),
            stacks,
            zones,
            weight / total,
        )
        for number, weight in enumerate(raw)
    ]


def _organization(number: int, organizations: int) -> int:
    """The first users go round once, the others to the earlier organisations more often."""
    if number < organizations:
        return number
    return min(organizations - 1, int(organizations * ((number * 0.6180339887) % 1.0) ** 1.4))


def _user(
    rng: random.Random, number: int, organization: int, stacks: list[Stack], zones: list[float], activity: float
) -> User:
    language = "en" if (draw := rng.random()) < 0.9 else ("de" if draw < 0.95 else "es")
    habits = [weight * rng.lognormvariate(0.0, 0.9) for weight in INTENT_WEIGHTS]
    scale = sum(habits)
    return User(
        user_id=f"user-{number + 1:03d}",
        organization_id=f"org-{organization + 1:02d}",
        stack=stacks[organization],
        activity=activity,
        peak_hour=min(18.0, max(6.0, 13.0 - zones[organization] + rng.gauss(0.0, 1.5))),
        adoption_hours=ADOPTION_MEDIAN_HOURS * rng.lognormvariate(0.0, 0.8),
        patience=rng.lognormvariate(0.0, 0.4),
        style=Style(
            language, rng.random() < 0.55, rng.random() < 0.35, pick(rng, ("", "", "", "", "hi, ", "hey, ", "hello, "))
        ),
        intents=tuple(weight / scale for weight in habits),
    )


def proneness(seed: int, user_id: str, name: str, rate: float) -> float:
    """The rate of `name` for one user when `rate` is the rate of everybody.

    A lognormal multiplier with mean 1 whose variance gives the intra-user correlation at that rate
    (variance of a user's rate = ICC * rate * (1 - rate)); its rank is a lasting trait of the user. At most 0.95.
    """
    if rate <= 0.0 or rate >= 1.0:
        return max(0.0, min(1.0, rate))
    trait = random.Random(f"{seed}/trait/{user_id}/{name}").gauss(0.0, 1.0)
    sigma = math.sqrt(math.log1p(INTRA_USER_CORRELATION * (1 - rate) / rate))
    return min(0.95, rate * math.exp(sigma * trait - sigma * sigma / 2))


def styled(style: Style, text: str) -> str:
    """The text as this user would type it."""
    if style.capitals:
        text = text[:1].upper() + text[1:]
    if style.period and text[-1:].isalnum():
        text += "."
    return text
