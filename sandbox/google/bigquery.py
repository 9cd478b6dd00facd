"""BigQuery's datasets and tables: what they are in dictionaries, what they hold in one DuckDB in memory.

Nothing here is thread-safe: callers hold the world's lock. DuckDB is opened for the first row or query.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.google.bigquery_info import PREFIX
from sandbox.google.bigquery_sql import PSEUDO, Named, Translated, engine, translate
from sandbox.google.bigquery_types import (
    BadValue,
    Field,
    described,
    in_text,
    quoted,
    row_type,
    text_shape,
)
from sandbox.google.errors import Refused, invalid

Json = dict[str, Any]
Row = tuple[Any, ...]
DEDUP_S = 60.0
DEDUP_MOST = 200_000
MOST_ROWS = 50_000
_NAME = re.compile(r"[A-Za-z0-9_]{1,1024}")
_TABLE_NAME = re.compile(r"[\w\-\u00a0 ]{1,1024}")


@dataclass(slots=True, kw_only=True)
class Table:
    """`meta` is what the caller gave besides the schema: partitioning, clustering, labels, description."""

    project: str
    dataset: str
    name: str
    fields: tuple[Field, ...]
    meta: Json
    created: float
    modified: float
    rows: int = 0
    bytes: int = 0
    recent: dict[str, float] = field(default_factory=dict)

    @property
    def relation(self) -> str:
        """Its name in DuckDB."""
        return f"{quoted(f'{self.project}:{self.dataset}')}.{quoted(self.name)}"

    @property
    def full(self) -> str:
        """project:dataset.table, as BigQuery's messages write it."""
        return f"{self.project}:{self.dataset}.{self.name}"

    @property
    def hidden_partition(self) -> bool:
        """Whether it is partitioned by the time of arrival, in a column that `*` does not show."""
        partition = self.meta.get("timePartitioning")
        return isinstance(partition, dict) and not partition.get("field")


@dataclass(slots=True, kw_only=True)
class Dataset:
    """A dataset with its tables."""

    project: str
    name: str
    meta: Json
    created: float
    tables: dict[str, Table] = field(default_factory=dict)


