"""Weighted patterns: what cues of words are made of.

Put here: the type, how a list of them is compiled, and their sum over a text.
Not here: any pattern (`cues.py`, `about_agent.py`, a detector's own file).
"""

import re

Cues = tuple[tuple["re.Pattern[str]", float], ...]
"""(pattern, weight): a score is the sum of the weights of the patterns that occur, each once; around 1 is clear."""


def weighted(*pairs: tuple[str, float]) -> Cues:
    """Compiled patterns with their weights; they are matched against text in lower case."""
    return tuple((re.compile(pattern), weight) for pattern, weight in pairs)


def score(cues: Cues, text: str) -> float:
    """Sum of the weights of the cues that occur in `text` (already lower-cased)."""
    return sum(weight for pattern, weight in cues if pattern.search(text))
