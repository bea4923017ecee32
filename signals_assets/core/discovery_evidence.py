"""Stage 5 · discovery, evidence: what is known of a group of items before it may become a category.

Put here: `proposal_rows`: rows of `taxonomy_proposals` for groups that were found: size, second pass, what the group
explains, acceptance rules, ids that survive; `was_rejected`.
Not here: finding groups (see `discovery_groups.py`), naming them (see `discovery_naming.py`), categories that exist
already (see `discovery_reviews.py`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from signals_assets.core.barrier.thresholds import SHOWN, Threshold
from signals_assets.core.discovery_items import Item, Row, Window
from signals_assets.core.discovery_labels import JOIN_QUANTILE, Category, LabelKind
from signals_assets.core.discovery_naming import NEIGHBOURS, Namer, Near, Words, examples_of, words_for
from signals_assets.core.discovery_vectors import Vectors, centroid, gate, overlap
from signals_assets.core.identity import content_id
from signals_assets.core.taxonomy import Taxonomy
from signals_assets.prompts import pinned
from signals_assets.settings import Audience
from signals_assets.tables import TaxonomyProposal

JOIN: Final = 0.75
"""Groups whose centres are nearer than this are one (banking intents, a quarter of the classes unknown: 1.27 proposals
per category, 1.34 at 0.8)."""

SAME_EVIDENCE: Final = 0.3
"""Overlap of items from which two proposals are the same."""

STABLE: Final = 0.6
"""Least share of resamples in which a group re-appears."""

AGREES: Final = 0.75
"""Least share of members and near misses that a language model puts right by the definition; one half is chance."""

LEAST_DAYS: Final = 2
CAP_PER_KIND: Final[dict[LabelKind, int]] = {"friction": 5, "delight": 5, "unmet_need": 5, "intent": 10}
"""Proposals that wait for a person at one time. Intents begin with none, so more of them come at once."""

WIDE: Final = 1 / 3
"""Share of what all users came for from which a group is no intent of its own."""

VARIETY: Final = 4.0
"""Least effective number of different texts in a group (inverse Simpson index), at most half of its items. People
describe one experience in many ways; a sentence that an analyst writes the same each time is a type's own sentence
(measured with the built-in rules: 1.0 to 2.0 for their sentences, 7 to 24 for what users said of one thing)."""

JUDGED: Final = 12
"""Held-back members, and as many near misses, that a language model is asked about at the most."""

LEAST_STRATUM: Final = 10
"""Sessions of one intent below which it says nothing of what goes with what."""


@dataclass(frozen=True)
class Found:
    """One group of left-overs: row numbers of its kind's window, and what is known of it so far."""

    rows: npt.NDArray[np.int64]
    stability: float
    nearest: str | None
    nearest_similarity: float | None
    claimed: bool
    """Too near to the nearest category: a corner of it."""
    varied: bool
    """Told in enough different texts."""
    risen: bool = True
    """More frequent than before, where it is made of material."""


@dataclass(frozen=True)
class Context:
    """What proposals are judged by, beside the items."""

    taxonomy: Taxonomy
    audience: Audience
    previous: Sequence[Row] = ()
    """Rows of `taxonomy_proposals` of the day before, then those of an earlier run of the same day."""
    facts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Session -> primary intent and outcome, of all analysed sessions of the window."""
    friction: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Session -> ids of its items of friction."""
    namer: Namer = field(default_factory=Namer)

    @cached_property
    def totals(self) -> dict[str, Counter[tuple[bool, tuple[str, bool]]]]:
        """Intent -> sessions by outcome and whether they had friction, as if none belonged to a group."""
        found: dict[str, Counter[tuple[bool, tuple[str, bool]]]] = {}
        for session, (intent, outcome) in self.facts.items():
            found.setdefault(intent, Counter())[False, (outcome, bool(self.friction.get(session)))] += 1
        return found


@dataclass(frozen=True)
class SecondPass:
    """What a second pass made of held-back members and near misses."""

    agreement: float | None
    judged: int = 0
    by_model: bool = False


