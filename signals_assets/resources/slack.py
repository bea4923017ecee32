"""Slack: its Web API, and the notifier behind it.

Put here: `Slack`, which calls a method, and `SlackNotifier`. Not here: what the message says (see
`core/report_message.py`), repeats and rate limits (see `resources/http.py`).

Plain HTTP and not `slack_sdk`: seven methods are used, and the package's client repeats a request by itself after a
connection error, which posts a message twice where only the answer was lost.

A message has no idempotency key at Slack. So the ledger says beforehand that one is about to be posted, and afterwards
which it is (its `ts`); who finds the first without the second looks through the channel for the message by its
metadata before posting. A day's message, and each of its thread, is edited when the day is told again. Pictures are
uploaded unshared and shown by a message of the thread, so that an upload that is lost half-way shows nowhere.
"""

import hashlib
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from signals_assets.core.barrier.publication import one_line
from signals_assets.core.report_message import Message, messages, plain
from signals_assets.resources.http import Http, NotAnswered, address
from signals_assets.resources.ledger import Ledger
from signals_assets.resources.notifier import FileNotifier, Notifier, NotifierError, replace_file

INTENT: Final = "slack_intent"
"""Ledger: a message is about to be posted. Key: place and attempt."""
GIVEN_UP: Final = "slack_given_up"
"""Ledger: the attempt ended without a message that is known; same key."""
POSTED: Final = "slack_posted"
"""Ledger: the message's `ts`. Key: place."""
UPLOADED: Final = "slack_file"
"""Ledger: id of a picture's file. Key: hash of its content."""
EVENT: Final = "signals_daily_report"

LEASE: Final = 180.0
"""Seconds for which an attempt that neither ended nor gave up is left alone: longer than one post can last."""
_GLANCE: Final = 5.0
_CHANNEL: Final = re.compile(r"[CGD][A-Z0-9]{2,20}")
_LOST: Final = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})
_ACCESS: Final = frozenset({
    "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope",
    "not_allowed_token_type", "no_permission",
})  # fmt: skip
_PLACE: Final = frozenset({"channel_not_found", "not_in_channel", "is_archived"})
_TRIES: Final = 4
_SKEW: Final = 3600.0


class SlackRefused(NotifierError):  # noqa: N818 - an answer: the request was understood and declined
    """Slack declined. `code` is Slack's name of the reason."""

    def __init__(self, method: str, code: str) -> None:
        """Say what to do about it."""
        self.code = code if re.fullmatch(r"[a-z_]{1,40}", code) else "unknown"
        cure = "signals doctor checks token and channel"
        if self.code in _ACCESS:
            cure = "set SLACK_BOT_TOKEN to a bot's token with chat:write, files:write and channels:history"
        elif self.code in _PLACE:
            cure = "set slack.channel to the channel's id (C...) and invite the bot to it"
        super().__init__(f"Slack, {method}: {self.code}; {cure}")


