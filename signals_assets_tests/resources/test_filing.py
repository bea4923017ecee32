import threading
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import pytest

from signals_assets.core.tickets import Ticket, TicketAction, ledger_tickets, ticket_key
from signals_assets.resources.filing import (
    act,
    approve,
    audit,
    audit_levels,
    breaker_state,
    broken_link,
    file_ticket,
    lift,
    reconcile,
    switch,
)
from signals_assets.resources.ledger import Entry, SqlLedger
from signals_assets.resources.tracker import FileTracker, TicketText, TrackerError
from signals_assets.settings import TicketSettings
from signals_assets_tests.fakes.ledger import MemoryLedger

DAY = date(2026, 3, 9)
KEY = ticket_key("cause_1", 1)
SETTINGS = TicketSettings()


class PowerCut(BaseException):
    """The process ends here."""


class Fuse:
    """Blows at one of the steps that it counts."""

    def __init__(self, at=None):
        self.at, self.steps = at, 0

    def step(self):
        self.steps += 1
        if self.steps == self.at:
            raise PowerCut


class FusedLedger(MemoryLedger):
    def __init__(self):
        super().__init__()
        self.fuse = Fuse()

    @contextmanager
    def transaction(self):
        self.fuse.step()
        with super().transaction() as writer:
            yield writer
            self.fuse.step()  # before the commit
        self.fuse.step()  # after it


class FusedTracker(FileTracker):
    def __init__(self, folder):
        super().__init__(folder)
        self.fuse = Fuse()
        self.created = 0

    def create(self, ticket):
        self.fuse.step()
        self.created += self.find(ticket.key) is None
        found = super().create(ticket)
        self.fuse.step()
        return found

    def comment(self, key, comment_id, text):
        self.fuse.step()
        super().comment(key, comment_id, text)
        self.fuse.step()

    def set_state(self, key, state):
        self.fuse.step()
        super().set_state(key, state)
        self.fuse.step()


@pytest.fixture
def ledger():
    return FusedLedger()


@pytest.fixture
def tracker(tmp_path):
    return FusedTracker(tmp_path)


def filed(
    ledger,
    tracker,
    cause="cause_1",
    component="search",
    day=DAY,
    episode="context_churn@2026-03-08",
    severe_share=0.0,
    **options,
):
    def render(decision):
        return Ticket(
            decision.ticket_key,
            "context_churn",
            cause,
            component,
            decision.generation,
            episode,
            day,
            "Title",
            "Body.\n",
            severe_share,
        )

    return file_ticket(
        ledger,
        tracker,
        type="context_churn",
        cause_id=cause,
        component=component,
        episode=episode,
        day=day,
        render=render,
        recurrence="It crossed again.",
        settings=options.pop("settings", SETTINGS),
        **options,
    )


def text(tracker, key=KEY):
    return (tracker._folder / f"{key}.md").read_text()


def test_a_cause_is_filed_once_and_its_reference_noted(ledger, tracker):
    first, again = filed(ledger, tracker), filed(ledger, tracker)
    assert (first.created, first.ticket_key, first.reason) == (True, KEY, "filed")
    assert (again.created, again.reference) == (False, first.reference)
    assert tracker.created == 1
    assert "It crossed again." not in text(tracker)


@pytest.mark.parametrize("at", range(1, 9))
def test_whatever_step_the_process_dies_at_there_is_exactly_one_ticket_afterwards(ledger, tracker, at):
    fuse = Fuse(at)
    ledger.fuse = tracker.fuse = fuse
    with pytest.raises(PowerCut):
        filed(ledger, tracker)
    ledger.fuse = tracker.fuse = Fuse()
    last = filed(ledger, tracker)
    assert tracker.created == 1
    assert last.reference
    assert len(ledger.entries(["filing"])) == len(ledger.entries(["filed"])) == 1
    assert broken_link(ledger.entries(["audit"])) is None


