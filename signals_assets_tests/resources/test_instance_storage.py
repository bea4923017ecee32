"""What is stored in PostgreSQL is searched like the home: every row of the ledger's and of Dagster's tables."""

import shutil
from pathlib import Path

import pytest
from pydantic import SecretStr

from signals_assets.core.erasure import Traces
from signals_assets.resources.erasure import search
from signals_assets.resources.instance_storage import StorageError, databases
from signals_assets.resources.ledger import SqlLedger
from signals_assets.resources.requests import Request, RequestLog
from signals_assets.settings import Settings
from signals_assets_tests.fakes.postgres import PASSWORD, USER, PostgresServer

DEPLOYED = Path(__file__).resolve().parents[2] / "deploy" / "dagster.yaml"
SOMEBODY = "u_0123456789abcdef0123"


def test_every_row_of_the_ledgers_and_dagsters_databases_is_searched(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance_home = tmp_path / "dagster"
    instance_home.mkdir()
    shutil.copy(DEPLOYED, instance_home)
    told = {"HOST": "127.0.0.1", "PORT": str(postgres.port), "USER": USER, "PASSWORD": PASSWORD}
    stored = postgres.database()
    for name, value in (told | {"DB": stored.rpartition("/")[2]}).items():
        monkeypatch.setenv(f"DAGSTER_POSTGRES_{name}", value)
    monkeypatch.setenv("DAGSTER_HOME", str(instance_home))
    settings = Settings(home=tmp_path / "home", ledger_url=SecretStr(postgres_url))
    ledger, log = SqlLedger(postgres_url), RequestLog(postgres_url)

    def hits() -> dict[str, tuple[int, int]]:
        found = search(settings, {"ledger": ledger}, Traces("user", (SOMEBODY,), samples=("an odd turn of phrase",)))
        return {area.area: (area.ids, area.texts) for area in found}

    ledger.append("x", "1", {})
    postgres.run('CREATE SCHEMA "Odd"', stored)
    postgres.run('CREATE TABLE "Odd"."Event Logs" (id int, event text)', stored)
    nothing = {"ledger entries": (0, 0), "database of the ledger": (0, 0), "database of dagster": (0, 0)}
    assert {name: count for name, count in hits().items() if name in nothing} == nothing
    log.plan([Request(f"q_{n}", 1, "day") for n in range(2_100)])
    log.plan([Request("q_z", 1, SOMEBODY)])
    postgres.run(f"""INSERT INTO "Odd"."Event Logs" VALUES (1, '{SOMEBODY} said: an odd turn of phrase')""", stored)
    found = hits()
    assert found["ledger entries"] == (0, 0)
    assert found["database of the ledger"] == (1, 0)
    assert found["database of dagster"] == (1, 1)
    ledger.close()
    log.close()


def test_storages_in_files_have_no_database_and_a_variable_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert databases(tmp_path) == []
    there = tmp_path / "dagster.yaml"
    there.write_text("telemetry: {enabled: false}\n")
    assert databases(tmp_path) == []
    one = "{postgres_db: {username: u, password: {env: HIDDEN}, hostname: h, db_name: d}}"
    there.write_text(f"run_storage: {{config: {one}}}\nevent_log_storage: {{config: {one}}}\n")
    with pytest.raises(StorageError, match="HIDDEN"):
        databases(tmp_path)
    monkeypatch.setenv("HIDDEN", "a/b@c")
    assert databases(tmp_path) == ["postgresql://u:a%2Fb%40c@h:5432/d"]
    there.write_text("storage: {postgres: {postgres_url: {env: HIDDEN}}}\n")
    assert databases(tmp_path) == ["a/b@c"]
