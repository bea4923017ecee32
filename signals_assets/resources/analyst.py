"""Door: the analyst, who reads a session and answers with a summary, facets, events and unmet needs.

Put here: `Analyst` and the built-in rules behind it.
Not here: what is asked and what an answer is (see `core/analysis.py`), admission (see `core/barrier`).
"""

import itertools
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from signals_assets.core.analysis import AnalysisAnswer, AnalysisRequest, Answer
from signals_assets.core.analysis_rules import RULES, RULES_MODEL, AnswerChunk, answer_chunk
from signals_assets.core.barrier import lexicon
from signals_assets.core.identity import content_id
from signals_assets.resources.compute import Compute
from signals_assets.resources.folders import private_folder
from signals_assets.resources.lines import rewrite_lines, store_lines, stored_lines


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the requests under a label are."""

    label: str
    states: Mapping[str, int]
    """Requests by state: planned, submitted, and the states of `AnalysisAnswer`."""
    next: Literal["wait", "again", "done"]
    """wait: something is under way; again: `submit` has something to do (an ended batch, room for more); done: every
    request is in a state that stays."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Why requests wait, were asked again or failed, by code."""
    mark: str = ""
    """Tells one reason to submit again from the next: the same while nothing has changed."""

    @property
    def requests(self) -> int:
        """All requests under the label."""
        return sum(self.states.values())


class Analyst(ABC):
    """One request per session in, one answer per request out; batches are a transport.

    Requests that belong together (a day's) have a label.
    """

    name: str
    model: str

    @abstractmethod
    def submit(self, label: str, requests: Iterable[AnalysisRequest]) -> Progress:
        """Bring the requests under a label forward: send what was not sent, take in what ended, repeat what may be.

        `requests` may be iterated several times and are streamed. The same label and requests again send nothing that
        is under way or settled. Safe to kill at any instant: the next call goes on.
        """

    @abstractmethod
    def poll(self, label: str) -> Progress:
        """A cheap look; changes nothing."""

    @abstractmethod
    def collect(self, label: str) -> Iterator[AnalysisAnswer]:
        """The answers under a label that is done, in any order; every request has one (refused and failed included).

        Raises AnalystError when it is not done.
        """

    @abstractmethod
    def batches(self, label: str) -> dict[str, str]:
        """Request id -> the batch that carries or carried it last, for those that were sent."""

    @abstractmethod
    def forget(self, request_ids: Collection[str]) -> int:
        """Erase the answers to these requests wherever this analyst or its provider keeps them; returns how many.

        Safe to repeat and to kill. 0 where nothing of them is kept.
        """

    @abstractmethod
    def expire(self, before: datetime, *, dry_run: bool = False) -> int:
        """Remove answers and files, here or at the provider, that were made before then; returns how many."""

    @abstractmethod
    def ask(self, question: str) -> str | None:
        """One question now (naming); None when this analyst cannot answer free questions."""

    @abstractmethod
    def check(self) -> str:
        """One harmless call for `signals doctor`: says who answered."""

    def with_model(self, model: str) -> "Analyst | None":  # noqa: ARG002 - most cannot be another
        """The same analyst as another model, which shares its requests and answers; None where it cannot be one."""
        return None


class NoAnalyst(Analyst):
    """Nobody: where no second reader is set."""

    name = "none"
    model = "none"

    def submit(self, label: str, requests: Iterable[AnalysisRequest]) -> Progress:  # noqa: ARG002
        """Refused: nobody would answer."""
        raise AnalystError(f"{label}: there is nobody to ask; set second_reader")

    def poll(self, label: str) -> Progress:
        """Refused, too."""
        return self.submit(label, ())

    def collect(self, label: str) -> Iterator[AnalysisAnswer]:
        """Refused, too."""
        self.submit(label, ())
        yield from ()

    def batches(self, label: str) -> dict[str, str]:  # noqa: ARG002
        """None."""
        return {}

    def forget(self, request_ids: Collection[str]) -> int:  # noqa: ARG002
        """Nothing is kept."""
        return 0

    def expire(self, before: datetime, *, dry_run: bool = False) -> int:  # noqa: ARG002
        """Nothing is kept."""
        return 0

    def ask(self, question: str) -> str | None:  # noqa: ARG002
        """None."""
        return None

    def check(self) -> str:
        """Says that there is none."""
        return "no second reader: nobody reads a sample of the analyst's sessions again"


