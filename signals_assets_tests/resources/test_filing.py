import threading
from contextlib import contextmanager
from datetime import date, timedelta

import pytest

from signals_assets.core.tickets import Ticket, TicketAction, ledger_tickets, ticket_key
from signals_assets.resources.filing import act, audit, audit_levels, broken_link, file_ticket, reconcile
from signals_assets.resources.ledger import Entry, SqlLedger
from signals_assets.resources.tracker import FileTracker, TicketText
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


def filed(ledger, tracker, cause="cause_1", component="search", day=DAY, episode="context_churn@2026-03-08", **options):
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


def test_two_daemons_at_once_file_each_cause_once_and_keep_the_budget(tmp_path):
    """Over the real ledger: its transactions are what keeps two writers apart."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
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
