"""Canaries: made-up private values that a census plants and then looks for, in every form they may leave in.

Put here: kinds of values, encodings, and a search for very many of them at once.
Not here: where they are planted and which surfaces are searched (see `benchmarks/privacy.py`).

The search folds texts first (NFKC, look-alike letters, case; everything but letters and digits is dropped), so
spaced, dashed, zero-width or full-width forms are found as they are. Every pattern is looked up by one window of
eight characters; a bit table over hashes of windows rules nearly everything out before any pattern is compared.
"""

import base64
import html
import random
import re
import string
import unicodedata
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Form = Literal["plain", "encoded", "word_coded", "fragment"]

LEAST_INITIALS: Final = 5
"""Windows that an acrostic has at least: a few of its words stand in many acrostics, and in honest texts."""

WINDOW: Final = 8
"""Characters of a window, and the length of the pieces of secrets that are searched."""

# --- values ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Canary:
    """One made-up private value."""

    number: int
    kind: str
    value: str


def _listed(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_GIVEN: Final = _listed(
    "Anneliese Bartholomew Calliope Dagmar Ezequiel Fiorella Gwendolyn Hjalmar Ingeborg Jaroslav Katarzyna Leopoldine "
    "Marguerite Nathanael Ottilie Philippa Quirin Rosamund Siegfried Theodora Ulrike Valentina Wilhelmina Xiomara "
    "Yevgenia Zsofia Abimbola Chukwuemeka Dimitrios Eleftheria Francisco Guadalupe Harriet Imogen Joaquin Konstantin"
)
_FAMILY: Final = _listed(
    "Abernathy Brandvold Castellanos Dubrow Eisenhardt Fitzwilliam Grabowski Holmqvist Iturralde Jankowski Kowalczyk "
    "Lindqvist Montgomery Nakamura Okonkwo Papadakis Quintanilla Rosenbaum Schwarzkopf Thorvaldsen Ulyanova Vandermeer "
    "Wojciechowski Yamaguchi Zimmermann Achterberg Bonaventura Czerny Delacroix Engelbrecht Fairweather Goldschmidt"
)
_STREETS: Final = _listed("Alder Birch Cedar Dogwood Elm Foxglove Garden Hazel Ivy Juniper Kestrel Linden Mulberry")
_TOWNS: Final = _listed("Ashford Brackenridge Coldwater Dunmore Eastvale Fernhill Greystone Hollowbrook Ironbridge")
_COINED: Final = _listed("ba be bi bo da de di do fa fi ga go ka ke ki ko la li lo lu ma mi mo na ne no ra ri ro sa so")
_FIRST: Final = _listed("Amber Cobalt Crimson Emerald Ivory Marble Obsidian Scarlet Silver Velvet Copper Golden")
_SECOND: Final = _listed("Falcon Lantern Meadow Orchid Panther Raven Summit Thistle Walrus Willow Badger Heron")
ORDINARY: Final = _listed(
    "island castle forest shadow ocean lake planet queen pilot beach coast village mirror piano guitar "
    "horizon mountain valley umbrella hill snow storm bear bird cake cheese lawyer nurse soldier museum theatre boat "
    "truck avalanche falcon orchid tiger walrus"
)
"""Ordinary words that teams choose as code names. Searched as whole words, in what analysts and people read."""


def _pick(rng: random.Random, letters: str, count: int) -> str:
    return "".join(rng.choices(letters, k=count))


_BASE62: Final = string.ascii_letters + string.digits
_HEX: Final = "0123456789abcdef"
_UPPER: Final = string.ascii_uppercase
_DIGITS: Final = string.digits


def _coined(rng: random.Random, syllables: int) -> str:
    return "".join(rng.choices(_COINED, k=syllables))


def _login(rng: random.Random) -> str:
    return f"{rng.choice(_GIVEN)}.{rng.choice(_FAMILY)}{rng.randrange(10, 99)}".lower()


def _ipv4(rng: random.Random) -> str:
    return ".".join(str(rng.randrange(100, 255)) for _ in range(4))


def _card(rng: random.Random) -> str:
    digits = "4" + _pick(rng, _DIGITS, 14)
    total = sum(sum(divmod(int(digit) * (2 - place % 2), 10)) for place, digit in enumerate(digits))
    digits += str(-total % 10)
    return " ".join(digits[start : start + 4] for start in range(0, 16, 4))


def _birth(rng: random.Random) -> str:
    return f"{rng.randrange(1931, 1969)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"


KINDS: Final[dict[str, Callable[[random.Random], str]]] = {
    "person": lambda r: f"{r.choice(_GIVEN)} {_coined(r, 2).title()} {r.choice(_FAMILY)}",
    "email": lambda r: f"{_login(r)}@{_coined(r, 4)}.example",
    "phone": lambda r: f"+49 {r.randrange(150, 179)} {_pick(r, _DIGITS, 4)} {_pick(r, _DIGITS, 4)}",
    "address": lambda r: (
        f"{r.randrange(21, 998)} {r.choice(_STREETS)}{_coined(r, 2)} Street, {r.choice(_TOWNS)}{_coined(r, 3)}"
    ),
    "card": _card,
    "iban": lambda r: f"DE{r.randrange(10, 99)} " + " ".join(_pick(r, _DIGITS, 4) for _ in range(4)) + " 07",
    "social_security": lambda r: f"9{_pick(r, _DIGITS, 2)}-{r.randrange(10, 99)}-{r.randrange(1000, 9999)}",
    "key_sk": lambda r: f"sk-{_pick(r, _BASE62, 40)}",
    "key_aws": lambda r: f"AKIA{_pick(r, _UPPER + '234567', 16)}",
    "key_github": lambda r: f"ghp_{_pick(r, _BASE62, 36)}",
    "key_hex": lambda r: _pick(r, _HEX, 40),
    "key_jwt": lambda r: f"eyJ{_pick(r, _BASE62, 17)}.{_pick(r, _BASE62, 24)}.{_pick(r, _BASE62, 22)}",
    "password": lambda r: f"{_coined(r, 3).title()}!{_pick(r, _BASE62, 8)}#{r.randrange(10, 99)}",
    "hostname": lambda r: f"{_coined(r, 3)}-db{r.randrange(21, 99)}.{_coined(r, 3)}.internal",
    "ip": _ipv4,
    "url": lambda r: f"https://{_coined(r, 3)}.example/{_coined(r, 3)}?token={_pick(r, _BASE62, 12)}",
    "path": lambda r: f"/home/{_coined(r, 3)}/{_coined(r, 3)}/{_coined(r, 2)}_{r.randrange(21, 999)}.xlsx",
    "codename": lambda r: f"{r.choice(_FIRST)}{_coined(r, 1)} {r.choice(_SECOND)}{_coined(r, 1)}",
    "codename_word": lambda r: r.choice(ORDINARY),
    "order": lambda r: f"ORD-{r.randrange(10**6, 10**7)}-{_pick(r, _UPPER, 3)}",
    "company": lambda r: f"{_coined(r, 3).title()} {r.choice(_FAMILY)} Holdings",
    "date_of_birth": _birth,
    "plate": lambda r: f"{_pick(r, _UPPER, 3)}-{_pick(r, _UPPER, 2)} {r.randrange(1000, 9999)}",
    "uuid": lambda r: "-".join(_pick(r, _HEX, length) for length in (8, 4, 4, 4, 12)),
    "mac": lambda r: ":".join(_pick(r, _HEX, 2) for _ in range(6)),
}
"""Kind -> a value of it from a random stream. Nothing here belongs to anybody."""

SECRETS: Final = frozenset({"key_sk", "key_aws", "key_github", "key_hex", "key_jwt", "password"})
"""Kinds of which every piece of eight characters is searched, too (twelve where all of them are hexadecimal digits)."""
WORDS: Final = frozenset({"codename_word"})
"""Kinds that are single ordinary words: not unique, searched as whole words."""

OF_WORDS: Final = frozenset({"person", "address", "codename", "company"})
"""Kinds made of names and words: a half of one is no secret, and stands in other values, too."""


def canaries(count: int, seed: int, *, first: int = 0, apart_from: Iterable[Canary] = ()) -> list[Canary]:
    """`count` canaries of all kinds in turn, numbered from `first`; all values differ but those of `WORDS`.

    They differ from those of `apart_from`, too: there are not so many dates.
    """
    rng = random.Random(f"canaries/{seed}/{first}")  # noqa: S311 - reproducible, guards nothing
    kinds = list(KINDS)
    made: list[Canary] = []
    seen = {folded(canary.value) for canary in apart_from}
    while len(made) < count:
        kind = kinds[len(made) % len(kinds)]
        value = KINDS[kind](rng)
        if kind not in WORDS and folded(value) in seen:
            continue
        seen.add(folded(value))
        made.append(Canary(first + len(made), kind, value))
    return made


# --- encodings ---------------------------------------------------------------------------------------------------

_SPELLING: Final = dict(
    zip(
        string.ascii_lowercase + string.digits,
        _listed(
            "alfa bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa quebec "
            "romeo sierra tango uniform victor whiskey xray yankee zulu zero one two three four five six seven eight "
            "nine"
        ),
        strict=True,
    )
)
_CODE_BOOK: Final = dict(
    zip(
        string.ascii_lowercase + string.digits,
        _listed(
            "apple bread coffee dinner autumn winter garden kitchen river bridge street market doctor teacher driver "
            "music picture letter newspaper table chair bottle paper wheel engine train flight hotel ticket camera "
            "phone watch mouse horse animal flower"
        ),
        strict=True,
    )
)
_ACROSTIC: Final = dict(
    zip(
        "abcdefghijklmnopqrstuvwyz",
        _listed(
            "answer before change during either follow general having inside just keep later matter never other people "
            "quite rather simple through under value without yet zero"
        ),
        strict=True,
    )
)
_LOOK_ALIKES: Final = dict(zip("aceopxyijsABCEHKMOPTX", "асеорхуіјѕАВСЕНКМОРТХ", strict=True))
_BACK: Final = {ord(foreign): latin for latin, foreign in _LOOK_ALIKES.items()}
_LEET: Final = str.maketrans("aeiostAEIOST", "431057431057")
_ROT13: Final = str.maketrans(
    string.ascii_letters,
    "".join(a[13:] + a[:13] for a in (string.ascii_lowercase, _UPPER)),
)


def _in_words(book: dict[str, str]) -> Callable[[str], str]:
    return lambda value: " ".join(book[letter] for letter in folded(value) if letter in book)


ENCODINGS: Final[dict[str, Callable[[str], str]]] = {
    "plain": lambda v: v,
    "upper": str.upper,
    "lower": str.lower,
    "spaced": " ".join,
    "dashed": "-".join,
    "dotted": ".".join,
    "reversed": lambda v: v[::-1],
    "base64": lambda v: base64.b64encode(v.encode()).decode(),
    "base64url": lambda v: base64.urlsafe_b64encode(v.encode()).decode().rstrip("="),
    "base32": lambda v: base64.b32encode(v.encode()).decode(),
    "hex": lambda v: v.encode().hex(),
    "url": lambda v: "".join(f"%{byte:02X}" for byte in v.encode()),
    "html": lambda v: "".join(f"&#{ord(letter)};" for letter in v),
    "rot13": lambda v: v.translate(_ROT13),
    "leet": lambda v: v.translate(_LEET),
    "look_alike": lambda v: "".join(_LOOK_ALIKES.get(letter, letter) for letter in v),
    "zero_width": "\u200b".join,
    "full_width": lambda v: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in v),
    "soft_hyphen": "\u00ad".join,
    "split": lambda v: f"{v[: len(v) // 2]} | {v[len(v) // 2 :]}",
    "spelled": _in_words(_SPELLING),
    "code_book": _in_words(_CODE_BOOK),
    "acrostic": _in_words(_ACROSTIC),
}
"""Encoding -> the value in it. `split` goes over two fields: its halves stand on the two sides of the bar."""
PLAIN: Final = frozenset({"plain", "upper", "lower"})
WORD_CODED: Final = frozenset({"spelled", "code_book", "acrostic"})


