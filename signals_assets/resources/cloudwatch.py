"""Error logs from Amazon CloudWatch Logs, behind the door of records.

Put here: `CloudWatchRecords`: which events are asked for, their pages, what the message of an event means.
Not here: what makes a record of a log line (see `resources/records.py`), row models (see `tables.py`).

Facts (the service's own model of 2014-03-28): a page of FilterLogEvents holds up to 10,000 events or 1 MB and may be
empty without being the last; the last one names no token; events come in the order of their time; both ends of the
time asked for count. Each event is judged again here, so that a server that knows no filters changes nothing but the
time it takes.

The client repeats nothing by itself: of half an answer it makes a page without events, which only its caller can see.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Final

from signals_assets.core.readers.common import ContentError, dig, parse_json
from signals_assets.resources.records import Normal, RecordKind, Records, RecordsError, errors_of, has_level, normalised

ATTEMPTS: Final = 8
"""Requests for one page at the most; with `FIRST_PAUSE` doubled each time, a throttled page waits for a minute."""
FIRST_PAUSE: Final = 0.5
MOST_PAGES: Final = 10_000
"""Of one log group and day, up to 10 GB; pages that go on are taken for a fault."""
_GROUPS_AT_ONCE: Final = 50
_DAY_MILLISECONDS: Final = 86_400_000
_TERM: Final = re.compile(r'"([^"\\]+)"|([A-Za-z0-9_]+)')
_LEVEL: Final = re.compile(
    r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|SEVERE|CRITICAL|FATAL|ALERT|EMERG|EMERGENCY|PANIC)\b"
)
_HEAD: Final = 200
"""Characters of a plain line within which its level is looked for."""
_BUSY: Final = frozenset(
    {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "ServiceUnavailable"}
)
_CURES: Final = {
    "ResourceNotFoundException": "a log group does not exist here; check cloudwatch.log_groups and cloudwatch.region",
    "AccessDeniedException": "the role may not; it needs logs:FilterLogEvents and logs:DescribeLogGroups",
    "InvalidParameterException": "a parameter was refused; check cloudwatch.log_groups and cloudwatch.filter_terms",
    "ExpiredTokenException": "the credentials have expired; renew them",
    "UnrecognizedClientException": "the credentials are not valid; renew them",
    "InvalidSignatureException": "the credentials are not valid; renew them",
}


def terms_of(text: str) -> tuple[str, ...]:
    """The plain terms that an event must hold, all of them: words, or anything in double quotes.

    Raises ValueError for what is more: patterns over JSON, and terms that exclude or are optional, could not be judged
    again here.
    """
    if not re.fullmatch(rf"\s*(?:(?:{_TERM.pattern})(?:\s+|$))*", text):
        raise ValueError('cloudwatch.filter_terms takes words and texts in double quotes, e.g. ERROR "timed out"')
    return tuple(quoted or word for quoted, word in _TERM.findall(text))


class CloudWatchRecords(Records):
    """Events of log groups at error level and above; there are no records of another kind.

    A message that is a JSON object is read like a line of a file of error logs (`FileRecords`), the named fields first;
    any other message is a plain line whose level is the first that its beginning names. A message without a level is
    an error where filter terms chose it. The time is the event's own; the service is the last name of the log group
    where the message names none.
    """

    def __init__(
        self,
        log_groups: Sequence[str],
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        filter_terms: str = "",
        fields: Mapping[str, str] | None = None,
        errors_a_day: int = 200_000,
        timeout_seconds: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is sent before the first question. Raises ValueError for settings that cannot work.

        Args:
            log_groups: Names or ARNs, told one after the other.
            region: Of the groups; default: what the environment or the profile says.
            endpoint_url: Another server than Amazon's for the region.
            filter_terms: See `terms_of`; the service sends no other events.
            fields: Where a JSON message keeps session_id, user_id, service, level, message; dots reach into objects.
            errors_a_day: More are an error of the day: they are held in memory by what stores them.
            timeout_seconds: Of one request.
            sleep: Waits before a repeat.
            now: Seconds since 1970.
        """
        if not log_groups:
            raise ValueError('cloudwatch.log_groups names none; e.g. SIGNALS_CLOUDWATCH__LOG_GROUPS=["/app/api"]')
        self._groups, self._region, self._endpoint_url = list(dict.fromkeys(log_groups)), region, endpoint_url
        self._terms, self._fields, self._most = terms_of(filter_terms), dict(fields or {}), errors_a_day
        self._timeout, self._sleep, self._now = timeout_seconds, sleep, now

    def days(self, kind: RecordKind) -> list[date]:
        """See `Records.days`: asks for the first error of every day that the groups keep."""
        if kind != "error_logs":
            return []
        today = datetime.fromtimestamp(self._now(), UTC).date()
        first = min(self._kept_since(group) for group in self._described())
        days = [first + timedelta(days=number) for number in range((today - first).days + 1)]
        return [day for day in days if any("skipped" not in one for one in self.records(kind, day))]

    def records(self, kind: RecordKind, day: date) -> Iterator[dict[str, Any]]:
        """See `Records.records`; group by group, each in the order of time. Raises RecordsError."""
        if kind == "error_logs":
            found = (self._record(group, event) for group in self._groups for event in self._events(group, day))
            narrow = "name terms in cloudwatch.filter_terms, or raise cloudwatch.errors_a_day"
            yield from errors_of(day, found, most=self._most, narrow=narrow)

    def check(self) -> str:
        """How many log groups there are, and where."""
        return f"cloudwatch: {len(self._described())} log groups in {self._client.meta.region_name}"

    # --- what an event means ------------------------------------------------------------------------------------------

    def _record(self, group: str, event: Mapping[str, Any]) -> Normal:
        message, at = event.get("message"), event.get("timestamp")
        if not message:
            return {"rejected": "no_message"}
        if any(term not in message for term in self._terms):
            return {"skipped": "other_terms"}
        try:
            raw = self._raw(message)
        except ContentError as error:
            return {"rejected": str(error)}
        if not self._terms and not has_level(raw):
            return {"skipped": "no_level"}
        (record,) = normalised("error_logs", raw if at is None else {**raw, "logged_at": at / 1000})
        if record.get("service") == "unknown":
            record["service"] = re.split(r"[/:]", group.removesuffix(":*"))[-1]
        return record

    def _raw(self, message: str) -> dict[str, Any]:
        """A message as a raw line; raises ContentError where it begins as an object and is none."""
        data = message.encode("utf-8", "replace")
        if not data.lstrip().startswith(b"{"):
            found = _LEVEL.search(message, 0, _HEAD)
            text = data.decode().replace("\0", "\ufffd")
            return {"message": text, **({"level": found[1]} if found else {})}
        raw, _ = parse_json(data)
        return {**raw, **{name: value for name, path in self._fields.items() if (value := dig(raw, path)) is not None}}

    # --- the service --------------------------------------------------------------------------------------------------

    def _events(self, group: str, day: date) -> Iterator[dict[str, Any]]:
        pattern = " ".join(term if re.fullmatch(r"[A-Za-z0-9_]+", term) else f'"{term}"' for term in self._terms)
        start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
        return self._pages(
            "filter_log_events",
            "events",
            **{"logGroupIdentifier" if group.startswith("arn:") else "logGroupName": group.removesuffix(":*")},
            startTime=start,
            endTime=start + _DAY_MILLISECONDS - 1,
            **({"filterPattern": pattern} if pattern else {}),
        )

    def _described(self) -> list[dict[str, Any]]:
        """What is known of the log groups; raises RecordsError where one does not exist."""
        wanted = [group.removesuffix(":*") for group in self._groups]
        found = [
            one
            for place in range(0, len(wanted), _GROUPS_AT_ONCE)
            for one in self._pages(
                "describe_log_groups", "logGroups", logGroupIdentifiers=wanted[place : place + _GROUPS_AT_ONCE]
            )
        ]
        names = {one.get(key) for one in found for key in ("logGroupName", "logGroupArn")}
        if missing := [group for group in wanted if group not in names]:
            raise RecordsError(
                f"CloudWatch: no log group {', '.join(missing)}; check cloudwatch.log_groups and .region"
            )
        return found

    def _kept_since(self, group: Mapping[str, Any]) -> date:
        """First day of which a group can have events."""
        made = datetime.fromtimestamp(group.get("creationTime", 0) / 1000, UTC).date()
        today = datetime.fromtimestamp(self._now(), UTC).date()
        days = group.get("retentionInDays")
        return made if days is None else max(made, today - timedelta(days=days))

    def _pages(self, operation: str, of: str, **asked: Any) -> Iterator[dict[str, Any]]:
        """Every item of a list, page after page; raises RecordsError where its pages do not end."""
        seen: set[str] = set()
        while True:
            answer = self._asked(operation, of, asked)
            yield from answer[of]
            token = answer.get("nextToken")
            if token is None:
                return
            if token in seen or len(seen) == MOST_PAGES:
                raise RecordsError("CloudWatch: the pages of a day do not end; nothing was kept, run it again later")
            seen.add(token)
            asked["nextToken"] = token

    def _asked(self, operation: str, of: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """One whole answer, asked for again where that may help."""
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
        from botocore.parsers import ResponseParserError

        for attempt in range(ATTEMPTS):
            if attempt:
                self._sleep(FIRST_PAUSE * 2 ** (attempt - 1))
            try:
                answer: dict[str, Any] = getattr(self._client, operation)(**asked)
            except ClientError as error:
                code, status = (
                    error.response["Error"].get("Code", ""),
                    error.response["ResponseMetadata"]["HTTPStatusCode"],
                )
                if code not in _BUSY and status != 429 and status < 500:
                    raise RecordsError(f"CloudWatch: {_CURES.get(code, f'it declined ({code})')}") from None
            except (HTTPClientError, ResponseParserError):
                continue
            except BotoCoreError as error:  # of the client itself: no credentials, a malformed name
                raise RecordsError(
                    f"CloudWatch was not asked ({type(error).__name__}): it needs credentials (AWS_PROFILE, a role) "
                    "and well-formed cloudwatch.log_groups"
                ) from None
            else:
                if isinstance(answer.get(of), list):
                    return answer
        raise RecordsError(
            f"CloudWatch gave no whole answer in {ATTEMPTS} attempts; nothing was kept, run it again later"
        )

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        config = Config(
            connect_timeout=self._timeout,
            read_timeout=self._timeout,
            retries={"total_max_attempts": 1, "mode": "standard"},
            user_agent_extra="signals-assets",
        )
        try:
            return boto3.session.Session().client(
                "logs", region_name=self._region, endpoint_url=self._endpoint_url, config=config
            )
        except (BotoCoreError, ValueError) as error:
            raise RecordsError(
                f"CloudWatch cannot be asked ({type(error).__name__}); set cloudwatch.region, and "
                "cloudwatch.endpoint_url to an address or not at all"
            ) from None
