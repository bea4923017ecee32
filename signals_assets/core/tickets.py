"""Tickets: what they say, the brakes on filing them, and what the ledger's entries say about each.

Put here: ticket text, `may_file`, the fold of ledger entries, the state of every ticket as of a day, drafts of fixes.
Not here: when a type is over its threshold (see `core/levels.py`), root causes (see `core/diagnosis.py`), the
transaction that files (see `resources/filing.py`), whether a fix worked (see `core/outcomes.py`).

Rows come in as dictionaries as stored, ledger entries as anything with their five fields. Everything that leaves as
text is made of templates, taxonomy names that a person accepted, labels on the allow list, bands and rounded rates.
"""

import hashlib
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal, Protocol, cast

from signals_assets.core.barrier.publication import markdown, one_line
from signals_assets.core.barrier.thresholds import TICKET, band
from signals_assets.core.causes import WINDOW_DAYS, CauseFacts, DataRow
from signals_assets.core.diagnosis import Diagnosis
from signals_assets.core.ticket_links import identifier_of, pull_request_number
from signals_assets.core.trend import trend
from signals_assets.core.wording import Wording, percent
from signals_assets.settings import TicketSettings
from signals_assets.tables import TicketRow, TicketState, Verdict

RECOVERY_SHARE: Final = 0.6
"""An episode recovers under this share of the level it opened with."""


class LedgerEntry(Protocol):
    """What is read of a ledger entry."""

    @property
    def seq(self) -> int:
        """Sequence number."""

    @property
    def kind(self) -> str:
        """Kind of entry."""

    @property
    def key(self) -> str:
        """Key, unique within the kind."""

    @property
    def newest_day(self) -> date | None:
        """Newest day that was materialized when it was written."""

    @property
    def payload(self) -> Mapping[str, Any]:
        """What it says."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket ready to be filed: what identifies it, and its text from templates."""

    key: str
    type: str
    cause_id: str
    component: str
    generation: int
    episode: str
    filed_on: date
    title: str
    body: str
    severe_share: float | None = None
    """Published share of the sessions with the friction that met it at high severity; 0 where too few did, None where
    nothing is published."""

    @property
    def labels(self) -> tuple[str, ...]:
        """`name:value` labels for a tracker, in a fixed order (the file tracker's front matter)."""
        return (
            f"type:{self.type}",
            f"component:{self.component}",
            f"generation:{self.generation}",
            f"episode:{self.episode}",
            f"filed_on:{self.filed_on.isoformat()}",
        )


def ticket_key(cause: str, generation: int) -> str:
    """The ticket's key, e.g. SIG-1A2B3C4D: the same cause and generation always have the same."""
    digest = hashlib.sha256(f"{cause}\x1f{generation}".encode()).hexdigest()
    return f"SIG-{digest[:8].upper()}"


KEY_PATTERN: Final = re.compile(r"SIG-[0-9A-F]{8}")
"""How a ticket is named in branches, titles and bodies (case is ignored there)."""


def ticket_text(
    *,
    key: str,
    generation: int,
    day: date,
    cause: CauseFacts,
    level: DataRow,
    diagnosis: Diagnosis,
    wording: Wording,
    link: str,
    related: str = "",
    rates: Iterable[DataRow] = (),
) -> Ticket:
    """Title and body in Markdown, such that a coding agent can act on it and no word comes from a session.

    level: the `friction_levels` row that crossed.  link: address of the asset.  related: reference of an open
    ticket or change that is perhaps about the same; it is named where it is an identifier, and not where it is words
    of somebody (a file).  rates: `friction_rates` of the last weeks, for severity and trend.
    """
    rates = list(rates)
    severe_share = _severe_share(rates, level, day)
    name, component = wording.name(cause.type), diagnosis.component
    place = "" if component == "unknown" else f" in {component.replace('_', ' ')}"
    title = f"{name}{place}"
    definition = wording.definition(cause.type)
    sections = [
        ("What users experience", markdown(definition)),
        ("How many, since when", "\n".join(_extent(cause, level, diagnosis, wording, severe_share))),
        ("Trend", _trend(rates, level, diagnosis, day)),
        ("Suspected", "\n".join(_suspects(diagnosis))),
        (
            "Diagnosis",
            "\n".join(
                [
                    f"Lever: **{diagnosis.lever}**. {diagnosis.statement} Read from the tables of {day.isoformat()}.\n",
                    *_bullets(diagnosis.evidence),
                ]
            ),
        ),
        ("Smallest change suggested", diagnosis.change),
        ("Done when", _acceptance(name, level)),
        ("More", _more(key, cause, level, link, related)),
    ]
    body = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in sections if text)
    return Ticket(
        key=key,
        type=one_line(cause.type),
        cause_id=cause.cause_id,
        component=component,
        generation=generation,
        episode=level["episode"],
        filed_on=day,
        title=markdown(title),
        severe_share=severe_share,
        body=f"{markdown(level['reason'])}\n\n{body}\n",
    )


