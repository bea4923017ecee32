"""PNG pictures: small, the same for the same rows, and never without an answer."""

import struct
from typing import Any

import pytest

from signals_assets.core import pictures
from signals_assets.core.landscape import Panel, panels
from signals_assets_tests.core.report_example import DAY, LEVELS, NAMES, behind, example, severity


def sheets(clusters: list[dict[str, Any]], audience: Any = "company") -> list[Panel]:
    return panels(DAY, clusters, behind(clusters), names=NAMES, audience=audience)


EVENTS = [
    severity(number, type_, ("low", "medium", "high")[number % 3])
    for position, type_ in enumerate(LEVELS)
    for number in range(40 * position, 40 * position + 40)
]

DRAWN = {
    "rates": lambda t: pictures.rates_over_time(t["friction_rates"], t["release_correlations"], until=DAY, names=NAMES),
    "severity": lambda t: pictures.severity_by_type(EVENTS if t["clusters"] else [], names=NAMES),
    "map": lambda t: pictures.cluster_map(sheets(t["clusters"], audience="self")),
    "loop": lambda t: pictures.loop(t["ticket_states"], until=DAY, names=NAMES),
    "bars": lambda t: pictures.row_bars(["one", "two"] if t["clusters"] else [], [0.2, 0.1] if t["clusters"] else []),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_small_and_as_wide_as_all_others(name: str) -> None:
    png = DRAWN[name](example())
    assert png.startswith(b"\x89PNG")
    assert len(png) <= 100_000
    assert struct.unpack(">I", png[16:20]) == (pictures.WIDTH,)


@pytest.mark.parametrize("name", ["severity", "map", "loop", "bars"])
def test_equal_rows_give_equal_bytes_with_nothing_of_the_machine_in_them(name: str) -> None:
    png = DRAWN[name](example())
    assert png == DRAWN[name](example())
    assert b"atplotlib" not in png
    assert b"tIME" not in png


@pytest.mark.parametrize("name", DRAWN)
def test_no_rows_give_a_picture_that_says_so(name: str) -> None:
    empty = {table: [] for table in example()}
    assert DRAWN[name](empty).startswith(b"\x89PNG")


def test_severities_are_of_detectors_where_they_have_the_type() -> None:
    of_detectors = [severity(number, "correction", "high") for number in range(40)]
    of_both = [*of_detectors, *(severity(n, "correction", "low", source="analyst") for n in range(40, 80))]
    assert pictures.severity_by_type(of_both) == pictures.severity_by_type(of_detectors)


def test_shares_of_severity_are_rounded_so_that_one_event_does_not_show() -> None:
    def drawn(high: int) -> bytes:
        found = ["high"] * high + ["low"] * (20 - high)
        return pictures.severity_by_type([severity(n, "correction", one) for n, one in enumerate(found)])

    assert len({drawn(high) for high in range(21)}) <= 12  # steps of a tenth, not one picture per event


def test_the_map_draws_codes_and_no_words_of_clusters() -> None:
    clusters = example()["clusters"]
    wordless = [{**row, "terms": []} for row in clusters]
    assert pictures.cluster_map(sheets(clusters)) == pictures.cluster_map(sheets(wordless))
