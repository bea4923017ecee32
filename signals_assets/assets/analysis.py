"""Stage 3 · analysis. Which sessions are asked about, the analyst's answers, and word support for the barrier.

Writes  analysis_batches, analyses, word_support; the ledger (batches sent and collected)
Reads   raw_sessions, session_metrics, detections (same day)
Thinking: core/selection.py, core/analysis.py, core/barrier/support.py      Prompt: prompts/analyze_session.v1.md
Door:   analyst. Batches are a transport: the truth is one row per session.
"""

from datetime import date
from typing import Any

import dagster as dg

from signals_assets.automation import LANGUAGE_MODEL_POOL, daily_asset
from signals_assets.checks import share
from signals_assets.core import analysis as thinking
from signals_assets.core.abstractions import answer_texts, parsed_answer
from signals_assets.core.barrier.support import SupportChunk, count_chunk, day_vocabulary, support_rows
from signals_assets.core.barrier.thresholds import SHOWN
from signals_assets.core.coverage import Coverage
from signals_assets.core.selection import select
from signals_assets.core.taxonomy import fold
from signals_assets.metadata import store
from signals_assets.partitions import days_of
from signals_assets.prompts import pinned
from signals_assets.resources.analyst import Analyst
from signals_assets.resources.compute import Compute
from signals_assets.resources.keys import PseudonymKey
from signals_assets.resources.ledger import Ledger
from signals_assets.resources.warehouse import Warehouse
from signals_assets.settings import Settings
from signals_assets.tables import (
    Analysis,
    AnalysisRequestRow,
    Detection,
    RawSession,
    SessionMetrics,
    WordSupport,
)

PROMPT = pinned("analyze_session", 1)
ROWS_PER_CHUNK = 32


@daily_asset(
    AnalysisRequestRow,
    deps=["raw_sessions", "session_metrics", "detections"],
    code_version=PROMPT.id,
    pool=LANGUAGE_MODEL_POOL,
)
def analysis_batches(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    analyst: dg.ResourceParam[Analyst],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Select, sample, submit, end. Submitting the same day again sends nothing twice."""
    for day in days_of(context):
        taxonomy = fold(ledger.entries(["taxonomy"], before=day))
        metrics = warehouse.read(SessionMetrics, day).to_pylist()
        selections = select(
            metrics,
            warehouse.read(Detection, day).to_pylist(),
            min_steps=settings.selection.min_steps,
            daily_token_budget=settings.selection.daily_token_budget,
            seed=settings.selection.seed,
            day=day,
        )
        asked = thinking.requests(
            _raw(warehouse, day),
            selections,
            day=day,
            prompt=PROMPT.id,
            taxonomy_version=taxonomy.version,
            types=(*taxonomy.slugs("friction"), *taxonomy.slugs("delight")),
        )
        batches = analyst.submit(day.isoformat(), asked) if any(item.selected for item in selections) else []
        ids = [batch.batch_id for batch in batches]
        ledger.append("batch", f"{day}:{','.join(ids)}", {"day": day.isoformat(), "batch_ids": ids})
        rows = thinking.batch_rows(
            metrics,
            selections,
            day=day,
            analyst=analyst.name,
            prompt=PROMPT.id,
            taxonomy_version=taxonomy.version,
            batch_of=_batch_of(analyst, ids),
        )
        reasons: dict[str, int] = {}
        for row in rows:
            if not row.selected:
                reasons[row.reason] = reasons.get(row.reason, 0) + 1
        coverage = Coverage(asked=len(rows), answered=len(rows) - sum(reasons.values()), skipped=reasons)
        tokens = sum(row.estimated_tokens for row in rows if row.selected)
        store(context, warehouse, AnalysisRequestRow, day, rows, coverage, estimated_tokens=tokens)


def _raw(warehouse: Warehouse, day: date) -> Any:
    for batch in warehouse.stream(RawSession, day, columns=["session_id", "session"], rows_per_batch=ROWS_PER_CHUNK):
        yield from batch.to_pylist()


def _batch_of(analyst: Analyst, ids: list[str]) -> dict[str, str]:
    """Which batch carries which request, known at once where the analyst has answered already."""
    ended = [batch for batch in ids if analyst.poll(batch).state == "ended"]
    return {answer.request_id: batch for batch in ended for answer in analyst.collect(batch)}


@daily_asset(Analysis, deps=["analysis_batches"], code_version=PROMPT.id, pool=LANGUAGE_MODEL_POOL)
def analyses(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    analyst: dg.ResourceParam[Analyst],
) -> None:
    """Collect. Too early is a clear failure, never an empty day: the analysis_collection sensor comes back."""
    for day in days_of(context):
        sent = [entry for entry in ledger.entries(["batch"]) if entry.payload["day"] == day.isoformat()]
        if not sent:
            raise dg.Failure(f"{day}: no batch was sent; materialize analysis_batches first", allow_retries=False)
        ids = sent[-1].payload["batch_ids"]
        waiting = [batch for batch in ids if analyst.poll(batch).state == "running"]
        if waiting:
            raise dg.Failure(
                f"{day}: {len(waiting)} of {len(ids)} batches are still running; the analysis_collection sensor "
                "launches this day again when they ended",
                allow_retries=False,
            )
        taxonomy = fold(ledger.entries(["taxonomy"], before=day))
        rows, coverage = thinking.analysis_rows(
            warehouse.read(AnalysisRequestRow, day).to_pylist(),
            (answer for batch in ids for answer in analyst.collect(batch)),
            taxonomy_version=taxonomy.version,
        )
        cost = round(sum(row.cost_usd for row in rows), 6)
        tokens = sum(row.input_tokens for row in rows)
        store(context, warehouse, Analysis, day, rows, coverage, cost_usd=cost, input_tokens=tokens)
        ledger.append("collected", sent[-1].key, {"day": day.isoformat()})


@daily_asset(WordSupport, deps=["raw_sessions", "analyses"])
def word_support(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    compute: dg.ResourceParam[Compute],
    pseudonym_key: dg.ResourceParam[PseudonymKey],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Distinct users per word of the day's sessions. Not needed, and not counted, where one user suffices."""
    key = pseudonym_key.bytes()
    for day in days_of(context):
        answers = [parsed_answer(row) for row in warehouse.read(Analysis, day).to_pylist()]
        if SHOWN[settings.audience].users <= 1:
            skipped = Coverage(asked=len(answers), skipped={"one_user_suffices": len(answers)})
            store(context, warehouse, WordSupport, day, [], skipped)
            continue
        vocabulary = day_vocabulary(text for answer in answers if answer is not None for text in answer_texts(answer))
        chunks = (
            SupportChunk(_sessions(batch), vocabulary, key)
            for batch in warehouse.stream(
                RawSession, day, columns=["user_id", "session"], rows_per_batch=ROWS_PER_CHUNK
            )
        )
        rows = support_rows(day, compute.map(count_chunk, chunks), key)
        store(context, warehouse, WordSupport, day, rows, Coverage(asked=len(answers), answered=len(answers)))


def _sessions(batch: Any) -> list[tuple[str | None, str]]:
    columns = (batch.column(name).to_pylist() for name in ("user_id", "session"))
    return list(zip(*columns, strict=True))


sessions_are_answered = share(
    Analysis,
    "sessions_are_answered",
    "The analyst answered at least 95 % of the sessions it was asked about.",
    sql="select avg((state = 'answered')::int) as share from analyses where day in ({days})",
    at_least=0.95,
)
