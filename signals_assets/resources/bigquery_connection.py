"""BigQuery: the connection, how often what is tried again, and what an error may say.

Put here: `BigQueryConnection` (dagster-gcp's resource with an endpoint), jobs, retries, errors without content.
Not here: tables and what is written to them (see `bigquery.py`, `bigquery_layout.py`).

dagster-gcp's `BigQueryResource` is the connection; its IO manager is not used: it deletes and then appends in two jobs,
makes tables without partitions, changes the case of column names and writes no empty day. The resource knows no
endpoint, so a subclass adds one. Credentials are Google's own search (GOOGLE_APPLICATION_CREDENTIALS, the machine's
account); an endpoint that is not Google's gets none at all.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
from dagster_gcp import BigQueryResource
from google.api_core import exceptions as google
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery as bq
from pydantic import ConfigDict

from signals_assets.resources.stored_rows import WarehouseError

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

APPLICATION: Final = {"application": "signals"}
"""A label of every job and table: what this product did can be told, and billed, apart."""

PASSING: Final = frozenset(
    {"backendError", "internalError", "rateLimitExceeded", "jobBackendError", "jobInternalError"}
)
"""Reasons for which the same request or job may succeed a moment later."""

_PASSING_TYPES: Final = (
    google.TooManyRequests,
    google.ServerError,
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    json.JSONDecodeError,  # half an answer
)
TROUBLE: Final = (google.GoogleAPICallError, google.RetryError, requests.exceptions.RequestException, GoogleAuthError)
"""What the client raises when a request comes to nothing."""

_GOOGLE: Final = "googleapis.com"
TIMEOUT_SECONDS: Final = 120.0
_MULTIPLIER: Final = 2.0
_LONGEST_WAIT: Final = 20.0


class BigQueryConnection(BigQueryResource):
    """dagster-gcp's resource, and where another endpoint than Google's is spoken to without credentials."""

    model_config = ConfigDict(hide_input_in_errors=True)

    endpoint: str | None = None

    @contextmanager
    def get_client(self) -> Iterator[bq.Client]:
        """A client; the caller's to close. See `BigQueryResource.get_client`."""
        if self.of_google:
            with super().get_client() as client:
                yield client
            return
        from google.auth.credentials import AnonymousCredentials

        yield bq.Client(
            project=self.project,
            location=self.location,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": self.endpoint},
        )

    @property
    def of_google(self) -> bool:
        """Whether Google answers: what is spoken over other protocols than REST is there only."""
        host = urlsplit(self.endpoint).hostname or "" if self.endpoint else _GOOGLE
        return host == _GOOGLE or host.endswith(f".{_GOOGLE}")


