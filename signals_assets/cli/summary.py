"""What the demo found, from the tables: every figure with its size, interval and coverage.

Put here: the queries behind the printed summary. Not here: thinking; every number stands in a table already.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signals_assets.cli.printing import show
from signals_assets.settings import Settings

Doors = Mapping[str, Any]
Found = dict[str, object]

_SESSIONS = """
select (select count(*) from raw_sessions) as read,
       (select coalesce(sum(count), 0) from quarantine) as set_aside,
       (select count(*) from analysis_batches where eligible) as eligible,
       (select count(*) from analysis_batches where selected) as selected,
       (select count(*) from analyses where state = 'answered') as analysed,
       (select count(distinct user_id) from raw_sessions) as users,
       (select count(*) from raw_sessions where user_id is null) as without_user,
       (select count(distinct day) from raw_sessions) as days
"""
_RATES = """
select kind, type, rate, low, high, users, sessions, coverage from friction_rates
where day = (select max(day) from friction_rates) and slice_kind = 'all' and window_days = 7
order by kind desc, rate desc
"""
_RELEASES = """
select version, type, verdict, evidence, rate_before, rate_after, effect, low, high, q, released_on, day as seen_on
from release_correlations where evidence in ('confirmed', 'suspected')
qualify row_number() over (partition by version, type order by evidence = 'confirmed' desc, day) = 1
order by evidence, released_on, type
"""
_ERRORS = """
select template, service, type, verdict, observed, expected, ratio, low, high, q, users from error_correlations
where day = (select max(day) from error_correlations) and verdict = 'coincides' order by ratio desc
"""
_NEW = """
select kind, slug, users, sessions, days_seen, first_day, ready, waiting_for from taxonomy_proposals
where day = (select max(day) from taxonomy_proposals) order by ready desc, sessions desc limit 12
"""
_CLUSTERS = """
select level, kind, count(*) as clusters, sum(items) as items, max(outlier_share) as outlier_share
from clusters where day = (select max(day) from clusters) and change <> 'gone' group by all order by all
"""
_TICKETS = """
select ticket_key, type, component, state, filed_on, released_in, verdict, failed_fixes, reference
from ticket_states where day = (select max(day) from ticket_states) order by filed_on, ticket_key
"""
_FIXES = """
select ticket_key, type, version, verdict, rate_before, rate_after, effect, low, high, users_after, sessions_after
from fix_outcomes where day = (select max(day) from fix_outcomes) order by ticket_key
"""

SECTIONS = (
    ("Sessions", "sessions", _SESSIONS, ""),
    ("Friction and delight, last 7 days (share of sessions, 95 % interval by user)", "rates", _RATES, ""),
    ("Releases: what rose or fell with a version that sessions ran", "releases", _RELEASES,
     "confirmed: e-BH at 5 %; suspected: BH at q = 0.02; a rise files a ticket by itself only when confirmed"),
    ("Backend errors that coincide with friction (never: cause it)", "errors", _ERRORS, ""),
    ("The map of what sessions are about", "clusters", _CLUSTERS, ""),
    ("New categories proposed from what no category claims", "proposals", _NEW,
     "accept one with: signals taxonomy accept SLUG"),
    ("Tickets", "tickets", _TICKETS, ""),
    ("Fixes, measured on the sessions that ran them", "fixes", _FIXES, ""),
)  # fmt: skip


def collect(doors: Doors) -> Found:
    """Every section's rows by name."""
    warehouse = doors["warehouse"]
    zones = ("restricted", "abstracted", "published")
    return {name: warehouse.query(sql, zones=zones).to_pylist() for _, name, sql, _ in SECTIONS}


def print_summary(doors: Doors, settings: Settings) -> Found:
    """Print every section, and where tickets and the report are."""
    found = collect(doors)
    for title, name, _, note in SECTIONS:
        rows: Any = found[name]
        print()  # noqa: T201
        if name == "sessions":
            facts = rows[0]
            show(title, [{"what": key.replace("_", " "), "count": value} for key, value in facts.items()])
        else:
            show(title, rows, note=note)
    latest = Path(settings.home) / "reports" / "latest.html"
    found["report"] = str(latest) if latest.exists() else None
    print(f"\nReport: {found['report']}\nTickets: {Path(settings.home) / 'tickets'}")  # noqa: T201
    return found
