from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from signals_assets.core import taxonomy
from signals_assets.core.analysis_rules import CAME, CITATIONS
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
    many = group(0, 140, type_="correction", words="the answer was wrong", days=4, start=60)
    (made,) = proposals(many, shifted(30, type_="correction"))
    assert len([item_id for item_id in made.item_ids if item_id.startswith("friction-5")]) >= 25


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
    assert {row.waiting_for for row in made if not row.ready} <= {"separation"}


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


# --- a sentence is no category


def test_a_group_of_one_or_two_texts_waits_for_variety() -> None:
    (made,) = proposals(shifted(variants=2))
    assert (made.ready, made.waiting_for) == (False, "variety")
    assert proposals(shifted(variants=6))[0].ready


def test_a_small_group_of_different_texts_is_varied_enough() -> None:
    assert [made.ready for made in proposals(shifted(4, users=1), audience="self") if made.items == 4] == [True]


def test_a_sentence_that_the_rules_write_of_a_type_makes_no_new_type() -> None:
    assert proposals(shifted(words=f"{CITATIONS['repeated_rephrasing']} about dates")) == []


def test_names_hold_no_word_of_the_rules_own_sentences() -> None:
    needs = group(
        7, 30, kind="unmet_need", type_="", words=f"{CITATIONS['other.unmet']} about mail, report and schedule", days=3
    )
    (made,) = proposals(needs)
    assert made.name.text == "Mail report schedule"
    assert made.slug == "mail_report_schedule"
    assert "about mail, report, schedule" in made.definition.text


def test_names_hold_no_function_words_and_no_word_twice() -> None:
    (made,) = proposals(shifted(words="something whose report and reports were shifted abroad"))
    assert made.name.text == "Report shifted abroad"


def test_what_the_agent_cannot_do_is_proposed_once_as_the_need() -> None:
    words = f"{CITATIONS['other.unmet']} about mail and schedule"
    needs = group(7, 30, kind="unmet_need", type_="", words=words, days=3)
    events = [(replace(item, item_id=f"e{item.item_id}", kind="friction", type="other"), v) for item, v in needs]
    assert [made.kind for made in proposals(needs, events)] == ["unmet_need"]


# --- material: what only emerges is new

LATER = MONDAY + timedelta(27)
OLD = {"day": MONDAY, "days": 14, "confidence": 0.4}
NEW = {"day": MONDAY + timedelta(14), "days": 14, "confidence": 0.4, "start": 100}
REMARKS = f"{CITATIONS['other.remark']} about clocks, hours and office"


def remarked(*groups: list, day: date = LATER, **fields: Any) -> list:
    usual = group(30, 40, **OLD, words="tables and forms")
    return propose(day, window(*known(), usual, *groups), SEED, audience="company", **fields)


def test_remarks_that_were_always_there_make_no_category() -> None:
    assert remarked(group(30, 40, **NEW), group(31, 40, **OLD), group(31, 40, **NEW)) == []


def test_remarks_that_begin_in_the_newer_half_do() -> None:
    (made,) = remarked(group(32, 30, **NEW, words=REMARKS))
    assert (made.kind, made.items, made.ready, made.first_day) == ("friction", 30, True, MONDAY + timedelta(14))
    assert made.name.text == "Clocks hours office"


def test_with_a_short_history_nothing_is_known_of_what_is_usual() -> None:
    assert remarked(group(32, 30, **NEW), day=MONDAY + timedelta(19)) == []


def test_a_group_around_something_usual_waits_for_emergence() -> None:
    """Every two items have the cosine 0.58: unlike each of the older ones, which lie around the same centre."""
    axes = np.eye(80)
    items = [item for item, _ in (*group(32, 40, **OLD), *group(32, 30, **NEW))]
    pairs = [(item, 0.58**0.5 * axes[79] + 0.42**0.5 * axis) for item, axis in zip(items, axes, strict=False)]
    (made,) = propose(LATER, window(pairs), SEED, audience="company")
    assert made.items == 30
    assert (made.ready, made.waiting_for) == (False, "emergence")


