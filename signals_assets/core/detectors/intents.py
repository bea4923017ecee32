"""What a user came for, in general words, by the words of the first requests.

Put here: the lists of intents and the choice among them.
Not here: discovered intents (they come from clustering), the other facets (see `facets.py`).

Three lists, because the same word means different things beside files, in customer care and in a chat: which list
holds is known only when the session's tools have been seen, so `Intents` keeps the verdict of each.
"""

import re
from typing import Final

HEAD: Final = 600
"""Characters of a request that are read: the wish comes first."""
NEAR: Final = 80
"""Evidence within so many characters counts as equally early; then the more telling intent wins."""
TURNS: Final = 3
"""First turns among which the request is looked for, greetings and answers passed over."""

Named = tuple[tuple[str, "re.Pattern[str]"], ...]


def _intents(*pairs: tuple[str, str]) -> Named:
    return tuple((name, re.compile(pattern)) for name, pattern in pairs)


_THING: Final = (
    r"(?:flight|trip|reservation|booking|order|seat|cabin|class|address|ticket|item|passenger|plan|subscription"
    r"|appointment|delivery|bag|luggage)s?"
)
SUPPORT: Final = _intents(
    ("refund request", r"\brefund|\bmoney back\b|\bcompensat|\bvoucher\b|\breimburs"),
    ("cancellation", r"\bcancel"),
    ("return or exchange", r"\breturn (?:an?|the|my|some|one|two|them|it|this)\b|\bexchang\w+\b|\bsend back\b"),
    (
        "change of booking or order",
        rf"\b(?:chang|modif|updat|upgrad|downgrad|mov|switch|remov|add|correct)\w*\b.{{0,60}}\b{_THING}\b",
    ),
    ("status of an order or request", r"\bstatus\b|\bwhere is my\b|\barriv\w+\b|\btrack(?:ing)?\b|\bsupposed to\b"),
    (
        "connection or device problem",
        (
            r"\b(?:phone|signal|mobile data|data speed|network|mms|picture messages?|sim|roaming|internet"
            r"|no service|wi-?fi|router|printer)\b"
        ),
    ),
    ("booking or purchase", r"\b(?:book|reserve|buy|purchase|order) (?:a|an|the|my|me|some|one|two|three)\b"),
    ("billing and payment", r"\b(?:bill|billing|billed|invoice|charged?|charges|payment|overdue|paid)\b"),
    ("account access", r"\b(?:password|log ?in|sign ?in|locked out|my account|verification code)\b"),
    ("complaint", r"\b(?:complain|complaint|unacceptable|delayed|damaged|defective|disappoint)\w*\b"),
)
"""Customer care, the more telling first."""

_CHANGES: Final = (
    r"(?:change|update|adjust|invert|improve|enhance|extend|tweak|hide|hidden|show|display|sort|replace|include)"
)
CODING: Final = _intents(
    ("code review", r"\breview (?:the|this|my|our|these|it|pr|code|change|comment|finding)\w*\b|\bcode review\b"),
    ("review feedback", r"\b(?:findings?|feedback|review comments?|reviewer)\b"),
    (
        "bug fix",
        (
            r"\b(?:bugs?|fix(?:es|ed)?|broken|errors?|fail(?:s|ing|ed|ure|ures)?|crash(?:es|ed)?|issues? with|wrong"
            r"|regression|(?:does|do|is|did)(?:n't| not) (?:\w+ )?(?:work|show|appear|respond|save|set|account)\w*"
            r"|not working|no longer works?|silently|would have expected)\b"
        ),
    ),
    (
        "bug investigation",
        (
            r"^debug\b|\b(?:debug (?:the|this|why|it)|investigat\w+|diagnos\w+|root cause|figure out why"
            r"|trac(?:e|k) down)\b"
        ),
    ),
    ("performance", r"\b(?:slow|slowness|performance|speed up|latency|delay|faster|optimi[sz]e|memory leak)\b"),
    (
        "refactoring",
        (
            r"\b(?:refactor|rename|clean ?up|simplif\w+|move (?:the|this|these|it|all)|extract|dedup\w*|duplicated?"
            r"|restructure|consolidat\w+|reorgani[sz]e|should we make it)\b"
        ),
    ),
    ("removal of a feature", r"\b(?:remove|delete|drop|get rid of|uninstall)\b"),
    ("tests", r"\b(?:tests|(?:a|the|this|unit|integration) test|run test|coverage|test suite)\b"),
    ("documentation", r"\b(?:readme|docs|documentation|changelog|docstrings?|(?:claude|agents)\.md|design doc)\b"),
    (
        "version control",
        (
            r"\b(?:commit (?:this|the|my|these|all|it|and)|rebase|squash|cherry-pick|merge (?:the|this|main|it|into)"
            r"|push (?:this|it|to)|(?:open|create) (?:a )?(?:branch|pr|pull request)|summary for the pr)\b"
        ),
    ),
    (
        "configuration and build",
        (
            r"\b(?:config(?:ure|uration)?|settings?|set ?up|install\w*|build (?:fails?|error|script|config)|ci|workflow"
            r"|deploy\w*|lint\w*|docker\w*|release|dependenc(?:y|ies))\b"
        ),
    ),
    (
        "planning and design",
        (
            r"\b(?:brainstorm|(?:make|write|create|draft) (?:a |the )?(?:plan|spec|design)|propos\w+|architecture"
            r"|design (?:a|the)|roadmap|trade-?offs?)\b"
        ),
    ),
    ("carrying out a plan", r"\b(?:implement|execute|follow|carry out) (?:the |this )?(?:\w+ )?plan\b"),
    (
        "new feature",
        (
            r"\b(?:add|implement|create|build|introduce|support for|new (?:command|feature|page|option|file|field)"
            r"|make (?:a|an|me)|write (?:a|an|me|some)|generate|scaffold|wrap)\b"
        ),
    ),
    ("change of a feature", rf"\b{_CHANGES}\b|\binstead of\b|\bshould (?:be|have|show|also|only|not)\b"),
    ("research and comparison", r"\b(?:research|compar\w+|analy[sz]e|audit|evaluate|look into|explore|scan)\b"),
    (
        "question about code",
        r"\b(?:how|what|why|where|which|explain|understand|does|is there|can i|do we|is it|are we)\b",
    ),
    ("running a command", r"^(?:please )?(?:run|execute|start|restart|launch|retry)\b"),
)
"""Work on files, the more telling first."""

