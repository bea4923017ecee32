"""Delight: the user approves quickly, without changes, and shows appreciation.

Put here: short appreciative approval of what the agent proposed.
Not here: bare confirmations, praise of a result (see `positive_exclamation.py`).
"""

from typing import ClassVar, Final

from signals_assets.core.detectors.context import Detected, Detector, Kind, Seen

LONGEST: Final = 30


class RapidApproval(Detector):
    """A short yes with warmth to the agent's question or plan."""

    kind: ClassVar[Kind] = "delight"
    type: ClassVar[str] = "rapid_approval"
    looks_at: ClassVar[str] = "short approval with appreciation, given to a question or a plan of the agent"
    ignores: ClassVar[str] = "a bare confirmation, approval with changes, long answers"

    def update(self, seen: Seen) -> list[Detected]:
        """Judge one turn of the user."""
        said = seen.said
        if said is None or not seen.turn.asked or len(said.tokens) > LONGEST or said.asks:
            return []
        if said.approval < 0.5 or said.appreciation < 0.6 or said.complaint >= 0.3:
            return []
        return [self.found([seen.index], None, 0.55)]
