"""The kill test: a handful of kills lose and pay nothing; what is made unsafe is caught; aims, gates, comparison."""

import json
import os
import random
from collections import Counter
from dataclasses import replace

import pytest

from signals_assets.benchmarks import crash
from signals_assets.benchmarks.crash import SABOTAGES, Aim, Board, Plan, deck, plans, run
from signals_assets.cli import benchmark
from signals_assets.cli.printing import show

SMALL = Plan("openai", 16, 4, 1, 6)
DIRECT = Plan("openai-compatible", 12, 2, 1, 3, days=2)


@pytest.fixture(scope="module")
def result():
    pytest.importorskip("openai")
    sabotage = next(plan for plan in plans(quick=True, seed=1) if plan.sabotage == next(iter(SABOTAGES)))
    return run(seed=1, chosen=[SMALL, DIRECT, replace(sabotage, sessions=8, kills=2, batch_sessions=4)])


@pytest.mark.slow
def test_killed_again_and_again_every_session_has_one_answer_that_was_paid_once(result):
    json.dumps(result)
    broken = [gate["gate"] for gate in result["gates"] if not gate["holds"]]
    # A short life may end before its last kills on a fast machine; the benchmark's long one may not.
    assert [gate for gate in broken if not gate.endswith(": kills")] == []
    for plan, life in zip((SMALL, DIRECT), result["lives"], strict=True):
        kills = life["killed"]["kills"]
        assert kills == sum(life["killed"]["kills_by_phase"].values())
        assert 1 <= kills <= plan.kills
        assert life["killed"]["attempts"] == kills + 1
        assert life["killed"]["rows"] == life["killed"]["selected"] == plan.sessions
        assert life["calm"]["kills"] == 0
        assert life["threads"] == 1
        assert sum(life["compared"].values()) == plan.sessions


@pytest.mark.slow
def test_the_command_prints_every_table_of_it(result, monkeypatch, capsys):
    monkeypatch.setattr(crash, "run", lambda **_: result)
    _, tables = benchmark._crash(quick=True, seed=1)
    for title, rows, note in tables:
        show(title, rows, note=note)
    printed = capsys.readouterr().out
    assert "openai-compatible: kills by phase" in printed
    assert all(gate["gate"] in " ".join(printed.split()) for gate in result["gates"])


@pytest.mark.slow
def test_a_life_that_is_made_unsafe_is_caught(result):
    [control] = result["controls"]
    assert control["caught"]
    assert "openai: paid again, by text" in control["by"]
    assert result["unproven"] == []


def test_the_aims_of_a_life_are_as_many_as_its_kills_and_reach_every_step_and_phase():
    plan = Plan("openai", 2_000, 200, 0, 60)
    aims = deck(plan, random.Random(0))
    assert len(aims) == 200
    assert aims == deck(plan, random.Random(0))
    assert {aim.inside for aim in aims} == {None, *plan.phases}
    steps = {f"{when} {name}" for _, name, _ in plan.watched for when in ("before", "after")}
    assert {aim.step for aim in aims} == {None, *steps}
    assert sum(aim.inside is aim.step is None for aim in aims) >= 20


def test_each_sabotage_is_tried_at_its_own_steps():
    for plan in plans(quick=False, seed=0):
        if plan.sabotage:
            assert {aim.step for aim in deck(plan, random.Random(0))} == set(SABOTAGES[plan.sabotage])
    assert Counter(plan.sabotage for plan in plans(quick=True, seed=0))[None] == 2


def test_a_board_tells_the_phase_and_the_time_in_each_without_those_within():
    board = Board(("starting", "outer", "inner"))
    watch = crash.Watch(board, [Aim(step="before nothing"), Aim(inside="outer")], delay=60.0, told=-1)
    board.enter("starting")
    with watch.within("outer"):
        assert board.phase == "outer"
        with watch.within("inner"):
            assert board.phase == "inner"
        with watch.within(None):
            assert board.phase == "outer"
    assert board.phase == "starting"
    assert set(board.mean()) == {"outer", "inner"}
    assert all(seconds >= 0 for seconds in board.seconds().values())


