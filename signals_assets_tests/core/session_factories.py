"""Sessions and frictions of one day for what is asked inside sessions: plain rows with keyword overrides."""

from datetime import UTC, date, datetime, time, timedelta

from signals_assets.core.user_days import CountedType

DAY = date(2026, 3, 20)
ERROR = CountedType("friction", "error_event", "detector")
TYPES = [
    CountedType("friction", name, "detector")
    for name in ("error_event", "repeated_rephrasing", "correction", "escalation_tone")
]


def session(number, user=None, start=9 * 3600.0, seconds=3600.0, **more):
    at = datetime.combine(DAY, time(), UTC) + timedelta(seconds=start)
    return {
        "session_id": f"s{number}", "day": DAY, "known_on": DAY, "started_at": at.replace(second=0, microsecond=0),
        "duration_seconds": seconds, "user_id": f"u{number % 40 if user is None else user}", "organization_id": "o1",
        "steps": 100, "agentic_steps": 40 + number % 5,
    } | more  # fmt: skip


def friction(number, seconds, type_="error_event", steps=(10,), **more):
    return {
        "event_id": f"e{number}-{type_}-{steps}", "session_id": f"s{number}", "day": DAY, "known_on": DAY,
        "type": type_, "source": "detector", "confidence": 0.9, "steps": list(steps), "seconds_from_start": seconds,
    } | more  # fmt: skip
