"""The reader of Codex rollouts."""

import pytest

from signals_assets.core.readers import read_stream
from signals_assets.core.sessions import Session, format_time
from signals_assets_tests.core.readers.reading import jsonl, one, outline, read

META = {
    "timestamp": "2026-01-05T11:00:00Z",
    "type": "session_meta",
    "payload": {"id": "r-1", "timestamp": "2026-01-05T10:00:00Z", "cli_version": "0.1.2"},
}
CONTEXT = {"timestamp": "2026-01-05T11:00:01Z", "type": "turn_context", "payload": {"model": "m-1"}}


def item(kind: str, **payload: object) -> dict[str, object]:
    return {"timestamp": "2026-01-05T11:00:02Z", "type": "response_item", "payload": {"type": kind, **payload}}


def message(role: str, text: str) -> dict[str, object]:
    return item("message", role=role, content=[{"type": "input_text", "text": text}])


def shown(kind: str, **payload: object) -> dict[str, object]:
    return {"timestamp": "2026-01-05T11:00:03Z", "type": "event_msg", "payload": {"type": kind, **payload}}


def test_a_rollout_is_one_session_with_the_metadata_of_its_head():
    session = one(jsonl(META, CONTEXT, message("user", "hello"), message("assistant", "hi")))
    assert (session.session_id, session.agent.name, session.agent.version) == ("r-1", "codex-cli", "0.1.2")
    assert session.agent.model == "m-1"
    assert format_time(session.started_at) == "2026-01-05T10:00:00.000Z"
    assert session.start_known_from == "session"
    assert outline(session) == [("user_message", None), ("assistant_message", None)]


def test_only_what_the_interface_recorded_as_typed_is_the_users():
    data = jsonl(
        META,
        message("developer", "permissions"),
        message("user", "# AGENTS.md instructions for /x"),
        message("user", "some context"),
        message("user", "please help"),
        shown("user_message", message="please help"),
        shown("agent_message", message="told twice"),
        shown("turn_aborted", reason="interrupted"),
    )
    assert outline(one(data)) == [
        ("event", "injected"),
        ("event", "injected"),
        ("user_message", None),
        ("event", "interrupt"),
    ]


@pytest.mark.parametrize(
    ("output", "status"),
    [
        ("Chunk ID: a\nProcess exited with code 0\nOutput:\nfine", "ok"),
        ("Chunk ID: a\nProcess exited with code 2\nOutput:\nno such file", "error"),
        ("Exit code: 1\nWall time: 0 seconds", "error"),
        ("Process exited with code 0\nOutput:\nExited, then: process exited with code 7", "ok"),
        ("Plan updated", "ok"),
        ("aborted by user after 3s", "interrupted"),
        ("exec command rejected by user", "rejected"),
        ("command timed out after 10000 milliseconds\n", "timeout"),
        ('{"output": "bad", "metadata": {"exit_code": 1}}', "error"),
        ({"content": "bad", "success": False}, "error"),
    ],
)
def test_the_status_of_a_result_is_in_its_output(output, status):
    call = item("function_call", name="exec", call_id="c1", arguments='{"cmd": "ls"}')
    session = one(jsonl(META, call, item("function_call_output", call_id="c1", output=output)))
    assert session.steps[0].arguments == {"cmd": "ls"}
    assert (session.steps[1].tool_name, session.steps[1].status) == ("exec", status)


def test_patches_searches_and_shell_calls_are_tool_calls():
    data = jsonl(
        META,
        item("custom_tool_call", name="apply_patch", call_id="c1", input="*** Begin Patch"),
        item("custom_tool_call_output", call_id="c1", output="Exit code: 0"),
        item("web_search_call", id="w1", action={"query": "q"}),
        item("local_shell_call", call_id="c2", action={"command": ["ls"]}),
    )
    session = one(data)
    assert outline(session) == [
        ("tool_call", "apply_patch"),
        ("tool_result", "ok"),
        ("tool_call", "web_search"),
        ("tool_call", "local_shell"),
    ]
    assert session.steps[0].arguments == {"input": "*** Begin Patch"}


def test_old_rollouts_of_bare_items_are_read():
    data = jsonl(
        {"id": "old", "timestamp": "2025-05-01T10:00:00Z", "instructions": "be good"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]},
        {"type": "function_call", "name": "shell", "call_id": "c", "arguments": "{}"},
    )
    session = one(data)
    assert (session.session_id, outline(session)) == ("old", [("user_message", None), ("tool_call", "shell")])


def test_a_rollout_without_steps_is_rejected_with_its_records():
    assert [(item.reason, item.count) for item in read(jsonl(META, CONTEXT))[1]] == [("no_steps", 2)]


@pytest.mark.data
def test_a_real_rollout_equals_the_beginning_of_its_canonical_form(data_dir):
    with (data_dir / "more_sessions.jsonl.gz").open("rb") as stream:
        canonical = {item.session_id: item for item in read_stream(stream, "x") if isinstance(item, Session)}
    compared = 0
    for path in sorted((data_dir / "raw_codex").glob("*.jsonl")):
        ours = one(path.read_bytes(), path.name)
        assert ours.agent.version is not None
        theirs = canonical.get(ours.session_id)
        if theirs is None:
            continue
        compared += 1
        # The other program passed over tool searches, and its file goes on after ours was cut.
        mine = [_facts(step) for step in ours.steps if step.tool_name != "tool_search"]
        assert mine == [_facts(step) for step in theirs.steps[: len(mine)]]
        assert (ours.agent, ours.started_at) == (theirs.agent, theirs.started_at)
    assert compared == 1


def _facts(step: object) -> tuple[object, ...]:
    return tuple(getattr(step, name) for name in ("kind", "name", "status", "tool_name", "tool_call_id", "at"))
