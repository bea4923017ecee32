"""The friction_threshold sensor: which crossings are due, and that none is lost and none acted on twice."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from signals_assets.partitions import between
from signals_assets.sensors import DAY_TAG
from signals_assets.sensors.friction_threshold import Crossing, due
from signals_assets.tables import Cause, FrictionLevel
from signals_assets_tests.conftest import FIRST_DAY, LAST_DAY, NEXT_DAY
from signals_assets_tests.factories import row_values
from signals_assets_tests.home import Home

NEWEST = date(2026, 1, 20)


def level(type_: str, day: date = NEWEST, **over: Any) -> dict[str, Any]:
    episode = f"{type_}:{day}"
    return {"type": type_, "day": day, "crossed": True, "episode": episode, "slice": "all", **over}


def ago(days: int) -> date:
    return NEWEST - timedelta(days=days)


CASES: dict[str, tuple[list[dict[str, Any]], list[str], list[str]]] = {
    "nothing stored": ([], [], []),
    "a crossing of the newest day is due": ([level("a")], ["a"], []),
    "a level that is over but did not cross today is not": ([level("a", crossed=False)], [], []),
    "several types on one day are all due": ([level("a"), level("b"), level("c")], ["a", "b", "c"], []),
    "one type in two episodes is due for both": ([level("a", ago(2)), level("a")], ["a", "a"], []),
    "one episode in two rows is due once": ([level("a", episode="e"), level("a", ago(1), episode="e")], ["a"], []),
    "the last day to act within is still due": ([level("a", ago(3))], ["a"], []),
    "a day before it is stale": ([level("a", ago(4))], [], ["a"]),
    "a slice is due beside its type, each for its own episode": (
        [level("a"), level("a", slice="1.0", slice_kind="agent_version", episode="a:agent_version=1.0@2026-01-20")],
        ["a", "a"],
        [],
    ),
    "handled before": ([level("done", episode="handled")], [], []),
    "handled and old is not stale": ([level("done", ago(9), episode="handled")], [], []),
    "a day without causes waits": ([level("a", ago(1)), level("b")], ["b"], []),
    "a stale one needs no causes": ([level("a", ago(30)), level("b")], ["b"], ["a"]),
}


@pytest.mark.parametrize("case", CASES)
def test_due(case: str):
    levels, expected, expected_stale = CASES[case]
    with_causes = frozenset(between(ago(10), NEWEST)) - ({ago(1)} if "without causes" in case else set())
    handled = frozenset({"handled"})
    act, stale = due(levels, newest=NEWEST, act_within_days=3, handled=handled, with_causes=with_causes)
    assert [crossing.type for crossing in act] == expected
    assert [crossing.type for crossing in stale] == expected_stale


def test_due_does_not_depend_on_the_order_of_the_rows():
    rows = [level("b"), level("a"), level("c", ago(2))]
    arguments = {"newest": NEWEST, "act_within_days": 3, "handled": frozenset(),
                 "with_causes": frozenset({NEWEST, ago(2)})}  # fmt: skip
    assert due(rows, **arguments) == due(rows[::-1], **arguments)
    assert due(rows, **arguments)[0][0] == Crossing(NEWEST, "a", f"a:{NEWEST}")


# --- ticks over stored levels ------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home without anything, whose levels a test writes by hand."""
    with Home(tmp_path / "home") as home:
        home.instance.add_dynamic_partitions("friction_type", ["error_event", "correction", "backtracking"])
        yield home


def write_levels(home: Home, day: date, *crossed: str) -> None:
    """Store a day of levels (and its causes), and tell the instance, as the asset would."""
    rows = [
        FrictionLevel(**row_values(FrictionLevel, day=day, type=type_, crossed=True, episode=f"{type_}:{day}"))
        for type_ in crossed
    ]
    home.warehouse.replace(FrictionLevel, day, rows)
    home.warehouse.replace(Cause, day, [])
    event = dg.AssetMaterialization(FrictionLevel.table, partition=day.isoformat())
    home.instance.report_runless_asset_event(event)


def asked(result: Any) -> list[tuple[str, str]]:
    return [(request.partition_key, request.tags[DAY_TAG]) for request in result.run_requests]


def test_before_the_first_day_a_tick_says_why_it_does_nothing(home: Home):
    assert home.tick("friction_threshold").skip_message == "friction_levels has no day yet"


def test_three_days_that_cross_between_two_ticks_are_all_asked_for(home: Home):
    write_levels(home, FIRST_DAY, "error_event")
    before = home.tick("friction_threshold")
    write_levels(home, date(2026, 1, 6), "correction")
    write_levels(home, date(2026, 1, 7))
    write_levels(home, date(2026, 1, 8), "backtracking", "correction")
    after = home.tick("friction_threshold", before.cursor)
    assert asked(before) == [("error_event", "2026-01-05")]
    expected = [("correction", "2026-01-06"), ("backtracking", "2026-01-08"), ("correction", "2026-01-08")]
    assert sorted(asked(after)) == sorted([("error_event", "2026-01-05"), *expected])
    assert int(after.cursor) > int(before.cursor)


