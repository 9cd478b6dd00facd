"""The pipeline's own stores: which tables are not there, how each is made, and making them.

Making is idempotent: what somebody else made meanwhile is as good.  A Bigtable instance costs money while it
stands, so it is never made here, only named.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from pipeline.catalogue import Pipeline
from pipeline.errors import Missing, Refused
from pipeline.google.calls import once, reading, reading_bigquery
from pipeline.google.clients import Clients
from pipeline.google.errors import explained
from pipeline.tables import FAMILY, TABLES, Table

KEPT: Final = timedelta(days=90)  # how long Bigtable keeps a window's statistics
# BigQuery's answers name types by their old names.
_OLD_NAMES: Final = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that is not there: in words, with the command that makes it, and a function that does."""

    what: str
    command: str
    make: Callable[[], None]


def gaps(clients: Clients, pipeline: Pipeline, deadline_s: float) -> list[Gap]:
    """What of the pipeline's stores is not there; PipelineError when that cannot be known."""
    found: list[Gap] = []
    if pipeline.dataset:
        found += _bigquery_gaps(clients, pipeline, deadline_s)
    if pipeline.bigtable_instance and pipeline.bigtable_table:
        found += _bigtable_gaps(clients, pipeline, deadline_s)
    return found


def look_at_dataset(clients: Clients, pipeline: Pipeline, deadline_s: float) -> str:
    """Missing when there is no such dataset."""
    name = f"{pipeline.project}.{pipeline.dataset}"
    with explained("BigQuery", f"looking at dataset {name}"):
        found = clients.bigquery.get_dataset(name, **reading_bigquery(deadline_s))
    return f"exists in {found.location or 'its default location'}"


def look_at_table(clients: Clients, pipeline: Pipeline, table: Table, deadline_s: float) -> str:
    """Missing when it is not there; Refused, with what to do, when its columns are not what is written."""
    name = f"{pipeline.project}.{pipeline.dataset}.{table.name}"
    with explained("BigQuery", f"looking at table {name}"):
        found = clients.bigquery.get_table(name, **reading_bigquery(deadline_s))
    has = {one.name: _OLD_NAMES.get(one.field_type, one.field_type) for one in found.schema}
    absent = [field for field, _, _ in table.fields if field not in has]
    differing = [
        f"{field} is {has[field]}, not {kind}"
        for field, kind, _ in table.fields
        if has.get(field, kind) != kind
    ]
    if absent or differing:
        lacking = [f"it lacks {', '.join(absent)}"] if absent else []
        raise Refused("; ".join([*lacking, *differing]))
    return f"{len(has)} columns, by day of {table.partition}, clustered by {', '.join(table.clustering)}"


def look_at_statistics(clients: Clients, pipeline: Pipeline, deadline_s: float) -> str:
    """Missing without the table; Refused without its column family."""
    path = f"{_instance(pipeline)}/tables/{pipeline.bigtable_table}"
    with explained("Bigtable", f"looking at table {pipeline.bigtable_table}"):
        found = clients.bigtable_tables.get_table(request={"name": path}, **reading(deadline_s))
    if FAMILY not in found.column_families:
        raise Refused(f"it has no column family {FAMILY}")
    return f"exists, with column family {FAMILY}"


def look_at_instance(clients: Clients, pipeline: Pipeline, deadline_s: float) -> str:
    """Missing when there is no such instance."""
    with explained("Bigtable", f"looking at instance {pipeline.bigtable_instance}"):
        clients.bigtable_instances.get_instance(request={"name": _instance(pipeline)}, **reading(deadline_s))
    return "exists"


def dataset_command(pipeline: Pipeline) -> str:
    return f"bq --location={pipeline.region} mk --dataset {pipeline.project}:{pipeline.dataset}"


def table_command(pipeline: Pipeline, table: Table) -> str:
    """BigQuery's own words for the whole table."""
    columns = ", ".join(
        f"{name} {kind}{' NOT NULL' if needed else ''}" for name, kind, needed in table.fields
    )
    ddl = (
        f"CREATE TABLE IF NOT EXISTS `{pipeline.project}.{pipeline.dataset}.{table.name}` ({columns}) "
        f"PARTITION BY DATE({table.partition}) CLUSTER BY {', '.join(table.clustering)}"
    )
    return f"bq query --use_legacy_sql=false --project_id={pipeline.project} '{ddl}'"


def columns_command(pipeline: Pipeline, table: Table) -> str:
    """Adds the columns that a table lacks; one that is there already is left as it is."""
    adds = ", ".join(f"ADD COLUMN IF NOT EXISTS {name} {kind}" for name, kind, _ in table.fields)
    ddl = f"ALTER TABLE `{pipeline.project}.{pipeline.dataset}.{table.name}` {adds}"
    return f"bq query --use_legacy_sql=false --project_id={pipeline.project} '{ddl}'"