def _extent(
    cause: CauseFacts, level: DataRow, diagnosis: Diagnosis, wording: Wording, severe_share: float | None
) -> list[str]:
    """Sizes are the cause's, the rate is the type's whatever the component, the share says how the two fit together."""
    users, sessions = band(cause.users, wording.audience), band(cause.sessions, wording.audience)
    if wording.audience == "public":
        users, sessions = f"At least {TICKET['public'].users}", f"{TICKET['public'].sessions}"
    where = "without a known component" if cause.component == "unknown" else "in this component"
    week = f"the {WINDOW_DAYS} days to {level['day'].isoformat()}"
    lines = [f"{users} users and {sessions} sessions {where} in {week}."]
    if level["level"] is not None:
        low = level["lower_bound"] or 0.0
        lines.append(
            f"{percent(level['level'])} of {_sessions_of(level)} have this friction{_felt(level)}, whatever the "
            f"component (at least {percent(low)}; its ceiling is {percent(level['ceiling'])})."
        )
    lines += diagnosis.share
    since = level["episode"].rpartition("@")[2]
    if since:
        lines.append(f"Over its threshold since {markdown(since)}.")
    if severe_share:
        lines.append(f"Severity: high in {percent(severe_share)} of the sessions with this friction.")
    return _bullets(lines)


def sliced(level: DataRow) -> str:
    """What is put behind a type's name where a level is a slice's: " (intent: new feature)"."""
    kind = level.get("slice_kind") or "all"
    return "" if kind == "all" else f" ({kind.replace('_', ' ')}: {level['slice']})"


def _sessions_of(level: DataRow) -> str:
    return "all sessions" if part_of(level)[0] == "all" else f"the sessions of the slice{sliced(level)}"


def _felt(level: DataRow) -> str:
    """What is put behind "this friction" where a level is of a severity alone."""
    if level.get("slice_kind") != "severity":
        return ""
    return " at high severity" if level["slice"] == "high" else f" at {level['slice']} severity or worse"


def part_of(level: DataRow) -> tuple[str, str]:
    """Kind and value of the sessions that a level is of: those of a severity are all."""
    kind = level.get("slice_kind") or "all"
    return ("all", "all") if kind in ("all", "severity") else (kind, level["slice"])


def _severe_share(rates: Iterable[DataRow], level: DataRow, day: date) -> float | None:
    """The newest week's published share of sessions with the friction whose worst event was high: see `Ticket`."""
    of_level = ("friction", level["type"], *part_of(level), WINDOW_DAYS)
    found = [
        (row["source"] == "detector", row["severe_share"] or 0.0)
        for row in rates
        if row["day"] == day
        and (row["kind"], row["type"], row["slice_kind"], row["slice"], row["window_days"]) == of_level
    ]
    return max(found)[1] if found else None


def _trend(rates: Iterable[DataRow], level: DataRow, diagnosis: Diagnosis, day: date) -> str:
    """The rate of the type, of the same sessions as the level, by day; nothing where too little of it is shown."""
    line, words = trend(
        rates,
        level["type"],
        until=day,
        slice_kind=part_of(level)[0],
        value=part_of(level)[1],
        release=(diagnosis.release, diagnosis.released_on) if diagnosis.release and diagnosis.released_on else None,
    )
    return "\n".join(["```text", line, "```", "", *_bullets(words)]) if line else ""


