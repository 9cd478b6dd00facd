"""The log book: what workers, the service and the launcher wrote, and what was written through the API."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.google.jobs import Job

SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")
RANK = {name: index * 100 for index, name in enumerate(SEVERITIES)}
KEPT = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One entry; `at` is epoch seconds of domain time. Either `text` or `fields` carries the payload."""

    at: float
    insert_id: str
    log_name: str
    severity: str
    resource_type: str
    resource_labels: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    fields: Mapping[str, Any] | None = None


class LogBook:
    """Entries in the order of writing; the oldest go when there are too many."""

    def __init__(self) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=KEPT)
        self._count = 0

    def __iter__(self) -> Iterator[LogEntry]:
        return iter(self._entries)

    def next_id(self) -> str:
        """An insert id that sorts in the order of writing."""
        self._count += 1
        return f"sw{self._count:010d}"

    def add(self, entry: LogEntry) -> None:
        """Append an entry."""
        self._entries.append(entry)

    def of_job(
        self, job: Job, at: float, severity: str, text: str, *, log: str = "worker", step: str = ""
    ) -> None:
        """A line of a job. `log` is worker, job-message or launcher."""
        fields = {"message": text} | ({"step": step, "worker": f"{job.name}-harness-0"} if step else {})
        entry = LogEntry(
            at=at,
            insert_id=self.next_id(),
            log_name=f"projects/{job.project}/logs/dataflow.googleapis.com%2F{log}",
            severity=severity,
            resource_type="dataflow_step",
            resource_labels={
                "project_id": job.project,
                "region": job.region,
                "job_id": job.id,
                "job_name": job.name,
                "step_id": step,
            },
            labels={
                "dataflow.googleapis.com/log_type": "supportability" if log == "job-message" else "system"
            },
            fields=fields,
        )
        self.add(entry)

    def messages_of(self, job_id: str) -> list[LogEntry]:
        """The service's own messages about a job (ListJobMessages)."""
        return [
            entry
            for entry in self._entries
            if entry.resource_labels.get("job_id") == job_id and entry.log_name.endswith("%2Fjob-message")
        ]
