"""Stage 4 · abstractions. What may be kept of each session: admitted text, enums, bounded numbers, step indices.

Writes  abstracted_summaries, facets, friction_events, delight_events, unmet_needs; agreement, reader_agreement;
        feedback_links; the ledger (days on which agreement fell out of its band)
Reads   raw_sessions, analyses, rereadings (two weeks), detections, word_support (two weeks), feedback; the ledger
        (readers, verdicts of persons)
Thinking: core/abstractions.py, core/barrier/, core/agreement_band.py, core/rereading.py, core/review.py
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from signals_assets.automation import daily_asset, daily_assets, materialized
from signals_assets.checks import share
from signals_assets.core.abstractions import (
    AbstractionChunk,
    Cases,
    SessionCalls,
    abstract_chunk,
)
from signals_assets.core.abstractions import agreement as agreement_of
from signals_assets.core.abstractions import feedback_links as links_of
from signals_assets.core.agreement_band import BAND_DAYS, Judged, judged
from signals_assets.core.barrier import Support
from signals_assets.core.coverage import Coverage
from signals_assets.core.rereading import DRIFT_KIND, READER_KIND, steady_since
from signals_assets.core.taxonomy import Taxonomy, fold
from signals_assets.guard import guarded
from signals_assets.metadata import shown, store
from signals_assets.partitions import days_of, days_of_run, window
from signals_assets.resources.compute import Compute
from signals_assets.resources.cross_check import reader_agreement as readers_agree
from signals_assets.resources.keys import PseudonymKey
from signals_assets.resources.ledger import Ledger
from signals_assets.resources.stored_rows import row_by_row, spooled
from signals_assets.resources.warehouse import Warehouse
from signals_assets.settings import Settings
from signals_assets.tables import (
    AbstractedSummary,
    Agreement,
    Analysis,
    DelightEvent,
    Detection,
    Facet,
    FeedbackLink,
    FeedbackRecord,
    FrictionEvent,
    RawSession,
    ReaderAgreement,
    Row,
    UnmetNeed,
    WordSupport,
)

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_BATCH = 64
ANSWER_COLUMNS = ["session_id", "known_on", "state", "analyst", "model", "prompt", "inclusion_weight", "answer"]
SUPPORT_WINDOW = 14
"""Trailing days of word support: as long as raw text is kept."""


TABLES_OF_A_PASS = (AbstractedSummary, Facet, FrictionEvent, DelightEvent, UnmetNeed)


@daily_assets(
    *TABLES_OF_A_PASS,
    name="abstractions",
    deps=["raw_sessions", "detections", "analyses", "word_support"],
)
def abstractions(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    compute: dg.ResourceParam[Compute],
    pseudonym_key: dg.ResourceParam[PseudonymKey],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.MaterializeResult[None]]:
    """One pass: every text of every answer goes through the barrier; a refused one is counted under its rule."""
    for day in days_of(context):
        taxonomy = fold(ledger.entries(["taxonomy"], before=day))
        support = Support.from_rows(row_by_row(warehouse.read(WordSupport, window(day, SUPPORT_WINDOW))))
        coverage, refused = Coverage(), Counter[str]()
        chunks = _chunks(warehouse, day, support, taxonomy, settings, pseudonym_key.bytes())
        with spooled(settings.restricted, *TABLES_OF_A_PASS) as spools:
            for part in compute.map(abstract_chunk, chunks):
                made: tuple[Sequence[Row], ...] = (
                    part.summaries,
                    part.facets,
                    part.friction,
                    part.delight,
                    part.unmet_needs,
                )
                for spool, rows in zip(spools, made, strict=True):
                    spool.add(rows)
                coverage += part.coverage
                refused.update(part.rejected_by_rule)
            rejected = {f"rejected/{rule}": count for rule, count in sorted(refused.items())}
            for spool in spools:
                more = rejected if spool.model is AbstractedSummary else {}
                store(context, warehouse, spool.model, day, spool, coverage, **more)
    yield from materialized(context, *TABLES_OF_A_PASS)


def _chunks(
    warehouse: Warehouse,
    day: date,
    support: Support,
    taxonomy: Taxonomy,
    settings: Settings,
    key: bytes,
) -> Iterator[AbstractionChunk]:
    analyses = _BySession(warehouse.read(Analysis, day, columns=ANSWER_COLUMNS))
    detections = _BySession(warehouse.read(Detection, day))
    for raw in warehouse.chunks(RawSession, day):
        here = sorted(raw.column("session_id"))
        detected: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in detections.of(here):
            detected[row["session_id"]].append(row)
        yield AbstractionChunk(
            day=day,
            rows=Cases(raw, {row["session_id"]: row for row in analyses.of(here)}, dict(detected)),
            support=support,
            taxonomy_version=taxonomy.version,
            friction_types=taxonomy.slugs("friction"),
            delight_types=taxonomy.slugs("delight"),
            audience=settings.audience,
            key=key,
        )


class _BySession:
    """Rows of a table by session, which are Python objects for the sessions that are asked for only."""

    def __init__(self, table: "pa.Table") -> None:
        self._table = table
        self._places: dict[str, list[int]] = defaultdict(list)
        for place, session in enumerate(table.column("session_id").to_pylist()):
            self._places[session].append(place)

    def of(self, sessions: Iterable[str]) -> list[dict[str, Any]]:
        """The rows of these sessions, session by session in the order given, each one's in stored order."""
        import pyarrow as pa

        places = [place for session in sessions for place in self._places.get(session, ())]
        rows: list[dict[str, Any]] = self._table.take(pa.array(places, pa.int64())).to_pylist()
        return rows


