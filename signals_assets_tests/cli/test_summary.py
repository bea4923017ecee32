"""What the demo's summary says of the loop in plain words."""

from datetime import date

from signals_assets.cli.summary import turns
from signals_assets.core.tickets import LedgerTicket


def ticket(key, state, *verdicts):
    return LedgerTicket(
        key, "correction", "cause_1", "unknown", 1, "correction@2026-01-07", date(2026, 1, 11), "ENG-1", state,
        verdicts=verdicts,
    )  # fmt: skip


def test_a_turn_is_told_from_the_ticket_to_what_the_fix_did_and_what_became_of_the_ticket():
    tickets = [
        ticket("SIG-AAAAAAAA", "closed", ("1.5.1", "unchanged"), ("1.6.0", "improved")),
        ticket("SIG-BBBBBBBB", "suppressed", ("1.7.0", "regressed")),
    ]
    head, failed, worked, worse = turns(
        tickets, {"SIG-AAAAAAAA": {"pull_request_id": "PR-118", "released_in": "1.6.0"}}
    )
    assert head == "Whole turns of the loop: 1 with a fix that worked, 2 with one that did not."
    assert "filed on 2026-01-11; shipped in 1.5.1;" in failed
    assert failed.endswith("the fix made no difference that matters, and the ticket was reopened.")
    assert "filed on 2026-01-11; PR-118, shipped in 1.6.0;" in worked
    assert worked.endswith("the fix worked, and the ticket was closed.")
    assert worse.endswith("the fix made it worse, and a person has to look.")


def test_a_ticket_without_a_verdict_is_no_turn():
    assert turns([ticket("SIG-AAAAAAAA", "open")], {}) == []
