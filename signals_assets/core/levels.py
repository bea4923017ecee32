"""Levels: per friction type and day, whether its threshold is crossed, by a state machine that can be replayed.

Put here: the evaluation of a type's week, the decision, its row and its audit.
Not here: rates and their bounds (see `core/correlations.py`), what may be filed then (see `core/tickets.py`).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import Any, Final, Literal

from signals_assets.core.barrier.thresholds import SHOWN, TICKET, band, reaches, rounded_interval, shown, ticketable
from signals_assets.core.causes import CauseFacts, DataRow, cause_facts
from signals_assets.core.tickets import RECOVERY_SHARE, LedgerEntry, kill_switch_is_on, sliced
from signals_assets.core.wording import Wording, percent
from signals_assets.settings import Audience, ThresholdSettings
from signals_assets.tables import FrictionLevel, LevelState

NEVER_FILED: Final[frozenset[str]] = frozenset({"other"})
"""Left-overs are material for discovery: nobody can fix "other"; a type that emerges from it can be filed."""
SEVERITY: Final = "severity"
"""Kind of a part that is no slice of the sessions but their friction at a severity."""
RECOVERY_DAYS: Final = 3
"""Evaluations in a row under the closing level that end an episode."""


@dataclass(frozen=True, slots=True)
class LevelInput:
    """A type's week as the caller counted it from `user_days`.

    rate, low, high: share of sessions with the type and its user-robust 95 % bounds.  users, sessions,
    organizations: those concerned (None: no organisation known).  n: sessions looked at.
    """

    rate: float
    low: float
    high: float
    users: int
    sessions: int
    organizations: int | None
    n: int
    largest: int = 0
    """Sessions concerned of the organisation that has most of them."""
    told: bool = True
    """It may be spoken of beside other figures: what a slice leaves of the total is no few people, either."""


@dataclass(frozen=True, slots=True)
class LevelPart:
    """A slice or severity that the settings name: kind and value as counted, week by type, ids of its sessions.

    The kind of a severity is SEVERITY, its value the least severity that counts.
    """

    slice_kind: str
    slice: str
    levels: Mapping[str, LevelInput]
    sessions: Collection[str]
    events: Collection[str] | None = None
    """Of a severity the ids of its events, which go before the sessions: one may hold others, too."""

    def holds(self, cause_row: DataRow) -> bool:
        """Whether a row of `causes` is of the part."""
        if self.events is not None:
            return cause_row["event_id"] in self.events
        return cause_row["session_id"] in self.sessions


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All inputs of one decision, in plain JSON types: what the audit stores and `decide` reads."""

    day: str
    type: str
    ceiling: float
    consecutive: int
    cooldown_days: int
    enough: bool
    """Enough sessions were looked at in the week."""
    ticketable: bool
    """It concerns enough users, sessions and organisations for a ticket, and at least one cause can be named."""
    held: bool
    """The kill switch is on."""
    spoken: bool = True
    """It concerns enough people to be spoken of at all: below that, over and under the threshold look the same."""
    level: float = 0.0
    low: float = 0.0
    rises: tuple[tuple[str, float, float], ...] = ()
    """Confirmed rises: version, rate before, rate after; the largest effect first."""
    improved_on: str | None = None
    """Newest day of a verdict `improved` on a fix of this type."""
    previous_day: str | None = None
    episode: str = ""
    trigger: Literal["", "rise", "level"] = ""
    version: str | None = None
    days_over: int = 0
    days_below: int = 0
    closing_level: float | None = None
    crossed_on: str | None = None
    versions_blamed: tuple[str, ...] = ()
    slice_kind: str = "all"
    slice: str = "all"
    """As published."""

    @property
    def new_episode(self) -> str:
        """Id of an episode that begins on the day: type, slice where it is one, day."""
        where = "" if self.slice_kind == "all" else f":{self.slice_kind}={self.slice}"
        return f"{self.type}{where}@{self.day}"


@dataclass(frozen=True, slots=True)
class LevelDecision:
    """What one evaluation decides, and what the next day must remember."""

    state: LevelState
    crossed: bool = False
    episode: str = ""
    trigger: Literal["", "rise", "level"] = ""
    version: str | None = None
    rates: tuple[float, float] | None = None
    days_over: int = 0
    days_below: int = 0
    closing_level: float | None = None
    crossed_on: str | None = None
    versions_blamed: tuple[str, ...] = ()


