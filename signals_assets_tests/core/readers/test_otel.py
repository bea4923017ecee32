"""The reader of OpenTelemetry GenAI spans."""

import orjson
import pytest

from signals_assets.core.readers import Limits
from signals_assets_tests.core.readers.reading import jsonl, one, outline, read

START = 1_767_607_200


def value(item: object) -> dict[str, object]:
    if isinstance(item, list):
        return {"arrayValue": {"values": [value(part) for part in item]}}
    if isinstance(item, dict):
        return {"kvlistValue": {"values": [{"key": key, "value": value(part)} for key, part in item.items()]}}
    if isinstance(item, int):
        return {"intValue": str(item)}
    return {"stringValue": item}


def attributes(**items: object) -> list[dict[str, object]]:
    return [{"key": key.replace("__", "."), "value": value(item)} for key, item in items.items()]


def span(at: float, name: str, *, trace: str = "t1", parent: str = "", error: bool = False, events=(), **items):
    return {
        "traceId": trace,
        "spanId": f"{trace}-{at}-{name}",
        "parentSpanId": parent,
        "name": name,
        "startTimeUnixNano": str(int((START + at) * 1e9)),
        "endTimeUnixNano": str(int((START + at + 1) * 1e9)),
        "attributes": attributes(gen_ai__operation__name=name, **items),
        "events": list(events),
        "status": {"code": 2 if error else 0},
    }


def export(*spans: dict[str, object], **resource: object) -> dict[str, object]:
    resource = {"service__name": "shop-bot", "service__version": "3.1", **resource}
    return {"resourceSpans": [{"resource": {"attributes": attributes(**resource)}, "scopeSpans": [{"spans": spans}]}]}


def said(role: str, text: str) -> dict[str, object]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


TOOL_CALL = {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "find", "arguments": {"q": "x"}}]}
TOOL_ANSWER = {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "two found"}]}
HISTORY = [said("user", "find x"), TOOL_CALL, TOOL_ANSWER]
STEPS = [("user_message", None), ("tool_call", "find"), ("tool_result", "ok"), ("assistant_message", None)]


@pytest.mark.parametrize("pack", [lambda messages: orjson.dumps(messages).decode(), lambda messages: messages])
def test_a_history_told_again_by_every_span_is_taken_once(pack):
    spans = [
        span(0, "chat", gen_ai__input__messages=pack(HISTORY[:1]), gen_ai__output__messages=pack([TOOL_CALL])),
        span(2, "execute_tool", gen_ai__tool__name="find", gen_ai__tool__call__id="c1"),
        span(
            4, "chat", gen_ai__input__messages=pack(HISTORY), gen_ai__output__messages=pack([said("assistant", "two")])
        ),
    ]
    for record in (spans, spans[::-1]):
        session = one(jsonl(export(*record, user__id="u1")))
        assert outline(session) == STEPS
        assert (session.session_id, session.user_id) == ("t1", "u1")
        assert (session.agent.name, session.agent.version) == ("shop-bot", "3.1")
        assert session.steps[1].arguments == {"q": "x"}
        assert session.steps[2].text == "two found"
        assert session.started_at == START


def test_spans_are_grouped_by_conversation_also_when_only_one_span_names_it():
    messages = orjson.dumps([said("user", "hello")]).decode()
    more = orjson.dumps([said("user", "hello"), said("assistant", "hi"), said("user", "bye")]).decode()
    answer = orjson.dumps([said("assistant", "hi")]).decode()
    data = jsonl(
        export(span(1, "execute_tool", gen_ai__tool__name="find")),
        export(span(0, "chat", gen_ai__conversation__id="conv", gen_ai__input__messages=messages,
                    gen_ai__output__messages=answer)),
        export(span(9, "chat", trace="t2", gen_ai__conversation__id="conv", gen_ai__input__messages=more)),
    )  # fmt: skip
    session = one(data)
    assert session.session_id == "conv"
    assert [step.text for step in session.steps if step.kind.endswith("message")] == ["hello", "hi", "bye"]


def test_the_same_short_words_twice_are_two_messages_when_only_new_ones_are_sent():
    yes, ok = orjson.dumps([said("user", "yes")]).decode(), orjson.dumps([said("assistant", "ok")]).decode()
    more = orjson.dumps([said("assistant", "done")]).decode()
    spans = [
        span(0, "chat", gen_ai__input__messages=yes, gen_ai__output__messages=ok),
        span(5, "chat", gen_ai__input__messages=yes, gen_ai__output__messages=more),
    ]
    assert [step.text for step in one(jsonl(export(*spans))).steps] == ["yes", "ok", "yes", "done"]


