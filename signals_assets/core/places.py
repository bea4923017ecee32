"""Places: which component of the product a text is about, by its words and by the files it changes.

Put here: `place_of`, and `placeless`, a sentence without the names of places.
Not here: what a text says of the place (see `topics.py`), the component of an event (see `components.py`).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from signals_assets.core.components import component_of
from signals_assets.core.text import STOP, stem, wordset

_GENERAL: Final = frozenset(
    map(
        stem,
        wordset("""
            api app apps base call client cmd code common core data error file files get http index internal lib list
            main new path post py read run search server service set src system task test tests tool tools ts update
            util utils web worker write"""),
    )
)
"""Words in names of tools and paths that are no name of a place."""
_WORD: Final = re.compile(r"[a-z]+")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
LONG_WORD: Final = 6
"""From this length on a word with one letter wrong, missing or too many is still that word."""


@dataclass(frozen=True)
class _Names:
    """What the components of a product are called."""

    whole: Mapping[str, re.Pattern[str] | None]
    """By component its name and patterns in full; None where all are too short."""
    own: Mapping[str, frozenset[str]]
    """By component the stems that only its names and patterns have."""
    beside: frozenset[str]
    """Stems of the components' names, general ones too."""


def place_of(text: str, components: Mapping[str, Sequence[str]], files: Sequence[str] = ()) -> frozenset[str]:
    """The components that a text names, by words of their names, tools, paths and services, and that files are of.

    Words that several components share are nobody's. A text that names words of two has two places, unless one of
    them is named in full (its name or a whole pattern) and the other only by a word, or by more words than the other.
    """
    names = _names(_frozen(components))
    full = {name for name, pattern in names.whole.items() if pattern and pattern.search(text)}
    owned = {component_of(components, (), [path]) for path in files} & set(components)
    if full or owned:
        return frozenset(full | owned)
    written = {stem(word) for word in _WORD.findall(text.lower())}
    found = {name: sum(_is_one_of(word, own) for word in written) for name, own in names.own.items()}
    most = max(found.values(), default=0)
    return frozenset(name for name, count in found.items() if count == most > 0)


def placeless(sentence: str, components: Mapping[str, Sequence[str]]) -> str:
    """A sentence in which every place is called "it": "the document index" is, too, though "index" is no place."""
    names = _names(_frozen(components))
    for pattern in names.whole.values():
        sentence = pattern.sub("it", sentence) if pattern else sentence
    own = frozenset(word for words in names.own.values() for word in words)
    parts = re.split(r"([^A-Za-z]+)", sentence)
    stems = [stem(part.lower()) for part in parts]
    parts = ["it" if word in own else part for part, word in zip(parts, stems, strict=True)]
    joined = "".join(
        "it" if word in names.beside and "it" in (*parts[max(at - 2, 0) : at], *parts[at + 1 : at + 3]) else part
        for at, (part, word) in enumerate(zip(parts, stems, strict=True))
    )
    return re.sub(r"\bit(?: it)+\b", "it", joined)


def _frozen(components: Mapping[str, Sequence[str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((name, tuple(patterns)) for name, patterns in components.items())


@lru_cache(maxsize=8)
def _names(components: tuple[tuple[str, tuple[str, ...]], ...]) -> _Names:
    every = {
        name: {stem(word) for part in (name, *patterns) for word in _WORD.findall(_CAMEL.sub(" ", part).lower())}
        for name, patterns in components
    }
    shared = Counter(word for words in every.values() for word in words)
    return _Names(
        whole={name: _whole((name, *patterns)) for name, patterns in components},
        own={
            name: frozenset(
                word for word in words if shared[word] == 1 and len(word) > 2 and word not in _GENERAL | STOP
            )
            for name, words in every.items()
        },
        beside=frozenset(stem(word) for name, _ in components for word in _WORD.findall(name.lower())),
    )


def _whole(parts: Iterable[str]) -> re.Pattern[str] | None:
    bare = [re.sub(r"[*?\[\]]", "", part).strip("/.") for part in parts]
    loose = "|".join(_loose(part) for part in sorted(bare, key=len, reverse=True) if len(part) > 2)
    return re.compile(rf"(?i)(?<![a-z0-9])(?:{loose})(?![a-z0-9])") if loose else None


def _loose(name: str) -> str:
    """A name however its words are joined: query-gateway, query_gateway, query gateway."""
    return r"[\s_\-]?".join(re.escape(word) for word in re.split(r"[\s_\-]+", name) if word)


def _is_one_of(word: str, names: Iterable[str]) -> bool:
    return any(word == name or (len(name) >= LONG_WORD and _one_off(word, name)) for name in names)


def _one_off(left: str, right: str) -> bool:
    """Whether one letter was changed, left out or put in, or two neighbours were swapped."""
    if abs(len(left) - len(right)) > 1 or left[0] != right[0]:
        return False
    start = next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    tails = (left[start:], right[start:])
    swapped = left[start : start + 2] == right[start : start + 2][::-1] and left[start + 2 :] == right[start + 2 :]
    return swapped or tails[0][1:] == tails[1][1:] or tails[0][1:] == tails[1] or tails[0] == tails[1][1:]
