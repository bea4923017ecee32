"""Delight: the user expresses pleasure or praise beyond politeness.

Put here: when praise is more than a habit of speech.
Not here: plain approval (see `rapid_approval.py`).
"""

from typing import ClassVar, Final

from signals_assets.core.detectors.context import Detected, Detector, Kind, Seen

PRAISE: Final = 0.95
DOUBT: Final = 1.2


class PositiveExclamation(Detector):
    """Strong praise in a turn that does not complain."""

    kind: ClassVar[Kind] = "delight"
    type: ClassVar[str] = "positive_exclamation"
    looks_at: ClassVar[str] = "words and marks of pleasure in the user's turn"
    ignores: ClassVar[str] = "bare thanks, a short acknowledgement before the next task, praise inside a complaint"

    def update(self, seen: Seen) -> list[Detected]:
        """Judge one turn of the user."""
        said = seen.said
        if said is None or said.praise < PRAISE or said.complaint >= DOUBT or seen.turn.steps == 0:
            return []
        return [self.found([seen.index], None, min(0.95, 0.25 + 0.4 * said.praise))]
