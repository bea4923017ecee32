"""Items around chosen directions: what the tests of discovery are made of."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np

from signals_assets.core.discovery import Item, Window
from signals_assets.core.discovery_vectors import unit
from signals_assets.tables import ItemKind, Row

MONDAY = date(2026, 1, 5)
DIMENSIONS = 24


def direction(number: int) -> np.ndarray:
    """The same random unit vector for the same number."""
    vector = np.random.default_rng(1000 + number).standard_normal(DIMENSIONS)
    return vector / np.linalg.norm(vector)


def group(
    number: int,
    size: int,
    *,
    kind: ItemKind = "friction",
    type_: str = "other",
    words: str = "text",
    day: date = MONDAY,
    days: int = 1,
    spread: float = 0.08,
    users: int = 10,
    organizations: int | None = 3,
    start: int = 0,
    confidence: float = 1.0,
    variants: int | None = None,
) -> list[tuple[Item, np.ndarray]]:
    """`size` items with their vectors around `direction(number)`, over so many days, users and organisations.

    `variants` limits the number of different texts.
    """
    made = []
    for n in range(start, start + size):
        noise = np.random.default_rng((number, n)).standard_normal(DIMENSIONS) * spread
        item = Item(
            item_id=f"{kind}-{number}-{n:04d}",
            kind=kind,
            session_id=f"s-{number}-{n}",
            user_id=f"u-{n % users}",
            organization_id=f"o-{n % organizations}" if organizations else None,
            known_on=day,
            day=day + timedelta(n % days),
            text=f"{words} variant{n % variants if variants else n}",
            type=type_,
            confidence=confidence,
        )
        made.append((item, direction(number) + noise))
    return made


def window(*groups: Sequence[tuple[Item, np.ndarray]]) -> Window:
    """The groups as one window, in the order of days and ids, so that a test knows which rows are whose."""
    pairs = sorted((pair for one in groups for pair in one), key=lambda pair: (pair[0].day, pair[0].item_id))
    vectors = np.array([vector for _, vector in pairs], dtype=np.float32) if pairs else np.zeros((0, 0))
    return Window(tuple(item for item, _ in pairs), unit(vectors))


def dumped(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as a warehouse gives them back: plain dictionaries, admitted text as text."""
    return [row.model_dump() for row in rows]
