"""Review: a queue that tells nothing of who found what, verdicts that mean something, figures over them."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any

import pytest

from signals_assets.core.review import (
    ReviewError,
    person_agreement,
    precision,
    queue,
    review_key,
    review_payload,
    verdicts,
)
from signals_assets.core.taxonomy import seed

DAY = date(2026, 1, 5)


@dataclass
class Said:
    payload: dict[str, Any] = field(default_factory=dict)


def event(number: int, type_: str = "error_event", source: str = "analyst", kind: str = "friction", **over: Any):
    return {
        "day": DAY, "event_id": f"e{number}", "session_id": f"s{number}", "user_id": f"u{number % 9}", "kind": kind,
        "organization_id": f"o{number % 3}", "type": type_, "severity": "low", "source": source,
        "citation": "The tool failed.",
    } | over  # fmt: skip


MANY = [event(n) for n in range(60)] + [event(n, "correction", "detector") for n in range(60, 66)] + [
    event(66, "time_saved", kind="delight", severity=None)]  # fmt: skip
SUMMARIES = {f"s{n}": "The user fixed a parser." for n in range(100)}


def asked(events=MANY, summaries=SUMMARIES, reviewed=(), size=9, seed_=0):
    return queue(events, summaries, seed(), set(reviewed), size=size, seed=seed_)


def test_rare_types_have_their_turn_and_the_order_depends_on_the_seed_alone():
    assert Counter(moment.type for moment in asked()) == {"error_event": 4, "correction": 4, "time_saved": 1}
    assert asked() == asked(MANY[::-1])
    assert [moment.event_id for moment in asked()] != [moment.event_id for moment in asked(seed_=1)]


def test_a_moment_tells_the_type_and_not_who_found_it_or_whose_it_is():
    for moment in asked(size=100):
        shown = asdict(moment)
        assert not {"source", "session_id", "user_id", "organization_id", "confidence"} & shown.keys()
        assert shown["name"] != shown["type"]
        assert shown["definition"]


def test_types_and_sources_stand_in_no_order():
    mixed = [event(n, source="analyst" if n % 2 else "detector") for n in range(40)]
    places = {item["event_id"]: item["source"] for item in mixed}
    runs = [places[moment.event_id] for moment in asked(mixed, size=40)]
    assert 8 < sum(one != other for one, other in pairwise(runs)) < 32


def test_what_was_judged_does_not_come_again():
    first = {moment.event_id for moment in asked(size=30)}
    second = {moment.event_id for moment in asked(reviewed=map(review_key, first), size=100)}
    assert len(second) == len(MANY) - 30
    assert not first & second


def test_moments_without_anything_to_read_are_left_out():
    events = [event(1, source="detector"), event(2, citation=None), event(3), event(4, citation=None)]
    assert {moment.event_id for moment in asked(events, {"s4": "The user fixed a parser.", "s2": None})} == {"e3", "e4"}


@pytest.mark.parametrize(
    ("verdict", "right", "said"),
    [("maybe", None, "a verdict is one of"), ("wrong_type", None, "belongs to"), ("confirm", "correction", "belongs"),
     ("wrong_type", "error_event", "no other type"), ("wrong_type", "time_saved", "no other type")],
)  # fmt: skip
def test_verdicts_without_a_meaning_are_refused(verdict, right, said):
    with pytest.raises(ReviewError, match=said):
        review_payload(event(1), verdict, right, seed(), reviewer="r_1")


def judged(number: int, verdict: str, right: str | None = None, **over: Any) -> Said:
    return Said(review_payload(event(number, **over), verdict, right, seed(), reviewer="r_1"))


GIVEN = verdicts([
    *(judged(n, "confirm") for n in range(6)), judged(6, "reject"), judged(7, "wrong_type", "correction"),
    judged(8, "skip"), Said(), judged(9, "reject", source="detector"),
])  # fmt: skip


def test_precision_by_type_and_source_leaves_out_what_was_skipped_or_erased():
    [analyst, detector] = precision(GIVEN)
    assert (analyst["source"], analyst["judged"], analyst["confirmed"], analyst["precision"]) == ("analyst", 8, 6, 0.75)
    assert analyst["low"] < 0.75 < analyst["high"]
    assert (detector["judged"], detector["precision"]) == (1, 0.0)


def test_a_person_stands_beside_the_other_readers():
    events = {item["event_id"]: item for item in map(event, range(7))}
    [analyst, detector] = person_agreement(DAY, GIVEN, events)
    assert (analyst.reader, analyst.first, analyst.second, analyst.type) == (
        "person", "analyst", "person", "error_event",
    )  # fmt: skip
    assert (analyst.sessions, analyst.both, analyst.only_first, analyst.only_second) == (8, 6, 2, 0)
    assert analyst.f1 is None
    assert analyst.confirmed == 0.75
    assert (analyst.users, analyst.organizations) == (8, 3)  # seven known ones and one nobody knows
    assert detector.users == 1
    assert person_agreement(DAY, [], {}) == []
