"""Friction: the same file or record is fetched again and again although nothing changed.

Put here: repeated reads without a change between, and repeated adds and removes of the same file.
Not here: failed reads (see `error_event.py`).
"""

import re
from collections import OrderedDict
from typing import ClassVar, Final

from signals_assets.core.detectors.context import Call, Detected, Detector, Seen, Severity

READS: Final = 3
TRACKED: Final = 512
_FETCH: Final = re.compile(r"^(?:get|read|fetch|load|list|find|search|lookup)_", re.IGNORECASE)
_ADD_DROP: Final = re.compile(r"^/(add|drop)\s+(\S+)")


class ContextChurn(Detector):
    """Counts equal reads per target; a change to the target starts its count anew."""

    type: ClassVar[str] = "context_churn"
    looks_at: ClassVar[str] = "equal reads of one file or record by the agent, and a file added and dropped repeatedly"
    ignores: ClassVar[str] = "reads after an edit, other ranges of the same file, checks that the user runs"
    listens: ClassVar[frozenset[str]] = frozenset({"tool_call", "event"})
    structural: ClassVar[bool] = True

    def __init__(self) -> None:
        self._reads: OrderedDict[int, list[int]] = OrderedDict()
        self._calls: dict[int, Call] = {}
        self._paths: dict[str, set[int]] = {}
        self._marks: OrderedDict[str, list[tuple[str, int]]] = OrderedDict()

    def update(self, seen: Seen) -> list[Detected]:
        """Count a read, forget a target that changed; return targets whose run a change has closed."""
        call = seen.call
        if seen.step.kind == "event" and seen.step.name == "slash_command":
            return self._marked(seen)
        if seen.step.kind != "tool_call" or call is None or call.by_user:
            return []
        if call.family == "file_edit":
            return self._forget(call.path)
        if call.family == "shell":
            return []
        if call.family == "file_read" or (call.family == "unknown" and _FETCH.match(call.tool_name)):
            return self._read(call)
        return []

    def finish(self) -> list[Detected]:
        """Return every target that was read too often."""
        done = [event for key in list(self._reads) for event in self._drop(key)]
        for marks in self._marks.values():
            done.extend(self._marks_event(marks))
        return done

    def _read(self, call: Call) -> list[Detected]:
        runs = self._reads.setdefault(call.key, [])
        if len(runs) < 50:
            runs.append(call.index)
        self._calls[call.key] = call
        if call.path:
            self._paths.setdefault(call.path, set()).add(call.key)
        self._reads.move_to_end(call.key)
        return self._drop(next(iter(self._reads))) if len(self._reads) > TRACKED else []

    def _forget(self, path: str) -> list[Detected]:
        """A change of a file closes its runs; an edit that names no file closes nothing."""
        return [event for key in sorted(self._paths.pop(path, set())) for event in self._drop(key)]

    def _drop(self, key: int) -> list[Detected]:
        steps = self._reads.pop(key, [])
        call = self._calls.pop(key, None)
        if call is None:
            return []
        self._paths.get(call.path, set()).discard(key)
        if len(steps) < READS:
            return []
        severity: Severity = "high" if len(steps) >= 20 else "medium" if len(steps) >= 5 else "low"
        return [self.found(steps, severity, min(0.95, 0.5 + 0.1 * (len(steps) - READS)), (call,), ("reread",))]

    def _marked(self, seen: Seen) -> list[Detected]:
        found = _ADD_DROP.match(seen.step.text or "")
        if found is None:
            return []
        marks = self._marks.setdefault(found.group(2)[:200], [])
        if (not marks or marks[-1][0] != found.group(1)) and len(marks) < 50:
            marks.append((found.group(1), seen.index))
        if len(self._marks) > TRACKED:
            return self._marks_event(self._marks.popitem(last=False)[1])
        return []

    def _marks_event(self, marks: list[tuple[str, int]]) -> list[Detected]:
        if len(marks) < READS:
            return []
        return [self.found([index for _, index in marks], "low" if len(marks) < 5 else "medium", 0.7, (), ("added",))]
