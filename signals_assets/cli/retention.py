"""`signals retention`: remove what has expired, now rather than tonight."""

from dataclasses import asdict
from datetime import UTC, datetime

import click

from signals_assets.cli.printing import json_option, show, write_json
from signals_assets.resources import resources_for
from signals_assets.resources.retention import expire
from signals_assets.settings import Settings


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what has expired, and remove nothing.")
@json_option
def command(dry_run: bool, json_file: str | None) -> None:
    """Remove what is kept longer than the settings allow; the schedule does the same every night."""
    rows = [asdict(item) for item in expire(resources_for(Settings()), datetime.now(UTC).date(), dry_run=dry_run)]
    write_json(json_file, rows)
    show("Has expired" if dry_run else "Removed", rows,
         note="days of a table or files; counted from the day on which they were written; the published zone, "
         "releases and pull requests hold no person and are kept")  # fmt: skip
