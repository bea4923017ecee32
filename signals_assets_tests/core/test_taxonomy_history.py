"""The history tells all decisions, also those that are no longer in force."""

from datetime import date
from typing import Any

from signals_assets.core.taxonomy import fold
from signals_assets.core.taxonomy_history import history, names_of
from signals_assets.resources.ledger import Entry

DAY = date(2026, 3, 29)
EVIDENCE = {"users": 30, "sessions": 64, "days_seen": 9, "stability": 0.9, "nearest": "correction"}


def entry(seq: int, action: str, **payload: Any) -> Entry:
    return Entry(seq, payload.pop("of", "taxonomy"), str(seq), DAY, {"action": action, "author": "ada", **payload})


ACCEPTED = entry(3, "accept", kind="friction", slug="stale", name="Stale", proposal_id="p_1", evidence=EVIDENCE)


def test_an_acceptance_has_version_author_and_the_evidence_that_counts() -> None:
    (one,) = history([ACCEPTED, entry(4, "post", of="page")])
    assert (one.version, one.author, one.kind, one.slug, one.after) == (2, "ada", "friction", "stale", DAY)
    assert one.evidence == {"users": 30, "sessions": 64, "days_seen": 9, "stability": 0.9}
    assert one.applied
    assert one.undone_by is None


def test_an_undo_says_what_it_took_back_and_is_named_there() -> None:
    accepted, undo = history([ACCEPTED, entry(5, "undo", undoes=3)])
    assert (accepted.applied, accepted.undone_by) == (False, 3)
    assert (undo.action, undo.slug, undo.proposal_id, undo.version) == ("undo", "stale", "p_1", 3)


def test_an_undone_undo_leaves_the_decision_in_force() -> None:
    entries = [ACCEPTED, entry(5, "undo", undoes=3), entry(6, "undo", undoes=5)]
    accepted, undo, again = history(entries)
    assert accepted.applied
    assert accepted.undone_by is None
    assert (undo.applied, undo.undone_by) == (False, 4)
    assert again.applied


def test_what_could_not_be_applied_is_told_as_such() -> None:
    (one,) = history([entry(3, "retire", kind="friction", slug="nowhere")])
    assert not one.applied
    assert one.undone_by is None


def test_merges_and_splits_name_what_goes_on() -> None:
    parts = [{"slug": "one", "name": "One"}, {"slug": "two", "name": "Two"}]
    merged, split = history([
        entry(1, "merge", kind="friction", slug="backtracking", into="correction"),
        entry(2, "split", kind="friction", slug="error_event", into=parts),
    ])  # fmt: skip
    assert merged.into == ("correction",)
    assert split.into == ("one", "two")


def test_versions_are_those_of_the_taxonomy() -> None:
    entries = [
        ACCEPTED,
        entry(5, "undo", undoes=3),
        entry(9, "rename", kind="friction", slug="correction", name="Wrong"),
    ]
    assert history(entries)[-1].version == fold(entries).version


def test_names_are_those_in_force_and_of_what_was_taken_back_an_opaque_id() -> None:
    parts = [{"slug": "rude_one", "name": "Rude one"}, {"slug": "rude_two", "name": "Rude two"}]
    split = entry(4, "split", kind="friction", slug="error_event", into=parts)
    kept = names_of(fold([ACCEPTED, split]), history([ACCEPTED, split]))
    assert (kept["stale"], kept["rude_one"], kept["error_event"]) == ("Stale", "Rude one", "Error")
    entries = [ACCEPTED, split, entry(5, "undo", undoes=3), entry(6, "undo", undoes=4)]
    gone = names_of(fold(entries), history(entries))
    assert gone["stale"] == "p_1"
    assert gone["rude_one"] == gone["rude_two"] == "withdrawn category"
    assert gone["error_event"] == "Error"