def decide(given: Evaluation) -> LevelDecision:
    """The state machine of one type on one day (pure: the same evaluation gives the same decision).

    ok -> rising (over, too few evaluations) -> crossed (once) -> over -> recovering (under the closing level) -> ok.
    cooldown: over again too soon after the last crossing.  suppressed: would cross, but the kill switch is on; it
    crosses when that is off.  not_enough_data: no decision, everything is carried over.
    An open episode crosses anew only for a rise that another release is blamed for.
    """
    kept = LevelDecision(
        state="not_enough_data",
        episode=given.episode,
        trigger=given.trigger,
        version=given.version,
        days_over=given.days_over,
        days_below=given.days_below,
        closing_level=given.closing_level,
        crossed_on=given.crossed_on,
        versions_blamed=given.versions_blamed,
    )
    if not given.enough:
        return kept
    kept = _without_gap(given, kept)
    trigger, version, rates = _trigger(given)
    if given.closing_level is None and not given.spoken:
        return replace(kept, state="ok", episode="", trigger="", version=None, days_over=0, days_below=0)
    if given.closing_level is None:
        return _closed(given, kept, trigger, version, rates)
    return _open(given, kept, trigger, version, rates)


def _without_gap(given: Evaluation, kept: LevelDecision) -> LevelDecision:
    """Evaluations are consecutive only on consecutive days."""
    if given.previous_day and date.fromisoformat(given.day) - date.fromisoformat(given.previous_day) > timedelta(1):
        return replace(kept, days_over=0, days_below=0)
    return kept


def _trigger(given: Evaluation) -> tuple[Literal["", "rise", "level"], str | None, tuple[float, float] | None]:
    for version, before, after in given.rises:
        own = given.closing_level is not None and version == given.version and given.level >= given.closing_level
        if own or version not in given.versions_blamed:
            return "rise", version, (before, after)
    if given.low > given.ceiling:
        return "level", None, None
    return "", None, None


def _closed(
    given: Evaluation,
    kept: LevelDecision,
    trigger: Literal["", "rise", "level"],
    version: str | None,
    rates: tuple[float, float] | None,
) -> LevelDecision:
    memory = replace(kept, episode="", trigger="", version=None, days_over=0, days_below=0)
    if not trigger:
        return replace(memory, state="ok")
    days_over = kept.days_over + 1
    episode = kept.episode if kept.days_over and kept.episode else given.new_episode
    over = replace(memory, episode=episode, trigger=trigger, version=version, rates=rates, days_over=days_over)
    if not given.ticketable:
        return replace(over, state="not_enough_data")
    if days_over < given.consecutive:
        return replace(over, state="rising")
    if given.held:
        return replace(over, state="suppressed")
    if not _cooled(given):
        return replace(over, state="cooldown")
    return _crossed(given, over)


def _open(
    given: Evaluation,
    kept: LevelDecision,
    trigger: Literal["", "rise", "level"],
    version: str | None,
    rates: tuple[float, float] | None,
) -> LevelDecision:
    days_over = kept.days_over + 1 if trigger else 0
    now = replace(kept, state="over", days_over=days_over, days_below=0)
    another = trigger == "rise" and version not in given.versions_blamed
    if another and given.ticketable and days_over >= given.consecutive and not given.held and _cooled(given):
        return _crossed(given, replace(now, episode=given.new_episode, trigger="rise", version=version, rates=rates))
    closed = replace(now, state="ok", episode="", trigger="", version=None, closing_level=None)
    if given.improved_on and given.improved_on >= (given.crossed_on or "") and not trigger:
        return closed
    if trigger or given.closing_level is None or given.level >= given.closing_level:
        return now
    if kept.days_below + 1 >= RECOVERY_DAYS:
        return closed
    return replace(now, state="recovering", days_below=kept.days_below + 1)


def _cooled(given: Evaluation) -> bool:
    if given.crossed_on is None:
        return True
    return date.fromisoformat(given.day) - date.fromisoformat(given.crossed_on) > timedelta(given.cooldown_days)


