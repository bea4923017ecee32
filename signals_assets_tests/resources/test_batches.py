"""Batches over real sockets: one contract for both backends, then what only one of them can get into."""

import os
import pickle
import signal
import stat
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest

from signals_assets.resources import batches
from signals_assets.resources.batches import (
    BatchError,
    Busy,
    DirectBatches,
    OpenAIBatches,
    ResultLine,
    Results,
    Server,
    Uncertain,
)
from signals_assets_tests.fakes.openai_answers import hash_of
from signals_assets_tests.fakes.openai_server import OpenAIServer

SECRET = "my sister's wedding is on Friday"
RESPONSES, CHAT = "/v1/responses", "/v1/chat/completions"
DAY = 86_400


@pytest.fixture
def server():
    with OpenAIServer() as running:
        yield running
        assert running.state.spec_violations == []


def reached(server, **changes):
    return Server(**{"api_key": "sk-none-of-yours", "base_url": server.url, "timeout": 5.0, "pause": 0.001} | changes)


def openai_batches(server, folder, **changes):
    return OpenAIBatches(reached(server, **changes), folder / "restricted" / "scratch")


def direct_batches(server, folder, endpoint=CHAT, concurrency=3, **changes):
    return DirectBatches(
        reached(server, **changes), folder / "restricted" / "direct", endpoint=endpoint, concurrency=concurrency
    )


BACKENDS = {
    "openai": openai_batches,
    "direct-chat": direct_batches,
    "direct-responses": lambda server, folder, **changes: direct_batches(server, folder, RESPONSES, **changes),
}


@pytest.fixture(params=BACKENDS)
def make(request):
    return BACKENDS[request.param]


def text_of(number):
    return f"[{number}] user\n  {SECRET}"


def body_of(endpoint, number, model="gpt-5.2"):
    if endpoint == CHAT:
        return {"model": model, "messages": [{"role": "user", "content": text_of(number)}]}
    return {"model": model, "input": text_of(number), "store": False}


