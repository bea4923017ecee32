"""Section "Coverage and cost": what each stage was asked, and what became of it.

Put here: counts of stages, rounded for the audience. Not here: the counting (see `core/coverage.py`, `core/cost.py`).
"""

from collections.abc import Mapping
from typing import Final

from signals_assets.core.barrier.thresholds import about, coarse
from signals_assets.core.cost import cost_words
from signals_assets.core.report.day import Day, Section
from signals_assets.core.report.markup import table_of
from signals_assets.core.svg import esc, percent
from signals_assets.settings import Audience


def rounded_counts(coverage: Mapping[str, Mapping[str, int]], audience: Audience) -> dict[str, dict[str, int]]:
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


_PARTS: Final = ("answered", "refused", "rejected", "failed")


def coverage_and_cost(at: Day) -> Section:
    """What each stage was asked and what became of it, and what the model cost."""
    section = ("coverage", "Coverage and cost")
    if not at.coverage:
        return Section(*section, "No stage has reported what it covered.")
    cost = at.coverage.get("cost")
    stages = {stage: counts for stage, counts in at.coverage.items() if stage != "cost"}
    full = {stage for stage, counts in stages.items() if {"asked", "answered"} <= counts.keys()}
    lines = [_covered_line(stage, counts) for stage, counts in stages.items() if stage in full]
    heads = ["Stage", "Asked", "Share", "Answered", "Refused", "Rejected", "Failed", "Skipped"]
    others = [[_stage_name(stage), esc(_counted(counts))] for stage, counts in stages.items() if stage not in full]
    body = table_of(heads, lines) if lines else ""
    body += table_of(["Stage", "Counted"], others) if others else ""
    body += _cost(cost) if cost is not None else ""
    lead = "What each stage was asked, and what became of it. Nothing is left out silently."
    lead += "" if at.audience == "self" else " Counts are rounded to tens."
    told = [(_told(stage, counts), _ASSETS.get(stage, "daily_report")) for stage, counts in stages.items()]
    if cost is not None:
        told.append((_paid(cost), "analyses"))
    return Section(*section, lead, body, told)


_ASSETS: Final = {
    "sessions": "raw_sessions",
    "raw_sessions": "raw_sessions",
    "analysis": "analysis_batches",
    "analyses": "analyses",
    "read again": "rereadings",
}
"""Where the counts of a stage come from."""


def _told(stage: str, counts: Mapping[str, int]) -> str:
    """A stage in a sentence."""
    name = stage.replace("_", " ").capitalize()
    if {"asked", "answered"} <= counts.keys():
        return f"{name}: {counts['answered']} of {counts['asked']} answered"
    return f"{name}: {_counted(counts)}"


def _paid(cost: Mapping[str, int]) -> str:
    words = dict(cost_words(cost))
    if not words:
        return "Cost: nothing was sent to a model, and nothing was paid"
    return f"Cost: {words['Price of the day']} for {words['Sessions asked about']} sessions asked about"


def _cost(cost: Mapping[str, int]) -> str:
    """What asking a model cost, from the sums as they may be shown."""
    lines = [[esc(what), esc(much)] for what, much in cost_words(cost)]
    if not lines:
        return '<p class="note">The built-in rules answered: nothing was sent to a model, and nothing was paid.</p>'
    return table_of(["What the analyst cost", "On this day"], lines)


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
