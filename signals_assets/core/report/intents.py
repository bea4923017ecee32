"""Section "What users came for".

Put here: intents by what they cost. Not here: how intents are named (see `core/taxonomy.py`).
"""

from collections.abc import Mapping
from typing import Any, Final

from signals_assets.core import svg
from signals_assets.core.report.day import Day, Section
from signals_assets.core.report.markup import axis_top, resting_on, share_words, table_of, too_few
from signals_assets.core.svg import esc, percent, points


def what_users_came_for(at: Day) -> Section:
    """Intents by what they cost: the share of all sessions that had the intent and met friction."""
    section = ("intents", "What users came for")
    rows = sorted(at.rows("intent_trends"), key=lambda row: (-row["cost"], -row["share"], row["intent"]))
    if not rows:
        return Section(*section, too_few(at, "intent"))
    top = axis_top([row["high"] for row in rows])
    lines = [
        [
            esc(_name(at, row["intent"])),
            percent(row["cost"]),
            svg.interval_bar(row["friction_rate"], row["low"], row["high"], top=top),
            f"{percent(row['friction_rate'])} <small>{percent(row['low'])} to {percent(row['high'])}</small>"
            + _changed(row),
            percent(row["share"]) + ("" if row["change"] is None else f"<small>{points(row['change'])} points</small>"),
            share_words(row["success_rate"]),
            share_words(row["abandoned_rate"]),
            resting_on(row["sessions"], row["users"]),
        ]
        for row in rows
    ]
    heads = [
        "Intent", "Costs", f"With friction, 0 to {percent(top)}", "Rate (95 %)", "Share", "Success", "Abandoned",
        "Over",
    ]  # fmt: skip
    lead = (
        "What costs most comes first: the share of all sessions that had the intent and met friction of medium or high "
        "severity. Changes are against the week before; better and worse are said where they are shown."
    )
    worst = rows[0]
    said = f"Costs most: {_name(at, worst['intent']).lower()} ({percent(worst['cost'])} of all sessions)"
    return Section(*section, lead, table_of(heads, lines, wide=1), [(said, "intent_trends")])


_VERDICTS: Final[Mapping[str, str]] = {"improved": "better", "regressed": "worse", "unchanged": "unchanged"}


def _changed(row: Mapping[str, Any]) -> str:
    """What became of an intent's friction, where that is shown."""
    if row["verdict"] not in _VERDICTS or row["friction_change"] is None:
        return ""
    return f"<small>{_VERDICTS[row['verdict']]} ({points(row['friction_change'])} points)</small>"


def _name(at: Day, intent: str) -> str:
    """An intent in words; `other` is what no intent claims, not the friction of that name."""
    return "Other" if intent == "other" else at.name(intent)
