"""Erasure over a small world that went through the whole graph: found nowhere, never back, others untouched."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from signals_assets.core.erasure import ERASURE_KIND, RECOUNTED, TOMBSTONE_KIND, Traces, columns_of
from signals_assets.core.readers import Rejected
from signals_assets.resources import erasure
from signals_assets.resources.filing import AUDIT_KIND, broken_link
from signals_assets.tables import TABLES, RawSession
from signals_assets_tests.conftest import FIRST_DAY, LAST_DAY
from signals_assets_tests.home import Home


def busiest(home: Home) -> str:
    """The user with the most sessions, by the source's id."""
    counts: dict[str, int] = {}
    for day in home.doors["session_source"].days():
        for item in home.doors["session_source"].sessions(day):
            if not isinstance(item, Rejected):
                counts[item.user_id or ""] = counts.get(item.user_id or "", 0) + 1
    return max(counts, key=lambda user: (counts[user], user))


@pytest.fixture
def home(lived: Home, tmp_path: Path) -> Iterator[Home]:
    with lived.copy(tmp_path / "home") as copied:
        yield copied


def traces(home: Home, user: str) -> Traces:
    return erasure.traces_of(home.doors, "user", user)


def left(home: Home, found: Traces) -> int:
    """Hits anywhere in the home but the person's own source files."""
    searched = erasure.search(home.settings, home.doors, found)
    return sum(area.ids + area.texts for area in searched if not area.remains)


def outside_counts(home: Home) -> dict[str, Any]:
    """Rows of everybody by table and day, of tables that do not count over people."""
    tables = home.tables(FIRST_DAY, LAST_DAY)
    return {name: rows for name, rows in tables.items() if name not in RECOUNTED}


def test_the_search_finds_a_person_before_and_not_after_and_others_keep_every_row(home: Home):
    user = busiest(home)
    found = traces(home, user)
    assert len(found.sessions) >= 3
    assert found.samples
    before = outside_counts(home)
    assert left(home, found) > 100
    done = erasure.erase(home.doors, found)
    assert done.found == 0
    assert left(home, found) == 0
    after = outside_counts(home)
    gone = {"user": set(found.users), "session": set(found.sessions), "item": set(found.items), "organization": set()}
    for name, days in before.items():
        columns = columns_of(TABLES[name]) if TABLES[name].zone != "published" else {}
        for day, rows in days.items():
            kept = [row for row in rows if not any(row[column] in gone[kind] for column, kind in columns.items())]
            if name == "user_days":
                kept = [row for row in kept if row["user_id"].removeprefix("anonymous:") not in gone["session"]]
            assert after[name][day] == kept, (name, day)


def test_an_erased_person_does_not_come_back_when_the_same_days_are_read_again(home: Home):
    user = busiest(home)
    found = traces(home, user)
    stored = sum(row["user_id"] in found.users for row in home.rows(RawSession))
    erasure.erase(home.doors, found)
    home.materialize(FIRST_DAY, LAST_DAY)
    assert left(home, found) == 0
    shown = [home.metadata("raw_sessions", day) for day in home.warehouse.days(RawSession)]
    assert sum(values.get("coverage/skipped.erased", 0) for values in shown) == stored > 0


def test_a_second_home_door_over_the_same_spool_passes_the_person_over_too(home: Home):
    user = busiest(home)
    erasure.erase(home.doors, traces(home, user))
    with home.copy(home.folder.with_name("other")) as again:
        source = again.doors["session_source"]
        items = [item for day in source.days() for item in source.sessions(day)]
        assert user not in {item.user_id for item in items if not isinstance(item, Rejected)}
        assert sum(item.count for item in items if isinstance(item, Rejected) and item.reason == "erased") >= 3


def test_what_remains_is_hashes_and_an_audit_entry_without_a_name(home: Home):
    found = traces(home, busiest(home))
    erasure.erase(home.doors, found)
    ledger = home.ledger
    assert {entry.key for entry in ledger.entries([TOMBSTONE_KIND])} == set(found.tombstones)
    assert [entry.key for entry in ledger.entries([ERASURE_KIND])] == ["1:started", "1:finished"]
    audits = ledger.entries([AUDIT_KIND])
    assert broken_link(audits) is None
    assert audits[-1].key == "erasure:1"
    assert not list((home.settings.restricted / "erasures").glob("*"))


def test_a_second_erasure_finds_nothing_to_do(home: Home):
    user = busiest(home)
    erasure.erase(home.doors, traces(home, user))
    tables = home.tables(FIRST_DAY, LAST_DAY)
    again = erasure.erase(home.doors, traces(home, user))
    assert not any(again.counts.values())
    assert again.found == 0
    assert home.tables(FIRST_DAY, LAST_DAY) == tables


