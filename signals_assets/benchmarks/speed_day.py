"""Benchmark · speed of a day: all daily stages on a made-up day, by sessions a day; import and start.

Put here: the day and its records, the measured runs, cost against size, gates.
Not here: the analyst as a language model (see `speed.py`), how a process is measured (see `measuring.py`), printing
(see `cli/benchmark.py`).

Measured is the product's own path: the job `flow` over the real definitions with SQLite, Parquet, worker processes and
the built-in rules, in one run in a process of its own; every eligible session is read. The three assets that act are
partitioned by friction type and no part of a day. The embedding model's own time is measured and subtracted.
"""

import importlib.util
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from signals_assets.benchmarks.measuring import Usage, apart
from signals_assets.tables import STAGES

Result = dict[str, Any]

DAY: Final = date(2026, 1, 5)
SIZES: Final = (100, 1_000, 10_000)
QUICK_SIZES: Final = (100, 400)
GATED: Final = 10_000
"""Sessions a day for which there are bounds."""
MOST_SECONDS: Final = 600.0
MOST_MEGABYTES: Final = 3_072.0
MOST_EXPONENT: Final = 1.05
BLOCK: Final = 1_000
"""Sessions of one simulated world; a larger day is several worlds with users of their own."""
USERS: Final = 5
"""Sessions a day per user."""
BYTES_PER_STEP: Final = 600
"""Tool results are lengthened until a session has so many: 100 steps are 60 kB, as transcripts of coding agents are."""
IMPORTS: Final = 5
MOST_IMPORT_SECONDS: Final = 1.5
MOST_IMPORT_MEGABYTES: Final = 200.0
MOST_START_SECONDS: Final = 10.0
PATIENCE: Final = 60.0
"""Seconds after which a user interface that does not answer is given up."""


# --- the day -----------------------------------------------------------------------------------------------------


