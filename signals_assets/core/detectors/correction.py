"""Friction: the user reports, mostly calmly, that something the agent did or claimed is wrong.

Put here: when a complaint is about the agent's work.
Not here: anger (see `escalation_tone.py`; both may hold), the cues themselves (see `cues.py`).
"""

from typing import ClassVar, Final

from signals_assets.core.detectors.context import Detected, Detector, Seen, Severity

WRONG: Final = 0.9
ASKED: Final = 0.35
"""How much more it takes where the agent had asked: the turn may just answer."""

REPORTED: Final = 0.6
"""How much more it takes of a turn that reports what the user did or saw at the agent's bidding."""


class Correction(Detector):
    """Complaints, doubts and pasted errors that follow the agent's work."""

    type: ClassVar[str] = "correction"
    looks_at: ClassVar[str] = (
        "complaints, doubts and pasted errors in the turn that follows work or claims of the agent"
    )
    ignores: ClassVar[str] = (
        "opening requests, words typed with a rejection, answers to the agent's question, own mistakes, new wishes"
    )

    def __init__(self) -> None:
        self._before = -10

    def update(self, seen: Seen) -> list[Detected]:
        """Judge one turn of the user against what the agent did before it."""
        said = seen.said
        if said is None or seen.step.kind != "user_message" or seen.turn.number == 0 or seen.turn.steps == 0:
            return []
        need = WRONG + (ASKED if seen.turn.asked else 0.0) - (0.1 if seen.turn.edits else 0.0)
        need += REPORTED if said.reports else 0.0
        need += 0.25 if seen.turn.refused >= 0.8 else 0.0
        if said.complaint < need or said.confusion >= 0.9:
            return []
        again = seen.turn.number - self._before <= 2
        self._before = seen.turn.number
        severity: Severity = "medium" if again or said.complaint >= 2.2 else "low"
        return [self.found([seen.index], severity, min(0.95, 0.3 + 0.25 * said.complaint))]
