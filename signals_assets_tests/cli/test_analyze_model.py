"""`signals analyze` with a language model: agreed to before anything leaves, paid once, nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from signals_assets.cli import asking
from signals_assets.core.sessions import to_json
from signals_assets.resources.requests import RequestLog
from signals_assets_tests.core.detectors.script import agent, edit, session, shell, user
from signals_assets_tests.fakes.openai_server import OpenAIServer

MODELS = {"openai": "gpt-5.2", "openai-compatible": "open-weights"}
PATHS = {"openai": "/v1/responses", "openai-compatible": "/v1/chat/completions"}
ROOT = str(Path(__file__).parents[2])
SECRET = "the garden party of aunt Wilhelmina is on Friday"


def line(number, extra=0):
    told = session(
        user(f"build module {number}, {SECRET}"), shell("a", "make", f"make: *** boom {number}", "error"), edit("b"),
        *[agent()] * (1 + extra),
    )  # fmt: skip
    told.session_id, told.user_id = f"session-{number}", f"user-{number}"
    return to_json(told) + b"\n"


@pytest.fixture
def server():
    with OpenAIServer() as server:
        yield server
        assert server.state.spec_violations == []


@pytest.fixture
def look(signals, empty_home, tmp_path, monkeypatch, server):
    """Runs `signals analyze` with a language model on sessions 0 to 8 (or on what stands in in.jsonl)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-tests")
    monkeypatch.setenv("SIGNALS_LANGUAGE_MODEL__CONCURRENCY", "1")
    monkeypatch.setenv("SIGNALS_PSEUDONYM_KEY", "a key for tests")
    (tmp_path / "in.jsonl").write_bytes(b"".join(line(n) for n in range(9)))

    def run(*arguments, analyst="openai", out="out", code=0):
        reach = ("--analyst", analyst, "--model", MODELS[analyst], "--base-url", server.url)
        return signals("analyze", "in.jsonl", "--out", out, *reach, *arguments, code=code).output

    return run


def coverage(out):
    return json.loads((out / "coverage.json").read_text())


