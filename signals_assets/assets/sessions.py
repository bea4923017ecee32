"""Stage 1 · sessions. Raw sessions and the outside's own records, users pseudonymised.

Writes  raw_sessions, quarantine; releases, error_logs, feedback, pull_requests, user_outcomes
Reads   the session source and the records door
Thinking: core/records.py, core/sessions.py
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

import dagster as dg

from signals_assets.automation import daily_asset, daily_assets, materialized
from signals_assets.checks import share
from signals_assets.core import records as thinking
from signals_assets.core.coverage import Coverage
from signals_assets.core.erasure import Tombstones
from signals_assets.core.readers import Rejected
from signals_assets.core.sessions import from_json
from signals_assets.metadata import SHRINK_TAG, record, selected, store
from signals_assets.partitions import days_of, today
from signals_assets.resources.erasure import Erased, tombstones
from signals_assets.resources.keys import PseudonymKey
from signals_assets.resources.ledger import Ledger
from signals_assets.resources.records import Records
from signals_assets.resources.session_source import ERASED, Covers, SessionSource
from signals_assets.resources.warehouse import Warehouse
from signals_assets.tables import (
    ErrorLog,
    FeedbackRecord,
    PullRequest,
    Quarantined,
    RawSession,
    Release,
    Row,
    SessionMetrics,
    UserOutcome,
)


class _Day:
    """One pass over a day's source: streams rows on, keeps what was set aside and counts."""

    def __init__(
        self, day: date, source: SessionSource, key: bytes, known: dict[str, date] | None, covers: Covers
    ) -> None:
        self.day, self.source, self.key, self.known, self.covers = day, source, key, known, covers
        self.added_on = day if known is None else today()
        self.rejected: list[Quarantined] = []
        self.read = self.erased = 0
        self.notes: dict[str, int] = {}

    def rows(self) -> Iterator[RawSession]:
        """The day's sessions as rows; rejected records are kept aside."""
        for item in self.source.sessions(self.day):
            if isinstance(item, Rejected) and item.reason == ERASED:
                self.erased += item.count
                continue
            if isinstance(item, Rejected):
                self.rejected.append(thinking.quarantined_row(item, day=self.day, known_on=self.added_on, key=self.key))
                continue
            if self.covers(item.user_id, item.organization_id, item.key):  # for sources that do not know who is erased
                self.erased += 1
                continue
            row = thinking.raw_session_row(item, day=self.day, known_on=self.added_on, key=self.key)
            if self.known is not None:
                row = row.model_copy(update={"known_on": self.known.pop(row.session_id, self.added_on)})
            self.read += 1
            self._note("without_user", item.user_id is None)
            self._note("start_from_file", item.start_known_from == "file")
            self._note("start_unknown", item.start_known_from == "unknown")
            self._note("cut", bool(item.notes))
            yield row

    def _note(self, what: str, holds: bool) -> None:
        if holds:
            self.notes[what] = self.notes.get(what, 0) + 1

    @property
    def coverage(self) -> Coverage:
        """Asked: every record met. Rejected: set aside in quarantine. Skipped: who was erased stays away."""
        rejected = sum(row.count for row in self.rejected)
        return Coverage(
            asked=self.read + rejected + self.erased,
            answered=self.read,
            rejected=rejected,
            skipped={ERASED: self.erased} if self.erased else {},
            notes=self.notes,
        )


@daily_assets(RawSession, Quarantined, name="raw_sessions_and_quarantine", kinds=("jsonl",))
def raw_sessions_and_quarantine(
    context: dg.AssetExecutionContext,
    session_source: dg.ResourceParam[SessionSource],
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    pseudonym_key: dg.ResourceParam[PseudonymKey],
) -> Iterator[dg.MaterializeResult[None]]:
    """Read from the session source, one file pass per day; a redone day may not lose sessions without a tag."""
    session_source.days()  # looks for files that arrived since this process last read
    for day in days_of(context):
        known = _known_sessions(warehouse, day, tombstones(ledger))
        reading = _Day(day, session_source, pseudonym_key.bytes(), known, Erased(ledger, pseudonym_key)())
        if known and SHRINK_TAG not in context.run.tags:
            present = {
                thinking.session_pseudonym(item.key, reading.key)
                for item in session_source.sessions(day)
                if not isinstance(item, Rejected)
            }
            lost = len(set(known) - present)
            if lost:
                raise dg.Failure(
                    f"{day}: the source no longer has {lost} of {len(known)} stored sessions; nothing was written. "
                    f"Bring the files back, or let them go: signals run --allow-shrink (run tag {SHRINK_TAG}=yes).",
                    allow_retries=False,
                )
        if selected(context, RawSession):
            store(context, warehouse, RawSession, day, reading.rows())
            record(context, RawSession.table, day, rows=reading.read, coverage=reading.coverage)
        else:
            deque(reading.rows(), maxlen=0)  # only what is set aside was asked for
        store(context, warehouse, Quarantined, day, reading.rejected)
    yield from materialized(context, RawSession, Quarantined)


def _known_sessions(warehouse: Warehouse, day: date, erased: Tombstones) -> dict[str, date] | None:
    """Sessions of a stored day and when each became known; None where the day was never materialized.

    Metrics have a row for every session and outlive the raw text: an expired day is remembered by them.
    """
    for model in (RawSession, SessionMetrics):
        if day in set(warehouse.days(model)):
            rows = warehouse.read(model, day, columns=["session_id", "known_on"]).to_pylist()
            return {row["session_id"]: row["known_on"] for row in rows if not erased.covers(row["session_id"])}
    return None


