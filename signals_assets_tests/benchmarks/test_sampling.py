"""The benchmark's world and its ways to draw; its figures are printed by `signals benchmark sampling`."""

import json

import numpy as np
import pytest

from signals_assets.benchmarks.sampling import by_itself, chosen, run, simulate, until_used_up


def test_the_same_seed_gives_the_same_day_with_users_of_several_sessions_and_skewed_sizes():
    first, second = (simulate(np.random.default_rng(1), 60) for _ in range(2))
    assert np.array_equal(first.has, second.has)
    assert first.detections == second.detections
    assert np.bincount(first.user).max() > 3 * np.bincount(first.user).mean()
    assert first.tokens.max() > 4 * np.median(first.tokens)


@pytest.mark.parametrize("way", [chosen, until_used_up, by_itself])
def test_weights_of_the_drawn_add_up_to_about_all_sessions(way):
    world = simulate(np.random.default_rng(2), 250)
    weight = way(world, 0.3 * world.tokens.sum(), 5)
    assert weight.sum() == pytest.approx(len(weight), rel=0.15)


def test_only_ways_that_look_at_the_budget_while_they_draw_or_before_stay_within_it():
    result = run(repetitions=20, users=60)
    json.dumps(result)
    most = {(row["way"], row["budget"]): row["most_spent"] for row in result["ways"]}
    assert all(
        most[way, share] <= 1.0 for way in ("select", "until the budget is used up") for share in (0.1, 0.3, 0.6)
    )
    assert most["each by itself", 0.1] > 1.1
