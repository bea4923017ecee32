"""Benchmark · crash: the process that asks a language model is killed hundreds of times, at any instant of its work.

Put here: the days that are lived, the kills, what must hold at the end, controls that must not hold.
Not here: the analyst (see `resources/language_model.py`), the provider (a local server of the tests that speaks the
real protocol over HTTP, in a process of its own), printing (see `cli/benchmark.py`).

A life is three days of simulated sessions in a home on disk, and one process after the other that does what the daemon
does: materialize `analysis_batches` of every day, tick the `analysis_collection` sensor, materialize `analysis_batches`
and `analyses` of the days that it asks for, through the real definitions. Every process is forked from one
that has everything imported and nothing open, and gets SIGKILL, which no code can catch or clean up after:

    anywhere   after a random time
    inside     while it is in a named phase, after a random part of the time that the phase takes without kills
    between    exactly before or after a named step (a transaction, a request, a rename)

The provider outlives them all, loses answers, refuses, expires batches and fails requests, by the seed. The same life
is lived once without kills: its answers are what the killed one is compared with.
"""

import importlib
import math
import multiprocessing
import os
import random
import select
import shutil
import signal
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, Literal
from unittest import mock

import orjson

from signals_assets.resources import language_model as door
from signals_assets.resources import resources_for
from signals_assets.resources.analyst import AnalystError
from signals_assets.resources.batches import DirectBatches, OpenAIBatches
from signals_assets.resources.language_model import LanguageModelAnalyst
from signals_assets.resources.ledger import SqlLedger
from signals_assets.resources.requests import RequestLog
from signals_assets.resources.warehouse import ParquetWarehouse
from signals_assets.settings import Settings
from signals_assets.simulation import World
from signals_assets.tables import Analysis, AnalysisRequestRow

Result = dict[str, Any]
Kind = Literal["openai", "openai-compatible"]

FIRST: Final = date(2026, 1, 5)
DAYS: Final = 3
STEPS: Final = 14
"""Steps that are kept of a simulated session: what is tested is not how long they are."""
KEY: Final = "key of the killed"
CONCURRENCY: Final = 4
SETTLES: Final = 0.6
"""Seconds after which a batch that cannot be found was never created: an hour's patience for a server of minutes."""
SLOW: Final = 0.25
"""Seconds that the provider takes for some creations, so that processes die while theirs is being created."""
HELD: Final = timedelta(seconds=2)
PATIENCE: Final = 1.0
"""Seconds that a kill waits for a phase or step before it happens wherever the process is."""
SPREAD: Final = 0.8
"""Seconds, at most, before a process may meet an aim."""
LONGEST_INSIDE: Final = 2.0
RESERVE: Final = 0.9
"""Share of the work after which no kills should be left."""
LONGEST: Final = 1200.0
"""Seconds after which a life counts as stuck."""

FAULTS: Final[Mapping[str, Any]] = {
    "polls": 2,
    "lost_answers": {"POST /batches": 0.08, "POST /files": 0.02, "GET /batches/{batch_id}": 0.005},
    "lost_requests": {"POST /batches": 0.03},
    "too_many": {"POST /batches": 0.05, "GET /batches": 0.02},
    "server_errors": {"POST /batches": 0.03, "DELETE /files/{file_id}": 0.01},
    "slow": {"POST /batches": 0.3},
    "slow_seconds": SLOW,
    "token_limited": 0.02,
    "expired": 0.08,
    "expired_share": 0.4,
    "all_failed": 0.01,
    "unknown_ids": 1,
    "missing": 0.005,
    "zero": 0.01,
    "rejected": 0.002,
    "throttled": 0.01,
    "broken": 0.01,
    "refused": 0.01,
    "incomplete": 0.01,
    "filtered": 0.003,
    "truncated": 0.01,
    "duplicated": 0.01,
    "invented_steps": 0.03,
    "wrong_types": 0.005,
    "quotes": 0.04,
    "check_every": 50,
}
DIRECT_FAULTS: Final[Mapping[str, Any]] = {
    "chat_only": True,
    "too_many": {"POST /chat/completions": 0.01},
    "server_errors": {"POST /chat/completions": 0.01},
    "slow": {"POST /chat/completions": 0.1},
    "slow_seconds": 0.05,
    **{name: FAULTS[name] for name in ("refused", "incomplete", "truncated", "quotes", "check_every")},
    "unenforced": 0.05,
}

