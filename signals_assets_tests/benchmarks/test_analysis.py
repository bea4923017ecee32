from dataclasses import replace

import orjson
import pytest

from signals_assets.benchmarks import analysis
from signals_assets.benchmarks.analysis import Ruler, run
from signals_assets.benchmarks.detectors import rulers
from signals_assets.core.readings import Moment, Reading
from signals_assets_tests.core.detectors.script import agent, edit, session, shell, user

LOG = "\n".join(f"step {number} went well" for number in range(500))
FAILING = (user("build it"), *(shell(f"w{n}", f"make part{n}", LOG.replace("went", f"of {n} went")) for n in range(9)))


def named(name, *parts):
    return replace(session(*parts), session_id=name)


def sheet(name, *friction):
    events = [{"type": kind, "steps": list(steps), "severity": "low", "confidence": 0.8} for kind, *steps in friction]
    return {"session_id": name, "friction": events, "delight": [], "outcome": "success"}


@pytest.fixture(autouse=True)
def few_resamples_and_budgets(monkeypatch):
    monkeypatch.setattr(analysis, "RESAMPLES", 50)
    monkeypatch.setattr(analysis, "BUDGETS", (("8k", 200), ("whole", analysis.UNLIMITED)))


def measured(sessions, *sheets):
    return run(sessions, [Ruler(*ruler) for ruler in rulers(sessions, [("sheets", sheets)])])


def test_a_failure_survives_condensing_and_its_recall_is_told_for_each_budget():
    given = named("one", *FAILING, shell("x", "make | tail", "make: *** boom"), edit("b"), agent())
    tight, whole = measured([given], sheet("one", ("error_event", 20)))["budgets"]
    for budget in (tight, whole):
        errors = budget["labels"][0]["types"]["error_event"]["moments"]
        assert (errors["true"], errors["recall_whole"], errors["recall_condensed"]) == (1, 1, 1)
        assert budget["labels"][0]["all"]["moments"]["lost"] == 0
    assert (tight["cut"], whole["cut"]) == (1, 0)
    assert tight["tokens"] <= 200 < whole["tokens"]
    assert tight["tokens_saved"] == pytest.approx(1 - tight["tokens"] / whole["tokens"], abs=1e-3)
    assert tight["steps_seen"] < whole["steps_seen"] == whole["characters_shown"] == 1


def test_moments_that_condensing_hides_are_counted_as_lost_and_break_the_gate():
    given = named("one", user("look"), shell("a", "ls", LOG))
    rulers_of = Ruler("sheets", ["error_event"], [("one", reading((2,)))], lambda form: finds_long_outputs(form))
    result = run([given], [rulers_of])
    lost = result["budgets"][0]["labels"][0]["all"]
    assert (lost["moments"]["recall_whole"], lost["moments"]["recall_condensed"]) == (1, 0)
    assert lost["moments"]["lost"] == lost["sessions"]["lost"] == 1
    assert [gate["holds"] for gate in result["gates"]] == [False, False]


def test_what_the_text_only_counts_is_unknown_where_the_reading_is_strict():
    given = named("one", *FAILING, agent("done"))
    found = Ruler("sheets", ["error_event"], [("one", reading((1,)))], lambda form: reading(calls(form)[:1]))
    lost = run([given], [found])["budgets"][0]["labels"][0]["all"]["moments"]
    assert (lost["lost"], lost["lost_strictly"]) == (0, 1)


def test_without_labels_there_is_no_gate_and_the_share_that_is_shown_is_told():
    result = run([named("one", *FAILING)], [])
    assert result["gates"] == []
    assert 0 < result["budgets"][0]["characters_shown"] < 0.5


def test_figures_hold_no_text_of_sessions():
    given = named("one", user("zanzibar"), *FAILING, agent("zanzibar"))
    assert b"zanzibar" not in orjson.dumps(measured([given], sheet("one", ("error_event", 3))))


def test_a_session_is_read_by_the_model_of_its_person_in_any_form():
    given = [named(name, *FAILING) for name in ("one", "two")]
    (ruler,) = rulers(given, [("sheets", [sheet("one", ("correction", 0)), sheet("absent")])])
    assert [key for key, _ in ruler[2]] == ["one"]
    assert ruler[3](given[0]) == ruler[3](replace(given[0], user_id=None))


def reading(steps):
    return Reading({"error_event": [Moment(frozenset(steps), "low", 1.0)] if steps else []}, "success")


def finds_long_outputs(form):
    return reading([index for index, step in enumerate(form.steps) if len(step.text or "") > 5000])


def calls(form):
    return [index for index, step in enumerate(form.steps) if step.kind == "tool_call"]
