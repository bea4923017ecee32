"""`signals run`: ranges of days."""

import json
from datetime import date, timedelta

import click
import pytest

from signals_assets.cli.run import days_asked
from signals_assets.resources import resources_for
from signals_assets.settings import Settings
from signals_assets.tables import TABLES
from signals_assets_tests.conftest import FIRST_DAY

KNOWN = Settings(start_day=date(2026, 1, 1), end_day=date(2026, 1, 31))


def testdays_askeds_by_bounds_or_by_the_newest_days():
    day = date(2026, 1, 5)
    assert days_asked(KNOWN, day, None, None) == (day, day)
    assert days_asked(KNOWN, day, date(2026, 1, 9), None) == (day, date(2026, 1, 9))
    assert days_asked(KNOWN, None, None, 2) == (date(2026, 1, 30), date(2026, 1, 31))
    assert days_asked(KNOWN, None, None, 99) == (date(2026, 1, 1), date(2026, 1, 31))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((None, None, None), "give --from"),
        ((date(2026, 1, 5), None, 3), "give --from"),
        ((None, date(2026, 1, 5), 3), "give --from"),
        ((date(2026, 1, 5), date(2026, 1, 4), None), "--to is before --from"),
        ((date(2025, 12, 31), None, None), "days go from 2026-01-01 to 2026-01-31"),
        ((date(2026, 1, 5), date(2026, 2, 1), None), "days go from 2026-01-01 to 2026-01-31"),
    ],
)
def test_contradictory_and_unknown_days_are_refused(arguments, said):
    with pytest.raises(click.UsageError, match=said):
        days_asked(KNOWN, *arguments)


@pytest.mark.slow
def test_two_days_of_the_world_fill_every_table(signals, empty_home, world, monkeypatch):
    monkeypatch.setenv("SIGNALS_SESSIONS", json.dumps([str(world.out / "sessions")]))
    monkeypatch.setenv("SIGNALS_RECORDS", str(world.out / "records"))
    last = FIRST_DAY + timedelta(days=1)
    output = signals("run", "--from", FIRST_DAY, "--to", last).output
    assert f"{FIRST_DAY} to {last}" in output
    assert "daily_report" in output
    assert "Warning" not in output
    warehouse = resources_for(Settings())["warehouse"]
    assert all(warehouse.days(model) == [FIRST_DAY, last] for model in TABLES.values())
