"""The remembering warehouse: the contract, and that each day is read once, within bounds."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from signals_assets.resources.remembering import RememberingWarehouse
from signals_assets.resources.warehouse import ParquetWarehouse
from signals_assets.tables import Quarantined, Row
from signals_assets_tests.resources.warehouse_contract import DAY, WarehouseContract, ids, quarantined

WEEK = [DAY + timedelta(days=offset) for offset in range(7)]


class Counting(ParquetWarehouse):
    """Notes which days were read."""

    asked: list[date]

    def read(self, model: type[Row], days: Sequence[date] | date, columns: Sequence[str] | None = None) -> pa.Table:
        self.asked += [days] if isinstance(days, date) else days
        return super().read(model, days, columns)


@pytest.fixture
def counting(tmp_path: Path) -> Counting:
    made = Counting(tmp_path / "tables")
    made.asked = []
    for day in (WEEK[0], WEEK[1], WEEK[3]):
        made.replace(Quarantined, day, [quarantined(1, day), quarantined(2, day)])
    return made


class TestARememberingWarehouseHoldsTheContract(WarehouseContract):
    @pytest.fixture
    def warehouse(self, tmp_path: Path) -> RememberingWarehouse:
        return RememberingWarehouse(ParquetWarehouse(tmp_path / "tables"))


def test_windows_that_move_on_read_each_day_once_and_answer_as_the_warehouse_does(counting: Counting) -> None:
    remembering = RememberingWarehouse(counting)
    for columns in (None, ["record_id"], ["record_id", "day"]):
        counting.asked.clear()
        answers = [remembering.read(Quarantined, WEEK[end - 2 : end + 1], columns) for end in range(2, 7)]
        assert counting.asked == WEEK
        for end, answer in enumerate(answers, start=2):
            assert answer.equals(ParquetWarehouse.read(counting, Quarantined, WEEK[end - 2 : end + 1], columns))
            assert answer.schema == counting.read(Quarantined, [], columns).schema


def test_a_day_that_it_writes_changes_or_deletes_is_read_anew(counting: Counting) -> None:
    remembering = RememberingWarehouse(counting)
    remembering.read(Quarantined, WEEK)
    remembering.replace(Quarantined, WEEK[2], [quarantined(7, WEEK[2])])
    assert ids(remembering.read(Quarantined, WEEK)) == ["r1", "r2", "r1", "r2", "r7", "r1", "r2"]
    remembering.rewrite(Quarantined, WEEK[0], lambda batch: batch.slice(1))
    remembering.delete_days(Quarantined, [WEEK[3]])
    assert ids(remembering.read(Quarantined, WEEK)) == ["r2", "r1", "r2", "r7"]


def test_what_was_asked_for_longest_ago_is_forgotten_above_the_bound(counting: Counting) -> None:
    one = counting.read(Quarantined, WEEK[0]).nbytes
    remembering = RememberingWarehouse(counting, most_bytes=2 * one)
    for _ in range(2):
        assert ids(remembering.read(Quarantined, WEEK)) == ["r1", "r2"] * 3
    counting.asked.clear()
    remembering.read(Quarantined, WEEK[3])
    remembering.read(Quarantined, WEEK[0])
    assert counting.asked == [WEEK[0]]
    assert remembering._size <= 2 * one
