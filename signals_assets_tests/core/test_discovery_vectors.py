import numpy as np
import pytest

from signals_assets.core import discovery_vectors as dv
from signals_assets_tests.core.discovery_factories import group, window


def blobs(*sizes: int) -> np.ndarray:
    return window(*(group(number, size) for number, size in enumerate(sizes))).vectors


def test_the_graph_is_symmetric_without_loops_and_joins_the_nearest() -> None:
    vectors = blobs(30, 30)
    graph = dv.neighbour_graph(vectors, 4)
    assert abs(graph - graph.T).max() < 1e-6
    assert graph.diagonal().sum() == 0
    assert graph[:30, 30:].nnz == 0


def test_communities_are_the_blobs() -> None:
    labels = dv.communities(dv.neighbour_graph(blobs(30, 40)), 1.0, 0)
    assert len(set(labels[:30])) == len(set(labels[30:])) == 1
    assert labels[0] != labels[-1]


def test_communities_of_a_graph_without_structure_are_the_same_at_every_call() -> None:
    noise = dv.unit(np.random.default_rng(0).standard_normal((400, 24)))
    graph = dv.neighbour_graph(noise)
    first = dv.communities(graph, 3.0, 0)
    assert all(np.array_equal(first, dv.communities(graph, 3.0, 0)) for _ in range(3))


def test_a_group_that_has_nothing_beside_it_is_tight_and_noise_is_not() -> None:
    noise = dv.unit(np.random.default_rng(0).standard_normal((12, 24)))
    labels = dv.tight_groups(np.concatenate([blobs(20), noise]), 10, 0.6)
    assert (labels[:20] == 0).all()
    assert (labels[20:] == -1).all()


def test_dense_groups_of_too_few_points_are_none() -> None:
    assert (dv.dense_groups(blobs(4), 15) == -1).all()


def test_dense_groups_bear_equal_points() -> None:
    labels = dv.dense_groups(np.repeat(blobs(1, 1), 10, axis=0), 5)
    assert len(set(labels.tolist())) == 2


def test_pieces_of_one_blob_are_joined_and_other_blobs_are_not() -> None:
    vectors = blobs(20, 20)
    pieces = [np.arange(10), np.arange(10, 20), np.arange(20, 40)]
    joined = dv.merged(pieces, vectors, 0.8)
    assert [part.tolist() for part in joined] == [list(range(20)), list(range(20, 40))]


def test_a_points_own_weight_does_not_count_in_its_similarity() -> None:
    opposite = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    assert np.allclose(dv.own_similarities(opposite), 0)
    assert dv.own_similarities(opposite[:1]).tolist() == [1.0]


def test_matches_are_one_to_one_and_none_is_under_the_least() -> None:
    scores = np.array([[0.9, 0.8], [0.85, 0.1], [0.2, 0.2]])
    assert dv.best_matches(scores, 0.3) == [(0, 1), (1, 0)]
    assert dv.best_matches(np.zeros((0, 2)), 0.3) == []


def test_distinctive_terms_are_what_one_group_has_and_the_others_lack() -> None:
    groups = [["the date was shifted by a timezone"] * 3, ["the search found a wrong file"] * 3, ["a wrong date"] * 3]
    terms = dv.distinctive_terms(groups, 2)
    assert set(terms[0]) == {"shifted", "timezone"}
    assert set(terms[1]) <= {"search", "found", "file"}


def test_a_word_of_one_text_does_not_name_a_group() -> None:
    texts = ["dates shifted"] * 9 + ["zebra dates shifted"]
    assert "zebra" not in dv.distinctive_terms([texts, ["other words"]], 5, share=0.2)[0]


def test_overlap_of_nothing_is_nothing() -> None:
    assert dv.overlap([], []) == 0
    assert dv.overlap("ab", "bc") == 1 / 3


def test_positions_turned_or_mirrored_are_brought_back_onto_their_anchors() -> None:
    centres = np.stack([blobs(1), *([blobs(*[1] * n)[-1:] for n in range(2, 7)])])[:, 0]
    before = dv.positions(centres)
    turned = before @ np.array([[0.0, -1.0], [-1.0, 0.0]]) + 3
    anchors = [(row, *turned[row]) for row in range(4)]
    assert np.allclose(dv.positions(centres, anchors), turned, atol=1e-6)


def test_positions_of_one_or_two_points_are_finite() -> None:
    assert np.isfinite(dv.positions(blobs(1))).all()
    assert np.isfinite(dv.positions(blobs(1, 1))).all()
    assert np.isfinite(dv.positions(np.repeat(blobs(1), 3, axis=0), [(0, 0.1, 0.1), (1, 0.1, 0.1)])).all()


