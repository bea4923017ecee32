"""Section "What users came for".

Put here: intents by volume and friction. Not here: how intents are named (see `core/taxonomy.py`).
"""

from signals_assets.core import svg
from signals_assets.core.report.day import Day, Section
from signals_assets.core.report.markup import axis_top, resting_on, share_words, table_of, too_few
from signals_assets.core.svg import esc, percent, points


def what_users_came_for(at: Day) -> Section:
    """Intents by volume, with the share of their sessions that met friction."""
    section = ("intents", "What users came for")
    rows = sorted(at.rows("intent_trends"), key=lambda row: (-row["share"], row["intent"]))
    if not rows:
        return Section(*section, too_few(at, "intent"))
    top = axis_top([row["high"] for row in rows])
    lines = [
        [
            esc(_name(at, row["intent"])),
            svg.interval_bar(row["friction_rate"], row["low"], row["high"], top=top),
            f"{percent(row['friction_rate'])} <small>{percent(row['low'])} to {percent(row['high'])}</small>",
            percent(row["share"]) + ("" if row["change"] is None else f"<small>{points(row['change'])} points</small>"),
            share_words(row["success_rate"]),
            share_words(row["abandoned_rate"]),
            resting_on(row["sessions"], row["users"]),
        ]
        for row in rows
    ]
    heads = ["Intent", f"With friction, 0 to {percent(top)}", "Rate (95 %)", "Share", "Success", "Abandoned", "Over"]
    lead = "Intents by volume, with the share of their sessions that met friction of medium or high severity."
    worst = max(rows, key=lambda row: (row["friction_rate"], row["intent"]))
    said = f"Most friction per session: {_name(at, worst['intent']).lower()} ({percent(worst['friction_rate'])})"
    return Section(*section, lead, table_of(heads, lines, wide=1), [(said, "intent_trends")])


def _name(at: Day, intent: str) -> str:
    """An intent in words; `other` is what no intent claims, not the friction of that name."""
    return "Other" if intent == "other" else at.name(intent)
