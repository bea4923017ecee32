"""Delight: a demanding request is explicitly accepted after the agent's first attempt.

Put here: acceptance right after substantial work that nobody had to correct.
Not here: silence, politeness, going on to the next task.
"""

import re
from typing import ClassVar, Final

from signals_assets.core.detectors.context import Detected, Detector, Kind, Seen

DEMANDING: Final = 5
"""Calls of the agent for what is accepted."""
DIRTY: Final = 0.6
CLEAN: Final = 0.4
HEAD: Final = 160
_ACCEPTS: Final = re.compile(
    r"\b(?:that|this|it|everything|all)(?:'s| is| was| has been|,)? (?:(?:all|exactly|"
    r"just) )?(?:covers? (?:everything|all|what|it)|works?\b(?! on)|worked|i (?:need|want)\w*|"
    r"resolved|solved|sorted|it!?$|what i (?:need|want|was)\w*)|\b(?:works|working) (?:now|"
    r"great|perfectly|fine|well|like a charm|as expected)\b|\ball (?:i|we) need(?:ed)?\b|"
    r"\b(?:looks?|all) (?:good|great|perfect|right)\b|^(?:perfect|excellent|fantastic|"
    r"great)\b[^?]{0,60}\b(?:thank|look|exactly|work)|\ball was well\b"
)
_RESERVES: Final = re.compile(r"\b(?:but|though|however|except|instead)\b")


class FirstAttemptSuccess(Detector):
    """Explicit acceptance of work with many calls that was not corrected on the way."""

    kind: ClassVar[Kind] = "delight"
    type: ClassVar[str] = "first_attempt_success"
    looks_at: ClassVar[str] = "explicit acceptance after many calls of the agent without any complaint or rejection"
    ignores: ClassVar[str] = "acceptance after corrections, small requests, silence, going on to the next task"
    listens: ClassVar[frozenset[str]] = frozenset({"said", "event", "tool_result"})

    def __init__(self) -> None:
        self._calls = 0
        self._clean = True

    def update(self, seen: Seen) -> list[Detected]:
        """Judge the user's reaction to what was done since the last acceptance."""
        said, turn = seen.said, seen.turn
        if seen.step.kind != "user_message":
            self._clean = self._clean and seen.step.status != "rejected" and seen.step.name != "interrupt"
            return []
        if said is None:
            return []
        self._calls += turn.calls
        if said.complaint >= DIRTY or said.undo >= DIRTY:
            self._clean = False
            return []
        head = said.text[:HEAD]
        if said.complaint >= CLEAN or said.asks or not _ACCEPTS.search(head) or _RESERVES.search(head):
            return []
        calls, clean = self._calls, self._clean
        self._calls, self._clean = 0, True
        return [self.found([seen.index], None, 0.6)] if clean and calls >= DEMANDING else []
