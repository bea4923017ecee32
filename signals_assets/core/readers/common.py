"""What all readers share: limits, rejections, lines out of bytes, JSON out of lines, honest ids and texts.

Put here: everything that guards against hostile or broken input, once.
Not here: any knowledge of a format (one file each beside this one), files and folders (see `resources`).

Caps follow the threat table of the project's privacy specification: a record that breaks one becomes `Rejected`
with a reason code and no content, and reading goes on. NUL, invalid UTF-8 and lone surrogates are replaced by
U+FFFD and counted in the session's notes.
"""

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, Generic, Protocol, TypeVar

import orjson

from signals_assets.core.sessions import STATUSES, Session, Step

T = TypeVar("T")

MIB: Final = 1 << 20
REPLACEMENT: Final = "\ufffd"
MAX_ID_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that could not be read: why, where, how large; never what it said."""

    reason: str
    source_format: str
    position: str
    """Opaque position, e.g. "line 12" of the source given by `source`."""
    source: str
    """Name of the file, for the person who owns it; stored only as a keyed hash."""
    bytes: int = 0
    count: int = 1
    day: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps for one stream. None of them limits the number of records: a large file is read in bounded memory."""

    record_bytes: int = 20 * MIB
    """One line; in canonical files a line is a whole session."""
    document_bytes: int = 100 * MIB
    """One JSON object that spans lines. An array has no cap of its own: its items are read one by one."""
    session_bytes: int = 20 * MIB
    """Text and arguments kept of one session that is gathered from many lines."""
    text_chars: int = 1_000_000
    """One step's text; longer text is cut and counted."""
    steps: int = 20_000
    depth: int = 64
    keys: int = 10_000
    open_bytes: int = 256 * MIB
    """Sessions that are being gathered at the same time; above it the one untouched for longest is closed."""
    ratio: int = 100
    """Decompressed over compressed bytes, once `ratio_free_bytes` came out. Honest transcripts reach 20 to 40."""
    ratio_free_bytes: int = 16 * MIB
    stream_bytes: int = 64 << 30
    """Decompressed size of one stream."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader is told about the stream it reads."""

    source: str
    """Name of the file, for positions and for formats whose session id is the file's name."""
    limits: Limits = field(default_factory=Limits)
    user_field: str = ""
    """Name of a record's field that holds the user, for formats that know none; dots reach into objects."""
    tally: Counter[str] = field(default_factory=Counter)
    """What became of the stream: `records` that are in a session, and those of them without a step by kind."""

    @property
    def stem(self) -> str:
        """The file's name without folders and the suffixes of formats and archives."""
        return re.sub(r"(\.(jsonl|ndjson|json|gz|zst))+$", "", re.split(r"[\\/]", self.source)[-1], flags=re.I)

    def rejected(self, reason: str, source_format: str, position: str, size: int = 0, count: int = 1) -> Rejected:
        """A rejection at `position` of this source."""
        return Rejected(reason, source_format, position, self.source, size, count)


@dataclass(slots=True)
class Record:
    """One JSON value of the stream, or the code of the reason why it is none."""

    position: str
    size: int
    value: Any = None
    reason: str | None = None
    notes: dict[str, int] = field(default_factory=dict)


class Reader(Protocol):
    """One format. Readers hold no state; the same stream gives the same sessions in the same order."""

    name: str

    def sniff(self, name: str, head: bytes) -> bool:
        """Whether a stream called `name` that begins with `head` looks like this format. Never raises."""
        ...

    def read(self, records: Iterator[Record], reading: Reading) -> Iterator[Session | Rejected]:
        """Sessions and rejections; every record is counted in `Reading.tally` or in one rejection."""
        ...


class ContentError(ValueError):
    """A cap was broken; the message is the reason's code, never content."""


# --- bytes to lines --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end; `data` is None when it was over the cap and passed over."""

    number: int
    data: bytes | None
    size: int


