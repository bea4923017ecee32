"""Stage 6 · correlations, inside sessions: the sessions and frictions of a window, in the order in which they came.

Put here: what both `error_association.py` and `leading_indicators.py` read of stored rows, and what a group rests on.
Not here: their questions and tests, rates and releases (see `correlations.py`).

Longer sessions hold more of everything, so counting sessions with both would flag nearly every pair: errors are
compared with chance within the same session, outcomes with sessions of the same length or that came as far.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from signals_assets.core.barrier.thresholds import Size
from signals_assets.core.user_days import ANONYMOUS, CountedType, Rows, day_number, newest_labels, records

WINDOW_DAYS: Final = 28
"""Trailing days that are looked at."""


@dataclass(frozen=True, slots=True)
class WindowSession:
    """What the order within a session needs. start: seconds since 1970, stored to the minute."""

    start: float
    seconds: float
    user: str
    organization: str | None
    steps: int
    agentic_steps: int
    day: date

    @property
    def person(self) -> str:
        """The user for thresholds: all unknown ones are one."""
        return ANONYMOUS if self.user.startswith(ANONYMOUS) else self.user


@dataclass(frozen=True, slots=True)
class WindowEvent:
    """A counted event: its first step, its seconds from the session's start, and how many steps are its evidence."""

    session_id: str
    type: str
    step: int
    seconds: float | None
    statements: int
    severity: str | None


def visible(about: date, known_on: date, day: date) -> bool:
    """Whether a row belongs to the window that ends with `day`, as it was known then."""
    return known_on <= day and 0 <= day_number(day) - day_number(about) < WINDOW_DAYS


def window_sessions(metrics: Rows, day: date) -> dict[str, WindowSession]:
    """Sessions of the window by id, from rows of `session_metrics`."""
    names = ("session_id", "day", "known_on", "started_at", "duration_seconds", "user_id", "organization_id")
    return {
        row[0]: WindowSession(row[3] / 1e6, row[4], row[5] or ANONYMOUS + row[0], row[6], row[7], row[8], row[1])
        for row in records(metrics, (*names, "steps", "agentic_steps"))
        if visible(row[1], row[2], day)
    }


def window_events(
    rows: Rows, kind: str, labels: Rows, types: Sequence[CountedType], day: date, min_confidence: float
) -> list[WindowEvent]:
    """Events of a kind in stored order, under their newest label, from the one source their type is counted from."""
    wanted = {(item.type, item.source) for item in types if item.kind == kind}
    newest = newest_labels(labels, day)
    names = ("event_id", "day", "known_on", "session_id", "type", "source", "confidence", "steps", "seconds_from_start")
    events = []
    for event_id, about, known_on, session_id, stored, source, confidence, steps, seconds, severity in records(
        rows, (*names, "severity")
    ):
        labelled, type_ = newest.get(event_id, (kind, stored))
        sure = type_ != stored or confidence >= min_confidence  # the doubt was about the type that it was stored with
        if sure and steps and labelled == kind and (type_, source) in wanted and visible(about, known_on, day):
            events.append(WindowEvent(session_id, type_, min(steps), seconds, len(steps), severity))
    return events


def size_of(sessions: Collection[WindowSession], organizations_known: bool) -> Size:
    """What some sessions rest on, for thresholds and bands."""
    of_organization = Counter(session.organization for session in sessions if session.organization is not None)
    return Size(
        users=len({session.person for session in sessions}),
        sessions=len(sessions),
        organizations=len(of_organization) if organizations_known else None,
        largest=max(of_organization.values(), default=0),
    )


def organizations_known(sessions: Mapping[str, WindowSession]) -> bool:
    """Whether any session knows its organisation."""
    return any(session.organization is not None for session in sessions.values())
