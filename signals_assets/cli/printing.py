"""What commands print: tables on the terminal, the same as JSON for scripts.

Put here: output helpers shared by the commands. Not here: what is printed.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import orjson

from signals_assets.core.barrier.publication import terminal
from signals_assets.core.text import UNSEEN

PIPED_WIDTH: Final = 180
NO_DAY: Final = "No day is materialized yet: make demo, or signals run --from DAY."
"""What to do where tables are still empty."""
F = TypeVar("F", bound=Callable[..., Any])


def json_option(function: F) -> F:
    """The `--json FILE` option of every command that prints a table (`-` for standard output)."""
    return click.option(
        "--json", "json_file", type=click.Path(dir_okay=False, allow_dash=True), help="Write the same as JSON to FILE."
    )(function)


def show(title: str, rows: Sequence[Mapping[str, Any]], *, note: str = "", empty: str = "") -> None:
    """Print rows as a table (columns of the first row) with a note below, or that there are none and what to do."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # and no string: it would be read as markup

    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = max(console.width, PIPED_WIDTH)  # a file or a pipe has no edge to wrap at
    if not rows:
        console.print(Text.assemble((terminal(title), "bold"), f": none.{empty and ' ' + empty}"))
        return
    table = Table(title=Text(terminal(title)), title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for column in rows[0]:
        numeric = all(isinstance(row[column], int | float) or row[column] is None for row in rows)
        table.add_column(Text(terminal(str(column))), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(terminal(_cell(value))) for value in row.values()))
    console.print(table)
    if note:
        console.print(Text(note, style="dim"))


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return str(value)


def write_json(json_file: str | None, data: Any) -> None:
    """Write `data` to the file that `--json` named, if one was named; a terminal obeys nothing of it."""
    if json_file is None:
        return
    written = orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str).decode()
    text = harmless_json(written)
    if json_file == "-":
        click.echo(text)
    else:
        Path(json_file).write_text(f"{text}\n", encoding="utf-8", newline="\n")


def harmless_json(written: str) -> str:
    """JSON text in which what a terminal would obey or hide is escaped: the same data."""
    return UNSEEN.sub(lambda found: "".join(map(_escaped, found[0])), written)


def _escaped(letter: str) -> str:
    """A character as an escape of JSON; line feeds are the layout's (inside strings they are escaped already)."""
    return letter if letter == "\n" else json.dumps(letter)[1:-1]
