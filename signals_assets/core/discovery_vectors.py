"""Stage 5 · discovery, the mathematics: unit vectors in; graphs, groups, matches, words and positions out.

Put here: functions over arrays and plain lists that know nothing of items, clusters' ids or the taxonomy.
Not here: what is grouped and what a group means (see `discovery_map.py`, `discovery_proposals.py`).

Everything is deterministic: randomness comes from a seed, ties go to the lower index.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

NEIGHBOURS: Final = 15
"""Neighbours per point in the graph (measured: notes on clustering, 15-NN with graph communities)."""

MOST_LINKED: Final = 5000
"""Rows that average linkage is asked for: 200 MB of distances."""

EXACT: Final = 20_000
"""Rows up to which neighbours are exact."""

PROBES: Final = 24
"""Cells that are looked through for a row's neighbours, of as many as the square root of the number of rows."""

_CHUNK: Final = 2048
_BLOCK: Final = 512
_PAIRS: Final = 10_000_000
_WORD: Final = re.compile(r"[a-z][a-z'-]+[a-z]")
_STOP_WORDS: Final = """
about after again all also and another any are because been before being both but can could did does doing
done each either for from get gets getting got had has have having her here his how into its itself just
like made make makes more most much not now of off once one only other our out over own same she should some
still such than that the their them then there these they this those through too under until very was were
what when where which while who whom why will with without would you your agent agent's assistant user
user's users session asked said wanted want wants need needs told tell
please using used use dont don't doesn't can't didn't
"""
_STOP: Final = frozenset(_STOP_WORDS.split())


def unit(vectors: npt.ArrayLike, *, in_place: bool = False) -> Vectors:
    """Rows scaled to length 1, float32; a zero row stays zero. `in_place` for a float32 array of the caller's own."""
    array = np.asarray(vectors, dtype=np.float32)
    scaled = array if in_place else np.empty_like(array)
    for start in range(0, len(array), _CHUNK):  # a window's vectors are most of what a day holds in memory
        part = array[start : start + _CHUNK]
        norms = np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12)
        np.divide(part, norms, out=scaled[start : start + _CHUNK])
    return scaled


def centroid(vectors: Vectors) -> Vectors:
    """Direction of the mean of unit rows, shape (dimensions,)."""
    middle: Vectors = unit(vectors.mean(axis=0, keepdims=True, dtype=np.float64))[0]
    return middle


def own_similarities(vectors: Vectors) -> Floats:
    """Cosine of each unit row to the centroid of the others (of itself where it is alone).

    Leaving the row itself out keeps small groups from looking tighter than they are.
    """
    if len(vectors) < 2:
        return np.ones(len(vectors))
    rows = vectors.astype(np.float64)
    rest = rows.sum(axis=0) - rows
    similar: Floats = np.einsum("ij,ij->i", rows, rest) / np.maximum(np.linalg.norm(rest, axis=1), 1e-12)
    return similar


def gate(vectors: Vectors, quantile: float) -> float:
    """Similarity to their centroid that all but a share `quantile` of the members reach."""
    return float(np.quantile(own_similarities(vectors), quantile))


def distinct(texts: Sequence[str]) -> tuple[Labels, Labels]:
    """Index of the first row of each distinct text, and for every row the position of its text among those."""
    first: dict[str, int] = {}
    rows: list[int] = []
    inverse = np.empty(len(texts), dtype=np.int64)
    for row, text in enumerate(texts):
        if text not in first:
            first[text] = len(rows)
            rows.append(row)
        inverse[row] = first[text]
    return np.asarray(rows, dtype=np.int64), inverse


