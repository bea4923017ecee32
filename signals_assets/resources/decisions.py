"""Decisions about the taxonomy: from what somebody wants to the ledger entry with its evidence.

Put here: what the command `signals taxonomy`, the job `taxonomy` and the auto-acceptance share: finding what a word
stands for, the payload of each action, writing it.
Not here: what an entry means (see `core/taxonomy.py`), who decides (the command, or `sensors/auto_acceptance.py`).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import numpy as np

from signals_assets.core.discovery_evidence import frozen_centre
from signals_assets.core.discovery_items import Window, items_of, window_of
from signals_assets.core.discovery_labels import LABEL_KINDS, LabelKind
from signals_assets.core.discovery_splits import parts_of
from signals_assets.core.taxonomy import LEDGER_KIND, Taxonomy, TaxonomyError, TaxonomyType, check, fold
from signals_assets.resources.ledger import Entry, Ledger
from signals_assets.resources.warehouse import Warehouse
from signals_assets.tables import (
    AbstractedSummary,
    DelightEvent,
    Embedding,
    EventLabel,
    Facet,
    FrictionEvent,
    TaxonomyProposal,
    UnmetNeed,
)

EVIDENCE: Final = (
    "day", "first_day", "items", "users", "sessions", "organizations", "days_seen", "stability", "nearest",
    "nearest_similarity", "outside_nearest", "agreement", "judged_by", "explains", "explains_chance",
)  # fmt: skip
"""What an acceptance or rejection remembers of the proposal it was about."""


def taxonomy_of(ledger: Ledger) -> Taxonomy:
    """The taxonomy with every decision so far."""
    return fold(ledger.entries([LEDGER_KIND]))


def version_of(ledger: Ledger, version: int) -> Taxonomy:
    """The taxonomy as it was at a version. Raises TaxonomyError where there is none yet."""
    entries = ledger.entries([LEDGER_KIND])
    first = fold([]).version
    if not first <= version <= first + len(entries):
        raise TaxonomyError(f"the taxonomy has versions {first} to {first + len(entries)}; name one of them")
    return fold(entries[: version - first])


def decide(ledger: Ledger, payload: Mapping[str, Any], *, author: str) -> tuple[Entry, Taxonomy]:
    """Write a decision; returns its entry and the taxonomy it makes. It counts from the next day on.

    Raises TaxonomyError, and writes nothing, where it cannot be applied. Two who decide at once: the second sees the
    first's decision.
    """
    with ledger.transaction() as writer:
        entries = writer.entries([LEDGER_KIND])
        check(fold(entries), payload)
        entry, _ = writer.append(LEDGER_KIND, f"{len(entries) + 1}", {**payload, "author": author})
        return entry, fold([*entries, entry])


def proposals(warehouse: Warehouse) -> list[dict[str, Any]]:
    """The newest day's proposals, those that wait for a person only first, then by kind and rank."""
    rows: list[dict[str, Any]] = warehouse.read(TaxonomyProposal, warehouse.days(TaxonomyProposal)[-1:]).to_pylist()
    return sorted(rows, key=lambda row: (not row["ready"], row["kind"], row["rank"], row["proposal_id"]))


def proposal(warehouse: Warehouse, name: str) -> dict[str, Any]:
    """The newest day's proposal with this slug or id. Raises TaxonomyError where there is none."""
    found = [row for row in proposals(warehouse) if name in (row["slug"], row["proposal_id"])]
    if not found:
        raise TaxonomyError(f"no proposal named {name}; signals taxonomy proposals lists them")
    return found[0]


def category(taxonomy: Taxonomy, slug: str, kind: str | None = None) -> TaxonomyType:
    """The active category with this slug. Raises TaxonomyError where there is none, or several and no kind is given."""
    found = [item for item in taxonomy.types if item.slug == slug and kind in (None, item.kind) and not item.retired]
    if len(found) == 1:
        return found[0]
    if found:
        raise TaxonomyError(
            f"{slug} is a category of several kinds ({', '.join(item.kind for item in found)}): say which"
        )
    raise TaxonomyError(f"{kind or 'category'} {slug}: unknown or retired; signals taxonomy list names the active ones")


