"""Errors before friction: planted order is found, mere co-occurrence in long sessions, bursts and hours is not."""

from datetime import UTC, datetime, time, timedelta

import numpy as np
import pytest

from signals_assets.core.error_association import error_correlations
from signals_assets.core.error_templates import template_id
from signals_assets.core.user_days import CountedType
from signals_assets_tests.core.session_factories import DAY, TYPES, friction, session


def log(number, seconds, message="shard 3 unavailable", start=9 * 3600.0, **more):
    at = datetime.combine(DAY, time(), UTC) + timedelta(seconds=start + seconds)
    return {
        "day": DAY, "known_on": DAY, "message": message, "service": "search", "logged_at": at,
        "session_id": f"s{number}",
    } | more  # fmt: skip


def associations(logs, events, sessions, audience="self", publishable=str):
    rows, coverage = error_correlations(
        DAY, logs=[logs], friction=events, metrics=sessions, labels=[], types=TYPES, audience=audience,
        label=lambda kind, word: word, publishable=publishable, min_confidence=0.5,
    )  # fmt: skip
    assert coverage.asked == coverage.answered + sum(coverage.skipped.values())
    return rows, coverage


def bystanders(first, count):
    """Sessions without anything, so that no template is in most of them."""
    return [session(number) for number in range(first, first + count)]


def shortly_before():
    """Sixty sessions with an error half a minute before their friction, beside eighty without anything."""
    rng = np.random.default_rng(1)
    sessions, logs, events = bystanders(60, 80), [], []
    for number in range(60):
        at = float(rng.uniform(700, 3500))
        sessions.append(session(number))
        events.append(friction(number, at))
        logs.append(log(number, at - 30))
    return sessions, logs, events


def test_an_error_that_comes_shortly_before_friction_coincides():
    sessions, logs, events = shortly_before()
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


def test_events_that_are_only_material_for_discovery_take_no_part_whoever_found_them():
    types = [*TYPES, CountedType("friction", "other", "analyst")]
    sessions = [session(number) for number in range(40)]
    logs = [log(number, 500.0) for number in range(12)]
    unsure = [friction(number, 600.0, "other", source="analyst", confidence=0.4) for number in range(12)]

    def tested(labels):
        rows, _ = error_correlations(
            DAY, logs=[logs], friction=unsure, metrics=sessions, labels=labels, types=types, audience="self",
            label=lambda kind, word: word, publishable=str, min_confidence=0.5,
        )  # fmt: skip
        return rows

    assert tested([]) == []
    typed = {"kind": "friction", "type": "error_event", "day": DAY, "taxonomy_version": 2}
    types.append(CountedType("friction", "error_event", "analyst"))
    assert tested([typed | {"event_id": row["event_id"]} for row in unsure])


def test_work_that_comes_in_bursts_makes_no_association():
    """Errors and frictions both within minutes of the same moments of a session, in no order: old tests name it."""
    rng = np.random.default_rng(8)
    sessions, logs, events = [], [], []
    for number in range(300):
        sessions.append(session(number, user=number, seconds=7200.0))
        for at in rng.uniform(400, 6800, 2):
            events.append(friction(number, float(at + rng.normal(0, 200)), steps=(len(events),)))
            if number % 3 == 0:
                logs.append(log(number, float(at + rng.normal(0, 200))))
    [row], _ = associations(logs, events, sessions)
    assert row.verdict == "not_shown"
    assert row.low > 1  # more often than at random times of the session: only the comparison in time tells


def test_one_user_with_most_of_the_frictions_neither_decides_nor_drowns_a_pair():
    rng = np.random.default_rng(9)
    sessions, logs, events = bystanders(500, 200), [], []
    for number in range(140):
        at = float(rng.uniform(1000, 3500))
        heavy = number >= 60
        sessions.append(session(number, user="heavy" if heavy else number))
        events.append(friction(number, at))
        logs.append(log(number, float(rng.uniform(0, 3500)) if heavy else at - 30))
    [row], _ = associations(logs, events, sessions)
    assert row.verdict == "coincides"
    only_heavy = [one for one in logs if int(one["session_id"][1:]) >= 60]
    [row], _ = associations(only_heavy, [one for one in events if int(one["session_id"][1:]) >= 60], sessions)
    assert row.verdict == "not_enough_data"


def test_lines_come_in_batches_of_any_size():
    sessions, logs, events = shortly_before()
    whole, _ = associations(logs, events, sessions)

    def told(batches):
        return error_correlations(
            DAY, logs=batches, friction=events, metrics=sessions, labels=[], types=TYPES, audience="self",
            label=lambda kind, word: word, publishable=str, min_confidence=0.5,
        )[0]  # fmt: skip

    assert told([one] for one in logs) == whole
    assert told([logs[:7], [], logs[7:]]) == whole


def test_a_flood_of_the_same_line_is_one_moment():
    sessions, logs, events = bystanders(60, 80), [], []
    for number in range(12):
        sessions.append(session(number))
        events.append(friction(number, 2000.0))
        logs += [log(number, 1900.0 + part / 100) for part in range(90)]
    [row], _ = associations(logs, events, sessions)
    assert row.expected == pytest.approx(12 * 660 / 3660, abs=0.01)


def test_messages_beyond_what_can_be_mined_are_counted(monkeypatch):
    monkeypatch.setattr("signals_assets.core.error_association.MOST_MESSAGES", 2)
    logs = [log(0, 10.0, f"failure of {word}") for word in ("discs", "fans", "cables", "discs")]
    _, coverage = error_correlations(
        DAY, logs=[logs], friction=[], metrics=[session(0)], labels=[], types=TYPES, audience="self",
        label=lambda kind, word: word, publishable=str, min_confidence=0.5,
    )  # fmt: skip
    assert coverage.notes == {"lines_beyond_variety": 1}
