"""Stage 3 · analysis. What the analyst is asked, what an answer is, which sessions are asked about.

Put here: selection and sampling with inclusion weights, the request, the answer model, the rules that answer
without a language model.
Not here: transport (see `resources/analyst.py`), admission of text (see `core/barrier`).
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from signals_assets.core.coverage import Coverage
from signals_assets.core.detectors import Detected, Examined, examine
from signals_assets.core.detectors.context import REMARK
from signals_assets.core.detectors.cues import PLEASANT, utterance
from signals_assets.core.identity import content_id
from signals_assets.core.sessions import Session, from_json
from signals_assets.core.text import STOP, stem, wordset
from signals_assets.tables import Analysis, AnalysisRequestRow


class AnswerEvent(BaseModel):
    """One moment, as the analyst says it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    type: str
    severity: Literal["low", "medium", "high"] | None = None
    steps: list[int] = Field(max_length=50)
    citation: str = Field("", max_length=2000)
    confidence: float = Field(1.0, ge=0, le=1)


class Answer(BaseModel):
    """What the analyst may say about a session. Text in it is raw until the barrier admits it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    summary: str = Field("", max_length=4000)
    primary_intent: str = Field("", max_length=200)
    outcome: Literal["success", "partial", "abandoned", "transferred", "unclear"] = "unclear"
    programming_languages: list[str] = Field(default_factory=list, max_length=20)
    frameworks: list[str] = Field(default_factory=list, max_length=20)
    tool_call_confirmations: int = Field(0, ge=0, le=10_000)
    specification_drift: bool = False
    friction: list[AnswerEvent] = Field(default_factory=list, max_length=200)
    delight: list[AnswerEvent] = Field(default_factory=list, max_length=200)
    unmet_needs: list[str] = Field(default_factory=list, max_length=20)


@dataclass(frozen=True, slots=True)
class AnalysisRequest:
    """One question about one session."""

    request_id: str
    session_key: str
    session: Session
    prompt: str
    taxonomy_version: int
    types: tuple[str, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class AnalysisAnswer:
    """What became of one request."""

    request_id: str
    session_key: str
    state: Literal["answered", "refused", "invalid", "rejected", "expired", "failed"]
    answer: Answer | None
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    steps_seen: int = 0
    steps_total: int = 0
    attempts: int = 1


# --- selection -------------------------------------------------------------------------------------------------

CHARACTERS_PER_TOKEN: Final = 3.6
TOKENS_PER_STEP: Final = 12
PROMPT_TOKENS: Final = 2_500
MOST_TOKENS: Final = 120_000
"""A longer session is condensed to this before it is asked about."""
RARE_SESSIONS: Final = 3
"""A type that at most so many of the day's eligible sessions show is rare."""
COUNTED: Final = 0.5
"""Detections below this confidence do not shape the strata."""
KEPT_SHARE: Final = 0.6
"""Most of the budget that the strata kept whole may take; the rest is for a sample of the ordinary sessions."""

STRATA: Final[tuple[str, ...]] = ("failing", "rare", "several", "one", "none")
KEPT: Final = frozenset({"failing", "rare"})


@dataclass(frozen=True, slots=True)
class Selection:
    """Whether a session is asked about, and how many like it it stands for."""

    session_id: str
    eligible: bool
    selected: bool
    reason: Literal["selected", "too_short", "over_budget"]
    stratum: str
    inclusion_weight: float
    estimated_tokens: int


def estimated_tokens(metrics: Mapping[str, Any]) -> int:
    """Estimated input tokens of asking about a session, from its metrics row."""
    text = metrics["characters"] / CHARACTERS_PER_TOKEN + metrics["steps"] * TOKENS_PER_STEP
    return int(min(MOST_TOKENS, PROMPT_TOKENS + text))


