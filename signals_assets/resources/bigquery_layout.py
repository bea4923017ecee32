"""BigQuery: where tables lie and what they look like, as objects of the client and as printed statements.

Put here: datasets, schemas, partitions, clustering, views for outside, who may read what.
Not here: rows (see `bigquery.py`), what a column means (see `tables.py`).

    <prefix>_restricted, _abstracted, _published    a dataset for each zone with the tables of its models
    <prefix>_shared                                 a view of every published table, for readers outside
    <prefix>_counts                                 `user_days` for people who may count but not read rows: BigQuery
                                                    answers only groups of enough users (aggregation threshold)

A table is partitioned by `day` and clustered by the first plain columns of its key. Three columns are the store's
own: `stored_order` (BigQuery keeps no order of rows), `stored_on` (when the day was written; an erasure does not move
it) and `stored_as` (which write it was). A day without rows has no partition: `empty_days` knows it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from google.cloud import bigquery as bq

from signals_assets.resources.bigquery_connection import APPLICATION
from signals_assets.tables import TABLES, Row, UserDay, arrow_schema
from signals_assets.zones import ZONES, Zone

PARTITION: Final = "day"
EMPTY_DAYS: Final = "empty_days"
CLUSTERED_BY: Final = 4
"""BigQuery's limit."""
TIME_TRAVEL_HOURS: Final = 48
"""How long a deleted row can be brought back: the least that BigQuery allows."""

OWN_FIELDS: Final = (
    pa.field("stored_order", pa.int64(), nullable=False, metadata={"description": "Place of the row in its day."}),
    pa.field("stored_on", pa.date32(), nullable=False, metadata={"description": "UTC date the day was written on."}),
    pa.field("stored_as", pa.string(), nullable=False, metadata={"description": "The write that the row came with."}),
)

