"""Delight: the agent explained something and the user shows that they value it.

Put here: the user's reaction to an explanation.
Not here: questions that were answered without a reaction.
"""

from typing import ClassVar, Final

from signals_assets.core.detectors.context import Detected, Detector, Kind, Seen

VALUED: Final = 0.8


class LearningMoment(Detector):
    """Words of insight after a long message of the agent."""

    kind: ClassVar[Kind] = "delight"
    type: ClassVar[str] = "learning_moment"
    looks_at: ClassVar[str] = "words of insight or thanks for an explanation after a long message of the agent"
    ignores: ClassVar[str] = "a plain acknowledgement, insight that leads to a complaint"

    def update(self, seen: Seen) -> list[Detected]:
        """Judge one turn of the user."""
        said = seen.said
        if said is None or said.learning < VALUED or not seen.turn.explained or said.complaint >= 0.8:
            return []
        return [self.found([seen.index], None, 0.55)]
