"""Antecedents: what the agent had done just before a user spoke.

Put here: `antecedents`, what preceded each user message; `antecedent_of`, what preceded a moment.
Not here: what follows from it (see `core/diagnosis.py`), the detectors (see `core/detectors/`).

No word is read: kinds and statuses of steps only, so it holds in every language and for every agent.
"""

from collections.abc import Mapping, Sequence

from signals_assets.core.sessions import Session
from signals_assets.tables import Antecedent

_FAILED = frozenset({"error", "timeout"})


def antecedents(session: Session) -> dict[int, Antecedent]:
    """What preceded each user message, by its index, since the user message before it.

    `failed_tool`: a tool result with status error or timeout.  `tool`: tool calls, none of which failed.  `answer`:
    only words.  `start`: nothing, as at the beginning.  A call that the user made is none of the agent's.
    """
    found: dict[int, Antecedent] = {}
    before: Antecedent = "start"
    for index, step in enumerate(session.steps):
        if step.kind == "user_message":
            found[index] = before
            before = "start"
        elif step.kind == "tool_result" and step.status in _FAILED:
            before = "failed_tool"
        elif step.kind == "tool_call" and step.by != "user" and before != "failed_tool":
            before = "tool"
        elif step.kind == "assistant_message" and before == "start":
            before = "answer"
    return found


def antecedent_of(steps: Sequence[int], known: Mapping[int, Antecedent]) -> Antecedent:
    """What preceded a moment whose evidence begins with a user message; `agent` where it begins with another step."""
    return known.get(min(steps), "agent") if steps else "agent"
