"""`signals simulate`: sessions, releases, logs, thumbs, pull requests, with the planted truth beside them."""

from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path

import click

from signals_assets.cli.printing import json_option, show, write_json
from signals_assets.simulation import simulate


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
@click.option("--days", default=28, show_default=True)
@click.option("--sessions-per-day", default=150, show_default=True, help="Sessions on an average weekday.")
@click.option("--seed", default=0, show_default=True)
@click.option("--start", type=click.DateTime(["%Y-%m-%d"]), default="2026-01-05", show_default=True)
@json_option
def command(out: Path, days: int, sessions_per_day: int, seed: int, start: datetime, json_file: str | None) -> None:
    """Write a simulated agent's life to OUT as files that the ordinary readers read. Same seed, same bytes."""
    summary = simulate(out, days=days, sessions_per_day=sessions_per_day, seed=seed, start=start.date())
    facts = asdict(summary) if is_dataclass(summary) else dict(summary)
    write_json(json_file, facts)
    show(f"Simulated into {out}", [{"what": name, "value": value} for name, value in facts.items()])
