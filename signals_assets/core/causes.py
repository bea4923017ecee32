"""Causes: friction events grouped into what one pull request could fix, same symptom and same component.

Put here: the day's cause rows, and how many each cause concerns in a window.
Not here: when a type is over its threshold (see `core/levels.py`), components (see `core/components.py`).
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from signals_assets.core.barrier.thresholds import PATTERNS_A_DAY
from signals_assets.core.components import first_name
from signals_assets.core.identity import content_id
from signals_assets.core.taxonomy import Taxonomy, seed
from signals_assets.core.user_days import source_of
from signals_assets.settings import Audience
from signals_assets.tables import Cause

DataRow = Mapping[str, Any]
"""A row as stored: column name to value."""

WINDOW_DAYS: Final = 7
"""Trailing days of a level and its causes: one whole week, so that weekdays do not look like changes."""


NEAR_STEPS: Final = 6
"""Steps between a failure and the words that follow from it: its result, what the agent says, one more try."""


def cause_id(friction_type: str, component: str) -> str:
    """The stable id of what one pull request could fix: a symptom in a component."""
    return content_id("cause", friction_type, component)


def causes(
    day: date,
    friction: Iterable[DataRow],
    labels: Iterable[DataRow],
    previous: Iterable[DataRow] = (),
    *,
    taxonomy: Taxonomy,
    min_confidence: float = 0.5,
    named: Collection[str] = (),
    renamed: Mapping[str, str] | None = None,
) -> list[Cause]:
    """The day's friction events under their newest labels, each with its cause.

    friction: `friction_events` of the day.  labels: `event_labels` known by the day.  previous: cause rows of the
    window; those whose label changed are restated in this day (a reader takes the newest row of an event).
    taxonomy: as of the day; a label of a merged type follows the merge.
    A type counts from one source only: the built-in ones from the detectors, all others from the analyst.
    named: components of the settings' map. An event without a component is of the named one that failed just before it
    in its session; families of tools ("shell") are no place that a turn of the user could be put down to.
    renamed: the settings' new component names to their old ones: a cause keeps the id that it had under the first.
    Two components are two causes even where one defect is behind them: two tickets cost less than a wrong merge.
    """
    newest, builtin = _newest_labels(labels), seed().slugs("friction")
    friction = list(friction)
    failures = _failures(friction, frozenset(named))
    rows = {}
    for event in friction:
        friction_type = taxonomy.current("friction", newest.get(event["event_id"]) or event["type"])
        sure = friction_type != event["type"] or event["confidence"] >= min_confidence
        if event["source"] != source_of(friction_type, builtin) or not sure:
            continue
        component = _place(event, failures.get(event["session_id"], ()))
        rows[event["event_id"]] = _cause(day, day, event, friction_type, component, renamed or {})
    for event_id, row in newest_rows(previous).items():
        friction_type = taxonomy.current("friction", newest.get(event_id) or row["type"])
        same_source = source_of(friction_type, builtin) == source_of(row["type"], builtin)
        if event_id not in rows and friction_type != row["type"] and same_source:
            rows[event_id] = _cause(day, row["about_day"], row, friction_type, row["component"], renamed or {})
    return [rows[event_id] for event_id in sorted(rows)]


def _failures(friction: Iterable[DataRow], named: frozenset[str]) -> dict[str, list[tuple[int, str]]]:
    """By session the last steps of failures in named components, in order, each with its component."""
    failures: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for event in friction:
        if event["type"] == "error_event" and event["source"] == "detector" and event.get("component") in named:
            failures[event["session_id"]].append((max(event["steps"]), event["component"]))
    return {session: sorted(found) for session, found in failures.items()}


def _place(event: DataRow, failures: Sequence[tuple[int, str]]) -> str:
    """The event's own component, else that of the last failure at most `NEAR_STEPS` before its first step.

    A failure between the steps of the event counts too: what it did to the user shows in the later ones.
    """
    component: str = event.get("component") or "unknown"
    if component != "unknown" or not failures:
        return component
    first, last = min(event["steps"]), max(event["steps"])
    near = [place for step, place in failures if first - NEAR_STEPS <= step < last]
    return near[-1] if near else component


def _cause(
    day: date, about_day: date, event: DataRow, friction_type: str, component: str, renamed: Mapping[str, str]
) -> Cause:
    return Cause(
        day=day,
        event_id=event["event_id"],
        about_day=about_day,
        cause_id=cause_id(friction_type, first_name(component, renamed)),
        type=friction_type,
        component=component,
        session_id=event["session_id"],
        user_id=event.get("user_id"),
        organization_id=event.get("organization_id"),
    )


def _newest_labels(labels: Iterable[DataRow]) -> dict[str, str]:
    ordered = sorted(
        (row for row in labels if row["kind"] == "friction"),
        key=lambda row: (row["taxonomy_version"], row["ledger_seq"], row["day"], row["type"]),
    )
    return {row["event_id"]: row["type"] for row in ordered}


def newest_rows(rows: Iterable[DataRow]) -> dict[str, DataRow]:
    """Cause rows by event, each under the newest day that states it."""
    return {row["event_id"]: row for row in sorted(rows, key=lambda row: (row["day"], row["event_id"]))}


@dataclass(frozen=True, slots=True)
class CauseFacts:
    """How many a cause concerns in the window. Exact counts: they leave only as bands.

    A user's day supports at most `PATTERNS_A_DAY` causes, so that one account cannot lift many of them over a
    threshold; `events` counts everything.
    """

    cause_id: str
    type: str
    component: str
    users: int
    sessions: int
    organizations: int | None
    events: int
    first_day: date
    largest: int = 0
    """Sessions of the organisation that has most of them."""

    @property
    def counts(self) -> tuple[int, int, int | None, int]:
        """What thresholds ask for."""
        return self.users, self.sessions, self.organizations, self.largest


def cause_facts(
    causes_rows: Iterable[DataRow], audience: Audience, newcomers: Collection[str] = ()
) -> dict[str, CauseFacts]:
    """Counts by cause over a window of `causes` rows, each event under its newest row.

    A day of one user is bounded in what it supports, unless the audience is that user (`self`); `newcomers` support
    nothing (see `cohorts.newcomers`). Their events still count.

    Events without a user count as one user together; organisations are None where none is known.
    """
    groups: dict[str, list[DataRow]] = defaultdict(list)
    newest = list(newest_rows(causes_rows).values())
    for row in newest:
        groups[row["cause_id"]].append(row)
    supported = _supported(newest, None if audience == "self" else PATTERNS_A_DAY)
    nowhere = not any(row["organization_id"] for row in newest)
    facts = {}
    for identifier, rows in sorted(groups.items()):
        support = [
            row
            for row in rows
            if identifier in supported[row["user_id"], row["about_day"]] and row["user_id"] not in newcomers
        ]
        sessions = {row["session_id"]: row["organization_id"] for row in support}
        organizations = Counter(organization for organization in sessions.values() if organization)
        facts[identifier] = CauseFacts(
            cause_id=identifier,
            type=rows[0]["type"],
            component=max(rows, key=lambda row: (row["about_day"], row["event_id"]))["component"],  # may be renamed
            users=len({row["user_id"] for row in support}),
            sessions=len(sessions),
            organizations=None if nowhere else len(organizations),
            events=len(rows),
            first_day=min(row["about_day"] for row in rows),
            largest=max(organizations.values(), default=0),
        )
    return facts


def _supported(rows: Iterable[DataRow], most: int | None) -> dict[tuple[str | None, date], set[str]]:
    """By user and day the causes that the user's day supports: the first `most` by a hash."""
    met: dict[tuple[str | None, date], set[str]] = defaultdict(set)
    for row in rows:
        met[row["user_id"], row["about_day"]].add(row["cause_id"])

    def bounded(user: str | None, day: date, ids: set[str]) -> set[str]:
        return ids if user is None else set(sorted(ids, key=lambda one: content_id("d", user, day, one))[:most])

    return {(user, day): bounded(user, day, ids) for (user, day), ids in met.items()}
