"""Inline SVG for the report's page: small charts that follow the page's colours, width, and light or dark.

Put here: drawing into markup, and `esc`, the one function through which every text goes on its way into a page.
Not here: what a picture shows (see `charts.py`, `landscape.py`), PNG (see `pictures.py`), the page (see `report/`).

Shapes live in a box that stretches with the page (`preserveAspectRatio="none"`, strokes that do not scale); words
are HTML beside or above it, so that they keep their size on a phone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from signals_assets.core.barrier.publication import html
from signals_assets.core.charts import Going, Lane, Mark, Point, Series, label_places, label_rows, nice_ceiling
from signals_assets.core.landscape import BOX, Panel, Sheet, Spot

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

NAMED: Final = 8
"""Themes whose codes stand on the small maps."""
_CODE: Final = (6.4, 3.0)
_SMALL_CODE: Final = (15.0, 6.4)
"""Width and height of a theme's code on the map, on a small one."""
GROUPS: Final = 6
"""Colours of themes; a seventh theme starts again with the first."""

_LABEL_SHARE: Final = 2.6
"""Width of one character of a release label, in hundredths of the narrowest plot (230 pixels)."""


def esc(value: object) -> str:
    """Any value as text that is safe in markup and in quoted attributes."""
    return html(str(value))


def percent(share: float) -> str:
    """A share in per cent with at most one digit, e.g. 12.5 %; a narrow no-break space before the sign."""
    return f"{round(100 * share, 1):g}\u202f%"


def points(difference: float) -> str:
    """A difference of shares in signed percentage points, e.g. +19 or −4.5."""
    return f"{round(100 * difference, 1):+g}".replace("-", "−")


def short_day(day: date) -> str:
    """A day without its year: 2 Mar."""
    return f"{day.day} {MONTHS[day.month - 1]}"


def _svg(css: str, width: float, height: float, label: str, shapes: Sequence[str]) -> str:
    return (
        f'<svg class="{css}" viewBox="0 0 {width:g} {height:g}" preserveAspectRatio="none" role="img">'
        f"<title>{esc(label)}</title>{''.join(shapes)}</svg>"
    )


