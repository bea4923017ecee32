"""Stage 2 · metrics. Counts and detections, measured by code on all sessions.

Writes  session_metrics, detections
Reads   raw_sessions (same day), in one pass
Thinking: core/metrics.py, core/detectors/
"""

from collections.abc import Iterator

import dagster as dg

from signals_assets.automation import daily_assets, materialized
from signals_assets.core.coverage import Coverage
from signals_assets.core.metrics import MetricsChunk, measure_chunk
from signals_assets.metadata import store
from signals_assets.partitions import days_of
from signals_assets.resources.compute import Compute
from signals_assets.resources.stored_rows import spooled
from signals_assets.resources.warehouse import Warehouse
from signals_assets.settings import Settings
from signals_assets.tables import Detection, RawSession, SessionMetrics


@daily_assets(SessionMetrics, Detection, name="session_metrics_and_detections", deps=["raw_sessions"])
def session_metrics_and_detections(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    compute: dg.ResourceParam[Compute],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.MaterializeResult[None]]:
    """One pass over every session: nothing is sampled here."""
    for day in days_of(context):
        chunks = (
            MetricsChunk(day=day, rows=rows, components=settings.components)
            for rows in warehouse.chunks(RawSession, day)
        )
        coverage = Coverage()
        with spooled(settings.restricted, SessionMetrics, Detection) as (metrics, detections):
            for part in compute.map(measure_chunk, chunks):
                metrics.add(part.metrics)
                detections.add(part.detections)
                coverage += part.coverage
            store(context, warehouse, SessionMetrics, day, metrics, coverage)
            store(context, warehouse, Detection, day, detections, coverage)
    yield from materialized(context, SessionMetrics, Detection)
