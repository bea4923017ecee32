"""Erasure through the doors: take one user or organisation out of everything that is stored, and prove it.

Put here: collecting traces, the steps and their state, what may not come back (`Erased`), the search of the home.
Not here: what is whose and what is left of a row (see `core/erasure.py`), printing (see `cli/erase.py`).

The traces lie in `restricted/erasures/` until the erasure is finished; with that file there, the next call goes on
where the last one was killed. Every step may be repeated. The order matters: tombstones first (from then on nothing
brings the person back), then copies, tables and notes, then the search, and the traces last.
"""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from signals_assets.core.abstractions import agreement
from signals_assets.core.barrier.support import user_hash
from signals_assets.core.discovery_items import WINDOW_DAYS, items_of
from signals_assets.core.erasure import (
    ERASURE_KIND,
    TOMBSTONE_KIND,
    Needles,
    Tombstones,
    Traces,
    as_batch,
    columns_of,
    lasting_tombstone,
    recounted_cluster,
    recounted_review,
    row_tables,
    samples_of,
    theirs,
    without_evidence,
    without_first_sight,
    without_ids,
    without_rows,
    without_set_aside,
    without_support,
)
from signals_assets.core.identity import pseudonym
from signals_assets.core.readers import Rejected
from signals_assets.core.records import quarantined_row
from signals_assets.core.review import REVIEW_KIND
from signals_assets.core.sessions import Session, to_json
from signals_assets.resources.cross_check import reader_agreement, requests_again
from signals_assets.resources.database import rows_as_text
from signals_assets.resources.filing import AUDIT_KIND, audit
from signals_assets.resources.folders import private_folder
from signals_assets.resources.instance_storage import StorageError, databases
from signals_assets.resources.keys import PseudonymKey
from signals_assets.resources.ledger import Ledger
from signals_assets.resources.session_source import Covers
from signals_assets.resources.stopped_runs import remove_stopped_runs
from signals_assets.resources.warehouse import Warehouse
from signals_assets.settings import Settings
from signals_assets.tables import (
    AbstractedSummary,
    Agreement,
    Analysis,
    Cluster,
    ClusterMember,
    DelightEvent,
    Detection,
    EventLabel,
    Facet,
    FrictionEvent,
    Quarantined,
    ReaderAgreement,
    Release,
    Row,
    SessionMetrics,
    TaxonomyProposal,
    TaxonomyReview,
    UnmetNeed,
    WordSupport,
    to_arrow,
)

if TYPE_CHECKING:
    import pyarrow as pa

Doors = Mapping[str, Any]
Checkpoint = Callable[[str], None]
"""Called with the name of what was just done: progress for people, a place to break for tests."""

SAMPLED_SESSIONS: Final = 60
SAMPLES_PER_SESSION: Final = 4


class Erased:
    """Who may not come back, as the ledger says. Asks the ledger again for every reading."""

    def __init__(self, ledger: Ledger, key: PseudonymKey) -> None:
        """Nothing is read before the first question."""
        self._ledger, self._key = ledger, key

    def __call__(self) -> Covers:
        """The test for ids as the source knows them."""
        stones = tombstones(self._ledger)
        if not stones.hashes:
            return lambda *_: False
        key = self._key.bytes()
        known: dict[tuple[str, str | None], bool] = {}

        def covered(kind: str, value: str | None) -> bool:
            if value is None:
                return False
            if (kind, value) not in known:
                known[kind, value] = stones.covers_source_id(kind, value, key)
            return known[kind, value]

        def covers(user: str | None, organization: str | None, session: str | None) -> bool:
            return covered("user", user) or covered("organization", organization) or covered("session", session)

        return covers


def tombstones(ledger: Ledger) -> Tombstones:
    """The tombstones of the ledger."""
    return Tombstones(frozenset(entry.key for entry in ledger.entries([TOMBSTONE_KIND])))


@dataclass
class Searched:
    """What the search went through in one area, and what it found there."""

    area: str
    files: int = 0
    bytes: int = 0
    ids: int = 0
    texts: int = 0
    remains: str = ""
    """Why something may remain here; empty where nothing may."""


