"""Stage 4 · abstractions. What may be kept of each session: admitted text, enums, bounded numbers, step indices.

Put here: answers and detections in, rows of the abstracted zone out; agreement of the two; thumbs joined to calls.
Not here: the verdict on a text (see `barrier/`), what is detected (see `detectors/`), rates (see `correlations.py`).

Reads    analyses, raw_sessions, detections, word_support (a window), feedback
Writes   abstracted_summaries, facets, friction_events, delight_events, unmet_needs, agreement, feedback_links
Truth    events of detectors exist for every session; everything else exists for answered sessions only. A refused
         text gets one second try; refused again it becomes null (or `other`) and is counted under its rule. Nothing
         is dropped without a count: texts_retried = texts_admitted_on_retry + all of texts_dropped.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any, Final, TypedDict, cast

from pydantic import ValidationError

from signals_assets.core.analysis import Answer, AnswerEvent
from signals_assets.core.analysis_rules import RULES
from signals_assets.core.antecedents import antecedent_of, antecedents
from signals_assets.core.barrier import (
    Admission,
    Barrier,
    Revise,
    Support,
    TextField,
    TranscriptIndex,
    from_list,
    from_taxonomy,
    without_clauses,
)
from signals_assets.core.barrier.lexicon import technology
from signals_assets.core.barrier.rules import opens_with_verb, subject_first
from signals_assets.core.coverage import Coverage
from signals_assets.core.identity import content_id, pseudonym
from signals_assets.core.metrics import language_of
from signals_assets.core.selection import COUNTED
from signals_assets.core.sessions import Session, from_json
from signals_assets.settings import Audience
from signals_assets.tables import (
    AbstractedSummary,
    Agreement,
    DelightEvent,
    EventRow,
    Facet,
    FeedbackLink,
    FrictionEvent,
    Kind,
    Source,
    UnmetNeed,
)
from signals_assets.zones import Abstracted

OTHER: Final = "other"
UNKNOWN: Final = "unknown"
CITATIONS_PER_SESSION: Final = 3
"""Texts of one analyst about one session are a channel; more of them carry more than a description needs."""
INTENT_WORDS: Final = 6
MOST_CONFIRMATIONS: Final = 1000
ENGLISH: Final = "en"

CITATIONS: Final[Mapping[str, str]] = {
    "error_event": "The session had a model error, a tool failure or a timeout that the agent did not expect.",
    "repeated_rephrasing": "The user stated the same request several times in succession.",
    "escalation_tone": "The user's wording showed rising frustration, anger or loss of trust.",
    "platform_confusion": "The user asked how the product or the agent itself works.",
    "abandoned_tool_flow": "A tool call or a tool flow was rejected, cancelled, interrupted or left unfinished.",
    "backtracking": "The session undid work that was done before.",
    "context_churn": "The agent read the same content again and again without a change between.",
    "correction": "The user reported that something the agent did or claimed is wrong.",
    "positive_exclamation": "The user expressed pleasure or praise beyond politeness.",
    "first_attempt_success": "The user accepted a demanding request after the first attempt of the agent.",
    "time_saved": "The user said that it saved time or effort.",
    "rapid_approval": "The user approved quickly, without changes, and showed appreciation.",
    "learning_moment": "The user showed that they value an explanation of the agent.",
}
"""What a detector's event of a built-in type says: the type in a sentence, the same for every session."""
ANY_FRICTION: Final = "The session had a moment of friction that a detector found."
ANY_DELIGHT: Final = "The session had a moment of delight that a detector found."


class SessionCase(TypedDict):
    """One session with all that is known of it. `analysis` is None for a session that was not analysed."""

    raw: Mapping[str, Any]
    """Its row of `raw_sessions` (with `session`, the canonical JSON)."""
    analysis: Mapping[str, Any] | None
    """Its row of `analyses`."""
    detections: Sequence[Mapping[str, Any]]
    """Its rows of `detections`."""


@dataclass(frozen=True, slots=True)
class Cases:
    """Sessions with what is known of them by session id, joined when iterated: `raw` may be read only then."""

    raw: Iterable[Mapping[str, Any]]
    analysed: Mapping[str, Mapping[str, Any]]
    detected: Mapping[str, Sequence[Mapping[str, Any]]]

    def __iter__(self) -> Iterator[SessionCase]:
        for raw in self.raw:
            session = raw["session_id"]
            yield SessionCase(raw=raw, analysis=self.analysed.get(session), detections=self.detected.get(session, ()))