class BigQueryJobs:
    """Jobs over one connection, opened at the first use: bounded in bytes, labelled, tried again for a while.

    `patience_seconds` bounds how long one request or job is tried again; `first_wait` is the first pause.
    """

    def __init__(
        self,
        connection: BigQueryConnection,
        *,
        maximum_bytes_billed: int,
        patience_seconds: float = 120.0,
        first_wait: float = 0.5,
    ) -> None:
        self.connection, self.maximum_bytes_billed = connection, maximum_bytes_billed
        self.patience_seconds, self.first_wait = patience_seconds, first_wait

    @cached_property
    def client(self) -> bq.Client:
        """The client. Raises `WarehouseError` where credentials are missing."""
        try:
            with self.connection.get_client() as client:
                return client
        except (GoogleAuthError, OSError) as error:
            raise WarehouseError(
                f"BigQuery cannot be asked ({type(error).__name__}): set GOOGLE_APPLICATION_CREDENTIALS to a key file, "
                "or run where the machine has an account; and bigquery.project"
            ) from None

    @cached_property
    def retry(self) -> Retry:
        """For requests: what is lost, refused for now, or cut off is asked again, with growing pauses."""
        return Retry(
            predicate=passes,
            initial=self.first_wait,
            maximum=_LONGEST_WAIT,
            multiplier=_MULTIPLIER,
            timeout=self.patience_seconds,
        )

    @cached_property
    def storage(self) -> Any:
        """The Storage Read API's client, where it is installed and Google answers; else None: pages over REST."""
        if not self.connection.of_google:
            return None
        try:
            from google.cloud import bigquery_storage
        except ImportError:
            return None
        return bigquery_storage.BigQueryReadClient(credentials=self.client._credentials)  # type: ignore[no-untyped-call]

    def call(self, what: str, run: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """A request of the client's, tried again; `what` names the table and day in an error."""
        try:
            return run(*arguments, retry=self.retry, timeout=TIMEOUT_SECONDS, **options)
        except google.NotFound:
            raise
        except TROUBLE as error:
            raise refusal(what, error) from None

    def query(
        self, what: str, sql: str, parameters: tuple[Any, ...] = (), labels: Mapping[str, str] | None = None
    ) -> Any:
        """The rows of a query, as the client's iterator. Raises `WarehouseError` without any value in it.

        A small answer comes with the first request; one that was lost is sent again with the same number and found.
        """
        config = self.config(parameters, labels)
        try:
            return self.client.query_and_wait(
                sql, job_config=config, retry=self.retry, job_retry=self._job_retry, api_timeout=TIMEOUT_SECONDS
            )
        except google.NotFound:
            raise
        except TROUBLE as error:
            raise refusal(what, error) from None

    def refuse_wrong(self, what: str, sql: str, parameters: tuple[Any, ...], labels: Mapping[str, str]) -> None:
        """Raise `WarehouseError` for a statement that cannot run or would read too much, in words that say why.

        Nothing runs, so BigQuery's own words can only be about the statement, and are repeated.
        """
        config = self.config(parameters, labels)
        config.dry_run = True
        try:
            job = self.client.query(sql, job_config=config, retry=self.retry, job_retry=None)
        except google.ClientError as error:
            raise WarehouseError(f"{what} failed: {_words_of(error)}") from None
        except TROUBLE as error:
            raise refusal(what, error) from None
        if job.total_bytes_processed > self.maximum_bytes_billed:
            raise WarehouseError(
                f"{what} would read {job.total_bytes_processed} bytes, more than bigquery.maximum_bytes_billed "
                f"({self.maximum_bytes_billed}); ask for fewer days or columns, or raise it"
            )

    def config(self, parameters: tuple[Any, ...], labels: Mapping[str, str] | None) -> bq.QueryJobConfig:
        """Standard SQL with a cap on bytes and labels."""
        return bq.QueryJobConfig(
            query_parameters=list(parameters),
            maximum_bytes_billed=self.maximum_bytes_billed,
            labels={**APPLICATION, **(labels or {})},
            use_legacy_sql=False,
        )

    @property
    def _job_retry(self) -> Retry:
        return Retry(
            predicate=lambda error: reason_of(error) in PASSING,
            initial=self.first_wait,
            maximum=_LONGEST_WAIT,
            multiplier=_MULTIPLIER,
            timeout=self.patience_seconds,
        )

    def pauses(self) -> Iterator[bool]:
        """Turns of one effort: one at once, then more after growing pauses, until patience ends."""
        ends, wait = time.monotonic() + self.patience_seconds, self.first_wait
        yield True
        while time.monotonic() + wait < ends:
            time.sleep(wait)
            wait = min(_LONGEST_WAIT, wait * _MULTIPLIER)
            yield True


def batches(rows: Any, storage: Any, where: str) -> "Iterator[pa.RecordBatch]":
    """The answer of a query in record batches: by the Storage Read API where there is one, else page by page.

    One stream, since several would lose the order of the rows. Raises `WarehouseError` when fewer rows came than the
    answer has.
    """
    came = 0
    try:
        for batch in rows.to_arrow_iterable(bqstorage_client=storage, max_stream_count=1):
            came += batch.num_rows
            yield batch
    except TROUBLE as error:
        raise refusal(where, error) from None
    _refuse_less(where, came, rows.total_rows)


def whole(rows: Any, storage: Any, where: str) -> "pa.Table":
    """The answer of a query as one table. Raises like `batches`."""
    import pyarrow as pa

    found = list(batches(rows, storage, where))
    return pa.Table.from_batches(found) if found else rows.to_arrow(create_bqstorage_client=False)


def _refuse_less(where: str, came: int, total: int) -> None:
    if came != total:
        raise WarehouseError(
            f"{where}: BigQuery gave {came} of {total} rows and no next page; nothing was used, run it again"
        )


def passes(error: Exception) -> bool:
    """Whether the same request may succeed a moment later."""
    reason = reason_of(error)
    if reason == "bytesBilledLimitExceeded":  # the client makes a 500 of it
        return False
    return reason in PASSING or isinstance(error, _PASSING_TYPES)


def reason_of(error: BaseException) -> str:
    """Google's code of the reason; empty where the error has none."""
    errors = getattr(error, "errors", None) or [{}]
    first = errors[0]
    return str(first.get("reason", "")) if isinstance(first, Mapping) else ""


_ADVICE: Final[Mapping[str, str]] = {
    "RefreshError": "the account's credentials are no longer taken; renew them",
    "accessDenied": "the account lacks a right on it; `signals warehouse ddl` prints who needs which",
    "bytesBilledLimitExceeded": "it would read more than bigquery.maximum_bytes_billed; ask for fewer days or raise it",
    "quotaExceeded": "a quota of the project is used up; it is refilled by the day",
    "rateLimitExceeded": "BigQuery asked to slow down for longer than bigquery.patience_seconds; run it again later",
    "invalid": "the table or its schema is not as this version makes it; see `signals warehouse ddl`",
}


def refusal(where: str, error: BaseException) -> WarehouseError:
    """An error's kind and what to do. BigQuery's own words may quote values, so they are not repeated."""
    cause = getattr(error, "cause", None) or error
    return refused(where, reason_of(cause) or type(cause).__name__)


def refused(where: str, reason: str) -> WarehouseError:
    """The same for Google's code of a reason."""
    advice = _ADVICE.get(reason, "run it again; if it stays, the job's page in the console says more")
    return WarehouseError(f"{where}: BigQuery refused ({reason}): {advice}")


def _words_of(error: google.GoogleAPICallError) -> str:
    first = (error.errors or [{}])[0]
    return str(first.get("message") or error.message) if isinstance(first, Mapping) else str(error.message)
