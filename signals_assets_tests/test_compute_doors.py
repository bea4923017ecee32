"""Per-session stages write the same bytes wherever their pieces run: in this process, in others, on a Dask cluster."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from signals_assets.resources import stored_rows
from signals_assets.resources.compute import ProcessCompute
from signals_assets.resources.dask_compute import DaskCompute
from signals_assets.tables import TABLES, RawSession
from signals_assets_tests.conftest import FIRST_DAY
from signals_assets_tests.fakes.dask_cluster import DaskCluster
from signals_assets_tests.home import Home

PER_SESSION = {
    "session_metrics": "abstracted", "detections": "abstracted", "analysis_batches": "restricted",
    "analyses": "restricted", "word_support": "restricted", "abstracted_summaries": "abstracted",
    "facets": "abstracted", "friction_events": "abstracted", "delight_events": "abstracted",
    "unmet_needs": "abstracted",
}  # fmt: skip


@pytest.fixture(params=["processes", "dask"])
def compute(request: pytest.FixtureRequest, dask_cluster: DaskCluster) -> Iterator[ProcessCompute | DaskCompute]:
    made = ProcessCompute(2) if request.param == "processes" else DaskCompute(dask_cluster.address, 20)
    yield made
    made.close()


def bytes_of(home: Home) -> dict[str, bytes]:
    tables = home.folder / "warehouse"
    return {name: (tables / zone / name / f"{FIRST_DAY}.parquet").read_bytes() for name, zone in PER_SESSION.items()}


def test_the_tables_are_the_same_bytes(
    lived: Home, compute: ProcessCompute | DaskCompute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = lived.copy(tmp_path / "home", doors={"compute": compute})
    with monkeypatch.context() as patch:
        patch.setattr(stored_rows, "GROUP_ROWS", 2)  # so that a small day is many pieces
        home.warehouse.replace(RawSession, FIRST_DAY, home.warehouse.read(RawSession, FIRST_DAY))
    pieces = list(home.warehouse.chunks(RawSession, FIRST_DAY))
    assert len(pieces) > 5
    shutil.rmtree(home.settings.restricted / "batches")  # the rules' answers are worked out again, too
    for name in PER_SESSION:
        home.warehouse.delete_days(TABLES[name], [FIRST_DAY])
    home.materialize(FIRST_DAY, only=list(PER_SESSION))
    assert bytes_of(home) == bytes_of(lived)
