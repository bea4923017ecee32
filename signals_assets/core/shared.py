"""Large values that come with every piece of work of a day: pickled once, read once by each worker process.

Put here: `SentOnce`. Not here: what is sent (see the classes that inherit it), where work runs (see the compute door).
"""

import hashlib
import pickle
from functools import cached_property
from typing import Any, Final


class SentOnce:
    """A frozen dataclass without slots that inherits this is pickled once, however many chunks it goes with.

    A worker process keeps the last value of each class, with all that it has derived from it (`cached_property`).
    """

    @cached_property
    def _sent(self) -> tuple[type, bytes, bytes]:
        fields = tuple(getattr(self, name) for name in self.__dataclass_fields__)  # type: ignore[attr-defined]
        content = pickle.dumps(fields, protocol=5)
        return type(self), hashlib.blake2b(content, digest_size=16).digest(), content

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, self._sent


_LAST: Final[dict[type, tuple[bytes, Any]]] = {}
"""The last value of each class that came to this process, with the digest of its content."""


def _received(kind: type, digest: bytes, content: bytes) -> Any:
    last = _LAST.get(kind)
    if last is not None and last[0] == digest:
        return last[1]
    value = kind(*pickle.loads(content))  # noqa: S301 - made by `SentOnce` in the process that sent it
    _LAST[kind] = (digest, value)
    return value
