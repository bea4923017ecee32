"""`signals tickets`: every ticket as of the newest day, why it was filed or not, and a person's brakes on filing."""

import getpass
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from signals_assets.cli.printing import NO_DAY, json_option, show, write_json
from signals_assets.core.breakers import BREAKER_KIND
from signals_assets.core.deduplication import DEDUPLICATION_KIND
from signals_assets.core.taxonomy import fold
from signals_assets.core.tickets import LIFTED_KIND, PULL_REQUEST_KIND, TICKET_KINDS, kill_switch_is_on, ledger_tickets
from signals_assets.resources import resources_for
from signals_assets.resources.filing import (
    ACTION_KIND,
    AUDIT_KIND,
    DRAFT_KIND,
    FAILURE_KIND,
    FOREIGN_KIND,
    approve,
    lift,
    switch,
)
from signals_assets.resources.ledger import Entry
from signals_assets.settings import Settings

_NEWEST = "select * exclude (day) from ticket_states where day = (select max(day) from ticket_states)"
_LEVELS = """
select type, case when coalesce(slice, 'all') = 'all' then '' else slice_kind || ': ' || slice end as slice,
       level, lower_bound, ceiling, state, crossed, reason
from friction_levels where day = (select max(day) from friction_levels)
order by coalesce(slice_kind, 'all') <> 'all', level desc nulls last, type, slice
"""


@click.group(invoke_without_command=True)
@click.option("--open", "only_open", is_flag=True, help="Only tickets that are not closed.")
@click.option("--why", "friction_type", help="A friction type or ticket key: every decision about it, newest last.")
@json_option
@click.pass_context
def command(context: click.Context, only_open: bool, friction_type: str | None, json_file: str | None) -> None:
    """List tickets and the state of every threshold; --why explains filings and non-filings."""
    if context.invoked_subcommand:
        return
    doors = resources_for(Settings())
    if friction_type:
        found = _about(friction_type, doors["ledger"].entries([AUDIT_KIND, *_SAYS]))
        write_json(json_file, [_head(entry) | _plain(entry.payload) for entry in found])
        show(
            f"Decisions about {friction_type}", [_head(entry) | {"what": _what(entry)} for entry in found],
            empty="Nothing was decided about it: its level never crossed its threshold.",
        )  # fmt: skip
        types = {friction_type, *(entry.payload.get("type") for entry in found)}
        levels = [row for row in doors["warehouse"].query(_LEVELS).to_pylist() if row["type"] in types]
        show("Its thresholds on the newest day", levels, empty=NO_DAY)
        return
    tickets = doors["warehouse"].query(_NEWEST).to_pylist()
    if only_open:
        tickets = [row for row in tickets if row["state"] not in ("closed", "verified", "suppressed")]
    levels = doors["warehouse"].query(_LEVELS).to_pylist()
    entries = doors["ledger"].entries([*TICKET_KINDS, DRAFT_KIND])
    waiting = _waiting(entries)
    write_json(json_file, {"tickets": tickets, "levels": levels, "waiting": waiting})
    columns = ("ticket_key", "type", "component", "state", "filed_on", "released_in", "verdict", "reference")
    show("Tickets", [{name: row[name] for name in columns} for row in tickets])
    show("Thresholds", levels, empty=NO_DAY)
    if waiting:
        show("Not at the tracker", waiting, note="Read one: signals tickets draft KEY.")
    if kill_switch_is_on(entries):
        click.echo("The kill switch is on: nothing is filed or acted on (signals tickets resume).")


def _waiting(entries: Sequence[Entry]) -> list[dict[str, object]]:
    """Tickets that were reserved and did not reach the tracker, and texts that a brake held back."""
    tickets = ledger_tickets(entries)
    approved = {entry.key for entry in entries if entry.kind == "approval"}
    rows: list[dict[str, object]] = [
        {"ticket_key": ticket.key, "type": ticket.type, "day": ticket.filed_on, "waits for": "the tracker"}
        for ticket in tickets.values()
        if ticket.reference is None
    ]
    held = {entry.key.partition(":")[0]: entry for entry in entries if entry.kind == DRAFT_KIND}
    for key, entry in held.items():
        if key not in tickets:
            named = approved & {entry.payload["type"], entry.payload["cause_id"]}
            brake = "a brake: signals tickets --why KEY" if named else "signals tickets approve TYPE, or a brake"
            rows.append({"ticket_key": key, "type": entry.payload["type"], "day": entry.payload["filed_on"],
                         "waits for": brake})  # fmt: skip
    return rows


@command.command("draft")
@click.argument("key")
def draft_command(key: str) -> None:
    """Print the text of a ticket that is filed, or that a brake held back."""
    entries = resources_for(Settings())["ledger"].entries(["filing", DRAFT_KIND])
    found = [entry for entry in entries if entry.key.partition(":")[0] == key]
    if not found:
        raise click.ClickException(f"the ledger holds no text of {key}; signals tickets lists what there is")
    click.echo(f"# {found[-1].payload['title']}\n\n{found[-1].payload['body']}")


