"""Friction: the user rejected, cancelled or interrupted what the agent was doing.

Put here: rejections and interruptions, grouped into moments.
Not here: calls that failed by themselves (see `error_event.py`).
"""

from typing import ClassVar, Final

from signals_assets.core.detectors.context import Call, Detected, Detector, Seen, Severity

_STOPS: Final = frozenset({"rejected", "interrupted"})


class AbandonedToolFlow(Detector):
    """Rejected calls and interruptions; those between two turns of the user are one moment."""

    type: ClassVar[str] = "abandoned_tool_flow"
    looks_at: ClassVar[str] = "results rejected or interrupted by the user, and interruptions of the agent"
    ignores: ClassVar[str] = "plans and questions that were declined with an answer, records that simply end"
    listens: ClassVar[frozenset[str]] = frozenset(
        {"user_message", "assistant_message", "tool_call", "tool_result", "event"}
    )
    structural: ClassVar[bool] = True

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._calls: list[Call] = []
        self._recent: list[str] = []

    def update(self, seen: Seen) -> list[Detected]:
        """Collect what was stopped until the user or the agent goes on."""
        step = seen.step
        if step.kind == "tool_result" and step.status in _STOPS:
            if seen.call is not None and seen.call.family in ("plan", "question") and step.user_comment:
                return []
            done = self._close() if self._steps and step.user_comment and not self._parallel(seen) else []
            self._steps.append(seen.index)
            if seen.call is not None:
                self._calls.append(seen.call)
            return done
        if step.kind == "event" and step.name == "interrupt":
            self._steps.append(seen.index)
            return []
        if step.kind in ("user_message", "assistant_message", "tool_call"):
            return self._close()
        return []

    def finish(self) -> list[Detected]:
        """Return what the session ended with."""
        return self._close()

    def _parallel(self, seen: Seen) -> bool:
        """Whether this rejection belongs to calls that were made together."""
        return bool(self._steps) and seen.index - self._steps[-1] == 1

    def _close(self) -> list[Detected]:
        if not self._steps:
            return []
        target = next((call.path or call.tool_name for call in self._calls), "")
        again = bool(target) and target in self._recent
        severity: Severity = "medium" if again else "low"
        if target:
            self._recent = [*self._recent, target][-4:]
        term = "rejected" if self._calls else "interrupted"
        event = self.found(self._steps[:50], severity, 0.95, tuple(self._calls[:10]), (term,))
        self._steps, self._calls = [], []
        return [event]
