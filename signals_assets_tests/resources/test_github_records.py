"""Releases and pull requests from GitHub over HTTP; the same story from files holds the same contract."""

import json
from datetime import date

import pytest

from signals_assets.core.records import pull_request_rows
from signals_assets.resources.github import GitHub, GitHubError
from signals_assets.resources.github_records import GitHubRecords
from signals_assets.resources.records import FileRecords, RecordsByKind
from signals_assets_tests.fakes.github_server import GitHubServer
from signals_assets_tests.fakes.local_service import Reply
from signals_assets_tests.resources.records_contract import RecordsContract, day

KINDS = ("releases", "pull_requests")


def at(number, hour=12):
    return f"2026-01-{number:02}T{hour:02}:00:00Z"


@pytest.fixture
def server():
    with GitHubServer() as server:
        server.commit("main", {"src/search.py": "1\n"}, at=at(3))
        yield server


def branch(server, name, files, when):
    server.refs[f"refs/heads/{name}"] = server.refs["refs/heads/main"]
    server.commit(name, files, at=when)


def client(server):
    return GitHub("team/agent", "token", base_url=server.url, sleep=lambda seconds: None)


def from_github(server, **values):
    return GitHubRecords(client(server), **values)


def tell(server):
    """The story of the contract."""
    server.release("v1.0.0", at=at(4, 9))
    branch(server, "maria/search", {"src/search.py": "2\n"}, at(5))
    server.open("maria/search", "Search keeps its words", "For SIG-0A1B2C3D.", at=at(5))
    branch(server, "try", {"README.md": "2\n"}, at(6))
    server.open("try", "Try again", at=at(6, 13))
    server.merge(1, at=at(6))
    server.release("v1.1.0", at=at(7, 9))
    server.close(2, at=at(8))
    branch(server, "end", {"README.md": "3\n"}, at(8))
    server.open("end", "Answer in the end", at=at(8, 13))


class TestGitHubHoldsTheContract(RecordsContract):
    @pytest.fixture
    def records(self, server):
        tell(server)
        return from_github(server)


class TestFilesHoldTheContract(RecordsContract):
    @pytest.fixture
    def records(self, tmp_path):
        pulls = [
            {"number": "1", "title": "Search keeps its words", "branch": "maria/search", "body": "For SIG-0A1B2C3D.",
             "state": "closed", "created_at": at(5), "merged_at": at(6), "files": ["src/search.py"]},
            {"number": "2", "title": "Try again", "branch": "try", "state": "closed", "created_at": at(6, 13),
             "closed_at": at(8)},
            {"number": "3", "title": "Answer in the end", "branch": "end", "state": "open", "created_at": at(8, 13)},
        ]  # fmt: skip
        (tmp_path / "pull_requests.jsonl").write_text("\n".join(map(json.dumps, pulls)))
        (tmp_path / "releases.md").write_text(
            "# Changelog\n## [Unreleased]\n## [1.1.0] - 2026-01-07\n### Fixed\n- Search (#1)\n## [1.0.0] - 2026-01-04\n"
        )
        return FileRecords(tmp_path)

    def test_a_release_names_version_time_and_pull_requests(self, records):
        """A changelog knows the day, not the hour."""
        (told,) = records.records("releases", day(7))
        assert (told["version"], told["pull_request_ids"]) == ("1.1.0", ["1"])
        assert [one["version"] for one in records.records("releases", day(4))] == ["1.0.0"]


# --- releases -------------------------------------------------------------------------------------------------------


def released(records, number):
    return {one["version"]: one["pull_request_ids"] for one in records.records("releases", day(number))}


def merged(server, name, when, method="merge"):
    branch(server, name, {f"{name}.py": f"{when}\n"}, when)
    number = server.open(name, name, at=when)
    server.merge(number, at=when, method=method)
    return str(number)


def test_merged_and_squashed_pull_requests_are_in_their_release_and_a_push_brings_none(server):
    server.release("v1.0.0", at=at(4))
    expected = [merged(server, f"change-{hour}", at(5, hour), ["merge", "squash"][hour % 2]) for hour in range(6)]
    server.commit("main", {"pushed.py": "1\n"}, at=at(5, 20))
    server.release("v1.1.0", at=at(6))
    assert released(from_github(server), 6) == {"1.1.0": expected}


