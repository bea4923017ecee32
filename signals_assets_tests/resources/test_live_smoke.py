"""The live smoke test itself: it runs against the local server, and asks for its key where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from signals_assets_tests.fakes.openai_server import OpenAIServer

ROOT = Path(__file__).parents[2]


def smoke(*arguments, **environment):
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SIGNALS_", "COV_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments]
    return subprocess.run(
        [*command, "signals_assets_tests/live"], cwd=ROOT, env=own | environment, capture_output=True, text=True,
        check=False,
    ).stdout  # fmt: skip


def test_it_is_no_part_of_a_plain_run():
    said = smoke()
    assert "5 deselected" in said
    assert "skipped" not in said


def test_without_a_key_it_says_what_to_set():
    said = smoke("-m", "live")
    assert "5 skipped" in said
    assert "set SIGNALS_LIVE_OPENAI_KEY" in said


@pytest.mark.slow
def test_with_a_key_it_asks_directly_and_through_a_batch():
    with OpenAIServer(api_key="sk-live") as server:
        said = smoke(
            "-m", "live", SIGNALS_LIVE_OPENAI_KEY="sk-live", SIGNALS_LIVE_OPENAI_URL=server.url,
            SIGNALS_LIVE_OPENAI_BATCH="0.2",
        )  # fmt: skip
        assert "5 passed" in said, said
        assert server.state.files == {}
        assert {path.split("?")[0] for _, path in server.state.requests} >= {
            "/v1/responses", "/v1/chat/completions", "/v1/batches", "/v1/models", "/v1/embeddings",
        }  # fmt: skip
