"""Stage 3 · analysis. What the analyst is asked, what an answer is, and the rows of both.

Put here: the request, the answer model, joining answers to what was asked.
Not here: which sessions are asked about (see `core/selection.py`), the rules that answer without a language model (see
`core/analysis_rules.py`), transport (see `resources/analyst.py`), admission of text (see `core/barrier`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from signals_assets.core.coverage import Coverage
from signals_assets.core.identity import content_id
from signals_assets.core.selection import Selection
from signals_assets.core.sessions import Session, from_json, to_json
from signals_assets.core.taxonomy import Taxonomy
from signals_assets.tables import Analysis, AnalysisRequestRow


class AnswerEvent(BaseModel):
    """One moment, as the analyst says it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    type: str
    severity: Literal["low", "medium", "high"] | None = None
    steps: list[int] = Field(max_length=50)
    citation: str = Field("", max_length=2000)
    confidence: float = Field(1.0, ge=0, le=1)


class Answer(BaseModel):
    """What the analyst may say about a session. Text in it is raw until the barrier admits it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    summary: str = Field("", max_length=4000)
    primary_intent: str = Field("", max_length=200)
    outcome: Literal["success", "partial", "abandoned", "transferred", "unclear"] = "unclear"
    programming_languages: list[str] = Field(default_factory=list, max_length=20)
    frameworks: list[str] = Field(default_factory=list, max_length=20)
    tool_call_confirmations: int = Field(0, ge=0, le=10_000)
    specification_drift: bool = False
    friction: list[AnswerEvent] = Field(default_factory=list, max_length=200)
    delight: list[AnswerEvent] = Field(default_factory=list, max_length=200)
    unmet_needs: list[str] = Field(default_factory=list, max_length=20)


@dataclass(frozen=True, slots=True)
class AnalysisRequest:
    """One question about one session, which stays as it is stored until somebody reads it (in the workers)."""

    request_id: str
    session_key: str
    stored: str | bytes
    """The session as canonical JSON."""
    steps: int
    prompt: str
    taxonomy: Taxonomy

    @classmethod
    def about(
        cls, request_id: str, session_key: str, session: Session, prompt: str, taxonomy: Taxonomy
    ) -> "AnalysisRequest":
        """The question about a session that is at hand."""
        return cls(request_id, session_key, to_json(session), len(session.steps), prompt, taxonomy)

    @property
    def session(self) -> Session:
        """The session, read anew each time. Raises what `from_json` raises."""
        return from_json(self.stored)


@dataclass(frozen=True, slots=True)
class AnalysisAnswer:
    """What became of one request."""

    request_id: str
    session_key: str | None
    """None where the analyst knows requests by their ids only."""
    state: Literal["answered", "refused", "invalid", "rejected", "expired", "failed"]
    answer: Answer | None
    model: str
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    """None where the model's price is not known."""
    steps_seen: int = 0
    steps_total: int = 0
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Question:
    """What is the same in all questions of a day: the day, the reader that is asked, the prompt, the taxonomy."""

    day: date
    analyst: str
    model: str
    prompt: str
    taxonomy: Taxonomy

    def request_id(self, session_id: str) -> str:
        """The opaque id of asking this about a session: the same question again has the same id.

        The schema of the answer follows from the taxonomy's version.
        """
        return content_id("q", self.day, session_id, self.prompt, self.taxonomy.version, self.analyst, self.model)


def requests(
    rows: Iterable[Mapping[str, Any]], chosen: Mapping[str, str], question: Question
) -> Iterator[AnalysisRequest]:
    """The questions about the chosen sessions (to request ids) of a stream of `raw_sessions` rows, in its order."""
    for row in rows:
        if row["session_id"] in chosen:
            yield AnalysisRequest(
                request_id=chosen[row["session_id"]],
                session_key=row["session_id"],
                stored=row["session"],
                steps=row["steps"],
                prompt=question.prompt,
                taxonomy=question.taxonomy,
            )