def select(
    metrics: Sequence[Mapping[str, Any]],
    detections: Iterable[Mapping[str, Any]],
    *,
    min_steps: int,
    daily_token_budget: int,
    seed: int,
    day: date,
) -> list[Selection]:
    """Which of the day's sessions are asked about, in the order of `metrics`.

    Eligible are sessions with at least `min_steps` agentic steps. Under the budget all of them are taken with weight 1.
    Over it, strata are formed from the detections; failing and rare ones are kept whole while they leave room, from the
    others the same share is drawn, at least one each. The weight is the stratum's size over the number drawn, so
    weighted sums estimate all eligible sessions. Who is drawn depends on seed, day and session only.
    """
    eligible = [row for row in metrics if row["agentic_steps"] >= min_steps]
    strata = _strata(eligible, detections)
    tokens = {row["session_id"]: estimated_tokens(row) for row in metrics}
    members: dict[str, list[str]] = defaultdict(list)
    for row in eligible:
        members[strata[row["session_id"]]].append(row["session_id"])
    for ids in members.values():
        ids.sort(key=lambda session_id: _lot(seed, day, session_id))
    drawn = _draw(members, tokens, daily_token_budget)
    chosen = {session_id for name, ids in members.items() for session_id in ids[: drawn[name]]}
    return [_selection(row["session_id"], strata, members, drawn, chosen, tokens) for row in metrics]


def _selection(
    session_id: str,
    strata: Mapping[str, str],
    members: Mapping[str, Sequence[str]],
    drawn: Mapping[str, int],
    chosen: Collection[str],
    tokens: Mapping[str, int],
) -> Selection:
    stratum = strata.get(session_id)
    if stratum is None:
        return Selection(session_id, False, False, "too_short", "none", 0.0, tokens[session_id])
    weight = len(members[stratum]) / drawn[stratum] if drawn[stratum] else 0.0
    taken = session_id in chosen
    return Selection(
        session_id, True, taken, "selected" if taken else "over_budget", stratum, round(weight, 6), tokens[session_id]
    )


