"""`signals benchmark correlations`: false discoveries, power and delay of the release verdicts, against other methods.

Put here: a seeded world of counts with known changes, the methods compared, scoring, the bounds that have to hold.
Not here: the product's method (see `core/releases.py`, `core/statistics.py`, `core/mixed_model.py`; for a statistician
docs/statistics.md), its speed (see `correlations_speed.py`), the product's simulation of sessions (see `simulation/`).

The world follows the project's notes: 20 types at 10 %, users whose activity is Pareto(1.5), whose sessions resemble
each other (correlation 0.05), quiet weekends, a release every third day, half of the types changed once by one of the
releases, to 15 % or 7 %; days that are worse or better than others for everybody: half of that shock is common to all
types, half each type's own. It is not made to suit the test: shocks multiply, habits are beta distributed, activity has
no finite variance.

Every method looks every day. An alarm is (release, type, direction), kept with the day on which it was first raised; it
is false where its type did not change that way, or not yet. The false discovery rate is the mean over worlds of the
share of false ones among all alarms that were ever raised.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import date
from multiprocessing import get_context
from typing import Any, Final

import numpy as np

from signals_assets.core.arrays import add_up, sums
from signals_assets.core.releases import Line, Shipped, findings, judged
from signals_assets.core.statistics import benjamini_hochberg, e_benjamini_hochberg, effective_number
from signals_assets.core.user_days import Cells, CountedType

# --- the world ----------------------------------------------------------------------------------------------------

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


# --- the methods --------------------------------------------------------------------------------------------------

Alarm = tuple[int, int, int]
"""Release, type, direction (1: more often)."""
Alarms = dict[str, dict[Alarm, int]]

NAIVE_DAYS: Final = 14
JACKKNIFE_DAYS: Final = 7
"""How long the notes' method keeps a release open."""


def product(world: World, counts: Counts) -> Alarms:
    """What `release_correlations` says: `suspected` (or confirmed) and `confirmed`."""
    alarms: Alarms = {"suspected": {}, "confirmed": {}}
    for day in range(world.baseline_days, world.days):
        for one in judged(findings(ORIGIN + day, line(world, counts, day))):
            if one.echo or one.judgement.evidence not in ("suspected", "confirmed"):
                continue
            alarm = (one.finding.release, one.finding.row, 1 if one.finding.comparison.effect > 0 else -1)
            alarms["suspected"].setdefault(alarm, day)
            if one.judgement.evidence == "confirmed":
                alarms["confirmed"].setdefault(alarm, day)
    return alarms


def naive(world: World, counts: Counts) -> Alarms:
    """The two-proportion z-test, repeated every day: at 5 %, and with Benjamini-Hochberg at 5 % over the day."""
    from scipy.special import ndtr

    alarms: Alarms = {"naive z": {}, "z with BH": {}}
    for day, windows in _looks(world, counts, NAIVE_DAYS):
        family: list[tuple[Alarm, float]] = []
        for release, before, after in windows:
            n_before, n_after = counts["n"][before].sum(), counts["n"][after].sum()
            if not n_after:
                continue
            first, second = counts["x"][:, before].sum(axis=1), counts["x"][:, after].sum(axis=1)
            pooled = (first + second) / (n_before + n_after)
            error = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-9) * (1 / n_before + 1 / n_after))
            z = (second / n_after - first / n_before) / error
            family += [((release, type_, int(np.sign(z[type_]))), 2 * ndtr(-abs(z[type_]))) for type_ in range(len(z))]
        q = benjamini_hochberg([p for _, p in family])
        for (alarm, p), adjusted in zip(family, q, strict=True):
            if p <= 0.05:
                alarms["naive z"].setdefault(alarm, day)
            if adjusted <= 0.05:
                alarms["z with BH"].setdefault(alarm, day)
    return alarms


