"""`signals taxonomy`: proposals, and what a person decides about them. Every decision is a ledger entry.

Put here: the commands' words and output. Not here: what a decision's payload holds (see `resources/decisions.py`).
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from signals_assets.cli.printing import json_option, show, write_json
from signals_assets.core.taxonomy import KINDS, LEDGER_KIND, Taxonomy, TaxonomyError
from signals_assets.core.taxonomy_history import history
from signals_assets.resources import decisions, resources_for
from signals_assets.settings import Settings

Doors = Mapping[str, Any]
KIND = click.option("--kind", type=click.Choice(KINDS), help="Where categories of several kinds have the slug.")


@click.group()
def command() -> None:
    """See what emerged; accept, reject, rename, merge, split, retire or undo. Nothing is ever rewritten."""


def _decide(payload_of: Callable[[Doors, Taxonomy], Mapping[str, Any]]) -> None:
    """Write the decision that `payload_of` makes of the doors and the taxonomy, and say what it did."""
    doors = resources_for(Settings())
    author = os.environ.get("USER") or f"user {os.getuid()}"
    ledger = doors["ledger"]
    try:
        payload = payload_of(doors, decisions.taxonomy_of(ledger))
        entry, taxonomy = decisions.decide(ledger, payload, author=author)
    except TaxonomyError as error:
        raise click.ClickException(str(error)) from None
    _add_partitions(doors["settings"], taxonomy)
    told = f"taxonomy version {taxonomy.version} (entry {entry.seq}); it counts from the next day on"
    click.echo(f"{told}. signals taxonomy undo {entry.seq} takes it back")


def _add_partitions(settings: Settings, taxonomy: Taxonomy) -> None:
    """The instance knows a partition for every friction type, where there is an instance already."""
    from signals_assets.cli.instance import dagster_home, quiet

    if not (settings.home / "dagster").exists() and "DAGSTER_HOME" not in os.environ:
        return  # nothing ran here yet; the first run adds them
    import dagster as dg

    from signals_assets.partitions import FRICTION_TYPES

    quiet()
    dagster_home(settings)
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(str(FRICTION_TYPES.name), list(taxonomy.slugs("friction")))


def _named(words: Sequence[str], names: Sequence[str], kind: str | None) -> tuple[str | None, list[str]]:
    """Kind and the other arguments: a kind may stand before them. Raises UsageError."""
    if len(words) == len(names) + 1 and words[0] in KINDS:
        kind, words = words[0], words[1:]
    if len(words) != len(names):
        raise click.UsageError(f"give {' '.join(names)}, with a kind before it where several kinds have the slug")
    return kind, list(words)


@command.command()
@click.option("--kind", type=click.Choice(KINDS), help="Of one kind only, by rank: the most wanted first.")
@json_option
def proposals(kind: str | None, json_file: str | None) -> None:
    """New categories of the newest day, with their evidence."""
    rows = [
        {name: value for name, value in row.items() if name not in ("day", "ledger_seq")}
        for row in decisions.proposals(resources_for(Settings())["warehouse"])
        if kind in (None, row["kind"])
    ]
    rows = sorted(rows, key=lambda row: row["rank"]) if kind else rows
    write_json(json_file, rows)
    columns = (
        "kind", "rank", "slug", "name", "users", "sessions", "days_seen", "first_day", "stability", "agreement",
        "explains", "nearest", "ready", "waiting_for",
    )  # fmt: skip
    show("Proposals", [{name: row[name] for name in columns} for row in rows],
         note="signals taxonomy show SLUG: what it is, what it is not, why it is not the nearest category",
         empty="Every friction, need and intent fits a known type, or no day is materialized yet.")  # fmt: skip


@command.command("show")
@click.argument("slug")
@json_option
def shown(slug: str, json_file: str | None) -> None:
    """Everything that is known of one proposal or category, and every decision about it."""
    doors = resources_for(Settings())
    about = [one for one in _history(doors) if slug in (one["slug"], one["proposal"], *one["into"])]
    try:
        found = decisions.proposal(doors["warehouse"], slug)
    except TaxonomyError as error:
        found = _category(doors, slug)
        if not (found or about):
            raise click.ClickException(str(error)) from None
    write_json(json_file, found | {"history": about})
    examples = found.pop("examples", [])
    facts = [{"what": name.replace("_", " "), "": value} for name, value in found.items() if name != "item_ids"]
    if facts:
        show(found["name"], facts)
    if examples:
        show("Examples", [{"text": text} for text in examples])
    show("History", about, empty="Nothing was decided about it yet.")


def _category(doors: Doors, slug: str) -> dict[str, Any]:
    """What is known of the categories with this slug: words, since when, how they fare; empty where there is none."""
    found = [item for item in decisions.taxonomy_of(doors["ledger"]).types if item.slug == slug]
    if not found:
        return {}
    item = found[-1]
    review = next((row for row in _reviews(doors) if (row["kind"], row["slug"]) == (item.kind, slug)), {})
    return {
        "name": item.name, "kind": item.kind, "slug": slug, "definition": item.definition, "is_not": item.is_not,
        "since_version": item.since_version, "retired": item.retired, "merged_into": item.merged_into,
        **{name: value for name, value in review.items() if name not in ("kind", "slug", "ledger_seq")},
    }  # fmt: skip


def _history(doors: Doors) -> list[dict[str, Any]]:
    """Every decision ever written, oldest first, also those that were taken back."""
    return [
        {
            "version": one.version, "entry": one.seq, "after": one.after, "action": one.action, "kind": one.kind,
            "slug": one.slug, "into": list(one.into), "author": one.author, "proposal": one.proposal_id,
            "evidence": ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in one.evidence.items()),
            "taken_back_by": one.undone_by, "in_force": one.applied,
        }
        for one in history(doors["ledger"].entries([LEDGER_KIND]))
    ]  # fmt: skip


@command.command("list")
@json_option
def listed(json_file: str | None) -> None:
    """The taxonomy as it stands, and every decision: undo takes one in force back by its entry."""
    doors = resources_for(Settings())
    taxonomy = decisions.taxonomy_of(doors["ledger"])
    rows = [
        {"kind": item.kind, "slug": item.slug, "name": item.name, "since": item.since_version, "retired": item.retired}
        for item in taxonomy.types
    ]
    in_force = [
        {
            "entry": change.seq, "version": change.version, "action": change.action,
            **{name: change.payload.get(name) for name in ("kind", "slug", "name")},
            "into": _into(change.payload.get("into")), "author": change.payload.get("author"),
        }
        for change in taxonomy.changes
    ]  # fmt: skip
    written = _history(doors)
    write_json(json_file, {"types": rows, "decisions": in_force, "history": written})
    show(f"Taxonomy, version {taxonomy.version}", rows)
    show("History, with what was taken back", written, empty="Nothing was decided yet.")


def _into(into: Any) -> Any:
    return [part["slug"] for part in into] if isinstance(into, list) else into


def _reviews(doors: Doors) -> list[dict[str, Any]]:
    """The newest day's reviews, what asks for a decision first."""
    rows: list[dict[str, Any]] = doors["warehouse"].query(
        "select * exclude (day) from taxonomy_reviews where day = (select max(day) from taxonomy_reviews) "
        "order by retire desc, drifts desc, kind, users desc, slug"
    ).to_pylist()  # fmt: skip
    return rows