def form_of(encoding: str) -> Form:
    """What an encoding counts as in the figures."""
    return "plain" if encoding in PLAIN else "word_coded" if encoding in WORD_CODED else "encoded"


# --- search ------------------------------------------------------------------------------------------------------

_KEPT: Final = bytes(b if chr(b) in string.digits + string.ascii_lowercase else 32 for b in bytes(range(256)).lower())
_DROPPED: Final = bytes(b for b in range(256) if not (b < 128 and chr(b).isalnum()))
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})")
_MULTIPLIER: Final = 0x9E3779B97F4A7C15
_TABLE_BITS: Final = 24
_LONGEST_CHANCE_DIGITS: Final = 13
"""A run of digits up to this long may be part of a time, a count or an id: see `_stands_alone`."""
_PART_OF_A_NUMBER: Final = re.compile(r"[0-9a-z]\Z|[0-9][.,:+_/-]\Z|\b[0-9a-f]{4}-\Z")
_GOES_ON: Final = re.compile(r"[0-9a-z]|[.,:+_/-][0-9]|-[0-9a-f]{4}\b")
"""What before or after a bare run of digits makes it part of a number, a time, a hash or a UUID."""
_NEAR: Final = 16
"""So many characters before and after a run are looked at."""


def folded(text: str) -> str:
    """Letters a-z and digits of a text: JSON escapes undone, NFKC, look-alikes and case folded, the rest dropped."""
    return _plain(text).encode("ascii", "ignore").translate(_KEPT, _DROPPED).decode()


