from datetime import timedelta
from typing import Any

from signals_assets.core import taxonomy
from signals_assets.core.discovery_evidence import frozen_centre
from signals_assets.core.discovery_reviews import SILENT_DAYS, reviews
from signals_assets_tests.core.discovery_factories import MONDAY, dumped, group, window
from signals_assets_tests.core.test_discovery_labels import after

TODAY = MONDAY + timedelta(27)
WEEK = TODAY - timedelta(6)


def review(*groups: list, slug: str = "correction", kind: str = "friction", **fields: Any) -> Any:
    known = fields.pop("taxonomy", taxonomy.seed())
    rows = reviews(fields.pop("day", TODAY), window(*groups), known, audience="company", **fields)
    (row,) = [row for row in rows if (row.kind, row.slug) == (kind, slug)]
    return row


def test_every_category_that_was_ever_seen_has_a_row_of_its_size() -> None:
    seen = window(group(0, 40, type_="correction", days=28), group(1, 5, type_="backtracking"))
    rows = reviews(TODAY, seen, taxonomy.seed(), audience="company")
    assert [(row.kind, row.slug) for row in rows] == [("friction", "backtracking"), ("friction", "correction")]
    assert [(row.items, row.users, row.sessions) for row in rows] == [(5, 5, 5), (40, 10, 40)]
    assert rows[1].last_day == TODAY
    later = reviews(TODAY, window(), taxonomy.seed(), (), dumped(rows), audience="company")
    assert [(row.slug, row.items) for row in later] == [("backtracking", 0), ("correction", 0)]


def test_a_category_whose_items_stay_where_they_were_means_the_same() -> None:
    row = review(group(0, 200, type_="correction", days=28))
    assert row.same_meaning is not None
    assert row.same_meaning > 0.97
    assert not row.drifts


def test_a_category_whose_items_move_away_is_flagged() -> None:
    row = review(group(0, 100, type_="correction", days=21), group(1, 40, type_="correction", day=WEEK, days=7))
    assert row.drifts
    assert (row.same_meaning or 0) < 0.85


def test_of_a_few_items_nothing_is_said() -> None:
    assert (
        review(group(0, 100, type_="correction", days=21), group(1, 10, type_="correction", day=WEEK)).same_meaning
        is None
    )


def test_an_accepted_category_is_measured_by_its_frozen_definition() -> None:
    founding = group(5, 30)
    centre = frozen_centre(window(founding).vectors, "a-model")
    accept = {
        "action": "accept",
        "kind": "friction",
        "slug": "shifted_dates",
        "name": "Shifted dates",
        "centre": centre,
    }
    moved = group(6, 40, type_="shifted_dates", day=WEEK, days=7)
    row = review(moved, slug="shifted_dates", taxonomy=after(accept), embedder="a-model")
    assert row.drifts
    still = group(5, 40, type_="shifted_dates", day=WEEK, days=7, start=100)
    assert not review(still, slug="shifted_dates", taxonomy=after(accept), embedder="a-model").drifts


def test_what_was_seen_once_and_no_more_for_four_weeks_is_proposed_for_retirement() -> None:
    before = review(group(0, 10, type_="correction"), day=MONDAY + timedelta(20))
    assert (before.last_day, before.retire) == (MONDAY, False)
    later = review(day=MONDAY + timedelta(28), previous=dumped([before]))
    assert (later.last_day, later.retire, later.reason) == (MONDAY, True, "no_longer_occurs")


def test_what_tells_nothing_for_two_weeks_is_proposed_unless_it_is_built_in() -> None:
    items = group(5, 60, type_="shifted_dates", days=28, users=30)
    known = {item.session_id: ("bug fix", "success" if n % 2 else "partial") for n, (item, _) in enumerate(items)}
    known |= {f"s-o-{n}": ("bug fix", "success" if n % 2 else "partial") for n in range(60)}
    accept = {"action": "accept", "kind": "friction", "slug": "shifted_dates", "name": "Shifted dates"}
    fields: dict[str, Any] = {"slug": "shifted_dates", "taxonomy": after(accept), "facts": known}
    row = review(items, **fields)
    assert (row.explains, row.silent_days, row.retire) == (0.0, 1, False)
    row = review(items, previous=[row.model_dump() | {"silent_days": SILENT_DAYS - 1}], **fields)
    assert (row.retire, row.reason) == (True, "tells_nothing")
