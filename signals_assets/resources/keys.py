"""Door: the key of the pseudonyms.

Put here: where the key comes from. Not here: how it is used (see `core/identity.py`).
"""

import os
import secrets
from pathlib import Path

from signals_assets.settings import Settings


class PseudonymKey:
    """The key from the settings, or one made once in the restricted folder of the home."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is read before the first `bytes()`."""
        self._setting = settings.pseudonym_key
        self._path: Path = settings.restricted / "pseudonym.key"

    def bytes(self) -> bytes:
        """The key. A missing file is made (readable by its owner only), never replaced."""
        if self._setting is not None:
            return self._setting.get_secret_value().encode()
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            made = self._path.with_suffix(f".{secrets.token_hex(8)}.tmp")
            with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_hex(32).encode())
            try:
                os.link(made, self._path)
            except FileExistsError:
                pass  # another process was first; its key counts
            finally:
                made.unlink(missing_ok=True)
        return self._path.read_bytes()
