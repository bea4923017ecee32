"""Door: Linear as the ticket tracker.

Put here: `LinearTracker`, the GraphQL documents it asks, what is read of their answers.
Not here: HTTP, repeats, rate limits (see `resources/linear_client.py`), when and what to file.

A ticket is an issue whose id follows from team and key, with an attachment whose address follows from the key and
whose metadata carries fingerprint, labels and the body's hash. It is looked up by both before it is created, so that
a crash between issue and attachment heals at the next call, and a repeated id is told from a refusal. Linear is never
told an assignee: people assign people.
"""

import hashlib
import re
import uuid
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from functools import partial
from typing import Any, Final, Generic, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from signals_assets.core.tickets import KEY_PATTERN
from signals_assets.resources.linear_client import LinearClient, LinearRefused
from signals_assets.resources.tracker import (
    State,
    TicketAtTracker,
    TicketText,
    Tracker,
    TrackerError,
    TrackerPullRequest,
    TrackerTicket,
    key_checked,
)

PAGE: Final = 50
"""Nodes of a page. A question may cost 10,000 points; the largest of ours costs about 500 with it."""
PAGES: Final = 200
"""Pages of a list before it counts as endless."""
AS_LABELS: Final = ("type", "component")
"""Names of the labels that a new issue gets in Linear; the others would be a label for each issue: its metadata."""
CLOSED: Final = frozenset({"completed", "canceled", "duplicate"})
REOPENED_AS: Final = ("unstarted", "backlog", "triage", "started")
"""Types of the state that a reopened issue gets: the first that the team has."""
TITLE: Final = "Signals"
"""Beginning of our attachments' title."""

# --- documents ------------------------------------------------------------------------------------------------------

_ISSUE: Final = "id identifier url title description updatedAt archivedAt state { id type } delegate { id }"

