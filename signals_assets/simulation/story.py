"""Simulation: the planted story: base rates, releases and what they do, the backend error, what emerges, fixes.

Put here: every number and date of the story, and which rate holds for which version on which day.
Not here: how a moment looks (see `moments.py`), people (see `population.py`).

Days are numbered from 1. Week 1 is quiet: releases ship and change nothing.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

AGENT_NAME: Final = "atlas-agent"
AGENT_MODEL: Final = "meridian-3"
FIRST_VERSION: Final = "1.4.0"

BACKEND_ERROR: Final = "backend_error"
"""Rate name of the query gateway's exhausted pool, among sessions whose intent needs queries."""

RATES: Final[Mapping[str, float]] = {
    "error_event": 0.08,
    "repeated_rephrasing": 0.14,
    "escalation_tone": 0.05,
    "platform_confusion": 0.07,
    "abandoned_tool_flow": 0.08,
    "backtracking": 0.05,
    "context_churn": 0.08,
    "correction": 0.15,
    "positive_exclamation": 0.07,
    "first_attempt_success": 0.08,
    "time_saved": 0.04,
    "rapid_approval": 0.06,
    "learning_moment": 0.05,
    "unmet_other": 0.015,
    "specification_drift": 0.06,
    BACKEND_ERROR: 0.45,
}
"""Share of sessions (of an average user, of average length) in which each thing is planted, before any release."""

FRICTION: Final = (
    "error_event",
    "repeated_rephrasing",
    "escalation_tone",
    "platform_confusion",
    "abandoned_tool_flow",
    "backtracking",
    "context_churn",
    "correction",
)
DELIGHT: Final = ("positive_exclamation", "first_attempt_success", "time_saved", "rapid_approval", "learning_moment")

QUERY_INTENTS: Final = ("connect_database", "build_dashboard", "import_data", "speed_up_query", "set_up_alerts")
"""Intents whose sessions go through the query gateway."""
REPHRASING_AFTER_BACKEND_ERROR: Final = 0.35
"""Chance that the backend error makes the user restate the request; a release that lowers rephrasing scales it."""
BACKEND_RATE_WHEN_FIXED: Final = 0.02
ORDINARY_FIX_FACTOR: Final = 0.4
"""What is left of a type at its base rate after a fix that works."""
INCIDENT_FACTOR: Final = 2.0
"""Error events are that much more likely in the incident hours, whatever the template logged then."""

RELEASE_HOUR: Final = 10
FIRST_RELEASE_DAY: Final = 2
DAYS_BETWEEN_RELEASES: Final = 3
PLANTED_EFFECTS: Final[Mapping[int, Mapping[str, float]]] = {
    8: {"context_churn": 0.35},
    11: {"repeated_rephrasing": 0.05},
}
"""Day of the release -> what it changes. All other releases change nothing by themselves."""


@dataclass(frozen=True, slots=True)
class Emergence:
    """Something that begins on a day and belongs to no known category."""

    name: str
    kind: str
    first_day: int
    rate: float
    description: str


EMERGING: Final = (
    Emergence("shifted_dates", "friction", 15, 0.08, "Times and dates come in another time zone than the user's."),
    Emergence("scheduled_report", "unmet_need", 15, 0.08, "Users want a recurring report by e-mail; the agent cannot."),
    Emergence("unprompted_diagram", "delight", 16, 0.08, "The agent drew a diagram unasked, and users praise it."),
)

FIRST_DAYS: Final[Mapping[str, int]] = {item.name: item.first_day for item in EMERGING}

COMPONENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "query-gateway": ("run_query", "describe_table", "query-gateway"),
    "editor": ("Read", "Edit", "Write", "Grep"),
    "shell": ("Bash",),
    "deploy": ("deploy_preview", "deploy-proxy"),
    "docs": ("search_docs",),
}
"""Components of the simulated product and the tools and log services that belong to them (settings.components)."""


@dataclass(frozen=True, slots=True)
class Release:
    """A shipped version, the rates that hold from it on, and the pull requests in it."""

    version: str
    day: int
    released_at: float
    effects: Mapping[str, float] = field(default_factory=dict)
    pull_request_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Incident:
    """Hours in which everything is a little worse and one template is logged a lot: a confounder, not a cause."""

    start: float
    end: float


