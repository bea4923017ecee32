"""Reader: OpenTelemetry spans and events of agents as OTLP JSON, one export request a line or one document.

Put here: OTLP JSON to spans, and how the spans of a conversation become one session.
Not here: the dialects of the instrumentations (see `otel_messages.py`), receiving spans (see
`resources/otlp_receiver.py`).

Spans are grouped by the conversation that one of them names, else by trace. Log records belong to the span whose id
they carry. Every call of a model repeats the whole history; only what the conversation has not seen yet is taken.
Tool calls are known from messages and from the spans of their execution: the call id joins them, else the tool's
name in order.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
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
    dig,
    head_objects,
    name_of,
    session_id_of,
    with_times,
)
from signals_assets.core.readers.otel_messages import (
    TOOL_OPERATION,
    Event,
    Making,
    call_step,
    heard,
    is_genai,
    is_inference,
    operation_of,
    result_step,
    spoken,
    tool_run,
    transcript,
)
from signals_assets.core.sessions import Agent, Session, Step

_TRACELOOP: Final = "traceloop.association.properties."
_VERCEL: Final = "ai.telemetry.metadata."
_CONVERSATION: Final = (
    "gen_ai.conversation.id",
    "session.id",
    "gen_ai.session.id",
    "langfuse.session.id",
    *(f"{_TRACELOOP}{name}" for name in ("conversation_id", "session_id", "thread_id", "chat_id")),
    *(f"{_VERCEL}{name}" for name in ("conversationId", "sessionId", "session_id", "threadId", "chatId")),
)
_USERS: Final = (
    "enduser.id",
    "user.id",
    "enduser.pseudo.id",
    "langfuse.user.id",
    f"{_TRACELOOP}user_id",
    f"{_VERCEL}userId",
    f"{_VERCEL}user_id",
)
_AGENTS: Final = ("gen_ai.agent.name", "agent.name", "agent_name", "ai.telemetry.functionId", "service.name")
_MODELS: Final = (
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.response.model_name",
    "llm.model_name",
    "ai.response.model",
    "ai.model.id",
)
_ORGANIZATIONS: Final = ("organization.id", "enduser.organization.id", "tenant.id", f"{_TRACELOOP}organization_id")
_NOBODY: Final = re.compile("unknown_service.*")
"""What SDKs call a service that nobody named."""
_ATTRIBUTE_DEPTH: Final = 16
_MESSAGE_KINDS: Final = frozenset({"user_message", "assistant_message"})


@dataclass(slots=True)
class _Span:
    """What is needed of a span; a log record is a span of one event until it is joined with its own."""

    span_id: str
    parent_id: str
    start: float | None
    end: float | None
    attributes: dict[str, Any]
    events: list[Event]
    error: str | None = None
    is_log: bool = False

    @property
    def operation(self) -> str:
        return operation_of(self.attributes)


@dataclass(slots=True)
class _Conversation:
    """Spans of one conversation in the making."""

    # A span is a record here: one export request carries spans of many conversations.
    spans: list[_Span] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)
    size: int = 0
    dropped: int = 0
    """Spans given up because the conversation alone is larger than all may be together."""

    def add(self, spans: list[_Span], size: int, limits: Limits) -> None:
        """Take further spans; a conversation above the cap keeps none and is rejected as a whole."""
        self.size += size
        self.spans.extend(spans)
        if self.size > limits.open_bytes:
            self.dropped += len(self.spans)
            self.spans = []


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
            if not is_genai(span.attributes, span.events):
                self.foreign += 1
                continue
            conversation = self.held.get(self._key(trace, span), share)
            conversation.add([span], share, self._reading.limits)
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
            conversation.add(unnamed.spans, unnamed.size, self._reading.limits)
            conversation.dropped += unnamed.dropped
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
    attributes = _attributes(raw.get("attributes"))
    events: list[Event] = [
        (_nanoseconds(event.get("timeUnixNano")), str(event.get("name")), _attributes(event.get("attributes")))
        for event in _objects(raw, "events")
    ]
    return _Span(
        name_of(raw.get("spanId")) or "",
        name_of(raw.get("parentSpanId")) or "",
        _nanoseconds(raw.get("startTimeUnixNano")),
        _nanoseconds(raw.get("endTimeUnixNano")),
        attributes,
        events,
        _error(raw.get("status"), attributes, events),
    )


def _error(status: Any, attributes: dict[str, Any], events: list[Event]) -> str | None:
    """What kind of error ended the span, or None."""
    if named := name_of(attributes.get("error.type")):
        return named
    if not isinstance(status, dict) or status.get("code") not in (2, "2", "STATUS_CODE_ERROR"):
        return None
    raised = (name_of(values.get("exception.type")) for _, name, values in events if name == "exception")
    return next((kind for kind in raised if kind), "error")


def _log(raw: dict[str, Any]) -> _Span:
    attributes = _attributes(raw.get("attributes"))
    at = _nanoseconds(raw.get("timeUnixNano")) or _nanoseconds(raw.get("observedTimeUnixNano"))
    body = _any_value(raw.get("body"))
    name = str(raw.get("eventName") or attributes.get("event.name") or "")
    event = {**attributes, **(body if isinstance(body, dict) else {} if body is None else {"content": body})}
    return _Span(name_of(raw.get("spanId")) or "", "", at, at, attributes, [(at, name, event)], is_log=True)


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


# --- spans to a session ----------------------------------------------------------------------------------------


_Key = tuple[str, str | None]


def _key(step: Step) -> _Key:
    """What makes two tellings of a step the same one: a message's words, a call's id, else its tool."""
    if step.kind in _MESSAGE_KINDS:
        return step.kind, (step.text or "").strip()
    return step.kind, f"id {step.tool_call_id}" if step.tool_call_id else step.tool_name


class _Told:
    """The keys of all steps so far, in order, with the places of each."""

    def __init__(self) -> None:
        self.keys: list[_Key] = []
        self._places: dict[_Key, list[int]] = {}

    def __contains__(self, key: _Key) -> bool:
        return key in self._places

    def add(self, key: _Key) -> None:
        """Put the key at the end."""
        self._places.setdefault(key, []).append(len(self.keys))
        self.keys.append(key)

    def find(self, key: _Key, start: int) -> int | None:
        """The first place of the key at or after `start`, or None."""
        places = self._places.get(key, [])
        index = bisect_left(places, start)
        return places[index] if index < len(places) else None


class _Talk:
    """The conversation so far: takes what is new, passes over what is told again."""

    def __init__(self, making: Making) -> None:
        self.steps: list[Step] = []
        self._making = making
        self._told = _Told()
        self._calls: dict[str, Step] = {}
        self._results: dict[str, Step] = {}
        self._waiting: list[Step] = []
        """Calls that messages told and no span has run yet."""
        self._began: dict[int, tuple[int, int]] = {}
        """Places in `_told` and `steps` after the input of a span."""
        self._running: dict[int, Step] = {}
        self._kept = 0

    # What a span of a model or an agent tells.

    def hear(self, span: _Span, inner: bool) -> None:
        """A span starts: take what is new of its input messages, those that continue the conversation."""
        steps = heard(span.attributes, span.events, self._making)
        self._take(steps, span.start, inner, 0 if self._repeats(steps) else None)
        self._began[id(span)] = len(self._told.keys), len(self.steps)

    def speak(self, span: _Span, inner: bool) -> None:
        """A span ends: take its output messages, unless spans within it told them."""
        told, began = self._began[id(span)]
        steps, at = spoken(span.attributes, span.events, self._making), span.end or span.start
        self._take(steps, at, inner, told)
        self._take(transcript(span.attributes, self._making), at, inner, 0)
        known = any(step.name == "api_error" for step in self.steps[began:])
        if span.error and is_inference(span.operation) and not (steps or known):
            self._append(Step("event", text=span.error, name="api_error"), at)

    def _repeats(self, steps: list[Step]) -> bool:
        """Whether an input tells the history again, rather than only what is new."""
        keys = [_key(step) for step in steps]
        if not any(kind == "assistant_message" for kind, _ in self._told.keys):
            return True
        return bool(keys) and (
            keys[-1] == self._told.keys[-1] or any(key[0] != "user_message" and key in self._told for key in keys)
        )

    def _take(self, steps: Iterable[Step], at: float | None, inner: bool, again: int | None) -> None:
        """Append steps; those that stand from place `again` on, in order, are told again and passed over."""
        for step in steps:
            key = _key(step)
            place = None if again is None else self._told.find(key, again)
            if place is not None:
                again = place + 1
            known = self._known(step)
            if known is not None:
                _complete(known, step)
            elif place is None:
                self._new(step, key, at, inner)
                again = None if again is None else len(self._told.keys)

    def _known(self, step: Step) -> Step | None:
        known = self._calls if step.kind == "tool_call" else self._results if step.kind == "tool_result" else {}
        return known.get(step.tool_call_id or "")

    def _new(self, step: Step, key: _Key, at: float | None, inner: bool) -> None:
        self._told.add(key)
        if step.kind == "tool_call":
            self._waiting.append(step)
            _register(step, self._calls)
        elif step.kind == "tool_result":
            self._answered(step)
        elif inner and step.kind == "user_message":
            # What an agent tells its sub-agent is not a user's words.
            step = Step("event", text=step.text, name="injected")
        self._append(step, at)

    def _answered(self, result: Step) -> None:
        _register(result, self._results)
        call = self._calls.get(result.tool_call_id or "")
        if call is None:
            call = next((step for step in self._waiting if step.tool_name == result.tool_name), None)
        elif result.tool_name is None:
            result.tool_name = call.tool_name
        if call in self._waiting:
            self._waiting.remove(call)

    # What a span of a tool tells.

    def begin(self, span: _Span) -> None:
        """A tool begins to run: the call that a message told, or a new one."""
        run = tool_run(span.attributes, span.events)
        step = call_step(run.name, run.call_id, run.arguments, self._making)
        call = self._calls.get(step.tool_call_id or "") or next(
            (
                call
                for call in self._waiting
                if call.tool_name == step.tool_name and not (call.tool_call_id and step.tool_call_id)
            ),
            None,
        )
        if call is None:
            self._new(step, _key(step), span.start, inner=False)
            call = step
        else:
            _complete(call, step)
            call.tool_call_id = call.tool_call_id or step.tool_call_id
            _register(call, self._calls)
        if call in self._waiting:
            self._waiting.remove(call)
        self._running[id(span)] = call

    def end(self, span: _Span) -> None:
        """A tool ended: its result."""
        call, run = self._running[id(span)], tool_run(span.attributes, span.events)
        step = result_step(call.tool_name, call.tool_call_id, run.result, self._making)
        step.status = _status(span.error)
        self._take([step], span.end or span.start, inner=False, again=None)

    def _append(self, step: Step, at: float | None) -> None:
        step.at = at
        self.steps.append(step)
        self._kept += len(step.text or "") + 64
        if len(self.steps) > self._making.limits.steps:
            raise ContentError("too_many_steps")
        if self._kept > self._making.limits.session_bytes:
            raise ContentError("too_large")


def _register(step: Step, known: dict[str, Step]) -> None:
    if step.tool_call_id:
        known[step.tool_call_id] = step


def _complete(known: Step, step: Step) -> None:
    """Add to a step what its second telling knows more."""
    known.text = known.text or step.text
    known.arguments = known.arguments or step.arguments
    known.tool_name = known.tool_name or step.tool_name
    if step.status not in (None, "ok"):
        known.status = step.status


def _status(error: str | None) -> str:
    if error is None:
        return "ok"
    kind = error.lower()
    return "timeout" if "timeout" in kind else "interrupted" if "cancel" in kind else "error"


def _session(key: str, conversation: _Conversation, reading: Reading) -> Session | Rejected:
    notes, count = conversation.notes, len(conversation.spans) + conversation.dropped
    talk = _Talk(Making(reading.limits, notes))
    try:
        if conversation.dropped:
            raise ContentError("too_large")
        session_id = session_id_of(key)
        spans = _joined(conversation.spans)
        for _, _, action in _moments(spans, talk):
            action()
        if not talk.steps:
            raise ContentError("no_steps")
    except ContentError as error:
        return reading.rejected(str(error), OtelReader.name, "conversation", conversation.size, count)
    reading.tally["records"] += count
    seen = _Attributes([*(span.attributes for span in spans), conversation.resource])
    user = seen.first(*_USERS) or next(
        (user for span in spans if (user := name_of(dig(span.attributes, reading.user_field)))), None
    )
    return with_times(
        Session(
            session_id=session_id,
            agent=Agent(
                seen.first(*_AGENTS) or seen.first("gen_ai.agent.id") or "unknown",
                seen.first("gen_ai.agent.version", "service.version"),
                seen.first(*_MODELS),
                seen.first("gen_ai.prompt.version"),
            ),
            steps=talk.steps,
            user_id=user or name_of(dig(conversation.resource, reading.user_field)),
            organization_id=seen.first(*_ORGANIZATIONS),
            notes=notes,
        )
    )


def _joined(spans: list[_Span]) -> list[_Span]:
    """Spans in order of time, outer ones first, with their log records as events."""
    by_id = {span.span_id: span for span in spans if span.span_id and not span.is_log}
    joined = [span for span in spans if not span.is_log]
    for log in sorted((span for span in spans if span.is_log), key=lambda span: span.start or 0.0):
        span = by_id.get(log.span_id)
        if span is None:
            joined.append(log)
            if log.span_id:
                by_id[log.span_id] = log
            continue
        span.events.extend(log.events)
        span.attributes = {**log.attributes, **span.attributes}
        if span.is_log:
            span.end = log.end
    return sorted(joined, key=lambda span: (span.start or 0.0, -(span.end or 0.0)))


class _Attributes:
    """Attributes of all spans of a conversation and of its resource, in order."""

    def __init__(self, attributes: list[dict[str, Any]]) -> None:
        self._attributes = attributes

    def first(self, *names: str) -> str | None:
        """The first value under the first of the names that has one."""
        values = (name_of(attributes.get(name)) for name in names for attributes in self._attributes)
        return next((value for value in values if value and not _NOBODY.fullmatch(value)), None)


_Moment = tuple[float, int, Callable[[], None]]


def _moments(spans: list[_Span], talk: _Talk) -> list[_Moment]:
    """What happened when: (time, order of appearance, what to do then), in order of time.

    Messages are made only then: together they are many times the conversation.
    """
    above = _tools_above(spans)
    moments: list[_Moment] = []

    def at(time: float | None, action: Callable[[], None]) -> None:
        moments.append((time or 0.0, len(moments), action))

    for span in spans:
        tool = above.get(id(span))
        if span.operation != TOOL_OPERATION:
            at(span.start, lambda span=span, tool=tool: talk.hear(span, tool is not None))  # type: ignore[misc]
            at(span.end or span.start, lambda span=span, tool=tool: talk.speak(span, tool is not None))  # type: ignore[misc]
        elif tool is None or not _same_call(tool, span):
            at(span.start, lambda span=span: talk.begin(span))  # type: ignore[misc]
            at(span.end or span.start, lambda span=span: talk.end(span))  # type: ignore[misc]
    return sorted(moments, key=lambda moment: moment[:2])


def _same_call(outer: _Span, inner: _Span) -> bool:
    """Whether a client of tools (MCP) tells the call once more that the agent's span around it tells."""
    run, within = tool_run(outer.attributes, outer.events), tool_run(inner.attributes, inner.events)
    return run.name == within.name and within.call_id in (None, run.call_id)


def _tools_above(spans: list[_Span]) -> dict[int, _Span]:
    """The tool within which a span runs: such spans are those of sub-agents."""
    by_id = {span.span_id: span for span in spans if span.span_id}
    found: dict[int, _Span] = {}
    for span in spans:
        above, seen = by_id.get(span.parent_id), set[str]()
        while above is not None and above.span_id not in seen:
            if above.operation == TOOL_OPERATION:
                found[id(span)] = above
                break
            seen.add(above.span_id)
            above = by_id.get(above.parent_id)
    return found