@dataclass(frozen=True, slots=True)
class AbstractionChunk:
    """Some sessions of a day and what their abstraction depends on. Picklable: map `abstract_chunk` over a pool."""

    day: date
    rows: Iterable[SessionCase]
    support: Support
    taxonomy_version: int
    friction_types: tuple[str, ...]
    delight_types: tuple[str, ...]
    audience: Audience
    key: bytes
    revise: Revise = without_clauses
    """Answers refusals of texts that the built-in rules did not write."""


@dataclass(frozen=True, slots=True)
class Abstractions:
    """The rows of a chunk, what it covered and what the barrier refused, by rule."""

    summaries: list[AbstractedSummary] = field(default_factory=list)
    facets: list[Facet] = field(default_factory=list)
    friction: list[FrictionEvent] = field(default_factory=list)
    delight: list[DelightEvent] = field(default_factory=list)
    unmet_needs: list[UnmetNeed] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)
    rejected_by_rule: dict[str, int] = field(default_factory=dict)


def answer_texts(answer: Answer) -> list[str]:
    """Every free text of an answer: what `barrier.support.day_vocabulary` must be made of."""
    return [
        answer.summary,
        answer.primary_intent,
        *(event.citation for event in (*answer.friction, *answer.delight)),
        *answer.unmet_needs,
    ]


def parsed_answer(analysis: Mapping[str, Any]) -> Answer | None:
    """The validated answer of a row of `analyses`, or None when it has none or it is unreadable."""
    if analysis["state"] != "answered" or not analysis.get("answer"):
        return None
    try:
        return Answer.model_validate_json(analysis["answer"])
    except ValidationError:
        return None


def abstract_chunk(chunk: AbstractionChunk) -> Abstractions:
    """The abstracted rows of a chunk, in the order of its rows.

    Raises ValueError (without content) when a stored session row is unreadable.
    """
    barrier = Barrier(chunk.support, chunk.audience, chunk.key)
    total = Abstractions()
    for case in chunk.rows:
        total = _extended(total, _Case(chunk, case, barrier).abstracted())
    return total


def _extended(total: Abstractions, one: Abstractions) -> Abstractions:
    """With one session's rows and counts more, without copying the rows gathered so far."""
    for name in ("summaries", "facets", "friction", "delight", "unmet_needs"):
        getattr(total, name).extend(getattr(one, name))
    rejected = dict(sorted((Counter(total.rejected_by_rule) + Counter(one.rejected_by_rule)).items()))
    return Abstractions(
        total.summaries,
        total.facets,
        total.friction,
        total.delight,
        total.unmet_needs,
        total.coverage + one.coverage,
        rejected,
    )