class BigQuery:
    """All datasets of all projects."""

    def __init__(self) -> None:
        self.datasets: dict[tuple[str, str], Dataset] = {}
        self.export_key: object = None
        self.views: Callable[[str, str, str], tuple[tuple[Field, ...], list[Json]]] | None = None
        self._connection: Any = None

    def dataset(self, project: str, name: str) -> Dataset:
        """Raises Refused NOT_FOUND."""
        found = self.datasets.get((project, name))
        if found is None:
            raise Refused("NOT_FOUND", f"Not found: Dataset {project}:{name}")
        return found

    def table(self, project: str, dataset: str, name: str) -> Table:
        """Raises Refused NOT_FOUND, for the dataset too. A partition's decorator ($20261123) is dropped."""
        found = self.dataset(project, dataset).tables.get(name.partition("$")[0])
        if found is None:
            raise Refused("NOT_FOUND", f"Not found: Table {project}:{dataset}.{name}")
        return found

    def add_dataset(self, project: str, name: str, meta: Json, now: float) -> Dataset:
        """Raises Refused: ALREADY_EXISTS, or INVALID_ARGUMENT for the name."""
        if not _NAME.fullmatch(name):
            raise invalid(f'Invalid dataset ID "{name}".')
        if (project, name) in self.datasets:
            raise Refused("ALREADY_EXISTS", f"Already Exists: Dataset {project}:{name}")
        made = Dataset(project=project, name=name, meta=meta, created=now)
        self.datasets[project, name] = made
        if self._connection is not None:
            self._connection.execute(f"CREATE SCHEMA {quoted(f'{project}:{name}')}")
        return made

    def drop_dataset(self, project: str, name: str, *, with_tables: bool) -> None:
        """Raises Refused: NOT_FOUND, or INVALID_ARGUMENT for one that is in use."""
        found = self.dataset(project, name)
        if found.tables and not with_tables:
            raise invalid(f"Dataset {project}:{name} is still in use")
        for table in list(found.tables):
            self.drop_table(project, name, table)
        del self.datasets[project, name]
        if self._connection is not None:
            self._connection.execute(f"DROP SCHEMA {quoted(f'{project}:{name}')}")

    def add_table(
        self, project: str, dataset: str, name: str, fields: Sequence[Field], meta: Json, now: float
    ) -> Table:
        """Raises Refused: NOT_FOUND (dataset), ALREADY_EXISTS, INVALID_ARGUMENT."""
        into = self.dataset(project, dataset)
        if not _TABLE_NAME.fullmatch(name):
            raise invalid(f'Invalid table ID "{name}".')
        if name in into.tables:
            raise Refused("ALREADY_EXISTS", f"Already Exists: Table {project}:{dataset}.{name}")
        _check_layout(fields, meta)
        made = Table(
            project=project,
            dataset=dataset,
            name=name,
            fields=tuple(fields),
            meta=meta,
            created=now,
            modified=now,
        )
        into.tables[name] = made
        if self._connection is not None:
            self._create(made)
        return made

    def drop_table(self, project: str, dataset: str, name: str) -> None:
        """Raises Refused NOT_FOUND."""
        table = self.table(project, dataset, name)
        del self.datasets[project, dataset].tables[table.name]
        if self._connection is not None:
            self._connection.execute(f"DROP TABLE {table.relation}")

    def add_fields(self, table: Table, fields: Sequence[Field]) -> None:
        """Puts new nullable columns behind the old ones. Raises Refused INVALID_ARGUMENT for any other change."""
        old, new = fields[: len(table.fields)], fields[len(table.fields) :]
        if [(f.name, f.type) for f in old] != [(f.name, f.type) for f in table.fields]:
            raise invalid(f"Provided Schema does not match Table {table.full}.")
        if any(f.mode == "REQUIRED" for f in new):
            raise invalid(f"Provided Schema does not match Table {table.full}. Cannot add required fields.")
        for one in new:
            self._duck().execute(f"ALTER TABLE {table.relation} ADD COLUMN {quoted(one.name)} {one.column}")
        table.fields = tuple(fields)

    def insert(
        self,
        table: Table,
        rows: Sequence[Json],
        *,
        ignore_unknown: bool,
        skip_invalid: bool,
        now: float,
        wall: float,
    ) -> list[Json]:
        """insertAll: `rows` are {insertId?, json}. What was refused, in BigQuery's form; [] is all well.

        A row whose insertId came within the last minute (`wall`, epoch seconds) is taken and not stored again.
        """
        if len(rows) > MOST_ROWS:
            raise invalid(f"Too many rows: {len(rows)}, at most {MOST_ROWS} in a request.")
        duck = self._duck()
        good: list[Json] = []
        ids: set[str] = set()
        refused: dict[int, BadValue] = {}
        seen = _recent(table, wall)
        for index, row in enumerate(rows):
            try:
                values = in_text(table.fields, row.get("json"), ignore_unknown=ignore_unknown)
            except BadValue as error:
                refused[index] = error
                continue
            insert_id = str(row.get("insertId") or "")
            if not insert_id or (insert_id not in seen and insert_id not in ids):
                good.append(values)
                ids.add(insert_id)
        if refused and not skip_invalid:
            return [_insert_error(index, refused.get(index)) for index in range(len(rows))]
        self._store(duck, table, good, now)
        table.recent.update({one: wall for one in ids if one})
        return [_insert_error(index, error) for index, error in refused.items()]

    def load(self, table: Table, rows: Iterable[Any], now: float, *, ignore_unknown: bool = False) -> int:
        """Appends whole rows; the number. Raises Refused INVALID_ARGUMENT, nothing stored, for a bad one."""
        texts = []
        for number, row in enumerate(rows, 1):
            try:
                texts.append(in_text(table.fields, row, ignore_unknown=ignore_unknown))
            except BadValue as error:
                raise invalid(f"Error while reading data, row {number}: {error.message}") from None
        self._store(self._duck(), table, texts, now)
        return len(texts)

    def clear(self, table: Table) -> None:
        """Takes all rows out."""
        self._duck().execute(f"DELETE FROM {table.relation}")
        table.rows = table.bytes = 0

    def read(self, table: Table, start: int, count: int) -> list[Row]:
        """Rows in the order of their arrival."""
        columns = ", ".join(quoted(one.name) for one in table.fields)
        sql = f"SELECT {columns} FROM {table.relation} ORDER BY rowid LIMIT {count:d} OFFSET {start:d}"
        return list(self._duck().execute(sql).fetchall())

    def translated(
        self, text: str, parameters: Sequence[Json], project: str, default: tuple[str, str] | None, now: float
    ) -> Translated:
        """A query of `project` for `run`; `default` is (project, dataset) of bare table names."""
        self._duck()

        def resolve(catalog: str, db: str, name: str) -> Named:
            if not db:
                if default is None:
                    raise invalid(f'Table "{name}" must be qualified with a dataset (e.g. dataset.table).')
                catalog, db = default
            if name.upper().startswith(PREFIX) and self.views is not None:
                return self._view(name, *self.views(name, catalog or project, db))
            found = self.table(catalog or project, db, name)
            return Named(relation=found.relation, hidden_partition=found.hidden_partition, bytes=found.bytes)

        return translate(text, parameters, resolve, now)

    def _view(self, name: str, fields: tuple[Field, ...], rows: list[Json]) -> Named:
        """A view's rows as a table of this moment, which the next query of the same view replaces."""
        made = Table(project="", dataset=PREFIX, name=name, fields=fields, meta={}, created=0.0, modified=0.0)
        duck = self._duck()
        duck.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(f':{PREFIX}')}")
        duck.execute(f"DROP TABLE IF EXISTS {made.relation}")
        self._create(made)
        self.load(made, rows, 0.0)
        return Named(relation=made.relation, hidden_partition=False, bytes=made.bytes)

    def run(self, query: Translated, *, dry: bool = False) -> tuple[tuple[Field, ...], list[Row]]:
        """Fields and rows of a query (of a write: none and one row with the count). `dry`: no rows.

        Raises Refused INVALID_ARGUMENT with DuckDB's reason.
        """
        duck, module = self._duck(), engine()
        sql = query.sql
        if dry:
            sql = f"SELECT * FROM ({sql}) LIMIT 0" if query.kind == "SELECT" else f"EXPLAIN {sql}"
        try:
            cursor = duck.execute(sql, dict(query.values))
            fields = described(cursor.description or ()) if query.kind == "SELECT" else ()
            rows = list(cursor.fetchall())
        except module.Error as error:
            raise invalid(str(error).split("\n")[0]) from error
        if query.kind != "SELECT" and not dry:
            self._recount()
        return fields, [] if dry else rows

    def _recount(self) -> None:
        for dataset in self.datasets.values():
            for table in dataset.tables.values():
                (count,) = self._duck().execute(f"SELECT count(*) FROM {table.relation}").fetchone()
                each = table.bytes / table.rows if table.rows else 100.0
                table.rows, table.bytes = int(count), round(each * count)

    def _duck(self) -> Any:
        if self._connection is None:
            # Nothing of the machine outside is to be read by a query, and nothing to be downloaded.
            self._connection = engine().connect(
                ":memory:",
                config={"enable_external_access": "false", "threads": "2", "memory_limit": "1GB"},
            )
            self._connection.execute("SET TimeZone='UTC'")
            for dataset in self.datasets.values():
                self._connection.execute(f"CREATE SCHEMA {quoted(f'{dataset.project}:{dataset.name}')}")
                for table in dataset.tables.values():
                    self._create(table)
        return self._connection

    def _create(self, table: Table) -> None:
        columns = [
            f"{quoted(one.name)} {one.column}{' NOT NULL' if one.mode == 'REQUIRED' else ''}"
            for one in table.fields
        ]
        if table.hidden_partition:
            columns.append(f"{PSEUDO} TIMESTAMP WITH TIME ZONE")
        self._connection.execute(f"CREATE TABLE {table.relation} ({', '.join(columns)})")

    def _store(self, duck: Any, table: Table, texts: list[Json], now: float) -> None:
        if not texts:
            return
        names = [quoted(one.name) for one in table.fields]
        picks = [f"r.{name}" for name in names]
        if table.hidden_partition:
            names.append(PSEUDO)
            picks.append(f"date_trunc('day', to_timestamp({now:.0f}))")
        shape = text_shape(table.fields).replace("'", "''")
        raw = json.dumps(texts)
        try:
            duck.execute(
                f"INSERT INTO {table.relation} ({', '.join(names)}) SELECT {', '.join(picks)} FROM "
                f"(SELECT unnest(CAST(from_json($rows, '{shape}') AS {row_type(table.fields)}[])) AS r)",
                {"rows": raw},
            )
        except engine().Error as error:
            raise invalid(str(error).split("\n")[0]) from error
        table.rows += len(texts)
        table.bytes += len(raw)
        table.modified = now


