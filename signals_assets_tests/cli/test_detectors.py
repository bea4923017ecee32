"""`signals detectors`: the registry and its document say the same, and figures come only from a real measurement."""

import ast
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from signals_assets.cli import detectors
from signals_assets.core import detectors as registry
from signals_assets.core.detectors import DETECTORS, Detector
from signals_assets.core.detectors.turns import Learned
from signals_assets.core.taxonomy import seed

ROOT = Path(__file__).parents[2]
SCORES = {"precision": 0.8, "recall": 0.6, "f1": 0.686, "f1_interval": [0.5, 0.8], "hits": 6, "found": 8, "true": 10}


def measurement(**over):
    types = {
        "error_event": {"positives": 12, "provisional": False, "sessions": SCORES, "moments": SCORES | {"f1": 0.41}},
        "other": {"positives": 3, "provisional": True, "sessions": SCORES, "moments": SCORES},
        "time_saved": {"positives": 0, "provisional": True, "sessions": SCORES | {"f1": None}, "moments": SCORES},
    }
    block = {
        "labels": "sheets.jsonl", "kind": "whole sessions", "sheets": 30, "sessions": 28,
        "readers": {"level": "sessions", "types": {"error_event": 0.88}, "outcome": 0.8}, "rules": {"types": types},
        "languages": {"en": 25, "de": 3}, "naive": {}, "sheets_without_session": 0,
    }  # fmt: skip
    parameters = {"source": "given sessions", "quick": False, "min_confidence": 0.5, "resamples": 2000, "seed": 0}
    return {"parameters": parameters | over, "labels": [block], "rewards": None, "speed": {}}


@pytest.fixture
def figures_file(tmp_path, monkeypatch):
    """A place for figures that is not the package."""
    monkeypatch.setattr(detectors, "files", lambda package: tmp_path)
    return tmp_path / detectors.QUALITY


def run(*arguments, code=0):
    done = CliRunner().invoke(detectors.command, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done.output


def test_the_committed_document_is_what_the_command_prints():
    assert (ROOT / "docs" / "detectors.md").read_text() == run("--markdown")


def test_the_table_lists_every_detector():
    output = run()
    for detector in DETECTORS:
        assert detector.type in output


def test_every_detector_says_what_it_looks_at_and_ignores_in_the_document():
    text = run("--markdown")
    for detector in DETECTORS:
        section = text.partition(f"## {detector.type}\n")[2].partition("\n## ")[0]
        assert detector.looks_at in section
        assert detector.ignores in section
        assert ("every language" in section) == detector.structural


def test_without_a_measurement_it_says_so(figures_file):
    assert "not measured yet" in run()
    assert "Not measured yet." in run("--markdown")


def test_figures_are_taken_from_a_benchmark_and_stay(figures_file, tmp_path):
    given = tmp_path / "benchmark.json"
    given.write_text(json.dumps(measurement()))
    text = run("--measured", given, "--markdown")
    assert "| error_event | 12 | 0.69 [0.50, 0.80] | 0.41 [0.50, 0.80] | 0.88 |" in text
    assert "| other | 3 * |" in text
    assert "| time_saved | 0 * | – | – | – |" in text
    assert "30 sheets of 28 sessions (by language: en 25, de 3)" in text
    given.unlink()
    assert run("--markdown") == text
    kept = json.loads(figures_file.read_text())
    assert kept["labels"][0]["types"]["other"]["provisional"] is True
    assert "0.69 [0.50, 0.80]" in run()


@pytest.mark.parametrize("over", [{"quick": True}, {"source": "simulation (proves plumbing only)"}])
def test_a_rough_or_made_up_run_is_refused(figures_file, tmp_path, over):
    given = tmp_path / "benchmark.json"
    given.write_text(json.dumps(measurement(**over)))
    assert "says nothing" in run("--measured", given, code=1)
    assert not figures_file.exists()


@pytest.mark.parametrize("data", ["[1]", "{}", "not json", '{"parameters": {"source": "given sessions"}}'])
def test_any_other_file_is_refused(figures_file, tmp_path, data):
    given = tmp_path / "benchmark.json"
    given.write_text(data)
    assert "was not written by" in run("--measured", given, code=1)
    assert not figures_file.exists()


def test_the_committed_figures_hold_numbers_and_known_names_only():
    kept = detectors.quality()
    known = {detector.type for detector in DETECTORS}
    for block in kept["labels"]:
        assert set(block) == {"labels", "kind", "sheets", "sessions", "languages", "readers", "types"}
        assert set(block["types"]) <= known


def test_every_detector_has_its_type_in_the_taxonomy():
    taxonomy = seed()
    for detector in DETECTORS:
        assert detector.type in taxonomy.slugs(detector.kind), detector


def test_every_built_in_type_has_its_detector():
    taxonomy = seed()
    found = {(detector.kind, detector.type) for detector in DETECTORS}
    assert found == {(kind, slug) for kind in ("friction", "delight") for slug in taxonomy.slugs(kind)}


def test_every_file_that_defines_a_detector_is_registered_and_named_by_its_type():
    defined = {}
    for path in Path(registry.__file__).parent.glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            bases = {base.id for base in getattr(node, "bases", []) if isinstance(base, ast.Name)}
            if (
                isinstance(node, ast.ClassDef)
                and bases & {Detector.__name__, Learned.__name__}
                and node.name != "Learned"
            ):
                defined[node.name] = path.stem
    assert defined == {detector.__name__: detector.type for detector in DETECTORS}
