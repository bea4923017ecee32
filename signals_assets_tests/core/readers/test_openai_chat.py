"""The reader of OpenAI chat messages."""

import orjson
import pytest

from signals_assets.core.readers.openai_chat import result_status
from signals_assets_tests.core.readers.reading import jsonl, one, outline, read

CALL = {"id": "t1", "type": "function", "function": {"name": "find", "arguments": '{"q": "x"}'}}
MESSAGES = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": [{"type": "text", "text": "find x"}, {"type": "image_url", "image_url": {}}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "t1", "content": "Error: nothing"},
    {"role": "assistant", "content": "Sorry."},
]


def test_a_conversation_becomes_steps():
    session = one(jsonl({"id": "c1", "user": "u1", "model": "m-1", "created": 1767607200, "messages": MESSAGES}))
    assert (session.session_id, session.user_id, session.agent.model, session.started_at) == (
        "c1",
        "u1",
        "m-1",
        1767607200,
    )
    assert outline(session) == [
        ("user_message", None),
        ("tool_call", "find"),
        ("tool_result", "error"),
        ("assistant_message", None),
    ]
    assert session.steps[0].text == "find x\n[image]"
    assert session.steps[1].arguments == {"q": "x"}
    assert session.steps[2].tool_name == "find"


@pytest.mark.parametrize(
    "data",
    [
        orjson.dumps({"messages": MESSAGES}, option=orjson.OPT_INDENT_2),
        orjson.dumps(MESSAGES, option=orjson.OPT_INDENT_2),
        orjson.dumps(MESSAGES),
        orjson.dumps([{"messages": MESSAGES}]),
        jsonl(*MESSAGES),
        jsonl({"request": {"messages": MESSAGES[:-1]}, "response": {"choices": [{"message": MESSAGES[-1]}]}}),
    ],
)
def test_all_customary_shapes_give_the_same_session(data):
    session = one(data, "talk.json")
    assert session.session_id == "talk"
    assert [kind for kind, _ in outline(session)] == ["user_message", "tool_call", "tool_result", "assistant_message"]


def test_conversations_without_an_id_are_numbered_by_their_place():
    record = {"messages": MESSAGES}
    assert [session.session_id for session in read(jsonl(record, record))[0]] == ["file", "file-1"]


def test_metadata_names_user_and_agent_where_the_record_does_not():
    record = {"messages": MESSAGES, "metadata": {"user_id": "u2", "agent_name": "bot", "session_id": "s9"}}
    session = one(jsonl(record))
    assert (session.session_id, session.user_id, session.agent.name) == ("s9", "u2", "bot")


def test_arguments_that_are_no_json_are_kept_raw():
    call = {"id": "t1", "function": {"name": "find", "arguments": '{"q": '}}
    session = one(jsonl({"messages": [{"role": "assistant", "tool_calls": [call]}]}))
    assert session.steps[0].arguments == {"_raw": '{"q": '}


def test_a_record_without_messages_is_rejected():
    sessions, rejected = read(jsonl({"messages": MESSAGES}, {"other": 1}))
    assert len(sessions) == 1
    assert [item.reason for item in rejected] == ["not_a_session"]


@pytest.mark.parametrize(
    ("text", "status"), [("fine", "ok"), (None, "ok"), ("Error: x", "error"), ('{"error": "x"}', "error")]
)
def test_a_result_without_a_status_is_an_error_where_it_says_so(text, status):
    assert result_status(text) == status
