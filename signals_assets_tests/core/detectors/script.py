"""A short notation for conversations in tests: a list of what happened becomes a session."""

from typing import Any

from signals_assets.core.sessions import Session, Step
from signals_assets_tests.factories import make_session


def user(text: str) -> Step:
    return Step("user_message", text=text)


def agent(text: str = "I have done that.") -> Step:
    return Step("assistant_message", text=text)


def call(tool: str, ident: str, by: str | None = None, **arguments: Any) -> Step:
    return Step("tool_call", tool_name=tool, tool_call_id=ident, arguments=arguments, by=by)


def result(tool: str, ident: str, text: str = "", status: str = "ok", comment: str | None = None) -> Step:
    return Step("tool_result", tool_name=tool, tool_call_id=ident, text=text, status=status, user_comment=comment)


def event(name: str, text: str = "") -> Step:
    return Step("event", name=name, text=text)


def shell(ident: str, command: str, text: str, status: str = "ok") -> tuple[Step, Step]:
    return call("Bash", ident, command=command), result("Bash", ident, text, status)


def edit(ident: str, path: str = "a.py", before: str = "x = 1", after: str = "x = 2") -> tuple[Step, Step]:
    return call("Edit", ident, file_path=path, old_string=before, new_string=after), result("Edit", ident, "changed")


def read(ident: str, path: str = "a.py", **more: Any) -> tuple[Step, Step]:
    return call("Read", ident, file_path=path, **more), result("Read", ident, "text of the file")


def session(*parts: Step | tuple[Step, ...]) -> Session:
    steps: list[Step] = []
    for part in parts:
        steps.extend(part if isinstance(part, tuple) else (part,))
    return make_session(*steps)