def _plain(text: str) -> str:
    """The text with escapes, look-alikes and case undone, and with everything between its letters and digits."""
    if "\\u" in text:
        text = _ESCAPE.sub(lambda match: chr(int(match.group(1), 16)), text)
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text.translate(_BACK)).casefold()


@dataclass(frozen=True, slots=True)
class Hit:
    """A canary that was found: which, in which form, in which of the searched records."""

    canary: Canary
    form: Form
    encoding: str
    record: int


@dataclass(frozen=True, slots=True)
class _Pattern:
    text: bytes
    offset: int
    canary: Canary
    encoding: str


class Search:
    """Looks for many canaries in all encodings at once. Build it once: about 200 microseconds per canary."""

    def __init__(self, sought: Collection[Canary]) -> None:
        """Patterns shorter than eight characters are left out: they would be found by chance."""
        import numpy as np

        patterns = _patterns([canary for canary in sought if canary.kind not in WORDS])
        self._by_window: dict[int, list[_Pattern]] = defaultdict(list)
        for pattern in patterns:
            window = pattern.text[pattern.offset : pattern.offset + WINDOW]
            self._by_window[int.from_bytes(window, "little")].append(pattern)
        self._windows = np.array(sorted(self._by_window), dtype=np.uint64)
        self._table = np.zeros(1 << _TABLE_BITS, dtype=bool)
        self._table[_hashes(self._windows)] = True
        self._words: dict[str, list[Canary]] = defaultdict(list)
        for canary in sought:
            if canary.kind in WORDS:
                self._words[canary.value].append(canary)
        self.patterns = len(patterns)

    def find(self, records: Sequence[str], *, words: bool = False) -> Iterator[Hit]:
        """Every canary in the records, each at most once per record and encoding.

        `words`: also the single ordinary words (`WORDS`), which framework texts contain for reasons of their own.
        """
        parts = [folded(record) for record in records]
        starts, position = [], 0
        for part in parts:
            starts.append(position)
            position += len(part) + 1
        seen: set[tuple[int, str, int]] = set()
        looked_at = -1
        for place, pattern in sorted(self._matches("\n".join(parts).encode()), key=lambda match: match[0]):
            number = bisect_right(starts, place) - 1
            key = (pattern.canary.number, pattern.encoding, number)
            if key in seen:
                continue
            if _of_few_digits(pattern):
                if looked_at != number:
                    text, positions = _positions(records[number])
                    looked_at = number
                at = place - starts[number]
                confirmed = _stands_alone(pattern, text, positions[at : at + len(pattern.text)].tolist())
            else:
                confirmed = True
            if confirmed:
                seen.add(key)
                yield Hit(pattern.canary, _form(pattern, records[number]), pattern.encoding, number)
        if words and self._words:
            yield from self._whole_words(records)

    def _matches(self, text: bytes) -> Iterator[tuple[int, _Pattern]]:
        import numpy as np

        if len(text) < WINDOW:
            return
        for lane in range(WINDOW):
            count = (len(text) - lane) // WINDOW
            if count <= 0:
                continue
            values = np.frombuffer(text, dtype="<u8", count=count, offset=lane)
            candidates = np.flatnonzero(self._table[_hashes(values)])
            if not candidates.size:
                continue
            at_most = np.minimum(np.searchsorted(self._windows, values[candidates]), len(self._windows) - 1)
            known = candidates[self._windows[at_most] == values[candidates]]
            for index in known.tolist():
                at = index * WINDOW + lane
                for pattern in self._by_window[int(values[index])]:
                    start = at - pattern.offset
                    if start >= 0 and text.startswith(pattern.text, start):
                        yield start, pattern

    def _whole_words(self, records: Sequence[str]) -> Iterator[Hit]:
        for number, record in enumerate(records):
            for word in set(re.findall(r"[a-z]+", record.lower())) & self._words.keys():
                for canary in self._words[word]:
                    yield Hit(canary, "plain", "plain", number)


