"""Answers and detections become abstracted rows; what is refused is counted, nothing vanishes."""

import dataclasses
import pickle

import pytest

from signals_assets.core.abstractions import (
    CITATIONS,
    AbstractionChunk,
    SessionCalls,
    abstract_chunk,
    agreement,
    answer_texts,
    feedback_links,
    type_citation,
    wilson,
)
from signals_assets.core.analysis import Answer
from signals_assets.core.barrier import Refusal, Support
from signals_assets.core.sessions import to_json
from signals_assets.tables import Analysis, Detection, FeedbackRecord, RawSession
from signals_assets_tests.factories import DAY, make_session, make_step, row_values

FRICTION = ("error_event", "correction", "other")
DELIGHT = ("time_saved",)


def raw_row(session, **over):
    values = {"session": to_json(session).decode(), "session_id": "s_1", "user_id": "u_1", "organization_id": "o_1"}
    return row_values(RawSession, **(values | {"agent_name": "helper", "agent_version": "1.0.0"} | over))


def analysis_row(answer=None, *, state="answered", **over):
    values = {"session_id": "s_1", "state": state, "model": "some-model", "analyst": "rules", "inclusion_weight": 2.5}
    text = answer.model_dump_json() if answer is not None else None
    return row_values(Analysis) | values | {"answer": text} | over


def detection_row(**over):
    values = {"session_id": "s_1", "kind": "friction", "type": "error_event", "severity": "low", "steps": [1]}
    return row_values(Detection, **(values | {"component": "search", "confidence": 0.8} | over))


def case(*, answer=None, analysis=None, detections=(), session=None):
    session = session or make_session(*(make_step(text=f"word {chr(97 + n)}", at=n * 10.0) for n in range(6)))
    if analysis is None and answer is not None:
        analysis = analysis_row(answer)
    return {"raw": raw_row(session), "analysis": analysis, "detections": list(detections)}


def chunk(*cases, **over):
    values = {
        "day": DAY, "rows": list(cases), "support": Support(), "taxonomy_version": 3, "friction_types": FRICTION,
        "delight_types": DELIGHT, "audience": "company", "key": b"key",
    }  # fmt: skip
    return AbstractionChunk(**(values | over))


def event(type_="error_event", steps=(1,), citation="", **over):
    return {"type": type_, "steps": list(steps), "citation": citation, "severity": "medium"} | over


def facets_of(result):
    return {(row.facet, row.value.text) for row in result.facets}


def test_a_session_that_was_not_analysed_has_only_its_detectors_events():
    result = abstract_chunk(chunk(case(detections=[detection_row(), detection_row(kind="delight", type="time_saved")])))
    assert (len(result.friction), len(result.delight)) == (1, 1)
    assert not result.summaries + result.facets + result.unmet_needs
    assert result.friction[0].citation.text == CITATIONS["error_event"]
    assert result.friction[0].source == "detector"
    assert result.friction[0].inclusion_weight == 1.0
    assert result.delight[0].severity is None
    assert result.coverage.as_dict()["skipped.not_analysed"] == 1


def test_an_admitted_summary_is_kept_and_a_refused_one_is_null_and_counted():
    good = Answer(summary="The user asked for a test and the agent wrote it.")
    bad = Answer(summary="The user met zorblatt.")
    result = abstract_chunk(chunk(case(answer=good), case(answer=bad)))
    assert result.summaries[0].summary.text == good.summary
    assert result.summaries[0].inclusion_weight == 2.5
    assert result.summaries[1].summary is None
    assert result.summaries[1].rejected_rule == "R3"
    assert result.rejected_by_rule == {"R3": 1}
    assert result.coverage.answered == 2


def summary_by(text, *, by="some-model", session=None, **over):
    """The row and the notes of one summary."""
    one = case(analysis=analysis_row(Answer(summary=text), model=by), session=session)
    result = abstract_chunk(chunk(one, **over))
    return result.summaries[0], result.coverage.notes


def kept(text, **over):
    row, _ = summary_by(text, **over)
    return row.summary.text if row.summary is not None else None


LONG = "The user asked the agent about the tests and was unhappy with the answer"


def test_the_rules_lose_a_word_on_the_second_try_and_a_language_model_its_clause():
    # A hole in a sentence that is no template of ours would show where something stood; a missing clause does not.
    text = "The user asked the agent about the zorblatt dashboard."
    assert kept(text, by="rules-1") == "The user asked the agent about the dashboard."
    assert kept(text) is None
    assert kept(f"{LONG}, because zorblatt failed.") == f"{LONG}."
    assert kept(f"{LONG}, because ticket 4711 failed.") == f"{LONG}."
    assert kept(f"{LONG}. See jane@zorblatt.example for it.") == f"{LONG}."
    assert kept("newly written tests failed again") == "Session: newly written tests failed again"


