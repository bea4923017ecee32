import numpy as np

from signals_assets.core.discovery_groups import left_overs, new_ground, new_groups
from signals_assets.core.discovery_labels import Category, categories
from signals_assets.core.discovery_proposals import GATE_QUANTILE
from signals_assets_tests.core.discovery_factories import DIMENSIONS, direction, group, window

TAUGHT = 40


def beside_a_wide_category(size: int) -> tuple[np.ndarray, list[Category], np.ndarray]:
    """Vectors, known categories and the stream: a category so wide that its gate claims a new blob, and that blob."""
    wide = [*group(0, 20, type_="wide", spread=0.3), *group(1, 20, type_="wide", spread=0.3)]
    stream = [*group(0, 20, start=20, spread=0.3), *group(1, 20, start=20, spread=0.3)]
    new = [(item, vector + wide[0][1] + wide[20][1]) for item, vector in group(9, size)]
    everything = window(wide, stream, new)
    known = categories(window(wide), ["wide"] * TAUGHT, GATE_QUANTILE)
    return everything.vectors, known, np.arange(TAUGHT, TAUGHT + 40 + size)


def test_new_ground_is_found_where_a_wide_category_claims_it() -> None:
    vectors, known, stream = beside_a_wide_category(30)
    left = stream[left_overs(vectors[stream], known)]
    new = np.arange(TAUGHT + 40, TAUGHT + 70)
    assert len(np.intersect1d(left, new)) < 15
    ground = new_ground(vectors, left, 15, known=known, rows=stream)
    assert len(np.intersect1d(ground, new)) == 30


def test_rows_that_the_caller_keeps_back_are_no_new_ground() -> None:
    vectors, known, stream = beside_a_wide_category(30)
    left = stream[left_overs(vectors[stream], known)]
    ground = new_ground(vectors, left[1:], 15, known=known, rows=stream)
    assert left[0] not in ground.tolist()


def test_with_nothing_known_all_that_is_left_is_new_ground() -> None:
    vectors = window(group(3, 20), group(4, 20)).vectors
    rows = np.arange(40)
    assert new_ground(vectors, rows, 15, known=[], rows=rows).tolist() == rows.tolist()
    assert sorted(len(found) for found in new_groups(vectors, rows, 15, known=[], rows=rows)) == [20, 20]


def pairs_of_blobs(categories_of_a_pair: int) -> tuple[np.ndarray, list[Category], np.ndarray]:
    """Seven pairs of blobs; the last is new, each other one is one known category or two. With the new rows."""
    axes = np.eye(DIMENSIONS)
    blobs = [
        [
            (item, vector - direction(10 + number) + axes[number] + axes[14 + number // 2])
            for item, vector in group(10 + number, 20)
        ]
        for number in range(14)
    ]
    types = [str(number // 2 * 2 + number % categories_of_a_pair) for number in range(12) for _ in range(20)]
    return window(*blobs).vectors, categories(window(*blobs[:12]), types, GATE_QUANTILE), np.arange(240, 280)


def test_two_groups_are_one_where_known_categories_are_as_wide() -> None:
    vectors, known, new = pairs_of_blobs(categories_of_a_pair=1)
    assert [found.tolist() for found in new_groups(vectors, new, 15, known=known, rows=new)] == [new.tolist()]


def test_the_same_two_groups_are_two_where_known_categories_are_narrow() -> None:
    vectors, known, new = pairs_of_blobs(categories_of_a_pair=2)
    found = new_groups(vectors, new, 15, known=known, rows=new)
    assert sorted(rows.tolist() for rows in found) == [new[:20].tolist(), new[20:].tolist()]