@command.command()
@json_option
def reviews(json_file: str | None) -> None:
    """How the categories fare: how large, last seen, whether their meaning moves, which to retire."""
    rows = _reviews(resources_for(Settings()))
    write_json(json_file, rows)
    columns = ("kind", "slug", "items", "users", "last_day", "same_meaning", "drifts", "explains", "retire", "reason")
    moving, leaving = sum(row["drifts"] for row in rows), sum(row["retire"] for row in rows)
    note = f"meaning moved in {moving}, retirement proposed for {leaving}: signals taxonomy rename, split, retire"
    show("Categories", [{name: row[name] for name in columns} for row in rows], note=note,
         empty="No day is materialized yet.")  # fmt: skip


@command.command()
@click.argument("slug")
@click.option("--name", help="Another name than the proposed one.")
@click.option("--definition", help="Another definition.")
@click.option("--is-not", help="Another description of what does not belong to it.")
def accept(slug: str, name: str | None, definition: str | None, is_not: str | None) -> None:
    """Accept a proposal: a new type, its partition, and its past items relabelled."""
    _decide(
        lambda doors, _: decisions.acceptance(
            doors["warehouse"],
            decisions.proposal(doors["warehouse"], slug),
            name=name,
            definition=definition,
            is_not=is_not,
        )
    )


