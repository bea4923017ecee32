"""`signals erase` and `signals retention`, as a person runs them."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from signals_assets.resources import erasure, resources_for
from signals_assets.settings import Settings
from signals_assets_tests.home import KEY, Home

Run = Callable[..., Result]


@pytest.fixture
def settled(lived: Home, lived_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lived home with its own source and key, as signals.toml would give them."""
    assert lived.world is not None
    monkeypatch.setenv("SIGNALS_SESSIONS", json.dumps([str(lived.world / "sessions")]))
    monkeypatch.setenv("SIGNALS_RECORDS", str(lived.world / "records"))
    monkeypatch.setenv("SIGNALS_PSEUDONYM_KEY", KEY)
    return lived_home


def somebody() -> str:
    """A user by the pseudonym, from the tables."""
    rows = resources_for(Settings())["warehouse"].query(
        "select user_id, count(*) as n from session_metrics where user_id is not null group by 1 order by 2 desc, 1"
    )
    user: str = rows.to_pylist()[0]["user_id"]
    return user


def test_a_dry_run_says_what_would_go_and_changes_nothing(settled: Path, signals: Run, tmp_path: Path):
    user = somebody()
    told = tmp_path / "told.json"
    output = signals("erase", "--user", user, "--dry-run", "--json", told).output
    assert "Would go" in output
    assert "Nothing was changed" in output
    assert json.loads(told.read_bytes())[0]["counts"]["raw_sessions"] > 0
    assert somebody() == user


def test_a_person_is_erased_and_the_search_is_told(settled: Path, signals: Run):
    user = somebody()
    output = signals("erase", "--user", user).output
    assert "Found where nothing may remain: 0." in output
    assert "warehouse/abstracted" in output
    assert "Published days stay" in output
    assert somebody() != user
    assert "nobody by this id" in signals("erase", "--user", user).output


def test_what_remains_elsewhere_is_found_and_makes_the_command_fail(settled: Path, signals: Run):
    user = somebody()
    (settled / "notes.txt").write_text(f"ask {user} about it\n")
    output = signals("erase", "--user", user, code=1).output
    assert "Found where nothing may remain: 1." in output
    (settled / "notes.txt").unlink()
    assert "Found where nothing may remain: 0." in signals("erase", "--user", user).output


def test_a_killed_erasure_is_finished_without_naming_the_person_again(settled: Path, signals: Run):
    doors = resources_for(Settings())

    def die(step: str) -> None:
        if step == "spool":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        erasure.erase(doors, erasure.traces_of(doors, "user", somebody()), die)
    assert "wait to be finished" in signals("erase", "--user", "someone-else", "--dry-run").output
    output = signals("erase").output
    assert "is finished first" in output
    assert "Found where nothing may remain: 0." in output
    signals("erase", code=2)


def test_one_person_or_one_organisation_at_a_time(settled: Path, signals: Run):
    signals("erase", "--user", "a", "--organization", "b", code=2)


def test_retention_prints_what_it_removed_by_table(settled: Path, signals: Run, tmp_path: Path):
    for path in (settled / "warehouse/restricted/raw_sessions").glob("????-*.parquet"):
        os.utime(path, (1_000_000, 1_000_000))
    told = tmp_path / "told.json"
    assert "Has expired" in signals("retention", "--dry-run").output
    assert "Removed" in signals("retention", "--json", told).output
    removed = {row["what"]: row["removed"] for row in json.loads(told.read_bytes())}
    assert removed["raw_sessions"] == 4
    assert not list((settled / "warehouse/restricted/raw_sessions").glob("????-*.parquet"))
