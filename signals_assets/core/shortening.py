"""Shorter texts: words with first and last sentences, outputs with the lines that tell, arguments with their ends.

Put here: cuts of a single text, each of which says how much it left out; the estimate of tokens.
Not here: which text of a session is cut, and how far (see `condensing.py`).

What a text says is indented by two spaces, what is said about it (how much is missing) is not: a transcript can
neither look like a new step nor like a remark of this module.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

WHOLE: Final = 1 << 40
"""A length that no text has: nothing is cut."""
SLACK: Final = 60
"""A cut that saves fewer characters than it takes to tell about it is not made."""
LONGEST_LINE: Final = 320
ALIKE: Final = 2
"""Lines of one form that are shown before the rest of their run is counted."""
SEARCHED: Final = 40_000
"""Characters of a long output's middle that are searched for lines that tell, from its end."""
SIDE: Final = 0.35
"""Share of the room that the first lines of an output take, and the last."""
SHORTEST_LINE: Final = 80
MOST_ARGUMENTS: Final = 24
PATHS: Final = frozenset(
    {"file_path", "path", "notebook_path", "filename", "file", "target_file", "absolute_path", "AbsolutePath"}
)
PARTS_OF_PATH: Final = 4
"""Parts of a path, from its end, that tell one file from another; what is before them is the same in most calls."""
LONG_PATH: Final = 48

