"""Stage 5: a text is embedded once, without an embedder discovery is empty and says so, the map remembers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from signals_assets.resources.batches import Server
from signals_assets.resources.embedder import NoEmbedder
from signals_assets.resources.openai_embedder import OpenAIEmbedder
from signals_assets.tables import (
    AbstractedSummary,
    Cluster,
    ClusterMember,
    DelightEvent,
    Embedding,
    EventLabel,
    Facet,
    FrictionEvent,
    UnmetNeed,
)
from signals_assets_tests.conftest import FIRST_DAY, LAST_DAY
from signals_assets_tests.fakes.embedder import HashEmbedder
from signals_assets_tests.fakes.openai_server import OpenAIServer
from signals_assets_tests.home import Home

STAGE = ("embeddings", "clusters", "cluster_members", "event_labels", "taxonomy_proposals")


class CountingEmbedder(HashEmbedder):
    """Remembers every text it was given."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> Any:
        self.texts += texts
        return super().embed(texts)


def test_each_distinct_text_is_embedded_once_over_all_days(lived: Home, tmp_path: Path):
    counting = CountingEmbedder()
    with lived.copy(tmp_path / "home", {"embedder": counting}) as home:
        for model in (Embedding, Cluster, ClusterMember):
            home.warehouse.delete_days(model, home.warehouse.days(model))
        home.materialize(FIRST_DAY, LAST_DAY, only=["embeddings"])
        assert len(counting.texts) == len(set(counting.texts)) > 0
        rows = home.rows(Embedding)
        assert len({row["content_hash"] for row in rows}) == len(counting.texts) <= len(rows)
        counting.texts.clear()
        home.materialize(LAST_DAY, only=["embeddings"])
        earlier = {row["content_hash"] for row in rows if row["day"] < LAST_DAY}
        assert len(counting.texts) == len({row["content_hash"] for row in rows} - earlier)
        assert home.rows(Embedding) == rows == lived.rows(Embedding)


def test_equal_texts_share_a_vector(lived: Home):
    vectors: dict[str, list[float]] = {}
    for row in lived.rows(Embedding):
        assert vectors.setdefault(row["content_hash"], row["vector"]) == row["vector"]


def test_every_admitted_friction_event_is_on_the_map(lived: Home):
    on_map = {row["item_id"] for row in lived.rows(ClusterMember)}
    admitted = {row["event_id"] for row in lived.rows(FrictionEvent) if row["citation"] is not None}
    embedded = {row["item_id"] for row in lived.rows(Embedding)}
    assert on_map == embedded
    assert embedded & admitted


def test_members_belong_to_clusters_of_their_day(lived: Home):
    for day in lived.warehouse.days(Cluster):
        known = {row["cluster_id"] for row in lived.rows(Cluster, day)}
        for row in lived.rows(ClusterMember, day):
            assert {row["pattern_id"], row["theme_id"]} - {None} <= known


def test_without_an_embedder_the_days_are_stored_empty_and_coverage_says_so(lived: Home, tmp_path: Path):
    with lived.copy(tmp_path / "home", {"embedder": NoEmbedder()}) as home:
        for model in (Embedding, Cluster, ClusterMember, EventLabel):
            home.warehouse.delete_days(model, home.warehouse.days(model))
        home.materialize(FIRST_DAY, LAST_DAY, only=STAGE)
        for model in (Embedding, Cluster, ClusterMember):
            assert home.rows(model) == []
            assert home.warehouse.days(model) == lived.warehouse.days(model)
        shown = home.metadata("embeddings", LAST_DAY)
        assert shown["coverage/asked"] > 0
        assert "coverage/answered" not in shown


ADMITTED = ((AbstractedSummary, "summary"), (FrictionEvent, "citation"), (DelightEvent, "citation"),
            (UnmetNeed, "need"), (Facet, "value"))  # fmt: skip


def test_a_day_goes_on_with_openais_embeddings_which_are_sent_admitted_texts_only(lived: Home, tmp_path: Path):
    with OpenAIServer() as server:
        openai = OpenAIEmbedder(Server("sk-none", server.url), dimensions=96)
        with lived.copy(tmp_path / "home", {"embedder": openai}) as home:
            home.materialize(LAST_DAY, only=[*STAGE, "taxonomy_reviews"])
            rows = home.rows(Embedding, LAST_DAY)
            shown = home.metadata("embeddings", LAST_DAY)
            on_map = {row["item_id"] for row in home.rows(ClusterMember, LAST_DAY)}
    (sent,) = server.state.embedded
    assert len(sent) == len({row["content_hash"] for row in rows}) > 0
    admitted = [row[column] or "" for model, column in ADMITTED for row in lived.rows(model, LAST_DAY)]
    assert [text for text in sent if not any(text in whole for whole in admitted)] == []
    assert {(row["embedder"], len(row["vector"])) for row in rows} == {(openai.name, 96)}
    assert {len(row["vector"]) for row in lived.rows(Embedding, LAST_DAY)} == {HashEmbedder.dimensions}
    assert on_map <= {row["item_id"] for row in rows}  # vectors of the former embedder are not compared with these
    assert shown["tokens_of_the_run"] == sum(charge.input_tokens for charge in server.state.charges) > 0
