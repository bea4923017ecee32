"""Pseudonyms and stable ids: keyed where they stand for people or sessions, plain where they name content.

Put here: the one keyed hash of the product, its two keys, the one content hash, putting new pseudonyms for old ones.
Not here: where keys come from (see `resources/keys.py`), the steps of a rotation (see `resources/rotation.py`), who may
see what (see `core/barrier`).
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    import pyarrow as pa

PEOPLE: Final = frozenset({"user", "organization", "session"})
"""Kinds whose pseudonyms change when the key of people rotates."""
PSEUDONYM: Final = re.compile(r"(?<![A-Za-z0-9])[uos]_[0-9a-f]{20}(?![A-Za-z0-9])")
"""A pseudonym of those kinds, wherever it stands in an id (`anonymous:s_...`, `s_...:3`)."""


class Keys(bytes):
    """The lasting key, for what names no person (words, labels, calls), and beside it the rotating key of people.

    Bytes everywhere, so that who hashes words or labels need not know; only `pseudonym` asks for the second key.
    """

    people: bytes
    """Key of users, organisations and sessions. Destroyed when it rotates: what it made can then not be linked."""

    def __new__(cls, lasting: bytes, people: bytes) -> Self:
        """Both keys."""
        made = super().__new__(cls, lasting)
        made.people = people
        return made

    def __getnewargs__(self) -> tuple[bytes, bytes]:  # type: ignore[override]  # bytes have one, these two
        """For worker processes."""
        return bytes(self), self.people

    def __repr__(self) -> str:
        """Never the keys."""
        return "<Keys>"

    __str__ = __repr__


def pseudonym(kind: str, value: str, key: bytes) -> str:
    """A stable opaque id of `value` within `kind` (first letter, underscore, 20 hex digits of HMAC-SHA256).

    Different kinds never share an id; without `key` it cannot be computed or reversed by guessing.
    """
    secret = key.people if isinstance(key, Keys) and kind in PEOPLE else key
    digest = hmac.new(secret, f"{kind}\x00{value}".encode(errors="surrogatepass"), hashlib.sha256).hexdigest()
    return f"{kind[0]}_{digest[:20]}"


def content_id(prefix: str, *parts: object) -> str:
    """A stable id of content that identifies nobody (`prefix`_16 hex digits of SHA-256 over the parts)."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode(errors="surrogatepass")).hexdigest()
    return f"{prefix}_{digest[:16]}"


def renaming(names: Mapping[str, str], lasting: bytes) -> "Callable[[pa.RecordBatch], pa.RecordBatch]":
    """A change of batches of any table: new pseudonyms for the old ones of `names`, everything else as it is.

    Looks at columns of ids (`..._id`, `..._ids`) and at the users' hashes of `word_support`. Applied twice it is
    applied once.
    """
    from signals_assets.core.barrier.support import user_hash  # support reads sessions, which lie above ids

    hashes = {user_hash(old, lasting): user_hash(new, lasting) for old, new in names.items() if old[0] == "u"}

    def within(value: Any) -> Any:
        if isinstance(value, list):
            return [within(one) for one in value]
        if not isinstance(value, str):
            return value
        return PSEUDONYM.sub(lambda match: names.get(match.group(), match.group()), value)

    def change(batch: "pa.RecordBatch") -> "pa.RecordBatch":
        import pyarrow as pa

        for position, column in enumerate(batch.schema):
            values = batch.column(position)
            if column.name == "user_hashes":
                changed = [sorted({hashes.get(value, value) for value in row}) for row in values.to_pylist()]
            elif column.name.endswith(("_id", "_ids")):
                changed = [within(value) for value in values.to_pylist()]
            else:
                continue
            batch = batch.set_column(position, column, pa.array(changed, column.type))
        return batch

    return change
