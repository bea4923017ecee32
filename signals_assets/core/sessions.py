"""Stage 1 · sessions. The canonical session: what every reader yields and every later stage reads.

Put here: `Session`, `Step`, their JSON form, segments, the order of a session's words.
Not here: formats (see `readers/`), pseudonyms (see `core/identity.py`), tables (see `tables.py`).

Plain slotted dataclasses, not validated models: a day holds millions of steps, and the readers are the
place where foreign data is checked. Times are seconds since 1970 in UTC as floats, None when unknown.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final, Literal

import orjson

StepKind = Literal["user_message", "assistant_message", "tool_call", "tool_result", "event"]
STEP_KINDS: Final[tuple[str, ...]] = ("user_message", "assistant_message", "tool_call", "tool_result", "event")
STATUSES: Final[tuple[str, ...]] = ("ok", "error", "rejected", "interrupted", "timeout")
AGENTIC_KINDS: Final = frozenset({"assistant_message", "tool_call"})

SEGMENT_GAP_SECONDS: Final = 6 * 3600.0
"""A session that falls silent this long and goes on on another UTC day is a further segment."""


@dataclass(slots=True)
class Step:
    """One message, tool call, tool result or harness event; its index in the session is its position."""

    kind: str
    at: float | None = None
    text: str | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    arguments: Mapping[str, Any] | None = None
    by: str | None = None
    status: str | None = None
    user_comment: str | None = None
    name: str | None = None
    llm_call_id: str | None = None


@dataclass(slots=True)
class Agent:
    """The software under observation."""

    name: str = "unknown"
    version: str | None = None
    model: str | None = None
    prompt_version: str | None = None


@dataclass(slots=True)
class Feedback:
    """A thumb (rating 1 or -1) on one step, with an optional comment."""

    step: int | None
    rating: int
    comment: str | None = None
    at: float | None = None


@dataclass(slots=True)
class Session:
    """One conversation of a user with an agent, tool calls included."""

    session_id: str
    agent: Agent = field(default_factory=Agent)
    steps: list[Step] = field(default_factory=list)
    user_id: str | None = None
    organization_id: str | None = None
    started_at: float | None = None
    ended_at: float | None = None
    feedback: list[Feedback] = field(default_factory=list)
    segment: int = 0
    start_known_from: str = "session"
    """"session", "first_step", "file" or "unknown": where `started_at` comes from; counted in coverage."""
    source_format: str = "canonical"
    """Name of the reader that understood it."""
    notes: dict[str, int] = field(default_factory=dict)
    """What the reader did to make this session readable, e.g. {"nul_replaced": 2}; counts only."""

    @property
    def key(self) -> str:
        """The session's key in every table: its id, and its segment where it is not the first."""
        return self.session_id if self.segment == 0 else f"{self.session_id}.{self.segment}"

    @property
    def day(self) -> date:
        """The UTC day of its start (1970-01-01 when nothing knows the start)."""
        return datetime.fromtimestamp(self.started_at or 0.0, UTC).date()

    @property
    def agentic_steps(self) -> int:
        """Assistant messages and tool calls: what selection counts."""
        return sum(1 for step in self.steps if step.kind in AGENTIC_KINDS)


