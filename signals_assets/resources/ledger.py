"""Door: the ledger, the only way back: everything that flows against the graph is an entry here.

Put here: `Ledger`, its entries, and the SQLAlchemy implementation (SQLite by default, PostgreSQL in production).
Not here: what entries mean (see `core/taxonomy.py`, `core/tickets.py`, `core/outcomes.py`).

Append-only: an entry has a sequence number, a kind, a key that is unique within its kind, a JSON payload without
personal data, and the newest day that was materialized when it was written. Day D reads entries that carry
earlier days, which makes a repeated or simulated day read exactly what it read the first time.
"""

import itertools
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from signals_assets.resources.database import INSERT_ROWS, Database, insert_or_ignore, text_type

if TYPE_CHECKING:
    import sqlalchemy as sa

Written = TypeVar("Written")


@dataclass(frozen=True, slots=True)
class Entry:
    """One ledger entry."""

    seq: int
    kind: str
    key: str
    newest_day: date | None
    payload: Mapping[str, Any]


class Writer(Protocol):
    """What one may do inside a transaction; all of it commits or none."""

    def append(self, kind: str, key: str, payload: Mapping[str, Any]) -> tuple[Entry, bool]:
        """Add an entry; returns it and True, or the entry that already has this kind and key and False."""
        ...

    def find(self, kind: str, key: str) -> Entry | None:
        """The entry with this kind and key."""
        ...

    def entries(self, kinds: Sequence[str], *, before: date | None = None) -> list[Entry]:
        """Entries of the kinds by sequence number; with `before`, those whose newest day is earlier than it."""
        ...

    def newest(self, kind: str) -> Entry | None:
        """The entry of the kind with the highest sequence number: one look, however many there are."""
        ...


class Ledger(ABC):
    """Transactions with unique keys and sequence numbers."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Writer]:
        """A serialised transaction: two writers never interleave; an exception rolls everything back."""

    @abstractmethod
    def entries(self, kinds: Sequence[str], *, before: date | None = None) -> list[Entry]:
        """Entries of the kinds by sequence number; with `before`, those written while the newest day was earlier."""

    @abstractmethod
    def find(self, kind: str, key: str) -> Entry | None:
        """The entry with this kind and key."""

    def append(self, kind: str, key: str, payload: Mapping[str, Any]) -> tuple[Entry, bool]:
        """One entry in a transaction of its own."""
        with self.transaction() as writer:
            return writer.append(kind, key, payload)

    @abstractmethod
    def append_many(self, kind: str, items: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        """Many entries in one transaction, skipping keys that exist; returns how many were new."""

    @abstractmethod
    def newest_day(self) -> date | None:
        """The newest day that was materialized: the maximum of the entries of kind `day`."""

    def day_materialized(self, day: date) -> None:
        """Note that the day's graph is complete (idempotent)."""
        self.append("day", day.isoformat(), {})

    @abstractmethod
    def kinds(self) -> list[str]:
        """The kinds that have entries, sorted."""

    @abstractmethod
    def amend(self, kind: str, key: str, payload: Mapping[str, Any]) -> bool:
        """Put another payload in the place of an entry's (erasure of a person from it); False where there is none."""

    @abstractmethod
    def erase(self, kind: str, keys: Sequence[str]) -> int:
        """Remove payloads of entries (erasure of a person): keys stay as tombstones. Returns how many."""

    @abstractmethod
    def forget_replaced(self) -> None:
        """What `amend` and `erase` replaced is gone from the ledger's files, too; call it once, after them."""

    @abstractmethod
    def check(self) -> str:
        """One harmless call for `signals doctor`: says what answered. Raises LedgerError."""


class LedgerError(RuntimeError):
    """The ledger refused or could not be reached: names the URL's kind and what to do; no payload."""


# --- SQLAlchemy --------------------------------------------------------------------------------------------------

LONGEST_KEY: Final = 2_500
"""Bytes of a kind and key together: what every database can index."""


