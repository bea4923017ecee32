"""Diagnosis: a cause tied to a lever that someone can change, from the day's tables, or the statement that none shows.

Put here: what counts as evidence, the lever it names, and the sentences (templates) that say so.
Not here: the statistics behind the tables (see `core/correlations.py`), the ticket (see `core/tickets.py`).
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from signals_assets.core.barrier.publication import one_line
from signals_assets.core.barrier.thresholds import part_shown, rounded_interval
from signals_assets.core.causes import WINDOW_DAYS, CauseFacts, DataRow, newest_rows
from signals_assets.core.components import component_of
from signals_assets.core.diagnosis_sessions import (
    LEAST_RATIO,
    SessionFacts,
    in_intents,
    lacks,
    preceded_by,
    rate_ratio,
    told,
)
from signals_assets.core.statistics import interval
from signals_assets.core.user_days import ANONYMOUS, Rows
from signals_assets.core.wording import Wording, percent
from signals_assets.settings import Audience
from signals_assets.tables import Antecedent

Lever = Literal[
    "misread intent",
    "wrong tool",
    "tool returned bad data",
    "right data, wrong answer",
    "harness or prompt",
    "backend",
    "cannot say",
]

_LEVER_OF_TAXONOMY: Final[dict[str, Lever]] = {
    "intent": "misread intent",
    "answer": "right data, wrong answer",
    "harness": "harness or prompt",
    "product": "harness or prompt",
    "tool": "tool returned bad data",
}

_LEVER_AFTER: Final[dict[Antecedent, Lever]] = {
    "failed_tool": "tool returned bad data",
    "tool": "right data, wrong answer",
    "answer": "misread intent",
}
"""What a friction of intent or answer says by the turns that it follows."""

_CHANGES: Final[dict[Lever, str]] = {
    "misread intent": "Name the intent concerned in the agent's instructions, with one example of how to read it.",
    "wrong tool": "Sharpen the description of the tool concerned: when to call it, and when not.",
    "tool returned bad data": "Check what the tool returns in the sessions concerned, and make it fail with a reason.",
    "right data, wrong answer": "Tell the agent to check its answer against the data it holds before it answers.",
    "harness or prompt": "Compare prompt and harness with the version before, and take back what changed here.",
    "backend": "Fix the backend error named above, or make the tool that meets it retry and say so.",
    "cannot say": "Read the events behind this ticket before anything is changed.",
}

MOST_FILES: Final = 5
MOST_CHANGES: Final = 3
"""Files per pull request, and pull requests, that a diagnosis names."""

_STATEMENTS: Final[dict[Lever, str]] = {
    "misread intent": "The agent most likely misreads what users ask for.",
    "wrong tool": "The agent most likely chooses a tool that users do not want.",
    "tool returned bad data": "A tool most likely returns errors or bad data.",
    "right data, wrong answer": "The agent most likely holds the data and answers wrongly.",
    "harness or prompt": "The harness or the prompt most likely causes it.",
    "backend": "A backend error coincides with it and most likely causes it.",
    "cannot say": "The tables do not single out anything that could be changed.",
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The root cause as a lever that someone can change, and what says so. Every word is publishable."""

    type: str
    cause_id: str
    component: str
    lever: Lever
    statement: str
    evidence: tuple[str, ...]
    change: str
    release: str | None = None
    released_on: date | None = None
    error: str | None = None
    share: tuple[str, ...] = ()
    """How much of the type's friction this component has, and for how much of it a component is known."""


