"""What a Linear workspace holds, for the local server: teams, issues, labels, comments, attachments, users.

Put here: what each operation does and what people do in Linear's own window (`write`, `assign`, `close`, ...).
Not here: HTTP and faults (see `linear_server.py`).
"""

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from graphql import GraphQLError

Row = dict[str, Any]
START = datetime(2026, 3, 9, 8, tzinfo=UTC)


def refusal(message: str) -> GraphQLError:
    """What Linear answers to input that it does not take, under HTTP 200."""
    return GraphQLError(message, extensions={"type": "invalid input", "code": "INPUT_ERROR", "userError": True})


class State:
    """One workspace with the team ENG, a person, an agent's app user, and no issues."""

    def __init__(self, *, repeated_id: Literal["refused", "same"] = "refused", largest_page: int = 250) -> None:
        self.lock = threading.RLock()
        self.repeated_id = repeated_id
        self.largest_page = largest_page
        self.issues: dict[str, Row] = {}
        self.labels: dict[str, Row] = {}
        self.comments: dict[str, Row] = {}
        self.attachments: dict[str, Row] = {}
        self.relations: dict[str, Row] = {}
        self.hidden: set[str] = set()
        """Issues that a search does not show."""
        self._now = START
        self.team: Row = {"id": str(uuid.uuid4()), "key": "ENG", "name": "Engineering"}
        kinds = ["triage", "backlog", "unstarted", "started", "completed", "canceled", "duplicate"]
        self.states: dict[str, Row] = {}
        for position, kind in enumerate(kinds):
            row: Row = {
                "id": str(uuid.uuid4()),
                "name": kind,
                "type": kind,
                "position": float(position),
                "team": self.team,
            }
            self.states[row["id"]] = row
        self.users: dict[str, Row] = {}
        self.person = self._user("maria", app=False)
        self.agent = self._user("coder", app=True)

    # --- what people do ---

    def write(self, title: str, body: str) -> str:
        """A person's issue; returns its address."""
        with self.lock:
            return str(self._issue({"teamId": self.team["id"], "title": title, "description": body})["url"])

    def move(self, issue: Row, kind: str) -> None:
        """A person drags it to the state of a type."""
        issue["state"] = next(row for row in self.states.values() if row["type"] == kind)
        issue["updatedAt"] = self._clock()

    def archive(self, issue: Row) -> None:
        """Linear archives what is long closed; a person may delete, which archives and marks as trashed."""
        issue["archivedAt"] = self._clock()

    def attach(self, issue: Row, url: str, *, source: str | None, metadata: Mapping[str, Any]) -> None:
        """Linear's own integration attaches something."""
        own = {"issueId": issue["id"], "title": "a link", "url": url, "metadata": dict(metadata)}
        self._attachment({**own, "sourceType": source})

    def by_key(self, key: str) -> Row:
        """The issue that carries the attachment of a key."""
        found: Row
        (found,) = {row["issue"]["id"]: row["issue"] for row in self.attachments.values()
                    if row["metadata"].get("key") == key}.values()  # fmt: skip
        return found

    # --- operations, as the schema names them ---

    def root(self) -> dict[str, Callable[..., Any]]:
        """Resolvers of Query and Mutation."""
        return {
            "viewer": lambda info: self.person,
            "teams": self._listed(lambda: [self.team]),
            "workflowStates": self._listed(lambda: self.states.values()),
            "issues": self._listed(lambda: [row for row in self.issues.values() if row["id"] not in self.hidden]),
            "attachmentsForURL": self._listed(self.attachments.values),
            "issueLabels": self._listed(self.labels.values),
            "users": self._listed(self.users.values),
            "comments": self._listed(self.comments.values),
            "issueCreate": lambda info, input: self._answer(issue=self._once(self.issues, self._issue, input)),  # noqa: A006
            "issueUpdate": lambda info, id, input: self._answer(issue=self._update(id, input)),  # noqa: A006
            "issueUnarchive": lambda info, id: self._answer(entity=self._unarchive(id)),  # noqa: A006
            "attachmentCreate": lambda info, input: self._answer(  # noqa: A006
                attachment=self._once(self.attachments, self._attachment, input)
            ),
            "commentCreate": lambda info, input: self._answer(  # noqa: A006
                comment=self._once(self.comments, self._comment, input)
            ),
            "issueLabelCreate": lambda info, input: self._answer(  # noqa: A006
                issueLabel=self._once(self.labels, self._label, input)
            ),
            "issueRelationCreate": lambda info, input: self._answer(  # noqa: A006
                issueRelation=self._once(self.relations, self._relation, input)
            ),
        }

    def _answer(self, **payload: Row) -> Row:
        return {"success": True, "lastSyncId": 1.0, **payload}

    def _once(self, rows: dict[str, Row], make: Callable[[Row], Row], given: Row) -> Row:
        if "id" in given:
            try:
                version = uuid.UUID(given["id"]).version
            except ValueError:
                version = None
            if version != 4:
                raise refusal("Argument Validation Error: id must be a UUID v4")
            if given["id"] in rows:
                if self.repeated_id == "same":
                    return rows[given["id"]]
                raise refusal("Entity with this id exists")
        return make(given)

    def _issue(self, given: Row) -> Row:
        if given["teamId"] != self.team["id"]:
            raise refusal("Entity not found: Team")
        number = len(self.issues) + 1
        now = self._clock()
        row: Row = {
            "id": given.get("id") or str(uuid.uuid4()), "number": number, "identifier": f"ENG-{number}",
            "url": f"https://linear.example/acme/issue/ENG-{number}/a-title", "title": given["title"],
            "description": (given.get("description") or "").strip(), "branchName": f"maria/eng-{number}",
            "createdAt": now, "updatedAt": now, "archivedAt": None, "trashed": None, "team": self.team,
            "assignee": self._find(self.users, given.get("assigneeId")),
            "delegate": self._find(self.users, given.get("delegateId")), "delegations": 0,
            "label_ids": [self._find(self.labels, label)["id"] for label in given.get("labelIds") or []],
            "state": next(row for row in self.states.values() if row["type"] == "backlog"),
        }  # fmt: skip
        own = row["id"]
        row["labels"] = lambda info, **args: self._page([self.labels[label] for label in row["label_ids"]], args)
        row["attachments"] = lambda info, **args: self._page(
            [item for item in self.attachments.values() if item["issue"]["id"] == own], args
        )
        row["relations"] = lambda info, **args: self._page(
            [item for item in self.relations.values() if item["issue"]["id"] == own], args
        )
        self.issues[own] = row
        return row

    def _update(self, issue_id: str, given: Row) -> Row:
        row: Row = self._find(self.issues, issue_id)
        if "stateId" in given:
            row["state"] = self._find(self.states, given["stateId"])
        for name in ("assignee", "delegate"):
            if f"{name}Id" in given:
                row[name] = self._find(self.users, given[f"{name}Id"])
        row["delegations"] += "delegateId" in given
        added = [self._find(self.labels, label)["id"] for label in given.get("addedLabelIds") or []]
        kept = [label for label in row["label_ids"] if label not in (given.get("removedLabelIds") or [])]
        row["label_ids"] = list(dict.fromkeys([*kept, *added]))
        row["updatedAt"] = self._clock()
        return row

    def _unarchive(self, issue_id: str) -> Row:
        row: Row = self._find(self.issues, issue_id)
        row["archivedAt"] = None
        return row

    def _attachment(self, given: Row) -> Row:
        issue = self._find(self.issues, given["issueId"])
        for row in self.attachments.values():
            if row["url"] == given["url"] and row["issue"]["id"] == issue["id"]:
                row.update(title=given["title"], metadata=given.get("metadata") or {})
                return row
        own = given.get("id") or str(uuid.uuid4())
        self.attachments[own] = {
            "id": own, "url": given["url"], "title": given["title"], "metadata": given.get("metadata") or {},
            "issue": issue, "createdAt": self._clock(), "archivedAt": None, "sourceType": given.get("sourceType"),
        }  # fmt: skip
        return self.attachments[own]

    def _comment(self, given: Row) -> Row:
        issue = self._find(self.issues, given["issueId"])
        own = given.get("id") or str(uuid.uuid4())
        self.comments[own] = {"id": own, "body": given["body"], "issue": issue, "archivedAt": None}
        return self.comments[own]

    def _label(self, given: Row) -> Row:
        if any(row["name"].lower() == given["name"].lower() for row in self.labels.values()):
            raise refusal("duplicate label name")
        own = given.get("id") or str(uuid.uuid4())
        self.labels[own] = {"id": own, "name": given["name"], "team": self.team if given.get("teamId") else None}
        return self.labels[own]

    def _relation(self, given: Row) -> Row:
        own = given.get("id") or str(uuid.uuid4())
        issue, related = (self._find(self.issues, given[name]) for name in ("issueId", "relatedIssueId"))
        if any((row["issue"], row["relatedIssue"]) == (issue, related) for row in self.relations.values()):
            raise refusal("relation exists")
        self.relations[own] = {"id": own, "type": given["type"], "issue": issue, "relatedIssue": related}
        return self.relations[own]

    def _user(self, name: str, *, app: bool) -> Row:
        row: Row = {"id": str(uuid.uuid4()), "name": name, "displayName": name, "app": app, "active": True}
        self.users[row["id"]] = row
        return row

    def _find(self, rows: Mapping[str, Row], row_id: str | None) -> Any:
        if row_id is not None and row_id not in rows:
            raise refusal("Entity not found - Could not find referenced entity.")
        return None if row_id is None else rows[row_id]

    def _clock(self) -> str:
        self._now += timedelta(seconds=1)
        return self._now.isoformat().replace("+00:00", "Z")

    def _listed(self, rows: Callable[[], Iterable[Row]]) -> Callable[..., Row]:
        return lambda info, **args: self._page(rows(), args)

    def _page(self, rows: Iterable[Row], args: Mapping[str, Any]) -> Row:
        shown = [row for row in rows if args.get("includeArchived") or row.get("archivedAt") is None]
        if "url" in args:
            shown = [row for row in shown if row["url"] == args["url"]]
        shown = [row for row in shown if matches(row, args.get("filter") or {})]
        begin = int(args.get("after") or 0)
        end = begin + min(args.get("first") or 50, self.largest_page)
        more = end < len(shown)
        info = {
            "hasNextPage": more, "hasPreviousPage": begin > 0, "startCursor": str(begin), "endCursor": str(end)
        }  # fmt: skip
        return {"nodes": shown[begin:end], "pageInfo": info}


COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, wanted: value == wanted,
    "eqIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "in": lambda value, wanted: value in wanted,
    "nin": lambda value, wanted: value not in wanted,
    "startsWith": lambda value, wanted: value.startswith(wanted),
}


def matches(row: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Linear's filters: every named field must hold, `or` asks for one of several. Others are an error here."""
    for name, condition in wanted.items():
        if name == "or":
            holds = any(matches(row, part) for part in condition)
        elif condition.keys() <= COMPARED.keys():
            holds = all(COMPARED[how](row[name], value) for how, value in condition.items())
        else:
            holds = matches(row[name], condition)
        if not holds:
            return False
    return True
