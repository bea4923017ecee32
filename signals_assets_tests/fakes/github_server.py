"""A local server that speaks GitHub's REST API for one repository: git objects, pull requests, releases.

Put here: the repository's state, what people do there, and the operations. Not here: sockets and faults
(`local_service.py`), the specification that every request and answer is compared with (`github_spec.py`).

    with GitHubServer() as server:
        server.commit("main", {"prompt.md": "Be helpful."}, at="2026-01-05T10:00:00Z")
        github = GitHub("team/agent", "token", base_url=server.url)

It has no operation that merges, moves a branch or closes: people do that (`merge`, `close`), and a client that tries
ends the test.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from signals_assets_tests.fakes.github_spec import GitHubSpec
from signals_assets_tests.fakes.local_service import LocalService, Reply, Request

OWNER, NAME = "team", "agent"
_ROOT = f"/api/v3/repos/{OWNER}/{NAME}"


class GitHubServer(LocalService):
    """See the module. `token` is the one that is let in."""

    def __init__(self, *, token: str = "token", drafts_allowed: bool = True, small_trees: bool = False) -> None:
        super().__init__()
        self.token, self.drafts_allowed, self.small_trees = token, drafts_allowed, small_trees
        self.spec = GitHubSpec.beside()
        self.default_branch = "main"
        self.blobs: dict[str, bytes] = {}
        self.trees: dict[str, dict[str, tuple[str, str]]] = {}
        self.commits: dict[str, dict[str, Any]] = {}
        self.refs: dict[str, str] = {}
        self.pulls: dict[int, dict[str, Any]] = {}
        self.reviews: dict[int, list[dict[str, Any]]] = {}
        self.releases: list[dict[str, Any]] = []
        self.not_modified = 0

    @property
    def url(self) -> str:
        return f"{self.origin}/api/v3"

    # --- what people do -------------------------------------------------------------------------------------------

    def commit(
        self, branch: str, files: Mapping[str, str | None], *, at: str, message: str = "change",
        parents: Iterable[str] | None = None,
    ) -> str:  # fmt: skip
        """Commit on a branch, which is made where it is not there; None removes a file."""
        head = self.refs.get(f"refs/heads/{branch}")
        parents = list(parents) if parents is not None else [head] if head else []
        entries = dict(self.trees[self.commits[parents[0]]["tree"]]) if parents else {}
        for path, content in files.items():
            entries.pop(path, None)
            if content is not None:
                entries[path] = ("100644", self._blob(content.encode()))
        sha = self._commit(self._tree(entries), parents, message, at)
        self.refs[f"refs/heads/{branch}"] = sha
        return sha

    def open(self, branch: str, title: str, body: str | None = None, *, at: str, draft: bool = False) -> int:
        """A pull request of a person, from a branch that is there."""
        number = len(self.pulls) + 1
        self.pulls[number] = {
            "number": number, "title": title, "body": body, "branch": branch, "head": self.refs[f"refs/heads/{branch}"],
            "base": self.refs[f"refs/heads/{self.default_branch}"], "draft": draft, "created_at": at, "updated_at": at,
            "closed_at": None, "merged_at": None, "merge_commit_sha": None,
        }  # fmt: skip
        return number

    def merge(self, number: int, *, at: str, method: str = "merge") -> str:
        """Merge into the default branch with a merge commit, or squashed."""
        pull = self.pulls[number]
        base = self.refs[f"refs/heads/{self.default_branch}"]
        changed = {path: self._content(pull["head"], path) for path in self._changed(pull)}
        parents = [base, pull["head"]] if method == "merge" else [base]
        message = f"Merge pull request #{number}" if method == "merge" else f"{pull['title']} (#{number})"
        sha = self.commit(self.default_branch, changed, at=at, message=message, parents=parents)
        pull |= {"merged_at": at, "closed_at": at, "updated_at": at, "merge_commit_sha": sha}
        return sha

    def close(self, number: int, *, at: str) -> None:
        self.pulls[number] |= {"closed_at": at, "updated_at": at}

    def review(self, number: int, login: str, state: str, *, at: str) -> None:
        self.reviews.setdefault(number, []).append({"login": login, "state": state, "submitted_at": at})
        self.pulls[number]["updated_at"] = max(self.pulls[number]["updated_at"], at)

    def release(
        self, tag: str, *, at: str | None, prerelease: bool = False, draft: bool = False, commit: str = ""
    ) -> None:
        """A release of a commit (the default branch's head); a draft has no date and no tag yet."""
        if not draft:
            self.refs[f"refs/tags/{tag}"] = commit or self.refs[f"refs/heads/{self.default_branch}"]
        self.releases.append({"tag_name": tag, "published_at": at, "prerelease": prerelease, "draft": draft})

    def branches(self) -> list[str]:
        """Names of the branches, sorted."""
        return sorted(ref.removeprefix("refs/heads/") for ref in self.refs if ref.startswith("refs/heads/"))

    def content(self, branch: str, path: str) -> str | None:
        """A file of a branch."""
        return self._content(self.refs[f"refs/heads/{branch}"], path)

    # --- git ------------------------------------------------------------------------------------------------------

    def _blob(self, content: bytes) -> str:
        sha = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        self.blobs[sha] = content
        return sha

    def _tree(self, entries: Mapping[str, tuple[str, str]]) -> str:
        sha = _sha("tree", sorted(entries.items()))
        self.trees[sha] = dict(entries)
        return sha

    def _commit(self, tree: str, parents: list[str], message: str, at: str) -> str:
        commit = {"tree": tree, "parents": parents, "message": message, "at": at}
        sha = _sha("commit", commit)
        self.commits[sha] = commit
        return sha

    def _content(self, commit: str, path: str) -> str | None:
        found = self.trees[self.commits[commit]["tree"]].get(path)
        return None if found is None else self.blobs[found[1]].decode()

    def _changed(self, pull: Mapping[str, Any]) -> list[str]:
        before, after = (self.trees[self.commits[pull[side]]["tree"]] for side in ("base", "head"))
        return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))

    def _reachable(self, commit: str) -> list[str]:
        found, waiting = [], [commit]
        while waiting:
            sha = waiting.pop()
            if sha not in found:
                found.append(sha)
                waiting += self.commits[sha]["parents"]
        return found

    # --- HTTP -----------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(401, {"message": "Bad credentials"})
        for method, pattern, operation, run in self._routes():
            found = re.fullmatch(pattern, request.path.removeprefix(_ROOT)) if method == request.method else None
            if found and request.path.startswith(_ROOT):
                return self._operate(request, f"{method} {operation}", run, found.groups())
        self.complain(f"no such operation: {request.method} {request.path}")
        return Reply(404, {"message": "Not Found"})

    def _routes(self) -> list[tuple[str, str, str, Callable[..., Reply]]]:
        repo = "/repos/{owner}/{repo}"
        return [
            ("GET", "", repo, self._repository),
            ("GET", "/git/ref/(.+)", f"{repo}/git/ref/{{ref}}", self._get_ref),
            ("POST", "/git/refs", f"{repo}/git/refs", self._post_ref),
            ("GET", "/git/trees/([^/]+)", f"{repo}/git/trees/{{tree_sha}}", self._get_tree),
            ("POST", "/git/trees", f"{repo}/git/trees", self._post_tree),
            ("GET", "/git/blobs/([^/]+)", f"{repo}/git/blobs/{{file_sha}}", self._get_blob),
            ("POST", "/git/blobs", f"{repo}/git/blobs", self._post_blob),
            ("GET", "/git/commits/([^/]+)", f"{repo}/git/commits/{{commit_sha}}", self._get_commit),
            ("POST", "/git/commits", f"{repo}/git/commits", self._post_commit),
            ("GET", "/pulls", f"{repo}/pulls", self._list_pulls),
            ("POST", "/pulls", f"{repo}/pulls", self._post_pull),
            ("GET", r"/pulls/(\d+)/files", f"{repo}/pulls/{{pull_number}}/files", self._files),
            ("GET", r"/pulls/(\d+)/reviews", f"{repo}/pulls/{{pull_number}}/reviews", self._reviews),
            ("GET", "/releases", f"{repo}/releases", self._releases),
            ("GET", r"/compare/(.+)\.\.\.(.+)", f"{repo}/compare/{{basehead}}", self._compare),
            ("GET", "/commits/([^/]+)/pulls", f"{repo}/commits/{{commit_sha}}/pulls", self._pulls_of),
        ]

    def _operate(self, request: Request, operation: str, run: Callable[..., Reply], args: Iterable[str]) -> Reply:
        wrong = self.spec.query(operation, request.query)
        if wrong is None and request.method == "POST":
            wrong = self.spec.request(operation, request.json())
        if wrong is not None:
            self.complain(wrong)
            return Reply(422, {"message": wrong})
        reply = run(request, *args)
        if reply.status >= 300:
            return reply
        if wrong := self.spec.response(operation, reply.content):
            self.complain(wrong)
        etag = f'W/"{hashlib.sha256(reply.bytes()).hexdigest()}"'
        if request.method == "GET" and request.headers.get("if-none-match") == etag:
            self.not_modified += 1
            return Reply(304, None, {"ETag": etag})
        return Reply(reply.status, reply.content, {**reply.headers, "ETag": etag})

    def _paged(self, request: Request, items: list[Any]) -> tuple[list[Any], dict[str, str]]:
        page, size = int(request.query.get("page", 1)), int(request.query.get("per_page", 30))
        if size > 100:
            self.complain("per_page over 100 is cut to 100")
        rest = items[page * size :]
        query = urlencode({**request.query, "page": page + 1})
        link = f'<{self.origin}{request.path}?{query}>; rel="next", <{self.origin}{request.path}>; rel="last"'
        return items[(page - 1) * size : page * size], {"Link": link} if rest else {}

    # --- operations: git --------------------------------------------------------------------------------------------

    def _repository(self, request: Request) -> Reply:
        return Reply(200, {"id": 1, "full_name": f"{OWNER}/{NAME}", "default_branch": self.default_branch})

    def _ref(self, ref: str) -> dict[str, Any]:
        return {
            "ref": ref, "node_id": "R", "url": f"{self.url}/{ref}",
            "object": {"type": "commit", "sha": self.refs[ref], "url": f"{self.url}/commit"},
        }  # fmt: skip

    def _get_ref(self, request: Request, name: str) -> Reply:
        if not self.commits:
            return Reply(409, {"message": "Git Repository is empty."})
        return Reply(200, self._ref(f"refs/{name}")) if f"refs/{name}" in self.refs else _not_found()

    def _post_ref(self, request: Request) -> Reply:
        asked = request.json()
        if asked["ref"] in self.refs or asked["sha"] not in self.commits:
            return Reply(422, {"message": "Reference already exists"})
        self.refs[asked["ref"]] = asked["sha"]
        return Reply(201, self._ref(asked["ref"]))

    def _get_tree(self, request: Request, sha: str) -> Reply:
        prefix = ""
        if sha.startswith("f01de4"):  # a folder of a tree that was cut off
            sha, prefix = self._folders[sha]
        entries = self.trees.get(self.commits[sha]["tree"] if sha in self.commits else sha)
        if entries is None:
            return _not_found()
        whole = "recursive" in request.query and not self.small_trees
        listed = [
            {"path": path, "mode": mode, "type": "blob", "sha": blob} for path, (mode, blob) in sorted(entries.items())
        ]
        if not whole:
            listed = self._folder(sha, prefix, entries)
        cut = "recursive" in request.query and self.small_trees
        return Reply(200, {"sha": self._tree(entries), "truncated": cut, "tree": listed[:1] if cut else listed})

    def _folder(self, sha: str, prefix: str, entries: Mapping[str, tuple[str, str]]) -> list[dict[str, Any]]:
        listed: dict[str, dict[str, Any]] = {}
        for path, (mode, blob) in sorted(entries.items()):
            if path.startswith(prefix):
                name, slash, _ = path.removeprefix(prefix).partition("/")
                folder = f"f01de4{_sha('folder', [sha, prefix, name])[6:]}"
                if slash:
                    self._folders[folder] = (sha, f"{prefix}{name}/")
                kind = ("040000", "tree", folder) if slash else (mode, "blob", blob)
                listed[name] = {"path": name, "mode": kind[0], "type": kind[1], "sha": kind[2]}
        return list(listed.values())

    _folders: dict[str, tuple[str, str]] = {}  # noqa: RUF012 - names of folders are hashes: the same everywhere

    def _post_tree(self, request: Request) -> Reply:
        asked = request.json()
        entries = dict(self.trees[asked["base_tree"]])
        for entry in asked["tree"]:
            if entry["sha"] is None:
                if entries.pop(entry["path"], None) is None:
                    return Reply(422, {"message": "GitRPC::BadObjectState"})
            elif entry["sha"] in self.blobs:
                entries[entry["path"]] = (entry["mode"], entry["sha"])
            else:
                return Reply(422, {"message": f"tree.sha {entry['sha']} is not a valid blob"})
        listed = [{"path": path, "mode": mode, "type": "blob", "sha": sha} for path, (mode, sha) in entries.items()]
        return Reply(201, {"sha": self._tree(entries), "truncated": False, "tree": listed})

    def _get_blob(self, request: Request, sha: str) -> Reply:
        content = self.blobs[sha]
        return Reply(200, {
            "content": base64.encodebytes(content).decode(), "encoding": "base64", "url": self.url, "sha": sha,
            "size": len(content), "node_id": "B",
        })  # fmt: skip

    def _post_blob(self, request: Request) -> Reply:
        asked = request.json()
        content = base64.b64decode(asked["content"]) if asked.get("encoding") == "base64" else asked["content"].encode()
        return Reply(201, {"url": self.url, "sha": self._blob(content)})

    def _commit_object(self, sha: str) -> dict[str, Any]:
        commit = self.commits[sha]
        person = {"name": "Signals", "email": "signals@localhost", "date": commit["at"]}
        parents = [{"sha": parent, "url": self.url, "html_url": self.url} for parent in commit["parents"]]
        return {
            "sha": sha, "node_id": "C", "url": self.url, "author": person, "committer": person,
            "message": commit["message"], "tree": {"sha": commit["tree"], "url": self.url}, "parents": parents,
            "html_url": self.url, "verification": {"verified": False, "reason": "unsigned", "signature": None,
                                                   "payload": None, "verified_at": None},
        }  # fmt: skip

    def _get_commit(self, request: Request, sha: str) -> Reply:
        return Reply(200, self._commit_object(sha)) if sha in self.commits else _not_found()

    def _post_commit(self, request: Request) -> Reply:
        asked = request.json()
        if asked["tree"] not in self.trees:
            return Reply(422, {"message": "Tree SHA does not exist"})
        at = asked.get("author", {}).get("date") or "2026-01-01T00:00:00Z"
        return Reply(201, self._commit_object(self._commit(asked["tree"], asked["parents"], asked["message"], at)))

    # --- operations: pull requests and releases -----------------------------------------------------------------------

    def _pull(self, number: int, example: str = "pull-request-simple-items") -> dict[str, Any]:
        pull, made = self.pulls[number], self.spec.example(example)
        side = {"label": "x", "user": made.get("user"), "repo": (made.get("base") or {}).get("repo")}
        repo = {**(side["repo"] or {}), "full_name": f"{OWNER}/{NAME}"}
        return {
            **made, "requested_teams": [], "number": number, "title": pull["title"], "body": pull["body"],
            "state": "closed" if pull["closed_at"] else "open", "draft": pull["draft"],
            "html_url": f"https://github.example/{OWNER}/{NAME}/pull/{number}",
            **{name: pull[name] for name in ("created_at", "updated_at", "closed_at", "merged_at", "merge_commit_sha")},
            "head": {**side, "repo": repo, "ref": pull["branch"], "sha": pull["head"]},
            "base": {**side, "repo": repo, "ref": self.default_branch, "sha": pull["base"]},
        }  # fmt: skip

    def _list_pulls(self, request: Request) -> Reply:
        query = request.query
        state, by = query.get("state", "open"), {"updated": "updated_at"}.get(query.get("sort", ""), "created_at")
        numbers = [
            number
            for number, pull in self.pulls.items()
            if state == "all" or (state == "closed") == bool(pull["closed_at"])
        ]
        if ":" in query.get("head", ""):  # anything else is passed over, as the service does
            numbers = [number for number in numbers if f"{OWNER}:{self.pulls[number]['branch']}" == query["head"]]
        numbers.sort(
            key=lambda number: (self.pulls[number][by], number), reverse=query.get("direction", "desc") == "desc"
        )
        found, headers = self._paged(request, numbers)
        return Reply(200, [self._pull(number) for number in found], headers)

    def _post_pull(self, request: Request) -> Reply:
        asked = request.json()
        if asked.get("draft") and not self.drafts_allowed:
            return Reply(422, {"message": "Draft pull requests are not supported in this repository."})
        taken = any(pull["branch"] == asked["head"] and not pull["closed_at"] for pull in self.pulls.values())
        if taken or f"refs/heads/{asked['head']}" not in self.refs or len(asked["title"]) > 256:
            return Reply(422, {"message": "Validation Failed"})
        number = self.open(asked["head"], asked["title"], asked.get("body"), at="2026-02-01T00:00:00Z",
                           draft=asked.get("draft", False))  # fmt: skip
        return Reply(201, self._pull(number, "pull-request"))

    def _files(self, request: Request, number: str) -> Reply:
        example = self.spec.example("diff-entry-items")
        changed = [
            {**example, "filename": path, "status": "modified"} for path in self._changed(self.pulls[int(number)])
        ]
        found, headers = self._paged(request, changed)
        return Reply(200, found, headers)

    def _reviews(self, request: Request, number: str) -> Reply:
        example = self.spec.example("pull-request-review-items")
        listed = [
            {
                **example, "id": place, "user": {**(example.get("user") or {}), "login": review["login"]},
                "state": review["state"], "submitted_at": review["submitted_at"],
            }
            for place, review in enumerate(self.reviews.get(int(number), []))
        ]  # fmt: skip
        found, headers = self._paged(request, listed)
        return Reply(200, found, headers)

    def _releases(self, request: Request) -> Reply:
        example = self.spec.example("release-items")
        listed = [
            {**example, "id": place, "name": one["tag_name"], **one}
            for place, one in reversed(list(enumerate(self.releases, 1)))
        ]
        found, headers = self._paged(request, listed)
        return Reply(200, found, headers)

    def _compare(self, request: Request, base: str, head: str) -> Reply:
        if f"refs/tags/{base}" not in self.refs or f"refs/tags/{head}" not in self.refs:
            return _not_found()
        before = self._reachable(self.refs[f"refs/tags/{base}"])
        new = [sha for sha in self._reachable(self.refs[f"refs/tags/{head}"]) if sha not in before]
        new.sort(key=lambda sha: self.commits[sha]["at"])
        example = self.spec.example("commit-comparison")
        commit = (example.get("commits") or [{}])[0]
        listed = [
            {**commit, "sha": sha, "parents": [{"sha": one, "url": self.url} for one in self.commits[sha]["parents"]]}
            for sha in new
        ]
        found, headers = self._paged(request, listed)
        return Reply(200, {**example, "total_commits": len(new), "ahead_by": len(new), "commits": found}, headers)

    def _pulls_of(self, request: Request, sha: str) -> Reply:
        numbers = [number for number, pull in self.pulls.items() if sha in (pull["merge_commit_sha"], pull["head"])]
        found, headers = self._paged(request, numbers)
        return Reply(200, [self._pull(number) for number in found], headers)


def _not_found() -> Reply:
    return Reply(404, {"message": "Not Found"})


def _sha(kind: str, content: Any) -> str:
    return hashlib.sha1(f"{kind}{json.dumps(content, sort_keys=True)}".encode()).hexdigest()
