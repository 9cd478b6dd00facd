"""Cloud Logging: what workers, job messages and the launcher of a pipeline wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from pipeline.catalogue import Pipeline
from pipeline.google.calls import reading
from pipeline.google.clients import Clients
from pipeline.google.errors import explained
from pipeline.google.metrics import quoted

SOURCES: Final = ("worker", "job-message", "launcher")
_PAGE: Final = 1000


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
    deadline_s: float = 20.0,
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
        request = {
            "resource_names": [f"projects/{pipeline.project}"],
            "filter": " AND ".join(parts),
            "order_by": "timestamp desc",
            "page_size": min(limit, _PAGE),
        }
        entries = clients.logging.list_log_entries(request=request, **reading(deadline_s))
        return tuple(_line(entry) for entry in islice(entries, limit))


def _log(project: str, source: str) -> str:
    return f"projects/{project}/logs/dataflow.googleapis.com%2F{source}"


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _line(entry: Any) -> LogLine:
    from google.logging.type.log_severity_pb2 import LogSeverity

    return LogLine(
        at=entry.timestamp.astimezone(UTC) if entry.timestamp else datetime.min.replace(tzinfo=UTC),
        severity=LogSeverity.Name(entry.severity),
        text=_payload(entry),
        source=entry.log_name.rpartition("%2F")[2],
        job_id=entry.resource.labels.get("job_id", ""),
    )


def _payload(entry: Any) -> str:
    """What was written: a text, the message of a structure, or the structure itself."""
    if "json_payload" not in entry:
        return str(entry.text_payload)
    found = dict(entry.json_payload)
    return str(found.get("message") or found)
