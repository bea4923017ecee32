"""What the charts show, before anybody draws: series, release marks, bubbles, lanes of the loop.

Put here: turning published rows into positions and labels, once for all surfaces.
Not here: drawing (see `svg.py` for the page, `pictures.py` for PNG), statistics (see `correlations.py`).

Rows are mappings with the columns of `tables.py`, as read from the warehouse.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import sqrt
from typing import Any, Final

from signals_assets.core.barrier.thresholds import band, shown
from signals_assets.settings import Audience

Rows = Sequence[Mapping[str, Any]]

HISTORY_DAYS: Final = 28
"""Four weeks: every weekday four times, and a release every week or two stays in sight."""

WEEK: Final = 7

ANALYST_CHANGED: Final = "analyst changed"
"""Label of a mark: the model or prompt that counts is another one from this day on."""


@dataclass(frozen=True, slots=True)
class Point:
    """A rate on a day with its 95 % interval."""

    day: date
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Series:
    """One type over time: the trailing week's rate (line and interval) and single days (dots)."""

    type: str
    name: str
    kind: str
    source: str
    weekly: tuple[Point, ...]
    daily: tuple[Point, ...]

    @property
    def newest(self) -> Point | None:
        """The last point of the line, else the last dot."""
        points = self.weekly or self.daily
        return points[-1] if points else None

    @property
    def top(self) -> float:
        """A round number above everything drawn."""
        values = [point.high for point in self.weekly] + [point.value for point in self.daily]
        return nice_ceiling(max(values, default=0.0))


@dataclass(frozen=True, slots=True)
class Mark:
    """A release, or a change of the analyst, on the time axis."""

    day: date
    label: str


@dataclass(frozen=True, slots=True)
class Bubble:
    """A pattern on the map: centre and radius in a box of width 100 and height 60."""

    x: float
    y: float
    radius: float
    label: str
    detail: str
    group: int
    new: bool


@dataclass(frozen=True, slots=True)
class Lane:
    """One ticket on its way: what happened when, and the newest verdict."""

    key: str
    name: str
    stages: tuple[tuple[str, date], ...]
    verdict: str | None
    state: str


def display_name(slug: str, names: Mapping[str, str]) -> str:
    """The taxonomy's name of a type, else the type itself in words."""
    return names.get(slug) or slug.replace("_", " ").capitalize()


def nice_ceiling(value: float) -> float:
    """The next of 0.05, 0.1, 0.2, 0.25, 0.4, 0.5, 0.6, 0.8, 1 that is not below `value` (rates end at 1)."""
    return next((top for top in (0.05, 0.1, 0.2, 0.25, 0.4, 0.5, 0.6, 0.8) if value <= top), 1.0)


