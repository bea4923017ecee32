"""Stage 5 · discovery, proposals: groups of items that no existing category claims, named and checked.

Put here: `propose`: left-overs, dense groups, merging, what emerges, naming, acceptance rules, ids that survive.
Not here: the map (see `discovery_map.py`), relabelling after acceptance (see `discovery_labels.py`).

A gate per category and HDBSCAN's leaves over the raw vectors of what is left: measured against a global gate and
five other clusterers (`signals benchmark discovery` repeats it). A new category comes out in about two pieces, so
near pieces are joined before they are proposed.

Material (events of little confidence, such as remarks that the rules cannot explain) is another matter: most of it is
what the rules always miss. It makes a new category only where it emerges, unlike anything of the window's older half.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from signals_assets.core.analysis_rules import listed
from signals_assets.core.barrier import from_taxonomy, restored
from signals_assets.core.barrier.lexicon import function_words
from signals_assets.core.barrier.thresholds import SHOWN, Threshold
from signals_assets.core.discovery_items import Item, Row, Window, embedded, says_type, spoken
from signals_assets.core.discovery_labels import LABEL_KINDS, OTHER, Category, LabelKind, categories, types_now
from signals_assets.core.discovery_vectors import (
    Labels,
    Vectors,
    centroid,
    dense_groups,
    distinctive_terms,
    gate,
    merged,
    overlap,
    tight_groups,
    unlike,
)
from signals_assets.core.identity import content_id
from signals_assets.core.selection import COUNTED
from signals_assets.core.taxonomy import Taxonomy
from signals_assets.core.text import stem
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

EMERGES_AFTER: Final = 21
"""Least days of history. The barrier admits a word once enough users of two weeks have said it, so that in the first
weeks what was refused before looks new; with less nothing is known of what is usual."""

NOVEL: Final = 0.7
"""Material nearer than this to something of the older half is nothing new. Measured on four simulated weeks: 0.65 to
0.75 give the same groups, at 0.8 the usual comes through."""

RISES: Final = 3.0
"""Least factor by which a group's share of the material rises from the older to the newer half. A group of novel
material may still lie around something usual."""

PIECE: Final = 3
"""Least items of a piece of which groups of topic lists are made."""

LOOSE: Final = 0.5
"""Mean cosine of a piece, and nearness from which pieces are joined, for lists of topics: they lie wider apart than
sentences (same measurement: 0.45 to 0.5 within a planted category, 0.18 to the rest). Pieces joined at 0.5 give groups
that are 0.92 to 1.0 pure, at 0.45 0.83 to 0.98; at 0.6 one of four planted categories is missed."""

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

VARIETY: Final = 4.0
"""Least effective number of different texts in a group (inverse Simpson index), at most half of its items. People
describe one experience in many ways; a sentence that an analyst writes the same each time is a type's own sentence
(measured with the built-in rules: 1.0 to 2.0 for their sentences, 7 to 24 for what users said of one thing)."""

SAME_NEED: Final = JOIN
"""Friction `other` as near as this to a need of the same session is that need."""

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
    varied: bool
    """Told in enough different texts."""
    risen: bool = True
    """More frequent than before, where it is made of material."""


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
    rejected (`taxonomy.rejected()`) is not proposed while its evidence is alike. What the agent has no means to do
    is told twice, as an unmet need and as friction `other`: it is proposed once, as the unmet need.
    """
    proposals: list[TaxonomyProposal] = []
    for kind in LABEL_KINDS:
        part = window.of_kind(kind)
        types = types_now(part, kind, taxonomy, previous_labels)
        unsure = _material(part, types)
        known = categories(part, _without(types, unsure), GATE_QUANTILE)
        unclaimed = left_overs(part.vectors, known)
        left = np.setdiff1d(unclaimed, np.union1d(unsure, _explained(part)))
        if kind == "friction":
            left = np.setdiff1d(left, _told_as_needs(part, window.of_kind("unmet_need")))
        topical = left[[part.items[row].text != embedded(part.items[row].text) for row in left.tolist()]]
        new, usual = _halves(day, window, part, unsure, previous, previous_labels)
        emerging = np.intersect1d(unlike(part.vectors, new, usual, NOVEL), unclaimed)
        least = LEAST_GROUP[audience]
        groups = _groups(part, np.setdiff1d(left, topical), known, new_groups, least, seed)
        groups += [
            replace(group, risen=_risen(part.vectors, group.rows, new, usual))
            for group in _groups(part, np.union1d(topical, emerging), known, loose_groups, least, seed)
        ]
        found = [group for group in groups if not _rejected(kind, part, group.rows, taxonomy)]
        proposals += _proposals(day, kind, part, found, taxonomy, previous, audience)
    return proposals


def _explained(window: Window) -> npt.NDArray[np.int64]:
    """Rows with a sentence that the built-in rules write of a type: it says that type, so no new one comes of it."""
    return np.array([row for row, item in enumerate(window.items) if says_type(item.text)], dtype=np.int64)