def _strata(eligible: Sequence[Mapping[str, Any]], detections: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    types: dict[str, set[str]] = {row["session_id"]: set() for row in eligible}
    failing: set[str] = set()
    for event in detections:
        known = types.get(event["session_id"])
        if known is None or event["confidence"] < COUNTED:
            continue
        known.add(event["type"])
        if event["severity"] == "high":
            failing.add(event["session_id"])
    sessions_with = Counter(name for names in types.values() for name in names)
    rare = {name for name, n in sessions_with.items() if n <= RARE_SESSIONS}
    return {session_id: _stratum(names, session_id in failing, rare) for session_id, names in types.items()}


def _stratum(types: set[str], failing: bool, rare: set[str]) -> str:
    if failing:
        return "failing"
    if types & rare:
        return "rare"
    return "several" if len(types) > 1 else "one" if types else "none"


def _lot(seed: int, day: date, session_id: str) -> str:
    return hashlib.sha256(f"{seed}\x1f{day}\x1f{session_id}".encode()).hexdigest()


def _draw(members: Mapping[str, Sequence[str]], tokens: Mapping[str, int], budget: int) -> dict[str, int]:
    """How many are drawn from each stratum, so that the drawn ones fit the budget."""
    sizes = {name: sum(tokens[session_id] for session_id in ids) for name, ids in members.items()}
    if sum(sizes.values()) <= budget:
        return {name: len(ids) for name, ids in members.items()}
    if budget <= 0:
        return dict.fromkeys(members, 0)
    kept = sum(size for name, size in sizes.items() if name in KEPT)
    whole = KEPT if kept <= KEPT_SHARE * budget else frozenset[str]()
    free = budget - (kept if whole else 0)
    rest = sum(size for name, size in sizes.items() if name not in whole)
    share = free / rest
    while True:
        drawn = {name: len(ids) if name in whole else max(1, int(share * len(ids))) for name, ids in members.items()}
        spent = sum(tokens[session_id] for name, ids in members.items() for session_id in ids[: drawn[name]])
        if spent <= budget or all(drawn[name] == 1 for name in members if name not in whole):
            return drawn
        share *= 0.95


def request_id(day: date, session_id: str, prompt: str, taxonomy_version: int) -> str:
    """The opaque id of one question: the same question again has the same id."""
    return content_id("q", day, session_id, prompt, taxonomy_version)


def requests(
    rows: Iterable[Mapping[str, Any]],
    selections: Iterable[Selection],
    *,
    day: date,
    prompt: str,
    taxonomy_version: int,
    types: Sequence[str],
) -> Iterator[AnalysisRequest]:
    """The questions about the selected ones of a stream of `raw_sessions` rows, in the stream's order."""
    chosen = {selection.session_id for selection in selections if selection.selected}
    for row in rows:
        if row["session_id"] in chosen:
            yield AnalysisRequest(
                request_id=request_id(day, row["session_id"], prompt, taxonomy_version),
                session_key=row["session_id"],
                session=from_json(row["session"]),
                prompt=prompt,
                taxonomy_version=taxonomy_version,
                types=tuple(types),
            )


def batch_rows(
    metrics: Iterable[Mapping[str, Any]],
    selections: Iterable[Selection],
    *,
    day: date,
    analyst: str,
    prompt: str,
    taxonomy_version: int,
    batch_of: Mapping[str, str] | None = None,
) -> list[AnalysisRequestRow]:
    """The day's `analysis_batches`: a row for every session, selected or not. `batch_of` maps request to batch."""
    by_id = {selection.session_id: selection for selection in selections}
    batches = batch_of or {}
    rows = []
    for row in metrics:
        chosen = by_id[row["session_id"]]
        asked = request_id(day, chosen.session_id, prompt, taxonomy_version) if chosen.selected else None
        rows.append(
            AnalysisRequestRow(
                day=day,
                known_on=row["known_on"],
                session_id=chosen.session_id,
                user_id=row["user_id"],
                eligible=chosen.eligible,
                selected=chosen.selected,
                reason=chosen.reason,
                stratum=chosen.stratum,
                inclusion_weight=chosen.inclusion_weight,
                estimated_tokens=chosen.estimated_tokens,
                request_id=asked,
                batch_id=batches.get(asked) if asked else None,
                analyst=analyst,
                prompt=prompt,
            )
        )
    return rows


def analysis_rows(
    asked: Iterable[Mapping[str, Any]], answers: Iterable[AnalysisAnswer], *, taxonomy_version: int
) -> tuple[list[Analysis], Coverage]:
    """The day's `analyses` from its `analysis_batches` rows and the collected answers, in the order of the rows.

    Every selected session gets a row; one without an answer is `expired`. An answer counts for the session of its
    request id and for no other: one under an id that nobody asked for is counted and thrown away, one that names
    another session than was asked about, or contradicts another answer under the same id, makes its row `rejected`.
    """
    selected = [row for row in asked if row["selected"]]
    by_request, notes = _joined({row["request_id"]: row["session_id"] for row in selected}, answers)
    rows = [_analysis(row, by_request.get(row["request_id"]), taxonomy_version) for row in selected]
    states = Counter(row.state for row in rows)
    coverage = Coverage(
        asked=len(rows),
        answered=states["answered"],
        refused=states["refused"],
        rejected=states["invalid"] + states["rejected"],
        failed=states["failed"] + states["expired"],
        notes={f"state.{state}": n for state, n in sorted(states.items())} | notes,
    )
    return rows, coverage


def _joined(
    sessions: Mapping[str, str], answers: Iterable[AnalysisAnswer]
) -> tuple[dict[str, AnalysisAnswer], dict[str, int]]:
    """Answers by request id, those that cannot be trusted emptied, and how many were set aside and why.

    sessions: request id -> session that was asked about.
    """
    found: dict[str, AnalysisAnswer] = {}
    aside: Counter[str] = Counter()
    for answer in answers:
        asked, before = sessions.get(answer.request_id), found.get(answer.request_id)
        if asked is None:
            aside["answers_nobody_asked_for"] += 1
        elif answer.session_key != asked:
            aside["answers_of_another_session"] += 1
            found[answer.request_id] = _emptied(answer)
        elif before is None:
            found[answer.request_id] = answer
        elif before != answer:
            aside["answers_that_contradict"] += 1
            found[answer.request_id] = _emptied(answer)
    return found, dict(sorted(aside.items()))


def _emptied(answer: AnalysisAnswer) -> AnalysisAnswer:
    return replace(answer, state="rejected", answer=None)


def _analysis(row: Mapping[str, Any], answer: AnalysisAnswer | None, taxonomy_version: int) -> Analysis:
    found = answer or AnalysisAnswer(row["request_id"], row["session_id"], "expired", None, "unknown")
    return Analysis(
        day=row["day"],
        known_on=row["known_on"],
        session_id=row["session_id"],
        user_id=row["user_id"],
        request_id=row["request_id"],
        state=found.state,
        attempts=found.attempts,
        analyst=row["analyst"],
        model=found.model,
        prompt=row["prompt"],
        taxonomy_version=taxonomy_version,
        inclusion_weight=row["inclusion_weight"],
        answer=found.answer.model_dump_json() if found.answer is not None else None,
        input_tokens=found.input_tokens,
        output_tokens=found.output_tokens,
        cost_usd=found.cost_usd,
        steps_seen=found.steps_seen,
        steps_total=found.steps_total,
    )


# --- the built-in rules ----------------------------------------------------------------------------------------

RULES_MODEL: Final = "rules-1"
"""The version of the built-in rules, written where a language model's name would stand."""

CITATIONS: Final[dict[str, str]] = {
    "error_event": "The agent met a failing tool call",
    "error_event.test": "The agent met failing tests that it did not expect",
    "error_event.lint": "The agent met complaints of a style check about the code",
    "error_event.build": "The agent met a failing build",
    "error_event.missing": "The agent asked for a file or record that does not exist",
    "error_event.no_match": "The agent tried a change that did not match the file",
    "error_event.precondition": "The agent tried a change that the tool refused",
    "error_event.usage": "The agent called a command in a wrong way",
    "error_event.timeout": "The agent waited for a tool that did not answer in time",
    "error_event.network": "The agent met a failing connection",
    "error_event.api": "The agent was stopped by an error of the model service",
    "repeated_rephrasing": "The user stated the same request again and again after answers that did not help",
    "repeated_rephrasing.refused": "The user asked again and again after each refusal",
    "escalation_tone": "The user showed rising frustration with the agent",
    "platform_confusion": "The user asked how the agent itself works or what it can do",
    "platform_confusion.command": "The user typed commands that the agent does not know",
    "abandoned_tool_flow": "The user stopped the agent",
    "abandoned_tool_flow.rejected": "The user rejected a tool call of the agent",
    "abandoned_tool_flow.interrupted": "The user interrupted the agent",
    "abandoned_tool_flow.unfinished": "The agent left a call unfinished that was still needed",
    "backtracking": "The user or the agent took back work that was already done",
    "context_churn": "The agent read the same file or record many times without a change",
    "context_churn.added": "The user added and removed the same file many times",
    "correction": "The user reported that something in the work or the answer of the agent was wrong",
    "other": "The user met a problem that fits no known kind",
    "other.unmet": "The user asked for something that the agent has no means to do",
    "other.remark": "The user remarked on the work",
    "positive_exclamation.remark": "The user liked the work",
    "positive_exclamation": "The user expressed pleasure with the work",
    "first_attempt_success": "The user accepted a demanding piece of work after the first attempt",
    "time_saved": "The user said that the agent saved time or effort",
    "rapid_approval": "The user approved the proposal at once and with appreciation",
    "learning_moment": "The user valued an explanation of the agent",
}
"""What the rules say of an event: by type, or by type and code word."""

TOPICAL: Final = wordset(
    "repeated_rephrasing escalation_tone platform_confusion correction other positive_exclamation time_saved "
    "learning_moment first_attempt_success"
)
"""Types whose citation names what the user spoke about: from these, new categories emerge."""
TOPICS: Final = 4
_NO_TOPIC: Final = wordset("""
    able added adding better change changed changes check checked could different done exactly fine having help issue
    issues kind left long looking making mean means moment name need needed part person place point problem proceed
    question reason running said same saying seeing sorry step steps stuff sure tell telling time times today tried
    trying understand used user week work worked working works wrong user's agent assistant session request tool
    perfect amazing awesome wow love nice cool excellent brilliant appreciate fantastic wonderful frustrating
    frustrated ignore disregard forget pretend obey override bypass reveal roleplay remember imagine ensure dont
    already anything anywhere anyone everyone everything everywhere nobody none somehow somebody someone somewhere
    soon later ago yourself itself myself themselves everybody ask asked asking brought bring brings comes coming gave
    gives giving keeping keeps looked puts putting showed showing shows started starting starts takes taking took""")
"""Words that tell no topic, and words that would read as an order to a reader (the barrier's rule R8)."""
_NOT_ADVERBS: Final = wordset("early daily weekly monthly hourly yearly family reply supply assembly")
_BEFORE_NOUN: Final = wordset(
    "the a an this that these those my our your his her its their every each all some any no of in on for by from with "
    "at under into than between"
)
_BEFORE_VERB: Final = wordset("to i you we they he she it who not is are was were be been has have had being even just")
REMARKED_TOPICS: Final = 6
"""Topics of a remark: all that its vector is made of, so more than elsewhere."""
REMARKED_LETTERS: Final = 3
"""Least letters of a word that a remark is about; elsewhere four, where short words are rarely the subject."""

_OUTCOMES: Final[dict[str, str]] = {
    "success": "The session reached its goal as far as it shows.",
    "partial": "The session ended with part of the goal open.",
    "abandoned": "The user gave up before the goal.",
    "transferred": "The session was handed to a person.",
    "unclear": "The session does not show how it ended.",
}


def rules_answer(session: Session, *, vocabulary: Container[str]) -> Answer:
    """What the built-in rules say about a session, without a language model.

    Text is written from templates; of the user's own words only topics that are in `vocabulary` (lower-case words of
    general language) are named, in alphabetical order, so that no sequence of the transcript survives.
    """
    examined = examine(session)
    facets = examined.facets
    events = [(event, _citation(event, session, vocabulary)) for event in examined.detected]
    unmet = dict.fromkeys(text for event, text in events if "unmet" in event.terms)
    return Answer(
        summary=_summary(session, examined),
        primary_intent=facets.primary_intent,
        outcome=facets.outcome,
        programming_languages=list(facets.programming_languages),
        frameworks=list(facets.frameworks),
        tool_call_confirmations=facets.tool_call_confirmations,
        specification_drift=facets.specification_drift,
        friction=_events("friction", events),
        delight=_events("delight", events),
        unmet_needs=list(unmet)[:20],
    )


def _events(kind: str, events: Sequence[tuple[Detected, str]]) -> list[AnswerEvent]:
    return [
        AnswerEvent(
            type=event.type,
            severity=event.severity,
            steps=list(event.steps),
            citation=text,
            confidence=event.confidence,
        )
        for event, text in events
        if event.kind == kind
    ][:200]


def _citation(event: Detected, session: Session, vocabulary: Container[str]) -> str:
    term = next((term for term in event.terms if f"{event.type}.{term}" in CITATIONS), "")
    text = CITATIONS[f"{event.type}.{term}" if term else event.type]
    if event.type == "error_event" and len(event.steps) > 1:
        text += ", several times in a row"
    if event.type in TOPICAL:
        named = (remarked if term == REMARK else topics)(session, event.steps, vocabulary)
        if named:
            text += f" about {listed(named)}"
    return f"{text}."


def topics(session: Session, steps: Sequence[int], vocabulary: Container[str]) -> list[str]:
    """Up to `TOPICS` words of general language that tell what the user spoke about in these steps, alphabetically.

    A word ranks by how often and how early it is said there, whether the opening request says it too, and by its
    length, since long words of general language are the more telling ones.
    """
    opening: frozenset[str] = frozenset()
    for step in session.steps:
        if step.kind == "user_message" and step.text:
            opening = frozenset(utterance(step.text).tokens)
            break
    scores: dict[str, float] = {}
    for index in steps[:6]:
        step = session.steps[index]
        words = step.user_comment or (step.text if step.kind == "user_message" else None)
        if not words:
            continue
        for position, word in enumerate(utterance(words, bool(step.user_comment)).tokens[:120]):
            if _may_be_topic(word, vocabulary):
                first = 0.0 if word in scores else 6 / (6 + position) + 0.1 * len(word) + (word in opening) * 0.5
                scores[word] = scores.get(word, 0.0) + first + 0.5
    return _best(scores, TOPICS)


def remarked(session: Session, steps: Sequence[int], vocabulary: Container[str]) -> list[str]:
    """Up to `REMARKED_TOPICS` words of general language that tell what a remark is about, alphabetically.

    What the user's earlier turns hold is the task; what is new is the point of the remark. Nouns tell more than the
    verbs between them: a word that ends its phrase, or follows a determiner or preposition, ranks before others.
    Words of good opinion tell the type, not the topic.
    """
    index = steps[-1]
    earlier = {
        stem(word)
        for step in session.steps[:index]
        if step.kind == "user_message" and step.text
        for word in utterance(step.text).tokens
    }
    said = session.steps[index].text or ""
    spoken = (*utterance(said).tokens[:60], "")
    scores: dict[str, float] = {}
    for before, word, after in zip(("", *spoken), spoken, spoken[1:], strict=False):
        if word in PLEASANT or not _may_be_topic(word, vocabulary, REMARKED_LETTERS):
            continue
        score = 1.0 + (stem(word) not in earlier) + 0.02 * len(word)
        score += (after == "" or after in STOP) + (before in _BEFORE_NOUN) - 2.0 * (before in _BEFORE_VERB)
        scores[word] = max(score, scores.get(word, 0.0))
    return _best(scores, REMARKED_TOPICS)


def _best(scores: Mapping[str, float], count: int) -> list[str]:
    """The `count` best of the words, one per stem, alphabetically."""
    best: dict[str, str] = {}
    for word in sorted(scores, key=lambda word: (-scores[word], word)):
        best.setdefault(stem(word), word)
    return sorted(list(best.values())[:count])


def _may_be_topic(word: str, vocabulary: Container[str], letters: int = 4) -> bool:
    return (
        len(word) >= letters
        and word.isascii()
        and word.isalpha()
        and word not in STOP
        and word not in _NO_TOPIC
        and (not word.endswith("ly") or word in _NOT_ADVERBS)
        and word in vocabulary
    )


def listed(words: Sequence[str]) -> str:
    """Words as an English list: "mail, report and schedule"; at least one."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _summary(session: Session, examined: Examined) -> str:
    calls = sum(step.kind == "tool_call" and step.by != "user" for step in session.steps)
    amount = "no tools" if calls == 0 else "a few tool calls" if calls < 10 else "many tool calls"
    sentences = [
        f"The user came with this intent: {examined.facets.primary_intent}.",
        f"The agent used {amount}.",
        *_moments(examined.detected),
        _OUTCOMES[examined.facets.outcome],
    ]
    return " ".join(sentences)[:400]


def _moments(detected: Iterable[Detected]) -> list[str]:
    """At most two sentences on what stood out: the gravest friction, and delight."""
    rank = {"high": 2, "medium": 1, "low": 0, None: -1}
    friction = [event for event in detected if event.kind == "friction" and event.confidence >= COUNTED]
    gravest = max(friction, key=lambda event: (rank[event.severity], event.confidence), default=None)
    sentences = [f"{CITATIONS[gravest.type]}."] if gravest is not None else []
    if any(event.kind == "delight" for event in detected):
        sentences.append("The user showed delight.")
    return sentences


@dataclass(frozen=True, slots=True)
class AnswerChunk:
    """Some requests for the built-in rules; the vocabulary is loaded where the chunk is answered."""

    requests: tuple[AnalysisRequest, ...]
    load_vocabulary: Callable[[], Container[str]]


def answer_chunk(chunk: AnswerChunk) -> list[AnalysisAnswer]:
    """The rules' answers to a chunk, in order; a session that breaks them is `failed`, the rest goes on."""
    vocabulary = _vocabulary(chunk.load_vocabulary)
    return [_answered(request, vocabulary) for request in chunk.requests]


@cache
def _vocabulary(load: Callable[[], Container[str]]) -> Container[str]:
    """The vocabulary of a process, loaded once."""
    return load()


def _answered(request: AnalysisRequest, vocabulary: Container[str]) -> AnalysisAnswer:
    steps = len(request.session.steps)
    try:
        answer = rules_answer(request.session, vocabulary=vocabulary)
    except Exception:  # noqa: BLE001 - one hostile session must not stop a batch; it gets the state `failed`
        return AnalysisAnswer(request.request_id, request.session_key, "failed", None, RULES_MODEL, steps_total=steps)
    return AnalysisAnswer(
        request.request_id,
        request.session_key,
        "answered",
        answer,
        RULES_MODEL,
        steps_seen=steps,
        steps_total=steps,
    )
