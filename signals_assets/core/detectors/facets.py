"""Facets of a session by evidence: outcome, intent, confirmations, drift, languages, frameworks.

Put here: the fold that measures facets and their allow lists.
Not here: events (one file per type), facets that discovery adds.

Every value is a word of a list in this file, a number or a flag: nothing of the session's text gets out.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

from signals_assets.core.detectors.context import Call, Seen
from signals_assets.core.detectors.cues import Utterance

Outcome = Literal["success", "partial", "abandoned", "transferred", "unclear"]

LANGUAGES: Final[dict[str, str]] = {
    "py": "Python", "go": "Go", "ts": "TypeScript", "tsx": "TypeScript", "js": "JavaScript", "jsx": "JavaScript",
    "mjs": "JavaScript", "rs": "Rust", "java": "Java", "kt": "Kotlin", "swift": "Swift", "rb": "Ruby", "php": "PHP",
    "c": "C", "h": "C", "cpp": "C++", "cc": "C++", "hpp": "C++", "cs": "C#", "sh": "Shell", "bash": "Shell",
    "sql": "SQL", "scala": "Scala", "ex": "Elixir", "exs": "Elixir", "lua": "Lua", "dart": "Dart", "r": "R",
    "hs": "Haskell", "vue": "Vue", "svelte": "Svelte", "css": "CSS", "scss": "CSS", "html": "HTML", "tf": "Terraform",
}  # fmt: skip
"""File suffix -> language."""

FRAMEWORKS: Final[dict[str, str]] = {
    "pytest": "pytest", "django": "Django", "manage.py": "Django", "fastapi": "FastAPI", "uvicorn": "FastAPI",
    "flask": "Flask", "react": "React", "tsx": "React", "jsx": "React", "next": "Next.js", "vue": "Vue",
    "svelte": "Svelte", "angular": "Angular", "rails": "Rails", "rake": "Rails", "spring-boot": "Spring",
    "jest": "Jest", "vitest": "Vitest", "playwright": "Playwright", "docker": "Docker", "docker-compose": "Docker",
    "dockerfile": "Docker", "kubectl": "Kubernetes", "helm": "Kubernetes", "terraform": "Terraform",
    "cobra": "Cobra", "bubbletea": "Bubble Tea", "dagster": "Dagster", "torch": "PyTorch",
}  # fmt: skip
"""Words in commands and paths that show a framework -> the name that may be said."""

INTENTS: Final[tuple[tuple[str, "re.Pattern[str]"], ...]] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("refund request", r"\brefund|\bmoney back\b|\bcompensat|\bvoucher\b"),
        ("cancellation", r"\bcancel"),
        ("return or exchange", r"\breturn (?:an?|the|my|some)\b|\bexchange\b"),
        ("booking", r"\bbook (?:a|an|the|my|me)\b|\bnew (?:flight|reservation|booking)\b"),
        ("change of booking or order", (
            r"\b(?:change|modify|update|upgrade|downgrade|move)\b.{0,60}\b(?:flight|reservation|booking|order"
            r"|seat|cabin|address|ticket|item)"
        )),
        ("connection or device problem", (
            r"\b(?:phone|signal|mobile data|data speed|network|mms|messages?|sim|roaming|internet|no service"
            r"|wi-?fi calling)\b"
        )),
        ("billing and payment", r"\b(?:bill|billing|invoice|charge[ds]?|payment|overdue)\b"),
        ("account access", r"\b(?:password|log ?in|sign ?in|account)\b"),
        ("code review", r"\breview\b|\bpull request\b|\bpr\b|\bfindings?\b"),
        ("bug fix", (
            r"\b(?:bug|fix|broken|error|fail(?:s|ing|ed)?|crash|issue|wrong|regression|doesn't work"
            r"|not working)\b"
        )),
        ("refactoring", r"\b(?:refactor|rename|clean ?up|simplif|move|extract|dedup|restructure|consolidat)"),
        ("tests", r"\btests?\b|\bcoverage\b"),
        ("documentation", r"\b(?:readme|docs?|document|changelog|comments?)\b"),
        ("performance", r"\b(?:slow|performance|speed up|latency|faster|optimi[sz]e)\b"),
        ("configuration and build", r"\b(?:config(?:ure)?|setup|install|build|ci|workflow|deploy|lint|upgrade)\b"),
        ("version control", r"\b(?:commit|rebase|merge|branch|squash|cherry-pick)\b"),
        ("planning and design", r"\b(?:plan|design|brainstorm|propos|approach|architecture|spec)\b"),
        ("removal of a feature", r"\b(?:remove|delete|drop|get rid of)\b"),
        ("new feature", r"\b(?:add|implement|create|build|new|support|introduce|feature|make|write)\b"),
        ("question about code", r"\b(?:how|what|why|where|explain|understand|does)\b"),
    )
)  # fmt: skip
"""Intents in general words, the more telling first; support intents count only where no files are worked on."""
SUPPORT_INTENTS: Final = 8

_TOKEN: Final = re.compile(r"[a-z][a-z-]+(?:\.py\b)?")
_TRANSFER: Final = re.compile(r"transfer.*(?:human|agent|person|specialist|support)|escalate_to|handoff", re.I)
_WORKING: Final = re.compile(
    r"\b(?:works?|working|worked|solved|resolved|fixed|perfect|all i needed|everything i needed"
    r"|covers (?:everything|what))\b"
)
_GAVE_UP: Final = re.compile(
    r"\b(?:never mind|nevermind|forget (?:it|about it)|give up|i concede|leave it|not worth"
    r"|i'll (?:do|handle|explore|try|find|look) .{0,30}(?:myself|other|else|another|elsewhere))\b"
)
_UNDONE: Final = re.compile(
    r"\b(?:still fail(?:s|ing)|not (?:yet )?(?:done|fixed|working|resolved|implemented)|couldn't"
    r"|could not|unable to|remaining|failing|incomplete|partially)\b|❌"
)
_STRONG_YES: Final = re.compile(
    r"^(?:y|yes|yep|yup|yeah|ok|okay|sure|go ahead|proceed|do it|confirm(?:ed)?|please do|go for it"
    r"|sounds good|no|nope)\b"
)
_DRIFT: Final = re.compile(
    r"\b(?:changed? my mind|on second thought|forget (?:about )?(?:that|it|this)|scrap (?:that|this)"
    r"|new (?:idea|plan|direction)"
    r"|different (?:approach|direction)|starting not to like|go back to|actually,? (?:let's|lets"
    r"|i(?:'d| would) (?:rather|prefer)|can we))\b"
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
    """Measures the facets in one pass; state is a few counters and the last turns' scores."""

    def __init__(self) -> None:
        self._intent = ""
        self._languages: Counter[str] = Counter()
        self._frameworks: Counter[str] = Counter()
        self._confirmed = 0
        self._drift = False
        self._transferred = False
        self._last_user: Utterance | None = None
        self._after_user = 0
        self._last_kind = ""
        self._last_interrupt = False
        self._agent_undone = False
        self._agent_refused = 0.0
        self._open_failures = 0
        self._undos = 0
        self._agent_steps = 0
        self._ever_worked = False
        self._files = False

    def update(self, seen: Seen) -> None:
        """Take one step."""
        step = seen.step
        self._last_kind = step.kind
        self._last_interrupt = step.kind == "event" and step.name == "interrupt"
        if seen.said is not None and step.kind == "user_message":
            self._user(seen, seen.said)
        elif step.kind == "assistant_message":
            self._agent_steps += 1
            self._after_user += 1
            if seen.said_low.strip():
                self._agent_undone = bool(_UNDONE.search(seen.said_low[-700:]))
                self._agent_refused = seen.turn.refused
        elif step.kind == "tool_call" and seen.call is not None:
            self._agent_steps += 1
            self._after_user += 1
            self._call(seen.call)
        elif step.kind == "tool_result":
            self._result(seen)
        elif step.kind == "event" and step.name == "slash_command":
            self._undos = self._undos + 1 if (step.text or "").startswith("/undo") else self._undos

    def _user(self, seen: Seen, said: Utterance) -> None:
        if seen.turn.number < 2 or not self._intent:
            self._intent = self._intent or intent_of(said.text, self._files or seen.turn.edits > 0)
        if seen.turn.asked and len(said.tokens) <= 40 and _STRONG_YES.match(said.text):
            self._confirmed += seen.turn.calls > 0 or seen.turn.number > 0
        self._drift = self._drift or (seen.turn.number > 0 and len(said.tokens) < 80 and bool(_DRIFT.search(said.text)))
        self._ever_worked = bool(_WORKING.search(said.text)) and said.complaint < 0.8
        self._last_user, self._after_user, self._undos = said, 0, 0

    def _call(self, call: Call) -> None:
        self._transferred = self._transferred or bool(_TRANSFER.search(call.tool_name))
        self._files = self._files or call.family in ("file_edit", "file_read", "shell", "search")
        if call.path and call.family in ("file_edit", "file_read"):
            language = LANGUAGES.get(call.path.rsplit(".", 1)[-1].lower())
            if language is not None:
                self._languages[language] += 5 if call.family == "file_edit" else 1
        place = f"{call.command[:300]} {call.path}".lower()
        shown = FRAMEWORKS.keys() & _TOKEN.findall(place)
        self._frameworks.update(FRAMEWORKS[word] for word in shown)

    def _result(self, seen: Seen) -> None:
        family = seen.call.family if seen.call else ""
        if seen.step.status == "rejected" or (family == "plan" and seen.call and seen.call.tool_name == "ExitPlanMode"):
            self._confirmed += 1
        if seen.failed:
            self._open_failures += 1
        elif family in ("shell", "unknown", "file_edit"):
            self._open_failures = 0

    def finish(self) -> Facets:
        """The facets of the session that was fed."""
        total = sum(self._languages.values())
        return Facets(
            outcome=self._outcome(),
            primary_intent=self._intent or "general request",
            tool_call_confirmations=min(self._confirmed, 10_000),
            specification_drift=self._drift,
            programming_languages=tuple(name for name, n in self._languages.most_common(4) if n >= max(3, 0.1 * total)),
            frameworks=tuple(name for name, n in self._frameworks.most_common(5) if n >= 2),
        )

    def _outcome(self) -> Outcome:
        last = self._last_user
        if self._transferred:
            return "transferred"
        if last is None or self._agent_steps == 0:
            return "unclear"
        gave_up = bool(_GAVE_UP.search(last.text)) and self._after_user <= 2
        if self._undos >= 2 or gave_up:
            return "abandoned"
        if self._ever_worked and self._after_user <= 2:
            return "success"
        if self._ends_open(last):
            return "partial"
        return "success"

    def _ends_open(self, last: Utterance) -> bool:
        """Whether the record stops before the last request was served."""
        if self._last_interrupt or (self._last_kind in ("tool_call", "user_message") and last.approval < 0.5):
            return True
        if self._after_user == 0:
            return last.complaint >= 0.8
        undone = self._agent_undone and (self._open_failures > 0 or last.complaint >= 1.0)
        return undone or self._open_failures >= 2


def intent_of(request: str, files: bool) -> str:
    """The intent that a request's opening shows, in at most six general words; "" when none is plain.

    The verdict is the intent with the earliest evidence among those that occur in the first sentences.
    """
    head = request[:600]
    candidates = INTENTS[SUPPORT_INTENTS:] if files else INTENTS
    found = [
        (match.start() // 60, order, name) for order, (name, p) in enumerate(candidates) if (match := p.search(head))
    ]
    return min(found)[2] if found else ""
