"""`signals benchmark NAME`: measure quality and speed; seeded; prints its parameters and a table."""

import importlib
import inspect
from pathlib import Path
from typing import Any

import click

from signals_assets.cli.printing import json_option, show, write_json

NAMES = {
    "correlations": "False discovery rate and power of release verdicts, against naive tests.",
    "detectors": "Precision, recall, F1 of the built-in detectors on labelled sessions.",
    "discovery": "New-category discovery and the map, on labelled short texts.",
    "speed": "Seconds and memory per stage over simulated days.",
}


@click.command()
@click.argument("name", type=click.Choice(sorted(NAMES)))
@click.option("--quick", is_flag=True, help="A small run that shows that the benchmark works; its figures are rough.")
@click.option("--seed", default=0, show_default=True)
@click.option("--sessions", multiple=True, type=click.Path(exists=True, path_type=Path), help="Sessions (detectors).")
@click.option("--labels", multiple=True, type=click.Path(exists=True, path_type=Path), help="Labels (detectors).")
@click.option(
    "--data", type=click.Path(exists=True, path_type=Path), help="Folder with train.tsv and dev.tsv (discovery)."
)
@json_option
def command(
    name: str,
    quick: bool,
    seed: int,
    sessions: tuple[Path, ...],
    labels: tuple[Path, ...],
    data: Path | None,
    json_file: str | None,
) -> None:
    """Run one benchmark. With --json the result, its parameters included, is written as JSON."""
    run = importlib.import_module(f"signals_assets.benchmarks.{name}").run
    offered: dict[str, Any] = {"quick": quick, "seed": seed, "sessions": sessions, "labels": labels, "data": data}
    accepted = inspect.signature(run).parameters
    given = {key: value for key, value in offered.items() if key in accepted}
    result = run(**given)
    write_json(json_file, result)
    click.echo(f"{NAMES[name]}\nparameters: " + ", ".join(f"{key}={value}" for key, value in given.items()))
    for title, rows in result.get("tables", {}).items():
        show(title, rows)
    for key, value in result.items():
        if not isinstance(value, dict | list):
            click.echo(f"{key}: {value}")