def _suspects(diagnosis: Diagnosis) -> list[str]:
    lines = []
    if diagnosis.release and diagnosis.released_on:
        lines.append(f"Release {markdown(diagnosis.release)} of {diagnosis.released_on.isoformat()}.")
    if diagnosis.error:
        lines.append(f"Backend error {markdown(diagnosis.error)}.")
    nothing = "No release and no backend error stands out"
    return _bullets(
        lines or [f"{nothing}{'' if diagnosis.component == 'unknown' else ' for this component'}."], escape=False
    )


def _bullets(lines: Iterable[str], *, escape: bool = True) -> list[str]:
    return [f"- {markdown(line) if escape else line}" for line in lines]


def _acceptance(name: str, level: DataRow) -> str:
    target = level["closing_level"] if level["closing_level"] is not None else level["ceiling"] * RECOVERY_SHARE
    sessions = math.ceil(10 / max(target, 0.01) / 50) * 50
    return (
        f"The share of {markdown(_sessions_of(level))} with this friction{_felt(level)} ({markdown(name)}, whatever "
        f"the component) is under {percent(target)} on the next {sessions} sessions of the fixed version. Name this "
        "ticket's key in branch or title."
    )


def _more(key: str, cause: CauseFacts, level: DataRow, link: str, related: str) -> str:
    return (
        f"{_related(related)}Asset: <{_address(link)}>. Every decision about it: `signals tickets --why {key}`. "
        f"The events: `{_events_query(cause, level)}`."
    )


_IDENTIFIER: Final = re.compile(r"[A-Z][A-Z0-9]{0,9}-[1-9][0-9]{0,6}|#?[1-9][0-9]{0,8}")


def _related(reference: str) -> str:
    if not reference:
        return ""
    named = identifier_of(reference) or reference
    what = named if _IDENTIFIER.fullmatch(named) else "an open ticket or change in the same place"
    return f"Related, perhaps the same: {what}. "


def _events_query(cause: CauseFacts, level: DataRow) -> str:
    """A command that lists the cause's events, those that were placed or labelled later included.

    The cause is named by its id: it says no component that may not be said.
    """
    days = f"'{level['day'] - timedelta(WINDOW_DAYS - 1)}' and '{level['day']}'"
    newest = "row_number() over (partition by event_id order by day desc) = 1"
    return (
        'signals sql "select e.day, e.session_id, e.steps, e.severity from friction_events e join (select event_id, '
        f"cause_id from causes where about_day between {days} qualify {newest}) using (event_id) where "
        f"cause_id = '{cause.cause_id}'\""
    )


def _address(link: str) -> str:
    """An address without anything that could end the link or start markup."""
    return re.sub(r"[^A-Za-z0-9:/._~%?=&#-]", "", link)


def recurrence_text(level: DataRow, wording: Wording) -> str:
    """The comment for an open ticket whose friction crossed again."""
    return (
        f"Crossed again on {level['day'].isoformat()}: {markdown(level['reason'])} "
        f"Concerned in the last {WINDOW_DAYS} days: {level['users']} users, {level['sessions']} sessions "
        f"({markdown(wording.name(level['type']) + sliced(level))})."
    )


# --- what the ledger says about tickets ---------------------------------------------------------------------------

LIFTED_KIND: Final = "lifted"
"""Ledger kind of a person's word that a suppressed cause may have tickets again."""

TICKET_KINDS: Final = ("filing", "filed", "ticket_state", "verdict", "kill_switch", "approval", LIFTED_KIND)
"""Ledger kinds that say what became of tickets and whether more may be filed."""

PULL_REQUEST_KIND: Final = "ticket_pull_request"
"""Ledger kind of the pull requests that the tracker itself ties to a ticket."""

FAILED: Final[frozenset[str]] = frozenset({"regressed", "unchanged"})
"""Verdicts that count as a failed fix."""


@dataclass(frozen=True, slots=True)
class LedgerTicket:
    """A ticket as the ledger knows it."""

    key: str
    type: str
    cause_id: str
    component: str
    generation: int
    episode: str
    filed_on: date
    reference: str | None = None
    state: Literal["open", "closed", "reopened", "suppressed"] = "open"
    state_on: date | None = None
    verdicts: tuple[tuple[str, Verdict], ...] = field(default=())
    """(version, verdict) by sequence number."""
    forgiven: int = 0
    """Failed fixes before a person last lifted the suppression: they do not suppress again."""

    @property
    def failed_fixes(self) -> int:
        """Fixes that did not work."""
        return sum(verdict in FAILED for _, verdict in self.verdicts)


