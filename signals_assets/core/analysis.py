"""Stage 3 · analysis. What the analyst is asked, what an answer is, which sessions are asked about.

Put here: selection and sampling with inclusion weights, the request, the answer model, the rules that answer
without a language model.
Not here: transport (see `resources/analyst.py`), admission of text (see `core/barrier`).
"""

from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from signals_assets.core.sessions import Session


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
    """One question about one session."""

    request_id: str
    session_key: str
    session: Session
    prompt: str
    taxonomy_version: int
    types: tuple[str, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class AnalysisAnswer:
    """What became of one request."""

    request_id: str
    session_key: str
    state: Literal["answered", "refused", "invalid", "rejected", "expired", "failed"]
    answer: Answer | None
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    steps_seen: int = 0
    steps_total: int = 0
    attempts: int = 1
