"""Friction: the user asks how the agent or its product works, or misunderstands what it can do.

Put here: questions about the agent itself, and commands that it does not know.
Not here: questions about the user's own task, the expressions themselves (see `about_agent.py`).
"""

import re
from typing import ClassVar, Final

from signals_assets.core.detectors.context import MATERIAL, Detected, Detector, Seen

ABOUT_AGENT: Final = 0.7
LONGEST: Final = 60
NEAR: Final = 4
"""Steps within which unknown commands are one moment."""
SEVERAL: Final = 2
"""A single unknown command may be a slip of the hand."""


_TYPED: Final = re.compile(
    r"\s*(?:(?:aider|claude|codex|gemini|cursor|opencode) "
    r"(?:(?:-{1,2}\w|(?:config|mcp)\b).*|(?:add|rm|drop|remove|run|edit|undo|commit|help|login)(?:\s+\S*[./]\S*)*)"
    r"|.{3,200}(?<!\bto)(?<!\bat)(?<!\bon)(?<!\bfrom)(?<!\broute)(?<!\bpage)(?<!\bpath)(?<!\bendpoint)"
    r"\s/(?:add|ask|clear|code|commit|copy|diff|drop|exit|help|model|paste|quit|reset|run|undo))\s*\Z",
    re.DOTALL,
)
"""What belongs into a command line, typed as a message: the product's own command with options or files, or one of its
slash commands at the end of a sentence. "Claude, add a page" and "redirect guests to /help" are neither."""
_UNKNOWN: Final = re.compile(r"\b(?:invalid|unknown|unrecognized|no such) (?:slash )?command\b", re.I)


class PlatformConfusion(Detector):
    """Short questions about the agent's abilities, limits, modes, memory and surface; commands it does not know."""

    type: ClassVar[str] = "platform_confusion"
    looks_at: ClassVar[str] = (
        "questions about what the agent is, can do, knows, costs or has access to and where its commands are; slash "
        "commands that it does not know; its command line typed as a message"
    )
    ignores: ClassVar[str] = "requests in the form of a question, questions about the task, disputes over a policy"
    listens: ClassVar[frozenset[str]] = frozenset({"said", "event", "tool_result"})

    def __init__(self) -> None:
        self._command = -NEAR
        self._unknown: list[int] = []
        self._typed = False

    def update(self, seen: Seen) -> list[Detected]:
        """Judge one message of the user, or the answer to a slash command."""
        step = seen.step
        done = self._close() if self._unknown and seen.index - self._unknown[-1] > NEAR else []
        if step.kind == "event" and step.name == "slash_command":
            self._command = seen.index
        elif (
            step.kind == "tool_result" and seen.index - self._command <= 2 and _UNKNOWN.search((step.text or "")[:400])
        ):
            self._unknown.append(self._command)
        elif step.kind == "user_message" and seen.said is not None and len(seen.said.tokens) <= LONGEST:
            if _TYPED.match((step.text or "")[:400]):
                self._unknown.append(seen.index)
                self._typed = True
            elif seen.said.confusion >= ABOUT_AGENT:
                done.append(self.found([seen.index], "low", min(0.9, 0.25 + 0.4 * seen.said.confusion)))
        return done

    def finish(self) -> list[Detected]:
        """Return the unknown commands at the end."""
        return self._close()

    def _close(self) -> list[Detected]:
        steps, typed = self._unknown, self._typed
        self._unknown, self._typed = [], False
        if not steps:
            return []
        return [self.found(steps, "low", 0.6 if typed or len(steps) >= SEVERAL else MATERIAL, (), ("command",))]
