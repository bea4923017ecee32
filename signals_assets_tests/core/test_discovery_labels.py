from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from signals_assets.core import taxonomy
from signals_assets.core.discovery import event_labels
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
