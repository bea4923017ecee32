"""Stage 5 · discovery, groups: what is left over by the known categories, and the groups it falls into.

Put here: `left_overs`; the ways to find groups, one per sort of text, and the constants they were measured with.
Not here: what becomes of a group (see `discovery_proposals.py`), the mathematics (see `discovery_vectors.py`).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from signals_assets.core.discovery_labels import Category
from signals_assets.core.discovery_vectors import Labels, Vectors, contested, dense_groups, merged, tight_groups

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
    """Groups among the rows `left`, largest first, that hold their ground against the known categories.

    HDBSCAN's leaves, then tight groups of the rest: the second look finds a new category that is the only one, where
    HDBSCAN needs something beside it. Near pieces are joined; what belongs to them is decided in a contest for the
    rows `rows`, which also takes back what the gates had claimed. In the end what was dense goes to the nearest.
    """
    labels = dense_groups(vectors[left], min_size)
    rest = np.flatnonzero(labels == -1)
    again = tight_groups(vectors[left[rest]], min_size, TIGHT)
    labels[rest[again >= 0]] = again[again >= 0] + labels.max(initial=-1) + 1
    pieces = [left[np.flatnonzero(labels == label)] for label in range(int(labels.max(initial=-1)) + 1)]
    others = np.stack([category.centre for category in known]) if known else vectors[:0]
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
