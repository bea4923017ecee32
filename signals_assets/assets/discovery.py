"""Stage 5 · discovery. Vectors, the map with its memory, proposals of new categories, newer labels.

Writes  embeddings; clusters, cluster_members; taxonomy_proposals, taxonomy_reviews; event_labels; the ledger
        (which questions for names were answered)
Reads   abstracted_summaries, facets, friction_events, delight_events, unmet_needs (four weeks); the taxonomy's ledger
Thinking: core/discovery.py, core/taxonomy.py      Doors: embedder, analyst (one question for a name)
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import dagster as dg
import numpy as np

from signals_assets import checks
from signals_assets.automation import LANGUAGE_MODEL_POOL, daily_asset, daily_assets, materialized
from signals_assets.core import landscape, pictures
from signals_assets.core.coverage import Coverage
from signals_assets.core.discovery import (
    WINDOW_DAYS,
    Item,
    MapResult,
    StoredVectors,
    Window,
    cluster_map,
    content_hash,
    embedded,
    embedding_rows,
    items_of,
    propose,
    reclusters,
    texts_to_embed,
    window_of,
)
from signals_assets.core.discovery import event_labels as labels_of
from signals_assets.core.discovery_naming import Namer
from signals_assets.core.discovery_reviews import reviews
from signals_assets.core.identity import content_id
from signals_assets.core.taxonomy import fold
from signals_assets.metadata import picture, selected, store
from signals_assets.partitions import days_of, window
from signals_assets.resources.analyst import Analyst, AnalystError
from signals_assets.resources.embedder import Embedder
from signals_assets.resources.ledger import Ledger
from signals_assets.resources.stored_rows import row_by_row
from signals_assets.resources.warehouse import Warehouse
from signals_assets.settings import Audience, Settings
from signals_assets.tables import (
    AbstractedSummary,
    Cluster,
    ClusterMember,
    DelightEvent,
    Embedding,
    EventLabel,
    Facet,
    FrictionEvent,
    Row,
    TaxonomyProposal,
    TaxonomyReview,
    UnmetNeed,
)

QUESTION_KIND = "naming"
"""Ledger entries: one for each answered question about a name or definition, by day and hash of the question."""
SOURCES = ["abstracted_summaries", "friction_events", "delight_events", "unmet_needs", "facets"]


_OF_SESSION = ("day", "known_on", "session_id", "user_id")
_EVENT = (*_OF_SESSION, "event_id", "citation", "organization_id", "type", "confidence", "source")
_TOLD: tuple[tuple[type[Row], tuple[str, ...]], ...] = (
    (AbstractedSummary, (*_OF_SESSION, "summary")),
    (FrictionEvent, _EVENT),
    (DelightEvent, _EVENT),
    (UnmetNeed, (*_OF_SESSION, "number", "need")),
    (Facet, (*_OF_SESSION, "facet", "value")),
)
"""What items are made of, in the order in which `items_of` takes it."""
_FACTS = ("primary_intent", "outcome")
_ON_MAP = {"day", "item_id", "kind", "session_id", "user_id", "about_day", "pattern_id", "theme_id"}
"""What the picture of the map needs of a member."""


def _items(warehouse: Warehouse, days: Sequence[date]) -> list[Item]:
    return items_of(*(row_by_row(warehouse.read(table, days, columns=columns)) for table, columns in _TOLD))


def _vectors(warehouse: Warehouse, days: Sequence[date], column: str, embedder: str) -> StoredVectors:
    """Vectors of the window by `item_id` or `content_hash`, of one embedder only."""
    import pyarrow.compute as pc

    table = warehouse.read(Embedding, days, columns=[column, "embedder", "vector"])
    its_own = pc.equal(table.column("embedder"), embedder)
    if not pc.all(its_own).as_py():  # another embedder's vectors may have another length; copied only then
        table = table.filter(its_own)
    places = {key: row for row, key in enumerate(table.column(column).to_pylist())}
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table.column("vector").chunks]
    dimensions = sum(map(len, chunks)) // max(table.num_rows, 1)
    rows = np.empty((table.num_rows, dimensions), dtype=np.float32)
    if rows.size:
        np.concatenate(chunks, out=rows.reshape(-1))
    return StoredVectors(places, rows)


class _Windows:
    """The trailing windows of a range of days: everything is read once, each day sees its own four weeks."""

    def __init__(self, warehouse: Warehouse, days: Sequence[date], embedder: str) -> None:
        self._back, self._last = window(days[-1], (days[-1] - days[0]).days + WINDOW_DAYS), days[-1]
        self._warehouse = warehouse
        self.items = _items(warehouse, self._back)
        self._vectors: Mapping[str, Any] = _vectors(warehouse, self._back, "item_id", embedder)

    @cached_property
    def _facets(self) -> list[tuple[date, date, str, str, str]]:
        """Day, day on which it became known, session, facet and value of what `facts` tells."""
        stored = self._warehouse.read(Facet, self._back, columns=["day", "known_on", "session_id", "facet", "value"])
        return [tuple(row.values()) for row in row_by_row(stored) if row["facet"] in _FACTS]

    def of(self, day: date) -> Window:
        """The items of the four weeks that end with `day`, as known on it. Ask for the range's last day last.

        A window has vectors of its own: with the last one those of the range are let go.
        """
        first = day - timedelta(days=WINDOW_DAYS - 1)
        seen = [item for item in self.items if first <= item.day <= day and item.known_on <= day]
        vectors = self._vectors
        if day == self._last:
            self._vectors = {}
        return window_of(seen, vectors)

    def facts(self, day: date) -> dict[str, tuple[str, str]]:
        """Primary intent and outcome of the sessions of the four weeks that end with `day`, as known on it."""
        first = day - timedelta(days=WINDOW_DAYS - 1)
        found: dict[str, dict[str, str]] = {}
        for about, known_on, session, facet, value in self._facets:
            if first <= about <= day and known_on <= day:
                found.setdefault(session, {})[facet] = value
        return {
            session: (facets.get("primary_intent", ""), facets["outcome"])
            for session, facets in found.items()
            if "outcome" in facets
        }


def _earlier(warehouse: Warehouse, model: type[Row], day: date) -> list[dict[str, Any]]:
    """The newest stored day before `day`, if it is within the window."""
    stored = [other for other in warehouse.days(model) if day - timedelta(days=WINDOW_DAYS) <= other < day]
    rows: list[dict[str, Any]] = warehouse.read(model, stored[-1:]).to_pylist()
    return rows


def _before(warehouse: Warehouse, model: type[Row], day: date) -> list[dict[str, Any]]:
    """All rows of the window's earlier days, oldest first."""
    rows: list[dict[str, Any]] = warehouse.read(model, window(day - timedelta(days=1), WINDOW_DAYS - 1)).to_pylist()
    return rows


