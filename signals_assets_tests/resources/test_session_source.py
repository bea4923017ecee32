"""The file session source: days, the spool, and what changes in between."""

import gzip
import os
from collections import Counter
from datetime import UTC, date, datetime

import orjson
import pytest

from signals_assets.core.readers import Rejected
from signals_assets.core.sessions import Session
from signals_assets.resources.session_source import FileSessionSource, SessionSourceError, read_paths
from signals_assets.settings import UserFrom

FIRST, SECOND = date(2026, 1, 5), date(2026, 1, 6)


def session(name: str, day: str = "2026-01-05", steps: int = 1, **more: object) -> dict[str, object]:
    spoken = [{"kind": "user_message", "at": f"{day}T10:00:0{number}Z", "text": "hi"} for number in range(steps)]
    return {"session_id": name, "agent": {"name": "bot"}, "started_at": f"{day}T10:00:00Z", "steps": spoken, **more}


def write(path, *records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
    return path


@pytest.fixture
def opened(tmp_path):
    """A source over `tmp_path/in`."""

    def open_source(*paths, **options):
        return FileSessionSource(paths or [tmp_path / "in"], spool=tmp_path / "spool", **options)

    return open_source


def ids(source, day):
    return [item.key if isinstance(item, Session) else item.reason for item in source.sessions(day)]


def everything(source):
    return {day: ids(source, day) for day in source.days()}


def test_sessions_come_by_day_in_the_order_of_files_and_lines(tmp_path, opened):
    write(tmp_path / "in/b.jsonl", session("b1"), session("b2", "2026-01-06"))
    write(tmp_path / "in/a/z.jsonl", session("z"))
    write(tmp_path / "in/2026-01-06.jsonl", session("c2", "2026-01-06"), session("c1", "2026-01-06"))
    assert everything(opened()) == {FIRST: ["b1", "z"], SECOND: ["c2", "c1", "b2"]}


def test_a_path_that_does_not_exist_is_an_error_that_names_it(tmp_path, opened):
    with pytest.raises(SessionSourceError, match="nowhere"):
        opened(tmp_path / "nowhere")


def test_a_folder_that_is_empty_so_far_is_no_error(tmp_path, opened):
    (tmp_path / "in").mkdir()
    assert opened().days() == []


def test_every_format_of_a_folder_is_read_and_the_rest_is_counted(tmp_path, opened):
    write(tmp_path / "in/canonical.jsonl", session("one"))
    (tmp_path / "in/packed.jsonl.gz").write_bytes(gzip.compress(orjson.dumps(session("two"))))
    write(
        tmp_path / "in/chat.json",
        {"id": "three", "created": 1767607200, "messages": [{"role": "user", "content": "x"}]},
    )
    write(tmp_path / "in/other.json", {"a": 1})
    (tmp_path / "in/notes.txt").write_text("x")
    (tmp_path / "in/.hidden.jsonl").write_text("{}")
    outside = write(tmp_path / "outside.jsonl", session("outside"))
    (tmp_path / "in/link.jsonl").symlink_to(outside)
    (tmp_path / "in/up").symlink_to(tmp_path)
    source = opened()
    assert everything(source)[FIRST] == ["one", "three", "two"]
    assert source.skipped() == {
        "files": 4,
        "files_passed_over.hidden": 1,
        "files_passed_over.suffix": 1,
        "files_passed_over.symlink": 2,
        "records": 3,
        "rejected.unknown_format": 1,
    }


def test_new_and_changed_files_are_read_again_and_replace_what_they_were(tmp_path, opened, monkeypatch):
    path = write(tmp_path / "in/a.jsonl", session("a1"), session("a2", "2026-01-06"))
    write(tmp_path / "in/b.jsonl", session("b1"))
    source = opened()
    assert everything(source) == {FIRST: ["a1", "b1"], SECOND: ["a2"]}
    write(path, session("a1"), session("a3"))
    os.utime(path, (1, 1))
    write(tmp_path / "in/c.jsonl", session("c1"))
    read = _count_reads(monkeypatch)
    assert everything(source) == {FIRST: ["a1", "a3", "b1", "c1"]}
    assert read["index"] == ["a.jsonl", "c.jsonl"]
    (tmp_path / "in/b.jsonl").unlink()
    assert everything(source) == {FIRST: ["a1", "a3", "c1"]}


def test_another_process_finds_the_index_and_reads_nothing_again(tmp_path, opened, monkeypatch):
    write(tmp_path / "in/a.jsonl", session("a1"), session("a2", "2026-01-06"))
    expected = everything(opened())
    read = _count_reads(monkeypatch)
    assert everything(opened()) == expected
    assert read["index"] == []
    assert read["day"] == []


def test_a_file_read_with_other_settings_is_read_again(tmp_path, opened):
    write(tmp_path / "in/a.jsonl", session("a1"))
    assert next(opened().sessions(FIRST)).user_id is None
    assert next(opened(user_from=UserFrom(kind="setting", value="me")).sessions(FIRST)).user_id == "me"


def test_a_lost_spool_is_filled_again(tmp_path, opened):
    import shutil

    write(tmp_path / "in/a.jsonl", session("a1"), session("a2", "2026-01-06"))
    source = opened()
    expected = everything(source)
    shutil.rmtree(tmp_path / "spool/shards")
    assert everything(source) == expected


def test_what_lies_in_the_spool_is_for_the_owner_only(tmp_path, opened):
    write(tmp_path / "in/a.jsonl", session("a1"), session("a2", "2026-01-06"))
    opened().days()
    modes = {path: path.stat().st_mode & 0o077 for path in (tmp_path / "spool").rglob("*") if path.is_file()}
    assert modes
    assert (tmp_path / "spool").stat().st_mode & 0o077 == 0
    assert set(modes.values()) == {0}


def test_the_spool_keeps_what_the_canonical_form_does_not(tmp_path, opened):
    write(
        tmp_path / "in/a.jsonl",
        session("a1", started_at=None, steps=2) | {"segment": 3},
        session("a2", "2026-01-06"),
    )
    kept = next(opened().sessions(FIRST))
    assert (kept.key, kept.start_known_from, kept.source_format, len(kept.steps)) == (
        "a1.3",
        "first_step",
        "canonical",
        2,
    )


def test_a_session_resumed_on_another_day_is_a_further_segment_of_that_day(tmp_path, opened):
    steps = [
        {"kind": "user_message", "at": "2026-01-05T10:00:00Z", "text": "a"},
        {"kind": "user_message", "at": "2026-01-06T10:00:00Z", "text": "b"},
    ]
    write(tmp_path / "in/a.jsonl", {**session("a"), "steps": steps})
    assert everything(opened()) == {FIRST: ["a"], SECOND: ["a.1"]}


def test_the_longer_of_two_copies_is_kept_and_the_other_is_counted(tmp_path, opened):
    write(tmp_path / "in/a.jsonl", session("x", steps=2), session("only-a"))
    write(tmp_path / "in/b.jsonl", session("x", steps=3), session("x", steps=1))
    source = opened()
    assert Counter(ids(source, FIRST)) == {"duplicate_session": 2, "only-a": 1, "x": 1}
    kept = [item for item in source.sessions(FIRST) if isinstance(item, Session) and item.session_id == "x"]
    assert [len(item.steps) for item in kept] == [3]


def test_a_copy_on_another_day_is_a_duplicate_there(tmp_path, opened):
    write(tmp_path / "in/a.jsonl", session("x", steps=2))
    write(tmp_path / "in/b.jsonl", session("x", "2026-01-06", steps=3))
    assert everything(opened()) == {FIRST: ["duplicate_session"], SECOND: ["x"]}


def test_unreadable_records_come_with_the_last_day_of_their_file(tmp_path, opened):
    path = write(tmp_path / "in/a.jsonl", session("a1"), session("a2", "2026-01-06"))
    path.write_bytes(path.read_bytes() + b"{broken\n")
    assert everything(opened()) == {FIRST: ["a1"], SECOND: ["a2", "invalid_json"]}


def test_many_unreadable_records_are_counted_together(tmp_path, opened):
    path = write(tmp_path / "in/a.jsonl", session("a1"))
    path.write_bytes(path.read_bytes() + b"{broken\n" * 500)
    rejected = [item for item in opened().sessions(FIRST) if isinstance(item, Rejected)]
    assert len(rejected) <= 101
    assert sum(item.count for item in rejected) == 500


@pytest.mark.parametrize(
    ("user_from", "user"),
    [
        (UserFrom(), None),
        (UserFrom(kind="folder", value="0"), "ann"),
        (UserFrom(kind="folder", value="1"), "project"),
        (UserFrom(kind="folder", value="5"), None),
        (UserFrom(kind="setting", value="me"), "me"),
        (UserFrom(kind="field", value="meta.who"), "eve"),
    ],
)
def test_a_user_that_the_format_does_not_know_comes_from_the_settings(tmp_path, opened, user_from, user):
    write(tmp_path / "in/ann/project/a.jsonl", session("a", meta={"who": "eve"}), session("b", user_id="known"))
    found = {item.session_id: item.user_id for item in opened(user_from=user_from).sessions(FIRST)}
    assert found == {"a": user, "b": "known"}


def test_a_session_without_any_time_has_that_of_its_file(tmp_path, opened):
    path = write(tmp_path / "in/a.jsonl", {"session_id": "a", "steps": [{"kind": "user_message", "text": "x"}]})
    os.utime(path, (1767607200, 1767607200))
    found = next(opened(agent_name="named").sessions(FIRST))
    assert (found.started_at, found.start_known_from, found.agent.name) == (1767607200.0, "file", "named")


def test_check_says_what_would_be_read_without_reading_it(tmp_path, opened):
    write(tmp_path / "in/a.jsonl", session("a"))
    assert "1 files" in opened().check()
    assert "canonical" in opened().check()
    assert not (tmp_path / "spool").exists()


def test_reading_paths_gives_whole_sessions_and_leaves_nothing_behind(tmp_path):
    steps = [{"kind": "user_message", "at": f"2026-01-0{day}T10:00:00Z", "text": "x"} for day in (5, 6)]
    write(tmp_path / "in/a.jsonl", {**session("a"), "steps": steps})
    assert [len(item.steps) for item in read_paths([tmp_path / "in"])] == [2]
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_reading_a_folder_without_session_files_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SessionSourceError, match=str(tmp_path)):
        list(read_paths([tmp_path]))


