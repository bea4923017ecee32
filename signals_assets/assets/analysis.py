"""Stage 3 · analysis. Which sessions are asked about, the analyst's answers, and word support for the barrier.

Writes  analysis_batches, analyses, rereadings, word_support; the ledger (readers, batches sent and collected)
Reads   raw_sessions, session_metrics, detections (same day); the ledger (days on which agreement fell)
Thinking: core/selection.py, core/analysis.py, core/rereading.py, core/barrier/support.py
Prompt: prompts/analyze_session.v2.md
Doors:  analyst, second_reader. Batches are a transport: the truth is one row per session.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import dagster as dg

from signals_assets.automation import LANGUAGE_MODEL_POOL, daily_asset
from signals_assets.checks import share
from signals_assets.core import analysis as thinking
from signals_assets.core.abstractions import answer_texts, parsed_answer
from signals_assets.core.analysis_rules import RULES
from signals_assets.core.barrier.support import Spoken, SupportChunk, count_chunk, day_vocabulary, support_rows
from signals_assets.core.barrier.thresholds import SHOWN
from signals_assets.core.cost import COLUMNS, cost_of
from signals_assets.core.coverage import Coverage
from signals_assets.core.identity import content_id
from signals_assets.core.rereading import (
    DRIFT_KIND,
    READER_KIND,
    Again,
    Reader,
    asked_rows,
    label_of,
    reader_payload,
    rereading_rows,
    sample,
    stored_decision,
)
from signals_assets.core.selection import MOST_TOKENS, PROMPT_TOKENS, select
from signals_assets.core.taxonomy import fold
from signals_assets.metadata import store
from signals_assets.partitions import days_of
from signals_assets.prompts import pinned
from signals_assets.resources.analyst import Analyst, AnalystError, Progress, all_labels, reader_again
from signals_assets.resources.compute import Compute
from signals_assets.resources.keys import PseudonymKey
from signals_assets.resources.ledger import Entry, Ledger
from signals_assets.resources.stored_rows import row_by_row
from signals_assets.resources.warehouse import Warehouse
from signals_assets.settings import Settings
from signals_assets.tables import (
    Analysis,
    AnalysisRequestRow,
    Detection,
    RawSession,
    Rereading,
    SessionMetrics,
    WordSupport,
)

PROMPT = pinned("analyze_session", 2)
ROWS_PER_CHUNK = 32
METRIC_COLUMNS = ["session_id", "user_id", "known_on", "characters", "steps", "agentic_steps"]
DETECTION_COLUMNS = ["session_id", "type", "severity", "confidence"]
SAMPLED_COLUMNS = {"day", "known_on", "session_id", "selected", "stratum", "inclusion_weight", "request_id"}
"""What choosing sessions to be read again needs of the selected rows."""


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
    second_reader: dg.ResourceParam[Analyst],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Select, sample, submit, end. The same day again takes in what ended, repeats what may be, sends nothing twice.

    Some sessions are put to other readers, too: see `rereadings`.
    """
    for day in days_of(context):
        taxonomy = fold(ledger.entries(["taxonomy"], before=day))
        question = thinking.Question(day, analyst.name, analyst.model, PROMPT.id, taxonomy)
        metrics = warehouse.read(SessionMetrics, day, columns=METRIC_COLUMNS).to_pylist()
        selections = select(
            metrics,
            row_by_row(warehouse.read(Detection, day, columns=DETECTION_COLUMNS)),
            min_steps=settings.selection.min_steps,
            daily_token_budget=settings.selection.daily_token_budget,
            seed=settings.selection.seed,
            day=day,
            most_tokens=_most_tokens(settings),
        )
        asked = {item.session_id: question.request_id(item.session_id) for item in selections if item.selected}
        progress = analyst.submit(_label(day), _Questions(warehouse, asked, question)) if asked else None
        batch_of = analyst.batches(_label(day)) if asked else {}
        rows = thinking.batch_rows(metrics, selections, question, batch_of)
        dumped = [row.model_dump(include=SAMPLED_COLUMNS) for row in rows if row.selected]
        wanted = _readings_again(question, dumped, ledger, second_reader, settings)
        again, unread = _submit_again(wanted, dumped, question, warehouse, analyst, second_reader)
        sent = {"day": day.isoformat(), "requests": len(asked), "rereadings": [item.payload for item in again]}
        ids = [*asked.values(), *(name for item in again for name in item.requests(dumped).values())]
        ledger.append("batch", f"{day}:{content_id('s', *sorted(ids))}", sent)
        skipped = Counter(row.reason for row in rows if not row.selected)
        coverage = Coverage(asked=len(rows), answered=len(asked), skipped=dict(skipped))
        tokens = sum(row.estimated_tokens for row in rows if row.selected)
        shown = _shown(progress) if progress is not None else {}
        shown |= {f"rereadings/{item.role}": len(item.weights) for item in again} | unread
        store(context, warehouse, AnalysisRequestRow, day, rows, coverage, estimated_tokens=tokens, **shown)


