"""Trend: the published rate of a friction over four weeks as one line of text, for places where no picture can be.

Put here: `trend`. Not here: pictures (see `charts.py`, `svg.py`), what a ticket says else (see `tickets.py`).
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

from signals_assets.core.causes import DataRow
from signals_assets.core.charts import HISTORY_DAYS, WEEK, nice_ceiling
from signals_assets.core.wording import percent

BLOCKS: Final = "▁▂▃▄▅▆▇█"
GAP: Final = "·"
RELEASED: Final = "^"


def trend(
    rates: Iterable[DataRow],
    friction_type: str,
    *,
    until: date,
    slice_kind: str = "all",
    value: str = "all",
    release: tuple[str, date] | None = None,
) -> tuple[str, list[str]]:
    """A line with one character a day, and what it says in words; both empty where fewer than two days have a rate.

    rates: rows of `friction_rates` up to `until`: what is withheld there is a gap here.  value: of the slice, as those
    rows name it.  release: its label and day; the line below the chart points at the day, the words name it (they are
    to be escaped, the line holds nothing of theirs).
    """
    days = [until - timedelta(back) for back in reversed(range(HISTORY_DAYS))]
    found = _by_day(rates, friction_type, slice_kind, value)
    known = [day for day in days if day in found]
    if len(known) < 2:
        return "", []
    top = nice_ceiling(max(found[day] for day in known))
    line = "".join(BLOCKS[round(found[day] / top * (len(BLOCKS) - 1))] if day in found else GAP for day in days)
    first, last = known[0], known[-1]
    begin, end = (f"{percent(found[day])} in the {WEEK} days to {day.isoformat()}" for day in (first, last))
    words = [f"{begin}, {end}; {BLOCKS[0]} is 0 %, {BLOCKS[-1]} is {percent(top)}."]
    if len(known) < len(days):
        words.append(f"{GAP} is a day without a rate that can be shown.")
    if release is not None and release[1] in days:
        line += "\n" + " " * days.index(release[1]) + RELEASED
        words.append(f"{RELEASED} is release {release[0]} of {release[1].isoformat()}.")
    return line, words


def _by_day(rates: Iterable[DataRow], friction_type: str, slice_kind: str, value: str) -> dict[date, float]:
    """The trailing week's rate by day, from one source: the detectors where they have it."""
    asked = ("friction", friction_type, slice_kind, value, WEEK)
    by_source: dict[str, dict[date, float]] = {"detector": {}, "analyst": {}}
    for row in rates:
        if (row["kind"], row["type"], row["slice_kind"], row["slice"], row["window_days"]) == asked:
            by_source[row["source"]][row["day"]] = row["rate"]
    return by_source["detector"] or by_source["analyst"]
