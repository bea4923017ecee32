"""Stage 6 · correlations. What rises with which release, how often each friction is met, what intents cost.

Put here: `friction_rates`, `release_correlations`, `intent_trends`: published rows from `Counts`.
Not here: counting (see `user_days.py`), tests and intervals (see `statistics.py`), what a release is compared with (see
`releases.py`), what happens inside sessions, the thresholds (see `barrier/thresholds.py`).

Every function returns its rows and a `Coverage`: what was withheld for too few users is counted, never silent.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from signals_assets.core.arrays import add_up
from signals_assets.core.barrier.differential import Noisy, Spending, bounded, quantile
from signals_assets.core.barrier.differential import Release as NoisyRelease
from signals_assets.core.barrier.thresholds import (
    WITHHELD,
    Size,
    band,
    concerned_shown,
    day_shown,
    family,
    part_shown,
    rounded_e,
    rounded_high,
    rounded_interval,
    rounded_low,
    rounded_q,
    rounded_rate,
    size_shown,
    without_complements,
)
from signals_assets.core.coverage import Coverage
from signals_assets.core.identity import pseudonym
from signals_assets.core.releases import COLUMN, Finding, Judged, findings, judged, lines
from signals_assets.core.statistics import Comparison, compare, interval, judge
from signals_assets.core.taxonomy import Taxonomy
from signals_assets.core.user_days import ANY, UNKNOWN, Cells, CountedType, Counts, Rows, day_number
from signals_assets.settings import Audience
from signals_assets.tables import (
    Evidence,
    FrictionRate,
    IntentTrend,
    Kind,
    ReleaseCorrelation,
    RestatedRate,
    Source,
    Verdict,
)

Label = Callable[[str, str], str]
"""(what it is, the word as it came) -> what may be published in its place."""
RATE_WINDOWS: Final[tuple[int, ...]] = (1, 7)
TREND_DAYS: Final = 7
SLICES: Final[tuple[str, ...]] = (
    "all", "agent_version", "intent", "agent_model", "prompt_version", "agent", "language", "organization",
)  # fmt: skip
OURS: Final = frozenset({"all", "intent", "language"})
"""Slices whose values come from closed or accepted lists: shown as they are."""
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
    fewer users than that threshold asks for (nobody included: zero and few look the same), and where what is left of
    the total without the shown slices would be such a group.
    """
    view = counts.as_of(day)
    rows: list[FrictionRate] = []
    coverage = Coverage()
    for days in RATE_WINDOWS:
        window = view.window(day, days)
        for slice_kind in _told_apart(window, audience):
            for source in ("detector", "analyst"):
                of_source = [item for item in types if item.source == source]
                part, covered = _rates(day, window, days, slice_kind, source, of_source, audience, label)
                rows += part
                coverage += covered
    return rows, coverage


def _told_apart(window: Counts, audience: Audience) -> list[str]:
    """The slices that say more than the total: agents where there are several, organisations for oneself only.

    One organisation's users stand in every other slice, too: the differences would tell of a few of them.
    """

    def tells(slice_kind: str) -> bool:
        if slice_kind == "agent":
            return len(np.unique(window["agent"])) > 1
        return slice_kind != "organization" or audience == "self"

    return [slice_kind for slice_kind in SLICES if tells(slice_kind)]


def restated_rates(
    day: date, counts: Counts, *, types: Sequence[CountedType], audience: Audience, days: int
) -> tuple[list[RestatedRate], Coverage]:
    """Rates of the `days` days before `day` of types that are new on it, under the labels of `day`, slice `all` only.

    Of new types only: of others the past is published already, and the difference of two versions could tell of few
    users. A window reaches no further back than the labels do. Withheld like every rate.
    """
    view = counts.as_of(day)
    rows: list[RestatedRate] = []
    coverage = Coverage()
    for length in RATE_WINDOWS:
        for about in (day - timedelta(days=back) for back in range(days - length, 0, -1)):
            window = view.window(about, length)
            for source in ("detector", "analyst"):
                chosen = [item for item in types if item.source == source]
                if not chosen or not len(window):
                    continue
                part, covered = _rates(about, window, length, "all", source, chosen, audience, _as_it_is)
                coverage += covered
                rows += [
                    RestatedRate(about_day=about, **row.model_dump(exclude={"day", "slice_kind", "slice"}), day=day)
                    for row in part
                ]
    return rows, coverage


