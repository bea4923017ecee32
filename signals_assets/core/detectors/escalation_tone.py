"""Friction: the user's wording shows rising frustration, anger or loss of trust.

Put here: when emphasis, reproach and loss of patience make an escalation.
Not here: calm reports of a defect (see `correction.py`), the cues themselves (see `cues.py`).
"""

from typing import ClassVar, Final

from signals_assets.core.detectors.context import Detected, Detector, Seen, Severity
from signals_assets.core.detectors.cues import Utterance

ANGRY: Final = 0.9
LIKED: Final = 0.9
CALM: Final = 0.9


class EscalationTone(Detector):
    """Reproach, emphasis and exasperation toward the agent; a heated session lowers the bar for the next turn."""

    type: ClassVar[str] = "escalation_tone"
    looks_at: ClassVar[str] = (
        "reproach, sarcasm, emphasis and exasperation in the user's words, also beside a rejection"
    )
    ignores: ClassVar[str] = "calm defect reports, the first words of a session, praise with strong words"

    def __init__(self) -> None:
        self._heat = 0.0

    def update(self, seen: Seen) -> list[Detected]:
        """Judge one turn of the user by its words and by the turns before it."""
        said = seen.said
        if said is None:
            return []
        level = said.anger + min(0.3, self._heat) + (0.2 if seen.step.status == "rejected" else 0.0)
        self._heat = 0.5 * self._heat + (0.3 if said.anger >= 0.5 or said.complaint >= 1.5 else 0.0)
        if said.praise >= 0.9 or _conceded(said) or said.anger <= 0.0 or level < ANGRY or seen.turn.steps == 0:
            return []
        severity: Severity = "medium" if level >= 1.3 else "low"
        return [self.found([seen.index], severity, min(0.95, 0.3 + 0.3 * level))]


def _conceded(said: Utterance) -> bool:
    """A reproach in form that says what the user likes ("I never told it to, but I love the result")."""
    return said.liking >= LIKED and said.complaint < CALM
