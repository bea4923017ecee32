"""One account at the standing-in provider: its files and batches, what is executed, what is billed, how it fails.

Put here: `Faults`, the state and its rules. Not here: HTTP (see `openai_server.py`), the shape of bodies (see
`openai_shapes.py`), what the model says (see `openai_answers.py`), the specification (see `openai_spec.py`).
"""

import hashlib
import io
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any, Literal

import orjson

from signals_assets_tests.fakes import openai_answers as answers
from signals_assets_tests.fakes import openai_shapes as shapes
from signals_assets_tests.fakes.openai_spec import Spec, lint

Bytes = bytes | bytearray | memoryview
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
    odd_vectors: shapes.Oddity = ""
    """What is odd about answers with vectors."""
    snapshot: str = ""
    """What the model's name in answers ends with: the real service answers with a dated name."""
    chat_only: bool = False
    """A server of open weights: no files, no batches, no responses."""
    api_key: str | None = None
    """The only key that is let in; None lets in any."""
    window: int = 272_000
    max_lines: int = 50_000
    max_bytes: int = 200_000_000
    bytes_per_look: int = 50_000_000
    """Lines executed in one look at a batch that is due: a larger one takes several, and no look takes long."""
    check_every: int = 1
    """Lines of a batch whose body is checked against the specification: each, or every n-th."""


