"""Section "How to read this": the words that a reader of the page meets.

Put here: terms and their meaning, without formulas. Not here: the methods (see `methods.py`).
"""

from signals_assets.core.barrier.thresholds import SHOWN
from signals_assets.core.report.day import Day, Section
from signals_assets.core.svg import esc


def how_to_read(at: Day) -> Section:
    """The page's words and what they mean."""
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
