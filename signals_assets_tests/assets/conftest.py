"""Homes for tests of single stages."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from signals_assets.core.sessions import Session, to_json
from signals_assets_tests.home import Home


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[..., Home]]:
    """Makes a home over sessions of a test's own; a second call reads a changed source into the same home."""
    made: list[Home] = []

    def make(sessions: Sequence[Session] = (), *lines: bytes, **settings: object) -> Home:
        folder = tmp_path / "source"
        folder.mkdir(exist_ok=True)
        (folder / "own.jsonl").write_bytes(b"".join(line + b"\n" for line in (*map(to_json, sessions), *lines)))
        given = {"sessions": [folder], "records": tmp_path / "records"} | settings
        made.append(Home(tmp_path / "home", None, given.pop("doors", None), **given))
        return made[-1]

    yield make
    for home in made:
        home.instance.dispose()
