"""Stage 5 · discovery, proposals: groups of items that no existing category claims, named and checked.

Put here: `propose`: left-overs, dense groups, merging, naming, acceptance rules, ids that survive.
Not here: the map (see `discovery_map.py`), relabelling after acceptance (see `discovery_labels.py`).

A gate per category and HDBSCAN's leaves over the raw vectors of what is left: measured against a global gate and
five other clusterers (`signals benchmark discovery` repeats it). A new category comes out in about two pieces, so
near pieces are joined before they are proposed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from signals_assets.core.barrier import from_taxonomy, restored
from signals_assets.core.barrier.thresholds import SHOWN, Threshold
from signals_assets.core.discovery_items import Item, Row, Window
from signals_assets.core.discovery_labels import LABEL_KINDS, Category, LabelKind, categories, types_now
from signals_assets.core.discovery_vectors import (
    Labels,
    Vectors,
    centroid,
    dense_groups,
    distinctive_terms,
    merged,
    overlap,
    tight_groups,
)
from signals_assets.core.identity import content_id
from signals_assets.core.taxonomy import Taxonomy
from signals_assets.settings import Audience
from signals_assets.tables import TaxonomyProposal
from signals_assets.zones import Abstracted

GATE_QUANTILE: Final = 0.2
"""A category claims what is nearest to it and as near as all but this share of its own items. Measured on banking
intents with a quarter of the classes unknown, three splits: recall 0.70 at 0.1, 0.79 at 0.15, 0.97 at 0.2."""

LEAST_GROUP: Final[dict[Audience, int]] = {"self": 4, "team": 8, "company": 15, "public": 15}
"""Least items of a dense group. 15 is what was measured; smaller audiences see less and may ask for less."""

JOIN: Final = 0.75
"""Groups whose centres are nearer than this are one (same measurement: 1.27 proposals per category, 1.34 at 0.8)."""

TIGHT: Final = 0.6
"""Mean cosine of a group that stands alone (same measurement: precision 0.90 at 0.55, 0.93 at 0.6, as without it)."""

SEPARATION: Final = 0.85
"""A group whose centre is nearer than this to a known category is a corner of it (precision 0.94 instead of 0.90)."""

SAME_EVIDENCE: Final = 0.3
"""Overlap of items from which two proposals are the same."""

STABLE: Final = 0.6
"""Least share of resamples in which a group re-appears."""

RESAMPLES: Final = 5
RESAMPLED_SHARE: Final = 0.8
REAPPEARS: Final = 0.5
LEAST_DAYS: Final = 2
CAP_PER_KIND: Final = 5
EXAMPLES: Final = 3
NAME_TERMS: Final = 3
DEFINITION_TERMS: Final = 6
TERM_SHARE: Final = 0.1
"""A word must occur in this share of a group's texts to stand in its name."""

_MOMENT: Final[dict[LabelKind, str]] = {
    "friction": "Moments of friction",
    "delight": "Moments of delight",
    "unmet_need": "Needs that the agent could not meet",
}

_UNNAMED: Final[dict[LabelKind, str]] = {
    "friction": "New friction",
    "delight": "New delight",
    "unmet_need": "New need",
}
"""Names where the barrier admits none of a group's distinctive words."""


@dataclass(frozen=True)
class _Words:
    """How a proposal is called."""

    slug: str
    name: Abstracted
    definition: Abstracted


@dataclass(frozen=True)
class _Found:
    """One group of left-overs: row numbers of its kind's window, and what is known of it so far."""

    rows: npt.NDArray[np.int64]
    stability: float
    nearest: str | None
    nearest_similarity: float | None
    claimed: bool
    """Too near to the nearest category: a corner of it."""


def propose(
    day: date,
    window: Window,
    taxonomy: Taxonomy,
    previous: Sequence[Row] = (),
    previous_labels: Sequence[Row] = (),
    *,
    audience: Audience,
    seed: int = 0,
) -> list[TaxonomyProposal]:
    """The day's proposals for new types of friction and delight and for unmet needs, most users first.

    `previous` are the rows of `taxonomy_proposals` of the day before: a group that shares its evidence keeps id,
    slug, name and definition. `previous_labels` are rows of `event_labels` of earlier days, oldest first. What was
    rejected (`taxonomy.rejected()`) is not proposed while its evidence is alike.
    """
    proposals: list[TaxonomyProposal] = []
    for kind in LABEL_KINDS:
        part = window.of_kind(kind)
        types = types_now(part, kind, taxonomy, previous_labels)
        known = categories(part, types, GATE_QUANTILE)
        left = left_overs(part.vectors, known)
        found = [
            group
            for group in _groups(part.vectors, left, known, LEAST_GROUP[audience], seed)
            if not _rejected(kind, part, group.rows, taxonomy)
        ]
        proposals += _proposals(day, kind, part, found, taxonomy, previous, audience)
    return proposals


