"""What a volume of sessions can show, before anything is computed.

Put here: the arithmetic behind `signals doctor`. Not here: the tests themselves (see `core/statistics.py`).

Rough on purpose: it answers "will I see anything?", from the number of sessions and users alone. Sessions of one
user resemble each other; the design effect 1 + (m - 1) x ICC of cluster sampling (Kish, Survey Sampling, 1965)
is taken at ICC 0.05 with heavy-tailed activity, where the effective sessions per user are three times the mean.
"""

import math
from dataclasses import dataclass
from typing import Final

from signals_assets.core.barrier.thresholds import SHOWN, TICKET, Threshold, reaches
from signals_assets.settings import Audience

ICC: Final = 0.05
HEAVY_TAIL: Final = 3.0
COMPARISON_EFFECT: Final = 2.5
"""Design effect of a difference between two windows. Users present in both windows largely cancel, so it does not
grow with their sessions; 2 to 3.3 reproduces the simulated power of the release test at 200 to 3,000 sessions a day."""
BASELINE_DAYS: Final = 28
Z_SUSPECTED: Final = 3.1
"""About what Benjamini-Hochberg at q = 0.02 asks of the best of some twenty comparisons."""
Z_CONFIRMED: Final = 4.0
"""About what an e-value has to show for e-BH at 5 % over as many."""
Z_POWER: Final = 0.84
"""80 % power."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One question about a volume, and its answer in a sentence."""

    question: str
    answer: str


def standard_error(rate: float, sessions: float, users: float) -> float:
    """Standard error of a share of sessions, by user."""
    per_user = HEAVY_TAIL * sessions / max(1.0, users)
    effect = 1.0 + ICC * max(0.0, per_user - 1.0)
    return math.sqrt(rate * (1 - rate) * effect / max(1.0, sessions))


def days_to_see(rate: float, change: float, sessions_per_day: float, z: float) -> int | None:
    """Days after a release until a change of a rate would be seen with 80 % power; None within four weeks."""
    middle = rate + change / 2
    variance = COMPARISON_EFFECT * middle * (1 - middle)
    for days in range(1, 29):
        after, before = sessions_per_day * days, sessions_per_day * BASELINE_DAYS
        if after <= 0 or (rate + change) * after < 10:
            continue
        if abs(change) >= (z + Z_POWER) * math.sqrt(variance * (1 / after + 1 / before)):
            return days
    return None


def predictions(sessions_per_day: float, users: int, organizations: int | None, audience: Audience) -> list[Prediction]:
    """What such a volume can and cannot show to an audience."""
    week = sessions_per_day * 7
    margin = 1.96 * standard_error(0.10, week, users)
    shown = reaches(SHOWN[audience], users, int(week), organizations)
    found = [
        Prediction(
            "aggregates of a week",
            "are shown" if shown else f"stay hidden: the audience {audience} needs {_needs(SHOWN[audience])}",
        ),
        Prediction("a rate of 10 % over a week", f"is known to within {100 * margin:.1f} percentage points"),
    ]
    for label, rate, change in (
        ("a rise from 10 % to 15 %", 0.10, 0.05),
        ("a doubling from 10 % to 20 %", 0.10, 0.10),
        ("a fall from 10 % to 7 %", 0.10, -0.03),
    ):
        suspected = days_to_see(rate, change, sessions_per_day, Z_SUSPECTED)
        confirmed = days_to_see(rate, change, sessions_per_day, Z_CONFIRMED)
        found.append(
            Prediction(f"{label} after a release", f"suspected {_after(suspected)}, confirmed {_after(confirmed)}")
        )
    ticket = reaches(TICKET[audience], users, int(week), organizations)
    found.append(
        Prediction(
            "tickets", "can be filed" if ticket else f"cannot be filed: they need {_needs(TICKET[audience])} concerned"
        )
    )
    return found


def _needs(threshold: Threshold) -> str:
    users, sessions, organizations = threshold.users, threshold.sessions, threshold.organizations
    parts = [f"{users} user{'s' * (users != 1)}", f"{sessions} session{'s' * (sessions != 1)}"]
    if organizations:
        parts.append(f"{organizations} organisations where known")
    return ", ".join(parts)


def _after(days: int | None) -> str:
    if days is None:
        return "not within four weeks"
    return "the next day" if days == 1 else f"after {days} days"
