"""Stage 9: the day's report as a page, as Slack blocks, and as rows.

Put here: what the report says, in which order, from templates; nothing in it was written by a model.
Not here: charts (see `charts.py`, `svg.py`), the page's looks (`report.css`), posting it (`resources/notifier.py`).

Reads rows of the published tables as stored, and two of the abstracted zone (`clusters`, `taxonomy_proposals`), of
which only bands, opaque ids and names that a person accepted leave; the audience `self` sees their words.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from math import erfc, sqrt
from typing import Any, Final

from signals_assets.core import svg
from signals_assets.core.barrier.publication import slack_plain
from signals_assets.core.barrier.thresholds import (
    SHOWN,
    about,
    band,
    coarse,
    part_shown,
    rounded_high,
    rounded_interval,
    rounded_low,
    rounded_rate,
    shown,
)
from signals_assets.core.charts import (
    ANALYST_CHANGED,
    HISTORY_DAYS,
    WEEK,
    Mark,
    Rows,
    Series,
    bubbles,
    display_name,
    lanes,
    nice_ceiling,
    rate_series,
    release_marks,
    span,
)
from signals_assets.core.cost import cost_words
from signals_assets.core.rereading import Change, Reader
from signals_assets.core.statistics import benjamini_hochberg
from signals_assets.core.svg import esc, percent, points, short_day
from signals_assets.settings import Audience
from signals_assets.tables import TABLES, DailyReport

PUBLIC: Final = (
    "Share of the day's users with each kind of friction, with noise (differential privacy): each user counts in few "
    "kinds a day, a kind that few met is absent. "
    "Weeks, versions, intents, causes, releases, fixes and coverage are not shown."
)
CARDS: Final = 6
"""Proposals that are open on the page; the rest unfold."""
TRENDS: Final = 6
"""Pictures shown at once; the others stand behind a fold."""

SLACK_TEXT: Final = 2900
SLACK_HEADER: Final = 148
"""Slack refuses longer texts (3000) and headers (150)."""

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Report:
    """The day's report in its three forms, and the sentence on top of all of them."""

    html: str
    blocks: list[dict[str, object]]
    rows: list[DailyReport]
    headline: str


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report: markup for the page, plain sentences for Slack and the table."""

    id: str
    title: str
    lead: str
    body: str = ""
    lines: Sequence[tuple[str, str]] = field(default_factory=tuple)
    """(sentence, asset it comes from)"""


@dataclass(frozen=True, slots=True)
class _Day:
    """The rows at hand: those of the day, and history where a chart needs it."""

    day: date
    tables: Mapping[str, Rows]
    names: Mapping[str, str]
    audience: Audience
    coverage: Mapping[str, Mapping[str, int]]
    changes: Sequence[Change] = ()

    def rows(self, table: str) -> Rows:
        """The table's rows as of the day, in the order of their keys: however they were stored, one page results."""
        rows = [row for row in self.tables.get(table, ()) if row["day"] == self.day]
        return sorted(rows, key=lambda row: tuple(str(row[column]) for column in TABLES[table].key))

    def history(self, table: str) -> Rows:
        """The table's rows of the trailing four weeks."""
        first = self.day - timedelta(days=HISTORY_DAYS - 1)
        return [row for row in self.tables.get(table, ()) if first <= row["day"] <= self.day]

    def name(self, type_: str) -> str:
        """A type in words."""
        return display_name(type_, self.names)

    def ceilings(self) -> dict[str, float]:
        """Ceiling by friction type."""
        return {row["type"]: row["ceiling"] for row in self.rows("friction_levels") if row["slice"] == "all"}


def build(
    day: date,
    tables: Mapping[str, Rows],
    names: Mapping[str, str],
    audience: Audience,
    coverage: Mapping[str, Mapping[str, int]],
    changes: Sequence[Change] = (),
) -> Report:
    """The report of `day`.

    `tables`: rows by table name, as stored; `friction_rates`, `release_correlations` and `reader_agreement` with the
    four weeks before, others of the day (other days are left out). A table that is not there is an empty section that
    says so. `names`: taxonomy type, or accepted cluster, -> its name. `coverage`: stage -> `Coverage.as_dict()`, or
    other counts by name, which are shown to tens (as they are for the audience `self`); stage `cost` holds `cost_of`.
    `changes`: of the analyst's model or prompt.
    """
    if audience == "public":  # nothing but what left with noise
        tables, coverage, changes = {"friction_rates": tables.get("friction_rates", ())}, {}, ()
    recent = [change for change in changes if day - timedelta(days=HISTORY_DAYS) < change.day <= day]
    at = _Day(day, tables, names, audience, _rounded(coverage, audience), recent)
    headline = _headline(at)
    sections = [
        _hurts(at), _changes(at), _errors(at), _precedes(at), _new(at), _delighted(at), _loop(at), _intents(at),
        _readers(at), _covered(at), _reading(at),
    ]  # fmt: skip
    return Report(
        _page(at, headline, sections), _blocks(at, headline, sections), _rows(at, headline, sections), headline
    )


def _rounded(coverage: Mapping[str, Mapping[str, int]], audience: Audience) -> dict[str, dict[str, int]]:
    """What stages counted, to tens; what asking a model cost (tokens, millionths of a dollar) to a digit."""
    return {
        stage: {
            what: _rounded_cost(what, count, audience) if stage == "cost" else about(count, audience)
            for what, count in counts.items()
        }
        for stage, counts in coverage.items()
    }


def _rounded_cost(what: str, count: int, audience: Audience) -> int:
    """Sessions and per cent to tens, any at all to ten at least: a model was asked; tokens and prices to a digit."""
    if audience == "self" or not count:
        return count
    counted = what in ("sessions", "unpriced", "percent_seen")
    return max(about(count, audience), 10) if counted else round(coarse(count, audience))


# --- the headline ----------------------------------------------------------------------------------------------


