"""Small PNG pictures for asset metadata and for notifiers that take images.

Put here: drawing with matplotlib through its object interface (no pyplot, no global state).
Not here: what a chart shows (see `charts.py`), the report's page (see `svg.py`).

Equal rows give equal bytes: nothing of the time, the machine or the library's version is written into a file. The
same rules hold as on the page: bands instead of counts, no words of the abstracted zone unless the audience is `self`.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from io import BytesIO
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from signals_assets.core.barrier.thresholds import rounded_rate
from signals_assets.core.charts import (
    ANALYST_CHANGED,
    Mark,
    Rows,
    Series,
    display_name,
    label_places,
    lanes,
    nice_ceiling,
    rate_series,
    release_marks,
    span,
)
from signals_assets.core.landscape import BOX, Panel, Spot
from signals_assets.settings import Audience

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH: Final = 640
"""Pixels; heights follow the content."""

DPI: Final = 100
INK: Final = "#1d1f23"
SOFT: Final = "#60646c"
GRID: Final = "#e6e3dc"
TONES: Final = {"friction": "#b4472c", "delight": "#1c7a69"}
VERDICTS: Final = {"improved": "#1c7a69", "regressed": "#b4472c", "unchanged": "#5b6470", "inconclusive": "#5b6470"}
GROUPS: Final = ("#35618f", "#b4472c", "#1c7a69", "#8a6d1f", "#7a4b86", "#5b6470")
SEVERITIES: Final = {"high": "#b4472c", "medium": "#dd9a7f", "low": "#efd3c8"}

MOST_SERIES: Final = 9
PANEL: Final = 150
"""Pixels of a small multiple's width, about."""
LETTER: Final = 4.8
"""Pixels of a letter of a release label, about."""
TITLE_LETTERS: Final = 24
MOST_CODES: Final = 10
CODE_SIZE: Final = (13.0, 5.5)
"""Themes whose codes stand on a map of the picture, and the room that a code takes in it."""


def rates_over_time(
    rows: Rows,
    releases: Rows,
    *,
    until: date,
    names: Mapping[str, str] | None = None,
    kind: str = "friction",
    changes: Sequence[date] = (),
    restated: Rows = (),
) -> bytes:
    """Small multiples by type: the week's rate with its interval, days as dots, releases as dashed lines.

    `rows` of `friction_rates` and `releases` of `release_correlations`, four weeks of each. `changes`: days on which
    the analyst became another, marked where it is the source. `restated`: rows of `restated_rates`, whose days are
    shaded: they were relabelled after the type was accepted.
    """
    series = rate_series(rows, names or {}, until=until, kind=kind, restated=restated)[:MOST_SERIES]
    ends = span(point.day for one in series for point in (*one.weekly, *one.daily))
    if ends is None:
        return _empty(f"no {kind} rates to show")
    lines = ceil(len(series) / 3)
    figure = _figure(10 + 130 * lines)
    shipped = [mark for mark in release_marks(releases, until=until) if mark.day > ends[0]]
    own = [Mark(day, ANALYST_CHANGED) for day in changes if ends[0] < day <= until]
    for position, one in enumerate(series):
        marks = sorted([*shipped, *(own if one.source == "analyst" else ())], key=lambda mark: (mark.day, mark.label))
        axes = figure.add_subplot(lines, min(3, len(series)), position + 1)
        _trend(axes, one)
        _time_axis(axes, *ends)
        if one.relabelled is not None:
            first, last = one.relabelled
            axes.axvspan(_x(first), _x(last), color=GRID, zorder=0)
            axes.text(_x(first), 0.97 * one.top, " relabelled", fontsize=6, color=SOFT, va="top")
        for mark in marks:
            axes.axvline(_x(mark.day), color=SOFT, linewidth=0.8, linestyle=(0, (3, 3)), zorder=1)
        _mark_labels(axes, marks, one.top, days=(ends[1] - ends[0]).days or 1)
    return _png(figure)