def ledger_tickets(entries: Iterable[LedgerEntry]) -> dict[str, LedgerTicket]:
    """Tickets by key, folded from the entries in order of their sequence numbers."""
    tickets: dict[str, LedgerTicket] = {}
    for entry in sorted(entries, key=lambda entry: entry.seq):
        payload = entry.payload
        key = entry.key if entry.kind in ("filing", "filed") else payload.get("ticket_key", "")
        if entry.kind == "filing":
            tickets[key] = LedgerTicket(
                key=key,
                filed_on=date.fromisoformat(payload["filed_on"]),
                **{name: payload[name] for name in ("type", "cause_id", "component", "generation", "episode")},
            )
        elif key not in tickets:
            continue
        elif entry.kind == LIFTED_KIND:
            tickets[key] = replace(
                tickets[key],
                state="closed" if tickets[key].state == "suppressed" else tickets[key].state,
                state_on=date.fromisoformat(payload["day"]),
                forgiven=tickets[key].failed_fixes,
            )
        elif entry.kind == "filed":
            tickets[key] = replace(tickets[key], reference=payload["reference"])
        elif entry.kind == "ticket_state":
            state_on = date.fromisoformat(payload["day"])
            tickets[key] = replace(tickets[key], state=payload["state"], state_on=state_on)
        elif entry.kind == "verdict":
            verdicts = (*tickets[key].verdicts, (payload["version"], payload["verdict"]))
            tickets[key] = replace(tickets[key], verdicts=verdicts)
    return tickets


def kill_switch_is_on(entries: Iterable[LedgerEntry]) -> bool:
    """Whether the newest `kill_switch` entry stops filing; one that does not clearly say off counts as on."""
    switches = [entry for entry in entries if entry.kind == "kill_switch"]
    if not switches:
        return False
    return max(switches, key=lambda entry: entry.seq).payload.get("on") is not False


@dataclass(frozen=True, slots=True)
class Decision:
    """What may be done for a cause now: file, reopen, comment (an open ticket exists) or refuse, and why."""

    action: Literal["file", "reopen", "comment", "refuse"]
    reason: str
    ticket_key: str = ""
    generation: int = 0

    @property
    def allowed(self) -> bool:
        """Whether a new ticket may be filed."""
        return self.action == "file"


def may_file(
    entries: Sequence[LedgerEntry],
    *,
    type: str,  # noqa: A002
    cause_id: str,
    component: str,
    day: date,
    settings: TicketSettings,
    cooldown_days: int = 7,
    approval_required: bool = False,
) -> Decision:
    """The brakes, in the order in which they hold; peeking consumes nothing.

    entries: kinds TICKET_KINDS, read inside the transaction that will file.  component: as labelled for the
    published zone.  day: the day the filing counts on.  approval_required: the first ticket of a type needs an entry
    of kind `approval` whose key is the type or the cause.
    """
    if settings.kill_switch or kill_switch_is_on(entries):
        return Decision("refuse", "the kill switch is on")
    tickets = ledger_tickets(entries)
    of_cause = sorted((t for t in tickets.values() if t.cause_id == cause_id), key=lambda t: t.generation)
    if any(
        t.state == "suppressed" or t.failed_fixes - t.forgiven >= settings.failed_fixes_until_suppressed
        for t in of_cause
    ):
        return Decision("refuse", "fixes failed too often: a person decides", of_cause[-1].key)
    if of_cause:
        known = _known_ticket(of_cause[-1], day, settings, cooldown_days)
        if known:
            return known
    approved = {entry.key for entry in entries if entry.kind == "approval"}
    if approval_required and not approved & {type, cause_id}:
        return Decision("refuse", "the first ticket of this type needs approval")
    reason = _over_budget(tickets.values(), component, day, settings)
    if reason:
        return Decision("refuse", reason)
    generation = of_cause[-1].generation + 1 if of_cause else 1
    return Decision("file", "within all limits", ticket_key(cause_id, generation), generation)


