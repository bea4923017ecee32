"""Coverage: what a stage was asked, and what became of every item.

Put here: the one record that every stage reports, and how records add up.
Not here: thresholds for people (see `core/barrier/thresholds.py`) or Dagster metadata (see `metadata.py`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Coverage:
    """Counts of one stage: `asked` always equals the sum of the five other groups (a test holds it).

    refused: the other side said no.  rejected: our own rules said no (contract, barrier, caps).
    skipped: not attempted, by reason.  failed: attempted and broke.
    """

    asked: int = 0
    answered: int = 0
    refused: int = 0
    rejected: int = 0
    failed: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)
    """Further counts that do not partition `asked`, e.g. sessions without a user."""

    @property
    def share(self) -> float | None:
        """Answered over asked, or None when nothing was asked."""
        return self.answered / self.asked if self.asked else None

    def __add__(self, other: "Coverage") -> "Coverage":
        """Add two records of the same stage."""
        return Coverage(
            asked=self.asked + other.asked,
            answered=self.answered + other.answered,
            refused=self.refused + other.refused,
            rejected=self.rejected + other.rejected,
            failed=self.failed + other.failed,
            skipped=dict(Counter(self.skipped) + Counter(other.skipped)),
            notes=dict(Counter(self.notes) + Counter(other.notes)),
        )

    def as_dict(self) -> dict[str, int]:
        """Flat counts, `skipped.<reason>` and `notes.<what>` spelled out: for metadata, JSON and tables."""
        flat = {
            "asked": self.asked,
            "answered": self.answered,
            "refused": self.refused,
            "rejected": self.rejected,
            "failed": self.failed,
        }
        flat |= {f"skipped.{reason}": n for reason, n in sorted(self.skipped.items())}
        flat |= {f"notes.{what}": n for what, n in sorted(self.notes.items())}
        return flat
