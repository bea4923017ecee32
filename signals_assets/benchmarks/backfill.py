"""Benchmark · backfill: a year of the set-based stages in one command's runs, Dagster's own time apart.

Put here: the year, the measured runs, what of their time is Dagster's, gates.
Not here: stages that read every session (see `speed_day.py`), printing (see `cli/benchmark.py`).

A week is simulated and goes through the whole graph; its tables of stages 1 to 5 are copied week by week until the
year is full: days move, sessions, events and releases get names of their own, users stay. Then the stages that are
measured (correlations, tickets, outcomes, report: what is computed from tables, not from sessions) run over all days
through the real definitions, on an instance on disk, cut into runs as `signals backfill` cuts them.

A step's own time ends when its body has ended; what Dagster does before, between and after is counted apart. Writing
an event for each table and day is most of it. Discovery (stage 5) is not measured here: see `signals benchmark
discovery`. No ticket is open in this year, so following tickets costs nothing.
"""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from signals_assets.benchmarks.measuring import apart

if TYPE_CHECKING:
    import dagster as dg
    import pyarrow as pa

    from signals_assets.settings import Settings

Result = dict[str, Any]

FIRST_DAY: Final = date(2025, 1, 6)
WEEK: Final = 7
DAYS: Final = 365
SESSIONS_A_DAY: Final = 200
QUICK_DAYS: Final = 21
QUICK_SESSIONS_A_DAY: Final = 20
DAYS_PER_RUN: Final = 31
MOST_SECONDS: Final = 300.0
MEASURED: Final = ("correlations", "tickets", "outcomes", "report")
"""Stages that are computed from tables alone."""
RENAMED: Final = ("session_id", "event_id", "item_id", "source_session_id", "request_id", "agent_version", "version")
"""Columns that get a name of each week's own, so that no copy repeats a key and releases go on coming."""


def run(*, quick: bool = False, seed: int = 0, days: int | None = None, sessions_a_day: int | None = None) -> Result:
    """Seconds by stage of a year's backfill, Dagster's own apart, and peak memory; ready for JSON."""
    number = days or (QUICK_DAYS if quick else DAYS)
    size = sessions_a_day or (QUICK_SESSIONS_A_DAY if quick else SESSIONS_A_DAY)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        apart(prepare, folder, number, size, seed)
        found, usage = apart(measured, folder, number)
    result: Result = found
    return result | {
        "peak_megabytes": usage.megabytes,
        "parameters": {"part": "backfill", "days": number, "sessions_a_day": size, "days_per_run": DAYS_PER_RUN,
                       "seed": seed, "quick": quick},
    }  # fmt: skip


# --- the year ----------------------------------------------------------------------------------------------------


def prepare(folder: Path, days: int, sessions_a_day: int, seed: int) -> None:
    """A home under `folder` whose stages 1 to 5 are filled for so many days."""
    import dagster as dg

    settings = _settings(folder)
    from signals_assets.partitions import range_tags
    from signals_assets.simulation import World
    from signals_assets.tables import TABLES

    simulated = min(WEEK, days)
    World(seed, sessions_a_day, FIRST_DAY, folder / "world", users=sessions_a_day, organizations=8).step(simulated)
    wanted = [name for name, model in TABLES.items() if model.stage not in MEASURED]
    with dg.DagsterInstance.ephemeral() as instance:
        _job(settings, {}).execute_in_process(
            instance=instance,
            tags=range_tags(FIRST_DAY, FIRST_DAY + timedelta(days=simulated - 1)),
            asset_selection=[dg.AssetKey(name) for name in wanted],
            run_config=_QUIET,
        )
    shutil.rmtree(folder / "home" / "restricted" / "batches", ignore_errors=True)
    for name in wanted:
        _repeat(settings.home / "warehouse" / TABLES[name].zone / name, days)


def _repeat(folder: Path, days: int) -> None:
    """Fill a table's folder with moved copies of its first week.

    The files are written past the warehouse's door, which takes no copies of admitted text.
    """
    import pyarrow.parquet as pq

    week = [FIRST_DAY + timedelta(days=offset) for offset in range(min(WEEK, days))]
    tables = [pq.read_table(folder / f"{day}.parquet", partitioning=None) for day in week]
    for offset in range(days):
        round_, place = divmod(offset, WEEK)
        path = folder / f"{FIRST_DAY + timedelta(days=offset)}.parquet"
        pq.write_table(_moved(tables[place], round_), path, compression="zstd")