def _headline(at: _Day) -> str:
    """The most important thing that is sure; a quiet day says so."""
    for look in (_worse_release, _crossed_level, _failed_fix, _working_fix, _better_release, _most_frequent):
        sentence = look(at)
        if sentence:
            return sentence
    return "Too few sessions or users on this day to say anything that holds"


def _confirmed(at: _Day, verdict: str) -> list[Mapping[str, Any]]:
    rows = [
        row
        for row in at.rows("release_correlations")
        if row["verdict"] == verdict and row["evidence"] == "confirmed" and row["effect"] is not None
    ]
    return sorted(rows, key=lambda row: (-abs(row["effect"]), row["type"], row["version"]))


def _worse_release(at: _Day) -> str | None:
    rows = [row for row in _confirmed(at, "regressed") if row["kind"] == "friction"]
    return f"{_release_words(at, rows[0])}; confirmed" if rows else None


def _better_release(at: _Day) -> str | None:
    rows = [row for row in _confirmed(at, "improved") if row["kind"] == "friction"]
    return f"{_release_words(at, rows[0])}; confirmed" if rows else None


def _crossed_level(at: _Day) -> str | None:
    for row in at.rows("friction_levels"):
        if row["crossed"] and row["slice"] == "all" and row["level"] is not None:
            over = f"{percent(row['level'])} of sessions, ceiling {percent(row['ceiling'])}"
            return f"{at.name(row['type'])} crossed its threshold: {over}"
    return None


def _failed_fix(at: _Day) -> str | None:
    for row in at.rows("fix_outcomes"):
        if row["verdict"] == "regressed":
            return f"The fix of {at.name(row['type']).lower()} in {row['version']} made it worse"
    return None


def _working_fix(at: _Day) -> str | None:
    for row in at.rows("fix_outcomes"):
        if row["verdict"] == "improved":
            return f"The fix in {row['version']} works: {_before_after(at, row)}"
    return None


def _most_frequent(at: _Day) -> str | None:
    for series in rate_series(at.rows("friction_rates"), at.names, until=at.day):
        newest = series.newest
        if newest and newest.day == at.day:
            interval = f"{percent(newest.low)} to {percent(newest.high)}"
            return (
                f"No change is confirmed; most frequent is {series.name.lower()}: {percent(newest.value)} ({interval})"
            )
    return None


def _before_after(at: _Day, row: Mapping[str, Any]) -> str:
    name = at.name(row["type"]).lower()
    if row["rate_before"] is None and row["rate_after"] is None:
        return name
    return f"{name} went from {_rate(row['rate_before'])} to {_rate(row['rate_after'])} of sessions"


def _rate(rate: float | None) -> str:
    """A rate; where few or nobody is behind it, it is absent and both are said alike."""
    return "too few" if rate is None else percent(rate)


def _release_words(at: _Day, row: Mapping[str, Any]) -> str:
    """What a release did to a type, in words. More delight is better, more friction is worse."""
    verb = {"regressed": "got worse with", "improved": "got better with", "unchanged": "did not change with"}
    kind = "" if row["release_kind"] == "version" else f"{row['release_kind']} "
    words = f"{at.name(row['type'])} {verb.get(row['verdict'], 'cannot be judged for')} {kind}{row['version']}"
    if row["rate_before"] is None and row["rate_after"] is None:
        return words
    return f"{words}: {_rate(row['rate_before'])} → {_rate(row['rate_after'])} of sessions"


# --- sections --------------------------------------------------------------------------------------------------


def _hurts(at: _Day) -> Section:
    section = ("hurts", "What hurts most")
    today = at.rows("friction_rates")
    series = rate_series(today, at.names, until=at.day)
    if not series:
        return Section(*section, _too_few(at, "friction rate"))
    levels = {row["type"]: row for row in at.rows("friction_levels") if row["slice"] == "all"}
    order = [(one.type, one.source) for one in series]
    body = _rates_table(at, [_row_of(today, *key) for key in order], "friction", levels)
    others = [row for row in _overall(today, "friction") if (row["type"], row["source"]) not in order]
    if others:
        body += _fold("The same as the analyst sees it (on sampled sessions, weighted)",
                      _rates_table(at, others, "friction", {}))  # fmt: skip
    body += _trends(at, "friction")
    top = series[0].newest
    lead = f"Share of sessions with each kind of friction, trailing {_window(today)}."
    lead = PUBLIC if at.audience == "public" else lead
    lines = [
        ((f"{one.name}: {percent(one.newest.value)} of sessions "
         f"({percent(one.newest.low)} to {percent(one.newest.high)})"), "friction_rates")
        for one in series[:3] if one.newest
    ]  # fmt: skip
    lines += [
        (f"{at.name(row['type'])}: {row['reason']}", "friction_levels") for row in levels.values() if row["crossed"]
    ]
    return Section(*section, lead if top else "", body, lines)


def _overall(rows: Rows, kind: str) -> list[Mapping[str, Any]]:
    """One row per type and source over all sessions: the trailing week where it is there, else the day."""
    best: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["type"], row["source"], row["window_days"])):
        if row["kind"] == kind and row["slice_kind"] == "all":
            best[row["type"], row["source"]] = row
    return sorted(best.values(), key=lambda row: (-row["rate"], row["type"]))


def _row_of(rows: Rows, type_: str, source: str) -> Mapping[str, Any]:
    return next(row for kind in ("friction", "delight") for row in _overall(rows, kind)
                if (row["type"], row["source"]) == (type_, source))  # fmt: skip


def _window(rows: Rows) -> str:
    return "week" if any(row["window_days"] == WEEK for row in rows) else "day"


