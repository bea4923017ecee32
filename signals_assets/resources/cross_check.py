"""The cross-check through the doors: rows of `reader_agreement` from what is stored and what persons said.

Put here: reading for it, in one place for the asset and for erasure, which counts it again.
Not here: the figures (see `core/rereading.py`, `core/review.py`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from signals_assets.core.coverage import Coverage
from signals_assets.core.rereading import POOLED_DAYS, Again, Reader
from signals_assets.core.rereading import reader_agreement as readers_agree
from signals_assets.core.review import REVIEW_KIND, person_agreement, verdicts
from signals_assets.core.taxonomy import fold
from signals_assets.resources.ledger import Ledger
from signals_assets.resources.warehouse import Warehouse
from signals_assets.tables import (
    Analysis,
    DelightEvent,
    FrictionEvent,
    ReaderAgreement,
    Rereading,
    SessionMetrics,
)


def reader_agreement(
    warehouse: Warehouse, ledger: Ledger, day: date, *, min_confidence: float, without: Collection[str] = ()
) -> tuple[list[ReaderAgreement], Coverage]:
    """The day's rows, from two weeks of answers and the verdicts given before the day.

    without: ids of events whose verdicts do not count.
    """
    back = [day - timedelta(days=days) for days in reversed(range(POOLED_DAYS))]
    again = warehouse.read(Rereading, back).to_pylist()
    rows = readers_agree(
        day,
        warehouse.read(Analysis, back).to_pylist() if again else (),
        again,
        taxonomy=fold(ledger.entries(["taxonomy"], before=day)),
        organizations=_organizations(warehouse, back) if again else {},
        min_confidence=min_confidence,
    )
    given = [one for one in verdicts(ledger.entries([REVIEW_KIND], before=day)) if one["event_id"] not in without]
    rows += person_agreement(day, given, _events(warehouse, given))
    read = sum(row["state"] == "answered" for row in again)
    return rows, Coverage(asked=len(again), answered=read, failed=len(again) - read, notes={"judged": len(given)})


def requests_again(ledger: Ledger, items: Iterable[str]) -> set[str]:
    """Ids under which what was asked under the ids `items` may have been put to other readers, answered or under way.

    Items that are no requests do no harm.
    """
    noted = [item for entry in ledger.entries(["batch"]) for item in entry.payload.get("rereadings", ())]
    readers = {(item["role"], Reader.of(item)): Again.of(item, (), "") for item in noted}
    return {again.request_id(item) for item in items for again in readers.values()}


def _organizations(warehouse: Warehouse, days: Sequence[date]) -> dict[str, str | None]:
    rows = warehouse.read(SessionMetrics, days, columns=["session_id", "organization_id"]).to_pylist()
    return {row["session_id"]: row["organization_id"] for row in rows}


def _events(warehouse: Warehouse, given: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Whose the judged events are, by event, as far as they are still stored."""
    days = sorted({date.fromisoformat(one["day"]) for one in given})
    columns = ["event_id", "session_id", "user_id", "organization_id"]
    wanted = {one["event_id"] for one in given}
    return {
        row["event_id"]: row
        for model in (FrictionEvent, DelightEvent)
        for row in (warehouse.read(model, days, columns=columns).to_pylist() if days else ())
        if row["event_id"] in wanted
    }