def _trend(axes: "Axes", series: Series) -> None:
    tone = TONES.get(series.kind, INK)
    week = series.weekly
    days = [_x(point.day) for point in week]
    axes.fill_between(
        days, [point.low for point in week], [point.high for point in week], color=tone, alpha=0.18, linewidth=0
    )
    axes.plot(days, [point.value for point in week], color=tone, linewidth=1.6)
    axes.plot(
        [_x(point.day) for point in series.daily], [point.value for point in series.daily],
        linestyle="none", marker="o", markersize=2.2, color=tone, alpha=0.45, markeredgewidth=0,
    )  # fmt: skip
    title = series.name if len(series.name) <= TITLE_LETTERS else f"{series.name[: TITLE_LETTERS - 1]}…"
    axes.set_title(title, fontsize=8.5, loc="left", color=INK, fontweight="bold", pad=12)
    axes.set_ylim(0, series.top)
    axes.set_yticks([0, series.top], ["0", f"{100 * series.top:g} %"])


def _mark_labels(axes: "Axes", marks: Sequence[Any], top: float, *, days: int) -> None:
    """Labels of releases, the newest first, as many as fit beside each other."""
    per_day = PANEL / days
    free = float("inf")
    for mark in sorted(marks, key=lambda mark: (mark.day, mark.label), reverse=True):
        middle, half = _x(mark.day) * per_day, LETTER * len(mark.label) / 2
        if middle + half > free:
            continue
        free = middle - half - LETTER
        axes.annotate(
            mark.label, (_x(mark.day), top), xytext=(0, 2), textcoords="offset points", ha="center", va="bottom",
            fontsize=6, color=SOFT, annotation_clip=False,
        )  # fmt: skip


def severity_by_type(events: Rows, *, names: Mapping[str, str] | None = None, audience: Audience = "company") -> bytes:
    """Share of low, medium and high severity per friction type, in rounded shares; no count can be read.

    `events` are rows of `friction_events` (columns type, severity, source) of types whose rate is shown: the caller
    leaves others out. One source per type, as in the rates: detectors where they have it.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for row in events:
        if row["severity"] is not None:
            found.setdefault(row["type"], {}).setdefault(row["source"], []).append(row["severity"])
    if not found:
        return _empty("no friction to show")
    ends = {type_: _ends(by.get("detector") or by["analyst"], audience) for type_, by in found.items()}
    order = sorted(ends, key=lambda type_: (*ends[type_], type_))
    figure = _figure(60 + 26 * len(order))
    axes = figure.add_subplot()
    start = [0.0] * len(order)
    for position, (severity, colour) in enumerate(SEVERITIES.items()):
        end = [100 * ends[type_][position] for type_ in order]
        shares = [after - before for after, before in zip(end, start, strict=True)]
        axes.barh(range(len(order)), shares, left=start, color=colour, height=0.62, label=severity)
        start = end
    axes.set_yticks(range(len(order)), [display_name(type_, names or {}) for type_ in order])
    axes.set_xlim(0, 100)
    axes.set_xlabel("per cent of events", fontsize=8, color=SOFT)
    axes.legend(ncols=3, fontsize=7.5, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    _plain(axes)
    return _png(figure)


def _ends(severities: Sequence[str], audience: Audience) -> list[float]:
    """Where each severity's part of the bar ends, the worst first; the ends are rounded, so the parts still add up."""
    size, counts = len(severities), [severities.count(one) for one in SEVERITIES]
    return [rounded_rate(sum(counts[: n + 1]) / size, size, audience) for n in range(len(counts))]


def cluster_map(shown: Sequence[Panel]) -> bytes:
    """The newest map of each kind: themes as circles with their codes, dashed where new, patterns as dots."""
    from matplotlib.patches import Circle

    if not shown:
        return _empty("no theme that enough people are behind")
    lines = ceil(len(shown) / 2)
    figure = _figure(20 + 215 * lines)
    for position, panel in enumerate(shown):
        axes = figure.add_subplot(lines, 2, position + 1)
        axes.set_xlim(0, BOX[0])
        axes.set_ylim(BOX[1], 0)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(_map_title(panel), fontsize=7.5, loc="left", color=INK)
        for pattern in panel.newest.patterns:
            axes.plot([pattern.x], [pattern.y], marker="o", markersize=2, color=_group(pattern), markeredgewidth=0)
        for theme in panel.newest.themes:
            edge = {"linestyle": "--"} if theme.change == "new" else {}
            colour = _group(theme)
            axes.add_patch(
                Circle((theme.x, theme.y), theme.radius, facecolor=f"{colour}29", edgecolor=colour, linewidth=1, **edge)
            )
        named = panel.newest.themes[:MOST_CODES]
        places = label_places([(theme.x, theme.y) for theme in named], *CODE_SIZE)
        for theme, (x, y) in zip(named, places, strict=True):
            axes.text(x, y, theme.code, ha="center", va="center", fontsize=6, color=INK)
    return _png(figure)


