"""The ledger of requests: one row per question to a language model, one per batch that carried some of them.

Put here: `RequestLog`, its rows, the transactions that move them.
Not here: which moves there are (see `core/requests.py`), when they happen (see `language_model.py`).

Lives in the ledger's database. A row holds no content and no key of a session or user: request ids are opaque. Every
move is one transaction, and what a provider is about to be asked is written before it is asked, so that a process
that is killed at any instant leaves rows from which the next one can tell what may have been sent.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from signals_assets.core.requests import REVISION, SETTLED, State
from signals_assets.resources.database import Database, insert_or_ignore, text_type
from signals_assets.resources.ledger import LedgerError

if TYPE_CHECKING:
    import sqlalchemy as sa

MANY: Final = 500
"""Values in one IN list: under every database's limit of parameters."""

SendState = Literal["prepared", "submitted", "stored", "done", "held"]


@dataclass(frozen=True, slots=True)
class Request:
    """One question: about a part of a session (1 to `parts`), or (part 0) to word refused texts anew."""

    request_id: str
    part: int
    label: str
    parts: int = 1
    state: State = "planned"
    reason: str | None = None
    """Code of why it waits again or has no answer."""
    attempts: int = 0
    """How often it was sent."""
    send_key: str | None = None
    """The batch that carries it now or carried it last."""
    tokens: int = 0
    steps_seen: int = 0
    steps_total: int = 0
    place: int = 0
    """Its line in the batch's file."""
    shown: str = ""
    """The steps that an answer may name as evidence (`core.request_lines.ranges`)."""
    fields: tuple[tuple[int, str], ...] = ()
    """Of a revision: which texts of the answer, by their number, and the rule that refused each."""

    @property
    def custom_id(self) -> str:
        """What names it in a batch."""
        return f"{self.request_id}.{self.part}"


@dataclass(frozen=True, slots=True)
class Send:
    """One batch on its way.

    prepared: its file is written and it may have been created at the provider; submitted: its id is known; stored: its
    results lie here and the provider's copies may still be there; done; held: refused for want of room, never run.
    """

    key: str
    label: str
    state: SendState
    batch_id: str | None
    tokens: int
    requests: int
    model: str
    at: datetime
    """When it came into its state, or was last tried, UTC."""
    since: datetime
    """When it was first written down, UTC: where a look-up at the provider begins."""


class _TakenError(Exception):
    """A request is not free."""