def statistics_command(pipeline: Pipeline) -> str:
    return (
        f"cbt -project {pipeline.project} -instance {pipeline.bigtable_instance} createtable "
        f"{pipeline.bigtable_table} families={FAMILY}:maxage={KEPT.days}d"
    )


def family_command(pipeline: Pipeline) -> str:
    target = f"cbt -project {pipeline.project} -instance {pipeline.bigtable_instance}"
    return f"{target} createfamily {pipeline.bigtable_table} {FAMILY}"


def _bigquery_gaps(clients: Clients, pipeline: Pipeline, deadline_s: float) -> list[Gap]:
    found = []
    try:
        look_at_dataset(clients, pipeline, deadline_s)
        whole = True
    except Missing:
        whole = False
        found.append(
            Gap(
                what=f"BigQuery's dataset {pipeline.dataset} in {pipeline.region}",
                command=dataset_command(pipeline),
                make=lambda: _make_dataset(clients, pipeline, deadline_s),
            )
        )
    for table in TABLES.values():
        try:
            if whole:
                with suppress(Refused):  # it is there; `validate` says what of it is wrong
                    look_at_table(clients, pipeline, table, deadline_s)
                continue
        except Missing:
            pass
        found.append(
            Gap(
                what=f"BigQuery's table {table.name}, by day of {table.partition}, clustered by "
                f"{' and '.join(table.clustering)}",
                command=table_command(pipeline, table),
                make=lambda table=table: _make_table(clients, pipeline, table, deadline_s),  # type: ignore[misc]
            )
        )
    return found


def _bigtable_gaps(clients: Clients, pipeline: Pipeline, deadline_s: float) -> list[Gap]:
    try:
        look_at_statistics(clients, pipeline, deadline_s)
    except Missing:
        return [
            Gap(
                what=f"Bigtable's table {pipeline.bigtable_table} with column family {FAMILY}, whose cells are kept "
                f"for {KEPT.days} days",
                command=statistics_command(pipeline),
                make=lambda: _make_statistics(clients, pipeline, deadline_s),
            )
        ]
    except Refused:
        return [
            Gap(
                what=f"column family {FAMILY} of Bigtable's table {pipeline.bigtable_table}",
                command=family_command(pipeline),
                make=lambda: _make_family(clients, pipeline, deadline_s),
            )
        ]
    return []


def _make_dataset(clients: Clients, pipeline: Pipeline, deadline_s: float) -> None:
    from google.cloud import bigquery

    dataset = bigquery.Dataset(f"{pipeline.project}.{pipeline.dataset}")
    dataset.location = pipeline.region
    with explained("BigQuery", f"creating dataset {pipeline.dataset}"):
        clients.bigquery.create_dataset(dataset, exists_ok=True, timeout=deadline_s)


def _make_table(clients: Clients, pipeline: Pipeline, table: Table, deadline_s: float) -> None:
    from google.cloud import bigquery

    schema = [
        bigquery.SchemaField(name, kind, mode="REQUIRED" if needed else "NULLABLE")
        for name, kind, needed in table.fields
    ]
    made = bigquery.Table(f"{pipeline.project}.{pipeline.dataset}.{table.name}", schema=schema)
    made.time_partitioning = bigquery.TimePartitioning(field=table.partition)
    made.clustering_fields = list(table.clustering)
    with explained("BigQuery", f"creating table {table.name}"):
        clients.bigquery.create_table(made, exists_ok=True, timeout=deadline_s)


def _make_statistics(clients: Clients, pipeline: Pipeline, deadline_s: float) -> None:
    request = {
        "parent": _instance(pipeline),
        "table_id": pipeline.bigtable_table,
        "table": {"column_families": {FAMILY: _kept()}},
    }
    with explained("Bigtable", f"creating table {pipeline.bigtable_table}"):
        _unless_there(lambda: clients.bigtable_tables.create_table(request=request, **once(deadline_s)))


def _make_family(clients: Clients, pipeline: Pipeline, deadline_s: float) -> None:
    request = {
        "name": f"{_instance(pipeline)}/tables/{pipeline.bigtable_table}",
        "modifications": [{"id": FAMILY, "create": _kept()}],
    }
    with explained("Bigtable", f"adding column family {FAMILY} to {pipeline.bigtable_table}"):
        _unless_there(
            lambda: clients.bigtable_tables.modify_column_families(request=request, **once(deadline_s))
        )


def _unless_there(make: Callable[[], Any]) -> None:
    from google.api_core import exceptions as api

    with suppress(api.AlreadyExists):
        make()


def _kept() -> dict[str, Any]:
    return {"gc_rule": {"max_age": KEPT}}


def _instance(pipeline: Pipeline) -> str:
    return f"projects/{pipeline.project}/instances/{pipeline.bigtable_instance}"
