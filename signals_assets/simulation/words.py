"""Simulation: the vocabulary and the one function that makes a sentence of it.

Put here: reading `words.yaml` (patterns, the words that fill their slots, other human languages), `say`.
Not here: what happens in a session (see `moments.py`, `work.py`), code and tool output (see `artifacts.py`).

Sentences are put together from patterns with nested slots, so that one planted kind of moment comes in thousands
of wordings and no detector or clustering can live on a fixed string. All of it was made up for this project.
"""

import random
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final, TypeVar

import yaml

T = TypeVar("T")
Vocabulary = Mapping[str, tuple[str, ...]]

_SLOT: Final = re.compile(r"\{(\w+)\}")


@cache
def _vocabulary() -> tuple[Vocabulary, Vocabulary, Mapping[str, Vocabulary]]:
    """Words by slot, patterns by purpose, patterns by purpose in other languages."""
    data = yaml.safe_load(files("signals_assets.simulation").joinpath("words.yaml").read_text(encoding="utf-8"))
    other = {language: _tuples(phrases) for language, phrases in data["other_languages"].items()}
    return _tuples(data["words"]), _tuples(data["phrases"]), other


def _tuples(lists: Mapping[str, Sequence[str]]) -> Vocabulary:
    return {key: tuple(values) for key, values in lists.items()}


def pick(rng: random.Random, options: Sequence[T]) -> T:
    """One of the options, uniformly; one call of `rng.random()`, the same in every Python version."""
    return options[int(rng.random() * len(options))]


@cache
def _parts(pattern: str) -> tuple[str, ...]:
    return tuple(_SLOT.split(pattern))


def fill(rng: random.Random, pattern: str, given: Mapping[str, str] | None = None) -> str:
    """The pattern with every slot filled: from `given`, else with a random word of that slot, slots in it too."""
    parts = _parts(pattern)
    if len(parts) == 1:
        return pattern
    out = list(parts)
    for index in range(1, len(out), 2):
        slot = out[index]
        out[index] = given[slot] if given and slot in given else fill(rng, pick(rng, _vocabulary()[0][slot]))
    return "".join(out)


def say(rng: random.Random, key: str, given: Mapping[str, str] | None = None, language: str = "en") -> str:
    """A sentence of the kind `key` in `language`, in English where that language has none of the kind."""
    other = _vocabulary()[2].get(language, {})
    local = other.get(key) or (other.get("open") if key.startswith("open.") else None)
    return pick(rng, local) if local else fill(rng, pick(rng, _vocabulary()[1][key]), given)


def wants(rng: random.Random, count: int) -> list[str]:
    """`count` (at most 7) statements of one and the same want, each in other words."""
    words, phrases, _ = _vocabulary()
    forms = list(phrases[pick(rng, sorted(key for key in phrases if key.startswith("want.")))])
    rng.shuffle(forms)
    given = {
        "m": pick(rng, words["metric"]),
        "f": pick(rng, words["filter"]),
        "c": pick(rng, words["column"]),
        "s": pick(rng, words["screen"]),
        "t": pick(rng, words["table"]),
        "g": pick(rng, words["thing"]),
    }
    return [fill(rng, form, given) for form in forms[:count]]
