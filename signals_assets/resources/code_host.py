"""Door: the code host: files, branches, pull requests of the agent's own repository.

Put here: `CodeHost` and the embedded implementation over a local git repository.
Not here: what a fix says (see `core/tickets.py`).
"""

import os
import re
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Draft:
    """A drafted change: branch, title, body and a unified diff."""

    branch: str
    title: str
    body: str
    diff: str


@dataclass(frozen=True, slots=True)
class PullRequestInFlight:
    """A change that is under way: opened by anybody, neither merged nor closed. Text from outside: never published."""

    id: str
    """How the host names it: GitHub's number, or `branch <name>` of a git repository."""
    title: str
    body: str
    branch: str
    files: tuple[str, ...]
    """Paths that it changes, sorted."""
    url: str
    """Its page; empty where the host has none."""
    draft: bool


class CodeHostError(RuntimeError):
    """The code host refused: names the branch or the setting and what to do; never holds content of files."""


class CodeHost(ABC):
    """Read files, open drafts; never merges, never pushes to a protected branch."""

    name: str

    @property
    @abstractmethod
    def available(self) -> bool:
        """Whether there is a repository at all; without one there are no files and drafts are refused."""

    @abstractmethod
    def files(self) -> list[str]:
        """Paths in the default branch."""

    @abstractmethod
    def read(self, path: str) -> str | None:
        """A file of the default branch, or None."""

    @abstractmethod
    def open_draft(self, draft: Draft) -> str:
        """Open the draft and return its reference; the same branch again returns the first."""

    @abstractmethod
    def pull_requests_in_flight(self) -> list[PullRequestInFlight]:
        """What is being changed by anybody and is neither merged nor closed, newest first."""

    @abstractmethod
    def check(self) -> str:
        """One harmless call for `signals doctor`."""


PREFIX: Final = "signals/"
"""Every drafted branch is below this, so that no draft can be a branch of anybody else."""

BRANCH: Final = re.compile(rf"{PREFIX}[A-Za-z0-9][A-Za-z0-9_-]{{0,80}}")
_TIMEOUT_SECONDS: Final = 60


