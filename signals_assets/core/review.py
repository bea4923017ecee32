"""Review: a blind queue of found moments for a person, and what the verdicts say of those who found them.

Put here: the queue, what a verdict may be, figures over verdicts.
Not here: showing it (see `cli/review.py`), figures of other readers (see `rereading.py`).

A verdict is a ledger entry of kind `review`: event_id, day, kind, type, source, verdict, right_type (of wrong_type),
reviewer (a hash). Its key is a hash of the event's id, so that nothing is judged twice, and so that an erased event
cannot be told from it.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any, Final, Literal, Protocol, cast, get_args

from signals_assets.core.identity import content_id
from signals_assets.core.rereading import confirmed
from signals_assets.core.taxonomy import Taxonomy
from signals_assets.tables import ReaderAgreement

REVIEW_KIND: Final = "review"
"""Ledger kind of a person's verdict on an event."""
PERSON: Final = "person"

Verdict = Literal["confirm", "reject", "wrong_type", "skip"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)


class ReviewError(ValueError):
    """A verdict that cannot be taken: names the event's id and what is wrong."""


class LedgerEntry(Protocol):
    """The part of a ledger entry that is read here."""

    @property
    def payload(self) -> Mapping[str, Any]:
        """What was written; empty where the event was erased."""
        ...


# --- the queue --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moment:
    """What a reviewer sees of an event: not who found it, not whose it is."""

    event_id: str
    kind: str
    type: str
    name: str
    definition: str
    severity: str | None
    citation: str | None
    """Admitted description of the moment."""
    summary: str | None
    """Admitted summary of its session: a detector describes all moments of a type alike."""


def review_key(event_id: str) -> str:
    """The ledger key of the verdict on an event."""
    return content_id("v", event_id)


