"""Section "What changed, and since which release".

Put here: verdicts on releases in words. Not here: how they are reached (see `core/correlations.py`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from signals_assets.core.report.day import Day, Section
from signals_assets.core.report.markup import (
    TONES,
    difference_cells,
    difference_head,
    difference_top,
    folded,
    number_of,
    rate_words,
    resting_on,
    table_of,
)
from signals_assets.core.report.methods import method_link
from signals_assets.core.svg import esc, points, short_day


def confirmed_changes(at: Day, verdict: str) -> list[Mapping[str, Any]]:
    """Changes with a release that are confirmed, the largest first."""
    rows = [
        row
        for row in at.rows("release_correlations")
        if row["verdict"] == verdict and row["evidence"] == "confirmed" and row["effect"] is not None
    ]
    return sorted(rows, key=lambda row: (-abs(row["effect"]), row["type"], row["version"]))


def release_words(at: Day, row: Mapping[str, Any]) -> str:
    """What a release did to a type, in words. More delight is better, more friction is worse."""
    verb = {"regressed": "got worse with", "improved": "got better with", "unchanged": "did not change with"}
    kind = "" if row["release_kind"] == "version" else f"{row['release_kind']} "
    words = f"{at.name(row['type'])} {verb.get(row['verdict'], 'cannot be judged for')} {kind}{row['version']}"
    if row["rate_before"] is None and row["rate_after"] is None:
        return words
    return f"{words}: {rate_words(row['rate_before'])} → {rate_words(row['rate_after'])} of sessions"


_EVIDENCE_ORDER: Final = {"confirmed": 0, "suspected": 1, "none": 2, "not_enough_data": 3}

_VERDICT_ORDER: Final = {"regressed": 0, "improved": 1, "unchanged": 2, "inconclusive": 3}


def what_changed(at: Day) -> Section:
    """What rose or fell with a release, and what cannot be told."""
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
        f"{number_of(len(telling), 'change')} shown among {number_of(family, 'comparison')} over "
        f"{number_of(releases, 'open release')}, by the version each session really ran; false discoveries held at 5 %."
    )
    most = max(row["incidents"] for row in rows)
    body = _changes_table(at, telling, most) if telling else ""
    rest = [row for row in rows if row not in telling]
    if rest:
        counts = Counter("unchanged" if row["verdict"] == "unchanged" else row["evidence"] for row in rest)
        words = {"unchanged": "shown to be equal", "none": "without a difference that can be told from chance",
                 "not_enough_data": "with too few data yet", "suspected": "open", "confirmed": "open"}  # fmt: skip
        said = ", ".join(f"{n} {words[what]}" for what, n in sorted(counts.items(), key=lambda item: (-item[1], item)))
        body += folded(f"The other {len(rest)}: {said}", _changes_table(at, rest, most))
    body = _incidents(most) + body + method_link("method-releases")
    lines = [(f"{release_words(at, row)}; {row['evidence']}", "release_correlations") for row in telling[:5]]
    return Section(*section, lead, body, lines or [("No change can be tied to a release", "release_correlations")])


def _incidents(most: int) -> str:
    """Days that were set apart, so that no release is blamed for them: of the release with most of them."""
    if not most:
        return ""
    words = (
        f"{number_of(most, 'day')} on which many types moved at once, whatever was run, {'is' if most == 1 else 'are'}"
    )
    return f'<p class="note">{words} taken for an incident: no release is blamed for it.</p>'


_EVIDENCE_SURE: Final = ("confirmed", "suspected")


def _changes_table(at: Day, rows: Sequence[Mapping[str, Any]], incidents: int) -> str:
    """Incidents: the days told for all above the table; a row tells its own where it has fewer."""
    top = difference_top(rows)
    lines = []
    for row in rows:
        tone, bar, effect = difference_cells(row, top)
        badge = f'<span class="badge {tone}">{esc(row["evidence"].replace("_", " "))}</span>'
        words = f"{esc(release_words(at, row))}<small>{esc(_in_words(row))}</small>"
        words += f"<small>{_release_details(row, incidents)}</small>"
        over = resting_on(row["sessions_after"], row["users_after"])
        lines.append([words, bar, effect, over, badge + _proof(row)])
    return table_of(["Release", difference_head(top), "Difference (95 %)", "Over", "Evidence"], lines, wide=1)


def _in_words(row: Mapping[str, Any]) -> str:
    """What a verdict means, for somebody who knows no statistics."""
    better = TONES.get(row["verdict"])
    if better and row["evidence"] == "confirmed":
        return f"Sure: it is {better}, and looking again every day does not make this a false alarm."
    if better and row["evidence"] == "suspected":
        return f"It looks {better}, and may still be chance: somebody should look before anybody acts."
    if row["verdict"] == "unchanged":
        return "Nothing that matters changed: a larger difference is ruled out."
    if row["evidence"] == "not_enough_data":
        return "Nobody can tell yet: too few sessions or users have run it."
    if None in (row["low"], row["high"]):
        return "No difference that can be told from chance."
    return f"Could be chance: the true change lies between {points(row['low'])} and {points(row['high'])} points."


def _release_details(row: Mapping[str, Any], incidents: int) -> str:
    words = f"{row['agent_name']}, released {short_day(row['released_on'])}, {row['source']}"
    if row["smallest_detectable"] is not None and row["evidence"] not in _EVIDENCE_SURE:
        words += f"; would have seen {100 * row['smallest_detectable']:.0f} points or more"
    if row.get("incidents") and row["incidents"] != incidents:
        words += f"; {number_of(row['incidents'], 'day')} set apart as an incident"
    return esc(words)


def _proof(row: Mapping[str, Any]) -> str:
    parts = [f"q {row['q']:.2g}" if row["q"] is not None else "", _e_words(row["e_value"])]
    said = ", ".join(part for part in parts if part)
    return f"<small>{said}</small>" if said else ""


def _e_words(value: float | None) -> str:
    if value is None:
        return ""
    return "e over 10 000" if value > 10_000 else f"e {value:.0f}" if value >= 10 else f"e {value:.2g}"