@dataclass
class Erasure:
    """What an erasure did, or would do."""

    counts: dict[str, int] = field(default_factory=dict)
    searched: list[Searched] = field(default_factory=list)
    ids: int = 0
    samples: int = 0
    resumed: int = 0
    audit_names: bool = False
    """Whether an audit entry holds one of the ids: it must not, and a hash chain cannot be changed."""

    @property
    def found(self) -> int:
        """Hits where nothing may remain."""
        return sum(area.ids + area.texts for area in self.searched if not area.remains)


# --- the traces ------------------------------------------------------------------------------------------------


def traces_of(doors: Doors, kind: Literal["user", "organization"], value: str) -> Traces:
    """Everything by which the user or organisation can be found; `value` is the source's id or the pseudonym."""
    key = doors["pseudonym_key"].bytes()
    hashed = value if _is_pseudonym(kind, value) else pseudonym(kind, value, key)
    own = {value, hashed}
    found = _Found(kind, own, doors["warehouse"])
    found.read_source(doors["session_source"], key)
    found.read_tables()
    pseudonyms = {hashed} | found.pseudonyms
    source_ids = found.source_ids or {value} - pseudonyms
    users = found.users if kind == "organization" else pseudonyms
    set_aside = [
        quarantined_row(item, day=date.min, known_on=date.min, key=key).record_id
        for source_id in (source_ids if kind == "user" else found.source_users)
        for item in doors["session_source"].set_aside(source_id)
    ]
    return Traces(
        kind=kind,
        pseudonyms=tuple(sorted(pseudonyms)),
        source_ids=tuple(sorted(source_ids)),
        users=tuple(sorted(users)),
        sessions=tuple(sorted(found.sessions)),
        source_sessions=tuple(sorted(found.source_sessions)),
        items=tuple(sorted(found.items)),
        user_hashes=tuple(sorted(user_hash(user, key) for user in users)),
        set_aside=tuple(sorted(set_aside)),
        first_sights=tuple(sorted(found.starts)),
        lasting=tuple(sorted(_lasting(kind, source_ids, found, users, key))),
        samples=tuple(found.own_samples(doors["session_source"], key)),
    )


def _lasting(kind: str, source_ids: set[str], found: "_Found", users: set[str], key: bytes) -> set[str]:
    """Tombstones under the key that does not rotate, of all who were met in the source."""
    gone = {("session", session) for session in found.session_keys} | {(kind, value) for value in source_ids}
    gone |= {("user", user) for user in found.source_users if pseudonym("user", user, key) in users}
    return {lasting_tombstone(what, value, key) for what, value in gone}


def _is_pseudonym(kind: str, value: str) -> bool:
    letter, _, digits = value.partition("_")
    return letter == kind[0] and len(digits) == 20 and set(digits) <= set("0123456789abcdef")


