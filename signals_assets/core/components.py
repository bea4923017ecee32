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

_TOOLS: Final[dict[str, str]] = {
    "shell": """
        bash shell exec_command run_shell_command execute write_stdin local_shell run_command terminal run_in_terminal
        run_terminal_cmd run_terminal_command powershell execute_command execute_bash runcommands exec
    """,
    "file_edit": """
        edit write multiedit notebookedit create apply_patch write_file replace str_replace_editor edit_file create_file
        write_to_file delete_file replace_string_in_file multi_replace_string_in_file insert_edit_into_file
        replace_file_content multi_replace_file_content replace_in_file apply_diff insert_content search_replace patch
        str_replace_based_edit_tool reapply edit_notebook create_new_file
    """,
    "file_read": """
        read read_file view_image ls view list_directory notebookread read_many_files list_dir view_file open_file
        get_file_contents fs_read readfolder read_notebook
    """,
    "search": """
        grep glob lsp toolsearch search_file_content codebase_search grep_search file_search semantic_search
        list_code_usages search_files list_files findfiles searchtext find_by_name list_code_definition_names
        glob_file_search list
    """,
    "web": "webfetch websearch fetchurl google_web_search web_fetch",
    "subagent": "task agent taskoutput spawn_agent",
    "plan": "exitplanmode enterplanmode update_plan todowrite taskcreate taskupdate write_todos",
    "question": "askuserquestion askuser ask_question request_user_input",
}
"""Family -> names that harnesses give to its tools, in lower case, without a version."""
_FAMILY_OF: Final[dict[str, str]] = {name: known for known, names in _TOOLS.items() for name in names.split()}
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_VERSION: Final = re.compile(r"_v\d+\Z", re.IGNORECASE)


@lru_cache(maxsize=4096)
def family(tool_name: str) -> str:
    """The family of a tool by its name: general words only, "unknown" for everything else."""
    if tool_name.startswith(("mcp__", "mcp:")):
        return "mcp"
    name = _VERSION.sub("", tool_name)
    return _FAMILY_OF.get(name.lower()) or _FAMILY_OF.get(_CAMEL.sub("_", name).lower()) or "unknown"


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


def first_name(component: str, renamed: Mapping[str, str]) -> str:
    """The name that a component had before all its renamings (`renamed`: new name to old name, no circles)."""
    while component in renamed:
        component = renamed[component]
    return component


def _inside(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"*/{pattern}")
