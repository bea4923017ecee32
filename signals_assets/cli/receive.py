"""`signals receive`: a small OTLP/HTTP receiver, so that an agent with an exporter needs three lines."""

import signal
from pathlib import Path

import click

from signals_assets.resources.otlp_receiver import serve


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=4318, show_default=True)
def command(out: Path, host: str, port: int) -> None:
    """Receive OpenTelemetry spans and logs (OTLP/HTTP, JSON or protobuf) and append them to files in OUT."""
    try:
        server = serve(out, host, port)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host}:{port}: {error.strerror}; name another with --port"
        ) from None
    click.echo(f"Receiving on http://{host}:{server.server_address[1]}/v1/traces into {out}; stop with Ctrl-C.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service manager stops it as cleanly as Ctrl-C
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        click.echo("Stopped.")
    finally:
        server.server_close()
