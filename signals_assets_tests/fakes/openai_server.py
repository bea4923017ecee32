"""A local server that speaks OpenAI's protocol over HTTP: files, batches, responses, chat, embeddings, models.

Put here: the state of such an account, what is billed, and how it fails (`Faults`). Not here: what the model says (see
`openai_answers.py`) and what the specification allows (see `openai_spec.py`). In a thread:

    with OpenAIServer(Faults(polls=3)) as server:
        client = OpenAI(base_url=server.url, api_key="any")

or as a process of its own, which survives the death of its client: `python -m
signals_assets_tests.fakes.openai_server --port 0 --faults '{"refused": 0.01}'` prints one line of JSON with the URL.
What a benchmark wants to know of such a process stands at `/_/report`, `/_/settle`, `/_/finish/<batch>`, `/_/faults`.
"""

import argparse
import hashlib
import json
import math
import random
import re
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from types import TracebackType
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import orjson

from signals_assets_tests.fakes import openai_answers as answers
from signals_assets_tests.fakes.openai_spec import Spec, lint

Lines = float | Collection[str] | Mapping[str, int]
"""Which lines: a share of them, custom ids, or custom ids with how many of their first attempts."""
Batches = float | Collection[int]
"""Which batches: a share of them, or their numbers in order of creation, from 0."""
Calls = Mapping[str, float | Collection[int]]
"""Which calls: by operation ("POST /batches"; "*" is any), a share of them or their numbers from 0."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How the server behaves; nothing goes wrong by default. Everything random follows from `seed`."""

    seed: int = 0
    # Pace: a batch is done after so many looks at it (None: only by `finish`), or after seconds where given.
    polls: int | None = 2
    seconds: float | None = None
    # Calls.
    lost_answers: Calls = field(default_factory=dict)
    """Carried out, then the connection is dropped without an answer."""
    lost_requests: Calls = field(default_factory=dict)
    """Dropped before anything is carried out."""
    too_many: Calls = field(default_factory=dict)
    """429 with retry-after-ms."""
    server_errors: Calls = field(default_factory=dict)
    slow: Calls = field(default_factory=dict)
    retry_after_ms: int = 20
    slow_seconds: float = 0.2
    # Batches.
    enqueued_limit: int | None = None
    """Most input tokens of all batches in flight; one more fails when it is validated, not when it is created."""
    failed_hold_queue: bool = False
    """Batches that failed for the limit go on occupying the queue, as was reported."""
    token_limited: Batches = 0.0
    expired: Batches = 0.0
    expired_share: float = 0.5
    """Share of an expired (or cancelled) batch's lines that were never executed."""
    all_failed: Batches = 0.0
    """Completed, but every line has an error and there is no output file."""
    unknown_ids: int = 0
    """Rows per batch under custom ids that nobody sent."""
    # Lines, the first that holds is what happens.
    missing: Lines = 0.0
    """Executed and billed, but in no file."""
    zero: Lines = 0.0
    """A row in the output file with status_code 0 and an empty body, not counted as failed."""
    rejected: Lines = 0.0
    """400."""
    throttled: Lines = 0.0
    """429."""
    broken: Lines = 0.0
    """500."""
    refused: Lines = 0.0
    incomplete: Lines = 0.0
    """Cut by max_output_tokens."""
    filtered: Lines = 0.0
    """Cut by the content filter."""
    truncated: Lines = 0.0
    """Said to be complete, but the JSON is cut."""
    duplicated: Lines = 0.0
    """Two rows for one line."""
    # Answers.
    missed: float = 0.0
    hallucinated: float = 0.0
    invented_steps: Lines = 0.0
    wrong_types: Lines = 0.0
    quotes: Lines = 0.0
    contradictions: Lines = 0.0
    unenforced: Lines = 0.0
    """The schema is not enforced: the JSON stands in a fence behind some words."""
    # What the account has.
    models: Collection[str] = ("gpt-5.2", "gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-4.1-mini", "open-weights")
    embedding_models: Collection[str] = ("text-embedding-3-small", "text-embedding-3-large")
    chat_only: bool = False
    """A server of open weights: no files, no batches, no responses."""
    api_key: str | None = None
    """The only key that is let in; None lets in any."""
    window: int = 272_000
    max_lines: int = 50_000
    max_bytes: int = 200_000_000
    check_every: int = 1
    """Lines of a batch whose body is checked against the specification: each, or every n-th."""


LINE_FATES = (
    "missing", "zero", "rejected", "throttled", "broken", "refused", "incomplete", "filtered", "truncated"
)  # fmt: skip
_LINE_ERRORS = {
    "rejected": (400, "invalid_request_error", "invalid_value"),
    "throttled": (429, "rate_limit_error", "rate_limit_exceeded"),
    "broken": (500, "server_error", "server_error"),
}
ENDED = ("failed", "completed", "expired", "cancelled")


class ApiError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, code: str | None, message: str, param: str | None = None) -> None:
        super().__init__(message)
        kinds = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error"}
        self.status = status
        self.body = {
            "error": {
                "message": message,
                "type": kinds.get(status, "invalid_request_error"),
                "param": param,
                "code": code,
            }
        }


@dataclass(frozen=True, slots=True)
class Charge:
    """One execution of the model that is paid for."""

    custom_id: str | None
    text: str
    """Hash of the session's text in the user message."""
    batch: str | None
    model: str
    usable: bool
    """The caller could have had a whole answer: asking again is paying twice."""
    input_tokens: int
    cached_tokens: int
    output_tokens: int


