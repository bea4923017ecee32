"""`signals benchmark correlations`: false discoveries, power and delay of the release verdicts, and their speed.

Put here: which worlds are simulated how often, scoring, the bounds that have to hold.
Not here: the world (see `correlations_world.py`), the methods compared (see `correlations_methods.py`), the product's
method (see `core/releases.py`, `core/statistics.py`, `core/mixed_model.py`; for a statistician docs/statistics.md).

A world has 20 types at 10 %, a release every third day, and half of the types changed once by one of the releases, to
15 % or 7 %. Every method looks every day. An alarm is false where its type did not change that way, or not yet. The
false discovery rate is the mean over worlds of the share of false ones among all alarms that were ever raised.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any, Final

import numpy as np

from signals_assets.benchmarks.correlations_methods import Alarm, all_alarms
from signals_assets.benchmarks.correlations_world import World, simulate

BASE_RATE: Final = 0.1
TYPES: Final = 20
SEEN_WITHIN_DAYS: Final = 9
"""A planted change counts as found when it is named at most this long after its release."""
PELT_WORLDS: Final = 4
"""PELT is slow: it looks at so many worlds of a cell."""
QUOTED: Final[tuple[Mapping[str, Any], ...]] = (
    {"method": "Otava p < .001", "sessions a day": 200, "FDR": 0.371, "power": 0.80, "delay": 4},
    {"method": "Otava p < .001", "sessions a day": 1000, "FDR": 0.365, "power": 0.967, "delay": 1},
    {"method": "Otava p < .0001", "sessions a day": 200, "FDR": 0.121, "power": 0.52, "delay": 5},
    {"method": "Otava p < .0001", "sessions a day": 1000, "FDR": 0.032, "power": 0.967, "delay": 2},
)
"""Not computed here: Otava pins old packages. From the project's notes, 14 releases switched at once, no day shocks,
3 to 5 repetitions."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of world and how often it is simulated."""

    name: str
    sessions_per_day: int
    day_spread: float
    staggered: bool
    repetitions: int
    common: float = 0.5
    eager: float = 0.0
    outage: bool = False
    releases: int = 6
    baseline_days: int = 28

    def world(self, rng: np.random.Generator) -> World:
        """A world of this kind with its own planted changes."""
        changes = {
            type_: [(int(rng.integers(1, self.releases + 1)), float(rng.choice([0.15, 0.07])))]
            for type_ in range(0, TYPES, 2)
        }
        return World(
            sessions_per_day=self.sessions_per_day,
            types=TYPES,
            baseline_days=self.baseline_days,
            releases=self.releases,
            release_every=3,
            day_spread=self.day_spread,
            staggered=self.staggered,
            base_rate=BASE_RATE,
            changes=changes,
            common=self.common,
            eager=self.eager,
            outage=int(rng.integers(1, self.releases + 1)) if self.outage else None,
        )


REPETITIONS: Final[Mapping[int, int]] = {50: 100, 200: 100, 1000: 20, 2000: 12, 5000: 4}
"""Worlds per cell by sessions a day: the small ones are the headline, where power and errors are in doubt."""


def cells(sessions_per_day: Iterable[int] = tuple(REPETITIONS), repetitions: int | None = None) -> list[Cell]:
    """The grid of volumes, day shocks and adoption, and worlds that break an assumption each."""
    found = []
    for volume in sessions_per_day:
        for staggered in (False, True):
            for spread in (0.0, 0.1, 0.15):
                count = repetitions or REPETITIONS[volume]
                found.append(Cell("grid", volume, spread, staggered, count))
    if 200 in {cell.sessions_per_day for cell in found}:
        count = repetitions or 20
        found += [
            Cell("shocks common to all types", 200, 0.15, False, count, common=1.0),
            Cell("shocks of each type's own", 200, 0.15, False, count, common=0.0),
            Cell("who switches first meets more", 200, 0.0, True, count, eager=0.6),
            Cell("an outage the day after a release", 200, 0.0, False, count, outage=True),
            Cell("an outage the day after a release", 200, 0.0, True, count, outage=True),
        ]
    return found


def run(
    *,
    quick: bool = False,
    seed: int = 0,
    repetitions: int | None = None,
    sessions_per_day: Sequence[int] | None = None,
    processes: int = 2,
) -> dict[str, Any]:
    """Simulate, score and time; returns parameters and one record per cell, ready for JSON.

    `quick`: one world of each cell of 200 sessions a day. Gates are judged in the full run only.
    """
    from signals_assets.benchmarks.correlations_speed import speed

    volumes = tuple(sessions_per_day) if sessions_per_day is not None else (200,) if quick else tuple(REPETITIONS)
    count = repetitions or (1 if quick else None)
    chosen = cells(volumes, count)
    # The largest first, so that no process is left alone with one at the end.
    jobs = [(seed, cell, number) for cell in chosen for number in range(cell.repetitions)]
    order = sorted(range(len(jobs)), key=lambda job: -jobs[job][1].sessions_per_day)
    with ProcessPoolExecutor(processes, get_context("forkserver")) as pool:
        answers = dict(zip(order, pool.map(_life, [jobs[job] for job in order], chunksize=1), strict=True))
    records, place = [], 0
    for cell in chosen:
        lives = [answers[place + number] for number in range(cell.repetitions)]
        place += cell.repetitions
        records.append({**asdict(cell), "methods": _methods(lives)})
    gates = [] if quick or repetitions else _gates(records)
    return {
        "benchmark": "correlations",
        "parameters": {
            "seed": seed,
            "sessions_per_day": list(volumes),
            "types": TYPES,
            "base_rate": BASE_RATE,
            "found_within_days": SEEN_WITHIN_DAYS,
            "processes": processes,
        },
        "cells": records,
        "quoted": [dict(row) for row in QUOTED],
        "speed": speed(seed=seed, days=2 if quick or sessions_per_day is not None else 28),
        "gates": gates,
    }


