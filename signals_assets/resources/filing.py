"""Filing: the one choke point through which tickets are filed and acted on, exactly once, whatever breaks when.

Put here: the two-phase protocol over ledger and tracker, its brakes, reconciliation, the audit's hash chain.
Not here: whether and what to file (see `core/tickets.py`, `core/outcomes.py`), the doors themselves.

    (a) one transaction reads the brakes, decides, and writes `filing` (unique key: the ticket's) with the whole text:
        the text is the reservation of the budget too
    (b) the tracker is asked to create it, which looks for it first (safe to repeat)
    (c) `filed` notes the reference

A crash after (a) leaves a filing without `filed`: the next call or `reconcile` does (b) and (c) from the stored text.

Brakes, each read from the ledger right before something is done; a ledger that cannot be read does nothing:
the kill switch (settings, `signals tickets stop`, a ticket of ours found with another's text or never filed); dry run
and approval, which doors that leave the machine have unless the settings say otherwise; budgets; a circuit breaker,
which opens after failures of the tracker in a row and lets one attempt through when it has rested.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

from signals_assets.core.tickets import (
    LIFTED_KIND,
    PULL_REQUEST_KIND,
    TICKET_KINDS,
    Decision,
    LedgerTicket,
    Ticket,
    TicketAction,
    kill_switch_is_on,
    ledger_tickets,
    may_file,
    ticket_key,
)
from signals_assets.resources.ledger import Entry, Ledger, Writer
from signals_assets.resources.tracker import TicketText, Tracker, TrackerError
from signals_assets.settings import TicketSettings

AUDIT_KIND: Final = "audit"
ACTION_KIND: Final = "ticket_action"
DRAFT_KIND: Final = "ticket_draft"
"""The text of a ticket that a dry run or a missing approval held back."""
FAILURE_KIND: Final = "filing_failure"
PROBE_KIND: Final = "filing_probe"
FOREIGN_KIND: Final = "foreign_ticket"
"""A ticket at the tracker that carries our mark and was not filed through the ledger."""
BREAKER_KINDS: Final = ("filed", ACTION_KIND, FAILURE_KIND, PROBE_KIND)
"""What the circuit breaker reads: successes, failures, attempts of a breaker that has rested."""

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Filed:
    """What became of a request to file: the ticket's key and reference (empty where refused), and why."""

    ticket_key: str
    reference: str
    created: bool
    reason: str


def utc_now() -> datetime:
    """The clock that the circuit breaker rests by."""
    return datetime.now(UTC)


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
    stops: Sequence[str] = (),
    clock: Clock = utc_now,
) -> Filed:
    """File one ticket for a cause, or reopen its ticket, or comment on it, or refuse; safe to repeat.

    component: as labelled for the published zone.  day: the day the filing counts on (budgets, `filed_on`).
    render: makes the ticket for the decision (pure; runs inside the transaction).  recurrence: the comment for a
    ticket that exists already.  stops: why the data's breakers let nothing be filed (see
    `core/breakers.py`).  Whatever the tracker raises comes through; the filing is then completed by the next
    call for the cause, or by `reconcile`.
    """
    with ledger.transaction() as writer:
        entries = writer.entries(TICKET_KINDS)

        def decide(*, approval_required: bool) -> Decision:
            return may_file(
                entries, type=type, cause_id=cause_id, component=component, day=day, settings=settings,
                cooldown_days=cooldown_days, approval_required=approval_required,
            )  # fmt: skip

        decision = decide(approval_required=asks_approval(tracker, settings))
        ticket = render(wanted) if (wanted := decide(approval_required=False)).allowed else None
        held = "" if decision.action == "refuse" else _held(writer, tracker, decision, stops, settings, clock)
        if held:
            decision = Decision("refuse", held, decision.ticket_key)
        if ticket is not None:
            kind, key = ("filing", ticket.key) if decision.allowed else (DRAFT_KIND, f"{ticket.key}:{day.isoformat()}")
            writer.append(kind, key, _reservation(ticket, day))
        subject = f"filing:{episode}:{cause_id}:{day.isoformat()}:{decision.action}:{decision.reason}"
        decided = {"action": decision.action, "reason": decision.reason, "key": decision.ticket_key}
        audit(writer, subject, decided | ({"body_hash": body_hash(ticket.body)} if ticket else {}))
    if decision.action == "refuse":
        return Filed(decision.ticket_key, "", created=False, reason=decision.reason)
    filed = _complete(ledger, tracker, decision.ticket_key, settings, clock)
    if filed.created or decision.allowed or not filed.reference:
        return filed
    _recur(ledger, tracker, decision, episode, day, recurrence, settings, clock)
    return Filed(decision.ticket_key, filed.reference, created=False, reason=decision.reason)


