"""Errors before friction and what follows friction: planted order is found, mere co-occurrence is not."""

from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pytest

from signals_assets.core.error_templates import template_id
from signals_assets.core.user_days import CountedType
from signals_assets.core.within_sessions import error_correlations, leading_indicators

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


def log(number, seconds, message="shard 3 unavailable", start=9 * 3600.0, **more):
    at = datetime.combine(DAY, time(), UTC) + timedelta(seconds=start + seconds)
    return {
        "day": DAY, "known_on": DAY, "message": message, "service": "search", "logged_at": at,
        "session_id": f"s{number}",
    } | more  # fmt: skip


def associations(logs, events, sessions, audience="self", publishable=str):
    rows, coverage = error_correlations(
        DAY, logs=logs, friction=events, metrics=sessions, labels=[], types=TYPES, audience=audience,
        label=lambda kind, word: word, publishable=publishable, min_confidence=0.5,
    )  # fmt: skip
    assert coverage.asked == coverage.answered + sum(coverage.skipped.values())
    return rows, coverage


def bystanders(first, count):
    """Sessions without anything, so that no template is in most of them."""
    return [session(number) for number in range(first, first + count)]


def test_an_error_that_comes_shortly_before_friction_coincides():
    rng = np.random.default_rng(1)
    sessions, logs, events = bystanders(60, 80), [], []
    for number in range(60):
        at = float(rng.uniform(700, 3500))
        sessions.append(session(number))
        events.append(friction(number, at))
        logs.append(log(number, at - 30))
    [row], _ = associations(logs, events, sessions)
    assert (row.verdict, row.method, row.service) == ("coincides", "self_controlled", "search")
    assert row.template_id == template_id("shard <number> unavailable")
    assert row.observed == 60
    # 10 minutes and the minute of slack, of an hour and that minute, each with one line.
    assert row.expected == pytest.approx(60 * 660 / 3660, rel=0.02)
    assert 1 < row.low < row.ratio < row.high


def test_an_error_that_comes_after_friction_does_not():
    rng = np.random.default_rng(2)
    sessions, logs, events = bystanders(60, 80), [], []
    for number in range(60):
        at = float(rng.uniform(700, 2500))
        sessions.append(session(number))
        events.append(friction(number, at))
        logs.append(log(number, at + 300))
    [row], _ = associations(logs, events, sessions)
    assert row.verdict == "not_shown"
    assert row.ratio == 0


def test_long_sessions_that_have_more_of_everything_make_no_association():
    """Sessions of very different length, errors and friction at random: 40 templates, all null."""
    rng = np.random.default_rng(3)
    sessions, logs, events = [], [], []
    for number in range(400):
        seconds = float(rng.choice([600, 3600, 14400]))
        sessions.append(session(number, seconds=seconds))
        events += [
            friction(number, float(t), steps=(i,))
            for i, t in enumerate(rng.uniform(0, seconds, rng.poisson(seconds / 3600)))
        ]
        for template in range(40):
            times = rng.uniform(0, seconds, rng.poisson(seconds / 14400))
            logs += [
                log(number, float(t), f"failure in part{chr(97 + template % 26)}{'xy'[template // 26]} now")
                for t in times
            ]
    rows, _ = associations(logs, events, sessions)
    # Benjamini-Hochberg at 5 % over a family of nulls flags any with probability 5 % at most: none, or a rare one.
    assert sum(row.verdict == "coincides" for row in rows) <= 1


def test_without_session_ids_the_same_hour_is_the_chance():
    rng = np.random.default_rng(4)
    sessions, logs, events = [], [], []
    for number in range(80):
        at = float(rng.uniform(0, 3500))
        start = float(3600 * rng.integers(0, 20))
        sessions.append(session(number, start=start))
        events.append(friction(number, at))
        if number % 2:
            logs.append(log(number, at - 60, start=start, session_id=None))
    [row], _ = associations(logs, events, sessions)
    assert row.method == "time_bins"
    assert row.verdict == "coincides"


def test_a_shared_daily_rhythm_alone_is_no_coincidence():
    rng = np.random.default_rng(5)
    sessions, events = [], []
    for number in range(300):
        start = float(np.clip(rng.normal(12 * 3600, 2 * 3600), 0, 80_000))
        sessions.append(session(number, start=start, seconds=60.0))
        events.append(friction(number, 30.0))
    times = np.clip(rng.normal(12 * 3600, 2 * 3600, 40), 0, 86_000)
    logs = [log(0, float(at), start=0.0, session_id=None) for at in times]
    [row], _ = associations(logs, events, sessions)
    assert row.method == "time_bins"
    assert row.verdict == "not_shown"


def test_templates_in_most_sessions_are_left_out_and_counted():
    sessions = [session(number) for number in range(20)]
    rows, coverage = associations([log(n, 100) for n in range(20)], [friction(n, 200) for n in range(20)], sessions)
    assert not rows
    assert coverage.skipped == {"template_in_most_sessions": 1}


def test_little_data_says_so_and_few_users_say_nothing():
    sessions = [*bystanders(50, 40), *(session(number) for number in range(8))]
    logs, events = [log(n, 100) for n in range(8)], [friction(n, 200) for n in range(8)]
    [row], _ = associations(logs, events, sessions)
    assert (row.verdict, row.observed, row.q) == ("not_enough_data", None, None)
    few = [*bystanders(50, 40), *(session(number, user=number % 4) for number in range(8))]
    rows, coverage = associations(logs, events, few, audience="company")
    assert not rows
    assert coverage.skipped == {"too_few_users": 1}


