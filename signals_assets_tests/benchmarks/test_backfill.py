"""The benchmark of a year's backfill: how days are copied, and two days of it."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from signals_assets.benchmarks import backfill


def test_a_copied_week_has_days_and_names_of_its_own_and_the_same_users() -> None:
    week = pa.table(
        {
            "day": pa.array([date(2025, 1, 6)]),
            "started_at": pa.array([datetime(2025, 1, 6, 9, tzinfo=UTC)], pa.timestamp("us", "UTC")),
            "session_id": ["s"],
            "user_id": ["u"],
            "agent_version": pa.array([None], pa.string()),
        }
    )
    assert backfill._moved(week, 0).equals(week)
    (row,) = backfill._moved(week, 3).to_pylist()
    assert row == {
        "day": date(2025, 1, 27), "started_at": datetime(2025, 1, 27, 9, tzinfo=UTC), "session_id": "s.3",
        "user_id": "u", "agent_version": None,
    }  # fmt: skip


def test_the_year_is_cut_into_runs_that_follow_each_other() -> None:
    ranges = list(backfill._ranges(40))
    assert ranges == [(date(2025, 1, 6), date(2025, 2, 5)), (date(2025, 2, 6), date(2025, 2, 14))]


@pytest.mark.slow
def test_two_days_are_filled_and_every_table_of_the_measured_stages_is_timed() -> None:
    result = backfill.run(days=2, sessions_a_day=8)
    assert [row["stage"] for row in result["stages"]] == [*backfill.MEASURED, "checks", "Dagster"]
    assert {"user_days", "friction_levels", "fix_outcomes", "daily_report"} <= {
        row["table"] for row in result["tables"]
    }
    assert sum(row["seconds"] for row in result["stages"]) == pytest.approx(result["seconds"], abs=0.5)
    (gate,) = result["gates"]
    assert gate["measured"] == pytest.approx(sum(row["seconds"] for row in result["stages"][:-1]), abs=0.5)