def diagnose(
    cause: CauseFacts,
    *,
    wording: Wording,
    release_correlations: Iterable[DataRow] = (),
    error_correlations: Iterable[DataRow] = (),
    friction_rates: Iterable[DataRow] = (),
    leading_indicators: Iterable[DataRow] = (),
    causes_window: Iterable[DataRow] = (),
    components: Mapping[str, Sequence[str]] | None = None,
    pull_requests: Iterable[DataRow] = (),
    releases: Iterable[DataRow] = (),
    events: Rows = (),
    sessions: Mapping[str, SessionFacts] | None = None,
) -> Diagnosis:
    """Tie a cause to a lever, from the day's tables, or say that it cannot be said.

    Only a confirmed release, a backend error that coincides, or a concentration whose interval lies above 1 name a
    lever; a suspected release is mentioned and names none, nor does an error of a service that belongs to another
    component. Tables are of one day; `causes_window`, `events` (`friction_events`) and `sessions` (see
    `session_facts`) of the week, `pull_requests` and `releases` of all days; `components` is the settings' map.
    """
    causes_window = list(newest_rows(causes_window).values())
    release, release_words = _blamed_release(cause.type, release_correlations, wording)
    error, error_words = _coinciding_error(cause, error_correlations, wording, components or {})
    in_component, component_words = _component_lift(cause, causes_window, wording)
    before, before_words = preceded_by(cause, causes_window, events, sessions or {}, wording.audience)
    intents, intent_words = in_intents(cause, causes_window, sessions or {}, wording)
    slices, slice_words = _concentrations(cause.type, friction_rates, wording, told_intents=intents)
    concentrates = {kind for kind, _ in slices} | in_component | ({"intent"} if intents else set())
    lever = _lever(cause.type, wording.lever(cause.type), release, error, concentrates, before)
    component = wording.label("component", cause.component)
    return Diagnosis(
        type=cause.type,
        cause_id=cause.cause_id,
        component=component,
        lever=lever,
        statement=_STATEMENTS[lever],
        evidence=(
            *release_words,
            *_changed(cause, release, pull_requests, releases, components or {}, wording),
            *error_words,
            *slice_words,
            *intent_words,
            *component_words,
            *before_words,
            *lacks(cause, causes_window, sessions or {}, wording, intents),
            *_consequences(cause.type, leading_indicators),
        ),
        change=_CHANGES[lever],
        release=wording.label("version", release["version"]) if release else None,
        released_on=release["released_on"] if release else None,
        error=_error_label(error, wording) if error else None,
        share=_component_share(cause, causes_window, wording),
    )


def _lever(
    friction_type: str,
    own: str,
    release: DataRow | None,
    error: DataRow | None,
    concentrates: Collection[str],
    before: Antecedent | None,
) -> Lever:
    by_taxonomy: Lever = _LEVER_OF_TAXONOMY.get(own, "cannot say")
    if friction_type == "abandoned_tool_flow":
        by_taxonomy = "wrong tool"  # the taxonomy's lever `tool` does not tell choosing from failing
    if error and (release is None or own == "tool"):
        return "backend"
    if release:
        kind = release["release_kind"]
        return "harness or prompt" if kind != "version" or by_taxonomy == "cannot say" else by_taxonomy
    if not {"agent_version", "prompt_version", "agent_model"}.isdisjoint(concentrates):
        return "harness or prompt"
    if before and own in ("intent", "answer"):
        return _LEVER_AFTER[before]
    if "intent" in concentrates and own in ("intent", "answer"):
        return "misread intent"
    return by_taxonomy if concentrates else "cannot say"


def _blamed_release(friction_type: str, rows: Iterable[DataRow], wording: Wording) -> tuple[DataRow | None, list[str]]:
    """The confirmed release with the largest effect (None where only suspected ones exist), and its sentence."""
    risen = [
        row
        for row in rows
        if row["kind"] == "friction"
        and row["type"] == friction_type
        and row["verdict"] == "regressed"
        and row["evidence"] in ("confirmed", "suspected")
    ]
    if not risen:
        return None, []
    first = min(risen, key=lambda row: (row["evidence"] != "confirmed", -abs(row["z"] or 0.0), row["version"]))
    what = wording.label("version", first["version"])
    words = (
        f"The rate went {_from_to(first['rate_before'], first['rate_after'])} "
        f"with {first['release_kind']} {what}, released on {first['released_on'].isoformat()} ({first['evidence']})."
    )
    return (first if first["evidence"] == "confirmed" else None), [words]


