"""Benchmark · loop, fixes: whether the verdict on a shipped fix is right, looked at every day until it is given.

Put here: `fixes`, seeded worlds in which a ticket's fix works, does nothing, does harm, or too few run it to tell.
Not here: the verdict (see `core/outcomes.py`), cohorts (see `core/cohorts.py`), users (see `simulation/counts.py`).

The ticket is filed for the type that looked worst in its week, so that what follows would look better without any fix
(regression to the mean). The fix ships four days later, users switch within about a week, and its verdict is asked for
daily for three weeks, in half of the worlds with days that are better or worse for everybody.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np

from signals_assets.core.abstractions import wilson
from signals_assets.core.cohorts import diagnosed_users, fix_effect
from signals_assets.core.outcomes import Effect, fix_outcomes
from signals_assets.core.taxonomy import seed as taxonomy_seed
from signals_assets.core.user_days import CountedType, Counts, types_counted
from signals_assets.core.wording import Wording
from signals_assets.simulation.counts import Day, Population, adopted, counts_of, days_from, lived
from signals_assets.tables import Kind, TicketRow

FIRST: Final = date(2026, 3, 2)
FILED: Final = 20
RELEASED: Final = 24
LOOKS: Final = 21
USERS: Final = 300
CHANGE: Final[Mapping[str, float]] = {"works": 0.4, "does nothing": 1.0, "harms": 1.6}
"""What is left of the friction on the fixed version."""
VOLUMES: Final[Mapping[str, tuple[int, ...]]] = {"enough": (200, 500, 1000), "too little": (12, 25)}
RATES: Final = (0.05, 0.25)
DAY_SPREAD: Final = 0.1
MOST_WRONG: Final = 0.05
RIGHT: Final[Mapping[str, frozenset[str]]] = {
    "works": frozenset({"improved"}),
    "does nothing": frozenset({"unchanged"}),
    "harms": frozenset({"regressed"}),
}


@dataclass(frozen=True, slots=True)
class Fix:
    """A planted fix: what it does, and on how much traffic."""

    does: str
    data: str
    sessions_a_day: int
    spread: float


def fixes(seeds: Iterable[int], each: Callable[..., Iterable[list[dict[str, Any]]]] = map) -> dict[str, Any]:
    """A fix of every sort per seed: the first decisive verdict, its day, and which were wrong.

    `each` maps over the seeds (a pool's `map` uses more than one core).
    """
    rows = [row for of_seed in each(_of_seed, seeds) for row in of_seed]
    decided = [row for row in rows if row["verdict"] != "inconclusive"]
    wrong = [row for row in rows if row["wrong"]]
    low, high = wilson(len(wrong), len(rows))
    return {
        "fixes": len(rows),
        "decided": len(decided),
        "wrong": len(wrong),
        "wrong_share": round(len(wrong) / len(rows), 4),
        "wrong_low": round(low, 4),
        "wrong_high": round(high, 4),
        "outside_the_diagnosis": sum(row["cohort"] != "all users" for row in decided),
        "by_sort": [
            {
                "does": does,
                "data": data,
                "fixes": len(of_sort),
                "verdicts": dict(Counter(row["verdict"] for row in of_sort).most_common()),
                "median_days": float(
                    np.median([row["days"] for row in of_sort if row["days"] is not None] or [np.nan])
                ),
            }
            for does in CHANGE
            for data in VOLUMES
            if (of_sort := [row for row in rows if (row["does"], row["data"]) == (does, data)])
        ],
        "gates": [
            {
                "gate": "fixes: verdicts that are wrong and confident",
                "measured": round(len(wrong) / len(rows), 4),
                "at most": MOST_WRONG,
                "holds": len(wrong) <= MOST_WRONG * len(rows),
            }
        ],
    }


def _of_seed(seed: int) -> list[dict[str, Any]]:
    return [one(fix, seed) for fix in planned(seed)]


def planned(seed: int) -> list[Fix]:
    """One fix of each sort on each amount of data, volumes and shocks by turns."""
    return [
        Fix(does, data, volumes[(seed + place) % len(volumes)], DAY_SPREAD * ((seed + place) % 2))
        for place, does in enumerate(CHANGE)
        for data, volumes in VOLUMES.items()
    ]


def one(fix: Fix, seed: int) -> dict[str, Any]:
    """Live one world and ask for its verdict every day until it is decisive."""
    rng = np.random.default_rng([seed, *fix.does.encode(), fix.sessions_a_day])
    types = [item for item in types_counted(taxonomy_seed()) if item.source == "detector"]
    counts, aimed_at = _lived(fix, types, rng)
    release = {
        "agent_name": "agent", "kind": "version", "version": "2.0", "known_on": _day(RELEASED),
        "released_at": datetime.combine(_day(RELEASED), datetime.min.time(), UTC),
    }  # fmt: skip
    wording, found, number = Wording(taxonomy_seed()), None, None
    for number in range(1, LOOKS + 1):
        day = _day(RELEASED + number - 1)
        view = counts.as_of(day)
        ticket = _ticket(day, aimed_at)
        found = fix_outcomes(day, [ticket], _compare(view, types, aimed_at), releases=[release], wording=wording)[0]
        if found.verdict != "inconclusive":
            break
    assert found is not None
    decided = found.verdict != "inconclusive"
    return {
        "seed": seed,
        "does": fix.does,
        "data": fix.data,
        "sessions_a_day": fix.sessions_a_day,
        "spread": fix.spread,
        "verdict": found.verdict,
        "days": number if decided else None,
        "cohort": found.cohort,
        "wrong": decided and found.verdict not in RIGHT[fix.does],
    }


def _lived(fix: Fix, types: list[CountedType], rng: np.random.Generator) -> tuple[Counts, CountedType]:
    """All days; the type that the fix is aimed at is the friction with the highest rate in its ticket's week."""
    rates = [float(rng.uniform(*RATES)) if item.kind == "friction" else 0.06 for item in types]
    population = Population.drawn(rng, USERS, rates)
    switch = RELEASED + adopted(rng, USERS)
    days: list[Day] = []
    place = 0
    for number, day in enumerate(days_from(FIRST, RELEASED + LOOKS)):
        if number == FILED + 1:
            week = days[-7:]
            met = np.sum([one_day.met.sum(axis=1) for one_day in week], axis=0)
            above = met / np.maximum(np.array(rates), 1e-9) * [item.kind == "friction" for item in types]
            place = int(above.argmax())  # the worst against its own rate: the most favoured by chance
        fixed = number >= switch
        factor = np.ones((len(types), USERS))
        factor[place, fixed] = CHANGE[fix.does]
        version = np.where(fixed, "2.0", "1.0")
        days.append(lived(rng, population, day, fix.sessions_a_day, version, factor, fix.spread))
    return counts_of(days, [(item.kind, item.type) for item in types]), types[place]


def _compare(view: Counts, types: list[CountedType], aimed_at: CountedType) -> Any:
    known = {(item.kind, item.type): item for item in types}
    inside = diagnosed_users(view, aimed_at, _day(FILED), 7)

    def compare(kind: Kind, type_: str, versions: tuple[str, ...], ticket: TicketRow) -> Effect | None:
        item = known.get((kind, type_))
        if item is None or ticket.released_on is None:
            return None
        return fix_effect(view, item, versions, ticket.released_on, diagnosed=inside, filed_on=ticket.filed_on)

    return compare


def _ticket(day: date, aimed_at: CountedType) -> TicketRow:
    return TicketRow(
        day=day,
        ticket_key="SIG-00000001",
        cause_id="cause_1",
        type=aimed_at.type,
        component="unknown",
        generation=1,
        state="released",
        filed_on=_day(FILED),
        reference="",
        released_in="2.0",
        released_on=_day(RELEASED),
        ledger_seq=0,
    )


def _day(number: int) -> date:
    return FIRST + timedelta(days=number)
