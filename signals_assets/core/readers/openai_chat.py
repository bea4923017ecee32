"""Reader: OpenAI chat messages and Responses items, as JSON or JSON Lines.

Put here: conversations as `messages` with `tool_calls` or the older `function_call`, as `input` and `output` items
of the Responses API, bare lists of them, logged requests with their answers.
Not here: spans that carry such messages (see `otel.py`).

The format knows no time of a message and no outcome of a tool; where a record carries them anyway under common
names they are read, and a result is an error only where it says so. System and developer messages are the agent's
configuration and reasoning is nobody's message: both are no steps, and are counted. Names and forms: the reference of
the OpenAI API, Chat Completions (create, object) and Responses (input items, output items).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from signals_assets.core.readers.common import (
    ContentError,
    Limits,
    Reading,
    Record,
    Rejected,
    add_notes,
    arguments_of,
    dig,
    head_records,
    name_of,
    parse_json,
    parts_text,
    session_id_of,
    status_of,
    text_of,
    with_times,
)
from signals_assets.core.sessions import Agent, Session, Step, parse_time

_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_IDS: Final = ("session_id", "conversation_id", "thread_id", "chat_id", "id")
_USERS: Final = ("user_id", "user", "safety_identifier")
_STARTS: Final = ("started_at", "created_at", "created", "timestamp", "create_time")
_TIMES: Final = ("timestamp", "created_at", "created", "at", "create_time")
_ITEM_CALLS: Final = frozenset({"function_call", "custom_tool_call", "mcp_call"})
_ITEM_RESULTS: Final = frozenset({"function_call_output", "custom_tool_call_output"})
_ITEM_BUILT_IN: Final = re.compile(r"[a-z_]+_call")
"""Tools that run at the provider: `web_search_call`, `file_search_call`, `code_interpreter_call`, ..."""
_ITEM_STATUS: Final = {"failed": "error", "incomplete": "interrupted"}
_JUDGED_CHARS: Final = 20_000
_ERROR_FIRST: Final = re.compile(r'\{\s*"error"\s*:\s*+(?!null|false|""|0|\{\s*\}|\[\s*\])')


class OpenAIChatReader:
    """Conversations of chat messages; single messages, one a line, make one session of the file."""

    name = "openai_chat"

    def sniff(self, name: str, head: bytes) -> bool:  # noqa: ARG002 - the records say enough
        """True for messages with roles in the first lines, or their keys in a document that spans lines."""
        found = head_records(head)
        if any(_messages(item) is not None or _is_message(item) for item in found):
            return True
        objects = [item for item in found if isinstance(item, dict)]
        return not objects and b'"role"' in head and (b'"content"' in head or b'"tool_calls"' in head)

    def read(self, records: Iterator[Record], reading: Reading) -> Iterator[Session | Rejected]:
        """One session for each conversation."""
        loose = Record("messages", 0, [])
        number = 0
        for record in records:
            try:
                if record.reason:
                    raise ContentError(record.reason)
                if _is_message(record.value):
                    _gather(record, loose, reading.limits)
                    continue
                session = _session(record, reading, f"{reading.stem}-{number}" if number else reading.stem)
                reading.tally["records"] += 1
                number += 1
                yield session
            except ContentError as error:
                yield reading.rejected(str(error), self.name, record.position, record.size)
        if loose.value:
            try:
                session = _session(loose, reading, f"{reading.stem}-{number}" if number else reading.stem)
                reading.tally["records"] += len(loose.value)
                yield session
            except ContentError as error:
                yield reading.rejected(str(error), self.name, loose.position, loose.size, len(loose.value))


def _gather(record: Record, loose: Record, limits: Limits) -> None:
    if loose.size + record.size > limits.session_bytes:
        raise ContentError("too_large")
    loose.value.append(record.value)
    loose.size += record.size
    add_notes(loose.notes, record.notes)


def _is_message(value: Any) -> bool:
    """Whether a value is one message of a conversation or one item of a response."""
    if not isinstance(value, dict) or "messages" in value:
        return False
    return _is_item(value) or (isinstance(value.get("role"), str) and value["role"] in _ROLES)


def _is_item(value: dict[str, Any]) -> bool:
    kind = name_of(value.get("type"))
    if kind in _ITEM_RESULTS or (kind in _ITEM_CALLS and isinstance(value.get("name"), str)):
        return True
    return kind is not None and _ITEM_BUILT_IN.fullmatch(kind) is not None and isinstance(value.get("id"), str)


def _messages(value: Any) -> list[Any] | None:
    """The messages of a record: its own, those of the request it logs, and the answer that it logs with them."""
    if isinstance(value, list):
        return value if value and all(_is_message(item) for item in value) else None
    if not isinstance(value, dict):
        return None
    found = (_request(part) for part in (value, value.get("request"), value.get("body")))
    request = next((messages for messages in found if messages is not None), None)
    answer = next((part for part in (value, value.get("response")) if _answer(part)), None)
    if request is None:
        return _answer(answer) if isinstance(answer, dict) and answer.get("object") == "response" else None
    return [*request, *_answer(answer)]


def _request(value: Any) -> list[Any] | None:
    """What went into a model: a list of messages, or the Responses API's `input`, which may be the user's words."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("messages"), list):
        return list(value["messages"])
    given = value.get("input", value.get("items"))
    if isinstance(given, str) and "model" in value and not isinstance(value.get("output"), str):
        return [{"role": "user", "content": given}]
    return list(given) if isinstance(given, list) and given and all(_is_part(item) for item in given) else None