class _Found:
    """Collects ids from the tables and the source."""

    def __init__(self, kind: str, own: set[str], warehouse: Warehouse) -> None:
        self.kind, self.own, self.warehouse = kind, own, warehouse
        self.pseudonyms: set[str] = set()
        self.source_ids: set[str] = set()
        self.source_users: set[str] = set()
        self.users: set[str] = set()
        self.sessions: set[str] = set()
        self.source_sessions: set[str] = set()
        self.session_keys: set[str] = set()
        self.items: set[str] = set()
        self.starts: set[str] = set()
        self._samples: list[str] = []

    def read_tables(self) -> None:
        """Sessions, users and items of every stored day."""
        owner = "user_id" if self.kind == "user" else "organization_id"
        elsewhere: set[str] = set()
        for model in row_tables():
            names = set(model.model_fields)
            if owner not in names:
                continue
            wanted = sorted(names & {"user_id", "session_id", "organization_id", "source_session_id", "started_at"})
            for row in self._rows(model, wanted):
                if row[owner] in self.own or row.get("source_session_id") in self.source_sessions:
                    self._take(row, owner)
                elif row.get("user_id"):
                    elsewhere.add(row["user_id"])
        if self.kind == "organization":
            self.users -= elsewhere  # who is known elsewhere too stays, without the sessions of this organisation
        self._read_items()

    def _read_items(self) -> None:
        """Events, items and requests that were made of the sessions."""
        for model in row_tables():
            names = set(model.model_fields)
            columns = [name for name, column in columns_of(model).items() if column == "item"]
            if columns and "session_id" in names:
                for row in self._rows(model, ["session_id", *columns]):
                    if row["session_id"] in self.sessions:
                        self.items.update(row[name] for name in columns if row[name])
        for row in self._rows(UnmetNeed, ["session_id", "number"]):
            if row["session_id"] in self.sessions:
                self.items.add(f"{row['session_id']}:need:{row['number']}")
        self.items.update(f"{session}:summary" for session in self.sessions)

    def _rows(self, model: type[Row], columns: list[str]) -> Iterator[dict[str, Any]]:
        for day in self.warehouse.days(model):
            yield from self.warehouse.read(model, day, columns).to_pylist()

    def _take(self, row: Mapping[str, Any], owner: str) -> None:
        if row[owner]:  # whatever key made it: the source's id of the session links it
            self.own.add(row[owner])
            self.pseudonyms.add(row[owner])
        if row.get("user_id"):
            self.users.add(row["user_id"])
        if row.get("session_id"):
            self.sessions.add(row["session_id"])
        if row.get("source_session_id"):
            self.source_sessions.add(row["source_session_id"])
        if row.get("started_at"):
            self.starts.add(row["started_at"].isoformat())

    def read_source(self, source: Any, key: bytes) -> None:
        """Sessions that the source still has, stored or not, and word sequences of some of them."""
        sampled = 0
        for session in _sessions(source):
            if not self._is_theirs(session, key):
                continue
            value = session.user_id if self.kind == "user" else session.organization_id
            assert value is not None
            self.source_ids.add(value)
            self.pseudonyms.add(pseudonym(self.kind, value, key))
            if session.user_id is not None:
                self.source_users.add(session.user_id)
            self.sessions.add(pseudonym("session", session.key, key))
            self.source_sessions.add(session.session_id)
            self.session_keys.add(session.key)
            if sampled < SAMPLED_SESSIONS:
                sampled += 1
                self._samples += samples_of(_words(session), SAMPLES_PER_SESSION)

    def _is_theirs(self, session: Session, key: bytes) -> bool:
        value = session.user_id if self.kind == "user" else session.organization_id
        return value is not None and (value in self.own or pseudonym(self.kind, value, key) in self.own)

    def own_samples(self, source: Any, key: bytes) -> list[str]:
        """Word sequences that nobody else's sessions have: greetings and tool output are many people's."""
        left = sorted(set(self._samples))
        for session in _sessions(source):
            if not left:
                break
            if not self._is_theirs(session, key):
                text = to_json(session)
                if Needles(left, whole=False).count(text):
                    left = [sample for sample in left if sample.encode() not in text]
        return left


def _sessions(source: Any) -> Iterator[Session]:
    for day in source.days():
        yield from (item for item in source.sessions(day) if not isinstance(item, Rejected))


def _words(session: Session) -> str:
    return "\n".join(step.text for step in session.steps if step.text)


# --- the erasure -----------------------------------------------------------------------------------------------


def planned(doors: Doors, traces: Traces) -> Erasure:
    """What would go, by table and count; changes nothing."""
    warehouse: Warehouse = doors["warehouse"]
    counts: Counter[str] = Counter()
    for model in row_tables():
        columns = list(columns_of(model))
        for day in warehouse.days(model):
            for batch in warehouse.stream(model, day, columns, rows_per_batch=8192):
                counts[model.table] += theirs(model, batch, traces).true_count
    counts["sessions in the source"] = len(traces.source_sessions)
    counts["ids searched for"] = len(_ids(traces))
    return Erasure(counts=dict(counts), ids=len(_ids(traces)), samples=len(traces.samples))