class _Case:
    """One session on its way through the barrier; gathers counts on the way."""

    def __init__(self, chunk: AbstractionChunk, case: SessionCase, barrier: Barrier) -> None:
        self.chunk = chunk
        self.raw, self.analysis = case["raw"], case["analysis"]
        self.detections = case["detections"]
        self.barrier = barrier
        self.rejected: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.index: TranscriptIndex | None = None
        self.foreign = False

    def abstracted(self) -> Abstractions:
        answer = parsed_answer(self.analysis) if self.analysis is not None else None
        events: dict[Kind, dict[str, EventRow]] = {"friction": {}, "delight": {}}
        self._detected(events)
        summaries: list[AbstractedSummary] = []
        facets: list[Facet] = []
        needs: list[UnmetNeed] = []
        if answer is not None:
            session = from_json(self.raw["session"])
            self.foreign = language_of(session) != ENGLISH
            self.notes["other_language"] += self.foreign
            self.index = TranscriptIndex.of(session, [*answer_texts(answer), *map(need_sentence, answer.unmet_needs)])
            summaries = [self._summary(answer)]
            facets = self._facets(answer)
            needs = self._needs(answer)
            self._analysed(events, answer, session)
        return Abstractions(
            summaries,
            facets,
            cast("list[FrictionEvent]", list(events["friction"].values())),
            cast("list[DelightEvent]", list(events["delight"].values())),
            needs,
            self._coverage(answer),
            dict(sorted(self.rejected.items())),
        )

    def _coverage(self, answer: Answer | None) -> Coverage:
        notes = {name: count for name, count in self.notes.items() if count}
        if self.analysis is None:
            return Coverage(asked=1, skipped={"not_analysed": 1}, notes=notes)
        state = self.analysis["state"]
        if answer is not None:
            return Coverage(asked=1, answered=1, notes=notes)
        if state == "refused":
            return Coverage(asked=1, refused=1, notes=notes)
        if state == "rejected":
            return Coverage(asked=1, rejected=1, notes=notes)
        return Coverage(asked=1, failed=1, notes={**notes, f"state.{state}": 1})

    # --- text ---

    def _admit(self, field: TextField, text: str) -> Admission:
        """The verdict on a field, after the one second try where the first was refused. Counted under the last rule.

        Refusals in sessions of other languages than English are noted by themselves: what the barrier does not read.
        """
        self.notes["texts"] += 1
        # The built-in rules choose a label from a list of ours: no session informs its words.
        index = None if field == "intent" and self._by_rules else self.index
        revise = None if self._by_rules else self.chunk.revise
        verdict = self.barrier.examine(text, field, transcript=index, revise=revise)
        self.notes["texts_retried"] += verdict.retried
        self.notes["texts_admitted_on_retry"] += verdict.retried and verdict.rule is None
        if verdict.rule is not None:
            self.rejected[verdict.rule] += 1
            self.notes[f"texts_dropped.{verdict.rule}"] += 1
            self.notes[f"other_language.{verdict.rule}"] += self.foreign
        return verdict

    @property
    def _by_rules(self) -> bool:
        """Whether the built-in rules wrote the answer: the door's name is ours, the model's is whatever it says."""
        if self.analysis is None:
            return False
        return self.analysis["analyst"] == RULES and str(self.analysis["model"]).startswith(RULES)

    def _summary(self, answer: Answer) -> AbstractedSummary:
        verdict = self._admit("summary", answer.summary) if answer.summary else Admission(None, None)
        analysis = self._analysis
        return AbstractedSummary(
            **self._keys(analysis),
            summary=verdict.text,
            rejected_rule=verdict.rule,
            prompt=analysis["prompt"],
            inclusion_weight=analysis["inclusion_weight"],
        )

    def _needs(self, answer: Answer) -> list[UnmetNeed]:
        rows = []
        for number, need in enumerate(answer.unmet_needs):
            text = self._admit("need", need_sentence(need)).text
            if text is not None:
                weight = self._analysis["inclusion_weight"]
                rows.append(UnmetNeed(**self._keys(self._analysis), number=number, need=text, inclusion_weight=weight))
        return rows

    def _facets(self, answer: Answer) -> list[Facet]:
        listed = [
            ("outcome", answer.outcome),
            *(("programming_languages", name) for name in self._technologies(answer.programming_languages)),
            *(("frameworks", name) for name in self._technologies(answer.frameworks)),
            ("tool_call_confirmations", str(min(answer.tool_call_confirmations, MOST_CONFIRMATIONS))),
            ("specification_drift", str(answer.specification_drift).lower()),
        ]
        values = [("primary_intent", self._intent(answer.primary_intent))]
        values += [(facet, from_list(value)) for facet, value in listed]
        keys, weight = self._keys(self._analysis), self._analysis["inclusion_weight"]
        return [
            Facet(**keys, facet=facet, value=value, source="analyst", inclusion_weight=weight)
            for facet, value in values
        ]

    def _intent(self, intent: str) -> Abstracted:
        plain = " ".join(intent.lower().split()).rstrip(".")
        if not plain:
            return from_list(OTHER)
        if len(plain.split()) > INTENT_WORDS:
            self.rejected["intent_words"] += 1
            return from_list(OTHER)
        text = self._admit("intent", plain).text
        return text if text is not None and len(text.text.split()) <= INTENT_WORDS else from_list(OTHER)

    def _technologies(self, names: Iterable[str]) -> list[str]:
        known = []
        for name in names:
            canonical = technology(name)
            if canonical is None:
                self.rejected["technology"] += 1
            known.append(canonical or OTHER)
        return sorted(set(known))

    # --- events ---

    def _detected(self, events: dict[Kind, dict[str, EventRow]]) -> None:
        for detection in self.detections:
            kind: Kind = detection["kind"]
            self._keep(
                events,
                kind,
                detection,
                source="detector",
                type_=self._known_type(kind, detection["type"]),
                severity=detection["severity"] if kind == "friction" else None,
                steps=[int(step) for step in detection["steps"]],
                citation=type_citation(kind, detection["type"]),
                confidence=detection["confidence"],
                component=detection.get("component") or UNKNOWN,
                seconds_from_start=detection.get("seconds_from_start"),
                antecedent=detection.get("antecedent") or "agent",
                inclusion_weight=1.0,
            )

    def _analysed(self, events: dict[Kind, dict[str, EventRow]], answer: Answer, session: Session) -> None:
        valid: list[tuple[Kind, AnswerEvent, list[int]]] = []
        said: tuple[tuple[Kind, list[AnswerEvent]], ...] = (("friction", answer.friction), ("delight", answer.delight))
        for kind, kind_events in said:
            for event in kind_events:
                steps = sorted({step for step in event.steps if 0 <= step < len(session.steps)})
                if steps:
                    valid.append((kind, event, steps))
                else:
                    self.rejected["steps"] += 1
        citations, before = self._citations(valid), antecedents(session)
        for position, (kind, event, steps) in enumerate(valid):
            self._keep(
                events,
                kind,
                self._analysis,
                source="analyst",
                type_=self._known_type(kind, event.type),
                severity=(event.severity or "low") if kind == "friction" else None,
                steps=steps,
                citation=citations.get(position),
                confidence=round(event.confidence, 2),  # more digits could spell a number of the session
                component=self._component(kind, event.type, steps),
                seconds_from_start=seconds_from_start(session, steps[0]),
                antecedent=antecedent_of(steps, before),
                inclusion_weight=self._analysis["inclusion_weight"],
            )

    def _citations(self, events: Sequence[tuple[Kind, AnswerEvent, list[int]]]) -> dict[int, Abstracted]:
        """Admitted citations by position: what discovery lives on first, then by severity and confidence.

        That is unknown types, and unsure events: they are material, and say nothing without their text.
        """
        rank = {"high": 0, "medium": 1, "low": 2, None: 3}
        order = sorted(
            (position for position, (_, event, _) in enumerate(events) if event.citation),
            key=lambda position: (
                self._is_known(events[position][0], events[position][1].type),
                events[position][1].confidence >= COUNTED,
                rank[events[position][1].severity],
                -events[position][1].confidence,
                position,
            ),
        )
        most = len(order) if self.chunk.audience == "self" else CITATIONS_PER_SESSION
        admitted: dict[int, Abstracted] = {}
        for position in order:
            if len(admitted) >= most:
                self.notes["citations_over_limit"] += 1
                continue
            text = self._admit("citation", events[position][1].citation).text
            if text is not None:
                admitted[position] = text
        return admitted

    def _is_known(self, kind: Kind, type_: str) -> bool:
        known = self.chunk.friction_types if kind == "friction" else self.chunk.delight_types
        return type_ in known and type_ != OTHER

    def _known_type(self, kind: Kind, type_: str) -> str:
        if self._is_known(kind, type_):
            return type_
        if type_ != OTHER:
            self.notes["unknown_types"] += 1
        return OTHER

    def _component(self, kind: Kind, type_: str, steps: Sequence[int]) -> str:
        """The component of a detection at the same steps; one of the same type where several are."""
        overlapping = [found for found in self.detections if not set(steps).isdisjoint(found["steps"])]
        overlapping.sort(key=lambda found: (found["kind"] != kind, found["type"] != type_, found["steps"]))
        known = [found.get("component") for found in overlapping if found.get("component") not in (None, UNKNOWN)]
        return str(known[0]) if known else UNKNOWN

    def _keep(
        self,
        events: dict[Kind, dict[str, EventRow]],
        kind: Kind,
        origin: Mapping[str, Any],
        *,
        source: Source,
        type_: str,
        steps: list[int],
        **columns: Any,
    ) -> None:
        model = FrictionEvent if kind == "friction" else DelightEvent
        session_id = self.raw["session_id"]
        event_id = content_id("e", session_id, kind, source, type_, steps)
        if event_id in events[kind]:
            self.notes["duplicate_events"] += 1
            return
        events[kind][event_id] = model(
            **self._keys(origin),
            event_id=event_id,
            organization_id=self.raw.get("organization_id"),
            agent_name=self.raw["agent_name"],
            agent_version=self.raw.get("agent_version"),
            type=type_,
            source=source,
            steps=steps,
            taxonomy_version=self.chunk.taxonomy_version,
            **columns,
        )

    # --- keys ---

    @property
    def _analysis(self) -> Mapping[str, Any]:
        if self.analysis is None:
            raise ValueError("a session without an analysis has no answer to abstract")
        return self.analysis

    def _keys(self, origin: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "day": self.chunk.day,
            "known_on": origin["known_on"],
            "session_id": self.raw["session_id"],
            "user_id": self.raw.get("user_id"),
        }


