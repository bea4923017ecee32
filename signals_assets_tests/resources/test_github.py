"""The code host GitHub over HTTP, against a local server that compares requests and answers with the specification."""

import re

import pytest

from signals_assets.resources.code_host import CodeHostError
from signals_assets.resources.github import GitHub, GitHubCodeHost, GitHubError
from signals_assets.resources.http import HttpError, NotAnswered, RateLimited
from signals_assets_tests.fakes.github_server import GitHubServer
from signals_assets_tests.resources.code_host_contract import BRANCH, DIFF, FILES, CodeHostContract, draft
from signals_assets_tests.resources.crashes import Crashed, dying

DAY = "2026-01-05"


@pytest.fixture
def server():
    with GitHubServer() as server:
        server.commit("main", FILES, at=f"{DAY}T08:00:00Z")
        yield server


class Waits(list):
    """Sleeps nowhere and remembers for how long it should have."""

    def __call__(self, seconds):
        self.append(seconds)


@pytest.fixture
def waits():
    return Waits()


def github(server, waits, **values):
    return GitHub("team/agent", "token", base_url=server.url, sleep=waits, timeout_seconds=5, **values)


@pytest.fixture
def host(server, waits, tmp_path):
    return GitHubCodeHost(github(server, waits), dry_run=False, folder=tmp_path)


class People:
    """What people do at GitHub."""

    def __init__(self, server):
        self.server, self.branches, self.content = server, server.branches, server.content

    def head(self, branch):
        return self.server.refs[f"refs/heads/{branch}"]

    def message(self, branch):
        return self.server.commits[self.head(branch)]["message"]

    def change(self, branch, files, title, body):
        self.server.refs[f"refs/heads/{branch}"] = self.head("main")
        self.server.commit(branch, files, at=f"{DAY}T09:00:00Z")
        return self.server.open(branch, title, body, at=f"{DAY}T09:30:00Z")

    def merge(self, branch):
        number = next(number for number, pull in self.server.pulls.items() if pull["branch"] == branch)
        self.server.merge(number, at=f"{DAY}T10:00:00Z")


@pytest.fixture
def people(server):
    return People(server)


class TestGitHubHoldsTheContract(CodeHostContract):
    pass


# --- drafts ---------------------------------------------------------------------------------------------------------


def sent(server, method="POST"):
    return [request.path.rpartition("/agent")[2] for request in server.requests if request.method == method]


def test_a_draft_is_a_draft_pull_request_and_its_reference_the_address(host, server):
    assert host.open_draft(draft()) == "https://github.example/team/agent/pull/1"
    assert server.pulls[1]["draft"]
    assert (server.pulls[1]["title"], server.pulls[1]["branch"]) == ("Read each file once", BRANCH)


def test_nothing_is_merged_moved_or_removed(host, server, people):
    host.open_draft(draft())
    host.open_draft(draft())
    host.pull_requests_in_flight()
    assert {request.method for request in server.requests} == {"GET", "POST"}
    assert set(sent(server)) == {"/git/blobs", "/git/trees", "/git/commits", "/git/refs", "/pulls"}


def test_a_pull_request_that_a_person_closed_is_not_opened_again(host, server):
    first = host.open_draft(draft())
    server.close(1, at=f"{DAY}T12:00:00Z")
    assert host.open_draft(draft()) == first
    assert len(server.pulls) == 1


def test_the_default_branch_is_refused_even_below_our_prefix(host, server):
    server.commit("signals/main", FILES, at=f"{DAY}T08:00:00Z")
    server.default_branch = "signals/main"
    with pytest.raises(CodeHostError, match="name the draft"):
        host.open_draft(draft("signals/main"))


def test_a_dry_run_writes_a_file_and_sends_nothing(server, waits, tmp_path):
    host = GitHubCodeHost(github(server, waits), folder=tmp_path / "drafts")
    assert host.open_draft(draft()) == f"dry run: {tmp_path / 'drafts' / 'sig-0a1b2c3d.md'}"
    written = (tmp_path / "drafts" / "sig-0a1b2c3d.md").read_text()
    assert "Read each file once" in written
    assert DIFF in written
    assert sent(server) == []
    assert "dry run" in host.check()


def test_a_link_is_neither_followed_nor_changed(host, server):
    sha = server._blob(b"/etc/passwd")
    entries = {**server.trees[server.commits[server.refs["refs/heads/main"]]["tree"]], "prompt.md": ("120000", sha)}
    server.refs["refs/heads/main"] = server._commit(server._tree(entries), [], "a link", f"{DAY}T08:00:00Z")
    with pytest.raises(CodeHostError, match="draft it again"):
        host.open_draft(draft())
    assert server.branches() == ["main"]


