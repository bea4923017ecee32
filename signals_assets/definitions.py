"""Definitions: the whole code location, put together. No logic lives here.

Put here: `build_defs` and `defs`. Not here: anything that decides something.
"""

from typing import Any

import dagster as dg

from signals_assets import automation, checks
from signals_assets.assets import (
    abstractions,
    analysis,
    correlations,
    discovery,
    metrics,
    outcomes,
    report,
    sessions,
    tickets,
)
from signals_assets.guard import calm_logging
from signals_assets.resources import resources_for
from signals_assets.sensors import (
    analysis_collection,
    auto_acceptance,
    fix_tracking,
    friction_threshold,
    late_sessions,
)
from signals_assets.settings import Settings

SENSORS = (analysis_collection, friction_threshold, fix_tracking, late_sessions, auto_acceptance)
STAGES = (sessions, metrics, analysis, abstractions, discovery, correlations, tickets, outcomes, report)


def build_defs(
    settings: Settings, *, loggers: dict[str, dg.LoggerDefinition] | None = None, **doors: Any
) -> dg.Definitions:
    """A fresh code location over the settings; `doors` replace single resources by name (tests, special runs)."""
    calm_logging()
    return dg.Definitions(
        assets=dg.load_assets_from_modules(STAGES),
        asset_checks=[*checks.contracts(), *dg.load_asset_checks_from_modules(STAGES)],
        resources=resources_for(settings, **doors),
        jobs=[
            automation.flow,
            automation.cycle,
            automation.resubmission,
            automation.collection,
            automation.act,
            automation.retention,
            auto_acceptance.taxonomy_job,
        ],
        schedules=automation.schedules(settings),
        sensors=[module.sensor_for(settings) for module in SENSORS],
        executor=dg.in_process_executor,
        loggers=loggers,
    )


defs = build_defs(Settings())
