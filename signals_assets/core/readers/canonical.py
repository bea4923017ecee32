"""Reader: canonical JSON Lines, one session a line (see `core/sessions.py` for the form).

Put here: checks that a foreign file really holds what the canonical form promises.
Not here: the form itself and its writer (see `core/sessions.py`).

Indices are evidence, so a step that cannot be understood stays in its place as an event and is counted.
"""

from collections.abc import Iterator
from typing import Any, Final

from signals_assets.core.readers.common import (
    ContentError,
    Limits,
    Reading,
    Record,
    Rejected,
    arguments_of,
    dig,
    head_objects,
    name_of,
    session_id_of,
    status_of,
    text_of,
    with_times,
)
from signals_assets.core.sessions import STEP_KINDS, Agent, Feedback, Session, Step, parse_time

_KINDS: Final = frozenset(STEP_KINDS)


class CanonicalReader:
    """Canonical JSON Lines."""

    name = "canonical"

    def sniff(self, name: str, head: bytes) -> bool:  # noqa: ARG002 - the name says nothing about this format
        """True for a session object in the first lines, or for its keys when the first line is longer than the head."""
        objects = head_objects(head)
        if objects:
            return any("session_id" in item and "steps" in item for item in objects)
        return head.lstrip().startswith((b"{", b"[")) and b'"session_id"' in head and b'"steps"' in head

    def read(self, records: Iterator[Record], reading: Reading) -> Iterator[Session | Rejected]:
        """One session or one rejection for each record."""
        for record in records:
            try:
                if record.reason:
                    raise ContentError(record.reason)
                session = _session(record, reading)
                reading.tally["records"] += 1
                yield session
            except ContentError as error:
                yield reading.rejected(str(error), self.name, record.position, record.size)


def _session(record: Record, reading: Reading) -> Session:
    data = record.value
    if not isinstance(data, dict) or not isinstance(data.get("steps"), list):
        raise ContentError("not_a_session")
    raw_steps = data["steps"]
    if len(raw_steps) > reading.limits.steps:
        raise ContentError("too_many_steps")
    notes = dict(record.notes)
    agent = data.get("agent")
    agent = agent if isinstance(agent, dict) else {"name": agent}
    segment = data.get("segment")
    session = Session(
        session_id=session_id_of(data.get("session_id")),
        agent=Agent(
            name_of(agent.get("name")) or "unknown",
            name_of(agent.get("version")),
            name_of(agent.get("model")),
            name_of(agent.get("prompt_version")),
        ),
        steps=[_step(raw, notes, reading.limits) for raw in raw_steps],
        user_id=name_of(data.get("user_id")) or name_of(dig(data, reading.user_field)),
        organization_id=name_of(data.get("organization_id")),
        started_at=parse_time(data.get("started_at")),
        ended_at=parse_time(data.get("ended_at")),
        feedback=_feedback(data.get("feedback"), notes, reading.limits),
        segment=segment if isinstance(segment, int) and not isinstance(segment, bool) and segment >= 0 else 0,
        notes=notes,
    )
    return with_times(session)


def _step(raw: Any, notes: dict[str, int], limits: Limits) -> Step:
    if not isinstance(raw, dict):
        return _unreadable("step_unreadable", notes)
    get = raw.get
    kind = get("kind")
    text = get("text")
    if type(text) is not str or not text or len(text) > limits.text_chars:
        text = text_of(text, notes, limits)
    if type(kind) is not str or kind not in _KINDS:
        step = _unreadable("step_kind_unknown", notes)
        step.text, step.at = text, parse_time(get("at"))
        return step
    step = Step(kind, parse_time(get("at")), text)
    if kind == "tool_call" or kind == "tool_result":
        step.tool_name = name_of(get("tool_name"))
        step.tool_call_id = name_of(get("tool_call_id"))
        arguments = get("arguments")
        if arguments is not None:
            step.arguments = arguments_of(arguments, limits)
        by = get("by")
        step.by = by if by == "user" or by == "agent" else None
        step.status = status_of(get("status"))
        comment = get("user_comment")
        if comment is not None:
            step.user_comment = text_of(comment, notes, limits)
    elif kind == "event":
        step.name = name_of(get("name"))
    step.llm_call_id = name_of(get("llm_call_id"))
    return step


def _unreadable(what: str, notes: dict[str, int]) -> Step:
    notes[what] = notes.get(what, 0) + 1
    return Step("event", name="unreadable")


def _feedback(raw: Any, notes: dict[str, int], limits: Limits) -> list[Feedback]:
    if not isinstance(raw, list):
        return []
    kept: list[Feedback] = []
    for item in raw:
        rating = item.get("rating") if isinstance(item, dict) else None
        if rating not in (1, -1) or isinstance(rating, bool):
            notes["feedback_unreadable"] = notes.get("feedback_unreadable", 0) + 1
            continue
        step = item.get("step")
        kept.append(
            Feedback(
                step if isinstance(step, int) and not isinstance(step, bool) and step >= 0 else None,
                int(rating),
                text_of(item.get("comment"), notes, limits),
                parse_time(item.get("at")),
            )
        )
    return kept
