"""The privacy budget of the audience `public`, in the ledger.

Put here: paying for a release before it is computed, once, and refusing it when the month has nothing left.
Not here: noise and the arithmetic (see `core/barrier/differential.py`).

Entries of kind `privacy_budget` (date, surface, query, epsilon, delta, cumulative of the month, digest) and
`privacy_refused`; append-only. A refused day stays refused: its rows are published as absent.
"""

from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from typing import Final, Literal

from signals_assets.core.barrier.differential import Budget, Release, exact
from signals_assets.resources.ledger import Entry, Ledger
from signals_assets.settings import PublicSettings

CHARGED: Final = "privacy_budget"
REFUSED: Final = "privacy_refused"

Answer = Literal["charged", "refused", "changed"]


def charge(ledger: Ledger, release: Release, settings: PublicSettings, key: bytes) -> Answer:
    """Pay for a release in one transaction.

    charged: paid now or before, for the same counts.  refused: over the month's budget.  changed: paid before for
    other counts (late sessions, other settings); the same noise over both would show what changed.
    """
    digest = release.digest(key)
    with ledger.transaction() as writer:
        paid = writer.find(CHARGED, release.key)
        if paid is not None:
            return "charged" if paid.payload["digest"] == digest else "changed"
        if writer.find(REFUSED, release.key) is not None:
            return "refused"
        budget = spent(writer.entries([CHARGED]), release.day, settings).after(release.spending)
        payload = {
            "day": release.day.isoformat(),
            "surface": release.surface,
            "query": release.query,
            "epsilon": str(release.spending.epsilon),
            "delta": release.spending.delta,
        }
        if budget is None:
            writer.append(REFUSED, release.key, payload)
            return "refused"
        cumulative = {"cumulative_epsilon": str(budget.spent), "cumulative_delta": budget.delta, "digest": digest}
        writer.append(CHARGED, release.key, payload | cumulative)
        return "charged"


def spent(entries: Sequence[Entry], day: date, settings: PublicSettings) -> Budget:
    """What the days of the day's month have spent, against the limit."""
    budget = Budget(exact(settings.monthly_epsilon))
    for entry in entries:
        if entry.payload["day"][:7] == day.isoformat()[:7]:
            budget = Budget(
                budget.limit,
                budget.spent + Fraction(entry.payload["epsilon"]),
                budget.delta + entry.payload["delta"],
            )
    return budget


def was_refused(ledger: Ledger, surface: str, day: date) -> bool:
    """Whether a release of the surface's day was refused for want of budget."""
    return any(entry.key.startswith(f"{day.isoformat()}:{surface}:") for entry in ledger.entries([REFUSED]))
