"""Section "Methods": for every kind of verdict how it is computed, its family of comparisons, what it assumes.

Put here: text for statisticians, with sources; each method has an anchor that the sections link to.
Not here: the words for everybody else (see `reading.py`), the methods themselves (see `core/statistics.py` and the
modules of the stages). Levels are imported from there, so that text and test cannot differ.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from signals_assets.core.landscape import WEEKS
from signals_assets.core.outcomes import E_VALUE, EQUIVALENT_SHARE
from signals_assets.core.report.day import FALSE_DISCOVERY, Day, Section
from signals_assets.core.report.markup import number_of
from signals_assets.core.statistics import (
    ASSUMED_CORRELATION,
    CONFIRMED_RATE,
    EQUIVALENCE_POINTS,
    EQUIVALENCE_SHARE,
    MIN_BASELINE_DAYS,
    MIN_EXPECTED_EVENTS,
    SUSPECTED_Q,
)
from signals_assets.core.svg import esc, percent


@dataclass(frozen=True, slots=True)
class Method:
    """One method: its anchor, what it is for, and four texts."""

    id: str
    title: str
    how: str
    family: str
    assumes: str
    sources: str


METHODS: Final = (
    Method(
        "method-rates",
        "Rates and their intervals",
        "Share of sessions with at least one such event, weighted by the inverse chance of having been selected where "
        "only a sample was read. The 95 % interval is Wilson's at the effective sample size: the design effect is the "
        "leave-one-user-out variance over the binomial one, at least what a correlation of "
        f"{ASSUMED_CORRELATION:g} between sessions of one user gives; quantiles of Student's t by Kish's effective "
        "number of users. Ends are rounded outwards.",
        "Intervals stand for themselves: each covers its own rate in 95 of 100 cases, not all of them at once.",
        "Users are independent of each other; who is selected for reading depends only on the strata.",
        "Wilson 1927; Kish 1965; Rao and Scott 1992.",
    ),
    Method(
        "method-releases",
        "Releases: regressed, improved, unchanged, inconclusive",
        "Sessions that ran the release against sessions that ran earlier versions, by the version each really ran. "
        "Generalised least squares with users' habits and days' shocks in the working model: where adoption is "
        "staggered, a user's own past and others' sessions of the same days are the controls (difference in "
        "differences). Variance by leaving out one user at a time over both cohorts together, plus what single days "
        "add; Student's t with Satterthwaite's degrees of freedom. Confirmed: a mixture sequential test's e-value "
        f"passes e-BH at {percent(CONFIRMED_RATE)}, which stays valid however often one looks. Suspected: "
        f"Benjamini-Hochberg at {percent(SUSPECTED_Q)}, of one day's look only. Unchanged: the 95 % interval is within "
        f"{percent(EQUIVALENCE_SHARE)} of the rate before, or {100 * EQUIVALENCE_POINTS:g} points where that is more. "
        "Else inconclusive, with the smallest change that 80 of 100 tries would see. A day on which many types moved "
        "at once, whatever ran, is an incident: it is set apart and no release is blamed for it.",
        "All open releases times all types of friction and delight that are tested on the day, delight included; "
        f"what expects fewer than {MIN_EXPECTED_EVENTS} events, or has fewer than {MIN_BASELINE_DAYS} days before the "
        "release, is outside the family and says so.",
        "Which users take a release early has nothing to do with their friction, beyond what their own past shows; a "
        "day's shock meets all versions alike; the labels' meaning stays (a change of the analyst is marked).",
        "Robbins 1970; Johari, Pekelis and Walsh 2022 (always valid inference); Wang and Ramdas 2022 (e-BH); Benjamini "
        "and Hochberg 1995; Satterthwaite 1946.",
    ),
    Method(
        "method-errors",
        "Backend errors: coincides",
        "Within each session: was a line of the error's template logged in the ten minutes before the friction, "
        "against the chance of it at random times of the same session (self-controlled), by user; and where lines "
        "name no session, against other times of the same hour.",
        f"All pairs of template and friction type with enough data; Benjamini-Hochberg at {percent(FALSE_DISCOVERY)}, "
        "and the ratio's interval has to clear what bursts of work alone bring.",
        "Within a session, what makes errors more likely does not make friction more likely at the same minute by "
        "another way. Coincidence in time is not a cause. In the picture a bar is the share of a day's sessions whose "
        "lines hold the error; lines that name no session are not in it.",
        "Farrington 1995 (self-controlled case series).",
    ),
    Method(
        "method-early",
        "Early signs",
        "Share of sessions with the outcome among those with the sign, against sessions without it in the same group "
        "of length (longer sessions hold more of everything), standardised over the groups; intervals by leaving out "
        "one user at a time. The curve of statements: the chance that a user who said the same thing k times says it "
        "once more, against the chance at the stage before; its interval is that of the difference. The curve of what "
        "is not given up: from the first friction on, against sessions that came as far without one.",
        f"All pairs of sign and outcome of the day; Benjamini-Hochberg at {percent(FALSE_DISCOVERY)}.",
        "Sessions of alike length are alike but for the sign. A sign is no cause: both may come of a hard task.",
        "Rothman 1986 (standardisation); Kaplan and Meier 1958 for reading a chance stage by stage.",
    ),
    Method(
        "method-fixes",
        "Fixes",
        "Sessions that ran a version with the fix, after it, on users outside the diagnosis where they suffice, "
        "against sessions without it; untouched types are controls. An e-value of "
        f"{E_VALUE:g} decides, which may be looked at every day. Unchanged: surely less than "
        f"{percent(EQUIVALENT_SHARE)} of the rate before, either way.",
        "One test for each fix; other types and delight are guardrails and are named when they worsen.",
        "As for releases. What else was in the same release is not told apart from the fix.",
        "Ville 1939; Robbins 1970.",
    ),
    Method(
        "method-map",
        "The map and its growth",
        "Communities of the exact neighbour graph of sentence vectors at two fixed resolutions, found anew each Monday "
        "and matched to the map before by overlap of members; in between new moments join the nearest pattern that "
        "claims them. Overlap is intersection over union with the map before. Places are the first two principal "
        "components of the patterns' centres, turned, mirrored, scaled and shifted onto the places they had; two of "
        "many directions, so that what lies close may still differ. Growth: share of the sessions of each of the "
        f"last {number_of(WEEKS, 'week')} that have such a moment, all under the newest map.",
        "Nothing is tested here: growth is a description without an interval.",
        "The sentence vectors' idea of likeness is the reader's.",
        "Blondel and others 2008 (Louvain); Schönemann 1966 (Procrustes); Jaccard 1901.",
    ),
    Method(
        "method-taxonomy",
        "Proposals, drift of meaning, retirement",
        "Left-overs that no category claims are grouped, and kept where resampling finds them again and a second pass "
        "with the new definition agrees on held-back members and near misses. Meaning moves where the last week's "
        "items lie farther from the definition than the weeks before did. Retirement is proposed for what hardly "
        "occurs any more or tells nothing of outcomes and other friction (mutual information, less chance).",
        "Rules of acceptance hold for all proposals of a day; a person decides about each.",
        "The analyst's citations say what happened.",
        "Hennig 2007 (stability by resampling); Cover and Thomas 2006 (mutual information).",
    ),
    Method(
        "method-readers",
        "Readers",
        "Two readers' answers on the same sessions, compared by user; agreement as F1 or Cohen's kappa.",
        f"All types of one comparison; Benjamini-Hochberg at {percent(FALSE_DISCOVERY)}.",
        "Sessions that both read were chosen without regard to what either found.",
        "Cohen 1960.",
    ),
)


def methods(at: Day) -> Section:
    """All methods, each behind a fold with an anchor."""
    body = "".join(
        f'<details id="{one.id}"><summary>{esc(one.title)}</summary>{_texts(one)}</details>' for one in METHODS
    )
    families = _families(at)
    lead = "How each verdict is computed, over which family of comparisons, and what it assumes."
    return Section("methods", "Methods, families of comparisons, assumptions", lead + families, body)


def _texts(one: Method) -> str:
    texts = (("How", one.how), ("Family", one.family), ("Assumes", one.assumes), ("Sources", one.sources))
    return f'<dl class="reading">{"".join(f"<dt>{what}</dt><dd>{esc(text)}</dd>" for what, text in texts)}</dl>'


def _families(at: Day) -> str:
    """Sizes of the day's families."""
    sizes = {
        "of releases": _size(row["comparisons"] for row in at.rows("release_correlations")),
        "of errors": _size(row["comparisons"] for row in at.rows("error_correlations")),
        "of early signs": sum(row["q"] is not None for row in at.rows("leading_indicators")),
    }
    said = ", ".join(f"{number_of(size, 'comparison')} {what}" for what, size in sizes.items() if size)
    return f" On this day: {said}." if said else ""


def _size(comparisons: Iterable[int]) -> int:
    return max(comparisons, default=0)


def method_link(anchor: str) -> str:
    """A link to a method: one click away from every verdict. Raises StopIteration for an anchor that is none."""
    known = next(one for one in METHODS if one.id == anchor)
    return f'<p class="note"><a href="#{known.id}">Method, family of comparisons, assumptions</a></p>'
