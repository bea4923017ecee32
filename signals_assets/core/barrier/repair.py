"""One deterministic second try for texts of the rule-based analyst: drop the offending word or clause.

Put here: what may be dropped so that the rest says less, never something else.
Not here: the rules (see `rules.py`). A language model gets its second try by being asked again with the rule's name.

A quoted sequence (R6) costs its whole clause; a text of which too little is left is given up. Whatever comes out
is judged by all rules again, so a repair can lose a text but cannot let one through.
"""

import re
from collections.abc import Callable
from typing import Final

from signals_assets.core.barrier.rules import (
    Shape,
    View,
    admissible,
    bad_numbers,
    commanding,
    judge,
    rare_sequences,
    rare_words,
    spaced,
    subject_first,
)
from signals_assets.core.barrier.support import Grams, tokens

LEAST_LEFT: Final = 0.6
"""Share of the words that must survive; below it the sentence no longer says what it said."""

_CLAUSES: Final = re.compile(r"(?<=[.;:]) +|, +| +(?=(?:but|because|while|whereas|although|so that|which) )")
_TYPOGRAPHY: Final = str.maketrans({"\u2019": "'", "\u2018": "'", "\u2013": "-", "\u2014": ",", "\n": " ", "\t": " "})
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9 ,.;:()'%-]")
_EDGES: Final = "(),;:.%"
_DANGLING: Final = re.compile(r"(?:,? (?:about|and|or|with|of|the|an?))+(?=[.,;:)]|$)")
_DOUBLED: Final = re.compile(r"\b(about|of|with) (?:and|or)\b")


def repaired(text: str, rule: str, *, limit: int, shape: Shape, view: View, grams: Grams) -> str | None:
    """The text with everything dropped that a rule refuses, or None when too little would be left.

    `rule` is the code of the first verdict; the other rules are repaired in the same try, since there is only one.
    Only the first `4 * limit` characters of the text are looked at.
    """
    head = text[: 4 * limit]
    steps: tuple[Callable[[str], str], ...] = (
        _without_foreign,
        lambda t: _shortened(t, limit),
        _without_numbers,
        _without_unknown,
        lambda t: _without_rare(t, view),
        lambda t: _clauses_without(t, lambda clause: bool(rare_sequences(clause, view, grams))),
        lambda t: _with_subject(t, shape),
    )
    result = head
    for step in steps:
        result = _tidy(step(result))
    enough = len(tokens(result)) >= LEAST_LEFT * len(tokens(head)) or rule == "R0"
    return result if result and enough else None


def _without_foreign(text: str) -> str:
    plain = text.translate(_TYPOGRAPHY)
    kept = [word for word in plain.split() if not _FOREIGN.search(word.strip('"`'))]
    joined = " ".join(word.strip('"`') for word in kept)
    return re.sub(r"(?<![A-Za-z])'|'(?![A-Za-z])", "", joined).lstrip("-% ")


def _shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    cut = text[:limit]
    ends = [match.start() for match in re.finditer(r"[.;,] ", cut)]
    return cut[: ends[-1]] if ends else cut.rpartition(" ")[0]


def _without_numbers(text: str) -> str:
    for start, stop in reversed(bad_numbers(text)):
        left = text.rfind(" ", 0, start) + 1
        right = text.find(" ", stop)
        text = text[:left] + (text[right + 1 :] if right >= 0 else "")
    return text


def _without_unknown(text: str) -> str:
    kept = []
    for raw, starts in spaced(text):
        verdict = judge(raw.strip(_EDGES), starts)
        if verdict == "R4" and all(part in admissible() for part in raw.strip(_EDGES).lower().split("-")):
            kept.append(raw.lower())
        elif verdict is None:
            kept.append(raw)
        else:
            kept.append("".join(c for c in raw if c in ",.;:)" and raw.rstrip(_EDGES) != raw)[-1:])
    return " ".join(kept)


def _without_rare(text: str, view: View) -> str:
    rare = rare_words(tokens(text), view)
    if not rare:
        return text
    return " ".join(word for word in text.split(" ") if rare.isdisjoint(tokens(word)))


def _clauses_without(text: str, refused: Callable[[str], bool]) -> str:
    """The text without the clauses that are refused; sequences across a clause's edge cost the later clause."""
    kept: list[str] = []
    for clause in _CLAUSES.split(text):
        if not refused(", ".join([*kept[-1:], clause])):
            kept.append(clause)
    return ", ".join(clause.rstrip(",") for clause in kept).replace(".,", ".").replace(";,", ";").replace(":,", ":")


def _with_subject(text: str, shape: Shape) -> str:
    if shape != "sentence":
        return text
    if commanding(text):
        text = _clauses_without(text, commanding)
    if not tokens(text):
        return ""
    if subject_first(text):
        return text
    first = text.split(" ", 1)[0]
    return f"Session: {text if judge(first.strip(_EDGES), False) == 'R3' else first.lower() + text[len(first) :]}"


def _tidy(text: str) -> str:
    text = re.sub(r"\(\s*[,.;:]*\s*\)", " ", text)
    text = re.sub(r" +([,.;:)])", r"\1", re.sub(r" {2,}", " ", text))
    text = _DOUBLED.sub(r"\1", _DANGLING.sub("", text))
    return re.sub(r"([,;:])(?:[,;:])+", r"\1", text).strip(" ,;:-")
