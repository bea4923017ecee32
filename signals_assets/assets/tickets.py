"""Stage 7 · tickets. Causes and levels by day; diagnoses, tickets and drafts by friction type.

Writes  causes, friction_levels; the ledger (diagnoses, filings, verdicts told, drafts)
Reads   friction_events, event_labels, user_days, release_correlations and the day's other published tables
Thinking: core/causes.py, core/levels.py, core/diagnosis.py, core/tickets.py, core/outcomes.py
Doors:  tracker, code host, ledger; filing goes through resources/filing.py only
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import dagster as dg

from signals_assets.automation import DAY_TAG, EPISODE_TAG, VERDICT_TAG, daily_asset
from signals_assets.core.breakers import (
    BREAKER_KIND,
    HISTORY,
    BreakerInputs,
    candidates,
    half_open,
    open_breakers,
    settled_fixes,
)
from signals_assets.core.causes import CauseFacts, cause_facts, newest_rows
from signals_assets.core.causes import causes as causes_of
from signals_assets.core.charts import HISTORY_DAYS
from signals_assets.core.cohorts import (
    WatchedSeverity,
    level_inputs,
    level_parts,
    newcomers,
    severe_events,
    slice_sessions,
)
from signals_assets.core.coverage import Coverage
from signals_assets.core.deduplication import (
    DEDUPLICATION_KIND,
    UNKNOWN,
    Concern,
    Duplicate,
    described,
    keys_of,
    settle,
)
from signals_assets.core.diagnosis import Diagnosis, diagnose
from signals_assets.core.diagnosis_sessions import session_facts
from signals_assets.core.levels import SEVERITY, slice_label
from signals_assets.core.levels import friction_levels as levels_of
from signals_assets.core.outcomes import verdict_actions
from signals_assets.core.taxonomy import fold
from signals_assets.core.ticket_links import identifier_of
from signals_assets.core.tickets import (
    TICKET_KINDS,
    Decision,
    Ticket,
    TicketAction,
    fix_draft,
    ledger_tickets,
    may_file,
    recurrence_text,
    ticket_text,
)
from signals_assets.core.user_days import Counts, types_counted
from signals_assets.core.wording import Wording
from signals_assets.guard import guarded
from signals_assets.metadata import shown, store
from signals_assets.partitions import FRICTION_TYPES, days_of, window
from signals_assets.resources.code_host import CodeHost, Draft
from signals_assets.resources.duplicates import weighed
from signals_assets.resources.embedder import Embedder
from signals_assets.resources.filing import ACTION_KIND, Filed, act, audit_levels, file_ticket, reconcile
from signals_assets.resources.ledger import Ledger
from signals_assets.resources.tracker import Tracker
from signals_assets.resources.warehouse import Warehouse
from signals_assets.settings import Settings
from signals_assets.tables import (
    AbstractedSummary,
    Cause,
    ErrorCorrelation,
    EventLabel,
    Facet,
    FixOutcome,
    FrictionEvent,
    FrictionLevel,
    FrictionRate,
    LeadingIndicator,
    PullRequest,
    Quarantined,
    Release,
    ReleaseCorrelation,
    Row,
    SessionMetrics,
    UserDay,
)

CAUSE_WINDOW = 7
LABEL_WINDOW = 28
FIX_WINDOW = 120
"""Days of pull requests that are looked at for fixes that failed."""
LEDGER_KINDS = (*TICKET_KINDS, "verdict", "kill_switch")
BRAKES_THAT_OPEN = ("used up", "too many", "in flight", "kill switch", "approval", "dry run", "circuit breaker")
"""In the reason of a refusal to file: one that need not last, so that the crossing is not handled yet."""


@daily_asset(Cause, deps=["friction_events", "event_labels"])
def causes(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Reads four weeks of labels and of its own rows: an event whose label changed is restated."""
    for day in days_of(context):
        earlier = window(day - timedelta(days=1), LABEL_WINDOW)
        rows = causes_of(
            day,
            warehouse.read(FrictionEvent, day).to_pylist(),
            warehouse.read(EventLabel, window(day, LABEL_WINDOW)).to_pylist(),
            warehouse.read(Cause, earlier).to_pylist(),
            taxonomy=fold(ledger.entries(["taxonomy"], before=day)),
            min_confidence=settings.min_confidence,
            named=settings.components,
            renamed=settings.renamed_components,
        )
        store(context, warehouse, Cause, day, rows, Coverage(asked=len(rows), answered=len(rows)))


