"""`signals review`: a blind queue of found moments; a person confirms or rejects what detectors and analyst claim.

Shows admitted text only: the description of the moment, the summary of its session, the type and its definition. Not
who found it, whose session it is, or a word of it. So a verdict says whether what was described is such a moment, not
whether it was described rightly. Verdicts are ledger entries; they count from the next day on.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click
import orjson

from signals_assets.cli.printing import NO_DAY, json_option, show, write_json
from signals_assets.core.identity import pseudonym
from signals_assets.core.review import (
    REVIEW_KIND,
    Moment,
    ReviewError,
    precision,
    queue,
    review_key,
    review_payload,
    verdicts,
)
from signals_assets.core.taxonomy import Taxonomy, fold
from signals_assets.resources import resources_for
from signals_assets.settings import Settings
from signals_assets.tables import AbstractedSummary, DelightEvent, FrictionEvent

KEYS: Final = {"c": "confirm", "r": "reject", "w": "wrong_type", "s": "skip"}
ASK: Final = "[c]onfirm, [r]eject, [w]rong type, [s]kip, [q]uit"


@click.command()
@click.option("--reviewer", help="Your name; only a keyed hash of it is stored. Default: the account's.")
@click.option("--days", default=7, show_default=True, help="From how many of the newest days moments are taken.")
@click.option("--size", default=20, show_default=True, help="How many moments.")
@click.option("--seed", default=0, show_default=True, help="Of the order.")
@click.option("--verdicts", "verdicts_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help='JSON lines instead of questions: event_id, verdict and, of wrong_type, type.')  # fmt: skip
@click.option("--show", "shows", is_flag=True, help="How right each source is by the verdicts so far.")
@json_option
def command(
    reviewer: str | None,
    days: int,
    size: int,
    seed: int,
    verdicts_file: Path | None,
    shows: bool,
    json_file: str | None,
) -> None:
    """Judge found moments without knowing who found them. With --json, writes the queue and asks nothing."""
    doors = resources_for(Settings())
    if shows:
        _show(doors, json_file)
        return
    taxonomy = fold(doors["ledger"].entries(["taxonomy"]))
    events = _events(doors["warehouse"], days)
    name = reviewer or os.environ.get("USER") or f"user {os.getuid()}"
    hashed = pseudonym("reviewer", name, doors["pseudonym_key"].bytes())
    if verdicts_file is not None:
        given = _given(verdicts_file)
        click.echo(f"{_note(doors, events, given, taxonomy, hashed)} of {len(given)} verdicts are new")
        return
    reviewed = {entry.key for entry in doors["ledger"].entries([REVIEW_KIND])}
    moments = queue(events.values(), _summaries(doors["warehouse"], days), taxonomy, reviewed, size=size, seed=seed)
    if json_file is not None:
        write_json(json_file, [asdict(moment) for moment in moments])
    elif not moments:
        click.echo(f"Nothing to judge in the newest {days} days. {NO_DAY}" if not events else "All of it is judged.")
    else:
        _ask(doors, events, moments, taxonomy, hashed)


def _show(doors: Mapping[str, Any], json_file: str | None) -> None:
    rows = precision(verdicts(doors["ledger"].entries([REVIEW_KIND])))
    write_json(json_file, rows)
    show("Confirmed by persons", rows, empty="Nobody has judged anything yet: signals review.",
         note="precision: share of the judged that were confirmed, with Wilson's 95 % interval")  # fmt: skip


def _newest(warehouse: Any, model: Any, days: int) -> list[Any]:
    return list(sorted(warehouse.days(model))[-days:])


def _events(warehouse: Any, days: int) -> dict[str, dict[str, Any]]:
    """Events of the newest days by id, with their kind."""
    columns = ["day", "event_id", "session_id", "type", "severity", "citation", "source"]
    return {
        row["event_id"]: row | {"kind": kind}
        for kind, model in (("friction", FrictionEvent), ("delight", DelightEvent))
        for row in warehouse.read(model, _newest(warehouse, model, days), columns=columns).to_pylist()
    }


def _summaries(warehouse: Any, days: int) -> dict[str, str | None]:
    stored = _newest(warehouse, AbstractedSummary, days)
    rows = warehouse.read(AbstractedSummary, stored, columns=["session_id", "summary"]).to_pylist()
    return {row["session_id"]: row["summary"] for row in rows}


def _given(path: Path) -> list[dict[str, Any]]:
    """Verdicts from a file."""
    given = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            one = orjson.loads(line)
        except orjson.JSONDecodeError:
            one = None
        if not isinstance(one, dict) or not {"event_id", "verdict"} <= one.keys() <= {"event_id", "verdict", "type"}:
            raise click.ClickException(f"{path.name}, line {number}: not an object of event_id, verdict and type")
        given.append(one)
    return given


def _note(
    doors: Mapping[str, Any],
    events: Mapping[str, Mapping[str, Any]],
    given: Iterable[Mapping[str, Any]],
    taxonomy: Taxonomy,
    reviewer: str,
) -> int:
    """Write verdicts into the ledger, all or none; returns how many were new: nothing is judged twice."""
    entries = []
    for one in given:
        event = events.get(one["event_id"])
        if event is None:
            raise click.ClickException(f"{one['event_id']}: no such event in the newest days; see --days")
        try:
            payload = review_payload(event, one["verdict"], one.get("type"), taxonomy, reviewer=reviewer)
        except ReviewError as error:
            raise click.ClickException(str(error)) from None
        entries.append((review_key(event["event_id"]), payload))
    new: int = doors["ledger"].append_many(REVIEW_KIND, entries)
    return new


def _ask(
    doors: Mapping[str, Any],
    events: Mapping[str, Mapping[str, Any]],
    moments: Sequence[Moment],
    taxonomy: Taxonomy,
    reviewer: str,
) -> None:
    """One moment after the other; each verdict is kept at once, so that one may stop anywhere."""
    done = 0
    for number, moment in enumerate(moments, 1):
        click.echo(_shown(moment, f"{number} of {len(moments)}"))
        key = click.prompt(ASK, type=click.Choice([*KEYS, "q"]), show_choices=False)
        if key == "q":
            break
        one = {"event_id": moment.event_id, "verdict": KEYS[key]}
        if key == "w":
            others = [slug for slug in taxonomy.slugs(moment.kind) if slug != moment.type]
            one["type"] = click.prompt("The right type", type=click.Choice(others))
        done += _note(doors, events, [one], taxonomy, reviewer)
    click.echo(f"{done} judged; signals review --show tells what they say so far")


def _shown(moment: Moment, place: str) -> str:
    severity = f", severity {moment.severity}" if moment.severity else ""
    return "\n".join([
        "", f"{place}: {moment.name} ({moment.kind}{severity})",
        f"  type     {moment.definition or moment.type}",
        f"  moment   {moment.citation or 'no description was admitted'}",
        f"  session  {moment.summary or 'no summary was admitted'}",
    ])  # fmt: skip
