"""The bodies of answers as both endpoints shape them, and the tokens in them.

Put here: what a response and a chat completion look like when all went well, when it was refused and when it was cut.
Not here: what is said (see `openai_answers.py`) and who pays (see `openai_state.py`).
"""

import base64
import math
import random
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from signals_assets_tests.fakes.openai_answers import Question, hash_of

REFUSAL = "I'm sorry, but I can't assist with that."
_FINISH = {"max_output_tokens": "length", "content_filter": "content_filter", "": "stop"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model gave back to one question."""

    said: str
    refusal: str | None
    cut: str
    """Why the text ends too early ("max_output_tokens", "content_filter"), or nothing."""
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int

    @property
    def total(self) -> int:
        return self.input_tokens + self.output_tokens


def reply(asked: Question, said: str, fate: str, tokens: int, cached: int) -> Reply:
    """What reaches the caller of what the model said. fate: one of the fates of an executed line, or nothing."""
    reasoning = 64 if asked.reasoning else 0
    output = reasoning + len(said) // 4 + 1
    refusal, cut = (REFUSAL, "") if fate == "refused" else (None, "")
    if fate == "incomplete" or (asked.limit is not None and output > asked.limit):
        output = min(output, asked.limit or output)
        said, cut = said[: 2 * max(0, output - reasoning)], "max_output_tokens"
    elif fate == "filtered":
        said, cut = said[: len(said) // 3], "content_filter"
    elif fate == "truncated":
        said = said[: len(said) // 2]
    return Reply(said, refusal, cut, tokens, cached, output, reasoning)


def response(asked: Question, given: Reply, *, number: str, now: int, model: str, tier: str) -> dict[str, Any]:
    """The body of `/v1/responses`. number: what the ids of its objects end with."""
    part = {"type": "output_text", "text": given.said, "annotations": [], "logprobs": []}
    if given.refusal:
        part = {"type": "refusal", "refusal": given.refusal}
    status = "incomplete" if given.cut else "completed"
    message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "status": status, "content": [part]}
    thought = {"id": f"rs_{number}", "type": "reasoning", "summary": []}
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": now,
        "completed_at": None if given.cut else now,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": given.cut} if given.cut else None,
        "instructions": None,
        "max_output_tokens": asked.limit,
        "metadata": {},
        "model": model,
        "output": [*([thought] if given.reasoning_tokens else []), message],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "service_tier": tier,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": {
            "input_tokens": given.input_tokens,
            "input_tokens_details": {"cached_tokens": given.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": given.output_tokens,
            "output_tokens_details": {"reasoning_tokens": given.reasoning_tokens},
            "total_tokens": given.total,
        },
    }


def chat(asked: Question, given: Reply, *, number: str, now: int, model: str, tier: str) -> dict[str, Any]:
    """The body of `/v1/chat/completions`."""
    content = None if given.refusal else given.said
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": given.refusal, "annotations": []}
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": now,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH[given.cut]}],
        "usage": {
            "prompt_tokens": given.input_tokens,
            "completion_tokens": given.output_tokens,
            "total_tokens": given.total,
            "prompt_tokens_details": {"cached_tokens": given.cached_tokens, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": given.reasoning_tokens},
        },
        "service_tier": tier,
        "system_fingerprint": None,
    }


DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072}
"""Lengths of vectors; of any other model 64."""

Oddity = Literal["", "shuffled", "numbers", "short", "twice", "shorter", "nan", "zero", "garbled", "none"]
"""What an answer with vectors has that the service's own never have: another order, no packing and another length than
1, a vector that is missing, there twice, of too few dimensions, of what is no number, of zeros, not packed, null."""


def embeddings(body: Mapping[str, Any], *, model: str, odd: Oddity = "") -> dict[str, Any]:
    """The body of `/v1/embeddings`: vectors that depend on nothing but the text."""
    texts = [body["input"]] if isinstance(body["input"], str) else list(body["input"])
    size = body.get("dimensions") or DIMENSIONS.get(model, 64)
    tokens = sum(len(str(text)) // 4 + 1 for text in texts)
    encoding = None if odd == "numbers" else body.get("encoding_format")
    data: list[dict[str, Any]] = [
        {"object": "embedding", "index": index, "embedding": _vector(str(text), size, encoding)}
        for index, text in enumerate(texts)
    ]
    if odd == "shuffled":
        data.reverse()
    elif odd == "short":
        data.pop()
    elif odd == "twice":
        data[-1] = data[0]
    elif odd == "numbers":
        data = [item | {"embedding": [3 * value for value in item["embedding"]]} for item in data]
    elif odd:
        data[-1]["embedding"] = {
            "shorter": _packed([1.0] * (size - 1)), "nan": _packed([math.nan] * size), "zero": _packed([0.0] * size),
            "garbled": "no base64!", "none": None,
        }[odd]  # fmt: skip
    return {
        "object": "list",
        "model": model,
        "data": data,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _vector(text: str, size: int, encoding: str | None) -> list[float] | str:
    rng = random.Random(hash_of(text))
    values = [rng.uniform(-1, 1) for _ in range(size)]
    norm = math.sqrt(sum(value * value for value in values))
    values = [value / norm for value in values]
    return _packed(values) if encoding == "base64" else values


def _packed(values: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def batch_usage(tokens: Mapping[str, int]) -> dict[str, Any]:
    """The sum over a batch. tokens: sums of the fields of `Reply`."""
    return {
        "input_tokens": tokens["input_tokens"],
        "input_tokens_details": {"cached_tokens": tokens["cached_tokens"]},
        "output_tokens": tokens["output_tokens"],
        "output_tokens_details": {"reasoning_tokens": tokens["reasoning_tokens"]},
        "total_tokens": tokens["input_tokens"] + tokens["output_tokens"],
    }
