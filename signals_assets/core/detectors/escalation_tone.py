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
HEATED: Final = 0.8
"""From such a turn on, or such a complaint, the next turn needs less."""
FELT: Final = 0.9
"""What a word for one's own bad feeling weighs where something had just gone wrong."""
WRONG: Final = 0.6
REFUSED: Final = 0.8


class EscalationTone(Detector):
    """Reproach, emphasis and exasperation toward the agent; a heated session lowers the bar for the next turn."""

    type: ClassVar[str] = "escalation_tone"
    looks_at: ClassVar[str] = (
        "reproach, rhetorical questions, curses, dismissal, threats to leave and loud writing in the user's words, "
        "bad feelings where something had just failed or been refused, and the heat of the turns before"
    )
    ignores: ClassVar[str] = (
        "calm defect reports, the first words of a session, feelings about third parties, praise with strong words"
    )

    def __init__(self) -> None:
        self._heat = 0.0

    def update(self, seen: Seen) -> list[Detected]:
        """Judge one turn of the user by its words and by the turns before it."""
        said = seen.said
        if said is None:
            return []
        own = said.anger + (FELT if said.feeling and _went_wrong(seen, said) else 0.0)
        level = own + (self._heat + (0.2 if seen.step.status == "rejected" else 0.0) if own else 0.0)
        heated = own >= HEATED or said.complaint >= 1.5
        self._heat = 0.5 * self._heat + (0.15 if heated else 0.0)
        if said.praise >= 0.9 or _conceded(said) or level < ANGRY or seen.turn.steps == 0:
            return []
        severity: Severity = "medium" if level >= 1.3 else "low"
        return [self.found([seen.index], severity, min(0.95, 0.3 + 0.3 * level))]


def _went_wrong(seen: Seen, said: Utterance) -> bool:
    """Whether the agent had failed or refused just before, or the turn itself says that something is wrong."""
    return seen.turn.refused >= REFUSED or said.complaint >= WRONG or said.insists >= WRONG


def _conceded(said: Utterance) -> bool:
    """A reproach in form that says what the user likes ("I never told it to, but I love the result")."""
    return said.liking >= LIKED and said.complaint < CALM
