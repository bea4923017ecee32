"""Filing: the one choke point through which tickets are filed and acted on, exactly once, whatever breaks when.

Put here: the two-phase protocol over ledger and tracker, reconciliation, the audit's hash chain.
Not here: whether and what to file (see `core/tickets.py`, `core/outcomes.py`), the doors themselves.

    (a) one transaction reads the brakes, decides, and writes `filing` (unique key: the ticket's) with the whole text:
        the text is the reservation of the budget too
    (b) the tracker is asked for the key, and creates it where it is absent (safe to repeat)
    (c) `filed` notes the reference

A crash after (a) leaves a filing without `filed`: the next call or `reconcile` does (b) and (c) from the stored text.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

from signals_assets.core.tickets import (
    TICKET_KINDS,
    Decision,
    Ticket,
    TicketAction,
    kill_switch_is_on,
    ledger_tickets,
    may_file,
)
from signals_assets.resources.ledger import Entry, Ledger, Writer
from signals_assets.resources.tracker import TicketText, Tracker
from signals_assets.settings import TicketSettings

AUDIT_KIND: Final = "audit"
ACTION_KIND: Final = "ticket_action"


@dataclass(frozen=True, slots=True)
class Filed:
    """What became of a request to file: the ticket's key and reference (empty where refused), and why."""

    ticket_key: str
    reference: str
    created: bool
    reason: str


def file_ticket(
    ledger: Ledger,
    tracker: Tracker,
    *,
    type: str,  # noqa: A002
    cause_id: str,
    component: str,
    episode: str,
    day: date,
    render: Callable[[Decision], Ticket],
    recurrence: str,
    settings: TicketSettings,
    cooldown_days: int = 7,
    approval_required: bool = False,
) -> Filed:
    """File one ticket for a cause, or reopen its ticket, or comment on it, or refuse; safe to repeat.

    component: as labelled for the published zone.  day: the day the filing counts on (budgets, `filed_on`).
    render: makes the ticket for the decision (pure; runs inside the transaction).  recurrence: the comment for a
    ticket that exists already.  Whatever the tracker raises comes through; the filing is then completed by the next
    call for the cause, or by `reconcile`.
    """
    with ledger.transaction() as writer:
        decision = may_file(
            writer.entries(TICKET_KINDS),
            type=type,
            cause_id=cause_id,
            component=component,
            day=day,
            settings=settings,
            cooldown_days=cooldown_days,
            approval_required=approval_required,
        )
        if decision.allowed:
            writer.append("filing", decision.ticket_key, _reservation(render(decision), day))
        subject = f"filing:{episode}:{cause_id}:{day.isoformat()}:{decision.action}:{decision.reason}"
        audit(writer, subject, {"action": decision.action, "reason": decision.reason, "key": decision.ticket_key})
    if decision.action == "refuse":
        return Filed(decision.ticket_key, "", created=False, reason=decision.reason)
    filed = _complete(ledger, tracker, decision.ticket_key)
    if filed.created or decision.allowed:
        return filed
    _recur(ledger, tracker, decision, episode, day, recurrence, settings)
    return Filed(decision.ticket_key, filed.reference, created=False, reason=decision.reason)


def _reservation(ticket: Ticket, day: date) -> dict[str, Any]:
    return {
        "type": ticket.type,
        "cause_id": ticket.cause_id,
        "component": ticket.component,
        "generation": ticket.generation,
        "episode": ticket.episode,
        "filed_on": day.isoformat(),
        "title": ticket.title,
        "body": ticket.body,
        "labels": list(ticket.labels),
        "body_hash": body_hash(ticket.body),
    }


def body_hash(body: str) -> str:
    """Hash by which a filed body is recognised (SHA-256, hex)."""
    return hashlib.sha256(body.encode()).hexdigest()


def _complete(ledger: Ledger, tracker: Tracker, key: str) -> Filed:
    """Steps (b) and (c) of a filing, from what (a) stored."""
    done = ledger.find("filed", key)
    if done:
        return Filed(key, done.payload["reference"], created=False, reason="filed before")
    filing = ledger.find("filing", key)
    if filing is None:
        raise LookupError(f"ticket {key}: the ledger holds no filing of it; file it through file_ticket")
    stored = filing.payload
    at_tracker = tracker.find(key)
    if at_tracker is None:
        text = TicketText(key=key, title=stored["title"], body=stored["body"], labels=tuple(stored["labels"]))
        at_tracker = tracker.create(text)
    same = at_tracker.body_hash == stored["body_hash"]
    reason = "filed" if same else "found at the tracker with another body; left as it is"
    with ledger.transaction() as writer:
        _, new = writer.append("filed", key, {"reference": at_tracker.reference, "body_is_ours": same})
        audit(writer, f"filed:{key}", {"key": key, "body_hash": stored["body_hash"], "body_is_ours": same})
    return Filed(key, at_tracker.reference, created=new, reason=reason)


def _recur(
    ledger: Ledger,
    tracker: Tracker,
    decision: Decision,
    episode: str,
    day: date,
    text: str,
    settings: TicketSettings,
) -> None:
    """The friction of a ticket that exists came back: at most one comment per ticket and day."""
    key = decision.ticket_key
    filing = ledger.find("filing", key)
    if filing is not None and filing.payload["episode"] == episode:
        return  # the crossing that filed it, seen again
    comment = TicketAction(key, "comment", f"{key}:recurrence:{day.isoformat()}", day, text)
    act(ledger, tracker, comment, settings=settings)
    if decision.action == "reopen":
        act(ledger, tracker, TicketAction(key, "reopen", f"{key}:reopen:{episode}", day), settings=settings)