def _as_it_is(_: str, word: str) -> str:
    return word


def with_restated(
    rates: Iterable[Mapping[str, Any]], restated: Iterable[Mapping[str, Any]], taxonomy: Taxonomy
) -> list[dict[str, Any]]:
    """Rows of `friction_rates` with the past that later labels gave to types in force, as rows of the days concerned.

    What a later day says of the same past wins. Types that are no longer in force (an undone acceptance) get none.
    """
    in_force = {(kind, slug) for kind in ("friction", "delight") for slug in taxonomy.slugs(kind)}
    names = ("kind", "type", "source", "window_days", "about_day")
    past: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for row in sorted(restated, key=lambda row: row["day"]):
        if (row["kind"], row["type"]) in in_force:
            past[tuple(row[name] for name in names)] = row
    made = [
        {**{name: value for name, value in row.items() if name != "about_day"}, "day": row["about_day"]}
        | {"slice_kind": "all", "slice": "all"}
        for row in past.values()
    ]
    told = {(row["kind"], row["type"], row["source"], row["window_days"], row["day"]) for row in made}
    kept = [
        dict(row)
        for row in rates
        if row["slice_kind"] != "all"
        or (row["kind"], row["type"], row["source"], row["window_days"], row["day"]) not in told
    ]
    return kept + made


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
    by = list(dict.fromkeys(["user", "organization", *([] if slice_kind == "all" else [slice_kind])]))
    cells = window.cells(source, [(item.kind, item.type) for item in types], by)
    everyone = cells if source == "detector" else window.cells("detector", [], by)
    version = int(window["taxonomy_version"].max()) if len(window) else 0
    slices = _slices(window, cells, slice_kind)
    standing = _standing(window, cells, slices, audience, size_shown if days > 1 else day_shown)
    concerned = [_spoken_of(window, cells, standing, events, audience) for events in cells.events]
    rows: list[FrictionRate] = []
    skipped = {"too_few_users": len(types) * (len(slices) - len(standing)), "small_numerator": 0}
    for slice_name, mask in standing:
        group = _size(window, cells, mask)
        represented = rounded_low(_represented(cells, everyone, slice_kind, mask), group.sessions, audience)
        estimates = interval(*_by_user(cells, mask))
        worth = _worth(cells, mask)
        for row, item in enumerate(types):
            if slice_name not in concerned[row]:
                skipped["small_numerator"] += 1
                continue
            rate, low, high = rounded_interval(estimates.of(row), worth, group.users, audience)
            rows.append(
                FrictionRate(
                    day=day,
                    kind=item.kind,
                    type=item.type,
                    slice_kind=slice_kind,
                    slice=slice_name if slice_kind in OURS else label(slice_kind, slice_name),
                    source=source,
                    window_days=days,
                    rate=rate,
                    low=low,
                    high=high,
                    users=band(group.users, audience),
                    sessions=band(group.sessions, audience),
                    coverage=represented,
                    severe_share=_severe_share(window, cells, row, mask, audience) if item.kind == "friction" else None,
                    taxonomy_version=version,
                )
            )
    asked = len(types) * len(slices)
    return rows, Coverage(asked=asked, answered=len(rows), skipped={why: n for why, n in skipped.items() if n})


_Slice = tuple[str, NDArray[np.bool_]]


def _standing(
    counts: Counts,
    cells: Cells,
    slices: Sequence[_Slice],
    audience: Audience,
    enough: Callable[[Audience, Size], bool] = size_shown,
) -> list[_Slice]:
    """The slices that may be shown beside their total: large enough, and so is what they leave of it."""
    large = [part for part in slices if enough(audience, _size(counts, cells, part[1]))]

    def alone(kept: Sequence[_Slice]) -> bool:
        rest = _rest(cells, kept)
        return audience != "self" and bool(rest.any()) and not size_shown(audience, _size(counts, cells, rest))

    return without_complements(large, lambda part: _size(counts, cells, part[1]).sessions, alone)


