"""Stage 5 · discovery, evidence: what is known of a group of items before it may become a category.

Put here: `proposal_rows`: rows of `taxonomy_proposals` for groups that were found; acceptance rules, ids that survive,
what a person rejected.
Not here: finding groups (see `discovery_proposals.py`), naming them (see `discovery_naming.py`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from signals_assets.core.barrier.thresholds import SHOWN, Threshold
from signals_assets.core.discovery_items import Item, Row, Window, spoken
from signals_assets.core.discovery_labels import LabelKind
from signals_assets.core.discovery_naming import DEFINITION_TERMS, Words, examples_of, words_for
from signals_assets.core.discovery_vectors import centroid, distinctive_terms, overlap
from signals_assets.core.identity import content_id
from signals_assets.core.taxonomy import Taxonomy
from signals_assets.settings import Audience
from signals_assets.tables import TaxonomyProposal
from signals_assets.zones import Abstracted

JOIN: Final = 0.75
"""Groups whose centres are nearer than this are one (banking intents, a quarter of the classes unknown: 1.27 proposals
per category, 1.34 at 0.8)."""

SAME_EVIDENCE: Final = 0.3
"""Overlap of items from which two proposals are the same."""

STABLE: Final = 0.6
"""Least share of resamples in which a group re-appears."""

LEAST_DAYS: Final = 2
CAP_PER_KIND: Final = 5
TERM_SHARE: Final = 0.1
"""A word must occur in this share of a group's texts to stand in its name."""

VARIETY: Final = 4.0
"""Least effective number of different texts in a group (inverse Simpson index), at most half of its items. People
describe one experience in many ways; a sentence that an analyst writes the same each time is a type's own sentence
(measured with the built-in rules: 1.0 to 2.0 for their sentences, 7 to 24 for what users said of one thing)."""


@dataclass(frozen=True)
class Found:
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


def proposal_rows(
    day: date,
    kind: LabelKind,
    window: Window,
    found: Sequence[Found],
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
        words = words_for(kind, terms[number], texts[number], before[number], taxonomy, taken)
        taken.add(words.slug)
        items = [window.items[row] for row in group.rows]
        rows.append(
            _row(day, kind, items, group, words, examples_of(window, group.rows), before[number], audience, seq)
        )
    return _capped(rows)


def _same_as_before(
    kind: LabelKind, window: Window, found: Sequence[Found], members: Sequence[set[str]], previous: Sequence[Row]
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


def was_rejected(kind: LabelKind, window: Window, rows: npt.NDArray[np.int64], taxonomy: Taxonomy) -> bool:
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


def variety(texts: Sequence[str]) -> float:
    """Effective number of different texts: the inverse of the chance that two drawn ones are equal."""
    return len(texts) ** 2 / sum(count**2 for count in Counter(texts).values())


def _row(
    day: date,
    kind: LabelKind,
    items: Sequence[Item],
    group: Found,
    words: Words,
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
    least: Threshold, users: int, sessions: int, organizations: int | None, days: int, group: Found
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
