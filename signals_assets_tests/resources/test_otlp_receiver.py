"""The OTLP receiver, over a real socket, and what the reader makes of what it kept."""

import gzip
import http.client
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, date, datetime

import orjson
import pytest

from signals_assets.resources import otlp_receiver
from signals_assets.resources.otlp_receiver import serve
from signals_assets.resources.session_source import FileSessionSource

MESSAGES = orjson.dumps([{"role": "user", "parts": [{"type": "text", "content": "hello"}]}]).decode()
SPAN = {
    "traceId": "t1",
    "spanId": "s1",
    "name": "chat",
    "startTimeUnixNano": "1767607200000000000",
    "endTimeUnixNano": "1767607201000000000",
    "attributes": [{"key": "gen_ai.input.messages", "value": {"stringValue": MESSAGES}}],
}
EXPORT = {"resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}]}]}
JSON = {"Content-Type": "application/json"}


@contextmanager
def running(folder):
    server = serve(folder, port=0, now=lambda: datetime(2026, 1, 5, 12, tzinfo=UTC))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def post(server, body, headers=JSON, path="/v1/traces"):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, orjson.loads(response.read())
    finally:
        connection.close()


def test_spans_that_were_sent_are_sessions_that_can_be_read(tmp_path):
    with running(tmp_path / "otlp") as server:
        assert post(server, orjson.dumps(EXPORT)) == (200, {"partialSuccess": {}})
        packed = gzip.compress(orjson.dumps({"resourceSpans": []}, option=orjson.OPT_INDENT_2))
        assert post(server, packed, {**JSON, "Content-Encoding": "gzip"})[0] == 200
    path = tmp_path / "otlp/otlp-2026-01-05.jsonl"
    assert len(path.read_bytes().splitlines()) == 2
    source = FileSessionSource([tmp_path / "otlp"], spool=tmp_path / "spool")
    assert source.days() == [date(2026, 1, 5)]
    (session,) = source.sessions(date(2026, 1, 5))
    assert (session.session_id, session.source_format) == ("t1", "otel")
    assert [(step.kind, step.text) for step in session.steps] == [("user_message", "hello")]


@pytest.mark.parametrize(
    ("body", "headers", "path", "status", "says"),
    [
        (b"a: b", {"Content-Type": "text/yaml"}, "/v1/traces", 415, "application/x-protobuf"),
        (b"{}", JSON, "/v1/metrics", 404, "/v1/traces"),
        (b"{broken", JSON, "/v1/traces", 400, "not JSON"),
        (b"{}", JSON, "/v1/traces", 400, "resourceSpans"),
        (b"no gzip", {**JSON, "Content-Encoding": "gzip"}, "/v1/traces", 400, "gzip"),
        (b"{}", {**JSON, "Content-Encoding": "br"}, "/v1/traces", 415, "gzip"),
        (b"x" * 2000, JSON, "/v1/traces", 413, "smaller"),
        (gzip.compress(b" " * 2000, mtime=0), {**JSON, "Content-Encoding": "gzip"}, "/v1/traces", 413, "unpacked"),
    ],
)
def test_what_cannot_be_accepted_is_answered_with_what_to_do(tmp_path, monkeypatch, body, headers, path, status, says):
    monkeypatch.setattr(otlp_receiver, "MAX_BODY_BYTES", 1000)
    with running(tmp_path) as server:
        answered, answer = post(server, body, headers, path)
    assert answered == status
    assert says in answer["message"]
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_asks_the_exporter_to_try_again(tmp_path, monkeypatch):
    with running(tmp_path) as server:

        def refuse(line):
            raise OSError

        monkeypatch.setattr(server, "append", refuse)
        assert post(server, orjson.dumps(EXPORT))[0] == 503


def test_requests_at_the_same_time_are_whole_lines(tmp_path):
    with running(tmp_path) as server:
        threads = [threading.Thread(target=post, args=(server, orjson.dumps(EXPORT))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = (tmp_path / "otlp-2026-01-05.jsonl").read_bytes().splitlines()
    assert [orjson.loads(line) for line in lines] == [EXPORT] * 8


PROTOBUF = {"Content-Type": "application/x-protobuf"}


def send_protobuf(server, body, path="/v1/traces", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    try:
        connection.request("POST", path, body, {**PROTOBUF, **headers})
        response = connection.getresponse()
        return response.status, response.headers.get_content_type(), response.read()
    finally:
        connection.close()


def test_protobuf_is_kept_as_the_same_json(tmp_path):
    trace_service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    request = trace_service.ExportTraceServiceRequest()
    span = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(
            trace_id=bytes(range(16)), span_id=bytes(range(8)), name="chat", start_time_unix_nano=1767607200000000000
        )
    )
    span.attributes.add(key="gen_ai.input.messages").value.string_value = MESSAGES
    span.attributes.add(key="count").value.int_value = 1 << 40
    span.status.code = 2
    with running(tmp_path / "otlp") as server:
        packed = gzip.compress(request.SerializeToString())
        assert send_protobuf(server, packed, **{"Content-Encoding": "gzip"}) == (200, "application/x-protobuf", b"")
        assert send_protobuf(server, b"")[0] == 200
    first, second = (tmp_path / "otlp/otlp-2026-01-05.jsonl").read_bytes().splitlines()
    assert orjson.loads(second) == {"resourceSpans": []}
    (kept,) = orjson.loads(first)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (kept["traceId"], kept["spanId"]) == ("000102030405060708090a0b0c0d0e0f", "0001020304050607")
    assert kept["status"] == {"code": 2}
    assert kept["attributes"][1] == {"key": "count", "value": {"intValue": str(1 << 40)}}
    source = FileSessionSource([tmp_path / "otlp"], spool=tmp_path / "spool")
    (session,) = (item for item in source.sessions(date(2026, 1, 5)) if not hasattr(item, "reason"))
    assert [(step.kind, step.text) for step in session.steps] == [
        ("user_message", "hello"),
        ("event", "error"),
    ]


def test_log_records_in_protobuf_are_kept(tmp_path):
    logs_service = pytest.importorskip("opentelemetry.proto.collector.logs.v1.logs_service_pb2")
    request = logs_service.ExportLogsServiceRequest()
    record = (
        request.resource_logs.add()
        .scope_logs.add()
        .log_records.add(trace_id=bytes(16), event_name="gen_ai.user.message", time_unix_nano=1767607200000000000)
    )
    record.body.kvlist_value.values.add(key="content").value.string_value = "hello"
    with running(tmp_path / "otlp") as server:
        assert send_protobuf(server, request.SerializeToString(), "/v1/logs")[0] == 200
    source = FileSessionSource([tmp_path / "otlp"], spool=tmp_path / "spool")
    (session,) = source.sessions(date(2026, 1, 5))
    assert [(step.kind, step.text) for step in session.steps] == [("user_message", "hello")]


def test_a_refusal_of_protobuf_is_a_status_in_protobuf(tmp_path):
    pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    with running(tmp_path) as server:
        status, kind, body = send_protobuf(server, b"\xff\xff\xff")
    assert (status, kind) == (400, "application/x-protobuf")
    text = b"the body is not an export request in protobuf"
    assert body == b"\x08\x03\x12" + bytes([len(text)]) + text
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_protobuf_is_refused_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.trace.v1.trace_service_pb2", None)
    with running(tmp_path) as server:
        status, _, body = send_protobuf(server, b"\x0a\x00")
    assert status == 415
    assert b"signals-assets[otel]" in body
    assert b"http/json" in body
