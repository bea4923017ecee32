"""`signals evidence TICKET`: the events behind a ticket, zone by zone; each reading is audited before it is shown."""

import getpass
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
import orjson

from signals_assets.cli.printing import json_option, show, write_json
from signals_assets.core.tickets import TICKET_KINDS, LedgerTicket, ledger_tickets
from signals_assets.resources import resources_for
from signals_assets.resources.filing import note_reading
from signals_assets.resources.warehouse import Warehouse
from signals_assets.settings import Settings
from signals_assets.tables import RawSession
from signals_assets.zones import ZONES

_PUBLISHED: Final = """
select day, level, lower_bound, ceiling, state, crossed, reason from friction_levels
where type = ? and slice = 'all' order by day desc limit ?
"""
_EVENTS: Final = """
select day, event_id, session_id, steps, severity, component, source, confidence, citation from friction_events
where event_id in (select event_id from causes where cause_id = ?) order by day desc, event_id limit ?
"""


@click.command()
@click.argument("ticket")
@click.option(
    "--zone", "zones", multiple=True, type=click.Choice(ZONES), help="Zones to open (default: not restricted)."
)
@click.option("--limit", default=20, show_default=True, help="Days and events to show at the most, newest first.")
@json_option
def command(ticket: str, zones: tuple[str, ...], limit: int, json_file: str | None) -> None:
    """Show what a ticket rests on: levels (published), events (abstracted), and the words themselves (restricted).

    Whoever reads needs access to the zone's files, and to the ledger: a reading that cannot be audited is refused.
    """
    doors = resources_for(Settings())
    found = ledger_tickets(doors["ledger"].entries(TICKET_KINDS)).get(ticket)
    if found is None:
        raise click.ClickException(f"the ledger knows no ticket {ticket}; signals tickets lists them")
    opened = [zone for zone in ZONES if zone in (zones or ("abstracted", "published"))]
    note_reading(doors["ledger"], ticket, opened, actor=getpass.getuser())
    shown = evidence(doors["warehouse"], found, opened, limit)
    write_json(json_file, shown)
    titles = {"published": "Levels of its type", "abstracted": "Events of its cause", "restricted": "What was said"}
    for zone, rows in shown.items():
        show(f"{titles[zone]} ({zone})", rows, empty="Nothing is stored, or it has expired.")


def evidence(
    warehouse: Warehouse, ticket: LedgerTicket, zones: Sequence[str], limit: int
) -> dict[str, list[dict[str, Any]]]:
    """Rows by zone, the most public first; a zone that was not asked for is not read."""
    rows: dict[str, list[dict[str, Any]]] = {}
    if "published" in zones:
        rows["published"] = warehouse.query(_PUBLISHED, [ticket.type, limit], zones=["published"]).to_pylist()
    if "abstracted" not in zones and "restricted" not in zones:
        return rows
    events = warehouse.query(_EVENTS, [ticket.cause_id, limit], zones=["abstracted"]).to_pylist()
    if "abstracted" in zones:
        rows["abstracted"] = events
    if "restricted" in zones:
        rows["restricted"] = [line for event in events for line in _said(warehouse, event)]
    return rows


def _said(warehouse: Warehouse, event: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps that are an event's evidence, as the session has them."""
    stored = warehouse.read(RawSession, event["day"], columns=["session_id", "session"]).to_pylist()
    session = next((row["session"] for row in stored if row["session_id"] == event["session_id"]), None)
    steps = [] if session is None else orjson.loads(session)["steps"]
    return [
        {
            "event_id": event["event_id"],
            "step": number,
            "kind": steps[number]["kind"],
            "tool": steps[number].get("tool_name"),
            "text": steps[number].get("text") or "",
        }
        for number in event["steps"]
        if number < len(steps)
    ]
