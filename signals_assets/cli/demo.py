"""`signals demo`: four weeks of a simulated agent's life, or your own sessions, through the real graph.

Put here: the order of events of the demo. Not here: the graph, the simulation, what is printed (`summary.py`).
"""

import os
import shutil
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from signals_assets.cli.printing import json_option, write_json
from signals_assets.core.readers import READERS
from signals_assets.core.taxonomy import LEDGER_KIND
from signals_assets.resources import decisions
from signals_assets.settings import Settings, UserFrom

CEILINGS = {"error_event": 0.2}
"""What the team of the simulated agent has set as its limit: one session in five."""
PUBLIC_LABELS = ["connection pool exhausted after <number> ms for tenant t-<number>", "query-gateway", "atlas-agent"]
"""What a reviewer of the simulated product would allow to be named in the published zone."""
ONGOING_DAYS = 7
"""Sessions whose newest day is at most so many days ago are taken to go on."""
MARK = "# Written by `signals demo`; removed and made again when the demo runs again.\n"
LEFT_BY_LOOKING = {"schema.parquet", "ledger.db", "ledger.db-wal", "ledger.db-shm", ".lock", "dagster.yaml"}
"""Files that `signals doctor` and other commands leave in a home in which nothing has happened yet."""


class _Path(click.Path):
    """A path that may begin with ~: not every shell expands it in `make demo SESSIONS=~/...`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(str(Path(value).expanduser()), param, ctx)


@click.command()
@click.option("--sessions", type=_Path(exists=True, path_type=Path), help="Your own sessions: a file or folder.")
@click.option("--records", type=_Path(exists=True, file_okay=False, path_type=Path), help="Folder of records.")
@click.option("--format", "session_format", type=click.Choice(list(READERS)), help="Default: recognised by itself.")
@click.option("--audience", type=click.Choice(["self", "team", "company", "public"]), help="Default: self for yours.")
@click.option("--min-steps", type=int, help="Least agentic steps to analyse a session. Default: 0 for yours.")
@click.option("--user-from", help="User where the format knows none: folder:LEVEL, setting:NAME or field:NAME.")
@click.option("--weeks", type=click.IntRange(1), default=4, show_default=True, help="Of the simulation.")
@click.option("--sessions-per-day", type=click.IntRange(1), default=150, show_default=True, help="Of the simulation.")
@click.option("--seed", default=0, show_default=True, help="Of the simulation.")
@json_option
def command(
    sessions: Path | None,
    records: Path | None,
    session_format: str | None,
    audience: str | None,
    min_steps: int | None,
    user_from: str | None,
    weeks: int,
    sessions_per_day: int,
    seed: int,
    json_file: str | None,
) -> None:
    """Run the whole graph on a laptop, without a key or a network, and print what it found."""
    started = time.monotonic()
    origin = _origin(user_from)
    given = Settings()
    if given.ledger_url:
        raise click.ClickException("the demo keeps its own ledger: unset ledger_url (SIGNALS_LEDGER_URL) for it")
    home = given.home.absolute()
    _make_room(home)
    if sessions is None:
        found = _simulated(home, weeks, sessions_per_day, seed, audience or "company", min_steps)
    else:
        found = _own(home, sessions, records, session_format, audience or "self", min_steps or 0, origin)
    click.echo(f'\nDone in {time.monotonic() - started:.0f} s. Next: make ui, or signals sql "show tables".')
    write_json(json_file, found)


def _make_room(home: Path) -> None:
    """Remove what an earlier demo left; refuse to touch anything else."""
    settings = home / "signals.toml"
    if settings.exists() and not settings.read_text().startswith(MARK):
        raise click.ClickException(
            f"{settings} was not written by the demo; set SIGNALS_HOME to another folder for the demo"
        )
    if not settings.exists() and not _untouched(home):
        raise click.ClickException(f"{home} holds something else; set SIGNALS_HOME to another folder for the demo")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    settings.write_text(MARK)  # before anything else: a demo that dies half-way can be run again


def _untouched(home: Path) -> bool:
    """Whether the home is missing or holds only what opening the doors leaves there: no day, no decision."""
    if any(path.is_file() and path.name not in LEFT_BY_LOOKING for path in home.rglob("*")):
        return False
    ledger = home / "restricted" / "ledger.db"
    if not ledger.exists():
        return True
    from signals_assets.resources.ledger import SqlLedger

    opened = SqlLedger(f"sqlite:///{ledger}")
    try:
        return not opened.entries([LEDGER_KIND])
    finally:
        opened.close()


def _origin(user_from: str | None) -> UserFrom:
    """The option's value as a setting. Raises UsageError."""
    if user_from is None:
        return UserFrom()
    kind, _, value = user_from.partition(":")
    if kind not in ("folder", "setting", "field") or not value or (kind == "folder" and not value.isdigit()):
        raise click.UsageError("--user-from wants folder:LEVEL (0 is the first), setting:NAME or field:NAME")
    return UserFrom.model_validate({"kind": kind, "value": value})


