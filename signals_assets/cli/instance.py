"""The Dagster instance that the demo, `signals run` and the UI share.

Put here: its folder, its configuration, ranged runs in this process with progress, sensors ticked once.
Not here: the graph (see `definitions.py`).
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from signals_assets.resources import resources_for
from signals_assets.settings import Settings

if TYPE_CHECKING:
    import dagster as dg


QUIET: Final[dict[str, Any]] = {"loggers": {"console": {}}}
"""Run configuration that replaces Dagster's console log by one line per step."""


OWN: Final = "# Copied to $DAGSTER_HOME by the launcher"
"""How the dagster.yaml begins that may be written anew; another one is somebody's, and stays."""


def dagster_home(settings: Settings) -> Path:
    """The instance's folder (DAGSTER_HOME, or inside the home), with the project's dagster.yaml where it has none."""
    home = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster").absolute()
    home.mkdir(parents=True, exist_ok=True)
    there = home / "dagster.yaml"
    if not there.exists() or there.read_text().startswith(OWN):
        there.write_text(configuration())
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def configuration() -> str:
    """The text of the project's dagster.yaml, as installed or from the checkout."""
    packaged = resources.files("signals_assets").joinpath("_dagster.yaml")
    if packaged.is_file():
        return packaged.read_text()
    return (Path(__file__).parents[2] / "dagster.yaml").read_text()


def echo_progress(text: str) -> None:
    """The usual way to show progress: dim, as it comes."""
    click.echo(click.style(text, dim=True), nl=False)


class Graph:
    """The code location and its instance, driven from this process: same definitions, same history as the UI."""

    def __init__(self, settings: Settings, progress: Callable[[str], None] = echo_progress) -> None:
        """Open the instance and build the definitions; `progress` gets each piece of what is shown."""
        import dagster as dg

        quiet()
        from signals_assets.definitions import build_defs

        dagster_home(settings)
        self.instance = dg.DagsterInstance.get()
        self.doors = resources_for(settings)
        shared = {name: door for name, door in self.doors.items() if name != "settings"}
        self.definitions = build_defs(settings, loggers={"console": _progress_logger(progress)}, **shared)

    def materialize(
        self, first: date, last: date, tags: Mapping[str, str] | None = None, only: Sequence[str] | None = None
    ) -> "dg.ExecuteInProcessResult":
        """Every daily asset (or `only` some) for every day from `first` to `last`, in one ranged run."""
        import dagster as dg

        from signals_assets.partitions import range_tags

        job = self.definitions.resolve_job_def("flow")
        return job.execute_in_process(
            run_config=QUIET,
            instance=self.instance,
            tags={**range_tags(first, last), **(tags or {})},
            asset_selection=None if only is None else [dg.AssetKey(name) for name in only],
        )

    def tick(self, sensor: str) -> list["dg.RunRequest"]:
        """One tick of a sensor, with and like the daemon's cursor, and its runs executed here."""
        import dagster as dg

        definition = self.definitions.resolve_sensor_def(sensor)
        cursor_key = f"signals/{sensor}"
        cursor = self.instance.daemon_cursor_storage.get_cursor_values({cursor_key}).get(cursor_key)
        with (
            dg.build_sensor_context(
                instance=self.instance,
                cursor=cursor,
                definitions=self.definitions,
                sensor_name=sensor,
                resources=dict(self.doors),
            ) as context,
            dg.partition_loading_context(dynamic_partitions_store=self.instance),
        ):
            result = definition.evaluate_tick(context)
        for request in result.run_requests or []:
            job = self.definitions.resolve_job_def(request.job_name or definition.targets[0].job_name)
            job.execute_in_process(
                run_config={**QUIET, **(request.run_config or {})},
                instance=self.instance,
                partition_key=request.partition_key,
                tags=dict(request.tags),
                asset_selection=list(request.asset_selection) if request.asset_selection else None,
            )
        if result.cursor:
            self.instance.daemon_cursor_storage.set_cursor_values({cursor_key: result.cursor})
        return list(result.run_requests or [])


def quiet() -> None:
    """Dagster announces its own beta parts dozens of times; a person at a terminal cannot do anything about it."""
    import warnings

    from dagster._utils.warnings import BetaWarning, PreviewWarning, SupersessionWarning

    for category in (BetaWarning, PreviewWarning, SupersessionWarning):
        warnings.filterwarnings("ignore", category=category)
    os.environ.setdefault("PYTHONWARNINGS", "ignore:Parameter `")  # processes that this one starts


def _progress_logger(progress: Callable[[str], None]) -> "dg.LoggerDefinition":
    import dagster as dg

    class Steps(logging.Handler):
        """A step's name when it starts, its seconds when it ends; checks are silent unless they fail."""

        def emit(self, record: logging.LogRecord) -> None:
            event = getattr(record, "dagster_meta", {}).get("dagster_event")
            step = (event.step_key or "") if event is not None else ""
            if record.levelno >= logging.ERROR:
                progress(f"\n    {record.getMessage().splitlines()[0][:300]}\n")
            elif event is None or "contract" in step:
                return
            elif event.event_type_value == "STEP_START":
                progress(f"    {step:<34}")
            elif event.event_type_value == "STEP_SUCCESS":
                progress(f"{event.event_specific_data.duration_ms / 1000:6.1f} s\n")

    def steps(_: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("signals.steps", level=logging.DEBUG)
        logger.addHandler(Steps())
        return logger

    return dg.LoggerDefinition(steps, description="One line per step")
