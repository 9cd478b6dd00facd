"""Dataflow jobs as plain data, and what their states mean.  Pure.

"Up" is RUNNING.  QUEUED, PENDING and STOPPED are a start that is under way, not a pipeline that is
down.  UPDATED is fine when the job that replaced it lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pipeline.report import age, clock

STARTING: Final = frozenset({"QUEUED", "PENDING", "STOPPED"})
TERMINAL: Final = frozenset({"DONE", "FAILED", "CANCELLED", "UPDATED", "DRAINED"})


# A state that is an end is told as what happened, and not as something that goes on.
_ENDS: Final = {
    "DONE": "ended",
    "FAILED": "failed",
    "CANCELLED": "was cancelled",
    "UPDATED": "was replaced by an update",
    "DRAINED": "was drained",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One Dataflow job.  ``state`` is Google's without its prefix, e.g. "RUNNING"."""

    id: str
    name: str
    state: str
    since: datetime | None = None  # when it entered this state
    created: datetime | None = None
    streaming: bool = True
    replaced_by: str = ""
    labels: tuple[tuple[str, str], ...] = ()  # sorted
    sdk: str = ""  # version of Beam

    @property
    def plan(self) -> str:
        """The plan of ours that launched it; empty for another's."""
        return dict(self.labels).get("streamwatch_plan", "")

    @property
    def running(self) -> bool:
        return self.state == "RUNNING"

    @property
    def starting(self) -> bool:
        return self.state in STARTING

    @property
    def ended(self) -> bool:
        return self.state in TERMINAL


def lasts(job: Job, now: datetime) -> str:
    """How the job stands, for one who reads it at once: "failed 4 min ago", "has been RUNNING for 9 d"."""
    if job.since is None:
        return _ENDS.get(job.state, f"is {job.state}")
    long = age(job.since, now)
    return f"{_ENDS[job.state]} {long} ago" if job.ended else f"has been {job.state} for {long}"


def stands(job: Job, now: datetime) -> str:
    """The same with its instant, for words that may stand for hours: "failed at 06:03 UTC"."""
    if job.since is None:
        return _ENDS.get(job.state, f"is {job.state}")
    at = clock(job.since, now)
    return f"{_ENDS[job.state]} at {at}" if job.ended else f"has been {job.state} since {at}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """How many workers a job may have; 0 and "" where that is not known."""

    least: int
    most: int
    machine: str

    def words(self) -> str:
        """ "1 to 6 workers of n1-standard-2"."""
        most = str(self.most) if self.most else "an unknown number of"
        machine = f" of {self.machine}" if self.machine else ""
        return f"{self.least or 1} to {most} workers{machine}"


def current(jobs: Sequence[Job]) -> Job | None:
    """The job that stands for the pipeline: running, else starting, else ending, else the newest."""
    for wanted in (lambda j: j.running, lambda j: j.starting, lambda j: not j.ended):
        for job in jobs:
            if wanted(job):
                return job
    return jobs[0] if jobs else None


def doubles(active: Sequence[Job], job_name: str) -> tuple[Job, ...]:
    """Living jobs that look like one pipeline twice: the fixed name, or that name with a suffix."""
    same = tuple(job for job in active if job.name == job_name or job.name.startswith(job_name + "-"))
    return same if len(same) > 1 else ()