def together(looks: Sequence[Progress]) -> Progress | None:
    """Several labels as one: done when all are, and something can be done when it can for one. None of none."""
    if not looks:
        return None
    states: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for look in looks:
        states.update(look.states)
        reasons.update(look.reasons)
    turns = {look.next for look in looks}
    next_: Literal["wait", "again", "done"] = "again" if "again" in turns else "wait" if "wait" in turns else "done"
    mark = ".".join(look.mark for look in looks)
    return Progress(looks[0].label, dict(sorted(states.items())), next_, dict(sorted(reasons.items())), mark)


def all_labels(sent: Mapping[str, Any], analyst: Analyst, second_reader: Analyst) -> Progress | None:
    """How far everything is that was sent of a day, as the ledger notes it: the day's own requests and readings again.

    Readers that are no longer there are passed over: their sessions count as not answered. None where nothing was sent.
    """
    looks = [analyst.poll(sent["day"])] if sent["requests"] else []
    for again in sent.get("rereadings", ()):
        reader = reader_again(again, analyst, second_reader)
        if reader is not None:
            looks.append(reader.poll(again["label"]))
    return together(looks)


def reader_again(again: Mapping[str, Any], analyst: Analyst, second_reader: Analyst) -> Analyst | None:
    """Who reads a day's sessions again, as the ledger notes it; None where nobody can any more."""
    asked = second_reader if again["role"] == "second" else analyst
    if asked.name != again["analyst"]:
        return None
    return asked if asked.model == again["model"] else asked.with_model(again["model"])


class AnalystError(RuntimeError):
    """The analyst cannot do what was asked: names the label or batch and what to do, never content."""


def label_folder(folder: Path, label: str) -> Path:
    """Where what belongs to a label lies. Raises AnalystError for a label that could lead elsewhere."""
    if not label.replace("-", "").replace("_", "").isalnum():
        raise AnalystError("a label has letters, digits, hyphens and underscores only")
    return folder / label


BATCH_REQUESTS: Final = 512
BATCH_CHARACTERS: Final = 64_000_000
"""A batch is held in memory while it is cut; it closes at so many requests or so much text."""
CHUNK_REQUESTS: Final = 16