def test_a_model_that_calls_itself_rules_is_not_the_built_in_rules():
    one = analysis_row(Answer(summary="The user asked the agent about the zorblatt dashboard."), model="rules-1")
    assert abstract_chunk(chunk(case(analysis=one | {"analyst": "other"}))).summaries[0].summary is None


@pytest.mark.parametrize(
    ("tail", "said", "rule"),
    [
        ("because Castle failed", "", "R4"),
        ("because the castle failed", "my castle", "R5"),
        ("because the long tool call failed again", "but the long tool call failed again, sigh", "R6"),
        ("because it said a a a", "", "R7"),
    ],
)
def test_a_name_a_rare_word_a_quotation_or_a_code_costs_a_language_model_the_whole_text(tail, said, rule):
    session = make_session(make_step(text=said))
    row, notes = summary_by(f"{LONG}, {tail}.", session=session)
    assert row.summary is None
    assert row.rejected_rule == rule
    assert notes[f"texts_dropped.{rule}"] == 1


def test_a_refused_field_gets_one_retry_and_every_retry_is_counted():
    answer = Answer(
        summary=f"{LONG}, because zorblatt failed.",
        primary_intent="zorblatt",
        friction=[event(citation="The user met zorblatt."), event(steps=[2], citation="The user reported an error.")],
        unmet_needs=["meet the Castle"],
    )
    notes = abstract_chunk(chunk(case(answer=answer))).coverage.notes
    assert notes["texts"] == 5
    assert notes["texts_retried"] == 4
    assert notes["texts_admitted_on_retry"] == 1
    assert {name: count for name, count in notes.items() if name.startswith("texts_dropped")} == {
        "texts_dropped.R3": 2,
        "texts_dropped.R4": 1,
    }


def test_a_refusal_tells_the_own_text_the_field_and_the_rule_and_is_sent_once():
    asked = []

    def revise(refusal):
        asked.append(refusal)
        return "The user met quux."

    row, _ = summary_by("The user met zorblatt.", revise=revise)
    assert asked == [Refusal("The user met zorblatt.", "summary", "R3")]
    assert {field.name for field in dataclasses.fields(Refusal)} == {"text", "field", "rule"}
    assert "zorblatt" not in repr(asked)
    assert row.summary is None


@pytest.mark.parametrize(
    ("second", "rule"),
    [
        ("The user asked for a castle.", "R5"),
        ("The user said that the tool call failed again.", "R6"),
        (None, "R3"),
        (7, "R0"),
        ("The user asked for help.", None),
    ],
)
def test_a_second_text_is_judged_by_all_rules_with_the_words_it_brings(second, rule):
    # Words that only the second text shares with the session are looked up anew.
    session = make_session(make_step(text="my castle: but the tool call failed again"))
    row, _ = summary_by("The user met zorblatt.", session=session, revise=lambda refusal: second)
    assert row.rejected_rule == rule


def test_words_that_a_dropped_one_brings_together_are_judged_as_neighbours():
    session = make_session(make_step(text="the long tool call failed again"))
    row, _ = summary_by(
        "The user said in the session that the long tool zorblatt call failed again.", by="rules-1", session=session
    )
    assert row.rejected_rule == "R6"


def test_sessions_in_other_languages_are_counted_with_what_was_refused_of_them():
    german = make_session(
        make_step(text="Das ist falsch, ich habe nicht nach der Datei gefragt und will sie auch nicht.")
    )
    said = [
        {"summary": "Der Benutzer hat nach der Datei gefragt."},
        {"summary": "The user stated that it is wrong."},
    ]
    cases = [case(answer=Answer(outcome="success", **answer), session=german) for answer in said]
    english = case(answer=Answer(outcome="success", summary="Der Benutzer hat nach der Datei gefragt."))
    result = abstract_chunk(chunk(*cases, english))
    notes = result.coverage.notes
    assert notes["other_language"] == 2
    assert notes["other_language.R3"] == 1
    assert result.rejected_by_rule == {"R3": 2}
    assert [row.summary is None for row in result.summaries] == [True, False, True]


def test_rare_words_of_the_own_transcript_are_refused_unless_one_reads_oneself():
    session = make_session(make_step(text="please draw my castle"))
    one = case(answer=Answer(summary="The user asked for a castle."), session=session)
    assert abstract_chunk(chunk(one)).rejected_by_rule == {"R5": 1}
    assert abstract_chunk(chunk(one, audience="self")).summaries[0].summary is not None


