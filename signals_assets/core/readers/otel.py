"""Reader: OpenTelemetry GenAI spans and events as OTLP JSON, one export request a line or one document.

Put here: the attribute and event names of the GenAI semantic conventions, present and past, and how spans become
one conversation.
Not here: receiving spans (see `resources/otlp_receiver.py`).

Spans are grouped by `gen_ai.conversation.id`, else by trace. Every inference span repeats the whole history in
`gen_ai.input.messages`; only what the conversation has not seen yet is taken. Tool calls are known from messages
and from `execute_tool` spans; the call id joins them. Names and forms: OpenTelemetry semantic conventions for
generative AI 1.27 to 1.37, and the indexed attributes of OpenLLMetry.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from signals_assets.core.readers.common import (
    ContentError,
    Holding,
    Limits,
    Reading,
    Record,
    Rejected,
    add_notes,
    arguments_of,
    dig,
    head_objects,
    json_text,
    name_of,
    parse_json,
    parts_text,
    session_id_of,
    text_of,
    with_times,
)
from signals_assets.core.sessions import Agent, Session, Step

_CONVERSATION: Final = ("gen_ai.conversation.id", "session.id", "gen_ai.session.id")
_USERS: Final = ("enduser.id", "user.id", "enduser.pseudo.id")
_INFERENCE: Final = frozenset({"chat", "text_completion", "generate_content", "invoke_agent", "create_agent"})
_INDEXED: Final = re.compile(r"gen_ai\.(prompt|completion)\.(\d{1,5})\.(.+)")
_INDEXED_CALL: Final = re.compile(r"tool_calls\.(\d{1,4})\.(id|name|arguments)")
_ROLE_EVENTS: Final = {
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    "gen_ai.choice": "assistant",
}
_NAMES_OF_CALL_ID: Final = ("id", "tool_call_id")
_ATTRIBUTE_DEPTH: Final = 16
_GENAI: Final = "gen_ai."
_MESSAGE_KINDS: Final = frozenset({"user_message", "assistant_message"})


@dataclass(slots=True)
class _Span:
    """What is needed of a span; a log record is a span of one event."""

    span_id: str
    parent_id: str
    start: float | None
    end: float | None
    attributes: dict[str, Any]
    events: list[tuple[float | None, str, dict[str, Any]]]
    error: str | None = None

    @property
    def operation(self) -> str:
        named = self.attributes.get("gen_ai.operation.name")
        if isinstance(named, str):
            return named
        return "execute_tool" if "gen_ai.tool.name" in self.attributes else "chat"


@dataclass(slots=True)
class _Conversation:
    """Spans of one conversation in the making."""

    # A span is a record here: one export request carries spans of many conversations.
    spans: list[_Span] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)
    size: int = 0


class OtelReader:
    """OTLP JSON with GenAI spans."""

    name = "otel"

    def sniff(self, name: str, head: bytes) -> bool:  # noqa: ARG002 - the records say enough
        """True for export requests in the first lines, or their keys in a document that spans lines."""
        if any("resourceSpans" in item or "resourceLogs" in item for item in head_objects(head)):
            return True
        return b'"resourceSpans"' in head[:4096] or b'"resourceLogs"' in head[:4096]

    def read(self, records: Iterator[Record], reading: Reading) -> Iterator[Session | Rejected]:
        """One session for each conversation; spans that are not about generative AI are counted in one rejection."""
        groups = _Groups(reading)
        for record in records:
            try:
                if record.reason:
                    raise ContentError(record.reason)
                groups.take(record)
            except ContentError as error:
                yield reading.rejected(str(error), self.name, record.position, record.size)
            for key, conversation in groups.held.overfull():
                yield groups.finished(key, conversation)
        for key, conversation in groups.held.rest():
            yield groups.finished(key, conversation)
        if groups.foreign:
            yield reading.rejected("not_genai", self.name, "spans", count=groups.foreign)


class _Groups:
    """Puts spans into their conversations, also when the span that names the conversation comes last."""

    def __init__(self, reading: Reading) -> None:
        self.held: Holding[_Conversation] = Holding(_Conversation, reading.limits.open_bytes)
        self.foreign = 0
        self._reading = reading
        self._conversation_of: dict[str, str] = {}
        self._parts: Counter[str] = Counter()

    def take(self, record: Record) -> None:
        """Group the spans of one export request. Raises ContentError when it is none."""
        found = list(_spans(record.value))
        if not found and not _is_export(record.value):
            raise ContentError("not_an_export")
        share = record.size // max(len(found), 1)
        for number, (trace, span, resource) in enumerate(found):
            if not _is_genai(span):
                self.foreign += 1
                continue
            conversation = self.held.get(self._key(trace, span), share)
            conversation.spans.append(span)
            conversation.size += share
            conversation.resource = conversation.resource or resource
            if number == 0:
                add_notes(conversation.notes, record.notes)

    def _key(self, trace: str, span: _Span) -> str:
        named = next((name for key in _CONVERSATION if (name := name_of(span.attributes.get(key)))), None)
        if named is None:
            return self._conversation_of.get(trace, trace)
        if self._conversation_of.setdefault(trace, named) == named and (earlier := self.held.pop(trace)):
            unnamed, size = earlier
            conversation = self.held.get(named, size)
            conversation.spans.extend(unnamed.spans)
            conversation.size += unnamed.size
            add_notes(conversation.notes, unnamed.notes)
            conversation.resource = conversation.resource or unnamed.resource
        return named

    def finished(self, key: str, conversation: _Conversation) -> Session | Rejected:
        """The session of a conversation; a conversation that was closed early goes on as a further segment."""
        result = _session(key, conversation, self._reading)
        if isinstance(result, Session):
            result.segment = self._parts[key]
            self._parts[key] += 1
        return result


# --- OTLP JSON to spans ----------------------------------------------------------------------------------------


def _is_export(value: Any) -> bool:
    return isinstance(value, dict) and ("resourceSpans" in value or "resourceLogs" in value)


def _objects(value: Any, key: str) -> Iterator[dict[str, Any]]:
    items = value.get(key) if isinstance(value, dict) else None
    if isinstance(items, list):
        yield from (item for item in items if isinstance(item, dict))


def _spans(export: Any) -> Iterator[tuple[str, _Span, dict[str, Any]]]:
    """Trace id, span and resource attributes of every span and log record."""
    for outer, inner, leaf, make in (
        ("resourceSpans", "scopeSpans", "spans", _span),
        ("resourceLogs", "scopeLogs", "logRecords", _log),
    ):
        for block in _objects(export, outer):
            resource = block.get("resource")
            attributes = _attributes(resource.get("attributes")) if isinstance(resource, dict) else {}
            for scope in _objects(block, inner):
                for raw in _objects(scope, leaf):
                    yield name_of(raw.get("traceId")) or "unknown-trace", make(raw), attributes


def _span(raw: dict[str, Any]) -> _Span:
    status = raw.get("status")
    attributes = _attributes(raw.get("attributes"))
    failed = isinstance(status, dict) and status.get("code") in (2, "2", "STATUS_CODE_ERROR")
    error = name_of(attributes.get("error.type")) or ("error" if failed else None)
    return _Span(
        name_of(raw.get("spanId")) or "",
        name_of(raw.get("parentSpanId")) or "",
        _nanoseconds(raw.get("startTimeUnixNano")),
        _nanoseconds(raw.get("endTimeUnixNano")),
        attributes,
        [
            (_nanoseconds(event.get("timeUnixNano")), str(event.get("name")), _attributes(event.get("attributes")))
            for event in _objects(raw, "events")
        ],
        error,
    )


def _log(raw: dict[str, Any]) -> _Span:
    attributes = _attributes(raw.get("attributes"))
    at = _nanoseconds(raw.get("timeUnixNano")) or _nanoseconds(raw.get("observedTimeUnixNano"))
    body = _any_value(raw.get("body"))
    name = str(raw.get("eventName") or attributes.get("event.name") or "")
    event = {**attributes, **(body if isinstance(body, dict) else {"content": body})}
    return _Span("", name_of(raw.get("spanId")) or "", at, at, attributes, [(at, name, event)])


def _nanoseconds(value: Any) -> float | None:
    try:
        seconds = int(value) / 1e9
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < 32503680000 else None


def _attributes(raw: Any) -> dict[str, Any]:
    """Attributes as a plain dict: OTLP's list of typed key-value pairs, or the object that some exporters write."""
    if isinstance(raw, dict):
        return dict(raw)
    found: dict[str, Any] = {}
    for item in raw if isinstance(raw, list) else ():
        if isinstance(item, dict) and isinstance(item.get("key"), str):
            found[item["key"]] = _any_value(item.get("value"))
    return found


