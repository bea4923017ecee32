"""The one second try of a refused text, without asking anybody: drop the offending word or clause.

Put here: `Refusal`, and what may be dropped so that the rest says less, never something else.
Not here: the rules (see `rules.py`), a language model that is asked again (see `core/revision.py`).

`repaired` is for texts of the built-in rules, whose sentences are templates of ours: words go one by one, a quoted
sequence (R6) costs its whole clause. `without_clauses` is for texts of anybody else. A hole in somebody's sentence
shows where a secret was, so there only whole clauses go, and a refusal that tells of a name, a rare word, a quotation
or a code (R4 to R7) costs the whole text. A text of which too little is left is given up. Whatever comes out is judged
by all rules again, so a second try can lose a text but cannot let one through: what it says, the first could have said.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from signals_assets.core.barrier.rules import (
    Shape,
    View,
    admissible,
    bad_numbers,
    commanding,
    first_failure,
    judge,
    rare_sequences,
    rare_words,
    spaced,
    subject_first,
)
from signals_assets.core.barrier.support import Grams, tokens

LEAST_LEFT: Final = 0.6
"""Share of the words that must survive; below it the sentence no longer says what it said."""

TextField = Literal["summary", "intent", "citation", "need"]

LIMITS: Final[Mapping[TextField, int]] = {"summary": 400, "intent": 80, "citation": 240, "need": 240}
"""Most characters of each kind of field."""

TELLING: Final = frozenset({"R4", "R5", "R6", "R7"})
"""Rules that refuse a name, a rare word, a quotation, a code: what is left around it would tell that it was there."""
_OF_A_CLAUSE: Final = frozenset({"R1", "R2", "R3"})

_CLAUSES: Final = re.compile(r"(?<=[.;:]) +|, +| +(?=(?:but|because|while|whereas|although|so that|which) )")
_TYPOGRAPHY: Final = str.maketrans({"\u2019": "'", "\u2018": "'", "\u2013": "-", "\u2014": ",", "\n": " ", "\t": " "})
_JOINED: Final = re.compile(r"([.;:]),")
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9 ,.;:()'%-]")
_EDGES: Final = "(),;:.%"
_ENDS: Final = (".", ";", ":")
_DANGLING: Final = re.compile(r"(?:,? (?:about|and|or|with|of|the|an?))+(?=[.,;:)]|$)")
_DOUBLED: Final = re.compile(r"\b(about|of|with) (?:and|or)\b")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused text as its analyst may see it again: its own words, the kind of field, the code of the rule.

    Never the offending span, never anything of the session that the analyst did not write itself.
    """

    text: str
    field: TextField
    rule: str

    def __repr__(self) -> str:
        """Kind and rule, never content."""
        return f"<Refusal of a {self.field} by {self.rule}>"


Revise = Callable[[Refusal], str | None]
"""Answers a refusal with another text, or None for none. Picklable, never raises; called once for a refused field."""


def without_clauses(refusal: Refusal) -> str | None:
    """The text without its clauses that hold an unknown word, number or character, or None.

    What every analyst's refusals get. Whole clauses go, so no hole shows where something
    stood; `TELLING` refusals are answered with None. A sentence without its subject gets a general one, a command is
    dropped. Safe because words only go, apart from that subject, and because the result has to pass every rule.
    """
    if refusal.rule in TELLING:
        return None
    limit = LIMITS[refusal.field]
    head = refusal.text[: 4 * limit]
    plain = head.translate(_TYPOGRAPHY).replace('"', "").replace("`", "")
    left = _tidy(_shortened(_tidy(_clauses_without(plain, lambda _, clause: _alien(clause))), limit))
    if refusal.field != "intent":
        left = _tidy(_with_subject(left, "sentence"))
    enough = len(tokens(left)) >= LEAST_LEFT * len(tokens(head)) or refusal.rule == "R0"
    return left if left and enough else None


def _alien(clause: str) -> bool:
    return first_failure(clause.strip(" ,;:"), limit=len(clause) + 1, shape="definition") in _OF_A_CLAUSE


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
        lambda t: _clauses_without(t, lambda before, clause: _quotes(f"{before}, {clause}", view, grams)),
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
    # What ends a sentence stays where its last word goes.
    left = (word if rare.isdisjoint(tokens(word)) else word[len(word.rstrip(".;:")) :] for word in text.split(" "))
    return " ".join(left)


def _clauses_without(text: str, refused: Callable[[str, str], bool]) -> str:
    """The text without the clauses that are refused, which is asked with the clause that was kept before.

    Where the last clause of a sentence goes, the sentence ends with the one before.
    """
    kept: list[str] = []
    for clause in _CLAUSES.split(text):
        before = kept[-1] if kept else ""
        if not refused(before, clause):
            kept.append(clause.rstrip(","))
        elif clause[-1:] in _ENDS and before and before[-1] not in _ENDS:
            kept[-1] += clause[-1:]
    return _JOINED.sub(r"\1", ", ".join(kept))


def _quotes(clauses: str, view: View, grams: Grams) -> bool:
    """Whether they hold a rare sequence; one across a clause's edge costs the later clause."""
    return bool(rare_sequences(clauses, view, grams))


def _with_subject(text: str, shape: Shape) -> str:
    if shape != "sentence":
        return text
    if commanding(text):
        text = _clauses_without(text, lambda before, clause: commanding(", ".join(filter(None, (before, clause)))))
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
