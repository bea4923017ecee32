"""Door: the analyst that is a language model, behind any `BatchBackend`.

Put here: `LanguageModelAnalyst`: bringing a label's requests forward, taking results in, keeping answers.
Not here: the protocol (see `batches.py`), the rows (see `requests.py`), states (see `core/requests.py`), what is asked
and how it is read (see `core/asking.py`, `core/answering.py`), condensing (see `core/condensing.py`).

One call of `submit` does, in this order, what can be done now, and every step can be killed anywhere and repeated:

    recover   a batch that was being created when a process died is looked up by its key, and created only when the
              provider does not know it
    take in   ended batches: every request gets an outcome (also those that the provider says nothing about), answers
              are kept here in one step with that, and then the provider's files are deleted
    review    texts of answers that the barrier refuses become one request to word them anew
    send      what is planned goes into batches, as far as the provider has room

Money: a batch is written down before it is created, created once without repetition, and known by a key that depends
on what is in it. So no session is paid twice, except where an answer came that cannot be used (at most once more).

Files, all in the restricted zone: `outbox/` (a batch's lines until the provider has them), `answers/<label>/`. What a
process that died left unfinished is removed by the next one, as soon as none is at work.
"""

import fcntl
import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final, cast

from signals_assets.core.abstractions import answer_texts
from signals_assets.core.analysis import AnalysisAnswer, AnalysisRequest, Answer
from signals_assets.core.answering import merged, read_answer, read_revision, read_text
from signals_assets.core.asking import question_body, revision_body
from signals_assets.core.identity import content_id
from signals_assets.core.prices import Price, Tier, longest_output, price, window
from signals_assets.core.request_lines import AskChunk, RequestLine, ask_chunk, batch_line, indices
from signals_assets.core.requests import (
    ATTEMPTS,
    REVISION,
    Outcome,
    State,
    of_failure,
    of_reading,
    output_room,
)
from signals_assets.core.revision import ReviewChunk, review_chunk, with_texts
from signals_assets.core.taxonomy import Taxonomy
from signals_assets.prompts import pinned
from signals_assets.resources.analyst import Analyst, AnalystError, Progress, label_folder
from signals_assets.resources.batches import BatchBackend, BatchError, Busy, ResultLine, Uncertain
from signals_assets.resources.compute import Compute
from signals_assets.resources.folders import private_folder
from signals_assets.resources.lines import rewrite_lines, store_lines, stored_lines
from signals_assets.resources.requests import Request, RequestLog, Send
from signals_assets.settings import Audience, ModelSettings

CHUNK_REQUESTS: Final = 8
REVISION_ROOM: Final = 4_000
"""Most output tokens of a revision and of a free question, reasoning included."""
UNKNOWN_WINDOW: Final = 120_000
UNKNOWN_OUTPUT: Final = 32_000
"""For models that the price table does not know; their window is a setting."""
HOLDS: Final = timedelta(hours=1)
"""How long a batch that the provider had no room for tells how much room there is."""
NO_ROOM: Final = "token_limit_exceeded"
UNPREPARED: Final = "cannot_be_prepared"
"""Code: a session that broke the preparation of its request."""


Kept = dict[str, list[dict[str, Any]]]
"""Custom id -> what is kept of it, one line for each batch that brought a result."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request and one batch may hold."""

    session_tokens: int = 32_000
    """Most tokens of one session; what is longer is condensed to it."""
    window: int | None = None
    """Most input tokens of one request; None: the model's, as the price table knows it."""
    output_tokens: int = 8_000
    """Most tokens of an answer, reasoning included; doubled once for an answer that needed more."""
    enqueued_tokens: int = 0
    """Input tokens that the provider takes in flight; 0: no limit is known, a refusal teaches one."""
    batch_requests: int = 20_000
    batch_bytes: int = 180_000_000
    """The provider takes 50,000 requests and 200 MB."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line on its way into a batch."""

    request: Request
    line: bytes


def limits_of(asked: ModelSettings) -> Limits:
    """The limits that the settings state."""
    return Limits(
        session_tokens=asked.session_tokens,
        window=asked.window,
        output_tokens=asked.output_tokens,
        enqueued_tokens=asked.enqueued_tokens,
    )


