"""Deduplication: whether somebody already wrote down or is already mending what a ticket would be filed for.

Put here: comparing a cause with open tickets and pull requests in flight by place and meaning, and what follows.
Not here: the cause's own fingerprint and the brakes (see `core/tickets.py`), the doors that give tickets and changes.

Two steps. `weigh` compares texts and returns numbers, types and references only: nobody's words, so that its result
may be stored. `settle` decides from those numbers alone: a decision is replayed from what was stored.

Never two causes on one ticket: what is compared must name the same place in the product and no other, and must most
likely be about the cause's own type among all types, or where the cause has a published error, about that
one. Most sentences say no friction at all ("see the thread", "bump a version"): they are told by `NOTHING` and do not
count, and the title counts more than what follows it.
Meaning is learnt from examples (`core/sayings.py`) in the space of sentence vectors, which the caller makes
(`to_embed` lists of what); without an embedder in that of character trigrams, which forgives typing errors and
inflection, not synonyms.
Slices (language, version, intent) are left out on purpose: one cause is met in many.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import exp, log
from typing import Final, Literal, Protocol

from signals_assets.core.places import place_of, placeless
from signals_assets.core.sayings import NOTHING, SAYINGS
from signals_assets.core.ticket_links import identifier_of, linked_tickets
from signals_assets.core.tickets import KEY_PATTERN, Decision, LedgerEntry, ledger_tickets
from signals_assets.core.topics import NO_TYPE, Topics, Vectors

UNKNOWN: Final = "unknown"
DEDUPLICATION_KIND: Final = "deduplication"
"""Ledger kind of what was compared with a cause, as numbers, and what followed."""
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
    """What one measure of likeness weighs, fitted, and from where on a text is about the same as a cause."""

    measure: str
    sharpness: float
    """What likeness is multiplied with before shares are taken (softmax)."""
    title: float
    """How many other sentences the title counts for."""
    symptom: tuple[float, float, float, float]
    """Logistic: intercept, likeness to the error, to other types of friction, to what says nothing."""
    same: float
    """Of the cause's errors."""
    same_type: float | None
    """Of its type, where it has no error; None: types are not told apart surely enough to merge by them."""
    near: float = 0.2
    """From here on it is worth a link."""
    bend: float = 2.0
    """How local the kernel is with which types are learnt (see `Topics`)."""
    ridge: float = 0.1
    """How smooth what is learnt is."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """What to do for a cause: file, comment on, link to, wait for, reopen, or nothing; and why."""

    action: Literal["file", "comment", "link", "wait", "reopen", "suppressed", "refuse"]
    reason: str
    reference: str = ""


TRIGRAMS: Final = Bounds("character trigrams", 16.0, 2.0, (-2.8, 29.2, -12.0, -8.2), same=0.9, same_type=None)
VECTORS: Final = Bounds("sentence vectors", 16.0, 2.0, (-8.3, 41.6, -8.2, -3.8), same=0.7, same_type=0.7)
"""Fitted on the words of tuning and of development of `simulation/duplicates.py` (all but the third set), seeds 100 to
104, texts of the same place: bend, ridge, sharpness and title over a small grid (it is flat), the logistic with a weak
ridge (C=100). `same` of vectors is where the lower end of precision's interval reaches 0.98 with fresh words and those
of the fourth set: a missed duplicate is a second ticket that names the first, a wrong merge hides a cause. Trigrams
know no synonyms: types that they tell in fresh words are right in 9 of 10 texts only, so that they merge by errors
alone.
"""
_SAYS_NOTHING: Final = re.compile(r"No .{0,80}\bstands? out\b")
"""What our own tickets say where there is no error: near to errors by its words only."""


def sentences(title: str, body: str, components: Mapping[str, Sequence[str]]) -> list[str]:
    """The sentences of a title and a body that are compared, without markup and code; places are "it".

    A place has its own comparison; left in, it would outweigh what is said about it. What is said twice counts once.
    """
    prose = re.sub(r"```.*?(?:```|\Z)|<[^>\n]{1,200}>|https?://\S+", " ", body, flags=re.DOTALL)
    parts = [title, *re.split(r"(?<=[.!?;:])\s+|\n+", prose)]
    cleaned = (" ".join(part.strip(" \t#>*-|`_").split())[:LONGEST] for part in parts)
    kept = [part for part in cleaned if len(part.split()) >= FEWEST_WORDS and not _SAYS_NOTHING.match(part)]
    return list(dict.fromkeys(placeless(part, components) for part in kept[:SENTENCES]))


def weigh(
    concern: Concern,
    tickets: Iterable[Written],
    changes: Iterable[Change],
    *,
    components: Mapping[str, Sequence[str]],
    topics: Topics,
    bounds: Bounds,
) -> list[Evidence]:
    """How each open ticket and each change in flight compares with the cause, tickets first, by reference.

    components: the settings' map.  topics: learnt in the space that `bounds` are of (see `learnt`), from vectors of all
    that `to_embed` lists.
    """
    meaning = _Meaning(concern, topics, bounds)
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

    def __init__(self, concern: Concern, topics: Topics, bounds: Bounds) -> None:
        self._concern, self._topics, self._bounds = concern, topics, bounds

    def types(self, said: Sequence[str]) -> dict[str, float]:
        """How likely a text is about each type; the rest to 1 is how likely it is about none.

        Every sentence divides itself among the types and nothing (softmax). A sentence speaks for types as far as it
        does not say nothing; evidence of sentences is multiplied. A text says nothing where each sentence does.
        """
        slugs = [slug for slug in self._topics.types if slug != NO_TYPE]
        if not said or not slugs:
            return {}
        logs, nothing = dict.fromkeys(slugs, 0.0), 1.0
        for number, sentence in enumerate(said):
            scores = self._topics.scores(sentence)
            raised = {slug: exp(self._bounds.sharpness * score) for slug, score in scores.items()}
            silent = raised.pop(NO_TYPE)
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
        own = {one: max(self._topics.alike(one, error) for error in self._concern.symptoms) for one in said}
        if not own:
            return 0.0
        nearest = max(own, key=lambda one: own[one])
        scores = dict(self._topics.scores(nearest))
        silent = scores.pop(NO_TYPE)
        other = max((score for slug, score in scores.items() if slug != self._concern.type), default=0.0)
        intercept, *slopes = self._bounds.symptom
        felt = (own[nearest], other, silent)
        return 1 / (1 + exp(-intercept - sum(slope * value for slope, value in zip(slopes, felt, strict=True))))


def same(evidence: Evidence, bounds: Bounds) -> bool:
    """Whether it is about the same cause."""
    if evidence.names_key:
        return True
    if evidence.place != "same":
        return False
    if evidence.symptom is None:
        return bounds.same_type is not None and evidence.alike >= bounds.same_type
    return evidence.symptom >= bounds.same


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


def to_embed(
    concern: Concern,
    tickets: Iterable[Written],
    changes: Iterable[Change],
    *,
    types: Mapping[str, Sequence[str]],
    components: Mapping[str, Sequence[str]],
) -> list[str]:
    """Every sentence whose vector `learnt` and `weigh` ask for, sorted."""
    written = [sentences(one.title, one.body, components) for one in tickets]
    written += [sentences(one.title, one.body, components) for one in changes]
    return sorted({*concern.symptoms, *NOTHING, *chain.from_iterable(types.values()), *chain.from_iterable(written)})


def learnt(types: Mapping[str, Sequence[str]], vectors: Vectors, bounds: Bounds) -> Topics:
    """What each type is about. types: every friction type with what it says of itself (see `described`)."""
    return Topics({**types, NO_TYPE: NOTHING}, vectors, bend=bounds.bend, ridge=bounds.ridge)
