"""The whole daily graph with its ledger in PostgreSQL: the same rows and the same entries as in SQLite."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from signals_assets.resources.filing import broken_link
from signals_assets.resources.ledger import Ledger
from signals_assets.simulation import World
from signals_assets_tests.conftest import FIRST_DAY
from signals_assets_tests.home import Home

SECOND_DAY = FIRST_DAY + timedelta(days=1)


def said(ledger: Ledger, kinds: list[str]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """What the ledger says, without the chain of its audit: it holds every day."""
    chain = ("previous", "hash")
    return {
        (entry.kind, entry.key): {name: value for name, value in entry.payload.items() if name not in chain}
        for entry in ledger.entries(kinds)
    }


def test_every_table_and_entry_is_the_same_as_with_sqlite(
    lived: Home, world: World, postgres_url: str, tmp_path: Path
) -> None:
    with Home(tmp_path / "home", world.out, ledger_url=SecretStr(postgres_url)) as home:
        home.materialize(FIRST_DAY, SECOND_DAY)
        assert not (home.settings.restricted / "ledger.db").exists()
        assert home.ledger.check().startswith("PostgreSQL")
        assert home.ledger.newest_day() == SECOND_DAY
        ours, theirs = home.tables(FIRST_DAY, SECOND_DAY), lived.tables(FIRST_DAY, SECOND_DAY)
        assert {name for name, days in theirs.items() if any(days.values())} > {"friction_rates", "causes"}
        assert [name for name in theirs if ours[name] != theirs[name]] == []
        kinds = home.ledger.kinds()
        assert {"audit", "day", "reader"} <= set(kinds)
        assert broken_link(home.ledger.entries(["audit"])) is None
        assert said(home.ledger, kinds).items() <= said(lived.ledger, kinds).items()
        home.ledger.close()