def queue(
    events: Iterable[Mapping[str, Any]],
    summaries: Mapping[str, str | None],
    taxonomy: Taxonomy,
    reviewed: Collection[str],
    *,
    size: int,
    seed: int,
) -> list[Moment]:
    """At most `size` events that nobody has judged, in turns from each type and source, in an order that tells neither.

    events: rows of the two event tables with `kind`. summaries: session -> admitted summary. reviewed: ledger keys. An
    event about which there is nothing to read is left out: a detector's needs the session's summary.
    """
    strata: dict[tuple[str, str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in events:
        readable = summaries.get(row["session_id"]) or (row["source"] == "analyst" and row["citation"])
        if readable and review_key(row["event_id"]) not in reviewed:
            strata[row["kind"], row["type"], row["source"]].append(row)
    turns = [
        (turn, _lot(seed, *stratum), row)
        for stratum, rows in strata.items()
        for turn, row in enumerate(sorted(rows, key=lambda row: _lot(seed, row["event_id"])))
    ]
    chosen = [row for _, _, row in sorted(turns, key=lambda item: item[:2])[:size]]
    return [
        _moment(row, summaries.get(row["session_id"]), taxonomy)
        for row in sorted(chosen, key=lambda row: _lot(seed, "order", row["event_id"]))
    ]


def _moment(row: Mapping[str, Any], summary: str | None, taxonomy: Taxonomy) -> Moment:
    known = next((item for item in taxonomy.types if (item.kind, item.slug) == (row["kind"], row["type"])), None)
    name = known.name if known else row["type"]
    definition = known.definition if known else ""
    return Moment(
        row["event_id"], row["kind"], row["type"], name, definition, row["severity"], row["citation"], summary
    )


def _lot(seed: int, *what: str) -> str:
    return sha256("\x1f".join([str(seed), *what]).encode()).hexdigest()


# --- verdicts ---------------------------------------------------------------------------------------------------


def review_payload(
    event: Mapping[str, Any], verdict: str, right_type: str | None, taxonomy: Taxonomy, *, reviewer: str
) -> dict[str, Any]:
    """What is written into the ledger; `event`: its row, with `kind`; `reviewer`: a hash.

    Raises ReviewError for a verdict that there is not, and a right type that is none or the one that was found.
    """
    event_id = event["event_id"]
    if verdict not in VERDICTS:
        raise ReviewError(f"{event_id}: a verdict is one of {', '.join(VERDICTS)}")
    if (verdict == "wrong_type") != (right_type is not None):
        raise ReviewError(f"{event_id}: the right type belongs to the verdict wrong_type, and to no other")
    if right_type is not None and (right_type == event["type"] or right_type not in taxonomy.slugs(event["kind"])):
        raise ReviewError(f"{event_id}: {right_type} is no other type of {event['kind']}; signals taxonomy list")
    return {
        "event_id": event_id, "day": str(event["day"]), "kind": event["kind"], "type": event["type"],
        "source": event["source"], "verdict": verdict, "right_type": right_type, "reviewer": reviewer,
    }  # fmt: skip


def verdicts(entries: Iterable[LedgerEntry]) -> list[Mapping[str, Any]]:
    """Payloads of verdicts that say something: neither skipped nor of an erased event."""
    payloads = (entry.payload for entry in entries)
    return [payload for payload in payloads if payload.get("verdict") in ("confirm", "reject", "wrong_type")]


def precision(given: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Per kind, type and source: events judged, confirmed, and that share with Wilson's 95 % interval."""
    right: Counter[tuple[str, str, str]] = Counter()
    judged: Counter[tuple[str, str, str]] = Counter()
    for one in given:
        what = (one["kind"], one["type"], one["source"])
        judged[what] += 1
        right[what] += one["verdict"] == "confirm"
    rows = []
    for what, count in sorted(judged.items()):
        share = confirmed(right[what], count - right[what])
        rows.append({
            "kind": what[0], "type": what[1], "source": what[2], "judged": count, "confirmed": right[what],
            "precision": share["confirmed"], "low": share["confirmed_low"], "high": share["confirmed_high"],
        })  # fmt: skip
    return rows


def person_agreement(
    day: date, given: Sequence[Mapping[str, Any]], events: Mapping[str, Mapping[str, Any]]
) -> list[ReaderAgreement]:
    """Rows of `reader_agreement` for the persons' verdicts so far; sorted by source, kind and type.

    events: rows of the events that still exist, by id; one that expired counts as somebody's whom nobody knows.
    """
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = defaultdict(list)
    moved: Counter[tuple[str, str, str]] = Counter()
    for one in given:
        groups[one["source"], one["kind"], one["type"]].append(one)
        if one["verdict"] == "wrong_type":
            moved[one["source"], one["kind"], one["right_type"]] += 1
    return [
        _person_row(day, what, groups[what], moved[what], events)
        for what in sorted(groups.keys() | moved.keys())
        if groups[what]
    ]


def _person_row(
    day: date,
    what: tuple[str, str, str],
    given: Sequence[Mapping[str, Any]],
    moved: int,
    events: Mapping[str, Mapping[str, Any]],
) -> ReaderAgreement:
    source, kind, type_ = what
    found = {True: [one for one in given if one["verdict"] == "confirm"]}
    found[False] = [one for one in given if one["verdict"] != "confirm"]
    users = {verdict: _users(ones, events) for verdict, ones in found.items()}
    sizes = Counter(events[one["event_id"]]["organization_id"] for one in given if one["event_id"] in events)
    sizes.pop(None, None)
    days = {date.fromisoformat(one["day"]) for one in given}
    return ReaderAgreement(
        day=day,
        reader="person",
        reason="review",
        first=source,
        second=PERSON,
        kind=cast("Any", kind),
        type=type_,
        days=len(days),
        first_day=min(days),
        sessions=len(given),
        users=len(users[True] | users[False]),
        organizations=len(sizes) or None,
        largest=max(sizes.values(), default=0),
        users_concerned=len(users[True]),
        users_spared=len(users[False]),
        both=len(found[True]),
        only_first=len(found[False]),
        only_second=moved,
        **confirmed(len(found[True]), len(found[False])),
    )


def _users(given: Iterable[Mapping[str, Any]], events: Mapping[str, Mapping[str, Any]]) -> set[str]:
    rows = [events.get(one["event_id"]) for one in given]
    return {row["user_id"] or row["session_id"] if row else "unknown" for row in rows}
