"""The map of themes and patterns, before anybody draws it: places, growth by week, steadiness.

Put here: which clusters may be shown and under which words, their places in a frame that stays, weekly shares.
Not here: clustering (see `discovery_map.py`), drawing (see `svg.py` for the page, `pictures.py` for PNG).

A place on the picture is the stored position and nothing else: no circle is pushed aside and the frame is rounded to a
coarse grid over all weeks in sight, so that a cluster that stays where it was is drawn where it was.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import combinations
from math import ceil, floor, hypot, sqrt
from statistics import median
from typing import Any, Final

from signals_assets.core.barrier.thresholds import Size, band, concerned_shown, part_shown, rounded_rate, size_shown
from signals_assets.settings import Audience

Rows = Sequence[Mapping[str, Any]]

WEEKS: Final = 4
WEEK: Final = 7
KINDS: Final[Mapping[str, str]] = {
    "friction": "Friction",
    "delight": "Delight",
    "unmet_need": "What users asked for in vain",
    "intent": "What users came for",
    "summary": "What sessions were about",
}
"""Kinds of the map in the order of the page."""

GRID: Final = 0.25
"""Frames end at multiples of this: a cluster that drifts a little does not move all others on the picture."""
MARGIN: Final = 6.0
BOX: Final = (100.0, 60.0)
"""Width and height of a picture."""
MOSTLY: Final = 0.5
"""From this share of a theme's items on, it is said to be mostly of one type."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a cluster rests on: its size, its share of each week's sessions, the type most of its items have."""

    size: Size
    weekly: tuple[float | None, ...]
    """Shares of the kind's sessions, oldest week first, rounded; None where too few (or nobody, or nearly all)."""
    mostly: str | None = None


@dataclass(frozen=True, slots=True)
class Spot:
    """A cluster on the picture: its place in a box of 100 x 60, its radius, and what may be said of it."""

    cluster_id: str
    parent_id: str | None
    code: str
    label: str
    x: float
    y: float
    radius: float
    users: str
    sessions: str
    change: str
    stability: float | None
    weekly: tuple[float | None, ...]
    group: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """The map of a kind on one day."""

    day: date
    themes: tuple[Spot, ...]
    patterns: tuple[Spot, ...]


@dataclass(frozen=True, slots=True)
class Steadiness:
    """How far the map of a kind stayed as it was a week before."""

    patterns: int
    """Patterns that are shown."""
    kept: int
    """How many of them were there a week before under the same id."""
    moved: float | None
    """Half of those moved less than this share of the usual distance between two; None for fewer than three."""


@dataclass(frozen=True, slots=True)
class Panel:
    """The map of a kind over the weeks: the newest sheet last, all in one frame."""

    kind: str
    title: str
    sheets: tuple[Sheet, ...]
    outlier_share: float | None
    overlap: float | None
    """Median overlap of the patterns' members with the map before."""
    steadiness: Steadiness | None

    @property
    def newest(self) -> Sheet:
        """The map as of the day."""
        return self.sheets[-1]


def map_days(day: date) -> list[date]:
    """The days whose maps are shown beside each other, a week apart, the newest last."""
    return [day - timedelta(days=WEEK * weeks) for weeks in reversed(range(WEEKS))]


