"""`signals backfill`: many days through Dagster, in this process, going on where an earlier call was stopped.

Put here: which days and tables are left, cutting them into runs. Not here: one run (see `instance.py`), the graph.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import click

from signals_assets.cli.run import act, days_asked
from signals_assets.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

    from signals_assets.resources.warehouse import Warehouse

LAST_TABLE: Final = "daily_report"
"""Every other table is upstream of it: a day that has it is finished, even when its raw text has expired since."""


@click.command()
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), required=True, help="First day (UTC).")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), required=True, help="Last day.")
@click.option("--days-per-run", default=31, show_default=True, help="Days are cut into runs of so many.")
@click.option("--again", is_flag=True, help="Do finished days again, too. Published rows are compared and kept.")
def command(first: datetime, last: datetime, days_per_run: int, again: bool) -> None:
    """Materialize what is left of the days from the first to the last, then let the sensors act once.

    Finished days are passed over, and of a run that was stopped the tables that it finished: the same command goes on.
    """
    settings = Settings()
    start, end = days_asked(settings, first.date(), last.date(), None)
    from signals_assets.cli.instance import Graph
    from signals_assets.partitions import between

    graph = Graph(settings)
    warehouse = graph.doors["warehouse"]
    wanted = list(between(start, end))
    done = set() if again else finished(graph.instance, warehouse)
    left = [day for day in wanted if day not in done]
    click.echo(f"{len(wanted)} days, {len(wanted) - len(left)} of them finished before")
    for days in runs(left, days_per_run):
        only = None if again else unfinished(graph.instance, warehouse, days)
        click.echo(f"{days[0]} to {days[-1]}" + (f", {len(only)} tables left" if only else ""))
        graph.materialize(days[0], days[-1], only=only)
    act(graph)


def runs(days: Sequence[date], most: int) -> Iterator[list[date]]:
    """The days, ascending, in pieces of at most `most` days that follow each other without a gap."""
    piece: list[date] = []
    for day in days:
        if piece and (len(piece) == most or day - piece[-1] > timedelta(days=1)):
            yield piece
            piece = []
        piece.append(day)
    if piece:
        yield piece


def finished(instance: "dg.DagsterInstance", warehouse: "Warehouse") -> set[date]:
    """Days whose last table is stored, and known to Dagster."""
    return _done(instance, warehouse, LAST_TABLE)


def unfinished(instance: "dg.DagsterInstance", warehouse: "Warehouse", days: Sequence[date]) -> list[str]:
    """Tables that lack one of the days, in the warehouse or in Dagster's history (a run killed between the two)."""
    from signals_assets.tables import TABLES

    return [name for name in TABLES if not _done(instance, warehouse, name).issuperset(days)]


def _done(instance: "dg.DagsterInstance", warehouse: "Warehouse", table: str) -> set[date]:
    import dagster as dg

    from signals_assets.tables import TABLES

    known = instance.get_materialized_partitions(dg.AssetKey(table))
    return {day for day in warehouse.days(TABLES[table]) if day.isoformat() in known}
