"""Stage 5 · discovery, proposals: groups of items that no existing category claims, named and checked.

Put here: `propose`: which rows are looked at, what emerges, what a group rests on.
Not here: finding groups (see `discovery_groups.py`), the map (see `discovery_map.py`), evidence and acceptance rules
(see `discovery_evidence.py`), names (see `discovery_naming.py`), relabelling (see `discovery_labels.py`).

A gate per category and HDBSCAN's leaves over the raw vectors of what is left: measured against a global gate and
five other clusterers (`signals benchmark discovery` repeats it). A new category comes out in about two pieces, so
near pieces are joined before they are proposed.

Material (events of little confidence, such as remarks that the rules cannot explain) is another matter: most of it is
what the rules always miss. It makes a new category only where it emerges, unlike anything of the window's older half.
So with intents once a person has accepted some: what users always came for is left over in pieces that differ from day
to day, and a further intent has to rise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from signals_assets.core.discovery_evidence import VARIETY, Context, Found, proposal_rows, variety, was_rejected
from signals_assets.core.discovery_groups import left_overs, loose_groups, new_groups, wish_groups
from signals_assets.core.discovery_items import Row, Window, embedded, says_type
from signals_assets.core.discovery_labels import LABEL_KINDS, OTHER, Category, LabelKind, categories, types_now
from signals_assets.core.discovery_naming import Namer
from signals_assets.core.discovery_vectors import (
    Labels,
    Vectors,
    centroid,
    gate,
    nearer_elsewhere,
    tight_groups,
    unlike,
)
from signals_assets.core.identity import content_id
from signals_assets.core.selection import COUNTED
from signals_assets.core.taxonomy import Taxonomy
from signals_assets.settings import Audience
from signals_assets.tables import TaxonomyProposal

GATE_QUANTILE: Final = 0.2
"""A category claims what is nearest to it and as near as all but this share of its own items. Measured on banking
intents with a quarter of the classes unknown, three splits: recall 0.70 at 0.1, 0.79 at 0.15, 0.97 at 0.2."""

LEAST_GROUP: Final[dict[Audience, int]] = {"self": 4, "team": 8, "company": 15, "public": 15}
"""Least items of a dense group. 15 is what was measured; smaller audiences see less and may ask for less."""

LEAST_SEEN: Final[dict[Audience, int]] = {"self": 4, "team": 5, "company": 5, "public": 5}
"""Least items of a group of unmet needs, and of material that emerges: fewer than the sessions that the acceptance
rules ask for, so that a person sees what waits for support. A need has no known category beside it whose corner it
could be, and what emerges is held against what was usual (`RISES`, `CHANCE`); a group among left-overs of known
categories has neither for it. Seven simulated lives: proposed at most 5 days after enough support; five of them with
8: at most 6, and what passes the rules, and on which day, is the same, also in two quiet lives."""

NEED: Final = 0.35
"""Mean cosine of a group of unmet needs that the rules wrote: midway between what needs of one sort have (0.40 to 0.45)
and what they have to others (0.18). There are few of them, so that pieces of one hardly form before (measured on three
simulated lives: found 3 to 6 days after enough support, joined from pieces 6 to 12; all of a group of one sort)."""

SURROUNDED: Final = 0.4
"""A group with this share of its rows nearer to what is claimed than to each other is part of that. Precision with a
tenth of the classes unknown 0.85 at 0.5 and 0.91 at 0.4, with a quarter 0.97 at both, and the same recall."""

SEPARATION: Final = 0.9
"""A group whose centre is nearer than this to a known category is a corner of it (at 0.85 recall falls by 0.05)."""

EMERGES_AFTER: Final = 21
"""Least days of history. The barrier admits a word once enough users of two weeks have said it, so that in the first
weeks what was refused before looks new; with less nothing is known of what is usual."""

NOVEL: Final = 0.7
"""Material nearer than this to something of the older half is nothing new. Measured on four simulated weeks: 0.65 to
0.75 give the same groups, at 0.8 the usual comes through."""

RISES: Final = 3.0
"""Least factor by which a group's share of the material rises from the older to the newer half. A group of novel
material may still lie around something usual."""

CHANCE: Final = 0.02
"""Greatest chance that a group's likes fall so unevenly on both halves when nothing has changed (binomial tail by the
sizes of the halves, times the groups of its size that the newer half has room for). Sixty days hold about four halves
that share nothing. Measured on simulated lives (100 sessions a day): planted newcomers come under 0.02 with 11 to 14
items and under 0.001 soon after, what comes up in quiet ones has 0.05 to 0.8."""

RESAMPLES: Final = 5
RESAMPLED_SHARE: Final = 0.8
REAPPEARS: Final = 0.5
MOST_WISHES: Final = 2000
MOST_LEFT: Final = 4000
"""Intents, and left-overs of the other kinds, among which groups are looked for: every session has an intent, and
finding groups takes the square of their number; the groups then take in all that are as near."""

SAME_NEED: Final = 0.75
"""Friction `other` as near as this to a need of the same session is that need."""


def propose(
    day: date,
    window: Window,
    taxonomy: Taxonomy,
    previous: Sequence[Row] = (),
    previous_labels: Sequence[Row] = (),
    *,
    audience: Audience,
    seed: int = 0,
    embedder: str = "",
    facts: Mapping[str, tuple[str, str]] | None = None,
    namer: Namer | None = None,
) -> list[TaxonomyProposal]:
    """The day's proposals for new types of friction and delight, for unmet needs and intents, most users first.

    `facts` are primary intent and outcome of the window's analysed sessions, `namer` asks the analyst's model, where
    there is one. `previous` are the rows of `taxonomy_proposals` of the day before: a group that shares its evidence
    keeps id, slug, name and definition. `previous_labels` are rows of `event_labels` of earlier days, oldest first.
    What was rejected (`taxonomy.rejected()`) is not proposed while its evidence is alike. What the agent has no means
    to do is told twice, as an unmet need and as friction `other`: it is proposed once, as the unmet need.
    """
    proposals: list[TaxonomyProposal] = []
    context = Context(taxonomy, audience, previous, facts or {}, _friction(window), namer or Namer())
    for kind in LABEL_KINDS:
        part = window.of_kind(kind)
        types = types_now(part, kind, taxonomy, previous_labels, embedder=embedder)
        unsure = _material(part, types)
        known = categories(part, _without(types, unsure), GATE_QUANTILE)
        unclaimed = left_overs(part.vectors, known)
        barred = np.union1d(unsure, _explained(part))
        if kind == "friction":
            barred = np.union1d(barred, _told_as_needs(part, window.of_kind("unmet_need")))
        left = np.setdiff1d(unclaimed, barred)
        everything, left = left, _sampled(part, left, MOST_WISHES if kind == "intent" else MOST_LEFT)
        topical = left[[part.items[row].text != embedded(part.items[row].text) for row in left.tolist()]]
        new, usual = _halves(day, window, part, unsure, previous, previous_labels)
        emerging = np.intersect1d(unlike(part.vectors, new, usual, NOVEL), unclaimed)
        least, together = LEAST_GROUP[audience], _TOGETHER.get(kind, loose_groups)
        few = least if kind == "intent" else LEAST_SEEN[audience]
        find = partial(new_groups, known=known, rows=_contestable(part, types, known, barred))
        groups = _groups(part, np.setdiff1d(left, topical), known, find, least, seed)
        if kind == "intent" and known:
            new, usual = _by_age(day, part)
        groups += [
            replace(group, risen=_risen(part.vectors, group.rows, new, usual))
            for group in _groups(part, np.union1d(topical, emerging), known, together, few, seed)
            if len(group.rows) >= least or kind == "unmet_need" or np.isin(group.rows, new).any()
        ]
        found = [group for group in groups if not was_rejected(kind, part, group.rows, taxonomy)]
        if len(left) < len(everything):
            found = [replace(group, rows=_grown(part.vectors, group.rows, everything)) for group in found]
        proposals += proposal_rows(day, kind, part, found, known, unclaimed, context)
    return proposals


def _friction(window: Window) -> dict[str, frozenset[str]]:
    """Session -> ids of its items of friction."""
    found: dict[str, set[str]] = {}
    for item in window.items:
        if item.kind == "friction":
            found.setdefault(item.session_id, set()).add(item.item_id)
    return {session: frozenset(ids) for session, ids in found.items()}


def _sampled(window: Window, rows: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """At most so many of the rows, ascending: those with the lowest hashes, so that a day hardly changes the choice."""
    if len(rows) <= most:
        return rows
    drawn = {row: content_id("h", str(window.items[row].day), window.items[row].text) for row in rows.tolist()}
    chosen = sorted(drawn, key=lambda row: (drawn[row], row))[:most]
    return np.array(sorted(chosen), dtype=np.int64)


def _grown(vectors: Vectors, rows: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """A group that was found in a sample, with those of the other rows that are as near as its own members."""
    near = vectors[others] @ centroid(vectors[rows]) >= gate(vectors[rows], GATE_QUANTILE)
    return np.union1d(rows, others[near]).astype(np.int64)


def _contestable(window: Window, types: Sequence[str], known: Sequence[Category], barred: Labels) -> Labels:
    """Rows that a new category may win: all but those that their own type claims, and the barred ones."""
    if not known or not len(window.items):
        return np.setdiff1d(np.arange(len(window.items)), barred)
    similar = window.vectors @ np.stack([category.centre for category in known]).T
    best = similar.argmax(axis=1)
    claimed = similar.max(axis=1) >= np.array([category.threshold for category in known])[best]
    own = np.array([known[place].slug == slug for place, slug in zip(best.tolist(), types, strict=True)])
    return np.setdiff1d(np.flatnonzero(~(claimed & own)), barred)


def _explained(window: Window) -> npt.NDArray[np.int64]:
    """Rows with a sentence that the built-in rules write of a type: it says that type, so no new one comes of it."""
    return np.array([row for row, item in enumerate(window.items) if says_type(item.text)], dtype=np.int64)


def _material(window: Window, types: Sequence[str]) -> npt.NDArray[np.int64]:
    """Rows that have their type with little confidence and by no later label."""
    return np.array(
        [
            row
            for row, (item, slug) in enumerate(zip(window.items, types, strict=True))
            if item.confidence < COUNTED and slug == item.type
        ],
        dtype=np.int64,
    )


def _without(types: Sequence[str], rows: npt.NDArray[np.int64]) -> list[str]:
    """The types with those of some rows left out: they shape no category."""
    out = set(rows.tolist())
    return ["" if row in out else slug for row, slug in enumerate(types)]


def _halves(
    day: date,
    window: Window,
    part: Window,
    material: npt.NDArray[np.int64],
    previous: Sequence[Row],
    previous_labels: Sequence[Row],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Material of the newer and of the older half of the window's days; both empty while the history is short.

    What a proposal that was ready the day before holds counts as new however old it is: it stays until a person
    decides. So does what an acceptance once typed: undone, it can be proposed again.
    """
    middle = _middle(day, window)
    if middle is None:
        return material[:0], material[:0]
    proposed = {item_id for row in previous if row["ready"] for item_id in row["item_ids"]}
    proposed |= {row["event_id"] for row in previous_labels if row["type"] != row["previous_type"]}
    new = np.array(
        [part.items[row].day > middle or part.items[row].item_id in proposed for row in material.tolist()],
        dtype=np.bool_,
    )
    return material[new], material[~new]