def _any_value(value: Any, depth: int = 0) -> Any:
    """OTLP's AnyValue as plain JSON; deeper nesting than the conventions need is dropped."""
    if not isinstance(value, dict) or depth > _ATTRIBUTE_DEPTH:
        return None if isinstance(value, dict) else value
    for key, inner in value.items():
        if key == "kvlistValue":
            pairs = list(_objects(inner, "values"))
            return {str(item.get("key")): _any_value(item.get("value"), depth + 1) for item in pairs}
        if key == "arrayValue":
            items = inner.get("values") if isinstance(inner, dict) else None
            return [_any_value(item, depth + 1) for item in items] if isinstance(items, list) else []
        if key == "intValue":
            return int(inner) if isinstance(inner, str) and re.fullmatch(r"-?\d{1,18}", inner) else inner
        if key in ("stringValue", "boolValue", "doubleValue"):
            return inner
    return None


def _is_genai(span: _Span) -> bool:
    return any(key.startswith(_GENAI) for key in span.attributes) or any(
        name.startswith(_GENAI) for _, name, _ in span.events
    )


# --- messages to steps without a time --------------------------------------------------------------------------


def _json_value(value: Any) -> Any:
    """Structured attributes are often JSON text, since many SDKs know no nested attributes yet."""
    if isinstance(value, str):
        try:
            return parse_json(value.encode("utf-8", "replace"))[0]
        except ContentError:
            return value
    return value


