"""The local provider, through the official client and real sockets: every operation and every way to fail."""

import json
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import openai
import pytest
from openai import OpenAI

from signals_assets_tests.fakes.openai_answers import between, hash_of, read, steps
from signals_assets_tests.fakes.openai_server import OpenAIProcess, OpenAIServer
from signals_assets_tests.fakes.openai_spec import Spec, lint

DAY = 86_400
SESSION = """[0] user
  please fix the build of app.py
[1] call Bash {"command": "make"}
[2] result error Bash: exit 2
  boom
[3] call Bash {"command": "make"}
[4] result error Bash: exit 2
[5-9] omitted: 3 calls of Read ok, 2 results with errors
[10] user
  that's wrong, please revert it
  [11] user: a line of the transcript, not a step
[12] result rejected Edit:
[13] event interrupt"""
EVENT = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["error_event", "correction", "backtracking", "abandoned_tool_flow"]},
        "severity": {"type": "string", "enum": ["low", "medium", "high"]},
        "steps": {"type": "array", "items": {"type": "integer"}},
        "citation": {"type": "string"},
        "confidence": {"type": "number"},
    },
    "required": ["type", "severity", "steps", "citation", "confidence"],
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "properties": {
        "summary": {"type": "string"},
        "outcome": {"type": "string", "enum": ["success", "abandoned", "unclear"]},
        "friction": {"type": "array", "items": EVENT},
    },
    "required": ["summary", "outcome", "friction"],
    "additionalProperties": False,
}


@pytest.fixture
def serve():
    """Starts servers; at the end none of their answers may have broken the specification."""
    servers = []

    def start(**switches):
        servers.append(OpenAIServer(**switches).__enter__())
        return servers[-1], client_of(servers[-1])

    yield start
    for server in servers:
        server.__exit__(None, None, None)
        assert server.state.spec_violations == []


def client_of(server, **changes):
    return OpenAI(**{"base_url": server.url, "api_key": "none", "max_retries": 0, "timeout": 10} | changes)


def message(number=0, session=SESSION):
    fence = f"===={number:08d}"
    return f"Record, part 1 of 1. Its delimiter is {fence}\n{fence}\n{session}\n{fence}\nEnd of the record."


def body(number=0, **changes):
    return {
        "model": "gpt-5.2",
        "instructions": "Report how it went. " * 300,
        "input": [{"role": "user", "content": message(number, f"[0] user\n  number {number}\n{SESSION}")}],
        "text": {"format": {"type": "json_schema", "name": "answer", "strict": True, "schema": SCHEMA}},
        "reasoning": {"effort": "low"},
        "max_output_tokens": 4000,
        "store": False,
        "prompt_cache_key": "p",
    } | changes


def chat_body(number=0, **changes):
    return {
        "model": "open-weights",
        "messages": [{"role": "system", "content": "Report."}, {"role": "user", "content": message(number)}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
        },
        "max_tokens": 4000,
    } | changes


def line(number, **changes):
    return {"custom_id": f"q{number}", "method": "POST", "url": "/v1/responses", "body": body(number)} | changes


def upload(client, lines, **changes):
    content = b"\n".join(item if isinstance(item, bytes) else json.dumps(item).encode() for item in lines)
    return client.files.create(file=("signals-1.jsonl", content), purpose="batch", **changes)


def create(client, lines=10, **changes):
    given = [line(number) for number in range(lines)] if isinstance(lines, int) else lines
    file = upload(client, given)
    return client.batches.create(
        input_file_id=file.id, **{"endpoint": "/v1/responses", "completion_window": "24h"} | changes
    )


def rows(client, file_id):
    return [json.loads(row) for row in client.files.content(file_id).text.splitlines()] if file_id else []


def ended(server, client, batch):
    """The batch at its end, its output rows and its error rows."""
    server.finish(batch.id)
    batch = client.batches.retrieve(batch.id)
    return batch, rows(client, batch.output_file_id), rows(client, batch.error_file_id)


def answer_of(row):
    parts = [
        part for item in row["response"]["body"]["output"] if item["type"] == "message" for part in item["content"]
    ]
    return json.loads(parts[0]["text"])


# Batches that go well.


