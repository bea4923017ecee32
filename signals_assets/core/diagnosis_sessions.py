"""Diagnosis, what sessions say: after which turns a friction comes, and what its sessions lack that end well.

Put here: `SessionFacts`, the week's sessions as a diagnosis needs them, and the two comparisons made of them.
Not here: evidence from published tables and the lever (see `core/diagnosis.py`).
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from signals_assets.core.barrier.thresholds import coarse, shown
from signals_assets.core.causes import CauseFacts, DataRow
from signals_assets.core.user_days import ANONYMOUS, Rows, records
from signals_assets.core.wording import Wording
from signals_assets.settings import Audience
from signals_assets.tables import Antecedent

LEAST_EVENTS: Final = 10
"""Fewer moments with and without what is asked about are no evidence."""

LEAST_RATIO: Final = 1.5
"""Least ratio, at the lower end of its interval, that is told: turns, intents and components differ by nature."""

_AFTER: Final[Mapping[Antecedent, str]] = {
    "failed_tool": "in which a tool had failed",
    "tool": "in which tools had worked",
    "answer": "in which the agent had only answered, without a tool",
}
TURNS: Final[Mapping[Antecedent, str]] = {
    "failed_tool": "turns_after_failed_tool",
    "tool": "turns_after_tool",
    "answer": "turns_after_answer",
}
"""Antecedent -> column of `session_metrics` that counts the turns it precedes."""


Numbers = Mapping[str, float]
"""Person -> a number."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two rates with its 95 % interval by user, and the distinct users who have events on either side."""

    ratio: float
    low: float
    high: float
    users: int
    users_beside: int

    @property
    def words(self) -> str:
        """The ratio as it may be published: its ends to halves, outwards."""
        low, high = math.floor(2 * self.low) / 2, math.ceil(2 * self.high) / 2
        return f"{min(max(coarse(self.ratio), low), high):.1f} times (95 % interval {low:.1f} to {high:.1f})"


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """A session: whose it is, its turns by what preceded them, the components it called, intent and outcome."""

    person: str
    turns: Mapping[Antecedent, int]
    components: frozenset[str]
    intent: str = ""
    outcome: str = ""


def session_facts(metrics: Rows, facets: Rows = ()) -> dict[str, SessionFacts]:
    """Rows of `session_metrics` and `facets` of a window, by session. A session without a user is its own person."""
    told: dict[str, dict[str, str]] = defaultdict(dict)
    for session, facet, value in records(facets, ("session_id", "facet", "value")):
        told[session][facet] = value
    names = ("session_id", "user_id", "components", *TURNS.values())
    return {
        session: SessionFacts(
            person=user or ANONYMOUS + session,
            turns=dict(zip(TURNS, (turns or 0 for turns in counts), strict=True)),
            components=frozenset(components or ()),
            intent=told[session].get("primary_intent", ""),
            outcome=told[session].get("outcome", ""),
        )
        for session, user, components, *counts in records(metrics, names)
    }


def preceded_by(
    cause: CauseFacts,
    causes_window: Sequence[DataRow],
    events: Rows,
    sessions: Mapping[str, SessionFacts],
    audience: Audience,
) -> tuple[Antecedent | None, list[str]]:
    """The sort of turn after which the cause's type comes surely more often than after others, and the sentence.

    Per turn of the sort: a friction that mostly follows failed tools, because nearly all turns do, is none. events:
    `friction_events` of the window (their antecedents).
    """
    known = dict(records(events, ("event_id", "antecedent")))
    met: dict[Antecedent, dict[str, int]] = {name: defaultdict(int) for name in TURNS}
    for row in causes_window:
        before = known.get(row["event_id"])
        if row["type"] == cause.type and before in met and row["session_id"] in sessions:
            met[before][sessions[row["session_id"]].person] += 1
    turns: dict[Antecedent, dict[str, int]] = {name: defaultdict(int) for name in TURNS}
    for session in sessions.values():
        for name, count in session.turns.items():
            turns[name][session.person] += count
    found = []
    for name in TURNS:
        others = [other for other in TURNS if other != name]
        ratio = rate_ratio(met[name], turns[name], _sum(met, others), _sum(turns, others))
        if ratio and ratio.low >= LEAST_RATIO and told(ratio, audience):
            found.append((ratio, name))
    if not found:
        return None, []
    ratio, name = max(found, key=lambda item: (item[0].low, item[1]))
    return name, [f"It follows turns {_AFTER[name]}: {ratio.words} as often as other turns."]


