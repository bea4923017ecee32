"""A local server that speaks the part of CloudWatch Logs that the door of records uses.

Put here: log groups, pages, what the service refuses. Not here: sockets and faults (`local_service.py`).

Every request and every answer is held against the service model that botocore ships: unknown members, wrong types,
missing ones and broken bounds are complaints, which end the test. Filter patterns are words and terms in double
quotes, all of which must be there; any other pattern is a complaint.
"""

import hashlib
import re
from functools import cache
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from signals_assets_tests.fakes.local_service import LocalService, Reply, Request

REGION, ACCOUNT = "eu-west-1", "123456789012"
_TARGET = "Logs_20140328."
_TERM = re.compile(r'"([^"]+)"|([A-Za-z0-9_]+)')


@cache
def _model() -> Any:
    return botocore.session.get_session().get_service_model("logs")


class CloudWatchServer(LocalService):
    """See the module. `page`: most events of a page; `filters`: False for a server that passes over patterns."""

    def __init__(self, *, page: int = 10_000, filters: bool = True) -> None:
        super().__init__()
        self.page, self.filters = page, filters
        self.groups: dict[str, list[dict[str, Any]]] = {}
        self.created: dict[str, int] = {}
        self.retention: dict[str, int] = {}
        self.passing: list[tuple[int, str]] = []
        self._model = _model()

    def group(self, name: str, *, created: int = 1_767_225_600_000, retention: int | None = None) -> None:
        """A log group made on 1 January 2026 unless told otherwise."""
        self.groups[name], self.created[name] = [], created
        if retention is not None:
            self.retention[name] = retention

    def put(self, name: str, at: float, message: str | None) -> None:
        """An event at so many seconds since 1970; without a message where that is None."""
        events = self.groups[name]
        event = {"logStreamName": "one", "timestamp": int(at * 1000), "eventId": str(len(events))}
        events.append(event if message is None else {**event, "message": message, "ingestionTime": int(at * 1000)})

    def arn(self, name: str) -> str:
        return f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}"

    def refuse(self, code: str, times: int = 1, status: int = 400) -> None:
        """The next calls are answered with this error."""
        self.passing += [(status, code)] * times

    def answer(self, request: Request) -> Reply:
        target = request.headers.get("x-amz-target", "")
        operation = target.removeprefix(_TARGET)
        if f"/{REGION}/logs/aws4_request" not in request.headers.get("authorization", ""):
            return _error("UnrecognizedClientException")
        if not target.startswith(_TARGET) or operation not in ("FilterLogEvents", "DescribeLogGroups"):
            self.complain(f"no such operation: {target}")
            return _error("UnknownOperationException")
        if self.passing:
            status, code = self.passing.pop(0)
            return _error(code, status)
        model, asked = self._model.operation_model(operation), request.json()
        self._hold(asked, model.input_shape, "request")
        reply = {"FilterLogEvents": self._events, "DescribeLogGroups": self._described}[operation](asked)
        if reply.status == 200:
            self._hold(reply.content, model.output_shape, "answer")
        return reply

    def _hold(self, content: Any, shape: Any, what: str) -> None:
        report = ParamValidator().validate(content, shape)
        if report.has_errors():
            self.complain(f"{what}: {report.generate_report()}")

    def _named(self, asked: dict[str, Any]) -> str | None:
        name = asked.get("logGroupName", asked.get("logGroupIdentifier", ""))
        if ("logGroupName" in asked) == ("logGroupIdentifier" in asked) or name.endswith(":*"):
            self.complain("a log group is named by its name or by its identifier, which ends before :*")
        name = name.removeprefix(self.arn(""))
        return name if name in self.groups else None

    def _events(self, asked: dict[str, Any]) -> Reply:
        name = self._named(asked)
        if name is None:
            return _error("ResourceNotFoundException")
        pattern = asked.get("filterPattern", "")
        terms = [quoted or word for quoted, word in _TERM.findall(pattern)]
        if _TERM.sub("", pattern).strip():
            self.complain(f"not words and terms in double quotes: {pattern}")
        found = [
            event
            for event in sorted(self.groups[name], key=lambda event: event["timestamp"])
            if asked["startTime"] <= event["timestamp"] <= asked["endTime"]
            and (not self.filters or all(term in event.get("message", "") for term in terms))
        ]
        first, question = 0, hashlib.sha256(repr(sorted({**asked, "nextToken": ""}.items())).encode()).hexdigest()[:8]
        if "nextToken" in asked:
            place, _, of = asked["nextToken"].partition("-")
            if of != question:
                self.complain("a token belongs to the question that it was given for")
            first = int(place)
        rest = {"nextToken": f"{first + self.page}-{question}"} if first + self.page < len(found) else {}
        return Reply(200, {"events": found[first : first + self.page], "searchedLogStreams": [], **rest})

    def _described(self, asked: dict[str, Any]) -> Reply:
        names = [name.removeprefix(self.arn("")) for name in asked["logGroupIdentifiers"]]
        return Reply(200, {"logGroups": [
            {
                "logGroupName": name, "arn": f"{self.arn(name)}:*", "logGroupArn": self.arn(name),
                "creationTime": self.created[name],
                **({"retentionInDays": self.retention[name]} if name in self.retention else {}),
            }
            for name in sorted(names) if name in self.groups
        ]})  # fmt: skip


def _error(code: str, status: int = 400) -> Reply:
    return Reply(status, {"__type": code, "message": "as it was asked for"})
