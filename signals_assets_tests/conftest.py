"""Shared fixtures: the real data beside a checkout, where it exists; a small life that went through the graph."""

import os
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # importing Dagster costs a second that most tests do not need
    from signals_assets.simulation import World
    from signals_assets_tests.fakes.dask_cluster import DaskCluster
    from signals_assets_tests.fakes.postgres import PostgresServer
    from signals_assets_tests.home import Home


def _beside(name: str, variable: str) -> Path:
    return Path(os.environ.get(variable, Path(__file__).resolve().parents[2] / "shared" / name))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real sessions; skips the test where it is absent."""
    folder = _beside("data", "SIGNALS_DATA")
    if not folder.is_dir():
        pytest.skip("the real sessions are not beside this checkout (set SIGNALS_DATA to their folder)")
    return folder


@pytest.fixture(scope="session")
def specs_dir() -> Path:
    """The folder of API specs; skips the test where it is absent."""
    folder = _beside("specs", "SIGNALS_SPECS")
    if not folder.is_dir():
        pytest.skip("the API specs are not beside this checkout (set SIGNALS_SPECS to their folder)")
    return folder


UNTRACED = (
    "benchmarks/",
    "cli/test_demo.py",
    "core/barrier/test_differencing.py",
    "core/barrier/test_small_worlds.py",
    "core/detectors/test_fold.py",
    "test_daemon.py",
    "test_doors_matrix.py",
    "test_injection.py",
    "test_loop_doors.py",
    "test_taxonomy_life.py",
    "test_threats.py",
)
"""Tests that try very much: tracing every line of that would cost as much as they do, and others cover those lines."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the longest tests out of the measured coverage."""
    here = Path(__file__).resolve().parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.relative_to(here).as_posix().startswith(UNTRACED):
            item.add_marker("no_cover")


FIRST_DAY = date(2026, 1, 5)
LAST_DAY = date(2026, 1, 8)
NEXT_DAY = date(2026, 1, 9)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> "World":
    """Five days of a dozen users; tests of the graph only read it."""
    from signals_assets.simulation import World

    world = World(3, 12, FIRST_DAY, tmp_path_factory.mktemp("life") / "world", users=12, organizations=3)
    world.step((NEXT_DAY - FIRST_DAY).days + 1)
    return world


@pytest.fixture(scope="session")
def lived(world: "World", tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Home]":
    """A home whose first four days went through the whole graph in one run; tests copy it before they change it."""
    from signals_assets_tests.home import Home

    with Home(tmp_path_factory.mktemp("lived") / "home", world.out) as home:
        home.materialize(FIRST_DAY, LAST_DAY)
        yield home


@pytest.fixture(scope="session")
def dask_cluster() -> "Iterator[DaskCluster]":
    """A scheduler and two workers on this machine; a test that kills a worker starts another one."""
    from signals_assets_tests.fakes.dask_cluster import DaskCluster

    with DaskCluster() as cluster:
        cluster.wait_for_workers(2)
        yield cluster


@pytest.fixture
def crossing(lived: "Home", tmp_path: Path) -> "Iterator[Callable[..., Home]]":
    """Makes a copy of the lived home whose newest day was judged again, by one reader under lower ceilings."""
    made: list[Home] = []

    def make(*types: str, **settings: object) -> "Home":
        thresholds = {"consecutive": 1, "default_ceiling": 0.99, "ceilings": dict.fromkeys(types, 0.01)}
        home = lived.copy(tmp_path / f"home{len(made)}", audience="self", thresholds=thresholds, **settings)
        made.append(home)
        home.materialize(LAST_DAY, only=["friction_levels"], tags={"signals/republish": "lower ceilings"})
        return home

    yield make
    for home in made:
        home.instance.dispose()


@pytest.fixture(scope="session")
def postgres() -> "Iterator[PostgresServer]":
    """A real PostgreSQL server, one for each process of the test run; fails, never skips, where there is none."""
    from signals_assets_tests.fakes.postgres import PostgresServer

    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: "PostgresServer") -> str:
    """SQLAlchemy's URL of a new empty database on it."""
    return postgres.database()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new empty ledger's URL, on each of the databases that a ledger may lie in."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger' / 'ledger.db'}"
    return str(request.getfixturevalue("postgres_url"))
