"""The taxonomy's history: every decision that was ever written, also those that were taken back.

Put here: `history`, the evidence of a decision as plain facts, names with what was taken back.
Not here: what decisions make of the taxonomy (see `taxonomy.py`), tables and pages that show it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from signals_assets.core.taxonomy import LEDGER_KIND, LedgerEntry, Taxonomy, fold, seed

ASKED_FOR = ("users", "sessions", "organizations", "days_seen", "stability", "agreement")
"""Evidence that a history shows, of what an acceptance or rejection remembers."""


class DatedEntry(LedgerEntry, Protocol):
    """A ledger entry with the newest day that was materialized when it was written."""

    @property
    def newest_day(self) -> date | None:
        """That day; None before the first."""
        ...


WITHDRAWN = "withdrawn category"


@dataclass(frozen=True, slots=True)
class Decision:
    """One ledger entry about the taxonomy."""

    seq: int
    version: int
    after: date | None
    """The newest day that was materialized: the decision counts from the next one on."""
    action: str
    kind: str
    slug: str
    into: tuple[str, ...]
    """Slugs that go on: of a merge the one, of a split its parts."""
    author: str
    proposal_id: str | None
    evidence: Mapping[str, Any]
    undone_by: int | None
    """Version of the undo that took it back."""
    applied: bool
    """False for an entry that could not be applied, or was taken back."""


def history(entries: Iterable[DatedEntry]) -> list[Decision]:
    """All decisions by sequence number, from ledger entries of kind `taxonomy` (others are passed over).

    An undo names what it took back: its kind and slug are those of that decision.
    """
    ordered = sorted((entry for entry in entries if entry.kind == LEDGER_KIND), key=lambda entry: entry.seq)
    in_force = {change.seq for change in fold(ordered).changes}
    versions = {entry.seq: version for version, entry in enumerate(ordered, start=seed().version + 1)}
    undone = {
        entry.payload["undoes"]: versions[entry.seq]
        for entry in ordered
        if entry.payload.get("action") == "undo" and entry.payload.get("undoes") not in in_force
    }
    found: dict[int, Decision] = {}
    for entry in ordered:
        payload = entry.payload
        about = found.get(payload.get("undoes", -1))
        found[entry.seq] = Decision(
            seq=entry.seq,
            version=versions[entry.seq],
            after=entry.newest_day,
            action=str(payload.get("action", "")),
            kind=about.kind if about else str(payload.get("kind", "")),
            slug=about.slug if about else str(payload.get("slug", "")),
            into=_into(payload.get("into")),
            author=str(payload.get("author", "")),
            proposal_id=about.proposal_id if about else payload.get("proposal_id"),
            evidence={
                name: value for name in ASKED_FOR if (value := (payload.get("evidence") or {}).get(name)) is not None
            },
            undone_by=undone.get(entry.seq),
            applied=entry.seq in in_force or (payload.get("action") == "undo" and entry.seq not in undone),
        )
    return list(found.values())


def names_of(taxonomy: Taxonomy, decisions: Iterable[Decision]) -> dict[str, str]:
    """Slug -> the name that may be published: that of the taxonomy; of what was taken back the proposal's opaque id.

    Tickets, and the day's rows from before an undo, still speak of such types; their words nobody stands for any more.
    """
    gone = {
        slug: one.proposal_id or WITHDRAWN
        for one in decisions
        for slug in (one.slug, *(one.into if one.action == "split" else ()))
    }
    return gone | {item.slug: item.name for item in taxonomy.types}


def _into(into: Any) -> tuple[str, ...]:
    if isinstance(into, list):
        return tuple(str(part["slug"]) for part in into)
    return (str(into),) if into else ()
