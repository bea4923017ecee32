"""Stage 3 · answering. What a language model's response says, whatever came back.

Put here: reading the body of a response, validating the answer in it, merging the answers about a split session.
Not here: what was asked (see `core/asking.py`), admission of its text (see `core/barrier`), transport.

A response is foreign data. Reading it never raises: what cannot be used is a state with a code, what had to be dropped
or bent from a usable answer is counted, and no code or count ever holds content.

| state | when |
|---|---|
| answered | the whole report is there, whether or not the schema was enforced |
| refused | the model declined |
| filtered | the provider's content filter cut the answer off |
| incomplete | the answer ends early (the limit of output tokens) |
| invalid | anything else: no text, no JSON, keys missing, a failed or unknown status |
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast, get_args

import orjson

from signals_assets.core.analysis import Answer, AnswerEvent
from signals_assets.core.barrier import LIMITS
from signals_assets.core.taxonomy import Taxonomy

if TYPE_CHECKING:
    pass

Endpoint = Literal["/v1/responses", "/v1/chat/completions"]
State = Literal["answered", "refused", "invalid", "incomplete", "filtered"]
Kind = Literal["friction", "delight"]
T = TypeVar("T")

OTHER: Final = "other"
UNSURE: Final = 0.5
"""Confidence where an answer states none that can be read: just enough to be counted."""
ESSENTIAL: Final = frozenset({"summary", "outcome", "friction", "delight"})
"""Without these keys an answer is none; others may be missing where a server does not enforce the schema."""
OUTCOMES: Final[tuple[str, ...]] = get_args(Answer.model_fields["outcome"].annotation)
SEVERITIES: Final = ("low", "medium", "high")
MOST_EVENTS: Final = 200
MOST_STEPS: Final = 50
MOST_NAMES: Final = 20
MOST_CONFIRMATIONS: Final = 10_000
MOST_TOKENS: Final = 1_000_000_000
LONGEST: Final[Mapping[str, int]] = {"summary": 4000, "intent": 200, "citation": 2000, "need": 2000, "name": 64}
"""Characters kept of each text: the storage model's limits, far above the barrier's, which judges the rest."""

_CODE: Final = re.compile(r"[a-z0-9_]{1,40}")
_MODEL: Final = re.compile(r"[A-Za-z0-9._:/@-]{1,100}")
_THOUGHT_ENDS: Final = "</think>"
_SENTENCE: Final = re.compile(r"(?<=\.) +")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a response says. `answer` is set exactly when `state` is "answered"."""

    state: State
    answer: Answer | None
    reason: str | None
    """Why there is no answer, as a code: never content."""
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    """Tokens as the provider counted them (cached ones are part of the input, reasoning of the output); else 0."""
    model: str
    """The model that answered, as the provider names it; "unknown" where it does not."""
    notes: Mapping[str, int] = field(default_factory=dict)
    """What was dropped or bent to make the answer usable, by kind; counts only."""


@dataclass(frozen=True, slots=True)
class _Said:
    """The text of a response before it is understood."""

    text: str = ""
    refused: bool = False
    reason: str | None = None
    """Code of why the text may not be whole."""
    state: State = "answered"


def read_answer(
    body: Mapping[str, Any],
    *,
    endpoint: Endpoint,
    steps: range | Collection[int],
    taxonomy: Taxonomy,
) -> Reading:
    """What the body of a response of either endpoint says about a session. Never raises.

    steps: indices that exist in the session and were shown; an event keeps those of its steps that are among them, and
    is dropped (noted as `events_without_steps`) when none is left. From chat completions JSON is also read when it
    stands in a fence, behind a thought or among other words, as servers that do not enforce a schema send it.
    """
    said = _said(body, endpoint)
    if said.state not in ("answered", "incomplete"):
        return _reading(body, said.state, said.reason)
    found = _json(said.text, lenient=endpoint == "/v1/chat/completions")
    problem = _problem(found) if said.text else "no_output"
    if problem is None:
        reader = _Reader(steps, taxonomy)
        answer = reader.answer(cast("Mapping[str, Any]", found))
        return _reading(body, "answered", None, answer, dict(sorted(reader.notes.items())))
    if said.refused:
        return _reading(body, "refused", "refusal")
    return _reading(body, *(("invalid", problem) if said.state == "answered" else (said.state, said.reason)))