def prices_of(asked: ModelSettings) -> dict[str, Price]:
    """The price that the settings state, for the model that they name; nothing where they state none."""
    if asked.input_price is None or asked.output_price is None:
        return {}
    return {asked.model: Price(asked.input_price, asked.output_price, asked.cached_input_price)}


class LanguageModelAnalyst(Analyst):
    """See the module. `name` is the backend's; answers are the same whichever backend carried them."""

    def __init__(
        self,
        backend: BatchBackend,
        log: RequestLog,
        folder: Path,
        compute: Compute,
        *,
        model: str,
        secret: Callable[[], bytes],
        audience: Audience,
        limits: Limits | None = None,
        prices: Mapping[str, Price] | None = None,
    ) -> None:
        """`secret`: key of the delimiters around sessions. `audience`: what the review refuses depends on it."""
        self.name = backend.name
        self.model = model
        self._backend, self._log, self._folder, self._compute = backend, log, folder, compute
        self._secret, self._audience = secret, audience
        self._limits = limits or Limits()
        self._prices = prices or {}

    # --- the door

    def submit(self, label: str, requests: Iterable[AnalysisRequest]) -> Progress:
        """See `Analyst.submit`. A backend that runs its batches itself goes on until nothing can be repeated."""
        self._log.round(label, next_one=True)
        first = next(iter(requests), None)
        if first is not None:
            try:
                with self._at_work():
                    self._bring_forward(label, requests, first.taxonomy)
            except BatchError as error:
                raise AnalystError(
                    f"{label}: the provider ({self.name}) cannot be used now: {error}. Nothing is lost: submit the day "
                    "again when it can"
                ) from None
        return self.poll(label)

    def _bring_forward(self, label: str, requests: Iterable[AnalysisRequest], taxonomy: Taxonomy) -> None:
        while True:
            self._recover(label)
            self._take_in(label, taxonomy)
            self._review(label, requests)
            if not self._send(label, requests) or not self._backend.immediate:
                break
        self._clean()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Files of this analyst are being written: others leave them alone. The system ends it when the process dies.

        Who finds nobody at work first removes what the dead have left.
        """
        path = private_folder(self._folder) / "work.lock"
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "rb") as file:  # noqa: PTH123
            with suppress(OSError):  # somebody is at work
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._sweep()
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    def _sweep(self) -> None:
        """Remove files that hold words of sessions and belong to no batch that is being created."""
        kept = {self._outbox(send.key) for send in self._log.sends("prepared")}
        for path in (*self._folder.glob("outbox/*"), *self._folder.glob("answers/*/.*")):
            if path not in kept:
                path.unlink(missing_ok=True)

    def poll(self, label: str) -> Progress:
        """See `Analyst.poll`; asks the provider once for each batch of the label that runs."""
        states, reasons = self._log.counts(label)
        if not states:
            raise AnalystError(f"nothing was submitted to {self.name} under {label}; submit it again")
        return Progress(label, states, self._next(label), reasons, mark=str(self._log.round(label)))

    def collect(self, label: str) -> Iterator[AnalysisAnswer]:
        """See `Analyst.collect`. Answers about parts of a session are merged; steps are those of the answered parts."""
        waiting = self._log.waiting(label)
        if waiting:
            raise AnalystError(f"{label}: {sum(waiting.values())} requests are under way; collect them when they ended")
        kept = self._kept(label)
        for request_id, rows in itertools.groupby(self._log.of_label(label), key=lambda row: row.request_id):
            yield self._answer(request_id, list(rows), kept)

    def batches(self, label: str) -> dict[str, str]:
        """See `Analyst.batches`."""
        carried = {row.request_id: row.send_key for row in self._log.of_label(label) if row.part and row.send_key}
        ids = self._log.batch_ids(set(carried.values()))
        return {request_id: ids.get(key, key) for request_id, key in carried.items()}

    def forget(self, request_ids: Collection[str]) -> int:
        """See `Analyst.forget`: rows, answers, batches' files that wait here; the provider's files of ended batches.

        What is running at the provider cannot be taken out of its batch: its answer is thrown away when it comes, and
        the files are deleted then.
        """
        gone, count = set(request_ids), 0
        for path in sorted(self._folder.glob("answers/*/*.jsonl.zst")):
            lines = list(stored_lines(path))
            left = [line for line in lines if line["id"].rpartition(".")[0] not in gone]
            if len(left) < len(lines):
                rewrite_lines(path, left)
                count += len(lines) - len(left)
        with suppress(BatchError):
            self._withdraw()
        for path in (*self._folder.glob("outbox/*"), *self._folder.glob("answers/*/.*")):
            path.unlink(missing_ok=True)  # lines are written again from the sessions that are left
        rows = self._log.forget(gone)
        with suppress(BatchError):
            self._clean()
        return max(count, rows)

    def expire(self, before: datetime, *, dry_run: bool = False) -> int:
        """See `Analyst.expire`: answers by the age of their files, lines that wait, orphans at the provider."""
        files = [*self._folder.glob("answers/*/*.jsonl.zst"), *self._folder.glob("outbox/*")]
        old = [path for path in files if path.stat().st_mtime < before.timestamp()]
        if dry_run:
            return len(old)
        for path in old:
            path.unlink(missing_ok=True)
        try:
            self._clean()
            return len(old) + self._backend.orphans()
        except BatchError as error:
            raise AnalystError(f"the provider ({self.name}) still keeps files: {error}; run retention again") from None

    def ask(self, question: str) -> str | None:
        """See `Analyst.ask`; None when the model refuses or its answer cannot be read."""
        body = question_body(
            question, model=self.model, endpoint=self._backend.endpoint, max_output_tokens=REVISION_ROOM
        )
        try:
            found = self._backend.one(body)
        except BatchError as error:
            raise AnalystError(f"{self.name} did not answer a question: {error}") from None
        return read_text(found.body, endpoint=self._backend.endpoint) if found.body is not None else None

    def check(self) -> str:
        """See `Analyst.check`."""
        return f"{self._backend.check()}; model {self.model}"

    def with_model(self, model: str) -> "LanguageModelAnalyst":
        """See `Analyst.with_model`. A window that was set is one of this model, and no longer than the other's."""
        known = window(model)
        fitting = min(self._limits.window, known) if self._limits.window and known else self._limits.window
        return LanguageModelAnalyst(
            self._backend,
            self._log,
            self._folder,
            self._compute,
            model=model,
            secret=self._secret,
            audience=self._audience,
            limits=replace(self._limits, window=fitting),
            prices=self._prices,
        )

    # --- what to do next

    def _next(self, label: str) -> Any:
        """See `Progress.next`."""
        waiting = self._log.waiting(label)
        if not waiting:
            return "again" if self._log.unreviewed(label) else "done"
        now = datetime.now(UTC)
        for send in self._log.sends("prepared", label=label):
            if (now - send.at).total_seconds() >= self._backend.settles_after:
                return "again"
        try:
            if any(self._ended(send) for send in self._log.sends("submitted", label=label)):
                return "again"
        except BatchError as error:
            raise AnalystError(f"{label}: the provider ({self.name}) cannot be asked: {error}") from None
        if "planned" not in waiting:
            return "wait"
        free = [row.tokens for row in self._log.of_label(label) if _is_free(row)]
        # A line that found no room left its size behind; what was not tried yet is worth a try.
        return "again" if free and self._room() >= max(1, min(filter(None, free), default=1)) else "wait"

    def _ended(self, send: Send) -> bool:
        return self._backend.status(cast("str", send.batch_id)).state != "running"

    def _room(self) -> int:
        """Input tokens that may be sent now: under the limit that is set, and under what a refusal taught."""
        flying = sum(send.tokens for send in self._log.sends("prepared", "submitted") if send.model == self.model)
        room = self._limits.enqueued_tokens - flying if self._limits.enqueued_tokens else 10**12
        held = [send for send in self._log.sends("held") if datetime.now(UTC) - send.at < HOLDS]
        if held:
            # Where a single request found no room there is none for now, whoever else takes it.
            room = min(room, 0 if flying or held[-1].requests == 1 else max(1, held[-1].tokens // 2))
        return room

    # --- recover

    def _recover(self, label: str) -> None:
        """Batches that were being created when a process died, or whose creation was never answered."""
        for send in self._log.sends("prepared", label=label):
            age = (datetime.now(UTC) - send.at).total_seconds()
            found = self._backend.find(send.key, send.since.timestamp())
            if found is not None:
                self._created(send.key, found)
            elif age >= self._backend.settles_after:  # younger: the provider may still be at it
                self._create(send)

    def _create(self, send: Send) -> bool:
        """Create a prepared batch; False where it has to wait."""
        path = self._outbox(send.key)
        if not path.exists():
            self._release(send, "lines_lost")
            return False
        self._log.creating(send.key)
        try:
            batch_id = self._backend.create(send.key, path)
        except Uncertain:
            found = self._backend.find(send.key, send.since.timestamp())
            if found is None:
                return False
            batch_id = found
        except Busy as busy:
            if not self._backend.immediate:
                self._release(send, busy.code)
            return False
        except BatchError:
            if not self._backend.immediate:  # a direct batch goes on where it stopped
                self._release(send, None)
            raise
        self._created(send.key, batch_id)
        return True

    def _created(self, key: str, batch_id: str) -> None:
        """The provider has the batch: its lines need not wait here any more."""
        self._log.submitted(key, batch_id)
        self._outbox(key).unlink(missing_ok=True)

    def _withdraw(self) -> None:
        """Take back every batch that was being created when its process died; one that exists goes on."""
        now = datetime.now(UTC)
        for send in self._log.sends("prepared"):
            found = self._backend.find(send.key, send.since.timestamp())
            if found is not None:
                self._created(send.key, found)
            elif (now - send.at).total_seconds() >= self._backend.settles_after:
                self._release(send, None)

    def _release(self, send: Send, reason: str | None) -> None:
        """The batch was not created: its requests are free, and nothing of it stays here or there."""
        self._backend.withdraw(send.key, send.since.timestamp())
        self._log.release(send.key, reason)
        self._outbox(send.key).unlink(missing_ok=True)

    # --- take in

    def _take_in(self, label: str, taxonomy: Taxonomy) -> None:
        for send in self._log.sends("submitted", label=label):
            status = self._backend.status(cast("str", send.batch_id))
            if status.state == "ended":
                self._ended_batch(send, taxonomy)
            elif status.state == "failed":
                self._failed_batch(send, status.error_code, status.bad_lines)

    def _failed_batch(self, send: Send, code: str | None, bad_lines: Sequence[int]) -> None:
        """The provider refused the batch as a whole: nothing of it was run or paid."""
        rows = self._log.of_send(send.key)
        if code == NO_ROOM and (len(rows) > 1 or all(row.attempts < ATTEMPTS for row in rows.values())):
            self._backend.delete(cast("str", send.batch_id))
            self._log.release(send.key, NO_ROOM, held=True, counted=len(rows) == 1)
            return
        order = sorted(rows.values(), key=lambda row: row.place)
        blamed = {order[number].custom_id for number in bad_lines if number < len(order)}
        moved = []
        for row in order:
            outcome = of_failure(400 if row.custom_id in blamed or code == NO_ROOM else None, code, row.attempts)
            moved.append(replace(row, state=outcome.state, reason=outcome.reason))
        self._finish(send, [_failed_line(row) for row in moved], moved)

    def _ended_batch(self, send: Send, taxonomy: Taxonomy) -> None:
        rows = self._log.of_send(send.key)
        lines: dict[str, dict[str, Any]] = {}
        outcomes: dict[str, Outcome] = {}
        aside: Counter[str] = Counter()
        results = self._backend.results(cast("str", send.batch_id))
        for result in results:
            row = rows.get(result.custom_id)
            if row is None:
                aside["results_nobody_asked_for"] += 1
                continue
            line, outcome = self._outcome(row, result, taxonomy, send.model)
            before = lines.get(result.custom_id)
            if before is None or (outcome.state == "answered" and outcomes[result.custom_id].state != "answered"):
                lines[result.custom_id], outcomes[result.custom_id] = line, outcome
            elif outcome.state == "answered" and line != before:
                # Two answers to one question: neither can be trusted.
                outcomes[result.custom_id] = Outcome("invalid", "answers_that_contradict")
                lines[result.custom_id] = {**line, "state": "invalid", "answer": None}
        for custom_id, row in rows.items():
            if custom_id not in outcomes:
                outcomes[custom_id] = of_failure(None, None, row.attempts)
                lines[custom_id] = _failed_line(row)
        moved = [
            replace(rows[custom_id], state=outcome.state, reason=outcome.reason)
            for custom_id, outcome in outcomes.items()
        ]
        self._finish(send, list(lines.values()), moved)

    def _finish(self, send: Send, lines: list[dict[str, Any]], moved: list[Request]) -> None:
        """The answers first, then the rows: a repeat writes the same file again."""
        private_folder(folder := self._answers(send.label))
        store_lines(folder / f"{send.key}.jsonl.zst", lines)
        self._log.stored(send.key, moved)

    def _outcome(
        self, row: Request, result: ResultLine, taxonomy: Taxonomy, model: str
    ) -> tuple[dict[str, Any], Outcome]:
        """What is kept of a result, and what becomes of its request."""
        if result.body is None:
            return _failed_line(row), of_failure(result.status_code, result.error_code, row.attempts)
        steps = indices(row.shown)
        reading = read_answer(result.body, endpoint=self._backend.endpoint, steps=steps, taxonomy=taxonomy)
        line = {
            "id": row.custom_id,
            "input": reading.input_tokens,
            "cached": reading.cached_tokens,
            "output": reading.output_tokens,
            "model": reading.model if reading.model != "unknown" else model,
            "cost": self._cost(model, reading.input_tokens, reading.cached_tokens, reading.output_tokens),
        }
        if row.part == REVISION:
            texts = read_revision(result.body, endpoint=self._backend.endpoint, count=len(row.fields))
            # One try: what does not come back in other words is dropped by the barrier.
            return {**line, "texts": texts}, Outcome("answered") if texts is not None else Outcome("invalid", "texts")
        outcome = of_reading(reading.state, reading.reason, row.attempts)
        answer = reading.answer.model_dump(mode="json") if reading.answer is not None else None
        return {**line, "answer": answer}, outcome

    def _cost(self, model: str, read: int, cached: int, written: int) -> float | None:
        return price(
            model,
            cast("Tier", self._backend.tier),
            input_tokens=read,
            cached_tokens=cached,
            output_tokens=written,
            overrides=self._prices,
        )

    def _clean(self) -> None:
        """The provider's copies of what lies here."""
        for send in self._log.sends("stored"):
            self._backend.delete(cast("str", send.batch_id))
            self._log.done(send.key)

    # --- review

    def _review(self, label: str, requests: Iterable[AnalysisRequest]) -> None:
        """Plan one revision for each answer that the barrier refuses a text of; note the others as looked at."""
        open_ = self._log.unreviewed(label)
        if not open_:
            return
        kept = self._kept(label)
        rows = self._log.of_requests(open_)

        def chunks() -> Iterator[ReviewChunk]:
            wanted = (request for request in requests if request.request_id in open_)
            while some := list(itertools.islice(wanted, CHUNK_REQUESTS)):
                answers = [(found, self._merged(rows[found.request_id], kept)) for found in some]
                here = [(found, answer) for found, answer in answers if answer is not None]
                asked.append([found.request_id for found, _ in here])
                yield ReviewChunk(tuple((found.stored, answer) for found, answer in here), self._audience)

        asked: list[list[str]] = []
        planned: list[Request] = []
        for number, found in enumerate(self._compute.map(review_chunk, chunks())):
            for request_id, refused in zip(asked[number], found, strict=True):
                planned.append(Request(request_id, REVISION, label, state=_revision_state(refused), fields=refused))
        done = {request.request_id for request in planned}
        planned += [Request(request_id, REVISION, label, state="answered") for request_id in sorted(open_ - done)]
        self._log.plan(planned)

    # --- send

    def _send(self, label: str, requests: Iterable[AnalysisRequest]) -> int:
        """Put what is planned into batches while there is room; returns how many requests were sent."""
        batch = _Batch(self._limits, self._room(), self._outbox(f"{content_id('lines', label)}.{os.getpid()}"))
        private_folder(batch.path.parent)
        sent = 0
        for line in itertools.chain(self._revisions(label), self._questions(label, requests, batch)):
            if not batch.fits(line):
                sent += self._dispatch(label, batch)
            if not batch.add(line):
                self._log.measured(line.request)
        return sent + self._dispatch(label, batch)

    def _dispatch(self, label: str, batch: "_Batch") -> int:
        """Send a batch; 0 where it was not sent."""
        requests = batch.close()
        if not requests:
            batch.path.unlink(missing_ok=True)
            return 0
        key = content_id("k", label, self.model, *(f"{row.custom_id}.{row.attempts}" for row in requests))
        while self._log.used(key):  # the same requests were sent, and then forgotten
            key = content_id("k", key)
        tokens = sum(row.tokens for row in requests)
        batch.path.replace(self._outbox(key))
        now = datetime.now(UTC)
        send = Send(key, label, "prepared", None, tokens, len(requests), self.model, now, now)
        if not self._log.prepare(send, requests):
            return 0
        # The ledger may have lost its last transactions with the machine's power: the key tells.
        found = None if self._backend.immediate else self._backend.find(key)
        if found is not None and self._backend.status(found).state != "failed":
            self._created(key, found)
            return len(requests)
        return len(requests) if self._create(send) else batch.stop()

    def _revisions(self, label: str) -> Iterator[_Line]:
        rows = [row for row in self._log.of_label(label) if row.part == REVISION and _is_free(row)]
        if not rows:
            return
        kept = self._kept(label)
        prompt = pinned("revise_text", 1)
        parts = self._log.of_requests([row.request_id for row in rows])
        for row in rows:
            answer = self._merged(parts[row.request_id], kept)
            if answer is None:
                self._log.give_up(row.request_id, "answer_lost")
                continue
            texts = answer_texts(answer)
            body = revision_body(
                [(texts[number], rule) for number, rule in row.fields],
                prompt=prompt,
                model=self.model,
                endpoint=self._backend.endpoint,
                max_output_tokens=REVISION_ROOM,
            )
            line = batch_line(row.custom_id, self._backend.endpoint, body)
            yield _Line(replace(row, tokens=len(line) // 3), line)

    def _questions(self, label: str, requests: Iterable[AnalysisRequest], batch: "_Batch") -> Iterator[_Line]:
        """Lines about sessions; every request has its row even where no room is left for its line."""
        free: dict[str, dict[int, Request]] = {}

        def chunks() -> Iterator[AskChunk]:
            stream = iter(requests)
            while some := list(itertools.islice(stream, 4 * CHUNK_REQUESTS)):
                self._log.plan(Request(found.request_id, 1, label, steps_total=found.steps) for found in some)
                rows = self._log.of_requests([found.request_id for found in some])
                wanted = [found for found in some if any(row.part and _is_free(row) for row in rows[found.request_id])]
                for start in range(0, len(wanted) if not batch.full else 0, CHUNK_REQUESTS):
                    few = wanted[start : start + CHUNK_REQUESTS]
                    for found in few:
                        free[found.request_id] = {row.part: row for row in rows[found.request_id] if row.part}
                    yield self._chunk(few, free)

        for asked in itertools.chain.from_iterable(self._compute.map(ask_chunk, chunks())):
            rows = free.pop(asked.request_id)
            if asked.lines:
                yield from self._free_lines(asked.lines, rows)
            else:
                self._log.give_up(asked.request_id, UNPREPARED)

    def _chunk(self, requests: Sequence[AnalysisRequest], rows: Mapping[str, Mapping[int, Request]]) -> AskChunk:
        limits = self._limits
        most = longest_output(self.model) or UNKNOWN_OUTPUT
        rooms = {
            row.custom_id: output_room(limits.output_tokens, most, row.reason)
            for request in requests
            for row in rows[request.request_id].values()
            if row.reason
        }
        return AskChunk(
            requests=tuple(requests),
            model=self.model,
            endpoint=self._backend.endpoint,
            tier="flex" if self._backend.tier == "flex" else None,
            secret=self._secret(),
            session_tokens=limits.session_tokens,
            window=limits.window or window(self.model) or UNKNOWN_WINDOW,
            rooms=rooms,
            room=min(limits.output_tokens, most),
        )

    def _free_lines(self, lines: Sequence[RequestLine], rows: dict[int, Request]) -> Iterator[_Line]:
        if len(lines) > len(rows):
            self._log.split(lines[0].request_id, len(lines))
            rows = {row.part: row for row in self._log.of_requests([lines[0].request_id])[lines[0].request_id]}
        for line in lines:
            row = rows[line.part]
            if _is_free(row):
                shown = {"tokens": line.tokens, "steps_seen": line.steps_seen, "steps_total": line.steps_total}
                yield _Line(replace(row, parts=line.parts, shown=line.shown, **shown), line.line)  # type: ignore[arg-type]

    # --- answers

    def _kept(self, label: str) -> Kept:
        """What is kept under a label: custom id -> lines, one for each batch that brought a result."""
        kept: Kept = defaultdict(list)
        for path in sorted(self._answers(label).glob("*.jsonl.zst")):
            key = path.name.removesuffix(".jsonl.zst")
            for line in stored_lines(path):
                kept[line["id"]].append({**line, "key": key})
        return kept

    def _merged(self, rows: Iterable[Request], kept: Kept) -> Answer | None:
        """The answer about a session from those of its parts that were answered; None where no answer is kept."""
        answers = [_last(row, kept) for row in rows if row.part and row.state == "answered"]
        found = [Answer.model_validate(line["answer"]) for line in answers if line is not None]
        return merged(found) if found else None

    def _answer(self, request_id: str, rows: Sequence[Request], kept: Kept) -> AnalysisAnswer:
        parts = [row for row in rows if row.part]
        answered = [row for row in parts if row.state == "answered" and _last(row, kept) is not None]
        unanswered = "expired" if parts[0].state == "answered" else parts[0].state  # expired: retention took the answer
        lines = [line for row in rows for line in kept.get(row.custom_id, ())]
        costs = [line["cost"] for line in lines if "cost" in line]
        answer = self._merged(answered, kept)
        revision = next((row for row in rows if row.part == REVISION and row.state == "answered" and row.fields), None)
        if answer is not None and revision is not None and (line := _last(revision, kept)) is not None:
            answer = with_texts(answer, dict(zip((n for n, _ in revision.fields), line["texts"], strict=True)))
        return AnalysisAnswer(
            request_id=request_id,
            session_key=None,
            state=cast("Any", "answered" if answered else unanswered),
            answer=answer,
            model=next((line["model"] for line in lines if line.get("model")), self.model),
            input_tokens=sum(line.get("input", 0) for line in lines),
            cached_tokens=sum(line.get("cached", 0) for line in lines),
            output_tokens=sum(line.get("output", 0) for line in lines),
            cost_usd=None if None in costs else round(sum(costs), 9),
            steps_seen=len(frozenset[int]().union(*(indices(row.shown) for row in answered))),
            steps_total=max(row.steps_total for row in parts),
            attempts=max(row.attempts for row in parts),
        )

    def _answers(self, label: str) -> Path:
        return label_folder(self._folder / "answers", label)

    def _outbox(self, key: str) -> Path:
        return self._folder / "outbox" / f"{key}.jsonl"


class _Batch:
    """Lines that gather in a file until it is full, and no more than the provider has room for."""

    def __init__(self, limits: Limits, room: int, path: Path) -> None:
        self.path = path
        self._limits, self._room = limits, room
        self._requests: list[Request] = []
        self._file: IO[bytes] | None = None
        self._bytes = 0
        self._taken = False
        self.full = room <= 0
        """Nothing more is taken in this round."""

    def fits(self, line: _Line) -> bool:
        """Whether this file may hold the line, too."""
        return len(self._requests) < self._limits.batch_requests and (
            not self._requests or self._bytes + len(line.line) < self._limits.batch_bytes
        )

    def add(self, line: _Line) -> bool:
        """Write the line; False for one that finds no room: it is left for another round. The first always has room."""
        if self.full or (self._taken and line.request.tokens > self._room):
            self.full = True
            return False
        if self._file is None:
            self._file = open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")  # noqa: PTH123, SIM115
        self._file.write(line.line + b"\n")
        self._requests.append(replace(line.request, place=len(self._requests)))
        self._bytes += len(line.line) + 1
        self._room -= line.request.tokens
        self._taken = True
        return True

    def close(self) -> list[Request]:
        """The requests of the file, which is whole on the disk; the next line begins another one."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        requests, self._requests, self._file, self._bytes = self._requests, [], None, 0
        return requests

    def stop(self) -> int:
        """The provider takes nothing now: no more in this round."""
        self.full = True
        return 0


def _revision_state(refused: Sequence[object]) -> State:
    return "planned" if refused else "answered"


def _is_free(row: Request) -> bool:
    return row.state == "planned" and row.send_key is None


def _last(row: Request, kept: Kept) -> dict[str, Any] | None:
    """The line that settled a request; None where retention or erasure took it."""
    return next((line for line in kept.get(row.custom_id, ()) if line["key"] == row.send_key), None)


def _failed_line(row: Request) -> dict[str, Any]:
    return {"id": row.custom_id}
