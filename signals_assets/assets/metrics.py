"""Stage 2 · metrics. Counts and detections, measured by code on all sessions.

Writes  session_metrics, detections
Reads   raw_sessions (same day), in one pass
Thinking: core/metrics.py, core/detectors/
"""

from collections.abc import Iterator
from datetime import date
from itertools import groupby

import dagster as dg

from signals_assets.automation import daily_assets
from signals_assets.core.coverage import Coverage
from signals_assets.core.metrics import MetricsChunk, measure_chunk
from signals_assets.metadata import store
from signals_assets.partitions import days_of
from signals_assets.resources.compute import Compute
from signals_assets.resources.warehouse import Warehouse
from signals_assets.settings import Settings
from signals_assets.tables import Detection, RawSession, SessionMetrics

ROWS_PER_CHUNK = 32
"""Sessions per piece of work: large enough to amortise pickling, small enough to keep memory flat."""


@daily_assets(SessionMetrics, Detection, name="session_metrics_and_detections", deps=["raw_sessions"])
def session_metrics_and_detections(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    compute: dg.ResourceParam[Compute],
    settings: dg.ResourceParam[Settings],
) -> None:
    """One pass over every session: nothing is sampled here."""
    days = days_of(context)
    stored = set()
    results = compute.map(measure_chunk, _chunks(warehouse, days, settings))
    for day, parts in groupby(results, key=lambda result: result.day):
        metrics, detections, coverage = [], [], Coverage()
        for part in parts:
            metrics += part.metrics
            detections += part.detections
            coverage += part.coverage
        store(context, warehouse, SessionMetrics, day, metrics, coverage)
        store(context, warehouse, Detection, day, detections, coverage)
        stored.add(day)
    for day in days:
        if day not in stored:
            store(context, warehouse, SessionMetrics, day, [], Coverage())
            store(context, warehouse, Detection, day, [], Coverage())


def _chunks(warehouse: Warehouse, days: list[date], settings: Settings) -> Iterator[MetricsChunk]:
    for day in days:
        for batch in warehouse.stream(RawSession, day, rows_per_batch=ROWS_PER_CHUNK):
            yield MetricsChunk(day=day, rows=batch.to_pylist(), components=settings.components)