class _Told:
    """Records of a day without those about an erased user or session, which are counted."""

    def __init__(self, records: Iterable[dict[str, Any]], covers: Covers) -> None:
        self._records, self._covers, self.erased = records, covers, 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for item in self._records:
            if self._covers(item.get("user_id"), None, item.get("session_id")):
                self.erased += 1
            else:
                yield item


def _known_on(warehouse: Warehouse, model: type[Row], day: date) -> date:
    """The day itself at first materialization, the calendar date when the day is redone."""
    return today() if day in set(warehouse.days(model)) else day


def _store(
    context: dg.AssetExecutionContext,
    warehouse: Warehouse,
    model: type[Row],
    day: date,
    rows: Sequence[Row],
    coverage: Coverage,
    erased: int = 0,
) -> None:
    """Store a day of records; rows whose key was stored before keep the day on which they became known."""
    if erased:
        coverage += Coverage(asked=erased, skipped={ERASED: erased})
    before: dict[tuple[Any, ...], date] = {}
    if day in set(warehouse.days(model)):
        stored = warehouse.read(model, day, columns=[*model.key, "known_on"]).to_pylist()
        before = {tuple(row[name] for name in model.key): row["known_on"] for row in stored}
    kept = []
    for row in rows:
        identity = tuple(getattr(row, name) for name in model.key)
        kept.append(row.model_copy(update={"known_on": before[identity]}) if identity in before else row)
    store(context, warehouse, model, day, kept, coverage)


@daily_asset(Release, deps=["raw_sessions"])
def releases(
    context: dg.AssetExecutionContext,
    records: dg.ResourceParam[Records],
    warehouse: dg.ResourceParam[Warehouse],
) -> None:
    """From records, and by first sight of a version, prompt or model in the day's sessions (reads earlier days)."""
    columns = ["agent_name", "agent_version", "agent_model", "prompt_version", "started_at"]
    for day in days_of(context):
        earlier = [stored for stored in warehouse.days(Release) if stored < day]
        known = warehouse.read(Release, earlier, columns=["agent_name", "kind", "version"]).to_pylist()
        rows, coverage = thinking.release_rows(
            day,
            records.records("releases", day),
            sessions=warehouse.read(RawSession, day, columns=columns).to_pylist(),
            known=[(row["agent_name"], row["kind"], row["version"]) for row in known],
            known_on=_known_on(warehouse, Release, day),
        )
        _store(context, warehouse, Release, day, rows, coverage)


@daily_asset(ErrorLog, kinds=("jsonl",))
def error_logs(
    context: dg.AssetExecutionContext,
    records: dg.ResourceParam[Records],
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    pseudonym_key: dg.ResourceParam[PseudonymKey],
) -> None:
    """From the records door, error level and above."""
    for day in days_of(context):
        told = _Told(records.records("error_logs", day), Erased(ledger, pseudonym_key)())
        rows, coverage = thinking.error_log_rows(
            day,
            told,
            key=pseudonym_key.bytes(),
            known_on=_known_on(warehouse, ErrorLog, day),
        )
        _store(context, warehouse, ErrorLog, day, rows, coverage, told.erased)


@daily_asset(FeedbackRecord, deps=["raw_sessions"])
def feedback(
    context: dg.AssetExecutionContext,
    records: dg.ResourceParam[Records],
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    pseudonym_key: dg.ResourceParam[PseudonymKey],
) -> None:
    """From the records door and from the sessions that carry their own."""
    for day in days_of(context):
        told = _Told(records.records("feedback", day), Erased(ledger, pseudonym_key)())
        batches = warehouse.stream(RawSession, day, columns=["session"])
        rows, coverage = thinking.feedback_rows(
            day,
            told,
            sessions=(
                from_json(text)
                for batch in batches
                for text in batch.column("session").to_pylist()
                if '"feedback":' in text
            ),
            key=pseudonym_key.bytes(),
            known_on=_known_on(warehouse, FeedbackRecord, day),
        )
        _store(context, warehouse, FeedbackRecord, day, rows, coverage, told.erased)


@daily_asset(PullRequest)
def pull_requests(
    context: dg.AssetExecutionContext,
    records: dg.ResourceParam[Records],
    warehouse: dg.ResourceParam[Warehouse],
) -> None:
    """From the records door: the newest state of each pull request that moved on the day."""
    for day in days_of(context):
        rows, coverage = thinking.pull_request_rows(
            day, records.records("pull_requests", day), known_on=_known_on(warehouse, PullRequest, day)
        )
        _store(context, warehouse, PullRequest, day, rows, coverage)


@daily_asset(UserOutcome)
def user_outcomes(
    context: dg.AssetExecutionContext,
    records: dg.ResourceParam[Records],
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    pseudonym_key: dg.ResourceParam[PseudonymKey],
) -> None:
    """From the records door."""
    for day in days_of(context):
        told = _Told(records.records("user_outcomes", day), Erased(ledger, pseudonym_key)())
        rows, coverage = thinking.user_outcome_rows(
            day,
            told,
            key=pseudonym_key.bytes(),
            known_on=_known_on(warehouse, UserOutcome, day),
        )
        _store(context, warehouse, UserOutcome, day, rows, coverage, told.erased)


records_are_readable = share(
    RawSession,
    "records_are_readable",
    "At least 95 % of the records met could be read; the rest stands in quarantine with its reasons.",
    sql="""
        select read / nullif(read + aside, 0) as share from (
            select (select count(*) from raw_sessions where day in ({days}))::double as read,
                   (select coalesce(sum(count), 0) from quarantine where day in ({days}))::double as aside
        )""",
    at_least=0.95,
)
