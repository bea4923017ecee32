"""The data's circuit breakers: which inputs stop filing, at the numbers of the guardrails."""

import json
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta

import pytest

from signals_assets.core.breakers import BreakerInputs, candidates, half_open, open_breakers, settled_fixes
from signals_assets.resources.ledger import Entry
from signals_assets.settings import BreakerSettings

DAY = date(2026, 3, 9)
LIMITS = BreakerSettings()
CALM = BreakerInputs(
    DAY.isoformat(), candidates=2, usual_candidates=1.0, sessions=80, quarantined=20, summaries=100, refused=10,
    fixes=5, failed_fixes=1,
)  # fmt: skip


def test_at_the_limits_nothing_is_open_and_an_empty_day_is_no_alarm():
    assert open_breakers(replace(CALM, candidates=3), LIMITS) == []
    assert open_breakers(BreakerInputs(DAY.isoformat()), LIMITS) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"candidates": 4}, "4 types are over their thresholds at once, more than 3"),
        ({"candidates": 4, "usual_candidates": 0.0}, "4 types are over their thresholds at once, more than 3"),
        ({"sessions": 75, "quarantined": 25}, "25 % of the day's sessions were set aside, more than 20 %"),
        ({"refused": 11}, "11 % of the day's summaries were refused by the barrier, more than 10 %"),
        ({"failed_fixes": 2}, "2 of the last 5 fixes were reverted or closed unmerged"),
        ({"taxonomy_changed": True}, "the categories changed today"),
    ],
)
def test_over_a_limit_the_reason_is_said_with_its_numbers(change, said):
    assert open_breakers(replace(CALM, **change), LIMITS) == [f"a circuit breaker is open: {said}"]


def test_all_open_breakers_are_named_and_the_stored_inputs_replay_them():
    given = replace(CALM, refused=60, failed_fixes=3)
    found = open_breakers(given, LIMITS)
    assert len(found) == 2
    assert open_breakers(BreakerInputs(**json.loads(json.dumps(asdict(given)))), LIMITS) == found


def test_without_enough_history_nobody_knows_how_many_candidates_are_usual():
    assert open_breakers(replace(CALM, candidates=50, usual_candidates=None), LIMITS) == []


def test_a_change_of_categories_can_be_let_pass():
    given = replace(CALM, taxonomy_changed=True)
    assert open_breakers(given, BreakerSettings(taxonomy_changed=False)) == []


def levels(back, over, calm=5):
    day = DAY - timedelta(back)
    return [{"day": day, "days_over": 1} for _ in range(over)] + [{"day": day, "days_over": 0} for _ in range(calm)]


def test_candidates_are_the_rows_over_their_threshold_against_the_median_of_the_days_before():
    history = [row for back, over in enumerate((1, 0, 2, 2, 3, 9, 2), start=1) for row in levels(back, over)]
    assert candidates([*levels(0, 8), *history], DAY) == (8, 2)
    assert candidates([*levels(0, 8), *history[:-7]], DAY) == (8, None)
    assert candidates([*history, *levels(40, 9)], DAY) == (0, 2)


def fix(number, state="merged", title="Fix", known=DAY, **columns):
    opened = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=int(number))
    return {
        "pull_request_id": number, "day": known, "known_on": known, "title": title, "branch": "fix/sig-0a1b2c3d",
        "body": None, "ticket_keys": [], "state": state, "opened_at": opened,
        "merged_at": opened if state == "merged" else None,
    } | columns  # fmt: skip


def failed(*rows, last=5):
    return settled_fixes(rows, {"SIG-0A1B2C3D", "ENG-7"}, DAY, last)


def test_fixes_that_were_closed_unmerged_or_taken_back_failed():
    revert = fix("9", branch="x", reverts="1", merged_at=datetime(2026, 3, 5, tzinfo=UTC))
    assert failed(fix("1"), fix("2", "closed"), fix("3"), revert) == (3, 2)
    assert failed(fix("1"), fix("2", branch="eng", ticket_keys=["ENG-7"], state="closed")) == (2, 1)


def test_open_changes_and_those_of_others_and_older_ones_do_not_count():
    assert failed(fix("1", "open"), fix("2", "closed", branch="mine")) == (0, 0)
    assert failed(fix("1", "closed"), *[fix(str(number)) for number in range(2, 7)]) == (5, 0)
    assert failed(fix("1", "closed", known=DAY + timedelta(1))) == (0, 0)


def test_the_newest_state_of_a_change_counts():
    reopened = fix("1", known=DAY)
    assert failed(fix("1", "closed", known=DAY - timedelta(1)), reopened) == (1, 0)


def test_the_day_after_a_breaker_was_open_it_is_half_open_and_then_closed():
    noted = [Entry(1, "breaker", "a", None, {"inputs": {"day": "2026-03-09"}})]
    assert half_open(noted, date(2026, 3, 9))
    assert not half_open(noted, date(2026, 3, 10))
    assert not half_open(noted, None)
    assert not half_open([], date(2026, 3, 9))