class GitCodeHost(CodeHost):
    """A local git repository through git's command line; drafts are branches below `signals/`.

    The user's working tree, index and branches are not touched: a draft is built in a temporary worktree, and its
    branch appears in one step when the commit is complete. The repository's hooks do not run.
    """

    name = "git"

    def __init__(self, repository: Path | None) -> None:
        """Use the repository that contains `repository`; None: there is none, and drafts are refused."""
        self._repository = repository

    @property
    def available(self) -> bool:
        """See `CodeHost.available`."""
        return self._repository is not None

    def files(self) -> list[str]:
        """Paths in the default branch, sorted; none without a repository or without a commit."""
        if self._repository is None or not self._has_commits():
            return []
        return sorted(filter(None, self._git("ls-tree", "-r", "--name-only", "-z", self._default()).split("\0")))

    def read(self, path: str) -> str | None:
        """The file as text (bad bytes replaced), or None."""
        if path not in self.files():
            return None
        return self._git("show", f"{self._default()}:{path}")

    def open_draft(self, draft: Draft) -> str:
        """Commit the diff on a new branch and return `branch <name>`.

        Raises CodeHostError when no repository is configured, the branch is not below `signals/`, or the diff does
        not apply to the default branch.
        """
        if self._repository is None:
            raise CodeHostError("no code repository is configured; set code_repository to the agent's repository")
        if not BRANCH.fullmatch(draft.branch):
            raise CodeHostError(f"a drafted branch is {PREFIX} and letters, digits, - or _; name the draft like that")
        if not self._exists(draft.branch):
            self._commit(draft)
        return f"branch {draft.branch}"

    def pull_requests_in_flight(self) -> list[PullRequestInFlight]:
        """Branches that hold a commit which the default branch lacks; title and body are those of the last commit.

        A branch whose every change has reached the default branch by other commits (rebased, squashed) is done.
        """
        if self._repository is None or not self._has_commits():
            return []
        default = self._default()
        form = "--format=%(refname:short)%00%(contents:subject)%00%(contents:body)%00%00"
        told = self._git("for-each-ref", "--sort=-committerdate", f"--no-merged={default}", form, "refs/heads/")
        branches = [record.strip("\n").split("\0") for record in told.split("\0\0\n") if record.strip("\n")]
        return [
            PullRequestInFlight(
                id=f"branch {branch}",
                title=title,
                body=body.strip(),
                branch=branch,
                files=tuple(self._changed(default, branch)),
                url="",
                draft=branch.startswith(PREFIX),
            )
            for branch, title, body in branches
            if "+" in {line[:1] for line in self._git("cherry", default, branch).splitlines()}
        ]

    def check(self) -> str:
        """The default branch and the number of files, or that no repository is configured."""
        if self._repository is None:
            return "git: no code repository is configured (set code_repository); fixes are not drafted"
        if not self._has_commits():
            return "git: the code repository has no commit yet; fixes are not drafted"
        return f"git: default branch {self._default()}, {len(self.files())} files"

    def _commit(self, draft: Draft) -> None:
        with tempfile.TemporaryDirectory(prefix="signals-draft-") as folder:
            tree, patch = Path(folder, "tree"), Path(folder, "draft.diff")
            patch.write_text(draft.diff, encoding="utf-8")
            self._git("worktree", "add", "--detach", "--quiet", str(tree), self._default())
            try:
                try:
                    self._git("apply", "--check", "--index", str(patch), at=tree)
                except CodeHostError:
                    raise CodeHostError(
                        f"draft {draft.branch}: the diff does not apply to {self._default()}; draft it again"
                    ) from None
                self._git("apply", "--index", str(patch), at=tree)
                identity = (
                    "-c",
                    "user.name=Signals",
                    "-c",
                    "user.email=signals@localhost",
                    "-c",
                    "commit.gpgSign=false",
                )
                message = f"{draft.title}\n\n{draft.body}"
                self._git(*identity, "commit", "--quiet", "--no-verify", "--cleanup=whitespace", "-m", message, at=tree)
                # Creating the branch is the last step and one step: a crash before it leaves no branch at all.
                self._git(
                    "update-ref", f"refs/heads/{draft.branch}", self._git("rev-parse", "HEAD", at=tree).strip(), ""
                )
            finally:
                self._git("worktree", "remove", "--force", str(tree))

    def _changed(self, default: str, branch: str) -> list[str]:
        """Paths that differ between the branch and where it left the default branch."""
        names = self._git("diff", "--name-only", "-z", f"{default}...{branch}", "--")
        return sorted(filter(None, names.split("\0")))

    def _default(self) -> str:
        """The default branch: what the remote says, else main or master, else what is checked out."""
        remote = self._try("symbolic-ref", "--short", "refs/remotes/origin/HEAD")
        candidates = [remote.strip() if remote else "", "main", "master"]
        for name in candidates:
            if name and self._try("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"):
                return name
        return "HEAD"

    def _exists(self, branch: str) -> bool:
        return self._try("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}") is not None

    def _has_commits(self) -> bool:
        return self._try("rev-parse", "--verify", "--quiet", "HEAD^{commit}") is not None

    def _try(self, *arguments: str) -> str | None:
        try:
            return self._git(*arguments)
        except CodeHostError:
            return None

    def _git(self, *arguments: str, at: Path | None = None) -> str:
        return git(*arguments, at=at or self._repository)


def git(*arguments: str, at: Path | None) -> str:
    """Run git in a folder and return its output; CodeHostError names the command and the exit code only."""
    program = shutil.which("git")
    if program is None:
        raise CodeHostError("git is not installed; install it or leave code_repository unset")
    # A caller that is itself a git hook sets GIT_DIR and the like: they would lead to another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(  # noqa: S603  # no shell; every argument is ours or checked
        [program, "-c", "core.hooksPath=/dev/null", "-C", str(at), *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={**environment, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        command = next((word for word in arguments if word.isalpha()), "")
        raise CodeHostError(f"git {command} failed with exit code {done.returncode}; check code_repository")
    return done.stdout
