"""What a project asks of BigQuery: its queries of a while, with the slots they used (INFORMATION_SCHEMA.JOBS)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from pipeline.catalogue import Pipeline
from pipeline.errors import Refused
from pipeline.google.calls import reading_bigquery
from pipeline.google.clients import Clients
from pipeline.google.errors import explained
from pipeline.masking import mask_text
from pipeline.sinks import Queries, Query

_MOST_BYTES: Final = 1 << 30
_TEXT: Final = 160
_SLOWEST: Final = 5
_PROJECT: Final = re.compile(r"[a-z][a-z0-9.:-]{4,61}[a-z0-9]")
_LOCATION: Final = re.compile(r"[a-z0-9-]{2,40}")
_JOBS: Final = """
WITH jobs AS (
  SELECT user_email, query, start_time, total_slot_ms, total_bytes_processed, error_result.reason AS reason,
         TIMESTAMP_DIFF(end_time, start_time, MILLISECOND) AS ms
  FROM `{project}`.`region-{location}`.INFORMATION_SCHEMA.JOBS_BY_PROJECT
  WHERE creation_time >= @since AND job_type = 'QUERY' AND state = 'DONE'),
all_jobs AS (
  SELECT COUNT(*) AS queries, SUM(total_slot_ms) AS slot_ms, SUM(IF(reason IS NULL, 0, 1)) AS failed FROM jobs)
SELECT user_email, query, COUNT(*) AS times, MAX(start_time) AS newest, MAX(ms) AS ms, SUM(ms) AS all_ms,
       SUM(jobs.total_slot_ms) AS own_slot_ms, MAX(total_bytes_processed) AS bytes,
       MAX(queries) AS queries, MAX(slot_ms) AS slot_ms, MAX(failed) AS failed
FROM jobs CROSS JOIN all_jobs
GROUP BY user_email, query
ORDER BY ms DESC
LIMIT {most}
"""


def queries_since(
    clients: Clients, pipeline: Pipeline, since: datetime, now: datetime, deadline_s: float
) -> Queries:
    """The finished queries of the pipeline's project where its dataset lies; PipelineError when not told."""
    with explained("BigQuery", "connecting"):
        client = clients.bigquery
    from google.cloud import bigquery

    with explained("BigQuery", f"looking at dataset {pipeline.dataset}"):
        found = client.get_dataset(f"{pipeline.project}.{pipeline.dataset}", **reading_bigquery(deadline_s))
    location = str(found.location or pipeline.region).lower()
    if not (_PROJECT.fullmatch(pipeline.project) and _LOCATION.fullmatch(location)):
        raise Refused(f"“{pipeline.project}” in “{location}” cannot stand in a query of BigQuery's.")
    config = bigquery.QueryJobConfig(
        maximum_bytes_billed=_MOST_BYTES,
        query_parameters=[bigquery.ScalarQueryParameter("since", "TIMESTAMP", since)],
    )
    with explained("BigQuery", "reading the queries of the last hour (INFORMATION_SCHEMA.JOBS_BY_PROJECT)"):
        rows = list(
            client.query_and_wait(
                _JOBS.format(project=pipeline.project, location=location, most=_SLOWEST),
                job_config=config,
                project=pipeline.project,
                location=found.location,
                api_timeout=deadline_s,
                wait_timeout=deadline_s,
                retry=reading_bigquery(deadline_s)["retry"],
                job_retry=None,
            )
        )
    return _queries(rows, (now - since).total_seconds())


def _queries(rows: list[Any], span_s: float) -> Queries:
    if not rows:
        return Queries(count=0, failed=0, slots=0.0)
    first = rows[0]
    return Queries(
        count=int(first["queries"]),
        failed=int(first["failed"] or 0),
        slots=float(first["slot_ms"] or 0) / 1000 / span_s,
        slowest=tuple(_query(row) for row in rows),
    )


def _query(row: Any) -> Query:
    all_s = float(row["all_ms"] or 0) / 1000
    text = mask_text(" ".join(str(row["query"] or "").split()))
    return Query(
        text=text if len(text) <= _TEXT else f"{text[: _TEXT - 1]}…",
        user=str(row["user_email"] or "unknown"),
        times=int(row["times"]),
        took_s=float(row["ms"] or 0) / 1000,
        slots=float(row["own_slot_ms"] or 0) / 1000 / all_s if all_s else 0.0,
        read=float(row["bytes"] or 0),
        at=row["newest"].astimezone(UTC),
    )
