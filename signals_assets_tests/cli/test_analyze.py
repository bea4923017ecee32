"""`signals analyze` on made-up and on real sessions: files whole, ids kept, nothing lost without a count."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from signals_assets.cli import analyze
from signals_assets.core.sessions import to_json
from signals_assets.resources.compute import SerialCompute
from signals_assets_tests.core.detectors.script import agent, edit, session, shell, user

TABLES = (
    "session_metrics", "detections", "facets", "abstracted_summaries", "friction_events", "delight_events",
    "unmet_needs",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGNALS_PSEUDONYM_KEY", "a key for tests")


def line(session_id="one", extra=0, **over):
    told = session(user("build it"), shell("a", "make", "make: *** boom", "error"), edit("b"), *[agent()] * (1 + extra))
    told.session_id = session_id
    for name, value in over.items():
        setattr(told, name, value)
    return to_json(told) + b"\n"


def run(*arguments, code=0, given=None):
    result = CliRunner().invoke(analyze.command, [str(item) for item in arguments], input=given)
    assert result.exit_code == code, result.output
    return result.output


def rows(out, table):
    return [json.loads(text) for text in (out / f"{table}.jsonl").read_text().splitlines()]


def coverage(out):
    return json.loads((out / "coverage.json").read_text())


def test_all_files_appear_with_the_sessions_own_ids_in_their_order(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(line("zeta") + line("alpha"))
    output = run("in.jsonl", "--out", "out")
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [*(f"{name}.jsonl" for name in TABLES), "coverage.json"]
    )
    assert [row["session_id"] for row in rows(out, "session_metrics")] == ["zeta", "alpha"]
    assert [row["session_id"] for row in rows(out, "facets")] == ["zeta", "alpha"]
    errors = [row for row in rows(out, "friction_events") if row["type"] == "error_event"]
    assert [(row["session_id"], row["steps"], row["source"]) for row in errors] == [
        ("zeta", [2], "detector"), ("alpha", [2], "detector"),
    ]  # fmt: skip
    assert "error_event" in output


def test_broken_lines_are_counted_with_their_reason_and_the_rest_goes_on(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(line("one") + b"{broken\n" + line("two"))
    output = run("in.jsonl", "--out", "out")
    found = coverage(tmp_path / "out")
    assert found["sessions"] == {"read": 2, "measured": 2, "analysed": 2, "quarantined": 1}
    assert found["quarantined_by_reason"] == {"invalid_json": 1}
    assert "invalid_json" in output


def test_of_two_copies_of_a_session_the_longer_one_counts(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(line("one") + line("two") + line("one", extra=3) + line("two"))
    run("in.jsonl", "--out", "out")
    written = {row["session_id"]: row["steps"] for row in rows(tmp_path / "out", "session_metrics")}
    assert written == {"two": 6, "one": 9}
    assert coverage(tmp_path / "out")["quarantined_by_reason"] == {"duplicate_session": 2}


def test_standard_input_is_read_like_a_file(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(line())
    run("in.jsonl", "--out", "file")
    run("-", "--out", "pipe", given=line())
    for name in TABLES:
        assert (tmp_path / "pipe" / f"{name}.jsonl").read_bytes() == (tmp_path / "file" / f"{name}.jsonl").read_bytes()


def test_a_user_can_be_named_where_the_format_knows_none(tmp_path):
    run("-", "--out", "out", "--user-from", "setting:ann", given=line(user_id=None))
    (row,) = rows(tmp_path / "out", "session_metrics")
    assert row["user_id"].startswith("u_")
    assert "notes.without_user" not in coverage(tmp_path / "out")["stages"]["metrics"]


def test_the_minimum_of_steps_decides_what_is_analysed_not_what_is_measured(tmp_path):
    run("-", "--out", "out", "--min-steps", "6", given=line("short") + line("long", extra=5))
    out = tmp_path / "out"
    assert len(rows(out, "session_metrics")) == 2
    assert [row["session_id"] for row in rows(out, "facets")] == ["long"]
    assert coverage(out)["stages"]["analysis"]["skipped.too_short"] == 1


@pytest.mark.parametrize("audience", ["team", "company", "public"])
def test_every_audience_gets_all_sessions(tmp_path, audience):
    run("-", "--out", "out", "--audience", audience, given=line("one") + line("two"))
    found = coverage(tmp_path / "out")
    assert found["parameters"]["audience"] == audience
    assert found["stages"]["abstractions"]["answered"] == 2
    assert len(rows(tmp_path / "out", "abstracted_summaries")) == 2


@pytest.mark.parametrize("audience", ["self", "team"])
def test_the_cut_into_chunks_changes_nothing(tmp_path, monkeypatch, audience):
    given = b"".join(line(f"s{n}", extra=n) for n in range(7))
    run("-", "--out", "whole", "--audience", audience, given=given)
    monkeypatch.setattr(analyze, "CHUNK_SESSIONS", 2)
    run("-", "--out", "cut", "--audience", audience, given=given)
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "cut" / path.name).read_bytes()


def test_the_same_is_written_as_json(tmp_path):
    run("-", "--out", "out", "--json", "found.json", given=line())
    assert json.loads((tmp_path / "found.json").read_text()) == coverage(tmp_path / "out")
    assert json.loads(run("-", "--out", "out", "--json", "-", given=line())) == coverage(tmp_path / "out")


def test_files_that_are_no_sessions_are_said_to_be_passed_over(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "in.jsonl").write_bytes(line())
    (tmp_path / "folder" / "notes.txt").write_text("not a session")
    output = run("folder", "--out", "out")
    assert coverage(tmp_path / "out")["input"] == {"files": 1, "files_passed_over.suffix": 1, "records": 1}
    assert "files passed over" in output


def test_the_embedder_is_named_honestly(tmp_path):
    run("-", "--out", "out", given=line())
    assert coverage(tmp_path / "out")["parameters"]["embedder"].startswith("none")


# --- errors ----------------------------------------------------------------------------------------------------


def test_a_missing_path_is_named(tmp_path):
    assert "nowhere.jsonl" in run("nowhere.jsonl", "--out", "out", code=1)
    assert not list((tmp_path / "out").iterdir())


def test_nothing_readable_is_an_error_with_reasons_and_leaves_earlier_files_alone(tmp_path):
    run("-", "--out", "out", given=line())
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    output = run("-", "--out", "out", code=1, given=b"no session at all\n")
    assert "1 x unknown_format" in output
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_failure_in_the_middle_leaves_nothing_behind(tmp_path, monkeypatch):
    class Broken(SerialCompute):
        def map(self, function, chunks):
            yield next(map(function, chunks))
            raise analyze.ComputeError("a worker died")

    monkeypatch.setattr(analyze, "SerialCompute", Broken)
    assert "a worker died" in run("-", "--out", "out", code=1, given=line())
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "arguments", [("--format", "nonsense"), ("--user-from", "folder:x"), ("--user-from", "moon:1")]
)
def test_arguments_that_mean_nothing_are_refused(arguments):
    assert arguments[1] in run("-", "--out", "out", *arguments, code=2, given=line())


def test_dagster_and_torch_are_not_imported(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(line())
    program = (
        "import sys\n"
        "from signals_assets.cli import main\n"
        "main(['analyze', 'in.jsonl', '--out', 'out', '--audience', 'team'], standalone_mode=False)\n"
        "print(sorted({'dagster', 'torch', 'sentence_transformers', 'pandas', 'duckdb'} & sys.modules.keys()))\n"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": root},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


# --- real sessions ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coding(tmp_path_factory, data_dir):
    """Two runs over the real coding sessions, and the sessions' lengths by id."""
    folder = tmp_path_factory.mktemp("coding")
    source = data_dir / "coding_sessions.jsonl.gz"
    environment = {"SIGNALS_PSEUDONYM_KEY": "fixed"}
    for name in ("first", "second"):
        arguments = [str(source), "--out", str(folder / name)]
        result = CliRunner(env=environment).invoke(analyze.command, arguments)
        assert result.exit_code == 0, result.output
    with gzip.open(source) as lines:
        lengths = {data["session_id"]: len(data["steps"]) for data in map(json.loads, lines)}
    return folder, lengths