def _configure(home: Path, values: dict[str, object]) -> Settings:
    """Write the demo's settings where the UI and every command find them, and read them."""
    lines = [f"{name} = {_toml(value)}" for name, value in values.items() if not isinstance(value, dict)]
    for name, value in values.items():
        if isinstance(value, dict):
            lines += ["", f"[{name}]", *(f"{key} = {_toml(item)}" for key, item in value.items())]
    (home / "signals.toml").write_text(MARK + "\n".join(lines) + "\n")
    os.environ["SIGNALS_HOME"] = str(home)
    return Settings(home=home)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, int | float):
        return str(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _simulated(
    home: Path, weeks: int, sessions_per_day: int, seed: int, audience: str, min_steps: int | None
) -> dict[str, object]:
    from signals_assets.simulation import COMPONENTS, World
    from signals_assets.simulation.developer import decide, read_tickets

    # Whole weeks from Monday to Sunday, the last one over: the same story on whatever day it is told.
    monday = datetime.now(UTC).date() - timedelta(days=datetime.now(UTC).weekday() + 7 * weeks)
    world_folder = home / "simulation"
    settings = _configure(home, {
        "sessions": [str(world_folder / "sessions")],
        "records": str(world_folder / "records"),
        "start_day": monday,
        "end_day": monday + timedelta(days=7 * weeks - 1),
        "audience": audience,
        "allowed_labels": PUBLIC_LABELS,
        **({"selection": {"min_steps": min_steps}} if min_steps is not None else {}),
        "thresholds": {"ceilings": CEILINGS, "act_within_days": 7},  # the demo's sensors tick once a week
        "components": {name: list(parts) for name, parts in COMPONENTS.items()},
    })  # fmt: skip
    from signals_assets.cli import summary
    from signals_assets.cli.instance import Graph

    world = World(seed, sessions_per_day, monday, world_folder)
    graph: Graph | None = None
    for week in range(weeks):
        first = monday + timedelta(days=7 * week)
        last = first + timedelta(days=6)
        click.secho(f"\nWeek {week + 1} of {weeks}: {first} to {last}", bold=True)
        lived = world.step(7)
        click.echo(f"  the agent lived it: {lived.sessions} sessions, {lived.steps} steps")
        graph = graph or Graph(settings)
        click.echo("  Dagster materializes the week")
        graph.materialize(first, last)
        for sensor in ("analysis_collection", "friction_threshold", "fix_tracking"):
            for request in graph.tick(sensor):
                click.echo(f"  sensor {sensor} asked for {request.partition_key}")
        if week < weeks - 1:
            _accept_what_is_new(graph.doors)
            actions = decide(read_tickets(home / "tickets"), world.actions, seed)
            for action in actions:
                click.echo(f"  a developer read {action.ticket_key} and opens a pull request")
            world.developer(actions)
    assert graph is not None
    return summary.print_summary(graph.doors, settings)


def _accept_what_is_new(doors: Mapping[str, Any]) -> None:
    """What a person does who reads the proposals: the first new type of friction is accepted, once.

    Needs and intents wait: somebody else decides about them with `signals taxonomy`.
    """
    taxonomy = decisions.taxonomy_of(doors["ledger"])
    ready = [row for row in decisions.proposals(doors["warehouse"]) if row["ready"] and row["kind"] == "friction"]
    if taxonomy.accepted() or not ready:
        return
    row = ready[0]
    entry, _ = decisions.decide(doors["ledger"], decisions.acceptance(doors["warehouse"], row), author="demo")
    click.echo(f"  a person accepts a new type, seen since {row['first_day']}: signals taxonomy accept {row['slug']}")
    click.echo(f"    from tomorrow its trend begins on its first day; signals taxonomy undo {entry.seq} takes it back")


def _own(
    home: Path,
    sessions: Path,
    records: Path | None,
    session_format: str | None,
    audience: str,
    min_steps: int,
    origin: UserFrom,
) -> dict[str, object]:
    from signals_assets.resources.session_source import FileSessionSource

    click.secho(f"Reading {sessions}", bold=True)
    source = FileSessionSource(
        [sessions.absolute()],
        session_format=session_format,
        user_from=origin,
        agent_name=None,
        spool=home / "restricted" / "spool",
    )
    days = source.days()
    for line in _told(source.skipped()):
        click.echo(f"  {line}")
    if not days:
        raise click.ClickException(f"no session could be read from {sessions}; try --format {'|'.join(READERS)}")
    count = sum(source.counts().values())
    click.echo(f"  {count} sessions on {len(days)} days from {days[0]} to {days[-1]}")
    settings = _configure(home, {
        "sessions": [str(sessions.absolute())],
        **({"records": str(records.absolute())} if records else {}),
        **({"session_format": session_format} if session_format else {}),
        "start_day": days[0],
        # Old sessions have no tomorrow; recent ones go on, and the schedule reads what comes.
        **({"end_day": days[-1]} if (datetime.now(UTC).date() - days[-1]).days > ONGOING_DAYS else {}),
        "audience": audience,
        "selection": {"min_steps": min_steps},
        **({"user_from": origin.model_dump()} if origin.kind != "none" else {}),
    })  # fmt: skip
    from signals_assets.cli import summary
    from signals_assets.cli.instance import Graph

    graph = Graph(settings)
    for first, last in _spans(days):
        click.echo(f"  Dagster materializes {first} to {last}")
        graph.materialize(first, last)
    for sensor in ("analysis_collection", "friction_threshold", "fix_tracking"):
        graph.tick(sensor)
    return summary.print_summary(graph.doors, settings)


def _told(counts: Mapping[str, int]) -> list[str]:
    """What became of the files and records, a line per fate: read, held no step, passed over, set aside."""
    lines = [f"{counts.get('records', 0)} records in {counts.get('files', 0)} files"]
    for prefix, title in (
        ("records_without_step.", "records that are no step"),
        ("files_passed_over.", "files passed over"),
        ("rejected.", "set aside"),
    ):
        found = {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}
        if found:
            ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
            lines.append(f"{title}: " + ", ".join(f"{count} {name}" for name, count in ordered))
    rest = {name for name in counts if "." not in name} - {"files", "records"}
    return lines + [f"{name.replace('_', ' ')}: {counts[name]}" for name in sorted(rest)]


def _spans(days: list[date], quiet: int = 7) -> list[tuple[date, date]]:
    """Ranges that cover all days with sessions and leave out gaps of more than `quiet` days."""
    spans: list[tuple[date, date]] = []
    for day in days:
        if spans and (day - spans[-1][1]).days <= quiet:
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    return spans
