"""The map: who may be seen on it, places that stay, growth by week, and how steady it says it is."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals_assets.core.barrier.thresholds import Size
from signals_assets.core.landscape import Panel, Standing, map_days, newest_members, panels, standings
from signals_assets_tests.core.report_example import DAY, NAMES, behind, cluster, days_before, theme


def shown(rows: list[Any], found: dict[str, Standing] | None = None, audience: Any = "company") -> list[Panel]:
    return panels(DAY, rows, behind(rows) if found is None else found, names=NAMES, audience=audience)


def member(number: int, about: date, **changes: Any) -> dict[str, Any]:
    values = {
        "day": DAY, "item_id": f"i{number}", "kind": "friction", "session_id": f"s{number}",
        "user_id": f"u{number % 40}", "about_day": about, "pattern_id": "p_1", "theme_id": "t_1",
    }  # fmt: skip
    return {**values, **changes}


def counted(members: list[dict[str, Any]], audience: Any = "company", **known: Any) -> dict[str, Standing]:
    organizations = {row["session_id"]: f"o{number % 3}" for number, row in enumerate(members)}
    return standings(members, until=DAY, audience=audience, **{"organizations": organizations, **known})


def test_the_maps_beside_each_other_are_a_week_apart_and_end_with_the_day() -> None:
    assert map_days(date(2026, 3, 29)) == [date(2026, 3, 8), date(2026, 3, 15), date(2026, 3, 22), date(2026, 3, 29)]


def test_what_stays_where_it_was_is_drawn_where_it_was_when_others_come() -> None:
    rows = [theme(1, 60, x=0.3, y=0.1), cluster(1, 1, 40, x=0.1, y=0.2), cluster(2, 1, 40, x=0.9, y=0.8)]
    (before,), (after,) = shown(rows), shown([*rows, cluster(3, 1, 40, x=0.4, y=0.6)])
    places = [{spot.cluster_id: (spot.x, spot.y) for spot in panel.newest.patterns} for panel in (before, after)]
    assert len(places[1]) == 3
    assert places[0].items() <= places[1].items()


def test_all_weeks_of_a_kind_share_one_frame() -> None:
    now = [theme(1, 60), cluster(1, 1, 40, x=0.5, y=0.5), cluster(2, 1, 40, x=2.0, y=1.5)]
    earlier = [{**row, "day": days_before(7)} for row in now]
    earlier[2] |= {"x": -3.0}
    (panel,) = shown([*now, *earlier])
    was, is_now = ({spot.cluster_id: (spot.x, spot.y) for spot in sheet.patterns} for sheet in panel.sheets)
    assert was["C-001"] == is_now["C-001"]
    assert was["C-002"][0] < is_now["C-002"][0]


@given(st.lists(st.tuples(st.integers(5, 400), st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=14))
def test_circles_stay_in_the_box(found: list[tuple[int, float, float]]) -> None:
    rows = [theme(n, users, x=x, y=y) for n, (users, x, y) in enumerate(found)]
    for panel in shown(rows):
        for spot in panel.newest.themes:
            assert spot.radius <= spot.x <= 100 - spot.radius
            assert spot.radius <= spot.y <= 60 - spot.radius


def test_the_size_of_a_circle_tells_the_band_not_the_count() -> None:
    def radius(users: int) -> float:
        (panel,) = shown([theme(1, users), *(theme(n, 400) for n in range(2, 12))])
        return next(spot.radius for spot in panel.newest.themes if spot.cluster_id == "T-001")

    assert radius(20) == radius(49) < radius(50)


def test_clusters_that_are_gone_too_small_or_of_one_organisation_are_not_shown() -> None:
    rows = [cluster(1, 1, 40), cluster(2, 1, 40, change="gone"), cluster(3, 1, 4)]
    (panel,) = shown(rows)
    assert [spot.cluster_id for spot in panel.newest.patterns] == ["C-001"]
    assert shown(rows, behind(rows, organizations=1, largest=80)) == []
    assert shown(rows, {}) == []


def test_nobody_outside_sees_the_map() -> None:
    assert shown([cluster(1, 1, 400)], audience="public") == []


def test_an_earlier_place_of_what_may_not_be_shown_today_is_not_shown_either() -> None:
    rows = [cluster(1, 1, 40), {**cluster(3, 1, 50), "day": days_before(7)}]
    found = {**behind(rows[:1]), "C-003": Standing(Size(2, 3, 1, 3), (None,) * 4)}
    (panel,) = shown(rows, found)
    assert {spot.cluster_id for sheet in panel.sheets for spot in sheet.patterns} == {"C-001"}


@pytest.mark.parametrize(
    ("audience", "names", "label"),
    [
        ("company", NAMES, "mostly correction"),
        ("company", {}, "friction 001"),
        ("self", NAMES, "search, timeout, again"),
        ("company", {"C-001": "Slow search"}, "Slow search"),
    ],
)
def test_a_cluster_is_called_by_what_the_audience_may_read(audience: Any, names: dict[str, str], label: str) -> None:
    rows = [cluster(1, 1, 40)]
    (panel,) = panels(DAY, rows, behind(rows), names=names, audience=audience)
    assert panel.newest.patterns[0].label == label


def test_steadiness_counts_who_kept_the_id_and_how_far_they_moved() -> None:
    now = [cluster(n, 1, 40, x=float(n), y=0.0) for n in range(4)]
    earlier = [{**row, "day": days_before(7), "x": row["x"] + 0.2} for row in now[:3]]
    (panel,) = shown([*now, *earlier])
    assert panel.steadiness is not None
    assert (panel.steadiness.kept, panel.steadiness.patterns) == (3, 4)
    assert panel.steadiness.moved == 0.2  # they lie 1, 1 and 2 apart: the usual distance is 1
    assert shown(now)[0].steadiness is None


def test_each_item_counts_once_where_it_belongs_now() -> None:
    rows = [member(1, DAY, theme_id="t_2"), member(1, DAY, day=days_before(3)), member(2, DAY)]
    assert [(row["item_id"], row["theme_id"]) for row in newest_members(rows)] == [("i1", "t_2"), ("i2", "t_1")]


def test_growth_is_the_share_of_each_weeks_sessions_with_what_few_met_left_out() -> None:
    grows = [member(n, DAY - timedelta(days=7), theme_id="t_1") for n in range(15)]
    grows += [member(100 + n, DAY, theme_id="t_1") for n in range(40)]
    grows += [member(200 + n, days_before(20), theme_id="t_1") for n in range(3)]
    others = [
        member(1000 + 100 * week + n, days_before(7 * week), theme_id="t_2", user_id=f"v{n}")
        for week in range(4) for n in range(60)
    ]  # fmt: skip
    found = counted([*grows, *others])["t_1"]
    assert found.weekly == (None, None, 0.2, 0.4)  # nobody; 3 are too few; 15 of 75; 40 of 100
    assert found.size == Size(users=40, sessions=58, organizations=3, largest=20)


def test_a_theme_that_nearly_everybody_is_in_tells_as_little_as_one_of_nobody() -> None:
    assert counted([member(n, DAY) for n in range(40)])["t_1"].weekly == (None,) * 4


def test_sessions_without_a_user_count_as_one_users() -> None:
    assert counted([member(n, DAY, user_id=None) for n in range(40)])["t_1"].size.users == 1


def test_a_theme_is_mostly_of_a_type_when_half_of_its_items_and_enough_users_are() -> None:
    members = [member(n, DAY) for n in range(40)]
    half = {row["item_id"]: "correction" for row in members[:20]} | {"i30": "error_event"}
    assert counted(members, types=half)["t_1"].mostly == "correction"
    assert counted(members, types=dict(list(half.items())[:19]))["t_1"].mostly is None
    of_few = [member(n, DAY, user_id=f"u{n % 4}") for n in range(40)]
    assert counted(of_few, types=half)["t_1"].mostly is None
