"""The taxonomy: built-in types and facets, and what the ledger's decisions make of them.

Put here: `Taxonomy`, `TaxonomyType`, the packaged seed, folding ledger entries of kind `taxonomy` into a version.
Not here: how proposals are found (see `core/discovery.py`), the ledger itself (see `resources/ledger.py`).

A taxonomy is a value: the seed is version 1, every ledger entry raises the version by one, and the same entries
give the same taxonomy. Slugs are ids: never reused, never renamed (a rename changes name and definition only).

Payload of an entry, by `action`:

    accept  kind, slug, name, definition, is_not?, lever?, *                            adds a type
    reject  kind, slug?, *                                                              remembered, changes no type
    rename  kind, slug, name?, definition?, is_not?                                     the slug stays
    merge   kind, slug, into (a slug)                                                   the first goes on as the second
    split   kind, slug, into (list of {slug, name, definition, is_not?, item_ids?, centre?})   retires one, adds several
    retire  kind, slug
    undo    undoes (sequence number of an entry)                                        as if that had not been written

    *       proposal_id?, item_ids?, evidence? (what was known of the proposal), centre? ({embedder, vector, threshold})

Every payload names its `author`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import resources
from typing import Any, Final, Protocol

import yaml

LEDGER_KIND: Final = "taxonomy"
"""Kind of the ledger entries that are folded."""

KINDS: Final[tuple[str, ...]] = ("friction", "delight", "unmet_need", "intent", "facet")
ACTIONS: Final[tuple[str, ...]] = ("accept", "reject", "rename", "merge", "split", "retire", "undo")


class TaxonomyError(ValueError):
    """A decision that cannot be taken: names action, kind and slug, and what to do."""


class LedgerEntry(Protocol):
    """The part of a ledger entry that the fold reads."""

    @property
    def seq(self) -> int:
        """Sequence number."""
        ...

    @property
    def kind(self) -> str:
        """Kind of the entry."""
        ...

    @property
    def payload(self) -> Mapping[str, Any]:
        """What was decided."""
        ...


@dataclass(frozen=True, slots=True)
class TaxonomyType:
    """One category: a type of friction or delight, an unmet need, an intent, or a facet."""

    kind: str
    slug: str
    name: str
    definition: str
    is_not: str = ""
    lever: str = "unknown"
    since_version: int = 1
    retired: bool = False
    merged_into: str | None = None
    """Slug that goes on in its place; labels and counts follow it."""
    values: str | tuple[str, ...] = ""
    """Of a facet: its enum values, or `text`, `technology`, `count`, `flag`."""
    proposal_id: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One ledger entry that is in force (not undone): its sequence number, the version it made, its payload."""

    seq: int
    version: int
    payload: Mapping[str, Any]

    @property
    def action(self) -> str:
        """What was decided."""
        return str(self.payload.get("action", ""))


@dataclass(frozen=True)
class Taxonomy:
    """An immutable version of the taxonomy. Iteration order: the seed's, then as accepted."""

    version: int
    types: tuple[TaxonomyType, ...]
    changes: tuple[Change, ...] = ()
    """Decisions in force, ascending."""
    ignored: tuple[int, ...] = ()
    """Sequence numbers of entries that could not be applied (unknown slug, slug taken, unknown action)."""
    ledger_seq: int = 0
    """Highest sequence number read."""
    _index: dict[tuple[str, str], TaxonomyType] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        """Index by kind and slug."""
        object.__setattr__(self, "_index", {(item.kind, item.slug): item for item in self.types})

    def slugs(self, kind: str) -> tuple[str, ...]:
        """Slugs of the kind that are not retired, in the taxonomy's order."""
        return tuple(item.slug for item in self.types if item.kind == kind and not item.retired)

    def of_kind(self, kind: str) -> tuple[TaxonomyType, ...]:
        """Types of the kind that are not retired, in the taxonomy's order."""
        return tuple(item for item in self.types if item.kind == kind and not item.retired)

    def get(self, kind: str, slug: str) -> TaxonomyType | None:
        """The type, retired ones included; None when the taxonomy never had it."""
        return self._index.get((kind, slug))

    def current(self, kind: str, slug: str) -> str:
        """The slug that stands for `slug` today: itself, or where merges lead."""
        seen: set[str] = set()
        while slug not in seen:
            seen.add(slug)
            item = self.get(kind, slug)
            if item is None or item.merged_into is None:
                break
            slug = item.merged_into
        return slug

    @property
    def facets(self) -> tuple[TaxonomyType, ...]:
        """Facets that are not retired."""
        return self.of_kind("facet")

    @cached_property
    def intents_by_words(self) -> dict[str, str]:
        """Lower-case id or name of each intent in force, or merged into one -> its id today."""
        found: dict[str, str] = {}
        for item in self.types:
            slug = self.current(item.kind, item.slug)
            now = self.get(item.kind, slug)
            if item.kind == "intent" and now is not None and not now.retired:
                for words in (item.slug, item.slug.replace("_", " "), item.name.lower()):
                    found.setdefault(words, slug)
        return found

    def accepted(self) -> tuple[Change, ...]:
        """Acceptances in force."""
        return tuple(change for change in self.changes if change.action == "accept")

    def rejected(self) -> tuple[Change, ...]:
        """Rejections in force."""
        return tuple(change for change in self.changes if change.action == "reject")