def _message_steps(value: Any, limits: Limits, notes: dict[str, int], role: str | None = None) -> Iterator[Step]:
    """Steps of `gen_ai.input.messages`, `gen_ai.output.messages` or older bodies; system messages give none."""
    value = _json_value(value)
    for message in value if isinstance(value, list) else [value]:
        if isinstance(message, str):
            message = {"content": message}
        if not isinstance(message, dict):
            continue
        inner = message.get("message")
        if isinstance(inner, dict):
            message = {"role": message.get("role"), **inner}
        yield from _one_message(message, limits, notes, name_of(message.get("role")) or role or "user")


def _one_message(message: dict[str, Any], limits: Limits, notes: dict[str, int], role: str) -> Iterator[Step]:
    parts = message.get("parts")
    if isinstance(parts, list):
        yield from _part_steps([part for part in parts if isinstance(part, dict)], limits, notes, role)
        return
    content = _json_value(message["content"]) if isinstance(message.get("content"), list) else message.get("content")
    if role in ("tool", "function"):
        call_id = next((name for key in _NAMES_OF_CALL_ID if (name := name_of(message.get(key)))), None)
        yield _result_step(call_id, name_of(message.get("name")), content, limits, notes)
        return
    text = text_of(parts_text(content), notes, limits)
    if text and text.strip() and role in ("user", "assistant", "model"):
        yield Step("user_message" if role == "user" else "assistant_message", text=text)
    for call in _objects(message, "tool_calls"):
        function = call.get("function")
        function = function if isinstance(function, dict) else call
        yield _call_step(call.get("id"), function.get("name"), function.get("arguments"), limits)


def _part_steps(parts: list[dict[str, Any]], limits: Limits, notes: dict[str, int], role: str) -> Iterator[Step]:
    words = [part for part in parts if part.get("type") not in ("tool_call", "tool_call_response", "reasoning")]
    text = text_of(parts_text(words), notes, limits)
    if text and text.strip() and role in ("user", "assistant", "model"):
        yield Step("user_message" if role == "user" else "assistant_message", text=text)
    for part in parts:
        if part.get("type") == "tool_call":
            yield _call_step(part.get("id"), part.get("name"), part.get("arguments"), limits)
        elif part.get("type") == "tool_call_response":
            yield _result_step(
                name_of(part.get("id")),
                name_of(part.get("name")),
                part.get("response", part.get("result")),
                limits,
                notes,
            )


def _call_step(call_id: Any, name: Any, arguments: Any, limits: Limits) -> Step:
    return Step(
        "tool_call", tool_name=name_of(name), tool_call_id=name_of(call_id), arguments=arguments_of(arguments, limits)
    )


def _result_step(call_id: str | None, name: str | None, result: Any, limits: Limits, notes: dict[str, int]) -> Step:
    content = result if result is None or isinstance(result, str | list) else json_text(result)
    text = text_of(parts_text(content), notes, limits)
    return Step("tool_result", text=text, tool_name=name, tool_call_id=call_id, status="ok")


def _indexed_messages(attributes: Mapping[str, Any], which: str) -> list[dict[str, Any]]:
    """The messages of `gen_ai.prompt.0.role`, `gen_ai.prompt.0.content`, `gen_ai.prompt.0.tool_calls.0.name`, ..."""
    messages: dict[int, dict[str, Any]] = {}
    for key, value in attributes.items():
        match = _INDEXED.fullmatch(key)
        if match is None or match[1] != which:
            continue
        message = messages.setdefault(int(match[2]), {"tool_calls": {}})
        if call := _INDEXED_CALL.fullmatch(match[3]):
            message["tool_calls"].setdefault(int(call[1]), {})[call[2]] = value
        else:
            message[match[3]] = value
    return [
        {**message, "tool_calls": [message["tool_calls"][number] for number in sorted(message["tool_calls"])]}
        for _, message in sorted(messages.items())
    ]


