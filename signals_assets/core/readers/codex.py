"""Reader: rollouts of the Codex CLI, one JSON record a line.

Put here: which rollout items are steps, and how a command's end shows in its output.
Not here: where rollouts lie (see `resources/session_source.py`).

A rollout tells some things twice: `response_item` is what the model saw, `event_msg` what the interface showed.
Steps come from the former; the latter says which texts under the user's role a person typed (instructions,
environment and skills stand there too) and that a turn was aborted. Rollouts of 2025 hold bare items.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from signals_assets.core.readers.common import (
    ContentError,
    Gathered,
    Limits,
    Reading,
    Record,
    Rejected,
    arguments_of,
    dig,
    head_objects,
    name_of,
    parts_text,
    session_id_of,
    text_of,
    with_times,
)
from signals_assets.core.sessions import Agent, Session, Step, parse_time

_TYPES: Final = frozenset({"session_meta", "response_item", "event_msg", "turn_context", "compacted"})
_CALLS: Final = {
    "function_call": "arguments",
    "custom_tool_call": "input",
    "local_shell_call": "action",
    "web_search_call": "action",
    "tool_search_call": "arguments",
}
_OUTPUTS: Final = frozenset({"function_call_output", "custom_tool_call_output", "tool_search_output"})
_EXIT: Final = re.compile(r"^(?:Process exited with|Exit) [^\s:]{1,20}:? (-?\d+)", re.M)
_OUTPUT_HEAD: Final = 500
"""The line that tells the exit code stands before the command's own output."""
_ABORTED: Final = re.compile(r"aborted by user|<turn_aborted>", re.I)
_REFUSED: Final = re.compile(r"rejected by user|user (?:denied|rejected)", re.I)
_TIMED_OUT: Final = re.compile(r"timed out after", re.I)
_INJECTED: Final = (
    "# AGENTS.md instructions",
    "<user_instructions>",
    "<environment_context>",
    "<permissions instructions>",
    "<turn_aborted>",
    "<skill>",
    "<user_shell_command>",
    "<subagent_notification>",
)


class _Rollout(Gathered):
    """A rollout in the making."""

    __slots__ = ("meta", "model", "started_at", "tools", "typed", "typed_known", "user")

    def __init__(self) -> None:
        super().__init__()
        self.meta: Mapping[str, Any] = {}
        self.model: str | None = None
        self.started_at: float | None = None
        self.tools: dict[str, str] = {}
        self.typed: set[str] = set()
        """Texts that the interface recorded as typed."""
        self.typed_known = False
        self.user: str | None = None


class CodexReader:
    """Codex rollouts; a file is one session."""

    name = "codex"

    def sniff(self, name: str, head: bytes) -> bool:  # noqa: ARG002 - the records say enough
        """True for rollout records in the first lines."""
        objects = head_objects(head)
        if objects:
            first = objects[0]
            bare = {"id", "timestamp", "instructions"} <= first.keys() and "steps" not in first
            return bare or any(name_of(item.get("type")) in _TYPES and "payload" in item for item in objects)
        return b'"session_meta"' in head and b'"payload"' in head

    def read(self, records: Iterator[Record], reading: Reading) -> Iterator[Session | Rejected]:
        """The session of the file, after the rejections of its unreadable records."""
        rollout = _Rollout()
        for record in records:
            reason = record.reason
            if reason is None:
                try:
                    _take(record, rollout, reading)
                except ContentError as error:
                    reason = str(error)
            if reason:
                yield reading.rejected(reason, self.name, record.position, record.size)
        if rollout.records:
            yield _finished(rollout, reading)


def _take(record: Record, rollout: _Rollout, reading: Reading) -> None:
    data = record.value
    if not isinstance(data, dict):
        raise ContentError("not_a_record")
    payload = data.get("payload")
    kind, payload = (name_of(data.get("type")), payload) if isinstance(payload, dict) else ("response_item", data)
    at = parse_time(data.get("timestamp"))
    steps: list[Step] = []
    if kind == "session_meta" or ("instructions" in data and not rollout.meta):
        # A resumed or forked rollout repeats the metadata of its predecessor; the first is its own.
        rollout.meta = rollout.meta or payload
        rollout.started_at = rollout.started_at or parse_time(payload.get("timestamp")) or at
    elif kind == "turn_context":
        rollout.model = rollout.model or name_of(payload.get("model"))
    elif kind == "compacted":
        steps.append(Step("event", at, name="compact_boundary"))
    elif kind == "event_msg":
        steps.extend(_interface(payload, at, rollout, reading.limits))
    elif kind == "response_item":
        steps.extend(_item(payload, at, rollout, reading.limits))
    rollout.saw(record)
    if rollout.user is None and reading.user_field:
        rollout.user = name_of(dig(data, reading.user_field)) or name_of(dig(payload, reading.user_field))
    for step in steps:
        rollout.add(step, reading.limits)
    if not steps:
        what = name_of(payload.get("type")) or name_of(kind) or "other"
        rollout.skip(what if re.fullmatch(r"[a-z_]{1,40}", what) else "other")