def test_a_process_meets_the_first_aim_that_it_comes_to_after_its_time_and_tells_it():
    board = Board(("starting", "outer", "inner"))
    board.restart()
    aims = [Aim(step="before x"), Aim(inside="inner"), Aim(inside="outer")]
    hears, told = os.pipe()
    early = crash.Watch(board, aims, delay=60.0, told=told)
    early.at("before x")
    with early.within("inner"):
        assert board.met == -1
    now = crash.Watch(board, aims, delay=0.0, told=told)
    with now.within("inner"):
        assert board.met == 1
        assert os.read(hears, 9) == b"!"
        now.at("before x")  # lives on until it is killed inside of the phase
        assert board.met == 1


def test_kills_wait_longer_where_they_are_ahead_of_the_work_and_strike_sooner_where_they_are_behind():
    assert crash._pace(0.1, 0.5) > 1 > crash._pace(0.5, 0.1)


def row(state="answered", answer="a", tries=(1, 1, 0)):
    return {"state": state, "answer": answer, "tries": tries}


@pytest.mark.parametrize(
    ("other", "counted"),
    [
        (row(), "same"),
        (row(tries=(2, 1, 0)), "same"),
        (row(answer="b", tries=(2, 1, 0)), "explained"),
        (row(answer="b"), "unexplained"),
        (row("failed", None), "unexplained"),
        (None, "unexplained"),
    ],
)
def test_answers_that_differ_are_explained_by_what_was_tried_only(other, counted):
    found = crash._compared({"s": row()}, {"s": other} if other else {})
    assert {name for name, count in found.items() if count} == {counted}


@pytest.mark.parametrize(
    ("figure", "gate"),
    [
        ("paid_twice_by_text", "paid again, by text"),
        ("paid_twice_by_id", "paid again, by custom id"),
        ("rows_missing", "sessions without exactly one row"),
        ("unexplained", "sessions without an answer or a reason"),
        ("provider_files", "files left at the provider"),
        ("outbox_files", "files left in the outbox"),
        ("open_sends", "batches without an end"),
    ],
)
def test_one_of_anything_that_must_not_be_breaks_a_gate(figure, gate):
    names = (
        "paid_twice_by_text paid_twice_by_id paid_unasked rows_missing unexplained provider_files outbox_files "
        "unfinished_files direct_files open_sends provider_violations"
    )
    killed = dict.fromkeys(names.split(), 0) | {"kills": 8, "selected": 24, "kills_by_phase": {"creating": 8}}
    compared = {"same": 24, "explained": 0, "unexplained": 0}
    assert all(gate["holds"] for gate in crash._gates(SMALL, {"killed": killed, "compared": compared}))
    broken = crash._gates(SMALL, {"killed": killed | {figure: 1}, "compared": compared})
    assert [found["gate"] for found in broken if not found["holds"]] == [f"openai: {gate}"]


def test_a_direct_batch_may_repeat_what_was_under_way_when_it_was_killed_and_no_more():
    plan = replace(DIRECT, kills=2, sessions=9)
    names = "paid_twice_by_id paid_unasked rows_missing unexplained provider_files outbox_files unfinished_files"
    killed = dict.fromkeys([*names.split(), "direct_files", "open_sends", "provider_violations"], 0)
    killed |= {"kills": 2, "selected": 9, "kills_by_phase": {"creating": 2, "storing": 7}}
    compared = {"same": 9, "explained": 0, "unexplained": 0}
    for twice, holds in ((2 * crash.CONCURRENCY, True), (2 * crash.CONCURRENCY + 1, False)):
        found = {"killed": killed | {"paid_twice_by_text": twice}, "compared": compared}
        assert all(gate["holds"] for gate in crash._gates(plan, found)) is holds
