"""`signals taxonomy`: proposals, and what a person decides about them. Every decision is a ledger entry."""

import os
from collections.abc import Mapping
from typing import Any

import click

from signals_assets.cli.printing import json_option, show, write_json
from signals_assets.core.taxonomy import Taxonomy, TaxonomyError, check, fold
from signals_assets.resources import resources_for
from signals_assets.settings import Settings

_PROPOSALS = """
select * exclude (day, ledger_seq) from taxonomy_proposals
where day = (select max(day) from taxonomy_proposals) order by ready desc, sessions desc
"""


@click.group()
def command() -> None:
    """See what emerged, and accept, reject, rename, merge, retire or undo. Nothing is ever rewritten."""


def _taxonomy(doors: Mapping[str, Any]) -> Taxonomy:
    return fold(doors["ledger"].entries(["taxonomy"]))


def _decide(payload: dict[str, Any]) -> None:
    doors = resources_for(Settings())
    author = os.environ.get("USER") or f"user {os.getuid()}"
    with doors["ledger"].transaction() as writer:  # two people who decide at once: the second sees the first's decision
        entries = writer.entries(["taxonomy"])
        try:
            check(fold(entries), payload)
        except TaxonomyError as error:
            raise click.ClickException(str(error)) from None
        entry, _ = writer.append("taxonomy", f"{len(entries) + 1}", payload | {"author": author})
    click.echo(f"taxonomy version {_taxonomy(doors).version} (entry {entry.seq}); it counts from the next day on")


def _proposal(slug: str) -> dict[str, Any]:
    rows = resources_for(Settings())["warehouse"].query(_PROPOSALS).to_pylist()
    found = [row for row in rows if slug in (row["slug"], row["proposal_id"])]
    if not found:
        raise click.ClickException(f"no proposal named {slug}; signals taxonomy proposals lists them")
    row: dict[str, Any] = found[0]
    return row


@command.command()
@json_option
def proposals(json_file: str | None) -> None:
    """New categories of the newest day, with their evidence."""
    rows = resources_for(Settings())["warehouse"].query(_PROPOSALS).to_pylist()
    write_json(json_file, rows)
    columns = ("kind", "slug", "name", "users", "sessions", "days_seen", "first_day", "nearest", "ready", "waiting_for")
    show("Proposals", [{name: row[name] for name in columns} for row in rows],
         empty="Every friction and every need fits a known type, or no day is materialized yet.")  # fmt: skip


@command.command("list")
@json_option
def listed(json_file: str | None) -> None:
    """The taxonomy as it stands, and the decisions that are in force: undo takes one back by its entry."""
    taxonomy = _taxonomy(resources_for(Settings()))
    rows = [
        {"kind": item.kind, "slug": item.slug, "name": item.name, "since": item.since_version, "retired": item.retired}
        for item in taxonomy.types
    ]
    decisions = [
        {
            "entry": change.seq, "version": change.version, "action": change.action,
            **{name: change.payload.get(name) for name in ("kind", "slug", "name", "into", "author")},
        }
        for change in taxonomy.changes
    ]  # fmt: skip
    write_json(json_file, {"types": rows, "decisions": decisions})
    show(f"Taxonomy, version {taxonomy.version}", rows)
    show("Decisions in force", decisions)


@command.command()
@click.argument("slug")
@click.option("--name", help="Another name than the proposed one.")
def accept(slug: str, name: str | None) -> None:
    """Accept a proposal: a new type, its partition, and its past items relabelled."""
    row = _proposal(slug)
    _decide({
        "action": "accept", "kind": row["kind"], "slug": row["slug"], "name": name or row["name"],
        "definition": row["definition"], "proposal_id": row["proposal_id"], "item_ids": row["item_ids"],
    })  # fmt: skip


@command.command()
@click.argument("slug")
def reject(slug: str) -> None:
    """Reject a proposal: it stays rejected while its evidence is alike."""
    row = _proposal(slug)
    _decide({
        "action": "reject", "kind": row["kind"], "slug": row["slug"],
        "proposal_id": row["proposal_id"], "item_ids": row["item_ids"],
    })  # fmt: skip


@command.command()
@click.argument("kind")
@click.argument("slug")
@click.argument("name")
def rename(kind: str, slug: str, name: str) -> None:
    """Give a type another name; its id stays."""
    _decide({"action": "rename", "kind": kind, "slug": slug, "name": name})


@command.command()
@click.argument("kind")
@click.argument("slug")
@click.argument("into")
def merge(kind: str, slug: str, into: str) -> None:
    """Merge a type into another."""
    _decide({"action": "merge", "kind": kind, "slug": slug, "into": into})


@command.command()
@click.argument("kind")
@click.argument("slug")
def retire(kind: str, slug: str) -> None:
    """Retire a type: it is no longer asked for."""
    _decide({"action": "retire", "kind": kind, "slug": slug})


@command.command()
@click.argument("seq", type=int)
def undo(seq: int) -> None:
    """Take back the decision with this entry number."""
    _decide({"action": "undo", "undoes": seq})
