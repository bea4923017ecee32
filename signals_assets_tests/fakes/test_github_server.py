"""The standing-in GitHub is itself compared with the public specification."""

import pytest

from signals_assets_tests.fakes.github_server import GitHubServer
from signals_assets_tests.fakes.github_spec import BY_HAND, GitHubSpec

REPO = "/repos/{owner}/{repo}"


@pytest.fixture
def server(specs_dir):
    with GitHubServer() as server:
        server.commit("main", {"a.md": "a"}, at="2026-01-05T08:00:00Z")
        yield server


def test_every_operation_is_one_of_the_specification_or_written_by_hand(server):
    for method, _, path, _ in server._routes():
        operation = f"{method} {path}"
        assert operation in BY_HAND or method.lower() in server.spec._paths[path]


def test_an_example_that_misses_a_required_key_is_made_good(server):
    example = server.spec.example("pull-request")
    assert "requested_teams" in server.spec.response(f"POST {REPO}/pulls", example)
    server.open("main", "One", at="2026-01-05T08:00:00Z")
    assert server.spec.response(f"POST {REPO}/pulls", server._pull(1, "pull-request")) is None


@pytest.mark.parametrize(
    ("operation", "query", "wrong"),
    [
        (f"GET {REPO}/pulls", {"state": "all", "per_page": "100"}, None),
        (f"GET {REPO}/pulls", {"state": "every"}, "state cannot be every"),
        (f"GET {REPO}/pulls", {"statte": "all"}, "no parameter statte"),
        (f"GET {REPO}/git/trees/{{tree_sha}}", {"recursive": "1"}, None),
        (f"GET {REPO}/git/trees/{{tree_sha}}", {"deep": "1"}, "no parameter deep"),
    ],
)
def test_a_query_that_github_does_not_know_is_wrong(specs_dir, operation, query, wrong):
    found = GitHubSpec.beside().query(operation, query)
    assert found is None if wrong is None else wrong in found


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"title": "One", "head": "a", "base": "main", "draft": True}, None),
        ({"title": "One", "head": "a", "base": "main", "drafty": True}, "no such key: drafty"),
        ({"title": "One", "head": "a"}, "'base' is a required property"),
        ({"title": "One", "head": "a", "base": "main", "draft": "yes"}, "not of type 'boolean'"),
    ],
)
def test_a_body_that_github_would_refuse_is_wrong(specs_dir, body, wrong):
    found = GitHubSpec.beside().request(f"POST {REPO}/pulls", body)
    assert found is None if wrong is None else wrong in found


def test_an_answer_that_lacks_what_the_specification_requires_is_wrong(server):
    server.open("main", "One", at="2026-01-05T08:00:00Z")
    answer = [server._pull(1)]
    assert server.spec.response(f"GET {REPO}/pulls", answer) is None
    del answer[0]["merge_commit_sha"]
    assert "merge_commit_sha" in server.spec.response(f"GET {REPO}/pulls", answer)