def test_a_repository_that_knows_no_drafts_says_so_and_opens_nothing_else(waits, tmp_path):
    with GitHubServer(drafts_allowed=False) as server:
        server.commit("main", FILES, at=f"{DAY}T08:00:00Z")
        with pytest.raises(GitHubError, match="plan allow draft"):
            GitHubCodeHost(github(server, waits), dry_run=False, folder=tmp_path).open_draft(draft())
        assert server.pulls == {}


def test_a_crash_after_any_request_leaves_one_commit_one_branch_and_one_pull_request(waits, tmp_path):
    """Killed after each request in turn, before its answer was used; the next run heals."""
    for number in range(1, 40):
        with GitHubServer() as server:
            server.commit("main", FILES, at=f"{DAY}T08:00:00Z")
            host = GitHubCodeHost(github(server, waits), dry_run=False, folder=tmp_path)
            try:
                with dying(number):
                    host.open_draft(draft())
            except Crashed:
                again = GitHubCodeHost(github(server, waits), dry_run=False, folder=tmp_path)
                assert again.open_draft(draft()) == again.open_draft(draft())
                assert server.branches() == ["main", BRANCH]
                assert len(server.pulls) == 1
                assert len(server.commits) == 2
                assert server.content(BRANCH, "prompt.md") == "Be helpful.\nRead each file once.\n"
            else:
                break
    assert number > 10


@pytest.mark.parametrize("kind", ["too_many", "limited", "error", "before", "after", "cut"])
def test_every_fault_at_every_request_leaves_one_of_everything(server, waits, tmp_path, kind):
    for request in ("GET .*agent$", "GET .*/ref/", "GET .*/trees", "POST .*/blobs", "POST .*/trees", "POST .*/commits",
                    "POST .*/refs", "POST .*/pulls", "GET .*/pulls"):  # fmt: skip
        server.fail(kind, request)
    host = GitHubCodeHost(github(server, waits), dry_run=False, folder=tmp_path)
    assert host.open_draft(draft()) == "https://github.example/team/agent/pull/1"
    assert (len(server.pulls), len(server.commits), server.branches()) == (1, 2, ["main", BRANCH])
    assert len(waits) == 9 - (kind == "cut")  # half of a 404 is a 404, too


def test_many_drafts_through_an_unreliable_line_are_each_there_once(server, waits, tmp_path):
    server.chance(7, 0.25, ["too_many", "error", "before", "after", "cut"])
    host = GitHubCodeHost(github(server, waits), dry_run=False, folder=tmp_path)
    references = {1: [], 2: []}
    for turn in references:
        for number in range(8):
            while True:
                try:
                    references[turn].append(host.open_draft(draft(f"signals/cause-{number}")))
                    break
                except HttpError:  # five faults on end: the next run goes on
                    continue
    assert references[1] == references[2]
    assert sorted(pull["branch"] for pull in server.pulls.values()) == [
        f"signals/cause-{number}" for number in range(8)
    ]


# --- what stands in texts -------------------------------------------------------------------------------------------

ATTACK = (
    "@team/everyone fixes #12 closes GH-3 <img src=x onerror=alert(1)> [click](https://evil.example) ![p](//x) `rm`"
)


def test_texts_of_a_draft_mention_link_and_close_nothing(host, server, people):
    host.open_draft(draft(title=f"{ATTACK}\nsecond line", body=f"{ATTACK}\n\n# {ATTACK}\n" + "long words " * 100))
    title, body, message = server.pulls[1]["title"], server.pulls[1]["body"], people.message(BRANCH)
    for text in (title, body, message):
        assert "@team" not in text
        assert "#12" not in text
        assert "https://evil" not in text
        assert "GH-3" not in text
    assert "\n" not in title
    assert "<img" not in body
    assert not re.search(r"(?<!\\)[\[\]`!#]", body.replace("&#64;&#8288;", ""))
    assert body.count("long words") == 100


# --- files and pull requests in flight ------------------------------------------------------------------------------


