"""Benchmark · speed, part `analysis`: a day's sessions through a language model.

Put here: the day, the measured runs, baselines, gates.
Not here: a whole day (see `speed_day.py`), how a process is measured (see `measuring.py`), the quality of what is
computed (see the other benchmarks), printing (see `cli/benchmark.py`).

Measured is the product's own path: `analysis_batches` and `analyses` through the real definitions in a process of its
own (with its worker processes), against a local provider in another one. `analysis_batches` runs until nothing can be
repeated: once to prepare and submit, once more to take in, to review and to submit revised texts, and once for those.
The provider's own time is subtracted, waiting for it is not counted. Sessions and metrics are there before.
"""

import importlib
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

from signals_assets.benchmarks.measuring import apart
from signals_assets.core.sessions import Session, Step, to_json

Result = dict[str, Any]

DAY: Final = date(2026, 1, 5)
SESSIONS: Final = 2_000
QUICK_SESSIONS: Final = 60
MOST_SECONDS: Final = 60.0
MOST_MEGABYTES: Final = 1_024.0
BEFORE: Final = ("raw_sessions", "quarantine", "session_metrics", "detections")
WHOLE: Final = 1_000_000
"""Tokens of a session that are as good as no limit: the model's window is the only one."""
HOME: Final = "home"
AGAIN: Final = "again"
SHORTENED: Final = 0.2
"""A repeated session loses up to so much of its end."""


@dataclass(frozen=True, slots=True)
class Way:
    """How the same day is asked about."""

    name: str
    compute: str
    workers: int = 2
    session_tokens: int | None = None
    """None: as the settings have it."""


PRODUCT: Final = Way("as it is", "processes")
BASELINES: Final = (Way("one process", "processes", 1), Way("two processes, nothing condensed", "processes", 2, WHOLE))


# --- the day -----------------------------------------------------------------------------------------------------


def day_of(sessions: Sequence[Session], wanted: int, seed: int) -> Iterator[Session]:
    """`wanted` sessions of one day with texts of their own: the given ones again and again, no two alike.

    A repetition has other digits in all its texts and loses up to a fifth of its end: sizes stay realistic.
    """
    rng = random.Random(repr((seed, "day")))  # noqa: S311 - sizes and digits
    start = datetime.combine(DAY, datetime.min.time(), UTC).timestamp()
    for number in range(wanted):
        session = sessions[number % len(sessions)]
        round_ = number // len(sessions)
        kept = len(session.steps) if not round_ else max(1, round(len(session.steps) * rng.uniform(1 - SHORTENED, 1)))
        digits = list("0123456789")
        rng.shuffle(digits)
        other = str.maketrans("0123456789", "".join(digits)) if round_ else {}
        at = start + 80_000.0 * number / wanted
        yield replace(
            session,
            session_id=f"speed-{number}",
            user_id=f"user-{number % 211}",
            steps=[
                _again(step, other, number if place == 0 else None) for place, step in enumerate(session.steps[:kept])
            ],
            started_at=at,
            ended_at=at,
            feedback=[],
            segment=0,
            start_known_from="session",
            source_format="canonical",
            notes={},
        )


def _again(step: Step, digits: dict[int, int], number: int | None) -> Step:
    text = step.text.translate(digits) if step.text else step.text
    return replace(step, at=None, text=text if number is None else f"{text or ''} (item {number})")


def _simulated(folder: Path, seed: int, wanted: int) -> list[Session]:
    from signals_assets.core.readers import Rejected
    from signals_assets.resources.session_source import read_paths
    from signals_assets.simulation import World

    World(seed, min(wanted, 300), DAY, folder / "world", users=40, organizations=4).step(1)
    read = read_paths([folder / "world" / "sessions"])
    return [session for session in read if not isinstance(session, Rejected)]


# --- one way -----------------------------------------------------------------------------------------------------


