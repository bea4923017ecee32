"""What readers share: caps, repairs, ids."""

import io

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals_assets.core.readers.common import (
    ContentError,
    Gathered,
    Holding,
    Limits,
    Reading,
    arguments_of,
    check_tree,
    dig,
    json_records,
    lines,
    parse_json,
    session_id_of,
    text_of,
)
from signals_assets.core.sessions import Step


def test_lines_over_the_cap_are_passed_over_with_their_size_and_the_next_is_whole():
    found = list(lines(io.BytesIO(b"ab\n" + b"x" * 100 + b"\n\ncd"), 10))
    assert [(line.number, line.data, line.size) for line in found] == [
        (1, b"ab\n", 3),
        (2, None, 101),
        (4, b"cd", 2),
    ]


def test_a_line_of_exactly_the_cap_is_kept():
    assert [line.data for line in lines(io.BytesIO(b"x" * 10 + b"\n"), 10)] == [b"x" * 10 + b"\n"]


@pytest.mark.parametrize(
    ("data", "text", "note"),
    [
        (b'{"t": "a\\u0000b"}', "a\ufffdb", {"nul_replaced": 1}),
        (b'{"t": "a\x00b"}', "a\ufffdb", {"nul_replaced": 1}),
        (b'{"t": "a\xffb"}', "a\ufffdb", {"utf8_replaced": 1}),
        (b'{"t": "a\\ud800b"}', "a\ufffdb", {"surrogate_replaced": 1}),
        (b'{"t": "a\\\\u0000b"}', "a\\u0000b", {}),
        (b'\xef\xbb\xbf{"t": "ab"}', "ab", {}),
    ],
)
def test_broken_characters_are_replaced_and_counted(data, text, note):
    value, notes = parse_json(data)
    assert value == {"t": text}
    assert notes == note


def test_a_replacement_character_that_was_there_before_is_not_counted():
    assert parse_json('{"t": "\ufffd", "n": NaN}'.encode()) == ({"t": "\ufffd", "n": None}, {})


def test_a_very_deep_document_is_too_deep_and_never_a_crash():
    with pytest.raises(ContentError, match="too_deep"):
        parse_json(b"[" * 100_000)


def test_integers_beyond_64_bits_do_not_break_writing():
    value, _ = parse_json(b'{"a": NaN, "b": 123456789012345678901234567890}')
    assert value == {"a": None, "b": 1.2345678901234568e29}


@pytest.mark.parametrize("good", ["a", "with.dots and spaces/slashes", "../../etc/passwd", "ключ", 7])
def test_an_unusual_id_is_kept_as_data(good):
    assert session_id_of(good) == str(good)


@pytest.mark.parametrize("bad", ["", "a\nb", "a\0b", "x" * 513, None, True, 1.5, ["a"]])
def test_an_id_with_control_characters_or_beyond_512_bytes_is_refused(bad):
    with pytest.raises(ContentError, match="bad_session_id"):
        session_id_of(bad)


def test_trees_are_capped_in_depth_and_keys():
    deep: list[object] = []
    for _ in range(64):
        deep = [deep]
    with pytest.raises(ContentError, match="too_deep"):
        check_tree(deep, Limits())
    with pytest.raises(ContentError, match="too_many_keys"):
        check_tree({str(number): number for number in range(10_001)}, Limits())
    check_tree({"a": [{"b": 1}]}, Limits())


def test_arguments_become_an_object():
    assert arguments_of('{"a": 1}', Limits()) == {"a": 1}
    assert arguments_of("ls -l", Limits()) == {"_raw": "ls -l"}
    assert arguments_of([1], Limits()) == {"_raw": [1]}
    assert arguments_of(None, Limits()) is None


def test_text_nested_deeper_than_can_be_written_is_too_deep_and_never_a_crash():
    deep: object = "x"
    for _ in range(300):
        deep = [deep]
    with pytest.raises(ContentError, match="too_deep"):
        text_of(deep, {}, Limits())


def test_arguments_count_for_the_size_of_a_gathered_session():
    session, limits = Gathered(), Limits(session_bytes=1000)
    session.add(Step("tool_call", arguments={"content": "x" * 900}), limits)
    assert session.broken is None
    session.add(Step("tool_call", arguments={"content": "x"}), limits)
    session.add(Step("user_message", text="hi"), limits)
    assert (session.broken, session.steps) == ("too_large", [])


def test_long_text_is_cut_and_counted():
    notes: dict[str, int] = {}
    assert text_of("abcdef", notes, Limits(text_chars=4)) == "abcd"
    assert notes == {"text_cut": 1}


def test_a_field_is_found_by_its_name_or_by_its_path():
    record = {"a.b": 1, "a": {"b": 2, "c": {"d": 3}}}
    assert (dig(record, "a.b"), dig(record, "a.c.d"), dig(record, "a.x"), dig(record, "")) == (1, 3, None, None)


def test_the_stem_is_the_name_without_folders_and_suffixes():
    assert Reading("folder/2026.01.session.jsonl.gz").stem == "2026.01.session"


def test_holding_gives_up_what_was_untouched_for_longest():
    held: Holding[list[str]] = Holding(list, 10)
    for key, size in (("a", 4), ("b", 4), ("a", 1), ("c", 4)):
        held.get(key, size).append(key)
    assert list(held.overfull()) == [("b", ["b"])]
    assert [key for key, _ in held.rest()] == ["a", "c"]


class Dripping(io.BytesIO):
    """A stream that gives few bytes at a time."""

    few = 3

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(self.few, len(self.getbuffer()) if size is None or size < 0 else size))


JSON = st.recursive(
    st.none() | st.integers(0, 99) | st.text(alphabet='a"\\\\[]{},: é', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='a"]\\\\', max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.lists(JSON, min_size=1, max_size=5), st.integers(1, 9), st.sampled_from([b"[\n", b"\xef\xbb\xbf[\n"]))
def test_the_items_of_a_long_array_are_those_of_the_array(items, few, opening):
    stream = Dripping(opening + b",\n".join(map(orjson.dumps, items)) + b"]\n \n")
    stream.few = few
    records = list(json_records(stream, Limits()))
    assert [record.reason for record in records] == [None] * len(items)
    assert [record.value for record in records] == items


def test_an_item_above_the_cap_is_passed_over_in_bounded_memory_and_the_next_is_read():
    large = [orjson.dumps({"text": '\\"[,' * 100}), orjson.dumps([[7]] * 100)]
    stream = Dripping(b"[" + b", ".join([b"1", *large, b'"2"']) + b"]")
    records = list(json_records(stream, Limits(record_bytes=100)))
    assert [(record.value, record.reason) for record in records] == [
        (1, None),
        (None, "too_large"),
        (None, "too_large"),
        ("2", None),
    ]
    assert [record.size for record in records[1:3]] == [len(b" " + item) for item in large]


@pytest.mark.parametrize("end", [b"", b'"broken', b"] more", b", {"])
def test_an_array_that_does_not_end_well_says_so_after_its_items(end):
    records = list(json_records(io.BytesIO(b"[\n1, 2, " + end), Limits()))
    assert [record.value for record in records[:2]] == [1, 2]
    assert [record.reason for record in records[2:]] == ["invalid_json"]


def test_an_empty_array_over_lines_holds_no_sessions():
    assert [record.reason for record in json_records(io.BytesIO(b"[\n]\n"), Limits())] == ["no_sessions"]
