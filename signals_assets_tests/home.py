"""A home for tests of the graph: settings in a folder, embedded doors, the real definitions, an instance in memory."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Self

import dagster as dg

from signals_assets.definitions import build_defs
from signals_assets.partitions import FRICTION_TYPES, between, range_tags
from signals_assets.resources import resources_for
from signals_assets.settings import Settings
from signals_assets.tables import TABLES, Row
from signals_assets_tests.fakes.embedder import HashEmbedder

KEY = "one key, so that two homes give the same pseudonyms"
QUIET = {"loggers": {"console": {}}}

Tables = dict[str, dict[date, list[dict[str, Any]]]]


@dg.logger(description="Says nothing: failures are asserted on, not read.")
def silent(_: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.Logger("signals.tests")
    logger.addHandler(logging.NullHandler())
    return logger


class Home:
    """Everything that a run needs, in one folder. `doors` replace single doors; other names are settings."""

    def __init__(
        self, folder: Path, world: Path | None = None, doors: Mapping[str, Any] | None = None, **settings: Any
    ) -> None:
        sources = {"sessions": [world / "sessions"], "records": world / "records"} if world else {}
        values = {"audience": "team", "compute": "serial", "selection": {"min_steps": 0}, "pseudonym_key": KEY}
        self.folder, self.world, self.given = folder, world, settings
        self.settings = Settings(home=folder, **(sources | values | settings))
        self.doors = resources_for(self.settings, **({"embedder": HashEmbedder()} | dict(doors or {})))
        opened = {name: door for name, door in self.doors.items() if name != "settings"}
        self.definitions = build_defs(self.settings, loggers={"console": silent}, **opened)
        self.instance = dg.DagsterInstance.ephemeral()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.instance.dispose()

    @property
    def warehouse(self) -> Any:
        return self.doors["warehouse"]

    @property
    def ledger(self) -> Any:
        return self.doors["ledger"]

    def copy(self, folder: Path, doors: Mapping[str, Any] | None = None, **settings: Any) -> "Home":
        """The same home in another folder, with an instance that knows the friction types and has no history."""
        shutil.copytree(self.folder, folder)
        home = Home(folder, self.world, doors, **(self.given | settings))
        types = self.instance.get_dynamic_partitions(FRICTION_TYPES.name)
        home.instance.add_dynamic_partitions(FRICTION_TYPES.name, types)
        return home

    def materialize(
        self,
        first: date,
        last: date | None = None,
        *,
        only: Sequence[str] | None = None,
        tags: Mapping[str, str] | None = None,
        fails: bool = False,
    ) -> dg.ExecuteInProcessResult:
        """The daily graph (or `only` some assets of it) in one run: of a day by its key, of several as a range."""
        job = self.definitions.resolve_job_def("flow")
        days: dict[str, Any] = {"partition_key": first.isoformat(), "tags": dict(tags or {})}
        if last is not None:
            days = {"tags": {**range_tags(first, last), **(tags or {})}}
        result = job.execute_in_process(
            run_config=QUIET,
            instance=self.instance,
            asset_selection=[dg.AssetKey(name) for name in only] if only else None,
            raise_on_error=not fails,
            **days,
        )
        assert result.success is not fails
        return result

    def tick(self, sensor: str, cursor: str | None = None) -> Any:
        """One tick of a sensor; runs nothing."""
        definition = self.definitions.resolve_sensor_def(sensor)
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
            return definition.evaluate_tick(context)

    def run(self, request: dg.RunRequest, job: str = "act") -> dg.ExecuteInProcessResult:
        """The run that a sensor asked for."""
        return self.definitions.resolve_job_def(job).execute_in_process(
            run_config=QUIET, instance=self.instance, partition_key=request.partition_key, tags=dict(request.tags)
        )

    def rows(self, model: type[Row], *days: date) -> list[dict[str, Any]]:
        """Stored rows of the days (all days where none is given), in the order of their keys."""
        stored = self.warehouse.read(model, list(days) or self.warehouse.days(model)).to_pylist()
        return sorted(stored, key=lambda row: (row["day"], *(str(row[name]) for name in model.key)))

    def tables(self, first: date, last: date) -> Tables:
        """Every table's rows by day; a day that is not stored is missing."""
        days = list(between(first, last))
        return {
            name: {day: self.rows(model, day) for day in self.warehouse.days(model) if day in days}
            for name, model in TABLES.items()
        }

    def metadata(self, table: str, day: date) -> dict[str, Any]:
        """What the newest materialization of the day says, as plain values."""
        records = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(table), asset_partitions=[day.isoformat()]), limit=1
        ).records
        materialization = records[0].asset_materialization
        assert materialization is not None
        return {name: value.value for name, value in materialization.metadata.items()}

    def tickets(self) -> list[Path]:
        """The ticket files."""
        return sorted((self.folder / "tickets").glob("SIG-*.md"))


def failures(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Failed steps and what they say."""
    return {
        str(event.step_key): str(event.event_specific_data.error.to_string())  # type: ignore[union-attr]
        for event in result.all_events
        if event.is_step_failure
    }
