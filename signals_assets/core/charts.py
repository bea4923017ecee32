"""What the charts show, before anybody draws: series, release marks, lanes of the loop.

Put here: turning published rows into positions and labels, once for all surfaces.
Not here: the map (see `landscape.py`), drawing (see `svg.py` for the page, `pictures.py` for PNG), statistics.

Rows are mappings with the columns of `tables.py`, as read from the warehouse.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

Rows = Sequence[Mapping[str, Any]]

HISTORY_DAYS: Final = 28
"""Four weeks: every weekday four times, and a release every week or two stays in sight."""

WEEK: Final = 7

ANALYST_CHANGED: Final = "analyst changed"
"""Label of a mark: the model or prompt that counts is another one from this day on."""


@dataclass(frozen=True, slots=True)
class Going:
    """A point of a curve of what goes on: share that does after so many steps, its interval, and without the sign."""

    steps: int
    share: float
    low: float
    high: float
    without: float


@dataclass(frozen=True, slots=True)
class Point:
    """A rate on a day with its 95 % interval."""

    day: date
    value: float
    low: float
    high: float
    relabelled: bool = False
    """Counted after the day, under a type that was accepted later."""


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
    def relabelled(self) -> tuple[date, date] | None:
        """First and last day that were counted later, under a type accepted since; None where none was."""
        return span(point.day for point in (*self.weekly, *self.daily) if point.relabelled)

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
    rows: Rows,
    names: Mapping[str, str],
    *,
    until: date,
    kind: str = "friction",
    days: int = HISTORY_DAYS,
    restated: Rows = (),
) -> list[Series]:
    """Series of the slice `all`, highest newest rate first; one source per type: detectors where they have it.

    `restated`: rows of `restated_rates`; where `rows` holds such a rate, its point is marked as relabelled.
    """
    first = until - timedelta(days=days - 1)
    later = {(row["kind"], row["type"], row["source"], row["window_days"], row["about_day"]) for row in restated}
    found: dict[tuple[str, str], dict[int, list[Point]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["kind"] == kind and row["slice_kind"] == "all" and first <= row["day"] <= until:
            key = (kind, row["type"], row["source"], row["window_days"], row["day"])
            point = Point(row["day"], row["rate"], row["low"], row["high"], relabelled=key in later)
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


def label_places(
    places: Sequence[tuple[float, float]], wide: float, high: float, *, box: tuple[float, float] = (100.0, 60.0)
) -> list[tuple[float, float]]:
    """Where labels of one size go, the first where it belongs, others as near to it as no earlier one stands.

    Places are centres in a box; a label that finds no free place (many in a small box) stays where it belongs.
    """
    chosen: list[tuple[float, float]] = []

    def free(x: float, y: float) -> bool:
        inside = wide / 2 <= x <= box[0] - wide / 2 and high / 2 <= y <= box[1] - high / 2
        return inside and all(abs(x - left) >= wide or abs(y - top) >= high for left, top in chosen)

    for x, y in places:
        around = ((x + across * wide / 2, y + down * high) for across, down in _RINGS)
        chosen.append(next((place for place in around if free(*place)), (x, y)))
    return chosen


_RINGS: Final = sorted(
    ((across, down) for across in range(-8, 9) for down in range(-8, 9)),
    key=lambda step: (step[0] ** 2 + step[1] ** 2, step),
)
"""Steps away from a place, the nearest first: half a label sideways, one label up or down."""
