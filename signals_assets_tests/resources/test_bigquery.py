"""The BigQuery warehouse over HTTP: the contract, and what is its own (jobs, retries, layout)."""

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
import sqlglot

from signals_assets.resources import bigquery
from signals_assets.resources.bigquery import BigQueryWarehouse
from signals_assets.resources.bigquery_connection import BigQueryConnection, BigQueryJobs
from signals_assets.resources.bigquery_layout import Audience, Layout
from signals_assets.resources.stored_rows import WarehouseError
from signals_assets.tables import TABLES, FrictionEvent, Quarantined, RawSession
from signals_assets_tests.fakes.bigquery_server import LOCATION, PROJECT, BigQueryServer
from signals_assets_tests.resources.warehouse_contract import (
    DAY,
    NEXT,
    WarehouseContract,
    event,
    ids,
    quarantined,
    raw_session,
    without,
)


@pytest.fixture
def server() -> Iterator[BigQueryServer]:
    with BigQueryServer(page=3) as running:
        yield running


def connection(server: BigQueryServer) -> BigQueryConnection:
    return BigQueryConnection(project=PROJECT, location=LOCATION, endpoint=server.origin)


def opened(server: BigQueryServer, folder: Path, **changes: float) -> BigQueryWarehouse:
    jobs = BigQueryJobs(
        connection(server), maximum_bytes_billed=10**9, **{"patience_seconds": 3, "first_wait": 0.01} | changes
    )
    return BigQueryWarehouse(jobs, Layout(PROJECT, "signals", LOCATION, least_users=5), folder / "spool")


@pytest.fixture
def warehouse(server: BigQueryServer, tmp_path: Path) -> BigQueryWarehouse:
    return opened(server, tmp_path)


class TestBigQueryWarehouseHoldsTheContract(WarehouseContract):
    pass


LOADS = "POST /upload/|PUT /upload/"
QUERIES = "POST .*/queries$"


def trouble(server: BigQueryServer, kind: str, fits: str, times: int = 1) -> None:
    """The next requests that fit are refused or get lost."""
    if kind.isdigit():
        server.refuse(int(kind), "rateLimitExceeded" if kind == "429" else "backendError", fits, times)
    else:
        server.fail(kind, fits, times)


KINDS = ["429", "500", "503", "before", "after", "cut"]


def committed(server: BigQueryServer) -> int:
    """Load jobs that took effect."""
    return sum("load" in job["configuration"] and "errorResult" not in job["status"] for job in server.jobs.values())


# --- one write, whatever fails -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_write_happens_once_whatever_becomes_of_the_request(
    server: BigQueryServer, warehouse: BigQueryWarehouse, kind: str
) -> None:
    warehouse.replace(Quarantined, DAY, [quarantined(1)])
    trouble(server, kind, LOADS)
    assert warehouse.replace(Quarantined, DAY, [quarantined(2)]) == 1
    assert ids(warehouse.read(Quarantined, DAY)) == ["r2"]
    assert committed(server) == 2


def test_a_job_that_exists_and_is_not_shown_yet_is_asked_for_again(
    server: BigQueryServer, warehouse: BigQueryWarehouse
) -> None:
    warehouse.replace(Quarantined, DAY, [quarantined(1)])
    server.fail("after", LOADS)
    server.refuse(404, "notFound", "GET .*/jobs/signals_", times=2)
    assert warehouse.replace(Quarantined, DAY, [quarantined(2)]) == 1
    assert committed(server) == 2


