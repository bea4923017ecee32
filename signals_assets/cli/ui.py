"""`signals ui`: the Dagster UI on localhost, over the settings' home."""

import os
import signal
import subprocess
import sys

import click

from signals_assets.cli.instance import dagster_home
from signals_assets.settings import Settings


@click.command()
@click.option("--port", default=3000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True)
def command(port: int, host: str) -> None:
    """Start Dagster (web server, daemon, code server) and stop it cleanly with Ctrl-C."""
    home = dagster_home(Settings())
    environment = os.environ | {"DAGSTER_HOME": str(home)}
    click.echo(f"Dagster on http://{host}:{port} (its history: {home})")
    # A shell that runs this in the background hands down an ignored SIGINT, and Dagster would then ignore SIGTERM too.
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "dagster", "dev", "-m", "signals_assets.definitions", "-h", host, "-p", str(port)],
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        sys.exit(process.wait())
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        sys.exit(process.wait())