def _held(
    writer: Writer, tracker: Tracker, decision: Decision, stops: Sequence[str], settings: TicketSettings, clock: Clock
) -> str:
    """Why what was decided is not done now, or nothing. What a crash left of a filing is held back like a new one."""
    if is_dry(tracker, settings):
        return "dry run: nothing leaves this machine (tickets.dry_run)"
    creates = decision.allowed or writer.find("filed", decision.ticket_key) is None
    if not creates:
        return ""
    return "; ".join(stops) or _breaker(writer, settings, clock)


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
        "severe_share": ticket.severe_share,
        "body_hash": body_hash(ticket.body),
    }


def body_hash(body: str) -> str:
    """Hash by which a filed body is recognised (SHA-256, hex)."""
    return hashlib.sha256(body.encode()).hexdigest()


def _complete(ledger: Ledger, tracker: Tracker, key: str, settings: TicketSettings, clock: Clock) -> Filed:
    """Steps (b) and (c) of a filing, from what (a) stored. Its brakes were read, but for the kill switch."""
    done = ledger.find("filed", key)
    if done:
        return Filed(key, done.payload["reference"], created=False, reason="filed before")
    filing = ledger.find("filing", key)
    if filing is None:
        raise LookupError(f"ticket {key}: the ledger holds no filing of it; file it through file_ticket")
    if stopped_by_hand(ledger, settings):
        return Filed(key, "", created=False, reason="the kill switch is on")
    stored = filing.payload
    with _noting_failure(ledger, key, clock):
        at_tracker = tracker.create(_text(key, stored))
    same = at_tracker.body_hash == stored["body_hash"]
    reason = "filed" if same else "found at the tracker with another body; left as it is"
    with ledger.transaction() as writer:
        _, new = writer.append("filed", key, {"reference": at_tracker.reference, "body_is_ours": same})
        noted = {"body_hash": stored["body_hash"], "body_is_ours": same, "reference": at_tracker.reference}
        audit(writer, f"filed:{key}", {"key": key, "by": tracker.name, **noted})
        if new and not same:  # somebody else writes under our keys: a person looks before anything else is filed
            _switch(writer, on=True, actor="signals", because=key)
    _hand_over(ledger, tracker, key, stored, settings)
    return Filed(key, at_tracker.reference, created=new, reason=reason)


def _text(key: str, stored: Mapping[str, Any]) -> TicketText:
    cause, generation = stored["cause_id"], stored["generation"]
    return TicketText(
        key=key,
        title=stored["title"],
        body=stored["body"],
        labels=tuple(stored["labels"]),
        fingerprint=cause,
        previous=ticket_key(cause, generation - 1) if generation > 1 else None,
    )


def _hand_over(ledger: Ledger, tracker: Tracker, key: str, stored: Mapping[str, Any], settings: TicketSettings) -> None:
    """Delegate a ticket to the agent user, once: components on the list, types or causes that a person approved.

    Severe ones are a person's, and those whose filing does not say how severe they are.
    A failure comes through and is no failure to file: the circuit breaker does not count it.
    """
    action_id = f"{key}:delegate"
    approved = {entry.key for entry in ledger.entries(["approval"])} & {stored["type"], stored["cause_id"]}
    if not settings.agent or stored["component"] not in settings.agent_components or not approved:
        return
    severe_share = stored.get("severe_share")
    if severe_share is None or severe_share > settings.agent_severe_share:
        return
    if ledger.find(ACTION_KIND, action_id) is None:
        tracker.delegate(key, settings.agent)
        with ledger.transaction() as writer:
            writer.append(ACTION_KIND, action_id, {"ticket_key": key, "kind": "delegate"})
            audit(writer, f"action:{action_id}", {"key": key, "kind": "delegate"})