def test_filing_has_exactly_the_steps_that_the_crash_test_goes_through(ledger, tracker):
    ledger.fuse = tracker.fuse = fuse = Fuse()
    filed(ledger, tracker)
    assert fuse.steps == 8


@pytest.mark.parametrize("at", range(1, 9))
def test_reconciliation_completes_what_a_crash_left_open_from_the_stored_text(ledger, tracker, at):
    ledger.fuse = tracker.fuse = Fuse(at)
    with pytest.raises(PowerCut):
        filed(ledger, tracker)
    ledger.fuse = tracker.fuse = Fuse()
    reconcile(ledger, tracker, settings=SETTINGS)
    assert reconcile(ledger, tracker, settings=SETTINGS) == []
    reserved = len(ledger.entries(["filing"]))
    assert reserved == (0 if at <= 2 else 1)
    assert tracker.created == reserved
    assert len(ledger.entries(["filed"])) == reserved


def test_a_crash_does_not_give_the_budget_back(ledger, tracker):
    settings = TicketSettings(per_day=1)
    ledger.fuse = tracker.fuse = Fuse(4)
    with pytest.raises(PowerCut):
        filed(ledger, tracker, settings=settings)
    ledger.fuse = tracker.fuse = Fuse()
    assert filed(ledger, tracker, "cause_2", "shell", settings=settings).reason == "the day's tickets are used up"


def test_budgets_are_reserved_in_the_transaction(ledger, tracker):
    results = [filed(ledger, tracker, f"cause_{n}", f"part{n}") for n in range(5)]
    assert [result.created for result in results] == [True, True, True, False, False]
    assert tracker.created == 3


def test_the_kill_switch_stops_filing_acting_and_completing(ledger, tracker):
    ledger.fuse = tracker.fuse = Fuse(4)
    with pytest.raises(PowerCut):
        filed(ledger, tracker)
    ledger.fuse = tracker.fuse = Fuse()
    ledger.append("kill_switch", "1", {"on": "what?"})
    assert filed(ledger, tracker).reason == "the kill switch is on"
    assert reconcile(ledger, tracker, settings=SETTINGS) == []
    assert tracker.created == 0
    assert not act(ledger, tracker, TicketAction(KEY, "close", "a", DAY), settings=SETTINGS)
    ledger.append("kill_switch", "2", {"on": False})
    assert len(reconcile(ledger, tracker, settings=SETTINGS)) == 1


def test_a_ledger_that_cannot_be_read_files_nothing(tracker):
    class Broken(MemoryLedger):
        @contextmanager
        def transaction(self):
            raise OSError("no ledger")
            yield

    with pytest.raises(OSError, match="no ledger"):
        filed(Broken(), tracker)
    assert tracker.created == 0


def test_a_ticket_found_with_another_body_is_left_as_it_is(ledger, tracker):
    tracker.create(TicketText(KEY, "By a person", "Words of a person"))
    result = filed(ledger, tracker)
    assert "another body" in result.reason
    assert "Words of a person" in text(tracker)


def test_another_s_text_under_our_key_stops_filing_until_a_person_has_looked(ledger, tracker):
    tracker.create(TicketText(KEY, "By a person", "Words of a person"))
    filed(ledger, tracker)
    assert filed(ledger, tracker, "cause_2", "shell").reason == "the kill switch is on"
    assert ledger.entries(["kill_switch"])[-1].payload == {"on": True, "actor": "signals", "because": KEY}
    switch(ledger, on=False, actor="maria")
    assert filed(ledger, tracker, "cause_2", "shell").created


def test_a_new_episode_of_an_open_ticket_is_a_comment_at_most_once_a_day(ledger, tracker):
    filed(ledger, tracker)
    for episode in ("e2", "e2", "e3"):
        assert not filed(ledger, tracker, episode=episode).created
    assert text(tracker).count("It crossed again.") == 1
    filed(ledger, tracker, episode="e3", day=DAY + timedelta(1))
    assert text(tracker).count("It crossed again.") == 2


