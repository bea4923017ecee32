"""The file records door."""

import gzip
from datetime import UTC, date, datetime

import orjson
import pytest

from signals_assets.resources.records import RECORD_KINDS, FileRecords

DAY = date(2026, 1, 5)


def write(path, *records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def all_of(records, kind):
    return {day: list(records.records(kind, day)) for day in records.days(kind)}


def test_without_a_folder_there_are_no_records(tmp_path):
    for records in (FileRecords(None), FileRecords(tmp_path / "later")):
        assert all(records.days(kind) == [] for kind in RECORD_KINDS)
        assert list(records.records("releases", DAY)) == []


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(ValueError, match="not a folder"):
        FileRecords(tmp_path / "x")


def test_releases_are_read_from_json_lines_csv_and_changelogs(tmp_path):
    write(
        tmp_path / "releases.jsonl",
        {"agent_name": "bot", "kind": "prompt", "version": "p2", "released_at": "2026-01-05"},
    )
    (tmp_path / "releases_my_agent.csv").write_text("version,date\n1.0.0,2026-01-05T08:00:00Z\n")
    (tmp_path / "releases").mkdir()
    (tmp_path / "releases/other-agent.md").write_text(
        "# Changelog\n## [Unreleased]\n- x\n## [2.1.0] - 2026-01-05\n- a ([#7](https://h/pull/7)), b (#8)\n"
        "## 2.0.0 (2026-01-04)\n"
    )
    records = FileRecords(tmp_path)
    found = [(item["agent_name"], item["kind"], item["version"]) for item in records.records("releases", DAY)]
    assert sorted(found) == [
        ("bot", "prompt", "p2"),
        ("my-agent", "version", "1.0.0"),
        ("other-agent", "version", "2.1.0"),
    ]
    assert [item["pull_request_ids"] for item in records.records("releases", DAY) if item["version"] == "2.1.0"] == [
        ["7", "8"]
    ]
    assert records.days("releases") == [date(2026, 1, 4), DAY]
    assert records.skipped("releases") == {"unreleased": 1}


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("## [1.2.0] - 2026-01-05", ["1.2.0"]),
        ("## [1.2.0] - 2026-01-05 [YANKED]", ["1.2.0"]),
        ("## v1.2.0 (2026-01-05)", ["1.2.0"]),
        ("# [2.0.0](https://h/compare/a...b) (2026-01-05)", ["2.0.0"]),
        ("## 1.2.0-rc.1+build - 2026-01-05", ["1.2.0-rc.1+build"]),
        ("##  [1.2.0] – 2026-01-05  ", ["1.2.0"]),
        ("## [1.2.0]", ["no_time"]),
        ("## [1.2.0] - 2026-13-45", ["no_time"]),
        ("## [1.2.0] - soon", ["no_time"]),
        ("## [Unreleased]", []),
        ("# Changelog", []),
        ("### 1.2.0 - 2026-01-05", []),
    ],
)
def test_headings_of_a_changelog_are_releases_undated_ones_or_none(tmp_path, heading, expected):
    other = "## [0.1.0] - 2026-01-05\n- first\n"
    (tmp_path / "releases.md").write_text(f"{heading}\n### Fixed\n- x (#7), y ([#8]), z of #9\n\n{other}")
    found = list(FileRecords(tmp_path).records("releases", DAY))
    told = [item.get("version") or item["rejected"] for item in found]
    assert sorted(told) == sorted([*expected, "0.1.0"])
    assert [one["pull_request_ids"] for one in found if one.get("version") not in (None, "0.1.0")] == (
        [["7", "8"]] if expected not in ([], ["no_time"]) else []
    )


def test_a_changelog_that_is_no_text_is_no_release_and_no_crash(tmp_path):
    (tmp_path / "releases.md").write_bytes(
        b"\xff\xfe## [1.0.0] - 2026-01-05\x00\n## \x00\n" + b"## [2.0.0] - 2026-01-05\r\n"
    )
    (tmp_path / "releases-other.md.gz").write_bytes(b"\x1f\x8b cut")
    found = list(FileRecords(tmp_path).records("releases", DAY))
    assert [one["version"] for one in found if "version" in one] == ["2.0.0"]
    assert FileRecords(tmp_path).skipped("releases") == {"unreleased": 1}


def test_error_logs_keep_error_level_and_above_and_count_the_others(tmp_path):
    write(
        tmp_path / "error_logs/2026-01-05.jsonl",
        {"timestamp": "2026-01-05T10:00:00Z", "severity": "ERROR", "msg": "a", "service": {"name": "db"}},
        {"time": 1767607200000, "level": 50, "msg": "b", "name": "api", "session.id": "s1"},
        {"ts": 1767607200, "levelno": 40, "message": "c", "user": "u1"},
        {"timeUnixNano": "x", "severityNumber": 17, "body": "d"},
        {"timestamp": "2026-01-05T10:00:00Z", "level": "info", "message": "e"},
        {"timestamp": "2026-01-05T10:00:00Z", "level": "warning", "message": "f"},
        {"timestamp": "2026-01-05T10:00:00Z", "message": "g"},
        {"timestamp": "2026-01-05T10:00:00Z", "level": "fatal"},
    )
    records = FileRecords(tmp_path)
    found = list(records.records("error_logs", DAY))
    assert [(item["message"], item["service"], item["level"]) for item in found if "message" in item] == [
        ("a", "db", "ERROR"),
        ("b", "api", "50"),
        ("c", "unknown", "error"),
        ("g", "unknown", "error"),
    ]
    assert (found[1]["session_id"], found[2]["user_id"], found[0]["logged_at"]) == (
        "s1",
        "u1",
        at("2026-01-05T10:00:00"),
    )
    assert [item["rejected"] for item in found if "rejected" in item] == ["no_time", "no_message"]
    assert records.skipped("error_logs") == {"below_error_level": 2}


