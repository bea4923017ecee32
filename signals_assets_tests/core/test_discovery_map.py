from dataclasses import replace
from datetime import timedelta

import pytest

from signals_assets.core.discovery import cluster_map, window_of
from signals_assets.core.discovery_map import LEAST_ITEMS, pattern_resolution
from signals_assets.core.identity import content_id
from signals_assets_tests.core.discovery_factories import MONDAY, dumped, group, window

TUESDAY = MONDAY + timedelta(1)
NEXT_MONDAY = MONDAY + timedelta(7)


def three_blobs(**changes: object) -> list:
    return [group(number, 30, words=f"blob{'abc'[number]}", **changes) for number in range(3)]


@pytest.fixture(scope="module")
def monday():
    return cluster_map(MONDAY, window(*three_blobs()), recluster=True)


def patterns(result) -> dict[str, str]:
    return {row.item_id: row.pattern_id for row in result.members}


def test_each_blob_is_covered_by_patterns_of_its_own(monday) -> None:
    blobs_of: dict[str, set[str]] = {}
    for item_id, pattern_id in patterns(monday).items():
        blobs_of.setdefault(pattern_id, set()).add(item_id.split("-")[1])
    assert len(blobs_of) >= 3
    assert all(len(blobs) == 1 for blobs in blobs_of.values())
    assert monday.coverage.asked == monday.coverage.answered == 90


def test_the_levels_are_a_tree(monday) -> None:
    themes = {row.cluster_id: row for row in monday.clusters if row.level == "theme"}
    fine = {row.cluster_id: row for row in monday.clusters if row.level == "pattern"}
    assert all(row.parent_id in themes for row in fine.values())
    assert all(row.theme_id == fine[row.pattern_id].parent_id for row in monday.members)
    assert sum(row.items for row in themes.values()) == sum(row.items for row in fine.values()) == 90


def test_a_first_map_is_new_and_its_terms_are_those_of_its_texts(monday) -> None:
    assert {row.change for row in monday.clusters} == {"new"}
    assert all(row.terms[0].startswith("blob") for row in monday.clusters)
    assert all(row.reclustered_on == MONDAY for row in monday.clusters)


def test_the_same_seed_gives_the_same_map(monday) -> None:
    again = cluster_map(MONDAY, window(*three_blobs()), recluster=True)
    assert (again.clusters, again.coverage) == (monday.clusters, monday.coverage)
    assert list(again.members) == list(monday.members)


def test_the_same_texts_under_other_pseudonyms_give_the_same_map(monday) -> None:
    pairs = [pair for blob in three_blobs() for pair in blob]
    maps = []
    for salt in ("one", "two"):
        renamed = [(replace(item, item_id=content_id("x", salt, item.item_id)), vector) for item, vector in pairs]
        seen = window_of([item for item, _ in renamed], {item.item_id: vector for item, vector in renamed})
        maps.append(cluster_map(MONDAY, seen, recluster=True))
    one, two = maps
    assert one.clusters == two.clusters
    assert [row.pattern_id for row in one.members] == [row.pattern_id for row in two.members]


def test_too_few_items_make_no_clusters_and_it_is_said() -> None:
    result = cluster_map(MONDAY, window(group(0, LEAST_ITEMS - 1)), recluster=True)
    assert result.clusters == []
    assert result.coverage.skipped == {"too_few_items": LEAST_ITEMS - 1}
    assert {row.pattern_id for row in result.members} == {None}


def test_an_empty_window_gives_an_empty_map() -> None:
    result = cluster_map(MONDAY, window(), recluster=True)
    assert (result.clusters, list(result.members), result.coverage.asked) == ([], [], 0)


def test_equal_texts_are_one_point_and_still_all_mapped() -> None:
    items = [(type(item)(**{**vars_of(item), "text": "the same text"}), group(0, 1)[0][1]) for item, _ in group(0, 40)]
    result = cluster_map(MONDAY, window(items), recluster=True)
    assert result.coverage.answered == 40


def vars_of(item) -> dict:
    return {name: getattr(item, name) for name in item.__dataclass_fields__}


def test_the_next_day_only_new_items_are_assigned_and_ids_and_places_stay(monday) -> None:
    later = group(0, 5, start=30, day=TUESDAY)
    stranger = group(9, 1, day=TUESDAY)
    result = cluster_map(
        TUESDAY, window(*three_blobs(), later, stranger), dumped(monday.clusters), dumped(monday.members)
    )
    assert len(result.members) == 6
    near = {patterns(monday)[item.item_id] for item, _ in three_blobs()[0]}
    assigned = [pattern for item_id, pattern in patterns(result).items() if item_id.startswith("friction-0")]
    assert set(assigned) - {None} <= near
    assert sum(pattern is not None for pattern in assigned) >= 4
    assert patterns(result)["friction-9-0000"] is None
    assert {(row.cluster_id, row.x, row.y) for row in result.clusters} == {
        (row.cluster_id, row.x, row.y) for row in monday.clusters
    }
    assert {row.change for row in result.clusters} == {"kept"}
    assert all(row.outlier_share > 0 for row in result.clusters)