TEAM: Final = """
query Team($key: String!) {
  teams(first: 1, filter: {key: {eq: $key}}) { nodes { id key } pageInfo { hasNextPage endCursor } }
}
"""
STATES: Final = """
query States($team: ID!, $after: String) {
  workflowStates(first: 50, after: $after, filter: {team: {id: {eq: $team}}}) {
    nodes { id type position }
    pageInfo { hasNextPage endCursor }
  }
}
"""
FIND: Final = f"""
query Find($id: ID!, $url: String!) {{
  issues(first: 1, includeArchived: true, filter: {{id: {{eq: $id}}}}) {{
    nodes {{ {_ISSUE} }}
    pageInfo {{ hasNextPage endCursor }}
  }}
  attachmentsForURL(first: 10, includeArchived: true, url: $url) {{
    nodes {{ id metadata issue {{ {_ISSUE} }} }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}
"""
FIND_BY_NUMBER: Final = f"""
query FindByNumber($team: ID!, $number: Float!) {{
  issues(first: 1, filter: {{team: {{id: {{eq: $team}}}}, number: {{eq: $number}}}}) {{
    nodes {{ {_ISSUE} }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}
"""
CREATE: Final = "mutation Create($input: IssueCreateInput!) { issueCreate(input: $input) { success } }"
UPDATE: Final = """
mutation Update($id: String!, $input: IssueUpdateInput!) { issueUpdate(id: $id, input: $input) { success } }
"""
UNARCHIVE: Final = "mutation Unarchive($id: String!) { issueUnarchive(id: $id) { success } }"
ATTACH: Final = "mutation Attach($input: AttachmentCreateInput!) { attachmentCreate(input: $input) { success } }"
COMMENT: Final = "mutation Comment($input: CommentCreateInput!) { commentCreate(input: $input) { success } }"
FIND_COMMENT: Final = """
query FindComment($id: ID!) {
  comments(first: 1, includeArchived: true, filter: {id: {eq: $id}}) {
    nodes { id }
    pageInfo { hasNextPage endCursor }
  }
}
"""
LABELS: Final = """
query Labels($filter: IssueLabelFilter!, $after: String) {
  issueLabels(first: 50, after: $after, filter: $filter) {
    nodes { id name team { id } }
    pageInfo { hasNextPage endCursor }
  }
}
"""
CREATE_LABEL: Final = """
mutation CreateLabel($input: IssueLabelCreateInput!) { issueLabelCreate(input: $input) { success } }
"""
RELATIONS: Final = """
query Relations($id: ID!, $after: String) {
  issues(first: 1, includeArchived: true, filter: {id: {eq: $id}}) {
    nodes { relations(first: 50, after: $after) { nodes { relatedIssue { id } } pageInfo { hasNextPage endCursor } } }
  }
}
"""
RELATE: Final = """
mutation Relate($input: IssueRelationCreateInput!) { issueRelationCreate(input: $input) { success } }
"""
AGENTS: Final = """
query Agents($name: String!) {
  users(first: 2, filter: {
    app: {eq: true}, or: [{name: {eqIgnoreCase: $name}}, {displayName: {eqIgnoreCase: $name}}]
  }) { nodes { id } pageInfo { hasNextPage endCursor } }
}
"""
OPEN: Final = """
query Open($team: ID!, $after: String) {
  issues(first: 50, after: $after, filter: {
    team: {id: {eq: $team}}, state: {type: {nin: ["completed", "canceled", "duplicate"]}}
  }) {
    nodes {
      url title description updatedAt
      attachments(first: 5, filter: {title: {startsWith: "Signals SIG-"}}) { nodes { metadata } }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""
ATTACHMENTS: Final = """
query Attachments($id: ID!, $after: String) {
  issues(first: 1, includeArchived: true, filter: {id: {eq: $id}}) {
    nodes {
      attachments(first: 50, after: $after) {
        nodes { url sourceType metadata }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
}
"""
VIEWER: Final = "query Viewer { viewer { id } }"

DOCUMENTS: Final = (
    TEAM, STATES, FIND, FIND_BY_NUMBER, CREATE, UPDATE, UNARCHIVE, ATTACH, COMMENT, FIND_COMMENT, LABELS, CREATE_LABEL,
    RELATIONS, RELATE, AGENTS, OPEN, ATTACHMENTS, VIEWER,
)  # fmt: skip
"""Every question that this door asks."""


# --- what is read of the answers ------------------------------------------------------------------------------------

M = TypeVar("M", bound=BaseModel)
N = TypeVar("N")


class _Read(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)


class _PageInfo(_Read):
    hasNextPage: bool  # noqa: N815  Linear's names
    endCursor: str | None  # noqa: N815


class _Page(_Read, Generic[N]):
    nodes: list[N]
    pageInfo: _PageInfo  # noqa: N815


class _Nodes(_Read, Generic[N]):
    nodes: list[N]


class _Id(_Read):
    id: str


class _IssueState(_Read):
    id: str
    type: str


class _Issue(_Read):
    id: str
    identifier: str
    url: str
    title: str
    description: str | None
    updatedAt: datetime  # noqa: N815
    archivedAt: datetime | None  # noqa: N815
    state: _IssueState
    delegate: _Id | None

    @property
    def closed(self) -> bool:
        """An archived issue is out of sight: closed, whatever its state."""
        return self.state.type in CLOSED or self.archivedAt is not None


class _Attachment(_Read):
    id: str
    metadata: dict[str, Any]
    issue: _Issue


class _Found(_Read):
    issues: _Page[_Issue]
    attachmentsForURL: _Page[_Attachment]  # noqa: N815


class _Issues(_Read):
    issues: _Page[_Issue]


class _TeamState(_IssueState):
    position: float


class _States(_Read):
    workflowStates: _Page[_TeamState]  # noqa: N815


class _Team(_Id):
    key: str


class _Teams(_Read):
    teams: _Page[_Team]


class _Label(_Read):
    id: str
    name: str
    team: _Id | None


class _Labels(_Read):
    issueLabels: _Page[_Label]  # noqa: N815


class _Users(_Read):
    users: _Page[_Id]


class _Comments(_Read):
    comments: _Page[_Id]


class _Metadata(_Read):
    metadata: dict[str, Any]


class _OpenIssue(_Read):
    url: str
    title: str
    description: str | None
    updatedAt: datetime  # noqa: N815
    attachments: _Nodes[_Metadata]


class _OpenIssues(_Read):
    issues: _Page[_OpenIssue]


class _Relation(_Read):
    relatedIssue: _Id  # noqa: N815


class _WithRelations(_Read):
    relations: _Page[_Relation]


class _RelationsOf(_Read):
    issues: _Nodes[_WithRelations]


class _Linked(_Read):
    url: str
    sourceType: str | None  # noqa: N815
    metadata: dict[str, Any]


class _WithAttachments(_Read):
    attachments: _Page[_Linked]


class _AttachmentsOf(_Read):
    issues: _Nodes[_WithAttachments]


class _Success(_Read):
    success: bool


class _Done(_Read):
    """What mutations answer, by their names."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)
    __pydantic_extra__: dict[str, _Success]


class _Viewer(_Read):
    viewer: _Id


# --- the tracker ----------------------------------------------------------------------------------------------------


_LOCAL: Final = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104  compared with, nothing is bound to it
"""Hosts of an address that nobody else can open."""


class LinearTracker(Tracker):
    """Issues of one team. See `Tracker` for the verbs and the module for how a ticket is recognised."""

    name = "linear"
    leaves_machine = True

    def __init__(self, client: LinearClient, *, team: str, link: str) -> None:
        """`team`: its key, e.g. ENG.  `link`: address that an issue's attachment leads to."""
        self._client, self._team_key, self._link = client, team, link
        self._known_team: _Team | None = None

    def find(self, key: str) -> TicketAtTracker | None:
        """By id and by attachment, in one question."""
        found = self._look_up(key_checked(key))
        return None if found is None else _at_tracker(key, *found)

    def create(self, ticket: TicketText) -> TicketAtTracker:
        """Look up, create with an id that follows from the key, attach, link to the earlier generation."""
        found = self._look_up(key_checked(ticket.key))
        if found is None:
            self._create(ticket)
            found = self._look_up(ticket.key)
        if found is None:
            raise TrackerError(
                f"ticket {ticket.key}: Linear took it and does not show it; file it again, its id prevents a second one"
            )
        issue, attached = found
        if attached is None:
            attached = self._attach(ticket, issue)
        if ticket.previous is not None:
            self._relate(issue, ticket.previous)
        return _at_tracker(ticket.key, issue, attached)

    def comment(self, ticket: str, comment_id: str, text: str) -> None:
        """The comment's id follows from issue and `comment_id`; a refusal is looked up."""
        issue = self._issue(ticket)
        own_id = self._id("comment", issue.id, comment_id)
        self._once(
            "commenting on a ticket", COMMENT, {"id": own_id, "issueId": issue.id, "body": text},
            lambda: bool(self._ask("finding a comment", FIND_COMMENT, _Comments, id=own_id).comments.nodes),
        )  # fmt: skip

    def set_state(self, key: str, state: State) -> None:
        """Close as the team's first completed state, reopen as its first unstarted one; unarchives to reopen."""
        issue = self._issue(key)
        if issue.closed == (state == "closed"):
            return
        if issue.archivedAt is not None:
            self._do("reopening a ticket", UNARCHIVE, id=issue.id)
        if (issue.state.type in CLOSED) != (state == "closed"):
            self._update("changing a ticket's state", issue, stateId=self._state_id(state))

    def label(self, key: str, add: Collection[str] = (), remove: Collection[str] = ()) -> None:
        """Labels are made in the team where neither it nor the workspace has them."""
        issue = self._issue(key)
        added = self._label_ids(add, make=True)
        removed = self._label_ids(remove, make=False)
        if added or removed:
            self._update("labelling a ticket", issue, addedLabelIds=added, removedLabelIds=removed)

    def delegate(self, key: str, agent: str) -> None:
        """Set the delegate, once: each time makes a session of the agent. The assignee is never sent."""
        issue = self._issue(key)
        users = self._ask("finding an agent user", AGENTS, _Users, name=agent).users.nodes
        if len(users) != 1:
            raise TrackerError(
                f"ticket {key}: Linear has {len(users)} agent users of the name in tickets.agent; set one that it has"
            )
        if issue.delegate is None or issue.delegate.id != users[0].id:
            self._update("delegating a ticket", issue, delegateId=users[0].id)

    def open_tickets(self) -> list[TrackerTicket]:
        """Every open issue of the team that is not archived."""
        team = self._team().id
        pages = self._pages(
            lambda after: self._ask("listing tickets", OPEN, _OpenIssues, team=team, after=after).issues
        )
        return sorted((_open_ticket(issue) for issue in pages), key=lambda ticket: ticket.reference)

    def pull_requests(self, key: str) -> list[TrackerPullRequest]:
        """Linear's own GitHub and GitLab attachments."""
        found = self._look_up(key_checked(key))
        if found is None:
            return []
        issue = found[0].id

        def page(after: str | None) -> _Page[_Linked]:
            nodes = self._ask("reading attachments", ATTACHMENTS, _AttachmentsOf, id=issue, after=after).issues.nodes
            return nodes[0].attachments if nodes else _nothing()

        linked = {item.url: _pull_request(item) for item in self._pages(page) if _is_pull_request(item)}
        return [linked[url] for url in sorted(linked)]

    def check(self) -> str:
        """Who we are, the team and its states, and how many open tickets of ours it has."""
        self._ask("saying who we are", VIEWER, _Viewer)
        for state in ("open", "closed"):
            self._state_id(state)
        ours = sum(ticket.ours for ticket in self.open_tickets())
        local = urlsplit(self._link).hostname in _LOCAL
        where = (
            "; links lead to this machine only (set SIGNALS_LINEAR__LINK to your Dagster's address)" if local else ""
        )
        return f"linear: team {self._team_key}, {ours} tickets, {ours} open{where}"

    # --- how ---

    def _ask(self, doing: str, document: str, answer: type[M], **variables: Any) -> M:
        return self._client.ask(doing, document, variables, answer)

    def _do(self, doing: str, document: str, **variables: Any) -> None:
        done = self._ask(doing, document, _Done, **variables)
        if not all(part.success for part in done.__pydantic_extra__.values()):
            raise LinearRefused(f"{doing}: Linear says that it did not succeed; the next run tries again")

    def _id(self, *names: str) -> str:
        """An id in the shape of a random UUID that follows from team and names: the same thing has the same always."""
        seed = "\x1f".join(("signals", self._team_key, *names))
        return str(uuid.UUID(bytes=hashlib.sha256(seed.encode()).digest()[:16], version=4))

    def _url(self, key: str) -> str:
        return f"{self._link}{'&' if '?' in self._link else '?'}ticket={key}"

    def _team(self) -> _Team:
        if self._known_team is None:
            teams = self._ask("finding the team", TEAM, _Teams, key=self._team_key).teams.nodes
            if not teams:
                raise TrackerError("Linear shows no team with the key in linear.team; set one that this access may see")
            self._known_team = teams[0]
        return self._known_team

    def _state_id(self, state: State) -> str:
        team = self._team().id
        asked = partial(self._ask, "reading a team's states", STATES, _States, team=team)
        states = list(self._pages(lambda after: asked(after=after).workflowStates))
        for wanted in REOPENED_AS if state == "open" else ("completed", "canceled"):
            of_type = [item for item in states if item.type == wanted]
            if of_type:
                return min(of_type, key=lambda item: (item.position, item.id)).id
        raise TrackerError(f"the team in linear.team has no workflow state that counts as {state}; add one in Linear")

    def _look_up(self, key: str) -> tuple[_Issue, _Attachment | None] | None:
        """The issue of a key and our attachment on it; by its id, else by the attachment's address."""
        own_id = self._id("issue", key)
        found = self._ask("finding a ticket", FIND, _Found, id=own_id, url=self._url(key))
        ours = [item for item in found.attachmentsForURL.nodes if item.metadata.get("key") == key]
        issue = next(iter(found.issues.nodes), None) or next((item.issue for item in ours), None)
        if issue is None:
            return None
        return issue, next((item for item in ours if item.issue.id == issue.id), None)

    def _issue(self, ticket: str) -> _Issue:
        """The issue of a key or of a reference (an issue's address)."""
        found: _Issue | None = None
        if KEY_PATTERN.fullmatch(ticket):
            by_key = self._look_up(ticket)
            found = by_key[0] if by_key else None
        else:
            place = re.search(r"/issue/([A-Z0-9]+)-([0-9]{1,9})(?:/|$)", ticket)
            if place and place[1] == self._team().key:
                number = float(place[2])
                answer = self._ask("finding an issue", FIND_BY_NUMBER, _Issues, team=self._team().id, number=number)
                found = next(iter(answer.issues.nodes), None)
        if found is None:
            key = ticket if KEY_PATTERN.fullmatch(ticket) else "of a person"
            raise TrackerError(f"ticket {key}: the team has no such issue; restore it in Linear or file it again")
        return found

    def _create(self, ticket: TicketText) -> None:
        shown = [label for label in ticket.labels if label.partition(":")[0] in AS_LABELS]
        self._once(
            "creating a ticket", CREATE,
            {
                "id": self._id("issue", ticket.key),
                "teamId": self._team().id,
                "title": ticket.title,
                "description": ticket.body,
                "labelIds": self._label_ids(shown, make=True),
            },
            lambda: self._look_up(ticket.key) is not None,
        )  # fmt: skip

    def _attach(self, ticket: TicketText, issue: _Issue) -> _Attachment:
        labels = {name: value for name, _, value in (label.partition(":") for label in ticket.labels)}
        own = {
            "key": ticket.key,
            "fingerprint": ticket.fingerprint,
            "body_hash": hashlib.sha256(ticket.body.encode()).hexdigest(),
        }
        content = {
            "id": self._id("attachment", issue.id, ticket.key),
            "issueId": issue.id,
            "title": f"{TITLE} {ticket.key}",
            "url": self._url(ticket.key),
            "metadata": {**labels, **own},
        }

        def attached() -> _Attachment | None:
            found = self._look_up(ticket.key)
            return found[1] if found else None

        self._once("attaching to a ticket", ATTACH, content, lambda: attached() is not None)
        found = attached()
        if found is None:
            raise TrackerError(f"ticket {ticket.key}: Linear took its attachment and does not show it; file it again")
        return found

    def _relate(self, issue: _Issue, previous: str) -> None:
        earlier = self._look_up(previous)
        if earlier is None:
            return  # deleted in Linear: there is nothing to link to

        def page(after: str | None) -> _Page[_Relation]:
            nodes = self._ask("reading relations", RELATIONS, _RelationsOf, id=issue.id, after=after).issues.nodes
            return nodes[0].relations if nodes else _nothing()

        def related() -> bool:
            return any(item.relatedIssue.id == earlier[0].id for item in self._pages(page))

        if not related():
            ids = {"issueId": issue.id, "relatedIssueId": earlier[0].id}
            own_id = self._id("relation", *ids.values())
            self._once("linking a ticket", RELATE, {"id": own_id, **ids, "type": "related"}, related)

    def _update(self, doing: str, issue: _Issue, **fields: Any) -> None:
        self._do(doing, UPDATE, id=issue.id, input=fields)

    def _label_ids(self, names: Collection[str], *, make: bool) -> list[str]:
        wanted = list(dict.fromkeys(names))
        known = self._labels(wanted)
        for name in wanted if make else ():
            if name.lower() not in known:
                content = {"id": self._id("label", name), "name": name, "teamId": self._team().id}
                self._once("making a label", CREATE_LABEL, content, partial(self._has_label, name))
        found = self._labels(wanted) if make and len(known) < len(wanted) else known
        return [found[name.lower()] for name in wanted if name.lower() in found]

    def _has_label(self, name: str) -> bool:
        return name.lower() in self._labels([name])

    def _labels(self, names: Collection[str]) -> dict[str, str]:
        """Name in small letters (Linear compares so) -> id, of the team's labels and the workspace's."""
        if not names:
            return {}
        asked = {"or": [{"name": {"eqIgnoreCase": name}} for name in names]}
        pages = self._pages(
            lambda after: self._ask("reading labels", LABELS, _Labels, filter=asked, after=after).issueLabels
        )
        team = self._team().id
        return {label.name.lower(): label.id for label in pages if label.team is None or label.team.id == team}

    def _once(self, doing: str, document: str, content: dict[str, Any], done: Callable[[], bool]) -> None:
        """Create something that has an id of ours; a refusal is success where it turns out to be there.

        An earlier attempt whose answer was lost is refused at its repeat.
        """
        try:
            self._do(doing, document, input=content)
        except LinearRefused:
            if not done():
                raise

    def _pages(self, ask: Callable[[str | None], _Page[N]]) -> Iterator[N]:
        """Every node of every page; a cursor that stands still is an error, never a short list."""
        after: str | None = None
        for _ in range(PAGES):
            page = ask(after)
            yield from page.nodes
            if not page.pageInfo.hasNextPage:
                return
            if page.pageInfo.endCursor in (None, after):
                break
            after = page.pageInfo.endCursor
        raise TrackerError(f"Linear's list does not end within {PAGES} pages of {PAGE}; archive old issues of the team")


def _nothing() -> Any:
    return _Page(nodes=[], pageInfo=_PageInfo(hasNextPage=False, endCursor=None))


def _at_tracker(key: str, issue: _Issue, attached: _Attachment | None) -> TicketAtTracker:
    """The hash is the attachment's: Linear may write a description in another way than it was sent."""
    described = hashlib.sha256((issue.description or "").encode()).hexdigest()
    body_hash = str(attached.metadata.get("body_hash", "")) if attached else described
    return TicketAtTracker(key, issue.url, "closed" if issue.closed else "open", body_hash)


def _open_ticket(issue: _OpenIssue) -> TrackerTicket:
    keys = [str(item.metadata.get("key")) for item in issue.attachments.nodes]
    key = next((key for key in keys if KEY_PATTERN.fullmatch(key)), None)
    body = (issue.description or "").strip()
    return TrackerTicket(key, issue.url, issue.title, body, "open", issue.updatedAt, ours=key is not None)


def _is_pull_request(item: _Linked) -> bool:
    return (item.sourceType or "").lower() in ("github", "gitlab") and bool(
        re.search(r"/(pull|merge_requests)/[0-9]+", item.url)
    )


def _pull_request(item: _Linked) -> TrackerPullRequest:
    said = str(item.metadata.get("status", "")).lower()
    states: dict[str, Literal["open", "merged", "closed"]] = {
        "open": "open", "draft": "open", "inreview": "open", "approved": "open", "merged": "merged", "closed": "closed",
    }  # fmt: skip
    return TrackerPullRequest(item.url, states.get(said, "unknown"))
