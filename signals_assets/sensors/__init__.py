"""Sensors decide, runs act: a sensor reads decisions that assets wrote, and requests runs. One per file.

Put here: what is due. Not here: how a level is judged (see `core/tickets.py`), acting (see `assets/tickets.py`).
A tick reads little, calls no service but a cheap poll, and is safe to replay: what was done is in the ledger.
"""

from collections.abc import Mapping
from typing import Final

import dagster as dg

from signals_assets.automation import DAY_TAG, EPISODE_TAG, VERDICT_TAG

__all__ = ["DAY_TAG", "EPISODE_TAG", "REQUEST_TAG", "VERDICT_TAG", "request"]

REQUEST_TAG: Final = "signals/request"
"""Run tag: what the run was requested for, the same for every attempt."""
ATTEMPTS: Final = 3
"""How often a failed request is made again."""


def request(
    context: dg.SensorEvaluationContext,
    key: str,
    partition_key: str,
    tags: Mapping[str, str] | None = None,
    job_name: str | None = None,
) -> dg.RunRequest:
    """A request under a run key that counts failed attempts: Dagster never launches the same key again."""
    filters = dg.RunsFilter(tags={REQUEST_TAG: key}, statuses=[dg.DagsterRunStatus.FAILURE])
    failures = min(ATTEMPTS, context.instance.get_runs_count(filters))
    return dg.RunRequest(
        partition_key=partition_key,
        run_key=f"{key}:{failures}",
        tags={REQUEST_TAG: key, **(tags or {})},
        job_name=job_name,
    )
