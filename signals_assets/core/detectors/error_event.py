"""Friction: a tool or the model failed in a way the agent did not expect.

Put here: which failures make an event, and how failures with one cause become one.
Not here: whether a single result failed (see `failures.py`).
"""

from typing import ClassVar, Final

from signals_assets.core.detectors.context import Call, Detected, Detector, Seen, Severity

NEAR: Final = 12
"""Steps within which a like failure belongs to the same run."""


class ErrorEvent(Detector):
    """Runs of failures: same tool, same class, close together."""

    type: ClassVar[str] = "error_event"
    looks_at: ClassVar[str] = "statuses and texts of tool results, and errors of the model's service"
    ignores: ClassVar[str] = "failures the agent had announced, searches without hits, output that was only printed"
    listens: ClassVar[frozenset[str]] = frozenset({"said", "tool_result", "event"})
    structural: ClassVar[bool] = True

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._count = 0
        self._cause = ("", "")
        self._call: Call | None = None

    def update(self, seen: Seen) -> list[Detected]:
        """A failure joins the open run or starts one; a success of the same kind of work, or the user, closes it."""
        cause = self._cause_of(seen)
        if cause is not None:
            same = cause == self._cause and self._steps and seen.index - self._steps[-1] <= NEAR
            done = [] if same else self._close()
            self._cause, self._call = cause, seen.call
            self._count += 1
            if len(self._steps) < 50:
                self._steps.append(seen.index)
            return done
        if self._steps and (seen.step.kind == "user_message" or seen.index - self._steps[-1] > NEAR):
            return self._close()
        return []

    def finish(self) -> list[Detected]:
        """Close the open run: it was never recovered from."""
        return self._close(ended=True)

    @staticmethod
    def _cause_of(seen: Seen) -> tuple[str, str] | None:
        if seen.step.kind == "event" and seen.step.name == "api_error":
            return ("model", "api")
        if not seen.failed or (seen.expected and seen.failed in ("test", "failed")):
            return None
        return (seen.call.tool_name if seen.call else seen.step.tool_name or "", seen.failed)

    def _close(self, ended: bool = False) -> list[Detected]:
        if not self._steps:
            return []
        severity: Severity = "medium" if self._count >= 4 or (ended and self._count > 1) else "low"
        calls = (self._call,) if self._call else ()
        event = self.found(self._steps, severity, 0.9, calls, (self._cause[1],))
        self._steps, self._count, self._cause, self._call = [], 0, ("", ""), None
        return [event]
