"""`signals compare`: cohorts from files, verdicts as a table and as JSON, errors that say what to do."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from signals_assets.cli import compare
from signals_assets.core.sessions import Agent, to_json
from signals_assets_tests.core.detectors.script import agent, session, shell, user

CALM = (shell("a", "make", "done"), agent("It is built."))
BROKEN = (shell("a", "make", "make: *** boom", "error"), agent("It failed."))


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def write(name, version, parts, count=40, start=0):
    lines = []
    for number in range(start, start + count):
        told = session(user("please build it"), *parts)
        told.session_id, told.user_id, told.agent = f"{version}-{number}", None, Agent("helper", version, "m")
        lines.append(to_json(told) + b"\n")
    with Path(name).open("ab") as file:
        file.write(b"".join(lines))


def outcomes(name="outcomes.jsonl", versions=("1", "2"), count=40, task=True, reward=lambda version, n: version == "2"):
    with Path(name).open("w") as file:
        for version in versions:
            for n in range(count):
                told = {"session_id": f"{version}-{n}", "reward": int(reward(version, n))}
                file.write(json.dumps(told | ({"task_id": n} if task else {})) + "\n")
    return name


def run(*arguments, code=0):
    result = CliRunner().invoke(compare.command, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


def verdicts(data):
    return {(row["what"], row["name"]): row["verdict"] for row in data["verdicts"]}


def test_two_files_with_outcomes_are_paired_by_task(tmp_path):
    write("old.jsonl", "1", BROKEN)
    write("new.jsonl", "2", CALM)
    said = run("old.jsonl", "new.jsonl", "--outcomes", outcomes(), "--json", "out.json")
    assert "paired by task: 40 tasks in both cohorts" in said
    data = json.loads((tmp_path / "out.json").read_text())
    found = verdicts(data)
    assert found["reward", "reward"] == "improved"
    assert found["friction", "error_event"] == "improved"
    assert found["delight", "time_saved"] == "not enough data"
    assert data["family"] == {
        "comparisons": sum(row["q"] is not None for row in data["verdicts"]),
        "method": "Benjamini-Hochberg", "false_discovery_rate": 0.05,
    }  # fmt: skip


def test_one_file_gives_both_cohorts_by_version_and_json_alone_is_json():
    write("all.jsonl", "1", CALM)
    write("all.jsonl", "2", BROKEN)
    said = run("all.jsonl:agent.version=1", "all.jsonl:agent.version=2:agent.model=m", "--json", "-")
    data = json.loads(said)
    assert (data["pairing"], data["sessions"]) == ("session", {"before": 40, "after": 40})
    assert data["coverage"]["before"]["sessions_of_other_cohorts"] == 40
    assert verdicts(data)["friction", "error_event"] == "regressed"
    assert ("reward", "reward") not in verdicts(data)


def test_folders_are_cohorts_and_what_could_not_be_read_is_counted(tmp_path):
    for name, version in (("a", "1"), ("b", "2")):
        (tmp_path / name).mkdir()
        write(f"{name}/one.jsonl", version, CALM, 20)
        write(f"{name}/two.jsonl", version, CALM, 20, start=20)
    (tmp_path / "b" / "two.jsonl").open("ab").write(b'{"broken\n')
    data = json.loads(run("a", "b", "--json", "-"))
    assert data["sessions"] == {"before": 40, "after": 40}
    assert data["coverage"]["before"]["rejected"] == {}
    assert sum(data["coverage"]["after"]["rejected"].values()) == 1


def test_outcomes_that_fit_nothing_are_counted_and_sessions_without_one_too():
    write("old.jsonl", "1", CALM)
    write("new.jsonl", "2", CALM)
    data = json.loads(
        run("old.jsonl", "new.jsonl", "--outcomes", outcomes(versions=("1", "3"), count=30), "--json", "-")
    )
    coverage = data["coverage"]
    assert (coverage["before"]["without_outcome"], coverage["after"]["without_outcome"]) == (10, 40)
    assert coverage["outcomes_without_session"] == 30


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("old.jsonl:agent.version=9", "new.jsonl"), "none of 3 sessions has agent.version=9; there are 1"),
        (("old.jsonl:agent.colour=9", "new.jsonl"), "agent.colour chooses no cohort; use one of agent.version"),
        (("old.jsonl", "missing.jsonl"), "AFTER: "),
        (("old.jsonl", "old.jsonl"), "hold the same sessions"),
        (("old.jsonl", "new.jsonl", "--outcomes", "twice.jsonl"), "told about twice"),
        (("old.jsonl", "new.jsonl", "--outcomes", "word.jsonl"), "a reward is no finite number"),
        (("old.jsonl", "new.jsonl", "--outcomes", "short.jsonl"), "short.jsonl, line 1"),
    ],
)
def test_what_cannot_be_compared_says_what_to_do(tmp_path, arguments, said):
    write("old.jsonl", "1", CALM, 3)
    write("new.jsonl", "2", CALM, 3)
    line = {"session_id": "1-0", "reward": 1}
    (tmp_path / "twice.jsonl").write_text(2 * (json.dumps(line) + "\n"))
    (tmp_path / "word.jsonl").write_text(json.dumps(line | {"reward": "good"}))
    (tmp_path / "short.jsonl").write_text(json.dumps({"session_id": "1-0"}))
    assert said in run(*arguments, code=1)


def test_on_the_same_tasks_run_by_two_versions_the_true_rewards_bear_the_verdicts_out(data_dir):
    """sierra-research tau2-bench, 60 tasks on two models: 28 and 43 of them were truly solved, 18 only by the second,
    3 only by the first (exact McNemar p 0.0015)."""
    file = data_dir / "support_sessions.jsonl.gz"
    told = ["--outcomes", str(data_dir / "support_sessions_outcomes.jsonl"), "--json", "-"]
    first, second = f"{file}:agent.version=gpt-4.1", f"{file}:agent.version=gpt-4.1-sft"
    data = json.loads(run(first, second, *told))
    assert (data["pairing"], data["units"]) == ("task", {"before": 60, "after": 60, "in_both": 60})
    [reward] = [row for row in data["verdicts"] if row["what"] == "reward"]
    assert (reward["before"], reward["after"]) == (pytest.approx(28 / 60), pytest.approx(43 / 60))
    assert reward["verdict"] == "improved"
    assert reward["low"] < 15 / 60 < reward["high"]
    told_apart = {verdict for verdict in verdicts(data).values() if verdict in ("improved", "regressed")}
    assert told_apart == {"improved"}  # no verdict of friction, delight or outcome speaks against the rewards
    alone = json.loads(run(first, second, "--json", "-"))
    assert alone["pairing"] == "session"
    assert not {v for v in verdicts(alone).values() if v == "regressed"}
