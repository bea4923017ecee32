"""Stage 5 · discovery, names: what a proposal is called, in words that the barrier admits.

Put here: `words_for`: slug, name, definition and what does not belong to it; `examples_of`, its most central texts.
Not here: finding groups (see `discovery_groups.py`), judging them (see `discovery_evidence.py`).

A name is made by contrast with what lies nearest, not with everything: the words that set a group apart from its
neighbours (class-based TF-IDF) and that the barrier admits. A language model, where there is one, is asked once for a
new group. It sees admitted text only, must first say which existing category this could be, and its words pass the
barrier or the distinctive words stay; how often is counted.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from signals_assets.core.analysis_rules import listed
from signals_assets.core.barrier import from_taxonomy, restored
from signals_assets.core.barrier.lexicon import function_words
from signals_assets.core.discovery_items import Row, Window, spoken
from signals_assets.core.discovery_labels import OTHER, LabelKind
from signals_assets.core.discovery_vectors import centroid, distinctive_terms, words
from signals_assets.core.taxonomy import Taxonomy
from signals_assets.core.text import stem
from signals_assets.prompts import pinned
from signals_assets.zones import Abstracted

EXAMPLES: Final = 3
NAME_TERMS: Final = 3
DEFINITION_TERMS: Final = 6
NEIGHBOURS: Final = 3
"""Neighbours that a group is contrasted with, as a multiple of its size."""

TERM_SHARE: Final = 0.1
"""A word must occur in this share of a group's texts to stand in its name."""

SHARED: Final = 0.5
"""A word that the neighbours say this much as often as the group is of both."""

SHOWN_TEXTS: Final = 12
"""Texts of a group, and of its neighbours, that a language model is shown at the most."""

NAME_LIMIT: Final = 60
NAME_WORDS: Final = 6

_MOMENT: Final[dict[LabelKind, str]] = {
    "friction": "Moments of friction",
    "delight": "Moments of delight",
    "unmet_need": "Needs that the agent could not meet",
    "intent": "Sessions with one kind of wish",
}
_ABOUT: Final[dict[LabelKind, str]] = {
    "friction": "Users met friction that they describe with {}.",
    "delight": "Users were pleased and speak about {}.",
    "unmet_need": "Users asked for what the agent has no means to do and speak about {}.",
    "intent": "Users came with a wish that is about {}.",
}
"""The sentence that says what a group's items speak about."""

_UNNAMED: Final[dict[LabelKind, str]] = {
    "friction": "New friction",
    "delight": "New delight",
    "unmet_need": "New need",
    "intent": "New intent",
}
"""Names where the barrier admits none of a group's distinctive words."""

_NOT_THIS: Final = "What another category covers."
_APART: Final = "Its moments are not covered by that category."

Ask = Callable[[str], str | None]
"""One question with admitted text only -> one line, or None."""


@dataclass
class Namer:
    """The analyst's model as one who names: at most `left` questions, and what became of them by reason."""

    ask: Ask | None = None
    left: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def __call__(self, question: str) -> str | None:
        """The answer's line, or None where nobody answers or enough was asked."""
        if self.ask is None:
            return None
        if self.left <= 0:
            self.counts["naming_over_budget"] += 1
            return None
        self.left -= 1
        answer = self.ask(question)
        self.counts["naming_asked" if answer else "naming_unanswered"] += 1
        return answer


@dataclass(frozen=True)
class Words:
    """How a proposal is called, and how it is told from what is near."""

    slug: str
    name: Abstracted
    definition: Abstracted
    is_not: Abstracted
    difference: Abstracted | None = None
    by_model: bool = False
    could_be: str | None = None
    """The existing category that the model said it is."""


@dataclass(frozen=True)
class Near:
    """What lies around a group: the existing category nearest to it, and how much of the group that one leaves."""

    slug: str | None
    outside: float | None
    rows: npt.NDArray[np.int64]
    """The nearest items that are not in the group."""


