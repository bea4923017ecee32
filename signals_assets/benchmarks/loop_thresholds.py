"""Benchmark · loop, thresholds: tickets for a rise in weeks without any change, and how soon a regression gets one.

Put here: `thresholds`, seeded lives of two months, quiet ones and ones in which one release makes one friction worse.
Not here: when a type is over its threshold (see `core/levels.py`), rises (see `core/correlations.py`).

A version ships every third day and changes nothing, but for the planted one. Every day the levels are decided as in the
graph, from the day before and what is known. Evidence is sufficient on the first day on which the rise is confirmed or
the level's lower bound is over its ceiling; a crossing is what files a ticket.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from signals_assets.core.cohorts import level_inputs
from signals_assets.core.correlations import release_correlations
from signals_assets.core.levels import friction_levels
from signals_assets.core.taxonomy import seed as taxonomy_seed
from signals_assets.core.user_days import CountedType, types_counted
from signals_assets.core.wording import Wording
from signals_assets.settings import ThresholdSettings
from signals_assets.simulation.counts import Day, Population, adopted, counts_of, days_from, lived

FIRST: Final = date(2026, 3, 2)
BASELINE: Final = 28
WATCHED: Final = 60
"""Days on which tickets may be filed, after four weeks of history."""
EVERY: Final = 3
USERS: Final = 300
SESSIONS_A_DAY: Final = 400
RATES: Final = (0.03, 0.2)
DAY_SPREAD: Final = 0.1
FACTORS: Final = (1.6, 3.0)
PLANTED_AFTER: Final = (4, 12)
"""Number of the release that is the planted one: from, to."""
PATIENCE: Final = 14
"""Days after the planted release on which its ticket is waited for."""
MOST_DAYS: Final = 2
WEEK: Final = 7
COUNTED: Final = 56


def thresholds(seeds: Iterable[int], each: Callable[..., Iterable[dict[str, Any]]] = map) -> dict[str, Any]:
    """A quiet life and one with a regression per seed, by turns without and with days that differ for everybody.

    `each` maps over the lives (a pool's `map` uses more than one core).
    """
    lives = list(each(_life, [(seed, planted) for seed in seeds for planted in (False, True)]))
    quiet, planted = ([row for row in lives if (row["released_on"] is not None) is known] for known in (False, True))
    found = [row for row in planted if row["evidence_on"] is not None]
    soon = sum(row["waited"] is not None and row["waited"] <= MOST_DAYS for row in found)
    return {
        "quiet_lives": len(quiet),
        "quiet_days_each": WATCHED,
        "rises_ticketed": sum(row["rises"] for row in quiet),
        "most_in_one_life": max(row["rises"] for row in quiet),
        "regressions": len(planted),
        "with_sufficient_evidence": len(found),
        "ticketed_within_two_days": soon,
        "lives": lives,
        "gates": [
            {
                "gate": f"thresholds: tickets for a rise in {WATCHED} quiet days, most",
                "measured": max(row["rises"] for row in quiet),
                "at most": 1,
                "holds": all(row["rises"] <= 1 for row in quiet),
            },
            {
                "gate": f"thresholds: regressions with a ticket within {MOST_DAYS} days of their evidence",
                "measured": soon,
                "at least": len(found),
                "holds": soon == len(found),
            },
        ],
    }


def _life(asked: tuple[int, bool]) -> dict[str, Any]:
    seed, planted = asked
    spread = DAY_SPREAD * (seed % 2)
    return {"seed": seed, "spread": spread, **life(seed, spread, planted=planted)}


def life(seed: int, spread: float, *, planted: bool) -> dict[str, Any]:
    """One life: crossings for a rise of what did not change; evidence and crossing of what did."""
    rng = np.random.default_rng([seed, planted])
    types = [item for item in types_counted(taxonomy_seed(), ["friction"]) if item.source == "detector"]
    world = _World(rng, types, planted, spread)
    previous: list[dict[str, Any]] = []
    rises, evidence_on, crossed_on = 0, None, None
    last = world.planted_on + PATIENCE if planted else BASELINE + WATCHED
    for number in range(BASELINE, last):
        levels, rows = world.levels(number, previous)
        previous = levels
        for level in levels:
            own = planted and level["type"] == world.aimed_at.type and number >= world.planted_on
            if own and evidence_on is None and world.is_evident(level, rows):
                evidence_on = number
            if own and crossed_on is None and level["crossed"]:
                crossed_on = number
            rises += not own and level["crossed"] and level["trigger"] == "rise"
    waited = crossed_on - evidence_on if crossed_on is not None and evidence_on is not None else None
    return {
        "rises": rises,
        "released_on": world.planted_on if planted else None,
        "evidence_on": evidence_on,
        "crossed_on": crossed_on,
        "waited": waited,
    }


class _World:
    """Two months of counts, and the levels of a day of them."""

    def __init__(self, rng: np.random.Generator, types: Sequence[CountedType], planted: bool, spread: float) -> None:
        self.types = types
        self.aimed_at = types[int(rng.integers(len(types)))]
        self.planted_on = BASELINE + EVERY * int(rng.integers(*PLANTED_AFTER))
        self._releases = [_release(number) for number in range(EVERY, BASELINE + WATCHED, EVERY)]
        factor = float(rng.uniform(*FACTORS)) if planted else 1.0
        population = Population.drawn(rng, USERS, [float(rng.uniform(*RATES)) for _ in types])
        lag = adopted(rng, USERS)
        self._days: list[Day] = []
        for number, day in enumerate(days_from(FIRST, BASELINE + WATCHED)):
            ran = np.maximum(number - lag, 0) // EVERY * EVERY
            met = np.ones((len(types), USERS))
            met[types.index(self.aimed_at), ran >= self.planted_on] = factor
            version = np.array([_version(one) for one in ran.tolist()])
            self._days.append(lived(rng, population, day, SESSIONS_A_DAY, version, met, spread))

    def levels(
        self, number: int, previous: Sequence[Mapping[str, Any]]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The day's levels, and the day's comparisons of releases."""
        day = self._days[number].day
        counts = counts_of(
            self._days[max(0, number - COUNTED + 1) : number + 1], [(item.kind, item.type) for item in self.types]
        )
        rows = [
            row.model_dump()
            for row in release_correlations(
                day, counts, self._releases, types=self.types, audience="company", label=lambda _, word: word
            )[0]
        ]
        levels, _ = friction_levels(
            day,
            levels=level_inputs(day, counts, types=self.types, days=WEEK),
            release_correlations=rows,
            causes_window=self._causes(number),
            previous=previous,
            entries=[],
            wording=Wording(taxonomy_seed()),
            thresholds=ThresholdSettings(),
        )
        return [level.model_dump() for level in levels], rows

    def is_evident(self, level: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the rise is confirmed, or the level surely over its ceiling."""
        confirmed = any(
            row["type"] == level["type"] and row["verdict"] == "regressed" and row["evidence"] == "confirmed"
            for row in rows
        )
        return confirmed or (level["lower_bound"] or 0.0) > level["ceiling"]

    def _causes(self, number: int) -> list[dict[str, Any]]:
        return [
            row
            for day in self._days[max(0, number - WEEK + 1) : number + 1]
            for place, item in enumerate(self.types)
            for row in _causes(day, item.type, day.met[place])
        ]


def _causes(day: Day, type_: str, met: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Rows of `causes`, one for each session with the type."""
    return [
        {
            "day": day.day,
            "about_day": day.day,
            "event_id": f"{day.day}{type_}{user}.{number}",
            "cause_id": f"cause_{type_}",
            "type": type_,
            "component": "unknown",
            "session_id": f"{day.day}{user}.{number}",
            "user_id": f"u{user}",
            "organization_id": f"o{user % 12}",
        }
        for user in np.flatnonzero(met).tolist()
        for number in range(int(met[user]))
    ]


def _version(day: int) -> str:
    return f"1.{day // EVERY}"


def _release(day: int) -> dict[str, Any]:
    on = FIRST + timedelta(days=day)
    return {
        "agent_name": "agent", "kind": "version", "version": _version(day), "known_on": on,
        "released_at": datetime.combine(on, datetime.min.time(), UTC),
    }  # fmt: skip
