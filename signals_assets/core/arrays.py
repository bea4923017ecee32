"""Arrays of numbers and their sums by a code.

Put here: the two types of array that counts are kept in, numbering codes, sums over cells of one code.
Not here: what is counted (see `user_days.py`), what is computed from it (see `statistics.py`).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def numbered(codes: Integers) -> tuple[Integers, Integers]:
    """Distinct codes (small, not negative) in order, and the place of each among them: `np.unique` without sorting."""
    seen = np.bincount(codes) > 0
    return np.nonzero(seen)[0], (np.cumsum(seen) - 1)[codes]


def add_up(index: Integers, values: Floats, size: int) -> Floats:
    """Sums of `values` that share an index; shape (size,)."""
    return np.asarray(np.bincount(index, values, size), dtype=np.float64)


def sums(index: Integers, size: int, values: Floats) -> Floats:
    """Sums of `values` (rows, cells) over cells with the same index: shape (rows, size)."""
    return np.array([add_up(index, row, size) for row in values]).reshape(len(values), size)
