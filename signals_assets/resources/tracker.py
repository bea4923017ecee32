"""Door: the ticket tracker.

Put here: `Tracker` and the embedded implementation: tickets as Markdown files.
Not here: when and what to file (see `core/tickets.py`), the two-phase ledger (see `assets/tickets.py`).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class TicketText:
    """What is filed: rendered from templates, never from a session's words."""

    key: str
    title: str
    body: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TicketAtTracker:
    """What the tracker knows of a ticket."""

    key: str
    reference: str
    state: Literal["open", "closed"]
    body_hash: str


class Tracker(ABC):
    """Find, create, comment, reopen, close; every verb is safe to repeat."""

    name: str

    @abstractmethod
    def find(self, key: str) -> TicketAtTracker | None:
        """The ticket with this key, or None."""

    @abstractmethod
    def create(self, ticket: TicketText) -> TicketAtTracker:
        """Create it; the same key again returns the first."""

    @abstractmethod
    def comment(self, key: str, comment_id: str, text: str) -> None:
        """Add a comment once: the same `comment_id` again does nothing."""

    @abstractmethod
    def set_state(self, key: str, state: Literal["open", "closed"]) -> None:
        """Close or reopen it; its present state again does nothing."""

    @abstractmethod
    def check(self) -> str:
        """One harmless call for `signals doctor`."""
