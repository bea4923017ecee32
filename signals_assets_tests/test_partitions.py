"""Days of the settings, of a run, of a window."""

from datetime import UTC, date, datetime

import dagster as dg
import pytest

from signals_assets.partitions import between, daily, days_of, days_of_run, range_tags, today, window
from signals_assets.settings import Settings

FIRST, LAST = date(2026, 1, 5), date(2026, 1, 8)


def keys(**settings: object) -> list[str]:
    with dg.partition_loading_context(effective_dt=datetime(2026, 1, 10, 12, tzinfo=UTC)):
        return list(daily(Settings(**settings)).get_partition_keys())


def test_days_go_from_the_settings_first_to_yesterday():
    assert keys(start_day=FIRST) == [f"2026-01-0{day}" for day in range(5, 10)]


def test_the_last_day_of_the_settings_is_included():
    assert keys(start_day=FIRST, end_day=LAST) == [f"2026-01-0{day}" for day in range(5, 9)]
    assert keys(start_day=FIRST, end_day=FIRST) == ["2026-01-05"]


def test_between_includes_both_ends_and_is_empty_backwards():
    assert list(between(FIRST, LAST)) == [date(2026, 1, day) for day in range(5, 9)]
    assert list(between(FIRST, FIRST)) == [FIRST]
    assert list(between(LAST, FIRST)) == []


def test_a_window_ends_with_its_day_across_months():
    assert window(date(2026, 3, 2), 4) == [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2)]
    assert window(FIRST, 1) == [FIRST]
    assert window(FIRST, 0) == []


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (range_tags(FIRST, LAST), list(between(FIRST, LAST))),
        (range_tags(FIRST, FIRST), [FIRST]),
        ({"dagster/partition": "2026-01-05"}, [FIRST]),
        ({"dagster/partition": "error_event"}, []),  # an acting run is not for days
        ({}, []),
    ],
)
def test_a_run_knows_its_days_by_its_tags(tags: dict[str, str], expected: list[date]):
    with dg.DagsterInstance.ephemeral() as instance:

        @dg.job
        def anything() -> None: ...

        run = instance.create_run_for_job(anything, tags=tags)
        assert days_of_run(run) == expected


def test_an_asset_goes_through_its_days_in_order():
    context = dg.build_asset_context(partition_key_range=dg.PartitionKeyRange("2026-01-05", "2026-01-08"))
    seen: list[date] = []

    @dg.asset(partitions_def=daily(Settings(start_day=FIRST)), backfill_policy=dg.BackfillPolicy.single_run())
    def some_table(context: dg.AssetExecutionContext) -> None:
        seen.extend(days_of(context))

    some_table(context)
    assert seen == list(between(FIRST, LAST))


def test_today_is_the_date_in_utc():
    assert today() in {datetime.now(UTC).date()}
