"""Door: where the day's report is posted.

Put here: `Notifier` and the embedded implementation: files.
Not here: what the report says (see `core/report.py`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import date


class Notifier(ABC):
    """Post or update; one report per day."""

    name: str

    @abstractmethod
    def post(self, day: date, html: str, blocks: list[dict[str, object]], pictures: Mapping[str, bytes]) -> str:
        """Post the day's report, or replace it when it was posted before; returns its reference."""

    @abstractmethod
    def check(self) -> str:
        """One harmless call for `signals doctor`."""