def _changed(
    cause: CauseFacts,
    release: DataRow | None,
    pull_requests: Iterable[DataRow],
    releases: Iterable[DataRow],
    components: Mapping[str, Sequence[str]],
    wording: Wording,
) -> list[str]:
    """The pull requests of the blamed release that touch the cause's component, and the files they changed."""
    if release is None or cause.component == "unknown":
        return []
    shipped = {
        number
        for row in releases
        if row["version"] == release["version"] and row["kind"] == release["release_kind"]
        for number in row["pull_request_ids"] or ()
    }
    words = []
    newest = {row["pull_request_id"]: row for row in pull_requests}
    for number, row in sorted(newest.items()):
        files = [path for path in row["files"] or () if component_of(components, (), [path]) == cause.component]
        if files and (number in shipped or row["released_in"] == release["version"]):
            named = [one_line(path) for path in sorted(files) if path in wording.allowed][:MOST_FILES]
            told = f" ({', '.join(named)})" if named else ""
            words.append(
                f"Pull request {wording.label('pull_request', number)} of it changes {len(files)} "
                f"{'file' if len(files) == 1 else 'files'} of this component{told}."
            )
    return words[:MOST_CHANGES]


def _from_to(before: float | None, after: float | None) -> str:
    """Two rates in words; one that few or nobody is behind is absent."""
    first, last = ("what few met" if rate is None else percent(rate) for rate in (before, after))
    return f"from {first} to {last}"


def _coinciding_error(
    cause: CauseFacts, rows: Iterable[DataRow], wording: Wording, components: Mapping[str, Sequence[str]]
) -> tuple[DataRow | None, list[str]]:
    """The backend error that coincides most surely (largest lower bound of the ratio), and its sentence.

    One of the cause's own component comes first; one of another component is mentioned, and is no lever here.
    """
    found = [
        (_owner(cause, row, components), row)
        for row in rows
        if row["type"] == cause.type and row["verdict"] == "coincides" and (row["low"] or 0.0) >= 1
    ]
    if not found:
        return None, []
    owner, first = max(found, key=lambda item: (item[0] is None, item[1]["low"], item[1]["template_id"]))
    words = (
        f"Backend error {_error_label(first, wording)} of service {wording.label('service', first['service'])} "
        f"precedes {wording.name(cause.type)} {_times(first['ratio'], first['low'], first['high'])} as often as by "
        "chance."
    )
    if owner is None:
        return first, [words]
    return None, [f"{words} It belongs to component {wording.label('component', owner)}, not to this one."]


def _owner(cause: CauseFacts, row: DataRow, components: Mapping[str, Sequence[str]]) -> str | None:
    """The component that the error's service belongs to, where that is known and is not the cause's."""
    owner = component_of(components, (), service=row["service"])
    return owner if "unknown" not in (owner, cause.component) and owner != cause.component else None


def _error_label(row: DataRow, wording: Wording) -> str:
    return wording.label("error", row["template"] or row["template_id"])


def _times(ratio: float, low: float, high: float) -> str:
    return f"{ratio:.1f} times (95 % interval {low:.1f} to {high:.1f})"


def _concentrations(
    friction_type: str, rows: Iterable[DataRow], wording: Wording, *, told_intents: Collection[str]
) -> tuple[set[tuple[str, str]], list[str]]:
    """Slices (kind, value) whose rate surely exceeds the overall one: lift with an interval of both uncertainties.

    told_intents: those that `in_intents` has a sentence for; each is told once. Rows may name them by their labels.
    """
    once = {*told_intents, *(wording.label("intent", intent) for intent in told_intents)}
    weekly = [
        row
        for row in rows
        if row["kind"] == "friction" and row["type"] == friction_type and row["window_days"] == WINDOW_DAYS
    ]
    whole = {row["source"]: row for row in weekly if row["slice_kind"] == "all"}
    slices, words = set(), []
    for row in sorted(weekly, key=lambda row: (row["slice_kind"], row["slice"], row["source"])):
        overall = whole.get(row["source"])
        if overall is None or row["slice_kind"] == "all" or overall["low"] <= 0 or row["low"] <= overall["high"]:
            continue
        kind = row["slice_kind"]
        label = wording.label("version" if kind == "agent_version" else kind, row["slice"])
        lift = _times(row["rate"] / overall["rate"], row["low"] / overall["high"], row["high"] / overall["low"])
        slices.add((kind, row["slice"]))
        if kind == "intent" and row["slice"] in once:
            continue
        words.append(f"It concentrates in {kind.replace('_', ' ')} {label}: {lift} the overall rate.")
    return slices, words


