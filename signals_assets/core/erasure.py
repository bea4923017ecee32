"""Erasure: which rows are a person's, what is left of the rest, what may not come back.

Put here: the traces of a person, which columns hold them, taking them out of rows, tombstones, the search for needles.
Not here: doors, files, the order of the steps (see `resources/erasure.py`).

Row by row, so that other people's rows keep every byte: only what counts over people (`agreement`, `clusters`,
`reader_agreement`, `taxonomy_proposals`, first sights of a release) is changed. The published zone is frozen and is
not touched: it holds bands over enough people, and a band that moved on the day of an erasure would tell whose it was.
"""

import contextlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from signals_assets.core.identity import content_id, pseudonym
from signals_assets.core.user_days import ANONYMOUS
from signals_assets.tables import TABLES, Row, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

TOMBSTONE_KIND: Final = "tombstone"
"""Ledger kind: one entry per hash of a pseudonym that may not come back; its payload is empty."""
ERASURE_KIND: Final = "erasure"
"""Ledger kind: `<number>:started` and `<number>:finished`, without a word about whom."""

Column = Literal["user", "session", "organization", "item"]
COLUMNS: Final[Mapping[str, Column]] = {
    "user_id": "user",
    "session_id": "session",
    "organization_id": "organization",
    "event_id": "item",
    "item_id": "item",
    "request_id": "item",
}
"""Columns by which a row is somebody's, in whatever table they occur."""
NOBODYS: Final = frozenset({
    "source_session_id", "record_id", "pull_request_ids", "log_id", "feedback_id", "pull_request_id", "batch_id",
    "llm_call_id", "pattern_id", "theme_id", "cluster_id", "parent_id", "previous_ids", "proposal_id", "template_id",
    "cause_id", "item_ids", "user_hashes",
})  # fmt: skip
"""Other columns of ids: they stand beside one of `COLUMNS`, name content, or are counted over (`RECOUNTED`)."""
RECOUNTED: Final = (
    "word_support", "agreement", "reader_agreement", "clusters", "taxonomy_proposals", "taxonomy_reviews", "releases",
    "quarantine",
)  # fmt: skip
"""Tables without a person's column that a person still left something in."""


def tombstone(of: str) -> str:
    """The hash that remains of a pseudonym."""
    return content_id("tombstone", of)


def lasting_tombstone(kind: str, source_id: str, key: bytes) -> str:
    """The same of an id as the source knows it, under the key that does not rotate: it holds after a rotation."""
    return tombstone(pseudonym("erased", f"{kind}\x00{source_id}", key))


@dataclass(frozen=True)
class Tombstones:
    """Hashes of pseudonyms that may not come back."""

    hashes: frozenset[str] = frozenset()

    def covers(self, *pseudonyms: str | None) -> bool:
        """Whether one of the pseudonyms (of user, organisation, session) was erased."""
        return bool(self.hashes) and any(p is not None and tombstone(p) in self.hashes for p in pseudonyms)

    def covers_source_id(self, kind: str, source_id: str, key: bytes) -> bool:
        """Whether a user, organization or session was erased, by the id that the source knows."""
        return bool(self.hashes) and (
            lasting_tombstone(kind, source_id, key) in self.hashes or self.covers(pseudonym(kind, source_id, key))
        )


@dataclass(frozen=True)
class Traces:
    """Everything by which a person (or everybody of an organisation) can be found. Restricted; gone when it is done."""

    kind: Literal["user", "organization"]
    pseudonyms: tuple[str, ...]
    """Of the user or organisation: what the erasure was asked for."""
    source_ids: tuple[str, ...] = ()
    """The id as the source knows it, where known."""
    users: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    """Pseudonyms of the sessions."""
    source_sessions: tuple[str, ...] = ()
    """The sessions' ids as the source knows them."""
    items: tuple[str, ...] = ()
    """Ids of events, items, requests made from the sessions."""
    user_hashes: tuple[str, ...] = ()
    """The users' hashes in `word_support`."""
    set_aside: tuple[str, ...] = ()
    """Record ids in the quarantine."""
    first_sights: tuple[str, ...] = ()
    """Starts of the sessions (ISO 8601): a release may have been first seen in one."""
    lasting: tuple[str, ...] = ()
    """Tombstones of the source's ids under the key that does not rotate."""
    samples: tuple[str, ...] = ()
    """Word sequences that occur in the person's sessions and in nobody else's."""

    def to_json(self) -> str:
        """The traces as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Traces":
        """What `to_json` wrote."""
        data = json.loads(text)
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in data.items()}
        return cls(**values)

    def joined(self, other: "Traces") -> "Traces":
        """Both together, sorted."""
        both: dict[str, Any] = {
            f.name: tuple(sorted({*getattr(self, f.name), *getattr(other, f.name)}))
            for f in fields(self)
            if f.name != "kind"
        }
        return replace(self, **both)

    def values(self, column: Column) -> tuple[str, ...]:
        """The ids that make a row theirs by a column of this sort."""
        if column == "user":
            return (*self.users, *(f"{ANONYMOUS}{session}" for session in self.sessions))
        if column == "session":
            return self.sessions
        if column == "item":
            return self.items
        return self.pseudonyms if self.kind == "organization" else ()

    @property
    def tombstones(self) -> list[str]:
        """What remains: hashes of the pseudonyms of people and sessions."""
        made = {tombstone(value) for value in (*self.pseudonyms, *self.users, *self.sessions)}
        return sorted(made | set(self.lasting))


def columns_of(model: type[Row]) -> dict[str, Column]:
    """The columns of a table by which a row can be somebody's."""
    return {name: COLUMNS[name] for name in model.model_fields if name in COLUMNS}