def _spoken_of(
    counts: Counts,
    cells: Cells,
    slices: Sequence[_Slice],
    events: NDArray[np.float64],
    audience: Audience,
    *,
    beside_total: bool = True,
) -> set[str]:
    """Slices of which a rate may be told: enough users met it, and enough had sessions without it.

    What the other slices leave over of the total are no sessions, or such a group, too: nobody concerned in it is
    hidden like a few, or the presence of the others would tell the two apart.
    """

    def users(mask: NDArray[np.bool_]) -> int:
        return counts.users(cells.columns["user"][mask])

    def both(mask: NDArray[np.bool_]) -> bool:
        return part_shown(audience, users(mask & (events > 0)), users(mask & (events < cells.weight - 1e-9)))

    def alone(kept: Sequence[_Slice]) -> bool:
        rest = _rest(cells, kept)
        return audience != "self" and bool(rest.any()) and not both(rest)

    enough = [part for part in slices if both(part[1])]
    if beside_total and both(np.ones(len(events), dtype=bool)):  # else there is no total beside them
        enough = without_complements(enough, lambda part: users(part[1] & (events > 0)), alone)
    return {name for name, _ in enough}


def _rest(cells: Cells, kept: Sequence[_Slice]) -> NDArray[np.bool_]:
    """The cells of no kept slice."""
    rest = np.ones(len(cells.weight), dtype=bool)
    for _, mask in kept:
        rest &= ~mask
    return rest


def _severe_share(counts: Counts, cells: Cells, row: int, mask: NDArray[np.bool_], audience: Audience) -> float | None:
    """Share of the sessions concerned whose worst event was high; None where too few users had one, and where none."""
    severe = mask & (cells.high[row] > 0)
    weight, sessions = float(cells.events[row, mask].sum()), round(float(cells.concerned[row, mask].sum()))
    if not weight or not concerned_shown(audience, counts.users(cells.columns["user"][severe])):
        return None
    return rounded_rate(float(cells.high[row, mask].sum()) / weight, sessions, audience)


def _size(counts: Counts, cells: Cells, mask: NDArray[np.bool_]) -> Size:
    """What some cells rest on, for thresholds and bands."""
    column, sessions = cells.columns["organization"], cells.sessions
    known = mask & (column >= 0)
    by_organization = np.bincount(column[known], sessions[known])
    return Size(
        users=counts.users(cells.columns["user"][mask]),
        sessions=round(float(sessions[mask].sum())),
        organizations=int((by_organization > 0).sum()) if (column >= 0).any() else None,
        largest=round(float(by_organization.max(initial=0.0))),
    )


def _slices(counts: Counts, cells: Cells, slice_kind: str) -> list[tuple[str, NDArray[np.bool_]]]:
    """Values of a slice with the cells they hold; what is not known (no version, not analysed) is no slice."""
    if slice_kind == "all":
        return [(ANY, np.ones(len(cells.weight), dtype=bool))] if len(cells.weight) else []
    words = counts.words[slice_kind]
    column = cells.columns[slice_kind]
    return [(words[code], column == code) for code in np.unique(column) if code >= 0 and words[code] != UNKNOWN]


def _worth(cells: Cells, mask: NDArray[np.bool_]) -> int:
    """What the sessions are worth, for the grid and the ends of published rates: unequal weights make both coarser."""
    return round(cells.worth(mask))


def _by_user(cells: Cells, mask: NDArray[np.bool_]) -> tuple[Any, Any, float, float]:
    users, index = np.unique(cells.columns["user"][mask], return_inverse=True)
    events = np.zeros((cells.events.shape[0], len(users)))
    for row in range(len(events)):
        events[row] = add_up(index, cells.events[row, mask], len(users))
    weight, sessions = add_up(index, cells.weight[mask], len(users)), float(cells.sessions[mask].sum())
    return weight, events, sessions, cells.worth(mask)