def noon(start: date, day: int, hour: float = 12.0) -> float:
    """Seconds since 1970 of an hour (UTC) of the story's day."""
    midnight = datetime.combine(start + timedelta(days=day - 1), time(), UTC)
    return midnight.timestamp() + hour * 3600.0


def version_name(number: int) -> str:
    """Name of the release `number` (0 is the version before the story)."""
    return f"1.{4 + number // 3}.{number % 3}"


def release_number(day: int) -> int | None:
    """Number of the release that ships on a day, or None."""
    past = day - FIRST_RELEASE_DAY
    return past // DAYS_BETWEEN_RELEASES + 1 if past >= 0 and past % DAYS_BETWEEN_RELEASES == 0 else None


def next_release_day(day: int) -> int:
    """The first release day after `day`."""
    day += 1
    while release_number(day) is None:
        day += 1
    return day


def fixed_rates(friction_type: str, component: str, current: Mapping[str, float]) -> dict[str, float]:
    """The rates that hold after a working fix of a type (at a component).

    A raised type returns to its base rate, one at its base rate falls to a part of it. An error at the query
    gateway, or at a component that is not told, is the backend error; elsewhere it is the ordinary one. Something that
    emerged goes away. A type the story does not know changes nothing.
    """
    if friction_type == "error_event" and component not in set(COMPONENTS) - {"query-gateway"}:
        return {BACKEND_ERROR: BACKEND_RATE_WHEN_FIXED}
    if friction_type in FIRST_DAYS:
        return {friction_type: 0.0}
    if friction_type not in RATES:
        return {}
    base, now = RATES[friction_type], current[friction_type]
    return {friction_type: base if now > base else now * ORDINARY_FIX_FACTOR}


def incidents(seed: int, start: date, week: int) -> list[Incident]:
    """The incident hours of a week (0 is the first): one window of three hours on a working day."""
    rng = random.Random(f"{seed}/incident/{week}")
    day = week * 7 + 1 + int(rng.random() * 7)
    begin = noon(start, day, 9 + int(rng.random() * 6))
    return [Incident(begin, begin + 3 * 3600.0)]


class Story:
    """Releases so far and the rates of each version."""

    def __init__(self, seed: int, start: date, *, quiet: bool = False) -> None:
        """Before anything was released in the story. In a quiet one nothing emerges and releases change nothing."""
        self.seed = seed
        self.start = start
        self.quiet = quiet
        self.releases = [Release(FIRST_VERSION, -8, noon(start, -8, RELEASE_HOUR))]
        newcomers = {item.name: 0.0 if quiet else item.rate for item in EMERGING}
        self._rates: list[dict[str, float]] = [{**RATES, **newcomers}]

    @property
    def emerging(self) -> tuple[Emergence, ...]:
        """What emerges in this story."""
        return () if self.quiet else EMERGING

    def ship(self, day: int, effects: Mapping[str, float], pull_request_ids: tuple[str, ...]) -> Release:
        """Release the version due on `day` with the planted effects of that day and those of fixes."""
        number = release_number(day)
        if number is None:
            raise ValueError(f"no release is due on day {day}; next_release_day() tells the next one")
        merged = {**({} if self.quiet else PLANTED_EFFECTS.get(day, {})), **effects}
        release = Release(version_name(number), day, noon(self.start, day, RELEASE_HOUR), merged, pull_request_ids)
        self.releases.append(release)
        self._rates.append({**self._rates[-1], **merged})
        return release

    def newest(self) -> Mapping[str, float]:
        """The rates of the newest version."""
        return self._rates[-1]

    def rate(self, name: str, release: int, day: int) -> float:
        """The average rate of `name` on a version (index of its release) and day."""
        return 0.0 if day < FIRST_DAYS.get(name, 1) else self._rates[release][name]

    def effects(self) -> list[dict[str, Any]]:
        """Every release with what it changed, for the truth."""
        return [
            {
                "version": release.version,
                "day": (self.start + timedelta(days=release.day - 1)).isoformat(),
                "story_day": release.day,
                "changes": {
                    name: {"from": self._rates[number - 1][name], "to": rate}
                    for name, rate in sorted(release.effects.items())
                    if number
                },
                "pull_request_ids": list(release.pull_request_ids),
            }
            for number, release in enumerate(self.releases)
        ]