@cache
def seed() -> Taxonomy:
    """The packaged taxonomy, version 1."""
    data = yaml.safe_load(resources.files("signals_assets").joinpath("taxonomy_seed.yaml").read_text(encoding="utf-8"))
    version = int(data["version"])
    types = [
        _new_type(kind, slug, fields, version)
        for section, kind in (("friction", "friction"), ("delight", "delight"), ("facets", "facet"))
        for slug, fields in data[section].items()
    ]
    return Taxonomy(version, tuple(types))


def fold(entries: Iterable[LedgerEntry], start: Taxonomy | None = None) -> Taxonomy:
    """The taxonomy after the entries of kind `taxonomy` (others are passed over), by sequence number.

    Every entry raises the version by one, also one that cannot be applied (it is listed in `ignored`) and an undo,
    so that a version number never means two things.
    """
    base = start or seed()
    ordered = sorted((entry for entry in entries if entry.kind == LEDGER_KIND), key=lambda entry: entry.seq)
    undone = _undone(ordered)
    types = {(item.kind, item.slug): item for item in base.types}
    changes: list[Change] = []
    ignored: list[int] = []
    for version, entry in enumerate(ordered, start=base.version + 1):
        if entry.seq in undone or entry.payload.get("action") == "undo":
            continue
        try:
            _apply(types, entry.payload, version)
        except TaxonomyError:
            ignored.append(entry.seq)
        else:
            changes.append(Change(entry.seq, version, entry.payload))
    return Taxonomy(
        version=base.version + len(ordered),
        types=tuple(types.values()),
        changes=(*base.changes, *changes),
        ignored=(*base.ignored, *ignored),
        ledger_seq=max((entry.seq for entry in ordered), default=base.ledger_seq),
    )


def check(taxonomy: Taxonomy, payload: Mapping[str, Any]) -> None:
    """Raise TaxonomyError when the decision could not be applied: call it before writing the entry."""
    if payload.get("action") == "undo":
        if not any(change.seq == payload.get("undoes") for change in taxonomy.changes):
            raise TaxonomyError(
                f"undo: entry {payload.get('undoes')} is not in force; list the taxonomy's changes and name one of them"
            )
        return
    _apply({(item.kind, item.slug): item for item in taxonomy.types}, payload, taxonomy.version + 1)


def _undone(ordered: list[LedgerEntry]) -> set[int]:
    """Sequence numbers that a later undo (itself not undone) takes back."""
    undone: set[int] = set()
    for entry in reversed(ordered):
        target = entry.payload.get("undoes")
        if entry.payload.get("action") == "undo" and entry.seq not in undone and isinstance(target, int):
            undone |= {target} if target < entry.seq else set()
    return undone


Types = dict[tuple[str, str], TaxonomyType]


