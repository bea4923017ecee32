"""The benchmark's world and its scoring; its figures are printed by `signals benchmark correlations`."""

from dataclasses import replace

import numpy as np
import pytest

from signals_assets.benchmarks.correlations import (
    Cell,
    World,
    _gates,
    _mean,
    cells,
    jackknife_day,
    line,
    naive,
    product,
    score,
    simulate,
)
from signals_assets.benchmarks.correlations_speed import speed

WORLD = World(
    sessions_per_day=50, types=2, baseline_days=14, releases=2, release_every=3, day_spread=0.0, staggered=True,
    base_rate=0.1, changes={0: [(1, 0.15)]},
)  # fmt: skip


def test_the_same_seed_gives_the_same_world():
    first, second = (simulate(WORLD, np.random.default_rng(1)) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert (first["x"] <= first["n"]).all()
    assert first["day"].max() == WORLD.days - 1


def test_the_product_reads_only_the_days_that_were_known():
    counts = simulate(WORLD, np.random.default_rng(1))
    seen = line(WORLD, counts, 15)
    assert len(seen.cells.weight) == (counts["day"] <= 15).sum()
    assert [release.word for release in seen.shipped] == ["1.0", "1.1"]


def test_an_outage_moves_half_of_the_types_on_one_day_whatever_is_run():
    world = replace(WORLD, sessions_per_day=2000, changes={}, outage=2)
    counts = simulate(world, np.random.default_rng(2))
    day = counts["day"] == world.release_day(2) + 1
    rates = counts["x"][:, day].sum(axis=1) / counts["n"][day].sum()
    assert rates[1] > 2 * rates[0]


def test_scoring_counts_wrong_direction_and_unchanged_types_as_false():
    alarms = {(1, 0, 1): 16, (2, 0, -1): 18, (1, 1, 1): 15}
    found = score(WORLD, alarms)
    assert (found["alarms"], found["false"], found["found"], found["right"]) == (3, 2, 1, 1)
    assert found["delays"] == [2]
    assert (found["worse"], found["next_day"]) == (1, 0)
    assert score(WORLD, {(1, 0, 1): 14})["next_day"] == 1


def test_an_alarm_before_the_change_shipped_is_false():
    assert score(WORLD, {(1, 0, 1): 13})["false"] == 1


def test_a_large_change_is_named_by_every_method_and_only_the_naive_one_alarms_about_the_rest():
    world = World(
        sessions_per_day=400, types=6, baseline_days=14, releases=1, release_every=6, day_spread=0.0, staggered=False,
        base_rate=0.1, changes={0: [(1, 0.35)], 1: [(1, 0.01)]},
    )  # fmt: skip
    counts = simulate(world, np.random.default_rng(3))
    planted = {(1, 0, 1), (1, 1, -1)}
    found = product(world, counts) | jackknife_day(world, counts) | naive(world, counts)
    assert set(found["confirmed"]) == set(found["suspected"]) == planted
    assert set(found["JK-Day confirmed"]) == planted
    assert set(found["naive z"]) >= planted


def life(**figures):
    return {"alarms": 10, "false": 0, "found": 5, "planted": 10, "delays": [0, 1, 2, 2, 3], "right": 4, "worse": 5,
            "next_day": 2} | figures  # fmt: skip


def test_rates_are_means_over_worlds_with_their_standard_errors():
    found = _mean([life(), life(false=2, found=7)])
    assert (found["fdr"], found["power"]) == (0.1, 0.6)
    assert found["fdr_se"] == pytest.approx(0.1)  # half the distance of two values
    assert (found["median_days"], found["next_day"]) == (3.0, 0.4)
    assert _mean([life(alarms=0, false=0)])["fdr"] == 0.0


def test_a_gate_breaks_when_a_bound_is_passed_by_more_than_two_standard_errors():
    def record(fdr, power, **more):
        good = {"fdr": 0.01, "fdr_se": 0.0, "power": 0.5, "power_se": 0.01, "next_day": 0.7, "next_day_se": 0.01}
        rival = good | {"power": 0.45}
        methods = {"confirmed": good | {"fdr": fdr}, "suspected": good | {"power": power}}
        methods |= {"JK-Day confirmed": rival, "JK-Day suspected": rival}
        plan = {"name": "grid", "sessions_per_day": 2000, "day_spread": 0.0, "staggered": False}
        return plan | {"methods": methods} | more

    assert all(gate["holds"] for gate in _gates([record(0.01, 0.5), record(0.01, 0.5, staggered=True)]))
    broken = [gate["gate"] for gate in _gates([record(0.06, 0.4)]) if not gate["holds"]]
    assert broken == ["confirmed: false discoveries", "suspected: power above JK-Day's where that keeps its rate"]


def test_the_grid_holds_every_volume_shock_and_adoption_with_a_hundred_headline_worlds():
    found = cells()
    grid = {(cell.sessions_per_day, cell.day_spread, cell.staggered) for cell in found if cell.name == "grid"}
    assert len(grid) == 5 * 3 * 2
    assert {min(grid)[0], max(grid)[0]} == {50, 5000}
    assert all(cell.repetitions >= 100 for cell in found if cell.name == "grid" and cell.sessions_per_day == 200)


def test_half_of_the_types_change_once():
    world = Cell("grid", 50, 0.0, False, 1).world(np.random.default_rng(0))
    assert len(world.changes) == 10
    assert {new for [(_, new)] in world.changes.values()} <= {0.15, 0.07}


@pytest.mark.slow
def test_the_clock_runs_over_fifty_slices_and_ten_open_releases():
    found = speed(seed=0, days=1)
    assert found["slices"] >= 50
    assert found["comparisons_a_day"] == 200
    assert found["seconds"] > 0
