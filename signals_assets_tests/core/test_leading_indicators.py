"""What follows friction: planted order is found with its lead, length alone is not."""

import numpy as np
import pytest

from signals_assets.core.leading_indicators import leading_indicators
from signals_assets_tests.core.session_factories import DAY, TYPES, friction, session


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