def test_a_batch_goes_through_its_states_and_every_line_is_answered(serve):
    _, client = serve(polls=3)
    batch = create(
        client, metadata={"signals_key": "day/1"}, output_expires_after={"anchor": "created_at", "seconds": 3600}
    )
    seen = [batch.status]
    while batch.status != "completed":
        batch = client.batches.retrieve(batch.id)
        seen.append(batch.status)
    assert seen == ["validating", "in_progress", "finalizing", "completed"]
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (10, 10, 0)
    assert (batch.metadata, batch.error_file_id, batch.errors) == ({"signals_key": "day/1"}, None, None)
    found = rows(client, batch.output_file_id)
    assert sorted(row["custom_id"] for row in found) == sorted(f"q{n}" for n in range(10))
    assert [row["custom_id"] for row in found] != [f"q{n}" for n in range(10)], "the output is shuffled"
    assert batch.usage.input_tokens == sum(row["response"]["body"]["usage"]["input_tokens"] for row in found)
    output = client.files.retrieve(batch.output_file_id)
    assert output.expires_at - output.created_at == 3600
    parsed = openai.types.responses.Response.model_validate(found[0]["response"]["body"])
    assert json.loads(parsed.output_text) == answer_of(found[0])


def test_a_batch_moves_with_time_where_asked(serve):
    server, client = serve(seconds=1000)
    batch = create(client)
    assert [client.batches.retrieve(batch.id).status for _ in range(5)] == ["validating"] * 5
    server.state.pass_time(400)
    assert client.batches.retrieve(batch.id).status == "in_progress"
    server.state.pass_time(700)
    assert client.batches.list().data[0].status == "completed"


def test_without_a_pace_only_the_test_ends_a_batch(serve):
    server, client = serve(polls=None)
    batch = create(client)
    assert {client.batches.retrieve(batch.id).status for _ in range(9)} == {"validating"}
    assert ended(server, client, batch)[0].status == "completed"


def test_a_large_batch_takes_several_looks_and_counts_on_the_way(serve):
    _, client = serve(polls=1, bytes_per_look=4 * len(json.dumps(line(0))))
    batch = create(client)
    done = []
    while batch.status != "completed":
        batch = client.batches.retrieve(batch.id)
        done.append(batch.request_counts.completed)
    assert done == [4, 8, 10]
    assert len(rows(client, batch.output_file_id)) == 10


def test_batches_are_listed_newest_first_in_pages(serve):
    _, client = serve()
    ids = [create(client, 1, metadata={"signals_key": str(n)}).id for n in range(5)]
    first = client.batches.list(limit=2)
    assert ([batch.id for batch in first.data], first.has_more) == (ids[:2:-1], True)
    assert [batch.id for batch in client.batches.list(after=first.data[-1].id).data] == ids[2::-1]
    assert [batch.id for batch in client.batches.list(limit=2)] == ids[::-1]


def test_chat_lines_run_in_a_batch_too(serve):
    server, client = serve()
    lines = [line(n, url="/v1/chat/completions", body=chat_body(n)) for n in range(2)]
    _, out, _ = ended(server, client, create(client, lines, endpoint="/v1/chat/completions"))
    assert {row["response"]["body"]["object"] for row in out} == {"chat.completion"}


# Files.


def test_files_live_until_they_are_deleted_or_expire(serve):
    server, client = serve()
    file = upload(client, [line(0)], expires_after={"anchor": "created_at", "seconds": DAY})
    other = upload(client, [line(1)])
    assert client.files.content(file.id).content == json.dumps(line(0)).encode()
    assert file.expires_at - file.created_at == DAY
    assert [item.id for item in client.files.list(purpose="batch")] == [other.id, file.id]
    server.state.pass_time(DAY)
    assert [item.id for item in client.files.list()] == [other.id]
    assert client.files.delete(other.id).deleted
    for gone in (file.id, other.id):
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(gone)
        with pytest.raises(openai.NotFoundError):
            client.files.delete(gone)


def test_a_batch_runs_on_when_its_input_is_deleted(serve):
    server, client = serve()
    batch = create(client)
    client.files.delete(batch.input_file_id)
    assert len(ended(server, client, batch)[1]) == 10


