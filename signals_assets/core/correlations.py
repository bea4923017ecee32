"""Stage 6 · correlations. What rises with which release, how often each friction is met, what intents cost.

Put here: `friction_rates`, `release_correlations`, `intent_trends`: published rows from `Counts`.
Not here: counting (see `user_days.py`), tests and intervals (see `statistics.py`), what happens inside sessions:
backend errors and leading indicators (see `within_sessions.py`), the thresholds (see `barrier/thresholds.py`).

Every function returns its rows and a `Coverage`: what was withheld for too few users is counted, never silent.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from signals_assets.core.barrier.thresholds import SHOWN, band, rounded_rate, shown
from signals_assets.core.coverage import Coverage
from signals_assets.core.identity import pseudonym
from signals_assets.core.statistics import (
    CONFIRMED_RATE,
    Comparison,
    Integers,
    Judgement,
    add_up,
    compare,
    interval,
    judge,
)
from signals_assets.core.user_days import ANY, UNKNOWN, Cells, CountedType, Counts, Rows, day_number, records
from signals_assets.settings import Audience
from signals_assets.tables import Evidence, FrictionRate, IntentTrend, Kind, ReleaseCorrelation, Source, Verdict

Label = Callable[[str, str], str]
"""(what it is, the word as it came) -> what may be published in its place."""
ReleaseKind = Literal["version", "prompt", "model"]

OPEN_DAYS: Final = 14
"""How long after its day a release is compared."""
BASELINE_DAYS: Final = 28
"""How far before a release its baseline reaches, unless the rate changed since."""
RATE_WINDOWS: Final[tuple[int, ...]] = (1, 7)
TREND_DAYS: Final = 7
SLICES: Final[tuple[str, ...]] = ("all", "agent_version", "intent", "agent_model", "prompt_version")
_RELEASE_COLUMN: Final[Mapping[ReleaseKind, str]] = {
    "version": "agent_version",
    "prompt": "prompt_version",
    "model": "agent_model",
}
_NUMBERED: Final = re.compile(r"v?\d{1,6}(?:\.\d{1,6}){0,3}")


def labeller(audience: Audience, allowed: Collection[str], key: bytes) -> Label:
    """How words from outside are named in the published zone.

    The word itself for audience `self`, where it is on the allow list, or where it is a bare version number; else
    the kind of thing and six hex digits of a keyed hash, the same everywhere.
    """
    listed = frozenset(allowed)

    def label(kind: str, word: str) -> str:
        if audience == "self" or word in listed or _NUMBERED.fullmatch(word):
            return word
        return f"{kind}-{pseudonym(kind, word, key)[2:8]}"

    return label


# --- rates ------------------------------------------------------------------------------------------------------


def friction_rates(
    day: date, counts: Counts, *, types: Sequence[CountedType], audience: Audience, label: Label
) -> tuple[list[FrictionRate], Coverage]:
    """Share of sessions with each type over the trailing 1 and 7 days, for all sessions and per slice.

    A row is withheld where the sessions looked at are below the audience's threshold, or where the event concerns
    someone but fewer users than that threshold asks for; a rate of zero is shown.
    """
    view = counts.as_of(day)
    rows: list[FrictionRate] = []
    coverage = Coverage()
    for days in RATE_WINDOWS:
        window = view.window(day, days)
        for slice_kind in SLICES:
            for source in ("detector", "analyst"):
                of_source = [item for item in types if item.source == source]
                part, covered = _rates(day, window, days, slice_kind, source, of_source, audience, label)
                rows += part
                coverage += covered
    return rows, coverage


def _rates(
    day: date,
    window: Counts,
    days: int,
    slice_kind: str,
    source: Source,
    types: Sequence[CountedType],
    audience: Audience,
    label: Label,
) -> tuple[list[FrictionRate], Coverage]:
    by = ["user", "organization", *([] if slice_kind == "all" else [slice_kind])]
    cells = window.cells(source, [(item.kind, item.type) for item in types], by)
    everyone = cells if source == "detector" else window.cells("detector", [], by)
    version = int(window["taxonomy_version"].max()) if len(window) else 0
    rows: list[FrictionRate] = []
    skipped: dict[str, int] = {}
    asked = 0
    for slice_name, mask in _slices(window, cells, slice_kind):
        asked += len(types)
        group = _Group.of(window, cells, mask)
        if not shown(audience, group.users, group.sessions, group.organizations):
            skipped["too_few_users"] = skipped.get("too_few_users", 0) + len(types)
            continue
        represented = _represented(cells, everyone, slice_kind, mask)
        estimates = interval(*_by_user(cells, mask))
        for row, item in enumerate(types):
            if not _numerator_shown(window, cells, mask & (cells.events[row] > 0), audience):
                skipped["small_numerator"] = skipped.get("small_numerator", 0) + 1
                continue
            count = float(cells.events[row, mask].sum())
            severe = float(cells.high[row, mask].sum()) / count if item.kind == "friction" and count else None
            rows.append(
                FrictionRate(
                    day=day,
                    kind=item.kind,
                    type=item.type,
                    slice_kind=slice_kind,
                    slice=label(slice_kind, slice_name) if slice_kind not in ("all", "intent") else slice_name,
                    source=source,
                    window_days=days,
                    rate=rounded_rate(float(estimates.rate[row]), group.sessions, audience),
                    low=rounded_rate(float(estimates.low[row]), group.sessions, audience),
                    high=rounded_rate(float(estimates.high[row]), group.sessions, audience),
                    users=band(group.users, audience),
                    sessions=band(group.sessions, audience),
                    coverage=represented,
                    severe_share=None if severe is None else rounded_rate(severe, round(count), audience),
                    taxonomy_version=version,
                )
            )
    return rows, Coverage(asked=asked, answered=len(rows), skipped=skipped)


@dataclass(frozen=True, slots=True)
class _Group:
    """Size of a group, for thresholds and bands."""

    users: int
    sessions: int
    organizations: int | None

    @classmethod
    def of(cls, counts: Counts, cells: Cells, mask: NDArray[np.bool_]) -> "_Group":
        organizations = np.unique(cells.columns["organization"][mask])
        known = int((organizations >= 0).sum())
        nowhere = not (cells.columns["organization"] >= 0).any()
        return cls(
            users=counts.users(cells.columns["user"][mask]),
            sessions=round(float(cells.sessions[mask].sum())),
            organizations=None if nowhere else known,
        )


def _slices(counts: Counts, cells: Cells, slice_kind: str) -> list[tuple[str, NDArray[np.bool_]]]:
    """Values of a slice with the cells they hold; what is not known (no version, not analysed) is no slice."""
    if slice_kind == "all":
        return [(ANY, np.ones(len(cells.weight), dtype=bool))] if len(cells.weight) else []
    words = counts.words[slice_kind]
    column = cells.columns[slice_kind]
    return [(words[code], column == code) for code in np.unique(column) if code >= 0 and words[code] != UNKNOWN]


def _by_user(cells: Cells, mask: NDArray[np.bool_]) -> tuple[Any, Any, float]:
    users, index = np.unique(cells.columns["user"][mask], return_inverse=True)
    events = np.zeros((cells.events.shape[0], len(users)))
    for row in range(len(events)):
        events[row] = add_up(index, cells.events[row, mask], len(users))
    return add_up(index, cells.weight[mask], len(users)), events, float(cells.sessions[mask].sum())


def _represented(cells: Cells, everyone: Cells, slice_kind: str, mask: NDArray[np.bool_]) -> float:
    """Weighted share of the slice's sessions that the source looked at."""
    inside = np.ones(len(everyone.weight), dtype=bool)
    if slice_kind != "all":
        inside = everyone.columns[slice_kind] == cells.columns[slice_kind][mask][0]
    total = float(everyone.weight[inside].sum())
    return round(min(float(cells.weight[mask].sum()) / total, 1.0), 2) if total else 0.0