def _represented(cells: Cells, everyone: Cells, slice_kind: str, mask: NDArray[np.bool_]) -> float:
    """Weighted share of the slice's sessions that the source looked at."""
    inside = np.ones(len(everyone.weight), dtype=bool)
    if slice_kind != "all":
        inside = everyone.columns[slice_kind] == cells.columns[slice_kind][mask][0]
    total = float(everyone.weight[inside].sum())
    return round(min(float(cells.weight[mask].sum()) / total, 1.0), 2) if total else 0.0


# --- with noise -------------------------------------------------------------------------------------------------


def public_release(
    day: date, counts: Counts, *, types: Sequence[CountedType], spending: Spending, patterns_a_day: int, key: bytes
) -> NoisyRelease:
    """What the audience `public` may ask of a day: its users by friction and delight type, of all sessions.

    One day and no slices: windows would charge a day again and again. Types of the detectors only.
    """
    today = counts.as_of(day).window(day, 1)
    pairs = [(item.kind, item.type) for item in types if item.source == "detector"]
    return NoisyRelease(
        day=day,
        surface=FrictionRate.table,
        query="users by type",
        spending=spending,
        patterns_a_day=patterns_a_day,
        counts=bounded(today.met(pairs, "detector"), patterns_a_day, key, day),
        active=len(today.met([("session", ANY)], "detector")),
    )


def public_rates(day: date, counts: Counts, told: Noisy, *, types: Sequence[CountedType]) -> list[FrictionRate]:
    """Shares of the day's users, from noisy numbers only; intervals are those of the noise."""
    today = counts.as_of(day).window(day, 1)
    version = int(today["taxonomy_version"].max()) if len(today) else 0
    reach, active_reach = quantile(told.pattern_scale, 0.025), quantile(told.active_scale, 0.025)
    ends = (told.active + active_reach, max(told.active - active_reach, 1))
    return [
        FrictionRate(
            day=day,
            kind=item.kind,
            type=item.type,
            slice_kind=ANY,
            slice=ANY,
            source="detector",
            window_days=1,
            rate=round(min(told.counts[item.type] / told.active, 1.0), 3),
            low=round(min(max(told.counts[item.type] - reach, 0) / ends[0], 1.0), 3),
            high=round(min((told.counts[item.type] + reach) / ends[1], 1.0), 3),
            users=f"about {told.counts[item.type]}",
            sessions=WITHHELD,
            coverage=1.0,
            taxonomy_version=version,
        )
        for item in types
        if item.source == "detector" and item.type in told.counts
    ]


# --- releases ---------------------------------------------------------------------------------------------------


def release_correlations(
    day: date, counts: Counts, releases: Rows, *, types: Sequence[CountedType], audience: Audience, label: Label
) -> tuple[list[ReleaseCorrelation], Coverage]:
    """Every open release against what was run before it, for every type (see `releases.py`).

    The day's family is everything compared here.
    """
    found = [finding for line in lines(day, counts, releases, types) for finding in findings(day_number(day), line)]
    rows = [_release_row(day, one, counts, audience, label) for one in judged(found)]
    withheld = sum(row.evidence == "not_enough_data" for row in rows)
    rows.sort(key=lambda row: (row.agent_name, row.release_kind, row.released_on, row.version, row.kind, row.type))
    skipped = {"not_enough_data": withheld} if withheld else {}
    return rows, Coverage(asked=len(rows), answered=len(rows) - withheld, skipped=skipped)


