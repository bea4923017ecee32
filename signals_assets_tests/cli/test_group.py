"""The group: every command is listed and none is loaded before it is called."""

import subprocess
import sys
from pathlib import Path

import pytest

from signals_assets import cli

HELPERS = {"__init__", "asking", "instance", "printing", "reading", "records", "summary"}
HEAVY = {"dagster", "torch", "sentence_transformers", "duckdb", "pyarrow", "sklearn", "matplotlib", "sqlalchemy"}


def test_every_module_of_the_command_line_is_a_listed_command_or_a_known_helper():
    modules = {path.stem for path in Path(cli.__file__).parent.glob("*.py")}
    assert modules - HELPERS == set(cli.COMMANDS)


def test_help_lists_every_command(signals):
    output = signals("--help").output
    for name, said in cli.COMMANDS.items():
        assert name in output
        assert said.split()[0] in output


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_explains_itself(signals, name):
    output = signals(name, "--help").output
    assert output.startswith(f"Usage: main {name}")
    assert len(output.splitlines()) > 4


@pytest.mark.parametrize("arguments", [["--help"], ["doctor", "--help"], ["demo", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(arguments):
    code = (
        "import sys\nfrom signals_assets.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        f"print('heavy:', sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_an_unknown_command_is_refused(signals):
    assert "No such command" in signals("nonsense", code=2).output


def test_what_a_door_refuses_is_told_without_a_traceback(signals, empty_home, monkeypatch):
    monkeypatch.delenv("SLACK_BOT_TOKEN", raising=False)
    monkeypatch.setenv("SIGNALS_NOTIFIER", "slack")
    monkeypatch.setenv("SIGNALS_SLACK__DRY_RUN", "false")
    assert signals("report", code=1).output.startswith("Error: notifier = 'slack' needs a bot's token")


def test_a_wrong_setting_is_named_without_its_value(signals, empty_home, monkeypatch):
    monkeypatch.setenv("SIGNALS_WORKERS", "-47")
    output = signals("report", code=1).output
    assert "SIGNALS_*" in output
    assert "workers" in output
    assert "-47" not in output
