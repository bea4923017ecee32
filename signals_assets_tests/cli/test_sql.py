"""`signals sql`: reading, refusing to write, zones."""

import json

import duckdb
import pytest

from signals_assets.tables import TABLES, FrictionRate


def test_a_query_prints_rows_and_writes_them_as_json(signals, lived_home, lived, tmp_path):
    file = tmp_path / "rows.json"
    output = signals("sql", "select count(*) as n from friction_rates", "--json", file).output
    expected = len(lived.rows(FrictionRate))
    assert json.loads(file.read_bytes()) == [{"n": expected}]
    assert str(expected) in output


def test_the_restricted_zone_is_left_out_unless_asked_for(signals, lived_home):
    assert "raw_sessions" in signals("sql", "select * from raw_sessions", code=1).output
    output = signals("sql", "--zone", "restricted", "select count(*) > 0 as some from raw_sessions").output
    assert "True" in output
    listed = signals("sql", "show tables").output
    shown = {name for name in TABLES if f"{name} " in listed}
    assert shown == {name for name, model in TABLES.items() if model.zone != "restricted"}


@pytest.mark.parametrize(
    "writing",
    [
        "delete from friction_rates",
        "create table mine as select 1",
        "copy friction_rates to 'out.csv'",
        "attach 'other.db'",
        "select * from read_csv('/etc/passwd')",
    ],
)
def test_writing_and_foreign_files_are_refused(signals, lived_home, writing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert signals("sql", writing, code=1).output.startswith("Error: ")
    assert sorted(tmp_path.iterdir()) == before


def test_a_wrong_query_is_told_in_one_line_without_a_traceback(signals, lived_home):
    assert signals("sql", "select nonsense from friction_rates", code=1).output.startswith("Error: ")
    assert "give a query" in signals("sql", code=2).output


def test_long_answers_are_cut_and_say_so(signals, lived_home):
    assert "first 2 shown" in signals("sql", "--limit", 2, "select type from friction_rates").output


def test_the_views_open_in_any_duckdb_shell(signals, lived_home, lived):
    views = signals("sql", "--init").output
    connection = duckdb.connect()
    connection.execute(views)
    assert connection.execute("select count(*) from friction_rates").fetchone() == (len(lived.rows(FrictionRate)),)
    with pytest.raises(duckdb.CatalogException):
        connection.execute("select * from raw_sessions")
