"""What stopped runs of `signals analyze` left is removed by age, by erasure, and only there."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from signals_assets.resources.stopped_runs import NAME, remove_stopped_runs
from signals_assets.settings import Settings

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path):
    settings = Settings(home=tmp_path)
    for name, days in (("old", 20), ("mixed", 20), ("new", 1)):
        folder = settings.restricted / NAME / name / "outbox"
        folder.mkdir(parents=True)
        (folder / "lines.jsonl").write_text("what somebody said")
        at = (NOW - timedelta(days=days)).timestamp()
        for path in (folder / "lines.jsonl", folder, folder.parent):
            os.utime(path, (at, at))
    os.utime(settings.restricted / NAME / "mixed" / "outbox" / "lines.jsonl", (NOW.timestamp(),) * 2)
    (settings.restricted / "other.txt").write_text("stays")
    return settings


def left(settings):
    return sorted(path.name for path in (settings.restricted / NAME).glob("*"))


def test_only_what_nobody_went_on_with_expires(settings):
    before = NOW - timedelta(days=14)
    assert remove_stopped_runs(settings, before, dry_run=True) == 1
    assert left(settings) == ["mixed", "new", "old"]
    assert remove_stopped_runs(settings, before) == 1
    assert left(settings) == ["mixed", "new"]


def test_all_of_it_can_be_removed_and_nothing_else_is(settings):
    assert remove_stopped_runs(settings) == 3
    assert remove_stopped_runs(settings) == 0
    assert (settings.restricted / "other.txt").exists()


def test_a_home_without_any_has_nothing_to_remove(tmp_path):
    assert remove_stopped_runs(Settings(home=tmp_path / "none")) == 0


def test_retention_and_erasure_remove_them(settings, monkeypatch):
    from signals_assets.core.erasure import Traces
    from signals_assets.resources import resources_for
    from signals_assets.resources.erasure import erase, traces_of
    from signals_assets.resources.retention import expire

    doors = resources_for(Settings(home=settings.home, embedder="none"))
    removed = {item.what: item.removed for item in expire(doors, NOW.date())}
    assert removed["stopped runs of signals analyze"] == 1
    traces = traces_of(doors, "user", "ann")
    assert isinstance(traces, Traces)
    assert erase(doors, traces).counts["stopped runs of signals analyze"] == 2
    assert left(settings) == []
