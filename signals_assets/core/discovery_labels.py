"""Stage 5 · discovery, labels: what an accepted type means for events that were stored under another one.

Put here: `event_labels`, and `types_now`, the type each item has under the taxonomy of the day.
Not here: folding the ledger (see `taxonomy.py`), finding new types (see `discovery_proposals.py`).

Events are never rewritten. A label is written when it differs from what was known before: the newest label of an
event counts, so an undone acceptance writes the old type again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from signals_assets.core.discovery_items import Row, Window
from signals_assets.core.discovery_vectors import Floats, Vectors, centroid, gate
from signals_assets.core.taxonomy import Taxonomy
from signals_assets.tables import EventLabel

LabelKind = Literal["friction", "delight", "unmet_need"]
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


def event_labels(
    day: date, window: Window, taxonomy: Taxonomy, previous_labels: Sequence[Row] = ()
) -> list[EventLabel]:
    """Labels that change today, for the window's items: accepted types, followed merges, and undone ones.

    `previous_labels` are rows of `event_labels` of earlier days, oldest first.
    """
    known = {row["event_id"]: str(row["type"]) for row in previous_labels}
    rows = []
    for kind in LABEL_KINDS:
        part = window.of_kind(kind)
        for item, (slug, similarity) in zip(part.items, _typed(part, kind, taxonomy, known), strict=True):
            if slug == known.get(item.item_id, item.type):
                continue
            rows.append(
                EventLabel(
                    day=day,
                    event_id=item.item_id,
                    about_day=item.day,
                    session_id=item.session_id,
                    kind=kind,
                    type=slug,
                    previous_type=item.type,
                    similarity=similarity,
                    taxonomy_version=taxonomy.version,
                    ledger_seq=taxonomy.ledger_seq,
                )
            )
    return rows


def types_now(window: Window, kind: LabelKind, taxonomy: Taxonomy, previous_labels: Sequence[Row] = ()) -> list[str]:
    """The type of each item of a window of one kind, as `event_labels` would have it."""
    known = {row["event_id"]: str(row["type"]) for row in previous_labels}
    return [slug for slug, _ in _typed(window, kind, taxonomy, known)]


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
    window: Window, kind: LabelKind, taxonomy: Taxonomy, known: Mapping[str, str]
) -> list[tuple[str, float | None]]:
    """Type and, where it was given by nearness, similarity to the type's centre, for each item of one kind."""
    types: list[tuple[str, float | None]] = [(_stored(kind, item.type, taxonomy), None) for item in window.items]
    founders = _founders(window, kind, taxonomy, known)
    if not founders:
        return types
    own = _own_similarity(window, [slug for slug, _ in types], founders)
    best = np.full(len(types), -np.inf)
    for slug, (rows, sticky) in founders.items():
        vectors = window.vectors[rows]
        similar = window.vectors.astype(np.float64) @ centroid(vectors).astype(np.float64)
        joins = (similar >= gate(vectors, JOIN_QUANTILE)) & (similar > own)
        joins[sticky] = True
        for row in np.flatnonzero(joins & (similar > best)).tolist():
            types[row] = (slug, round(float(similar[row]), 4))
            best[row] = similar[row]
    return types


def _stored(kind: LabelKind, slug: str, taxonomy: Taxonomy) -> str:
    """The stored type, or where merges lead; `other` for a type whose acceptance was undone."""
    slug = taxonomy.current(kind, slug)
    undone = bool(slug) and taxonomy.get(kind, slug) is None and taxonomy.get(kind, OTHER) is not None
    return OTHER if undone else slug


def _founders(
    window: Window, kind: LabelKind, taxonomy: Taxonomy, known: Mapping[str, str]
) -> dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Per accepted type in force: the rows its centre is computed from, and those that have it without question.

    The centre comes from the items of the proposal while they are in the window, then from the items that were
    labelled or stored with the type since.
    """
    found = {}
    for change in taxonomy.accepted():
        payload = change.payload
        slug = taxonomy.current(kind, str(payload.get("slug")))
        item = taxonomy.get(kind, slug)
        if payload.get("kind") != kind or item is None or item.retired:
            continue
        founding = window.rows_of(payload.get("item_ids") or ())
        labelled = [r for r, one in enumerate(window.items) if slug in (known.get(one.item_id), one.type)]
        centre_of = founding if len(founding) >= LEAST_MEMBERS else np.union1d(founding, labelled).astype(np.int64)
        if len(centre_of):
            found[slug] = (centre_of, np.union1d(founding, labelled).astype(np.int64))
    return found


def _own_similarity(
    window: Window,
    types: Sequence[str],
    founders: Mapping[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
) -> Floats:
    """Each item's cosine to the centre of its stored type without the founders; -1 where that has no centre."""
    taken = {row for rows, _ in founders.values() for row in rows.tolist()}
    others = ["" if row in taken else slug for row, slug in enumerate(types)]
    centres = {category.slug: category.centre for category in categories(window, others, JOIN_QUANTILE)}
    return np.array(
        [float(window.vectors[row] @ centres[slug]) if slug in centres else -1.0 for row, slug in enumerate(types)]
    )
