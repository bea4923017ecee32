"""Stage 5 · discovery, the map: themes and patterns of the trailing window, with ids that survive.

Put here: `cluster_map`: re-clustering, matching to the map before, daily assignment, terms, positions.
Not here: new categories (see `discovery_proposals.py`), the mathematics (see `discovery_vectors.py`).

Each kind of item has a map of its own with two fixed levels: Louvain communities of the exact neighbour graph, coarse
(themes) and fine (patterns). A pattern belongs to the theme that most of its items are in, and takes its items
along, so that the levels are a tree. Equal texts are one point of the graph, else copies would only see each other.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from signals_assets.core.coverage import Coverage
from signals_assets.core.discovery_items import ITEM_KINDS, Item, Row, Window, content_hash
from signals_assets.core.discovery_vectors import (
    Floats,
    best_matches,
    centroid,
    communities,
    distinct,
    distinctive_terms,
    gate,
    neighbour_graph,
    overlap,
    positions,
    remembered,
)
from signals_assets.core.identity import content_id
from signals_assets.tables import Cluster, ClusterMember, ItemKind

LEAST_ITEMS: Final = 20
"""Fewer items of a kind make no map."""

LEAST_MEMBERS: Final = 3
"""Fewer items make no pattern: they stay unclaimed until they are more."""

RESOLUTIONS: Final[dict[str, float]] = {"theme": 1.0, "pattern": 10.0}
"""Louvain's resolution per level: a fixed taste for granularity, not tuned per day. Adjusted Rand index at 5, 7 and 10
beside k-means with the true k: banking intents (77 classes) 0.56, 0.54, 0.53 and 0.49; one-line descriptions of
packages by section (38) 0.32, 0.31, 0.28 and 0.25; both mixed with docstrings by module (139) 0.37, 0.38, 0.40 and
0.36. Many classes ask for 10, and where there are few it still reaches k-means."""

SMALL_RESOLUTION: Final = 3.0
SMALL_TEXTS: Final = 100
LARGE_TEXTS: Final = 1000
"""The patterns' resolution is that of the table from 10,000 distinct texts, falls by one per `LARGE_TEXTS` to
`SMALL_RESOLUTION`, and from 300 texts by one per `SMALL_TEXTS` to the themes'.

A community larger than the total over the resolution is cut whatever it holds. Adjusted Rand index at 3 and 10 beside
k-means with the true k: 3,481 descriptions of packages by tag 0.33, 0.23 and 0.29; 5,872 commands of a cloud by product
0.39, 0.36 and 0.26; 7,704 operations of another 0.18, 0.24 and 0.12. 300 banking intents of 10 classes: 0.90 at 3.
"""

MEMORY: Final = 1.5
"""How much closer two neighbours are that shared a pattern in the map before. Measured with a quarter more texts after
a week, at 1, 1.5 and 2: banking intents keep 0.97, 1.00, 1.00 of the ids and 0.85, 0.91, 0.93 of the texts in their
pattern, descriptions of packages 0.88, 0.95, 0.96 and 0.76, 0.89, 0.94; the adjusted Rand index stays the same."""

CLAIM_QUANTILE: Final = 0.05
"""A pattern claims what is as near to it as all but this share of its own members."""

SAME_ID: Final = 0.3
"""Overlap of members (intersection over union) from which a cluster keeps its id."""

MOST_OF: Final = 0.5
"""Share of a cluster's members from which it counts as gone into, or come out of, another."""

TERMS: Final = 6
BLOCK: Final = 4096
"""Items whose positions are computed at once."""

Level = Literal["theme", "pattern"]
Change = Literal["kept", "split", "merged", "new", "gone"]