def lines(stream: BinaryIO, cap: int, beginning: bytes = b"") -> Iterator[Line]:
    """Lines that are not blank, in bounded memory; `beginning` was read already, at most one line of `cap` + 1."""
    number = 0
    while chunk := beginning or stream.readline(cap + 1):
        beginning = b""
        number += 1
        size = len(chunk)
        if size > cap and not chunk.endswith(b"\n"):
            while chunk and not chunk.endswith(b"\n"):
                chunk = stream.readline(MIB)
                size += len(chunk)
            yield Line(number, None, size)
        elif not chunk.isspace():
            yield Line(number, chunk, size)


# --- lines to JSON ---------------------------------------------------------------------------------------------

_NUL_ESCAPE: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def parse_json(data: bytes) -> tuple[Any, dict[str, int]]:
    """The JSON value of `data` and what had to be replaced in it.

    Raises ContentError("invalid_json" or "too_deep").
    """
    notes: dict[str, int] = {}
    if b"\\u0000" in data:
        data, replaced = _NUL_ESCAPE.subn(rb"\1\\ufffd", data)
        _note(notes, "nul_replaced", replaced)
    try:
        return orjson.loads(data), notes
    except orjson.JSONDecodeError:
        return _repaired(data, notes), notes


def _repaired(data: bytes, notes: dict[str, int]) -> Any:
    """The slow way, for bytes that a strict parser refuses: one wrong byte must not cost a session."""
    _note(notes, "nul_replaced", data.count(b"\0"))
    data = data.replace(b"\0", REPLACEMENT.encode()).removeprefix(b"\xef\xbb\xbf")
    text = data.decode("utf-8", "replace")
    _note(notes, "utf8_replaced", text.count(REPLACEMENT) - data.count(REPLACEMENT.encode()))
    try:
        return _cleaned(json.loads(text, strict=False), notes)
    except RecursionError:
        raise ContentError("too_deep") from None
    except ValueError:
        raise ContentError("invalid_json") from None


def _cleaned(value: Any, notes: dict[str, int]) -> Any:
    if isinstance(value, str):
        cleaned, replaced = _SURROGATE.subn(REPLACEMENT, value)
        _note(notes, "surrogate_replaced", replaced)
        return cleaned
    if isinstance(value, dict):
        return {_cleaned(key, notes): _cleaned(item, notes) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item, notes) for item in value]
    if isinstance(value, int) and not -(1 << 63) <= value < (1 << 64):
        return float(value) if abs(value) < 1 << 1000 else None
    if isinstance(value, float) and not -1e308 < value < 1e308:
        return None
    return value


def _note(notes: dict[str, int], what: str, count: int) -> None:
    if count > 0:
        notes[what] = notes.get(what, 0) + count


def add_notes(notes: dict[str, int], more: Mapping[str, int]) -> None:
    """Add counts into `notes`."""
    for what, count in more.items():
        _note(notes, what, count)


def json_records(stream: BinaryIO, limits: Limits) -> Iterator[Record]:
    """The JSON values of a stream: one per line, or the items of one document that spans lines or is one long line.

    An array (a whole document, or a line) gives its items one by one.
    """
    beginning = stream.readline(limits.record_bytes + 1)
    if _opens_array(beginning, limits):
        yield from _array_items(beginning, stream, limits)
        return
    first = True
    for line in lines(stream, limits.record_bytes, beginning):
        if line.data is None:
            yield Record(f"line {line.number}", line.size, reason="too_large")
        elif first and line.data.rstrip().endswith((b"{", b"[")) and len(line.data) < _OPENING_BYTES:
            yield from _document(line.data, stream, limits)
            return
        else:
            yield from _values(line.data, f"line {line.number}")
        first = False


def _opens_array(beginning: bytes, limits: Limits) -> bool:
    """Whether the first line is the beginning of an array, rather than a whole one."""
    if not beginning.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        return False
    return len(beginning) > limits.record_bytes or (
        len(beginning) < _OPENING_BYTES and beginning.rstrip().endswith((b"{", b"["))
    )