def left_overs(vectors: Vectors, known: Sequence[Category]) -> npt.NDArray[np.int64]:
    """Rows that their nearest category does not claim, ascending.

    Only the nearest is asked: a wide category would otherwise claim what lies beside a narrow one (measured:
    recall 0.49 instead of 0.72 at the same quantile).
    """
    if not known or not len(vectors):
        return np.arange(len(vectors))
    similar = vectors @ np.stack([category.centre for category in known]).T
    thresholds = np.array([category.threshold for category in known])
    return np.flatnonzero(similar.max(axis=1) < thresholds[similar.argmax(axis=1)])


def new_groups(vectors: Vectors, left: npt.NDArray[np.int64], min_size: int) -> list[Labels]:
    """Groups among the rows `left`, largest first: HDBSCAN's leaves, then tight groups of the rest, near ones joined.

    The second look finds a new category that is the only one: HDBSCAN needs something beside it.
    """
    labels = dense_groups(vectors[left], min_size)
    rest = np.flatnonzero(labels == -1)
    again = tight_groups(vectors[left[rest]], min_size, TIGHT)
    labels[rest[again >= 0]] = again[again >= 0] + labels.max(initial=-1) + 1
    pieces = [left[np.flatnonzero(labels == label)] for label in range(int(labels.max(initial=-1)) + 1)]
    return merged(pieces, vectors, JOIN)


def _groups(
    vectors: Vectors, left: npt.NDArray[np.int64], known: Sequence[Category], min_size: int, seed: int
) -> list[_Found]:
    groups = new_groups(vectors, left, min_size)
    if not groups:
        return []
    stabilities = _stabilities(vectors, left, groups, min_size, np.random.default_rng(seed))
    found = []
    for rows, stability in zip(groups, stabilities, strict=True):
        centre = centroid(vectors[rows])
        similar = [float(category.centre @ centre) for category in known]
        best = int(np.argmax(similar)) if similar else -1
        found.append(
            _Found(
                rows=rows,
                stability=stability,
                nearest=known[best].slug if similar else None,
                nearest_similarity=round(similar[best], 4) if similar else None,
                claimed=bool(similar) and similar[best] >= SEPARATION,
            )
        )
    return found


def _stabilities(
    vectors: Vectors,
    left: npt.NDArray[np.int64],
    groups: Sequence[npt.NDArray[np.int64]],
    min_size: int,
    generator: np.random.Generator,
) -> list[float]:
    """Per group, the share of resamples (80 % of the left-overs) in which a group with half its members is found."""
    hits = np.zeros(len(groups))
    least = max(3, round(min_size * RESAMPLED_SHARE))
    for _ in range(RESAMPLES):
        drawn = np.sort(generator.choice(left, round(len(left) * RESAMPLED_SHARE), replace=False))
        again = [set(group.tolist()) for group in new_groups(vectors, drawn, least)]
        for number, group in enumerate(groups):
            here = set(group.tolist()) & set(drawn.tolist())
            hits[number] += any(len(here & one) >= REAPPEARS * max(len(here | one), 1) for one in again)
    return [round(float(hit) / RESAMPLES, 3) for hit in hits]


def _rejected(kind: LabelKind, window: Window, rows: npt.NDArray[np.int64], taxonomy: Taxonomy) -> bool:
    """Whether a person rejected a proposal with like evidence: shared items, or a centre as near."""
    ids = {window.items[row].item_id for row in rows}
    centre = centroid(window.vectors[rows])
    for change in taxonomy.rejected():
        evidence = set(change.payload.get("item_ids") or ())
        if change.payload.get("kind") != kind:
            continue
        if len(ids & evidence) >= 0.5 * min(len(ids), len(evidence) or 1) and ids & evidence:
            return True
        old = window.rows_of(evidence)
        if len(old) and float(centroid(window.vectors[old]) @ centre) >= JOIN:
            return True
    return False


def _proposals(
    day: date,
    kind: LabelKind,
    window: Window,
    found: Sequence[_Found],
    taxonomy: Taxonomy,
    previous: Sequence[Row],
    audience: Audience,
) -> list[TaxonomyProposal]:
    """Rows for the groups of one kind."""
    members = [{window.items[row].item_id for row in group.rows} for group in found]
    before = _same_as_before(kind, window, found, members, previous)
    taken = {str(row["slug"]) for row in before if row is not None}
    rest = sorted(set(range(len(window.items))) - {int(row) for group in found for row in group.rows})
    texts = [[window.items[row].text for row in rows] for rows in [*(group.rows.tolist() for group in found), rest]]
    terms = distinctive_terms(texts, 2 * DEFINITION_TERMS, TERM_SHARE)
    rows, seq = [], taxonomy.ledger_seq
    for number, group in enumerate(found):
        words = _words(kind, terms[number], texts[number], before[number], taxonomy, taken)
        taken.add(words.slug)
        items = [window.items[row] for row in group.rows]
        rows.append(_row(day, kind, items, group, words, _examples(window, group.rows), before[number], audience, seq))
    return _capped(rows)


