"""The built-in rules: an analyst without a language model. Detectors, and sentences about what they found.

Put here: the rules' answer about a session, their sentences, the words of a session that they may repeat.
Not here: the answer model (see `core/analysis.py`), how answers are stored (see `resources/analyst.py`).
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from signals_assets.core.analysis import AnalysisAnswer, AnalysisRequest, Answer, AnswerEvent
from signals_assets.core.detectors import Detected, Examined, examine
from signals_assets.core.detectors.context import REMARK
from signals_assets.core.detectors.cues import PLEASANT, utterance
from signals_assets.core.selection import COUNTED
from signals_assets.core.sessions import Session
from signals_assets.core.text import STOP, stem, wordset

RULES: Final = "rules"
"""The name of this analyst."""
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

CAME: Final = "The user came with this intent: "
"""How the rules' summaries begin: the intent's name and what the first request was about."""

CAME_ABOUT: Final = ", about "

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
        summary=_summary(session, examined, vocabulary),
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


def _summary(session: Session, examined: Examined, vocabulary: Container[str]) -> str:
    calls = sum(step.kind == "tool_call" and step.by != "user" for step in session.steps)
    amount = "no tools" if calls == 0 else "a few tool calls" if calls < 10 else "many tool calls"
    sentences = [
        _came(session, examined.facets.primary_intent, vocabulary),
        f"The agent used {amount}.",
        *_moments(examined.detected),
        _OUTCOMES[examined.facets.outcome],
    ]
    return " ".join(sentences)[:400]


def _came(session: Session, intent: str, vocabulary: Container[str]) -> str:
    """What the user came for: from the topics of the first request, intents of the product emerge."""
    opening = next((i for i, step in enumerate(session.steps) if step.kind == "user_message" and step.text), None)
    named = topics(session, [opening], vocabulary) if opening is not None else []
    return f"{CAME}{intent}{CAME_ABOUT}{listed(named)}." if named else f"{CAME}{intent}."


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
    steps = request.steps
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
