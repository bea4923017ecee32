"""Error logs from CloudWatch over real sockets, with its faults."""

import json
from datetime import UTC, date, datetime
from functools import cache

import boto3.session
import pytest

from signals_assets.core.records import error_log_rows
from signals_assets.resources.cloudwatch import ATTEMPTS, CloudWatchRecords, terms_of
from signals_assets.resources.records import RecordsError
from signals_assets_tests.fakes.cloudwatch_server import REGION, CloudWatchServer
from signals_assets_tests.fakes.local_service import Reply

DAY = date(2026, 1, 5)
START = datetime(2026, 1, 5, tzinfo=UTC).timestamp()
GROUP = "/app/search-api"
_SESSION = boto3.session.Session


@pytest.fixture(autouse=True)
def credentials(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    session = _session()
    monkeypatch.setattr(boto3.session, "Session", lambda: session)


@cache
def _session():
    """One for all tests: each one reads the service models anew."""
    return _SESSION()


@pytest.fixture
def server():
    with CloudWatchServer() as server:
        server.group(GROUP)
        yield server


def door(server, groups=(GROUP,), **values):
    waits = []
    values = {"region": REGION, "endpoint_url": server.origin, "timeout_seconds": 0.4, "sleep": waits.append, **values}
    records = CloudWatchRecords(groups, **values)
    records.waits = waits
    return records


def told(records, day=DAY):
    return list(records.records("error_logs", day))


def messages(records, day=DAY):
    return [one["message"] for one in told(records, day) if "message" in one]


def fill(server, count, group=GROUP):
    for number in range(count):
        server.put(group, START + number, f"ERROR number {number}")
    return [f"ERROR number {number}" for number in range(count)]


# --- what an event means --------------------------------------------------------------------------------------------


def test_json_messages_are_read_by_the_named_fields_and_by_customary_names(server):
    for message in (
        {"level": "error", "message": "it broke", "service": "index", "session_id": "s-1", "user_id": "u-1"},
        {"severity": "CRITICAL", "msg": "gone", "ctx": {"conversation": "s-2"}, "timestamp": "1999-01-01T00:00:00Z"},
    ):
        server.put(GROUP, START + 60.25, json.dumps(message))
    first, second = told(door(server, fields={"session_id": "ctx.conversation"}))
    assert first == {
        "logged_at": START + 60.25, "service": "index", "level": "error", "message": "it broke", "session_id": "s-1",
        "user_id": "u-1",
    }  # fmt: skip
    assert (second["session_id"], second["level"], second["message"]) == ("s-2", "CRITICAL", "gone")
    assert (second["service"], second["logged_at"]) == ("search-api", START + 60.25)


def test_the_level_is_judged_here_and_what_is_passed_over_is_counted(server):
    for message in (
        "2026-01-05 ERROR it broke",
        "[FATAL] gone",
        "2026-01-05 INFO no ERROR at all",
        "START RequestId: 1",
        json.dumps({"level": "warning", "message": "slow"}),
        json.dumps({"message": "no word of a level"}),
        json.dumps({"levelno": 40, "message": "in Python's numbers"}),
    ):
        server.put(GROUP, START, message)
    records = door(server)
    assert messages(records) == ["2026-01-05 ERROR it broke", "[FATAL] gone", "in Python's numbers"]
    rows, coverage = error_log_rows(DAY, told(records), key=bytes(32), known_on=DAY)
    assert [row.level for row in rows] == ["ERROR", "FATAL", "error"]
    assert (coverage.asked, coverage.answered, coverage.skipped) == (7, 3, {"below_error_level": 2, "no_level": 2})


@pytest.mark.parametrize("filters", [True, False])
def test_terms_are_all_needed_whether_or_not_the_server_knows_them(filters):
    with CloudWatchServer(filters=filters) as server:
        server.group(GROUP)
        for message in ("boom: timed out", "boom", "timed out", "BOOM timed out", "INFO boom timed out"):
            server.put(GROUP, START, message)
        records = door(server, filter_terms='boom "timed out"')
        assert messages(records) == ["boom: timed out"]
        skipped = {one["skipped"]: one["count"] for one in told(records) if "skipped" in one}
        assert skipped == {"below_error_level": 1, **({} if filters else {"other_terms": 3})}


def test_bad_messages_are_rejected_by_their_reasons_and_named_in_coverage(server):
    deep = '{"a":' * 100_000
    for message in ('{"level": "error", "message": "cut o', deep, '{"level": "error"}', "ERROR \0 and \ud800", None):
        server.put(GROUP, START, message)
    server._hold = lambda *_: None  # an event without a message, as no log agent writes it
    records = door(server)
    rows, coverage = error_log_rows(DAY, told(records), key=bytes(32), known_on=DAY)
    assert [row.message for row in rows] == ["ERROR \ufffd and ?"]
    assert {name: count for name, count in coverage.notes.items() if count} == {
        "rejected.invalid_json": 1, "rejected.too_deep": 1, "rejected.no_message": 2,
    }  # fmt: skip
    assert (coverage.asked, coverage.rejected) == (5, 4)


def test_a_day_has_its_first_and_its_last_millisecond_and_no_other(server):
    for at in (START - 0.001, START, START + 86_399.999, START + 86_400):
        server.put(GROUP, at, f"ERROR at {at - START:.3f}")
    assert messages(door(server)) == ["ERROR at 0.000", "ERROR at 86399.999"]


def test_groups_are_told_one_after_the_other_and_may_be_arns(server):
    server.group("other")
    server.put("other", START, "ERROR of the other")
    server.put(GROUP, START + 1, "ERROR of the first")
    records = door(server, groups=(GROUP, f"{server.arn('other')}:*", GROUP))
    assert [(one["service"], one["message"]) for one in told(records)] == [
        ("search-api", "ERROR of the first"), ("other", "ERROR of the other"),
    ]  # fmt: skip
    assert records.check() == f"cloudwatch: 2 log groups in {REGION}"


def test_days_are_those_with_errors_since_the_groups_keep_them(server):
    server.group("short", retention=3)
    for day, message in ((1, "ERROR"), (2, "INFO"), (5, "ERROR"), (7, "ERROR")):
        server.put(GROUP, START + (day - 5) * 86_400, message)
        server.put("short", START + (day - 5) * 86_400, message)
    now = lambda: START + 3 * 86_400.0  # noqa: E731 - the 8th
    assert door(server, now=now).days("error_logs") == [date(2026, 1, day) for day in (1, 5, 7)]
    assert door(server, groups=["short"], now=now).days("error_logs") == [date(2026, 1, day) for day in (5, 7)]
    assert door(server).days("releases") == list(door(server).records("releases", DAY)) == []


# --- pages ----------------------------------------------------------------------------------------------------------


def test_a_day_of_many_pages_is_told_whole_in_order_and_as_it_comes():
    with CloudWatchServer(page=7) as server:
        server.group(GROUP)
        expected = fill(server, 40)
        records = door(server)
        stream = records.records("error_logs", DAY)
        assert next(stream)["message"] == expected[0]
        assert len(server.requests) == 1  # no page is asked for before it is needed
        assert [expected[0], *(one["message"] for one in stream)] == expected == messages(records)


def test_an_empty_page_in_the_middle_does_not_end_a_day():
    with CloudWatchServer(page=5) as server:
        server.group(GROUP)
        expected = fill(server, 15)
        paged = server._events

        def thin(asked):
            whole = paged(asked).content
            if asked.get("nextToken", "").startswith("5-"):
                events, server.kept = [], whole["events"]
            else:
                events, server.kept = [*server.kept, *whole["events"]], []
            return Reply(200, {**whole, "events": events})

        server.kept, server._events = [], thin
        assert messages(door(server)) == expected


@pytest.mark.parametrize("token", [lambda asked: "again", lambda asked: f"{asked.get('nextToken', '')}x"])
def test_tokens_that_repeat_or_never_end_are_an_error(server, monkeypatch, token):
    monkeypatch.setattr("signals_assets.resources.cloudwatch.MOST_PAGES", 30)
    server._events = lambda asked: Reply(200, {"events": [], "nextToken": token(asked)})
    with pytest.raises(RecordsError, match="the pages of a day do not end; nothing was kept"):
        told(door(server))
    assert len(server.requests) <= 31


def test_every_fault_of_the_line_leaves_the_day_as_it_is():
    with CloudWatchServer(page=5) as server:
        server.group(GROUP)
        expected = fill(server, 100)
        server.chance(7, 0.3, ["error", "before", "after", "cut", "too_many"])
        assert messages(door(server)) == expected
        assert len(server.requests) > 20  # some were asked again


def test_half_an_answer_and_an_answer_without_its_list_are_asked_again(server):
    expected = fill(server, 3)
    server.fail("cut")
    server.fail("hang")
    whole, strange = server._events, [Reply(200, {}), Reply(200, {"events": None}), Reply(200, b"<html>")]
    server._hold = lambda *_: None
    server._events = lambda asked: whole(asked) if len(server.requests) <= 2 or not strange else strange.pop()
    records = door(server)
    assert messages(records) == expected
    assert records.waits == [0.5, 1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize("code", ["ThrottlingException", "ServiceUnavailableException"])
def test_throttling_is_waited_out_within_bounds(server, code):
    expected = fill(server, 2)
    status = 400 if code == "ThrottlingException" else 503
    server.refuse(code, times=3, status=status)
    records = door(server)
    assert messages(records) == expected
    assert records.waits == [0.5, 1.0, 2.0]
    server.refuse(code, times=ATTEMPTS, status=status)
    with pytest.raises(RecordsError, match=f"no whole answer in {ATTEMPTS} attempts; nothing was kept"):
        told(records)
    assert sum(records.waits[3:]) < 70


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        ("AccessDeniedException", "needs logs:FilterLogEvents"),
        ("ExpiredTokenException", "have expired; renew them"),
        ("SomethingNewException", r"it declined \(SomethingNewException\)"),
    ],
)
def test_a_refusal_says_what_to_do_and_is_not_repeated(server, code, cure):
    server.refuse(code)
    records = door(server)
    with pytest.raises(RecordsError, match=cure) as refused:
        told(records)
    assert "as it was asked for" not in str(refused.value)
    assert records.waits == []