def test_steps_are_checked_against_the_session():
    answer = Answer(friction=[event(steps=[4, 99, 2, 2]), event(steps=[99]), event(steps=[-1])])
    result = abstract_chunk(chunk(case(answer=answer)))
    assert [row.steps for row in result.friction] == [[2, 4]]
    assert result.friction[0].seconds_from_start == 20.0
    assert result.rejected_by_rule == {"steps": 2}


def test_unknown_types_become_other_and_are_counted():
    answer = Answer(friction=[event("made_up")], delight=[event("made_up", steps=[3])])
    result = abstract_chunk(chunk(case(answer=answer)))
    assert (result.friction[0].type, result.delight[0].type) == ("other", "other")
    assert result.coverage.notes["unknown_types"] == 2


def test_the_component_comes_from_a_detection_at_the_same_steps():
    detections = [detection_row(steps=[1, 2]), detection_row(steps=[2], type="correction", component="shell")]
    answer = Answer(friction=[event("correction", [2]), event("error_event", [5])])
    result = abstract_chunk(chunk(case(answer=answer, detections=detections)))
    by_analyst = {row.type: row.component for row in result.friction if row.source == "analyst"}
    assert by_analyst == {"correction": "shell", "error_event": "unknown"}


def test_at_most_three_citations_of_a_session_are_kept_and_unknown_types_come_first():
    answer = Answer(
        friction=[event(steps=[n], citation="The user reported an error.", confidence=0.5 + n / 10) for n in range(4)]
        + [event("other", [5], "The user asked for a picture.", severity="low")]
    )
    result = abstract_chunk(chunk(case(answer=answer)))
    kept = {(row.type, tuple(row.steps)) for row in result.friction if row.citation is not None}
    assert kept == {("other", (5,)), ("error_event", (3,)), ("error_event", (2,))}
    assert result.coverage.notes["citations_over_limit"] == 2
    alone = abstract_chunk(chunk(case(answer=answer), audience="self"))
    assert all(row.citation is not None for row in alone.friction)


def test_an_event_said_twice_is_one_row_with_a_stable_id():
    answer = Answer(friction=[event(), event()])
    first, again = abstract_chunk(chunk(case(answer=answer))), abstract_chunk(chunk(case(answer=answer)))
    assert [row.event_id for row in first.friction] == [row.event_id for row in again.friction]
    assert len(first.friction) == 1
    assert first.coverage.notes["duplicate_events"] == 1


def test_detector_and_analyst_may_both_see_the_same_moment():
    result = abstract_chunk(chunk(case(answer=Answer(friction=[event()]), detections=[detection_row()])))
    assert sorted(row.source for row in result.friction) == ["analyst", "detector"]
    assert len({row.event_id for row in result.friction}) == 2


def test_facets_are_enums_listed_names_and_bounded_numbers():
    answer = Answer(
        primary_intent="Bug fix", outcome="partial", programming_languages=["golang", "Go", "secretlang"],
        tool_call_confirmations=9_999, specification_drift=True,
    )  # fmt: skip
    result = abstract_chunk(chunk(case(answer=answer)))
    assert facets_of(result) == {
        ("outcome", "partial"), ("primary_intent", "bug fix"), ("programming_languages", "Go"),
        ("programming_languages", "other"), ("tool_call_confirmations", "1000"), ("specification_drift", "true"),
    }  # fmt: skip
    assert result.rejected_by_rule == {"technology": 1}


@pytest.mark.parametrize("intent", ["", "ask zorblatt", "fix this and that and then some more"])
def test_an_intent_that_is_not_admitted_is_other(intent):
    assert ("primary_intent", "other") in facets_of(abstract_chunk(chunk(case(answer=Answer(primary_intent=intent)))))


def test_an_intent_from_our_own_list_needs_no_support_and_a_models_does():
    session = make_session(make_step(text="build me a castle"))
    answer = Answer(primary_intent="castle")
    by_rules = abstract_chunk(chunk(case(analysis=analysis_row(answer, model="rules-1"), session=session)))
    by_model = abstract_chunk(chunk(case(answer=answer, session=session)))
    assert ("primary_intent", "castle") in facets_of(by_rules)
    assert ("primary_intent", "other") in facets_of(by_model)


def test_an_unmet_need_is_a_phrase_behind_a_subject():
    answer = Answer(unmet_needs=["Attach a document to a page", "meet zorblatt", "faster answers"])
    result = abstract_chunk(chunk(case(answer=answer)))
    needs = [(row.number, row.need.text) for row in result.unmet_needs]
    assert needs == [(0, "The user asked to attach a document to a page"), (2, "The user asked for faster answers")]
    assert result.rejected_by_rule == {"R3": 1}


