"""What the UI shows of a table and a day, and that a published day is written once."""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from signals_assets.automation import daily_asset
from signals_assets.core.coverage import Coverage
from signals_assets.metadata import REPUBLISH_TAG, describe, picture, record, store
from signals_assets.resources.warehouse import ParquetWarehouse, Warehouse
from signals_assets.tables import TABLES, Agreement, Detection, FrictionLevel, LoopMetric, Row, UnmetNeed, to_arrow
from signals_assets_tests.factories import row_values

DAY = date(2026, 1, 5)
Body = Callable[[dg.AssetExecutionContext, Warehouse], None]


def columns(model: type[Row]) -> dict[str, dg.TableColumn]:
    return {column.name: column for column in describe(model)["dagster/column_schema"].columns}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_described_by_its_row_model(name: str):
    model = TABLES[name]
    found = columns(model)
    assert {column: shown.description for column, shown in found.items()} == {
        column: info.description for column, info in model.model_fields.items()
    }
    described = describe(model)
    assert described["dagster/table_name"] == name
    assert described["zone"] == model.zone
    assert described["key"] == ", ".join(model.key)
    assert all("typing" not in shown.type and "<" not in shown.type for shown in found.values())


def test_columns_say_their_type_whether_they_may_be_null_and_what_they_may_be():
    levels = columns(FrictionLevel)
    assert levels["day"].type == "date"
    assert levels["crossed"].type == "boolean"
    assert levels["causes"].type == "list of string"
    assert levels["level"].constraints.nullable
    assert not levels["type"].constraints.nullable
    assert "cooldown" in levels["state"].constraints.other[0]
    assert columns(UnmetNeed)["need"].type == "admitted text"
    assert columns(Detection)["steps"].type == "list of int"


# --- storing -----------------------------------------------------------------------------------------------------


class Bench:
    """A warehouse and an instance, and runs of one table's asset with any body."""

    def __init__(self, folder: Path) -> None:
        self.warehouse = ParquetWarehouse(folder)
        self.instance = dg.DagsterInstance.ephemeral()

    def run(self, model: type[Row], body: Body, tags: dict[str, str] | None = None) -> dict[str, Any]:
        """Materialize the day with this body; returns the metadata that it left."""

        @daily_asset(model)
        def table(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> None:
            body(context, warehouse)

        result = dg.materialize(
            [table],
            partition_key=DAY.isoformat(),
            resources={"warehouse": self.warehouse},
            instance=self.instance,
            tags=tags,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        [event] = result.get_asset_materialization_events()
        return {name: value.value for name, value in event.materialization.metadata.items()}

    def values(self, model: type[Row]) -> list[Any]:
        """Stored values of the table's column `value` or `sessions`."""
        name = "value" if model is LoopMetric else "sessions"
        return sorted(self.warehouse.read(model, DAY).column(name).to_pylist())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.instance.dispose()


def metric(value: float, name: str = "time") -> LoopMetric:
    return LoopMetric(**row_values(LoopMetric, day=DAY, metric=name, value=value))


def agreed(sessions: int) -> Agreement:
    return Agreement(**row_values(Agreement, day=DAY, sessions=sessions))


def storing(model: type[Row], rows: Any, **more: Any) -> Body:
    return lambda context, warehouse: store(context, warehouse, model, DAY, rows, **more) and None


def test_a_stored_day_shows_its_rows_its_coverage_and_its_numbers(bench: Bench):
    coverage = Coverage(asked=4, answered=3, skipped={"too_short": 1}, notes={"without_user": 2})
    shown = bench.run(Agreement, storing(Agreement, [agreed(7)], coverage=coverage, cost_usd=0.5, nothing=None))
    assert shown["dagster/partition_row_count"] == 1
    assert (shown["coverage/asked"], shown["coverage/answered"], shown["coverage/share"]) == (4, 3, 0.75)
    assert (shown["coverage/skipped.too_short"], shown["coverage/notes.without_user"]) == (1, 2)
    assert shown["cost_usd"] == 0.5
    assert "nothing" not in shown
    assert "coverage/failed" not in shown


def test_nothing_asked_is_shown_without_a_share(bench: Bench):
    shown = bench.run(Agreement, storing(Agreement, [], coverage=Coverage()))
    assert shown["coverage/asked"] == shown["dagster/partition_row_count"] == 0
    assert "coverage/share" not in shown


def test_an_abstracted_day_is_replaced_by_what_a_repeat_finds(bench: Bench):
    bench.run(Agreement, storing(Agreement, [agreed(7)]))
    shown = bench.run(Agreement, storing(Agreement, [agreed(8)]))
    assert bench.values(Agreement) == [8]
    assert "kept" not in shown


def test_a_published_day_stays_when_a_repeat_finds_something_else(bench: Bench):
    bench.run(LoopMetric, storing(LoopMetric, [metric(1.0)]))
    shown = bench.run(LoopMetric, storing(LoopMetric, [metric(2.0), metric(3.0, "share")]))
    assert bench.values(LoopMetric) == [1.0]
    assert shown["kept"] == "different"
    assert shown["dagster/partition_row_count"] == 1


def test_a_published_day_that_a_repeat_finds_again_in_any_order_is_the_same(bench: Bench):
    rows = [metric(1.0), metric(2.0, "share")]
    bench.run(LoopMetric, storing(LoopMetric, rows))
    assert bench.run(LoopMetric, storing(LoopMetric, rows[::-1]))["kept"] == "same"
    assert bench.run(LoopMetric, storing(LoopMetric, to_arrow(LoopMetric, rows)))["kept"] == "same"


def test_an_empty_published_day_was_published_too(bench: Bench):
    bench.run(LoopMetric, storing(LoopMetric, []))
    shown = bench.run(LoopMetric, storing(LoopMetric, [metric(1.0)]))
    assert bench.values(LoopMetric) == []
    assert shown["kept"] == "different"


def test_with_the_republish_tag_a_published_day_is_written_again(bench: Bench):
    bench.run(LoopMetric, storing(LoopMetric, [metric(1.0)]))
    shown = bench.run(LoopMetric, storing(LoopMetric, [metric(2.0)]), tags={REPUBLISH_TAG: "a wrong ceiling"})
    assert bench.values(LoopMetric) == [2.0]
    assert "kept" not in shown


def test_a_picture_is_markdown_with_the_image_inside_and_stays_beside_the_counts(bench: Bench):
    def body(context: dg.AssetExecutionContext, warehouse: Warehouse) -> None:
        picture(context, "loop_metrics", DAY, {"loop": b"\x89PNG"})
        record(context, "loop_metrics", DAY, rows=3)

    shown = bench.run(LoopMetric, body)
    assert shown["loop"] == "![loop](data:image/png;base64,iVBORw==)"
    assert shown["dagster/partition_row_count"] == 3