def _same_as_before(
    kind: LabelKind, window: Window, found: Sequence[_Found], members: Sequence[set[str]], previous: Sequence[Row]
) -> list[Row | None]:
    """For each group the proposal of the day before that has the same evidence, each at most once."""
    candidates = [row for row in previous if row["kind"] == kind]
    scored = []
    for number, group in enumerate(found):
        centre = centroid(window.vectors[group.rows])
        for place, row in enumerate(candidates):
            shared = overlap(members[number], row["item_ids"])
            old = window.rows_of(row["item_ids"])
            near = float(centroid(window.vectors[old]) @ centre) if len(old) else -1.0
            if shared >= SAME_EVIDENCE or near >= (1 + JOIN) / 2:
                scored.append((-shared, -near, number, place))
    same: dict[int, int] = {}
    for _, _, number, place in sorted(scored):
        if number not in same and place not in same.values():
            same[number] = place
    return [candidates[same[number]] if number in same else None for number in range(len(found))]


def _words(
    kind: LabelKind,
    terms: Sequence[str],
    texts: Sequence[str],
    before: Row | None,
    taxonomy: Taxonomy,
    taken: set[str],
) -> _Words:
    """Slug, name and definition: those of the day before, or made of distinctive words in the order of the texts."""
    if before is not None:
        return _Words(str(before["slug"]), _stored(before["name"]), _stored(before["definition"]))
    admitted = [term for term in terms if _admitted(term) is not None]
    chosen = _in_reading_order(admitted[:NAME_TERMS], texts)
    told = ", ".join(admitted[:DEFINITION_TERMS])
    return _Words(
        slug=_free_slug("_".join(_plain(word) for word in chosen) or f"new_{kind}", kind, taxonomy, taken),
        name=_admitted(" ".join(chosen).capitalize()) or restored(_UNNAMED[kind]),
        definition=_admitted(f"{_MOMENT[kind]} described with the words {told}.") or restored(f"{_MOMENT[kind]}."),
    )


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


def _examples(window: Window, rows: npt.NDArray[np.int64]) -> list[Abstracted]:
    """The most central distinct texts of a group."""
    similar = window.vectors[rows] @ centroid(window.vectors[rows])
    ordered = [window.items[int(rows[place])].text for place in np.argsort(-similar, kind="stable")]
    return [restored(text) for text in list(dict.fromkeys(ordered))[:EXAMPLES]]


def _row(
    day: date,
    kind: LabelKind,
    items: Sequence[Item],
    group: _Found,
    words: _Words,
    examples: list[Abstracted],
    before: Row | None,
    audience: Audience,
    ledger_seq: int,
) -> TaxonomyProposal:
    ids = sorted(item.item_id for item in items)
    users = len({item.user_id for item in items})
    sessions = len({item.session_id for item in items})
    known = {item.organization_id for item in items if item.organization_id}
    organizations = len(known) if known else None
    days = {item.day for item in items}
    waiting = _waiting_for(SHOWN[audience], users, sessions, organizations, len(days), group)
    return TaxonomyProposal(
        day=day,
        proposal_id=str(before["proposal_id"]) if before else content_id("p", kind, day.isoformat(), *ids),
        kind=kind,
        slug=words.slug,
        name=words.name,
        definition=words.definition,
        nearest=group.nearest,
        nearest_similarity=group.nearest_similarity,
        items=len(items),
        users=users,
        sessions=sessions,
        organizations=organizations,
        days_seen=len(days),
        first_day=min(days),
        stability=group.stability,
        ready=not waiting,
        waiting_for=waiting,
        examples=examples,
        item_ids=ids,
        ledger_seq=ledger_seq,
    )


def _waiting_for(
    least: Threshold, users: int, sessions: int, organizations: int | None, days: int, group: _Found
) -> str:
    """The first acceptance rule that the group does not pass, or an empty text."""
    rules = {
        "users": users >= least.users,
        "sessions": sessions >= least.sessions,
        "organizations": organizations is None or organizations >= least.organizations,
        "days": days >= LEAST_DAYS,
        "stability": group.stability >= STABLE,
        "separation": not group.claimed,
    }
    return next((rule for rule, passed in rules.items() if not passed), "")


def _capped(rows: Sequence[TaxonomyProposal]) -> list[TaxonomyProposal]:
    """Most users first; ready ones beyond the cap of their kind wait for the others to be decided."""
    ordered = sorted(rows, key=lambda row: (not row.ready, -row.users, -row.items, row.proposal_id))
    ready: Counter[str] = Counter()
    capped = []
    for row in ordered:
        ready[row.kind] += row.ready
        over = row.ready and ready[row.kind] > CAP_PER_KIND
        capped.append(row.model_copy(update={"ready": False, "waiting_for": "cap"}) if over else row)
    return capped
