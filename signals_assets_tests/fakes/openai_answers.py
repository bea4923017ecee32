"""What the standing-in model says: plain rules over the session in the request, and mistakes planted on purpose.

Put here: reading a request's session, the rules, filling an answer's schema, mistakes. Not here: HTTP, files, batches,
billing (see `openai_server.py`), the specification (see `openai_spec.py`). The rules are blunt on purpose and share
nothing with the product's own detectors, so that agreement between the two says something.
"""

import hashlib
import random
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import orjson

MISTAKES = ("invented_steps", "wrong_types", "quotes", "contradictions")
"""What can be planted in an answer: a step that does not exist, a type outside the list, wording and an address of the
session in a citation, an event that has no ground in the session."""


@dataclass(frozen=True, slots=True)
class Step:
    """One block of a rendered session."""

    index: int
    kind: str
    head: str
    body: str


@dataclass(frozen=True, slots=True)
class Question:
    """A request to the model, whichever endpoint it came through."""

    model: str
    instructions: str
    user: str
    schema: Mapping[str, Any] | None
    schema_name: str | None
    strict: bool
    limit: int | None
    """Most tokens of the answer, reasoning included."""
    reasoning: bool
    cache_key: str

    @property
    def prompt(self) -> str:
        """All that counts as input, in the order in which a prefix can be cached."""
        schema = orjson.dumps(self.schema).decode() if self.schema is not None else ""
        return f"{self.instructions}\n{schema}\n{self.user}"

    @property
    def text_hash(self) -> str:
        """The same for the same session text, whatever the request's id and delimiter are."""
        return hash_of(between(self.user))


def hash_of(text: str) -> str:
    """The name under which a session's text is counted."""
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=12).hexdigest()


def question(body: Mapping[str, Any], endpoint: str) -> Question:
    """The request in one shape. Raises KeyError or TypeError on bodies that the specification forbids."""
    if endpoint == "/v1/responses":
        return _of_responses(body)
    said: dict[bool, list[str]] = {True: [], False: []}
    for message in body["messages"]:
        said[message["role"] in ("system", "developer")].append(_words(message.get("content") or ""))
    wanted = ((body.get("response_format") or {}).get("json_schema")) or {}
    return Question(
        model=body["model"],
        instructions="\n".join(said[True]),
        user="\n".join(said[False]),
        schema=wanted.get("schema"),
        schema_name=wanted.get("name"),
        strict=bool(wanted.get("strict")),
        limit=body.get("max_completion_tokens") or body.get("max_tokens"),
        reasoning=bool(body.get("reasoning_effort")),
        cache_key=body.get("prompt_cache_key") or "",
    )


def _of_responses(body: Mapping[str, Any]) -> Question:
    given = body.get("input") or ""
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    said: dict[bool, list[str]] = {True: [body.get("instructions") or ""], False: []}
    for item in items:
        said[item.get("role") in ("system", "developer")].append(_words(item.get("content") or ""))
    wanted = (body.get("text") or {}).get("format") or {}
    return Question(
        model=body.get("model") or "",
        instructions="\n".join(said[True]),
        user="\n".join(said[False]),
        schema=wanted.get("schema"),
        schema_name=wanted.get("name"),
        strict=bool(wanted.get("strict")),
        limit=body.get("max_output_tokens"),
        reasoning=bool(body.get("reasoning")),
        cache_key=body.get("prompt_cache_key") or "",
    )


def _words(content: str | Sequence[Mapping[str, Any]]) -> str:
    return content if isinstance(content, str) else "\n".join(part.get("text") or "" for part in content)


def between(text: str) -> str:
    """The session in a message: what stands between the first two lines that repeat one line of "====..."."""
    for found in _FENCE.finditer(text):
        end = text.find(f"\n{found[1]}\n", found.end(1)) if not text.endswith(found[1]) else len(text) - len(found[1])
        if end > found.end(1):
            return text[found.end(1) : end].strip("\n")
    return text


_FENCE = re.compile(r"^(====.*)$", re.MULTILINE)


