"""A local HTTP service with faults, for the standing-in servers that speak JSON over plain HTTP.

Put here: sockets, the log of requests, everything that can go wrong on the way. Not here: what a service answers (see
`github_server.py`, `slack_server.py`).

Faults, each for the next requests that it fits, or by chance from a seed:
`too_many` (429, asks to wait), `limited` (403, used up), `error` (500), `before` (the connection drops and nothing was
done), `after` (done, then the connection drops), `cut` (done, half of the answer arrives), `hang` (done, no answer for
longer than a test's client waits).
"""

import json
import random
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

HANG_SECONDS = 0.6
"""A test's client that is to see a timeout waits for less."""


@dataclass(frozen=True)
class Request:
    """What arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What is answered; content is JSON, or bytes as they are."""

    status: int
    content: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def bytes(self) -> bytes:
        if isinstance(self.content, bytes):
            return self.content
        return b"" if self.content is None else json.dumps(self.content).encode()


@dataclass
class Fault:
    kind: str
    fits: str
    times: int
    wait: float


class LocalService:
    """Subclasses answer; faults are set with `fail` and `chance`. Complaints about requests end the test."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        self.lock = threading.RLock()
        self._faults: list[Fault] = []
        self._chance: tuple[random.Random, float, Sequence[str]] | None = None
        self._listener = _Listener(("127.0.0.1", 0), _Handler)
        self._listener.service = self
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True)

    def answer(self, request: Request) -> Reply:
        raise NotImplementedError

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._listener.server_address[1]}"

    def fail(self, kind: str, fits: str = ".*", times: int = 1, wait: float = 0) -> None:
        """The next `times` requests whose "METHOD path" matches `fits` meet the fault; `wait`: seconds asked for."""
        self._faults.append(Fault(kind, fits, times, wait))

    def chance(self, seed: int, share: float, kinds: Sequence[str]) -> None:
        """From now on this share of requests meets one of the faults."""
        self._chance = (random.Random(seed), share, kinds)

    def fault_for(self, request: Request) -> Fault | None:
        for fault in self._faults:
            if fault.times and re.search(fault.fits, f"{request.method} {request.path}"):
                fault.times -= 1
                return fault
        if self._chance is not None:
            generator, share, kinds = self._chance
            if generator.random() < share:
                return Fault(generator.choice(list(kinds)), "", 1, 0)
        return None

    def complain(self, what: str) -> None:
        self.complaints.append(what)

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._listener.shutdown()
        self._listener.server_close()
        if kind is None:
            assert not self.complaints, self.complaints


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Listener"

    def _handle(self) -> None:
        service = self.server.service
        url = urlsplit(self.path)
        request = Request(
            self.command,
            unquote(url.path),
            dict(parse_qsl(url.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        with service.lock:
            service.requests.append(request)
            fault = service.fault_for(request)
            kind = fault.kind if fault else ""
            reply = _REFUSALS[kind](fault.wait) if fault and kind in _REFUSALS else None
            if reply is None and kind != "before":
                reply = service.answer(request)
        if kind == "hang":
            time.sleep(HANG_SECONDS)
        if kind in ("before", "after", "hang") or reply is None:
            self._hang_up()
        else:
            self._send(reply, cut=kind == "cut")

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = _handle  # noqa: N815

    def _send(self, reply: Reply, *, cut: bool) -> None:
        body = reply.bytes()
        body = body[: len(body) // 2] if cut else body
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing."""


_REFUSALS = {
    "too_many": lambda wait: Reply(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": str(wait)}),
    "limited": lambda wait: Reply(
        403,
        {"message": "API rate limit exceeded"},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time() + wait))},
    ),
    "error": lambda wait: Reply(500, {"message": "Server Error"}),
}


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    service: LocalService

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is a fault of this server and ends the test."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            self.service.complain(f"{type(error).__name__}: {error}")
