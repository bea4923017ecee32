"""Which tickets a pull request is about, by the tracker's identifiers (ENG-123) in its branch, title and body.

Put here: reading identifiers by Linear's rules. Not here: our own keys (SIG-...; see `core/records.py`), what a tracker
itself ties to a pull request (see `resources/tracker.py`).

Rules (Linear's documentation of its GitHub integration): an identifier in the branch's name or in the title links; in
the body only behind a magic word, because people also mention tickets that a change is not about.
"""

import re
from collections.abc import Sequence
from typing import Final

_WORDS: Final = (
    r"clos(?:e|es|ed|ing)|fix(?:es|ed|ing)?|resolv(?:e|es|ed|ing)|complet(?:e|es|ed|ing)|implement(?:s|ed|ing)?"
    r"|refs?|references?|part of|relate[sd] to|contributes? to|towards?"
)
_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_ADDRESS: Final = re.compile(r"/issue/([A-Za-z][A-Za-z0-9]{0,9}-[1-9]\d{0,6})(?:[/?#]|\Z)")
_CHANGE: Final = re.compile(r"https?://[^/]+/(.+?)/(?:-/)?(?:pull|pulls|merge_requests)/([1-9]\d{0,8})(?:[/?#].*)?")
_TEAM: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,9}")


def linked_tickets(branch: str | None, title: str | None, body: str | None, teams: Sequence[str]) -> list[str]:
    """Identifiers of the teams' tickets that a pull request is about, upper-case, each once, sorted.

    teams: keys of the tracker's teams, e.g. ENG; without one no identifier is read, since UTF-8 looks like one.
    """
    known = [team for team in teams if _TEAM.fullmatch(team)]
    if not known:
        return []
    one = rf"(?<![A-Za-z0-9])(?:{'|'.join(known)})-[1-9]\d{{0,6}}(?![A-Za-z0-9])"
    place = rf"(?:https?://\S{{1,200}}?/)?{one}"
    behind_a_word = re.compile(
        rf"\b(?:{_WORDS}):?\s+(?:issues?\s+)?({place}(?:\S*(?:\s*(?:,|and|&)\s*){place})*)", re.IGNORECASE
    )
    named = [text for text in (branch, title) if text]
    named += [found[1] for found in behind_a_word.finditer(_COMMENT.sub(" ", body or ""))]
    return sorted({found.upper() for text in named for found in re.findall(one, text, re.IGNORECASE)})


def pull_request_number(named: str, repository: str = "") -> str | None:
    """The number in a pull request's address (or merge request's), else what it is named by: 12, #12, PR-12.

    repository: owner/name; None for an address in another one (default: in any).
    """
    found = _CHANGE.fullmatch(named)
    if found is None:
        return None if "/" in named else named.removeprefix("PR-").removeprefix("#").removeprefix("!") or None
    return None if repository and found[1].lower() != repository.lower() else found[2]


def identifier_of(reference: str | None) -> str | None:
    """The tracker's identifier in an issue's address (https://.../issue/ENG-123/its-title), upper-case, or None."""
    found = _ADDRESS.search(reference or "")
    return found[1].upper() if found else None
