"""Stage 5 · discovery. What the assets of the stage call, one function per table.

    embeddings           items_of, embedding_rows
    clusters             window_of, cluster_map (with cluster_members)
    taxonomy_proposals   propose
    event_labels         event_labels

Put here: the stage's front door. The thinking is in the modules named `discovery_*`.
Not here: models (see `resources/embedder.py`), decisions about the taxonomy (see `taxonomy.py`).
"""

from datetime import date

from signals_assets.core.discovery_items import (
    ITEM_KINDS,
    WINDOW_DAYS,
    Item,
    StoredVectors,
    Window,
    content_hash,
    embedded,
    embedding_rows,
    items_of,
    texts_to_embed,
    window_of,
)
from signals_assets.core.discovery_labels import event_labels
from signals_assets.core.discovery_map import MapResult, cluster_map
from signals_assets.core.discovery_proposals import propose

__all__ = [
    "ITEM_KINDS",
    "WINDOW_DAYS",
    "Item",
    "MapResult",
    "StoredVectors",
    "Window",
    "cluster_map",
    "content_hash",
    "embedded",
    "embedding_rows",
    "event_labels",
    "items_of",
    "propose",
    "reclusters",
    "texts_to_embed",
    "window_of",
]


def reclusters(day: date) -> bool:
    """Whether the map is clustered anew on this day: on Mondays, whatever was materialized before."""
    return day.weekday() == 0
