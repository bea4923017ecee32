"""Stage 6 · correlations. Counts by user and day, and every rate and comparison that is computed from them.

Writes  user_days; restated_rates, friction_rates, release_correlations, error_correlations, leading_indicators,
        intent_trends
Reads   session_metrics, friction_events, delight_events, facets, analyses, unmet_needs, event_labels, releases, logs,
        user_outcomes
Thinking: core/user_days.py, core/correlations.py, core/error_association.py, core/leading_indicators.py,
          core/statistics.py
"""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg

from signals_assets.automation import daily_asset
from signals_assets.core import pictures
from signals_assets.core.barrier.differential import Spending, exact, noisy
from signals_assets.core.correlations import friction_rates as rates_of
from signals_assets.core.correlations import intent_trends as trends_of
from signals_assets.core.correlations import labeller, public_rates, public_release, with_restated
from signals_assets.core.correlations import release_correlations as releases_of
from signals_assets.core.correlations import restated_rates as past_rates
from signals_assets.core.coverage import Coverage
from signals_assets.core.detectors.facets import INTENTS
from signals_assets.core.error_association import error_correlations as errors_of
from signals_assets.core.leading_indicators import leading_indicators as indicators_of
from signals_assets.core.rereading import READER_KIND, reader_changes, steady_since
from signals_assets.core.taxonomy import fold
from signals_assets.core.user_days import CountedType, Counts, types_counted
from signals_assets.core.user_days import user_days as counts_of
from signals_assets.guard import guarded
from signals_assets.metadata import picture, shown, store
from signals_assets.partitions import days_of, days_of_run, window
from signals_assets.resources.keys import PseudonymKey
from signals_assets.resources.ledger import Entry, Ledger
from signals_assets.resources.privacy_budget import charge, was_refused
from signals_assets.resources.warehouse import Warehouse
from signals_assets.settings import Settings
from signals_assets.tables import (
    Analysis,
    DelightEvent,
    ErrorCorrelation,
    ErrorLog,
    EventLabel,
    Facet,
    FrictionEvent,
    FrictionRate,
    IntentTrend,
    LeadingIndicator,
    Release,
    ReleaseCorrelation,
    RestatedRate,
    SessionMetrics,
    UnmetNeed,
    UserDay,
    UserOutcome,
)

COUNTED_WINDOW = 56
"""Days of counts that a comparison may reach back: an open release and the baseline before it."""
WITHIN_WINDOW = 28
PICTURE_DAYS = 28
ANSWER_COLUMNS = ["session_id", "day", "known_on", "state", "inclusion_weight"]
"""What is counted of an answer: its text is most of its table."""
LOG_ROWS = 10_000
"""Log lines that are in memory as text at a time."""


def _counts(warehouse: Warehouse, days: Sequence[date]) -> Counts:
    return Counts.of(warehouse.read(UserDay, window(days[-1], (days[-1] - days[0]).days + COUNTED_WINDOW)))


def _reader_since(ledger: Ledger, day: date) -> date | None:
    """Since when the analyst is the same model with the same prompt; None: always."""
    return steady_since(ledger.entries([READER_KIND], before=day), day)


def _label(settings: Settings, key: PseudonymKey) -> Callable[[str, str], str]:
    return labeller(settings.audience, settings.allowed_labels, key.bytes())


@daily_asset(
    UserDay,
    deps=[
        "session_metrics", "friction_events", "delight_events", "facets", "analyses", "unmet_needs", "event_labels",
    ],
)  # fmt: skip
def user_days(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    settings: dg.ResourceParam[Settings],
) -> None:
    """The day's counts, and earlier days of four weeks restated where a label or a late session changed them."""
    for day in days_of(context):
        taxonomy = fold(ledger.entries(["taxonomy"], before=day))
        labels = warehouse.read(EventLabel, window(day, WITHIN_WINDOW))
        changed = set(warehouse.read(EventLabel, day, columns=["about_day"]).column("about_day").unique().to_pylist())
        about = sorted({day} | changed | _late_days(warehouse, day))
        rows = counts_of(
            day,
            metrics=warehouse.read(SessionMetrics, about),
            friction=warehouse.read(FrictionEvent, about),
            delight=warehouse.read(DelightEvent, about),
            facets=warehouse.read(Facet, about),
            analyses=warehouse.read(Analysis, about, columns=ANSWER_COLUMNS),
            unmet_needs=warehouse.read(UnmetNeed, about),
            labels=labels,
            about_days=about,
            publishable_intents=[*(name for name, _ in INTENTS), *taxonomy.slugs("intent")],
            min_confidence=settings.min_confidence,
            taxonomy_version=taxonomy.version,
        )
        store(context, warehouse, UserDay, day, rows, Coverage(asked=rows.exposed, answered=rows.exposed),
              restated_days=len(about) - 1)  # fmt: skip