def _apply(types: Types, payload: Mapping[str, Any], version: int) -> None:
    """Apply one decision in place, or raise TaxonomyError and leave `types` as it was."""
    action = str(payload.get("action", ""))
    apply = _APPLIED.get(action)
    if apply is None:
        raise TaxonomyError(f"{action or 'no action'}: not a decision; use one of {', '.join(ACTIONS)}")
    if payload.get("kind") not in KINDS:
        raise TaxonomyError(f"{action}: not a kind of category; use one of {', '.join(KINDS)}")
    apply(types, payload, version)


def _accept(types: Types, payload: Mapping[str, Any], version: int) -> None:
    kind, slug = _free(types, payload, str(payload["kind"]))
    types[kind, slug] = _new_type(kind, slug, payload, version)


def _reject(types: Types, payload: Mapping[str, Any], version: int) -> None:
    """A rejection changes no type; discovery reads it from `Taxonomy.rejected`."""


def _rename(types: Types, payload: Mapping[str, Any], _version: int) -> None:
    item = _active(types, payload)
    words = {name: str(payload[name]) for name in ("name", "definition", "is_not") if payload.get(name)}
    types[item.kind, item.slug] = replace(
        item,
        name=words.get("name", item.name),
        definition=words.get("definition", item.definition),
        is_not=words.get("is_not", item.is_not),
    )


def _merge(types: Types, payload: Mapping[str, Any], _version: int) -> None:
    item = _active(types, payload)
    into = _active(types, {**payload, "slug": payload.get("into")})
    if into.slug == item.slug:
        raise TaxonomyError(f"merge {item.kind} {item.slug}: a type cannot be merged into itself; name another")
    types[item.kind, item.slug] = replace(item, retired=True, merged_into=into.slug)


def _split(types: Types, payload: Mapping[str, Any], version: int) -> None:
    item = _active(types, payload)
    parts = payload.get("into") or []
    if isinstance(parts, str) or len(parts) < 2:
        raise TaxonomyError(f"split {item.kind} {item.slug}: give at least two new types in `into`")
    made = [_free(types, part, item.kind) for part in parts]
    if len(set(made)) < len(made):
        raise TaxonomyError(f"split {item.kind} {item.slug}: the new types need different slugs")
    types[item.kind, item.slug] = replace(item, retired=True)
    for (kind, slug), part in zip(made, parts, strict=True):
        types[kind, slug] = _new_type(kind, slug, {"lever": item.lever, **part}, version)


def _retire(types: Types, payload: Mapping[str, Any], _version: int) -> None:
    item = _active(types, payload)
    types[item.kind, item.slug] = replace(item, retired=True)


_APPLIED: Final[dict[str, Callable[[Types, Mapping[str, Any], int], None]]] = {
    "accept": _accept,
    "reject": _reject,
    "rename": _rename,
    "merge": _merge,
    "split": _split,
    "retire": _retire,
}


def _active(types: Types, payload: Mapping[str, Any]) -> TaxonomyType:
    """The type a decision is about; TaxonomyError when there is none or it is retired."""
    item = types.get((str(payload.get("kind")), str(payload.get("slug"))))
    if item is None or item.retired:
        state = "retired" if item else "unknown"
        raise TaxonomyError(
            f"{payload.get('action')} {payload.get('kind')} {payload.get('slug')}: {state}; name an active type"
        )
    return item


def _free(types: Types, fields: Mapping[str, Any], kind: str) -> tuple[str, str]:
    """Kind and slug of a type to be added; TaxonomyError when the slug is missing or was ever used."""
    slug = str(fields.get("slug") or "")
    if not slug or (kind, slug) in types:
        raise TaxonomyError(f"{kind} {slug or '(no slug)'}: a new type needs a slug that was never used; give another")
    return kind, slug


def _new_type(kind: str, slug: str, fields: Mapping[str, Any], version: int) -> TaxonomyType:
    values = fields.get("values", "")
    return TaxonomyType(
        kind=kind,
        slug=slug,
        name=str(fields.get("name") or slug.replace("_", " ").capitalize()),
        definition=str(fields.get("definition") or ""),
        is_not=str(fields.get("is_not") or ""),
        lever=str(fields.get("lever") or "unknown"),
        since_version=version,
        values=tuple(str(value) for value in values) if isinstance(values, list | tuple) else str(values),
        proposal_id=fields.get("proposal_id"),
    )
