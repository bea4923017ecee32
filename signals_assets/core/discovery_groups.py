"""Stage 5 · discovery, groups: what is left over by the known categories, and the groups it falls into.

Put here: `left_overs`, `new_ground`; the ways to find groups, one per sort of text, and the constants of both.
Not here: what becomes of a group (see `discovery_proposals.py`), the mathematics (see `discovery_vectors.py`).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from signals_assets.core.discovery_labels import Category
from signals_assets.core.discovery_vectors import (
    NEIGHBOURS,
    Labels,
    Vectors,
    centroid,
    contested,
    dense_groups,
    interwoven,
    merged,
    nearest_rows,
    tight_groups,
)

LONELY: Final = 0.45
"""A row is new ground where so small a part of the usual share of its neighbours is settled: of a known category beyond
doubt. A quarter of the classes unknown, area under the curve of this share and of the distance to the gate of the
nearest category: banking intents 0.98 and 0.84, commands of a cloud by product 0.94 and 0.75, operations of another
0.84 and 0.70, packages by section 0.86 and 0.67, lint rules by plugin 0.83 and 0.56."""

SETTLED_SEEN: Final = 1000
"""Settled rows, evenly spread, from whose neighbours the usual share is taken."""

BLIND: Final = 0.5
"""Gates that leave over less than this part of the new ground are blind, and groups are looked for on the ground. On
banking intents they are not, and the ground would give 1.4 proposals per category instead of 1.3. Where they are,
recall with a quarter unknown (three splits, without and with it): operations of a cloud 0.20 and 0.44, lint rules 0.33
and 0.75."""

WOVEN: Final = 0.05
"""Groups on new ground are one when this share of the neighbours is in the other (see `interwoven`). Three splits of
banking intents: 1.23 proposals per category and recall 0.84 at 0.03, 1.30 and 0.95 at 0.05."""

JOIN: Final = 0.7
"""Least nearness of groups that are one, if neither has a known category nearer (see `merged`). Same measurement:
1.25 proposals per category and recall 0.921 at 0.65, 1.26 and 0.928 at 0.7, 1.33 at 0.75."""

CONTEST_QUANTILE: Final = 0.1
ROUNDS: Final = 3
SURVIVES: Final = 2 / 3
"""A contest of the found groups with the known categories for all rows (see `contested`): the share of its own that a
group lets go in each round, rounds, and the part of the least size under which a group is out. Eight splits of banking
intents, a quarter of the classes unknown, without and with it: precision 0.92 and 0.97, recall 0.91 and 0.93, proposals
per category 1.43 and 1.26. What is left of a group must have the least size, so that of 15 in one place few are found
and of 26 nearly all."""

RIGHT: Final = 2 / 3
"""Found groups are joined where at least this share of such joins would be right, as pieces of known categories tell
(see `_nearness`). Packages by 17 sections, proposals per category, precision and recall: a quarter of the sections
unknown, without it 3.25, 1, 1, with it 2.00, 1, 1; half of them 3.54, 0.98, 1 and 2.96, 0.98, 1. Looser, with one of
three pairs of known pieces right: 1.50, 1, 1 and 1.44, 0.82, 0.67. Eight splits of banking intents: 1.26 all the same;
other corpora as many proposals or fewer and the same recall."""

TRIED: Final = 300
"""Rows of a known category, evenly spread, of which pieces are made to see how near pieces of one category lie."""

TIGHT: Final = 0.6
"""Mean cosine of a group that stands alone (same measurement: precision 0.90 at 0.55, 0.93 at 0.6, as without it)."""

PIECE: Final = 3
"""Least items of a piece of which groups of topic lists are made."""

LOOSE: Final = 0.5
"""Mean cosine of a piece, and nearness from which pieces are joined, for lists of topics: they lie wider apart than
sentences (same measurement: 0.45 to 0.5 within a planted category, 0.18 to the rest). Pieces joined at 0.5 give groups
that are 0.92 to 1.0 pure, at 0.45 0.83 to 0.98; at 0.6 one of four planted categories is missed."""

WISH: Final = 0.45
"""Mean cosine of a group of wishes. On four simulated weeks (2,609 sessions) it puts 88 % of them into 43 groups, the
largest 222; joined from small pieces as elsewhere 2,260 of them are one."""


def left_overs(vectors: Vectors, known: Sequence[Category]) -> npt.NDArray[np.int64]:
    """Rows that their nearest category does not claim, ascending.

    Only the nearest is asked: a wide category would otherwise claim what lies beside a narrow one (measured:
    recall 0.49 instead of 0.72 at the same quantile).
    """
    if not known or not len(vectors):
        return np.arange(len(vectors))
    similar = vectors @ np.stack([category.centre for category in known]).T
    thresholds = np.array([category.threshold for category in known])
    return np.flatnonzero(similar.max(axis=1) < thresholds[similar.argmax(axis=1)])


def new_groups(
    vectors: Vectors, left: Labels, min_size: int, *, known: Sequence[Category], rows: Labels
) -> list[Labels]:
    """Groups that hold their ground against the known categories, largest first.

    Among the rows `left` of the gates or, where those are blind (`BLIND`), on the new ground: see `new_ground`. In the
    end groups are joined that lie as near as pieces of one known category do.
    """
    ground = new_ground(vectors, left, min(NEIGHBOURS, min_size), known=known, rows=rows)
    others = np.stack([category.centre for category in known]) if known else vectors[:0]
    if len(np.intersect1d(left, ground)) < BLIND * len(ground):
        groups = _on_ground(vectors, ground, min_size, others)
    else:
        groups = _of_left_overs(vectors, left, min_size, others, rows)
    settled = np.setdiff1d(np.arange(len(vectors)), np.union1d(rows, left))
    if len(groups) < 2 or not len(others) or not len(settled):
        return groups
    return merged(groups, vectors, -1, others, _nearness(vectors, settled, min_size, others, len(groups)))


def _nearness(vectors: Vectors, settled: Labels, min_size: int, others: Vectors, found: int) -> float:
    """From where two of `found` groups are taken for one: the cosine of their centres less that to any known category.

    How wide a category is, the known ones tell: each is cut into pieces like what is left over. Of the pairs of pieces
    that are at least as near, a share `RIGHT` is of one category; pairs of two count less where fewer groups were found
    than there are pieces, as their number grows with the square and that of pairs of one does not. Infinite where
    nothing is so near: known categories come in one piece, or pieces of two are as near as pieces of one.
    """
    own = (vectors[settled] @ others.T).argmax(axis=1)
    pieces, category = [], []
    for number in np.unique(own).tolist():
        rows = settled[own == number]
        rows = rows[:: -(-len(rows) // TRIED)]
        cut = merged(_pieces(vectors, rows, min_size), vectors, JOIN, np.delete(others, number, axis=0)) or [rows]
        pieces += cut
        category += [number] * len(cut)
    centres, of = np.stack([centroid(vectors[piece]) for piece in pieces]), np.array(category)
    one, two = np.triu_indices(len(pieces), 1)
    near = ((centres @ centres.T) - _between(centres @ others.T, of))[one, two]
    order = np.argsort(-near, kind="stable")
    same = (of[one] == of[two])[order]
    right, wrong = np.cumsum(same), np.cumsum(~same) * found / len(pieces)
    enough = np.flatnonzero(right >= RIGHT * (right + wrong))
    return float(near[order[enough[-1]]]) if len(enough) else float("inf")


def _between(similar: Vectors, own: Labels) -> Vectors:
    """For each pair of pieces the nearest known category that neither is of, from their similarities to all."""
    rows = np.arange(len(similar))
    nearest = np.empty((len(similar), len(similar)), dtype=similar.dtype)
    for row in rows.tolist():
        pair = np.maximum(similar, similar[row])
        pair[:, own[row]] = pair[rows, own] = -1
        nearest[row] = pair.max(axis=1)
    return nearest


def new_ground(vectors: Vectors, left: Labels, count: int, *, known: Sequence[Category], rows: Labels) -> Labels:
    """Rows of `rows` of whose `count` nearest neighbours few are settled, ascending; `left` where nothing is settled.

    Settled is what is not in `rows`: of a known category beyond doubt. What the gates leave over (see `left_overs`) is
    looked at only where it is in `left`: the caller may keep some back.
    """
    settled = np.setdiff1d(np.arange(len(vectors)), np.union1d(rows, left))
    if not known or not len(settled):
        return left
    kept_back = np.setdiff1d(rows[left_overs(vectors[rows], known)], left)
    asked = np.setdiff1d(np.union1d(rows, left), kept_back)
    is_settled = np.zeros(len(vectors))
    is_settled[settled] = 1
    seen = settled[:: -(-len(settled) // SETTLED_SEEN)]
    usual = is_settled[nearest_rows(vectors, seen, count)].mean()
    ground: Labels = asked[is_settled[nearest_rows(vectors, asked, count)].mean(axis=1) <= LONELY * usual]
    return ground


def _pieces(vectors: Vectors, rows: Labels, min_size: int) -> list[Labels]:
    """HDBSCAN's leaves among the rows, then tight groups of the rest.

    The second look finds a new category that is the only one, where HDBSCAN needs something beside it.
    """
    labels = dense_groups(vectors[rows], min_size)
    rest = np.flatnonzero(labels == -1)
    again = tight_groups(vectors[rows[rest]], min_size, TIGHT)
    labels[rest[again >= 0]] = again[again >= 0] + labels.max(initial=-1) + 1
    return [rows[np.flatnonzero(labels == label)] for label in range(int(labels.max(initial=-1)) + 1)]


def _on_ground(vectors: Vectors, ground: Labels, min_size: int, others: Vectors) -> list[Labels]:
    """Pieces of new ground; near and interwoven ones are joined. In the end what was dense goes to the nearest."""
    groups = merged(_pieces(vectors, ground, min_size), vectors, JOIN, others)
    if not groups:
        return []
    groups = interwoven(groups, nearest_rows(vectors, ground, NEIGHBOURS), ground, WOVEN)
    return contested(groups, vectors, np.unique(np.concatenate(groups)), others, None, min_size, 1)


def _of_left_overs(vectors: Vectors, left: Labels, min_size: int, others: Vectors, rows: Labels) -> list[Labels]:
    """Pieces of what the gates left over; near ones are joined.

    What belongs to them is decided in a contest for the rows `rows`, which also takes back what the gates had claimed.
    In the end what was dense goes to the nearest.
    """
    pieces = _pieces(vectors, left, min_size)
    groups = merged(pieces, vectors, JOIN, others)
    for _ in range(2):
        groups = contested(groups, vectors, rows, others, CONTEST_QUANTILE, round(SURVIVES * min_size), ROUNDS)
        groups = merged(groups, vectors, JOIN, others)
    if not groups:
        return []
    dense = np.unique(np.concatenate([*pieces, *groups]))
    groups = [group for group in groups if len(group) >= min_size]
    return contested(groups, vectors, dense, others, None, min_size, 1)


def loose_groups(vectors: Vectors, rows: npt.NDArray[np.int64], min_size: int) -> list[Labels]:
    """Groups among the rows `rows`, largest first, for lists of topics: small pieces, near ones joined."""
    labels = tight_groups(vectors[rows], PIECE, LOOSE)
    pieces = [rows[np.flatnonzero(labels == label)] for label in range(int(labels.max(initial=-1)) + 1)]
    return [group for group in merged(pieces, vectors, LOOSE) if len(group) >= min_size]


def wish_groups(vectors: Vectors, rows: npt.NDArray[np.int64], min_size: int) -> list[Labels]:
    """Groups among the rows `rows`, largest first, for what the rules say that users came for: lists of topics.

    Every session has some, and all are of one product, so small pieces would join into one large wish.
    """
    labels = tight_groups(vectors[rows], min_size, WISH)
    groups = [rows[np.flatnonzero(labels == label)] for label in range(int(labels.max(initial=-1)) + 1)]
    return sorted(groups, key=lambda group: (-len(group), int(group[0])))
