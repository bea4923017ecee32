"""`signals report`: where the newest report is, and its first lines."""

import click

from signals_assets.cli.printing import NO_DAY, json_option, show, write_json
from signals_assets.resources import resources_for
from signals_assets.settings import Settings

_NEWEST = """
select day, section, headline from daily_report where day = (select max(day) from daily_report) order by position
"""


@click.command()
@json_option
def command(json_file: str | None) -> None:
    """Print the newest day's headlines and the path of its page."""
    settings = Settings()
    rows = resources_for(settings)["warehouse"].query(_NEWEST).to_pylist()
    write_json(json_file, rows)
    show("Daily report", rows, empty=NO_DAY)
    page = settings.home / "reports" / "latest.html"
    if page.exists():
        click.echo(str(page))
