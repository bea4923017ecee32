"""Stage 9 · report. The day in one page.

Writes  daily_report; the page and its pictures through the notifier; the ledger's note that the day is complete
Reads   all published tables of the day, four weeks of rates; of the abstracted zone what the map, its growth and the
        days of errors are counted from; the taxonomy's ledger
Thinking: core/report/, core/pictures.py      Door: notifier
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg

from signals_assets.automation import daily_asset
from signals_assets.core import pictures
from signals_assets.core.correlations import with_restated
from signals_assets.core.cost import COLUMNS, cost_of
from signals_assets.core.coverage import Coverage
from signals_assets.core.error_days import error_days
from signals_assets.core.identity import content_id
from signals_assets.core.landscape import Standing, map_days, newest_members, standings
from signals_assets.core.report import Report, build
from signals_assets.core.rereading import READER_KIND, Change, reader_changes
from signals_assets.core.taxonomy import LEDGER_KIND, Taxonomy, fold
from signals_assets.core.taxonomy_history import history, names_of
from signals_assets.metadata import REPUBLISH_TAG, picture, store
from signals_assets.partitions import days_of, window
from signals_assets.resources.ledger import Ledger
from signals_assets.resources.notifier import Notifier
from signals_assets.resources.warehouse import Warehouse
from signals_assets.settings import Audience, Settings
from signals_assets.tables import (
    Analysis,
    AnalysisRequestRow,
    Cluster,
    ClusterMember,
    DailyReport,
    DelightEvent,
    ErrorCorrelation,
    ErrorLog,
    EventLabel,
    FixOutcome,
    FrictionEvent,
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
    SessionMetrics,
    TaxonomyProposal,
    TaxonomyReview,
    TicketRow,
)

HISTORY = 28
OF_THE_DAY: tuple[type[Row], ...] = (
    ErrorCorrelation, LeadingIndicator, IntentTrend, TaxonomyProposal, TaxonomyReview, TicketRow, FixOutcome,
    LoopMetric, FrictionLevel,
)  # fmt: skip
OF_THE_MONTH: tuple[type[Row], ...] = (FrictionRate, RestatedRate, Release, ReleaseCorrelation, ReaderAgreement)


@daily_asset(
    DailyReport,
    deps=[
        "friction_rates", "restated_rates", "release_correlations", "error_correlations", "leading_indicators",
        "intent_trends",
        "taxonomy_proposals", "clusters", "friction_levels", "ticket_states", "fix_outcomes", "loop_metrics",
        "analyses", "analysis_batches", "raw_sessions", "quarantine", "releases", "agreement", "feedback_links",
        "user_outcomes", "cluster_members", "causes", "rereadings", "reader_agreement", "taxonomy_reviews",
        "event_labels", "friction_events", "delight_events", "session_metrics", "error_logs",
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
        report, at = _report_of(warehouse, ledger, day, settings.audience)
        drawn = _pictures(at) if day == days[-1] else {}  # drawing costs more than the whole page
        page = f"{day}:{content_id('page', report.html)}"
        if day not in written or ledger.find("page", page):
            notifier.post(day, report.html, report.blocks, drawn)
            ledger.append("page", page, {})
        picture(context, DailyReport.table, day, drawn)
        coverage = Coverage(asked=len(at.tables), answered=len(at.tables))
        cost = {f"cost/{what}": count for what, count in at.coverage["cost"].items()}
        store(context, warehouse, DailyReport, day, report.rows, coverage, **cost)
        ledger.day_materialized(day)


@dataclass(frozen=True)
class _Read:
    """What the page of a day was made from."""

    day: date
    tables: dict[str, list[dict[str, Any]]]
    names: dict[str, str]
    coverage: dict[str, dict[str, int]]
    changes: Sequence[Change]


def _report_of(warehouse: Warehouse, ledger: Ledger, day: date, audience: Audience) -> tuple[Report, _Read]:
    """The page of a day, and what it was made from."""
    tables: dict[str, list[dict[str, Any]]] = {
        model.table: warehouse.read(model, day).to_pylist() for model in OF_THE_DAY
    }
    for model in OF_THE_MONTH:
        tables[model.table] = warehouse.read(model, window(day, HISTORY)).to_pylist()
    tables[Cluster.table] = warehouse.read(Cluster, map_days(day)).to_pylist()
    entries = ledger.entries([LEDGER_KIND], before=day)
    taxonomy, decisions = fold(entries), history(entries)
    tables[FrictionRate.table] = _in_force(
        with_restated(tables[FrictionRate.table], tables[RestatedRate.table], taxonomy), taxonomy
    )
    read = _Read(
        day,
        tables,
        names=names_of(taxonomy, decisions),
        coverage=_coverage(warehouse, day),
        changes=reader_changes(ledger.entries([READER_KIND], before=day), day),
    )
    sessions = warehouse.read(SessionMetrics, window(day, HISTORY), columns=SESSION_COLUMNS).to_pylist()
    report = build(
        day,
        tables,
        names=read.names,
        audience=audience,
        coverage=read.coverage,
        changes=read.changes,
        standings=_standings(warehouse, day, audience, sessions),
        decisions=decisions,
        errors=_errors(warehouse, day, audience, tables[ErrorCorrelation.table], sessions),
    )
    return report, read


MEMBER_COLUMNS = ["day", "item_id", "kind", "session_id", "user_id", "about_day", "pattern_id", "theme_id"]
SESSION_COLUMNS = ["day", "session_id", "user_id", "organization_id"]


def _in_force(rows: Sequence[dict[str, Any]], taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """Rates of types that the taxonomy knows: after an undo, a type's days leave the page with it."""
    return [row for row in rows if taxonomy.get(row["kind"], row["type"]) is not None]


