"""Door: batches of language-model requests, at a provider that runs them or one by one from here.

Put here: `BatchBackend`, OpenAI's Batch API and the direct runner behind it, what their errors say.
Not here: what is asked and how an answer is read (see `core/asking.py`), which session is in which batch and what
happens to it next (see the analyst and its ledger).

A batch is a transport: whoever sends it accounts for every `custom_id` by itself and believes no count of a provider.
Errors say codes (HTTP status, the provider's error code), never words of an answer, which may quote a session.
"""

import fcntl
import functools
import itertools
import logging
import os
import random
import re
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal, TypeVar

import orjson

from signals_assets.core.asking import Endpoint
from signals_assets.core.identity import content_id
from signals_assets.resources.folders import private_folder

if TYPE_CHECKING:
    import openai

T = TypeVar("T")

DAY: Final = 86_400.0
KEY: Final = "signals_key"
"""Name of the batch metadata that holds our key: what finds a batch again whose creation was never answered."""
PREFIX: Final = "signals-"
"""Every input file of ours begins with it at the provider."""
LISTED: Final = 5_000
"""Most entries of a provider's list that one look-up reads."""
SKEW: Final = 3_600.0
"""Seconds by which the provider's clock and ours may differ."""
SYNCED: Final = 16
"""Results of a direct batch between two fsyncs: so many are lost at most when the machine (not the process) dies."""
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 60.0


class BatchError(RuntimeError):
    """A batch cannot be created, seen, read or deleted: says what was tried and a code, never content."""

    def __init__(self, message: str, *, code: str = "unknown") -> None:
        """`code`: the provider's error code, `http_<status>` where it sends none, or a word of this module."""
        super().__init__(message)
        self.code = code


class Uncertain(BatchError):  # noqa: N818 - a state of knowledge, not a failure
    """The request left and its answer was lost: it may or may not have been carried out. Look it up before a repeat."""


class Busy(BatchError):  # noqa: N818 - a request to wait
    """The provider (or another process here) asks to wait; nothing was carried out."""

    def __init__(self, message: str, *, code: str = "busy", retry_after: float | None = None) -> None:
        """`retry_after`: seconds, where the provider names them."""
        super().__init__(message, code=code)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """One look at a batch. `ended`: nothing more will come, which does not mean that every line has an answer."""

    batch_id: str
    state: Literal["running", "ended", "failed"]
    provider_status: str
    error_code: str | None = None
    bad_lines: tuple[int, ...] = ()
    """Lines (0-based) of the input that the provider's validation blames."""
    created_at: float | None = None
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class ResultLine:
    """What became of one request. `body` is there for status 200 only; otherwise a code says why not."""

    custom_id: str
    status_code: int | None
    body: dict[str, Any] | None
    error_code: str | None


class Results(Iterator[ResultLine]):
    """The lines of a batch's files, one at a time; closes the files at the end."""

    def __init__(self, files: Iterable[IO[bytes]]) -> None:
        """`files`: open, at their beginning."""
        self.malformed = 0
        """Lines so far that are no result (cut off, no JSON, no id)."""
        self._files = list(files)
        self._lines = self._read()

    def __next__(self) -> ResultLine:
        return next(self._lines)

    def _read(self) -> Iterator[ResultLine]:
        for file in self._files:
            with file:
                for line in file:
                    found = _result(line)
                    if found is not None:
                        yield found
                    elif line.strip():
                        self.malformed += 1


