"""A SQL database that several doors keep tables in: one engine a process, writers that queue.

Put here: `Database`, how SQLite and PostgreSQL are opened, what their errors become, what is tried again.
Not here: tables and what they mean (see `ledger.py`, `requests.py`).
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from signals_assets.resources.folders import private_folder

if TYPE_CHECKING:
    import sqlalchemy as sa

Returned = TypeVar("Returned")

BUSY_MILLISECONDS: Final = 60_000
"""How long a writer waits for another one; transactions here take milliseconds."""

HELD_MILLISECONDS: Final = 300_000
"""PostgreSQL: a writer silent for so long (stopped, its machine gone) is hung up on, so that others go on."""

INSERT_ROWS: Final = 2_000
"""Rows that are written or read at once: bounds memory."""

PAUSES: Final = (0.1, 0.3, 0.8, 2.0)
"""Seconds between the tries of what may be tried again: longer than a failover's hiccup, shorter than a step."""

OLDEST_POSTGRESQL: Final = (13,)
"""Since then a server says what became of a transaction (`pg_xact_status`)."""

_ADVISORY_LOCK: Final = 7_316_841_295
"""PostgreSQL: the lock that makes writers queue, so that sequence numbers are in the order of commits."""

_SCHEMES: Final = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg2",
    "postgres": "postgresql+psycopg2",
    "postgresql+psycopg2": "postgresql+psycopg2",
}
"""What a URL may begin with -> the driver: SQLAlchemy's own choice for `postgresql` differs between its versions."""

_CONFLICTS: Final = ("40001", "40P01")
"""SQLSTATE: the server rolled back for the sake of another transaction (serialisation failure, deadlock)."""


