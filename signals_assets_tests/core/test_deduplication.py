from dataclasses import asdict, dataclass, replace

import pytest

from signals_assets.core.deduplication import (
    TRIGRAMS,
    VECTORS,
    Concern,
    Evidence,
    keys_of,
    learnt,
    near,
    same,
    sentences,
    settle,
    to_embed,
    weigh,
)
from signals_assets.core.tickets import Decision
from signals_assets.core.topics import by_trigrams
from signals_assets.resources.ledger import Entry

MAP = {
    "query-gateway": ["run_query", "services/gateway/*", "gateway-log"],
    "exporter": ["export_file", "billing/*"],
}
TYPES = {"error_event": ("The call fails with an error.",), "backtracking": ("The change is reverted by users.",)}
POOL = "connection pool exhausted after <n> ms"
FILE = Decision("file", "within all limits", "SIG-00000001", 1)
SAME = Evidence("ticket", "T-1", False, "d", False, "same", "error_event", 0.9, None)


@dataclass
class Ticket:
    title: str
    body: str = ""
    reference: str = "T-1"
    key: str | None = None


@dataclass
class Change:
    title: str
    body: str = ""
    branch: str = "fix/1"
    files: tuple[str, ...] = ()
    id: str = "#7"


TYPED = replace(TRIGRAMS, same_type=0.8)
"""Bounds of a measure that is trusted with types: what people's words say is told by the examples themselves here."""


def weighed(concern, *tickets, changes=(), types=TYPES):
    vectors = by_trigrams(to_embed(concern, tickets, changes, types=types, components=MAP))
    return weigh(concern, tickets, changes, components=MAP, topics=learnt(types, vectors, TRIGRAMS), bounds=TRIGRAMS)


def test_a_persons_ticket_about_the_same_error_in_the_same_place_is_the_same_cause():
    concern = Concern("error_event", "query-gateway", (POOL,))
    (evidence,) = weighed(concern, Ticket("run_query: the conection pool gets exhausted"))
    assert evidence.place == "same"
    assert same(evidence, TRIGRAMS)
    assert settle(FILE, [evidence], TRIGRAMS).action == "comment"


def test_another_error_in_the_same_place_and_the_same_error_elsewhere_are_other_causes():
    concern = Concern("error_event", "query-gateway", (POOL,))
    tickets = (
        Ticket("run_query builds a statement with bad syntax", reference="T-1"),
        Ticket("exporter: connection pool exhausted", reference="T-2"),
        Ticket("connection pool exhausted", reference="T-3"),
        Ticket("query-gateway and exporter: connection pool exhausted", reference="T-4"),
    )
    evidence = weighed(concern, *tickets)
    assert [one.place for one in evidence] == ["same", "other", "none", "other"]
    assert not any(same(one, TRIGRAMS) for one in evidence)


def test_another_symptom_in_the_same_place_is_another_cause():
    concern = Concern("error_event", "exporter")
    (evidence,) = weighed(concern, Ticket("Users reverted the change of the exporter"))
    assert (evidence.place, evidence.type) == ("same", "backtracking")
    assert settle(FILE, [evidence], TRIGRAMS).action == "file"


def test_a_change_is_placed_by_the_files_it_touches_and_waited_for():
    concern = Concern("error_event", "query-gateway", (POOL,))
    change = Change("Larger connection pool, not exhausted so soon", files=("services/gateway/pool.py",))
    (evidence,) = weighed(concern, changes=(change,))
    decided = settle(FILE, [evidence], TRIGRAMS)
    assert (decided.action, decided.reference) == ("wait", "#7")


def test_a_change_that_names_the_causes_ticket_is_about_it_whatever_its_words():
    concern = Concern("error_event", "query-gateway", (), ("SIG-0000ABCD",))
    (evidence,) = weighed(concern, changes=(Change("Tidy up", branch="fix/sig-0000abcd"),))
    assert evidence.names_key
    assert settle(FILE, [evidence], TRIGRAMS).action == "wait"


def test_other_work_in_the_same_place_is_about_no_friction():
    concern = Concern("backtracking", "exporter")
    said = ("Bump the version of a library in the exporter", "The exporter: rename variables and functions")
    found = weighed(concern, *(Ticket(title, reference=title) for title in said))
    assert [one.place for one in found] == ["same", "same"]
    assert all(one.alike < TRIGRAMS.near for one in found)
    assert settle(FILE, found, TRIGRAMS).action == "file"


def test_talk_around_a_report_does_not_count():
    concern = Concern("backtracking", "exporter")
    title = "The exporter: the change is reverted by users"
    talk = "Nobody knows since when.\nSteps to reproduce are not known.\nWaiting for triage."
    (alone,), (amid,) = (weighed(concern, Ticket(title, body)) for body in ("", talk))
    assert same(alone, TYPED)
    assert same(amid, TYPED)
    assert amid.alike == pytest.approx(alone.alike, abs=0.05)


def test_the_title_counts_more_than_what_follows_it():
    concern = Concern("backtracking", "exporter")
    undone, fails = "The change is reverted by users.", "The call fails with an error."
    (evidence,) = weighed(concern, Ticket(f"{undone} (exporter)", fails))
    assert evidence.type == "backtracking"
    (evidence,) = weighed(concern, Ticket(f"{fails} (exporter)", undone))
    assert evidence.type == "error_event"