def _recur(
    ledger: Ledger,
    tracker: Tracker,
    decision: Decision,
    episode: str,
    day: date,
    text: str,
    settings: TicketSettings,
    clock: Clock,
) -> None:
    """The friction of a ticket that exists came back: at most one comment per ticket and day."""
    key = decision.ticket_key
    filing = ledger.find("filing", key)
    if filing is not None and filing.payload["episode"] == episode:
        return  # the crossing that filed it, seen again
    comment = TicketAction(key, "comment", f"{key}:recurrence:{day.isoformat()}", day, text)
    act(ledger, tracker, comment, settings=settings, clock=clock)
    if decision.action == "reopen":
        reopen = TicketAction(key, "reopen", f"{key}:reopen:{episode}", day)
        act(ledger, tracker, reopen, settings=settings, clock=clock)


_STATE_AFTER: Final[dict[str, Literal["closed", "reopened", "suppressed"]]] = {
    "close": "closed",
    "reopen": "reopened",
    "suppress": "suppressed",
}


def act(
    ledger: Ledger, tracker: Tracker, action: TicketAction, *, settings: TicketSettings, clock: Clock = utc_now
) -> bool:
    """Do one action on a filed ticket, once; returns whether it was done now.

    A verdict is only written to the ledger. All others reach the tracker first (each is safe to repeat there), then
    the ledger; kill switch, dry run and circuit breaker stop them, and they are done when they are asked for again.
    """
    if action.kind == "verdict":
        return _note_verdict(ledger, action)
    if ledger.find(ACTION_KIND, action.action_id) is not None:
        return False
    if stopped_by_hand(ledger, settings) or is_dry(tracker, settings):
        return False
    with ledger.transaction() as writer:
        if _breaker(writer, settings, clock):
            return False
    with _noting_failure(ledger, action.ticket_key, clock):
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


def reconcile(ledger: Ledger, tracker: Tracker, *, settings: TicketSettings, clock: Clock = utc_now) -> list[Filed]:
    """Complete every filing that a crash left open, and note what people did at the tracker.

    That is: tickets they closed or reopened, and the pull requests that the tracker ties to open ones and to those
    just closed.

    Safe to repeat and to run beside others; what a brake holds back stays open. A filing that the tracker refuses
    does not keep the others: it is in the ledger as a failure and tried again by the next call. Returns what was
    completed.
    """
    tickets = ledger_tickets(ledger.entries(TICKET_KINDS))
    completed = [
        filed for key, ticket in tickets.items() if (filed := _resumed(ledger, tracker, ticket, settings, clock))
    ]
    known = [ticket for ticket in tickets.values() if ticket.reference is not None and ticket.state != "suppressed"]
    open_now = tracker.open_tickets() if known else []
    _stop_for_foreign(ledger, {ticket.key for ticket in open_now if ticket.ours and ticket.key} - set(tickets))
    seen_open = {ticket.key for ticket in open_now}
    for ticket in known:
        if ticket.key in seen_open and ticket.state == "closed":
            _note_change(ledger, ticket.key, "reopened")
        elif ticket.key not in seen_open and ticket.state != "closed":
            found = tracker.find(ticket.key)  # a list may have missed it
            if found is not None and found.state == "closed":
                _note_change(ledger, ticket.key, "closed")
    # One that was closed just now too: trackers close a ticket when its pull request is merged.
    watched = [ticket.key for ticket in known if ticket.key in seen_open or ticket.state != "closed"]
    _note_pull_requests(ledger, tracker, watched)
    return completed


def _stop_for_foreign(ledger: Ledger, keys: Collection[str]) -> None:
    """A ticket under our keys that the ledger never filed: somebody else writes there, and a person looks first.

    Each stops filing once; after `signals tickets resume` it is known.
    """
    for key in sorted(keys):
        with ledger.transaction() as writer:
            filed_since = key in ledger_tickets(writer.entries(TICKET_KINDS))
            if not filed_since and writer.append(FOREIGN_KIND, key, {"ticket_key": key})[1]:
                _switch(writer, on=True, actor="signals", because=key)


