"""Stage 8: whether a shipped fix worked, what follows from that, and how well the loop works as a whole.

Put here: verdicts on fixes, the actions they ask for, loop metrics.
Not here: how two cohorts are compared (see `core/correlations.py`), tickets' states (see `core/tickets.py`), the doors
that act (see `resources/filing.py`).

A fix is measured on sessions that ran a version with it, never on sessions of a date: adoption is gradual.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import fmean, median
from typing import Any, Final, Literal

from signals_assets.core.barrier.publication import markdown
from signals_assets.core.barrier.thresholds import (
    about,
    band,
    concerned_shown,
    part_shown,
    rounded_e,
    rounded_high,
    rounded_low,
    rounded_rate,
    shown,
)
from signals_assets.core.causes import DataRow
from signals_assets.core.discovery_labels import OTHER
from signals_assets.core.tickets import FAILED, LedgerEntry, TicketAction, ledger_tickets, newest_pull_requests
from signals_assets.core.wording import Wording, percent
from signals_assets.settings import Audience, TicketSettings
from signals_assets.tables import FixOutcome, Kind, LoopMetric, TicketRow, Verdict

E_VALUE: Final = 20.0
"""An e-value of 20 may be looked at every day and is wrong for at most one null fix in twenty (Ville's inequality)."""

EQUIVALENT_SHARE: Final = 0.25
"""`unchanged` means: surely less than a quarter of the rate before, either way."""

WIDEN: Final = 1.5
"""A 95 % interval, 1.5 times as wide, is a 99.7 % one: `unchanged` is looked at daily and has no e-value."""


Cohort = Literal["all users", "users outside the diagnosis"]


@dataclass(frozen=True, slots=True)
class Effect:
    """A comparison of one type between versions with and without a fix, as the caller computed it.

    effect: after minus before, with its 95 % interval by user.  e_value: safe to look at daily.  cohort: whom it was
    measured on (`all users`, or `users outside the diagnosis`).
    """

    rate_before: float
    rate_after: float
    effect: float
    low: float
    high: float
    e_value: float
    users_after: int
    sessions_after: int
    organizations_after: int | None = None
    concerned_before: int | None = None
    concerned_after: int | None = None
    """Distinct users who met the type; None: as many as there are users."""
    others_before: int | None = None
    others_after: int | None = None
    """Distinct users with a session without it; None: as many as there are users."""
    sessions_before: int | None = None
    cohort: Cohort = "all users"
    detectable: float = 0.0
    """Least change that the comparison would show with 80 % power."""


Compare = Callable[[Kind, str, tuple[str, ...], TicketRow], Effect | None]
"""(kind, type, versions with the fix, its ticket) -> Effect on the ticket's cohort; None: too little data."""


def fix_outcomes(
    day: date,
    tickets: Sequence[TicketRow],
    compare: Compare,
    *,
    releases: Iterable[DataRow],
    wording: Wording,
) -> list[FixOutcome]:
    """One row per ticket whose fix was released by the day.

    tickets: the day's `ticket_states`.  releases: rows of all days up to this one.  Controls are all friction types
    that no released fix is aimed at; they and all types of delight are guardrails too. A verdict that the ledger
    already holds stays: it was given on evidence that is safe to look at daily, and later versions mix other changes
    in.
    """
    fixed = [ticket for ticket in tickets if ticket.released_in and ticket.released_on]
    aimed_at = {ticket.type for ticket in fixed}
    controls = [slug for slug in wording.taxonomy.slugs("friction") if slug not in aimed_at]
    known = [row for row in releases if row["kind"] == "version" and row["known_on"] <= day]
    return [
        _outcome(day, ticket, compare, _versions_with(ticket, known, day, wording), controls, wording)
        for ticket in sorted(fixed, key=lambda ticket: ticket.ticket_key)
    ]


def _versions_with(ticket: TicketRow, releases: Sequence[DataRow], day: date, wording: Wording) -> tuple[str, ...]:
    """The fixed version and all later ones of the same agent, oldest first, as the sessions name them."""
    first = [row for row in releases if wording.label("version", row["version"]) == ticket.released_in]
    if not first:
        return ()
    start = min(first, key=lambda row: (row["released_at"], row["version"]))
    later = {
        (row["released_at"], row["version"])
        for row in releases
        if row["agent_name"] == start["agent_name"] and start["released_at"] <= row["released_at"]
        if _day(row["released_at"]) <= day
    }
    return tuple(version for _, version in sorted(later))


def _outcome(
    day: date,
    ticket: TicketRow,
    compare: Compare,
    versions: tuple[str, ...],
    controls: Sequence[str],
    wording: Wording,
) -> FixOutcome:
    since = ticket.released_on or day
    effect = compare("friction", ticket.type, versions, ticket) if versions else None
    if effect and not shown(wording.audience, effect.users_after, effect.sessions_after, effect.organizations_after):
        effect = None

    def measured(kind: Kind, names: Iterable[str]) -> dict[str, Effect]:
        return {name: found for name in names if versions and (found := compare(kind, name, versions, ticket))}

    others, delights = measured("friction", controls), measured("delight", wording.taxonomy.slugs("delight"))
    expected = _expected_change(others.values())
    numbers = _numbers(effect, wording)
    told = effect if wording.audience == "self" or "rate_before" in numbers or "rate_after" in numbers else None
    verdict = ticket.verdict or (verdict_of(effect, expected) if effect else "inconclusive")
    return FixOutcome(
        day=day,
        ticket_key=ticket.ticket_key,
        type=ticket.type,
        version=ticket.released_in or "",
        released_on=since,
        verdict=verdict,
        control_effect=_control_effect(others.values(), effect, wording),
        guardrails=_guardrails(others, delights, wording),
        users_after=band(told.users_after if told else 0, wording.audience),
        sessions_after=band(told.sessions_after if told else 0, wording.audience),
        **numbers,
    )


def _numbers(effect: Effect | None, wording: Wording) -> dict[str, Any]:
    if effect is None:
        return {"cohort": "all users"}
    audience, after = wording.audience, effect.sessions_after
    before = after if effect.sessions_before is None else effect.sessions_before
    known = [
        part_shown(audience, *(effect.users_after if count is None else count for count in sides))
        for sides in (
            (effect.concerned_before, effect.others_before),
            (effect.concerned_after, effect.others_after),
        )
    ]
    numbers: dict[str, Any] = {"cohort": effect.cohort}
    if known[0]:
        numbers["rate_before"] = wording.rate(effect.rate_before, before)
    if known[1]:
        numbers["rate_after"] = wording.rate(effect.rate_after, after)
    if all(known):
        numbers |= {
            "effect": rounded_rate(effect.effect, min(before, after), audience),
            "low": rounded_low(effect.low, min(before, after), audience),
            "high": rounded_high(effect.high, min(before, after), audience),
            "e_value": rounded_e(min(effect.e_value, 1e12), audience),
        }
    return numbers


def _control_effect(others: Iterable[Effect], effect: Effect | None, wording: Wording) -> float | None:
    """Mean effect on the control types, where a comparison is told at all."""
    changes = [other.effect for other in others]
    return rounded_rate(fmean(changes), effect.sessions_after, wording.audience) if changes and effect else None


def _expected_change(others: Iterable[Effect]) -> float:
    """Mean relative change of the control types: what would have happened to this type without the fix."""
    changes = [other.effect / other.rate_before for other in others if other.rate_before > 0]
    return fmean(changes) if changes else 0.0


def _guardrails(others: Mapping[str, Effect], delights: Mapping[str, Effect], wording: Wording) -> str:
    """What got surely worse on the fixed version: more of another friction, or less of a delight.

    All of them are one family: an e-value counts when it is over the threshold times their number (Bonferroni).
    """
    needed = E_VALUE * max(len(others) + len(delights), 1)
    more = [wording.name(name) for name, found in others.items() if found.low > 0 and _sure(found, needed, wording)]
    less = [
        f"less of {wording.name(name, 'delight')}"
        for name, found in delights.items()
        if found.high < 0 and _sure(found, needed, wording)
    ]
    return "; ".join([*more, *less])


def _sure(effect: Effect, needed: float, wording: Wording) -> bool:
    """Whether a change is sure, and enough people met the type on either side to be spoken of."""
    sides = (effect.users_after if effect.concerned_after is None else effect.concerned_after, effect.concerned_before)
    return effect.e_value >= needed and all(concerned_shown(wording.audience, n) for n in sides if n is not None)


def verdict_of(effect: Effect, expected_change: float = 0.0) -> Verdict:
    """The verdict on one comparison.

    improved, regressed: the e-value confirms a change, and the interval keeps its side of zero also after the
    controls' relative change (`expected_change`) is taken off.  unchanged: a widened interval lies within a quarter
    of the rate before (equivalence).  Everything else is inconclusive.
    """
    expected = expected_change * effect.rate_before
    low, high = min(effect.low, effect.low - expected), max(effect.high, effect.high - expected)
    if effect.e_value >= E_VALUE and high < 0:
        return "improved"
    if effect.e_value >= E_VALUE and low > 0:
        return "regressed"
    margin = EQUIVALENT_SHARE * effect.rate_before
    centre, half = (effect.low + effect.high) / 2, WIDEN * (effect.high - effect.low) / 2
    if math.isfinite(half) and -margin < centre - half and centre + half < margin:
        return "unchanged"
    return "inconclusive"


# --- what follows from a verdict -------------------------------------------------------------------------------


def verdict_actions(
    outcome: FixOutcome,
    entries: Sequence[LedgerEntry],
    settings: TicketSettings,
    *,
    wording: Wording,
) -> list[TicketAction]:
    """What a decisive verdict asks for, in the order in which it is to be done; nothing for `inconclusive`.

    improved: comment, close.  unchanged: comment, reopen.  regressed: propose the revert, reopen.  After too many
    failed fixes: suppress instead of reopening. The same verdict gives the same actions; each is done once.
    """
    if outcome.verdict == "inconclusive":
        return []
    ledger_ticket = ledger_tickets(entries).get(outcome.ticket_key)
    given = dict(ledger_ticket.verdicts) if ledger_ticket else {}
    failed = sum(verdict in FAILED for version, verdict in given.items() if version != outcome.version)
    failed += outcome.verdict in FAILED
    failed -= ledger_ticket.forgiven if ledger_ticket else 0
    ending = "close" if outcome.verdict == "improved" else "reopen"
    if outcome.verdict in FAILED and failed >= settings.failed_fixes_until_suppressed:
        ending = "suppress"
    comment = "propose_revert" if outcome.verdict == "regressed" else "comment"
    text = _verdict_text(outcome, ending, wording)
    payload = {"type": outcome.type, "version": outcome.version, "verdict": outcome.verdict}
    return [
        TicketAction(
            ticket_key=outcome.ticket_key,
            kind=kind,  # type: ignore[arg-type]  # one of the literals above
            action_id=f"{outcome.ticket_key}:{outcome.version}:{kind}",
            day=outcome.day,
            text=text if kind == comment else "",
            payload=payload,
        )
        for kind in ("verdict", comment, ending)
    ]


_VERDICT_TEXTS: Final[dict[str, str]] = {
    "improved": "The fix works.",
    "unchanged": "The fix made no difference that matters.",
    "regressed": "The fix made it worse: consider to revert it.",
}
_ENDINGS: Final[dict[str, str]] = {
    "close": "This ticket is closed.",
    "reopen": "This ticket stays open for another fix.",
    "suppress": "No more tickets are filed for this cause until a person has looked at it.",
}


def _verdict_text(outcome: FixOutcome, ending: str, wording: Wording) -> str:
    rates = ""
    if outcome.rate_before is not None:
        after = "what few met" if outcome.rate_after is None else f"{percent(outcome.rate_after)} of sessions"
        rates = f" {markdown(wording.name(outcome.type))} went from {percent(outcome.rate_before)} to {after}."
    worse = f" Worse since: {markdown(outcome.guardrails)}." if outcome.guardrails else ""
    return (
        f"{_VERDICT_TEXTS[outcome.verdict]}{rates} Measured on version {markdown(outcome.version)} "
        f"({outcome.sessions_after} sessions, {markdown(outcome.cohort)}).{worse} {_ENDINGS[ending]}"
    )


# --- the loop as a whole ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Surprises:
    """How many events of friction the analyst reported in a week, and the share that no category explains."""

    events: int
    share: float


def loop_metrics(
    day: date,
    tickets: Sequence[TicketRow],
    outcomes: Sequence[FixOutcome],
    levels: Iterable[DataRow],
    *,
    pull_requests: Iterable[DataRow] = (),
    surprises: Surprises | None = None,
) -> list[LoopMetric]:
    """How well the loop works, as of the day.

    tickets: the day's.  outcomes: rows of all days up to this one.  levels: `friction_levels` rows of all those days.
    pull_requests: rows of all those days.  surprises: friction that no category explains, where it may be told.
    Resolved means verified by the measured rate, never "merged". Friction begins on its episode's first day over the
    threshold. Coverage: the share of the tickets or fixes that a figure is of; the others have not come so far, or
    nobody told.
    """
    changes = newest_pull_requests(day, pull_requests)
    latest = {(row.ticket_key, row.version): row for row in sorted(outcomes, key=lambda row: row.day)}
    decided = [row for row in latest.values() if row.verdict != "inconclusive"]
    verdict_days: dict[str, date] = {}
    for row in sorted(outcomes, key=lambda row: row.day):
        if row.verdict == "improved":
            verdict_days.setdefault(row.ticket_key, row.day)
    opened = {number: _day(row["opened_at"]) for number, row in changes.items()}
    fixes = [
        changes[ticket.pull_request_id]
        for ticket in tickets
        if ticket.pull_request_id in changes and changes[ticket.pull_request_id]["merged_at"]
    ]
    settled = [fix for fix in fixes if _day(fix["merged_at"]) <= day - timedelta(REWORK_DAYS)]
    started = _first_days_over(levels)
    n = len(tickets)
    verified_on = verdict_days.get
    waits = {
        "days_to_ticket": [_wait(started(ticket), ticket.filed_on) for ticket in tickets],
        "days_friction_to_pull_request": [
            _wait(started(ticket), opened.get(ticket.pull_request_id or "")) for ticket in tickets
        ],
        "days_friction_to_merge": [_wait(started(ticket), ticket.merged_on) for ticket in tickets],
        "days_friction_to_verified_fix": [_wait(started(ticket), verified_on(ticket.ticket_key)) for ticket in tickets],
        "days_ticket_to_pull_request": [
            _wait(ticket.filed_on, opened.get(ticket.pull_request_id or "")) for ticket in tickets
        ],
        "days_pull_request_to_merge": [
            _wait(opened.get(ticket.pull_request_id or ""), ticket.merged_on) for ticket in tickets
        ],
        "days_ticket_to_merge": [_wait(ticket.filed_on, ticket.merged_on) for ticket in tickets],
        "days_ticket_to_verified_fix": [_wait(ticket.filed_on, verified_on(ticket.ticket_key)) for ticket in tickets],
    }
    verified = sum(ticket.verdict == "improved" for ticket in tickets)
    improved = sum(row.verdict == "improved" for row in decided)
    open_states = {"open", "in_progress", "merged", "released", "failed", "reopened"}
    return [
        _count(day, "tickets_filed", n, n),
        _count(day, "tickets_open", sum(ticket.state in open_states for ticket in tickets), n),
        _count(day, "tickets_suppressed", sum(ticket.state == "suppressed" for ticket in tickets), n),
        _share(day, "share_resolved", verified, n),
        _share(day, "share_of_fixes_that_worked", improved, len(decided), of=len(latest)),
        _share(day, "share_with_a_failed_fix", sum(ticket.failed_fixes > 0 for ticket in tickets), n),
        _share(
            day,
            "share_of_fixes_reverted",
            sum(is_reverted(fix, changes.values()) for fix in fixes),
            len(fixes),
            of=sum(ticket.merged_on is not None for ticket in tickets),
        ),
        _share(
            day,
            "share_of_fixes_reworked",
            sum(_reworked(fix, changes.values()) for fix in settled),
            len(settled),
            of=len(fixes),
        ),
        LoopMetric(
            day=day,
            metric="share_of_friction_unexplained",
            value=surprises.share if surprises else None,
            unit="share",
            n=surprises.events if surprises else 0,
        ),
        *[_median_days(day, metric, values) for metric, values in waits.items()],
    ]


def surprises(friction: Iterable[DataRow], labels: Mapping[str, str], audience: Audience) -> Surprises | None:
    """Friction of a week that is of type `other` under its newest label; None where too few users are behind it.

    friction: `friction_events` rows.  labels: event -> newest type.  Weighted by inclusion, rounded for the audience.
    """
    told = [row for row in friction if row["source"] == "analyst"]
    other = [row for row in told if labels.get(row["event_id"], row["type"]) == OTHER]
    people = [{row["user_id"] for row in rows} for rows in (other, told)]
    if not told or not part_shown(audience, len(people[0]), len(people[1] - people[0])):
        return None
    weights = [sum(row["inclusion_weight"] for row in rows) for rows in (other, told)]
    share, events = rounded_rate(weights[0] / weights[1], len(told), audience), about(len(told), audience)
    return Surprises(events, share)


REWORK_DAYS: Final = 14
"""A fix is reworked when another merged pull request changes one of its files within so many days."""

_REVERT: Final = re.compile(r"\s*revert\b", re.IGNORECASE)


def is_reverted(fix: DataRow, others: Iterable[DataRow]) -> bool:
    """Whether a merged pull request takes the fix back: its record says so, or its title does (`Revert "..."`)."""
    quoted = f'"{fix["title"]}"'
    return any(
        other["merged_at"]
        and other["merged_at"] >= fix["merged_at"]
        and (
            other.get("reverts") == fix["pull_request_id"]
            or (_REVERT.match(other["title"] or "") and quoted in other["title"])
        )
        for other in others
        if other["pull_request_id"] != fix["pull_request_id"]
    )


def _reworked(fix: DataRow, others: Iterable[DataRow]) -> bool:
    """Whether another merged pull request changed one of its files soon after."""
    last = fix["merged_at"] + timedelta(REWORK_DAYS)
    return any(
        other["merged_at"]
        and fix["merged_at"] < other["merged_at"] <= last
        and not set(fix["files"] or ()).isdisjoint(other["files"] or ())
        for other in others
        if other["pull_request_id"] != fix["pull_request_id"]
    )


def _first_days_over(levels: Iterable[DataRow]) -> Callable[[TicketRow], date | None]:
    """First day over the threshold of the episode that a ticket came from: the type's newest one before it.

    Where the type as a whole had none before, that of one of its slices.
    """
    starts: dict[tuple[str, bool], set[date]] = {}
    for row in levels:
        if row["crossed"] and row["episode"]:
            started = date.fromisoformat(row["episode"].rpartition("@")[2])
            starts.setdefault((row["type"], (row.get("slice") or "all") == "all"), set()).add(started)

    def newest(ticket: TicketRow, *, whole: bool) -> date | None:
        return max((found for found in starts.get((ticket.type, whole), ()) if found <= ticket.filed_on), default=None)

    def start(ticket: TicketRow) -> date | None:
        return newest(ticket, whole=True) or newest(ticket, whole=False)

    return start


def _day(moment: datetime) -> date:
    return moment.date()


def _wait(start: date | None, end: date | None) -> int | None:
    return (end - start).days if start and end and end >= start else None


def _count(day: date, metric: str, value: int, n: int) -> LoopMetric:
    return LoopMetric(day=day, metric=metric, value=float(value), unit="count", n=n, coverage=_covered(n, n))


def _share(day: date, metric: str, part: int, n: int, *, of: int | None = None) -> LoopMetric:
    """A share of `n`, which are those of `of` (default: all) that something is known of."""
    value = round(part / n, 4) if n else None
    covered = _covered(n, n if of is None else of)
    return LoopMetric(day=day, metric=metric, value=value, unit="share", n=n, coverage=covered)


def _median_days(day: date, metric: str, waits: Sequence[int | None]) -> LoopMetric:
    known = [wait for wait in waits if wait is not None]
    value = median(known) if known else None
    covered = _covered(len(known), len(waits))
    return LoopMetric(day=day, metric=metric, value=value, unit="days", n=len(known), coverage=covered)


def _covered(n: int, of: int) -> float | None:
    return round(n / of, 4) if of else None