def newest_members(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The newest row of each item: where it belongs on the newest map. Rows of several days, in any order."""
    newest: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        other = newest.get(row["item_id"])
        if other is None or other["day"] <= row["day"]:
            newest[row["item_id"]] = row
    return [newest[item] for item in sorted(newest)]


def standings(
    members: Rows,
    *,
    until: date,
    audience: Audience,
    organizations: Mapping[str, str | None],
    types: Mapping[str, str] | None = None,
) -> dict[str, Standing]:
    """What each theme and pattern rests on, by its id.

    `members`: rows of `cluster_members`, one per item. `organizations`: session -> organisation. `types`: item -> type
    under the newest labels. Sessions without a user count as one user's.
    """
    tallies: dict[str, _Tally] = defaultdict(_Tally)
    for row in members:
        week = WEEKS - 1 - (until - row["about_day"]).days // WEEK
        if not 0 <= week < WEEKS:
            continue
        for cluster in {f"all {row['kind']}", row["theme_id"], row["pattern_id"]} - {None}:
            tallies[cluster].add(week, row, organizations, types or {})
    wholes = {kind: tallies[kind].by_user() for kind in tallies if kind.startswith("all ")}
    return {
        cluster: Standing(
            tally.size(),
            tuple(
                _share(part, whole, audience)
                for part, whole in zip(tally.weeks, wholes[f"all {tally.kind}"], strict=True)
            ),
            tally.mostly(audience),
        )
        for cluster, tally in tallies.items()
        if not cluster.startswith("all ")
    }


@dataclass(slots=True)
class _Tally:
    """Who is behind one cluster; sessions with their users, by week."""

    kind: str = ""
    weeks: list[dict[str, str | None]] = field(default_factory=lambda: [{} for _ in range(WEEKS)])
    belongs: dict[str, str | None] = field(default_factory=dict)
    types: dict[str, set[str | None]] = field(default_factory=lambda: defaultdict(set))
    items: Counter[str] = field(default_factory=Counter)

    def add(
        self, week: int, row: Mapping[str, Any], organizations: Mapping[str, str | None], types: Mapping[str, str]
    ) -> None:
        self.kind = row["kind"]
        self.weeks[week][row["session_id"]] = row["user_id"]
        self.belongs[row["session_id"]] = organizations.get(row["session_id"])
        type_ = types.get(row["item_id"], "")
        self.items[type_] += 1
        self.types[type_].add(row["user_id"])

    def by_user(self) -> list[Counter[str | None]]:
        return [Counter(week.values()) for week in self.weeks]

    def size(self) -> Size:
        sessions = {session: user for week in self.weeks for session, user in week.items()}
        known = Counter(one for one in self.belongs.values() if one is not None)
        return Size(
            len(set(sessions.values())), len(sessions), len(known) if known else None, max(known.values(), default=0)
        )

    def mostly(self, audience: Audience) -> str | None:
        type_, count = min(self.items.items(), key=lambda item: (-item[1], item[0]))
        enough = concerned_shown(audience, len(self.types[type_]))
        return type_ if type_ and enough and count >= MOSTLY * self.items.total() else None


def _share(part: Mapping[str, str | None], whole: Counter[str | None], audience: Audience) -> float | None:
    """Share of the week's sessions of a kind, counted by user, that are in a cluster; None where it may not be told."""
    users = Counter(part.values())
    others = len(whole) - sum(whole[user] == count for user, count in users.items())
    if not part or not part_shown(audience, len(users), others):
        return None
    return rounded_rate(len(part) / whole.total(), whole.total(), audience) or None


def panels(
    day: date,
    clusters: Rows,
    found: Mapping[str, Standing],
    *,
    names: Mapping[str, str],
    audience: Audience,
) -> list[Panel]:
    """The maps of all kinds as of `day`, with those of the weeks before where `clusters` has them.

    A cluster of today is shown where its standing allows it; an earlier place of it with it. Clusters that are gone
    show on no sheet: who was behind them is no longer known. A cluster is named by an accepted name of its own, for
    `self` by its words, else by the accepted name of the type that most of its items have, else by its kind and the
    start of its opaque id.
    """
    alive = [row for row in clusters if row["change"] != "gone" and row["cluster_id"] in found]
    alive = [row for row in alive if size_shown(audience, found[row["cluster_id"]].size)]
    made = []
    for kind, title in KINDS.items():
        rows = [row for row in alive if row["kind"] == kind]
        today = [row for row in rows if row["day"] == day]
        if today:
            made.append(_panel(day, kind, title, rows, today, found, names, audience))
    return made


def _panel(
    day: date,
    kind: str,
    title: str,
    rows: Rows,
    today: Rows,
    found: Mapping[str, Standing],
    names: Mapping[str, str],
    audience: Audience,
) -> Panel:
    shown = {row["cluster_id"] for row in today}
    rows = [row for row in rows if row["cluster_id"] in shown]
    frame = _Frame.of(rows)
    groups = {row["cluster_id"]: number for number, row in enumerate(_ordered(today, "theme", found, audience))}
    radii = _radii(today, found, audience)

    def spot(row: Mapping[str, Any]) -> Spot:
        standing = found[row["cluster_id"]]
        x, y = frame.place(row)
        stability = row["stability"]
        return Spot(
            row["cluster_id"], row["parent_id"], _code(row), cluster_label(row, standing.mostly, names, audience),
            x, y, radii.get(row["cluster_id"], 0.0),
            band(standing.size.users, audience), band(standing.size.sessions, audience), row["change"],
            None if stability is None else rounded_rate(stability, standing.size.sessions, audience),
            standing.weekly, groups.get(row["parent_id"] or row["cluster_id"], 0),
        )  # fmt: skip

    sheets = []
    for one in sorted({row["day"] for row in rows if row["day"] in map_days(day)}):
        of_day = [row for row in rows if row["day"] == one]
        themes = tuple(spot(row) for row in _ordered(of_day, "theme", found, audience))
        sheets.append(Sheet(one, themes, tuple(spot(row) for row in _ordered(of_day, "pattern", found, audience))))
    outliers = next((row["outlier_share"] for row in today if row["outlier_share"] is not None), None)
    overlaps = [row["stability"] for row in today if row["level"] == "pattern" and row["stability"] is not None]
    sessions = sum(found[row["cluster_id"]].size.sessions for row in today if row["level"] == "theme")
    return Panel(
        kind,
        title,
        tuple(sheets),
        None if outliers is None else rounded_rate(outliers, sessions, audience),
        rounded_rate(median(overlaps), sessions, audience) if overlaps else None,
        _steadiness(rows, day),
    )


def _ordered(rows: Rows, level: str, found: Mapping[str, Standing], audience: Audience) -> list[Mapping[str, Any]]:
    """Clusters of a level, those with more users (by band) first."""
    return sorted(
        (row for row in rows if row["level"] == level),
        key=lambda row: (-_floor(found[row["cluster_id"]].size.users, audience), row["cluster_id"]),
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    """The part of the plane that a kind's pictures show."""

    left: float
    top: float
    wide: float
    high: float

    @classmethod
    def of(cls, rows: Rows) -> "_Frame":
        xs, ys = [row["x"] for row in rows], [row["y"] for row in rows]
        left, top = floor(min(xs) / GRID) * GRID, floor(min(ys) / GRID) * GRID
        return cls(
            left,
            top,
            max(GRID, ceil(max(xs) / GRID) * GRID - left),
            max(GRID, ceil(max(ys) / GRID) * GRID - top),
        )

    def place(self, row: Mapping[str, Any]) -> tuple[float, float]:
        x = MARGIN + (BOX[0] - 2 * MARGIN) * (row["x"] - self.left) / self.wide
        y = MARGIN + (BOX[1] - 2 * MARGIN) * (row["y"] - self.top) / self.high
        return round(x, 2), round(y, 2)


def _radii(rows: Rows, found: Mapping[str, Standing], audience: Audience) -> dict[str, float]:
    """Areas of themes follow the band of their users and cover about a tenth of the box; patterns are dots."""
    floors = {
        row["cluster_id"]: _floor(found[row["cluster_id"]].size.users, audience)
        for row in rows
        if row["level"] == "theme"
    }
    scale = sqrt(BOX[0] * BOX[1] * 0.1 / (3.1416 * max(sum(floors.values()), 1)))
    return {cluster: round(min(6.0, max(1.2, scale * sqrt(size))), 2) for cluster, size in floors.items()}


def _floor(count: int, audience: Audience) -> int:
    """The lower end of a count's band: no count can be measured on the picture."""
    return int(band(count, audience).lstrip("<").rstrip("+").split("-")[0])


def _code(row: Mapping[str, Any]) -> str:
    """Four signs of the id, the same on every day."""
    return str(row["cluster_id"])[2:6]


def cluster_label(row: Mapping[str, Any], mostly: str | None, names: Mapping[str, str], audience: Audience) -> str:
    """What a cluster may be called on a published surface."""
    if row["cluster_id"] in names:
        return names[row["cluster_id"]]
    if audience == "self" and row["terms"]:
        return ", ".join(row["terms"][:3])
    if mostly is not None and mostly in names:
        return f"mostly {names[mostly].lower()}"
    return f"{str(row['kind']).replace('_', ' ')} {_code(row)}"


def _steadiness(rows: Rows, day: date) -> Steadiness | None:
    """Patterns shown today against their places a week before; None where there was no map then."""
    places = {
        when: {row["cluster_id"]: (row["x"], row["y"]) for row in rows
               if row["day"] == when and row["level"] == "pattern"}
        for when in (day - timedelta(days=WEEK), day)
    }  # fmt: skip
    before, now = places[day - timedelta(days=WEEK)], places[day]
    if not before or not now:
        return None
    both = sorted(before.keys() & now.keys())
    usual = [_apart(now[one], now[other]) for one, other in combinations(both, 2)]
    moved = None
    if len(both) > 2 and (between := median(usual)) > 0:
        moved = round(median(_apart(before[one], now[one]) for one in both) / between, 2)
    return Steadiness(len(now), len(both), moved)


def _apart(one: tuple[float, float], other: tuple[float, float]) -> float:
    return hypot(one[0] - other[0], one[1] - other[1])
