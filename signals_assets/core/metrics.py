"""Stage 2 · metrics. What code measures on every session: counts, times, and the detectors' events.

Put here: one pass over a chunk of stored sessions; picklable in and out, so it runs in any pool.
Not here: the detectors (see `detectors/`), admission of text (there is none in these rows), storage.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date
from statistics import median
from typing import Any, Final

from signals_assets.core.antecedents import antecedent_of, antecedents
from signals_assets.core.components import component_of
from signals_assets.core.coverage import Coverage
from signals_assets.core.detectors import Detected, Examined, examine
from signals_assets.core.detectors.cues import utterance
from signals_assets.core.sessions import AGENTIC_KINDS, Session, Step, from_json
from signals_assets.tables import Antecedent, Detection, SessionMetrics

LONGEST_GAP: Final = 1800.0
"""Seconds; a longer silence inside a turn is a person who was away from a permission prompt, not an agent at work."""
STOPPED: Final = frozenset({"rejected", "interrupted"})
USER_EVENTS: Final = frozenset({"interrupt", "slash_command"})
"""Events that the user causes; the others happen while the user waits."""
PERCENTILE: Final = 95


@dataclass(frozen=True, slots=True)
class MetricsChunk:
    """Some of a day's `raw_sessions` rows (or what reads them when iterated), and the settings' component map."""

    day: date
    rows: Iterable[Mapping[str, Any]]
    components: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetricsResult:
    """What a chunk gave. Coverage counts sessions; a failed one is named by the code of its error only."""

    metrics: list[SessionMetrics]
    detections: list[Detection]
    coverage: Coverage


def measure_chunk(chunk: MetricsChunk) -> MetricsResult:
    """Measure every session of the chunk; one that cannot be read or examined is counted failed, the rest goes on."""
    metrics: list[SessionMetrics] = []
    detections: list[Detection] = []
    notes: Counter[str] = Counter()
    asked = 0
    for row in chunk.rows:
        asked += 1
        try:
            measured, found = _measure(row, chunk)
        except Exception as error:  # noqa: BLE001 - one hostile session must not stop a day; its error has no text here
            notes[f"failed.{type(error).__name__}"] += 1
            continue
        metrics.append(measured)
        detections.extend(found)
        if measured.language != "en":
            notes["other_language"] += 1
        if measured.user_id is None:
            notes["without_user"] += 1
    answered = len(metrics)
    return MetricsResult(
        metrics, detections, Coverage(asked=asked, answered=answered, failed=asked - answered, notes=dict(notes))
    )


def _measure(row: Mapping[str, Any], chunk: MetricsChunk) -> tuple[SessionMetrics, list[Detection]]:
    session = from_json(row["session"])
    examined = examine(session)
    before = antecedents(session)
    measured = _session_metrics(row, chunk, session, examined, before)
    found = [_detection(row, chunk, session, event, before) for event in examined.detected]
    return measured, found


def _session_metrics(
    row: Mapping[str, Any],
    chunk: MetricsChunk,
    session: Session,
    examined: Examined,
    before: Mapping[int, Antecedent],
) -> SessionMetrics:
    turns = Counter(before.values())
    kinds = Counter(step.kind for step in session.steps)
    statuses = Counter(step.status for step in session.steps if step.kind == "tool_result")
    started = row["started_at"]
    if started.tzinfo is None:
        started = started.replace(tzinfo=UTC)
    times = [step.at for step in session.steps if step.at is not None]
    first_signs, waits = turn_seconds(session), wait_seconds(session)
    return SessionMetrics(
        day=chunk.day,
        known_on=row["known_on"],
        session_id=row["session_id"],
        user_id=row["user_id"],
        organization_id=row["organization_id"],
        agent_name=row["agent_name"],
        agent_version=row["agent_version"],
        agent_model=row["agent_model"],
        prompt_version=row["prompt_version"],
        started_at=started.astimezone(UTC).replace(second=0, microsecond=0),
        duration_seconds=round(max(times) - min(times), 3) if times else 0.0,
        steps=len(session.steps),
        agentic_steps=sum(kinds[kind] for kind in AGENTIC_KINDS),
        user_messages=kinds["user_message"],
        assistant_messages=kinds["assistant_message"],
        tool_calls=kinds["tool_call"],
        tool_errors=statuses["error"] + statuses["timeout"],
        tool_rejections=statuses["rejected"],
        interruptions=sum(step.kind == "event" and step.name == "interrupt" for step in session.steps),
        tool_call_confirmations=examined.facets.tool_call_confirmations,
        turns_after_failed_tool=turns["failed_tool"],
        turns_after_tool=turns["tool"],
        turns_after_answer=turns["answer"],
        components=components_called(session, chunk.components),
        median_turn_seconds=round(median(first_signs), 3) if first_signs else None,
        max_turn_seconds=round(max(first_signs), 3) if first_signs else None,
        median_wait_seconds=round(median(waits), 3) if waits else None,
        p95_wait_seconds=round(percentile(waits), 3) if waits else None,
        characters=sum(len(step.text) for step in session.steps if step.text),
        language=language_of(session),
    )


def components_called(session: Session, components: Mapping[str, Sequence[str]]) -> list[str]:
    """Components to which the tools belong that the agent called, sorted; tools of none are left out."""
    names = {step.tool_name for step in session.steps if step.kind == "tool_call" and step.tool_name}
    return sorted({component_of(components, [name]) for name in names} - {"unknown"})


def _detection(
    row: Mapping[str, Any], chunk: MetricsChunk, session: Session, event: Detected, before: Mapping[int, Antecedent]
) -> Detection:
    return Detection(
        day=chunk.day,
        known_on=row["known_on"],
        session_id=row["session_id"],
        user_id=row["user_id"],
        kind=event.kind,
        type=event.type,
        severity=event.severity,
        confidence=event.confidence,
        steps=list(event.steps),
        component=component_of(chunk.components, event.tool_names, event.paths),
        seconds_from_start=seconds_from_start(session, event.steps),
        antecedent=antecedent_of(event.steps, before),
    )


def turn_seconds(session: Session) -> list[float]:
    """Seconds to the first sign of the agent: from each user message to its next step that has a time."""
    waits: list[float] = []
    asked: float | None = None
    for step in session.steps:
        if step.at is None:
            continue
        if step.kind == "user_message":
            asked = step.at
        elif asked is not None and step.kind in AGENTIC_KINDS and step.by != "user":
            waits.append(max(0.0, step.at - asked))
            asked = None
    return waits


def wait_seconds(session: Session) -> list[float]:
    """How long the user waited in each turn, in seconds; a turn without a gap of the agent's has none.

    From each user message to the agent's last step or tool result before the next one, as a sum of gaps between steps
    that have a time. Left out are gaps of the user's own time: those that end in a rejected or interrupted result, in
    a call of the user's, its result or an event the user caused, and gaps over `LONGEST_GAP`. What is left may still
    hold the time of a permission prompt that was accepted sooner.
    """
    waits: list[float] = []
    own_calls: set[str] = set()
    before: float | None = None
    wait: float | None = None
    for step in session.steps:
        if step.by == "user" and step.tool_call_id:
            own_calls.add(step.tool_call_id)
        if step.at is None or (step.kind == "event" and step.name not in USER_EVENTS):
            continue
        if step.kind == "user_message":
            waits += [] if wait is None else [wait]
            before, wait = step.at, None
        elif before is not None:
            gap = max(0.0, step.at - before)
            before += gap
            if gap <= LONGEST_GAP and not _by_user(step, own_calls):
                wait = (wait or 0.0) + gap
    return waits if wait is None else [*waits, wait]


def _by_user(step: Step, own_calls: set[str]) -> bool:
    """Whether a step is something the user did or stopped; `own_calls` are the ids of calls of the user's."""
    return step.kind == "event" or step.by == "user" or step.status in STOPPED or step.tool_call_id in own_calls


def percentile(values: Sequence[float]) -> float:
    """The 95th percentile by nearest rank: the least value that 95 % of them do not exceed; `values` is not empty."""
    return sorted(values)[(PERCENTILE * len(values) + 99) // 100 - 1]


def seconds_from_start(session: Session, steps: Sequence[int]) -> float | None:
    """Seconds from the session's start to the first of the steps that has a time; None where times are unknown."""
    if session.started_at is None:
        return None
    at = next((at for index in steps if (at := session.steps[index].at) is not None), None)
    return None if at is None else round(max(0.0, at - session.started_at), 3)


def language_of(session: Session) -> str:
    """The language most of the user's words are in, as detected turn by turn; "en" where the user said nothing."""
    counts: Counter[str] = Counter()
    for step in session.steps:
        if step.kind == "user_message" and step.text:
            said = utterance(step.text)
            counts[said.language] += len(said.tokens)
    return max(counts, key=lambda code: (counts[code], code == "en", code)) if counts else "en"