def test_a_text_without_sentences_and_a_taxonomy_without_types_say_nothing():
    concern = Concern("backtracking", "exporter", (POOL,))
    (evidence,) = weighed(concern, Ticket("exporter"))
    assert (evidence.type, evidence.alike, evidence.symptom) == ("", 0.0, 0.0)
    (evidence,) = weighed(concern, Ticket("users of the exporter wait"), types={})
    assert evidence.alike == 0.0


def entry(seq, kind, key, **payload):
    return Entry(seq, kind, key, None, payload)


def filing(seq, key, cause_id, friction_type="error_event", generation=1):
    return entry(
        seq, "filing", key, type=friction_type, cause_id=cause_id, component="query-gateway", generation=generation,
        episode="e", filed_on="2026-01-01",
    )  # fmt: skip


def test_the_keys_of_a_cause_are_of_all_generations_and_of_types_that_were_merged_into_its_own():
    entries = [
        filing(1, "SIG-00000001", "c1"),
        entry(2, "filed", "SIG-00000001", reference="https://linear.app/acme/issue/ENG-5/title"),
        filing(3, "SIG-00000002", "c1", generation=2),
        filing(4, "SIG-00000003", "c0", "tool_failure"),
        filing(5, "SIG-00000004", "c2", "correction"),
    ]
    merged = {"tool_failure": "error_event"}
    keys = keys_of(
        entries, "c1", lambda kind, place: (merged.get(kind, kind), place) == ("error_event", "query-gateway")
    )
    assert keys == ("ENG-5", "SIG-00000001", "SIG-00000002", "SIG-00000003")


def test_a_change_that_names_the_trackers_identifier_is_about_the_cause():
    concern = Concern("error_event", "query-gateway", (), ("ENG-5", "SIG-0000ABCD"))
    changes = (Change("Tidy up", branch="ana/eng-5-tidy", id="#1"), Change("Tidy up", branch="ana/eng-6", id="#2"))
    assert [one.names_key for one in weighed(concern, changes=changes)] == [True, False]


def test_slices_do_not_matter():
    concern = Concern("error_event", "query-gateway", (POOL,))
    bodies = ("Only in version 2.3.", "Mostly Python sessions.")
    found = [weighed(concern, Ticket("run_query: connection pool exhausted", body))[0] for body in bodies]
    assert all(same(one, TRIGRAMS) for one in found)


@pytest.mark.parametrize(
    ("fingerprint", "action"),
    [
        (Decision("comment", "an open ticket of this cause exists", "SIG-00000001", 1), "comment"),
        (Decision("reopen", "its ticket was closed not long ago", "SIG-00000001", 1), "reopen"),
        (Decision("refuse", "fixes failed too often: a person decides", "SIG-00000001"), "suppressed"),
        (Decision("refuse", "the kill switch is on"), "refuse"),
    ],
)
def test_what_the_fingerprint_says_comes_before_any_meaning(fingerprint, action):
    assert settle(fingerprint, [replace(SAME, what="change")], VECTORS).action == action


def test_a_change_in_flight_comes_before_a_ticket_and_a_near_one_is_only_linked():
    near = replace(SAME, reference="T-2", alike=VECTORS.near)
    assert settle(FILE, [SAME, replace(SAME, what="change", reference="#7")], VECTORS).reference == "#7"
    linked = settle(FILE, [near], VECTORS)
    assert (linked.action, linked.reference) == ("link", "T-2")
    assert settle(FILE, [replace(near, place="other")], VECTORS).action == "file"


def test_a_decision_is_replayed_from_stored_numbers_which_hold_no_words():
    concern = Concern("error_event", "query-gateway", (POOL,))
    evidence = weighed(concern, Ticket("run_query: connection pool exhausted", "Marias tenant is zanzibar"))
    stored = [asdict(one) for one in evidence]
    assert "zanzibar" not in str(stored)
    assert settle(FILE, [Evidence(**one) for one in stored], TRIGRAMS) == settle(FILE, evidence, TRIGRAMS)


def test_the_order_in_which_texts_come_changes_nothing():
    concern = Concern("error_event", "query-gateway", (POOL,))
    tickets = [Ticket("run_query: connection pool exhausted", reference=f"T-{n}") for n in (2, 1)]
    assert weighed(concern, *tickets) == weighed(concern, *reversed(tickets))


def test_places_are_left_out_of_what_is_compared_and_so_is_code():
    said = sentences(
        "query-gateway drops every call", "```\nfailed at the gateway door\n```\nCustomers have to wait.", MAP
    )
    assert said == ["it drops every call", "Customers have to wait."]


def test_the_word_beside_a_places_name_is_of_the_place_and_what_is_said_twice_counts_once():
    places = {"document-index": ["find_documents"]}
    said = sentences(
        "indexed documents fail to load", "The documents index fails.\nindexed documents fail to load", places
    )
    assert said == ["it fail to load", "The it fails."]


def test_a_measure_that_cannot_tell_types_merges_by_errors_only_and_links_the_rest():
    concern = Concern("backtracking", "exporter")
    (evidence,) = weighed(concern, Ticket("The exporter: the change is reverted by users"))
    assert evidence.alike > 0.8
    assert not same(evidence, TRIGRAMS)
    assert near(evidence, TRIGRAMS)
    assert settle(FILE, [evidence], TRIGRAMS).action == "link"