def acceptance(warehouse: Warehouse, row: Mapping[str, Any], **words: str | None) -> dict[str, Any]:
    """The payload that accepts a proposal: its words (or others), evidence, items and frozen centre."""
    return {
        "action": "accept",
        "kind": row["kind"],
        "slug": row["slug"],
        **{name: words.get(name) or row[name] or "" for name in ("name", "definition", "is_not")},
        **_evidence(warehouse, row),
    }


def rejection(warehouse: Warehouse, row: Mapping[str, Any]) -> dict[str, Any]:
    """The payload that rejects a proposal while its evidence is alike."""
    return {"action": "reject", "kind": row["kind"], "slug": row["slug"], **_evidence(warehouse, row)}


def splitting(warehouse: Warehouse, taxonomy: Taxonomy, item: TaxonomyType, pieces: int) -> dict[str, Any]:
    """The payload that splits a category into so many, found among its items by their vectors and named by their words.

    Raises TaxonomyError where it has too few items with vectors.
    """
    kind = next((kind for kind in LABEL_KINDS if kind == item.kind), None)
    if kind is None:
        raise TaxonomyError(f"split {item.kind} {item.slug}: only {', '.join(LABEL_KINDS)} can be split")
    embedder, window = _window(warehouse, kind)
    days = warehouse.days(EventLabel)
    labels = warehouse.read(EventLabel, days).to_pylist() if days else []
    return {
        "action": "split",
        "kind": item.kind,
        "slug": item.slug,
        "into": parts_of(window, kind, item.slug, taxonomy, labels, pieces=pieces, embedder=embedder),
    }


def last_decision(taxonomy: Taxonomy) -> int:
    """Sequence number of the newest decision in force. Raises TaxonomyError where there is none."""
    if not taxonomy.changes:
        raise TaxonomyError("undo: no decision is in force")
    return taxonomy.changes[-1].seq


def _evidence(warehouse: Warehouse, row: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: value.isoformat() if isinstance(value := row[name], date) else value for name in EVIDENCE}
    found: dict[str, Any] = {"proposal_id": row["proposal_id"], "item_ids": row["item_ids"], "evidence": plain}
    embedder, vectors = _vectors(warehouse, row["first_day"], set(row["item_ids"]))
    if vectors:
        found["centre"] = frozen_centre(np.stack(list(vectors.values())), embedder)
    return found


def _vectors(warehouse: Warehouse, first: date, items: set[str] | None) -> tuple[str, dict[str, Any]]:
    """The newest embedder, and vectors of its by item, of the items or of all since `first`."""
    days = [day for day in warehouse.days(Embedding) if day >= first]
    table = warehouse.read(Embedding, days, columns=["item_id", "embedder", "vector"])
    names = table.column("embedder").to_pylist()
    chosen = [
        (place, item)
        for place, item in enumerate(table.column("item_id").to_pylist())
        if names[place] == names[-1] and (items is None or item in items)
    ]
    stored = table.column("vector")
    vectors = [stored[place].as_py() for place, _ in chosen]
    found = {item: np.array(vector, dtype=np.float32) for (_, item), vector in zip(chosen, vectors, strict=True)}
    return (names[-1] if names else ""), dict(sorted(found.items()))


def _window(warehouse: Warehouse, kind: LabelKind) -> tuple[str, Window]:
    """All stored items of a kind that have vectors."""
    days = warehouse.days(Embedding)
    if not days:
        return "", window_of([], {})
    embedder, vectors = _vectors(warehouse, days[0], None)
    tables: Sequence[Any] = (AbstractedSummary, FrictionEvent, DelightEvent, UnmetNeed, Facet)
    items = items_of(*(warehouse.read(model, days).to_pylist() for model in tables))
    return embedder, window_of([item for item in items if item.kind == kind], vectors)