LINE_FATES = (
    "missing", "zero", "rejected", "throttled", "broken", "refused", "incomplete", "filtered", "truncated"
)  # fmt: skip
_LINE_ERRORS = {
    "rejected": (400, "invalid_value"),
    "throttled": (429, "rate_limit_exceeded"),
    "broken": (500, "server_error"),
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
    content: Bytes


@dataclass(slots=True)
class _Batch:
    view: dict[str, Any]
    number: int
    content: Bytes
    polls: int = 0
    holds_queue: bool = True
    partial: str = ""
    """Why not all lines are executed ("expired", "cancelled"), or nothing."""
    spans: list[tuple[str, int, int]] = field(default_factory=list)
    """Of each line: custom id, start, end in the input file."""
    tokens: int = 0
    usage: Counter[str] = field(default_factory=Counter)
    done: int = 0
    """Lines that were run."""
    rows: dict[str, list[bytes]] = field(default_factory=lambda: {"output": [], "error": []})

    def release(self) -> None:
        """Nothing more will be executed: leaves the queue and lets the input go."""
        self.holds_queue = False
        self.content = b""
        self.rows.clear()


class State:
    """One account: its files, its batches, and what it was billed. Every public method may be called by any thread."""

    def __init__(self, faults: Faults, spec: Spec) -> None:
        self.faults = faults
        self.spec = spec
        self.lock = threading.RLock()
        self.files: dict[str, _File] = {}
        self.batches: dict[str, _Batch] = {}
        self.charges: list[Charge] = []
        self.embedded: list[list[str]] = []
        """The texts of each request for vectors."""
        self.requests: list[tuple[str, str]] = []
        self.spec_violations: list[str] = []
        """Answers of this server that the specification forbids; always empty, which tests assert."""
        self.most_enqueued = 0
        self.busy_seconds = 0.0
        """Time spent on requests, uploads' transfer left out: what a benchmark subtracts."""
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

    def add_file(self, content: Bytes, filename: str, purpose: str, expires_in: int | None) -> dict[str, Any]:
        if len(content) > self.faults.max_bytes:
            raise ApiError(413, "file_too_large", "The file is larger than this purpose allows.", "file")
        with self.lock:
            created = int(self.now())
            view: dict[str, Any] = {
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
            view: dict[str, Any] = dict.fromkeys(_BATCH_KEYS) | {
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
            batch = _Batch(view, len(self.batches), source.content, tokens=len(source.content) // 4)
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
                batch.partial = "cancelled"
                batch.view |= {"status": "cancelling", "cancelling_at": int(self.now())}
            return self._shown(batch)

    def finish(self, batch_id: str) -> dict[str, Any]:
        """Brings a batch to its end, whatever its pace."""
        with self.lock:
            batch = self._batch(batch_id)
            self._move(batch, 3, math.inf)
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
        self._move(batch, min(3, int(3 * passed)), faults.bytes_per_look)

    def _move(self, batch: _Batch, stage: int, budget: float) -> None:
        """On to stage 1 (in_progress), 2 (finalizing) or 3 (ended, if so many bytes of lines are enough for it)."""
        if batch.view["status"] in ENDED or stage < 1:
            return
        if batch.view["status"] == "validating":
            self._validate(batch)
        if batch.view["status"] == "cancelling" or (batch.view["status"] != "failed" and stage == 3):
            self._execute(batch, budget)
        elif batch.view["status"] == "in_progress" and stage == 2:
            batch.view |= {"status": "finalizing", "finalizing_at": int(self.now())}

    def _validate(self, batch: _Batch) -> None:
        errors = self._file_errors(batch)
        if errors:
            data = {"object": "list", "data": errors}
            batch.view |= {"status": "failed", "failed_at": int(self.now()), "errors": data}
            batch.release()
            batch.holds_queue = self.faults.failed_hold_queue and errors[0]["code"] == "token_limit_exceeded"
        else:
            counts = {"total": len(batch.spans), "completed": 0, "failed": 0}
            batch.partial = "expired" if self._hits("expired", batch.number) else ""
            batch.view |= {"status": "in_progress", "in_progress_at": int(self.now()), "request_counts": counts}

    def _file_errors(self, batch: _Batch) -> list[dict[str, Any]]:
        """What is wrong with the whole file; line numbers count from 1."""
        seen: set[str] = set()
        errors: list[dict[str, Any]] = []
        for number, (start, end) in enumerate(_lines(batch.content), 1):
            code, message, custom_id, model = self._line_error(memoryview(batch.content)[start:end], batch, seen)
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

    def _execute(self, batch: _Batch, budget: float) -> None:
        """Runs lines, at most so many bytes of them, and writes the files after the last."""
        while batch.done < len(batch.spans) and budget > 0:
            custom_id, start, end = batch.spans[batch.done]
            budget -= end - start
            self._run(batch, custom_id, memoryview(batch.content)[start:end])
            batch.done += 1
        failed = len(batch.rows["error"])
        batch.view["request_counts"] |= {"completed": batch.done - failed, "failed": failed}
        if batch.done == len(batch.spans):
            self._close(batch)

    def _run(self, batch: _Batch, custom_id: str, line: memoryview) -> None:
        """Adds the rows of one line."""
        if batch.partial and self._share(batch.number, custom_id) < self.faults.expired_share:
            message = f"This request could not be executed before the batch was {batch.partial}."
            error = {"code": f"batch_{batch.partial}", "message": message}
            batch.rows["error"].append(self._row(custom_id, error=error))
            return
        fate = "broken" if self._hits("all_failed", batch.number) else self._fate(custom_id)
        checked = batch.done % self.faults.check_every == 0
        status, answer = self._line(orjson.loads(line)["body"], batch, custom_id, fate, checked)
        if not (fate == "missing" and status == 200):
            rows = [self._row(custom_id, status, answer)] * (1 + self._hits("duplicated", custom_id))
            batch.rows["output" if status in (0, 200) else "error"].extend(rows)

    def _close(self, batch: _Batch) -> None:
        batch.rows["output"].extend(self._stranger(batch, number) for number in range(self.faults.unknown_ids))
        ended = batch.partial or "completed"
        batch.view |= {
            "status": ended,
            "finalizing_at": batch.view["finalizing_at"] or int(self.now()),
            f"{ended}_at": int(self.now()),
            "output_file_id": self._write(batch, "output"),
            "error_file_id": self._write(batch, "error"),
            "usage": shapes.batch_usage(batch.usage),
        }
        batch.release()

    def _line(
        self, body: Mapping[str, Any], batch: _Batch, custom_id: str, fate: str, checked: bool
    ) -> tuple[int, dict[str, Any]]:
        """Status and body of one line."""
        if fate == "zero":
            return 0, {}
        try:
            return 200, self.answer(
                body, batch.view["endpoint"], custom_id=custom_id, batch=batch, fate=fate, checked=checked
            )
        except ApiError as error:
            return error.status, error.body

    def _stranger(self, batch: _Batch, number: int) -> bytes:
        """A row that nobody asked for."""
        asked = answers.Question(str(batch.view["model"]), "", "", None, None, False, None, False, "")
        body = self._shaped(asked, shapes.reply(asked, "{}", "", 1, 0), batch.view["endpoint"], "default")
        return self._row(f"unknown-{batch.number}-{number}", 200, body)

    def _row(
        self, custom_id: str, status: int = 0, body: dict[str, Any] | None = None, error: dict[str, Any] | None = None
    ) -> bytes:
        """A line of an output or error file."""
        response = {"status_code": status, "request_id": self._id("req_") if status else "", "body": body}
        row = {"id": self._id("batch_req_"), "custom_id": custom_id, "response": None if error else response}
        return orjson.dumps(row | {"error": error})

    def _write(self, batch: _Batch, kind: str) -> str | None:
        rows = batch.rows[kind]
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

    def verify(self, operation: str, view: Any) -> None:
        """Notes an answer of this server that the specification forbids."""
        if problem := self.spec.response(operation, view):
            self.spec_violations.append(f"{operation}: {problem}")

    def answer(
        self,
        body: Mapping[str, Any],
        endpoint: str,
        *,
        custom_id: str | None = None,
        batch: _Batch | None = None,
        fate: str | None = None,
        lost: bool = False,
        checked: bool = True,
    ) -> dict[str, Any]:
        """Executes one request to a model and bills it. Raises ApiError (nothing is billed then).

        fate: what happens to the execution; drawn where None. lost: the caller will not hear the answer.
        """
        if checked:
            self.check(f"POST {endpoint.removeprefix('/v1')}", body)
        embedding = endpoint == "/v1/embeddings"
        if body.get("model") not in (self.faults.embedding_models if embedding else self.faults.models):
            message = f"The model '{body.get('model')}' does not exist or you do not have access to it."
            raise ApiError(404, "model_not_found", message, "model")
        if embedding:
            return self._embed(body, custom_id, batch)
        try:
            asked = answers.question(body, endpoint)
        except (KeyError, TypeError, AttributeError) as error:
            raise ApiError(400, "invalid_request", "The body does not have the shape of this endpoint.") from error
        prompt = asked.prompt
        self._acceptable(asked, prompt)
        text = asked.text_hash
        key = custom_id or text
        with self.lock:
            fate = self._fate(key) if fate is None else fate
            if fate in _LINE_ERRORS:
                raise ApiError(*_LINE_ERRORS[fate], "Simulated failure of one request.")
            said, honest = self._said(asked, key)
            given = shapes.reply(asked, said, fate, len(prompt) // 4 + 1, self._cached(asked, prompt))
            whole = not given.cut and fate not in ("missing", "truncated", "refused")
            self._bill(custom_id, text, batch, asked.model, given, usable=whole and honest and not lost)
        view = self._shaped(asked, given, endpoint, body.get("service_tier") or "default")
        if checked:
            self.verify(f"POST {endpoint.removeprefix('/v1')}", view)
        return view

    def _acceptable(self, asked: answers.Question, prompt: str) -> None:
        if asked.strict and (problem := lint(asked.schema_name, asked.schema)):
            message = f"Invalid schema for response_format '{asked.schema_name}': {problem}"
            raise ApiError(400, "invalid_json_schema", message, "text.format.schema")
        if len(prompt) // 4 + 1 > self.faults.window:
            message = "Your input exceeds the context window of this model."
            raise ApiError(400, "context_length_exceeded", message, "input")

    def _cached(self, asked: answers.Question, prompt: str) -> int:
        """Tokens of the prefix shared with the request before, from 1,024 on in steps of 128."""
        place = (asked.model, asked.cache_key)
        before, self._prompts[place] = self._prompts.get(place, ""), prompt
        tokens = _common(before, prompt) // 4
        return tokens // 128 * 128 if tokens >= 1024 else 0

    def _said(self, asked: answers.Question, key: str) -> tuple[str, bool]:
        """The answer's text, and whether its types are those of its schema."""
        number = self._tries[key] - 1
        mistakes = [name for name in answers.MISTAKES if self._hits(name, key, number)]
        rng = random.Random(repr((self.faults.seed, key, number)))
        said = answers.say(
            asked, rng, missed=self.faults.missed, hallucinated=self.faults.hallucinated, mistakes=mistakes
        )
        text = said if isinstance(said, str) else orjson.dumps(said).decode()
        if self._hits("unenforced", key, number):
            text = f"Here is the answer.\n```json\n{text}\n```"
        return text, "wrong_types" not in mistakes

    def _shaped(self, asked: answers.Question, given: shapes.Reply, endpoint: str, tier: str) -> dict[str, Any]:
        shape = shapes.response if endpoint == "/v1/responses" else shapes.chat
        model = asked.model + self.faults.snapshot
        return shape(asked, given, number=self._id(""), now=int(self.now()), model=model, tier=tier)

    def _embed(self, body: Mapping[str, Any], custom_id: str | None, batch: _Batch | None) -> dict[str, Any]:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        if "" in texts:
            raise ApiError(400, "invalid_request", "'input' cannot be an empty string.", "input")
        tokens = [len(str(text).encode()) for text in texts]  # at most: each has a byte
        if max(tokens) > 8_192 or sum(tokens) > 300_000:
            raise ApiError(400, "max_tokens_per_request", "Too many tokens of one input, or of all.", "input")
        view = shapes.embeddings(body, model=body["model"], odd=self.faults.odd_vectors)
        view["model"] += self.faults.snapshot
        given = shapes.Reply("", None, "", view["usage"]["prompt_tokens"], 0, 0, 0)
        with self.lock:
            self.embedded.append(list(texts))
            self._bill(custom_id, answers.hash_of(repr(body["input"])), batch, body["model"], given, usable=True)
        return view

    def _bill(
        self,
        custom_id: str | None,
        text: str,
        batch: _Batch | None,
        model: str,
        given: shapes.Reply,
        *,
        usable: bool,
    ) -> None:
        tokens = {name: getattr(given, name) for name in ("input_tokens", "cached_tokens", "output_tokens")}
        if batch is not None:
            batch.usage.update(tokens | {"reasoning_tokens": given.reasoning_tokens})
        self.charges.append(Charge(custom_id, text, batch.view["id"] if batch else None, model, usable, **tokens))

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
                "busy_seconds": self.busy_seconds,
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


def _lines(content: Bytes) -> Iterator[tuple[int, int]]:
    """Start and end of every line that is not blank."""
    start = 0
    for line in io.BytesIO(content):
        if line.strip():
            yield start, start + len(line)
        start += len(line)


def _common(first: str, second: str) -> int:
    """Length of the common prefix."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first[low:middle] == second[low:middle] else (low, middle - 1)
    return low
