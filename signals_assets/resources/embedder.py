"""Door: the embedder.

Put here: `Embedder` and the sentence-transformers implementation on the CPU.
Not here: what is embedded and why (see `core/discovery.py`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Embedder(ABC):
    """Texts to unit vectors."""

    name: str
    dimensions: int

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> "npt.NDArray[np.float32]":
        """Unit vectors, shape (len(texts), dimensions). Equal texts give equal vectors. Never another model silently."""

    @abstractmethod
    def check(self) -> str:
        """One harmless call for `signals doctor`: says which weights answered."""