Watched = tuple[Any, str, str | None]
"""A step: its owner, its name, and the phase that it is, where it is one."""
STEPS_OF_ALL: Final[tuple[Watched, ...]] = (
    (LanguageModelAnalyst, "_recover", "recovering"),
    (LanguageModelAnalyst, "_take_in", "taking in"),
    (LanguageModelAnalyst, "_review", "reviewing"),
    (LanguageModelAnalyst, "_send", "preparing lines"),
    (LanguageModelAnalyst, "_clean", "cleaning"),
    (LanguageModelAnalyst, "poll", "polling"),
    (LanguageModelAnalyst, "_finish", "keeping answers"),
    (door, "store_lines", None),
    *((RequestLog, name, None) for name in ("plan", "prepare", "creating", "submitted", "stored", "release", "done")),
    (ParquetWarehouse, "replace", "storing"),
    (SqlLedger, "append", None),
)
STEPS_OF: Final[Mapping[str, tuple[Watched, ...]]] = {
    "openai": (
        (OpenAIBatches, "_uploaded", "uploading"),
        (OpenAIBatches, "create", "creating"),
        (OpenAIBatches, "find", "looking up"),
        (OpenAIBatches, "results", "fetching"),
        (OpenAIBatches, "delete", "deleting"),
    ),
    "openai-compatible": (
        (DirectBatches, "create", "creating"),
        (DirectBatches, "results", None),
        (DirectBatches, "delete", "deleting"),
    ),
}
OTHER_PHASES: Final = ("starting", "deciding", "selecting", "collecting")
"""Where no step of the above is under way: before the first run, between runs, in the rest of the two assets."""
INSIDE_EACH: Final = 9
"""Most kills that aim at the inside of one phase."""


# --- the plan ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """One life. `sabotage` takes out what makes it safe: such a life must be caught."""

    kind: Kind
    sessions: int
    kills: int
    seed: int
    batch_sessions: int
    """About how many sessions a batch holds: what the provider takes in flight is set to twice that."""
    days: int = DAYS
    faults: Mapping[str, Any] = field(default_factory=dict)
    sabotage: str | None = None

    @property
    def watched(self) -> tuple[Watched, ...]:
        """The steps of this kind of life."""
        return (*STEPS_OF_ALL, *STEPS_OF[self.kind])

    @property
    def phases(self) -> tuple[str, ...]:
        """Every phase, in the order in which they are counted."""
        return (*OTHER_PHASES, *(phase for _, _, phase in self.watched if phase))


@dataclass(frozen=True, slots=True)
class Aim:
    """What one process does not survive; with neither: `after` seconds."""

    inside: str | None = None
    step: str | None = None
    """"before NAME" or "after NAME"."""
    share: float = 0.0
    """Inside: which part of the phase's usual time passes first."""
    after: float = 0.0

    @property
    def name(self) -> str:
        """The step or phase; empty for a time."""
        return self.step or self.inside or ""