def steps(text: str) -> list[Step]:
    """The blocks of a rendered session; lines of a body are indented, so only a header begins a line with a bracket."""
    found = []
    for block in f"\n{text}".split("\n[")[1:]:
        head, _, body = block.partition("\n")
        if match := _HEADER.match(head):
            found.append(Step(int(match[1]), match[2] or "", match[3].strip(), body))
    return found


_HEADER = re.compile(r"(\d+)(?:-\d+)?\][ :]*(\w*)(.*)")

_SAID = {
    "escalation_tone": ("ridiculous", "useless", "are you kidding", "why isn't", "why won't", "still not", "!!!"),
    "correction": ("that's wrong", "that's not", "not what i", "you forgot", "you missed", "you broke", "is wrong"),
    "backtracking": (" undo ", " revert ", "roll back", "roll it back", " restore ", "start over"),
    "platform_confusion": ("what can you", "can you even", "how do i use", "how do you work", "are you able"),
    "positive_exclamation": ("amazing", "awesome", "fantastic", " wow", "brilliant", "love it", "love this"),
    "time_saved": ("saved me", "hours of work", "so much faster"),
    "learning_moment": ("makes sense now", "good explanation", "i learned", "now i understand"),
    "rapid_approval": ("looks great", "looks perfect", "exactly what i", "ship it"),
}
"""Phrases of users, in lower case. Searched as they are: a batch holds hundreds of megabytes."""
_ENDED = re.compile(r"\b(?:rejected|interrupt(?:ed)?|cancell?ed)\b", re.IGNORECASE)
_LANGUAGES = {".py": "Python", ".ts": "TypeScript", ".js": "JavaScript", ".go": "Go", ".rs": "Rust", ".java": "Java"}

_CITATIONS = {
    "error_event": "The tool reported an error and the agent had to try again.",
    "abandoned_tool_flow": "The user rejected or interrupted a step of the agent.",
    "context_churn": "The agent read the same document again without a change in between.",
    "escalation_tone": "The user expressed frustration with the way it went.",
    "correction": "The user said that a result of the agent was wrong.",
    "backtracking": "The user asked to undo earlier work.",
    "platform_confusion": "The user asked what the agent is able to do.",
    "repeated_rephrasing": "The user stated the same request several times.",
    "positive_exclamation": "The user praised the result.",
    "time_saved": "The user said that time was saved.",
    "learning_moment": "The user valued an explanation of the agent.",
    "rapid_approval": "The user approved the result at once.",
}


@dataclass(slots=True)
class Event:
    """One moment that the rules found."""

    type: str
    steps: list[int]
    severity: str = "low"
    citation: str = ""
    confidence: float = 0.8


@dataclass(slots=True)
class Knowledge:
    """All that the rules know about a session, under the names that answer schemas use."""

    events: list[Event] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)


def read(text: str) -> Knowledge:
    """The rules over one rendered session."""
    blocks = steps(text)
    users = [step for step in blocks if step.kind == "user"]
    events = _failures(blocks) + _endings(blocks) + _rereads(blocks) + _words_of(users) + _repeats(users)
    events.sort(key=lambda event: (event.steps[0], event.type))
    for event in events:
        event.citation = _CITATIONS[event.type]
    kinds = {event.type for event in events}
    outcome = "unclear" if not users else "abandoned" if blocks[-1].kind == "event" else "partial"
    if kinds & {"positive_exclamation", "rapid_approval"}:
        outcome = "success"
    calls = " ".join(step.head for step in blocks if step.kind == "call")
    values = {
        "summary": f"The user asked for help and the agent made {'many' if len(events) > 3 else 'few'} attempts.",
        "primary_intent": "bug fix" if "error_event" in kinds else "general help",
        "outcome": outcome,
        "programming_languages": sorted({name for suffix, name in _LANGUAGES.items() if suffix in calls}),
        "frameworks": [],
        "tool_call_confirmations": len(_endings(blocks)),
        "specification_drift": False,
        "unmet_needs": [],
    }
    return Knowledge(events, values)


