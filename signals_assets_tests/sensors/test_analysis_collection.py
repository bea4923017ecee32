"""The analysis_collection sensor: days whose batches ended are collected, in day order, until they were."""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from signals_assets.resources.analyst import Progress, RulesAnalyst
from signals_assets.resources.compute import SerialCompute
from signals_assets.resources.ledger import Entry
from signals_assets.sensors.analysis_collection import due_days
from signals_assets.tables import Analysis, DailyReport
from signals_assets_tests.conftest import FIRST_DAY
from signals_assets_tests.home import Home


def sent(*days: tuple[str, str, int]) -> list[Entry]:
    return [
        Entry(number, "batch", f"{day}:{key}", None, {"day": day, "requests": requests})
        for number, (day, key, requests) in enumerate(days)
    ]


def collected(*keys: str) -> list[Entry]:
    return [Entry(number, "collected", key, None, {}) for number, key in enumerate(keys)]


def polled(states: dict[str, Any]) -> Any:
    def look_at(sent: Mapping[str, Any]) -> Progress | None:
        return Progress(sent["day"], {}, states[sent["day"]]) if sent["requests"] else None

    return look_at


MON, TUE, WED = "2026-01-05", "2026-01-06", "2026-01-07"


@pytest.mark.parametrize(
    ("batches", "done", "states", "collect", "again"),
    [
        ([], [], {}, [], []),
        ([(MON, "a", 1)], [], {MON: "done"}, [5], []),
        ([(MON, "a", 1)], [], {MON: "wait"}, [], []),
        ([(MON, "a", 1)], [], {MON: "again"}, [], [5]),
        # A day on which nobody was to be asked about: its empty tables must be written.
        ([(MON, "a", 0)], [], {}, [5], []),
        ([(MON, "a", 1)], [f"{MON}:a"], {}, [], []),
        # Late sessions: more was sent after the day was collected.
        ([(MON, "a", 1), (MON, "b", 2)], [f"{MON}:a"], {MON: "done"}, [5], []),
        # The day was sent once more before it was collected: collecting the last covers the first.
        ([(MON, "a", 1), (MON, "b", 2)], [f"{MON}:b"], {}, [], []),
        ([(TUE, "b", 1), (MON, "a", 1)], [], {MON: "done", TUE: "done"}, [5, 6], []),
        ([(MON, "a", 1), (TUE, "b", 1)], [], {MON: "done", TUE: "wait"}, [5], []),
        # A day reads what the day before it made: it waits for it; bringing requests forward needs no order.
        ([(MON, "a", 1), (TUE, "b", 1)], [], {MON: "wait", TUE: "done"}, [], []),
        ([(MON, "a", 1), (TUE, "b", 1), (WED, "c", 1)], [], {MON: "again", TUE: "done", WED: "again"}, [], [5, 7]),
    ],
)
def test_due_days(batches: Any, done: list[str], states: dict[str, str], collect: list[int], again: list[int]):
    due = due_days(sent(*batches), collected(*done), polled(states))
    assert [day for day, _ in due.collect] == [date(2026, 1, day) for day in collect]
    assert [day for day, _ in due.again] == [date(2026, 1, day) for day in again]


class SlowAnalyst(RulesAnalyst):
    """The rules, whose requests are in the state `next`."""

    next: Any = "wait"
    mark = ""

    def poll(self, label: str) -> Progress:
        found = super().poll(label)
        if self.next == "done":
            return found
        return Progress(label, {"submitted": found.requests}, self.next, mark=self.mark)


@pytest.fixture
def slow(tmp_path: Path) -> SlowAnalyst:
    return SlowAnalyst(tmp_path / "batches", SerialCompute())


@pytest.fixture
def home(world: Any, tmp_path: Path, slow: SlowAnalyst) -> Iterator[Home]:
    with Home(tmp_path / "home", world.out, {"analyst": slow}) as home:
        yield home


def test_the_cycle_stops_at_the_batches_and_the_sensor_brings_the_rest(home: Home, slow: SlowAnalyst):
    assert home.run(dg.RunRequest(partition_key=FIRST_DAY.isoformat()), job="cycle").success
    assert home.warehouse.days(Analysis) == []
    assert home.tick("analysis_collection").run_requests == []
    slow.next = "done"
    [request] = home.tick("analysis_collection").run_requests
    assert home.run(request, job="collection").success
    assert {row["state"] for row in home.rows(Analysis, FIRST_DAY)} == {"answered"}
    assert home.warehouse.days(DailyReport) == [FIRST_DAY]
    assert home.tick("analysis_collection").run_requests == []


def test_collecting_too_early_fails_clearly_and_never_writes_an_empty_day(home: Home):
    [said] = [str(text) for text in _failed(home).values()]
    assert f"{FIRST_DAY}: not ready, " in said
    assert " requests are still under way" in said
    assert home.warehouse.days(Analysis) == []


def _failed(home: Home) -> dict[str, str]:
    from signals_assets_tests.home import failures

    return failures(home.materialize(FIRST_DAY, fails=True))


def test_a_failed_collection_is_asked_for_again_under_a_new_key_a_few_times_only(home: Home, slow: SlowAnalyst):
    home.ledger.append("batch", f"{FIRST_DAY}:", {"day": FIRST_DAY.isoformat(), "requests": 0})
    keys = set()
    for _ in range(6):
        [request] = home.tick("analysis_collection").run_requests
        keys.add(request.run_key)
        home.instance.create_run_for_job(
            home.definitions.resolve_job_def("collection"), status=dg.DagsterRunStatus.FAILURE, tags=request.tags
        )
    assert len(keys) == 4


def test_requests_that_can_be_brought_forward_get_a_run_for_each_thing_that_is_new(home: Home, slow: SlowAnalyst):
    assert home.run(dg.RunRequest(partition_key=FIRST_DAY.isoformat()), job="cycle").success
    slow.next, slow.mark = "again", "1"
    [first] = home.tick("analysis_collection").run_requests
    assert (first.job_name, first.partition_key) == ("resubmission", FIRST_DAY.isoformat())
    assert home.tick("analysis_collection").run_requests[0].run_key == first.run_key
    slow.mark = "2"
    assert home.tick("analysis_collection").run_requests[0].run_key != first.run_key
    assert home.run(first, job="resubmission").success
    assert home.warehouse.days(Analysis) == []
