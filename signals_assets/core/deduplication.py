"""Deduplication: whether somebody already wrote down or is already mending what a ticket would be filed for.

Put here: comparing a cause with open tickets and pull requests in flight by place and meaning, and what follows.
Not here: the cause's own fingerprint and the brakes (see `core/tickets.py`), the doors that give tickets and changes.

Two steps. `weigh` compares texts and returns numbers, types and references only: nobody's words, so that its result
may be stored. `settle` decides from those numbers alone: a decision is replayed from what was stored.

Never two causes on one ticket: what is compared must name the same place in the product and no other, and must more
likely than not be about the cause's own type among all types, or where the cause has a published error, about that
one. Most sentences say no friction at all ("see the thread", "bump a version"): they are told by `NOTHING` and do not
count, and the title counts more than what follows it.
Meaning is the cosine of sentence vectors, which the caller makes (`sentences` lists what to embed); without an
embedder it is the cosine of counts of character trigrams, which forgives typing errors and inflection, not synonyms.
Slices (language, version, intent) are left out on purpose: one cause is met in many.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log, sqrt
from typing import Any, Final, Literal, Protocol

from signals_assets.core.components import component_of
from signals_assets.core.text import STOP, stem, wordset
from signals_assets.core.ticket_links import identifier_of, linked_tickets
from signals_assets.core.tickets import KEY_PATTERN, Decision, LedgerEntry, ledger_tickets

UNKNOWN: Final = "unknown"
SENTENCES: Final = 12
"""Sentences of a text that are compared: its title and the beginning of its body say what it is about."""
LONGEST: Final = 300
FEWEST_WORDS: Final = 3
"""A sentence of fewer words says no symptom."""


class Written(Protocol):
    """What is read of an open ticket; `TrackerTicket` of the tracker's door is one."""

    @property
    def key(self) -> str | None:
        """Our key, None where a person wrote it."""

    @property
    def reference(self) -> str:
        """How the tracker names it."""

    @property
    def title(self) -> str:
        """Its title."""

    @property
    def body(self) -> str:
        """Its text."""


class Change(Protocol):
    """What is read of a pull request in flight; `PullRequestInFlight` of the code host's door is one."""

    @property
    def id(self) -> str:
        """How the host names it."""

    @property
    def title(self) -> str:
        """Its title."""

    @property
    def body(self) -> str:
        """Its description."""

    @property
    def branch(self) -> str:
        """Its branch."""

    @property
    def files(self) -> Sequence[str]:
        """Paths that it changes."""


