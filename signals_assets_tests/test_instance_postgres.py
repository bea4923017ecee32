"""Dagster's own storage in PostgreSQL, as `deploy/dagster.yaml` configures it, on a real server."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from dagster._core.workspace.load_target import WorkspaceFileTarget

from signals_assets.cli.instance import OWN, configuration, dagster_home
from signals_assets.settings import Settings
from signals_assets_tests.fakes.postgres import PASSWORD, USER, PostgresServer

DEPLOYED = Path(__file__).resolve().parents[1] / "deploy" / "dagster.yaml"
PARTS = dg.DynamicPartitionsDefinition(name="parts")


@dg.asset(partitions_def=PARTS)
def counted(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"n": len(context.partition_key)})


@dg.sensor(target=[counted])
def counting(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    at = int(context.cursor or 0)
    return dg.SensorResult([dg.RunRequest(run_key=str(at), partition_key="one")], cursor=str(at + 1))


@pytest.fixture
def opened(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], dg.DagsterInstance]]:
    """Opens an instance on the deployed dagster.yaml and a new database; each as another process would."""
    shutil.copy(DEPLOYED, tmp_path / "dagster.yaml")
    told = {"HOST": "127.0.0.1", "PORT": str(postgres.port), "USER": USER, "PASSWORD": PASSWORD}
    for name, value in (told | {"DB": postgres_url.rpartition("/")[2]}).items():
        monkeypatch.setenv(f"DAGSTER_POSTGRES_{name}", value)
    made: list[dg.DagsterInstance] = []

    def make() -> dg.DagsterInstance:
        made.append(dg.DagsterInstance.from_config(str(tmp_path)))
        return made[-1]

    yield make
    for instance in made:
        instance.dispose()


def test_two_instances_that_meet_on_an_empty_database_run_jobs_and_see_each_others(
    opened: Callable[[], dg.DagsterInstance],
) -> None:
    start = threading.Barrier(2)
    found: list[dg.DagsterInstance] = []

    def meet() -> None:
        start.wait()
        found.append(opened())

    threads = [threading.Thread(target=meet) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one, other = found
    assert type(one.run_storage).__module__.startswith("dagster_postgres")
    one.add_dynamic_partitions("parts", ["one", "three"])
    assert dg.materialize([counted], partition_key="three", instance=other).success
    assert dg.materialize([counted], partition_key="one", instance=one).success
    assert [run.status for run in one.get_runs()] == [dg.DagsterRunStatus.SUCCESS] * 2
    assert other.get_materialized_partitions(dg.AssetKey("counted")) == {"one", "three"}
    events = one.fetch_materializations(dg.AssetKey("counted"), limit=10, ascending=True).records
    assert [record.asset_materialization.metadata["n"].value for record in events] == [5, 3]


def test_cursors_of_sensors_and_daemon_are_kept_for_the_next_process(
    opened: Callable[[], dg.DagsterInstance], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODE_SERVER_HOST", "code")
    origin = RemoteRepositoryOrigin(
        WorkspaceFileTarget([str(DEPLOYED.with_name("workspace.yaml"))]).create_origins()[0], "__repository__"
    )
    sensor = RemoteInstigatorOrigin(origin, "counting")
    first = opened()
    first.add_dynamic_partitions("parts", ["one"])
    definitions = dg.Definitions(assets=[counted], sensors=[counting])
    state = first.add_instigator_state(
        InstigatorState(sensor, InstigatorType.SENSOR, InstigatorStatus.RUNNING, SensorInstigatorData(cursor="0"))
    )
    for tick in range(3):
        instance = opened()
        [kept] = instance.all_instigator_state()
        assert kept.instigator_data.cursor == str(tick)
        with (
            dg.build_sensor_context(
                instance=instance, cursor=kept.instigator_data.cursor, definitions=definitions
            ) as at,
            dg.partition_loading_context(dynamic_partitions_store=instance),
        ):
            result = counting.evaluate_tick(at)
        assert [request.run_key for request in result.run_requests] == [str(tick)]
        instance.update_instigator_state(state.with_data(SensorInstigatorData(cursor=result.cursor)))
        instance.daemon_cursor_storage.set_cursor_values({"signals/counting": result.cursor})
    assert opened().daemon_cursor_storage.get_cursor_values({"signals/counting"}) == {"signals/counting": "3"}


def test_the_launcher_leaves_a_deployed_dagster_yaml_as_it_is_and_renews_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    there = tmp_path / "dagster.yaml"
    assert dagster_home(Settings()) == tmp_path
    assert there.read_text() == configuration()
    there.write_text(f"{OWN}, an older one\n")
    dagster_home(Settings())
    assert there.read_text() == configuration()
    shutil.copy(DEPLOYED, there)
    dagster_home(Settings())
    assert there.read_text() == DEPLOYED.read_text()
