"""Tests and intervals: hand-computed answers, invariances, honest behaviour where nothing changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals_assets.core.statistics import (
    Cohort,
    Comparison,
    benjamini_hochberg,
    compare,
    e_benjamini_hochberg,
    effective_number,
    interval,
    judge,
    standardised_difference,
)

MONDAY = 4
"""1970-01-05 was a Monday."""


def cohort(cells):
    """A cohort of one type from (user, day, sessions, events) tuples."""
    user, day, sessions, events = (np.array(column) for column in zip(*cells, strict=True))
    sessions = sessions.astype(float)
    return Cohort(user.astype(np.int64), day.astype(np.int64), sessions, sessions, events.astype(float)[None, :])


def zeros(of):
    return np.zeros(len(of.user), dtype=np.int64)


def spread_out(rng, users, days, rate, types=1, first=MONDAY):
    """Every user runs 2 sessions a day; events are independent draws."""
    user, day = (grid.ravel() for grid in np.meshgrid(np.arange(users), first + np.arange(days)))
    sessions = np.full(len(user), 2.0)
    return Cohort(user, day, sessions, sessions, rng.binomial(2, rate, (types, len(user))).astype(float))


def test_the_difference_of_two_users_against_two_has_the_variance_computed_by_hand():
    before = cohort([(1, 0, 10, 2), (2, 0, 10, 2)])
    after = cohort([(3, 9, 10, 4), (4, 9, 10, 6)])
    found = standardised_difference(
        before, after, (before.user, after.user), (zeros(before), zeros(after)), binomial_floor=False
    )
    # Without user 3 the later rate is 6/10, without user 4 it is 4/10: influences of 0.1 each; before, none.
    assert found.rate_before[0] == pytest.approx(0.2)
    assert found.rate_after[0] == pytest.approx(0.5)
    assert found.variance[0] == pytest.approx(0.1**2 + 0.1**2)
    assert found.df == 1.0


def test_a_users_habit_that_is_in_both_cohorts_cancels():
    before = cohort([(1, 0, 10, 0), (2, 0, 10, 10)])
    after = cohort([(1, 9, 10, 0), (2, 9, 10, 10)])
    found = standardised_difference(
        before, after, (before.user, after.user), (zeros(before), zeros(after)), binomial_floor=False
    )
    assert found.variance[0] == pytest.approx(0.0)


def test_variance_is_never_below_that_of_independent_sessions():
    before = cohort([(1, 0, 10, 5), (2, 0, 10, 5)])
    after = cohort([(1, 9, 10, 5), (2, 9, 10, 5)])
    found = standardised_difference(
        before, after, (before.user, after.user), (zeros(before), zeros(after)), binomial_floor=True
    )
    assert found.variance[0] == pytest.approx(0.25 * (1 / 20 + 1 / 20))


def test_the_baseline_is_standardised_to_the_weekdays_of_the_later_window():
    weekdays = [(user, MONDAY + day, 10, 1) for user in range(4) for day in range(5)]
    weekend = [(user, MONDAY + day, 10, 3) for user in range(4) for day in (5, 6)]
    later = [(user, MONDAY + 7, 10, 1) for user in range(4)]
    [found] = compare(cohort(weekdays + weekend), cohort(later))
    assert found.rate_before == pytest.approx(0.1)
    assert found.effect == pytest.approx(0.0)


def test_days_that_swing_widen_the_interval_although_the_totals_are_equal():
    calm = [(user, MONDAY + day, 50, 5) for user in range(20) for day in range(5)]
    wild = [(user, MONDAY + day, 50, (0, 10, 0, 10, 5)[day]) for user in range(20) for day in range(5)]
    later = cohort([(user, MONDAY + 7, 50, 5) for user in range(20)])
    [quiet], [shaken] = compare(cohort(calm), later), compare(cohort(wild), later)
    assert quiet.rate_before == pytest.approx(shaken.rate_before)
    assert shaken.standard_error > 2 * quiet.standard_error


def test_a_day_that_both_cohorts_share_does_not_count_against_either():
    half = cohort([(user, MONDAY + day, 50, 5) for user in range(20) for day in range(5)])
    other = cohort([(user + 20, MONDAY + day, 50, 5) for user in range(20) for day in range(5)])
    later = cohort([(user + 20, MONDAY + 7 + day, 50, 5) for user in range(20) for day in range(5)])
    assert compare(half, other)[0].standard_error < compare(half, later)[0].standard_error


def test_neither_the_order_of_cells_nor_their_splitting_matters():
    rng = np.random.default_rng(3)
    before, after = spread_out(rng, 12, 10, 0.3), spread_out(rng, 12, 4, 0.4, first=MONDAY + 14)
    order = rng.permutation(len(after.user))
    halves = [
        Cohort(after.user[order], after.day[order], *(part[order] / 2 for part in (after.sessions, after.weight)),
               after.events[:, order] / 2)
    ] * 2  # fmt: skip
    split = Cohort(
        *(np.concatenate([getattr(half, name) for half in halves]) for name in ("user", "day", "sessions", "weight")),
        np.concatenate([half.events for half in halves], axis=1),
    )
    [whole], [parts] = compare(before, after), compare(before, split)
    for name in ("effect", "standard_error", "z", "df", "e_value", "users_after", "sessions_after"):
        assert getattr(whole, name) == pytest.approx(getattr(parts, name))


def test_types_lend_each_other_their_spread_between_days_and_nothing_else():
    rng = np.random.default_rng(4)
    before, after = spread_out(rng, 40, 14, 0.3, types=3), spread_out(rng, 40, 4, 0.3, types=3, first=MONDAY + 14)
    [alone] = compare(before.of_types(np.array([1])), after.of_types(np.array([1])))
    together = compare(before, after)[1]
    for name in ("rate_before", "rate_after", "users_before", "sessions_after", "expected_events", "enough"):
        assert getattr(together, name) == pytest.approx(getattr(alone, name))
    assert together.effect == pytest.approx(alone.effect, abs=0.1 * alone.standard_error)
    calm, wild = before, Cohort(
        before.user, before.day, before.sessions, before.weight,
        np.where(before.day % 2 == 0, [[1.0], [0.0], [0.0]], [[0.0], [1.0], [1.0]]) * before.events,
    )  # fmt: skip
    mixed = Cohort(before.user, before.day, before.sessions, before.weight,
                   np.stack([wild.events[0], calm.events[1], wild.events[2]]))  # fmt: skip
    assert compare(mixed, after)[1].standard_error > together.standard_error


def test_a_large_change_after_a_week_is_overwhelming_evidence_in_both_directions():
    rng = np.random.default_rng(5)
    low = spread_out(rng, 40, 7, 0.08)
    high = spread_out(rng, 40, 4, 0.35, first=MONDAY + 7)
    [worse], [better] = compare(low, high), compare(high.where(high.day > 0), low)
    assert worse.enough
    assert worse.e_value > 1000
    assert worse.low > 0.15
    assert better.effect == pytest.approx(-worse.effect, abs=0.02)


def test_nothing_is_tested_without_events_users_or_days():
    enough = cohort([(user, MONDAY + day, 10, 3) for user in range(5) for day in range(8)])
    later = [(user, MONDAY + 9, 10, 3) for user in range(5)]
    assert compare(enough, cohort(later))[0].enough
    assert not compare(enough, cohort([(user, MONDAY + 9, 1, 0) for user in range(5)]))[0].enough
    assert not compare(enough, cohort([(0, MONDAY + 9, 50, 15)]))[0].enough
    assert not compare(enough.where(enough.day < MONDAY + 4), cohort(later))[0].enough
    assert not compare(enough, enough.where(enough.day < 0))[0].enough


def test_one_user_alone_is_judged_by_days():
    before = cohort([(0, MONDAY + day, 20, 2 + day % 2) for day in range(14)])
    after = cohort([(0, MONDAY + 14 + day, 20, 12 + day % 2) for day in range(5)])
    [found] = compare(before, after)
    assert found.enough
    assert found.low > 0.2


def test_false_alarms_stay_below_their_nominal_rate_where_nothing_changed():
    rng = np.random.default_rng(6)
    types, users = 200, 60
    habits = rng.beta(1.9, 17.1, (types, users))  # mean 0.1, correlation within users 0.05
    parts = []
    for first, days in ((MONDAY, 28), (MONDAY + 28, 5)):
        frame = spread_out(rng, users, days, 0.1, types=types, first=first)
        events = rng.binomial(2, habits[:, frame.user]).astype(float)
        parts.append(Cohort(frame.user, frame.day, frame.sessions, frame.weight, events))
    found = compare(*parts)
    # 200 independent tests at 5 %: mean 10, standard deviation 3.1; four of them above the mean is 22.
    assert sum(one.p <= 0.05 for one in found) <= 22
    # An e-value reaches 20 with probability at most 1/20 (Markov), so the same bound holds.
    assert sum(one.e_value >= 20 for one in found) <= 22
    # The mean of e-values is at most 1 in expectation; a fixed seed far above would show a broken scale.
    assert np.mean([one.e_value for one in found]) < 2
    assert all(judged.evidence == "none" for judged in judge(found))


def test_benjamini_hochberg_gives_the_textbook_values():
    assert benjamini_hochberg([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.04] * 4)
    assert benjamini_hochberg([0.001, 0.5]) == pytest.approx([0.002, 0.5])
    assert benjamini_hochberg([]) == []


def test_e_benjamini_hochberg_takes_the_largest_set_that_carries_itself():
    assert e_benjamini_hochberg([100.0, 1.0, 1.0]) == [True, False, False]  # 1 of 3 needs 60
    assert e_benjamini_hochberg([59.0, 1.0, 1.0]) == [False] * 3
    assert e_benjamini_hochberg([21.0, 25.0]) == [True, True]  # 2 of 2 need 20 each
    assert e_benjamini_hochberg([]) == []


def comparison(**changes):
    values = {
        "rate_before": 0.2, "rate_after": 0.2, "effect": 0.0, "low": -0.01, "high": 0.01, "standard_error": 0.005,
        "z": 0.0, "p": 1.0, "e_value": 0.5, "df": 30.0, "users_before": 50, "users_after": 50,
        "sessions_before": 900, "sessions_after": 300, "expected_events": 60.0, "enough": True,
    }  # fmt: skip
    return Comparison(**values | changes)


def test_evidence_is_judged_within_the_family_and_the_untested_stay_outside():
    family = [
        comparison(p=1e-9, e_value=1e5),
        comparison(p=0.004, e_value=10.0),
        comparison(p=0.5),
        comparison(enough=False, p=1e-12, e_value=1e9),
    ]
    judged = judge(family)
    assert [one.evidence for one in judged] == ["confirmed", "suspected", "none", "not_enough_data"]
    assert {one.comparisons for one in judged} == {3}
    assert judged[3].q is None


def test_unchanged_needs_the_whole_interval_inside_the_margin():
    assert comparison().equivalent
    assert not comparison(high=0.07).equivalent
    assert not comparison(low=-0.07).equivalent


def test_a_larger_family_can_only_show_larger_changes():
    assert comparison().smallest_detectable(100) > comparison().smallest_detectable(1) > 2.8 * 0.005


def test_effective_number_of_equal_users_is_their_number_and_of_one_giant_nearly_one():
    assert effective_number(np.full(7, 3.0)) == pytest.approx(7)
    assert effective_number(np.array([1000.0, 1.0, 1.0])) == pytest.approx(1.0, abs=0.01)


def test_the_interval_of_one_users_sessions_is_wilsons():
    found = interval(np.array([10.0]), np.array([[3.0]]), 10)
    # Wilson 1927 for 3 of 10 at 95 %, computed by hand: (0.3 + 0.19207) / 1.38415 -+ 0.24781.
    assert found.low[0] == pytest.approx(0.1078, abs=2e-4)
    assert found.high[0] == pytest.approx(0.6032, abs=2e-4)


def test_intervals_at_zero_start_at_zero_and_narrow_with_users():
    few = interval(np.full(5, 4.0), np.zeros((1, 5)), 20)
    many = interval(np.full(50, 4.0), np.zeros((1, 50)), 200)
    assert few.low[0] == many.low[0] == 0.0
    assert 0 < many.high[0] < few.high[0] < 1


def test_what_nobody_met_is_less_sure_where_weights_are_unequal():
    few = interval(np.full(20, 4.0), np.zeros((1, 20)), 80)
    unequal = interval(np.full(20, 4.0), np.zeros((1, 20)), 80, 20.0)
    assert unequal.high[0] > 2 * few.high[0]
    assert interval(np.array([10.0]), np.array([[3.0]]), 20, 10.0).low[0] == pytest.approx(0.1078, abs=2e-4)


def test_users_who_are_all_or_nothing_get_a_wider_interval_than_users_alike():
    weight = np.full(20, 10.0)
    alike, divided = np.full(20, 5.0), np.where(np.arange(20) < 10, 10.0, 0.0)
    found = interval(weight, np.stack([alike, divided]), 200)
    assert found.rate[0] == found.rate[1]
    assert found.high[1] - found.low[1] > 2 * (found.high[0] - found.low[0])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1)), min_size=1, max_size=30))
def test_intervals_hold_the_rate_and_stay_between_zero_and_one(users):
    weight = np.array([float(count) for count, _ in users])
    events = np.array([[np.floor(count * share) for count, share in users]])
    found = interval(weight, events, float(weight.sum()))
    assert 0 <= found.low[0] <= found.rate[0] <= found.high[0] <= 1
    order = np.argsort(-weight, kind="stable")
    again = interval(weight[order], events[:, order], float(weight.sum()))
    assert again.low[0] == pytest.approx(found.low[0])