@command.command("approve")
@click.argument("subject", metavar="ID")
def approve_command(subject: str) -> None:
    """Let tickets of a friction type, or of one cause, be filed where the first needs approval."""
    ledger = resources_for(Settings())["ledger"]
    causes = {entry.payload.get("cause_id") for entry in ledger.entries(["filing", DRAFT_KIND, "diagnosis"])}
    if subject not in causes and subject not in fold(ledger.entries(["taxonomy"])).slugs("friction"):
        raise click.ClickException(f"{subject} is no friction type (signals taxonomy list) and no cause of the ledger")
    new = approve(ledger, subject, actor=getpass.getuser())
    click.echo(f"{subject}: approved; the next run of its type may file." if new else f"{subject}: approved before.")


@command.command("lift")
@click.argument("key")
def lift_command(key: str) -> None:
    """Let a suppressed cause have tickets again, after somebody has looked at why its fixes failed."""
    try:
        lift(resources_for(Settings())["ledger"], key, actor=getpass.getuser())
    except LookupError as error:
        raise click.ClickException(str(error.args[0])) from error
    click.echo(f"{key}: no longer suppressed; its friction reopens it or is filed when it crosses again.")


@command.command("stop")
def stop_command() -> None:
    """Turn the kill switch on: nothing is filed, commented, closed or reopened."""
    switch(resources_for(Settings())["ledger"], on=True, actor=getpass.getuser())
    click.echo("The kill switch is on. Measuring goes on; signals tickets resume turns it off.")


@command.command("resume")
def resume_command() -> None:
    """Turn the ledger's kill switch off; the one of the settings stays as it is."""
    settings = Settings()
    switch(resources_for(settings)["ledger"], on=False, actor=getpass.getuser())
    rest = " The one of the settings (tickets.kill_switch) is still on." if settings.tickets.kill_switch else ""
    click.echo(f"The kill switch of the ledger is off.{rest}")


_SAYS: Final[dict[str, tuple[str, ...]]] = {
    BREAKER_KIND: ("reasons",),
    DEDUPLICATION_KIND: ("component",),
    "diagnosis": ("component", "lever", "evidence"),
    "filing": ("component", "episode", "title"),
    "filed": ("reference",),
    DRAFT_KIND: ("component", "episode", "title"),
    FAILURE_KIND: ("ticket_key", "error"),
    ACTION_KIND: ("ticket_key", "kind"),
    "not_filed": ("ticket_key", "reason"),
    "approval": (),
    LIFTED_KIND: ("ticket_key", "actor"),
    FOREIGN_KIND: ("ticket_key",),
    "episode": ("created",),
    "stale": ("type",),
    "fix_draft": ("reason",),
    PULL_REQUEST_KIND: ("ticket_key", "url"),
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
    """What an entry is about; of the audit the crossings of a type and its episode are, and decisions to file."""
    payload = entry.payload
    if entry.kind != AUDIT_KIND:
        return {
            entry.key.partition(":")[0],
            entry.key,
            *(payload.get(name) for name in ("type", "ticket_key", "cause_id")),
        }
    if entry.key.startswith(_FILING):
        episode, _, rest = entry.key.removeprefix(_FILING).partition("@")
        return {episode.partition(":")[0], f"{episode}@{rest[:10]}", rest[11:].partition(":")[0], payload.get("key")}
    decision = payload.get("decision")
    if not isinstance(decision, Mapping) or not decision.get("crossed"):
        return set()
    return {payload["inputs"]["type"], decision["episode"]}


_FILING: Final = "filing:"
"""How the subject of an audited decision to file begins: then episode, cause, day, action, reason."""


def _head(entry: Entry) -> dict[str, object]:
    audited = "decided" if entry.key.startswith(_FILING) else "crossed"
    return {"seq": entry.seq, "day": entry.newest_day, "kind": audited if entry.kind == AUDIT_KIND else entry.kind}


def _what(entry: Entry) -> str:
    """One line about an entry: what was decided to file, or crossed, or recognised, else the fields of its kind."""
    if entry.kind == DEDUPLICATION_KIND:
        return _recognised(entry.payload)
    if entry.kind == AUDIT_KIND and entry.key.startswith(_FILING):
        return "; ".join(str(entry.payload[name]) for name in ("action", "reason", "key") if entry.payload[name])
    if entry.kind == AUDIT_KIND:
        return f"{entry.payload['decision']['episode']} on {entry.payload['inputs']['day']}"
    values = [entry.payload.get(name) for name in _SAYS[entry.kind]]
    texts = [", ".join(map(str, value)) if isinstance(value, list) else value for value in values]
    return "; ".join(str(text) for text in texts if text not in (None, ""))


def _recognised(payload: Mapping[str, Any]) -> str:
    """What a cause was recognised as among what others wrote, and how near the nearest of it is."""
    decided, evidence = payload["decided"], payload["evidence"]
    near = sorted(evidence, key=lambda one: (-_nearness(one), one["reference"]))[:3]
    compared = ", ".join(
        f"{one['what']} {one['reference']} (place: {one['place']}, {_nearness(one):.2f})" for one in near
    )
    said = f"{decided['action']} {decided['reference']}".strip()
    return f"{said}: {decided['reason']}; compared with {len(evidence)}, nearest {compared}"


def _nearness(evidence: Mapping[str, Any]) -> float:
    """How likely a text is about the cause, 0 to 1."""
    return float(evidence["alike"] if evidence["symptom"] is None else evidence["symptom"])


def _plain(payload: object) -> dict[str, object]:
    assert hasattr(payload, "items")
    return {name: value for name, value in payload.items() if isinstance(value, str | int | float | bool)}
