"""The command line: `signals ...`, one command per module, loaded when it is called.

Put here: the group. Not here: thinking; commands read arguments, call the package and print.
`signals analyze` and everything it needs must not import Dagster.
"""

import importlib
import tomllib
from typing import Any, Final

import click

COMMANDS: Final[dict[str, str]] = {
    "analyze": "Per-session stages on files, for pipes and quick looks (no Dagster).",
    "backfill": "Materialize what is left of a range of days; goes on where it was stopped.",
    "benchmark": "Measure quality and speed; seeded; prints its parameters.",
    "compare": "Two cohorts of sessions from files: what improved, what regressed, what stayed.",
    "demo": "Live through four weeks of an agent's life, or read your own sessions.",
    "detectors": "What each detector looks at, what it ignores, how right it is.",
    "doctor": "Which doors are open, what is missing, what your volume can show.",
    "erase": "Take a user or an organisation out of everything that is stored, and prove it.",
    "estimate": "Sessions, tokens and price of asking a language model; sends nothing.",
    "keys": "How old the key of people is, and a new one.",
    "receive": "A small OpenTelemetry receiver that writes sessions to a folder.",
    "evidence": "What a ticket rests on, zone by zone; each reading is audited.",
    "fit": "Fit a small model that a detector asks, from labelled sessions.",
    "report": "Where the newest report is, and its first lines.",
    "retention": "Remove what has expired, and say what it was.",
    "review": "Judge found moments blindly, and see how right each source is.",
    "run": "Materialize a range of days through Dagster.",
    "simulate": "Write simulated sessions and records, with the truth beside them.",
    "sql": "Ask the tables, while runs go on.",
    "taxonomy": "Proposals, and what a person decides about them.",
    "tickets": "Every ticket, and why it was or was not filed.",
    "ui": "The Dagster UI on localhost.",
    "warehouse": "What the warehouse in BigQuery is made of, printed or made.",
    "watch": "Follow growing transcripts and print events as they happen.",
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click hands it over
        """All commands, alphabetically."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click hands it over
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"signals_assets.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what a door or the settings refuse is told in their words, without a traceback."""
        try:
            return super().invoke(ctx)
        except (RuntimeError, ValueError) as error:
            if type(error).__module__.startswith("signals_assets.resources"):
                raise click.ClickException(str(error)) from None
            if getattr(error, "title", None) == "Settings":  # pydantic's ValidationError; it hides the values
                raise click.ClickException(f"signals.toml or a SIGNALS_* variable: {error}") from None
            if isinstance(error, tomllib.TOMLDecodeError):
                raise click.ClickException(f"signals.toml cannot be read: {error}") from None
            raise
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            raise click.ClickException(f"{error.strerror or type(error).__name__}{where}") from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click hands it over
        """The list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="signals-assets")
def main() -> None:
    """Signals reads an AI agent's sessions so that nobody has to."""
