"""Contract checks: each way in which a stored day can break its contract is found, in files written by hand."""

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from signals_assets import checks
from signals_assets.checks import violations
from signals_assets.partitions import DAYS, range_tags
from signals_assets.resources.warehouse import ParquetWarehouse
from signals_assets.tables import TABLES, Detection, UserDay, to_arrow
from signals_assets_tests.factories import DAY, row_values

NEXT = date(2026, 1, 6)


@pytest.fixture
def warehouse(tmp_path: Path) -> ParquetWarehouse:
    return ParquetWarehouse(tmp_path)


def detection(number: int, **over: Any) -> dict[str, Any]:
    return row_values(Detection, session_id=f"s{number}", steps=[number], **over)


def write_by_hand(warehouse: ParquetWarehouse, table: pa.Table, day: date = DAY) -> None:
    """Past the warehouse's own refusals: what a foreign hand or a broken disk might leave."""
    folder = warehouse.folder / "abstracted" / "detections"
    folder.mkdir(parents=True, exist_ok=True)
    loose = pa.schema([field.with_nullable(True) for field in table.schema])
    pq.write_table(table.cast(loose), folder / f"{day.isoformat()}.parquet")


def good(count: int = 3, **over: Any) -> pa.Table:
    return to_arrow(Detection, [Detection(**detection(number, **over)) for number in range(count)])


def with_nulls(table: pa.Table, column: str) -> pa.Table:
    """The table with one value of the column lost."""
    values = table.column(column).to_pylist()
    field = pa.field(column, table.schema.field(column).type, nullable=True)
    return table.set_column(table.schema.get_field_index(column), field, pa.array([None, *values[1:]], type=field.type))


def test_a_day_as_its_model_says_has_no_violation(warehouse: ParquetWarehouse):
    warehouse.replace(Detection, DAY, [Detection(**detection(number)) for number in range(3)])
    warehouse.replace(Detection, NEXT, [])
    assert violations(Detection, warehouse, [DAY, NEXT]) == {}


@pytest.mark.parametrize("name", TABLES)
def test_an_empty_day_of_any_table_has_no_violation(warehouse: ParquetWarehouse, name: str):
    warehouse.replace(TABLES[name], DAY, [])
    assert violations(TABLES[name], warehouse, [DAY]) == {}


def test_days_that_are_not_stored_are_counted(warehouse: ParquetWarehouse):
    warehouse.replace(Detection, DAY, [])
    assert violations(Detection, warehouse, [DAY, NEXT, date(2026, 1, 7)]) == {"missing_day": 2}


def test_repeated_keys_are_counted(warehouse: ParquetWarehouse):
    write_by_hand(warehouse, pa.concat_tables([good(3), good(2)]))
    assert violations(Detection, warehouse, [DAY]) == {"repeated_key": 2}


def test_a_key_may_repeat_on_another_day(warehouse: ParquetWarehouse):
    write_by_hand(warehouse, good())
    write_by_hand(warehouse, good(day=NEXT), NEXT)
    assert violations(Detection, warehouse, [DAY, NEXT]) == {}


@pytest.mark.parametrize("column", ["session_id", "type", "confidence", "known_on", "steps"])
def test_a_null_in_a_required_column_is_counted(warehouse: ParquetWarehouse, column: str):
    write_by_hand(warehouse, with_nulls(good(), column))
    assert violations(Detection, warehouse, [DAY]) == {"null": 1}


def test_a_null_where_one_may_be_is_fine(warehouse: ParquetWarehouse):
    write_by_hand(warehouse, with_nulls(good(severity="low"), "severity"))
    assert violations(Detection, warehouse, [DAY]) == {}


def test_a_null_in_an_optional_part_of_the_key_is_fine(warehouse: ParquetWarehouse):
    warehouse.replace(UserDay, DAY, [UserDay(**row_values(UserDay, agent_version=None))])
    assert violations(UserDay, warehouse, [DAY]) == {}


def test_a_required_column_that_a_file_lacks_counts_as_nulls(warehouse: ParquetWarehouse):
    write_by_hand(warehouse, good().drop_columns(["confidence"]))
    assert violations(Detection, warehouse, [DAY]) == {"null": 3}


def test_rows_of_another_day_are_counted(warehouse: ParquetWarehouse):
    write_by_hand(warehouse, good(day=NEXT))
    assert violations(Detection, warehouse, [DAY]) == {"foreign_day": 1}


# --- as checks of a run --------------------------------------------------------------------------------------------


@dg.asset(name="detections", partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def stand_in() -> None:
    """The table was written before."""


@dg.asset(deps=[stand_in], partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def reader() -> None:
    """Reads the table."""


def run(check: dg.AssetChecksDefinition, warehouse: ParquetWarehouse, last: date) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [stand_in, reader, check],
        tags=range_tags(DAY, last),
        resources={"warehouse": warehouse},
        instance=dg.DagsterInstance.ephemeral(),
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    return {event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key}


def test_a_broken_day_anywhere_in_a_range_blocks_what_reads_the_table(warehouse: ParquetWarehouse):
    write_by_hand(warehouse, good())
    write_by_hand(warehouse, pa.concat_tables([good(day=NEXT), good(1, day=NEXT)]), NEXT)
    result = run(checks.contract(Detection), warehouse, NEXT)
    assert not result.success
    [evaluation] = result.get_asset_check_evaluations()
    assert not evaluation.passed
    assert {name: value.value for name, value in evaluation.metadata.items()} == {"repeated_key": 1}
    assert materialized(result) == {"detections"}


def test_a_good_range_goes_on(warehouse: ParquetWarehouse):
    write_by_hand(warehouse, good())
    write_by_hand(warehouse, good(day=NEXT), NEXT)
    result = run(checks.contract(Detection), warehouse, NEXT)
    assert result.success
    assert materialized(result) == {"detections", "reader"}


@pytest.mark.parametrize(("at_least", "passed"), [(0.5, True), (0.9, False)])
def test_a_share_that_falls_short_warns_and_does_not_block(warehouse: ParquetWarehouse, at_least: float, passed: bool):
    write_by_hand(warehouse, pa.concat_tables([good(2, severity="low"), good(3, severity=None).slice(2)]))
    write_by_hand(warehouse, good(9, day=NEXT, severity=None), NEXT)  # not of this run
    sql = "select avg((severity is not null)::int) as share from detections where day in ({days})"
    check = checks.share(Detection, "has_severity", "Severity is known.", sql=sql, at_least=at_least)
    result = run(check, warehouse, DAY)
    [evaluation] = result.get_asset_check_evaluations()
    assert evaluation.passed is passed
    assert evaluation.severity == dg.AssetCheckSeverity.WARN
    assert evaluation.metadata["share"].value == pytest.approx(2 / 3)
    assert result.success


def test_a_share_of_nothing_passes(warehouse: ParquetWarehouse):
    warehouse.replace(Detection, DAY, [])
    sql = "select avg((severity is not null)::int) as share from detections where day in ({days})"
    result = run(checks.share(Detection, "has_severity", "Known.", sql=sql, at_least=1.0), warehouse, DAY)
    [evaluation] = result.get_asset_check_evaluations()
    assert evaluation.passed
