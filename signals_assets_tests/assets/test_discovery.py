"""Stage 5: a text is embedded once, without an embedder discovery is empty and says so, the map remembers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from signals_assets.resources.embedder import NoEmbedder
from signals_assets.tables import Cluster, ClusterMember, Embedding, EventLabel, FrictionEvent
from signals_assets_tests.conftest import FIRST_DAY, LAST_DAY
from signals_assets_tests.fakes.embedder import HashEmbedder
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