def test_a_file_over_the_limit_is_refused(serve):
    _, client = serve(max_bytes=100)
    with pytest.raises(openai.APIStatusError) as caught:
        upload(client, [line(0)])
    assert caught.value.status_code == 413


def test_an_upload_that_breaks_off_leaves_nothing(serve):
    server, _ = serve()
    host, port = server.url.removeprefix("http://").removesuffix("/v1").split(":")
    with socket.create_connection((host, int(port))) as half:
        head = (
            b"POST /v1/files HTTP/1.1\r\nAuthorization: Bearer k\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        )
        half.sendall(head + b"Content-Length: 1000\r\n\r\n--b\r\n")
    client_of(server).models.list()
    assert server.state.files == {}


# Batches that fail as a whole.


def test_the_enqueued_limit_shows_after_creation_and_ends_with_the_batches_in_flight(serve):
    server, client = serve(polls=None, enqueued_limit=60_000)
    first, second = create(client, 20), create(client, 20)
    assert second.status == "validating"
    batch, out, errors = ended(server, client, second)
    assert (batch.status, out, errors) == ("failed", [], [])
    assert (batch.errors.data[0].code, batch.errors.data[0].line) == ("token_limit_exceeded", None)
    assert ended(server, client, first)[0].status == "completed"
    assert ended(server, client, create(client, 20))[0].status == "completed"
    assert server.state.enqueued() == 0
    assert server.state.most_enqueued > 60_000


def test_failed_batches_can_go_on_holding_the_queue(serve):
    server, client = serve(token_limited=[0], failed_hold_queue=True)
    assert ended(server, client, create(client))[0].status == "failed"
    assert server.state.enqueued() > 0


@pytest.mark.parametrize(
    ("lines", "code", "number"),
    [
        ([line(0), line(1), line(0)], "duplicate_custom_id", 3),
        ([line(0), b"{half a line"], "invalid_json_line", 2),
        ([line(0, url="/v1/chat/completions")], "invalid_url", 1),
        ([line(0, method="GET")], "invalid_method", 1),
        ([line(0, custom_id=None)], "missing_required_parameter", 1),
        ([line(0, body=None)], "missing_required_parameter", 1),
        ([line(0), line(1, body=body(1, model="gpt-5"))], "mismatched_model", 2),
        ([line(0, body=body(model="no-such-model"))], "model_not_found", 1),
        ([b" "], "empty_file", None),
    ],
)
def test_a_file_that_breaks_the_rules_fails_whole_and_its_line_is_named(serve, lines, code, number):
    server, client = serve()
    batch, out, errors = ended(server, client, create(client, lines))
    assert (batch.status, out, errors) == ("failed", [], [])
    assert [(error.code, error.line) for error in batch.errors.data] == [(code, number)]
    assert server.paid == Counter()


def test_a_batch_of_a_file_that_is_gone_or_meant_for_something_else_is_refused(serve):
    _, client = serve()
    other = client.files.create(file=("a.txt", b"a"), purpose="user_data")
    with pytest.raises(openai.NotFoundError):
        client.batches.create(input_file_id="file-none", endpoint="/v1/responses", completion_window="24h")
    with pytest.raises(openai.BadRequestError):
        client.batches.create(input_file_id=other.id, endpoint="/v1/responses", completion_window="24h")


def test_an_expired_batch_keeps_what_was_done_and_names_the_rest(serve):
    server, client = serve(expired=[0])
    batch, out, errors = ended(server, client, create(client, 40))
    assert batch.status == "expired"
    assert 5 < len(out) < 35
    assert {row["error"]["code"] for row in errors} == {"batch_expired"}
    assert {row["response"] for row in errors} == {None}
    assert server.paid == Counter(row["custom_id"] for row in out)
    assert len(out) + len(errors) == 40


def test_a_cancelled_batch_keeps_what_was_done(serve):
    server, client = serve(polls=None)
    batch = create(client, 40)
    assert client.batches.cancel(batch.id).status == "cancelling"
    batch, out, errors = ended(server, client, batch)
    assert batch.status == "cancelled"
    assert server.paid == Counter(row["custom_id"] for row in out)
    assert len(out) + len(errors) == 40
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(batch.id)


def test_a_completed_batch_whose_lines_all_failed_has_no_output_file(serve):
    server, client = serve(all_failed=[0])
    batch, out, errors = ended(server, client, create(client, 3))
    assert (batch.status, batch.output_file_id, out) == ("completed", None, [])
    assert {row["response"]["status_code"] for row in errors} == {500}
    assert batch.request_counts.failed == 3
    assert server.paid == Counter()


# Lines.


def test_a_row_of_status_zero_is_not_counted_as_failed(serve):
    server, client = serve(zero=["q3"])
    batch, out, errors = ended(server, client, create(client))
    row = next(row for row in out if row["custom_id"] == "q3")
    assert (row["response"], row["error"]) == ({"status_code": 0, "request_id": "", "body": {}}, None)
    assert (batch.request_counts.failed, errors, len(out)) == (0, [], 10)
    assert server.paid["q3"] == 0


@pytest.mark.parametrize(("fault", "status"), [("rejected", 400), ("throttled", 429), ("broken", 500)])
def test_lines_with_errors_are_in_the_error_file_and_cost_nothing(serve, fault, status):
    server, client = serve(**{fault: {"q1": 1}})
    _, out, errors = ended(server, client, create(client))
    assert [(row["custom_id"], row["response"]["status_code"]) for row in errors] == [("q1", status)]
    assert set(errors[0]["response"]["body"]["error"]) == {"message", "type", "param", "code"}
    assert (len(out), server.paid["q1"]) == (9, 0)
    assert len(ended(server, client, create(client))[1]) == 10, "only the first attempt was to fail"


def test_refused_cut_and_filtered_lines_are_paid_for_and_of_no_use(serve):
    fates = {"refused": ["q0"], "incomplete": ["q1"], "filtered": ["q2"], "truncated": ["q3"]}
    server, client = serve(**fates)
    _, out, _ = ended(server, client, create(client, 5))
    bodies = {row["custom_id"]: row["response"]["body"] for row in out}
    assert bodies["q0"]["output"][-1]["content"][0]["type"] == "refusal"
    assert bodies["q1"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert bodies["q2"]["incomplete_details"] == {"reason": "content_filter"}
    assert [bodies[f"q{n}"]["status"] for n in range(5)] == [
        "completed",
        "incomplete",
        "incomplete",
        *["completed"] * 2,
    ]
    for cut in ("q1", "q2", "q3"):
        with pytest.raises(json.JSONDecodeError):
            json.loads(bodies[cut]["output"][-1]["content"][0]["text"])
    assert {charge.custom_id: charge.usable for charge in server.state.charges} == {
        "q0": False, "q1": False, "q2": False, "q3": False, "q4": True
    }  # fmt: skip


def test_an_answer_longer_than_asked_for_is_cut_and_reasoning_counts(serve):
    _, client = serve()
    answer = client.responses.create(**body(max_output_tokens=70))
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert (answer.usage.output_tokens, answer.usage.output_tokens_details.reasoning_tokens) == (70, 64)


def test_rows_can_be_missing_doubled_and_unknown(serve):
    server, client = serve(missing=["q1"], duplicated=["q2"], unknown_ids=2)
    _, out, errors = ended(server, client, create(client, 4))
    found = Counter(row["custom_id"] for row in out)
    assert errors == []
    assert {name: found[name] for name in ("q0", "q1", "q2", "q3")} == {"q0": 1, "q1": 0, "q2": 2, "q3": 1}
    assert found.total() == 4 + 2
    assert server.paid == Counter(["q0", "q1", "q2", "q3"])


def test_a_schema_outside_the_strict_subset_fails_each_line_hours_later(serve):
    server, client = serve()
    loose = body()["text"]["format"] | {"schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
    lines = [line(0), line(1, body=body(1, text={"format": loose}))]
    batch, out, errors = ended(server, client, create(client, lines))
    assert (batch.status, len(out)) == ("completed", 1)
    assert errors[0]["response"]["body"]["error"]["code"] == "invalid_json_schema"


def test_shares_of_lines_follow_from_the_seed(serve):
    def refused(seed):
        server, client = serve(refused=0.3, seed=seed)
        _, out, _ = ended(server, client, create(client, 60))
        return {
            row["custom_id"] for row in out if row["response"]["body"]["output"][-1]["content"][0]["type"] == "refusal"
        }

    assert refused(1) == refused(1) != refused(2)
    assert 6 < len(refused(1)) < 32


# Calls that fail.


def test_a_lost_answer_on_creation_leaves_a_batch_that_can_be_found_by_its_key(serve):
    server, client = serve(lost_answers={"POST /batches": [0]})
    with pytest.raises(openai.APIConnectionError):
        create(client, metadata={"signals_key": "day/1"})
    assert [batch.metadata["signals_key"] for batch in client.batches.list()] == ["day/1"]
    assert server.paid_twice() == {}


def test_the_clients_own_retries_pay_twice_for_a_lost_answer(serve):
    server, _ = serve(lost_answers={"POST /batches": [0]})
    create(client_of(server, max_retries=2))
    assert len(server.state.batches) == 2
    assert server.paid_twice("custom_id") == {f"q{n}": 1 for n in range(10)}
    assert len(server.paid_twice("text")) == 10


def test_a_lost_request_leaves_nothing(serve):
    server, client = serve(lost_requests={"POST /batches": [0], "POST /responses": 1.0})
    with pytest.raises(openai.APIConnectionError):
        create(client)
    with pytest.raises(openai.APIConnectionError):
        client.responses.create(**body())
    assert (server.state.batches, server.state.charges) == ({}, [])


def test_a_throttled_call_says_when_to_come_back(serve):
    server, client = serve(too_many={"*": [0]}, retry_after_ms=35)
    with pytest.raises(openai.RateLimitError) as caught:
        client.models.list()
    assert caught.value.response.headers["retry-after-ms"] == "35"
    server.switch(too_many={"GET /models": [1]})
    assert client_of(server, max_retries=1).models.list().data


def test_errors_of_the_server_and_slow_answers(serve):
    server, client = serve(server_errors={"POST /responses": [0]}, slow={"POST /responses": [1]}, slow_seconds=0.5)
    with pytest.raises(openai.InternalServerError):
        client.responses.create(**body())
    with pytest.raises(openai.APITimeoutError):
        client_of(server, timeout=0.1).responses.create(**body())
    assert client.responses.create(**body()).status == "completed"


def test_only_the_right_key_is_let_in(serve):
    server, client = serve(api_key="the-key")
    with pytest.raises(openai.AuthenticationError):
        client.models.list()
    assert client_of(server, api_key="the-key").models.retrieve("gpt-5.2").id == "gpt-5.2"


def test_a_server_of_open_weights_knows_chat_only(serve):
    _, client = serve(chat_only=True)
    assert client.chat.completions.create(**chat_body()).choices[0].finish_reason == "stop"
    for call in (lambda: client.responses.create(**body()), client.batches.list, lambda: upload(client, [line(0)])):
        with pytest.raises(openai.NotFoundError):
            call()


# Direct calls.


def test_both_endpoints_give_the_same_answer(serve):
    _, client = serve(snapshot="-2025-12-11")
    response = client.responses.create(**body(input=message(), service_tier="flex"))
    chat = client.chat.completions.create(**chat_body())
    assert json.loads(response.output_text) == json.loads(chat.choices[0].message.content)
    assert (response.model, response.service_tier, chat.model) == (
        "gpt-5.2-2025-12-11", "flex", "open-weights-2025-12-11"
    )  # fmt: skip
    assert chat.usage.total_tokens == chat.usage.prompt_tokens + chat.usage.completion_tokens


@pytest.mark.parametrize(
    ("fault", "finish"), [("refused", "stop"), ("incomplete", "length"), ("filtered", "content_filter")]
)
def test_chat_is_refused_and_cut_in_its_own_words(serve, fault, finish):
    _, client = serve(**{fault: 1.0})
    choice = client.chat.completions.create(**chat_body()).choices[0]
    assert choice.finish_reason == finish
    assert (choice.message.content is None) == (choice.message.refusal is not None) == (fault == "refused")


def test_a_lost_answer_of_a_direct_call_is_paid_for_and_may_be_asked_again(serve):
    server, client = serve(lost_answers={"POST /responses": [0]})
    with pytest.raises(openai.APIConnectionError):
        client.responses.create(**body())
    client.responses.create(**body())
    text = hash_of(f"[0] user\n  number 0\n{SESSION}")
    assert server.paid_texts == {text: 2}
    assert server.paid_twice() == {}
    client.responses.create(**body())
    assert server.paid_twice() == {text: 1}


def test_a_session_too_long_for_the_window_is_refused(serve):
    _, client = serve(window=100)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**body())
    assert caught.value.code == "context_length_exceeded"


def test_an_unknown_model_is_refused(serve):
    _, client = serve()
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(**body(model="gpt-9"))
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


def test_the_prefix_of_requests_is_cached_in_steps(serve):
    _, client = serve()
    cached = [client.responses.create(**body(n)).usage.input_tokens_details.cached_tokens for n in range(2)]
    assert cached[0] == 0
    assert cached[1] >= 1024
    assert cached[1] % 128 == 0
    short = [
        client.responses.create(**body(n, instructions="a")).usage.input_tokens_details.cached_tokens for n in (0, 1)
    ]
    assert short == [0, 0]


def test_embeddings_and_token_counts(serve):
    _, client = serve()
    given = client.embeddings.create(model="text-embedding-3-small", input=["a", "b", "a"], dimensions=16)
    vectors = [item.embedding for item in given.data]
    assert vectors[0] == vectors[2] != vectors[1]
    assert sum(value * value for value in vectors[0]) == pytest.approx(1)
    plain = client.embeddings.create(model="text-embedding-3-small", input="a", dimensions=16, encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(vectors[0], abs=1e-6)
    count = client.responses.input_tokens.count(model="gpt-5.2", input="a" * 400).input_tokens
    assert 100 <= count <= 102


# What is forbidden.


@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": 10},
        {"reasoning": {"effort": "enormous"}},
        {"reasoning": {"effort": "low", "depth": 3}},
        {"text": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {"text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA, "strictly": True}}},
        {"max_output_tokens": 2},
        {"metadata": {"a" * 65: "b"}},
        {"input": [{"role": "narrator", "content": "a"}]},
    ],
)
def test_a_request_outside_the_specification_is_refused(serve, specs_dir, change):
    server, client = serve()
    server.state.spec = Spec(json.loads((specs_dir / "openai-trimmed.openapi.json").read_bytes()))
    with pytest.raises(openai.BadRequestError):
        client.post("/responses", body=body() | change, cast_to=object)
    assert server.state.charges == []
    _, out, errors = ended(server, client, create(client, [line(0, body=body() | change), line(1)]))
    assert [row["custom_id"] for row in (*errors, *out)] == ["q0", "q1"]


def test_the_server_answers_and_refuses_without_the_specification_too(serve):
    _, client = serve(spec=Spec(None))
    assert client.responses.create(**body()).status == "completed"
    with pytest.raises(openai.BadRequestError):
        client.post("/chat/completions", body={"model": "gpt-5.2"}, cast_to=object)


def test_a_broken_answer_of_the_server_itself_would_be_noticed(specs_dir):
    spec = Spec(json.loads((specs_dir / "openai-trimmed.openapi.json").read_bytes()))
    batch = {"id": "batch_1", "object": "batch", "endpoint": "/v1/responses", "input_file_id": "file-1"}
    whole = batch | {"completion_window": "24h", "status": "completed", "created_at": 1, "errors": None}
    assert spec.response("POST /batches", whole) is None
    assert "done" in spec.response("POST /batches", whole | {"status": "done"})
    assert "finished_at" in spec.response("POST /batches", whole | {"finished_at": 1})
    assert "created_at" in spec.response("POST /batches", {k: v for k, v in whole.items() if k != "created_at"})


def test_odd_rows_have_the_shapes_that_were_observed(serve, specs_dir):
    examples = [json.loads(row) for row in (specs_dir / "batch-lines.examples.jsonl").read_text().splitlines()]
    server, client = serve(zero=["q0"], expired=[1], expired_share=1.0)
    zero = next(row for row in ended(server, client, create(client, 2))[1] if row["custom_id"] == "q0")
    expired = ended(server, client, create(client, 2))[2][0]
    for word, row in {"status_code 0": zero, "batch expired": expired}.items():
        example = next(example for example in examples if word in example["_shape"])
        assert row.keys() == example.keys() - {"_shape", "_source"}
        assert (row["response"] or {}).keys() == (example["response"] or {}).keys()
        assert (row["error"] or {}).get("code") == (example["error"] or {}).get("code")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"additionalProperties": True}, "additionalProperties"),
        ({"required": []}, "required"),
        ({"properties": {"a": {"type": "string", "default": "b"}}, "required": ["a"]}, "default"),
        ({"properties": {"a": {"type": "string", "maxLength": 3}}, "required": ["a"]}, "maxLength"),
        ({"properties": {"a": {}}, "required": ["a"]}, "type"),
        ({"properties": {"a": {"type": "array"}}, "required": ["a"]}, "items"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}, "required": ["a"]}, "reference"),
        ({"properties": {"a": {"enum": list(range(1001))}}, "required": ["a"]}, "enum values"),
        ({"type": "array"}, "object"),
        ({"anyOf": []}, "anyOf"),
    ],
)
def test_the_lint_names_what_the_strict_subset_forbids(change, word):
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert lint("name", schema) is None
    assert word in lint("name", schema | change)


