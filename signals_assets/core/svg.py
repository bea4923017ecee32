"""Inline SVG for the report's page: small charts that follow the page's colours, width, and light or dark.

Put here: drawing into markup, and `esc`, the one function through which every text goes on its way into a page.
Not here: what a chart shows (see `charts.py`), PNG (see `pictures.py`), the page (see `report.py`, `report.css`).

Shapes live in a box that stretches with the page (`preserveAspectRatio="none"`, strokes that do not scale); words
are HTML beside or above it, so that they keep their size on a phone.
"""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Final

from signals_assets.core.barrier.publication import html
from signals_assets.core.charts import Bubble, Lane, Mark, Point, Series, label_rows

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

LISTED: Final = 12
"""Patterns whose names stand beside the map; the rest unfold."""
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
        f'<svg class="{css}" viewBox="0 0 {width:g} {height:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{esc(label)}">{"".join(shapes)}</svg>'
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
    shapes += [_line("release", x(mark.day), 0, x(mark.day), 100) for mark in marks]
    if ceiling is not None and ceiling <= top:
        shapes.append(_line("ceiling", 0, y(ceiling), 100, y(ceiling)))
    for run in _unbroken(series):
        upper = " ".join(f"{x(point.day):.2f},{y(point.high):.2f}" for point in run)
        lower = " ".join(f"{x(point.day):.2f},{y(point.low):.2f}" for point in reversed(run))
        middle = " ".join(f"{x(point.day):.2f},{y(point.value):.2f}" for point in run)
        shapes.append(f'<polygon class="band" points="{upper} {lower}"/><polyline class="value" points="{middle}"/>')
    # A line of no length with a round cap is a dot that stays round however the box is stretched.
    shapes += [_line("dot", x(p.day), y(p.value), x(p.day) + 0.01, y(p.value)) for p in series.daily]
    label = f"{series.name}, {short_day(first)} to {short_day(last)}"
    return (
        f'<div class="trend {esc(series.kind)}"><div class="axis"><span>{percent(top)}</span><span>0</span></div>'
        f'<div class="plot"><div class="marks">{_mark_labels(marks, x)}</div>{_svg("lines", 100, 100, label, shapes)}'
        f'<div class="days"><span>{short_day(first)}</span><span>{short_day(last)}</span></div></div></div>'
    )


def _unbroken(series: Series) -> list[list[Point]]:
    """The line in pieces: a day without a rate is a gap, not a slope."""
    runs: list[list[Point]] = []
    for point in series.weekly:
        if runs and (point.day - runs[-1][-1].day).days == 1:
            runs[-1].append(point)
        else:
            runs.append([point])
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


def cluster_map(shown: Sequence[Bubble]) -> str:
    """Bubbles with numbers; a list beside the map says what each number is."""
    circles = "".join(
        f'<g class="group{bubble.group % GROUPS}{" new" if bubble.new else ""}"><title>{esc(bubble.label)}: '
        f'{esc(bubble.detail)}</title><circle cx="{bubble.x:.2f}" cy="{bubble.y:.2f}" r="{bubble.radius:.2f}"/>'
        f'<text x="{bubble.x:.2f}" y="{bubble.y + 1.1:.2f}">{number}</text></g>'
        for number, bubble in enumerate(shown, 1)
    )
    items = [
        f'<li class="group{bubble.group % GROUPS}"><b>{number}</b> <span>{esc(bubble.label)}'
        f"{' <em>new</em>' if bubble.new else ''}<small>{esc(bubble.detail)}</small></span></li>"
        for number, bubble in enumerate(shown, 1)
    ]
    rest = items[LISTED:]
    more = (
        f'<details><summary>{len(rest)} more</summary><ol class="legend">{"".join(rest)}</ol></details>' if rest else ""
    )
    return (
        f'<div class="map"><svg viewBox="0 0 100 60" role="img" aria-label="Map of {len(shown)} patterns">'
        f'{circles}</svg><div><ol class="legend">{"".join(items[:LISTED])}</ol>{more}</div></div>'
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