class RulesAnalyst(Analyst):
    """The built-in rules: no model, no key, no network. A label is a folder; a batch is a file of answers in it.

    The answers are computed at submission, in chunks through `compute`; a batch that has its file is never computed
    again. Files appear in one step, so a crash leaves either no batch or a whole one.
    """

    name = RULES
    model = RULES_MODEL

    def __init__(
        self, folder: Path, compute: Compute, load_vocabulary: Callable[[], Container[str]] = lexicon.load
    ) -> None:
        """`load_vocabulary` must be importable by name (it runs in the workers)."""
        self._folder = folder
        self._compute = compute
        self._load_vocabulary = load_vocabulary

    def submit(self, label: str, requests: Iterable[AnalysisRequest]) -> Progress:
        """See `Analyst.submit`; one batch of the stream is in memory at a time, and all is done at the end.

        Batches of an earlier submission under this label that are no part of this one are removed.
        """
        private_folder(folder := self._path(label))
        wanted = {self._batch(folder, batch) for batch in _batches(requests)}
        for path in folder.glob("*.jsonl.zst"):
            if path not in wanted:
                path.unlink(missing_ok=True)
        return self.poll(label)

    def poll(self, label: str) -> Progress:
        """See `Analyst.poll`; what the rules were asked is done."""
        states: Counter[str] = Counter()
        for path in self._files(label):
            states.update(next(stored_lines(path)))
        return Progress(label, dict(sorted(states.items())), "done")

    def collect(self, label: str) -> Iterator[AnalysisAnswer]:
        """See `Analyst.collect`; streamed from the files."""
        for path in self._files(label):
            yield from map(_answer, _answer_lines(path))

    def batches(self, label: str) -> dict[str, str]:
        """See `Analyst.batches`."""
        return {
            line["request_id"]: path.name.removesuffix(".jsonl.zst")
            for path in self._files(label)
            for line in _answer_lines(path)
        }

    def forget(self, request_ids: Collection[str]) -> int:
        """See `Analyst.forget`: every batch that has one is rewritten in one step and keeps its age."""
        gone, count = set(request_ids), 0
        for path in sorted(self._folder.glob("*/*.jsonl.zst")):
            answers = list(_answer_lines(path))
            left = [line for line in answers if line["request_id"] not in gone]
            if len(left) < len(answers):
                rewrite_lines(path, _with_counts(left))
                count += len(answers) - len(left)
        for path in self._folder.glob("*/.*"):
            path.unlink(missing_ok=True)  # left by a process that died while it wrote
        return count

    def expire(self, before: datetime, *, dry_run: bool = False) -> int:
        """See `Analyst.expire`: batches by the age of their files."""
        old = [path for path in self._folder.glob("*/*.jsonl.zst") if path.stat().st_mtime < before.timestamp()]
        for path in () if dry_run else old:
            path.unlink(missing_ok=True)
        return len(old)

    def ask(self, question: str) -> str | None:  # noqa: ARG002 - the rules name nothing
        """See `Analyst.ask`: None, the rules answer no free questions."""
        return None

    def check(self) -> str:
        """See `Analyst.check`."""
        return f"built-in rules ({self.model}), no model and no network"

    def _batch(self, folder: Path, batch: list[AnalysisRequest]) -> Path:
        """The file of a batch, computed where it is not there."""
        path = folder / f"{content_id('b', self.model, *(request.request_id for request in batch))}.jsonl.zst"
        if not path.exists():
            self._write(path, batch)
        return path

    def _write(self, path: Path, batch: list[AnalysisRequest]) -> None:
        chunks = (
            AnswerChunk(tuple(batch[start : start + CHUNK_REQUESTS]), self._load_vocabulary)
            for start in range(0, len(batch), CHUNK_REQUESTS)
        )
        answers = [answer for part in self._compute.map(answer_chunk, chunks) for answer in part]
        store_lines(path, _with_counts([_line(answer) for answer in answers]))

    def _files(self, label: str) -> list[Path]:
        folder = self._path(label)
        if not folder.is_dir():
            raise AnalystError(f"nothing was submitted to the rules under {label}; submit it again")
        return sorted(folder.glob("*.jsonl.zst"))

    def _path(self, label: str) -> Path:
        return label_folder(self._folder, label)


def _with_counts(lines: Sequence[dict[str, Any]]) -> list[Any]:
    """A batch's file: a line of counts by state, then the answers."""
    return [Counter(line["state"] for line in lines), *lines]


def _answer_lines(path: Path) -> Iterator[dict[str, Any]]:
    return itertools.islice(stored_lines(path), 1, None)


def _line(answer: AnalysisAnswer) -> dict[str, Any]:
    return asdict(answer) | {"answer": answer.answer.model_dump(mode="json") if answer.answer is not None else None}


def _answer(line: dict[str, Any]) -> AnalysisAnswer:
    answer = line.pop("answer")
    return AnalysisAnswer(**line, answer=Answer.model_validate(answer) if answer is not None else None)


def _batches(requests: Iterable[AnalysisRequest]) -> Iterator[list[AnalysisRequest]]:
    """The stream cut into batches that fit into memory; the cuts depend on the stream only."""
    batch: list[AnalysisRequest] = []
    characters = 0
    for request in requests:
        batch.append(request)
        characters += len(request.stored)
        if len(batch) >= BATCH_REQUESTS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
