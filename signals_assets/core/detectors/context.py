"""What every detector needs to know of a step, computed once per step.

Put here: `Seen`, `Call`, `Turn`, `Context`, and the two types every detector speaks: `Detected` and `Detector`.
Not here: what counts as an event (one file per type), what words mean (`cues.py`), failures (`failures.py`).

The context's state is bounded: open calls, one turn, a few flags; never the session.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

from signals_assets.core.components import family
from signals_assets.core.detectors import cues
from signals_assets.core.detectors.cues import Utterance
from signals_assets.core.detectors.failures import failure, service_failed
from signals_assets.core.detectors.patterns import score
from signals_assets.core.sessions import Step

Kind = Literal["friction", "delight"]
Severity = Literal["low", "medium", "high"]

SAID: Final = frozenset({"said"})
OPEN_CALLS: Final = 256
MOST_STEPS: Final = 50
MATERIAL: Final = 0.4
"""Confidence of what is only material for the discovery of new types: stored, below what the settings count."""
REMARK: Final = "remark"
"""The code word of such an event."""
LEAST_SAID: Final = 2
"""A remark of fewer words with a topic says nothing that could be grouped."""
_PATH_KEYS: Final = ("file_path", "path", "notebook_path", "filename", "file", "target_file", "absolute_path")
_COMMAND_KEYS: Final = ("command", "cmd", "script")
_RAW_COMMAND: Final = re.compile(r'"(?:cmd|command)"\s*:\s*"((?:[^"\\]|\\.){0,600})')
_PREVIEW_COMMAND: Final = re.compile(r"`([^`\n]{2,600})`")
_MARKUP_ONLY: Final = re.compile(r"\s*(?:<(\w+)>.{0,2000}</\1>|\[Image[^\]\n]{0,300}\])\s*\Z", re.DOTALL)
"""What an editor or a paste puts under the user's name: an opened file, a selection, a picture's place."""
_INSTRUCTS: Final = re.compile(
    r"\b(?:please|could you|can you|you (?:can|could|should|need to)|try|next,?|then,?|now,?|step \d+[:.]?)"
    r"\s+(?:\w+ ){0,3}?(?:re-?start|re-?boot|turn|toggle|check|run|re-?run|open|go to|try|reset|follow|confirm|share"
    r"|provide|tell me|test|perform|send|refresh|re-?load|click|log (?:in|out)|power)\b"
    r"|\blet me know (?:what|how|if|when|once|the)\b"
)
"""What the agent asks the user to do: what the user says next reports on it."""
_APPLIED: Final = re.compile(r"^Applied edit to |^Commit \w{7} ", re.M)
_REPORTS_FAILURE: Final = re.compile(
    r"\b(?:fail(?:s|ed|ing|ure|ures)?|error|errors|broken|crash\w*|flaky)\b", re.IGNORECASE
)
_CHECKS: Final = frozenset({"lint", "test", "build"})
_FORGETS: Final = frozenset({"compact_boundary", "compact_summary", "compaction"})


@dataclass(frozen=True, slots=True)
class Detected:
    """One event: what, where, how sure; no text of the session."""

    kind: Kind
    type: str
    severity: Severity | None
    confidence: float
    steps: tuple[int, ...]
    tool_names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    """Code words for the templates that describe the event ("build", "refused"); never the session's words."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call, as far as detectors look at it."""

    index: int
    tool_name: str
    family: str
    by_user: bool
    command: str = ""
    path: str = ""
    key: int = 0
    """Hash of tool and arguments: equal calls have equal keys."""