def _failures(blocks: Sequence[Step]) -> list[Event]:
    """One event for each run of failing results that no word of the user interrupts."""
    events: list[Event] = []
    open_run = False
    for step in blocks:
        if step.kind == "user":
            open_run = False
        elif step.kind == "result":
            failed = step.head.startswith("error") and not _ENDED.search(step.head)
            if failed and open_run:
                events[-1].steps.append(step.index)
                events[-1].severity = "medium"
            elif failed:
                events.append(Event("error_event", [step.index]))
            open_run = failed
    return events


def _endings(blocks: Sequence[Step]) -> list[Event]:
    return [
        Event("abandoned_tool_flow", [step.index], "medium")
        for step in blocks
        if step.kind in ("result", "event", "call") and _ENDED.search(step.head[:80])
    ]


def _rereads(blocks: Sequence[Step]) -> list[Event]:
    """The same reading call three times."""
    seen: defaultdict[str, list[int]] = defaultdict(list)
    for step in blocks:
        if step.kind == "call" and re.match(r"(?:read|view|open|cat)", step.head, re.IGNORECASE):
            seen[step.head].append(step.index)
    return [Event("context_churn", places) for places in seen.values() if len(places) >= 3]


def _words_of(users: Sequence[Step]) -> list[Event]:
    said = [f" {' '.join(step.body[:2000].lower().split())} " for step in users]
    everything = "\n".join(said)  # most phrases are nowhere: one search each instead of one for each turn
    events: list[Event] = []
    for slug, phrases in _SAID.items():
        if found := [phrase for phrase in phrases if phrase in everything]:
            turns = [step for step, text in zip(users, said, strict=True) if any(phrase in text for phrase in found)]
            severity = "medium" if slug == "escalation_tone" else "low"
            events.extend(Event(slug, [step.index], severity) for step in turns)
    return events


def _repeats(users: Sequence[Step]) -> list[Event]:
    """Three turns in a row that share most of their words."""
    words = [set(step.body[:500].lower().split()) for step in users]
    near = [bool(a and b) and len(a & b) / len(a | b) > 0.5 for a, b in pairwise(words)]
    events: list[Event] = []
    position = 0
    while position < len(near):
        length = next((n for n, ok in enumerate(near[position:]) if not ok), len(near) - position)
        if length >= 2:
            turns = users[position : position + length + 1]
            events.append(Event("repeated_rephrasing", [step.index for step in turns], "medium"))
        position += max(length, 1)
    return events


def say(
    asked: Question,
    rng: random.Random,
    *,
    missed: float = 0.0,
    hallucinated: float = 0.0,
    mistakes: Collection[str] = (),
) -> Any:
    """The answer to one request as JSON values.

    missed: share of the true events that are left out. hallucinated: chance of one event without ground.
    mistakes: some of `MISTAKES`. Of requests without a session, naming and judging are answered by a shared word
    (see `_of_discovery`), others get general words.
    """
    text = between(asked.user)
    known = read(text)
    known.events = [event for event in known.events if rng.random() >= missed]
    if rng.random() < hallucinated or "contradictions" in mistakes:
        known.events.append(Event("correction", [_some_step(text, rng)], citation=_CITATIONS["correction"]))
    if "invented_steps" in mistakes:
        known.events.append(Event("error_event", [999_999], citation=_CITATIONS["error_event"]))
    if "quotes" in mistakes:
        known.events.append(Event("correction", [_some_step(text, rng)], citation=_quote(text)))
    if asked.schema is None:
        return _of_discovery(asked.prompt, "quotes" in mistakes) or known.values["summary"]
    return _Filler(asked, known, "wrong_types" in mistakes).fill(asked.schema)


def _some_step(text: str, rng: random.Random) -> int:
    return rng.choice([step.index for step in steps(text)] or [0])


def _quote(text: str) -> str:
    said = next((step.body.strip() for step in steps(text) if step.kind == "user" and step.body.strip()), text.strip())
    return f'The user said "{said[:160]}" and left jane.doe@example.com as the address.'


_NAMING = re.compile(r"Descriptions that belong together:\n(.*?)\n\nDescriptions that lie nearest", re.DOTALL)
_JUDGING = re.compile(r"Category: .* (\w+)\n.*?\n\n(.*?)\n\nAnswer in one line", re.DOTALL)


