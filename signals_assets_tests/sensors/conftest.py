"""A home in which one friction type crossed its threshold on the newest day."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from signals_assets_tests.conftest import LAST_DAY
from signals_assets_tests.home import Home


@pytest.fixture
def crossing(lived: Home, tmp_path: Path) -> Iterator[Callable[..., Home]]:
    """Makes a copy of the lived home whose newest day was judged again, by one reader under lower ceilings."""
    made: list[Home] = []

    def make(*types: str, **settings: object) -> Home:
        thresholds = {"consecutive": 1, "default_ceiling": 0.99, "ceilings": dict.fromkeys(types, 0.01)}
        home = lived.copy(tmp_path / f"home{len(made)}", audience="self", thresholds=thresholds, **settings)
        made.append(home)
        home.materialize(LAST_DAY, only=["friction_levels"], tags={"signals/republish": "lower ceilings"})
        return home

    yield make
    for home in made:
        home.instance.dispose()