def jackknife_day(world: World, counts: Counts) -> Alarms:
    """The test that the project's notes recommend ("JK-Day", measure.md 3.1), by the version that each session ran.

    Leave-one-user-out difference, weekday-standardised, plus the days' excess variance; t; Benjamini-Hochberg at 2 %
    as `suspected`, e-BH at 5 % as `confirmed`; baseline cut at the type's last alarm; the clearest release is named.
    """
    alarms: Alarms = {"JK-Day suspected": {}, "JK-Day confirmed": {}}
    for name, named in alarms.items():
        cuts: dict[int, list[int]] = {}
        for day, windows in _looks(world, counts, JACKKNIFE_DAYS):
            family: list[tuple[int, int, _Test]] = []
            for release, before, after in windows:
                since: dict[int, list[int]] = {}
                for type_ in range(world.types):
                    last = max((cut for cut in cuts.get(type_, ()) if cut < release), default=-1)
                    since.setdefault(last, []).append(type_)
                for last, types in since.items():
                    tests = _jackknife(counts, np.array(types), before & (counts["release"] >= last), after)
                    family += [(release, type_, test) for type_, test in zip(types, tests, strict=True) if test.enough]
            if name == "JK-Day confirmed":
                hits = e_benjamini_hochberg([test.e_value for _, _, test in family])
            else:
                hits = [q <= 0.02 for q in benjamini_hochberg([test.p for _, _, test in family])]
            clearest: dict[int, tuple[int, _Test]] = {}
            for (release, type_, test), hit in zip(family, hits, strict=True):
                if hit and (type_ not in clearest or abs(test.z) > abs(clearest[type_][1].z)):
                    clearest[type_] = (release, test)
            for type_, (release, test) in clearest.items():
                named.setdefault((release, type_, int(np.sign(test.z))), day)
                cuts.setdefault(type_, []).append(release)
    return alarms


def pelt(world: World, counts: Counts) -> Alarms:
    """PELT of the package `ruptures` on each type's daily rates (l2, penalty 3 ln n), its dates laid to releases.

    A break is laid to the last release up to the day after it. Nothing where the package is not installed (extra
    `benchmarks`).
    """
    try:
        from ruptures import Pelt
    except ImportError:
        return {}
    alarms: dict[Alarm, int] = {}
    sessions = add_up(counts["day"], counts["n"], world.days)
    rates = sums(counts["day"], world.days, counts["x"]) / np.maximum(sessions, 1)
    for day in range(world.baseline_days, world.days):
        for type_ in range(world.types):
            series = rates[type_, : day + 1]
            scale = np.median(np.abs(np.diff(series))) / 0.954 or 1.0
            ends = Pelt(model="l2", min_size=2, jump=1).fit_predict(series / scale, 3 * np.log(len(series)))
            edges = [0, *ends]
            for start, broken, end in zip(edges, edges[1:-1], edges[2:], strict=False):
                release = max(
                    (r for r in range(1, world.releases + 1) if world.release_day(r) <= broken + 1), default=None
                )
                if release is not None:
                    step = series[broken:end].mean() - series[start:broken].mean()
                    alarms.setdefault((release, type_, int(np.sign(step))), day)
    return {"PELT": alarms}


def _looks(
    world: World, counts: Counts, open_days: int
) -> Iterator[tuple[int, list[tuple[int, np.ndarray, np.ndarray]]]]:
    """Every day with its open releases: (release, cells before, cells after)."""
    for day in range(world.baseline_days, world.days):
        windows = []
        for release in range(1, world.releases + 1):
            on = world.release_day(release)
            if on <= day < on + open_days:
                seen = (counts["day"] <= day) & (counts["day"] >= on - 28)
                ran = counts["release"] >= release
                windows.append((release, seen & ~ran, seen & ran))
        yield day, windows


@dataclass(frozen=True, slots=True)
class _Test:
    z: float
    p: float
    e_value: float
    enough: bool