def left_in(home):
    return [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize("audience", ["self", "team"])
@pytest.mark.parametrize("analyst", sorted(MODELS))
def test_the_same_files_as_with_the_rules_appear_and_nothing_stays_in_the_home(
    look, server, signals, tmp_path, empty_home, analyst, audience
):
    signals("analyze", "in.jsonl", "--out", "rules", "--audience", audience)
    output = look("--yes", "--audience", audience, analyst=analyst)
    found, by_rules = coverage(tmp_path / "out"), coverage(tmp_path / "rules")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        path.name for path in (tmp_path / "rules").iterdir()
    )
    assert found["sessions"] == by_rules["sessions"]
    assert found["stages"].keys() == by_rules["stages"].keys()
    for stage in found["stages"].values():
        parts = ("answered", "refused", "rejected", "failed")
        skipped = sum(n for name, n in stage.items() if name.startswith("skipped."))
        assert stage["asked"] == sum(stage[part] for part in parts) + skipped
    assert (found["parameters"]["analyst"], found["parameters"]["model"]) == (analyst, MODELS[analyst])
    assert found["cost"]["sessions"] == 9
    assert (found["cost"]["unpriced"] == 0) == (analyst == "openai")
    assert "cost" not in by_rules
    assert "What asking took" in output
    for name in ("session_metrics.jsonl", "detections.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "rules" / name).read_bytes()
    assert {path for _, path in server.state.requests} == {PATHS[analyst]}
    assert server.paid_twice() == {}
    assert left_in(empty_home) == []
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    assert b"Wilhelmina" not in written


def test_without_anybody_to_agree_nothing_is_sent_and_it_is_said_what_would_be(look, server, empty_home, tmp_path):
    output = look(code=1)
    assert "9 sessions, 9 requests" in output
    assert "gpt-5.2 at 127.0.0.1" in output
    assert "users' own words" in output
    assert "Price: about $" in output
    assert "Add --yes" in output
    assert server.state.requests == []
    assert left_in(empty_home) == []
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(("said", "code"), [(True, 0), (False, 1)])
def test_who_is_there_is_asked(look, server, monkeypatch, said, code):
    def confirm(question, **_):
        if not said:
            raise asking.click.Abort

    monkeypatch.setattr(asking, "attended", lambda: True)
    monkeypatch.setattr(asking.click, "confirm", confirm)
    look(code=code)
    assert bool(server.state.requests) is said


def test_an_unknown_price_is_not_made_up(look):
    output = look("--yes", analyst="openai-compatible")
    assert "Price: not known" in output
    assert "$0" not in output


def test_a_stopped_run_is_gone_on_with_and_nothing_is_paid_twice(look, server, monkeypatch, tmp_path, empty_home):
    real, calls = RequestLog.submitted, []

    def stopped(self, *arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(RequestLog, "submitted", stopped)
    look("--yes", code=1)
    paid = sum(server.paid_texts.values())
    assert 0 < paid < 9
    assert left_in(empty_home)
    kept = [path for path in left_in(empty_home) if "restricted" not in path.parts]
    assert kept == []
    (tmp_path / "in.jsonl").write_bytes(b"".join(line(n, extra=n == 8) for n in range(10)))
    output = look("--yes")
    assert "more were answered before the last run was stopped" in output
    assert coverage(tmp_path / "out")["sessions"]["analysed"] == 10
    assert server.paid_twice("text") == {}
    assert left_in(empty_home) == []


def test_a_question_whose_session_is_not_there_any_more_is_given_up(look, server, monkeypatch, tmp_path, empty_home):
    monkeypatch.setattr(RequestLog, "creating", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    look("--yes", code=1)
    monkeypatch.undo()
    assert server.state.requests == []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_bytes(line(3))
    arguments = ("analyze", "in.jsonl", "--out", "out", "--analyst", "openai", "--base-url", server.url, "--yes")
    environment = {"OPENAI_API_KEY": "k", "SIGNALS_HOME": str(empty_home)}
    done = subprocess.run(
        [sys.executable, "-m", "signals_assets", *arguments], env={**os.environ, **environment, "PYTHONPATH": ROOT},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "To be asked about: 1 sessions, 1 requests" in done.stderr
    assert sum(server.paid_texts.values()) == 1


@pytest.mark.slow
def test_a_killed_run_is_gone_on_with_and_only_what_was_under_way_may_be_paid_again(look, server, tmp_path, empty_home):
    server.switch(slow={"*": 1.0}, slow_seconds=0.1)
    arguments = ("analyze", "in.jsonl", "--out", "out", "--analyst", "openai", "--base-url", server.url, "--yes")
    command = [sys.executable, "-m", "signals_assets", *arguments]
    environment = {**os.environ, "PYTHONPATH": ROOT}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        for _ in range(600):
            if len(server.state.requests) >= 6:
                break
            time.sleep(0.05)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert 0 < sum(server.paid_texts.values()) < 9
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert coverage(tmp_path / "out")["sessions"]["analysed"] == 9
    assert sum(server.paid_texts.values()) <= 9 + 1  # one request at a time
    assert left_in(empty_home) == []


def test_now_and_then_it_is_said_how_far_a_run_is(look, server, monkeypatch):
    monkeypatch.setattr(asking, "TOLD_EVERY", 0.05)
    server.switch(slow={"*": 1.0}, slow_seconds=0.05)
    assert "requests answered" in look("--yes")


def test_a_missing_key_is_named_by_its_setting(look, server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    assert "needs a key: set OPENAI_API_KEY" in look("--yes", code=1)
    assert server.state.requests == []


def test_a_server_that_refuses_the_key_is_told_in_words_without_the_key(look, server):
    server.switch(api_key="another")
    output = look("--yes", code=1)
    assert "401" in output
    assert "see whether the key is right" in output
    assert "sk-of-the-tests" not in output


def test_neither_dagster_nor_torch_is_imported(look, server, tmp_path, empty_home):
    program = (
        "import sys\n"
        "from signals_assets.cli import main\n"
        f"main(['analyze', 'in.jsonl', '--out', 'out', '--analyst', 'openai', '--yes', '--base-url', '{server.url}'],"
        " standalone_mode=False)\n"
        "print(sorted({'dagster', 'torch', 'pandas', 'duckdb'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
