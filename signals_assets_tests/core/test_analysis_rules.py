import re

import pytest

from signals_assets.core import analysis_rules
from signals_assets.core.analysis import (
    AnalysisRequest,
)
from signals_assets.core.analysis_rules import CITATIONS, AnswerChunk, answer_chunk, rules_answer
from signals_assets.core.barrier import lexicon, rules
from signals_assets.core.detectors import DETECTORS
from signals_assets.core.detectors.facets import INTENTS
from signals_assets.core.taxonomy import seed
from signals_assets.core.text import wordset
from signals_assets_tests.core.detectors.script import agent, call, edit, result, session, shell, user

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
    lines = [*CITATIONS.values(), *analysis_rules._OUTCOMES.values(), *(name for name, _ in INTENTS)]
    used = {word for line in lines for word in re.findall(r"[a-z]+", line.lower())}
    assert used <= lexicon.load()
    assert all(len(name.split()) <= 6 for name, _ in INTENTS)


def test_a_session_that_breaks_the_rules_is_failed_and_the_rest_goes_on(monkeypatch):
    broken, fine = session(user("hi")), session(user("hello"))
    real = analysis_rules.rules_answer

    def stumble(found, *, vocabulary):
        if found == broken:
            raise ValueError
        return real(found, vocabulary=vocabulary)

    monkeypatch.setattr(analysis_rules, "rules_answer", stumble)
    asked = tuple(AnalysisRequest.about(f"q{n}", f"s{n}", found, "p", seed()) for n, found in enumerate((broken, fine)))
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