class Runs:
    """The product in this process: its definitions over a home, and a provider to subtract."""

    def __init__(self, folder: Path, home: str, way: Way, url: str, busy: Callable[[], float]) -> None:
        import warnings

        import dagster as dg

        warnings.simplefilter("ignore")  # Dagster announces its own beta parts
        from signals_assets.definitions import build_defs
        from signals_assets.resources import resources_for
        from signals_assets.settings import Settings

        model: dict[str, Any] = {"base_url": url, "api_key": "none"}
        if way.session_tokens:
            model["session_tokens"] = way.session_tokens
        self.settings = Settings(
            home=folder / home,
            sessions=[folder / "sessions"],
            compute=way.compute,
            workers=way.workers,
            embedder="none",
            pseudonym_key="key of the clock",
            selection={"min_steps": 0, "daily_token_budget": 10**12},
            analyst="openai",
            language_model=model,
        )
        self.doors = resources_for(self.settings)
        doors = {name: opened for name, opened in self.doors.items() if name != "settings"}
        self.job = build_defs(self.settings, **doors).resolve_job_def("flow")
        self.instance = dg.DagsterInstance.ephemeral()
        self._busy = busy

    def run(self, *assets: str) -> float:
        """Materialize the day; seconds that were not the provider's."""
        import dagster as dg

        busy, start = self._busy(), time.perf_counter()
        self.job.execute_in_process(
            instance=self.instance,
            partition_key=DAY.isoformat(),
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        return time.perf_counter() - start - (self._busy() - busy)

    def wait(self) -> str:
        """Until the provider has nothing under way; what is next then."""
        while (progress := self.doors["analyst"].poll(DAY.isoformat())).next == "wait":
            time.sleep(0.05)
        return str(progress.next)


def prepare(folder: Path, way: Way) -> None:
    """What is there before the analyst is asked; runs in a process that ends."""
    runs = Runs(folder, HOME, way, "http://127.0.0.1:1/v1", lambda: 0.0)
    runs.run(*BEFORE)
    runs.doors["compute"].close()


def asked(folder: Path, way: Way, url: str) -> Result:
    """Seconds by stage, and sums over the day's answers; runs in the process that is measured."""
    from signals_assets.core.cost import COLUMNS, cost_of
    from signals_assets.tables import Analysis

    runs = Runs(folder, AGAIN, way, url, lambda: _busy_seconds(url))
    stages = {"prepare and submit": runs.run("analysis_batches")}
    for number in count():
        if runs.wait() == "done":
            break
        stage = "take in, review, revise" if number == 0 else "take in revised texts"
        stages[stage] = stages.get(stage, 0.0) + runs.run("analysis_batches")
    stages["collect and store"] = runs.run("analyses")
    runs.doors["compute"].close()
    rows = runs.doors["warehouse"].read(Analysis, DAY, columns=[*COLUMNS, "state"]).to_pylist()
    return {
        "way": way.name,
        "stages": {stage: round(seconds, 2) for stage, seconds in stages.items()},
        "seconds": round(sum(stages.values()), 2),
        "processor_seconds": round(_processor_seconds(), 2),
        "answered": sum(row["state"] == "answered" for row in rows),
        "cost": cost_of(rows),
    }


def _processor_seconds() -> float:
    """Of this process and of its workers that ended, imports included: hardly changed by other load."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _busy_seconds(url: str) -> float:
    import urllib.request

    import orjson

    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/_/report") as answer:  # noqa: S310 - the local provider
        return float(orjson.loads(answer.read())["busy_seconds"])


# --- the benchmark -----------------------------------------------------------------------------------------------


def run(sessions: Sequence[Session] = (), *, quick: bool = False, seed: int = 0, wanted: int | None = None) -> Result:
    """Seconds, memory, tokens and price of a day of 2,000 sessions, beside the baselines; ready for JSON.

    Raises RuntimeError where the local provider is not there (it is part of a checkout, not of an installation).
    """
    try:
        server = importlib.import_module("signals_assets_tests.fakes.openai_server").OpenAIProcess
    except ImportError:
        raise RuntimeError(
            "this benchmark needs the local provider in signals_assets_tests and the openai client: run it from a "
            "checkout that was installed with `make install`"
        ) from None
    number = wanted or (QUICK_SESSIONS if quick else SESSIONS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        megabytes = _write(sessions or _simulated(folder, seed, number), folder, number, seed)
        start = time.perf_counter()
        apart(prepare, folder, PRODUCT)
        before = time.perf_counter() - start
        ways = [_measured(folder, way, server, megabytes) for way in (PRODUCT, *BASELINES)]
    first, whole = ways[0], ways[-1]
    saved = 1 - first["cost"]["input_tokens"] / max(1, whole["cost"]["input_tokens"])
    most = first["peak_megabytes"]
    return {
        "benchmark": "speed",
        "parameters": {
            "part": "analysis",
            "sessions": number,
            "megabytes": round(megabytes, 1),
            "seed": seed,
            "quick": quick,
            "model": "gpt-5.2",
        },
        "seconds_before": round(before, 1),
        "ways": ways,
        "input_tokens_saved": round(saved, 4),
        "gates": [
            {"gate": "seconds without the provider's", "measured": first["seconds"], "at most": MOST_SECONDS,
             "holds": first["seconds"] <= MOST_SECONDS},
            {"gate": "peak megabytes of all processes", "measured": most, "at most": MOST_MEGABYTES,
             "holds": most is None or most <= MOST_MEGABYTES},
            {"gate": "sessions without an answer", "measured": number - first["answered"], "at most": 0,
             "holds": number == first["answered"]},
        ],
    }  # fmt: skip


def _write(sessions: Sequence[Session], folder: Path, wanted: int, seed: int) -> float:
    """The day's file; megabytes of it."""
    (folder / "sessions").mkdir()
    path = folder / "sessions" / f"{DAY}.jsonl"
    with path.open("wb") as file:
        for session in day_of(sessions, wanted, seed):
            file.write(to_json(session) + b"\n")
    return path.stat().st_size / 1e6


def _measured(folder: Path, way: Way, server: Any, megabytes: float) -> Result:
    """One way in a home of its own."""
    shutil.rmtree(folder / AGAIN, ignore_errors=True)
    shutil.copytree(folder / HOME, folder / AGAIN)
    with server(polls=2, check_every=1_000, quotes=0.02, bytes_per_look=10**9) as provider:
        found, usage = apart(asked, folder, way, provider.url)
    return {
        **found,
        "peak_megabytes": usage.megabytes,
        "megabytes_per_second": round(megabytes / max(found["seconds"], 1e-9), 1),
        "sessions_per_second": round(found["cost"]["sessions"] / max(found["seconds"], 1e-9), 1),
    }
