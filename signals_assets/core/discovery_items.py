"""Stage 5 · discovery, what is discovered from: admitted abstractions, and their vectors.

Put here: `Item`, `Window`, rows of the abstracted tables as items, rows of the table `embeddings`.
Not here: models (see `resources/embedder.py`), grouping (see `discovery_map.py`, `discovery_groups.py`).
"""

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from signals_assets.core.analysis_rules import CAME, CAME_ABOUT, CITATIONS
from signals_assets.core.coverage import Coverage
from signals_assets.core.discovery_vectors import Vectors, unit
from signals_assets.core.identity import content_id
from signals_assets.tables import Embedding, ItemKind

WINDOW_DAYS: Final = 28
"""Trailing days that the map and the proposals look at."""

ITEM_KINDS: Final[tuple[ItemKind, ...]] = ("summary", "friction", "delight", "unmet_need", "intent")

Row = Mapping[str, Any]

_TOLD: Final = re.compile(rf"(?:{'|'.join(map(re.escape, sorted(CITATIONS.values(), key=len, reverse=True)))})\b")
_UNTYPED: Final = frozenset(text for name, text in CITATIONS.items() if name.startswith("other") or "remark" in name)
_ABOUT: Final = " about "
_SENTENCE: Final = re.compile(r"(?<=[.!?]) +")


@dataclass(frozen=True, slots=True)
class Item:
    """One admitted text: a session's summary, what its user came for, the citation of an event, or an unmet need."""

    item_id: str
    kind: ItemKind
    session_id: str
    user_id: str | None
    organization_id: str | None
    known_on: date
    day: date
    text: str
    type: str = ""
    """Type the event is stored with, the primary intent as the analyst said it; empty for summaries and needs."""
    confidence: float = 1.0
    """How sure the analyst is of an event; below `COUNTED` it is material for discovery and shapes no category."""


@dataclass(frozen=True)
class Window:
    """Items that have vectors, with one unit row per item, ordered by day and content.

    Ids hold pseudonyms, which differ from home to home: ordered by them, the same texts would give another map.
    """

    items: tuple[Item, ...]
    vectors: Vectors
    lost: tuple[Item, ...] = ()
    """Items that were asked for and have no vector: never embedded, or expired."""

    @property
    def missing(self) -> int:
        """How many items have no vector."""
        return len(self.lost)

    def of_kind(self, kind: str) -> "Window":
        """The items of one kind."""
        rows = [row for row, item in enumerate(self.items) if item.kind == kind]
        return Window(tuple(self.items[row] for row in rows), self.vectors[rows])

    def rows_of(self, item_ids: Iterable[str]) -> npt.NDArray[np.int64]:
        """Row numbers of those of the ids that are in the window, ascending."""
        wanted = set(item_ids)
        return np.array([row for row, item in enumerate(self.items) if item.item_id in wanted], dtype=np.int64)


class StoredVectors(Mapping[str, Vectors]):
    """Vectors by key, one array for all of them: as an object each they take half as much again."""

    def __init__(self, places: Mapping[str, int], rows: Vectors) -> None:
        """`places`: row of each key; `rows`: float32."""
        self._places, self._rows = places, rows

    def __getitem__(self, key: str) -> Vectors:
        row: Vectors = self._rows[self._places[key]]
        return row

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def of(self, keys: Iterable[str]) -> Vectors:
        """A new array with the vectors of the keys, in their order."""
        return self._rows[[self._places[key] for key in keys]]


def items_of(
    summaries: Iterable[Row],
    friction: Iterable[Row],
    delight: Iterable[Row],
    unmet_needs: Iterable[Row],
    facets: Iterable[Row] = (),
) -> list[Item]:
    """Items of rows of the abstracted tables, ordered by day and id, each id once.

    What a user came for is told by the first sentence of the session's summary (that is its place), or by the primary
    intent alone where the barrier rejected the summary.

    The rows may be made as they are asked for: only the items and the summaries are held.

    Left out by definition: summaries that the barrier rejected, and events without a citation or from a detector
    (its citation is a template and says no more than the type). Summaries and needs take their organisation from
    the events of the same session or user, since their tables have none.
    """
    events: tuple[tuple[ItemKind, Iterable[Row]], ...] = (("friction", friction), ("delight", delight))
    organizations: dict[str, str] = {}
    same: dict[Any, Any] = {}
    found: list[Item] = []
    for kind, row in ((kind, row) for kind, rows in events for row in rows):
        if row.get("organization_id"):
            organizations.setdefault(row["session_id"], row["organization_id"])
            if row.get("user_id"):
                organizations.setdefault(row["user_id"], row["organization_id"])
        if row["source"] == "analyst":
            item = _item(row["event_id"], kind, row, row.get("citation"), row.get("organization_id"), row["type"])
            found.append(_shared(replace(item, confidence=float(row["confidence"])), same))
    told = {row["session_id"]: row for row in summaries}
    found += [
        _item(f"{row['session_id']}:summary", "summary", row, row.get("summary"), _organization(row, organizations))
        for row in told.values()
    ]
    found += [
        _item(
            intent_id(row["session_id"]),
            "intent",
            row,
            _first_sentence(told.get(row["session_id"], {}).get("summary")) or row["value"],
            _organization(row, organizations),
            _plain(row["value"]),
        )
        for row in facets
        if row["facet"] == "primary_intent"
    ]
    found += [
        _item(
            need_id(row["session_id"], row["number"]),
            "unmet_need",
            row,
            row.get("need"),
            _organization(row, organizations),
        )
        for row in unmet_needs
    ]
    unique = {item.item_id: _shared(item, same) for item in found if item.text}
    return sorted(unique.values(), key=lambda item: (item.day, item.item_id))


