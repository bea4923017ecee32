"""Sections "Backend errors that go with it" and "Early signs": what comes before what.

Put here: their words and pictures. Not here: the tests (see `core/error_association.py`,
`core/leading_indicators.py`).
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from signals_assets.core import svg
from signals_assets.core.charts import Going, rate_series, release_marks, span
from signals_assets.core.leading_indicators import ONE_MORE, WITHIN_STEPS
from signals_assets.core.report.day import FALSE_DISCOVERY, Day, Section
from signals_assets.core.report.markup import axis_top, dashed, folded, number_of, resting_on, table_of, too_few
from signals_assets.core.report.methods import method_link
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
    body = table_of(heads, lines) if lines else ""
    return Section(*section, lead, body + _beside(at, hits) + method_link("method-errors"), said)


def _beside(at: Day, hits: Sequence[Mapping[str, Any]]) -> str:
    """The days of each error under the friction that it coincides with, on one axis of time."""
    rates = rate_series(at.history("friction_rates"), at.names, until=at.day, restated=at.history("restated_rates"))
    series = {one.type: one for one in rates}
    pairs = [(row, series[row["type"]]) for row in hits if row["template_id"] in at.errors and row["type"] in series]
    ends = span(point.day for _, one in pairs for point in (*one.weekly, *one.daily))
    if ends is None or ends[0] == ends[1]:
        return ""
    marks = [mark for mark in release_marks(at.history("release_correlations"), until=at.day) if mark.day > ends[0]]
    figures = [
        f"<figure><figcaption><h3>{esc(one.name)}</h3></figcaption>{svg.trend(one, marks, *ends)}"
        '<p class="note">Below: share of each day\'s sessions with '
        f'<code class="template">{esc(row["template"])}</code></p>'
        f"{svg.day_bars(at.errors[row['template_id']], marks, *ends)}</figure>"
        for row, one in pairs
    ]
    note = "Above the friction, below the error, on the same days. A dash: too few to say, or none."
    return f'<p class="note">{note}</p><div class="trends">{"".join(figures)}</div>'


def early_signs(at: Day) -> Section:
    """What comes before sessions go wrong."""
    section = ("precedes", "Early signs")
    answered = [row for row in at.rows("leading_indicators") if row["difference"] is not None]
    asked = [row for row in at.rows("leading_indicators") if not _of_curve_alone(row)]
    rows = sorted(
        (row for row in asked if row["difference"] is not None),
        key=lambda row: (-row["difference"], row["indicator"], row["outcome"]),
    )
    unanswered = _unanswered(at, [row for row in asked if row["difference"] is None])
    if not rows:
        return Section(*section, too_few(at, "leading indicator"), unanswered)
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
    pictures = _survival(answered) + _curves(at, rows)
    return Section(*section, lead, pictures + body + unanswered + method_link("method-early"), lines)


_WITHIN: Final = re.compile(r"abandoned within (?P<steps>[0-9]+) steps")
_ANY: Final = "friction>=1"


def _of_curve_alone(row: Mapping[str, Any]) -> bool:
    """Whether a row is a point of the curve and nothing else: one distance stands in the tables, too."""
    found = _WITHIN.fullmatch(row["outcome"])
    return found is not None and int(found["steps"]) != WITHIN_STEPS


def _survival(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many sessions are not yet given up so many steps after their first friction, and of those without one."""
    found = {int(match["steps"]): row for row in rows if (match := _WITHIN.fullmatch(row["outcome"]))
             and row["indicator"] == _ANY}  # fmt: skip
    if len(found) < 2:
        return ""
    points = [Going(0, 1.0, 1.0, 1.0, 1.0)]
    for steps, row in sorted(found.items()):
        low, high = _ends(row)
        points.append(Going(steps, 1 - row["rate_with"], 1 - high, 1 - low, 1 - row["rate_without"]))
    last = points[-1]
    said = (
        f"{percent(last.share)} go on or ended otherwise {last.steps} steps after their first friction, "
        f"{percent(last.without)} of sessions that came as far without one (dashed)."
    )
    over = f"{dashed(found[last.steps]['sessions'])} sessions, {dashed(found[last.steps]['users'])} users"
    return (
        '<div class="trends"><figure><figcaption><h3>Not given up, by steps after the first friction</h3></figcaption>'
        f'{svg.survival(points)}<p class="note">{esc(said)} Over {esc(over)}. '
        "Band: 95\u202f% interval of the difference.</p>"
        "</figure></div>"
    )


def _unanswered(at: Day, rows: Sequence[Mapping[str, Any]]) -> str:
    """Questions that this volume cannot answer, each in words."""
    if not rows:
        return ""
    asked = [
        f"<li>After {esc(_condition(at, row['indicator']))}: {esc(_condition(at, row['outcome']))}?</li>"
        for row in sorted(rows, key=lambda row: (row["indicator"], row["outcome"]))
    ]
    return folded(
        f"{number_of(len(rows), 'question')} with not enough data for an answer", f"<ul>{''.join(asked)}</ul>"
    )