def deck(plan: Plan, rng: random.Random) -> list[Aim]:
    """All aims of a life. A process dies at the first of those left that it comes to after a random time."""
    steps = [f"{when} {name}" for _, name, _ in plan.watched for when in ("before", "after")]
    if plan.sabotage:
        steps = list(SABOTAGES[plan.sabotage])
        return [Aim(step=steps[n % len(steps)]) for n in range(plan.kills)]
    inside = [Aim(inside=phase, share=rng.random()) for phase in plan.phases * INSIDE_EACH]
    again = [Aim(step=step) for step in steps] + inside[len(plan.phases) :]
    rng.shuffle(again)
    once = [Aim(step=step) for step in steps] + inside[: len(plan.phases)]
    if len(once) > plan.kills:
        rng.shuffle(once)
    aims = (once + again)[: plan.kills - plan.kills // 5]
    aims += [Aim(after=rng.uniform(0.0, 1.5)) for _ in range(plan.kills - len(aims))]
    rng.shuffle(aims)
    return aims


# --- what is seen from outside -----------------------------------------------------------------------------------


class Board:
    """What a process shows to the one that kills it, in shared memory: it stays when the process dies."""

    def __init__(self, phases: Sequence[str]) -> None:
        from multiprocessing.sharedctypes import RawArray

        self.phases = phases
        self._now = RawArray("i", 1)
        self._seconds = RawArray("d", len(phases))
        self._entries = RawArray("l", len(phases))
        self._counts = RawArray("l", len(COUNTS))
        self._met = RawArray("i", 1)
        self._since = 0.0

    @property
    def phase(self) -> str:
        """Where the process is, or was when it died."""
        return str(self.phases[self._now[0]])

    @property
    def met(self) -> int:
        """The number of the aim that the process came to; -1 for none."""
        return int(self._met[0])

    @met.setter
    def met(self, number: int) -> None:
        self._met[0] = number

    def enter(self, phase: str) -> str:
        """The process is in another phase now; returns the one it left."""
        before, now = self._now[0], time.perf_counter()
        self._seconds[before] += now - self._since if self._since else 0.0
        self._since = now
        self._now[0] = self.phases.index(phase)
        return str(self.phases[before])

    def entered(self, phase: str) -> None:
        """Count a phase that began (and is not merely returned to)."""
        self._entries[self.phases.index(phase)] += 1

    def restart(self) -> None:
        """A new process begins."""
        self._now[0], self._since, self._met[0] = 0, 0.0, -1

    def count(self, what: str) -> None:
        """One more of `COUNTS`."""
        self._counts[COUNTS.index(what)] += 1

    def counts(self) -> dict[str, int]:
        """All of `COUNTS`."""
        return dict(zip(COUNTS, self._counts, strict=True))

    def seconds(self) -> dict[str, float]:
        """Time in each phase, those within it left out."""
        return dict(zip(self.phases, self._seconds, strict=True))

    def mean(self) -> dict[str, float]:
        """Mean time of each phase that was entered."""
        return {
            phase: spent / entered
            for phase, spent, entered in zip(self.phases, self._seconds, self._entries, strict=True)
            if entered
        }


COUNTS: Final = ("runs", "failed_runs", "failed_looks", "looks")


class Watch:
    """In the process that is to die: phases are shown, and the first of the aims that it comes to is met."""

    def __init__(self, board: Board, aims: Sequence[Aim], delay: float, told: int) -> None:
        """`aims`: none is met before `delay` seconds have passed. `told`: where it is said that a phase is."""
        self.board, self._told = board, told
        self._numbers = {aim.name: number for number, aim in enumerate(aims)}
        self._from = time.perf_counter() + delay

    @contextmanager
    def within(self, phase: str | None) -> Iterator[None]:
        """The body is a phase; None: part of the one around it."""
        if phase is None:
            yield
            return
        before = self.board.enter(phase)
        self.board.entered(phase)
        if self._meets(phase):
            self._numbers = {}
            os.write(self._told, b"!")
        try:
            yield
        finally:
            self.board.enter(before)

    def at(self, step: str) -> None:
        """The process dies here, if this is one of its aims."""
        if self._meets(step):
            os.kill(os.getpid(), signal.SIGKILL)

    def _meets(self, name: str) -> bool:
        if name not in self._numbers or time.perf_counter() < self._from:
            return False
        self.board.met = self._numbers[name]
        return True


_WATCH: list[Watch] = []
"""The watch of this process, where it has one."""


def _watched(function: Callable[..., Any], name: str, phase: str | None) -> Callable[..., Any]:
    def step(*args: Any, **kwargs: Any) -> Any:
        if not _WATCH:
            return function(*args, **kwargs)
        watch = _WATCH[0]
        watch.at(f"before {name}")
        with watch.within(phase):
            found = function(*args, **kwargs)
        watch.at(f"after {name}")
        return found

    return step


# --- sabotage: what is safe made unsafe ---------------------------------------------------------------------------


def _blind() -> None:
    """Nobody looks whether a batch exists before it is created again."""
    OpenAIBatches.find = mock.Mock(return_value=None)  # type: ignore[method-assign]


def _hasty() -> None:
    """A request counts as answered before its answer is kept."""

    def finish(self: Any, send: Any, lines: list[dict[str, Any]], moved: list[Any]) -> None:
        self._log.stored(send.key, moved)
        real(self, send, lines, [])

    real: Any = LanguageModelAnalyst._finish
    LanguageModelAnalyst._finish = finish  # type: ignore[method-assign]


def _careless() -> None:
    """The provider's files are forgotten when their batch is taken in."""
    OpenAIBatches.delete = mock.Mock(return_value=0)  # type: ignore[method-assign]


SABOTAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "no look-up before a batch is created again": ("after create", "before submitted"),
    "rows before answers": ("before store_lines",),
    "no files are deleted": ("after results",),
}
_SABOTEURS: Final = dict(zip(SABOTAGES, (_blind, _hasty, _careless), strict=True))


