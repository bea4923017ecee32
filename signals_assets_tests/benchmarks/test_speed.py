"""The day that is measured, and a small run of the real path."""

import json

import pytest

from signals_assets.benchmarks import speed
from signals_assets.benchmarks.speed import BASELINES, DAY, PRODUCT, day_of, run
from signals_assets_tests.core.detectors.script import agent, session, shell, user


def some():
    return [
        session(
            user(f"please fix module {n}1"), shell("a", "make", "error 42\n" * 50, "error"), agent("I fixed it."),
            *(agent(f"step {k}") for k in range(20)),
        )
        for n in range(3)
    ]  # fmt: skip


def test_a_day_is_made_of_the_given_sessions_no_two_of_which_are_alike():
    made = list(day_of(some(), 10, seed=1))
    assert len({found.session_id for found in made}) == 10
    assert len({found.steps[0].text for found in made}) == 10
    assert {found.day for found in made} == {DAY}
    original = some()
    for number, found in enumerate(made):
        whole = len(original[number % 3].steps)
        assert (len(found.steps) == whole) if number < 3 else (0.7 * whole <= len(found.steps) <= whole)
    assert made == list(day_of(some(), 10, seed=1))


@pytest.mark.slow
def test_a_small_day_goes_through_the_real_path_in_every_way(monkeypatch):
    pytest.importorskip("openai")
    monkeypatch.setattr(speed, "BASELINES", BASELINES[1:])
    result = run(some(), wanted=6)
    json.dumps(result)
    assert [way["way"] for way in result["ways"]] == [way.name for way in (PRODUCT, *BASELINES[1:])]
    for way in result["ways"]:
        assert way["answered"] == way["cost"]["sessions"] == 6
        assert way["seconds"] > 0
        assert way["peak_megabytes"] is None or way["peak_megabytes"] > 50
        assert set(way["stages"]) >= {"prepare and submit", "take in, review, revise", "collect and store"}
        assert way["cost"]["micro_usd_per_session"] > 0
    assert {gate["gate"] for gate in result["gates"]} >= {"seconds without the provider's"}
    assert all(gate["holds"] for gate in result["gates"])
