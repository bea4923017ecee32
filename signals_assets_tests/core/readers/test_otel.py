"""The reader of OpenTelemetry GenAI spans."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def messages(*items: object) -> str:
    return orjson.dumps(items).decode()


def told(session) -> list[tuple[str, str | None]]:
    return [(step.kind, step.text or step.tool_name) for step in session.steps]


def log(at: float, name: str, *, span_id: str = "", body: object = None, **items: object) -> dict[str, object]:
    record = {"traceId": "t1", "spanId": span_id, "eventName": name, "timeUnixNano": str(int((START + at) * 1e9))}
    return {**record, "attributes": attributes(**items), **({} if body is None else {"body": value(body)})}


def logs(*records: dict[str, object]) -> dict[str, object]:
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}


def test_the_event_with_operation_details_tells_each_message_once_with_or_without_its_span():
    chat = span(0, "chat", gen_ai__request__model="m")
    details = log(
        1,
        "gen_ai.client.inference.operation.details",
        span_id=chat["spanId"],
        gen_ai__operation__name="chat",
        gen_ai__input__messages=HISTORY,
        gen_ai__output__messages=[said("assistant", "two")],
    )
    for records in ((logs(details),), (export(chat), logs(details)), (logs(details), export(chat))):
        assert outline(one(jsonl(*records))) == STEPS
    both = span(0, "chat", gen_ai__input__messages=HISTORY, gen_ai__output__messages=[said("assistant", "two")])
    assert outline(one(jsonl(export(both), logs(details)))) == STEPS


def test_message_events_in_logs_belong_to_their_span():
    chat = span(0, "chat")
    records = [
        log(0.1, "gen_ai.user.message", span_id=chat["spanId"], body={"content": "find x"}),
        log(0.9, "gen_ai.choice", span_id=chat["spanId"], body={"index": 0, "message": {"content": "two"}}),
        log(0.9, "gen_ai.choice", span_id=chat["spanId"], body={"index": 1, "message": {"content": "three"}}),
    ]
    again = [
        log(4, "gen_ai.user.message", span_id="s2", body={"content": "find x"}),
        log(4, "gen_ai.assistant.message", span_id="s2", body={"content": "two"}),
        log(4, "gen_ai.user.message", span_id="s2", body={"content": "thanks"}),
    ]
    session = one(jsonl(export(chat), logs(*records, *again)))
    assert [step.text for step in session.steps] == ["find x", "two", "thanks"]


@pytest.mark.parametrize("tells_id", [True, False])
def test_the_span_of_a_tool_without_the_calls_id_is_the_open_call_of_its_name(tells_id):
    call_id = {"gen_ai__tool__call__id": "c1"} if tells_id else {}
    spans = [
        span(0, "chat", gen_ai__input__messages=HISTORY[:1], gen_ai__output__messages=[TOOL_CALL]),
        span(2, "execute_tool", gen_ai__tool__name="find", error=True, **call_id),
        span(4, "chat", gen_ai__input__messages=HISTORY, gen_ai__output__messages=[said("assistant", "two")]),
    ]
    session = one(jsonl(export(*spans)))
    assert outline(session) == [*STEPS[:2], ("tool_result", "error"), STEPS[3]]
    assert session.steps[2].tool_call_id == "c1"
    assert session.steps[2].text == "two found"


def test_calls_that_have_no_id_at_all_are_not_doubled_by_the_history():
    call = {"role": "assistant", "parts": [{"type": "tool_call", "name": "find", "arguments": {"q": "x"}}]}
    answer = {"role": "tool", "parts": [{"type": "tool_call_response", "response": "two found"}]}
    first = [said("user", "find x"), call, answer, call, answer]
    spans = [
        span(0, "chat", gen_ai__input__messages=first[:1], gen_ai__output__messages=[call]),
        span(2, "execute_tool", gen_ai__tool__name="find"),
        span(4, "chat", gen_ai__input__messages=first[:3], gen_ai__output__messages=[call]),
        span(6, "chat", gen_ai__input__messages=first, gen_ai__output__messages=[said("assistant", "two")]),
    ]
    session = one(jsonl(export(*spans)))
    assert outline(session) == [STEPS[0], *STEPS[1:3] * 2, STEPS[3]]


def test_the_history_goes_on_after_a_sub_agent_spoke():
    tool = span(2, "execute_tool", gen_ai__tool__name="find", gen_ai__tool__call__id="c1")
    tool["endTimeUnixNano"] = str(int((START + 5) * 1e9))
    inner = span(3, "chat", parent=tool["spanId"], gen_ai__input__messages=[said("user", "look it up")],
                 gen_ai__output__messages=[said("assistant", "looked up")])  # fmt: skip
    spans = [
        span(0, "chat", gen_ai__input__messages=HISTORY[:1], gen_ai__output__messages=[TOOL_CALL]),
        tool,
        inner,
        span(7, "chat", gen_ai__input__messages=HISTORY, gen_ai__output__messages=[said("assistant", "two")]),
    ]
    assert told(one(jsonl(export(*spans)))) == [
        ("user_message", "find x"),
        ("tool_call", "find"),
        ("event", "look it up"),
        ("assistant_message", "looked up"),
        ("tool_result", "two found"),
        ("assistant_message", "two"),
    ]


def test_a_tools_client_within_the_tools_span_is_the_same_call():
    outer = span(0, "execute_tool", gen_ai__tool__name="find", gen_ai__tool__call__id="c1")
    inner = span(0.2, "execute_tool", parent=outer["spanId"], gen_ai__tool__name="find", mcp__method__name="tools/call")
    assert outline(one(jsonl(export(outer, inner)))) == [("tool_call", "find"), ("tool_result", "ok")]


def test_pictures_leave_a_mark_and_reasoning_and_instructions_none():
    parts = [
        {"type": "text", "content": "see"},
        {"type": "blob", "modality": "image", "content": "aGVsbG8="},
        {"type": "uri", "modality": "video", "uri": "x"},
    ]
    thought = [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "seen"}]
    chat = span(
        0,
        "chat",
        gen_ai__system_instructions=messages({"type": "text", "content": "be kind"}),
        gen_ai__input__messages=messages(said("system", "be brief"), {"role": "user", "parts": parts}),
        gen_ai__output__messages=messages({"role": "assistant", "parts": thought}),
    )
    assert [step.text for step in one(jsonl(export(chat))).steps] == ["see\n[image]\n[video]", "seen"]


def test_embeddings_tell_no_messages():
    other = span(0, "embeddings", gen_ai__input__messages=messages(said("user", "vector of this")))
    chat = span(1, "chat", gen_ai__input__messages=messages(said("user", "hello")))
    assert [step.text for step in one(jsonl(export(other, chat))).steps] == ["hello"]


def test_open_inference_spans_are_read():
    history = {
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.content": "be kind",
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.contents.0.message_content.type": "text",
        "llm.input_messages.1.message.contents.0.message_content.text": "find x",
    }
    call = "message.tool_calls.0.tool_call."
    made = {
        "llm.output_messages.0.message.role": "assistant",
        f"llm.output_messages.0.{call}id": "c1",
        f"llm.output_messages.0.{call}function.name": "find",
        f"llm.output_messages.0.{call}function.arguments": '{"q": "x"}',
    }
    later = {
        **history,
        "llm.input_messages.2.message.role": "assistant",
        f"llm.input_messages.2.{call}id": "c1",
        f"llm.input_messages.2.{call}function.name": "find",
        "llm.input_messages.3.message.role": "tool",
        "llm.input_messages.3.message.tool_call_id": "c1",
        "llm.input_messages.3.message.content": "two found",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "two",
    }
    tool = {"tool.name": "find", "input.value": '{"q": "x"}', "output.value": "two found"}
    common = {"session.id": "conv", "user.id": "u1", "llm.model_name": "m"}
    spans = [
        dialect(0, **{"openinference.span.kind": "AGENT", "input.value": "find x"}, **common),
        dialect(1, **{"openinference.span.kind": "LLM"}, **history, **made, **common),
        dialect(3, **{"openinference.span.kind": "TOOL"}, **tool, **common),
        dialect(5, **{"openinference.span.kind": "LLM"}, **later, **common),
    ]
    session = one(jsonl(export(*spans)))
    assert outline(session) == STEPS
    assert (session.session_id, session.user_id, session.agent.model) == ("conv", "u1", "m")
    assert session.steps[1].arguments == {"q": "x"}


def dialect(at: float, **items: object) -> dict[str, object]:
    record = span(at, "x")
    return {**record, "attributes": [{"key": key, "value": value(item)} for key, item in items.items()]}


def test_spans_of_the_vercel_ai_sdk_are_read():
    asked = {"role": "user", "content": [{"type": "text", "text": "find x"}]}
    call = {"toolCallId": "c1", "toolName": "find"}
    history = [
        {"role": "system", "content": "be kind"},
        asked,
        {"role": "assistant", "content": [{"type": "tool-call", **call, "input": {"q": "x"}}]},
        {
            "role": "tool",
            "content": [{"type": "tool-result", **call, "output": {"type": "text", "value": "two found"}}],
        },
    ]
    named = {"ai.telemetry.metadata.sessionId": "conv", "ai.telemetry.metadata.userId": "u1", "ai.model.id": "m"}
    spans = [
        dialect(0, **{"ai.operationId": "ai.generateText", "ai.prompt": messages(asked), "ai.response.text": "two"}),
        dialect(
            1,
            **{
                "ai.operationId": "ai.generateText.doGenerate",
                "ai.prompt.messages": messages(*history[:2]),
                "ai.response.toolCalls": messages({**call, "input": '{"q": "x"}'}),
                **named,
            },
        ),
        dialect(3, **{"ai.operationId": "ai.toolCall", "ai.toolCall.name": "find", "ai.toolCall.id": "c1"}),
        dialect(
            5,
            **{
                "ai.operationId": "ai.generateText.doGenerate",
                "ai.prompt.messages": messages(*history),
                "ai.response.text": "two",
            },
        ),
    ]
    session = one(jsonl(export(*spans)))
    assert outline(session) == STEPS
    assert (session.session_id, session.user_id, session.agent.model) == ("conv", "u1", "m")
    assert session.steps[1].arguments == {"q": "x"}
    assert session.steps[2].text == "two found"


def test_a_result_that_the_message_calls_an_error_is_one():
    result = {
        "type": "tool-result",
        "toolCallId": "c1",
        "toolName": "find",
        "output": {"type": "error-text", "value": "no"},
    }
    chat = dialect(
        0,
        **{
            "ai.operationId": "ai.streamText.doStream",
            "ai.prompt.messages": messages({"role": "tool", "content": [result]}),
        },
    )
    assert outline(one(jsonl(export(chat)))) == [("tool_result", "error")]


def test_pydantic_ai_runs_are_read_from_their_parts_or_from_the_transcript():
    calls = [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": {"q": "x"}}}]
    events = [
        {"event.name": "gen_ai.system.message", "role": "system", "content": "be kind"},
        {"event.name": "gen_ai.user.message", "role": "user", "content": "find x"},
        {"event.name": "gen_ai.assistant.message", "role": "assistant", "tool_calls": calls},
        {"event.name": "gen_ai.tool.message", "role": "tool", "id": "c1", "content": "two found", "name": "find"},
        {"event.name": "gen_ai.choice", "index": 0, "message": {"role": "assistant", "content": "two"}},
    ]
    answer = {"event.name": "gen_ai.assistant.message", "role": "assistant", "content": "two"}
    run = dialect(0, agent_name="orders", all_messages_events=messages(*events[:4], answer))
    run["endTimeUnixNano"] = str(int((START + 9) * 1e9))
    asked = dialect(1, **{"gen_ai.operation.name": "chat", "events": messages(*events[:2])})
    tool = dialect(
        3,
        **{
            "gen_ai.tool.name": "find",
            "gen_ai.tool.call.id": "c1",
            "tool_arguments": '{"q": "x"}',
            "tool_response": "two found",
        },
    )
    last = dialect(5, **{"gen_ai.operation.name": "chat", "events": messages(*events)})
    for spans in ((run, asked, tool, last), (run,)):
        session = one(jsonl(export(*spans)))
        assert outline(session) == STEPS
        assert session.agent.name == "orders"
        assert session.steps[1].arguments == {"q": "x"}


def test_open_llmetry_tools_and_associations_are_read():
    spans = [
        dialect(0, **{"traceloop.span.kind": "workflow", "traceloop.entity.input": "find x"}),
        dialect(
            1,
            **{
                "llm.request.type": "chat",
                "traceloop.association.properties.session_id": "conv",
                "traceloop.association.properties.user_id": "u1",
                "gen_ai.prompt.0.role": "user",
                "gen_ai.prompt.0.content": messages({"type": "text", "text": "find x"}),
            },
        ),
        dialect(
            3,
            **{"traceloop.span.kind": "tool", "traceloop.entity.name": "find", "traceloop.entity.output": "two found"},
        ),
    ]
    session = one(jsonl(export(*spans)))
    assert told(session) == [("user_message", "find x"), ("tool_call", "find"), ("tool_result", "two found")]
    assert (session.session_id, session.user_id) == ("conv", "u1")


def test_a_service_that_nobody_named_is_unknown():
    asked = messages(said("user", "hello"))
    data = jsonl(export(span(0, "chat", gen_ai__input__messages=asked), service__name="unknown_service:node"))
    assert one(data).agent.name == "unknown"


def test_a_failure_that_the_outer_span_tells_again_is_one_event():
    asked = messages(said("user", "hello"))
    outer = span(0, "invoke_agent", gen_ai__input__messages=asked, error__type="rate_limit", error=True)
    outer["endTimeUnixNano"] = str(int((START + 9) * 1e9))
    raised = event(1, "exception", exception__type="RateLimitError")
    inner = span(1, "chat", gen_ai__input__messages=asked, events=[raised], error=True)
    session = one(jsonl(export(outer, inner)))
    assert [(step.kind, step.text) for step in session.steps] == [
        ("user_message", "hello"),
        ("event", "RateLimitError"),
    ]


def test_a_conversation_larger_than_all_may_be_together_is_rejected_and_the_rest_goes_on():
    asked = messages(said("user", "x" * 400))
    large = (export(span(at, "chat", trace="a", gen_ai__input__messages=asked)) for at in range(5))
    small = export(span(9, "chat", trace="b", gen_ai__input__messages=messages(said("user", "hello"))))
    sessions, rejected = read(jsonl(*large, small), limits=Limits(open_bytes=2000))
    assert [session.session_id for session in sessions] == ["b"]
    assert [item.reason for item in rejected] == ["too_large"]
    assert rejected[0].count == 5


NAMES = [
    "gen_ai.input.messages",
    "gen_ai.prompt.0.content",
    "llm.input_messages.0.message.tool_calls.0.tool_call.id",
    "ai.prompt.messages",
    "events",
    "pydantic_ai.all_messages",
    "gen_ai.tool.call.arguments",
    "request_data",
]
WORDS = st.sampled_from(["type", "role", "tool", "user", "parts", "content", "tool_calls", "function", "id", "message"])
ANY = st.recursive(
    st.none() | st.integers(-5, 5) | WORDS | st.just("tool_call"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(
    st.lists(st.dictionaries(st.sampled_from(NAMES), ANY, min_size=1, max_size=3), min_size=1, max_size=3),
    st.booleans(),
)
def test_whatever_stands_in_the_attributes_is_read_or_rejected(items, packed):
    pack = (lambda item: orjson.dumps(item).decode()) if packed else (lambda item: item)
    spans = [
        {"traceId": "t", "spanId": str(number), "attributes": {name: pack(item) for name, item in attributes.items()}}
        for number, attributes in enumerate(items)
    ]
    sessions, rejected = read(jsonl({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}))
    assert len(sessions) + len(rejected) >= 1