_TIMES: Final = re.compile(r"(?P<what>.+)>=(?P<times>[0-9]+)")


def _curves(at: Day, rows: Sequence[Mapping[str, Any]]) -> str:
    """Chance of an outcome after one, two, three ... of the same sign, where more than one stage may be told."""
    stages: dict[tuple[str, str], dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for row in rows:
        if found := _TIMES.fullmatch(row["indicator"]):
            stages[found["what"], row["outcome"]][int(found["times"])] = row
    figures = [
        _curve(at, what, outcome, by_times)
        for (what, outcome), by_times in sorted(stages.items())
        if len(by_times) > 1 or what.endswith(_STATEMENTS)
    ]
    if not figures:
        return ""
    note = (
        "Each tick is the chance after so many, with the 95 % interval of its difference from the open tick: the "
        "chance without it, or at the stage before."
    )
    return f'<p class="note">{note}</p><div class="curves">{"".join(figures)}</div>'


_STATEMENTS: Final = " statements"


def _curve(at: Day, what: str, outcome: str, by_times: Mapping[int, Mapping[str, Any]]) -> str:
    top = axis_top(value for row in by_times.values() for value in (row["rate_with"], row["rate_without"], *_ends(row)))
    lines = [
        [
            f"after {times}",
            svg.chance_bar(row["rate_with"], row["rate_without"], *_ends(row), top=top),
            f"{percent(row['rate_with'])} <small>{percent(row['rate_without'])} otherwise</small>",
            resting_on(row["sessions"], row["users"]),
        ]
        for times, row in sorted(by_times.items())
    ]
    name = at.name(what.removesuffix(_STATEMENTS)).lower()
    title = f"{_condition(at, outcome)} after k × {name}".capitalize()
    lasting = ""
    if what.endswith(_STATEMENTS):
        lasting = _lasting(by_times) if outcome == ONE_MORE else ""
        title = f"{_condition(at, outcome)} after k statements of the same ({name})".capitalize()
    table = table_of(["", f"Chance, 0 to {percent(top)}", "Chance", "Over"], lines, wide=1)
    return f'<figure class="curve"><figcaption><h3>{esc(title)}</h3></figcaption>{table}{lasting}</figure>'


def _lasting(by_times: Mapping[int, Mapping[str, Any]]) -> str:
    """How many of a hundred go on stage after stage: the chances multiplied."""
    left = 1.0
    parts: list[str] = []
    for times in range(min(by_times), max(by_times) + 1):
        if times not in by_times:
            break
        left *= by_times[times]["rate_with"]
        parts.append(f"{round(100 * left)} after {times}" if parts else f"{round(100 * left)} go on after {times}")
    if len(parts) < 2:
        return ""
    return f'<p class="note">Of 100 who came so far, {esc(", ".join(parts))}.</p>'


def _ends(row: Mapping[str, Any]) -> tuple[float, float]:
    """The interval of the chance with the sign, as far from the chance without as the difference may be."""
    low, high = row["rate_without"] + row["low"], row["rate_without"] + row["high"]
    return min(max(low, 0.0), row["rate_with"]), max(min(high, 1.0), row["rate_with"])


def _precedes_table(at: Day, rows: Sequence[Mapping[str, Any]]) -> str:
    top = axis_top(value for row in rows for value in (row["rate_without"], *_ends(row)))
    lines = [
        [
            (
                f"{esc(_condition(at, row['indicator']).capitalize())}"
                f"<small>then {esc(_condition(at, row['outcome']))}</small>"
            ),
            svg.chance_bar(row["rate_with"], row["rate_without"], *_ends(row), top=top),
            percent(row["rate_with"]),
            percent(row["rate_without"]),
            f"{points(row['difference'])} points<small>{points(row['low'])} to {points(row['high'])}</small>",
            _lead_words(row),
            resting_on(row["sessions"], row["users"]),
        ]
        for row in rows
    ]
    heads = ["First", f"Chance, 0 to {percent(top)}", "With it", "Without", "Difference (95 %)", "Warning time", "Over"]
    return table_of(heads, lines, wide=1)


def _condition(at: Day, text: str) -> str:
    """`repeated_rephrasing>=2` -> "repeated rephrasing at least twice"; `outcome=x` -> "the session ends x"."""
    if text.startswith("outcome="):
        return f"the session ends {text.removeprefix('outcome=').replace('_', ' ')}"
    what, _, times = text.partition(">=")
    if what.endswith(_STATEMENTS):
        return f"{times} statements of the same"
    often = {"": "", "1": "", "2": " at least twice"}.get(times, f" at least {times} times")
    return f"{at.name(what).lower()}{often}"


def _lead_words(row: Mapping[str, Any]) -> str:
    steps = "" if row["lead_steps"] is None else f"{row['lead_steps']:g} steps"
    minutes = "" if row["lead_minutes"] is None else f"<small>{row['lead_minutes']:g} minutes</small>"
    return f"{steps}{minutes}" or "–"
