"""`signals tickets`: every ticket as of the newest day, and why it was or was not filed."""

from collections.abc import Mapping, Sequence
from typing import Final

import click

from signals_assets.cli.printing import NO_DAY, json_option, show, write_json
from signals_assets.resources import resources_for
from signals_assets.resources.filing import AUDIT_KIND
from signals_assets.resources.ledger import Entry
from signals_assets.settings import Settings

_NEWEST = "select * exclude (day) from ticket_states where day = (select max(day) from ticket_states)"
_LEVELS = """
select type, level, lower_bound, ceiling, state, crossed, reason from friction_levels
where day = (select max(day) from friction_levels) and slice = 'all' order by level desc nulls last
"""


@click.command()
@click.option("--open", "only_open", is_flag=True, help="Only tickets that are not closed.")
@click.option("--why", "friction_type", help="A friction type or ticket key: every decision about it, newest last.")
@json_option
def command(only_open: bool, friction_type: str | None, json_file: str | None) -> None:
    """List tickets and the state of every threshold; --why explains filings and non-filings."""
    doors = resources_for(Settings())
    if friction_type:
        found = _about(friction_type, doors["ledger"].entries([AUDIT_KIND, *_SAYS]))
        write_json(json_file, [_head(entry) | _plain(entry.payload) for entry in found])
        show(
            f"Decisions about {friction_type}", [_head(entry) | {"what": _what(entry)} for entry in found],
            empty="Nothing was decided about it: its level never crossed its threshold (signals tickets lists levels).",
        )  # fmt: skip
        return
    tickets = doors["warehouse"].query(_NEWEST).to_pylist()
    if only_open:
        tickets = [row for row in tickets if row["state"] not in ("closed", "verified", "suppressed")]
    levels = doors["warehouse"].query(_LEVELS).to_pylist()
    write_json(json_file, {"tickets": tickets, "levels": levels})
    columns = ("ticket_key", "type", "component", "state", "filed_on", "released_in", "verdict", "reference")
    show("Tickets", [{name: row[name] for name in columns} for row in tickets])
    show("Thresholds", levels, empty=NO_DAY)


_SAYS: Final[dict[str, tuple[str, ...]]] = {
    "diagnosis": ("component", "lever", "evidence"),
    "filing": ("component", "episode", "title"),
    "filed": ("reference",),
    "not_filed": ("ticket_key", "reason"),
    "approval": (),
    "episode": ("created",),
    "stale": ("type",),
    "fix_draft": ("reason",),
    "verdict": ("ticket_key", "version", "verdict"),
    "ticket_state": ("ticket_key", "state"),
}
"""Kinds of ledger entries about tickets, and what is printed of each."""


def _about(asked: str, entries: Sequence[Entry]) -> list[Entry]:
    """Entries about a friction type, or about a ticket: its cause, its episode and the crossing that opened it."""
    names = {asked}
    for entry in entries:
        if entry.kind == "filing" and entry.key == asked:
            names |= {entry.payload["cause_id"], entry.payload["episode"]}
    return [entry for entry in entries if not names.isdisjoint(_subjects(entry))]


def _subjects(entry: Entry) -> set[object]:
    """What an entry is about; of the audit only the crossings of a type and its episode are."""
    payload = entry.payload
    if entry.kind != AUDIT_KIND:
        return {entry.key, *(payload.get(name) for name in ("type", "ticket_key", "cause_id"))}
    decision = payload.get("decision")
    if not isinstance(decision, Mapping) or not decision.get("crossed"):
        return set()
    return {payload["inputs"]["type"], decision["episode"]}


def _head(entry: Entry) -> dict[str, object]:
    return {"seq": entry.seq, "day": entry.newest_day, "kind": "crossed" if entry.kind == AUDIT_KIND else entry.kind}


def _what(entry: Entry) -> str:
    """One line about an entry: the episode and day of a crossing, else the fields of its kind."""
    if entry.kind == AUDIT_KIND:
        return f"{entry.payload['decision']['episode']} on {entry.payload['inputs']['day']}"
    values = [entry.payload.get(name) for name in _SAYS[entry.kind]]
    texts = [", ".join(map(str, value)) if isinstance(value, list) else value for value in values]
    return "; ".join(str(text) for text in texts if text not in (None, ""))


def _plain(payload: object) -> dict[str, object]:
    assert hasattr(payload, "items")
    return {name: value for name, value in payload.items() if isinstance(value, str | int | float | bool)}