@daily_asset(Embedding, deps=SOURCES, kinds=("huggingface",))
def embeddings(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    embedder: dg.ResourceParam[Embedder],
) -> None:
    """Each distinct text of four weeks is embedded once; equal texts share a vector.

    All texts are admitted ones, read from the abstracted tables, since the embedder may be a service outside; what that
    service has counted for the whole run stands in the metadata of each of its days.
    """
    days = days_of(context)
    earlier = window(days[0] - timedelta(days=1), WINDOW_DAYS)
    known: dict[str, Any] = dict(_vectors(warehouse, earlier, "content_hash", embedder.name))
    items = {day: _items(warehouse, [day]) for day in days}
    asked = texts_to_embed((item for found in items.values() for item in found), known)
    before = embedder.tokens
    made = dict(zip(asked, embedder.embed(asked), strict=True))  # one call for all days: batches are of fixed shape
    billed = {"tokens_of_the_run": embedder.tokens - before} if embedder.outside else {}
    for day in days:
        rows, coverage = embedding_rows(
            day, items[day], lambda texts: [made[text] for text in texts], known, embedder.name
        )
        store(context, warehouse, Embedding, day, rows, coverage, **billed)
        hashes = {content_hash(item.text): item.text for item in items[day]}
        known |= {digest: made[embedded(text)] for digest, text in hashes.items() if digest not in known}


@daily_assets(Cluster, ClusterMember, name="clusters_and_members", deps=["embeddings", *SOURCES])
def clusters_and_members(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    embedder: dg.ResourceParam[Embedder],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.MaterializeResult[None]]:
    """Daily assignment, clustered anew on Mondays and matched to the past; reads its own earlier days."""
    days = days_of(context)
    windows = _Windows(warehouse, days, embedder.name)
    for day in days:
        seen, before = windows.of(day), _before(warehouse, ClusterMember, day)
        found = cluster_map(
            day,
            seen,
            _earlier(warehouse, Cluster, day),
            before,
            recluster=reclusters(day),
        )
        store(context, warehouse, Cluster, day, found.clusters, found.coverage)
        store(context, warehouse, ClusterMember, day, found.members, found.coverage)
        if found.clusters and selected(context, Cluster):
            drawn = _map_picture(day, seen, before, found, settings.audience)
            picture(context, Cluster.table, day, {"map": drawn})
    yield from materialized(context, Cluster, ClusterMember)


def _map_picture(
    day: date, seen: Window, before: Sequence[dict[str, Any]], found: MapResult, audience: Audience
) -> bytes:
    """The map of the day as an image, of what enough people are behind."""
    members = landscape.newest_members([*before, *(row.model_dump(include=_ON_MAP) for row in found.members)])
    organizations = {item.session_id: item.organization_id for item in seen.items}
    behind = landscape.standings(members, until=day, audience=audience, organizations=organizations)
    rows = [row.model_dump() for row in found.clusters]
    return pictures.cluster_map(landscape.panels(day, rows, behind, names={}, audience=audience))