@pytest.mark.data
def test_the_real_folder_gives_the_same_sessions_by_day_as_whole(data_dir, tmp_path):
    source = FileSessionSource([data_dir / "raw_claude_code", data_dir / "raw_codex"], spool=tmp_path / "spool")
    by_day = [item for day in source.days() for item in source.sessions(day) if isinstance(item, Session)]
    whole = list(read_paths([data_dir / "raw_claude_code", data_dir / "raw_codex"]))
    assert len(whole) == 24
    assert {item.session_id for item in by_day} == {item.session_id for item in whole}
    assert sum(len(item.steps) for item in by_day) == sum(len(item.steps) for item in whole)


def _count_reads(monkeypatch):
    """Names of files that are read for the index, or once more for a day."""
    from signals_assets.resources import session_source

    read: dict[str, list[str]] = {"index": [], "day": []}
    original = session_source._read_file

    def counting(file, *arguments):
        read["index" if len(arguments) == 5 else "day"].append(file.path.name)
        return original(file, *arguments)

    monkeypatch.setattr(session_source, "_read_file", counting)
    return read


# --- erasure and expiry ------------------------------------------------------------------------------------------


def erased(*users):
    return lambda: lambda user, organization, key: user in users


def mixed(folder):
    """A file of two days: it is copied by day into the spool."""
    write(
        folder / "mixed.jsonl",
        session("ann-x1", user_id="ann"), session("b1", user_id="bob"),
        session("ann-x2", "2026-01-06", user_id="ann"), session("b2", "2026-01-06", user_id="bob"),
    )  # fmt: skip


