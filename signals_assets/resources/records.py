"""Door: the outside's own records: releases, error logs, feedback, pull requests, user outcomes.

Put here: `Records` and the embedded implementation over JSON Lines and CSV files.
Not here: row models (see `tables.py`), pseudonyms (the asset makes them).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import date
from typing import Any, Final, Literal

RecordKind = Literal["releases", "error_logs", "feedback", "pull_requests", "user_outcomes"]
RECORD_KINDS: Final[tuple[RecordKind, ...]] = ("releases", "error_logs", "feedback", "pull_requests", "user_outcomes")


class Records(ABC):
    """Records by kind and day."""

    @abstractmethod
    def days(self, kind: RecordKind) -> list[date]:
        """UTC days that have records of the kind, ascending."""

    @abstractmethod
    def records(self, kind: RecordKind, day: date) -> Iterator[dict[str, Any]]:
        """The day's records with normalised keys (see the implementation), bad ones as {"rejected": code}."""