def _note_pull_requests(ledger: Ledger, tracker: Tracker, keys: Sequence[str]) -> None:
    """Days read the ledger, not the tracker: what it ties to a ticket is an entry, once."""
    noted = {entry.key for entry in ledger.entries([PULL_REQUEST_KIND])}
    for key in keys:
        try:
            found = tracker.pull_requests(key)
        except TrackerError:
            continue  # nothing is lost: the next call asks again
        for one in found:
            if f"{key}:{one.url}" not in noted:
                ledger.append(PULL_REQUEST_KIND, f"{key}:{one.url}", {"ticket_key": key, "url": one.url})


def _resumed(
    ledger: Ledger, tracker: Tracker, ticket: LedgerTicket, settings: TicketSettings, clock: Clock
) -> Filed | None:
    """A filing or hand-over that a crash left open is completed, where no brake holds it."""
    if is_dry(tracker, settings) or stopped_by_hand(ledger, settings):
        return None
    filing = ledger.find("filing", ticket.key)
    assert filing is not None
    try:
        if ticket.reference is not None:
            if ticket.state != "closed":
                _hand_over(ledger, tracker, ticket.key, filing.payload, settings)
            return None
        with ledger.transaction() as writer:
            if _breaker(writer, settings, clock):
                return None
        filed = _complete(ledger, tracker, ticket.key, settings, clock)
    except TrackerError:
        return None  # noted by _noting_failure
    return filed if filed.reference else None


def _note_change(ledger: Ledger, key: str, state: str) -> None:
    day = ledger.newest_day()
    with ledger.transaction() as writer:
        ticket = ledger_tickets(writer.entries(TICKET_KINDS))[key]
        if (state == "closed") == (ticket.state == "closed"):
            return  # somebody noted it first
        _note_state(writer, key, state, day or ticket.filed_on, "tracker")


# --- the brakes ------------------------------------------------------------------------------------------------


def is_dry(tracker: Tracker, settings: TicketSettings) -> bool:
    """Whether nothing may be written to this tracker."""
    return tracker.leaves_machine if settings.dry_run is None else settings.dry_run


def asks_approval(tracker: Tracker, settings: TicketSettings) -> bool:
    """Whether a type's first ticket waits for a person."""
    return tracker.leaves_machine if settings.approval is None else settings.approval


def stopped_by_hand(ledger: Ledger, settings: TicketSettings) -> bool:
    """Whether the kill switch is on, by the settings (a variable or file) or the ledger; unreadable: it raises."""
    return settings.kill_switch or kill_switch_is_on(ledger.entries(["kill_switch"]))


def breaker_state(
    entries: Sequence[Entry], settings: TicketSettings, now: datetime
) -> Literal["closed", "open", "half-open"]:
    """The circuit breaker: open after failures in a row, half-open when it has rested since the last attempt.

    entries: kinds BREAKER_KINDS by sequence number.
    """
    success = max((entry.seq for entry in entries if entry.kind in ("filed", ACTION_KIND)), default=0)
    since = [entry for entry in entries if entry.seq > success]
    if sum(entry.kind == FAILURE_KIND for entry in since) < settings.failures_until_stopped:
        return "closed"
    last = max(datetime.fromisoformat(entry.payload["at"]) for entry in since)
    return "open" if now - last < timedelta(minutes=settings.stopped_minutes) else "half-open"


def _breaker(writer: Writer, settings: TicketSettings, clock: Clock) -> str:
    """Why nothing may be tried now, or nothing. A half-open breaker lets one through, who is noted as the one."""
    now = clock()
    state = breaker_state(writer.entries(BREAKER_KINDS), settings, now)
    if state == "half-open":
        _numbered(writer, PROBE_KIND, {"at": now.isoformat()})
    return "the circuit breaker is open: the tracker failed too many times in a row" if state == "open" else ""