def neighbour_graph(vectors: Vectors, neighbours: int = NEIGHBOURS) -> Any:
    """Symmetric sparse graph of the nearest neighbours by cosine; weights are cosines, none negative.

    Exact up to `EXACT` rows; above, each row is compared with those of the `PROBES` cells nearest to its own (as in an
    inverted file, Jegou et al. 2011), so that time grows with n to the power of 1.5 and memory with n. Few points have
    fewer neighbours (about the square root of their number), else the graph would be complete and have no communities.
    """
    from scipy.sparse import csr_matrix

    count = len(vectors)
    k = min(neighbours, max(2, round(count**0.5)), count - 1)
    columns = np.zeros((count, k), dtype=np.int32)
    weights = np.zeros((count, k), dtype=np.float32)
    for rows, others in _compared(vectors):
        similar = vectors[rows] @ vectors[others].T
        similar[rows[:, None] == others[None, :]] = -np.inf
        near = np.argpartition(similar, -k, axis=1)[:, -k:]
        columns[rows] = others[near]
        weights[rows] = np.maximum(np.take_along_axis(similar, near, axis=1), 1e-6)
    starts = np.arange(0, count * k + 1, k)
    directed = csr_matrix((weights.ravel(), columns.ravel(), starts), shape=(count, count))
    return directed.maximum(directed.T).tocsr().astype(np.float64)


def remembered(graph: Any, before: Sequence[str | None], factor: float) -> Any:
    """The graph with the edges between rows of one earlier group (None: no group) strengthened by a factor."""
    number = {name: place for place, name in enumerate(sorted({name for name in before if name is not None}))}
    if not number:
        return graph
    groups = np.array([-1 if name is None else number[name] for name in before], dtype=np.int64)
    edges = graph.tocoo()
    same = (groups[edges.row] == groups[edges.col]) & (groups[edges.row] >= 0)
    edges.data = np.where(same, edges.data * factor, edges.data)
    return edges.tocsr()


def _compared(vectors: Vectors) -> Iterator[tuple[Labels, Labels]]:
    """Blocks of rows and the rows that each is compared with."""
    count = len(vectors)
    if count <= EXACT:
        for start in range(0, count, _BLOCK):
            yield np.arange(start, min(start + _BLOCK, count)), np.arange(count)
        return
    centres = vectors[:: count // round(count**0.5)]
    for _ in range(2):
        cell = _nearest(vectors, centres)
        filled = np.unique(cell)
        centres = unit(np.stack([vectors[cell == number].sum(axis=0) for number in filled]))
    cell = _nearest(vectors, centres)
    members = [np.flatnonzero(cell == number) for number in range(len(filled))]
    probed = np.argsort(-(centres @ centres.T), axis=1, kind="stable")[:, :PROBES]
    for number, rows in enumerate(members):
        others = np.sort(np.concatenate([members[near] for near in probed[number]]))
        if len(others) <= NEIGHBOURS:
            others = np.arange(count)
        for start in range(0, len(rows), _BLOCK):
            yield rows[start : start + _BLOCK], others


def _nearest(vectors: Vectors, centres: Vectors) -> Labels:
    """The nearest centre of each row."""
    blocks = range(0, len(vectors), _CHUNK)
    return np.concatenate([(vectors[at : at + _CHUNK] @ centres.T).argmax(axis=1) for at in blocks])


def communities(graph: Any, resolution: float, seed: int) -> Labels:
    """Louvain communities of the graph (scikit-network, BSD), labelled 0, 1, ... by size.

    Not Leiden: scikit-network's draws from the C library's generator, which no seed reaches, so that the same graph
    gives another partition at every call. Measured on 10,003 banking intents the two are equal in quality.
    """
    from sknetwork.clustering import Louvain

    model = Louvain(resolution=resolution, modularity="newman", shuffle_nodes=True, random_state=seed)
    return np.asarray(model.fit_predict(graph), dtype=np.int64)


def dense_groups(vectors: Vectors, min_size: int) -> Labels:
    """HDBSCAN's leaves over unit rows; -1 belongs to none. Measured: a good finder of groups, a poor map."""
    if len(vectors) < max(min_size, 3):
        return np.full(len(vectors), -1, dtype=np.int64)
    from sklearn.cluster import HDBSCAN

    model = HDBSCAN(min_cluster_size=min_size, min_samples=1, cluster_selection_method="leaf", copy=True)
    return np.asarray(model.fit_predict(vectors.astype(np.float64)), dtype=np.int64)


def tight_groups(vectors: Vectors, min_size: int, cosine: float) -> Labels:
    """Average linkage over unit rows, cut at a mean cosine; -1 is in no group of `min_size`.

    Finds a group that has nothing beside it, which HDBSCAN calls noise. Needs 8 bytes per pair of rows: more than
    `MOST_LINKED` rows are all -1 (there HDBSCAN has its background).
    """
    labels = np.full(len(vectors), -1, dtype=np.int64)
    if not max(min_size, 2) <= len(vectors) <= MOST_LINKED:
        return labels
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    rows = vectors.astype(np.float64)
    distances = rows @ rows.T
    np.subtract(1, distances, out=distances)
    np.maximum(distances, 0, out=distances)
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform(distances, checks=False), "average")
    cut = np.asarray(fcluster(tree, 1 - cosine, "distance"))
    large = [label for label in np.unique(cut).tolist() if (cut == label).sum() >= min_size]
    for number, label in enumerate(large):
        labels[cut == label] = number
    return labels