@dataclass(slots=True)
class Turn:
    """What the agent did since the user's last words."""

    number: int = 0
    steps: int = 0
    calls: int = 0
    edits: int = 0
    failures: int = 0
    asked: bool = False
    instructed: bool = False
    """The agent's last message asked the user to do something and tell the result."""
    refused: float = 0.0
    lacks: float = 0.0
    explained: bool = False
    """The agent's last message was long: an explanation rather than a report."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One step with its features. `turn` describes what the agent had done before this step."""

    index: int
    step: Step
    turn: Turn
    said: Utterance | None = None
    call: Call | None = None
    failed: str = ""
    expected: bool = False
    """The agent had said that this would fail."""
    forgot: bool = False
    """The agent's context was cut here."""
    model_failed: bool = False
    """A message or result that stands for an answer the model's service failed to give."""
    said_low: str = ""
    """Head and tail of an assistant message in lower case."""


class Detector:
    """A fold over steps with bounded state that finds events of one type."""

    kind: ClassVar[Kind] = "friction"
    type: ClassVar[str]
    looks_at: ClassVar[str]
    """What it looks at, in one sentence; goes to the documentation."""
    ignores: ClassVar[str]
    """What it passes over on purpose."""
    structural: ClassVar[bool] = False
    """Whether it works without the user's words, in every language."""

    listens: ClassVar[frozenset[str]] = SAID
    """The kinds of steps it is given; "said" are steps with words of the user, a comment on a rejection included."""

    def update(self, seen: Seen) -> list[Detected]:
        """Take one step; return the events that are complete with it."""
        raise NotImplementedError

    def finish(self) -> list[Detected]:
        """The session ended: return what was still open."""
        return []

    def found(
        self,
        steps: tuple[int, ...] | list[int],
        severity: Severity | None,
        confidence: float,
        calls: tuple["Call", ...] = (),
        terms: tuple[str, ...] = (),
    ) -> Detected:
        """An event of this detector's type; of very long evidence the first steps are kept."""
        return Detected(
            self.kind,
            self.type,
            severity,
            round(min(1.0, max(0.0, confidence)), 3),
            tuple(sorted(set(steps)))[:MOST_STEPS],
            tuple(dict.fromkeys(call.tool_name for call in calls)),
            tuple(dict.fromkeys(call.path for call in calls if call.path)),
            terms,
        )


def remarks(seen: Seen) -> bool:
    """Whether the user states something about work that the agent just did, unasked, in words that carry a topic."""
    said, turn = seen.said, seen.turn
    if said is None or seen.step.kind != "user_message" or turn.number == 0:
        return False
    if turn.steps == 0 or turn.asked or said.reports or len(said.stems) < LEAST_SAID:
        return False
    return said.states


