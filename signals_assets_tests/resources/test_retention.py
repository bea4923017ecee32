"""Retention over a home that was lived in: by table and door, again and again, and when it breaks off."""

import os
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from signals_assets.core.retention import EXPIRING, KEYED, term_of
from signals_assets.resources.retention import expire
from signals_assets.resources.warehouse import ParquetWarehouse
from signals_assets.tables import TABLES
from signals_assets_tests.conftest import FIRST_DAY, LAST_DAY
from signals_assets_tests.home import Home


@pytest.fixture
def home(lived: Home, tmp_path: Path) -> Iterator[Home]:
    """Four days, each written on its own day; batches on the first."""
    with lived.copy(tmp_path / "home", retention_days=2) as copied:
        for path in (copied.folder / "warehouse").rglob("????-??-??.parquet"):
            age(path, date.fromisoformat(path.stem))
        for path in (copied.folder / "restricted/batches").rglob("*.zst"):
            age(path, FIRST_DAY)
        yield copied


def age(path: Path, day: date) -> None:
    written = datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp()
    os.utime(path, (written, written))


def stored(home: Home) -> dict[str, list[date]]:
    return {name: home.warehouse.days(model) for name, model in TABLES.items()}


def test_it_says_what_it_removed_and_then_that_nothing_is_left_to_remove(home: Home):
    today = LAST_DAY + timedelta(days=2)
    planned = expire(home.doors, today, dry_run=True)
    assert stored(home)["raw_sessions"][0] == FIRST_DAY
    removed = expire(home.doors, today)
    assert removed == planned
    by_name = {item.what: item.removed for item in removed}
    assert by_name["raw_sessions"] == 3
    assert by_name["facets"] == 0
    assert by_name["batches of answers"] > 0
    assert sum(item.removed for item in expire(home.doors, today)) == 0


def test_after_the_longer_term_rows_under_pseudonyms_go_too_and_the_published_zone_stays(home: Home):
    before = stored(home)
    expire(home.doors, LAST_DAY + timedelta(days=home.settings.abstracted_retention_days + 1))
    for name, days in stored(home).items():
        assert days == (before[name] if term_of(TABLES[name]) == "kept" else []), name
    assert stored(home)["friction_rates"]


def test_what_an_erasure_left_of_a_day_expires_when_the_day_would_have(home: Home):
    home.warehouse.rewrite(TABLES["raw_sessions"], FIRST_DAY, lambda batch: batch.slice(1))
    expire(home.doors, FIRST_DAY + timedelta(days=3))
    assert FIRST_DAY not in stored(home)["raw_sessions"]


def test_a_retention_that_breaks_off_after_any_removal_is_finished_by_the_next(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    today = LAST_DAY + timedelta(days=2)
    whole = Path.unlink
    killed = 0

    def dying(path: Path, missing_ok: bool = False) -> None:
        whole(path, missing_ok=missing_ok)
        if path.suffix in (".parquet", ".zst"):
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", dying)
    while True:
        try:
            expire(home.doors, today)
            break
        except KeyboardInterrupt:
            killed += 1
    monkeypatch.undo()
    assert killed >= 3 * len(EXPIRING)
    days = stored(home)
    assert all(days[name] == [LAST_DAY] for name in EXPIRING)
    assert all(days[name][0] == FIRST_DAY for name in KEYED)
    assert not list((home.folder / "restricted/batches").rglob("*.zst"))


def test_a_warehouse_that_may_not_write_a_zone_may_not_expire_it(home: Home):
    limited = home.doors | {"warehouse": ParquetWarehouse(home.folder / "warehouse", ["published"])}
    with pytest.raises(RuntimeError, match="may not delete"):
        expire(limited, LAST_DAY + timedelta(days=9))
