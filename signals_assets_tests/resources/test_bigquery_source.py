"""Sessions from tables of the user's own in BigQuery over HTTP, and the same contract on files."""

import json
import re
from datetime import date, datetime, timedelta

import pytest
from google.cloud import bigquery as bq

from signals_assets.core.readers import Rejected
from signals_assets.resources.bigquery_connection import BigQueryConnection, BigQueryJobs
from signals_assets.resources.bigquery_reading import OwnTable
from signals_assets.resources.bigquery_source import BigQuerySessionSource
from signals_assets.resources.session_source import FileSessionSource
from signals_assets.resources.stored_rows import WarehouseError
from signals_assets_tests.fakes.bigquery_lint import banned
from signals_assets_tests.fakes.bigquery_server import LOCATION, PROJECT, BigQueryServer
from signals_assets_tests.resources.session_source_contract import (
    DAY,
    SessionSourceContract,
    at,
    reasons_of,
    resumed,
    session,
    sessions_of,
)

TABLE = f"{PROJECT}.product.conversations"
TEXTS = {"conversation": "STRING", "who": "STRING", "org": "STRING", "bot": "STRING", "release": "STRING",
         "llm": "STRING", "prompt": "STRING"}  # fmt: skip
WHOSE = {"session_id": "conversation", "user_id": "who", "organization_id": "org", "agent_name": "bot",
         "agent_version": "release", "agent_model": "llm", "prompt_version": "prompt"}  # fmt: skip
STEP = {"role": "STRING", "words": "STRING", "moment": "TIMESTAMP", "tool": "STRING", "call": "STRING",
        "input": "STRING", "actor": "STRING", "outcome": "STRING"}  # fmt: skip
OF_STEP = {"kind": "role", "text": "words", "at": "moment", "tool_name": "tool", "tool_call_id": "call",
           "arguments": "input", "by": "actor", "status": "outcome"}  # fmt: skip


@pytest.fixture
def server():
    with BigQueryServer(page=2) as server:
        server.state.add_dataset("product", {})
        yield server
        assert [word for one in server.asked("query") for word in banned(one["query"])] == []


def jobs_of(server, **values):
    connection = BigQueryConnection(project=PROJECT, location=LOCATION, endpoint=server.origin)
    return BigQueryJobs(
        connection, **{"maximum_bytes_billed": 10**9, "patience_seconds": 3, "first_wait": 0.01} | values
    )


def make(server, fields, name="conversations", *, partitioned=True):
    """A table of the product's; partitioned ones have a column `day`, which every query must name."""
    day = bq.SchemaField("day", "DATE").to_api_repr()
    by_day = {"timePartitioning": {"type": "DAY", "field": "day"}, "requirePartitionFilter": True}
    server.state.add_table(
        ("product", name),
        {
            "tableReference": {"projectId": PROJECT, "datasetId": "product", "tableId": name},
            "type": "TABLE",
            "schema": {"fields": [day, *fields] if partitioned else fields},
            **(by_day if partitioned else {}),
        },
    )


def texts(columns):
    return [bq.SchemaField(name, kind).to_api_repr() for name, kind in columns.items()]


