"""The late_sessions sensor: stored days that grew are redone, once for each time they grew."""

from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from signals_assets.core.sessions import from_json, to_json
from signals_assets.sensors.late_sessions import LATE_TAG, grown
from signals_assets.tables import RawSession
from signals_assets_tests.conftest import FIRST_DAY
from signals_assets_tests.home import Home

FIFTH, SIXTH = date(2026, 1, 5), date(2026, 1, 6)


@pytest.mark.parametrize(
    ("available", "stored", "expected"),
    [
        ({}, {}, []),
        ({FIFTH: 3}, {FIFTH: 3}, []),
        ({FIFTH: 4}, {FIFTH: 3}, [FIFTH]),
        ({FIFTH: 2}, {FIFTH: 3}, []),  # a loss is not lateness: a redo of the day would refuse it
        ({}, {FIFTH: 3}, []),
        ({FIFTH: 4}, {}, []),  # never materialized: the daily cycle's matter
        ({FIFTH: 1}, {FIFTH: 0}, [FIFTH]),
        ({SIXTH: 4, FIFTH: 4}, {SIXTH: 3, FIFTH: 3}, [FIFTH, SIXTH]),
    ],
)
def test_grown(available: dict[date, int], stored: dict[date, int], expected: list[date]):
    assert grown(available, stored) == expected


def test_a_file_that_arrives_late_has_its_day_redone(lived: Home, tmp_path: Path):
    assert lived.world
    late = tmp_path / "late"
    late.mkdir()
    sources = {"sessions": [lived.world / "sessions", late], "records": lived.world / "records"}
    with lived.copy(tmp_path / "home", **sources) as home:
        assert home.tick("late_sessions").run_requests == []
        session = from_json((lived.world / f"sessions/{FIRST_DAY}.jsonl").read_bytes().splitlines()[0])
        session.session_id = "arrived-late"
        (late / "late.jsonl").write_bytes(to_json(session) + b"\n")
        [request] = home.tick("late_sessions").run_requests
        assert (request.partition_key, request.tags[LATE_TAG]) == (FIRST_DAY.isoformat(), "1")
        before = len(home.rows(RawSession, FIRST_DAY))
        home.materialize(FIRST_DAY, tags=request.tags, only=["raw_sessions", "quarantine"])
        assert len(home.rows(RawSession, FIRST_DAY)) == before + 1
        assert home.tick("late_sessions").run_requests == []


def test_a_failed_redo_is_asked_for_again_under_a_new_key_a_few_times_only(lived: Home, tmp_path: Path):
    with lived.copy(tmp_path / "home") as home:
        home.warehouse.replace(RawSession, FIRST_DAY, [])
        keys = set()
        for _ in range(6):
            [request] = home.tick("late_sessions").run_requests
            keys.add(request.run_key)
            home.instance.create_run_for_job(
                home.definitions.resolve_job_def("flow"), status=dg.DagsterRunStatus.FAILURE, tags=request.tags
            )
        assert len(keys) == 4
