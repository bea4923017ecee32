"""`signals benchmark NAME`: measure quality and speed; seeded; prints its parameters and a table."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from signals_assets.cli.printing import json_option, show, write_json

Result = dict[str, Any]


@click.command()
@click.argument("name", type=click.Choice(["correlations", "detectors", "discovery"]))
@click.option("--quick", is_flag=True, help="A small run that shows that the benchmark works; its figures are rough.")
@click.option("--seed", default=0, show_default=True)
@click.option("--sessions", multiple=True, type=click.Path(exists=True, path_type=Path), help="detectors: sessions.")
@click.option("--labels", multiple=True, type=click.Path(exists=True, path_type=Path), help="detectors: label sheets.")
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="discovery: folder of train.tsv, dev.tsv.")
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
    """Run one benchmark: correlations, detectors or discovery.

    detectors without --sessions and discovery without --data run on made-up data, which proves plumbing only.
    """
    if bool(sessions) != bool(labels):
        raise click.UsageError("--sessions and --labels go together")
    result, tables = {
        "correlations": lambda: _correlations(quick, seed),
        "detectors": lambda: _detectors(quick, seed, sessions, labels),
        "discovery": lambda: _discovery(quick, seed, data),
    }[name]()
    write_json(json_file, result)
    click.echo("parameters: " + ", ".join(f"{key}={value}" for key, value in result["parameters"].items()))
    for title, rows in tables.items():
        show(title, rows)


def _correlations(quick: bool, seed: int) -> tuple[Result, dict[str, Sequence[Mapping[str, Any]]]]:
    from signals_assets.benchmarks.correlations import run

    result = run(quick=quick, seed=seed)
    rows = [
        {
            "scenario": scenario.get("name", "half of the types change"),
            "sessions a day": scenario["sessions_per_day"],
            "day shocks": scenario["day_spread"],
            "adoption": "staggered" if scenario["staggered"] else "switched",
            "method": method,
            **figures,
        }
        for scenario in result["scenarios"]
        for method, figures in scenario["methods"].items()
    ]
    return result, {"False discoveries and power": rows}


def _detectors(
    quick: bool, seed: int, sessions: tuple[Path, ...], labels: tuple[Path, ...]
) -> tuple[Result, dict[str, Sequence[Mapping[str, Any]]]]:
    from signals_assets.benchmarks.detectors import run
    from signals_assets.core.readers import Rejected
    from signals_assets.resources.session_source import read_paths

    with tempfile.TemporaryDirectory() as folder:
        if not sessions:
            sessions, labels = _simulated(Path(folder), quick, seed)
        read = [item for item in read_paths(sessions) if not isinstance(item, Rejected)]
        sheets = [orjson.loads(line) for path in labels for line in path.read_bytes().splitlines() if line.strip()]
        result = run(read, sheets, quick=quick)
    source = "simulation (proves plumbing only)" if not read or folder in str(sessions[0]) else "given sessions"
    parameters = {"source": source, "seed": seed, "quick": quick, "sessions": len(read), "sheets": result["sheets"]}
    result = {"parameters": parameters, **result}
    rows = [
        {"type": name, **found["rules"], **{f"naive {key}": found["naive"][key] for key in ("f1", "moment_f1")}}
        for name, found in result["types"].items()
        if found["rules"]["positives"]
    ]
    whole = [
        {"what": "outcome accuracy", "value": result["outcome_accuracy"]},
        *({"what": name.replace("_", " "), "value": value} for name, value in result["speed"].items()),
    ]
    return result, {"By type: sessions, then moments (overlap of steps)": rows, "Whole": whole}


def _simulated(folder: Path, quick: bool, seed: int) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    from signals_assets.simulation import simulate

    simulate(folder, days=2 if quick else 10, sessions_per_day=20 if quick else 60, seed=seed)
    sheets = folder / "sheets.jsonl"
    with (folder / "truth" / "sessions.jsonl").open("rb") as truth, sheets.open("wb") as out:
        for line in truth:
            out.write(orjson.dumps({"specification_drift": False, **orjson.loads(line)}) + b"\n")
    return (folder / "sessions",), (sheets,)


def _discovery(quick: bool, seed: int, data: Path | None) -> tuple[Result, dict[str, Sequence[Mapping[str, Any]]]]:
    from signals_assets.benchmarks.discovery import run

    try:
        result = run(data, quick=quick, seed=seed)
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from None
    return result, {
        "New categories with 25 % of the classes unknown": [result["new_categories"]],
        "The map": [{"figure": name, "value": value} for name, value in result["map"].items()],
        "Seconds": [result["seconds"]],
    }
