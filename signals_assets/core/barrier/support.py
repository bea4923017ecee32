"""Distinct-user support: how many users' transcripts contain a word or a word sequence.

Put here: the one way in which text becomes words and word sequences for the rules R5 to R7, the index of one
transcript, the keyed counts of a day and their sum over a window.
Not here: what is done with a count (see `rules.py`), who may see which aggregate (see `thresholds.py`).

Transcripts are large and answers are small, so counting is restricted to a `Vocabulary`: what the day's answers say.
Words become numbers, word sequences become rolling hashes of those numbers (numpy), and everything that is not
in the vocabulary falls out early. What is stored is keyed (BLAKE2b, 64 bit): without the key a row says nothing.
Sessions without a user all count as one user: a missing user never raises support.
"""

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache, cached_property
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

import orjson

from signals_assets.core.barrier.lexicon import core_words, function_words, load, text_technologies_lower
from signals_assets.core.sessions import Session
from signals_assets.core.shared import SentOnce
from signals_assets.tables import WordSupport

if TYPE_CHECKING:
    import numpy as np

MOST_USERS: Final = 10
"""More users than any rule asks for are not stored."""

_TEXTS: Final = ("text", "user_comment", "tool_name", "name")
_LETTERS: Final = bytes(c if chr(c).islower() and c < 128 else 32 for c in range(256))
_MULTIPLIER: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1

Feature = str
"""A word ("w refund"), a sequence of words ("4 the user asked for") or of content words ("c3 refund late flight")."""


@dataclass(frozen=True, slots=True)
class Grams:
    """Lengths of shared sequences that R6 refuses: `words` in a row, or `content` words in a row."""

    words: int
    content: int


CITATION: Final = Grams(words=4, content=3)
SUMMARY: Final = Grams(words=5, content=4)
SETTINGS: Final = (CITATION, SUMMARY)


def tokens(text: str) -> list[str]:
    """The words of a text: lower case, ASCII letters, apostrophes dropped; everything else separates.

    The same for transcripts and abstractions, so that "user's", "USERS" and "users" are one word here.
    """
    plain = text.replace("\u2019", "'").lower().encode("ascii", "replace")
    return plain.translate(_LETTERS, b"'").decode("ascii").split()


@cache
def _stop_words() -> frozenset[str]:
    return frozenset(token for word in function_words() for token in tokens(word))


def features(text: str, grams: Sequence[Grams] = SETTINGS) -> Iterator[Feature]:
    """Every word, word sequence and content word sequence of a text, repeats included."""
    words, stop = tokens(text), _stop_words()
    content = [word for word in words if word not in stop]
    for word in words:
        yield f"w {word}"
    for setting in grams:
        yield from _sequences(words, setting.words, str(setting.words))
        yield from _sequences(content, setting.content, f"c{setting.content}")


def _sequences(words: Sequence[str], length: int, kind: str) -> Iterator[Feature]:
    for start in range(len(words) - length + 1):
        yield f"{kind} {' '.join(words[start : start + length])}"


def transcript_text(session: Session) -> Iterator[str]:
    """All text of a session that a person or tool wrote: texts, comments, tool names, arguments."""
    for step in session.steps:
        yield from _step_texts((step.text, step.user_comment, step.tool_name, step.name), step.arguments)


def stored_text(line: bytes | str) -> Iterator[str]:
    """The same, in the same order, of a session in canonical JSON, which needs no `Session` for that.

    Raises ValueError (without quoting content) when the line is not a canonical session.
    """
    try:
        steps = orjson.loads(line)["steps"]
        for step in steps:
            yield from _step_texts(map(step.get, _TEXTS), step.get("arguments"))
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ValueError("not a canonical session: stored row is unreadable; re-materialize its day") from None


def _step_texts(texts: Iterable[str | None], arguments: object) -> Iterator[str]:
    yield from filter(None, texts)
    if arguments:
        yield from _strings(arguments)


def _strings(value: object) -> Iterator[str]:
    """Keys and strings of nested JSON, without recursion (depth is the sender's)."""
    stack: list[object] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            stack.extend(item.values())
            stack.extend(item.keys())
        elif isinstance(item, list | tuple):
            stack.extend(item)