_WEIGHTS: Final[tuple[tuple[bytes, float], ...]] = (
    (b"abcdefghijklmnopqrstuvwxyz", 0.25),
    (b" ", 0.055),
    (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 0.31),
    (b"0123456789", 0.92),
    (b"\n\t", 0.97),
)
_MARK: Final = 0.5
_FOREIGN: Final = 1.6
"""Tokens per character by its kind: least squares of o200k_base over 759 pieces of 12,000 characters of real sessions,
plus 5 %, so that most pieces are estimated a little high."""
_BREAK: Final = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_ANY_BREAK: Final = re.compile("[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_VARIES: Final = re.compile(r"[0-9a-f]*\d[0-9a-f]*|/[\w./~-]+")
_TELLS: Final = (
    "rror", "ERROR", "fail", "Fail", "FAIL", "xception", "panic", "fatal", "FATAL", "denied", "ot found", "annot",
    "undefined", "raceback", "imed out", "imeout", "efused", "onflict", "nable to", "nvalid", "ismatch", "xpected",
    "o such", "can't",
)  # fmt: skip
"""What is in a line that tells of a failure."""
MOST_TELLING: Final = 60
"""Lines that are looked at for each of these."""
_SENTENCE: Final = re.compile(r"[.!?:]\s|\n")


def weight(text: str) -> float:
    """Estimated tokens of a text, not rounded: the weights of two texts add up to that of both in a row."""
    data = text.encode("utf-8", "replace")
    tokens = 0.0
    if len(data) != len(text):
        data = text.encode("ascii", "ignore")
        tokens = (len(text) - len(data)) * _FOREIGN
    for kind, of in _WEIGHTS:
        others = data.translate(None, kind)
        tokens += (len(data) - len(others)) * of
        data = others
    return tokens + len(data) * _MARK


def lines_only(text: str) -> str:
    """The text with every kind of line break as a newline, so that no reader sees more lines than are indented.

    Halves of characters, which no encoding can send, become question marks.
    """
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return _BREAK.sub("\n", text) if _ANY_BREAK.search(text) else text


def indented(text: str) -> str:
    """The text as lines below a header: a newline and two spaces before each."""
    return "\n  " + text.replace("\n", "\n  ")


def omitted(number: int, unit: str) -> str:
    """What stands where something is missing."""
    return f"\n... {_missing(number, unit)} ..."


def _missing(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'} omitted"


# --- words


def words(text: str, room: int) -> tuple[str, int]:
    """An agent's words in about `room` characters: first and last sentences. Returns lines, and characters shown."""
    if len(text) <= room + SLACK:
        return (indented(text) if text else ""), len(text)
    if room <= 0:
        return omitted(len(text), "character"), 0
    head = _until_sentence(text[: room // 2])
    tail = _from_sentence(text[len(text) - (room - len(head)) :])
    left = len(text) - len(head) - len(tail)
    return indented(head) + omitted(left, "character") + indented(tail), len(head) + len(tail)


def _until_sentence(head: str) -> str:
    """The text up to its last sentence's end, if that loses less than a third of it."""
    ends = [found.end() for found in _SENTENCE.finditer(head, len(head) * 2 // 3)]
    return (head[: ends[-1]] if ends else head).rstrip()


def _from_sentence(tail: str) -> str:
    found = _SENTENCE.search(tail, 0, len(tail) // 3)
    return (tail[found.end() :] if found else tail).lstrip()


# --- output


def output(text: str, room: int) -> tuple[str, int]:
    """A tool's output in about `room` characters. Returns its lines below a header, and the characters shown.

    First and last lines, between them those that tell of a failure; lines of one form in a row are counted.
    """
    if len(text) <= room + SLACK:
        return (indented(text) if text else ""), len(text)
    if room <= 0:
        return f" {_missing(text.count(chr(10)) + 1, 'line')}", 0
    side = int(room * SIDE)
    head, tail = text.find("\n", side), text.rfind("\n", 0, len(text) - side) + 1
    if head < 0 or head >= tail:
        return _lines(text, [(0, len(text))], room)
    return _lines(text, [(0, head), *telling(text, head + 1, tail, room - 2 * side), (tail, len(text))], room)


def _lines(text: str, spans: list[tuple[int, int]], room: int) -> tuple[str, int]:
    """The lines of these spans of a text (each from a line's start to a line's end), long ones and runs cut."""
    longest = max(SHORTEST_LINE, min(LONGEST_LINE, room // 2))
    parts: list[str] = []
    shown = position = run = alike = 0
    last = ""
    for start, end in spans:
        missing = text.count("\n", position, start) - (position > 0)
        for line in text[start:end].split("\n"):
            form = _VARIES.sub("#", line[:LONGEST_LINE])
            run = run + 1 if form == last and missing == 0 else 1
            last = form
            if run > ALIKE:
                alike += 1
                continue
            parts.append(_gap(missing, alike) + "\n  " + inline(line, longest))
            shown += 1 + min(len(line), longest)
            missing = alike = 0
        position = end
    return "".join(parts) + _gap(0, alike), min(shown, len(text))


def _gap(missing: int, alike: int) -> str:
    """What is said where lines are missing, and where they are like the two before them."""
    told = omitted(alike, "line").replace("omitted", "like these omitted") if alike else ""
    return told + (omitted(missing, "line") if missing > 0 else "")


def telling(text: str, start: int, end: int, room: int) -> list[tuple[int, int]]:
    """Where the lines between two line starts are that tell of a failure: one of each form, within the room."""
    if room < SHORTEST_LINE:
        return []
    start = max(start, text.rfind("\n", start, max(start, end - SEARCHED)) + 1)
    spans: list[tuple[int, int]] = []
    forms: set[str] = set()
    for first in sorted({first for word in _TELLS for first in _lines_with(word, text, start, end)}):
        last = text.find("\n", first, end)
        form = _VARIES.sub("#", text[first : min(last, first + LONGEST_LINE)])
        if form not in forms and room > 0:
            forms.add(form)
            spans.append((first, last))
            room -= min(last - first, LONGEST_LINE)
    return spans


def _lines_with(word: str, text: str, start: int, end: int) -> Iterator[int]:
    """Where the first lines begin that hold the word, between two line starts."""
    for _ in range(MOST_TELLING):
        place = text.find(word, start, end)
        if place < 0:
            return
        yield max(start, text.rfind("\n", start, place) + 1)
        start = text.find("\n", place, end) + 1


def inline(text: str, room: int) -> str:
    """A line or a value in about `room` characters: its ends, and how much is missing between them."""
    if len(text) <= room + SLACK:
        return text
    tail = room // 3
    return f"{text[: room - tail]} … {len(text) - room:,} characters omitted … {text[len(text) - tail :]}"


# --- arguments


def arguments(values: Mapping[str, Any], room: int) -> tuple[str, bool]:
    """The arguments of a call as one line of JSON, each value in about `room` characters, and whether all is there.

    Paths lose their beginning, everything else its middle; of very many arguments the first ones are kept.
    """
    if room >= WHOLE:
        return _json(values), True
    kept = {key: _value(key, values[key], room) for key in list(values)[:MOST_ARGUMENTS]}
    whole = len(kept) == len(values) and all(kept[key] is values[key] for key in kept)
    if len(kept) < len(values):
        kept["…"] = f"{len(values) - len(kept):,} arguments omitted"
    return _json(kept), whole


def _value(key: str, value: Any, room: int) -> Any:
    if isinstance(value, int | float) or value is None:
        return value
    text = value if isinstance(value, str) else _json(value)
    if key in PATHS and len(text) > LONG_PATH and "\n" not in text:
        text = "…/" + "/".join(text.replace("\\", "/").split("/")[-PARTS_OF_PATH:])
        return text if len(text) <= room + SLACK else inline(text, room)
    return value if len(text) <= room + SLACK else inline(text, room)


def _json(value: Any) -> str:
    """JSON on one line, for any reader's idea of a line; what JSON does not know is named by its kind."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=_kind).decode()
    except (TypeError, ValueError):  # numbers beyond 64 bits, halves of characters, deep nesting
        text = _plain_json(value)
    if text.isascii() and "\x7f" not in text:
        return text
    return _BREAK.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _plain_json(value: Any) -> str:
    try:
        return json.dumps(value, default=_kind, skipkeys=True)
    except (ValueError, RecursionError):
        return json.dumps({"…": "arguments that are no JSON omitted"})


def _kind(value: Any) -> str:
    return type(value).__name__