# --- rows -------------------------------------------------------------------------------------------------------


def proposal_rows(
    day: date,
    kind: LabelKind,
    window: Window,
    found: Sequence[Found],
    known: Sequence[Category],
    unclaimed: npt.NDArray[np.int64],
    context: Context,
) -> list[TaxonomyProposal]:
    """Rows for the groups of one kind, those that wait for a person only first, then by users.

    `unclaimed` are the rows that none of the `known` categories claims.
    """
    beside = _Beside.of(window, found, known, unclaimed)
    members = [{window.items[row].item_id for row in group.rows} for group in found]
    before = _same_as_before(kind, window, found, members, context.previous)
    taken = {str(row["slug"]) for row in before if row is not None}
    rows = []
    for number, group in enumerate(found):
        near = _near(window, number, found, known, beside)
        words = words_for(
            kind,
            window,
            group.rows,
            near,
            before=before[number],
            taxonomy=context.taxonomy,
            taken=taken,
            namer=context.namer,
        )
        taken.add(words.slug)
        second = second_pass(window, group.rows, near.rows, np.delete(beside.rivals, number, axis=0))
        rows.append(_row(day, kind, window, group, near, words, second, before[number], context))
    return _ranked(_capped(kind, rows))


def _row(
    day: date,
    kind: LabelKind,
    window: Window,
    group: Found,
    near: Near,
    words: Words,
    second: SecondPass,
    before: Row | None,
    context: Context,
) -> TaxonomyProposal:
    items = [window.items[row] for row in group.rows]
    ids = sorted(item.item_id for item in items)
    size = _Size.of(items)
    if kind == "intent" and len(items) > WIDE * len(window.items):
        group = replace(group, claimed=True)
    if before is not None and before["waiting_for"] in ("", "cap"):
        group = replace(group, risen=True)  # what emerged stays until a person decides
    waiting = _waiting_for(SHOWN[context.audience], size, group, words, second)
    if not waiting:
        second = _by_model(window, group.rows, near.rows, words, before, context.namer) or second
        waiting = _waiting_for(SHOWN[context.audience], size, group, words, second)
    bits, chance = explained(kind, {item.session_id for item in items}, set(ids), context)
    return TaxonomyProposal(
        day=day,
        proposal_id=str(before["proposal_id"]) if before else content_id("p", kind, day.isoformat(), *ids),
        kind=kind,
        slug=words.slug,
        name=words.name,
        definition=words.definition,
        is_not=words.is_not,
        named_by="model" if words.by_model else "terms",
        nearest=words.could_be or group.nearest,
        nearest_similarity=group.nearest_similarity,
        outside_nearest=near.outside,
        difference=words.difference,
        items=len(items),
        users=size.users,
        sessions=size.sessions,
        organizations=size.organizations,
        days_seen=size.days,
        first_day=min(item.day for item in items),
        stability=group.stability,
        agreement=second.agreement,
        judged=second.judged,
        judged_by="model" if second.by_model else "vectors",
        explains=bits,
        explains_chance=chance,
        ready=not waiting,
        waiting_for=waiting,
        examples=examples_of(window, group.rows),
        item_ids=ids,
        ledger_seq=context.taxonomy.ledger_seq,
    )


@dataclass(frozen=True)
class _Size:
    users: int
    sessions: int
    organizations: int | None
    days: int

    @classmethod
    def of(cls, items: Sequence[Item]) -> "_Size":
        """Distinct users (all without one count as one), sessions, organisations where known, days."""
        known = {item.organization_id for item in items if item.organization_id}
        return cls(
            users=len({item.user_id for item in items}),
            sessions=len({item.session_id for item in items}),
            organizations=len(known) if known else None,
            days=len({item.day for item in items}),
        )


