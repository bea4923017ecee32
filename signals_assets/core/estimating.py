"""Stage 3 · before anything is asked: the tokens that asking about sessions takes, and what they cost.

Put here: the size of a request (really condensed), totals from a sample with their interval, prices by tier.
Not here: how a session is condensed (see `condensing.py`), prices of models (see `prices.py`), what was really paid
(see `cost.py`).

A sample is drawn by chance and its total computed in proportion to what the metrics of all sessions say (a ratio
estimate, Cochran, Sampling Techniques, 1977, chapter 6), for the sizes of sessions differ by orders of magnitude. How
long answers are nobody knows beforehand: that number is an assumption and is given by the caller.
"""

import hashlib
import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from signals_assets.core.asking import instructions
from signals_assets.core.condensing import condense, estimate
from signals_assets.core.prices import TIERS, Price, Tier, price, table
from signals_assets.core.request_lines import MARGIN_TOKENS
from signals_assets.core.selection import PROMPT_TOKENS
from signals_assets.core.sessions import Session, from_json
from signals_assets.core.taxonomy import Taxonomy
from signals_assets.prompts import Prompt

ASSUMED_OUTPUT: Final = 1_000
"""Output tokens of an answer, reasoning included, where none was measured. An assumption, said beside every price."""
UNLIMITED: Final = 10**9
Z: Final = 1.96
"""Of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the size of a request depends on besides its session."""

    shared: int
    """Tokens of the instructions, which every request begins with."""
    session_tokens: int
    """Most tokens of one session."""
    window: int
    """Most input tokens of one request."""


@dataclass(frozen=True, slots=True)
class SizeChunk:
    """Some sessions, parsed or as canonical JSON."""

    sessions: tuple[Session | str, ...]
    reading: Reading


@dataclass(frozen=True, slots=True)
class Size:
    """Estimated input tokens of asking about one session, instructions included."""

    whole: int
    """Of the uncut session in one request."""
    sent: int
    """Of what is sent, over all its requests."""
    requests: int


@dataclass(frozen=True, slots=True)
class Range:
    """An estimated total and its 95 % interval; all three are equal where everything was counted."""

    value: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What asking about some sessions takes."""

    sessions: int
    whole: Range
    sent: Range
    requests: Range
    counted: int
    """Sessions that were really condensed; the rest is estimated from them."""

    @property
    def saved(self) -> float:
        """The share of input tokens that condensing saves."""
        return 1 - self.sent.value / self.whole.value if self.whole.value else 0.0


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars in one tier: the input, the output as assumed, and both with every answer as long as it may be."""

    tier: Tier
    input: float
    output: float
    most: float

    @property
    def total(self) -> float:
        """Input and assumed output."""
        return self.input + self.output


def reading(prompt: Prompt, taxonomy: Taxonomy, *, session_tokens: int, window: int) -> Reading:
    """How requests of this prompt and taxonomy are made."""
    return Reading(estimate(instructions(prompt, taxonomy)), session_tokens, window)


def size_chunk(chunk: SizeChunk) -> list[Size | None]:
    """The size of each session's requests, in order; None for one that no request can be made of."""
    return [_size(session, chunk.reading) for session in chunk.sessions]


def _size(given: Session | str, how: Reading) -> Size | None:
    try:
        session = from_json(given) if isinstance(given, str) else given
        window = how.window - how.shared - MARGIN_TOKENS
        parts = condense(session, tokens=min(how.session_tokens, window), window=window)
        whole = condense(session, tokens=UNLIMITED, window=UNLIMITED)
    except Exception:  # noqa: BLE001 - one hostile session must not stop an estimate
        return None
    return Size(
        whole=sum(part.tokens for part in whole) + how.shared,
        sent=sum(part.tokens + how.shared for part in parts),
        requests=len(parts),
    )


def drawn(ids: Iterable[str], count: int, seed: int) -> set[str]:
    """At most so many of the ids, by chance that the seed and the ids alone decide."""

    def lot(one: str) -> bytes:
        return hashlib.sha256(f"{seed}\x1f{one}".encode(errors="surrogatepass")).digest()

    return set(heapq.nsmallest(count, ids, key=lot))


def outlook(sizes: Sequence[tuple[Size, int]], hints: Sequence[int], *, session_tokens: int) -> Outlook:
    """The totals of all sessions, from the sizes of those that were condensed.

    hints: what the metrics of each session say of its uncut size (`selection.estimated_tokens`). Each of `sizes` stands
    beside its own. What is sent of a session follows its size up to what it is condensed to.
    """
    most = PROMPT_TOKENS + session_tokens
    beside = [hint for _, hint in sizes]
    capped = [min(hint, most) for hint in beside]
    return Outlook(
        sessions=len(hints),
        whole=_total([size.whole for size, _ in sizes], beside, hints),
        sent=_total([size.sent for size, _ in sizes], capped, [min(hint, most) for hint in hints]),
        requests=_total([size.requests for size, _ in sizes], [1] * len(sizes), [1] * len(hints)),
        counted=len(sizes),
    )


def _total(found: Sequence[int], beside: Sequence[int], known: Sequence[int]) -> Range:
    """The ratio estimate of a total over all sessions, with the interval of sampling without replacement."""
    count, seen, sessions = len(found), sum(found), len(known)
    if count >= sessions or not count:
        return Range(seen, seen, seen)
    ratio = seen / max(sum(beside), 1)
    off = sum((value - ratio * hint) ** 2 for value, hint in zip(found, beside, strict=True)) / max(count - 1, 1)
    error = sessions * math.sqrt((1 - count / sessions) * off / count)
    value = ratio * sum(known)
    return Range(round(value), max(seen, round(value - Z * error)), round(value + Z * error))


def costs(
    model: str,
    what: Outlook,
    *,
    output_tokens: int,
    most_output_tokens: int,
    overrides: Mapping[str, Price] | None = None,
    tiers: Sequence[Tier] = TIERS,
) -> list[Cost]:
    """What it costs in each tier whose price is known; none of an unknown model. Nothing is hoped for from caches.

    `output_tokens` is what an answer is assumed to take, `most_output_tokens` what it may take. Requests that are
    repeated, and refused texts that are worded anew, come on top.
    """
    requests = max(what.requests.value, 1)
    each = what.sent.value // requests
    found = []
    for tier in tiers:
        known = [
            price(model, tier, input_tokens=each, output_tokens=written, overrides=overrides)
            for written in (0, output_tokens, most_output_tokens)
        ]
        if what.requests.value and None not in known:
            read, usual, most = (cast("float", one) * requests for one in known)
            found.append(Cost(tier, read, usual - read, most))
    return found


def tiers_of(model: str) -> tuple[Tier, ...]:
    """The tiers in which the packaged table prices a model; none of one that it does not know."""
    return tuple(tier for tier in TIERS if price(model, tier, input_tokens=0, output_tokens=0) is not None)


def models() -> tuple[str, ...]:
    """All models of the packaged table."""
    return tuple(table())
