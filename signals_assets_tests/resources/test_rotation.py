"""A new key of people: one pseudonym per person inside the window, none that can be linked outside of it."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from signals_assets.core.barrier import Support
from signals_assets.core.erasure import TOMBSTONE_KIND, tombstone
from signals_assets.core.identity import PSEUDONYM, pseudonym
from signals_assets.resources.keys import KeyRingError
from signals_assets.resources.rotation import ROTATION_KIND, rotate
from signals_assets.tables import TABLES, RawSession, SessionMetrics, WordSupport
from signals_assets_tests.conftest import FIRST_DAY, LAST_DAY
from signals_assets_tests.home import Home

WINDOW = 28


@pytest.fixture
def home(lived: Home, tmp_path: Path) -> Iterator[Home]:
    with lived.copy(tmp_path / "home") as copied:
        yield copied


def pseudonyms(home: Home, first: date = FIRST_DAY, last: date = LAST_DAY) -> set[str]:
    """Every pseudonym of a person in any table that is not published."""
    tables = home.tables(first, last)
    kept = {name: days for name, days in tables.items() if TABLES[name].zone != "published"}
    return set(PSEUDONYM.findall(repr(kept)))


def sessions_by_user(home: Home) -> Counter[Any]:
    return Counter(
        row["user_id"] for row in home.warehouse.read(SessionMetrics, home.warehouse.days(SessionMetrics)).to_pylist()
    )


def test_everybody_gets_a_new_pseudonym_and_stays_one_person(home: Home):
    before, sessions = pseudonyms(home), sessions_by_user(home)
    rows = Support.from_rows(home.warehouse.read(WordSupport, home.warehouse.days(WordSupport)).to_pylist())
    rotate(home.doors, day=LAST_DAY, window=WINDOW)
    after = pseudonyms(home)
    assert len(before) == len(after) > 50
    assert not before & after
    assert sorted(sessions_by_user(home).values()) == sorted(sessions.values())
    again = Support.from_rows(home.warehouse.read(WordSupport, home.warehouse.days(WordSupport)).to_pylist())
    assert again.counts == rows.counts


def test_a_redone_day_has_the_pseudonyms_of_the_stored_ones(home: Home):
    rotate(home.doors, day=LAST_DAY, window=WINDOW)
    columns = ["session_id", "user_id", "organization_id"]
    stored = home.warehouse.read(RawSession, LAST_DAY, columns=columns).to_pylist()
    home.materialize(LAST_DAY, only=["raw_sessions"])
    assert home.warehouse.read(RawSession, LAST_DAY, columns=columns).to_pylist() == stored


def test_days_before_the_window_keep_pseudonyms_that_the_new_key_does_not_give(home: Home):
    oldest = set(home.warehouse.read(SessionMetrics, FIRST_DAY, columns=["user_id"]).column(0).to_pylist())
    rotate(home.doors, day=LAST_DAY, window=(LAST_DAY - FIRST_DAY).days - 1)
    assert set(home.warehouse.read(SessionMetrics, FIRST_DAY, columns=["user_id"]).column(0).to_pylist()) == oldest
    newer = home.warehouse.read(SessionMetrics, FIRST_DAY + timedelta(days=1), columns=["user_id"]).column(0)
    assert not oldest & set(newer.to_pylist())


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at", ["begun", "tombstones", "session_metrics"])
def test_killed_midway_the_keys_refuse_and_the_next_rotation_finishes_the_same(home: Home, at: str):
    sessions = sessions_by_user(home)

    def kill(step: str) -> None:
        if step.startswith(at):
            raise Killed

    with pytest.raises(Killed):
        rotate(home.doors, day=LAST_DAY, window=WINDOW, checkpoint=kill)
    with pytest.raises(KeyRingError, match="signals keys rotate"):
        home.doors["pseudonym_key"].bytes()
    done = rotate(home.doors, day=LAST_DAY, window=WINDOW)
    assert done.state.rotations == 1
    assert not done.state.rotating
    assert sorted(sessions_by_user(home).values()) == sorted(sessions.values())
    key = home.doors["pseudonym_key"].bytes()
    stored = home.warehouse.read(RawSession, LAST_DAY, columns=["session", "user_id"]).to_pylist()
    assert all(row["user_id"] == pseudonym("user", json.loads(row["session"])["user_id"], key) for row in stored)


def test_the_erased_stay_erased_under_the_new_key(home: Home):
    row = home.warehouse.read(RawSession, FIRST_DAY, columns=["session", "user_id"]).to_pylist()[0]
    home.ledger.append(TOMBSTONE_KIND, tombstone(row["user_id"]), {})
    assert rotate(home.doors, day=LAST_DAY, window=WINDOW).tombstones == 1
    new = pseudonym("user", json.loads(row["session"])["user_id"], home.doors["pseudonym_key"].bytes())
    assert home.ledger.find(TOMBSTONE_KIND, tombstone(new)) is not None


def test_the_audit_and_the_disk_hold_neither_the_old_key_nor_a_pseudonym(home: Home):
    rotate(home.doors, day=LAST_DAY, window=WINDOW)
    ring = home.settings.restricted / "pseudonym.ring"
    old = json.loads(ring.read_text())["secret"]
    rotate(home.doors, day=LAST_DAY, window=WINDOW)
    entries = home.ledger.entries([ROTATION_KIND])
    assert [entry.key for entry in entries] == ["1", "2"]
    assert not PSEUDONYM.search(json.dumps([dict(entry.payload) for entry in entries]))
    assert all(old.encode() not in path.read_bytes() for path in home.folder.rglob("*") if path.is_file())
    assert sorted(path.name for path in ring.parent.glob("pseudonym.*")) == ["pseudonym.ring"]