def _hashes(values: "npt.NDArray[np.uint64]") -> "npt.NDArray[np.uint64]":
    import numpy as np

    with np.errstate(over="ignore"):
        hashed: npt.NDArray[np.uint64] = (values * np.uint64(_MULTIPLIER)) >> np.uint64(64 - _TABLE_BITS)
    return hashed


def _patterns(sought: Collection[Canary]) -> list[_Pattern]:
    shared = _shared_ends(sought)
    texts = [
        (canary, encoding, text)
        for canary in sought
        for encoding, text in _forms(canary)
        if encoding != "split" or not (text.isalpha() or text in shared)  # letters only: words and names, side by side
    ]
    windows = Counter(text[place : place + WINDOW] for _, _, text in texts for place in _places(text))
    return [
        _Pattern(
            text.encode(),
            min(_places(text), key=lambda place, text=text: windows[text[place : place + WINDOW]]),  # type: ignore[misc]
            canary,
            encoding,
        )
        for canary, encoding, text in texts
    ]


def _shared_ends(sought: Iterable[Canary]) -> set[str]:
    """Beginnings and ends that several of the values have ("gwendolyn.del", ".internal"): they are nobody's half."""
    values = {folded(canary.value) for canary in sought}
    heads = Counter(value[:size] for value in values for size in range(WINDOW, len(value)))
    tails = Counter(value[-size:] for value in values for size in range(WINDOW, len(value)))
    return {text for ends in (heads, tails) for text, count in ends.items() if count > 1}