def read_revision(body: Mapping[str, Any], *, endpoint: Endpoint, count: int) -> list[str] | None:
    """The `count` texts of an answered revision in their order ("" where the model gave one up), else None.

    Never raises.
    """
    said = _said(body, endpoint)
    if said.state != "answered" or not said.text:
        return None
    found = _json(said.text, lenient=endpoint == "/v1/chat/completions")
    texts = found.get("texts") if isinstance(found, Mapping) else None
    if not isinstance(texts, list) or len(texts) != count or not all(isinstance(text, str) for text in texts):
        return None
    return [_plain(text, LONGEST["summary"]) for text in texts]


def read_text(body: Any, *, endpoint: Endpoint) -> str | None:
    """The words of a response to a free question, else None. Never raises."""
    said = _said(body, endpoint)
    return _plain(said.text, LONGEST["summary"]) or None if said.state == "answered" and not said.refused else None


def merged(answers: Sequence[Answer]) -> Answer:
    """One answer about a session from the answers about its parts, in the order of the parts' numbers.

    summary        the first sentence of the first part (what the user came for) and the last sentence of the last one
                   (how it ended); the last part's summary alone where the two do not fit the barrier's limit
    primary_intent the first that is stated
    outcome        the last that is not "unclear"
    languages, frameworks, unmet needs: united in order, each once; confirmations added; drift when any part has it
    events         united by first step; an event of one part and one of another that have the type and at least one
                   step in common are one: steps united, the graver severity, the citation and confidence of the surer

    One answer stays as it is. Raises ValueError for none at all.
    """
    ordered = list(answers)
    if not ordered:
        raise ValueError("nothing to merge: give the answers of at least one part")
    if len(ordered) == 1:
        return ordered[0]
    stated = [answer.outcome for answer in ordered if answer.outcome != "unclear"]
    return Answer(
        summary=_merged_summary(ordered[0].summary, ordered[-1].summary),
        primary_intent=next((answer.primary_intent for answer in ordered if answer.primary_intent), ""),
        outcome=stated[-1] if stated else "unclear",
        programming_languages=_united([answer.programming_languages for answer in ordered]),
        frameworks=_united([answer.frameworks for answer in ordered]),
        tool_call_confirmations=min(sum(a.tool_call_confirmations for a in ordered), MOST_CONFIRMATIONS),
        specification_drift=any(answer.specification_drift for answer in ordered),
        friction=_merged_events([answer.friction for answer in ordered]),
        delight=_merged_events([answer.delight for answer in ordered]),
        unmet_needs=_united([answer.unmet_needs for answer in ordered]),
    )


# --- merging ---------------------------------------------------------------------------------------------------


def _merged_summary(first: str, last: str) -> str:
    beginning, end = _SENTENCE.split(first.strip())[0], _SENTENCE.split(last.strip())[-1]
    both = " ".join(dict.fromkeys(text for text in (beginning, end) if text))
    return both if len(both) <= LIMITS["summary"] else last


def _united(lists: Sequence[Sequence[str]]) -> list[str]:
    """Each text once, whatever its capitals, as it was first written."""
    seen = {text.lower(): text for texts in reversed(lists) for text in reversed(texts)}
    ordered = dict.fromkeys(text.lower() for texts in lists for text in texts)
    return [seen[key] for key in ordered][:MOST_NAMES]


def _merged_events(parts: Sequence[Sequence[AnswerEvent]]) -> list[AnswerEvent]:
    kept: list[AnswerEvent] = []
    for events in parts:
        earlier = len(kept)  # events of one part are distinct moments, whatever steps they share
        for event in events:
            same = next((i for i in range(earlier) if _same(kept[i], event)), None)
            if same is None:
                kept.append(event)
            else:
                kept[same] = _joined(kept[same], event)
    return sorted(kept, key=lambda event: event.steps[:1])[:MOST_EVENTS]


def _same(one: AnswerEvent, other: AnswerEvent) -> bool:
    return one.type == other.type and not set(one.steps).isdisjoint(other.steps)


def _joined(one: AnswerEvent, other: AnswerEvent) -> AnswerEvent:
    surer = other if other.confidence > one.confidence else one
    grave = max((event.severity for event in (one, other) if event.severity), key=SEVERITIES.index, default=None)
    steps = sorted({*one.steps, *other.steps})[:MOST_STEPS]
    return surer.model_copy(update={"steps": steps, "severity": grave})


# --- the answer ------------------------------------------------------------------------------------------------


