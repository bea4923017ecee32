import subprocess

import pytest

from signals_assets.resources.code_host import CodeHostError, GitCodeHost
from signals_assets_tests.resources.code_host_contract import BRANCH, DIFF, FILES, CodeHostContract, draft


def git(folder, *arguments):
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "agent"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for path, content in FILES.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(content)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


@pytest.fixture
def host(repository):
    return GitCodeHost(repository)


class People:
    """What people do in a repository."""

    def __init__(self, folder):
        self.folder = folder

    def branches(self):
        return git(self.folder, "branch", "--format=%(refname:short)").splitlines()

    def head(self, branch):
        return git(self.folder, "rev-parse", branch)

    def message(self, branch):
        return git(self.folder, "log", "-1", "--format=%B", branch)

    def content(self, branch, path):
        if path not in git(self.folder, "-c", "core.quotePath=no", "ls-tree", "-r", "--name-only", branch).splitlines():
            return None
        return git(self.folder, "show", f"{branch}:{path}") + "\n"

    def change(self, branch, files, title, body):
        git(self.folder, "switch", "-q", "-c", branch, "main")
        for path, content in files.items():
            (self.folder / path).write_text(content)
        git(self.folder, "add", ".")
        git(self.folder, "commit", "-q", "-m", f"{title}\n\n{body}")
        git(self.folder, "switch", "-q", "main")

    def merge(self, branch):
        git(self.folder, "merge", "-q", "--no-ff", "-m", "merged", branch)


@pytest.fixture
def people(repository):
    return People(repository)


class TestGitCodeHostHoldsTheContract(CodeHostContract):
    pass


def test_files_are_the_default_branch_s_whatever_is_checked_out(repository):
    git(repository, "switch", "-q", "-c", "elsewhere")
    (repository / "prompt.md").write_text("Changed.\n")
    git(repository, "commit", "-q", "-am", "elsewhere")
    assert GitCodeHost(repository).read("prompt.md") == "Be helpful.\n"


def test_a_draft_touches_neither_the_working_tree_nor_what_is_checked_out(repository):
    (repository / "prompt.md").write_text("Somebody is typing here.\n")
    assert GitCodeHost(repository).open_draft(draft()) == f"branch {BRANCH}"
    assert git(repository, "symbolic-ref", "--short", "HEAD") == "main"
    assert (repository / "prompt.md").read_text() == "Somebody is typing here.\n"
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_a_diff_that_does_not_apply_leaves_no_worktree(repository):
    with pytest.raises(CodeHostError, match="draft it again"):
        GitCodeHost(repository).open_draft(draft(diff="not a diff"))
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


def test_a_branch_that_was_merged_or_picked_is_not_in_flight(repository):
    host = GitCodeHost(repository)
    host.open_draft(draft())
    host.open_draft(draft("signals/merged", DIFF.replace("Read each file once.", "Answer in the end.")))
    git(repository, "cherry-pick", "signals/sig-0a1b2c3d")
    assert [one.branch for one in host.pull_requests_in_flight()] == ["signals/merged"]
    git(repository, "merge", "-q", "-s", "ours", "-m", "merged", "signals/merged")
    assert host.pull_requests_in_flight() == []