def _recent(table: Table, wall: float) -> dict[str, float]:
    """The insert ids of the last minute, which is all that BigQuery promises to remember."""
    if len(table.recent) > DEDUP_MOST or any(at < wall - DEDUP_S for at in _first(table.recent)):
        table.recent = {one: at for one, at in table.recent.items() if at >= wall - DEDUP_S}
    return table.recent


def _first(recent: dict[str, float]) -> list[float]:
    return [next(iter(recent.values()))] if recent else []


def _insert_error(index: int, error: BadValue | None) -> Json:
    reason = {"reason": "stopped", "location": "", "debugInfo": "", "message": ""}
    if error is not None:
        reason = {"reason": "invalid", "location": error.location, "debugInfo": "", "message": error.message}
    return {"index": index, "errors": [reason]}


def _check_layout(fields: Sequence[Field], meta: Json) -> None:
    """Partitioning and clustering name columns that can carry them."""
    if not fields:
        raise invalid("A table needs a schema here.")
    types = {one.name: one.type for one in fields}
    partition = (meta.get("timePartitioning") or {}).get("field")
    if partition and types.get(partition) not in ("TIMESTAMP", "DATE", "DATETIME"):
        raise invalid(f"The field specified for partitioning cannot be found in the schema: {partition}.")
    clustering = (meta.get("clustering") or {}).get("fields") or []
    if len(clustering) > 4:
        raise invalid("At most 4 fields can be clustered by.")
    for name in clustering:
        if name not in types:
            raise invalid(f"The field specified for clustering cannot be found in the schema: {name}.")
