"""The abstraction barrier: the only place that makes `Abstracted` out of text.

Put here: the verdict. `Barrier.examine` for what an analyst wrote (`Barrier.admit` is one try of it), `from_list` for
values of closed lists, `from_taxonomy` for names and definitions our own code or an accepted taxonomy entry gives,
`restored` for text read back from a table of the abstracted zone.
Not here: the rules (see `rules.py`), the lists (see `lexicon.py`), user counts (see `support.py`), the second try
(see `repair.py`), thresholds of aggregates (see `thresholds.py`), text of the published zone (see `publication.py`).

A refused text is dropped, not redacted: a gap would show where a secret was. A verdict carries a rule code, never text.
Texts in other languages than English are refused by R1 or R3 and counted like every other refusal; an English text
about a session in another language is judged like any other (`core/abstractions.py` counts both by themselves).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from signals_assets.core.barrier import rules
from signals_assets.core.barrier.repair import LIMITS, Refusal, Revise, TextField, repaired, without_clauses
from signals_assets.core.barrier.rules import Shape, View
from signals_assets.core.barrier.support import (
    CITATION,
    SUMMARY,
    Feature,
    Grams,
    Support,
    TranscriptIndex,
    feature_hash,
)
from signals_assets.core.barrier.thresholds import SHOWN
from signals_assets.settings import Audience
from signals_assets.zones import _BARRIER_KEY, Abstracted

CITATION_LIMIT: Final = LIMITS["citation"]
SUMMARY_LIMIT: Final = LIMITS["summary"]
LABEL_LIMIT: Final = LIMITS["intent"]
FORMS: Final[Mapping[TextField, tuple[Grams, Shape]]] = {
    "summary": (SUMMARY, "sentence"),
    "intent": (CITATION, "label"),
    "citation": (CITATION, "sentence"),
    "need": (CITATION, "sentence"),
}
"""Sequences that count as quotations, and shape, by kind of field."""

__all__ = [
    "CITATION",
    "CITATION_LIMIT",
    "LABEL_LIMIT",
    "LIMITS",
    "SUMMARY",
    "SUMMARY_LIMIT",
    "Admission",
    "Barrier",
    "Grams",
    "Refusal",
    "Revise",
    "Support",
    "TextField",
    "TranscriptIndex",
    "from_list",
    "from_taxonomy",
    "restored",
    "without_clauses",
]


@dataclass(frozen=True, slots=True)
class Admission:
    """A verdict: the admitted text, or the code of the rule that refused it. Exactly one of the two is set."""

    text: Abstracted | None
    rule: str | None
    retried: bool = False
    """True when this is the verdict on a second try."""


@dataclass(slots=True)
class Barrier:
    """Admits text under one audience and one window of user support. Picklable; make one per chunk.

    `key` is the key of the support rows. For the audience `self` (one user suffices) R5, R6 and the initials of R7
    never refuse; all other rules hold.
    """

    support: Support
    audience: Audience
    key: bytes
    _few: dict[Feature, bool] = field(default_factory=dict, repr=False)

    def admit(
        self,
        text: object,
        *,
        limit: int,
        transcript: TranscriptIndex | None,
        grams: Grams = CITATION,
        shape: Shape = "sentence",
    ) -> Admission:
        """The verdict on one text. Never raises.

        `limit` in characters; `transcript` is the index of the session the text is about (None skips R5, R6 and the
        initials of R7: only for text that no session informed).
        """
        rule = rules.first_failure(text, limit=limit, shape=shape, view=self._view(transcript), grams=grams)
        if rule is not None or not isinstance(text, str):
            return Admission(None, rule)
        return Admission(Abstracted(text, _BARRIER_KEY), None)

    def examine(
        self,
        text: object,
        field: TextField,
        *,
        transcript: TranscriptIndex | None,
        revise: Revise | None = None,
    ) -> Admission:
        """The verdict on a field after its one second try where the first text was refused: the way of every text.

        Words and sequences of a second text that the first did not have are looked up in the transcript, too.
        `revise` answers refusals of an analyst's texts; None is for texts of the built-in rules (see `repair.py`).
        Where there is no second text the verdict keeps the first rule.
        """
        limit, (grams, shape) = LIMITS[field], FORMS[field]
        first = self.admit(text, limit=limit, transcript=transcript, grams=grams, shape=shape)
        if first.rule is None:
            return first
        second: object = None
        if isinstance(text, str) and revise is not None:
            second = revise(Refusal(text, field, first.rule))
        elif isinstance(text, str):
            second = repaired(text, first.rule, limit=limit, shape=shape, view=self._view(transcript), grams=grams)
        if second is None:
            return Admission(None, first.rule, retried=True)
        if transcript is not None and type(second) is str:
            # The index knows what the first texts share with the session; new words and new neighbours may, too.
            transcript = transcript.also(second)
        verdict = self.admit(second, limit=limit, transcript=transcript, grams=grams, shape=shape)
        return Admission(verdict.text, verdict.rule, retried=True)

    def _view(self, transcript: TranscriptIndex | None) -> View:
        if transcript is None or SHOWN[self.audience].users <= 1:
            return rules.NO_TRANSCRIPT
        return View(transcript.shared, transcript.starts, self._is_few)

    def _is_few(self, feature: Feature) -> bool:
        known = self._few.get(feature)
        if known is None:
            known = self.support.users(feature_hash(feature, self.key)) < SHOWN[self.audience].users
            self._few[feature] = known
        return known


def from_taxonomy(text: str, *, limit: int = SUMMARY_LIMIT) -> Abstracted:
    """A name, definition or template sentence of our own; R0 to R4 and the spelling rule still hold.

    Raises ValueError naming the rule (never the text) when it is refused: word it with general vocabulary.
    """
    rule = rules.first_failure(text, limit=limit, shape="definition")
    if rule is not None:
        raise ValueError(f"taxonomy text refused by {rule}; word it with general vocabulary of the lexicon")
    return Abstracted(text, _BARRIER_KEY)


def from_list(value: str) -> Abstracted:
    """A facet's value of a closed list: an outcome or another core word, a technology, true/false, a number up to 1000.

    Raises ValueError, without the value, for anything else: a text goes through `Barrier.examine`.
    """
    if not rules.listed(value):
        raise ValueError("a value that is on no closed list; let the barrier judge it as text")
    return Abstracted(value, _BARRIER_KEY)


def restored(text: str) -> Abstracted:
    """Text read back from a table of the abstracted zone, where only admitted text is stored.

    Checks characters and length only, since the lexicon may have changed since. Raises ValueError without the text.
    """
    if not isinstance(text, str) or not rules.storable(text, rules.LONGEST):
        raise ValueError("stored text was not admitted by the barrier; re-materialize the partition it came from")
    return Abstracted(text, _BARRIER_KEY)
