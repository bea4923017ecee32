"""`signals ui`: the Dagster UI on localhost, over the settings' home."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import click

from signals_assets.cli.instance import dagster_home
from signals_assets.settings import Settings

GRACE_SECONDS = 5
"""How long processes may take to end by themselves before each stronger signal."""


@click.command()
@click.option("--port", default=3000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True)
def command(port: int, host: str) -> None:
    """Start Dagster (web server, daemon, code server) and stop it cleanly with Ctrl-C."""
    home = dagster_home(Settings())
    environment = os.environ | {"DAGSTER_HOME": str(home)}
    click.echo(f"Dagster on http://{host}:{port} (its history: {home})")
    # A shell that runs this in the background hands down an ignored SIGINT, and Dagster would then ignore SIGTERM too.
    # A session of its own: what Dagster leaves behind (code servers after a backfill) can be ended with it.
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "dagster", "dev", "-m", "signals_assets.definitions", "-h", host, "-p", str(port)],
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        code = process.wait()
    _end_group(process.pid)
    sys.exit(code)


def _end_group(group: int) -> None:
    """End every process that is left of the group: politely, then for good."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for _ in range(GRACE_SECONDS * 5):
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return
            time.sleep(0.2)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)
