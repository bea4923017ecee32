"""Records from services and sessions from BigQuery as the settings choose them; what cannot work is refused."""

import pytest

from signals_assets.resources import DoorError, resources_for
from signals_assets.settings import Settings
from signals_assets_tests.fakes.sentry_server import SentryServer


@pytest.fixture(autouse=True)
def _no_token(monkeypatch):
    monkeypatch.delenv("SENTRY_AUTH_TOKEN", raising=False)


@pytest.mark.parametrize(
    ("source", "values", "missing"),
    [
        ("cloudwatch", {}, r"cloudwatch\.log_groups names none"),
        ("cloudwatch", {"log_groups": ["a"], "filter_terms": "?A"}, r"cloudwatch\.filter_terms takes words"),
        ("sentry", {}, "needs a token: set SENTRY_AUTH_TOKEN"),
        ("sentry", {"token": "t"}, "slugs or numbers, at least one of each"),
        (
            "sentry",
            {"token": "t", "organization": "o", "projects": ["p"], "base_url": "ftp://x"},
            r"sentry\.base_url must",
        ),
    ],
)
def test_what_cannot_work_is_refused_when_the_door_is_opened(source, values, missing, tmp_path):
    settings = Settings(home=tmp_path, records_from={"error_logs": source}, **{source: values})
    with pytest.raises(DoorError, match=f"records_from.error_logs = '{source}'.*{missing}"):
        resources_for(settings)


def test_cloudwatch_without_its_client_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    settings = Settings(home=tmp_path, records_from={"error_logs": "cloudwatch"}, cloudwatch={"log_groups": ["a"]})
    with pytest.raises(DoorError, match=r"pip install 'signals-assets\[aws\]'"):
        resources_for(settings)


def test_error_logs_come_from_the_chosen_service_and_the_rest_from_the_folder(tmp_path, monkeypatch):
    with SentryServer(token="sntrys_1") as server:
        server.project("api")
        server.event("api", "2026-01-05T10:00:00Z", "KeyError: 'x'")
        monkeypatch.setenv("SENTRY_AUTH_TOKEN", "sntrys_1")
        sentry = {"organization": "team", "projects": ["api"], "base_url": server.origin}
        settings = Settings(home=tmp_path, records_from={"error_logs": "sentry"}, sentry=sentry)
        records = resources_for(settings)["records"]
        assert records.check().endswith("; error_logs from sentry: api of team")
        day = settings.start_day.replace(day=5)
        assert [one["message"] for one in records.records("error_logs", day)] == ["KeyError: 'x'"]
        assert list(records.records("releases", day)) == []
    assert "sntrys_1" not in repr(settings)


def test_a_cloudwatch_door_is_opened_without_asking_anything(tmp_path):
    settings = Settings(
        home=tmp_path,
        records_from={"error_logs": "cloudwatch"},
        cloudwatch={"log_groups": ["/app/api"], "fields": {"session_id": "ctx.conversation"}, "filter_terms": "ERROR"},
    )
    assert type(resources_for(settings)["records"]).__name__ == "RecordsByKind"


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({"session_source": "bigquery"}, "session_source = 'bigquery' needs a project: set SIGNALS_BIGQUERY__PROJECT"),
        (
            {"session_source": "bigquery", "bigquery": {"project": "p"}},
            "bigquery_sessions: '' is no table; write project",
        ),
        (
            {"session_source": "bigquery", "bigquery": {"project": "p"}, "user_from": {"kind": "folder"}},
            "user_from is for files: name the user's column",
        ),
        (
            {"records_from": {"feedback": "bigquery"}, "bigquery": {"project": "p"}},
            "records_from.feedback = 'bigquery' needs bigquery_records.feedback.table",
        ),
        (
            {
                "records_from": {"feedback": "bigquery"},
                "bigquery": {"project": "p"},
                "bigquery_records": {"feedback": {"table": "my-project.a.b", "columns": {"mood": "x"}}},
            },
            "bigquery_records.feedback: no such columns of feedback: mood",
        ),
    ],
)
def test_tables_in_bigquery_are_refused_with_what_to_set(values, missing, tmp_path):
    with pytest.raises(DoorError, match=missing):
        resources_for(Settings(home=tmp_path, **values))


def test_one_kind_of_records_comes_from_a_table_and_the_rest_from_the_folder(tmp_path):
    settings = Settings(
        home=tmp_path,
        bigquery={"project": "my-project"},
        records_from={"user_outcomes": "bigquery"},
        bigquery_records={"user_outcomes": {"table": "my-project.crm.events", "columns": {"outcome": "kind"}}},
    )
    records = resources_for(settings)["records"]
    assert records.days("releases") == []  # of the folder: nobody was asked
