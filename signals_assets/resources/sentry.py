"""Error logs from Sentry, behind the door of records.

Put here: `SentryRecords`: which events are asked for, their pages, what an event means.
Not here: repeats and rate limits (see `resources/http.py`), what makes a record (see `resources/records.py`).

Facts (https://docs.sentry.io/api): every event of a project in a span of time is listed by
`GET /api/0/projects/{organization}/{project}/events/` with `start` and `end` in UTC, newest first, 100 to a page; a
token needs `project:read`. It names each event's issue, so going from issue to issue would ask for the same events
again; the table of Explore is "not for doing a full export". The `Link` header has a next page even on the last one:
`results="false"` there ends the list. Of a link only its cursor is used, so that the token goes nowhere else. A limit
says when it ends in `X-Sentry-Rate-Limit-Reset`. Events are kept for 90 days.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from signals_assets.resources.http import Answer, Http, address
from signals_assets.resources.records import Normal, RecordKind, Records, RecordsError, errors_of, normalised

PAGE: Final = 100
KEPT_DAYS: Final = 90
MOST_PAGES: Final = 10_000
"""Of one project and day; pages that go on are taken for a fault."""
_LINK: Final = re.compile(r"<[^>]*>\s*((?:;\s*\w+=\"[^\"]*\"\s*)+)")
_PARAMETER: Final = re.compile(r"(\w+)=\"([^\"]*)\"")
_SLUG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class SentryRecords(Records):
    """Events of projects at error level and above; there are no records of another kind.

    The message is the event's title (kind and text of an exception) or the text that was logged; the level is its tag
    `level`; session and service are tags that the settings name, the service else the project.
    """

    def __init__(
        self,
        organization: str,
        projects: Sequence[str],
        token: str,
        *,
        base_url: str = "https://sentry.io",
        session_tag: str = "session_id",
        service_tag: str | None = None,
        errors_a_day: int = 200_000,
        timeout_seconds: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is sent before the first question. Raises ValueError for malformed names or addresses.

        Args:
            organization: Its slug or number.
            projects: Their slugs or numbers, told one after the other.
            token: With the scope project:read.
            base_url: Of the region or of a server of your own.
            session_tag: Tag that holds the session's id.
            service_tag: Tag that holds the service; default: the project is the service.
            errors_a_day: More are an error of the day: they are held in memory by what stores them.
            timeout_seconds: Of one request.
            sleep: Waits before a repeat.
            now: Seconds since 1970.
        """
        names = [organization, *projects]
        if not projects or not all(_SLUG.fullmatch(name) for name in names):
            raise ValueError("sentry.organization and sentry.projects are slugs or numbers, at least one of each")
        self._organization, self._projects = organization, list(dict.fromkeys(projects))
        self._base = f"{address(base_url, 'sentry.base_url')}/api/0/projects/{quote(organization)}"
        self._session_tag, self._service_tag, self._most, self._now = session_tag, service_tag, errors_a_day, now
        headers = {"Accept": "application/json", "Authorization": f"Bearer {token}", "User-Agent": "signals-assets"}
        self._http = Http("Sentry", headers, timeout_seconds, sleep, now)

    def days(self, kind: RecordKind) -> list[date]:
        """See `Records.days`: asks for the first error of every day that Sentry keeps."""
        if kind != "error_logs":
            return []
        today = datetime.fromtimestamp(self._now(), UTC).date()
        days = [today - timedelta(days=number) for number in range(KEPT_DAYS, -1, -1)]
        return [day for day in days if any("skipped" not in one for one in self.records(kind, day))]

    def records(self, kind: RecordKind, day: date) -> Iterator[dict[str, Any]]:
        """See `Records.records`; project by project, the newest event first. Raises RecordsError, HttpError."""
        if kind == "error_logs":
            found = (self._record(project, event) for project in self._projects for event in self._events(project, day))
            yield from errors_of(
                day, found, most=self._most, narrow="name fewer projects, or raise sentry.errors_a_day"
            )

    def check(self) -> str:
        """The projects, each asked for once."""
        for project in self._projects:
            self._asked(project, "", {})
        return f"sentry: {', '.join(self._projects)} of {self._organization}"

    def _record(self, project: str, event: Any) -> Normal:
        if not isinstance(event, dict):
            return {"rejected": "not_a_record"}
        listed = event.get("tags")
        tags = (
            {tag.get("key"): tag.get("value") for tag in listed if isinstance(tag, dict)}
            if isinstance(listed, list)
            else {}
        )
        logged = event.get("event.type") == "default"
        texts = (event.get("message"), event.get("title"))
        user = event.get("user")
        (record,) = normalised(
            "error_logs",
            {
                "logged_at": event.get("dateCreated"),
                "service": tags.get(self._service_tag) or project,
                "level": tags.get("level"),
                "message": next((text for text in (texts if logged else texts[::-1]) if text), None),
                "session_id": tags.get(self._session_tag),
                "user_id": user.get("id") if isinstance(user, dict) else None,
            },
        )
        return record

    def _events(self, project: str, day: date) -> Iterator[Any]:
        span = {"start": f"{day}T00:00:00", "end": f"{day + timedelta(days=1)}T00:00:00", "per_page": str(PAGE)}
        seen: set[str] = set()
        cursor: str | None = None
        while True:
            answer = self._asked(project, "events/", span if cursor is None else {**span, "cursor": cursor})
            events = answer.json()
            if not isinstance(events, list):
                raise RecordsError(
                    "Sentry's answer is no list of events; is sentry.base_url the address of its server?"
                )
            yield from events
            cursor = _next_cursor(answer.headers.get("link"), full=len(events) >= PAGE)
            if cursor is None:
                return
            if cursor in seen or len(seen) == MOST_PAGES:
                raise RecordsError("Sentry: the pages of a day do not end; nothing was kept, run it again later")
            seen.add(cursor)

    def _asked(self, project: str, path: str, query: Mapping[str, str]) -> Answer:
        url = f"{self._base}/{quote(project)}/{path}" + (f"?{urlencode(query)}" if query else "")
        answer = self._http.send("GET", url, repeatable=True)
        if answer.status == 200:
            return answer
        cure = {
            401: "access is denied; set SENTRY_AUTH_TOKEN to a token that is valid",
            403: "the token may not; it needs the scope project:read",
            404: "it does not exist or the token may not see it; check sentry.organization and sentry.projects",
        }.get(answer.status, f"HTTP {answer.status}; check sentry.base_url, and whether the day is still kept")
        raise RecordsError(f"Sentry, project {project} of {self._organization}: {cure}")


def _next_cursor(link: str | None, *, full: bool) -> str | None:
    """Where the next page begins, None after the last one; a `full` page that says nothing is an error."""
    for found in _LINK.finditer(link or ""):
        told = dict(_PARAMETER.findall(found[1]))
        if told.get("rel") == "next":
            return told.get("cursor") if told.get("results") == "true" else None
    if full:
        raise RecordsError("Sentry's answer lost its Link header, so there may be more; does a proxy remove headers?")
    return None
