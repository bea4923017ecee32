"""The loop's worlds of counts; figures are printed by `signals benchmark loop`."""

from datetime import date

import numpy as np
import pytest

from signals_assets.benchmarks import loop_thresholds
from signals_assets.benchmarks.loop_fixes import Fix, one, planned
from signals_assets.simulation.counts import Day, Population, counts_of

MONDAY = date(2026, 3, 2)


def test_counts_hold_what_was_lived_and_sessions_without_a_type_are_exposure():
    sessions, met = np.array([5, 0, 3]), np.array([[2, 0, 0]])
    counts = counts_of([Day(MONDAY, np.array(["1.0", "1.0", "2.0"]), sessions, met)], [("friction", "correction")])
    cells = counts.cells("detector", [("friction", "correction")], ["user", "agent_version"])
    assert cells.sessions.tolist() == [5, 3]
    assert cells.events.tolist() == [[2, 0]]


def test_users_are_heavy_tailed_and_their_sessions_resemble_each_other():
    population = Population.drawn(np.random.default_rng(1), 4000, [0.1])
    assert np.sort(population.share)[-40:].sum() > 0.1  # a hundredth of the users
    spread = population.prone.var() / (0.1 * 0.9)  # the correlation of two sessions of a user, beta-binomial
    assert spread == pytest.approx(0.05, abs=0.01)


def test_each_sort_of_fix_is_planned_on_much_and_on_little_data():
    assert {(fix.does, fix.data) for fix in planned(3)} == {
        (does, data) for does in ("works", "does nothing", "harms") for data in ("enough", "too little")
    }


def test_a_verdict_against_what_the_fix_does_is_counted_as_wrong(monkeypatch):
    right = one(Fix("harms", "enough", 500, 0.0), 0)
    assert (right["verdict"], right["wrong"]) == ("regressed", False)
    monkeypatch.setitem(one.__globals__["RIGHT"], "harms", frozenset({"improved"}))
    assert one(Fix("harms", "enough", 500, 0.0), 0)["wrong"]


def test_a_regression_crosses_after_its_evidence_and_nothing_else_does(monkeypatch):
    monkeypatch.setattr(loop_thresholds, "FACTORS", (3.0, 3.1))
    monkeypatch.setattr(loop_thresholds, "PLANTED_AFTER", (1, 2))
    monkeypatch.setattr(loop_thresholds, "PATIENCE", 8)
    found = loop_thresholds.life(4, 0.0, planted=True)
    assert found["rises"] == 0
    assert found["released_on"] <= found["evidence_on"] < found["crossed_on"]