@daily_asset(TaxonomyProposal, deps=["embeddings", "event_labels", *SOURCES], pool=LANGUAGE_MODEL_POOL)
def taxonomy_proposals(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    embedder: dg.ResourceParam[Embedder],
    analyst: dg.ResourceParam[Analyst],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Left-overs that no category claims, grouped and named; a person decides (signals taxonomy, the job taxonomy)."""
    days = days_of(context)
    stored = set(warehouse.days(TaxonomyProposal))
    windows = _Windows(warehouse, days, embedder.name)
    for day in days:
        namer = _namer(analyst, ledger, day, settings.discovery.questions_a_day, repeated=day in stored)
        rows = propose(
            day,
            windows.of(day),
            fold(ledger.entries(["taxonomy"], before=day)),
            [*_earlier(warehouse, TaxonomyProposal, day), *_named_by_model(warehouse, day)],
            _before(warehouse, EventLabel, day),
            audience=settings.audience,
            embedder=embedder.name,
            facts=windows.facts(day),
            namer=namer,
        )
        ready = sum(row.ready for row in rows)
        coverage = Coverage(
            asked=len(rows), answered=ready, skipped={"not_ready": len(rows) - ready}, notes=dict(namer.counts)
        )
        store(context, warehouse, TaxonomyProposal, day, rows, coverage)


def _namer(analyst: Analyst, ledger: Ledger, day: date, most: int, *, repeated: bool) -> Namer:
    """The analyst's answers to single questions, at most so many for a day however often it is repeated.

    The ledger remembers each answered question by its hash. A repeat of a day that is stored does not ask again what
    the barrier refused: the words it has stay. A run that was killed may ask anew, within the same budget. An answer
    that fails is none.
    """
    asked = sum(entry.payload["day"] == day.isoformat() for entry in ledger.entries([QUESTION_KIND]))

    def ask(question: str) -> str | None:
        key = f"{day}:{content_id('q', question)}"
        if repeated and ledger.find(QUESTION_KIND, key) is not None:
            return None
        try:
            answer = analyst.ask(question)
        except AnalystError:
            return None
        if answer is not None:
            ledger.append(QUESTION_KIND, key, {"day": day.isoformat()})
        return answer

    return Namer(ask, max(most - asked, 0))


def _named_by_model(warehouse: Warehouse, day: date) -> list[dict[str, Any]]:
    """What a model said on an earlier run of the same day: a repeat asks nothing again and calls nothing otherwise."""
    rows = warehouse.read(TaxonomyProposal, day).to_pylist()
    return [row for row in rows if "model" in (row["named_by"], row["judged_by"])]


@daily_asset(TaxonomyReview, deps=["embeddings", "event_labels", *SOURCES])
def taxonomy_reviews(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    embedder: dg.ResourceParam[Embedder],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Reads its own previous day. What no longer occurs or tells nothing is proposed for retirement."""
    days = days_of(context)
    windows = _Windows(warehouse, days, embedder.name)
    for day in days:
        rows = reviews(
            day,
            windows.of(day),
            fold(ledger.entries(["taxonomy"], before=day)),
            _before(warehouse, EventLabel, day),
            _earlier(warehouse, TaxonomyReview, day),
            audience=settings.audience,
            embedder=embedder.name,
            facts=windows.facts(day),
        )
        judged = sum(row.same_meaning is not None for row in rows)
        coverage = Coverage(asked=len(rows), answered=judged, skipped={"too_few_items": len(rows) - judged})
        drifts, retire = sum(row.drifts for row in rows), sum(row.retire for row in rows)
        store(context, warehouse, TaxonomyReview, day, rows, coverage, drifts=drifts, retire=retire)


meaning = checks.share(
    TaxonomyReview,
    "categories_mean_what_they_did",
    "No category's items have moved away from its definition.",
    sql="select avg(case when drifts then 0.0 else 1.0 end) as share from taxonomy_reviews where day in ({days})",
    at_least=1.0,
)


@daily_asset(EventLabel, deps=["embeddings", *SOURCES])
def event_labels(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    ledger: dg.ResourceParam[Ledger],
    embedder: dg.ResourceParam[Embedder],
) -> None:
    """Past and new events under the newest taxonomy the day may know; events themselves are never rewritten."""
    days = days_of(context)
    windows = _Windows(warehouse, days, embedder.name)
    for day in days:
        seen = windows.of(day)
        taxonomy = fold(ledger.entries(["taxonomy"], before=day))
        rows = labels_of(day, seen, taxonomy, _before(warehouse, EventLabel, day), embedder=embedder.name)
        asked = len(seen.items) + seen.missing
        coverage = Coverage(asked=asked, answered=len(rows), skipped={"label_unchanged": asked - len(rows)})
        store(context, warehouse, EventLabel, day, rows, coverage)
