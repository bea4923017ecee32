"""The first stage from production services: the tables of files; who is late is seen, who is erased is not."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from signals_assets.resources.erasure import erase, traces_of
from signals_assets.tables import ErrorLog, Quarantined, RawSession
from signals_assets_tests.fakes.bigquery_server import PROJECT, BigQueryServer
from signals_assets_tests.fakes.cloudwatch_server import REGION, CloudWatchServer
from signals_assets_tests.home import Home
from signals_assets_tests.resources.session_source_contract import DAY, resumed, session
from signals_assets_tests.resources.test_bigquery_source import TEXTS, WHOSE, json_rows, make, put, texts

NEXT = DAY + timedelta(days=1)
FIRST_STAGE = ["raw_sessions", "quarantine", "error_logs"]
LINE = {
    "level": "error",
    "service": "search",
    "message": "timed out",
    "session_id": "a",
    "timestamp": "2026-01-05T10:00:00Z",
}
SESSIONS = [resumed("a"), session("b"), session("c", day=NEXT), session("", hour=12)]


@pytest.fixture
def bigquery() -> Iterator[BigQueryServer]:
    with BigQueryServer(page=2) as server:
        server.state.add_dataset("product", {})
        make(server, texts({**TEXTS, "steps": "STRING", "began": "TIMESTAMP"}))
        put(server, map(row, SESSIONS))
        yield server


def row(one: dict[str, Any]) -> dict[str, Any]:
    return json_rows(one)[0] | {"began": one["started_at"]}


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudWatchServer]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    with CloudWatchServer() as server:
        server.group("/app/search")
        server.put("/app/search", 1_767_607_200.0, json.dumps(LINE))
        server.put("/app/search", 1_767_607_201.0, "{cut")
        yield server


def served(folder: Path, bigquery: BigQueryServer, **more: Any) -> Home:
    return Home(
        folder,
        start_day=date(2026, 1, 1),
        session_source="bigquery",
        bigquery={"project": PROJECT, "endpoint": bigquery.origin, "patience_seconds": 3},
        bigquery_sessions={"table": f"{PROJECT}.product.conversations", "columns": {**WHOSE, "started_at": "began"}},
        **more,
    )


def test_sessions_from_bigquery_and_logs_from_cloudwatch_are_the_rows_of_files(
    tmp_path: Path, bigquery: BigQueryServer, cloudwatch: CloudWatchServer
) -> None:
    (tmp_path / "world/sessions").mkdir(parents=True)
    (tmp_path / "world/records").mkdir()
    (tmp_path / "world/sessions/own.jsonl").write_text("".join(json.dumps(one) + "\n" for one in SESSIONS))
    (tmp_path / "world/records/error_logs.jsonl").write_text(json.dumps(LINE) + "\n{cut\n")
    logs = {"log_groups": ["/app/search"], "region": REGION, "endpoint_url": cloudwatch.origin}
    with (
        Home(tmp_path / "files", tmp_path / "world") as files,
        served(tmp_path / "home", bigquery, records_from={"error_logs": "cloudwatch"}, cloudwatch=logs) as home,
    ):
        for one in (files, home):
            one.materialize(DAY, NEXT, only=FIRST_STAGE)
        for model in (RawSession, ErrorLog):
            assert home.rows(model) == files.rows(model) != []
        assert [row["session_id"] for row in home.rows(RawSession, DAY)] != []
        (bad,) = home.rows(Quarantined)
        assert (bad["reason"], bad["day"], bad["source_format"]) == ("bad_session_id", DAY, "canonical")
        shown = home.metadata("error_logs", DAY)
        assert (shown["coverage/asked"], shown["coverage/rejected"], shown["coverage/notes.rejected.invalid_json"]) == (
            2,
            1,
            1,
        )


def test_a_late_session_is_redone_once_and_an_erased_user_stays_away(tmp_path: Path, bigquery: BigQueryServer) -> None:
    with served(tmp_path / "home", bigquery) as home:
        home.materialize(DAY, NEXT, only=FIRST_STAGE)
        assert home.tick("late_sessions").run_requests == []
        put(bigquery, [row(session("late", hour=15))])
        (asked,) = home.tick("late_sessions").run_requests
        assert asked.partition_key == DAY.isoformat()
        home.materialize(DAY, only=FIRST_STAGE)
        assert len(home.rows(RawSession, DAY)) == 3
        assert home.tick("late_sessions").run_requests == []
        erase(home.doors, traces_of(home.doors, "user", "user of b"))
        home.materialize(DAY, only=FIRST_STAGE)
        assert sorted(row["source_session_id"] for row in home.rows(RawSession, DAY)) == ["a", "late"]
        assert home.metadata("raw_sessions", DAY)["coverage/skipped.erased"] == 1
        assert home.tick("late_sessions").run_requests == []
