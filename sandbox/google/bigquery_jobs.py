"""BigQuery's jobs: queries and loads, which are done as soon as they are asked for, and their results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sandbox.google import bigquery_info
from sandbox.google.bigquery import BigQuery, Row, Table
from sandbox.google.bigquery_types import Field, encode_row, parse_fields
from sandbox.google.errors import Refused, invalid
from sandbox.google.http_errors import error_of
from sandbox.google.services.base import page

Json = dict[str, Any]
LOCATION = "EU"
KEPT = 300
BILLED_LEAST = 10 * 1024 * 1024
SLOT_MS = 40


@dataclass(slots=True, kw_only=True)
class BigQueryJob:
    """One job that has run, at epoch seconds `at`; `refused` when it failed."""

    project: str
    id: str
    location: str
    configuration: Json
    at: float
    kind: str = "SELECT"
    fields: tuple[Field, ...] = ()
    rows: list[Row] = field(default_factory=list)
    bytes: int = 0
    written: int | None = None
    refused: Refused | None = None

    @property
    def dry(self) -> bool:
        """Whether it only said what it would cost."""
        return bool(self.configuration.get("dryRun"))

    @property
    def reference(self) -> Json:
        """Its name in three parts."""
        return {"projectId": self.project, "jobId": self.id, "location": self.location}

    def resource(self) -> Json:
        """The job as jobs.get answers it."""
        status: Json = {"state": "DONE"}
        if self.refused is not None:
            error = error_of(self.refused)
            status |= {"errorResult": error, "errors": [error]}
        return {
            "kind": "bigquery#job",
            "etag": "sandbox",
            "id": f"{self.project}:{self.location}.{self.id}",
            "jobReference": self.reference,
            "configuration": self.configuration,
            "status": status,
            "statistics": self._statistics(),
            "user_email": "sandbox@example.com",
        }

    def _statistics(self) -> Json:
        millis = str(round(self.at * 1000))
        out: Json = {
            "creationTime": millis,
            "startTime": millis,
            "endTime": millis,
            "totalBytesProcessed": str(self.bytes),
            "totalSlotMs": str(SLOT_MS),
        }
        if "load" in self.configuration:
            return out | {"load": {"outputRows": str(self.written or 0), "badRecords": "0"}}
        query: Json = {
            "statementType": self.kind,
            "totalBytesProcessed": str(self.bytes),
            "totalBytesBilled": "0" if self.dry else str(billed(self.bytes)),
            "totalSlotMs": str(SLOT_MS),
            "cacheHit": False,
            "schema": {"fields": [one.as_json() for one in self.fields]},
        }
        if self.written is not None:
            query["numDmlAffectedRows"] = str(self.written)
        return out | {"query": query}

    def results(self, *, size: int | None, token: str, start: int, stamps: str, kind: str) -> Json:
        """One page of the rows. Raises the reason for which the query failed."""
        if self.refused is not None:
            raise self.refused
        shown, following = page(self.rows, size or 0, token, default=10_000, maximum=100_000, first=start)
        out: Json = {
            "kind": kind,
            "etag": "sandbox",
            "jobReference": self.reference,
            "jobComplete": True,
            "totalRows": str(len(self.rows)),
            "totalBytesProcessed": str(self.bytes),
            "cacheHit": False,
            "schema": {"fields": [one.as_json() for one in self.fields]},
        }
        # A page of zero rows is how clients ask whether the job is done: no rows, not an empty list of them.
        if shown and size != 0:
            out["rows"] = [encode_row(self.fields, row, stamps) for row in shown]
            out |= {"pageToken": following} if following else {}
        if self.written is not None:
            out["numDmlAffectedRows"] = str(self.written)
        return out


class Jobs:
    """The jobs of the last while. Not thread-safe: callers hold the world's lock."""

    def __init__(self, store: BigQuery) -> None:
        self._store = store
        self._jobs: dict[tuple[str, str], BigQueryJob] = {}
        self._serial = count(1)
        self.others: Callable[[str], list[Json]] = lambda project: []
        store.views = lambda name, project, dataset: bigquery_info.view(store, self, name, project, dataset)

    def get(self, project: str, job_id: str) -> BigQueryJob:
        """Raises Refused NOT_FOUND."""
        found = self._jobs.get((project, job_id))
        if found is None:
            raise Refused("NOT_FOUND", f"Not found: Job {project}:{LOCATION}.{job_id}")
        return found

    def all(self, project: str) -> list[BigQueryJob]:
        """The project's jobs, newest first."""
        return [job for job in reversed(self._jobs.values()) if job.project == project]

    def insert(
        self, project: str, body: Mapping[str, Any], now: float, media: bytes | None = None
    ) -> BigQueryJob:
        """Run a job of jobs.insert. A failure of the job itself is in the job; a bad request raises Refused."""
        reference = body.get("jobReference") or {}
        configuration = dict(body.get("configuration") or {})
        job = BigQueryJob(
            project=project,
            id=str(reference.get("jobId") or f"job_sandbox_{next(self._serial):06d}"),
            location=str(reference.get("location") or LOCATION),
            configuration=configuration,
            at=now,
        )
        if (project, job.id) in self._jobs:
            raise Refused("ALREADY_EXISTS", f"Already Exists: Job {project}:{job.location}.{job.id}")
        try:
            if "query" in configuration:
                self._query(job, now)
            elif "load" in configuration:
                self._load(job, media, now)
            else:
                raise Refused("UNIMPLEMENTED", "The sandbox plays query jobs and load jobs only.")
        except Refused as refusal:
            if job.dry or refusal.code == "UNIMPLEMENTED":
                raise
            job.refused = refusal
        if not job.dry:
            self._keep(job)
        return job

    def _keep(self, job: BigQueryJob) -> None:
        self._jobs[job.project, job.id] = job
        while len(self._jobs) > KEPT:
            del self._jobs[next(iter(self._jobs))]

    def _query(self, job: BigQueryJob, now: float) -> None:
        asked = job.configuration["query"]
        if asked.get("useLegacySql") is True:
            raise invalid("Legacy SQL is not offered: set useLegacySql to false.")
        default = asked.get("defaultDataset") or {}
        query = self._store.translated(
            str(asked.get("query") or ""),
            list(asked.get("queryParameters") or []),
            job.project,
            (str(default.get("projectId") or job.project), str(default["datasetId"])) if default else None,
            now,
        )
        job.kind, job.bytes = query.kind, query.bytes
        limit = asked.get("maximumBytesBilled")
        if limit not in (None, "") and billed(query.bytes) > int(limit):
            raise invalid(
                f"Query exceeded limit for bytes billed: {limit}. {billed(query.bytes)} or higher required."
            )
        job.fields, rows = self._store.run(query, dry=job.dry)
        if query.kind == "SELECT":
            job.rows = rows
            self._name_result(job)
        elif rows:
            job.written = int(rows[0][0])

    def _name_result(self, job: BigQueryJob) -> None:
        """Every result has a table's name, as if it were an anonymous table of BigQuery's."""
        asked = dict(job.configuration["query"])
        if asked.get("destinationTable"):
            raise Refused(
                "UNIMPLEMENTED", "The sandbox does not write a query's result to a table: INSERT does."
            )
        name = {"projectId": job.project, "datasetId": "_sandbox_results", "tableId": f"anon_{job.id}"}
        job.configuration = {
            **job.configuration,
            "jobType": "QUERY",
            "query": asked | {"destinationTable": name},
        }

    def _load(self, job: BigQueryJob, media: bytes | None, now: float) -> None:
        asked = job.configuration["load"]
        job.configuration = {**job.configuration, "jobType": "LOAD"}
        job.kind = "LOAD"
        if media is None or str(asked.get("sourceFormat") or "CSV") != "NEWLINE_DELIMITED_JSON":
            raise Refused(
                "UNIMPLEMENTED", "The sandbox loads newline-delimited JSON that comes with the request."
            )
        rows = _lines(media)
        table = self._target(job, asked, rows, now)
        disposition = str(asked.get("writeDisposition") or "WRITE_APPEND")
        if disposition == "WRITE_EMPTY" and table.rows:
            raise Refused("ALREADY_EXISTS", f"Already Exists: Table {table.full}")
        if disposition == "WRITE_TRUNCATE":
            self._store.clear(table)
        job.written = self._store.load(
            table, rows, now, ignore_unknown=bool(asked.get("ignoreUnknownValues"))
        )

    def _target(self, job: BigQueryJob, asked: Json, rows: list[Any], now: float) -> Table:
        named = asked.get("destinationTable") or {}
        name = (
            str(named.get("projectId") or job.project),
            str(named.get("datasetId")),
            str(named.get("tableId")),
        )
        try:
            return self._store.table(*name)
        except Refused:
            if asked.get("createDisposition") == "CREATE_NEVER":
                raise
        schema = (asked.get("schema") or {}).get("fields")
        fields = parse_fields(schema) if schema else _guessed(rows)
        meta = {key: asked[key] for key in ("timePartitioning", "clustering") if asked.get(key)}
        return self._store.add_table(*name, fields, meta, now)