def erase(doors: Doors, traces: Traces, checkpoint: Checkpoint = lambda _: None) -> Erasure:
    """Erase, or go on with it; when it returns without error, everything was done and searched for."""
    settings: Settings = doors["settings"]
    path = _note(settings, traces)
    if path.exists():
        traces = Traces.from_json(path.read_text()).joined(traces)
    _keep(path, traces)
    checkpoint("traces kept")
    number = _started(doors["ledger"], traces)
    checkpoint("tombstones set")
    done = Erasure(ids=len(_ids(traces)), samples=len(traces.samples))
    done.counts["spool copies"] = doors["session_source"].forget(set(traces.source_sessions))
    checkpoint("spool")
    asked = set(traces.items) | requests_again(doors["ledger"], traces.items)
    done.counts["answers in batches"] = doors["analyst"].forget(asked) + doors["second_reader"].forget(asked)
    done.counts["stopped runs of signals analyze"] = remove_stopped_runs(settings)
    checkpoint("batches")
    for table, count in _tables(doors, traces, checkpoint):
        done.counts[table] = done.counts.get(table, 0) + count
    done.counts["ledger entries"], done.audit_names = _ledger(doors["ledger"], traces)
    checkpoint("ledger")
    done.searched = search(settings, doors, traces, apart=path)
    checkpoint("searched")
    with doors["ledger"].transaction() as writer:
        counts = {name.replace(" ", "_"): count for name, count in done.counts.items()}
        audit(writer, f"erasure:{number}", {"kind": traces.kind, "remains": done.found, **counts})
        writer.append(ERASURE_KIND, f"{number}:finished", {"kind": traces.kind, "remains": done.found})
    checkpoint("finished")
    path.unlink(missing_ok=True)
    return done


def unfinished(settings: Settings) -> list[Traces]:
    """Erasures that were begun and killed."""
    return [Traces.from_json(path.read_text()) for path in sorted(_notes(settings).glob("*.json"))]


def _notes(settings: Settings) -> Path:
    return settings.restricted / "erasures"


def _note(settings: Settings, traces: Traces) -> Path:
    """The file of the traces: named by tombstone, so that the name tells nothing."""
    return _notes(settings) / f"{Traces(traces.kind, traces.pseudonyms[:1]).tombstones[0]}.json"


def _keep(path: Path, traces: Traces) -> None:
    """Write the traces in one step, readable by their owner only."""
    private_folder(path.parent)
    unfinished_file = path.with_suffix(".part")
    unfinished_file.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(traces.to_json())
        file.flush()
        os.fsync(file.fileno())
    unfinished_file.replace(path)


def _started(ledger: Ledger, traces: Traces) -> int:
    """Set the tombstones and note the start; the number of the erasure, the open one's where there is one."""
    with ledger.transaction() as writer:
        for stone in traces.tombstones:
            writer.append(TOMBSTONE_KIND, stone, {})
        keys = {entry.key for entry in writer.entries([ERASURE_KIND])}
        begun = sorted(int(key.partition(":")[0]) for key in keys if key.endswith(":started"))
        running = [number for number in begun if f"{number}:finished" not in keys]
        number = running[0] if running else len(begun) + 1
        writer.append(ERASURE_KIND, f"{number}:started", {"kind": traces.kind})
    return number


def _tables(doors: Doors, traces: Traces, checkpoint: Checkpoint) -> Iterator[tuple[str, int]]:
    """Every table without the person; yields table and rows that went or changed."""
    warehouse: Warehouse = doors["warehouse"]
    texts = _own_texts(warehouse, traces)
    yield from _evidence(warehouse, traces, texts)  # reads whose the other items are: before they go
    checkpoint("taxonomy_proposals")
    touched: dict[type[Row], set[date]] = defaultdict(set)
    for model in row_tables():
        for day in warehouse.days(model):
            count = warehouse.rewrite(model, day, without_rows(model, traces))
            if count:
                touched[model].add(day)
                checkpoint(f"{model.table} {day}")
            yield model.table, count
    simple: Sequence[tuple[type[Row], Callable[[Mapping[str, Any]], dict[str, Any] | None]]] = (
        (WordSupport, lambda row: without_support(row, traces)),
        (Quarantined, lambda row: without_set_aside(row, traces)),
        (Release, _first_sights(warehouse, traces)),
    )
    for model, change in simple:
        for day in warehouse.days(model):
            yield model.table, warehouse.rewrite(model, day, _by_row(model, change))
        checkpoint(model.table)
    yield from _clusters(warehouse)
    checkpoint("clusters")
    yield from _reviews(warehouse)
    checkpoint("taxonomy_reviews")
    yield from _agreements(warehouse, doors["settings"])
    checkpoint("agreement")
    yield from _reader_agreements(warehouse, doors["ledger"], doors["settings"], set(traces.items))
    checkpoint("reader_agreement")


