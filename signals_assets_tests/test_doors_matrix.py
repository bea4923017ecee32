"""The whole graph through production doors: {Parquet, BigQuery} x {SQLite, PostgreSQL} x {local, Dask} keep the same.

One run goes through all production doors at once and is compared with the embedded ones; ALL_DOORS=1 runs every
combination. PostgreSQL alone, with what its ledger says: `test_graph_postgres.py`.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from signals_assets.cli.summary import collect
from signals_assets.simulation import World
from signals_assets_tests.conftest import FIRST_DAY
from signals_assets_tests.fakes.bigquery_server import PROJECT, BigQueryServer
from signals_assets_tests.home import Home, Tables

SECOND_DAY = FIRST_DAY + timedelta(days=1)
EMBEDDED = ("parquet", "sqlite", "local")
EVERY = list(product(("parquet", "bigquery"), ("sqlite", "postgresql"), ("local", "dask")))
PRODUCTION = ("bigquery", "postgresql", "dask")
CHOSEN = [doors for doors in EVERY if doors != EMBEDDED] if os.environ.get("ALL_DOORS") else [PRODUCTION]


def warehouse(name: str, stack: ExitStack) -> dict[str, Any]:
    """Settings of a warehouse that is open as long as the stack."""
    if name == "parquet":
        return {}
    server = stack.enter_context(BigQueryServer())
    return {"warehouse": "bigquery", "bigquery": {"project": PROJECT, "endpoint": server.origin}}


def ledger(name: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of a ledger that is empty."""
    return {} if name == "sqlite" else {"ledger_url": SecretStr(request.getfixturevalue("postgres_url"))}


def compute(name: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of where pieces of work run."""
    if name == "local":
        return {"compute": "serial"}
    return {"compute": "dask", "dask_scheduler": request.getfixturevalue("dask_cluster").address}


Kept = tuple[Tables, dict[str, Any], dict[str, int]]


def kept(home: Home) -> Kept:
    """Every table's rows, what the commands show of them, and how many entries of each kind the ledger has."""
    kinds = home.ledger.kinds()
    entries = {kind: len(list(home.ledger.entries([kind]))) for kind in kinds}
    return home.tables(FIRST_DAY, SECOND_DAY), collect(home.doors), entries


@pytest.fixture(scope="module")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of a few users."""
    world = World(3, 8, FIRST_DAY, tmp_path_factory.mktemp("doors") / "world", users=8, organizations=3)
    world.step(2)
    return world.out


@pytest.fixture(scope="module")
def embedded(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """What the embedded doors keep."""
    with Home(tmp_path_factory.mktemp("embedded") / "home", small_world) as home:
        home.materialize(FIRST_DAY, SECOND_DAY)
        yield kept(home)


@pytest.mark.parametrize("doors", CHOSEN, ids="-".join)
def test_the_graph_keeps_the_same_whichever_doors_are_open(
    doors: tuple[str, str, str], small_world: Path, embedded: Kept, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with ExitStack() as stack:
        settings = warehouse(doors[0], stack) | ledger(doors[1], request) | compute(doors[2], request)
        home = stack.enter_context(Home(tmp_path / "home", small_world, **settings))
        home.materialize(FIRST_DAY, SECOND_DAY)
        tables, shown, entries = kept(home)
        home.ledger.close()
    assert {name for name, days in tables.items() if any(days.values())} > {
        "friction_rates",
        "user_days",
        "daily_report",
    }
    assert [name for name in tables if tables[name] != embedded[0][name]] == []
    assert [name for name in shown if shown[name] != embedded[1][name]] == []
    assert entries == embedded[2]
