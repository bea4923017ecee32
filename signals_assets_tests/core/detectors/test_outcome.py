import pytest

from signals_assets.core.detectors import examine
from signals_assets_tests.core.detectors.script import agent, call, edit, event, result, session, shell, user

ASK = user("please fix the header of the page, it overlaps the menu")
REFUSES = agent("Unfortunately I am unable to do that: our policy does not allow it.")


def outcome(*parts):
    return examine(session(*parts)).facets.outcome


def test_confirmed_work_is_a_success():
    assert outcome(ASK, edit("a"), agent("Fixed."), user("works, thanks")) == "success"


def test_work_that_the_agent_reports_as_done_is_a_success_without_a_word_of_the_user():
    assert outcome(ASK, edit("a"), shell("b", "make", "ok"), agent("The header is fixed now.")) == "success"


@pytest.mark.parametrize(
    "end",
    [
        (call("Bash", "a", command="make"),),
        shell("a", "make", "ok"),
        (*edit("a"), event("interrupt")),
        (call("Bash", "a", command="make"), result("Bash", "a", "", "rejected"), event("slash_command", "/exit")),
        (agent("There are two ways. Which one would you prefer?"),),
        (*edit("a"), agent("Fixed."), user("now do the same for the footer of the page")),
        (agent("Fixed."), user("thanks, I will come back later to finish the rest")),
        (*edit("a"), agent("Fixed."), user("the header is still wrong, it isn't working"), agent("Want me to look?")),
        (*edit("a"), agent("Fixed."), user("it still doesn't work"), *edit("b"), agent("It should work now.")),
        (agent("I can do it in two steps. Shall I proceed?"), user("yes, go ahead")),
        (*shell("a", "make", "Exit code 2\nmake: *** boom", "error"), *shell("b", "make", "boom", "error"), agent()),
    ],
    ids=["open call", "no word after a tool", "interrupted", "rejected", "open choice", "unanswered", "postponed",
         "complaint met by a question", "complaint without a check", "go-ahead without work", "failing commands"],
)  # fmt: skip
def test_a_record_that_stops_short_is_partial(end):
    assert outcome(ASK, *end) == "partial"


def test_a_complaint_that_a_run_shows_settled_is_a_success():
    settled = (*edit("b"), *shell("c", "pytest -q", "12 passed"), agent("It works now: all tests pass."))
    assert outcome(ASK, *edit("a"), agent("Fixed."), user("it still doesn't work"), *settled) == "success"


def test_a_question_after_finished_work_leaves_nothing_open():
    assert outcome(ASK, edit("a"), agent("Fixed. Want me to implement the same for the footer?")) == "success"


@pytest.mark.parametrize(
    "end",
    [
        (edit("a"), agent(), event("slash_command", "/undo"), event("slash_command", "/undo")),
        (agent("That is not possible."), user("never mind, I will do it myself")),
        (REFUSES, user("please, I really need it"), REFUSES, user("thanks for trying"), agent("Good bye.")),
    ],
    ids=["undone", "gave up", "declined twice"],
)
def test_who_gives_up_abandons(end):
    assert outcome(ASK, *end) == "abandoned"


def test_a_handover_is_transferred_by_tool_or_by_the_last_words():
    transfer = (call("transfer_to_human_agents", "a"), result("transfer_to_human_agents", "a"))
    assert outcome(ASK, *transfer, agent("Please hold on.")) == "transferred"
    assert outcome(ASK, agent("Shall I transfer you to a human agent?"), user("yes please")) == "transferred"
    assert outcome(ASK, agent("I can transfer you."), user("no, please don't transfer me, thanks")) != "transferred"


def test_a_case_that_the_agent_kept_after_a_handover_is_not_transferred():
    transfer = (call("transfer_to_human_agents", "a"), result("transfer_to_human_agents", "a"))
    goes_on = (user("can you book the other one too"), agent("Booked."), user("and a seat"), agent("Done."))
    assert outcome(ASK, *transfer, *goes_on, user("that's all I needed, thanks")) == "success"


def test_a_session_without_an_answer_or_without_a_goal_is_unclear():
    assert outcome(ASK) == "unclear"
    assert outcome(user("hi"), agent("Hello! How are you?"), user("hm"), agent("Tell me more.")) == "unclear"


def test_a_harness_that_signs_off_under_the_users_name_is_not_heard():
    assert outcome(ASK, edit("a"), agent("Fixed."), user("works, thanks"), user("###STOP###")) == "success"
