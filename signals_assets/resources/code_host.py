"""Door: the code host: files, branches, pull requests of the agent's own repository.

Put here: `CodeHost` and the embedded implementation over a local git repository.
Not here: what a fix says (see `core/tickets.py`).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Draft:
    """A drafted change: branch, title, body and a unified diff."""

    branch: str
    title: str
    body: str
    diff: str


class CodeHost(ABC):
    """Read files, open drafts; never merges, never pushes to a protected branch."""

    name: str

    @abstractmethod
    def files(self) -> list[str]:
        """Paths in the default branch."""

    @abstractmethod
    def read(self, path: str) -> str | None:
        """A file of the default branch, or None."""

    @abstractmethod
    def open_draft(self, draft: Draft) -> str:
        """Open the draft and return its reference; the same branch again returns the first."""

    @abstractmethod
    def check(self) -> str:
        """One harmless call for `signals doctor`."""