def test_a_replayed_tick_asks_for_the_same_run_keys(home: Home):
    write_levels(home, FIRST_DAY, "error_event", "correction")
    first, again = home.tick("friction_threshold"), home.tick("friction_threshold")
    assert [request.run_key for request in first.run_requests] == [request.run_key for request in again.run_requests]
    assert len({request.run_key for request in first.run_requests}) == 2
    assert first.cursor == again.cursor


def test_a_crossing_whose_run_never_came_is_offered_until_the_ledger_knows_it(home: Home):
    write_levels(home, FIRST_DAY, "error_event")
    cursor = home.tick("friction_threshold").cursor
    assert asked(home.tick("friction_threshold", cursor)) == [("error_event", "2026-01-05")]
    home.ledger.append("episode", f"error_event:{FIRST_DAY}", {})
    assert asked(home.tick("friction_threshold", cursor)) == []


def test_a_failed_run_is_asked_for_again_under_a_new_key_a_few_times_only(home: Home):
    write_levels(home, FIRST_DAY, "error_event")
    keys = []
    for _ in range(6):
        [request] = home.tick("friction_threshold").run_requests
        keys.append(request.run_key)
        home.instance.create_run_for_job(
            home.definitions.resolve_job_def("act"), status=dg.DagsterRunStatus.FAILURE, tags=request.tags
        )
    assert len(set(keys)) == 4


def test_crossings_of_a_backfill_are_noted_as_stale_once_and_not_acted_on(home: Home):
    for day in between(date(2026, 1, 5), date(2026, 1, 12)):
        write_levels(home, day, *(["error_event"] if day.day in (5, 11) else []))
    result = home.tick("friction_threshold")
    assert asked(result) == [("error_event", "2026-01-11")]
    home.tick("friction_threshold", result.cursor)
    home.tick("friction_threshold")
    assert [entry.key for entry in home.ledger.entries(["stale"])] == ["error_event:2026-01-05"]


def test_the_cursor_passes_more_materializations_than_one_page(home: Home, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("signals_assets.sensors.friction_threshold.PAGE", 2)
    for day in between(date(2026, 1, 5), date(2026, 1, 11)):
        write_levels(home, day, *(["error_event"] if day.day == 5 else []))
    home.tick("friction_threshold")
    assert [entry.key for entry in home.ledger.entries(["stale"])] == ["error_event:2026-01-05"]


# --- ticks, runs, tickets ----------------------------------------------------------------------------------------


def tick_and_run(home: Home, cursor: str | None = None) -> str:
    """What the daemon does: a tick, then its runs."""
    result = home.tick("friction_threshold", cursor)
    for request in result.run_requests:
        assert home.run(request).success
    return str(result.cursor)


def test_a_crossing_becomes_exactly_one_ticket_however_often_tick_and_run_are_repeated(
    crossing: Callable[..., Home],
):
    home = crossing("repeated_rephrasing")
    [row] = [row for row in home.rows(FrictionLevel, LAST_DAY) if row["crossed"]]
    assert row["type"] == "repeated_rephrasing"
    assert len(row["causes"]) == 1
    [request] = home.tick("friction_threshold").run_requests
    cursor = tick_and_run(home)
    [ticket] = home.tickets()
    text = ticket.read_text()
    assert home.run(request).success  # the daemon may launch a run twice
    tick_and_run(home, cursor)
    tick_and_run(home)
    assert home.tickets() == [ticket]
    assert ticket.read_text() == text
    assert [entry.key for entry in home.ledger.entries(["episode"])] == [row["episode"]]
    diagnosed = {entry.payload["cause_id"] for entry in home.ledger.entries(["diagnosis"])}
    assert diagnosed == set(row["causes"])


def test_what_the_day_s_budget_held_back_is_filed_on_the_next_day(crossing: Callable[..., Home]):
    home = crossing("error_event", "repeated_rephrasing", tickets={"per_day": 2, "per_component_and_day": 9})
    causes = sum(len(row["causes"]) for row in home.rows(FrictionLevel, LAST_DAY) if row["crossed"])
    assert 2 < causes <= 4
    cursor = tick_and_run(home)
    tick_and_run(home, cursor)
    assert len(home.tickets()) == 2
    home.materialize(NEXT_DAY)
    tick_and_run(home, cursor)
    assert len(home.tickets()) == causes
    assert home.tick("friction_threshold").run_requests == []


def test_the_kill_switch_holds_a_crossing_back_until_it_is_off(crossing: Callable[..., Home], tmp_path: Path):
    home = crossing("repeated_rephrasing")
    with home.copy(tmp_path / "stopped", tickets={"kill_switch": True}) as stopped:
        tick_and_run(stopped)
        assert stopped.tickets() == []
        with stopped.copy(tmp_path / "goes on", tickets={"kill_switch": False}) as goes_on:
            tick_and_run(goes_on)
            assert len(goes_on.tickets()) == 1
