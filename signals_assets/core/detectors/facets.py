"""Facets of a session by evidence: outcome, intent, confirmations, drift, languages, frameworks.

Put here: the fold that measures facets; how confirmations and a change of the goal are told.
Not here: the outcome (`outcome.py`), intents (`intents.py`), languages and frameworks (`technologies.py`), events (one
file per type), facets that discovery adds.

Every value is a word of a list, a number or a flag: nothing of the session's text gets out.
"""

import re
from dataclasses import dataclass
from typing import Final

from signals_assets.core.detectors.context import Call, Seen
from signals_assets.core.detectors.cues import Utterance
from signals_assets.core.detectors.intents import INTENTS, Intents
from signals_assets.core.detectors.outcome import Ending, Outcome
from signals_assets.core.detectors.technologies import Technologies

__all__ = ["INTENTS", "FacetFold", "Facets", "Outcome"]

SHORT: Final = 60
"""A longer answer holds more than a yes."""
REMARK: Final = 90
"""In a longer turn words of a change of mind are mostly about something else."""
MOST_CONFIRMATIONS: Final = 10_000
_PLAN_TOOL: Final = "ExitPlanMode"

_YES: Final = re.compile(
    r"^(?:(?:ok|okay|great|perfect|alright|understood|thanks?|thank you|that's (?:correct|right|fine|great)"
    r"|that sounds \w+|sounds good|no problem)[,.! ]+)*"
    r"(?:y|yes|yep|yup|yeah|yea|ok|okay|sure|go ahead|proceed|do it|confirm(?:ed)?|please (?:do|go|proceed|confirm)"
    r"|go for it|approved?|lgtm|no|nope|let's (?:do|go|give)|i confirm|i'd like (?:you )?to (?:go|proceed))\b"
)
_ORDERS: Final = re.compile(
    r"\b(?:go ahead|proceed with|yes,? (?:please|let's|go)|then yes|i confirm|confirmed"
    r"|please (?:do|proceed|transfer))\b"
    r"|^(?:let's |lets |please )?implement\b"
)
_INFORMS: Final = re.compile(
    r"\bmy (?:\w+ ){0,2}(?:name|id|number|email|e-mail|zip|phone|account|address|date of birth)\b|\bnumber is\b"
)
_OFFER: Final = re.compile(
    r"\b(?:want|like) me to|\b(?:should|shall|may|can) i\b|\bproceed\b|\bgo ahead\b|\bconfirm|\bready (?:to|for)\b"
    r"|\b(?:is|are) (?:that|this|these|you) (?:correct|ok|okay|sure|fine)\b|\breply\b.{0,20}\byes\b|\bapprove"
    r"|\bwould you like to (?:proceed|continue|go|have|add)\b|\bdo you want to\b|\bimplement this\?"
)
_ASKS_INFORMATION: Final = re.compile(
    r"\bhow can i\b|\bplease provide\b|\bcould you (?:please )?(?:provide|share|tell)\b"
)
_PROMPTED: Final = re.compile(
    r"(?:\[(?:yes|no|y|n|y/n)\]|\(y\)es/\(n\)o[^\n:]{0,60}):? ?(?:y|n|a|d|yes|no|all)\b", re.I
)
"""A harness's question in the terminal with the key that the user pressed."""