def _moved(table: "pa.Table", weeks: int) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.compute as pc

    for index, field in enumerate(table.schema):
        column = table.column(index)
        if pa.types.is_date(field.type):
            column = pc.cast(pc.add(pc.cast(column, pa.int32()), pa.scalar(WEEK * weeks, pa.int32())), field.type)
        elif pa.types.is_timestamp(field.type):
            column = pc.add(column, pa.scalar(timedelta(weeks=weeks), pa.duration(field.type.unit)))
        elif field.name in RENAMED and pa.types.is_string(field.type):
            column = pc.binary_join_element_wise(column, f".{weeks}", "") if weeks else column
        elif field.name == "session" and table.schema.get_field_index("source_session_id") >= 0:
            column = pa.array(["{}"] * table.num_rows, field.type)  # nothing that is measured reads raw text
        else:
            continue
        table = table.set_column(index, field, column)
    return table


# --- the runs ----------------------------------------------------------------------------------------------------

_QUIET: Final[dict[str, Any]] = {"loggers": {"console": {}}}


def _settings(folder: Path) -> "Settings":
    from signals_assets.settings import Settings

    os.environ["SIGNALS_START_DAY"] = FIRST_DAY.isoformat()  # the partitions are made when they are imported
    return Settings(
        home=folder / "home",
        sessions=[folder / "world" / "sessions"],
        records=folder / "world" / "records",
        start_day=FIRST_DAY,
        audience="team",
        embedder="none",
        compute="serial",
        selection={"min_steps": 0},
        pseudonym_key="key of the clock",
    )


def _job(settings: "Settings", loggers: "dict[str, dg.LoggerDefinition]") -> "dg.JobDefinition":
    import warnings

    import dagster as dg

    warnings.simplefilter("ignore")  # Dagster announces its own beta parts
    from signals_assets.definitions import build_defs

    silent = dg.LoggerDefinition(lambda _: logging.Logger("signals.silent", logging.CRITICAL))
    return build_defs(settings, loggers={"console": silent} | loggers).resolve_job_def("flow")


def measured(folder: Path, days: int) -> Result:
    """Run the measured stages over a prepared home, on a new instance on disk."""
    import dagster as dg

    settings, clock = _settings(folder), _Clock()
    from signals_assets.partitions import range_tags
    from signals_assets.tables import TABLES

    job = _job(settings, {"console": dg.LoggerDefinition(lambda _: clock.logger)})
    wanted = [dg.AssetKey(name) for name, model in TABLES.items() if model.stage in MEASURED]
    start, processor = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as history, dg.DagsterInstance.local_temp(history) as instance:
        for first, last in _ranges(days):
            job.execute_in_process(
                instance=instance, tags=range_tags(first, last), asset_selection=wanted, run_config=_QUIET
            )
    whole, processor = time.perf_counter() - start, time.process_time() - processor
    parts = {stage: [0.0, 0.0] for stage in (*MEASURED, "checks")}
    for step, spent in clock.spent.items():
        part = parts[TABLES[step].stage if step in TABLES else "checks"]
        part[:] = [before + more for before, more in zip(part, spent, strict=True)]
    own, own_processor = (sum(part[place] for part in parts.values()) for place in (0, 1))
    rows = parts | {"Dagster": [whole - own, processor - own_processor]}
    tables = sorted(((sum(spent), name, spent) for name, spent in clock.spent.items() if name in TABLES), reverse=True)
    return {
        "benchmark": "speed",
        "stages": [_row("stage", name, spent) for name, spent in rows.items()],
        "tables": [_row("table", name, spent) for _, name, spent in tables],
        "seconds": round(whole, 1),
        "gates": [
            {"gate": "seconds of a year's set-based stages and their checks", "measured": round(own, 1),
             "at most": MOST_SECONDS, "holds": own <= MOST_SECONDS},
        ],
    }  # fmt: skip


def _row(what: str, name: str, spent: Sequence[float]) -> dict[str, Any]:
    return {what: name, "seconds": round(spent[0], 1), "processor seconds": round(spent[1], 1)}


def _ranges(days: int) -> Iterator[tuple[date, date]]:
    for offset in range(0, days, DAYS_PER_RUN):
        last = min(offset + DAYS_PER_RUN, days) - 1
        yield FIRST_DAY + timedelta(days=offset), FIRST_DAY + timedelta(days=last)


class _Clock(logging.Handler):
    """Seconds, and processor seconds, that each step's body took: from its start to its first output."""

    def __init__(self) -> None:
        super().__init__()
        self.spent: dict[str, list[float]] = {}
        self._start, self._open = (0.0, 0.0), False
        self.logger = logging.Logger("signals.clock", logging.DEBUG)
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Called by Dagster, in this process, for each event."""
        event = getattr(record, "dagster_meta", {}).get("dagster_event")
        if event is None:
            return
        now = (time.perf_counter(), time.process_time())
        if event.event_type_value == "STEP_START":
            self._start, self._open = now, True
        elif event.event_type_value == "STEP_OUTPUT" and self._open:
            self._open = False
            spent = self.spent.setdefault(event.step_key, [0.0, 0.0])
            spent[:] = [sum_ + end - start for sum_, end, start in zip(spent, now, self._start, strict=True)]
