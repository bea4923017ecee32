"""A local server that speaks Linear's GraphQL over HTTP, and stumbles on demand.

Put here: HTTP, the schema, faults. What an operation does stands in `linear_state.py`.

    with LinearServer() as server:
        client = LinearClient(server.url, "key")

Every question is validated, and every answer completed, by graphql-core against a schema: Linear's own where its text
is given, else the part of it in `linear.graphql`, which a test holds against Linear's own.
"""

import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from graphql import GraphQLSchema, build_schema, execute_sync, parse, validate

from signals_assets_tests.fakes.linear_state import State

Fault = Literal[
    "limited", "limited_short", "limited_long", "too_many", "failed_before", "failed_after", "lost_before",
    "lost_after", "slow_before", "slow_after", "cut", "internal", "lock", "unauthorized", "unsuccessful", "redirected",
]  # fmt: skip
PASSING: tuple[Fault, ...] = (
    "limited", "too_many", "failed_before", "failed_after", "lost_before", "lost_after", "slow_before", "slow_after",
    "cut", "internal", "lock",
)  # fmt: skip
"""Faults after which a repeat may go well."""
LIMITED = {"limited": 0.0, "limited_short": 20.0, "limited_long": 1800.0}
"""Seconds until the limit is reset."""
BEFORE = (
    *LIMITED, "too_many", "failed_before", "lost_before", "slow_before", "unauthorized", "internal", "lock",
    "redirected",
)  # fmt: skip
"""Faults that come before anything is done."""


@dataclass
class Faults:
    """Which questions go wrong: by chance (`rate` of each kind, by the seed), or the next ones as scripted."""

    rates: dict[Fault, float] = field(default_factory=dict)
    seed: int = 0
    script: list[tuple[str, Fault]] = field(default_factory=list)
    """(operation name or *, fault): each is met once, in order."""
    slow_seconds: float = 0.5
    retry_after: int = 7

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self.met: Counter[str] = Counter()

    def next(self, operation: str) -> Fault | None:
        """The fault that this question meets."""
        for place, (name, fault) in enumerate(self.script):
            if name in ("*", operation):
                del self.script[place]
                self.met[fault] += 1
                return fault
        drawn = self._random.random()
        for fault, rate in self.rates.items():
            drawn -= rate
            if drawn < 0:
                self.met[fault] += 1
                return fault
        return None


@lru_cache(maxsize=4)
def schema(text: str | None = None) -> GraphQLSchema:
    """The schema of a text in GraphQL's own language; default: the part beside this file."""
    return build_schema(text or (Path(__file__).parent / "linear.graphql").read_text(), assume_valid=True)


class LinearServer:
    """In a thread of the test. `asked` counts operations; `state` and `faults` may be changed at any time."""

    def __init__(
        self, state: State | None = None, faults: Faults | None = None, schema_text: str | None = None
    ) -> None:
        self.state, self.faults = state or State(), faults or Faults()
        self.schema = schema(schema_text)
        self.asked: Counter[str] = Counter()
        self.authorization: set[str] = set()
        self.refused: list[str] = []
        """What the schema refused of our questions."""
        self._documents: dict[str, tuple[Any, list[Any]]] = {}
        self._listener = _Listener(("127.0.0.1", 0), _Handler)
        self._listener.linear = self
        self.url = f"http://127.0.0.1:{self._listener.server_address[1]}/graphql"

    def __enter__(self) -> "LinearServer":
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown()
        self._listener.server_close()

    def answer(self, question: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body for a question, without any fault."""
        with self.state.lock:
            document, mistakes = self._document(question["query"])
            if mistakes:
                self.refused += [str(mistake) for mistake in mistakes]
                return 400, {"errors": [{"message": "invalid", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED",
                                                                              "type": "graphql error"}}]}  # fmt: skip
            result = execute_sync(
                self.schema, document, root_value=self.state.root(), variable_values=question.get("variables")
            )
            broken = [error for error in result.errors or [] if not error.extensions]
            self.refused += [str(error) for error in broken]
            return 200, dict(result.formatted)

    def operation(self, question: dict[str, Any]) -> str:
        """The name of the question's operation."""
        document, _ = self._document(question["query"])
        return str(document.definitions[0].name.value)

    def _document(self, text: str) -> tuple[Any, list[Any]]:
        if text not in self._documents:
            parsed = parse(text)
            self._documents[text] = (parsed, validate(self.schema, parsed))
        return self._documents[text]


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    linear: LinearServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def do_POST(self) -> None:
        """Every question of GraphQL is a POST."""
        linear = self.server.linear
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        question = json.loads(content)
        operation = linear.operation(question)
        with linear.state.lock:
            linear.asked[operation] += 1
            linear.authorization.add(self.headers.get("Authorization", ""))
            fault = linear.faults.next(operation)
        if fault in BEFORE:
            self._stumble(fault, linear)
            return
        status, answer = linear.answer(question)
        if fault is None:
            self._send(status, answer)
        elif fault == "unsuccessful":
            self._send(200, {"data": {name: {"success": False} for name in answer["data"]}})
        else:
            self._stumble(fault, linear, answer)

    def _stumble(self, fault: Fault, linear: LinearServer, answer: Any = None) -> None:
        if fault in ("lost_before", "lost_after"):
            self._hang_up()
        elif fault in ("slow_before", "slow_after"):
            time.sleep(linear.faults.slow_seconds)
            self._hang_up()
        elif fault in ("failed_before", "failed_after"):
            self._send(503, {})
        elif fault == "cut":
            self._send(200, answer, cut=True)
        elif fault == "redirected":
            self._send(302, {}, {"Location": "http://127.0.0.1:1/elsewhere"})
        elif fault == "too_many":
            self._send(429, {}, {"Retry-After": str(linear.faults.retry_after)})
        elif fault in LIMITED:
            seconds = LIMITED[fault]
            headers = {
                "x-ratelimit-requests-remaining": "0",
                "x-ratelimit-requests-reset": str(int((time.time() + seconds) * 1000)),
            }
            self._send(400, _error("ratelimited", "RATELIMITED"), headers)
        else:
            kinds = {"internal": "internal error", "lock": "lock timeout", "unauthorized": "authentication error"}
            self._send(200, _error(kinds[fault], "ERROR"))

    def _send(self, status: int, answer: Any, headers: dict[str, str] | None = None, *, cut: bool = False) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        content = content[: len(content) // 2] if cut else content
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _hang_up(self) -> None:
        """Close with a reset, as a dying server does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Silence."""


def _error(kind: str, code: str) -> dict[str, Any]:
    """An error with words that must never be shown: Linear may quote what was sent."""
    return {"data": None, "errors": [{"message": "QUOTED CONTENT", "extensions": {"type": kind, "code": code}}]}
