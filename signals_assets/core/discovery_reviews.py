"""Stage 5 · discovery, reviews: how the categories that exist fare: size, last sight, drift of meaning, retirement.

Put here: `reviews`. Not here: new categories (see `discovery_evidence.py`), retiring one (a person does).

Meaning drifts when what is called by a name moves away from what the name was given to. The measure is the cosine of
two means, each without its noise (products of an item with itself left out), so that a small group does not look moved
because it is small: halves of one group have 1 in expectation whatever their size.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import numpy as np

from signals_assets.core.barrier.thresholds import SHOWN
from signals_assets.core.discovery_evidence import Context, explained
from signals_assets.core.discovery_items import WINDOW_DAYS, Row, Window
from signals_assets.core.discovery_labels import LABEL_KINDS, OTHER, LabelKind, types_now
from signals_assets.core.discovery_vectors import Vectors, unit
from signals_assets.core.selection import COUNTED
from signals_assets.core.taxonomy import Taxonomy, TaxonomyType, seed
from signals_assets.settings import Audience
from signals_assets.tables import TaxonomyReview

RECENT_DAYS: Final = 7
LEAST_ITEMS: Final = 15
"""Recent items, and earlier ones, below which nothing is said of a meaning."""

SAME_MEANING: Final = 0.85
"""Cosine below which a meaning has moved: as far as a new category has to lie from a known one."""

UNTOLD: Final = 0.5
"""Chance of as much information without any relation, from which a category tells nothing."""

SILENT_DAYS: Final = 14
"""Days in a row on which a category told nothing before its retirement is proposed."""


def reviews(
    day: date,
    window: Window,
    taxonomy: Taxonomy,
    previous_labels: Sequence[Row] = (),
    previous: Sequence[Row] = (),
    *,
    audience: Audience,
    embedder: str = "",
    facts: Mapping[str, tuple[str, str]] | None = None,
) -> list[TaxonomyReview]:
    """One row for every category in force that an item ever had, in the taxonomy's order.

    `previous` are the rows of `taxonomy_reviews` of the day before: they remember when a category was last seen.
    """
    before = {(row["kind"], row["slug"]): row for row in previous}
    friction: dict[str, set[str]] = {}
    for item in window.items:
        if item.kind == "friction":
            friction.setdefault(item.session_id, set()).add(item.item_id)
    context = Context(
        taxonomy, audience, facts=facts or {}, friction={session: frozenset(ids) for session, ids in friction.items()}
    )
    rows = []
    for kind in LABEL_KINDS:
        part = window.of_kind(kind)
        types = types_now(part, kind, taxonomy, previous_labels, embedder=embedder)
        for one in taxonomy.of_kind(kind):
            members = np.array([row for row, slug in enumerate(types) if slug == one.slug], dtype=np.int64)
            earlier = before.get((kind, one.slug))
            if len(members) or earlier is not None:
                rows.append(_review(day, kind, part, members, one, earlier, context, embedder))
    return rows


def _review(
    day: date,
    kind: LabelKind,
    window: Window,
    members: "np.ndarray[Any, np.dtype[np.int64]]",
    item: TaxonomyType,
    before: Row | None,
    context: Context,
    embedder: str,
) -> TaxonomyReview:
    items = [window.items[row] for row in members.tolist()]
    users, sessions = {one.user_id for one in items}, {one.session_id for one in items}
    last_day = max((one.day for one in items), default=before["last_day"] if before else None)
    same = (
        _same_meaning(day, window, members, _frozen(item, context.taxonomy, embedder)) if item.slug != OTHER else None
    )
    bits, chance = explained(kind, sessions, {one.item_id for one in items}, context) if items else (None, None)
    silent = bits == 0.0 and (chance or 0.0) >= UNTOLD and len(users) >= 2 * SHOWN[context.audience].users
    silent_days = (before["silent_days"] if before else 0) + 1 if silent else 0
    reason = ""
    if last_day is not None and (day - last_day).days >= WINDOW_DAYS:
        reason = "no_longer_occurs"
    elif silent_days >= SILENT_DAYS and seed().get(kind, item.slug) is None:
        reason = "tells_nothing"
    return TaxonomyReview(
        day=day,
        kind=kind,
        slug=item.slug,
        since_version=item.since_version,
        items=len(items),
        users=len(users),
        sessions=len(sessions),
        last_day=last_day,
        same_meaning=same,
        drifts=same is not None and same < SAME_MEANING,
        explains=bits,
        explains_chance=chance,
        silent_days=silent_days,
        retire=bool(reason),
        reason=reason,
        taxonomy_version=context.taxonomy.version,
        ledger_seq=context.taxonomy.ledger_seq,
    )


def _frozen(item: TaxonomyType, taxonomy: Taxonomy, embedder: str) -> Vectors | None:
    """The centre that the category's acceptance froze, where it is of this embedder."""
    for change in taxonomy.accepted():
        centre = change.payload.get("centre") or {}
        if (change.payload.get("kind"), change.payload.get("slug")) == (item.kind, item.slug):
            return unit([centre["vector"]])[0] if embedder and centre.get("embedder") == embedder else None
    return None


def _same_meaning(
    day: date, window: Window, members: "np.ndarray[Any, np.dtype[np.int64]]", frozen: Vectors | None
) -> float | None:
    """Cosine between what a category holds of the last week and its definition, or what it held before; None for few.

    Events of little confidence are left out: their type is a guess.
    """
    sure = [row for row in members.tolist() if window.items[row].confidence >= COUNTED]
    since = day - timedelta(days=RECENT_DAYS - 1)
    recent = window.vectors[[row for row in sure if window.items[row].day >= since]]
    earlier = window.vectors[[row for row in sure if window.items[row].day < since]]
    if len(recent) < LEAST_ITEMS or (frozen is None and len(earlier) < LEAST_ITEMS):
        return None
    now, size = _mean(recent)
    then, other = (frozen.astype(np.float64), 1.0) if frozen is not None else _mean(earlier)
    if size <= 0 or other <= 0:
        return None
    return round(float(np.clip(now @ then / np.sqrt(size * other), -1, 1)), 4)


def _mean(vectors: Vectors) -> tuple["np.ndarray[Any, np.dtype[np.float64]]", float]:
    """The mean of unit rows and its squared length without the share that every row has with itself."""
    total = vectors.sum(axis=0, dtype=np.float64)
    count = len(vectors)
    return total / count, float((total @ total - count) / (count * (count - 1)))