def _rates_table(
    at: _Day, rows: Sequence[Mapping[str, Any]], kind: str, levels: Mapping[str, Mapping[str, Any]]
) -> str:
    ceilings = at.ceilings() if levels else {}
    top = _axis_top([row["high"] for row in rows] + [ceilings.get(row["type"], 0.0) for row in rows])
    has_state = bool(levels)
    heads = ["Type", f"Share of sessions, 0 to {percent(top)}", "Rate (95 % interval)", "Over", "Looked at"]
    lines = []
    for row in rows:
        interval = f"{percent(row['rate'])} <small>{percent(row['low'])} to {percent(row['high'])}</small>"
        over = _over(row["sessions"], row["users"])
        bar = svg.interval_bar(
            row["rate"], row["low"], row["high"], top=top, tone=kind, ceiling=ceilings.get(row["type"])
        )
        name = esc(at.name(row["type"])) + _severe(row)
        cells = [name, bar, interval, over, _looked_at(row)]
        lines.append([*cells, _state_badge(levels.get(row["type"]))] if has_state else cells)
    return _table([*heads, "State"] if has_state else heads, lines, wide=1)


def _looked_at(row: Mapping[str, Any]) -> str:
    return f"{percent(row['coverage'])} <small>{esc(row['source'])}</small>"


def _severe(row: Mapping[str, Any]) -> str:
    return "" if row["severe_share"] is None else f"<small>{percent(row['severe_share'])} of them severe</small>"


_STATES: Final = {
    "ok": ("plain", "under its ceiling"), "rising": ("worse", "rising"), "over": ("worse", "over"),
    "crossed": ("worse", "crossed today"), "cooldown": ("plain", "acted on lately"),
    "recovering": ("better", "recovering"), "stale": ("plain", "too old to act on"),
    "not_enough_data": ("plain", "too few data"), "suppressed": ("plain", "suppressed"),
}  # fmt: skip


def _state_badge(level: Mapping[str, Any] | None) -> str:
    if level is None:
        return ""
    tone, words = _STATES.get(level["state"], ("plain", level["state"]))
    title = esc(level["reason"])
    return f'<span class="badge {tone}" title="{title}">{esc(words)}</span>'


def _trends(at: _Day, kind: str) -> str:
    series = rate_series(at.history("friction_rates"), at.names, until=at.day, kind=kind)
    ends = span(point.day for one in series for point in (*one.weekly, *one.daily))
    if ends is None or ends[0] == ends[1]:
        return ""
    marks = [mark for mark in release_marks(at.history("release_correlations"), until=at.day) if mark.day > ends[0]]
    ceilings = at.ceilings() if kind == "friction" else {}
    pictures = [
        f"<figure><figcaption><h3>{esc(one.name)}</h3><span>{percent(one.newest.value)}</span></figcaption>"
        f"{svg.trend(one, _marks(at, one, marks, ends[0]), *ends, ceilings.get(one.type))}</figure>"
        for one in series
        if one.newest
    ]
    note = (
        '<p class="note">Line: trailing week with its 95 % interval. Dots: single days. Dashed upright: a release. '
        f"{'Dashed level: the ceiling. ' if ceilings else ''}Each picture has its own scale.</p>"
    )
    more = pictures[TRENDS:]
    fold = _fold(f"{len(more)} more", f'<div class="trends">{"".join(more)}</div>') if more else ""
    return f'{note}<div class="trends">{"".join(pictures[:TRENDS])}</div>{fold}'


def _marks(at: _Day, series: Series, releases: Sequence[Mark], first: date) -> list[Mark]:
    """Releases, and for what the analyst counts the days on which it became another: its steps are not the agent's."""
    changes = at.changes if series.source == "analyst" else ()
    own = [Mark(change.day, ANALYST_CHANGED) for change in changes if change.day > first]
    return sorted([*releases, *own], key=lambda mark: (mark.day, mark.label))


_EVIDENCE_ORDER: Final = {"confirmed": 0, "suspected": 1, "none": 2, "not_enough_data": 3}
_VERDICT_ORDER: Final = {"regressed": 0, "improved": 1, "unchanged": 2, "inconclusive": 3}


def _changes(at: _Day) -> Section:
    section = ("changes", "What changed, and since which release")
    rows = sorted(
        at.rows("release_correlations"),
        key=lambda row: (
            _EVIDENCE_ORDER[row["evidence"]], _VERDICT_ORDER[row["verdict"]], -abs(row["effect"] or 0.0),
            row["type"], row["version"],
        ),
    )  # fmt: skip
    if not rows:
        return Section(*section, "No release is open for comparison on this day.")
    telling = [row for row in rows if row["verdict"] in ("regressed", "improved") and row["evidence"] in _EVIDENCE_SURE]
    family = max(row["comparisons"] for row in rows)
    releases = len({(row["agent_name"], row["release_kind"], row["version"]) for row in rows})
    lead = (
        f"{_count(len(telling), 'change')} shown among {_count(family, 'comparison')} over "
        f"{_count(releases, 'open release')}, by the version each session really ran; false discoveries held at 5 %."
    )
    body = _changes_table(at, telling) if telling else ""
    rest = [row for row in rows if row not in telling]
    if rest:
        counts = Counter("unchanged" if row["verdict"] == "unchanged" else row["evidence"] for row in rest)
        words = {"unchanged": "shown to be equal", "none": "without a difference that can be told from chance",
                 "not_enough_data": "with too few data yet", "suspected": "open", "confirmed": "open"}  # fmt: skip
        said = ", ".join(f"{n} {words[what]}" for what, n in sorted(counts.items(), key=lambda item: (-item[1], item)))
        body += _fold(f"The other {len(rest)}: {said}", _changes_table(at, rest))
    lines = [(f"{_release_words(at, row)}; {row['evidence']}", "release_correlations") for row in telling[:5]]
    return Section(*section, lead, body, lines or [("No change can be tied to a release", "release_correlations")])


_EVIDENCE_SURE: Final = ("confirmed", "suspected")


