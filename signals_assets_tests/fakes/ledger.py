"""A ledger in memory: the abstract ledger's contract in its simplest form."""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

from signals_assets.resources.ledger import Entry, Ledger


class MemoryLedger(Ledger):
    """Entries in a list; a transaction works on a copy that replaces the list when it ends well."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._lock = threading.RLock()

    @contextmanager
    def transaction(self) -> Iterator["_Writer"]:
        with self._lock:
            writer = _Writer(list(self._entries), self.newest_day())
            yield writer
            self._entries = writer.kept

    def entries(self, kinds: Sequence[str], *, before: date | None = None) -> list[Entry]:
        with self._lock:
            return _Writer(self._entries, None).entries(kinds, before=before)

    def find(self, kind: str, key: str) -> Entry | None:
        with self._lock:
            return _Writer(self._entries, None).find(kind, key)

    def append_many(self, kind: str, items: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        with self.transaction() as writer:
            return sum(writer.append(kind, key, payload)[1] for key, payload in items)

    def newest_day(self) -> date | None:
        with self._lock:
            return max((date.fromisoformat(entry.key) for entry in self._entries if entry.kind == "day"), default=None)

    def kinds(self) -> list[str]:
        with self._lock:
            return sorted({entry.kind for entry in self._entries})

    def amend(self, kind: str, key: str, payload: Mapping[str, Any]) -> bool:
        raise NotImplementedError("no test amends here")

    def erase(self, kind: str, keys: Sequence[str]) -> int:
        raise NotImplementedError("no test erases here")

    def forget_replaced(self) -> None:
        """Nothing of it is anywhere else."""

    def check(self) -> str:
        return f"memory: {len(self._entries)} entries"


class _Writer:
    def __init__(self, entries: list[Entry], newest_day: date | None) -> None:
        self.kept = entries
        self._newest_day = newest_day

    def append(self, kind: str, key: str, payload: Mapping[str, Any]) -> tuple[Entry, bool]:
        found = self.find(kind, key)
        if found:
            return found, False
        # Through JSON, as a real ledger would: what does not survive it fails here.
        entry = Entry(len(self.kept) + 1, kind, key, self._newest_day, json.loads(json.dumps(dict(payload))))
        self.kept.append(entry)
        return entry, True

    def find(self, kind: str, key: str) -> Entry | None:
        return next((entry for entry in self.kept if (entry.kind, entry.key) == (kind, key)), None)

    def newest(self, kind: str) -> Entry | None:
        return next((entry for entry in reversed(self.kept) if entry.kind == kind), None)

    def entries(self, kinds: Sequence[str], *, before: date | None = None) -> list[Entry]:
        return [
            entry
            for entry in self.kept
            if entry.kind in kinds and (before is None or entry.newest_day is None or entry.newest_day < before)
        ]