def _by_row(
    model: type[Row], change: Callable[[Mapping[str, Any]], dict[str, Any] | None]
) -> "Callable[[pa.RecordBatch], pa.RecordBatch]":
    """A change of batches from a change of rows; a batch in which no row changes stays the very same."""

    def changed(batch: "pa.RecordBatch") -> "pa.RecordBatch":
        before = batch.to_pylist()
        after = [row for row in map(change, before) if row is not None]
        return batch if after == before else as_batch(model, after, batch)

    return changed


def _own_texts(warehouse: Warehouse, traces: Traces) -> set[str]:
    """Admitted texts of the person's sessions that nobody else's have."""
    own: set[str] = set()
    others: set[str] = set()
    sessions = set(traces.sessions)
    for model, column in (
        (AbstractedSummary, "summary"), (FrictionEvent, "citation"), (DelightEvent, "citation"), (UnmetNeed, "need"),
    ):  # fmt: skip
        for day in warehouse.days(model):
            for row in warehouse.read(model, day, ["session_id", column]).to_pylist():
                (own if row["session_id"] in sessions else others).add(row[column])
    return own - others - {None}


def _evidence(warehouse: Warehouse, traces: Traces, texts: set[str]) -> Iterator[tuple[str, int]]:
    keepers: dict[str, tuple[str | None, str]] = {}
    days = warehouse.days(TaxonomyProposal)
    for model in (FrictionEvent, DelightEvent):
        for row in warehouse.read(model, warehouse.days(model), ["event_id", "user_id", "session_id"]).to_pylist():
            keepers[row["event_id"]] = (row["user_id"], row["session_id"])
    for row in warehouse.read(ClusterMember, warehouse.days(ClusterMember)).to_pylist():
        keepers[row["item_id"]] = (row["user_id"], row["session_id"])
    for day in days:
        change = _by_row(TaxonomyProposal, lambda row: without_evidence(row, traces, texts, keepers))
        yield TaxonomyProposal.table, warehouse.rewrite(TaxonomyProposal, day, change)


def _first_sights(warehouse: Warehouse, traces: Traces) -> Callable[[Mapping[str, Any]], dict[str, Any] | None]:
    columns = {"version": "agent_version", "prompt": "prompt_version", "model": "agent_model"}
    rows = warehouse.read(SessionMetrics, warehouse.days(SessionMetrics), ["agent_name", *columns.values()]).to_pylist()
    still_run = {(row["agent_name"], kind, row[name]) for row in rows for kind, name in columns.items()}
    return lambda row: without_first_sight(row, traces, still_run)


def _clusters(warehouse: Warehouse) -> Iterator[tuple[str, int]]:
    """The counts of every stored map, from the members that are left."""
    members = warehouse.read(ClusterMember, warehouse.days(ClusterMember)).to_pylist()
    for day in warehouse.days(Cluster):
        first = day - timedelta(days=WINDOW_DAYS - 1)
        newest: dict[str, dict[str, Any]] = {
            row["item_id"]: row for row in members if row["day"] <= day and first <= row["about_day"] <= day
        }
        by_cluster: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in newest.values():
            for name in ("pattern_id", "theme_id"):
                if row[name]:
                    by_cluster[row[name]].append(row)

        def change(row: Mapping[str, Any], by_cluster: Mapping[str, Any] = by_cluster) -> dict[str, Any] | None:
            if row["change"] == "gone":
                return dict(row)
            return recounted_cluster(row, by_cluster.get(row["cluster_id"], ()))

        yield Cluster.table, warehouse.rewrite(Cluster, day, _by_row(Cluster, change))


def _reviews(warehouse: Warehouse) -> Iterator[tuple[str, int]]:
    """The counts of every category on every day, from the items that are left and the labels they had by then."""
    tables = (AbstractedSummary, FrictionEvent, DelightEvent, UnmetNeed, Facet)
    items = items_of(*(warehouse.read(model, warehouse.days(model)).to_pylist() for model in tables))
    labels = warehouse.read(EventLabel, warehouse.days(EventLabel)).to_pylist()
    for day in warehouse.days(TaxonomyReview):
        first = day - timedelta(days=WINDOW_DAYS - 1)
        newest = {row["event_id"]: row["type"] for row in labels if row["day"] <= day}
        found: dict[tuple[str, str], list[tuple[str, str | None, str]]] = defaultdict(list)
        for item in items:
            if first <= item.day <= day:
                slug = newest.get(item.item_id, item.type)
                found[item.kind, slug].append((item.item_id, item.user_id, item.session_id))

        def change(row: Mapping[str, Any], found: Mapping[Any, Any] = found) -> dict[str, Any]:
            return recounted_review(row, found.get((row["kind"], row["slug"]), ()))

        yield TaxonomyReview.table, warehouse.rewrite(TaxonomyReview, day, _by_row(TaxonomyReview, change))


