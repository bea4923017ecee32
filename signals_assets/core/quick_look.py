"""The per-session stages in one go, for files: sessions in, lines of the tables out, every moment once.

Put here: what `signals analyze` computes on a chunk of sessions (measure, select, answer by the built-in rules,
abstract), the merge of detector and analyst, the wide facets; picklable in and out, so it runs in any pool.
Not here: reading and writing files (see `cli/analyze.py`), the stages themselves (see `metrics.py`, `analysis.py`,
`abstractions.py`).

The tables keep what the detectors and what the analyst say side by side, and a rate has one source. A file has no
later stage that chooses, so here a moment that both found is one line. Session ids are the source's own.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from signals_assets.core.abstractions import (
    AbstractionChunk,
    Abstractions,
    SessionCase,
    abstract_chunk,
    answer_texts,
    parsed_answer,
)
from signals_assets.core.analysis import Question, analysis_rows, batch_rows, requests
from signals_assets.core.analysis_rules import RULES_MODEL, AnswerChunk, answer_chunk
from signals_assets.core.barrier import Support, lexicon
from signals_assets.core.barrier.support import Partial, SupportChunk, Vocabulary, count_chunk, feature_hash, merged
from signals_assets.core.coverage import Coverage
from signals_assets.core.metrics import MetricsChunk, measure_chunk
from signals_assets.core.records import raw_session_row
from signals_assets.core.selection import select
from signals_assets.core.sessions import Session
from signals_assets.core.taxonomy import Taxonomy
from signals_assets.settings import Audience
from signals_assets.tables import (
    AbstractedSummary,
    DelightEvent,
    Detection,
    EventRow,
    Facet,
    FrictionEvent,
    RawSession,
    Row,
    SessionMetrics,
    UnmetNeed,
)

TABLES: Final[tuple[type[Row], ...]] = (
    SessionMetrics,
    Detection,
    Facet,
    AbstractedSummary,
    FrictionEvent,
    DelightEvent,
    UnmetNeed,
)
"""What is written, a file of lines each."""
ANALYST: Final = "rules"
LISTED_FACETS: Final = ("programming_languages", "frameworks")


@dataclass(frozen=True, slots=True)
class Options:
    """What the stages depend on besides the sessions."""

    audience: Audience
    key: bytes
    min_steps: int
    min_confidence: float
    prompt: str
    taxonomy: Taxonomy
    components: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Part:
    """What some sessions gave; parts add up in the order of the sessions. `lines` are JSON by table."""

    lines: dict[str, list[bytes]] = field(default_factory=lambda: {model.table: [] for model in TABLES})
    stages: dict[str, Coverage] = field(default_factory=dict)
    """Coverage of metrics, analysis and abstractions; each counts sessions."""
    refused: Counter[str] = field(default_factory=Counter)
    """Texts and names that the barrier refused, by rule."""
    moments: Counter[str] = field(default_factory=Counter)
    """What became of the events of detectors and analyst."""
    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    sessions: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Events written, and sessions that have any, by kind and type."""
    outcomes: Counter[str] = field(default_factory=Counter)
    texts: set[str] = field(default_factory=set)
    """Free texts of the answers: what user support must be counted for."""
    cases: list[bytes] = field(default_factory=list)
    """Between two passes: one line per session with its detections and its analysis."""

    def add(self, other: "Part") -> None:
        """Take over another part's lines and counts."""
        for name, lines in other.lines.items():
            self.lines[name].extend(lines)
        for stage, coverage in other.stages.items():
            self.cover(stage, coverage)
        for name in ("refused", "moments", "events", "sessions", "outcomes", "texts"):
            getattr(self, name).update(getattr(other, name))
        self.cases.extend(other.cases)

    def cover(self, stage: str, coverage: Coverage) -> None:
        """Add to a stage's coverage."""
        self.stages[stage] = self.stages.get(stage, Coverage()) + coverage


@dataclass(frozen=True, slots=True)
class LookChunk:
    """Some sessions as `stored_session` wrote them. `cases` and `support` are for the second of two passes."""

    sessions: tuple[bytes, ...]
    options: Options
    cases: tuple[bytes, ...] = ()
    support: Support = field(default_factory=Support)


@dataclass(frozen=True, slots=True)
class CountChunk:
    """Some sessions as `stored_session` wrote them, and what to count in them."""

    sessions: tuple[bytes, ...]
    vocabulary: Vocabulary
    key: bytes