def rate_series(
    rows: Rows, names: Mapping[str, str], *, until: date, kind: str = "friction", days: int = HISTORY_DAYS
) -> list[Series]:
    """Series of the slice `all`, highest newest rate first; one source per type: detectors where they have it."""
    first = until - timedelta(days=days - 1)
    found: dict[tuple[str, str], dict[int, list[Point]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["kind"] == kind and row["slice_kind"] == "all" and first <= row["day"] <= until:
            point = Point(row["day"], row["rate"], row["low"], row["high"])
            found[row["type"], row["source"]][row["window_days"]].append(point)
    series = [
        Series(
            type_, display_name(type_, names), kind, source,
            weekly=tuple(sorted(windows[WEEK], key=lambda point: point.day)),
            daily=tuple(sorted(windows[1], key=lambda point: point.day)),
        )
        for (type_, source), windows in sorted(found.items())
        if source == "detector" or (type_, "detector") not in found
    ]  # fmt: skip
    return sorted(series, key=lambda one: (-(one.newest.value if one.newest else 0.0), one.type))


def release_marks(rows: Rows, *, until: date, days: int = HISTORY_DAYS) -> list[Mark]:
    """Releases from rows of `release_correlations`, each once, by day."""
    first = until - timedelta(days=days - 1)
    marks = {
        (row["released_on"], row["version"] if row["release_kind"] == "version" else _other_release(row))
        for row in rows
        if first <= row["released_on"] <= until
    }
    return [Mark(day, label) for day, label in sorted(marks)]


def _other_release(row: Mapping[str, Any]) -> str:
    return f"{row['release_kind']} {row['version']}"


def bubbles(clusters: Rows, names: Mapping[str, str], audience: Audience) -> list[Bubble]:
    """Patterns that enough people are behind, spread so that none hides another; large ones first.

    A cluster is named by an accepted name (`names`), for `self` by its words, else by its kind and the start of its
    opaque id: words of the abstracted zone are not published. Sizes come from bands, so that no count can be measured
    on the picture.
    """
    patterns = [row for row in clusters if row["level"] == "pattern" and row["change"] != "gone"]
    patterns = patterns or [row for row in clusters if row["level"] == "theme" and row["change"] != "gone"]
    chosen = [row for row in patterns if shown(audience, row["users"], row["sessions"])]
    chosen.sort(key=lambda row: (-_band_floor(row["users"], audience), row["cluster_id"]))
    themes = sorted({row["parent_id"] or row["cluster_id"] for row in chosen})
    radii = _radii([_band_floor(row["users"], audience) for row in chosen])
    centres = _spread(_fitted([(row["x"], row["y"]) for row in chosen]), radii)
    return [
        Bubble(
            x, y, radius,
            label=cluster_label(row, names, audience),
            detail=f"{band(row['users'], audience)} users, {band(row['sessions'], audience)} sessions",
            group=themes.index(row["parent_id"] or row["cluster_id"]),
            new=row["change"] == "new",
        )
        for row, (x, y), radius in zip(chosen, centres, radii, strict=True)
    ]  # fmt: skip


def cluster_label(row: Mapping[str, Any], names: Mapping[str, str], audience: Audience) -> str:
    """What a cluster may be called on a published surface."""
    if row["cluster_id"] in names:
        return names[row["cluster_id"]]
    if audience == "self" and row["terms"]:
        return ", ".join(row["terms"][:3])
    return f"{str(row['kind']).replace('_', ' ')} {str(row['cluster_id'])[2:6]}"


def _band_floor(count: int, audience: Audience) -> int:
    text = band(count, audience)
    return int(text.lstrip("<").rstrip("+").split("-")[0])


def _radii(sizes: Sequence[int]) -> list[float]:
    """Areas follow sizes; together the circles cover about a third of the box, none more than a tenth of it."""
    if not sizes:
        return []
    scale = sqrt(100 * 60 * 0.3 / (3.1416 * sum(sizes)))
    return [min(13.0, max(2.2, scale * sqrt(size))) for size in sizes]


def _fitted(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points stretched into the box of 100 x 60, with a margin."""
    if not points:
        return []
    (xs, ys) = ([x for x, _ in points], [y for _, y in points])
    x_span, y_span = max(xs) - min(xs) or 1.0, max(ys) - min(ys) or 1.0
    return [(12 + 76 * (x - min(xs)) / x_span, 10 + 40 * (y - min(ys)) / y_span) for x, y in points]


def _spread(centres: list[tuple[float, float]], radii: list[float]) -> list[tuple[float, float]]:
    """Push overlapping circles apart, a little per pass, and keep all inside the box."""
    placed = list(centres)
    for _ in range(120):
        for one in range(len(placed)):
            for other in range(one + 1, len(placed)):
                placed[one], placed[other] = _apart(placed[one], placed[other], radii[one] + radii[other] + 1.2)
        placed = [
            (min(max(x, r + 1), 99 - r), min(max(y, r + 1), 59 - r)) for (x, y), r in zip(placed, radii, strict=True)
        ]
    return [(round(x, 2), round(y, 2)) for x, y in placed]


def _apart(
    one: tuple[float, float], other: tuple[float, float], wanted: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    dx, dy = other[0] - one[0], other[1] - one[1]
    distance = sqrt(dx * dx + dy * dy)
    if distance >= wanted:
        return one, other
    if distance == 0:
        dx, dy, distance = 1.0, 0.5, 1.1180
    push = (wanted - distance) / 2 / distance
    return (one[0] - dx * push, one[1] - dy * push), (other[0] + dx * push, other[1] + dy * push)


_STAGES: Final = (("filed", "filed_on"), ("merged", "merged_on"), ("released", "released_on"))


def lanes(tickets: Rows, names: Mapping[str, str], *, most: int = 12) -> list[Lane]:
    """Tickets, the newest first; those that moved furthest come before others of the same day."""
    chosen = [
        Lane(
            row["ticket_key"], display_name(row["type"], names),
            tuple((stage, row[column]) for stage, column in _STAGES if row[column] is not None),
            row["verdict"], row["state"],
        )
        for row in tickets
    ]  # fmt: skip
    chosen.sort(key=lambda lane: lane.key)
    chosen.sort(key=lambda lane: (lane.stages[0][1], len(lane.stages)), reverse=True)
    return chosen[:most]


def span(days: Iterable[date]) -> tuple[date, date] | None:
    """First and last day, or None."""
    known = sorted(days)
    return (known[0], known[-1]) if known else None


def label_rows(positions: Sequence[float], widths: Sequence[float], *, rows: int) -> list[int | None]:
    """In which of `rows` lines each label (centred on its ascending position) fits; None where it would overlap."""
    ends = [float("-inf")] * rows
    chosen: list[int | None] = []
    for position, width in zip(positions, widths, strict=True):
        row = next((n for n, end in enumerate(ends) if position - width / 2 > end), None)
        if row is not None:
            ends[row] = position + width / 2
        chosen.append(row)
    return chosen
