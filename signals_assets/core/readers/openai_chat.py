"""Reader: OpenAI chat messages, as JSON or JSON Lines.

Put here: conversations as `messages` with `tool_calls`, bare message lists, logged requests with their `choices`.
Not here: spans that carry such messages (see `otel.py`).

The format knows no time of a message and no outcome of a tool; where a record carries them anyway under common
names they are read. System and developer messages are the agent's configuration, not steps, and are counted.
"""

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
    return (
        isinstance(value, dict)
        and isinstance(value.get("role"), str)
        and value["role"] in _ROLES
        and "messages" not in value
    )


def _messages(value: Any) -> list[Any] | None:
    """The messages of a record: its own, those of the request it logs, and the answer that it logs with them."""
    if isinstance(value, list):
        return value if value and all(_is_message(item) for item in value) else None
    if not isinstance(value, dict):
        return None
    request = next((part for part in (value, value.get("request"), value.get("body")) if _has_messages(part)), None)
    if request is None:
        return None
    messages: list[Any] = list(request["messages"])
    response = value.get("response")
    answer = value if "choices" in value else response if isinstance(response, dict) else {}
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(first, dict) and isinstance(first.get("message"), dict):
        messages.append(first["message"])
    return messages


def _has_messages(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("messages"), list)


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
    merged = {**metadata, **data}
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
        if role == "user":
            self._text("user_message", message)
        elif role == "assistant":
            self._text("assistant_message", message)
            self._calls(message)
        elif role in ("tool", "function"):
            self._result(message)
        else:
            self._tally[
                "messages_without_step.system" if role in ("system", "developer") else "messages_unreadable"
            ] += 1
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
            call_id, tool = name_of(call.get("id")), name_of(function.get("name"))
            if call_id and tool:
                self._tools[call_id] = tool
            value = function.get("arguments", function.get("input"))
            arguments = arguments_of(value if value != "" else {}, self._limits)
            at = _time(message, _TIMES)
            self.steps.append(Step("tool_call", at, tool_name=tool, tool_call_id=call_id, arguments=arguments))

    def _result(self, message: Mapping[str, Any]) -> None:
        text = text_of(parts_text(message.get("content")), self._notes, self._limits)
        call_id = name_of(message.get("tool_call_id"))
        self.steps.append(
            Step(
                "tool_result",
                _time(message, _TIMES),
                text,
                tool_name=name_of(message.get("name")) or self._tools.get(call_id or ""),
                tool_call_id=call_id,
                status=status_of(message.get("status")) or result_status(text, message.get("is_error")),
            )
        )


def result_status(text: str | None, is_error: Any = None) -> str:
    """Status of a result that carries none: `error` when it says so itself in the customary ways, else `ok`."""
    if is_error is True:
        return "error"
    lead = (text or "").lstrip()
    return "error" if lead.startswith(("Error:", "error:", "Traceback (most recent call last)", '{"error"')) else "ok"