def row_tables() -> list[type[Row]]:
    """Tables whose rows are a person's or not, in the order of the flow; the published zone is frozen."""
    return [model for model in TABLES.values() if model.zone != "published" and columns_of(model)]


def theirs(model: type[Row], batch: "pa.RecordBatch", traces: Traces) -> "pa.BooleanArray":
    """Which rows of a batch are the person's."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pa.array([False] * batch.num_rows, pa.bool_())
    for name, column in columns_of(model).items():
        values = pa.array(traces.values(column), pa.string())
        if name in batch.schema.names and len(values):
            found = pc.or_(found, pc.is_in(batch.column(name), value_set=values))
    return found


def without_rows(model: type[Row], traces: Traces) -> "Callable[[pa.RecordBatch], pa.RecordBatch]":
    """A change of batches that takes the person's rows out and leaves every other one as it is."""
    import pyarrow.compute as pc

    return lambda batch: batch.filter(pc.invert(theirs(model, batch, traces)))


# --- tables that count over people -----------------------------------------------------------------------------


def without_support(row: Mapping[str, Any], traces: Traces) -> dict[str, Any] | None:
    """A row of `word_support` without the person; None where nobody else said it.

    Where more users than are stored had said it, one too few is counted until the day is counted again: on the safe
    side, since a missing user never raises support.
    """
    gone = set(traces.user_hashes)
    left = [value for value in row["user_hashes"] if value not in gone]
    return {**row, "user_hashes": left} if left else None


def without_set_aside(row: Mapping[str, Any], traces: Traces) -> dict[str, Any] | None:
    """A row of `quarantine`; None where the record stood in the person's own file."""
    return None if row["record_id"] in set(traces.set_aside) else dict(row)


def without_first_sight(
    row: Mapping[str, Any], traces: Traces, still_run: Collection[tuple[str, str, str]]
) -> dict[str, Any] | None:
    """A row of `releases`: a first sight in the person's session becomes the day's beginning.

    None where nobody else ran it (`still_run`: agent, kind, version). What records told stays.
    """
    at: datetime = row["released_at"]
    if row["origin"] != "first_sight" or at.isoformat() not in set(traces.first_sights):
        return dict(row)
    if (row["agent_name"], row["kind"], row["version"]) not in still_run:
        return None
    return {**row, "released_at": at.replace(hour=0, minute=0, second=0, microsecond=0)}


