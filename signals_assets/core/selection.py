"""Stage 3 · analysis. Which sessions are asked about, and how many like it each of them stands for.

Put here: eligibility, strata, the sample under the day's token budget, inclusion weights, the estimate of tokens.
Not here: what is asked and answered (see `core/analysis.py`).
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

CHARACTERS_PER_TOKEN: Final = 3.6
TOKENS_PER_STEP: Final = 12
PROMPT_TOKENS: Final = 2_500
MOST_TOKENS: Final = 120_000
"""A longer session is condensed to this before it is asked about."""
RARE_SESSIONS: Final = 3
"""A type that at most so many of the day's eligible sessions show is rare."""
COUNTED: Final = 0.5
"""Detections below this confidence do not shape the strata."""
KEPT_SHARE: Final = 0.6
"""Most of the budget that the strata kept whole may take; the rest is for a sample of the ordinary sessions."""

STRATA: Final[tuple[str, ...]] = ("failing", "rare", "several", "one", "none")
KEPT: Final = frozenset({"failing", "rare"})


@dataclass(frozen=True, slots=True)
class Selection:
    """Whether a session is asked about, and how many like it it stands for."""

    session_id: str
    eligible: bool
    selected: bool
    reason: Literal["selected", "too_short", "over_budget"]
    stratum: str
    inclusion_weight: float
    estimated_tokens: int


def estimated_tokens(metrics: Mapping[str, Any]) -> int:
    """Estimated input tokens of asking about a session, from its metrics row."""
    text = metrics["characters"] / CHARACTERS_PER_TOKEN + metrics["steps"] * TOKENS_PER_STEP
    return int(min(MOST_TOKENS, PROMPT_TOKENS + text))


def select(
    metrics: Sequence[Mapping[str, Any]],
    detections: Iterable[Mapping[str, Any]],
    *,
    min_steps: int,
    daily_token_budget: int,
    seed: int,
    day: date,
) -> list[Selection]:
    """Which of the day's sessions are asked about, in the order of `metrics`.

    Eligible are sessions with at least `min_steps` agentic steps. Under the budget all of them are taken with weight 1.
    Over it, strata are formed from the detections; failing and rare ones are kept whole while they leave room, from the
    others the same share is drawn, at least one each. The weight is the stratum's size over the number drawn, so
    weighted sums estimate all eligible sessions. Who is drawn depends on seed, day and session only.
    """
    eligible = [row for row in metrics if row["agentic_steps"] >= min_steps]
    strata = _strata(eligible, detections)
    tokens = {row["session_id"]: estimated_tokens(row) for row in metrics}
    members: dict[str, list[str]] = defaultdict(list)
    for row in eligible:
        members[strata[row["session_id"]]].append(row["session_id"])
    for ids in members.values():
        ids.sort(key=lambda session_id: _lot(seed, day, session_id))
    drawn = _draw(members, tokens, daily_token_budget)
    chosen = {session_id for name, ids in members.items() for session_id in ids[: drawn[name]]}
    return [_selection(row["session_id"], strata, members, drawn, chosen, tokens) for row in metrics]


def _selection(
    session_id: str,
    strata: Mapping[str, str],
    members: Mapping[str, Sequence[str]],
    drawn: Mapping[str, int],
    chosen: Collection[str],
    tokens: Mapping[str, int],
) -> Selection:
    stratum = strata.get(session_id)
    if stratum is None:
        return Selection(session_id, False, False, "too_short", "none", 0.0, tokens[session_id])
    weight = len(members[stratum]) / drawn[stratum] if drawn[stratum] else 0.0
    taken = session_id in chosen
    return Selection(
        session_id, True, taken, "selected" if taken else "over_budget", stratum, round(weight, 6), tokens[session_id]
    )


def _strata(eligible: Sequence[Mapping[str, Any]], detections: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    types: dict[str, set[str]] = {row["session_id"]: set() for row in eligible}
    failing: set[str] = set()
    for event in detections:
        known = types.get(event["session_id"])
        if known is None or event["confidence"] < COUNTED:
            continue
        known.add(event["type"])
        if event["severity"] == "high":
            failing.add(event["session_id"])
    sessions_with = Counter(name for names in types.values() for name in names)
    rare = {name for name, n in sessions_with.items() if n <= RARE_SESSIONS}
    return {session_id: _stratum(names, session_id in failing, rare) for session_id, names in types.items()}


def _stratum(types: set[str], failing: bool, rare: set[str]) -> str:
    if failing:
        return "failing"
    if types & rare:
        return "rare"
    return "several" if len(types) > 1 else "one" if types else "none"


def _lot(seed: int, day: date, session_id: str) -> str:
    return hashlib.sha256(f"{seed}\x1f{day}\x1f{session_id}".encode()).hexdigest()


def _draw(members: Mapping[str, Sequence[str]], tokens: Mapping[str, int], budget: int) -> dict[str, int]:
    """How many are drawn from each stratum, so that the drawn ones fit the budget."""
    sizes = {name: sum(tokens[session_id] for session_id in ids) for name, ids in members.items()}
    if sum(sizes.values()) <= budget:
        return {name: len(ids) for name, ids in members.items()}
    if budget <= 0:
        return dict.fromkeys(members, 0)
    kept = sum(size for name, size in sizes.items() if name in KEPT)
    whole = KEPT if kept <= KEPT_SHARE * budget else frozenset[str]()
    free = budget - (kept if whole else 0)
    rest = sum(size for name, size in sizes.items() if name not in whole)
    share = free / rest
    while True:
        drawn = {name: len(ids) if name in whole else max(1, int(share * len(ids))) for name, ids in members.items()}
        spent = sum(tokens[session_id] for name, ids in members.items() for session_id in ids[: drawn[name]])
        if spent <= budget or all(drawn[name] == 1 for name in members if name not in whole):
            return drawn
        share *= 0.95
