"""Door: the ticket tracker.

Put here: `Tracker` and the embedded implementation: tickets as Markdown files.
Not here: Linear (see `resources/linear.py`), when and what to file (see `core/tickets.py`), the two-phase ledger (see
`resources/filing.py`).
"""

import fcntl
import hashlib
import os
import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from signals_assets.core.tickets import KEY_PATTERN

State = Literal["open", "closed"]


@dataclass(frozen=True, slots=True)
class TicketText:
    """What is filed: rendered from templates, never from a session's words. Labels are `name:value`.

    fingerprint: the cause, the same in every generation.  previous: key of the cause's earlier ticket, to be linked.
    """

    key: str
    title: str
    body: str
    labels: tuple[str, ...] = ()
    fingerprint: str = ""
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class TicketAtTracker:
    """What the tracker knows of a ticket of ours. `body_hash`: SHA-256 of the body that it was created with."""

    key: str
    reference: str
    state: State
    body_hash: str


@dataclass(frozen=True, slots=True)
class TrackerTicket:
    """A ticket as a reader of the tracker sees it. `key` is None and `ours` False where a person wrote it.

    Title and body of a person's ticket are their words: compare them, never publish them.
    """

    key: str | None
    reference: str
    title: str
    body: str
    state: State
    updated_at: datetime
    ours: bool


@dataclass(frozen=True, slots=True)
class TrackerPullRequest:
    """A pull request that the tracker itself ties to a ticket."""

    url: str
    state: Literal["open", "merged", "closed", "unknown"]


class TrackerError(RuntimeError):
    """The tracker refused: names the ticket's key and what to do."""


class Tracker(ABC):
    """Find, create, comment, reopen, close, label, delegate; every verb is safe to repeat.

    Where a verb takes a `ticket`, that is a key of ours or a `reference` as `open_tickets` gives it.
    """

    name: str
    leaves_machine: bool
    """Whether others see at once what is written: such a door is dry and asks for approval unless told otherwise."""

    @abstractmethod
    def find(self, key: str) -> TicketAtTracker | None:
        """The ticket with this key, archived or not, or None."""

    @abstractmethod
    def create(self, ticket: TicketText) -> TicketAtTracker:
        """Create it, with its labels, fingerprint and link to the earlier one.

        The same key again returns the first, and completes what a crash left undone of it.
        """

    @abstractmethod
    def comment(self, ticket: str, comment_id: str, text: str) -> None:
        """Add a comment once: the same `comment_id` again does nothing."""

    @abstractmethod
    def set_state(self, key: str, state: State) -> None:
        """Close or reopen it; its present state again does nothing."""

    @abstractmethod
    def label(self, key: str, add: Collection[str] = (), remove: Collection[str] = ()) -> None:
        """Add and remove labels (`name:value`); all others stay."""

    @abstractmethod
    def delegate(self, key: str, agent: str) -> None:
        """Hand it to the agent user of this name; the person it is assigned to stays."""

    @abstractmethod
    def open_tickets(self) -> list[TrackerTicket]:
        """Every open ticket, people's and ours, by reference: what a new one could repeat."""

    @abstractmethod
    def pull_requests(self, key: str) -> list[TrackerPullRequest]:
        """The pull requests that the tracker ties to it, by address; none where it has no such ticket."""

    @abstractmethod
    def check(self) -> str:
        """One harmless call for `signals doctor`."""


def key_checked(key: str) -> str:
    """The key; raises TrackerError where it is none."""
    if not KEY_PATTERN.fullmatch(key):
        raise TrackerError("a ticket's key is SIG- and eight hexadecimal digits; make it with core.tickets.ticket_key")
    return key


