"""Pseudonyms and stable ids: keyed where they stand for people or sessions, plain where they name content.

Put here: the one keyed hash of the product and the one content hash.
Not here: where the key comes from (see `settings.py`), who may see what (see `core/barrier`).
"""

import hashlib
import hmac


def pseudonym(kind: str, value: str, key: bytes) -> str:
    """A stable opaque id of `value` within `kind` (first letter, underscore, 20 hex digits of HMAC-SHA256).

    Different kinds never share an id; without `key` it cannot be computed or reversed by guessing.
    """
    digest = hmac.new(key, f"{kind}\x00{value}".encode(errors="surrogatepass"), hashlib.sha256).hexdigest()
    return f"{kind[0]}_{digest[:20]}"


def content_id(prefix: str, *parts: object) -> str:
    """A stable id of content that identifies nobody (`prefix`_16 hex digits of SHA-256 over the parts)."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode(errors="surrogatepass")).hexdigest()
    return f"{prefix}_{digest[:16]}"
