import json
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals_assets.core.analysis import Answer, AnswerEvent
from signals_assets.core.answering import LONGEST, MOST_STEPS, Reading, merged, read_answer, read_revision
from signals_assets.core.barrier import LIMITS
from signals_assets.core.taxonomy import Taxonomy, seed

RESPONSES, CHAT = "/v1/responses", "/v1/chat/completions"
BOTH = pytest.mark.parametrize("endpoint", [RESPONSES, CHAT])
STEPS = range(20)

EVENT = {"steps": [3, 4], "type": "error_event", "severity": "low", "citation": "The agent failed.", "confidence": 0.9}
DELIGHT = {"steps": [9], "type": "time_saved", "citation": "The user saved time.", "confidence": 0.8}
REPORT = {
    "friction": [EVENT],
    "delight": [DELIGHT],
    "unmet_needs": ["a reminder at a later time"],
    "primary_intent": "bug fix",
    "programming_languages": ["Python"],
    "frameworks": [],
    "tool_call_confirmations": 2,
    "specification_drift": False,
    "outcome": "partial",
    "summary": "The user came for a fix. The session ended with a part of it open.",
}


def response(text=None, endpoint=RESPONSES, refusal=None, early=None, **over):
    """The body of a response that says `text` (a report as JSON where none is given)."""
    text = json.dumps(REPORT) if text is None else text
    if endpoint == CHAT:
        message = {"role": "assistant", "content": text or None, "refusal": refusal}
        finish = {"max_output_tokens": "length", None: "stop"}.get(early, early)
        usage = {
            "prompt_tokens": 1200,
            "completion_tokens": 300,
            "prompt_tokens_details": {"cached_tokens": 1024},
            "completion_tokens_details": {"reasoning_tokens": 100},
        }
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return {"object": "chat.completion", "model": "house-1", "choices": [choice], "usage": usage} | over
    content = [{"type": "output_text", "text": text, "annotations": []}] if text else []
    content += [{"type": "refusal", "refusal": refusal}] if refusal else []
    return {
        "object": "response",
        "model": "gpt-5.2-2025-12-11",
        "status": "incomplete" if early else "completed",
        "incomplete_details": {"reason": early} if early else None,
        "error": None,
        "output": [{"type": "reasoning", "summary": []}, {"type": "message", "content": content}],
        "usage": {
            "input_tokens": 1200,
            "input_tokens_details": {"cached_tokens": 1024},
            "output_tokens": 300,
            "output_tokens_details": {"reasoning_tokens": 100},
        },
    } | over


def read(body, endpoint=RESPONSES, steps=STEPS, taxonomy=None):
    return read_answer(body, endpoint=endpoint, steps=steps, taxonomy=taxonomy or seed())


def reported(**over):
    return read(response(json.dumps(REPORT | over)))


def event(**over):
    """The friction of a report with one event that differs from a good one."""
    reading = reported(friction=[EVENT | over])
    return reading.answer.friction, reading.notes


# --- states


@BOTH
def test_a_report_is_read_whole_with_tokens_and_model(endpoint):
    reading = read(response(endpoint=endpoint), endpoint)
    expected = REPORT | {"delight": [DELIGHT | {"severity": None}]}
    assert reading.answer.model_dump() == expected
    assert (reading.state, reading.reason, reading.notes) == ("answered", None, {})
    assert (reading.input_tokens, reading.cached_tokens) == (1200, 1024)
    assert (reading.output_tokens, reading.reasoning_tokens) == (300, 100)
    assert reading.model == {RESPONSES: "gpt-5.2-2025-12-11", CHAT: "house-1"}[endpoint]


