"""The worlds of errors and frictions and their scoring; `signals benchmark correlations` prints the figures."""

import json

import numpy as np
import pytest

from signals_assets.benchmarks.errors import CAUSAL, METHODS, TEMPLATES, TYPES, fisher, run, score, simulate


def test_the_same_seed_gives_the_same_world():
    first, second = (simulate(50, 0.5, np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(first.error_at, second.error_at)
    assert np.array_equal(first.friction_at, second.friction_at)
    assert first.causal == second.causal


def test_everything_happens_inside_its_session_and_causal_errors_bring_frictions():
    world = simulate(400, 1, np.random.default_rng(2))
    for session, at in ((world.error_session, world.error_at), (world.friction_session, world.friction_at)):
        assert (at >= world.start[session]).all()
        assert (at <= (world.start + world.seconds)[session]).all()
    assert len(world.causal) == CAUSAL
    assert set(world.error_template) == set(range(TEMPLATES))
    assert set(world.friction_type) == set(range(TYPES))
    per_type = np.bincount(world.friction_type, minlength=TYPES)
    caused = np.bincount([type_ for _, type_ in world.causal], minlength=TYPES) > 0
    assert per_type[caused].mean() > per_type[~caused].mean()


def test_scoring_counts_pairs_that_are_not_causal_as_false():
    causal = frozenset({(1, 1), (2, 2)})
    assert score(causal, {(1, 1), (3, 3), (4, 4)}) == (pytest.approx(2 / 3), 0.5)
    assert score(causal, set()) == (0.0, 0.0)


def test_fisher_names_nearly_everything_where_sessions_differ_in_length():
    world = simulate(1000, 0, np.random.default_rng(3))
    assert score(world.causal, fisher(world))[0] > 0.9


def test_one_repetition_gives_every_method_figures_with_their_errors():
    """Of 300 sessions hardly anything can be named; no method of the product names much that is false."""
    world = simulate(300, 1, np.random.default_rng(4))
    for method in ("self_controlled", "time_bins"):
        assert len(METHODS[method](world) - world.causal) <= 1


@pytest.mark.slow
def test_a_thousand_sessions_show_most_causal_pairs_and_little_else():
    result = run(quick=True)
    json.dumps(result)
    for scenario in result["scenarios"]:
        found = scenario["methods"]["self_controlled"]
        assert found["fdr"] <= 0.05 + 2 * max(found["fdr_standard_error"], 0.03)
        assert found["power"] >= (0.75 if scenario["share_in_bursts"] == 0 else 0.4)
        assert scenario["methods"]["fisher"]["fdr"] > 0.9
