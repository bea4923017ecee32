"""The two zone types: text as it came, and text that the abstraction barrier admitted.

Put here: `Raw`, `Abstracted`, and the names of the zones.
Not here: the rules that decide what is admitted (see `core/barrier`), table shapes (see `tables.py`).

`Abstracted` can only be constructed with the key that `core/barrier` holds; a test walks the source
and fails when any other module names that key. Both types print their type and length, never text,
so an accidental f-string, log line or exception cannot leak what they hold.
"""

from collections.abc import Callable
from typing import Any, Final, Generic, Literal, TypeVar

T = TypeVar("T")

Zone = Literal["restricted", "abstracted", "published"]
ZONES: Final[tuple[Zone, ...]] = ("restricted", "abstracted", "published")

_BARRIER_KEY: Final = object()


class Raw(Generic[T]):
    """Something that came from outside and may identify a person.

    Read it with `reveal()`, which is a word one can search for; `repr` and `str` show type and size only.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        """Wrap `value` without looking at it."""
        self._value = value

    def reveal(self) -> T:
        """The wrapped value. Every call of this is a place to look at in a privacy review."""
        return self._value

    def __repr__(self) -> str:
        """Type and length, never content."""
        size = len(self._value) if hasattr(self._value, "__len__") else 1
        return f"<Raw {type(self._value).__name__} of length {size}>"

    __str__ = __repr__


class Abstracted:
    """A short text that passed the barrier: may be stored in the abstracted zone, read by analysts.

    Raises TypeError when constructed without the barrier's key.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str, key: object) -> None:
        """Hold `text`; `key` must be the barrier's."""
        if key is not _BARRIER_KEY:
            raise TypeError("only signals_assets.core.barrier may construct Abstracted; call barrier.admit()")
        self._text = text

    @property
    def text(self) -> str:
        """The admitted text."""
        return self._text

    def __repr__(self) -> str:
        """Type and length, never content."""
        return f"<Abstracted text of length {len(self._text)}>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Equal when the texts are."""
        return isinstance(other, Abstracted) and other._text == self._text

    def __hash__(self) -> int:
        """Hash of the text."""
        return hash(self._text)

    def __reduce__(self) -> tuple[Callable[[str], "Abstracted"], tuple[str]]:
        """Pickles between worker processes of one run keep what was admitted."""
        return _unpickled, (self._text,)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Row models accept instances only: a plain string is refused by validation."""
        from pydantic_core import core_schema

        return core_schema.is_instance_schema(
            cls, serialization=core_schema.plain_serializer_function_ser_schema(lambda v: v.text)
        )


def _unpickled(text: str) -> Abstracted:
    return Abstracted(text, _BARRIER_KEY)
