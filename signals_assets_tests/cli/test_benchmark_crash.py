"""What `signals benchmark crash` prints: every figure that it names is there, whatever the lives were."""

from signals_assets.benchmarks import crash
from signals_assets.cli import benchmark


def test_every_figure_that_is_counted_in_a_life_is_printed_under_the_name_it_is_counted_by():
    counted = set(crash.COUNTS)
    assert all(name.isidentifier() for name in counted)
    assert {"runs", "failed_runs", "failed_looks"} <= counted & set(benchmark._CRASH_FIGURES)
