"""`signals keys`: how old the key of people is, and a new one. Prints no key."""

import click

from signals_assets.cli.printing import json_option, show, write_json
from signals_assets.settings import Settings


@click.group()
def command() -> None:
    """The keys of the pseudonyms: show what may be shown, rotate."""


@command.command("show")
@json_option
def show_keys(json_file: str | None) -> None:
    """Where the keys come from and when the key of people was last replaced."""
    from signals_assets.resources import resources_for

    state = resources_for(Settings())["pseudonym_key"].state()
    row = {
        "lasting key from": "the setting pseudonym_key" if state.from_setting else "the restricted folder",
        "rotations": state.rotations,
        "last rotation": str(state.since or "never"),
        "under way": "yes: run signals keys rotate" if state.rotating else "no",
    }
    write_json(json_file, row)
    show("Keys", [row], note="The key of people is replaced by: signals keys rotate")


@command.command("rotate")
@json_option
def rotate_keys(json_file: str | None) -> None:
    """Replace the key of people; stored days that are still looked back on get new pseudonyms. Safe to repeat.

    Older days keep their old ones, which nobody can compute any more: they can be linked neither with newer days nor
    with a person, so erase whom you must erase before. Not for the minutes in which a run writes.
    """
    from signals_assets.core.retention import WINDOW_DAYS
    from signals_assets.partitions import today
    from signals_assets.resources import resources_for
    from signals_assets.resources.rotation import rotate
    from signals_assets.tables import SessionMetrics

    settings = Settings()
    doors = resources_for(settings)
    day = min(today(), max(doors["warehouse"].days(SessionMetrics), default=today()))
    done = rotate(doors, day=day, window=max(settings.retention_days, WINDOW_DAYS))
    rows = [{"table": table, "rows": count} for table, count in sorted(done.rows.items())]
    write_json(json_file, {"rotations": done.state.rotations, "known": done.known, "rows": done.rows,
                           "first_day": str(done.first_day), "tombstones": done.tombstones})  # fmt: skip
    show("Rows with new pseudonyms", rows, empty="No stored row had to change.")
    click.echo(
        f"Rotation {done.state.rotations}: {', '.join(f'{count} {kind}s' for kind, count in done.known.items())}; "
        f"rows before {done.first_day} can no longer be linked. The old key is destroyed."
    )
