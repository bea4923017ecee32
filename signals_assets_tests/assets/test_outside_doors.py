"""The graph with production doors opened by their settings, against local servers: GitHub's records, Slack's report."""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from signals_assets.tables import PullRequest, Release
from signals_assets_tests.conftest import LAST_DAY
from signals_assets_tests.fakes.github_server import GitHubServer
from signals_assets_tests.fakes.slack_server import CHANNEL, SlackServer
from signals_assets_tests.home import Home

REPUBLISH = {"signals/republish": "told again"}


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubServer]:
    with GitHubServer() as server:
        monkeypatch.setenv("GITHUB_TOKEN", server.token)
        server.commit("main", {"prompt.md": "Be helpful.\n"}, at="2026-01-05T08:00:00Z")
        server.release("v1.0.0", at="2026-01-05T09:00:00Z")
        server.refs["refs/heads/maria/eng-12"] = server.refs["refs/heads/main"]
        server.commit("maria/eng-12", {"prompt.md": "Be brief.\n"}, at="2026-01-06T08:00:00Z")
        server.open("maria/eng-12", "Be brief", "Fixes ENG-12.", at="2026-01-06T09:00:00Z")
        server.merge(1, at="2026-01-07T09:00:00Z")
        server.release("v1.1.0", at="2026-01-08T09:00:00Z")
        yield server


def test_what_github_tells_becomes_rows_as_of_each_day(own: Callable[..., Home], github: GitHubServer) -> None:
    home = own(
        github={"repository": "team/agent", "base_url": github.url, "team_keys": ["ENG"]},
        records_from={"releases": "github", "pull_requests": "github"},
        agent_name="helper",
    )
    home.materialize(
        date(2026, 1, 5), date(2026, 1, 8), only=["raw_sessions", "quarantine", "releases", "pull_requests"]
    )
    assert [(row["day"].day, row["state"], row["ticket_keys"]) for row in home.rows(PullRequest)] == [
        (6, "open", ["ENG-12"]),
        (7, "merged", ["ENG-12"]),
    ]
    told = [(row["agent_name"], row["version"], row["pull_request_ids"]) for row in home.rows(Release)]
    assert told == [("helper", "1.0.0", []), ("helper", "1.1.0", ["1"])]


def test_a_day_of_the_graph_is_one_message_however_often_it_is_told(
    lived: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SlackServer() as server:
        monkeypatch.setenv("SLACK_BOT_TOKEN", server.token)
        slack = {"channel": CHANNEL, "base_url": server.url, "dry_run": False}
        home = lived.copy(tmp_path / "home", notifier="slack", slack=slack)
        for _ in range(2):
            home.materialize(LAST_DAY, only=["daily_report"], tags=REPUBLISH)
        home.instance.dispose()
        (message,) = server.top()
        places = [one["metadata"]["event_payload"]["place"].rpartition(":")[2] for one in server.thread(message["ts"])]
        assert places.count("pictures") == 1
        assert len(places) == len(set(places))
        assert sorted(server.files[file]["name"] for file in server.shown()) == ["loop.png", "rates.png"]
        assert message["edited"]
        assert (home.folder / "reports" / f"{LAST_DAY}.html").is_file()