@pytest.mark.parametrize(
    ("state", "column"),
    [
        ("refused", "refused"),
        ("rejected", "rejected"),
        ("invalid", "failed"),
        ("expired", "failed"),
        ("failed", "failed"),
    ],
)
def test_every_state_of_an_analysis_is_covered(state, column):
    coverage = abstract_chunk(chunk(case(analysis=analysis_row(state=state)))).coverage.as_dict()
    assert coverage["asked"] == coverage[column] == 1


def test_an_unreadable_answer_counts_as_failed():
    broken = analysis_row() | {"answer": "{not json"}
    assert abstract_chunk(chunk(case(analysis=broken))).coverage.failed == 1


def test_chunks_add_up_and_travel_between_processes():
    cases = [case(answer=Answer(summary="The user met zorblatt."), detections=[detection_row()]) for _ in range(3)]
    whole = abstract_chunk(pickle.loads(pickle.dumps(chunk(*cases))))
    one, rest = abstract_chunk(chunk(*cases[:1])), abstract_chunk(chunk(*cases[1:]))
    for rows in ("summaries", "facets", "friction", "delight", "unmet_needs"):
        assert getattr(whole, rows) == getattr(one, rows) + getattr(rest, rows)
    assert whole.coverage == one.coverage + rest.coverage
    assert whole.coverage.asked == 3


def test_no_text_of_an_answer_is_forgotten_by_the_support_counts():
    answer = Answer(summary="a", primary_intent="b", friction=[event(citation="c")], unmet_needs=["e"])
    assert set(answer_texts(answer)) == {"a", "b", "c", "e"}


def test_every_type_of_the_taxonomy_has_a_sentence_and_later_ones_a_general_one():
    for type_, sentence in CITATIONS.items():
        assert type_citation("friction", type_).text == sentence
    assert type_citation("delight", "found_later").text != type_citation("friction", "found_later").text


# --- agreement and thumbs --------------------------------------------------------------------------------------


def test_agreement_counts_sessions_that_both_looked_at():
    detections = [detection_row(session_id=s) for s in ("a", "b", "c", "unseen")] + [detection_row(session_id="a")]
    events = {"friction": [
        {"session_id": s, "type": "error_event", "source": "analyst"} for s in ("b", "c", "d")
    ] + [{"session_id": "e", "type": "error_event", "source": "detector"}], "delight": []}  # fmt: skip
    (row,) = agreement(DAY, detections, events, ["a", "b", "c", "d", "e"])
    assert (row.sessions, row.both, row.detector_only, row.analyst_only) == (5, 2, 1, 1)
    assert row.f1 == pytest.approx(2 * 2 / (2 * 2 + 1 + 1), abs=1e-4)
    assert row.f1_low < row.f1 < row.f1_high


def test_agreement_leaves_out_uncertain_detections():
    assert agreement(DAY, [detection_row(confidence=0.2)], {}, ["s_1"], min_confidence=0.5) == []


def test_wilson_is_the_published_interval():
    low, high = wilson(8, 10)
    assert low == pytest.approx(0.490, abs=1e-3)
    assert high == pytest.approx(0.943, abs=1e-3)
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_thumb_is_joined_to_the_call_that_produced_the_answer():
    session = make_session(
        make_step(), make_step("assistant_message", "hm", llm_call_id="call-7"), make_step("assistant_message", "done"),
        make_step(),
    )  # fmt: skip
    raw = raw_row(session, agent_model="some-model", prompt_version="p3")
    calls = SessionCalls.of(raw, [2, 3, 99], b"key")
    thumb = row_values(FeedbackRecord, session_id="s_1", step=2, rating=-1, feedback_id="f_1")
    (link,) = feedback_links(DAY, [thumb], {"s_1": calls}, {"s_1": "bug fix"})
    assert link.llm_call_id == calls.llm_call_ids[2]
    assert "call-7" not in link.llm_call_id
    assert 3 not in calls.llm_call_ids
    assert (link.agent_model, link.prompt_version, link.primary_intent) == ("some-model", "p3", "bug fix")


def test_a_thumb_on_an_unknown_session_is_kept():
    thumb = row_values(FeedbackRecord, session_id="gone", feedback_id="f_2", rating=1)
    (link,) = feedback_links(DAY, [thumb], {}, {})
    assert (link.session_id, link.agent_version, link.primary_intent) == ("gone", None, None)
