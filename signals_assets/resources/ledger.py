"""Door: the ledger, the only way back: everything that flows against the graph is an entry here.

Put here: `Ledger`, its entries, and the SQLAlchemy implementation (SQLite by default, PostgreSQL in production).
Not here: what entries mean (see `core/taxonomy.py`, `core/tickets.py`, `core/outcomes.py`).

Append-only: an entry has a sequence number, a kind, a key that is unique within its kind, a JSON payload without
personal data, and the newest day that was materialized when it was written. Day D reads entries that carry
earlier days, which makes a repeated or simulated day read exactly what it read the first time.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """One ledger entry."""

    seq: int
    kind: str
    key: str
    newest_day: date | None
    payload: Mapping[str, Any]


class Writer(Protocol):
    """What one may do inside a transaction; all of it commits or none."""

    def append(self, kind: str, key: str, payload: Mapping[str, Any]) -> tuple[Entry, bool]:
        """Add an entry; returns it and True, or the entry that already has this kind and key and False."""
        ...

    def find(self, kind: str, key: str) -> Entry | None:
        """The entry with this kind and key."""
        ...

    def entries(self, kinds: Sequence[str], *, before: date | None = None) -> list[Entry]:
        """Entries of the kinds by sequence number; with `before`, those whose newest day is earlier than it."""
        ...


class Ledger(ABC):
    """Transactions with unique keys and sequence numbers."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Writer]:
        """A serialised transaction: two writers never interleave; an exception rolls everything back."""

    @abstractmethod
    def entries(self, kinds: Sequence[str], *, before: date | None = None) -> list[Entry]:
        """Entries of the kinds by sequence number; with `before`, those written while the newest day was earlier."""

    @abstractmethod
    def find(self, kind: str, key: str) -> Entry | None:
        """The entry with this kind and key."""

    def append(self, kind: str, key: str, payload: Mapping[str, Any]) -> tuple[Entry, bool]:
        """One entry in a transaction of its own."""
        with self.transaction() as writer:
            return writer.append(kind, key, payload)

    @abstractmethod
    def append_many(self, kind: str, items: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        """Many entries in one transaction, skipping keys that exist; returns how many were new."""

    @abstractmethod
    def newest_day(self) -> date | None:
        """The newest day that was materialized: the maximum of the entries of kind `day`."""

    def day_materialized(self, day: date) -> None:
        """Note that the day's graph is complete (idempotent)."""
        self.append("day", day.isoformat(), {})

    @abstractmethod
    def erase(self, kind: str, keys: Sequence[str]) -> int:
        """Remove payloads of entries (erasure of a person): keys stay as tombstones. Returns how many."""

    @abstractmethod
    def check(self) -> str:
        """One harmless call for `signals doctor`: says what answered. Raises LedgerError."""


class LedgerError(RuntimeError):
    """The ledger refused or could not be reached: names the URL's kind and what to do; no payload."""
