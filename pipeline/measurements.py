"""What was measured of a pipeline, as plain data, before anyone judges it.  Pure.

Everything may be missing: None means that nobody could measure it, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pipeline.gaps import Gap
from pipeline.jobs import Job, current
from pipeline.thresholds import SHIPPED, Thresholds


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A subscription: what waits in it, how old the oldest is, how long Pub/Sub keeps it."""

    name: str
    dead_letters: bool = False
    count: int | None = None
    oldest_s: float | None = None
    retention_s: float | None = None

    def deletion_at(self, now: datetime) -> datetime | None:
        """When Pub/Sub begins to delete, if nobody reads; None when empty or not measurable."""
        if not self.count or self.oldest_s is None or self.retention_s is None:
            return None
        return now + timedelta(seconds=self.retention_s - self.oldest_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Sums of the pipeline's counters over the last five minutes, and its books over ten (shipped numbers).

    ``received_before`` and ``accounted_before`` are totals ten minutes ago, the other two are
    totals now; "accounted" is valid + dead-lettered + duplicates.
    """

    received: float
    invalid: float
    valid: float
    dead_lettered: float
    by_type: dict[str, tuple[float, float]]  # event type -> (received, invalid)
    totals: Mapping[str, float] = field(default_factory=dict)  # since the jobs began, by account
    jobs: tuple[str, ...] = ()  # whose counters these are
    sink_failed: float = 0.0  # valid ones that a sink refused
    causes: Mapping[str, float] = field(default_factory=dict)  # root cause -> invalid; empty when not counted
    received_before: float | None = None
    accounted_before: float | None = None
    received_total: float | None = None
    accounted_total: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogError:
    """Error lines of one shape."""

    shape: str
    count: int
    example: str
    last: datetime
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """One look at a pipeline.  Ages and lags in seconds."""

    now: datetime
    job_name: str
    jobs: tuple[Job, ...] | None = None
    active: tuple[Job, ...] | None = None  # every living job of the region
    system_lag_s: float | None = None
    watermark_age_s: float | None = None
    watermark_still_s: float | None = None  # for how long the watermark has not moved
    output_still_s: float | None = None  # for how long nothing valid came out
    counters: Counters | None = None
    queues: tuple[Queue, ...] = ()
    errors: tuple[LogError, ...] = ()
    gaps: tuple[Gap, ...] = ()
    limits: Thresholds = SHIPPED  # by which it is judged

    @property
    def job(self) -> Job | None:
        return current(self.jobs or ())

    @property
    def sources(self) -> tuple[Queue, ...]:
        return tuple(queue for queue in self.queues if not queue.dead_letters)

    @property
    def dead_letters(self) -> Queue | None:
        return next((queue for queue in self.queues if queue.dead_letters), None)

    @property
    def backlog(self) -> int | None:
        """What waits in the source subscriptions; None when not one of them could be measured."""
        counts = [queue.count for queue in self.sources if queue.count is not None]
        return sum(counts) if counts else None
