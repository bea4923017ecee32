"""GitHub: its REST API, and the code host behind it.

Put here: the client (paging, ETags, errors), files and drafts of a repository.
Not here: releases and pull requests as records (see `resources/github_records.py`), repeats and rate limits (see
`resources/http.py`), what a fix says (see `core/tickets.py`).

Facts (integrations notes; REST API version 2022-11-28): 5,000 requests an hour; an answer 304 to an ETag costs nothing;
a list goes on where the `Link` header says so; a branch, a commit or a pull request that exists already is refused
with 422. GitHub Enterprise answers at https://HOST/api/v3.
"""

import base64
import json
import re
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from signals_assets.core.barrier.publication import markdown
from signals_assets.resources.code_host import (
    BRANCH,
    PREFIX,
    CodeHost,
    CodeHostError,
    Draft,
    PullRequestInFlight,
    git,
)
from signals_assets.resources.http import Answer, Http, address

PAGE: Final = 100
MOST_PAGES: Final = 10_000
"""Of one list; a list that goes on is taken for a fault."""
_KEPT_ANSWERS: Final = 500
_NEXT: Final = re.compile(r'<([^>]+)>\s*;\s*rel="next"')
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
_FILE_MODES: Final = ("100644", "100755")
_TITLE: Final = 200
_PIECE: Final = 200
"""Characters of a body that are escaped at once; the escaping function takes short texts."""


class GitHubError(CodeHostError):
    """GitHub declined, or the settings are wrong: what was being done and what to set; never an answer's content."""