def test_what_was_proposed_stays_new_until_a_person_decides() -> None:
    young = group(32, 30, **NEW)
    before = remarked(young)
    late = LATER + timedelta(13)
    still = group(32, 20, **NEW | {"day": late - timedelta(6), "days": 6, "start": 200})
    usual = group(30, 40, **OLD | {"day": MONDAY + timedelta(13)}, start=300)
    seen = window(*known(), usual, young, still)
    assert propose(late, seen, SEED, audience="company") == []
    (made,) = propose(late, seen, SEED, dumped(before), audience="company")
    assert (made.proposal_id, made.ready) == (before[0].proposal_id, True)


def test_material_shapes_no_category() -> None:
    """Many remarks stored under a type would otherwise become its centre and claim themselves."""
    joy = group(33, 60, **OLD | {"confidence": 0.9}, kind="delight", type_="positive_exclamation")
    drawn = group(34, 90, **NEW, kind="delight", type_="positive_exclamation")
    (made,) = remarked(joy, drawn)
    assert (made.kind, made.items) == ("delight", 90)


def test_little_that_emerges_waits_until_chance_does_not_explain_it() -> None:
    """Usual remarks in all directions, more in the newer half: of nine alike all are new by chance, of forty not."""
    usual = [group(number, 1, **OLD) for number in range(100, 130)]
    later = [group(number, 1, **NEW) for number in range(130, 210)]
    for size, waiting in ((9, "emergence"), (40, "")):
        seen = window(*usual, *later, group(32, size, **NEW, words=REMARKS))
        (made,) = propose(LATER, seen, SEED, audience="company")
        assert sum(item.startswith("friction-32-") for item in made.item_ids) == size
        assert made.waiting_for == waiting


def test_an_unmet_need_passes_with_as_few_as_the_acceptance_rules_ask_for_and_is_shown_before() -> None:
    sentence = CITATIONS["other.unmet"] + " about mail and report"
    needs = group(7, 8, kind="unmet_need", type_="", words=sentence, days=3)
    (made,) = propose(DAY, window(needs), SEED, audience="company")
    assert (made.kind, made.items, made.ready) == ("unmet_need", 8, True)
    (early,) = propose(DAY, window(needs[:7]), SEED, audience="company")
    assert (early.items, early.ready, early.waiting_for) == (7, False, "sessions")
    assert propose(DAY, window(needs[:4]), SEED, audience="company") == []


def wishes(number: int, size: int, **changes: Any) -> list:
    """What users came for as the rules write it."""
    return group(
        number, size, **{"kind": "intent", "type_": "", "words": f"{CAME}help, about dates", "days": 14} | changes
    )


def test_a_further_intent_has_to_rise_once_a_person_has_accepted_some() -> None:
    usual = [wishes(40, 60), wishes(41, 60), wishes(42, 20, days=28)]
    rising = wishes(43, 20, day=MONDAY + timedelta(20), days=7)
    first = propose(LATER, window(*usual, rising), SEED, audience="company")
    assert [made.ready for made in first if made.items == 20] == [True, True]
    ids = [item.item_id for part in usual[:2] for item, _ in part]
    accept = {"action": "accept", "kind": "intent", "slug": "dates", "name": "Dates", "definition": "About dates."}
    accepted = taxonomy.fold(
        [Entry(n, accept | {"slug": f"dates_{n}", "item_ids": ids[60 * n - 60 : 60 * n]}) for n in (1, 2)]
    )
    second = propose(LATER, window(*usual, rising), accepted, audience="company")
    assert sorted((made.first_day, made.waiting_for) for made in second) == [
        (MONDAY, "emergence"),
        (MONDAY + timedelta(20), ""),
    ]
    backlog = propose(LATER, window(*usual, rising), accepted, dumped(first), audience="company")
    assert {made.waiting_for for made in backlog} == {""}
