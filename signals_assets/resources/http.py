"""How plain HTTP services are spoken to: bounded repeats, waiting when told to, errors without content.

Put here: one request with its repeats, rate limits by status and headers, what may be sent again and what may not.
Not here: what a service's addresses and answers mean (see `resources/github.py`, `resources/slack.py`).

The standard library suffices for a few JSON calls a day, so these doors need no package of their own. A client
library that repeats a request by itself after a lost answer would do twice what has no idempotency key; here only a
request that its caller marks as safe to repeat is sent again after an answer was lost.
"""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ATTEMPTS: Final = 5
"""Requests for one call at the most."""
FIRST_PAUSE: Final = 0.5
"""Seconds before the first repeat where the service names none; doubled with each further one."""
_LIMIT_HEADERS: Final = ("x-ratelimit", "x-sentry-rate-limit")
PATIENCE: Final = 120.0
"""Longest wait for one call, all its repeats together; a longer rate limit ends the call."""


class HttpError(RuntimeError):
    """A call that did not end well: says which service and what to do; never the content of an answer."""


class NotAnswered(HttpError):  # noqa: N818 - a state of the call
    """No answer came. What was asked may or may not have been done: look before asking again."""


class RateLimited(HttpError):  # noqa: N818 - a state of the service
    """The service asks to wait for longer than we do. Nothing was done."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (lower-case names) and the body of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON, an empty one as null; raises ValueError where it is none."""
        return json.loads(self.body or b"null")


@dataclass(frozen=True, slots=True)
class Http:
    """Sends requests to one service. Redirects are answers: following one could carry a token elsewhere."""

    service: str
    """For errors, e.g. GitHub."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_seconds: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time

    def send(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        repeatable: bool,
        json_answer: bool = True,
    ) -> Answer:
        """Send the request, again where that is safe and may help.

        Args:
            method: Of HTTP.
            url: The whole address.
            body: What is sent.
            headers: Beside those of every request.
            repeatable: Doing it twice is the same as doing it once: sent again after a lost answer or a 5xx.
            json_answer: A body of a 2xx answer that is no whole JSON counts as lost.

        Raises NotAnswered, RateLimited. Any other status is returned.
        """
        request = urllib.request.Request(  # noqa: S310 - the endpoint is a setting; its scheme is checked by `address`
            url, data=body, headers={**self.headers, **(headers or {})}, method=method
        )
        waited = 0.0
        for attempt in range(1, ATTEMPTS + 1):
            answer = self._once(request, json_answer)
            limited = None if answer is None else _limit(answer, self.now())
            lost = answer is None or answer.status >= 500
            if answer is not None and limited is None and not lost:
                return answer
            asked_for = limited or (_number(answer.headers.get("retry-after")) if answer else 0.0)
            pause = max(FIRST_PAUSE * 2 ** (attempt - 1), asked_for)
            if lost and limited is None and not repeatable:
                raise NotAnswered(f"{self.service} gave no clear answer; nothing is lost, the next run looks first")
            if attempt == ATTEMPTS or waited + pause > PATIENCE:
                kind = RateLimited if limited is not None else NotAnswered
                raise kind(
                    f"{self.service} gave no answer in {attempt} attempts"
                    + (f" and asks to wait {asked_for:.0f} s" if asked_for else "")
                    + "; nothing is lost, run it again later"
                )
            self.sleep(pause)
            waited += pause
        raise AssertionError

    def _once(self, request: urllib.request.Request, json_answer: bool) -> Answer | None:
        """One request; None where no whole answer came."""
        try:
            answer = _opened(request, self.timeout_seconds)
        except (OSError, http.client.HTTPException):
            return None
        if json_answer and 200 <= answer.status < 300 and not _is_json(answer.body):
            return None
        return answer


def address(text: str, setting: str) -> str:
    """An endpoint of the settings without a slash at its end; raises ValueError unless it is http or https."""
    if not text.startswith(("https://", "http://")):
        raise ValueError(f"{setting} must begin with https:// (or http:// for a server of your own)")
    return text.rstrip("/")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        return None


_OPENER: Final = urllib.request.build_opener(_NoRedirect)


def _opened(request: urllib.request.Request, timeout: float) -> Answer:
    try:
        response = _OPENER.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:  # any status but 2xx: an answer, too
        response = error
    with response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, response.read())


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body or b"null")
    except ValueError:
        return False
    return True


def _limit(answer: Answer, now: float) -> float | None:
    """Seconds that a rate limit asks to wait, 0 where it names none; None where the answer is no rate limit.

    GitHub says 403 or 429, by `Retry-After` (secondary limit) or a used-up `x-ratelimit-remaining` and the reset's
    time in seconds since 1970; Sentry says 429 with headers like these under its own name; Slack says 429 and
    `Retry-After`.
    """
    prefix = next((one for one in _LIMIT_HEADERS if f"{one}-remaining" in answer.headers), "")
    used_up = answer.headers.get(f"{prefix}-remaining") == "0"
    named = answer.headers.get("retry-after")
    if answer.status != 429 and not (answer.status == 403 and (used_up or named is not None)):
        return None
    if named is not None:
        return _number(named)
    return max(0.0, _number(answer.headers.get(f"{prefix}-reset")) - now) if used_up else 0.0


def _number(text: str | None) -> float:
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if 0 <= value < 1e12 else 0.0