def _interface(payload: Mapping[str, Any], at: float | None, rollout: _Rollout, limits: Limits) -> Iterator[Step]:
    match payload.get("type"):
        case "user_message":
            rollout.typed_known = True
            if isinstance(message := payload.get("message"), str):
                rollout.typed.add(message.strip())
        case "turn_aborted":
            reason = name_of(payload.get("reason")) or "interrupted"
            yield Step("event", at, reason, name="interrupt")
        case "error" | "stream_error":
            yield Step("event", at, text_of(payload.get("message"), rollout.notes, limits), name="api_error")


def _item(payload: Mapping[str, Any], at: float | None, rollout: _Rollout, limits: Limits) -> Iterator[Step]:
    kind = name_of(payload.get("type"))
    if kind == "message":
        yield from _message(payload, at, rollout, limits)
    elif kind in _CALLS:
        yield _call(payload, at, rollout, limits)
    elif kind in _OUTPUTS:
        yield _result(payload, at, rollout, limits)


def _message(payload: Mapping[str, Any], at: float | None, rollout: _Rollout, limits: Limits) -> Iterator[Step]:
    role = payload.get("role")
    text = text_of(parts_text(payload.get("content")), rollout.notes, limits)
    if text is None or not text.strip() or role in ("developer", "system"):
        return
    if role == "assistant":
        yield Step("assistant_message", at, text)
    else:
        # Whether a person typed it is known at the end of the rollout: see `_finished`.
        yield Step("user_message", at, text)


def _call(payload: Mapping[str, Any], at: float | None, rollout: _Rollout, limits: Limits) -> Step:
    kind = payload["type"]
    call = name_of(payload.get("call_id")) or name_of(payload.get("id"))
    tool = name_of(payload.get("name")) or kind.removesuffix("_call")
    if call:
        rollout.tools[call] = tool
    value = payload.get(_CALLS[kind])
    if kind == "custom_tool_call" and isinstance(value, str):
        value = {"input": value}
    return Step("tool_call", at, tool_name=tool, tool_call_id=call, arguments=arguments_of(value, limits))


def _result(payload: Mapping[str, Any], at: float | None, rollout: _Rollout, limits: Limits) -> Step:
    output = payload.get("output")
    metadata: Any = None
    if isinstance(output, str) and output.startswith('{"output"'):
        # Rollouts of 2025 wrap the output and its exit code in JSON text.
        unwrapped = arguments_of(output, limits) or {}
        output, metadata = unwrapped.get("output", output), unwrapped.get("metadata")
    elif isinstance(output, dict):
        output, metadata = output.get("content", output), output.get("metadata") or output
    text = text_of(parts_text(output), rollout.notes, limits)
    call = name_of(payload.get("call_id")) or name_of(payload.get("id"))
    status = _status(text or "", metadata)
    return Step("tool_result", at, text, tool_name=rollout.tools.get(call or ""), tool_call_id=call, status=status)


def _status(text: str, metadata: Any) -> str:
    head = text[:_OUTPUT_HEAD]
    metadata = metadata if isinstance(metadata, dict) else {}
    found = _EXIT.search(head)
    exit_code = metadata.get("exit_code", int(found[1]) if found else 0)
    if _REFUSED.match(head.removeprefix("exec command ")):
        return "rejected"
    if _ABORTED.match(head):
        return "interrupted"
    if exit_code == 124 or _TIMED_OUT.search(head.partition("\n")[0]):
        return "timeout"
    return "error" if exit_code != 0 or metadata.get("success") is False else "ok"


def _finished(rollout: _Rollout, reading: Reading) -> Session | Rejected:
    meta = rollout.meta
    reason = rollout.broken or (None if rollout.steps else "no_steps")
    try:
        session_id = session_id_of(meta.get("id") or meta.get("session_id") or reading.stem)
    except ContentError as error:
        reason = reason or str(error)
    if reason:
        return reading.rejected(reason, CodexReader.name, "session", rollout.size, rollout.records)
    for step in rollout.steps:
        if step.kind == "user_message" and not _typed(step.text or "", rollout):
            step.kind, step.name = "event", "injected"
    version = name_of(meta.get("cli_version"))
    rollout.tell(reading.tally)
    return with_times(
        Session(
            session_id=session_id,
            agent=Agent("codex-cli", version, rollout.model or name_of(meta.get("model"))),
            steps=rollout.steps,
            user_id=rollout.user,
            started_at=rollout.started_at,
            notes=rollout.notes,
        )
    )


def _typed(text: str, rollout: _Rollout) -> bool:
    if text.lstrip().startswith(_INJECTED):
        return False
    return not rollout.typed_known or text.strip() in rollout.typed