def _by_age(day: date, part: Window) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All rows of the newer and of the older half of the window's days; both empty while the history is short."""
    middle = _middle(day, part)
    newer = np.array([middle is not None and item.day > middle for item in part.items], dtype=np.bool_)
    return np.flatnonzero(newer), np.flatnonzero(~newer & (middle is not None))


def _middle(day: date, window: Window) -> date | None:
    """The last day of the window's older half; None while the history is short."""
    first = min((item.day for item in window.items), default=day)
    history = (day - first).days + 1
    return None if history < EMERGES_AFTER else day - timedelta(days=history // 2)


def _risen(
    vectors: Vectors, rows: npt.NDArray[np.int64], new: npt.NDArray[np.int64], usual: npt.NDArray[np.int64]
) -> bool:
    """Whether a group's likes have a larger share of the newer material than of the older, and not by chance.

    True for a group without newer material: it does not emerge, it is left over.
    """
    if not np.isin(rows, new).any():
        return not np.isin(rows, usual).any()
    from scipy.special import bdtrc

    centre, least = centroid(vectors[rows]), gate(vectors[rows], GATE_QUANTILE)
    now, before = (int((vectors[half] @ centre >= least).sum()) for half in (new, usual))
    share = len(new) / (len(new) + len(usual))
    chance = float(bdtrc(now - 1, now + before, share)) * len(new) / len(rows)
    return now * max(len(usual), 1) >= RISES * before * len(new) and chance <= CHANCE


def _told_as_needs(friction: Window, needs: Window) -> npt.NDArray[np.int64]:
    """Rows of friction `other` that say what a need of the same session says."""
    of_session: dict[str, list[int]] = {}
    for row, item in enumerate(needs.items):
        of_session.setdefault(item.session_id, []).append(row)
    told = [
        row
        for row, item in enumerate(friction.items)
        if item.type == OTHER
        and item.session_id in of_session
        and float((needs.vectors[of_session[item.session_id]] @ friction.vectors[row]).max()) >= SAME_NEED
    ]
    return np.array(told, dtype=np.int64)


Finder = Callable[[Vectors, npt.NDArray[np.int64], int], list[Labels]]
"""Vectors, the rows to group and the least size of a group -> groups of row numbers."""


def _need_groups(vectors: Vectors, rows: npt.NDArray[np.int64], min_size: int) -> list[Labels]:
    """Groups among the rows `rows`, largest first, for the topics of unmet needs."""
    labels = tight_groups(vectors[rows], min_size, NEED)
    groups = [rows[np.flatnonzero(labels == label)] for label in range(int(labels.max(initial=-1)) + 1)]
    return sorted(groups, key=lambda group: (-len(group), int(group[0])))


_TOGETHER: Final[dict[LabelKind, Finder]] = {"intent": wish_groups, "unmet_need": _need_groups}
"""How lists of topics are grouped, other than by `loose_groups`."""


def _groups(
    window: Window,
    left: npt.NDArray[np.int64],
    known: Sequence[Category],
    find: Finder,
    min_size: int,
    seed: int,
) -> list[Found]:
    vectors = window.vectors
    groups = find(vectors, left, min_size)
    if not groups:
        return []
    stabilities = _stabilities(vectors, left, groups, find, min_size, np.random.default_rng(seed))
    claimed = np.setdiff1d(np.arange(len(vectors)), np.concatenate([left, *groups]))
    found = []
    for rows, stability in zip(groups, stabilities, strict=True):
        centre = centroid(vectors[rows])
        similar = [float(category.centre @ centre) for category in known]
        best = int(np.argmax(similar)) if similar else -1
        found.append(
            Found(
                rows=rows,
                stability=stability,
                nearest=known[best].slug if similar else None,
                nearest_similarity=round(similar[best], 4) if similar else None,
                claimed=bool(similar)
                and (similar[best] >= SEPARATION or nearer_elsewhere(vectors, rows, claimed) >= SURROUNDED),
                varied=variety([window.items[row].text for row in rows]) >= min(VARIETY, len(rows) / 2),
            )
        )
    return found


def _stabilities(
    vectors: Vectors,
    left: npt.NDArray[np.int64],
    groups: Sequence[npt.NDArray[np.int64]],
    find: Finder,
    min_size: int,
    generator: np.random.Generator,
) -> list[float]:
    """Per group, the share of resamples (80 % of the left-overs) in which a group with half its members is found."""
    hits = np.zeros(len(groups))
    least = max(3, round(min_size * RESAMPLED_SHARE))
    for _ in range(RESAMPLES):
        drawn = np.sort(generator.choice(left, round(len(left) * RESAMPLED_SHARE), replace=False))
        again = [set(group.tolist()) & set(drawn.tolist()) for group in find(vectors, drawn, least)]
        for number, group in enumerate(groups):
            here = set(group.tolist()) & set(drawn.tolist())
            hits[number] += any(len(here & one) >= REAPPEARS * max(len(here | one), 1) for one in again)
    return [round(float(hit) / RESAMPLES, 3) for hit in hits]