@command.command()
@click.argument("slug")
def reject(slug: str) -> None:
    """Reject a proposal: it stays rejected while its evidence is alike."""
    _decide(lambda doors, _: decisions.rejection(doors["warehouse"], decisions.proposal(doors["warehouse"], slug)))


@command.command()
@click.argument("words", nargs=-1, metavar="[KIND] SLUG NAME")
@click.option("--definition", help="Another definition, too.")
@click.option("--is-not", help="Another description of what does not belong to it, too.")
@KIND
def rename(words: tuple[str, ...], definition: str | None, is_not: str | None, kind: str | None) -> None:
    """Give a type another name; its id stays."""
    kind, (slug, name) = _named(words, ("SLUG", "NAME"), kind)
    more = {key: value for key, value in (("definition", definition), ("is_not", is_not)) if value}
    _decide(lambda _, taxonomy: _about("rename", taxonomy, slug, kind) | {"name": name, **more})


@command.command()
@click.argument("words", nargs=-1, metavar="[KIND] SLUG INTO")
@KIND
def merge(words: tuple[str, ...], kind: str | None) -> None:
    """Merge a type into another of its kind, which goes on."""
    kind, (slug, into) = _named(words, ("SLUG", "INTO"), kind)
    _decide(lambda _, taxonomy: _about("merge", taxonomy, slug, kind) | {"into": into})


@command.command()
@click.argument("words", nargs=-1, metavar="[KIND] SLUG")
@click.option("--pieces", type=click.IntRange(2), default=2, show_default=True, help="Into how many.")
@click.option("--dry-run", is_flag=True, help="Show the parts, decide nothing.")
@KIND
def split(words: tuple[str, ...], pieces: int, dry_run: bool, kind: str | None) -> None:
    """Split a type into the parts that its items fall into; rename the parts afterwards."""
    kind, (slug,) = _named(words, ("SLUG",), kind)

    def payload(doors: Doors, taxonomy: Taxonomy) -> Mapping[str, Any]:
        made = decisions.splitting(doors["warehouse"], taxonomy, decisions.category(taxonomy, slug, kind), pieces)
        show("Parts", [
            {**{name: part[name] for name in ("slug", "name", "definition")}, "items": len(part["item_ids"])}
            for part in made["into"]
        ])  # fmt: skip
        return made

    if dry_run:
        doors = resources_for(Settings())
        try:
            payload(doors, decisions.taxonomy_of(doors["ledger"]))
        except TaxonomyError as error:
            raise click.ClickException(str(error)) from None
        return
    _decide(payload)


@command.command()
@click.argument("words", nargs=-1, metavar="[KIND] SLUG")
@KIND
def retire(words: tuple[str, ...], kind: str | None) -> None:
    """Retire a type: it is no longer asked for."""
    kind, (slug,) = _named(words, ("SLUG",), kind)
    _decide(lambda _, taxonomy: _about("retire", taxonomy, slug, kind))


@command.command()
@click.argument("entry", type=int, required=False)
def undo(entry: int | None) -> None:
    """Take back the decision with this entry number (default: the last one)."""
    _decide(lambda _, taxonomy: {"action": "undo", "undoes": entry or decisions.last_decision(taxonomy)})


def _about(action: str, taxonomy: Taxonomy, slug: str, kind: str | None) -> dict[str, Any]:
    item = decisions.category(taxonomy, slug, kind)
    return {"action": action, "kind": item.kind, "slug": item.slug}
