"""Cloud Logging: what workers, job messages and the launcher of a pipeline wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pipeline.catalogue import Pipeline
from pipeline.google.clients import Clients
from pipeline.google.errors import explained
from pipeline.google.metrics import quoted

SOURCES: Final = ("worker", "job-message", "launcher")


@dataclass(frozen=True, slots=True)
class LogLine:
    at: datetime
    severity: str
    text: str
    source: str = ""  # "worker", "job-message", "launcher"
    job_id: str = ""


def log_lines(
    clients: Clients,
    pipeline: Pipeline,
    *,
    since: datetime,
    until: datetime,
    limit: int,
    severity: str = "ERROR",
    job_ids: Sequence[str] = (),
    sources: Sequence[str] = SOURCES,
) -> tuple[LogLine, ...]:
    """At most ``limit`` lines of at least ``severity`` in the time span, newest first."""
    parts = [
        'resource.type="dataflow_step"',
        f"timestamp>={quoted(_text(since))}",
        f"timestamp<={quoted(_text(until))}",
        f"severity>={severity}",
        "logName=(" + " OR ".join(quoted(_log(pipeline.project, source)) for source in sources) + ")",
    ]
    if job_ids:
        parts.append("(" + " OR ".join(f"resource.labels.job_id={quoted(one)}" for one in job_ids) + ")")
    else:
        parts.append(f"resource.labels.job_name={quoted(pipeline.job_name)}")
    with explained("Cloud Logging", "reading logs"):
        entries = clients.logging.list_entries(
            resource_names=[f"projects/{pipeline.project}"],
            filter_=" AND ".join(parts),
            order_by="timestamp desc",
            max_results=limit,
            page_size=min(limit, 1000),
        )
        return tuple(_line(entry) for entry in entries)


def _log(project: str, source: str) -> str:
    return f"projects/{project}/logs/dataflow.googleapis.com%2F{source}"


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _line(entry: Any) -> LogLine:
    payload = entry.payload
    text = payload.get("message") or str(payload) if isinstance(payload, dict) else str(payload or "")
    labels = entry.resource.labels if entry.resource else {}
    source = (entry.log_name or "").rpartition("%2F")[2]
    return LogLine(
        at=entry.timestamp.astimezone(UTC) if entry.timestamp else datetime.min.replace(tzinfo=UTC),
        severity=str(entry.severity or "DEFAULT"),
        text=str(text),
        source=source,
        job_id=labels.get("job_id", ""),
    )
