"""What the demo found, from the tables: every figure with its size, interval and coverage.

Put here: the queries behind the printed summary. Not here: thinking; every number stands in a table already.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from signals_assets.cli.printing import show
from signals_assets.core.tickets import TICKET_KINDS, LedgerTicket, ledger_tickets
from signals_assets.settings import Settings

Doors = Mapping[str, Any]
Row = dict[str, Any]
Found = dict[str, Any]

QUERIES = {
    "sessions": """
        select (select count(*) from raw_sessions) as read,
               (select coalesce(sum(count), 0)::bigint from quarantine) as set_aside,
               (select count(*) from analysis_batches where eligible) as eligible,
               (select count(*) from analysis_batches where selected) as selected,
               (select count(*) from analyses where state = 'answered') as analysed,
               (select count(distinct user_id) from raw_sessions) as known_users,
               (select count(*) from raw_sessions where user_id is null) as without_known_user,
               (select count(*) from raw_sessions where start_known_from = 'file') as dated_by_their_file,
               (select count(distinct day) from raw_sessions) as days""",
    "totals": """
        with events as (
            select 'friction' as kind, type, session_id, source, confidence from friction_events
            union all select 'delight', type, session_id, source, confidence from delight_events
        )
        select kind, type, count(distinct session_id) as sessions,
               count(distinct session_id) / (select count(*) from session_metrics)::double as share,
               count(*) as moments
        from events where confidence >= 0.5 and (source = 'detector' or type = 'other') group by all
        order by kind desc, sessions desc, type""",
    "rates": """
        select * from friction_rates
        where day = (select max(day) from friction_rates) and slice_kind = 'all' and window_days = 7
        order by kind desc, rate desc, type""",
    "releases": """
        select * from release_correlations where evidence in ('confirmed', 'suspected')
        qualify row_number() over (partition by version, type order by evidence = 'confirmed' desc, day) = 1
        order by evidence, released_on, type, version""",
    "errors": """
        select * from error_correlations
        where day = (select max(day) from error_correlations) and verdict = 'coincides'
        order by ratio desc, template_id, type""",
    "clusters": """
        select level, kind, count(*) as clusters, sum(items)::bigint as items, max(outlier_share) as outlier_share
        from clusters where day = (select max(day) from clusters) and change <> 'gone'
        group by level, kind order by level, kind""",
    "themes": """
        select kind, users, sessions, change, terms
        from clusters where day = (select max(day) from clusters) and change <> 'gone' and level = 'theme'
        order by sessions desc, kind, cluster_id limit 8""",
    "proposals": """
        select * from taxonomy_proposals
        where day = (select max(day) from taxonomy_proposals)
        order by ready desc, kind = 'intent', sessions desc, proposal_id limit 12""",
    "tickets": """
        select * from ticket_states where day = (select max(day) from ticket_states) order by filed_on, ticket_key""",
    "fixes": """
        select * from fix_outcomes where day = (select max(day) from fix_outcomes) order by ticket_key""",
}


def collect(doors: Doors) -> Found:
    """Every section's rows by name, as stored."""
    zones = ("restricted", "abstracted", "published")
    return {name: doors["warehouse"].query(sql, zones=zones).to_pylist() for name, sql in QUERIES.items()}


def print_summary(doors: Doors, settings: Settings) -> Found:
    """Print every section, and where tickets and the report are; returns the rows for `--json`."""
    found = collect(doors)
    facts = found["sessions"][0]
    click.echo()
    show("Sessions", [{"what": name.replace("_", " "), "count": value} for name, value in facts.items()])
    if settings.audience == "self":
        click.echo()
        rows = [row | {"share": percent(row["share"])} for row in found["totals"]]
        show("Friction and delight in all sessions read", rows, note="other: of the analysed sessions only")
    else:
        found.pop("totals")
    for title, name, shown, note in _SECTIONS:
        click.echo()
        show(title, [shown(row) for row in found[name]], note=note)
    _tickets(found, doors, settings)
    latest = Path(settings.home) / "reports" / "latest.html"
    found["report"] = str(latest) if latest.exists() else None
    click.echo(f"\nReport: {found['report']}")
    return found


def _tickets(found: Found, doors: Doors, settings: Settings) -> None:
    known = {row["ticket_key"]: row for row in found["tickets"]}
    tickets = list(ledger_tickets(doors["ledger"].entries(TICKET_KINDS)).values())
    rows = []
    for ticket in tickets:
        row = known.get(ticket.key, {})
        verdict = ticket.verdicts[-1][1] if ticket.verdicts else None
        rows.append(
            {
                "ticket": ticket.key, "type": ticket.type, "component": ticket.component, "now": ticket.state,
                "filed on": ticket.filed_on, "pull request": row.get("pull_request_id"),
                "fix in": row.get("released_in"), "verdict": verdict,
                "path": ticket.reference and str(settings.home / ticket.reference),
            }
        )  # fmt: skip
    click.echo()
    show("Tickets", rows)
    for line in turns(tickets, known):
        click.echo(line)