def unlike(vectors: Vectors, rows: Labels, others: Labels, cosine: float) -> Labels:
    """Those of `rows` whose nearest neighbour among the rows `others` has a cosine under `cosine`, in order."""
    if not len(rows) or not len(others):
        return rows
    near = [(vectors[rows[at : at + _CHUNK]] @ vectors[others].T).max(axis=1) for at in range(0, len(rows), _CHUNK)]
    kept: Labels = rows[np.concatenate(near) < cosine]
    return kept


def merged(
    groups: Sequence[Labels], vectors: Vectors, nearness: float, others: Vectors | None = None, margin: float = 0.0
) -> list[Labels]:
    """Groups of row numbers joined, the nearest first, while their centres have at least the cosine `nearness`.

    Two groups stay apart whose cosine less that to the nearest of the centres `others` is under `margin`: how near two
    halves of one thing lie differs from subject to subject, and what lies between them tells (measured on pairs of
    pieces of banking intents: area under the curve 0.89 for the difference, 0.81 for the cosine alone).
    """
    parts = [np.sort(group) for group in groups]
    while len(parts) > 1:
        centres = np.stack([centroid(vectors[part]) for part in parts])
        similar = (centres @ centres.T).astype(np.float64)
        apart = similar < nearness
        if others is not None and len(others):
            near = (centres @ others.T).max(axis=1)
            similar -= np.maximum.outer(near, near)
            apart |= similar < margin
        similar[apart] = -np.inf
        np.fill_diagonal(similar, -np.inf)
        one, two = divmod(int(similar.argmax()), len(parts))
        if not np.isfinite(similar[one, two]):
            break
        joined = np.sort(np.concatenate([parts[one], parts[two]]))
        parts = [part for number, part in enumerate(parts) if number not in (one, two)] + [joined]
    return sorted(parts, key=lambda part: (-len(part), int(part[0])))


