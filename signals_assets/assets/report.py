"""Stage 9 · report. The day in one page.

Writes  daily_report; the page and its pictures through the notifier; the ledger's note that the day is complete
Reads   all published tables of the day, four weeks of rates
Thinking: core/report.py, core/pictures.py      Door: notifier
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from signals_assets.automation import daily_asset
from signals_assets.core import pictures
from signals_assets.core.correlations import with_restated
from signals_assets.core.cost import COLUMNS, cost_of
from signals_assets.core.coverage import Coverage
from signals_assets.core.identity import content_id
from signals_assets.core.report import build
from signals_assets.core.rereading import READER_KIND, Change, reader_changes
from signals_assets.core.taxonomy import fold
from signals_assets.metadata import REPUBLISH_TAG, picture, store
from signals_assets.partitions import days_of, window
from signals_assets.resources.ledger import Ledger
from signals_assets.resources.notifier import Notifier
from signals_assets.resources.warehouse import Warehouse
from signals_assets.settings import Settings
from signals_assets.tables import (
    Analysis,
    AnalysisRequestRow,
    Cluster,
    DailyReport,
    ErrorCorrelation,
    FixOutcome,
    FrictionLevel,
    FrictionRate,
    IntentTrend,
    LeadingIndicator,
    LoopMetric,
    Quarantined,
    RawSession,
    ReaderAgreement,
    Release,
    ReleaseCorrelation,
    Rereading,
    RestatedRate,
    Row,
    TaxonomyProposal,
    TicketRow,
)

HISTORY = 28
OF_THE_DAY: tuple[type[Row], ...] = (
    ErrorCorrelation, LeadingIndicator, IntentTrend, TaxonomyProposal, Cluster, TicketRow, FixOutcome, LoopMetric,
    FrictionLevel,
)  # fmt: skip
OF_THE_MONTH: tuple[type[Row], ...] = (FrictionRate, RestatedRate, Release, ReleaseCorrelation, ReaderAgreement)


@daily_asset(
    DailyReport,
    deps=[
        "friction_rates", "restated_rates", "release_correlations", "error_correlations", "leading_indicators",
        "intent_trends",
        "taxonomy_proposals", "clusters", "friction_levels", "ticket_states", "fix_outcomes", "loop_metrics",
        "analyses", "analysis_batches", "raw_sessions", "quarantine", "releases", "agreement", "feedback_links",
        "user_outcomes", "cluster_members", "causes", "rereadings", "reader_agreement",
    ],
    kinds=("html",),
)  # fmt: skip
def daily_report(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    notifier: dg.ResourceParam[Notifier],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Posts the page, then notes that the day is complete.

    A page that was posted stays as it is when the day is repeated, like the day's other published rows: what became
    known since shows on later days. The same page may be posted again (it was lost); the republish tag posts another.
    """
    days = days_of(context)
    written = set() if REPUBLISH_TAG in context.run.tags else set(warehouse.days(DailyReport))
    for day in days:
        tables: dict[str, list[dict[str, Any]]] = {
            model.table: warehouse.read(model, day).to_pylist() for model in OF_THE_DAY
        }
        for model in OF_THE_MONTH:
            tables[model.table] = warehouse.read(model, window(day, HISTORY)).to_pylist()
        taxonomy = fold(ledger.entries(["taxonomy"], before=day))
        tables[FrictionRate.table] = with_restated(tables[FrictionRate.table], tables.pop(RestatedRate.table), taxonomy)
        names = {item.slug: item.name for item in taxonomy.types}
        covered = _coverage(warehouse, day)
        changes = reader_changes(ledger.entries([READER_KIND], before=day), day)
        report = build(day, tables, names=names, audience=settings.audience, coverage=covered, changes=changes)
        drawn = (
            _pictures(tables, day, names, changes) if day == days[-1] else {}
        )  # drawing costs more than the whole page
        page = f"{day}:{content_id('page', report.html)}"
        if day not in written or ledger.find("page", page):
            notifier.post(day, report.html, report.blocks, drawn)
            ledger.append("page", page, {})
        picture(context, DailyReport.table, day, drawn)
        coverage = Coverage(asked=len(tables), answered=len(tables))
        cost = {f"cost/{what}": count for what, count in covered["cost"].items()}
        store(context, warehouse, DailyReport, day, report.rows, coverage, **cost)
        ledger.day_materialized(day)


def _pictures(
    tables: dict[str, list[dict[str, Any]]], day: date, names: dict[str, str], changes: Sequence[Change]
) -> dict[str, bytes]:
    """For notifiers that take images, and for the asset's page: of the newest day of a range only."""
    return {
        "loop": pictures.loop(tables[TicketRow.table], until=day, names=names),
        "rates": pictures.rates_over_time(
            tables[FrictionRate.table],
            tables[ReleaseCorrelation.table],
            until=day,
            names=names,
            changes=[change.day for change in changes],
        ),
    }


def _answered(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {"asked": len(rows), "answered": sum(row["state"] == "answered" for row in rows)}


def _coverage(warehouse: Warehouse, day: date) -> dict[str, dict[str, int]]:
    """Of the day: sessions read and set aside, eligible, selected, answered, and what it cost."""
    raw = warehouse.read(RawSession, day, columns=["day", "user_id"])
    asked = warehouse.read(AnalysisRequestRow, day, columns=["day", "eligible", "selected"]).to_pylist()
    answers = warehouse.read(Analysis, day, columns=["day", "state", *COLUMNS]).to_pylist()
    again = warehouse.read(Rereading, day, columns=["day", "state", *COLUMNS]).to_pylist()
    quarantined = warehouse.read(Quarantined, day, columns=["day", "count"]).column("count").to_pylist()
    states: dict[str, int] = {}
    for row in answers:
        states[row["state"]] = states.get(row["state"], 0) + 1
    return {
        "sessions": {
            "read": raw.num_rows,
            "set_aside": sum(quarantined),
            "without_user": raw.column("user_id").null_count,
        },
        "analysis": {
            "asked": len(asked),
            "eligible": sum(row["eligible"] for row in asked),
            "selected": sum(row["selected"] for row in asked),
            **{f"state.{state}": count for state, count in sorted(states.items())},
        },
        **({"read again": _answered(again)} if again else {}),
        "cost": cost_of([*answers, *again]),
    }
