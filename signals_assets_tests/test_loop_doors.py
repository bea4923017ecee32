"""The whole loop through the production doors: Linear, GitHub and Slack over sockets, against local servers.

The life is the demo's: a release makes something worse, tickets are filed, a developer reads them where they are and
answers with pull requests that name them as the team does, releases ship, and the sessions that run them say what
became of it. Weeks are lived at once, as in the demo; people close, approve and merge at the services.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from signals_assets.core.sessions import format_time
from signals_assets.resources.filing import approve, broken_link
from signals_assets.simulation import COMPONENTS, World
from signals_assets.simulation.developer import Action
from signals_assets.simulation.story import AGENT_NAME, noon
from signals_assets.tables import TicketRow
from signals_assets_tests.fakes.github_server import GitHubServer
from signals_assets_tests.fakes.linear_server import LinearServer
from signals_assets_tests.fakes.slack_server import CHANNEL, SlackServer
from signals_assets_tests.home import Home

START = date(2026, 1, 5)
SEED, WEEKS, SESSIONS_A_DAY = 1, 3, 100
"""The smallest life tried in which both turns are decided: 80 a day leave the fix that does nothing inconclusive."""
DAYS = [START + timedelta(days=number) for number in range(7 * WEEKS)]
TALKING = [
    "releases", "pull_requests", "causes", "friction_levels", "ticket_states", "fix_outcomes", "loop_metrics",
    "daily_report",
]  # fmt: skip
"""Assets that ask a service, or decide what is said there."""
WORKS = "context_churn"
"""The developer's fix of it works; every other fix does nothing."""


@dataclass
class Services:
    """The three local servers."""

    linear: LinearServer
    github: GitHubServer
    slack: SlackServer

    def issues(self) -> dict[str, dict[str, Any]]:
        """Every issue with what hangs on it, by the key on our attachment."""
        state, found = self.linear.state, {}
        for attachment in state.attachments.values():
            issue = attachment["issue"]
            assert attachment["metadata"]["key"] not in found, "a key is on one issue"
            found[attachment["metadata"]["key"]] = {
                **{name: issue[name] for name in ("identifier", "url", "title", "description", "branchName")},
                "state": issue["state"]["type"],
                "assignee": issue["assignee"] and issue["assignee"]["name"],
                "delegate": issue["delegate"] and issue["delegate"]["name"],
                "delegations": issue["delegations"],
                "labels": sorted(state.labels[label]["name"] for label in issue["label_ids"]),
                "attached": attachment["metadata"],
                "comments": [row["body"] for row in state.comments.values() if row["issue"] is issue],
                "row": issue["id"],
            }
        assert len(found) == len(state.issues), "every issue carries its attachment"
        return found

    def held(self) -> str:
        """All that the services hold, to be compared."""
        said = {ts: [one["text"], one["blocks"], one.get("thread_ts")] for ts, one in self.slack.messages.items()}
        files = {name: file["name"] for name, file in self.slack.files.items()}
        code = [self.github.refs, self.github.pulls, self.github.releases]
        return json.dumps([self.issues(), self.linear.state.relations, said, files, code], sort_keys=True, default=str)


