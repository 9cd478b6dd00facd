"""BigQuery over HTTP, as its official clients speak it: its methods and its resources."""

from __future__ import annotations

from typing import Any

from starlette.routing import Route

from sandbox.google.bigquery import Dataset, Table
from sandbox.google.bigquery_jobs import LOCATION
from sandbox.google.bigquery_seed import refresh
from sandbox.google.bigquery_types import encode_row, parse_fields
from sandbox.google.errors import Refused, invalid
from sandbox.google.rest import Call, Handler, Json, endpoint
from sandbox.google.services.base import page

ROOT = "/bigquery/v2/projects/{project}"
DATASET_META = ("friendlyName", "description", "labels", "location", "defaultTableExpirationMs")
TABLE_META = (
    "timePartitioning",
    "rangePartitioning",
    "clustering",
    "labels",
    "description",
    "friendlyName",
    "expirationTime",
    "requirePartitionFilter",
)


def _the_table(call: Call) -> Table:
    return call.world.bigquery.table(call.path["project"], call.path["dataset"], call.path["table"])


def _the_dataset(call: Call) -> Dataset:
    return call.world.bigquery.dataset(call.path["project"], call.path["dataset"])


def _stamps(call: Call) -> str:
    """The form in which the caller wants timestamps."""
    options = call.body.get("formatOptions") or {}
    prefix = "formatOptions."
    form = options.get("timestampOutputFormat") or call.query.get(prefix + "timestampOutputFormat")
    whole = options.get("useInt64Timestamp") or call.query.get(prefix + "useInt64Timestamp")
    if form in ("INT64", "FLOAT64", "ISO8601_STRING"):
        return str(form)
    return "INT64" if str(whole).lower() == "true" else "FLOAT64"


def datasets_list(call: Call, now: float) -> Json:
    """datasets.list."""
    project = call.path["project"]
    found = [one for one in call.world.bigquery.datasets.values() if one.project == project]
    shown, token = call.page(found, size="maxResults")
    items = [
        {key: _dataset(one)[key] for key in ("kind", "id", "datasetReference", "location")} for one in shown
    ]
    return {"kind": "bigquery#datasetList", "etag": "sandbox", "datasets": items} | token


def datasets_insert(call: Call, now: float) -> Json:
    """datasets.insert."""
    reference = call.body.get("datasetReference") or {}
    meta = {key: call.body[key] for key in DATASET_META if key in call.body}
    made = call.world.bigquery.add_dataset(
        call.path["project"], str(reference.get("datasetId") or ""), meta, now
    )
    return _dataset(made)


def datasets_get(call: Call, now: float) -> Json:
    """datasets.get."""
    return _dataset(_the_dataset(call))


def datasets_delete(call: Call, now: float) -> Json:
    """datasets.delete."""
    contents = call.query.get("deleteContents") == "true"
    call.world.bigquery.drop_dataset(call.path["project"], call.path["dataset"], with_tables=contents)
    return {}


def tables_list(call: Call, now: float) -> Json:
    """tables.list."""
    found = list(_the_dataset(call).tables.values())
    shown, token = call.page(found, size="maxResults")
    keys = (
        "kind",
        "id",
        "tableReference",
        "type",
        "creationTime",
        "timePartitioning",
        "clustering",
        "labels",
    )
    items = [{key: value for key, value in _table(one, now).items() if key in keys} for one in shown]
    return {
        "kind": "bigquery#tableList",
        "etag": "sandbox",
        "tables": items,
        "totalItems": len(found),
    } | token


def tables_insert(call: Call, now: float) -> Json:
    """tables.insert."""
    dataset = _the_dataset(call)
    reference = call.body.get("tableReference") or {}
    if call.body.get("view") or call.body.get("externalDataConfiguration"):
        raise Refused("UNIMPLEMENTED", "The sandbox has plain tables, neither views nor external ones.")
    fields = parse_fields((call.body.get("schema") or {}).get("fields") or [])
    meta = {key: call.body[key] for key in TABLE_META if call.body.get(key) is not None}
    name = str(reference.get("tableId") or "")
    made = call.world.bigquery.add_table(dataset.project, dataset.name, name, fields, meta, now)
    return _table(made, now)