@pytest.mark.parametrize(
    ("rating", "expected"), [(1, 1), (-1, -1), ("up", 1), ("thumbs_down", -1), (True, 1), (False, -1), ("1.0", 1)]
)
def test_thumbs_are_understood_in_the_customary_ways(tmp_path, rating, expected):
    write(tmp_path / "feedback.jsonl", {"session_id": "s", "rating": rating, "at": "2026-01-05", "step": "3"})
    (found,) = FileRecords(tmp_path).records("feedback", DAY)
    assert (found["rating"], found["step"], found["given_at"]) == (expected, 3, at("2026-01-05"))


def test_a_pull_request_has_the_state_that_was_known_on_each_day(tmp_path):
    record = {"pull_request_id": 7, "title": "Fix", "opened_at": "2026-01-05T08:00:00Z", "files": ["a.py"]}
    merged = {**record, "state": "merged", "merged_at": "2026-01-07T08:00:00Z", "released_in": "1.2"}
    write(tmp_path / "pull_requests.jsonl", {**record, "state": "open"}, merged)
    found = all_of(FileRecords(tmp_path), "pull_requests")
    states = {
        day: [(item["state"], item["merged_at"], item["released_in"]) for item in items] for day, items in found.items()
    }
    assert states == {
        DAY: [("open", None, None)],
        date(2026, 1, 7): [("merged", at("2026-01-07T08:00:00"), "1.2")],
    }
    assert found[DAY][0]["pull_request_id"] == "7"
    assert found[DAY][0]["files"] == ["a.py"]


def test_a_pull_request_opened_and_closed_on_one_day_is_closed(tmp_path):
    record = {
        "id": "p",
        "title": "x",
        "opened_at": "2026-01-05T08:00:00Z",
        "closed_at": "2026-01-05T09:00:00Z",
        "state": "closed",
    }
    write(tmp_path / "pull_requests.jsonl", record)
    assert [item["state"] for item in FileRecords(tmp_path).records("pull_requests", DAY)] == ["closed"]


def test_user_outcomes_are_read_from_packed_csv(tmp_path):
    (tmp_path / "user_outcomes.csv.gz").write_bytes(
        gzip.compress(b"user_id,outcome,happened_at\nu1,churned,2026-01-05\n")
    )
    assert list(FileRecords(tmp_path).records("user_outcomes", DAY)) == [
        {"user_id": "u1", "outcome": "churned", "happened_at": at("2026-01-05")}
    ]


def test_bad_rows_are_rejected_with_the_last_day_of_their_file(tmp_path):
    path = tmp_path / "user_outcomes.jsonl"
    good = {"user_id": "u", "outcome": "churned", "happened_at": "2026-01-05"}
    write(path, good, {**good, "happened_at": "soon"}, {**good, "user_id": None}, ["x"])
    path.write_bytes(path.read_bytes() + b"{broken\n")
    found = list(FileRecords(tmp_path).records("user_outcomes", DAY))
    assert [item.get("rejected") for item in found] == [None, "no_time", "no_user", "not_a_record", "invalid_json"]


def test_what_changes_on_disk_is_seen(tmp_path):
    records = FileRecords(tmp_path)
    assert records.days("user_outcomes") == []
    write(tmp_path / "user_outcomes.jsonl", {"user_id": "u", "outcome": "churned", "happened_at": "2026-01-05"})
    assert records.days("user_outcomes") == [DAY]


def test_a_link_is_not_followed(tmp_path):
    write(tmp_path / "outside.jsonl", {"user_id": "u", "outcome": "churned", "happened_at": "2026-01-05"})
    (tmp_path / "in").mkdir()
    (tmp_path / "in/user_outcomes.jsonl").symlink_to(tmp_path / "outside.jsonl")
    assert FileRecords(tmp_path / "in").days("user_outcomes") == []


@pytest.mark.data
def test_the_real_releases_are_read(data_dir, tmp_path):
    (tmp_path / "releases_claude_code.csv").write_bytes((data_dir / "releases_claude_code.csv").read_bytes())
    (tmp_path / "releases-example.md").write_bytes((data_dir / "changelog_example.md").read_bytes())
    found = [item for items in all_of(FileRecords(tmp_path), "releases").values() for item in items]
    rows = (data_dir / "releases_claude_code.csv").read_text().strip().splitlines()
    assert sum(item["agent_name"] == "claude-code" for item in found) == len(rows) - 1
    assert sum(item["agent_name"] == "example" for item in found) == 3