def _lines(media: bytes) -> list[Any]:
    out = []
    for number, line in enumerate(media.splitlines(), 1):
        if line.strip():
            try:
                out.append(json.loads(line))
            except ValueError as error:
                raise invalid(f"Error while reading data, row {number}: {error}") from error
    return out


def _guessed(rows: list[Any]) -> tuple[Field, ...]:
    """The schema that the first values suggest: what `autodetect` does, in small."""
    kinds: dict[str, Json] = {}
    for row in rows:
        for name, value in row.items() if isinstance(row, dict) else ():
            if value is not None and name not in kinds:
                kinds[name] = {"name": name, **_guess(value)}
    return parse_fields(list(kinds.values()))


def _guess(value: Any) -> Json:
    if isinstance(value, list):
        return _guess(value[0] if value else "") | {"mode": "REPEATED"}
    if isinstance(value, dict):
        return {
            "type": "RECORD",
            "fields": [{"name": name, **_guess(inner)} for name, inner in value.items()],
        }
    known = {bool: "BOOLEAN", int: "INTEGER", float: "FLOAT"}
    return {"type": known.get(type(value), "STRING")}


def billed(read: int) -> int:
    """Bytes that are charged for reading so many: 10 MiB at least, whole MiB, nothing for nothing."""
    return max(BILLED_LEAST, -(-read // 2**20) * 2**20) if read else 0
