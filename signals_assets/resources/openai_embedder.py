"""Door: the embedder at OpenAI, or at any server that speaks its protocol.

Put here: `OpenAIEmbedder`: requests within the provider's limits, and what of an answer is believed.
Not here: what is embedded (see `core/discovery_items.py`), the client and what its errors say (see `batches.py`).
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from signals_assets.resources.batches import BatchError, Server
from signals_assets.resources.embedder import Embedder, EmbedderError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MODEL: Final = "text-embedding-3-small"
"""The model that is asked where the settings name none."""

LENGTHS: Final[Mapping[str, int]] = {
    "text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536,
}  # fmt: skip
"""Dimensions of OpenAI's own models; any other model's are learnt from its first answer."""

INPUTS: Final = 2_048
"""Most texts of a request, by the specification."""
TEXT_BYTES: Final = 8_000
"""Most bytes of a text. The provider reads 8,192 tokens of a text and 300,000 of a request; a token of its models is at
least one byte, so that what keeps to these bytes keeps to its limits, and no tokenizer is needed."""
REQUEST_BYTES: Final = 290_000
"""Most bytes of a request."""


class OpenAIEmbedder(Embedder):
    """A model behind `/v1/embeddings`. Whoever holds this door sends out what it embeds: give it admitted texts only.

    In the graph those are the items of discovery (summaries, citations, wishes and intents that passed the barrier) and
    nothing else: what people wrote in tickets and pull requests is compared without an embedder that leads outside (see
    `duplicates.py`). No id of a session or a user is sent.

    A request has no side effects, so the client repeats it by itself, three times, after 429, 5xx and lost answers;
    what fails then is an EmbedderError, and nothing is stored. The provider rounds differently from call to call, so
    that equal texts share a vector within one call only; across days the stored vector is used again (by its hash).
    """

    outside = True

    def __init__(self, server: Server, model: str = MODEL, *, dimensions: int | None = None) -> None:
        """`dimensions`: shorter vectors than the model's own, where it can make them. Nothing is asked yet."""
        self.tokens = 0
        self._server = server
        self._model = model
        self._shortened = dimensions
        self._length = dimensions or LENGTHS.get(model)
        self._answering: str | None = None

    @property
    def name(self) -> str:
        """Model, server where it is not OpenAI's, and dimensions where they are not the model's own."""
        shortened = f"/{self._shortened}" if self._shortened else ""
        return f"{self._model}{_place(self._server.base_url)}{shortened}"

    @property
    def dimensions(self) -> int:
        """Length of a vector; a model that is not OpenAI's is asked for one, once."""
        if self._length is None:
            self.embed(["check"])
        return self._length or 0

    def embed(self, texts: Sequence[str]) -> "npt.NDArray[np.float32]":
        """Unit vectors, shape (len(texts), dimensions).

        No text asks nobody: its shape is (0, 0) while the model's dimensions are not known. A text is cut at
        TEXT_BYTES, and an empty one is sent as a space, since the provider refuses it. Raises EmbedderError.
        """
        import numpy as np

        sent = [_sent(text) for text in texts]
        if not sent:
            return np.zeros((0, self._length or 0), dtype=np.float32)
        vectors: dict[str, npt.NDArray[np.float32]] = {}
        for request in _requests(sorted(set(sent))):
            vectors.update(zip(request, self._asked(request), strict=True))
        return np.stack([vectors[text] for text in sent])

    def check(self) -> str:
        """Embeds one fixed word and says who answered."""
        length = self.embed(["check"]).shape[1]
        host = self._server.client().base_url.host
        return f"{self.name} answered at {host}: {length} dimensions; admitted texts are sent there"

    def _asked(self, texts: Sequence[str]) -> "npt.NDArray[np.float32]":
        """Unit vectors of one request."""
        wanted: dict[str, Any] = {"model": self._model, "input": list(texts), "encoding_format": "base64"}
        if self._shortened:
            wanted["dimensions"] = self._shortened
        try:
            said = self._server.post(f"embedding {len(texts)} texts", "/embeddings", wanted)
        except BatchError as error:
            raise EmbedderError(f"embedding model {self._model}: {error}") from None
        try:
            answer = _Answer.model_validate(said)
            found = _unit(_in_order(answer.data, len(texts)), self._length)
        except (ValidationError, _OddError) as error:
            odd = str(error) if isinstance(error, _OddError) else "its shape is not the specification's"
        else:
            self._believe(answer, found.shape[1])
            return found
        raise self._refused(odd)

    def _believe(self, answer: "_Answer", length: int) -> None:
        """Count what was billed; the model that answers must stay the same, or vectors could not be compared."""
        if self._answering not in (None, answer.model):
            raise self._refused("another model answered than before")
        self._answering, self._length = answer.model, length
        self.tokens += answer.usage.prompt_tokens

    def _refused(self, odd: str) -> EmbedderError:
        return EmbedderError(
            f"embedding model {self._model}: its answer cannot be used: {odd}; see what the server behind "
            "embedding_server.base_url serves under this name, or set SIGNALS_EMBEDDER=sentence-transformers"
        )


