"""Door: where the day's report is posted.

Put here: `Notifier` and the embedded implementation: files.
Not here: what the report says (see `core/report/`), Slack (see `resources/slack.py`).
"""

import json
import os
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import date
from pathlib import Path


class Notifier(ABC):
    """Post or update; one report per day."""

    name: str

    @abstractmethod
    def post(self, day: date, html: str, blocks: list[dict[str, object]], pictures: Mapping[str, bytes]) -> str:
        """Post the day's report, or replace it when it was posted before; returns its reference."""

    @abstractmethod
    def check(self) -> str:
        """One harmless call for `signals doctor`."""


class NotifierError(RuntimeError):
    """The report could not be posted: names where and what to do; no content."""


class FileNotifier(Notifier):
    """The report as files: `<day>.html`, its Slack blocks as `<day>.json`, pictures, and `latest.html`.

    Every file is replaced as a whole, the page last, so that a page never lacks its pictures.
    """

    name = "files"

    def __init__(self, folder: Path) -> None:
        """Reports under `folder`, which is made at the first post."""
        self.folder = Path(folder)

    def post(self, day: date, html: str, blocks: list[dict[str, object]], pictures: Mapping[str, bytes]) -> str:
        """See `Notifier.post`. Returns the path of the page. `latest.html` never goes back to an earlier day."""
        wrong = [name for name in pictures if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name)]
        if wrong:
            raise NotifierError(
                f"{len(wrong)} names of pictures are not lower-case words joined by _ or -; rename them"
            )
        page = self.folder / f"{day.isoformat()}.html"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, picture in sorted(pictures.items()):
                replace_file(self.folder / f"{day.isoformat()}-{name}.png", picture)
            replace_file(page.with_suffix(".json"), json.dumps(blocks, indent=1, ensure_ascii=False).encode())
            replace_file(page, html.encode())
            if page == max(self.folder.glob("????-??-??.html")):
                replace_file(self.folder / "latest.html", html.encode())
        except OSError as error:
            raise NotifierError(
                f"the report of {day} could not be written to {self.folder} ({type(error).__name__}); "
                "make the folder writable or set SIGNALS_HOME to another"
            ) from None
        return str(page)

    def check(self) -> str:
        """See `Notifier.check`: writes and removes an empty file."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".tmp-{uuid.uuid4().hex}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise NotifierError(f"{self.folder} cannot be written ({type(error).__name__}); set SIGNALS_HOME") from None
        return f"files: {sum(1 for _ in self.folder.glob('????-??-??.html'))} reports in {self.folder}"


def replace_file(path: Path, content: bytes) -> None:
    """Put the content in the file's place, all of it or nothing."""
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
