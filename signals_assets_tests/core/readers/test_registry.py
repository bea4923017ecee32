"""The registry: recognition, archives, and what no content may do."""

import gzip
import hashlib
import io

import orjson
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signals_assets.core.readers import READERS, Limits, Rejected, read_stream, recognise
from signals_assets.core.sessions import Session
from signals_assets_tests.core.readers.reading import accounted, jsonl, one, read

CANONICAL = {"session_id": "s1", "agent": {"name": "a"}, "steps": [{"kind": "user_message", "text": "hello"}]}
CLAUDE = {"type": "user", "sessionId": "c1", "message": {"role": "user", "content": "hello"}}
CODEX = {"type": "session_meta", "timestamp": "2026-01-01T00:00:00Z", "payload": {"id": "x1"}}
CHAT = {"messages": [{"role": "user", "content": "hello"}]}
SPANS = {"resourceSpans": []}


@pytest.mark.parametrize(
    ("record", "name"),
    [(CANONICAL, "canonical"), (CLAUDE, "claude_code"), (CODEX, "codex"), (CHAT, "openai_chat"), (SPANS, "otel")],
)
def test_each_format_is_recognised_by_its_first_line(record, name):
    assert recognise("any.json", jsonl(record)) == name


@pytest.mark.parametrize(("record", "name"), [(CANONICAL, "canonical"), (CHAT, "openai_chat"), (SPANS, "otel")])
def test_a_document_that_spans_lines_is_recognised(record, name):
    assert recognise("any.json", orjson.dumps(record, option=orjson.OPT_INDENT_2)) == name


def test_a_file_of_something_else_is_rejected_once_without_content():
    sessions, rejected = read(b'{"colour": "blue"}\n{"colour": "red"}\n')
    assert sessions == []
    assert [(item.reason, item.source_format) for item in rejected] == [("unknown_format", "unknown")]
    assert "blue" not in repr(rejected)


def test_an_empty_file_is_named_empty():
    assert [item.reason for item in read(b"\n \n")[1]] == ["empty"]


def test_a_forced_format_that_does_not_exist_is_an_error_that_lists_those_that_do():
    with pytest.raises(ValueError, match="canonical, claude_code, codex, otel, openai_chat"):
        list(read_stream(io.BytesIO(b""), "x", format="word"))


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_archives_read_like_the_plain_file(pack):
    data = jsonl(CANONICAL, {**CANONICAL, "session_id": "s2"})
    assert read(pack(data)) == read(data)


def test_concatenated_archive_members_are_all_read():
    first, second = jsonl(CANONICAL), jsonl({**CANONICAL, "session_id": "s2"})
    compressor = zstandard.ZstdCompressor()
    for data in (
        gzip.compress(first) + gzip.compress(second),
        compressor.compress(first) + compressor.compress(second),
    ):
        assert [session.session_id for session in read(data)[0]] == ["s1", "s2"]


def test_a_nested_archive_is_refused():
    assert [item.reason for item in read(gzip.compress(gzip.compress(jsonl(CANONICAL))))[1]] == ["nested_archive"]


def test_a_zip_file_is_refused():
    assert [item.reason for item in read(b"PK\x03\x04" + b"0" * 100)[1]] == ["unknown_archive"]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_decompression_bomb_stops_early(pack):
    limits = Limits(ratio_free_bytes=1 << 20)
    sessions, rejected = read(pack(jsonl(CANONICAL) + b" " * (40 << 20)), limits=limits)
    assert rejected[-1].reason == "decompression_bomb"
    assert len(sessions) <= 1


def test_honest_transcripts_that_compress_forty_times_are_no_bomb():
    def told(number: int) -> dict[str, object]:
        unlike = hashlib.sha256(str(number).encode()).hexdigest()
        text = "the same line of a log\n" * 180 + unlike
        return {**CANONICAL, "session_id": f"s{number}", "steps": [{"kind": "tool_result", "text": text}]}

    data = jsonl(*(told(number) for number in range(600)))
    packed = gzip.compress(data)
    assert len(data) > 2 << 20
    assert 30 < len(data) / len(packed) < 90
    assert len(read(packed, limits=Limits(ratio_free_bytes=1 << 20))[0]) == 600