def _release_row(day: date, one: Judged, counts: Counts, audience: Audience, label: Label) -> ReleaseCorrelation:
    finding, judgement, echo = one.finding, one.judgement, one.echo
    line, comparison = finding.line, finding.comparison
    shipped, item = line.shipped[finding.release], line.types[finding.row]
    before, after = (_size(counts, line.cells, mask) for mask in (finding.before, finding.after))
    groups_shown = size_shown(audience, before) and size_shown(audience, after)
    evidence: Evidence = judgement.evidence if groups_shown else "not_enough_data"
    evidence = "none" if echo and evidence in ("suspected", "confirmed") else evidence
    fewest = min(before.sessions, after.sessions)
    told = evidence != "not_enough_data"
    figures = _figures(finding, counts, before, after, told, audience) if groups_shown else {}
    known = "effect" in figures or audience == "self"
    detectable = comparison.smallest_detectable(judgement.comparisons) if known and before.sessions else None
    return ReleaseCorrelation(
        day=day,
        agent_name=label("agent", line.agent),
        release_kind=line.kind,
        version=label(COLUMN[line.kind], shipped.word),
        released_on=date(1970, 1, 1) + timedelta(days=shipped.on),
        kind=item.kind,
        type=item.type,
        source=line.source,
        verdict=verdict(comparison, evidence, item.kind) if not echo else "inconclusive",
        evidence=evidence,
        q=rounded_q(judgement.q, audience) if judgement.q is not None and told and known else None,
        smallest_detectable=None if detectable is None else rounded_high(detectable, fewest, audience),
        users_after=band(after.users if groups_shown else 0, audience),
        sessions_after=band(after.sessions if groups_shown else 0, audience),
        comparisons=family(judgement.comparisons, audience),
        incidents=finding.incidents,
        **figures,
    )


def _figures(
    finding: Finding, counts: Counts, before: Size, after: Size, told: bool, audience: Audience
) -> dict[str, float]:
    """The figures of a comparison: each rate where enough users are and are not concerned, the rest where both are.

    A rate does not depend on whether there was enough data to compare it: that lies with the other side's hidden count.
    """
    comparison, line, fewest = finding.comparison, finding.line, min(before.sessions, after.sessions)
    events, user = line.cells.events[finding.row], line.cells.columns["user"]
    spared = events < line.cells.weight - 1e-9
    known = [
        part_shown(audience, counts.users(user[mask & (events > 0)]), counts.users(user[mask & spared]))
        for mask in (finding.before, finding.after)
    ]
    figures: dict[str, float] = {}
    if known[0]:
        figures["rate_before"] = rounded_rate(comparison.rate_before, before.sessions, audience)
    if known[1]:
        figures["rate_after"] = rounded_rate(comparison.rate_after, after.sessions, audience)
    if all(known) and told:
        figures |= {
            "effect": rounded_rate(comparison.effect, fewest, audience),
            "low": rounded_low(comparison.low, fewest, audience),
            "high": rounded_high(comparison.high, fewest, audience),
            "z": round(comparison.z, 1) if audience == "self" else round(2 * comparison.z) / 2,
            "e_value": rounded_e(comparison.e_value, audience),
        }
    return figures


def verdict(comparison: Comparison, evidence: Evidence, kind: Kind) -> Verdict:
    """What a comparison says in a word: more friction is worse, more delight is better."""
    if evidence in ("suspected", "confirmed"):
        return "regressed" if (comparison.effect > 0) == (kind == "friction") else "improved"
    return "unchanged" if evidence == "none" and comparison.equivalent else "inconclusive"


# --- intents ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _IntentWeek:
    """A week's analysed sessions by intent; rows of `cells`: friction (medium or high), success, abandoned."""

    counts: Counts
    cells: Cells
    slices: int
    standing: Mapping[str, NDArray[np.bool_]]
    """Intents that may be shown, with their cells."""
    concerned: Collection[str]
    """Of them, those whose friction may be told."""

    @classmethod
    def of(cls, window: Counts, audience: Audience) -> "_IntentWeek":
        """The week of a window of counts."""
        wanted = (("friction", ANY), ("outcome", "success"), ("outcome", "abandoned"))
        cells = window.cells("analyst", wanted, ("user", "organization", "about", "intent"))
        cells = replace(cells, events=np.vstack([cells.high[:1] + cells.medium[:1], cells.events[1:]]))
        slices = _slices(window, cells, "intent")
        standing = _standing(window, cells, slices, audience)
        concerned = _spoken_of(window, cells, standing, cells.events[0], audience, beside_total=False)
        return cls(window, cells, len(slices), dict(standing), concerned)

    def share(self, intent: str) -> float:
        """Weighted share of an intent."""
        return float(self.cells.weight[self.standing[intent]].sum()) / float(self.cells.weight.sum())

    def rate(self, intent: str, row: int, audience: Audience) -> float | None:
        """A row's rate as it may be told of an intent; None where it may not, or where nothing is known of it."""
        mask = self.standing.get(intent)
        if mask is None or (row == 0 and intent not in self.concerned):
            return None
        return _outcome_rate(self.counts, self.cells, row, mask, audience)