def test_a_week_later_unchanged_blobs_keep_their_ids_and_places(monday) -> None:
    grown = [group(number, 36, words=f"blob{'abc'[number]}") for number in range(3)]
    result = cluster_map(NEXT_MONDAY, window(*grown), dumped(monday.clusters), dumped(monday.members), recluster=True)
    old = {row.cluster_id: (row.x, row.y) for row in monday.clusters if row.level == "theme"}
    new = {row.cluster_id: (row.x, row.y) for row in result.clusters if row.level == "theme"}
    assert old.keys() == new.keys()
    assert all(abs(old[cid][0] - new[cid][0]) + abs(old[cid][1] - new[cid][1]) < 0.3 for cid in old)
    assert len(result.members) == 108


def test_what_left_the_window_is_gone_once_and_then_forgotten(monday) -> None:
    rest = window(*three_blobs()[1:])
    result = cluster_map(NEXT_MONDAY, rest, dumped(monday.clusters), dumped(monday.members), recluster=True)
    gone = {row.cluster_id for row in result.clusters if row.change == "gone"}
    assert gone == {patterns(monday)[item.item_id] for item, _ in three_blobs()[0]} | {
        row.theme_id for row in monday.members if row.item_id.startswith("friction-0")
    }
    after = cluster_map(NEXT_MONDAY + timedelta(1), rest, dumped(result.clusters), dumped(result.members))
    assert not gone & {row.cluster_id for row in after.clusters}


def test_a_cluster_of_new_items_gets_a_new_id(monday) -> None:
    result = cluster_map(
        NEXT_MONDAY,
        window(*three_blobs(), group(7, 30, day=TUESDAY)),
        dumped(monday.clusters),
        dumped(monday.members),
        recluster=True,
    )
    fresh = {row.cluster_id for row in result.clusters if row.change == "new"}
    assert patterns(result)["friction-7-0000"] in fresh
    assert not fresh & {row.cluster_id for row in monday.clusters}


def theme_rows(monday, **names: str) -> tuple[list[dict], list[dict]]:
    """Monday's map with other themes: `names` maps a theme's new id to the first letter of its items' words."""
    letters = {item.item_id: item.text[4] for blob in three_blobs() for item, _ in blob}
    a_theme = next(row for row in dumped(monday.clusters) if row["level"] == "theme")
    members = [
        {**row, "theme_id": next(name for name, held in names.items() if place(row, letters) in held)}
        for row in dumped(monday.members)
    ]
    return [{**a_theme, "cluster_id": name} for name in names], members


def place(row: dict, letters: dict[str, str]) -> str:
    """The blob's letter, upper-case for the second half of its items."""
    letter = letters[row["item_id"]]
    return letter.upper() if int(row["item_id"][-4:]) >= 15 else letter


def test_clusters_that_grew_together_are_merged(monday) -> None:
    clusters, members = theme_rows(monday, c_left="a", c_right="A", c_rest="bBcC")
    result = cluster_map(NEXT_MONDAY, window(*three_blobs()), clusters, members, recluster=True)
    merged = [row for row in result.clusters if row.change == "merged"]
    assert [(row.level, row.previous_ids) for row in merged] == [("theme", ["c_left", "c_right"])]
    assert merged[0].cluster_id in {"c_left", "c_right"}
    assert {row.cluster_id for row in result.clusters if row.change == "gone"} == {"c_left", "c_right"} - {
        merged[0].cluster_id
    }


def test_a_cluster_that_fell_apart_is_split_and_one_part_keeps_its_id(monday) -> None:
    clusters, members = theme_rows(monday, c_whole="aAbBcC")
    result = cluster_map(NEXT_MONDAY, window(*three_blobs()), clusters, members, recluster=True)
    themes = [row for row in result.clusters if row.level == "theme"]
    assert sorted(row.change for row in themes) == ["kept", "split", "split"]
    assert all(row.previous_ids == ["c_whole"] for row in themes)


def test_each_kind_has_a_map_of_its_own(monday) -> None:
    both = window(*three_blobs(), group(0, 30, kind="summary", type_=""))
    result = cluster_map(MONDAY, both, recluster=True)
    kinds = {row.cluster_id: row.kind for row in result.clusters}
    assert all(kinds[row.pattern_id] == row.kind for row in result.members)
    assert set(kinds.values()) == {"friction", "summary"}


def test_the_more_texts_the_finer_the_patterns_between_the_themes_and_a_fixed_end() -> None:
    counts = (50, 200, 300, 3000, 5000, 10_000, 200_000)
    assert [pattern_resolution(count) for count in counts] == [1, 2, 3, 3, 5, 10, 10]
