"""From counts to the two figures that stages 7 and 8 decide on: a type's week, and the effect of a fix.

Put here: who is in which cohort. Not here: counting (see `user_days.py`), tests and intervals (see `statistics.py`),
decisions (see `levels.py`, `outcomes.py`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from signals_assets.core.arrays import add_up
from signals_assets.core.barrier.thresholds import ACCOUNT_DAYS, concerned_shown
from signals_assets.core.correlations import friction_rates
from signals_assets.core.discovery_items import intent_id
from signals_assets.core.levels import SEVERITY, LevelInput, LevelPart
from signals_assets.core.outcomes import Cohort, Effect
from signals_assets.core.statistics import compare, interval
from signals_assets.core.user_days import Cells, CountedType, Counts, Rows, day_number, newest_labels, records
from signals_assets.settings import Audience, ThresholdSettings
from signals_assets.tables import Kind

WatchedSeverity = Literal["medium", "high"]
"""The least severity that counts."""

BEFORE_DAYS: Final = 28
"""How far before its release a fix's other cohort reaches."""
SUFFICES: Final = 0.5
"""Users outside a diagnosis suffice when a change by this share of the rate would be seen among them."""


def level_inputs(
    day: date,
    counts: Counts,
    *,
    types: Sequence[CountedType],
    days: int,
    part: tuple[str, str] | None = None,
    severity: WatchedSeverity | None = None,
) -> dict[str, LevelInput]:
    """The trailing `days` of each friction type as of `day`; types whose source looked at no session are absent.

    part: kind and value of a slice, whose sessions alone are counted; default: all sessions.  severity: sessions have
    the type only where they met it at this severity or worse; default: at any.
    """
    week = counts.as_of(day).window(day, days)
    if part is not None:
        week = week.where(week[part[0]] == week.code(*part))
    found: dict[str, LevelInput] = {}
    for source in ("detector", "analyst"):
        chosen = [item for item in types if item.source == source]
        cells = week.cells(source, [(item.kind, item.type) for item in chosen], ["user", "organization"])
        if not chosen or not len(cells.weight):
            continue
        users, index = np.unique(cells.columns["user"], return_inverse=True)
        met = {None: cells.events, "high": cells.high, "medium": cells.high + cells.medium}[severity]
        events = np.array([add_up(index, row, len(users)) for row in met])
        worth = cells.worth(np.ones(len(cells.weight), dtype=bool))
        estimates = interval(add_up(index, cells.weight, len(users)), events, float(cells.sessions.sum()), worth)
        for row, item in enumerate(chosen):
            concerned = met[row] > 0
            found[item.type] = LevelInput(
                rate=float(estimates.rate[row]),
                low=float(estimates.low[row]),
                high=float(estimates.high[row]),
                users=week.users(cells.columns["user"][concerned]),
                sessions=_sessions(week, item, severity),
                organizations=_organizations(cells, concerned),
                n=round(float(cells.sessions.sum())),
                largest=_largest(week, item, severity),
            )
    return found


def level_parts(
    day: date,
    counts: Counts,
    *,
    types: Sequence[CountedType],
    days: int,
    thresholds: ThresholdSettings,
    audience: Audience,
    sessions: Callable[[tuple[str, str]], Collection[str]],
    events: Callable[[WatchedSeverity], Collection[str]] = lambda _: (),
) -> list[LevelPart]:
    """The slices and severities that the settings name, each with its week and its sessions or events.

    A slice is told of only where its rate may stand beside the total: `friction_rates` would show it, so that neither
    it nor what it leaves of the total is a few people; and so is a severity.  sessions: of a slice, for its causes (see
    `slice_sessions`).  events: of a severity (see `severe_events`). Nothing is computed where none is named.
    """
    named = sorted({(one.slice_kind, one.slice) for one in thresholds.slices})
    return [
        *(_slice_parts(day, counts, types, days, named, audience, sessions) if named else ()),
        *(
            LevelPart(
                SEVERITY, severity, levels=_severe(day, counts, types, days, severity, audience), sessions=(),
                events=frozenset(events(severity)),
            )
            for severity in thresholds.severity_ceilings.named()
        ),
    ]  # fmt: skip


def _severe(
    day: date,
    counts: Counts,
    types: Sequence[CountedType],
    days: int,
    severity: WatchedSeverity,
    audience: Audience,
) -> dict[str, LevelInput]:
    """The week of each type at a severity or worse; those who met it less severely are nobody, or no few people."""
    whole = level_inputs(day, counts, types=types, days=days)
    found = level_inputs(day, counts, types=types, days=days, severity=severity)

    def told(type_: str) -> bool:
        users, others = found[type_].users, whole[type_].users - found[type_].users
        return concerned_shown(audience, users) and (others == 0 or concerned_shown(audience, others))

    return {type_: replace(week, told=told(type_)) for type_, week in found.items()}