def test_a_release_of_more_commits_than_a_page_holds_names_them_all(server, monkeypatch):
    monkeypatch.setattr("signals_assets.resources.github.PAGE", 3)
    server.release("v1.0.0", at=at(4))
    expected = [merged(server, f"change-{hour}", at(5, hour), "squash") for hour in range(10)]
    server.release("v1.1.0", at=at(6))
    assert released(from_github(server), 6) == {"1.1.0": expected}


def test_a_release_is_compared_with_the_release_and_a_pre_release_with_what_was_before_it(server):
    server.release("v1.0.0", at=at(4))
    first = merged(server, "one", at(5))
    server.release("v1.1.0-rc.1", at=at(5, 20), prerelease=True)
    second = merged(server, "two", at(6))
    server.release("v1.1.0-rc.2", at=at(6, 20), prerelease=True)
    third = merged(server, "three", at(7))
    server.release("v1.1.0", at=at(7, 20))
    records = from_github(server)
    assert released(records, 5) == {"1.1.0-rc.1": [first]}
    assert released(records, 6) == {"1.1.0-rc.2": [second]}
    assert released(records, 7) == {"1.1.0": [first, second, third]}


def test_a_patch_of_an_older_line_does_not_hide_what_the_newer_line_brought(server):
    server.release("v1.0.0", at=at(3))
    old = server.refs["refs/heads/main"]
    first = merged(server, "one", at(4))
    server.release("v2.0.0", at=at(5))
    server.release("v1.0.1", at=at(6), commit=server._commit(server.commits[old]["tree"], [old], "patch", at(6)))
    second = merged(server, "two", at(7))
    server.release("v2.1.0", at=at(8))
    records = from_github(server)
    assert (released(records, 5), released(records, 6), released(records, 8)) == (
        {"2.0.0": [first]},
        {"1.0.1": []},
        {"2.1.0": [second]},
    )


def test_drafts_and_other_tags_are_counted_and_left_out(server):
    server.release("agent-v1.0.0", at=at(4))
    server.release("sdk-v7.0.0", at=at(4))
    server.release("agent-v1.1.0", at=None, draft=True)
    records = from_github(server, tag_prefix="agent-", agent_name="helper")
    (told,) = records.records("releases", day(4))
    assert (told["version"], told["agent_name"]) == ("1.0.0", "helper")
    assert records.skipped("releases") == {"draft": 1, "other_tag": 1}
    assert records.days("releases") == [day(4)]


def test_a_release_whose_former_tag_is_gone_names_no_pull_requests(server):
    server.release("v1.0.0", at=at(4))
    merged(server, "one", at(5))
    server.release("v1.1.0", at=at(6))
    del server.refs["refs/tags/v1.0.0"]
    assert released(from_github(server), 6) == {"1.1.0": []}


# --- pull requests --------------------------------------------------------------------------------------------------


def only(records, number):
    (record,) = records.records("pull_requests", day(number))
    return record


def test_the_state_of_review_is_each_reviewer_s_last_word_as_of_the_day(server):
    branch(server, "one", {"a.py": "1\n"}, at(5))
    server.open("one", "One", at=at(5))
    server.review(1, "maria", "COMMENTED", at=at(6))
    server.review(1, "maria", "CHANGES_REQUESTED", at=at(7))
    server.review(1, "ivo", "APPROVED", at=at(7, 13))
    server.review(1, "maria", "COMMENTED", at=at(8))
    server.review(1, "maria", "APPROVED", at=at(9))
    server.merge(1, at=at(10))
    records = from_github(server)
    told = {number: only(records, number)["review"] for number in range(5, 11)}
    assert told == {
        5: "none", 6: "commented", 7: "changes_requested", 8: "changes_requested", 9: "approved", 10: "approved",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("revert-1-one", "Reverts team/agent#1"),
        ("revert-1-one", "Because of ENG-3."),
        ("back", "Reverts #1\n\nIt made things worse."),
        ("back", "This reverts commit {sha}."),
    ],
)
def test_a_pull_request_that_takes_another_back_says_which(server, name, body):
    merged(server, "one", at(5))
    branch(server, name, {"one.py": None}, at(6))
    server.open(name, 'Revert "One"', body.format(sha=server.pulls[1]["merge_commit_sha"]), at=at(6))
    server.review(2, "maria", "APPROVED", at=at(6, 13))
    rows, _ = pull_request_rows(day(6), from_github(server).records("pull_requests", day(6)), known_on=day(6))
    assert [(row.pull_request_id, row.reverts, row.review) for row in rows] == [("2", "1", "approved")]


