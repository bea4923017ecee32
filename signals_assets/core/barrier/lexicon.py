"""The closed lists of the barrier: general words, core words, technologies, names.

Put here: reading the packaged lists, each once per process.
Not here: how the lexicon is built (see `scripts/build_lexicon.py`), the rules that use it (see `rules.py`).

| file | what | how it grows |
|---|---|---|
| `lexicon.txt` | general English, derived from permissively licensed documentation | by a new build |
| `words.txt` | general vocabulary of support, programming and everyday life, written by hand | by review |
| `function_words.txt` | words that carry grammar only, written by hand | by review |
| `core.txt` | the vocabulary of friction, delight and facets, written by hand | by review |
| `technologies.txt` | public languages, frameworks, tools, in canonical capitalisation | by review |
| `names.txt` | given names and surnames, which no list above may contain | by review |

`lexicon_sources.txt` names each source of `lexicon.txt` with version and licence; the derived list holds single words
only and is, like the lists written by hand, under the licence of the project.
"""

import re
from functools import cache
from importlib.resources import files
from typing import Final

VERSION: Final = 2
"""Version of the lists together; a record of a rejection names it."""


def _lines(name: str) -> list[str]:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _words(name: str) -> frozenset[str]:
    return frozenset(word for line in _lines(name) for word in line.split())


@cache
def load() -> frozenset[str]:
    """Every admissible word in lower case: lexicon, hand-written words and core."""
    return _words("lexicon.txt") | _words("words.txt") | core_words()


@cache
def core_words() -> frozenset[str]:
    """The taxonomy core: function words, words about friction and delight, and the words of the built-in taxonomy.

    These are exempt from the distinct-user rule (R5); nothing in them can name a person or a project.
    """
    seed = files("signals_assets").joinpath("taxonomy_seed.yaml").read_text(encoding="utf-8")
    prose = (line.partition(":")[2] for line in seed.splitlines() if re.match(r"\s+(name|definition|is_not):", line))
    return function_words() | _words("core.txt") | frozenset(re.findall(r"[a-z]+(?:'[a-z]+)?", " ".join(prose).lower()))


@cache
def function_words() -> frozenset[str]:
    """Words that carry grammar, not content, in lower case."""
    return _words("function_words.txt")


@cache
def names() -> frozenset[str]:
    """Common given names and surnames in lower case."""
    return _words("names.txt")


@cache
def _spellings(everywhere: bool) -> dict[str, str]:
    """Spelling in lower case -> canonical name; with `everywhere` without the lines that are for facets only (~)."""
    table: dict[str, str] = {}
    for line in _lines("technologies.txt"):
        if everywhere and line.startswith("~"):
            continue
        canonical, *others = (part.strip() for part in line.lstrip("~").split("|"))
        for spelling in (canonical, *others):
            table[spelling.lower()] = canonical
    return table


@cache
def technologies() -> frozenset[str]:
    """Names of public technologies in canonical capitalisation ("PostgreSQL")."""
    return frozenset(_spellings(False).values())


def technology(name: str) -> str | None:
    """The canonical name of a technology however it was spelled, or None when it is not on the list."""
    return _spellings(False).get(" ".join(name[:64].split()).lower())


@cache
def text_technologies() -> frozenset[str]:
    """Single words that may be written with capitals or digits in free text.

    A technology of several words lends only its words that are not ordinary ("GitHub Actions": GitHub).
    """
    single = {name for name in _spellings(True).values() if " " not in name and len(name) > 1}
    parts = {part for name in _spellings(True).values() if " " in name for part in name.split()}
    return frozenset(single | {part for part in parts if len(part) > 1 and part.lower() not in load() | names()})


@cache
def text_technologies_lower() -> frozenset[str]:
    """The same words in lower case, with their other one-word spellings ("postgres")."""
    others = {spelling for spelling in _spellings(True) if " " not in spelling and len(spelling) > 1}
    return frozenset(others | {name.lower() for name in text_technologies()}) - names()