def _changes_table(at: _Day, rows: Sequence[Mapping[str, Any]]) -> str:
    top = _difference_top(rows)
    lines = []
    for row in rows:
        tone = {"regressed": "worse", "improved": "better"}.get(row["verdict"], "plain")
        known = None not in (row["effect"], row["low"], row["high"])
        bar = svg.difference_bar(row["effect"], row["low"], row["high"], top=top, tone=tone) if known else ""
        effect = (
            f"{points(row['effect'])} <small>{points(row['low'])} to {points(row['high'])}</small>" if known else "–"
        )
        badge = f'<span class="badge {tone}">{esc(row["evidence"].replace("_", " "))}</span>'
        words = f"{esc(_release_words(at, row))}<small>{_release_details(row)}</small>"
        over = _over(row["sessions_after"], row["users_after"])
        lines.append([words, bar, effect, over, badge + _proof(row)])
    return _table(
        ["Release", f"Points, −{100 * top:g} to +{100 * top:g}", "Difference (95 %)", "Over", "Evidence"], lines, wide=1
    )


def _release_details(row: Mapping[str, Any]) -> str:
    words = f"{row['agent_name']}, released {short_day(row['released_on'])}, {row['source']}"
    if row["smallest_detectable"] is not None and row["evidence"] not in _EVIDENCE_SURE:
        words += f"; would have seen {100 * row['smallest_detectable']:.0f} points or more"
    return esc(words)


def _proof(row: Mapping[str, Any]) -> str:
    parts = [f"q {row['q']:.2g}" if row["q"] is not None else "", _e_words(row["e_value"])]
    said = ", ".join(part for part in parts if part)
    return f"<small>{said}</small>" if said else ""


def _e_words(value: float | None) -> str:
    if value is None:
        return ""
    return "e over 10 000" if value > 10_000 else f"e {value:.3g}"


def _errors(at: _Day) -> Section:
    section = ("errors", "Backend errors that go with it")
    rows = at.rows("error_correlations")
    hits = sorted(
        (row for row in rows if row["verdict"] == "coincides"), key=lambda row: (-(row["ratio"] or 0), row["type"])
    )
    if not rows:
        return Section(*section, "No backend errors were compared with friction on this day.")
    family = max(row["comparisons"] for row in rows)
    lead = f"{_count(len(hits), 'pair')} of error and friction among {family} coincide more often than chance allows. "
    lead += "Coincides is not causes: the error comes shortly before the friction in the same sessions."
    lines = [
        [
            f"<code>{esc(row['template'])}</code><small>{esc(row['service'])}</small>",
            esc(at.name(row["type"])),
            f"{row['ratio']:.1f} times<small>{row['low']:.1f} to {row['high']:.1f}</small>",
            f"{row['observed']:g}<small>{row['expected']:g} expected by chance</small>",
            _over(row["sessions"], row["users"]),
            "–" if row["q"] is None else f"{row['q']:.2g}",
        ]
        for row in hits
        if None not in (row["ratio"], row["low"], row["high"], row["observed"], row["expected"])
    ]
    heads = ["Error", "Friction", "Ratio (95 % interval)", "Observed", "Over", "q"]
    said = [
        (
            f"{at.name(row['type'])} coincides with {row['template']} ({row['ratio']:.1f} times chance)",
            "error_correlations",
        )
        for row in hits[:3]
        if row["ratio"] is not None
    ]
    return Section(*section, lead, _table(heads, lines) if lines else "", said)


def _precedes(at: _Day) -> Section:
    section = ("precedes", "Early signs")
    rows = sorted(at.rows("leading_indicators"), key=lambda row: (-row["difference"], row["indicator"], row["outcome"]))
    if not rows:
        return Section(*section, _too_few(at, "leading indicator"))
    telling = [row for row in rows if row["low"] > 0 and (row["q"] is None or row["q"] <= FALSE_DISCOVERY)]
    body = _precedes_table(at, telling) if telling else ""
    rest = [row for row in rows if row not in telling]
    if rest:
        body += _fold(f"{_count(len(rest), 'pair')} without a clear difference", _precedes_table(at, rest))
    lines = [
        ((f"After {_condition(at, row['indicator'])}, {_condition(at, row['outcome'])} in "
         f"{percent(row['rate_with'])} of cases ({percent(row['rate_without'])} otherwise)"), "leading_indicators")
        for row in telling[:3]
    ]  # fmt: skip
    lead = "What came before sessions went wrong, against sessions of the same length in which it did not happen."
    return Section(*section, lead, body, lines)


FALSE_DISCOVERY: Final = 0.05
"""Share of false discoveries that every family of comparisons is held to."""


def _precedes_table(at: _Day, rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        [
            (
                f"{esc(_condition(at, row['indicator']).capitalize())}"
                f"<small>then {esc(_condition(at, row['outcome']))}</small>"
            ),
            percent(row["rate_with"]),
            percent(row["rate_without"]),
            f"{points(row['difference'])} points<small>{points(row['low'])} to {points(row['high'])}</small>",
            _lead_words(row),
            _over(row["sessions"], row["users"]),
        ]
        for row in rows
    ]
    return _table(["First", "With it", "Without", "Difference (95 %)", "Warning time", "Over"], lines)


def _condition(at: _Day, text: str) -> str:
    """`repeated_rephrasing>=2` -> "repeated rephrasing at least twice"; `outcome=x` -> "the session ends x"."""
    if text.startswith("outcome="):
        return f"the session ends {text.removeprefix('outcome=').replace('_', ' ')}"
    what, _, times = text.partition(">=")
    often = {"": "", "1": "", "2": " at least twice"}.get(times, f" at least {times} times")
    return f"{at.name(what).lower()}{often}"


def _lead_words(row: Mapping[str, Any]) -> str:
    steps = "" if row["lead_steps"] is None else f"{row['lead_steps']:g} steps"
    minutes = "" if row["lead_minutes"] is None else f"<small>{row['lead_minutes']:g} minutes</small>"
    return f"{steps}{minutes}" or "–"


