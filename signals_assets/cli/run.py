"""`signals run`: materialize a range of days through Dagster, in this process."""

from datetime import datetime, timedelta

import click

from signals_assets.settings import Settings


@click.command()
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), required=True, help="First day (UTC).")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Last day; default: the first.")
@click.option("--days-per-run", default=31, show_default=True, help="Longer ranges are cut into runs of so many days.")
@click.option("--republish", help="Write published days again; the reason is audited.")
def command(first: datetime, last: datetime | None, days_per_run: int, republish: str | None) -> None:
    """Materialize every daily asset from the first to the last day, then let the sensors act once."""
    from signals_assets.cli.instance import Graph
    from signals_assets.metadata import REPUBLISH_TAG

    settings = Settings()
    graph = Graph(settings, lambda step: click.echo(click.style(f"    {step}", dim=True)))
    start, end = first.date(), (last or first).date()
    if end < start:
        raise click.UsageError("--to is before --from")
    tags = {REPUBLISH_TAG: republish} if republish else {}
    if republish:
        graph.doors["ledger"].append("republish", f"{start}:{end}:{republish}", {"reason": republish})
    while start <= end:
        until = min(end, start + timedelta(days=days_per_run - 1))
        click.echo(f"{start} to {until}")
        graph.materialize(start, until, tags)
        start = until + timedelta(days=1)
    for sensor in ("analysis_collection", "friction_threshold", "fix_tracking"):
        for request in graph.tick(sensor):
            click.echo(f"sensor {sensor} asked for {request.partition_key}")