def _slice_parts(
    day: date,
    counts: Counts,
    types: Sequence[CountedType],
    days: int,
    named: Sequence[tuple[str, str]],
    audience: Audience,
    sessions: Callable[[tuple[str, str]], Collection[str]],
) -> list[LevelPart]:
    rates, _ = friction_rates(day, counts, types=types, audience=audience, label=lambda _, word: word)
    told = {(row.type, row.slice_kind, row.slice) for row in rates if row.window_days == days}
    parts = []
    for part in named:
        levels = level_inputs(day, counts, types=types, days=days, part=part)
        kept = {type_: replace(week, told=(type_, *part) in told) for type_, week in levels.items()}
        parts.append(LevelPart(*part, levels=kept, sessions=frozenset(sessions(part))))
    return parts


_AGENT_COLUMNS: Final[Mapping[str, str]] = {"agent": "agent_name"}
"""Kinds of slices whose column in `session_metrics` is called otherwise."""


def slice_sessions(part: tuple[str, str], *, metrics: Rows, facets: Rows, labels: Rows, day: date) -> frozenset[str]:
    """Ids of the sessions that `user_days` counts in a slice, as known on `day`.

    metrics, facets: rows of the tables of the same names.  labels: `event_labels`, whose word on a session's intent
    goes before its facet's.  A session that names several programming languages is of none of them.
    """
    kind, value = part
    if kind == "intent":
        newest = newest_labels(labels, day)
        intents = _facet_values(facets, "primary_intent", day)
        named = {session: newest.get(intent_id(session), ("", ""))[1] for session in intents}
        return frozenset(session for session, found in intents.items() if (named[session] or found[-1]) == value)
    if kind == "language":
        languages = _facet_values(facets, "programming_languages", day)
        return frozenset(session for session, found in languages.items() if set(found) == {value})
    names = ("session_id", "known_on", _AGENT_COLUMNS.get(kind, kind))
    return frozenset(
        session for session, known_on, found in records(metrics, names) if found == value and known_on <= day
    )


def _facet_values(facets: Rows, name: str, day: date) -> dict[str, list[str]]:
    """By session the values of a facet that were known on `day`, in stored order."""
    values: dict[str, list[str]] = {}
    for session, known_on, facet, value in records(facets, ("session_id", "known_on", "facet", "value")):
        if facet == name and known_on <= day:
            values.setdefault(session, []).append(value)
    return values


def newcomers(day: date, counts: Counts, first_day: date, audience: Audience) -> frozenset[str]:
    """Users of the fortnight up to `day` who were first seen less than `ACCOUNT_DAYS` days before it.

    counts: at least the fortnight's.  first_day: the installation's. Nobody is new where the people are known (`self`,
    `team`), nor before there is a whole fortnight: who is new cannot be told then.
    """
    if audience in ("self", "team") or day - first_day < timedelta(2 * ACCOUNT_DAYS - 1):
        return frozenset()
    fortnight = counts.as_of(day).window(day, 2 * ACCOUNT_DAYS)
    everybody = np.unique(fortnight["user"])
    known = np.unique(fortnight["user"][fortnight["about"] <= day_number(day) - ACCOUNT_DAYS])
    return frozenset(counts.words["user"][code] for code in np.setdiff1d(everybody, known).tolist())


def severe_events(events: Rows, severity: WatchedSeverity) -> frozenset[str]:
    """Ids of friction events of a severity or worse. events: rows of `friction_events`."""
    counted = {"high": {"high"}, "medium": {"medium", "high"}}[severity]
    return frozenset(event for event, found in records(events, ("event_id", "severity")) if found in counted)


def _sessions(counts: Counts, item: CountedType, severity: WatchedSeverity | None) -> int:
    """Sessions that have the type at the severity or worse."""
    return round(float(_having(counts, item, severity).sum()))


def _largest(counts: Counts, item: CountedType, severity: WatchedSeverity | None) -> int:
    """Sessions that have the type, of the organisation that has most of them."""
    known = counts["organization"] >= 0
    having = _having(counts, item, severity)[known]
    return round(float(np.bincount(counts["organization"][known], having).max(initial=0.0)))


def _having(counts: Counts, item: CountedType, severity: WatchedSeverity | None) -> NDArray[np.float64]:
    """By row the sessions that have the type; of a severity by their share of the row's weight."""
    chosen = (
        (counts["source"] == counts.code("source", item.source))
        & (counts["kind"] == counts.code("kind", item.kind))
        & (counts["type"] == counts.code("type", item.type))
    )
    having: NDArray[np.float64] = np.where(chosen, counts["sessions"], 0.0)
    if severity is None:
        return having
    severe = counts["high"] if severity == "high" else counts["high"] + counts["medium"]
    share: NDArray[np.float64] = np.divide(severe, counts["weight"], out=np.zeros_like(having), where=chosen)
    return having * share


