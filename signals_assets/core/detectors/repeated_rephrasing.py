"""Friction: the user states the same request three or more times in succession.

Put here: runs of alike user turns, and runs of insisting against refusals.
Not here: a single correction (see `correction.py`).
"""

import re
from collections import deque
from dataclasses import dataclass
from typing import ClassVar, Final

from signals_assets.core.detectors.context import Detected, Seen, Severity
from signals_assets.core.detectors.cues import Utterance
from signals_assets.core.detectors.turns import Learned
from signals_assets.core.text import likeness

TIMES: Final = 3
ALIKE: Final = 0.45
"""Likeness of words from which two turns ask for the same, whatever their tone."""
AKIN: Final = 0.35
"""Likeness that is enough where the later turn finds fault with what the agent did."""
EQUAL: Final = 0.7
FAULT: Final = 0.55
LITTLE: Final = 0.45
"""A turn that finds less fault than this asks for something new in like words."""
GAP: Final = 3
"""Turns of the user that may lie between two statements of one run."""
TURNS: Final = 8
_STILL: Final = re.compile(r"\b(?:still|again|same|yet|once more|as before|not (?:fixed|working|solved|there))\b")
HEAD: Final = 200


@dataclass(frozen=True, slots=True)
class _Said:
    """A turn of the user, and how sure it is that it finds fault."""

    number: int
    index: int
    words: Utterance
    fault: float


class RepeatedRephrasing(Learned):
    """Chains of turns that ask for the same; a chain of insisting after refusals counts in any words."""

    type: ClassVar[str] = "repeated_rephrasing"
    looks_at: ClassVar[str] = (
        "likeness of the user's last turns, less of it where the later one finds fault; verbatim repeats; reports that "
        "it is still the same; insisting after each refusal"
    )
    ignores: ClassVar[str] = "approvals, answers to the agent's question, one single restatement"
    learned: ClassVar[str] = "correction"
    listens: ClassVar[frozenset[str]] = frozenset({"said", "assistant_message", "tool_result", "event"})

    def __init__(self) -> None:
        super().__init__()
        self._turns: deque[_Said] = deque(maxlen=TURNS)
        self._run: list[int] = []
        self._run_turn = -10
        self._insisting: list[int] = []
        self._insisted = -10
        self._number = 0

    def update(self, seen: Seen) -> list[Detected]:
        """Take a turn of the user: does it restate an earlier one of the run, or insist against a refusal?"""
        fault = self._finds.update(seen)
        if fault is None or seen.said is None or seen.step.kind != "user_message":
            return []
        self._number += 1
        said = _Said(self._number, seen.index, seen.said, fault)
        done = self._insist(seen, seen.said)
        restates = self._restates(seen, said)
        if restates is not None:
            if restates not in self._run:
                done += self._close()
                self._run = [restates]
            self._run.append(seen.index)
            self._run_turn = self._number
        elif self._run and self._number - self._run_turn > GAP:
            done += self._close()
        self._turns.append(said)
        return done

    def finish(self) -> list[Detected]:
        """Return the open runs."""
        return self._close() + self._close_insisting()

    def _restates(self, seen: Seen, said: _Said) -> int | None:
        """Index of the earlier turn that this one restates, or None."""
        for before in reversed(self._turns):
            if said.number - before.number > GAP + 1:
                return None
            if said.words.text and said.words.text == before.words.text:
                near = said.number - before.number <= GAP and not (said.words.approval >= 0.5 and seen.turn.asked)
                return (
                    before.index if near and (len(said.words.tokens) > 1 or seen.index - before.index <= GAP) else None
                )
            if (
                seen.turn.steps
                and not self._reports(seen, said)
                and self._same_want(said, before, run=before.index in self._run)
            ):
                return before.index
        return None

    @staticmethod
    def _same_want(said: _Said, before: _Said, *, run: bool) -> bool:
        """Whether two turns want the same: by their words, or by finding fault once more."""
        if said.words.approval >= 0.5:
            return False
        alike = likeness(said.words.stems, before.words.stems)
        if min(len(said.words.stems), len(before.words.stems)) >= 3 and alike >= ALIKE:
            return run or alike >= EQUAL or said.fault >= LITTLE
        if said.fault < FAULT:
            return False
        return alike >= AKIN or (before.fault >= FAULT and _STILL.search(said.words.text[:HEAD]) is not None)

    @staticmethod
    def _reports(seen: Seen, said: _Said) -> bool:
        """Whether the turn answers a question or reports a step that the agent asked for."""
        words = said.words
        if seen.turn.instructed and words.insists < 0.4:
            return True
        return (seen.turn.asked and words.complaint < 0.5) or (words.reports and words.insists < 0.4)

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
