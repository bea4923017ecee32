"""`signals simulate` and `signals benchmark`."""

import json
from pathlib import Path

import pytest


def contents(folder: Path):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(signals, tmp_path):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        output = signals(
            "simulate", "--out", tmp_path / name, "--days", 2, "--sessions-per-day", 6, "--seed", seed
        ).output
        assert "sessions" in output
    one, again, other = (contents(tmp_path / name) for name in ("one", "again", "other"))
    assert one == again
    assert one != other
    assert any(name.startswith("sessions/") for name in one)


def test_simulated_facts_as_json_are_those_on_disk(signals, tmp_path):
    signals("simulate", "--out", tmp_path / "world", "--days", 2, "--sessions-per-day", 6, "--json", tmp_path / "f")
    facts = json.loads((tmp_path / "f").read_bytes())
    truth = (tmp_path / "world" / "truth" / "sessions.jsonl").read_bytes().splitlines()
    assert facts["sessions"] == len(truth) > 0


def test_a_benchmark_prints_its_parameters_and_writes_them(signals, tmp_path):
    output = signals("benchmark", "detectors", "--quick", "--json", tmp_path / "result.json").output
    assert output.startswith("parameters: source=simulation (proves plumbing only), seed=0, quick=True")
    found = json.loads((tmp_path / "result.json").read_bytes())
    assert found["parameters"]["sessions"] > 0
    assert all(name in output for name, row in found["types"].items() if row["rules"]["positives"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["nonsense"], "nonsense"), (["detectors", "--sessions", "."], "--sessions and --labels go together")],
)
def test_wrong_arguments_of_a_benchmark_are_refused(signals, arguments, said):
    assert said in signals("benchmark", *arguments, code=2).output
