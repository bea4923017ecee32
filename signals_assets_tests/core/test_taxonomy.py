from dataclasses import dataclass, field

import pytest

from signals_assets.core import taxonomy
from signals_assets.core.taxonomy import Taxonomy, TaxonomyError


@dataclass
class Entry:
    seq: int
    payload: dict
    kind: str = "taxonomy"
    key: str = field(default="")


def entries(*payloads: dict) -> list[Entry]:
    return [Entry(10 * number, payload) for number, payload in enumerate(payloads, start=1)]


ACCEPT = {
    "action": "accept",
    "kind": "friction",
    "slug": "shifted_dates",
    "name": "Shifted dates",
    "definition": "Dates were shifted by a time zone.",
    "proposal_id": "p_1",
    "item_ids": ["e_1", "e_2"],
}


def test_the_seed_is_version_one_and_has_every_type_of_the_codebook() -> None:
    seed = taxonomy.seed()
    assert seed.version == 1
    assert "context_churn" in seed.slugs("friction")
    assert len(seed.slugs("friction")) == 9
    assert len(seed.slugs("delight")) == 5
    assert {facet.slug for facet in seed.facets} >= {"primary_intent", "outcome"}
    assert all(item.definition and item.name for item in seed.types)


def test_no_entries_give_the_seed() -> None:
    assert taxonomy.fold([]) == taxonomy.seed()


def test_an_accepted_type_is_active_from_the_version_its_entry_made() -> None:
    folded = taxonomy.fold(entries(ACCEPT))
    item = folded.get("friction", "shifted_dates")
    assert item is not None
    assert (folded.version, item.since_version, item.proposal_id) == (2, 2, "p_1")
    assert folded.slugs("friction")[-1] == "shifted_dates"
    assert folded.accepted()[0].payload["item_ids"] == ["e_1", "e_2"]


def test_entries_of_other_kinds_are_passed_over() -> None:
    assert taxonomy.fold([Entry(1, {"state": "open"}, kind="ticket")]).version == 1


def test_undo_of_an_acceptance_restores_but_still_raises_the_version() -> None:
    folded = taxonomy.fold(entries(ACCEPT, {"action": "undo", "undoes": 10}))
    assert folded.types == taxonomy.seed().types
    assert folded.accepted() == ()
    assert folded.version == 3


def test_undo_of_an_undo_brings_the_type_back() -> None:
    folded = taxonomy.fold(entries(ACCEPT, {"action": "undo", "undoes": 10}, {"action": "undo", "undoes": 20}))
    assert "shifted_dates" in folded.slugs("friction")


def test_a_rename_keeps_the_slug() -> None:
    rename = {"action": "rename", "kind": "friction", "slug": "correction", "name": "Put right"}
    item = taxonomy.fold(entries(rename)).get("friction", "correction")
    assert item is not None
    assert item.name == "Put right"
    assert item.definition == taxonomy.seed().get("friction", "correction").definition


def test_a_merged_type_is_retired_and_leads_to_the_one_that_goes_on() -> None:
    merge = {"action": "merge", "kind": "friction", "slug": "shifted_dates", "into": "error_event"}
    folded = taxonomy.fold(entries(ACCEPT, merge))
    assert "shifted_dates" not in folded.slugs("friction")
    assert folded.current("friction", "shifted_dates") == "error_event"
    assert folded.current("friction", "never_seen") == "never_seen"


def test_a_split_retires_one_type_and_adds_its_parts_with_its_lever() -> None:
    split = {
        "action": "split",
        "kind": "friction",
        "slug": "error_event",
        "into": [{"slug": "tool_error", "name": "Tool error"}, {"slug": "model_error", "name": "Model error"}],
    }
    folded = taxonomy.fold(entries(split))
    assert folded.get("friction", "error_event").retired
    assert {"tool_error", "model_error"} <= set(folded.slugs("friction"))
    assert folded.get("friction", "tool_error").lever == "tool"


def test_a_slug_is_never_used_twice() -> None:
    retire = {"action": "retire", "kind": "friction", "slug": "shifted_dates"}
    folded = taxonomy.fold(entries(ACCEPT, retire, ACCEPT))
    assert folded.ignored == (30,)
    assert "shifted_dates" not in folded.slugs("friction")
    assert folded.version == 4


def test_a_rejection_is_remembered_and_changes_no_type() -> None:
    folded = taxonomy.fold(entries({"action": "reject", "kind": "friction", "proposal_id": "p_9", "item_ids": ["a"]}))
    assert folded.types == taxonomy.seed().types
    assert [change.payload["proposal_id"] for change in folded.rejected()] == ["p_9"]


@pytest.mark.parametrize(
    "payload",
    [
        {"action": "accept", "kind": "friction", "slug": "correction"},
        {"action": "accept", "kind": "friction"},
        {"action": "accept", "kind": "mood", "slug": "x"},
        {"action": "retire", "kind": "friction", "slug": "unheard_of"},
        {"action": "merge", "kind": "friction", "slug": "correction", "into": "correction"},
        {"action": "split", "kind": "friction", "slug": "correction", "into": [{"slug": "one"}]},
        {"action": "split", "kind": "friction", "slug": "correction", "into": [{"slug": "one"}, {"slug": "one"}]},
        {"action": "undo", "undoes": 99},
        {"action": "forget"},
    ],
)
def test_an_impossible_decision_is_refused_before_it_is_written_and_ignored_when_it_was(payload: dict) -> None:
    with pytest.raises(TaxonomyError):
        taxonomy.check(taxonomy.seed(), payload)
    assert taxonomy.fold(entries(payload)).types == taxonomy.seed().types


def test_a_possible_decision_passes_the_check() -> None:
    taxonomy.check(taxonomy.seed(), ACCEPT)
    taxonomy.check(taxonomy.fold(entries(ACCEPT)), {"action": "undo", "undoes": 10})


def test_the_order_in_which_entries_are_handed_over_does_not_matter() -> None:
    merge = {"action": "merge", "kind": "friction", "slug": "shifted_dates", "into": "error_event"}
    ordered = entries(ACCEPT, merge)
    assert taxonomy.fold(reversed(ordered)) == taxonomy.fold(ordered)


def test_a_taxonomy_is_immutable() -> None:
    seed: Taxonomy = taxonomy.seed()
    with pytest.raises(AttributeError):
        seed.version = 2
