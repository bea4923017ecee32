"""Re-reading: who reads some of a day's sessions once more, and how far the readings agree.

Put here: the readers of the days as the ledger tells them, when and which sessions are read again, figures of pairs.
Not here: asking (see `assets/analysis.py`), detectors against the analyst (see `abstractions.py`, `agreement_band.py`),
a person's verdicts (see `review.py`).

A reader is an analyst with its model and prompt. Two read beside the day's own:

    former  the reader before the present one, on the first days after a change, so that a step in the series of the
            analyst can be told from one of the product; or the present one again, after a day on which agreement with
            the detectors fell out of its band: how far it repeats itself
    second  a model of another family, a few sessions every day: what two models of one family overlook together

The decision of a day is written into the ledger with its reader when the day is first asked, and a repeat finds it
there: kind `reader`, payload day, analyst, model, prompt, former (a reader or null), because, drift (a day or null).
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Final, Protocol

import numpy as np

from signals_assets.core.abstractions import OTHER, parsed_answer, wilson
from signals_assets.core.agreement import Bootstrap, nominal_kappa
from signals_assets.core.analysis import Answer, Question
from signals_assets.core.identity import content_id
from signals_assets.core.statistics import effective_number
from signals_assets.core.taxonomy import Taxonomy
from signals_assets.tables import ReaderAgreement, ReaderRole, ReadingReason, Rereading

READER_KIND: Final = "reader"
"""Ledger kind: which reader was asked about a day."""
DRIFT_KIND: Final = "drift"
"""Ledger kind: a day on which agreement fell out of its band; key and payload's `day` are the day."""
DRIFT_DAYS: Final = 3
"""A day out of the band is looked into so many days later at most: its answers may come late."""
POOLED_DAYS: Final = 14
"""Trailing days whose readings are put together: as long as answers are kept."""
OUTCOMES: Final = ("success", "partial", "abandoned", "transferred", "unclear")
RESAMPLES: Final = 1000
Z: Final = 1.96


class LedgerEntry(Protocol):
    """The part of a ledger entry that is read here."""

    @property
    def payload(self) -> Mapping[str, Any]:
        """What was written."""
        ...


# --- readers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reader:
    """An analyst with its model and prompt."""

    analyst: str
    model: str
    prompt: str

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> "Reader":
        """From a mapping with its three names."""
        return cls(payload["analyst"], payload["model"], payload["prompt"])

    @classmethod
    def asking(cls, question: Question) -> "Reader":
        """Who a question is put to."""
        return cls(question.analyst, question.model, question.prompt)

    @property
    def payload(self) -> dict[str, str]:
        """As JSON."""
        return {"analyst": self.analyst, "model": self.model, "prompt": self.prompt}

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.analyst} {self.model} {self.prompt}"


@dataclass(frozen=True, slots=True)
class Change:
    """The first day of a reader after another one's."""

    day: date
    former: Reader
    present: Reader


def reader_payload(
    day: date, reader: Reader, readers: Sequence[LedgerEntry], drifts: Sequence[LedgerEntry], *, overlap_days: int
) -> dict[str, Any]:
    """What is written when a day is asked; `readers` and `drifts` are the ledger's entries so far, ascending.

    The former reader reads along on the first `overlap_days` days that the present one is asked about. A day out of
    the band is looked into once.
    """
    run: set[str] = set()
    former = None
    for entry in reversed(readers):
        if Reader.of(entry.payload) != reader:
            former = Reader.of(entry.payload)
            break
        run.add(entry.payload["day"])
    said: dict[str, Any] = {"day": day.isoformat(), **reader.payload, "former": None, "because": "none", "drift": None}
    if former is not None and len(run - {day.isoformat()}) < overlap_days:
        return said | {"former": former.payload, "because": "change"}
    looked_into = {entry.payload.get("drift") for entry in readers}
    recent = {(day - timedelta(days=back)).isoformat() for back in range(1, DRIFT_DAYS + 1)}
    open_ = sorted({str(entry.payload["day"]) for entry in drifts} & recent - looked_into)
    if open_:
        return said | {"former": reader.payload, "because": "drift", "drift": open_[-1]}
    return said