def _agreements(warehouse: Warehouse, settings: Settings) -> Iterator[tuple[str, int]]:
    """Agreement of every day anew, from what is left: by the answers, or the summaries where those expired."""
    for day in warehouse.days(Agreement):
        answered = warehouse.read(Analysis, day, ["session_id", "state"]).to_pylist()
        sessions = {row["session_id"] for row in answered if row["state"] == "answered"}
        if day not in set(warehouse.days(Analysis)):
            sessions = set(warehouse.read(AbstractedSummary, day, ["session_id"]).column("session_id").to_pylist())
        rows = agreement(
            day,
            warehouse.read(Detection, day).to_pylist(),
            {
                "friction": warehouse.read(FrictionEvent, day).to_pylist(),
                "delight": warehouse.read(DelightEvent, day).to_pylist(),
            },
            sessions,
            min_confidence=settings.min_confidence,
        )
        anew = {tuple(row[name] for name in Agreement.key): row for row in to_arrow(Agreement, rows).to_pylist()}

        def change(row: Mapping[str, Any], anew: Mapping[Any, Any] = anew) -> dict[str, Any] | None:
            found: dict[str, Any] | None = anew.get(tuple(row[name] for name in Agreement.key))
            return found

        yield Agreement.table, warehouse.rewrite(Agreement, day, _by_row(Agreement, change))


def _reader_agreements(
    warehouse: Warehouse, ledger: Ledger, settings: Settings, events: set[str]
) -> Iterator[tuple[str, int]]:
    """The same of other readers: what cannot be counted again, since the answers expired, goes."""
    for day in warehouse.days(ReaderAgreement):
        rows, _ = reader_agreement(warehouse, ledger, day, min_confidence=settings.min_confidence, without=events)
        anew = {
            tuple(row[name] for name in ReaderAgreement.key): row for row in to_arrow(ReaderAgreement, rows).to_pylist()
        }

        def change(row: Mapping[str, Any], anew: Mapping[Any, Any] = anew) -> dict[str, Any] | None:
            found: dict[str, Any] | None = anew.get(tuple(row[name] for name in ReaderAgreement.key))
            return found

        yield ReaderAgreement.table, warehouse.rewrite(ReaderAgreement, day, _by_row(ReaderAgreement, change))


def _ledger(ledger: Ledger, traces: Traces) -> tuple[int, bool]:
    """Take the ids out of payloads; how many entries had any, and whether an audit entry has (it must not).

    A verdict on an event that is gone says nothing any more and goes as a whole.
    """
    gone, changed, in_audit = _ids(traces), 0, False
    for entry in ledger.entries(ledger.kinds()):
        left = without_ids(entry.payload, gone)
        if left == entry.payload:
            continue
        if entry.kind == AUDIT_KIND:
            in_audit = True
        elif entry.kind == REVIEW_KIND:
            changed += ledger.erase(entry.kind, [entry.key])
        else:
            changed += ledger.amend(entry.kind, entry.key, left)
    ledger.forget_replaced()  # whether or not something changed now: a call before may have been killed here
    return changed, in_audit


# --- the search ------------------------------------------------------------------------------------------------


def _ids(traces: Traces) -> set[str]:
    return {
        *traces.pseudonyms, *traces.source_ids, *traces.users, *traces.sessions, *traces.source_sessions,
        *traces.items, *traces.user_hashes,
    }  # fmt: skip


