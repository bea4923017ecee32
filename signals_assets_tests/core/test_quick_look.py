"""Every moment once, facets in one row, and two passes that say what one pass says."""

import pickle
from collections import Counter

import orjson
import pytest

from signals_assets.core import quick_look
from signals_assets.core.analysis import AnalysisAnswer
from signals_assets.core.analysis_rules import AnswerChunk, answer_chunk
from signals_assets.core.barrier import lexicon
from signals_assets.core.barrier.support import day_vocabulary
from signals_assets.core.quick_look import CountChunk, LookChunk, Options, moments, stored_session, wide_facets
from signals_assets.core.taxonomy import seed
from signals_assets.prompts import pinned
from signals_assets.tables import Facet
from signals_assets.zones import _unpickled
from signals_assets_tests.core.detectors.script import agent, edit, session, shell, user
from signals_assets_tests.factories import row_values


def options(**over):
    values = {
        "audience": "self", "key": b"key", "min_steps": 0, "min_confidence": 0.5, "prompt": "p",
        "taxonomy": seed(),
    }  # fmt: skip
    return Options(**(values | over))


def told(session_id="one", user_id="ann"):
    found = session(
        user("build it"), shell("a", "make", "make: *** boom", "error"), edit("b"), agent(),
        user("the header is still wrong, it does not show"), agent(),
    )  # fmt: skip
    found.session_id, found.user_id = session_id, user_id
    return stored_session(found, b"key")


def chunk(*lines, **over):
    return LookChunk(lines or (told(),), options(**over))


def rows(part, table):
    return [orjson.loads(line) for line in part.lines[table]]


def event(source="detector", type_="error_event", steps=(1,), **over):
    values = {"source": source, "type": type_, "steps": list(steps), "citation": f"{source} says", "confidence": 0.9}
    return values | over


# --- the merge -------------------------------------------------------------------------------------------------


def test_a_moment_that_both_found_keeps_the_detectors_row_and_the_analysts_words():
    tally = Counter()
    (row,) = moments([event(steps=[1, 2], severity="low"), event("analyst", steps=[2, 3], severity="high")], 0.5, tally)
    assert row == event(steps=[1, 2], severity="low", citation="analyst says")
    assert (tally["found_by_both"], tally["analyst_merged"], tally["found_by_analyst_only"]) == (1, 1, 0)


def test_another_type_or_other_steps_are_another_moment():
    found = [event(steps=[5]), event("analyst", steps=[6]), event("analyst", "correction", steps=[5])]
    merged = moments(found, 0.5)
    assert [(row["source"], row["type"], row["steps"]) for row in merged] == [
        ("analyst", "correction", [5]), ("detector", "error_event", [5]), ("analyst", "error_event", [6]),
    ]  # fmt: skip


def test_a_refused_citation_of_the_analyst_leaves_the_detectors_sentence():
    (row,) = moments([event(), event("analyst", citation=None)], 0.5)
    assert row["citation"] == "detector says"


def test_the_analysts_event_with_most_steps_in_common_gives_the_words():
    said = [event("analyst", steps=[1, 9], citation="some"), event("analyst", steps=[1, 2], citation="most")]
    (row,) = moments([event(steps=[1, 2, 3]), *said], 0.5)
    assert row["citation"] == "most"


def test_uncertain_events_are_left_out_and_counted_and_hide_no_certain_one():
    tally = Counter()
    said = [event("analyst", confidence=0.5), event("analyst", steps=[7], confidence=0.1)]
    merged = moments([event(confidence=0.4), *said], 0.5, tally)
    assert [(row["source"], row["steps"]) for row in merged] == [("analyst", [1])]
    assert (tally["below_confidence.detector"], tally["below_confidence.analyst"]) == (1, 1)


# --- facets ----------------------------------------------------------------------------------------------------


def test_facets_of_a_session_become_one_row_of_lists_a_number_and_a_flag():
    values = [
        ("outcome", "partial"), ("primary_intent", "bug fix"), ("programming_languages", "Go"),
        ("programming_languages", "Python"), ("tool_call_confirmations", "7"), ("specification_drift", "true"),
    ]  # fmt: skip
    wide = wide_facets(
        [Facet(**row_values(Facet, session_id="one", facet=name, value=_unpickled(value))) for name, value in values]
    )
    assert wide == {
        "session_id": "one", "primary_intent": "bug fix", "outcome": "partial",
        "programming_languages": ["Go", "Python"], "frameworks": [], "tool_call_confirmations": 7,
        "specification_drift": True,
    }  # fmt: skip


# --- the stages ------------------------------------------------------------------------------------------------


def test_a_session_keeps_its_own_id_and_its_user_is_a_pseudonym():
    part = quick_look.look(chunk())
    (metrics,) = rows(part, "session_metrics")
    assert metrics["session_id"] == "one"
    assert "ann" not in metrics["user_id"]


def test_events_are_written_once_with_steps_of_the_session():
    part = quick_look.look(chunk())
    found = {(row["type"], *row["steps"]) for row in rows(part, "friction_events")}
    assert {("error_event", 2), ("correction", 6)} <= found
    assert len(found) == len(part.lines["friction_events"])
    assert part.moments["found_by_both"] == len(found)
    assert part.sessions["friction", "correction"] == 1


