"""How long a month of rates and verdicts takes: the speed section of `signals benchmark correlations`.

Put here: the made-up month and the clock. Not here: what is timed (see `core/correlations.py`).
"""

import resource
import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from signals_assets.core.correlations import friction_rates, release_correlations
from signals_assets.core.user_days import CountedType, Counts
from signals_assets.tables import UserDay, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

FIRST_DAY: Final = date(2026, 1, 5)
TYPES: Final = 20
DAYS: Final = 28
INTENTS: Final = 30
OPEN_RELEASES: Final = 10
SESSIONS_PER_DAY: Final = 1000


def speed(*, seed: int, days: int) -> dict[str, Any]:
    """Seconds for the rates (about 50 slices) and the verdicts (10 open releases) of each of the last `days` days.

    Memory is the highest that this process ever had.
    """
    counts = Counts.of(_table(np.random.default_rng(seed)))
    first = 2 * DAYS - OPEN_RELEASES  # the releases of the last days of two months: open on the last one
    releases = [
        {
            "agent_name": "agent",
            "kind": "version",
            "version": f"1.{number}",
            "released_at": datetime.combine(_date(first + number), datetime.min.time(), UTC),
            "known_on": _date(first + number),
        }
        for number in range(OPEN_RELEASES)
    ]
    types = [CountedType("friction", f"type_{type_:02}", "detector") for type_ in range(TYPES)]
    slices, tested = set(), 0
    clock, processor = time.perf_counter(), time.process_time()
    for day in [_date(2 * DAYS - 1)] * days:  # the busiest day again and again: an upper bound of a month
        rates, _ = friction_rates(day, counts, types=types, audience="team", label=lambda _, word: word)
        slices |= {(row.slice_kind, row.slice) for row in rates}
        rows, _ = release_correlations(day, counts, releases, types=types, audience="team", label=lambda _, word: word)
        tested = len(rows)
    return {
        "days": days,
        "types": TYPES,
        "slices": len(slices),
        "open_releases": OPEN_RELEASES,
        "comparisons_a_day": tested,
        "sessions_per_day": SESSIONS_PER_DAY,
        "seconds": round(time.perf_counter() - clock, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _date(day: int) -> date:
    return FIRST_DAY + timedelta(days=day)


def _table(rng: np.random.Generator) -> "pa.Table":
    """Two months of `user_days`: one cell per user, day and intent."""
    import pyarrow as pa

    length, users = 2 * DAYS, 500
    user, day = rng.integers(0, users, SESSIONS_PER_DAY * length), rng.integers(0, length, SESSIONS_PER_DAY * length)
    intent = user % INTENTS
    cell, place = np.unique((user * length + day) * INTENTS + intent, return_inverse=True)
    sessions = np.bincount(place)
    user, day, intent = cell // INTENTS // length, cell // INTENTS % length, cell % INTENTS
    release = np.maximum(day - user % 5 - (length - OPEN_RELEASES), -1) + 1
    parts = [("session", "all", np.arange(len(cell)), sessions)]
    for type_ in range(TYPES):
        events = rng.binomial(sessions, 0.1)
        chosen = np.nonzero(events)[0]
        parts.append(("friction", f"type_{type_:02}", chosen, events[chosen]))
    rows = np.concatenate([index for _, _, index, _ in parts])
    count = np.concatenate([values for _, _, _, values in parts])
    size = len(rows)
    about = pa.array((day[rows] + (FIRST_DAY - date(1970, 1, 1)).days).astype(np.int32)).cast(pa.date32())

    def words(form: str, values: np.ndarray) -> "pa.Array":
        return pa.array([form.format(code) for code in range(int(values.max()) + 1)]).take(pa.array(values[rows]))

    columns = {
        "day": about, "about_day": about, "known_on": about,
        "user_id": words("user_{:05}", user),
        "agent_version": words("1.{}", np.maximum(release - 1, 0)),
        "agent_model": words("model-{}", user % 5),
        "prompt_version": words("p{}", user % 4),
        "agent_name": pa.array(["agent"] * size),
        "intent": words("intent-{}", intent),
        "source": pa.array(["detector"] * size),
        "kind": pa.array(np.repeat([kind for kind, *_ in parts], [len(index) for _, _, index, _ in parts])),
        "type": pa.array(np.repeat([name for _, name, _, _ in parts], [len(index) for _, _, index, _ in parts])),
        "sessions": pa.array(count.astype(np.int64)), "weight": pa.array(count.astype(np.float64)),
        "events": pa.array(count.astype(np.int64)),
        "high": pa.array(np.zeros(size)), "medium": pa.array(np.zeros(size)),
        "taxonomy_version": pa.array(np.ones(size, dtype=np.int64)),
    }  # fmt: skip
    schema = arrow_schema(UserDay)
    return pa.table(
        [columns.get(name, pa.nulls(size, schema.field(name).type)) for name in schema.names], schema=schema
    )