def _places(text: str) -> tuple[int, int, int]:
    """Where a pattern's window may lie: at the start, in the middle, at the end."""
    last = len(text) - WINDOW
    return (0, last // 2, last)


def _forms(canary: Canary) -> Iterator[tuple[str, str]]:
    """The patterns of a canary: (encoding, folded text), each text once, under the first encoding that gives it."""
    given: set[str] = set()
    for encoding, encode in ENCODINGS.items():
        if encoding == "split" and canary.kind in OF_WORDS:
            continue
        parts = encode(canary.value).split(" | ") if encoding == "split" else [encode(canary.value)]
        for text in map(folded, parts):
            told = LEAST_INITIALS * WINDOW if encoding == "acrostic" else WINDOW
            if len(text) >= told and text not in given:
                given.add(text)
                yield encoding, text
    if canary.kind in SECRETS:
        text = folded(canary.value)
        for start in range(len(text) - WINDOW + 1):
            piece = text[start : start + WINDOW]
            if not piece.strip(_HEX):
                piece = text[start : start + 12]
            if len(piece) >= (12 if not piece.strip(_HEX) else WINDOW) and piece not in given:
                given.add(piece)
                yield "fragment", piece


def _of_few_digits(pattern: _Pattern) -> bool:
    """Whether it may be met by accident: few digits and nothing else."""
    few = len(pattern.text) <= _LONGEST_CHANCE_DIGITS and pattern.encoding != "fragment"
    return few and pattern.text.isdigit()


def _positions(record: str) -> "tuple[str, npt.NDArray[np.int64]]":
    """The plain text of a record, and where in it each letter and digit of its folded form stands."""
    import numpy as np

    text = _plain(record)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    return text, np.flatnonzero(((codes >= 48) & (codes <= 57)) | ((codes >= 97) & (codes <= 122)))


def _stands_alone(pattern: _Pattern, text: str, at: Sequence[int]) -> bool:
    """Whether digits at these places stand in the text as somebody would write them.

    One text stands between all digits of a group, and one between the groups of the value: spaced, dashed, dotted,
    zero-width, bare. And no longer run goes on before or after: a number, a time, a list of numbers, a hash, a UUID. A
    value with its own punctuation only needs an end on both sides, since ids are put together with it.
    """
    start, end = at[0], at[-1] + 1
    written = _written(pattern)
    before, after = text[max(0, start - _NEAR) : start], text[end : end + _NEAR]
    if text[start:end] == written and not written.isdigit():
        return not before[-1:].isdigit() and not after[:1].isdigit()
    inside, between = _gaps(written, text, at)
    if len(inside) > 1 or len(between) > 1:
        return False
    gaps = inside | between
    if gaps == {""}:
        return not _PART_OF_A_NUMBER.search(before) and not _GOES_ON.match(after)
    return not any(
        (before.endswith(gap) and before[: len(before) - len(gap)][-1:].isdigit())
        or (after.startswith(gap) and after[len(gap) :][:1].isdigit())
        for gap in {"", *gaps}
    )


def _written(pattern: _Pattern) -> str:
    """The part of the encoded value whose digits the pattern is."""
    parts = ENCODINGS[pattern.encoding](pattern.canary.value).split(" | ")
    return next(part for part in parts if folded(part) == pattern.text.decode()).strip()


def _gaps(written: str, text: str, at: Sequence[int]) -> tuple[set[str], set[str]]:
    """What stands in the text between digits of one group of the written value, and between its groups."""
    inside: set[str] = set()
    between: set[str] = set()
    place = 0
    for group in re.findall(r"[0-9]+", written):
        for number in range(len(group)):
            if place:
                (inside if number else between).add(text[at[place - 1] + 1 : at[place]])
            place += 1
    return inside, between


def _form(pattern: _Pattern, record: str) -> Form:
    """A value that folds to itself although it was spaced or disguised counts as encoded, not as plain."""
    if pattern.encoding == "fragment":
        return "fragment"
    if pattern.encoding != "plain":
        return form_of(pattern.encoding)
    value, text = pattern.canary.value.casefold(), record.casefold()
    return "plain" if value in text or html.escape(value) in text else "encoded"
