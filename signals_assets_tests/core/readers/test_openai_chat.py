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
    ("text", "status"),
    [
        ("fine", "ok"),
        (None, "ok"),
        ("There was no Error: x", "ok"),
        ("Error: x", "error"),
        ('{"error": "x"}', "error"),
        ('{"error": null, "rows": 3}', "ok"),
        ('{"rows": 3, "status": "error"}', "error"),
        ('{"error": "cut', "error"),
        ('{"error": {"code": 1}, "rows": "' + "x" * 30_000 + '"}', "error"),
        ('{"error": "", "rows": "' + "x" * 30_000 + '"}', "ok"),
    ],
)
def test_a_result_without_a_status_is_an_error_where_it_says_so(text, status):
    assert result_status(text) == status


ITEMS = [
    {"role": "developer", "content": "be kind"},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "find x"}]},
    {"type": "reasoning", "id": "rs_1", "summary": []},
    {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "t1",
        "name": "find",
        "arguments": '{"q": "x"}',
        "status": "completed",
    },
    {"type": "function_call_output", "call_id": "t1", "output": "two found"},
    {"type": "message", "role": "assistant", "id": "m", "content": [{"type": "output_text", "text": "Two."}]},
]
STEPS = [("user_message", None), ("tool_call", "find"), ("tool_result", "ok"), ("assistant_message", None)]


@pytest.mark.parametrize(
    "data",
    [
        jsonl({"model": "m", "input": ITEMS}),
        jsonl({"model": "m", "input": ITEMS[:-1], "output": ITEMS[-1:]}),
        jsonl(
            {"request": {"model": "m", "input": ITEMS[:-1]}, "response": {"object": "response", "output": ITEMS[-1:]}}
        ),
        orjson.dumps({"model": "m", "items": ITEMS}, option=orjson.OPT_INDENT_2),
        orjson.dumps([{"model": "m", "input": ITEMS}]),
    ],
)
def test_items_of_the_responses_api_are_the_same_conversation(data):
    session = one(data, "talk.json")
    assert outline(session) == STEPS
    assert session.agent.model == "m"
    assert (session.steps[1].arguments, session.steps[1].tool_call_id) == ({"q": "x"}, "t1")
    assert (session.steps[2].tool_name, session.steps[2].text) == ("find", "two found")


def test_items_on_their_own_lines_are_one_session():
    items = [item for item in ITEMS if item.get("type") != "reasoning"]
    assert outline(one(jsonl(*items))) == STEPS


def test_the_input_of_a_request_may_be_the_users_words():
    record = {"object": "response", "id": "r1", "model": "m", "input": "find x", "output": ITEMS[-1:]}
    assert [step.text for step in one(jsonl(record)).steps] == ["find x", "Two."]


def test_a_tool_that_ran_at_the_provider_is_call_and_result():
    search = {"type": "web_search_call", "id": "ws", "status": "failed", "action": {"query": "x"}}
    session = one(jsonl({"model": "m", "input": "find x", "output": [search, *ITEMS[-1:]]}))
    assert outline(session) == [STEPS[0], ("tool_call", "web_search"), ("tool_result", "error"), STEPS[-1]]
    assert session.steps[1].arguments == {"query": "x"}


def test_the_older_function_call_is_a_call_and_its_message_the_result():
    talk = [
        {"role": "user", "content": "find x"},
        {"role": "assistant", "content": None, "function_call": {"name": "find", "arguments": '{"q": "x"}'}},
        {"role": "function", "name": "find", "content": "two found"},
        {"role": "assistant", "content": "Two."},
    ]
    assert outline(one(jsonl({"messages": talk}))) == STEPS


def test_a_logged_request_names_model_and_user():
    record = {"id": "c", "request": {"model": "m", "user": "u1", "messages": MESSAGES}, "model": None}
    session = one(jsonl(record))
    assert (session.session_id, session.agent.model, session.user_id) == ("c", "m", "u1")
