"""Compute: order, look-ahead, errors, and processes that end. Every door holds what stands first.

Dask: see also test_dask_compute.py.
"""

import contextlib
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from signals_assets.resources.compute import Compute, ComputeError, ProcessCompute, SerialCompute
from signals_assets.resources.dask_compute import DaskCompute
from signals_assets_tests.fakes.dask_cluster import DaskCluster


def square(number: int) -> int:
    return number * number


def late_when_small(number: int) -> int:
    time.sleep(0.05 if number < 2 else 0)
    return number


def refuse_three(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


def die(number: int) -> int:
    os._exit(9)


def make_what_cannot_travel(number: int) -> object:
    return lambda: number


def process(number: int) -> int:
    return os.getpid()


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessCompute]:
    compute = ProcessCompute(2)
    yield compute
    compute.close()


@pytest.fixture(scope="module")
def dask(dask_cluster: DaskCluster) -> Iterator[DaskCompute]:
    compute = DaskCompute(dask_cluster.address, 20)
    yield compute
    compute.close()


@pytest.fixture(params=["serial", "processes", "dask"])
def compute(request: pytest.FixtureRequest) -> Compute:
    return SerialCompute() if request.param == "serial" else request.getfixturevalue(request.param)


def test_results_come_in_the_order_of_the_chunks(compute: Compute) -> None:
    assert list(compute.map(late_when_small, range(20))) == list(range(20))


def test_no_chunks_give_no_results(compute: Compute) -> None:
    assert list(compute.map(square, [])) == []


def test_an_error_of_the_function_reaches_the_caller_as_it_is(compute: Compute) -> None:
    results = compute.map(refuse_three, range(50))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert list(compute.map(square, [1, 2])) == [1, 4]


def test_an_error_of_the_source_reaches_the_caller(compute: Compute) -> None:
    def source() -> Iterator[int]:
        yield from (1, 2, 3)
        raise ConnectionError("the source went away")

    with pytest.raises(ConnectionError):
        list(compute.map(square, source()))


def test_chunks_are_taken_only_a_little_ahead(compute: Compute) -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for number in range(1, 1001):
            taken = number
            yield number

    results = compute.map(square, source())
    for _ in range(10):
        next(results)
    assert taken <= 10 + 4


def test_what_cannot_travel_does_not_stop_the_next_map(compute: Compute) -> None:
    with contextlib.suppress(Exception):  # serially it is no error
        list(compute.map(make_what_cannot_travel, range(4)))
    assert list(compute.map(square, [1, 2])) == [1, 4]


def test_a_door_that_was_sent_to_another_process_works_there(compute: Compute) -> None:
    there = pickle.loads(pickle.dumps(compute))
    assert list(there.map(square, range(4))) == [0, 1, 4, 9]
    if not isinstance(there, SerialCompute):
        there.close()


def test_the_doctor_gets_an_answer(compute: Compute) -> None:
    assert "worker" in compute.check()


def test_a_single_chunk_runs_here_without_a_pool() -> None:
    compute = ProcessCompute(2)
    assert list(compute.map(process, [1])) == [os.getpid()]
    assert compute._pool is None


def test_several_chunks_run_elsewhere(processes: ProcessCompute) -> None:
    assert os.getpid() not in set(processes.map(process, range(4)))


def test_a_worker_that_dies_is_a_clear_error_and_the_next_map_works() -> None:
    compute = ProcessCompute(2)
    with pytest.raises(ComputeError, match="worker process died in die"):
        list(compute.map(die, range(3)))
    assert list(compute.map(square, [1, 2])) == [1, 4]
    compute.close()


SCRIPT = """
import sys
from signals_assets.resources.compute import ProcessCompute
from signals_assets_tests.resources.test_compute import process
def main():
    for pid in set(ProcessCompute(2).map(process, range(4))): print(pid)
if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("how", ["-c", "script", "-m"])
def test_workers_start_from_anywhere_and_end_with_their_parent(tmp_path: Path, how: str) -> None:
    (tmp_path / "try_it.py").write_text(SCRIPT)
    arguments = {"-c": ["-c", SCRIPT], "script": [str(tmp_path / "try_it.py")], "-m": ["-m", "try_it"]}[how]
    here = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([here, str(tmp_path)])},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    workers = [int(line) for line in done.stdout.split()]
    assert workers
    assert done.stderr == ""
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_script_without_a_guard_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "try_it.py").write_text(SCRIPT.replace('if __name__ == "__main__":\n    main()', "main()"))
    here = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, str(tmp_path / "try_it.py")],
        env={**os.environ, "PYTHONPATH": here}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "__main__" in done.stderr
