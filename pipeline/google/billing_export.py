"""The billing export in BigQuery: what a project was billed, by service, by day and by job.

The queries read one export table, whose name is checked first because a name cannot be a parameter.
Billing days are Pacific; amounts are never added up across currencies; credits are negative.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from pipeline.errors import ConfigError
from pipeline.google.calls import reading_bigquery
from pipeline.google.clients import Clients
from pipeline.google.errors import explained

# Google's own form of the name: PROJECT.DATASET.gcp_billing_export_v1_ACCOUNT, detailed or not.
_TABLE: Final = re.compile(
    r"[a-z][a-z0-9-]{4,28}[a-z0-9]\.[A-Za-z0-9_]+\.gcp_billing_export(_resource)?_v1_[A-F0-9_]+"
)
_MOST_BYTES: Final = 1 << 30  # a query that would read more is refused by Google and costs nothing
_BACK_DAYS: Final = 8  # before the month's first day: the days that normal is made of

_CREDITS: Final = "IFNULL((SELECT SUM(c.amount) FROM UNNEST(credits) AS c), 0)"
# Rows are written after their usage, so no row of these days is in an older partition.
_WHERE: Final = "project.id = @project AND _PARTITIONTIME >= @since AND usage_start_time >= @since"
_BY_SERVICE: Final = f"""
SELECT service.description AS service, currency,
       SUM(cost) AS gross, SUM({_CREDITS}) AS credits, SUM(cost) + SUM({_CREDITS}) AS net,
       SUM(IF(DATE(usage_start_time, 'America/Los_Angeles') = @today, cost + {_CREDITS}, 0)) AS net_today
FROM `{{table}}`
WHERE {_WHERE} AND invoice.month = FORMAT_DATE('%Y%m', @today)
GROUP BY service, currency ORDER BY net DESC, service
"""
# Taxes and adjustments come in lumps and say nothing of a day.
_BY_DAY: Final = f"""
SELECT DATE(usage_start_time, 'America/Los_Angeles') AS day, service.description AS service, currency,
       SUM(cost + {_CREDITS}) AS net, MAX(export_time) AS data_as_of
FROM `{{table}}`
WHERE {_WHERE} AND cost_type = 'regular'
GROUP BY day, service, currency ORDER BY day, service, currency
"""
_BY_JOB: Final = f"""
SELECT (SELECT MAX(l.value) FROM UNNEST(labels) AS l WHERE l.key = 'goog-dataflow-job-name') AS job, currency,
       SUM(cost + {_CREDITS}) AS net
FROM `{{table}}`
WHERE {_WHERE} AND invoice.month = FORMAT_DATE('%Y%m', @today)
GROUP BY job, currency ORDER BY net DESC
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpend:
    """What one service cost in the invoice month so far; ``today`` is of the billing day that runs."""

    service: str
    currency: str
    gross: float
    credits: float  # negative
    net: float
    today: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySpend:
    """What one service cost on one billing day, after credits."""

    day: date
    service: str
    currency: str
    net: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpend:
    """What is billed with one Dataflow job's label in the month so far, after credits."""

    job: str
    currency: str
    net: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """The days that the export holds, and when its newest row of them was written; None without any."""

    days: tuple[DaySpend, ...]
    as_of: datetime | None


class BillingExport:
    """One export, read for one project; ``today`` is the billing day that runs (Pacific)."""

    def __init__(self, clients: Clients, table: str, project: str, today: date, deadline_s: float) -> None:
        """ConfigError when ``table`` is not the name of a billing export."""
        if not _TABLE.fullmatch(table):
            raise ConfigError(
                f"`export: {table}` in pipelines.yaml is not the table of a billing export; it has the form "
                "PROJECT.DATASET.gcp_billing_export_v1_ACCOUNT"
            )
        self.table = table
        self._clients = clients
        self._project = project
        self._today = today
        self._deadline_s = deadline_s

    def by_service(self) -> tuple[ServiceSpend, ...]:
        """The invoice month so far, the dearest first, taxes and adjustments with it."""
        return tuple(
            ServiceSpend(
                service=str(row["service"] or "without a service"),
                currency=str(row["currency"]),
                gross=float(row["gross"]),
                credits=float(row["credits"]),
                net=float(row["net"]),
                today=float(row["net_today"]),
            )
            for row in self._rows(_BY_SERVICE, "reading spend by service")
        )

    def by_day(self, since: date | None = None) -> Days:
        """Each day since eight days before the month, or since another, without taxes and adjustments."""
        rows = self._rows(_BY_DAY, "reading spend by day", since)
        days = tuple(
            DaySpend(
                day=row["day"],
                service=str(row["service"] or "without a service"),
                currency=str(row["currency"]),
                net=float(row["net"]),
            )
            for row in rows
        )
        stamps = [row["data_as_of"].astimezone(UTC) for row in rows if row["data_as_of"] is not None]
        return Days(days=days, as_of=max(stamps, default=None))

    def by_job(self) -> tuple[JobSpend, ...]:
        """The invoice month so far of what carries a Dataflow job's label, the dearest first."""
        return tuple(
            JobSpend(job=str(row["job"]), currency=str(row["currency"]), net=float(row["net"]))
            for row in self._rows(_BY_JOB, "reading spend by job")
            if row["job"]
        )

    def _rows(self, query: str, doing: str, begin: date | None = None) -> list[Any]:
        """PipelineError, in words, when the export cannot be read."""
        with explained("BigQuery", "connecting"):
            client = self._clients.bigquery
        from google.cloud import bigquery

        first = begin or self._today.replace(day=1) - timedelta(days=_BACK_DAYS)
        since = datetime(first.year, first.month, first.day, tzinfo=UTC)
        config = bigquery.QueryJobConfig(
            maximum_bytes_billed=_MOST_BYTES,
            query_parameters=[
                bigquery.ScalarQueryParameter("project", "STRING", self._project),
                bigquery.ScalarQueryParameter("today", "DATE", self._today),
                bigquery.ScalarQueryParameter("since", "TIMESTAMP", since),
            ],
        )
        with explained("BigQuery", f"{doing} from {self.table}"):
            return list(
                client.query_and_wait(
                    query.format(table=self.table),
                    job_config=config,
                    project=self._project,
                    api_timeout=self._deadline_s,
                    wait_timeout=self._deadline_s,
                    retry=reading_bigquery(self._deadline_s)["retry"],
                    job_retry=None,
                )
            )
