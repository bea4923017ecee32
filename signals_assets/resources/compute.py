"""Door: where pure functions run.

Put here: `Compute` and the local implementations (processes, serial).
Not here: the functions (they are in `core/` and must be importable by name, for pickling).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
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