def test_a_pull_request_that_only_speaks_of_reverting_takes_nothing_back(server):
    branch(server, "one", {"a.py": "1\n"}, at(5))
    server.open("one", "Revert button", "The page that reverts #1 was slow.", at=at(5))
    assert only(from_github(server), 5)["reverts"] is None


def test_identifiers_of_the_tracker_s_teams_are_read(server):
    branch(server, "maria/eng-12-search", {"a.py": "1\n"}, at(5))
    server.open("maria/eng-12-search", "Search", "Part of ENG-9; see ENG-1.", at=at(5))
    assert only(from_github(server, team_keys=["ENG"]), 5)["ticket_keys"] == ["ENG-12", "ENG-9"]
    assert only(from_github(server), 5)["ticket_keys"] == []


def test_only_what_moved_since_the_day_is_asked_and_an_unchanged_list_costs_nothing(server, monkeypatch):
    monkeypatch.setattr("signals_assets.resources.github.PAGE", 5)
    for number in range(3, 23):
        branch(server, f"b{number}", {"a.py": f"{number}\n"}, at(number))
        server.open(f"b{number}", "One", at=at(number))
    records = from_github(server)
    assert only(records, 21)["title"] == "One"
    pages = [request for request in server.requests if request.path.endswith("/pulls")]
    assert [request.query.get("page", "1") for request in pages] == ["1", "1"]  # read, and read again: nothing moved
    before, saved = len(server.requests), server.not_modified
    assert only(records, 21)["title"] == "One"
    assert len(server.requests) - before == server.not_modified - saved == 1


def test_what_moves_to_the_front_while_the_list_is_read_is_not_lost(server, monkeypatch):
    monkeypatch.setattr("signals_assets.resources.github.PAGE", 2)
    for number in range(3, 13):
        branch(server, f"b{number}", {"a.py": f"{number}\n"}, at(number))
        server.open(f"b{number}", f"On day {number}", at=at(number))
    listed, moved = server._list_pulls, []

    def moving(request):
        reply = listed(request)
        if request.query.get("page") == "2" and not moved:
            moved.append(server.close(1, at=at(20)))  # from the last page to the first, which was read already
        return reply

    server._list_pulls = moving
    assert only(from_github(server), 3)["title"] == "On day 3"


def test_every_fault_of_the_line_leaves_the_records_as_they_are(server):
    tell(server)
    expected = [list(from_github(server).records(kind, day(number))) for kind in KINDS for number in range(4, 9)]
    server.chance(3, 0.3, ["too_many", "limited", "error", "before", "after", "cut"])
    records = from_github(server)
    assert [list(records.records(kind, day(number))) for kind in KINDS for number in range(4, 9)] == expected


def test_other_kinds_come_from_the_door_beside(server, tmp_path):
    (tmp_path / "feedback.jsonl").write_text(json.dumps({"session_id": "s", "rating": 1, "at": at(5)}))
    (tmp_path / "releases.jsonl").write_text(json.dumps({"version": "9", "at": at(5)}))
    branch(server, "one", {"a.py": "1\n"}, at(6))
    server.open("one", "One", at=at(6))
    records = RecordsByKind(FileRecords(tmp_path), {"pull_requests": from_github(server)})
    assert records.days("feedback") == records.days("releases") == [day(5)]
    assert [one["version"] for one in records.records("releases", day(5))] == ["9"]
    assert records.days("pull_requests") == [day(6)]
    assert only(records, 6)["title"] == "One"
    assert "pull_requests from github: team/agent (main)" in records.check()