@pytest.mark.data
def test_every_real_session_is_there_under_its_own_id(coding):
    folder, lengths = coding
    for table in ("session_metrics", "facets", "abstracted_summaries"):
        assert [row["session_id"] for row in rows(folder / "first", table)] == list(lengths)


@pytest.mark.data
def test_a_second_run_writes_equal_files(coding):
    folder, _ = coding
    for path in (folder / "first").iterdir():
        assert path.read_bytes() == (folder / "second" / path.name).read_bytes(), path.name


@pytest.mark.data
def test_real_events_are_certain_inside_their_session_and_written_once(coding):
    folder, lengths = coding
    for table in ("friction_events", "delight_events"):
        events = rows(folder / "first", table)
        assert events
        assert all(event["confidence"] >= 0.5 for event in events)
        assert all(0 <= step < lengths[event["session_id"]] for event in events for step in event["steps"])
        by_source = {(event["session_id"], event["type"], step, event["source"]) for event in events
                     for step in event["steps"]}  # fmt: skip
        assert not {key[:3] for key in by_source if key[3] == "analyst"} & {
            key[:3] for key in by_source if key[3] == "detector"
        }


@pytest.mark.data
def test_uncertain_detections_stay_in_detections_and_are_counted(coding):
    folder, _ = coding
    uncertain = sum(row["confidence"] < 0.5 for row in rows(folder / "first", "detections"))
    assert coverage(folder / "first")["moments"].get("below_confidence.detector", 0) == uncertain


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["more_sessions.jsonl.gz", "support_sessions.jsonl.gz", "raw_claude_code", "raw_codex"]
)
def test_every_real_input_is_read(tmp_path, data_dir, name):
    run(data_dir / name, "--out", "out")
    found = coverage(tmp_path / "out")["sessions"]
    assert found["read"] == found["measured"] == found["analysed"] > 0
