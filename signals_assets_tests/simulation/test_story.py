"""The rates follow the story, within what chance and users' habits allow."""

import math
from collections import Counter
from datetime import timedelta

import pytest

from signals_assets.simulation.population import INTRA_USER_CORRELATION, population, proneness
from signals_assets.simulation.story import (
    BACKEND_ERROR,
    BACKEND_RATE_WHEN_FIXED,
    COMPONENTS,
    EMERGING,
    ORDINARY_FIX_FACTOR,
    QUERY_INTENTS,
    RATES,
    Story,
    fixed_rates,
    next_release_day,
    release_number,
    version_name,
)
from signals_assets_tests.simulation.worlds import START, events, planted, truth


def version_on(day: int) -> str:
    number = release_number(day)
    assert number is not None
    return version_name(number)


def order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def assert_rate(rows, name, expected):
    """The share of rows with `name` lies within four standard errors, users counted as clusters."""
    users = Counter(row["user"] for row in rows)
    design = 1 + INTRA_USER_CORRELATION * (sum(n * n for n in users.values()) / len(rows) - 1)
    error = math.sqrt(expected * (1 - expected) / len(rows) * design)
    share = sum(bool(planted(row, name)) for row in rows) / len(rows)
    assert abs(share - expected) < 4 * error, f"{name}: {share:.3f}, expected {expected} +- {error:.3f}"


def between(rows, first, last=None):
    return [
        row
        for row in rows
        if order(first) <= order(row["version"]) and (not last or order(row["version"]) < order(last))
    ]


def test_context_churn_rises_with_its_release_and_falls_with_the_fix(world_folder):
    rows = truth(world_folder)
    (fix,) = [fix for fix in events(world_folder)["fixes"] if fix["type"] == "context_churn"]
    assert fix["works"]
    base = RATES["context_churn"]
    assert_rate(between(rows, "1.4.0", version_on(8)), "context_churn", base)
    assert_rate(between(rows, version_on(8), fix["released_in"]), "context_churn", 0.35)
    assert_rate(between(rows, fix["released_in"]), "context_churn", base)


def test_rephrasing_falls_with_its_release(world_folder):
    rows = [row for row in truth(world_folder) if row["intent"] not in QUERY_INTENTS]
    assert_rate(between(rows, "1.4.0", version_on(11)), "repeated_rephrasing", RATES["repeated_rephrasing"])
    assert_rate(between(rows, version_on(11)), "repeated_rephrasing", 0.05)


def test_a_fix_that_does_not_work_leaves_the_backend_error(world_folder):
    (fix,) = [fix for fix in events(world_folder)["fixes"] if fix["type"] == "error_event"]
    assert not fix["works"]
    assert fix["shipped"]
    rows = [
        {**row, "friction": [item for item in row["friction"] if item.get("cause") == "query-gateway"]}
        for row in truth(world_folder)
        if row["intent"] in QUERY_INTENTS
    ]
    assert_rate(between(rows, "1.4.0", fix["released_in"]), "error_event", RATES[BACKEND_ERROR])
    assert_rate(between(rows, fix["released_in"]), "error_event", RATES[BACKEND_ERROR])


def test_types_that_the_story_leaves_alone_stay(world_folder):
    rows = truth(world_folder)
    for name in ("correction", "platform_confusion", "positive_exclamation"):
        for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            assert_rate(half, name, RATES[name])


@pytest.mark.parametrize("item", EMERGING, ids=lambda item: item.name)
def test_what_emerges_begins_on_its_day(world_folder, item):
    first = (START + timedelta(days=item.first_day - 1)).isoformat()
    rows = truth(world_folder)
    assert not any(planted(row, item.name) for row in rows if row["day"] < first)
    assert_rate([row for row in rows if row["day"] >= first], item.name, item.rate)


def test_leaving_follows_sessions_that_were_given_up(world_folder):
    from signals_assets_tests.simulation.worlds import lines

    left = {
        row["user_id"] for row in lines(world_folder / "records/user_outcomes.jsonl") if row["outcome"] == "churned"
    }
    given_up = Counter(row["user"] for row in truth(world_folder) if row["outcome"] == "abandoned")
    all_of = Counter(row["user"] for row in truth(world_folder))
    share_left = sum(given_up[user] for user in left) / sum(all_of[user] for user in left)
    share_stayed = sum(given_up[user] for user in all_of if user not in left) / sum(
        all_of[user] for user in all_of if user not in left
    )
    assert share_left > share_stayed


def test_releases_come_every_three_days_and_week_one_changes_nothing():
    days = [day for day in range(1, 29) if release_number(day)]
    assert days == list(range(2, 29, 3))
    assert next_release_day(8) == 11
    story = Story(0, START)
    for day in days:
        story.ship(day, {}, ())
    changed = {row["story_day"] for row in story.effects() if row["changes"]}
    assert changed == {8, 11}


def test_in_a_quiet_story_nothing_emerges_and_no_release_changes_anything():
    story = Story(0, START, quiet=True)
    for day in range(2, 29, 3):
        story.ship(day, {}, ())
    assert not any(row["changes"] for row in story.effects())
    assert story.emerging == ()
    assert {story.rate(item.name, 5, 28) for item in EMERGING} == {0.0}
    assert story.rate("context_churn", 5, 28) == RATES["context_churn"]


def test_a_day_without_a_release_ships_nothing():
    with pytest.raises(ValueError, match="no release is due"):
        Story(0, START).ship(3, {}, ())


def test_a_working_fix_returns_a_raised_type_to_its_base_and_lowers_one_at_its_base():
    raised = {**RATES, "context_churn": 0.35}
    assert fixed_rates("context_churn", "editor", raised) == {"context_churn": RATES["context_churn"]}
    assert fixed_rates("correction", "editor", RATES) == {"correction": RATES["correction"] * ORDINARY_FIX_FACTOR}
    assert fixed_rates("shifted_dates", "unknown", RATES) == {"shifted_dates": 0.0}
    assert fixed_rates("never_heard_of", "unknown", RATES) == {}


@pytest.mark.parametrize("component", ["query-gateway", "unknown", "c_12ab"])
def test_an_error_at_the_gateway_or_nowhere_in_particular_is_the_backend_error(component):
    assert fixed_rates("error_event", component, RATES) == {BACKEND_ERROR: BACKEND_RATE_WHEN_FIXED}


@pytest.mark.parametrize("component", sorted(set(COMPONENTS) - {"query-gateway"}))
def test_an_error_elsewhere_is_the_ordinary_one(component):
    assert set(fixed_rates("error_event", component, RATES)) == {"error_event"}


def test_proneness_keeps_the_mean_and_has_the_intra_user_correlation():
    rate, users = 0.1, 4000
    rates = [proneness(1, f"u{number}", "x", rate) for number in range(users)]
    mean = sum(rates) / users
    variance = sum((value - mean) ** 2 for value in rates) / users
    expected = INTRA_USER_CORRELATION * rate * (1 - rate)
    assert abs(mean - rate) < 4 * math.sqrt(expected / users)
    assert 0.6 * expected < variance < 1.4 * expected
    assert proneness(1, "u", "x", 0.0) == 0.0


def test_a_few_users_own_much_of_the_traffic_and_every_organisation_has_users():
    users = population(3, 150, 12)
    shares = sorted((user.activity for user in users), reverse=True)
    assert math.isclose(sum(shares), 1.0)
    assert sum(shares[:15]) > 0.3
    assert len({user.organization_id for user in users}) == 12
    assert len({user.user_id for user in users}) == 150