@dataclass(frozen=True, slots=True)
class Concern:
    """What a ticket would be about, in words that may be published."""

    type: str
    component: str
    symptoms: tuple[str, ...] = ()
    """Published error templates that go with it; empty where none does."""
    keys: tuple[str, ...] = ()
    """Keys of the cause's own tickets of all generations, and their tracker's identifiers (see `keys_of`)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How one ticket or change compares with a cause: numbers and references, no words of anybody."""

    what: Literal["ticket", "change"]
    reference: str
    ours: bool
    digest: str
    """SHA-256 of the text that was compared, 16 hex digits."""
    names_key: bool
    """It names a ticket of the cause."""
    place: Literal["same", "other", "none"]
    """Whether it names the cause's component and no other; "same" too where neither has one."""
    type: str
    """The friction type that it is most likely about; empty where it says nothing."""
    alike: float
    """How likely it is about the cause's own type, 0 to 1."""
    symptom: float | None
    """How likely it is about the cause's published errors, 0 to 1; None where it has none."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one measure of likeness weighs, fitted, and from where on two texts are about the same."""

    measure: str
    sharpness: float
    """What likeness is multiplied with before shares are taken (softmax)."""
    title: float
    """How many other sentences the title counts for."""
    symptom: tuple[float, float, float, float]
    """Logistic: intercept, likeness to the error, to other types of friction, to what says nothing."""
    same: float
    near: float = 0.2
    """From here on it is worth a link."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """What to do for a cause: file, comment on, link to, wait for, reopen, or nothing; and why."""

    action: Literal["file", "comment", "link", "wait", "reopen", "suppressed", "refuse"]
    reason: str
    reference: str = ""


Likeness = Callable[[str, str], float]

TRIGRAMS: Final = Bounds("cosine of character trigrams", 16.0, 1.5, (-2.8, 29.2, -12.0, -8.2), same=0.9)
VECTORS: Final = Bounds("cosine of sentence vectors", 20.0, 2.0, (-4.3, 27.6, -5.8, -9.2), same=0.85)
"""Fitted on the words of tuning of `simulation/duplicates.py`, seeds 100 to 104, texts of the same place: sharpness
and title by the likelihood over a grid (it is flat from 20 to 30 and 1.5 to 2), the logistic with a weak ridge (C=100).
`same` of vectors is where the lower end of precision's interval reaches 0.98 with fresh words, seeds 100 to 104 (with
words of the fit it is there at 0.4, but what people write is in other words): a missed duplicate is a second ticket
that names the first, a wrong merge hides a cause. Trigrams know no synonyms and find a third of what is in fresh words;
at 0.9 about 99 in 100 of them are right.
"""
NEAREST: Final = 3
"""Sentences of a description that one is compared with: a single one may be near by its words only."""

SAYINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "error_event": (
        "The tool call fails with an error.",
        "Requests end in an exception or a timeout.",
        "The service crashes or cannot be reached.",
        "Raise the limit and retry so that calls do not fail.",
        "Something the agent tried did not work.",
        "Calls are failing.",
    ),
    "repeated_rephrasing": (
        "Users have to state the same request several times in other words.",
        "The agent does not understand the request until it is asked again and again.",
        "I say the same thing again and it still does not understand me.",
        "Customers reformulate one question many times.",
        "Grasp the intent at the first attempt, without the user rewriting the prompt.",
        "Requests are repeated.",
    ),
    "escalation_tone": (
        "Users get angry and frustrated with the agent.",
        "Customers lose trust, complain loudly and threaten to leave.",
        "People are annoyed and insult the assistant.",
        "Respond to angry customers, soothe them, and escalate to a human.",
        "Rage and outrage.",
    ),
    "platform_confusion": (
        "Users do not know what the agent can do or where a feature is.",
        "It is unclear how the product works; explain its modes, limits and abilities.",
        "Users ask how to find and use a feature of the assistant.",
        "Document what the assistant is capable of and how the feature works.",
        "People have wrong ideas about the abilities of the bot.",
        "Questions about the product.",
    ),
    "abandoned_tool_flow": (
        "Users reject or cancel the tool call, or interrupt it while it runs.",
        "The agent stops before the tool flow is finished.",
        "The user refuses permission or aborts the running operation.",
        "The workflow is left incomplete.",
        "Let users cancel an operation and continue it later; ask less often for approval.",
        "Interrupted in the middle.",
    ),
    "backtracking": (
        "Users ask to undo the change and restore the earlier state.",
        "The agent reverts its own edits because they were wrong.",
        "Work has to be rolled back to the previous version.",
        "Avoid undoing changes; keep a backup that can be restored.",
        "Changes are taken back.",
    ),
    "context_churn": (
        "The agent reads the same file over and over without a change.",
        "It loses what it has already read and loads it again.",
        "The same document is opened repeatedly and wastes tokens.",
        "Cache and remember the contents of files instead of reading them again.",
        "Redundant reads.",
    ),
    "correction": (
        "The result is wrong and users tell the agent to do it differently.",
        "The output is incorrect, or does not match what was asked for.",
        "The user corrects a false answer or a false claim of the agent.",
        "Make the results accurate and as requested.",
        "Corrected by the user.",
    ),
}
"""How people put each built-in type; with name and definition of the taxonomy, what a symptom is compared with."""

NOTHING: Final = (
    "Please have a look at it.",
    "Steps to reproduce are not known.",
    "It was noticed in another environment too.",
    "Nobody knows since when.",
    "It happens at some times of the day.",
    "Customers told us about it.",
    "The priority is low or not decided.",
    "See the discussion elsewhere.",
    "Waiting for triage.",
    "Refactor and clean up the code.",
    "Split a module into smaller parts.",
    "Rename variables and functions.",
    "Improve types and interfaces in the code.",
    "Write unit tests and checks.",
    "Upgrade a dependency.",
    "Bump the version of a library.",
    "Build, release and deploy.",
    "Move the configuration.",
    "Move data to another store.",
    "Add a new feature or option.",
    "Give admins a new setting.",
    "Support another format, region or platform.",
    "Show long results on several pages.",
    "Change how the user interface looks.",
    "Make it faster.",
    "Reduce latency, memory and cost.",
    "Add tests, logs and metrics.",
    "Collect more logs and traces.",
    "Plan the next quarter.",
)
"""What tickets and pull requests say that is about no friction: talk around a report, and other work (the usual kinds
of commits)."""

_SAYS_NOTHING: Final = re.compile(r"No .{0,80}\bstands? out\b")
"""What our own tickets say where there is no error: near to errors by its words only."""


def sentences(title: str, body: str, components: Mapping[str, Sequence[str]]) -> list[str]:
    """The sentences of a title and a body that are compared, without markup and code; places are "it".

    A place has its own comparison; left in, it would outweigh what is said about it.
    """
    prose = re.sub(r"```.*?(?:```|\Z)|<[^>\n]{1,200}>|https?://\S+", " ", body, flags=re.DOTALL)
    parts = [title, *re.split(r"(?<=[.!?;:])\s+|\n+", prose)]
    cleaned = (" ".join(part.strip(" \t#>*-|`_").split())[:LONGEST] for part in parts)
    kept = [part for part in cleaned if len(part.split()) >= FEWEST_WORDS and not _SAYS_NOTHING.match(part)]
    return [_placeless(part, components) for part in kept[:SENTENCES]]


def weigh(
    concern: Concern,
    tickets: Iterable[Written],
    changes: Iterable[Change],
    *,
    types: Mapping[str, Sequence[str]],
    components: Mapping[str, Sequence[str]],
    alike: Likeness,
    bounds: Bounds,
) -> list[Evidence]:
    """How each open ticket and each change in flight compares with the cause, tickets first, by reference.

    types: every friction type with what it says of itself (see `described`).  components: the settings' map.
    alike: likeness of two sentences, see `by_vectors` and `by_trigrams`.  bounds: those of that likeness.
    """
    meaning = _Meaning(concern, types, alike, bounds)
    evidence = []
    for ticket in sorted(tickets, key=lambda one: one.reference):
        text = f"{ticket.title}\n{ticket.body}"
        named = ticket.key in concern.keys if ticket.key else False
        evidence.append(
            _compared(concern, "ticket", ticket.reference, ticket.key is not None, text,
                      sentences(ticket.title, ticket.body, components), named, place_of(text, components), meaning)
        )  # fmt: skip
    for change in sorted(changes, key=lambda one: one.id):
        text = f"{change.title}\n{change.body}\n{change.branch}"
        named = _names_key(change, concern.keys)
        evidence.append(
            _compared(concern, "change", change.id, named, text,
                      sentences(change.title, change.body, components), named,
                      place_of(text, components, change.files), meaning)
        )  # fmt: skip
    return evidence


def keys_of(entries: Iterable[LedgerEntry], cause_id: str, is_cause: Callable[[str, str], bool]) -> tuple[str, ...]:
    """Our keys and the tracker's identifiers of a cause's tickets, of all generations, sorted.

    entries: kinds TICKET_KINDS.  is_cause: whether a type and a component are the cause's today: tickets of a type
    that was merged into its own are its tickets too, whatever cause they were filed for.
    """
    own = [
        ticket
        for ticket in ledger_tickets(entries).values()
        if ticket.cause_id == cause_id or is_cause(ticket.type, ticket.component)
    ]
    return tuple(sorted({name for ticket in own for name in (ticket.key, identifier_of(ticket.reference)) if name}))


def _names_key(change: Change, keys: Sequence[str]) -> bool:
    text = f"{change.title}\n{change.body}\n{change.branch}".upper()
    teams = [key.partition("-")[0] for key in keys if not KEY_PATTERN.fullmatch(key)]
    linked = linked_tickets(change.branch, change.title, change.body, teams)
    return bool({*KEY_PATTERN.findall(text), *linked} & set(keys))


def _compared(
    concern: Concern,
    what: Literal["ticket", "change"],
    reference: str,
    ours: bool,
    text: str,
    said: Sequence[str],
    names_key: bool,
    places: frozenset[str],
    meaning: "_Meaning",
) -> Evidence:
    shares = meaning.types(said)
    wanted = frozenset({concern.component} - {UNKNOWN})
    return Evidence(
        what=what,
        reference=reference,
        ours=ours,
        digest=hashlib.sha256(text.encode()).hexdigest()[:16],
        names_key=names_key,
        place="same" if places == wanted else ("none" if not places else "other"),
        type=max(sorted(shares), key=lambda slug: shares[slug]) if shares else "",
        alike=round(shares.get(concern.type, 0.0), 4),
        symptom=round(meaning.symptom(said), 4) if concern.symptoms else None,
    )


class _Meaning:
    """What sentences say, for one cause and one measure of likeness."""

    def __init__(self, concern: Concern, types: Mapping[str, Sequence[str]], alike: Likeness, bounds: Bounds) -> None:
        self._concern, self._types, self._alike, self._bounds = concern, types, alike, bounds

    def _nearness(self, sentence: str, descriptions: Sequence[str]) -> float:
        """Mean likeness to the nearest few of the descriptions."""
        nearest = sorted((self._alike(sentence, other) for other in descriptions), reverse=True)[:NEAREST]
        return sum(nearest) / len(nearest) if nearest else 0.0

    def types(self, said: Sequence[str]) -> dict[str, float]:
        """How likely a text is about each type; the rest to 1 is how likely it is about none.

        Every sentence divides itself among the types and nothing (softmax). A sentence speaks for types as far as it
        does not say nothing; evidence of sentences is multiplied. A text says nothing where each sentence does.
        """
        if not said or not self._types:
            return {}
        logs, nothing = dict.fromkeys(self._types, 0.0), 1.0
        for number, sentence in enumerate(said):
            raised = {
                slug: exp(self._bounds.sharpness * self._nearness(sentence, descriptions))
                for slug, descriptions in (*self._types.items(), ("", NOTHING))
            }
            silent = raised.pop("")
            whole = sum(raised.values())
            nothing *= silent / (silent + whole)
            weight = (self._bounds.title if number == 0 else 1.0) * whole / (silent + whole)
            for slug, value in raised.items():
                logs[slug] += weight * log(value / whole)
        top = max(logs.values())
        shares = {slug: exp(value - top) for slug, value in logs.items()}
        return {slug: (1 - nothing) * share / sum(shares.values()) for slug, share in shares.items()}

    def symptom(self, said: Sequence[str]) -> float:
        """How likely the sentence nearest to one of the cause's errors is about it, not another type or nothing."""
        own = {one: max(self._alike(one, error) for error in self._concern.symptoms) for one in said}
        if not own:
            return 0.0
        nearest = max(own, key=lambda one: own[one])
        others = (given for slug, given in self._types.items() if slug != self._concern.type)
        other = max((self._nearness(nearest, descriptions) for descriptions in others), default=0.0)
        intercept, *slopes = self._bounds.symptom
        felt = (own[nearest], other, self._nearness(nearest, NOTHING))
        return 1 / (1 + exp(-intercept - sum(slope * value for slope, value in zip(slopes, felt, strict=True))))


