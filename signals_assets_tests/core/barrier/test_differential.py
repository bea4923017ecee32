"""Differential privacy: the noise is what it says, thresholds are those of the notes, budgets end, replays agree."""

import math
from collections import Counter
from datetime import date
from fractions import Fraction

import pytest

from signals_assets.core.barrier.differential import (
    Bits,
    Budget,
    Release,
    Spending,
    bounded,
    discrete_laplace,
    exact,
    integer_threshold,
    noisy,
    quantile,
    threshold,
)

DAY = date(2026, 3, 2)
KEY = b"a secret key"


def chance(value: int, scale: float) -> float:
    """Probability of a value under the discrete Laplace distribution."""
    return (1 - math.exp(-1 / scale)) / (1 + math.exp(-1 / scale)) * math.exp(-abs(value) / scale)


def release(counts: dict[str, int], active: int = 200, epsilon: str = "1", day: date = DAY) -> Release:
    return Release(day, "friction_rates", "users by type", Spending(Fraction(epsilon), 1e-6), 1, counts, active)


@pytest.mark.parametrize(("patterns", "expected"), [
    (1, [27.2, 14.1, 7.6, 4.3]), (3, [86.3, 43.7, 22.3, 11.7]), (5, [148.3, 74.7, 37.8, 19.4]),
])  # fmt: skip
def test_thresholds_are_those_of_the_specification(patterns: int, expected: list[float]):
    found = [threshold(epsilon, 1e-6, patterns) for epsilon in (0.5, 1, 2, 4)]
    assert found == pytest.approx(expected, abs=0.1)
    for epsilon, one in zip((0.5, 1, 2, 4), found, strict=True):
        discrete = integer_threshold(exact(epsilon), 1e-6, patterns)
        assert one - 1 <= discrete <= one + 1 + patterns / epsilon


@pytest.mark.parametrize(("epsilon", "patterns"), [("1/2", 1), ("1", 1), ("1", 3), ("4", 5)])
def test_a_pattern_of_one_user_passes_with_at_most_the_probability_delta(epsilon: str, patterns: int):
    delta, scale = 1e-6, float(patterns / Fraction(epsilon))
    least = integer_threshold(Fraction(epsilon), delta, patterns)

    def passes(threshold_: int) -> float:
        return patterns * sum(chance(value, scale) for value in range(threshold_ - 1, threshold_ + 4000))

    assert passes(least) <= delta
    assert passes(least - 1) > delta / math.exp(1)  # not wasteful


@pytest.mark.parametrize("scale", [Fraction(1), Fraction(5, 4), Fraction(3)])
def test_the_noise_has_the_discrete_laplace_distribution(scale: Fraction):
    bits = Bits(KEY, "distribution", str(scale))
    size = 20_000
    found = Counter(discrete_laplace(scale, bits) for _ in range(size))
    values = range(-6, 7)
    squares = sum(
        (found[value] - size * chance(value, float(scale))) ** 2 / (size * chance(value, float(scale)))
        for value in values
    )
    assert squares < 34.5  # chi-squared with 13 cells, one in a thousand
    mean = sum(value * count for value, count in found.items()) / size
    assert abs(mean) < 4 * math.sqrt(2) * float(scale) / math.sqrt(size)


def test_one_user_more_changes_no_outcomes_probability_by_more_than_e_to_the_epsilon():
    epsilon = 0.7
    for value in range(-40, 41):
        assert chance(value, 1 / epsilon) <= math.exp(epsilon) * chance(value - 1, 1 / epsilon) * (1 + 1e-9)


def test_a_repeat_gives_the_same_noise_and_another_day_surface_or_key_another():
    counts = dict.fromkeys("abcdefgh", 100)
    first = noisy(release(counts), KEY)
    assert noisy(release(counts), KEY) == first
    other = noisy(release(counts, day=date(2026, 3, 3)), KEY)
    assert other.counts != first.counts
    assert noisy(release(counts), b"another key").counts != first.counts


def test_a_pattern_that_few_met_is_absent_and_one_that_many_met_is_near_its_count():
    days = [date(2026, 3, 1 + n) for n in range(28)]
    told = [noisy(release({"rare": 3, "often": 120}, day=day), KEY) for day in days]
    assert not any("rare" in one.counts for one in told)
    assert all(abs(one.counts["often"] - 120) < 20 for one in told)
    assert len({one.counts["often"] for one in told}) > 3


def test_the_noise_stays_within_its_quantile_as_often_as_it_says():
    scale = Fraction(5)
    bits, reach = Bits(KEY, "quantile"), quantile(scale, 0.05)
    outside = sum(abs(discrete_laplace(scale, bits)) > reach for _ in range(4000)) / 4000
    assert outside < 0.065
    assert sum(chance(value, 5.0) for value in range(-reach, reach + 1)) >= 0.95


def test_each_user_counts_in_a_bounded_number_of_patterns_whatever_the_others_do():
    met = [("ann", pattern) for pattern in "abcde"] + [("bob", "a"), ("bob", "a")]
    for most in (1, 3):
        counts = bounded(met, most, KEY, DAY)
        assert sum(counts.values()) == most + 1
        without = bounded([pair for pair in met if pair[0] != "ann"], most, KEY, DAY)
        changed = {pattern: counts.get(pattern, 0) - without.get(pattern, 0) for pattern in "abcde"}
        assert sorted(changed.values()) == [0] * (5 - most) + [1] * most


def test_a_budget_adds_up_exactly_and_stops_at_its_limit():
    budget = Budget(exact(0.3))
    for _ in range(3):
        after = budget.after(Spending(exact(0.1), 1e-6))
        assert after is not None
        budget = after
    assert budget.spent == Fraction(3, 10)
    assert budget.delta == pytest.approx(3e-6)
    assert budget.after(Spending(exact(0.1), 1e-6)) is None


def test_uniform_integers_are_uniform():
    bits = Bits(KEY, "uniform")
    found = Counter(bits.below(6) for _ in range(12_000))
    assert set(found) == set(range(6))
    assert sum((count - 2000) ** 2 / 2000 for count in found.values()) < 20.5
