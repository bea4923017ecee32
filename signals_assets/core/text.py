"""Text helpers that several stages share: a person's own words, words, stems, likeness, a guess of the language.

Put here: small pure functions on one text.
Not here: what words mean for a detector (see `detectors/cues.py`), which words may be written (see `barrier`).

Every function looks at a bounded part of its text: a person's point stands at the head or at the tail of what they
send, and what lies between in a long message is mostly pasted.
"""

import re
from collections.abc import Collection
from typing import Final

HEAD: Final = 2400
TAIL: Final = 600

UNSEEN: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3164\ud800-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    r"\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff]+"
)
"""What a person does not see and a machine reads: controls, joiners, marks of direction, tags, private use, fillers."""

_FENCE: Final = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_NOISE: Final = re.compile(
    r"`[^`\n]{0,200}`|https?://\S+|<[^<>\n]{1,80}>|\[Image #\d+\]|(?<!\w)[~.]{0,2}/[\w./~-]+|###\w+###"
)
_QUOTED: Final = re.compile(r"\"[^\"\n]{40,}\"|“[^”\n]{40,}”")
_SPACE: Final = re.compile(r"\s+")
_WORD: Final = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_LATIN: Final = str.maketrans({"’": "'", "‘": "'", "`": "'", "“": '"', "”": '"', "…": "..."})


def wordset(listed: str) -> frozenset[str]:
    """The words of a text that lists them between white space."""
    return frozenset(listed.split())


STOP: Final = wordset("""
    a about above actually after again all almost also although always am an and another any anyway are aren't around
    as at back be because been before being below between both but by can can't cannot come could couldn't did didn't do
    does doesn't doing don't done down each either else enough even ever every few first for from get gets getting give
    go goes going gone good got had hadn't has hasn't have haven't having he her here hers him his how i i'd i'll i'm
    i've if in instead into is isn't it it's its just keep know last least less let let's like little look looks lot
    made make makes many may maybe me mean might mine more most much must my need needs never new next no nor not
    nothing now of off ok okay on once one only onto or other our ours out over own per perhaps please put quite rather
    really right same say see seem seems she should shouldn't show since so some something still such sure take than
    thank thanks that that's the their theirs them then there there's these they they're thing things think this those
    though through thus to too try two under until up upon us use used using very want wants was wasn't way we we'd
    we'll we're we've well were weren't what what's when where which while who whole why will with within without won't
    would wouldn't yeah yes yet you you'd you'll you're you've your yours hi hello hey dear""")
"""Words of English that carry no topic."""

_MARKS: Final[dict[str, frozenset[str]]] = {
    "en": wordset("the and is to of that it you for with this not are have can please what but should we i"),
    "de": wordset("der die das und ist nicht ich du wir bitte mit auf für ein eine den zu warum kannst noch"),
    "fr": wordset("le la les et est pas je tu vous nous une des pour dans que qui sur avec il faut"),
    "es": wordset("el la los las y es no que en una por para con está puedes como quiero del se"),
    "pt": wordset("o os as e é não que em uma por para com está você como quero do da se"),
    "it": wordset("il lo gli e è non che in una per con puoi come voglio del della si di sono"),
    "nl": wordset("de het een en is niet ik je we van met voor op dat dit kan maar waarom nog zijn"),
}


def own_words(text: str) -> str:
    """What the writer says in their own words: without code, quotations, addresses, paths and pasted output.

    Case is kept, apostrophes are straightened, white space is single. Reads head and tail of long texts only.
    """
    if len(text) > HEAD + TAIL:
        text = f"{text[:HEAD]}\n{text[-TAIL:]}"
    text = _FENCE.sub(" ", text).translate(_LATIN) if "```" in text else text
    text = _QUOTED.sub(" ", _NOISE.sub(" ", text)).translate(_LATIN)
    kept = [line for line in text.splitlines() if not _pasted(line)]
    return _SPACE.sub(" ", " . ".join(kept)).strip()


def _pasted(line: str) -> bool:
    """Whether a line looks copied from a screen: mostly marks and digits, a quotation, or an indented block."""
    bare = line.strip()
    if not bare or bare[0] in ">|│$" or line.startswith(("    ", "\t")):
        return True
    if len(bare) < 12:
        return False
    letters = sum(map(str.isalpha, bare)) + bare.count(" ")
    return letters < 0.72 * len(bare)


def words(text: str) -> list[str]:
    """The words of a text in lower case, in order; digits and marks are no words."""
    return _WORD.findall(text.lower())


def stem(word: str) -> str:
    """A crude stem of an English word: enough to let "failing tests" meet "failed test"."""
    for suffix in ("'s", "ing", "ed", "es", "s", "ly"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)]
    return word


def content(tokens: Collection[str]) -> frozenset[str]:
    """Stems of the words that carry a topic."""
    return frozenset(stem(word) for word in tokens if word not in STOP and len(word) > 1)


def likeness(left: frozenset[str], right: frozenset[str]) -> float:
    """How far two sets of stems say the same, 0 to 1: the mean of Jaccard's and the overlap coefficient.

    The second lets a short restatement meet a long first statement; the first keeps two long texts about
    the same project apart.
    """
    if not left or not right:
        return 0.0
    shared = len(left & right)
    return (shared / len(left | right) + shared / min(len(left), len(right))) / 2


def language(tokens: Collection[str]) -> str:
    """Two-letter language of the words by their function words, or "other".

    Fewer than four known function words decide nothing and give "en" for plain Latin letters, since short English
    commands ("run tests") hold none. English is the measured language of the detectors.
    """
    if not tokens:
        return "en"
    distinct = set(tokens)
    scores = {code: len(marks & distinct) for code, marks in _MARKS.items()}
    best = max(scores, key=lambda code: (scores[code], code == "en"))
    if scores[best] >= max(4, 0.06 * len(distinct)):
        return best
    plain = sum(map(str.isascii, distinct))
    return "en" if plain >= 0.8 * len(distinct) else "other"