def _material(window: Window, types: Sequence[str]) -> npt.NDArray[np.int64]:
    """Rows that have their type with little confidence and by no later label."""
    return np.array(
        [
            row
            for row, (item, slug) in enumerate(zip(window.items, types, strict=True))
            if item.confidence < COUNTED and slug == item.type
        ],
        dtype=np.int64,
    )


def _without(types: Sequence[str], rows: npt.NDArray[np.int64]) -> list[str]:
    """The types with those of some rows left out: they shape no category."""
    out = set(rows.tolist())
    return ["" if row in out else slug for row, slug in enumerate(types)]


def _halves(
    day: date,
    window: Window,
    part: Window,
    material: npt.NDArray[np.int64],
    previous: Sequence[Row],
    previous_labels: Sequence[Row],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Material of the newer and of the older half of the window's days; both empty while the history is short.

    What a proposal that was ready the day before holds counts as new however old it is: it stays until a person
    decides. So does what an acceptance once typed: undone, it can be proposed again.
    """
    first = min((item.day for item in window.items), default=day)
    history = (day - first).days + 1
    if history < EMERGES_AFTER:
        return material[:0], material[:0]
    middle = day - timedelta(days=history // 2)
    proposed = {item_id for row in previous if row["ready"] for item_id in row["item_ids"]}
    proposed |= {row["event_id"] for row in previous_labels if row["type"] != row["previous_type"]}
    new = np.array(
        [part.items[row].day > middle or part.items[row].item_id in proposed for row in material.tolist()],
        dtype=np.bool_,
    )
    return material[new], material[~new]


def _risen(
    vectors: Vectors, rows: npt.NDArray[np.int64], new: npt.NDArray[np.int64], usual: npt.NDArray[np.int64]
) -> bool:
    """Whether a group takes a larger share of the newer material than its likes take of the older; True for others."""
    if not np.isin(rows, new).any():
        return True
    centre, least = centroid(vectors[rows]), gate(vectors[rows], GATE_QUANTILE)
    now, before = (float((vectors[half] @ centre >= least).sum() / max(len(half), 1)) for half in (new, usual))
    return now >= RISES * before


def _told_as_needs(friction: Window, needs: Window) -> npt.NDArray[np.int64]:
    """Rows of friction `other` that say what a need of the same session says."""
    of_session: dict[str, list[int]] = {}
    for row, item in enumerate(needs.items):
        of_session.setdefault(item.session_id, []).append(row)
    told = [
        row
        for row, item in enumerate(friction.items)
        if item.type == OTHER
        and item.session_id in of_session
        and float((needs.vectors[of_session[item.session_id]] @ friction.vectors[row]).max()) >= SAME_NEED
    ]
    return np.array(told, dtype=np.int64)


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


def loose_groups(vectors: Vectors, rows: npt.NDArray[np.int64], min_size: int) -> list[Labels]:
    """Groups among the rows `rows`, largest first, for lists of topics: small pieces, near ones joined."""
    labels = tight_groups(vectors[rows], PIECE, LOOSE)
    pieces = [rows[np.flatnonzero(labels == label)] for label in range(int(labels.max(initial=-1)) + 1)]
    return [group for group in merged(pieces, vectors, LOOSE) if len(group) >= min_size]


Finder = Callable[[Vectors, npt.NDArray[np.int64], int], list[Labels]]
"""Vectors, the rows to group and the least size of a group -> groups of row numbers."""


def _groups(
    window: Window,
    left: npt.NDArray[np.int64],
    known: Sequence[Category],
    find: Finder,
    min_size: int,
    seed: int,
) -> list[_Found]:
    vectors = window.vectors
    groups = find(vectors, left, min_size)
    if not groups:
        return []
    stabilities = _stabilities(vectors, left, groups, find, min_size, np.random.default_rng(seed))
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
                varied=_variety([window.items[row].text for row in rows]) >= min(VARIETY, len(rows) / 2),
            )
        )
    return found


def _variety(texts: Sequence[str]) -> float:
    """Effective number of different texts: the inverse of the chance that two drawn ones are equal."""
    return len(texts) ** 2 / sum(count**2 for count in Counter(texts).values())


def _stabilities(
    vectors: Vectors,
    left: npt.NDArray[np.int64],
    groups: Sequence[npt.NDArray[np.int64]],
    find: Finder,
    min_size: int,
    generator: np.random.Generator,
) -> list[float]:
    """Per group, the share of resamples (80 % of the left-overs) in which a group with half its members is found."""
    hits = np.zeros(len(groups))
    least = max(3, round(min_size * RESAMPLED_SHARE))
    for _ in range(RESAMPLES):
        drawn = np.sort(generator.choice(left, round(len(left) * RESAMPLED_SHARE), replace=False))
        again = [set(group.tolist()) for group in find(vectors, drawn, least)]
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
    said = [[spoken(text) for text in group] for group in texts]
    terms = distinctive_terms(said, 3 * DEFINITION_TERMS, TERM_SHARE)
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
    admitted = _telling(terms)
    chosen = _in_reading_order(admitted[:NAME_TERMS], texts)
    return _Words(
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
        "variety": group.varied,
        "emergence": group.risen,
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
