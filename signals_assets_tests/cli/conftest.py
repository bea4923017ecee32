"""A home of its own for every test of a command, and one that four days of the world went through."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from signals_assets.cli import main

if TYPE_CHECKING:
    from signals_assets_tests.home import Home

Run = Callable[..., Result]


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that does not exist yet, with doors that need no weights and no processes."""
    home = tmp_path / "home"
    for name, value in {"HOME": home, "EMBEDDER": "none", "COMPUTE": "serial"}.items():
        monkeypatch.setenv(f"SIGNALS_{name}", str(value))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    return home


@pytest.fixture
def lived_home(lived: "Home", empty_home: Path) -> Path:
    """A copy of the home whose four days went through the whole graph."""
    shutil.copytree(lived.folder, empty_home)
    return empty_home


@pytest.fixture
def signals() -> Run:
    """Runs `signals ...` in this process and checks its exit code."""

    def run(*arguments: Any, code: int = 0) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        expected = result.exception is None or isinstance(result.exception, SystemExit)
        assert expected, result.exception
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def signals_apart(tmp_path: Path) -> Callable[..., str]:
    """Runs `signals ...` in a process of its own, as the demo needs: its settings are read when it starts."""

    def run(*arguments: Any) -> str:
        environment = os.environ | {
            "SIGNALS_HOME": str(tmp_path / "home"), "DAGSTER_HOME": str(tmp_path / "home" / "dagster"),
            "SIGNALS_EMBEDDER": "none", "SIGNALS_COMPUTE": "serial",
        }  # fmt: skip
        command = [sys.executable, "-m", "signals_assets", *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
