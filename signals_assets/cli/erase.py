"""`signals erase`: take a person, or everybody of an organisation, out of everything that is stored, and prove it."""

import time
from typing import Any, Literal

import click

from signals_assets.cli.printing import json_option, show, write_json
from signals_assets.resources import erasure, resources_for
from signals_assets.settings import Settings

FROZEN = (
    "Published days stay as they are: they hold bands over enough people, and a band that moved on the day of an "
    "erasure would tell whose it was."
)
ALONE = (
    "With audience = self the published tables, reports and tickets are about one person: delete the home as well, "
    "or its folders warehouse/published, reports and tickets."
)


@click.command()
@click.option("--user", help="The user's id as the source knows it, or the pseudonym (u_...).")
@click.option("--organization", help="The organisation's id as the source knows it, or the pseudonym (o_...).")
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@json_option
def command(user: str | None, organization: str | None, dry_run: bool, json_file: str | None) -> None:
    """Erase a user or an organisation; safe to repeat. Without either, go on with what was killed.

    Exits with 1 where something is left. Not meant for the minutes in which a run writes.
    """
    if user and organization:
        raise click.UsageError("give --user ID or --organization ID, not both")
    settings = Settings()
    doors = resources_for(settings)
    waiting = erasure.unfinished(settings)
    if not (user or organization or waiting):
        raise click.UsageError("give --user ID or --organization ID; no erasure waits to be finished")
    started = time.monotonic()
    found: list[dict[str, Any]] = []
    if dry_run:
        click.echo(f"{len(waiting)} erasures were killed and wait to be finished" if waiting else "", nl=bool(waiting))
    else:
        for traces in waiting:
            click.echo("An erasure that was killed is finished first.")
            found.append(_told(erasure.erase(doors, traces), settings))
    asked: tuple[Literal["user", "organization"], str] | None = (
        ("user", user) if user else ("organization", organization) if organization else None
    )
    if asked:
        traces = erasure.traces_of(doors, *asked)
        done = erasure.planned(doors, traces) if dry_run else erasure.erase(doors, traces)
        found.append(_told(done, settings, planned=dry_run))
    click.echo(f"{'Nothing was changed' if dry_run else 'Done'} in {time.monotonic() - started:.1f} s.")
    write_json(json_file, found)
    if any(item["remains"] for item in found):
        raise SystemExit(1)


def _told(done: erasure.Erasure, settings: Settings, planned: bool = False) -> dict[str, Any]:
    """Print what was done (or would be) and what the search found; the same as data."""
    rows = [{"where": name, "rows": count} for name, count in done.counts.items() if count]
    show("Would go" if planned else "Gone or changed", rows, empty="The stored data knows nobody by this id.")
    searched = [
        {
            "searched": area.area, "files": area.files, "MB": round(area.bytes / 1e6, 1), "ids": area.ids,
            "word sequences": area.texts, "why it may remain": area.remains,
        }
        for area in done.searched
    ]  # fmt: skip
    if not planned:
        show(
            f"Search for {done.ids} ids and pseudonyms and {done.samples} word sequences of the sessions",
            searched,
            note="packed files unpacked, Parquet decoded, names of files included; ids are counted as whole words",
        )
        click.echo(f"Found where nothing may remain: {done.found}.")
        if done.audit_names:
            click.echo("An audit entry holds one of the ids; its chain cannot be changed without breaking it.")
        click.echo(ALONE if settings.audience == "self" else FROZEN)
    return {"counts": done.counts, "searched": searched, "remains": done.found}
