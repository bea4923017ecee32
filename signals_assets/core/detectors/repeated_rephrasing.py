"""Friction: the user states the same request three or more times in succession.

Put here: runs of alike user turns, and runs of insisting against refusals.
Not here: a single correction (see `correction.py`).
"""

from collections import deque
from typing import ClassVar, Final

from signals_assets.core.detectors.context import Detected, Detector, Seen, Severity
from signals_assets.core.detectors.cues import Utterance
from signals_assets.core.text import likeness

TIMES: Final = 3
ALIKE: Final = 0.46
GAP: Final = 2
"""Turns of the user that may lie between two statements of one run."""
TURNS: Final = 8


def _alike(said: Utterance, before: Utterance) -> bool:
    """Whether two turns ask for the same in other words; approvals and very short turns never do."""
    if len(said.stems) < 3 or len(before.stems) < 3 or said.approval >= 0.5:
        return False
    return likeness(said.stems, before.stems) >= ALIKE


class RepeatedRephrasing(Detector):
    """Chains of alike turns; a chain of insisting after refusals counts in any words."""

    type: ClassVar[str] = "repeated_rephrasing"
    looks_at: ClassVar[str] = "likeness of the user's last turns, verbatim repeats, and insisting after each refusal"
    ignores: ClassVar[str] = "approvals, answers to the agent's question, one single restatement"

    def __init__(self) -> None:
        self._turns: deque[tuple[int, int, Utterance]] = deque(maxlen=TURNS)
        self._run: list[int] = []
        self._run_turn = -10
        self._insisting: list[int] = []
        self._insisted = -10
        self._number = 0

    def update(self, seen: Seen) -> list[Detected]:
        """Take a turn of the user: does it restate an earlier one of the run, or insist against a refusal?"""
        said = seen.said
        if said is None or seen.step.kind != "user_message":
            return []
        self._number += 1
        done = self._insist(seen, said)
        restates = self._restates(seen, said)
        if restates is not None:
            self._run = self._run or [restates]
            if restates not in self._run:
                self._run = [restates]
            self._run.append(seen.index)
            self._run_turn = self._number
        elif self._run and self._number - self._run_turn > GAP:
            done += self._close()
        self._turns.append((self._number, seen.index, said))
        return done

    def finish(self) -> list[Detected]:
        """Return the open runs."""
        return self._close() + self._close_insisting()

    def _restates(self, seen: Seen, said: Utterance) -> int | None:
        """Index of the earlier turn that this one restates, or None."""
        for number, index, before in reversed(self._turns):
            if self._number - number > GAP + 1:
                return None
            if said.text and said.text == before.text:
                near = self._number - number <= GAP and not (said.approval >= 0.5 and seen.turn.asked)
                return index if near and (len(said.tokens) > 1 or seen.index - index <= GAP) else None
            if seen.turn.steps and not self._reports(seen, said) and _alike(said, before):
                return index
        return None

    @staticmethod
    def _reports(seen: Seen, said: Utterance) -> bool:
        """Whether the turn answers a question or reports a step that the agent asked for."""
        return (seen.turn.asked and said.complaint < 0.5) or (said.reports and said.insists < 0.4)

    def _insist(self, seen: Seen, said: Utterance) -> list[Detected]:
        refused = seen.turn.refused >= 0.8
        if (refused and (said.insists >= 0.4 or said.complaint >= 1.0)) or said.insists >= 0.7:
            self._insisting.append(seen.index)
            self._insisted = self._number
            return []
        return self._close_insisting() if self._number - self._insisted > GAP else []

    def _close_insisting(self) -> list[Detected]:
        steps, self._insisting = self._insisting, []
        if len(steps) < TIMES:
            return []
        if set(steps) & set(self._run):
            self._run = []
        return [self.found(steps[:50], "high", min(0.9, 0.5 + 0.08 * len(steps)), (), ("refused",))]

    def _close(self) -> list[Detected]:
        run, self._run = self._run, []
        if len(run) < TIMES:
            return []
        severity: Severity = "medium" if len(run) <= 4 else "high"
        return [self.found(run[:50], severity, min(0.9, 0.45 + 0.1 * len(run)))]