def tables_get(call: Call, now: float) -> Json:
    """tables.get."""
    return _table(_the_table(call), now)


def tables_patch(call: Call, now: float) -> Json:
    """tables.patch and tables.update: labels, description, new columns."""
    table = _the_table(call)
    schema = call.body.get("schema")
    if schema and schema.get("fields"):
        call.world.bigquery.add_fields(table, parse_fields(schema["fields"]))
    table.meta |= {key: call.body[key] for key in TABLE_META if call.body.get(key) is not None}
    table.modified = now
    return _table(table, now)


def tables_delete(call: Call, now: float) -> Json:
    """tables.delete."""
    call.world.bigquery.drop_table(call.path["project"], call.path["dataset"], call.path["table"])
    return {}


def tables_act(call: Call, now: float) -> Json:
    """tables.testIamPermissions."""
    name, _, action = call.path["table"].partition(":")
    call.world.bigquery.table(call.path["project"], call.path["dataset"], name)
    if action != "testIamPermissions":
        raise Refused("UNIMPLEMENTED", f"The sandbox does not play {action or 'that'}.")
    return {"permissions": call.world.iam.granted(call.body.get("permissions") or [])}


def insert_all(call: Call, now: float) -> Json:
    """tabledata.insertAll."""
    rows = call.body.get("rows")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise invalid("No rows present in the request.")
    errors = call.world.bigquery.insert(
        _the_table(call),
        rows,
        ignore_unknown=bool(call.body.get("ignoreUnknownValues")),
        skip_invalid=bool(call.body.get("skipInvalidRows")),
        now=now,
        wall=call.world.wall(),
    )
    return {"kind": "bigquery#tableDataInsertAllResponse"} | ({"insertErrors": errors} if errors else {})


def data_list(call: Call, now: float) -> Json:
    """tabledata.list; also of a query's result, under the table name that the job gave it."""
    if call.path["table"].startswith("anon_"):
        job = call.world.bigquery_jobs.get(call.path["project"], call.path["table"].removeprefix("anon_"))
        return _results(call, job, "bigquery#tableDataList")
    table = _the_table(call)
    size = call.number("maxResults")
    start = call.number("startIndex") or 0
    token = call.query.get("pageToken") or ""
    shown, following = page(range(table.rows), size or 0, token, default=10_000, maximum=100_000, first=start)
    rows = call.world.bigquery.read(table, shown[0], len(shown)) if len(shown) and size != 0 else []
    out: Json = {
        "kind": "bigquery#tableDataList",
        "etag": "sandbox",
        "totalRows": str(table.rows),
        "rows": [encode_row(table.fields, row, _stamps(call)) for row in rows],
    }
    return out | ({"pageToken": following} if following and size != 0 else {})


def jobs_insert(call: Call, now: float) -> Json:
    """jobs.insert, with and without rows to load."""
    return call.world.bigquery_jobs.insert(call.path["project"], call.body, now, call.media).resource()


def jobs_list(call: Call, now: float) -> Json:
    """jobs.list, newest first."""
    least, most = call.number("minCreationTime") or 0, call.number("maxCreationTime")
    found = [
        job
        for job in call.world.bigquery_jobs.all(call.path["project"])
        if job.at * 1000 >= least and (most is None or job.at * 1000 <= most)
    ]
    shown, token = call.page(found, size="maxResults")
    items = [job.resource() | {"state": "DONE"} for job in shown]
    return {"kind": "bigquery#jobList", "etag": "sandbox", "jobs": items} | token


def jobs_get(call: Call, now: float) -> Json:
    """jobs.get."""
    return call.world.bigquery_jobs.get(call.path["project"], call.path["job"]).resource()


def jobs_cancel(call: Call, now: float) -> Json:
    """jobs.cancel; every job is done already."""
    return {"kind": "bigquery#jobCancelResponse", "job": jobs_get(call, now)}