_TOLD: Final = {
    "improved": "the fix worked, and the ticket was closed",
    "unchanged": "the fix made no difference that matters",
    "regressed": "the fix made it worse",
}


def turns(tickets: Sequence[LedgerTicket], known: Mapping[str, Row]) -> list[str]:
    """A sentence for each whole turn of the loop: ticket, pull request, release, measured verdict, what followed.

    known: rows of `ticket_states` by ticket key; they name the newest pull request.
    """
    lines, given = [], [verdict for ticket in tickets for _, verdict in ticket.verdicts]
    for ticket in tickets:
        row = known.get(ticket.key, {})
        for version, verdict in ticket.verdicts:
            fix = f"{row['pull_request_id']}, " if row.get("released_in") == version else ""
            suppressed = ticket.state == "suppressed" and version == ticket.verdicts[-1][0]
            failed = ", and a person has to look" if suppressed else ", and the ticket was reopened"
            lines.append(
                f"  {ticket.key} ({ticket.type}): filed on {ticket.filed_on}; {fix}shipped in {version}; measured on "
                f"the sessions that ran it: {_TOLD[verdict]}{'' if verdict == 'improved' else failed}."
            )
    worked = given.count("improved")
    head = f"Whole turns of the loop: {worked} with a fix that worked, {len(given) - worked} with one that did not."
    return [head, *lines] if lines else []


def percent(value: float | None) -> str | None:
    """A share in per cent."""
    return None if value is None else f"{100 * value:.1f} %"


def interval(row: Mapping[str, Any], unit: Callable[[float | None], str | None] = percent) -> str | None:
    """The row's interval."""
    return None if row["low"] is None else f"{unit(row['low'])} to {unit(row['high'])}"


def points(value: float | None) -> str | None:
    """A difference of shares in percentage points."""
    return None if value is None else f"{100 * value:+.1f}"


def _rate(row: Row) -> Row:
    return {
        "kind": row["kind"], "type": row["type"], "share of sessions": percent(row["rate"]),
        "95 % interval": interval(row), "users": row["users"], "sessions": row["sessions"],
        "coverage": percent(row["coverage"]), "severe": percent(row["severe_share"]), "source": row["source"],
    }  # fmt: skip


def _release(row: Row) -> Row:
    return {
        "version": row["version"], "released": row["released_on"], "type": row["type"], "verdict": row["verdict"],
        "evidence": row["evidence"], "seen on": row["day"], "before": percent(row["rate_before"]),
        "after": percent(row["rate_after"]), "effect in points": points(row["effect"]),
        "95 % interval": interval(row, points), "q": row["q"], "family": row["comparisons"],
    }  # fmt: skip


def _error(row: Row) -> Row:
    return {
        "service": row["service"], "template": row["template"], "friction": row["type"], "observed": row["observed"],
        "expected": row["expected"], "ratio": row["ratio"], "95 % interval": f"{row['low']} to {row['high']}",
        "q": row["q"], "users": row["users"], "method": row["method"],
    }  # fmt: skip


def _cluster(row: Row) -> Row:
    return row | {"outlier_share": percent(row["outlier_share"])}


def _proposal(row: Row) -> Row:
    return {
        "kind": row["kind"], "slug": row["slug"], "users": row["users"], "sessions": row["sessions"],
        "days": row["days_seen"], "since": row["first_day"], "nearest": row["nearest"],
        "stability": row["stability"], "ready": "yes" if row["ready"] else f"no: {row['waiting_for']}",
    }  # fmt: skip


def _fix(row: Row) -> Row:
    return {
        "ticket": row["ticket_key"], "type": row["type"], "fix in": row["version"], "verdict": row["verdict"],
        "before": percent(row["rate_before"]), "after": percent(row["rate_after"]),
        "effect in points": points(row["effect"]), "95 % interval": interval(row, points),
        "users": row["users_after"], "sessions": row["sessions_after"],
    }  # fmt: skip


_SECTIONS: tuple[tuple[str, str, Callable[[Row], Row], str], ...] = (
    ("Friction and delight over the last 7 days (intervals by user)", "rates", _rate, ""),
    ("Releases: what rose or fell with the version that sessions ran", "releases", _release,
     "confirmed: e-BH at 5 %; suspected: Benjamini-Hochberg at q = 0.02; only a confirmed rise files a ticket"),
    ("Backend errors that coincide with friction (never: that cause it)", "errors", _error, ""),
    ("The map: patterns and themes of four weeks", "clusters", _cluster, ""),
    ("The largest themes, in their most distinctive words", "themes", dict, ""),
    ("New categories proposed from what no category claims", "proposals", _proposal,
     "accept one with: signals taxonomy accept SLUG"),
    ("Fixes, measured on the sessions that ran them", "fixes", _fix, ""),
)  # fmt: skip