def test_a_group_that_does_not_exist_is_named(server):
    with pytest.raises(RecordsError, match="a log group does not exist here"):
        told(door(server, groups=["/app/other"]))
    with pytest.raises(RecordsError, match="no log group /app/other; check "):
        door(server, groups=[GROUP, "/app/other"]).check()


def test_more_lines_than_are_taken_are_an_error_and_nothing_is_cut(server):
    fill(server, 6)
    assert len(told(door(server, errors_a_day=6))) == 6
    with pytest.raises(RecordsError, match="more than 5 lines of error logs and none were kept; name terms"):
        told(door(server, errors_a_day=5))


def test_without_region_or_credentials_the_error_says_what_to_set(server, monkeypatch):
    monkeypatch.setattr(boto3.session, "Session", _SESSION)
    with pytest.raises(RecordsError, match=r"set cloudwatch\.region"):
        told(door(server, region=None))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(RecordsError, match="it needs credentials"):
        told(door(server))


@pytest.mark.parametrize("text", ['{ $.level = "ERROR" }', "ERROR -s3", "?A ?B", "[a, b]", '"open', "a.b"])
def test_filters_that_are_more_than_terms_are_refused(text):
    with pytest.raises(ValueError, match=r"cloudwatch\.filter_terms takes words"):
        terms_of(text)
    assert terms_of(' ERROR "timed out" x_1 ') == ("ERROR", "timed out", "x_1")
    with pytest.raises(ValueError, match=r"cloudwatch\.log_groups names none"):
        CloudWatchRecords([])
