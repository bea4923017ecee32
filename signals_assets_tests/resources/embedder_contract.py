"""What every embedder must do, as tests that a test module runs against its own door.

Subclass `EmbedderContract` beside a fixture `embedder`.
"""

import numpy as np

TEXTS = ["a tool call failed", "the user asked to undo the change", "a tool call failed", "", "日本語 " * 4_000]


class EmbedderContract:
    def test_each_text_has_a_unit_vector_in_its_own_place(self, embedder):
        together = embedder.embed(TEXTS)
        assert (together.dtype, together.shape) == (np.float32, (len(TEXTS), embedder.dimensions))
        assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
        assert np.array_equal(together[::-1], embedder.embed(TEXTS[::-1]))
        assert np.array_equal(together[0], together[2])
        assert len({row.tobytes() for row in together}) == len(set(TEXTS))

    def test_no_text_gives_no_vector(self, embedder):
        dimensions = embedder.dimensions
        assert embedder.embed([]).shape == (0, dimensions)

    def test_its_name_stays_and_its_check_says_who_answered(self, embedder):
        name = embedder.name
        assert name in embedder.check()
        assert f"{embedder.dimensions} dimensions" in embedder.check()
        assert embedder.name == name
