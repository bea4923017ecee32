"""Door: where raw sessions come from.

Put here: `SessionSource` and the embedded implementation over files and folders.
Not here: formats (see `core/readers`), pseudonyms and segments (see `core/sessions.py`, `core/identity.py`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import date

from signals_assets.core.readers import Rejected
from signals_assets.core.sessions import Session


class SessionSource(ABC):
    """Sessions by day, streamed."""

    @abstractmethod
    def days(self) -> list[date]:
        """UTC days that have sessions, ascending. Cheap after the first call (an index is kept)."""

    @abstractmethod
    def sessions(self, day: date) -> Iterator[Session | Rejected]:
        """The sessions (segments) that start on `day`, in a stable order, and what could not be read.

        Records that cannot be dated (unreadable ones) come with the day of their file.
        """