def words_for(
    kind: LabelKind,
    window: Window,
    rows: npt.NDArray[np.int64],
    near: Near,
    *,
    before: Row | None,
    taxonomy: Taxonomy,
    taken: set[str],
    namer: Namer,
) -> Words:
    """Slug, name and definition of a group: those of the day before, the model's, or made of distinctive words.

    `taken` are slugs of the day's other proposals. The difference to the nearest category is worded anew every day.
    """
    texts, others = _texts(window, rows), _texts(window, near.rows)
    said = _said(texts), _said(others)
    ranked = distinctive_terms(said, 3 * DEFINITION_TERMS, TERM_SHARE)
    own, theirs = _contrasted(ranked[0], *said), _contrasted(ranked[1], *said[::-1])
    difference = _difference(kind, near, own, theirs, taxonomy)
    if before is not None:
        is_not = before.get("is_not")
        return Words(
            str(before["slug"]),
            _stored(before["name"]),
            _stored(before["definition"]),
            _stored(is_not) if is_not else restored(_NOT_THIS),
            difference,
            by_model=before.get("named_by") == "model",
        )
    made = _by_model(kind, texts, others, taxonomy, namer)
    if made is not None:
        name, definition, is_not, could_be = made
        slug = _free_slug(_slug(name.text.lower().split()) or f"new_{kind}", kind, taxonomy, taken)
        return Words(slug, name, definition, is_not, difference, True, could_be)
    chosen = _in_reading_order(own[:NAME_TERMS], texts)
    return Words(
        slug=_free_slug(_slug(chosen) or f"new_{kind}", kind, taxonomy, taken),
        name=_admitted(" ".join(chosen).capitalize()) or restored(_UNNAMED[kind]),
        definition=_admitted(_ABOUT[kind].format(listed(own[:DEFINITION_TERMS])) if own else "")
        or restored(f"{_MOMENT[kind]}."),
        is_not=_not_this(kind, near, theirs, taxonomy),
        difference=difference,
    )


def examples_of(window: Window, rows: npt.NDArray[np.int64], count: int = EXAMPLES) -> list[Abstracted]:
    """The most central distinct texts of a group."""
    return [restored(text) for text in _central(window, rows, count)]


def category_lines(kind: LabelKind, taxonomy: Taxonomy) -> str:
    """The existing categories of a kind as a model reads them, one a line."""
    lines = [f"- {item.slug}: {item.definition}" for item in taxonomy.of_kind(kind) if item.slug != OTHER]
    return "\n".join(lines) or "- (none yet)"


def _by_model(
    kind: LabelKind, texts: Sequence[str], others: Sequence[str], taxonomy: Taxonomy, namer: Namer
) -> tuple[Abstracted, Abstracted, Abstracted, str | None] | None:
    """Name, definition, what it is not, and the existing category it could be, as a model says and the barrier admits.

    The answer is one line of four parts between vertical bars; anything else is refused and counted.
    """
    if namer.ask is None:
        return None
    answer = namer(
        pinned("name_category").render(
            kind=_MOMENT[kind].lower(),
            existing=category_lines(kind, taxonomy),
            members=_lines(texts),
            others=_lines(others),
        )
    )
    if not answer:
        return None
    parts = [part.strip() for part in answer.split("|")]
    admitted = [_admitted(part) for part in parts[1:]]
    if len(parts) != 4 or not all(admitted) or len(parts[1]) > NAME_LIMIT or len(parts[1].split()) > NAME_WORDS:
        namer.counts["naming_refused"] += 1
        return None
    name, definition, is_not = (text for text in admitted if text is not None)
    known = taxonomy.get(kind, parts[0].strip("`'\" ."))
    return name, definition, is_not, known.slug if known is not None and known.slug != OTHER else None


def _lines(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in list(dict.fromkeys(texts))[:SHOWN_TEXTS]) or "- (none)"


def _texts(window: Window, rows: npt.NDArray[np.int64]) -> list[str]:
    """Texts of the rows, the most central first."""
    return _central(window, rows, len(rows), distinct=False) if len(rows) else []