def in_spool(tmp_path, *words):
    """Which of the words stand anywhere in the spool, unpacked."""
    import zstandard

    said = b""
    for path in (tmp_path / "spool").rglob("*"):
        said += str(path).encode()
        if path.is_file():
            data = path.read_bytes()
            said += zstandard.ZstdDecompressor().decompressobj().decompress(data) if path.suffix == ".zst" else data
    return [word for word in words if word.encode() in said]


def test_erased_users_are_passed_over_counted_and_leave_the_spool(tmp_path, opened):
    mixed(tmp_path / "in")
    write(tmp_path / "in/day.jsonl", session("ann-x3", user_id="ann"), session("b3", user_id="bob"))
    assert everything(opened()) == {FIRST: ["ann-x3", "b3", "ann-x1", "b1"], SECOND: ["ann-x2", "b2"]}
    assert in_spool(tmp_path, "ann", "bob", "ann-x1", "ann-x3") == ["ann", "bob", "ann-x1", "ann-x3"]
    source = opened(erased=erased("ann"))
    assert everything(source) == {FIRST: ["erased", "b3", "erased", "b1"], SECOND: ["erased", "b2"]}
    assert source.forget({"ann-x1", "ann-x2", "ann-x3"}) == 3
    assert source.forget({"ann-x1", "ann-x2", "ann-x3"}) == 0
    assert everything(source) == {FIRST: ["erased", "b3", "b1", "erased"], SECOND: ["b2", "erased"]}
    assert source.counts() == {FIRST: 2, SECOND: 1}
    assert in_spool(tmp_path, "ann", "ann-x1", "ann-x2", "ann-x3") == []