@pytest.mark.parametrize("kind", ["after", "cut"])
def test_a_large_file_is_sent_in_parts_that_may_get_lost(
    server: BigQueryServer, warehouse: BigQueryWarehouse, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(bigquery, "_MULTIPART", 0)
    server.fail(kind, "PUT /upload/")
    warehouse.replace(Quarantined, DAY, [quarantined(n) for n in range(50)])
    assert len(ids(warehouse.read(Quarantined, DAY))) == 50
    assert committed(server) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_read_is_whole_whatever_becomes_of_the_request(
    server: BigQueryServer, warehouse: BigQueryWarehouse, kind: str
) -> None:
    rows = [quarantined(n) for n in range(8)]  # three pages
    warehouse.replace(Quarantined, DAY, rows)
    trouble(server, kind, QUERIES)
    trouble(server, kind, "GET .*/queries/")
    assert ids(warehouse.read(Quarantined, DAY)) == [row.record_id for row in rows]
    trouble(server, kind, QUERIES)
    assert warehouse.days(Quarantined) == [DAY]
    trouble(server, kind, QUERIES, times=2)
    found = warehouse.query("select count(*) as n from quarantine", zones=["restricted"])
    assert found.to_pylist() == [{"n": 8}]


def test_an_empty_day_is_noted_once_whatever_becomes_of_the_request(
    server: BigQueryServer, warehouse: BigQueryWarehouse
) -> None:
    warehouse.replace(Quarantined, DAY, [quarantined(1)])
    server.fail("after", QUERIES, times=2)
    server.fail("after", LOADS)
    assert warehouse.replace(Quarantined, DAY, []) == 0
    assert warehouse.days(Quarantined) == [DAY]
    assert server.state.count(("signals_restricted", "empty_days")) == 1


def test_a_page_without_its_end_is_an_error_and_not_a_shorter_day(
    server: BigQueryServer, warehouse: BigQueryWarehouse
) -> None:
    warehouse.replace(Quarantined, DAY, [quarantined(n) for n in range(8)])
    server.short = 1
    with pytest.raises(WarehouseError, match=r"quarantine \(2026-03-02\): BigQuery gave 1 of 8 rows"):
        warehouse.read(Quarantined, DAY)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_patience_ends_and_the_old_rows_stay(server: BigQueryServer, tmp_path: Path, status: int) -> None:
    warehouse = opened(server, tmp_path, patience_seconds=0.1)
    warehouse.replace(Quarantined, DAY, [quarantined(1)])
    server.refuse(status, "backendError", LOADS, times=50)
    with pytest.raises(WarehouseError, match=r"quarantine \(2026-03-02\): BigQuery refused \(backendError\)"):
        warehouse.replace(Quarantined, DAY, [quarantined(2)])
    assert ids(warehouse.read(Quarantined, DAY)) == ["r1"]


def test_a_job_that_fails_in_passing_is_started_anew_and_one_that_cannot_succeed_is_not(
    server: BigQueryServer, warehouse: BigQueryWarehouse
) -> None:
    warehouse.replace(Quarantined, DAY, [quarantined(1)])
    server.fail_loads(["backendError", "rateLimitExceeded"])
    warehouse.replace(Quarantined, DAY, [quarantined(2)])
    assert ids(warehouse.read(Quarantined, DAY)) == ["r2"]
    before = len(server.asked("load"))
    server.fail_loads(["invalid"])
    with pytest.raises(WarehouseError, match="invalid"):
        warehouse.replace(Quarantined, DAY, [quarantined(3)])
    assert len(server.asked("load")) == before + 1
    assert ids(warehouse.read(Quarantined, DAY)) == ["r2"]
    warehouse.replace(Quarantined, DAY, [quarantined(4)])
    assert ids(warehouse.read(Quarantined, DAY)) == ["r4"]


# --- the order of writes -----------------------------------------------------------------------------------------


def test_equal_rows_are_written_again_after_others(server: BigQueryServer, warehouse: BigQueryWarehouse) -> None:
    for number in (1, 2, 1, 1):
        warehouse.replace(Quarantined, DAY, [quarantined(number)])
        assert ids(warehouse.read(Quarantined, DAY)) == [f"r{number}"]
    names = [name for name, job in server.jobs.items() if "load" in job["configuration"]]
    assert len(set(names)) == 4
    assert all(name.startswith("signals_quarantine_20260302_") for name in names)


def test_a_deleted_day_is_written_anew_with_the_same_rows(warehouse: BigQueryWarehouse) -> None:
    for _ in range(3):
        warehouse.replace(Quarantined, DAY, [quarantined(1)])
        assert ids(warehouse.read(Quarantined, DAY)) == ["r1"]
        assert warehouse.delete_days(Quarantined, [DAY]) == 1
        assert warehouse.days(Quarantined) == []


def test_a_job_that_a_dead_process_left_behind_does_not_come_late_over_newer_rows(
    server: BigQueryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = opened(server, tmp_path / "dying")
    dying.replace(Quarantined, DAY, [quarantined(1)])

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dying, "_finished", die)
    server.pending = 1_000
    with pytest.raises(KeyboardInterrupt):
        dying.replace(Quarantined, DAY, [quarantined(2)])
    [waiting] = [name for name, job in server.jobs.items() if job["status"]["state"] == "RUNNING"]
    server.pending = 0
    server.finish_after(waiting, 1)
    opened(server, tmp_path / "next").replace(Quarantined, DAY, [quarantined(3)])
    assert server.jobs[waiting]["status"] == {"state": "DONE"}
    assert ids(opened(server, tmp_path / "reader").read(Quarantined, DAY)) == ["r3"]


def test_writers_at_the_same_time_all_write_and_no_day_is_mixed(server: BigQueryServer, tmp_path: Path) -> None:
    doors = [opened(server, tmp_path / str(number)) for number in range(3)]
    doors[0].replace(Quarantined, DAY, [])

    def write(number: int) -> int:
        rows = [quarantined(n, reason=f"writer {number}") for n in range(4)]
        return doors[number].replace(Quarantined, DAY, rows)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(write, range(3))) == [4, 4, 4]
    stored = doors[0].read(Quarantined, DAY).to_pylist()
    assert [row["record_id"] for row in stored] == ["r0", "r1", "r2", "r3"]
    assert len({row["reason"] for row in stored}) == 1


