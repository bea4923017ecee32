"""Differential privacy for what leaves the house: noise, thresholds, contribution bounds, the budget's arithmetic.

Put here: the mechanism and its accounting, as pure functions.
Not here: thresholds of the other audiences (see `thresholds.py`), where the budget is written down (see
`resources/privacy_budget.py`), which counts are asked for (see `core/correlations.py`).

Unit of privacy: everything one user did on one day; releases add up over a month's days in the budget.

Mechanism: counts of distinct users by pattern, each user in at most D patterns of the day; noise of scale D / eps on
every count that is not zero; shown from a threshold on (Korolova et al., "Releasing Search Queries and Clicks
Privately", WWW 2009). Noise is the discrete Laplace distribution, sampled with integers only (Canonne, Kamath and
Steinke, "The Discrete Gaussian for Differential Privacy", arXiv 2004.00010, algorithm 2), so that no low bit of a
floating-point number tells the count (Mironov, "On Significance of the Least Significant Bits for Differential
Privacy", CCS 2012).

Random bits come from SHAKE-256 over a secret key and the name of the release: a repeat publishes the same numbers and
nobody averages the noise away. The guarantee is as good as the key is secret. The same bits over other counts would
show the difference, so a release is bound to a digest of its counts, and a day whose counts changed is not released
again.
"""

import hashlib
import hmac
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Final

ACTIVE_SHARE: Final = Fraction(1, 5)
"""Part of a release's epsilon that goes to the number of active users; the rest goes to the patterns."""


class Bits:
    """An endless stream of secret, reproducible random bits for one release."""

    def __init__(self, key: bytes, *name: str) -> None:
        """`name`: day, surface and query; other names give independent streams."""
        self._seed = hmac.new(key, "\x1f".join(("privacy noise", *name)).encode(), hashlib.sha256).digest()
        self._block, self._pool, self._left = 0, 0, 0

    def below(self, bound: int) -> int:
        """A uniform integer in [0, bound), by rejection."""
        size = max((bound - 1).bit_length(), 1)
        while (value := self._take(size)) >= bound:
            pass
        return value

    def _take(self, size: int) -> int:
        while self._left < size:
            block = hashlib.shake_256(self._seed + self._block.to_bytes(8, "big")).digest(128)
            self._pool, self._left = (self._pool << 1024) | int.from_bytes(block, "big"), self._left + 1024
            self._block += 1
        self._left -= size
        value = self._pool >> self._left
        self._pool &= (1 << self._left) - 1
        return value


def discrete_laplace(scale: Fraction, bits: Bits) -> int:
    """An integer x with probability proportional to exp(-|x| / scale); integers only."""
    s, t = scale.denominator, scale.numerator
    while True:
        u = bits.below(t)
        if not _bernoulli_exp(u, t, bits):
            continue
        v = 0
        while _bernoulli_exp(1, 1, bits):
            v += 1
        size = (u + t * v) // s
        negative = bool(bits.below(2))
        if not (negative and size == 0):
            return -size if negative else size


def _bernoulli_exp(numerator: int, denominator: int, bits: Bits) -> bool:
    """True with probability exp(-numerator / denominator), for fractions of at most 1."""
    k = 1
    while bits.below(denominator * k) < numerator:
        k += 1
    return k % 2 == 1


def threshold(epsilon: float, delta: float, patterns: int) -> float:
    """From which noisy count a pattern is shown, for continuous noise: 1 + (D / eps) ln(D / (2 delta))."""
    return 1 + patterns / epsilon * math.log(patterns / (2 * delta))


def integer_threshold(epsilon: Fraction, delta: float, patterns: int) -> int:
    """The same for discrete noise: one user's new patterns pass it with probability at most `delta` together.

    P(x >= m) = exp(-m / t) / (1 + exp(-1 / t)) for scale t; needs D P(1 + x >= tau) <= delta. At most 2 D / eps above
    `threshold`.
    """
    t = float(patterns / epsilon)
    return 1 + math.ceil(t * math.log(patterns / (delta * (1 + math.exp(-1 / t)))) + 1e-9)


