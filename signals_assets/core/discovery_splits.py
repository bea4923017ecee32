"""Stage 5 · discovery, splitting: the parts that a category's items fall into when a person wants it split.

Put here: `parts_of`. Not here: when to split (a person says), relabelling (see `discovery_labels.py`).
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from signals_assets.core.discovery_evidence import frozen_centre
from signals_assets.core.discovery_items import Row, Window
from signals_assets.core.discovery_labels import LEAST_MEMBERS, LabelKind, types_now
from signals_assets.core.discovery_naming import NEIGHBOURS, Namer, Near, words_for
from signals_assets.core.taxonomy import Taxonomy, TaxonomyError

SEED: Final = 0


def parts_of(
    window: Window,
    kind: LabelKind,
    slug: str,
    taxonomy: Taxonomy,
    labels: Sequence[Row],
    *,
    pieces: int,
    embedder: str,
) -> list[dict[str, Any]]:
    """So many parts of a category, largest first, each as the payload of a split names it: words, items, centre.

    k-means over the vectors of the category's items in the window of that kind, named by contrast with each other.
    Raises TaxonomyError where a part would have too few items.
    """
    types = types_now(window, kind, taxonomy, labels, embedder=embedder)
    rows = np.array([row for row, own in enumerate(types) if own == slug], dtype=np.int64)
    if pieces < 2 or len(rows) < pieces * LEAST_MEMBERS:
        raise TaxonomyError(
            f"split {kind} {slug}: {len(rows)} items with vectors are too few for {pieces} parts of {LEAST_MEMBERS}"
        )
    from sklearn.cluster import KMeans

    found = KMeans(pieces, n_init=5, random_state=SEED).fit_predict(window.vectors[rows])
    parts = sorted((rows[found == number] for number in range(pieces)), key=lambda part: (-len(part), int(part[0])))
    if len(parts[-1]) < LEAST_MEMBERS:
        raise TaxonomyError(f"split {kind} {slug}: its items do not fall into {pieces} parts; try fewer")
    taken: set[str] = set()
    made = []
    for part in parts:
        others = np.setdiff1d(rows, part)[: NEIGHBOURS * len(part)]
        near = Near(None, None, others)
        words = words_for(kind, window, part, near, before=None, taxonomy=taxonomy, taken=taken, namer=Namer())
        taken.add(words.slug)
        made.append(
            {
                "slug": words.slug,
                "name": words.name.text,
                "definition": words.definition.text,
                "is_not": words.is_not.text,
                "item_ids": [window.items[row].item_id for row in part.tolist()],
                "centre": frozen_centre(window.vectors[part], embedder),
            }
        )
    return made
