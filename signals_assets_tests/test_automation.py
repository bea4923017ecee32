"""How assets are declared, what the jobs cover, retention, and that a missing day is refused before a write."""

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from signals_assets import automation
from signals_assets.automation import (
    ACTING,
    daily_asset,
    daily_assets,
    materialized,
)
from signals_assets.core import discovery_items, within_sessions
from signals_assets.core.retention import EXPIRING, VECTORS, WINDOW_DAYS, WINDOWED
from signals_assets.definitions import defs
from signals_assets.metadata import store
from signals_assets.resources.warehouse import ParquetWarehouse, Warehouse
from signals_assets.settings import Settings
from signals_assets.tables import TABLES, Agreement, Detection, RawSession, Row, SessionMetrics
from signals_assets_tests.conftest import FIRST_DAY, LAST_DAY
from signals_assets_tests.home import QUIET, Home, failures

DAY = date(2026, 1, 5)


def test_nothing_runs_by_itself_where_pieces_of_work_leave_the_machine() -> None:
    assert automation.sensor_status(Settings()) is dg.DefaultSensorStatus.RUNNING
    away = Settings(compute="dask", dask_scheduler="tcp://scheduler:8786")
    assert automation.sensor_status(away) is dg.DefaultSensorStatus.STOPPED
    assert {schedule.default_status for schedule in automation.schedules(away)} == {dg.DefaultScheduleStatus.STOPPED}


def assets_of(job: str) -> set[str]:
    return {key.to_user_string() for key in defs.resolve_job_def(job).asset_layer.selected_asset_keys}


def test_the_flow_is_everything_but_what_acts():
    assert assets_of("flow") == set(TABLES)
    assert assets_of("act") == set(ACTING)


def test_the_cycle_ends_at_the_analyst_and_the_collection_does_the_rest():
    cycle, collection = assets_of("cycle"), assets_of("collection")
    assert cycle | collection == set(TABLES)
    assert cycle & collection == {"analysis_batches"}  # collects, checks and resubmits
    assert {TABLES[name].stage for name in cycle} == {"sessions", "metrics", "analysis"}
    assert "analyses" in collection


def test_the_daily_cycle_asks_for_yesterday():
    [schedule] = [item for item in automation.schedules(Settings()) if item.name == "daily_cycle"]
    built = defs.resolve_schedule_def(schedule.name)
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 1, 9, 2, tzinfo=UTC))
    [request] = built.evaluate_tick(context).run_requests
    assert request.partition_key == "2026-01-08"


# --- declaring -----------------------------------------------------------------------------------------------------


def test_an_asset_s_description_says_what_its_rows_are_how_they_are_made_and_their_zone():
    @daily_asset(Agreement)
    def agreement() -> None:
        """Counted by hand."""

    [spec] = agreement.specs
    assert spec.key == dg.AssetKey("agreement")
    assert spec.description == f"{Agreement.__doc__}\n\nCounted by hand.\n\nZone: abstracted."


def run(asset: dg.AssetsDefinition, warehouse: ParquetWarehouse, *keys: str) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [asset],
            partition_key=DAY.isoformat(),
            selection=[*keys] if keys else None,
            resources={"warehouse": warehouse},
            instance=instance,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )


