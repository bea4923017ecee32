"""Stage 8 · outcomes. Ticket -> pull request -> merge -> release -> next cohort.

Writes  ticket_states, fix_outcomes, loop_metrics
Reads   the ledger, pull_requests, releases, user_days, friction_levels
Thinking: core/tickets.py, core/outcomes.py, core/statistics.py
"""

from collections.abc import Sequence
from datetime import date
from functools import cache

import dagster as dg

from signals_assets.automation import daily_asset
from signals_assets.core.cohorts import diagnosed_users, fix_effect, outdated_versions
from signals_assets.core.coverage import Coverage
from signals_assets.core.outcomes import Effect, surprises
from signals_assets.core.outcomes import fix_outcomes as outcomes_of
from signals_assets.core.outcomes import loop_metrics as metrics_of
from signals_assets.core.rereading import READER_KIND, steady_since
from signals_assets.core.taxonomy import fold
from signals_assets.core.tickets import PULL_REQUEST_KIND, TICKET_KINDS
from signals_assets.core.tickets import ticket_states as states_of
from signals_assets.core.user_days import Counts, newest_labels, types_counted
from signals_assets.core.wording import Wording
from signals_assets.metadata import store
from signals_assets.partitions import days_of, window
from signals_assets.resources.ledger import Ledger
from signals_assets.resources.warehouse import Warehouse
from signals_assets.settings import Settings
from signals_assets.tables import (
    EventLabel,
    FixOutcome,
    FrictionEvent,
    FrictionLevel,
    Kind,
    LoopMetric,
    PullRequest,
    Release,
    ReleaseCorrelation,
    TicketRow,
    UserDay,
)

HISTORY = 120
"""Days of tickets, pull requests and levels that a day looks back on."""
EFFECT_WINDOW = 56
CAUSE_WINDOW = 7
LABEL_WINDOW = 28
SURPRISE_COLUMNS = ["event_id", "type", "source", "user_id", "inclusion_weight"]


@daily_asset(TicketRow, deps=["pull_requests", "releases", "friction_levels"])
def ticket_states(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Reads the ledger's entries of earlier days, and all pull requests and releases known by the day."""
    for day in days_of(context):
        rows = states_of(
            day,
            ledger.entries([*TICKET_KINDS, PULL_REQUEST_KIND], before=day),
            warehouse.read(PullRequest, window(day, HISTORY)).to_pylist(),
            warehouse.read(Release, window(day, HISTORY)).to_pylist(),
            wording=Wording.of(fold(ledger.entries(["taxonomy"], before=day)), settings),
            repository=settings.github.repository,
        )
        store(context, warehouse, TicketRow, day, rows, Coverage(asked=len(rows), answered=len(rows)))


@daily_asset(FixOutcome, deps=["ticket_states", "user_days", "releases", "release_correlations"])
def fix_outcomes(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Sessions that ran a version with the fix against sessions that did not; other friction types as controls."""
    days = days_of(context)
    counts = Counts.of(warehouse.read(UserDay, window(days[-1], (days[-1] - days[0]).days + EFFECT_WINDOW)))
    for day in days:
        wording = Wording.of(fold(ledger.entries(["taxonomy"], before=day)), settings)
        types = {(item.kind, item.type): item for item in types_counted(wording.taxonomy)}
        view = counts.as_of(day).of_one_reader(steady_since(ledger.entries([READER_KIND], before=day), day))
        shipped = warehouse.read(Release, window(day, HISTORY)).to_pylist()
        changes = warehouse.read(ReleaseCorrelation, window(day, EFFECT_WINDOW)).to_pylist()

        @cache  # the same for all types that a ticket's fix is compared on
        def inside(friction_type: str, filed_on: date) -> frozenset[str]:
            aimed_at = types.get(("friction", friction_type))  # noqa: B023  called within the loop
            return diagnosed_users(view, aimed_at, filed_on, CAUSE_WINDOW) if aimed_at else frozenset()  # noqa: B023

        def compare(kind: Kind, type_: str, versions: tuple[str, ...], ticket: TicketRow) -> Effect | None:
            since = ticket.released_on or day  # noqa: B023
            return fix_effect(
                view,  # noqa: B023
                types[kind, type_],  # noqa: B023
                versions,
                since,
                outdated=outdated_versions(type_, since, changes, shipped, kind),  # noqa: B023
                diagnosed=inside(ticket.type, ticket.filed_on),
                filed_on=ticket.filed_on,
            )

        rows = outcomes_of(
            day,
            [TicketRow(**row) for row in warehouse.read(TicketRow, day).to_pylist()],
            compare,
            releases=shipped,
            wording=wording,
        )
        decided = sum(row.verdict != "inconclusive" for row in rows)
        coverage = Coverage(asked=len(rows), answered=decided, skipped={"inconclusive": len(rows) - decided})
        store(context, warehouse, FixOutcome, day, rows, coverage)
        published = warehouse.read(FixOutcome, day).to_pylist()  # a repeat keeps what was published first
        _note_verdicts(ledger, [FixOutcome(**row) for row in published])


def _note_verdicts(ledger: Ledger, rows: Sequence[FixOutcome]) -> None:
    """Decisive verdicts go back to the tickets through the ledger; the first one on a ticket's version stands."""
    for row in rows:
        if row.verdict != "inconclusive":
            ledger.append("outcome", f"{row.ticket_key}:{row.version}", row.model_dump(mode="json"))


@daily_asset(
    LoopMetric,
    deps=["ticket_states", "fix_outcomes", "friction_levels", "pull_requests", "friction_events", "event_labels"],
)
def loop_metrics(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Over all tickets so far, as of the day."""
    for day in days_of(context):
        back = window(day, HISTORY)
        rows = metrics_of(
            day,
            [TicketRow(**row) for row in warehouse.read(TicketRow, day).to_pylist()],
            [FixOutcome(**row) for row in warehouse.read(FixOutcome, back).to_pylist()],
            warehouse.read(FrictionLevel, back).to_pylist(),
            pull_requests=warehouse.read(PullRequest, back).to_pylist(),
            surprises=surprises(
                warehouse.read(FrictionEvent, window(day, CAUSE_WINDOW), columns=SURPRISE_COLUMNS).to_pylist(),
                {
                    event: type_
                    for event, (_, type_) in newest_labels(
                        warehouse.read(EventLabel, window(day, LABEL_WINDOW)), day
                    ).items()
                },
                settings.audience,
            ),
        )
        known = sum(row.value is not None for row in rows)
        coverage = Coverage(asked=len(rows), answered=known, skipped={"nothing_yet": len(rows) - known})
        store(context, warehouse, LoopMetric, day, rows, coverage)