class _OddError(ValueError):
    """What is odd about an answer, in words and numbers of ours."""


class _Vector(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    index: int
    embedding: str | list[float]
    """Packed as it was asked for, or as numbers where a server knows no packing."""


class _Usage(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    prompt_tokens: int = 0


class _Answer(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    data: list[_Vector]
    model: str | None = None
    usage: _Usage = _Usage()


def _place(base_url: str | None) -> str:
    """`@host:port` of a server that is not OpenAI's own; a name or password in the address is left out."""
    return f"@{urlsplit(base_url).netloc.rpartition('@')[2]}" if base_url else ""


def _sent(text: str) -> str:
    """What is sent of a text: at most TEXT_BYTES of it, whole characters, never nothing."""
    return text.encode(errors="replace")[:TEXT_BYTES].decode(errors="ignore") or " "


def _requests(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in order, in as few requests as the limits allow."""
    request: list[str] = []
    used = 0
    for text in texts:
        size = len(text.encode())
        if request and (len(request) == INPUTS or used + size > REQUEST_BYTES):
            yield request
            request, used = [], 0
        request.append(text)
        used += size
    if request:
        yield request


def _in_order(vectors: Sequence[_Vector], count: int) -> list[str | list[float]]:
    """The vectors by their index: exactly one for each of `count` texts."""
    if sorted(vector.index for vector in vectors) != list(range(count)):
        raise _OddError(f"{len(vectors)} vectors for {count} texts, or not one for each")
    return [vector.embedding for vector in sorted(vectors, key=lambda vector: vector.index)]


def _unit(vectors: Sequence[str | list[float]], length: int | None) -> "npt.NDArray[np.float32]":
    """Rows of length 1. `length`: dimensions that each has to have; None: those of the first."""
    import numpy as np

    rows = [_numbers(vector) for vector in vectors]
    wanted = length or len(rows[0])
    wrong = next((len(row) for row in rows if len(row) != wanted), None)
    if wrong is not None:
        raise _OddError(f"a vector of {wrong} dimensions where {wanted} are expected")
    table = np.stack(rows).astype(np.float64)
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    if not (np.isfinite(norms) & (norms > 0)).all():
        raise _OddError("a vector without a direction (zeros, or what is no number)")
    unit: npt.NDArray[np.float32] = (table / norms).astype(np.float32)
    return unit


def _numbers(vector: str | list[float]) -> "npt.NDArray[np.float32] | npt.NDArray[np.float64]":
    """A vector as it came: float32, little end first, in base64; or a list."""
    import numpy as np

    if not isinstance(vector, str):
        return np.array(vector, dtype=np.float64)
    try:
        return np.frombuffer(base64.b64decode(vector, validate=True), dtype="<f4")
    except ValueError:
        raise _OddError("a vector that is not packed as it should be") from None
