"""`signals fit NAME`: fit a small model that a detector asks, from labelled sessions; coefficients only."""

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any, Final

import click
import orjson

from signals_assets.cli.printing import show
from signals_assets.cli.records import records

_FILE: Final = click.Path(exists=True, path_type=Path)
MODELS: Final = ("correction",)


@click.command()
@click.argument("name", type=click.Choice(MODELS))
@click.option("--sessions", multiple=True, required=True, type=_FILE, help="Sessions, in any format that is read.")
@click.option("--labels", multiple=True, required=True, type=_FILE, help="Label sheets that know the type.")
@click.option(
    "--to", type=click.Path(dir_okay=False, path_type=Path), help="Write the model with its card to this file."
)
def command(name: str, sessions: tuple[Path, ...], labels: tuple[Path, ...], to: Path | None) -> None:
    """Fit a model and print how right it is on persons it has not seen.

    What is written holds weights of named features, digests of session ids and figures: nothing of a text.
    """
    from signals_assets.core import fitting
    from signals_assets.core.readers import Rejected
    from signals_assets.resources.session_source import read_paths

    read = {item.key: item for item in read_paths(sessions) if not isinstance(item, Rejected)}
    sheets = [sheet for path in labels for sheet in records(path, ("session_id", "friction"))]
    given = fitting.examples(read, sheets, name)
    try:
        found = fitting.fit(given)
    except ValueError as error:
        raise click.ClickException(f"{', '.join(map(str, labels))}: {error}") from None
    figures: dict[str, Any] = {
        "turns": found.turns,
        "positives": round(found.positives, 1),
        "sessions": len(given.sessions),
        "persons": len(set(given.persons)),
        "precision": round(found.precision, 3),
        "recall": round(found.recall, 3),
        "f1": round(found.f1, 3),
    }
    show(f"{name}: turns of persons the model had not seen", [figures])
    if to:
        card = {
            "what": f"logistic regression over the features of core/detectors/turns.py: is a turn of the user a {name}",
            "data": ", ".join(path.name for path in labels),
            "agents": dict(
                sorted(Counter(read[key].agent.name for key in {s["session_id"] for s in sheets} & read.keys()).items())
            ),
            "fitted": date.today().isoformat(),  # noqa: DTZ011  the day on the person's own calendar
            "penalty": f"L2, C = {fitting.STRENGTH}, classes weighed even",
            "by_turn_on_unseen_persons": figures,
        }
        to.write_bytes(orjson.dumps({"card": card, **found.stored}, option=orjson.OPT_INDENT_2) + b"\n")
        click.echo(f"written to {to}", err=True)