@contextmanager
def _noting_failure(ledger: Ledger, key: str, clock: Clock) -> Iterator[None]:
    """What the tracker raises comes through, counted for the circuit breaker by its class alone."""
    try:
        yield
    except Exception as error:
        with ledger.transaction() as writer:
            noted = {"ticket_key": key, "at": clock().isoformat(), "error": type(error).__name__}
            _numbered(writer, FAILURE_KIND, noted)
        raise


def approve(ledger: Ledger, subject: str, *, actor: str) -> bool:
    """Let the first ticket of a friction type or cause be filed; returns whether that is new."""
    with ledger.transaction() as writer:
        _, new = writer.append("approval", subject, {"actor": actor})
        audit(writer, f"approval:{subject}", {"subject": subject, "actor": actor})
    return new


def lift(ledger: Ledger, key: str, *, actor: str) -> None:
    """Let a suppressed cause have tickets again: failed fixes of its ticket so far no longer suppress it.

    Raises LookupError where the ledger knows no such ticket, or it is not suppressed.
    """
    with ledger.transaction() as writer:
        ticket = ledger_tickets(writer.entries(TICKET_KINDS)).get(key)
        if ticket is None or ticket.state != "suppressed":
            raise LookupError(f"{key} is no suppressed ticket of the ledger; signals tickets lists them")
        day = ledger.newest_day() or ticket.filed_on
        payload = {"ticket_key": key, "cause_id": ticket.cause_id, "day": day.isoformat(), "actor": actor}
        number = _numbered(writer, LIFTED_KIND, payload)
        audit(writer, f"lifted:{number}", payload)


def switch(ledger: Ledger, *, on: bool, actor: str) -> None:
    """Turn the ledger's kill switch on (nothing is filed or acted on) or off."""
    with ledger.transaction() as writer:
        _switch(writer, on=on, actor=actor)


def _switch(writer: Writer, *, on: bool, actor: str, **why: str) -> None:
    number = _numbered(writer, "kill_switch", {"on": on, "actor": actor, **why})
    audit(writer, f"kill_switch:{number}", {"on": on, "actor": actor, **why})


def note_reading(ledger: Ledger, key: str, zones: Sequence[str], *, actor: str) -> None:
    """Audit that somebody reads the evidence of a ticket, before it is shown; each reading is an entry."""
    with ledger.transaction() as writer:
        number = _numbered(writer, "evidence_read", {"ticket_key": key, "zones": list(zones), "actor": actor})
        audit(writer, f"evidence_read:{number}", {"key": key, "zones": list(zones), "actor": actor})


def _numbered(writer: Writer, kind: str, payload: Mapping[str, Any]) -> int:
    """Append an entry whose key is the next number of its kind; returns the number."""
    number = len(writer.entries([kind]))
    while not writer.append(kind, str(number), payload)[1]:
        number += 1
    return number


# --- the audit -------------------------------------------------------------------------------------------------


def audit(writer: Writer, subject: str, payload: Mapping[str, Any]) -> bool:
    """Append one audit entry to the hash chain, once per subject; returns whether it was new.

    The payload must hold no key of a session or user. Each entry carries the hash of the one before.
    """
    if writer.find(AUDIT_KIND, subject) is not None:
        return False
    writer.append(AUDIT_KIND, subject, _linked(subject, payload, _end_of_chain(writer)))
    return True


def audit_levels(ledger: Ledger, audits: Sequence[Mapping[str, Any]]) -> int:
    """Audit the decisions of a day (second result of `core.levels.friction_levels`); returns how many were new.

    The same decision on the same numbers is one entry, however often the day is repeated.
    """
    with ledger.transaction() as writer:
        previous, new = _end_of_chain(writer), 0
        for payload in audits:
            inputs = payload["inputs"]
            subject = f"level:{inputs['day']}:{inputs['type']}:{_digest(payload)[:12]}"
            if writer.find(AUDIT_KIND, subject) is None:
                linked = _linked(subject, payload, previous)
                writer.append(AUDIT_KIND, subject, linked)
                previous = linked["hash"]
                new += 1
    return new


def _end_of_chain(writer: Writer) -> str:
    """Hash of the newest audit entry; empty where there is none."""
    newest = writer.newest(AUDIT_KIND)
    return newest.payload["hash"] if newest else ""


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
