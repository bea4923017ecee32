"""The per-session stages in one go, for files: sessions in, lines of the tables out, every moment once.

Put here: what `signals analyze` computes on a chunk of sessions (measure, select, answer by the built-in rules,
abstract), the questions to another analyst and what its answers make of the cases, the merge of detector and analyst,
the wide facets; chunks are picklable in and out, so they run in any pool.
Not here: reading and writing files (see `cli/analyze.py`), the stages themselves (see `metrics.py`, `analysis.py`,
`abstractions.py`), asking (see `resources/analyst.py`).

The built-in rules answer inside the chunk that measures. Another analyst is asked between two passes: `measure` leaves
the cases open, `question` makes the request of a case, `answered` joins its answer, `abstract` goes on as with rules.

The tables keep what the detectors and what the analyst say side by side, and a rate has one source. A file has no
later stage that chooses, so here a moment that both found is one line. Session ids are the source's own.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict

import orjson

from signals_assets.core.abstractions import (
    AbstractionChunk,
    Abstractions,
    SessionCase,
    abstract_chunk,
    answer_texts,
    parsed_answer,
)
from signals_assets.core.analysis import AnalysisAnswer, AnalysisRequest, Question, analysis_rows, batch_rows
from signals_assets.core.analysis_rules import RULES, RULES_MODEL, AnswerChunk, answer_chunk
from signals_assets.core.barrier import Support, lexicon
from signals_assets.core.barrier.support import Partial, SupportChunk, Vocabulary, count_chunk, feature_hash, merged
from signals_assets.core.cost import COLUMNS
from signals_assets.core.coverage import Coverage
from signals_assets.core.identity import content_id
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
    analyst: str = RULES
    model: str = RULES_MODEL
    """Who is asked about the sessions. The rules answer while a chunk is measured."""


class Case(TypedDict):
    """What is known of one session between two passes."""

    asked: dict[str, Any] | None
    """Its row of `analysis_batches`; None where it is not to be asked about."""
    analysis: dict[str, Any] | None
    """Its row of `analyses`; None while it has no answer yet."""
    detections: list[dict[str, Any]]


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
    """Between two passes: one line per session, a `Case`."""
    costs: list[dict[str, Any]] = field(default_factory=list)
    """What asking another analyst than the rules took, per session, for `core.cost.cost_of`."""

    def add(self, other: "Part") -> None:
        """Take over another part's lines and counts."""
        for name, lines in other.lines.items():
            self.lines[name].extend(lines)
        for stage, coverage in other.stages.items():
            self.cover(stage, coverage)
        for name in ("refused", "moments", "events", "sessions", "outcomes", "texts"):
            getattr(self, name).update(getattr(other, name))
        self.cases.extend(other.cases)
        self.costs.extend(other.costs)

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
    """All stages in one pass: by the rules, for an audience of one user, where no word needs the support of others."""
    total = Part()
    for line in chunk.sessions:
        raw = _raw(line)
        case = _measured(raw, chunk.options, total)
        _answer_by_rules(raw, case, chunk.options, total)
        total.add(_abstracted(raw, case, chunk))
    return total


def measure(chunk: LookChunk) -> Part:
    """The first of two passes: metrics, detections and, by the rules, answers.

    What the second needs stands in `cases` and `texts`. Another analyst's cases are open, see `question`.
    """
    total = Part()
    for line in chunk.sessions:
        raw = _raw(line)
        case = _measured(raw, chunk.options, total)
        if chunk.options.analyst == RULES:
            _answer_by_rules(raw, case, chunk.options, total)
        _keep(case, total)
    return total


def question(session: bytes, case: bytes, options: Options) -> AnalysisRequest | None:
    """Between the passes: what another analyst is asked about an open case; None where nothing is."""
    stored: Case = orjson.loads(case)
    return _request(_raw(session), stored["asked"], options) if stored["asked"] is not None else None


