"""Friction: the same file or record is fetched again and again although nothing changed.

Put here: repeated reads without a change between, and repeated adds and removes of the same file.
Not here: failed reads (see `error_event.py`).
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from signals_assets.core.detectors.context import Call, Detected, Detector, Seen, Severity

READS: Final = 3
TURNS: Final = 1
"""Turns of the user that three reads of a file may span: later, the user may have changed it."""
TRACKED: Final = 512
SPANS: Final = 60
"""Reads remembered of one file."""
MANY: Final = 10
VERY_MANY: Final = 20
_FETCH: Final = re.compile(r"^(?:get|read|fetch|load|list|find|search|lookup)_", re.IGNORECASE)
_LISTING: Final = re.compile(r"^(?:ls|list|list_?dir(?:ectory)?|list_files|readfolder|view_image)$", re.IGNORECASE)
_ADD_DROP: Final = re.compile(r"^/(add|drop)\s+(\S+)")
_FROM: Final = ("offset", "start_line", "startLine", "start_line_one_indexed", "StartLine")
_TO: Final = ("end_line", "endLine", "end_line_one_indexed_inclusive", "EndLine")
_PARTS: Final = ("limit", "lines", "view_range", *_FROM, *_TO)
WHOLE: Final = (0, 1 << 30)
SOMEWHERE: Final = (-1, -1)
"""A part of a file that the call does not place."""
_RANGE: Final = re.compile(r"(\d+)\s*[-:–]\s*(\d+)\Z")
TAIL_OF_PATH: Final = 3
"""Parts of a path that name a file: agents name it from the root or from the project's folder."""


@dataclass(slots=True)
class _File:
    """What was read of one file since its last change."""

    call: Call
    reads: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(first line, last line, step, turn) of each read."""


class ContextChurn(Detector):
    """Counts reads of the same lines, per file and per record; a change to a file starts its count anew."""

    type: ClassVar[str] = "context_churn"
    looks_at: ClassVar[str] = (
        "reads of the same lines of a file, equal fetches of one record, and a file added and dropped repeatedly"
    )
    ignores: ClassVar[str] = "reads after an edit or after further turns of the user, other ranges, listings of folders"
    listens: ClassVar[frozenset[str]] = frozenset({"tool_call", "tool_result", "event"})
    structural: ClassVar[bool] = True

    def __init__(self) -> None:
        self._files: OrderedDict[str, _File] = OrderedDict()
        self._marks: OrderedDict[str, list[tuple[str, int]]] = OrderedDict()

    def update(self, seen: Seen) -> list[Detected]:
        """Count a read, forget a file that changed; return those whose run a change has closed."""
        step, call = seen.step, seen.call
        if step.kind == "event":
            return self._marked(seen) if step.name == "slash_command" else []
        if call is None or call.by_user:
            return []
        if step.kind == "tool_result":
            if seen.failed and call.path:
                self._forget(_name(call.path), call.index)
            return []
        if call.family == "file_edit":
            return self._drop(_name(call.path))
        if call.family == "file_read" and call.path and not _LISTING.match(call.tool_name):
            return self._read(_name(call.path), call, _span(step.arguments or {}), seen.turn.number)
        if call.family == "unknown" and _FETCH.match(call.tool_name):
            return self._read(str(call.key), call, WHOLE, 0)
        return []

    def finish(self) -> list[Detected]:
        """Return what was read or marked too often."""
        done = [event for name in list(self._files) for event in self._drop(name)]
        for marks in self._marks.values():
            done.extend(self._marks_event(marks))
        return done

    def _read(self, name: str, call: Call, span: tuple[int, int], turn: int) -> list[Detected]:
        known = self._files.setdefault(name, _File(call))
        self._files.move_to_end(name)
        if span == SOMEWHERE:
            span = WHOLE if any(read[:2] == WHOLE for read in known.reads) else (-call.index, -call.index)
        if len(known.reads) < SPANS:
            known.reads.append((*span, call.index, turn))
        return self._drop(next(iter(self._files))) if len(self._files) > TRACKED else []

    def _forget(self, name: str, step: int) -> None:
        """A read that failed brought nothing."""
        if name in self._files:
            self._files[name].reads = [read for read in self._files[name].reads if read[2] != step]

    def _drop(self, name: str) -> list[Detected]:
        known = self._files.pop(name, None)
        if known is None:
            return []
        steps = _densest(known.reads)
        if len(steps) < READS:
            return []
        severity: Severity = "high" if len(steps) >= VERY_MANY else "medium" if len(steps) >= MANY else "low"
        return [self.found(steps, severity, min(0.95, 0.6 + 0.1 * (len(steps) - READS)), (known.call,), ("reread",))]

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


def _name(path: str) -> str:
    return "/".join(path.replace("\\", "/").split("/")[-TAIL_OF_PATH:])


def _span(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """The lines that a read asks for, from 0 and without the last; the whole file where it names none."""
    if not any(arguments.get(key) is not None for key in _PARTS):
        return WHOLE
    first, last = _ends(arguments)
    if not isinstance(first, int) or not isinstance(last, int):
        return SOMEWHERE
    return (max(0, first - 1), last)


def _ends(arguments: Mapping[str, Any]) -> tuple[Any, Any]:
    """First and last line as the harnesses name them; None for what a call leaves open."""
    view, lines = arguments.get("view_range"), arguments.get("lines")
    if isinstance(view, list) and len(view) == 2:
        return view[0], view[1]
    placed = _RANGE.match(lines.strip()) if isinstance(lines, str) else None
    if placed:
        return int(placed.group(1)), int(placed.group(2))
    first = next((arguments[key] for key in _FROM if arguments.get(key) is not None), None if lines else 1)
    last = next((arguments[key] for key in _TO if arguments.get(key) is not None), None)
    limit = arguments.get("limit")
    if last is None and isinstance(first, int):
        last = first - 1 + limit if isinstance(limit, int) else WHOLE[1]
    return first, last


def _densest(reads: list[tuple[int, int, int, int]]) -> list[int]:
    """The steps of the reads that share a line, three at a time within few turns of the user.

    The line is the middle of one of them, so that reads whose margins overlap are not the same.
    """
    found: list[int] = []
    for line in sorted({(first + last) // 2 for first, last, *_ in reads}):
        shared = [(step, turn) for first, last, step, turn in reads if first <= line < last or first == line]
        steps: set[int] = set()
        for start in range(len(shared) - READS + 1):
            three = shared[start : start + READS]
            if three[-1][1] - three[0][1] <= TURNS:
                steps.update(step for step, _ in three)
        if len(steps) > len(found):
            found = sorted(steps)
    return found