def _crossed(given: Evaluation, over: LevelDecision) -> LevelDecision:
    """The crossing. A rise closes near the rate before it, which 60 % of a small rise would never reach."""
    closing = RECOVERY_SHARE * given.level
    if over.rates:
        before, after = over.rates
        closing = max(closing, min(before + (after - before) / 4, 0.9 * given.level))
    blamed = {*given.versions_blamed, *([over.version] if over.version else [])}
    return replace(
        over,
        state="crossed",
        crossed=True,
        closing_level=round(closing, 6),
        crossed_on=given.day,
        versions_blamed=tuple(sorted(blamed)),
    )


def replay(audit: Mapping[str, Any]) -> LevelDecision:
    """The decision again from a stored audit row: equal to what was decided then, bit for bit."""
    inputs = dict(audit["inputs"])
    inputs["rises"] = tuple((version, before, after) for version, before, after in inputs["rises"])
    inputs["versions_blamed"] = tuple(inputs["versions_blamed"])
    return decide(Evaluation(**inputs))


def friction_levels(
    day: date,
    *,
    levels: Mapping[str, LevelInput],
    release_correlations: Iterable[DataRow],
    causes_window: Iterable[DataRow],
    previous: Iterable[DataRow],
    entries: Sequence[LedgerEntry],
    wording: Wording,
    thresholds: ThresholdSettings,
    kill_switch: bool = False,
    newcomers: Collection[str] = (),
    parts: Sequence[LevelPart] = (),
) -> tuple[list[FrictionLevel], list[dict[str, Any]]]:
    """One decision per friction type and slice, and for each the audit row with every number that went into it.

    levels: the trailing week of all sessions by type.  release_correlations: the day's.  causes_window: `causes` of
    the trailing week.  previous: the newest earlier rows of this table.  entries: ledger entries that the day may read
    (kinds verdict, kill_switch).  newcomers: users whose accounts are too young to support a ticket.  parts: the slices
    and severities that the thresholds name; a rise is confirmed among all sessions, so that a part is over by its
    ceiling alone, and its causes are counted among its own sessions or events.  The audit is restricted.
    Whether a crossing is too old to act on (`stale`) is the sensor's matter.
    """
    window = list(causes_window)
    rises = _confirmed_rises(release_correlations, wording)
    before = {_row_key(row): row for row in sorted(previous, key=lambda row: row["day"])}
    improved = _improved_days(entries)
    held = kill_switch or kill_switch_is_on(entries)
    seq = max((entry.seq for entry in entries), default=0)
    rows, audits = [], []
    for part in (LevelPart("all", "all", levels, ()), *parts):
        whole = part.slice_kind == "all"
        own = window if whole else [row for row in window if part.holds(row)]
        facts = cause_facts(own, wording.audience, newcomers)
        support = _supported(own, wording.audience, newcomers)
        said = slice_label(wording, part.slice_kind, part.slice)
        for friction_type in sorted(wording.taxonomy.slugs("friction")):
            ceiling = _ceiling(thresholds, friction_type, part)
            if ceiling is None:
                continue
            week = part.levels.get(friction_type)
            shown_causes = _shown_causes(facts, friction_type, wording.audience)
            memory = before.get((friction_type, part.slice_kind, said))
            given = _evaluation(
                day, friction_type, week, memory, ceiling, thresholds, wording.audience, bool(shown_causes)
            )
            given = replace(
                given, held=held, improved_on=improved.get(friction_type),
                ticketable=given.ticketable and (not newcomers or friction_type in support),
                rises=rises.get(friction_type, ()) if whole else (), slice_kind=part.slice_kind, slice=said,
            )  # fmt: skip
            decision = decide(given)
            rows.append(_level_row(day, given, decision, week, shown_causes, wording, seq))
            audits.append(
                {
                    "inputs": asdict(given),
                    "week": asdict(week) if week else None,
                    "audience": wording.audience,
                    "causes": shown_causes,
                    "ledger_seq": seq,
                    "decision": {"state": decision.state, "crossed": decision.crossed, "episode": decision.episode},
                }
            )
    return rows, audits


