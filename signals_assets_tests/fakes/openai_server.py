"""A local server that speaks OpenAI's protocol over HTTP: files, batches, responses, chat, embeddings, models.

Put here: HTTP and nothing else. What happens behind it stands in `openai_state.py`, whose `Faults` are the switches
for everything that can go wrong. In a thread of the test:

    with OpenAIServer(Faults(polls=3)) as server:
        client = OpenAI(base_url=server.url, api_key="any")

or as a process of its own, which survives the death of its client, with `OpenAIProcess(refused=0.01)` in the same way,
or by hand: `python -m signals_assets_tests.fakes.openai_server --port 0 --faults '{"refused": 0.01}'` prints one line
of JSON with the URL. What was paid stands at `/_/report` there (see the routes for more).
"""

import argparse
import json
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import Request, urlopen

import orjson

from signals_assets_tests.fakes import openai_answers as answers
from signals_assets_tests.fakes.openai_spec import Spec
from signals_assets_tests.fakes.openai_state import ApiError, Faults, State


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
            got = self.rfile.readinto(view[have:])
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
        start = time.perf_counter()
        answer = run(state, *args, content)
        with state.lock:
            state.busy_seconds += time.perf_counter() - start
        if not isinstance(answer, bytes | bytearray | memoryview):
            state.verify(operation, answer)
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
        if not isinstance(sys.exception(), ConnectionError):
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

    def paid_twice(self, by: Literal["custom_id", "text"] = "text") -> dict[str, int]:
        """See `State.paid_twice`."""
        return self.state.paid_twice(by)


class OpenAIProcess:
    """The server as a process of its own, which outlives clients that are killed. Faults by name, as JSON values."""

    def __init__(self, **faults: Any) -> None:
        self._command = [sys.executable, "-m", __name__, "--faults", json.dumps(faults)]
        self.url = ""

    def __enter__(self) -> "OpenAIProcess":
        root = Path(__file__).resolve().parents[2]
        self._process = subprocess.Popen(self._command, cwd=root, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.url = json.loads(self._process.stdout.readline())["url"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()  # a process that was started where SIGTERM is ignored would never end otherwise
        self._process.communicate()

    def report(self) -> dict[str, Any]:
        """See `State.report`."""
        return self._asked("GET", "report")

    def settle(self) -> dict[str, Any]:
        """Brings all batches to their end; the report, and "paid_twice" by "custom_id" and by "text"."""
        return self._asked("POST", "settle")

    def finish(self, batch_id: str) -> dict[str, Any]:
        """See `State.finish`."""
        return self._asked("POST", f"finish/{batch_id}")

    def switch(self, **faults: Any) -> None:
        """Changes how the server behaves from now on."""
        self._asked("PUT", "faults", faults)

    def _asked(self, method: str, path: str, given: Any = None) -> dict[str, Any]:
        url = f"{self.url.removesuffix('/v1')}/_/{path}"
        body = None if given is None else orjson.dumps(given)
        with urlopen(Request(url, method=method, data=body)) as answer:
            told: dict[str, Any] = orjson.loads(answer.read())
            return told


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
