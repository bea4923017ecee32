"""The band of agreement: a clear fall is seen, chance and small days are not."""

from collections.abc import Iterable

import numpy as np
import pytest

from signals_assets.core.agreement_band import LEAST_BEFORE, LEAST_TODAY, judged


def row(type_: str, both: int, only: int, kind: str = "friction"):
    return {"kind": kind, "type": type_, "both": both, "detector_only": only, "analyst_only": 0}


def outside(today: Iterable[dict], before: Iterable[dict]) -> set[str]:
    return {item.type for item in judged(today, before) if item.outside}


BEFORE = [row("error_event", 8, 2) for _ in range(10)]


@pytest.mark.parametrize(
    ("both", "only", "falls"),
    [(8, 2, False), (7, 3, False), (1, 9, True), (4, 16, True), (0, LEAST_TODAY - 1, False)],
)
def test_a_day_falls_out_when_it_differs_beyond_chance_from_the_days_before(both, only, falls):
    assert outside([row("error_event", both, only)], BEFORE) == ({"error_event"} if falls else set())


def test_more_agreement_than_ever_is_as_suspicious_as_less():
    before = [row("error_event", 2, 8) for _ in range(10)]
    assert outside([row("error_event", 20, 0)], before) == {"error_event"}


def test_too_few_days_before_judge_nobody():
    few = [row("error_event", LEAST_BEFORE - 2, 1)]
    assert judged([row("error_event", 0, 20)], few) == []
    assert judged([row("error_event", 0, 20)], []) == []


def test_a_difference_that_nobody_needs_to_look_at_is_none():
    before = [row("error_event", 8_000, 2_000)]
    [found] = judged([row("error_event", 7_300, 2_700)], before)
    assert found.q < 0.001
    assert not found.outside


def test_types_of_equal_name_in_friction_and_delight_are_two():
    found = judged([row("other", 0, 20), row("other", 16, 4, "delight")], [row("other", 8, 2), row("other", 40, 10),
                   row("other", 40, 10, "delight")])  # fmt: skip
    assert [(item.kind, item.outside) for item in found] == [("delight", False), ("friction", True)]


def test_a_steady_analyst_rarely_falls_out_over_many_types_and_days():
    """False discoveries are held at 5 %: with nothing to discover, so many days at most have any at all."""
    generator = np.random.default_rng(4)
    types = [f"type_{number}" for number in range(12)]
    fallen = 0
    for _ in range(200):
        before = [row(name, both, 20 - both) for name in types for both in generator.binomial(20, 0.7, 14).tolist()]
        today = [row(name, both, 20 - both) for name, both in zip(types, generator.binomial(20, 0.7, 12), strict=True)]
        fallen += bool(outside(today, before))
    assert fallen <= 0.05 * 200 + 3 * (0.05 * 0.95 * 200) ** 0.5
