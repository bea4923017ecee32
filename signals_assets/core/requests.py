"""Stage 3 · requests. The life of a request to a language model: its states, and what a result does to it.

Put here: states, when a request is asked again and when it stays, how much room an answer gets.
Not here: what is asked (see `core/asking.py`), how an answer is read (see `core/answering.py`), the rows (see
`resources/requests.py`), sending (see `resources/language_model.py`).

    planned -> submitted -> answered | refused | invalid | expired | failed
                   |
                   +-> planned  (asked again, at most ATTEMPTS times in all)

A request is one row per session, prompt, model and schema (and per part of a session that had to be split). Batches
are a transport: whatever becomes of a batch, every one of its requests gets an outcome here, also one that a provider
says nothing about.
"""

from dataclasses import dataclass
from typing import Final, Literal

State = Literal["planned", "submitted", "answered", "refused", "invalid", "expired", "failed"]
SETTLED: Final[frozenset[State]] = frozenset({"answered", "refused", "invalid", "expired", "failed"})
"""States that stay."""

REVISION: Final = 0
"""The part number of a request to write refused texts in other words; parts of sessions count from 1."""

ATTEMPTS: Final = 3
"""How often a request is sent in all where nothing came back: another attempt may fare better and cost nothing yet."""
PAID_ATTEMPTS: Final = 2
"""How often in all where an answer came that cannot be used: each one was paid."""

LOST: Final = "no_result"
"""Code: the provider returned no line for the request."""
EXPIRED_CODES: Final = frozenset({"batch_expired", "batch_cancelled"})
_PASSING: Final = frozenset({408, 409, 425, 429})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a request, and why where it is no answer."""

    state: State
    reason: str | None = None


def of_reading(state: str, reason: str | None, attempts: int) -> Outcome:
    """What a response that came back makes of its request.

    state: "answered", "refused", "filtered", "incomplete" or "invalid", see `core/answering.py`; attempts: how often
    the request was sent, this time included. A refusal is not argued with.
    """
    if state == "answered":
        return Outcome("answered")
    if state in ("refused", "filtered"):
        return Outcome("refused", reason or state)
    reason = f"incomplete_{reason}" if state == "incomplete" and reason else reason or state
    return Outcome("planned" if attempts < PAID_ATTEMPTS else "invalid", reason)


def of_failure(status_code: int | None, error_code: str | None, attempts: int) -> Outcome:
    """What a line without a response makes of its request: asked again where that can help.

    status_code: None or 0 where nothing was executed; other 4xx (a request that the provider does not take) stay.
    """
    code = error_code or LOST
    if code in EXPIRED_CODES:
        return Outcome("planned" if attempts < ATTEMPTS else "expired", code)
    passing = not status_code or status_code >= 500 or status_code in _PASSING or status_code == 200
    if passing and attempts < ATTEMPTS:
        return Outcome("planned", code)
    return Outcome("failed", code)


def output_room(base: int, most: int, reason: str | None) -> int:
    """Tokens an answer may take: double where the last one was cut off for want of room."""
    return min(most, base * 2) if reason == "incomplete_max_output_tokens" else min(most, base)
