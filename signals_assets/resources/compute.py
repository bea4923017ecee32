"""Door: where pure functions run.

Put here: `Compute` and the local implementations (processes, serial).
Not here: the functions (they are in `core/` and must be importable by name, for pickling).
"""

import itertools
import multiprocessing
import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


class Compute(ABC):
    """An executor with bounded look-ahead."""

    @abstractmethod
    def map(self, function: Callable[[A], B], chunks: Iterable[A]) -> Iterator[B]:
        """`function` over the chunks, results in the order of the chunks; a bounded number is in memory."""

    @abstractmethod
    def check(self) -> str:
        """One harmless call for `signals doctor`: says how many workers answered."""


class ComputeError(RuntimeError):
    """The workers died or could not be started; errors of the function itself come through as they are."""


class SerialCompute(Compute):
    """Everything in this process, one chunk after the other."""

    def map(self, function: Callable[[A], B], chunks: Iterable[A]) -> Iterator[B]:
        """See `Compute.map`; one chunk is in memory."""
        return map(function, chunks)

    def check(self) -> str:
        """See `Compute.check`."""
        return "serial: 1 worker, this process"


class ProcessCompute(Compute):
    """A pool of worker processes, started when a second chunk comes and kept until `close` or the interpreter ends.

    Workers are spawned, not forked, so threads and connections of this process never leak into them. The object can
    be pickled and inherited by a fork; each process gets a pool of its own.
    """

    _pool: ProcessPoolExecutor | None
    _pool_of: int

    def __init__(self, workers: int) -> None:
        """`workers` processes; 0: one per core, at most 8. With 1 everything runs in this process."""
        self.workers = workers or min(8, os.cpu_count() or 1)
        self._prepare()

    def __getstate__(self) -> int:
        return self.workers

    def __setstate__(self, workers: int) -> None:
        self.workers = workers
        self._prepare()

    def __repr__(self) -> str:
        return f"ProcessCompute(workers={self.workers})"

    def map(self, function: Callable[[A], B], chunks: Iterable[A]) -> Iterator[B]:
        """See `Compute.map`; at most two chunks per worker are under way.

        A single chunk (or a single worker) runs in this process, without a pool. Raises what `function` raises, and
        `ComputeError` when a worker dies.
        """
        stream = iter(chunks)
        first = list(itertools.islice(stream, 2))
        every = itertools.chain(first, stream)
        if len(first) < 2 or self.workers == 1:
            yield from map(function, every)
            return
        yield from self._map_in_pool(function, every)

    def check(self) -> str:
        """See `Compute.check`; starts the workers."""
        answers = set(self.map(_process_of, range(4 * self.workers)))
        return f"processes: {len(answers)} of {self.workers} workers answered"

    def close(self) -> None:
        """Stop the workers; the next `map` starts new ones."""
        with self._lock:
            if self._pool is not None and self._pool_of == os.getpid():
                self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _prepare(self) -> None:
        self._lock = threading.Lock()
        self._pool = None
        self._pool_of = 0

    def _running_pool(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None or self._pool_of != os.getpid():
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=_start_worker)
                self._pool_of = os.getpid()
            return self._pool

    def _map_in_pool(self, function: Callable[[A], B], chunks: Iterator[A]) -> Iterator[B]:
        under_way: deque[Future[B]] = deque()
        try:
            pool = self._running_pool()
            for chunk in chunks:
                under_way.append(pool.submit(function, chunk))
                if len(under_way) >= 2 * self.workers:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        except BrokenProcessPool:
            self.close()
            raise ComputeError(
                f"a worker process died in {getattr(function, '__name__', 'a function')} (killed, out of memory, or "
                'started from a script whose code does not stand under `if __name__ == "__main__":`); see the '
                "system's log, or set SIGNALS_COMPUTE=serial to see where"
            ) from None
        finally:
            for future in under_way:
                future.cancel()


def _start_worker() -> None:
    """In a worker: the parent alone answers Ctrl-C, and libraries do not start threads beside the processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"


def _process_of(_: int) -> int:
    time.sleep(0.02)  # long enough that one quick worker does not take every chunk
    return os.getpid()
