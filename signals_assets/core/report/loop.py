"""Section "Tickets and fixes".

Put here: tickets on their way, verdicts on fixes. Not here: how a fix is judged (see `core/outcomes.py`).
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from signals_assets.core import svg
from signals_assets.core.charts import Rows, lanes
from signals_assets.core.report.day import Day, Section
from signals_assets.core.report.markup import (
    difference_cells,
    difference_head,
    difference_top,
    folded,
    number_of,
    rate_words,
    resting_on,
    table_of,
)
from signals_assets.core.report.methods import method_link
from signals_assets.core.svg import esc, percent, short_day


def before_after(at: Day, row: Mapping[str, Any]) -> str:
    """What a fix did to a type: its name and the rates before and after."""
    name = at.name(row["type"]).lower()
    if row["rate_before"] is None and row["rate_after"] is None:
        return name
    return f"{name} went from {rate_words(row['rate_before'])} to {rate_words(row['rate_after'])} of sessions"


def _metric_value(value: float, unit: str) -> str:
    return {"share": percent(value), "days": f"{value:.3g} {'day' if value == 1 else 'days'}"}.get(unit, f"{value:g}")


def tickets_and_fixes(at: Day) -> Section:
    """Tickets on their way, verdicts on fixes, how well the loop works."""
    section = ("loop", "Tickets and fixes")
    tickets = at.rows("ticket_states")
    if not tickets:
        return Section(*section, "No ticket has been filed yet.", _metrics(at))
    chosen = lanes(tickets, at.names)
    first = min(lane.stages[0][1] for lane in chosen)
    states = Counter(row["state"] for row in tickets)
    lead = f"{number_of(len(tickets), 'ticket')}: " + ", ".join(
        f"{n} {state.replace('_', ' ')}" for state, n in states.most_common()
    )
    body = (
        f'{svg.loop(chosen, first, at.day)}<div class="ends note"><span>{short_day(first)}</span>'
        f"<span>{short_day(at.day)}</span></div>{_fixes(at)}"
    )
    body += folded(f"All {len(tickets)} tickets", _tickets_table(at, tickets)) + _metrics(at)
    lines = [(f"{_fix_verdict(row)} {before_after(at, row)} ({row['version']})", "fix_outcomes")
             for row in at.rows("fix_outcomes")]  # fmt: skip
    return Section(*section, f"{lead}.", body, [(lead, "ticket_states"), *lines[:4]])


def _fix_verdict(row: Mapping[str, Any]) -> str:
    words = {"improved": "Fix works:", "regressed": "Fix made it worse:", "unchanged": "Fix changed nothing:"}
    return words.get(row["verdict"], "Fix cannot be judged yet:")


_FIX_MEANS: Final = {
    "improved": "Sure: it fell where the fix ran.", "regressed": "Sure: it rose where the fix ran.",
    "unchanged": "Shown: nothing that matters changed.", "inconclusive": "Nobody can tell yet.",
}  # fmt: skip


def _fixes(at: Day) -> str:
    rows = at.rows("fix_outcomes")
    if not rows:
        return ""
    top = difference_top(rows)
    lines = []
    for row in rows:
        tone, bar, effect = difference_cells(row, top)
        name = f"{esc(at.name(row['type']))} <small>{esc(row['ticket_key'])}, fixed in {esc(row['version'])}</small>"
        over = resting_on(row["sessions_after"], row["users_after"], f", {row['cohort']}")
        aside = f"<small>{esc(_FIX_MEANS[row['verdict']])}</small>"
        aside += f"<small>worse meanwhile: {esc(row['guardrails'])}</small>" if row["guardrails"] else ""
        lines.append([name, bar, effect, over, f'<span class="badge {tone}">{esc(row["verdict"])}</span>{aside}'])
    heads = ["Fix", difference_head(top), "Difference (95 %)", "Next cohort", "Verdict"]
    return table_of(heads, lines, wide=1) + method_link("method-fixes")


def _tickets_table(at: Day, tickets: Rows) -> str:
    lines = [
        [
            f"{esc(at.name(row['type']))}<small>{esc(row['component'])}</small>",
            _reference(row),
            esc(row["state"].replace("_", " ")),
            short_day(row["filed_on"]),
            esc(row["pull_request_id"] or "–"),
            esc(row["released_in"] or "–"),
        ]
        for row in sorted(tickets, key=lambda row: (row["filed_on"], row["ticket_key"]), reverse=True)
    ]
    return table_of(["Friction", "Ticket", "State", "Filed", "Pull request", "Released in"], lines)


def _reference(row: Mapping[str, Any]) -> str:
    """A link only where it leads to the web; a path of the machine that made the report helps nobody else."""
    if row["reference"].startswith("https://"):
        return f'<a href="{esc(row["reference"])}" rel="noreferrer">{esc(row["ticket_key"])}</a>'
    return f"<code>{esc(row['ticket_key'])}</code>"


def _metrics(at: Day) -> str:
    rows = [row for row in at.rows("loop_metrics") if row["value"] is not None]
    lines = [
        [
            esc(row["metric"].replace("_", " ").capitalize()),
            esc(_metric_value(row["value"], row["unit"])),
            f"n = {row['n']}" + (f" ({percent(row['coverage'])})" if (row["coverage"] or 1.0) < 1 else ""),
        ]
        for row in rows
    ]
    return table_of(["How well the loop works", "Value", "Over"], lines) if lines else ""
