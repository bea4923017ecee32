"""What charts show: one source per type, releases once, a relabelled past, labels that do not overlap."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals_assets.core.charts import label_places, label_rows, lanes, nice_ceiling, rate_series, release_marks
from signals_assets_tests.core.report_example import DAY, NAMES, days_before, rate, release, ticket


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


def test_days_that_were_counted_later_are_marked_as_relabelled() -> None:
    rows = [rate("correction", 0.2, days_before(age)) for age in range(5)]
    past = [{**row, "about_day": row["day"], "day": DAY} for row in rows if row["day"] <= days_before(3)]
    (series,) = rate_series(rows, NAMES, until=DAY, restated=past)
    assert [point.relabelled for point in series.weekly] == [True, True, False, False, False]
    assert series.relabelled == (days_before(4), days_before(3))
    (plain,) = rate_series(rows, NAMES, until=DAY)
    assert plain.relabelled is None


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 60)), max_size=12))
def test_labels_never_lie_on_each_other_and_stay_in_the_box(found: list[tuple[float, float]]) -> None:
    places = label_places(found, 6.0, 3.0)
    for position, (x, y) in enumerate(places):
        assert 3 <= x <= 97
        assert 1.5 <= y <= 58.5
        assert all(abs(x - left) >= 6 or abs(y - top) >= 3 for left, top in places[position + 1 :])


def test_a_label_alone_lies_where_it_belongs() -> None:
    assert label_places([(50.0, 30.0)], 6.0, 3.0) == [(50.0, 30.0)]


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