_DRIFT: Final = re.compile(
    r"\bchang(?:ed|ing) my mind\b|\bchange of plans?\b|\bon (?:second thoughts?|reflection)\b"
    r"|\bthinking (?:again|about (?:it|this) (?:again|more))\b|\bi(?:'ve| have) (?:reconsidered|decided to)\b"
    r"|\bscratch that\b|\b(?:actually|hmm),? i(?:'d| would) (?:rather|prefer)\b"
    r"|\b(?:let's|lets|can we|we could|i want to) (?:just )?(?:pivot|try something (?:else|different))\b"
    r"|\b(?:let's|lets|we should|can we) (?:just )?(?:abandon|scrap|forget) (?:the|this|that|it|about)\b"
    r"|\bscrap (?:that|this|the)\b|\bnew (?:approach|direction|plan)\b|\bdifferent (?:approach|direction|plan)\b"
    r"|\bsorry for the back and forth\b|\bi'?ll just go without\b"
    r"|\bbefore (?:we|you|i) (?:go|get|do|continue|proceed|move)\b.{0,30}\b(?:further|forget|mention|anything)\b"
    r"|\bif (?:i|you|we|it|that|this)(?:'s| is| are)? ?(?:can't|cannot|can not|isn't|not|won't|impossible).{3,120}"
    r"\b(?:instead|change|switch|cancel|just)\b"
    r"|(?:^|[.!?] |\boh,? )(?:and )?actually(?: ?[,—–]| -)"
)


@dataclass(frozen=True, slots=True)
class Facets:
    """What was measured about a whole session."""

    outcome: Outcome
    primary_intent: str
    tool_call_confirmations: int
    specification_drift: bool
    programming_languages: tuple[str, ...]
    frameworks: tuple[str, ...]


class FacetFold:
    """Measures the facets in one pass; state is a few counters and the end of the agent's last message."""

    def __init__(self) -> None:
        self._ending = Ending()
        self._intents = Intents()
        self._technologies = Technologies()
        self._confirmed = 0
        self._drift = False
        self._files = False
        self._tools = False
        self._asked = ""

    def update(self, seen: Seen) -> None:
        """Take one step."""
        step = seen.step
        self._ending.update(seen)
        if step.kind == "user_message":
            if seen.said is not None:
                self._user(seen, seen.said)
        elif step.kind == "assistant_message":
            if seen.said_low.strip():
                self._asked = seen.said_low[-400:]
            self._technologies.message(step.text or "")
        elif step.kind == "tool_call":
            if seen.call is not None:
                self._call(seen.call, step.arguments)
        elif step.kind == "tool_result":
            self._result(seen)
        elif step.name == "slash_command":
            self._technologies.command(step.text or "")

    def _user(self, seen: Seen, said: Utterance) -> None:
        self._intents.update(said.text)
        if self._asked and len(said.tokens) <= SHORT and self._offered() and _agrees(said.text):
            self._confirmed += 1
        if seen.turn.number > 0 and not self._drift and len(said.tokens) < REMARK:
            self._drift = bool(_DRIFT.search(said.text))
        self._asked = ""

    def _offered(self) -> bool:
        """Whether the agent's last words asked leave to do something, not for information."""
        return bool(_OFFER.search(self._asked)) and not _ASKS_INFORMATION.search(self._asked[-160:])

    def _call(self, call: Call, arguments: object) -> None:
        self._tools = True
        self._files = self._files or call.family in ("file_edit", "file_read", "shell", "search")
        self._technologies.call(call, arguments)

    def _result(self, seen: Seen) -> None:
        call = seen.call
        if seen.step.status == "rejected" or (call is not None and call.tool_name == _PLAN_TOOL):
            self._confirmed += 1
        if call is None:
            self._files = self._files or seen.turn.edits > 0
            self._confirmed += len(_PROMPTED.findall((seen.step.text or "")[:4000]))
        self._technologies.result(seen)

    def finish(self) -> Facets:
        """The facets of the steps that were fed."""
        return Facets(
            outcome=self._ending.outcome(),
            primary_intent=self._intents.intent(self._files, self._tools),
            tool_call_confirmations=min(self._confirmed, MOST_CONFIRMATIONS),
            specification_drift=self._drift,
            programming_languages=self._technologies.languages(),
            frameworks=self._technologies.frameworks(),
        )


def _agrees(text: str) -> bool:
    """Whether a turn says yes or no to an offer."""
    return bool(_YES.match(text) or _ORDERS.search(text)) and not _INFORMS.search(text)
