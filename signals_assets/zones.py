"""The two zone types: text as it came, and text that the abstraction barrier admitted.

Put here: `Raw`, `Abstracted`, and the names of the zones.
Not here: the rules that decide what is admitted (see `core/barrier`), table shapes (see `tables.py`).

`Abstracted` can only be constructed with the key that `core/barrier` holds; a test walks the source
and fails when any other module names that key. It has no subclasses, cannot be changed or filled in from outside,
and text out of a pickle is judged by the barrier's rules again. `Raw` is never pickled. Both types print their type
and length, never text, so an accidental f-string, log line or exception cannot leak what they hold.
"""

import importlib
from collections.abc import Callable
from typing import Any, Final, Generic, Literal, NoReturn, TypeVar

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

    def __init_subclass__(cls) -> None:
        """There are no kinds of it."""
        raise TypeError("Raw has no subclasses")

    def __reduce__(self) -> NoReturn:
        """Raw values stay in their process: a pickle is a file that nobody looks for."""
        raise TypeError("Raw is not pickled or copied; reveal() it where it is needed")

    def __repr__(self) -> str:
        """Type and length, never content."""
        size = len(self._value) if hasattr(self._value, "__len__") else 1
        return f"<Raw {type(self._value).__name__} of length {size}>"

    __str__ = __repr__


class Abstracted:
    """A short text that passed the barrier: may be stored in the abstracted zone, read by analysts.

    Raises TypeError when constructed without the barrier's key.
    """

    __slots__ = ("_seal", "_text")
    _seal: object
    _text: str

    def __init_subclass__(cls) -> None:
        """There are no kinds of it: one could answer for text that was never judged."""
        raise TypeError("Abstracted has no subclasses")

    def __init__(self, text: str, key: object) -> None:
        """Hold `text`; `key` must be the barrier's."""
        if key is not _BARRIER_KEY:
            raise TypeError("only signals_assets.core.barrier may construct Abstracted; call barrier.admit()")
        object.__setattr__(self, "_text", text)
        object.__setattr__(self, "_seal", key)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Admitted text does not change."""
        raise TypeError("Abstracted cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        """Admitted text does not go."""
        raise TypeError("Abstracted cannot be changed")

    @property
    def text(self) -> str:
        """The admitted text. Raises TypeError for an object that the barrier did not make."""
        if getattr(self, "_seal", None) is not _BARRIER_KEY:
            raise TypeError("this text was not admitted by the barrier")
        return self._text

    def __repr__(self) -> str:
        """Type and length, never content."""
        return f"<Abstracted text of length {len(self._text)}>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Equal when the texts are."""
        return isinstance(other, Abstracted) and other.text == self.text

    def __hash__(self) -> int:
        """Hash of the text."""
        return hash(self.text)

    def __reduce__(self) -> tuple[Callable[[str], "Abstracted"], tuple[str]]:
        """Between worker processes of one run; the text is judged again where it arrives."""
        return _unpickled, (self.text,)

    def __copy__(self) -> "Abstracted":
        """Itself: it cannot change."""
        return self

    def __deepcopy__(self, memo: object) -> "Abstracted":
        """Itself: it cannot change."""
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Row models accept instances only: a plain string is refused by validation."""
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(
            _sealed,
            core_schema.is_instance_schema(cls),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda v: v.text),
        )


def _sealed(value: Abstracted) -> Abstracted:
    if getattr(value, "_seal", None) is not _BARRIER_KEY:
        raise ValueError("was not admitted by the barrier")
    return value


def _unpickled(text: str) -> Abstracted:
    """A text out of a pickle, which may come from anywhere. Asks the barrier by name: zones lie below it."""
    rules = importlib.import_module("signals_assets.core.barrier.rules")
    if not (rules.admissible_alone(text) or rules.listed(text)):
        raise TypeError("a pickle held text that the barrier would not admit")
    return Abstracted(text, _BARRIER_KEY)
