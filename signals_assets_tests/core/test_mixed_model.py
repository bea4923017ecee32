"""The working model's weights: by hand where a hand can, and by solving the same model densely."""

import numpy as np
import pytest

from signals_assets.core.mixed_model import DRIFT, EFFECT, HABIT, JOINING, Cells, tempered, weigh


def cells(rows):
    """From (user, day, later, weekend, size) tuples."""
    user, day, later, weekend, size = (np.array(column) for column in zip(*rows, strict=True))
    return Cells(user, day, later, weekend, size.astype(float))


def covariance(of, shocks):
    """The model written down cell by cell."""
    same_user = of.user[:, None] == of.user
    same_part = same_user & (of.later[:, None] == of.later)
    shock = np.where(of.day[:, None] == of.day, shocks[of.day], 0.0)
    return np.diag((1 - HABIT - DRIFT) / of.size) + HABIT * same_user + DRIFT * same_part + shock


def test_weights_are_those_of_the_model_solved_densely():
    rng = np.random.default_rng(0)
    frame = [
        (user, day, int(day > 5 and user < 6), int(day % 4 == 3), int(rng.integers(1, 9)))
        for user in range(9)
        for day in range(9)
    ]
    of, shocks = cells(frame), np.linspace(0.001, 0.2, 9)
    fitted = weigh(of, shocks)
    joined = (of.user < 6).astype(float)
    columns = np.stack([np.ones(81), of.later, of.weekend, joined])
    inverse = np.linalg.inv(covariance(of, shocks))
    prior = np.diag([0, 0, 0, 1 / JOINING])
    dense = np.linalg.inv(columns @ inverse @ columns.T + prior) @ columns @ inverse
    assert np.array_equal(fitted.columns, columns)
    assert fitted.weights == pytest.approx(dense)


def test_where_all_switch_at_once_and_days_are_alike_the_effect_is_after_minus_before():
    frame = [(user, day, int(user >= 4), 0, 5) for user in range(8) for day in range(2)]
    weights = weigh(cells(frame), np.full(2, 1e-9)).weights[EFFECT]
    later = np.array([user >= 4 for user, *_ in frame])
    assert weights[later] == pytest.approx(weights[later].mean())
    assert (weights[later].sum(), weights[~later].sum()) == (pytest.approx(1), pytest.approx(-1))


def test_who_keeps_the_old_version_tells_what_the_days_would_have_been():
    """Two groups, two days, one group switches on the second day: the difference in differences."""
    frame = [(user, day, int(user < 50 and day == 1), 0, 40) for user in range(100) for day in range(2)]
    of = cells(frame)
    weights = weigh(of, np.array([10.0, 10.0])).weights[EFFECT]
    joiner, second = of.user < 50, of.day == 1
    mass = {(g, d): weights[(joiner == g) & (second == d)].sum() for g in (True, False) for d in (True, False)}
    assert mass[True, True] == pytest.approx(1)
    assert mass[False, True] == pytest.approx(-mass[False, False] - mass[True, False] - 1)
    assert mass[False, True] == pytest.approx(-1, abs=1e-3)  # the day's shock cancels
    assert mass[True, False] < -0.5  # so does most of what joiners always did
    assert mass[False, False] == pytest.approx(-mass[True, False], abs=1e-3)


def test_a_day_whose_shock_is_boundless_tells_nothing_where_all_run_the_same():
    frame = [(user, day, int(day >= 4), 0, 5) for user in range(6) for day in range(7)]
    shocks = np.full(7, 0.001)
    shocks[5] = 1e6
    weights = weigh(cells(frame), shocks).weights[EFFECT]
    day = np.array([day for _, day, *_ in frame])
    assert weights[day == 5].sum() == pytest.approx(0, abs=1e-6)
    assert weights[(day == 4) | (day == 6)].sum() == pytest.approx(1, abs=1e-6)


def test_nobody_counts_for_more_sessions_than_the_drift_allows():
    of = cells([(0, 0, 0, 0, 100_000), (1, 0, 0, 0, 1)])
    assert tempered(of)[0] == pytest.approx(1 / DRIFT, rel=0.01)
    assert tempered(of)[1] == 1.0
    more = cells([(0, 0, 0, 0, 1e6)] + [(user, 0, 0, 0, 1) for user in range(1, 40)] + [(40, 1, 1, 0, 1)])
    weights = np.abs(weigh(more, np.array([0.001, 0.001])).weights[EFFECT])
    assert weights[0] < 25 * weights[1]
