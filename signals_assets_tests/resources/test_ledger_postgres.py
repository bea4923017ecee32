"""The SQL ledger on a real PostgreSQL: the contract, writers at once, connections that are lost at any instant."""

import gc
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from signals_assets.resources import DoorError, database, doors_or_reasons
from signals_assets.resources.database import PAUSES
from signals_assets.resources.ledger import LedgerError, SqlLedger
from signals_assets.resources.requests import RequestLog, Send
from signals_assets.settings import Settings
from signals_assets_tests.fakes.postgres import PASSWORD, PostgresServer, Wire
from signals_assets_tests.resources.ledger_contract import LedgerContract


@pytest.fixture
def ledger(postgres_url: str) -> Iterator[SqlLedger]:
    opened = SqlLedger(postgres_url)
    yield opened
    opened.close()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many tries, with hardly a pause between them."""
    monkeypatch.setattr(database, "PAUSES", tuple(0.01 for _ in PAUSES))


class TestSqlLedgerHoldsTheContract(LedgerContract):
    pass


def together(*works: Callable[[], Any]) -> list[Any]:
    """All at once, in threads: what each returned or raised."""
    results: list[Any] = [None] * len(works)
    start = threading.Barrier(len(works))

    def run(number: int) -> None:
        start.wait()
        try:
            results[number] = works[number]()
        except LedgerError as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# --- several at once ---------------------------------------------------------------------------------------------


def test_processes_that_meet_on_an_empty_database_make_its_tables_once_and_each_key_once(postgres_url: str) -> None:
    children = []
    for name in ("one", "other", "third"):
        child = os.fork()
        if child == 0:
            try:
                opened = SqlLedger(postgres_url)
                new = sum(opened.append("x", str(n), {"by": name})[1] for n in range(20))
                os._exit(new + opened.append_many("y", [(str(n), {}) for n in range(30)]))
            finally:
                os._exit(255)
        children.append(child)
    ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert sum(ended) == 50
    ledger = SqlLedger(postgres_url)
    assert sorted(int(entry.key) for entry in ledger.entries(["x"])) == list(range(20))
    numbers = [entry.seq for entry in ledger.entries(["x", "y"])]
    assert numbers == sorted(set(numbers))
    ledger.close()


@pytest.mark.parametrize("level", ["serializable", "repeatable read"])
def test_a_budget_holds_whatever_isolation_the_database_prefers(
    postgres: PostgresServer, postgres_url: str, level: str
) -> None:
    name = postgres_url.rpartition("/")[2]
    postgres.run(f"ALTER DATABASE {name} SET default_transaction_isolation = '{level}'")
    ledgers = [SqlLedger(postgres_url) for _ in range(3)]
    ledgers[0].append("x", "first", {})

    def spend(ledger: SqlLedger, who: int) -> int:
        spent = 0
        for n in range(6):
            with ledger.transaction() as writer:
                if len(writer.entries(["spent"])) < 7:
                    writer.append("spent", f"{who}:{n}", {})
                    spent += 1
        return spent

    assert (
        sum(together(*(lambda ledger=ledger, who=who: spend(ledger, who) for who, ledger in enumerate(ledgers)))) == 7
    )
    for ledger in ledgers:
        ledger.close()


def test_a_writer_that_stays_silent_is_hung_up_on_and_one_that_waits_gives_up_in_time(
    ledger: SqlLedger, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append("x", "1", {})
    monkeypatch.setattr(database, "BUSY_MILLISECONDS", 100)
    other = SqlLedger(postgres_url)
    with ledger.transaction() as writer:
        writer.append("x", "2", {})
        with pytest.raises(LedgerError, match="55P03"):
            other.append("x", "3", {})
    assert other.append("x", "3", {})[1]

    monkeypatch.setattr(database, "HELD_MILLISECONDS", 50)

    def stay_silent() -> None:
        with ledger.transaction() as writer:
            writer.append("x", "4", {})
            time.sleep(0.3)

    with pytest.raises(LedgerError, match="refused"):
        stay_silent()
    assert [entry.key for entry in other.entries(["x"])] == ["1", "2", "3"]
    other.close()


def test_many_threads_share_few_connections(ledger: SqlLedger, postgres: PostgresServer, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    open_now = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"
    ledger.append("x", "first", {})
    works = [lambda n=n: [ledger.append("x", f"{n}:{i}", {})[1] and len(ledger.entries(["x"])) for i in range(5)]
             for n in range(16)]  # fmt: skip
    assert not [result for result in together(*works) if isinstance(result, Exception)]
    assert len(ledger.entries(["x"])) == 81
    deadline = time.monotonic() + 10  # a backend needs a moment to go
    while postgres.run(open_now)[0][0] > 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert postgres.run(open_now)[0][0] <= 2
    ledger.close()


def test_a_forked_child_leaves_the_connections_of_its_parent_alone(ledger: SqlLedger, postgres: PostgresServer) -> None:
    def backend() -> Any:
        return ledger._database.run(lambda connection: connection.exec_driver_sql("SELECT pg_backend_pid()").scalar())

    ledger.append("x", "parent", {})
    before = backend()
    child = os.fork()
    if child == 0:
        try:
            new = ledger.append("x", "child", {})[1] and backend() != before
            ledger.close()
            gc.collect()
            os._exit(0 if new else 1)
        finally:
            os._exit(255)
    assert os.waitpid(child, 0)[1] == 0
    assert backend() == before
    assert [entry.key for entry in ledger.entries(["x"])] == ["parent", "child"]


# --- lost connections --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", ["before", "after"])
@pytest.mark.usefixtures("hurried")
def test_an_entry_whose_commit_or_its_answer_was_lost_is_written_once_and_known_as_new(
    postgres: PostgresServer, postgres_url: str, cut: str
) -> None:
    with Wire(postgres.port) as wire:
        ledger = SqlLedger(wire.url(postgres_url))
        ledger.append("x", "1", {})
        wire.cut = cut
        entry, new = ledger.append("x", "2", {"n": 1})
        assert new
        assert not wire.cut
        assert [found.key for found in ledger.entries(["x"])] == ["1", "2"]
        assert ledger.find("x", "2") == entry
        assert not ledger.append("x", "2", {"n": 2})[1]
        ledger.close()


@pytest.mark.usefixtures("hurried")
def test_a_transaction_whose_commit_was_done_and_not_answered_ends_well(
    postgres: PostgresServer, postgres_url: str
) -> None:
    with Wire(postgres.port) as wire:
        ledger = SqlLedger(wire.url(postgres_url))
        ledger.append("x", "1", {})

        def write(key: str, cut: str) -> None:
            with ledger.transaction() as writer:
                writer.append("x", key, {})
                wire.cut = cut

        write("2", "after")
        assert len(ledger.entries(["x"])) == 2
        with pytest.raises(LedgerError, match="refused"):
            write("3", "before")
        assert len(ledger.entries(["x"])) == 2
        ledger.close()


@pytest.mark.usefixtures("hurried")
def test_a_commit_that_nobody_can_be_asked_about_says_so_and_may_be_done_again(
    postgres: PostgresServer, postgres_url: str
) -> None:
    with Wire(postgres.port) as wire:
        ledger = SqlLedger(wire.url(postgres_url))
        ledger.append("x", "1", {})
        wire.cut = "for good"
        with pytest.raises(LedgerError, match="do it again"):
            ledger.append("x", "2", {})
    again = SqlLedger(postgres_url)
    assert not again.append("x", "2", {})[1]
    assert len(again.entries(["x"])) == 2
    again.close()


def test_a_connection_lost_between_transactions_is_not_noticed(
    ledger: SqlLedger, postgres: PostgresServer, postgres_url: str
) -> None:
    ours = f"datname = '{postgres_url.rpartition('/')[2]}'"
    ledger.append("x", "1", {})
    assert postgres.hang_up(ours) >= 1
    assert ledger.append("x", "2", {})[1]
    assert postgres.hang_up(ours) >= 1
    assert len(ledger.entries(["x"])) == 2
    assert postgres.hang_up(ours) >= 1
    with ledger.transaction() as writer:
        assert writer.append("x", "3", {})[1]


def test_a_connection_lost_in_mid_transaction_leaves_nothing(ledger: SqlLedger, postgres: PostgresServer) -> None:
    def breaking(error: type[Exception] | None) -> None:
        with ledger.transaction() as writer:
            writer.append("x", "1", {})
            postgres.hang_up()
            if error:
                raise error
            writer.append("x", "2", {})

    with pytest.raises(LedgerError, match="refused"):
        breaking(None)
    with pytest.raises(KeyError):
        breaking(KeyError)
    assert ledger.entries(["x"]) == []
    assert ledger.append_many("x", [("1", {}), ("2", {})]) == 2


def test_a_failure_that_is_passed_over_in_a_transaction_does_not_pass_for_a_commit(ledger: SqlLedger) -> None:
    def write() -> None:
        with ledger.transaction() as writer:
            writer.append("x", "1", {})
            with suppress(sa.exc.DBAPIError):
                writer._connection.exec_driver_sql("SELECT 1 / 0")

    with pytest.raises(LedgerError, match="nothing of it was written"):
        write()
    assert ledger.entries(["x"]) == []
    assert ledger.append("x", "1", {})[1]


def test_what_is_asked_while_the_server_restarts_is_answered_afterwards(
    postgres: PostgresServer, ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PAUSES", (0.1,) * 100)  # a busy machine starts a server slowly
    ledger.append("x", "1", {})
    new: list[bool] = []
    asking = threading.Thread(target=lambda: [new.append(ledger.append("x", str(n), {})[1]) for n in range(2, 40)])
    asking.start()
    postgres.restart(down=0.2)  # here: the server ends with the thread that started it
    asking.join()
    assert new == [True] * 38
    assert [int(entry.key) for entry in ledger.entries(["x"])] == list(range(1, 40))


# --- conflicts ---------------------------------------------------------------------------------------------------

TRIGGER = """
CREATE SEQUENCE tries;
CREATE FUNCTION conflict() RETURNS trigger AS $$
BEGIN
  IF nextval('tries') <= {times} THEN RAISE EXCEPTION 'not now' USING ERRCODE = '{code}'; END IF;
  RETURN NEW;