def jobs_query(call: Call, now: float) -> Json:
    """jobs.query: a query and its first rows in one request."""
    body = call.body
    names = (
        "query",
        "queryParameters",
        "parameterMode",
        "defaultDataset",
        "maximumBytesBilled",
        "useLegacySql",
    )
    configuration: Json = {"query": {name: body[name] for name in names if name in body}}
    if body.get("dryRun"):
        configuration["dryRun"] = True
    reference = {"location": body.get("location")}
    job = call.world.bigquery_jobs.insert(
        call.path["project"], {"configuration": configuration, "jobReference": reference}, now
    )
    limit = body.get("maxResults")
    size = None if limit is None else int(limit)
    return job.results(size=size, token="", start=0, stamps=_stamps(call), kind="bigquery#queryResponse")


def query_results(call: Call, now: float) -> Json:
    """jobs.getQueryResults."""
    job = call.world.bigquery_jobs.get(call.path["project"], call.path["job"])
    return _results(call, job, "bigquery#getQueryResultsResponse")


def _results(call: Call, job: Any, kind: str) -> Json:
    answer: Json = job.results(
        size=call.number("maxResults"),
        token=call.query.get("pageToken") or "",
        start=call.number("startIndex") or 0,
        stamps=_stamps(call),
        kind=kind,
    )
    return answer


def _dataset(one: Dataset) -> Json:
    millis = str(round(one.created * 1000))
    return {
        "kind": "bigquery#dataset",
        "etag": "sandbox",
        "id": f"{one.project}:{one.name}",
        "datasetReference": {"projectId": one.project, "datasetId": one.name},
        "location": LOCATION,
        "creationTime": millis,
        "lastModifiedTime": millis,
        **one.meta,
    }


def _table(one: Table, now: float) -> Json:
    return {
        "kind": "bigquery#table",
        "etag": "sandbox",
        "id": one.full,
        "tableReference": {"projectId": one.project, "datasetId": one.dataset, "tableId": one.name},
        "schema": {"fields": [field.as_json() for field in one.fields]},
        "type": "TABLE",
        "location": LOCATION,
        "creationTime": str(round(one.created * 1000)),
        "lastModifiedTime": str(round(one.modified * 1000)),
        "numRows": str(one.rows),
        "numBytes": str(one.bytes),
        **one.meta,
    }


def _route(path: str, verb: str, method: str, handler: Handler) -> Route:
    group, _, name = method.partition(".")
    return Route(
        path, endpoint(f"bigquery.{group}/{name}", handler, refresh, empty=204), methods=verb.split()
    )


_DATASET = ROOT + "/datasets/{dataset}"
_TABLE = _DATASET + "/tables/{table}"
routes = [
    _route(ROOT + "/datasets", "GET", "datasets.list", datasets_list),
    _route(ROOT + "/datasets", "POST", "datasets.insert", datasets_insert),
    _route(_DATASET, "GET", "datasets.get", datasets_get),
    _route(_DATASET, "DELETE", "datasets.delete", datasets_delete),
    _route(_DATASET + "/tables", "GET", "tables.list", tables_list),
    _route(_DATASET + "/tables", "POST", "tables.insert", tables_insert),
    _route(_TABLE, "GET", "tables.get", tables_get),
    _route(_TABLE, "POST", "tables.testIamPermissions", tables_act),
    _route(_TABLE, "PATCH PUT", "tables.patch", tables_patch),
    _route(_TABLE, "DELETE", "tables.delete", tables_delete),
    _route(_TABLE + "/insertAll", "POST", "tabledata.insertAll", insert_all),
    _route(_TABLE + "/data", "GET", "tabledata.list", data_list),
    _route(ROOT + "/jobs", "POST", "jobs.insert", jobs_insert),
    _route("/upload" + ROOT + "/jobs", "POST", "jobs.insert", jobs_insert),
    _route(ROOT + "/jobs", "GET", "jobs.list", jobs_list),
    _route(ROOT + "/jobs/{job}", "GET", "jobs.get", jobs_get),
    _route(ROOT + "/jobs/{job}/cancel", "POST", "jobs.cancel", jobs_cancel),
    _route(ROOT + "/queries", "POST", "jobs.query", jobs_query),
    _route(ROOT + "/queries/{job}", "GET", "jobs.getQueryResults", query_results),
]
