from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from signals_assets.core import taxonomy
from signals_assets.core.discovery import event_labels, window_of
from signals_assets.core.discovery_evidence import frozen_centre
from signals_assets.core.discovery_splits import parts_of
from signals_assets_tests.core.discovery_factories import MONDAY, dumped, group, window

DAY = MONDAY + timedelta(10)
FOUNDERS = [item.item_id for item, _ in group(5, 20)]
ACCEPT = {
    "action": "accept",
    "kind": "friction",
    "slug": "shifted_dates",
    "name": "Shifted dates",
    "definition": "Dates were shifted.",
    "item_ids": FOUNDERS,
}


@dataclass
class Entry:
    seq: int
    payload: dict[str, Any]
    kind: str = "taxonomy"


def after(*payloads: dict[str, Any]) -> taxonomy.Taxonomy:
    return taxonomy.fold([Entry(seq, payload) for seq, payload in enumerate(payloads, start=1)])


def full() -> list:
    return [group(0, 40, type_="correction"), group(5, 40), group(9, 10)]


def labelled(rows: list) -> dict[str, str]:
    return {row.event_id: row.type for row in rows}


def test_without_decisions_nothing_is_relabelled() -> None:
    assert event_labels(DAY, window(*full()), taxonomy.seed()) == []


def test_on_acceptance_the_proposals_items_and_what_is_near_get_the_type() -> None:
    rows = event_labels(DAY, window(*full()), after(ACCEPT))
    assert set(FOUNDERS) <= labelled(rows).keys()
    assert set(labelled(rows).values()) == {"shifted_dates"}
    near = {item_id for item_id in labelled(rows) if item_id not in FOUNDERS}
    assert all(item_id.startswith("friction-5") for item_id in near)
    assert len(near) >= 12
    assert {(row.previous_type, row.taxonomy_version, row.ledger_seq) for row in rows} == {("other", 2, 1)}
    assert all(row.about_day == MONDAY and row.day == DAY for row in rows)


def test_a_label_is_written_once_and_new_items_follow() -> None:
    first = event_labels(DAY, window(*full()), after(ACCEPT))
    later = window(*full(), group(5, 3, start=100, day=DAY))
    second = event_labels(DAY + timedelta(1), later, after(ACCEPT), dumped(first))
    assert second
    assert all(row.event_id.startswith("friction-5-01") for row in second)


def test_the_type_lives_on_in_its_labelled_items_when_its_founders_left_the_window() -> None:
    first = event_labels(DAY, window(*full()), after(ACCEPT))
    young = window(group(5, 20, start=20), group(5, 10, start=100, day=DAY))
    second = event_labels(DAY + timedelta(30), young, after(ACCEPT), dumped(first))
    assert len(second) >= 7


def test_undo_writes_the_old_types_again() -> None:
    first = event_labels(DAY, window(*full()), after(ACCEPT))
    undone = after(ACCEPT, {"action": "undo", "undoes": 1})
    second = event_labels(DAY + timedelta(1), window(*full()), undone, dumped(first))
    assert labelled(second) == {row.event_id: "other" for row in first}
    assert event_labels(DAY + timedelta(2), window(*full()), undone, dumped([*first, *second])) == []


def test_events_that_the_analyst_stored_with_an_undone_type_become_other() -> None:
    stored = window(group(5, 5, type_="shifted_dates"))
    assert event_labels(DAY, stored, after(ACCEPT)) == []
    undone = event_labels(DAY, stored, after(ACCEPT, {"action": "undo", "undoes": 1}))
    assert set(labelled(undone).values()) == {"other"}


def test_a_merged_type_is_followed() -> None:
    merge = {"action": "merge", "kind": "friction", "slug": "correction", "into": "backtracking"}
    rows = event_labels(DAY, window(*full()), after(merge))
    assert {(row.event_id.split("-")[1], row.type) for row in rows} == {("0", "backtracking")}


def test_the_nearer_of_two_accepted_types_wins() -> None:
    second = {**ACCEPT, "slug": "lost_files", "item_ids": [item.item_id for item, _ in group(9, 10)]}
    rows = event_labels(DAY, window(*full()), after(ACCEPT, second))
    assert {(row.event_id.split("-")[1], row.type) for row in rows} == {("5", "shifted_dates"), ("9", "lost_files")}


def test_needs_are_labelled_like_events() -> None:
    needs = group(3, 20, kind="unmet_need", type_="")
    accept = {**ACCEPT, "kind": "unmet_need", "slug": "export", "item_ids": [item.item_id for item, _ in needs]}
    rows = event_labels(DAY, window(needs), after(accept))
    assert {(row.kind, row.type, row.previous_type) for row in rows} == {("unmet_need", "export", "")}
    assert len(rows) == 20


