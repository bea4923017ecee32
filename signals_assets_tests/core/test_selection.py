from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals_assets.core import selection
from signals_assets.core.selection import select
from signals_assets_tests.factories import DAY


def metric(number, steps=40, characters=36_000, **over):
    values = {"session_id": f"s{number}", "user_id": None, "known_on": DAY, "agentic_steps": steps, "steps": steps}
    return values | {"characters": characters} | over


def detection(number, name, severity="low", confidence=0.9):
    return {"session_id": f"s{number}", "type": name, "severity": severity, "confidence": confidence}


def choose(metrics, detections=(), **over):
    return select(metrics, detections, **({"min_steps": 30, "daily_token_budget": 10**9, "seed": 0, "day": DAY} | over))


def test_under_the_budget_every_eligible_session_is_taken_with_weight_one():
    chosen = choose([metric(1), metric(2, steps=3)])
    assert [(item.selected, item.reason, item.inclusion_weight) for item in chosen] == [
        (True, "selected", 1.0),
        (False, "too_short", 0.0),
    ]


def test_over_the_budget_failing_and_rare_sessions_are_kept_and_weights_add_up():
    metrics = [metric(n) for n in range(200)]
    events = [detection(n, "error_event") for n in range(0, 200, 2)]
    events += [detection(4, "correction", "high"), detection(5, "time_saved", None)]
    budget = 60 * selection.estimated_tokens(metrics[0])
    chosen = choose(metrics, events, daily_token_budget=budget)
    taken = [item for item in chosen if item.selected]
    assert {"s4", "s5"} <= {item.session_id for item in taken}
    assert sum(item.estimated_tokens for item in taken) <= budget
    assert sum(item.inclusion_weight for item in taken) == pytest.approx(200)
    assert {item.reason for item in chosen if not item.selected} == {"over_budget"}


def test_the_sample_depends_on_the_seed_and_on_nothing_else():
    metrics = [metric(n) for n in range(100)]
    over = {"daily_token_budget": 20 * selection.estimated_tokens(metrics[0])}
    names = [{item.session_id for item in choose(metrics, seed=seed, **over) if item.selected} for seed in (1, 1, 2)]
    assert names[0] == names[1] != names[2]
    assert {item.session_id for item in choose(metrics[::-1], seed=1, **over) if item.selected} == names[0]


def test_without_a_budget_nobody_is_asked():
    assert not any(item.selected for item in choose([metric(1)], daily_token_budget=0))


@given(st.lists(st.integers(0, 400_000), max_size=40), st.integers(0, 500_000), st.integers(0, 3))
def test_weights_of_the_drawn_stand_for_all_eligible(sizes, budget, seed):
    metrics = [metric(n, characters=size) for n, size in enumerate(sizes)]
    events = [detection(n, "error_event") for n in range(0, len(sizes), 3)]
    chosen = choose(metrics, events, daily_token_budget=budget, seed=seed)
    strata = Counter(item.stratum for item in chosen if item.eligible)
    for name, size in strata.items():
        drawn = [item for item in chosen if item.stratum == name and item.selected]
        assert not drawn or sum(item.inclusion_weight for item in drawn) == pytest.approx(size, abs=1e-3)