def stored_session(session: Session, key: bytes) -> bytes:
    """A row of `raw_sessions` as one JSON line, under the session's own id; the user is a pseudonym."""
    row = raw_session_row(session, day=session.day, known_on=session.day, key=key)
    return row.model_copy(update={"session_id": session.key}).model_dump_json().encode()


def look(chunk: LookChunk) -> Part:
    """All stages in one pass: for an audience of one user, where no word needs the support of others."""
    total = Part()
    for line in chunk.sessions:
        raw = _raw(line)
        total.add(_abstracted(_measured(raw, chunk.options, total), chunk))
    return total


def measure(chunk: LookChunk) -> Part:
    """The first of two passes: metrics, detections and answers. What the second needs stands in `cases`, `texts`."""
    total = Part()
    for line in chunk.sessions:
        case = _measured(_raw(line), chunk.options, total)
        answer = parsed_answer(case["analysis"]) if case["analysis"] is not None else None
        total.texts.update(answer_texts(answer) if answer is not None else ())
        total.cases.append(orjson.dumps({"analysis": case["analysis"], "detections": case["detections"]}))
    return total


def count(chunk: CountChunk) -> Partial:
    """Between the passes: distinct users of every word and sequence that the answers use."""
    rows = (_raw(line) for line in chunk.sessions)
    return count_chunk(SupportChunk([(row["user_id"], row["session"]) for row in rows], chunk.vocabulary, chunk.key))


def supported(partials: Iterable[Partial], key: bytes) -> Support:
    """The users behind every word and sequence, over all chunks that were counted."""
    return Support({feature_hash(feature, key): len(users) for feature, users in merged(partials).items()})


def abstract(chunk: LookChunk) -> Part:
    """The second of two passes: what the barrier admits under the support of all sessions."""
    total = Part()
    for line, case in zip(chunk.sessions, chunk.cases, strict=True):
        stored = orjson.loads(case)
        known = SessionCase(raw=_raw(line), analysis=stored["analysis"], detections=stored["detections"])
        total.add(_abstracted(known, chunk))
    return total


def _raw(line: bytes) -> dict[str, Any]:
    return RawSession.model_validate_json(line).model_dump()


# --- the stages, one session at a time: sessions of a file have days of their own ----------------------------------


def _measured(raw: dict[str, Any], options: Options, total: Part) -> SessionCase:
    """Stages 2 and 3 of one session; adds lines and coverage to `total`."""
    result = measure_chunk(MetricsChunk(raw["day"], [raw], options.components))
    total.cover("metrics", result.coverage)
    _write(total, SessionMetrics, [row.model_dump() for row in result.metrics])
    detections = [row.model_dump() for row in result.detections]
    _write(total, Detection, detections)
    metrics = [row.model_dump() for row in result.metrics]
    return SessionCase(raw=raw, analysis=_analysis(raw, metrics, detections, options, total), detections=detections)


def _analysis(
    raw: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    detections: Sequence[Mapping[str, Any]],
    options: Options,
    total: Part,
) -> dict[str, Any] | None:
    """The row of `analyses` of a session, or None when it was not selected. The rules cost nothing: no budget."""
    day = raw["day"]
    selections = select(
        metrics, detections, min_steps=options.min_steps, daily_token_budget=sys.maxsize, seed=0, day=day
    )
    question = Question(day, ANALYST, RULES_MODEL, options.prompt, options.taxonomy)
    asked = requests([raw], selections, question)
    answers = answer_chunk(AnswerChunk(tuple(asked), lexicon.load))
    batch = [row.model_dump() for row in batch_rows(metrics, selections, question)]
    rows, coverage = analysis_rows(batch, answers, taxonomy_version=options.taxonomy.version)
    if not rows:
        reason = selections[0].reason if selections else "not_measured"
        coverage = Coverage(asked=1, skipped={reason: 1})
    total.cover("analysis", coverage)
    return rows[0].model_dump() if rows else None