_STATE_AFTER: Final[dict[str, Literal["closed", "reopened", "suppressed"]]] = {
    "close": "closed",
    "reopen": "reopened",
    "suppress": "suppressed",
}


def act(ledger: Ledger, tracker: Tracker, action: TicketAction, *, settings: TicketSettings) -> bool:
    """Do one action on a filed ticket, once; returns whether it was done now.

    A verdict is only written to the ledger. All others reach the tracker first (each is safe to repeat there), then
    the ledger; the kill switch stops them, and they are done when it is off and they are asked for again.
    """
    if action.kind == "verdict":
        return _note_verdict(ledger, action)
    if ledger.find(ACTION_KIND, action.action_id) is not None:
        return False
    if settings.kill_switch or kill_switch_is_on(ledger.entries(["kill_switch"])):
        return False
    if action.kind in ("comment", "propose_revert"):
        tracker.comment(action.ticket_key, action.action_id, action.text)
    elif action.kind in ("close", "reopen"):
        tracker.set_state(action.ticket_key, "closed" if action.kind == "close" else "open")
    with ledger.transaction() as writer:
        _, new = writer.append(ACTION_KIND, action.action_id, {"ticket_key": action.ticket_key, "kind": action.kind})
        if new and action.kind in _STATE_AFTER:
            _note_state(writer, action.ticket_key, _STATE_AFTER[action.kind], action.day, "signals")
        audit(writer, f"action:{action.action_id}", {"key": action.ticket_key, "kind": action.kind})
    return new


def _note_verdict(ledger: Ledger, action: TicketAction) -> bool:
    """The first decisive verdict on a ticket's version stands."""
    with ledger.transaction() as writer:
        key = f"{action.ticket_key}:{action.payload['version']}"
        payload = {"ticket_key": action.ticket_key, "day": action.day.isoformat(), **action.payload}
        _, new = writer.append("verdict", key, payload)
        audit(writer, f"verdict:{key}", payload)
    return new


def _note_state(writer: Writer, key: str, state: str, day: date, actor: str) -> None:
    number = sum(entry.payload.get("ticket_key") == key for entry in writer.entries(["ticket_state"]))
    payload = {"ticket_key": key, "state": state, "day": day.isoformat(), "actor": actor}
    writer.append("ticket_state", f"{key}:{number}", payload)


def reconcile(ledger: Ledger, tracker: Tracker, *, settings: TicketSettings) -> list[Filed]:
    """Complete every filing that a crash left open, and note what people closed or reopened at the tracker.

    Safe to repeat and to run beside others; with the kill switch on nothing is completed. Returns what was.
    """
    entries = ledger.entries(TICKET_KINDS)
    stopped = settings.kill_switch or kill_switch_is_on(entries)
    completed = []
    for key, ticket in ledger_tickets(entries).items():
        if ticket.reference is None and not stopped:
            completed.append(_complete(ledger, tracker, key))
        at_tracker = tracker.find(key)
        if at_tracker is None or ticket.state == "suppressed":
            continue
        if (at_tracker.state == "closed") != (ticket.state == "closed"):
            _note_change(ledger, key, "closed" if at_tracker.state == "closed" else "reopened")
    return completed


def _note_change(ledger: Ledger, key: str, state: str) -> None:
    day = ledger.newest_day()
    with ledger.transaction() as writer:
        ticket = ledger_tickets(writer.entries(TICKET_KINDS))[key]
        if (state == "closed") == (ticket.state == "closed"):
            return  # somebody noted it first
        _note_state(writer, key, state, day or ticket.filed_on, "tracker")


# --- the audit -------------------------------------------------------------------------------------------------


def audit(writer: Writer, subject: str, payload: Mapping[str, Any]) -> bool:
    """Append one audit entry to the hash chain, once per subject; returns whether it was new.

    The payload must hold no key of a session or user. Each entry carries the hash of the one before.
    """
    if writer.find(AUDIT_KIND, subject) is not None:
        return False
    chain = writer.entries([AUDIT_KIND])
    previous = chain[-1].payload["hash"] if chain else ""
    writer.append(AUDIT_KIND, subject, _linked(subject, payload, previous))
    return True


def audit_levels(ledger: Ledger, audits: Sequence[Mapping[str, Any]]) -> int:
    """Audit the decisions of a day (second result of `core.levels.friction_levels`); returns how many were new.

    The same decision on the same numbers is one entry, however often the day is repeated.
    """
    with ledger.transaction() as writer:
        chain = writer.entries([AUDIT_KIND])
        previous = chain[-1].payload["hash"] if chain else ""
        new = 0
        for payload in audits:
            inputs = payload["inputs"]
            subject = f"level:{inputs['day']}:{inputs['type']}:{_digest(payload)[:12]}"
            if writer.find(AUDIT_KIND, subject) is None:
                linked = _linked(subject, payload, previous)
                writer.append(AUDIT_KIND, subject, linked)
                previous = linked["hash"]
                new += 1
    return new


def broken_link(entries: Sequence[Entry]) -> int | None:
    """Sequence number of the first audit entry that does not follow from the one before it; None when all do."""
    previous = ""
    for entry in entries:
        content = {name: value for name, value in entry.payload.items() if name not in ("previous", "hash")}
        if dict(entry.payload) != _linked(entry.key, content, previous):
            return entry.seq
        previous = entry.payload["hash"]
    return None


def _linked(subject: str, payload: Mapping[str, Any], previous: str) -> dict[str, Any]:
    content = json.loads(json.dumps(dict(payload)))
    return {**content, "previous": previous, "hash": _digest([subject, content, previous])}


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