def test_a_truncated_archive_gives_what_stands_before_the_break():
    lines = [
        {**CANONICAL, "session_id": f"s{number}", "steps": [{"kind": "user_message", "text": str(number**99)}] * 9}
        for number in range(400)
    ]
    packed = gzip.compress(jsonl(*lines))
    sessions, rejected = read(packed[: len(packed) // 2])
    assert sessions[0].session_id == "s0"
    assert 100 < len(sessions) < 300
    assert rejected[-1].reason == "truncated_archive"


def test_a_broken_archive_is_named_so():
    packed = bytearray(gzip.compress(jsonl(CANONICAL)))
    packed[20] ^= 0xFF
    assert read(bytes(packed))[1][-1].reason in ("bad_archive", "truncated_archive")


def test_one_document_that_spans_lines_gives_all_its_sessions():
    data = orjson.dumps([CANONICAL, {**CANONICAL, "session_id": "s2"}], option=orjson.OPT_INDENT_2)
    assert [session.session_id for session in read(data, "all.json")[0]] == ["s1", "s2"]


def test_a_document_over_its_cap_is_rejected_with_its_whole_size():
    data = orjson.dumps({**CANONICAL, "more": ["x"] * 500}, option=orjson.OPT_INDENT_2)
    rejected = read(data, limits=Limits(document_bytes=1000), format="canonical")[1]
    assert [(item.reason, item.bytes) for item in rejected] == [("too_large", len(data))]


def test_sessions_carry_the_name_of_their_reader():
    assert one(jsonl(CHAT)).source_format == "openai_chat"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
words = st.sampled_from(
    ["type", "user", "assistant", "message", "content", "role", "messages", "tool_calls", "steps", "kind", "payload",
     "resourceSpans", "scopeSpans", "spans", "attributes", "key", "value", "stringValue", "gen_ai.input.messages",
     "session_id", "sessionId", "tool_result", "text", "is_error", "isMeta", "timestamp", "response_item", "output",
     "function_call", "function", "arguments", "parts", "tool_call", "event_msg", "session_meta", "id", "events"]
)  # fmt: skip
shaped = st.recursive(
    words | st.none() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=5),
    max_leaves=25,
)
fuzz = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("reader", list(READERS))
@fuzz
@given(data=st.binary(max_size=200) | st.lists(json_values | shaped, max_size=4).map(lambda items: _dumped(items)))
def test_no_bytes_make_a_reader_raise(reader, data):
    for item in read_stream(io.BytesIO(data), "fuzz.jsonl", format=reader):
        assert isinstance(item, Session | Rejected)


@fuzz
@given(data=st.binary(max_size=300))
def test_no_bytes_make_recognition_raise(data):
    assert recognise("fuzz", data) in (None, *READERS)
    list(read_stream(io.BytesIO(data), "fuzz"))


@pytest.mark.parametrize("reader", ["canonical", "claude_code", "codex", "openai_chat"])
@fuzz
@given(items=st.lists(shaped.filter(lambda item: isinstance(item, dict)), max_size=6))
def test_every_record_is_accounted_for(reader, items):
    data = _dumped(items)
    assert accounted(data, "fuzz.jsonl", reader) == (len(items) if items else 0)


def _dumped(items: list[object]) -> bytes:
    return b"".join(
        orjson.dumps(item, default=str, option=orjson.OPT_NON_STR_KEYS) + b"\n" for item in map(_small, items)
    )


def _small(item: object) -> object:
    """orjson knows integers up to 64 bits only."""
    if isinstance(item, int) and not isinstance(item, bool):
        return item % (1 << 53)
    if isinstance(item, str):
        return item.encode("utf-8", "replace").decode()
    if isinstance(item, list):
        return [_small(part) for part in item]
    if isinstance(item, dict):
        return {_small(key): _small(part) for key, part in item.items()}
    return item
