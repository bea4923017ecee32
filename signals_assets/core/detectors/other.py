"""Friction that fits no other type: material from which new types are discovered.

Put here: what the agent cannot do at all, and dissatisfaction that no other detector explains.
Not here: anything that has a type of its own.
"""

from typing import ClassVar, Final

from signals_assets.core.detectors.context import Detected, Detector, Seen

LACKING: Final = 0.8


class Other(Detector):
    """A capability that the agent says it has not, right after the user asked for it."""

    type: ClassVar[str] = "other"
    looks_at: ClassVar[str] = "the agent saying that it has no means for what the user asked"
    ignores: ClassVar[str] = "denials by policy or eligibility, failures, and everything that has a type of its own"
    listens: ClassVar[frozenset[str]] = frozenset({"user_message", "assistant_message"})

    def __init__(self) -> None:
        self._asked = -1
        self._told = -1

    def update(self, seen: Seen) -> list[Detected]:
        """Pair a request with the agent's word that it cannot be done."""
        if seen.step.kind == "user_message":
            self._asked = seen.index
            return []
        if seen.step.kind != "assistant_message" or self._asked < 0 or self._told == self._asked:
            return []
        if seen.turn.lacks < LACKING:
            return []
        self._told = self._asked
        return [self.found([self._asked, seen.index], "medium", 0.55, (), ("unmet",))]