_OPENING_BYTES: Final = 4096
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{},]', re.DOTALL)
"""A whole text, or what opens, closes or parts; a lone quote begins a text whose end is not there yet."""
_UNFINISHED: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+', re.DOTALL)


def _array_items(beginning: bytes, stream: BinaryIO, limits: Limits) -> Iterator[Record]:
    """The items of an array of any size; one item, and what was read beyond it, is held at a time."""
    splitter = _Splitter(limits.record_bytes)
    number = size = 0
    chunk = beginning
    while chunk and not splitter.closed:
        for item, item_size in splitter.items(chunk):
            yield _item(item, item_size, f"document item {number}")
            number += 1
        chunk = stream.read(MIB) if not splitter.closed else b""
    rest = splitter.rest()
    while rest and rest.isspace():
        rest = stream.read(MIB)
    while rest:
        size += len(rest)
        rest = stream.read(MIB)
    if size or not splitter.closed:
        yield Record("end of document", size, reason="invalid_json")
    elif not number:
        yield Record("document", len(beginning), reason="no_sessions")


def _item(data: bytes | None, size: int, position: str) -> Record:
    if data is None:
        return Record(position, size, reason="too_large")
    try:
        value, notes = parse_json(data)
    except ContentError as error:
        return Record(position, size, reason=str(error))
    return Record(position, size, value, notes=notes)


class _Splitter:
    """Cuts an array that comes in chunks into its items; knows only texts, brackets and commas."""

    def __init__(self, cap: int) -> None:
        self.closed = False
        self._cap = cap
        self._data = b""
        self._depth = self._scanned = self._dropped = 0

    def items(self, chunk: bytes) -> Iterator[tuple[bytes | None, int]]:
        """Items that are complete with this chunk, with their sizes; None for one above the cap."""
        self._data += chunk
        start = self._scanned if self._depth == 0 else 0
        end = len(self._data)
        for token in _TOKEN.finditer(self._data, self._scanned):
            kind = token[0]
            if kind == b'"':
                end = token.start()
                break
            if kind in b"[{":
                self._depth += 1
                start = token.end() if self._depth == 1 else start
            elif kind in b"]}":
                self._depth -= 1
            if (kind == b"," and self._depth == 1) or self._depth == 0:
                yield from self._cut(start, token.start())
                start = token.end()
            if self._depth == 0:
                self.closed, end = True, token.end()
                break
        self._data, self._scanned = self._data[start:], end - start
        self._shorten()

    def _cut(self, start: int, end: int) -> Iterator[tuple[bytes | None, int]]:
        item = self._data[start:end].strip()
        size, self._dropped = self._dropped + len(item), 0
        if size > self._cap:
            yield None, size
        elif item:
            yield item, size

    def _shorten(self) -> None:
        """Forget what was looked at of an item above the cap, an unfinished text within it too."""
        if self.closed or len(self._data) + self._dropped <= self._cap:
            return
        unfinished = _UNFINISHED.match(self._data, self._scanned)
        kept = b'"' + self._data[unfinished.end() :] if unfinished else self._data[self._scanned :]
        self._dropped += len(self._data) - len(kept)
        self._data, self._scanned = kept, 0

    def rest(self) -> bytes:
        """What was read beyond the array, or of it and is not an item."""
        return self._data[self._scanned :] if self.closed else self._data


def _document(beginning: bytes, stream: BinaryIO, limits: Limits) -> Iterator[Record]:
    data = beginning + stream.read(limits.document_bytes)
    if len(data) > limits.document_bytes:
        size = len(data)
        while rest := stream.read(MIB):
            size += len(rest)
        yield Record("document", size, reason="too_large")
        return
    yield from _values(data, "document")