class BatchBackend(ABC):
    """Where batches run. Every method may be repeated and killed; `create` alone costs money."""

    name: str
    endpoint: Endpoint
    tier: str
    """`batch`, `flex`, `sync` or `local`: what the price depends on."""
    immediate: bool = False
    """Whether `create` returns with every result there (else it takes hours, and looks at it are cheap)."""
    settles_after: float
    """Seconds after `Uncertain` from which on a `find` without a result can be believed."""

    @abstractmethod
    def create(self, key: str, lines: Path) -> str:
        """Send a file of batch input lines under `key`; returns the batch's id.

        Raises `Uncertain` when the answer was lost, `Busy` when the provider asks to wait, else `BatchError`.
        """

    @abstractmethod
    def find(self, key: str, since: float | None = None) -> str | None:
        """The id of the batch that was created under `key`; None when there is none.

        `since`: when it was first tried (seconds since the epoch), so that no later batch is overlooked; without it
        the provider's batches of the last days are looked at.
        """

    @abstractmethod
    def status(self, batch_id: str) -> BatchStatus:
        """One cheap look."""

    @abstractmethod
    def results(self, batch_id: str) -> Results:
        """All lines of a batch that runs no more, in any order, repeated and missing ones as the provider left them.

        Raises before the first line or not at all, so that what was iterated is everything there is.
        """

    @abstractmethod
    def delete(self, batch_id: str) -> int:
        """Remove every file of a batch that runs no more, wherever it is kept; returns how many were still there."""

    @abstractmethod
    def withdraw(self, key: str, since: float) -> int:
        """Remove what was sent under `key` since then without becoming a batch that runs; returns how many files."""

    @abstractmethod
    def orphans(self) -> int:
        """Remove old files of ours that belong to no running batch; returns how many."""

    @abstractmethod
    def one(self, body: Mapping[str, Any]) -> ResultLine:
        """One request now, with bounded retries.

        Raises `Busy` when the provider still asks to wait, `BatchError` when no other request would fare better.
        """

    @abstractmethod
    def check(self) -> str:
        """One harmless call for `signals doctor`: says who answered."""