@BOTH
@pytest.mark.parametrize(
    ("said", "state", "reason"),
    [
        ({"text": "", "refusal": "I cannot help with that"}, "refused", "refusal"),
        ({"text": "I cannot", "refusal": "I cannot"}, "refused", "refusal"),
        ({"text": '{"friction": [{"st', "early": "max_output_tokens"}, "incomplete", "max_output_tokens"),
        ({"text": "", "early": "max_output_tokens"}, "incomplete", "max_output_tokens"),
        ({"text": '{"friction": [', "early": "content_filter"}, "filtered", "content_filter"),
        ({"text": ""}, "invalid", "no_output"),
        ({"text": '{"friction": ['}, "invalid", "not_json"),
        ({"text": "Sorry, no."}, "invalid", "not_json"),
        ({"text": "[1, 2]"}, "invalid", "not_an_object"),
        ({"text": '{"summary": "The user left."}'}, "invalid", "keys_missing"),
        ({"text": json.dumps(REPORT | {"friction": "none"})}, "invalid", "events_unreadable"),
        ({"error": {"code": "server_error", "message": "secret words"}}, "invalid", "server_error"),
        ({"error": {"code": "Secret words!", "message": "secret"}}, "invalid", "error"),
    ],
)
def test_what_is_no_report_has_a_state_and_a_code(endpoint, said, state, reason):
    reading = read(response(endpoint=endpoint, **said), endpoint)
    assert (reading.state, reading.reason, reading.answer) == (state, reason, None)
    assert reading.output_tokens == 300  # paid for all the same


@pytest.mark.parametrize(("status", "reason"), [("failed", "status_failed"), (7, "status_unknown")])
def test_a_response_that_did_not_complete_is_invalid(status, reason):
    assert read(response(status=status)).reason == reason


@BOTH
def test_a_report_that_is_whole_counts_although_it_reached_the_limit(endpoint):
    assert read(response(endpoint=endpoint, early="max_output_tokens"), endpoint).state == "answered"


@BOTH
def test_a_filtered_report_does_not_count_even_when_it_looks_whole(endpoint):
    assert read(response(endpoint=endpoint, early="content_filter"), endpoint).state == "filtered"


@pytest.mark.parametrize(
    "text",
    [
        "```json\n{}\n```",
        "Here is the report you asked for:\n\n{}",
        "<think>maybe {{1}} or {{2}}</think>\n{}",
        "{}\nI hope this helps.",
    ],
)
def test_servers_that_do_not_enforce_a_schema_may_wrap_the_report(text):
    wrapped = text.replace("{{", "{").replace("}}", "}").replace("{}", json.dumps(REPORT))
    assert read(response(wrapped, CHAT), CHAT).answer == read(response()).answer
    assert read(response(wrapped)).reason == "not_json"


def test_an_event_within_a_truncated_report_is_not_taken_for_one():
    cut = json.dumps({"friction": [EVENT], "delight": []})[:-1]
    assert read(response("```\n" + cut, CHAT), CHAT).state == "invalid"


def test_content_may_come_in_parts():
    text = json.dumps(REPORT)
    content = [{"type": "text", "text": text[:50]}, {"type": "text", "text": text[50:]}]
    body = {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}
    assert read(body, CHAT).state == "answered"


# --- what is validated


def test_only_steps_that_were_shown_are_kept_and_an_event_without_any_is_dropped_and_counted():
    reading = read(
        response(json.dumps(REPORT | {"friction": [EVENT | {"steps": [4, 3, 4, 99, -1]}, EVENT | {"steps": [7]}]})),
        steps={3, 4, 9},
    )
    assert [found.steps for found in reading.answer.friction] == [[3, 4]]
    assert reading.notes == {"events_without_steps": 1, "steps_unknown": 3}


@pytest.mark.parametrize(
    ("steps", "kept"),
    [([3.0, "[4]", " 5 "], [3, 4, 5]), ([True, None, "x", [3], 3.5], None), ("34", None), (None, None)],
)
def test_steps_are_whole_numbers_however_they_are_written(steps, kept):
    found, notes = event(steps=steps)
    assert [one.steps for one in found] == ([kept] if kept else [])
    assert kept or notes["events_without_steps"] == 1


