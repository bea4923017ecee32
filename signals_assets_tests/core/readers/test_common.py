"""What readers share: caps, repairs, ids."""

import io

import pytest

from signals_assets.core.readers.common import (
    ContentError,
    Holding,
    Limits,
    Reading,
    arguments_of,
    check_tree,
    dig,
    lines,
    parse_json,
    session_id_of,
    text_of,
)


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