def _numerator_shown(counts: Counts, cells: Cells, mask: NDArray[np.bool_], audience: Audience) -> bool:
    """Whether nobody is concerned, or enough distinct users are."""
    return not mask.any() or counts.users(cells.columns["user"][mask]) >= SHOWN[audience].users


# --- releases ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shipped:
    """A release in its agent's order."""

    word: str
    on: int
    listed: bool
    """False for a version that sessions ran but no release tells about: part of the order, never compared."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One agent's releases of one kind and the counts by them, for the types of one source."""

    agent: str
    kind: ReleaseKind
    source: Source
    types: Sequence[CountedType]
    shipped: Sequence[_Shipped]
    counts: Counts
    cells: Cells
    position: Integers
    """Per cell: index of the release its sessions ran."""

    def window(self, release: int, first: int, last: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Cells before and after a release, among the releases from `first` up to (without) `last`."""
        recent = self.cells.columns["about"] >= self.shipped[release].on - BASELINE_DAYS
        before = recent & (self.position >= first) & (self.position < release)
        return before, recent & (self.position >= release) & (self.position < last)

    def compared(
        self, release: int, bounds: Sequence[tuple[int, int]]
    ) -> list[tuple[Comparison, NDArray[np.bool_], NDArray[np.bool_]]]:
        """Compare each type at a release within its own bounds (first, last); equal bounds share the work."""
        results: dict[int, tuple[Comparison, NDArray[np.bool_], NDArray[np.bool_]]] = {}
        for first, last in sorted(set(bounds)):
            rows = np.array([row for row, found in enumerate(bounds) if found == (first, last)], dtype=np.int64)
            before, after = self.window(release, first, last)
            comparisons = compare(self.cells.cohort(before).of_types(rows), self.cells.cohort(after).of_types(rows))
            results.update({int(row): (found, before, after) for row, found in zip(rows, comparisons, strict=True)})
        return [results[row] for row in range(len(bounds))]


@dataclass(frozen=True, slots=True)
class _Finding:
    """One open release and one type: what the comparison says, before the family is judged."""

    line: _Line
    release: int
    row: int
    comparison: Comparison
    before: NDArray[np.bool_]
    after: NDArray[np.bool_]
    section: tuple[bool, int]
    """Findings of one section and type could all be the echo of one change."""

    def explained_by(self, other: "_Finding") -> bool:
        """Whether the other release shows the same change of the same type more strongly."""
        return (
            self.line is other.line
            and self.row == other.row
            and self.section == other.section
            and self.comparison.z * other.comparison.z > 0
            and abs(other.comparison.z) > abs(self.comparison.z)
        )


def release_correlations(
    day: date, counts: Counts, releases: Rows, *, types: Sequence[CountedType], audience: Audience, label: Label
) -> tuple[list[ReleaseCorrelation], Coverage]:
    """Every open release (of the last 14 days) against what was run before it, for every type.

    After: sessions that ran the release or a later one, up to the next release that itself changed the type. Before:
    sessions that ran an older one, from 28 days before the release on (users who have not switched yet
    included), back to the last release that changed the type. Sessions without a version count by date: their
    release's own day still belongs to what was before. The day's family is everything compared here.
    """
    findings: list[_Finding] = []
    for line in _lines(day, counts, releases, types):
        findings += _findings(day, line)
    judgements = judge([finding.comparison for finding in findings])
    strong = [
        finding
        for finding, judged in zip(findings, judgements, strict=True)
        if judged.evidence in ("suspected", "confirmed")
    ]
    rows: list[ReleaseCorrelation] = []
    withheld = 0
    for finding, judged in zip(findings, judgements, strict=True):
        echo = any(finding.explained_by(other) for other in strong)
        row = _release_row(day, finding, judged, echo, audience, label)
        withheld += row.evidence == "not_enough_data"
        rows.append(row)
    rows.sort(key=lambda row: (row.agent_name, row.release_kind, row.released_on, row.version, row.kind, row.type))
    skipped = {"not_enough_data": withheld} if withheld else {}
    return rows, Coverage(asked=len(rows), answered=len(rows) - withheld, skipped=skipped)


def _lines(day: date, counts: Counts, releases: Rows, types: Sequence[CountedType]) -> list[_Line]:
    view = counts.as_of(day).window(day, OPEN_DAYS + BASELINE_DAYS + 1)
    names = ("agent_name", "kind", "version", "released_at", "known_on")
    told: dict[tuple[str, str], dict[str, int]] = {}
    for agent, kind, version, released_at, known_on in records(releases, names):
        on = int(released_at // 86_400_000_000)
        if known_on <= day and on <= day_number(day):
            versions = told.setdefault((agent, kind), {})
            versions[version] = min(versions.get(version, on), on)
    lines = []
    for (agent, kind), versions in sorted(told.items()):
        if max(versions.values()) <= day_number(day) - OPEN_DAYS:
            continue
        of_agent = view.where(view["agent"] == view.code("agent", agent))
        for source in ("detector", "analyst"):
            chosen = [item for item in types if item.source == source]
            if chosen:
                lines.append(_line(agent, cast(ReleaseKind, kind), source, chosen, versions, of_agent))
    return lines


def _line(
    agent: str,
    kind: ReleaseKind,
    source: Source,
    types: Sequence[CountedType],
    versions: Mapping[str, int],
    counts: Counts,
) -> _Line:
    column = _RELEASE_COLUMN[kind]
    cells = counts.cells(source, [(item.kind, item.type) for item in types], ("user", "organization", "about", column))
    codes, days = cells.columns[column], cells.columns["about"]
    words = counts.words[column]
    shipped = [_Shipped(word, on, True) for word, on in versions.items()]
    shipped += [
        _Shipped(words[code], int(days[codes == code].min()), False)
        for code in np.unique(codes)
        if code >= 0 and words[code] not in versions
    ]
    shipped.sort(key=lambda release: (release.on, release.word))
    place = {release.word: index for index, release in enumerate(shipped)}
    of_code = np.array([*(place.get(word, -1) for word in words), -1], dtype=np.int64)
    by_date = np.searchsorted(np.array([release.on for release in shipped]), days, side="left") - 1
    position = np.where(codes >= 0, of_code[codes], by_date)
    return _Line(agent, kind, source, types, shipped, counts, cells, position)


def _findings(day: date, line: _Line) -> list[_Finding]:
    changes = _changes(line)
    findings = []
    for release, shipped in enumerate(line.shipped):
        if not shipped.listed or shipped.on <= day_number(day) - OPEN_DAYS:
            continue
        bounds = [
            (
                max((c for c in changed if c < release), default=-1),
                min((c for c in changed if c > release), default=1 << 30),
            )
            for changed in changes
        ]
        for row, (comparison, before, after) in enumerate(line.compared(release, bounds)):
            section = (release in changes[row], release if release in changes[row] else bounds[row][0])
            findings.append(_Finding(line, release, row, comparison, before, after, section))
    return findings


def _changes(line: _Line) -> list[list[int]]:
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
        for row, (comparison, _, _) in enumerate(line.compared(release, bounds)):
            if comparison.enough and comparison.e_value >= needed:
                changes[row].append(release)
    return changes


def _release_row(
    day: date, finding: _Finding, judged: Judgement, echo: bool, audience: Audience, label: Label
) -> ReleaseCorrelation:
    line, comparison = finding.line, finding.comparison
    shipped, item = line.shipped[finding.release], line.types[finding.row]
    before, after = (_Group.of(line.counts, line.cells, mask) for mask in (finding.before, finding.after))
    groups_shown = all(shown(audience, group.users, group.sessions, group.organizations) for group in (before, after))
    concerned = line.cells.events[finding.row] > 0
    numerators = [
        _numerator_shown(line.counts, line.cells, mask & concerned, audience)
        for mask in (finding.before, finding.after)
    ]
    evidence: Evidence = judged.evidence if groups_shown else "not_enough_data"
    evidence = "none" if echo and evidence in ("suspected", "confirmed") else evidence
    told = groups_shown and all(numerators) and evidence != "not_enough_data"
    fewest = min(before.sessions, after.sessions)
    figures: dict[str, float] = {}
    if told:
        figures = {
            "rate_before": rounded_rate(comparison.rate_before, before.sessions, audience),
            "rate_after": rounded_rate(comparison.rate_after, after.sessions, audience),
            "effect": rounded_rate(comparison.effect, fewest, audience),
            "low": rounded_rate(comparison.low, fewest, audience),
            "high": rounded_rate(comparison.high, fewest, audience),
            "z": round(comparison.z, 1),
            "e_value": float(f"{comparison.e_value:.2g}"),
        }
    return ReleaseCorrelation(
        day=day,
        agent_name=label("agent", line.agent),
        release_kind=line.kind,
        version=label(_RELEASE_COLUMN[line.kind], shipped.word),
        released_on=date(1970, 1, 1) + timedelta(days=shipped.on),
        kind=item.kind,
        type=item.type,
        source=line.source,
        verdict=verdict(comparison, evidence, item.kind) if not echo else "inconclusive",
        evidence=evidence,
        q=float(f"{judged.q:.2g}") if judged.q is not None and evidence != "not_enough_data" else None,
        smallest_detectable=(
            round(comparison.smallest_detectable(judged.comparisons), 2) if groups_shown and before.sessions else None
        ),
        users_after=band(after.users, audience),
        sessions_after=band(after.sessions, audience),
        comparisons=judged.comparisons,
        **figures,
    )


def verdict(comparison: Comparison, evidence: Evidence, kind: Kind) -> Verdict:
    """What a comparison says in a word: more friction is worse, more delight is better."""
    if evidence in ("suspected", "confirmed"):
        return "regressed" if (comparison.effect > 0) == (kind == "friction") else "improved"
    return "unchanged" if evidence == "none" and comparison.equivalent else "inconclusive"


# --- intents ----------------------------------------------------------------------------------------------------


def intent_trends(day: date, counts: Counts, *, audience: Audience) -> tuple[list[IntentTrend], Coverage]:
    """Volume, friction and outcome per intent over the trailing 7 days, and the change of volume against the 7 before.

    Over analysed sessions, weighted by inclusion. Friction: sessions whose worst event is of medium or high severity.
    """
    view = counts.as_of(day)
    now = view.window(day, TREND_DAYS)
    earlier = _shares(view.window(day - timedelta(days=TREND_DAYS), TREND_DAYS), audience)
    wanted = (("friction", ANY), ("outcome", "success"), ("outcome", "abandoned"))
    cells = now.cells("analyst", wanted, ("user", "organization", "intent"))
    total = float(cells.weight.sum())
    rows: list[IntentTrend] = []
    skipped: dict[str, int] = {}
    slices = _slices(now, cells, "intent")
    for intent, mask in slices:
        group = _Group.of(now, cells, mask)
        friction = cells.high[0] + cells.medium[0]
        reason = None
        if not shown(audience, group.users, group.sessions, group.organizations):
            reason = "too_few_users"
        elif not _numerator_shown(now, cells, mask & (friction > 0), audience):
            reason = "small_numerator"
        if reason:
            skipped[reason] = skipped.get(reason, 0) + 1
            continue
        weight, events, sessions = _by_user(
            Cells(cells.columns, cells.sessions, cells.weight, friction[None, :], cells.high, cells.medium), mask
        )
        estimate = interval(weight, events, sessions)
        share = float(cells.weight[mask].sum()) / total
        rows.append(
            IntentTrend(
                day=day,
                intent=intent,
                share=rounded_rate(share, group.sessions, audience),
                friction_rate=rounded_rate(float(estimate.rate[0]), group.sessions, audience),
                low=rounded_rate(float(estimate.low[0]), group.sessions, audience),
                high=rounded_rate(float(estimate.high[0]), group.sessions, audience),
                success_rate=_outcome_rate(now, cells, 1, mask, group, audience),
                abandoned_rate=_outcome_rate(now, cells, 2, mask, group, audience),
                change=(rounded_rate(share - earlier[intent], group.sessions, audience) if intent in earlier else None),
                users=band(group.users, audience),
                sessions=band(group.sessions, audience),
            )
        )
    return rows, Coverage(asked=len(slices), answered=len(rows), skipped=skipped)


def _outcome_rate(
    counts: Counts, cells: Cells, row: int, mask: NDArray[np.bool_], group: _Group, audience: Audience
) -> float | None:
    if not _numerator_shown(counts, cells, mask & (cells.events[row] > 0), audience):
        return None
    rate = float(cells.events[row, mask].sum() / cells.weight[mask].sum())
    return rounded_rate(rate, group.sessions, audience)


def _shares(window: Counts, audience: Audience) -> dict[str, float]:
    """Weighted share of each intent that may be shown."""
    cells = window.cells("analyst", [], ("user", "organization", "intent"))
    total = float(cells.weight.sum())
    shares = {}
    for intent, mask in _slices(window, cells, "intent"):
        group = _Group.of(window, cells, mask)
        if shown(audience, group.users, group.sessions, group.organizations):
            shares[intent] = float(cells.weight[mask].sum()) / total
    return shares
