"""`signals fit`: from a handful of made sessions to a file of numbers."""

import json
import re
from dataclasses import replace

import pytest

from signals_assets.core.detectors.models import digest, linear
from signals_assets.core.detectors.turns import FEATURES
from signals_assets.core.sessions import to_json
from signals_assets_tests.core.detectors.script import agent, edit, session, user

SECRET = "zanzibar"
PERSONS = ("ann", "bob", "cem", "dora")


@pytest.fixture
def made(tmp_path):
    """Sessions of four persons, each with a correction at step 4, and their sheets."""
    told = session(
        user(f"write a page on {SECRET}"), edit("a"), agent(),
        user(f"that is still wrong, {SECRET} does not show"), edit("b"), agent("Ready."), user("now add a title"),
    )  # fmt: skip
    sessions = [replace(told, session_id=f"{SECRET}-{who}", user_id=who) for who in PERSONS]
    sheets = [
        {
            "session_id": found.session_id,
            "friction": [{"type": "correction", "steps": [4], "description": f"{SECRET} was missing"}],
        }
        for found in sessions
    ]
    (tmp_path / "sessions.jsonl").write_bytes(b"\n".join(map(to_json, sessions)))
    (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, sheets)))
    return tmp_path


def given(folder, **over):
    paths = {"sessions": folder / "sessions.jsonl", "labels": folder / "labels.jsonl"} | over
    return [part for name, path in paths.items() for part in (f"--{name}", path)]


def test_a_model_is_fitted_and_its_figures_are_on_persons_it_had_not_seen(signals, made):
    output = signals("fit", "correction", *given(made)).stdout
    assert "turns of persons the model had not seen" in output
    names, values = (line.split() for line in output.splitlines()[1:3])
    assert dict(zip(names, values, strict=True)) == {
        "turns": "12", "positives": "4", "sessions": "4", "persons": "4", "precision": "1", "recall": "1", "f1": "1",
    }  # fmt: skip


def test_what_is_written_is_a_model_with_its_card_and_nothing_of_a_text(signals, made):
    target = made / "model.json"
    done = signals("fit", "correction", *given(made), "--to", target)
    assert f"written to {target}" in done.stderr
    text = target.read_text()
    assert SECRET not in text
    stored = json.loads(text)
    assert linear(stored, FEATURES).sessions == {digest(f"{SECRET}-{who}") for who in PERSONS}
    card = stored["card"]
    assert (card["data"], card["agents"]) == ("labels.jsonl", {"helper": 4})
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", card["fitted"])
    assert card["by_turn_on_unseen_persons"]["turns"] == 12


def test_without_a_file_nothing_is_written(signals, made):
    before = sorted(made.iterdir())
    signals("fit", "correction", *given(made))
    assert sorted(made.iterdir()) == before


def test_labels_without_a_moment_of_the_type_are_refused(signals, made):
    (made / "none.jsonl").write_text(json.dumps({"session_id": f"{SECRET}-ann", "friction": []}))
    refused = signals("fit", "correction", *given(made, labels=made / "none.jsonl"), "--to", made / "model", code=1)
    assert "none.jsonl: fitting needs labelled turns of at least two persons" in refused.stderr
    assert not (made / "model").exists()


@pytest.mark.parametrize("line", [f"{SECRET}", '{"session_id": "a"}'])
def test_a_line_that_is_no_sheet_is_named_by_its_number(signals, made, line):
    (made / "bad.jsonl").write_text(line)
    refused = signals("fit", "correction", *given(made, labels=made / "bad.jsonl"), code=1)
    assert "bad.jsonl, line 1" in refused.stderr
    assert SECRET not in refused.stderr.replace(str(made), "")


def test_unknown_models_and_missing_files_are_refused(signals, made):
    assert "correction" in signals("fit", "patience", *given(made), code=2).stderr
    assert "does not exist" in signals("fit", "correction", *given(made, labels=made / "gone"), code=2).stderr