@dataclass(frozen=True)
class Vocabulary(SentOnce):
    """The words and sequences worth looking for. Picklable; build it once per day, or once per session's answer."""

    words: frozenset[str]
    sequences: Mapping[str, frozenset[tuple[str, ...]]]
    """Kind ("4", "c3", ...) -> word sequences of that length."""

    @classmethod
    def of(cls, texts: Iterable[str], *, words: Iterable[str] = (), grams: Sequence[Grams] = SETTINGS) -> "Vocabulary":
        """What occurs in `texts`, and the further single `words`."""
        single: set[str] = set(words)
        sequences: dict[str, set[tuple[str, ...]]] = {}
        for text in texts:
            for feature in features(text, grams):
                kind, *parts = feature.split(" ")
                if kind == "w":
                    single.add(parts[0])
                else:
                    sequences.setdefault(kind, set()).add(tuple(parts))
        return cls(frozenset(single), {kind: frozenset(found) for kind, found in sequences.items()})

    @cached_property
    def _ids(self) -> dict[str, int]:
        """Numbers of words: 1 for function words that stand in nothing, then words of sequences, then single words."""
        used = {word for group in self.sequences.values() for parts in group for word in parts}
        ids = dict.fromkeys(_stop_words(), 1)
        ids.update({word: number for number, word in enumerate([*sorted(used), *sorted(self.words - used)], start=2)})
        return ids

    @cached_property
    def _names(self) -> list[str | None]:
        """Word by number where the word itself is looked for."""
        names: list[str | None] = [None] * (len(self._ids) + 2)
        for word, number in self._ids.items():
            names[number] = word if word in self.words else names[number]
        return names

    @cached_property
    def _last_used(self) -> int:
        return 1 + len({word for group in self.sequences.values() for parts in group for word in parts})

    @cached_property
    def _stop(self) -> "np.ndarray":
        return self._flags(self._ids[word] for word in _stop_words())

    def _flags(self, numbers: Iterable[int]) -> "np.ndarray":
        import numpy as np

        flags = np.zeros(len(self._ids) + 2, dtype=bool)
        flags[list(numbers)] = True
        return flags

    @cached_property
    def _by_hash(self) -> dict[str, tuple["np.ndarray", "np.ndarray", dict[int, Feature]]]:
        """By kind: sorted hashes of the sequences, which words begin one, the sequence of each hash."""
        import numpy as np

        tables = {}
        for kind, group in self.sequences.items():
            table: dict[int, Feature] = {}
            for parts in group:
                value = 0
                for word in parts:
                    value = (value * _MULTIPLIER + self._ids[word]) & _MASK
                table[value] = f"{kind} {' '.join(parts)}"
            firsts = self._flags(self._ids[parts[0]] for parts in group)
            tables[kind] = (np.array(sorted(table), dtype=np.uint64), firsts, table)
        return tables

    def found_in(self, words: Sequence[str]) -> set[Feature]:
        """The features of this vocabulary that occur in a transcript's words. Each word is looked up once."""
        import numpy as np

        if not words:
            return set()
        ids = np.fromiter(map(self._ids.get, words, repeat(0)), dtype=np.int64, count=len(words))
        present = np.flatnonzero(np.bincount(ids, minlength=2))
        found = {f"w {name}" for number in present if (name := self._names[number]) is not None}
        if not self.sequences:
            return found
        content = ids[~self._stop[ids]]
        for kind, (wanted, firsts, table) in self._by_hash.items():
            run = content if kind.startswith("c") else ids
            hashes = _rolling(run, int(kind.lstrip("c")), firsts, self._last_used)
            if hashes.size and wanted.size:
                places = np.searchsorted(wanted, hashes)
                places[places == wanted.size] = 0
                hits = np.unique(hashes[wanted[places] == hashes])
                found.update(table[int(value)] for value in hits)
        return found


def _rolling(ids: "np.ndarray", length: int, firsts: "np.ndarray", last: int) -> "np.ndarray":
    """Hashes of the windows of `length` that begin with a word of `firsts` and hold words 2 to `last` only."""
    import numpy as np

    starts = np.flatnonzero(firsts[ids[: max(0, ids.size - length + 1)]])
    for offset in range(1, length):
        following = ids[starts + offset]
        starts = starts[(following > 1) & (following <= last)]
    value = np.zeros(starts.size, dtype=np.uint64)
    for offset in range(length):
        value = value * np.uint64(_MULTIPLIER) + ids[starts + offset].astype(np.uint64)
    return value


@dataclass(frozen=True, slots=True)
class TranscriptIndex:
    """What a session's own answer shares with its transcript."""

    shared: frozenset[Feature]
    """Features of the answer that also occur in the transcript."""
    starts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """First five letters -> transcript words of five letters or more that are no core words (for R7)."""
    looked_for: frozenset[Feature] = field(default_factory=frozenset, repr=False)
    """All features of the answer: what `shared` says of others is not known."""
    _words: str = field(default="", repr=False)
    """The transcript's words between blanks; `_content`: without function words. For a second text."""
    _content: str = field(default="", repr=False)

    @classmethod
    def of(cls, session: Session, texts: Iterable[str]) -> "TranscriptIndex":
        """Index the transcript of `session` for the texts of its answer."""
        return cls.of_text(transcript_text(session), texts)

    @classmethod
    def of_text(cls, transcript: Iterable[str], texts: Iterable[str]) -> "TranscriptIndex":
        """The same from the transcript's texts themselves."""
        words, stop, core = tokens("\n\n".join(transcript)), _stop_words(), core_words()
        starts: dict[str, set[str]] = {}
        for word in set(words):
            if 5 <= len(word) <= 30 and word not in core:
                starts.setdefault(word[:5], set()).add(word)
        texts = list(texts)
        content = [word for word in words if word not in stop]
        return cls(
            frozenset(Vocabulary.of(texts).found_in(words)),
            {start: frozenset(group) for start, group in starts.items()},
            frozenset(feature for text in texts for feature in features(text)),
            f" {' '.join(words)} ",
            f" {' '.join(content)} ",
        )

    def also(self, text: str) -> "TranscriptIndex":
        """The index for one more text: only what it has and the texts before it had not is looked up."""
        new = {feature for feature in features(text) if feature not in self.looked_for}
        found = {feature for feature in new if self._occurs(feature)}
        return replace(self, shared=self.shared | found, looked_for=self.looked_for | new)

    def _occurs(self, feature: Feature) -> bool:
        kind, _, words = feature.partition(" ")
        return f" {words} " in (self._content if kind.startswith("c") else self._words)


