"""How a session ended, judged by what stood open when the record stopped.

Put here: the fold over the ending and the rules that name the outcome.
Not here: the other facets (see `facets.py`), severity (each detector's own), what single words mean (see `cues.py`).

An outcome is the user's: a refusal that was right by the house's rules is still a goal that was not reached, and a
handover is `transferred` however good its reasons. State: one turn, a few flags, the end of the agent's last message.

Rules, because a multinomial logistic regression over the same traits was worse wherever it was measured (2026-11-21:
cross-validated by person 0.78 of 313 readings against 0.87, on 35 sessions of people seen by neither 0.57 against
0.60, always `success` 0.34). `benchmark detectors` prints the figures of the day.
"""

import re
from functools import lru_cache
from typing import Final, Literal

from signals_assets.core.detectors.context import Call, Seen
from signals_assets.core.detectors.cues import Utterance

Outcome = Literal["success", "partial", "abandoned", "transferred", "unclear"]

COMPLAINS: Final = 0.8
"""From this score of `Utterance.complaint` on, a turn reports that something is wrong."""
DOUBTS: Final = 0.5
"""From this score on, a last turn wants an answer that shows the matter settled."""
REFUSES: Final = 1.0
"""From this score of `Turn.refused` on, the agent declined."""
APPROVES: Final = 0.5
REFUSED_OFTEN: Final = 2
"""Declined in so many turns and never found working: the goal was not reached."""
UNDOS: Final = 2
"""So many undos after the last request give the work up."""
OPEN_FAILURES: Final = 2
LITTLE: Final = 25
"""Fewer words of the user in all, without a tool, show no goal."""
MOST_WORDS: Final = 200
"""Words counted of one turn."""
CLOSING: Final = 60
"""A longer turn of thanks is more than a goodbye."""
WENT_ON: Final = 2
"""Turns of the user after a handover, thanks aside, from which on the agent kept the case."""

_TRANSFER_TOOL: Final = re.compile(r"transfer.*(?:human|agent|person|specialist|support)|escalate_to|hand_?off", re.I)
_PERSON: Final = (
    r"(?:human|someone|somebody|(?:real |live )?(?:person|agent|representative)|supervisor|manager|specialist"
    r"|(?:technical )?support)"
)
_WANTS_PERSON: Final = re.compile(
    rf"\b(?:transfer|connect|forward|escalate|hand|put|speak|talk)\b.{{0,40}}\b{_PERSON}\b|\btransfer me\b"
)
_NO_TRANSFER: Final = re.compile(r"\b(?:don't|do not|not|without|rather not|no)\b.{0,30}\btransfer")
_OFFERS_PERSON: Final = re.compile(rf"\btransfer\w*\b.{{0,60}}\b{_PERSON}\b|\btransfer you\b")
_MARK_ONLY: Final = re.compile(r"\W*(?:###\s*\w+\s*###)?\W*\Z")
"""What a harness writes under the user's name to sign off."""
_WORKS: Final = re.compile(
    r"\b(?:works?|working|worked|solved|resolved|fixed|perfect|all i needed|everything i needed|all set"
    r"|covers (?:everything|what)|answers? (?:all )?(?:of )?my questions?)\b"
)
_THANKS: Final = re.compile(r"\b(?:thank(?:s| you)|thx|cheers|that's all|that is all|goodbye|bye)\b")
_GAVE_UP: Final = re.compile(
    r"\b(?:never ?mind|forget (?:it|about it)|(?:i )?give up|i concede|leave it|not worth|waste of time"
    r"|nothing (?:else |more )?(?:you|i|we) can do|nothing more to do"
    r"|(?:i'll|i will|i can|let me) (?:just )?(?:do|handle|explore|try|find|look|see|figure|fix)"
    r" .{0,30}(?:myself|other|else|another|elsewhere|on my (?:own|end)))\b"
)
_LATER: Final = re.compile(
    r"\b(?:(?:call|come|get|check|reach) (?:back|out) (?:\w+ )?(?:later|tomorrow|once|when)"
    r"|(?:finish|continue|do) (?:\w+ ){0,4}(?:later|tomorrow|another time)|for another day)\b"
)
_CHOICE: Final = re.compile(
    r"\b(?:which (?:\w+ ){0,3}(?:would you|do you|should)|would you prefer|what would you like|what do you think"
    r"|should i (?:proceed|go|implement|continue|start)|(?:want|like) me to (?:proceed|implement|go ahead|continue"
    r"|make th|fix|start|apply|do th)|shall i (?:proceed|implement|continue)|could you (?:please )?(?:provide|share"
    r"|tell|clarify|confirm)|do you want to"
    r"|ready to (?:code|implement|proceed|start)|please (?:provide|share|let me know (?:which|what|how)))\b"
)
"""The agent waits for a decision or for something to go on with; an offer to help with more is none."""
_KEEPS: Final = re.compile(r"\bgit (?:\S+ ){0,3}(?:commit|push|merge)\b|\bgh pr (?:create|merge)\b")
_RUNS: Final = frozenset({"shell", "unknown", "file_edit"})
"""Families whose success shows that an earlier failure was overcome."""