@dataclass(slots=True)
class _File:
    view: dict[str, Any]
    content: bytes | bytearray | memoryview


@dataclass(slots=True)
class _Batch:
    view: dict[str, Any]
    number: int
    tokens: int = 0
    polls: int = 0
    holds_queue: bool = True
    cancelled: bool = False
    spans: list[tuple[str, int, int]] = field(default_factory=list)
    """Of each line: custom id, start, end in the input file."""


class State:
    """One account: its files, its batches, and what it was billed. Every public method may be called by any thread."""

    def __init__(self, faults: Faults, spec: Spec) -> None:
        self.faults = faults
        self.spec = spec
        self.lock = threading.RLock()
        self.files: dict[str, _File] = {}
        self.batches: dict[str, _Batch] = {}
        self.charges: list[Charge] = []
        self.requests: list[tuple[str, str]] = []
        self.spec_violations: list[str] = []
        """Answers of this server that the specification forbids; always empty, which tests assert."""
        self.most_enqueued = 0
        self._tries: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._prompts: dict[tuple[str, str], str] = {}
        self._numbers = count()
        self._shift = 0.0

    # Time and chance.

    def now(self) -> float:
        return time.time() + self._shift

    def pass_time(self, seconds: float) -> None:
        """As if so much time had passed."""
        with self.lock:
            self._shift += seconds

    def _share(self, *key: object) -> float:
        digest = hashlib.blake2b(repr((self.faults.seed, *key)).encode(), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64

    def _hits(self, fault: str, key: str | int, number: int = 0) -> bool:
        which = getattr(self.faults, fault)
        if isinstance(which, int | float):
            return self._share(fault, key, number) < which
        return number < which.get(key, 0) if isinstance(which, Mapping) else key in which

    def call(self, operation: str) -> list[str]:
        """Counts a call and says which faults of calls hit it."""
        with self.lock:
            number = self._calls[operation]
            self._calls[operation] += 1
            hit = []
            for fault in ("lost_answers", "lost_requests", "too_many", "server_errors", "slow"):
                calls = getattr(self.faults, fault)
                which = calls.get(operation, calls.get("*", 0.0))
                if self._share(fault, operation, number) < which if isinstance(which, int | float) else number in which:
                    hit.append(fault)
            return hit

    def _id(self, prefix: str) -> str:
        return prefix + answers.hash_of(f"{self.faults.seed} {next(self._numbers)}")

    # Files.

    def add_file(
        self, content: bytes | bytearray | memoryview, filename: str, purpose: str, expires_in: int | None
    ) -> dict[str, Any]:
        if len(content) > self.faults.max_bytes:
            raise ApiError(413, "file_too_large", "The file is larger than this purpose allows.", "file")
        with self.lock:
            created = int(self.now())
            view = {
                "id": self._id("file-"),
                "object": "file",
                "bytes": len(content),
                "created_at": created,
                "expires_at": created + expires_in if expires_in else None,
                "filename": filename,
                "purpose": purpose,
                "status": "processed",
                "status_details": None,
            }
            self.files[view["id"]] = _File(view, content)
            return view

    def file(self, file_id: str) -> _File:
        with self.lock:
            found = self.files.get(file_id)
            if found is not None and (found.view["expires_at"] or math.inf) <= self.now():
                found = self.files.pop(file_id) and None
            if found is None:
                raise ApiError(404, None, f"No such File object: {file_id}", "id")
            return found

    def delete_file(self, file_id: str) -> dict[str, Any]:
        with self.lock:
            self.file(file_id)
            del self.files[file_id]
            return {"id": file_id, "object": "file", "deleted": True}

    def list_files(self, purpose: str | None, after: str | None, limit: int, order: str) -> dict[str, Any]:
        with self.lock:
            alive = [f.view for f in self.files.values() if (f.view["expires_at"] or math.inf) > self.now()]
            views = [view for view in alive if purpose in (None, view["purpose"])]
            return _page(views if order == "asc" else views[::-1], after, limit)

    # Batches.

    def add_batch(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        with self.lock:
            source = self.file(asked["input_file_id"])
            if source.view["purpose"] != "batch":
                raise ApiError(400, "invalid_purpose", "The file was not uploaded for batches.", "input_file_id")
            created = int(self.now())
            view = dict.fromkeys(_BATCH_KEYS) | {
                "id": self._id("batch_"),
                "object": "batch",
                "endpoint": asked["endpoint"],
                "input_file_id": asked["input_file_id"],
                "completion_window": asked["completion_window"],
                "status": "validating",
                "created_at": created,
                "expires_at": created + 86_400,
                "request_counts": {"total": 0, "completed": 0, "failed": 0},
                "metadata": dict(asked.get("metadata") or {}),
                "output_expires_after": asked.get("output_expires_after"),
            }
            batch = _Batch(view, len(self.batches))
            batch.tokens = len(source.content) // 4
            self.batches[view["id"]] = batch
            self.most_enqueued = max(self.most_enqueued, self.enqueued())
            return self._shown(batch)

    def batch(self, batch_id: str, *, poll: bool = True) -> dict[str, Any]:
        """A look at a batch, which moves it on."""
        with self.lock:
            batch = self._batch(batch_id)
            batch.polls += poll
            self._advance(batch)
            return self._shown(batch)

    def list_batches(self, after: str | None, limit: int) -> dict[str, Any]:
        with self.lock:
            for batch in self.batches.values():
                self._advance(batch)
            return _page([self._shown(batch) for batch in self.batches.values()][::-1], after, limit)

    def cancel(self, batch_id: str) -> dict[str, Any]:
        with self.lock:
            batch = self._batch(batch_id)
            if batch.view["status"] in ENDED:
                message = f"Cannot cancel a batch with status '{batch.view['status']}'."
                raise ApiError(409, None, message)
            if batch.view["status"] == "validating":
                self._validate(batch)
            if batch.view["status"] != "failed":
                batch.cancelled = True
                batch.view |= {"status": "cancelling", "cancelling_at": int(self.now())}
            return self._shown(batch)

    def finish(self, batch_id: str) -> dict[str, Any]:
        """Brings a batch to its end, whatever its pace."""
        with self.lock:
            batch = self._batch(batch_id)
            self._move(batch, 3)
            return self._shown(batch)

    def settle(self) -> None:
        """Brings every batch to its end, also those that nobody asks about any more: they are paid for as well."""
        with self.lock:
            for batch_id in self.batches:
                self.finish(batch_id)

    def enqueued(self) -> int:
        """Input tokens of all batches in flight."""
        return sum(b.tokens for b in self.batches.values() if b.holds_queue)

    def _batch(self, batch_id: str) -> _Batch:
        found = self.batches.get(batch_id)
        if found is None:
            raise ApiError(404, None, f"No batch found with id '{batch_id}'.")
        return found

    def _shown(self, batch: _Batch) -> dict[str, Any]:
        return {key: value for key, value in batch.view.items() if key != "output_expires_after"}

    def _advance(self, batch: _Batch) -> None:
        faults = self.faults
        if faults.seconds is not None:
            passed = (self.now() - batch.view["created_at"]) / max(faults.seconds, 1e-9)
        elif faults.polls is not None:
            passed = batch.polls / max(faults.polls, 1)
        else:
            return
        self._move(batch, min(3, int(3 * passed)))

    def _move(self, batch: _Batch, stage: int) -> None:
        """On to stage 1 (in_progress), 2 (finalizing) or 3 (ended)."""
        if batch.view["status"] in ENDED or stage < 1:
            return
        if batch.view["status"] == "validating":
            self._validate(batch)
        if batch.cancelled or (batch.view["status"] != "failed" and stage == 3):
            self._execute(batch)
        elif batch.view["status"] == "in_progress" and stage == 2:
            batch.view |= {"status": "finalizing", "finalizing_at": int(self.now())}

    def _validate(self, batch: _Batch) -> None:
        errors = self._file_errors(batch)
        if errors:
            data = {"object": "list", "data": errors}
            batch.view |= {"status": "failed", "failed_at": int(self.now()), "errors": data}
            batch.holds_queue = self.faults.failed_hold_queue and errors[0]["code"] == "token_limit_exceeded"
        else:
            counts = {"total": len(batch.spans), "completed": 0, "failed": 0}
            batch.view |= {"status": "in_progress", "in_progress_at": int(self.now()), "request_counts": counts}

    def _file_errors(self, batch: _Batch) -> list[dict[str, Any]]:
        """What is wrong with the whole file; line numbers count from 1."""
        try:
            content = self.file(batch.view["input_file_id"]).content
        except ApiError:
            return [_blame("invalid_input_file", "The input file does not exist.")]
        seen: set[str] = set()
        errors: list[dict[str, Any]] = []
        for number, (start, end) in enumerate(_lines(content), 1):
            code, message, custom_id, model = self._line_error(memoryview(content)[start:end], batch, seen)
            if code:
                errors.append(_blame(code, message, number))
            seen.add(custom_id)
            batch.spans.append((custom_id, start, end))
            batch.view["model"] = batch.view["model"] or model
        if not batch.spans:
            return [_blame("empty_file", "The file is empty.")]
        if len(batch.spans) > self.faults.max_lines:
            return [_blame("too_many_tasks", "The file holds more requests than a batch may.")]
        return errors[:100] or self._limit_errors(batch)

    def _line_error(self, line: memoryview, batch: _Batch, seen: Collection[str]) -> tuple[str, str, str, str | None]:
        """Code, message (empty where the line is fine), custom id, model."""
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            return "invalid_json_line", "This line is not parseable as valid JSON.", "", None
        if not isinstance(row, dict) or not isinstance(row.get("body"), dict):
            return "missing_required_parameter", "The line has no request body.", "", None
        custom_id, model = row.get("custom_id"), row["body"].get("model")
        problems = {
            "missing_required_parameter": not isinstance(custom_id, str) or not custom_id,
            "duplicate_custom_id": custom_id in seen,
            "invalid_method": row.get("method") != "POST",
            "invalid_url": row.get("url") != batch.view["endpoint"],
            "unknown_parameter": bool(row.keys() - {"custom_id", "method", "url", "body"}),
            "model_not_found": model not in (*self.faults.models, *self.faults.embedding_models),
            "mismatched_model": batch.view["model"] not in (None, model),
        }
        code = next((code for code, holds in problems.items() if holds), "")
        return code, f"Line refused: {code}.", str(custom_id), model

    def _limit_errors(self, batch: _Batch) -> list[dict[str, Any]]:
        limit = self.faults.enqueued_limit
        over = limit is not None and self.enqueued() > limit
        if not over and not self._hits("token_limited", batch.number):
            return []
        message = (
            f"Enqueued token limit reached for {batch.view['model']} in organization org-local. Limit: "
            f"{limit or 0:,} enqueued tokens. Please try again once some in_progress batches have been completed."
        )
        return [_blame("token_limit_exceeded", message)]

    def _execute(self, batch: _Batch) -> None:
        """Runs the lines and writes the files."""
        content = memoryview(self.file(batch.view["input_file_id"]).content)
        partial = "cancelled" if batch.cancelled else "expired" if self._hits("expired", batch.number) else ""
        outputs: list[bytes] = []
        errors: list[bytes] = []
        usage = Counter[str]()
        failing = self._hits("all_failed", batch.number)
        for number, (custom_id, start, end) in enumerate(batch.spans):
            if partial and self._share(batch.number, custom_id) < self.faults.expired_share:
                message = f"This request could not be executed before the batch was {partial}."
                errors.append(self._row(custom_id, None, {"code": f"batch_{partial}", "message": message}))
                continue
            body = orjson.loads(content[start:end])["body"]
            checked = number % self.faults.check_every == 0
            fate = "broken" if failing else self._fate(custom_id)
            status, answer = self._line(body, batch, custom_id, fate, checked)
            row = self._row(custom_id, {"status_code": status, "request_id": self._id("req_"), "body": answer}, None)
            if fate == "zero":
                outputs.append(self._row(custom_id, {"status_code": 0, "request_id": "", "body": {}}, None))
            elif fate != "missing" or status != 200:
                (outputs if status == 200 else errors).extend([row] * (1 + self._hits("duplicated", custom_id)))
            usage.update(_tokens(answer) if status == 200 else {})
        failed = len(errors)
        counts = {"total": len(batch.spans), "completed": len(batch.spans) - failed, "failed": failed}
        outputs.extend(self._stranger(number, batch) for number in range(self.faults.unknown_ids))
        ended = partial or "completed"
        batch.view |= {
            "status": ended,
            "finalizing_at": batch.view["finalizing_at"] or int(self.now()),
            f"{ended}_at": int(self.now()),
            "output_file_id": self._write(batch, "output", outputs),
            "error_file_id": self._write(batch, "error", errors),
            "request_counts": counts,
            "usage": _usage_view(usage),
        }
        batch.holds_queue = False

    def _line(
        self, body: Mapping[str, Any], batch: _Batch, custom_id: str, fate: str, checked: bool
    ) -> tuple[int, dict[str, Any]]:
        try:
            if fate == "zero":
                return 0, {}
            return 200, self.answer(
                body, batch.view["endpoint"], custom_id=custom_id, batch=batch.view["id"], fate=fate, checked=checked
            )
        except ApiError as error:
            return error.status, error.body

    def _stranger(self, number: int, batch: _Batch) -> bytes:
        asked = {"model": batch.view["model"], "input": "", "messages": []}
        body = self._body(answers.question(asked, batch.view["endpoint"]), batch.view["endpoint"], "{}", "", 0, 0)
        response = {"status_code": 200, "request_id": self._id("req_"), "body": body}
        return self._row(f"unknown-{batch.number}-{number}", response, None)

    def _row(self, custom_id: str, response: dict[str, Any] | None, error: dict[str, Any] | None) -> bytes:
        return orjson.dumps(
            {"id": self._id("batch_req_"), "custom_id": custom_id, "response": response, "error": error}
        )

    def _write(self, batch: _Batch, kind: str, rows: list[bytes]) -> str | None:
        if not rows:
            return None
        random.Random(repr((self.faults.seed, batch.number, kind))).shuffle(rows)
        lifetime = (batch.view["output_expires_after"] or {}).get("seconds", 30 * 86_400)
        name = f"{batch.view['id']}_{kind}.jsonl"
        file_id: str = self.add_file(b"\n".join(rows) + b"\n", name, "batch_output", lifetime)["id"]
        return file_id

    # The model.

    def _fate(self, key: str) -> str:
        """What happens to one execution of a line; counts the attempt."""
        number = self._tries[key]
        self._tries[key] += 1
        return next((fate for fate in LINE_FATES if self._hits(fate, key, number)), "")

    def check(self, operation: str, body: Any) -> None:
        """Refuses a request that the specification forbids."""
        if problem := self.spec.request(operation, body):
            raise ApiError(400, "invalid_request", problem)

    def answer(
        self,
        body: Mapping[str, Any],
        endpoint: str,
        *,
        custom_id: str | None = None,
        batch: str | None = None,
        fate: str | None = None,
        lost: bool = False,
        checked: bool = True,
    ) -> dict[str, Any]:
        """Executes one request to a model and bills it. Raises ApiError (nothing is billed then)."""
        if checked:
            self.check(f"POST {endpoint.removeprefix('/v1')}", body)
        if endpoint == "/v1/embeddings":
            return self._embeddings(body, custom_id, batch)
        self._known_model(body.get("model"), self.faults.models)
        asked = answers.question(body, endpoint)
        if asked.strict and (problem := lint(asked.schema)):
            message = f"Invalid schema for response_format '{asked.schema_name}': {problem}"
            raise ApiError(400, "invalid_json_schema", message, "text.format.schema")
        prompt = asked.prompt
        tokens = len(prompt) // 4 + 1
        if tokens > self.faults.window:
            raise ApiError(
                400, "context_length_exceeded", "Your input exceeds the context window of this model.", "input"
            )
        with self.lock:
            key = custom_id or asked.text_hash
            fate = self._fate(key) if fate is None else fate
            if fate in _LINE_ERRORS:
                status, _, code = _LINE_ERRORS[fate]
                raise ApiError(status, code, "Simulated failure of one request.")
            cached = self._cached(asked, prompt)
            said, usable = self._said(asked, key)
            view = self._body(asked, endpoint, said, fate, tokens, cached)
            usage = _tokens(view)
            whole = _finished(view) and usable and fate not in ("missing", "truncated", "refused") and not lost
            self.charges.append(
                Charge(custom_id, asked.text_hash, batch, asked.model, whole, tokens, cached, usage["output_tokens"])
            )
            return view

    def _known_model(self, model: Any, known: Collection[str]) -> None:
        if model not in known:
            raise ApiError(
                404, "model_not_found", f"The model '{model}' does not exist or you do not have access to it."
            )

    def _cached(self, asked: answers.Question, prompt: str) -> int:
        """Tokens of the prefix shared with the request before, from 1,024 on in steps of 128."""
        place = (asked.model, asked.cache_key)
        before, self._prompts[place] = self._prompts.get(place, ""), prompt
        tokens = _common(before, prompt) // 4
        return tokens // 128 * 128 if tokens >= 1024 else 0

    def _said(self, asked: answers.Question, key: str) -> tuple[str, bool]:
        """The answer's text, and whether its types are those of its schema."""
        number = self._tries[key]
        mistakes = [name for name in answers.MISTAKES if self._hits(name, key, number)]
        rng = random.Random(repr((self.faults.seed, key, number)))
        said = answers.say(
            asked, rng, missed=self.faults.missed, hallucinated=self.faults.hallucinated, mistakes=mistakes
        )
        text = said if isinstance(said, str) else orjson.dumps(said).decode()
        if self._hits("unenforced", key, number):
            text = f"Here is the answer.\n```json\n{text}\n```"
        return text, "wrong_types" not in mistakes

    def _body(
        self, asked: answers.Question, endpoint: str, said: str, fate: str, tokens: int, cached: int
    ) -> dict[str, Any]:
        reasoning = 64 if asked.reasoning else 0
        output = reasoning + len(said) // 4 + 1
        if fate == "incomplete" or (asked.limit is not None and output > asked.limit):
            output = min(output, asked.limit or output)
            said, reason = said[: max(0, output - reasoning) * 4 // 2], "max_output_tokens"
        elif fate == "filtered":
            said, reason = said[: len(said) // 3], "content_filter"
        else:
            said, reason = said[: len(said) // 2] if fate == "truncated" else said, ""
        refusal = "I'm sorry, but I can't assist with that." if fate == "refused" else None
        usage = {"input": tokens, "cached": cached, "output": output, "reasoning": reasoning}
        make = self._response if endpoint == "/v1/responses" else self._chat
        return make(asked, said, refusal, reason, usage)

    def _response(
        self, asked: answers.Question, said: str, refusal: str | None, reason: str, usage: Mapping[str, int]
    ) -> dict[str, Any]:
        part = {"type": "output_text", "text": said, "annotations": [], "logprobs": []}
        if refusal:
            part = {"type": "refusal", "refusal": refusal}
        status = "incomplete" if reason else "completed"
        message = {"id": self._id("msg_"), "type": "message", "role": "assistant", "status": status, "content": [part]}
        thought = {"id": self._id("rs_"), "type": "reasoning", "summary": []}
        now = int(self.now())
        return {
            "id": self._id("resp_"),
            "object": "response",
            "created_at": now,
            "completed_at": None if reason else now,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "instructions": None,
            "max_output_tokens": asked.limit,
            "metadata": {},
            "model": asked.model,
            "output": [*([thought] if usage["reasoning"] else []), message],
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "service_tier": "default",
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": {
                "input_tokens": usage["input"],
                "input_tokens_details": {"cached_tokens": usage["cached"], "cache_write_tokens": 0},
                "output_tokens": usage["output"],
                "output_tokens_details": {"reasoning_tokens": usage["reasoning"]},
                "total_tokens": usage["input"] + usage["output"],
            },
        }

    def _chat(
        self, asked: answers.Question, said: str, refusal: str | None, reason: str, usage: Mapping[str, int]
    ) -> dict[str, Any]:
        ends = {"max_output_tokens": "length", "content_filter": "content_filter", "": "stop"}
        message = {"role": "assistant", "content": None if refusal else said, "refusal": refusal, "annotations": []}
        return {
            "id": self._id("chatcmpl-"),
            "object": "chat.completion",
            "created": int(self.now()),
            "model": asked.model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": ends[reason]}],
            "usage": {
                "prompt_tokens": usage["input"],
                "completion_tokens": usage["output"],
                "total_tokens": usage["input"] + usage["output"],
                "prompt_tokens_details": {"cached_tokens": usage["cached"], "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": usage["reasoning"]},
            },
            "service_tier": "default",
            "system_fingerprint": None,
        }

    def _embeddings(self, body: Mapping[str, Any], custom_id: str | None, batch: str | None) -> dict[str, Any]:
        self._known_model(body["model"], self.faults.embedding_models)
        texts = [body["input"]] if isinstance(body["input"], str) else list(body["input"])
        size = body.get("dimensions") or 64
        tokens = sum(len(str(text)) // 4 + 1 for text in texts)
        data = [
            {"object": "embedding", "index": index, "embedding": _vector(str(text), size, body.get("encoding_format"))}
            for index, text in enumerate(texts)
        ]
        with self.lock:
            text = answers.hash_of(repr(texts))
            self.charges.append(Charge(custom_id, text, batch, body["model"], True, tokens, 0, 0))
        return {
            "object": "list",
            "model": body["model"],
            "data": data,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    def model_list(self) -> list[dict[str, Any]]:
        names = (*self.faults.models, *self.faults.embedding_models)
        return [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "local"} for name in names]

    # Bills.

    def paid(self) -> Counter[str]:
        """Executions by custom id (direct calls have none and count under their text only)."""
        with self.lock:
            return Counter(charge.custom_id for charge in self.charges if charge.custom_id is not None)

    def paid_texts(self) -> Counter[str]:
        """Executions by hash of the session's text."""
        with self.lock:
            return Counter(charge.text for charge in self.charges)

    def paid_twice(self, by: Literal["custom_id", "text"] = "text") -> dict[str, int]:
        """What was executed again although a usable answer had been paid for, and how often: empty is what to reach.

        by: the custom id, or the hash of the session's text (which also finds a line sent again under another id).
        Every batch is brought to its end first, so that one which nobody remembers is counted too.
        """
        self.settle()
        with self.lock:
            needless: Counter[str] = Counter()
            had: set[str] = set()
            for charge in self.charges:
                key = getattr(charge, by)
                if key in had:
                    needless[key] += 1
                elif key is not None and charge.usable:
                    had.add(key)
            return dict(sorted(needless.items()))

    def report(self) -> dict[str, Any]:
        """All of it as JSON values, for a client in another process. Settles nothing."""
        with self.lock:
            return {
                "paid": dict(self.paid()),
                "paid_texts": dict(self.paid_texts()),
                "charges": [asdict(charge) for charge in self.charges],
                "calls": dict(self._calls),
                "batches": [self._shown(batch) for batch in self.batches.values()],
                "files": [file.view for file in self.files.values()],
                "enqueued": self.enqueued(),
                "most_enqueued": self.most_enqueued,
                "spec_violations": list(self.spec_violations),
            }


_BATCH_KEYS = (
    "id", "object", "endpoint", "model", "errors", "input_file_id", "completion_window", "status", "output_file_id",
    "error_file_id", "created_at", "in_progress_at", "expires_at", "finalizing_at", "completed_at", "failed_at",
    "expired_at", "cancelling_at", "cancelled_at", "request_counts", "usage", "metadata", "output_expires_after",
)  # fmt: skip


def _page(views: list[dict[str, Any]], after: str | None, limit: int) -> dict[str, Any]:
    start = next((place + 1 for place, view in enumerate(views) if view["id"] == after), 0)
    page = views[start : start + limit]
    ids = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return {"object": "list", "data": page, "has_more": start + limit < len(views), **ids}


def _blame(code: str, message: str, line: int | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "param": None, "line": line}


def _lines(content: bytes | bytearray | memoryview) -> Iterator[tuple[int, int]]:
    """Start and end of every line that is not blank."""
    if isinstance(content, memoryview):
        content = content.tobytes()
    start = 0
    while start < len(content):
        end = content.find(b"\n", start)
        end = len(content) if end < 0 else end
        if content[start:end].strip():
            yield start, end
        start = end + 1


def _common(first: str, second: str) -> int:
    """Length of the common prefix."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first[low:middle] == second[low:middle] else (low, middle - 1)
    return low


def _tokens(view: Mapping[str, Any]) -> dict[str, int]:
    usage = view["usage"]
    details = usage.get("input_tokens_details") or usage.get("prompt_tokens_details") or {}
    spent = usage.get("output_tokens_details") or usage.get("completion_tokens_details") or {}
    return {
        "input_tokens": usage.get("input_tokens", usage.get("prompt_tokens", 0)),
        "cached_tokens": details.get("cached_tokens", 0),
        "output_tokens": usage.get("output_tokens", usage.get("completion_tokens", 0)),
        "reasoning_tokens": spent.get("reasoning_tokens", 0),
    }


def _usage_view(usage: Mapping[str, int]) -> dict[str, Any]:
    return {
        "input_tokens": usage["input_tokens"],
        "input_tokens_details": {"cached_tokens": usage["cached_tokens"]},
        "output_tokens": usage["output_tokens"],
        "output_tokens_details": {"reasoning_tokens": usage["reasoning_tokens"]},
        "total_tokens": usage["input_tokens"] + usage["output_tokens"],
    }


def _finished(view: Mapping[str, Any]) -> bool:
    return view.get("status") == "completed" or any(c["finish_reason"] == "stop" for c in view.get("choices", []))


def _vector(text: str, size: int, encoding: str | None) -> Any:
    rng = random.Random(text)
    values = [rng.uniform(-1, 1) for _ in range(size)]
    norm = math.sqrt(sum(value * value for value in values))
    values = [value / norm for value in values]
    if encoding != "base64":
        return values
    import base64

    return base64.b64encode(struct.pack(f"<{size}f", *values)).decode()


class _Handler(BaseHTTPRequestHandler):
    """HTTP: one method for each operation, found by path."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Listener"

    def _handle(self) -> None:
        state = self.server.state
        url = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        content = self._content()
        if content is None:
            self.close_connection = True
            return
        try:
            status, answer = self._dispatch(state, url.path, content)
        except ApiError as error:
            status, answer = error.status, error.body
        if status == 0:
            self._hang_up()
        else:
            self._send(status, answer)

    do_GET = do_POST = do_DELETE = do_PUT = _handle  # noqa: N815

    def _content(self) -> bytearray | None:
        """The request's body; None where the client went away in the middle of it."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunks()
        content = bytearray(int(self.headers.get("Content-Length") or 0))
        view, have = memoryview(content), 0
        while have < len(content):
            got = self.rfile.readinto(view[have:])  # type: ignore[attr-defined]
            if not got:
                return None
            have += got
        view.release()
        return content

    def _chunks(self) -> bytearray | None:
        content = bytearray()
        while True:
            size = self.rfile.readline().split(b";")[0].strip()
            if not size:
                return None
            piece = self.rfile.read(int(size, 16))
            content += piece
            if len(piece) < int(size, 16) or not self.rfile.readline():
                return None
            if not piece:
                return content

    def _dispatch(self, state: State, path: str, content: bytearray) -> tuple[int, Any]:
        for method, pattern, name in _ROUTES:
            found = re.fullmatch(pattern, path) if method == self.command else None
            if found:
                args = [unquote(group) for group in found.groups()]
                return self._operate(state, name, args, content)
        raise ApiError(404, None, f"Invalid URL ({self.command} {path})")

    def _operate(self, state: State, name: str, args: list[str], content: bytearray) -> tuple[int, Any]:
        run: Callable[..., Any] = getattr(self, f"_{name}")
        if name.startswith("admin"):
            return 200, run(state, *args, content)
        operation = _OPERATIONS[name]
        with state.lock:
            state.requests.append((self.command, self.path))
        self._let_in(state.faults, name)
        hits = state.call(operation)
        self._stumble(state.faults, hits)
        if "lost_requests" in hits:
            return 0, None
        self.lost = "lost_answers" in hits
        answer = run(state, *args, content)
        return (0, None) if self.lost else (200, answer)

    def _let_in(self, faults: Faults, name: str) -> None:
        key = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not key or faults.api_key not in (None, key):
            raise ApiError(401, "invalid_api_key", "Incorrect API key provided.")
        if faults.chat_only and name not in ("chat", "models", "model", "embeddings"):
            raise ApiError(404, None, f"Invalid URL ({self.command} {self.path})")

    def _stumble(self, faults: Faults, hits: Collection[str]) -> None:
        if "slow" in hits:
            time.sleep(faults.slow_seconds)
        if "too_many" in hits:
            raise ApiError(429, "rate_limit_exceeded", "Rate limit reached for requests.")
        if "server_errors" in hits:
            raise ApiError(500, None, "The server had an error while processing your request.")

    # Operations.

    def _upload(self, state: State, content: bytearray) -> Any:
        fields, name, data = _form(content, self.headers.get("Content-Type", ""))
        wanted: dict[str, Any] = {"file": "", "purpose": fields.get("purpose")}
        if "expires_after[seconds]" in fields:
            seconds = int(fields["expires_after[seconds]"])
            wanted["expires_after"] = {"anchor": fields.get("expires_after[anchor]"), "seconds": seconds}
        state.check("POST /files", wanted)
        return state.add_file(data, name, fields["purpose"], (wanted.get("expires_after") or {}).get("seconds"))

    def _files(self, state: State, content: bytearray) -> Any:
        limit = int(self.query.get("limit", 10_000))
        order = self.query.get("order", "desc")
        return state.list_files(self.query.get("purpose"), self.query.get("after"), limit, order)

    def _file(self, state: State, file_id: str, content: bytearray) -> Any:
        return state.file(file_id).view

    def _file_content(self, state: State, file_id: str, content: bytearray) -> Any:
        return state.file(file_id).content

    def _file_delete(self, state: State, file_id: str, content: bytearray) -> Any:
        return state.delete_file(file_id)

    def _batch_create(self, state: State, content: bytearray) -> Any:
        asked = _json(content)
        state.check("POST /batches", asked)
        return state.add_batch(asked)

    def _batches(self, state: State, content: bytearray) -> Any:
        return state.list_batches(self.query.get("after"), min(100, int(self.query.get("limit", 20))))

    def _batch(self, state: State, batch_id: str, content: bytearray) -> Any:
        return state.batch(batch_id)

    def _batch_cancel(self, state: State, batch_id: str, content: bytearray) -> Any:
        return state.cancel(batch_id)

    def _responses(self, state: State, content: bytearray) -> Any:
        return state.answer(_json(content), "/v1/responses", lost=self.lost)

    def _chat(self, state: State, content: bytearray) -> Any:
        return state.answer(_json(content), "/v1/chat/completions", lost=self.lost)

    def _embeddings(self, state: State, content: bytearray) -> Any:
        return state.answer(_json(content), "/v1/embeddings", lost=self.lost)

    def _input_tokens(self, state: State, content: bytearray) -> Any:
        body = _json(content)
        state.check("POST /responses/input_tokens", body)
        tokens = len(answers.question(body, "/v1/responses").prompt) // 4 + 1
        return {"object": "response.input_tokens", "input_tokens": tokens}

    def _models(self, state: State, content: bytearray) -> Any:
        return {"object": "list", "data": state.model_list()}

    def _model(self, state: State, model: str, content: bytearray) -> Any:
        found = next((view for view in state.model_list() if view["id"] == model), None)
        if found is None:
            raise ApiError(404, "model_not_found", f"The model '{model}' does not exist")
        return found

    def _admin_report(self, state: State, content: bytearray) -> Any:
        return state.report()

    def _admin_settle(self, state: State, content: bytearray) -> Any:
        twice = {by: state.paid_twice(by) for by in ("custom_id", "text")}
        return {"paid_twice": twice, **state.report()}

    def _admin_finish(self, state: State, batch_id: str, content: bytearray) -> Any:
        return state.finish(batch_id)

    def _admin_faults(self, state: State, content: bytearray) -> Any:
        with state.lock:
            state.faults = replace(state.faults, **_json(content))
        return {"faults": sorted(_json(content))}

    # Answers.

    def _send(self, status: int, answer: Any) -> None:
        raw = isinstance(answer, bytes | bytearray | memoryview)
        body = answer if raw else orjson.dumps(answer)
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if raw else "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("retry-after-ms", str(self.server.state.faults.retry_after_ms))
        self.end_headers()
        self.wfile.write(body)

    def _hang_up(self) -> None:
        """Drops the connection at once."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing."""


_ROUTES = (
    ("POST", r"/v1/files", "upload"),
    ("GET", r"/v1/files", "files"),
    ("GET", r"/v1/files/([^/]+)", "file"),
    ("GET", r"/v1/files/([^/]+)/content", "file_content"),
    ("DELETE", r"/v1/files/([^/]+)", "file_delete"),
    ("POST", r"/v1/batches", "batch_create"),
    ("GET", r"/v1/batches", "batches"),
    ("GET", r"/v1/batches/([^/]+)", "batch"),
    ("POST", r"/v1/batches/([^/]+)/cancel", "batch_cancel"),
    ("POST", r"/v1/responses", "responses"),
    ("POST", r"/v1/responses/input_tokens", "input_tokens"),
    ("POST", r"/v1/chat/completions", "chat"),
    ("POST", r"/v1/embeddings", "embeddings"),
    ("GET", r"/v1/models", "models"),
    ("GET", r"/v1/models/(.+)", "model"),
    ("GET", r"/_/report", "admin_report"),
    ("POST", r"/_/settle", "admin_settle"),
    ("POST", r"/_/finish/([^/]+)", "admin_finish"),
    ("PUT", r"/_/faults", "admin_faults"),
)
_PLACES = {"file": "{file_id}", "file_content": "{file_id}", "file_delete": "{file_id}", "model": "{model}"}
_OPERATIONS = {
    name: f"{method} {re.sub(r'[(][^)]*[)]', _PLACES.get(name, '{batch_id}'), pattern).removeprefix('/v1')}"
    for method, pattern, name in _ROUTES
}
"""The operation behind each route, by the names of the specification: "GET /batches/{batch_id}"."""


def _json(content: bytearray) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, None, "We could not parse the JSON body of your request.") from error


def _form(content: bytearray, kind: str) -> tuple[dict[str, str], str, memoryview]:
    """Fields, file name and file of a multipart body; the file is a view into the body, not a copy."""
    found = re.search(r'boundary="?([^";]+)', kind)
    if not found:
        raise ApiError(400, None, "Expected a multipart form.")
    fence = b"--" + found[1].encode()
    fields: dict[str, str] = {}
    name, data = "", memoryview(b"")
    start = content.find(fence)
    while (end := content.find(b"\r\n" + fence, start)) >= 0:
        head_end = content.find(b"\r\n\r\n", start)
        head = content[start:head_end].decode(errors="replace")
        key = (re.search(r'[; ]name="([^"]*)"', head) or [""] * 2)[1]
        if filename := re.search(r'filename="([^"]*)"', head):
            name, data = filename[1], memoryview(content)[head_end + 4 : end]
        else:
            fields[key] = content[head_end + 4 : end].decode()
        start = end + 2
    return fields, name, data


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    state: State

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is a fault of this server."""
        if not isinstance(sys.exception(), ConnectionError | ValueError):
            super().handle_error(request, client_address)


class OpenAIServer:
    """The server in a thread of this process. Faults as an object or by name: `OpenAIServer(refused=0.1)`."""

    def __init__(
        self, faults: Faults | None = None, *, port: int = 0, spec: Spec | None = None, **switches: Any
    ) -> None:
        self.state = State(replace(faults or Faults(), **switches), spec or Spec.beside())
        self._listener = _Listener(("127.0.0.1", port), _Handler)
        self._listener.state = self.state
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """What a client takes as its base URL."""
        return f"http://127.0.0.1:{self._listener.server_address[1]}/v1"

    def __enter__(self) -> "OpenAIServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown()
        self._listener.server_close()

    def switch(self, **switches: Any) -> None:
        """Changes how the server behaves from now on."""
        with self.state.lock:
            self.state.faults = replace(self.state.faults, **switches)

    def finish(self, batch_id: str) -> dict[str, Any]:
        """See `State.finish`."""
        return self.state.finish(batch_id)

    @property
    def paid(self) -> Counter[str]:
        """Executions by custom id."""
        return self.state.paid()

    @property
    def paid_texts(self) -> Counter[str]:
        """Executions by hash of the session's text."""
        return self.state.paid_texts()


def main() -> None:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(description="A local server that speaks OpenAI's protocol, for tests.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", default="{}", help="JSON of the fields of Faults")
    given = parser.parse_args()
    server = OpenAIServer(Faults(**json.loads(given.faults)), port=given.port)
    with server:
        sys.stdout.write(json.dumps({"url": server.url}) + "\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