def _organizations(cells: Cells, mask: NDArray[np.bool_]) -> int | None:
    """Distinct organisations in some cells; None where no cell at all knows one."""
    column = cells.columns["organization"]
    if not (column >= 0).any():
        return None
    return int((np.unique(column[mask]) >= 0).sum())


def fix_effect(
    counts: Counts,
    item: CountedType,
    versions: Sequence[str],
    since: date,
    *,
    outdated: Collection[str] = (),
    diagnosed: Collection[str] = (),
    filed_on: date | None = None,
) -> Effect | None:
    """What a fix did: sessions that ran one of `versions` from `since` on, against sessions that ran another.

    The others are those of the four weeks before `since` and after it, without the `outdated` versions: those from
    before the type's last confirmed change, which would mix the time before the friction into the comparison. `counts`
    are already as of the day. None where the comparison has too little data.

    Who was in the diagnosis was there for having much of the friction, and would have less of it later anyway. So
    where the users outside it suffice (`diagnosed`: those inside, up to the day `filed_on`), only they count, and of
    the sessions without the fix only those after that day; else all users do, and the cohort says which.
    """
    cells = counts.cells(item.source, [(item.kind, item.type)], ["user", "organization", "about", "agent_version"])
    if not len(cells.weight):
        return None
    about = cells.columns["about"]
    fixed = np.isin(cells.columns["agent_version"], [counts.code("agent_version", version) for version in versions])
    old = np.isin(cells.columns["agent_version"], [counts.code("agent_version", version) for version in outdated])
    released = day_number(since)
    after = fixed & (about >= released)
    before = ~fixed & ~old & (about >= released - BEFORE_DAYS)
    if filed_on is not None:
        outside = ~np.isin(cells.columns["user"], [counts.code("user", user) for user in diagnosed])
        later = outside & (about > day_number(filed_on))
        found = _effect(counts, cells, before & later, after & later, "users outside the diagnosis")
        if found is not None and found.detectable <= SUFFICES * found.rate_before:
            return found
    return _effect(counts, cells, before, after, "all users")


def _effect(
    counts: Counts, cells: Cells, before: NDArray[np.bool_], after: NDArray[np.bool_], cohort: Cohort
) -> Effect | None:
    if not after.any() or not before.any():
        return None
    found = compare(cells.cohort(before), cells.cohort(after))[0]
    if not found.enough:
        return None
    concerned = cells.events[0] > 0
    spared = cells.events[0] < cells.weight - 1e-9
    return Effect(
        rate_before=found.rate_before,
        rate_after=found.rate_after,
        effect=found.effect,
        low=found.low,
        high=found.high,
        e_value=found.e_value,
        users_after=counts.users(cells.columns["user"][after]),
        sessions_after=found.sessions_after,
        organizations_after=_organizations(cells, after),
        concerned_before=counts.users(cells.columns["user"][before & concerned]),
        concerned_after=counts.users(cells.columns["user"][after & concerned]),
        others_before=counts.users(cells.columns["user"][before & spared]),
        others_after=counts.users(cells.columns["user"][after & spared]),
        sessions_before=found.sessions_before,
        cohort=cohort,
        detectable=found.smallest_detectable(1),
    )


def diagnosed_users(counts: Counts, item: CountedType, filed_on: date, days: int) -> frozenset[str]:
    """Users who met the type in the `days` days up to the one on which its ticket was filed: those in the diagnosis."""
    window = counts.window(filed_on, days)
    met = window.where(
        (window["source"] == window.code("source", item.source))
        & (window["kind"] == window.code("kind", item.kind))
        & (window["type"] == window.code("type", item.type))
    )
    return frozenset(counts.words["user"][code] for code in np.unique(met["user"]).tolist())


def outdated_versions(
    type_: str,
    since: date,
    correlations: Iterable[Mapping[str, Any]],
    releases: Iterable[Mapping[str, Any]],
    kind: Kind = "friction",
) -> list[str]:
    """Versions from before the type's last confirmed change that was released before `since`.

    correlations: rows of `release_correlations` as of the day and earlier.  releases: rows of `releases`.
    """
    confirmed = [
        row["released_on"]
        for row in correlations
        if row["type"] == type_ and row["kind"] == kind and row["evidence"] == "confirmed"
        if row["released_on"] < since
    ]
    if not confirmed:
        return []
    changed = max(confirmed)
    return sorted(
        row["version"] for row in releases if row["kind"] == "version" and row["released_at"].date() < changed
    )
