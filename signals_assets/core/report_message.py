"""The day's report as messages of a chat: one that says it all in short, and the whole of it for the thread.

Put here: what of the report's blocks stands in the message and what in its thread, and Slack's limits.
Not here: what the report says (see `core/report/`), posting (see `resources/slack.py`).

Limits (Slack's documentation): 50 blocks a message, 3,000 characters in a section, 150 in a header; over about 13,000
characters in all a message is refused, so none is longer than 9,500.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Block = Mapping[str, Any]

SHORT: Final = (4, 3, 2, 1)
"""Sentences of a section in the message, fewer where it would be longer than `SHORT_TEXT`."""
SHORT_TEXT: Final = 4_000
WHOLE_TEXT: Final = 9_500
BLOCKS: Final = 50
SECTION: Final = 3_000
HEADER: Final = 150
_LINE: Final = 400


@dataclass(frozen=True, slots=True)
class Message:
    """`text` stands where blocks are not shown: in notifications. All of it is plain text, escaped."""

    text: str
    blocks: Sequence[Block]


def messages(blocks: Sequence[Block]) -> list[Message]:
    """The message, then those of its thread: the sections that the message shortens, whole.

    blocks: of `Report.blocks`.  Raises ValueError where one holds anything but plain text or is longer than Slack
    takes: nothing of it may format, mention or link.
    """
    wrong = next(_faults(blocks), None)
    if wrong is not None:
        raise ValueError(f"the report cannot be a Slack message: {wrong}")
    sections = [block for block in blocks if block["type"] == "section"]
    top = [block for block in blocks if block["type"] in ("header", "context")]
    told = next((_words(block) for block in top if block["type"] == "header"), "Signals")
    for most in SHORT:
        short = [_shortened(block, most) for block in sections]
        if _length([*top, *short]) <= SHORT_TEXT:
            break
    cut = [whole for whole, part in zip(sections, short, strict=True) if part != whole]
    more = [_context("More in the thread.")] if cut else []
    room = BLOCKS - len(top) - len(more)
    return [Message(told, [*top, *short[:room], *more]), *(Message(told, part) for part in _packed(cut))]


def plain(text: str) -> dict[str, Any]:
    """A plain-text element; `text` is escaped already."""
    return {"type": "plain_text", "text": text, "emoji": False}


def _shortened(block: Block, most: int) -> Block:
    title, *lines = _words(block).split("\n")
    kept = [line if len(line) <= _LINE else f"{line[:_LINE].rpartition(' ')[0]} …" for line in lines[:most]]
    rest = len(lines) - len(kept)
    words = [title, *kept, *([f"… and {rest} more"] if rest else [])]
    return {**block, "text": plain("\n".join(words))} if words != [title, *lines] else block


def _packed(sections: Sequence[Block]) -> Iterator[list[Block]]:
    """The sections in messages that Slack takes."""
    page: list[Block] = []
    for section in sections:
        if page and (len(page) == BLOCKS or _length([*page, section]) > WHOLE_TEXT):
            yield page
            page = []
        page.append(section)
    if page:
        yield page


def _context(text: str) -> Block:
    return {"type": "context", "elements": [plain(text)]}


def _texts(block: Block) -> list[Mapping[str, Any]]:
    return [*([block["text"]] if "text" in block else []), *block.get("elements", ())]


def _words(block: Block) -> str:
    return str(block["text"]["text"])


def _length(blocks: Sequence[Block]) -> int:
    return sum(len(text["text"]) for block in blocks for text in _texts(block))


def _faults(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        if (
            block["type"] not in ("header", "context", "divider", "section")
            or "accessory" in block
            or "fields" in block
        ):
            yield f"a block of type {block['type']}, or one with more than text"
        most = HEADER if block["type"] == "header" else SECTION
        for text in _texts(block):
            if text["type"] != "plain_text":
                yield f"a text of type {text['type']}; use plain_text"
            elif not 0 < len(text["text"]) <= most:
                yield f"a text of {len(text['text'])} characters; from 1 to {most}"
