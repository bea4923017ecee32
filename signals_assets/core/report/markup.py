"""Small words and markup that sections share: tables, folds, what a figure rests on.

Put here: what two sections need. Every text of others passes `esc` before it gets here.
Not here: pictures (see `core/svg.py`), the page around the sections (see `forms.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

from signals_assets.core import svg
from signals_assets.core.barrier.thresholds import SHOWN
from signals_assets.core.charts import nice_ceiling
from signals_assets.core.report.day import Day
from signals_assets.core.svg import esc, percent, points, short_day

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def rate_words(rate: float | None) -> str:
    """A rate; where few or nobody is behind it, it is absent and both are said alike."""
    return "too few" if rate is None else percent(rate)


def share_words(value: float | None) -> str:
    """A share; a dash where there is none."""
    return "–" if value is None else percent(value)


def table_of(heads: Sequence[str], lines: Sequence[Sequence[str]], *, wide: int | None = None) -> str:
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


def resting_on(sessions: str, users: str, aside: str = "") -> str:
    """What a figure rests on: bands of sessions and users."""
    return (
        f'<span class="n">{esc(dashed(sessions))} sessions</span><small>{esc(dashed(users))} users{esc(aside)}</small>'
    )


def dashed(counts: str) -> str:
    """A band with a dash between its ends."""
    return counts.replace("-", "–")


def folded(title: str, body: str) -> str:
    """Markup behind a fold: one click away."""
    return f"<details><summary>{esc(title)}</summary>{body}</details>"


def too_few(at: Day, what: str) -> str:
    """Why a section is empty."""
    least = SHOWN[at.audience]
    return (
        f"No {what} reaches the size from which it may be shown ({least.users} users, {least.sessions} sessions), "
        "or its stage has not run for this day."
    )


def number_of(n: int, one: str, many: str | None = None) -> str:
    """A count with its noun."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def long_day(day: date) -> str:
    """A day with its weekday and year."""
    return f"{WEEKDAYS[day.weekday()]} {short_day(day)} {day.year}"


def axis_top(values: Iterable[float]) -> float:
    """A round end of an axis from zero that holds all values."""
    return nice_ceiling(max(values, default=0.0))


TONES: Final[Mapping[str, str]] = {"regressed": "worse", "improved": "better"}
"""Verdict -> how a change is coloured and called; others are plain."""


def difference_cells(row: Mapping[str, Any], top: float) -> tuple[str, str, str]:
    """How a difference is toned, its bar, and its figures with the interval; a dash where they may not be told."""
    tone = TONES.get(row["verdict"], "plain")
    if None in (row["effect"], row["low"], row["high"]):
        return tone, "", "–"
    bar = svg.difference_bar(row["effect"], row["low"], row["high"], top=top, tone=tone)
    return tone, bar, f"{points(row['effect'])} <small>{points(row['low'])} to {points(row['high'])}</small>"


def difference_head(top: float) -> str:
    """The heading over the bars of differences."""
    return f"Points, −{100 * top:g} to +{100 * top:g}"


def difference_top(rows: Iterable[Mapping[str, Any]]) -> float:
    """A round end of an axis of differences."""
    ends = [abs(row[end]) for row in rows for end in ("low", "high") if row[end] is not None]
    return axis_top(ends)