# --- a life ------------------------------------------------------------------------------------------------------


class Life:
    """A home, its provider, and the processes that live and die in it. Lives in a process of its own."""

    def __init__(self, plan: Plan, folder: Path, server: Any) -> None:
        from signals_assets.definitions import build_defs

        self.plan, self.folder, self.server = plan, folder, server
        self.days = [FIRST + timedelta(days=n) for n in range(plan.days)]
        self.board = Board(plan.phases)
        self.settings = _settings(plan, folder, server.url)
        self.doors = resources_for(self.settings)
        analyst = self.doors["analyst"]
        analyst._backend.settles_after = min(analyst._backend.settles_after, SETTLES)
        analyst._backend.server = replace(analyst._backend.server, pause=0.01)
        doors = {name: opened for name, opened in self.doors.items() if name != "settings"}
        self.definitions = build_defs(self.settings, **doors)
        self.job = self.definitions.resolve_job_def("flow")

    # in the process that is killed

    def go_on(self, aims: Sequence[Aim], delay: float, told: int) -> None:
        """What the daemon does, until every day is collected."""
        _WATCH[:] = [Watch(self.board, aims, delay, told)]
        parent = os.getppid()
        with _WATCH[0].within("starting"):
            self._start()
        while not self._step():
            if os.getppid() != parent:
                break  # nobody is left to see it
        os._exit(0)

    def _start(self) -> None:
        import dagster as dg

        self.instance = dg.DagsterInstance.ephemeral()

    def _step(self) -> bool:
        """One look and the runs that it asks for; True when nothing is left to do."""
        with _WATCH[0].within("deciding"):
            return self._decided()

    def _decided(self) -> bool:
        ledger = self.doors["ledger"]
        self.board.count("looks")
        sent = {entry.payload["day"] for entry in ledger.entries(["batch"])}
        for day in self.days:
            if day.isoformat() not in sent:
                self._run(day.isoformat(), "analysis_batches")
        due = self._due()
        for asked in due:
            collects = asked.job_name == "collection"
            self._run(str(asked.partition_key), "analysis_batches", *(["analyses"] if collects else []))
        if not due and len({entry.payload["day"] for entry in ledger.entries(["collected"])}) == len(self.days):
            return True
        if not due:
            time.sleep(0.02)
        return False

    def _due(self) -> list[Any]:
        """What the sensor asks for; a look that the provider does not answer is one that the daemon repeats."""
        import dagster as dg

        name = "analysis_collection"
        definition = self.definitions.resolve_sensor_def(name)
        with dg.build_sensor_context(
            instance=self.instance, definitions=self.definitions, sensor_name=name, resources=dict(self.doors)
        ) as context:
            try:
                ticked = definition.evaluate_tick(context)
            except Exception as error:  # Dagster wraps what a tick raises
                if not isinstance(error.__cause__ or error, AnalystError):
                    raise
                self.board.count("failed_looks")
                return []
        return list(ticked.run_requests or ())

    def _run(self, day: str, *assets: str) -> None:
        import dagster as dg

        for asset in assets:
            self.board.count("runs")
            watch = _WATCH[0]
            with watch.within("collecting" if asset == "analyses" else "selecting"):
                result = self.job.execute_in_process(
                    instance=self.instance,
                    partition_key=day,
                    asset_selection=[dg.AssetKey(asset)],
                    raise_on_error=False,
                    run_config=_SILENT,
                )
            if not result.success:
                self.board.count("failed_runs")
                return

    # in the process that kills

    def live(self, kills: int, usual: Mapping[str, float]) -> Result:
        """One process after the other until all days are collected; the first ones are killed."""
        rng = random.Random(repr((self.plan.seed, "kills")))  # noqa: S311 - where to kill
        aims = deck(replace(self.plan, kills=kills), rng) if kills else []
        by_phase: Counter[str] = Counter()
        by_aim: Counter[str] = Counter()
        start, attempts = time.perf_counter(), 0
        while True:
            attempts += 1
            done = sum(by_phase.values())
            pace = _pace(self.progress(), done / kills if kills else 1.0)
            left = LONGEST - (time.perf_counter() - start)
            if not self._one(aims if done < kills else [], rng, usual, pace, left):
                break
            by_phase[self.board.phase] += 1
            met = aims.pop(self.board.met) if self.board.met >= 0 else None
            by_aim[_manner(met)] += 1
        return {
            "attempts": attempts,
            "kills": sum(by_phase.values()),
            "kills_by_phase": {phase: by_phase[phase] for phase in self.board.phases},
            "kills_by_aim": dict(sorted(by_aim.items())),
            "aims_left": dict(sorted(Counter(aim.name for aim in aims if aim.name).items())),
            "seconds": round(time.perf_counter() - start, 1),
            **self.board.counts(),
        }

    def _one(
        self, aims: Sequence[Aim], rng: random.Random, usual: Mapping[str, float], pace: float, most: float
    ) -> bool:
        """One process; whether it was killed."""
        hears, told = os.pipe()
        self.board.restart()
        drawn = rng.choice(aims) if aims else None
        named = [aim for aim in aims if aim.name] if drawn and drawn.name else []
        numbers = [number for number, aim in enumerate(aims) if aim.name] if named else []
        delay = 0.0 if self.plan.sabotage else pace * rng.uniform(0.0, SPREAD)
        context = multiprocessing.get_context("fork")
        child = context.Process(target=self.go_on, args=(named, delay, told))
        child.start()
        try:
            if drawn is None:
                self._let_live(child, most)
            else:
                self._hunt(child, named, hears, usual, pace * drawn.after if not named else delay + pace * PATIENCE)
            child.join()
        finally:
            os.close(hears)
            os.close(told)
        if child.exitcode not in (0, -signal.SIGKILL):
            raise RuntimeError(f"a process ended by itself with {child.exitcode} while {self.board.phase}")
        if child.exitcode == 0:
            return False
        if self.board.met >= 0:
            self.board.met = numbers[self.board.met]
        return True

    def _let_live(self, child: Any, most: float) -> None:
        child.join(most)
        if child.is_alive():
            child.kill()
            child.join()
            raise RuntimeError(f"not done after {LONGEST:.0f} seconds, {self.board.phase}: {self.progress():.0%}")

    def _hunt(self, child: Any, named: Sequence[Aim], hears: int, usual: Mapping[str, float], patience: float) -> None:
        """See that the process dies: by itself at a step, inside the phase that it tells, or when patience ends."""
        ready, _, _ = select.select([child.sentinel, hears], [], [], patience)
        if hears in ready:
            aim = named[self.board.met]
            time.sleep(min(LONGEST_INSIDE, aim.share * usual.get(aim.name, 0.0)))
        if child.sentinel not in ready:
            child.kill()

    def progress(self) -> float:
        """Share of the work that is done, as the rows say; read without the doors, which stay closed here."""
        path = self.settings.restricted / "ledger.db"
        if not path.exists():
            return 0.0
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            try:
                settled, collected = (connection.execute(sql).fetchone()[0] for sql in (_SETTLED, _COLLECTED))
            except sqlite3.OperationalError:  # the first process died before it had made the tables
                return 0.0
        return float(RESERVE * settled / self.plan.sessions + (1 - RESERVE) * collected / self.plan.days)