def _abstracted(case: SessionCase, chunk: LookChunk) -> Part:
    """Stage 4 of one session, as lines."""
    options = chunk.options
    one = AbstractionChunk(
        day=case["raw"]["day"],
        rows=[case],
        support=chunk.support,
        taxonomy_version=options.taxonomy.version,
        friction_types=options.taxonomy.slugs("friction"),
        delight_types=options.taxonomy.slugs("delight"),
        audience=options.audience,
        key=options.key,
    )
    part = Part()
    try:
        found = abstract_chunk(one)
    except Exception as error:  # noqa: BLE001 - one hostile session must not stop the others; its error has no text here
        part.cover("abstractions", Coverage(asked=1, failed=1, notes={f"failed.{type(error).__name__}": 1}))
        return part
    part.refused.update(found.rejected_by_rule)
    part.cover("abstractions", found.coverage)
    _write(part, AbstractedSummary, [row.model_dump() for row in found.summaries])
    _write(part, UnmetNeed, [row.model_dump() for row in found.unmet_needs])
    _write(part, Facet, _facets(found, part))
    _events(part, FrictionEvent, found.friction, options)
    _events(part, DelightEvent, found.delight, options)
    return part


def _facets(found: Abstractions, part: Part) -> list[dict[str, Any]]:
    if not found.facets:
        return []
    wide = wide_facets(found.facets)
    part.outcomes[wide["outcome"]] += 1
    return [wide]


def _events(part: Part, model: type[EventRow], rows: Sequence[EventRow], options: Options) -> None:
    kind = model.table.removesuffix("_events")
    merged = moments([row.model_dump() for row in rows], options.min_confidence, part.moments)
    _write(part, model, merged)
    part.events.update((kind, row["type"]) for row in merged)
    part.sessions.update({(kind, row["type"]) for row in merged})


def _write(part: Part, model: type[Row], rows: Iterable[Mapping[str, Any]]) -> None:
    part.lines[model.table].extend(orjson.dumps(row, default=str) for row in rows)


# --- shapes of the files ---------------------------------------------------------------------------------------


def wide_facets(facets: Sequence[Facet]) -> dict[str, Any]:
    """One session's facets as one row with a column each: lists, a number and a flag instead of texts."""
    listed: dict[str, list[str]] = {name: [] for name in LISTED_FACETS}
    single: dict[str, str] = {}
    for row in facets:
        if row.facet in listed:
            listed[row.facet].append(row.value.text)
        else:
            single[row.facet] = row.value.text
    return {
        "session_id": facets[0].session_id,
        "primary_intent": single["primary_intent"],
        "outcome": single["outcome"],
        **listed,
        "tool_call_confirmations": int(single["tool_call_confirmations"]),
        "specification_drift": single["specification_drift"] == "true",
    }


def moments(
    events: Sequence[Mapping[str, Any]], min_confidence: float, tally: Counter[str] | None = None
) -> list[dict[str, Any]]:
    """One session's events of one kind, each moment once, in order of their first step and type.

    An event of the analyst that shares a step with a detector's event of its type is the same moment: the detector's
    row stays, with the analyst's citation (of several, the one with most steps in common). Events below
    `min_confidence` are left out before. `tally` counts what became of every event.
    """
    counts: Counter[str] = Counter() if tally is None else tally
    sure = [dict(event) for event in events if event["confidence"] >= min_confidence]
    counts.update(f"below_confidence.{event['source']}" for event in events if event["confidence"] < min_confidence)
    detected = [event for event in sure if event["source"] == "detector"]
    cited: dict[int, int] = {}
    alone: list[dict[str, Any]] = []
    joined: set[int] = set()
    for event in sure:
        if event["source"] == "detector":
            continue
        shared, best = _nearest(event, detected)
        if best is None:
            alone.append(event)
            continue
        joined.add(best)
        counts["analyst_merged"] += 1
        if event["citation"] is not None and shared > cited.get(best, 0):
            cited[best] = shared
            detected[best]["citation"] = event["citation"]
    counts.update(
        found_by_both=len(joined), found_by_detector_only=len(detected) - len(joined), found_by_analyst_only=len(alone)
    )
    return sorted(detected + alone, key=lambda event: (event["steps"], event["type"], event["source"]))


def _nearest(event: Mapping[str, Any], detected: Sequence[Mapping[str, Any]]) -> tuple[int, int | None]:
    """Steps in common with, and position of, the detector's event of the same type that shares most steps."""
    shared, best = 0, None
    for position, other in enumerate(detected):
        common = len(set(event["steps"]) & set(other["steps"])) if other["type"] == event["type"] else 0
        if common > shared:
            shared, best = common, position
    return shared, best