def _map_title(panel: Panel) -> str:
    said = f"{panel.title}: {len(panel.newest.themes)} themes, {len(panel.newest.patterns)} patterns"
    said += "" if panel.outlier_share is None else f"\n{100 * panel.outlier_share:g} % fit no pattern"
    return said + ("" if panel.overlap is None else f", overlap with the map before {100 * panel.overlap:g} %")


def _group(spot: Spot) -> str:
    return GROUPS[spot.group % len(GROUPS)]


def loop(tickets: Rows, *, until: date, names: Mapping[str, str] | None = None) -> bytes:
    """Each ticket from filing over merge and release to the verdict; a bar that ends at the edge is still open."""
    tracks = lanes(tickets, names or {})[::-1]
    if not tracks:
        return _empty("no ticket has been filed yet")
    figure = _figure(50 + 30 * len(tracks))
    axes = figure.add_subplot()
    for height, lane in enumerate(tracks):
        colour = VERDICTS.get(lane.verdict or "", SOFT)
        days = [_x(day) for _, day in lane.stages]
        end = days[-1] if lane.verdict else _x(until)
        axes.plot([days[0], max(end, days[0])], [height, height], color=colour, linewidth=2.4, solid_capstyle="round")
        for (stage, _), day in zip(lane.stages, days, strict=True):
            face = colour if stage == "released" else "white"
            axes.plot([day], [height], marker="o", markersize=6, markerfacecolor=face, markeredgecolor=colour)
        axes.annotate(
            lane.verdict or lane.state.replace("_", " "), (max(end, days[0]), height), xytext=(7, 0),
            textcoords="offset points", va="center", fontsize=7.5, color=colour, annotation_clip=False,
        )  # fmt: skip
    axes.set_yticks(range(len(tracks)), [f"{lane.name}\n{lane.key}" for lane in tracks])
    axes.set_ylim(-0.6, len(tracks) - 0.4)
    _time_axis(axes, min(lane.stages[0][1] for lane in tracks), until)
    axes.margins(x=0.02)
    return _png(figure)


def row_bars(labels: Sequence[str], values: Sequence[float], *, title: str = "", share: bool = False) -> bytes:
    """Plain horizontal bars for a small table; `share` sets an axis in per cent."""
    if not values:
        return _empty(title or "nothing to show")
    figure = _figure(46 + 22 * len(values))
    axes = figure.add_subplot()
    scaled = [100 * value for value in values] if share else list(values)
    axes.barh(range(len(values))[::-1], scaled, color=GROUPS[0], height=0.62)
    axes.set_yticks(range(len(values))[::-1], list(labels))
    for height, value in zip(range(len(values))[::-1], scaled, strict=True):
        text = f"{value:.3g} %" if share else f"{value:g}"
        axes.annotate(
            text, (value, height), xytext=(4, 0), textcoords="offset points", va="center", fontsize=7.5, color=SOFT
        )
    if share:
        axes.set_xlim(0, 100 * nice_ceiling(max(values)))
    axes.margins(x=0.08)
    axes.set_title(title, fontsize=9, loc="left", color=INK, fontweight="bold")
    axes.set_xticks([])
    _plain(axes)
    return _png(figure)


# --- shared ----------------------------------------------------------------------------------------------------


def _figure(height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, layout="constrained", facecolor="white")


def _png(figure: "Figure") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _empty(words: str) -> bytes:
    figure = _figure(60)
    figure.text(0.5, 0.5, words, ha="center", va="center", fontsize=9, color=SOFT)
    return _png(figure)


def _plain(axes: "Axes") -> None:
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)


def _x(day: date) -> float:
    return float(day.toordinal())


def _time_axis(axes: "Axes", first: date, last: date) -> None:
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    ends = [first, last] if last > first else [first]
    axes.set_xticks([_x(day) for day in ends], [f"{day.day} {months[day.month - 1]}" for day in ends])
    axes.set_xlim(_x(first) - 0.5, _x(last) + 0.5)
    _plain(axes)
    axes.tick_params(labelsize=7, labelcolor=SOFT, axis="x")
    axes.tick_params(labelsize=7.5, axis="y")
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
