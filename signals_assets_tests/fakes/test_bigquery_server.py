"""The local BigQuery, by the official client: what the real one refuses is refused here, too."""

import io
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import BadRequest, Conflict, InternalServerError, NotFound, PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery as bq

from signals_assets_tests.fakes.bigquery_server import LOCATION, PROJECT, BigQueryServer

DAY = date(2026, 3, 2)
AT = datetime(2026, 3, 2, 23, 59, 59, 123456, tzinfo=UTC)
SCHEMA = [
    bq.SchemaField("day", "DATE", mode="REQUIRED"),
    bq.SchemaField("name", "STRING"),
    bq.SchemaField("size", "FLOAT"),
    bq.SchemaField("words", "STRING", mode="REPEATED"),
    bq.SchemaField("at", "TIMESTAMP"),
]
ARROW = pa.schema(
    [
        pa.field("day", pa.date32(), nullable=False),
        pa.field("name", pa.string()),
        pa.field("size", pa.float64()),
        pa.field("words", pa.list_(pa.string())),
        pa.field("at", pa.timestamp("us", tz="UTC")),
    ]
)


@pytest.fixture
def server() -> Iterator[BigQueryServer]:
    with BigQueryServer(page=3) as running:
        yield running


@pytest.fixture
def client(server: BigQueryServer) -> bq.Client:
    made = bq.Client(
        project=PROJECT,
        location=LOCATION,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": server.origin},
    )
    made.create_dataset("ours")
    table = bq.Table(f"{PROJECT}.ours.things", schema=SCHEMA)
    table.time_partitioning = bq.TimePartitioning(type_="DAY", field="day")
    table.clustering_fields = ["name"]
    table.require_partition_filter = True
    made.create_table(table)
    return made


def rows(*names: str, day: date = DAY) -> list[dict[str, Any]]:
    return [{"day": day, "name": name, "size": 0.1, "words": ["a", name], "at": AT} for name in names]


def load(client: bq.Client, given: list[dict[str, Any]], *, to: str = "things$20260302", **options: Any) -> bq.LoadJob:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(given, schema=options.pop("arrow", ARROW)), file)
    parquet = bq.ParquetOptions()
    parquet.enable_list_inference = options.pop("lists", True)
    config = bq.LoadJobConfig(
        source_format="PARQUET", write_disposition="WRITE_TRUNCATE", schema=options.pop("schema", SCHEMA)
    )
    config.parquet_options = parquet
    size = None if options.pop("resumable", False) else len(file.getvalue())
    return client.load_table_from_file(file, f"ours.{to}", rewind=True, size=size, job_config=config, **options)


def ask(client: bq.Client, sql: str, *parameters: Any, **options: Any) -> list[dict[str, Any]]:
    config = bq.QueryJobConfig(query_parameters=parameters, **options)
    return [dict(row) for row in client.query_and_wait(sql, job_config=config, retry=None, job_retry=None)]


@pytest.mark.parametrize("resumable", [False, True])
def test_a_partition_is_replaced_as_a_whole_and_read_in_pages(client: bq.Client, resumable: bool) -> None:
    load(client, rows("old")).result()
    assert load(client, rows(*"edcba"), resumable=resumable).result().output_rows == 5
    found = client.query("select * from ours.things where day = '2026-03-02' order by name desc").result()
    assert [dict(row) for row in found] == rows(*"edcba")
    assert len(list(client.list_rows("ours.things"))) == 5


def test_rows_come_in_no_order_that_a_writer_gave(client: bq.Client) -> None:
    load(client, rows(*"dacb")).result()
    assert [row["name"] for row in client.list_rows("ours.things")] == [*"abcd"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"to": "things$20260303"}, "different partitions"),
        ({"lists": False}, "enableListInference"),
        ({"schema": [*SCHEMA, bq.SchemaField("more", "STRING")]}, "more"),
        ({"schema": [bq.SchemaField("day", "DATE"), *SCHEMA[1:]]}, "mode"),
        ({"arrow": pa.schema([ARROW.field(n) for n in range(5)]).set(0, pa.field("day", pa.date32()))}, "REQUIRED"),
    ],
    ids=["another day", "lists", "another column", "another mode", "nulls in a required column"],
)
def test_a_load_that_does_not_fit_fails_and_changes_nothing(client: bq.Client, changes: Any, words: str) -> None:
    load(client, rows("kept")).result()
    with pytest.raises(BadRequest, match=words):
        load(client, rows("new"), **changes).result()
    assert [row["name"] for row in client.list_rows("ours.things")] == ["kept"]


def test_a_job_id_is_used_once(client: bq.Client) -> None:
    load(client, rows("first"), job_id="one").result()
    with pytest.raises(Conflict):
        load(client, rows("second"), job_id="one")
    assert client.get_job("one").output_rows == 1
    assert [row["name"] for row in client.list_rows("ours.things")] == ["first"]