def put(server, rows, name="conversations"):
    for row in rows:
        marks = ", ".join("?" for _ in row)
        server.state.db.execute(f"INSERT INTO product.{name} ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def day_of(text):
    return datetime.fromisoformat(text).date()


def whose(one):
    agent = one["agent"]
    return {"conversation": one["session_id"] or None, "who": one.get("user_id"), "org": one.get("organization_id"),
            "bot": agent["name"], "release": agent.get("version"), "llm": agent.get("model"),
            "prompt": agent.get("prompt_version")}  # fmt: skip


class Opened:
    """The contract's fixture for one shape of table."""

    def __init__(self, server, folder, fields, rows_of, **values):
        self.server, self.folder, self.rows_of, self.values = server, folder, rows_of, values
        make(server, fields)

    def add(self, sessions):
        put(self.server, [row for one in sessions for row in self.rows_of(one)])

    def __call__(self, sessions, erased=None):
        self.add(sessions)
        return BigQuerySessionSource(
            jobs_of(self.server),
            TABLE,
            first_day=date(2026, 1, 1),
            spool=self.folder / "spool",
            erased=erased,
            **self.values,
        )


def json_rows(one):
    return [{"day": day_of(one["started_at"]), **whose(one), "steps": json.dumps(one["steps"])}]


def whole_rows(one):
    return [{"day": day_of(one["started_at"]), "payload": json.dumps(one)}]


def record_rows(one):
    names = ("kind", "text", "at", "tool_name", "tool_call_id", "arguments", "by", "status")
    steps = [{name: step.get(name) for name in names} for step in one["steps"]]
    steps = [step | {"arguments": step["arguments"] and json.dumps(step["arguments"])} for step in steps]
    return [{"day": day_of(one["started_at"]), **whose(one), "began": one["started_at"], "steps": steps}]


ROLES = {"user_message": "User", "assistant_message": "assistant", "tool_result": "tool"}


def step_rows(one):
    return [
        {
            "day": day_of(step["at"]),
            **whose(one),
            **{theirs: step.get(ours) for ours, theirs in OF_STEP.items()},
            "role": ROLES.get(step["kind"], step["kind"]),
            "input": step.get("arguments") and json.dumps(step["arguments"]),
        }
        for step in reversed(one["steps"])
    ]


def of_json(server, folder):
    return Opened(server, folder, texts({**TEXTS, "steps": "STRING"}), json_rows, columns=WHOSE)


def of_steps(server, folder):
    return Opened(server, folder, texts({**TEXTS, **STEP}), step_rows, shape="steps", columns={**WHOSE, **OF_STEP})


class TestFilesHoldTheContract(SessionSourceContract):
    @pytest.fixture
    def source(self, tmp_path):
        return Files(tmp_path)


class Files:
    def __init__(self, folder):
        self.folder = folder
        (folder / "in").mkdir()

    def add(self, sessions):
        number = len(list((self.folder / "in").iterdir()))
        lines = "".join(json.dumps(one) + "\n" for one in sessions)
        (self.folder / "in" / f"{number}.jsonl").write_text(lines)

    def __call__(self, sessions, erased=None):
        self.add(sessions)
        return FileSessionSource([self.folder / "in"], spool=self.folder / "spool", erased=erased)


class TestStepsAsTextHoldTheContract(SessionSourceContract):
    @pytest.fixture
    def source(self, server, tmp_path):
        return of_json(server, tmp_path)


class TestWholeSessionsHoldTheContract(SessionSourceContract):
    @pytest.fixture
    def source(self, server, tmp_path):
        return Opened(server, tmp_path, texts({"payload": "JSON"}), whole_rows, columns={"session": "payload"})


class TestRepeatedRecordsHoldTheContract(SessionSourceContract):
    @pytest.fixture
    def source(self, server, tmp_path):
        names = ("kind", "text", "tool_name", "tool_call_id", "arguments", "by", "status")
        fields = [bq.SchemaField(name, "STRING") for name in names]
        fields.insert(2, bq.SchemaField("at", "TIMESTAMP"))
        steps = bq.SchemaField("steps", "RECORD", mode="REPEATED", fields=fields).to_api_repr()
        columns = [*texts({**TEXTS, "began": "TIMESTAMP"}), steps]
        return Opened(server, tmp_path, columns, record_rows, columns={**WHOSE, "started_at": "began"})


class TestRowsOfStepsHoldTheContract(SessionSourceContract):
    @pytest.fixture
    def source(self, server, tmp_path):
        return of_steps(server, tmp_path)


# --- what is BigQuery's own -----------------------------------------------------------------------------------------


def test_all_shapes_tell_the_same_sessions_as_files(server, tmp_path):
    given = [resumed("a"), session("b", steps=7), session("c", hour=23.9, steps=20)]
    (tmp_path / "files").mkdir()
    expected = Files(tmp_path / "files")(given)
    steps = of_steps(server, tmp_path)(given)
    for day in (DAY, DAY + timedelta(days=1)):
        told = {
            name: [
                (item.key, item.user_id, [(s.kind, s.text, s.at) for s in item.steps]) for item in sessions_of(one, day)
            ]
            for name, one in (("files", expected), ("steps", steps))
        }
        assert told["steps"] == sorted(told["files"])


def test_values_are_parameters_and_only_partitions_within_reach_are_read(server, tmp_path):
    given = [session(f"s{number}", day=DAY + timedelta(days=number)) for number in range(-10, 11)]
    source = of_json(server, tmp_path)(given)
    assert [item.session_id for item in sessions_of(source)] == ["s0"]
    asked = server.asked("query")[-1]
    assert {one["name"]: one["parameterValue"]["value"] for one in asked["queryParameters"]} == {
        "first": "2026-01-04", "last": "2026-01-06",
    }  # fmt: skip
    assert "2026" not in asked["query"]
    assert asked["maximumBytesBilled"] == str(10**9)
    assert [job["configuration"]["labels"]["verb"] for job in server.jobs.values()] == ["sessions"]


def test_a_day_that_would_read_too_much_is_refused_and_no_session_is_lost_silently(server, tmp_path):
    source = of_json(server, tmp_path)([session("a")])
    server.refuse(500, "bytesBilledLimitExceeded", fits="/queries")
    with pytest.raises(WarehouseError, match=r"sessions of 2026-01-05 .*maximum_bytes_billed"):
        list(source.sessions(DAY))


def test_pages_that_come_short_are_an_error(server, tmp_path):
    source = of_json(server, tmp_path)([session(f"s{number}") for number in range(6)])
    server.short = 1
    with pytest.raises(WarehouseError, match=r"gave .* rows and no next page"):
        list(source.sessions(DAY))
    assert source.counts() == {DAY: 6}  # nothing was noted of the day that broke


def test_faults_of_the_line_leave_a_day_as_it_is(server, tmp_path):
    source = of_json(server, tmp_path)([session(f"s{number}") for number in range(9)])
    server.chance(4, 0.2, ["error", "before", "after", "cut"])
    assert [item.session_id for item in sessions_of(source)] == [f"s{number}" for number in range(9)]


def test_bad_rows_are_set_aside_on_the_day_of_their_partition_and_many_are_counted_together(server, tmp_path):
    source = of_json(server, tmp_path)([session("a")])
    bad = {"day": DAY, **whose(session("x"))}
    put(server, [bad | {"steps": text} for text in ("{broken", '"no list"', None)])
    put(server, [bad | {"steps": '{"a":' * 100_000}])
    put(server, [bad | {"steps": "[7]", "conversation": "seven"}])
    assert reasons_of(source) == {"invalid_json": 1, "not_a_session": 2, "too_deep": 1}
    (seven,) = [item for item in sessions_of(source) if item.session_id == "seven"]
    assert (seven.notes, seven.start_known_from, seven.day) == ({"step_unreadable": 1}, "file", DAY)
    assert reasons_of(source, DAY + timedelta(days=1)) == {}
    put(server, [bad | {"steps": "broken"} for _ in range(150)])
    rejected = [item for item in source.sessions(DAY) if isinstance(item, Rejected)]
    assert len(rejected) < 110
    assert reasons_of(source)["invalid_json"] == 151
    assert len({(item.position, item.reason) for item in rejected}) == len(rejected)


def test_the_same_session_twice_is_kept_where_it_has_more_steps(server, tmp_path):
    source = of_json(server, tmp_path)([session("a", steps=2), session("a", steps=5), session("a", steps=3)])
    assert [len(item.steps) for item in sessions_of(source)] == [5]
    assert reasons_of(source) == {"duplicate_session": 2}


def test_a_segment_out_of_reach_is_named_and_a_wider_reach_tells_it(server, tmp_path):
    make_source = of_json(server, tmp_path)
    source = make_source([resumed("a", after=4)])
    assert reasons_of(source) == {"out_of_reach": 1}
    make_source.values["reach_days"] = 4
    wider = make_source([])
    assert reasons_of(wider) == {}
    assert [item.key for item in sessions_of(wider, DAY + timedelta(days=4))] == ["a.1"]


def test_rows_of_steps_number_a_segment_by_the_days_since_the_first_step(server, tmp_path):
    source = of_steps(server, tmp_path)([resumed("a", after=3), session("b", day=DAY + timedelta(days=3))])
    assert [item.key for item in sessions_of(source)] == ["a"]
    assert [item.key for item in sessions_of(source, DAY + timedelta(days=3))] == ["a.3", "b"]


def test_steps_of_one_moment_keep_the_tables_own_order(server, tmp_path):
    make(server, texts({**TEXTS, **STEP, "turn": "INT64"}))
    rows = [{**step_rows(session("a", steps=1))[0], "words": f"{number}", "turn": number} for number in (2, 0, 1)]
    put(server, rows)
    source = BigQuerySessionSource(
        jobs_of(server), TABLE, shape="steps", columns={**WHOSE, **OF_STEP, "order": "turn"}, kinds={"user": "event"},
        first_day=DAY, spool=tmp_path / "spool",
    )  # fmt: skip
    (told,) = sessions_of(source)
    assert [(step.kind, step.text) for step in told.steps] == [("event", "0"), ("event", "1"), ("event", "2")]


def test_a_day_leaves_nothing_but_counts_on_disk(server, tmp_path):
    source = of_json(server, tmp_path)([session("secret-session")])
    stream = source.sessions(DAY)
    assert next(stream).session_id == "secret-session"
    assert [path for path in (tmp_path / "spool").rglob("*") if path.is_file()] == []
    list(stream)
    (left,) = [path for path in (tmp_path / "spool").rglob("*") if path.is_file()]
    assert json.loads(left.read_text()) == {TABLE: {"2026-01-05": [1, 1]}}
    assert (source.forget({"secret-session"}), source.expire(datetime.now().astimezone()), source.set_aside("x")) == (
        0,
        0,
        [],
    )


def test_check_tries_the_statement_and_names_a_column_that_is_missing(server, tmp_path):
    source = of_json(server, tmp_path)([])
    assert source.check() == f"bigquery: {TABLE}, a row is one of the sessions"
    put(server, [{**whose(session("a")), "steps": "[]"}, {**whose(session("b")), "steps": "[]"}])
    assert source.check().endswith("; 2 rows without day are never read")
    wrong = BigQuerySessionSource(
        jobs_of(server), TABLE, columns={"session_id": "no_such"}, first_day=DAY, spool=tmp_path
    )
    with pytest.raises(WarehouseError, match="no_such"):
        wrong.check()


RESERVED = {
    "all", "and", "any", "array", "as", "asc", "at", "between", "by", "case", "cast", "collate", "contains", "create",
    "cross", "cube", "current", "default", "define", "desc", "distinct", "else", "end", "enum", "escape", "except",
    "exclude", "exists", "extract", "false", "fetch", "following", "for", "from", "full", "group", "grouping", "groups",
    "hash", "having", "if", "ignore", "in", "inner", "intersect", "interval", "into", "is", "join", "lateral", "left",
    "like", "limit", "lookup", "merge", "natural", "new", "no", "not", "null", "nulls", "of", "on", "or", "order",
    "outer", "over", "partition", "preceding", "proto", "qualify", "range", "recursive", "respect", "right", "rollup",
    "rows", "select", "set", "some", "struct", "tablesample", "then", "to", "treat", "true", "unbounded", "union",
    "unnest", "using", "when", "where", "window", "with", "within",
}  # fmt: skip
"""BigQuery's reserved words (its lexical reference), which the local server's parser takes for names here and there."""


def test_no_reserved_word_of_bigquery_stands_as_a_name(tmp_path):
    values = {"first_day": DAY, "spool": tmp_path}
    sources = [
        BigQuerySessionSource(
            None, TABLE, shape="steps", columns={name: name for name in (*WHOSE, *OF_STEP, "order")}, **values
        ),
        BigQuerySessionSource(None, TABLE, columns={**WHOSE, "feedback": "order"}, day_column="window", **values),
    ]
    for source in sources:
        sql, _ = source._statement(DAY, DAY, DAY)
        unquoted = re.sub(r"`[^`]*`", "", sql).lower()
        assert set(re.findall(r"\w+", unquoted)) & RESERVED <= {
            "select", "as", "from", "where", "between", "and", "group", "by", "having", "struct",
        }  # fmt: skip
        assert unquoted.count("group by") == unquoted.count(" by ")


@pytest.mark.parametrize("name", ["a`; DROP TABLE x", "a b", "1a", "a.", "", "a-b", "é"])
def test_names_that_no_column_has_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match="is no column"):
        OwnTable(TABLE, {"session_id": name}, "day")
    with pytest.raises(ValueError, match="is no table"):
        OwnTable(name, {}, "day")
    with pytest.raises(ValueError, match="no such columns of a table of steps: steps"):
        BigQuerySessionSource(None, TABLE, shape="steps", columns={"steps": "x"}, first_day=DAY, spool=tmp_path)
    assert at(0) == "2026-01-05T00:00:00+00:00"
