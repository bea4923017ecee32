"""Door: the keys of the pseudonyms.

Put here: where keys come from, where they are kept, how one is replaced by the next.
Not here: how they are used (see `core/identity.py`), what a rotation changes in stored rows (see `rotation.py`).

The lasting key is the setting, or `pseudonym.key` in the restricted folder. It is for words, labels and calls: nothing
that is a person. The key of people (users, organisations, sessions) is a hash of the lasting key and of a secret in
`pseudonym.ring`, and lives until the next rotation.

With a key from the settings and no rotation yet there is no ring, and the setting is the key of people too: whoever
keeps that setting can link rows from before the first rotation. From then on both the setting and the ring are needed.
"""

import hashlib
import hmac
import json
import os
import secrets
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from signals_assets.core.identity import Keys
from signals_assets.resources.folders import private_folder
from signals_assets.settings import Settings


class KeyRingError(RuntimeError):
    """The keys cannot be used as they are: says what to do, never a key."""


@dataclass(frozen=True, slots=True)
class Ring:
    """What is known of the key of people, secrets included: stays within this module and its file."""

    number: int = 0
    """Rotations so far."""
    since: str | None = None
    """Day of the last rotation (ISO 8601)."""
    secret: str = ""
    """Empty while the lasting key is the key of people."""
    coming: str = ""
    """The next secret while a rotation is under way."""

    def __repr__(self) -> str:
        """Never a secret."""
        return f"<Ring {self.number}>"


@dataclass(frozen=True, slots=True)
class KeyState:
    """What may be shown of the keys."""

    from_setting: bool
    rotations: int
    since: date | None
    rotating: bool


class PseudonymKey:
    """The keys: from the settings, or made once in the restricted folder of the home."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is read before the first question."""
        self._setting = settings.pseudonym_key
        self._path: Path = settings.restricted / "pseudonym.key"
        self._ring_path: Path = settings.restricted / "pseudonym.ring"

    def bytes(self) -> Keys:
        """The keys. Missing files are made (readable by their owner only), never replaced.

        Raises KeyRingError while a rotation is unfinished: rows would get pseudonyms of two keys.
        """
        ring = self._ring()
        if ring.coming:
            raise KeyRingError("a rotation of keys was not finished; run: signals keys rotate")
        return self._keys(ring.secret)

    def state(self) -> KeyState:
        """How often and when the key of people was replaced; no secret."""
        ring = self._ring()
        since = None if ring.since is None else date.fromisoformat(ring.since)
        return KeyState(self._setting is not None, ring.number, since, bool(ring.coming))

    def begin_rotation(self) -> tuple[Keys, Keys]:
        """The present and the next keys; the same two again until `finish_rotation`, however often it is killed."""
        ring = self._ring()
        self._destroy_old()
        if not ring.coming:
            ring = Ring(ring.number, ring.since, ring.secret, secrets.token_hex(32))
            _replace(self._ring_path, _text(ring))
        return self._keys(ring.secret), self._keys(ring.coming)

    def finish_rotation(self, day: date) -> KeyState:
        """The next key is the present one from now on; the old secret is overwritten and gone."""
        ring = self._ring()
        if not ring.coming:
            raise KeyRingError("no rotation of keys is under way; run: signals keys rotate")
        old = self._ring_path.with_suffix(".old")
        old.unlink(missing_ok=True)
        os.link(self._ring_path, old)
        _replace(self._ring_path, _text(Ring(ring.number + 1, day.isoformat(), ring.coming)))
        self._destroy_old()
        return self.state()

    def _destroy_old(self) -> None:
        """Overwrite what is left of an earlier ring (a disk that keeps old blocks may still have it) and remove it."""
        for path in (self._ring_path.with_suffix(".old"), *self._ring_path.parent.glob("pseudonym.*.tmp")):
            with path.open("r+b") if path.exists() else nullcontext() as file:
                if file is not None:
                    file.write(b"0" * path.stat().st_size)
                    file.flush()
                    os.fsync(file.fileno())
            path.unlink(missing_ok=True)

    def _keys(self, secret: str) -> Keys:
        lasting = self._lasting()
        return Keys(lasting, hmac.new(lasting, bytes.fromhex(secret), hashlib.sha256).digest() if secret else lasting)

    def _lasting(self) -> Any:
        if self._setting is not None:
            return self._setting.get_secret_value().encode()
        return _made_once(self._path, secrets.token_hex(32))

    def _ring(self) -> Ring:
        if (self._setting is not None or self._path.exists()) and not self._ring_path.exists():
            return Ring()  # rows that are stored have pseudonyms of the lasting key: the ring is made before that key
        try:
            return Ring(**json.loads(_made_once(self._ring_path, _text(Ring(secret=secrets.token_hex(32))))))
        except (ValueError, TypeError):
            raise KeyRingError(f"{self._ring_path.name} cannot be read; bring it back from a backup") from None


def _text(ring: Ring) -> str:
    return json.dumps(asdict(ring))


def _made_once(path: Path, text: str) -> Any:
    """The content of a file; made with `text` where it is missing."""
    if not path.exists():
        made = _written(path, text)
        try:
            os.link(made, path)
        except FileExistsError:
            pass  # another process was first; its key counts
        finally:
            made.unlink(missing_ok=True)
    return path.read_bytes()


def _replace(path: Path, text: str) -> None:
    _written(path, text).replace(path)


def _written(path: Path, text: str) -> Path:
    """A new file beside `path`, readable by its owner only, safely on the disk."""
    private_folder(path.parent)
    made = path.with_suffix(f".{secrets.token_hex(8)}.tmp")
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    return made