_TYPES: Final = (
    (pa.types.is_string, "STRING"),
    (pa.types.is_boolean, "BOOLEAN"),
    (pa.types.is_integer, "INTEGER"),
    (pa.types.is_floating, "FLOAT"),
    (pa.types.is_date, "DATE"),
    (pa.types.is_timestamp, "TIMESTAMP"),
)
SQL_TYPES: Final = {"BOOLEAN": "BOOL", "INTEGER": "INT64", "FLOAT": "FLOAT64"}
"""Names of types in SQL, where they are others than in the API."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who may read, as IAM writes them (`group:analysts@example.com`); empty: nobody but the project's owners."""

    writer: str = ""
    analysts: str = ""
    readers: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """Names and shapes for one project and prefix; `least_users`: the threshold of `<prefix>_counts`, 0: no view."""

    project: str
    prefix: str
    location: str
    least_users: int
    who: Audience = Audience()

    # --- names

    def dataset(self, part: str) -> str:
        """The dataset of a zone, or `shared`, or `counts`."""
        return f"{self.prefix}_{part}"

    def name(self, model: type[Row]) -> str:
        """`project.dataset.table`."""
        return self.path(model.zone, model.table)

    def path(self, part: str, table: str) -> str:
        """The same for any table of a dataset."""
        return f"{self.project}.{self.dataset(part)}.{table}"

    # --- objects of the client

    def datasets(self) -> list[bq.Dataset]:
        """Every dataset with its readers, zones first."""
        made = []
        for part in (*ZONES, "shared", "counts"):
            dataset = bq.Dataset(f"{self.project}.{self.dataset(part)}")
            dataset.location, dataset.description = self.location, _ABOUT[part]
            dataset.labels = {**APPLICATION, "zone": part}
            dataset.max_time_travel_hours = TIME_TRAVEL_HOURS
            dataset.access_entries = self._access(part)
            made.append(dataset)
        return made

    def table(self, model: type[Row]) -> bq.Table:
        """The table of a model."""
        table = bq.Table(self.name(model), schema=fields(arrow_schema(model)) + fields(pa.schema(OWN_FIELDS)))
        table.time_partitioning = bq.TimePartitioning(type_=bq.TimePartitioningType.DAY, field=PARTITION)
        table.clustering_fields = clustering(model) or None
        table.require_partition_filter = needs_filter(model)
        table.description = " ".join((model.__doc__ or "").split())
        table.labels = {**APPLICATION, "zone": model.zone, "stage": model.stage}
        return table

    def empty_days(self, zone: Zone) -> bq.Table:
        """The days of a zone's tables that are stored without rows."""
        columns = {"table_name": "STRING", "day": "DATE", "stored_on": "DATE", "stored_as": "STRING"}
        table = bq.Table(
            self.path(zone, EMPTY_DAYS),
            schema=[bq.SchemaField(name, kind, mode="REQUIRED") for name, kind in columns.items()],
        )
        table.description = "Days that are stored without rows."
        table.labels = {**APPLICATION, "zone": zone}
        return table

    def views(self) -> list[bq.Table]:
        """Views for readers outside, each authorised in the dataset that it reads."""
        shared = [
            self._view("shared", model, _columns(model)) for model in TABLES.values() if model.zone == "published"
        ]
        return [*shared, *([self._counting_view()] if self.least_users else [])]

    def authorised(self) -> dict[str, list[bq.Table]]:
        """Dataset -> the views that may read it for people who may not."""
        views = self.views()
        published = [view for view in views if view.dataset_id == self.dataset("shared")]
        counting = [view for view in views if view.dataset_id == self.dataset("counts")]
        return {self.dataset("published"): published, self.dataset("abstracted"): counting}

    def _view(self, part: str, model: type[Row], columns: str) -> bq.Table:
        view = bq.Table(self.path(part, model.table))
        view.view_query = f"SELECT {columns} FROM `{self.name(model)}`"
        view.description = " ".join((model.__doc__ or "").split())
        view.labels = {**APPLICATION, "zone": part}
        return view

    def _counting_view(self) -> bq.Table:
        """Users without a name count as one, as everywhere; who it was is not shown and cannot be filtered."""
        replaced = "REPLACE (IF(STARTS_WITH(user_id, 'anonymous:'), 'anonymous', user_id) AS user_id)"
        own = ", ".join(field.name for field in OWN_FIELDS)
        view = self._view("counts", UserDay, f"* EXCEPT (organization_id, {own}) {replaced}")
        policy = {"threshold": str(self.least_users), "privacyUnitColumns": ["user_id"]}
        view._properties["view"]["privacyPolicy"] = {"aggregationThresholdPolicy": policy}
        return view

    def _access(self, part: str) -> list[bq.AccessEntry]:
        entries = [bq.AccessEntry(role="OWNER", entity_type="specialGroup", entity_id="projectOwners")]
        for role, member in self._members(part):
            kind, _, name = member.partition(":")
            entries.append(bq.AccessEntry(role=role, entity_type=_ENTITIES[kind], entity_id=name))
        return entries

    def _members(self, part: str) -> list[tuple[str, str]]:
        """Roles beside the owners', with who has them."""
        readers = {
            "abstracted": self.who.analysts,
            "published": self.who.analysts,
            "counts": self.who.analysts,
            "shared": self.who.readers,
        }
        found = [("WRITER", self.who.writer), ("READER", readers.get(part, ""))]
        return [(role, member) for role, member in found if member]

    # --- printed

    def matrix(self) -> list[dict[str, str]]:
        """Who may do what, dataset by dataset."""
        return [
            {"dataset": self.dataset(part), "who": member, "role": _ROLES[role]}
            for part in (*ZONES, "shared", "counts")
            for role, member in [("OWNER", "the project's owners"), *self._members(part)]
        ]

    def statements(self) -> Iterator[str]:
        """The same as DDL: what `signals warehouse setup` makes, for people who make it by hand."""
        for dataset in self.datasets():
            yield (
                f"CREATE SCHEMA IF NOT EXISTS `{dataset.project}.{dataset.dataset_id}`\n"
                f"OPTIONS (location = '{dataset.location}', max_time_travel_hours = {dataset.max_time_travel_hours}, "
                f"description = {_text(dataset.description)}, labels = {_labels(dataset.labels)})"
            )
        for zone in ZONES:
            yield _create(self.empty_days(zone))
        for model in TABLES.values():
            yield _create(self.table(model))
        for view in self.views():
            yield _create_view(view)
        for part in (*ZONES, "shared", "counts"):
            for role, member in self._members(part):
                yield f'GRANT `{_ROLES[role]}` ON SCHEMA `{self.project}.{self.dataset(part)}` TO "{member}"'


_ABOUT: Final[Mapping[str, str]] = {
    "restricted": "Raw text, answers, vectors. The service account only.",
    "abstracted": "Rows under pseudonyms, text admitted by the barrier. Named analysts.",
    "published": "Aggregates over enough distinct users, rounded.",
    "shared": "Authorised views of the published tables, for readers outside.",
    "counts": "Authorised views that answer only groups of enough users.",
}
_ENTITIES: Final[Mapping[str, str]] = {
    "group": "groupByEmail",
    "user": "userByEmail",
    "serviceAccount": "userByEmail",
    "domain": "domain",
}
_ROLES: Final[Mapping[str, str]] = {
    "OWNER": "roles/bigquery.dataOwner",
    "WRITER": "roles/bigquery.dataEditor",
    "READER": "roles/bigquery.dataViewer",
}