def test_a_file_of_an_erased_user_alone_leaves_not_even_its_name(tmp_path, opened):
    write(
        tmp_path / "in/a-session-of-ann.jsonl",
        session("ann-x1", user_id="ann"),
        session("ann-x2", "2026-01-06", user_id="ann"),
    )
    write(tmp_path / "in/bob.jsonl", session("b1", user_id="bob"))
    opened().days()
    source = opened(erased=erased("ann"))
    source.forget({"ann-x1", "ann-x2"})
    for again in (source, opened(erased=erased("ann"))):
        assert everything(again) == {FIRST: ["b1", "erased"]}
    assert in_spool(tmp_path, "a-session-of-ann", "ann-x1", "ann-x2") == []


def test_a_folder_of_an_erased_user_is_not_read_at_all(tmp_path, opened):
    (tmp_path / "in/ann").mkdir(parents=True)
    (tmp_path / "in/ann/x.jsonl").write_bytes(orjson.dumps(session("a1")) + b"\n{broken\n")
    write(tmp_path / "in/bob/x.jsonl", session("b1"))
    by_folder = UserFrom(kind="folder", value="0")
    before = opened(user_from=by_folder)
    assert [item.reason for item in before.set_aside("ann")] == ["invalid_json"]
    source = opened(user_from=by_folder, erased=erased("ann"))
    assert everything(source) == {FIRST: ["b1"]}
    assert source.skipped()["files_passed_over.erased"] == 1
    assert in_spool(tmp_path, "ann/", "'ann'", "a1") == []


def test_copies_without_a_file_of_their_own_go_with_the_next_erasure(tmp_path, opened):
    mixed(tmp_path / "in")
    source = opened()
    source.days()
    orphan = tmp_path / "spool/shards/0123"
    orphan.mkdir()
    (orphan / "2026-01-05.zst").write_bytes(b"left by a process that died")
    source.forget({"nobody"})
    assert not orphan.exists()
    assert everything(source) == {FIRST: ["ann-x1", "b1"], SECOND: ["ann-x2", "b2"]}


def test_expired_copies_are_removed_and_their_days_are_read_from_the_source(tmp_path, opened):
    mixed(tmp_path / "in")
    source = opened()
    before = {day: list(source.sessions(day)) for day in source.days()}
    for path in (tmp_path / "spool").rglob("*.zst"):
        os.utime(path, (1_000_000, 1_000_000))
    cut = datetime(2020, 1, 1, tzinfo=UTC)
    assert source.expire(cut, dry_run=True) == 2
    assert source.expire(cut) == 2
    assert source.expire(cut) == 0
    for again in (source, opened()):
        assert {day: list(again.sessions(day)) for day in again.days()} == before
    assert not list((tmp_path / "spool").rglob("*.zst"))
