"""Simulation: the developer who reads the filed tickets and answers with pull requests.

Put here: reading tickets filed as Markdown files, the decision what to do about each.
Not here: what a fix does to the rates (see `story.py`), when it ships (see `world.py`).
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

WORKING_SHARE: Final = 0.6
"""How often a fix of an ordinary ticket works."""
IN_DEVELOPERS_HANDS: Final = frozenset({"open", "reopened", "failed"})
"""States in which a ticket waits for work; all others wait for somebody else or are done."""

SCHEDULED: Final[tuple[tuple[str, str], ...]] = (("context_churn", "editor"), ("error_event", "query-gateway"))
"""What the developer fixes by themselves where no tickets are read: the first fix works, the second does not."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The front matter of a filed ticket."""

    key: str
    type: str
    component: str
    state: str
    generation: int


@dataclass(frozen=True, slots=True)
class Action:
    """A pull request the developer opens for a ticket; `works` is the truth that only the simulation knows."""

    ticket_key: str
    type: str
    component: str
    works: bool
    generation: int = 1


def scheduled_ticket_key(friction_type: str, component: str) -> str:
    """The key of the ticket that stands for a scheduled fix. Raises ValueError for a pair that is not scheduled."""
    pair = (friction_type, component)
    if pair not in SCHEDULED:
        raise ValueError(f"no fix is scheduled for {friction_type} at {component}; scheduled are {SCHEDULED}")
    return f"SIG-SIMULATED{SCHEDULED.index(pair) + 1}"


def read_tickets(folder: Path) -> list[Ticket]:
    """The tickets among the Markdown files of a folder (and its sub-folders), by key and generation.

    A ticket begins with a block between two `---` lines that holds at least `key:` and `type:`; files without such
    a block are no tickets. A folder that does not exist holds none. Raises ValueError for a generation that is no
    number.
    """
    tickets = [ticket for path in sorted(folder.glob("**/*.md")) if (ticket := _ticket(path)) is not None]
    return sorted(tickets, key=lambda ticket: (ticket.key, ticket.generation))


def _ticket(path: Path) -> Ticket | None:
    fields = _front_matter(path.read_text(encoding="utf-8"))
    if "key" not in fields or "type" not in fields:
        return None
    generation = fields.get("generation", "1")
    if not generation.isdigit():
        raise ValueError(f"{path.name}: generation must be a number; correct the front matter of this ticket")
    return Ticket(
        fields["key"],
        fields["type"],
        fields.get("component", "unknown"),
        fields.get("state", "open").lower(),
        int(generation),
    )


def _front_matter(text: str) -> dict[str, str]:
    lines = text.splitlines()
    if not lines or lines[0].strip() != "---":
        return {}
    fields: dict[str, str] = {}
    for line in lines[1:]:
        if line.strip() == "---":
            return fields
        name, colon, value = line.partition(":")
        if colon and not line.startswith((" ", "\t", "#")):
            fields[name.strip()] = value.strip().strip("'\"")
    return {}


def decide(tickets: Iterable[Ticket], already: Sequence[Action], seed: int = 0) -> list[Action]:
    """What the developer opens now, given the pull requests opened before.

    One pull request per ticket and generation; one more when a ticket came back (reopened or failed). A fix of
    context churn works. The first fix of an error event does not, the later ones do. Others work by chance
    (WORKING_SHARE, by seed and ticket).
    """
    actions = []
    for ticket in tickets:
        tried = [action for action in already if action.ticket_key == ticket.key]
        here = sum(1 for action in tried if action.generation == ticket.generation)
        allowed = 2 if ticket.state in ("reopened", "failed") else 1
        if ticket.state not in IN_DEVELOPERS_HANDS or here >= allowed:
            continue
        actions.append(
            Action(ticket.key, ticket.type, ticket.component, _works(ticket, tried, seed), ticket.generation)
        )
    return actions


def _works(ticket: Ticket, tried: Sequence[Action], seed: int) -> bool:
    if ticket.type == "context_churn":
        return True
    if ticket.type == "error_event":
        return bool(tried) or ticket.generation > 1
    return random.Random(f"{seed}/fix/{ticket.key}/{len(tried)}").random() < WORKING_SHARE
