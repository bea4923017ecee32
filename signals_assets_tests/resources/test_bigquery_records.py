"""Records from tables of the user's own in BigQuery over HTTP; releases and pull requests hold the common contract."""

from datetime import UTC, date, datetime, timedelta

import pytest
from google.cloud import bigquery as bq

from signals_assets.core.records import error_log_rows
from signals_assets.resources.bigquery_records import COLUMNS, NEEDED, BigQueryRecords
from signals_assets.resources.records import RECORD_KINDS, FileRecords, RecordsByKind, RecordsError
from signals_assets.resources.stored_rows import WarehouseError
from signals_assets_tests.fakes.bigquery_lint import banned
from signals_assets_tests.fakes.bigquery_server import PROJECT, BigQueryServer
from signals_assets_tests.resources.records_contract import RecordsContract
from signals_assets_tests.resources.test_bigquery_source import jobs_of, make, put, texts

DAY = date(2026, 1, 5)


@pytest.fixture
def server():
    with BigQueryServer(page=2) as server:
        server.state.add_dataset("product", {})
        yield server
        assert [word for one in server.asked("query") for word in banned(one["query"])] == []


def at(number, hour=12):
    return datetime(2026, 1, number, hour, tzinfo=UTC)


def door(server, folder, kind, table, **values):
    values = {"first_day": date(2026, 1, 1), "spool": folder / "spool", **values}
    return BigQueryRecords(jobs_of(server), kind, f"{PROJECT}.product.{table}", **values)


def told(records, kind, day=DAY):
    return list(records.records(kind, day))


class TestBigQueryHoldsTheContract(RecordsContract):
    @pytest.fixture
    def records(self, server, tmp_path):
        times = {"opened": "TIMESTAMP", "merged": "TIMESTAMP", "closed_at": "TIMESTAMP"}
        changed = bq.SchemaField("files", "STRING", mode="REPEATED").to_api_repr()
        make(server, [*texts({"id": "INT64", "title": "STRING", "branch": "STRING", "body": "STRING", "state": "STRING",
                              **times}), changed], "pulls", partitioned=False)  # fmt: skip
        put(server, [
            {"id": 1, "title": "Search keeps its words", "branch": "maria/search", "body": "For SIG-0A1B2C3D.",
             "state": "closed", "opened": at(5), "merged": at(6), "files": ["src/search.py"]},
            {"id": 2, "title": "Try again", "branch": "try", "state": "closed", "opened": at(6, 13), "closed_at": at(8),
             "files": []},
            {"id": 3, "title": "Answer in the end", "branch": "end", "state": "open", "opened": at(8, 13), "files": []},
        ], "pulls")  # fmt: skip
        brought = bq.SchemaField("brought", "STRING", mode="REPEATED").to_api_repr()
        make(server, [*texts({"tag": "STRING", "released_at": "TIMESTAMP"}), brought], "versions", partitioned=False)
        put(server, [{"tag": "1.1.0", "released_at": at(7, 9), "brought": ["1"]},
                     {"tag": "1.0.0", "released_at": at(4, 9), "brought": []}], "versions")  # fmt: skip
        names = {"pull_request_id": "id", "branch": "branch", "body": "body", "opened_at": "opened",
                 "merged_at": "merged", "closed_at": "closed_at", "files": "files"}  # fmt: skip
        pulls = door(server, tmp_path, "pull_requests", "pulls", columns=names)
        columns = {"version": "tag", "pull_request_ids": "brought"}
        return RecordsByKind(
            FileRecords(None),
            {"releases": door(server, tmp_path, "releases", "versions", columns=columns), "pull_requests": pulls},
        )


def logs(server, rows):
    columns = {
        "logged_at": "TIMESTAMP",
        "component": "STRING",
        "level": "STRING",
        "message": "STRING",
        "conv": "STRING",
    }
    make(server, texts(columns), "logs")
    put(server, rows, "logs")