def _of_discovery(prompt: str, quotes: bool) -> str | None:
    """A name for descriptions from the word that most of them share, or which of them hold the name's last word."""
    if naming := _NAMING.search(prompt):
        lines = naming[1].splitlines()
        held = Counter(word for line in lines for word in set(re.findall(r"[a-z]{5,}", line)))
        word = min(held, key=lambda one: (-held[one], one), default="something")
        told = f"Users wrote jane.doe@example.com about {word}." if quotes else f"Users had trouble with {word}."
        return f"none | Trouble with {word} | {told} | Trouble with something else"
    if judging := _JUDGING.search(prompt):
        numbered = (line.partition(". ") for line in judging[2].splitlines())
        return ", ".join(number for number, _, text in numbered if judging[1] in text) or "none"
    return None


class _Filler:
    """Values for a schema: what the rules know by property name, else the least that the schema allows."""

    def __init__(self, asked: Question, known: Knowledge, wrong_types: bool) -> None:
        self._root = asked.schema or {}
        self._asked = asked
        self._known = known
        self._wrong = wrong_types

    def fill(self, schema: Mapping[str, Any], name: str = "") -> Any:
        schema = self._resolved(schema)
        kind = schema.get("type")
        if "enum" in schema:
            return self._choice(schema["enum"], name)
        if kind == "object" or "properties" in schema:
            return {key: self._property(key, child) for key, child in schema.get("properties", {}).items()}
        if kind == "array":
            return self._list(schema, name)
        if name in self._known.values:
            return self._known.values[name]
        return {"integer": schema.get("minimum", 0), "number": 0.5, "boolean": False, "null": None}.get(
            str(kind), "The request was about a general matter."
        )

    def _property(self, key: str, schema: Mapping[str, Any]) -> Any:
        shape = self._resolved(schema)
        items = self._resolved(shape.get("items", {}))
        if shape.get("type") == "array" and {"type", "steps"} <= items.get("properties", {}).keys():
            return self._events(items)
        return self.fill(shape, key)

    def _events(self, item: Mapping[str, Any]) -> list[dict[str, Any]]:
        slugs = self._resolved(item["properties"]["type"]).get("enum")
        found = [
            {key: self._of_event(event, key, child) for key, child in item["properties"].items()}
            for event in self._known.events
            if slugs is None or event.type in slugs
        ]
        if self._wrong and found:
            found[0]["type"] = "unheard_of_type"
        return found

    def _of_event(self, event: Event, key: str, schema: Mapping[str, Any]) -> Any:
        if key == "severity" and self._resolved(schema).get("type") == "null":
            return None
        return getattr(event, key) if hasattr(event, key) else self.fill(schema, key)

    def _choice(self, values: Sequence[Any], name: str) -> Any:
        known = self._known.values.get(name)
        return known if known in values else values[0]

    def _list(self, schema: Mapping[str, Any], name: str) -> list[Any]:
        items = self._resolved(schema.get("items", {}))
        known = self._known.values.get(name)
        if isinstance(known, list) and "enum" not in items:
            return known
        if isinstance(known, list):
            return [value for value in known if value in items["enum"]]
        count = max(schema.get("minItems", 0), _asked_for(self._asked.user))
        count = min(count, schema.get("maxItems", count))
        return [self.fill(items, name) for _ in range(count)]

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema behind references; of alternatives the first that is not null."""
        while "$ref" in schema or "anyOf" in schema:
            if "anyOf" in schema:
                options = schema["anyOf"]
                schema = next((option for option in options if option.get("type") != "null"), options[0])
                continue
            target: Any = self._root
            for part in schema["$ref"].removeprefix("#").strip("/").split("/"):
                target = target[part] if part else target
            schema = target
        if isinstance(schema.get("type"), list):
            wanted = next(kind for kind in schema["type"] if kind != "null")
            schema = {**schema, "type": wanted}
        return schema


def _asked_for(text: str) -> int:
    """How many things a request without a session lists: elements of a JSON list, else numbered lines."""
    try:
        items = orjson.loads(text)
    except orjson.JSONDecodeError:
        return len(re.findall(r"^\s*[\[(]?\d+[\].):]", text, re.MULTILINE))
    return len(items) if isinstance(items, list) else 1