def _standings(
    warehouse: Warehouse, day: date, audience: Audience, sessions: Sequence[Mapping[str, Any]]
) -> dict[str, Standing]:
    """What the newest map's clusters rest on: its own day holds all items of the window, later days new ones."""
    mapped = warehouse.read(Cluster, day, columns=["day", "reclustered_on"]).column("reclustered_on").to_pylist()
    if not mapped:
        return {}
    days = window(day, (day - min(mapped)).days + 1)
    types: dict[str, str] = {}
    for model in (FrictionEvent, DelightEvent, EventLabel):  # labels last: they are newer than what events say
        stored = warehouse.read(model, window(day, HISTORY), columns=["day", "event_id", "type"])
        types |= dict(zip(stored.column("event_id").to_pylist(), stored.column("type").to_pylist(), strict=True))
    return standings(
        newest_members(warehouse.read(ClusterMember, days, columns=MEMBER_COLUMNS).to_pylist()),
        until=day,
        audience=audience,
        organizations={row["session_id"]: row["organization_id"] for row in sessions},
        types=types,
    )


def _errors(
    warehouse: Warehouse,
    day: date,
    audience: Audience,
    correlated: Sequence[Mapping[str, Any]],
    sessions: Sequence[Mapping[str, Any]],
) -> dict[str, dict[date, float | None]]:
    """The days of the errors that coincide with friction; nothing is read where none does."""
    wanted = {row["template_id"] for row in correlated if row["verdict"] == "coincides"}
    if not wanted:
        return {}
    logs = warehouse.read(ErrorLog, window(day, HISTORY), columns=["day", "message", "session_id"]).to_pylist()
    return error_days(logs, sessions, wanted, audience=audience)


def _pictures(read: _Read) -> dict[str, bytes]:
    """For notifiers that take images, and for the asset's page: of the newest day of a range only."""
    return {
        "loop": pictures.loop(read.tables[TicketRow.table], until=read.day, names=read.names),
        "rates": pictures.rates_over_time(
            read.tables[FrictionRate.table],
            read.tables[ReleaseCorrelation.table],
            until=read.day,
            names=read.names,
            changes=[change.day for change in read.changes],
            restated=read.tables[RestatedRate.table],
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
