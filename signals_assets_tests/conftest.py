"""Shared fixtures: the real data beside a checkout, where it exists."""

import os
from pathlib import Path

import pytest


def _beside(name: str, variable: str) -> Path:
    return Path(os.environ.get(variable, Path(__file__).resolve().parents[2] / "shared" / name))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real sessions; skips the test where it is absent."""
    folder = _beside("data", "SIGNALS_DATA")
    if not folder.is_dir():
        pytest.skip("the real sessions are not beside this checkout (set SIGNALS_DATA to their folder)")
    return folder


@pytest.fixture(scope="session")
def specs_dir() -> Path:
    """The folder of API specs; skips the test where it is absent."""
    folder = _beside("specs", "SIGNALS_SPECS")
    if not folder.is_dir():
        pytest.skip("the API specs are not beside this checkout (set SIGNALS_SPECS to their folder)")
    return folder