def _central(window: Window, rows: npt.NDArray[np.int64], count: int, *, distinct: bool = True) -> list[str]:
    similar = window.vectors[rows] @ centroid(window.vectors[rows])
    ordered = [window.items[int(rows[place])].text for place in np.argsort(-similar, kind="stable")]
    return (list(dict.fromkeys(ordered)) if distinct else ordered)[:count]


def _said(texts: Sequence[str]) -> list[str]:
    return [spoken(text) for text in texts]


def _difference(
    kind: LabelKind, near: Near, own: Sequence[str], theirs: Sequence[str], taxonomy: Taxonomy
) -> Abstracted | None:
    """Why a group is not the category nearest to it, in one sentence; None where none is near."""
    item = taxonomy.get(kind, near.slug) if near.slug else None
    if item is None or near.outside is None:
        return None
    share = "Most" if near.outside > 0.5 else "Some" if near.outside > 0.2 else "Few"
    first = f"{share} of its moments are not covered by {item.name.lower()}"
    told = f", and speak about {listed(own[:NAME_TERMS])}" if own else ""
    unlike = [word for word in theirs if word not in own][:NAME_TERMS]
    apart = f", not about {listed(unlike)}" if told and unlike else ""
    return _admitted(f"{first}{told}{apart}.") or _admitted(f"{first}.") or restored(_APART)


def _not_this(kind: LabelKind, near: Near, theirs: Sequence[str], taxonomy: Taxonomy) -> Abstracted:
    """What does not belong to a group, by its nearest category and the words of its neighbours."""
    item = taxonomy.get(kind, near.slug) if near.slug else None
    covered = f"What {item.name.lower()} covers" if item is not None else "What another category covers"
    about = f", and what is about {listed(theirs[:NAME_TERMS])}" if theirs else ""
    return _admitted(f"{covered}{about}.") or _admitted(f"{covered}.") or restored(_NOT_THIS)


def _contrasted(terms: Sequence[str], said: Sequence[str], others: Sequence[str]) -> list[str]:
    """The telling words that the neighbours hardly say; all telling ones where they say them all."""
    share = _shares(terms, said)
    beside = _shares(terms, others)
    telling = _telling(terms)
    return [term for term in telling if beside[term] < SHARED * share[term]] or telling


def _shares(terms: Sequence[str], texts: Sequence[str]) -> dict[str, float]:
    """Share of the texts that hold each of the words."""
    held = [set(words(text)) for text in texts]
    return {term: sum(term in one for one in held) / max(len(held), 1) for term in terms}


def _telling(terms: Sequence[str]) -> list[str]:
    """The words that may name a category: admitted by the barrier, no function words, one per stem, best first."""
    chosen: dict[str, str] = {}
    for term in terms:
        if term not in function_words() and _admitted(term) is not None:
            chosen.setdefault(stem(term), term)
    return list(chosen.values())


def _admitted(text: str) -> Abstracted | None:
    """The text as the barrier admits it, or None where it refuses."""
    try:
        return from_taxonomy(text) if text else None
    except ValueError:
        return None


def _stored(words: Any) -> Abstracted:
    """Name or definition of the day before: `Abstracted` from a model, a plain text from a stored row."""
    return words if isinstance(words, Abstracted) else restored(str(words))


def _slug(words: Sequence[str]) -> str:
    """Words as an id: letters, digits and underscores."""
    plain = "_".join(word.replace("'", "").replace("-", "_") for word in words)
    return "".join(letter for letter in plain if letter.isalnum() or letter == "_")


def _in_reading_order(terms: Sequence[str], texts: Sequence[str]) -> list[str]:
    """The terms by their mean place in the texts that hold them, so that a name reads like the texts do."""

    def place(term: str) -> float:
        return float(np.mean([text.lower().find(term) / len(text) for text in texts if term in text.lower()] or [1.0]))

    return sorted(terms, key=lambda term: (place(term), term))


def _free_slug(slug: str, kind: LabelKind, taxonomy: Taxonomy, taken: set[str]) -> str:
    """The slug, with a number where the taxonomy ever had it or another proposal of the day has it."""
    number, free = 1, slug
    while free in taken or taxonomy.get(kind, free) is not None:
        number += 1
        free = f"{slug}_{number}"
    return free
