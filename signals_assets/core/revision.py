"""Stage 3 · revision. Which texts of an answer the barrier refuses, and the answer with others in their place.

Put here: the look at an answer before users are counted, numbering of an answer's texts, putting texts back.
Not here: the barrier (see `core/barrier`), what is asked (see `core/asking.py`), the verdict that counts (see
`core/abstractions.py`).

A language model gets one chance to word a refused text anew and is told the rule's code only. This look comes before
the day's words are counted by users: a single word of the session is taken for common, a run of words that stands in
the session for a quotation. The barrier judges every text again, with the counts; this look admits nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from signals_assets.core.abstractions import answer_texts, need_sentence
from signals_assets.core.analysis import Answer
from signals_assets.core.barrier import FORMS, LIMITS, Barrier, Support, TextField, TranscriptIndex
from signals_assets.core.barrier.support import Feature
from signals_assets.core.sessions import Session, from_json
from signals_assets.settings import Audience

Refused = tuple[int, str]
"""The number of a text of an answer (its place in `answer_texts`), and the code of the rule that refuses it."""


@dataclass(frozen=True, slots=True)
class ReviewChunk:
    """Some answers with the sessions they are about."""

    cases: tuple[tuple[str | bytes, Answer], ...]
    """Sessions as canonical JSON."""
    audience: Audience


def review_chunk(chunk: ReviewChunk) -> list[tuple[Refused, ...]]:
    """The texts of each answer that the barrier refuses, in order."""
    barrier = _Uncounted(Support(), chunk.audience, b"")
    return [_refused(barrier, from_json(stored), answer) for stored, answer in chunk.cases]


def with_texts(answer: Answer, texts: Mapping[int, str]) -> Answer:
    """The answer with other texts at these numbers; an empty one leaves the old one where it is."""
    new = [texts.get(number) or old for number, old in enumerate(answer_texts(answer))]
    friction, delight = len(answer.friction), len(answer.delight)
    citations = iter(new[2 : 2 + friction + delight])
    return answer.model_copy(
        update={
            "summary": new[0],
            "primary_intent": new[1],
            "friction": [event.model_copy(update={"citation": next(citations)}) for event in answer.friction],
            "delight": [event.model_copy(update={"citation": next(citations)}) for event in answer.delight],
            "unmet_needs": new[2 + friction + delight :],
        }
    )


def _fields(answer: Answer) -> list[TextField]:
    citations: list[TextField] = ["citation"] * (len(answer.friction) + len(answer.delight))
    needs: list[TextField] = ["need"] * len(answer.unmet_needs)
    return ["summary", "intent", *citations, *needs]


def _refused(barrier: Barrier, session: Session, answer: Answer) -> tuple[Refused, ...]:
    fields = _fields(answer)
    texts = [
        need_sentence(text) if name == "need" else text for text, name in zip(answer_texts(answer), fields, strict=True)
    ]
    index = TranscriptIndex.of(session, texts)
    found: list[Refused] = []
    for number, (text, name) in enumerate(zip(texts, fields, strict=True)):
        grams, shape = FORMS[name]
        verdict = barrier.admit(text, limit=LIMITS[name], transcript=index, grams=grams, shape=shape) if text else None
        if verdict is not None and verdict.rule is not None:
            found.append((number, verdict.rule))
    return tuple(found)


class _Uncounted(Barrier):
    """The barrier before users are counted."""

    def _is_few(self, feature: Feature) -> bool:
        return not feature.startswith("w ")