def in_intents(
    cause: CauseFacts, causes_window: Sequence[DataRow], sessions: Mapping[str, SessionFacts], wording: Wording
) -> tuple[list[str], list[str]]:
    """Intents whose sessions meet the cause's type surely more often than all others, and a sentence for each."""
    concerned = {row["session_id"] for row in causes_window if row["type"] == cause.type}
    by_intent: dict[str, dict[str, SessionFacts]] = defaultdict(dict)
    for name, session in sessions.items():
        by_intent[session.intent][name] = session
    intents, words = [], []
    for intent in sorted(set(by_intent) - {"", "other", "unknown"}):
        here = by_intent[intent]
        rest = {name: session for name, session in sessions.items() if session.intent not in ("", intent)}
        ratio = rate_ratio(*_by_person(here, concerned), *_by_person(rest, concerned))
        if ratio and ratio.low >= LEAST_RATIO and told(ratio, wording.audience):
            intents.append(intent)
            label = wording.label("intent", intent)
            words.append(f"It concentrates in intent {label}: {ratio.words} as often as in sessions with others.")
    return intents, words


def lacks(
    cause: CauseFacts,
    causes_window: Sequence[DataRow],
    sessions: Mapping[str, SessionFacts],
    wording: Wording,
    intents: Iterable[str],
) -> list[str]:
    """What sessions with the same intent call that end well, and those with the friction do not: one sentence at most.

    intents: those that the friction concentrates in. Per component the share of the sessions that call it.
    """
    concerned = {row["session_id"] for row in causes_window if row["type"] == cause.type}
    chosen = set(intents)
    well, badly = (
        {
            name: session
            for name, session in sessions.items()
            if session.intent in chosen and (name in concerned) == bad and (bad or session.outcome == "success")
        }
        for bad in (False, True)
    )
    found = []
    for component in sorted({name for session in well.values() for name in session.components}):
        calling = {name for name, session in sessions.items() if component in session.components}
        ratio = rate_ratio(*_by_person(well, calling), *_by_person(badly, calling))
        if ratio and ratio.low > 1 and told(ratio, wording.audience):
            found.append((ratio, component))
    if not found:
        return []
    ratio, component = max(found, key=lambda item: (item[0].low, item[1]))
    label = wording.label("component", component)
    return [f"Sessions with the same intent that end well call component {label} {ratio.words} as often."]


def rate_ratio(events: Numbers, base: Numbers, other_events: Numbers, other: Numbers) -> Ratio | None:
    """The rate of events per base against the other rate, with a 95 % interval; None with too few events.

    All by person. The variance of the log ratio is the sum of squares of each person's influence on it (linearisation
    with persons as clusters; Liang and Zeger, Biometrika 73, 1986), with the factor n / (n - 1).
    """
    many, few = sum(events.values()), sum(other_events.values())
    size, rest = sum(base.values()), sum(other.values())
    if many < LEAST_EVENTS or few < 1 or many + few < 2 * LEAST_EVENTS or not size or not rest:
        return None
    people = {*base, *other}
    influence = (
        events.get(person, 0) / many
        - base.get(person, 0) / size
        - other_events.get(person, 0) / few
        + other.get(person, 0) / rest
        for person in people
    )
    spread = 1.96 * math.sqrt(sum(one**2 for one in influence) * len(people) / max(len(people) - 1, 1))
    ratio = (many / size) / (few / rest)
    return Ratio(ratio, ratio * math.exp(-spread), ratio * math.exp(spread), _people(events), _people(other_events))


def _people(counts: Numbers) -> int:
    """Distinct users with a count, all unknown ones together as one."""
    return len({ANONYMOUS if one.startswith(ANONYMOUS) else one for one, count in counts.items() if count > 0})


def told(ratio: Ratio, audience: Audience) -> bool:
    """Whether a ratio may be published: enough users on either side."""
    return all(shown(audience, users, users) for users in (ratio.users, ratio.users_beside))


def _sum(parts: Mapping[Antecedent, Mapping[str, int]], names: Iterable[Antecedent]) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for name in names:
        for person, count in parts[name].items():
            total[person] += count
    return total


def _by_person(sessions: Mapping[str, SessionFacts], chosen: Collection[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Sessions that are among the chosen, and all of them, by person."""
    inside: dict[str, int] = defaultdict(int)
    everything: dict[str, int] = defaultdict(int)
    for name, session in sessions.items():
        everything[session.person] += 1
        inside[session.person] += name in chosen
    return inside, everything