def _line(css: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{css}" x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}"/>'


def _band(start: float, end: float) -> str:
    return f'<rect class="band" x="{start:.2f}" y="3" width="{max(end - start, 0.6):.2f}" height="10"/>'


def interval_bar(
    value: float, low: float, high: float, *, top: float, tone: str = "friction", ceiling: float | None = None
) -> str:
    """A rate as a tick on its interval, on an axis from 0 to `top`; the ceiling as a dashed tick."""
    shapes = [
        _line("base", 0, 8, 100, 8),
        _band(100 * low / top, 100 * high / top),
        _line("value", 100 * value / top, 0.5, 100 * value / top, 15.5),
    ]
    if ceiling is not None and ceiling <= top:
        shapes.append(_line("ceiling", 100 * ceiling / top, 0, 100 * ceiling / top, 16))
    return _svg(f"bar {tone}", 100, 16, f"{percent(value)}, interval {percent(low)} to {percent(high)}", shapes)


def chance_bar(with_it: float, without: float, low: float, high: float, *, top: float) -> str:
    """Two chances on an axis from 0 to `top`: with a sign (tick on its interval) and without it (dashed tick)."""
    shapes = [
        _line("base", 0, 8, 100, 8),
        _band(100 * low / top, 100 * high / top),
        _line("without", 100 * without / top, 0, 100 * without / top, 16),
        _line("value", 100 * with_it / top, 0.5, 100 * with_it / top, 15.5),
    ]
    label = f"{percent(with_it)} with it, {percent(low)} to {percent(high)}; {percent(without)} without"
    return _svg("bar friction", 100, 16, label, shapes)


def difference_bar(effect: float, low: float, high: float, *, top: float, tone: str) -> str:
    """A difference as a tick on its interval, on an axis from -top to top with zero marked."""

    def at(value: float) -> float:
        return 50 + 50 * max(-1.0, min(1.0, value / top))

    shapes = [
        _line("base", 0, 8, 100, 8),
        _band(at(low), at(high)),
        _line("zero", 50, 0, 50, 16),
        _line("value", at(effect), 0.5, at(effect), 15.5),
    ]
    label = f"{points(effect)} points, interval {points(low)} to {points(high)}"
    return _svg(f"bar {tone}", 100, 16, label, shapes)


def trend(series: Series, marks: Sequence[Mark], first: date, last: date, ceiling: float | None = None) -> str:
    """One type over time: the week's rate with its interval, single days as dots, releases as dashed lines."""
    days = max(1, (last - first).days)
    top = series.top

    def x(day: date) -> float:
        return 100 * (day - first).days / days

    def y(value: float) -> float:
        return 100 * (1 - min(value, top) / top)

    shapes = [_line("grid", 0, at, 100, at) for at in (0.5, 50, 99.5)]
    if series.relabelled is not None:
        start, end = (x(day) for day in series.relabelled)
        shapes.append(f'<rect class="past" x="{start:.2f}" y="0" width="{max(end - start, 1):.2f}" height="100"/>')
    shapes += [_line("release", x(mark.day), 0, x(mark.day), 100) for mark in marks]
    if ceiling is not None and ceiling <= top:
        shapes.append(_line("ceiling", 0, y(ceiling), 100, y(ceiling)))
    for run in _unbroken(series):
        upper = " ".join(f"{x(point.day):.2f},{y(point.high):.2f}" for point in run)
        lower = " ".join(f"{x(point.day):.2f},{y(point.low):.2f}" for point in reversed(run))
        middle = " ".join(f"{x(point.day):.2f},{y(point.value):.2f}" for point in run)
        css = "value past" if run[0].relabelled else "value"
        shapes.append(f'<polygon class="band" points="{upper} {lower}"/><polyline class="{css}" points="{middle}"/>')
    # A line of no length with a round cap is a dot that stays round however the box is stretched.
    shapes += [_line("dot", x(p.day), y(p.value), x(p.day) + 0.01, y(p.value)) for p in series.daily]
    label = f"{series.name}, {short_day(first)} to {short_day(last)}"
    return (
        f'<div class="trend {esc(series.kind)}"><div class="axis"><span>{percent(top)}</span><span>0</span></div>'
        f'<div class="plot"><div class="marks">{_mark_labels(marks, x)}</div>{_svg("lines", 100, 100, label, shapes)}'
        f'<div class="days"><span>{short_day(first)}</span><span>{short_day(last)}</span></div></div></div>'
    )


def day_bars(days: Mapping[date, float | None], marks: Sequence[Mark], first: date, last: date) -> str:
    """A share by day as bars under a trend, on its axis of time; a day that may not be told is a short dash."""
    shown = {day: share for day, share in days.items() if first <= day <= last}
    top = nice_ceiling(max((share for share in shown.values() if share is not None), default=0.0))
    width = max(1, (last - first).days)

    def x(day: date) -> float:
        return 100 * (day - first).days / width

    shapes = [
        _line("grid", 0, 99.5, 100, 99.5),
        *(_line("release", x(mark.day), 0, x(mark.day), 100) for mark in marks),
    ]
    for day, share in sorted(shown.items()):
        if share is None:
            shapes.append(_line("few", x(day) - 0.8, 96, x(day) + 0.8, 96))
        else:
            high = 100 * share / top
            shapes.append(
                f'<rect class="day" x="{x(day) - 1:.2f}" y="{100 - high:.2f}" width="2" height="{high:.2f}"/>'
            )
    label = f"Share of sessions with the error by day, {short_day(first)} to {short_day(last)}"
    return (
        f'<div class="trend under"><div class="axis"><span>{percent(top)}</span><span>0</span></div>'
        f'<div class="plot">{_svg("lines low", 100, 100, label, shapes)}'
        f'<div class="days"><span>{short_day(first)}</span><span>{short_day(last)}</span></div></div></div>'
    )


def survival(points: Sequence[Going]) -> str:
    """What goes on after a sign, by steps, with its interval; what goes on without it as a dashed line.

    The axis of shares begins under the lowest value, at a multiple of a tenth: of sessions most go on.
    """
    last = max(point.steps for point in points)
    floor = math.floor(10 * min(min(point.low, point.without) for point in points)) / 10
    floor = min(floor, 0.9)

    def at(steps: int, share: float) -> str:
        return f"{100 * steps / last:.2f},{100 * (1 - share) / (1 - floor):.2f}"

    upper = " ".join(at(point.steps, point.high) for point in points)
    lower = " ".join(at(point.steps, point.low) for point in reversed(points))
    middle = " ".join(at(point.steps, point.share) for point in points)
    beside = " ".join(at(point.steps, point.without) for point in points)
    shapes = [
        *(_line("grid", 0, height, 100, height) for height in (0.5, 50, 99.5)),
        f'<polygon class="band" points="{upper} {lower}"/><polyline class="beside" points="{beside}"/>',
        f'<polyline class="value" points="{middle}"/>',
    ]
    return (
        '<div class="trend friction under">'
        f'<div class="axis"><span>{percent(1)}</span><span>{percent(floor)}</span></div>'
        f'<div class="plot">{_svg("lines", 100, 100, f"Share that goes on, 0 to {last} steps later", shapes)}'
        f'<div class="days"><span>0 steps</span><span>{last} steps later</span></div></div></div>'
    )


def _unbroken(series: Series) -> list[list[Point]]:
    """The line in pieces: a day without a rate is a gap, not a slope; a relabelled past is a piece of its own.

    The past's last point begins the next piece too, so that the line goes on.
    """
    runs: list[list[Point]] = []
    for point in series.weekly:
        last = runs[-1][-1] if runs else None
        if last is None or (point.day - last.day).days != 1:
            runs.append([point])
        elif last.relabelled and not point.relabelled:
            runs.append([replace(last, relabelled=False), point])
        else:
            runs[-1].append(point)
    return runs


def _mark_labels(marks: Sequence[Mark], x: Callable[[date], float]) -> str:
    """Names of the releases above their lines, in two rows; what does not fit keeps its line and a tooltip."""
    rows = label_rows([x(mark.day) for mark in marks], [_LABEL_SHARE * len(mark.label) + 2 for mark in marks], rows=2)
    return "".join(
        f'<span class="row{row}" style="left:{x(mark.day):.2f}%" title="{esc(mark.label)}, {short_day(mark.day)}">'
        f"{esc(mark.label)}</span>"
        for mark, row in zip(marks, rows, strict=True)
        if row is not None
    )


def landscape(panel: Panel) -> str:
    """The newest map of a kind: themes as circles with their codes, patterns as dots tied to their theme by lines."""
    sheet = panel.newest
    centres = {theme.cluster_id: theme for theme in sheet.themes}
    ties, dots = [], []
    for pattern in sheet.patterns:
        theme = centres.get(pattern.parent_id or "")
        css = f"group{pattern.group % GROUPS}"
        if theme is not None:
            ties.append(f'<g class="{css}">{_line("tie", theme.x, theme.y, pattern.x, pattern.y)}</g>')
        dots.append(f'<g class="{css}">{_told(pattern)}{_circle("pattern", pattern.x, pattern.y, 0.7)}</g>')
    circles = [
        f'<g class="group{theme.group % GROUPS}{" new" if theme.change == "new" else ""}">{_told(theme)}'
        f"{_circle('theme', theme.x, theme.y, theme.radius)}</g>"
        for theme in sheet.themes
    ]
    places = label_places([(theme.x, theme.y) for theme in sheet.themes], *_CODE)
    codes = [
        (_line("leader", theme.x, theme.y, x, y) if (x, y) != (theme.x, theme.y) else "")
        + f'<text x="{x:.2f}" y="{y + 0.9:.2f}">{esc(theme.code)}</text>'
        for theme, (x, y) in zip(sheet.themes, places, strict=True)
    ]
    title = f"{panel.title}: {len(sheet.themes)} themes and {len(sheet.patterns)} patterns on {short_day(sheet.day)}"
    return _map_svg("now", title, [*ties, *dots, *circles, *codes])


def earlier(panel: Panel) -> str:
    """The same map on the days before, in the same frame: what stayed is where it was."""
    return "".join(
        f"<figure>{_small_sheet(panel, sheet)}<figcaption>{short_day(sheet.day)}</figcaption></figure>"
        for sheet in panel.sheets
    )


def _small_sheet(panel: Panel, sheet: Sheet) -> str:
    dots = [
        f'<g class="group{one.group % GROUPS}">{_circle("pattern", one.x, one.y, 1.1)}</g>' for one in sheet.patterns
    ]
    first = {theme.cluster_id for theme in panel.newest.themes[:NAMED]}
    named = [theme for theme in sheet.themes if theme.cluster_id in first]
    places = label_places([(theme.x, theme.y) for theme in named], *_SMALL_CODE)
    codes = [
        f'<text x="{x:.2f}" y="{y + 1.8:.2f}">{esc(theme.code)}</text>'
        for theme, (x, y) in zip(named, places, strict=True)
    ]
    title = f"{panel.title} on {short_day(sheet.day)}: {len(sheet.patterns)} patterns"
    return _map_svg("small", title, [*dots, *codes])


def _map_svg(css: str, title: str, shapes: Sequence[str]) -> str:
    about = "Near means alike; the directions have no meaning. The table below says the same in words."
    return (
        f'<svg class="map {css}" viewBox="0 0 {BOX[0]:g} {BOX[1]:g}" role="img"><title>{esc(title)}</title>'
        f"<desc>{about}</desc>{''.join(shapes)}</svg>"
    )


def _told(spot: Spot) -> str:
    return f"<title>{esc(spot.code)}, {esc(spot.label)}: {esc(spot.users)} users</title>"


def _circle(css: str, x: float, y: float, radius: float) -> str:
    return f'<circle class="{css}" cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}"/>'


def growth_bars(weekly: Sequence[float | None]) -> str:
    """One bar for each week, the highest as high as the line; a week with too few is a short dash."""
    top = max((share for share in weekly if share), default=1.0)
    shapes = []
    for week, share in enumerate(weekly):
        start = 12.0 * week
        if share is None:
            shapes.append(_line("few", start + 2, 15, start + 8, 15))
        else:
            height = 15 * share / top
            shapes.append(
                f'<rect class="week" x="{start:.0f}" y="{16 - height:.2f}" width="10" height="{height:.2f}"/>'
            )
    told = ", ".join("too few" if share is None else percent(share) for share in weekly)
    return (
        f'<svg class="weeks" viewBox="0 0 {12 * len(weekly) - 2} 16" role="img"><title>By week: {told}</title>'
        f"{''.join(shapes)}</svg>"
    )


def loop(shown: Sequence[Lane], first: date, last: date) -> str:
    """Each ticket as a track: filed, merged, released, measured."""
    return "".join(_lane(lane, first, last) for lane in shown)


def _lane(lane: Lane, first: date, last: date) -> str:
    days = max(1, (last - first).days)

    def x(day: date) -> float:
        return 100 * max(0, (min(day, last) - first).days) / days

    start, end = x(lane.stages[0][1]), 100.0 if lane.verdict is None else x(lane.stages[-1][1])
    dots = "".join(f'<i class="{esc(stage)}" style="left:{x(day):.2f}%"></i>' for stage, day in lane.stages)
    words = " → ".join(f"{esc(stage)} {short_day(day)}" for stage, day in lane.stages)
    outcome = f' → <b class="{esc(lane.verdict)}">{esc(lane.verdict)}</b>' if lane.verdict else ""
    bar = f'<s style="left:{start:.2f}%;width:{end - start:.2f}%"></s>'
    return (
        f'<div class="lane"><p><b>{esc(lane.name)}</b> <code>{esc(lane.key)}</code></p>'
        f'<div class="track {esc(lane.verdict or "waiting")}">{bar}'
        f'{dots}</div><p class="note">{words}{outcome}</p></div>'
    )
