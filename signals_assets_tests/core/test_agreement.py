import time

import numpy as np
import pytest

from signals_assets.core.agreement import (
    Bootstrap,
    balanced_accuracy,
    f1,
    gain,
    kappa,
    macro_f1,
    match,
    share,
)


def counts(*numbers):
    return np.array(numbers, dtype=np.float64)


def test_matching_finds_the_most_pairs_where_a_greedy_one_loses_one():
    # In step order 1 would take the first detection, and 2 would be left without any.
    assert match([{1, 5}, {5}], [{5, 6}, {1}]) == [(0, 1), (1, 0)]


def test_matching_is_one_to_one_and_prefers_the_larger_overlap():
    assert match([{1, 2, 3}], [{1}, {1, 2}]) == [(0, 1)]
    assert match([{1}, {1}], [{1}]) == [(0, 0)]
    assert match([{1}], [{2}]) == match([], [{1}]) == []


def test_a_matching_is_as_large_from_either_side():
    generator = np.random.default_rng(0)
    for _ in range(30):
        left, right = ([set(generator.integers(0, 12, 3).tolist()) for _ in range(6)] for _ in range(2))
        assert len(match(left, right)) == len(match(right, left))


def test_figures_are_those_worked_out_by_hand():
    assert share(counts(3, 4)) == 0.75
    assert f1(counts(2, 4, 2)) == pytest.approx(2 / 3)  # precision 1/2, recall 1
    assert macro_f1(counts(1, 1, 1, 0, 3, 2)) == 0.5  # one class always right, one never
    assert macro_f1(counts(1, 1, 1, 0, 3, 0)) == 1  # a class without a true case is left out
    assert balanced_accuracy(counts(3, 4, 1, 4)) == 0.5
    assert gain(counts(3, 4, 2)) == 0.25


def test_figures_without_cases_are_not_defined():
    for figure, width in ((share, 2), (f1, 3), (macro_f1, 6), (balanced_accuracy, 4), (gain, 3), (kappa, 9)):
        assert np.isnan(figure(np.zeros(width)))


def test_kappa_weighs_by_the_square_of_the_distance():
    assert kappa(counts(2, 0, 0, 0, 2, 0, 0, 0, 2)) == 1
    assert kappa(counts(2, 0, 0, 2, 0, 0, 2, 0, 0)) == 0  # always "low" agrees as chance does
    # Two low, two high; one high called low: seen 4/4; by chance (2*1 + 2*3) / 4 cells of distance 4 / 4 = 8/4.
    assert kappa(counts(2, 0, 0, 0, 0, 0, 1, 0, 1)) == pytest.approx(1 - 4 / 8)


def test_an_interval_holds_its_figure_and_shrinks_with_the_number_of_sessions():
    def width(times):
        some = np.tile(counts([1, 1, 1], [0, 1, 0], [0, 0, 1], [1, 1, 1]), (times, 1))
        found = Bootstrap(len(some), 500, 0).estimate(some, f1)
        assert found.value == pytest.approx(2 / 3, abs=1e-3)
        assert found.low < found.value < found.high
        return found.high - found.low

    assert width(40) < width(10) < width(2)


def test_sheets_of_one_session_are_drawn_together():
    once = np.tile(counts([1, 1, 1], [0, 1, 0], [0, 0, 1]), (5, 1))
    draws = Bootstrap(len(once), 500, 0)
    assert draws.estimate(3 * once, f1) == draws.estimate(once, f1)


def test_the_same_seed_draws_the_same_and_one_session_has_no_interval():
    some = np.tile(counts([1, 1, 1], [0, 1, 0], [1, 1, 1]), (5, 1))
    assert Bootstrap(15, 200, 1).estimate(some, f1) == Bootstrap(15, 200, 1).estimate(some, f1)
    assert not np.array_equal(Bootstrap(15, 200, 1).drawn, Bootstrap(15, 200, 2).drawn)
    assert Bootstrap(1, 200, 1).figure("f1", counts([1, 1, 1]), f1) == {"f1": 1, "f1_interval": None}
    assert Bootstrap(0, 200, 1).figure("f1", np.zeros((0, 3)), f1) == {"f1": None, "f1_interval": None}


def test_two_thousand_resamples_of_a_thousand_sessions_take_well_under_a_second():
    some = np.random.default_rng(0).integers(0, 2, (1000, 3)).astype(np.float64)
    start = time.process_time()
    Bootstrap(1000, 2000, 0).estimate(some, f1)
    assert time.process_time() - start < 1
