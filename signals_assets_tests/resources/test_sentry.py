"""Error logs from Sentry over real sockets, with its faults."""

import time
from datetime import UTC, date, datetime

import pytest

from signals_assets.core.records import error_log_rows
from signals_assets.resources.http import NotAnswered, RateLimited
from signals_assets.resources.records import RecordsError
from signals_assets.resources.sentry import SentryRecords
from signals_assets_tests.fakes.local_service import Reply
from signals_assets_tests.fakes.sentry_server import ORGANIZATION, SentryServer

DAY = date(2026, 1, 5)
TOKEN = "sntrys_token"


@pytest.fixture
def server():
    with SentryServer(token=TOKEN) as server:
        server.project("api")
        yield server


def door(server, projects=("api",), token=TOKEN, **values):
    waits = []
    values = {"base_url": server.origin, "timeout_seconds": 0.4, "sleep": waits.append, **values}
    records = SentryRecords(ORGANIZATION, projects, token, **values)
    records.waits = waits
    return records


def told(records, day=DAY):
    return list(records.records("error_logs", day))


def messages(records, day=DAY):
    return [one["message"] for one in told(records, day) if "message" in one]


def at(second, day=5):
    return f"2026-01-{day:02}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


def fill(server, count):
    """So many events; returns their messages as they are told: the newest first."""
    for number in range(count):
        server.event("api", at(number), f"ValueError: {number}")
    return [f"ValueError: {number}" for number in reversed(range(count))]


def tags(**values):
    return [{"key": key, "value": value} for key, value in values.items()]


def test_an_event_tells_time_level_service_session_user_and_message(server):
    server.event("api", "2026-01-05T10:00:00.5Z", "KeyError: 'x'", user={"id": "u-1", "email": "a@example.com"},
                 tags=tags(level="fatal", session_id="s-1"))  # fmt: skip
    server.event("api", at(1), "A long tex...", message="A long text that was logged", **{"event.type": "default"},
                 tags=tags(level="error", conversation="s-2", server_name="worker"))  # fmt: skip
    first, second = told(door(server))
    assert first == {
        "logged_at": datetime(2026, 1, 5, 10, 0, 0, 500_000, tzinfo=UTC).timestamp(), "service": "api",
        "level": "fatal", "message": "KeyError: 'x'", "session_id": "s-1", "user_id": "u-1",
    }  # fmt: skip
    assert (second["message"], second["session_id"]) == ("A long text that was logged", None)
    _, second = told(door(server, session_tag="conversation", service_tag="server_name"))
    assert (second["session_id"], second["service"]) == ("s-2", "worker")


def test_what_is_below_error_level_or_of_another_day_is_counted(server):
    for level in ("debug", "info", "warning", "error"):
        server.event("api", at(1), level, tags=tags(level=level))
    other = server.event("api", at(2), "of another day")
    whole = server.page

    def late(request, project):
        reply = whole(request, project)
        return Reply(
            200, [{**one, "dateCreated": at(1, 6)} if one == other else one for one in reply.content], reply.headers
        )

    server.page = late
    rows, coverage = error_log_rows(DAY, told(door(server)), key=bytes(32), known_on=DAY)
    assert [row.message for row in rows] == ["error"]
    assert (coverage.asked, coverage.skipped) == (5, {"below_error_level": 3, "other_day": 1})


def test_bad_events_are_rejected_by_their_reasons_and_named_in_coverage(server):
    broken = [
        {"dateCreated": "yesterday"}, {"title": "", "message": None}, {"title": None, "message": None, "tags": None},
        {"tags": ["level", None, {"key": "level"}], "user": "hers", "title": "kept"},
    ]  # fmt: skip
    events = [{**server.event("api", at(1)), **one} for one in broken]
    server.page = lambda request, project: Reply(200, [*events, "an event", None, 7], {"Link": ""})
    rows, coverage = error_log_rows(DAY, told(door(server)), key=bytes(32), known_on=DAY)
    assert [(row.message, row.level, row.user_id) for row in rows] == [("kept", "error", None)]
    named = {name: count for name, count in coverage.notes.items() if count}
    assert named == {"rejected.no_message": 2, "rejected.no_time": 1, "rejected.not_a_record": 3}
    assert (coverage.asked, coverage.rejected) == (7, 6)


def test_projects_are_told_one_after_the_other_and_checked(server):
    server.project("worker")
    server.event("worker", at(5), "of the worker")
    server.event("api", at(1), "of the api")
    records = door(server, projects=("api", "worker", "api"))
    assert messages(records) == ["of the api", "of the worker"]
    assert records.check() == "sentry: api, worker of team"
    with pytest.raises(RecordsError, match="project other of team: it does not exist or the token may not see it"):
        door(server, projects=("api", "other")).check()