class Slack:
    """Calls methods of the Web API with a bot's token."""

    def __init__(
        self,
        token: str,
        *,
        base_url: str = "https://slack.com/api",
        timeout_seconds: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is sent yet. Raises ValueError for a malformed address."""
        self._base = address(base_url, "slack.base_url")
        self._token, self.sleep = token, sleep
        self._http = Http("Slack", {"User-Agent": "signals-assets"}, timeout_seconds, sleep)

    def __repr__(self) -> str:
        return "Slack()"

    def call(self, method: str, values: Mapping[str, Any] | None = None, *, repeatable: bool) -> dict[str, Any]:
        """The answer of a method; lists and objects of `values` are sent as JSON.

        Raises SlackRefused, HttpError; where it is not `repeatable`, NotAnswered as soon as an answer is unclear.
        """
        form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in (values or {}).items()}
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        }
        for attempt in range(1, _TRIES + 1):
            answer = self._http.send(
                "POST", f"{self._base}/{method}", urlencode(form).encode(), headers, repeatable=repeatable
            )
            content = answer.json() if answer.status == 200 else {"error": f"http_{answer.status}"}
            if content.get("ok") is True:
                return dict(content)
            code = str(content.get("error", ""))
            if code not in _LOST:
                raise SlackRefused(method, code)
            if not repeatable:
                break
            self.sleep(2.0 ** (attempt - 1))
        raise NotAnswered(f"Slack, {method}: no clear answer; nothing is lost, the next run looks first")

    def pages(self, method: str, items: str, **values: Any) -> Iterator[dict[str, Any]]:
        """Every item of a list, page after page."""
        cursor = ""
        while True:
            given = {**values, "limit": 200, **({"cursor": cursor} if cursor else {})}
            content = self.call(method, given, repeatable=True)
            yield from content[items]
            cursor = (content.get("response_metadata") or {}).get("next_cursor", "")
            if not cursor:
                return

    def upload(self, name: str, content: bytes) -> str:
        """Upload a file that nobody sees until a message shows it; returns its id."""
        for _ in range(_TRIES):
            place = self.call("files.getUploadURLExternal", {"filename": name, "length": len(content)}, repeatable=True)
            url = str(place["upload_url"])
            if urlsplit(url).scheme != "https" and not url.startswith(self._origin()):
                raise NotifierError("Slack names a place for uploads that is not https; check slack.base_url")
            try:
                kind = {"Content-Type": "application/octet-stream"}
                sent = self._http.send("POST", url, content, kind, repeatable=False, json_answer=False)
                if sent.status != 200:
                    raise SlackRefused("upload", f"http_{sent.status}")
                self.call("files.completeUploadExternal", {"files": [{"id": place["file_id"]}]}, repeatable=False)
            except NotAnswered:
                continue  # into a new place: what became of this one is not known, and nobody sees it
            return str(place["file_id"])
        raise NotAnswered("Slack, upload: no clear answer; nothing is lost, run it again later")

    def _origin(self) -> str:
        parts = urlsplit(self._base)
        return f"{parts.scheme}://{parts.netloc}/"


class SlackNotifier(Notifier):
    """The day's report as one message of a channel with its thread; the page itself as files beside it."""

    name = "slack"

    def __init__(
        self,
        slack: Slack | None,
        ledger: Ledger,
        pages: FileNotifier,
        *,
        channel: str,
        dry_run: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`slack` may be missing in a dry run only, which writes the messages beside the page.

        Raises ValueError for a channel that is no id: messages are edited and looked up by it.
        """
        if not dry_run and (slack is None or not _CHANNEL.fullmatch(channel)):
            raise ValueError("slack.channel must be the channel's id (C...): channel details in Slack show it")
        self._slack, self._ledger, self._pages = slack, ledger, pages
        self._channel, self._dry_run, self._now = channel, dry_run, now

    def post(self, day: date, html: str, blocks: list[dict[str, object]], pictures: Mapping[str, bytes]) -> str:
        """See `Notifier.post`: the page as files, then the message. Returns `channel/ts`, in a dry run the page."""
        page = self._pages.post(day, html, blocks, pictures)
        try:
            told = messages(blocks)
        except ValueError as error:
            raise NotifierError(f"the report of {day}: {error}") from None
        if self._dry_run:
            content = [{"text": message.text, "blocks": message.blocks} for message in told]
            path = self._pages.folder / f"{day}.slack.json"
            replace_file(path, json.dumps(content, indent=1, ensure_ascii=False).encode())
            return page
        ts = self._put(f"{day}:{self._channel}:report", told[0])
        if ts is None:
            return f"{self._channel}/deleted"
        self._put_thread(f"{day}:{self._channel}", ts, told[1:])
        if pictures:
            self._put(f"{day}:{self._channel}:pictures", self._shown(told[0].text, pictures), ts)
        return f"{self._channel}/{ts}"

    def check(self) -> str:
        """See `Notifier.check`: who we are, where it goes, and whether anything is posted."""
        pages = self._pages.check()
        posts = "dry run: messages are written beside the page" if self._dry_run else "messages are posted"
        if self._slack is None:
            return f"slack: no token, {posts}; {pages}"
        we = self._slack.call("auth.test", repeatable=True)
        return f"slack: {one_line(str(we['user']))} in {one_line(str(we['team']))}, {self._channel}, {posts}; {pages}"

    # --- one message ----------------------------------------------------------------------------------------------

    def _put_thread(self, day: str, ts: str, told: Sequence[Message]) -> None:
        for number in itertools.count():
            place = f"{day}:thread-{number + 1}"
            if number < len(told):
                self._put(place, told[number], ts)
            elif self._ledger.find(POSTED, place):  # there was more to say when the day was told before
                self._put(place, Message("–", [{"type": "section", "text": plain("–")}]), ts)
            else:
                return

    def _put(self, place: str, message: Message, thread: str | None = None) -> str | None:
        """Post the message of a place, or edit it where it was posted; its `ts`, None where a person removed it."""
        begun = self._begin(place)
        if isinstance(begun, str):
            return self._edit(place, begun, message)
        attempt, again = begun
        try:
            ts = self._look(place, thread) if again else None
            if ts is not None:
                edited = self._edit(place, ts, message)
            else:
                ts = edited = self._post(place, message, thread)
        except Exception:
            self._ledger.append(GIVEN_UP, attempt, {})
            raise
        self._ledger.append(POSTED, place, {"ts": ts})
        return edited

    def _begin(self, place: str) -> str | tuple[str, bool]:
        """The `ts` of the place's message; else note an attempt to post it: its key, and whether there was one before.

        Waits while another attempt may be under way: two runs at once, or one that was killed a moment ago.
        """
        while True:
            with self._ledger.transaction() as writer:
                known = writer.find(POSTED, place)
                if known is not None:
                    return str(known.payload["ts"])
                before = [entry for entry in writer.entries([INTENT]) if entry.key.startswith(f"{place}:")]
                wait = 0.0
                if before and writer.find(GIVEN_UP, before[-1].key) is None:
                    wait = min(LEASE, float(before[-1].payload["at"]) + LEASE - self._now())
                if wait <= 0:
                    key = f"{place}:{len(before)}"
                    writer.append(INTENT, key, {"at": self._now()})
                    return key, bool(before)
            self._client.sleep(min(wait, _GLANCE))

    def _post(self, place: str, message: Message, thread: str | None) -> str:
        given = self._given(place, message, {"thread_ts": thread} if thread else {})
        try:
            return str(self._written("chat.postMessage", given, repeatable=False)["ts"])
        except NotAnswered:
            self._client.sleep(2.0)
            if (ts := self._look(place, thread)) is None:
                raise
            return ts

    def _edit(self, place: str, ts: str, message: Message) -> str | None:
        try:
            self._written("chat.update", self._given(place, message, {"ts": ts}), repeatable=True)
        except SlackRefused as refused:
            if refused.code == "message_not_found":  # a person removed it: it stays away
                return None
            raise
        return ts

    def _written(self, method: str, given: Mapping[str, Any], *, repeatable: bool) -> dict[str, Any]:
        """The answer; a picture that was uploaded a moment ago is refused until it is ready, which posts nothing."""
        for attempt in range(_TRIES - 1):
            try:
                return self._client.call(method, given, repeatable=repeatable)
            except SlackRefused as refused:
                if refused.code != "invalid_blocks":
                    raise
                self._client.sleep(2.0**attempt)
        return self._client.call(method, given, repeatable=repeatable)

    def _look(self, place: str, thread: str | None) -> str | None:
        """The message of a place in the channel or thread, by its metadata; the earliest where there are several."""
        first = next(entry for entry in self._ledger.entries([INTENT]) if entry.key.startswith(f"{place}:"))
        values: dict[str, Any] = {"channel": self._channel, "include_all_metadata": "true"}
        values |= {"oldest": f"{float(first.payload['at']) - _SKEW:.6f}"}
        if thread is None:
            listed = self._client.pages("conversations.history", "messages", **values)
        else:
            listed = self._client.pages("conversations.replies", "messages", ts=thread, **values)
        found = [
            str(one["ts"])
            for one in listed
            if (one.get("metadata") or {}).get("event_type") == EVENT
            and (one["metadata"].get("event_payload") or {}).get("place") == place
        ]
        return min(found, key=float) if found else None

    def _given(self, place: str, message: Message, more: Mapping[str, str]) -> dict[str, Any]:
        """What is sent: nothing in it formats, links, mentions or unfolds."""
        return {
            "channel": self._channel,
            "text": message.text,
            "blocks": list(message.blocks),
            "metadata": {"event_type": EVENT, "event_payload": {"place": place}},
            "parse": "none",
            "link_names": "false",
            "mrkdwn": "false",
            "unfurl_links": "false",
            "unfurl_media": "false",
            **more,
        }

    def _shown(self, text: str, pictures: Mapping[str, bytes]) -> Message:
        """The message that shows the pictures, each uploaded once for its content."""
        blocks = []
        for name, content in sorted(pictures.items()):
            key = hashlib.sha256(content).hexdigest()
            known = self._ledger.find(UPLOADED, key)
            if known is None:
                uploaded = self._client.upload(f"{name}.png", content)
                known, _ = self._ledger.append(UPLOADED, key, {"id": uploaded})
            words = name.replace("_", " ").replace("-", " ")
            file = {"id": str(known.payload["id"])}
            blocks.append({"type": "image", "title": plain(words), "alt_text": words, "slack_file": file})
        return Message(text, blocks)

    @property
    def _client(self) -> Slack:
        assert self._slack is not None, "a dry run calls nobody"
        return self._slack
