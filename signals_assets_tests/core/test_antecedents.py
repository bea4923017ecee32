from signals_assets.core.antecedents import antecedent_of, antecedents
from signals_assets_tests.factories import make_session, make_step


def test_what_the_agent_did_since_the_users_last_words_precedes_the_next() -> None:
    steps = [
        make_step("user_message", text="first"),
        make_step("assistant_message", text="words only"),
        make_step("user_message", text="second"),
        make_step("tool_call", None, tool_name="Bash", tool_call_id="a"),
        make_step("tool_result", None, tool_call_id="a", status="ok"),
        make_step("assistant_message", text="done"),
        make_step("user_message", text="third"),
        make_step("tool_call", None, tool_name="Bash", tool_call_id="b"),
        make_step("tool_result", None, tool_call_id="b", status="timeout"),
        make_step("tool_call", None, tool_name="Bash", tool_call_id="c"),
        make_step("tool_result", None, tool_call_id="c", status="ok"),
        make_step("user_message", text="fourth"),
        make_step("user_message", text="fifth"),
    ]
    assert antecedents(make_session(*steps)) == {0: "start", 2: "answer", 6: "tool", 11: "failed_tool", 12: "start"}


def test_a_command_of_the_user_is_no_tool_of_the_agent() -> None:
    steps = [
        make_step("user_message", text="first"),
        make_step("assistant_message", text="words only"),
        make_step("tool_call", None, tool_name="Bash", tool_call_id="a", by="user"),
        make_step("user_message", text="second"),
    ]
    assert antecedents(make_session(*steps))[3] == "answer"


def test_a_moment_has_the_antecedent_of_its_first_step() -> None:
    known = {2: "tool", 5: "answer"}
    assert antecedent_of([5, 2], known) == "tool"  # type: ignore[arg-type]
    assert antecedent_of([3, 5], known) == "agent"  # type: ignore[arg-type]
    assert antecedent_of([], {}) == "agent"
