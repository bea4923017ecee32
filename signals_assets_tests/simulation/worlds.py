"""Tiny worlds and readers of what they leave behind, shared by the simulation's tests."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from signals_assets.core.sessions import Session, from_json

START = date(2026, 1, 5)


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def sessions(out: Path) -> Iterator[Session]:
    for path in sorted((out / "sessions").iterdir()):
        for line in path.read_bytes().splitlines():
            yield from_json(line)


def truth(out: Path) -> list[dict[str, Any]]:
    return lines(out / "truth/sessions.jsonl")


def events(out: Path) -> dict[str, Any]:
    return orjson.loads((out / "truth/events.json").read_bytes())


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def planted(row: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [item for item in row["friction"] + row["delight"] if item.get("category", item["type"]) == name]
