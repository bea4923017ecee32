"""Sections "Backend errors that go with it" and "Early signs": what comes before what.

Put here: their words and pictures. Not here: the tests (see `core/within_sessions.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from signals_assets.core.report.day import FALSE_DISCOVERY, Day, Section
from signals_assets.core.report.markup import folded, number_of, resting_on, table_of, too_few
from signals_assets.core.svg import esc, percent, points


def backend_errors(at: Day) -> Section:
    """Errors of the backend that coincide with friction."""
    section = ("errors", "Backend errors that go with it")
    rows = at.rows("error_correlations")
    hits = sorted(
        (row for row in rows if row["verdict"] == "coincides"), key=lambda row: (-(row["ratio"] or 0), row["type"])
    )
    if not rows:
        return Section(*section, "No backend errors were compared with friction on this day.")
    family = max(row["comparisons"] for row in rows)
    lead = (
        f"{number_of(len(hits), 'pair')} of error and friction among {family} coincide more often than chance allows. "
    )
    lead += "Coincides is not causes: the error comes shortly before the friction in the same sessions."
    lines = [
        [
            f'<code class="template">{esc(row["template"])}</code><small>{esc(row["service"])}</small>',
            esc(at.name(row["type"])),
            f"{row['ratio']:.1f} times<small>{row['low']:.1f} to {row['high']:.1f}</small>",
            f"{row['observed']:g}<small>{row['expected']:g} expected by chance</small>",
            resting_on(row["sessions"], row["users"]),
            "–" if row["q"] is None else f"{row['q']:.2g}",
        ]
        for row in hits
        if None not in (row["ratio"], row["low"], row["high"], row["observed"], row["expected"])
    ]
    heads = ["Error", "Friction", "Ratio (95 % interval)", "Observed", "Over", "q"]
    said = [
        (
            f"{at.name(row['type'])} coincides with {row['template']} ({row['ratio']:.1f} times chance)",
            "error_correlations",
        )
        for row in hits[:3]
        if row["ratio"] is not None
    ]
    return Section(*section, lead, table_of(heads, lines) if lines else "", said)


def early_signs(at: Day) -> Section:
    """What comes before sessions go wrong."""
    section = ("precedes", "Early signs")
    rows = sorted(at.rows("leading_indicators"), key=lambda row: (-row["difference"], row["indicator"], row["outcome"]))
    if not rows:
        return Section(*section, too_few(at, "leading indicator"))
    telling = [row for row in rows if row["low"] > 0 and (row["q"] is None or row["q"] <= FALSE_DISCOVERY)]
    body = _precedes_table(at, telling) if telling else ""
    rest = [row for row in rows if row not in telling]
    if rest:
        body += folded(f"{number_of(len(rest), 'pair')} without a clear difference", _precedes_table(at, rest))
    lines = [
        ((f"After {_condition(at, row['indicator'])}, {_condition(at, row['outcome'])} in "
         f"{percent(row['rate_with'])} of cases ({percent(row['rate_without'])} otherwise)"), "leading_indicators")
        for row in telling[:3]
    ]  # fmt: skip
    lead = "What came before sessions went wrong, against sessions of the same length in which it did not happen."
    return Section(*section, lead, body, lines)


def _precedes_table(at: Day, rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        [
            (
                f"{esc(_condition(at, row['indicator']).capitalize())}"
                f"<small>then {esc(_condition(at, row['outcome']))}</small>"
            ),
            percent(row["rate_with"]),
            percent(row["rate_without"]),
            f"{points(row['difference'])} points<small>{points(row['low'])} to {points(row['high'])}</small>",
            _lead_words(row),
            resting_on(row["sessions"], row["users"]),
        ]
        for row in rows
    ]
    return table_of(["First", "With it", "Without", "Difference (95 %)", "Warning time", "Over"], lines)


def _condition(at: Day, text: str) -> str:
    """`repeated_rephrasing>=2` -> "repeated rephrasing at least twice"; `outcome=x` -> "the session ends x"."""
    if text.startswith("outcome="):
        return f"the session ends {text.removeprefix('outcome=').replace('_', ' ')}"
    what, _, times = text.partition(">=")
    often = {"": "", "1": "", "2": " at least twice"}.get(times, f" at least {times} times")
    return f"{at.name(what).lower()}{often}"


def _lead_words(row: Mapping[str, Any]) -> str:
    steps = "" if row["lead_steps"] is None else f"{row['lead_steps']:g} steps"
    minutes = "" if row["lead_minutes"] is None else f"<small>{row['lead_minutes']:g} minutes</small>"
    return f"{steps}{minutes}" or "–"
