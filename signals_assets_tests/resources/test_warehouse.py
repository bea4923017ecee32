"""The Parquet warehouse: the contract, and what is its own (files, views, processes)."""

import os
import pickle
import stat
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from signals_assets.resources.stored_rows import GROUP_BYTES
from signals_assets.resources.warehouse import ABANDONED_SECONDS, ParquetWarehouse, WarehouseError
from signals_assets.tables import FrictionEvent, Quarantined, RawSession, to_arrow
from signals_assets_tests.resources.warehouse_contract import (
    DAY,
    NEXT,
    WarehouseContract,
    event,
    ids,
    quarantined,
    raw_session,
)


@pytest.fixture
def warehouse(tmp_path: Path) -> ParquetWarehouse:
    return ParquetWarehouse(tmp_path / "tables")


class TestParquetWarehouseHoldsTheContract(WarehouseContract):
    pass


def test_equal_rows_give_equal_bytes(warehouse: ParquetWarehouse) -> None:
    file = warehouse.folder / "restricted" / "quarantine" / f"{DAY}.parquet"
    written = []
    for _ in range(2):
        warehouse.replace(Quarantined, DAY, [quarantined(1), quarantined(2)])
        written.append(file.read_bytes())
    assert written[0] == written[1]


def test_the_restricted_zone_is_readable_by_its_owner_only(warehouse: ParquetWarehouse) -> None:
    warehouse.replace(Quarantined, DAY, [])
    assert stat.S_IMODE((warehouse.folder / "restricted").stat().st_mode) == 0o700


def test_nothing_temporary_is_left_by_success_or_failure(warehouse: ParquetWarehouse) -> None:
    warehouse.replace(Quarantined, DAY, [quarantined(1)])
    with pytest.raises(WarehouseError):
        warehouse.replace(Quarantined, DAY, [quarantined(1), quarantined(1)])
    assert sorted(path.name for path in (warehouse.folder / "restricted" / "quarantine").iterdir()) == [
        f"{DAY}.parquet",
        "schema.parquet",
    ]


def test_what_a_dead_writer_left_is_removed_but_not_what_a_living_one_writes(warehouse: ParquetWarehouse) -> None:
    warehouse.replace(Quarantined, DAY, [])
    folder = warehouse.folder / "restricted" / "quarantine"
    dead, living = folder / ".tmp-dead", folder / ".tmp-living"
    for path in (dead, living):
        path.write_bytes(b"half")
    long_ago = time.time() - ABANDONED_SECONDS - 60
    os.utime(dead, (long_ago, long_ago))
    warehouse.replace(Quarantined, NEXT, [])
    assert not dead.exists()
    assert living.exists()


