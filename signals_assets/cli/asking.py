"""A language model that is asked about the sessions of files: agreed to first, then directly, without Dagster.

Put here: what is told before anything is sent, the agreement, asking, the state that outlives an interruption.
Not here: requests and answers (see `resources/language_model.py`), what is made of them (see `core/quick_look.py`).

What was sent and what came back lies in the home's restricted zone until the run has ended well, then nothing of it is
left. A run that was stopped is gone on with by the same command: what was answered is not asked again.
"""

import fcntl
import os
import secrets
import shutil
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import IO, Final, Self

import click

from signals_assets.core.analysis import AnalysisAnswer, AnalysisRequest
from signals_assets.core.estimating import (
    ASSUMED_OUTPUT,
    Cost,
    Outlook,
    Range,
    Reading,
    SizeChunk,
    costs,
    drawn,
    outlook,
    reading,
    size_chunk,
    tiers_of,
)
from signals_assets.core.identity import content_id
from signals_assets.core.taxonomy import seed
from signals_assets.prompts import pinned
from signals_assets.resources.compute import Compute
from signals_assets.resources.stopped_runs import NAME, remove_stopped_runs
from signals_assets.settings import Audience, ModelSettings, Settings

LABEL: Final = "files"
SAMPLED: Final = 400
"""Of more sessions than this a sample is condensed for what is told beforehand."""
CHUNK: Final = 16
TOLD_EVERY: Final = 20.0
"""Seconds between two lines that say how far a run is."""
PATIENCE: Final = 3
"""Rounds without any progress (each waits as the provider asks) until a run gives up."""
BATCHES_EACH: Final = 4
"""A file of requests holds so many times what is under way at one time: results are kept file by file."""


def chosen(settings: Settings, analyst: str, model: str | None, base_url: str | None) -> Settings:
    """The settings with another analyst, model and address; None keeps what is set."""
    given = {"model": model, "base_url": base_url}
    asked = settings.language_model.model_copy(update={name: value for name, value in given.items() if value})
    return settings.model_copy(update={"analyst": analyst, "language_model": asked})


def how_read(asked: ModelSettings) -> Reading:
    """How big requests to the model may be."""
    from signals_assets.core.prices import window
    from signals_assets.resources.language_model import UNKNOWN_WINDOW

    most = asked.window or window(asked.model) or UNKNOWN_WINDOW
    return reading(pinned("analyze_session", 2), seed(), session_tokens=asked.session_tokens, window=most)


@dataclass(frozen=True, slots=True)
class Known:
    """A question that is about to be asked: its id, and the size of its session by the metrics."""

    request_id: str
    hint: int