def _values(data: bytes, position: str) -> Iterator[Record]:
    try:
        value, notes = parse_json(data)
    except ContentError as error:
        yield Record(position, len(data), reason=str(error))
        return
    if isinstance(value, list) and not _is_conversation(value):
        share = len(data) // max(len(value), 1)
        for number, item in enumerate(value):
            yield Record(f"{position} item {number}", share, item, notes=notes if number == 0 else {})
        if not value:
            yield Record(position, len(data), reason="no_sessions")
        return
    yield Record(position, len(data), value, notes=notes)


def _is_conversation(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(item, dict) and "role" in item for item in value)


def head_records(head: bytes, most: int = 5) -> list[Any]:
    """The first JSON values of a stream's head, for recognition: whole lines only, unreadable ones left out."""
    whole = head.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    found: list[Any] = []
    for line in whole[: 4 * most]:
        if len(found) >= most:
            break
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        found.extend(value[:most] if isinstance(value, list) and not _is_conversation(value) else [value])
    return found


def head_objects(head: bytes) -> list[dict[str, Any]]:
    """Those of `head_records` that are JSON objects."""
    return [value for value in head_records(head) if isinstance(value, dict)]


# --- values ----------------------------------------------------------------------------------------------------


def session_id_of(value: Any) -> str:
    """A foreign id as text. It is data and never becomes a path.

    Raises ContentError("bad_session_id") for anything but a text or number of 1 to 512 bytes without control
    characters.
    """
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not text.isprintable() or not 0 < len(text.encode()) <= MAX_ID_BYTES:
        raise ContentError("bad_session_id")
    return text


def name_of(value: Any) -> str | None:
    """A short foreign name (user, model, version, tool) as text, or None for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()
    return text[:MAX_ID_BYTES] if text and _SURROGATE.search(text) is None else None


def text_of(value: Any, notes: dict[str, int], limits: Limits) -> str | None:
    """A step's text: None when empty, JSON when it is no text, cut (and counted) above the cap."""
    if value is None or value == "":
        return None
    text = value if isinstance(value, str) else json_text(value)
    if len(text) > limits.text_chars:
        notes["text_cut"] = notes.get("text_cut", 0) + 1
        return text[: limits.text_chars]
    return text


def json_text(value: Any) -> str:
    """Compact JSON of a value that came out of JSON.

    Raises ContentError("too_deep") for one that is nested deeper than can be written.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        raise ContentError("too_deep") from None


def arguments_of(value: Any, limits: Limits) -> Mapping[str, Any] | None:
    """Arguments of a tool call as an object: JSON text is parsed, anything else stands under `_raw`.

    Raises ContentError("too_deep" or "too_many_keys").
    """
    if value is None:
        return None
    if isinstance(value, str):
        value = _parsed_arguments(value)
    if not isinstance(value, dict):
        value = {"_raw": value}
    check_tree(value, limits)
    return dict(value)


def _parsed_arguments(text: str) -> Any:
    try:
        value, _ = parse_json(text.encode("utf-8", "replace"))
    except ContentError:
        return text
    return value if isinstance(value, dict) else text


def check_tree(value: Any, limits: Limits) -> None:
    """Raise ContentError("too_deep" or "too_many_keys") when a JSON value breaks a cap."""
    level: list[Any] = [value]
    depth = keys = 0
    while level:
        depth += 1
        if depth > limits.depth:
            raise ContentError("too_deep")
        below: list[Any] = []
        for item in level:
            children = item.values() if isinstance(item, dict) else item
            keys += len(item)
            if keys > limits.keys:
                raise ContentError("too_many_keys")
            below.extend(child for child in children if isinstance(child, dict | list))
        level = below


def status_of(value: Any) -> str | None:
    """A known status of a tool result, or None."""
    return value if isinstance(value, str) and value in STATUSES else None


def dig(record: Any, name: str) -> Any:
    """The field `name` of a record: the key itself, else its dotted path; None where it leads nowhere."""
    if not name or not isinstance(record, Mapping):
        return None
    if name in record:
        return record[name]
    value: Any = record
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def parts_text(content: Any) -> str | None:
    """The text of a message's content: a text, or a list of parts; pictures and files leave a mark."""
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        return json_text(content)
    return "\n".join(text for part in content if (text := _part_text(part))) or None


