"""Friction: a tool or the model failed in a way the agent did not expect.

Put here: which failures make an event, and how failures with one cause become one.
Not here: whether a single result failed (see `failures.py`).
"""

from collections import OrderedDict
from typing import ClassVar, Final

from signals_assets.core.detectors.context import MOST_STEPS, Call, Detected, Detector, Seen, Severity
from signals_assets.core.detectors.failures import telling

NEAR: Final = 12
"""Steps within which a failure of the same tool and kind belongs to the same run."""
RETRY: Final = 3
"""Steps within which the next failure of the same tool is a retry that failed too, if its kind is not another."""
FAR: Final = 40
"""Steps within which the same words tell of the same cause."""
SPECIFIC: Final = 40
"""Characters from which on a line of a failure tells one cause from another."""
RECALLED: Final = 32
"""Causes remembered."""
AGAIN: Final = 0.45
"""Confidence of a cause that comes back after its event was told: stored, not counted again."""
COSTLY: Final = 4
"""Failures from which on a run has cost visible time."""
_CHECKS: Final = frozenset({"lint", "test", "build"})
_MODEL: Final = "model"


class ErrorEvent(Detector):
    """Runs of failures with one cause: the same words, the same tool and kind close together, or a failed retry."""

    type: ClassVar[str] = "error_event"
    looks_at: ClassVar[str] = (
        "statuses and texts of tool results, errors of the model's service, and answers that stay empty"
    )
    ignores: ClassVar[str] = (
        "failures the agent had announced or the user reported, searches without hits, output that was only printed,"
        " commands of the user that the harness refuses"
    )
    listens: ClassVar[frozenset[str]] = frozenset(
        {"said", "user_message", "assistant_message", "tool_call", "tool_result", "event"}
    )
    structural: ClassVar[bool] = True

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._count = 0
        self._tool = ""
        self._kind = ""
        self._lines: set[str] = set()
        self._call: Call | None = None
        self._edited = False
        self._turn_lost = False
        """The user had to speak for the work to go on: the answer itself failed, not a call within it."""
        self._blank: int | None = None
        self._known: OrderedDict[str, int] = OrderedDict()

    def update(self, seen: Seen) -> list[Detected]:
        """A failure joins the open run or starts one; an answer, the user or some distance closes it."""
        step, done = seen.step, list[Detected]()
        if step.kind == "tool_result":
            if seen.failed and not (seen.expected and seen.failed in (*_CHECKS, "failed")):
                tool = seen.call.tool_name if seen.call else step.tool_name or ""
                line = telling(step.text or "")
                if seen.model_failed:
                    tool, line = _MODEL, ""
                done = self._failed(seen.index, tool, seen.failed, line if len(line) >= SPECIFIC else "", seen.call)
        elif step.kind == "event":
            self._blank = None
            if step.name == "api_error":
                done = self._failed(seen.index, _MODEL, "api", "", None)
        elif step.kind == "tool_call":
            self._blank = None
            self._edited |= seen.call is not None and seen.call.family == "file_edit"
        elif step.kind == "assistant_message":
            done = self._answered(seen)
        else:
            done = self._user()
        if not done and self._steps and seen.index - self._steps[-1] > NEAR:
            done = self._close()
        return done

    def finish(self) -> list[Detected]:
        """Close the open run: it was never recovered from."""
        return self._close(ended=True)

    def _answered(self, seen: Seen) -> list[Detected]:
        """An empty answer is a failure if the user has to speak next; a failed one is at once."""
        self._blank = None
        if seen.model_failed:
            return self._failed(seen.index, _MODEL, "api", "", None)
        if not (seen.step.text or "").strip():
            self._blank = seen.index
            return []
        return self._close() if self._tool == _MODEL else []

    def _user(self) -> list[Detected]:
        if self._blank is not None:
            blank, self._blank = self._blank, None
            done = self._failed(blank, _MODEL, "api", "", None)
            self._turn_lost = True
            return done
        self._turn_lost |= bool(self._steps) and self._tool == _MODEL
        return [] if self._tool == _MODEL else self._close()

    def _failed(self, index: int, tool: str, kind: str, line: str, call: Call | None) -> list[Detected]:
        done = [] if self._same(index, tool, kind, line) else self._close()
        if not self._steps:
            self._tool, self._kind, self._call = tool, kind, call
        self._turn_lost |= call is None and tool != _MODEL
        self._lines.add(line)
        self._count += 1
        self._edited = False
        if len(self._steps) < MOST_STEPS:
            self._steps.append(index)
        return done

    def _same(self, index: int, tool: str, kind: str, line: str) -> bool:
        """Whether a failure has the open run's cause."""
        if not self._steps:
            return True
        gap = index - self._steps[-1]
        if tool == _MODEL or self._tool == _MODEL:
            return tool == self._tool
        if line and line in self._lines:
            return True
        if tool != self._tool or self._told(line, index):
            return False
        if kind in _CHECKS and self._kind in _CHECKS:
            return gap <= NEAR and not self._edited
        return gap <= (NEAR if kind == self._kind else RETRY if "failed" in (kind, self._kind) else 0)

    def _told(self, line: str, index: int) -> bool:
        """Whether an event of this cause was told a short while ago."""
        return index - self._known.get(line, -FAR - 1) <= FAR

    def _close(self, ended: bool = False) -> list[Detected]:
        if not self._steps:
            return []
        first, last = self._steps[0], self._steps[-1]
        again = all(self._told(line, first) for line in self._lines)
        severity: Severity = "medium" if self._count >= COSTLY or (ended and self._count > 1) else "low"
        if self._turn_lost:
            severity = "medium"
        calls = (self._call,) if self._call else ()
        event = self.found(self._steps, severity, AGAIN if again else 0.9, calls, (self._kind,))
        for line in sorted(self._lines - {""}):
            self._known[line] = last
            self._known.move_to_end(line)
        while len(self._known) > RECALLED:
            self._known.popitem(last=False)
        self._steps, self._count, self._tool, self._kind, self._call = [], 0, "", "", None
        self._lines, self._turn_lost = set(), False
        return [event]
