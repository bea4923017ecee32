"""Rotation: a new key of people, and new pseudonyms for everybody in the days that are still looked back on.

Put here: who is known to the sources, the steps of a rotation, their order.
Not here: keys (see `keys.py`), what changes in a row (see `core/identity.py`), when it is asked for (`cli/keys.py`).

A pseudonym must stay one pseudonym for as long as days are counted together, or one person would count as two users
and thresholds would let too few people through. So the stored days inside the window are rewritten in one go, day by
day, and the old key is destroyed at the end. What is older keeps pseudonyms that nobody can compute or link any more,
not even `signals erase`: they name nobody. The table from old to new lives in memory only.

Killed midway, the next rotation goes on with the same two keys; until then the keys refuse to be used, so that no row
gets a pseudonym of the wrong one. Published tables hold no pseudonyms. Frozen days stay frozen: no count changes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from signals_assets.core.erasure import TOMBSTONE_KIND, tombstone
from signals_assets.core.identity import pseudonym, renaming
from signals_assets.core.sessions import from_json
from signals_assets.resources.keys import KeyState, PseudonymKey
from signals_assets.resources.ledger import Ledger
from signals_assets.resources.records import RECORD_KINDS, Records
from signals_assets.resources.warehouse import Warehouse
from signals_assets.tables import TABLES, RawSession

ROTATION_KIND: Final = "key_rotation"
"""Ledger kind: one entry per rotation, with counts and days and no key and no pseudonym."""
Doors = Mapping[str, Any]
Known = set[tuple[str, str]]
"""Kind (user, organization, session) and id as the source knows it."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did."""

    state: KeyState
    first_day: date
    """First day whose rows have new pseudonyms; older rows can no longer be linked with newer ones."""
    known: dict[str, int] = field(default_factory=dict)
    """Users, organisations and sessions that got a new pseudonym."""
    rows: dict[str, int] = field(default_factory=dict)
    """Rows changed, by table."""
    tombstones: int = 0
    """Erased ones that may not come back under their new pseudonym either."""


def rotate(doors: Doors, *, day: date, window: int, checkpoint: Callable[[str], None] = lambda _: None) -> Rotation:
    """Replace the key of people; the last `window` days before `day` keep their continuity.

    Not for the minutes in which a run writes. Safe to repeat after a kill. `checkpoint` is called after each step.
    """
    keys: PseudonymKey = doors["pseudonym_key"]
    warehouse: Warehouse = doors["warehouse"]
    old, new = keys.begin_rotation()
    checkpoint("begun")
    known = _known(doors)
    names = {pseudonym(kind, value, old): pseudonym(kind, value, new) for kind, value in sorted(known)}
    stones = _renew_tombstones(doors["ledger"], names)
    checkpoint("tombstones")
    first = day - timedelta(days=window)
    change = renaming(names, bytes(old))
    rows: dict[str, int] = {}
    for model in TABLES.values():
        if model.zone == "published":
            continue
        for stored in (stored for stored in warehouse.days(model) if stored >= first):
            rows[model.table] = rows.get(model.table, 0) + warehouse.rewrite(model, stored, change)
            checkpoint(f"{model.table} {stored}")
    state = keys.finish_rotation(day)
    kinds = {kind: sum(found == kind for found, _ in known) for kind in ("user", "organization", "session")}
    done = Rotation(state, first, kinds, {table: count for table, count in rows.items() if count}, stones)
    counts = {"first_day": first.isoformat(), **kinds, "rows": sum(rows.values()), "tombstones": stones}
    doors["ledger"].append(ROTATION_KIND, f"{state.rotations}", {"day": day.isoformat(), **counts})
    return done


def _renew_tombstones(ledger: Ledger, names: Mapping[str, str]) -> int:
    """Tombstones of the new pseudonyms of those who have one: the erased stay erased."""
    stones = {entry.key for entry in ledger.entries([TOMBSTONE_KIND])}
    renewed: list[tuple[str, dict[str, str]]] = [
        (tombstone(new), {}) for old, new in names.items() if tombstone(old) in stones
    ]
    ledger.append_many(TOMBSTONE_KIND, renewed)
    return len(renewed)


def _known(doors: Doors) -> Known:
    """Everybody whom the source, the stored sessions or the records know, the erased among them."""
    known: Known = set()
    warehouse: Warehouse = doors["warehouse"]
    for stored in warehouse.days(RawSession):
        for batch in warehouse.stream(RawSession, stored, columns=["session"], rows_per_batch=32):
            for text in batch.column("session").to_pylist():
                session = from_json(text)
                _note(known, session.user_id, session.organization_id, session.key)
    for user, organization, session_key in doors["session_source"].everybody():
        _note(known, user, organization, session_key)
    for record in _records(doors["records"]):
        _note(known, record.get("user_id"), record.get("organization_id"), record.get("session_id"))
    return known


def _note(known: Known, user: object, organization: object, session: object) -> None:
    for kind, value in (("user", user), ("organization", organization), ("session", session)):
        if isinstance(value, str):
            known.add((kind, value))


def _records(records: Records) -> Iterator[Mapping[str, Any]]:
    for kind in RECORD_KINDS:
        for day in records.days(kind):
            yield from records.records(kind, day)
