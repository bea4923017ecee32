"""Delight: a demanding request is explicitly accepted after the agent's first attempt.

Put here: acceptance right after substantial work that nobody had to correct.
Not here: silence, politeness at the end of a talk.
"""

from typing import ClassVar, Final

from signals_assets.core.detectors.context import Detected, Detector, Kind, Seen

DEMANDING: Final = 8
"""Calls of the agent for one request."""
ACCEPTED: Final = 0.95


class FirstAttemptSuccess(Detector):
    """Explicit acceptance of the result of one turn with many calls and changes."""

    kind: ClassVar[Kind] = "delight"
    type: ClassVar[str] = "first_attempt_success"
    looks_at: ClassVar[str] = "explicit acceptance right after one long turn of work that began with a new request"
    ignores: ClassVar[str] = "acceptance after corrections, small requests, silence"
    listens: ClassVar[frozenset[str]] = frozenset({"said", "event"})

    def __init__(self) -> None:
        self._clean = True

    def update(self, seen: Seen) -> list[Detected]:
        """Judge the user's reaction to the turn that ends here."""
        said = seen.said
        if said is None or seen.step.kind != "user_message":
            self._clean = self._clean and seen.step.status != "rejected" and seen.step.name != "interrupt"
            return []
        clean, self._clean = self._clean, said.complaint < 0.6
        turn = seen.turn
        demanding = turn.calls >= DEMANDING and turn.edits >= 2
        if not (clean and demanding) or said.complaint >= 0.3 or said.approval < ACCEPTED:
            return []
        return [self.found([seen.index], None, 0.6)]
