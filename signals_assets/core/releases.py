"""Which release changed what: cohorts by the version that each session ran, and one family of tests a day.

Put here: `Line` (an agent's releases of one kind with the counts by them), `findings`, `judged`, `incidents`.
Not here: the test itself (see `statistics.py`, `mixed_model.py`), what of it may be published (see `correlations.py`).

A release is open for `OPEN_DAYS`. After: sessions that ran it or a later one, up to the next release that itself
changed the type. Before: sessions that ran an older one, from `BASELINE_DAYS` before it on (users who have not switched
yet included), back to the last release that changed the type. The family of a day is everything compared on it: types
and open releases of all agents. Of several releases that show one and the same change the clearest is named.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from signals_assets.core.arrays import Floats, Integers, add_up, sums
from signals_assets.core.statistics import (
    CONFIRMED_RATE,
    Comparison,
    Judgement,
    compare,
    judge,
)
from signals_assets.core.user_days import Cells, CountedType, Counts, Rows, day_number, records
from signals_assets.tables import Source

ReleaseKind = Literal["version", "prompt", "model"]

OPEN_DAYS: Final = 14
"""How long after its day a release is compared."""
BASELINE_DAYS: Final = 28
"""How far before a release its baseline reaches, unless the rate changed since."""
COLUMN: Final[Mapping[ReleaseKind, str]] = {
    "version": "agent_version",
    "prompt": "prompt_version",
    "model": "agent_model",
}
"""Where each session says which release of a kind it ran."""
INCIDENT_TYPES: Final = 3
INCIDENT_SHARE: Final = 0.25
"""A day on which so many types, and this share of those with enough events, moved one way is set apart."""
INCIDENT_SIZE: Final = 4.0
"""How far, in standard deviations of single days, each of them must have moved."""
INCIDENT_BASE_DAYS: Final = 14
"""Days before that a day is held against."""
INCIDENT_MIN_DAYS: Final = 7
SETTLED_DAYS: Final = 3
"""A release older than this cannot be what moved a day; and a move that lasts this long is no incident."""
INCIDENT_EVENTS: Final = 10
"""Expected events of a day below which a type says nothing about it."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """A release in its agent's order."""

    word: str
    on: int
    listed: bool
    """False for a version that sessions ran but no release tells about: part of the order, never compared."""