def search(settings: Settings, doors: Doors, traces: Traces, apart: Path | None = None) -> list[Searched]:
    """Look for the ids and the sampled word sequences in every file of the home, its names, and the ledger.

    Packed files are unpacked, Parquet is decoded. In PostgreSQL every row of every table is looked at, of the ledger's
    database and of Dagster's. `apart` is not looked at: the traces themselves.
    """
    ids, texts = Needles(_ids(traces), whole=True), Needles(traces.samples, whole=False)
    areas: dict[str, Searched] = {}
    home = settings.home.absolute()
    sources = [path.expanduser().absolute() for path in (*settings.sessions, *filter(None, [settings.records]))]
    for path in _files(home, settings):
        if apart is not None and path == apart.absolute():
            continue
        yours = any(path.is_relative_to(source) for source in sources) or _is_simulated(path, home)
        name = "source (yours)" if yours else _area(path, home)
        area = areas.setdefault(name, Searched(name, remains=SOURCE_REMAINS if yours else ""))
        area.files += 1
        area.ids += ids.count(str(path.relative_to(home) if path.is_relative_to(home) else path.name).encode())
        for part in _contents(path):
            area.bytes += len(part)
            area.ids += ids.count(part)
            area.texts += texts.count(part)
    ledger: Ledger = doors["ledger"]
    said = json.dumps([[entry.kind, entry.key, dict(entry.payload)] for entry in ledger.entries(ledger.kinds())])
    area = areas.setdefault("ledger entries", Searched("ledger entries", bytes=len(said)))
    area.ids, area.texts = ids.count(said.encode()), texts.count(said.encode())
    for name, url in _databases(settings):
        area = areas.setdefault(name, Searched(name))
        for rows in rows_as_text(url, StorageError):
            part = "\n".join(rows).encode()
            area.bytes += len(part)
            area.ids += ids.count(part)
            area.texts += texts.count(part)
    return sorted(areas.values(), key=lambda found: (bool(found.remains), found.area))


SOURCE_REMAINS: Final = "your own files are not changed: they are passed over from now on; delete them at the source"


def _is_simulated(path: Path, home: Path) -> bool:
    """Whether a file is of the simulated world, which is a source that lies in the home."""
    return path.is_relative_to(home / "simulation")


def _area(path: Path, home: Path) -> str:
    if not path.is_relative_to(home):
        return "dagster"
    parts = path.relative_to(home).parts
    deep = 2 if parts[0] in ("warehouse", "restricted") and len(parts) > 2 else 1
    return "/".join(parts[:deep]) if len(parts) > 1 else "home"


def _instance(settings: Settings) -> Path:
    return Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster").absolute()


def _databases(settings: Settings) -> Iterator[tuple[str, str]]:
    """What is stored in PostgreSQL: area and URL."""
    url = settings.ledger_url.get_secret_value() if settings.ledger_url else ""
    if url.startswith("postgres"):
        yield "database of the ledger", url
    yield from (("database of dagster", url) for url in databases(_instance(settings)))


def _files(home: Path, settings: Settings) -> Iterator[Path]:
    """Every file under the home and the Dagster instance; links are not followed."""
    instance = _instance(settings)
    roots = [home] if instance.is_relative_to(home) else [home, instance]
    for root in roots:
        for folder, _, names in os.walk(root):
            for name in sorted(names):
                path = Path(folder) / name
                if path.is_file() and not path.is_symlink():
                    yield path


_PART: Final = 32 << 20


def _contents(path: Path) -> Iterator[bytes]:
    """What a file says, in parts that overlap: unpacked where it is packed, decoded where it is Parquet."""
    if path.suffix == ".parquet" or path.name.startswith(".tmp-"):
        try:
            yield from _parquet(path)
            return
        except (OSError, ValueError):
            pass  # half a file: its bytes are searched
    import zstandard

    with path.open("rb") as raw:
        if path.suffix == ".zst":
            with zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as plain:
                yield from _parts(plain.read)
        elif path.suffix == ".gz":
            import gzip

            with gzip.open(raw) as unpacked:
                yield from _parts(unpacked.read)
        else:
            yield from _parts(raw.read)


def _parts(read: Callable[[int], bytes]) -> Iterator[bytes]:
    kept = b""
    while part := read(_PART):
        yield kept + part
        kept = (kept + part)[-512:]


def _parquet(path: Path) -> Iterator[bytes]:
    """All strings of a Parquet file, one per line, a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False) as file:
        for group in range(file.num_row_groups):
            for column in file.read_row_group(group, use_threads=False).columns:
                values: Any = column
                while pa.types.is_list(values.type):
                    values = values.combine_chunks().flatten()
                if pa.types.is_string(values.type):
                    yield "\n".join(value for value in values.to_pylist() if value).encode(errors="surrogatepass")
