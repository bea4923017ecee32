"""Door: pure functions on a Dask cluster.

Put here: `DaskCompute`. Not here: the functions (they are in `core/` and must be importable by name on the workers),
the cluster itself (its scheduler and workers are started by whoever runs it).

A piece of work travels as bytes, and what a function raises comes back as bytes, too: a scheduler or worker that fails
logs the arguments and the words of what failed, and both may be text of sessions.
"""

import contextlib
import logging
import os
import pickle
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Executor, Future
from typing import Any, Final, TypeVar

from signals_assets.resources.compute import Compute, ComputeError

A = TypeVar("A")
B = TypeVar("B")

PATIENCE_SECONDS: Final = 60.0
"""How long a scheduler may take to answer, and a cluster may be without any worker."""
LOOK_SECONDS: Final = 2.0
"""How often it is looked whether anybody still works, while a result is waited for."""
SAME: Final = ("signals-assets", "distributed", "numpy", "orjson", "pyarrow", "pydantic", "scikit-learn", "scipy")
"""Packages that must have the same version here and on every worker, so that results are the same."""


class DaskCompute(Compute):
    """The workers of a Dask cluster, as `distributed.Client.get_executor()` offers them.

    A worker that dies loses nothing: the scheduler gives its pieces to another one, three times for one piece
    (`distributed.scheduler.allowed-failures`, set where the scheduler runs). What a function raises is no failure of a
    worker: it is handed on at once and not tried again. Certificates and keys of `tls://` are Dask's own variables
    (`DASK_DISTRIBUTED__COMM__TLS__...`). The object can be pickled and inherited by a fork; each process connects anew.
    """

    _client: Any
    """A `distributed.Client`, or None."""
    _client_of: int

    def __init__(self, scheduler: str, patience: float = PATIENCE_SECONDS) -> None:
        """`scheduler`: its address, e.g. tcp://scheduler:8786. `patience`: see `PATIENCE_SECONDS`."""
        self.scheduler, self.patience = scheduler, patience
        self._prepare()

    def __getstate__(self) -> tuple[str, float]:
        return self.scheduler, self.patience

    def __setstate__(self, state: tuple[str, float]) -> None:
        self.scheduler, self.patience = state
        self._prepare()

    def __repr__(self) -> str:
        return f"DaskCompute({self.scheduler!r})"

    def map(self, function: Callable[[A], B], chunks: Iterable[A]) -> Iterator[B]:
        """See `Compute.map`; two chunks for each thread of the workers are under way, a single one is sent, too.

        Raises what `function` raises, and `ComputeError` where the cluster cannot be reached, has no worker left, or
        a piece killed every worker that took it.
        """
        client = self._connected()
        executor = client.get_executor(pure=False)
        most = 2 * max(1, sum(client.nthreads().values()))
        under_way: deque[Future[bytes]] = deque()
        try:
            for chunk in chunks:
                under_way.append(_submitted(executor, function, chunk))
                if len(under_way) >= most:
                    yield self._result(client, under_way.popleft(), function)
            while under_way:
                yield self._result(client, under_way.popleft(), function)
        finally:
            for future in under_way:
                future.cancel()

    def check(self) -> str:
        """See `Compute.check`; refuses workers with other versions than here."""
        threads = self._connected().nthreads()
        return f"Dask at {self.scheduler}: {len(threads)} workers with {sum(threads.values())} threads answered"

    def close(self) -> None:
        """Leave the cluster; the next `map` connects again."""
        with self._lock:
            if self._client is not None and self._client_of == os.getpid():
                self._client.close(timeout=2)
            self._client = None

    def _prepare(self) -> None:
        self._lock = threading.Lock()
        self._client = None
        self._client_of = 0

    def _connected(self) -> Any:
        """The client of this process, connected to a scheduler with workers that are like this process."""
        with self._lock:
            if self._client is None or self._client_of != os.getpid() or self._client.status != "running":
                self._client = self._new_client()
                self._client_of = os.getpid()
            return self._client

    def _new_client(self) -> Any:
        import dask
        import distributed

        logging.getLogger("distributed").setLevel(logging.WARNING)  # its import sets INFO
        # A piece of work may be larger than what Dask likes to warn of.
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"})
        try:
            client: Any = distributed.Client(  # type: ignore[no-untyped-call]
                self.scheduler, timeout=self.patience, set_as_default=False
            )
        except (OSError, ValueError) as error:  # a TimeoutError is an OSError
            raise ComputeError(
                f"no Dask scheduler answers at {self.scheduler} ({type(error).__name__}); correct dask_scheduler "
                "(SIGNALS_DASK_SCHEDULER), start `dask scheduler` there, or set SIGNALS_COMPUTE=processes"
            ) from None
        try:
            client.wait_for_workers(1, timeout=self.patience)
            _refuse_others(client.get_versions(packages=list(SAME)))
        except TimeoutError:
            client.close(timeout=2)
            raise self._without_workers() from None
        except ComputeError:
            client.close(timeout=2)
            raise
        return client

    def _without_workers(self) -> ComputeError:
        return ComputeError(
            f"the Dask scheduler at {self.scheduler} has had no worker for {self.patience:.0f} seconds; start workers: "
            f"dask worker {self.scheduler} --nthreads 1 --nworkers auto"
        )

    def _result(self, client: Any, future: "Future[bytes]", function: Callable[..., B]) -> B:
        from distributed import KilledWorker

        name = getattr(function, "__name__", "a function")
        try:
            found: B = _unpacked(self._awaited(client, future, name))
        except KilledWorker:
            raise ComputeError(
                f"a piece of {name} killed every worker that took it (out of memory?); see the workers' logs, or set "
                "SIGNALS_COMPUTE=serial to see where"
            ) from None
        except CancelledError:
            raise self._lost(name) from None
        return found

    def _awaited(self, client: Any, future: "Future[bytes]", name: str) -> bytes:
        worked = time.monotonic()
        while True:
            try:
                return future.result(timeout=LOOK_SECONDS)
            except TimeoutError:
                if client.status != "running":
                    raise self._lost(name) from None
            with contextlib.suppress(OSError):  # a scheduler that does not answer now: its state is seen above
                if client.nthreads():
                    worked = time.monotonic()
            if time.monotonic() - worked > self.patience:
                raise self._without_workers()

    def _lost(self, name: str) -> ComputeError:
        return ComputeError(
            f"the Dask scheduler at {self.scheduler} went away during {name}; nothing of the day was written, run it "
            "again when the scheduler is back"
        )