def test_an_asset_is_refused_before_it_writes_where_a_table_it_reads_lacks_the_day(tmp_path: Path):
    warehouse = ParquetWarehouse(tmp_path)

    @daily_asset(Agreement, deps=["detections"])
    def agreement(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> None:
        store(context, warehouse, Agreement, DAY, [])

    [said] = failures(run(agreement, warehouse)).values()
    assert "detections lacks 2026-01-05 (1 of this run's 1 days): it expired or was never materialized" in said
    assert warehouse.days(Agreement) == []
    warehouse.replace(Detection, DAY, [])
    assert run(agreement, warehouse).success
    assert warehouse.days(Agreement) == [DAY]


def test_a_common_pass_writes_the_tables_that_were_asked_for(tmp_path: Path):
    warehouse = ParquetWarehouse(tmp_path)

    @daily_assets(SessionMetrics, Detection, name="both", deps=["raw_sessions"])
    def both(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
    ) -> Iterator[dg.MaterializeResult]:
        for model in (SessionMetrics, Detection):
            store(context, warehouse, model, DAY, [])
        yield from materialized(context, SessionMetrics, Detection)

    assert not run(both, warehouse).success
    warehouse.replace(RawSession, DAY, [])
    assert run(both, warehouse, "detections").success
    assert (warehouse.days(SessionMetrics), warehouse.days(Detection)) == ([], [DAY])
    assert run(both, warehouse).success
    assert warehouse.days(SessionMetrics) == [DAY]


# --- retention -----------------------------------------------------------------------------------------------------


def stored(home: Home) -> dict[str, list[date]]:
    return {name: home.warehouse.days(model) for name, model in TABLES.items()}


def expire(home: Home, monkeypatch: pytest.MonkeyPatch, today: date) -> None:
    """The nightly retention, on some day, of files that were written on the days they are about."""
    for path in (home.folder / "warehouse").rglob("????-??-??.parquet"):
        written = datetime.fromisoformat(f"{path.stem}T12:00:00+00:00").timestamp()
        os.utime(path, (written, written))
    monkeypatch.setattr(automation, "today", lambda: today)
    job = home.definitions.resolve_job_def("retention")
    assert job.execute_in_process(run_config=QUIET, instance=home.instance).success


def is_raw(model: type[Row]) -> bool:
    """Whether a table holds words of sessions, or what can be turned back into them."""
    return bool({"session", "message", "comment", "answer", "vector", "user_hashes"} & set(model.model_fields))


def test_every_table_with_raw_text_or_vectors_expires():
    assert {name for name, model in TABLES.items() if is_raw(model)} <= {*EXPIRING, *WINDOWED, *VECTORS}
    assert {TABLES[name].zone for name in (*EXPIRING, *WINDOWED, *VECTORS)} == {"restricted"}


def test_what_later_days_read_back_on_is_kept_as_long_as_they_do(
    lived: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert max(discovery_items.WINDOW_DAYS, within_sessions.WINDOW_DAYS) <= WINDOW_DAYS
    before = stored(lived)
    with lived.copy(tmp_path / "home", retention_days=1) as home:
        expire(home, monkeypatch, today=FIRST_DAY + timedelta(days=WINDOW_DAYS))
        after = stored(home)
        assert all(after[name] == before[name] for name in WINDOWED)
        assert not after["raw_sessions"]
        expire(home, monkeypatch, today=FIRST_DAY + timedelta(days=WINDOW_DAYS + 1))
        assert all(stored(home)[name] == before[name][1:] for name in WINDOWED)


def test_a_day_that_was_read_late_is_kept_as_long_as_one_read_in_time(
    lived: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with lived.copy(tmp_path / "home", retention_days=1) as home:
        home.warehouse.replace(RawSession, FIRST_DAY, [])  # written now
        monkeypatch.setattr(automation, "today", lambda: datetime.now(UTC).date())
        job = home.definitions.resolve_job_def("retention")
        assert job.execute_in_process(run_config=QUIET, instance=home.instance).success
        assert FIRST_DAY in home.warehouse.days(RawSession)


def test_retention_removes_old_restricted_days_and_nothing_else(
    lived: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    before = stored(lived)
    with lived.copy(tmp_path / "home", retention_days=2) as home:
        expire(home, monkeypatch, today=LAST_DAY + timedelta(days=1))
        for name, days in stored(home).items():
            assert days == (before[name][-2:] if name in EXPIRING else before[name]), name
        expire(home, monkeypatch, today=LAST_DAY + timedelta(days=1))
        assert stored(home)["raw_sessions"] == before["raw_sessions"][-2:]


def test_an_expired_day_whose_source_is_gone_is_not_rebuilt_and_loses_nothing(
    lived: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    empty = tmp_path / "emptied"
    empty.mkdir()
    with lived.copy(tmp_path / "home", retention_days=1, sessions=[empty]) as home:
        expire(home, monkeypatch, today=LAST_DAY + timedelta(days=30))
        before = home.tables(FIRST_DAY, LAST_DAY)
        [said] = failures(home.materialize(FIRST_DAY, only=["raw_sessions", "quarantine"], fails=True)).values()
        assert "stored sessions; nothing was written" in said
        [said] = failures(home.materialize(FIRST_DAY, only=["session_metrics", "detections"], fails=True)).values()
        assert "raw_sessions lacks 2026-01-05" in said
        assert home.tables(FIRST_DAY, LAST_DAY) == before


def test_an_expired_day_that_the_source_still_has_comes_back_as_it_was(
    lived: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    before = lived.rows(RawSession, FIRST_DAY)
    with lived.copy(tmp_path / "home", retention_days=1) as home:
        expire(home, monkeypatch, today=LAST_DAY + timedelta(days=30))
        assert home.rows(RawSession, FIRST_DAY) == []
        home.materialize(FIRST_DAY, only=["raw_sessions", "quarantine"])
        assert home.rows(RawSession, FIRST_DAY) == before
