"""The sentence on top: the most important thing that is sure.

Put here: the order of importance. Not here: the sentences of other sections.
"""

from signals_assets.core.charts import rate_series
from signals_assets.core.report.day import Day
from signals_assets.core.report.loop import before_after
from signals_assets.core.report.releases import confirmed_changes, release_words
from signals_assets.core.svg import percent
from signals_assets.core.tickets import part_of, sliced


def headline_of(at: Day) -> str:
    """The most important thing that is sure; a quiet day says so."""
    for look in (_worse_release, _crossed_level, _failed_fix, _working_fix, _better_release, _most_frequent):
        sentence = look(at)
        if sentence:
            return sentence
    return "Too few sessions or users on this day to say anything that holds"


def _worse_release(at: Day) -> str | None:
    rows = [row for row in confirmed_changes(at, "regressed") if row["kind"] == "friction"]
    return f"{release_words(at, rows[0])}; confirmed" if rows else None


def _better_release(at: Day) -> str | None:
    rows = [row for row in confirmed_changes(at, "improved") if row["kind"] == "friction"]
    return f"{release_words(at, rows[0])}; confirmed" if rows else None


def _crossed_level(at: Day) -> str | None:
    crossed = [row for row in at.rows("friction_levels") if row["crossed"] and row["level"] is not None]
    for row in sorted(crossed, key=lambda row: row["slice"] != "all"):
        whose = "the slice's sessions" if part_of(row)[0] != "all" else "sessions"
        over = f"{percent(row['level'])} of {whose}, ceiling {percent(row['ceiling'])}"
        return f"{at.name(row['type'])}{sliced(row)} crossed its threshold: {over}"
    return None


def _failed_fix(at: Day) -> str | None:
    for row in at.rows("fix_outcomes"):
        if row["verdict"] == "regressed":
            return f"The fix of {at.name(row['type']).lower()} in {row['version']} made it worse"
    return None


def _working_fix(at: Day) -> str | None:
    for row in at.rows("fix_outcomes"):
        if row["verdict"] == "improved":
            return f"The fix in {row['version']} works: {before_after(at, row)}"
    return None


def _most_frequent(at: Day) -> str | None:
    for series in rate_series(at.rows("friction_rates"), at.names, until=at.day):
        newest = series.newest
        if newest and newest.day == at.day:
            interval = f"{percent(newest.low)} to {percent(newest.high)}"
            return (
                f"No change is confirmed; most frequent is {series.name.lower()}: {percent(newest.value)} ({interval})"
            )
    return None