_SETTLED: Final = "select count(*) from analysis_requests where part > 0 and state not in ('planned', 'submitted')"
_COLLECTED: Final = "select count(*) from entries where kind = 'collected'"


def _manner(aim: Aim | None) -> str:
    if aim is None:
        return "anywhere"
    return "inside a phase" if aim.inside else "between two steps"


def _pace(work: float, kills: float) -> float:
    """Longer lives where kills are ahead of the work, shorter ones where the work is."""
    return min(6.0, max(0.3, math.exp(8.0 * (RESERVE * kills - work))))


_SILENT: Final[dict[str, Any]] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def _settings(plan: Plan, folder: Path, url: str) -> Settings:
    tokens = plan.batch_sessions * TOKENS_EACH
    return Settings(
        home=folder / "home",
        sessions=[folder / "world" / "sessions"],
        audience="company",
        compute="serial",
        embedder="none",
        pseudonym_key=KEY,
        selection={"min_steps": 0},
        analyst=plan.kind,
        language_model={
            "base_url": url,
            "api_key": "none",
            "model": "gpt-5.2" if plan.kind == "openai" else "open-weights",
            "enqueued_tokens": tokens,
            "timeout_seconds": 5,
            "concurrency": CONCURRENCY,
        },
    )


TOKENS_EACH: Final = 4_500
"""About what a request about one of these sessions takes, instructions included."""