def _jackknife(counts: Counts, types: np.ndarray, before: np.ndarray, after: np.ndarray) -> list[_Test]:
    from scipy.special import ndtri, stdtr

    if not before.any() or not after.any():
        return [_Test(0.0, 1.0, 1.0, False)] * len(types)
    n, x = counts["n"], counts["x"][types]
    weekend = ((counts["day"] + ORIGIN + 3) % 7 >= 5).astype(np.int64)
    mass = add_up(weekend[before], n[before], 2)
    share = add_up(weekend[after], n[after], 2) / n[after].sum()
    if (mass[share > 0] == 0).any():
        weekend = np.zeros_like(weekend)
        mass, share = add_up(weekend[before], n[before], 2), np.array([1.0, 0.0])
    rates = sums(weekend[before], 2, x[:, before]) / np.maximum(mass, 1e-9)
    rate_before, rate_after = rates @ share, x[:, after].sum(axis=1) / n[after].sum()
    users = int(counts["user"].max()) + 1
    held = add_up(counts["user"][after], n[after], users)
    left = np.maximum(n[after].sum() - held, 1e-9)
    influence = (sums(counts["user"][after], users, x[:, after]) - rate_after[:, None] * held) / left
    residual = x[:, before] - rates[:, weekend[before]] * n[before]
    for kind in (0, 1):
        of_kind = weekend[before] == kind
        user = counts["user"][before][of_kind]
        left = np.maximum(mass[kind] - add_up(user, n[before][of_kind], users), 1e-9)
        influence -= share[kind] * sums(user, users, residual[:, of_kind]) / left
    days, day = np.unique(counts["day"][before], return_inverse=True)
    sessions = add_up(day, n[before], len(days))
    free = max(len(days) - len(np.unique(weekend[before])), 1)
    deviation = sums(day, len(days), residual) / sessions
    within = sums(day, len(days), residual**2) / sessions**2
    spread = np.maximum((deviation**2).sum(axis=1) / free - within.mean(axis=1), 0.0)
    variance = (influence**2).sum(axis=1) + spread * (1 / len(np.unique(counts["day"][after])) + 1 / len(days))
    variance = np.maximum(variance, 1e-12)
    earlier = add_up(counts["user"][before], n[before], users)
    df = max(min(effective_number(held) - 1, effective_number(earlier) - 1, free), 1)
    effect = rate_after - rate_before
    p = np.maximum(2 * stdtr(df, -np.abs(effect) / np.sqrt(variance)), 1e-300)
    z = -ndtri(p / 2) * np.sign(effect)
    kept = (0.3 * rate_before) ** 2 / ((0.3 * rate_before) ** 2 + variance)
    e_values = np.sqrt(1 - kept) * np.exp(np.minimum(z**2 / 2 * kept, 600.0))
    pooled = (x[:, before].sum(axis=1) + x[:, after].sum(axis=1)) / (n[before].sum() + n[after].sum())
    enough = (pooled * n[after].sum() >= 10) & (len(days) >= 5)
    return [_Test(*row) for row in zip(z.tolist(), p.tolist(), e_values.tolist(), enough.tolist(), strict=True)]


def all_alarms(world: World, counts: Counts, *, with_pelt: bool) -> Mapping[str, dict[Alarm, int]]:
    """Alarms of every method."""
    found: Alarms = {}
    for method in (product, jackknife_day, naive, *([pelt] if with_pelt else [])):
        found |= method(world, counts)
    return found


# --- worlds and bounds --------------------------------------------------------------------------------------------

BASE_RATE: Final = 0.1
TYPES: Final = 20
SEEN_WITHIN_DAYS: Final = 9
"""A planted change counts as found when it is named at most this long after its release."""
PELT_WORLDS: Final = 4
"""PELT is slow: it looks at so many worlds of a cell, and at none where there are fewer."""
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
    """Simulate and score; returns parameters and one record per cell, ready for JSON.

    `quick`: one world of each cell of 200 sessions a day. Gates are judged in the full run only.
    """
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
        "gates": gates,
    }


def _life(job: tuple[int, Cell, int]) -> dict[str, dict[str, Any]]:
    """Simulate one world and score every method."""
    seed, cell, number = job
    rng = np.random.default_rng([seed, number, cell.sessions_per_day])
    world = cell.world(rng)
    alarms = all_alarms(
        world, simulate(world, rng), with_pelt=cell.name == "grid" and number < PELT_WORLDS <= cell.repetitions
    )
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