def feature_hash(feature: Feature, key: bytes) -> str:
    """The keyed 64-bit hash of a feature, as 16 hex digits."""
    return hashlib.blake2b(feature.encode(), digest_size=8, key=key[:64]).hexdigest()


def user_hash(user_id: str | None, key: bytes) -> str:
    """The short keyed hash under which a user counts in `word_support`."""
    return hashlib.blake2b(f"user {user_id or ''}".encode(), digest_size=6, key=key[:64]).hexdigest()


@dataclass(frozen=True, slots=True)
class Spoken:
    """User pseudonym and canonical JSON of rows of `raw_sessions`, which may be read only when this is iterated."""

    raw: Iterable[Mapping[str, Any]]

    def __iter__(self) -> Iterator[tuple[str | None, bytes | str]]:
        return ((row["user_id"], row["session"]) for row in self.raw)


@dataclass(frozen=True, slots=True)
class SupportChunk:
    """Some sessions of a day (user pseudonym or None, canonical JSON) and what to look for in them."""

    sessions: Iterable[tuple[str | None, bytes | str]]
    vocabulary: Vocabulary
    key: bytes


Partial = dict[Feature, set[str]]
"""Feature -> keyed hashes of its users, at most `MOST_USERS` of them: the smallest, so that order does not matter."""


def day_vocabulary(texts: Iterable[str]) -> Vocabulary:
    """What to count on a day: all admissible words, and the sequences that the day's answers contain.

    Words are counted whether or not the day's answers use them, so that another day of the window may ask for them.
    """
    admissible = {word for entry in load() | text_technologies_lower() for word in tokens(entry)}
    core = {word for entry in core_words() for word in tokens(entry)}
    return Vocabulary.of(texts, words=admissible - core)


def count_chunk(chunk: SupportChunk) -> Partial:
    """Users per feature in one chunk. A pure function of its argument: map it over a process pool."""
    partial: Partial = {}
    for user_id, line in chunk.sessions:
        user = user_hash(user_id, chunk.key)
        words = tokens("\n\n".join(stored_text(line)))
        for feature in chunk.vocabulary.found_in(words):
            partial.setdefault(feature, set()).add(user)
    return _capped(partial)


def merged(partials: Iterable[Partial]) -> Partial:
    """The union of partial counts; the same whatever the order and the cut into chunks."""
    total: Partial = {}
    for partial in partials:
        for feature, users in partial.items():
            total.setdefault(feature, set()).update(users)
    return _capped(total)


def _capped(partial: Partial) -> Partial:
    return {
        feature: users if len(users) <= MOST_USERS else set(heapq.nsmallest(MOST_USERS, users))
        for feature, users in partial.items()
    }


def support_rows(day: date, partials: Iterable[Partial], key: bytes) -> list[WordSupport]:
    """The day's rows of `word_support`, sorted by hash. Features become keyed hashes here."""
    hashed = ((feature_hash(feature, key), sorted(users)) for feature, users in merged(partials).items())
    return [WordSupport(day=day, hash=value, user_hashes=users) for value, users in sorted(hashed)]


@dataclass(frozen=True)
class Support(SentOnce):
    """Distinct users per hashed feature over a window of days (exact up to `MOST_USERS`)."""

    counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_rows(cls, rows: Iterable[WordSupport | Mapping[str, object]]) -> "Support":
        """Add up the rows of several days: a user who wrote a word on two days is one user."""
        users: dict[str, set[str]] = {}
        for row in rows:
            data = row.model_dump(include={"hash", "user_hashes"}) if isinstance(row, WordSupport) else row
            users.setdefault(str(data["hash"]), set()).update(data["user_hashes"])  # type: ignore[arg-type]
        return cls({value: len(group) for value, group in users.items()})

    def users(self, feature: str) -> int:
        """Distinct users of a hashed feature; 0 when it was never seen."""
        return self.counts.get(feature, 0)