def _new(at: _Day) -> Section:
    section = ("new", "What is new")
    proposals = [
        row for row in at.rows("taxonomy_proposals")
        if shown(at.audience, row["users"], row["sessions"], row["organizations"])
    ]  # fmt: skip
    # Intents concern every session and come in numbers: what is rarer stands before them.
    proposals.sort(key=lambda row: (not row["ready"], row["kind"] == "intent", -row["users"], row["proposal_id"]))
    ready = sum(row["ready"] for row in proposals)
    patterns = bubbles(at.rows("clusters"), at.names, at.audience)
    if not (proposals or patterns):
        return Section(*section, "Nothing new that enough people share.")
    lead = (
        f"{_count(len(proposals), 'proposed category', 'proposed categories')}, {ready} ready for a person to decide."
    )
    lead += "" if at.audience == "self" else " What concerns too few people is not shown."
    cards = [_proposal(at, row) for row in proposals]
    body = "".join(cards[:CARDS])
    if cards[CARDS:]:
        body += _fold(f"{len(cards) - CARDS} more", "".join(cards[CARDS:]))
    if patterns:
        note = "Each circle is a pattern of alike moments; its area follows the users behind it, its colour the theme."
        if at.audience != "self":
            note += " Patterns carry ids until a person accepts a name; analysts see their words in the table clusters."
        body += f'<p class="note">{note}</p>{svg.cluster_map(patterns)}'
    lines = [(_proposal_words(at, row), "taxonomy_proposals") for row in proposals if row["ready"]]
    return Section(*section, lead, body, lines[:3])


def _proposal_words(at: _Day, row: Mapping[str, Any]) -> str:
    kind = row["kind"].replace("_", " ")
    near = f", nearest to {at.name(row['nearest']).lower()}" if row["nearest"] else ""
    name = f"“{row['name']}”" if at.audience == "self" else row["proposal_id"]
    return f"Proposed {kind} {name}{near}: {_dashed(band(row['users'], at.audience))} users on {row['days_seen']} days"


def _proposal(at: _Day, row: Mapping[str, Any]) -> str:
    badge = '<span class="badge better">ready to accept</span>' if row["ready"] else (
        f'<span class="badge plain">waits for {esc(row["waiting_for"].replace("_", " ") or "evidence")}</span>'
    )  # fmt: skip
    stability = "" if row["stability"] is None else f", found again in {percent(row['stability'])} of resamples"
    sessions = _dashed(band(row["sessions"], at.audience))
    monday = row["first_day"] - timedelta(days=row["first_day"].weekday())
    details = f"{sessions} sessions, first seen in the week of {short_day(monday)}{stability}"
    decide = f"signals taxonomy accept {row['proposal_id']}"
    text = f"<p>{esc(row['definition'])}</p>" if at.audience == "self" else ""
    return (
        f'<div class="proposal"><h3>{esc(_proposal_words(at, row))} {badge}</h3>{text}'
        f'<p class="note">{esc(details)}. Decide with <code>{esc(decide)}</code></p></div>'
    )


def _delighted(at: _Day) -> Section:
    section = ("delight", "What delighted")
    rows = _overall(at.rows("friction_rates"), "delight")
    if not rows:
        return Section(*section, _too_few(at, "delight rate"))
    body = _rates_table(at, rows, "delight", {}) + _trends(at, "delight")
    best = rows[0]
    lines = [(f"{at.name(best['type'])}: {percent(best['rate'])} of sessions", "friction_rates")]
    return Section(*section, "Moments that users showed they valued.", body, lines)


def _metric_value(value: float, unit: str) -> str:
    return {"share": percent(value), "days": f"{value:.3g} days"}.get(unit, f"{value:g}")


def _loop(at: _Day) -> Section:
    section = ("loop", "Tickets and fixes")
    tickets = at.rows("ticket_states")
    if not tickets:
        return Section(*section, "No ticket has been filed yet.", _metrics(at))
    chosen = lanes(tickets, at.names)
    first = min(lane.stages[0][1] for lane in chosen)
    states = Counter(row["state"] for row in tickets)
    lead = f"{_count(len(tickets), 'ticket')}: " + ", ".join(
        f"{n} {state.replace('_', ' ')}" for state, n in states.most_common()
    )
    body = (
        f'{svg.loop(chosen, first, at.day)}<div class="ends note"><span>{short_day(first)}</span>'
        f"<span>{short_day(at.day)}</span></div>{_fixes(at)}"
    )
    body += _fold(f"All {len(tickets)} tickets", _tickets_table(at, tickets)) + _metrics(at)
    lines = [(f"{_fix_verdict(row)} {_before_after(at, row)} ({row['version']})", "fix_outcomes")
             for row in at.rows("fix_outcomes")]  # fmt: skip
    return Section(*section, f"{lead}.", body, [(lead, "ticket_states"), *lines[:4]])


def _fix_verdict(row: Mapping[str, Any]) -> str:
    words = {"improved": "Fix works:", "regressed": "Fix made it worse:", "unchanged": "Fix changed nothing:"}
    return words.get(row["verdict"], "Fix cannot be judged yet:")


def _fixes(at: _Day) -> str:
    rows = at.rows("fix_outcomes")
    if not rows:
        return ""
    top = _difference_top(rows)
    lines = []
    for row in rows:
        tone = {"regressed": "worse", "improved": "better"}.get(row["verdict"], "plain")
        known = None not in (row["effect"], row["low"], row["high"])
        bar = svg.difference_bar(row["effect"], row["low"], row["high"], top=top, tone=tone) if known else ""
        effect = (
            f"{points(row['effect'])} <small>{points(row['low'])} to {points(row['high'])}</small>" if known else "–"
        )
        name = f"{esc(at.name(row['type']))} <small>{esc(row['ticket_key'])}, fixed in {esc(row['version'])}</small>"
        over = _over(row["sessions_after"], row["users_after"], f", {row['cohort']}")
        aside = f"<small>worse meanwhile: {esc(row['guardrails'])}</small>" if row["guardrails"] else ""
        lines.append([name, bar, effect, over, f'<span class="badge {tone}">{esc(row["verdict"])}</span>{aside}'])
    heads = ["Fix", f"Points, −{100 * top:g} to +{100 * top:g}", "Difference (95 %)", "Next cohort", "Verdict"]
    return _table(heads, lines, wide=1)