# --- before and after --------------------------------------------------------------------------------------------


def _prepare(plan: Plan, folder: Path) -> None:
    """Simulated sessions with texts of their own, and the stages before the analyst. Runs in a process that ends."""
    import dagster as dg

    per_day = [plan.sessions // plan.days + (n < plan.sessions % plan.days) for n in range(plan.days)]
    world = World(plan.seed, max(12, 2 * per_day[0]), FIRST, folder / "world", users=60, organizations=6)
    world.step(plan.days)
    paths = sorted((folder / "world" / "sessions").glob("*.jsonl"))
    for path, wanted in zip(paths, per_day, strict=True):
        rows = [orjson.loads(line) for line in path.read_bytes().splitlines()[:wanted]]
        if len(rows) < wanted:
            raise RuntimeError(f"{len(rows)} of {wanted} sessions were simulated; take another seed")
        path.write_bytes(b"".join(orjson.dumps(_own(row, plan)) + b"\n" for row in rows))
    life = Life(replace(plan, kind="openai-compatible"), folder, mock.Mock(url="http://127.0.0.1:1/v1"))
    instance = dg.DagsterInstance.ephemeral()
    for day in life.days:
        life.job.execute_in_process(
            instance=instance,
            partition_key=day.isoformat(),
            asset_selection=[
                dg.AssetKey(name) for name in ("raw_sessions", "quarantine", "session_metrics", "detections")
            ],
            run_config=_SILENT,
        )


def _own(row: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """The session's beginning, with words that no other session has."""
    steps = row["steps"][:STEPS]
    first = next(step for step in steps if step.get("text"))
    first["text"] = f"{first['text']} This is about item {plan.seed}-{row['session_id']}."
    return {**row, "steps": steps}


def lived(plan: Plan) -> Result:
    """One plan: the life without kills, the one with them, and what both left. For a process without threads."""
    import warnings

    warnings.simplefilter("ignore")
    server = importlib.import_module("signals_assets_tests.fakes.openai_server").OpenAIProcess
    for owner, name, phase in plan.watched:
        setattr(owner, name, _watched(getattr(owner, name), name, phase))
    door.HOLDS = HELD  # type: ignore[misc]
    _warm()
    threads = threading.active_count()
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared"
        prepared.mkdir()
        child = multiprocessing.get_context("fork").Process(target=_prepare, args=(plan, prepared))
        child.start()
        child.join()
        if child.exitcode:
            raise RuntimeError(f"sessions could not be prepared: {child.exitcode}")
        calm, usual, _ = _life(plan, prepared, Path(folder) / "calm", server, 0, {})
        if plan.sabotage:
            _SABOTEURS[plan.sabotage]()
        killed, _, seconds = _life(plan, prepared, Path(folder) / "killed", server, plan.kills, usual)
        found = {
            "analyst": plan.kind,
            "sabotage": plan.sabotage,
            "threads": threads,
            "phase_milliseconds": {phase: round(1000 * mean, 1) for phase, mean in usual.items()},
            "phase_seconds": {phase: round(spent, 1) for phase, spent in seconds.items()},
            "calm": calm["figures"],
            "killed": killed["figures"],
            "compared": _compared(calm["rows"], killed["rows"]),
        }
    return {**found, "gates": _gates(plan, found)}


def _warm() -> None:
    """Import and load what every process needs, so that a fork is all that a new one takes. Opens nothing."""
    import dagster as dg

    from signals_assets.core.barrier import lexicon

    for name in ("openai", "httpx2", "sqlalchemy", "zstandard", "pyarrow.parquet", "duckdb"):
        importlib.import_module(name)
    lexicon.load()
    with dg.DagsterInstance.ephemeral():
        pass


def _life(
    plan: Plan, prepared: Path, folder: Path, server: Any, kills: int, usual: Mapping[str, float]
) -> tuple[dict[str, Any], dict[str, float], dict[str, float]]:
    """A life from beginning to end: figures and rows, mean and whole time of its phases."""
    shutil.copytree(prepared, folder)
    usual_faults = FAULTS if plan.kind == "openai" else DIRECT_FAULTS
    faults = {**usual_faults, "seed": plan.seed, **plan.faults}
    with server(**faults) as provider:
        life = Life(plan, folder, provider)
        figures = life.live(kills, usual)
        rows = {row["session_id"]: row for row in life.doors["warehouse"].read(Analysis, life.days).to_pylist()}
        settled = provider.settle()
        paid = Counter(charge["custom_id"] for charge in settled["charges"])
        for row in rows.values():
            row["tries"] = (row["attempts"], *(paid[f"{row['request_id']}.{part}"] for part in (0, 1)))
        figures |= _left(life, rows, settled)
    return {"figures": figures, "rows": rows}, life.board.mean(), life.board.seconds()


def _left(life: Life, rows: Mapping[str, Mapping[str, Any]], settled: Mapping[str, Any]) -> Result:
    """What a life left: at the provider, on the disk, in the tables."""
    warehouse = life.doors["warehouse"]
    asked = warehouse.read(AnalysisRequestRow, life.days).to_pylist()
    selected = [row for row in asked if row["selected"]]
    folder = life.settings.restricted / "analyst"
    with closing(sqlite3.connect(life.settings.restricted / "ledger.db")) as connection:
        requests = connection.execute("select request_id, part, state, reason from analysis_requests").fetchall()
        sends = Counter(state for (state,) in connection.execute("select state from analysis_sends").fetchall())
    reasons = {request_id: reason for request_id, part, _, reason in requests if part == 1}
    unanswered = [row for row in rows.values() if row["state"] != "answered"]
    ids = {f"{request_id}.{part}" for request_id, part, _, _ in requests}
    return {
        "selected": len(selected),
        "rows": len(rows),
        "rows_missing": len({row["session_id"] for row in selected} ^ rows.keys()),
        "answered": len(rows) - len(unanswered),
        "states": dict(sorted(Counter(row["state"] for row in rows.values()).items())),
        "reasons": dict(sorted(Counter(str(reasons.get(row["request_id"])) for row in unanswered).items())),
        "unexplained": sum(not reasons.get(row["request_id"]) for row in unanswered)
        + sum(row["state"] == "answered" and not row["answer"] for row in rows.values()),
        "paid": len(settled["charges"]),
        "paid_twice_by_text": sum(settled["paid_twice"]["text"].values()),
        "paid_twice_by_id": sum(settled["paid_twice"]["custom_id"].values()),
        "paid_unasked": len({charge["custom_id"] for charge in settled["charges"]} - ids - {None}),
        "batches": len(settled["batches"]),
        "requests_to_the_provider": sum(settled["calls"].values()),
        "calls": dict(sorted(settled["calls"].items())),
        "provider_files": len(settled["files"]),
        "provider_violations": len(settled["spec_violations"]),
        "outbox_files": sum(1 for path in folder.glob("outbox/*") if path.is_file()),
        "unfinished_files": sum(1 for path in folder.rglob(".*") if path.is_file()),
        "direct_files": sum(1 for path in folder.glob("direct/*") if path.is_file()),
        "sends": dict(sorted(sends.items())),
        "open_sends": sum(sends[state] for state in ("prepared", "submitted", "stored")),
    }


def _compared(calm: Mapping[str, Mapping[str, Any]], killed: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """How the sessions' rows differ from those of a life without kills.

    The provider gives the same answer to the same execution of the same request. A batch that expires or fails takes
    attempts from its sessions without one, and which sessions share a batch depends on the kills: a difference is
    explained where attempts or executions differ.
    """
    found: Counter[str] = Counter(same=0, explained=0, unexplained=0)
    for session_id in calm.keys() | killed.keys():
        one, other = calm.get(session_id), killed.get(session_id)
        if one is None or other is None:
            found["unexplained"] += 1
        elif (one["state"], one["answer"]) == (other["state"], other["answer"]):
            found["same"] += 1
        else:
            found["explained" if one["tries"] != other["tries"] else "unexplained"] += 1
    return dict(found)


def _gates(plan: Plan, found: Mapping[str, Any]) -> list[Result]:
    killed = found["killed"]
    twice = CONCURRENCY * killed["kills_by_phase"]["creating"] if plan.kind == "openai-compatible" else 0
    least = [("kills", killed["kills"], plan.kills), ("sessions asked about", killed["selected"], plan.sessions)]
    most = [
        ("sessions without exactly one row", killed["rows_missing"], 0),
        ("sessions without an answer or a reason", killed["unexplained"], 0),
        ("answers that differ from a life without kills for no reason", found["compared"]["unexplained"], 0),
        ("paid again, by text", killed["paid_twice_by_text"], twice),
        ("paid again, by custom id", killed["paid_twice_by_id"], 0),
        ("paid under ids that no row knows", killed["paid_unasked"], 0),
        ("files left at the provider", killed["provider_files"], 0),
        ("files left in the outbox", killed["outbox_files"], 0),
        ("unfinished files left", killed["unfinished_files"], 0),
        ("files of direct batches left", killed["direct_files"], 0),
        ("batches without an end", killed["open_sends"], 0),
        ("answers of the provider against the specification", killed["provider_violations"], 0),
    ]
    name = plan.kind
    return [
        {"gate": f"{name}: {gate}", "measured": value, "at least": limit, "holds": value >= limit}
        for gate, value, limit in least
    ] + [
        {"gate": f"{name}: {gate}", "measured": value, "at most": limit, "holds": value <= limit}
        for gate, value, limit in most
    ]


# --- the benchmark -----------------------------------------------------------------------------------------------


def plans(*, quick: bool, seed: int) -> list[Plan]:
    """The lives of a run: one of each kind, and one for each sabotage."""
    if quick:
        lives = [Plan("openai", 60, 8, seed, 10), Plan("openai-compatible", 24, 4, seed, 6)]
    else:
        lives = [Plan("openai", 2_000, 200, seed, 30), Plan("openai-compatible", 300, 30, seed, 25)]
    calm: dict[str, Any] = {
        name: {} if isinstance(value, dict) else 0 for name, value in FAULTS.items() if name not in _PACE
    }
    return [
        *lives,
        *(Plan("openai", 24, 4, seed, 6, days=2, faults=calm, sabotage=sabotage) for sabotage in SABOTAGES),
    ]


_PACE: Final = ("polls", "slow_seconds", "check_every")


def run(*, quick: bool = False, seed: int = 0, chosen: Sequence[Plan] | None = None) -> Result:
    """Live every plan; figures, gates, and sabotages that were not caught; ready for JSON.

    Raises RuntimeError where the local provider is not there (it is part of a checkout, not of an installation).
    """
    try:
        importlib.import_module("signals_assets_tests.fakes.openai_server")
    except ImportError:
        raise RuntimeError(
            "this benchmark needs the local provider in signals_assets_tests and the openai client: run it from a "
            "checkout that was installed with `make install`"
        ) from None
    every = plans(quick=quick, seed=seed) if chosen is None else list(chosen)
    lives = [_apart(plan) for plan in every]
    honest = [life for life in lives if not life["sabotage"]]
    controls = [
        {
            "sabotage": life["sabotage"],
            "caught": not all(gate["holds"] for gate in life["gates"]),
            "by": [gate["gate"] for gate in life["gates"] if not gate["holds"]],
        }
        for life in lives
        if life["sabotage"]
    ]
    return {
        "benchmark": "crash",
        "parameters": {
            "seed": seed,
            "quick": quick,
            "lives": [f"{plan.kind}: {plan.sessions} sessions, {plan.kills} kills" for plan in every],
        },
        "lives": honest,
        "controls": controls,
        "gates": [gate for life in honest for gate in life["gates"]],
        "unproven": [f"not caught: {row['sabotage']}" for row in controls if not row["caught"]],
    }


def _apart(plan: Plan) -> Result:
    """The plan in a process of its own, which has no threads and nothing open to inherit."""
    alone = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with mock.patch.dict(os.environ, alone), ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(lived, plan).result()
