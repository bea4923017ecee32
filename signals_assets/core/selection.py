"""Stage 3 · analysis. Which sessions are asked about, and how many like it each of them stands for.

Put here: eligibility, strata, the sample under the day's token budget, inclusion weights, the estimate of tokens.
Not here: what is asked and answered (see `core/analysis.py`).

The sample is drawn so that the chance of every session is known before anything is drawn; its weight is one over that
chance, so weighted sums estimate all eligible sessions without bias (Horvitz and Thompson 1952). Where sessions are
taken in random order until the budget is used up nobody knows that chance, for cheap draws go on for longer than dear
ones; over hundreds of sessions that bias is too small to measure, but it has no bound.

- Chances are the same within a stratum and follow from the tokens of the strata and the budget alone.
- The draw is systematic: sessions stand in a row by stratum and size, each as wide as its chance, and a comb with teeth
  of distance one and a random start picks those that it hits. Neighbours are alike, so every start costs nearly the
  same; the dearest of all starts is computed, and chances are lowered until it fits. So no draw exceeds the budget,
  and none is cut or repeated, which would change the chances.
- Sessions that became known later are drawn by themselves, from what the draws before them left: a redo of a day asks
  about nobody else in the place of those who were asked already.

`signals benchmark sampling` measures bias, coverage of intervals, cost, and other ways to draw.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

CHARACTERS_PER_TOKEN: Final = 3.6
TOKENS_PER_STEP: Final = 12
PROMPT_TOKENS: Final = 2_500
MOST_TOKENS: Final = 120_000
"""A longer session is condensed to this before it is asked about."""
RARE_SESSIONS: Final = 3
"""A type that at most so many of the day's eligible sessions show is rare."""
COUNTED: Final = 0.5
"""Detections below this confidence do not shape the strata."""
KEPT_SHARE: Final = 0.5
"""Most of the budget that the strata kept whole may take, unless an even share is more; they too are sampled then."""
LATE_SHARE: Final = 0.05
"""Part of what is left that a sample leaves to sessions that become known later."""

