"""Stage 5 · discovery, names: what a proposal is called, in words that the barrier admits.

Put here: `words_for`: slug, name and definition of a group of items; `examples_of`, its most central texts.
Not here: finding groups (see `discovery_proposals.py`), judging them (see `discovery_evidence.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from signals_assets.core.analysis_rules import listed
from signals_assets.core.barrier import from_taxonomy, restored
from signals_assets.core.barrier.lexicon import function_words
from signals_assets.core.discovery_items import Row, Window
from signals_assets.core.discovery_labels import LabelKind
from signals_assets.core.discovery_vectors import centroid
from signals_assets.core.taxonomy import Taxonomy
from signals_assets.core.text import stem
from signals_assets.zones import Abstracted

EXAMPLES: Final = 3
NAME_TERMS: Final = 3
DEFINITION_TERMS: Final = 6

_MOMENT: Final[dict[LabelKind, str]] = {
    "friction": "Moments of friction",
    "delight": "Moments of delight",
    "unmet_need": "Needs that the agent could not meet",
}
_ABOUT: Final[dict[LabelKind, str]] = {
    "friction": "Users met friction that they describe with {}.",
    "delight": "Users were pleased and speak about {}.",
    "unmet_need": "Users asked for what the agent has no means to do and speak about {}.",
}
"""The sentence that says what a group's items speak about."""

_UNNAMED: Final[dict[LabelKind, str]] = {
    "friction": "New friction",
    "delight": "New delight",
    "unmet_need": "New need",
}
"""Names where the barrier admits none of a group's distinctive words."""


@dataclass(frozen=True)
class Words:
    """How a proposal is called."""

    slug: str
    name: Abstracted
    definition: Abstracted


def words_for(
    kind: LabelKind,
    terms: Sequence[str],
    texts: Sequence[str],
    before: Row | None,
    taxonomy: Taxonomy,
    taken: set[str],
) -> Words:
    """Slug, name and definition: those of the day before, or made of distinctive words in the order of the texts."""
    if before is not None:
        return Words(str(before["slug"]), _stored(before["name"]), _stored(before["definition"]))
    admitted = _telling(terms)
    chosen = _in_reading_order(admitted[:NAME_TERMS], texts)
    return Words(
        slug=_free_slug("_".join(_plain(word) for word in chosen) or f"new_{kind}", kind, taxonomy, taken),
        name=_admitted(" ".join(chosen).capitalize()) or restored(_UNNAMED[kind]),
        definition=_admitted(_ABOUT[kind].format(listed(admitted[:DEFINITION_TERMS])) if admitted else "")
        or restored(f"{_MOMENT[kind]}."),
    )


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


def _plain(word: str) -> str:
    return word.replace("'", "").replace("-", "_")


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


def examples_of(window: Window, rows: npt.NDArray[np.int64]) -> list[Abstracted]:
    """The most central distinct texts of a group."""
    similar = window.vectors[rows] @ centroid(window.vectors[rows])
    ordered = [window.items[int(rows[place])].text for place in np.argsort(-similar, kind="stable")]
    return [restored(text) for text in list(dict.fromkeys(ordered))[:EXAMPLES]]
