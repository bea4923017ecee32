"""What every tracker must do, as tests that a test module runs against its own door.

Subclass `TrackerContract` beside two fixtures: `tracker`, and `people`, which does what people do at the tracker:
`write(title, body) -> reference`, `assign(key)`, `assignee(key)`, `close(key)`, `name_pull_request(key, url)`,
`comments(ticket)`, `labels(key)`, `agent(key)`, `previous(key)` (the keys linked to), `AGENT` (a name that can be
delegated to).
"""

import hashlib

import pytest

from signals_assets.resources.tracker import TicketText, TrackerError

KEY, LATER, ABSENT = "SIG-0A1B2C3D", "SIG-1A1B2C3D", "SIG-FFFFFFFF"
BODY = "Users *repeat* themselves.\n\n- at least 10 users\n"
LABELS = ("type:context_churn", "component:search")
TEXT = TicketText(KEY, "Context churn in search", BODY, LABELS, fingerprint="cause_1")
PULL_REQUEST = "https://github.example/team/agent/pull/7"


class TrackerContract:
    def test_what_is_not_there_is_not_found_and_has_no_pull_requests(self, tracker):
        assert tracker.find(KEY) is None
        assert tracker.pull_requests(KEY) == []
        assert tracker.open_tickets() == []

    def test_what_was_created_is_found_with_the_hash_of_its_body(self, tracker):
        created = tracker.create(TEXT)
        assert tracker.find(KEY) == created
        assert (created.key, created.state) == (KEY, "open")
        assert created.body_hash == hashlib.sha256(BODY.encode()).hexdigest()
        assert tracker.find(ABSENT) is None

    def test_creating_again_returns_the_first_whatever_it_says_now(self, tracker):
        first = tracker.create(TEXT)
        assert tracker.create(TicketText(KEY, "Other", "Other body")) == first
        (ticket,) = tracker.open_tickets()
        assert (ticket.title, ticket.body) == (TEXT.title, BODY.strip())

    def test_open_tickets_are_ours_and_people_s_and_say_whose(self, tracker, people):
        ours = tracker.create(TEXT)
        theirs = people.write("Search forgets", "It asks for the same thing twice.")
        found = {ticket.reference: ticket for ticket in tracker.open_tickets()}
        assert found.keys() == {ours.reference, theirs}
        assert [(found[r].key, found[r].ours) for r in (ours.reference, theirs)] == [(KEY, True), (None, False)]
        assert (found[theirs].title, found[theirs].body) == ("Search forgets", "It asks for the same thing twice.")
        assert found[theirs].state == "open"
        assert found[theirs].updated_at.tzinfo is not None
        assert list(found) == sorted(found)

    def test_a_closed_ticket_is_found_but_not_among_the_open_ones_and_can_be_reopened(self, tracker):
        tracker.create(TEXT)
        for state in ("closed", "closed", "open", "open", "closed"):
            tracker.set_state(KEY, state)
            assert tracker.find(KEY).state == state
            assert len(tracker.open_tickets()) == (state == "open")

    def test_what_a_person_closed_is_closed(self, tracker, people):
        tracker.create(TEXT)
        people.close(KEY)
        assert tracker.find(KEY).state == "closed"

    def test_a_comment_is_added_once_also_to_a_person_s_ticket(self, tracker, people):
        tracker.create(TEXT)
        theirs = people.write("Search forgets", "Twice.")
        for ticket in (KEY, theirs):
            for text in ("It came back.", "It came back.", "Other words under the same id."):
                tracker.comment(ticket, f"{ticket}:1", text)
            tracker.comment(ticket, f"{ticket}:2", "And again.")
            assert people.comments(ticket) == ["It came back.", "And again."]

    def test_labels_are_added_and_removed_and_the_others_stay(self, tracker, people):
        tracker.create(TEXT)
        assert set(LABELS) <= set(people.labels(KEY))
        tracker.label(KEY, add=["verdict:improved"], remove=["component:search", "verdict:regressed"])
        tracker.label(KEY, add=["verdict:improved"])
        assert {"type:context_churn", "verdict:improved"} <= set(people.labels(KEY))
        assert "component:search" not in people.labels(KEY)

    def test_delegation_names_the_agent_and_keeps_the_person(self, tracker, people):
        tracker.create(TEXT)
        person = people.assign(KEY)
        for _ in range(2):
            tracker.delegate(KEY, people.AGENT)
        tracker.set_state(KEY, "closed")
        tracker.label(KEY, add=["verdict:improved"])
        assert (people.agent(KEY), people.assignee(KEY)) == (people.AGENT, person)

    def test_a_later_generation_is_linked_to_the_earlier_one_once(self, tracker, people):
        tracker.create(TEXT)
        later = TicketText(LATER, "Context churn in search", BODY, LABELS, fingerprint="cause_1", previous=KEY)
        tracker.create(later)
        tracker.create(later)
        assert people.previous(LATER) == [KEY]
        assert len(tracker.open_tickets()) == 2

    def test_pull_requests_that_the_tracker_knows_are_listed(self, tracker, people):
        tracker.create(TEXT)
        people.name_pull_request(KEY, PULL_REQUEST)
        assert [item.url for item in tracker.pull_requests(KEY)] == [PULL_REQUEST]

    @pytest.mark.parametrize(
        "verb",
        [
            lambda tracker: tracker.comment(ABSENT, "c", "text"),
            lambda tracker: tracker.set_state(ABSENT, "closed"),
            lambda tracker: tracker.label(ABSENT, add=["a:b"]),
            lambda tracker: tracker.delegate(ABSENT, "agent"),
        ],
    )
    def test_acting_on_what_is_not_there_says_what_to_do(self, tracker, verb):
        with pytest.raises(TrackerError, match=f"ticket {ABSENT}: .*file it again"):
            verb(tracker)

    @pytest.mark.parametrize("key", ["", "sig-0a1b2c3d", "../SIG-0A1B2C3D", "SIG-0A1B2C3D\n", "SIG-0A1B2C3D/x"])
    def test_a_malformed_key_is_refused_before_anything_happens(self, tracker, key):
        with pytest.raises(TrackerError, match="ticket_key"):
            tracker.create(TicketText(key, "t", "b"))
        with pytest.raises(TrackerError, match="ticket_key"):
            tracker.find(key)

    def test_the_check_counts_tickets(self, tracker, people):
        assert "0 tickets" in tracker.check()
        tracker.create(TEXT)
        people.write("Search forgets", "Twice.")
        assert "1 tickets, 1 open" in tracker.check()