class RequestLog:
    """Rows of requests and of their batches. Safe for several processes; picklable."""

    def __init__(self, url: str) -> None:
        """`url` is the ledger's. Nothing is opened yet."""
        self._database = Database(url, _tables, LedgerError)

    # --- requests

    def plan(self, requests: Iterable[Request]) -> int:
        """Add the rows whose request and part are new; returns how many were."""
        import sqlalchemy as sa

        rows = [_values(request) for request in requests]
        if not rows:
            return 0
        table = _table("analysis_requests")
        with self._database.connection(writes=True) as connection:
            count = sa.select(sa.func.count()).select_from(table)
            before = connection.execute(count).scalar_one()
            connection.execute(insert_or_ignore(connection.dialect.name, table), rows)
            return int(connection.execute(count).scalar_one() - before)

    def split(self, request_id: str, parts: int) -> None:
        """Note that a planned request turned out to need several parts; rows 2 to `parts` are added."""
        table = _table("analysis_requests")
        here = (table.c.request_id == request_id) & (table.c.part > 0)
        with self._database.connection(writes=True) as connection:
            connection.execute(table.update().where(here).values(parts=parts))
            first = connection.execute(_select(table, Request).where(here).order_by(table.c.part)).first()
            if first is None:
                return
            more = [{**first._mapping, "part": part, "state": "planned"} for part in range(2, parts + 1)]
            connection.execute(insert_or_ignore(connection.dialect.name, table), more)

    def of_requests(self, request_ids: Collection[str]) -> dict[str, list[Request]]:
        """The rows of these requests, by request id, in the order of their parts."""
        table = _table("analysis_requests")
        found: dict[str, list[Request]] = {}
        with self._database.connection() as connection:
            for some in _cut(sorted(request_ids)):
                chosen = _select(table, Request).where(table.c.request_id.in_(some)).order_by(table.c.part)
                for row in connection.execute(chosen):
                    found.setdefault(row.request_id, []).append(_request(row))
        return found

    def of_label(self, label: str) -> list[Request]:
        """All rows under a label, by request id and part."""
        table = _table("analysis_requests")
        chosen = _select(table, Request).where(table.c.label == label).order_by(table.c.request_id, table.c.part)
        with self._database.connection() as connection:
            return [_request(row) for row in connection.execute(chosen)]

    def of_send(self, key: str) -> dict[str, Request]:
        """The rows that a batch carries, by custom id."""
        table = _table("analysis_requests")
        chosen = _select(table, Request).where((table.c.send_key == key) & (table.c.state == "submitted"))
        with self._database.connection() as connection:
            return {found.custom_id: found for found in map(_request, connection.execute(chosen))}

    def counts(self, label: str) -> tuple[dict[str, int], dict[str, int]]:
        """How many questions about sessions under a label are in each state, and how many have each reason."""
        import sqlalchemy as sa

        table = _table("analysis_requests")
        chosen = (
            sa.select(table.c.state, table.c.reason, sa.func.count())
            .where((table.c.label == label) & (table.c.part > 0))
            .group_by(table.c.state, table.c.reason)
        )
        states: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        with self._database.connection() as connection:
            for state, reason, count in connection.execute(chosen):
                states[state] += count
                if reason is not None:
                    reasons[reason] += count
        return dict(sorted(states.items())), dict(sorted(reasons.items()))

    def waiting(self, label: str) -> dict[str, int]:
        """How many rows under a label, revisions too, are planned and how many are submitted."""
        import sqlalchemy as sa

        table = _table("analysis_requests")
        open_ = (table.c.label == label) & table.c.state.in_(["planned", "submitted"])
        chosen = sa.select(table.c.state, sa.func.count()).where(open_).group_by(table.c.state)
        with self._database.connection() as connection:
            return {row.state: row[1] for row in connection.execute(chosen)}

    def unreviewed(self, label: str) -> set[str]:
        """Requests under a label that are settled, have an answer, and were not looked at by the review."""
        table = _table("analysis_requests")
        chosen = _select(table, Request).where(table.c.label == label)
        open_, answered, reviewed = set(), set(), set()
        with self._database.connection() as connection:
            for row in connection.execute(chosen):
                if row.part == REVISION:
                    reviewed.add(row.request_id)
                elif row.state not in SETTLED:
                    open_.add(row.request_id)
                elif row.state == "answered":
                    answered.add(row.request_id)
        return answered - open_ - reviewed

    # --- batches

    def prepare(self, send: Send, carried: Sequence[Request]) -> bool:
        """Write down that a batch with these requests is about to be created, and what each of them shows.

        False, and nothing is written, when one of them is no longer free: another process took it.
        """
        table, sends = _table("analysis_requests"), _table("analysis_sends")
        try:
            with self._database.connection(writes=True) as connection:
                for request in carried:
                    free = (table.c.state == "planned") & table.c.send_key.is_(None)
                    shown = {
                        name: getattr(request, name)
                        for name in ("tokens", "steps_seen", "steps_total", "shown", "place")
                    }
                    taken = table.update().where(_is(table, request) & free).values(send_key=send.key, **shown)
                    if not connection.execute(taken).rowcount:
                        raise _TakenError
                connection.execute(sends.delete().where((sends.c.key == send.key) & (sends.c.state == "held")))
                connection.execute(sends.insert().values(**_send_values(send)))
        except _TakenError:
            return False
        return True

    def creating(self, key: str) -> None:
        """The batch is being created now: from here on the provider may know it."""
        with self._database.connection(writes=True) as connection:
            self._moved(connection, key, "prepared")

    def measured(self, request: Request) -> None:
        """Note the size of a planned request that found no room."""
        table = _table("analysis_requests")
        with self._database.connection(writes=True) as connection:
            connection.execute(table.update().where(_is(table, request)).values(tokens=request.tokens))

    def give_up(self, request_id: str, reason: str) -> None:
        """What waits of a request will not be sent."""
        table = _table("analysis_requests")
        here = (table.c.request_id == request_id) & (table.c.state == "planned") & table.c.send_key.is_(None)
        with self._database.connection(writes=True) as connection:
            connection.execute(table.update().where(here).values(state="failed", reason=reason))

    def used(self, key: str) -> bool:
        """Whether a batch under this key has ended."""
        sends = _table("analysis_sends")
        chosen = _select(sends, Send).where((sends.c.key == key) & sends.c.state.in_(["stored", "done"]))
        with self._database.connection() as connection:
            return connection.execute(chosen).first() is not None

    def submitted(self, key: str, batch_id: str) -> None:
        """The batch exists at the provider: its requests were sent once more."""
        table = _table("analysis_requests")
        with self._database.connection(writes=True) as connection:
            if self._moved(connection, key, "prepared", state="submitted", batch_id=batch_id):
                mine = (table.c.send_key == key) & (table.c.state == "planned")
                connection.execute(table.update().where(mine).values(state="submitted", attempts=table.c.attempts + 1))

    def release(self, key: str, reason: str | None, *, held: bool = False, counted: bool = False) -> None:
        """The batch was not run: its requests are free again and the attempt does not count, unless `counted`.

        `held`: the provider had no room for it; its size is remembered.
        """
        table, sends = _table("analysis_requests"), _table("analysis_sends")
        with self._database.connection(writes=True) as connection:
            mine = table.c.send_key == key
            back = {"state": "planned", "send_key": None, "reason": reason}
            sent = mine & (table.c.state == "submitted")
            connection.execute(table.update().where(sent).values(attempts=table.c.attempts - (not counted), **back))
            connection.execute(table.update().where(mine & (table.c.state == "planned")).values(**back))
            if held:
                connection.execute(sends.update().where(sends.c.key == key).values(state="held", at=_now()))
            else:
                connection.execute(sends.delete().where(sends.c.key == key))

    def stored(self, key: str, moved: Iterable[Request], planned: Iterable[Request] = ()) -> None:
        """The batch's results lie here: its requests get their states, new ones (revisions) are planned.

        A request that is asked again is free for another batch.
        """
        table = _table("analysis_requests")
        with self._database.connection(writes=True) as connection:
            if not self._moved(connection, key, "submitted", state="stored"):
                return
            for request in moved:
                here = _is(table, request)
                send_key = None if request.state == "planned" else key
                connection.execute(
                    table.update()
                    .where(here & (table.c.send_key == key))
                    .values(state=request.state, reason=request.reason, send_key=send_key)
                )
            new = [_values(request) for request in planned]
            if new:
                connection.execute(insert_or_ignore(connection.dialect.name, table), new)

    def done(self, key: str) -> None:
        """The provider keeps nothing of the batch any more."""
        with self._database.connection(writes=True) as connection:
            self._moved(connection, key, "stored", state="done")

    def sends(self, *states: SendState, label: str | None = None) -> list[Send]:
        """Batches in these states, oldest first."""
        sends = _table("analysis_sends")
        chosen = _select(sends, Send).where(sends.c.state.in_(states)).order_by(sends.c.at, sends.c.key)
        if label is not None:
            chosen = chosen.where(sends.c.label == label)
        with self._database.connection() as connection:
            return [_send(row) for row in connection.execute(chosen)]

    def batch_ids(self, keys: Collection[str]) -> dict[str, str]:
        """Batch key -> the provider's id, where it is known."""
        sends = _table("analysis_sends")
        found: dict[str, str] = {}
        with self._database.connection() as connection:
            for some in _cut(sorted(keys)):
                for row in connection.execute(_select(sends, Send).where(sends.c.key.in_(some))):
                    found[row.key] = row.batch_id or row.key
        return found

    # --- rounds, forgetting

    def round(self, label: str, *, next_one: bool = False) -> int:
        """How many times a label was brought forward; `next_one` counts one more."""
        import sqlalchemy as sa

        labels = _table("analysis_labels")
        with self._database.connection(writes=next_one) as connection:
            chosen = sa.select(labels.c.rounds).where(labels.c.label == label)
            before = connection.execute(chosen).scalar_one_or_none()
            if next_one and before is None:
                connection.execute(labels.insert().values(label=label, rounds=1))
            elif next_one:
                connection.execute(labels.update().where(labels.c.label == label).values(rounds=labels.c.rounds + 1))
            return (before or 0) + int(next_one)

    def forget(self, request_ids: Collection[str]) -> int:
        """Remove the rows of these requests; returns how many there were. What is under way comes back unasked for."""
        table, count = _table("analysis_requests"), 0
        with self._database.connection(writes=True) as connection:
            for some in _cut(sorted(request_ids)):
                count += connection.execute(table.delete().where(table.c.request_id.in_(some))).rowcount
        self._database.forget_replaced()
        return count

    def close(self) -> None:
        """Close what this process holds open; the next use opens it again."""
        self._database.close()

    def _moved(self, connection: "sa.Connection", key: str, before: SendState, **values: Any) -> bool:
        sends = _table("analysis_sends")
        here = (sends.c.key == key) & (sends.c.state == before)
        return bool(connection.execute(sends.update().where(here).values(at=_now(), **values)).rowcount)


