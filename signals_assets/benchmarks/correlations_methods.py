"""The methods that `signals benchmark correlations` compares: the product's test, and what others would do.

Put here: one function per method, from a world's counts to its alarms, looking every day.
Not here: the world (see `correlations_world.py`), scoring (see `correlations.py`), the product's method itself (see
`core/releases.py`).

An alarm is (release, type, direction); each is kept with the day on which it was first raised.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from signals_assets.benchmarks.correlations_world import ORIGIN, Counts, World, line
from signals_assets.core.arrays import add_up, sums
from signals_assets.core.releases import findings, judged
from signals_assets.core.statistics import benjamini_hochberg, e_benjamini_hochberg, effective_number

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


METHODS: Final[tuple[Callable[[World, Counts], Alarms], ...]] = (product, jackknife_day, naive)


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
    for method in (*METHODS, pelt) if with_pelt else METHODS:
        found |= method(world, counts)
    return found