def nearest_rows(vectors: Vectors, rows: Labels, count: int) -> Labels:
    """Of each of `rows` the `count` rows of `vectors` that are nearest to it, itself left out, in no order.

    Shape (len(rows), count), fewer columns where there are not so many others.
    """
    count = min(count, len(vectors) - 1)
    near = np.empty((len(rows), count), dtype=np.int64)
    step = max(1, _PAIRS // len(vectors))
    for at in range(0, len(rows), step):
        part = rows[at : at + step]
        similar = vectors[part] @ vectors.T
        similar[np.arange(len(part)), part] = -np.inf
        near[at : at + step] = np.argpartition(similar, len(vectors) - count, axis=1)[:, len(vectors) - count :]
    return near


def interwoven(groups: Sequence[Labels], near: Labels, rows: Labels, share: float) -> list[Labels]:
    """Groups joined, the most interwoven first, while one has so many neighbours in the other as a share of its own.

    `near` are the neighbours of the rows `rows` (ascending; see `nearest_rows`), which hold all groups. Counted for
    the smaller of two groups, its neighbours in the larger against those within itself, and the other way round: two
    halves of one thing are each other's neighbours, two things that only lie near each other are not.
    """
    parts = [np.sort(group) for group in groups]
    links = _links(parts, near, rows)
    while len(parts) > 1:
        within = np.maximum(np.diag(links), 1)
        woven = links / within[:, None]
        woven = np.maximum(woven, woven.T)
        np.fill_diagonal(woven, -1)
        one, two = sorted(divmod(int(woven.argmax()), len(parts)))
        if woven[one, two] < share:
            break
        parts[one] = np.sort(np.concatenate([parts[one], parts.pop(two)]))
        links[one] += links[two]
        links[:, one] += links[:, two]
        links = np.delete(np.delete(links, two, axis=0), two, axis=1)
    return sorted(parts, key=lambda part: (-len(part), int(part[0])))


def _links(groups: Sequence[Labels], near: Labels, rows: Labels) -> Floats:
    """How many neighbours of each group's rows are in each group, shape (groups, groups)."""
    group_of = np.full(int(max(near.max(initial=-1), rows.max(initial=-1))) + 1, len(groups))
    for number, group in enumerate(groups):
        group_of[group] = number
    counts = np.zeros((len(groups), len(groups) + 1))
    for number, group in enumerate(groups):
        around = group_of[near[np.searchsorted(rows, group)]]
        counts[number] = np.bincount(around.ravel(), minlength=len(groups) + 1)
    links: Floats = counts[:, :-1]
    return links


def contested(
    groups: Sequence[Labels],
    vectors: Vectors,
    rows: Labels,
    others: Vectors,
    quantile: float | None,
    least: int,
    rounds: int,
) -> list[Labels]:
    """Groups after a contest for the rows `rows`, among each other and with the centres `others`.

    In each round a row goes to the nearest centre, if it is as near to it as all but a share `quantile` of the
    group's members; groups of fewer than `least` rows are out. With no quantile the nearest centre is enough, and a
    small group lets none of its own go. A corner of something known loses its rows to it, and of two halves of one
    thing the weaker one vanishes.
    """
    known = (vectors[rows] @ others.T).max(axis=1) if len(others) else np.full(len(rows), -1.0)
    held = list(groups)
    for _ in range(rounds):
        if not held:
            break
        similar = vectors[rows] @ np.stack([centroid(vectors[group]) for group in held]).T
        lowest = np.array([_lowest(vectors[group], quantile) for group in held])
        best, top = similar.argmax(axis=1), similar.max(axis=1)
        won = (top > known) & (top >= lowest[best])
        held = [rows[won & (best == number)] for number in range(len(held))]
        held = [group for group in held if len(group) >= least]
    return held


def _lowest(vectors: Vectors, quantile: float | None) -> float:
    """The similarity to its centre that a group asks for in a contest."""
    if quantile is None:
        return -1.0
    return gate(vectors, quantile if len(vectors) * quantile >= 1 else 0.0)


def nearer_elsewhere(vectors: Vectors, group: Labels, others: Labels, count: int = 5) -> float:
    """Share of a group's rows whose `count` nearest among the rows `others` are nearer than those in the group.

    Of the others only those nearest to the group's centre are looked at.
    """
    if not len(group) or not len(others):
        return 0.0
    toward = vectors[others] @ centroid(vectors[group])
    if len(others) > _CHUNK:
        others = others[np.sort(np.argpartition(-toward, _CHUNK)[:_CHUNK])]
    own, near = [], []
    for at in range(0, len(group), _CHUNK):
        part = group[at : at + _CHUNK]
        similar = vectors[part] @ vectors[group].T
        similar[np.arange(len(part)), np.arange(at, at + len(part))] = -1
        own.append(_top_mean(similar, min(count, max(len(group) - 1, 1))))
        near.append(_top_mean(vectors[part] @ vectors[others].T, count))
    return float((np.concatenate(near) > np.concatenate(own)).mean())


def _top_mean(similar: Vectors, count: int) -> Floats:
    """Mean of the `count` largest of each row."""
    count = min(count, similar.shape[1])
    top: Floats = np.partition(similar, -count, axis=1)[:, -count:].mean(axis=1, dtype=np.float64)
    return top


def best_matches(scores: Floats, least: float) -> list[tuple[int, int]]:
    """One-to-one pairs (row, column) with the highest total score (Hungarian), those under `least` left out."""
    if not scores.size:
        return []
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-scores)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if scores[row, column] >= least]


