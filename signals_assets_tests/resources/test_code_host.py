import subprocess

import pytest

from signals_assets.resources.code_host import CodeHostError, Draft, GitCodeHost

DIFF = """\
--- a/prompt.md
+++ b/prompt.md
@@ -1 +1,2 @@
 Be helpful.
+Read each file once.
"""


def git(folder, *arguments):
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "agent"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "prompt.md").write_text("Be helpful.\n")
    (folder / "src").mkdir()
    (folder / "src" / "ü.py").write_text("pass\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def draft(branch="signals/sig-0a1b2c3d", diff=DIFF):
    return Draft(branch, "Read each file once", "For SIG-0A1B2C3D.", diff)


def test_files_and_contents_are_those_of_the_default_branch(repository):
    git(repository, "switch", "-q", "-c", "elsewhere")
    (repository / "prompt.md").write_text("Changed.\n")
    git(repository, "commit", "-q", "-am", "elsewhere")
    host = GitCodeHost(repository)
    assert host.files() == ["prompt.md", "src/ü.py"]
    assert host.read("prompt.md") == "Be helpful.\n"
    assert host.read("../agent/prompt.md") is None


def test_a_draft_is_a_branch_beside_the_default_branch_and_touches_nothing_else(repository):
    before = git(repository, "rev-parse", "main")
    (repository / "prompt.md").write_text("Somebody is typing here.\n")
    assert GitCodeHost(repository).open_draft(draft()) == "branch signals/sig-0a1b2c3d"
    assert git(repository, "show", "signals/sig-0a1b2c3d:prompt.md") == "Be helpful.\nRead each file once."
    assert git(repository, "rev-parse", "main") == before
    assert git(repository, "symbolic-ref", "--short", "HEAD") == "main"
    assert (repository / "prompt.md").read_text() == "Somebody is typing here.\n"
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_the_same_branch_again_returns_the_first(repository):
    host = GitCodeHost(repository)
    host.open_draft(draft())
    first = git(repository, "rev-parse", "signals/sig-0a1b2c3d")
    assert host.open_draft(draft(diff="no diff at all")) == "branch signals/sig-0a1b2c3d"
    assert git(repository, "rev-parse", "signals/sig-0a1b2c3d") == first


@pytest.mark.parametrize("branch", ["main", "master", "signals/../main", "signals/-f", "--force", "signals/a b", ""])
def test_a_branch_of_anybody_else_is_refused(repository, branch):
    with pytest.raises(CodeHostError, match="signals/"):
        GitCodeHost(repository).open_draft(draft(branch))


@pytest.mark.parametrize(
    "diff",
    [
        "",
        "not a diff",
        DIFF.replace("Be helpful.", "Be careful."),
        DIFF.replace("a/prompt.md", "a/../../outside.md").replace("b/prompt.md", "b/../../outside.md"),
        "--- /dev/null\n+++ b/.git/hooks/post-commit\n@@ -0,0 +1 @@\n+echo\n",
    ],
)
def test_a_diff_that_does_not_apply_leaves_no_branch_and_no_worktree(repository, diff):
    with pytest.raises(CodeHostError, match="draft it again"):
        GitCodeHost(repository).open_draft(draft(diff=diff))
    assert git(repository, "branch", "--list", "signals/*") == ""
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_the_repositorys_hooks_do_not_run(repository):
    hook = repository / ".git" / "hooks" / "post-commit"
    hook.write_text("#!/bin/sh\ntouch ../ran\nexit 1\n")
    hook.chmod(0o755)
    GitCodeHost(repository).open_draft(draft())
    assert not list(repository.parent.glob("**/ran"))


def test_without_a_repository_it_says_so(tmp_path):
    host = GitCodeHost(None)
    assert "no code repository is configured" in host.check()
    assert host.files() == []
    assert host.read("x") is None
    with pytest.raises(CodeHostError, match="set code_repository"):
        host.open_draft(draft())


def test_check_names_the_default_branch(repository, tmp_path):
    assert GitCodeHost(repository).check() == "git: default branch main, 2 files"
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    assert "no commit yet" in GitCodeHost(empty).check()


def test_in_flight_is_every_branch_whose_change_the_default_branch_lacks(repository):
    host = GitCodeHost(repository)
    assert host.pull_requests_in_flight() == []
    host.open_draft(draft())
    git(repository, "switch", "-q", "-c", "people/fix-search")
    (repository / "src" / "ü.py").write_text("search = 1\n")
    git(repository, "commit", "-q", "-am", "Search finds umlauts\n\nFor ABC-12.\n\nSecond part.")
    git(repository, "switch", "-q", "main")
    by_branch = {one.branch: one for one in host.pull_requests_in_flight()}
    theirs = by_branch["people/fix-search"]
    assert (theirs.id, theirs.title, theirs.body) == (
        "branch people/fix-search",
        "Search finds umlauts",
        "For ABC-12.\n\nSecond part.",
    )
    assert (theirs.files, theirs.draft, theirs.url) == (("src/ü.py",), False, "")
    ours = by_branch["signals/sig-0a1b2c3d"]
    assert (ours.title, ours.body, ours.files, ours.draft) == (
        "Read each file once",
        "For SIG-0A1B2C3D.",
        ("prompt.md",),
        True,
    )


def test_a_branch_that_was_merged_or_picked_is_not_in_flight(repository):
    host = GitCodeHost(repository)
    host.open_draft(draft())
    host.open_draft(draft("signals/merged", DIFF.replace("Read each file once.", "Answer in the end.")))
    git(repository, "cherry-pick", "signals/sig-0a1b2c3d")
    assert [one.branch for one in host.pull_requests_in_flight()] == ["signals/merged"]
    git(repository, "merge", "-q", "-s", "ours", "-m", "merged", "signals/merged")
    assert host.pull_requests_in_flight() == []