def test_days_are_those_with_errors_among_the_kept_ones(server):
    for day, level in ((1, "error"), (3, "info"), (5, "error")):
        server.event("api", at(1, day), tags=tags(level=level))
    server.event("api", "2025-10-01T00:00:00Z")
    now = lambda: datetime(2026, 1, 6, 12, tzinfo=UTC).timestamp()  # noqa: E731
    assert door(server, now=now).days("error_logs") == [date(2026, 1, 1), date(2026, 1, 5)]
    assert door(server).days("releases") == list(door(server).records("releases", DAY)) == []


# --- pages ----------------------------------------------------------------------------------------------------------


def test_a_day_of_many_pages_is_told_whole_and_ends_where_no_results_follow(server):
    expected = fill(server, 250)
    records = door(server)
    stream = records.records("error_logs", DAY)
    assert next(stream)["message"] == expected[0]
    assert len(server.requests) == 1  # no page is asked for before it is needed
    assert [expected[0], *(one["message"] for one in stream)] == expected
    assert [request.query.get("cursor") for request in server.requests] == [None, "0:100:0", "0:200:0"]


def test_an_empty_page_in_the_middle_does_not_end_a_day(server):
    expected = fill(server, 300)
    whole = server.page

    def thin(request, project):
        reply = whole(request, project)
        return Reply(200, [], reply.headers) if request.query.get("cursor") == "0:100:0" else reply

    server.page = thin
    assert messages(door(server)) == expected[:100] + expected[200:]


@pytest.mark.parametrize("cursor", [lambda number: "0:100:0", lambda number: f"0:{number}:0"], ids=["again", "ever on"])
def test_cursors_that_repeat_or_never_end_are_an_error(server, monkeypatch, cursor):
    monkeypatch.setattr("signals_assets.resources.sentry.MOST_PAGES", 30)

    def page(request, project):
        told = cursor(len(server.requests))
        return Reply(200, [], {"Link": f'<x>; rel="next"; results="true"; cursor="{told}"'})

    server.page = page
    with pytest.raises(RecordsError, match="the pages of a day do not end; nothing was kept"):
        told(door(server))
    assert len(server.requests) <= 31


def test_a_full_page_without_a_link_is_an_error_and_not_the_end(server):
    fill(server, 150)
    whole = server.page
    server.page = lambda request, project: Reply(200, whole(request, project).content)
    with pytest.raises(RecordsError, match="lost its Link header"):
        told(door(server))


def test_every_fault_of_the_line_leaves_the_day_as_it_is(server):
    expected = fill(server, 1_000)
    server.chance(5, 0.3, ["error", "before", "after", "cut", "too_many"])
    assert messages(door(server)) == expected
    assert len(server.requests) > 10  # some were asked again


def test_a_service_that_does_not_answer_is_given_up_after_bounded_attempts(server):
    server.fail("hang", times=1)
    server.fail("error", times=4)
    records = door(server)
    with pytest.raises(NotAnswered, match="Sentry gave no answer in 5 attempts"):
        told(records)
    assert records.waits == [0.5, 1.0, 2.0, 4.0]


def test_a_limit_is_waited_out_until_its_reset_and_no_longer_than_patience(server):
    server.event("api", at(1), "kept")
    server.limited, server.wait = 1, 30
    records = door(server, now=time.time)
    assert messages(records) == ["kept"]
    assert 25 < records.waits[0] <= 30
    server.limited, server.wait = 1, 4_000
    with pytest.raises(RateLimited, match=r"asks to wait [34]\d{3} s"):
        told(door(server))


@pytest.mark.parametrize(
    ("status", "cure"),
    [(401, "set SENTRY_AUTH_TOKEN"), (403, "project:read"), (400, "HTTP 400; check"), (302, "HTTP 302")],
)
def test_a_refusal_says_what_to_do_and_nothing_of_its_answer(server, status, cure):
    server.page = lambda request, project: Reply(status, {"detail": "of hers"}, {"Location": "http://127.0.0.1:9/"})
    with pytest.raises(RecordsError, match=cure) as refused:
        told(door(server))
    assert "hers" not in str(refused.value)
    assert TOKEN not in f"{refused.value!r} {vars(door(server))}"


@pytest.mark.parametrize("content", [{"detail": "hers"}, "hers", 1, None])
def test_an_answer_that_is_no_list_is_an_error_without_its_content(server, content):
    server.page = lambda request, project: Reply(200, content)
    with pytest.raises(RecordsError, match="no list of events") as refused:
        told(door(server))
    assert "hers" not in str(refused.value)


def test_more_events_than_are_taken_are_an_error_and_nothing_is_cut(server):
    fill(server, 3)
    assert len(told(door(server, errors_a_day=3))) == 3
    with pytest.raises(RecordsError, match="more than 2 lines of error logs and none were kept; name fewer projects"):
        told(door(server, errors_a_day=2))


@pytest.mark.parametrize(
    ("organization", "projects"), [("", ["api"]), ("team", []), ("team", ["../other"]), ("a/b", ["c"])]
)
def test_names_that_are_no_slugs_are_refused(organization, projects):
    with pytest.raises(ValueError, match="slugs or numbers"):
        SentryRecords(organization, projects, TOKEN)
