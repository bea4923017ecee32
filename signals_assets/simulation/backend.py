"""Simulation: log lines of the backend that name a session without having done anything to it.

Put here: harmless templates, and the two confounders: lines that grow with a session's length and lines of the
incident hours.
Not here: the error that causes friction (see `moments.backend_error`).
"""

import random
from collections.abc import Sequence
from typing import Final

from signals_assets.simulation.story import Incident
from signals_assets.simulation.words import pick

Line = tuple[float, str, str, str]
"""Seconds since 1970, service, level, message."""

HARMLESS: Final = (
    ("cache", "WARN", "cache miss ratio {percent}% above target for shard {small}"),
    ("webhooks", "ERROR", "delivery to endpoint {big} failed, retry {small} scheduled"),
    ("auth", "WARN", "token refresh took {ms} ms"),
    ("search-index", "ERROR", "segment {big} could not be merged, will retry in {small} s"),
    ("mailer", "ERROR", "bounce received for message {big}"),
    ("storage", "WARN", "upload part {small} of object {big} retried"),
    ("metrics", "ERROR", "dropped {small} samples, buffer full"),
    ("scheduler", "WARN", "job {big} started {ms} ms late"),
)
"""Frequent templates that have nothing to do with friction."""
LENGTH_TEMPLATES: Final = (
    ("session-store", "WARN", "slow write of {ms} ms for snapshot {big}"),
    ("stream", "ERROR", "heartbeat missed {small} times on channel {big}, reconnecting"),
)
"""Every minute of a session may log them: long sessions have more, as they have more friction."""
INCIDENT_TEMPLATE: Final = ("deploy-proxy", "ERROR", "upstream reset after {ms} ms, {small} requests requeued")

HARMLESS_PER_SESSION: Final = 0.9
LENGTH_LINES_PER_MINUTE: Final = 0.05
INCIDENT_LINES_PER_MINUTE: Final = 0.4
RECOVERED_PER_QUERY_SESSION: Final = 0.03
"""Sessions in which the pool was exhausted too, but the gateway's own retry hid it from the user."""


def _message(rng: random.Random, template: tuple[str, str, str], at: float) -> Line:
    service, level, text = template
    message = text.format(
        percent=20 + int(rng.random() * 60),
        small=1 + int(rng.random() * 9),
        big=10_000 + int(rng.random() * 900_000),
        ms=300 + int(rng.random() * 5000),
    )
    return at, service, level, message


def _times(rng: random.Random, start: float, end: float, per_minute: float) -> list[float]:
    """Times of a Poisson stream between `start` and `end`."""
    times = []
    at = start
    while per_minute > 0 and (at := at + 60.0 * rng.expovariate(per_minute)) < end:
        times.append(at)
    return times


def unrelated_lines(
    rng: random.Random, start: float, end: float, incidents: Sequence[Incident], recovered: bool
) -> list[Line]:
    """Lines that name a session which ran from `start` to `end`; `recovered`: it may hit an error that was hidden."""
    minutes = max(1.0, (end - start) / 60.0)
    lines = [_message(rng, pick(rng, HARMLESS), at) for at in _times(rng, start, end, HARMLESS_PER_SESSION / minutes)]
    lines += [_message(rng, pick(rng, LENGTH_TEMPLATES), at) for at in _times(rng, start, end, LENGTH_LINES_PER_MINUTE)]
    for incident in incidents:
        times = _times(rng, max(start, incident.start), min(end, incident.end), INCIDENT_LINES_PER_MINUTE)
        lines += [_message(rng, INCIDENT_TEMPLATE, at) for at in times]
    if recovered and rng.random() < RECOVERED_PER_QUERY_SESSION:
        milliseconds, tenant = 1500 + int(rng.random() * 900), int(rng.random() * 1000)
        message = f"connection pool exhausted after {milliseconds} ms for tenant t-{tenant:04d}"
        lines.append((start + rng.random() * (end - start), "query-gateway", "ERROR", message))
    return lines


def background_lines(rng: random.Random, start: float, end: float) -> list[Line]:
    """Harmless lines of a day that name no session."""
    return [_message(rng, pick(rng, HARMLESS), at) for at in _times(rng, start, end, 0.12)]
