"""Friction: work that was done is undone.

Put here: the user's wishes and reports of undoing, undo commands, the agent's reverts and deletions of its own work.
Not here: plain corrections (see `correction.py`).
"""

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from signals_assets.core.detectors.context import MOST_STEPS, Call, Detected, Detector, Seen, Severity
from signals_assets.core.detectors.failures import stopped
from signals_assets.core.detectors.patterns import weighted

LONGEST: Final = 90
"""Words; a longer message that mentions undoing is mostly about something else."""
WITHIN: Final = 260
"""Characters within which a wish to undo stands; later the words are mostly about undoing as a subject."""
NEAR: Final = 4
KNOWN: Final = 1024
"""Lines, edits and files remembered, each."""
HEARD: Final = 64
"""Wishes remembered."""
LINES: Final = 200
"""Lines of one edit that are looked at."""
SHORTEST: Final = 4
"""Characters of a line that carries work."""
DELETED: Final = 2
"""Lines of its own that an edit must take away to be a deletion of earlier work."""
DOUBT: Final = 0.5
"""Complaint from which on the user's words call the work in question."""
MATERIAL: Final = 0.45
"""Confidence of signs that alone may be tidying up: stored, not counted."""
_COMMAND: Final = re.compile(
    r"[/!](?:undo|rewind|revert|rollback|restore)\b|/checkpoint restore"
    r"|[/!](?:run )?git (?:checkout|restore|reset --hard|revert)\b"
)
_UNDO_EVENTS: Final = frozenset({"undo", "rewind", "revert", "rollback", "restore", "checkpoint_restored"})
_RESTORED: Final = re.compile(
    r"(?:checkpoint restored|restored (?:to )?checkpoint|reverted to |rewound to )", re.IGNORECASE
)
_CLAUSE: Final = r"(?:^|[.,;:!?(]\s+|\n"
_WISH: Final = (
    _CLAUSE + r"|\b(?:please|pls|just|let's|lets|let us|(?:can|could|would|should) (?:you|we)"
    r"|(?:we|you|i)(?: will| would|'ll)? (?:need|want|have|like|should|must)(?: you)?(?: to)?|think we"
    r"|and|then|now|so|ok|okay|no|nah|nope|yes|yeah|maybe|instead|me)\s+)"
)
"""What stands before a verb that is a wish: the beginning of a clause, or words that ask."""
_IT: Final = r"(?:it|that|this|them|those|these|everything|all|the \w+(?: \w+)?|your \w+|my \w+)"
_REQUESTS: Final = weighted(
    (
        (
            _WISH + r"(?:undo|revert|roll(?:ing)? ?back|back out|unwind|discard|scrap|start over"
            r"|start (?:from scratch|fresh|all over)|redo (?:it|this|everything) from)\b"
            r"(?! (?:command|feature|function|test|button|logic|stack|history|support|commit\b|of\b))"
        ),
        0.9,
    ),
    (
        _WISH + rf"(?:put|change|switch|move|turn|set|bring|take) {_IT} back\b(?! (?:in|on|up|out|into|again)\b)",
        0.85,
    ),
    (
        (
            _CLAUSE + r"|\b(?:let's|lets|(?:can|could|should|maybe|please|just|so|ok|no|nah) (?:we )?"
            r"|we (?:should |need to |must )?)\s?)(?:just )?go back"
            r"(?: to (?!the (?:changes?|question|topic|point|issue|list|first question)\b)|[.!]?$)"
        ),
        0.8,
    ),
    (
        (
            _WISH + r"(?:restore|bring back|reinstate|put back|re-?add|add back)\b (?:\w+ ){0,2}"
            r"(?:old|original|previous|former|earlier|removed|deleted|it|that|them|what (?:we|you|i|was))\b"
        ),
        0.85,
    ),
    (r"\b(?:remove|delete|drop|take out|get rid of|yank)\b[^.?!\n]{0,60}\bagain\b", 0.9),
    (
        (
            r"\bgo back (?:\d+|one|a|two) steps?\b|\b(?:hit|pressed|clicked|used) (?:the )?undo\b"
            r"|\b(?:remove|undo|drop|delete) (?:all )?(?:the |your )?(?:latest|last|recent|previous)"
            r" (?:\w+ )?(?:changes?|edits?)\b|\bbring back (?:all|the|what|everything|my|our)\b"
        ),
        0.85,
    ),
    (
        (
            r"^(?:no[,.]? |nah[,.]? |please |ok[,.]? |actually[,]? |can you |can we |let's |then )*"
            r"(?:remove|delete|drop|yank) (?:it|this|that|these|those|them|the (?:first|last|two|new|added))\b"
            r"(?! (?:line|word|column|row) (?:in|of|from)\b)"
        ),
        0.8,
    ),
    (
        (
            r"\bi(?:'ve| have|'m)? (?:just |already |now |had to |manually |have to )*"
            r"(?:undid|undone|undoing|reverted|reverting|rolled back|discarded"
            r"|(?:git )?reset (?:to|hard|the branch|everything|all|back)\b|stashed (?:it|your|everything)\b)"
        ),
        0.9,
    ),
    (
        (
            r"\b(?:undo|undid|undone|revert|reverted|rolled back|discarded) (?:all )?(?:of )?"
            r"(?:your|the last|those|these) (?:\w+ )?(?:change|edit|commit|work)"
        ),
        0.9,
    ),
    (
        (
            r"\babandon (?:the|this|that)\b|\bi concede\b|\bscrap (?:it|this|that|the)\b"
            r"|\bthrow (?:it|this|that|all) (?:all )?away\b"
        ),
        0.85,
    ),
    (
        (
            r"\b(?:was|were|looked|worked) (?:\w+ )?(?:better|fine|right|correct|ok|perfect)"
            r" (?:before|previously|the way it was|as it was)\b"
            r"|\b(?:like|as|how|the way) (?:it|they|we|that) (?:was|were|had|used to be|had it)(?: before)?\b"
            r"(?! (?:written|described|mentioned))"
            r"|\b(?:prefer|want|keep|use|liked?)(?:red)? (?:it )?the (?:old|previous|original|earlier|former|first)"
            r" (?:one|version|way|layout|design|code|approach)\b"
            r"|\bthis should still be\b"
            r"|\bthe (?:old|previous|original|earlier) (?:one|version|way|layout|design|code) was\b"
        ),
        0.75,
    ),
)
"""How people ask for work to be taken back, or say that they took it back, with how sure each form is."""
_HYPOTHETICAL: Final = re.compile(
    r"\b(?:if|when|whether|does|would|will it|why did|how (?:do|does|can|to)|what happens)\b[^.,;!\n]{0,60}\Z"
)
"""Before the words: they ask about undoing, they do not ask for it."""
_SO_FAR: Final = re.compile(
    r"\b(?:so far|your (?:last )?(?:changes?|work|edits?)|what (?:you|we) (?:did|made|built))\b"
)
"""An opening request that goes on with earlier work of the agent."""
_GIVEN_UP: Final = re.compile(r"start over|from scratch|start fresh|abandon|concede|go(?:ing)? back|scrap|throw")
_ANNOUNCED: Final = re.compile(
    r"\b(?:let me|i'll|i will|i need to|i should|going to|now)\b.{0,20}"
    r"\b(?:revert(?:ing)?|undo|roll back|back out|start over|restore the (?:original|previous|old))\b(?!.{0,30}\bdebug)"
    r"|^.{0,24}\b(?:reverting|undoing|restor(?:e|ing) the (?:original|previous|old))\b"
)
_GIT_UNDO: Final = re.compile(
    r"\bgit (?:checkout (?:HEAD\S* )?-- |checkout \S+\.\w+|restore (?!--staged)|reset --hard|revert\b"
    r"|stash(?: push| -u|\s*$|\s*&)|clean -)"
)
_GIT_MOVES: Final = re.compile(
    r"\bgit (?:merge|rebase|cherry-pick|pull|fetch|push|switch|branch|worktree|stash pop)\b"
    r"|reset --hard (?:\S*origin|upstream)/?"
)
"""Housekeeping between branches: what is thrown away there is not the agent's own work."""
_REMOVES: Final = re.compile(r"\b(?:git )?rm (?:-\S+ )*")
_PASSING: Final = re.compile(r"tmp|temp|debug|scratch|demo|repro|sample|\.log\b|plan", re.IGNORECASE)
_IMPORTS: Final = re.compile(
    r"(?:import|from|use|using|#include|require|package|const \w+ = require)\b|[\"'][\w./@-]+[\"'],?$"
    r"|[(){}\[\];,]+$|//|#|\*|/\*"
)
_BEFORE: Final = ("old_string", "old_str", "oldString", "TargetContent")
_AFTER: Final = ("new_string", "new_str", "newString", "ReplacementContent", "content", "contents", "file_text")