def test_more_steps_than_are_stored_are_cut_and_counted():
    reading = read(response(json.dumps(REPORT | {"friction": [EVENT | {"steps": list(range(80))}]})), steps=range(80))
    assert reading.answer.friction[0].steps == list(range(MOST_STEPS))
    assert reading.notes == {"steps_over_limit": 80 - MOST_STEPS}


def test_a_type_that_the_taxonomy_does_not_have_is_other_friction_and_no_delight():
    found, notes = event(type="slow_weather")
    assert (found[0].type, notes) == ("other", {"types_unknown": 1})
    reading = reported(delight=[DELIGHT | {"type": "slow_weather"}, DELIGHT | {"type": "error_event"}])
    assert (reading.answer.delight, reading.notes) == ([], {"events_of_unknown_type": 2})


def test_a_type_that_was_merged_goes_on_as_the_other():
    old = seed().get("friction", "correction")
    types = tuple(item for item in seed().types if item is not old)
    gone = type(old)("friction", "correction", "C", "D.", retired=True, merged_into="escalation_tone")
    reading = read(
        response(json.dumps(REPORT | {"friction": [EVENT | {"type": "Correction"}]})),
        taxonomy=Taxonomy(2, (*types, gone)),
    )
    assert [found.type for found in reading.answer.friction] == ["escalation_tone"]


def test_severity_and_confidence_are_bounded():
    found, notes = event(severity="severe", confidence=7)
    assert (found[0].severity, found[0].confidence) == (None, 1.0)
    assert notes == {"severities_unknown": 1, "confidences_out_of_bounds": 1}
    found, notes = event(confidence="very")
    assert (found[0].confidence, notes) == (0.5, {"confidences_unreadable": 1})
    assert reported(delight=[DELIGHT | {"severity": "high"}]).answer.delight[0].severity is None


def test_facets_are_bounded_and_what_is_unknown_is_unclear():
    reading = reported(
        outcome="great",
        tool_call_confirmations=-3,
        specification_drift="yes",
        frameworks=["a", "a", 5, ""] + ["b"] * 30,
    )
    answer = reading.answer
    assert (answer.outcome, answer.tool_call_confirmations, answer.specification_drift) == ("unclear", 0, False)
    assert answer.frameworks == ["a", "b"]
    assert reading.notes == {"outcomes_unknown": 1}


def test_texts_are_cut_to_what_is_stored_on_one_line_and_storable():
    reading = reported(summary="a\x00b\n\ud800c " + "x" * 5000, unmet_needs=[f"need {n}" for n in range(30)])
    assert reading.state == "answered"
    assert reading.answer.summary.startswith("a b c x")
    assert len(reading.answer.summary) == LONGEST["summary"]
    assert len(reading.answer.unmet_needs) == 20
    assert reading.notes == {"needs_over_limit": 10, "texts_cut": 1}


def test_keys_that_are_missing_or_unknown_are_counted():
    report = {key: REPORT[key] for key in ("summary", "outcome", "friction", "delight")} | {"mood": 1}
    reading = read(response(json.dumps(report)))
    assert reading.state == "answered"
    assert reading.notes == {"keys_missing": 6, "keys_unknown": 1}


def test_tokens_that_make_no_sense_are_none():
    odd = {"input_tokens": -5, "output_tokens": "many", "input_tokens_details": 3, "output_tokens_details": None}
    reading = read(response(usage=odd, model="a model\nwith a story"))
    assert (reading.input_tokens, reading.cached_tokens, reading.output_tokens, reading.reasoning_tokens) == (
        0,
        0,
        0,
        0,
    )
    assert reading.model == "unknown"


# --- anything at all

PATIENT = settings(deadline=None)
INNER = [
    *("code", "reason", "text", "texts", "message", "content", "refusal", "finish_reason"),
    *("input_tokens_details", "cached_tokens"),
]
NAMES = st.sampled_from([*REPORT, *EVENT, *response(), *response(endpoint=CHAT), *INNER])
WORDS = st.sampled_from(
    ["message", "output_text", "refusal", "completed", "incomplete", "length", "error_event", "low", "other"]
)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=8) | WORDS
    | st.text(st.characters(categories=["Cs", "Cc"]), max_size=3)
)  # fmt: skip
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6))