@pytest.mark.parametrize("broken", [{"message": "moved"}, ["v1.0.0"], "v1.0.0", 1, None])
def test_an_answer_that_is_no_list_is_an_error_without_its_content(server, broken):
    server._releases = lambda request: Reply(200, broken)
    server.spec.response = lambda operation, content: None
    with pytest.raises(GitHubError, match="releases of team/agent: the answer is no list") as refused:
        list(from_github(server).records("releases", day(5)))
    assert "v1.0.0" not in str(refused.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tag_name", None),
        ("tag_name", 7),
        ("published_at", "hers@example.com"),
        ("published_at", 7),
        ("draft", "absent"),
    ],
)
def test_a_release_in_another_form_is_an_error_without_its_content(server, field, value):
    server.release("v1.0.0", at=at(4))
    listed = server._releases

    def broken(request):
        reply = listed(request)
        for one in reply.content:
            one.pop(field)
            one.update({} if value == "absent" else {field: value})
        return reply

    server._releases, server.spec.response = broken, lambda operation, content: None
    with pytest.raises(GitHubError, match="a release in another form") as refused:
        list(from_github(server).records("releases", day(4)))
    assert "hers@" not in str(refused.value)


def test_a_tag_that_is_its_prefix_alone_has_no_version_and_is_counted(server):
    server.release("agent-v", at=at(4))
    records = from_github(server, tag_prefix="agent-v")
    assert (list(records.records("releases", day(4))), records.skipped("releases")) == ([], {"no_version": 1})


def test_a_pull_request_with_an_unknown_time_is_an_error_without_its_content(server):
    branch(server, "one", {"a.py": "1\n"}, at(5))
    server.open("one", "One of hers", at=at(5))
    server.pulls[1]["updated_at"] = "yesterday"
    server.spec.response = lambda operation, content: None
    with pytest.raises(GitHubError, match="a pull request in another form") as refused:
        list(from_github(server).records("pull_requests", day(5)))
    assert "hers" not in str(refused.value)
    assert "yesterday" not in str(refused.value)


@pytest.mark.parametrize("endless", [lambda page: "2", lambda page: str(page + 1)], ids=["repeated", "ever on"])
def test_pages_that_do_not_end_are_an_error(server, monkeypatch, endless):
    monkeypatch.setattr("signals_assets.resources.github.MOST_PAGES", 20)

    def listed(request):
        page = endless(int(request.query.get("page", 1)))
        return Reply(200, [], {"Link": f'<{server.origin}{request.path}?page={page}>; rel="next"'})

    server._releases = listed
    with pytest.raises(GitHubError, match="releases of team/agent: its pages do not end"):
        list(from_github(server).records("releases", day(5)))
    assert len(server.requests) <= 20


def test_an_empty_page_in_the_middle_does_not_end_a_list(server, monkeypatch):
    monkeypatch.setattr("signals_assets.resources.github.PAGE", 2)
    for number in range(4, 10):
        server.release(f"v1.{number}.0", at=at(number))
    listed = server._releases

    def thin(request):
        reply = listed(request)
        return Reply(200, [], reply.headers) if request.query.get("page") == "2" else reply

    server._releases = thin
    assert from_github(server).days("releases") == [day(number) for number in (4, 5, 8, 9)]


def test_the_real_changelog_is_read_with_versions_days_and_pull_requests(data_dir, tmp_path):
    changelog = data_dir / "changelog_example.md"
    if not changelog.is_file():
        pytest.skip("no example of a changelog beside this checkout")
    (tmp_path / "releases.md").write_bytes(changelog.read_bytes())
    records = FileRecords(tmp_path)
    told = {one["version"]: one for day in records.days("releases") for one in records.records("releases", day)}
    headings = [line for line in changelog.read_text().splitlines() if line.startswith("## [")]
    assert len(told) == len(headings)
    assert told["0.4.4"]["pull_request_ids"] == ["236", "298", "262", "314", "306", "285", "231"]
    assert date(2026, 2, 13) in records.days("releases")