class SqlLedger(Ledger):
    """The ledger as one table of a SQL database; SQLite in a file by default, PostgreSQL by URL.

    Writers queue (SQLite: BEGIN IMMEDIATE; PostgreSQL: an advisory lock), so a reader that saw sequence number n
    never meets a smaller one later. Readers wait for nobody. The engine is made at the first use in each process;
    the ledger itself can be pickled and survives fork and spawn. What fails for a moment is tried again where it is
    one call here; a `transaction` block is its caller's to repeat.
    """

    def __init__(self, url: str) -> None:
        """`url` is SQLAlchemy's, e.g. sqlite:////path/ledger.db. Nothing is opened yet."""
        if url in ("sqlite://", "sqlite:///:memory:"):
            raise LedgerError("a ledger in memory forgets; give SQLite a file, e.g. sqlite:////path/ledger.db")
        self._database = Database(url, _tables, LedgerError)
        self._prepare()

    def __getstate__(self) -> Database:
        return self._database

    def __setstate__(self, database: Database) -> None:
        self._database = database
        self._prepare()

    def _prepare(self) -> None:
        self._inside = threading.local()

    @cached_property
    def _table(self) -> "sa.Table":
        return _tables().tables["entries"]  # at the first use: SQLAlchemy is no part of opening the definitions

    def __repr__(self) -> str:
        return f"SqlLedger({self._database.kind})"

    def close(self) -> None:
        """Close what this process holds open; the next use opens it again."""
        self._database.close()

    @contextmanager
    def transaction(self) -> "Iterator[_SqlWriter]":
        """See `Ledger.transaction`. One at a time per thread: use the writer for everything within it."""
        self._refuse_inside()
        with self._database.connection(writes=True) as connection:
            self._inside.open = True
            try:
                yield _SqlWriter(connection, self._table)
            finally:
                self._inside.open = False

    def append(self, kind: str, key: str, payload: Mapping[str, Any]) -> tuple[Entry, bool]:
        """See `Ledger.append`."""
        return self._write(lambda connection: _SqlWriter(connection, self._table).append(kind, key, payload))

    def entries(self, kinds: Sequence[str], *, before: date | None = None) -> list[Entry]:
        """See `Ledger.entries`; an entry written before any day was materialized precedes every day."""
        return self._database.run(lambda connection: _entries(connection, self._table, kinds, before))

    def find(self, kind: str, key: str) -> Entry | None:
        """See `Ledger.find`."""
        return self._database.run(lambda connection: _find(connection, self._table, kind, key))

    def append_many(self, kind: str, items: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        """See `Ledger.append_many`; consumes a stream in bounded memory."""
        with self.transaction() as writer:
            return writer.append_many(kind, items)

    def newest_day(self) -> date | None:
        """See `Ledger.newest_day`."""
        return self._database.run(lambda connection: _newest_day(connection, self._table))

    def kinds(self) -> list[str]:
        """See `Ledger.kinds`."""
        import sqlalchemy as sa

        chosen = sa.select(self._table.c.kind).distinct()
        return self._database.run(lambda connection: sorted(connection.execute(chosen).scalars()))

    def amend(self, kind: str, key: str, payload: Mapping[str, Any]) -> bool:
        """See `Ledger.amend`."""
        here = (self._table.c.kind == kind) & (self._table.c.key == key)
        change = self._table.update().where(here).values(payload=_row(kind, key, payload, None)["payload"])
        return self._write(lambda connection: connection.execute(change).rowcount > 0)

    def erase(self, kind: str, keys: Sequence[str]) -> int:
        """See `Ledger.erase`."""
        table = self._table

        def emptied(connection: "sa.Connection") -> int:
            here = [(table.c.kind == kind) & (table.c.key == key) for key in dict.fromkeys(keys)]
            return sum(connection.execute(table.update().where(one).values(payload={})).rowcount for one in here)

        return self._write(emptied)

    def forget_replaced(self) -> None:
        """See `Ledger.forget_replaced` and `Database.forget_replaced`."""
        self._refuse_inside()
        self._database.forget_replaced()

    def check(self) -> str:
        """See `Ledger.check`: the database's kind and version."""
        import sqlalchemy as sa

        def answered(connection: "sa.Connection") -> str:
            count = connection.execute(sa.select(sa.func.count()).select_from(self._table)).scalar_one()
            version = ".".join(str(part) for part in connection.dialect.server_version_info or ())
            return f"{_NAMES[connection.dialect.name]} {version}: {count} entries"

        return self._database.run(answered)

    def _write(self, work: "Callable[[sa.Connection], Written]") -> "Written":
        self._refuse_inside()
        return self._database.run(work, writes=True)

    def _refuse_inside(self) -> None:
        if getattr(self._inside, "open", False):
            raise LedgerError("a transaction is open in this thread; write through its writer, not beside it")


_NAMES: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


class _SqlWriter:
    """See `Writer`: what one may do inside a transaction."""

    def __init__(self, connection: "sa.Connection", table: "sa.Table") -> None:
        self._connection, self._table = connection, table

    def append(self, kind: str, key: str, payload: Mapping[str, Any]) -> tuple[Entry, bool]:
        """See `Writer.append`."""
        before = self.find(kind, key)
        if before is not None:
            return before, False
        newest = _newest_day(self._connection, self._table)
        row = _row(kind, key, payload, newest)
        seq = self._connection.execute(self._table.insert().values(row)).inserted_primary_key[0]  # type: ignore[index]
        return Entry(seq, kind, key, newest, json.loads(json.dumps(row["payload"]))), True

    def append_many(self, kind: str, items: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        """Add those of the items whose keys are new; returns how many were."""
        import sqlalchemy as sa

        newest = _newest_day(self._connection, self._table)
        stream = iter(items)
        insert = insert_or_ignore(self._connection.dialect.name, self._table)
        count = sa.select(sa.func.count()).where(self._table.c.kind == kind)
        before = self._connection.execute(count).scalar_one()
        while rows := [_row(kind, key, payload, newest) for key, payload in itertools.islice(stream, INSERT_ROWS)]:
            self._connection.execute(insert, rows)
        return int(self._connection.execute(count).scalar_one() - before)

    def find(self, kind: str, key: str) -> Entry | None:
        """See `Writer.find`."""
        return _find(self._connection, self._table, kind, key)

    def entries(self, kinds: Sequence[str], *, before: date | None = None) -> list[Entry]:
        """See `Writer.entries`."""
        return _entries(self._connection, self._table, kinds, before)

    def newest(self, kind: str) -> Entry | None:
        """See `Writer.newest`."""
        asked = _columns(self._table).where(self._table.c.kind == kind).order_by(self._table.c.seq.desc()).limit(1)
        row = self._connection.execute(asked).one_or_none()
        return None if row is None else Entry(*row)


def _tables() -> "sa.MetaData":
    import sqlalchemy as sa

    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite counts up INTEGER keys only
    tables = sa.MetaData()
    sa.Table(
        "entries",
        tables,
        sa.Column("seq", number, primary_key=True, autoincrement=True),
        sa.Column("kind", text_type(), nullable=False),
        sa.Column("key", text_type(), nullable=False),
        sa.Column("newest_day", sa.Date),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("kind", "key"),
        sa.Index("entries_by_kind", "kind", "seq"),
        sqlite_autoincrement=True,  # a number is never given twice
    )
    return tables


def _row(kind: str, key: str, payload: Mapping[str, Any], newest: date | None) -> dict[str, Any]:
    _refuse_key(kind, key)
    try:
        json.dumps(payload := dict(payload), allow_nan=False)
    except (TypeError, ValueError):
        raise LedgerError(
            f"the payload of a {kind} entry is not plain JSON (strings, finite numbers, lists, objects); "
            "write dates as text"
        ) from None
    return {"kind": kind, "key": key, "payload": payload, "newest_day": newest, "written_at": datetime.now(UTC)}


def _refuse_key(kind: str, key: str) -> None:
    try:
        fits = "\0" not in kind + key and len((kind + key).encode()) <= LONGEST_KEY
    except UnicodeEncodeError:
        fits = False
    if not fits:
        raise LedgerError(f"the key of a {kind[:40]!r} entry is not text of at most {LONGEST_KEY} bytes; hash it")


def _newest_day(connection: "sa.Connection", table: "sa.Table") -> date | None:
    import sqlalchemy as sa

    newest = connection.execute(sa.select(sa.func.max(table.c.key)).where(table.c.kind == "day")).scalar_one()
    return None if newest is None else date.fromisoformat(newest)


def _find(connection: "sa.Connection", table: "sa.Table", kind: str, key: str) -> Entry | None:
    _refuse_key(kind, key)
    row = connection.execute(_columns(table).where(table.c.kind == kind, table.c.key == key)).one_or_none()
    return None if row is None else Entry(*row)


def _entries(connection: "sa.Connection", table: "sa.Table", kinds: Sequence[str], before: date | None) -> list[Entry]:
    chosen = _columns(table).where(table.c.kind.in_(list(kinds))).order_by(table.c.seq)
    if before is not None:
        chosen = chosen.where(table.c.newest_day.is_(None) | (table.c.newest_day < before))
    return [Entry(*row) for row in connection.execute(chosen)]


def _columns(table: "sa.Table") -> Any:
    import sqlalchemy as sa

    return sa.select(table.c.seq, table.c.kind, table.c.key, table.c.newest_day, table.c.payload)