def _waiting_for(least: Threshold, size: _Size, group: Found, words: Words, second: SecondPass) -> str:
    """The first acceptance rule that the group does not pass, or an empty text."""
    rules = {
        "users": size.users >= least.users,
        "sessions": size.sessions >= least.sessions,
        "organizations": size.organizations is None or size.organizations >= least.organizations,
        "days": size.days >= LEAST_DAYS,
        "stability": group.stability >= STABLE,
        "separation": not group.claimed and words.could_be is None,
        "variety": group.varied,
        "emergence": group.risen,
        "agreement": not second.by_model or (second.agreement or 0.0) >= AGREES,
    }
    return next((rule for rule, passed in rules.items() if not passed), "")


def _capped(kind: LabelKind, rows: Sequence[TaxonomyProposal]) -> list[TaxonomyProposal]:
    """Most users first; ready ones beyond the cap of their kind wait for the others to be decided."""
    ordered = sorted(rows, key=lambda row: (not row.ready, -row.users, -row.items, row.proposal_id))
    ready, capped = 0, []
    for row in ordered:
        ready += row.ready
        over = row.ready and ready > CAP_PER_KIND[kind]
        capped.append(row.model_copy(update={"ready": False, "waiting_for": "cap"}) if over else row)
    return capped


def _ranked(rows: Sequence[TaxonomyProposal]) -> list[TaxonomyProposal]:
    """The rows of one kind with their places by users, then sessions, whether they are ready or not."""
    order = sorted(rows, key=lambda row: (-row.users, -row.sessions, row.proposal_id))
    place = {row.proposal_id: number for number, row in enumerate(order, start=1)}
    return [row.model_copy(update={"rank": place[row.proposal_id]}) for row in rows]


# --- identity ---------------------------------------------------------------------------------------------------


def was_rejected(kind: LabelKind, window: Window, rows: npt.NDArray[np.int64], taxonomy: Taxonomy) -> bool:
    """Whether a person rejected a proposal with like evidence: shared items, or a centre as near."""
    ids = {window.items[row].item_id for row in rows}
    centre = centroid(window.vectors[rows])
    for change in taxonomy.rejected():
        evidence = set(change.payload.get("item_ids") or ())
        if change.payload.get("kind") != kind:
            continue
        if len(ids & evidence) >= 0.5 * min(len(ids), len(evidence) or 1) and ids & evidence:
            return True
        old = window.rows_of(evidence)
        if len(old) and float(centroid(window.vectors[old]) @ centre) >= JOIN:
            return True
        frozen = (change.payload.get("centre") or {}).get("vector") or ()
        if not len(old) and len(frozen) == len(centre) and float(np.asarray(frozen) @ centre) >= JOIN:
            return True
    return False


def _same_as_before(
    kind: LabelKind, window: Window, found: Sequence[Found], members: Sequence[set[str]], previous: Sequence[Row]
) -> list[Row | None]:
    """For each group the proposal of the day before that has the same evidence, each at most once."""
    candidates = [row for row in previous if row["kind"] == kind]
    scored = []
    for number, group in enumerate(found):
        centre = centroid(window.vectors[group.rows])
        for place, row in enumerate(candidates):
            shared = overlap(members[number], row["item_ids"])
            old = window.rows_of(row["item_ids"])
            near = float(centroid(window.vectors[old]) @ centre) if len(old) else -1.0
            if shared >= SAME_EVIDENCE or near >= (1 + JOIN) / 2:
                scored.append((-shared, -near, number, place))
    same: dict[int, int] = {}
    for _, _, number, place in sorted(scored):
        if number not in same and place not in same.values():
            same[number] = place
    return [candidates[same[number]] if number in same else None for number in range(len(found))]


# --- what it is told from ---------------------------------------------------------------------------------------


def variety(texts: Sequence[str]) -> float:
    """Effective number of different texts: the inverse of the chance that two drawn ones are equal."""
    return len(texts) ** 2 / sum(count**2 for count in Counter(texts).values())


