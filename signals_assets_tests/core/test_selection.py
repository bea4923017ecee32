from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals_assets.benchmarks import sampling
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
    assert {item.session_id: item.inclusion_weight for item in taken}.items() >= {"s4": 1.0, "s5": 1.0}.items()
    assert 0.9 * budget < sum(item.estimated_tokens for item in taken) <= budget
    # Of sessions of one chance as many are drawn as their chances add up to, or one more or less.
    assert sum(item.inclusion_weight for item in taken) == pytest.approx(
        200, abs=max(i.inclusion_weight for i in taken)
    )
    assert {item.reason for item in chosen if not item.selected} == {"over_budget"}


def test_kept_strata_that_are_too_large_are_sampled_too_and_leave_room_for_the_others():
    metrics = [metric(n) for n in range(300)]
    events = [detection(n, "error_event", "high") for n in range(200)] + [detection(299, "time_saved")]
    chosen = choose(metrics, events, daily_token_budget=100 * selection.estimated_tokens(metrics[0]))
    weights = {item.stratum: item.inclusion_weight for item in chosen}
    assert weights["rare"] == 1.0
    # An even share of what is left is more than half of the budget would give them.
    assert weights["failing"] == pytest.approx(weights["none"], rel=0.05) == pytest.approx(3.15, rel=0.05)


def test_sessions_known_later_change_nothing_about_those_known_before():
    metrics = [metric(n, characters=20_000 + 500 * n) for n in range(100)]
    late = [metric(n, known_on=DAY + timedelta(days=2)) for n in range(100, 110)]
    events = [detection(n, "error_event") for n in range(0, 110, 3)]
    budget = sum(map(selection.estimated_tokens, metrics)) // 3
    before = choose(metrics, events, daily_token_budget=budget)
    after = choose(late + metrics, events, daily_token_budget=budget)
    assert after[10:] == before
    assert sum(item.estimated_tokens for item in after if item.selected) <= budget
    assert all(item.inclusion_weight > 0 for item in after[:10])


def test_a_session_that_alone_exceeds_the_budget_has_no_chance_and_no_weight():
    small, large = metric(1, characters=0), metric(2, characters=400_000)
    chosen = choose([small, large], daily_token_budget=2 * selection.estimated_tokens(small))
    assert (chosen[1].selected, chosen[1].reason, chosen[1].inclusion_weight) == (False, "over_budget", 0.0)
    assert chosen[0].inclusion_weight > 0


def test_a_condensed_session_costs_no_more_than_it_is_condensed_to():
    assert selection.estimated_tokens(metric(1, characters=10**7), 8_000) == 8_000


def test_the_sample_depends_on_the_seed_and_on_nothing_else():
    metrics = [metric(n) for n in range(100)]
    over = {"daily_token_budget": 20 * selection.estimated_tokens(metrics[0])}
    names = [{item.session_id for item in choose(metrics, seed=seed, **over) if item.selected} for seed in (1, 1, 2)]
    assert names[0] == names[1] != names[2]
    assert {item.session_id for item in choose(metrics[::-1], seed=1, **over) if item.selected} == names[0]


def test_without_a_budget_nobody_is_asked():
    assert not any(item.selected for item in choose([metric(1)], daily_token_budget=0))


@given(
    st.lists(st.tuples(st.integers(0, 400_000), st.sampled_from(["", "low", "high"])), max_size=40),
    st.integers(0, 500_000),
    st.integers(0, 3),
)
def test_no_draw_exceeds_the_budget_and_all_of_a_stratum_have_the_same_chance(sessions, budget, seed):
    metrics = [metric(n, characters=size) for n, (size, _) in enumerate(sessions)]
    events = [detection(n, "error_event", severity) for n, (_, severity) in enumerate(sessions) if severity]
    chosen = choose(metrics, events, daily_token_budget=budget, seed=seed)
    assert sum(item.estimated_tokens for item in chosen if item.selected) <= budget
    assert all(item.inclusion_weight >= 1 for item in chosen if item.selected)
    for name in selection.STRATA:
        assert len({item.inclusion_weight for item in chosen if item.stratum == name} - {0.0}) <= 1


# --- by simulation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_rates_are_unbiased_over_all_draws_of_a_day(share):
    """Every start of the comb, evenly: the mean of the estimates is the day's rate, within 1 % of it."""
    truth, found = [], []
    for number in range(8):
        world = sampling.simulate(np.random.default_rng([7, number]), 250)
        drawn = choose(world.metrics, world.detections, daily_token_budget=int(share * world.tokens.sum()))
        by_id = {item.session_id: (place, item) for place, item in enumerate(drawn)}
        strata = {item.session_id: item.stratum for item in drawn}
        tokens = {item.session_id: item.estimated_tokens for item in drawn}
        order = np.array([by_id[one][0] for one in selection._in_a_row(list(by_id), strata, tokens, f"0\x1f{DAY}")])
        weight = np.array([item.inclusion_weight for item in drawn])[order]
        has = world.has[0][order]
        hits = np.array([selection._drawn(1 / weight, start) for start in (np.arange(1500) + 0.5) / 1500])
        assert (hits @ world.tokens[order]).max() <= share * world.tokens.sum()
        assert hits.mean(axis=0) == pytest.approx(1 / weight, abs=0.002)
        found.append(np.mean((hits @ (weight * has)) / (hits @ weight)))
        truth.append(has.mean())
    assert np.mean(found) == pytest.approx(np.mean(truth), rel=0.01)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_intervals_hold_the_truth_in_95_of_100_samples(share):
    """Users with several sessions, skewed sizes that go with friction; 250 days of three types."""
    figures = sampling.score(sampling.chosen, share=share, repetitions=250, seed=3, users=250)
    assert 0.93 <= figures["covered"] <= 0.97
    assert figures["most_spent"] <= 1.0
