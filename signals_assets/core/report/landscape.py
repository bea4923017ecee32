"""Section "The map": themes and patterns of four weeks, their growth, and how steady they are.

Put here: the words and tables around the pictures. Not here: what may be shown and where (see `core/landscape.py`).
"""

from collections.abc import Sequence

from signals_assets.core import landscape, svg
from signals_assets.core.landscape import Panel, Spot
from signals_assets.core.report.day import Day, Section
from signals_assets.core.report.markup import folded, number_of, resting_on, share_words, table_of
from signals_assets.core.report.methods import method_link
from signals_assets.core.svg import esc, percent

LISTED = 8
"""Themes that are listed at once; the others unfold."""


def the_map(at: Day) -> Section:
    """The map of each kind in a frame that stays, with growth by week, outliers and steadiness."""
    section = ("map", "The map: what belongs together, and what grows")
    panels = landscape.panels(at.day, at.history("clusters"), at.standings, names=at.names, audience=at.audience)
    if not panels:
        return Section(*section, "No theme has enough people behind it, or the day has no map yet.")
    first, *others = panels
    lead = (
        "Moments that say alike things lie near each other; the directions have no meaning. Each dot is a pattern, "
        "tied by a line to its theme: the circle with the code. A code is the start of a theme's id: never reused."
    )
    if at.audience != "self":
        lead += " Words appear where a person accepted a name; analysts read the others in the table clusters."
    body = _panel(first) + "".join(folded(_title(panel), _panel(panel)) for panel in others)
    body += method_link("method-map")
    fastest = [(one, change) for one in first.newest.themes if (change := _change(one)) is not None and change > 0]
    lines = []
    if fastest:
        one, _ = max(fastest, key=lambda found: (found[1], found[0].cluster_id))
        lines = [
            (f"Growing theme of {first.title.lower()}: {one.label}, {_weeks_words(one)} of its sessions", "clusters")
        ]
    return Section(*section, lead, body, lines)


def _title(panel: Panel) -> str:
    sheet = panel.newest
    return f"{panel.title}: {number_of(len(sheet.themes), 'theme')}, {number_of(len(sheet.patterns), 'pattern')}"


def _panel(panel: Panel) -> str:
    sheet = panel.newest
    earlier = ""
    if len(panel.sheets) > 1:
        earlier = (
            f'<p class="note">What is there today, week by week in one frame: {esc(_steady_words(panel))}</p>'
            f'<div class="earlier">{svg.earlier(panel)}</div>'
        )
    themes = _table(sheet.themes[:LISTED], "Theme")
    rest = sheet.themes[LISTED:]
    themes += folded(f"{len(rest)} more themes", _table(rest, "Theme")) if rest else ""
    patterns = folded(f"All {number_of(len(sheet.patterns), 'pattern')}", _table(sheet.patterns, "Pattern"))
    return (
        f"<h3>{esc(_title(panel))}</h3>{svg.landscape(panel)}"
        f'<p class="note">{esc(_quality(panel))}</p>{earlier}{themes}'
        f"{patterns if sheet.patterns else ''}"
    )


def _quality(panel: Panel) -> str:
    outliers = "" if panel.outlier_share is None else f"{percent(panel.outlier_share)} of the moments fit no pattern"
    overlap = (
        "there is no map before to compare with"
        if panel.overlap is None
        else f"half of the patterns share at least {percent(panel.overlap)} of their moments with the map before"
    )
    said = "; ".join(part for part in (outliers, overlap) if part)
    return f"{said[:1].upper()}{said[1:]}."


def _steady_words(panel: Panel) -> str:
    steady = panel.steadiness
    if steady is None:
        return "there was no map a week before."
    words = f"{steady.kept} of {number_of(steady.patterns, 'pattern')} were there a week before under the same id"
    if steady.moved is None:
        return f"{words}."
    return f"{words}, and half of those moved less than {percent(steady.moved)} of the usual distance between two."


def _table(spots: Sequence[Spot], what: str) -> str:
    lines = [
        [
            f"<code>{esc(spot.code)}</code> {esc(spot.label)}<small>{esc(_CHANGES[spot.change])}</small>",
            svg.growth_bars(spot.weekly),
            esc(_weeks_words(spot)),
            share_words(spot.stability),
            resting_on(spot.sessions, spot.users),
        ]
        for spot in spots
    ]
    heads = [what, "Share of each week's sessions", "First to last week", "As before", "Over"]
    return table_of(heads, lines)


_CHANGES = {
    "new": "new on this map", "kept": "", "split": "split off an older one", "merged": "several older ones became it",
}  # fmt: skip


def _weeks_words(spot: Spot) -> str:
    """First and last week that may be told."""
    told = [share for share in spot.weekly if share is not None]
    if not told:
        return "too few in every week"
    if spot.weekly[-1] is None:
        return f"{percent(told[0])}, too few now"
    return f"{percent(told[0])} → {percent(told[-1])}" if len(told) > 1 else f"{percent(told[-1])} in the last week"


def _change(spot: Spot) -> float | None:
    """How much more of the week's sessions are in it now than four weeks ago."""
    if spot.weekly[0] is None or spot.weekly[-1] is None:
        return None
    return spot.weekly[-1] - spot.weekly[0]