# --- the server and what it refuses ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    """How to reach a server that speaks OpenAI's protocol. Can be pickled; each process opens its own client."""

    api_key: str = field(repr=False)
    base_url: str | None = None
    """None: OpenAI's own (or OPENAI_BASE_URL)."""
    organization: str | None = None
    project: str | None = None
    timeout: float = 600.0
    """Seconds without a sign of life until an answer counts as lost; the flexible tier needs some 900."""
    pause: float = FIRST_PAUSE
    """Seconds before the first repetition of a direct request; they double each time."""

    def client(self) -> "openai.OpenAI":
        """The client of this process; raises `BatchError` when the library is not installed."""
        return _client(self, os.getpid())

    def post(self, doing: str, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer to a request without side effects, which the client may repeat. Raises `BatchError`.

        `doing` is what an error says was tried.
        """

        def sent() -> Any:
            import httpx2

            return orjson.loads(self.client().post(path, body=dict(body), cast_to=httpx2.Response).content)

        return _ask(doing, sent)


@functools.lru_cache(maxsize=8)
def _client(server: Server, process: int) -> "openai.OpenAI":  # noqa: ARG001 - connections do not survive a fork
    try:
        import openai
    except ImportError:
        missing = BatchError(
            "the openai client is not installed; install the extra: pip install 'signals-assets[openai]'",
            code="not_installed",
        )
        raise missing from None
    for name in ("openai", "httpx2", "httpcore2"):  # at import the client takes its level from OPENAI_LOG
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))
    return openai.OpenAI(
        api_key=server.api_key,
        base_url=server.base_url,
        organization=server.organization,
        project=server.project,
        timeout=openai.Timeout(server.timeout, connect=min(server.timeout, 10.0)),
        max_retries=3,
    )


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a request has no usable answer, in words of code."""

    code: str
    status: int | None = None
    """None: there was no answer, or none that could be read."""
    retry_after: float | None = None
    sent: bool = True
    """False: the request never left."""

    @property
    def uncertain(self) -> bool:
        """Whether it may have been carried out all the same."""
        return self.sent and (self.status is None or self.status in (408, 409) or self.status >= 500)

    @property
    def busy(self) -> bool:
        """Whether the same request is welcome later."""
        if self.status == 429:
            return self.code not in _SPENT
        return self.status == 503 or (self.status == 400 and self.code in _LIMITS)  # 503: a model is being loaded

    @property
    def passing(self) -> bool:
        """Whether another try may fare better."""
        return self.busy or self.uncertain or not self.sent

    def error(self, doing: str) -> BatchError:
        """The exception that says it."""
        status = f"http {self.status}, " if self.status is not None else ""
        words = f"{doing}: {status}{self.code}"
        if self.busy:
            return Busy(f"{words}; the server asks to wait", code=self.code, retry_after=self.retry_after)
        advice = _ADVICE.get(self.code) or _ADVICE_BY_STATUS.get(self.status or 0, _LOOK)
        return BatchError(f"{words}; {advice}", code=self.code)


_SPENT: Final = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
"""Codes of a 429 that waiting does not cure."""
_LIMITS: Final = ("token_limit_exceeded", "rate_limit_exceeded")
_LOOK: Final = "try again, and ask `signals doctor` when it stays"
_ADVICE: Final = {
    "unreachable": "see whether the server runs and whether its address is right (`signals doctor`)",
    **dict.fromkeys(_SPENT, "see the account's billing and limits"),
}
_ADVICE_BY_STATUS: Final = {
    401: "see whether the key is right (`signals doctor`)",
    403: "see what the key's project may do",
    404: "it does not exist there, or the key belongs to another project",
}
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def _failure(error: Exception) -> _Failure:
    """What a client's exception comes down to; nothing of its words stays."""
    import httpx2
    import openai

    if isinstance(error, openai.APIStatusError):
        code = _code(error.code) or _code(error.type) or f"http_{error.status_code}"
        return _Failure(code, error.status_code, _retry_after(error.response.headers))
    if isinstance(error.__cause__ or error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return _Failure("unreachable", sent=False)
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
        return _Failure("timeout")
    if isinstance(error, openai.APIConnectionError | httpx2.HTTPError):
        return _Failure("connection_lost")
    return _Failure("unreadable_answer")


def _code(value: object) -> str | None:
    """A provider's error code when it looks like one: anything longer could be a sentence."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: milliseconds, seconds or a date, by its header."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / unit)
        except (KeyError, ValueError):
            continue
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError):
        return None


def _ask(doing: str, call: Callable[[], T]) -> T:
    """The client's answer; its exceptions become `BatchError`, outside of the handler, so that no context is kept."""
    try:
        return call()
    except BatchError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, its words may quote what was sent
        failure = _failure(error)
    raise failure.error(doing)


def _result(line: bytes) -> ResultLine | None:
    """One line of an output or error file; None when it is no such line."""
    try:
        row = orjson.loads(line)
    except ValueError:
        return None
    custom_id = row.get("custom_id") if isinstance(row, dict) else None
    if not isinstance(custom_id, str):
        return None
    response = row.get("response")
    response = response if isinstance(response, dict) else {}
    status, body = response.get("status_code"), response.get("body")
    status = status if isinstance(status, int) else None
    if status == 200 and isinstance(body, dict) and body:
        return ResultLine(custom_id, status, body, None)
    return ResultLine(custom_id, status, None, _line_error(row, body) or ("no_body" if status == 200 else "no_answer"))


def _line_error(row: Mapping[str, Any], body: object) -> str | None:
    """The code of a line's error, which stands beside the response or in its body."""
    for holder in (row.get("error"), body.get("error") if isinstance(body, dict) else None):
        if isinstance(holder, dict) and (code := _code(holder.get("code")) or _code(holder.get("type"))):
            return code
    return None


class _Served(BatchBackend):
    """What both implementations share: a server, and single requests to it."""

    attempts: Final = 6
    """Most tries of one request that the server answers with 429 or 5xx."""
    unanswered: Final = 2
    """Most tries of one request whose answer is lost: each may have been paid."""

    def __init__(self, server: Server, endpoint: Endpoint) -> None:
        self.server = server
        self.endpoint = endpoint

    def models(self) -> list[str]:
        """Names of the models that the server offers: one harmless call."""
        client = self.server.client()
        return sorted(model.id for model in _ask("listing models", lambda: client.models.list().data) or [])

    def one(self, body: Mapping[str, Any]) -> ResultLine:
        """See `BatchBackend.one`; its `custom_id` is empty."""
        return self._answered("", body, threading.Event())

    def _answered(self, custom_id: str, body: Mapping[str, Any], stop: threading.Event) -> ResultLine:
        """One request until it has an answer or no try left; `stop` ends the waiting between two tries."""
        lost = 0
        for attempt in itertools.count(1):
            answer, failure = self._post(body)
            if failure is None:
                break
            lost += failure.sent and failure.status is None
            pause = _pause(self.server.pause, attempt, failure.retry_after)
            exhausted = attempt >= self.attempts or lost >= self.unanswered or pause > LONGEST_PAUSE
            if exhausted or not failure.passing:
                return self._given_up(custom_id, failure, lost)
            if stop.wait(pause):  # no result: whoever goes on with the batch has tries left
                raise failure.error(f"asking {self.name}")
        return ResultLine(custom_id, 200, answer, None if answer is not None else "no_body")

    def _given_up(self, custom_id: str, failure: _Failure, lost: int) -> ResultLine:
        """The line of a request that failed; raises where others would fail for the same reason.

        Two are this request's own fault: a server that dies of it (its answer was lost, then nobody was there), and a
        403 without the provider's words, which is a filter on the way that dislikes this text.
        """
        if not failure.sent and lost:
            failure = _Failure("connection_lost")
        own = failure.status == 403 and failure.code == "http_403"
        if (
            failure.busy
            or not failure.sent
            or failure.code in _SPENT
            or (failure.status in (401, 403, 404) and not own)
        ):
            raise failure.error(f"asking {self.name}")
        return ResultLine(custom_id, failure.status, None, failure.code)

    def _post(self, body: Mapping[str, Any]) -> tuple[dict[str, Any] | None, _Failure | None]:
        import httpx2

        client = self.server.client().with_options(max_retries=0)
        path = self.endpoint.removeprefix("/v1")
        try:
            content = client.post(path, body=dict(body), cast_to=httpx2.Response).content
        except Exception as error:  # noqa: BLE001 - see `_ask`
            return None, _failure(error)
        try:
            answer = orjson.loads(content)
        except ValueError:
            answer = None
        return (answer if isinstance(answer, dict) and answer else None), None


def _pause(first: float, attempt: int, asked: float | None) -> float:
    """Seconds before the next try: doubling, with jitter, and never shorter than the server asks for."""
    own = min(LONGEST_PAUSE / 2, first * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - only jitter
    return max(own, (asked or 0.0) * random.uniform(1.0, 1.1))  # noqa: S311


# --- OpenAI's Batch API ------------------------------------------------------------------------------------------

_STATES: Final[dict[str, Literal["ended", "failed"]]] = {
    "completed": "ended", "expired": "ended", "cancelled": "ended", "failed": "failed",
}  # fmt: skip
"""Everything else runs. Expired and cancelled batches keep (and bill) what was finished."""


class OpenAIBatches(_Served):
    """OpenAI's Batch API on `/v1/responses`: half the price, within 24 hours.

    `create` is sent once, without the client's repetitions: it has no idempotency key, and each repetition of a lost
    answer would be a second paid batch. Uploads, looks and downloads are repeated freely; files that a lost answer
    leaves behind are found by name. Files expire at the provider even if this process never comes back.
    """

    name = "openai"
    tier = "batch"

    def __init__(self, server: Server, scratch: Path, *, keep_days: int = 14, lookback_days: int = 7) -> None:
        """`scratch`: folder for results while they are read (nothing stays in it). Files are kept `keep_days` there."""
        super().__init__(server, "/v1/responses")
        self.settles_after = server.timeout + 60.0
        self._scratch = scratch
        self._kept = int(min(30, max(1, keep_days)) * DAY)
        self._lookback = lookback_days * DAY

    def create(self, key: str, lines: Path) -> str:
        """See `BatchBackend.create`; at most 50,000 lines and 200 MB."""
        file_id = self._uploaded(key, lines)
        once = self.server.client().with_options(max_retries=0)
        try:
            batch = once.batches.create(
                completion_window="24h",
                endpoint=self.endpoint,
                input_file_id=file_id,
                metadata={KEY: key},
                output_expires_after={"anchor": "created_at", "seconds": self._kept},
            )
            failure = None if _code(batch.id) else _Failure("unreadable_answer")
        except Exception as error:  # noqa: BLE001 - see `_ask`
            failure = _failure(error)
        if failure is None:
            return batch.id
        if failure.uncertain:
            raise Uncertain(
                f"creating a batch: {failure.code}, and it may exist; look it up by its key before it is sent again",
                code=failure.code,
            )
        with suppress(BatchError):  # else it is an orphan
            self._dropped(file_id)
        raise failure.error("creating a batch")

    def find(self, key: str, since: float | None = None) -> str | None:
        """See `BatchBackend.find`: the newest one that did not fail, else the newest failed one."""
        failed = None
        for batch in self._batches(self._lookback if since is None else time.time() - since + SKEW):
            if (batch.metadata or {}).get(KEY) == key:
                if batch.status != "failed":
                    return str(batch.id)
                failed = failed or str(batch.id)
        return failed

    def status(self, batch_id: str) -> BatchStatus:
        """See `BatchBackend.status`."""
        batch = self._batch(batch_id)
        errors = (batch.errors.data if batch.errors else None) or []
        return BatchStatus(
            batch_id,
            _STATES.get(batch.status, "running"),
            _code(batch.status) or "unknown",
            next((code for error in errors if (code := _code(error.code))), "unknown" if errors else None),
            tuple(sorted({error.line - 1 for error in errors if error.line})),  # the provider counts from 1
            batch.created_at,
        )

    def results(self, batch_id: str) -> Results:
        """See `BatchBackend.results`: both files are fetched first, to unnamed files in the scratch folder."""
        batch = self._ended(batch_id)
        return Results([self._fetched(file_id) for file_id in (batch.output_file_id, batch.error_file_id) if file_id])

    def delete(self, batch_id: str) -> int:
        """See `BatchBackend.delete`; includes uploads under the same key that never became a batch."""
        batch = self._ended(batch_id)
        named = [batch.input_file_id, batch.output_file_id, batch.error_file_id]
        count = sum(self._dropped(file_id) for file_id in named if file_id)
        key = (batch.metadata or {}).get(KEY)
        return count + (self._dropped_twins(key, batch.created_at) if key else 0)

    def withdraw(self, key: str, since: float) -> int:
        """See `BatchBackend.withdraw`: uploads under the key."""
        return self._dropped_twins(key, since)

    def orphans(self) -> int:
        """See `BatchBackend.orphans`: uploads older than a day."""
        old = [file.id for file in self._inputs(None) if file.created_at < time.time() - DAY]
        used = self._used() if old else set()
        return sum(self._dropped(file_id) for file_id in old if file_id not in used)

    def check(self) -> str:
        """See `BatchBackend.check`: lists one batch."""
        client = self.server.client()
        _ask("listing batches", lambda: client.batches.list(limit=1))
        return f"openai: batches answered at {client.base_url.host}"

    def _dropped_twins(self, key: str, created_at: float) -> int:
        """Delete uploads under a batch's key that no running batch uses (its own is gone already)."""
        recent = self._inputs(time.time() - created_at + self._lookback)
        twins = [file.id for file in recent if file.filename == _file_name(key)]
        used = self._used() if twins else set()
        return sum(self._dropped(file_id) for file_id in twins if file_id not in used)

    def _uploaded(self, key: str, lines: Path) -> str:
        client = self.server.client()
        with lines.open("rb") as file:
            made = _ask(
                "uploading a batch",
                lambda: (
                    client.files.create(
                        file=(_file_name(key), file, "application/jsonl"),
                        purpose="batch",
                        expires_after={"anchor": "created_at", "seconds": self._kept},
                    ).id
                ),
            )
        if not _code(made):
            raise _Failure("unreadable_answer").error("uploading a batch")
        return made

    def _batch(self, batch_id: str) -> Any:
        batch = _ask(f"looking at batch {batch_id}", lambda: self.server.client().batches.retrieve(batch_id))
        if not isinstance(getattr(batch, "status", None), str):
            raise _Failure("unreadable_answer").error(f"looking at batch {batch_id}")
        return batch

    def _ended(self, batch_id: str) -> Any:
        batch = self._batch(batch_id)
        if batch.status not in _STATES:
            raise _still_running(batch_id)
        return batch

    def _batches(self, seconds: float) -> Iterator[Any]:
        """Batches of the last so many seconds, newest first."""
        since = time.time() - seconds
        client = self.server.client()
        every = _listed("listing batches", lambda: client.batches.list(limit=100))
        return itertools.takewhile(lambda batch: batch.created_at >= since, every)

    def _inputs(self, seconds: float | None) -> Iterator[Any]:
        """Input files of ours, newest first; only the last so many seconds' unless None."""
        since = time.time() - seconds if seconds is not None else 0.0
        client = self.server.client()
        every = _listed("listing files", lambda: client.files.list(purpose="batch", limit=1_000, order="desc"))
        recent = itertools.takewhile(lambda file: file.created_at >= since, every)
        return (file for file in recent if file.filename.startswith(PREFIX))

    def _used(self) -> set[str]:
        """Input files of batches that run: none is older than its window of a day and the time to cancel it."""
        return {batch.input_file_id for batch in self._batches(3 * DAY) if batch.status not in _STATES}

    def _dropped(self, file_id: str) -> bool:
        """Delete a file; False when it was gone already."""
        failure = None
        try:
            self.server.client().files.delete(file_id)
        except Exception as error:  # noqa: BLE001 - see `_ask`
            failure = _failure(error)
        if failure is not None and failure.status != 404:
            raise failure.error(f"deleting file {file_id}")
        return failure is None

    def _fetched(self, file_id: str) -> IO[bytes]:
        """A file's content in an unnamed file of ours, from the beginning; a broken download starts again."""
        doing = f"fetching file {file_id}"
        failure = None
        for attempt in range(1, self.attempts):
            spool = tempfile.TemporaryFile(dir=private_folder(self._scratch))  # noqa: SIM115 - closed by who reads it
            failure = self._copied(file_id, spool)
            if failure is None:
                spool.seek(0)
                return spool
            spool.close()
            if not failure.uncertain and failure.sent:
                break
            time.sleep(_pause(self.server.pause, attempt, None))
        raise (failure or _Failure("unknown")).error(doing)

    def _copied(self, file_id: str, spool: IO[bytes]) -> _Failure | None:
        try:
            with self.server.client().files.with_streaming_response.content(file_id) as answer:
                for piece in answer.iter_bytes(1 << 20):
                    spool.write(piece)
        except OSError:
            raise  # this machine's disk
        except Exception as error:  # noqa: BLE001 - see `_ask`
            return _failure(error)
        return None


def _file_name(key: str) -> str:
    """The name of a key's input file at the provider; says nothing about what is in it."""
    return f"{content_id(PREFIX.rstrip('-'), key).replace('_', '-')}.jsonl"


def _listed(doing: str, first: Callable[[], Any]) -> Iterator[Any]:
    """The entries of a paged list; raises `BatchError` rather than end early when it is endless."""
    page = _ask(doing, first)
    count = 0
    while True:
        for entry in page.data or []:
            count += 1
            if count > LISTED:
                raise BatchError(f"{doing}: more than {LISTED} entries; delete old ones", code="too_many")
            yield entry
        if not page.has_next_page():
            return
        page = _ask(doing, page.get_next_page)


# --- one by one from here ----------------------------------------------------------------------------------------


class DirectBatches(_Served):
    """A batch whose lines this process sends itself, a few at a time, to any server that speaks the protocol.

    `create` returns when every line has its result. Each result is appended to a file as it comes; a process that is
    killed leaves the file, and the next `create` under the same key sends only what has no result in it. What was
    under way at that instant (at most `concurrency` requests) is sent again: these servers know no repetition.
    A server that is gone or refuses the key ends `create` with an error; what was answered until then stays.
    """

    immediate = True
    settles_after = 0.0

    def __init__(
        self,
        server: Server,
        folder: Path,
        *,
        name: str = "openai-compatible",
        endpoint: Endpoint = "/v1/chat/completions",
        tier: str = "local",
        concurrency: int = 4,
        keep_days: int = 14,
    ) -> None:
        """`folder`: where results lie, for their owner only. `concurrency`: requests under way at one time."""
        super().__init__(server, endpoint)
        self.name = name
        self.tier = tier
        self._folder = folder
        self._concurrency = max(1, concurrency)
        self._kept = keep_days * DAY

    def create(self, key: str, lines: Path) -> str:
        """See `BatchBackend.create`; sends the lines and takes as long as they take."""
        batch_id = content_id("direct", key)
        ended = self._ended(batch_id)
        if not ended.exists():
            with self._locked(batch_id) as file:
                if not ended.exists():  # by another process, while this one came to the lock
                    self._run(lines, _resumed(file), file)
                    self._unfinished(batch_id).replace(ended)
        return batch_id

    def find(self, key: str, since: float | None = None) -> str | None:  # noqa: ARG002 - files are found at any age
        """See `BatchBackend.find`; an interrupted batch is None: creating it again goes on with it."""
        batch_id = content_id("direct", key)
        return batch_id if self._ended(batch_id).exists() or self._is_running(batch_id) else None

    def status(self, batch_id: str) -> BatchStatus:
        """See `BatchBackend.status`; `interrupted` (failed) when its process died: create it again to go on."""
        running = self._is_running(batch_id)  # first, so that a batch that ends now is seen as ended
        path = self._ended(batch_id)
        if path.exists():
            return BatchStatus(batch_id, "ended", "completed", created_at=path.stat().st_mtime)
        if running:
            return BatchStatus(batch_id, "running", "in_progress")
        if self._unfinished(batch_id).exists():
            return BatchStatus(batch_id, "failed", "interrupted", "interrupted")
        raise _unknown(batch_id)

    def results(self, batch_id: str) -> Results:
        """See `BatchBackend.results`; of an interrupted batch, those that it got."""
        if self._is_running(batch_id):
            raise _still_running(batch_id)
        for path in (self._ended(batch_id), self._unfinished(batch_id)):
            with suppress(FileNotFoundError):
                return Results([path.open("rb")])
        raise _unknown(batch_id)

    def delete(self, batch_id: str) -> int:
        """See `BatchBackend.delete`."""
        if self._is_running(batch_id):
            raise _still_running(batch_id)
        return sum(_removed(path) for path in (self._ended(batch_id), self._unfinished(batch_id)))

    def withdraw(self, key: str, since: float) -> int:  # noqa: ARG002 - files are found at any age
        """See `BatchBackend.withdraw`: the results that an interrupted batch got."""
        batch_id = content_id("direct", key)
        return 0 if self._is_running(batch_id) else int(_removed(self._unfinished(batch_id)))

    def orphans(self) -> int:
        """See `BatchBackend.orphans`: interrupted batches that nobody went on with for as long as files are kept."""
        limit = time.time() - self._kept
        old = [path for path in self._folder.glob("*.part") if path.stat().st_mtime < limit]
        return sum(_removed(path) for path in old if not self._is_running(path.stem))

    def check(self) -> str:
        """See `BatchBackend.check`: lists the models."""
        return f"{self.name}: {self.server.client().base_url.host} answered and knows {len(self.models())} models"

    def _ended(self, batch_id: str) -> Path:
        return self._folder / f"{_plain(batch_id)}.jsonl"

    def _unfinished(self, batch_id: str) -> Path:
        return self._folder / f"{_plain(batch_id)}.part"

    @contextmanager
    def _locked(self, batch_id: str) -> Iterator[IO[bytes]]:
        """The batch's unfinished file, for this process alone; the system frees it when the process dies."""
        private_folder(self._folder)
        path = self._unfinished(batch_id)
        with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file:  # noqa: PTH123
            if not _lock(file, fcntl.LOCK_EX, tries=20):
                raise Busy(f"creating batch {batch_id}: another process runs it; wait until it has ended")
            yield file
            if self._ended(batch_id).exists():
                path.unlink(missing_ok=True)

    def _is_running(self, batch_id: str) -> bool:
        try:
            with self._unfinished(batch_id).open("rb") as file:
                return not _lock(file, fcntl.LOCK_SH, tries=1)
        except FileNotFoundError:
            return False

    def _run(self, lines: Path, finished: set[str], file: IO[bytes]) -> None:
        """Send every line without a result; what is under way when something fails is still waited for and kept."""
        stop = threading.Event()
        under_way: set[Future[ResultLine]] = set()
        written = 0

        def keep(done: Iterable[Future[ResultLine]]) -> None:
            nonlocal written
            failed = None
            for future in done:
                failed = failed or future.exception()
                if future.exception() is None:
                    file.write(_line(future.result()))
                    written += 1
            file.flush()
            if written >= SYNCED:
                os.fsync(file.fileno())
                written = 0
            if failed is not None:
                raise failed

        with ThreadPoolExecutor(self._concurrency, thread_name_prefix=self.name) as pool:
            try:
                for custom_id, body in _requests(lines, finished):
                    under_way.add(pool.submit(self._answered, custom_id, body, stop))
                    if len(under_way) >= self._concurrency:
                        done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                        keep(done)
            except BaseException:
                stop.set()
                with suppress(Exception):  # the first failure is told
                    keep(wait(under_way).done)
                raise
            keep(wait(under_way).done)
        os.fsync(file.fileno())


def _lock(file: IO[bytes], kind: int, tries: int) -> bool:
    """Take the file's lock; a look at it by others may hold it for an instant."""
    for attempt in range(tries):
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.01 if attempt + 1 < tries else 0)
        else:
            return True
    return False


def _resumed(file: IO[bytes]) -> set[str]:
    """The ids that have a result in the file, which then ends with its last whole line."""
    finished, whole = set(), 0
    for line in file:
        if line.endswith(b"\n"):
            whole += len(line)
            found = _result(line)
            if found is not None:
                finished.add(found.custom_id)
    file.truncate(whole)
    return finished


def _requests(lines: Path, finished: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Id and body of every batch input line without a result."""
    with lines.open("rb") as file:
        for number, line in enumerate(file):
            try:
                row = orjson.loads(line)
                custom_id, body = row["custom_id"], row["body"]
            except (ValueError, KeyError, TypeError):
                row = None
            if row is None:
                raise BatchError(f"line {number} of a batch is no request; write the batch again", code="bad_line")
            if custom_id not in finished:
                yield custom_id, body


def _line(result: ResultLine) -> bytes:
    """A result as a line of an output file of the Batch API."""
    response = {"status_code": result.status_code, "body": result.body} if result.status_code is not None else None
    error = {"code": result.error_code} if result.error_code is not None else None
    row = {"custom_id": result.custom_id, "response": response, "error": error}
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def _plain(batch_id: str) -> str:
    """The id, which names a file; raises `BatchError` where it could name another."""
    if not re.fullmatch(r"direct_[0-9a-f]+", batch_id):
        raise BatchError("a batch id of the direct runner is `direct_` and hex digits", code="bad_id")
    return batch_id


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _unknown(batch_id: str) -> BatchError:
    return BatchError(f"batch {batch_id} is unknown here: it was deleted or never made; create it again", code="gone")


def _still_running(batch_id: str) -> BatchError:
    return BatchError(f"batch {batch_id} still runs; wait until it has ended", code="not_ended")
