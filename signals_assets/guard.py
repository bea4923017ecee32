"""Guard: what a failing asset, check, sensor or job may say, and what any library may log.

Put here: the wrapper around every body that Dagster calls, and the last net below Python's logging.
Not here: what an error of ours says (its own class says that, from templates), metadata (see `metadata.py`).

Dagster keeps the words and the trace of every failed step and tick, in its event log and in the state of its sensors,
where everybody who may open the UI can read them. The words of a foreign exception may quote what it failed on
(`invalid literal for int(): 'a customer's name'`), so they do not pass: what passes are its class and the line of this
package, both of which are code. Errors of this package are written from templates (a test lists every value that one
of them names) and pass, without the chain of what caused them.
"""

import errno
import functools
import inspect
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import dagster as dg

PACKAGE: Final = __name__.partition(".")[0]
FOLDER: Final = Path(__file__).resolve().parent
GUARDED: Final = "signals_guarded"
"""Attribute of a body that is guarded: a test finds every body of the definitions that lacks it."""

_REMOTE_FRAME: Final = re.compile(rf'File "[^"\n]*/{PACKAGE}/([\w/]{{1,80}}\.py)", line (\d{{1,6}})')
"""A frame of this package in the trace that a worker process sent as text."""

B = TypeVar("B", bound=Callable[..., Any])


class CodedError(RuntimeError):
    """Stands for a foreign exception: its class and the line of this package that met it, never its words."""


def guarded(body: B) -> B:
    """The body, whose foreign exceptions become `CodedError` and whose own ones lose their chain.

    Works under any executor. Put it directly above the function, below every decorator of Dagster.
    """

    @functools.wraps(body)
    def whole(*given: Any, **named: Any) -> Any:
        try:
            return body(*given, **named)
        except Exception as error:  # noqa: BLE001 - whatever it is, its words may quote a session
            said = told(error)
        raise said  # outside of the handler, so that no context is attached

    @functools.wraps(body)
    def stepwise(*given: Any, **named: Any) -> Any:
        try:
            return (yield from body(*given, **named))
        except Exception as error:  # noqa: BLE001 - as above
            said = told(error)
        raise said

    found: Any = stepwise if inspect.isgeneratorfunction(body) else whole
    setattr(found, GUARDED, True)
    return found  # type: ignore[no-any-return]


def told(error: BaseException) -> BaseException:
    """The exception that may be shown for `error`: itself when it is ours, without its chain; else a `CodedError`."""
    if isinstance(error, dg.Failure | dg.RetryRequested) or _is_ours(error):
        error.__cause__ = error.__context__ = None
        error.__dict__.pop("__notes__", None)
        return error
    return CodedError(f"{words(error)}. What it says is left out, since it may quote a session: look at that line.")


def words(error: BaseException) -> str:
    """A foreign exception in words of code: its class, the system's error code, the line of this package."""
    number = error.errno or 0 if isinstance(error, OSError) else 0
    code = f" ({errno.errorcode[number]})" if number in errno.errorcode else ""
    return f"{type(error).__name__[:60]}{code} at {_place(error)}"


def _is_ours(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] == PACKAGE


def _place(error: BaseException) -> str:
    """The innermost line of this package, in this process or in the worker that sent the exception."""
    sent = error.__cause__
    for name, line in reversed(_REMOTE_FRAME.findall(str(sent)) if type(sent).__name__ == "_RemoteTraceback" else []):
        if (FOLDER / name).is_file():
            return f"{PACKAGE}/{name}:{line}"
    place = "no line of this package"
    for frame, line in traceback.walk_tb(error.__traceback__):
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(FOLDER) and path != Path(__file__).resolve():
            place = f"{PACKAGE}/{path.relative_to(FOLDER).as_posix()}:{line}"
    return place


# --- the last net ------------------------------------------------------------------------------------------------

CLIENTS: Final = (
    "aiohttp", "asyncio", "boto3", "botocore", "google", "hpack", "httpcore", "httpcore2", "httpx", "httpx2",
    "openai", "requests", "sqlalchemy.engine", "sqlalchemy.pool", "urllib3",
)  # fmt: skip
"""Libraries that log addresses, headers, bodies or SQL parameters below WARNING."""


def calm_logging() -> None:
    """Keep clients' request logs off, and the words of foreign exceptions out of every log record; once a process."""
    for name in CLIENTS:
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))
    before = logging.getLogRecordFactory()
    if getattr(before, GUARDED, False):
        return

    @functools.wraps(before)
    def make(*given: Any, **named: Any) -> logging.LogRecord:
        return _netted(before(*given, **named))

    setattr(make, GUARDED, True)
    logging.setLogRecordFactory(make)


def _netted(record: logging.LogRecord) -> logging.LogRecord:
    error = record.exc_info[1] if record.exc_info else None
    foreign = [link for link in _chain(error) if not (_is_ours(link) or isinstance(link, dg.DagsterError))]
    foreign += [link for link in _chain(error) if getattr(link, "__notes__", None)]
    if foreign:
        record.exc_info = record.exc_text = None
        record.msg, record.args = "%s", (words(foreign[-1]),)
    return record


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and those that it came from, as far as a trace prints them."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