def fields(schema: pa.Schema) -> list[bq.SchemaField]:
    """BigQuery's columns of an Arrow schema: types, modes and descriptions."""
    return [
        bq.SchemaField(
            one.name,
            column_type(one.type),
            mode=_mode(one),
            description=(one.metadata or {}).get(b"description", b"").decode(),
        )
        for one in schema
    ]


def column_type(kind: pa.DataType) -> str:
    """BigQuery's type of a column, of a list the type of its items. Raises TypeError for one that no model has."""
    inner = kind.value_type if pa.types.is_list(kind) else kind
    found = next((name for fits, name in _TYPES if fits(inner)), None)
    if found is None:
        raise TypeError(f"no BigQuery type for {kind}; add it to bigquery_layout")
    return found


def sql_type(kind: pa.DataType) -> str:
    """The same in SQL's words."""
    name = column_type(kind)
    inner = SQL_TYPES.get(name, name)
    return f"ARRAY<{inner}>" if pa.types.is_list(kind) else inner


def _mode(one: pa.Field) -> str:
    if pa.types.is_list(one.type):
        return "REPEATED"
    return "NULLABLE" if one.nullable else "REQUIRED"


def clustering(model: type[Row]) -> list[str]:
    """The first columns of the key that BigQuery can cluster by: what rows are joined and looked up by."""
    schema = arrow_schema(model)
    plain = [
        name
        for name in model.key
        if name != PARTITION and not pa.types.is_list(schema.field(name).type)
        if not pa.types.is_floating(schema.field(name).type)
    ]
    return plain[:CLUSTERED_BY]


def needs_filter(model: type[Row]) -> bool:
    """Whether a query must name days: tables of raw text are large, and nobody should read all of them by mistake."""
    return model.zone == "restricted"


def _columns(model: type[Row]) -> str:
    return ", ".join(f"`{name}`" for name in model.model_fields)


def _create(table: bq.Table) -> str:
    columns = ",\n  ".join(_column(one) for one in table.schema)
    partitioned = f"\nPARTITION BY {table.time_partitioning.field}" if table.time_partitioning else ""
    clustered = f"\nCLUSTER BY {', '.join(table.clustering_fields)}" if table.clustering_fields else ""
    demanded = "require_partition_filter = TRUE, " if table.require_partition_filter else ""
    return (
        f"CREATE TABLE IF NOT EXISTS `{table.project}.{table.dataset_id}.{table.table_id}` (\n  {columns}\n)"
        f"{partitioned}{clustered}\n"
        f"OPTIONS ({demanded}description = {_text(table.description)}, labels = {_labels(table.labels)})"
    )


def _column(one: bq.SchemaField) -> str:
    kind = SQL_TYPES.get(one.field_type, one.field_type)
    kind = f"ARRAY<{kind}>" if one.mode == "REPEATED" else kind
    required = " NOT NULL" if one.mode == "REQUIRED" else ""
    described = f" OPTIONS (description = {_text(one.description)})" if one.description else ""
    return f"`{one.name}` {kind}{required}{described}"


def _create_view(view: bq.Table) -> str:
    properties: dict[str, Any] = view._properties["view"]
    policy = properties.get("privacyPolicy", {}).get("aggregationThresholdPolicy")
    guarded = (
        'privacy_policy = \'{"aggregation_threshold_policy": {"threshold": '
        f'{policy["threshold"]}, "privacy_unit_columns": "{policy["privacyUnitColumns"][0]}"}}}}\', '
        if policy
        else ""
    )
    return (
        f"CREATE OR REPLACE VIEW `{view.project}.{view.dataset_id}.{view.table_id}`\n"
        f"OPTIONS ({guarded}description = {_text(view.description)}, labels = {_labels(view.labels)})\n"
        f"AS {view.view_query}"
    )


def _text(text: str | None) -> str:
    escaped = (text or "").replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _labels(labels: Mapping[str, str]) -> str:
    return "[" + ", ".join(f"('{name}', '{value}')" for name, value in labels.items()) + "]"


def renewed(stored: Sequence[bq.SchemaField], wanted: Sequence[bq.SchemaField]) -> list[bq.SchemaField] | None:
    """The stored columns made to hold rows of the wanted ones; None where they do already.

    A new column is added as one that may be null, since older days lack it; a column that a later version dropped stays
    and may be null from now on.
    """
    names = {one.name for one in wanted}
    kept = [one if one.name in names or one.mode != "REQUIRED" else _relaxed(one) for one in stored]
    known = {one.name for one in stored}
    added = [_relaxed(one) for one in wanted if one.name not in known]
    return [*kept, *added] if added or kept != list(stored) else None


def _relaxed(one: bq.SchemaField) -> bq.SchemaField:
    mode = "REPEATED" if one.mode == "REPEATED" else "NULLABLE"
    return bq.SchemaField(one.name, one.field_type, mode=mode, description=one.description)
