"""Stage 9: the day's report as a page, as Slack blocks, and as rows; nothing in it was written by a model.

Put here: `build`, the order of the sections, one module per section beside it.
Not here: charts (see `core/charts.py`, `core/svg.py`), the page's looks (`core/report.css`), posting it
(`resources/notifier.py`).

Reads rows of the published tables as stored, and some of the abstracted zone (`clusters` and its members,
`taxonomy_proposals`, `taxonomy_reviews`), of which only bands, opaque ids and names that a person accepted leave; the
audience `self` sees their words.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from signals_assets.core.charts import HISTORY_DAYS, Rows
from signals_assets.core.landscape import Standing
from signals_assets.core.report.categories import categories
from signals_assets.core.report.covered import coverage_and_cost, rounded_counts
from signals_assets.core.report.day import Day, Section
from signals_assets.core.report.emerging import what_is_new
from signals_assets.core.report.forms import blocks_of, page_of, rows_of
from signals_assets.core.report.headline import headline_of
from signals_assets.core.report.intents import what_users_came_for
from signals_assets.core.report.landscape import the_map
from signals_assets.core.report.loop import tickets_and_fixes
from signals_assets.core.report.methods import methods
from signals_assets.core.report.rates import what_delighted, what_hurts
from signals_assets.core.report.readers import how_readers_agree
from signals_assets.core.report.reading import how_to_read
from signals_assets.core.report.releases import what_changed
from signals_assets.core.report.sequences import backend_errors, early_signs
from signals_assets.core.rereading import Change
from signals_assets.core.taxonomy_history import Decision
from signals_assets.settings import Audience
from signals_assets.tables import DailyReport

SECTIONS: Final[tuple[Callable[[Day], Section], ...]] = (
    what_hurts, what_changed, backend_errors, early_signs, what_is_new, the_map, categories, what_delighted,
    tickets_and_fixes, what_users_came_for, how_readers_agree, coverage_and_cost, how_to_read, methods,
)  # fmt: skip
"""In the order of the page."""


@dataclass(frozen=True, slots=True)
class Report:
    """The day's report in its three forms, and the sentence on top of all of them."""

    html: str
    blocks: list[dict[str, object]]
    rows: list[DailyReport]
    headline: str


def build(
    day: date,
    tables: Mapping[str, Rows],
    names: Mapping[str, str],
    audience: Audience,
    coverage: Mapping[str, Mapping[str, int]],
    changes: Sequence[Change] = (),
    standings: Mapping[str, Standing] | None = None,
    decisions: Sequence[Decision] = (),
    errors: Mapping[str, Mapping[date, float | None]] | None = None,
) -> Report:
    """The report of `day`.

    `tables`: rows by table name, as stored; `friction_rates`, `release_correlations` and `reader_agreement` with the
    four weeks before, others of the day (other days are left out). A table that is not there is an empty section that
    says so. `names`: taxonomy type, or accepted cluster, -> its name. `coverage`: stage -> `Coverage.as_dict()`, or
    other counts by name, which are shown to tens (as they are for the audience `self`); stage `cost` holds `cost_of`.
    `changes`: of the analyst's model or prompt. `standings`: what the map's clusters rest on.
    `decisions`: the taxonomy's history. `errors`: template id -> day -> share of sessions, or None for few.
    """
    if audience == "public":  # nothing but what left with noise
        tables, coverage, changes = {"friction_rates": tables.get("friction_rates", ())}, {}, ()
        standings, decisions, errors = {}, (), {}
    recent = [change for change in changes if day - timedelta(days=HISTORY_DAYS) < change.day <= day]
    at = Day(
        day,
        tables,
        names,
        audience,
        rounded_counts(coverage, audience),
        recent,
        standings or {},
        decisions,
        errors or {},
    )
    headline = headline_of(at)
    sections = [section(at) for section in SECTIONS]
    return Report(
        page_of(at, headline, sections), blocks_of(at, headline, sections), rows_of(at, headline, sections), headline
    )
