"""A fake embedder: hashed words and letter triples. Texts that share words are near; no model is needed."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from signals_assets.resources.embedder import Embedder


class HashEmbedder(Embedder):
    """Unit vectors from hashed words; deterministic on every machine."""

    name = "hash-for-tests"
    dimensions = 64

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Each word adds a fixed random direction."""
        vectors = np.zeros((len(texts), self.dimensions))
        for row, text in enumerate(texts):
            for word in text.lower().split() or [""]:
                digest = hashlib.sha256(word.encode(errors="surrogatepass")).digest()
                vectors[row] += np.random.default_rng(int.from_bytes(digest[:8])).standard_normal(self.dimensions)
        norms = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        unit: npt.NDArray[np.float32] = (vectors / norms).astype(np.float32)
        return unit

    def check(self) -> str:
        """Nothing to ask."""
        return "hashed words, for tests"