class Backtracking(Detector):
    """Undo commands, wishes to undo, own reverts, and deletions of the agent's own earlier work."""

    type: ClassVar[str] = "backtracking"
    looks_at: ClassVar[str] = (
        "undo commands, the user's wishes and reports of undoing, version control resets of files the agent edited,"
        " edits that restore an earlier text or delete what the agent wrote in an earlier turn"
    )
    ignores: ClassVar[str] = (
        "the opening request of a session, words heard before, refactoring, imports, clean-up, talk about undo features"
    )
    listens: ClassVar[frozenset[str]] = frozenset({"said", "assistant_message", "tool_call", "tool_result", "event"})

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._weight = 0.0
        self._commands = 0
        self._given_up = False
        self._call: Call | None = None
        self._asked = -1
        self._doubted = False
        self._worked = False
        self._serves = False
        self._heard: OrderedDict[int, None] = OrderedDict()
        self._edits: OrderedDict[int, int] = OrderedDict()
        self._lines: OrderedDict[int, int] = OrderedDict()
        self._touched: OrderedDict[str, int] = OrderedDict()

    def update(self, seen: Seen) -> list[Detected]:
        """Join nearby signs of one undoing; return a moment once the session has moved on."""
        if seen.step.kind == "tool_result" and seen.said is None:
            return self._withdraw(seen)
        weight = self._weight_of(seen)
        done: list[Detected] = []
        if self._steps and seen.index - self._steps[-1] > NEAR:
            done = self._close()
        if weight > 0:
            if self._answers(seen):
                self._steps.append(self._asked)
            if len(self._steps) < MOST_STEPS:
                self._steps.append(seen.index)
            self._weight = max(self._weight, weight)
            self._call = seen.call or self._call
        return done

    def finish(self) -> list[Detected]:
        """Return what was open."""
        return self._close(ended=True)

    def _answers(self, seen: Seen) -> bool:
        """Whether the agent undoes at once what the user has just called in question: then the user is part of it."""
        if seen.step.kind not in ("assistant_message", "tool_call") or self._asked < 0:
            return False
        return seen.turn.steps <= 1 or (self._doubted and seen.turn.steps <= NEAR)

    # --- signs

    def _weight_of(self, seen: Seen) -> float:
        step = seen.step
        if step.kind == "event":
            return self._event(step.name or "", step.text or "")
        if seen.said is not None:
            return self._wish(seen)
        if step.kind == "assistant_message":
            self._worked |= "```" in (step.text or "")
            return 0.6 if seen.turn.number and _ANNOUNCED.search(seen.said_low[:1000]) else 0.0
        if step.kind == "tool_call" and seen.call is not None:
            self._serves |= seen.call.by_user or seen.call.family == "unknown"
            if seen.call.by_user:
                return 0.0
            return self._call_weight(seen.call, step.arguments or {}, seen.turn.number)
        return 0.0

    def _event(self, name: str, text: str) -> float:
        if name in _UNDO_EVENTS or (name == "slash_command" and _COMMAND.match(text)) or _RESTORED.match(text):
            self._commands += 1
            return 0.95
        return 0.0

    def _wish(self, seen: Seen) -> float:
        """How sure the user wants, or reports, that work is taken back."""
        said = seen.said
        if said is None:
            return 0.0
        text = said.text[:WITHIN]
        self._asked = seen.index
        self._doubted = seen.turn.number > 0 and (said.asks or said.complaint >= DOUBT)
        found = [(match, weight) for pattern, weight in _REQUESTS if (match := pattern.search(text))]
        new = [self._news(text[match.start() : match.start() + 40]) for match, _ in found]
        self._worked |= seen.turn.edits > 0
        opening = seen.turn.number == 0 and not _SO_FAR.search(text)
        if opening or (self._serves and not self._worked) or len(said.tokens) > LONGEST:
            return 0.0
        weights = [
            weight
            for (match, weight), fresh in zip(found, new, strict=True)
            if fresh and not _HYPOTHETICAL.search(text[: match.start()])
        ]
        if weights and any(_GIVEN_UP.search(match.group(0)) for match, _ in found):
            self._given_up = True
        return max(weights, default=0.0)

    def _news(self, words: str) -> bool:
        """Whether these words are heard for the first time: pasted or re-sent words ask for nothing."""
        key = hash(words)
        fresh = key not in self._heard
        self._heard[key] = None
        _bound(self._heard, HEARD)
        return fresh

    def _call_weight(self, call: Call, arguments: Mapping[str, Any], turn: int) -> float:
        self._worked |= call.family in ("shell", "file_edit")
        if call.family == "shell":
            return self._shell(call.command, turn)
        if call.family != "file_edit":
            return 0.0
        weight = max((self._edit(call.path, before, after, turn) for before, after in _changes(arguments)), default=0.0)
        if call.path:
            self._touched.setdefault(call.path.rsplit("/", 1)[-1], turn)
            _bound(self._touched)
        return weight

    def _shell(self, command: str, turn: int) -> float:
        undo, removal = _GIT_UNDO.search(command), _REMOVES.search(command)
        if undo is None and removal is None:
            return 0.0
        named = [written for name, written in self._touched.items() if name in command]
        if undo is not None:
            return 0.6 if named and not _GIT_MOVES.search(command) else MATERIAL if self._touched else 0.0
        earlier = any(written < turn for written in named)
        return MATERIAL if earlier and self._doubted and not _PASSING.search(command) else 0.0

    def _edit(self, path: str, before: str, after: str, turn: int) -> float:
        """How sure an edit undoes: by restoring the text before an edit, or by deleting own lines of earlier turns."""
        if before == after:
            return 0.0
        earlier = self._edits.get(hash((path, after, before)))
        self._edits[hash((path, before, after))] = turn
        _bound(self._edits)
        old, new = _weighty(before), _weighty(after)
        removed, added = old - new, new - old
        own = [line for line in removed if self._lines.get(line, turn) < turn]
        for line in added:
            self._lines.setdefault(line, turn)
        _bound(self._lines)
        if earlier is not None:
            return 0.0 if earlier == turn or not (removed or added) else 0.7 if self._doubted else MATERIAL
        if len(own) >= DELETED and len(own) >= 0.6 * len(removed) and len(added) <= 0.4 * len(removed):
            return 0.55 if self._doubted else MATERIAL
        return 0.0

    # --- moments

    def _withdraw(self, seen: Seen) -> list[Detected]:
        """A call that failed or was stopped has undone nothing."""
        call = seen.call
        if call is None or call.index not in self._steps:
            return []
        if seen.failed or stopped(seen.step.status, seen.step.text or "", call.family):
            self._steps.remove(call.index)
            if not any(step != self._asked for step in self._steps):
                self._close()
        return []

    def _close(self, ended: bool = False) -> list[Detected]:
        if not self._steps:
            return []
        severity: Severity = (
            "medium" if self._given_up or len(set(self._steps)) > NEAR or self._commands >= 2 else "low"
        )
        if ended and self._commands >= 3:
            severity = "high"
        event = self.found(self._steps, severity, self._weight, (self._call,) if self._call else ())
        self._steps, self._weight, self._call = [], 0.0, None
        self._commands, self._given_up = 0, False
        return [event]


