"""A real Dask cluster on this machine: a scheduler and worker processes with one thread each."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
SCHEDULER = "import sys; from distributed.cli.dask_scheduler import main; main(sys.argv[1:])"
WORKER = "import sys; from distributed.cli.dask_worker import main; main(sys.argv[1:])"
COMMON = ("--no-dashboard", "--host", "127.0.0.1")
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "PYTHONWARNINGS": "ignore",
    "OMP_NUM_THREADS": "1",
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",  # a piece that kills two workers is given up
}


class DaskCluster:
    """`address` leads to the scheduler; `kill_worker` ends a worker as a power cut would."""

    def __init__(self, workers: int = 2) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self._count = workers
        self._port = str(port)
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.scheduler = _started(SCHEDULER, "--port", self._port)
        for _ in range(self._count):
            self.start_worker()
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self.workers, *([self.scheduler] if self.scheduler else [])]:
            process.kill()
            process.wait(10)

    def start_worker(self) -> "subprocess.Popen[bytes]":
        """One more worker, which joins when it has started."""
        worker = _started(WORKER, self.address, "--nthreads", "1", "--no-nanny", "--memory-limit", "0",
                          "--local-directory", os.environ.get("TMPDIR", "/tmp"))  # fmt: skip
        self.workers.append(worker)
        return worker

    def kill_worker(self, process: int | None = None) -> None:
        """Kill the worker with this process id, or the first one that runs."""
        for worker in self.workers:
            if worker.poll() is None and process in (None, worker.pid):
                worker.send_signal(signal.SIGKILL)
                worker.wait(10)
                return

    def wait_for_workers(self, count: int, seconds: float = 30) -> None:
        """Until so many workers have joined."""
        from distributed import Client

        with Client(self.address, timeout=seconds, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=seconds)
            deadline = time.monotonic() + seconds
            while len(client.nthreads()) != count and time.monotonic() < deadline:
                time.sleep(0.1)


def _started(script: str, *arguments: str) -> "subprocess.Popen[bytes]":
    variables = os.environ | ENVIRONMENT
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments, *COMMON],
        env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )  # fmt: skip
