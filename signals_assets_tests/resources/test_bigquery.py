"""The BigQuery warehouse over HTTP: the contract, and what is its own (jobs, retries, layout)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from signals_assets.resources.bigquery import BigQueryWarehouse
from signals_assets.resources.bigquery_connection import BigQueryConnection, BigQueryJobs
from signals_assets.resources.bigquery_layout import Layout
from signals_assets_tests.fakes.bigquery_server import LOCATION, PROJECT, BigQueryServer
from signals_assets_tests.resources.warehouse_contract import WarehouseContract


@pytest.fixture
def server() -> Iterator[BigQueryServer]:
    with BigQueryServer(page=3) as running:
        yield running


def opened(server: BigQueryServer, folder: Path, **changes: float) -> BigQueryWarehouse:
    connection = BigQueryConnection(project=PROJECT, location=LOCATION, endpoint=server.origin)
    jobs = BigQueryJobs(connection, maximum_bytes_billed=10**9, **{"patience_seconds": 3, "first_wait": 0.01} | changes)
    return BigQueryWarehouse(jobs, Layout(PROJECT, "signals", LOCATION, least_users=5), folder / "spool")


@pytest.fixture
def warehouse(server: BigQueryServer, tmp_path: Path) -> BigQueryWarehouse:
    return opened(server, tmp_path)


class TestBigQueryWarehouseHoldsTheContract(WarehouseContract):
    pass
