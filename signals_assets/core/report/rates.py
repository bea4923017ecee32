"""Sections "What hurts most" and "What delighted": rates with their intervals, and their trends.

Put here: words and tables of rates. Not here: how rates are counted (see `core/correlations.py`).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from signals_assets.core import svg
from signals_assets.core.charts import ANALYST_CHANGED, WEEK, Mark, Rows, Series, rate_series, release_marks, span
from signals_assets.core.report.day import Day, Section
from signals_assets.core.report.markup import axis_top, folded, resting_on, table_of, too_few
from signals_assets.core.report.methods import method_link
from signals_assets.core.svg import esc, percent, short_day
from signals_assets.core.tickets import sliced

PUBLIC: Final = (
    "Share of the day's users with each kind of friction, with noise (differential privacy): each user counts in few "
    "kinds a day, a kind that few met is absent. "
    "Weeks, versions, intents, causes, releases, fixes and coverage are not shown."
)

TRENDS: Final = 6
"""Pictures shown at once; the others stand behind a fold."""


def what_hurts(at: Day) -> Section:
    """Friction by rate, with ceilings and trends."""
    section = ("hurts", "What hurts most")
    today = at.rows("friction_rates")
    series = rate_series(today, at.names, until=at.day)
    if not series:
        return Section(*section, too_few(at, "friction rate"))
    levels = {row["type"]: row for row in at.rows("friction_levels") if row["slice"] == "all"}
    order = [(one.type, one.source) for one in series]
    body = _rates_table(at, [_row_of(today, *key) for key in order], "friction", levels)
    others = [row for row in _overall(today, "friction") if (row["type"], row["source"]) not in order]
    if others:
        body += folded("The same as the analyst sees it (on sampled sessions, weighted)",
                      _rates_table(at, others, "friction", {}))  # fmt: skip
    parts = _parts_over(at)
    body += _parts_table(at, parts) + _trends(at, "friction") + method_link("method-rates")
    top = series[0].newest
    lead = f"Share of sessions with each kind of friction, trailing {_window(today)}."
    lead = PUBLIC if at.audience == "public" else lead
    lines = [
        ((f"{one.name}: {percent(one.newest.value)} of sessions "
         f"({percent(one.newest.low)} to {percent(one.newest.high)})"), "friction_rates")
        for one in series[:3] if one.newest
    ]  # fmt: skip
    lines += [
        (f"{at.name(row['type'])}: {row['reason']}", "friction_levels") for row in levels.values() if row["crossed"]
    ]
    lines += [(row["reason"], "friction_levels") for row in parts if row["crossed"]]
    return Section(*section, lead if top else "", body, lines)


def _parts_over(at: Day) -> list[Mapping[str, Any]]:
    """Levels of slices and severities that are over their ceilings and may be told, those that crossed today first."""
    over = [
        row
        for row in at.rows("friction_levels")
        if row["slice"] != "all" and row["state"] in _OVER and row["level"] is not None
    ]
    return sorted(
        over, key=lambda row: (not row["crossed"], -row["level"], row["type"], row["slice_kind"], row["slice"])
    )


_OVER: Final = ("crossed", "over", "rising", "cooldown", "recovering", "suppressed")


def _parts_table(at: Day, rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    cells = [
        [
            esc(at.name(row["type"]) + sliced(row)),
            f"{percent(row['level'])} <small>at least {percent(row['lower_bound'] or 0.0)}</small>",
            percent(row["ceiling"]),
            resting_on(row["sessions"], row["users"]),
            _state_badge(row),
        ]
        for row in rows
    ]
    heads = ["Type, slice or severity", "Rate", "Ceiling", "Over", "State"]
    return "<p>Slices and severities with a ceiling of their own:</p>" + table_of(heads, cells)


def _overall(rows: Rows, kind: str) -> list[Mapping[str, Any]]:
    """One row per type and source over all sessions: the trailing week where it is there, else the day."""
    best: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["type"], row["source"], row["window_days"])):
        if row["kind"] == kind and row["slice_kind"] == "all":
            best[row["type"], row["source"]] = row
    return sorted(best.values(), key=lambda row: (-row["rate"], row["type"]))


def _row_of(rows: Rows, type_: str, source: str) -> Mapping[str, Any]:
    return next(row for kind in ("friction", "delight") for row in _overall(rows, kind)
                if (row["type"], row["source"]) == (type_, source))  # fmt: skip


def _window(rows: Rows) -> str:
    return "week" if any(row["window_days"] == WEEK for row in rows) else "day"


def _rates_table(at: Day, rows: Sequence[Mapping[str, Any]], kind: str, levels: Mapping[str, Mapping[str, Any]]) -> str:
    ceilings = at.ceilings() if levels else {}
    top = axis_top([row["high"] for row in rows] + [ceilings.get(row["type"], 0.0) for row in rows])
    has_state = bool(levels)
    heads = ["Type", f"Share of sessions, 0 to {percent(top)}", "Rate (95 % interval)", "Over", "Looked at"]
    lines = []
    for row in rows:
        interval = f"{percent(row['rate'])} <small>{percent(row['low'])} to {percent(row['high'])}</small>"
        over = resting_on(row["sessions"], row["users"])
        bar = svg.interval_bar(
            row["rate"], row["low"], row["high"], top=top, tone=kind, ceiling=ceilings.get(row["type"])
        )
        name = esc(at.name(row["type"])) + _severe(row)
        cells = [name, bar, interval, over, _looked_at(row)]
        lines.append([*cells, _state_badge(levels.get(row["type"]))] if has_state else cells)
    return table_of([*heads, "State"] if has_state else heads, lines, wide=1)


def _looked_at(row: Mapping[str, Any]) -> str:
    return f"{percent(row['coverage'])} <small>{esc(row['source'])}</small>"


def _severe(row: Mapping[str, Any]) -> str:
    return "" if row["severe_share"] is None else f"<small>{percent(row['severe_share'])} of them severe</small>"


_STATES: Final = {
    "ok": ("plain", "under its ceiling"), "rising": ("worse", "rising"), "over": ("worse", "over"),
    "crossed": ("worse", "crossed today"), "cooldown": ("plain", "acted on lately"),
    "recovering": ("better", "recovering"), "stale": ("plain", "too old to act on"),
    "not_enough_data": ("plain", "too few data"), "suppressed": ("plain", "suppressed"),
}  # fmt: skip


def _state_badge(level: Mapping[str, Any] | None) -> str:
    if level is None:
        return ""
    tone, words = _STATES.get(level["state"], ("plain", level["state"]))
    title = esc(level["reason"])
    return f'<span class="badge {tone}" title="{title}">{esc(words)}</span>'


def _trends(at: Day, kind: str) -> str:
    series = rate_series(
        at.history("friction_rates"), at.names, until=at.day, kind=kind, restated=at.history("restated_rates")
    )
    ends = span(point.day for one in series for point in (*one.weekly, *one.daily))
    if ends is None or ends[0] == ends[1]:
        return ""
    marks = [mark for mark in release_marks(at.history("release_correlations"), until=at.day) if mark.day > ends[0]]
    ceilings = at.ceilings() if kind == "friction" else {}
    pictures = [
        f"<figure><figcaption><h3>{esc(one.name)}</h3><span>{percent(one.newest.value)}</span></figcaption>"
        f"{svg.trend(one, _marks(at, one, marks, ends[0]), *ends, ceilings.get(one.type))}"
        f"{_relabelled(at, one)}</figure>"
        for one in series
        if one.newest
    ]
    note = (
        '<p class="note">Line: trailing week with its 95 % interval. Dots: single days. Dashed upright: a release. '
        f"{'Dashed level: the ceiling. ' if ceilings else ''}Each picture has its own scale.</p>"
    )
    more = pictures[TRENDS:]
    fold = folded(f"{len(more)} more", f'<div class="trends">{"".join(more)}</div>') if more else ""
    return f'{note}<div class="trends">{"".join(pictures[:TRENDS])}</div>{fold}'


def _relabelled(at: Day, series: Series) -> str:
    """What the shaded part of a picture is: days that were counted again after the type was accepted."""
    if series.relabelled is None:
        return ""
    first, last = series.relabelled
    accepted = [
        one.version for one in at.decisions
        if (one.action, one.kind, one.slug, one.applied) == ("accept", series.kind, series.type, True)
    ]  # fmt: skip
    version = f" as version {accepted[-1]} of the taxonomy" if accepted else ""
    days = short_day(first) if first == last else f"{short_day(first)} to {short_day(last)}"
    words = f"Shaded and dashed: {days}, relabelled from the past after the type was accepted{version}."
    return f'<p class="note">{esc(words)}</p>'


def _marks(at: Day, series: Series, releases: Sequence[Mark], first: date) -> list[Mark]:
    """Releases, and for what the analyst counts the days on which it became another: its steps are not the agent's."""
    changes = at.changes if series.source == "analyst" else ()
    own = [Mark(change.day, ANALYST_CHANGED) for change in changes if change.day > first]
    return sorted([*releases, *own], key=lambda mark: (mark.day, mark.label))


def what_delighted(at: Day) -> Section:
    """Delight by rate, with trends."""
    section = ("delight", "What delighted")
    rows = _overall(at.rows("friction_rates"), "delight")
    if not rows:
        return Section(*section, too_few(at, "delight rate"))
    body = _rates_table(at, rows, "delight", {}) + _trends(at, "delight") + method_link("method-rates")
    best = rows[0]
    lines = [(f"{at.name(best['type'])}: {percent(best['rate'])} of sessions", "friction_rates")]
    return Section(*section, "Moments that users showed they valued.", body, lines)