def _is_part(item: Any) -> bool:
    return _is_message(item) or (isinstance(item, dict) and item.get("type") in ("reasoning", "item_reference"))


def _answer(value: Any) -> list[Any]:
    """What came out of a model: the first of its `choices`, or the `output` items of a response."""
    if not isinstance(value, dict):
        return []
    choices, output = value.get("choices"), value.get("output")
    if isinstance(choices, list):
        first = choices[0] if choices else None
        return [first["message"]] if isinstance(first, dict) and isinstance(first.get("message"), dict) else []
    return list(output) if isinstance(output, list) and output and all(_is_part(item) for item in output) else []


def _session(record: Record, reading: Reading, fallback_id: str) -> Session:
    messages = _messages(record.value)
    if messages is None:
        raise ContentError("not_a_session")
    data: Mapping[str, Any] = record.value if isinstance(record.value, dict) else {}
    metadata = data.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    notes = dict(record.notes)
    builder = _Builder(notes, reading)
    for message in messages:
        builder.add(message)
    agent = data.get("agent")
    agent = agent if isinstance(agent, dict) else {"name": agent}
    request: Mapping[str, Any] = next(
        (data[name] for name in ("request", "body") if isinstance(data.get(name), dict)), {}
    )
    merged = {**request, **metadata, **{name: value for name, value in data.items() if value is not None}}
    session = Session(
        session_id=session_id_of(_first(merged, _IDS) or fallback_id),
        agent=Agent(
            name_of(agent.get("name")) or name_of(merged.get("agent_name")) or "unknown",
            name_of(agent.get("version")) or name_of(merged.get("agent_version")) or name_of(merged.get("version")),
            name_of(agent.get("model")) or name_of(merged.get("model")),
            name_of(agent.get("prompt_version")) or name_of(merged.get("prompt_version")),
        ),
        steps=builder.steps,
        user_id=name_of(_first(merged, _USERS)) or name_of(dig(data, reading.user_field)),
        organization_id=name_of(merged.get("organization_id")),
        started_at=_time(merged, _STARTS),
        ended_at=parse_time(merged.get("ended_at")),
        notes=notes,
    )
    return with_times(session)


