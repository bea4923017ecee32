"""A local server that speaks the part of Slack's Web API that the notifier uses, for one workspace.

Put here: messages, threads, files, and what Slack refuses. Not here: sockets and faults (`local_service.py`).

There is no current public specification (slackapi/slack-api-specs ended in 2021): the rules are the documented limits
of Block Kit and of the methods. A client that does what Slack would quietly accept but the product must not (markup,
JSON to a method that reads forms only) ends the test.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from signals_assets_tests.fakes.local_service import LocalService, Reply, Request

CHANNEL = "C0123456789"
START = 1_767_600_000.0
_BLOCKS, _SECTION, _HEADER, _ALL, _ELEMENTS = 50, 3_000, 150, 13_200, 10


class Refused(Exception):  # noqa: N818
    """What Slack answers with `ok: false`."""


class SlackServer(LocalService):
    """See the module. `page`: most messages of a page; `unready`: so many showings of a file come too early."""

    def __init__(self, *, token: str = "xoxb-token", page: int = 200, unready: int = 0) -> None:
        super().__init__()
        self.token, self.page, self.unready = token, page, unready
        self.clock = START
        self.messages: dict[str, dict[str, Any]] = {}
        self.files: dict[str, dict[str, Any]] = {}
        self.passing: list[str] = []

    @property
    def url(self) -> str:
        return f"{self.origin}/api"

    def refuse(self, code: str, times: int = 1) -> None:
        """The next calls are answered with this error of Slack's and not carried out."""
        self.passing += [code] * times

    def say(self, text: str, thread: str | None = None, **more: Any) -> str:
        """A message of a person."""
        return self._add({"text": text, "user": "U1", **({"thread_ts": thread} if thread else {}), **more})

    def top(self) -> list[dict[str, Any]]:
        """Messages of ours in the channel, in order."""
        return [one for one in self.messages.values() if "thread_ts" not in one and "bot_id" in one]

    def thread(self, ts: str) -> list[dict[str, Any]]:
        """Replies to a message, in order."""
        return [one for one in self.messages.values() if one.get("thread_ts") == ts]

    def shown(self) -> list[str]:
        """Ids of the files that messages show."""
        return [
            block["slack_file"]["id"]
            for one in self.messages.values()
            for block in one.get("blocks", [])
            if "slack_file" in block
        ]

    # --- HTTP -----------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Reply:
        if found := re.fullmatch(r"/upload/v1/(F\w+)", request.path):
            return self._receive(found[1], request.body)
        run: Callable[[Mapping[str, str]], dict[str, Any]] | None = _METHODS.get(request.path.removeprefix("/api/"))
        if run is None or not request.path.startswith("/api/"):
            self.complain(f"no such method: {request.path}")
            return Reply(404, {"ok": False, "error": "unknown_method"})
        if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            self.complain(f"{request.path}: arguments are a form")
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(200, {"ok": False, "error": "invalid_auth"})
        if self.passing:
            return Reply(200, {"ok": False, "error": self.passing.pop(0)})
        try:
            return Reply(200, {"ok": True, **run(self, dict(parse_qsl(request.body.decode(), keep_blank_values=True)))})
        except Refused as refused:
            return Reply(200, {"ok": False, "error": str(refused)})

    def _test(self, given: Mapping[str, str]) -> dict[str, Any]:
        return {"user": "signals", "team": "Workspace", "bot_id": "B1", "url": self.origin}

    # --- messages -------------------------------------------------------------------------------------------------

    def _add(self, message: dict[str, Any]) -> str:
        self.clock += 1
        ts = f"{self.clock:.6f}"
        self.messages[ts] = {"type": "message", "ts": ts, **message}
        return ts

    def _content(self, given: Mapping[str, str]) -> dict[str, Any]:
        if given.get("channel") != CHANNEL:
            raise Refused("channel_not_found")
        blocks = json.loads(given.get("blocks", "[]"))
        if not blocks and not given.get("text"):
            raise Refused("no_text")
        if len(blocks) > _BLOCKS or any(not self._allowed(block) for block in blocks):
            raise Refused("invalid_blocks")
        if sum(len(text["text"]) for block in blocks for text in _texts(block)) > _ALL:
            raise Refused("msg_blocks_too_long")
        metadata = json.loads(given.get("metadata", "null"))
        if metadata is not None and metadata.keys() != {"event_type", "event_payload"}:
            raise Refused("invalid_metadata_format")
        if given.get("parse", "none") != "none" or given.get("link_names", "false") != "false":
            self.complain("the fallback text may link names")
        return {"text": given.get("text", ""), "blocks": blocks, "metadata": metadata, "bot_id": "B1"}

    def _allowed(self, block: Mapping[str, Any]) -> bool:
        texts = _texts(block)
        if any(text["type"] != "plain_text" for text in texts):
            self.complain("a text that is no plain_text")
        if any(not 0 < len(text["text"]) <= (_HEADER if block["type"] == "header" else _SECTION) for text in texts):
            return False
        if block["type"] == "image":
            return bool(block.get("alt_text")) and self._ready(block["slack_file"]["id"])
        if block["type"] == "context":
            return 0 < len(block["elements"]) <= _ELEMENTS
        return block["type"] == "divider" or (block["type"] in ("header", "section") and bool(texts))

    def _ready(self, file: str) -> bool:
        if self.unready:
            self.unready -= 1
            return False
        return self.files.get(file, {}).get("complete", False)

    def _post(self, given: Mapping[str, str]) -> dict[str, Any]:
        message = self._content(given)
        if thread := given.get("thread_ts"):
            if thread not in self.messages:
                raise Refused("thread_not_found")
            message["thread_ts"] = thread
        ts = self._add(message)
        return {"channel": CHANNEL, "ts": ts, "message": self.messages[ts]}

    def _update(self, given: Mapping[str, str]) -> dict[str, Any]:
        if given["ts"] not in self.messages:
            raise Refused("message_not_found")
        if "bot_id" not in self.messages[given["ts"]]:
            raise Refused("cant_update_message")
        self.messages[given["ts"]] |= self._content(given) | {"edited": True}
        return {"channel": CHANNEL, "ts": given["ts"]}

    def _history(self, given: Mapping[str, str]) -> dict[str, Any]:
        return self._listed(given, [one for one in self.messages.values() if "thread_ts" not in one][::-1])

    def _replies(self, given: Mapping[str, str]) -> dict[str, Any]:
        if given["ts"] not in self.messages:
            raise Refused("thread_not_found")
        return self._listed(given, [self.messages[given["ts"]], *self.thread(given["ts"])])

    def _listed(self, given: Mapping[str, str], listed: list[dict[str, Any]]) -> dict[str, Any]:
        if given.get("channel") != CHANNEL:
            raise Refused("channel_not_found")
        listed = [one for one in listed if float(one["ts"]) > float(given.get("oldest", 0))]
        start, size = int(given.get("cursor", 0)), min(self.page, int(given.get("limit", 100)))
        hidden = set() if given.get("include_all_metadata") == "true" else {"metadata"}
        found = [{key: value for key, value in one.items() if key not in hidden} for one in listed[start:][:size]]
        more = start + size < len(listed)
        cursor = {"next_cursor": str(start + size) if more else ""}
        return {"messages": found, "has_more": more, "response_metadata": cursor}

    # --- files ----------------------------------------------------------------------------------------------------

    def _upload_url(self, given: Mapping[str, str]) -> dict[str, Any]:
        if not given.get("filename") or int(given.get("length", 0)) <= 0:
            raise Refused("invalid_arguments")
        file = f"F{len(self.files) + 1:08}"
        self.files[file] = {"name": given["filename"], "length": int(given["length"]), "content": None}
        return {"upload_url": f"{self.origin}/upload/v1/{file}", "file_id": file}

    def _receive(self, file: str, content: bytes) -> Reply:
        if file not in self.files or len(content) != self.files[file]["length"]:
            return Reply(400, b"bad upload")
        self.files[file]["content"] = content
        return Reply(200, f"OK - {len(content)}".encode())

    def _complete(self, given: Mapping[str, str]) -> dict[str, Any]:
        for one in json.loads(given["files"]):
            if self.files.get(one["id"], {}).get("content") is None:
                raise Refused("file_not_found")
            self.files[one["id"]]["complete"] = True
        return {"files": json.loads(given["files"])}


def _texts(block: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*(block[key] for key in ("text", "title") if key in block), *block.get("elements", ())]


_METHODS: dict[str, Callable[..., dict[str, Any]]] = {
    "auth.test": SlackServer._test,
    "chat.postMessage": SlackServer._post,
    "chat.update": SlackServer._update,
    "conversations.history": SlackServer._history,
    "conversations.replies": SlackServer._replies,
    "files.getUploadURLExternal": SlackServer._upload_url,
    "files.completeUploadExternal": SlackServer._complete,
}