# --- intents, frozen centres, splits, expired vectors

INTENT = {"action": "accept", "kind": "intent", "slug": "connect_database", "name": "Connect database"}


def wish(number: int, size: int, said: str = "", **fields: Any) -> list:
    return group(number, size, kind="intent", type_=said, **fields)


def test_an_accepted_intent_is_labelled_by_nearness_and_by_the_analysts_words() -> None:
    founders = [item.item_id for item, _ in wish(5, 20)]
    seen = window(wish(5, 30), wish(0, 30, "bug fix"), wish(6, 1, "Connect database"))
    rows = event_labels(DAY, seen, after(INTENT | {"item_ids": founders}))
    assert set(labelled(rows).values()) == {"connect_database"}
    assert set(founders) <= labelled(rows).keys()
    assert "intent-6-0000" in labelled(rows)
    assert not any(item_id.startswith("intent-0") for item_id in labelled(rows))
    assert {row.previous_type for row in rows} == {""}


def test_an_undone_intent_leaves_an_empty_label() -> None:
    seen = window(wish(5, 30, "bug fix"))
    accept = INTENT | {"item_ids": [item.item_id for item in seen.items]}
    first = event_labels(DAY, seen, after(accept))
    undone = event_labels(DAY + timedelta(1), seen, after(accept, {"action": "undo", "undoes": 1}), dumped(first))
    assert set(labelled(undone).values()) == {""}
    assert len(undone) == 30


def test_a_frozen_centre_recognises_a_type_without_any_of_its_founders() -> None:
    centre = frozen_centre(window(group(5, 40)).vectors, "a-model")
    accept = ACCEPT | {"centre": centre}
    young = window(group(5, 30, start=500), group(0, 40, type_="correction"))
    assert len(event_labels(DAY, young, after(accept), embedder="a-model")) >= 20
    assert event_labels(DAY, young, after(accept), embedder="another-model") == []


def test_the_items_of_a_split_type_go_to_the_nearest_part() -> None:
    seen = window(group(5, 20, type_="correction"), group(6, 20, type_="correction"))
    parts = parts_of(seen, "friction", "correction", taxonomy.seed(), [], pieces=2, embedder="a-model")
    split = {"action": "split", "kind": "friction", "slug": "correction", "into": parts}
    rows = event_labels(DAY, seen, after(split), embedder="a-model")
    assert len(rows) == 40
    by_group = {
        prefix: {row.type for row in rows if row.event_id.startswith(prefix)} for prefix in ("friction-5", "friction-6")
    }
    assert sorted(map(len, by_group.values())) == [1, 1]
    assert set.union(*by_group.values()) == {part["slug"] for part in parts}
    undone = after(split, {"action": "undo", "undoes": 1})
    back = event_labels(DAY + timedelta(1), seen, undone, dumped(rows), embedder="a-model")
    assert set(labelled(back).values()) == {"correction"}


def test_too_few_items_cannot_be_split() -> None:
    with pytest.raises(taxonomy.TaxonomyError, match="8 items"):
        parts_of(
            window(group(5, 8, type_="correction")),
            "friction",
            "correction",
            taxonomy.seed(),
            [],
            pieces=2,
            embedder="",
        )


def test_an_item_whose_vector_expired_keeps_its_label_until_it_is_undone() -> None:
    whole = window(group(0, 40, type_="correction"), group(5, 40))
    first = event_labels(DAY, whole, after(ACCEPT))
    vectors = {item.item_id: vector for item, vector in zip(whole.items, whole.vectors, strict=True)}
    gone = labelled(first).keys()
    later = window_of(whole.items, {item_id: vector for item_id, vector in vectors.items() if item_id not in gone})
    assert later.missing == len(gone)
    assert event_labels(DAY + timedelta(1), later, after(ACCEPT), dumped(first)) == []
    undone = event_labels(DAY + timedelta(1), later, after(ACCEPT, {"action": "undo", "undoes": 1}), dumped(first))
    assert labelled(undone) == dict.fromkeys(gone, "other")


def test_two_accepted_types_that_were_merged_are_both_recognised() -> None:
    other = ACCEPT | {"slug": "late_hours", "item_ids": [item.item_id for item, _ in group(6, 20)]}
    merge = {"action": "merge", "kind": "friction", "slug": "late_hours", "into": "shifted_dates"}
    rows = event_labels(DAY, window(*full(), group(6, 30)), after(ACCEPT, other, merge))
    assert {row.event_id[:10] for row in rows} == {"friction-5", "friction-6"}
    assert set(labelled(rows).values()) == {"shifted_dates"}