class GitHub:
    """One repository's REST API. Nothing is sent before the first question."""

    def __init__(
        self,
        repository: str,
        token: str,
        *,
        base_url: str = "https://api.github.com",
        timeout_seconds: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Speak of `repository` (owner/name); raises ValueError for a malformed name or address."""
        if not _REPOSITORY.fullmatch(repository):
            raise ValueError("github.repository must be owner/name, e.g. SIGNALS_GITHUB__REPOSITORY=team/agent")
        self.repository = repository
        self.owner = repository.partition("/")[0]
        self._base = address(base_url, "github.base_url")
        self._http = Http(
            "GitHub",
            {
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {token}",
                "User-Agent": "signals-assets",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            timeout_seconds,
            sleep,
        )
        self._kept: OrderedDict[str, tuple[str, Answer]] = OrderedDict()

    def __repr__(self) -> str:
        return f"GitHub({self.repository})"

    def get(self, path: str, *, absent: bool = False, **query: str | int) -> Any:
        """The answer to a question about the repository; with `absent`, None where it does not exist.

        path: below /repos/owner/name.  Raises GitHubError, HttpError.
        """
        answer = self._asked(self._url(path, query), absent=absent)
        return None if answer is None else answer.json()

    def pages(
        self, path: str, *, of: str | None = None, absent: bool = False, **query: str | int
    ) -> Iterator[dict[str, Any]]:
        """Every item of a list, page after page; `of` names the list where it stands inside an object.

        With `absent`, nothing where the list does not exist. Raises GitHubError for what is no list and for pages that
        do not end.
        """
        url: str | None = self._url(path, {"per_page": PAGE, **query})
        seen: set[str] = set()
        while url is not None:
            seen.add(url)
            answer = self._asked(url, absent=absent)
            if answer is None:
                return
            content = answer.json()
            items = content if of is None else content.get(of) if isinstance(content, dict) else None
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise self._wrong(path, "the answer is no list; is github.base_url the address of its REST API?")
            yield from items
            found = _NEXT.search(answer.headers.get("link", ""))
            url = found[1] if found else None
            if url is not None and not url.startswith(f"{self._base}/"):
                raise GitHubError("GitHub's next page is at another address than github.base_url; check the setting")
            if url in seen or len(seen) == MOST_PAGES:
                raise self._wrong(path, "its pages do not end; nothing was kept, run it again later")

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """Create something that GitHub creates once only; None where GitHub declines it (422): it may exist already.

        Sent again after a lost answer: what this client creates is refused, or is the same object, the second time.
        """
        content = json.dumps(body).encode()
        answer = self._http.send(
            "POST", self._url(path, {}), content, {"Content-Type": "application/json"}, repeatable=True
        )
        if answer.status == 422:
            return None
        self._judge(answer, path)
        created: dict[str, Any] = answer.json()
        return created

    def _url(self, path: str, query: Mapping[str, str | int]) -> str:
        return f"{self._base}/repos/{self.repository}{path}" + (f"?{urlencode(query)}" if query else "")

    def _asked(self, url: str, *, absent: bool) -> Answer | None:
        etag, kept = self._kept.get(url, ("", None))
        answer = self._http.send("GET", url, headers={"If-None-Match": etag} if etag else {}, repeatable=True)
        if answer.status == 304 and kept is not None:
            self._kept.move_to_end(url)
            return kept
        if absent and answer.status in (404, 409):  # 409: the repository has no commit yet
            return None
        self._judge(answer, url.partition(self.repository)[2].partition("?")[0])
        if etag := answer.headers.get("etag", ""):
            self._kept[url] = (etag, answer)
            if len(self._kept) > _KEPT_ANSWERS:
                self._kept.popitem(last=False)
        return answer

    def _judge(self, answer: Answer, path: str) -> None:
        if 200 <= answer.status < 300:
            return
        cure = {
            301: "the repository has moved; set github.repository to its new name",
            401: "access is denied; set GITHUB_TOKEN to a token that is valid",
            403: "the token may not; it needs contents and pull requests of the repository, writing for drafts",
            404: "it does not exist or the token may not see it; check github.repository and GITHUB_TOKEN",
        }.get(answer.status, f"HTTP {answer.status}; check github.repository and github.base_url")
        raise self._wrong(path, cure)

    def _wrong(self, path: str, what: str) -> GitHubError:
        """An error that says what was asked for: the first word of the path."""
        kind = path.strip("/").partition("/")[0] or "repository"
        return GitHubError(f"GitHub, {kind} of {self.repository}: {what}")


class GitHubCodeHost(CodeHost):
    """A repository at GitHub. Drafts are draft pull requests from branches below `signals/`.

    A draft's commit is made whole before its branch, and the branch before its pull request; each step is looked up
    before it is taken, so a crash or a lost answer anywhere leaves nothing twice. A branch is only ever created,
    never moved, and nothing is merged: there is no request here that could.
    """

    name = "github"

    def __init__(self, github: GitHub, *, dry_run: bool = True, folder: Path) -> None:
        """`dry_run`: drafts are written to `folder` instead of being opened."""
        self._github, self._dry_run, self._folder = github, dry_run, folder
        self._changed_files: dict[tuple[int, str], tuple[str, ...]] = {}

    @property
    def available(self) -> bool:
        """See `CodeHost.available`."""
        return True

    def files(self) -> list[str]:
        """See `CodeHost.files`; none in a repository without a commit."""
        head = self._head(self._default())
        return [] if head is None else sorted(self._tree(head))

    def read(self, path: str) -> str | None:
        """See `CodeHost.read`; bad bytes are replaced."""
        head = self._head(self._default())
        entry = None if head is None else self._tree(head).get(path)
        return None if entry is None else self._blob(entry["sha"]).decode("utf-8", "replace")

    def open_draft(self, draft: Draft) -> str:
        """Open a draft pull request and return its address, or that of the first one from this branch.

        In dry-run, write it as a file and say where. Title and body are shown as written: nothing in them formats,
        links, mentions or closes. Raises CodeHostError when the branch is not below `signals/` or is the default
        branch, the diff does not apply to the default branch, or the repository knows no drafts.
        """
        default = self._default()
        if not BRANCH.fullmatch(draft.branch) or draft.branch == default:
            raise CodeHostError(f"a drafted branch is {PREFIX} and letters, digits, - or _; name the draft like that")
        found = self._pull_request_from(draft.branch)
        if found is not None:
            return found
        if self._dry_run:
            return self._written(draft)
        if self._head(draft.branch) is None:
            self._make_branch(draft, default)
        body = {"title": _title(draft.title), "body": _plain_body(draft.body), "head": draft.branch, "base": default}
        created = self._github.post("/pulls", {**body, "draft": True, "maintainer_can_modify": True})
        address = self._pull_request_from(draft.branch) if created is None else str(created["html_url"])
        if address is None:
            raise GitHubError(
                f"GitHub declined the draft of {draft.branch}: does the repository's plan allow draft pull requests, "
                "and does the change still differ from the default branch? The branch stays; delete it to try anew"
            )
        return address

    def pull_requests_in_flight(self) -> list[PullRequestInFlight]:
        """See `CodeHost.pull_requests_in_flight`: every open pull request."""
        listed = self._github.pages("/pulls", state="open", sort="created", direction="desc")
        by_number = {one["number"]: one for one in listed}  # the list moves while it is paged
        return [
            PullRequestInFlight(
                id=str(number),
                title=one["title"],
                body=one["body"] or "",
                branch=one["head"]["ref"],
                files=self._changed(number, one["head"]["sha"]),
                url=one["html_url"],
                draft=bool(one.get("draft")),
            )
            for number, one in by_number.items()
        ]

    def check(self) -> str:
        """The repository, its default branch, and whether drafts are opened."""
        drafts = "dry run: drafts are written as files" if self._dry_run else "drafts are opened"
        return f"github: {self._github.repository}, default branch {self._default()}, {drafts}"

    def _changed(self, number: int, head: str) -> tuple[str, ...]:
        """Paths of a pull request; asked once for each state of its branch."""
        if (number, head) not in self._changed_files:
            self._changed_files[number, head] = changed_files(self._github, number)
        return self._changed_files[number, head]

    def _default(self) -> str:
        return str(self._github.get("")["default_branch"])

    def _head(self, branch: str) -> str | None:
        """The commit that a branch points to, or None."""
        found = self._github.get(f"/git/ref/heads/{quote(branch)}", absent=True)
        return None if found is None else str(found["object"]["sha"])

    def _tree(self, commit: str) -> dict[str, dict[str, Any]]:
        """Entries of a commit's files by path. A tree that GitHub cuts off is read folder by folder."""
        whole = self._github.get(f"/git/trees/{commit}", recursive=1)
        if not whole["truncated"]:
            return {entry["path"]: entry for entry in whole["tree"] if entry["type"] == "blob"}
        found: dict[str, dict[str, Any]] = {}
        waiting = [("", commit)]
        while waiting:
            folder, sha = waiting.pop()
            for entry in self._github.get(f"/git/trees/{sha}")["tree"]:
                path = f"{folder}{entry['path']}"
                if entry["type"] == "tree":
                    waiting.append((f"{path}/", entry["sha"]))
                elif entry["type"] == "blob":
                    found[path] = entry
        return found

    def _blob(self, sha: str) -> bytes:
        return base64.b64decode(self._github.get(f"/git/blobs/{sha}")["content"])

    def _pull_request_from(self, branch: str) -> str | None:
        """Address of the first pull request from a branch of this repository, open or not."""
        listed = self._github.pages("/pulls", state="all", head=f"{self._github.owner}:{branch}", direction="asc")
        # GitHub passes over a filter that it does not understand, and a fork may have a branch of the same name.
        ours = [
            one
            for one in listed
            if one["head"]["ref"] == branch and (one["head"]["repo"] or {}).get("full_name") == self._github.repository
        ]
        return str(min(ours, key=lambda one: one["number"])["html_url"]) if ours else None

    def _make_branch(self, draft: Draft, default: str) -> None:
        """Commit the diff on the default branch's head, then let a new branch point to it.

        The commit carries its parent's time: made again after a crash it is the same object.
        """
        base = self._head(default)
        if base is None:
            raise CodeHostError("the code repository has no commit yet; push one before a fix is drafted")
        parent = self._github.get(f"/git/commits/{base}")
        changes = self._applied(draft, default, self._tree(base))
        tree = self._created("/git/trees", {"base_tree": parent["tree"]["sha"], "tree": changes})
        author = {"name": "Signals", "email": "signals@localhost", "date": parent["committer"]["date"]}
        message = _unlinked(f"{_title(draft.title)}\n\n{draft.body}")
        commit = {"message": message, "tree": tree["sha"], "parents": [base], "author": author, "committer": author}
        sha = self._created("/git/commits", commit)["sha"]
        created = self._github.post("/git/refs", {"ref": f"refs/heads/{draft.branch}", "sha": sha})
        if created is None and self._head(draft.branch) is None:
            raise GitHubError(
                f"GitHub declined the branch {draft.branch}; do rules of the repository forbid {PREFIX}*?"
            )

    def _created(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        created = self._github.post(path, body)
        if created is None:
            raise GitHubError(f"GitHub declined to make a draft's {path.rpartition('/')[2]}; draft it again")
        return created

    def _applied(self, draft: Draft, default: str, tree: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Entries of the new tree: git itself applies the diff to the files that it names."""
        with tempfile.TemporaryDirectory(prefix="signals-draft-") as name:
            folder, patch = Path(name, "tree"), Path(name, "draft.diff")
            folder.mkdir()
            patch.write_text(draft.diff, encoding="utf-8")
            try:
                git("init", "--quiet", at=folder)
                told = git("apply", "--numstat", "-z", str(patch), at=folder).split("\0")
                paths = {part.rpartition("\t")[2] for part in told} - {""}
                for path in paths & tree.keys():
                    if tree[path]["mode"] not in _FILE_MODES:  # a link would be followed, here or by a reader
                        raise CodeHostError(f"draft {draft.branch}: it changes a link; draft it again")
                    self._lay(folder / path, tree[path])
                git("add", "--all", "--force", at=folder)
                git("apply", "--index", str(patch), at=folder)
                staged = git("ls-files", "--stage", "-z", at=folder).split("\0")
            except CodeHostError:
                raise CodeHostError(
                    f"draft {draft.branch}: the diff does not apply to {default}; draft it again"
                ) from None
            modes = {path: head.split()[0] for head, _, path in (line.partition("\t") for line in staged) if path}
            return [self._entry(folder, path, modes.get(path)) for path in sorted(paths)]

    def _lay(self, path: Path, entry: Mapping[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._blob(entry["sha"]))
        path.chmod(0o755 if entry["mode"] == "100755" else 0o644)

    def _entry(self, folder: Path, path: str, mode: str | None) -> dict[str, Any]:
        if mode is None:
            return {"path": path, "mode": "100644", "type": "blob", "sha": None}
        if mode not in _FILE_MODES:
            raise CodeHostError("a draft adds a link; draft it again")
        content = base64.b64encode((folder / path).read_bytes()).decode()
        blob = self._created("/git/blobs", {"content": content, "encoding": "base64"})
        return {"path": path, "mode": mode, "type": "blob", "sha": blob["sha"]}

    def _written(self, draft: Draft) -> str:
        """The draft as a file: what would be opened."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{draft.branch.removeprefix(PREFIX)}.md"
        body = f"# {_title(draft.title)}\n\n{_plain_body(draft.body)}\n\n```diff\n{draft.diff}```\n"
        path.write_text(body, encoding="utf-8")
        return f"dry run: {path}"


def changed_files(github: GitHub, number: int) -> tuple[str, ...]:
    """Paths that a pull request changes, old names of renamed files included, sorted (GitHub lists at most 3,000)."""
    listed = list(github.pages(f"/pulls/{number}/files"))
    names = {one["filename"] for one in listed} | {one.get("previous_filename") for one in listed}
    return tuple(sorted(name for name in names if name))


# --- text that GitHub shows as it is written ------------------------------------------------------------------------


def _title(text: str) -> str:
    return _unlinked(" ".join(text.split())[:_TITLE])


def _unlinked(text: str) -> str:
    """No mention, link or reference to an issue can form: a word joiner stands behind each @, # and //, and in GH-1.

    A backslash before # is not enough in Markdown: GitHub looks for references in the text that it has rendered.
    """
    return re.sub(r"@|(?<!&)#|//|\bGH(?=-\d)", lambda found: f"{found[0]}\u2060", text, flags=re.IGNORECASE)


def _plain_body(text: str) -> str:
    """A pull request's description that shows the text as it is written, line by line."""
    return "\n".join(_unlinked(" ".join(map(markdown, _pieces(line)))) for line in text.splitlines())


def _pieces(line: str) -> Iterator[str]:
    """The line in pieces that end between words where possible."""
    line = line.strip()
    while len(line) > _PIECE:
        cut = line.rfind(" ", 1, _PIECE)
        cut = cut if cut > 0 else _PIECE
        yield line[:cut]
        line = line[cut:].strip()
    yield line