def test_a_recurrence_soon_after_closing_reopens_the_same_ticket(ledger, tracker):
    filed(ledger, tracker)
    act(ledger, tracker, TicketAction(KEY, "close", f"{KEY}:1.5.0:close", DAY), settings=SETTINGS)
    assert tracker.find(KEY).state == "closed"
    result = filed(ledger, tracker, episode="e2", day=DAY + timedelta(20))
    assert (result.created, tracker.find(KEY).state, tracker.created) == (False, "open", 1)
    assert ledger_tickets(ledger.entries(["filing", "ticket_state"]))[KEY].state == "reopened"


def test_a_recurrence_long_after_is_a_new_generation(ledger, tracker):
    filed(ledger, tracker)
    act(ledger, tracker, TicketAction(KEY, "close", "a", DAY), settings=SETTINGS)
    result = filed(ledger, tracker, episode="e2", day=DAY + timedelta(60))
    assert (result.created, result.ticket_key) == (True, ticket_key("cause_1", 2))


@pytest.mark.parametrize("at", range(1, 6))
@pytest.mark.parametrize("kind", ["comment", "close", "reopen"])
def test_an_action_is_done_once_wherever_the_process_dies(ledger, tracker, kind, at):
    filed(ledger, tracker)
    action = TicketAction(KEY, kind, f"{KEY}:1.5.0:{kind}", DAY, "The fix works.")
    ledger.fuse = tracker.fuse = Fuse(at)
    with pytest.raises(PowerCut):
        act(ledger, tracker, action, settings=SETTINGS)
    ledger.fuse = tracker.fuse = Fuse()
    act(ledger, tracker, action, settings=SETTINGS)
    assert not act(ledger, tracker, action, settings=SETTINGS)
    assert text(tracker).count("The fix works.") == (kind == "comment")
    assert len(ledger.entries(["ticket_action"])) == 1
    assert len(ledger.entries(["ticket_state"])) == (kind != "comment")


def test_an_action_done_once_does_not_overrule_a_person_later(ledger, tracker):
    filed(ledger, tracker)
    close = TicketAction(KEY, "close", "a", DAY)
    act(ledger, tracker, close, settings=SETTINGS)
    tracker.set_state(KEY, "open")
    act(ledger, tracker, close, settings=SETTINGS)
    assert tracker.find(KEY).state == "open"


def test_the_first_decisive_verdict_on_a_version_stands(ledger, tracker):
    filed(ledger, tracker)
    for verdict in ("improved", "regressed"):
        payload = {"type": "context_churn", "version": "1.5.0", "verdict": verdict}
        act(ledger, tracker, TicketAction(KEY, "verdict", "v", DAY, payload=payload), settings=SETTINGS)
    ticket = ledger_tickets(ledger.entries(["filing", "verdict"]))[KEY]
    assert ticket.verdicts == (("1.5.0", "improved"),)


def test_reconciliation_notes_what_a_person_closed_and_reopened(ledger, tracker):
    filed(ledger, tracker)
    for state, noted in (("closed", "closed"), ("open", "reopened")):
        tracker.set_state(KEY, state)
        for _ in range(2):
            reconcile(ledger, tracker, settings=SETTINGS)
        assert ledger_tickets(ledger.entries(["filing", "ticket_state"]))[KEY].state == noted
    assert len(ledger.entries(["ticket_state"])) == 2


def test_what_the_data_says_against_filing_holds_a_new_ticket_back_and_is_audited(ledger, tracker):
    refused = filed(ledger, tracker, stops=["a circuit breaker is open: because", "and another"])
    assert (refused.created, refused.reason) == (False, "a circuit breaker is open: because; and another")
    assert tracker.created == 0
    assert ledger.entries(["filing"]) == []
    assert ledger.entries(["audit"])[-1].payload["reason"] == refused.reason
    assert filed(ledger, tracker).created


def links(tracker, *urls):
    path = tracker._folder / f"{KEY}.md"
    path.write_text(path.read_text().replace("state:", f"pull_requests: {' '.join(urls)}\nstate:", 1))