def _supported(own: Iterable[DataRow], audience: Audience, newcomers: Collection[str]) -> frozenset[str]:
    """Types that concern enough people for a ticket when newcomers count for nothing and a user's day for few types."""
    by_type = cause_facts(({**row, "cause_id": row["type"]} for row in own), audience, newcomers)
    return frozenset(type_ for type_, facts in by_type.items() if ticketable(audience, *facts.counts))


def _row_key(row: DataRow) -> tuple[str, str, str]:
    """What a stored row is about; one from before there were slices has no kind."""
    return row["type"], row.get("slice_kind") or "all", row.get("slice") or "all"


def _ceiling(thresholds: ThresholdSettings, friction_type: str, part: LevelPart) -> float | None:
    """The ceiling of a type among all sessions, in a slice or at a severity; None where that is not watched for it."""
    if part.slice_kind == "all":
        return thresholds.ceilings.get(friction_type, thresholds.default_ceiling)
    if part.slice_kind == SEVERITY:
        return {str(severity): ceiling for severity, ceiling in thresholds.severity_ceilings.named().items()}[
            part.slice
        ]
    of_slice = {
        one.type: one.ceiling
        for one in thresholds.slices
        if (one.slice_kind, one.slice) == (part.slice_kind, part.slice)
    }
    return of_slice.get(friction_type, of_slice.get(None))


def _evaluation(
    day: date,
    friction_type: str,
    week: LevelInput | None,
    before: DataRow | None,
    ceiling: float,
    thresholds: ThresholdSettings,
    audience: Audience,
    has_causes: bool,
) -> Evaluation:
    memory: dict[str, Any] = {}
    if before is not None:
        memory = {
            "previous_day": before["day"].isoformat(),
            "crossed_on": before["crossed_on"].isoformat() if before["crossed_on"] else None,
            "versions_blamed": tuple(before["versions_blamed"] or ()),
            **{
                name: before[name]
                for name in ("episode", "trigger", "version", "days_over", "days_below", "closing_level")
            },
        }
    concerned = (week.users, week.sessions, week.organizations, week.largest) if week else (0, 0, None, 0)
    return Evaluation(
        day=day.isoformat(),
        type=friction_type,
        ceiling=ceiling,
        consecutive=thresholds.consecutive,
        cooldown_days=thresholds.cooldown_days,
        # Enough sessions looked at: a rare friction is within its bounds, not a lack of data.
        enough=week is not None and week.n >= SHOWN[audience].sessions,
        ticketable=friction_type not in NEVER_FILED and has_causes and ticketable(audience, *concerned),
        held=False,
        spoken=reaches(SHOWN[audience], *concerned) and (week is None or week.told),
        level=week.rate if week else 0.0,
        low=week.low if week else 0.0,
        **memory,
    )


def _confirmed_rises(rows: Iterable[DataRow], wording: Wording) -> dict[str, tuple[tuple[str, float, float], ...]]:
    confirmed = [
        row
        for row in rows
        if row["kind"] == "friction" and row["verdict"] == "regressed" and row["evidence"] == "confirmed"
    ]
    rises: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for row in sorted(confirmed, key=lambda row: (-abs(row["z"] or 0.0), row["version"])):
        rises[row["type"]].append(
            (wording.label("version", row["version"]), row["rate_before"] or 0.0, row["rate_after"] or 0.0)
        )
    return {friction_type: tuple(found) for friction_type, found in rises.items()}


def _improved_days(entries: Iterable[LedgerEntry]) -> dict[str, str]:
    days: dict[str, str] = {}
    for entry in entries:
        if entry.kind == "verdict" and entry.payload.get("verdict") == "improved":
            friction_type = entry.payload["type"]
            days[friction_type] = max(days.get(friction_type, ""), entry.payload["day"])
    return days


def _shown_causes(facts: Mapping[str, CauseFacts], friction_type: str, audience: Audience) -> list[str]:
    """Causes of the type that concern enough users to be spoken of, largest first."""
    of_type = [
        fact
        for fact in facts.values()
        if fact.type == friction_type
        and reaches(TICKET["public"] if audience == "public" else SHOWN[audience], *fact.counts)
    ]
    return [fact.cause_id for fact in sorted(of_type, key=lambda f: (-f.users, -f.sessions, -f.events, f.cause_id))]


