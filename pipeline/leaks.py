"""Jobs that are paid for without need: twice, stuck, idle, forgotten, larger than they need be.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from pipeline.jobs import Job, doubles
from pipeline.report import Evidence, duration, percent, plural

Kind = Literal["doubled_job", "stuck_job", "idle_job", "forgotten_job", "scaled_up"]

_IDLE: Final = timedelta(hours=1)
_FORGOTTEN: Final = timedelta(hours=24)
_GROWN: Final = 2.0  # times the workers of a day before
_LAZY: Final = 0.6  # less busy than this, fewer workers would do


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """A living job and what it uses; None where nobody could measure it."""

    job: Job
    workers: int | None = None
    workers_before: int | None = None  # a day ago
    busy: float | None = None  # 0 to 1
    moved: float | None = None  # elements in the last hour
    hour: float | None = None  # its workers for an hour, by list price
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Leak:
    """One reason to stop paying for something."""

    kind: Kind
    text: str
    paid: tuple[Paid, ...]
    evidence: tuple[Evidence, ...]


def leaks(
    living: Sequence[Paid], job_name: str, known_names: Sequence[str], stuck_s: float | None, now: datetime
) -> tuple[Leak, ...]:
    """Every leak among the living jobs of a region.

    ``known_names`` are the job names of all pipelines; ``stuck_s`` is for how long the pipeline's
    own job has moved nothing with something waiting, None when it moves.
    """
    found: list[Leak] = []
    twice = {job.id for job in doubles([paid.job for paid in living], job_name)}
    if twice:
        both = tuple(paid for paid in living if paid.job.id in twice)
        names = " and ".join(paid.job.name for paid in both)
        text = f"{len(both)} living jobs of one pipeline are paid for at once and split its stream: {names}"
        found.append(_leak("doubled_job", text, both))
    for paid in living:
        if paid.job.id in twice:
            continue
        leak = _single(paid, job_name, known_names, stuck_s, now)
        if leak is not None:
            found.append(leak)
    return tuple(found)


def _single(
    paid: Paid, job_name: str, known_names: Sequence[str], stuck_s: float | None, now: datetime
) -> Leak | None:
    job = paid.job
    age = now - job.created if job.created else None
    if job.name == job_name and job.running and stuck_s is not None:
        text = f"job {job.name} is stuck: it has moved nothing for {duration(stuck_s)} and its workers are paid for"
        return _leak("stuck_job", text, (paid,))
    ours = any(job.name == name or job.name.startswith(f"{name}-") for name in known_names)
    if not ours and age is not None and age >= _FORGOTTEN:
        lives = duration(age.total_seconds())
        text = f"job {job.name} looks forgotten: it lives for {lives} and belongs to no pipeline"
        return _leak("forgotten_job", text, (paid,))
    long_running = job.running and job.since is not None and now - job.since >= _IDLE
    if long_running and paid.moved == 0:
        return _leak("idle_job", f"job {job.name} is idle: no element came through it for an hour", (paid,))
    return _grown(paid)


def _grown(paid: Paid) -> Leak | None:
    """More workers than a day ago that are not busy: the autoscaler or a person raised them for nothing."""
    now, before = paid.workers, paid.workers_before
    if now is None or not before or now < _GROWN * before or paid.busy is None or paid.busy >= _LAZY:
        return None
    text = (
        f"job {paid.job.name} went from {before} to {plural(now, 'worker')} within a day, and they are only "
        f"{percent(paid.busy)} busy"
    )
    return _leak("scaled_up", text, (paid,))


def _leak(kind: Kind, text: str, paid: tuple[Paid, ...]) -> Leak:
    evidence = [Evidence(f"job {one.job.name}", one.job.state, "", one.job.since) for one in paid]
    evidence += [Evidence(f"workers of {one.job.name}", one.workers, "") for one in paid if one.workers]
    return Leak(kind, text, paid, tuple(evidence))
