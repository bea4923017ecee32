from signals_assets.core.abstractions import answer_texts
from signals_assets.core.analysis import Answer, AnswerEvent
from signals_assets.core.revision import ReviewChunk, review_chunk, with_texts
from signals_assets.core.sessions import to_json
from signals_assets_tests.core.detectors.script import agent, session, user

SESSION = session(user("please move the invoice header above the footer line of zorblatt"), agent("Done."))
HONEST = "The user asked the agent for a change and was content."
QUOTING = "The user asked to move the invoice header of zorblatt."


def answer(summary=HONEST, citations=(), needs=()):
    return Answer(
        summary=summary,
        primary_intent="bug fix",
        friction=[AnswerEvent(type="correction", severity="low", steps=[0], citation=text) for text in citations],
        delight=[AnswerEvent(type="time_saved", steps=[1], citation=HONEST)],
        unmet_needs=list(needs),
    )


def review(*answers, audience="company"):
    return review_chunk(ReviewChunk(tuple((to_json(SESSION), one) for one in answers), audience))


def test_an_honest_answer_has_nothing_to_word_anew():
    assert review(answer(), answer(needs=["send a file by mail"])) == [(), ()]


def test_refused_texts_are_numbered_and_name_their_rule():
    [found] = review(answer(summary=QUOTING, citations=[HONEST, "See https://example.org for it."]))
    assert [number for number, _ in found] == [0, 3]
    assert all(rule[0] == "R" and rule[1:].isdigit() for _, rule in found)


def test_a_single_common_word_of_the_session_is_no_reason_and_a_run_of_its_words_is():
    assert review(answer(summary="The user asked for a change of the invoice.")) == [()]
    [found] = review(answer(summary="The user wanted the invoice header above the footer line."))
    assert [number for number, _ in found] == [0]


def test_texts_go_back_where_they_were_and_an_empty_one_changes_nothing():
    before = answer(QUOTING, ["The agent failed.", "The agent erred."], ["send a file"])
    texts = answer_texts(before)
    after = with_texts(before, {0: "The user asked.", 3: "The agent was wrong.", 5: "reach a person", 2: ""})
    assert answer_texts(after) == [
        "The user asked.", texts[1], texts[2], "The agent was wrong.", texts[4], "reach a person",
    ]  # fmt: skip
    assert [event.steps for event in after.friction] == [[0], [0]]
    assert answer_texts(before) == texts
