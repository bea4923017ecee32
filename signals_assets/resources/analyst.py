"""Door: the analyst, who reads a session and answers with a summary, facets, events and unmet needs.

Put here: `Analyst` and the built-in rules behind it.
Not here: what is asked and what an answer is (see `core/analysis.py`), admission (see `core/barrier`).
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final, Literal

import orjson

from signals_assets.core.analysis import AnalysisAnswer, AnalysisRequest, Answer
from signals_assets.core.analysis_rules import RULES_MODEL, AnswerChunk, answer_chunk
from signals_assets.core.barrier import Revise, lexicon, without_clauses
from signals_assets.core.identity import content_id
from signals_assets.resources.compute import Compute
from signals_assets.resources.folders import private_folder


@dataclass(frozen=True, slots=True)
class BatchState:
    """What became of a submitted batch."""

    batch_id: str
    state: Literal["running", "ended", "failed"]
    requests: int
    answered: int = 0


class Analyst(ABC):
    """One request per session in, one answer per request out; batches are a transport."""

    name: str
    model: str

    @abstractmethod
    def submit(self, label: str, requests: Iterable[AnalysisRequest]) -> list[BatchState]:
        """Send the requests (a stream) in as many batches as it takes.

        The same label and requests again return the same batches and send nothing twice.
        """

    @abstractmethod
    def poll(self, batch_id: str) -> BatchState:
        """One cheap look."""

    @abstractmethod
    def collect(self, batch_id: str) -> Iterator[AnalysisAnswer]:
        """The answers of an ended batch, in any order; every request has one (refused and failed included)."""

    @abstractmethod
    def forget(self, request_ids: Collection[str]) -> int:
        """Erase the answers to these requests wherever this analyst or its provider keeps them; returns how many.

        Safe to repeat and to kill. 0 where nothing of them is kept.
        """

    @abstractmethod
    def expire(self, before: datetime, *, dry_run: bool = False) -> int:
        """Remove answers and files, here or at the provider, that were made before then; returns how many."""

    def reviser(self) -> Revise:
        """What answers a refusal of the barrier, once for each refused field; runs in the workers, so picklable.

        A refusal tells the refused text, the kind of field and the rule's code. Without an own way, offending clauses
        are dropped (`without_clauses`). A language model's door returns what asks its model again, with the rule's code
        in place of a reason, and answers None where that fails; the barrier judges whatever comes back.
        """
        return without_clauses

    @abstractmethod
    def ask(self, question: str) -> str | None:
        """One question now (naming); None when this analyst cannot answer free questions."""

    @abstractmethod
    def check(self) -> str:
        """One harmless call for `signals doctor`: says who answered."""


class AnalystError(RuntimeError):
    """The analyst cannot do what was asked: names the batch and what to do, never content."""


BATCH_REQUESTS: Final = 512
BATCH_CHARACTERS: Final = 64_000_000
"""A batch is held in memory while it is cut; it closes at so many requests or so much text."""
CHUNK_REQUESTS: Final = 16


class RulesAnalyst(Analyst):
    """The built-in rules: no model, no key, no network. A batch is a file of answers under `folder`.

    The answers are computed at submission, in chunks through `compute`; a batch that has its file is never computed
    again. Files appear in one step, so a crash leaves either no batch or a whole one.
    """

    name = "rules"
    model = RULES_MODEL

    def __init__(
        self, folder: Path, compute: Compute, load_vocabulary: Callable[[], Container[str]] = lexicon.load
    ) -> None:
        """`load_vocabulary` must be importable by name (it runs in the workers)."""
        self._folder = folder
        self._compute = compute
        self._load_vocabulary = load_vocabulary

    def submit(self, label: str, requests: Iterable[AnalysisRequest]) -> list[BatchState]:
        """See `Analyst.submit`; one batch of the stream is in memory at a time."""
        return [self._submit_batch(label, batch) for batch in _batches(requests)]

    def poll(self, batch_id: str) -> BatchState:
        """See `Analyst.poll`; a batch of the rules has always ended."""
        for line in self._lines(batch_id):
            return BatchState(batch_id, "ended", line["requests"], line["answered"])
        raise AnalystError(f"batch {batch_id} is empty; delete its file and submit the day again")

    def collect(self, batch_id: str) -> Iterator[AnalysisAnswer]:
        """See `Analyst.collect`; in the order of the requests, streamed from the file."""
        lines = self._lines(batch_id)
        next(lines, None)
        for line in lines:
            answer = line.pop("answer")
            yield AnalysisAnswer(**line, answer=Answer.model_validate(answer) if answer is not None else None)

    def forget(self, request_ids: Collection[str]) -> int:
        """See `Analyst.forget`: every batch that has one is rewritten in one step and keeps its age."""
        gone, count = set(request_ids), 0
        for path in sorted(self._folder.glob("*.jsonl.zst")):
            batch_id = path.name.removesuffix(".jsonl.zst")
            _, *answers = self._lines(batch_id)
            left = [line for line in answers if line["request_id"] not in gone]
            if len(left) < len(answers):
                written = path.stat().st_mtime_ns
                self._store(path, left)
                os.utime(path, ns=(written, written))
                count += len(answers) - len(left)
        for path in self._folder.glob(".*"):
            path.unlink(missing_ok=True)  # left by a process that died while it wrote
        return count

    def expire(self, before: datetime, *, dry_run: bool = False) -> int:
        """See `Analyst.expire`: batches by the age of their files."""
        old = [path for path in self._folder.glob("*.jsonl.zst") if path.stat().st_mtime < before.timestamp()]
        for path in () if dry_run else old:
            path.unlink(missing_ok=True)
        return len(old)

    def ask(self, question: str) -> str | None:  # noqa: ARG002 - the rules name nothing
        """See `Analyst.ask`: None, the rules answer no free questions."""
        return None

    def check(self) -> str:
        """See `Analyst.check`."""
        return f"built-in rules ({self.model}), no model and no network"

    def _submit_batch(self, label: str, batch: list[AnalysisRequest]) -> BatchState:
        batch_id = content_id("b", self.model, label, *(request.request_id for request in batch))
        if not self._path(batch_id).exists():
            self._write(batch_id, batch)
        return self.poll(batch_id)

    def _write(self, batch_id: str, batch: list[AnalysisRequest]) -> None:
        chunks = (
            AnswerChunk(tuple(batch[start : start + CHUNK_REQUESTS]), self._load_vocabulary)
            for start in range(0, len(batch), CHUNK_REQUESTS)
        )
        answers = [answer for part in self._compute.map(answer_chunk, chunks) for answer in part]
        private_folder(self._folder)
        self._store(self._path(batch_id), [_line(answer) for answer in answers])

    def _store(self, path: Path, lines: Sequence[dict[str, Any]]) -> None:
        """Write a batch's answers in one step."""
        import zstandard

        head = {"requests": len(lines), "answered": sum(line["state"] == "answered" for line in lines)}
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        with unfinished.open("wb") as raw, zstandard.ZstdCompressor(level=3).stream_writer(raw) as file:
            file.write(orjson.dumps(head) + b"\n")
            for line in lines:
                file.write(orjson.dumps(line) + b"\n")
        unfinished.replace(path)

    def _lines(self, batch_id: str) -> Iterator[dict[str, Any]]:
        import io

        import zstandard

        path = self._path(batch_id)
        if not path.exists():
            raise AnalystError(f"batch {batch_id} is unknown to the rules; submit the day again")
        with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as file:
            lines: IO[bytes] = io.BufferedReader(file)
            for line in lines:
                yield orjson.loads(line)

    def _path(self, batch_id: str) -> Path:
        if not batch_id.replace("_", "").isalnum():
            raise AnalystError("a batch id of the rules has letters, digits and underscores only")
        return self._folder / f"{batch_id}.jsonl.zst"


def _line(answer: AnalysisAnswer) -> dict[str, Any]:
    return asdict(answer) | {"answer": answer.answer.model_dump(mode="json") if answer.answer is not None else None}


def _batches(requests: Iterable[AnalysisRequest]) -> Iterator[list[AnalysisRequest]]:
    """The stream cut into batches that fit into memory; the cuts depend on the stream only."""
    batch: list[AnalysisRequest] = []
    characters = 0
    for request in requests:
        batch.append(request)
        characters += sum(len(step.text) for step in request.session.steps if step.text)
        if len(batch) >= BATCH_REQUESTS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
