import gzip
import json

import pytest

from signals_assets.benchmarks.detectors import run
from signals_assets.core.sessions import from_json
from signals_assets_tests.core.detectors.script import agent, edit, session, shell, user


def sheet(friction, outcome="success"):
    return {"session_id": "one", "friction": friction, "delight": [], "outcome": outcome, "specification_drift": False}


def test_figures_compare_sessions_and_moments_beside_a_baseline():
    found = session(user("build it"), shell("a", "make | tail", "make: *** boom"), edit("b"), agent())
    figures = run([found], [sheet([{"type": "error_event", "steps": [2]}])])
    errors = figures["types"]["error_event"]
    assert errors["rules"]["f1"] == errors["rules"]["moment_f1"] == 1
    assert errors["naive"]["f1"] == 0
    assert figures["sheets"] == 1


def test_reported_defects_are_other_where_the_labels_know_no_correction():
    found = session(user("build it"), edit("a"), agent(), user("the header is still wrong, it does not show"))
    figures = run([found], [sheet([{"type": "other", "steps": [4]}])])
    assert figures["types"]["other"]["rules"]["moment_f1"] == 1
    assert "correction" not in figures["types"]


@pytest.mark.data
def test_on_real_sessions_the_floors_of_reading_status_fields_hold(data_dir):
    with gzip.open(data_dir / "coding_sessions.jsonl.gz") as lines:
        sessions = [from_json(line) for line in lines]
    labels = [json.loads(line) for line in (data_dir / "gold_labels.jsonl").open()]
    types = run(sessions, labels)["types"]
    assert types["error_event"]["rules"]["f1"] >= 0.87
    assert types["abandoned_tool_flow"]["rules"]["f1"] >= 0.93