def test_big_sessions_are_written_in_small_row_groups(warehouse: ParquetWarehouse) -> None:
    text = "x" * (GROUP_BYTES // 4)
    warehouse.replace(RawSession, DAY, (raw_session(n, text) for n in range(10)))
    file = pq.ParquetFile(warehouse.folder / "restricted" / "raw_sessions" / f"{DAY}.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [4, 4, 2]


def test_big_tables_are_cut_into_small_row_groups_too(warehouse: ParquetWarehouse) -> None:
    table = to_arrow(RawSession, [raw_session(n, "x" * (GROUP_BYTES // 4)) for n in range(8)])
    warehouse.replace(RawSession, DAY, table)
    file = pq.ParquetFile(warehouse.folder / "restricted" / "raw_sessions" / f"{DAY}.parquet")
    assert file.num_row_groups > 1


def test_chunks_are_references_not_rows(warehouse: ParquetWarehouse) -> None:
    warehouse.replace(RawSession, DAY, [raw_session(n, "x" * 2**20) for n in range(20)])
    chunks = list(warehouse.chunks(RawSession, DAY))
    assert len(chunks) > 1
    assert all(len(pickle.dumps(chunk)) < 2_000 for chunk in chunks)
    assert [row["session_id"] for chunk in chunks for row in chunk] == [f"s{n}" for n in range(20)]


def test_a_chunk_of_a_day_that_was_replaced_meanwhile_is_refused(warehouse: ParquetWarehouse) -> None:
    warehouse.replace(RawSession, DAY, [raw_session(n) for n in range(3)])
    (before,) = warehouse.chunks(RawSession, DAY)
    warehouse.replace(RawSession, DAY, [raw_session(n) for n in range(3, 6)])
    with pytest.raises(WarehouseError, match="replaced while it was read"):
        list(before)
    warehouse.delete_days(RawSession, [DAY])
    with pytest.raises(WarehouseError, match="shared disk"):
        list(before)


def test_streaming_in_and_out_holds_a_few_row_groups_in_memory(warehouse: ParquetWarehouse) -> None:
    before = pa.total_allocated_bytes()
    highest = 0

    def sessions():
        nonlocal highest
        for number in range(120):
            highest = max(highest, pa.total_allocated_bytes() - before)
            yield raw_session(number, os.urandom(2**18).hex())

    warehouse.replace(RawSession, DAY, sessions())
    for _ in warehouse.stream(RawSession, DAY, rows_per_batch=8):
        highest = max(highest, pa.total_allocated_bytes() - before)
    assert highest < 4 * GROUP_BYTES


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_text('/etc/hostname')",
        "select * from read_parquet('{folder}/restricted/quarantine/*.parquet')",
        "select * from glob('/etc/*')",
        "copy friction_events to '{folder}/out.csv'",
        "attach '{folder}/other.db'",
        "set memory_limit = '100GB'",
        "select * from models",
    ],
)
def test_a_query_reaches_no_file_beside_the_views(warehouse: ParquetWarehouse, sql: str) -> None:
    warehouse.replace(Quarantined, DAY, [quarantined(1)])
    warehouse.replace(FrictionEvent, DAY, [event(1, "a")])
    with pytest.raises(WarehouseError):
        warehouse.query(sql.format(folder=warehouse.folder))


def test_an_error_of_a_query_quotes_no_value(warehouse: ParquetWarehouse) -> None:
    warehouse.replace(FrictionEvent, DAY, [event(1, "wording of a person")])
    with pytest.raises(WarehouseError) as refusal:
        warehouse.query("select citation::int from friction_events")
    assert "wording" not in str(refusal.value)


def test_show_and_describe_name_the_tables_of_the_zones(warehouse: ParquetWarehouse) -> None:
    names = warehouse.query("show tables").column("name").to_pylist()
    assert "friction_events" in names
    assert "raw_sessions" not in names
    assert "citation" in warehouse.query("describe friction_events").column("column_name").to_pylist()


def test_any_duckdb_shell_can_open_the_views(warehouse: ParquetWarehouse) -> None:
    import duckdb

    warehouse.replace(FrictionEvent, DAY, [event(1, "a"), event(2, "the")])
    with duckdb.connect(":memory:") as shell:
        shell.execute(warehouse.views_sql())
        assert shell.execute("select count(*) from friction_events").fetchall() == [(2,)]
        with pytest.raises(duckdb.CatalogException):
            shell.execute("select * from quarantine")


def test_a_column_that_a_later_version_dropped_is_not_shown(warehouse: ParquetWarehouse) -> None:
    folder = warehouse.folder / "abstracted" / "friction_events"
    warehouse.replace(FrictionEvent, DAY, [event(1, "a")])
    table = pq.read_table(folder / f"{DAY}.parquet")
    pq.write_table(table.append_column("dropped", pa.array(["x"])), folder / f"{DAY}.parquet")
    assert "dropped" not in warehouse.read(FrictionEvent, DAY).column_names
    assert "dropped" not in warehouse.query("select * from friction_events").column_names


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "tables").write_text("a file is in the way")
    with pytest.raises(WarehouseError, match="SIGNALS_HOME"):
        ParquetWarehouse(tmp_path / "tables").check()


WRITER = """
import sys
from pathlib import Path
from signals_assets.resources.warehouse import ParquetWarehouse
from signals_assets.tables import Quarantined
from signals_assets_tests.resources.warehouse_contract import DAY, quarantined
warehouse = ParquetWarehouse(Path(sys.argv[1]))
for turn in range(15):
    reason = f"{sys.argv[2]}-{turn}"
    warehouse.replace(Quarantined, DAY, [quarantined(n, reason=reason) for n in range(500)])
"""


def test_two_writing_processes_never_show_a_reader_a_torn_day(warehouse: ParquetWarehouse) -> None:
    warehouse.replace(Quarantined, DAY, [quarantined(n) for n in range(500)])
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(warehouse.folder), name]) for name in ("one", "other")
    ]
    looks = 0
    while any(writer.poll() is None for writer in writers):
        seen = warehouse.query("select count(*) n, count(distinct reason) r from quarantine", zones=["restricted"])
        assert seen.to_pylist() == [{"n": 500, "r": 1}]
        reasons = warehouse.read(Quarantined, DAY, ["reason"]).column("reason")
        assert (len(reasons), len(reasons.unique())) == (500, 1)
        looks += 1
    assert [writer.returncode for writer in writers] == [0, 0]
    assert looks > 5
    assert ids(warehouse.read(Quarantined, DAY))[0] == "r0"