def parse_time(value: Any) -> float | None:
    """Seconds since 1970 of an ISO 8601 text or a number (seconds, or milliseconds when above 1e11).

    A time without a zone is UTC. Returns None for anything unreadable; never raises.
    """
    if value is None or isinstance(value, bool):
        return None
    try:
        if isinstance(value, int | float):
            seconds = float(value) / 1000.0 if value > 1e11 else float(value)
            return seconds if 0 <= seconds < 32503680000 else None
        moment = datetime.fromisoformat(str(value).strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def format_time(seconds: float | None) -> str | None:
    """ISO 8601 in UTC with milliseconds and a Z, or None."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_json(session: Session) -> bytes:
    """The canonical JSON of a session on one line, keys without a value left out, no trailing newline."""
    agent = {
        "name": session.agent.name,
        "version": session.agent.version,
        "model": session.agent.model,
        "prompt_version": session.agent.prompt_version,
    }
    data: dict[str, Any] = {
        "session_id": session.session_id,
        "user_id": session.user_id,
        "organization_id": session.organization_id,
        "started_at": format_time(session.started_at),
        "ended_at": format_time(session.ended_at),
        "agent": {key: value for key, value in agent.items() if value is not None},
        "steps": [_step_dict(step) for step in session.steps],
    }
    if session.segment:
        data["segment"] = session.segment
    if session.feedback:
        data["feedback"] = [
            {
                key: value
                for key, value in {
                    "step": item.step,
                    "rating": item.rating,
                    "comment": item.comment,
                    "at": format_time(item.at),
                }.items()
                if value is not None
            }
            for item in session.feedback
        ]
    return orjson.dumps({key: value for key, value in data.items() if value is not None})


def _step_dict(step: Step) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": step.kind}
    if step.at is not None:
        data["at"] = format_time(step.at)
    for name in (
        "text",
        "tool_name",
        "tool_call_id",
        "arguments",
        "by",
        "status",
        "user_comment",
        "name",
        "llm_call_id",
    ):
        value = getattr(step, name)
        if value is not None:
            data[name] = value
    return data


def from_json(line: bytes | str) -> Session:
    """The session that `to_json` wrote. For our own rows; foreign files go through `readers.canonical`.

    Raises ValueError (without quoting content) when the line is not a canonical session.
    """
    try:
        data = orjson.loads(line)
        steps = [
            Step(
                kind=raw["kind"],
                at=parse_time(raw.get("at")),
                text=raw.get("text"),
                tool_name=raw.get("tool_name"),
                tool_call_id=raw.get("tool_call_id"),
                arguments=raw.get("arguments"),
                by=raw.get("by"),
                status=raw.get("status"),
                user_comment=raw.get("user_comment"),
                name=raw.get("name"),
                llm_call_id=raw.get("llm_call_id"),
            )
            for raw in data["steps"]
        ]
        agent = data.get("agent") or {}
        return Session(
            session_id=data["session_id"],
            agent=Agent(
                agent.get("name") or "unknown", agent.get("version"), agent.get("model"), agent.get("prompt_version")
            ),
            steps=steps,
            user_id=data.get("user_id"),
            organization_id=data.get("organization_id"),
            started_at=parse_time(data.get("started_at")),
            ended_at=parse_time(data.get("ended_at")),
            feedback=[
                Feedback(raw.get("step"), int(raw["rating"]), raw.get("comment"), parse_time(raw.get("at")))
                for raw in data.get("feedback") or []
            ],
            segment=int(data.get("segment") or 0),
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ValueError("not a canonical session: stored row is unreadable; re-materialize its day") from None


def segments(session: Session, gap_seconds: float = SEGMENT_GAP_SECONDS) -> Iterator[Session]:
    """The session cut where it fell silent for `gap_seconds` and a user message resumed it on another UTC day.

    Yields the session itself when nothing is to be cut. Step indices restart in every segment; feedback follows
    its step. Segments after the first are numbered from `session.segment + 1`.
    """
    cuts = [0]
    last: float | None = session.started_at
    for index, step in enumerate(session.steps):
        if step.at is None:
            continue
        if (
            last is not None
            and index > cuts[-1]
            and step.kind == "user_message"
            and step.at - last >= gap_seconds
            and datetime.fromtimestamp(step.at, UTC).date() != datetime.fromtimestamp(last, UTC).date()
        ):
            cuts.append(index)
        last = max(last or step.at, step.at)
    if len(cuts) == 1:
        yield session
        return
    bounds = [*cuts, len(session.steps)]
    for number in range(len(cuts)):
        start, stop = bounds[number], bounds[number + 1]
        steps = session.steps[start:stop]
        times = [step.at for step in steps if step.at is not None]
        yield Session(
            session_id=session.session_id,
            agent=session.agent,
            steps=steps,
            user_id=session.user_id,
            organization_id=session.organization_id,
            started_at=session.started_at if number == 0 else times[0],
            ended_at=times[-1] if times else session.ended_at,
            feedback=[
                Feedback(item.step - start, item.rating, item.comment, item.at)
                for item in session.feedback
                if item.step is not None and start <= item.step < stop
            ],
            segment=session.segment + number,
            start_known_from=session.start_known_from if number == 0 else "first_step",
            source_format=session.source_format,
            notes=session.notes if number == 0 else {},
        )