def stored_decision(day: date, reader: Reader, readers: Sequence[LedgerEntry]) -> Mapping[str, Any] | None:
    """What was decided when this reader was asked about the day, where it was the last one that was."""
    of_day = [entry.payload for entry in readers if entry.payload["day"] == day.isoformat()]
    return of_day[-1] if of_day and Reader.of(of_day[-1]) == reader else None


def reader_changes(readers: Iterable[LedgerEntry], until: date) -> list[Change]:
    """Days up to `until` whose reader is another one than the day's before, ascending; the last asked counts."""
    by_day = {date.fromisoformat(entry.payload["day"]): Reader.of(entry.payload) for entry in readers}
    days = sorted(day for day in by_day if day <= until)
    return [Change(day, by_day[before], by_day[day]) for before, day in pairwise(days) if by_day[day] != by_day[before]]


def steady_since(readers: Iterable[LedgerEntry], day: date) -> date | None:
    """The first day since which the reader of `day` has been the same; None where it always was.

    What the analyst says of days before it must not be compared with what it says after.
    """
    changes = reader_changes(readers, day)
    return changes[-1].day if changes else None


# --- who is read again ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Again:
    """Some of a day's sessions, to be read again."""

    role: ReaderRole
    reason: ReadingReason
    label: str
    reader: Reader
    beside: Reader
    """The reader of the day."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Session -> how many it stands for."""

    def request_id(self, first: str) -> str:
        """The id of reading again what was asked under the id `first`: another one, also where the reader is the same.

        Derived from that and not from the session, so that it holds when the key of people rotates.
        """
        return content_id("q", first, self.role, self.reader.analyst, self.reader.model, self.reader.prompt)

    def requests(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        """Session -> request id, from the day's `analysis_batches`."""
        return {
            row["session_id"]: self.request_id(row["request_id"]) for row in rows if row["session_id"] in self.weights
        }

    @property
    def payload(self) -> dict[str, Any]:
        """As it is noted in the ledger with what was sent; `sessions` is their number."""
        return {
            "role": self.role, "reason": self.reason, "label": self.label, **self.reader.payload,
            "beside": self.beside.payload, "sessions": len(self.weights),
        }  # fmt: skip

    @classmethod
    def of(cls, payload: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], salt: str) -> "Again":
        """From the ledger's note and the day's `analysis_batches`: the same sample as when it was sent."""
        weights = sample(rows, payload["role"], payload["sessions"], salt)
        reader, beside = Reader.of(payload), Reader.of(payload["beside"])
        return cls(payload["role"], payload["reason"], payload["label"], reader, beside, weights)


def label_of(day: date, role: ReaderRole) -> str:
    """The label of the requests."""
    return f"{day.isoformat()}_{role}"


