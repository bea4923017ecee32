"""Door: the ticket tracker.

Put here: `Tracker` and the embedded implementation: tickets as Markdown files.
Not here: when and what to file (see `core/tickets.py`), the two-phase ledger (see `resources/filing.py`).
"""

import fcntl
import hashlib
import os
import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class TicketText:
    """What is filed: rendered from templates, never from a session's words. Labels are `name:value`."""

    key: str
    title: str
    body: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TicketAtTracker:
    """What the tracker knows of a ticket. `body_hash` is the SHA-256 of the body it was created with."""

    key: str
    reference: str
    state: Literal["open", "closed"]
    body_hash: str


class TrackerError(RuntimeError):
    """The tracker refused: names the ticket's key and what to do."""


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


_KEY: Final = re.compile(r"SIG-[0-9A-F]{8}")


class FileTracker(Tracker):
    """Tickets as Markdown files `SIG-XXXXXXXX.md` in a folder, with front matter between two `---` lines.

    A person closes a ticket by writing `state: closed` there. Files appear and change whole: readers never see half of
    one, and two writers take turns.
    """

    name = "files"

    def __init__(self, folder: Path) -> None:
        """Keep tickets in `folder`, which is made at the first ticket."""
        self._folder = folder

    def find(self, key: str) -> TicketAtTracker | None:
        """The ticket in the file of this key, or None."""
        path = self._path(key)
        if not path.is_file():
            return None
        fields = _front_matter(path.read_text(encoding="utf-8"))
        state: Literal["open", "closed"] = "closed" if fields.get("state") == "closed" else "open"
        return TicketAtTracker(key, f"{self._folder.name}/{path.name}", state, fields.get("body_hash", ""))

    def create(self, ticket: TicketText) -> TicketAtTracker:
        """Write the file unless the key has one."""
        path = self._path(ticket.key)
        with self._turn():
            if not path.exists():
                self._write(path, _rendered(ticket))
        found = self.find(ticket.key)
        if found is None:
            raise TrackerError(f"ticket {ticket.key}: its file vanished while it was written; file it again")
        return found

    def comment(self, key: str, comment_id: str, text: str) -> None:
        """Append the comment under a marker with its id."""
        marker = f"<!-- comment {_one_line(comment_id).replace('--', '')} -->"
        with self._turn():
            path, content = self._existing(key)
            if marker not in content:
                self._write(path, f"{content.rstrip()}\n\n---\n{marker}\n{text.strip()}\n")

    def set_state(self, key: str, state: Literal["open", "closed"]) -> None:
        """Set the front matter's state; opening writes `reopened`, so that a reader of the file sees it came back."""
        written = "closed" if state == "closed" else "reopened"
        with self._turn():
            path, content = self._existing(key)
            changed = re.sub(r"(?m)^state:.*$", f"state: {written}", content, count=1)
            if changed != content:
                self._write(path, changed)

    def check(self) -> str:
        """How many tickets the folder holds, and that it can be written."""
        with self._turn():
            found = [
                self.find(path.stem) for path in sorted(self._folder.glob("SIG-*.md")) if _KEY.fullmatch(path.stem)
            ]
        still_open = sum(ticket is not None and ticket.state == "open" for ticket in found)
        return f"files: {len(found)} tickets, {still_open} open"

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise TrackerError(
                "a ticket's key is SIG- and eight hexadecimal digits; make it with core.tickets.ticket_key"
            )
        return self._folder / f"{key}.md"

    def _existing(self, key: str) -> tuple[Path, str]:
        path = self._path(key)
        if not path.is_file():
            raise TrackerError(
                f"ticket {key}: it has no file in the tickets' folder; restore the file or file it again"
            )
        return path, path.read_text(encoding="utf-8")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One writer at a time; the lock ends with its process."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, path: Path, content: str) -> None:
        handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _rendered(ticket: TicketText) -> str:
    labels = [label.partition(":") for label in ticket.labels]
    lines = [
        f"key: {ticket.key}",
        "state: open",
        *(f"{re.sub(r'[^a-z_]', '', name)}: {_one_line(value)}" for name, _, value in labels),
        f"body_hash: {hashlib.sha256(ticket.body.encode()).hexdigest()}",
    ]
    return "\n".join(["---", *lines, "---", f"# {_one_line(ticket.title)}", "", ticket.body.strip(), ""])


def _front_matter(content: str) -> dict[str, str]:
    lines = content.splitlines()
    if not lines or lines[0] != "---" or "---" not in lines[1:]:
        return {}
    pairs = (line.partition(":") for line in lines[1 : lines.index("---", 1)])
    return {name.strip(): value.strip() for name, _, value in pairs}


def _one_line(text: str) -> str:
    return " ".join(text.split())