END $$ LANGUAGE plpgsql;
CREATE TRIGGER conflict BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION conflict();
"""


@pytest.mark.parametrize("code", ["40001", "40P01"])
@pytest.mark.usefixtures("hurried")
def test_a_transaction_that_the_server_rolled_back_for_another_is_done_again_within_bounds(
    ledger: SqlLedger, postgres: PostgresServer, postgres_url: str, code: str
) -> None:
    ledger.append("x", "1", {})
    postgres.run(TRIGGER.format(times=2, code=code), postgres_url)
    assert ledger.append("x", "2", {})[1]
    assert [entry.key for entry in ledger.entries(["x"])] == ["1", "2"]
    postgres.run("ALTER SEQUENCE tries RESTART", postgres_url)
    with pytest.raises(LedgerError, match=code), ledger.transaction() as writer:
        writer.append("x", "3", {})
    postgres.run("ALTER SEQUENCE tries RESTART WITH -1000 MINVALUE -1000", postgres_url)
    with pytest.raises(LedgerError, match=code):
        ledger.append("x", "3", {})
    assert postgres.run("SELECT last_value FROM tries", postgres_url) == [(-1000 + len(PAUSES),)]
    assert len(ledger.entries(["x"])) == 2


# --- what is said, and what is left ------------------------------------------------------------------------------


@pytest.mark.usefixtures("hurried")
def test_no_error_holds_the_password(postgres: PostgresServer, postgres_url: str) -> None:
    SqlLedger(postgres_url).check()
    postgres.run("CREATE ROLE reader LOGIN PASSWORD 'read-only-secret'")
    wrong = [
        postgres_url.replace(PASSWORD, "wrong-secret"),
        postgres_url + "_that_is_not_there",
        postgres_url.replace(str(postgres.port), "1"),
        postgres_url.replace(PASSWORD, "a/wrong-secret"),
        postgres_url + "?sslmode=require",
        postgres_url.replace(PASSWORD, "read-only-secret").replace("signals:", "reader:"),
    ]
    private = {"note": "a-private-word"}
    for url in wrong:
        with pytest.raises(LedgerError) as caught:
            SqlLedger(url).append("x", "1", private)
        told = "".join(traceback.format_exception(caught.value))
        assert "SIGNALS_LEDGER_URL" in told
        assert not [word for word in (PASSWORD, "-secret", private["note"]) if word in told]


def test_the_settings_show_no_password_and_a_ledger_of_another_kind_is_a_closed_door(postgres_url: str) -> None:
    settings = Settings(ledger_url=SecretStr(postgres_url))
    assert PASSWORD not in f"{settings!r} {settings.model_dump_json()}"
    ledger = doors_or_reasons(settings)["ledger"]
    assert ledger.append("x", "1", {})[1]
    ledger.close()
    refused = doors_or_reasons(Settings(ledger_url=SecretStr("oracle://user:secret@host/db")))["ledger"]
    assert isinstance(refused, DoorError)
    assert "secret" not in str(refused)


def test_a_server_that_is_too_old_a_driver_that_is_missing_and_another_database_are_refused_clearly(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "OLDEST_POSTGRESQL", (99,))
    with pytest.raises(LedgerError, match="needs PostgreSQL 99 or newer, the server is 1"):
        SqlLedger(postgres_url).check()
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(LedgerError, match=r"signals-assets\[postgres\]"):
        SqlLedger(postgres_url).check()
    with pytest.raises(LedgerError, match="postgresql://"):
        SqlLedger("mysql://user:secret@host/db")


def test_the_doctor_names_kind_and_version(ledger: SqlLedger, postgres: PostgresServer) -> None:
    version = postgres.run("SHOW server_version")[0][0].split()[0]
    assert ledger.check() == f"PostgreSQL {version}: 0 entries"


def test_a_replaced_payload_is_gone_from_the_file_of_the_table(
    ledger: SqlLedger, postgres: PostgresServer, postgres_url: str
) -> None:
    word = "a-word-to-be-forgotten"
    ledger.append_many("x", [("1", {"note": word}), ("2", {"note": word}), ("3", {"note": "stays"})])
    assert word.encode() in postgres.table_file(postgres_url, "entries").read_bytes()
    ledger.erase("x", ["1"])
    ledger.amend("x", "2", {})
    ledger.forget_replaced()
    left = postgres.table_file(postgres_url, "entries").read_bytes()
    assert b"stays" in left
    assert word.encode() not in left
    assert ledger.append("x", "4", {})[0].seq > ledger.entries(["x"])[2].seq


def test_text_is_compared_by_code_point_whatever_the_language_of_the_database(
    ledger: SqlLedger, postgres: PostgresServer, postgres_url: str
) -> None:
    ledger.check()
    RequestLog(postgres_url).plan([])
    RequestLog(postgres_url).counts("none")
    asked = "SELECT column_name FROM information_schema.columns WHERE collation_name = 'C' AND table_schema = 'public'"
    found = {row[0] for row in postgres.run(asked, postgres_url)}
    assert {"kind", "key", "request_id", "label"} <= found


def test_times_are_read_back_as_they_were_wherever_the_server_stands(
    postgres: PostgresServer, postgres_url: str
) -> None:
    name = postgres_url.rpartition("/")[2]
    postgres.run(f"ALTER DATABASE {name} SET timezone = 'America/New_York'")
    log, at = RequestLog(postgres_url), datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    log.prepare(Send("k", "2026-03-01", "prepared", None, 10, 1, "model", at, at), [])
    [send] = log.sends("prepared")
    assert (send.at, send.since) == (at, at)
    assert send.at.tzinfo is UTC
    log.close()


def is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]


def test_the_server_ends_with_its_starter_however_that_dies() -> None:
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        server = PostgresServer().__enter__()
        os.write(told, f"{server._process.pid} {server.folder}".encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    pid, _, folder = os.read(ready, 1000).decode().partition(" ")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and is_running(pid):
        time.sleep(0.05)
    assert not is_running(pid)
    shutil.rmtree(folder)