def _span_messages(span: _Span, which: str, limits: Limits, notes: dict[str, int]) -> list[Step]:
    """Input or output messages of an inference span, from whichever form it uses."""
    role = "user" if which == "input" else "assistant"
    forms: list[tuple[str, Mapping[str, Any]]] = [("", span.attributes)]
    forms += [(name, attributes) for _, name, attributes in span.events]
    old = "prompt" if which == "input" else "completion"
    found: list[Step] = []
    for name, attributes in forms:
        if name in _ROLE_EVENTS:
            if (name == "gen_ai.choice") == (which == "output"):
                body = attributes.get("gen_ai.event.content", dict(attributes))
                found.extend(_message_steps(body, limits, notes, _ROLE_EVENTS[name]))
            continue
        for key in (f"gen_ai.{which}.messages", f"gen_ai.{old}"):
            if key in attributes:
                found.extend(_message_steps(attributes[key], limits, notes, role))
    return found or list(_message_steps(_indexed_messages(span.attributes, old), limits, notes, role))


# --- spans to a session ----------------------------------------------------------------------------------------


class _Talk:
    """The conversation so far: takes what is new, skips what is told again."""

    def __init__(self, limits: Limits, notes: dict[str, int]) -> None:
        self.steps: list[Step] = []
        self._limits, self._notes = limits, notes
        self._said: list[tuple[str, str | None]] = []
        self._calls: dict[str, Step] = {}
        self._results: dict[str, Step] = {}
        self._unnamed_calls: list[Step] = []

    def hear(self, steps: Iterable[Step], at: float | None, inner: bool) -> None:
        """Take what is new of the input messages of a span: those that continue the conversation."""
        heard = list(steps)
        keys = [(step.kind, step.text) for step in heard if step.kind in _MESSAGE_KINDS]
        repeats = self._tells_again(keys)
        position = 0
        for step in heard:
            if step.kind not in _MESSAGE_KINDS:
                self._tool(step, at)
                continue
            key = (step.kind, step.text)
            if repeats and key in self._said[position:]:
                position = self._said.index(key, position) + 1
            else:
                self._say(step, at, inner)
                position = len(self._said)

    def _tells_again(self, keys: list[tuple[str, str | None]]) -> bool:
        """Whether an input repeats the history, rather than bringing only new messages."""
        if not keys or not self._said:
            return False
        answers = [key for key in self._said if key[0] == "assistant_message"]
        return not answers or answers[-1] in keys or keys[-1] == self._said[-1]

    def speak(self, steps: Iterable[Step], at: float | None, inner: bool) -> None:
        """Take the output messages of a span, unless an outer span tells them once more."""
        for step in steps:
            if step.kind not in _MESSAGE_KINDS:
                self._tool(step, at)
            elif not self._said or self._said[-1] != (step.kind, step.text):
                self._say(step, at, inner)

    def _say(self, step: Step, at: float | None, inner: bool) -> None:
        self._said.append((step.kind, step.text))
        if inner and step.kind == "user_message":
            # What an agent tells its sub-agent is not a user's words.
            step = Step("event", text=step.text, name="injected")
        self._append(step, at)

    def _tool(self, step: Step, at: float | None) -> None:
        known = self._calls if step.kind == "tool_call" else self._results
        call_id = step.tool_call_id
        if call_id and call_id in known:
            earlier = known[call_id]
            earlier.text = earlier.text or step.text
            earlier.arguments = earlier.arguments or step.arguments
            return
        if call_id:
            known[call_id] = step
            if step.tool_name is None and call_id in self._calls:
                step.tool_name = self._calls[call_id].tool_name
        elif step.kind == "tool_call":
            self._unnamed_calls.append(step)
        self._append(step, at)

    def tool_span(self, span: _Span) -> tuple[Step, Step]:
        """The call and the result that an `execute_tool` span tells."""
        attributes = span.attributes
        call_id, tool = name_of(attributes.get("gen_ai.tool.call.id")), name_of(attributes.get("gen_ai.tool.name"))
        call = _call_step(call_id, tool, attributes.get("gen_ai.tool.call.arguments"), self._limits)
        result = _result_step(call_id, tool, attributes.get("gen_ai.tool.call.result"), self._limits, self._notes)
        told = [body for _, name, body in span.events if name in ("gen_ai.tool.message", "gen_ai.choice")]
        if result.text is None and told:
            result.text = next((step.text for step in _message_steps(told, self._limits, self._notes, "tool")), None)
        if span.error:
            result.status = "timeout" if "timeout" in span.error.lower() else "error"
        return call, result

    def call(self, step: Step, at: float | None) -> None:
        """A tool begins to run; a call without an id that a message told before is the same one."""
        if step.tool_call_id is None:
            told = next((call for call in self._unnamed_calls if call.tool_name == step.tool_name), None)
            if told is not None:
                self._unnamed_calls.remove(told)
                return
            self._append(step, at)
            return
        self._tool(step, at)

    def result(self, step: Step, at: float | None) -> None:
        """A tool ended."""
        self._tool(step, at)

    def error(self, kind: str, at: float | None) -> None:
        """A model call failed."""
        self._append(Step("event", text=kind, name="api_error"), at)

    def _append(self, step: Step, at: float | None) -> None:
        step.at = at
        self.steps.append(step)
        if len(self.steps) > self._limits.steps:
            raise ContentError("too_many_steps")