def _known_ticket(last: LedgerTicket, day: date, settings: TicketSettings, cooldown_days: int) -> Decision | None:
    """What the cause's newest ticket says about another: None when a new generation may be filed."""
    if last.state in ("open", "reopened"):
        return Decision("comment", "an open ticket of this cause exists", last.key, last.generation)
    if day - (last.state_on or last.filed_on) <= timedelta(settings.reopen_within_days):
        return Decision("reopen", "its ticket was closed not long ago", last.key, last.generation)
    if day - last.filed_on <= timedelta(cooldown_days):
        return Decision("refuse", "its last ticket is too recent", last.key, last.generation)
    return None


def _over_budget(tickets: Collection[LedgerTicket], component: str, day: date, settings: TicketSettings) -> str:
    today = [ticket for ticket in tickets if ticket.filed_on == day]
    if len(today) >= settings.per_day:
        return "the day's tickets are used up"
    if sum(ticket.component == component for ticket in today) >= settings.per_component_and_day:
        return "the component's tickets of the day are used up"
    if sum(ticket.state in ("open", "reopened") for ticket in tickets) >= settings.open_limit:
        return "too many tickets are open"
    return ""


@dataclass(frozen=True, slots=True)
class TicketAction:
    """Something to do with a filed ticket, once: `action_id` is unique."""

    ticket_key: str
    kind: Literal["verdict", "comment", "propose_revert", "close", "reopen", "suppress"]
    action_id: str
    day: date
    text: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)


# --- tickets as of a day ------------------------------------------------------------------------------------------


def ticket_states(
    day: date,
    entries: Sequence[LedgerEntry],
    pull_requests: Iterable[DataRow],
    releases: Iterable[DataRow],
    *,
    wording: Wording,
    repository: str = "",
) -> list[TicketRow]:
    """Every ticket as of the day: open -> in_progress -> merged -> released -> verified | failed -> reopened ...

    entries: those the day may read (kinds TICKET_KINDS and PULL_REQUEST_KIND).  pull_requests, releases: rows of all
    days up to this one; the newest state of a pull request counts, what the tracker ties to a ticket before what names
    it in branch, title or body.  repository: owner/name of the agent's, where it is known. A release belongs to a pull
    request when either names the other; nothing is guessed.
    """
    in_force = _in_force(day, pull_requests)
    by_tracker = _pull_requests_by_tracker(entries, in_force, repository)
    by_ticket = _pull_requests_by_ticket(in_force)
    shipped = _Releases(day, releases)
    seq = max((entry.seq for entry in entries), default=0)
    rows = []
    for ticket in ledger_tickets(entries).values():
        pull_request = by_tracker.get(ticket.key) or by_ticket.get(ticket.key)
        pull_request = pull_request or by_ticket.get(identifier_of(ticket.reference) or "")
        release = shipped.of(pull_request)
        version = wording.label("version", release["version"]) if release else None
        newest = ticket.verdicts[-1][1] if ticket.verdicts else None
        rows.append(
            TicketRow(
                day=day,
                ticket_key=ticket.key,
                cause_id=ticket.cause_id,
                type=ticket.type,
                component=ticket.component,
                generation=ticket.generation,
                state=_ticket_state(ticket, pull_request, version),
                filed_on=ticket.filed_on,
                reference=ticket.reference or "",
                pull_request_id=pull_request["pull_request_id"] if pull_request else None,
                merged_on=_day_of(pull_request["merged_at"]) if pull_request else None,
                released_in=version,
                released_on=_day_of(release["released_at"]) if release else None,
                verdict=dict(ticket.verdicts).get(version) if version else newest,
                failed_fixes=ticket.failed_fixes,
                ledger_seq=seq,
            )
        )
    return sorted(rows, key=lambda row: (row.filed_on, row.ticket_key))


def _ticket_state(ticket: LedgerTicket, pull_request: DataRow | None, version: str | None) -> TicketState:
    verdict = ticket.verdicts[-1] if ticket.verdicts else None
    if ticket.state == "suppressed":
        return "suppressed"
    if ticket.state == "closed":
        return "verified" if verdict and verdict[1] == "improved" else "closed"
    if verdict and (pull_request is None or version == verdict[0]):
        if ticket.state == "reopened":
            return "reopened"
        return "verified" if verdict[1] == "improved" else "failed"
    if pull_request is not None:
        if version:
            return "released"
        return "merged" if pull_request["state"] == "merged" else "in_progress"
    return "reopened" if ticket.state == "reopened" else "open"


