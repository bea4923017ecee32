"""The demo: whose home it may clear, what it writes there, and one's own sessions through the graph."""

import json
import tomllib
from datetime import date, timedelta

import click
import pytest

from signals_assets.cli import demo
from signals_assets.resources import resources_for
from signals_assets.settings import Settings
from signals_assets.tables import FrictionRate
from signals_assets_tests.factories import row_values

DAY = date(2026, 1, 5)


def days(*offsets):
    return [DAY + timedelta(days=offset) for offset in offsets]


def test_a_home_that_does_not_exist_is_made_and_marked(tmp_path):
    demo._make_room(tmp_path / "home")
    assert (tmp_path / "home" / "signals.toml").read_text() == demo.MARK


def test_what_an_earlier_demo_left_is_removed(tmp_path):
    home = tmp_path / "home"
    demo._make_room(home)
    (home / "warehouse").mkdir()
    (home / "warehouse" / "old.parquet").touch()
    demo._make_room(home)
    assert [path.name for path in home.iterdir()] == ["signals.toml"]


@pytest.mark.parametrize("name", ["thesis.docx", "warehouse/published/friction_rates/2026-01-05.parquet"])
def test_a_folder_that_holds_something_else_is_refused_and_kept(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("years of work")
    with pytest.raises(click.ClickException, match="holds something else; set SIGNALS_HOME"):
        demo._make_room(tmp_path)
    assert (tmp_path / name).read_text() == "years of work"


def test_somebodys_own_settings_are_refused_and_kept(tmp_path):
    (tmp_path / "signals.toml").write_text('audience = "team"\n')
    with pytest.raises(click.ClickException, match="was not written by the demo"):
        demo._make_room(tmp_path)
    assert (tmp_path / "signals.toml").read_text() == 'audience = "team"\n'


def test_a_home_that_was_only_looked_at_is_free(signals, empty_home):
    for looking in (["doctor"], ["report"], ["tickets"], ["taxonomy", "list"]):
        signals(*looking)
    demo._make_room(empty_home)
    assert [path.name for path in empty_home.iterdir()] == ["signals.toml"]


def test_a_home_with_a_persons_decision_or_a_stored_day_is_not_free(signals, empty_home):
    signals("taxonomy", "retire", "friction", "context_churn")
    with pytest.raises(click.ClickException, match="holds something else"):
        demo._make_room(empty_home)


def test_a_home_with_a_stored_day_is_not_free(empty_home):
    row = FrictionRate(**row_values(FrictionRate))
    resources_for(Settings())["warehouse"].replace(FrictionRate, row.day, [row])
    with pytest.raises(click.ClickException, match="holds something else"):
        demo._make_room(empty_home)


def test_settings_are_written_as_toml_that_reads_back(tmp_path):
    values = {
        "path": 'C:\\a "quoted" folder', "day": DAY, "yes": True, "share": 0.2, "count": 3, "names": ["a", "b"],
        "thresholds": {"ceilings": {"error_event": 0.2}, "act_within_days": 7},
        "components": {"parts": ["x", "y"]},
    }  # fmt: skip
    lines = [f"{name} = {demo._toml(value)}" for name, value in values.items()]
    assert tomllib.loads("\n".join(lines)) == values


def test_the_configuration_reads_back_as_the_settings_meant(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGNALS_HOME", str(tmp_path))
    demo._configure(tmp_path, {"audience": "team", "start_day": DAY, "selection": {"min_steps": 3}})
    text = (tmp_path / "signals.toml").read_text()
    assert text.startswith(demo.MARK)
    settings = Settings(home=tmp_path, **tomllib.loads(text))
    assert (settings.audience, settings.start_day, settings.selection.min_steps) == ("team", DAY, 3)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        (days(0), [(0, 0)]),
        (days(0, 1, 8), [(0, 8)]),
        (days(0, 8), [(0, 0), (8, 8)]),
        (days(0, 3, 40, 41, 400), [(0, 3), (40, 41), (400, 400)]),
    ],
)
def test_spans_cover_every_day_with_sessions_and_leave_out_long_gaps(given, expected):
    assert demo._spans(given) == [tuple(days(*pair)) for pair in expected]


def test_what_became_of_the_records_is_told_by_fate_the_most_frequent_first():
    counts = {
        "files": 2, "records": 9, "records_without_step.progress": 1, "records_without_step.summary": 4,
        "files_passed_over.too_small": 3, "rejected.invalid_json": 2, "sessions_without_steps": 1,
    }  # fmt: skip
    assert demo._told(counts) == [
        "9 records in 2 files",
        "records that are no step: 4 summary, 1 progress",
        "files passed over: 3 too_small",
        "set aside: 2 invalid_json",
        "sessions without steps: 1",
    ]


@pytest.mark.parametrize("wrong", ["folder", "folder:x", "nowhere:1", "setting:", ""])
def test_a_wrong_origin_of_users_is_refused_before_anything_is_touched(signals, empty_home, tmp_path, wrong):
    output = signals("demo", "--sessions", tmp_path, "--user-from", wrong, code=2).output
    assert "folder:LEVEL" in output
    assert not empty_home.exists()


def test_the_demo_does_not_write_to_a_shared_ledger(signals, empty_home, monkeypatch):
    monkeypatch.setenv("SIGNALS_LEDGER_URL", "sqlite:////somewhere/shared.db")
    assert "unset ledger_url" in signals("demo", code=1).output
    assert not empty_home.exists()


def test_a_file_without_sessions_is_told_and_the_demo_can_be_tried_again(signals, empty_home, tmp_path):
    (tmp_path / "notes.jsonl").write_text('{"neither": "this"}\nnor that\n')
    for _ in range(2):
        output = signals("demo", "--sessions", tmp_path / "notes.jsonl", code=1).output
        assert "in 1 files" in output
        assert "set aside: " in output
        assert "no session could be read" in output


@pytest.mark.data
@pytest.mark.slow
def test_real_codex_rollouts_go_through_the_graph(signals_apart, data_dir, tmp_path):
    found = tmp_path / "found.json"
    output = signals_apart("demo", "--sessions", data_dir / "raw_codex", "--json", found)
    assert "records that are no step: " in output
    [sessions] = json.loads(found.read_bytes())["sessions"]
    assert sessions["read"] == sessions["analysed"] == 4
    assert sessions["set_aside"] == 0
    assert (tmp_path / "home" / "reports" / "latest.html").stat().st_size > 1000
