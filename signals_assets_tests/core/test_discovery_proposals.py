from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from signals_assets.core import taxonomy
from signals_assets.core.discovery import propose
from signals_assets_tests.core.discovery_factories import MONDAY, dumped, group, window

DAY = MONDAY + timedelta(3)
SEED = taxonomy.seed()


@dataclass
class Entry:
    seq: int
    payload: dict[str, Any]
    kind: str = "taxonomy"


def known() -> list:
    """Two known types with enough items to claim what is like them."""
    return [
        group(0, 60, type_="correction", words="the answer was wrong", days=4),
        group(1, 60, type_="backtracking", words="the change was undone", days=4),
    ]


def shifted(size: int = 30, **changes: Any) -> list:
    return group(5, size, **{"words": "the dates were shifted by the timezone", "days": 3} | changes)


def proposals(*groups: list, audience: str = "company", **fields: Any) -> list:
    return propose(DAY, window(*known(), *groups), fields.pop("taxonomy", SEED), audience=audience, **fields)


def test_a_dense_group_that_no_type_claims_is_proposed_with_its_evidence() -> None:
    (made,) = proposals(shifted())
    assert made.kind == "friction"
    assert set(made.item_ids) == {item.item_id for item, _ in shifted()}
    assert (made.items, made.sessions, made.users, made.organizations, made.days_seen) == (30, 30, 10, 3, 3)
    assert made.first_day == MONDAY
    assert (made.ready, made.waiting_for) == (True, "")
    assert len(made.examples) == 3
    assert made.nearest in {"correction", "backtracking"}


def test_a_name_is_made_of_distinctive_words_in_reading_order() -> None:
    (made,) = proposals(shifted())
    assert made.name.text == "Dates shifted timezone"
    assert made.slug == "dates_shifted_timezone"
    assert "timezone" in made.definition.text


def test_items_that_their_type_claims_make_no_proposal() -> None:
    assert proposals() == []


def test_most_of_a_group_inside_a_known_type_is_found_when_it_lies_apart() -> None:
    (made,) = proposals(shifted(20, type_="correction"))
    assert len([item_id for item_id in made.item_ids if item_id.startswith("friction-5")]) >= 15


def test_few_scattered_items_are_not_proposed() -> None:
    assert proposals(*(group(number, 1) for number in range(10, 30))) == []


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"users": 4}, "users"),
        ({"organizations": 1}, "organizations"),
        ({"days": 1}, "days"),
    ],
)
def test_a_proposal_waits_for_the_rule_it_does_not_pass(changes: dict[str, Any], rule: str) -> None:
    (made,) = proposals(shifted(**changes))
    assert (made.ready, made.waiting_for) == (False, rule)


def test_unknown_organisations_are_not_asked_for() -> None:
    (made,) = propose(DAY, window(shifted(organizations=None)), SEED, audience="company")
    assert (made.organizations, made.ready) == (None, True)


def test_one_person_alone_sees_smaller_groups_than_a_company() -> None:
    small = shifted(6, users=1)
    assert proposals(small) == []
    made = proposals(small, audience="self")
    assert [row.items for row in made if row.ready] == [6]
    assert {row.waiting_for for row in made if not row.ready} == {"separation"}


def test_the_id_and_the_words_survive_while_the_evidence_is_alike() -> None:
    before = proposals(shifted())
    after = proposals(shifted(45, words="another wording of dates"), previous=dumped(before))
    assert [(made.proposal_id, made.slug, made.name) for made in after] == [
        (made.proposal_id, made.slug, made.name) for made in before
    ]
    assert after[0].items == 45


def test_the_rejected_is_not_proposed_again_while_its_evidence_is_alike() -> None:
    (before,) = proposals(shifted())
    payload = {"action": "reject", "kind": "friction", "proposal_id": before.proposal_id, "item_ids": before.item_ids}
    rejected = taxonomy.fold([Entry(1, payload)])
    assert proposals(shifted(45), taxonomy=rejected) == []
    other = group(6, 30, words="a file was lost", days=3)
    assert [made.ledger_seq for made in proposals(shifted(45), other, taxonomy=rejected)] == [1]
    undone = taxonomy.fold([Entry(1, payload), Entry(2, {"action": "undo", "undoes": 1})])
    assert len(proposals(shifted(45), taxonomy=undone)) == 1


def test_the_accepted_is_a_known_type_and_not_proposed_again() -> None:
    (before,) = proposals(shifted())
    payload = {
        "action": "accept",
        "kind": "friction",
        "slug": before.slug,
        "name": before.name.text,
        "definition": before.definition.text,
        "item_ids": before.item_ids,
    }
    assert proposals(shifted(45), taxonomy=taxonomy.fold([Entry(1, payload)])) == []


def test_a_slug_that_the_taxonomy_ever_had_gets_a_number() -> None:
    accept = {"action": "accept", "kind": "friction", "slug": "dates_shifted_timezone", "name": "x", "definition": "y"}
    retire = {"action": "retire", "kind": "friction", "slug": "dates_shifted_timezone"}
    (made,) = proposals(shifted(), taxonomy=taxonomy.fold([Entry(1, accept), Entry(2, retire)]))
    assert made.slug == "dates_shifted_timezone_2"


def test_unmet_needs_and_delight_are_kinds_of_their_own() -> None:
    needs = group(7, 30, kind="unmet_need", type_="", words="export the table to a sheet", days=3)
    joy = group(8, 30, kind="delight", type_="positive_exclamation", words="the picture was praised", days=3)
    new_joy = group(9, 30, kind="delight", type_="other", words="the tone was liked", days=3)
    assert sorted(made.kind for made in proposals(needs, joy, new_joy)) == ["delight", "unmet_need"]


def test_more_than_the_cap_wait_for_the_others() -> None:
    words = ["dates shifted", "files lost", "search slow", "colours wrong", "tests skipped", "names mixed"]
    groups = [group(20 + number, 20, words=text, days=3) for number, text in enumerate(words)]
    made = proposals(*groups)
    assert [row.ready for row in made].count(True) == 5
    assert [row.waiting_for for row in made if not row.ready] == ["cap"]


def test_the_same_window_gives_the_same_proposals() -> None:
    assert proposals(shifted()) == proposals(shifted())


def test_an_empty_window_gives_no_proposals() -> None:
    assert propose(DAY, window(), SEED, audience="company") == []
