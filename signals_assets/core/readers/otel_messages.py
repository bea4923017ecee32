"""What an instrumentation writes about one operation, as messages: the dialects of OpenTelemetry for GenAI.

Put here: attribute and event names, and the forms of messages under them.
Not here: OTLP, and how the operations of a conversation become one session (see `otel.py`).

Dialects and where their names are from:

- OpenTelemetry semantic conventions for generative AI, 1.37 and later: `gen_ai.input.messages`,
  `gen_ai.output.messages` with parts, on spans or on the event `gen_ai.client.inference.operation.details`;
  `execute_tool` spans (semantic-conventions/docs/gen-ai and opentelemetry-util-genai 1.3b0).
- The same, 1.27 to 1.36: events `gen_ai.user.message`, `gen_ai.assistant.message`, `gen_ai.tool.message`,
  `gen_ai.choice` on spans or as log records (opentelemetry-instrumentation-openai-v2), and
  `gen_ai.content.prompt` / `gen_ai.content.completion` before.
- OpenLLMetry: `gen_ai.prompt.N.*`, `gen_ai.completion.N.*`, `traceloop.*` (opentelemetry-semantic-conventions-ai).
- OpenInference: `llm.input_messages.N.message.*`, spans of kind TOOL (openinference-semantic-conventions 0.1.42).
- Vercel AI SDK: `ai.prompt.messages`, `ai.response.*`, `ai.toolCall.*` (the SDK's telemetry page).
- Pydantic AI and Logfire: `events`, `all_messages_events`, `pydantic_ai.all_messages`, `tool_arguments`,
  `tool_response`, `request_data`, `response_data` (pydantic_ai/models/instrumented.py).

System instructions and reasoning are no steps.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from signals_assets.core.readers.common import (
    ContentError,
    Limits,
    arguments_of,
    json_text,
    name_of,
    parse_json,
    parts_text,
    text_of,
)
from signals_assets.core.sessions import Step

Attributes = Mapping[str, Any]
Event = tuple[float | None, str, dict[str, Any]]

TOOL_OPERATION: Final = "execute_tool"
_INFERENCE: Final = frozenset({"chat", "text_completion", "generate_content", "invoke_agent", "invoke_workflow"})
_SILENT_OPERATIONS: Final = frozenset(
    {"embeddings", "embedding", "retrieval", "rerank", "create_agent", "create_memory", "search_memory", "other"}
)
_KINDS: Final = {"llm": "chat", "tool": TOOL_OPERATION, "agent": "invoke_agent"}
"""Kinds of OpenInference and OpenLLMetry that say something; chains, tasks and workflows only enclose others."""
_PREFIXES: Final = (
    "gen_ai.",
    "llm.",
    "openinference.",
    "traceloop.",
    "ai.operationId",
    "pydantic_ai.",
    "all_messages_events",
)

_ROLE_EVENTS: Final = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    "gen_ai.choice": "assistant",
}
_KIND_OF_ROLE: Final = {
    "user": "user_message",
    "human": "user_message",
    "assistant": "assistant_message",
    "model": "assistant_message",
    "ai": "assistant_message",
}
_CALLS: Final = frozenset({"tool_call", "tool-call", "tool_use", "server_tool_call", "function_call"})
_RESULTS: Final = frozenset(
    {"tool_call_response", "tool-result", "tool_result", "server_tool_call_response", "function_call_output"}
)
_SILENT_PARTS: Final = frozenset({"reasoning", "thinking", "redacted_thinking", "compaction"})
_CALL_IDS: Final = ("call_id", "toolCallId", "tool_call_id", "tool_use_id", "id")
_TOOL_NAMES: Final = ("name", "toolName", "tool_name")
_ARGUMENTS: Final = ("arguments", "args", "input", "server_tool_call")
_OUTCOMES: Final = ("response", "result", "output", "content", "server_tool_call_response")


@dataclass(frozen=True, slots=True)
class Making:
    """What is needed to make steps: caps, and where to count what was cut."""

    limits: Limits
    notes: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class ToolRun:
    """What a span of a tool tells about its call."""

    name: str | None
    call_id: str | None
    arguments: Any
    result: Any


# --- which operation -------------------------------------------------------------------------------------------


def is_genai(attributes: Attributes, events: Iterable[Event]) -> bool:
    """Whether any of the dialects speaks here."""
    return any(key.startswith(_PREFIXES) for key in attributes) or any(
        name.startswith("gen_ai.") for _, name, _ in events
    )


def operation_of(attributes: Attributes) -> str:
    """The operation's name in the words of the semantic conventions; "other" for what tells nothing."""
    named = attributes.get("gen_ai.operation.name")
    if isinstance(named, str):
        return named
    if "gen_ai.tool.name" in attributes or attributes.get("ai.operationId") == "ai.toolCall":
        return TOOL_OPERATION
    kind = attributes.get("openinference.span.kind", attributes.get("traceloop.span.kind"))
    if isinstance(kind, str):
        return _KINDS.get(kind.lower(), "other")
    if isinstance(vercel := attributes.get("ai.operationId"), str):
        # The outer span repeats what its `doGenerate` and `doStream` spans tell.
        return "chat" if vercel.endswith((".doGenerate", ".doStream")) else "other"
    if "pydantic_ai.all_messages" in attributes or "all_messages_events" in attributes:
        return "invoke_agent"
    return "other" if attributes.get("llm.request.type") in ("embedding", "rerank") else "chat"