class Asking:
    """The model, behind the analyst's door, for one run over files. Use as a context; `end` when all is written."""

    def __init__(self, settings: Settings, audience: Audience, compute: Compute) -> None:
        """Opens the door; raises DoorError or BatchError saying what is missing."""
        from signals_assets.resources import batches_for
        from signals_assets.resources.language_model import LanguageModelAnalyst, limits_of, prices_of
        from signals_assets.resources.requests import RequestLog

        asked = settings.language_model
        self._asked, self._compute = asked, compute
        address = asked.base_url or os.environ.get("OPENAI_BASE_URL")
        server = content_id("at", settings.analyst, asked.model, address, asked.session_tokens)
        self._settings, self._folder = settings, settings.restricted / NAME / server
        self._backend = batches_for(settings, directly=True, folder=f"{NAME}/{server}")
        if self._backend.tier == "flex" and tiers_of(asked.model) and "flex" not in tiers_of(asked.model):
            self._backend.tier = "sync"
        self.where = self._backend.server.client().base_url
        self._log = RequestLog(f"sqlite:///{(self._folder / 'requests.db').absolute()}")
        secret = secrets.token_bytes(32)
        self._overrides = prices_of(asked)
        self.analyst = LanguageModelAnalyst(
            self._backend,
            self._log,
            self._folder,
            compute,
            model=asked.model,
            secret=lambda: secret,
            audience=audience,
            limits=replace(limits_of(asked), batch_requests=BATCHES_EACH * asked.concurrency),
            prices=self._overrides,
        )
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> Self:
        from signals_assets.resources.folders import private_folder

        cut = datetime.now(UTC) - timedelta(days=self._settings.retention_days)
        remove_stopped_runs(self._settings, cut)
        private_folder(self._folder)
        self._lock = (self._folder / "lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise click.ClickException(
                "another `signals analyze` asks this model at the moment; wait until it has ended"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        nothing_kept = self._folder.exists() and not self._log.of_label(LABEL)
        self._log.close()
        if nothing_kept:
            self.end()
        if self._lock is not None:
            self._lock.close()

    def unanswered(self, known: Iterable[Known]) -> list[Known]:
        """The questions that no earlier run had answered. What was under way about other sessions is given up."""
        asked = list(known)
        ids = {one.request_id for one in asked}
        rows = self._log.of_label(LABEL)
        others = {row.request_id for row in rows if row.request_id not in ids}
        carried = {row.send_key for row in rows if row.request_id in others}
        for send in self._log.sends("prepared", label=LABEL):
            if send.key in carried:
                self._log.release(send.key, None)
        self._log.forget({row.request_id for row in rows if row.request_id in others and row.state == "planned"})
        open_ = {row.request_id for row in self._log.of_label(LABEL) if row.part and row.state == "planned"}
        done = {row.request_id for row in rows} - others - open_
        return [one for one in asked if one.request_id not in done]

    def agree(self, left: list[Known], earlier: int, requests: Iterable[AnalysisRequest], *, yes: bool) -> None:
        """Say what would be sent to whom and for how much, and ask; nothing is sent before.

        Raises click.Abort when the answer is no, click.ClickException where nobody is there to answer.
        """
        if not left:
            return
        what = sized(left, requests, how_read(self._asked), self._compute)
        for line in self._told(what, earlier):
            click.echo(line, err=True)
        if yes:
            return
        if not attended():
            raise click.ClickException(
                "nothing was sent: nobody is there to agree. Add --yes if you agree, or use --analyst rules"
            )
        click.confirm("Send?", abort=True, err=True)

    def answers(self, requests: Iterable[AnalysisRequest]) -> dict[str, AnalysisAnswer]:
        """The answers, by request id; what was answered in an earlier run is not asked again.

        Raises AnalystError when the provider cannot be used, click.ClickException when it goes on asking to wait; what
        was answered until then is kept.
        """
        waited, before = 0, None
        with self._progress():
            while (found := self.analyst.submit(LABEL, requests)).next != "done":
                waited, before = waited + 1 if found.states == before else 0, found.states
                if waited >= PATIENCE:
                    raise click.ClickException(
                        "the provider goes on asking to wait; run the same command again later, what was answered is "
                        "kept"
                    )
        return {answer.request_id: answer for answer in self.analyst.collect(LABEL)}

    @contextmanager
    def _progress(self) -> Iterator[None]:
        """Now and then a line that says how far it is."""
        stop = threading.Event()

        def tell() -> None:
            while not stop.wait(TOLD_EVERY):
                states, _ = self._log.counts(LABEL)
                came = sum(count for state, count in states.items() if state != "planned")
                click.echo(f"{came:,} of {sum(states.values()):,} requests answered", err=True)

        thread = threading.Thread(target=tell, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def end(self) -> None:
        """Everything is written: nothing of what was sent or answered stays here."""
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _told(self, what: Outlook, earlier: int) -> list[str]:
        asked, host = self._asked, self.where.host
        resumed = f" ({earlier:,} more were answered before the last run was stopped)" if earlier else ""
        tokens = f"{words(what.sent)} input tokens"
        if what.saved > 0.005:
            tokens += f", condensed from {words(what.whole)}"
        found = costs(
            asked.model,
            what,
            output_tokens=ASSUMED_OUTPUT,
            most_output_tokens=asked.output_tokens,
            overrides=self._overrides,
            tiers=(self._backend.tier,),
        )
        return [
            f"To be asked about: {what.sessions:,} sessions{resumed}, {words(what.requests)} requests, {tokens}.",
            f"By whom: {asked.model} at {host} ({self._backend.name}, tier {self._backend.tier}).",
            "What is sent: condensed transcripts with the users' own words, and the instructions; no ids beside them.",
            f"Price: {price_words(found)}",
        ]


def attended() -> bool:
    """Whether somebody is there who can answer a question."""
    return sys.stdin.isatty()


def price_words(found: list[Cost]) -> str:
    """The price in one sentence, or that it is not known and what to set."""
    if not found:
        return (
            "not known for this model and tier. SIGNALS_LANGUAGE_MODEL__INPUT_PRICE and __OUTPUT_PRICE (US dollars per "
            "million tokens) tell it."
        )
    one = found[0]
    return (
        f"about ${one.total:,.2f} when an answer takes {ASSUMED_OUTPUT:,} tokens (an assumption), at most "
        f"${one.most:,.2f} when every answer is as long as it may be; repeated requests come on top."
    )


def words(total: Range) -> str:
    """A total, with its interval where it has one."""
    if total.low == total.high:
        return f"{total.value:,}"
    return f"{total.value:,} ({total.low:,} to {total.high:,})"


def sized(
    known: list[Known], requests: Iterable[AnalysisRequest], how: Reading, compute: Compute, seed_: int = 0
) -> Outlook:
    """The size of the questions, of a sample of them where they are many."""
    hints = {one.request_id: one.hint for one in known}
    wanted = drawn(hints, SAMPLED, seed_)
    here = (request for request in requests if request.request_id in wanted)
    ids: list[str] = []

    def chunks() -> Iterator[SizeChunk]:
        while some := list(islice(here, CHUNK)):
            ids.extend(request.request_id for request in some)
            yield SizeChunk(tuple(request.session for request in some), how)

    sizes = [size for part in compute.map(size_chunk, chunks()) for size in part]
    counted = [(size, hints[one]) for one, size in zip(ids, sizes, strict=True) if size is not None]
    return outlook(counted, list(hints.values()), session_tokens=how.session_tokens)
