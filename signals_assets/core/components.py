"""Components: which part of the product an event concerns, in words that may be published.

Put here: the families of tools and the map from tools, paths and services to component names.
Not here: where the map comes from (see `settings.py`), who may see a name (see `core/barrier`).

A tool's own name is never a component unless the settings' map says so: it may be a customer's.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

FAMILIES: Final[tuple[str, ...]] = (
    "shell", "file_edit", "file_read", "search", "web", "subagent", "plan", "question", "mcp", "unknown",
)  # fmt: skip
"""Every family a tool can be of: the only component names without a map."""

_EXACT: Final[dict[str, str]] = {
    "bash": "shell", "shell": "shell", "exec_command": "shell", "run_shell_command": "shell", "execute": "shell",
    "write_stdin": "shell", "local_shell": "shell", "run_command": "shell", "terminal": "shell",
    "run_in_terminal": "shell",
    "edit": "file_edit", "write": "file_edit", "multiedit": "file_edit", "notebookedit": "file_edit",
    "create": "file_edit",
    "apply_patch": "file_edit", "write_file": "file_edit", "replace": "file_edit", "str_replace_editor": "file_edit",
    "edit_file": "file_edit", "create_file": "file_edit", "write_to_file": "file_edit", "delete_file": "file_edit",
    "read": "file_read", "read_file": "file_read", "view_image": "file_read", "ls": "file_read", "view": "file_read",
    "list_directory": "file_read", "notebookread": "file_read", "read_many_files": "file_read", "list_dir": "file_read",
    "grep": "search", "glob": "search", "lsp": "search", "toolsearch": "search", "search_file_content": "search",
    "codebase_search": "search", "grep_search": "search", "file_search": "search",
    "webfetch": "web", "websearch": "web", "fetchurl": "web", "google_web_search": "web", "web_fetch": "web",
    "task": "subagent", "agent": "subagent", "taskoutput": "subagent", "spawn_agent": "subagent",
    "exitplanmode": "plan", "enterplanmode": "plan", "update_plan": "plan", "todowrite": "plan", "taskcreate": "plan",
    "taskupdate": "plan", "write_todos": "plan",
    "askuserquestion": "question", "askuser": "question", "ask_question": "question", "request_user_input": "question",
}  # fmt: skip
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(maxsize=4096)
def family(tool_name: str) -> str:
    """The family of a tool by its name: general words only, "unknown" for everything else."""
    if tool_name.startswith(("mcp__", "mcp:")):
        return "mcp"
    low = tool_name.lower()
    return _EXACT.get(low) or _EXACT.get(_CAMEL.sub("_", tool_name).lower()) or "unknown"


def component_of(
    components: Mapping[str, Sequence[str]],
    tool_names: Iterable[str],
    paths: Iterable[str] = (),
    service: str | None = None,
) -> str:
    """The component that tools, paths or a log service belong to.

    `components` maps a component's name to tool names, path patterns (`fnmatch`, `*` crosses folders) and services;
    the first component in the map's order with a match wins. Without a match: the most frequent known family of the
    tools (ties by order of the families), else "unknown".
    """
    tools = list(tool_names)
    exact = {*tools, service} - {None}
    where = list(paths)
    for name, patterns in components.items():
        for pattern in patterns:
            if pattern in exact or any(_inside(path, pattern) for path in where):
                return name
    counts = Counter(family(tool) for tool in tools)
    counts.pop("unknown", None)
    if not counts:
        return "unknown"
    return max(counts, key=lambda known: (counts[known], -FAMILIES.index(known)))


def _inside(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"*/{pattern}")