def same(evidence: Evidence, bounds: Bounds) -> bool:
    """Whether it is about the same cause."""
    if evidence.names_key:
        return True
    if evidence.place != "same":
        return False
    return _likely(evidence) >= bounds.same


def near(evidence: Evidence, bounds: Bounds) -> bool:
    """Whether it is worth a link: of the same place, perhaps of the same cause."""
    return evidence.place == "same" and max(evidence.alike, _likely(evidence)) >= bounds.near


def _likely(evidence: Evidence) -> float:
    return evidence.alike if evidence.symptom is None else evidence.symptom


def settle(fingerprint: Decision, evidence: Sequence[Evidence], bounds: Bounds) -> Duplicate:
    """What to do for a cause, from what its fingerprint says (`may_file`) and from what was weighed.

    Its own ticket comes first: comment, reopen, or leave it to a person. Then a change in flight is waited for, then
    an open ticket is commented on, then the likest near one is linked by the new ticket.
    """
    if fingerprint.action == "comment" or fingerprint.action == "reopen":
        return Duplicate(fingerprint.action, fingerprint.reason, fingerprint.ticket_key)
    if fingerprint.action == "refuse":
        failed = fingerprint.reason.startswith("fixes failed")
        return Duplicate("suppressed" if failed else "refuse", fingerprint.reason, fingerprint.ticket_key)
    found = sorted((one for one in evidence if same(one, bounds)), key=_order)
    for one in found:
        if one.what == "change":
            return Duplicate("wait", "a change in flight is about this cause", one.reference)
    for one in found:
        whose = "of ours" if one.ours else "by a person"
        return Duplicate("comment", f"an open ticket {whose} is about this cause", one.reference)
    for one in sorted((one for one in evidence if near(one, bounds)), key=_order):
        return Duplicate("link", "of the same place, perhaps of another cause", one.reference)
    return Duplicate("file", fingerprint.reason)