def is_inference(operation: str) -> bool:
    """Whether its failure is one of the model or the agent."""
    return operation in _INFERENCE


def tool_run(attributes: Attributes, events: Iterable[Event]) -> ToolRun:
    """The call that a span of a tool tells."""
    run = ToolRun(
        name_of(_first(attributes, "gen_ai.tool.name", "tool.name", "ai.toolCall.name", "traceloop.entity.name")),
        name_of(_first(attributes, "gen_ai.tool.call.id", "tool_call.id", "tool.id", "ai.toolCall.id")),
        _first(
            attributes,
            "gen_ai.tool.call.arguments",
            "tool_arguments",
            "ai.toolCall.args",
            "input.value",
            "tool.parameters",
            "traceloop.entity.input",
        ),
        _first(
            attributes,
            "gen_ai.tool.call.result",
            "tool_response",
            "ai.toolCall.result",
            "output.value",
            "traceloop.entity.output",
        ),
    )
    if run.result is None:
        told = (body for _, name, body in events if name in ("gen_ai.tool.message", "gen_ai.choice"))
        run.result = next((_first(body, "content", "message") for body in told), None)
    return run


def _first(values: Attributes, *names: str) -> Any:
    return next((values[name] for name in names if values.get(name) is not None), None)


# --- what was heard and spoken ---------------------------------------------------------------------------------


def heard(attributes: Attributes, events: Sequence[Event], making: Making) -> list[Step]:
    """Steps of the messages that went into the model, from the first form that has any."""
    return _told(attributes, events, making, "input")


def spoken(attributes: Attributes, events: Sequence[Event], making: Making) -> list[Step]:
    """Steps of the messages that came out of the model, from the first form that has any."""
    return _told(attributes, events, making, "output")


def transcript(attributes: Attributes, making: Making) -> list[Step]:
    """Steps of a whole run, as some agents' spans tell it when it has ended."""
    told = _first(attributes, "pydantic_ai.all_messages", "all_messages_events")
    return [] if told is None else _paired(message_steps(told, making, "user"))


def _told(attributes: Attributes, events: Sequence[Event], making: Making, which: str) -> list[Step]:
    if operation_of(attributes) in _SILENT_OPERATIONS:
        return []
    role = "user" if which == "input" else "assistant"
    for messages in _forms(attributes, events, which):
        if attributes.get("gen_ai.request.choice.count") not in (None, 1) and which == "output":
            messages = _listed(messages)[:1]  # the further ones are alternatives that nobody was shown
        if steps := _paired(message_steps(messages, making, role)):
            return steps
    return []


def _forms(attributes: Attributes, events: Sequence[Event], which: str) -> Iterator[Any]:
    """The messages in each form that the dialects know."""
    old = "gen_ai.prompt" if which == "input" else "gen_ai.completion"
    for values in (attributes, *(values for _, name, values in events if name not in _ROLE_EVENTS)):
        yield _first(values, f"gen_ai.{which}.messages", old)
    yield _role_events(events, which)
    yield _indexed(attributes, f"{old}.")
    yield _indexed(attributes, f"llm.{which}_messages.")
    if which == "input":
        yield attributes.get("ai.prompt.messages")
        yield _inner(attributes.get("request_data"), "messages")
    else:
        yield _vercel_answer(attributes)
        yield _inner(attributes.get("response_data"), "message")
    listed = _listed(attributes.get("events"))
    yield [item for item in listed if (_event_name(item) == "gen_ai.choice") == (which == "output")]