def _tables() -> "sa.MetaData":
    import sqlalchemy as sa

    tables = sa.MetaData()
    sa.Table(
        "analysis_requests",
        tables,
        sa.Column("request_id", text_type(), primary_key=True),
        sa.Column("part", sa.Integer, primary_key=True),
        sa.Column("label", text_type(), nullable=False, index=True),
        sa.Column("parts", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("send_key", sa.Text, index=True),
        sa.Column("tokens", sa.Integer, nullable=False),
        sa.Column("steps_seen", sa.Integer, nullable=False),
        sa.Column("steps_total", sa.Integer, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("shown", sa.Text, nullable=False),
        sa.Column("fields", sa.JSON, nullable=False),
    )
    sa.Table(
        "analysis_sends",
        tables,
        sa.Column("key", text_type(), primary_key=True),
        sa.Column("label", text_type(), nullable=False),
        sa.Column("state", sa.Text, nullable=False, index=True),
        sa.Column("batch_id", sa.Text),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("requests", sa.Integer, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
    )
    sa.Table(
        "analysis_labels",
        tables,
        sa.Column("label", text_type(), primary_key=True),
        sa.Column("rounds", sa.Integer, nullable=False),
    )
    return tables


_METADATA: "list[sa.MetaData]" = []


def _table(name: str) -> "sa.Table":
    """The table, described once in each process."""
    if not _METADATA:
        _METADATA.append(_tables())
    return _METADATA[0].tables[name]


def _is(table: "sa.Table", request: Request) -> Any:
    return (table.c.request_id == request.request_id) & (table.c.part == request.part)


def _select(table: "sa.Table", row: type) -> Any:
    import sqlalchemy as sa

    return sa.select(*(table.c[name] for name in row.__slots__))  # type: ignore[attr-defined]


def _values(request: Request) -> dict[str, Any]:
    return {name: getattr(request, name) for name in Request.__slots__} | {
        "fields": [list(pair) for pair in request.fields]
    }


def _send_values(send: Send) -> dict[str, Any]:
    return {name: getattr(send, name) for name in Send.__slots__}


def _request(row: Any) -> Request:
    values: Mapping[str, Any] = row._mapping
    return Request(**{**values, "fields": tuple((number, rule) for number, rule in values["fields"])})


def _send(row: Any) -> Send:
    at, since = _utc(row.at), _utc(row.since)
    return Send(**{**row._mapping, "at": at, "since": since})


def _utc(moment: datetime) -> datetime:
    """SQLite forgets the zone; PostgreSQL answers in the one that its session is set to."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _cut(ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), MANY):
        yield list(ids[start : start + MANY])


def _now() -> datetime:
    return datetime.now(UTC)
