"""`signals run`: materialize a range of days through Dagster, in this process."""

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import click

from signals_assets.settings import Settings

if TYPE_CHECKING:
    from signals_assets.cli.instance import Graph


@click.command()
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="First day (UTC).")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Last day; default: the first.")
@click.option(
    "--last", "newest", type=click.IntRange(1), help="Instead of --from and --to: so many days up to the newest."
)
@click.option("--days-per-run", default=31, show_default=True, help="Longer ranges are cut into runs of so many days.")
@click.option("--allow-shrink", is_flag=True, help="Let sessions go that the source no longer has.")
@click.option("--republish", help="Write published days again; the reason is audited.")
def command(
    first: datetime | None,
    last: datetime | None,
    newest: int | None,
    days_per_run: int,
    allow_shrink: bool,
    republish: str | None,
) -> None:
    """Materialize every daily asset from the first to the last day, then let the sensors act once."""
    settings = Settings()
    start, end = days_asked(settings, first and first.date(), last and last.date(), newest)
    from signals_assets.cli.instance import Graph
    from signals_assets.metadata import REPUBLISH_TAG, SHRINK_TAG

    graph = Graph(settings)
    tags = {REPUBLISH_TAG: republish} if republish else {}
    tags |= {SHRINK_TAG: "yes"} if allow_shrink else {}
    if republish:
        number = len(graph.doors["ledger"].entries(["republish"])) + 1
        days = f"{start}:{end}"
        graph.doors["ledger"].append("republish", f"{number}:{days}", {"days": days, "reason": republish})
    while start <= end:
        until = min(end, start + timedelta(days=days_per_run - 1))
        click.echo(f"{start} to {until}")
        graph.materialize(start, until, tags)
        start = until + timedelta(days=1)
    act(graph)


def act(graph: "Graph") -> None:
    """One tick of each sensor that acts on new days, with its runs."""
    for sensor in ("analysis_collection", "friction_threshold", "fix_tracking"):
        for request in graph.tick(sensor):
            click.echo(f"sensor {sensor} asked for {request.partition_key}")


def days_asked(settings: Settings, first: date | None, last: date | None, newest: int | None) -> tuple[date, date]:
    """The days that were asked for. Raises UsageError where they are contradictory or not days of the partitions."""
    known = settings.end_day or datetime.now(UTC).date() - timedelta(days=1)
    if (first is None) == (newest is None) or (newest is not None and last is not None):
        raise click.UsageError("give --from DAY (and --to DAY), or --last N")
    if first is None:
        assert newest is not None
        return max(settings.start_day, known - timedelta(days=newest - 1)), known
    end = last or first
    if end < first:
        raise click.UsageError("--to is before --from")
    if first < settings.start_day or end > known:
        raise click.UsageError(
            f"days go from {settings.start_day} to {known}; start_day and end_day in signals.toml move these bounds"
        )
    return first, end
