"""The benchmark's world and its scoring; its figures are printed by `signals benchmark correlations`."""

import json

import numpy as np
import pytest

from signals_assets.benchmarks.correlations import World, run, score, simulate

WORLD = World(
    sessions_per_day=50, types=2, baseline_days=14, releases=2, release_every=3, day_spread=0.0, staggered=True,
    base_rate=0.1, changes={0: [(1, 0.15)]},
)  # fmt: skip


def test_the_same_seed_gives_the_same_world():
    first, second = (simulate(WORLD, np.random.default_rng(1)) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert (first["x"] <= first["n"]).all()
    assert first["day"].max() == WORLD.days - 1


def test_scoring_counts_wrong_direction_and_unchanged_types_as_false():
    alarms = {(1, 0, 1): 16, (2, 0, -1): 18, (1, 1, 1): 15}
    found = score(WORLD, alarms)
    assert (found["alarms"], found["false"], found["found"], found["right"]) == (3, 2, 1, 1)
    assert found["delays"] == [2]


def test_an_alarm_before_the_change_shipped_is_false():
    assert score(WORLD, {(1, 0, 1): 13})["false"] == 1


@pytest.mark.slow
def test_a_month_of_150_sessions_a_day_confirms_a_large_change_and_alarms_about_nothing_else():
    result = run(quick=True, repetitions=2, sessions_per_day=())
    json.dumps(result)
    for scenario in result["scenarios"]:
        confirmed = scenario["methods"]["confirmed"]
        assert confirmed["power"] == 1.0
        assert confirmed["median_delay_days"] <= 4
        # Two runs of 13 types: at a false discovery rate of 5 % more than one false alarm is very unlikely.
        assert confirmed["false_alarms_per_run"] <= 0.5
