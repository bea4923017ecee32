"""Stage 5 · discovery, labels: what an accepted type means for events that were stored under another one.

Put here: `event_labels`, and `types_now`, the type each item has under the taxonomy of the day.
Not here: folding the ledger (see `taxonomy.py`), finding new types (see `discovery_proposals.py`).

Events are never rewritten. A label is written when it differs from what was known before: the newest label of an
event counts, so an undone acceptance writes the old type again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from signals_assets.core.discovery_items import Item, Row, Window
from signals_assets.core.discovery_vectors import Floats, Vectors, centroid, gate, unit
from signals_assets.core.taxonomy import Taxonomy
from signals_assets.tables import EventLabel

LabelKind = Literal["friction", "delight", "unmet_need", "intent"]
LABEL_KINDS: Final[tuple[LabelKind, ...]] = get_args(LabelKind)
"""Kinds of items that can be given a type."""

OTHER: Final = "other"
"""The type of what fits no type: never a category of its own."""

JOIN_QUANTILE: Final = 0.1
"""An item joins an accepted type when it is as near to it as all but this share of the type's founding items."""

LEAST_MEMBERS: Final = 5
"""Fewer items give a type no reliable centre."""


@dataclass(frozen=True)
class Category:
    """A type as the window's items show it: centre (shape (dimensions,)) and the similarity from which it claims."""

    slug: str
    centre: Vectors
    threshold: float


@dataclass(frozen=True)
class _Prototype:
    """What an accepted type is recognised by: a centre, the similarity from which it claims, and sure members."""

    slug: str
    centre: Vectors
    threshold: float
    sure: npt.NDArray[np.int64]
    """Rows that have the type without question: of its proposal, labelled or stored with it."""
    part_of: str | None = None
    """The type that was split into this one and others: what is stored with it goes to the nearest of them."""


def event_labels(
    day: date, window: Window, taxonomy: Taxonomy, previous_labels: Sequence[Row] = (), *, embedder: str = ""
) -> list[EventLabel]:
    """Labels that change today, for the window's items: accepted types, followed merges and splits, undone ones.

    `previous_labels` are rows of `event_labels` of earlier days, oldest first. `embedder` is the name of the model of
    the window's vectors: centres that were frozen at an acceptance hold for the same model only. No model is asked.
    """
    known = {row["event_id"]: str(row["type"]) for row in previous_labels}
    rows = []
    for kind in LABEL_KINDS:
        part = window.of_kind(kind)
        typed = zip(part.items, _typed(part, kind, taxonomy, known, embedder), strict=True)
        lost = [item for item in window.lost if item.kind == kind]
        for item, (slug, similarity) in [
            *typed,
            *((item, _without_vector(kind, item, taxonomy, known)) for item in lost),
        ]:
            if slug == known.get(item.item_id, _before(kind, item)):
                continue
            rows.append(
                EventLabel(
                    day=day,
                    event_id=item.item_id,
                    about_day=item.day,
                    session_id=item.session_id,
                    kind=kind,
                    type=slug,
                    previous_type=_before(kind, item),
                    similarity=similarity,
                    taxonomy_version=taxonomy.version,
                    ledger_seq=taxonomy.ledger_seq,
                )
            )
    return rows


def types_now(
    window: Window,
    kind: LabelKind,
    taxonomy: Taxonomy,
    previous_labels: Sequence[Row] = (),
    *,
    embedder: str = "",
) -> list[str]:
    """The type of each item of a window of one kind, as `event_labels` would have it."""
    known = {row["event_id"]: str(row["type"]) for row in previous_labels}
    return [slug for slug, _ in _typed(window, kind, taxonomy, known, embedder)]


def categories(window: Window, types: Sequence[str], quantile: float) -> list[Category]:
    """The types that have enough items in the window, by slug; `other` and untyped items make none."""
    found = []
    for slug in sorted(set(types) - {OTHER, ""}):
        rows = np.array([row for row, own in enumerate(types) if own == slug], dtype=np.int64)
        if len(rows) >= LEAST_MEMBERS:
            vectors = window.vectors[rows]
            found.append(Category(slug, centroid(vectors), gate(vectors, quantile)))
    return found


