"""`signals benchmark correlations`: false discoveries and power of the release verdicts, against a naive z-test.

Put here: a seeded world with known changes, and scoring of what `release_correlations` says about it every day.
Not here: the method (see `core/statistics.py`), the product's simulation of sessions (see `simulation/`).

The world follows the project's notes: types that occur in 1 of 10 sessions, users whose activity is Pareto(1.5), whose
sessions resemble each other (correlation 0.05), quiet weekends, a release every third day, half of the types changed
once by one of them to 15 % or 7 %. Two short scenarios ask what a month of 150 sessions a day can show: a rate that
goes from 8 % to 35 % after a week, and back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np

from signals_assets.core.correlations import release_correlations
from signals_assets.core.user_days import CountedType, Counts
from signals_assets.tables import UserDay, arrow_schema

FIRST_DAY: Final = date(2026, 1, 5)
BASE_RATE: Final = 0.1
SEEN_WITHIN_DAYS: Final = 9
"""A planted change counts as found when it is named at most this long after its release."""


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
    changes: Mapping[int, Sequence[tuple[int, float]]]

    @property
    def days(self) -> int:
        """Length of the simulated time."""
        return self.baseline_days + self.releases * self.release_every

    def release_day(self, release: int) -> int:
        """Day of a release; release 0 is what ran before all others."""
        return self.baseline_days + (release - 1) * self.release_every if release else -1


Alarm = tuple[int, int, int]
"""Release, type, direction (1: more often)."""


def run(
    *,
    quick: bool = False,
    seed: int = 0,
    repetitions: int | None = None,
    sessions_per_day: Sequence[int] = (200,),
    day_spreads: Sequence[float] = (0.0, 0.1),
    baseline_days: int = 28,
    releases: int = 8,
) -> dict[str, Any]:
    """Simulate and score; returns parameters and one record per scenario, ready for JSON.

    `quick`: few repetitions of every scenario. False discovery rates are means over repetitions of the share of
    alarms that name a type with no planted change that way, with their standard error.
    """
    count = repetitions or (3 if quick else 20)
    scenarios = []
    for volume in sessions_per_day:
        for spread in day_spreads:
            for staggered in (False, True):
                plan: dict[str, Any] = {"sessions_per_day": volume, "day_spread": spread, "staggered": staggered}
                scenarios.append(_scenario(plan, seed, count, 20, baseline_days, releases, None))
    for name, rates in (("worse", (0.08, 0.35)), ("better", (0.35, 0.08))):
        plan = {"sessions_per_day": 150, "day_spread": 0.0, "staggered": True, "name": name}
        scenarios.append(_scenario(plan, seed, count, 13, 7, 1, rates))
    return {
        "benchmark": "correlations",
        "parameters": {
            "seed": seed,
            "repetitions": count,
            "sessions_per_day": list(sessions_per_day),
            "day_spreads": list(day_spreads),
            "baseline_days": baseline_days,
            "releases": releases,
        },
        "scenarios": scenarios,
    }


def _scenario(
    plan: Mapping[str, Any],
    seed: int,
    repetitions: int,
    types: int,
    baseline_days: int,
    releases: int,
    rates: tuple[float, float] | None,
) -> dict[str, Any]:
    """Score one scenario; with `rates` a single type changes so at the first release, and the rest stays at 8 %."""
    runs: dict[str, list[dict[str, Any]]] = {"naive": [], "suspected": [], "confirmed": []}
    for repetition in range(repetitions):
        rng = np.random.default_rng([seed, repetition, int(plan["sessions_per_day"]), types])
        changes: dict[int, list[tuple[int, float]]] = {}
        if rates is None:
            for type_ in range(0, types, 2):
                changes[type_] = [(int(rng.integers(1, releases + 1)), float(rng.choice([0.15, 0.07])))]
        else:
            changes[0] = [(0, rates[0]), (1, rates[1])]
        world = World(
            sessions_per_day=int(plan["sessions_per_day"]),
            types=types,
            baseline_days=baseline_days,
            releases=releases,
            release_every=3 if rates is None else 10,
            day_spread=float(plan["day_spread"]),
            staggered=bool(plan["staggered"]),
            base_rate=BASE_RATE if rates is None else 0.08,
            changes=changes,
        )
        for method, alarms in alarms_of(world, rng).items():
            runs[method].append(score(world, alarms))
    return {**plan, "baseline_days": baseline_days, "methods": {method: _mean(found) for method, found in runs.items()}}


def simulate(world: World, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Cells (user, day, release) with sessions `n` and events `x` of shape (types, cells)."""
    users = max(40, world.sessions_per_day)
    activity = rng.pareto(1.5, users) + 0.2
    activity /= activity.sum()
    days = np.arange(world.days)
    weekend = np.array([(FIRST_DAY + timedelta(days=int(day))).weekday() >= 5 for day in days])
    volume = world.sessions_per_day * np.where(weekend, 0.4, 1.0) * 7 / 5.8
    sessions = rng.poisson(volume[None, :] * activity[:, None])
    shipped = np.array([world.release_day(release) for release in range(world.releases + 1)])
    delay = rng.geometric(0.4, users) - 1 if world.staggered else np.zeros(users, dtype=np.int64)
    running = np.searchsorted(shipped, days[None, :] - delay[:, None], side="right") - 1
    user, day = np.nonzero(sessions)
    release, n = np.maximum(running[user, day], 0), sessions[user, day]
    shock = np.maximum(1 + world.day_spread * rng.standard_normal(world.days), 0.1)
    x = np.zeros((world.types, len(n)))
    spread = (1 - 0.05) / 0.05
    for type_ in range(world.types):
        steps = world.changes.get(type_, ())
        rate = np.full(world.releases + 1, world.base_rate)
        for changed, new in steps:
            rate[changed:] = new
        start = float(rate[0])
        habit = rng.beta(start * spread, (1 - start) * spread, users) / start
        chance = habit[user] * rate[release] * shock[day] * np.where(weekend[day], 0.85, 1.0)
        x[type_] = rng.binomial(n, np.clip(chance, 0, 0.95))
    return {"user": user, "day": day, "release": release, "n": n.astype(np.float64), "x": x}