class _Reader:
    """Turns a JSON object into an `Answer`, counting what it had to drop or bend."""

    def __init__(self, steps: range | Collection[int], taxonomy: Taxonomy) -> None:
        self._steps = steps if isinstance(steps, range) else frozenset(steps)
        self._taxonomy = taxonomy
        self.notes: Counter[str] = Counter()

    def answer(self, found: Mapping[str, Any]) -> Answer:
        """The answer; every key but the essential ones may be missing or of another type."""
        self._note("keys_missing", len(Answer.model_fields.keys() - found.keys()))
        self._note("keys_unknown", len(found.keys() - Answer.model_fields.keys()))
        outcome = found.get("outcome")
        return Answer(
            summary=self._text(found.get("summary"), "summary"),
            primary_intent=self._text(found.get("primary_intent"), "intent"),
            outcome=outcome if outcome in OUTCOMES else self._bent("outcomes_unknown", "unclear"),
            programming_languages=self._texts(found.get("programming_languages"), "name"),
            frameworks=self._texts(found.get("frameworks"), "name"),
            tool_call_confirmations=self._confirmations(found.get("tool_call_confirmations")),
            specification_drift=found.get("specification_drift") is True,
            friction=self._events("friction", found.get("friction")),
            delight=self._events("delight", found.get("delight")),
            unmet_needs=self._texts(found.get("unmet_needs"), "need"),
        )

    def _events(self, kind: Kind, found: Any) -> list[AnswerEvent]:
        events = [event for item in found if (event := self._event(kind, item)) is not None]
        return self._first(events, MOST_EVENTS, "events_over_limit")

    def _event(self, kind: Kind, found: Any) -> AnswerEvent | None:
        if not isinstance(found, Mapping):
            return self._bent("events_unreadable", None)
        type_ = self._type(kind, found.get("type"))
        if type_ is None:
            return self._bent("events_of_unknown_type", None)
        steps = self._valid_steps(found.get("steps"))
        if not steps:
            return self._bent("events_without_steps", None)
        severity = found.get("severity")
        if kind == "friction" and severity not in SEVERITIES:
            self._note("severities_unknown")
        return AnswerEvent(
            type=type_,
            severity=severity if kind == "friction" and severity in SEVERITIES else None,
            steps=self._first(steps, MOST_STEPS, "steps_over_limit"),
            citation=self._text(found.get("citation"), "citation"),
            confidence=self._confidence(found.get("confidence")),
        )

    def _type(self, kind: Kind, found: Any) -> str | None:
        """The type that stands for the named one today; "other" for unknown friction, which discovery reads on."""
        slug = re.sub(r"[\s-]+", "_", found.strip().lower()) if isinstance(found, str) else ""
        slug, known = self._taxonomy.current(kind, slug), self._taxonomy.slugs(kind)
        if slug in known or (slug == OTHER and not known):
            return slug
        return self._bent("types_unknown", OTHER) if kind == "friction" else None

    def _valid_steps(self, found: Any) -> list[int]:
        numbers = [_whole(item) for item in found] if isinstance(found, list) else []
        valid = sorted({number for number in numbers if number is not None and number in self._steps})
        self._note("steps_unknown", len(numbers) - sum(number in self._steps for number in numbers))
        return valid

    def _confidence(self, found: Any) -> float:
        if isinstance(found, bool) or not isinstance(found, int | float) or found != found:
            return self._bent("confidences_unreadable", UNSURE)
        if not 0 <= found <= 1:
            self._note("confidences_out_of_bounds")
        return float(min(max(found, 0), 1))

    def _confirmations(self, found: Any) -> int:
        number = _whole(found)
        return 0 if number is None else min(max(number, 0), MOST_CONFIRMATIONS)

    def _texts(self, found: Any, kind: str) -> list[str]:
        texts = [self._text(item, kind) for item in found] if isinstance(found, list) else []
        return self._first([text for text in dict.fromkeys(texts) if text], MOST_NAMES, f"{kind}s_over_limit")

    def _text(self, found: Any, kind: str) -> str:
        text = _plain(found) if isinstance(found, str) else ""
        if len(text) > LONGEST[kind]:
            self._note("texts_cut")
        return text[: LONGEST[kind]]

    def _first(self, items: list[T], most: int, note: str) -> list[T]:
        self._note(note, len(items) - most)
        return items[:most]

    def _bent(self, note: str, value: T) -> T:
        self._note(note)
        return value

    def _note(self, name: str, count: int = 1) -> None:
        if count > 0:
            self.notes[name] += count


def _whole(value: Any) -> int | None:
    """A whole number, also one that was written as a text or with brackets ("[12]"); else None."""
    if isinstance(value, str) and re.fullmatch(r"\[?[0-9]{1,9}\]?", value.strip(), re.ASCII):
        return int(value.strip().strip("[]"))
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _plain(text: str, longest: int | None = None) -> str:
    """A text on one line, without what cannot be stored (control characters, halves of characters)."""
    head = text[: 4 * max(LONGEST.values())]
    return " ".join("".join(c if c.isprintable() else " " for c in head).split())[:longest]


