"""Benchmark · loop: how well the way from friction to a fix decides, part by part; seeded.

Put here: `run`, one function per part, its figures with intervals and its gates.
Not here: made-up worlds (see `simulation/duplicates.py`), the deciding itself (see `core/`), printing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from signals_assets.core.abstractions import wilson
from signals_assets.core.deduplication import (
    TRIGRAMS,
    VECTORS,
    Bounds,
    described,
    learnt,
    near,
    same,
    to_embed,
    weigh,
)
from signals_assets.core.taxonomy import seed as taxonomy_seed
from signals_assets.core.topics import Topics, by_trigrams
from signals_assets.simulation.duplicates import COMPONENTS, Pair, Text, Words, worlds

SEEDS: Final = 5
LEAST_PRECISION: Final = 0.98
LEAST_RECALL: Final = 0.85
WORDS: Final[dict[Words, str]] = {
    "tuning": "words of tuning, other seeds",
    "fresh": "fresh words",
    "third": "third set of words",
    "fourth": "fourth set of words",
}

Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]
Result = dict[str, Any]


def run(*, quick: bool = False, seed: int = 0, embed: Embed | None = None) -> Result:
    """Measure every part. `quick` takes one seed and no sentence vectors unless `embed` makes them.

    `embed` defaults to the packaged all-MiniLM-L6-v2.
    """
    parts = {"deduplication": deduplication(range(seed, seed + (1 if quick else SEEDS)), _embedder(quick, embed))}
    return {
        "parameters": {"seed": seed, "quick": quick},
        **{name: part["rows"] for name, part in parts.items()},
        "gates": [gate for part in parts.values() for gate in part["gates"]],
    }


def _embedder(quick: bool, embed: Embed | None) -> Embed | None:
    if embed is not None or quick:
        return embed
    from signals_assets.resources.embedder import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder().embed


# --- deduplication --------------------------------------------------------------------------------------------------


def deduplication(seeds: Iterable[int], embed: Embed | None) -> Result:
    """Pairs of a cause and somebody's text: how many that are the same are found, how many found are the same.

    Four times: with the words whose seeds from 100 the measure was fitted to; with fresh words and a fourth set, whose
    misses showed what to build and whose seeds from 100 set from where on two are merged; and with a third set, by
    whose texts and misses nothing was built or set.
    Intervals are Wilson's and take pairs as independent, though they share phrases: they are too narrow.
    """
    numbers = list(seeds)
    types = described(
        {one.slug: (one.name, one.definition) for one in taxonomy_seed().of_kind("friction") if one.slug != "other"}
    )
    rows = []
    for name, words in WORDS.items():
        pairs = list(worlds(numbers, name))
        said = sorted({one for pair in pairs for one in _to_embed(pair, types)})
        measures = [(TRIGRAMS, by_trigrams(said))]
        if embed is not None:
            measures.append((VECTORS, dict(zip(said, embed(said), strict=True))))
        for bounds, vectors in measures:
            judged = _judged(pairs, learnt(types, vectors, bounds), bounds)
            rows.append({"words": words, "measure": bounds.measure, **judged})
    return {"rows": rows, "gates": _gates(rows)}


def _texts(pair: Pair) -> tuple[Sequence[Text], Sequence[Text]]:
    """The pair's text as a ticket or as a change."""
    return ((), (pair.text,)) if pair.is_change else ((pair.text,), ())


def _to_embed(pair: Pair, types: dict[str, tuple[str, ...]]) -> list[str]:
    return to_embed(pair.concern, *_texts(pair), types=types, components=COMPONENTS)


def _judged(pairs: Sequence[Pair], topics: Topics, bounds: Bounds) -> Result:
    found, of = Counter[str](), Counter[str]()
    right = wrong = missed = linked = linked_wrongly = 0
    for pair in pairs:
        (evidence,) = weigh(pair.concern, *_texts(pair), components=COMPONENTS, topics=topics, bounds=bounds)
        said = same(evidence, bounds)
        of[pair.kind] += 1
        found[pair.kind] += said
        right += said and pair.same
        wrong += said and not pair.same
        missed += pair.same and not said
        linked += pair.same and not said and near(evidence, bounds)
        linked_wrongly += not pair.same and not said and near(evidence, bounds)
    return {
        "pairs": len(pairs),
        "same": right + missed,
        "found": right + wrong,
        "right": right,
        "linked": linked,
        "linked_wrongly": linked_wrongly,
        **_share("precision", right, right + wrong),
        **_share("recall", right, right + missed),
        "found_by_kind": {kind: f"{found[kind]} of {of[kind]}" for kind in sorted(of)},
    }


def _share(name: str, part: int, whole: int) -> Result:
    low, high = wilson(part, whole) if whole else (0.0, 1.0)
    value = round(part / whole, 3) if whole else None
    return {name: value, f"{name}_low": round(low, 3), f"{name}_high": round(high, 3)}


def _gates(rows: Sequence[Result]) -> list[Result]:
    """Precision with every set of words, recall over all that the measure was not fitted to.

    With sentence vectors only: trigrams know no synonyms. A set's own recall is a row, not a gate: its interval is
    wider than the way from it to the bound.
    """
    by_meaning = [row for row in rows if row["measure"] == VECTORS.measure]
    if not by_meaning:
        return []
    asked = [(f"{row['words']}: precision", row["precision"], LEAST_PRECISION) for row in by_meaning]
    others = [row for row in by_meaning if row["words"] != WORDS["tuning"]]
    right = sum(row["right"] for row in others)
    asked.append(("all words but those of tuning: recall", right / sum(row["same"] for row in others), LEAST_RECALL))
    return [
        {
            "gate": f"deduplication, {what}",
            "measured": None if value is None else round(value, 3),
            "at least": least,
            "holds": value is not None and value >= least,
        }
        for what, value, least in asked
    ]
