"""Simulation: the stage on which a session is played: steps, clock, files in use, log lines, planted truth.

Put here: `Scene` (adds steps, never decides what happens) and the truth's record of a planted moment.
Not here: ordinary work (see `work.py`), planted moments (see `moments.py`).
"""

import random
from dataclasses import dataclass
from typing import Any, Final

from signals_assets.core.sessions import Step
from signals_assets.simulation import artifacts
from signals_assets.simulation.population import User, styled
from signals_assets.simulation.words import pick, say

TICKS_PER_SECOND: Final = 8
"""Times are multiples of an eighth of a second: exact as floats, so they are read back as they were written."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A moment that was planted: what it is and at which steps it shows."""

    kind: str
    type: str
    steps: tuple[int, ...]
    severity: str | None = None
    category: str | None = None
    cause: str | None = None
    tool: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The truth's form; fields without a value left out, `kind` told by the list it stands in."""
        data: dict[str, Any] = {"type": self.type, "severity": self.severity, "steps": list(self.steps)}
        data |= {"category": self.category, "cause": self.cause, "tool": self.tool}
        return {key: value for key, value in data.items() if value is not None}


class Scene:
    """Steps of one session as they happen."""

    def __init__(self, rng: random.Random, user: User, started_at: float) -> None:
        """An empty session of `user` that begins at `started_at` (seconds since 1970)."""
        self.rng = rng
        self.who = user
        self.stack = user.stack
        self.steps: list[Step] = []
        self.clock = float(int(started_at))
        self.agentic = 0
        self.planted: list[Planted] = []
        self.confirmations = 0
        self.unmet_need: str | None = None
        self.logs: list[tuple[float, str, str, str]] = []
        """(seconds since 1970, service, level, message) of lines that name this session."""
        self._reads: dict[str, int] = {}
        """Reads of a file since its last change."""
        self._texts: dict[str, str] = {}
        """What a file that was read whole shows until it is changed."""
        self._calls = 0

    # --- time ---

    def wait(self, median: float, spread: float = 0.6) -> None:
        """Let a lognormal time pass (seconds)."""
        seconds = median * self.rng.lognormvariate(0.0, spread)
        self.clock += max(1, int(seconds * TICKS_PER_SECOND)) / TICKS_PER_SECOND

    # --- steps; each returns the index of the step it added ---

    def _add(self, step: Step) -> int:
        self.steps.append(step)
        return len(self.steps) - 1

    def user(self, text: str, pause: float = 45.0) -> int:
        """The user writes, after a pause."""
        if self.steps:
            self.wait(pause * self.who.patience, 0.9)
        return self._add(Step("user_message", at=self.clock, text=styled(self.who.style, text)))

    def user_says(self, key: str, pause: float = 45.0) -> int:
        """The user writes something of the kind `key`, in their language where it has words for it."""
        return self.user(say(self.rng, key, language=self.who.style.language), pause)

    def agent(self, text: str) -> int:
        """The agent writes."""
        self.wait(4.0)
        self.agentic += 1
        return self._add(Step("assistant_message", at=self.clock, text=text))

    def agent_says(self, key: str) -> int:
        """The agent writes something of the kind `key`."""
        return self.agent(say(self.rng, key))

    def call(
        self,
        tool: str,
        arguments: dict[str, Any],
        text: str,
        status: str = "ok",
        seconds: float = 0.8,
        comment: str | None = None,
    ) -> tuple[int, int]:
        """A tool call and its result; returns both indices."""
        self.wait(2.5)
        self.agentic += 1
        self._calls += 1
        call_id = f"call_{self._calls:04d}"
        call = self._add(
            Step("tool_call", at=self.clock, tool_name=tool, tool_call_id=call_id, arguments=arguments, by="agent")
        )
        self.wait(seconds)
        result = Step(
            "tool_result",
            at=self.clock,
            text=text,
            tool_name=tool,
            tool_call_id=call_id,
            status=status,
            user_comment=comment,
        )
        return call, self._add(result)

    def event(self, name: str, text: str | None = None) -> int:
        """A harness event."""
        return self._add(Step("event", at=self.clock, name=name, text=text))

    # --- tools with their bookkeeping ---

    def read(self, file: str, first: int | None = None) -> int:
        """The agent reads a file (a stretch of it where `first` is given); returns the index of the call."""
        arguments: dict[str, Any] = {"file_path": file}
        if first is not None:
            arguments |= {"offset": first, "limit": 40}
            text = artifacts.listing(self.rng, self.stack, first)
        else:
            self._reads[file] = self._reads.get(file, 0) + 1
            if file not in self._texts:
                self._texts[file] = artifacts.listing(self.rng, self.stack)
            text = self._texts[file]
        return self.call("Read", arguments, text, seconds=0.2)[0]

    def edit(self, file: str, old: str | None = None, new: str | None = None) -> int:
        """The agent changes a file; returns the index of the call."""
        self._reads[file] = 0
        self._texts.pop(file, None)
        old = old if old is not None else artifacts.code(self.rng, self.stack)
        new = new if new is not None else artifacts.code(self.rng, self.stack)
        arguments = {"file_path": file, "old_string": old, "new_string": new}
        return self.call("Edit", arguments, f"{file} was updated.", seconds=0.3)[0]

    def new_file(self) -> str:
        """A file that this session has not read yet."""
        while (file := artifacts.path(self.rng, self.stack)) in self._reads:
            if len(self._reads) > 200:
                return f"{file.rpartition('.')[0]}_{len(self._reads)}.{self.stack.extension}"
        return file

    def file(self) -> str:
        """A file to look at: mostly a new one, else a known one that was read at most once since its last change."""
        known = [file for file, reads in self._reads.items() if reads < 2]
        return self.new_file() if not known or self.rng.random() < 0.6 else pick(self.rng, known)

    def plant(
        self,
        kind: str,
        type_: str,
        steps: list[int],
        severity: str | None = None,
        *,
        category: str | None = None,
        cause: str | None = None,
        tool: str | None = None,
    ) -> None:
        """Note a planted moment."""
        self.planted.append(Planted(kind, type_, tuple(steps), severity, category, cause, tool))