def test_only_what_may_be_published_of_a_template_is():
    sessions = [*bystanders(50, 40), *(session(number) for number in range(12))]
    logs, events = [log(n, 100) for n in range(12)], [friction(n, 200) for n in range(12)]
    [row], _ = associations(logs, events, sessions, publishable=lambda text: "template-1")
    assert row.template == "template-1"


# --- leading indicators -----------------------------------------------------------------------------------------


def indicators(events, sessions, outcomes=(), audience="self"):
    facets = [
        {
            "session_id": f"s{number}",
            "day": DAY,
            "known_on": DAY,
            "facet": "outcome",
            "value": value,
            "inclusion_weight": 1.0,
        }
        for number, value in outcomes
    ]
    rows, coverage = leading_indicators(
        DAY,
        friction=events,
        facets=facets,
        metrics=sessions,
        labels=[],
        types=TYPES,
        audience=audience,
        min_confidence=0.5,
    )
    assert coverage.asked == coverage.answered + sum(coverage.skipped.values())
    return {(row.indicator, row.outcome): row for row in rows}


def test_sessions_with_friction_that_are_given_up_more_often_show_with_their_lead():
    sessions = [session(number) for number in range(200)]
    events = [friction(number, 600.0, steps=(20,)) for number in range(0, 200, 2)]
    outcomes = [(n, "abandoned" if (n % 2 == 0 and n % 8 < 4) or n % 20 == 1 else "success") for n in range(200)]
    row = indicators(events, sessions, outcomes)["error_event>=1", "outcome=abandoned"]
    assert row.rate_with == pytest.approx(0.5)
    assert row.rate_without == pytest.approx(0.1, abs=0.02)
    assert 0 < row.low < row.difference < row.high
    assert row.q is not None
    assert row.q < 0.01
    assert (row.lead_steps, row.lead_minutes) == (79.0, 50.0)  # of 100 steps and 60 minutes


def test_length_alone_is_no_indicator():
    """Long sessions have both more friction and more abandonment; at the same length there is no difference."""
    rng = np.random.default_rng(7)
    sessions, events, outcomes = [], [], []
    for number in range(1000):
        long = number % 5 >= 3
        sessions.append(session(number, agentic_steps=200 if long else 20))
        if rng.random() < (0.8 if long else 0.1):
            events.append(friction(number, 60.0))
        outcomes.append((number, "abandoned" if rng.random() < (0.6 if long else 0.05) else "success"))
    row = indicators(events, sessions, outcomes)["error_event>=1", "outcome=abandoned"]
    assert row.low <= 0 <= row.high
    assert abs(row.difference) < 0.1


def test_only_what_comes_later_counts_as_following():
    sessions = [session(number) for number in range(100)]
    before = [friction(n, 60.0, "correction", (5,)) for n in range(50)]
    after = [friction(n, 600.0, "error_event", (20,)) for n in range(50)]
    found = indicators([*before, *after], sessions)
    assert found["error_event>=1", "later correction"].rate_with == 0.0
    assert found["correction>=1", "later escalation_tone"].rate_with == 0.0


def test_the_chance_of_one_more_statement_is_that_of_the_runs_that_got_so_far():
    sessions = [session(number) for number in range(200)]
    runs = [3] * 20 + [4] * 10 + [5] * 10
    events = [friction(n, 60.0, "repeated_rephrasing", tuple(range(1, 2 * k, 2))) for n, k in enumerate(runs)]
    found = indicators(events, sessions)
    third = found["repeated_rephrasing statements>=3", "one more statement"]
    assert third.rate_with == pytest.approx(0.5)
    assert third.rate_without == pytest.approx(0.2)
    fourth = found["repeated_rephrasing statements>=4", "one more statement"]
    assert fourth.rate_with == pytest.approx(0.5)
    assert fourth.rate_without == pytest.approx(0.5)


def test_indicators_of_few_users_are_withheld():
    sessions = [session(number) for number in range(100)]
    events = [friction(n, 60.0) for n in range(3)]
    assert not indicators(events, sessions, [(n, "abandoned") for n in range(100)], audience="company")


def test_nothing_in_gives_nothing_out():
    assert indicators([], []) == {}
    assert associations([], [], [])[0] == []


def test_events_that_are_only_material_for_discovery_take_no_part_whoever_found_them():
    types = [*TYPES, CountedType("friction", "other", "analyst")]
    sessions = [session(number) for number in range(40)]
    logs = [log(number, 500.0) for number in range(12)]
    unsure = [friction(number, 600.0, "other", source="analyst", confidence=0.4) for number in range(12)]

    def tested(labels):
        rows, _ = error_correlations(
            DAY, logs=logs, friction=unsure, metrics=sessions, labels=labels, types=types, audience="self",
            label=lambda kind, word: word, publishable=str, min_confidence=0.5,
        )  # fmt: skip
        return rows

    assert tested([]) == []
    typed = {"kind": "friction", "type": "error_event", "day": DAY, "taxonomy_version": 2}
    types.append(CountedType("friction", "error_event", "analyst"))
    assert tested([typed | {"event_id": row["event_id"]} for row in unsure])