class Ending:
    """Follows a session and remembers what matters for how it ended: `update` in order, then `outcome`."""

    def __init__(self) -> None:
        self._heard = False
        self._complains = False
        self._doubts = False
        self._approves = False
        self._last_kind = ""
        self._interrupted = False
        self._closing = ""
        self._steps = 0
        self._tools = 0
        self._words = 0
        self._refusals = 0
        self._transferred = False
        self._turns_after_transfer = 0
        self._offers_person = False
        self._goes_to_person = False
        self._works = False
        self._thanks = False
        self._gave_up = False
        self._later = False
        self._worked = False
        self._ran = False
        self._undos = 0
        self._failures = 0

    def update(self, seen: Seen) -> None:
        """Take one step."""
        kind = seen.step.kind
        if kind == "tool_call":
            if seen.call is not None and not seen.call.by_user:
                self._call(seen.call)
        elif kind == "tool_result":
            self._result(seen)
        elif kind == "assistant_message":
            self._agent(seen)
        elif kind == "user_message":
            if seen.said is not None and not _MARK_ONLY.match(seen.said.text):
                self._user(seen, seen.said)
        elif seen.step.name == "interrupt":
            self._interrupted = True
        elif seen.step.name == "slash_command":
            self._undos += (seen.step.text or "").startswith("/undo")

    def _user(self, seen: Seen, said: Utterance) -> None:
        text = said.text
        self._thanks = bool(_THANKS.search(text))
        goodbye = self._thanks and len(said.tokens) <= CLOSING
        self._complains = said.complaint >= COMPLAINS
        self._doubts = said.complaint >= DOUBTS
        self._approves = said.approval >= APPROVES
        works = bool(_WORKS.search(text)) and not self._complains
        self._works = works or (goodbye and self._works)
        self._gave_up = not works and (bool(_GAVE_UP.search(text)) or (goodbye and self._gave_up))
        self._later = bool(_LATER.search(text)) or (goodbye and self._later)
        wants = bool(_WANTS_PERSON.search(text)) or (self._offers_person and self._approves)
        self._goes_to_person = wants and not _NO_TRANSFER.search(text)
        self._refusals += seen.turn.refused >= REFUSES
        self._turns_after_transfer += self._transferred and not self._thanks
        self._words += min(len(said.tokens), MOST_WORDS)
        self._heard, self._last_kind = True, "user"
        self._interrupted = self._worked = self._ran = False
        self._undos = 0

    def _agent(self, seen: Seen) -> None:
        self._steps += 1
        if seen.said_low.strip():
            self._last_kind, self._interrupted = "agent", False
            self._closing = seen.said_low[-500:]
            self._offers_person = bool(_OFFERS_PERSON.search(self._closing))

    def _call(self, call: Call) -> None:
        self._steps += 1
        self._tools += 1
        self._last_kind, self._interrupted = "tool", False
        self._transferred = self._transferred or _hands_over(call.tool_name)
        self._worked = self._worked or call.family == "file_edit" or bool(call.command and _KEEPS.search(call.command))

    def _result(self, seen: Seen) -> None:
        call = seen.call
        if call is None:
            self._tools += seen.turn.edits > 0
            self._worked = self._worked or seen.turn.edits > 0
        self._interrupted = self._interrupted or seen.step.status in ("rejected", "interrupted")
        if seen.failed:
            self._failures = min(self._failures + 1, OPEN_FAILURES)
        elif call is None or call.family in _RUNS:
            self._failures = 0
            self._ran = self._ran or (call is not None and call.family != "file_edit")

    def outcome(self) -> Outcome:
        """The outcome as of the steps taken so far, the plainest evidence first."""
        if not self._heard or self._steps == 0:
            return "unclear"
        if self._handed_over():
            return "transferred"
        if self._given_up():
            return "abandoned"
        if self._stops_short():
            return "partial"
        if self._words < LITTLE and self._tools == 0:
            return "unclear"
        if self._failures >= OPEN_FAILURES:
            return "partial"
        return "success"

    def _handed_over(self) -> bool:
        """To a person, by a tool or by the last words; not when the agent kept the case."""
        if self._transferred and self._turns_after_transfer < WENT_ON:
            return True
        return self._goes_to_person and self._last_kind == "user"

    def _given_up(self) -> bool:
        """Said so, left after being declined, or took the work back."""
        if self._undos >= UNDOS or (self._gave_up and self._last_kind != "tool"):
            return True
        return self._refusals >= REFUSED_OFTEN and self._thanks and not self._works

    def _stops_short(self) -> bool:
        """Whether the record stops before the last request was served."""
        if self._interrupted or self._last_kind == "tool" or self._later:
            return True
        content = self._thanks or self._works
        offered = "?" in self._closing[-300:] and bool(_CHOICE.search(self._closing))
        if self._last_kind == "user":
            return not content and (offered or not self._approves)
        if offered and not self._worked:
            return True
        asks = "?" in self._closing[-80:]
        return not content and ((self._doubts and not self._ran) or (self._complains and asks))


@lru_cache(maxsize=256)
def _hands_over(tool_name: str) -> bool:
    """Whether a tool hands the case to a person."""
    return bool(_TRANSFER_TOOL.search(tool_name))
