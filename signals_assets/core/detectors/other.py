"""Friction that fits no other type: material from which new types are discovered.

Put here: what the agent cannot do at all, and remarks on delivered work that no other detector explains.
Not here: anything that has a type of its own.
"""

from typing import ClassVar, Final

from signals_assets.core.detectors.context import (
    MATERIAL,
    REMARK,
    Detected,
    Detector,
    Seen,
    remarks,
)

LACKING: Final = 0.8
EXPLAINED: Final = 0.8
"""From such a complaint on the turn may be a correction."""
CLEAR: Final = 0.5
"""From such a score on another type may take the turn."""


class Other(Detector):
    """A capability that the agent says it has not, and what a user remarks on the work without any known tone."""

    type: ClassVar[str] = "other"
    looks_at: ClassVar[str] = (
        "the agent saying that it has no means for what the user asked; with low confidence also statements on "
        "delivered work that nothing else explains"
    )
    ignores: ClassVar[str] = (
        "denials by policy or eligibility, failures, questions, requests, answers, approval, and everything that has "
        "a type of its own"
    )
    listens: ClassVar[frozenset[str]] = frozenset({"user_message", "assistant_message"})

    def __init__(self) -> None:
        self._asked = -1
        self._told = -1

    def update(self, seen: Seen) -> list[Detected]:
        """Pair a request with the agent's word that it cannot be done; take an unexplained remark as material."""
        if seen.step.kind == "user_message":
            remark = _unexplained(seen)
            self._asked = -1 if remark else seen.index
            return [self.found([seen.index], "low", MATERIAL, (), (REMARK,))] if remark else []
        if seen.step.kind != "assistant_message" or self._asked < 0 or self._told == self._asked:
            return []
        if seen.turn.lacks < LACKING:
            return []
        self._told = self._asked
        return [self.found([self._asked, seen.index], "medium", 0.55, (), ("unmet",))]


def _unexplained(seen: Seen) -> bool:
    """Whether the turn is a remark that no detector takes: neither complaint, anger, undoing, confusion nor joy."""
    said = seen.said
    if said is None or not remarks(seen):
        return False
    known = (said.anger, said.undo, said.confusion, said.praise, said.appreciation, said.time_saved, said.learning)
    return said.complaint < EXPLAINED and max(known) < CLEAR and not said.pleasant and not said.accepts