@daily_asset(
    FrictionLevel,
    deps=["causes", "user_days", "release_correlations", "session_metrics", "facets", "event_labels"],
)
def friction_levels(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Whether each friction type, and each slice and severity that the settings name, crossed its threshold.

    Reads its own previous day. The sensor acts on `crossed`.
    """
    days = days_of(context)
    counts = Counts.of(warehouse.read(UserDay, window(days[-1], (days[-1] - days[0]).days + 2 * CAUSE_WINDOW)))
    for day in days:
        wording = Wording.of(fold(ledger.entries(["taxonomy"], before=day)), settings)
        entries = ledger.entries(LEDGER_KINDS, before=day)
        kinds = types_counted(wording.taxonomy, ["friction"])
        previous = [stored for stored in warehouse.days(FrictionLevel) if stored < day][-1:]
        rows, audits = levels_of(
            day,
            levels=level_inputs(day, counts, types=kinds, days=CAUSE_WINDOW),
            parts=level_parts(
                day,
                counts,
                types=kinds,
                days=CAUSE_WINDOW,
                thresholds=settings.thresholds,
                audience=settings.audience,
                sessions=partial(_slice_sessions, warehouse, day),
                events=partial(_severe_events, warehouse, day),
            ),
            release_correlations=warehouse.read(ReleaseCorrelation, day).to_pylist(),
            causes_window=_causes(warehouse, day),
            previous=warehouse.read(FrictionLevel, previous).to_pylist(),
            entries=entries,
            wording=wording,
            thresholds=settings.thresholds,
            kill_switch=settings.tickets.kill_switch,
            newcomers=newcomers(day, counts, (warehouse.days(UserDay) or [day])[0], settings.audience),
        )
        crossed = sum(row.crossed for row in rows)
        judged = sum(row.state != "not_enough_data" for row in rows)
        coverage = Coverage(asked=len(rows), answered=judged, skipped={"not_enough_data": len(rows) - judged})
        store(context, warehouse, FrictionLevel, day, rows, coverage, crossed=crossed)
        audit_levels(ledger, audits)
        context.instance.add_dynamic_partitions(str(FRICTION_TYPES.name), list(wording.taxonomy.slugs("friction")))


def _slice_sessions(warehouse: Warehouse, day: date, part: tuple[str, str]) -> frozenset[str]:
    """Ids of a slice's sessions of the trailing week."""
    week = window(day, CAUSE_WINDOW)
    return slice_sessions(
        part,
        metrics=warehouse.read(SessionMetrics, week),
        facets=warehouse.read(Facet, week),
        labels=warehouse.read(EventLabel, window(day, LABEL_WINDOW)),
        day=day,
    )


def _severe_events(warehouse: Warehouse, day: date, severity: WatchedSeverity) -> frozenset[str]:
    """Ids of the events of a severity or worse that may be among the trailing week's causes."""
    columns = ["event_id", "severity"]
    return severe_events(warehouse.read(FrictionEvent, window(day, LABEL_WINDOW), columns=columns), severity)


def _causes(warehouse: Warehouse, day: date) -> list[dict[str, Any]]:
    """Causes of the trailing week as of the day: restated rows of older partitions included."""
    rows = newest_rows(warehouse.read(Cause, window(day, LABEL_WINDOW)).to_pylist())
    first = day - timedelta(days=CAUSE_WINDOW - 1)
    return [dict(row) for row in rows.values() if first <= row["about_day"] <= day]


# --- acting: one friction type a run -----------------------------------------------------------------------------


class _Acting:
    """What an acting run reads: levels and causes of the crossing's day, and the newest day's published tables.

    A crossing is acted on days later at times, and what explains it is often shown only then.
    """

    def __init__(
        self, context: dg.AssetExecutionContext, warehouse: Warehouse, ledger: Ledger, settings: Settings
    ) -> None:
        self.friction_type = context.partition_key
        self.stops: list[str] = []  # why the data's breakers let nothing be filed
        stored = warehouse.days(FrictionLevel)
        if not stored:
            raise dg.Failure("friction_levels has no day yet: materialize the daily graph first", allow_retries=False)
        tag = context.run.tags.get(DAY_TAG)
        self.newest_day = stored[-1]
        self.day = date.fromisoformat(tag) if tag else self.newest_day
        self.wording = Wording.of(fold(ledger.entries(["taxonomy"])), settings)
        self.components = settings.components
        self.warehouse = warehouse.limited_to(())  # acting writes ledger rows and what it files, never a table
        self.window = _causes(warehouse, self.day)
        levels = warehouse.read(FrictionLevel, self.day).to_pylist()
        self.level = self._level(levels, context.run.tags.get(EPISODE_TAG))
        if self.level and self.level["slice"] != "all":
            self.window = self._of_slice(settings, self.level["slice_kind"], self.level["slice"])
        facts = cause_facts(self.window, self.wording.audience)
        by_hand = not tag and VERDICT_TAG not in context.run.tags
        named = self.level["causes"] if self.level and (self.level["crossed"] or by_hand) else []
        self.causes: list[CauseFacts] = [facts[cause_id] for cause_id in named if cause_id in facts]

    def _level(self, levels: Sequence[dict[str, Any]], episode: str | None) -> dict[str, Any] | None:
        """The row of the run's episode, which may be a slice's; without one the type's among all sessions."""
        of_type = [row for row in levels if row["type"] == self.friction_type]
        asked = [row for row in of_type if row["episode"] == episode]
        return next(iter(asked or [row for row in of_type if row["slice"] == "all"]), None)

    def _of_slice(self, settings: Settings, slice_kind: str, said: str) -> list[dict[str, Any]]:
        """The causes of a slice's sessions or of a severity's events; of none where the settings no longer name it."""
        for severity in settings.thresholds.severity_ceilings.named():
            if (SEVERITY, severity) == (slice_kind, said):
                severe = _severe_events(self.warehouse, self.day, severity)
                return [row for row in self.window if row["event_id"] in severe]
        for one in settings.thresholds.slices:
            if (one.slice_kind, slice_label(self.wording, one.slice_kind, one.slice)) == (slice_kind, said):
                inside = _slice_sessions(self.warehouse, self.day, (one.slice_kind, one.slice))
                return [row for row in self.window if row["session_id"] in inside]
        return []

    def rows(self, model: type[Row]) -> list[dict[str, Any]]:
        """The newest day's rows of a published table."""
        rows: list[dict[str, Any]] = self.warehouse.read(model, self.newest_day).to_pylist()
        return rows

    def diagnoses(self) -> list[Diagnosis]:
        """One per ticket-sized cause of the crossing."""
        if not self.causes:
            return []
        week, past = window(self.day, CAUSE_WINDOW), window(self.newest_day, LABEL_WINDOW)
        events = self.warehouse.read(FrictionEvent, window(self.day, LABEL_WINDOW), columns=["event_id", "antecedent"])
        sessions = session_facts(self.warehouse.read(SessionMetrics, week), self.warehouse.read(Facet, week))
        of_cause = partial(
            diagnose,
            wording=self.wording,
            release_correlations=self.rows(ReleaseCorrelation),
            error_correlations=self.rows(ErrorCorrelation),
            friction_rates=self.rows(FrictionRate),
            leading_indicators=self.rows(LeadingIndicator),
            causes_window=self.window,
            components=self.components,
            pull_requests=self.warehouse.read(PullRequest, past).to_pylist(),
            releases=self.warehouse.read(Release, past).to_pylist(),
            events=events,
            sessions=sessions,
        )
        return [of_cause(cause) for cause in self.causes]


def _acting_asset(name: str, deps: Sequence[str]) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    asset = dg.asset(
        name=name,
        group_name="tickets",
        partitions_def=FRICTION_TYPES,
        deps=[
            dg.AssetDep(dep, partition_mapping=None if dep in ("diagnoses", "tickets") else dg.LastPartitionMapping())
            for dep in deps
        ],
        kinds={"python"},
        tags={"zone": "published"},
    )
    return lambda body: asset(guarded(body))


@_acting_asset(
    "diagnoses",
    [
        "friction_levels", "causes", "error_correlations", "friction_rates", "leading_indicators", "releases",
        "pull_requests", "session_metrics", "facets", "friction_events",
    ],
)  # fmt: skip
def diagnoses(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult[None]:
    """The root cause of a crossing as a lever that someone can change, or that none can be named. Ledger rows."""
    acting = _Acting(context, warehouse, ledger, settings)
    found = acting.diagnoses()
    for diagnosis in found:
        payload = {
            "type": diagnosis.type, "cause_id": diagnosis.cause_id, "component": diagnosis.component,
            "lever": diagnosis.lever, "statement": diagnosis.statement, "evidence": list(diagnosis.evidence),
            "change": diagnosis.change, "day": acting.day.isoformat(),
            "tables_of": acting.newest_day.isoformat(),
        }  # fmt: skip
        ledger.append("diagnosis", f"{diagnosis.cause_id}:{acting.day}:{acting.newest_day}", payload)
    named = sum(diagnosis.lever != "cannot say" for diagnosis in found)
    return dg.MaterializeResult(metadata=shown(diagnoses=len(found), lever_named=named, day=acting.day))


@_acting_asset(
    "tickets",
    ["diagnoses"],
)
def tickets(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    tracker: dg.ResourceParam[Tracker],
    code_host: dg.ResourceParam[CodeHost],
    embedder: dg.ResourceParam[Embedder],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult[None]:
    """One ticket per cause, never two, through the two-phase ledger; tickets are told their fixes' verdicts."""
    acting = _Acting(context, warehouse, ledger, settings)
    reconcile(ledger, tracker, settings=settings.tickets)
    acting.stops = _breakers(acting, ledger, settings) if acting.causes else []
    settings = _while_half_open(acting, ledger, settings)
    doors = _Doors(ledger, tracker, code_host, embedder, settings)
    filed = [
        _acted(acting, cause, diagnosis, doors)
        for cause, diagnosis in zip(acting.causes, acting.diagnoses(), strict=True)
    ]
    told = _tell_verdicts(acting, ledger, tracker, settings)
    waiting = any(brake in item.reason for item in filed for brake in BRAKES_THAT_OPEN)
    if acting.level and acting.level["crossed"] and not waiting:  # else the sensor comes back
        outcome = {
            "type": acting.friction_type,
            "day": acting.day.isoformat(),
            "created": sum(f.created for f in filed),
        }
        ledger.append("episode", acting.level["episode"], outcome)
    for item in filed:
        if not item.created:
            ledger.append(
                "not_filed",
                f"{acting.day}:{acting.friction_type}:{item.ticket_key}:{item.reason}",
                {"type": acting.friction_type, "ticket_key": item.ticket_key, "reason": item.reason},
            )
    return dg.MaterializeResult(
        metadata=shown(
            created=sum(item.created for item in filed),
            not_created=sum(not item.created for item in filed),
            verdicts_told=told,
            day=acting.day,
        )
    )


@dataclass(frozen=True)
class _Doors:
    """What a cause is compared and filed through."""

    ledger: Ledger
    tracker: Tracker
    code_host: CodeHost
    embedder: Embedder
    settings: Settings


def _acted(acting: _Acting, cause: CauseFacts, diagnosis: Diagnosis, doors: _Doors) -> Filed:
    """A change in flight is waited for, a person's open ticket gets a comment; else the cause is filed."""
    decided = _elsewhere(acting, cause, diagnosis, doors)
    if decided is None or decided.action in ("file", "link"):
        related = decided.reference if decided else ""
        return _file(acting, cause, diagnosis, doors, related)
    if decided.action == "comment" and not _commented(acting, cause, decided, doors):
        return Filed("", "", created=False, reason="a comment is held back: dry run, kill switch or circuit breaker")
    return Filed("", "", created=False, reason=decided.reason)


def _breakers(acting: _Acting, ledger: Ledger, settings: Settings) -> list[str]:
    """Why nothing is filed on the newest day's data, in words; what was looked at goes to the ledger where it is."""
    day, limits = acting.newest_day, settings.tickets.breakers
    read = acting.warehouse.read
    tickets_known = ledger_tickets(ledger.entries(TICKET_KINDS)).values()
    names = {name for ticket in tickets_known for name in (ticket.key, identifier_of(ticket.reference)) if name}
    over, usual = candidates(read(FrictionLevel, window(day, HISTORY + 1)).to_pylist(), day)
    fixes, failed = settled_fixes(read(PullRequest, window(day, FIX_WINDOW)).to_pylist(), names, day, limits.of_fixes)
    refused = read(AbstractedSummary, day, columns=["rejected_rule"]).column("rejected_rule").to_pylist()
    versions = [fold(ledger.entries(["taxonomy"], before=one)).version for one in (day - timedelta(1), day)]
    given = BreakerInputs(
        day=day.isoformat(),
        candidates=over,
        usual_candidates=usual,
        sessions=read(SessionMetrics, day, columns=["session_id"]).num_rows,
        quarantined=sum(read(Quarantined, day, columns=["count"]).column("count").to_pylist()),
        summaries=len(refused),
        refused=sum(rule is not None for rule in refused),
        fixes=fixes,
        failed_fixes=failed,
        taxonomy_changed=versions[0] != versions[1],
    )
    reasons = open_breakers(given, limits)
    if reasons:
        payload = {"type": acting.friction_type, "inputs": asdict(given), "reasons": reasons}
        ledger.append(BREAKER_KIND, f"{acting.friction_type}:{day}:{'; '.join(reasons)}", payload)
    return reasons


def _while_half_open(acting: _Acting, ledger: Ledger, settings: Settings) -> Settings:
    """The settings with a budget of one ticket where a breaker was open on the day before."""
    before = [day for day in acting.warehouse.days(FrictionLevel) if day < acting.newest_day]
    if acting.stops or not half_open(ledger.entries([BREAKER_KIND]), before[-1] if before else None):
        return settings
    tickets = settings.tickets.model_copy(update={"per_day": min(settings.tickets.per_day, 1)})
    return settings.model_copy(update={"tickets": tickets})


def _elsewhere(acting: _Acting, cause: CauseFacts, diagnosis: Diagnosis, doors: _Doors) -> Duplicate | None:
    """What others have of a cause, None where the ledger alone decides. The decision's numbers go to the ledger."""
    ledger, settings = doors.ledger, doors.settings
    entries = ledger.entries(TICKET_KINDS)
    fingerprint = may_file(
        entries, type=cause.type, cause_id=cause.cause_id, component=diagnosis.component,
        day=acting.newest_day, settings=settings.tickets, cooldown_days=settings.thresholds.cooldown_days,
    )  # fmt: skip
    if not fingerprint.allowed:
        return None
    taxonomy = acting.wording.taxonomy

    def is_cause(friction_type: str, component: str) -> bool:
        placed = component == diagnosis.component != UNKNOWN
        return placed and taxonomy.current("friction", friction_type) == cause.type

    errors = (diagnosis.error,) if diagnosis.error else ()
    concern = Concern(cause.type, cause.component, errors, keys_of(entries, cause.cause_id, is_cause))
    known = taxonomy.of_kind("friction")
    types = described({one.slug: (one.name, one.definition) for one in known if one.slug != "other"})
    found, bounds = weighed(
        concern, doors.tracker, doors.code_host, doors.embedder, types=types, components=settings.components
    )
    decided = settle(fingerprint, found, bounds)
    if found:
        ledger.append(
            DEDUPLICATION_KIND,
            f"{cause.cause_id}:{acting.day}:{acting.newest_day}",
            {
                "type": cause.type,
                "cause_id": cause.cause_id,
                "component": diagnosis.component,
                "decided": asdict(decided),
                "bounds": asdict(bounds),
                "evidence": [asdict(one) for one in found],
            },
        )
    return decided


def _commented(acting: _Acting, cause: CauseFacts, decided: Duplicate, doors: _Doors) -> bool:
    """Whether the open ticket has the comment, of this run or an earlier one."""
    assert acting.level is not None
    action_id = f"{cause.cause_id}:{decided.reference}:{acting.level['episode']}"
    said = recurrence_text(acting.level, acting.wording)
    comment = TicketAction(decided.reference, "comment", action_id, acting.newest_day, said)
    act(doors.ledger, doors.tracker, comment, settings=doors.settings.tickets)
    return doors.ledger.find(ACTION_KIND, action_id) is not None


def _file(acting: _Acting, cause: CauseFacts, diagnosis: Diagnosis, doors: _Doors, related: str) -> Filed:
    assert acting.level is not None
    level = acting.level
    rates = acting.warehouse.read(FrictionRate, window(acting.newest_day, HISTORY_DAYS)).to_pylist()

    def render(decision: Decision) -> Ticket:
        return ticket_text(
            key=decision.ticket_key,
            generation=decision.generation,
            day=acting.newest_day,
            cause=cause,
            level=level,
            diagnosis=diagnosis,
            wording=acting.wording,
            link=doors.settings.linear.link,
            related=related,
            rates=rates,
        )

    return file_ticket(
        doors.ledger,
        doors.tracker,
        type=cause.type,
        cause_id=cause.cause_id,
        component=diagnosis.component,
        episode=level["episode"],
        day=acting.newest_day,  # budgets are of the day of filing: what found none on its own day is filed later
        render=render,
        recurrence=recurrence_text(level, acting.wording),
        settings=doors.settings.tickets,
        cooldown_days=doors.settings.thresholds.cooldown_days,
        stops=acting.stops,
    )


def _tell_verdicts(acting: _Acting, ledger: Ledger, tracker: Tracker, settings: Settings) -> int:
    """Comment, close, reopen or suppress by the verdicts on this type's fixes; returns how many actions were new."""
    done = 0
    for entry in ledger.entries(["outcome"]):
        outcome = FixOutcome(**entry.payload)
        if outcome.type != acting.friction_type:
            continue
        entries = ledger.entries(LEDGER_KINDS)
        actions = verdict_actions(outcome, entries, settings.tickets, wording=acting.wording)
        done += sum(act(ledger, tracker, action, settings=settings.tickets) for action in actions)
    return done


@_acting_asset(
    "fix_drafts",
    ["tickets"],
)
def fix_drafts(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    code_host: dg.ResourceParam[CodeHost],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult[None]:
    """The smallest change as a draft pull request, where one is certain. Never merges."""
    acting = _Acting(context, warehouse, ledger, settings)
    files = code_host.files() if code_host.available else None
    drafted = 0
    found = acting.diagnoses()
    for diagnosis in found:
        draft = fix_draft(diagnosis, files)
        payload = {"type": diagnosis.type, "cause_id": diagnosis.cause_id, "reason": draft.reason}
        if draft.diff is not None:
            branch = f"signals/{diagnosis.cause_id}"
            reference = code_host.open_draft(Draft(branch, diagnosis.statement, diagnosis.change, draft.diff))
            payload |= {"reference": reference}
            drafted += 1
        ledger.append("fix_draft", f"{diagnosis.cause_id}:{acting.day}", payload)
    return dg.MaterializeResult(
        metadata=shown(asked=len(found), drafted=drafted, no_certain_change=len(found) - drafted)
    )
