"""Friction: the user reports, mostly calmly, that something the agent did or claimed is wrong.

Put here: when a turn is a correction of the agent's work.
Not here: anger (see `escalation_tone.py`; both may hold), the features and the model (`turns.py`, `models.py`).
"""

from typing import ClassVar, Final

from signals_assets.core.detectors.context import Detected, Seen, Severity
from signals_assets.core.detectors.turns import Learned

SURE: Final = 0.5
PLAIN: Final = 0.6
"""A plain correction costs a turn; what the model is less sure of is mostly a remark in passing."""


class Correction(Learned):
    """Turns that a linear model takes for a correction: cues of finding fault, and what the agent had just done."""

    type: ClassVar[str] = "correction"
    looks_at: ClassVar[str] = (
        "words of finding fault, negations, reports of a wrong state and pasted errors in the turn that follows "
        "work or claims of the agent, weighed by a linear model with what the agent had done, asked or refused before"
    )
    ignores: ClassVar[str] = "opening requests, the user's own mistakes, turns with nothing from the agent before them"
    learned: ClassVar[str] = "correction"
    listens: ClassVar[frozenset[str]] = frozenset({"said", "assistant_message", "tool_result", "event"})

    def update(self, seen: Seen) -> list[Detected]:
        """Judge one turn of the user against what the agent did before it."""
        sure = self._finds.update(seen)
        said, turn = seen.said, seen.turn
        if sure is None or said is None or turn.number == 0 or turn.steps == 0:
            return []
        if sure < SURE or said.confusion >= 0.9 or said.own_mistake:
            return []
        severity: Severity = "medium" if sure >= PLAIN else "low"
        return [self.found([seen.index], severity, min(0.95, sure))]