def _component_lift(cause: CauseFacts, rows: Iterable[DataRow], wording: Wording) -> tuple[set[str], list[str]]:
    """How much more of this type's friction sits in its component than of other friction, where a component is known.

    The cause in question was often chosen for being the largest, which alone makes its component look special.
    """
    counts: dict[tuple[bool, bool], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        if row["component"] == "unknown":
            continue
        of_type, here = row["type"] == cause.type, row["component"] == cause.component
        person = row["user_id"] or ANONYMOUS + row["session_id"]
        counts[of_type, False][person] += 1
        counts[of_type, True][person] += here
    ratio = rate_ratio(counts[True, True], counts[True, False], counts[False, True], counts[False, False])
    if cause.component == "unknown" or ratio is None or ratio.low < LEAST_RATIO or not told(ratio, wording.audience):
        return set(), []
    label = wording.label("component", cause.component)
    return {"component"}, [f"It concentrates in component {label}: {ratio.words} as often as other friction."]


def _component_share(cause: CauseFacts, rows: Iterable[DataRow], wording: Wording) -> tuple[str, ...]:
    """The component's share of the sessions with the type, its interval by users, and how many name a component.

    A share is told where enough users are in it and enough are outside it (`part_shown`). Sessions whose friction is in
    several components count for each.
    """
    with_type: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    here, known = set(), set()
    for row in rows:
        if row["type"] == cause.type:
            with_type[row["user_id"], "" if row["user_id"] else row["session_id"]].add(row["session_id"])
            here.update([row["session_id"]] if row["component"] == cause.component else [])
            known.update([row["session_id"]] if row["component"] != "unknown" else [])
    if wording.audience == "public" or not with_type:
        return ()
    share, coverage = _share(with_type, here, wording.audience), _share(with_type, known, wording.audience)
    most = "all or nearly all"  # a cause concerns enough people to be spoken of: too few can only be outside
    if cause.component == "unknown":
        part = share or most
        return (f"No component is known for {part} of the sessions with this friction: this ticket is about those.",)
    label = wording.label("component", cause.component)
    return (
        f"Component {label} has {share or most} of the sessions with this friction.",
        f"A component is known for {coverage or most} of them.",
    )


def _share(sessions_of: Mapping[tuple[str | None, str], set[str]], chosen: set[str], audience: Audience) -> str | None:
    """The share of users' sessions that are among the chosen, with its 95 % interval; None where it may not be told."""
    inside = sum(not sessions.isdisjoint(chosen) for sessions in sessions_of.values())
    outside = sum(not sessions <= chosen for sessions in sessions_of.values())
    if not part_shown(audience, inside, outside):
        return None
    import numpy as np

    weight = np.array([len(sessions) for sessions in sessions_of.values()], dtype=np.float64)
    events = np.array([[len(sessions & chosen) for sessions in sessions_of.values()]], dtype=np.float64)
    found = interval(weight, events, float(weight.sum()))
    exact = (float(found.rate[0]), float(found.low[0]), float(found.high[0]))
    rate, low, high = rounded_interval(exact, int(weight.sum()), len(sessions_of), audience)
    return f"{percent(rate)} (95 % interval {percent(low)} to {percent(high)})"


_OUTCOMES: Final[dict[str, str]] = {
    "outcome=abandoned": "Sessions with it are given up",
    "outcome=transferred": "Sessions with it are handed to a person",
}


def _consequences(friction_type: str, rows: Iterable[DataRow]) -> list[str]:
    found = [
        row
        for row in rows
        if row["outcome"] in _OUTCOMES
        and re.match(r"[a-z_]+", row["indicator"])
        and re.split(r"[>=]", row["indicator"])[0] == friction_type
        and (row["low"] or 0) > 0
        and (row["q"] is None or row["q"] <= 0.05)
    ]
    return [
        f"{_OUTCOMES[row['outcome']]} {row['difference'] * 100:.0f} points more often than others of their length "
        f"(95 % interval {row['low'] * 100:.0f} to {row['high'] * 100:.0f})."
        for row in sorted(found, key=lambda row: (row["outcome"], row["indicator"]))[:2]
    ]