@daily_asset(Agreement, deps=["detections", "analyses", "friction_events", "delight_events"])
def agreement(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Detectors against analyst, per type, on the sessions both looked at.

    A day that falls out of the band of its own two weeks before is noted in the ledger: the next day asked about has
    some sessions read twice.
    """
    for day in days_of(context):
        answered = warehouse.read(Analysis, day, columns=["session_id", "state"])
        sessions = {row["session_id"] for row in row_by_row(answered) if row["state"] == "answered"}
        said = ["session_id", "type", "source"]
        events = {
            "friction": row_by_row(warehouse.read(FrictionEvent, day, columns=said)),
            "delight": row_by_row(warehouse.read(DelightEvent, day, columns=said)),
        }
        rows = agreement_of(
            day,
            row_by_row(warehouse.read(Detection, day, columns=["session_id", "kind", "type", "confidence"])),
            events,  # type: ignore[arg-type]  # the keys are the literals
            sessions,
            min_confidence=settings.min_confidence,
        )
        store(context, warehouse, Agreement, day, rows, Coverage(asked=answered.num_rows, answered=len(sessions),
              skipped={"not_answered": answered.num_rows - len(sessions)}))  # fmt: skip
        if any(item.outside for item in _judged(warehouse, ledger, day)):
            ledger.append(DRIFT_KIND, day.isoformat(), {"day": day.isoformat()})


def _judged(warehouse: Warehouse, ledger: Ledger, day: date) -> list[Judged]:
    """The day's agreement against its band, which is made of days with the same reader."""
    since = steady_since(ledger.entries([READER_KIND], before=day), day)
    back = [earlier for earlier in window(day, BAND_DAYS + 1)[:-1] if since is None or earlier >= since]
    return judged(warehouse.read(Agreement, day).to_pylist(), warehouse.read(Agreement, back).to_pylist())


@dg.asset_check(
    asset=Agreement.table,
    description="No type's agreement of detectors and analyst fell out of the band of its two weeks before: Fisher's "
    "exact test against the pooled days, 10 sessions on the day and 30 before it at least, false discoveries held at "
    "5 % over the types, and F1 moved by a tenth.",
)
@guarded
def agreement_in_band(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse], ledger: dg.ResourceParam[Ledger]
) -> dg.AssetCheckResult:
    """Warns, and says on how many days of the run each type was outside: another reading, another agent, or a fault."""
    days = days_of_run(context.op_execution_context.run)
    found = [item for day in days for item in _judged(warehouse, ledger, day)]
    outside = Counter(item.type for item in found if item.outside)
    return dg.AssetCheckResult(
        passed=not outside,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=shown(judged=len(found), **{f"outside/{type_}": count for type_, count in sorted(outside.items())}),
    )


@daily_asset(ReaderAgreement, deps=["analyses", "rereadings", "session_metrics", "friction_events", "delight_events"])
def reader_agreement(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Reads two weeks of answers, and the verdicts of persons that were given before the day."""
    for day in days_of(context):
        rows, coverage = readers_agree(warehouse, ledger, day, min_confidence=settings.min_confidence)
        store(context, warehouse, ReaderAgreement, day, rows, coverage)


@daily_asset(FeedbackLink, deps=["feedback", "raw_sessions", "facets"])
def feedback_links(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    pseudonym_key: dg.ResourceParam[PseudonymKey],
) -> None:
    """Thumbs joined to the step, the model call, the model and the prompt version that produced the answer."""
    for day in days_of(context):
        thumbs = warehouse.read(FeedbackRecord, day).to_pylist()
        steps: dict[str, set[int]] = defaultdict(set)
        for row in thumbs:
            steps[row["session_id"]] |= {row["step"]} if row["step"] is not None else set()
        calls = {
            raw["session_id"]: SessionCalls.of(raw, steps[raw["session_id"]], pseudonym_key.bytes())
            for batch in (warehouse.stream(RawSession, day, rows_per_batch=ROWS_PER_BATCH) if thumbs else ())
            for raw in batch.to_pylist()
            if raw["session_id"] in steps
        }
        intents = {
            row["session_id"]: row["value"]
            for row in row_by_row(warehouse.read(Facet, day, columns=["session_id", "facet", "value"]))
            if row["facet"] == "primary_intent"
        }
        rows = links_of(day, thumbs, calls, intents)
        unknown = sum(row["session_id"] not in calls for row in thumbs)
        coverage = Coverage(
            asked=len(thumbs), answered=len(thumbs) - unknown, skipped={"session_of_another_day": unknown}
        )
        store(context, warehouse, FeedbackLink, day, rows, coverage)


summaries_are_admitted = share(
    AbstractedSummary,
    "summaries_are_admitted",
    "The barrier admitted at least 90 % of the summaries; more refusals are a reason to look at the analyst.",
    sql="select avg((summary is not null)::int) as share from abstracted_summaries where day in ({days})",
    at_least=0.9,
)
