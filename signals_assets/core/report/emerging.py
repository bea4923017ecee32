"""Section "What is new": proposed categories.

Put here: what may be said of a proposal. Not here: the map (see `landscape.py`), how proposals are found.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from signals_assets.core.barrier.thresholds import band, shown
from signals_assets.core.report.day import Day, Section
from signals_assets.core.report.markup import dashed, folded, number_of
from signals_assets.core.svg import esc, percent, short_day

CARDS: Final = 6
"""Proposals that are open on the page; the rest unfold."""


def what_is_new(at: Day) -> Section:
    """Categories that emerged and wait for a person."""
    section = ("new", "What is new")
    proposals = [
        row for row in at.rows("taxonomy_proposals")
        if shown(at.audience, row["users"], row["sessions"], row["organizations"])
    ]  # fmt: skip
    # Intents concern every session and come in numbers: what is rarer stands before them.
    proposals.sort(key=lambda row: (not row["ready"], row["kind"] == "intent", -row["users"], row["proposal_id"]))
    ready = sum(row["ready"] for row in proposals)
    if not proposals:
        return Section(*section, "Nothing new that enough people share.")
    lead = f"{number_of(len(proposals), 'proposed category', 'proposed categories')}, {ready} ready for a decision."
    lead += "" if at.audience == "self" else " What concerns too few people is not shown."
    cards = [_proposal(at, row) for row in proposals]
    body = "".join(cards[:CARDS])
    if cards[CARDS:]:
        body += folded(f"{len(cards) - CARDS} more", "".join(cards[CARDS:]))
    lines = [(_proposal_words(at, row), "taxonomy_proposals") for row in proposals if row["ready"]]
    return Section(*section, lead, body, lines[:3])


def _proposal_words(at: Day, row: Mapping[str, Any]) -> str:
    kind = row["kind"].replace("_", " ")
    near = f", nearest to {at.name(row['nearest']).lower()}" if row["nearest"] else ""
    name = f"“{row['name']}”" if at.audience == "self" else row["proposal_id"]
    return f"Proposed {kind} {name}{near}: {dashed(band(row['users'], at.audience))} users on {row['days_seen']} days"


def _proposal(at: Day, row: Mapping[str, Any]) -> str:
    badge = '<span class="badge better">ready to accept</span>' if row["ready"] else (
        f'<span class="badge plain">waits for {esc(row["waiting_for"].replace("_", " ") or "evidence")}</span>'
    )  # fmt: skip
    stability = "" if row["stability"] is None else f", found again in {percent(row['stability'])} of resamples"
    sessions = dashed(band(row["sessions"], at.audience))
    monday = row["first_day"] - timedelta(days=row["first_day"].weekday())
    details = f"{sessions} sessions, first seen in the week of {short_day(monday)}{stability}"
    decide = f"signals taxonomy accept {row['proposal_id']}"
    text = f"<p>{esc(row['definition'])}</p>" if at.audience == "self" else ""
    return (
        f'<div class="proposal"><h3>{esc(_proposal_words(at, row))} {badge}</h3>{text}'
        f'<p class="note">{esc(details)}. Decide with <code>{esc(decide)}</code></p></div>'
    )