def intent_id(session_id: str) -> str:
    """Id of the item that tells what a session's user came for."""
    return f"{session_id}:intent"


def need_id(session_id: str, number: int) -> str:
    """Id of an unmet need as an item."""
    return f"{session_id}:need:{number}"


def embedding_rows(
    day: date,
    items: Sequence[Item],
    embed: Callable[[Sequence[str]], Iterable[npt.NDArray[np.float32]]],
    known: Mapping[str, Sequence[float]],
    embedder_name: str,
) -> tuple[Iterator[Embedding], Coverage]:
    """Rows of `embeddings` for the day's items, made as they are asked for, and what becomes of every item.

    A vector is 1.5 kB as an array and 12 kB as numbers of Python, so the rows are never all there at once. Each
    distinct text is embedded once (see `embedded`); `known` maps content hashes to vectors of the same embedder (see
    `content_hash`) and is used instead of the model. An embedder without dimensions gives no rows, and the coverage
    says `skipped: no_embedder`.
    """
    if embedder_name == "none":
        return iter(()), Coverage(asked=len(items), skipped={"no_embedder": len(items)} if items else {})
    hashes = {item.item_id: content_hash(item.text) for item in items}
    texts = {hashes[item.item_id]: embedded(item.text) for item in items}
    new = sorted(digest for digest in texts if digest not in known)
    vectors = {digest: np.asarray(known[digest]) for digest in texts if digest in known}
    if new:
        vectors.update(zip(new, embed([texts[digest] for digest in new]), strict=True))
    rows = (
        Embedding(
            day=day,
            known_on=item.known_on,
            item_id=item.item_id,
            kind=item.kind,
            session_id=item.session_id,
            user_id=item.user_id,
            content_hash=hashes[item.item_id],
            embedder=embedder_name,
            vector=vectors[hashes[item.item_id]].tolist(),
        )
        for item in items
    )
    notes = {"distinct_texts": len(texts), "embedded": len(new), "reused": len(texts) - len(new)}
    return rows, Coverage(asked=len(items), answered=len(items), notes=notes)


def texts_to_embed(items: Iterable[Item], known: Container[str]) -> list[str]:
    """Distinct texts that `embedding_rows` would ask a model for, sorted: one call for many days costs less."""
    return sorted({embedded(item.text) for item in items if content_hash(item.text) not in known})


def content_hash(text: str) -> str:
    """Hash under which a text's vector is known."""
    return content_id("t", embedded(text))


def spoken(text: str) -> str:
    """What a text says beyond the sentence that the built-in rules write for every event of its type.

    Empty where a rule's sentence names no topic; any other text as it is.
    """
    if text.startswith(CAME):
        return text.partition(CAME_ABOUT)[2]
    template = _TOLD.match(text)
    return text if template is None else text[template.end() :].partition(_ABOUT)[2]


def embedded(text: str) -> str:
    """What of a text is embedded: all of it, or only the topics where the rules wrote it of something without a type.

    Such a sentence tells apart nothing but its topics: with it all remarks are alike (measured: mean cosine 0.8), and
    every group of them is one.
    """
    if text.startswith(CAME):
        return spoken(text) or text
    template = _TOLD.match(text)
    return (spoken(text) or text) if template is not None and template.group() in _UNTYPED else text


def says_type(text: str) -> bool:
    """Whether a text is a sentence that the built-in rules write for every event of a type, or for every such wish."""
    if text.startswith(CAME):
        return not spoken(text)
    template = _TOLD.match(text)
    return template is not None and template.group() not in _UNTYPED


def window_of(items: Iterable[Item], vectors: Mapping[str, npt.ArrayLike]) -> Window:
    """The items with their vectors, given by item id (of one embedder); items without one are counted as missing."""
    ordered = sorted(items, key=lambda item: (item.day, content_hash(item.text), item.item_id))
    kept = [item for item in ordered if item.item_id in vectors]
    ids = [item.item_id for item in kept]
    array = (
        vectors.of(ids) if isinstance(vectors, StoredVectors) else np.array([vectors[key] for key in ids], np.float32)
    )
    array = array if kept else np.zeros((0, 0), np.float32)
    return Window(
        tuple(kept), unit(array, in_place=True), tuple(item for item in ordered if item.item_id not in vectors)
    )


def _item(item_id: str, kind: ItemKind, row: Row, text: Any, organization_id: str | None, type_: str = "") -> Item:
    """One item; `text` may be an `Abstracted`, a plain text from a stored row, or None."""
    return Item(
        item_id=item_id,
        kind=kind,
        session_id=row["session_id"],
        user_id=row.get("user_id"),
        organization_id=organization_id,
        known_on=row["known_on"],
        day=row["day"],
        text=_plain(text).strip(),
        type=type_,
    )


def _shared(item: Item, same: dict[Any, Any]) -> Item:
    """The item with the values that other items have too held once: a stored row brings copies of its own."""
    return Item(*(same.setdefault(value, value) for value in (getattr(item, name) for name in Item.__slots__)))


def _plain(text: Any) -> str:
    """The text of an `Abstracted`, of a stored value, or none."""
    return str(getattr(text, "text", text) or "")


def _first_sentence(text: Any) -> str:
    return _SENTENCE.split(_plain(text).strip(), maxsplit=1)[0]


def _organization(row: Row, known: Mapping[str, str]) -> str | None:
    return known.get(row["session_id"]) or known.get(row.get("user_id") or "")
