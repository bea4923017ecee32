"""The code location: loads, has what the design says, and its assets are as the committed snapshot shows them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from signals_assets import automation, checks
from signals_assets.automation import ACTING, LANGUAGE_MODEL_POOL
from signals_assets.definitions import SENSORS, build_defs, defs
from signals_assets.resources import DoorError
from signals_assets.settings import Settings
from signals_assets.tables import STAGES, TABLES

SNAPSHOT = Path(__file__).parent / "snapshots" / "assets.txt"
OUTSIDE = [
    {"analyst": "openai"}, {"tracker": "linear"}, {"code_host": "github"}, {"notifier": "slack"},
    {"warehouse": "bigquery"}, {"second_reader": {"analyst": "openai"}}, {"embedder": "openai"},
]  # fmt: skip
HEAVY = (
    "torch",
    "sklearn",
    "matplotlib",
    "sentence_transformers",
    "pandas",
    "scipy",
    "sknetwork",
    "duckdb",
    "sqlalchemy",
)


def test_the_definitions_load():
    dg.Definitions.validate_loadable(defs)


def test_every_table_has_its_asset_in_its_stage_and_a_blocking_contract_check():
    graph = defs.resolve_asset_graph()
    for name, model in TABLES.items():
        node = graph.get(dg.AssetKey(name))
        assert node.group_name == model.stage in STAGES
        assert node.tags["zone"] == model.zone
        assert node.description
        assert graph.get_check_spec(dg.AssetCheckKey(node.key, "contract")).blocking


def test_every_column_is_shown_with_its_description():
    graph = defs.resolve_asset_graph()
    for name, model in TABLES.items():
        schema = graph.get(dg.AssetKey(name)).metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == list(model.model_fields)
        assert all(column.description for column in schema.columns), name


def test_daily_assets_take_a_whole_range_in_one_run_and_acting_ones_a_friction_type():
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        if key.to_user_string() in ACTING:
            assert isinstance(node.partitions_def, dg.DynamicPartitionsDefinition)
        else:
            assert isinstance(node.partitions_def, dg.DailyPartitionsDefinition)
            assert node.backfill_policy == dg.BackfillPolicy.single_run()


def test_what_talks_to_the_analyst_takes_turns():
    pools = {key.to_user_string(): node.pools for key, node in _assets()}
    assert {name for name, found in pools.items() if LANGUAGE_MODEL_POOL in (found or ())} == {
        "analysis_batches", "analyses", "rereadings", "taxonomy_proposals",
    }  # fmt: skip


def _assets() -> "Iterator[tuple[dg.AssetKey, object]]":
    graph = defs.resolve_asset_graph()
    for key in sorted(graph.get_all_asset_keys()):
        yield key, graph.get(key)


def test_jobs_sensors_and_schedules_are_there():
    jobs = {"flow", "cycle", "resubmission", "collection", "act", "retention"}
    assert jobs <= {job.name for job in defs.resolve_all_job_defs()}
    sensors = ("analysis_collection", "friction_threshold", "fix_tracking", "late_sessions")
    targets = {name: [target.job_name for target in defs.resolve_sensor_def(name).targets] for name in sensors}
    assert targets == {
        "analysis_collection": ["collection", "resubmission"], "friction_threshold": ["act"], "fix_tracking": ["act"],
        "late_sessions": ["flow"],
    }  # fmt: skip
    schedules = {name: defs.resolve_schedule_def(name).job_name for name in ("daily_cycle", "retention_cycle")}
    assert schedules == {"daily_cycle": "cycle", "retention_cycle": "retention"}


def test_all_runs_by_default_where_nothing_leaves_the_machine():
    settings = Settings()
    assert automation.stays_inside(settings)
    assert {schedule.default_status for schedule in automation.schedules(settings)} == {
        dg.DefaultScheduleStatus.RUNNING
    }
    assert {module.sensor_for(settings).default_status for module in SENSORS} == {dg.DefaultSensorStatus.RUNNING}


@pytest.mark.parametrize("outside", OUTSIDE, ids=lambda chosen: next(iter(chosen.values())))
def test_nothing_runs_by_default_where_a_door_leads_outside(outside: dict[str, str]):
    settings = Settings(**outside)
    assert {schedule.default_status for schedule in automation.schedules(settings)} == {
        dg.DefaultScheduleStatus.STOPPED
    }
    assert {module.sensor_for(settings).default_status for module in SENSORS} == {dg.DefaultSensorStatus.STOPPED}


def test_a_door_that_cannot_be_opened_is_an_error_that_names_the_setting():
    with pytest.raises(DoorError, match="warehouse = 'bigquery' needs a project: set SIGNALS_BIGQUERY__PROJECT"):
        build_defs(Settings(warehouse="bigquery"))


def test_a_double_of_a_door_that_does_not_exist_is_refused():
    with pytest.raises(DoorError, match="no such door: tracer"):
        build_defs(Settings(), tracer=None)


def test_importing_the_code_location_stays_light():
    script = f"import sys, signals_assets.definitions; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "[]"


# --- the snapshot --------------------------------------------------------------------------------------------------


def _partitions(definition: dg.PartitionsDefinition | None) -> str:
    """The kind of partitions; where the days begin and end is a matter of settings."""
    return {dg.DailyPartitionsDefinition: "daily", dg.DynamicPartitionsDefinition: "friction type"}[type(definition)]


def rendered() -> str:
    """Every asset as a paragraph, in the order of the flow."""
    graph = defs.resolve_asset_graph()
    paragraphs = []
    for name in (*TABLES, *ACTING):
        node = graph.get(dg.AssetKey(name))
        above = sorted(parent.to_user_string() for parent in node.parent_keys)
        named = sorted(check.name for check in node.check_keys)
        paragraphs.append(
            f"{name}\n"
            f"  stage       {node.group_name}\n"
            f"  zone        {node.tags['zone']}\n"
            f"  partitions  {_partitions(node.partitions_def)}\n"
            f"  kinds       {', '.join(sorted(node.kinds))}\n"
            f"  code        {node.code_version or '-'}\n"
            f"  checks      {', '.join(named) or '-'}\n"
            f"  reads       {', '.join(above) or '-'}\n"
        )
    return "\n".join(paragraphs)


def test_the_assets_are_as_the_snapshot_shows_them():
    found = rendered()
    if os.environ.get("SIGNALS_UPDATE_SNAPSHOTS") == "1":
        SNAPSHOT.write_text(found)
    assert found == SNAPSHOT.read_text(), "meant? run again with SIGNALS_UPDATE_SNAPSHOTS=1 and look at the difference"


def test_there_is_a_contract_for_every_table():
    assert len(checks.contracts()) == len(TABLES)
