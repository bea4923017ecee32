"""`signals backfill`: what is left of many days, and going on after a stop."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import numpy as np

from signals_assets.cli.backfill import LAST_TABLE, finished, runs, unfinished
from signals_assets.tables import TABLES
from signals_assets_tests.conftest import FIRST_DAY, LAST_DAY, NEXT_DAY
from signals_assets_tests.fakes.embedder import HashEmbedder
from signals_assets_tests.home import Home

DAYS = [FIRST_DAY + timedelta(days=offset) for offset in range(4)]


class StoppedOnce(HashEmbedder):
    """Stops the run that asks it first."""

    stopped = False

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        if not self.stopped:
            self.stopped = True
            raise ConnectionError
        return super().embed(texts)


def test_days_are_cut_into_runs_without_gaps():
    assert list(runs(DAYS, 3)) == [DAYS[:3], DAYS[3:]]
    assert list(runs([DAYS[0], *DAYS[2:]], 31)) == [DAYS[:1], DAYS[2:]]
    assert list(runs([], 31)) == []


def test_every_other_table_is_upstream_of_the_last_one(lived: Home):
    graph = lived.definitions.resolve_asset_graph()
    upstream = {key.to_user_string() for key in dg.AssetSelection.assets(LAST_TABLE).upstream().resolve(graph)}
    assert upstream >= set(TABLES)


def test_a_day_is_finished_when_the_warehouse_and_dagster_know_it(lived: Home, tmp_path: Path):
    assert finished(lived.instance, lived.warehouse) == set(DAYS)
    assert unfinished(lived.instance, lived.warehouse, DAYS) == []
    copy = lived.copy(tmp_path / "home")
    assert finished(copy.instance, copy.warehouse) == set()  # its instance has no history
    copy.warehouse.delete_days(TABLES["causes"], [LAST_DAY])
    assert unfinished(lived.instance, copy.warehouse, DAYS) == ["causes"]
    assert unfinished(lived.instance, copy.warehouse, DAYS[:3]) == []


def test_a_run_that_was_stopped_goes_on_and_ends_as_if_it_never_was(lived: Home, tmp_path: Path):
    home = lived.copy(tmp_path / "stopped", doors={"embedder": StoppedOnce()})
    home.materialize(NEXT_DAY, fails=True)
    left = unfinished(home.instance, home.warehouse, [NEXT_DAY])
    assert "embeddings" in left
    assert LAST_TABLE in left
    done = [TABLES[name] for name in TABLES if name not in left]
    assert {"raw_sessions", "analyses", "friction_events"} <= {model.table for model in done}

    before = {model: _written(home, model.zone, model.table, NEXT_DAY) for model in done}
    home.materialize(NEXT_DAY, only=left)
    assert {model: _written(home, model.zone, model.table, NEXT_DAY) for model in done} == before
    assert finished(home.instance, home.warehouse) == {NEXT_DAY}

    whole = lived.copy(tmp_path / "whole")
    whole.materialize(NEXT_DAY)
    assert home.tables(FIRST_DAY, NEXT_DAY) == whole.tables(FIRST_DAY, NEXT_DAY)


def _written(home: Home, zone: str, table: str, day: date) -> int:
    return (home.folder / "warehouse" / zone / table / f"{day}.parquet").stat().st_mtime_ns