def _reading(
    body: Any, state: State, reason: str | None, answer: Answer | None = None, notes: Mapping[str, int] | None = None
) -> Reading:
    return Reading(state, answer, reason, *_usage(body), _model(body), notes or {})


# --- the response ----------------------------------------------------------------------------------------------


def _said(body: Any, endpoint: Endpoint) -> _Said:
    if not isinstance(body, Mapping):
        return _Said(state="invalid", reason="no_object")
    if body.get("error"):
        return _Said(state="invalid", reason=_code(_get(body, "error", "code"), "error"))
    return _responses(body) if endpoint == "/v1/responses" else _chat(body)


def _responses(body: Mapping[str, Any]) -> _Said:
    parts = [
        part
        for item in _items(body.get("output"))
        if item.get("type") == "message"
        for part in _items(item.get("content"))
    ]
    text = "".join(_words(part.get("text")) for part in parts if part.get("type") == "output_text")
    said = _Said(text, any(part.get("type") == "refusal" for part in parts))
    status = body.get("status")
    if status == "incomplete":
        return _early(said, _get(body, "incomplete_details", "reason"))
    if status in ("completed", None):
        return said
    return replace(said, state="invalid", reason=f"status_{_code(status, 'unknown')}")


def _chat(body: Mapping[str, Any]) -> _Said:
    choice = next(_items(body.get("choices")), {})
    message = choice.get("message")
    message = message if isinstance(message, Mapping) else {}
    content = message.get("content")
    text = _words(content) or "".join(_words(part.get("text")) for part in _items(content))
    said = _Said(text, bool(message.get("refusal")))
    reason = choice.get("finish_reason")
    if reason in ("length", "content_filter"):
        return _early(said, "max_output_tokens" if reason == "length" else reason)
    return said


def _early(said: _Said, reason: Any) -> _Said:
    if reason == "content_filter":
        return replace(said, state="filtered", reason="content_filter")
    return replace(said, state="incomplete", reason=_code(reason, "incomplete"))


def _json(text: str, *, lenient: bool) -> Any:
    """The JSON value of a text, or None. Lenient: also one within other words, from the first brace to the last."""
    candidates = [text]
    if lenient:
        rest = text.rpartition(_THOUGHT_ENDS)[2]
        candidates.append(rest[rest.find("{") : rest.rfind("}") + 1])
    for candidate in candidates:
        for loads in (orjson.loads, json.loads):  # the second is slower and takes halves of characters, too
            try:
                return loads(candidate)
            except (ValueError, RecursionError):
                continue
    return None


def _problem(found: Any) -> str | None:
    """Why a JSON value is no answer, as a code."""
    if found is None:
        return "not_json"
    if not isinstance(found, Mapping):
        return "not_an_object"
    if not found.keys() >= ESSENTIAL:
        return "keys_missing"
    if not all(isinstance(found[kind], list) for kind in ("friction", "delight")):
        return "events_unreadable"
    return None


def _usage(body: Any) -> tuple[int, int, int, int]:
    """Input, cached, output and reasoning tokens."""
    usage = body.get("usage") if isinstance(body, Mapping) else None
    if not isinstance(usage, Mapping):
        return 0, 0, 0, 0
    read = _tokens(usage.get("input_tokens", usage.get("prompt_tokens")))
    written = _tokens(usage.get("output_tokens", usage.get("completion_tokens")))
    cached = _get(usage, "input_tokens_details", "cached_tokens") or _get(
        usage, "prompt_tokens_details", "cached_tokens"
    )
    thought = _get(usage, "output_tokens_details", "reasoning_tokens") or _get(
        usage, "completion_tokens_details", "reasoning_tokens"
    )
    return read, min(_tokens(cached), read), written, min(_tokens(thought), written)


def _tokens(value: Any) -> int:
    return min(max(_whole(value) or 0, 0), MOST_TOKENS)


def _model(body: Any) -> str:
    name = body.get("model") if isinstance(body, Mapping) else None
    return name if isinstance(name, str) and _MODEL.fullmatch(name) else "unknown"


def _code(value: Any, otherwise: str) -> str:
    return value if isinstance(value, str) and _CODE.fullmatch(value) else otherwise


def _get(body: Mapping[str, Any], outer: str, inner: str) -> Any:
    found = body.get(outer)
    return found.get(inner) if isinstance(found, Mapping) else None


def _items(value: Any) -> Iterator[Mapping[str, Any]]:
    return (item for item in value if isinstance(item, Mapping)) if isinstance(value, list) else iter(())


def _words(value: Any) -> str:
    return value if isinstance(value, str) else ""