@dataclass(frozen=True, eq=False)
class _Placed:
    """Items of a kind on the map, a row each: its pattern (-1: none), similarity to it, position."""

    kind: ItemKind
    items: Sequence[Item]
    patterns: Sequence["_Group"]
    own: npt.NDArray[np.int64]
    similar: Floats
    places: Floats

    def rows(self, day: date) -> Iterator[ClusterMember]:
        """Rows of `cluster_members`."""
        for item, own, similar, place in zip(self.items, self.own.tolist(), self.similar, self.places, strict=True):
            group = self.patterns[own] if own >= 0 else None
            yield ClusterMember(
                day=day,
                item_id=item.item_id,
                kind=item.kind,
                session_id=item.session_id,
                user_id=item.user_id,
                about_day=item.day,
                pattern_id=group.cluster_id if group else None,
                theme_id=group.parent.cluster_id if group and group.parent else None,
                similarity=round(float(similar), 4) if group else None,
                x=round(float(place[0]), 4) if self.patterns else None,
                y=round(float(place[1]), 4) if self.patterns else None,
            )


@dataclass(frozen=True, eq=False)
class Members:
    """Rows of `cluster_members`, made anew each time they are iterated: there are more of them than sessions."""

    day: date
    placed: Sequence[_Placed]

    def __len__(self) -> int:
        return sum(len(one.items) for one in self.placed)

    def __iter__(self) -> Iterator[ClusterMember]:
        return (row for one in self.placed for row in one.rows(self.day))


@dataclass(frozen=True)
class MapResult:
    """The map as of a day.

    `members` are the day's new items, or all items of the window for kinds that were re-clustered. `coverage`
    counts those members: answered = claimed by a pattern, skipped = `no_pattern_claims_it` or `too_few_items`.
    """

    clusters: list[Cluster]
    members: Members
    coverage: Coverage


@dataclass
class _Group:
    """One cluster while a day's map is made; `rows` are row numbers of its kind's window."""

    level: Level
    kind: ItemKind
    rows: npt.NDArray[np.int64]
    cluster_id: str = ""
    parent: "_Group | None" = None
    terms: list[str] = field(default_factory=list)
    change: Change = "new"
    previous_ids: list[str] = field(default_factory=list)
    stability: float | None = None
    threshold: float = 0.0
    reclustered_on: date | None = None
    place: tuple[float, float] | None = None


@dataclass
class _Kind:
    """The map of one kind: its window, its groups, and per item the pattern (None: unclaimed) and similarity."""

    kind: ItemKind
    window: Window
    patterns: list[_Group]
    themes: list[_Group]
    gone: list[Row]
    written: npt.NDArray[np.int64]
    """Rows that get a row in `cluster_members`."""
    fresh: bool
    """Re-clustered today."""


def cluster_map(
    day: date,
    window: Window,
    previous_clusters: Sequence[Row] = (),
    previous_members: Sequence[Row] = (),
    *,
    seed: int = 0,
    recluster: bool = False,
) -> MapResult:
    """The day's map of the window's items.

    `previous_clusters` are the rows of `clusters` of the day before; `previous_members` the rows of
    `cluster_members` of the earlier days of the window, oldest first (the newest row of an item counts). With
    `recluster` all kinds are clustered anew and matched to the map before; without, new items are assigned to the
    existing patterns, and a kind that has no map yet gets one as soon as it has `LEAST_ITEMS` items.
    """
    before = {row["cluster_id"]: row for row in previous_clusters if row["change"] != "gone"}
    member_of = {row["item_id"]: (row["pattern_id"], row["theme_id"]) for row in previous_members}
    maps = [_map_of_kind(day, window.of_kind(kind), kind, before, member_of, seed, recluster) for kind in ITEM_KINDS]
    if any(one.fresh for one in maps):
        _place(maps, before)
    clusters = [row for one in maps for row in _cluster_rows(day, one)]
    members = Members(day, [_placed(one) for one in maps])
    return MapResult(clusters, members, _coverage(members, clusters, window.missing))


def pattern_resolution(texts: int) -> float:
    """Louvain's resolution for the patterns of so many distinct texts."""
    small = min(SMALL_RESOLUTION, max(RESOLUTIONS["theme"], texts / SMALL_TEXTS))
    return min(RESOLUTIONS["pattern"], max(small, texts / LARGE_TEXTS))