def alarms_of(world: World, rng: np.random.Generator) -> dict[str, dict[Alarm, int]]:
    """Per method the alarms with the day each was first raised, looking every day from the first release on."""
    cells = simulate(world, rng)
    counts = Counts.of(_table(cells))
    releases = [
        {
            "agent_name": "agent",
            "kind": "version",
            "version": f"1.{release}",
            "released_at": datetime.combine(_date(max(world.release_day(release), 0)), datetime.min.time(), UTC),
            "known_on": _date(max(world.release_day(release), 0)),
        }
        for release in range(world.releases + 1)
    ]
    types = [CountedType("friction", f"type_{type_:02}", "detector") for type_ in range(world.types)]
    found: dict[str, dict[Alarm, int]] = {"naive": {}, "suspected": {}, "confirmed": {}}
    for day in range(world.baseline_days, world.days):
        for alarm in _naive(world, cells, day):
            found["naive"].setdefault(alarm, day)
        rows, _ = release_correlations(
            _date(day), counts, releases, types=types, audience="self", label=lambda _, word: word
        )
        for row in rows:
            if row.evidence in ("suspected", "confirmed"):
                alarm = (int(row.version[2:]), int(row.type[5:]), 1 if row.verdict == "regressed" else -1)
                found["suspected"].setdefault(alarm, day)
                if row.evidence == "confirmed":
                    found["confirmed"].setdefault(alarm, day)
    return found


