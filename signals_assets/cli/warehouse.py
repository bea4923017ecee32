"""`signals warehouse`: what the BigQuery warehouse is made of, printed or made."""

from typing import TYPE_CHECKING

import click

from signals_assets.cli.printing import json_option, show, write_json
from signals_assets.settings import Settings

if TYPE_CHECKING:
    from signals_assets.resources.bigquery import BigQueryWarehouse


@click.group()
def command() -> None:
    """Datasets, tables, views and rights of the warehouse in BigQuery (settings: bigquery.*)."""


@command.command()
@json_option
def ddl(json_file: str | None) -> None:
    """Print every dataset, table and view as SQL, with who may read what; asks nobody and makes nothing."""
    layout = _opened().layout
    statements, matrix = list(layout.statements()), layout.matrix()
    views = {name: [view.table_id for view in views] for name, views in layout.authorised().items()}
    write_json(json_file, {"statements": statements, "who": matrix, "authorised_views": views})
    for statement in statements:
        click.echo(f"{statement};\n")
    click.echo("-- Who may do what:")
    for row in matrix:
        click.echo(f"--   {row['dataset']}: {row['who']} has {row['role']}")
    click.echo("-- Views that may read a dataset for people who may not (warehouse setup authorises them; SQL cannot):")
    for name, names in views.items():
        click.echo(f"--   {name}: {', '.join(names) or 'none'}")


@command.command()
@json_option
def setup(json_file: str | None) -> None:
    """Make what is missing of it and set the rights; may be repeated, deletes no table."""
    made = _opened().set_up()
    write_json(json_file, {"datasets": made})
    show("Datasets", [{"dataset": name} for name in made])


def _opened() -> "BigQueryWarehouse":
    """The warehouse in BigQuery, whichever warehouse is in use."""
    from signals_assets.resources import bigquery_warehouse

    opened: BigQueryWarehouse = bigquery_warehouse(Settings())
    return opened