def test_reconciliation_notes_the_pull_requests_that_the_tracker_ties_to_a_ticket_once(ledger, tracker):
    filed(ledger, tracker)
    links(tracker, "https://github.com/acme/agent/pull/12")
    tracker.set_state(KEY, "closed")  # as trackers do when it is merged
    for _ in range(3):
        reconcile(ledger, tracker, settings=SETTINGS)
    assert [entry.payload for entry in ledger.entries(["ticket_pull_request"])] == [
        {"ticket_key": KEY, "url": "https://github.com/acme/agent/pull/12"}
    ]


def test_a_tracker_that_does_not_tell_pull_requests_keeps_nothing_else(ledger, tracker):
    filed(ledger, tracker)

    def failing(key):
        raise TrackerError(key)

    tracker.pull_requests = failing
    tracker.set_state(KEY, "closed")
    reconcile(ledger, tracker, settings=SETTINGS)
    assert ledger_tickets(ledger.entries(["filing", "ticket_state"]))[KEY].state == "closed"


def test_two_daemons_at_once_file_each_cause_once_and_keep_the_budget(tmp_path, ledger_url):
    """Over the real ledgers: their transactions are what keeps two writers apart."""
    url = ledger_url
    SqlLedger(url).append("kill_switch", "1", {"on": False})
    start = threading.Barrier(4)
    results = []

    def daemon():
        ledger, tracker = SqlLedger(url), FileTracker(tmp_path / "tickets")
        start.wait()
        results.extend(filed(ledger, tracker, f"cause_{n}", f"part{n}") for n in range(5))
        ledger.close()

    threads = [threading.Thread(target=daemon) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger = SqlLedger(url)
    assert len(results) == 20
    assert sum(result.created for result in results) == 3
    assert len(list((tmp_path / "tickets").glob("SIG-*.md"))) == len(ledger.entries(["filed"])) == 3
    assert broken_link(ledger.entries(["audit"])) is None
    ledger.close()


def test_every_decision_is_audited_also_a_refusal(ledger, tracker):
    filed(ledger, tracker, settings=TicketSettings(per_day=0))
    assert ledger.entries(["audit"])[-1].payload["reason"] == "the day's tickets are used up"


def test_a_changed_audit_entry_breaks_the_chain(ledger):
    for number in range(3):
        with ledger.transaction() as writer:
            assert audit(writer, f"s{number}", {"n": number})
            assert not audit(writer, f"s{number}", {"n": 99})
    entries = ledger.entries(["audit"])
    assert broken_link(entries) is None
    forged = [Entry(e.seq, e.kind, e.key, e.newest_day, {**e.payload, "n": 7}) if e.seq == 2 else e for e in entries]
    assert broken_link(forged) == 2
    assert broken_link(entries[:1] + entries[2:]) == 3


def test_the_audit_of_a_repeated_day_is_written_once(ledger):
    rows = [{"inputs": {"day": "2026-03-09", "type": "correction", "level": 0.25}, "decision": {"state": "ok"}}]
    assert audit_levels(ledger, rows) == 1
    assert audit_levels(ledger, rows) == 0
    changed = [{**rows[0], "decision": {"state": "over"}}]
    assert audit_levels(ledger, changed) == 1
    assert broken_link(ledger.entries(["audit"])) is None


# --- the circuit breaker --------------------------------------------------------------------------------------------


class Clock:
    """The time that a test says it is."""

    def __init__(self):
        self.time = datetime(2026, 3, 9, 12, tzinfo=UTC)

    def __call__(self):
        return self.time

    def later(self, minutes):
        self.time += timedelta(minutes=minutes)


class DownTracker(FusedTracker):
    """A tracker that is down while it is told to be."""

    down = True
    tried = 0

    def create(self, ticket):
        self.tried += 1
        if self.down:
            raise TrackerError("down")
        return super().create(ticket)


@pytest.fixture
def down(tmp_path):
    return DownTracker(tmp_path)


@pytest.fixture
def clock():
    return Clock()


WIDE = TicketSettings(per_day=50, open_limit=50)


def test_failures_in_a_row_stop_filing_and_one_is_tried_after_a_rest(ledger, down, clock):
    for number in range(3):
        with pytest.raises(TrackerError):
            filed(ledger, down, f"cause_{number}", f"part{number}", settings=WIDE, clock=clock)
    refused = filed(ledger, down, "cause_3", "part3", settings=WIDE, clock=clock)
    assert "circuit breaker is open" in refused.reason
    assert reconcile(ledger, down, settings=WIDE, clock=clock) == []
    assert down.tried == 3

    clock.later(61)
    assert reconcile(ledger, down, settings=WIDE, clock=clock) == []
    assert down.tried == 4  # one of three; it failed, and the breaker rests again
    clock.later(59)
    assert reconcile(ledger, down, settings=WIDE, clock=clock) == []
    assert down.tried == 4

    clock.later(2)
    down.down = False
    assert len(reconcile(ledger, down, settings=WIDE, clock=clock)) == 3
    assert filed(ledger, down, "cause_3", "part3", settings=WIDE, clock=clock).created
    assert down.created == 4


def test_a_success_between_failures_keeps_the_breaker_closed(ledger, down, clock):
    for number in range(6):
        down.down = number % 3 != 2
        if down.down:
            with pytest.raises(TrackerError):
                filed(ledger, down, f"cause_{number}", f"part{number}", settings=WIDE, clock=clock)
        else:
            assert filed(ledger, down, f"cause_{number}", f"part{number}", settings=WIDE, clock=clock).created


def test_a_breaker_that_has_rested_lets_exactly_one_of_two_through(ledger, down, clock):
    for number in range(3):
        with pytest.raises(TrackerError):
            filed(ledger, down, f"cause_{number}", f"part{number}", settings=WIDE, clock=clock)
    clock.later(61)
    first = ledger.entries(["filed", "ticket_action", "filing_failure", "filing_probe"])
    assert breaker_state(first, WIDE, clock()) == "half-open"
    ledger.append("filing_probe", "0", {"at": clock().isoformat()})  # the other daemon, which was killed then
    assert reconcile(ledger, down, settings=WIDE, clock=clock) == []
    assert down.tried == 3
    clock.later(61)
    reconcile(ledger, down, settings=WIDE, clock=clock)
    assert down.tried == 4


def test_a_failing_comment_counts_and_is_made_later(ledger, tracker, clock):
    filed(ledger, tracker)
    text_of, tracker.comment = tracker.comment, lambda *_: (_ for _ in ()).throw(TrackerError("down"))
    action = TicketAction(KEY, "comment", "a1", DAY, "The fix works.")
    for _ in range(3):
        with pytest.raises(TrackerError):
            act(ledger, tracker, action, settings=SETTINGS, clock=clock)
    assert not act(ledger, tracker, action, settings=SETTINGS, clock=clock)
    tracker.comment = text_of
    clock.later(61)
    assert act(ledger, tracker, action, settings=SETTINGS, clock=clock)
    assert text(tracker).count("The fix works.") == 1


def test_one_filing_that_the_tracker_refuses_does_not_keep_the_others(ledger, tracker, clock):
    for fuse_at, cause in ((4, "cause_1"), (4, "cause_2")):
        ledger.fuse = tracker.fuse = Fuse(fuse_at)
        with pytest.raises(PowerCut):
            filed(ledger, tracker, cause, cause)
    ledger.fuse = tracker.fuse = Fuse()
    create = tracker.create

    def refuses_the_first(ticket):
        if ticket.key == KEY:
            raise TrackerError("too long")
        return create(ticket)

    tracker.create = refuses_the_first
    assert [item.ticket_key for item in reconcile(ledger, tracker, settings=SETTINGS, clock=clock)] == [
        ticket_key("cause_2", 1)
    ]
    tracker.create = create
    assert [item.ticket_key for item in reconcile(ledger, tracker, settings=SETTINGS, clock=clock)] == [KEY]


# --- doors that leave the machine -----------------------------------------------------------------------------------


class OutsideTracker(FusedTracker):
    leaves_machine = True


@pytest.fixture
def outside(tmp_path):
    return OutsideTracker(tmp_path)


OUT = TicketSettings(dry_run=False)


def test_a_door_that_leaves_the_machine_is_dry_and_shows_what_it_would_say(ledger, outside):
    approve(ledger, "context_churn", actor="maria")
    result = filed(ledger, outside)
    assert (result.created, outside.created) == (False, 0)
    assert result.reason.startswith("dry run")
    (draft,) = ledger.entries(["ticket_draft"])
    assert (draft.key, draft.payload["title"]) == (f"{KEY}:{DAY}", "Title")
    assert ledger.entries(["filing"]) == []
    assert filed(ledger, outside, settings=OUT).created  # nothing was used up


def test_a_dry_run_neither_completes_nor_comments_nor_closes(ledger, outside):
    approve(ledger, "context_churn", actor="maria")
    ledger.fuse = outside.fuse = Fuse(4)
    with pytest.raises(PowerCut):
        filed(ledger, outside, settings=OUT)
    ledger.fuse = outside.fuse = Fuse()
    assert reconcile(ledger, outside, settings=SETTINGS) == []
    assert not filed(ledger, outside, settings=SETTINGS).created
    assert not act(ledger, outside, TicketAction(KEY, "close", "a", DAY), settings=SETTINGS)
    assert outside.created == 0


@pytest.mark.parametrize("subject", ["context_churn", "cause_1"])
def test_a_types_first_ticket_waits_for_a_person_where_it_leaves_the_machine(ledger, outside, subject):
    result = filed(ledger, outside, settings=OUT)
    assert (result.created, "approval" in result.reason) == (False, True)
    assert [entry.payload["body"] for entry in ledger.entries(["ticket_draft"])] == ["Body.\n"]
    assert approve(ledger, subject, actor="maria")
    assert not approve(ledger, subject, actor="maria")
    assert filed(ledger, outside, settings=OUT).created
    assert ledger.find("audit", f"approval:{subject}").payload["actor"] == "maria"


def test_an_embedded_tracker_can_be_made_dry_and_asked_for_approval(ledger, tracker):
    assert filed(ledger, tracker, settings=TicketSettings(dry_run=True)).reason.startswith("dry run")
    assert "approval" in filed(ledger, tracker, settings=TicketSettings(approval=True)).reason
    assert filed(ledger, tracker).created


def test_the_switch_in_the_ledger_stops_and_is_audited_and_what_is_not_clearly_off_is_on(ledger, tracker):
    switch(ledger, on=True, actor="maria")
    assert filed(ledger, tracker).reason == "the kill switch is on"
    switch(ledger, on=False, actor="maria")
    assert filed(ledger, tracker).created
    ledger.append("kill_switch", "torn", {"on": "false"})
    assert filed(ledger, tracker, "cause_2", "shell").reason == "the kill switch is on"
    audited = [entry.payload["on"] for entry in ledger.entries(["audit"]) if entry.key.startswith("kill_switch")]
    assert audited == [True, False]
    assert broken_link(ledger.entries(["audit"])) is None


def test_a_switch_that_is_turned_while_a_ticket_is_filed_stops_it_before_the_tracker(ledger, tracker):
    ledger.fuse = tracker.fuse = Fuse(4)
    with pytest.raises(PowerCut):
        filed(ledger, tracker)
    ledger.fuse = tracker.fuse = Fuse()

    class Switched(MemoryLedger):
        """The switch is thrown right after the first transaction."""

        @contextmanager
        def transaction(self):
            with super().transaction() as writer:
                yield writer
            if not self.entries(["kill_switch"]):
                switch(self, on=True, actor="maria")

    switched = Switched()
    switched._entries = [entry for entry in ledger._entries if entry.kind != "filing"]
    result = filed(switched, tracker)
    assert (result.created, result.reason) == (False, "the kill switch is on")
    assert tracker.created == 0


# --- handing over ---------------------------------------------------------------------------------------------------

AGENT = TicketSettings(agent="coder", agent_components=["search"])


@pytest.mark.parametrize(
    ("component", "approved", "handed"), [("search", True, True), ("shell", True, False), ("search", False, False)]
)
def test_only_approved_types_and_listed_components_go_to_the_agent(ledger, tracker, component, approved, handed):
    if approved:
        approve(ledger, "context_churn", actor="maria")
    filed(ledger, tracker, component=component, settings=AGENT)
    assert ("delegate: coder" in text(tracker)) == handed


@pytest.mark.parametrize(("severe_share", "handed"), [(0.5, True), (0.51, False), (None, False)])
def test_severe_tickets_and_those_of_unknown_severity_are_a_persons(ledger, tracker, severe_share, handed):
    approve(ledger, "context_churn", actor="maria")
    filed(ledger, tracker, settings=AGENT, severe_share=severe_share)
    assert ("delegate: coder" in text(tracker)) == handed


def test_a_hand_over_that_failed_is_made_by_reconciliation_once(ledger, tracker):
    approve(ledger, "context_churn", actor="maria")
    delegate, calls = tracker.delegate, []
    tracker.delegate = lambda *_: (_ for _ in ()).throw(TrackerError("no such agent"))
    with pytest.raises(TrackerError):
        filed(ledger, tracker, settings=AGENT)
    tracker.delegate = lambda *asked: (calls.append(asked), delegate(*asked))
    for _ in range(2):
        reconcile(ledger, tracker, settings=AGENT)
    assert calls == [(KEY, "coder")]
    assert ledger.entries(["filing_failure"]) == []


def test_a_new_generation_is_linked_to_the_one_before(ledger, tracker):
    filed(ledger, tracker)
    act(ledger, tracker, TicketAction(KEY, "close", "a", DAY), settings=SETTINGS)
    later = filed(ledger, tracker, episode="e2", day=DAY + timedelta(60))
    assert f"previous: {KEY}" in text(tracker, later.ticket_key)
    assert "fingerprint: cause_1" in text(tracker, later.ticket_key)


def test_a_ticket_under_our_key_that_was_never_filed_stops_filing_until_a_person_has_looked(ledger, tracker):
    filed(ledger, tracker)
    reconcile(ledger, tracker, settings=SETTINGS)
    assert ledger.entries(["kill_switch"]) == []
    tracker.create(TicketText(key="SIG-0BADF00D", title="Odd", body="Odd.\n", labels=()))
    reconcile(ledger, tracker, settings=SETTINGS)
    [stopped] = ledger.entries(["kill_switch"])
    assert (stopped.payload["on"], stopped.payload["because"]) == (True, "SIG-0BADF00D")
    assert filed(ledger, tracker, cause="cause_2", component="other").reason == "the kill switch is on"
    switch(ledger, on=False, actor="ada")
    reconcile(ledger, tracker, settings=SETTINGS)
    assert filed(ledger, tracker, cause="cause_2", component="other").created
    assert broken_link(ledger.entries(["audit"])) is None


def test_only_a_suppressed_ticket_is_lifted_and_that_is_audited(ledger, tracker):
    filed(ledger, tracker)
    for key in (KEY, "SIG-FFFFFFFF"):
        with pytest.raises(LookupError, match="no suppressed ticket"):
            lift(ledger, key, actor="ada")
    suppress = TicketAction(KEY, "suppress", f"{KEY}:1.1:suppress", DAY)
    assert act(ledger, tracker, suppress, settings=SETTINGS)
    assert filed(ledger, tracker).reason.startswith("fixes failed")
    lift(ledger, KEY, actor="ada")
    assert filed(ledger, tracker, episode="context_churn@2026-03-09").reason == "its ticket was closed not long ago"
    assert "lifted:0" in {entry.key for entry in ledger.entries(["audit"])}
