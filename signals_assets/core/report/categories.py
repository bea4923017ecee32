"""Section "The taxonomy": what was decided when, by whom and on what evidence; how the categories fare.

Put here: decisions and reviews in words. Not here: what a decision does (see `core/taxonomy.py`), proposals (see
`emerging.py`), how drift is measured (see `core/discovery_reviews.py`).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from signals_assets.core.barrier.thresholds import band, coarse, rounded_rate, shown
from signals_assets.core.report.day import Day, Section
from signals_assets.core.report.markup import dashed, folded, number_of, resting_on, share_words, table_of
from signals_assets.core.report.methods import method_link
from signals_assets.core.svg import esc, percent, short_day
from signals_assets.core.taxonomy_history import WITHDRAWN, Decision

RECENT: Final = 8
"""Decisions that are open on the page, the newest first; older ones unfold."""

_DONE: Final = {
    "accept": "accepted", "reject": "rejected", "rename": "renamed", "merge": "merged", "split": "split",
    "retire": "retired", "undo": "taken back:",
}  # fmt: skip
_REASONS: Final = {
    "no_longer_occurs": "hardly anybody meets it any more",
    "tells_nothing": "it tells nothing of outcomes or other friction",
}


def categories(at: Day) -> Section:
    """The taxonomy's history, categories whose meaning moves, and those proposed for retirement."""
    section = ("taxonomy", "The taxonomy: what was decided, how its categories fare")
    reviews = at.rows("taxonomy_reviews")
    moving = [row for row in reviews if row["drifts"] and _may_tell(at, row)]
    retiring = [row for row in reviews if row["retire"]]
    if not (at.decisions or reviews):
        return Section(*section, "Nothing has been decided yet, and no category was reviewed on this day.")
    version = max((one.version for one in at.decisions), default=1)
    lead = (
        f"Version {version}, after {number_of(len(at.decisions), 'decision')} by people. Each counts from the next day "
        "on; the past is relabelled, never rewritten, and an undo brings it back."
    )
    said = [f"{at.name(row['slug'])} has moved away from its definition" for row in moving]
    said += [f"{at.name(row['slug'])} is proposed for retirement: {_REASONS[row['reason']]}" for row in retiring]
    lines = [(line, "taxonomy_reviews") for line in said]
    lines += [(_told(at, one), "taxonomy") for one in at.decisions if _counts_from(one) == at.day]
    body = _timeline(at) + _reviewed(at, reviews, moving, retiring)
    return Section(*section, lead, body + method_link("method-taxonomy"), lines)


def _counts_from(one: Decision) -> Any:
    return None if one.after is None else one.after + timedelta(days=1)


def _timeline(at: Day) -> str:
    items = [_item(at, one) for one in reversed(at.decisions)]
    if not items:
        return '<p class="note">No decision yet: the built-in types are in force.</p>'
    older = items[RECENT:]
    rest = folded(f"{len(older)} older", f'<ol class="timeline">{"".join(older)}</ol>') if older else ""
    return f'<ol class="timeline">{"".join(items[:RECENT])}</ol>{rest}'


def _item(at: Day, one: Decision) -> str:
    since = _counts_from(one)
    when = "from the first day on" if since is None else f"counts from {short_day(since)}"
    back = "" if one.undone_by is None else f' <span class="badge plain">taken back by version {one.undone_by}</span>'
    if not one.applied and one.undone_by is None:
        back = ' <span class="badge plain">could not be applied</span>'
    evidence = _evidence(at, one.evidence)
    author = f"by {one.author}" if one.author else "without an author"
    note = ", ".join(part for part in (when, author) if part) + (f". Evidence: {evidence}" if evidence else "")
    return f"<li><b>Version {one.version}</b> {esc(_told(at, one))}{back}<small>{esc(note)}</small></li>"


def _told(at: Day, one: Decision) -> str:
    """A decision in words. Words that a person accepted and that are still in force; else the proposal's opaque id."""
    kind = one.kind.replace("_", " ")
    into = ", ".join(_called(at, slug, None) for slug in one.into)
    end = f" into {into}" if into else ""
    return f"{_DONE.get(one.action, one.action)} {kind} {_called(at, one.slug, one.proposal_id)}{end}"


def _called(at: Day, slug: str, proposal: str | None) -> str:
    if at.audience == "self" or at.names.get(slug, proposal) != proposal:
        return f"“{at.name(slug)}”"
    return proposal or WITHDRAWN


def _evidence(at: Day, evidence: Mapping[str, Any]) -> str:
    parts = [
        f"{dashed(band(evidence[what], at.audience))} {what}" for what in ("users", "sessions") if what in evidence
    ]
    parts += [f"{evidence['days_seen']} days"] if "days_seen" in evidence else []
    n = evidence.get("sessions", 0)
    for what, words in (("stability", "found again in {} of resamples"), ("agreement", "{} of a second pass agree")):
        if what in evidence:
            parts.append(words.format(percent(rounded_rate(evidence[what], n, at.audience))))
    return ", ".join(parts)


def _may_tell(at: Day, row: Mapping[str, Any]) -> bool:
    return shown(at.audience, row["users"], row["sessions"])


def _reviewed(at: Day, rows: Any, moving: Any, retiring: Any) -> str:
    told = [row for row in rows if _may_tell(at, row) or row["retire"]]
    if not told:
        return ""
    note = (
        f"{number_of(len(moving), 'category has', 'categories have')} moved away from the definition, "
        f"{number_of(len(retiring), 'is', 'are')} proposed for retirement. Decide with signals taxonomy retire, rename "
        "or split."
    )
    lines = [
        [
            f"{esc(at.name(row['slug']))}<small>{esc(row['kind'].replace('_', ' '))}</small>",
            _meaning(at, row),
            share_words(_same(at, row)),
            f"{coarse(row['explains'], at.audience):g} bits" if row["explains"] is not None else "–",
            resting_on(band(row["sessions"], at.audience), band(row["users"], at.audience))
            if _may_tell(at, row) else "too few",
        ]
        for row in sorted(told, key=lambda row: (not row["retire"], not row["drifts"], row["kind"], row["slug"]))
    ]  # fmt: skip
    heads = ["Category", "How it fares", "Means what it did", "Tells of outcomes", "Over"]
    return f'<p class="note">{esc(note)}</p>' + folded(f"All {len(lines)} categories", table_of(heads, lines))


def _same(at: Day, row: Mapping[str, Any]) -> float | None:
    if row["same_meaning"] is None or not _may_tell(at, row):
        return None
    return rounded_rate(row["same_meaning"], row["sessions"], at.audience)


def _meaning(at: Day, row: Mapping[str, Any]) -> str:
    badges = []
    if row["retire"]:
        badges.append(f'<span class="badge worse">retire?</span><small>{esc(_REASONS[row["reason"]])}</small>')
    if row["drifts"] and _may_tell(at, row):
        badges.append('<span class="badge worse">moves away</span><small>its newest items mean something else</small>')
    return "".join(badges) or "as before"
