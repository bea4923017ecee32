"""Releases and pull requests of a GitHub repository, behind the door of records.

Put here: `GitHubRecords`. Not here: the client (see `resources/github.py`), files of records (see
`resources/records.py`), row models (see `tables.py`).

A day's records are as of the end of the day, computed from times that GitHub keeps (opened, reviewed, merged, closed,
published), so that a backfill writes what the day itself would have. Title, body and files have no history there: they
are as they are now.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import quote

from signals_assets.core.ticket_links import linked_tickets
from signals_assets.resources.github import GitHub, GitHubError, changed_files
from signals_assets.resources.records import Normal, RecordKind, Records

Review = Literal["none", "commented", "changes_requested", "approved"]

_EVER: Final = "0000"
_VERSION: Final = re.compile(r"(\d+(?:\.\d+)*)(.*)")
_REVERTED_NUMBER: Final = re.compile(r"^reverts\s+(?:[\w.-]+/[\w.-]+)?#(\d+)\b", re.IGNORECASE | re.MULTILINE)
_REVERTED_BRANCH: Final = re.compile(r"revert-(\d+)-")
_REVERTED_COMMIT: Final = re.compile(r"^this reverts commit ([0-9a-f]{40})\b", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Published:
    tag: str
    version: str
    at: str
    prerelease: bool

    @property
    def order(self) -> tuple[tuple[int, ...], bool, tuple[int, ...]] | None:
        """What versions are compared by, pre-releases before their release; None where the version has no number."""
        found = _VERSION.fullmatch(self.version)
        if found is None:
            return None
        numbers = [int(part) for part in found[1].split(".")]
        return (*numbers, *[0] * (4 - len(numbers))), not found[2], tuple(map(int, re.findall(r"\d+", found[2])))


@dataclass(frozen=True, slots=True)
class _Pull:
    """What is kept of a pull request; times sort as text."""

    number: int
    title: str
    body: str
    branch: str
    head: str
    opened_at: str
    updated_at: str
    merged_at: str | None
    closed_at: str | None


class GitHubRecords(Records):
    """Releases and pull requests from GitHub; there are no records of another kind."""

    def __init__(
        self,
        github: GitHub,
        *,
        agent_name: str | None = None,
        tag_prefix: str = "",
        team_keys: Sequence[str] = (),
    ) -> None:
        """Nothing is asked before the first question.

        Args:
            github: The repository.
            agent_name: Agent that the repository releases, as its sessions name it.
            tag_prefix: Only tags that begin so are the agent's; what follows is the version.
            team_keys: Keys of the tracker's teams, whose identifiers a pull request may name.
        """
        self._github = github
        self._agent_name, self._tag_prefix, self._team_keys = agent_name, tag_prefix, tuple(team_keys)
        self._pulls: dict[int, _Pull] = {}
        self._since = self._newest = "9999"
        self._files: dict[tuple[int, str], list[str]] = {}
        self._reviews: dict[tuple[int, str], list[dict[str, Any]]] = {}
        self._merges: dict[str, list[tuple[str, str]]] = {}

    def days(self, kind: RecordKind) -> list[date]:
        """See `Records.days`. For pull requests: days on which one was opened, reviewed, merged or closed."""
        if kind == "releases":
            return sorted({_day(one.at) for one in self._published()[0]})
        if kind == "pull_requests":
            return sorted({_day(moment) for pull in self._updated_since(_EVER) for moment in self._moments(pull)})
        return []

    def records(self, kind: RecordKind, day: date) -> Iterator[dict[str, Any]]:
        """See `Records.records`; keys as `FileRecords` has them, pull requests also review, reverts, ticket_keys."""
        if kind == "releases":
            yield from self._released(day)
        elif kind == "pull_requests":
            for pull in sorted(self._updated_since(f"{day}T00:00:00Z"), key=lambda pull: pull.number):
                if record := self._as_of(pull, day):
                    yield record

    def skipped(self, kind: RecordKind) -> dict[str, int]:
        """Releases that are none of ours, by reason: draft, other_tag, no_version."""
        return dict(sorted(self._published()[1].items())) if kind == "releases" else {}

    def check(self) -> str:
        """The repository and its default branch."""
        return f"github: {self._github.repository} ({self._github.get('')['default_branch']})"

    # --- releases -----------------------------------------------------------------------------------------------------

    def _published(self) -> tuple[list[_Published], Counter[str]]:
        """Releases of the agent, the oldest first, and how many were passed over and why.

        GitHub itself takes no release without a tag; one whose tag is the prefix alone has no version.
        """
        found, passed = {}, Counter[str]()
        for one in self._github.pages("/releases"):
            with _form("release"):
                tag = _text(one["tag_name"])
                version = _version(tag.removeprefix(self._tag_prefix))
                if one["draft"] or not one["published_at"]:
                    passed["draft"] += 1
                elif not tag.startswith(self._tag_prefix):
                    passed["other_tag"] += 1
                elif not version:
                    passed["no_version"] += 1
                else:
                    found[tag] = _Published(tag, version, _moment(one["published_at"]), bool(one["prerelease"]))
        return sorted(found.values(), key=lambda one: (one.at, one.tag)), passed

    def _released(self, day: date) -> Iterator[Normal]:
        published, _ = self._published()
        for one in published:
            if _day(one.at) == day:
                yield {
                    "agent_name": self._agent_name,
                    "kind": "version",
                    "version": one.version,
                    "released_at": _seconds(one.at),
                    "pull_request_ids": self._contained(one, _before(one, published)),
                }

    def _contained(self, release: _Published, before: _Published | None) -> list[str]:
        """Pull requests that came with a release: those behind each commit that its branch gained."""
        if before is None:
            return []
        between = f"/compare/{quote(before.tag, safe='')}...{quote(release.tag, safe='')}"
        listed = self._github.pages(between, of="commits", absent=True)
        with _form("commit"):
            parents = {one["sha"]: [parent["sha"] for parent in one["parents"]] for one in listed}
        heads = parents.keys() - {parent for found in parents.values() for parent in found}
        numbers: set[str] = set()
        for head in heads:
            commit = head
            while commit in parents:  # along first parents: what a merge brought with it came by the merge
                numbers.update(self._behind(commit, release.at))
                commit = next(iter(parents[commit]), "")
        return sorted(numbers, key=int)

    def _behind(self, commit: str, until: str) -> list[str]:
        """Pull requests that brought a commit into the repository until then; asked once for each commit."""
        if commit not in self._merges:
            pulls = [_pull(one) for one in self._github.pages(f"/commits/{commit}/pulls")]
            self._merges[commit] = [(pull.merged_at, str(pull.number)) for pull in pulls if pull.merged_at]
        return [number for merged_at, number in self._merges[commit] if merged_at <= until]

    # --- pull requests ------------------------------------------------------------------------------------------------

    def _updated_since(self, since: str) -> list[_Pull]:
        """Every pull request that was updated at `since` or later, as it is now.

        The list is sorted by what moves it, so it is read again from its top until nothing is new; what is known is
        kept, and an unchanged first page costs nothing.
        """
        stop = since if since < self._since else self._newest
        while True:
            fresh: dict[int, _Pull] = {}
            for one in self._github.pages("/pulls", state="all", sort="updated", direction="desc"):
                pull = _pull(one)
                if pull.updated_at < stop:
                    break
                fresh[pull.number] = pull
            changed = any(self._pulls.get(number) != pull for number, pull in fresh.items())
            self._pulls |= fresh
            if not changed:
                break
            stop = max(pull.updated_at for pull in fresh.values())
        self._since = min(self._since, since)
        self._newest = max((pull.updated_at for pull in self._pulls.values()), default=since)
        return [pull for pull in self._pulls.values() if pull.updated_at >= since]

    def _moments(self, pull: _Pull) -> list[str]:
        reviews = [review["submitted_at"] for review in self._reviewed(pull)]
        return sorted(moment for moment in (pull.opened_at, pull.merged_at or pull.closed_at, *reviews) if moment)

    def _as_of(self, pull: _Pull, day: date) -> Normal | None:
        """A pull request as of the end of a day; None where nothing happened to it on the day."""
        start, end = f"{day}T00:00:00Z", f"{day + timedelta(days=1)}T00:00:00Z"
        ended_at = pull.merged_at or pull.closed_at
        if pull.opened_at >= end or (ended_at is not None and ended_at < start):
            return None
        moved_at = max(moment for moment in self._moments(pull) if moment < end)
        if moved_at < start:
            return None
        merged_at = pull.merged_at if pull.merged_at and pull.merged_at < end else None
        closed = pull.closed_at is not None and pull.closed_at < end
        return {
            "pull_request_id": str(pull.number),
            "title": pull.title,
            "branch": pull.branch,
            "body": pull.body,
            "state": "merged" if merged_at else "closed" if closed else "open",
            "opened_at": _seconds(pull.opened_at),
            "merged_at": _seconds(merged_at) if merged_at else None,
            "files": self._changed(pull),
            "released_in": None,  # a release names its pull requests on its own day
            "moved_at": _seconds(moved_at),
            "review": _review([one for one in self._reviewed(pull) if one["submitted_at"] < end]),
            "reverts": self._reverted(pull),
            "ticket_keys": linked_tickets(pull.branch, pull.title, pull.body, self._team_keys),
        }

    def _changed(self, pull: _Pull) -> list[str]:
        """Its files; asked once for each state of its branch."""
        if (pull.number, pull.head) not in self._files:
            self._files[pull.number, pull.head] = list(changed_files(self._github, pull.number))
        return self._files[pull.number, pull.head]

    def _reviewed(self, pull: _Pull) -> list[dict[str, Any]]:
        """Its submitted reviews, in order; asked once for each update."""
        if (pull.number, pull.updated_at) not in self._reviews:
            listed = self._github.pages(f"/pulls/{pull.number}/reviews")
            with _form("review"):
                self._reviews[pull.number, pull.updated_at] = [
                    {
                        "by": (one["user"] or {}).get("login"),
                        "state": one["state"],
                        "submitted_at": _moment(one["submitted_at"]),
                    }
                    for one in listed
                    if one.get("submitted_at")  # a review that is still being written has no time
                ]
        return self._reviews[pull.number, pull.updated_at]

    def _reverted(self, pull: _Pull) -> str | None:
        """Number of the pull request that this one takes back, as GitHub's button or `git revert` words it."""
        if found := _REVERTED_NUMBER.search(pull.body) or _REVERTED_BRANCH.match(pull.branch):
            return found[1]
        if found := _REVERTED_COMMIT.search(pull.body):
            return next(iter(self._behind(found[1], pull.opened_at)), None)
        return None