def batch_rows(
    metrics: Iterable[Mapping[str, Any]],
    selections: Iterable[Selection],
    question: Question,
    batch_of: Mapping[str, str] | None = None,
) -> list[AnalysisRequestRow]:
    """The day's `analysis_batches`: a row for every session, selected or not. `batch_of` maps request to batch."""
    by_id = {selection.session_id: selection for selection in selections}
    batches = batch_of or {}
    rows = []
    for row in metrics:
        chosen = by_id[row["session_id"]]
        asked = question.request_id(chosen.session_id) if chosen.selected else None
        rows.append(
            AnalysisRequestRow(
                day=question.day,
                known_on=row["known_on"],
                session_id=chosen.session_id,
                user_id=row["user_id"],
                eligible=chosen.eligible,
                selected=chosen.selected,
                reason=chosen.reason,
                stratum=chosen.stratum,
                inclusion_weight=chosen.inclusion_weight,
                estimated_tokens=chosen.estimated_tokens,
                request_id=asked,
                batch_id=batches.get(asked) if asked else None,
                analyst=question.analyst,
                model=question.model,
                prompt=question.prompt,
            )
        )
    return rows


def analysis_rows(
    asked: Iterable[Mapping[str, Any]], answers: Iterable[AnalysisAnswer], *, taxonomy_version: int
) -> tuple[list[Analysis], Coverage]:
    """The day's `analyses` from its `analysis_batches` rows and the collected answers, in the order of the rows.

    Every selected session gets a row; one without an answer is `expired`. An answer counts for the session of its
    request id and for no other: one under an id that nobody asked for is counted and thrown away, one that names
    another session than was asked about, or contradicts another answer under the same id, makes its row `rejected`.
    """
    selected = [row for row in asked if row["selected"]]
    by_request, notes = _joined({row["request_id"]: row["session_id"] for row in selected}, answers)
    rows = [_analysis(row, by_request.get(row["request_id"]), taxonomy_version) for row in selected]
    states = Counter(row.state for row in rows)
    coverage = Coverage(
        asked=len(rows),
        answered=states["answered"],
        refused=states["refused"],
        rejected=states["invalid"] + states["rejected"],
        failed=states["failed"] + states["expired"],
        notes={f"state.{state}": n for state, n in sorted(states.items())} | notes,
    )
    return rows, coverage


def _joined(
    sessions: Mapping[str, str], answers: Iterable[AnalysisAnswer]
) -> tuple[dict[str, AnalysisAnswer], dict[str, int]]:
    """Answers by request id, those that cannot be trusted emptied, and how many were set aside and why.

    sessions: request id -> session that was asked about.
    """
    found: dict[str, AnalysisAnswer] = {}
    aside: Counter[str] = Counter()
    for answer in answers:
        asked, before = sessions.get(answer.request_id), found.get(answer.request_id)
        if asked is None:
            aside["answers_nobody_asked_for"] += 1
        elif answer.session_key not in (None, asked):
            aside["answers_of_another_session"] += 1
            found[answer.request_id] = _emptied(answer)
        elif before is None:
            found[answer.request_id] = answer
        elif before != answer:
            aside["answers_that_contradict"] += 1
            found[answer.request_id] = _emptied(answer)
    return found, dict(sorted(aside.items()))


def _emptied(answer: AnalysisAnswer) -> AnalysisAnswer:
    return replace(answer, state="rejected", answer=None)


def _analysis(row: Mapping[str, Any], answer: AnalysisAnswer | None, taxonomy_version: int) -> Analysis:
    found = answer or AnalysisAnswer(row["request_id"], row["session_id"], "expired", None, row["model"])
    return Analysis(
        day=row["day"],
        known_on=row["known_on"],
        session_id=row["session_id"],
        user_id=row["user_id"],
        request_id=row["request_id"],
        state=found.state,
        attempts=found.attempts,
        analyst=row["analyst"],
        model=found.model or row["model"],
        prompt=row["prompt"],
        taxonomy_version=taxonomy_version,
        inclusion_weight=row["inclusion_weight"],
        answer=found.answer.model_dump_json() if found.answer is not None else None,
        input_tokens=found.input_tokens,
        cached_tokens=found.cached_tokens,
        output_tokens=found.output_tokens,
        cost_usd=found.cost_usd,
        steps_seen=found.steps_seen,
        steps_total=found.steps_total,
    )