def _bound(known: "OrderedDict[Any, Any]", most: int = KNOWN) -> None:
    while len(known) > most:
        known.popitem(last=False)


def _changes(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(text before, text after) of an edit in the notations of the harnesses; a new file has no text before."""
    listed = arguments.get("edits")
    for part in [arguments, *(listed if isinstance(listed, list) else [])]:
        if not isinstance(part, Mapping):
            continue
        before = next((part[key] for key in _BEFORE if key in part), "")
        after = next((part[key] for key in _AFTER if key in part), "")
        if isinstance(before, str) and isinstance(after, str) and (before or after):
            yield before, after
    patch = next((arguments[key] for key in ("input", "patch", "_raw") if isinstance(arguments.get(key), str)), "")
    if "*** " in patch[:400]:
        lines = patch.splitlines()
        yield (
            "\n".join(line[1:] for line in lines if line.startswith("-")),
            "\n".join(line[1:] for line in lines if line.startswith("+")),
        )


def _weighty(text: str) -> frozenset[int]:
    """Hashes of the lines that carry work: no imports, comments, brackets, and nothing too short to be told apart."""
    lines = (line.strip() for line in text.split("\n", LINES)[:LINES])
    return frozenset(hash(line) for line in lines if len(line) >= SHORTEST and not _IMPORTS.match(line))
