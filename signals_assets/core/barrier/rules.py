"""Rules R0 to R8: which short texts are abstractions. The first rule that fails decides; only its code leaves.

Put here: the rules, in their order, and nothing that needs a clock, a file or a decision about people.
Not here: the word lists (see `lexicon.py`), how many users a word has (see `support.py`), the second try
(see `repair.py`), the construction of `Abstracted` (see `__init__.py`).

| rule | refuses |
|---|---|
| R0 | what is not a text, is empty, or is longer than the field's limit (asked before anything else) |
| R1 | any character outside `A-Za-z0-9 ,.;:()'%-`, a leading `-` or `%`, an apostrophe outside a word, idle blanks |
| R2 | numbers above 20 (HTTP statuses beside their word excepted), over 4 numbers or number words, 3 words in a row |
| R3 | a word outside the closed lexicon and the technology list, a chain of more than 4 hyphenated parts |
| R4 | a capital that neither starts a sentence nor belongs to a listed technology |
| R5 | a word of this transcript that fewer than k users share, unless it is core vocabulary |
| R6 | a word sequence quoted from this transcript that fewer than k users share |
| R7 | over two spelling-alphabet words, single letters in a row, initials that spell a rare word of the transcript |
| R8 | a text that does not begin with its subject, second person, an imperative opener |

Source: the project's privacy measurements; R1 alone ends homoglyphs, zero-width characters, mentions, links, code and
spreadsheet formulas. Stricter than its specification where a rule could be walked around: number words with "and"
between them, one spelling word repeated, letters in a row, blanks as a code, commands behind a semicolon or a bracket.
A ninth rule, detectors of secrets and addresses as an alarm, is left out: behind the lexicon they caught nothing more.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from itertools import pairwise
from typing import Final, Literal

from signals_assets.core.barrier.lexicon import (
    core_words,
    load,
    technologies,
    text_technologies,
    text_technologies_lower,
)
from signals_assets.core.barrier.support import CITATION, Feature, Grams, features, tokens

RULES: Final = ("R0", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8")

Shape = Literal["sentence", "label", "definition"]
"""A sentence starts with its subject (R8); a label or a definition of our own taxonomy does not."""

LONGEST: Final = 4000
"""Characters of the longest text that is stored as one."""
LARGEST_NUMBER: Final = 20
MOST_NUMBERS: Final = 4
NUMBER_WORD_RUN: Final = 3
MOST_SPELLED: Final = 2
MOST_HYPHENS: Final = 3
LEAST_SPELLED_TOKEN: Final = 5


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_CHARACTERS: Final = re.compile(r"[A-Za-z0-9 ,.;:()'%-]*")
_LOOSE_APOSTROPHE: Final = re.compile(r"(?<![A-Za-z])'|'(?![A-Za-z])")
_DIGITS: Final = re.compile(r"[0-9]+")
_EDGES: Final = "(),;:.%"
_STATUS_CODES: Final = frozenset(str(status.value) for status in HTTPStatus)
_STATUS_WORDS: Final = frozenset({"http", "status", "error", "code"})
_NUMBER_WORDS: Final = _set(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million"
)
_LINKING_WORDS: Final = _set("and or then to point dot dash comma minus plus by")
"""Words between number words that do not end their run."""
_COMMON_NUMBER_WORDS: Final = _set("one")
"""Number words that are mostly pronouns; they make no count, only a run."""
_SPELLING_WORDS: Final = _set(
    "alfa alpha bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar papa "
    "quebec romeo sierra tango uniform victor whiskey xray yankee zulu "
    "bee cee dee eff gee aitch jay kay el em en pee cue ess tee vee ex zed zee"
)
_SECOND_PERSON: Final = _set("you your yours yourself yourselves youre youve youll youd")
_SUBJECT: Final = re.compile(
    r"(?:(?:the|a|an) )?(?:user|agent|session|assistant|conversation|tool|request)s?(?:'s)?(?![A-Za-z])", re.IGNORECASE
)
_SENTENCE_OPENER: Final = re.compile(r"(?:^|[.:;(] *)([A-Za-z]+)(?: +([A-Za-z]+))?")
_CLAUSE_OPENER: Final = re.compile(r"(?:^|[.,;:(] *)([A-Za-z]+)")
_IMPERATIVES: Final = _set(
    "add allow answer append approve assume attach book build call cancel change check click close commit confirm "
    "connect contact continue copy create delete deploy describe disable download edit email enable enter execute "
    "explain export fetch fix follow give go grant help include insert install list load look make merge modify "
    "move navigate note open output paste pay post print proceed provide publish push put read recommend refund "
    "remove rename repeat replace reply report respond restart restore resume return run save say search select "
    "send set share show start stop submit summarise summarize switch take tell transfer translate try type unlock "
    "update upload use verify visit wait write"
)
"""Verbs in the base form that open a command; refused at the start of a sentence."""
_NOUN_LIKE: Final = _set(
    "answer approve attach book build call cancel change check click commit contact copy download edit email export "
    "fix help import install list load look note open output paste pay print push refund release repeat reply "
    "report restart return run search set share show start stop switch test transfer try type update upload use "
    "visit wait write"
)
"""Those that are nouns or adjectives as well ("edit rejected"): refused only before a determiner or pronoun."""
_OBJECTS: Final = _set("the a an all any each every this that these those it its them him her me my us our to")
_COMMANDS: Final = _set(
    "ignore disregard forget pretend obey override bypass reveal roleplay remember imagine please always never do "
    "dont must ensure act"
)
"""Openers that are refused at the start of any clause: they address a reader."""


def _never(_feature: Feature) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class View:
    """What the rules R5 to R7 may know of the transcript; empty where no transcript is asked."""

    shared: frozenset[Feature] = frozenset()
    """Words and sequences of the text that the transcript contains too."""
    starts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    few: Callable[[Feature], bool] = _never
    """Whether fewer than k distinct users share a feature."""

    def rare(self, feature: Feature) -> bool:
        """Whether a feature comes from this transcript and too few users share it."""
        return feature in self.shared and self.few(feature)


NO_TRANSCRIPT: Final = View()


_FLAGS: Final = frozenset({"true", "false"})
_COUNT: Final = re.compile(r"0|[1-9][0-9]{0,2}|1000")


def first_failure(
    text: object, *, limit: int, shape: Shape = "sentence", view: View = NO_TRANSCRIPT, grams: Grams = CITATION
) -> str | None:
    """The code of the first rule that refuses `text`, or None when it is an abstraction. Never raises.

    `limit` is in characters. `view` brings what R5 to R7 need; without it they pass.
    """
    if type(text) is not str or not 0 < len(text) <= limit:  # a subclass could answer otherwise when asked again
        return "R0"
    if not _plain(text):
        return "R1"
    words = tokens(text)
    if bad_numbers(text) or _number_run(words):
        return "R2"
    if not words:
        return "R3"
    failed = _vocabulary(text)
    if failed:
        return failed
    failed = _transcript(text, words, view, grams)
    if failed:
        return failed
    return "R8" if not _shaped(text, words, shape) else None


def admissible_alone(text: object) -> bool:
    """Whether a text passes every rule that asks no transcript (R0 to R4, the spelling words of R7)."""
    return first_failure(text, limit=LONGEST, shape="definition") is None


def listed(text: object) -> bool:
    """Whether a text is a value of a closed list: a word of the core, a technology, true or false, a number to 1000."""
    if type(text) is not str:
        return False
    return text in core_words() or text in technologies() or text in _FLAGS or _COUNT.fullmatch(text) is not None


def storable(text: str, limit: int) -> bool:
    """Whether length and characters (R0, R1) are those of an admitted text."""
    return 0 < len(text) <= limit and _plain(text)


def _plain(text: str) -> bool:
    return (
        _CHARACTERS.fullmatch(text) is not None
        and text[0] not in "-% "
        and text[-1] != " "
        and "  " not in text
        and ("'" not in text or _LOOSE_APOSTROPHE.search(text) is None)
    )


def bad_numbers(text: str) -> list[tuple[int, int]]:
    """Spans of the numbers that R2 refuses: too large, joined to other characters, or beyond the fourth."""
    spans = []
    for count, match in enumerate(_DIGITS.finditer(text), start=1):
        if _within_technology(text, match):
            continue
        if count > MOST_NUMBERS or not (_stands_alone(text, match) and _small(text, match)):
            spans.append(match.span())
    return spans


def _within_technology(text: str, match: re.Match[str]) -> bool:
    start = text.rfind(" ", 0, match.start()) + 1
    stop = text.find(" ", match.end())
    token = text[start : stop if stop >= 0 else len(text)].strip(_EDGES)
    return token in text_technologies()


def _stands_alone(text: str, match: re.Match[str]) -> bool:
    before = text[match.start() - 1 : match.start()]
    after, further = text[match.end() : match.end() + 1], text[match.end() + 1 : match.end() + 2]
    return before in {"", " ", "("} and (after in {"", " "} or (after in ",.;:)%" and further in {"", " ", ",", "."}))


def _small(text: str, match: re.Match[str]) -> bool:
    digits = match.group()
    if len(digits) > 3 or (len(digits) > 1 and digits[0] == "0"):
        return False
    if int(digits) <= LARGEST_NUMBER:
        return True
    near = (
        tokens(text[max(0, match.start() - 12) : match.start()])[-1:] + tokens(text[match.end() : match.end() + 12])[:1]
    )
    return digits in _STATUS_CODES and not _STATUS_WORDS.isdisjoint(near)


def _number_run(words: Sequence[str]) -> bool:
    if _NUMBER_WORDS.isdisjoint(words):
        return False
    run = counted = 0
    for word in words:
        if word in _NUMBER_WORDS:
            run += 1
            counted += word not in _COMMON_NUMBER_WORDS
        elif word not in _LINKING_WORDS:
            run = 0
        if run == NUMBER_WORD_RUN or counted > MOST_NUMBERS:
            return True
    return False


def _vocabulary(text: str) -> str | None:
    """R3 before R4: a text with an unknown word is refused for the word, whatever its capitals."""
    known = admissible()
    failed = None
    for raw, starts in spaced(text):
        if raw in known:
            continue
        verdict = judge(raw.strip(_EDGES), starts)
        if verdict == "R3":
            return verdict
        failed = failed or verdict
    return failed


def spaced(text: str) -> Iterator[tuple[str, bool]]:
    """The blank-separated pieces of a text, and whether each starts a sentence."""
    starts = True
    for raw in text.split(" "):
        yield raw, starts
        if raw:
            starts = raw.rstrip(")").endswith((".", ":"))


@cache
def admissible() -> frozenset[str]:
    """Words that R3 lets pass in lower case."""
    return load() | text_technologies_lower()


def judge(word: str, starts: bool) -> str | None:
    """What R3 and R4 say about one word without its outer punctuation: a rule code, or None."""
    names, known = text_technologies(), admissible()
    if not word or word in known or word in names or _DIGITS.fullmatch(word):
        return None
    if word.endswith("'s"):
        word = word[:-2]
    if word.count("-") > MOST_HYPHENS:
        return "R3"
    failed = None
    for position, part in enumerate(word.split("-")):
        lower = part.lower()
        if part in names:
            continue
        if lower not in known or (len(part) == 1 and part not in {"a", "A", "I", "i"}):
            return "R3"
        if part != lower and part != "I" and not (starts and position == 0 and part[1:] == lower[1:]):
            failed = "R4"
    return failed


def _transcript(text: str, words: Sequence[str], view: View, grams: Grams) -> str | None:
    if view.shared:
        if rare_words(words, view):
            return "R5"
        if rare_sequences(text, view, grams):
            return "R6"
    return "R7" if _spelled(words, view) else None


@cache
def _core_tokens() -> frozenset[str]:
    return frozenset(token for word in core_words() for token in tokens(word))


def rare_words(words: Sequence[str], view: View) -> set[str]:
    """The words that R5 refuses."""
    core = _core_tokens()
    return {word for word in words if word not in core and view.rare(f"w {word}")}


def rare_sequences(text: str, view: View, grams: Grams) -> list[Feature]:
    """The sequences that R6 refuses."""
    return [feature for feature in features(text, (grams,)) if feature[0] != "w" and view.rare(feature)]


def _spelled(words: Sequence[str], view: View) -> bool:
    if not _SPELLING_WORDS.isdisjoint(words) and sum(word in _SPELLING_WORDS for word in words) > MOST_SPELLED:
        return True
    if any(len(word) == 1 == len(following) for word, following in pairwise(words)):
        return True
    if not view.starts:
        return False
    initials = "".join([word[0] for word in words])
    return any(_spells_rare(line, view) for line in (initials, initials[::-1]))


def _spells_rare(initials: str, view: View) -> bool:
    for start in range(len(initials) - LEAST_SPELLED_TOKEN + 1):
        candidates = view.starts.get(initials[start : start + LEAST_SPELLED_TOKEN], ())
        if any(initials.startswith(word, start) and view.few(f"w {word}") for word in candidates):
            return True
    return False


def _shaped(text: str, words: Sequence[str], shape: Shape) -> bool:
    if shape == "definition":
        return True
    if not _SECOND_PERSON.isdisjoint(words):
        return False
    if shape == "label":
        return words[0] not in _COMMANDS
    return subject_first(text) and not commanding(text)


def subject_first(text: str) -> bool:
    """Whether a text begins with (the/a) user, agent, session, assistant, conversation, tool or request."""
    return _SUBJECT.match(text) is not None


def commanding(text: str) -> bool:
    """Whether a sentence or clause of the text opens like a command or addresses its reader."""
    if not _SECOND_PERSON.isdisjoint(tokens(text)):
        return True
    if any(_imperative(match) for match in _SENTENCE_OPENER.finditer(text)):
        return True
    return any(match.group(1).lower() in _COMMANDS for match in _CLAUSE_OPENER.finditer(text))


def opens_with_verb(text: str) -> bool:
    """Whether a phrase begins with a verb in its base form ("attach a file") rather than with a noun."""
    match = _SENTENCE_OPENER.match(text)
    return match is not None and _imperative(match)


def _imperative(match: re.Match[str]) -> bool:
    opener, follower = match.group(1).lower(), match.group(2)
    if opener in _NOUN_LIKE:
        return follower is not None and follower.lower() in _OBJECTS
    return opener in _IMPERATIVES
