"""Simulation: pull requests of the agent's own repository, as records.

Put here: the words and files of ordinary changes and of fixes for tickets.
Not here: when they are merged and shipped (see `world.py`).
"""

import random
from typing import Any, Final

from signals_assets.core.sessions import format_time
from signals_assets.simulation.developer import Action
from signals_assets.simulation.words import pick

FILES: Final[dict[str, tuple[str, ...]]] = {
    "context_churn": ("agent/context_window.py", "agent/file_cache.py"),
    "error_event": ("agent/tools/run_query.py", "gateway/pool.yaml"),
    "repeated_rephrasing": ("prompts/understand_request.md",),
    "correction": ("prompts/verify_work.md", "agent/review.py"),
    "abandoned_tool_flow": ("agent/permissions.py",),
}
"""Files a fix of a type touches; others touch the prompt."""
ORDINARY: Final = (
    ("Update dependencies", ("requirements.txt",)),
    ("Tidy the settings page", ("web/settings.tsx", "web/settings.css")),
    ("Rename internal events", ("agent/events.py",)),
    ("Shorten the start-up log", ("agent/main.py",)),
    ("Translate two labels", ("web/labels.json",)),
    ("Move helpers to their own module", ("agent/helpers.py", "agent/main.py")),
    ("Use the shared date picker", ("web/picker.tsx",)),
)


def fix(number: int, action: Action, opened_at: float) -> dict[str, Any]:
    """The record of a pull request that names the ticket in branch, title and body."""
    readable = action.type.replace("_", " ")
    return {
        "pull_request_id": f"PR-{number}",
        "title": f"Fix {readable} ({action.ticket_key})",
        "branch": f"fix/{action.ticket_key.lower()}-{action.type.replace('_', '-')}",
        "body": f"Works on {action.ticket_key}: {readable} at {action.component}.",
        "state": "open",
        "opened_at": format_time(opened_at),
        "merged_at": None,
        "files": list(FILES.get(action.type, ("prompts/system.md",))),
        "released_in": None,
    }


def ordinary(rng: random.Random, number: int, opened_at: float) -> dict[str, Any]:
    """The record of a pull request that changes nothing for users."""
    title, files = pick(rng, ORDINARY)
    return {
        "pull_request_id": f"PR-{number}",
        "title": title,
        "branch": f"change-{number}",
        "body": None,
        "state": "open",
        "opened_at": format_time(opened_at),
        "merged_at": None,
        "files": list(files),
        "released_in": None,
    }