def test_a_tree_that_github_cuts_off_is_read_folder_by_folder(waits, tmp_path):
    with GitHubServer(small_trees=True) as server:
        server.commit("main", {**FILES, "a/b/c/d.py": "1\n", "a/b/e.py": "2\n"}, at=f"{DAY}T08:00:00Z")
        host = GitHubCodeHost(github(server, waits), folder=tmp_path)
        assert host.files() == ["a/b/c/d.py", "a/b/e.py", "prompt.md", "src/ü.py"]
        assert host.read("a/b/c/d.py") == "1\n"


def test_a_repository_without_a_commit_has_no_files(waits, tmp_path):
    with GitHubServer() as server:
        host = GitHubCodeHost(github(server, waits), dry_run=False, folder=tmp_path)
        assert (host.files(), host.read("prompt.md")) == ([], None)
        with pytest.raises(CodeHostError, match="no commit yet"):
            host.open_draft(draft())


def test_every_page_of_what_is_in_flight_is_read_and_nothing_is_read_twice(host, server, people, monkeypatch):
    monkeypatch.setattr("signals_assets.resources.github.PAGE", 10)
    for number in range(23):
        server.refs[f"refs/heads/b{number}"] = people.head("main")
        server.open(f"b{number}", f"Change {number}", at=f"{DAY}T09:00:00Z")
    first = host.pull_requests_in_flight()
    assert [one.id for one in first] == [str(number) for number in range(23, 0, -1)]
    before = len(server.requests)
    assert host.pull_requests_in_flight() == first
    assert len(server.requests) - before == 3
    assert server.not_modified == 3


def test_what_changed_between_two_polls_is_seen(host, server, people):
    people.change("people/one", {"prompt.md": "1\n"}, "One", None)
    assert [one.title for one in host.pull_requests_in_flight()] == ["One"]
    server.pulls[1]["title"] = "Renamed"
    assert [one.title for one in host.pull_requests_in_flight()] == ["Renamed"]


def test_a_next_page_elsewhere_is_not_followed_with_our_token(server, host):
    server._paged = lambda request, items: (items, {"Link": '<https://elsewhere.example/p?page=2>; rel="next"'})
    with pytest.raises(GitHubError, match="another address"):
        host.pull_requests_in_flight()


# --- limits and errors ----------------------------------------------------------------------------------------------


def test_a_rate_limit_is_waited_for_as_long_as_it_says(host, server, waits):
    server.fail("too_many", wait=7)
    server.fail("limited", wait=30)
    assert host.files() == ["prompt.md", "src/ü.py"]
    assert waits[0] == 7
    assert 28 <= waits[1] <= 30


def test_a_rate_limit_that_lasts_an_hour_ends_the_call_at_once(host, server, waits):
    server.fail("limited", wait=3000)
    with pytest.raises(RateLimited, match=r"asks to wait (2999|3000) s"):
        host.files()
    assert (waits, len(server.requests)) == ([], 1)


def test_a_server_that_stays_down_is_asked_five_times(host, server, waits):
    server.fail("error", times=99)
    with pytest.raises(NotAnswered, match="no answer in 5 attempts"):
        host.files()
    assert waits == [0.5, 1, 2, 4]


def test_an_answer_that_takes_too_long_counts_as_lost(server, waits, tmp_path):
    server.fail("hang", "POST .*/pulls")
    slow = GitHub("team/agent", "token", base_url=server.url, sleep=waits, timeout_seconds=0.3)
    host = GitHubCodeHost(slow, dry_run=False, folder=tmp_path)
    assert host.open_draft(draft()) == "https://github.example/team/agent/pull/1"
    assert len(server.pulls) == 1


@pytest.mark.parametrize(
    ("repository", "token", "told"),
    [("team/agent", "wrong", "GITHUB_TOKEN"), ("team/other", "token", "does not exist")],
)
def test_an_error_says_what_to_set_and_shows_no_token(server, waits, tmp_path, repository, token, told):
    client = GitHub(repository, token, base_url=server.url, sleep=waits)
    with pytest.raises(GitHubError, match=told) as refused:
        GitHubCodeHost(client, folder=tmp_path).check()
    assert token not in str(refused.value).replace("GITHUB_TOKEN", "").replace("the token", "")
    assert token not in repr(client)
    server.complaints.clear()  # a repository that is not there


@pytest.mark.parametrize("repository", ["agent", "team/agent/x", "../agent", "team/agent?x", ""])
def test_a_repository_s_name_cannot_lead_elsewhere(repository):
    with pytest.raises(ValueError, match="owner/name"):
        GitHub(repository, "token")


def test_an_address_is_http():
    with pytest.raises(ValueError, match="https://"):
        GitHub("team/agent", "token", base_url="file:///etc")
