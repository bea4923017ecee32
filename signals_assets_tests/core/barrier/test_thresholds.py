"""One function decides: thresholds, bands, grids, complements."""

import pytest

from signals_assets.core.barrier.thresholds import (
    WITHHELD,
    Size,
    about,
    band,
    coarse,
    coarse_ends,
    family,
    part_shown,
    rounded_e,
    rounded_high,
    rounded_interval,
    rounded_low,
    rounded_q,
    rounded_rate,
    shown,
    size_shown,
    step,
    ticketable,
    without_complements,
)


@pytest.mark.parametrize(("audience", "users", "sessions"), [("self", 1, 1), ("team", 3, 5), ("company", 5, 8)])
def test_each_audience_sees_from_its_size_on(audience, users, sessions):
    assert shown(audience, users, sessions)
    assert not shown(audience, users - 1, sessions)
    assert not shown(audience, users, sessions - 1)


def test_organisations_are_asked_for_where_known_and_one_counts_for_half_at_most():
    assert not shown("company", 9, 20, 1)
    assert size_shown("company", Size(9, 20, 2, 16))
    assert not size_shown("company", Size(9, 20, 2, 17))  # three of the others make six sessions that count
    assert size_shown("team", Size(9, 20, 1, 20))
    assert not ticketable("company", 30, 100, 3, 91)


@pytest.mark.parametrize("audience", ["company", "public"])
def test_one_organisation_lifts_nothing_over_a_threshold_however_much_it_sends(audience):
    """Accounts and sessions of one spammer's organisation count for half at most of what is counted."""
    others = 3  # sessions of two other organisations: six count, eight or twenty are asked for
    for spam in (10, 1000, 1_000_000):
        assert not shown(audience, spam, spam + others, 3, spam)
        assert not ticketable(audience, spam, spam + others, 3, spam)
    assert shown("company", 9, 8, 2, 4)
    assert not shown("company", 9, 8, 2, 5)


def test_evidence_is_told_on_few_numbers_that_never_overstate_it():
    for q in (1e-15, 0.0004, 0.004, 0.03, 0.05, 0.2, 0.9):
        assert q <= rounded_q(q) <= max(0.001, 6 * q, 1.0 if q > 0.5 else 0)
    for e_value in (0.0, 0.3, 4.0, 19.9, 20.0, 1e9):
        assert rounded_e(e_value) <= e_value
    assert rounded_e(20.0) == 20.0
    assert (rounded_q(1e-15, "self"), rounded_e(1e9, "self")) == (1e-15, 1e9)


def test_ends_of_ratios_go_outwards_and_a_family_is_told_to_tens():
    for low, high in ((0.0, 0.4), (1.3, 1.6), (4.2, 5.5), (12.0, 81.0)):
        ends = coarse_ends(low, high)
        assert ends[0] <= low < high <= ends[1]
    assert [family(tests) for tests in (0, 1, 10, 11)] == [10, 10, 10, 20]
    assert family(3, "self") == 3


def test_public_is_shown_nothing_as_it_is():
    assert not shown("public", 10_000, 100_000, 50)
    assert not part_shown("public", 10_000, 10_000)
    assert band(500, "public") == WITHHELD


def test_a_part_needs_enough_on_both_sides():
    assert part_shown("company", 5, 5)
    assert not part_shown("company", 4, 100)
    assert not part_shown("company", 100, 4)
    assert part_shown("self", 0, 1)


def test_the_grid_depends_on_the_band_only_and_spans_a_threshold_of_users():
    for low, high in ((10, 19), (20, 49), (200, 499), (2000, 4999)):
        assert step(low) == step(high)
        assert step(low) * low >= 5 or step(low) == 0.5


def test_an_interval_is_rounded_outwards():
    assert rounded_low(0.2349, 1000) <= 0.2349 <= rounded_high(0.2349, 1000)
    assert rounded_low(0.2, 1000) == rounded_high(0.2, 1000) == rounded_rate(0.2, 1000) == 0.2


@pytest.mark.parametrize("users", [6, 30, 200])
def test_a_published_interval_holds_its_rate_and_the_exact_one(users):
    for rate in (0.1, 0.35, 0.8):
        told, low, high = rounded_interval((rate, rate - 0.02, min(rate + 0.02, 1.0)), 4 * users, users)
        assert 0 <= low <= told <= high <= 1
        assert low <= rate - 0.02 + 1e-9
        assert high >= rate + 0.02 - 1e-9


def test_coarse_figures_have_few_values():
    assert {coarse(value) for value in (1.0, 1.1, 1.2)} == {1.0}
    assert (coarse(0.034), coarse(-8.9), coarse(0.0), coarse(1.234, "self")) == (0.03, -10.0, 0.0, 1.2)


def test_totals_for_operators_are_told_to_tens_or_two_digits():
    assert [about(count) for count in (0, 4, 12, 996, 12_345)] == [0, 0, 10, 1000, 12_000]
    assert about(7, "self") == 7


def test_the_next_smallest_part_goes_with_a_hidden_one():
    parts = [30, 10, 20]
    kept = without_complements(parts, lambda part: part, lambda shown_parts: 0 < 63 - sum(shown_parts) < 5)
    assert kept == [30, 20]  # three were hidden already
    assert without_complements(parts, lambda part: part, lambda shown_parts: sum(shown_parts) < 60) == parts
