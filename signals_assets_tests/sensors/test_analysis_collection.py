"""The analysis_collection sensor: days whose batches ended are collected, in day order, until they were."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from signals_assets.resources.analyst import BatchState, RulesAnalyst
from signals_assets.resources.compute import SerialCompute
from signals_assets.resources.ledger import Entry
from signals_assets.sensors.analysis_collection import due_days
from signals_assets.tables import Analysis, DailyReport
from signals_assets_tests.conftest import FIRST_DAY
from signals_assets_tests.home import Home


def sent(*days: tuple[str, list[str]]) -> list[Entry]:
    return [
        Entry(number, "batch", f"{day}:{','.join(ids)}", None, {"day": day, "batch_ids": ids})
        for number, (day, ids) in enumerate(days)
    ]


def collected(*keys: str) -> list[Entry]:
    return [Entry(number, "collected", key, None, {}) for number, key in enumerate(keys)]


def polled(**states: str) -> Any:
    return lambda batch_id: BatchState(batch_id, states[batch_id], 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("batches", "done", "states", "expected"),
    [
        ([], [], {}, []),
        ([("2026-01-05", ["a"])], [], {"a": "ended"}, [5]),
        ([("2026-01-05", ["a"])], [], {"a": "running"}, []),
        ([("2026-01-05", ["a"])], [], {"a": "failed"}, [5]),
        ([("2026-01-05", ["a", "b"])], [], {"a": "ended", "b": "running"}, []),
        ([("2026-01-05", ["a", "b"])], [], {"a": "ended", "b": "failed"}, [5]),
        ([("2026-01-05", [])], [], {}, [5]),
        ([("2026-01-05", ["a"])], ["2026-01-05:a"], {"a": "ended"}, []),
        ([("2026-01-05", ["a"]), ("2026-01-05", ["b"])], ["2026-01-05:a"], {"b": "ended"}, [5]),
        ([("2026-01-06", ["b"]), ("2026-01-05", ["a"])], [], {"a": "ended", "b": "ended"}, [5, 6]),
        ([("2026-01-05", ["a"]), ("2026-01-06", ["b"])], [], {"a": "ended", "b": "running"}, [5]),
        # A day reads what the day before it made: it waits for it.
        ([("2026-01-05", ["a"]), ("2026-01-06", ["b"])], [], {"a": "running", "b": "ended"}, []),
    ],
)
def test_due_days(batches: Any, done: list[str], states: dict[str, str], expected: list[int]):
    found = due_days(sent(*batches), collected(*done), polled(**states))
    assert found == [date(2026, 1, day) for day in expected]


class SlowAnalyst(RulesAnalyst):
    """The rules, whose batches run until `ended` is set."""

    ended = False

    def poll(self, batch_id: str) -> BatchState:
        state = super().poll(batch_id)
        return state if self.ended else BatchState(batch_id, "running", state.requests)


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
    slow.ended = True
    [request] = home.tick("analysis_collection").run_requests
    assert home.run(request, job="collection").success
    assert {row["state"] for row in home.rows(Analysis, FIRST_DAY)} == {"answered"}
    assert home.warehouse.days(DailyReport) == [FIRST_DAY]
    assert home.tick("analysis_collection").run_requests == []


def test_collecting_too_early_fails_clearly_and_never_writes_an_empty_day(home: Home):
    [said] = [str(text) for text in _failed(home).values()]
    assert f"{FIRST_DAY}: 1 of 1 batches are still running" in said
    assert home.warehouse.days(Analysis) == []


def _failed(home: Home) -> dict[str, str]:
    from signals_assets_tests.home import failures

    return failures(home.materialize(FIRST_DAY, fails=True))


def test_a_failed_collection_is_asked_for_again_under_a_new_key_a_few_times_only(home: Home, slow: SlowAnalyst):
    home.ledger.append("batch", f"{FIRST_DAY}:", {"day": FIRST_DAY.isoformat(), "batch_ids": []})
    keys = set()
    for _ in range(6):
        [request] = home.tick("analysis_collection").run_requests
        keys.add(request.run_key)
        home.instance.create_run_for_job(
            home.definitions.resolve_job_def("collection"), status=dg.DagsterRunStatus.FAILURE, tags=request.tags
        )
    assert len(keys) == 4