@dataclass(frozen=True, slots=True)
class Spending:
    """What one release costs."""

    epsilon: Fraction
    delta: float


@dataclass(frozen=True, slots=True)
class Release:
    """One release: its name, what it may cost, and what it is about. Counts are exact: they never leave it."""

    day: date
    surface: str
    query: str
    spending: Spending
    patterns_a_day: int
    counts: Mapping[str, int]
    """Distinct users by pattern after bounding; zeros are left out."""
    active: int
    """Distinct users of the day."""

    @property
    def key(self) -> str:
        """Its name in the ledger."""
        return f"{self.day.isoformat()}:{self.surface}:{self.query}"

    def digest(self, key: bytes) -> str:
        """A keyed digest of everything the noise is put on."""
        told = f"{sorted(self.counts.items())}|{self.active}|{self.spending}|{self.patterns_a_day}"
        return hmac.new(key, f"privacy digest\x1f{self.key}\x1f{told}".encode(), hashlib.sha256).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Noisy:
    """What a release shows: noisy distinct users by pattern, and of the day. All of it may be published."""

    counts: Mapping[str, int]
    active: int
    threshold: int
    pattern_scale: Fraction
    active_scale: Fraction


def bounded(met: Iterable[tuple[str, str]], patterns_a_day: int, key: bytes, day: date) -> dict[str, int]:
    """Distinct users by pattern, each user in at most `patterns_a_day` of them: chosen by a keyed hash, not by count.

    met: (user, pattern) pairs of one day. What one user adds depends on that user alone.
    """
    by_user: dict[str, set[str]] = {}
    for user, pattern in met:
        by_user.setdefault(user, set()).add(pattern)
    counts: dict[str, int] = {}
    for user, patterns in by_user.items():

        def place(pattern: str, user: str = user) -> bytes:
            return hmac.new(key, f"privacy choice\x1f{day}\x1f{user}\x1f{pattern}".encode(), hashlib.sha256).digest()

        for pattern in sorted(patterns, key=place)[:patterns_a_day]:
            counts[pattern] = counts.get(pattern, 0) + 1
    return counts


def noisy(release: Release, key: bytes) -> Noisy:
    """The numbers of a release, the same ones every time."""
    name = (release.day.isoformat(), release.surface, release.query)
    for_active = release.spending.epsilon * ACTIVE_SHARE
    for_patterns = release.spending.epsilon - for_active
    scale, active_scale = release.patterns_a_day / for_patterns, 1 / for_active
    least = integer_threshold(for_patterns, release.spending.delta, release.patterns_a_day)
    found = {
        pattern: count + discrete_laplace(scale, Bits(key, *name, "pattern", pattern))
        for pattern, count in sorted(release.counts.items())
        if count > 0
    }
    active = release.active + discrete_laplace(active_scale, Bits(key, *name, "active"))
    return Noisy({p: n for p, n in found.items() if n >= least}, max(active, 1), least, scale, active_scale)


def quantile(scale: Fraction, tail: float) -> int:
    """The least m with P(|noise| > m) <= tail."""
    t = float(scale)
    return max(0, math.ceil(t * math.log(2 / (tail * (1 + math.exp(-1 / t)))) - 1 - 1e-9))


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent on a month's days, and what was."""

    limit: Fraction
    spent: Fraction = Fraction(0)
    delta: float = 0.0

    def after(self, spending: Spending) -> "Budget | None":
        """The budget with one more release; None where that would be over the limit. Epsilons and deltas add up."""
        spent = self.spent + spending.epsilon
        return None if spent > self.limit else Budget(self.limit, spent, self.delta + spending.delta)


def exact(number: float) -> Fraction:
    """A setting as the fraction it was written as (0.1 is a tenth)."""
    return Fraction(str(number))
