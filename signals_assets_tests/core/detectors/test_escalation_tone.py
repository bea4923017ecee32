import pytest

from signals_assets.core.detectors import Detected, detect
from signals_assets.core.sessions import Session
from signals_assets_tests.core.detectors.script import agent, call, edit, result, session, user

ASK = user("please write a parser for the export")
NO = agent("Unfortunately I am unable to do that, it is not supported.")


def found(told: Session) -> list[Detected]:
    return [item for item in detect(told) if item.type == "escalation_tone" and item.confidence >= 0.5]


def steps(told: Session) -> list[tuple[int, ...]]:
    return [item.steps for item in found(told)]


def after_work(words: str) -> Session:
    return session(ASK, edit("a"), agent(), user(words))


@pytest.mark.parametrize(
    "words",
    [
        "NO! I told you NOT to touch the header!!",
        "seriously? you just keep breaking the same thing",
        "This is really frustrating, the totals are still wrong. Let me speak to a manager.",
        "what the hell are you doing?!",
        "that is already the fourth time the totals are off",
        "you deleted the footer again and didn't even notice",
        "stop inventing columns. I am fed up with it",
        "WHY IS THE FOOTER STILL THERE???",
    ],
)
def test_rising_frustration_with_the_agent_is_escalation(words):
    assert steps(after_work(words)) == [(4,)]


@pytest.mark.parametrize(
    "words",
    [
        "the page is broken when I resize the window",
        "wow, this is insanely good, I LOVE it!!",
        "can you add a test for the CSV and JSON readers?",
        "yes please do it!!",
        "add a garbage collection run and commit what you just changed",
        "our customers are annoyed by the banner, hide it",
        "why did you rename the invoices?",
    ],
)
def test_calm_words_joy_and_feelings_of_third_parties_are_none(words):
    assert steps(after_work(words)) == []


def test_the_first_words_of_a_session_are_none_since_nothing_was_done_yet():
    reproach = user("you keep breaking the same thing, this is useless")
    assert steps(session(reproach, agent())) == []
    assert steps(session(ASK, agent(), reproach)) == [(2,)]


def test_a_feeling_counts_where_something_had_just_gone_wrong():
    assert steps(after_work("I am frustrated today")) == []
    assert steps(after_work("I am frustrated today, the totals are still not shown")) == [(4,)]
    assert steps(session(ASK, NO, user("I am frustrated today"))) == [(2,)]


def test_a_heated_turn_lowers_the_bar_for_the_next_and_a_calm_one_raises_it_again():
    """Two weak signs weigh 0.8: below the bar of 0.9 alone, above it with the 0.15 of the heat of the turn before."""
    heated, weak = user("this is a waste of my time"), user("the same error again, do it properly")
    calm = user("add a title to the page")
    assert steps(session(ASK, agent(), weak)) == []
    assert steps(session(ASK, agent(), heated, agent(), weak)) == [(2,), (4,)]
    assert steps(session(ASK, agent(), heated, agent(), calm, agent(), weak)) == [(2,)]


def test_heat_alone_makes_no_event_of_a_calm_turn():
    heated = [part for _ in range(4) for part in (user("this is a waste of my time"), agent())]
    assert steps(session(ASK, agent(), *heated, user("add a title to the page"))) == [(2,), (4,), (6,), (8,)]


def test_one_sign_is_slight_and_two_are_moderate_and_surer():
    (one,) = found(after_work("this is a waste of my time"))
    (two,) = found(after_work("this is a waste of my time, I am fed up"))
    assert (one.severity, one.confidence) == ("low", pytest.approx(0.3 + 0.3 * 0.9))
    assert (two.severity, two.confidence) == ("medium", pytest.approx(0.3 + 0.3 * (0.9 + 1.0)))


def test_words_typed_with_a_rejection_weigh_more():
    words = "please listen"
    rejected = session(ASK, call("Bash", "a", command="make"), result("Bash", "a", "", "rejected", words))
    assert steps(rejected) == [(2,)]
    assert steps(after_work(words)) == []


def test_a_reproach_in_form_that_ends_in_liking_is_none():
    assert steps(after_work("I did not want a summary at all, but I really like it")) == []
    assert steps(after_work("I did not want a summary at all and it is still wrong, nice touch")) == [(4,)]