def _tickets_table(at: _Day, tickets: Rows) -> str:
    lines = [
        [
            f"{esc(at.name(row['type']))}<small>{esc(row['component'])}</small>",
            _reference(row),
            esc(row["state"].replace("_", " ")),
            short_day(row["filed_on"]),
            esc(row["pull_request_id"] or "–"),
            esc(row["released_in"] or "–"),
        ]
        for row in sorted(tickets, key=lambda row: (row["filed_on"], row["ticket_key"]), reverse=True)
    ]
    return _table(["Friction", "Ticket", "State", "Filed", "Pull request", "Released in"], lines)


def _reference(row: Mapping[str, Any]) -> str:
    """A link only where it leads to the web; a path of the machine that made the report helps nobody else."""
    if row["reference"].startswith("https://"):
        return f'<a href="{esc(row["reference"])}" rel="noreferrer">{esc(row["ticket_key"])}</a>'
    return f"<code>{esc(row['ticket_key'])}</code>"


def _metrics(at: _Day) -> str:
    rows = [row for row in at.rows("loop_metrics") if row["value"] is not None]
    lines = [
        [
            esc(row["metric"].replace("_", " ").capitalize()),
            esc(_metric_value(row["value"], row["unit"])),
            f"n = {row['n']}",
        ]
        for row in rows
    ]
    return _table(["How well the loop works", "Value", "Over"], lines) if lines else ""


def _intents(at: _Day) -> Section:
    section = ("intents", "What users came for")
    rows = sorted(at.rows("intent_trends"), key=lambda row: (-row["share"], row["intent"]))
    if not rows:
        return Section(*section, _too_few(at, "intent"))
    top = _axis_top([row["high"] for row in rows])
    lines = [
        [
            esc(at.name(row["intent"])),
            svg.interval_bar(row["friction_rate"], row["low"], row["high"], top=top),
            f"{percent(row['friction_rate'])} <small>{percent(row['low'])} to {percent(row['high'])}</small>",
            percent(row["share"]) + ("" if row["change"] is None else f"<small>{points(row['change'])} points</small>"),
            _share(row["success_rate"]),
            _share(row["abandoned_rate"]),
            _over(row["sessions"], row["users"]),
        ]
        for row in rows
    ]
    heads = ["Intent", f"With friction, 0 to {percent(top)}", "Rate (95 %)", "Share", "Success", "Abandoned", "Over"]
    lead = "Intents by volume, with the share of their sessions that met friction of medium or high severity."
    worst = max(rows, key=lambda row: (row["friction_rate"], row["intent"]))
    said = f"Most friction per session: {at.name(worst['intent']).lower()} ({percent(worst['friction_rate'])})"
    return Section(*section, lead, _table(heads, lines, wide=1), [(said, "intent_trends")])


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value)


# --- the readers


def _readers(at: _Day) -> Section:
    """What a change of the analyst did to its counts, and how far others agree with it."""
    section = ("readers", "How far the readers agree")
    body, lines = "", []
    for change in at.changes:
        table, said = _change(at, change)
        body += table
        lines.append((said, "reader_agreement"))
    others = [row for row in at.rows("reader_agreement") if row["reader"] != "former"]
    told = [row for row in others if _may_tell(at, row) and _figure_of(row) is not None]
    if told:
        body += _others(at, told)
    if not body:
        return Section(*section, "The analyst is the same as four weeks ago, and nobody else has read enough with it.")
    lead = (
        "A change of the analyst's model or prompt changes what it counts: such a step is the analyst's own, no "
        "release is blamed for it, and what detectors count has none. Others read some sessions beside it."
    )
    return Section(*section, lead, body, lines)


def _change(at: _Day, change: Change) -> tuple[str, str]:
    """A table of what the new reader finds more or less of, on the sessions that both read, and a sentence."""
    said = f"The analyst changed on {short_day(change.day)}: {_reader(change.former)} → {_reader(change.present)}"
    rows = [
        row
        for row in at.history("reader_agreement")
        if (row["reader"], row["reason"]) == ("former", "change")
        and (row["first"], row["second"]) == (change.present.name, change.former.name)
        and row["first_day"] >= change.day
    ]
    newest = [row for row in rows if row["day"] == max(row["day"] for row in rows)]
    told = [row for row in newest if row["difference"] is not None and _may_tell(at, row)]
    if not told:
        why = "too few sessions were read by both" if rows else "no session was read by both"
        return f'<p class="note">{esc(said)}. What that does to the counts is not known: {why}.</p>', said
    verdicts = _verdicts(told)
    table = _table(
        ["Type", "Difference in points (95 %)", "What it says", "Over"],
        [
            [
                esc(at.name(row["type"])), _difference(at, row), esc(verdict),
                _over(band(row["sessions"], at.audience), band(row["users"], at.audience)),
            ]
            for row, verdict in zip(told, verdicts, strict=True)
        ],
    )  # fmt: skip
    sure = [f"{verdict} {at.name(row['type']).lower()}" for row, verdict in zip(told, verdicts, strict=True)
            if verdict != INCONCLUSIVE]  # fmt: skip
    said += "; the new one " + ", ".join(sure) if sure else "; what it finds more or less of is inconclusive"
    note = f"{said}. Of {len(told)} types, on the same sessions; false discoveries held at 5 %."
    return f'<p class="note">{esc(note)}</p>{table}', said


INCONCLUSIVE: Final = "inconclusive"


