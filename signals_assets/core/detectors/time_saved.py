"""Delight: the user says that it saved time or effort.

Put here: the user's own words about time saved.
Not here: remarks that something runs fast.
"""

from typing import ClassVar, Final

from signals_assets.core.detectors.context import Detected, Detector, Kind, Seen

SAVED: Final = 0.9


class TimeSaved(Detector):
    """The user says so."""

    kind: ClassVar[Kind] = "delight"
    type: ClassVar[str] = "time_saved"
    looks_at: ClassVar[str] = "the user saying that time, effort or trouble was saved"
    ignores: ClassVar[str] = "requests to save time, remarks on speed, the opening request"

    def update(self, seen: Seen) -> list[Detected]:
        """Judge one turn of the user."""
        said = seen.said
        if said is None or said.time_saved < SAVED or seen.turn.steps == 0 or said.complaint >= 1.0:
            return []
        return [self.found([seen.index], None, 0.7)]
