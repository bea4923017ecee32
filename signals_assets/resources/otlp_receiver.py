"""Door: a small OTLP/HTTP receiver, so that an agent with an OpenTelemetry exporter needs no other collector.

Put here: the HTTP side: POST /v1/traces and /v1/logs as JSON or protobuf, appended as JSON to a file a day.
Not here: what the spans mean (see `core/readers/otel.py`), reading them (see `resources/session_source.py`).

Answers as the OTLP specification asks: 200 with an export response in the request's own encoding, 400 for what can
never be accepted, 413, 415, 503 when the disk refuses. Protobuf, which many exporters speak by default or only, is
understood where `opentelemetry-proto` is installed (the extra `otel`). Binds to this machine only unless told
otherwise; there is no authentication.
"""

import base64
import threading
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import orjson

MAX_BODY_BYTES: Final = 20 << 20
"""Of a request, compressed and decompressed: the cap of one record in the readers."""
_TIMEOUT_SECONDS: Final = 30.0
_PATHS: Final = {"/v1/traces": "resourceSpans", "/v1/logs": "resourceLogs"}
_JSON: Final = "application/json"
_PROTOBUF: Final = "application/x-protobuf"
_IDS: Final = ("traceId", "spanId", "parentSpanId")


class OtlpServer(ThreadingHTTPServer):
    """The server with its folder; `server_port` is the port it got."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], folder: Path, now: Callable[[], datetime]) -> None:
        super().__init__(address, _Handler)
        self._folder, self._now, self._lock = folder, now, threading.Lock()

    def append(self, line: bytes) -> None:
        """Append one export request to today's file (UTC). Raises OSError."""
        name = f"otlp-{self._now().astimezone(UTC).date().isoformat()}.jsonl"
        with self._lock, (self._folder / name).open("ab") as file:
            file.write(line + b"\n")


def serve(
    folder: Path, host: str = "127.0.0.1", port: int = 4318, now: Callable[[], datetime] | None = None
) -> OtlpServer:
    """A bound server that appends to `folder`/otlp-YYYY-MM-DD.jsonl; call `serve_forever()` on it.

    `port` 0 takes a free one. Raises OSError when the port is taken or the folder cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return OtlpServer((host, port), folder, now or (lambda: datetime.now(UTC)))


class _Refusal(Exception):  # noqa: N818 - an answer, not an error of this program
    """An answer other than 200: status and a message without content."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class _Handler(BaseHTTPRequestHandler):
    server: OtlpServer
    server_version = "signals-otlp"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = _TIMEOUT_SECONDS

    def do_POST(self) -> None:
        try:
            self.server.append(self._export())
        except _Refusal as refusal:
            # The body may be unread: the connection cannot carry another request.
            self.close_connection = True
            self._refuse(refusal.status, 3, refusal.message)
        except OSError:
            self._refuse(503, 14, "cannot write to the folder of the receiver; see its disk")
        else:
            self._answer(200, b"" if self._speaks_protobuf() else orjson.dumps({"partialSuccess": {}}))

    def do_GET(self) -> None:
        self._refuse(405, 12, f"POST OTLP to {', '.join(_PATHS)}")

    def _export(self) -> bytes:
        """The request as one line of JSON."""
        path = self.path.partition("?")[0].rstrip("/")
        if path not in _PATHS:
            raise _Refusal(404, f"nothing here; POST to {', '.join(_PATHS)}")
        if self._speaks_protobuf():
            value = _from_protobuf(path, self._body)
        elif self.headers.get_content_type() == _JSON:
            try:
                value = orjson.loads(self._body())
            except orjson.JSONDecodeError:
                raise _Refusal(400, "the body is not JSON in UTF-8") from None
        else:
            raise _Refusal(415, f"only {_JSON} and {_PROTOBUF} are understood")
        if not isinstance(value, dict) or not isinstance(value.get(_PATHS[path]), list):
            raise _Refusal(400, f"the body has no list {_PATHS[path]}")
        return orjson.dumps(value)

    def _speaks_protobuf(self) -> bool:
        return self.headers.get_content_type() == _PROTOBUF

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise _Refusal(411, "Content-Length is needed")
        if int(length) > MAX_BODY_BYTES:
            raise _Refusal(413, f"larger than {MAX_BODY_BYTES} bytes; export smaller batches")
        data = self.rfile.read(int(length))
        encoding = self.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding == "gzip":
            return _unpacked(data)
        if encoding != "identity":
            raise _Refusal(415, "only gzip is understood as Content-Encoding")
        return data

    def _refuse(self, status: int, code: int, message: str) -> None:
        """An answer with google.rpc.Status in the encoding of the request."""
        text = message.encode()
        if self._speaks_protobuf():
            # Field 1 is the code, field 2 the message: the whole of what an exporter reads.
            self._answer(status, bytes((0x08, code, 0x12)) + _varint(len(text)) + text)
        else:
            self._answer(status, orjson.dumps({"code": code, "message": message}))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", _PROTOBUF if self._speaks_protobuf() else _JSON)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature is http.server's
        """Say nothing: request lines may hold what nobody should find in a log."""


def _unpacked(data: bytes) -> bytes:
    decompressor = zlib.decompressobj(wbits=31)
    try:
        plain = decompressor.decompress(data, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise _Refusal(400, "the body is not gzip") from None
    if len(plain) > MAX_BODY_BYTES:
        raise _Refusal(413, f"larger than {MAX_BODY_BYTES} bytes when unpacked; export smaller batches")
    return plain


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*encoded, number))


def _from_protobuf(path: str, body: Callable[[], bytes]) -> dict[str, Any]:
    """The export request as OTLP JSON: ids in hexadecimal, enumerations as numbers."""
    try:
        from google.protobuf.json_format import MessageToDict
        from google.protobuf.message import DecodeError
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    except ImportError:
        raise _Refusal(
            415,
            "protobuf is not understood here: install signals-assets[otel] beside the receiver, or set "
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/json where the exporter knows it",
        ) from None
    request = ExportTraceServiceRequest() if path == "/v1/traces" else ExportLogsServiceRequest()
    try:
        request.ParseFromString(body())
    except DecodeError:
        raise _Refusal(400, "the body is not an export request in protobuf") from None
    value: dict[str, Any] = MessageToDict(request, use_integers_for_enums=True)
    value.setdefault(_PATHS[path], [])
    for record in _records(value):
        for name in _IDS:
            if name in record:
                record[name] = base64.b64decode(record[name]).hex()
    return value


def _records(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Spans and log records of an export request."""
    for resource in (*value.get("resourceSpans", ()), *value.get("resourceLogs", ())):
        for scope in (*resource.get("scopeSpans", ()), *resource.get("scopeLogs", ())):
            yield from (*scope.get("spans", ()), *scope.get("logRecords", ()))