class Team:
    """What people do: read issues, open and merge pull requests, release, close what they take to be done."""

    def __init__(self, world: World, services: Services) -> None:
        self._world, self._services = world, services
        self._told = {"releases": 0, "pull_requests": 0}
        self._numbers: dict[str, int] = {}
        services.github.commit("main", {"prompts/system.md": "Be helpful.\n"}, at=self._at(-9))

    def _at(self, day: int) -> str:
        return format_time(noon(START, day, 8))

    def read_tickets(self) -> None:
        """One pull request for each open issue that had none."""
        tried = {action.ticket_key for action in self._world.actions}
        self._world.developer(
            Action(key, issue["attached"]["type"], issue["attached"]["component"], issue["attached"]["type"] == WORKS)
            for key, issue in sorted(self._services.issues().items())
            if issue["state"] == "backlog" and key not in tried
        )

    def catch_up(self) -> None:
        """What the simulated team did since is done at GitHub, in order of time."""
        events = []
        for kind, moment in (("releases", "released_at"), ("pull_requests", "opened_at")):
            path = self._world.out / "records" / f"{kind}.jsonl"
            lines = path.read_text().splitlines() if path.exists() else []
            new = [json.loads(line) for line in lines[self._told[kind] :]]
            self._told[kind] = len(lines)
            events += [(record.get("merged_at") or record[moment], kind, record) for record in new]
        for at, kind, record in sorted(events, key=lambda event: event[:2]):
            if kind == "releases":
                self._services.github.release(f"v{record['version']}", at=at)
            else:
                self._change(record, at)

    def _change(self, record: dict[str, Any], at: str) -> None:
        github, name = self._services.github, record["pull_request_id"]
        action = next((one for one in self._world.actions if one.ticket_key in record["title"]), None)
        issue = self._services.issues()[action.ticket_key] if action else None
        if name not in self._numbers:
            self._numbers[name] = self._opened(record, issue)
        if record["state"] == "merged":
            github.merge(self._numbers[name], at=at)
            if action and not action.works:  # who merged it takes it to be done
                self._close(issue["row"])

    def _close(self, issue_id: str) -> None:
        state = self._services.linear.state
        state.issues[issue_id]["assignee"] = state.person
        state.move(state.issues[issue_id], "completed")

    def _opened(self, record: dict[str, Any], issue: dict[str, Any] | None) -> int:
        """Every other one names its issue by the branch that Linear proposes, the others behind a magic word."""
        github, at = self._services.github, record["opened_at"]
        title, branch, body = record["title"], record["branch"], record["body"]
        if issue:
            title, by_branch = title.partition(" (SIG-")[0], len(self._numbers) % 2
            branch = issue["branchName"] if by_branch else f"fix-{len(self._numbers)}"
            body = "" if by_branch else f"Fixes {issue['identifier']}."
        github.refs[f"refs/heads/{branch}"] = github.refs["refs/heads/main"]
        github.commit(branch, dict.fromkeys(record["files"], f"{record['pull_request_id']}\n"), at=at)
        return github.open(branch, title, body, at=at)


@pytest.fixture
def services(request: pytest.FixtureRequest) -> Iterator[Services]:
    """Their answers and our questions are held against the official schemas where these lie beside the checkout."""
    try:
        schema = (request.getfixturevalue("specs_dir") / "linear-schema.graphql").read_text()
    except pytest.skip.Exception:
        schema = None
    with ExitStack() as stack:
        linear = stack.enter_context(LinearServer(schema_text=schema))
        yield Services(linear, stack.enter_context(GitHubServer()), stack.enter_context(SlackServer()))
        assert linear.refused == []


@pytest.fixture
def life(tmp_path: Path) -> World:
    """The agent and its users before the first day."""
    return World(SEED, SESSIONS_A_DAY, START, tmp_path / "world", users=60, organizations=6)


@pytest.fixture
def home(services: Services, life: World, tmp_path: Path) -> Iterator[Home]:
    """A home before its first day; every door but the source and the other records is a service's."""
    with Home(
        tmp_path / "home", life.out, start_day=START, end_day=DAYS[-1],
        selection={"min_steps": 400},  # what is filed here comes from detections by code, on every session
        thresholds={"ceilings": {"error_event": 0.2}, "act_within_days": 7},
        components={name: list(parts) for name, parts in COMPONENTS.items()},
        tracker="linear", code_host="github", notifier="slack",
        records_from={"releases": "github", "pull_requests": "github"},
        linear={"team": "ENG", "endpoint": services.linear.url, "api_key": "key"},
        github={"repository": "team/agent", "base_url": services.github.url, "token": services.github.token,
                "dry_run": False, "agent_name": AGENT_NAME},
        slack={"channel": CHANNEL, "base_url": services.slack.url, "token": services.slack.token, "dry_run": False},
        tickets={"dry_run": False, "agent": "coder", "agent_components": ["editor"]},
    ) as home:  # fmt: skip
        yield home