def test_lines_of_a_log_are_told_in_order_from_the_days_partition_and_its_neighbours(server, tmp_path):
    line = {"component": "db", "level": "ERROR", "conv": "s"}
    logs(server, [
        {**line, "day": DAY, "logged_at": at(5, 14), "message": "second"},
        {**line, "day": DAY, "logged_at": at(5, 13), "message": "first"},
        {**line, "day": DAY + timedelta(days=1), "logged_at": at(5, 23), "message": "of another zone's day"},
        {**line, "day": DAY, "logged_at": at(6, 1), "message": "of the next day"},
        {**line, "day": DAY + timedelta(days=2), "logged_at": at(5), "message": "out of reach"},
        {**line, "day": DAY, "logged_at": at(9), "message": "far from its partition"},
        {**line, "day": DAY, "logged_at": at(5), "level": "info", "message": "no error"},
        {**line, "day": DAY, "message": "undated"},
        {**line, "day": DAY, "logged_at": at(5)},
    ])  # fmt: skip
    records = door(server, tmp_path, "error_logs", "logs", day_column="day",
                   columns={"service": "component", "level": "level", "session_id": "conv"})  # fmt: skip
    rows, coverage = error_log_rows(DAY, records.records("error_logs", DAY), key=bytes(32), known_on=DAY)
    assert [(row.message, row.service) for row in rows] == [
        ("first", "db"), ("second", "db"), ("of another zone's day", "db"),
    ]  # fmt: skip
    assert {name: count for name, count in coverage.notes.items() if count} == {
        "rejected.no_message": 1, "rejected.no_time": 1, "rejected.out_of_reach": 1,
    }  # fmt: skip
    assert coverage.skipped == {"below_error_level": 1}
    asked = server.asked("query")[-1]
    assert [one["parameterValue"]["value"] for one in asked["queryParameters"]] == ["2026-01-04", "2026-01-06"]
    assert [one for one in told(records, "error_logs", date(2026, 1, 7)) if "rejected" in one] == [
        {"rejected": "out_of_reach"}
    ]
    assert records.days("error_logs") == [DAY, DAY + timedelta(days=1), date(2026, 1, 9)]
    assert told(records, "error_logs") == told(records, "error_logs")


def test_more_lines_than_are_taken_and_pages_that_come_short_are_errors(server, tmp_path):
    rows = [{"day": DAY, "logged_at": at(5), "message": f"{number}", "level": "error"} for number in range(5)]
    logs(server, rows)
    records = door(server, tmp_path, "error_logs", "logs", day_column="day", errors_a_day=4)
    with pytest.raises(RecordsError, match="more than 4 lines of error logs and none were kept"):
        told(records, "error_logs")
    server.short = 1
    with pytest.raises(WarehouseError, match="no next page"):
        told(records, "error_logs")


def test_thumbs_and_outcomes_are_read_by_their_columns_and_bad_rows_are_told_once(server, tmp_path):
    make(server, texts({"conv": "STRING", "thumb": "STRING", "given_at": "TIMESTAMP", "why": "STRING"}), "thumbs")
    put(server, [{"day": DAY, "conv": "s", "thumb": "up", "given_at": at(5), "why": "nice"},
                 {"day": DAY, "conv": "s", "thumb": "sideways", "given_at": at(5)}], "thumbs")  # fmt: skip
    names = {"session_id": "conv", "rating": "thumb", "comment": "why"}
    thumbs = door(server, tmp_path, "feedback", "thumbs", day_column="day", columns=names)
    first, bad = told(thumbs, "feedback")
    assert (first["session_id"], first["rating"], first["comment"]) == ("s", 1, "nice")
    assert bad == {"rejected": "no_rating"}
    assert told(thumbs, "feedback", DAY + timedelta(days=1)) == told(thumbs, "feedback", DAY - timedelta(days=1)) == []

    make(
        server,
        texts({"user_id": "INT64", "outcome": "STRING", "happened_at": "TIMESTAMP"}),
        "outcomes",
        partitioned=False,
    )
    put(server, [{"user_id": 7, "outcome": "churned", "happened_at": at(5)},
                 {"user_id": 8, "outcome": "churned"}], "outcomes")  # fmt: skip
    outcomes = door(server, tmp_path, "user_outcomes", "outcomes")
    assert told(outcomes, "user_outcomes") == [
        {"user_id": "7", "outcome": "churned", "happened_at": at(5).timestamp()}, {"rejected": "no_time"},
    ]  # fmt: skip
    assert told(outcomes, "user_outcomes", DAY + timedelta(days=1)) == []
    assert outcomes.check() == f"bigquery: {PROJECT}.product.outcomes"


def test_every_kind_needs_columns_that_it_has_and_others_are_refused(tmp_path):
    assert set(COLUMNS) == set(NEEDED) == set(RECORD_KINDS)
    for kind in RECORD_KINDS:
        assert set(NEEDED[kind]) <= set(COLUMNS[kind])
        values = {"columns": {"secret": "x"}, "first_day": DAY, "spool": tmp_path}
        with pytest.raises(ValueError, match=f"no such columns of {kind}: secret"):
            BigQueryRecords(None, kind, f"{PROJECT}.product.t", **values)