def _event_name(item: Any) -> Any:
    return item.get("event.name") if isinstance(item, dict) else None


def _inner(value: Any, key: str) -> Any:
    value = _json_value(value)
    return value.get(key) if isinstance(value, dict) else None


def _listed(value: Any) -> list[Any]:
    value = _json_value(value)
    return value if isinstance(value, list) else [] if value is None else [value]


def _role_events(events: Sequence[Event], which: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for _, name, body in events:
        if name not in _ROLE_EVENTS or (name == "gen_ai.choice") != (which == "output"):
            continue
        content = _json_value(body.get("gen_ai.event.content"))
        message = dict(content) if isinstance(content, dict) else dict(body)
        message.setdefault("role", _ROLE_EVENTS[name])
        if message.get("index") in (None, 0, "0"):
            messages.append(message)
    return messages


def _vercel_answer(attributes: Attributes) -> list[dict[str, Any]]:
    text = _first(attributes, "ai.response.text", "ai.result.text", "ai.response.object", "ai.result.object")
    calls = _listed(_first(attributes, "ai.response.toolCalls", "ai.result.toolCalls"))
    parts = [{"type": "text", "text": text}] if isinstance(text, str) and text else []
    parts += [{"type": "tool-call", **call} for call in calls if isinstance(call, dict)]
    return [{"role": "assistant", "parts": parts}] if parts else []


_NUMBERED: Final = re.compile(r"(\d{1,6})\.(.+)")
_OPENINFERENCE_NAMES: Final = ("message.", "message_content.", "tool_call.", "function.")


def _indexed(attributes: Attributes, prefix: str) -> list[Any]:
    """Messages that are spread over attributes: `gen_ai.prompt.0.role`, `llm.input_messages.0.message.role`, ..."""
    found: dict[int, dict[str, Any]] = {}
    for key, value in attributes.items():
        if key.startswith(prefix) and (match := _NUMBERED.fullmatch(key, len(prefix))):
            found.setdefault(int(match[1]), {})[_plain(match[2])] = value
    return [_spread(found[number]) for number in sorted(found)]


def _plain(name: str) -> str:
    for word in _OPENINFERENCE_NAMES:
        name = name.replace(word, "")
    return name


def _spread(values: dict[str, Any]) -> dict[str, Any]:
    """One message of flat names; calls and parts are numbered once more."""
    message = {key: value for key, value in values.items() if "." not in key}
    for inner in ("tool_calls", "contents"):
        if items := _indexed(values, f"{inner}."):
            message["content" if inner == "contents" else inner] = items
    if "function_call_name" in message:
        message["function_call"] = {
            "name": message["function_call_name"],
            "arguments": message.get("function_call_arguments_json"),
        }
    return message


# --- messages to steps without a time --------------------------------------------------------------------------


def _json_value(value: Any) -> Any:
    """Structured attributes are often JSON text, since many SDKs know no nested attributes yet."""
    if isinstance(value, str):
        try:
            return parse_json(value.encode("utf-8", "replace"))[0]
        except ContentError:
            return value
    return value


def message_steps(value: Any, making: Making, role: str) -> Iterator[Step]:
    """Steps of a list of messages, one message or a bare text; `role` is for messages that name none."""
    for message in _listed(value):
        if isinstance(message, str):
            message = {"content": message}
        if not isinstance(message, dict):
            continue
        inner = _json_value(message.get("message"))
        if isinstance(inner, dict):
            message = {**{key: message[key] for key in ("role", "tool_calls") if key in message}, **inner}
        elif isinstance(inner, str):
            message = {**message, "content": inner}
        said_by = name_of(message.get("role")) or _ROLE_EVENTS.get(str(_event_name(message))) or role
        yield from _one_message(message, making, said_by.lower())


def _one_message(message: Mapping[str, Any], making: Making, role: str) -> Iterator[Step]:
    content = message.get("parts", message.get("content"))
    parts = _parts(content)
    if role in ("tool", "function") and not any(name_of(part.get("type")) in _RESULTS for part in parts):
        yield _result({**message, "content": content if content is not None else message.get("result")}, making)
        return
    yield from _part_steps(parts, making, role)
    calls = message.get("tool_calls")
    for call in (*(calls if isinstance(calls, list) else ()), message.get("function_call")):
        if isinstance(call, dict):
            function = call.get("function")
            yield _call({**call, **function} if isinstance(function, dict) else call, making)


def _parts(content: Any) -> list[dict[str, Any]]:
    """A message's content as parts; text that is itself a JSON list of parts is one."""
    if isinstance(content, str) and content.startswith('[{"'):
        decoded = _json_value(content)
        content = decoded if isinstance(decoded, list) and all(_is_part(part) for part in decoded) else content
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        return []
    return [part if isinstance(part, dict) else {"type": "text", "content": part} for part in content]


def _is_part(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("type"), str)


def _part_steps(parts: list[dict[str, Any]], making: Making, role: str) -> Iterator[Step]:
    """Steps in the order of the parts; words between two calls or results are one message."""
    words: list[Any] = []
    for part in (*parts, {"type": "end"}):
        kind = name_of(part.get("type"))
        if kind in _SILENT_PARTS:
            continue
        if kind not in _CALLS and kind not in _RESULTS and kind != "end":
            words.append(_shown(part))
            continue
        text = text_of(parts_text(words), making.notes, making.limits)
        if text and text.strip() and role in _KIND_OF_ROLE:
            yield Step(_KIND_OF_ROLE[role], text=text)
        words = []
        if kind in _CALLS:
            yield _call(part, making)
        elif kind in _RESULTS:
            yield _result(part, making)


def _shown(part: dict[str, Any]) -> dict[str, Any]:
    """The part without bytes: pictures and files leave a mark."""
    if part.get("type") in ("blob", "uri", "file", "file_data", "image", "binary"):
        return {"type": name_of(part.get("modality")) or part["type"]}
    return part


def _call(part: Mapping[str, Any], making: Making) -> Step:
    return call_step(_first(part, *_TOOL_NAMES), _first(part, *_CALL_IDS), _first(part, *_ARGUMENTS), making)


def call_step(name: Any, call_id: Any, arguments: Any, making: Making) -> Step:
    """A tool call. Raises ContentError for arguments that break a cap."""
    return Step(
        "tool_call",
        tool_name=name_of(name),
        tool_call_id=name_of(call_id),
        arguments=arguments_of(arguments if arguments != "" else None, making.limits),
    )


def _result(part: Mapping[str, Any], making: Making) -> Step:
    outcome, failed = _first(part, *_OUTCOMES), _first(part, "is_error", "isError") is True
    if isinstance(outcome, dict) and isinstance(outcome.get("type"), str) and "value" in outcome:
        failed = failed or outcome["type"].startswith("error")
        outcome = outcome["value"]
    step = result_step(_first(part, *_TOOL_NAMES), _first(part, *_CALL_IDS), outcome, making)
    step.status = "error" if failed else "ok"
    return step


def result_step(name: Any, call_id: Any, outcome: Any, making: Making) -> Step:
    """A tool result with status `ok`; the caller knows better where a span failed."""
    parts = isinstance(outcome, list) and all(isinstance(part, str) or _is_part(part) for part in outcome)
    content = outcome if outcome is None or isinstance(outcome, str) or parts else json_text(outcome)
    text = text_of(parts_text(content), making.notes, making.limits)
    return Step("tool_result", text=text, tool_name=name_of(name), tool_call_id=name_of(call_id), status="ok")


def _paired(steps: Iterable[Step]) -> list[Step]:
    """The steps, with the tool's name at results that do not say it: by the id, else that of the oldest open call."""
    listed = list(steps)
    names = {step.tool_call_id: step.tool_name for step in listed if step.kind == "tool_call" and step.tool_call_id}
    waiting = [step.tool_name for step in listed if step.kind == "tool_call" and not step.tool_call_id]
    for step in listed:
        if step.kind != "tool_result":
            continue
        if step.tool_call_id:
            step.tool_name = step.tool_name or names.get(step.tool_call_id)
        elif step.tool_name in waiting:
            waiting.remove(step.tool_name)
        elif step.tool_name is None and waiting:
            step.tool_name = waiting.pop(0)
    return listed
