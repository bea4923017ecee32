"""How Linear is spoken to: GraphQL over HTTP, bounded repeats, errors without content.

Put here: what an answer of Linear says about success, and the waiting that only Linear asks for in its own way.
Not here: plain HTTP (see `resources/http.py`), which questions are asked, what a ticket is (see `resources/linear.py`).

Linear's facts (July 2026): HTTP 200 may carry `errors`; a rate limit is HTTP 400 with the code RATELIMITED; the
`x-ratelimit-*-reset` headers are epoch milliseconds. Every question of ours may be repeated: whatever creates
something names its id, so that a repeat is refused by Linear and looked up by the asker.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from signals_assets.resources.http import Answer, Http, HttpError
from signals_assets.resources.tracker import TrackerError

M = TypeVar("M", bound=BaseModel)

ATTEMPTS: Final = 5
"""Times that one question is asked at the most."""
FIRST_PAUSE: Final = 0.5
"""Seconds before the first repeat where Linear names none; doubled with each further one."""
PASSING: Final = frozenset({"internal error", "lock timeout", "network error", "bootstrap error", "unknown"})
"""Types of GraphQL errors that may be gone at the next attempt."""
ACCESS: Final = frozenset({"authentication error", "forbidden"})


class LinearRefused(TrackerError):  # noqa: N818 - an answer: the question was understood and declined
    """Linear declined the question: a repeated id, something that does not exist, or input that it does not take."""


class LinearUnavailable(TrackerError):  # noqa: N818 - a state of the service
    """Linear did not answer, or asks to wait for longer than we do. What was asked may or may not have been done."""


@dataclass(frozen=True, slots=True)
class LinearClient:
    """Asks one GraphQL question at a time.

    authorization: a personal key, or `Bearer` and a token.  patience_seconds: longest wait that Linear may ask for.
    """

    endpoint: str
    authorization: str = field(repr=False)
    timeout_seconds: float = 30.0
    patience_seconds: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    def ask(self, doing: str, document: str, variables: Mapping[str, Any], answer: type[M]) -> M:
        """Send a document of one operation and read its `data` as `answer`.

        doing: for errors, e.g. "finding a ticket".  Raises LinearRefused, LinearUnavailable, or TrackerError where no
        repeat can help (no access, wrong address, an answer of another shape).
        """
        question = json.dumps({"query": document, "variables": dict(variables)}).encode()
        headers = {"Authorization": self.authorization, "Content-Type": "application/json"}
        http = Http("Linear", headers, timeout_seconds=self.timeout_seconds, sleep=self.sleep)
        waited = 0.0
        for attempt in range(1, ATTEMPTS + 1):
            try:
                said = http.send("POST", self.endpoint, question, repeatable=True)
            except HttpError as error:
                raise LinearUnavailable(f"{doing}: {error}") from None
            data, reason, asked_for = _read(doing, said)
            if data is not None:
                return _typed(doing, data, answer)
            pause = max(FIRST_PAUSE * 2 ** (attempt - 1), asked_for)
            if attempt == ATTEMPTS or waited + pause > self.patience_seconds:
                raise LinearUnavailable(
                    f"{doing}: Linear gave no answer in {attempt} attempts ({reason}, asks to wait "
                    f"{asked_for:.0f} s); nothing is lost, the next run goes on from the ledger"
                )
            self.sleep(pause)
            waited += pause
        raise AssertionError


def _read(doing: str, answer: Answer) -> tuple[Any, str, float]:
    """The answer's data; or None, why it should be asked again, and the seconds that Linear asks to wait."""
    content = _content(answer)
    errors = [error.get("extensions") or {} for error in content.get("errors") or []]
    code = str(errors[0].get("code", "")) if errors else ""
    kind = str(errors[0].get("type", "unknown")).lower() if errors else ""
    if code == "RATELIMITED" or kind == "ratelimited":
        return None, "rate limited", _asked_to_wait(answer.headers)
    if answer.status in (401, 403) or kind in ACCESS:
        raise TrackerError(
            f"{doing}: Linear denies access; set LINEAR_API_KEY (a personal key) or LINEAR_ACCESS_TOKEN (OAuth) of "
            "somebody who may write issues of the team"
        )
    if answer.status not in (200, 400):
        raise TrackerError(
            f"{doing}: HTTP {answer.status}; Linear answers at https://api.linear.app/graphql, check linear.endpoint"
        )
    if kind in PASSING:
        return None, "an error that passes", 0.0
    if errors:
        _refuse(doing, kind)
    return content.get("data") or {}, "", 0.0


def _content(answer: Answer) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        content = None
    return content if isinstance(content, dict) else {}


def _refuse(doing: str, kind: str) -> NoReturn:
    known = ("invalid input", "user error", "graphql error", "usage limit exceeded", "feature not accessible", "other")
    said = kind if kind in known else "an error of another type"
    raise LinearRefused(f"{doing}: Linear refused it ({said}); signals doctor checks key, team and states")


def _typed(doing: str, data: Any, answer: type[M]) -> M:
    try:
        return answer.model_validate(data)
    except ValidationError:
        raise TrackerError(
            f"{doing}: Linear's answer has another shape than its schema of July 2026; update signals-assets"
        ) from None


def _asked_to_wait(headers: Mapping[str, str]) -> float:
    """Seconds, by `Retry-After` or the latest reset of a used-up limit (epoch milliseconds); 0 where none is named."""
    seconds = [_number(headers.get("retry-after"))]
    seconds += [
        _number(headers.get(f"x-ratelimit-{limit}-reset")) / 1000 - time.time()
        for limit in ("requests", "complexity", "endpoint-requests")
        if headers.get(f"x-ratelimit-{limit}-remaining") == "0"
    ]
    return max(0.0, *seconds)


def _number(text: str | None) -> float:
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if 0 <= value < 1e15 else 0.0
