"""BigQuery's INFORMATION_SCHEMA: tables and columns of a dataset, jobs of a project, as tables to query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.google.bigquery_types import Field, parse_fields
from sandbox.google.errors import Refused
from sandbox.google.timeline import instant

if TYPE_CHECKING:
    from sandbox.google.bigquery import BigQuery
    from sandbox.google.bigquery_jobs import Jobs

Json = dict[str, Any]
PREFIX = "INFORMATION_SCHEMA."
STANDARD = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}


def _fields(**types: str) -> tuple[Field, ...]:
    return parse_fields([{"name": name, "type": kind} for name, kind in types.items()])


_TABLE = {"table_catalog": "STRING", "table_schema": "STRING", "table_name": "STRING"}
TABLES = _fields(**_TABLE, table_type="STRING", creation_time="TIMESTAMP")
COLUMNS = _fields(
    **_TABLE,
    column_name="STRING",
    ordinal_position="INTEGER",
    is_nullable="STRING",
    data_type="STRING",
    is_partitioning_column="STRING",
    clustering_ordinal_position="INTEGER",
)
JOBS = (
    *_fields(
        creation_time="TIMESTAMP",
        project_id="STRING",
        user_email="STRING",
        job_id="STRING",
        job_type="STRING",
        statement_type="STRING",
        start_time="TIMESTAMP",
        end_time="TIMESTAMP",
        query="STRING",
        state="STRING",
        total_bytes_processed="INTEGER",
        total_bytes_billed="INTEGER",
        total_slot_ms="INTEGER",
        cache_hit="BOOLEAN",
    ),
    Field(name="error_result", type="RECORD", fields=_fields(reason="STRING", message="STRING")),
)


def view(
    store: BigQuery, jobs: Jobs, name: str, project: str, dataset: str
) -> tuple[tuple[Field, ...], list[Json]]:
    """Fields and rows of a view, such as INFORMATION_SCHEMA.TABLES. Raises Refused for one that is not offered.

    Of JOBS the dataset is a region's name, which makes no difference here.
    """
    short = name.upper().removeprefix(PREFIX)
    if short == "TABLES":
        return TABLES, _tables(store, project, dataset)
    if short == "COLUMNS":
        return COLUMNS, _columns(store, project, dataset)
    if short in ("JOBS", "JOBS_BY_PROJECT", "JOBS_BY_USER"):
        others = jobs.others(project) if short != "JOBS_BY_USER" else []
        return JOBS, [*(_job(one) for one in jobs.all(project)), *others]
    raise Refused("NOT_FOUND", f"Not found: Table {project}:{dataset}.{name}")


def _tables(store: BigQuery, project: str, dataset: str) -> list[Json]:
    return [
        {
            "table_catalog": project,
            "table_schema": dataset,
            "table_name": one.name,
            "table_type": "BASE TABLE",
            "creation_time": instant(one.created).isoformat(),
        }
        for one in store.dataset(project, dataset).tables.values()
    ]


def _columns(store: BigQuery, project: str, dataset: str) -> list[Json]:
    rows: list[Json] = []
    for table in store.dataset(project, dataset).tables.values():
        partition = (table.meta.get("timePartitioning") or {}).get("field")
        clustering = list((table.meta.get("clustering") or {}).get("fields") or [])
        for number, field in enumerate(table.fields, 1):
            clustered = clustering.index(field.name) + 1 if field.name in clustering else None
            kind = STANDARD.get(field.type, field.type)
            rows.append(
                {
                    "table_catalog": project,
                    "table_schema": dataset,
                    "table_name": table.name,
                    "column_name": field.name,
                    "ordinal_position": number,
                    "is_nullable": "NO" if field.mode == "REQUIRED" else "YES",
                    "data_type": f"ARRAY<{kind}>" if field.mode == "REPEATED" else kind,
                    "is_partitioning_column": "YES" if field.name == partition else "NO",
                    "clustering_ordinal_position": clustered,
                }
            )
    return rows


def _job(job: Any) -> Json:
    resource = job.resource()
    statistics = resource["statistics"]
    query = statistics.get("query") or {}
    moment = instant(job.at).isoformat()
    failed = resource["status"].get("errorResult")
    return {
        "creation_time": moment,
        "project_id": job.project,
        "user_email": resource["user_email"],
        "job_id": job.id,
        "job_type": resource["configuration"].get("jobType") or ("LOAD" if job.kind == "LOAD" else "QUERY"),
        "statement_type": job.kind,
        "start_time": moment,
        "end_time": moment,
        "query": (resource["configuration"].get("query") or {}).get("query"),
        "state": "DONE",
        "total_bytes_processed": statistics["totalBytesProcessed"],
        "total_bytes_billed": query.get("totalBytesBilled"),
        "total_slot_ms": statistics["totalSlotMs"],
        "cache_hit": query.get("cacheHit"),
        "error_result": {"reason": failed["reason"], "message": failed["message"]} if failed else {},
    }