def test_an_erasure_starts_over_when_the_day_was_replaced_meanwhile(server: BigQueryServer, tmp_path: Path) -> None:
    warehouse, other = opened(server, tmp_path / "one"), opened(server, tmp_path / "other")
    warehouse.replace(Quarantined, DAY, [quarantined(1), quarantined(2)])
    turns = []

    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        if not turns:
            other.replace(Quarantined, DAY, [quarantined(2), quarantined(3), quarantined(4)])
        turns.append(batch.num_rows)
        return without("r2")(batch)

    assert warehouse.rewrite(Quarantined, DAY, change) == 1
    assert ids(warehouse.read(Quarantined, DAY)) == ["r3", "r4"]


# --- age ---------------------------------------------------------------------------------------------------------


def test_a_day_is_as_old_as_its_last_write_and_an_erasure_does_not_make_it_younger(
    warehouse: BigQueryWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on(day: int) -> None:
        monkeypatch.setattr(bigquery, "_today", lambda: date(2026, 4, day))

    on(1)
    warehouse.replace(Quarantined, DAY, [])
    assert warehouse.written_on(Quarantined, DAY) == date(2026, 4, 1)
    on(2)
    warehouse.replace(Quarantined, DAY, [quarantined(1), quarantined(2)])
    assert warehouse.written_on(Quarantined, DAY) == date(2026, 4, 2)
    on(3)
    assert warehouse.rewrite(Quarantined, DAY, without("r1")) == 1
    assert warehouse.rewrite(Quarantined, DAY, without("r2")) == 1
    assert warehouse.days(Quarantined) == [DAY]
    assert warehouse.written_on(Quarantined, DAY) == date(2026, 4, 2)
    on(4)
    warehouse.replace(Quarantined, DAY, [])
    assert warehouse.written_on(Quarantined, DAY) == date(2026, 4, 4)
    assert warehouse.written_on(Quarantined, NEXT) is None


# --- what BigQuery is asked --------------------------------------------------------------------------------------


def test_jobs_are_bounded_and_labelled_and_loads_go_into_one_partition(
    server: BigQueryServer, warehouse: BigQueryWarehouse
) -> None:
    warehouse.replace(FrictionEvent, DAY, [event(1, "the")])
    warehouse.query("select count(*) from friction_events")
    [load] = server.asked("load")
    assert load["destinationTable"]["tableId"] == "friction_events$20260302"
    assert (load["writeDisposition"], load["createDisposition"]) == ("WRITE_TRUNCATE", "CREATE_NEVER")
    assert len(load["schema"]["fields"]) == len(FrictionEvent.model_fields) + 3
    for job in server.jobs.values():
        assert job["configuration"]["labels"]["application"] == "signals"
    assert {query["maximumBytesBilled"] for query in server.asked("query")} == {str(10**9)}


def test_a_query_that_would_read_too_much_is_refused_before_it_runs(server: BigQueryServer, tmp_path: Path) -> None:
    opened(server, tmp_path).replace(FrictionEvent, DAY, [event(n, "the") for n in range(9)])
    frugal = BigQueryWarehouse(
        BigQueryJobs(connection(server), maximum_bytes_billed=50, patience_seconds=1, first_wait=0.01),
        Layout(PROJECT, "signals", LOCATION, least_users=5),
        tmp_path,
    )
    with pytest.raises(WarehouseError, match="maximum_bytes_billed"):
        frugal.query("select session_id from friction_events")
    with pytest.raises(WarehouseError, match=r"bytesBilledLimitExceeded.*maximum_bytes_billed"):
        frugal.read(FrictionEvent, DAY)


def test_an_error_of_a_query_says_what_is_wrong_with_it_and_quotes_no_value(warehouse: BigQueryWarehouse) -> None:
    warehouse.replace(FrictionEvent, DAY, [event(1, "wording of a person")])
    with pytest.raises(WarehouseError, match="no_such_column"):
        warehouse.query("select no_such_column from friction_events")
    with pytest.raises(WarehouseError, match="invalidQuery") as refusal:
        warehouse.query("select citation::int from friction_events")
    assert "wording" not in str(refusal.value)


def test_reading_makes_nothing(server: BigQueryServer, warehouse: BigQueryWarehouse) -> None:
    assert warehouse.read(Quarantined, DAY).num_rows == 0
    assert warehouse.days(Quarantined) == []
    assert warehouse.written_on(Quarantined, DAY) is None
    assert warehouse.query("select event_id from friction_events").num_rows == 0
    assert "0 tables" in warehouse.check()
    assert server.state.datasets == {}


def test_the_restricted_folder_holds_nothing_after_a_write(warehouse: BigQueryWarehouse) -> None:
    warehouse.replace(RawSession, DAY, [raw_session(1)])
    assert list(warehouse.spool.iterdir()) == []
    assert stat.S_IMODE(warehouse.spool.stat().st_mode) == 0o700


# --- layout ------------------------------------------------------------------------------------------------------


def test_tables_are_partitioned_clustered_described_and_those_of_raw_text_demand_days(
    server: BigQueryServer, warehouse: BigQueryWarehouse
) -> None:
    assert warehouse.set_up() == warehouse.set_up()
    assert {name for _, name in server.state.tables} == {*TABLES, "empty_days"}
    for name, model in TABLES.items():
        table = server.state.stored((f"signals_{model.zone}", name)).resource
        assert table["timePartitioning"] == {"type": "DAY", "field": "day"}
        assert set(table.get("clustering", {}).get("fields", [])) <= set(model.key)
        assert table.get("requirePartitionFilter", False) == (model.zone == "restricted")
        assert all(column["description"] for column in table["schema"]["fields"])
    assert {name: int(zone["maxTimeTravelHours"]) for name, zone in server.state.datasets.items()} == dict.fromkeys(
        ("signals_restricted", "signals_abstracted", "signals_published", "signals_shared", "signals_counts"), 48
    )


def test_zones_are_read_by_whom_they_are_for(server: BigQueryServer, tmp_path: Path) -> None:
    who = Audience("serviceAccount:runs@x.test", "group:analysts@x.test", "domain:x.test")
    jobs = BigQueryJobs(connection(server), maximum_bytes_billed=10**9, first_wait=0.01)
    BigQueryWarehouse(jobs, Layout(PROJECT, "signals", LOCATION, least_users=5, who=who), tmp_path).set_up()

    def readers(part: str) -> set[str]:
        entries = server.state.datasets[f"signals_{part}"]["access"]
        return {
            str(entry.get("groupByEmail") or entry.get("domain")) for entry in entries if entry.get("role") == "READER"
        }

    assert readers("restricted") == set()
    assert readers("abstracted") == readers("published") == readers("counts") == {"analysts@x.test"}
    assert readers("shared") == {"x.test"}
    views = {
        part: {
            entry["view"]["tableId"] for entry in server.state.datasets[f"signals_{part}"]["access"] if "view" in entry
        }
        for part in ("restricted", "abstracted", "published")
    }
    published = {name for name, model in TABLES.items() if model.zone == "published"}
    assert views == {"restricted": set(), "abstracted": {"user_days"}, "published": published}


def test_the_counting_view_answers_groups_of_enough_users_only_and_not_at_all_to_the_public(
    server: BigQueryServer, warehouse: BigQueryWarehouse
) -> None:
    warehouse.set_up()
    view = server.state.stored(("signals_counts", "user_days")).resource["view"]
    assert view["privacyPolicy"] == {
        "aggregationThresholdPolicy": {"threshold": "5", "privacyUnitColumns": ["user_id"]}
    }
    assert "organization_id" in view["query"].partition("EXCEPT (")[2].partition(")")[0]
    public = Layout(PROJECT, "signals", LOCATION, least_users=0)
    assert [view.table_id for view in public.views()] == [view.table_id for view in warehouse.layout.views()][:-1]


def test_the_printed_statements_can_be_read_and_name_every_table(warehouse: BigQueryWarehouse) -> None:
    statements = list(warehouse.layout.statements())
    made = [sqlglot.parse_one(one, read="bigquery") for one in statements if not one.startswith("GRANT")]
    assert all(isinstance(one, sqlglot.exp.Create) for one in made)
    tables = {one.find(sqlglot.exp.Table).name for one in made if one.kind == "TABLE"}
    assert tables == {*TABLES, "empty_days"}
    [counting] = [one for one in statements if "aggregation_threshold_policy" in one]
    assert '"threshold": 5, "privacy_unit_columns": "user_id"' in counting


def test_values_that_parquet_and_json_write_differently_come_back_as_they_were(warehouse: BigQueryWarehouse) -> None:
    odd = ['quote " and \\ and \n line', "\u2028 \U0001f600 é", "", "NULL", "true", "1e3"]
    warehouse.replace(RawSession, DAY, [raw_session(n, text) for n, text in enumerate(odd)])
    assert warehouse.read(RawSession, DAY).column("session").to_pylist() == odd
    found = warehouse.query("select session from raw_sessions order by session_id", zones=["restricted"])
    assert found.column("session").to_pylist() == odd
    rates = [0.1 + 0.2, 1e-300, -0.0, 5e-324, 1.7976931348623157e308]
    rows = [event(n, None).model_copy(update={"confidence": rate}) for n, rate in enumerate(rates)]
    warehouse.replace(FrictionEvent, DAY, rows)
    assert warehouse.read(FrictionEvent, DAY).column("confidence").to_pylist() == rates