def well_formed(reading):
    assert isinstance(reading, Reading)
    assert (reading.answer is not None) == (reading.state == "answered") == (reading.reason is None)
    assert 0 <= reading.cached_tokens <= reading.input_tokens
    assert 0 <= reading.reasoning_tokens <= reading.output_tokens
    assert all(isinstance(count, int) and count > 0 for count in reading.notes.values())
    if reading.answer is not None:
        stored = reading.answer.model_dump_json()
        assert Answer.model_validate_json(stored) == reading.answer
        for found in (*reading.answer.friction, *reading.answer.delight):
            assert found.steps
            assert set(found.steps) <= set(STEPS)
        assert {found.type for found in reading.answer.friction} <= set(seed().slugs("friction"))
        assert {found.type for found in reading.answer.delight} <= set(seed().slugs("delight"))


@BOTH
@PATIENT
@given(body=JSON)
def test_any_body_is_read_without_an_error(endpoint, body):
    well_formed(read(body, endpoint))
    read_revision(body, endpoint=endpoint, count=2)


@BOTH
@PATIENT
@given(where=st.sampled_from([*response(), *response(endpoint=CHAT)]), part=JSON)
def test_any_part_of_a_body_may_be_anything(endpoint, where, part):
    well_formed(read(response(endpoint=endpoint) | {where: part}, endpoint))


@BOTH
@PATIENT
@given(text=st.text() | JSON.map(lambda value: json.dumps(value, default=str)))
def test_any_text_is_read_without_an_error(endpoint, text):
    well_formed(read(response(text, endpoint), endpoint))


@BOTH
@PATIENT
@given(where=st.sampled_from(list(REPORT)), part=JSON)
def test_any_part_of_a_report_may_be_anything(endpoint, where, part):
    well_formed(read(response(json.dumps(REPORT | {where: part}), endpoint), endpoint))


@BOTH
@PATIENT
@given(where=st.sampled_from(list(EVENT)), part=JSON)
def test_any_part_of_an_event_may_be_anything(endpoint, where, part):
    reading = read(response(json.dumps(REPORT | {"friction": [EVENT | {where: part}, part]}), endpoint), endpoint)
    well_formed(reading)


@PATIENT
@given(cut=st.integers(0, len(orjson.dumps(REPORT)) - 1))
def test_a_report_that_breaks_off_anywhere_is_no_report(cut):
    text = orjson.dumps(REPORT).decode()[:cut]
    for endpoint in (RESPONSES, CHAT):
        assert read(response(text, endpoint), endpoint).state == "invalid"


def test_depth_and_size_do_no_harm():
    for text in ("[" * 100_000, "{" * 100_000, '{"a":' * 50_000, "<think>" * 50_000, "9" * 100_000):
        for endpoint in (RESPONSES, CHAT):
            assert read(response(text, endpoint), endpoint).state == "invalid"


# --- revisions


@BOTH
def test_revised_texts_come_in_their_order_and_in_their_number(endpoint):
    body = response(json.dumps({"texts": ["The user left.", "", "a\nb"]}), endpoint)
    assert read_revision(body, endpoint=endpoint, count=3) == ["The user left.", "", "a b"]
    assert read_revision(body, endpoint=endpoint, count=2) is None


@BOTH
@pytest.mark.parametrize("text", ["", "no", "[]", '{"texts": "a"}', '{"texts": [1]}', "{}"])
def test_what_is_no_revision_is_none(endpoint, text):
    assert read_revision(response(text, endpoint), endpoint=endpoint, count=1) is None