@dataclass(slots=True)
class Context:
    """Makes a `Seen` of every step, in order."""

    turn: Turn = field(default_factory=Turn)
    _open: "OrderedDict[str, Call]" = field(default_factory=OrderedDict)
    _expects_failure: bool = False
    _reported: bool = False
    """The user's last words report a failure."""
    _commanded: bool = False
    """The last step was a command that the user gave to the harness."""

    def look(self, index: int, step: Step) -> Seen:
        """The features of a step; must be called once per step, in order."""
        kind = step.kind
        commanded, self._commanded = self._commanded, kind == "event" and step.name == "slash_command"
        if kind == "tool_call":
            return self._tool_call(index, step)
        if kind == "tool_result":
            return self._tool_result(index, step, commanded)
        if kind == "assistant_message":
            return self._assistant(index, step)
        if kind == "user_message":
            return self._user(index, step)
        forgot = step.name in _FORGETS
        return Seen(index, step, self.turn, forgot=forgot)

    def _user(self, index: int, step: Step) -> Seen:
        text = step.text or ""
        if not text.strip() or _MARKUP_ONLY.match(text):
            return Seen(index, step, self.turn)
        said = cues.utterance(text)
        seen = Seen(index, step, self.turn, said=said)
        self.turn = Turn(number=self.turn.number + 1)
        self._reported = bool(_REPORTS_FAILURE.search(text[:2000]))
        return seen

    def _assistant(self, index: int, step: Step) -> Seen:
        text = step.text or ""
        low = (text if len(text) <= 1000 else f"{text[:500]}\n{text[-500:]}").lower().replace("’", "'")
        turn = self.turn
        turn.steps += 1
        turn.edits += "<<<<<<< search" in low
        if low.strip():
            turn.asked = "?" in low[-300:]
            turn.instructed = bool(_INSTRUCTS.search(low))
            if any(word in low for word in cues.LACK_WORDS):
                turn.refused = max(turn.refused, score(cues.REFUSES, low))
                if not cues.ELIGIBILITY.search(low):
                    turn.lacks = max(turn.lacks, score(cues.LACKS, low))
            turn.explained = len(text) > 600
            self._expects_failure = "fail" in low and bool(cues.EXPECTS_FAILURE.search(low))
        return Seen(index, step, turn, said_low=low, model_failed=service_failed(text))

    def _tool_call(self, index: int, step: Step) -> Seen:
        call = read_call(index, step)
        key = step.tool_call_id or f"{call.tool_name}#{index}"
        self._open[key] = call
        if len(self._open) > OPEN_CALLS:
            self._open.popitem(last=False)
        if not call.by_user:
            self.turn.steps += 1
            self.turn.calls += 1
            self.turn.edits += call.family == "file_edit"
        return Seen(index, step, self.turn, call=call)

    def _tool_result(self, index: int, step: Step, commanded: bool) -> Seen:
        call = self._call_of(step)
        text = step.text or ""
        failed = failure(step.status, text, call.family if call else "", call.command if call else "")
        service = bool(failed) and call is None and service_failed(text, first_line=False)
        if commanded and call is None and not service:
            failed = ""  # the harness answers the user's own command, mistyped or out of place
        reproduced = self._reported and self.turn.edits == 0 and failed in _CHECKS
        self.turn.failures += bool(failed)
        if call is None and _APPLIED.search(text[:600]):
            self.turn.edits += 1
        said = cues.utterance(step.user_comment, True) if step.user_comment else None
        expected = self._expects_failure or reproduced
        return Seen(
            index, step, self.turn, said=said, call=call, failed=failed, expected=expected, model_failed=service
        )

    def _call_of(self, step: Step) -> Call | None:
        """The call that a result answers: by id, else the oldest open one of the same tool."""
        if step.tool_call_id:
            return self._open.pop(step.tool_call_id, None)
        for key, call in self._open.items():
            if call.tool_name == step.tool_name:
                return self._open.pop(key)
        return None


def read_call(index: int, step: Step) -> Call:
    """What detectors look at of a tool call: family, command, path, and a key that equal calls share."""
    name = step.tool_name or ""
    arguments: Mapping[str, Any] = step.arguments or {}
    return Call(
        index=index,
        tool_name=name,
        family=family(name),
        by_user=step.by == "user",
        command=_command(arguments),
        path=next((str(arguments[key]) for key in _PATH_KEYS if arguments.get(key)), "")[:400],
        key=_key(name, arguments),
    )


def _command(arguments: Mapping[str, Any]) -> str:
    for key in _COMMAND_KEYS:
        value = arguments.get(key)
        if value:
            return (" ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))[:1000]
    raw = arguments.get("_raw")
    if isinstance(raw, str):
        found = _RAW_COMMAND.search(raw[:1000])
        return found.group(1).replace('\\"', '"') if found else ""
    preview = arguments.get("preview")
    if isinstance(preview, str):
        found = _PREVIEW_COMMAND.search(preview[:1000])
        return found.group(1) if found else ""
    return ""


def _key(name: str, arguments: Mapping[str, Any]) -> int:
    """Equal for equal calls within one process; long values count by their length and ends."""
    parts = [name]
    for key in sorted(arguments):
        value = arguments[key]
        text = value if isinstance(value, str) else str(value)[:200]
        parts.append(f"{key}={text}" if len(text) <= 200 else f"{key}={text[:100]}~{len(text)}~{text[-100:]}")
    return hash("\x1f".join(parts))
