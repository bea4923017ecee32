"""The SQL ledger on SQLite: the contract, and what is its own (files, processes)."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from signals_assets.resources.ledger import LedgerError, SqlLedger
from signals_assets_tests.resources.ledger_contract import LedgerContract


@pytest.fixture
def ledger(tmp_path: Path) -> SqlLedger:
    return SqlLedger(f"sqlite:///{tmp_path / 'restricted' / 'ledger.db'}")


class TestSqlLedgerHoldsTheContract(LedgerContract):
    pass


WRITER = """
import sys
from signals_assets.resources.ledger import SqlLedger
ledger = SqlLedger(sys.argv[1])
new = sum(ledger.append("x", str(n), {"by": sys.argv[2]})[1] for n in range(60))
print(new + ledger.append_many("y", [(str(n), {}) for n in range(200)]))
"""


def test_two_processes_that_write_the_same_keys_write_each_once(ledger: SqlLedger, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'restricted' / 'ledger.db'}"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, url, name], stdout=subprocess.PIPE, text=True)
        for name in ("one", "other")
    ]
    new = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    assert sum(new) == 260
    assert len(ledger.entries(["x"])) == 60
    assert len(ledger.entries(["y"])) == 200


def test_the_newest_of_a_kind_is_found_by_an_index_in_a_ledger_from_before_it_too(
    ledger: SqlLedger, tmp_path: Path
) -> None:
    ledger.append("x", "1", {})
    ledger.close()
    with sqlite3.connect(tmp_path / "restricted" / "ledger.db") as database:
        database.execute("DROP INDEX entries_by_kind")
    ledger.append("x", "2", {})
    ledger.close()
    with sqlite3.connect(tmp_path / "restricted" / "ledger.db") as database:
        [plan] = database.execute(
            "EXPLAIN QUERY PLAN SELECT payload FROM entries WHERE kind = 'x' ORDER BY seq DESC LIMIT 1"
        ).fetchall()
    database.close()
    assert "USING INDEX entries_by_kind" in plan[-1]


def test_a_forked_child_opens_its_own_connections(ledger: SqlLedger) -> None:
    ledger.append("x", "parent", {})
    child = os.fork()
    if child == 0:
        os._exit(0 if ledger.append("x", "child", {})[1] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert [entry.key for entry in ledger.entries(["x"])] == ["parent", "child"]


def test_erased_payloads_are_gone_from_the_files(ledger: SqlLedger, tmp_path: Path) -> None:
    ledger.append("x", "1", {"note": "a-word-to-be-forgotten"})
    ledger.erase("x", ["1"])
    ledger.forget_replaced()
    ledger.close()
    files = list((tmp_path / "restricted").iterdir())
    assert files
    assert not any(b"a-word-to-be-forgotten" in file.read_bytes() for file in files)


def test_a_database_that_cannot_be_opened_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(LedgerError, match="SIGNALS_LEDGER_URL"):
        SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}").check()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_ledger_in_memory_is_refused(url: str) -> None:
    with pytest.raises(LedgerError, match="file"):
        SqlLedger(url)


def test_a_password_in_the_url_is_never_printed() -> None:
    assert "secret" not in repr(SqlLedger("postgresql://user:secret@host/db"))