def test_somebody_nobody_knows_is_erased_without_a_change(home: Home):
    tables = home.tables(FIRST_DAY, LAST_DAY)
    assert erasure.erase(home.doors, traces(home, "nobody-by-this-name")).found == 0
    assert home.tables(FIRST_DAY, LAST_DAY) == tables


def test_the_pseudonym_names_the_same_person_as_the_source_s_id(home: Home):
    by_id = traces(home, busiest(home))
    by_pseudonym = erasure.traces_of(home.doors, "user", by_id.pseudonyms[0])
    assert by_pseudonym == by_id


def test_rows_under_pseudonyms_of_another_key_are_found_by_the_source_s_session_ids(home: Home, tmp_path: Path):
    user = busiest(home)
    known = traces(home, user)
    with home.copy(tmp_path / "other", pseudonym_key="another key than the rows were written with") as other:
        found = erasure.traces_of(other.doors, "user", user)
        stored = {row["session_id"] for row in home.rows(RawSession) if row["user_id"] in known.users}
        assert stored <= set(found.sessions)
        assert erasure.erase(other.doors, found).found == 0
        # Users' hashes of word support are under the lasting key, which a rotation leaves as it is.
        assert left(other, replace(known, user_hashes=())) == 0


def test_an_organisation_goes_with_everybody_in_it(home: Home):
    source = home.doors["session_source"]
    organizations = {
        item.organization_id
        for day in source.days()
        for item in source.sessions(day)
        if not isinstance(item, Rejected) and item.organization_id
    }
    found = erasure.traces_of(home.doors, "organization", min(organizations))
    assert found.users
    assert erasure.erase(home.doors, found).found == 0
    assert left(home, found) == 0
    others = erasure.traces_of(home.doors, "organization", max(organizations))
    assert others.sessions


def test_a_plan_counts_what_an_erasure_takes_and_changes_nothing(home: Home):
    found = traces(home, busiest(home))
    tables = home.tables(FIRST_DAY, LAST_DAY)
    planned = erasure.planned(home.doors, found).counts
    assert home.tables(FIRST_DAY, LAST_DAY) == tables
    done = erasure.erase(home.doors, found).counts
    shared = set(planned) & set(done) - set(RECOUNTED)
    assert "raw_sessions" in shared
    assert {name: planned[name] for name in shared} == {name: done[name] for name in shared}


class _Killed(BaseException):
    """Not an Exception: nothing may catch it and tidy up."""


def breaking_after_unseen(seen: set[str]) -> Callable[[str], None]:
    """Breaks off after the first step of a sort that no earlier call broke off after."""

    def checkpoint(step: str) -> None:
        sort = step.partition(" 2026")[0]
        if sort not in seen:
            seen.add(sort)
            raise _Killed(sort)

    return checkpoint


def test_an_erasure_that_breaks_off_after_every_step_is_finished_by_the_next_call(lived: Home, tmp_path: Path):
    with lived.copy(tmp_path / "whole") as home:
        found = traces(home, busiest(home))
        steps: list[str] = []
        erasure.erase(home.doors, found, steps.append)
        whole = home.tables(FIRST_DAY, LAST_DAY)
    seen: set[str] = set()
    with lived.copy(tmp_path / "killed") as home:
        waiting = found
        while True:
            try:
                done = erasure.erase(home.doors, waiting, breaking_after_unseen(seen))
                break
            except _Killed:
                [waiting] = erasure.unfinished(home.settings)
                assert waiting == found
        assert seen == {step.partition(" 2026")[0] for step in steps}
        assert len(seen) > 20
        assert done.found == 0
        assert home.tables(FIRST_DAY, LAST_DAY) == whole
        assert left(home, found) == 0
        assert not erasure.unfinished(home.settings)


CHILD = """
import os, signal, sys
from pathlib import Path
from signals_assets.resources import erasure, resources_for
from signals_assets.settings import Settings

doors = resources_for(Settings())
def checkpoint(step):
    if step.startswith("detections"):
        os.kill(os.getpid(), signal.SIGKILL)
erasure.erase(doors, erasure.traces_of(doors, "user", sys.argv[1]), checkpoint)
"""


def test_a_process_that_is_killed_leaves_an_erasure_that_the_next_one_finishes(home: Home):
    assert home.world is not None
    user = busiest(home)
    found = traces(home, user)
    environment = os.environ | {
        "SIGNALS_HOME": str(home.folder), "SIGNALS_SESSIONS": f'["{home.world / "sessions"}"]',
        "SIGNALS_RECORDS": str(home.world / "records"), "SIGNALS_EMBEDDER": "none",
        "SIGNALS_PSEUDONYM_KEY": home.settings.pseudonym_key.get_secret_value(),  # type: ignore[union-attr]
    }  # fmt: skip
    killed = subprocess.run([sys.executable, "-c", CHILD, user], env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert left(home, found) > 0
    [waiting] = erasure.unfinished(home.settings)
    assert erasure.erase(home.doors, waiting).found == 0
    assert left(home, found) == 0