def answered(case: bytes, answers: Mapping[str, AnalysisAnswer], options: Options) -> Part:
    """Between the passes: the case with the answer to its question, by request id, and what that is worth."""
    part = Part()
    stored: Case = orjson.loads(case)
    asked = stored["asked"]
    if asked is not None:
        found = answers.get(asked["request_id"])
        _settle(stored, [found] if found is not None else [], options, part)
    if stored["analysis"] is not None and options.analyst != RULES:
        part.costs.append({name: stored["analysis"][name] for name in COLUMNS})
    _keep(stored, part)
    return part


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
        total.add(_abstracted(_raw(line), orjson.loads(case), chunk))
    return total


def _raw(line: bytes) -> dict[str, Any]:
    return RawSession.model_validate_json(line).model_dump()


# --- the stages, one session at a time: sessions of a file have days of their own ----------------------------------


def _measured(raw: dict[str, Any], options: Options, total: Part) -> Case:
    """Stage 2 of one session, and whether it is to be asked about; adds lines and coverage to `total`.

    All eligible sessions are: the rules cost nothing, and what another analyst costs is agreed to beforehand.
    """
    day = raw["day"]
    result = measure_chunk(MetricsChunk(day, [raw], options.components))
    total.cover("metrics", result.coverage)
    metrics = [row.model_dump() for row in result.metrics]
    detections = [row.model_dump() for row in result.detections]
    _write(total, SessionMetrics, metrics)
    _write(total, Detection, detections)
    chosen = select(metrics, detections, min_steps=options.min_steps, daily_token_budget=sys.maxsize, seed=0, day=day)
    asking = Question(day, options.analyst, options.model, options.prompt, options.taxonomy)
    asked = [row for row in batch_rows(metrics, chosen, asking) if row.selected]
    if not asked:
        reason = chosen[0].reason if chosen else "not_measured"
        total.cover("analysis", Coverage(asked=1, skipped={reason: 1}))
    about = _request_id(raw, options)
    return Case(
        asked=asked[0].model_copy(update={"request_id": about}).model_dump() if asked else None,
        analysis=None,
        detections=detections,
    )


def _request_id(raw: Mapping[str, Any], options: Options) -> str:
    """The id of asking about this session as it is now: one that has grown since is another question."""
    taxonomy = options.taxonomy.version
    asked = (raw["session_id"], raw["session"], options.prompt, taxonomy, options.analyst, options.model)
    return content_id("q", *asked)


def _request(raw: Mapping[str, Any], asked: Mapping[str, Any], options: Options) -> AnalysisRequest:
    return AnalysisRequest(
        request_id=asked["request_id"],
        session_key=raw["session_id"],
        stored=raw["session"],
        steps=raw["steps"],
        prompt=options.prompt,
        taxonomy=options.taxonomy,
    )


def _answer_by_rules(raw: Mapping[str, Any], case: Case, options: Options, total: Part) -> None:
    """Stage 3 of one session by the built-in rules."""
    if case["asked"] is not None:
        asked = _request(raw, case["asked"], options)
        _settle(case, answer_chunk(AnswerChunk((asked,), lexicon.load)), options, total)


def _settle(case: Case, answers: Sequence[AnalysisAnswer], options: Options, total: Part) -> None:
    """The case's row of `analyses`, with or without an answer."""
    assert case["asked"] is not None
    rows, coverage = analysis_rows([case["asked"]], answers, taxonomy_version=options.taxonomy.version)
    total.cover("analysis", coverage)
    case["analysis"] = rows[0].model_dump()


def _keep(case: Case, total: Part) -> None:
    """The case for the second pass, and the texts whose support is counted before it."""
    answer = parsed_answer(case["analysis"]) if case["analysis"] is not None else None
    total.texts.update(answer_texts(answer) if answer is not None else ())
    total.cases.append(orjson.dumps(case))


def _abstracted(raw: Mapping[str, Any], case: Case, chunk: LookChunk) -> Part:
    """Stage 4 of one session, as lines."""
    options = chunk.options
    one = AbstractionChunk(
        day=raw["day"],
        rows=[SessionCase(raw=raw, analysis=case["analysis"], detections=case["detections"])],
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