CHAT: Final = _intents(
    ("translation", r"\btranslat\w+\b"),
    (
        "writing help",
        (
            r"\b(?:write|draft|rewrite|rephrase|proofread|edit|shorten)\b.{0,40}\b(?:email|e-mail|letter|essay|article"
            r"|post|story|poem|paragraph|text|speech|cv|resume|blog)\b"
        ),
    ),
    ("summary of a text", r"\bsummar(?:y|i[sz]e)\b|\btl;?dr\b|\bkey points\b"),
    (
        "code snippet",
        r"\b(?:function|script|regex|query|code|class|snippet|typescript|python|javascript|sql|html|css)\b",
    ),
    (
        "data analysis",
        r"\b(?:table|csv|dataset|spreadsheet|statistic\w*|conversion rate|regression|sample size|chart|metadata)\b",
    ),
    ("recommendation", r"\b(?:recommend\w*|suggest\w*|which .{0,30}should i|best way|advice|ideas? for)\b"),
    ("calculation", r"\b(?:calculat\w+|comput\w+|how (?:much|many)|percent\w*)\b"),
    ("explanation", r"\b(?:explain|what (?:is|are|does)|how (?:do|does|can|to)|why|tell me|difference|know about)\b"),
)
"""Conversation without files or a customer's case, the more telling first."""

INTENTS: Final[Named] = tuple(dict((*SUPPORT, *CODING, *CHAT)).items())
"""All intents that may be named; of one name once."""


class Intents:
    """Finds the request among the first turns; keeps one verdict for each kind of session."""

    def __init__(self) -> None:
        self._turns = 0
        self._support = ""
        self._coding = ""
        self._chat = ""

    def update(self, request: str) -> None:
        """Take a turn of the user in lower case; after the first few turns nothing is read."""
        if self._turns >= TURNS:
            return
        self._turns += 1
        head = request[:HEAD]
        self._support = self._support or earliest(SUPPORT, head)
        self._coding = self._coding or earliest(CODING, head)
        self._chat = self._chat or earliest(CHAT, head)

    def intent(self, files: bool, tools: bool) -> str:
        """The intent in general words, of at most six; `files`: files or a shell were used; `tools`: any tool was."""
        if files:
            found = self._coding or self._chat
        elif tools:
            found = self._support or self._chat or self._coding
        else:
            found = self._chat or self._support or self._coding
        return found or "general request"


def earliest(intents: Named, head: str) -> str:
    """The name of the intent whose evidence comes first in a text in lower case; "" where none shows."""
    found = [(match.start() // NEAR, order) for order, (_, p) in enumerate(intents) if (match := p.search(head))]
    return intents[min(found)[1]][0] if found else ""