def test_a_misspelt_key_is_refused_by_the_discovery_document(server: BigQueryServer, client: bq.Client) -> None:
    table = bq.Table(f"{PROJECT}.ours.more", schema=SCHEMA)
    table._properties["clusterring"] = {"fields": ["name"]}
    with pytest.raises(BadRequest, match="clusterring"):
        client.create_table(table)


def test_parameters_by_name_and_by_position(client: bq.Client) -> None:
    load(client, rows(*"abc")).result()
    day, names = bq.ScalarQueryParameter("day", "DATE", DAY), bq.ArrayQueryParameter("names", "STRING", ["a", "c"])
    named = "select name from ours.things where day = @day and name in unnest(@names) order by name"
    assert ask(client, named, day, names) == [{"name": "a"}, {"name": "c"}]
    unnamed = [bq.ScalarQueryParameter(None, "DATE", DAY), bq.ScalarQueryParameter(None, "STRING", "b")]
    assert ask(client, "select name from ours.things where day = ? and name > ? and name <> '?'", *unnamed) == [
        {"name": "c"}
    ]


def test_a_query_without_the_filter_that_its_table_demands_is_refused(client: bq.Client) -> None:
    with pytest.raises(BadRequest, match="without a filter"):
        ask(client, "select name from ours.things")
    assert ask(client, "select count(*) as n from ours.things where day >= '2026-01-01'") == [{"n": 0}]


def test_bytes_are_told_by_a_dry_run_and_capped(client: bq.Client) -> None:
    load(client, rows(*"abc")).result()
    load(client, rows("d", day=date(2026, 3, 3)), to="things$20260303").result()
    sql = "select name, size from ours.things where day = '2026-03-02'"
    dry = client.query(sql, job_config=bq.QueryJobConfig(dry_run=True))
    assert dry.total_bytes_processed == 3 * (8 + 8 + 3)
    with pytest.raises(InternalServerError, match="bytes billed") as refusal:
        client.query(sql, job_config=bq.QueryJobConfig(maximum_bytes_billed=1000)).result(retry=None, job_retry=None)
    assert refusal.value.errors[0]["reason"] == "bytesBilledLimitExceeded"
    assert len(ask(client, sql, maximum_bytes_billed=10 * 2**20)) == 3


def test_partitions_with_rows_are_listed(client: bq.Client) -> None:
    load(client, rows(*"ab")).result()
    listed = f"select partition_id, total_rows from `{PROJECT}.ours.INFORMATION_SCHEMA.PARTITIONS`"
    assert ask(client, listed) == [{"partition_id": "20260302", "total_rows": 2}]
    client.delete_table("ours.things$20260302")
    assert ask(client, listed) == []


def test_rows_are_inserted_and_deleted_by_statements(client: bq.Client) -> None:
    statement = "insert into ours.things (day, name) values (@day, 'x')"
    config = bq.QueryJobConfig(query_parameters=[bq.ScalarQueryParameter("day", "DATE", DAY)])
    assert client.query(statement, job_config=config).result().num_dml_affected_rows == 1
    assert client.query("delete from ours.things where day = '2026-03-02'").result().num_dml_affected_rows == 1


def test_columns_are_added_and_relaxed_but_not_taken_away(client: bq.Client) -> None:
    load(client, rows("a")).result()
    table = client.get_table("ours.things")
    table.schema = [bq.SchemaField("day", "DATE"), *SCHEMA[1:], bq.SchemaField("more", "STRING", mode="REPEATED")]
    client.update_table(table, ["schema"])
    assert ask(client, "select more from ours.things where day > '2026-01-01'") == [{"more": []}]
    stale, table = table, client.get_table("ours.things")
    table.schema = table.schema[:4]
    with pytest.raises(BadRequest, match="missing"):
        client.update_table(table, ["schema"])
    client.update_table(client.get_table("ours.things"), ["labels"])
    with pytest.raises(PreconditionFailed):
        client.update_table(stale, ["labels"])


def test_views_are_read_through(client: bq.Client) -> None:
    load(client, rows(*"ab")).result()
    view = bq.Table(f"{PROJECT}.ours.shown")
    view.view_query = f"select name from `{PROJECT}.ours.things` where day > '2026-01-01'"
    client.create_table(view)
    assert ask(client, "select count(*) as n from ours.shown") == [{"n": 2}]


def test_a_job_may_take_its_time_and_may_fail(server: BigQueryServer, client: bq.Client) -> None:
    server.pending = 2
    assert load(client, rows("a"), job_id="slow").state == "RUNNING"
    assert client.get_job("slow").state == "RUNNING"
    assert client.get_job("slow").state == "RUNNING"
    assert client.get_job("slow").state == "DONE"
    server.pending = 0
    server.fail_loads(["invalid"])
    assert load(client, rows("b"), job_id="bad").error_result["reason"] == "invalid"
    with pytest.raises(NotFound):
        client.get_job("never")