def _typed(
    window: Window, kind: LabelKind, taxonomy: Taxonomy, known: Mapping[str, str], embedder: str
) -> list[tuple[str, float | None]]:
    """Type and, where it was given by nearness, similarity to the type's centre, for each item of one kind."""
    types: list[tuple[str, float | None]] = [(_stored(kind, item.type, taxonomy), None) for item in window.items]
    prototypes = _prototypes(window, kind, taxonomy, known, embedder) if len(window.items) else []
    if not prototypes:
        return types
    own = _own_similarity(window, [slug for slug, _ in types], prototypes)
    best = np.full(len(types), -np.inf)
    for one in prototypes:
        similar = window.vectors.astype(np.float64) @ one.centre.astype(np.float64)
        joins = (similar >= one.threshold) & (similar > own)
        joins[one.sure] = True
        if one.part_of is not None:
            joins |= np.array([item.type == one.part_of for item in window.items], dtype=np.bool_)
        for row in np.flatnonzero(joins & (similar > best)).tolist():
            types[row] = (one.slug, round(float(similar[row]), 4))
            best[row] = similar[row]
    return types


def _stored(kind: LabelKind, slug: str, taxonomy: Taxonomy) -> str:
    """The stored type, or where merges lead; `other` for a type whose acceptance was undone.

    An intent is stored in the analyst's words: they are a type only where they name an accepted one.
    """
    if kind == "intent":
        return _named(slug, taxonomy)
    slug = taxonomy.current(kind, slug)
    undone = bool(slug) and taxonomy.get(kind, slug) is None and taxonomy.get(kind, OTHER) is not None
    return OTHER if undone else slug


def _named(words: str, taxonomy: Taxonomy) -> str:
    """The intent that the words name, by id or name; empty for others."""
    return taxonomy.intents_by_words.get(words.strip().lower(), "")


def _before(kind: LabelKind, item: Item) -> str:
    """What an item counts as while it has no label."""
    return item.type if kind != "intent" else ""


def _without_vector(kind: LabelKind, item: Item, taxonomy: Taxonomy, known: Mapping[str, str]) -> tuple[str, None]:
    """The type of an item whose vector expired: its label while in force, followed through merges, else as stored."""
    label = taxonomy.current(kind, known.get(item.item_id, ""))
    return (label if label and taxonomy.get(kind, label) is not None else _stored(kind, item.type, taxonomy)), None


def _prototypes(
    window: Window, kind: LabelKind, taxonomy: Taxonomy, known: Mapping[str, str], embedder: str
) -> list[_Prototype]:
    """What each accepted type in force is recognised by, in the order of the decisions.

    The centre is the one that was frozen when the type was accepted; where there is none of this embedder it comes
    from the items of the proposal while they are in the window, then from those labelled or stored with it since.
    """
    found = []
    for payload, part_of in _founded(kind, taxonomy):
        slug = taxonomy.current(kind, str(payload.get("slug")))
        item = taxonomy.get(kind, slug)
        if item is None or item.retired:
            continue
        founding = window.rows_of(payload.get("item_ids") or ())
        labelled = [
            row
            for row, one in enumerate(window.items)
            if slug in (known.get(one.item_id), one.type if kind != "intent" else _named(one.type, taxonomy))
        ]
        sure = np.union1d(founding, labelled).astype(np.int64)
        frozen = _frozen(payload, embedder, window)
        centre_of = founding if len(founding) >= LEAST_MEMBERS else sure
        if frozen is not None:
            found.append(_Prototype(slug, *frozen, sure, part_of))
        elif len(centre_of):
            vectors = window.vectors[centre_of]
            found.append(_Prototype(slug, centroid(vectors), gate(vectors, JOIN_QUANTILE), sure, part_of))
    return found


def _founded(kind: LabelKind, taxonomy: Taxonomy) -> Iterator[tuple[Mapping[str, Any], str | None]]:
    """What was decided of each type that a person accepted or split off, and what it was split from."""
    for change in taxonomy.changes:
        if change.payload.get("kind") != kind:
            continue
        if change.action == "accept":
            yield change.payload, None
        elif change.action == "split":
            for part in change.payload.get("into") or ():
                yield part, str(change.payload.get("slug"))


def _frozen(payload: Mapping[str, Any], embedder: str, window: Window) -> tuple[Vectors, float] | None:
    """Centre and threshold that an acceptance froze, where they are of this embedder."""
    centre = payload.get("centre") or {}
    if not embedder or centre.get("embedder") != embedder or len(centre["vector"]) != window.vectors.shape[1]:
        return None
    return unit([centre["vector"]])[0], float(centre["threshold"])


def _own_similarity(window: Window, types: Sequence[str], prototypes: Sequence[_Prototype]) -> Floats:
    """Each item's cosine to the centre of its stored type without the sure members; -1 where that has no centre."""
    taken = {row for one in prototypes for row in one.sure.tolist()}
    others = ["" if row in taken else slug for row, slug in enumerate(types)]
    centres = {category.slug: category.centre for category in categories(window, others, JOIN_QUANTILE)}
    return np.array(
        [float(window.vectors[row] @ centres[slug]) if slug in centres else -1.0 for row, slug in enumerate(types)]
    )
