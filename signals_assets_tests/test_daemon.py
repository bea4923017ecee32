"""`dagster dev` for real: the daemon's sensor files one ticket for a crossing, a backfill is one run for its days.

Everything stops cleanly.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from signals_assets import definitions
from signals_assets.partitions import RANGE_END, RANGE_START
from signals_assets.simulation import World
from signals_assets_tests.conftest import FIRST_DAY

SECOND_DAY = FIRST_DAY + timedelta(days=1)  # a level crosses at the second evaluation over its ceiling
PREPARE = """
import sys
from datetime import date
from signals_assets.cli.instance import Graph
from signals_assets.settings import Settings

Graph(Settings()).materialize(*map(date.fromisoformat, sys.argv[1:]))
"""
SENSORS = """
{ sensorsOrError(repositorySelector: {repositoryName: "__repository__",
                                      repositoryLocationName: "signals_assets.definitions"})
  { ... on Sensors { results { name sensorState { status ticks(limit: 1) { status } } } } } }
"""
BACKFILL = """
mutation { launchPartitionBackfill(backfillParams: {
    assetSelection: [{path: ["intent_trends"]}, {path: ["user_days"]}], partitionNames: ["%s", "%s"] })
  { ... on LaunchBackfillSuccess { backfillId } } }
"""
BACKFILL_RUNS = """
{ runsOrError(filter: {tags: [{key: "dagster/backfill", value: "%s"}]})
  { ... on Runs { results { status tags { key value } } } } }
"""
RUNS = '{ runsOrError(filter: {pipelineName: "act"}) { ... on Runs { results { status } } } }'


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def is_free(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) != 0


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def wait_for(what: str, holds: Callable[[], Any], seconds: float) -> Any:
    """The first true answer; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds:.0f} seconds")


def ask(port: int, query: str) -> dict[str, Any]:
    """One GraphQL question; empty while the server does not answer."""
    body = json.dumps({"query": query}).encode()
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return json.load(answer)["data"] or {}
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return {}


def ticks(port: int) -> dict[str, list[str]]:
    """Sensor -> states of its newest tick."""
    results = ask(port, SENSORS).get("sensorsOrError", {}).get("results", [])
    return {row["name"]: [tick["status"] for tick in row["sensorState"]["ticks"]] for row in results}


def runs(port: int) -> list[str]:
    """States of the runs of the acting job."""
    return [row["status"] for row in ask(port, RUNS).get("runsOrError", {}).get("results", [])]


@pytest.fixture
def environment(tmp_path: Path, world: World) -> dict[str, str]:
    """A home on disk whose newest day has one crossing, and the variables that lead to it."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "signals.toml").write_text(f"""
sessions = ["{world.out / "sessions"}"]
records = "{world.out / "records"}"
start_day = {FIRST_DAY}
end_day = {SECOND_DAY}
audience = "self"
embedder = "none"
compute = "serial"
selection = {{min_steps = 0}}
thresholds = {{default_ceiling = 0.99, ceilings = {{repeated_rephrasing = 0.01}}}}
""")
    places = {"SIGNALS_HOME": str(home), "SIGNALS_TOML": str(home / "none"), "DAGSTER_HOME": str(home / "dagster")}
    variables = os.environ | places | {"PYTHONWARNINGS": "ignore"}
    prepared = subprocess.run(
        [sys.executable, "-c", PREPARE, str(FIRST_DAY), str(SECOND_DAY)],
        env=variables, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert prepared.returncode == 0, prepared.stderr[-3000:]
    assert not (home / "tickets").exists()
    return variables


@contextmanager
def dagster_dev(variables: dict[str, str], port: int, log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """The process, in a group of its own, with SIGINT as a terminal leaves it: else Dagster would ignore SIGTERM."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster", "dev", "-m", "signals_assets.definitions", "-p", str(port)],
            env=variables, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
    try:
        yield process
    finally:
        if not group_is_gone(process.pid):  # the test failed: leave nothing behind
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@pytest.mark.slow
def test_the_daemon_files_one_ticket_for_a_crossing_and_stops_cleanly(environment: dict[str, str], tmp_path: Path):
    port, log = free_port(), tmp_path / "dagster.log"
    tickets = Path(environment["SIGNALS_HOME"]) / "tickets"
    with dagster_dev(environment, port, log) as process:
        wait_for("GraphQL answers", lambda: ask(port, "{ version }"), 90)
        wait_for("an acting run ended well", lambda: "SUCCESS" in runs(port), 90)
        ticked = wait_for("every sensor ticked", lambda: _all_ticked(port), 90)
        assert "FAILURE" not in {state for states in ticked.values() for state in states}
        assert len(list(tickets.glob("SIG-*.md"))) == 1
        assert runs(port) == ["SUCCESS"]

        before = _published(environment)
        assert len(before) == 2
        backfill = ask(port, BACKFILL % (FIRST_DAY, SECOND_DAY))["launchPartitionBackfill"]["backfillId"]
        (run,) = wait_for("the backfill's run ended", lambda: _ended(port, backfill), 90)
        tags = {tag["key"]: tag["value"] for tag in run["tags"]}
        assert run["status"] == "SUCCESS"
        assert (tags[RANGE_START], tags[RANGE_END]) == (str(FIRST_DAY), str(SECOND_DAY))
        assert _published(environment) == before  # a published day is written once

        process.send_signal(signal.SIGTERM)
        process.wait(60)
        wait_for("no process is left", lambda: group_is_gone(process.pid), 30)
        assert is_free(port)
    assert len(list(tickets.glob("SIG-*.md"))) == 1


def _ended(port: int, backfill: str) -> list[dict[str, Any]]:
    """The backfill's runs, when there are some and all have ended."""
    found = ask(port, BACKFILL_RUNS % backfill).get("runsOrError", {}).get("results", [])
    return found if all(run["status"] in ("SUCCESS", "FAILURE", "CANCELED") for run in found) else []


def _published(variables: dict[str, str]) -> dict[str, tuple[int, bytes]]:
    """When each day of the backfilled published table was written, and what is in it."""
    folder = Path(variables["SIGNALS_HOME"]) / "warehouse" / "published" / "intent_trends"
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.glob("2*.parquet")}


def _all_ticked(port: int) -> dict[str, list[str]]:
    found = ticks(port)
    return found if len(found) == len(definitions.SENSORS) and all(found.values()) else {}
