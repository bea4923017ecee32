"""Simulation: the folder that is left behind: its files, what is due when, what was written.

Put here: appending JSON Lines, records that wait for their day, the counts of a summary.
Not here: what the records say (see `world.py`).
"""

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import orjson

BY_DAY: Final = ("error_logs", "feedback")
"""Kinds of records with one file per day."""
IN_ONE: Final = ("pull_requests", "user_outcomes")
"""Kinds of records in one file, a line per happening."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What was written: counts by name (of planted moments, outcomes, records), for people and tests."""

    out: Path
    first_day: date
    last_day: date
    sessions: int = 0
    steps: int = 0
    bytes: int = 0
    friction: Mapping[str, int] = field(default_factory=dict)
    delight: Mapping[str, int] = field(default_factory=dict)
    outcomes: Mapping[str, int] = field(default_factory=dict)
    records: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "Summary") -> "Summary":
        """Both stretches of days together."""
        return Summary(
            self.out,
            min(self.first_day, other.first_day),
            max(self.last_day, other.last_day),
            self.sessions + other.sessions,
            self.steps + other.steps,
            self.bytes + other.bytes,
            _added(self.friction, other.friction),
            _added(self.delight, other.delight),
            _added(self.outcomes, other.outcomes),
            _added(self.records, other.records),
        )


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted((Counter(one) + Counter(other)).items()))


class Folder:
    """The files of a simulation."""

    def __init__(self, out: Path) -> None:
        """Make room in `out`: an earlier simulation is removed; ValueError when something else lies there."""
        self.out = out
        self._waiting: dict[str, defaultdict[date, list[tuple[float, dict[str, Any]]]]] = {
            kind: defaultdict(list) for kind in (*BY_DAY, *IN_ONE)
        }
        if out.exists() and any(out.iterdir()):
            if not (out / "truth/parameters.json").is_file():
                raise ValueError(f"{out} is not empty and holds no simulation; choose another folder")
            for name in ("sessions", "records", "truth"):
                shutil.rmtree(out / name, ignore_errors=True)
        for name in ("sessions", "records/error_logs", "records/feedback", "truth"):
            (out / name).mkdir(parents=True, exist_ok=True)
        for name in ("records/releases", "records/pull_requests", "records/user_outcomes", "truth/sessions"):
            self.append(f"{name}.jsonl", [])

    def append(self, name: str, records: Iterable[Mapping[str, Any]]) -> int:
        """Add records to a JSON Lines file; returns how many."""
        lines = [orjson.dumps(record) + b"\n" for record in records]
        with (self.out / name).open("ab") as file:
            file.writelines(lines)
        return len(lines)

    def document(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file."""
        (self.out / name).write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")

    def later(self, kind: str, at: float, record: dict[str, Any]) -> None:
        """Keep a record of a kind until the UTC day of `at` (seconds since 1970) is lived."""
        self._waiting[kind][utc_day(at)].append((at, record))

    def write_due(self, today: date) -> Counter[str]:
        """Write the records that fall on `today`, in order of time; returns how many of each kind."""
        counts: Counter[str] = Counter()
        for kind, waiting in self._waiting.items():
            due = [record for _, record in sorted(waiting.pop(today, []), key=lambda item: item[0])]
            name = f"{kind}/{today.isoformat()}" if kind in BY_DAY else kind
            counts[kind] = self.append(f"records/{name}.jsonl", due)
        return counts


def utc_day(seconds: float) -> date:
    """The UTC day of a time."""
    return datetime.fromtimestamp(seconds, UTC).date()