def test_an_agent_span_around_chat_spans_tells_nothing_new():
    asked, answered = orjson.dumps([said("user", "hello")]).decode(), orjson.dumps([said("assistant", "hi")]).decode()
    outer = span(0, "invoke_agent", gen_ai__input__messages=asked, gen_ai__output__messages=answered)
    outer["endTimeUnixNano"] = str(int((START + 9) * 1e9))
    inner = span(1, "chat", gen_ai__input__messages=asked, gen_ai__output__messages=answered)
    assert [step.text for step in one(jsonl(export(outer, inner))).steps] == ["hello", "hi"]


def test_what_an_agent_tells_its_sub_agent_is_not_a_users_words():
    tool = span(1, "execute_tool", gen_ai__tool__name="delegate", gen_ai__tool__call__id="d")
    asked = orjson.dumps([said("user", "look it up")]).decode()
    inner = span(1.2, "chat", parent=tool["spanId"], gen_ai__input__messages=asked)
    outer = span(0, "chat", gen_ai__input__messages=orjson.dumps([said("user", "hello")]).decode())
    session = one(jsonl(export(outer, tool, inner)))
    assert [(step.kind, step.text) for step in session.steps if step.text] == [
        ("user_message", "hello"),
        ("event", "look it up"),
    ]


def event(at: float, name: str, **items: object) -> dict[str, object]:
    return {"timeUnixNano": str(int((START + at) * 1e9)), "name": name, "attributes": attributes(**items)}


def test_older_message_events_are_read():
    calls = [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"q": "x"}'}}]
    events = [
        event(0, "gen_ai.system.message", content="be kind"),
        event(0, "gen_ai.user.message", content="find x"),
        event(0, "gen_ai.assistant.message", tool_calls=calls),
        event(0, "gen_ai.tool.message", id="c1", content="two found"),
        event(1, "gen_ai.choice", index=0, message={"role": "assistant", "content": "two"}),
    ]
    assert outline(one(jsonl(export(span(0, "chat", events=events))))) == STEPS


def test_messages_as_log_records_are_read():
    asked = {"eventName": "gen_ai.user.message", "body": value({"content": "find x"})}
    answered = {
        "attributes": attributes(event__name="gen_ai.choice"),
        "body": value({"message": {"role": "assistant", "content": "two"}}),
    }
    records = [
        {"traceId": "t1", "timeUnixNano": str((START + at) * 10**9), **item}
        for at, item in enumerate((asked, answered))
    ]
    data = jsonl({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]})
    assert outline(one(data)) == [("user_message", None), ("assistant_message", None)]


def test_indexed_attributes_are_read():
    items = {
        "gen_ai__prompt__0__role": "user",
        "gen_ai__prompt__0__content": "find x",
        "gen_ai__completion__0__role": "assistant",
        "gen_ai__completion__0__tool_calls__0__id": "c1",
        "gen_ai__completion__0__tool_calls__0__name": "find",
        "gen_ai__completion__0__tool_calls__0__arguments": '{"q": "x"}',
    }
    assert outline(one(jsonl(export(span(0, "chat", **items))))) == STEPS[:2]


@pytest.mark.parametrize(("kind", "status"), [("ToolTimeoutError", "timeout"), ("ValueError", "error")])
def test_a_tool_that_fails_is_an_error_or_a_timeout(kind, status):
    tool = span(1, "execute_tool", gen_ai__tool__name="find", error__type=kind, error=True)
    assert outline(one(jsonl(export(tool)))) == [("tool_call", "find"), ("tool_result", status)]


def test_a_model_call_that_fails_is_an_event():
    asked = orjson.dumps([said("user", "hello")]).decode()
    failed = span(0, "chat", gen_ai__input__messages=asked, error__type="rate_limit", error=True)
    assert outline(one(jsonl(export(failed)))) == [("user_message", None), ("event", "api_error")]


def test_other_spans_are_counted_and_are_no_session():
    other = {"traceId": "t", "spanId": "s", "name": "GET /", "attributes": attributes(http__method="GET")}
    sessions, rejected = read(jsonl(export(other, other), {"a": 1}), format="otel")
    assert sessions == []
    assert [(item.reason, item.count) for item in rejected] == [("not_an_export", 1), ("not_genai", 2)]


def test_one_pretty_document_is_read():
    asked = orjson.dumps([said("user", "hello")]).decode()
    data = orjson.dumps(export(span(0, "chat", gen_ai__input__messages=asked)), option=orjson.OPT_INDENT_2)
    assert outline(one(data, "spans.json")) == [("user_message", None)]


def test_conversations_that_do_not_fit_in_memory_together_go_on_as_segments():
    asked = orjson.dumps([said("user", "x" * 500)]).decode()
    data = jsonl(*(export(span(at, "chat", trace=trace, gen_ai__input__messages=asked))
                   for at, trace in ((0, "a"), (1, "b"), (2, "a"))))  # fmt: skip
    sessions, _ = read(data, limits=Limits(open_bytes=1500))
    assert [(session.session_id, session.segment) for session in sessions] == [("a", 0), ("b", 0), ("a", 1)]