def _first(data: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((data[name] for name in names if data.get(name) not in (None, "")), None)


def _time(data: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    return next((at for name in names if (at := parse_time(data.get(name))) is not None), None)


class _Builder:
    """Messages in, steps out."""

    def __init__(self, notes: dict[str, int], reading: Reading) -> None:
        self.steps: list[Step] = []
        self._notes, self._limits, self._tally = notes, reading.limits, reading.tally
        self._tools: dict[str, str] = {}

    def add(self, message: Any) -> None:
        """Append the steps of one message. Raises ContentError for one that breaks a cap."""
        role = message.get("role") if isinstance(message, dict) else None
        if role is None and isinstance(message, dict) and _is_item(message):
            self._item(message)
        elif role == "user":
            self._text("user_message", message)
        elif role == "assistant":
            self._text("assistant_message", message)
            self._calls(message)
        elif role in ("tool", "function"):
            self._result(message)
        else:
            self._tally[_passed_over(message, role)] += 1
        if len(self.steps) > self._limits.steps:
            raise ContentError("too_many_steps")

    def _text(self, kind: str, message: Mapping[str, Any]) -> None:
        content = message.get("content") or message.get("refusal")
        text = text_of(parts_text(content), self._notes, self._limits)
        if text and text.strip():
            self.steps.append(Step(kind, _time(message, _TIMES), text, llm_call_id=name_of(message.get("id"))))

    def _calls(self, message: Mapping[str, Any]) -> None:
        calls = message.get("tool_calls")
        calls = list(calls) if isinstance(calls, list) else []
        if isinstance(message.get("function_call"), dict):
            calls.append({"function": message["function_call"]})
        for call in calls:
            call = call if isinstance(call, dict) else {}
            function = call.get("function") or call.get("custom")
            function = function if isinstance(function, dict) else {}
            value = function.get("arguments", function.get("input"))
            self._call(message, name_of(function.get("name")), name_of(call.get("id")), value)

    def _call(self, message: Mapping[str, Any], tool: str | None, call_id: str | None, value: Any) -> None:
        if call_id and tool:
            self._tools[call_id] = tool
        arguments = arguments_of(value if value != "" else {}, self._limits)
        at = _time(message, _TIMES)
        self.steps.append(Step("tool_call", at, tool_name=tool, tool_call_id=call_id, arguments=arguments))

    def _result(self, message: Mapping[str, Any]) -> None:
        content = message.get("content", message.get("output"))
        text = text_of(parts_text(content), self._notes, self._limits)
        call_id = name_of(message.get("tool_call_id")) or name_of(message.get("call_id"))
        status = status_of(message.get("status")) or _ITEM_STATUS.get(str(message.get("status")))
        self.steps.append(
            Step(
                "tool_result",
                _time(message, _TIMES),
                text,
                tool_name=name_of(message.get("name")) or self._tools.get(call_id or ""),
                tool_call_id=call_id,
                status=status or result_status(text, message.get("is_error")),
            )
        )

    def _item(self, item: Mapping[str, Any]) -> None:
        """One item of the Responses API that is no message; a tool that ran at the provider is call and result."""
        kind = str(item["type"])
        if kind in _ITEM_RESULTS:
            self._result(item)
            return
        call_id = name_of(item.get("call_id")) or name_of(item.get("id"))
        tool = name_of(item.get("name")) or kind.removesuffix("_call")
        given = (item.get(name) for name in ("arguments", "input", "action", "queries", "code"))
        self._call(item, tool, call_id, next((value for value in given if value is not None), None))
        if kind in ("function_call", "custom_tool_call", "computer_call", "local_shell_call"):
            return  # runs at the agent: the result is an item of its own
        failed = item.get("error") is not None
        told = item.get("error") if failed else item.get("output", item.get("outputs", item.get("results")))
        self._result({**item, "name": tool, "call_id": call_id, "content": told, "is_error": failed})


def _passed_over(message: Any, role: Any) -> str:
    if role in ("system", "developer"):
        return "messages_without_step.system"
    kind = message.get("type") if isinstance(message, dict) else None
    return f"messages_without_step.{kind}" if kind in ("reasoning", "item_reference") else "messages_unreadable"


def result_status(text: str | None, is_error: Any = None) -> str:
    """Status of a result that carries none: `error` when it says so itself in the customary ways, else `ok`."""
    if is_error is True:
        return "error"
    lead = (text or "").lstrip()
    if lead.startswith(("Error:", "error:", "Traceback (most recent call last)")):
        return "error"
    return "error" if lead.startswith("{") and _reports_error(lead) else "ok"


def _reports_error(text: str) -> bool:
    """Whether a JSON object names an error; `{"error": null}` names none. Long objects are judged by their start."""
    if len(text) > _JUDGED_CHARS:
        return _ERROR_FIRST.match(text) is not None
    try:
        value, _ = parse_json(text.encode("utf-8", "replace"))
    except ContentError:
        return _ERROR_FIRST.match(text) is not None
    return isinstance(value, dict) and (
        bool(value.get("error"))
        or value.get("status") == "error"
        or True in (value.get("is_error"), value.get("isError"))
    )