def write_day(folder: Path, wanted: int, seed: int) -> float:
    """A day's sessions and records in `folder`, `wanted` sessions in all; returns megabytes of transcripts."""
    from signals_assets.simulation import World

    (folder / "sessions").mkdir(parents=True)
    written = 0
    for block in range(-(-wanted // BLOCK)):
        left = min(BLOCK, wanted - written)
        with tempfile.TemporaryDirectory() as name:
            world = Path(name) / "world"
            World(seed * 1_000 + block, max(left, 20), DAY, world, users=max(left // USERS, 8), organizations=8).step(1)
            kept: set[str] = set()
            with (folder / "sessions" / f"{DAY}.jsonl").open("ab") as file:
                for session in _sessions(world / "sessions", block, left):
                    kept.add(session["session_id"])
                    file.write(orjson.dumps(session) + b"\n")
            _append_records(world / "records", folder / "records", block, kept)
            written += len(kept)
    if written != wanted:
        raise RuntimeError(f"the simulation made {written} sessions where {wanted} were asked for: take another seed")
    return (folder / "sessions" / f"{DAY}.jsonl").stat().st_size / 1e6


def _sessions(folder: Path, block: int, most: int) -> Iterator[dict[str, Any]]:
    """At most so many sessions of a world, lengthened, with users of the block."""
    with (folder / f"{DAY}.jsonl").open("rb") as lines:
        for _, line in zip(range(most), lines, strict=False):
            session = orjson.loads(line)
            session["user_id"] = f"{block}-{session['user_id']}"
            _lengthen(session["steps"], BYTES_PER_STEP * len(session["steps"]) - len(line))
            yield session


def _lengthen(steps: Sequence[dict[str, Any]], missing: int) -> None:
    """Spread `missing` characters over the tool results: their own lines again, numbered."""
    results = [step for step in steps if step["kind"] == "tool_result" and step.get("text")]
    for step in results:
        lines, added, number = step["text"].splitlines(), 0, 0
        while added < missing // len(results):
            lines.append(f"{number:05d} {lines[number]}")
            added += len(lines[-1]) + 1
            number += 1
        step["text"] = "\n".join(lines)


def _append_records(world: Path, folder: Path, block: int, kept: set[str]) -> None:
    """A world's records behind those of the worlds before; of sessions only those that were kept."""
    for path in sorted(world.rglob("*.jsonl")):
        target = folder / path.relative_to(world)
        target.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as lines, target.open("ab") as file:
            for line in lines:
                found = orjson.loads(line)
                if block and path.stem in ("releases", "pull_requests"):
                    continue  # the same agent
                if found.get("session_id", "") and found["session_id"] not in kept:
                    continue
                if "user_id" in found:
                    found["user_id"] = f"{block}-{found['user_id']}"
                file.write(orjson.dumps(found) + b"\n")


# --- one run -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ran:
    """What the measured process tells: seconds since 1970 of all, of each step, and of the embedding model."""

    start: float
    end: float
    steps: list[tuple[str, str, float, float]]
    """Stage (or `checks`), step, start, end."""
    model_seconds: float
    model_processor_seconds: float
    embedded: int
    rows: Mapping[str, int]


def materialized(folder: Path, workers: int, embedder: str = "sentence-transformers") -> Ran:
    """The whole day through the definitions, in this process; sessions and records lie in `folder`."""
    import warnings

    import dagster as dg

    warnings.simplefilter("ignore")  # Dagster announces its own beta parts
    from signals_assets.definitions import build_defs
    from signals_assets.resources import resources_for
    from signals_assets.settings import Settings
    from signals_assets.tables import TABLES

    settings = Settings(
        home=folder / f"home{workers}",
        sessions=[folder / "sessions"],
        records=folder / "records",
        workers=workers,
        embedder=embedder,
        pseudonym_key="key of the clock",
        audience="company",
        selection={"daily_token_budget": 10**12},
    )
    doors = resources_for(settings)
    model = _clocked(doors["embedder"])
    doors["embedder"] = model
    opened = {name: door for name, door in doors.items() if name != "settings"}
    definitions = build_defs(settings, **opened)
    stage_of = {
        asset.node_def.name: asset.group_names_by_key[asset.key if len(asset.keys) == 1 else min(asset.keys)]
        for asset in definitions.assets or ()
        if isinstance(asset, dg.AssetsDefinition)
    }
    job = definitions.resolve_job_def("flow")
    (folder / f"dagster{workers}").mkdir()
    with dg.DagsterInstance.local_temp(str(folder / f"dagster{workers}")) as instance:
        start = time.time()
        run = job.execute_in_process(
            instance=instance,
            partition_key=DAY.isoformat(),
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        end = time.time()
        moments: dict[str, list[float]] = {}
        for entry in instance.all_logs(run.run_id):
            if entry.dagster_event is not None and entry.dagster_event.is_step_event and entry.step_key:
                moments.setdefault(entry.step_key, []).append(entry.timestamp)
    doors["compute"].close()
    warehouse = doors["warehouse"]
    return Ran(
        start,
        end,
        [(stage_of.get(step, "checks"), step, min(found), max(found)) for step, found in moments.items()],
        model.seconds,
        model.processor_seconds,
        model.embedded,
        {name: warehouse.read(table, DAY, columns=["day"]).num_rows for name, table in TABLES.items()},
    )


def _clocked(embedder: Any) -> Any:
    """The embedder, with the seconds that it took and the number of texts it was given."""
    from signals_assets.resources.embedder import Embedder

    class Clocked(Embedder):
        """The same vectors, timed; loading the weights is the model's time."""

        name = embedder.name
        seconds = processor_seconds = 0.0
        embedded = 0

        @property
        def dimensions(self) -> int:
            """See `Embedder.dimensions`."""
            return int(embedder.dimensions)

        def embed(self, texts: Sequence[str]) -> Any:
            """See `Embedder.embed`."""
            start, used = time.perf_counter(), time.process_time()
            found = embedder.embed(texts)
            self.seconds += time.perf_counter() - start
            self.processor_seconds += time.process_time() - used
            self.embedded += len(texts)
            return found

        def check(self) -> str:
            """See `Embedder.check`."""
            return str(embedder.check())

    return Clocked()


def _measured(folder: Path, wanted: int, megabytes: float, workers: int) -> Result:
    """One run: seconds and memory by stage, all and without the model's own time."""
    ran, usage = apart(materialized, folder, workers)
    stages = {stage: _stage(stage, ran, usage) for stage in (*STAGES, "checks")}
    used = usage.processor_seconds_between(ran.start, ran.end)
    seconds = ran.end - ran.start
    between = seconds - sum(end - start for _, _, start, end in ran.steps)
    return {
        "sessions": wanted,
        "megabytes": round(megabytes, 1),
        "workers": workers,
        "seconds": round(seconds - ran.model_seconds, 2),
        "processor_seconds": round(used - ran.model_processor_seconds, 2),
        "model_seconds": round(ran.model_seconds, 2),
        "texts_embedded": ran.embedded,
        "between_steps": round(between, 2),
        "cores_busy_with_other_work": usage.others_between(ran.start, ran.end),
        "peak_megabytes": usage.megabytes_between(ran.start, ran.end),
        "stages": stages,
        "steps": {
            step: {"seconds": round(end - start, 3),
                   "processor_seconds": round(usage.processor_seconds_between(start, end), 2),
                   "peak_megabytes": usage.megabytes_between(start, end)}
            for _, step, start, end in ran.steps
        },
        "rows": dict(ran.rows),
    }  # fmt: skip


def _stage(stage: str, ran: Ran, usage: Usage) -> Result:
    """Sums over the stage's steps; discovery without the model."""
    spans = [(start, end) for name, _, start, end in ran.steps if name == stage]
    seconds = sum(end - start for start, end in spans)
    used = sum(usage.processor_seconds_between(start, end) for start, end in spans)
    if stage == "discovery":
        seconds, used = seconds - ran.model_seconds, used - ran.model_processor_seconds
    return {
        "seconds": round(seconds, 2),
        "processor_seconds": round(used, 2),
        "peak_megabytes": max((usage.megabytes_between(start, end) or 0.0 for start, end in spans), default=0.0),
    }


# --- import and start --------------------------------------------------------------------------------------------


def imported(times: int) -> Result:
    """Importing the definitions in fresh processes: the least seconds, wall and processor, and the memory then."""
    script = (
        "import time; start = time.perf_counter(), time.process_time()\n"
        "import signals_assets.definitions, resource\n"
        "print(time.perf_counter() - start[0], time.process_time() - start[1],"
        " resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    runs = [
        [
            float(figure)
            for figure in subprocess.run(  # noqa: S603 - this interpreter
                [sys.executable, "-W", "ignore", "-c", script], env=_environment(), capture_output=True, check=True
            ).stdout.split()
        ]
        for _ in range(times)
    ]
    seconds, used, megabytes = (min(figures) for figures in zip(*runs, strict=True))
    return {
        "seconds": round(seconds, 2),
        "median_seconds": round(statistics.median(run[0] for run in runs), 2),
        "processor_seconds": round(used, 2),
        "megabytes": round(megabytes, 1),
        "times": times,
    }


def ui_started() -> Result:
    """Seconds until `signals ui` answers over an empty home; says so where the extra `ui` is not installed."""
    if importlib.util.find_spec("dagster_webserver") is None:
        return {"seconds": None, "processor_seconds": None, "note": "The extra `ui` is not installed."}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        environment = _environment() | {"SIGNALS_HOME": home, "DAGSTER_HOME": str(Path(home) / "dagster")}
        start = time.perf_counter()
        with subprocess.Popen(  # noqa: S603 - this interpreter
            [sys.executable, "-W", "ignore", "-m", "signals_assets", "ui", "--port", str(port)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            with Usage(process.pid) as usage:
                seconds = _answered(f"http://127.0.0.1:{port}/server_info", start)
            process.terminate()
    return {
        "seconds": round(PATIENCE if seconds is None else seconds, 1),
        "processor_seconds": round(usage.processor_seconds_between(0.0, float("inf")), 1),
        "note": "" if seconds is not None else f"The UI did not answer within {PATIENCE:.0f} s.",
    }


def _answered(url: str, start: float) -> float | None:
    """Seconds since `start` until the address answers; None when it does not within `PATIENCE`."""
    while time.perf_counter() - start < PATIENCE:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - on this machine
                answer.read()
                return time.perf_counter() - start
        except OSError:
            time.sleep(0.1)
    return None


def _environment() -> dict[str, str]:
    """The environment of processes that are to find this package, with the settings' defaults."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("SIGNALS_")}
    path = [str(Path(__file__).parents[2]), *filter(None, [own.get("PYTHONPATH")])]
    return own | {"PYTHONPATH": os.pathsep.join(path)}


# --- the benchmark -----------------------------------------------------------------------------------------------


def run(*, quick: bool = False, seed: int = 0, sizes: Sequence[int] = ()) -> Result:
    """Seconds and memory by stage and size, cost against size, import and start; ready for JSON.

    The named baseline is the same day in one process, at the largest size up to 1,000. Exponents are slopes of
    log(processor seconds) over log(sessions a day), since other load on the machine changes wall seconds.
    """
    wanted = sorted(set(sizes)) or list(QUICK_SIZES if quick else SIZES)
    alone = max((size for size in wanted if size <= BLOCK), default=0)
    runs, baselines = [], []
    for size in wanted:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            megabytes = write_day(folder, size, seed)
            runs.append(_measured(folder, size, megabytes, 0))
            if size == alone and not quick:
                baselines.append(_measured(folder, size, megabytes, 1))
    loading = imported(2 if quick else IMPORTS)
    skipped = {"seconds": None, "processor_seconds": None, "note": "The UI is not started in a quick run."}
    started = skipped if quick else ui_started()
    exponents = _exponents(runs)
    return {
        "benchmark": "speed",
        "parameters": {"part": "day", "sizes": wanted, "seed": seed, "quick": quick, "day": DAY.isoformat(),
                       "analyst": "rules", "embedder": "sentence-transformers", "audience": "company"},
        "days": runs,
        "baselines": baselines,
        "exponents": exponents,
        "import": loading,
        "ui": started,
        "gates": _gates(runs, exponents, loading, started),
    }  # fmt: skip


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float | None:
    """Slope of log(cost) over log(size), least squares; None for fewer than two sizes."""
    if len(sizes) < 2:
        return None
    slope, _ = np.polyfit(np.log(sizes), np.log(np.maximum(costs, 1e-3)), 1)
    return round(float(slope), 3)


def exponent_without_fixed(sizes: Sequence[float], costs: Sequence[float]) -> float | None:
    """The exponent e of cost = fixed + c * size ** e, of the last three sizes, exactly.

    None where they are not in one ratio (as 100, 1,000, 10,000 are) or costs do not rise: what every day costs
    whatever its size would make the exponent of whole costs look small.
    """
    if len(sizes) < 3:
        return None
    (n1, n2, n3), (c1, c2, c3) = sizes[-3:], costs[-3:]
    if n2 * n2 != n1 * n3 or not c1 < c2 < c3:
        return None
    return round(float(np.log((c3 - c2) / (c2 - c1)) / np.log(n3 / n2)), 3)


def _exponents(runs: Sequence[Result]) -> list[Result]:
    """By stage and of all: fitted on all sizes, and of what exceeds the cost that every day has."""
    sizes = [run["sessions"] for run in runs]
    costs = {stage: [run["stages"][stage]["processor_seconds"] for run in runs] for stage in (*STAGES, "checks")}
    costs["all"] = [run["processor_seconds"] for run in runs]
    return [
        {
            "stage": stage,
            "all sizes": exponent(sizes, found),
            "without the fixed cost": exponent_without_fixed(sizes, found),
        }
        for stage, found in {**costs, "memory": [run["peak_megabytes"] or 0.0 for run in runs]}.items()
    ]


def _gates(runs: Sequence[Result], exponents: Sequence[Result], loading: Result, started: Result) -> list[Result]:
    whole = next(row for row in exponents if row["stage"] == "all")
    at_most: list[tuple[str, float | None, float]] = []
    for run in runs:
        if run["sessions"] == GATED:
            at_most += [
                (f"seconds of {GATED:,} sessions without the model's", run["seconds"], MOST_SECONDS),
                (f"peak megabytes of {GATED:,} sessions", run["peak_megabytes"], MOST_MEGABYTES),
            ]
    at_most += [
        ("exponent of processor seconds, all sizes", whole["all sizes"], MOST_EXPONENT),
        ("the same without the fixed cost", whole["without the fixed cost"], MOST_EXPONENT),
        ("processor seconds to import the definitions", loading["processor_seconds"], MOST_IMPORT_SECONDS),
        ("megabytes after importing the definitions", loading["megabytes"], MOST_IMPORT_MEGABYTES),
        ("seconds until the UI answers", started["seconds"], MOST_START_SECONDS),
    ]
    gates = [
        {"gate": gate, "measured": measured, "at most": most, "holds": measured <= most}
        for gate, measured, most in at_most
        if measured is not None
    ]
    lost = sum(run["sessions"] - run["rows"]["session_metrics"] for run in runs)
    return [*gates, {"gate": "sessions without metrics", "measured": lost, "at most": 0, "holds": lost == 0}]