@dataclass(frozen=True)
class _Beside:
    """What a window holds beside its groups, made once for all of them."""

    sure: npt.NDArray[np.int64]
    """Rows that a category claims, and that are as near to it as half of what it claims."""
    rivals: Vectors
    """Centres of the groups, then of the known categories."""

    @classmethod
    def of(
        cls, window: Window, found: Sequence[Found], known: Sequence[Category], unclaimed: npt.NDArray[np.int64]
    ) -> "_Beside":
        """From the groups of one kind and its known categories."""
        centres = [centroid(window.vectors[group.rows]) for group in found] + [category.centre for category in known]
        rivals = np.stack(centres) if centres else window.vectors[:0]
        if not known:
            return cls(np.zeros(0, np.int64), rivals)
        similar = window.vectors @ np.stack([category.centre for category in known]).T
        own, nearest = similar.max(axis=1), similar.argmax(axis=1)
        claimed = np.setdiff1d(np.arange(len(own)), unclaimed)
        sure = [
            part[own[part] >= np.median(own[part])]
            for n in range(len(known))
            if len(part := claimed[nearest[claimed] == n])
        ]
        return cls(np.sort(np.concatenate(sure)).astype(np.int64) if sure else np.zeros(0, np.int64), rivals)


def _near(window: Window, number: int, found: Sequence[Found], known: Sequence[Category], beside: _Beside) -> Near:
    """The nearest category with the share of the group that it leaves, and the nearest items that are something else.

    Something else is what another group holds, and what a category holds for sure. What nothing claims, or hardly, is
    no near miss: half of a new category lies there, since only its dense middle makes a group (measured on banking
    intents, where told from those the groups that are right come out at 0.4 to 0.6, which is chance).
    """
    group = found[number]
    outside = None
    for category in known:
        if category.slug == group.nearest:
            outside = round(float((window.vectors[group.rows] @ category.centre < category.threshold).mean()), 3)
    others = [other.rows for place, other in enumerate(found) if place != number]
    else_ = np.setdiff1d(np.concatenate([beside.sure, *others]), group.rows).astype(np.int64)
    similar = window.vectors[else_] @ centroid(window.vectors[group.rows])
    return Near(group.nearest, outside, else_[np.argsort(-similar, kind="stable")[: NEIGHBOURS * len(group.rows)]])


def second_pass(
    window: Window, rows: npt.NDArray[np.int64], near: npt.NDArray[np.int64], rivals: Vectors
) -> SecondPass:
    """How well one half of a group tells the other half from as many near misses, both ways; by vectors alone.

    The half's centre stands for the definition: an item belongs to it when it is nearer to it than to any rival (the
    centres of the known categories and of the other groups). The mean of both shares that are put right, so that a
    definition that takes everything, or nothing, gets one half; None where there is nothing to tell it from. Evidence
    for a person and no rule: measured on banking intents (three splits) right groups have 0.94 to 0.98 in the median,
    and over 0.57 in nine of ten, but so have the few wrong ones.
    """
    ordered = np.array(sorted(rows.tolist(), key=lambda row: content_id("h", window.items[row].item_id)), np.int64)
    halves = ordered[::2], ordered[1::2]
    if len(halves[1]) < 2 or not len(near) or not len(rivals):
        return SecondPass(None)
    right, judged = [], 0
    for taught, held in (halves, halves[::-1]):
        misses = near[: len(held)]
        centre = centroid(window.vectors[taught])
        taken = [
            window.vectors[part] @ centre >= (window.vectors[part] @ rivals.T).max(axis=1) for part in (held, misses)
        ]
        right.append((float(taken[0].mean()) + 1 - float(taken[1].mean())) / 2)
        judged += len(held) + len(misses)
    return SecondPass(round(float(np.mean(right)), 3), judged)