def need_sentence(need: str) -> str:
    """An unmet need is a phrase; the barrier wants a sentence with a subject."""
    plain = " ".join(need.split())
    if not plain or subject_first(plain):
        return plain
    return f"The user asked {'to' if opens_with_verb(plain) else 'for'} {plain[0].lower()}{plain[1:]}"


@cache
def type_citation(kind: Kind, type_: str) -> Abstracted:
    """The sentence that every detector event of a type carries; general for types that were discovered later."""
    return from_taxonomy(CITATIONS.get(type_) or (ANY_FRICTION if kind == "friction" else ANY_DELIGHT))


def seconds_from_start(session: Session, step: int) -> float | None:
    """Seconds from the session's start to a step (at least 0), or None when either time is unknown."""
    at = session.steps[step].at
    if at is None or session.started_at is None:
        return None
    return round(max(0.0, at - session.started_at), 3)


# --- detectors against the analyst -----------------------------------------------------------------------------


def agreement(
    day: date,
    detections: Iterable[Mapping[str, Any]],
    events: Mapping[Kind, Iterable[Mapping[str, Any]]],
    analysed: Collection[str],
    *,
    min_confidence: float = 0.0,
) -> list[Agreement]:
    """Agreement per type, by session, over the sessions that both looked at; sorted by kind and type.

    `detections` are rows of `detections`, `events` rows of the two event tables by kind (only the analyst's count),
    `analysed` the session keys with an answer. With b sessions found by both of n found by either, F1 is
    2p / (1 + p) at p = b / n: the interval is Wilson's 95 % interval of p carried through that rising function.
    """
    sessions = set(analysed)
    by_detector: defaultdict[tuple[Kind, str], set[str]] = defaultdict(set)
    by_analyst: defaultdict[tuple[Kind, str], set[str]] = defaultdict(set)
    for row in detections:
        if row["session_id"] in sessions and row["confidence"] >= min_confidence:
            by_detector[row["kind"], row["type"]].add(row["session_id"])
    for kind, rows in events.items():
        for row in rows:
            if row["source"] == "analyst" and row["session_id"] in sessions:
                by_analyst[kind, row["type"]].add(row["session_id"])
    return [
        _agreement(day, kind, type_, len(sessions), by_detector[kind, type_], by_analyst[kind, type_])
        for kind, type_ in sorted(by_detector.keys() | by_analyst.keys())
    ]