def test_the_lint_counts_levels_and_reads_names():
    def nested(levels):
        if levels == 1:
            return {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
        return nested(1) | {"properties": {"a": nested(levels - 1)}, "required": ["a"]}

    assert lint("name", nested(10)) is None
    assert "levels" in lint("name", nested(11))
    assert "name" in lint("a name", nested(1))
    assert "name" in lint(None, nested(1))


# What the model says.


def test_the_session_is_what_stands_between_the_fences():
    assert between(message(3)) == SESSION
    assert hash_of(between(message(3))) == hash_of(between(message(4)))
    assert between("====a\n[0] user\n  hello\n====a") == "[0] user\n  hello"
    assert between("no fence at all") == "no fence at all"


def test_only_headers_are_steps():
    assert [(step.index, step.kind) for step in steps(SESSION)] == [
        (0, "user"), (1, "call"), (2, "result"), (3, "call"), (4, "result"), (5, "omitted"), (10, "user"),
        (12, "result"), (13, "event"),
    ]  # fmt: skip


def test_the_rules_find_what_the_session_shows():
    found = {(event.type, tuple(event.steps)) for event in read(SESSION).events}
    assert found == {
        ("error_event", (2, 4)),
        ("correction", (10,)),
        ("backtracking", (10,)),
        ("abandoned_tool_flow", (12,)),
        ("abandoned_tool_flow", (13,)),
    }
    assert read("").events == []


def test_three_like_turns_are_a_rephrasing_and_three_like_reads_a_churn():
    turns = "\n".join(f"[{n}] user\n  please make the report shorter {n}" for n in range(3))
    reads = "\n".join(f'[{n}] call Read {{"path": "a.py"}}' for n in range(3, 6))
    known = read(f"{turns}\n{reads}")
    assert [(event.type, event.steps) for event in known.events] == [
        ("repeated_rephrasing", [0, 1, 2]),
        ("context_churn", [3, 4, 5]),
    ]
    assert known.values["programming_languages"] == ["Python"]


def test_mistakes_are_planted_where_asked(serve):
    server, client = serve(invented_steps=["q0"], wrong_types=["q1"], quotes=["q2"], contradictions=["q3"])
    _, out, _ = ended(server, client, create(client, 5))
    said = {row["custom_id"]: answer_of(row)["friction"] for row in out}
    honest = said["q4"]
    assert said["q0"][-1]["steps"] == [999_999]
    assert said["q1"][0]["type"] not in EVENT["properties"]["type"]["enum"]
    assert "number 2" in said["q2"][-1]["citation"]
    assert said["q3"][:-1] == honest
    assert said["q3"][-1]["type"] == "correction"
    assert {charge.custom_id for charge in server.state.charges if not charge.usable} == {"q1"}


def test_noise_leaves_out_and_adds(serve):
    def events(**switches):
        server, client = serve(**switches)
        _, out, _ = ended(server, client, create(client, 40))
        return sum(len(answer_of(row)["friction"]) for row in out)

    honest = events()
    assert events(missed=0.5) == pytest.approx(honest / 2, rel=0.3)
    assert events(hallucinated=1.0) == honest + 40
    assert events(missed=1.0) == 0


def test_an_answer_fits_its_schema_whatever_it_asks_for(serve):
    schema = {
        "type": "object",
        "properties": {
            "texts": {"type": "array", "items": {"type": "string"}},
            "maybe": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/part"}]},
            "either": {"type": ["string", "null"]},
            "one": {"type": "string", "enum": ["x", "y"]},
            "some": {"type": "array", "items": {"type": "integer", "minimum": 3}, "minItems": 2},
        },
        "required": ["texts", "maybe", "either", "one", "some"],
        "additionalProperties": False,
        "$defs": {"part": {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"],
                           "additionalProperties": False}},
    }  # fmt: skip
    _, client = serve()
    wanted = {"format": {"type": "json_schema", "name": "revision", "strict": True, "schema": schema}}
    asked = json.dumps([{"rule": "R3", "text": "a"}, {"rule": "R1", "text": "b"}, {"rule": "R4", "text": "c"}])
    said = json.loads(client.responses.create(**body(input=asked, text=wanted)).output_text)
    assert said.keys() == schema["properties"].keys()
    assert (said["maybe"], said["one"], said["some"]) == ({"n": 0.5}, "x", [3, 3, 3])
    assert isinstance(said["either"], str)
    assert len(said["texts"]) == 3
    assert not {"a", "b", "c"} & set(said["texts"])


def test_a_server_may_not_enforce_the_schema(serve):
    _, client = serve(unenforced=1.0)
    said = client.chat.completions.create(**chat_body()).choices[0].message.content
    with pytest.raises(json.JSONDecodeError):
        json.loads(said)
    assert json.loads(said.partition("```json\n")[2].removesuffix("\n```"))["outcome"] == "abandoned"


# A process of its own.


def test_a_server_in_its_own_process_tells_what_was_paid():
    with OpenAIProcess(seed=3, polls=None) as server:
        client = client_of(server)
        first, second = create(client, 3), create(client, 3)
        assert server.finish(first.id)["status"] == "completed"
        assert server.report()["paid"] == {"q0": 1, "q1": 1, "q2": 1}
        server.switch(polls=1)
        assert client.batches.retrieve(second.id).status == "completed"
        create(client, [line(9)])  # a batch that nobody asks about is paid for as well
        settled = server.settle()
    assert settled["paid"] == {"q0": 2, "q1": 2, "q2": 2, "q9": 1}
    assert settled["paid_twice"]["custom_id"] == {"q0": 1, "q1": 1, "q2": 1}
    assert len(settled["paid_twice"]["text"]) == 3
    assert settled["spec_violations"] == []


def test_clients_may_be_killed_at_any_moment():
    script = (
        "import sys; from openai import OpenAI\n"
        "client = OpenAI(base_url=sys.argv[1], api_key='k', max_retries=0)\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    file = client.files.create(file=('a.jsonl', open(sys.argv[2], 'rb')), purpose='batch')\n"
        "    client.batches.create(input_file_id=file.id, endpoint='/v1/responses', completion_window='24h')\n"
    )
    content = b"\n".join(json.dumps(line(n)).encode() for n in range(300))
    with OpenAIServer(polls=None) as server, TemporaryDirectory() as folder:
        path = Path(folder) / "input.jsonl"
        path.write_bytes(content)
        for pause in (0.0, 0.011, 0.023):
            command = [sys.executable, "-c", script, server.url, str(path)]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                process.stdout.readline()
                time.sleep(pause)
                process.kill()
        client_of(server).models.list()
        assert {len(file.content) for file in server.state.files.values()} <= {len(content)}
        server.state.settle()
        batches = server.state.batches.values()
        assert {batch.view["status"] for batch in batches} <= {"completed"}
        assert server.paid.total() == 300 * len(batches)


def test_hundreds_of_long_lines_are_answered_fast(serve):
    server, client = serve(polls=1)
    long = "\n".join(f"[{n}] {'user' if n % 9 == 0 else 'result ok Read:'}\n  {'some words ' * 90}" for n in range(100))
    lines = [line(n, body=body(n, input=message(n, f"[0] user\n  number {n}\n{long}"))) for n in range(200)]
    start = time.perf_counter()
    batch = create(client, lines)
    batch = client.batches.retrieve(batch.id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 200)
    assert time.perf_counter() - start < 10, "a loaded machine needs about one second"
    assert server.state.busy_seconds > 0