def test_a_session_below_the_minimum_is_measured_and_not_analysed():
    part = quick_look.look(chunk(min_steps=100))
    assert len(part.lines["session_metrics"]) == 1
    assert not part.lines["facets"] + part.lines["abstracted_summaries"]
    assert {row["source"] for row in rows(part, "friction_events")} == {"detector"}
    assert part.stages["analysis"].skipped == {"too_short": 1}
    assert part.stages["abstractions"].skipped == {"not_analysed": 1}


@pytest.mark.parametrize("audience", ["team", "company"])
def test_two_passes_with_enough_users_write_what_one_pass_writes(audience):
    lines = tuple(told(f"s{n}", f"u{n}") for n in range(6))
    first = quick_look.measure(pickle.loads(pickle.dumps(chunk(*lines, audience=audience))))
    partial = quick_look.count(CountChunk(lines, day_vocabulary(first.texts), b"key"))
    support = quick_look.supported([partial], b"key")
    second = quick_look.abstract(LookChunk(lines, options(audience=audience), tuple(first.cases), support))
    first.add(second)
    alone = quick_look.look(chunk(*lines))
    assert first.lines == alone.lines
    assert first.stages["abstractions"].answered == 6


def asked(*lines, **over):
    """The first pass with another analyst than the rules, and the questions that it leaves."""
    own = options(analyst="openai", model="gpt-5.2", prompt=pinned("analyze_session", 2).id, **over)
    lines = lines or (told(),)
    part = quick_look.measure(pickle.loads(pickle.dumps(LookChunk(lines, own))))
    return own, part, [quick_look.question(line, case, own) for line, case in zip(lines, part.cases, strict=True)]


def by_rules(request):
    return answer_chunk(AnswerChunk((request,), lexicon.load))[0]


def test_another_analysts_answers_lead_to_the_same_rows_as_the_rules_own():
    lines = (told(), told("two", "bob"))
    own, part, questions = asked(*lines)
    assert part.stages.keys() == {"metrics"}
    answers = {question.request_id: by_rules(question) for question in questions}
    joined = [quick_look.answered(case, answers, own) for case in part.cases]
    cases = tuple(case for one in joined for case in one.cases)
    for one in joined:
        part.add(one)
    part.add(quick_look.abstract(LookChunk(lines, own, cases)))
    alone = quick_look.look(chunk(*lines, prompt=own.prompt))
    assert part.lines.keys() == alone.lines.keys()
    for table in ("session_metrics", "detections", "facets", "abstracted_summaries", "friction_events"):
        assert part.lines[table] == alone.lines[table], table
    assert part.stages["analysis"] == alone.stages["analysis"]
    assert [cost["analyst"] for cost in part.costs] == ["openai", "openai"]
    assert alone.costs == []
    assert {text for one in joined for text in one.texts} == quick_look.measure(chunk(*lines)).texts


def test_a_question_without_an_answer_is_counted_and_its_session_keeps_what_the_detectors_found():
    own, part, [question] = asked()
    silent = AnalysisAnswer(question.request_id, None, "refused", None, "gpt-5.2", cost_usd=0.5)
    for answers, state in (({}, "failed"), ({question.request_id: silent}, "refused")):
        joined = quick_look.answered(part.cases[0], answers, own)
        assert getattr(joined.stages["analysis"], state) == 1
        second = quick_look.abstract(LookChunk((told(),), own, tuple(joined.cases)))
        assert {row["source"] for row in rows(second, "friction_events")} == {"detector"}
        assert not second.lines["abstracted_summaries"]


def test_a_session_that_is_not_selected_has_no_question():
    own, part, questions = asked(min_steps=100)
    assert questions == [None]
    joined = quick_look.answered(part.cases[0], {}, own)
    assert (joined.stages, joined.costs) == ({}, [])
    assert part.stages["analysis"].skipped == {"too_short": 1}


def test_a_session_that_has_grown_or_another_model_is_another_question():
    ids = {asked(told())[2][0].request_id, asked(told("two"))[2][0].request_id}
    longer = session(user("build it"), agent(), agent())
    longer.session_id = "one"
    ids.add(asked(stored_session(longer, b"key"))[2][0].request_id)
    assert len(ids) == 3
    assert asked(told())[2][0].request_id in ids


def test_a_word_that_only_one_user_wrote_is_not_admitted_for_a_team():
    first = quick_look.measure(chunk(audience="team"))
    support = quick_look.supported(
        [quick_look.count(CountChunk((told(),), day_vocabulary(first.texts), b"key"))], b"key"
    )
    second = quick_look.abstract(LookChunk((told(),), options(audience="team"), tuple(first.cases), support))
    assert any("header" in text for text in first.texts)
    assert b"header" not in b"".join(second.lines["friction_events"])


def test_a_session_that_breaks_a_stage_is_counted_and_the_others_go_on(monkeypatch):
    def broken(_):
        raise RuntimeError("some content")

    monkeypatch.setattr(quick_look, "abstract_chunk", broken)
    part = quick_look.look(chunk(told("a"), told("b")))
    assert len(part.lines["session_metrics"]) == 2
    assert part.stages["abstractions"].failed == 2
    assert part.stages["abstractions"].notes == {"failed.RuntimeError": 2}
