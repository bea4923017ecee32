"""What the local BigQuery stores: datasets, tables, rows; and how it runs loads and queries on them.

Put here: state over DuckDB, BigQuery's rules for partitions, modes and required filters. Not here: HTTP and jobs' lives
(`bigquery_server.py`), cells and types (`bigquery_values.py`).

BigQuery promises no order of rows, so this keeps none: rows lie by their clustering columns, else by a hash. Bytes are
counted by BigQuery's published sizes of types, over the columns that a query names and the partitions that it filters.
"""

import copy
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp

from signals_assets_tests.fakes.bigquery_files import mode_of, resource_of, rows_in, typed
from signals_assets_tests.fakes.bigquery_statements import alias_of, billed, bytes_of, filters, named
from signals_assets_tests.fakes.bigquery_values import Refused, duckdb_type, parameter

WRITES = (exp.Insert, exp.Delete, exp.Update, exp.Merge)


@dataclass
class Stored:
    """A table or view: its resource as REST shows it, and when each partition was last written."""

    resource: dict[str, Any]
    modified: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] | None = None

    @property
    def partitioned_by(self) -> str | None:
        found = self.resource.get("timePartitioning")
        return found["field"] if found else None

    @property
    def schema(self) -> list[dict[str, Any]]:
        fields: list[dict[str, Any]] = self.resource.get("schema", {}).get("fields", [])
        return fields

    @property
    def view(self) -> str | None:
        found: dict[str, Any] | None = self.resource.get("view")
        return found["query"] if found else None


@dataclass
class Answer:
    """What a query came to."""

    table: pa.Table | None
    bytes: int
    kind: str
    changed: int = 0


_PARTITIONS = "_partitions"
_PARTITION_COLUMNS = pa.schema(
    {
        "table_name": pa.string(),
        "partition_id": pa.string(),
        "total_rows": pa.int64(),
        "last_modified_time": pa.timestamp("us", tz="UTC"),
    }
)

Name = tuple[str, str]
"""Dataset and table."""