def newest_pull_requests(day: date, rows: Iterable[DataRow]) -> dict[str, DataRow]:
    """Each pull request as known by the day, by its id: the newest of its rows."""
    known = [row for row in rows if row["known_on"] <= day]
    ordered = sorted(known, key=lambda row: (row["known_on"], row["day"], row["pull_request_id"]))
    return {row["pull_request_id"]: row for row in ordered}


def _in_force(day: date, rows: Iterable[DataRow]) -> list[DataRow]:
    """Pull requests that were not closed unmerged, as known by the day, the newest last."""
    newest = newest_pull_requests(day, rows).values()
    ordered = sorted(newest, key=lambda row: (row["opened_at"], row["pull_request_id"]))
    return [row for row in ordered if row["state"] != "closed"]


def _pull_requests_by_ticket(rows: Iterable[DataRow]) -> dict[str, DataRow]:
    """The newest pull request that names each ticket."""
    return {key: row for row in rows for key in keys_named(row)}


def _pull_requests_by_tracker(
    entries: Iterable[LedgerEntry], rows: Iterable[DataRow], repository: str
) -> dict[str, DataRow]:
    """The newest pull request that the tracker ties to each ticket."""
    tied: dict[str, set[str | None]] = {}
    for entry in entries:
        if entry.kind == PULL_REQUEST_KIND:
            number = pull_request_number(entry.payload["url"], repository)
            tied.setdefault(entry.payload["ticket_key"], set()).add(number)
    numbers = [(pull_request_number(row["pull_request_id"]), row) for row in rows]
    return {key: row for key, mine in tied.items() for number, row in numbers if number is not None and number in mine}


def keys_named(pull_request: DataRow) -> list[str]:
    """Ticket keys that a pull request names in its branch, title or body, or that its record lists."""
    text = " ".join(str(pull_request.get(name) or "") for name in ("branch", "title", "body")).upper()
    return sorted({*(pull_request.get("ticket_keys") or ()), *KEY_PATTERN.findall(text)})


class _Releases:
    """Releases known by a day, looked up by version and by pull request."""

    def __init__(self, day: date, rows: Iterable[DataRow]) -> None:
        known = sorted(
            (row for row in rows if row["known_on"] <= day and cast(date, _day_of(row["released_at"])) <= day),
            key=lambda row: (row["released_at"], row["version"]),
            reverse=True,
        )
        versions = [row for row in known if row["kind"] == "version"]
        self._by_version = {row["version"]: row for row in versions}
        self._by_pull_request = {number: row for row in known for number in row["pull_request_ids"] or ()}

    def of(self, pull_request: DataRow | None) -> DataRow | None:
        """The first release that contains the merged pull request, where someone told."""
        if pull_request is None or pull_request["state"] != "merged":
            return None
        told = self._by_version.get(pull_request["released_in"] or "")
        return told or self._by_pull_request.get(pull_request["pull_request_id"])


def _day_of(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


# --- drafts of fixes ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FixDraft:
    """A drafted change as a unified diff, or None and the reason why there is none."""

    diff: str | None
    reason: str


_IN_THE_REPOSITORY: Final[frozenset[str]] = frozenset({"misread intent", "wrong tool", "harness or prompt"})


def fix_draft(diagnosis: Diagnosis, files: Sequence[str] | None) -> FixDraft:
    """What can be drafted without a language model: nothing certain, so the reason says who writes it.

    files: paths of the agent's repository; None where no repository is configured.
    """
    if files is None:
        return FixDraft(None, "no code repository is configured")
    if diagnosis.lever == "cannot say":
        return FixDraft(None, "the diagnosis names no lever")
    if diagnosis.lever not in _IN_THE_REPOSITORY:
        return FixDraft(None, f"the lever ({diagnosis.lever}) is not a prompt, a tool description or the harness")
    if not files:
        return FixDraft(None, "the code repository is empty")
    return FixDraft(None, "no change is certain; a person or a coding agent writes it")
