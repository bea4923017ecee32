"""`signals tickets`: every ticket as of the newest day, and why it was or was not filed."""

import click

from signals_assets.cli.printing import NO_DAY, json_option, show, write_json
from signals_assets.resources import resources_for
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
        rows = [
            {"seq": entry.seq, "day": entry.newest_day, "kind": entry.kind, **_plain(entry.payload)}
            for entry in doors["ledger"].entries(["decision", "filing", "filed", "not_filed", "verdict", "stale"])
            if friction_type in (entry.payload.get("type"), entry.payload.get("ticket_key"), entry.key)
        ]
        write_json(json_file, rows)
        show(
            f"Decisions about {friction_type}", rows,
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


def _plain(payload: object) -> dict[str, object]:
    assert hasattr(payload, "items")
    return {name: value for name, value in payload.items() if isinstance(value, str | int | float | bool)}
