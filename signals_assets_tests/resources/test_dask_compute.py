"""Dask: what goes wrong with a cluster. What every compute door holds: see test_compute.py."""

import os
import pickle
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from signals_assets.guard import told
from signals_assets.resources import DoorError, resources_for
from signals_assets.resources import dask_compute as door
from signals_assets.resources.compute import ComputeError
from signals_assets.resources.dask_compute import DaskCompute
from signals_assets.settings import Settings
from signals_assets_tests.fakes.dask_cluster import DaskCluster

SECRET = "the customer's own words"


def late_square(number: int) -> tuple[int, int]:
    time.sleep(0.03)
    return number * number, os.getpid()


def quote(text: str) -> str:
    raise ValueError(text)


def die(number: int) -> None:
    os._exit(9)


@pytest.fixture
def dask(dask_cluster: DaskCluster) -> Iterator[DaskCompute]:
    compute = DaskCompute(dask_cluster.address, 20)
    yield compute
    compute.close()


def test_a_worker_that_is_killed_in_mid_run_loses_nothing(dask: DaskCompute, dask_cluster: DaskCluster) -> None:
    results = dask.map(late_square, range(60))
    first = [next(results) for _ in range(10)]
    victim = first[-1][1]
    dask_cluster.kill_worker(victim)
    dask_cluster.start_worker()
    rest = list(results)
    assert [square for square, _ in first + rest] == [number * number for number in range(60)]
    assert victim not in {pid for _, pid in rest[10:]}
    dask_cluster.wait_for_workers(2)


def test_a_piece_that_kills_its_workers_is_given_up_and_a_cluster_without_workers_is_said(
    dask: DaskCompute, dask_cluster: DaskCluster
) -> None:
    with pytest.raises(ComputeError, match="a piece of die killed every worker"):
        list(dask.map(die, [1]))
    with pytest.raises(ComputeError, match="no worker for 1 seconds; start workers: dask worker tcp://127"):
        list(DaskCompute(dask_cluster.address, 1).map(late_square, [1]))
    for _ in range(2):
        dask_cluster.start_worker()
    dask_cluster.wait_for_workers(2)
    assert [square for square, _ in dask.map(late_square, [1, 2])] == [1, 4]


def test_a_scheduler_that_does_not_answer_names_the_setting() -> None:
    with pytest.raises(ComputeError, match=r"SIGNALS_DASK_SCHEDULER.*SIGNALS_COMPUTE=processes"):
        list(DaskCompute("tcp://127.0.0.1:9", 1).map(late_square, [1]))


def test_what_is_no_address_names_the_setting() -> None:
    with pytest.raises(ComputeError, match="SIGNALS_DASK_SCHEDULER"):
        DaskCompute("nowhere://at all", 1).check()


def test_workers_with_other_versions_are_refused() -> None:
    here, there = ({"packages": {"python": "3.11.7.final.0", "pyarrow": version}} for version in ("26.0.1", "25.0.0"))
    door._refuse_others({"client": here, "workers": {"tcp://w": here}})
    with pytest.raises(ComputeError, match=r"pyarrow 25.0.0 \(here 26.0.1\)"):
        door._refuse_others({"client": here, "workers": {"tcp://w": here, "tcp://v": there}})


def test_what_a_function_raised_keeps_its_line_and_never_reaches_the_workers_log(dask: DaskCompute) -> None:
    with pytest.raises(ValueError, match=SECRET) as raised:
        list(dask.map(quote, [SECRET]))
    assert "test_dask_compute.py" in str(raised.value.__cause__)
    assert SECRET not in str(told(raised.value))
    answer = door._work(pickle.dumps((quote, SECRET)))  # as a worker sees it: nothing is raised
    with pytest.raises(ValueError, match=SECRET):
        door._unpacked(answer)


def test_the_door_needs_its_address(tmp_path: Path) -> None:
    with pytest.raises(DoorError, match="SIGNALS_DASK_SCHEDULER"):
        resources_for(Settings(home=tmp_path, compute="dask"))
    opened = resources_for(Settings(home=tmp_path, compute="dask", dask_scheduler="tcp://s:8786"))["compute"]
    assert repr(opened) == "DaskCompute('tcp://s:8786')"
