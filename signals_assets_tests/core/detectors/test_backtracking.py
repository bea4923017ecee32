import pytest

from signals_assets.core.detectors import Detected, detect
from signals_assets.core.sessions import Session
from signals_assets_tests.core.detectors.script import agent, call, edit, event, result, session, shell, user

ASK = user("please write a parser for the export")


def found(told: Session) -> list[Detected]:
    return [item for item in detect(told) if item.type == "backtracking" and item.confidence >= 0.5]


def steps(told: Session) -> list[tuple[int, ...]]:
    return [item.steps for item in found(told)]


@pytest.mark.parametrize(
    "words",
    [
        "no, remove this again, nobody asked for it",
        "please revert that, the old layout was right",
        "let's go back to the first version",
        "never mind, I undid your changes",
        "can you put the header back?",
        "I've just rolled back, the page was better before",
        "this is a mess. start over with one file",
        "keep the previous version of the footer",
    ],
)
def test_a_request_to_undo_is_backtracking(words):
    assert steps(session(ASK, edit("a"), agent(), user(words))) == [(4,)]


@pytest.mark.parametrize(
    "words",
    [
        "what happens if I revert the last commit?",
        "the editor should be able to undo a deletion",
        "going back to the changes: why is the date missing?",
        "why does it discard the last row?",
        "io.Discard is fine here",
    ],
)
def test_talk_about_undoing_is_not(words):
    assert steps(session(ASK, edit("a"), agent(), user(words))) == []


@pytest.mark.parametrize(
    "words", ["revert the commit of last friday, it broke the shop", "add an undo button to the page"]
)
def test_undoing_as_the_task_itself_is_not_backtracking(words):
    assert steps(session(user(words), edit("a"), agent())) == []


def test_an_opening_that_takes_back_the_work_so_far_is():
    assert steps(session(user("I think we need to revert the work so far"), edit("a"), agent())) == [(0,)]


def test_words_that_come_back_in_a_paste_ask_for_nothing():
    wish = "please revert that and keep the totals in the footer of the page"
    told = session(ASK, edit("a"), agent(), user(wish), edit("b"), agent(), *[user("hm")] * 3, user(f"log: ok, {wish}"))
    assert steps(told) == [(4,)]


def test_what_a_customer_undoes_on_a_phone_is_the_task():
    told = session(user("no signal"), call("reseat_card", "a", by="user"), agent(), user("i reset everything again"))
    assert steps(told) == []


def test_undo_commands_in_a_row_are_one_moment():
    undo = event("slash_command", "/undo")
    (moment,) = found(session(ASK, edit("a"), agent(), undo, undo, user("now another way"), edit("b"), agent()))
    assert (moment.steps, moment.severity) == ((4, 5), "medium")


def test_undoing_everything_and_leaving_is_high():
    undo = event("slash_command", "/undo")
    assert [item.severity for item in found(session(ASK, edit("a"), agent(), undo, undo, undo))] == ["high"]


@pytest.mark.parametrize("told", [event("checkpoint_restored"), event("info", "Reverted to checkpoint 3")])
def test_the_harness_tells_of_a_restored_checkpoint(told):
    assert steps(session(ASK, edit("a"), agent(), told)) == [(4,)]


def test_an_edit_back_to_the_earlier_text_after_a_question_is_backtracking_with_the_question():
    back = edit("b", before="x = 2", after="x = 1")
    assert steps(session(ASK, edit("a"), agent(), user("hm, which value is in there?"), back)) == [(4, 5)]
    assert steps(session(ASK, edit("a"), back, agent())) == []


def test_deleting_own_lines_of_an_earlier_turn_after_a_doubt_is_backtracking():
    written = "def test_one():\n    check(1)\ndef test_two():\n    check(2)"
    doubt = user("are these tests of any use?")
    take = edit("b", before=written, after="")
    assert steps(session(ASK, edit("a", before="", after=written), agent(), doubt, take)) == [(4, 5)]
    assert steps(session(ASK, edit("a", before="", after=written), agent(), user("now tidy up"), take)) == []
    assert steps(session(ASK, agent(), doubt, take)) == []


def test_resetting_a_file_that_the_agent_edited_is_backtracking_and_other_housekeeping_is_not():
    reset = shell("b", "git checkout -- a.py", "")
    assert steps(session(ASK, edit("a"), reset, agent())) == [(3,)]
    assert steps(session(ASK, reset, agent())) == []
    assert steps(session(ASK, edit("a"), shell("b", "git reset --hard origin/main && git merge x", ""), agent())) == []


def test_a_reset_that_the_user_rejected_has_undone_nothing():
    refused = (call("Bash", "b", command="git checkout -- a.py"), result("Bash", "b", "", "rejected"))
    assert steps(session(ASK, edit("a"), refused, user("no"))) == []
