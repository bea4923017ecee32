"""What every section is made from, and what it makes.

Put here: `Day` (the rows at hand), `Section`. Not here: markup (see `markup.py`), what a section says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from signals_assets.core.charts import HISTORY_DAYS, Rows, display_name
from signals_assets.core.landscape import Standing
from signals_assets.core.rereading import Change
from signals_assets.core.taxonomy_history import Decision
from signals_assets.settings import Audience
from signals_assets.tables import TABLES


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report: markup for the page, plain sentences for Slack and the table."""

    id: str
    title: str
    lead: str
    body: str = ""
    lines: Sequence[tuple[str, str]] = field(default_factory=tuple)
    """(sentence, asset it comes from)"""


@dataclass(frozen=True, slots=True)
class Day:
    """The rows at hand: those of the day, and history where a chart needs it."""

    day: date
    tables: Mapping[str, Rows]
    names: Mapping[str, str]
    audience: Audience
    coverage: Mapping[str, Mapping[str, int]]
    changes: Sequence[Change] = ()
    standings: Mapping[str, Standing] = field(default_factory=dict)
    decisions: Sequence[Decision] = ()
    errors: Mapping[str, Mapping[date, float | None]] = field(default_factory=dict)

    def rows(self, table: str) -> Rows:
        """The table's rows as of the day, in the order of their keys: however they were stored, one page results."""
        rows = [row for row in self.tables.get(table, ()) if row["day"] == self.day]
        return sorted(rows, key=lambda row: tuple(str(row[column]) for column in TABLES[table].key))

    def history(self, table: str) -> Rows:
        """The table's rows of the trailing four weeks."""
        first = self.day - timedelta(days=HISTORY_DAYS - 1)
        return [row for row in self.tables.get(table, ()) if first <= row["day"] <= self.day]

    def name(self, type_: str) -> str:
        """A type in words."""
        return display_name(type_, self.names)

    def ceilings(self) -> dict[str, float]:
        """Ceiling by friction type."""
        return {row["type"]: row["ceiling"] for row in self.rows("friction_levels") if row["slice"] == "all"}


FALSE_DISCOVERY: Final = 0.05
"""Share of false discoveries that every family of comparisons is held to."""