@dataclass(frozen=True, slots=True)
class Line:
    """One agent's releases of one kind and the counts by them, for the types of one source."""

    agent: str
    kind: ReleaseKind
    source: Source
    types: Sequence[CountedType]
    shipped: Sequence[Shipped]
    """Oldest first."""
    cells: Cells
    """By user and day (`about`), up to the day that is judged."""
    position: Integers
    """Per cell: index of the release its sessions ran; -1 for what ran before all of them."""

    def window(self, release: int, first: int, last: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Cells before and after a release, among the releases from `first` up to (without) `last`."""
        recent = self.cells.columns["about"] >= self.shipped[release].on - BASELINE_DAYS
        before = recent & (self.position >= first) & (self.position < release)
        return before, recent & (self.position >= release) & (self.position < last)

    def compared(
        self, release: int, bounds: Sequence[tuple[int, int]], apart: Integers
    ) -> list[tuple[Comparison, NDArray[np.bool_], NDArray[np.bool_]]]:
        """Compare each type at a release within its own bounds (first, last); equal bounds share the work."""
        results: dict[int, tuple[Comparison, NDArray[np.bool_], NDArray[np.bool_]]] = {}
        for first, last in sorted(set(bounds)):
            rows = np.array([row for row, found in enumerate(bounds) if found == (first, last)], dtype=np.int64)
            before, after = self.window(release, first, last)
            comparisons = compare(self.cells.cohort(before, rows), self.cells.cohort(after, rows), apart)
            results.update({int(row): (found, before, after) for row, found in zip(rows, comparisons, strict=True)})
        return [results[row] for row in range(len(bounds))]


@dataclass(frozen=True, slots=True)
class Finding:
    """One open release and one type: what the comparison says, before the family is judged."""

    line: Line
    release: int
    row: int
    comparison: Comparison
    before: NDArray[np.bool_]
    after: NDArray[np.bool_]
    section: tuple[bool, int]
    """Findings of one section and type could all be the echo of one change."""
    incidents: int
    """Days since the release that were set apart."""

    def explained_by(self, other: "Finding") -> bool:
        """Whether the other release shows the same change of the same type more strongly."""
        return (
            self.line is other.line
            and self.row == other.row
            and self.section == other.section
            and self.comparison.z * other.comparison.z > 0
            and abs(other.comparison.z) > abs(self.comparison.z)
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """A finding with its place in the day's family."""

    finding: Finding
    judgement: Judgement
    echo: bool
    """Another release shows the same change more clearly."""


def judged(found: Sequence[Finding]) -> list[Judged]:
    """Judge the whole family of a day."""
    judgements = judge([finding.comparison for finding in found])
    strong = [
        finding
        for finding, judgement in zip(found, judgements, strict=True)
        if judgement.evidence in ("suspected", "confirmed")
    ]
    return [
        Judged(finding, judgement, any(finding.explained_by(other) for other in strong))
        for finding, judgement in zip(found, judgements, strict=True)
    ]


def findings(day: int, line: Line) -> list[Finding]:
    """Every open release of a line against what was run before it, for every type. `day`: that is judged, as number."""
    apart = incidents(line, day)
    changes = _changes(line, apart)
    found = []
    for release, shipped in enumerate(line.shipped):
        if not shipped.listed or shipped.on <= day - OPEN_DAYS:
            continue
        bounds = [
            (
                max((c for c in changed if c < release), default=-1),
                min((c for c in changed if c > release), default=1 << 30),
            )
            for changed in changes
        ]
        since = int((apart >= shipped.on).sum())
        for row, (comparison, before, after) in enumerate(line.compared(release, bounds, apart)):
            section = (release in changes[row], release if release in changes[row] else bounds[row][0])
            found.append(Finding(line, release, row, comparison, before, after, section, since))
    return found


def _changes(line: Line, apart: Integers) -> list[list[int]]:
    """Per type the releases at which its rate changed beyond doubt, oldest first.

    Each release's own sessions against those since the last such change. The e-value has to carry a family of
    all types and releases seen here by itself, so a false cut of the baseline is rarer than a false confirmation.
    """
    changes: list[list[int]] = [[] for _ in line.types]
    first_day = int(line.cells.columns["about"].min()) if len(line.cells.weight) else 0
    candidates = [index for index, shipped in enumerate(line.shipped) if shipped.on > first_day]
    needed = len(line.types) * max(len(candidates), 1) / CONFIRMED_RATE
    for release in candidates:
        bounds = [(changed[-1] if changed else -1, release + 1) for changed in changes]
        for row, (comparison, _, _) in enumerate(line.compared(release, bounds, apart)):
            if comparison.enough and comparison.e_value >= needed:
                changes[row].append(release)
    return changes


# --- incidents --------------------------------------------------------------------------------------------------


def incidents(line: Line, day: int) -> Integers:
    """Days up to `day` on which many types moved together, whatever was run: an outage, a provider's bad day.

    Where enough sessions of a day ran releases older than `SETTLED_DAYS`, they alone decide: no new release can have
    moved them. Where everybody runs a new release, a day that moved counts as an incident until two later days are
    known, and afterwards when they moved back; so a release that breaks everything is named two days later, and one
    that coincides with an outage is not blamed for it.
    """
    if not len(line.cells.weight):
        return np.array([], dtype=np.int64)
    about, on = line.cells.columns["about"], np.array([*(release.on for release in line.shipped), -(10**9)])
    settled = _Days.of(line, about - on[line.position] > SETTLED_DAYS)
    everybody = _Days.of(line, np.ones(len(about), dtype=bool))
    apart: list[int] = []
    for now in range(everybody.first + INCIDENT_MIN_DAYS, day + 1):
        past = [back for back in range(now - INCIDENT_BASE_DAYS, now) if back >= everybody.first and back not in apart]
        if len(past) < INCIDENT_MIN_DAYS:
            continue
        move = settled.move(now, past, everybody)
        if move is None:
            later = list(range(now + 1, min(now + SETTLED_DAYS, day) + 1))
            move = everybody.move(now, past, everybody)
            back = everybody.move(now, later, everybody) if len(later) >= 2 else move
            move = move if move and move == back else 0
        if move:
            apart.append(now)
    return np.array(apart, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Days:
    """Sessions and events by day of some of a line's cells."""

    first: int
    sessions: Floats
    rates: Floats

    @classmethod
    def of(cls, line: Line, chosen: NDArray[np.bool_]) -> "_Days":
        about = line.cells.columns["about"]
        first, size = int(about.min()), int(about.max() - about.min()) + 1
        sessions = add_up(about[chosen] - first, line.cells.weight[chosen], size)
        events = sums(about[chosen] - first, size, line.cells.events[:, chosen])
        return cls(first, sessions, events / np.maximum(sessions, 1e-12))

    def move(self, day: int, others: Sequence[int], whole: "_Days") -> int | None:
        """1 or -1 where many types moved up or down on a day against the days `others`, 0 where not.

        None where too few types have enough events on it. Held against the median day, in units of the spread of
        the whole's days, at least that of independent sessions.
        """
        place = day - self.first
        if place >= len(self.sessions):
            return None
        past = [other - whole.first for other in others if other - whole.first < len(whole.sessions)]
        past = [other for other in past if whole.sessions[other] > 0]
        level = np.median(whole.rates[:, past], axis=1)
        telling = level * self.sessions[place] >= INCIDENT_EVENTS
        if telling.sum() < INCIDENT_TYPES:
            return None
        sampling = level * (1 - level) / self.sessions[place]
        spread = np.var(whole.rates[:, past], axis=1)
        size = (self.rates[:, place] - level) / np.sqrt(sampling + spread + 1e-12)
        needed = max(INCIDENT_TYPES, INCIDENT_SHARE * telling.sum())
        for sign in (1, -1):
            if (sign * size[telling] >= INCIDENT_SIZE).sum() >= needed:
                return sign
        return 0


# --- lines ------------------------------------------------------------------------------------------------------


def lines(day: date, counts: Counts, releases: Rows, types: Sequence[CountedType]) -> list[Line]:
    """The lines that have an open release on a day. counts: of all days known; releases: rows of the table."""
    view = counts.as_of(day).window(day, OPEN_DAYS + BASELINE_DAYS + 1)
    names = ("agent_name", "kind", "version", "released_at", "known_on")
    told: dict[tuple[str, str], dict[str, int]] = {}
    for agent, kind, version, released_at, known_on in records(releases, names):
        on = int(released_at // 86_400_000_000)
        if known_on <= day and on <= day_number(day):
            versions = told.setdefault((agent, kind), {})
            versions[version] = min(versions.get(version, on), on)
    found = []
    for (agent, kind), versions in sorted(told.items()):
        if max(versions.values()) <= day_number(day) - OPEN_DAYS:
            continue
        of_agent = view.where(view["agent"] == view.code("agent", agent))
        for source in ("detector", "analyst"):
            chosen = [item for item in types if item.source == source]
            if chosen:
                found.append(_line(agent, cast(ReleaseKind, kind), source, chosen, versions, of_agent))
    return found


def _line(
    agent: str,
    kind: ReleaseKind,
    source: Source,
    types: Sequence[CountedType],
    versions: Mapping[str, int],
    counts: Counts,
) -> Line:
    column = COLUMN[kind]
    cells = counts.cells(source, [(item.kind, item.type) for item in types], ("user", "organization", "about", column))
    codes, days = cells.columns[column], cells.columns["about"]
    words = counts.words[column]
    shipped = [Shipped(word, on, True) for word, on in versions.items()]
    shipped += [
        Shipped(words[code], int(days[codes == code].min()), False)
        for code in np.unique(codes)
        if code >= 0 and words[code] not in versions
    ]
    shipped.sort(key=lambda release: (release.on, release.word))
    return Line(agent, kind, source, types, shipped, cells, _positions(shipped, words, codes, days))


def _positions(shipped: Sequence[Shipped], words: Iterable[str], codes: Integers, days: Integers) -> Integers:
    """Index of the release per cell; without a version by date: a release's own day belongs to what was before."""
    place = {release.word: index for index, release in enumerate(shipped)}
    of_code = np.array([*(place.get(word, -1) for word in words), -1], dtype=np.int64)
    by_date = np.searchsorted(np.array([release.on for release in shipped]), days, side="left") - 1
    return np.where(codes >= 0, of_code[codes], by_date)
