"""Section "How far the readers agree": what a change of the analyst did to its counts.

Put here: words and tables of `reader_agreement`. Not here: the overlap sample (see `core/rereading.py`).
"""

from collections.abc import Mapping, Sequence
from math import erfc, sqrt
from typing import Any, Final

from signals_assets.core.barrier.thresholds import (
    band,
    part_shown,
    rounded_high,
    rounded_interval,
    rounded_low,
    rounded_rate,
    shown,
)
from signals_assets.core.report.day import FALSE_DISCOVERY, Day, Section
from signals_assets.core.report.markup import folded, resting_on, table_of
from signals_assets.core.report.methods import method_link
from signals_assets.core.rereading import Change, Reader
from signals_assets.core.statistics import benjamini_hochberg
from signals_assets.core.svg import esc, percent, points, short_day


def how_readers_agree(at: Day) -> Section:
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
    return Section(*section, lead, body + method_link("method-readers"), lines)


def _change(at: Day, change: Change) -> tuple[str, str]:
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
    table = table_of(
        ["Type", "Difference in points (95 %)", "What it says", "Over"],
        [
            [
                esc(at.name(row["type"])), _difference(at, row), esc(verdict),
                resting_on(band(row["sessions"], at.audience), band(row["users"], at.audience)),
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


def _difference(at: Day, row: Mapping[str, Any]) -> str:
    n = row["sessions"]
    low = rounded_low(row["difference_low"], n, at.audience)
    high = rounded_high(row["difference_high"], n, at.audience)
    middle = rounded_rate(row["difference"], n, at.audience)
    return f"{points(middle)} <small>{points(max(low, -1.0))} to {points(min(high, 1.0))}</small>"


def _others(at: Day, rows: Sequence[Mapping[str, Any]]) -> str:
    """The second model and persons beside the analyst and the detectors."""
    lines = []
    for row in rows:
        what, *ends = _figure_of(row) or ("", 0.0, 0.0, 0.0)
        value, low, high = rounded_interval((ends[0], ends[1], ends[2]), row["sessions"], row["users"], at.audience)
        who = f"a person on the {row['first']}" if row["reader"] == "person" else _reader_name(row["second"])
        lines.append([
            esc(who), esc("Outcome" if row["kind"] == "outcome" else at.name(row["type"])), esc(what),
            f"{percent(value)} <small>{percent(low)} to {percent(high)}</small>",
            resting_on(band(row["sessions"], at.audience), band(row["users"], at.audience)),
        ])  # fmt: skip
    return folded("Others who read beside it", table_of(["Who", "Type", "Figure", "Value (95 %)", "Over"], lines))


def _figure_of(row: Mapping[str, Any]) -> tuple[str, float, float, float] | None:
    """The figure that says most of a row, with its interval; None where there is none."""
    for words, name in (("confirmed by the person", "confirmed"),) if row["reader"] == "person" else (
        ("agreement (F1)", "f1"), ("agreement beyond chance (kappa)", "kappa"),
    ):  # fmt: skip
        ends = [row[name], row[f"{name}_low"], row[f"{name}_high"]]
        if None not in ends:
            return words, ends[0], max(ends[1], 0.0), ends[2]
    return None


def _may_tell(at: Day, row: Mapping[str, Any]) -> bool:
    """Whether a figure of readers rests on enough people: those concerned and those who are not, as with rates."""
    enough = shown(at.audience, row["users"], row["sessions"], row["organizations"], row["largest"])
    return enough and part_shown(at.audience, row["users_concerned"], row["users_spared"])


def _reader(reader: Reader) -> str:
    return _reader_name(reader.name)


def _reader_name(name: str) -> str:
    """Analyst, model and the prompt without its checksum."""
    return name.partition("@")[0]
