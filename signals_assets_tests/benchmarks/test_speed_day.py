"""The made-up day, exponents, gates, and a small day through the real graph."""

import dataclasses
import json

import dagster as dg
import pytest

from signals_assets.benchmarks import speed_day
from signals_assets.benchmarks.measuring import Usage
from signals_assets.benchmarks.speed_day import DAY, exponent, exponent_without_fixed, materialized, write_day
from signals_assets.tables import STAGES


def lines(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    folder = tmp_path_factory.mktemp("day")
    megabytes = write_day(folder, 30, seed=1)
    return folder, megabytes


def test_a_day_has_as_many_sessions_as_wanted_and_as_many_bytes_as_transcripts_have(day):
    folder, megabytes = day
    sessions = lines(folder / "sessions" / f"{DAY}.jsonl")
    assert len({session["session_id"] for session in sessions}) == 30
    assert {session["started_at"][:10] for session in sessions} == {DAY.isoformat()}
    steps = sum(len(session["steps"]) for session in sessions)
    assert 50 <= steps / 30 <= 200
    assert 0.7 * 600 <= megabytes * 1e6 / steps <= 1.4 * 600


def test_records_are_about_sessions_of_the_day_and_their_users(day):
    folder, _ = day
    sessions = lines(folder / "sessions" / f"{DAY}.jsonl")
    user_of = {session["session_id"]: session["user_id"] for session in sessions}
    thumbs = [line for path in (folder / "records" / "feedback").glob("*.jsonl") for line in lines(path)]
    assert thumbs
    assert all(user_of[thumb["session_id"]] == thumb["user_id"] for thumb in thumbs)


def test_a_larger_day_is_several_worlds_with_users_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(speed_day, "BLOCK", 20)
    write_day(tmp_path, 30, seed=1)
    sessions = lines(tmp_path / "sessions" / f"{DAY}.jsonl")
    assert len({session["session_id"] for session in sessions}) == 30
    assert {session["user_id"].partition("-")[0] for session in sessions} == {"0", "1"}
    assert len(lines(tmp_path / "records" / "releases.jsonl")) == 1


def test_the_same_seed_makes_the_same_day(day, tmp_path):
    folder, _ = day
    write_day(tmp_path, 30, seed=1)
    name = f"sessions/{DAY}.jsonl"
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_exponents_are_those_of_the_costs():
    sizes = [100, 1_000, 10_000]
    assert exponent(sizes, [size**1.2 for size in sizes]) == 1.2
    assert exponent(sizes[:1], [3.0]) is None
    fixed = [50 + 0.01 * size**1.2 for size in sizes]
    assert exponent(sizes, fixed) < 1
    assert exponent_without_fixed(sizes, fixed) == 1.2
    assert exponent_without_fixed([100, 400, 1_000], fixed) is None
    assert exponent_without_fixed(sizes, [3.0, 2.0, 5.0]) is None
    assert exponent_without_fixed(sizes[:2], fixed[:2]) is None


def run_of(sessions, seconds, megabytes, processor=1.0, measured=None):
    return {
        "sessions": sessions,
        "seconds": seconds,
        "peak_megabytes": megabytes,
        "rows": {"session_metrics": sessions if measured is None else measured},
    }


@pytest.mark.parametrize(
    ("days", "broken"),
    [
        ([run_of(10_000, 599, 3_000)], []),
        ([run_of(10_000, 601, 3_000)], ["seconds of 10,000 sessions without the model's"]),
        ([run_of(10_000, 599, 3_100)], ["peak megabytes of 10,000 sessions"]),
        ([run_of(100, 9_999, 9_999, measured=99)], ["sessions without metrics"]),
    ],
)
def test_a_gate_holds_only_where_its_bound_is_kept(days, broken):
    exponents = [{"stage": "all", "all sizes": 1.0, "without the fixed cost": None}]
    loading = {"processor_seconds": 1.2, "megabytes": 100.0}
    gates = speed_day._gates(days, exponents, loading, {"seconds": None})
    assert [gate["gate"] for gate in gates if not gate["holds"]] == broken
    slow = speed_day._gates(
        days[:0],
        [{"stage": "all", "all sizes": 1.06, "without the fixed cost": 1.2}],
        {"processor_seconds": 1.6, "megabytes": 201.0},
        {"seconds": 10.1},
    )
    assert [gate["holds"] for gate in slow] == [False] * 5 + [True]


@pytest.mark.slow
def test_a_small_day_goes_through_every_stage(day, monkeypatch):
    folder, _ = day
    in_memory = lambda _: dg.DagsterInstance.ephemeral()  # noqa: E731 - a history on disk takes ten times as long
    monkeypatch.setattr(dg.DagsterInstance, "local_temp", in_memory)
    ran = materialized(folder, 1, embedder="none")
    assert ran.rows["raw_sessions"] == ran.rows["session_metrics"] == 30
    assert ran.rows["daily_report"] > 0
    assert {stage for stage, *_ in ran.steps} == {*STAGES, "checks"}
    assert all(ran.start <= start <= end <= ran.end for _, _, start, end in ran.steps)
    assert ran.embedded == 0 or ran.model_seconds < 1
    timed = dataclasses.replace(ran, model_seconds=0.0, model_processor_seconds=0.0)
    stage = speed_day._stage("metrics", timed, Usage(0))
    assert 0 < stage["seconds"] < ran.end - ran.start