def _refuse_others(versions: Mapping[str, Any]) -> None:
    """Raise ComputeError where a worker has other versions than this process."""
    here = _versions(versions["client"])
    for worker in versions["workers"].values():
        there = _versions(worker)
        other = [f"{name} {there[name]} (here {here[name]})" for name in here if here[name] != there[name]]
        if other:
            raise ComputeError(
                f"a Dask worker has {', '.join(other)}: results would not be the same; install the same "
                "constraints.txt on the workers and start them again"
            )


def _versions(of: Mapping[str, Any]) -> dict[str, str | None]:
    packages = of["packages"]
    python = ".".join(str(packages["python"]).split(".")[:2])
    return {"python": python, **{name: packages.get(name) for name in SAME}}


def _submitted(executor: Executor, function: Callable[[A], B], chunk: A) -> "Future[bytes]":
    return executor.submit(_work, pickle.dumps((function, chunk), protocol=5))


def _work(sent: bytes) -> bytes:
    """On a worker: the function's result, or what it raised with its trace as text; raises nothing itself."""
    try:
        function, chunk = pickle.loads(sent)  # noqa: S301 - sent by `_submitted`
        return pickle.dumps((function(chunk), None, ""), protocol=5)
    except Exception as error:  # noqa: BLE001 - whatever it is goes to the caller
        return _raised(error)


def _raised(error: Exception) -> bytes:
    trace = "".join(traceback.format_exception(error))
    try:
        return pickle.dumps((None, error, trace), protocol=5)
    except Exception:  # noqa: BLE001 - an exception may hold what cannot travel
        said = ComputeError(f"{type(error).__name__} on a worker, which cannot be sent as it is")
        return pickle.dumps((None, said, trace), protocol=5)


def _unpacked(answer: bytes) -> Any:
    result, error, trace = pickle.loads(answer)  # noqa: S301 - made by `_work`
    if error is not None:
        raise error from _RemoteTraceback(trace)
    return result


class _RemoteTraceback(Exception):  # noqa: N818 - the name is what `guard` knows
    """The trace of what was raised on a worker; named like that of a process pool, so that it is told alike."""
