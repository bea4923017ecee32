"""The types of delight: each with cases of what it is and what it is not."""

import pytest

from signals_assets.core.detectors import Detected, detect
from signals_assets.core.sessions import Session, Step
from signals_assets_tests.core.detectors.script import agent, call, edit, event, result, session, user

ASK = user("please write a parser for the export")


def found(told: Session, name: str) -> list[Detected]:
    return [item for item in detect(told) if item.type == name and item.confidence >= 0.5]


def types(told: Session) -> list[str]:
    return [item.type for item in detect(told) if item.confidence >= 0.5]


def after_work(words: str) -> Session:
    return session(ASK, edit("a"), agent(), user(words))


def work(first: int = 0, count: int = 5) -> tuple[Step, ...]:
    return tuple(step for number in range(first, first + count) for step in edit(f"w{number}", f"f{number}.py"))


# --- positive_exclamation


@pytest.mark.parametrize(
    "words",
    [
        "wow, this is amazing work!",
        "oh wow. now the second page",
        "yes, well done. add the totals too",
        "I love it, can you also sort the parcels?",
        "it worked! next, the labels",
        "that page is beautiful, great job",
    ],
)
def test_praise_beyond_politeness_is_an_exclamation_whatever_follows(words):
    (praise,) = found(after_work(words), "positive_exclamation")
    assert (praise.kind, praise.steps, praise.severity) == ("delight", (4,), None)


@pytest.mark.parametrize(
    "words",
    [
        "thanks",
        "ok great, next one",
        "the amazing part is that it is still not working!",
        "wow, but the totals are gone",
        "wow no, that is the wrong branch",
        "sort the parcels so that the best one is first",
    ],
)
def test_politeness_irony_and_praise_with_a_but_are_none(words):
    assert found(after_work(words), "positive_exclamation") == []


def test_praise_before_the_agent_did_anything_is_none():
    assert types(session(user("wow, this is amazing work!"), agent())) == []


@pytest.mark.parametrize(
    "words",
    [
        "the summary you wrote on top is a nice touch for our readers",
        "this table of contents is lovely",
        "our auditors find the footnotes very helpful",
    ],
)
def test_a_remark_with_a_pleasant_word_is_material_only(words):
    (remark,) = [item for item in detect(after_work(words)) if item.terms == ("remark",)]
    assert (remark.kind, remark.type) == ("delight", "positive_exclamation")
    assert remark.confidence < 0.5


# --- first_attempt_success


@pytest.mark.parametrize(
    "words",
    [
        "perfect, that works. now the next file",
        "that covers everything",
        "all good, let us go on with the labels",
        "it works like a charm",
        "great, that is exactly the table we need",
    ],
)
def test_acceptance_of_a_demanding_piece_of_work_is_success_at_the_first_attempt(words):
    told = session(ASK, work(), agent("The parser is ready."), user(words))
    assert [item.steps for item in found(told, "first_attempt_success")] == [(12,)]


@pytest.mark.parametrize(
    "words",
    [
        "ok",
        "now the next file",
        "thank you, sort the parcels next",
        "does that cover everything?",
        "looks good, but the footer is missing",
        "that works on the old branch only",
        "looks good except for the colours",
    ],
)
def test_going_on_asking_and_reserves_are_no_acceptance(words):
    assert found(session(ASK, work(), agent(), user(words)), "first_attempt_success") == []


def test_work_is_demanding_from_five_calls_on_and_adds_up_over_calm_turns():
    accepts = user("perfect, that works")
    assert found(session(ASK, work(count=4), agent(), accepts), "first_attempt_success") == []
    in_two = session(ASK, work(0, 2), agent(), user("add the totals"), work(2, 3), agent(), accepts)
    assert len(found(in_two, "first_attempt_success")) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        (user("the header is still wrong, it does not show"),),
        (user("undo that"),),
        (call("Bash", "x", command="make"), result("Bash", "x", "", "rejected")),
        (event("interrupt"), user("sort by weight")),
    ],
    ids=["a correction", "taking back", "a rejection", "an interruption"],
)
def test_after_trouble_it_was_not_the_first_attempt(trouble):
    told = session(ASK, work(0), agent(), trouble, work(10), agent(), user("perfect, that works"))
    assert found(told, "first_attempt_success") == []


def test_what_was_accepted_once_does_not_count_for_the_next_request():
    accepts = user("perfect, that works")
    told = session(ASK, work(0), agent(), accepts, work(10, 1), agent(), accepts, work(20), agent(), accepts)
    assert [item.steps for item in found(told, "first_attempt_success")] == [(12,), (28,)]


def test_an_acceptance_after_a_correction_closes_the_trouble():
    accepts, wrong = user("perfect, that works"), user("the header is still wrong, it does not show")
    told = session(ASK, work(0), agent(), wrong, work(10), agent(), accepts, work(20), agent(), accepts)
    assert [item.steps for item in found(told, "first_attempt_success")] == [(36,)]


# --- time_saved, rapid_approval, learning_moment


def test_saying_that_time_was_saved_is_time_saved():
    assert "time_saved" in types(session(ASK, agent(), user("thanks, that saved me hours of typing")))
    assert "time_saved" not in types(session(ASK, agent(), user("the new query is much faster")))


def test_a_quick_warm_yes_is_rapid_approval_and_a_bare_yes_is_not():
    plan = agent("I would split the file in two and keep the names. Shall I go ahead?")
    assert "rapid_approval" in types(session(ASK, plan, user("yes, that sounds perfect!")))
    assert "rapid_approval" not in types(session(ASK, plan, user("yes")))


def test_valuing_an_explanation_is_a_learning_moment():
    lecture = agent("The lock is taken twice because the two threads share one queue. " * 20)
    assert "learning_moment" in types(session(ASK, lecture, user("ah, I see, thanks for explaining")))
    assert "learning_moment" not in types(session(ASK, lecture, user("ok, next")))
