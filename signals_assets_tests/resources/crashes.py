"""A process that dies at a request, as tests of crash safety need it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from signals_assets.resources.http import Answer, Http


class Crashed(BaseException):
    """The process is gone: no code of the product may catch this."""


@contextmanager
def dying(number: int) -> Iterator[None]:
    """Die when the `number`-th request was answered and nobody has used the answer."""
    count, send = 0, Http.send

    def counted(self: Http, *args: Any, **values: Any) -> Answer:
        nonlocal count
        count += 1
        answer = send(self, *args, **values)
        if count == number:
            raise Crashed
        return answer

    with patch.object(Http, "send", counted):
        yield
