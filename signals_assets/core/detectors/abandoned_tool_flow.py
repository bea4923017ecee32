"""Friction: the user rejected, cancelled or interrupted what the agent was doing, or the agent left it unfinished.

Put here: rejections, cancellations and interruptions in the notations of the harnesses, grouped into moments; turns
that end with an announced action.
Not here: calls that failed by themselves (see `error_event.py`).
"""

import re
from typing import ClassVar, Final

from signals_assets.core.detectors.context import MOST_STEPS, Call, Detected, Detector, Seen, Severity
from signals_assets.core.detectors.failures import stopped

STOP_EVENTS: Final = frozenset({"interrupt", "interrupted", "cancel", "cancelled", "canceled", "abort", "turn_aborted"})
DECLINED: Final = 0.45
"""Confidence of a command that the agent only suggested and the user did not run: stored, not counted."""
ANNOUNCED: Final = 0.6
AGAIN: Final = 2
"""Earlier stops at the same file or tool, from which on a further one has cost visible time."""
_SUGGESTION: Final = re.compile(
    r"(?:run shell commands?|allow (?:edits?|creation)\S*|create new file|apply).{0,80}\]: *no?\s*$", re.I | re.M
)
"""How aider asks before it runs or creates something, answered with no."""
_OBJECTS: Final = re.compile(r"\s*(?:hold on|wait|stop|no\b|don'?t|cancel|actually)", re.I)
_ANNOUNCES: Final = re.compile(
    r"(?:^|[.!:\n…] ?|, (?:so |then )?)(?:ok(?:ay)?,? |now,? |next,? |first,? |then )*"
    r"(?:let me (?!know)|i'll |i will |let's |i'm (?:going|about) to |i am going to )[^.!?\n]{3,220}[.:…]?\s*\Z"
)
_WAITS: Final = re.compile(
    r"\?|\b(?:once|if|when|after|until|unless|as soon as) (?:you|it|that|this)\b|\bconfirm|\blet me know\b"
)
"""An announcement that waits for the user."""


class AbandonedToolFlow(Detector):
    """Rejected calls and interruptions; those between two turns of the user are one moment."""

    type: ClassVar[str] = "abandoned_tool_flow"
    looks_at: ClassVar[str] = (
        "results rejected, cancelled or interrupted by the user, interruptions of the agent, and turns with tool calls"
        " that end with an announced action"
    )
    ignores: ClassVar[str] = (
        "plans and questions that were declined with an answer, suggestions that the user did not take up,"
        " records that simply end"
    )
    listens: ClassVar[frozenset[str]] = frozenset(
        {"user_message", "assistant_message", "tool_call", "tool_result", "event"}
    )
    structural: ClassVar[bool] = True

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._calls: list[Call] = []
        self._recent: list[str] = []
        self._declined: int | None = None
        self._announced: int | None = None

    def update(self, seen: Seen) -> list[Detected]:
        """Collect what was stopped until the user or the agent goes on."""
        step = seen.step
        if step.kind == "tool_result":
            return self._result(seen)
        if step.kind == "event":
            if step.name in STOP_EVENTS:
                self._stop(seen)
            self._announced = None
            return []
        done = self._close()
        if step.kind == "user_message":
            return done or self._left(seen)
        self._declined = self._announced = None
        if step.kind == "assistant_message" and seen.turn.calls and _announces(seen.said_low[-260:]):
            self._announced = seen.index
        return done

    def finish(self) -> list[Detected]:
        """Return what the session ended with."""
        return self._close()

    def _result(self, seen: Seen) -> list[Detected]:
        step, call = seen.step, seen.call
        family = call.family if call else ""
        self._announced = None
        if not stopped(step.status, step.text or "", family):
            if call is None and _SUGGESTION.search((step.text or "")[-400:]):
                self._declined = seen.index
            return []
        if family in ("plan", "question") and step.user_comment:
            return []
        done = self._close() if self._steps and step.user_comment and not self._parallel(seen) else []
        self._stop(seen)
        return done

    def _stop(self, seen: Seen) -> None:
        if len(self._steps) < MOST_STEPS:
            self._steps.append(seen.index)
            if seen.call is not None:
                self._calls.append(seen.call)

    def _left(self, seen: Seen) -> list[Detected]:
        """The user speaks where an announced action, or a suggested one, was still to come."""
        announced, declined = self._announced, self._declined
        self._announced = self._declined = None
        if announced is not None:
            return [self.found((announced,), "medium", ANNOUNCED, (), ("unfinished",))]
        if declined is None:
            return []
        objects = _OBJECTS.match(seen.step.text or "") is not None
        steps = (declined, seen.index) if objects else (declined,)
        return [self.found(steps, "low", ANNOUNCED if objects else DECLINED, (), ("rejected",))]

    def _parallel(self, seen: Seen) -> bool:
        """Whether this rejection belongs to calls that were made together."""
        return bool(self._steps) and seen.index - self._steps[-1] == 1

    def _close(self) -> list[Detected]:
        if not self._steps:
            return []
        target = next((call.path or call.tool_name for call in self._calls), "")
        again = bool(target) and self._recent.count(target) >= AGAIN
        severity: Severity = "medium" if again else "low"
        if target:
            self._recent = [*self._recent, target][-4:]
        term = "rejected" if self._calls else "interrupted"
        event = self.found(self._steps, severity, 0.95, tuple(self._calls[:10]), (term,))
        self._steps, self._calls = [], []
        self._declined = self._announced = None
        return [event]


def _announces(ending: str) -> bool:
    """Whether a message of the agent ends with what it will do at once."""
    if not any(word in ending for word in ("let me", "i'll", "i will", "let's", "i'm ", "i am ")):
        return False
    return bool(_ANNOUNCES.search(ending)) and not _WAITS.search(ending)