def _late_days(warehouse: Warehouse, day: date) -> set[date]:
    """Earlier days of the window that hold sessions which became known on this day."""
    late: set[date] = set()
    for earlier in window(day - timedelta(days=1), WITHIN_WINDOW - 1):
        known = warehouse.read(SessionMetrics, earlier, columns=["known_on"]).column("known_on")
        if day in known.unique().to_pylist():
            late.add(earlier)
    return late


@daily_asset(RestatedRate, deps=["user_days"])
def restated_rates(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Where a type was accepted the day before: its four weeks before that, so that its trend begins where it did."""
    days = days_of(context)
    counts = _counts(warehouse, days)
    for day in days:
        known = {(item.kind, item.type) for item in types_counted(fold(_decided(ledger, day - timedelta(days=1))))}
        types = [item for item in types_counted(fold(_decided(ledger, day))) if (item.kind, item.type) not in known]
        if settings.audience == "public" or not types:  # nothing is paid for the past twice
            why = {"not_for_public": len(types)} if types else {}
            store(context, warehouse, RestatedRate, day, [], Coverage(asked=len(types), skipped=why))
            continue
        rows, coverage = past_rates(day, counts, types=types, audience=settings.audience, days=WITHIN_WINDOW)
        store(context, warehouse, RestatedRate, day, rows, coverage)


def _decided(ledger: Ledger, day: date) -> list[Entry]:
    """Decisions about the taxonomy that the day knows."""
    return ledger.entries(["taxonomy"], before=day)


@daily_asset(FrictionRate, deps=["user_days", "releases", "restated_rates"])
def friction_rates(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    pseudonym_key: dg.ResourceParam[PseudonymKey],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Reads eight weeks of counts. Below the audience's thresholds a row is absent and counted."""
    days = days_of(context)
    counts, label = _counts(warehouse, days), _label(settings, pseudonym_key)
    for day in days:
        types = types_counted(fold(ledger.entries(["taxonomy"], before=day)))
        if settings.audience == "public":
            rows = _with_noise(day, counts, types, ledger, pseudonym_key, settings)
            coverage = Coverage(asked=len(types), answered=len(rows), skipped={"not_shown": len(types) - len(rows)})
        else:
            rows, coverage = rates_of(day, counts, types=types, audience=settings.audience, label=label)
        store(context, warehouse, FrictionRate, day, rows, coverage)
    last = days[-1]
    taxonomy = fold(_decided(ledger, last))
    history = with_restated(
        warehouse.read(FrictionRate, window(last, PICTURE_DAYS)).to_pylist(),
        warehouse.read(RestatedRate, window(last, PICTURE_DAYS)).to_pylist(),
        taxonomy,
    )
    marks = warehouse.read(ReleaseCorrelation, window(last, PICTURE_DAYS)).to_pylist()
    names = {item.slug: item.name for item in taxonomy.types}
    events = _severities(warehouse, last)
    drawn = {
        "rates over time": pictures.rates_over_time(
            history,
            marks,
            until=last,
            names=names,
            changes=[change.day for change in reader_changes(ledger.entries([READER_KIND], before=last), last)],
        ),
        "severity by type": pictures.severity_by_type(events, names=names, audience=settings.audience),
    }
    picture(context, FrictionRate.table, last, drawn)


def _with_noise(
    day: date,
    counts: Counts,
    types: Sequence[CountedType],
    ledger: Ledger,
    key: PseudonymKey,
    settings: Settings,
) -> list[FrictionRate]:
    """The day's rows for `public`, paid for before they are computed; none where the budget refuses them."""
    spending = Spending(exact(settings.public.epsilon), settings.public.delta)
    release = public_release(
        day, counts, types=types, spending=spending, patterns_a_day=settings.public.patterns_a_day, key=key.bytes()
    )
    if charge(ledger, release, settings.public, key.bytes()) != "charged":
        return []
    return public_rates(day, counts, noisy(release, key.bytes()), types=types)


@dg.asset_check(
    asset=FrictionRate.table,
    description="Every day for the audience public was paid for out of its month's budget; a refused day has no rows.",
)
@guarded
def privacy_budget(
    context: dg.AssetCheckExecutionContext, ledger: dg.ResourceParam[Ledger], settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Fails for days that the budget refused."""
    days = days_of_run(context.op_execution_context.run) if settings.audience == "public" else []
    refused = sum(was_refused(ledger, FrictionRate.table, day) for day in days)
    return dg.AssetCheckResult(passed=not refused, metadata=shown(days_refused=refused))


def _severities(warehouse: Warehouse, day: date) -> list[dict[str, Any]]:
    """The week's events of types whose rate is shown; only shares are drawn."""
    rates = warehouse.read(FrictionRate, day).to_pylist()
    seen = {(row["type"], row["source"]) for row in rates if row["slice_kind"] == "all" and row["window_days"] == 7}
    columns = ["day", "type", "severity", "source", "session_id", "user_id", "organization_id"]
    events = warehouse.read(FrictionEvent, window(day, 7), columns=columns).to_pylist()
    return [row for row in events if (row["type"], row["source"]) in seen]


@daily_asset(ReleaseCorrelation, deps=["user_days", "releases"])
def release_correlations(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    pseudonym_key: dg.ResourceParam[PseudonymKey],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Reads eight weeks of counts. By the version that each session ran; false discoveries controlled.

    What the analyst counted is compared within days of one model and prompt only: no release is blamed for its step.
    """
    days = days_of(context)
    counts, label = _counts(warehouse, days), _label(settings, pseudonym_key)
    for day in days:
        types = types_counted(fold(ledger.entries(["taxonomy"], before=day)))
        known = warehouse.read(Release, window(day, COUNTED_WINDOW))
        steady = counts.of_one_reader(_reader_since(ledger, day))
        rows, coverage = releases_of(day, steady, known, types=types, audience=settings.audience, label=label)
        confirmed = sum(row.evidence == "confirmed" for row in rows)
        suspected = sum(row.evidence == "suspected" for row in rows)
        store(context, warehouse, ReleaseCorrelation, day, rows, coverage, confirmed=confirmed, suspected=suspected)


@daily_asset(ErrorCorrelation, deps=["error_logs", "friction_events", "session_metrics", "event_labels"])
def error_correlations(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    pseudonym_key: dg.ResourceParam[PseudonymKey],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Reads four weeks. Coincides with, never causes: tested inside each session, before the friction."""
    label = _label(settings, pseudonym_key)
    for day in days_of(context):
        back = window(day, WITHIN_WINDOW)
        rows, coverage = errors_of(
            day,
            logs=(batch for about in back for batch in warehouse.stream(ErrorLog, about, rows_per_batch=LOG_ROWS)),
            friction=warehouse.read(FrictionEvent, back),
            metrics=warehouse.read(SessionMetrics, back),
            labels=warehouse.read(EventLabel, back),
            types=types_counted(fold(ledger.entries(["taxonomy"], before=day))),
            audience=settings.audience,
            label=label,
            publishable=lambda text: label("template", text),
            min_confidence=settings.min_confidence,
        )
        store(context, warehouse, ErrorCorrelation, day, rows, coverage)


@daily_asset(
    LeadingIndicator,
    deps=["friction_events", "delight_events", "facets", "session_metrics", "event_labels", "user_outcomes"],
)
def leading_indicators(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    pseudonym_key: dg.ResourceParam[PseudonymKey],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Reads four weeks. What follows what in sessions and to users, each question with its answer."""
    for day in days_of(context):
        back = window(day, WITHIN_WINDOW)
        rows, coverage = indicators_of(
            day,
            friction=warehouse.read(FrictionEvent, back),
            delight=warehouse.read(DelightEvent, back),
            facets=warehouse.read(Facet, back),
            metrics=warehouse.read(SessionMetrics, back),
            outcomes=warehouse.read(UserOutcome, back),
            labels=warehouse.read(EventLabel, back),
            types=types_counted(fold(ledger.entries(["taxonomy"], before=day))),
            audience=settings.audience,
            label=_label(settings, pseudonym_key),
            min_confidence=settings.min_confidence,
        )
        store(context, warehouse, LeadingIndicator, day, rows, coverage)


@daily_asset(IntentTrend, deps=["user_days"])
def intent_trends(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Reads two weeks of counts: volume, friction and outcome per intent, what costs most first."""
    days = days_of(context)
    counts = _counts(warehouse, days)
    for day in days:
        rows, coverage = trends_of(day, counts, audience=settings.audience, since=_reader_since(ledger, day))
        store(context, warehouse, IntentTrend, day, rows, coverage)
