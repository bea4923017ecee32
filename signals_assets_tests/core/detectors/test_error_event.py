from signals_assets.core.detectors import Detected, detect
from signals_assets.core.sessions import Session
from signals_assets_tests.core.detectors.script import agent, call, edit, event, result, session, shell, user

ASK = user("please write a parser for the export")


def found(told: Session) -> list[Detected]:
    return [item for item in detect(told) if item.type == "error_event" and item.confidence >= 0.5]


def steps(told: Session) -> list[tuple[int, ...]]:
    return [item.steps for item in found(told)]


def reads(*texts: str) -> list:
    return [
        step
        for n, text in enumerate(texts)
        for step in (call("Read", f"c{n}", file_path=f"{n}.py"), result("Read", f"c{n}", text, "error"))
    ]


def test_failures_with_one_cause_are_one_event():
    missing = "<tool_use_error>File does not exist.</tool_use_error>"
    assert steps(session(ASK, *reads(missing, missing, missing), agent())) == [(2, 4, 6)]


def test_failures_of_different_kinds_are_different_events():
    told = session(
        ASK, shell("a", "make lint", "lint: unused name", "error"), shell("b", "curl x", "timed out", "timeout")
    )
    assert steps(told) == [(2,), (4,)]


def test_a_check_that_fails_anew_after_an_edit_is_a_new_event_and_its_details_are_not():
    first, second = "FAIL: test_of_the_totals_in_the_footer", "FAIL: test_of_the_dates_in_the_header"
    detail = shell("b", "pytest -k totals", "1 failed, assert 1 == 2", "error")
    told = session(
        ASK, shell("a", "pytest", first, "error"), detail, edit("e"), shell("c", "pytest", second, "error"), agent()
    )
    assert steps(told) == [(2, 4), (8,)]


def test_the_same_cause_is_counted_once_and_stored_when_it_comes_back():
    boom = "Error: the destination folder of the export already exists and is not empty"
    told = session(
        ASK, shell("a", "make", boom, "error"), agent(), user("and now?"), shell("b", "make all", boom, "error")
    )
    assert steps(told) == [(2,)]
    assert [item.steps for item in detect(told) if item.type == "error_event"] == [(2,), (6,)]


def test_an_error_of_the_model_service_is_an_error_event():
    assert steps(session(ASK, event("api_error", "overloaded"), agent())) == [(1,)]
    assert steps(session(ASK, agent("API Error: 529 overloaded"), user("go on"), agent())) == [(1,)]


def test_answers_that_stay_empty_are_one_failure_until_an_answer_comes():
    told = session(ASK, agent(""), user("try again"), agent(""), user("try again"), agent("Here it is."), user("ok"))
    (event_,) = found(told)
    assert (event_.steps, event_.severity) == ((1, 3), "medium")


def test_an_empty_message_before_a_call_or_an_interruption_is_no_failure():
    assert steps(session(ASK, agent(""), edit("a"), agent(), user("ok"))) == []
    assert steps(session(ASK, agent(""), event("interrupt"), user("do it otherwise"))) == []


def test_a_test_that_is_meant_to_fail_is_no_error():
    red = agent("First a failing test: this test should fail until the parser is there.")
    assert steps(session(ASK, red, shell("a", "pytest", "1 failed, assert 1 == 2", "error"))) == []


def test_reproducing_the_failure_that_the_user_reports_is_no_error_but_failing_after_an_edit_is():
    report = user("the tests are failing since yesterday, have a look")
    again = shell("a", "pytest", "1 failed, assert 1 == 2", "error")
    assert steps(session(report, again)) == []
    assert steps(session(report, edit("e"), again)) == [(4,)]


def test_an_error_that_the_user_only_talks_about_is_no_error():
    assert steps(session(user("our shop shows error 500, where is it raised?"), agent())) == []


def test_a_mistyped_command_of_the_user_is_no_error_and_the_failing_model_behind_it_is():
    refused = result("aider", "", "Invalid command: /veiw", "error")
    assert steps(session(ASK, agent(), event("slash_command", "/veiw a.py"), refused)) == []
    limited = result("aider", "", "litellm.RateLimitError: quota exceeded", "error")
    assert steps(session(ASK, agent(), event("slash_command", "/code it"), limited)) == [(3,)]
