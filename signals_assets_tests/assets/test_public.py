"""The audience public over the real graph: noise or nothing, a budget that ends, a repeat that costs nothing."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from signals_assets.partitions import between
from signals_assets.resources.privacy_budget import CHARGED, REFUSED
from signals_assets.tables import (
    TABLES,
    DailyReport,
    ErrorCorrelation,
    FixOutcome,
    FrictionLevel,
    FrictionRate,
    IntentTrend,
    LeadingIndicator,
    ReleaseCorrelation,
    UserDay,
)
from signals_assets_tests.conftest import FIRST_DAY, LAST_DAY
from signals_assets_tests.home import Home

DAYS = list(between(FIRST_DAY, LAST_DAY))
STAGES = [name for name, model in TABLES.items() if model.zone == "published"]


def crowd(day: date, users: int, concerned: int) -> list[UserDay]:
    """So many users with two sessions each, some with an error in one of them."""
    common = {"day": day, "about_day": day, "known_on": day, "agent_name": "agent", "agent_version": "1.0",
              "source": "detector", "taxonomy_version": 1}  # fmt: skip
    rows = []
    for user in range(users):
        who = {"user_id": f"u_{user}", "organization_id": f"o_{user % 4}"}
        rows.append(UserDay(**common, **who, kind="session", type="all", sessions=2, weight=2.0))
        if user < concerned:
            rows.append(UserDay(**common, **who, kind="friction", type="error_event", sessions=1, weight=1.0, events=1))
    return rows


@pytest.fixture(scope="module")
def told(lived: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Every published table for public, with a budget of two days, over a crowd of known size."""
    folder = tmp_path_factory.mktemp("public") / "home"
    public = {"epsilon": 1.0, "monthly_epsilon": 2.0}
    with lived.copy(folder, audience="public", public=public) as home:
        for model in TABLES.values():
            if model.zone == "published":
                home.warehouse.delete_days(model, home.warehouse.days(model))
        for page in (home.folder / "reports").glob("*"):
            page.unlink()
        for day in DAYS:
            home.warehouse.replace(UserDay, day, crowd(day, 300, 120))
        home.materialize(FIRST_DAY, LAST_DAY, only=STAGES, fails=False)
        yield home


def test_a_paid_day_shows_noisy_users_by_type_and_no_slice_and_no_week(told: Home):
    rows = told.rows(FrictionRate, *DAYS[:2])
    assert {(row["type"], row["slice_kind"], row["window_days"]) for row in rows} == {("error_event", "all", 1)}
    for row in rows:
        assert row["low"] <= row["rate"] <= row["high"]
        assert abs(row["rate"] - 0.4) < 0.15
        assert row["users"].startswith("about ")
        assert row["sessions"] == "not shown"


def test_days_over_the_month_s_budget_have_no_rows_and_fail_the_check(told: Home):
    assert len(DAYS) > 2
    assert told.rows(FrictionRate, *DAYS[2:]) == []
    assert [entry.payload["day"] for entry in told.ledger.entries([CHARGED])] == [str(day) for day in DAYS[:2]]
    assert [entry.payload["day"] for entry in told.ledger.entries([REFUSED])] == [str(day) for day in DAYS[2:]]
    again = told.materialize(FIRST_DAY, LAST_DAY, only=["friction_rates"])
    checks = {check.check_name: check.passed for check in again.get_asset_check_evaluations()}
    assert checks["privacy_budget"] is False


def test_nothing_else_of_people_is_shown(told: Home):
    for model in (ErrorCorrelation, LeadingIndicator, IntentTrend):
        assert told.rows(model) == [], model.table
    for row in told.rows(ReleaseCorrelation):
        assert (row["evidence"], row["rate_before"], row["rate_after"], row["q"]) == (
            "not_enough_data", None, None, None,
        )  # fmt: skip
    for row in (*told.rows(FrictionLevel), *told.rows(FixOutcome)):
        assert "not shown" in row.values()
    assert {(row["level"], row["lower_bound"]) for row in told.rows(FrictionLevel)} == {(None, None)}
    assert {row["section"] for row in told.rows(DailyReport)} <= {"headline", "hurts", "changes", "new", "loop"}
    page = (told.folder / f"reports/{FIRST_DAY}.html").read_text()
    assert "differential privacy" in page
    assert "Coverage and cost" not in page or "Sessions read" not in page.partition("Coverage and cost")[2]


def test_a_repeat_costs_nothing_and_changes_nothing(told: Home, tmp_path: Path):
    before, paid = told.rows(FrictionRate), told.ledger.entries([CHARGED])
    told.warehouse.delete_days(FrictionRate, [FIRST_DAY])
    told.materialize(FIRST_DAY, only=["friction_rates"])
    assert told.rows(FrictionRate) == before
    assert told.ledger.entries([CHARGED]) == paid
