"""What follows friction: planted order is found with its lead, length alone is not."""

from datetime import UTC, datetime, time, timedelta

import numpy as np
import pytest

from signals_assets.core.leading_indicators import leading_indicators
from signals_assets.core.user_days import CountedType
from signals_assets_tests.core.session_factories import DAY, TYPES, friction, session


def indicators(events, sessions, outcomes=(), audience="self", delight=(), told=()):
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
        delight=delight,
        facets=facets,
        metrics=sessions,
        outcomes=told,
        labels=[],
        label=lambda kind, word: "label",
        types=[*TYPES, CountedType("delight", "time_saved", "detector")],
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
    outcomes = [(n, "abandoned") for n in range(100)]
    found = indicators(events, sessions, outcomes, audience="company")
    assert {row.verdict for row in found.values()} == {"not_enough_data"}
    assert {(row.rate_with, row.low, row.q, row.users) for row in found.values()} == {(None, None, None, "<5")}
    assert indicators(events, sessions, outcomes, audience="public") == {}


def test_every_question_is_asked_of_nothing_too():
    found = indicators([], [])
    assert {row.verdict for row in found.values()} == {"not_enough_data"}
    assert found.keys() == indicators([friction(1, 60.0)], [session(1)], [(1, "success")]).keys()


def test_a_sign_shortly_before_the_end_is_compared_with_sessions_that_came_as_far():
    """Of 200 sessions of 30 or of 200 steps, those that meet the error at step 15 end soon, abandoned, in 3 of 4 cases;
    of the others that came to step 15 one in four ends so soon after it."""
    sessions, events, outcomes = [], [], []
    for number in range(200):
        met = number % 2 == 0
        soon = number % 8 < 6 if met else number % 8 == 1
        sessions.append(session(number, steps=30 if soon else 200))
        if met:
            events.append(friction(number, 600.0, steps=(15,)))
        outcomes.append((number, "abandoned" if soon else "success"))
    row = indicators(events, sessions, outcomes)["error_event>=1", "abandoned within 20 steps"]
    assert (row.design, row.verdict) == ("same_step", "more_often")
    assert row.rate_with == pytest.approx(0.75)
    assert row.rate_without == pytest.approx(0.25)
    assert (row.lead_steps, row.lead_minutes) == (14.0, 50.0)


def test_sessions_that_ended_before_the_sign_could_come_are_no_comparison():
    """All short sessions are abandoned without friction; at step 50 nobody of them is left."""
    sessions = [session(n, steps=100 if n % 2 else 10) for n in range(200)]
    events = [friction(n, 600.0, steps=(50,)) for n in range(1, 200, 4)]
    outcomes = [(n, "success" if n % 2 else "abandoned") for n in range(200)]
    row = indicators(events, sessions, outcomes)["error_event>=1", "abandoned within 20 steps"]
    assert (row.rate_with, row.rate_without) == (0.0, 0.0)


def test_recovered_errors_stand_beside_none_and_beside_unrecovered_ones():
    sessions, events, outcomes, delight = [], [], [], []
    for number in range(300):
        kind = ("none", "recovered", "unrecovered")[number % 3]
        sessions.append(session(number, agentic_steps=40))
        if kind != "none":
            events.append(friction(number, 60.0, severity="low" if kind == "recovered" else "high"))
        if number // 3 % 10 < {"none": 2, "recovered": 6, "unrecovered": 1}[kind]:
            delight.append(friction(number, 90.0, "time_saved"))
        outcomes.append((number, "success" if kind != "unrecovered" or number // 3 % 2 else "partial"))
    found = indicators(events, sessions, outcomes, delight=delight)
    pleased = found["error_event recovered, not none", "any delight"]
    assert (pleased.rate_with, pleased.rate_without) == (pytest.approx(0.6), pytest.approx(0.2))
    assert pleased.verdict == "more_often"
    other = found["error_event recovered, not unrecovered", "any delight"]
    assert other.rate_without == pytest.approx(0.1)
    ended = found["error_event recovered, not unrecovered", "outcome=success"]
    assert (ended.rate_with, ended.rate_without, ended.verdict) == (1.0, pytest.approx(0.5), "more_often")


def test_friction_at_the_beginning_is_told_from_friction_later():
    sessions = [session(number) for number in range(200)]
    events = [friction(n, 60.0, steps=(2 if n % 2 else 60,)) for n in range(200)]
    outcomes = [(n, "abandoned" if n % 4 == 1 else "success") for n in range(200)]
    row = indicators(events, sessions, outcomes)["friction in the first 10 steps", "outcome=abandoned"]
    assert (row.rate_with, row.rate_without, row.verdict) == (pytest.approx(0.5), 0.0, "more_often")


def test_after_many_statements_success_is_compared_with_no_rephrasing():
    sessions = [session(number) for number in range(200)]
    events = [friction(n, 60.0, "repeated_rephrasing", (1, 3, 5)) for n in range(60)]
    outcomes = [(n, "success" if n >= 60 or n % 3 == 0 else "partial") for n in range(200)]
    row = indicators(events, sessions, outcomes)["repeated_rephrasing statements>=3", "outcome=success"]
    assert (row.rate_with, row.rate_without, row.verdict) == (pytest.approx(1 / 3, abs=1e-4), 1.0, "less_often")


# --- users ------------------------------------------------------------------------------------------------------


def life_of(users, outcome="churned", happened=3, met=lambda user: user % 2 == 0, had=lambda user: False):
    """Users with a session each on the first day of the window and what became of them `happened` days ago."""
    first = DAY - timedelta(days=27)
    sessions = [session(user, user=user, day=first, known_on=first) for user in range(users)]
    events = [friction(user, 60.0, day=first, known_on=first) for user in range(users) if met(user)]
    at = datetime.combine(DAY - timedelta(days=happened), time(), UTC)
    told = [{"user_id": f"u{user}", "outcome": outcome, "happened_at": at, "known_on": at.date()}
            for user in range(users) if had(user)]  # fmt: skip
    return indicators(events, sessions, told=told)


def test_users_who_met_friction_and_left_afterwards_show_as_users():
    found = life_of(200, had=lambda user: user % 4 == 0 or user % 20 == 1)
    row = found["error_event>=1", "user churned within 14 days"]
    assert (row.design, row.verdict, row.users) == ("by_user", "more_often", "100")
    assert (row.rate_with, row.rate_without) == (pytest.approx(0.5), pytest.approx(0.1))


def test_what_happened_before_the_second_half_is_no_consequence():
    found = life_of(200, happened=20, had=lambda user: user % 4 == 0)
    row = found["error_event>=1", "user churned within 14 days"]
    assert (row.rate_with, row.users) == (0.0, "50")  # the fifty who had left by then are no users of the question


def test_friction_without_a_tie_to_what_becomes_of_users_shows_none():
    rng = np.random.default_rng(12)
    left = set(np.nonzero(rng.random(300) < 0.3)[0].tolist())
    row = life_of(300, had=lambda user: user in left)["error_event>=1", "user churned within 14 days"]
    assert row.verdict == "not_shown"
    assert row.low <= 0 <= row.high


def test_an_outcome_of_another_name_is_published_by_its_label():
    found = life_of(40, outcome="signed the big deal", had=lambda user: user < 20)
    assert ("error_event>=1", "user label within 14 days") in found
