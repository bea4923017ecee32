"""Friction: work that was done is undone.

Put here: the user's requests to undo, the agent's reverts of its own work, edits that restore an earlier text.
Not here: plain corrections (see `correction.py`).
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from signals_assets.core.detectors.context import Call, Detected, Detector, Seen, Severity
from signals_assets.core.detectors.cues import SELF_REVERT

REQUEST: Final = 0.85
LONGEST: Final = 70
"""Words; a longer message that mentions undoing is mostly about something else."""
NEAR: Final = 4
EDITS: Final = 256
LARGE: Final = 600
"""Characters; a smaller edit restored within one turn is a step of the work (an import that came too early)."""
_UNDO_COMMAND: Final = re.compile(r"^/(?:undo|rewind|restore)\b")
_GIT_UNDO: Final = re.compile(
    r"\bgit (?:checkout (?:HEAD )?-- |checkout \S+\.\w+|restore (?!--staged)|reset --hard|revert\b|clean -)"
)


class Backtracking(Detector):
    """Undo commands, requests to undo, own reverts, and edits back to the text before an edit."""

    type: ClassVar[str] = "backtracking"
    looks_at: ClassVar[str] = (
        "undo commands, the user's requests to undo, version control resets and edits that restore"
    )
    ignores: ClassVar[str] = "the opening request of a session, refactoring, clean-up, talk about undo features"
    listens: ClassVar[frozenset[str]] = frozenset({"said", "assistant_message", "tool_call", "event"})

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._weight = 0.0
        self._edits: OrderedDict[tuple[str, int, int], int] = OrderedDict()
        self._touched: OrderedDict[str, None] = OrderedDict()
        self._call: Call | None = None

    def update(self, seen: Seen) -> list[Detected]:
        """Join nearby signs of one undoing; return a moment once the session has moved on."""
        weight = self._weight_of(seen)
        done: list[Detected] = []
        if self._steps and seen.index - self._steps[-1] > NEAR:
            done = self._close()
        if weight > 0:
            if len(self._steps) < 50:
                self._steps.append(seen.index)
            self._weight = max(self._weight, weight)
            self._call = seen.call or self._call
        return done

    def finish(self) -> list[Detected]:
        """Return what was open."""
        return self._close()

    def _weight_of(self, seen: Seen) -> float:
        step = seen.step
        if step.kind == "event":
            return 0.95 if step.name == "slash_command" and _UNDO_COMMAND.match(step.text or "") else 0.0
        if seen.said is not None:
            asked = seen.said.undo >= REQUEST and len(seen.said.tokens) <= LONGEST
            return min(0.9, 0.35 + 0.4 * seen.said.undo) if asked and seen.turn.number > 0 else 0.0
        if step.kind == "assistant_message":
            return 0.6 if seen.turn.number and SELF_REVERT.search(seen.said_low[:1000]) else 0.0
        if step.kind == "tool_call" and seen.call is not None and not seen.call.by_user:
            return self._call_weight(seen.call, step.arguments or {}, seen.turn.number)
        return 0.0

    def _call_weight(self, call: Call, arguments: Mapping[str, Any], turn: int) -> float:
        if call.family == "shell":
            return 0.6 if self._touched and _GIT_UNDO.search(call.command) else 0.0
        if call.family != "file_edit":
            return 0.0
        self._touched[call.path] = None
        before, after = arguments.get("old_string"), arguments.get("new_string")
        if not isinstance(before, str) or not isinstance(after, str):
            return 0.0
        key = (call.path, hash(before), hash(after))
        earlier = self._edits.get((key[0], key[2], key[1]))
        self._edits[key] = turn
        for known in (self._edits, self._touched):
            if len(known) > EDITS:
                known.popitem(last=False)
        if earlier is None or before == after:
            return 0.0
        return 0.8 if earlier != turn or len(before) + len(after) > LARGE else 0.45

    def _close(self) -> list[Detected]:
        if not self._steps:
            return []
        severity: Severity = "medium" if len(self._steps) >= 3 else "low"
        event = self.found(self._steps, severity, self._weight, (self._call,) if self._call else ())
        self._steps, self._weight, self._call = [], 0.0, None
        return [event]
