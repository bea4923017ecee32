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
    arguments = ["--json", tmp_path / "result.json", "--disagreements", tmp_path / "different.jsonl"]
    output = signals("benchmark", "detectors", "--quick", *arguments).output
    assert "parameters: source=simulation (proves plumbing only), seed=0, quick=True" in output
    found = json.loads((tmp_path / "result.json").read_bytes())
    assert found["parameters"]["sessions"] > 0
    (block,) = found["labels"]
    assert all(name in output for name, row in block["rules"]["types"].items() if row["positives"])
    different = (tmp_path / "different.jsonl").read_bytes().splitlines()
    assert f"{len(different)} disagreements" in output


@pytest.fixture
def sheets(signals, tmp_path):
    """A simulated world with sheets of its sessions and a reward for each."""
    signals("simulate", "--out", tmp_path / "world", "--days", 2, "--sessions-per-day", 6)
    truth = [json.loads(line) for line in (tmp_path / "world" / "truth" / "sessions.jsonl").open()]
    rewards = [{"session_id": row["session_id"], "reward": int(row["outcome"] == "success")} for row in truth]
    for name, rows in (("labels.jsonl", truth), ("rewards.jsonl", rewards)):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_rewards_are_measured_without_labels(signals, sheets):
    given = ["--sessions", sheets / "world" / "sessions", "--rewards", sheets / "rewards.jsonl"]
    output = signals("benchmark", "detectors", "--quick", *given).output
    assert "Outcome success against true reward" in output
    assert "on moments" not in output
    assert "standard sessions per second" in output


def test_files_of_labels_are_printed_one_by_one(signals, sheets):
    (sheets / "more.jsonl").write_text((sheets / "labels.jsonl").read_text().splitlines()[0])
    files = ["--labels", sheets / "labels.jsonl", "--labels", sheets / "more.jsonl"]
    output = signals("benchmark", "detectors", "--quick", "--sessions", sheets / "world" / "sessions", *files).output
    assert all(name in output for name in ("labels.jsonl (", "more.jsonl (", "measured in en: "))


def test_a_line_that_is_no_sheet_is_named_and_not_quoted(signals, sheets):
    (sheets / "broken.jsonl").write_text('\n{"session_id": "secret"}\n')
    given = ["--sessions", sheets / "world" / "sessions", "--labels", sheets / "broken.jsonl"]
    output = signals("benchmark", "detectors", *given, code=1).output
    assert "broken.jsonl, line 2: not a JSON object with session_id and friction" in output
    assert "secret" not in output


def test_rewards_of_none_of_the_sessions_are_refused(signals, sheets):
    (sheets / "others.jsonl").write_text('{"session_id": "x", "reward": 1}')
    given = ["--sessions", sheets / "world" / "sessions", "--rewards", sheets / "others.jsonl"]
    assert "none of its sessions is among --sessions" in signals("benchmark", "detectors", *given, code=1).output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "nonsense"),
        (["detectors", "--sessions", "."], "--sessions needs --labels or --rewards"),
        (["detectors", "--rewards", "README.md"], "--sessions needs --labels or --rewards"),
        (["detectors", "--sessions", ".", "--rewards", "README.md", "--disagreements", "x"], "give --labels too"),
        (["speed", "--sizes", "100,many"], "whole numbers from 20 on"),
        (["speed", "--sizes", "19"], "whole numbers from 20 on"),
        (["speed", "--sessions", "README.md"], "--sessions goes with --part analysis"),
    ],
)
def test_wrong_arguments_of_a_benchmark_are_refused(signals, arguments, said, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    assert said in signals("benchmark", *arguments, code=2).output


def test_the_census_prints_its_tables_and_ends_with_an_error_when_a_gate_does_not_hold(signals, monkeypatch):
    import signals_assets.benchmarks.privacy as privacy

    def run(**_):
        census = {"census": "leaking", "canaries": 200, "leaks": {"tickets": {"plain": 3}}, "search_mb_per_second": 9.0}
        barrier = {
            "texts": {"plain": 5}, "admitted": {"form": {}}, "checks_per_second": 1, "honest_checks_per_second": 1,
            "support": {"mb_per_second": 1.0}, "honest": {},
        }  # fmt: skip
        gates = [{"gate": "tickets, any form, per 10,000", "measured": 150.0, "at most": 0.0, "holds": False}]
        return {"parameters": {"seed": 0}, "censuses": [census], "barrier": barrier, "gates": gates, "unproven": []}

    monkeypatch.setattr(privacy, "run", run)
    output = signals("benchmark", "privacy", code=1).output
    assert "150" in output
    assert "gate: tickets" in output


def test_the_speed_of_a_day_is_printed_by_size_and_stage(signals, monkeypatch):
    from signals_assets.benchmarks import speed_day

    asked = []

    def run(**given):
        asked.append(given)
        figures = {"seconds": 1.0, "processor_seconds": 2.0, "peak_megabytes": 300.0}
        day = figures | {
            "sessions": 1_000, "megabytes": 60.0, "workers": 0, "model_seconds": 4.0, "between_steps": 0.5,
            "cores_busy_with_other_work": 0.1, "stages": {"metrics": figures},
        }  # fmt: skip
        return {
            "parameters": {"seed": 0}, "days": [day], "baselines": [day | {"workers": 1}],
            "exponents": [{"stage": "all", "all sizes": 0.9}],
            "ui": {"seconds": None, "processor_seconds": None, "note": "no extra `ui`"},
            "import": {"seconds": 1.2, "processor_seconds": 1.1, "megabytes": 99.0},
            "gates": [{"gate": "seconds of the day", "measured": 700, "at most": 600, "holds": False}],
        }  # fmt: skip

    monkeypatch.setattr(speed_day, "run", run)
    output = signals("benchmark", "speed", "--sizes", "1000,100,1000", code=1).output
    assert asked == [{"quick": False, "seed": 0, "sizes": (100, 1_000)}]
    assert "gate: seconds of the day" in output
    assert "no extra `ui`" in output
    metrics = next(line.split() for line in output.splitlines() if line.startswith("metrics"))
    assert metrics == ["metrics", "1", "2", "300"]


def test_the_benchmark_of_the_loop_prints_every_set_of_words(signals, monkeypatch):
    """Worlds of the other parts take their time and have tests of their own."""
    from signals_assets.benchmarks import loop_diagnosis, loop_fixes, loop_thresholds

    share = {"share": 0.9, "low": 0.8, "high": 0.95, "worlds": 10}
    planted = [{"plant": "a slow tool", "right": "component", "named": {"component": 9, "none": 1}}]
    diagnosed = {"lever_right": share, "cannot_say_right": share, "by_plant": planted, "gates": []}
    sorts = [{"does": "harms", "verdicts": {"regressed": 3}}]
    monkeypatch.setattr(loop_diagnosis, "diagnosis", lambda *_: diagnosed)
    monkeypatch.setattr(loop_fixes, "fixes", lambda *_: {"wrong": 0, "by_sort": sorts, "gates": []})
    monkeypatch.setattr(loop_thresholds, "thresholds", lambda *_: {"rises": 0, "gates": []})
    output = " ".join(signals("benchmark", "loop", "--quick").output.split())
    assert "words of tuning" in output
    assert "fresh words" in output
    assert "component 9, none 1" in output
    assert "regressed 3" in output