@BOTH
def test_a_revision_that_was_cut_off_or_filtered_is_none(endpoint):
    for early in ("max_output_tokens", "content_filter"):
        body = response('{"texts": ["a"]}', endpoint, early=early)
        assert read_revision(body, endpoint=endpoint, count=1) is None


# --- merging


def part(number, parts=2):
    return SimpleNamespace(number=number, parts=parts)


def moment(*steps, of="error_event", severity="low", confidence=0.5, citation="The agent failed."):
    return AnswerEvent(type=of, severity=severity, steps=list(steps), citation=citation, confidence=confidence)


def test_one_answer_stays_as_it_is():
    answer = Answer(summary="The user left. The session ended.", friction=[moment(5), moment(1)])
    assert merged([answer]) is answer


def test_nothing_cannot_be_merged():
    with pytest.raises(ValueError, match="at least one part"):
        merged([])


def test_facets_of_parts_are_merged_by_their_meaning_whatever_order_they_come_in():
    first = Answer(
        summary="The user asked for a form. The agent began. The part ended early.", primary_intent="",
        outcome="partial", programming_languages=["Python"], tool_call_confirmations=2, specification_drift=True,
        unmet_needs=["a reminder"],
    )  # fmt: skip
    last = Answer(
        summary="The user went on. The session ended with success.", primary_intent="new feature",
        outcome="success", programming_languages=["python", "SQL"], tool_call_confirmations=3,
        unmet_needs=["A reminder", "a picture"],
    )  # fmt: skip
    whole = merged([first, last])
    assert whole.summary == "The user asked for a form. The session ended with success."
    assert (whole.primary_intent, whole.outcome) == ("new feature", "success")
    assert (whole.programming_languages, whole.unmet_needs) == (["Python", "SQL"], ["a reminder", "a picture"])
    assert (whole.tool_call_confirmations, whole.specification_drift) == (5, True)


def test_the_outcome_is_the_last_that_is_clear():
    answers = [Answer(outcome=outcome) for outcome in ("success", "abandoned", "unclear")]
    assert merged(answers).outcome == "abandoned"
    assert merged([Answer(), Answer()]).outcome == "unclear"


def test_a_merged_summary_fits_the_barriers_limit_or_is_the_last_parts():
    long = "The user asked for " + "many things and " * 20 + "more."
    whole = merged([Answer(summary=long), Answer(summary=f"The user went on. {long}")])
    assert whole.summary == f"The user went on. {long}" or len(whole.summary) <= LIMITS["summary"]
    same = Answer(summary="The session ended.")
    assert merged([same, same]).summary == "The session ended."


def test_events_of_parts_are_united_and_those_that_overlap_are_one():
    first = Answer(
        friction=[moment(8, 9, confidence=0.6, citation="first"), moment(2)], delight=[moment(3, of="time_saved")]
    )
    last = Answer(friction=[moment(9, 10, severity="high", confidence=0.9, citation="surer"), moment(9, of="other")])
    whole = merged([first, last])
    assert [(found.type, found.steps) for found in whole.friction] == [
        ("error_event", [2]), ("error_event", [8, 9, 10]), ("other", [9]),
    ]  # fmt: skip
    joined = whole.friction[1]
    assert (joined.severity, joined.confidence, joined.citation) == ("high", 0.9, "surer")
    assert whole.delight == first.delight


def test_two_moments_of_one_part_are_never_made_one():
    answer = Answer(friction=[moment(4, 5), moment(5, 6)])
    assert len(merged([answer, Answer()]).friction) == 2


@PATIENT
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(["error_event", "other"]), st.sets(st.integers(0, 9), min_size=1))),
        max_size=4,
    )
)
def test_merging_loses_no_step_of_a_type_and_invents_none(parts):
    answers = [Answer(friction=[moment(*sorted(steps), of=of) for of, steps in events]) for events in parts]
    expected = {(of, step) for events in parts for of, steps in events for step in steps}
    found = merged(answers).friction if answers else []
    assert {(one.type, step) for one in found for step in one.steps} == expected