def test_unlike_keeps_what_has_no_near_neighbour_among_the_others() -> None:
    vectors = blobs(5, 5)
    rows, others = np.arange(10), np.arange(5)
    assert dv.unlike(vectors, rows, others, 0.7).tolist() == [5, 6, 7, 8, 9]
    assert dv.unlike(vectors, rows, others[:0], 0.7).tolist() == rows.tolist()


def test_halves_with_something_known_between_them_stay_apart() -> None:
    axes = np.eye(6)
    left, right = axes[0] + 0.3 * axes[1:5], axes[5] * 0.6 + axes[0] + 0.3 * axes[1:5]
    vectors = dv.unit(np.concatenate([left, right]))
    groups = [np.arange(4), np.arange(4, 8)]
    between = dv.centroid(vectors)[None]
    assert len(dv.merged(groups, vectors, 0.5)) == 1
    assert len(dv.merged(groups, vectors, 0.5, between)) == 2
    assert len(dv.merged(groups, vectors, 0.5, dv.unit(axes[3:4]))) == 1
    assert len(dv.merged(groups, vectors, 0.5, between, margin=-1.0)) == 1


def test_a_contest_gives_rows_to_the_nearest_and_a_corner_of_the_known_vanishes() -> None:
    vectors = blobs(40, 40)
    known = dv.centroid(vectors[:40])[None]
    corner, young = np.arange(12), np.arange(40, 70)
    (won,) = dv.contested([corner, young], vectors, np.arange(80), known, 0.1, 12, 3)
    assert len(won) >= 20
    assert set(won.tolist()) <= set(range(40, 80))
    (everything,) = dv.contested([young], vectors, np.arange(80), known, None, 10, 1)
    assert everything.tolist() == list(range(40, 80))
    assert dv.contested([], vectors, np.arange(80), known, 0.1, 10, 3) == []


def test_a_small_group_lets_none_of_its_own_go() -> None:
    vectors = blobs(5)
    (held,) = dv.contested([np.arange(5)], vectors, np.arange(5), vectors[:0], 0.1, 4, 3)
    assert held.tolist() == [0, 1, 2, 3, 4]


def test_part_of_a_blob_is_nearer_to_the_rest_of_it_and_a_blob_to_itself() -> None:
    vectors = blobs(60, 30)
    assert dv.nearer_elsewhere(vectors, np.arange(10), np.arange(10, 60)) > 0.5
    assert dv.nearer_elsewhere(vectors, np.arange(60, 90), np.arange(60)) == 0
    assert dv.nearer_elsewhere(vectors, np.arange(60, 90), np.arange(0)) == 0


def test_neighbours_found_by_cells_are_nearly_all_of_the_exact_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = blobs(*[150] * 10)
    exact = dv.neighbour_graph(vectors)
    monkeypatch.setattr(dv, "EXACT", 100)
    cells = dv.neighbour_graph(vectors)
    assert (exact.multiply(cells) > 0).sum() > 0.9 * exact.nnz
    assert cells.diagonal().sum() == 0
    assert abs(cells - cells.T).max() < 1e-6
    assert abs(cells - dv.neighbour_graph(vectors)).max() == 0


def test_what_was_together_draws_together_and_what_was_in_no_group_does_not() -> None:
    graph = dv.neighbour_graph(blobs(30))
    again = dv.remembered(graph, ["a"] * 10 + ["b"] * 10 + [None] * 10, 1.5)
    same = np.zeros((30, 30), dtype=bool)
    same[:10, :10] = same[10:20, 10:20] = True
    plain = graph.toarray()
    assert np.allclose(again.toarray(), np.where(same, 1.5 * plain, plain))


def test_the_nearest_rows_are_those_of_the_own_blob_without_the_row_itself() -> None:
    near = dv.nearest_rows(blobs(10, 10), np.array([3, 15]), 9)
    assert sorted(near[0].tolist()) == [row for row in range(10) if row != 3]
    assert sorted(near[1].tolist()) == [row for row in range(10, 20) if row != 15]


def test_two_halves_of_one_blob_are_interwoven_and_two_blobs_are_not() -> None:
    vectors = blobs(40, 40)
    rows = np.arange(80)
    groups = [rows[:40:2], rows[1:40:2], rows[40:]]
    joined = dv.interwoven(groups, dv.nearest_rows(vectors, rows, 15), rows, 0.05)
    assert [group.tolist() for group in joined] == [rows[:40].tolist(), rows[40:].tolist()]
