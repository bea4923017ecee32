"""What a world leaves behind: the same bytes, in files that can be read back, with the records beside them."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from signals_assets.core.sessions import format_time, parse_time, to_json
from signals_assets.simulation import Action, World, simulate
from signals_assets.simulation.story import FIRST_RELEASE_DAY, release_number
from signals_assets_tests.simulation.worlds import START, contents, events, lines, sessions, truth

TINY = {"users": 14, "organizations": 4}
FIX = Action("SIG-1", "context_churn", "editor", works=True)


def tiny(out: Path, seed: int = 1) -> World:
    return World(seed, 6, START, out, **TINY)


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        simulate(tmp_path / name, days=4, sessions_per_day=6, seed=3, **TINY)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_another_seed_writes_other_sessions(tmp_path):
    simulate(tmp_path / "one", days=1, sessions_per_day=6, seed=3, **TINY)
    simulate(tmp_path / "two", days=1, sessions_per_day=6, seed=4, **TINY)
    name = "sessions/2026-01-05.jsonl"
    assert contents(tmp_path / "one")[name] != contents(tmp_path / "two")[name]


def test_week_by_week_equals_one_go_with_the_same_actions(tmp_path):
    at_once, weekly = tiny(tmp_path / "once"), tiny(tmp_path / "weekly")
    at_once.step(7)
    at_once.developer([FIX])
    at_once.simulate_days(8, 16)
    for days in (3, 4):
        weekly.step(days)
    weekly.developer([FIX])
    for _ in range(9):
        weekly.step(1)
    assert contents(tmp_path / "once") == contents(tmp_path / "weekly")


def test_days_are_lived_in_order(tmp_path):
    world = tiny(tmp_path / "w")
    assert world.today == START
    world.step(2)
    assert world.today == START + timedelta(days=2)
    with pytest.raises(ValueError, match="next day to live is 3"):
        world.simulate_days(5, 6)
    with pytest.raises(ValueError, match="next day to live is 3"):
        world.step(0)


def test_a_folder_with_something_else_is_not_touched(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds no simulation"):
        tiny(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_an_earlier_simulation_is_replaced(tmp_path):
    simulate(tmp_path / "w", days=3, sessions_per_day=6, seed=1, **TINY)
    simulate(tmp_path / "w", days=1, sessions_per_day=6, seed=2, **TINY)
    simulate(tmp_path / "fresh", days=1, sessions_per_day=6, seed=2, **TINY)
    assert contents(tmp_path / "w") == contents(tmp_path / "fresh")


@pytest.mark.parametrize("wrong", [{"sessions_per_day": 0}, {"users": 3, "organizations": 4}, {"days": 0}])
def test_worlds_that_cannot_be_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="at least"):
        simulate(tmp_path / "w", **{"days": 1, "sessions_per_day": 5, **TINY, **wrong})


def test_sessions_are_read_back_as_they_were_written(world_folder):
    for path in sorted((world_folder / "sessions").iterdir())[:3]:
        raw = path.read_bytes().splitlines()
        for line, session in zip(raw, sessions_of(path), strict=True):
            assert to_json(session) == line


def sessions_of(path: Path):
    from signals_assets.core.sessions import from_json

    return [from_json(line) for line in path.read_bytes().splitlines()]


def test_a_file_holds_the_sessions_that_start_on_its_day_in_order(world_folder):
    files = sorted((world_folder / "sessions").iterdir())
    assert [path.stem for path in files] == [(START + timedelta(days=n)).isoformat() for n in range(28)]
    for path in files:
        found = sessions_of(path)
        assert {session.day.isoformat() for session in found} <= {path.stem}
        starts = [session.started_at for session in found]
        assert starts == sorted(starts)


def test_steps_are_in_order_of_time_and_calls_are_answered(world_folder):
    for session in sessions(world_folder):
        times = [step.at for step in session.steps]
        assert times == sorted(times)
        assert session.started_at == times[0]
        assert session.ended_at == times[-1]
        calls = [step.tool_call_id for step in session.steps if step.kind == "tool_call"]
        assert len(set(calls)) == len(calls)
        assert calls == [step.tool_call_id for step in session.steps if step.kind == "tool_result"]


def test_the_truth_has_one_row_per_session_in_the_same_order(world_folder):
    rows, found = truth(world_folder), list(sessions(world_folder))
    assert [row["session_id"] for row in rows] == [session.session_id for session in found]
    assert len({row["session_id"] for row in rows}) == len(rows)
    for row, session in zip(rows, found, strict=True):
        assert row["version"] == session.agent.version
        assert row["user"] == session.user_id
        assert row["day"] == session.day.isoformat()
        assert row["agentic_steps"] == session.agentic_steps


def test_a_weekend_is_quieter_than_a_working_day(world_folder):
    counts = {True: 0, False: 0}
    for row in truth(world_folder):
        counts[date.fromisoformat(row["day"]).weekday() >= 5] += 1
    assert counts[True] / 8 < 0.6 * counts[False] / 20


def test_no_version_runs_before_it_is_released_and_users_follow_one_by_one(world_folder):
    releases = {
        row["version"]: parse_time(row["released_at"]) for row in lines(world_folder / "records/releases.jsonl")
    }
    running: dict[str, set[str]] = {}
    for session in sessions(world_folder):
        assert releases[session.agent.version] <= session.started_at
        running.setdefault(session.day.isoformat(), set()).add(session.agent.version)
    days_after_release = [
        START + timedelta(days=day - 1) for day in range(FIRST_RELEASE_DAY, 29) if release_number(day)
    ]
    mixed = [day for day in days_after_release if len(running[day.isoformat()]) > 1]
    assert len(mixed) > len(days_after_release) / 2


def test_records_carry_the_keys_and_days_of_their_files(world_folder):
    records = world_folder / "records"
    ids = {row["session_id"] for row in truth(world_folder)}
    expected = {
        "error_logs": ({"logged_at", "service", "level", "message"}, {"session_id", "user_id"}, "logged_at"),
        "feedback": ({"session_id", "user_id", "step", "rating", "given_at"}, {"comment"}, "given_at"),
    }
    for kind, (needed, optional, time) in expected.items():
        for path in sorted((records / kind).iterdir()):
            for row in lines(path):
                assert needed <= row.keys() <= needed | optional
                assert row[time].startswith(path.stem)
                assert row[time] == format_time(parse_time(row[time]))
                assert row.get("session_id") in ids | {None}
    for row in lines(records / "user_outcomes.jsonl"):
        assert row.keys() == {"user_id", "outcome", "happened_at"}


def test_thumbs_stand_on_steps_of_their_session_and_follow_the_mood(world_folder):
    rows = {row["session_id"]: row for row in truth(world_folder)}
    lengths = {session.session_id: len(session.steps) for session in sessions(world_folder)}
    votes = [row for path in (world_folder / "records/feedback").iterdir() for row in lines(path)]
    down = [bool(rows[vote["session_id"]]["friction"]) for vote in votes if vote["rating"] == -1]
    up = [bool(rows[vote["session_id"]]["friction"]) for vote in votes if vote["rating"] == 1]
    assert all(0 <= vote["step"] < lengths[vote["session_id"]] for vote in votes)
    assert sum(down) / len(down) > sum(up) / len(up)


def test_a_user_who_left_does_not_come_back(world_folder):
    left = {
        row["user_id"]: datetime.fromisoformat(row["happened_at"]).date()
        for row in lines(world_folder / "records/user_outcomes.jsonl")
        if row["outcome"] == "churned"
    }
    assert left
    for session in sessions(world_folder):
        assert session.day < left.get(session.user_id, date.max)


def test_the_planted_backend_error_names_its_session_just_before_the_failing_query(world_folder):
    failing = {}
    for row, session in zip(truth(world_folder), sessions(world_folder), strict=True):
        for item in row["friction"]:
            if item["type"] == "error_event" and item.get("cause") == "query-gateway":
                failing[row["session_id"]] = [session.steps[step].at for step in item["steps"]]
    logged: dict[str, list[float]] = {}
    for path in (world_folder / "records/error_logs").iterdir():
        for line in lines(path):
            if line["service"] == "query-gateway":
                logged.setdefault(line["session_id"], []).append(parse_time(line["logged_at"]))
    assert len(failing) > 50
    last = datetime(2026, 2, 2, tzinfo=UTC).timestamp()
    for session_id, times in failing.items():
        for at in times:
            assert at > last or any(0 <= at - seen <= 30 for seen in logged[session_id])


def test_a_fix_is_merged_a_day_later_and_ships_with_the_next_release(tmp_path):
    world = tiny(tmp_path / "w")
    world.step(7)
    world.developer([FIX])
    world.step(7)
    states = [row for row in lines(tmp_path / "w/records/pull_requests.jsonl") if "SIG-1" in row["title"]]
    assert [row["state"] for row in states] == ["open", "merged"]
    assert "sig-1" in states[0]["branch"]
    assert states[0]["opened_at"].startswith("2026-01-12")
    assert states[0]["merged_at"] is None
    assert states[1]["merged_at"].startswith("2026-01-13")
    releases = {row["version"]: row for row in lines(tmp_path / "w/records/releases.jsonl")}
    shipped = releases[states[1]["released_in"]]
    assert states[1]["pull_request_id"] in shipped["pull_request_ids"]
    assert shipped["released_at"] > states[1]["merged_at"]
    (fix,) = events(tmp_path / "w")["fixes"]
    assert fix["shipped"]
    assert fix["works"]
    assert fix["released_in"] == shipped["version"]


def test_a_fix_that_does_not_work_changes_nothing_but_the_records(tmp_path):
    for name, actions in (("with", [Action("SIG-2", "correction", "editor", works=False)]), ("without", [])):
        world = tiny(tmp_path / name)
        world.developer(actions)
        world.step(8)
    with_fix, without = contents(tmp_path / "with"), contents(tmp_path / "without")
    same = [name for name in with_fix if name.startswith("sessions/") or name == "truth/sessions.jsonl"]
    assert {name: with_fix[name] for name in same} == {name: without[name] for name in same}
    assert with_fix["records/pull_requests.jsonl"] != without["records/pull_requests.jsonl"]