def overlap(one: Iterable[str], two: Iterable[str]) -> float:
    """Intersection over union of two sets of ids; 0 when both are empty."""
    left, right = set(one), set(two)
    return len(left & right) / len(left | right) if left | right else 0.0


def words(text: str) -> list[str]:
    """Lower-case words of at least three letters that carry meaning, in order."""
    return [word for word in _WORD.findall(text.lower()) if word not in _STOP]


def distinctive_terms(groups: Sequence[Sequence[str]], count: int, share: float = 0.0) -> list[list[str]]:
    """The `count` words that set each group of texts apart from the others, best first.

    Class-based TF-IDF (Grootendorst, BERTopic, arXiv 2203.05794): frequency in the group times
    log(1 + mean words per group / frequency over all groups). A word must occur in at least the share `share` of
    the group's texts. Words are counted once per text, so that one long text does not name a group.
    """
    counted = [Counter(word for text in texts for word in set(words(text))) for texts in groups]
    total: Counter[str] = Counter()
    for counts in counted:
        total.update(counts)
    average = sum(total.values()) / max(len(groups), 1)
    chosen = []
    for texts, counts in zip(groups, counted, strict=True):
        weight = {
            word: number / max(len(texts), 1) * float(np.log1p(average / total[word]))
            for word, number in counts.items()
            if number >= share * len(texts)
        }
        chosen.append(sorted(weight, key=lambda word: (-weight[word], word))[:count])
    return chosen


def positions(centres: Vectors, anchors: Sequence[tuple[int, float, float]] = ()) -> Floats:
    """Positions in the plane, shape (rows, 2): principal components of the centres, the farthest at distance 1.

    `anchors` are (row, x, y) of rows that had a place before: two or more turn, mirror, scale and shift the picture
    onto them (orthogonal Procrustes), so that a map stays recognisable from week to week.
    """
    count = len(centres)
    flat = np.zeros((count, 2))
    if count > 1:
        rows = centres.astype(np.float64)
        rows = rows - rows.mean(axis=0)
        left, sizes, _ = np.linalg.svd(rows, full_matrices=False)
        used = min(2, len(sizes))
        flat[:, :used] = left[:, :used] * sizes[:used]
        signs = np.sign(flat[np.abs(flat).argmax(axis=0), [0, 1]])
        flat *= np.where(signs == 0, 1, signs)
        flat /= max(float(np.linalg.norm(flat, axis=1).max()), 1e-12)
    if len(anchors) < 2:
        return flat
    before = np.array([(x, y) for _, x, y in anchors])
    now = flat[[row for row, _, _ in anchors]]
    return _onto(flat, now, before)


def _onto(flat: Floats, now: Floats, before: Floats) -> Floats:
    """`flat` moved by the similarity transform that brings `now` nearest to `before`."""
    from_middle, to_middle = now.mean(axis=0), before.mean(axis=0)
    one, two = now - from_middle, before - to_middle
    left, sizes, right = np.linalg.svd(one.T @ two)
    spread = float((one**2).sum())
    scale = float(sizes.sum()) / spread if spread > 1e-12 else 1.0
    moved: Floats = (flat - from_middle) @ (left @ right) * max(scale, 1e-6) + to_middle
    return moved