@contextmanager
def _form(what: str) -> Iterator[None]:
    """Raises GitHubError, without its content, for a `what` that has not the form that GitHub promises."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError):
        raise GitHubError(
            f"GitHub's answer has a {what} in another form than REST API 2022-11-28 promises; nothing was kept. "
            "Is github.base_url the address of its REST API?"
        ) from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _moment(value: Any) -> str:
    """A time in UTC to the second, which sorts as text; raises ValueError or TypeError where it is none."""
    return datetime.fromisoformat(_text(value)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _pull(one: Mapping[str, Any]) -> _Pull:
    with _form("pull request"):
        return _Pull(
            number=int(one["number"]),
            title=_text(one["title"] or ""),
            body=_text(one["body"] or ""),
            branch=_text(one["head"]["ref"]),
            head=_text(one["head"]["sha"]),
            opened_at=_moment(one["created_at"]),
            updated_at=_moment(one["updated_at"]),
            merged_at=_moment(one["merged_at"]) if one["merged_at"] else None,
            closed_at=_moment(one["closed_at"]) if one["closed_at"] else None,
        )


def _review(reviews: Sequence[Mapping[str, Any]]) -> Review:
    """What reviewers said last, each for themselves; a comment does not take a verdict back, a dismissal does."""
    last = {
        one["by"]: one["state"] for one in reviews if one["state"] in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED")
    }
    if "CHANGES_REQUESTED" in last.values():
        return "changes_requested"
    if "APPROVED" in last.values():
        return "approved"
    return "commented" if reviews else "none"


def _before(release: _Published, published: Sequence[_Published]) -> _Published | None:
    """The release whose users get this one: the next lower version published earlier, else the one published before.

    A release is compared with the release before it, a pre-release also with a pre-release.
    """
    earlier = [one for one in published if one.at < release.at and (release.prerelease or not one.prerelease)]
    order = release.order
    lower = [one for one in earlier if order is not None and one.order is not None and one.order < order]
    if lower:
        return max(lower, key=lambda one: (one.order or ((), False, ()), one.at))
    return earlier[-1] if earlier else None


def _version(tag: str) -> str:
    """A tag's version: without separators before it and without the v that sessions do not write."""
    return re.sub(r"^v(?=\d)", "", tag.lstrip("-_/@"))


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).astimezone(UTC).timestamp()


def _day(moment: str) -> date:
    return datetime.fromisoformat(moment).astimezone(UTC).date()