def intent_trends(
    day: date, counts: Counts, *, audience: Audience, since: date | None = None
) -> tuple[list[IntentTrend], Coverage]:
    """Volume, friction and outcome per intent over the trailing 7 days and against the 7 before; what costs most first.

    Over analysed sessions, weighted by inclusion. Friction: sessions whose worst event is of medium or high severity.
    Verdicts are of friction, one family over the intents that both weeks may tell of, judged as releases are.
    since: first day of the present reader; a week before it is compared with nothing.
    """
    view = counts.as_of(day)
    now = _IntentWeek.of(view.window(day, TREND_DAYS), audience)
    week_before = view.of_one_reader(since).window(day - timedelta(days=TREND_DAYS), TREND_DAYS)
    before = _IntentWeek.of(week_before, audience)
    shown = [intent for intent in now.standing if intent in now.concerned]
    verdicts = _friction_verdicts(before, now, [intent for intent in shown if intent in before.concerned])
    rows = [_intent_row(day, intent, now, before, verdicts, audience) for intent in shown]
    rows.sort(key=lambda row: (-row.cost, row.intent))
    skipped = {"too_few_users": now.slices - len(now.standing), "small_numerator": len(now.standing) - len(shown)}
    skipped = {reason: count for reason, count in skipped.items() if count}
    return rows, Coverage(asked=now.slices, answered=len(rows), skipped=skipped)


def _friction_verdicts(before: _IntentWeek, now: _IntentWeek, intents: Sequence[str]) -> dict[str, Verdict]:
    """What became of the friction of each intent from one week to the next."""
    row = np.array([0], dtype=np.int64)
    comparisons = [
        compare(before.cells.cohort(before.standing[intent], row), now.cells.cohort(now.standing[intent], row))[0]
        for intent in intents
    ]
    return {
        intent: verdict(comparison, judgement.evidence, "friction")
        for intent, comparison, judgement in zip(intents, comparisons, judge(comparisons), strict=True)
    }


def _intent_row(
    day: date,
    intent: str,
    now: _IntentWeek,
    before: _IntentWeek,
    verdicts: Mapping[str, Verdict],
    audience: Audience,
) -> IntentTrend:
    mask = now.standing[intent]
    group = _size(now.counts, now.cells, mask)
    friction = replace(now.cells, events=now.cells.events[:1])
    estimate = interval(*_by_user(friction, mask))
    rate, low, high = rounded_interval(estimate.of(0), _worth(now.cells, mask), group.users, audience)
    share = rounded_rate(now.share(intent), group.sessions, audience)

    def change(row: int) -> float | None:
        """Of what is published of both weeks."""
        then, today = before.rate(intent, row, audience), now.rate(intent, row, audience)
        return None if then is None or today is None else round(today - then, 4)

    change_of_share = None
    if intent in before.standing:
        change_of_share = rounded_rate(now.share(intent) - before.share(intent), group.sessions, audience)
    return IntentTrend(
        day=day,
        intent=intent,
        share=share,
        friction_rate=rate,
        low=low,
        high=high,
        cost=round(share * rate, 4),
        success_rate=now.rate(intent, 1, audience),
        abandoned_rate=now.rate(intent, 2, audience),
        change=change_of_share,
        friction_change=change(0),
        success_change=change(1),
        abandoned_change=change(2),
        verdict=verdicts.get(intent, "inconclusive"),
        users=band(group.users, audience),
        sessions=band(group.sessions, audience),
    )


def _outcome_rate(counts: Counts, cells: Cells, row: int, mask: NDArray[np.bool_], audience: Audience) -> float | None:
    if not concerned_shown(audience, counts.users(cells.columns["user"][mask & (cells.events[row] > 0)])):
        return None
    rate = float(cells.events[row, mask].sum() / cells.weight[mask].sum())
    return rounded_rate(rate, _worth(cells, mask), audience)