def _map_of_kind(
    day: date,
    window: Window,
    kind: ItemKind,
    before: Mapping[str, Row],
    member_of: Mapping[str, tuple[str | None, str | None]],
    seed: int,
    recluster: bool,
) -> _Kind:
    old = {cluster_id: row for cluster_id, row in before.items() if row["kind"] == kind}
    everything = np.arange(len(window.items))
    enough = len(window.items) >= LEAST_ITEMS
    if enough and (recluster or not old):
        patterns, themes = _clustered(day, window, kind, seed, member_of)
        hashes = [content_hash(item.text) for item in window.items]
        gone = _matched(day, window, hashes, patterns, old, member_of, 0)
        gone += _matched(day, window, hashes, themes, old, member_of, 1)
        return _Kind(kind, window, patterns, themes, gone, everything, True)
    new = np.array([r for r, item in enumerate(window.items) if item.item_id not in member_of], dtype=np.int64)
    patterns, themes, gone = _carried(window, kind, old, member_of, new)
    return _Kind(kind, window, patterns, themes, gone, new, False)


def _clustered(
    day: date,
    window: Window,
    kind: ItemKind,
    seed: int,
    member_of: Mapping[str, tuple[str | None, str | None]],
) -> tuple[list[_Group], list[_Group]]:
    """Patterns and themes of all items of the kind, without ids; what was together draws together again."""
    texts = [item.text for item in window.items]
    first, inverse = distinct(texts)
    if len(first) < LEAST_MEMBERS:
        fine = coarse = np.zeros(len(texts), dtype=np.int64)
    else:
        before = [member_of.get(window.items[row].item_id, (None, None))[0] for row in first.tolist()]
        vectors = window.vectors if len(first) == len(texts) else window.vectors[first]
        graph = remembered(neighbour_graph(vectors), before, MEMORY)
        fine = communities(graph, pattern_resolution(len(first)), seed)[inverse]
        coarse = communities(graph, RESOLUTIONS["theme"], seed)[inverse]
    patterns = [_Group("pattern", kind, np.flatnonzero(fine == label)) for label in range(int(fine.max()) + 1)]
    patterns = [group for group in patterns if len(group.rows) >= LEAST_MEMBERS]
    by_theme: dict[int, list[_Group]] = {}
    for group in patterns:
        counts = Counter(coarse[group.rows].tolist())
        by_theme.setdefault(max(counts, key=lambda label: (counts[label], -label)), []).append(group)
    themes = []
    for _, children in sorted(by_theme.items()):
        theme = _Group("theme", kind, np.sort(np.concatenate([child.rows for child in children])))
        themes.append(theme)
        for child in children:
            child.parent = theme
    for groups in (patterns, themes):
        for group, terms in zip(groups, distinctive_terms(_texts(window, groups), TERMS), strict=True):
            group.terms = terms
            group.threshold = gate(window.vectors[group.rows], CLAIM_QUANTILE)
            group.reclustered_on = day
    return patterns, themes


def _matched(
    day: date,
    window: Window,
    hashes: Sequence[str],
    groups: list[_Group],
    old: Mapping[str, Row],
    member_of: Mapping[str, tuple[str | None, str | None]],
    level: int,
) -> list[Row]:
    """Give each group the id of its match in the map before, or a new one; returns the clusters that are gone.

    `hashes` are those of the items' texts. Compared are the items that both maps know. Hungarian matching on
    intersection over union.
    """
    name = "pattern" if level == 0 else "theme"
    ids = sorted(cluster_id for cluster_id, row in old.items() if row["level"] == name)
    was: dict[str, set[str]] = {cluster_id: set() for cluster_id in ids}
    for item in window.items:
        cluster_id = member_of.get(item.item_id, (None, None))[level]
        if cluster_id in was:
            was[cluster_id].add(item.item_id)
    known = set().union(*was.values()) if was else set()
    now = [{window.items[row].item_id for row in group.rows} & known for group in groups]
    scores = np.array([[overlap(new, was[cluster_id]) for cluster_id in ids] for new in now]).reshape(
        len(now), len(ids)
    )
    kept = dict(best_matches(scores, SAME_ID))
    for number, group in enumerate(groups):
        founders = sorted(hashes[row] for row in group.rows)
        origins = _origins(now[number], was)
        group.cluster_id = content_id("c", group.kind, group.level, day.isoformat(), *founders)
        if number in kept:
            group.cluster_id = ids[kept[number]]
            group.change = "kept"
            group.stability = float(scores[number, kept[number]])
            group.place = (float(old[group.cluster_id]["x"]), float(old[group.cluster_id]["y"]))
        group.change, group.previous_ids = _change(group, origins, was, now[number])
    survived = {group.cluster_id for group in groups}
    return [old[cluster_id] for cluster_id in ids if cluster_id not in survived]