def sample(rows: Iterable[Mapping[str, Any]], role: ReaderRole, size: int, salt: str) -> dict[str, float]:
    """At most `size` of the day's selected sessions, with weights, drawn by a lot that depends on `salt` alone.

    rows: of `analysis_batches`. Sessions that became known late are never drawn, so that a redo draws the same. For
    the second reader half are of sessions in which detectors saw something and half of the others, as far as there
    are any: agreement on rare events needs events. A session's weight is the analyst's over its chance to be drawn.
    """
    open_ = [row for row in rows if row["selected"] and row["known_on"] == row["day"]]
    groups = [[row for row in open_ if row["stratum"] != "none"], [row for row in open_ if row["stratum"] == "none"]]
    if role == "former":
        groups = [open_, []]
    first = min(len(groups[0]), max(size - size // 2, size - len(groups[1])))
    drawn: dict[str, float] = {}
    for group, room in zip(groups, (first, min(len(groups[1]), size - first)), strict=True):
        lots = sorted(group, key=lambda row: _lot(f"{salt}\x1f{role}\x1f{row['request_id']}"))
        for row in lots[: max(room, 0)]:
            drawn[row["session_id"]] = round(row["inclusion_weight"] * len(group) / room, 6)
    return drawn


def _lot(what: str) -> bytes:
    return hashlib.sha256(what.encode()).digest()


def asked_rows(again: Again, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of `analysis_batches` of the sessions read again, as if this reader had been asked."""
    own = again.requests(rows)
    return [
        {
            **row, **again.reader.payload, "request_id": own[row["session_id"]],
            "inclusion_weight": again.weights[row["session_id"]],
        }
        for row in rows
        if row["session_id"] in again.weights
    ]  # fmt: skip


def rereading_rows(again: Again, answers: Iterable[Mapping[str, Any]]) -> list[Rereading]:
    """Rows of `rereadings` from rows as of `analyses`."""
    more = {"reader": again.role, "reason": again.reason, "first": again.beside.name, "second": again.reader.name}
    return [Rereading(**row, **more) for row in answers]


# --- how far two readings agree ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Paired:
    """The difference of two shares of the same sessions, with its 95 % interval."""

    value: float
    low: float
    high: float


def paired_difference(only_first: float, only_second: float, worth: float) -> Paired:
    """Share that the first has less that of the second, from the shares of sessions that only one of them has.

    worth: effective number of independent sessions. The interval of Agresti and Min (2005): half a session is added
    to each of the four cells, which keeps it honest for few sessions and where the two never differ.
    """
    first, second = only_first * worth + 0.5, only_second * worth + 0.5
    total = worth + 2
    middle = (first - second) / total
    reach = Z * math.sqrt(max(first + second - (first - second) ** 2 / total, 0.0)) / total
    return Paired(only_first - only_second, max(middle - reach, -1.0), min(middle + reach, 1.0))


@dataclass(frozen=True, slots=True)
class _Pair:
    """A session that both have read: what each found, as (kind, type), and the outcome that each saw."""

    user: str
    organization: str | None
    weight: float
    found: tuple[frozenset[tuple[str, str]], frozenset[tuple[str, str]]]
    outcome: tuple[str, str]


_Group = tuple[ReaderRole, ReadingReason, str, str]


def reader_agreement(
    day: date,
    analyses: Iterable[Mapping[str, Any]],
    rereadings: Iterable[Mapping[str, Any]],
    *,
    taxonomy: Taxonomy,
    organizations: Mapping[str, str | None],
    min_confidence: float,
) -> list[ReaderAgreement]:
    """Agreement of each pair of readers over the readings of the trailing days, sorted by key.

    analyses, rereadings: rows of those days. organizations: session -> organisation, where known. A type is found in a
    session by a reader whose answer names it with evidence that exists and enough confidence; types that the taxonomy
    does not have are `other`.
    """
    first = {(row["day"], row["session_id"]): row for row in analyses}
    groups: dict[_Group, list[_Pair]] = defaultdict(list)
    days: dict[_Group, set[date]] = defaultdict(set)
    for row in sorted(rereadings, key=lambda row: (row["day"], row["session_id"])):
        group = (row["reader"], row["reason"], row["first"], row["second"])
        answers = [parsed_answer(row) if row is not None else None for row in (first.get(_key(row)), row)]
        if None in answers:
            continue
        found = [_found(answer, row["steps_total"], taxonomy, min_confidence) for answer in answers if answer]
        groups[group].append(
            _Pair(
                user=row["user_id"] or row["session_id"],
                organization=organizations.get(row["session_id"]),
                weight=row["inclusion_weight"],
                found=(found[0], found[1]),
                outcome=tuple(answer.outcome for answer in answers if answer),  # type: ignore[arg-type]  # two
            )
        )
        days[group].add(row["day"])
    rows = [row for group, pairs in groups.items() for row in _group_rows(day, group, pairs, days[group])]
    return sorted(rows, key=lambda row: (row.reader, row.reason, row.first, row.second, row.kind, row.type))


def _key(row: Mapping[str, Any]) -> tuple[date, str]:
    return row["day"], row["session_id"]


def _found(answer: Answer, steps: int, taxonomy: Taxonomy, min_confidence: float) -> frozenset[tuple[str, str]]:
    known = {kind: set(taxonomy.slugs(kind)) for kind in ("friction", "delight")}
    events = [("friction", event) for event in answer.friction] + [("delight", event) for event in answer.delight]
    return frozenset(
        (kind, event.type if event.type in known[kind] else OTHER)
        for kind, event in events
        if event.confidence >= min_confidence and any(0 <= step < steps for step in event.steps)
    )


def _group_rows(day: date, group: _Group, pairs: Sequence[_Pair], days: Collection[date]) -> list[ReaderAgreement]:
    role, reason, first, second = group
    types = sorted(frozenset[tuple[str, str]]().union(*(found for pair in pairs for found in pair.found)))
    shared = {
        "day": day, "reader": role, "reason": reason, "first": first, "second": second, "days": len(days),
        "first_day": min(days), "sessions": len(pairs), "users": len({pair.user for pair in pairs}),
    }  # fmt: skip
    rows = [ReaderAgreement(**shared, kind=kind, type=type_, **_of_type((kind, type_), pairs)) for kind, type_ in types]
    return [*rows, ReaderAgreement(**shared, kind="outcome", type="all", **_of_outcome(pairs))]


def _of_type(what: tuple[str, str], pairs: Sequence[_Pair]) -> dict[str, Any]:
    """Columns about a type."""
    has = [(what in pair.found[0], what in pair.found[1]) for pair in pairs]
    both, either = sum(a and b for a, b in has), sum(a or b for a, b in has)
    only_first, only_second = sum(a and not b for a, b in has), sum(b and not a for a, b in has)
    low, high = wilson(both, either)
    weight = sum(pair.weight for pair in pairs)
    shares = [
        sum(pair.weight for pair, (a, b) in zip(pairs, has, strict=True) if (a and not b) == turn and a != b) / weight
        for turn in (True, False)
    ]
    differ = paired_difference(shares[0], shares[1], _worth(pairs))
    seen = {"both": both, "only_first": only_first, "only_second": only_second}
    return {
        **seen, **confirmed(both, only_first), **_users(pairs, lambda pair: any(what in found for found in pair.found)),
        "f1": _f1(both / either), "f1_low": _f1(low), "f1_high": _f1(high),
        "difference": round(differ.value, 4), "difference_low": round(differ.low, 4),
        "difference_high": round(differ.high, 4),
    }  # fmt: skip


def _of_outcome(pairs: Sequence[_Pair]) -> dict[str, Any]:
    """Columns about the outcome: how often it is the same, and Cohen's kappa with an interval by user."""
    users = sorted({pair.user for pair in pairs})
    place = {user: number for number, user in enumerate(users)}
    cells = np.zeros((len(users), len(OUTCOMES) ** 2))
    for pair in pairs:
        one, other = (OUTCOMES.index(outcome) for outcome in pair.outcome)
        cells[place[pair.user], one * len(OUTCOMES) + other] += 1
    kappa = Bootstrap(len(users), RESAMPLES, seed=0).estimate(cells, nominal_kappa)
    same = sum(pair.outcome[0] == pair.outcome[1] for pair in pairs)
    return {
        "both": same, "only_first": len(pairs) - same, "only_second": len(pairs) - same,
        **_users(pairs, lambda pair: pair.outcome[0] != pair.outcome[1]),
        "kappa": kappa.value, "kappa_low": kappa.low, "kappa_high": kappa.high,
    }  # fmt: skip


def _users(pairs: Sequence[_Pair], concerned: Callable[[_Pair], bool]) -> dict[str, Any]:
    """How many users are concerned and how many had a session that is not, and the organisations of all."""
    met = {pair.user for pair in pairs if concerned(pair)}
    spared = {pair.user for pair in pairs if not concerned(pair)}
    sizes: dict[str, int] = defaultdict(int)
    for pair in pairs:
        if pair.organization is not None:
            sizes[pair.organization] += 1
    return {
        "users_concerned": len(met), "users_spared": len(spared),
        "organizations": len(sizes) or None, "largest": max(sizes.values(), default=0),
    }  # fmt: skip


def confirmed(right: int, wrong: int) -> dict[str, float | None]:
    """Share of what the first found that the second confirms, with Wilson's interval; none where nothing was found."""
    if not right + wrong:
        return {"confirmed": None, "confirmed_low": None, "confirmed_high": None}
    low, high = wilson(right, right + wrong)
    return {
        "confirmed": round(right / (right + wrong), 4),
        "confirmed_low": round(low, 4),
        "confirmed_high": round(high, 4),
    }


def _worth(pairs: Sequence[_Pair]) -> float:
    """Users count, as if sessions of one user were all alike: an interval from it is rather too wide."""
    weights: dict[str, float] = defaultdict(float)
    for pair in pairs:
        weights[pair.user] += pair.weight
    return effective_number(np.array(list(weights.values()), dtype=np.float64))


def _f1(jaccard: float) -> float:
    return round(2 * jaccard / (1 + jaccard), 4)
