"""Measuring: memory and processor time of a process and all that it started, for the benchmarks of speed.

Put here: `Usage`, `apart`. Not here: what is measured (see `speed.py`, `speed_day.py`).
"""

import bisect
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

LOOKS_PER_SECOND: Final = 10


@dataclass(frozen=True, slots=True)
class Look:
    """What a family of processes held and had used at a moment."""

    at: float
    """Seconds since 1970."""
    bytes: int
    processor_seconds: float
    machine_seconds: float
    """Processor seconds of everything on the machine since it was started."""


class Usage:
    """Memory and processor time of a process and its descendants together, looked at ten times a second.

    Shared pages count once for each process that maps them, so memory is an upper bound. Nothing is known where the
    system has no /proc.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._looks: list[Look] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def megabytes(self) -> float | None:
        """The most memory so far."""
        return self.megabytes_between(0.0, float("inf"))

    def megabytes_between(self, start: float, end: float) -> float | None:
        """The most memory held between two moments (seconds since 1970), the looks around them included."""
        first = max(0, bisect.bisect_right(self._looks, start, key=_moment) - 1)
        most = max((look.bytes for look in self._looks[first:] if look.at <= end), default=0)
        return round(most / 2**20, 1) or None

    def processor_seconds_between(self, start: float, end: float) -> float:
        """Processor time between two moments, as a straight line between the looks around each."""
        return self._between(start, end, lambda look: look.processor_seconds)

    def others_between(self, start: float, end: float) -> float:
        """Cores that other processes of the machine kept busy between two moments, on average."""
        all_ = self._between(start, end, lambda look: look.machine_seconds)
        return round(max(0.0, all_ - self.processor_seconds_between(start, end)) / max(end - start, 1e-9), 2)

    def _between(self, start: float, end: float, figure: Callable[[Look], float]) -> float:
        return max(0.0, self._at(end, figure) - self._at(start, figure)) if self._looks else 0.0

    def _at(self, moment: float, figure: Callable[[Look], float]) -> float:
        place = bisect.bisect_right(self._looks, moment, key=_moment)
        if place in (0, len(self._looks)):
            return figure(self._looks[min(place, len(self._looks) - 1)])
        before, after = self._looks[place - 1 : place + 1]
        share = (moment - before.at) / max(after.at - before.at, 1e-9)
        return figure(before) + share * (figure(after) - figure(before))

    def _watch(self) -> None:
        while True:
            family = list(_family(self._root))
            held, used = sum(map(_resident, family)), sum(map(_processor_seconds, family))
            self._looks.append(Look(time.time(), held, used, _machine_seconds()))
            if self._stop.wait(1 / LOOKS_PER_SECOND):
                return


def apart(function: Callable[..., Any], *given: Any) -> tuple[Any, Usage]:
    """What the function returns in a process of its own, and what that and the processes it started have used."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        process = pool.submit(os.getpid).result()
        with Usage(process) as usage:
            found = pool.submit(function, *given).result()
    return found, usage


def _moment(look: Look) -> float:
    return look.at


def _family(root: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield root
    for path in Path(f"/proc/{root}/task").glob("*/children"):
        try:
            children = path.read_text().split()
        except OSError:  # ended meanwhile
            continue
        for child in children:
            yield from _family(int(child))


def _resident(process: int) -> int:
    """Bytes of memory that a process holds; 0 where nobody can say."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _processor_seconds(process: int) -> float:
    """Seconds of processor time of a process and of its children that ended; 0 where nobody can say."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _machine_seconds() -> float:
    """Seconds of processor time of all processes since the machine was started; 0 where nobody can say."""
    try:
        user, nice, system, _, _, interrupts, soft = map(int, Path("/proc/stat").read_text().split()[1:8])
    except OSError:
        return 0.0
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")
