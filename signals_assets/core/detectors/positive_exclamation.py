"""Delight: the user expresses pleasure or praise beyond politeness.

Put here: when praise is more than a habit of speech.
Not here: plain approval (see `rapid_approval.py`).
"""

import re
from typing import ClassVar, Final

from signals_assets.core.detectors.context import MATERIAL, REMARK, Detected, Detector, Kind, Seen, remarks

PRAISE: Final = 0.95
DOUBT: Final = 1.2
UNCLOUDED: Final = 0.6
"""Least complaint beside which a pleasant word is no sign of delight; a mere "but" weighs 0.5."""
_OPENS: Final = re.compile(
    r"(?:(?:ok|okay|oh|yes|yeah|yup)[,.! ]+)?(?:wow|woo+(?:hoo+)?|yay|amazing|awesome|fantastic|brilliant|"
    r"incredible|wonderful|beautiful|phenomenal|magic(?:al)?|magnificent|superb|stellar|outstanding|"
    r"spectacular|so exciting|very impressive|love (?:it|this|that)|i love|(?:really|very|super|"
    r"so) (?:good|great|nice|cool|impressed|happy)|it'?s perfect|absolutely perfect|it worked!|"
    r"great (?:job|work)|well done)\b"
)
"""Pleasure that opens a turn, whatever the turn then asks for."""
_BUT: Final = re.compile(r"\b(?:but|however|except|though|yet|wait|no)\b")
BUT_WITHIN: Final = 60


class PositiveExclamation(Detector):
    """Strong praise in a turn that does not complain; with low confidence a statement of what the user likes."""

    kind: ClassVar[Kind] = "delight"
    type: ClassVar[str] = "positive_exclamation"
    looks_at: ClassVar[str] = "words and marks of pleasure in the user's turn"
    ignores: ClassVar[str] = "bare thanks, a short acknowledgement before the next task, praise inside a complaint"

    def update(self, seen: Seen) -> list[Detected]:
        """Judge one turn of the user."""
        said = seen.said
        if said is None or seen.turn.steps == 0:
            return []
        if said.praise < PRAISE and _OPENS.match(said.text) and not _BUT.search(said.text[:BUT_WITHIN]):
            return [self.found([seen.index], None, 0.6)]
        if said.complaint >= DOUBT:
            return []
        if said.praise >= PRAISE:
            return [self.found([seen.index], None, min(0.95, 0.25 + 0.4 * said.praise))]
        if said.pleasant and said.complaint < UNCLOUDED and remarks(seen):
            return [self.found([seen.index], None, MATERIAL, (), (REMARK,))]
        return []