class State:
    """One project. Not safe for threads: the server runs one request at a time."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.datasets: dict[str, dict[str, Any]] = {}
        self.tables: dict[Name, Stored] = {}
        self.db = duckdb.connect(":memory:", config={"threads": 1, "python_enable_replacements": False})
        self.db.execute("SET TimeZone = 'UTC'")

    def close(self) -> None:
        self.db.close()

    def dataset(self, name: str) -> dict[str, Any]:
        if name not in self.datasets:
            raise Refused(404, "notFound", f"Not found: Dataset {self.project}:{name}")
        return self.datasets[name]

    def stored(self, name: Name) -> Stored:
        self.dataset(name[0])
        if name not in self.tables:
            raise Refused(404, "notFound", f"Not found: Table {self.project}:{name[0]}.{name[1]}")
        return self.tables[name]

    # --- datasets and tables --------------------------------------------------------------------------------------

    def add_dataset(self, name: str, resource: dict[str, Any]) -> None:
        if name in self.datasets:
            raise Refused(409, "duplicate", f"Already Exists: Dataset {self.project}:{name}")
        self.datasets[name] = resource
        self.db.execute(f'CREATE SCHEMA "{name}"')

    def drop_dataset(self, name: str, *, with_tables: bool) -> None:
        self.dataset(name)
        if not with_tables and any(dataset == name for dataset, _ in self.tables):
            raise Refused(400, "resourceInUse", f"Dataset {self.project}:{name} is still in use")
        self.tables = {key: table for key, table in self.tables.items() if key[0] != name}
        self.db.execute(f'DROP SCHEMA "{name}" CASCADE')
        del self.datasets[name]

    def add_table(self, name: Name, resource: dict[str, Any]) -> Stored:
        self.dataset(name[0])
        if name in self.tables:
            raise Refused(409, "duplicate", f"Already Exists: Table {self.project}:{name[0]}.{name[1]}")
        table = Stored(resource)
        if table.view is not None:
            self._analysed(self._parsed(table.view), None)
        else:
            _check_layout(table)
            columns = ", ".join(f'"{one["name"]}" {duckdb_type(one)}' for one in table.schema)
            self.db.execute(f"CREATE TABLE {_quoted(name)} ({columns or '_nothing INTEGER'})")
        self.tables[name] = table
        return table

    def drop_table(self, name: Name) -> None:
        """A table, a view, or with `$` one partition."""
        base, partition = _parts(name[1])
        table = self.stored((name[0], base))
        if partition:
            self.db.execute(f"DELETE FROM {_quoted((name[0], base))} WHERE {_in_partition(table, partition)}")
            table.modified.pop(partition, None)
            table.rows = None
            return
        del self.tables[name]
        if table.view is None:
            self.db.execute(f"DROP TABLE {_quoted(name)}")

    def change_schema(self, name: Name, fields: list[dict[str, Any]]) -> None:
        """A table's new schema: columns may be added (not as required ones) and relaxed."""
        table = self.stored(name)
        new = {one["name"]: one for one in fields}
        for old in table.schema:
            found = new.pop(old["name"], None)
            if found is None:
                raise Refused(400, "invalid", f"Provided Schema does not match Table: field {old['name']} is missing")
            if duckdb_type(found) != duckdb_type(old) or (mode_of(found) == "REQUIRED" and mode_of(old) != "REQUIRED"):
                raise Refused(400, "invalid", f"Provided Schema does not match Table: field {old['name']} has changed")
        for added in new.values():
            if mode_of(added) == "REQUIRED":
                raise Refused(400, "invalid", f"Provided Schema: cannot add required field {added['name']}")
            self.db.execute(f'ALTER TABLE {_quoted(name)} ADD COLUMN "{added["name"]}" {duckdb_type(added)}')
            if mode_of(added) == "REPEATED":
                self.db.execute(f'UPDATE {_quoted(name)} SET "{added["name"]}" = []')
        table.resource["schema"] = {"fields": copy.deepcopy(fields)}

    def count(self, name: Name) -> int:
        if self.tables[name].view is not None:
            return 0
        return int(self._one(f"SELECT count(*) FROM {_quoted(name)}"))

    def contents(self, name: Name) -> pa.Table:
        """All rows of a table, in the order in which they lie."""
        columns = ", ".join(f'"{one["name"]}"' for one in self.stored(name).schema)
        return self.db.sql(f"SELECT {columns} FROM {_quoted(name)}").to_arrow_table()

    # --- loads ----------------------------------------------------------------------------------------------------

    def load(self, config: Mapping[str, Any], content: bytes) -> int:
        """A load job: returns the number of rows, or changes nothing and raises `Refused`."""
        reference = config["destinationTable"]
        base, partition = _parts(reference["tableId"])
        name = (reference["datasetId"], base)
        if name not in self.tables:
            if config.get("createDisposition") == "CREATE_NEVER":
                self.stored(name)
            self.add_table(name, resource_of(config, self.project, name))
        table = self.stored(name)
        for key in ("timePartitioning", "clustering"):
            if key in config and config[key] != table.resource.get(key):
                raise Refused(400, "invalid", f"Incompatible table partitioning or clustering specification: {key}")
        if "schema" in config:
            self._check_load_schema(name, config)
        rows = rows_in(config, content, table.schema)
        self.db.register("incoming", rows)
        try:
            self._insert(name, table, partition, config.get("writeDisposition", "WRITE_APPEND"))
        except (duckdb.ConversionException, duckdb.BinderException) as error:
            raise Refused(400, "invalid", f"Error while reading data: {error}") from None
        finally:
            self.db.unregister("incoming")
        return int(rows.num_rows)

    def _check_load_schema(self, name: Name, config: Mapping[str, Any]) -> None:
        """The schema in a load's configuration must be the table's, unless the load may change it."""
        table, wanted = self.stored(name), config["schema"]["fields"]
        options = config.get("schemaUpdateOptions", [])
        if options:
            self.change_schema(name, wanted)
            return
        known = {one["name"]: one for one in table.schema}
        for one in wanted:
            other = known.get(one["name"])
            if other is None:
                raise Refused(400, "invalid", f"Provided Schema does not match Table. Cannot add fields: {one['name']}")
            if duckdb_type(one) != duckdb_type(other) or mode_of(one) != mode_of(other):
                raise Refused(
                    400,
                    "invalid",
                    f"Provided Schema does not match Table. Field {one['name']} has changed mode or type",
                )

    def _insert(self, name: Name, table: Stored, partition: str | None, disposition: str) -> None:
        source, target = f"({typed(table.schema, 'incoming', self.db)})", _quoted(name)
        required = [one["name"] for one in table.schema if mode_of(one) == "REQUIRED"]
        if required:
            counts = ", ".join(f'count(*) FILTER ("{name}" IS NULL)' for name in required)
            [found] = self.db.execute(f"SELECT {counts} FROM {source}").fetchall()
            if wrong := [name for name, count in zip(required, found, strict=True) if count]:
                raise Refused(400, "invalid", f"Required field {wrong[0]} cannot be null")
        if partition:
            foreign = f"SELECT count(*) FROM {source} WHERE NOT coalesce({_in_partition(table, partition)}, false)"
            if self._one(foreign):
                message = f"Some rows belong to different partitions rather than destination partition {partition}"
                raise Refused(400, "invalid", message)
        there = f"WHERE {_in_partition(table, partition)}" if partition else ""
        if disposition == "WRITE_EMPTY" and self._one(f"SELECT count(*) FROM {target} {there}"):
            raise Refused(409, "duplicate", f"Already Exists: Table {self.project}:{name[0]}.{name[1]}")
        touched = [partition] if partition else self._partitions(source, table)
        self.db.execute("BEGIN")
        try:
            if disposition == "WRITE_TRUNCATE":
                self.db.execute(f"DELETE FROM {target} {there}")
            columns = ", ".join(f'"{one["name"]}"' for one in table.schema)
            self.db.execute(f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {source} {_disorder(table)}")
            self.db.execute("COMMIT")
        except duckdb.Error:
            self.db.execute("ROLLBACK")
            raise
        table.rows = None
        table.modified |= dict.fromkeys(touched, _now())

    def _partitions(self, source: str, table: Stored) -> list[str]:
        column = table.partitioned_by
        if column is None:
            return []
        found = self.db.execute(f"SELECT DISTINCT strftime(\"{column}\", '%Y%m%d') FROM {source}").fetchall()
        return [name for (name,) in found]

    # --- queries --------------------------------------------------------------------------------------------------

    def query(self, config: Mapping[str, Any], *, dry: bool) -> Answer:
        """A query job of standard SQL."""
        if config.get("useLegacySql", True):
            raise Refused(400, "invalidQuery", "legacy SQL is not spoken here; set useLegacySql to false")
        tree = self._parsed(named(config["query"], config.get("queryParameters", [])))
        tables = self._analysed(tree, (config.get("defaultDataset") or {}).get("datasetId"))
        size = sum(self._size(tree, node, table) for node, name, table in tables if table is not None)
        limit = config.get("maximumBytesBilled")
        if limit is not None and not dry and billed(size) > int(limit):
            message = f"Query exceeded limit for bytes billed: {limit}. {billed(size)} or higher required."
            raise Refused(500, "bytesBilledLimitExceeded", message)
        kind = type(tree).__name__.upper() if isinstance(tree, WRITES) else "SELECT"
        if dry:
            return Answer(self._run(tree, config, limit=0) if kind == "SELECT" else None, size, kind)
        table = self._run(tree, config)
        if kind == "SELECT":
            return Answer(table, size, kind)
        for _, name, stored in tables[:1]:
            if stored is not None:
                stored.rows = None
                stored.modified = dict.fromkeys(self._partitions(_quoted(name), stored), _now()) | stored.modified
        return Answer(None, size, kind, int(table.column(0)[0].as_py()))

    def _parsed(self, sql: str) -> exp.Expression:
        try:
            found = sqlglot.parse(sql, read="bigquery")
        except sqlglot.errors.ParseError as error:
            raise Refused(400, "invalidQuery", f"Syntax error: {str(error)[:200]}") from None
        if len(found) != 1 or not isinstance(found[0], (exp.Query, *WRITES)):
            raise Refused(400, "invalidQuery", "one query or one statement that changes rows is spoken here")
        return found[0]

    def _analysed(self, tree: exp.Expression, default: str | None) -> list[tuple[exp.Table, Name, Stored | None]]:
        """Tables by name, made DuckDB's: views unfolded, partitions of INFORMATION_SCHEMA listed, filters demanded."""
        ctes = {cte.alias for cte in tree.find_all(exp.CTE)}
        found: list[tuple[exp.Table, Name, Stored | None]] = []
        for node in list(tree.find_all(exp.Table)):
            parts = [part.name for part in node.parts]
            if not all(parts) or isinstance(node.this, exp.Func):
                raise Refused(400, "invalidQuery", "table functions are not spoken here")
            names = ".".join(parts).split(".")
            if len(names) == 1 and names[0] in ctes:
                continue
            if "INFORMATION_SCHEMA" in [part.upper() for part in names]:
                self._show_partitions(node, names)
                continue
            if len(names) == 1 and default:
                names = [default, *names]
            if len(names) not in (2, 3) or (len(names) == 3 and names[0] != self.project):
                raise Refused(400, "invalid", f'Table "{names[-1]}" must be qualified with a dataset')
            name = (names[-2], names[-1])
            table = self.stored(name)
            alias = exp.TableAlias(this=exp.to_identifier(alias_of(node) or name[1], quoted=True))
            if table.view is not None:
                inner = self._parsed(table.view)
                found += self._analysed(inner, None)
                node.replace(exp.Subquery(this=inner, alias=alias))
                continue
            filled = isinstance(tree, exp.Insert) and node is tree.find(exp.Table)
            if table.resource.get("requirePartitionFilter") and not filled and not filters(node, table.partitioned_by):
                message = (
                    f"Cannot query over table '{'.'.join(names)}' without a filter over column(s) "
                    f"'{table.partitioned_by}' that can be used for partition elimination"
                )
                raise Refused(400, "invalidQuery", message)
            found.append((node, name, table))
            changed = isinstance(node.parent, (*WRITES, exp.Schema)) and not alias_of(node)
            node.set("catalog", None)
            node.set("db", exp.to_identifier(name[0], quoted=True))
            node.set("this", exp.to_identifier(name[1], quoted=True))
            node.set("alias", None if changed else alias)
        return found

    def _show_partitions(self, node: exp.Table, names: Sequence[str]) -> None:
        if names[-1].upper() != "PARTITIONS" or len(names) < 3:
            raise Refused(400, "invalidQuery", f"{'.'.join(names)} is not spoken here")
        dataset = names[-3]
        self.dataset(dataset)
        rows = [
            {"table_name": table, "partition_id": partition, "total_rows": count, "last_modified_time": at}
            for (owner, table), stored in self.tables.items()
            if owner == dataset and stored.partitioned_by
            for partition, count in self._counts((owner, table), stored).items()
            for at in [datetime.fromtimestamp(stored.modified.get(partition, 0) / 1e6, UTC)]
        ]
        self.db.register(_PARTITIONS, pa.Table.from_pylist(rows, _PARTITION_COLUMNS))
        node.replace(exp.Table(this=exp.to_identifier(_PARTITIONS)))

    def _counts(self, name: Name, table: Stored) -> dict[str, int]:
        """Rows by partition, counted again after a change only."""
        if table.rows is None:
            sql = f"SELECT strftime(\"{table.partitioned_by}\", '%Y%m%d'), count(*) FROM {_quoted(name)} GROUP BY 1"
            table.rows = dict(self.db.execute(sql).fetchall())
        return table.rows

    def _run(self, tree: exp.Expression, config: Mapping[str, Any], limit: int | None = None) -> pa.Table:
        values: dict[str, Any] = {}
        tree = tree.copy()
        sent = {one.get("name") or f"p{n}": one for n, one in enumerate(config.get("queryParameters", []))}
        for node in list(tree.find_all(exp.Parameter)):
            name = node.name
            if name not in sent:
                raise Refused(400, "invalidQuery", f"Query parameter '{name}' not found")
            values[name], kind = parameter(sent[name])
            node.replace(exp.cast(exp.Placeholder(this=name), exp.DataType.build(kind, dialect="duckdb")))
        sql = tree.sql(dialect="duckdb")
        try:
            if limit is not None:
                sql = f"SELECT * FROM ({sql}) LIMIT {limit}"
            if isinstance(tree, WRITES):
                [(changed,)] = self.db.execute(sql, values).fetchall()
                return pa.table({"changed": [changed]})
            return self.db.sql(sql, params=values).to_arrow_table()
        except duckdb.Error as error:
            raise Refused(400, "invalidQuery", f"{type(error).__name__}: {error}") from None

    # --- sizes ----------------------------------------------------------------------------------------------------

    def _size(self, tree: exp.Expression, node: exp.Table, table: Stored) -> int:
        named = {column.name for column in tree.find_all(exp.Column)}
        every = any(True for _ in tree.find_all(exp.Star)) and not list(tree.find_all(exp.Count))
        columns = [one for one in table.schema if every or one["name"] in named]
        if not columns:
            return 0
        sizes = " + ".join(f"coalesce(sum({bytes_of(one)}), 0)" for one in columns)
        where = " AND ".join(f"({one.sql(dialect='duckdb')})" for one in filters(node, table.partitioned_by)) or "true"
        where = re.sub(r"\$\w+", "NULL", where) if "$" in where else where
        return int(
            self._one(
                f'SELECT {sizes} FROM {_quoted((node.db, node.name))} AS "{alias_of(node) or node.name}" WHERE {where}'
            )
        )

    def _one(self, sql: str) -> Any:
        [(value,)] = self.db.execute(sql).fetchall()
        return value


def _parts(table: str) -> tuple[str, str | None]:
    base, _, partition = table.partition("$")
    return base, partition or None


def _in_partition(table: Stored, partition: str) -> str:
    if table.partitioned_by is None or not re.fullmatch(r"\d{8}", partition):
        raise Refused(400, "invalid", f"Invalid partition {partition}: the table is not partitioned so")
    return f"\"{table.partitioned_by}\" = DATE '{partition[:4]}-{partition[4:6]}-{partition[6:]}'"


def _check_layout(table: Stored) -> None:
    columns = {one["name"]: one for one in table.schema}
    by = table.resource.get("timePartitioning")
    if by and (by.get("type") != "DAY" or columns.get(by.get("field", ""), {}).get("type") != "DATE"):
        raise Refused(400, "invalid", "tables are partitioned by DAY over a DATE column here")
    clustering = table.resource.get("clustering", {}).get("fields", [])
    if len(clustering) > 4 or any(
        one not in columns or columns[one]["type"] in ("FLOAT", "RECORD") or columns[one].get("mode") == "REPEATED"
        for one in clustering
    ):
        raise Refused(400, "invalid", "clustering takes up to four plain columns that are no FLOAT")


def _disorder(table: Stored) -> str:
    clustering = table.resource.get("clustering", {}).get("fields", [])
    first = table.schema[-1]["name"] if table.schema else "_nothing"
    return "ORDER BY " + ", ".join([*(f'"{one}"' for one in clustering), f'hash("{first}")'])


def _quoted(name: Iterable[str]) -> str:
    return ".".join(f'"{part}"' for part in name)


def _now() -> int:
    return time.time_ns() // 1_000
