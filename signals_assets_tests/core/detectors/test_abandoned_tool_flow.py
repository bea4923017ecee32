import pytest

from signals_assets.core.detectors import Detected, detect
from signals_assets.core.sessions import Session
from signals_assets_tests.core.detectors.script import agent, call, edit, event, result, session, shell, user

ASK = user("please write a parser for the export")


def found(told: Session) -> list[Detected]:
    return [item for item in detect(told) if item.type == "abandoned_tool_flow" and item.confidence >= 0.5]


def steps(told: Session) -> list[tuple[int, ...]]:
    return [item.steps for item in found(told)]


def test_a_rejected_call_and_its_interruption_are_one_moment():
    told = session(
        ASK,
        call("Bash", "a", command="rm -r out"),
        result("Bash", "a", "", "rejected"),
        event("interrupt"),
        user("list them instead"),
    )
    assert steps(told) == [(2, 3)]


def test_a_plan_declined_with_an_answer_is_not_abandoned():
    told = session(
        ASK, call("ExitPlanMode", "a", plan="..."), result("ExitPlanMode", "a", "", "rejected", "make it smaller")
    )
    assert steps(told) == []


def test_a_record_that_simply_ends_or_fails_is_not_abandoned():
    assert steps(session(ASK, call("Bash", "a", command="make"))) == []
    assert steps(session(ASK, shell("a", "make", "boom", "error"))) == []


@pytest.mark.parametrize(
    "text",
    ["aborted by user after 3.1s", "User rejected the update", "Request cancelled.", "Command was skipped by the user"],
)
def test_a_stop_is_seen_whatever_the_status_says(text):
    assert steps(session(ASK, shell("a", "make", text), user("wait"))) == [(2,)]


def test_a_file_that_mentions_a_rejection_stops_nothing():
    listed = (call("Read", "a", file_path="a.py"), result("Read", "a", "// the prompt was rejected by the user"))
    assert steps(session(ASK, listed, user("and?"))) == []


def test_an_announced_action_that_never_comes_is_left_unfinished():
    told = session(ASK, edit("a"), agent("The parser is there. Next I'll run the tests."), user("where is the result?"))
    (left,) = found(told)
    assert (left.steps, left.severity, left.terms) == ((3,), "medium", ("unfinished",))


@pytest.mark.parametrize(
    "words",
    [
        "Shall I run the tests? I'll run them then.",
        "Once you confirm, I'll run the tests.",
        "The parser is there. Let me know what is next.",
    ],
)
def test_an_offer_and_an_announcement_that_waits_for_the_user_are_not(words):
    assert steps(session(ASK, edit("a"), agent(words), user("good"))) == []
    assert steps(session(ASK, edit("a"), agent("I'll run the tests now."), shell("b", "pytest", "ok"), agent())) == []


def test_a_suggested_command_that_the_user_declines_counts_when_the_user_objects():
    declined = result("aider", "", "sudo systemctl restart proxy\nRun shell command? (Y)es/(N)o [Yes]: n")
    assert steps(session(ASK, agent(), declined, user("hold on, not on this host"))) == [(2, 3)]
    assert steps(session(ASK, agent(), declined, user("now add the date"))) == []


def test_stopping_at_the_same_file_over_and_over_costs_the_user_time():
    stop = [
        step
        for n in range(3)
        for step in (
            call("Edit", f"c{n}", file_path="a.py"),
            result("Edit", f"c{n}", "", "rejected"),
            user("no, other"),
        )
    ]
    assert [item.severity for item in found(session(ASK, *stop))] == ["low", "low", "medium"]