def _by_model(
    window: Window,
    rows: npt.NDArray[np.int64],
    near: npt.NDArray[np.int64],
    words: Words,
    before: Row | None,
    namer: Namer,
) -> SecondPass | None:
    """The second pass as a language model takes it by the definition's words; None where it answers nothing usable.

    Asked once for a proposal: what the day before knows is kept. Half of the descriptions do not belong, in an order
    that tells nothing.
    """
    if before is not None and before.get("judged_by") == "model":
        return SecondPass(before["agreement"], before["judged"], by_model=True)
    if namer.ask is None:
        return None
    centre = centroid(window.vectors[rows])
    shown = rows[np.argsort(window.vectors[rows] @ centre, kind="stable")][: min(JUDGED, len(rows), len(near))]
    asked = [(int(row), True) for row in shown] + [(int(row), False) for row in near[: len(shown)]]
    asked.sort(key=lambda one: content_id("h", window.items[one[0]].item_id))
    answer = namer(
        pinned("judge_members").render(
            name=words.name.text,
            definition=words.definition.text,
            is_not=words.is_not.text,
            texts="\n".join(f"{number}. {window.items[row].text}" for number, (row, _) in enumerate(asked, start=1)),
        )
    )
    named = _numbers(answer, len(asked))
    if named is None:
        if answer:
            namer.counts["naming_refused"] += 1
        return None
    right = {True: 0, False: 0}
    for number, (_, member) in enumerate(asked, start=1):
        right[member] += (number in named) is member
    return SecondPass(round((right[True] + right[False]) / len(asked), 3), len(asked), by_model=True) if asked else None


def _numbers(answer: str | None, most: int) -> set[int] | None:
    """The numbers of a line such as "1, 4, 7" or "none"; None for anything else."""
    words = (answer or "").replace(",", " ").strip(" .").split()
    if words == ["none"]:
        return set()
    if not words or not all(word.isascii() and word.isdigit() and 1 <= int(word) <= most for word in words):
        return None
    return {int(word) for word in words}


# --- what it explains ---------------------------------------------------------------------------------------------


def explained(
    kind: LabelKind, sessions: set[str], items: set[str], context: Context
) -> tuple[float | None, float | None]:
    """Bits that belonging to a group tells of outcome and other friction beyond the primary intent, and their chance.

    Conditional mutual information over the window's analysed sessions, given their intent, with its expectation under
    independence taken off (degrees of freedom over 2 n ln 2), not below zero; the chance is that of the likelihood
    ratio test. Sessions count, not users: with few users who have many sessions the chance is too small. None where no
    intent has enough sessions with and without the group. The group's own friction does not count as other friction.
    """
    strata = {intent: Counter(cells) for intent, cells in context.totals.items()}
    own = items if kind == "friction" else set()
    for session in sessions & context.facts.keys():
        intent, outcome = context.facts[session]
        friction = context.friction.get(session, frozenset())
        strata[intent][False, (outcome, bool(friction))] -= 1
        strata[intent][True, (outcome, bool(friction - own))] += 1
    told, freedom, count = 0.0, 0, 0
    for _, cells in sorted(strata.items()):
        bits, degrees, size = _information(+cells)  # without the counts that became zero
        told, freedom, count = told + bits * size, freedom + degrees, count + size
    if not freedom:
        return None, None
    from scipy.special import chdtrc

    twice = 2 * np.log(2)
    return round(max(told / count - freedom / (twice * count), 0.0), 5), round(float(chdtrc(freedom, twice * told)), 5)


def _information(cells: Mapping[tuple[bool, tuple[str, bool]], int]) -> tuple[float, int, int]:
    """Mutual information in bits of a table of counts, degrees of freedom and total; zeros where it tells nothing."""
    left, right = Counter[bool](), Counter[tuple[str, bool]]()
    for (member, fate), count in cells.items():
        left[member] += count
        right[fate] += count
    total = sum(cells.values())
    degrees = (len(left) - 1) * (len(right) - 1)
    if total < LEAST_STRATUM or not degrees:
        return 0.0, 0, 0
    bits = sum(
        count / total * np.log2(count * total / (left[member] * right[fate])) for (member, fate), count in cells.items()
    )
    return float(bits), degrees, total


def frozen_centre(vectors: Vectors, embedder: str) -> dict[str, object]:
    """Centre and threshold of a proposal's items as an acceptance freezes them: labels do not drift with the window."""
    centre = [round(float(value), 5) for value in centroid(vectors)]
    return {"embedder": embedder, "vector": centre, "threshold": round(gate(vectors, JOIN_QUANTILE), 5)}
