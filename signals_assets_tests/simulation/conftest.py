"""One small world, lived once for all tests that only look at it."""

from pathlib import Path

import pytest

from signals_assets.simulation import simulate
from signals_assets_tests.simulation.worlds import START


@pytest.fixture(scope="session")
def world_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world")
    simulate(out, days=28, sessions_per_day=50, seed=7, start=START)
    return out
