"""A SQL database that several doors keep tables in: one engine a process, writers that queue.

Put here: `Database`, how SQLite and PostgreSQL are opened, what their errors become.
Not here: tables and what they mean (see `ledger.py`, `requests.py`).
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from signals_assets.resources.folders import private_folder

if TYPE_CHECKING:
    import sqlalchemy as sa

BUSY_MILLISECONDS: Final = 60_000
"""How long a writer waits for another one; transactions here take milliseconds."""

_ADVISORY_LOCK: Final = 7_316_841_295
"""PostgreSQL: the lock that makes writers queue, so that sequence numbers are in the order of commits."""


class Database:
    """Tables behind a SQLAlchemy URL; made where they do not exist, opened at the first use in each process.

    Writers queue (SQLite: BEGIN IMMEDIATE; PostgreSQL: an advisory lock), so what one of them read stays true until it
    commits. Readers wait for nobody. Can be pickled and survives fork and spawn.
    """

    _opened: "tuple[int, sa.Engine] | None"

    def __init__(self, url: str, tables: Callable[[], "sa.MetaData"], error: type[RuntimeError]) -> None:
        """`tables` must be importable by name. `error` is raised for whatever the database refuses, without values."""
        self._url, self._tables, self._error = url, tables, error
        self._prepare()

    def __getstate__(self) -> tuple[Any, ...]:
        return self._url, self._tables, self._error

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._url, self._tables, self._error = state
        self._prepare()

    def _prepare(self) -> None:
        self._lock = threading.Lock()
        self._opened = None

    @property
    def kind(self) -> str:
        """The dialect: all that may be said of the URL."""
        return self._url.partition(":")[0]

    @contextmanager
    def connection(self, *, writes: bool = False) -> "Iterator[sa.Connection]":
        """A connection in a transaction that commits at the end; an exception rolls it back."""
        import sqlalchemy as sa

        try:
            with self._engine().connect() as connection, connection.execution_options(writes=writes).begin():
                if writes and connection.dialect.name == "postgresql":
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
                yield connection
        except sa.exc.SQLAlchemyError as error:
            # The database's own words may quote values.
            raise self._error(
                f"the ledger ({self.kind}) refused: {type(error).__name__}; see SIGNALS_LEDGER_URL, whether the "
                "database can be reached and written, and whether another writer holds it for long"
            ) from None

    def forget_log(self) -> None:
        """SQLite: what was overwritten is gone from the write-ahead log as well."""
        if self._url.startswith("sqlite"):
            with self._engine().connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close what this process holds open; the next use opens it again."""
        with self._lock:
            if self._opened is not None and self._opened[0] == os.getpid():
                self._opened[1].dispose()
            self._opened = None

    def _engine(self) -> "sa.Engine":
        """This process's engine: one inherited by fork is left to the parent, its connections untouched."""
        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():
                if self._opened is not None:
                    self._opened[1].dispose(close=False)
                self._opened = (os.getpid(), _open(self._url, self._tables()))
            return self._opened[1]


def insert_or_ignore(dialect: str, table: "sa.Table") -> Any:
    """An INSERT that leaves rows whose unique keys exist as they are."""
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert

        return postgresql_insert(table).on_conflict_do_nothing()
    from sqlalchemy.dialects.sqlite import insert as sqlite_insert

    return sqlite_insert(table).on_conflict_do_nothing()


def _open(url: str, tables: "sa.MetaData") -> "sa.Engine":
    """An engine whose tables exist. SQLite: a connection per transaction, write-ahead log, explicit BEGIN."""
    import sqlalchemy as sa

    options: dict[str, Any] = {"hide_parameters": True}
    if url.startswith("sqlite"):
        private_folder(Path(sa.make_url(url).database or "").parent)
        options["poolclass"] = sa.pool.NullPool
        options["connect_args"] = {"timeout": BUSY_MILLISECONDS / 1000}
    engine = sa.create_engine(url, **options)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _on_sqlite_connect)
        sa.event.listen(engine, "begin", _on_sqlite_begin)
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        tables.create_all(connection)
        for index in (index for table in tables.sorted_tables for index in table.indexes):
            index.create(connection, checkfirst=True)  # create_all leaves tables alone that were made before it
    return engine


def _on_sqlite_connect(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # no BEGIN by the driver; see the next function
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _on_sqlite_begin(connection: "sa.Connection") -> None:
    # A transaction that reads first and writes later could not be upgraded; so writers take the lock at once.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