def act(home: Home) -> None:
    """What the sensors would do now."""
    for sensor in ("friction_threshold", "fix_tracking"):
        for asked in home.tick(sensor).run_requests or []:
            home.run(asked)


@pytest.mark.slow
def test_a_fix_that_works_closes_its_issue_and_one_that_does_nothing_brings_it_back(
    services: Services, life: World, home: Home
):
    team = Team(life, services)
    for week in range(WEEKS):
        life.step(7)
        team.catch_up()
        home.materialize(DAYS[7 * week], DAYS[7 * week + 6])
        act(home)
        if week == 0:
            assert services.issues() == {}, "a type's first ticket waits for a person"
            for kind in ("correction", WORKS):
                approve(home.ledger, kind, actor="maria")
            act(home)
        team.read_tickets()

    tickets = {row["ticket_key"]: row for row in home.rows(TicketRow, DAYS[-1])}
    issues = services.issues()
    assert issues.keys() == tickets.keys()
    assert len({row["cause_id"] for row in tickets.values()}) == len(tickets) >= 2
    filings = {entry.key: entry.payload for entry in home.ledger.entries(["filing"])}
    for key, issue in issues.items():
        holds(issue, tickets[key], filings[key])
    both_turns(home, issues, tickets)
    assert {request.method for request in services.github.requests} == {"GET"}, "people open, merge and release"
    assert broken_link(home.ledger.entries(["audit"])) is None

    told = services.slack.top()
    days = [message["metadata"]["event_payload"]["place"].partition(":")[0] for message in told]
    assert sorted(days) == [day.isoformat() for day in DAYS], "one message a day"
    held, said = services.held(), len(services.slack.requests)
    home.materialize(DAYS[0], DAYS[-1], only=TALKING)
    act(home)
    assert services.held() == held, "the same days again change nothing"
    assert len(services.slack.requests) > said
    assert all(message["edited"] for message in services.slack.top())
    assert broken_link(home.ledger.entries(["audit"])) is None


def holds(issue: dict[str, Any], ticket: dict[str, Any], filing: Mapping[str, Any]) -> None:
    """One issue of one cause: its text, labels and attachment, whose it is, and one pull request that names it."""
    attached = issue["attached"]
    assert issue["url"] == ticket["reference"]
    assert issue["labels"] == [f"component:{ticket['component']}", f"type:{ticket['type']}"]
    assert (attached["fingerprint"], attached["generation"]) == (ticket["cause_id"], "1")
    assert (issue["title"], issue["description"]) == (filing["title"], filing["body"].strip())
    assert attached["body_hash"] == hashlib.sha256(filing["body"].encode()).hexdigest()
    to_agent = ticket["component"] == "editor"
    assert (issue["delegate"], issue["delegations"]) == (("coder", 1) if to_agent else (None, 0))
    assert ticket["pull_request_id"]
    assert ticket["released_in"]


def both_turns(home: Home, issues: dict[str, dict[str, Any]], tickets: dict[str, dict[str, Any]]) -> None:
    """What worked is closed by the verdict; what a person took to be done and did nothing is back, and still theirs."""
    verdicts = {entry.payload["ticket_key"]: entry.payload["verdict"] for entry in home.ledger.entries(["verdict"])}
    for key, issue in issues.items():
        worked = tickets[key]["type"] == WORKS
        assert verdicts[key] == ("improved" if worked else "unchanged")
        assert issue["state"] == ("completed" if worked else "unstarted")
        assert issue["assignee"] == (None if worked else "maria")
        [comment] = issue["comments"]
        assert comment.startswith("The fix works." if worked else "The fix made no difference that matters.")
    assert len(set(verdicts.values())) == 2