STRATA: Final[tuple[str, ...]] = ("rare", "failing", "several", "one", "none")
KEPT: Final = ("rare", "failing")
"""Strata that are taken whole while they leave room for the others, the first of them first."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Selection:
    """Whether a session is asked about, and how many like it it stands for."""

    session_id: str
    eligible: bool
    selected: bool
    reason: Literal["selected", "too_short", "over_budget"]
    stratum: str
    inclusion_weight: float
    """One over the chance of being drawn, for the drawn and for those who were not; 0 where there was no chance."""
    estimated_tokens: int


def estimated_tokens(metrics: Mapping[str, Any], most: int = MOST_TOKENS) -> int:
    """Estimated input tokens of asking about a session, from its metrics row; `most`: what it is condensed to."""
    text = metrics["characters"] / CHARACTERS_PER_TOKEN + metrics["steps"] * TOKENS_PER_STEP
    return int(min(most, PROMPT_TOKENS + text))


def select(
    metrics: Sequence[Mapping[str, Any]],
    detections: Iterable[Mapping[str, Any]],
    *,
    min_steps: int,
    daily_token_budget: int,
    seed: int,
    day: date,
    most_tokens: int = MOST_TOKENS,
) -> list[Selection]:
    """Which of the day's sessions are asked about, in the order of `metrics`.

    Eligible are sessions with at least `min_steps` agentic steps. Under the budget all of them are taken with weight 1.
    Over it, strata are formed from the detections; rare and failing ones are kept whole while they leave room, all
    others have the same chance. The estimated tokens of the drawn never exceed the budget. Who is drawn depends on
    seed, day and the sessions, not on their order; sessions known later change nothing about those known before.
    """
    tokens = {row["session_id"]: estimated_tokens(row, most_tokens) for row in metrics}
    found = _types(detections)
    seen: Counter[str] = Counter()
    strata: dict[str, str] = {}
    chances: dict[str, float] = {}
    drawn: set[str] = set()
    left = float(daily_token_budget)
    for known_on, group in _by_arrival(metrics, min_steps):
        of_group = _strata(group, found, seen)
        row = _in_a_row(group, of_group, tokens, f"{seed}\x1f{day}")
        sizes = np.array([tokens[session_id] for session_id in row], dtype=np.float64)
        whole = sizes.sum() <= left
        room = left if whole else (1 - LATE_SHARE) * left
        chance = _fitting(sizes, _chances(sizes, [of_group[session_id] for session_id in row], room), room)
        hit = _drawn(chance, _lot(f"{seed}\x1f{day}\x1f{known_on}"))
        left -= float(sizes.sum()) if whole else room
        strata |= of_group
        chances |= zip(row, chance.tolist(), strict=True)
        drawn |= {session_id for session_id, taken in zip(row, hit, strict=True) if taken}
    return [_selection(row["session_id"], strata, chances, drawn, tokens) for row in metrics]


def _selection(
    session_id: str,
    strata: Mapping[str, str],
    chances: Mapping[str, float],
    drawn: set[str],
    tokens: Mapping[str, int],
) -> Selection:
    stratum = strata.get(session_id)
    if stratum is None:
        return Selection(session_id, False, False, "too_short", "none", 0.0, tokens[session_id])
    chance, taken = chances[session_id], session_id in drawn
    weight = round(1 / chance, 6) if chance else 0.0
    return Selection(
        session_id, True, taken, "selected" if taken else "over_budget", stratum, weight, tokens[session_id]
    )


# --- strata -----------------------------------------------------------------------------------------------------


def _by_arrival(metrics: Sequence[Mapping[str, Any]], min_steps: int) -> list[tuple[date, list[str]]]:
    """The eligible sessions by the day on which they became known, earliest first."""
    groups: dict[date, list[str]] = defaultdict(list)
    for row in metrics:
        if row["agentic_steps"] >= min_steps:
            groups[row["known_on"]].append(row["session_id"])
    return sorted(groups.items())


def _types(detections: Iterable[Mapping[str, Any]]) -> dict[str, tuple[set[str], bool]]:
    """Per session with detections the types that it shows, and whether one of them is severe."""
    found: dict[str, tuple[set[str], bool]] = {}
    for event in detections:
        if event["confidence"] >= COUNTED:
            types, failing = found.get(event["session_id"], (set[str](), False))
            types.add(event["type"])
            found[event["session_id"]] = (types, failing or event["severity"] == "high")
    return found


def _strata(group: Sequence[str], found: Mapping[str, tuple[set[str], bool]], seen: Counter[str]) -> dict[str, str]:
    """The stratum of each session of a group; `seen` counts sessions by type, of the groups before it as well."""
    nothing = (set[str](), False)
    shown = {session_id: found.get(session_id, nothing) for session_id in group}
    seen.update(name for types, _ in shown.values() for name in types)
    rare = {name for name, sessions in seen.items() if sessions <= RARE_SESSIONS}
    return {session_id: _stratum(types, failing, rare) for session_id, (types, failing) in shown.items()}


def _stratum(types: set[str], failing: bool, rare: set[str]) -> str:
    if types & rare:
        return "rare"
    if failing:
        return "failing"
    return "several" if len(types) > 1 else "one" if types else "none"


# --- the draw ---------------------------------------------------------------------------------------------------


def _lot(what: str) -> float:
    """A number from 0 to below 1 that depends on the words alone."""
    return int.from_bytes(hashlib.sha256(what.encode()).digest()[:6], "big") / 2**48


def _in_a_row(group: Sequence[str], strata: Mapping[str, str], tokens: Mapping[str, int], salt: str) -> list[str]:
    """Sessions by stratum, and by size in turns rising and falling, so that neighbours are alike everywhere."""
    place = {name: index for index, name in enumerate(STRATA)}

    def order(session_id: str) -> tuple[int, int, float]:
        stratum = place[strata[session_id]]
        size = tokens[session_id]
        return stratum, -size if stratum % 2 else size, _lot(f"{salt}\x1f{session_id}")

    return sorted(group, key=order)


def _chances(sizes: Floats, strata: Sequence[str], budget: float) -> Floats:
    """The chance of each session to be drawn, so that the expected tokens are the budget.

    Kept strata come first: whole, or the share that the room for them allows, but never less than an even share. The
    others share what is left evenly.
    """
    cost = dict.fromkeys(STRATA, 0.0)
    for name, size in zip(strata, sizes.tolist(), strict=True):
        cost[name] += size
    left, remaining, room = max(budget, 0.0), sum(cost.values()), KEPT_SHARE * max(budget, 0.0)
    share: dict[str, float] = {}
    for name in KEPT:
        if cost[name]:
            share[name] = min(1.0, max(left / remaining, room / cost[name]))
            spent = share[name] * cost[name]
            left, remaining, room = left - spent, remaining - cost[name], max(room - spent, 0.0)
    even = min(1.0, max(left, 0.0) / remaining) if remaining > 0 else 1.0
    return np.array([share.get(name, even) for name in strata], dtype=np.float64)


def _fitting(sizes: Floats, chances: Floats, budget: float) -> Floats:
    """The chances, lowered evenly where the dearest start of the comb would exceed the budget.

    Sessions that are certain stay so. One that does not fit beside them has no chance.
    """
    certain = float(sizes[chances >= 1].sum())
    fitting = np.where((chances < 1) & (sizes + certain > budget), 0.0, chances)
    while (worst := _dearest(sizes, fitting)) > budget:
        fitting = np.where(fitting < 1, fitting * min(budget / worst, 0.99), fitting)
    return fitting


def _dearest(sizes: Floats, chances: Floats) -> float:
    """Tokens of the dearest of all starts.

    A session is drawn by the starts between the fractions of its two ends: the cost of a start is a sum of steps.
    """
    open_ = chances < 1
    ends = np.cumsum(chances[open_])
    starts = np.concatenate([[0.0], ends])[:-1]
    part = sizes[open_]
    order = np.argsort(np.concatenate([ends % 1, starts % 1]), kind="stable")  # where one ends, the next begins
    steps = np.concatenate([-part, part])[order]
    first = part[np.floor(ends) > np.floor(starts)].sum()
    return float(sizes[~open_].sum() + first + np.cumsum(steps).max(initial=0.0))


def _drawn(chances: Floats, start: float) -> NDArray[np.bool_]:
    """Which sessions a comb with this start hits: systematic sampling with unequal chances (Madow 1949)."""
    drawn = chances >= 1
    ends = np.floor(np.cumsum(np.where(drawn, 0.0, chances)) - start)
    return np.asarray(drawn | (np.diff(ends, prepend=np.floor(-start)) > 0))