class Database:
    """Tables behind a SQLAlchemy URL; made where they do not exist, opened at the first use in each process.

    Writers queue (SQLite: BEGIN IMMEDIATE; PostgreSQL: an advisory lock), so what one of them read stays true until it
    commits. Readers wait for nobody. Can be pickled and survives fork and spawn.

    On PostgreSQL a connection may be lost at any instant. What was lost before its commit was asked for has not
    happened; where the answer to a commit was lost, the server is asked what became of it. So work is repeated only
    when it was certainly not done.
    """

    _opened: "tuple[int, sa.Engine] | None"

    def __init__(self, url: str, tables: Callable[[], "sa.MetaData"], error: type[RuntimeError]) -> None:
        """`tables` must be importable by name. `error` is raised for whatever the database refuses, without values."""
        self._url, self._tables, self._error = url, tables, error
        if self.kind not in _SCHEMES:
            raise error("the URL of the ledger begins with sqlite:/// or postgresql://; see SIGNALS_LEDGER_URL")
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
        """The dialect and driver: all that may be said of the URL."""
        return self._url.partition(":")[0]

    @contextmanager
    def connection(self, *, writes: bool = False) -> "Iterator[sa.Connection]":
        """A connection in a transaction that commits at the end; an exception rolls it back.

        The `with` block runs once; only opening and queueing are tried again.
        """
        import sqlalchemy as sa

        try:
            with self._ended(*self._patiently(lambda: self._begun(writes))) as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise self._refused(error) from None

    def run(self, work: "Callable[[sa.Connection], Returned]", *, writes: bool = False) -> Returned:
        """The result of `work` in a transaction of its own: done once, tried again where it was certainly not done.

        `work` may be called several times, each time on a fresh state of the database.
        """
        import sqlalchemy as sa

        def once() -> Returned:
            with self._ended(*self._begun(writes)) as connection:
                return work(connection)

        try:
            return self._patiently(once)
        except sa.exc.SQLAlchemyError as error:
            raise self._refused(error) from None

    def forget_replaced(self) -> None:
        """What was overwritten or removed is gone from the database's own files, not only from its answers.

        SQLite: from the write-ahead log as well. PostgreSQL: the tables are written anew, for which everybody waits
        that moment; its log and its backups keep old rows until they expire.
        """
        import sqlalchemy as sa

        try:
            with self._engine().connect() as connection:
                if connection.dialect.name == "sqlite":
                    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                    return
                connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.detach()  # what is set here is this connection's, which is closed afterwards
                connection.exec_driver_sql(f"SET lock_timeout = {BUSY_MILLISECONDS}")
                for table in self._tables().sorted_tables:
                    connection.exec_driver_sql(f"VACUUM FULL {table.name}")
        except sa.exc.SQLAlchemyError as error:
            raise self._refused(error) from None

    def close(self) -> None:
        """Close what this process holds open; the next use opens it again."""
        with self._lock:
            if self._opened is not None and self._opened[0] == os.getpid():
                self._opened[1].dispose()
            self._opened = None

    # --- transactions

    def _begun(self, writes: bool) -> "tuple[sa.Connection, str | None]":
        """A connection in a transaction, and what PostgreSQL calls a writer's; a writer has waited for its turn."""
        connection = self._engine().connect().execution_options(writes=writes)
        try:
            connection.begin()
            queued = writes and connection.dialect.name == "postgresql"
            return connection, _queued(connection) if queued else None
        except BaseException:
            connection.close()
            raise

    @contextmanager
    def _ended(self, connection: "sa.Connection", transaction: str | None) -> "Iterator[sa.Connection]":
        """Commit at the end, roll back on an exception; the connection goes back."""
        import sqlalchemy as sa

        try:
            yield connection
            self._commit(connection, transaction)
        except BaseException:
            with suppress(sa.exc.SQLAlchemyError):  # of a lost connection nothing is left; what broke it is told
                connection.rollback()
            raise
        finally:
            connection.close()

    def _commit(self, connection: "sa.Connection", transaction: str | None) -> None:
        """Commit. Where the answer is lost the server is asked; raises where it was not committed."""
        import sqlalchemy as sa

        if transaction is not None and _has_failed(connection):
            raise self._error(
                f"a statement of a transaction in the ledger ({self.kind}) failed and was passed over: nothing of it "
                "was written; let the error through"
            )
        try:
            connection.commit()
        except sa.exc.DBAPIError as error:
            if transaction is None or not error.connection_invalidated:
                raise
            try:
                committed = self._patiently(lambda: self._was_committed(transaction))
            except sa.exc.SQLAlchemyError:
                raise self._error(
                    f"the ledger ({self.kind}) was lost while it committed, and cannot be asked whether it did; "
                    "do it again when it is back: what is there already is not written twice"
                ) from None
            if not committed:
                raise

    def _was_committed(self, transaction: str) -> bool:
        """What became of a transaction whose connection was lost; asked in the queue, where it has ended for sure."""
        import sqlalchemy as sa

        with self._begun(writes=True)[0] as connection:
            asked = sa.text("SELECT pg_xact_status(CAST(:id AS xid8))")
            return bool(connection.execute(asked, {"id": transaction}).scalar_one() == "committed")

    def _patiently(self, work: Callable[[], Returned]) -> Returned:
        """Do it again, within bounds, when the connection was lost or the server preferred another transaction."""
        import sqlalchemy as sa

        for pause in PAUSES:
            try:
                return work()
            except sa.exc.DBAPIError as error:
                if not _passes(error):
                    raise
            time.sleep(pause)
        return work()

    def _refused(self, error: Exception) -> RuntimeError:
        # The database's own words may quote values.
        return self._error(
            f"the ledger ({self.kind}) refused: {type(error).__name__}{_state(error)}; see SIGNALS_LEDGER_URL, whether "
            "the database can be reached and written, and whether another writer holds it for long"
        )

    # --- the engine

    def _engine(self) -> "sa.Engine":
        """This process's engine: one inherited by fork is left to the parent, its connections untouched."""
        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():
                if self._opened is not None:
                    self._opened[1].dispose(close=False)
                    self._opened = None
                self._opened = (os.getpid(), self._open())
            return self._opened[1]

    def _open(self) -> "sa.Engine":
        """An engine whose tables exist. Raises SQLAlchemyError, or the error of this database."""
        import sqlalchemy as sa

        try:
            url = sa.make_url(_SCHEMES[self.kind] + self._url.removeprefix(self.kind))
        except ValueError:  # its words may hold a part of the password
            raise self._error(
                "the URL of the ledger cannot be read; in SIGNALS_LEDGER_URL every /, @, : or % of a password is "
                "written as %2F, %40, %3A or %25"
            ) from None
        if url.get_backend_name() == "sqlite":
            engine = _sqlite(url)
        else:
            try:
                engine = _postgresql(url)
            except ModuleNotFoundError:
                raise self._error(
                    "a ledger in PostgreSQL needs its driver: pip install 'signals-assets[postgres]'"
                ) from None
        try:
            self._complete(engine)
        except BaseException:
            engine.dispose()
            raise
        return engine

    def _complete(self, engine: "sa.Engine") -> None:
        """Make what is missing of the tables and their indexes; one process does, the others find it."""
        tables = self._tables()
        with engine.connect() as connection:
            version = connection.dialect.server_version_info or ()
            if connection.dialect.name == "postgresql" and version < OLDEST_POSTGRESQL:
                raise self._error(
                    f"the ledger needs PostgreSQL {OLDEST_POSTGRESQL[0]} or newer, the server is {version[0]}"
                )
            if not _is_incomplete(connection, tables):
                return
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                _queued(connection)
            tables.create_all(connection)
            for index in (index for table in tables.sorted_tables for index in table.indexes):
                index.create(connection, checkfirst=True)  # create_all leaves tables alone that were made before it