def recounted_cluster(row: Mapping[str, Any], members: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """A row of `clusters` with the counts of its remaining `members` of the window; None where none is left.

    Its words stay: the barrier admitted each because enough users share it. The next day is clustered anew.
    """
    left = list(members)
    if not left:
        return None
    return {
        **row,
        "items": min(row["items"], len({member["item_id"] for member in left})),
        "users": min(row["users"], len({member["user_id"] or member["session_id"] for member in left})),
        "sessions": min(row["sessions"], len({member["session_id"] for member in left})),
    }


def recounted_review(row: Mapping[str, Any], members: Iterable[tuple[str, str | None, str]]) -> dict[str, Any]:
    """A row of `taxonomy_reviews` with no more items than are left: (item, user, session) of each.

    What was measured on all of them stays: it is of a category, and the next day measures anew.
    """
    left = list(members)
    return {
        **row,
        "items": min(row["items"], len(left)),
        "users": min(row["users"], len({user for _, user, _ in left})),
        "sessions": min(row["sessions"], len({session for _, _, session in left})),
    }


def without_evidence(
    row: Mapping[str, Any], traces: Traces, texts: Collection[str], keepers: Mapping[str, tuple[str | None, str]]
) -> dict[str, Any] | None:
    """A row of `taxonomy_proposals` without the person's items; None where no other evidence is left.

    `texts` are admitted texts of the person's that nobody else has; `keepers` are user and session of the items that
    stay. A proposal that lost evidence waits until the next day judges it again.
    """
    gone = set(traces.items) | {item for item in row["item_ids"] if item.partition(":")[0] in set(traces.sessions)}
    left = [item for item in row["item_ids"] if item not in gone]
    if not left:
        return None
    if len(left) == len(row["item_ids"]) and not set(row["examples"]) & set(texts):
        return dict(row)
    known = [keepers[item] for item in left if item in keepers]
    return {
        **row,
        "items": len(left),
        "users": min(row["users"], len({user or session for user, session in known})),
        "sessions": min(row["sessions"], len({session for _, session in known})),
        "ready": False,
        "waiting_for": "evidence was erased",
        "examples": [text for text in row["examples"] if text not in set(texts)],
        "item_ids": left,
    }


def without_ids(payload: Any, gone: Collection[str]) -> Any:
    """JSON without the ids: items of lists go, other values become `erased`."""
    if isinstance(payload, Mapping):
        return {name: without_ids(value, gone) for name, value in payload.items()}
    if isinstance(payload, list | tuple):
        return [without_ids(value, gone) for value in payload if not (isinstance(value, str) and value in gone)]
    return "erased" if isinstance(payload, str) and payload in gone else payload


def as_batch(model: type[Row], rows: Sequence[Mapping[str, Any]], like: "pa.RecordBatch") -> "pa.RecordBatch":
    """Rows as a batch with the columns of `like`, which may be of an older form of the model."""
    import pyarrow as pa

    schema = pa.schema([arrow_schema(model).field(f.name) if f.name in model.model_fields else f for f in like.schema])
    return pa.RecordBatch.from_pylist(list(rows), schema=schema.with_metadata(like.schema.metadata))


# --- the search ------------------------------------------------------------------------------------------------

WORD: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_BLOCK: Final = 4 << 20


class Needles:
    """Many byte strings, looked for in one pass: the first eight bytes of all at once, then each in full.

    With `whole`, a hit counts only where no letter, digit or underscore touches it: `user-1` is not in `user-12`.
    """

    def __init__(self, needles: Iterable[str], *, whole: bool) -> None:
        """Each text is looked for as UTF-8 and as JSON writes it."""
        import numpy as np

        found = {form for text in needles if text for form in _forms(text)}
        self._whole = whole
        self._short = sorted(needle for needle in found if len(needle) < 8)
        self._by_start: dict[int, list[bytes]] = {}
        for needle in sorted(found):
            if len(needle) >= 8:
                self._by_start.setdefault(int.from_bytes(needle[:8], "little"), []).append(needle)
        self._starts = np.array(sorted(self._by_start), dtype=np.uint64)
        self._overlap = max((len(needle) for needle in found), default=1)

    def count(self, data: bytes) -> int:
        """How often any needle occurs in the data."""
        total = sum(self._short_hits(data, needle) for needle in self._short)
        if not self._starts.size:
            return total
        return total + sum(self._hits(data, start) for start in range(0, len(data), _BLOCK))

    def _short_hits(self, data: bytes, needle: bytes) -> int:
        hits, at = 0, data.find(needle)
        while at >= 0:
            hits += self._stands(data, at, needle)
            at = data.find(needle, at + 1)
        return hits

    def _hits(self, data: bytes, start: int) -> int:
        """Hits of the long needles that begin in the block at `start`."""
        import numpy as np

        block = np.frombuffer(data, dtype=np.uint8)[start : start + _BLOCK + 7]
        if block.size < 8:
            return 0
        wanted = np.zeros(256, dtype=bool)
        wanted[(self._starts & np.uint64(255)).astype(np.int64)] = True
        second = np.zeros(256, dtype=bool)
        second[((self._starts >> np.uint64(8)) & np.uint64(255)).astype(np.int64)] = True
        places = np.flatnonzero(wanted[block[:-7]] & second[block[1:-6]])
        values = np.zeros(places.size, dtype=np.uint64)
        for offset in range(8):
            values |= block[places + offset].astype(np.uint64) << np.uint64(8 * offset)
        at = np.searchsorted(self._starts, values)
        at[at == self._starts.size] = 0
        hits = places[self._starts[at] == values]
        return sum(self._full(data, start + int(place)) for place in hits)

    def _full(self, data: bytes, at: int) -> int:
        candidates = self._by_start[int.from_bytes(data[at : at + 8], "little")]
        return sum(data.startswith(needle, at) and self._stands(data, at, needle) for needle in candidates)

    def _stands(self, data: bytes, at: int, needle: bytes) -> bool:
        if not self._whole:
            return True
        end = at + len(needle)
        return (at == 0 or data[at - 1] not in WORD) and (end >= len(data) or data[end] not in WORD)


def _forms(text: str) -> set[bytes]:
    """The text as it stands in files: plain, and as JSON writes it with and without escapes."""
    plain = text.encode(errors="surrogatepass")
    forms = {json.dumps(text)[1:-1].encode()}
    with contextlib.suppress(UnicodeEncodeError):
        forms.add(json.dumps(text, ensure_ascii=False)[1:-1].encode())
    return {plain, *forms}


SAMPLE_CHARACTERS: Final = (24, 60)
"""Length of a sampled word sequence: long enough to be somebody's, short enough to survive a cut."""


def samples_of(text: str, most: int) -> list[str]:
    """At most `most` word sequences spread over a text, of letters, digits, spaces and plain punctuation only."""
    import re

    low, high = SAMPLE_CHARACTERS
    runs = [run.strip() for run in re.findall(rf"(?<![A-Za-z0-9])[A-Za-z0-9 ,.\-/:]{{{low},}}", text)]
    usable = [run[:high].rsplit(" ", 1)[0] if " " in run[:high] else run[:high] for run in runs]
    usable = sorted({run for run in usable if len(run) >= low and run.count(" ") >= 3})
    step = max(1, len(usable) // most)
    return usable[::step][:most]