def _origins(members: set[str], was: Mapping[str, set[str]]) -> list[str]:
    """Clusters of the map before most of whose members are now in this group."""
    return [cid for cid, old in sorted(was.items()) if old and len(members & old) >= MOST_OF * len(old)]


def _change(
    group: _Group, origins: list[str], was: Mapping[str, set[str]], members: set[str]
) -> tuple[Change, list[str]]:
    """What happened to the group, and the clusters it came from."""
    if len(origins) > 1:
        return "merged", origins
    if group.change == "kept":
        return "kept", [group.cluster_id]
    parts = [cid for cid, old in sorted(was.items()) if members and len(members & old) >= MOST_OF * len(members)]
    return ("split", parts[:1]) if parts else ("new", [])


def _carried(
    window: Window,
    kind: ItemKind,
    old: Mapping[str, Row],
    member_of: Mapping[str, tuple[str | None, str | None]],
    new: npt.NDArray[np.int64],
) -> tuple[list[_Group], list[_Group], list[Row]]:
    """The map before with the new items assigned; clusters without an item in the window are gone."""
    rows: dict[str, list[int]] = {cid: [] for cid, row in old.items() if row["level"] == "pattern"}
    for number, item in enumerate(window.items):
        pattern = member_of.get(item.item_id, (None, None))[0]
        if pattern in rows:
            rows[pattern].append(number)
    alive = sorted(cid for cid in rows if rows[cid])
    if alive and len(new):
        similar = window.vectors[new] @ np.stack([centroid(window.vectors[rows[cid]]) for cid in alive]).T
        claimed = np.where(similar >= np.array([float(old[cid]["threshold"]) for cid in alive]), similar, -np.inf)
        for number, best, score in zip(new.tolist(), claimed.argmax(axis=1), claimed.max(axis=1), strict=True):
            if np.isfinite(score):
                rows[alive[int(best)]].append(number)
    patterns = [_carry(old[cid], kind, np.array(sorted(rows[cid]), dtype=np.int64)) for cid in alive]
    themes = []
    for cid in sorted({str(old[one]["parent_id"]) for one in alive} & old.keys()):
        children = [group for group in patterns if old[group.cluster_id]["parent_id"] == cid]
        themes.append(_carry(old[cid], kind, np.sort(np.concatenate([child.rows for child in children]))))
        for child in children:
            child.parent = themes[-1]
    survived = {group.cluster_id for group in (*patterns, *themes)}
    return patterns, themes, [row for cid, row in sorted(old.items()) if cid not in survived]


def _carry(row: Row, kind: ItemKind, rows: npt.NDArray[np.int64]) -> _Group:
    return _Group(
        level=row["level"],
        kind=kind,
        rows=rows,
        cluster_id=row["cluster_id"],
        terms=list(row["terms"]),
        change="kept",
        previous_ids=[row["cluster_id"]],
        stability=row["stability"],
        threshold=float(row["threshold"]),
        reclustered_on=row["reclustered_on"],
        place=(float(row["x"]), float(row["y"])),
    )


def _place(maps: Sequence[_Kind], before: Mapping[str, Row]) -> None:
    """Positions of all patterns on one plane, turned onto the places they had; a theme lies amid its patterns."""
    patterns = [group for one in maps for group in one.patterns]
    if not patterns:
        return
    centres = np.stack([centroid(one.window.vectors[group.rows]) for one in maps for group in one.patterns])
    anchors = [
        (number, *group.place)
        for number, group in enumerate(patterns)
        if group.place is not None and group.cluster_id in before
    ]
    for group, (x, y) in zip(patterns, positions(centres, anchors).tolist(), strict=True):
        group.place = (round(x, 4), round(y, 4))
    for theme in (theme for one in maps for theme in one.themes):
        children = [group for group in patterns if group.parent is theme]
        weights = np.array([len(child.rows) for child in children])
        x, y = np.average(np.array([child.place for child in children]), axis=0, weights=weights)
        theme.place = (round(float(x), 4), round(float(y), 4))