def _agreement(day: date, kind: Kind, type_: str, sessions: int, detector: set[str], analyst: set[str]) -> Agreement:
    both, either = len(detector & analyst), len(detector | analyst)
    low, high = wilson(both, either)
    return Agreement(
        day=day,
        kind=kind,
        type=type_,
        sessions=sessions,
        both=both,
        detector_only=len(detector - analyst),
        analyst_only=len(analyst - detector),
        f1=_f1(both / either),
        f1_low=_f1(low),
        f1_high=_f1(high),
    )


def _f1(jaccard: float) -> float:
    return round(2 * jaccard / (1 + jaccard), 4)


def wilson(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927); (0, 1) for no trials."""
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


# --- thumbs ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionCalls:
    """What produced a session's answers: versions of the agent, and the pseudonyms of the model calls by step."""

    agent_version: str | None = None
    agent_model: str | None = None
    prompt_version: str | None = None
    llm_call_ids: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, raw: Mapping[str, Any], steps: Iterable[int], key: bytes) -> "SessionCalls":
        """Read them from a row of `raw_sessions` for the steps that carry a thumb."""
        session = from_json(raw["session"])
        calls = {step: call for step in sorted(set(steps)) if (call := _call_at(session, step)) is not None}
        hidden = {step: pseudonym("call", call, key) for step, call in calls.items()}
        return cls(raw.get("agent_version"), raw.get("agent_model"), raw.get("prompt_version"), hidden)


def _call_at(session: Session, step: int) -> str | None:
    """The model call of a step, or of the nearest earlier step of the same turn that names one."""
    for index in range(min(step, len(session.steps) - 1), -1, -1):
        found = session.steps[index]
        if found.llm_call_id is not None:
            return found.llm_call_id
        if found.kind == "user_message":
            return None
    return None


def feedback_links(
    day: date, feedback: Iterable[Mapping[str, Any]], sessions: Mapping[str, SessionCalls], intents: Mapping[str, str]
) -> list[FeedbackLink]:
    """One row per thumb, in the order of `feedback`; columns of an unknown session stay null, no thumb is dropped.

    `sessions` and `intents` are keyed by session id.
    """
    links = []
    for row in feedback:
        calls = sessions.get(row["session_id"], SessionCalls())
        step = row.get("step")
        links.append(
            FeedbackLink(
                day=day,
                known_on=row["known_on"],
                session_id=row["session_id"],
                user_id=row.get("user_id"),
                feedback_id=row["feedback_id"],
                step=step,
                rating=row["rating"],
                llm_call_id=None if step is None else calls.llm_call_ids.get(step),
                agent_version=calls.agent_version,
                agent_model=calls.agent_model,
                prompt_version=calls.prompt_version,
                primary_intent=intents.get(row["session_id"]),
            )
        )
    return links
