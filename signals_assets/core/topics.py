"""Topics: which friction type a sentence is about, or none, learnt from examples of how people put each.

Put here: `Topics`, and the two ways to make vectors of sentences that it and deduplication compare.
Not here: the examples (see `sayings.py`), what follows for a cause (see `deduplication.py`).

Kernel ridge regression (Saunders, Gammerman and Vovk 1998) on the examples' vectors, one target per type and one for
what says nothing, with the kernel exp(bend * (cosine - 1)): a closed form without randomness, that takes in a new type
with its name and definition alone. Each type weighs the same however many examples it has.
"""

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from signals_assets.core.text import STOP, stem

Vectors = Mapping[str, NDArray[np.float32]]
"""Unit vectors by sentence."""

BUCKETS: Final = 2048
"""Trigrams of letters fall into so many columns: English has fewer that are common."""
NO_TYPE: Final = ""


class Topics:
    """How much a sentence is about each type and about none, by examples."""

    def __init__(self, examples: Mapping[str, Sequence[str]], vectors: Vectors, *, bend: float, ridge: float) -> None:
        """Learn.

        examples: sentences by type, those that say nothing under NO_TYPE.  vectors: of all of them, KeyError for one
        that is missing.  bend: how local the kernel is.  ridge: how smooth the regression is.
        """
        self.types = tuple(examples)
        self._bend = bend
        self._vectors = vectors
        counts = np.array([len(said) for said in examples.values()])
        owner = np.repeat(np.arange(len(counts)), counts)
        self._examples = np.array([vectors[one] for said in examples.values() for one in said], dtype=np.float32)
        self._share = 1 / len(counts)
        targets = (owner[:, None] == np.arange(len(counts))) - self._share
        noise = ridge * counts[owner] / counts.mean()
        kernel = self._kernel((self._examples @ self._examples.T).astype(np.float64))
        self._weights = np.linalg.solve(kernel + np.diag(noise), targets)
        self._known: dict[str, dict[str, float]] = {}

    def _kernel(self, cosines: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(self._bend * (cosines - 1))

    def scores(self, sentence: str) -> dict[str, float]:
        """By type, NO_TYPE included, how much the sentence is about it: near 1 for an example, they add up to 1."""
        if sentence not in self._known:
            cosines = self._examples @ self._vectors[sentence]
            found = self._kernel(cosines.astype(np.float64)) @ self._weights + self._share
            self._known[sentence] = dict(zip(self.types, found.tolist(), strict=True))
        return self._known[sentence]

    def alike(self, one: str, other: str) -> float:
        """Cosine of two sentences, -1 to 1."""
        return float(self._vectors[one] @ self._vectors[other])


def by_trigrams(sentences: Iterable[str]) -> dict[str, NDArray[np.float32]]:
    """Unit vectors of counts of character trigrams of the content words; zero where there is none."""
    return {sentence: _trigrams(sentence) for sentence in sentences}


@lru_cache(maxsize=2048)
def _trigrams(sentence: str) -> NDArray[np.float32]:
    words = [f" {stem(word)} " for word in _words(sentence) if word not in STOP]
    counts = Counter(word[at : at + 3] for word in words for at in range(len(word) - 2))
    vector: NDArray[np.float32] = np.zeros(BUCKETS, dtype=np.float32)
    for gram, count in counts.items():
        vector[zlib.crc32(gram.encode()) % BUCKETS] += count
    size = max(float(np.linalg.norm(vector)), 1.0)
    return (vector / size).astype(np.float32)


def _words(sentence: str) -> list[str]:
    return "".join(letter if "a" <= letter <= "z" else " " for letter in sentence.lower()).split()