def text_type() -> "sa.types.TypeEngine[str]":
    """A column of text that is compared and sorted by code point on every database, whatever its language is set to."""
    import sqlalchemy as sa

    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def insert_or_ignore(dialect: str, table: "sa.Table") -> Any:
    """An INSERT that leaves rows whose unique keys exist as they are."""
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert

        return postgresql_insert(table).on_conflict_do_nothing()
    from sqlalchemy.dialects.sqlite import insert as sqlite_insert

    return sqlite_insert(table).on_conflict_do_nothing()


def rows_as_text(url: str, error: type[RuntimeError]) -> "Iterator[list[str]]":
    """Every row of every table of a PostgreSQL database as text, some at a time; raises `error` without values."""
    import sqlalchemy as sa

    database = Database(url, sa.MetaData, error)
    named = sa.text(
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
        "AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
    )
    try:
        with database.connection() as connection:
            quoted = connection.dialect.identifier_preparer.quote
            for schema, table in connection.execute(named).all():
                rows = sa.text(f"SELECT CAST(t AS text) FROM {quoted(schema)}.{quoted(table)} AS t")
                streamed = connection.execution_options(yield_per=INSERT_ROWS).execute(rows)
                yield from ([str(row[0]) for row in some] for some in streamed.partitions())
    finally:
        database.close()


def _is_incomplete(connection: "sa.Connection", tables: "sa.MetaData") -> bool:
    import sqlalchemy as sa

    there = sa.inspect(connection)
    known = set(there.get_table_names())
    return any(
        table.name not in known
        or {index.name for index in table.indexes} - {index["name"] for index in there.get_indexes(table.name)}
        for table in tables.sorted_tables
    )


# --- PostgreSQL --------------------------------------------------------------------------------------------------


def _postgresql(url: "sa.URL") -> "sa.Engine":
    """An engine with few connections, each tried before it is used again; what the URL says of them holds.

    READ COMMITTED whatever the database's default is: a snapshot older than its turn would hide what the writers
    before it have written.
    """
    import sqlalchemy as sa

    said = {
        "application_name": "signals",
        "connect_timeout": 10,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": BUSY_MILLISECONDS,
    }
    return sa.create_engine(
        url,
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_size=2,
        connect_args={name: value for name, value in said.items() if name not in url.query},
    )


def _queued(connection: "sa.Connection") -> str:
    """Wait for the other writers; the transaction's id, by which the server can say what became of it."""
    import sqlalchemy as sa

    limits = {"lock_timeout": BUSY_MILLISECONDS, "idle_in_transaction_session_timeout": HELD_MILLISECONDS}
    set_here = [sa.func.set_config(name, str(value), True) for name, value in limits.items()]
    started = connection.execute(sa.select(*set_here, sa.cast(sa.func.pg_current_xact_id(), sa.Text))).one()
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
    return str(started[-1])


def _has_failed(connection: "sa.Connection") -> bool:
    """Whether a statement failed before: such a transaction is rolled back by a commit, without a word."""
    from psycopg2.extensions import TRANSACTION_STATUS_INERROR

    driver: Any = connection.connection.driver_connection
    return bool(driver.info.transaction_status == TRANSACTION_STATUS_INERROR)


def _passes(error: "sa.exc.DBAPIError") -> bool:
    """Whether the same may well succeed in a moment; on SQLite it has waited long enough."""
    import sqlalchemy as sa

    if _code(error) in _CONFLICTS or error.connection_invalidated:
        return True
    never_connected = isinstance(error, sa.exc.OperationalError) and not _code(error)
    return never_connected and type(error.orig).__module__.startswith("psycopg2")


def _code(error: Exception) -> str:
    return str(getattr(getattr(error, "orig", None), "pgcode", None) or "")


def _state(error: Exception) -> str:
    """The server's code of what happened: it says much and quotes nothing."""
    return f" (SQLSTATE {_code(error)})" if _code(error) else ""


# --- SQLite ------------------------------------------------------------------------------------------------------


def _sqlite(url: "sa.URL") -> "sa.Engine":
    """An engine with a connection per transaction, write-ahead log, explicit BEGIN."""
    import sqlalchemy as sa

    private_folder(Path(url.database or "").parent)
    engine = sa.create_engine(
        url,
        hide_parameters=True,
        poolclass=sa.pool.NullPool,
        connect_args={"timeout": BUSY_MILLISECONDS / 1000},
    )
    sa.event.listen(engine, "connect", _on_sqlite_connect)
    sa.event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _on_sqlite_connect(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # no BEGIN by the driver; see the next function
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _on_sqlite_begin(connection: "sa.Connection") -> None:
    # A transaction that reads first and writes later could not be upgraded; so writers take the lock at once.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
