"""A local server that speaks the part of Sentry's API that the door of records uses, for one organisation.

Put here: projects, events, pages. Not here: sockets and faults (`local_service.py`).

Sentry's schema is not free to copy, so the rules are what its documentation says: parameters and their forms, a page of
100 at the most, newest first, and a `Link` header that has a next page even on the last one.
"""

import re
import time
from typing import Any
from urllib.parse import urlencode

from signals_assets_tests.fakes.local_service import LocalService, Reply, Request

ORGANIZATION = "team"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")
_KNOWN = {"start", "end", "statsPeriod", "cursor", "full", "sample", "per_page"}


class SentryServer(LocalService):
    """See the module. `limited`: so many of the next questions are over the limit, which ends after `wait` seconds."""

    def __init__(self, *, token: str = "sntrys_token") -> None:
        super().__init__()
        self.token = token
        self.projects: dict[str, list[dict[str, Any]]] = {}
        self.limited, self.wait = 0, 0.0

    def project(self, slug: str) -> None:
        self.projects[slug] = []

    def event(self, project: str, at: str, title: str = "ValueError: no", **more: Any) -> dict[str, Any]:
        """An event in the form of the documentation's example; `more` replaces or adds."""
        number = len(self.projects[project])
        event = {
            "eventID": f"{number:032x}", "id": f"{number:032x}", "groupID": "4341786", "projectID": "49271",
            "event.type": "error", "title": title, "message": "", "location": "example.py:123",
            "culprit": "/books/new/", "platform": "python", "dateCreated": at, "crashFile": None, "user": None,
            "tags": [{"key": "level", "value": "error"}, {"key": "environment", "value": "prod"}],
        } | more  # fmt: skip
        self.projects[project].append(event)
        return event

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(401, {"detail": "Invalid token"})
        if self.limited:
            self.limited -= 1
            reset = str(int(time.time() + self.wait))
            return Reply(429, {"detail": "You are attempting to use this endpoint too frequently."}, {
                "X-Sentry-Rate-Limit-Remaining": "0", "X-Sentry-Rate-Limit-Limit": "5",
                "X-Sentry-Rate-Limit-Reset": reset, "X-Sentry-Rate-Limit-ConcurrentRemaining": "25",
            })  # fmt: skip
        found = re.fullmatch(rf"/api/0/projects/{ORGANIZATION}/([^/]+)/(events/)?", request.path)
        if request.method != "GET" or found is None or found[1] not in self.projects:
            return Reply(404, {"detail": "The requested resource does not exist"})
        return self.page(request, found[1]) if found[2] else Reply(200, {"slug": found[1], "status": "active"})

    def page(self, request: Request, project: str) -> Reply:
        query = request.query
        if wrong := set(query) - _KNOWN:
            self.complain(f"not documented: {sorted(wrong)}")
        if not _TIME.fullmatch(query.get("start", "")) or not _TIME.fullmatch(query.get("end", "")):
            self.complain("start and end are times without a zone")
        size, offset = min(int(query.get("per_page", 100)), 100), int(query.get("cursor", "0:0:0").split(":")[1])
        if query.get("cursor", "0:0:0").split(":")[0] != "0" or int(query.get("per_page", 100)) > 100:
            self.complain("a cursor of ours and at most 100 to a page")
        events = [
            one for one in self.projects[project] if query["start"] <= str(one["dateCreated"])[:19] < query["end"]
        ]
        events.sort(key=lambda one: one["dateCreated"], reverse=True)
        more = offset + size < len(events)
        return Reply(200, events[offset : offset + size], {"Link": self.link(request, offset, size, more)})

    def link(self, request: Request, offset: int, size: int, more: bool) -> str:
        def one(rel: str, there: bool, cursor: str) -> str:
            url = f"https://sentry.example{request.path}?{urlencode({'cursor': cursor})}"
            return f'<{url}>; rel="{rel}"; results="{str(there).lower()}"; cursor="{cursor}"'

        before = one("previous", offset > 0, f"0:{max(0, offset - size)}:1")
        return f"{before}, {one('next', more, f'0:{offset + size}:0')}"
