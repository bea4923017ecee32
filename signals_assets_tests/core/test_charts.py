"""What charts show: one source per type, releases once, circles that do not hide each other, bands for sizes."""

from datetime import timedelta
from math import hypot

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals_assets.core.charts import bubbles, label_rows, lanes, nice_ceiling, rate_series, release_marks
from signals_assets_tests.core.report_example import DAY, NAMES, cluster, days_before, rate, release, ticket


def test_series_prefer_detectors_and_fall_back_to_the_analyst() -> None:
    rows = [rate("correction", 0.2), rate("correction", 0.6, source="analyst"), rate("other", 0.1, source="analyst")]
    assert [(one.type, one.source) for one in rate_series(rows, NAMES, until=DAY)] == [
        ("correction", "detector"),
        ("other", "analyst"),
    ]


def test_series_are_of_all_sessions_within_four_weeks() -> None:
    rows = [
        rate("correction", 0.2, days_before(27)),
        rate("correction", 0.3, days_before(28)),
        rate("correction", 0.4, slice_kind="agent_version", slice="2.4.0"),
        rate("correction", 0.5, DAY + timedelta(days=1)),
    ]
    (series,) = rate_series(rows, NAMES, until=DAY)
    assert [point.value for point in series.weekly] == [0.2]
    assert series.name == "Correction"


def test_a_release_is_marked_once_however_many_types_it_moved() -> None:
    rows = [
        release("correction", "2.4.0", 13, "unchanged", "none"),
        release("error_event", "2.4.0", 13, "regressed", "confirmed"),
        release("error_event", "v7", 3, "unchanged", "none", release_kind="prompt"),
        release("error_event", "2.0.0", 90, "unchanged", "none"),
    ]
    assert [mark.label for mark in release_marks(rows, until=DAY)] == ["2.4.0", "prompt v7"]


@given(st.lists(st.tuples(st.integers(5, 400), st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=14))
def test_circles_stay_in_the_box(found: list[tuple[int, float, float]]) -> None:
    rows = [cluster(n, n % 3, users, x=x, y=y) for n, (users, x, y) in enumerate(found)]
    for bubble in bubbles(rows, {}, "company"):
        assert bubble.radius <= bubble.x <= 100 - bubble.radius
        assert bubble.radius <= bubble.y <= 60 - bubble.radius


def test_circles_at_one_place_are_moved_apart() -> None:
    rows = [cluster(n, 1, 20, x=0.0, y=0.0) for n in range(6)]
    circles = bubbles(rows, {}, "company")
    for position, one in enumerate(circles):
        for other in circles[position + 1 :]:
            assert hypot(one.x - other.x, one.y - other.y) > 0.9 * (one.radius + other.radius)


def test_the_size_of_a_circle_tells_the_band_not_the_count() -> None:
    sizes = {
        users: bubbles([cluster(1, 1, users), cluster(2, 1, 90)], {}, "company")[1].radius for users in (20, 49, 50)
    }
    assert sizes[20] == sizes[49] < sizes[50]


def test_clusters_that_are_gone_or_too_small_are_not_shown() -> None:
    rows = [cluster(1, 1, 40), cluster(2, 1, 40, change="gone"), cluster(3, 1, 4)]
    assert [bubble.label for bubble in bubbles(rows, {}, "company")] == ["friction 001"]


def test_lanes_are_the_newest_tickets_with_what_happened_to_them() -> None:
    rows = [ticket(f"T-{n}", "correction", "open", n) for n in range(20)]
    rows.append(ticket("T-0", "error_event", "merged", 0, merged_on=DAY))
    shown = lanes(rows, NAMES, most=3)
    assert [(lane.name, lane.key) for lane in shown] == [("Error", "T-0"), ("Correction", "T-0"), ("Correction", "T-1")]
    assert shown[0].stages == (("filed", DAY), ("merged", DAY))


@pytest.mark.parametrize(
    ("value", "top"), [(0.0, 0.05), (0.05, 0.05), (0.051, 0.1), (0.41, 0.5), (0.81, 1.0), (1.0, 1.0)]
)
def test_axes_end_at_round_numbers(value: float, top: float) -> None:
    assert nice_ceiling(value) == top


def test_labels_that_would_overlap_go_to_the_next_row_or_are_left_out() -> None:
    assert label_rows([10, 12, 14, 40], [10, 10, 10, 10], rows=2) == [0, 1, None, 0]