def _cluster_rows(day: date, one: _Kind) -> list[Cluster]:
    """Rows of `clusters` of one kind: themes, patterns, then what is gone."""
    claimed = sum(len(group.rows) for group in one.patterns)
    outliers = round(1 - claimed / len(one.window.items), 4) if one.window.items else None
    rows = [
        Cluster(
            day=day,
            cluster_id=group.cluster_id,
            level=group.level,
            parent_id=group.parent.cluster_id if group.parent else None,
            kind=one.kind,
            terms=group.terms,
            items=len(group.rows),
            users=len({one.window.items[row].user_id for row in group.rows}),
            sessions=len({one.window.items[row].session_id for row in group.rows}),
            change=group.change,
            previous_ids=group.previous_ids,
            stability=group.stability,
            outlier_share=outliers,
            threshold=group.threshold,
            reclustered_on=group.reclustered_on or day,
            x=group.place[0] if group.place else 0.0,
            y=group.place[1] if group.place else 0.0,
        )
        for group in sorted([*one.themes, *one.patterns], key=lambda group: (group.level != "theme", group.cluster_id))
    ]
    return rows + [_gone_row(day, row, outliers) for row in one.gone]


def _gone_row(day: date, row: Row, outliers: float | None) -> Cluster:
    kept: dict[str, Any] = {name: row[name] for name in Cluster.model_fields if name in row}
    return Cluster(
        **kept
        | {
            "day": day,
            "items": 0,
            "users": 0,
            "sessions": 0,
            "change": "gone",
            "previous_ids": [row["cluster_id"]],
            "outlier_share": outliers,
        }
    )


def _placed(one: _Kind) -> _Placed:
    """Where the items of a kind are that are written today."""
    pattern = np.full(len(one.window.items), -1, dtype=np.int64)
    for number, group in enumerate(one.patterns):
        pattern[group.rows] = number
    own = pattern[one.written]
    similar, places = _seen_from_patterns(one, np.maximum(own, 0))
    return _Placed(
        one.kind, [one.window.items[row] for row in one.written.tolist()], one.patterns, own, similar, places
    )


def _seen_from_patterns(one: _Kind, own: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Of each written item the similarity to its own pattern and its position, some thousands at a time."""
    if not one.patterns:
        return np.zeros(len(one.written)), np.zeros((len(one.written), 2))
    centres = np.stack([centroid(one.window.vectors[group.rows]) for group in one.patterns]).T.astype(np.float64)
    places = np.array([group.place or (0.0, 0.0) for group in one.patterns])
    similar, amid = np.empty(len(one.written)), np.empty((len(one.written), 2))
    for start in range(0, len(one.written), BLOCK):
        part = slice(start, start + BLOCK)
        near = one.window.vectors[one.written[part]].astype(np.float64) @ centres
        similar[part] = near[np.arange(len(near)), own[part]]
        amid[part] = _between(near, places)
    return similar, amid


def _between(similar: Floats, places: Floats) -> Floats:
    """Positions of items amid the patterns they resemble (softmax over cosines, sharp enough to stay near the best)."""
    weights = np.exp(25 * (similar - similar.max(axis=1, keepdims=True)))
    amid: Floats = weights @ places / weights.sum(axis=1, keepdims=True)
    return amid


def _coverage(members: Members, clusters: Sequence[Cluster], missing: int) -> Coverage:
    mapped = {cluster.kind for cluster in clusters if cluster.change != "gone"}
    claimed = sum(int((one.own >= 0).sum()) for one in members.placed)
    few = sum(len(one.items) for one in members.placed if one.kind not in mapped)
    skipped = {"too_few_items": few, "no_pattern_claims_it": len(members) - claimed - few, "no_vector": missing}
    return Coverage(
        asked=len(members) + missing,
        answered=claimed,
        skipped={reason: count for reason, count in skipped.items() if count},
        notes={f"{change}_clusters": n for change, n in sorted(Counter(c.change for c in clusters).items())},
    )


def _texts(window: Window, groups: Sequence[_Group]) -> list[list[str]]:
    return [[window.items[row].text for row in group.rows] for group in groups]
