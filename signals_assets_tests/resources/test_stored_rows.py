"""Rows on their way: what waits on disk is written as if it had been handed over at once."""

from pathlib import Path

import pytest

from signals_assets.resources import stored_rows
from signals_assets.resources.stored_rows import SpooledRows, row_by_row, spooled
from signals_assets.resources.warehouse import ParquetWarehouse, WarehouseError
from signals_assets.tables import FrictionEvent, Quarantined, to_arrow
from signals_assets_tests.resources.warehouse_contract import DAY, event, quarantined


@pytest.mark.parametrize("at_a_time", [1, 3, 4, 7, 20])
def test_a_spooled_day_is_the_same_file_whatever_came_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_a_time: int
) -> None:
    monkeypatch.setattr(stored_rows, "GROUP_ROWS", 4)
    rows = [event(number, "the user asked") for number in range(20)]
    whole, parts = ParquetWarehouse(tmp_path / "whole"), ParquetWarehouse(tmp_path / "parts")
    whole.replace(FrictionEvent, DAY, rows)
    with spooled(tmp_path / "restricted", FrictionEvent, Quarantined) as (events, none):
        for start in range(0, 20, at_a_time):
            events.add(rows[start : start + at_a_time])
        assert parts.replace(FrictionEvent, DAY, events) == 20
        assert parts.replace(Quarantined, DAY, none) == 0
    file = Path("abstracted") / "friction_events" / f"{DAY}.parquet"
    assert (parts.folder / file).read_bytes() == (whole.folder / file).read_bytes()
    assert parts.days(Quarantined) == [DAY]


def test_what_waits_has_no_name_and_its_folder_is_for_the_owner(tmp_path: Path) -> None:
    with spooled(tmp_path / "restricted", FrictionEvent) as (events,):
        events.add([event(1, "the user asked")])
        assert list((tmp_path / "restricted").iterdir()) == []
    assert (tmp_path / "restricted").stat().st_mode & 0o077 == 0


def test_a_spool_takes_no_row_that_a_write_would_refuse(tmp_path: Path) -> None:
    forged = event(1, "the user asked").model_copy(update={"citation": "text of somebody"})
    with spooled(tmp_path / "restricted", FrictionEvent) as (events,):
        for rows in ([forged], [quarantined(1)], to_arrow(FrictionEvent, [event(1, "the user asked")]).to_batches()):
            with pytest.raises(WarehouseError) as caught:
                events.add(rows)
            assert "somebody" not in str(caught.value)
        assert list(events) == []


def test_a_spool_is_written_to_the_table_of_its_model_only(tmp_path: Path) -> None:
    warehouse = ParquetWarehouse(tmp_path / "tables")
    warehouse.replace(FrictionEvent, DAY, [event(1, "the user asked")])
    with spooled(tmp_path / "restricted", Quarantined) as (rows,), pytest.raises(WarehouseError, match="spool"):
        warehouse.replace(FrictionEvent, DAY, rows)
    assert warehouse.read(FrictionEvent, DAY).num_rows == 1


def test_a_spool_that_breaks_off_keeps_the_old_day(tmp_path: Path) -> None:
    warehouse = ParquetWarehouse(tmp_path / "tables")
    warehouse.replace(FrictionEvent, DAY, [event(1, "the user asked")])
    spool = SpooledRows(FrictionEvent, tmp_path / "restricted")
    spool.add([event(2, "the user asked"), event(2, "the user asked")])
    with pytest.raises(WarehouseError, match="more than once"):
        warehouse.replace(FrictionEvent, DAY, spool)
    spool.close()
    assert [row["event_id"] for row in row_by_row(warehouse.read(FrictionEvent, DAY))] == [
        event(1, "the user asked").event_id
    ]


def test_rows_one_by_one_are_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_rows, "DICT_ROWS", 2)
    table = to_arrow(FrictionEvent, [event(number, "the user asked") for number in range(5)])
    assert list(row_by_row(table)) == table.to_pylist()
