"""Text of the published zone: allow-listed labels, opaque labels, and one escaping function per surface.

Put here: what may be said of a service, template, tool or version that came from outside, and how text is escaped
for Markdown, HTML, Slack, CSV and the terminal.
Not here: sentences of tickets and reports (they are templates of their stages), thresholds (see `thresholds.py`).
"""

import hashlib
import html as _html
import re
from collections.abc import Container
from typing import Final

from signals_assets.core.text import UNSEEN

_VERSION: Final = re.compile(
    r"v?[0-9]{1,4}(?:\.[0-9]{1,5}){0,2}(?:[-.]?(?:a|b|rc|alpha|beta|dev|post|pre|preview|canary|next)[-.]?[0-9]{0,4})?"
)
_KIND: Final = re.compile(r"[a-z][a-z_]{0,30}")
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]#|!~])")
_LINE_START: Final = re.compile(r"^(\d+(?=[.)](?: |$))|(?=[-+=]))(.)")
_ADDRESS: Final = re.compile(r"\.(?=[A-Za-z])|:(?=//)")
LINE: Final = 240
"""Most characters of a text that stands inside a published sentence."""
_CSV_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def label(text: str, allowed: Container[str], *, kind: str = "label", key: bytes = b"") -> str:
    """`text` itself when the allow list holds it, else a stable opaque label such as "service-3f9a2c".

    `kind` (lower-case letters) is the label's first part; with `key` nobody finds the text by hashing guesses.
    Raises ValueError for a kind that is not a plain word.
    """
    if not _KIND.fullmatch(kind):
        raise ValueError("kind of a label must be a plain lower-case word, e.g. service")
    if text in allowed:
        return text
    digest = hashlib.blake2b(f"{kind}\x00{text}".encode(errors="surrogatepass"), digest_size=3, key=key[:64])
    return f"{kind}-{digest.hexdigest()}"


def version_label(text: str, allowed: Container[str] = (), *, kind: str = "version", key: bytes = b"") -> str:
    """A version as it is when it is plain (up to three numbers, at most one usual suffix) or allowed, else opaque.

    Four numbers are refused: they may be an address.
    """
    return text if _VERSION.fullmatch(text) else label(text, allowed, kind=kind, key=key)


def one_line(text: str) -> str:
    """The text on one line, without control or invisible characters, at most `LINE` characters."""
    return _one_line(text)[:LINE]


def _one_line(text: str) -> str:
    return " ".join(UNSEEN.sub(" ", text).split())


def markdown(text: str) -> str:
    """`one_line` for a Markdown document: plain text to Markdown, HTML and mention parsers.

    Nothing formats, links or mentions: an @ is written as its entity with a word joiner behind it, since some hosts
    look for mentions after the entities are read; list marks at the start and addresses get a backslash.
    """
    line = _MARKDOWN.sub(r"\\\1", one_line(text))
    line = _ADDRESS.sub(r"\\\g<0>", _LINE_START.sub(r"\1\\\2", line))
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return line.replace("@", "&#64;&#8288;")


def html(text: str) -> str:
    """Text for an HTML element or a quoted attribute."""
    return _html.escape(UNSEEN.sub(" ", text), quote=True)


def slack_plain(text: str) -> str:
    """Text for a Slack `plain_text` element: one line, `& < >` escaped, no mention can form."""
    escaped = _one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("@", "@\u2060")


def terminal(text: str) -> str:
    """Text for a terminal: nothing in it moves the cursor, colours, links, or is unseen; one line."""
    return UNSEEN.sub(" ", text)


def csv_cell(text: str) -> str:
    """A quoted CSV cell (RFC 4180) that no spreadsheet reads as a formula."""
    guarded = f"'{text}" if text.lstrip(" ").startswith(_CSV_FORMULA) or text.startswith(_CSV_FORMULA) else text
    return '"' + guarded.replace("\x00", "").replace('"', '""') + '"'
