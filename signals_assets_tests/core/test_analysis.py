import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals_assets.core import analysis
from signals_assets.core.analysis import (
    CITATIONS,
    AnalysisAnswer,
    AnalysisRequest,
    Answer,
    AnswerChunk,
    analysis_rows,
    answer_chunk,
    batch_rows,
    request_id,
    requests,
    rules_answer,
    select,
)
from signals_assets.core.barrier import lexicon, rules
from signals_assets.core.detectors import DETECTORS
from signals_assets.core.detectors.facets import INTENTS
from signals_assets.core.sessions import to_json
from signals_assets.core.text import wordset
from signals_assets_tests.core.detectors.script import agent, call, edit, result, session, shell, user
from signals_assets_tests.factories import DAY

WORDS = wordset("invoice header footer export order number parser report ticket totals")
SHAPE = re.compile(r"(?:The|A) (?:user|agent|session|assistant|tool|request)\b[A-Za-z ,.;:()'%-]*")

TROUBLED = session(
    user("show the order number in the invoice header"),
    shell("a", "make", "make: *** boom", "error"),
    edit("b"),
    agent("The footer is ready."),
    user("the invoice header still does not show Zaphod's number, that is wrong"),
    edit("c"),
    agent("I don't have a tool to attach documents directly."),
    user("wow, amazing! the report is exactly what I wanted"),
    call("Bash", "d", command="rm"),
    result("Bash", "d", "", "rejected", "no, I did not ask for that!"),
)


def metric(number, steps=40, characters=36_000, **over):
    values = {"session_id": f"s{number}", "user_id": None, "known_on": DAY, "agentic_steps": steps, "steps": steps}
    return values | {"characters": characters} | over


def detection(number, name, severity="low", confidence=0.9):
    return {"session_id": f"s{number}", "type": name, "severity": severity, "confidence": confidence}


def choose(metrics, detections=(), **over):
    return select(metrics, detections, **({"min_steps": 30, "daily_token_budget": 10**9, "seed": 0, "day": DAY} | over))


# --- selection


def test_under_the_budget_every_eligible_session_is_taken_with_weight_one():
    chosen = choose([metric(1), metric(2, steps=3)])
    assert [(item.selected, item.reason, item.inclusion_weight) for item in chosen] == [
        (True, "selected", 1.0),
        (False, "too_short", 0.0),
    ]


def test_over_the_budget_failing_and_rare_sessions_are_kept_and_weights_add_up():
    metrics = [metric(n) for n in range(200)]
    events = [detection(n, "error_event") for n in range(0, 200, 2)]
    events += [detection(4, "correction", "high"), detection(5, "time_saved", None)]
    budget = 60 * analysis.estimated_tokens(metrics[0])
    chosen = choose(metrics, events, daily_token_budget=budget)
    taken = [item for item in chosen if item.selected]
    assert {"s4", "s5"} <= {item.session_id for item in taken}
    assert sum(item.estimated_tokens for item in taken) <= budget
    assert sum(item.inclusion_weight for item in taken) == pytest.approx(200)
    assert {item.reason for item in chosen if not item.selected} == {"over_budget"}


def test_the_sample_depends_on_the_seed_and_on_nothing_else():
    metrics = [metric(n) for n in range(100)]
    over = {"daily_token_budget": 20 * analysis.estimated_tokens(metrics[0])}
    names = [{item.session_id for item in choose(metrics, seed=seed, **over) if item.selected} for seed in (1, 1, 2)]
    assert names[0] == names[1] != names[2]
    assert {item.session_id for item in choose(metrics[::-1], seed=1, **over) if item.selected} == names[0]


def test_without_a_budget_nobody_is_asked():
    assert not any(item.selected for item in choose([metric(1)], daily_token_budget=0))


@given(st.lists(st.integers(0, 400_000), max_size=40), st.integers(0, 500_000), st.integers(0, 3))
def test_weights_of_the_drawn_stand_for_all_eligible(sizes, budget, seed):
    metrics = [metric(n, characters=size) for n, size in enumerate(sizes)]
    events = [detection(n, "error_event") for n in range(0, len(sizes), 3)]
    chosen = choose(metrics, events, daily_token_budget=budget, seed=seed)
    strata = Counter(item.stratum for item in chosen if item.eligible)
    for name, size in strata.items():
        drawn = [item for item in chosen if item.stratum == name and item.selected]
        assert not drawn or sum(item.inclusion_weight for item in drawn) == pytest.approx(size, abs=1e-3)


# --- rows