def _verdicts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each difference says, the false discoveries of all of them held together."""
    p_values = []
    for row in rows:
        middle = (row["difference_low"] + row["difference_high"]) / 2
        half = (row["difference_high"] - row["difference_low"]) / 2
        p_values.append(erfc(1.96 * abs(middle) / half / sqrt(2)) if half else 1.0)
    return [
        INCONCLUSIVE if q > FALSE_DISCOVERY else "finds more" if row["difference"] > 0 else "finds less"
        for row, q in zip(rows, benjamini_hochberg(p_values), strict=True)
    ]


def _difference(at: _Day, row: Mapping[str, Any]) -> str:
    n = row["sessions"]
    low = rounded_low(row["difference_low"], n, at.audience)
    high = rounded_high(row["difference_high"], n, at.audience)
    middle = rounded_rate(row["difference"], n, at.audience)
    return f"{points(middle)} <small>{points(max(low, -1.0))} to {points(min(high, 1.0))}</small>"


def _others(at: _Day, rows: Sequence[Mapping[str, Any]]) -> str:
    """The second model and persons beside the analyst and the detectors."""
    lines = []
    for row in rows:
        what, *ends = _figure_of(row) or ("", 0.0, 0.0, 0.0)
        value, low, high = rounded_interval((ends[0], ends[1], ends[2]), row["sessions"], row["users"], at.audience)
        who = f"a person on the {row['first']}" if row["reader"] == "person" else _reader_name(row["second"])
        lines.append([
            esc(who), esc("Outcome" if row["kind"] == "outcome" else at.name(row["type"])), esc(what),
            f"{percent(value)} <small>{percent(low)} to {percent(high)}</small>",
            _over(band(row["sessions"], at.audience), band(row["users"], at.audience)),
        ])  # fmt: skip
    return _fold("Others who read beside it", _table(["Who", "Type", "Figure", "Value (95 %)", "Over"], lines))


def _figure_of(row: Mapping[str, Any]) -> tuple[str, float, float, float] | None:
    """The figure that says most of a row, with its interval; None where there is none."""
    for words, name in (("confirmed by the person", "confirmed"),) if row["reader"] == "person" else (
        ("agreement (F1)", "f1"), ("agreement beyond chance (kappa)", "kappa"),
    ):  # fmt: skip
        ends = [row[name], row[f"{name}_low"], row[f"{name}_high"]]
        if None not in ends:
            return words, ends[0], max(ends[1], 0.0), ends[2]
    return None


def _may_tell(at: _Day, row: Mapping[str, Any]) -> bool:
    """Whether a figure of readers rests on enough people: those concerned and those who are not, as with rates."""
    enough = shown(at.audience, row["users"], row["sessions"], row["organizations"], row["largest"])
    return enough and part_shown(at.audience, row["users_concerned"], row["users_spared"])


def _reader(reader: Reader) -> str:
    return _reader_name(reader.name)


def _reader_name(name: str) -> str:
    """Analyst, model and the prompt without its checksum."""
    return name.partition("@")[0]


_PARTS: Final = ("answered", "refused", "rejected", "failed")


def _covered(at: _Day) -> Section:
    section = ("coverage", "Coverage and cost")
    if not at.coverage:
        return Section(*section, "No stage has reported what it covered.")
    cost = at.coverage.get("cost")
    stages = {stage: counts for stage, counts in at.coverage.items() if stage != "cost"}
    full = {stage for stage, counts in stages.items() if {"asked", "answered"} <= counts.keys()}
    lines = [_covered_line(stage, counts) for stage, counts in stages.items() if stage in full]
    heads = ["Stage", "Asked", "Share", "Answered", "Refused", "Rejected", "Failed", "Skipped"]
    others = [[_stage_name(stage), esc(_counted(counts))] for stage, counts in stages.items() if stage not in full]
    body = _table(heads, lines) if lines else ""
    body += _table(["Stage", "Counted"], others) if others else ""
    body += _cost(cost) if cost is not None else ""
    lead = "What each stage was asked, and what became of it. Nothing is left out silently."
    lead += "" if at.audience == "self" else " Counts are rounded to tens."
    return Section(*section, lead, body)


def _cost(cost: Mapping[str, int]) -> str:
    """What asking a model cost, from the sums as they may be shown."""
    lines = [[esc(what), esc(much)] for what, much in cost_words(cost)]
    if not lines:
        return '<p class="note">The built-in rules answered: nothing was sent to a model, and nothing was paid.</p>'
    return _table(["What the analyst cost", "On this day"], lines)


def _covered_line(stage: str, counts: Mapping[str, int]) -> list[str]:
    asked, skipped, notes = counts["asked"], _under(counts, "skipped."), _under(counts, "notes.")
    share = percent(counts.get("answered", 0) / asked) if asked else "–"
    reasons = _counted({reason: n for reason, n in skipped.items() if n})
    name = _stage_name(stage) + (f"<small>{esc(_counted(notes))}</small>" if notes else "")
    skips = f"{sum(skipped.values())}" + (f"<small>{esc(reasons)}</small>" if reasons else "")
    return [name, str(asked), share, *(str(counts.get(part, 0)) for part in _PARTS), skips]


def _stage_name(stage: str) -> str:
    return esc(stage.replace("_", " ").capitalize())


def _counted(counts: Mapping[str, float]) -> str:
    return ", ".join(f"{what.replace('_', ' ').replace('.', ' ')} {n}" for what, n in counts.items())


def _under(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {key.removeprefix(prefix): n for key, n in counts.items() if key.startswith(prefix)}


def _reading(at: _Day) -> Section:
    least = SHOWN[at.audience]
    organizations = f", or {least.organizations} organisations where these are known" if least.organizations else ""
    smallest = f"fewer than {least.users} users or {least.sessions} sessions{organizations} (audience {at.audience})"
    terms = {
        "Interval": "The range that holds the true share 19 times out of 20. Sessions of one user resemble each other, "
        "so it is computed by user; wide means few users, not few sessions alone.",
        "Confirmed, suspected": "Confirmed stays true however often one looks (a test made for daily looking). "
        "Suspected passes the ordinary test only; a person should look before anybody acts.",
        "Unchanged, inconclusive": "Unchanged means that a relevant change was ruled out. Inconclusive means that the "
        "data cannot tell yet.",
        "q, e": "q is the share of false alarms to expect among all findings at least as strong. e is evidence that "
        "grows with the data; about 20 or more is strong, and more is asked where many comparisons are made.",
        "Bands and thresholds": f"Nothing is shown that rests on {smallest}. Counts are bands and rates are rounded, "
        "so that nobody can be counted back. What few or nobody met is absent: the two look alike.",
        "Looked at": "Share of sessions that the source saw. Detectors see all; the analyst sees a sample and is "
        "weighted. The two are never added.",
        "Coincides": "Comes together more often than chance within the same sessions. It says nothing of causes.",
    }
    body = "".join(f"<dt>{esc(term)}</dt><dd>{esc(meaning)}</dd>" for term, meaning in terms.items())
    return Section("reading", "How to read this", "", f'<dl class="reading">{body}</dl>', [])


# --- the three forms -------------------------------------------------------------------------------------------


def _page(at: _Day, headline: str, sections: Sequence[Section]) -> str:
    body = "".join(
        f'<section id="{section.id}"><h2>{esc(section.title)}</h2>'
        + (f'<p class="lead">{esc(section.lead)}</p>' if section.lead else "")
        + f"{section.body}</section>"
        for section in sections
    )
    links = "".join(f'<a href="#{section.id}">{esc(section.title)}</a>' for section in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Signals, {at.day.isoformat()}</title><style>{_css()}</style></head><body><main>"
        f"<header><p>Signals · {_long_day(at.day)} · for {esc(at.audience)}</p><h1>{esc(headline)}</h1></header>"
        f"{_figures(at)}<nav>{links}</nav>{body}</main></body></html>\n"
    )


@cache
def _css() -> str:
    return files("signals_assets.core").joinpath("report.css").read_text(encoding="utf-8")


def _figures(at: _Day) -> str:
    """The five numbers one wants at a glance."""
    sessions = next((at.coverage[key] for key in ("raw_sessions", "sessions") if key in at.coverage), {})
    levels = [row for row in at.rows("friction_levels") if row["slice"] == "all"]
    tickets = at.rows("ticket_states")
    done = ("verified", "closed", "suppressed", "failed")
    figures = [
        ("Sessions read", sessions.get("answered", sessions.get("read", "–"))),
        ("Over their ceiling", sum(row["state"] in ("over", "crossed") for row in levels)),
        ("Worse, confirmed", len(_confirmed(at, "regressed"))),
        ("Better, confirmed", len(_confirmed(at, "improved"))),
        ("Open tickets", sum(row["state"] not in done for row in tickets)),
        ("Fixes that work", sum(row["verdict"] == "improved" for row in at.rows("fix_outcomes"))),
    ]
    cells = "".join(f"<div><dt>{esc(what)}</dt><dd>{esc(n)}</dd></div>" for what, n in figures)
    return f'<dl class="figures">{cells}</dl>'


def _blocks(at: _Day, headline: str, sections: Iterable[Section]) -> list[dict[str, object]]:
    """Slack Block Kit; plain text only, so that no name can turn into a mention or a link."""
    blocks: list[dict[str, object]] = [
        {"type": "header", "text": _plain(headline, SLACK_HEADER)},
        {"type": "context", "elements": [_plain(f"Signals, {_long_day(at.day)}", SLACK_TEXT)]},
    ]
    for section in sections:
        if section.lines:
            text = "\n".join([section.title, *(f"• {line}" for line, _ in section.lines)])
            blocks += [{"type": "divider"}, {"type": "section", "text": _plain(text, SLACK_TEXT)}]
    return blocks


def _plain(text: str, most: int) -> dict[str, object]:
    escaped = "\n".join(map(slack_plain, text.splitlines()))
    if len(escaped) > most:
        return _plain(f"{text[: len(text) - (len(escaped) - most) - 1]}…", most)
    return {"type": "plain_text", "text": escaped, "emoji": False}


def _rows(at: _Day, headline: str, sections: Iterable[Section]) -> list[DailyReport]:
    rows = [DailyReport(day=at.day, section="headline", position=0, headline=headline, reference="daily_report")]
    for section in sections:
        rows += [
            DailyReport(day=at.day, section=section.id, position=position, headline=line, reference=reference)
            for position, (line, reference) in enumerate(section.lines)
        ]
    return rows


# --- small words and markup ------------------------------------------------------------------------------------


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]], *, wide: int | None = None) -> str:
    """A table of cells that are markup already; each cell repeats its heading for narrow screens."""
    top = "".join(f"<th>{esc(head)}</th>" for head in heads)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-label="{esc(head)}"{" class=wide" if n == wide else ""}>{_grouped(cell)}</td>'
            for n, (head, cell) in enumerate(zip(heads, line, strict=True))
        )
        + "</tr>"
        for line in lines
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _grouped(cell: str) -> str:
    """One element per cell, so that a narrow screen can set it beside its heading."""
    return f"<div>{cell}</div>" if cell else ""


def _over(sessions: str, users: str, aside: str = "") -> str:
    """What a figure rests on: bands of sessions and users."""
    return (
        f'<span class="n">{esc(_dashed(sessions))} sessions</span>'
        f"<small>{esc(_dashed(users))} users{esc(aside)}</small>"
    )


def _dashed(counts: str) -> str:
    return counts.replace("-", "–")


def _fold(title: str, body: str) -> str:
    return f"<details><summary>{esc(title)}</summary>{body}</details>"


def _too_few(at: _Day, what: str) -> str:
    least = SHOWN[at.audience]
    return (
        f"No {what} reaches the size from which it may be shown ({least.users} users, {least.sessions} sessions), "
        "or its stage has not run for this day."
    )


def _count(n: int, one: str, many: str | None = None) -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"


def _long_day(day: date) -> str:
    return f"{WEEKDAYS[day.weekday()]} {short_day(day)} {day.year}"


def _axis_top(values: Iterable[float]) -> float:
    return nice_ceiling(max(values, default=0.0))


def _difference_top(rows: Iterable[Mapping[str, Any]]) -> float:
    ends = [abs(row[end]) for row in rows for end in ("low", "high") if row[end] is not None]
    return _axis_top(ends)