def _part_text(part: Any) -> str | None:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return None
    for key in ("text", "content", "refusal"):
        if isinstance(part.get(key), str):
            return str(part[key])
    kind = name_of(part.get("type")) or "part"
    return "[image]" if "image" in kind else f"[{kind}]"


def first_time(steps: Sequence[Step]) -> float | None:
    """The earliest time of the steps that have one."""
    return min((step.at for step in steps if step.at is not None), default=None)


def last_time(steps: Sequence[Step]) -> float | None:
    """The latest time of the steps that have one."""
    return max((step.at for step in steps if step.at is not None), default=None)


def with_times(session: Session) -> Session:
    """The session with a start and an end where its steps know them; says where the start comes from."""
    if session.started_at is None:
        session.started_at = first_time(session.steps)
        session.start_known_from = "unknown" if session.started_at is None else "first_step"
    if session.ended_at is None:
        session.ended_at = last_time(session.steps)
    return session


# --- sessions gathered from many lines -------------------------------------------------------------------------


class Gathered:
    """A session in the making: keeps within the caps, counts its records."""

    __slots__ = ("broken", "kept", "notes", "records", "size", "skipped", "steps")

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.notes: dict[str, int] = {}
        self.skipped: Counter[str] = Counter()
        self.records = 0
        self.size = 0
        """Bytes of the records that belong to it."""
        self.kept = 0
        self.broken: str | None = None

    def saw(self, record: Record) -> None:
        """Count a record of this session."""
        self.records += 1
        self.size += record.size
        add_notes(self.notes, record.notes)

    def add(self, step: Step, limits: Limits) -> None:
        """Append a step; a session that breaks a cap gives up its steps and is rejected as a whole."""
        if self.broken:
            return
        self.kept += len(step.text or "") + (len(json_text(step.arguments)) if step.arguments else 0) + 64
        self.steps.append(step)
        if len(self.steps) > limits.steps:
            self.broken = "too_many_steps"
        elif self.kept > limits.session_bytes:
            self.broken = "too_large"
        if self.broken:
            self.steps = []

    def skip(self, what: str) -> None:
        """Count a record of this session that is no step, e.g. `progress`."""
        self.skipped[what] += 1

    def tell(self, tally: Counter[str]) -> None:
        """Add what became of the session's records."""
        tally["records"] += self.records
        tally.update({f"records_without_step.{what}": count for what, count in self.skipped.items()})


class Holding(Generic[T]):
    """Sessions that are being gathered at the same time, within a number of bytes."""

    def __init__(self, make: Callable[[], T], cap: int) -> None:
        self._make, self._cap, self._held = make, cap, 0
        self._items: dict[str, tuple[T, int]] = {}

    def get(self, key: str, size: int) -> T:
        """The item of `key`, made when it is new; it becomes the one touched last."""
        item, before = self._items.pop(key) if key in self._items else (self._make(), 0)
        self._items[key] = (item, before + size)
        self._held += size
        return item

    def pop(self, key: str) -> tuple[T, int] | None:
        """Take out one item with its size, or None."""
        if key not in self._items:
            return None
        item, size = self._items.pop(key)
        self._held -= size
        return item, size

    def overfull(self) -> Iterator[tuple[str, T]]:
        """Take out those untouched for longest until the rest is within the cap; one always stays."""
        while self._held > self._cap and len(self._items) > 1:
            key = next(iter(self._items))
            item, size = self._items.pop(key)
            self._held -= size
            yield key, item

    def rest(self) -> Iterator[tuple[str, T]]:
        """Take out all, in the order of their last touch."""
        while self._items:
            key = next(iter(self._items))
            yield key, self._items.pop(key)[0]
        self._held = 0


def buffered(raw: io.RawIOBase) -> io.BufferedReader:
    """A reader over `raw` with a buffer large enough for recognition by the head."""
    return io.BufferedReader(raw, MIB)