def _naive(world: World, cells: Mapping[str, np.ndarray], day: int) -> list[Alarm]:
    """The two-proportion z-test at 5 %, repeated every day for two weeks after each release."""
    alarms = []
    for release in range(1, world.releases + 1):
        on = world.release_day(release)
        if not on <= day < on + 14:
            continue
        seen = (cells["day"] <= day) & (cells["day"] >= on - 28)
        before, after = seen & (cells["release"] < release), seen & (cells["release"] >= release)
        n_before, n_after = cells["n"][before].sum(), cells["n"][after].sum()
        if not n_after:
            continue
        first, second = cells["x"][:, before].sum(axis=1), cells["x"][:, after].sum(axis=1)
        pooled = (first + second) / (n_before + n_after)
        error = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-9) * (1 / n_before + 1 / n_after))
        z = (second / n_after - first / n_before) / error
        alarms += [(release, int(type_), int(np.sign(z[type_]))) for type_ in np.nonzero(np.abs(z) > 1.96)[0]]
    return alarms


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
    delays, right = [], 0
    for type_, (release, _) in planted.items():
        named = [(day - world.release_day(release), found) for (found, of), day in true.items() if of == type_]
        if named and min(named)[0] <= SEEN_WITHIN_DAYS:
            delays.append(min(named)[0])
            right += min(named)[1] == release
    return {
        "alarms": len(alarms),
        "false": len(alarms) - len(true),
        "found": len(delays),
        "planted": len(planted),
        "delays": delays,
        "right": right,
    }


def _mean(runs: Sequence[Mapping[str, Any]]) -> dict[str, float | int | None]:
    """Means over repetitions."""
    shares = np.array([run_["false"] / run_["alarms"] if run_["alarms"] else 0.0 for run_ in runs])
    delays = [delay for run_ in runs for delay in run_["delays"]]
    return {
        "fdr": round(float(shares.mean()), 4),
        "fdr_standard_error": round(float(shares.std(ddof=1) / np.sqrt(len(runs))), 4) if len(runs) > 1 else None,
        "false_alarms_per_run": round(sum(run_["false"] for run_ in runs) / len(runs), 3),
        "power": round(sum(run_["found"] for run_ in runs) / max(sum(run_["planted"] for run_ in runs), 1), 4),
        "median_delay_days": float(np.median(delays)) if delays else None,
        "right_release": round(sum(run_["right"] for run_ in runs) / len(delays), 4) if delays else None,
    }


def _date(day: int) -> date:
    return FIRST_DAY + timedelta(days=day)


def _table(cells: Mapping[str, np.ndarray]) -> Any:
    """The cells as a `user_days` table."""
    import pyarrow as pa

    origin = (FIRST_DAY - date(1970, 1, 1)).days
    parts = [("session", "all", np.arange(len(cells["n"])), cells["n"])]
    for type_, events in enumerate(cells["x"]):
        chosen = np.nonzero(events)[0]
        parts.append(("friction", f"type_{type_:02}", chosen, events[chosen]))
    place = np.concatenate([part[2] for part in parts])
    count = np.concatenate([part[3] for part in parts])
    size = len(place)
    days = pa.array((cells["day"][place] + origin).astype(np.int32)).cast(pa.date32())
    zeros = pa.array(np.zeros(size))

    def words(values: np.ndarray, form: str) -> Any:
        names = pa.array([form.format(code) for code in range(int(values.max()) + 1)])
        return names.take(pa.array(values))

    kinds = pa.array([kind for kind, _, index, _ in parts for _ in range(len(index))])
    columns = {
        "day": days,
        "about_day": days,
        "known_on": days,
        "user_id": words(cells["user"][place], "user_{:05}"),
        "agent_version": words(cells["release"][place], "1.{}"),
        "kind": kinds,
        "type": pa.array([name for _, name, index, _ in parts for _ in range(len(index))]),
        "sessions": pa.array(count.astype(np.int64)),
        "weight": pa.array(count),
        "events": pa.array(count.astype(np.int64)),
        "high": zeros,
        "medium": zeros,
        "taxonomy_version": pa.array(np.ones(size, dtype=np.int64)),
        "agent_name": pa.array(["agent"] * size),
        "intent": pa.array(["unknown"] * size),
        "source": pa.array(["detector"] * size),
    }
    schema = arrow_schema(UserDay)
    return pa.table(
        [columns.get(name, pa.nulls(size, schema.field(name).type)) for name in schema.names], schema=schema
    )
