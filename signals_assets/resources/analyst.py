"""Door: the analyst, who reads a session and answers with a summary, facets, events and unmet needs.

Put here: `Analyst` and the built-in rules behind it.
Not here: what is asked and what an answer is (see `core/analysis.py`), admission (see `core/barrier`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from signals_assets.core.analysis import AnalysisAnswer, AnalysisRequest


@dataclass(frozen=True, slots=True)
class BatchState:
    """What became of a submitted batch."""

    batch_id: str
    state: Literal["running", "ended", "failed"]
    requests: int
    answered: int = 0


class Analyst(ABC):
    """One request per session in, one answer per request out; batches are a transport."""

    name: str
    model: str

    @abstractmethod
    def submit(self, label: str, requests: Iterable[AnalysisRequest]) -> list[BatchState]:
        """Send the requests (a stream) in as many batches as it takes. The same label and requests again return
        the same batches and send nothing twice."""

    @abstractmethod
    def poll(self, batch_id: str) -> BatchState:
        """One cheap look."""

    @abstractmethod
    def collect(self, batch_id: str) -> Iterator[AnalysisAnswer]:
        """The answers of an ended batch, in any order; every request has one (refused and failed included)."""

    @abstractmethod
    def ask(self, question: str) -> str | None:
        """One question now (naming); None when this analyst cannot answer free questions."""

    @abstractmethod
    def check(self) -> str:
        """One harmless call for `signals doctor`: says who answered."""
