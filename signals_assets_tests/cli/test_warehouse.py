"""`signals warehouse`: what is printed is what is made."""

import json
from pathlib import Path

import pytest

from signals_assets.tables import TABLES
from signals_assets_tests.fakes.bigquery_server import PROJECT, BigQueryServer


@pytest.fixture
def project(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SIGNALS_BIGQUERY__PROJECT", PROJECT)
    return PROJECT


def test_ddl_prints_every_table_and_who_may_read_it_and_asks_nobody(signals, project, tmp_path, monkeypatch):
    monkeypatch.setenv("SIGNALS_BIGQUERY__ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("SIGNALS_BIGQUERY__ANALYSTS", "group:analysts@x.test")
    file = tmp_path / "ddl.json"
    output = signals("warehouse", "ddl", "--json", file).output
    for name, model in TABLES.items():
        assert f"CREATE TABLE IF NOT EXISTS `{project}.signals_{model.zone}.{name}`" in output
    found = json.loads(file.read_bytes())
    assert all(f"{statement};" in output for statement in found["statements"])
    readers = [row["dataset"] for row in found["who"] if row["who"] == "group:analysts@x.test"]
    assert readers == ["signals_abstracted", "signals_published", "signals_counts"]
    assert found["authorised_views"]["signals_abstracted"] == ["user_days"]


def test_setup_makes_what_ddl_prints(signals, project, monkeypatch):
    with BigQueryServer() as server:
        monkeypatch.setenv("SIGNALS_BIGQUERY__ENDPOINT", server.origin)
        output = signals("warehouse", "setup").output
        assert "signals_published" in output
        assert {name for _, name in server.state.tables} == {*TABLES, "empty_days"}


def test_without_a_project_the_setting_is_named(signals, empty_home):
    assert "SIGNALS_BIGQUERY__PROJECT" in signals("warehouse", "ddl", code=1).output


def test_the_doctor_asks_bigquery(signals, project, tmp_path, monkeypatch):
    monkeypatch.setenv("SIGNALS_WAREHOUSE", "bigquery")
    with BigQueryServer() as server:
        monkeypatch.setenv("SIGNALS_BIGQUERY__ENDPOINT", server.origin)
        signals("doctor", "--json", tmp_path / "found.json")
    states = {row["door"]: row for row in json.loads((tmp_path / "found.json").read_bytes())["doors"]}
    assert states["warehouse"]["answer"] == f"BigQuery, project {PROJECT}: 0 tables, 0 table days"


def test_views_for_a_shell_are_of_files_only(signals, project, monkeypatch):
    monkeypatch.setenv("SIGNALS_WAREHOUSE", "bigquery")
    assert "signals warehouse ddl" in signals("sql", "--init", code=2).output