def _order(evidence: Evidence) -> tuple[bool, float, str]:
    return not evidence.names_key, -_likely(evidence), evidence.reference


def described(types: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """By friction type what it says of itself: name and definition of the taxonomy, and how people put it."""
    return {slug: (name, definition, *SAYINGS.get(slug, ())) for slug, (name, definition) in types.items()}


# --- place --------------------------------------------------------------------------------------------------------

_GENERAL: Final = frozenset(
    map(
        stem,
        wordset("""
            api app apps base call client cmd code common core data error file files get http index internal lib list
            main new path post py read run search server service set src system task test tests tool tools ts update
            util utils web worker write"""),
    )
)
"""Words in names of tools and paths that are no name of a place."""
_WORD: Final = re.compile(r"[a-z]+")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
LONG_WORD: Final = 6
"""From this length on a word with one letter wrong, missing or too many is still that word."""


def place_of(text: str, components: Mapping[str, Sequence[str]], files: Sequence[str] = ()) -> frozenset[str]:
    """The components that a text names, by words of their names, tools, paths and services, and that files are of.

    Words that several components share are nobody's. A text that names words of two has two places, unless one of
    them is named in full (its name or a whole pattern) and the other only by a word.
    """
    low = text.lower()
    full = {name for name, patterns in components.items() if any(_whole(part, low) for part in (name, *patterns))}
    owned = {component_of(components, (), [path]) for path in files} & set(components)
    if full or owned:
        return frozenset(full | owned)
    written = {stem(word) for word in _WORD.findall(low)}
    own = _own_words(tuple((name, tuple(patterns)) for name, patterns in components.items()))
    return frozenset(name for name, words in own.items() if any(_occurs(word, written) for word in words))


def _placeless(sentence: str, components: Mapping[str, Sequence[str]]) -> str:
    for part in (part for name, patterns in components.items() for part in (name, *patterns)):
        bare = re.sub(r"[*?\[\]]", "", part).strip("/.")
        if len(bare) > 2:
            sentence = re.sub(rf"(?i)(?<![a-z0-9]){_loose(bare)}(?![a-z0-9])", "it", sentence)
    own = _own_words(tuple((name, tuple(patterns)) for name, patterns in components.items()))
    places = frozenset(word for words in own.values() for word in words)
    return re.sub(r"[A-Za-z]+", lambda found: "it" if stem(found[0].lower()) in places else found[0], sentence)


def _whole(part: str, low: str) -> bool:
    bare = re.sub(r"[*?\[\]]", "", part.lower()).strip("/.")
    return len(bare) > 2 and re.search(rf"(?<![a-z0-9]){_loose(bare)}(?![a-z0-9])", low) is not None


def _loose(name: str) -> str:
    """A name however its words are joined: query-gateway, query_gateway, query gateway."""
    return r"[\s_\-]?".join(re.escape(word) for word in re.split(r"[\s_\-]+", name) if word)


@lru_cache(maxsize=8)
def _own_words(components: tuple[tuple[str, tuple[str, ...]], ...]) -> dict[str, frozenset[str]]:
    """Words that only this component's names and patterns have."""
    every = {
        name: {stem(word) for part in (name, *patterns) for word in _WORD.findall(_CAMEL.sub(" ", part).lower())}
        for name, patterns in components
    }
    shared = Counter(word for words in every.values() for word in words)
    return {
        name: frozenset(word for word in words if shared[word] == 1 and len(word) > 2 and word not in _GENERAL | STOP)
        for name, words in every.items()
    }


def _occurs(word: str, written: Iterable[str]) -> bool:
    return any(word == other or (len(word) >= LONG_WORD and _one_off(word, other)) for other in written)


def _one_off(left: str, right: str) -> bool:
    """Whether one letter was changed, left out or put in, or two neighbours were swapped."""
    if abs(len(left) - len(right)) > 1 or left[0] != right[0]:
        return False
    start = next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    tails = (left[start:], right[start:])
    swapped = left[start : start + 2] == right[start : start + 2][::-1] and left[start + 2 :] == right[start + 2 :]
    return swapped or tails[0][1:] == tails[1][1:] or tails[0][1:] == tails[1] or tails[0] == tails[1][1:]


# --- likeness -----------------------------------------------------------------------------------------------------


def by_vectors(vectors: Mapping[str, Any]) -> Likeness:
    """Cosine of unit vectors by sentence; raises KeyError for a sentence that was not embedded."""
    return lambda one, other: float(vectors[one] @ vectors[other])


def by_trigrams(one: str, other: str) -> float:
    """Cosine of counts of character trigrams of the content words, 0 to 1."""
    left, right = _trigrams(one), _trigrams(other)
    shared = sum(count * right[gram] for gram, count in left.items() if gram in right)
    size = sqrt(sum(count * count for count in left.values()) * sum(count * count for count in right.values()))
    return shared / size if size else 0.0


@lru_cache(maxsize=4096)
def _trigrams(sentence: str) -> Counter[str]:
    words = [f" {stem(word)} " for word in _WORD.findall(sentence.lower()) if word not in STOP]
    return Counter(word[at : at + 3] for word in words for at in range(len(word) - 2))