def written(folder, backend, count, model="gpt-5.2", name="lines.jsonl"):
    """A file of batch input lines "r0", "r1", ..."""
    path = folder / name
    path.write_bytes(
        b"".join(
            orjson.dumps(
                {
                    "custom_id": f"r{number}",
                    "method": "POST",
                    "url": backend.endpoint,
                    "body": body_of(backend.endpoint, number, model),
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for number in range(count)
        )
    )
    return path


def run(server, backend, folder, count=6, key="day/1"):
    """A batch that has ended: its id."""
    batch_id = backend.create(key, written(folder, backend, count))
    server.state.settle()
    return batch_id


@contextmanager
def odd(answer):
    """A server that answers as no server should: `answer` gives what to send, and after how many bytes to hang up.

    Bytes are sent as they are, anything else as JSON. A third value is the status.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self):
            content, cut, status = (*answer(self), 200)[:3]
            raw = isinstance(content, bytes)
            body = content if raw else orjson.dumps(content)
            self.send_response(status)
            self.send_header("Content-Type", "application/octet-stream" if raw else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body[:cut])
            self.close_connection = True

        do_GET = do_POST = handle_any  # noqa: N815

        def log_message(self, *given):
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.server_address[1]}/v1"
        listener.shutdown()
        thread.join()


def telling(caught):
    """Everything that a log or a UI could show of an exception."""
    error = caught.value
    return " ".join(str(part) for part in (error, repr(error), error.__cause__, error.__context__, error.__dict__))


def ids(count):
    return {f"r{number}" for number in range(count)}


# --- both --------------------------------------------------------------------------------------------------------


def test_every_line_of_a_batch_has_its_answer(make, server, tmp_path):
    backend = make(server, tmp_path)
    batch_id = run(server, backend, tmp_path, 20)
    status = backend.status(batch_id)
    assert (status.batch_id, status.state, status.provider_status) == (batch_id, "ended", "completed")
    assert (status.error_code, status.bad_lines) == (None, ())
    assert abs(status.created_at - time.time()) < 60
    results = backend.results(batch_id)
    found = {line.custom_id: line for line in results}
    assert set(found) == ids(20)
    assert results.malformed == 0
    assert {line.status_code for line in found.values()} == {200}
    assert {line.error_code for line in found.values()} == {None}
    kind = "chat.completion" if backend.endpoint == CHAT else "response"
    assert {line.body["object"] for line in found.values()} == {kind}
    assert server.paid_texts == Counter({hash_of(text_of(number)): 1 for number in range(20)})


def test_a_batch_is_found_by_its_key_and_by_no_other(make, server, tmp_path):
    backend = make(server, tmp_path)
    assert backend.find("day/1") is None
    first = run(server, backend, tmp_path, 2, "day/1")
    second = run(server, backend, tmp_path, 2, "day/2")
    again = make(server, tmp_path)  # as after a restart
    assert (again.find("day/1"), again.find("day/2"), again.find("day/3")) == (first, second, None)


@pytest.mark.parametrize(
    ("fate", "status", "code"),
    [
        ("rejected", 400, "invalid_value"),
        ("broken", 500, "server_error"),
    ],
)
def test_a_line_that_the_server_refuses_is_a_result_with_a_code(make, server, tmp_path, fate, status, code):
    server.switch(**{fate: ("r1", hash_of(text_of(1)))})  # by custom id in a batch, by text in a direct call
    backend = make(server, tmp_path)
    found = {line.custom_id: line for line in backend.results(run(server, backend, tmp_path))}
    assert set(found) == ids(6)
    assert found["r1"] == ResultLine("r1", status, None, code)
    assert all(line.status_code == 200 for line in found.values() if line.custom_id != "r1")


def test_deleting_leaves_nothing_and_can_be_repeated(make, server, tmp_path):
    backend = make(server, tmp_path)
    server.switch(rejected=("r1", hash_of(text_of(1))))
    batch_id = run(server, backend, tmp_path)
    assert backend.delete(batch_id) == (3 if backend.tier == "batch" else 1)
    assert server.state.files == {}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "lines.jsonl"]
    with pytest.raises(BatchError) as caught:  # never an empty day
        backend.results(batch_id)
    assert not isinstance(caught.value, Busy | Uncertain)
    assert backend.delete(batch_id) == 0


def test_a_batch_that_nobody_knows_is_an_error(make, server, tmp_path):
    backend = make(server, tmp_path)
    for ask in (backend.status, backend.results):
        with pytest.raises(BatchError) as caught:
            ask("direct_00ff")
        assert "direct_00ff" in str(caught.value)


def test_one_request_is_answered_now_through_throttling_and_errors(make, server, tmp_path):
    backend = make(server, tmp_path)
    operation = f"POST {backend.endpoint.removeprefix('/v1')}"
    server.switch(too_many={operation: (0, 1)}, server_errors={operation: (2,)}, lost_requests={operation: (3,)})
    found = backend.one(body_of(backend.endpoint, 0))
    assert (found.custom_id, found.status_code, found.error_code) == ("", 200, None)
    assert found.body["model"] == "gpt-5.2"
    assert sum(server.paid_texts.values()) == 1


def test_a_lost_answer_of_one_request_is_asked_for_once_more_at_most(make, server, tmp_path):
    backend = make(server, tmp_path)
    server.switch(lost_answers={"*": 1.0})
    assert backend.one(body_of(backend.endpoint, 0)) == ResultLine("", None, None, "connection_lost")
    assert len(server.state.requests) == 2
    server.switch(lost_answers={}, slow={"*": 1.0}, slow_seconds=1.0)
    hasty = make(server, tmp_path, timeout=0.1)
    assert hasty.one(body_of(backend.endpoint, 0)) == ResultLine("", None, None, "timeout")


def test_errors_that_no_repetition_cures_are_not_repeated(make, server, tmp_path):
    backend = make(server, tmp_path)
    with pytest.raises(BatchError) as caught:
        backend.one(body_of(backend.endpoint, 0, model="gpt-of-nobody"))
    assert caught.value.code == "model_not_found"
    server.switch(api_key="sk-another")
    with pytest.raises(BatchError) as caught:
        backend.one(body_of(backend.endpoint, 0))
    assert caught.value.code == "invalid_api_key"
    assert "signals doctor" in str(caught.value)
    assert len(server.state.requests) == 2


def test_a_server_that_keeps_asking_to_wait_is_busy_and_says_for_how_long(make, server, tmp_path):
    backend = make(server, tmp_path)
    server.switch(too_many={"*": 1.0}, retry_after_ms=10)
    with pytest.raises(Busy) as caught:
        backend.one(body_of(backend.endpoint, 0))
    assert (caught.value.code, caught.value.retry_after) == ("rate_limit_exceeded", 0.01)
    server.state.requests.clear()
    server.switch(retry_after_ms=3_600_000)
    with pytest.raises(Busy) as caught:  # at once: a run does not sleep for an hour
        backend.one(body_of(backend.endpoint, 0))
    assert caught.value.retry_after == 3600
    assert len(server.state.requests) == 1


def test_a_server_that_is_not_there_is_named_as_such(make, server, tmp_path):
    backend = make(server, tmp_path, base_url="http://127.0.0.1:9/v1")
    with pytest.raises(BatchError) as caught:
        backend.one(body_of(backend.endpoint, 0))
    assert caught.value.code == "unreachable"


def test_no_error_holds_a_word_of_what_was_sent_or_answered(make, server, tmp_path, caplog):
    caplog.set_level(0)
    backend = make(server, tmp_path)
    server.switch(models=(SECRET,))
    with pytest.raises(BatchError) as caught:  # the server's message quotes the model
        backend.one(body_of(backend.endpoint, 0))
    assert SECRET not in telling(caught)
    server.switch(api_key=SECRET)
    for ask in (backend.check, lambda: backend.create("k", written(tmp_path, backend, 2))):
        with pytest.raises(BatchError) as caught:
            ask()
        assert SECRET not in telling(caught)
        assert "Incorrect API key" not in telling(caught)
    assert SECRET not in caplog.text


def test_a_backend_travels_to_workers_and_shows_no_key(make, server, tmp_path):
    backend = make(server, tmp_path)
    backend.check()
    moved = pickle.loads(pickle.dumps(backend))
    assert moved.one(body_of(backend.endpoint, 0)).status_code == 200
    assert "sk-none" not in repr(backend.server)
    error = pickle.loads(pickle.dumps(Busy("wait", code="c", retry_after=2.0)))
    assert (str(error), error.code, error.retry_after) == ("wait", "c", 2.0)


def test_the_check_says_who_answered(make, server, tmp_path):
    backend = make(server, tmp_path)
    assert "127.0.0.1" in backend.check()
    assert not server.paid_texts


def test_what_is_written_here_is_for_its_owner_only(make, server, tmp_path):
    before = os.umask(0)
    try:
        backend = make(server, tmp_path)
        batch_id = run(server, backend, tmp_path)
        list(backend.results(batch_id))
    finally:
        os.umask(before)
    for path in (tmp_path / "restricted").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


# --- OpenAI's Batch API ------------------------------------------------------------------------------------------


@pytest.fixture
def openai(server, tmp_path):
    return openai_batches(server, tmp_path)


def test_a_lost_answer_of_a_creation_is_uncertain_and_makes_one_batch(server, openai, tmp_path):
    server.switch(lost_answers={"POST /batches": (0,)})
    with pytest.raises(Uncertain) as caught:
        openai.create("day/1", written(tmp_path, openai, 3))
    assert caught.value.code == "connection_lost"
    assert len(server.state.batches) == 1
    (only,) = server.state.batches
    assert openai.find("day/1") == only
    assert set(server.state.files) == {server.state.batches[only].view["input_file_id"]}


@pytest.mark.parametrize(
    ("switches", "code"),
    [
        ({"lost_requests": {"POST /batches": (0,)}}, "connection_lost"),
        ({"server_errors": {"POST /batches": (0,)}}, "server_error"),
        ({"slow": {"POST /batches": (0,)}, "slow_seconds": 1.0}, "timeout"),
    ],
)
def test_a_creation_without_an_answer_is_uncertain_and_asked_once(server, tmp_path, switches, code):
    openai = openai_batches(server, tmp_path, timeout=0.5)
    server.switch(**switches)
    with pytest.raises(Uncertain) as caught:
        openai.create("day/1", written(tmp_path, openai, 3))
    assert caught.value.code == code
    assert server.state.requests.count(("POST", "/v1/batches")) == 1
    assert openai.settles_after > 0.5


def test_a_throttled_creation_is_busy_and_leaves_no_file(server, openai, tmp_path):
    server.switch(too_many={"POST /batches": (0,)}, retry_after_ms=1500)
    with pytest.raises(Busy) as caught:
        openai.create("day/1", written(tmp_path, openai, 3))
    assert caught.value.retry_after == 1.5
    assert (server.state.files, server.state.batches) == ({}, {})
    assert server.state.requests.count(("POST", "/v1/batches")) == 1


def test_a_lost_upload_is_repeated_and_its_twin_deleted_with_the_batch(server, openai, tmp_path):
    server.switch(lost_answers={"POST /files": (0,)})
    path = written(tmp_path, openai, 3)
    batch_id = openai.create("day/1", path)
    assert [bytes(file.content) for file in server.state.files.values()] == [path.read_bytes()] * 2
    other = openai.create("day/2", path)
    server.state.settle()
    assert openai.delete(batch_id) == 3  # two uploads and the output
    left = {file.view["id"] for file in server.state.files.values()}
    assert server.state.batches[other].view["input_file_id"] in left
    assert {line.custom_id for line in openai.results(other)} == ids(3)


def test_a_batch_s_own_files_are_deleted_even_where_others_cannot_be_listed(server, openai, tmp_path):
    batch_id = run(server, openai, tmp_path)
    server.switch(lost_requests={"GET /files": 1.0})
    with pytest.raises(BatchError):
        openai.delete(batch_id)
    assert server.state.files == {}


def test_files_expire_at_the_provider_by_themselves(server, tmp_path):
    openai = OpenAIBatches(reached(server), tmp_path / "scratch", keep_days=2)
    run(server, openai, tmp_path)
    lifetimes = {file.view["expires_at"] - file.view["created_at"] for file in server.state.files.values()}
    assert lifetimes == {2 * DAY}


def test_the_enqueued_token_limit_is_a_failed_batch_with_its_code(server, openai, tmp_path):
    server.switch(enqueued_limit=1)
    batch_id = openai.create("day/1", written(tmp_path, openai, 3))  # accepted at first
    assert openai.status(batch_id).state in ("running", "failed")
    server.state.settle()
    status = openai.status(batch_id)
    assert (status.state, status.error_code, status.bad_lines) == ("failed", "token_limit_exceeded", ())
    assert list(openai.results(batch_id)) == []
    assert openai.find("day/1") == batch_id
    server.switch(enqueued_limit=None)
    again = openai.create("day/1", written(tmp_path, openai, 3))
    assert openai.find("day/1") == again
    assert openai.delete(batch_id) == 1  # not the file of the batch that still runs under the same key
    server.state.settle()
    assert {line.custom_id for line in openai.results(again)} == ids(3)


def test_lines_that_validation_blames_are_counted_from_zero(server, openai, tmp_path):
    path = written(tmp_path, openai, 4)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1] + b"{broken\n" + lines[1] + lines[3])
    batch_id = openai.create("day/1", path)
    server.state.settle()
    status = openai.status(batch_id)
    assert (status.state, status.error_code, status.bad_lines) == ("failed", "invalid_json_line", (2, 3))


def test_a_batch_runs_until_it_has_ended_and_gives_nothing_before(server, openai, tmp_path):
    server.switch(polls=None)
    batch_id = openai.create("day/1", written(tmp_path, openai, 3))
    assert openai.status(batch_id).state == "running"
    for ask in (openai.results, openai.delete):
        with pytest.raises(BatchError) as caught:
            ask(batch_id)
        assert caught.value.code == "not_ended"
    assert len(server.state.files) == 1


def test_a_completed_batch_without_an_output_file_tells_every_failure(server, openai, tmp_path):
    server.switch(all_failed=1.0)
    batch_id = run(server, openai, tmp_path)
    assert server.state.batches[batch_id].view["output_file_id"] is None
    assert openai.status(batch_id).state == "ended"
    found = list(openai.results(batch_id))
    assert {line.custom_id for line in found} == ids(6)
    assert {(line.status_code, line.body, line.error_code) for line in found} == {(500, None, "server_error")}


def test_an_expired_batch_keeps_what_was_finished_and_names_the_rest(server, openai, tmp_path):
    server.switch(expired=1.0, expired_share=0.5)
    batch_id = run(server, openai, tmp_path, 30)
    assert (openai.status(batch_id).state, openai.status(batch_id).provider_status) == ("ended", "expired")
    found = list(openai.results(batch_id))
    assert {line.custom_id for line in found} == ids(30)
    kinds = Counter((line.status_code, line.error_code) for line in found)
    assert set(kinds) == {(200, None), (None, "batch_expired")}
    assert kinds[200, None] == sum(server.paid.values())


def test_rows_without_a_status_missing_repeated_and_foreign_rows_come_as_they_are(server, openai, tmp_path):
    server.switch(zero=("r0",), missing=("r1",), duplicated=("r2",), unknown_ids=1)
    found = list(openai.results(run(server, openai, tmp_path)))
    counts = Counter(line.custom_id for line in found)
    assert (counts["r0"], counts["r1"], counts["r2"], counts["unknown-0-0"]) == (1, 0, 2, 1)
    assert ResultLine("r0", 0, None, "no_answer") in found


def test_lines_that_are_no_results_are_counted_and_hide_no_other(server, openai, tmp_path):
    batch_id = run(server, openai, tmp_path, 3)
    output = server.state.files[server.state.batches[batch_id].view["output_file_id"]]
    first, second, third = bytes(output.content).splitlines()
    odd = [b"[]", b"null", b'{"custom_id": 7}', b"\xff\xfe", b"", b'{"custom_id": "x", "response": 3, "error": "y"}']
    output.content = b"\n".join([first, second[:40], *odd, third[:-30]])
    results = openai.results(batch_id)
    found = list(results)
    assert found[0].status_code == 200
    assert found[1:] == [ResultLine("x", None, None, "no_answer")]
    assert results.malformed == 6


def test_a_download_that_breaks_off_starts_again(tmp_path):
    row = b'{"custom_id": "r0", "response": {"status_code": 200, "body": {"a": 1}}}\n'
    ended = {"id": "batch_1", "status": "completed", "output_file_id": "file-2", "created_at": 0}
    replies = [(ended, None), (row * 50, len(row) * 20 + 5), (row * 50, 0), (row * 50, None)]
    with odd(lambda handler: replies.pop(0)) as url:
        results = OpenAIBatches(Server("k", url, pause=0.001), tmp_path / "scratch").results("batch_1")
    assert [line.custom_id for line in results] == ["r0"] * 50
    assert (replies, results.malformed) == ([], 0)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_large_output_is_never_whole_in_memory(server, openai, tmp_path):
    batch_id = run(server, openai, tmp_path, 2)
    output = server.state.files[server.state.batches[batch_id].view["output_file_id"]]
    row = {"custom_id": "r0", "response": {"status_code": 200, "body": {"text": "x" * 20_000}}, "error": None}
    output.content = b"".join([orjson.dumps(row) + b"\n"] * 2_000)
    size = len(output.content)
    tracemalloc.start()
    try:
        count = sum(1 for _ in openai.results(batch_id))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 2_000
    assert peak < size / 4


def test_a_large_input_is_never_whole_in_memory(tmp_path):
    path = tmp_path / "large.jsonl"
    path.write_bytes(b"x" * 40_000_000)
    taken = []

    def swallowed(handler):
        left = int(handler.headers.get("Content-Length", 0))
        taken.append(left)
        while left:
            left -= len(handler.rfile.read(min(left, 1 << 16)))
        return {"id": "made_1"}, None

    with odd(swallowed) as url:
        openai = OpenAIBatches(Server("k", url), tmp_path / "scratch")
        tracemalloc.start()
        try:
            assert openai.create("day/1", path) == "made_1"
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert taken[0] > 40_000_000
    assert peak < 10_000_000


def test_a_look_up_reads_all_pages_up_to_its_horizon(server, openai, tmp_path, monkeypatch):
    path = written(tmp_path, openai, 1)
    wanted = openai.create("wanted", path)
    file_id = server.state.batches[wanted].view["input_file_id"]
    for _ in range(230):
        server.state.add_batch({"endpoint": RESPONSES, "input_file_id": file_id, "completion_window": "24h"})
    server.state.requests.clear()
    assert openai.find("wanted") == wanted
    assert len(server.state.requests) == 3
    monkeypatch.setattr(batches, "LISTED", 150)
    with pytest.raises(BatchError) as caught:  # None would be believed, and paid for
        openai.find("wanted")
    assert caught.value.code == "too_many"
    server.state.batches[wanted].view["created_at"] -= 8 * DAY
    monkeypatch.setattr(batches, "LISTED", 5_000)
    assert openai.find("wanted") is None
    assert openai.find("wanted", since=time.time() - 8 * DAY) == wanted


def test_a_repeated_failure_of_a_look_up_is_never_taken_for_no_batch(server, openai, tmp_path):
    server.switch(polls=None)
    openai.create("day/1", written(tmp_path, openai, 1))
    server.switch(lost_requests={"GET /batches": 1.0})
    with pytest.raises(BatchError) as caught:
        openai.find("day/1")
    assert caught.value.code == "connection_lost"


def test_orphans_are_our_old_uploads_that_no_running_batch_uses(server, openai, tmp_path):
    server.switch(polls=None)
    running = server.state.batches[openai.create("running", written(tmp_path, openai, 1))].view["input_file_id"]
    ended = openai.create("ended", written(tmp_path, openai, 1))
    server.finish(ended)
    state = server.state
    names = {state.add_file(b"{}", name, "batch", None)["id"]: name for name in ("signals-1.jsonl", "other.jsonl")}
    for file in state.files.values():
        file.view["created_at"] -= 2 * DAY
    young = state.add_file(b"{}", "signals-2.jsonl", "batch", None)["id"]
    assert openai.orphans() == 2  # the ended batch's upload and the one without a batch
    left = set(state.files)
    assert {running, young} <= left
    assert [names[file_id] for file_id in left if file_id in names] == ["other.jsonl"]
    assert [line.status_code for line in openai.results(ended)] == [200]
    assert openai.orphans() == 0


@pytest.mark.parametrize("nonsense", [{}, [], b"<html>", {"id": 7}, {"id": "two words"}])
def test_an_answer_that_is_no_batch_is_uncertain(tmp_path, nonsense):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"{}")

    def answer(handler):
        handler.rfile.read(int(handler.headers["Content-Length"]))
        return {"id": "file-1"} if "files" in handler.path else nonsense, None

    with odd(answer) as url:
        with pytest.raises(Uncertain) as caught:
            OpenAIBatches(Server("k", url), tmp_path / "scratch").create("day/1", path)
        assert caught.value.code == "unreadable_answer"


# --- one by one --------------------------------------------------------------------------------------------------


@pytest.fixture
def direct(server, tmp_path):
    return direct_batches(server, tmp_path)


def test_an_ended_batch_is_not_sent_again(server, direct, tmp_path):
    first = run(server, direct, tmp_path)
    assert run(server, direct, tmp_path) == first
    assert sum(server.paid_texts.values()) == 6


def test_no_more_requests_are_under_way_than_allowed(server, direct, tmp_path, monkeypatch):
    answer, lock, now, most = server.state.answer, threading.Lock(), Counter(), Counter()

    def counted(*given, **named):
        with lock:
            now["n"] += 1
            most["n"] = max(most["n"], now["n"])
        time.sleep(0.005)
        with lock:
            now["n"] -= 1
        return answer(*given, **named)

    monkeypatch.setattr(server.state, "answer", counted)
    run(server, direct, tmp_path, 30)
    assert most["n"] == 3


def test_a_batch_whose_process_was_killed_goes_on_where_it_stopped(server, direct, tmp_path):
    server.switch(slow={"POST /chat/completions": 1.0}, slow_seconds=0.03)
    lines = written(tmp_path, direct, 60)
    code = (
        "import sys; from pathlib import Path\n"
        "from signals_assets.resources.batches import DirectBatches, Server\n"
        "url, folder, lines = sys.argv[1:]\n"
        "DirectBatches(Server('k', url), Path(folder), concurrency=3).create('day/1', Path(lines))\n"
    )
    folder = tmp_path / "restricted" / "direct"
    for kill in range(3):
        child = subprocess.Popen([sys.executable, "-c", code, server.url, str(folder), str(lines)])
        wanted, deadline = 12 * (kill + 1), time.monotonic() + 30
        while time.monotonic() < deadline:
            part = next(iter(folder.glob("*.part")), None)
            if part is not None and part.read_bytes().count(b"\n") >= wanted:
                break
            time.sleep(0.005)
        if kill == 0:
            assert direct.status(part.stem).state == "running"
            assert direct.find("day/1") == part.stem
            with pytest.raises(Busy):
                direct.create("day/1", lines)
            with pytest.raises(BatchError) as caught:
                direct.results(part.stem)
            assert caught.value.code == "not_ended"
        child.send_signal(signal.SIGKILL)
        child.wait()
    status = direct.status(part.stem)
    assert (status.state, status.error_code) == ("failed", "interrupted")
    assert direct.find("day/1") is None
    got = {line.custom_id for line in direct.results(part.stem)}
    assert len(got) >= 36
    batch_id = direct.create("day/1", lines)
    assert batch_id == part.stem
    assert direct.find("day/1") == batch_id
    found = [line.custom_id for line in direct.results(batch_id)]
    assert sorted(found) == sorted(ids(60))
    assert sum(server.paid_texts.values()) <= 60 + 3 * 3  # what was under way at each of three kills


def test_a_line_that_was_cut_by_a_crash_is_sent_again(server, direct, tmp_path):
    batch_id = run(server, direct, tmp_path)
    folder = tmp_path / "restricted" / "direct"
    ended, part = folder / f"{batch_id}.jsonl", folder / f"{batch_id}.part"
    whole = ended.read_bytes()
    lines = whole.splitlines(keepends=True)
    part.write_bytes(b"".join([lines[0], b"\0" * 40 + b"\n", lines[1], lines[2][:-9]]))
    ended.unlink()
    assert direct.create("day/1", tmp_path / "lines.jsonl") == batch_id
    results = direct.results(batch_id)
    assert Counter(line.custom_id for line in results) == Counter(ids(6))
    assert results.malformed == 1
    assert sum(server.paid_texts.values()) == 6 + 4


def test_a_server_that_goes_away_stops_the_batch_and_loses_nothing(server, direct, tmp_path, monkeypatch):
    lines = written(tmp_path, direct, 30)
    post, calls = DirectBatches._post, []

    def gone_after_ten(backend, body):
        calls.append(1)
        return post(backend, body) if len(calls) <= 10 else (None, batches._Failure("unreachable", sent=False))

    monkeypatch.setattr(DirectBatches, "_post", gone_after_ten)
    with pytest.raises(BatchError) as caught:
        direct.create("day/1", lines)
    assert caught.value.code == "unreachable"
    (part,) = (tmp_path / "restricted" / "direct").glob("*.part")
    assert len(list(direct.results(part.stem))) == 10
    monkeypatch.setattr(DirectBatches, "_post", post)
    batch_id = direct.create("day/1", lines)
    assert {line.custom_id for line in direct.results(batch_id)} == ids(30)
    assert set(server.paid_texts.values()) == {1}


def test_a_refused_key_stops_the_batch_and_blames_no_line(server, direct, tmp_path):
    server.switch(api_key="sk-another")
    with pytest.raises(BatchError) as caught:
        direct.create("day/1", written(tmp_path, direct, 30))
    assert caught.value.code == "invalid_api_key"
    assert len(server.state.requests) <= 3 + 3
    (part,) = (tmp_path / "restricted" / "direct").glob("*.part")
    assert list(direct.results(part.stem)) == []


def test_a_line_that_kills_the_server_is_not_the_end_of_the_others(server, direct, tmp_path, monkeypatch):
    post, fatal, down = DirectBatches._post, text_of(2), threading.Event()

    def dying(backend, body):
        if down.is_set():
            return None, batches._Failure("unreachable", sent=False)
        if body["messages"][0]["content"] == fatal:
            down.set()
            return None, batches._Failure("connection_lost")
        return post(backend, body)

    monkeypatch.setattr(DirectBatches, "_post", dying)
    lines = written(tmp_path, direct, 6)
    with pytest.raises(BatchError) as caught:
        direct.create("day/1", lines)
    assert caught.value.code == "unreachable"
    down.clear()  # somebody starts it again
    found = {line.custom_id: line for line in direct.results(direct.create("day/1", lines))}
    assert set(found) == ids(6)
    assert found["r2"] == ResultLine("r2", None, None, "connection_lost")
    assert set(server.paid_texts.values()) == {1}


def test_a_server_that_still_loads_its_model_is_busy_and_fails_no_line(tmp_path):
    loading = [True]

    def answer(handler):
        handler.rfile.read(int(handler.headers["Content-Length"]))
        return ({"error": {"code": 503, "type": "unavailable_error"}}, None, 503) if loading else ({"id": "1"}, None)

    with odd(answer) as url:
        direct = DirectBatches(Server("k", url, pause=0.001), tmp_path / "direct")
        lines = written(tmp_path, direct, 4)
        with pytest.raises(Busy):
            direct.create("k", lines)
        loading.clear()
        assert {line.status_code for line in direct.results(direct.create("k", lines))} == {200}


def test_a_filter_on_the_way_that_refuses_one_text_refuses_one_line(tmp_path):
    def filtering(handler):
        content = handler.rfile.read(int(handler.headers["Content-Length"]))
        return (b"<html>", None, 403) if text_of(1).split()[0].encode() in content else ({"choices": [1]}, None)

    with odd(filtering) as url:
        direct = DirectBatches(Server("k", url, pause=0.001), tmp_path / "direct")
        found = {line.custom_id: line for line in direct.results(direct.create("k", written(tmp_path, direct, 4)))}
    assert found.pop("r1") == ResultLine("r1", 403, None, "http_403")
    assert {line.status_code for line in found.values()} == {200}


def test_throttling_slows_a_batch_down_and_costs_no_line(server, direct, tmp_path, monkeypatch):
    monkeypatch.setattr(type(direct), "attempts", 30)  # threads take turns as they like: no line may meet only refusals
    server.switch(too_many={"POST /chat/completions": 0.3}, server_errors={"POST /chat/completions": 0.1})
    server.switch(retry_after_ms=1)
    found = list(direct.results(run(server, direct, tmp_path, 40)))
    assert Counter(line.status_code for line in found) == {200: 40}
    assert set(server.paid_texts.values()) == {1}


def test_what_the_direct_runner_is_given_is_checked_before_it_is_sent(server, direct, tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"custom_id": "r0"}\n' + SECRET.encode())
    with pytest.raises(BatchError) as caught:
        direct.create("day/1", path)
    assert caught.value.code == "bad_line"
    assert SECRET not in telling(caught)
    for bad in ("../../etc/passwd", "direct_", "batch_1"):
        with pytest.raises(BatchError):
            direct.status(bad)


def test_interrupted_batches_of_the_direct_runner_expire_with_the_files(server, direct, tmp_path):
    folder = tmp_path / "restricted" / "direct"
    folder.mkdir(parents=True)
    for name, days in (("direct_0a", 20), ("direct_0b", 2)):
        path = folder / f"{name}.part"
        path.write_bytes(b"")
        os.utime(path, (time.time() - days * DAY,) * 2)
    assert direct.orphans() == 1
    assert [path.stem for path in folder.iterdir()] == ["direct_0b"]


# --- small parts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:10 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
    ],
)
def test_the_wait_that_a_server_asks_for_is_read_in_all_its_forms(headers, seconds):
    assert batches._retry_after(headers) == seconds


def test_pauses_double_have_jitter_and_are_never_shorter_than_asked_for():
    for attempt in range(1, 12):
        longest = min(batches.LONGEST_PAUSE / 2, 0.5 * 2 ** (attempt - 1))
        assert longest / 2 <= batches._pause(0.5, attempt, None) <= longest
        assert batches._pause(0.5, attempt, 40.0) >= 40.0


@pytest.mark.parametrize("code", [SECRET, "x" * 65, "", None, 7, {"a": 1}, "two\nlines"])
def test_a_code_that_could_be_a_sentence_is_no_code(code):
    row = {"custom_id": "r0", "response": {"status_code": 400, "body": {"error": {"code": code}}}, "error": None}
    assert batches._result(orjson.dumps(row)) == ResultLine("r0", 400, None, "no_answer")


def test_spent_money_is_not_a_reason_to_wait():
    spent = batches._Failure("insufficient_quota", 429).error("creating a batch")
    assert not isinstance(spent, Busy)
    assert "billing" in str(spent)


def test_results_close_their_files(tmp_path):
    path = tmp_path / "rows"
    path.write_bytes(b'{"custom_id": "a", "error": {"code": "batch_expired"}}\n')
    files = [path.open("rb"), path.open("rb")]
    assert [line.error_code for line in Results(files)] == ["batch_expired"] * 2
    assert all(file.closed for file in files)


def test_a_client_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(BatchError) as caught:
        Server("k", "http://127.0.0.1:9/v1", timeout=3.21).client()
    assert caught.value.code == "not_installed"
    assert "signals-assets[openai]" in str(caught.value)