@dataclass(frozen=True)
class _Questions:
    """The day's requests, read from the warehouse anew each time they are iterated: never all in memory."""

    warehouse: Warehouse
    chosen: Mapping[str, str]
    """Session -> request id."""
    question: thinking.Question

    def __iter__(self) -> Iterator[thinking.AnalysisRequest]:
        return thinking.requests(self._raw(), self.chosen, self.question)

    def _raw(self) -> Iterator[dict[str, Any]]:
        columns = ["session_id", "session", "steps"]
        days = self.warehouse.stream(RawSession, self.question.day, columns=columns, rows_per_batch=ROWS_PER_CHUNK)
        for batch in days:
            yield from batch.to_pylist()


def _readings_again(
    question: thinking.Question,
    rows: Sequence[dict[str, Any]],
    ledger: Ledger,
    second_reader: Analyst,
    settings: Settings,
) -> list[Again]:
    """Who else is to read which of the day's sessions. What is decided of the former reader stays in the ledger."""
    if not any(row["selected"] for row in rows):
        return []
    day, reader, salt = question.day, Reader.asking(question), _salt(question.day, settings)
    with ledger.transaction() as writer:
        readers = writer.entries([READER_KIND])
        decided = stored_decision(day, reader, readers)
        if decided is None:
            drifts = writer.entries([DRIFT_KIND], before=day)
            decided = reader_payload(day, reader, readers, drifts, overlap_days=settings.overlap_days)
            number = sum(entry.payload["day"] == day.isoformat() for entry in readers)
            writer.append(READER_KIND, f"{day}:{number}", decided)
    found = []
    if decided["former"] is not None:
        weights = sample(rows, "former", settings.overlap_sessions, salt)
        former = Reader.of(decided["former"])
        found.append(Again("former", decided["because"], label_of(day, "former"), former, reader, weights))
    if settings.second_reader.analyst != "none":
        weights = sample(rows, "second", settings.second_reader.sessions_a_day, salt)
        other = Reader(second_reader.name, second_reader.model, question.prompt)
        found.append(Again("second", "sample", label_of(day, "second"), other, reader, weights))
    return [again for again in found if again.weights]


def _submit_again(
    wanted: Sequence[Again],
    rows: Sequence[dict[str, Any]],
    question: thinking.Question,
    warehouse: Warehouse,
    analyst: Analyst,
    second_reader: Analyst,
) -> tuple[list[Again], dict[str, int]]:
    """What was submitted, and how many sessions were not read again and why.

    A reader that cannot be reached now does not hold up the day: it is tried when the day is brought forward again.
    """
    sent, unread = [], {}
    for again in wanted:
        reader = reader_again(again.payload, analyst, second_reader)
        if reader is None:
            unread[f"rereadings/{again.role}_cannot_be_asked"] = len(again.weights)
            continue
        try:
            own = replace(question, analyst=reader.name, model=reader.model, prompt=again.reader.prompt)
            reader.submit(again.label, _Questions(warehouse, again.requests(rows), own))
        except AnalystError:
            unread[f"rereadings/{again.role}_not_reached"] = len(again.weights)
        else:
            sent.append(again)
    return sent, unread


def _salt(day: date, settings: Settings) -> str:
    return f"{settings.selection.seed}\x1f{day}"


def _most_tokens(settings: Settings) -> int:
    """What asking about a long session takes: a language model reads it condensed."""
    if settings.analyst == RULES:
        return MOST_TOKENS
    return PROMPT_TOKENS + settings.language_model.session_tokens


def _label(day: date) -> str:
    return day.isoformat()


def _shown(progress: Progress) -> dict[str, Any]:
    """What a run's metadata says about the requests."""
    states = {f"requests/{state}": count for state, count in progress.states.items()}
    return states | {f"reasons/{reason}": count for reason, count in progress.reasons.items()}