def _life(job: tuple[int, Cell, int]) -> dict[str, dict[str, Any]]:
    """Simulate one world and score every method."""
    seed, cell, number = job
    rng = np.random.default_rng([seed, number, cell.sessions_per_day])
    world = cell.world(rng)
    alarms = all_alarms(world, simulate(world, rng), with_pelt=cell.name == "grid" and number < PELT_WORLDS)
    return {name: score(world, found) for name, found in alarms.items()}


def score(world: World, alarms: Mapping[Alarm, int]) -> dict[str, Any]:
    """False alarms, planted changes found in time, their delays, and first alarms that named the right release."""
    planted = {
        type_: (release, 1 if new > (world.base_rate if release == steps[0][0] else steps[0][1]) else -1)
        for type_, steps in world.changes.items()
        for release, new in steps
        if release
    }
    true = {
        (release, type_): day
        for (release, type_, sign), day in alarms.items()
        if type_ in planted and sign == planted[type_][1] and day >= world.release_day(planted[type_][0])
    }
    delays, right, worse, next_day = [], 0, 0, 0
    for type_, (release, sign) in planted.items():
        worse += sign > 0
        named = [(day - world.release_day(release), found) for (found, of), day in true.items() if of == type_]
        if named and min(named)[0] <= SEEN_WITHIN_DAYS:
            delays.append(min(named)[0])
            right += min(named)[1] == release
            next_day += sign > 0 and min(named)[0] == 0
    return {
        "alarms": len(alarms),
        "false": len(alarms) - len(true),
        "found": len(delays),
        "planted": len(planted),
        "delays": delays,
        "right": right,
        "worse": worse,
        "next_day": next_day,
    }


def _methods(lives: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    names = list(dict.fromkeys(name for life in lives for name in life))
    return {name: _mean([life[name] for life in lives if name in life]) for name in names}


def _mean(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over worlds with their standard errors; those of power are over worlds, too."""
    false = np.array([life["false"] / life["alarms"] if life["alarms"] else 0.0 for life in runs])
    found = np.array([life["found"] / max(life["planted"], 1) for life in runs])
    delays = [delay for life in runs for delay in life["delays"]]
    worse = sum(life["worse"] for life in runs)
    seen = sum(life["next_day"] for life in runs) / worse if worse else None
    return {
        "worlds": len(runs),
        "fdr": round(float(false.mean()), 4),
        "fdr_se": _error(false),
        "false_alarms": round(sum(life["false"] for life in runs) / len(runs), 3),
        "power": round(float(found.mean()), 4),
        "power_se": _error(found),
        "median_days": float(np.median(delays)) + 1 if delays else None,
        "right_release": round(sum(life["right"] for life in runs) / len(delays), 3) if delays else None,
        "next_day": None if seen is None else round(seen, 4),
        "next_day_se": None if seen is None else round(float(np.sqrt(seen * (1 - seen) / worse)), 4),
    }


def _error(values: np.ndarray) -> float | None:
    return round(float(values.std(ddof=1) / np.sqrt(len(values))), 4) if len(values) > 1 else None


def _gates(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The bounds that have to hold within two standard errors, each with the cell that is nearest to breaking it."""

    def figures(record: Mapping[str, Any], method: str, name: str) -> tuple[float, float]:
        found = record["methods"][method]
        return found[name], 2 * (found[f"{name}_se"] or 0.0)

    gates = []
    for level, bound in (("confirmed", 0.05), ("suspected", 0.1)):
        rates = [figures(record, level, "fdr") for record in records]
        value, margin = max(rates, key=lambda rate: rate[0] - rate[1])
        holds = value - margin <= bound
        gates.append({"gate": f"{level}: false discoveries", "measured": value, "at most": bound, "holds": holds})
    grid = [record for record in records if record["name"] == "grid"]
    for level, bound in (("confirmed", 0.05), ("suspected", 0.1)):
        gained = []
        for record in grid:
            rival = figures(record, f"JK-Day {level}", "fdr")
            if rival[0] - rival[1] <= bound:
                ours, theirs = (figures(record, name, "power") for name in (level, f"JK-Day {level}"))
                gained.append((ours[0] - theirs[0], float(np.hypot(ours[1], theirs[1])), record["staggered"]))
        worst = min(gained, key=lambda gain: gain[0] + gain[1])
        gate = f"{level}: power above JK-Day's where that keeps its rate"
        measured = round(worst[0], 4)
        gates.append({"gate": gate, "measured": measured, "at least": 0.0, "holds": worst[0] + worst[1] >= 0})
        staggered = [gain[0] for gain in gained if gain[2]]
        if staggered:
            mean = round(float(np.mean(staggered)), 4)
            gate = f"{level}: the same, mean of staggered adoption"
            gates.append({"gate": gate, "measured": mean, "at least": 0.0001, "holds": mean > 0})
    for record in grid:
        if record["sessions_per_day"] == 2000 and not record["staggered"] and not record["day_spread"]:
            value, margin = figures(record, "confirmed", "next_day")
            gate = "confirmed the next day: +50 % at 2,000 sessions a day"
            gates.append({"gate": gate, "measured": value, "at least": 0.6, "holds": value + margin >= 0.6})
    return gates