def _level_row(
    day: date,
    given: Evaluation,
    decision: LevelDecision,
    week: LevelInput | None,
    shown_causes: list[str],
    wording: Wording,
    seq: int,
) -> FrictionLevel:
    speaks = (
        week is not None
        and week.told
        and shown(wording.audience, week.users, week.sessions, week.organizations, week.largest)
    )
    return FrictionLevel(
        day=day,
        type=given.type,
        slice_kind=given.slice_kind,
        slice=given.slice,
        level=wording.rate(week.rate, week.n) if speaks and week else None,
        lower_bound=_lower_bound(week, wording) if speaks and week else None,
        ceiling=given.ceiling,
        trigger=decision.trigger,
        version=decision.version,
        state=decision.state,
        crossed=decision.crossed,
        episode=decision.episode,
        days_over=decision.days_over,
        days_below=decision.days_below,
        closing_level=_closing_level(given, decision, week, wording),
        crossed_on=date.fromisoformat(decision.crossed_on) if decision.crossed_on else None,
        versions_blamed=list(decision.versions_blamed),
        users=band(week.users if speaks and week else 0, wording.audience),
        sessions=band(week.sessions if speaks and week else 0, wording.audience),
        causes=shown_causes if decision.episode else [],
        reason=_reason(given, decision, week, wording),
        ledger_seq=seq,
    )


def _lower_bound(week: LevelInput, wording: Wording) -> float:
    """The level's lower bound as it may be published; of few users it is wider than the one that decides."""
    return rounded_interval((week.rate, week.low, week.high), week.n, week.users, wording.audience)[1]


def _closing_level(
    given: Evaluation, decision: LevelDecision, week: LevelInput | None, wording: Wording
) -> float | None:
    """To whole points: a crossing concerns enough for a ticket. For `public`, told no level, from the ceiling."""
    closing = decision.closing_level
    if closing is None or not decision.crossed or week is None:
        return closing
    if wording.audience == "public":
        return round(RECOVERY_SHARE * given.ceiling, 4)
    return round(closing, 4 if wording.audience == "self" else 2)


_REASONS: Final[dict[str, str]] = {
    "ok": "{name} is within its bounds.",
    "rising": "{what} One evaluation more decides.",
    "crossed": "{what}",
    "over": "{name} is still above the level at which its episode ends.",
    "recovering": "{name} has been under its closing level for {below} of {needed} evaluations.",
    "cooldown": "{what} The last crossing is less than {cooldown} days ago.",
    "suppressed": "{what} Filing is stopped by the kill switch.",
}


_SAID_AS: Final[dict[str, str]] = {"agent_version": "version", "prompt_version": "version"}


def slice_label(wording: Wording, slice_kind: str, value: str) -> str:
    """A slice's value as it may be published; languages are of a closed list."""
    if slice_kind in ("all", "language", SEVERITY):
        return value
    return wording.label(_SAID_AS.get(slice_kind, slice_kind), value)


def _reason(given: Evaluation, decision: LevelDecision, week: LevelInput | None, wording: Wording) -> str:
    name = wording.name(given.type) + sliced(asdict(given))
    if decision.state == "not_enough_data":
        if given.enough:
            return f"{name} is over its threshold but concerns too few people in one place for a ticket."
        return f"{name} has too few sessions in the week for a decision."
    if decision.state == "ok" and not given.spoken:
        return f"{name} is within its bounds, or concerns too few people to be spoken of."
    what = ""
    if decision.rates and decision.version:
        before, after = decision.rates
        rose = f"from {percent(before)} to {percent(after)}" if before else f"from what few met to {percent(after)}"
        what = f"{name} rose {rose} with version {decision.version} (confirmed)."
    elif wording.audience == "public":
        what = f"{name} is over its ceiling of {percent(given.ceiling)}."
    elif week is not None:
        low = _lower_bound(week, wording)
        bound = f"at {percent(low)} of sessions at least, over" if low > given.ceiling else "surely over"
        what = f"{name} is {bound} its ceiling of {percent(given.ceiling)}."
    return _REASONS[decision.state].format(
        name=name, what=what, below=decision.days_below, needed=RECOVERY_DAYS, cooldown=given.cooldown_days
    )
