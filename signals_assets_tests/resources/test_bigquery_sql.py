"""SQL for BigQuery: a person's query is read, checked and written anew; what no test can vouch for is banned."""

from datetime import UTC, date, datetime

import pytest
import sqlglot

from signals_assets.cli.summary import QUERIES
from signals_assets.core.taxonomy import fold
from signals_assets.core.taxonomy_sql import as_of_version
from signals_assets.resources.bigquery_sql import as_parameters, translated
from signals_assets.resources.stored_rows import WarehouseError
from signals_assets.tables import TABLES
from signals_assets_tests.fakes.bigquery_lint import banned

TABLE = "`p.d.events`"


def sent(sql: str) -> str:
    return translated(sql, ["events"], lambda name: f"SELECT `a` FROM `p.d.{name}`")


SHOWN = "(SELECT `a` FROM `p.d.events`) AS"


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        ("select a from events", f"SELECT a FROM {SHOWN} events"),
        ("select e.a from Events e", f"SELECT e.a FROM {SHOWN} e"),
        ("select a::bigint from events where a = ?", f"SELECT CAST(a AS INT64) FROM {SHOWN} events WHERE a = ?"),
        ("select * exclude (a) from main.events", f"SELECT * EXCEPT (a) FROM {SHOWN} events"),
    ],
)
def test_tables_become_what_is_shown_of_them(asked: str, made: str) -> None:
    assert sent(asked) == made


def test_a_name_of_the_statements_own_hides_a_table_where_it_is_known() -> None:
    hidden = sent("with events as (select a from events) select a from events")
    assert hidden.count(TABLE) == 1
    assert hidden.endswith("SELECT a FROM events")
    both = sent("with mine as (select 1 as a) select a from mine union all select a from events")
    assert both.count(TABLE) == 1
    qualified = sent("with events as (select a from main.events) select * from events join main.events e using (a)")
    assert qualified.count(TABLE) == 2


@pytest.mark.parametrize(
    "sql",
    [
        "select * from other",
        "select * from p.d.events",
        "select * from d.events",
        "select * from read_csv('/etc/hostname')",
        "select * from 'events.parquet'",
        "select * from information_schema.tables",
        "select 1; select 2",
        "delete from events",
        "insert into events select * from events",
        "create table mine as select 1",
        "with gone as (delete from events returning *) select * from gone",
        "select a from events where a in (select a from secrets)",
        "",
        "selekt 1",
    ],
)
def test_all_but_one_reading_statement_over_the_tables_is_refused(sql: str) -> None:
    with pytest.raises(WarehouseError):
        sent(sql)


def test_parameters_have_the_types_of_their_values() -> None:
    values = ["a", 1, 0.5, True, date(2026, 3, 2), datetime(2026, 3, 2, tzinfo=UTC), None]
    assert [one.type_ for one in as_parameters(values)] == [
        "STRING", "INT64", "FLOAT64", "BOOL", "DATE", "TIMESTAMP", "STRING",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("select date_sub(day, interval 1 day) from t", ["DATE_SUB"]),
        ("select w from t, unnest(words) as w with offset as n", ["WITH OFFSET"]),
        ("select extract(dayofweek from day) from t", ["DAYOFWEEK"]),
        ("select parse_timestamp('%F', a), format('%d', n) from t", ["FORMAT", "PARSE_TIMESTAMP"]),
        ("select approx_count_distinct(a) from t", ["APPROX_COUNT_DISTINCT"]),
        ("select array_agg(a order by a limit 3) from t", ["ARRAY_AGG with LIMIT"]),
        ("select farm_fingerprint(a) from t", ["FARM_FINGERPRINT"]),
        ("select 'format(1)', `format`, format from t where a = 'with offset'", []),
        ("select array_agg(a order by a) as few from t limit 3", []),
    ],
)
def test_words_that_the_local_server_answers_otherwise_are_found(sql: str, words: list[str]) -> None:
    assert list(banned(sql)) == words


@pytest.mark.parametrize("name", QUERIES)
def test_the_summary_speaks_plain_sql(name: str) -> None:
    made = translated(QUERIES[name], list(TABLES), lambda table: f"SELECT * FROM `p.d.{table}`")
    assert not banned(made)
    assert "ORDER BY ALL" not in made.upper(), "BigQuery orders by columns"
    assert sqlglot.parse_one(made, read="bigquery").sql("bigquery") == made


@pytest.mark.parametrize("name", ["friction_events", "unmet_needs", "facets", "user_days"])
def test_a_table_as_a_version_of_the_taxonomy_knew_it_can_be_asked_here_too(name: str) -> None:
    asked = as_of_version(f"select count(*) as n from {name}", fold([]))
    made = translated(asked, list(TABLES), lambda table: f"SELECT * FROM `p.d.{table}`")
    assert not banned(made)
    assert f"`p.d.{name}`" in made
    assert "MAX_BY" not in made, "BigQuery has no order of structs"