def _session(key: str, conversation: _Conversation, reading: Reading) -> Session | Rejected:
    spans = sorted(conversation.spans, key=lambda span: (span.start or 0.0, span.end or 0.0))
    notes = conversation.notes
    talk = _Talk(reading.limits, notes)
    try:
        session_id = session_id_of(key)
        for at, _, step in _moments(spans, talk, reading.limits, notes):
            step(at)
        if not talk.steps:
            raise ContentError("no_steps")
    except ContentError as error:
        return reading.rejected(str(error), OtelReader.name, "conversation", conversation.size, len(spans))
    reading.tally["records"] += len(spans)
    seen = _Attributes([*(span.attributes for span in spans), conversation.resource])
    user = seen.first(*_USERS) or next(
        (user for span in spans if (user := name_of(dig(span.attributes, reading.user_field)))), None
    )
    return with_times(
        Session(
            session_id=session_id,
            agent=Agent(
                seen.first("gen_ai.agent.name", "service.name") or "unknown",
                seen.first("gen_ai.agent.version", "service.version"),
                seen.first("gen_ai.response.model", "gen_ai.request.model"),
                seen.first("gen_ai.prompt.version"),
            ),
            steps=talk.steps,
            user_id=user or name_of(dig(conversation.resource, reading.user_field)),
            organization_id=seen.first("organization.id", "enduser.organization.id", "tenant.id"),
            notes=notes,
        )
    )


class _Attributes:
    """Attributes of all spans of a conversation and of its resource, in order."""

    def __init__(self, attributes: list[dict[str, Any]]) -> None:
        self._attributes = attributes

    def first(self, *names: str) -> str | None:
        """The first value under the first of the names that has one."""
        return next(
            (value for name in names for attributes in self._attributes if (value := name_of(attributes.get(name)))),
            None,
        )


def _moments(spans: list[_Span], talk: _Talk, limits: Limits, notes: dict[str, int]) -> list[tuple[float, int, Any]]:
    """What happened when: (time, order of appearance, what to do then), in order of time."""
    inner = _inner_spans(spans)
    moments: list[tuple[float, int, Any]] = []

    def at(time: float | None, action: Any) -> None:
        moments.append((time or 0.0, len(moments), action))

    for span in spans:
        start, end, deep = span.start, span.end or span.start, id(span) in inner
        if span.operation == "execute_tool":
            call, result = talk.tool_span(span)
            at(start, lambda _, step=call, time=start: talk.call(step, time))
            at(end, lambda _, step=result, time=end: talk.result(step, time))
            continue
        heard = _span_messages(span, "input", limits, notes)
        spoken = _span_messages(span, "output", limits, notes)
        at(start, lambda _, steps=heard, time=start, deep=deep: talk.hear(steps, time, deep))
        at(end, lambda _, steps=spoken, time=end, deep=deep: talk.speak(steps, time, deep))
        if span.error and span.operation in _INFERENCE and not spoken:
            at(end, lambda _, kind=span.error, time=end: talk.error(kind, time))
    return sorted(moments, key=lambda moment: moment[:2])


def _inner_spans(spans: list[_Span]) -> set[int]:
    """Spans that run inside a tool: those of sub-agents."""
    by_id = {span.span_id: span for span in spans if span.span_id}
    inner: set[int] = set()
    for span in spans:
        above, seen = by_id.get(span.parent_id), set[str]()
        while above is not None and above.span_id not in seen:
            if above.operation == "execute_tool":
                inner.add(id(span))
                break
            seen.add(above.span_id)
            above = by_id.get(above.parent_id)
    return inner