def test_rows_of_batches_and_analyses_keep_every_session_and_every_state():
    metrics = [metric(1), metric(2), metric(3, steps=1)]
    chosen = choose(metrics)
    raw = [{"session_id": f"s{n}", "session": to_json(TROUBLED).decode()} for n in (1, 2, 3)]
    asked = list(requests(raw, chosen, day=DAY, prompt="p", taxonomy_version=1, types=("error_event",)))
    assert [item.session_key for item in asked] == ["s1", "s2"]
    batches = {item.request_id: "b_1" for item in asked}
    rows = batch_rows(metrics, chosen, day=DAY, analyst="rules", prompt="p", taxonomy_version=1, batch_of=batches)
    assert [(row.selected, row.batch_id) for row in rows] == [(True, "b_1"), (True, "b_1"), (False, None)]
    first = AnalysisAnswer(asked[0].request_id, "s1", "answered", Answer(summary="x"), "rules-1")
    analysed, coverage = analysis_rows((row.model_dump() for row in rows), [first, first], taxonomy_version=1)
    assert [(row.session_id, row.state) for row in analysed] == [("s1", "answered"), ("s2", "expired")]
    assert (coverage.asked, coverage.answered, coverage.failed) == (2, 1, 1)


def test_a_request_id_is_opaque_and_stable():
    one = request_id(DAY, "s_1", "p", 1)
    assert one == request_id(DAY, "s_1", "p", 1) != request_id(DAY, "s_1", "p", 2)
    assert "s_1" not in one


# --- the rules


def texts(answer):
    return [answer.summary, *answer.unmet_needs, *(event.citation for event in answer.friction + answer.delight)]


def test_every_text_of_the_rules_has_the_shape_that_the_barrier_asks_for():
    answer = rules_answer(TROUBLED, vocabulary=WORDS)
    for text in texts(answer):
        assert SHAPE.fullmatch(text), text
        assert " you" not in text.lower()
        assert not re.search(r"\d", text)
    assert len(answer.summary) <= 400
    assert all(len(text) <= 240 for text in texts(answer)[1:])


def test_the_rules_find_the_events_of_a_session_and_name_topics_of_general_language_only():
    answer = rules_answer(TROUBLED, vocabulary=WORDS)
    found = {event.type: event for event in answer.friction + answer.delight}
    assert {"error_event", "correction", "other", "positive_exclamation", "abandoned_tool_flow"} <= set(found)
    reported = [event.citation for event in answer.friction if event.type == "correction"]
    assert any(citation.endswith("about header, invoice and number.") for citation in reported)
    assert not any("zaphod" in text.lower() for text in texts(answer))


def test_an_empty_vocabulary_names_no_topic():
    assert not any(" about " in text for text in texts(rules_answer(TROUBLED, vocabulary=frozenset()))[1:])


def test_an_unmet_need_is_a_capability_that_the_agent_lacks():
    asked = session(user("attach the report to the ticket"), agent("I don't have a tool to attach documents."))
    (need,) = rules_answer(asked, vocabulary=WORDS).unmet_needs
    assert need == "The user asked for something that the agent has no means to do about report and ticket."


def test_a_remark_names_its_nouns_and_what_is_new_in_it():
    asked = session(
        user("write the invoice export with a header"),
        edit("a"),
        agent("The export is ready."),
        user(
            "the export prints the ledger of the branch under the header of the invoice in our warehouse by the printer"
        ),
    )
    words = wordset("invoice export header ledger branch warehouse printer")
    (event,) = [event for event in rules_answer(asked, vocabulary=words).friction if event.type == "other"]
    assert event.confidence < 0.5
    assert event.citation == (
        "The user remarked on the work about branch, header, invoice, ledger, printer and warehouse."
    )


def test_a_pleasant_remark_names_what_is_liked_and_not_that_it_is():
    liked = session(user("write the export"), edit("a"), agent("Ready."), user("the lovely footer is a nice touch"))
    (event,) = rules_answer(liked, vocabulary=wordset("lovely footer nice touch export")).delight
    assert event.citation == "The user liked the work about footer and touch."


def test_there_is_a_template_for_every_type_and_each_uses_general_words():
    assert {name for name in CITATIONS if "." not in name} == {detector.type for detector in DETECTORS}
    lines = [*CITATIONS.values(), *analysis._OUTCOMES.values(), *(name for name, _ in INTENTS)]
    used = {word for line in lines for word in re.findall(r"[a-z]+", line.lower())}
    assert used <= lexicon.load()
    assert all(len(name.split()) <= 6 for name, _ in INTENTS)


def test_a_session_that_breaks_the_rules_is_failed_and_the_rest_goes_on(monkeypatch):
    broken, fine = session(user("hi")), session(user("hello"))
    real = analysis.rules_answer

    def stumble(found, *, vocabulary):
        if found is broken:
            raise ValueError
        return real(found, vocabulary=vocabulary)

    monkeypatch.setattr(analysis, "rules_answer", stumble)
    asked = tuple(AnalysisRequest(f"q{n}", f"s{n}", found, "p", 1) for n, found in enumerate((broken, fine)))
    assert [answer.state for answer in answer_chunk(AnswerChunk(asked, frozenset))] == ["failed", "answered"]


@pytest.mark.data
def test_texts_about_real_sessions_have_the_shape_too(data_dir):
    import gzip

    from signals_assets.core.sessions import from_json

    with gzip.open(data_dir / "coding_sessions.jsonl.gz") as lines:
        for _, line in zip(range(12), lines, strict=False):
            for text in texts(rules_answer(from_json(line), vocabulary=lexicon.load())):
                assert SHAPE.fullmatch(text)
                assert rules.first_failure(text, limit=400) is None
