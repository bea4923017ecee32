"""Stage 3 · request lines. From a session to the line of a batch: condensed, asked, serialised; in the workers.

Put here: the chunk that is mapped over the workers, the line.
Not here: how a session is condensed (see `core/condensing.py`), the body (see `core/asking.py`), sending.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from signals_assets.core.analysis import AnalysisRequest
from signals_assets.core.asking import Endpoint, delimiter, instructions, session_body, shown_steps
from signals_assets.core.condensing import condense, estimate
from signals_assets.prompts import released

MARGIN_TOKENS: Final = 2_000
"""Kept free of a model's window: schema, roles, and what an estimate may be off."""


@dataclass(frozen=True, slots=True)
class AskChunk:
    """Some requests and what their lines depend on."""

    requests: tuple[AnalysisRequest, ...]
    model: str
    endpoint: Endpoint
    tier: str | None
    secret: bytes
    session_tokens: int
    """Most tokens that one session may take."""
    window: int
    """Most input tokens of one request."""
    rooms: Mapping[str, int] = field(default_factory=dict)
    """Custom id -> most output tokens; `room` for those that are not in it."""
    room: int = 8_000


@dataclass(frozen=True, slots=True)
class RequestLine:
    """One line of a batch's file, and what it shows of its session."""

    request_id: str
    part: int
    parts: int
    tokens: int
    """Estimated input tokens, instructions included."""
    steps_seen: int
    steps_total: int
    shown: str
    """The steps that an answer may name as evidence, see `ranges`."""
    line: bytes
    """Without the newline."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The lines of one request, one per part in order; none for a session that broke its preparation."""

    request_id: str
    lines: tuple[RequestLine, ...]


def ask_chunk(chunk: AskChunk) -> list[Asked]:
    """The lines of each request of a chunk, in order."""
    return [_asked(request, chunk) for request in chunk.requests]


def batch_line(custom_id: str, endpoint: Endpoint, body: Mapping[str, object]) -> bytes:
    """One line of a batch's input file."""
    return orjson.dumps({"custom_id": custom_id, "method": "POST", "url": endpoint, "body": body})


def ranges(numbers: Iterable[int]) -> str:
    """Step indices as text, runs as ranges: {0, 1, 2, 5} is "0-2,5"."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def indices(text: str) -> frozenset[int]:
    """The step indices that `ranges` wrote."""
    found: set[int] = set()
    for run in filter(None, text.split(",")):
        first, _, last = run.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _asked(request: AnalysisRequest, chunk: AskChunk) -> Asked:
    try:
        return Asked(request.request_id, tuple(_lines(request, chunk)))
    except Exception:  # noqa: BLE001 - one hostile session must not stop a batch; its request gets the state `failed`
        return Asked(request.request_id, ())


def _lines(request: AnalysisRequest, chunk: AskChunk) -> list[RequestLine]:
    prompt = released(request.prompt)
    shared = estimate(instructions(prompt, request.taxonomy))
    window = chunk.window - shared - MARGIN_TOKENS
    lines = []
    for part in condense(request.session, tokens=min(chunk.session_tokens, window), window=window):
        custom_id = f"{request.request_id}.{part.number}"
        body = session_body(
            part,
            prompt=prompt,
            taxonomy=request.taxonomy,
            model=chunk.model,
            endpoint=chunk.endpoint,
            delimiter=delimiter(custom_id, chunk.secret),
            max_output_tokens=chunk.rooms.get(custom_id, chunk.room),
            service_tier=chunk.tier,
        )
        lines.append(
            RequestLine(
                request_id=request.request_id,
                part=part.number,
                parts=part.parts,
                tokens=part.tokens + shared,
                steps_seen=part.steps_seen,
                steps_total=part.steps_total,
                shown=ranges(shown_steps(part)),
                line=batch_line(custom_id, chunk.endpoint, body),
            )
        )
    return lines