@daily_asset(Analysis, deps=["analysis_batches"], code_version=PROMPT.id, pool=LANGUAGE_MODEL_POOL)
def analyses(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    analyst: dg.ResourceParam[Analyst],
    second_reader: dg.ResourceParam[Analyst],
) -> None:
    """Collect. Too early is a clear failure, never an empty day: the analysis_collection sensor comes back."""
    for day in days_of(context):
        sent = _sent(ledger, day)
        asked = sent.payload["requests"]
        _refuse_early(day, all_labels(sent.payload, analyst, second_reader))
        taxonomy = fold(ledger.entries(["taxonomy"], before=day))
        rows, coverage = thinking.analysis_rows(
            row_by_row(warehouse.read(AnalysisRequestRow, day)),
            analyst.collect(_label(day)) if asked else (),
            taxonomy_version=taxonomy.version,
        )
        cost = cost_of(row.model_dump(include=set(COLUMNS)) for row in rows)
        shown = {f"cost/{name}": value for name, value in cost.items()}
        store(context, warehouse, Analysis, day, rows, coverage, **shown)
        ledger.append("collected", sent.key, {"day": day.isoformat()})


def _sent(ledger: Ledger, day: date) -> Entry:
    """What was sent of a day last."""
    sent = [entry for entry in ledger.entries(["batch"]) if entry.payload["day"] == day.isoformat()]
    if not sent:
        raise dg.Failure(f"{day}: nothing was sent; materialize analysis_batches first", allow_retries=False)
    return sent[-1]


def _refuse_early(day: date, progress: Progress | None) -> None:
    if progress is not None and progress.next != "done":
        waiting = sum(progress.states.get(state, 0) for state in ("planned", "submitted"))
        raise dg.Failure(
            f"{day}: not ready, {waiting} of {progress.requests} requests are still under way; the "
            "analysis_collection sensor launches this day again when all have ended",
            allow_retries=False,
        )


@daily_asset(Rereading, deps=["analysis_batches", "analyses"], code_version=PROMPT.id, pool=LANGUAGE_MODEL_POOL)
def rereadings(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    analyst: dg.ResourceParam[Analyst],
    second_reader: dg.ResourceParam[Analyst],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Collect what other readers say about a few of the sessions, for `reader_agreement` and nothing else.

    The former reader after a change of model or prompt, the same one again after agreement fell, a second model daily.
    """
    for day in days_of(context):
        sent = _sent(ledger, day).payload
        _refuse_early(day, all_labels(sent, analyst, second_reader))
        taxonomy = fold(ledger.entries(["taxonomy"], before=day))
        asked = warehouse.read(AnalysisRequestRow, day).to_pylist()
        rows: list[Rereading] = []
        coverage = Coverage()
        for item in sent.get("rereadings", ()):
            again = Again.of(item, asked, _salt(day, settings))
            reader = reader_again(item, analyst, second_reader)
            answers, covered = thinking.analysis_rows(
                asked_rows(again, asked),
                reader.collect(again.label) if reader is not None else (),
                taxonomy_version=taxonomy.version,
            )
            rows += rereading_rows(again, [answer.model_dump() for answer in answers])
            coverage += covered
        cost = cost_of(row.model_dump(include=set(COLUMNS)) for row in rows)
        store(context, warehouse, Rereading, day, rows, coverage, **{f"cost/{name}": n for name, n in cost.items()})


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
        analyses = warehouse.read(Analysis, day, columns=["state", "answer"])
        asked = analyses.num_rows
        if SHOWN[settings.audience].users <= 1:
            skipped = Coverage(asked=asked, skipped={"one_user_suffices": asked})
            store(context, warehouse, WordSupport, day, [], skipped)
            continue
        answers = map(parsed_answer, row_by_row(analyses))
        vocabulary = day_vocabulary(text for answer in answers if answer is not None for text in answer_texts(answer))
        chunks = (
            SupportChunk(Spoken(rows), vocabulary, key)
            for rows in warehouse.chunks(RawSession, day, columns=["user_id", "session"])
        )
        rows = support_rows(day, compute.map(count_chunk, chunks), key)
        store(context, warehouse, WordSupport, day, rows, Coverage(asked=asked, answered=asked))


sessions_are_answered = share(
    Analysis,
    "sessions_are_answered",
    "The analyst answered at least 95 % of the sessions it was asked about.",
    sql="select avg((state = 'answered')::int) as share from analyses where day in ({days})",
    at_least=0.95,
)
