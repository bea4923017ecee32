"""`signals sql`: ask the tables in DuckDB's SQL, while runs go on."""

import click

from signals_assets.cli.printing import json_option, show, write_json
from signals_assets.core.taxonomy import TaxonomyError
from signals_assets.core.taxonomy_sql import as_of_version
from signals_assets.resources import resources_for
from signals_assets.resources.decisions import version_of
from signals_assets.resources.stored_rows import WarehouseError
from signals_assets.resources.warehouse import ParquetWarehouse
from signals_assets.settings import Settings
from signals_assets.zones import ZONES


@click.command()
@click.argument("query", required=False)
@click.option("--init", is_flag=True, help="Print the views, for any DuckDB shell: signals sql --init > views.sql")
@click.option(
    "--zone", "zones", multiple=True, type=click.Choice(ZONES), help="Zones to open (default: not restricted)."
)
@click.option("--taxonomy-version", type=click.IntRange(1), help="As this version knew it (signals taxonomy list).")
@click.option("--limit", default=200, show_default=True, help="Rows to print at the most.")
@json_option
def command(
    query: str | None,
    init: bool,
    zones: tuple[str, ...],
    taxonomy_version: int | None,
    limit: int,
    json_file: str | None,
) -> None:
    """Run one read-only QUERY over views named like the tables (`show tables` lists them)."""
    doors = resources_for(Settings())
    warehouse = doors["warehouse"]
    opened = zones or ("abstracted", "published")
    if init and not isinstance(warehouse, ParquetWarehouse):
        raise click.UsageError("--init is about files; BigQuery's own console shows its tables (signals warehouse ddl)")
    if init:
        click.echo(warehouse.views_sql(zones=opened))
        return
    if not query:
        raise click.UsageError('give a query, e.g. signals sql "select * from friction_rates limit 5"')
    try:
        if taxonomy_version is not None:
            query = as_of_version(query, version_of(doors["ledger"], taxonomy_version))
        table = warehouse.query(query, zones=opened)
    except (TaxonomyError, WarehouseError) as error:
        raise click.ClickException(str(error)) from None
    rows = table.to_pylist()
    write_json(json_file, rows)
    show(
        f"{len(rows)} row{'s' * (len(rows) != 1)}",
        rows[:limit],
        note="" if len(rows) <= limit else f"first {limit} shown",
    )