class FileTracker(Tracker):
    """Tickets as Markdown files `SIG-XXXXXXXX.md` in a folder, with front matter between two `---` lines.

    Any other Markdown file there is a person's ticket. A person closes a ticket by writing `state: closed`, assigns it
    by `assignee:`, and names pull requests, parted by blanks, after `pull_requests:`. Files appear and change whole:
    readers never see half of one, and two writers take turns.
    """

    name = "files"
    leaves_machine = False

    def __init__(self, folder: Path) -> None:
        """Keep tickets in `folder`, which is made at the first ticket."""
        self._folder = folder

    def find(self, key: str) -> TicketAtTracker | None:
        """The ticket in the file of this key, or None."""
        path = self._path(key)
        if not path.is_file():
            return None
        fields = _front_matter(path.read_text(encoding="utf-8"))
        return TicketAtTracker(key, self._reference(path), _state(fields), fields.get("body_hash", ""))

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

    def comment(self, ticket: str, comment_id: str, text: str) -> None:
        """Append the comment under a marker with its id."""
        marker = f"<!-- comment {_one_line(comment_id).replace('--', '')} -->"
        with self._turn():
            path, content = self._existing(ticket)
            if marker not in content:
                self._write(path, f"{content.rstrip()}\n\n---\n{marker}\n{text.strip()}\n")

    def set_state(self, key: str, state: State) -> None:
        """Set the front matter's state; opening writes `reopened`, so that a reader of the file sees it came back."""
        self._set(key, {"state": "closed" if state == "closed" else "reopened"})

    def label(self, key: str, add: Collection[str] = (), remove: Collection[str] = ()) -> None:
        """A label is a line of the front matter; adding one of the same name puts it in its place."""
        with self._turn():
            path, content = self._existing(key)
            fields = _front_matter(content)
            gone = {name: None for name, value in map(_label, remove) if fields.get(name) == value}
            self._change(path, content, gone | dict(map(_label, add)))

    def delegate(self, key: str, agent: str) -> None:
        """Write `delegate:`; the line `assignee:` is a person's."""
        self._set(key, {"delegate": _one_line(agent)})

    def open_tickets(self) -> list[TrackerTicket]:
        """Every Markdown file whose front matter does not say closed; the title is its first heading, or its name."""
        return [ticket for path in sorted(self._folder.glob("*.md")) if (ticket := self._seen(path)).state == "open"]

    def pull_requests(self, key: str) -> list[TrackerPullRequest]:
        """Those that the line `pull_requests:` names; a file does not know their state."""
        path = self._path(key)
        fields = _front_matter(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return [TrackerPullRequest(url, "unknown") for url in sorted(set(fields.get("pull_requests", "").split()))]

    def check(self) -> str:
        """How many tickets the folder holds, and that it can be written."""
        with self._turn():
            tickets = [self._seen(path) for path in sorted(self._folder.glob("*.md"))]
        ours = [ticket for ticket in tickets if ticket.ours]
        still_open = sum(ticket.state == "open" for ticket in ours)
        people = f", {len(tickets) - len(ours)} of people" if len(tickets) > len(ours) else ""
        return f"files: {len(ours)} tickets, {still_open} open{people}"

    def _seen(self, path: Path) -> TrackerTicket:
        content = path.read_text(encoding="utf-8")
        body = _body(content)
        title = next((line[2:].strip() for line in body.splitlines() if line.startswith("# ")), path.stem)
        ours = bool(KEY_PATTERN.fullmatch(path.stem))
        return TrackerTicket(
            key=path.stem if ours else None,
            reference=self._reference(path),
            title=title,
            body=body.removeprefix(f"# {title}").strip(),
            state=_state(_front_matter(content)),
            updated_at=datetime.fromtimestamp(path.stat().st_mtime, UTC),
            ours=ours,
        )

    def _reference(self, path: Path) -> str:
        return f"{self._folder.name}/{path.name}"

    def _path(self, key: str) -> Path:
        return self._folder / f"{key_checked(key)}.md"

    def _existing(self, ticket: str) -> tuple[Path, str]:
        """File and content of a key, or of a reference to a file of the folder."""
        known = {self._reference(path): path for path in self._folder.glob("*.md")}
        key, path = ticket, known[ticket] if ticket in known else self._path(ticket)
        if not path.is_file():
            raise TrackerError(
                f"ticket {key}: it has no file in the tickets' folder; restore the file or file it again"
            )
        return path, path.read_text(encoding="utf-8")

    def _set(self, key: str, fields: Mapping[str, str | None]) -> None:
        with self._turn():
            path, content = self._existing(key)
            self._change(path, content, fields)

    def _change(self, path: Path, content: str, fields: Mapping[str, str | None]) -> None:
        changed = _with_fields(content, fields)
        if changed != content:
            self._write(path, changed)

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
    lines = [
        f"key: {ticket.key}",
        "state: open",
        *(f"{name}: {value}" for name, value in map(_label, ticket.labels)),
        *([f"fingerprint: {_one_line(ticket.fingerprint)}"] if ticket.fingerprint else []),
        *([f"previous: {_one_line(ticket.previous)}"] if ticket.previous else []),
        f"body_hash: {hashlib.sha256(ticket.body.encode()).hexdigest()}",
    ]
    return "\n".join(["---", *lines, "---", f"# {_one_line(ticket.title)}", "", ticket.body.strip(), ""])


def _label(label: str) -> tuple[str, str]:
    """Name and value of a label, safe as a line of the front matter."""
    name, _, value = label.partition(":")
    return re.sub(r"[^a-z_]", "", name), _one_line(value)


def _front_matter(content: str) -> dict[str, str]:
    lines = content.splitlines()
    if not lines or lines[0] != "---" or "---" not in lines[1:]:
        return {}
    pairs = (line.partition(":") for line in lines[1 : lines.index("---", 1)])
    return {name.strip(): value.strip() for name, _, value in pairs}


def _with_fields(content: str, fields: Mapping[str, str | None]) -> str:
    """The content with these lines of its front matter set or (None) removed; every other line stays as it is."""
    lines = content.splitlines(keepends=True)
    end = [line.strip() for line in lines].index("---", 1) if _front_matter(content) else 0
    head = [] if end == 0 else lines[1:end]
    for name, value in fields.items():
        place = next((number for number, line in enumerate(head) if line.partition(":")[0].strip() == name), None)
        written = [] if value is None else [f"{name}: {value}\n"]
        head[len(head) if place is None else place : len(head) if place is None else place + 1] = written
    return "".join(["---\n", *head, *(lines[end:] if end else ["---\n", *lines])])


def _body(content: str) -> str:
    """What stands below the front matter."""
    lines = content.splitlines()
    return "\n".join(lines[lines.index("---", 1) + 1 :] if _front_matter(content) else lines).strip()


def _state(fields: Mapping[str, str]) -> State:
    return "closed" if fields.get("state") == "closed" else "open"


def _one_line(text: str) -> str:
    return " ".join(text.split())
