"""From measurements to facts: the exact rules of RULES "Facts" and runbook "Severity Levels".  Pure.

Each fact is true, false, or None when it cannot be told; None keeps what was known before.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pipeline.jobs import Job, doubles, stands
from pipeline.measurements import Measurements
from pipeline.report import Fact, Severity, clock, duration, number, percent, plural
from pipeline.thresholds import Thresholds

_CANCELLED = timedelta(hours=1)


def facts(m: Measurements) -> tuple[Fact, ...]:
    """down, error_rate, error_rate_critical, degraded, data_loss, doubled_job, healthy."""
    down_fact = down(m)
    rate, critical = error_rates(m)
    slow = degraded(m)
    loss = data_loss(m)
    return (down_fact, rate, critical, slow, loss, doubled(m), healthy(m, down_fact, slow))


def down(m: Measurements) -> Fact:
    """Down begins without a RUNNING or starting job, or with one that stands still for 10 min with a backlog."""
    if m.jobs is None:
        return Fact("down", None, "the jobs cannot be listed")
    job = m.job
    if job is None:
        return Fact("down", True, f"there is no job named {m.job_name}")
    if job.running:
        return _running(m, job)
    if job.starting:
        return Fact("down", None, f"job {job.name} is starting ({job.state})", since=job.since)
    return Fact("down", True, f"job {job.name} {stands(job, m.now)}", since=_stopped_since(m.jobs, job))


def _running(m: Measurements, job: Job) -> Fact:
    still = stands_still(m)
    backlog = m.backlog
    if still is not None and still >= m.limits.still_s and (backlog or 0) > 0:
        waiting = number(backlog or 0)
        text = f"job {job.name} is RUNNING but has moved nothing for {duration(still)} with {waiting} waiting"
        return Fact("down", True, text, value=still, unit="s", since=m.now - timedelta(seconds=still))
    for_ = (m.now - job.since).total_seconds() if job.since else None
    if for_ is not None and for_ < m.limits.settled_s:
        return Fact("down", None, f"job {job.name} has been RUNNING for {duration(for_)} only")
    moves = moving(m)
    if moves is None:
        return Fact("down", None, f"job {job.name} is RUNNING; whether it moves cannot be told")
    if not moves:
        return Fact("down", None, f"job {job.name} is RUNNING and has not moved for {duration(still or 0)}")
    return Fact("down", False, f"job {job.name} is RUNNING and moving")


def stands_still(m: Measurements) -> float | None:
    """For how long neither watermark nor output moved; None when neither can be told."""
    known = [still for still in (m.watermark_still_s, m.output_still_s) if still is not None]
    return min(known) if known else None


def moving(m: Measurements) -> bool | None:
    """Whether the watermark moves, and output too unless nothing waits."""
    if m.watermark_still_s is None:
        return None
    if m.watermark_still_s > m.limits.moving_s:
        return False
    if m.backlog == 0:
        return True
    if m.output_still_s is None:
        return None
    return m.output_still_s <= m.limits.moving_s


def error_rates(m: Measurements) -> tuple[Fact, Fact]:
    """Invalid by received over 5 min, above 25 % and above 50 %; below 100 received it is unknown (shipped numbers)."""
    counters = m.counters
    if counters is None:
        text = "the counters of events cannot be read"
        return Fact("error_rate", None, text), Fact("error_rate_critical", None, text)
    if counters.received < m.limits.least_received:
        text = (
            f"error rate unknown: {number(counters.received)} events received in {duration(m.limits.rate_s)}, "
            f"{number(m.limits.least_received)} are needed"
        )
        return Fact("error_rate", None, text), Fact("error_rate_critical", None, text)
    ratio = counters.invalid / counters.received
    text = (
        f"{percent(ratio)} of {number(counters.received)} events in {duration(m.limits.rate_s)} are invalid"
    )
    return (
        Fact("error_rate", ratio > m.limits.error_escalates, text, ratio, "ratio"),
        Fact("error_rate_critical", ratio > m.limits.error_critical, text, ratio, "ratio"),
    )


def rate_finding(ratio: float | None, limits: Thresholds) -> tuple[str, Severity]:
    """The id and severity of a finding about an error rate (runbook "Severity Levels")."""
    if ratio is None:
        return "few_events", "info"
    if ratio > limits.error_critical:
        return "error_rate_critical", "critical"
    return ("error_rate_high", "warning") if ratio > limits.error_warning else ("few_errors", "ok")


def degraded(m: Measurements) -> Fact:
    """Slow: system lag, watermark or oldest waiting message beyond its limit."""
    oldest = max((q.oldest_s for q in m.sources if q.oldest_s is not None), default=None)
    parts = (
        ("system lag", m.system_lag_s, m.limits.system_lag_s),
        ("the watermark's age", m.watermark_age_s, m.limits.watermark_age_s),
        ("the oldest waiting message's age", oldest, m.limits.oldest_s),
    )
    slow = [
        f"{name} is {duration(value)}" for name, value, limit in parts if value is not None and value > limit
    ]
    if slow:
        return Fact("degraded", True, " and ".join(slow))
    missing = [name for name, value, _ in parts if value is None]
    if missing:
        return Fact("degraded", None, "not measured: " + ", ".join(missing))
    return Fact("degraded", False, "lag and freshness are within limits")


def data_loss(m: Measurements) -> Fact:
    """A job was cancelled, the oldest message reached the retention, or the books of ten minutes do not balance.

    What a cancelled job held cannot be measured any more: for an hour the cancel itself is the fact.
    """
    for job in m.jobs or ():
        if job.state == "CANCELLED" and job.since is not None and m.now - job.since <= _CANCELLED:
            text = f"job {job.name} was cancelled at {clock(job.since, m.now)} without a drain: what it held is lost"
            return Fact("data_loss", True, text, since=job.since)
    for queue in m.queues:
        if (
            queue.oldest_s is not None
            and queue.retention_s is not None
            and queue.count
            and queue.oldest_s >= queue.retention_s
        ):
            text = f"the oldest message of {queue.name} has reached the retention of {duration(queue.retention_s)}"
            return Fact("data_loss", True, text)
    missing = _unaccounted(m)
    if missing:
        text = f"unaccounted for: {plural(round(missing), 'event')} received more than {duration(m.limits.books_s)} ago"
        return Fact("data_loss", True, text, missing)
    if any(queue.count is None or queue.retention_s is None for queue in m.queues) or not m.queues:
        return Fact("data_loss", None, "the age of what waits cannot be told everywhere")
    return Fact("data_loss", False, "nothing waits as long as it is kept")


def _unaccounted(m: Measurements) -> float:
    """Events that are in no account ten minutes after they came (RULES: in != valid + dead-lettered + duplicates).

    A pipeline that stands still has them in flight, not lost.
    """
    c = m.counters
    if c is None or c.received_before is None or c.accounted_total is None:
        return 0.0
    if c.accounted_before is None or c.received_total is None:
        return 0.0
    if not moving(m):
        return 0.0
    return max(0.0, c.received_before - c.accounted_total, c.accounted_before - c.received_total)


def doubled(m: Measurements) -> Fact:
    """Two living jobs of one pipeline split its stream."""
    if m.active is None:
        return Fact("doubled_job", None, "the living jobs cannot be listed")
    found = doubles(m.active, m.job_name)
    if not found:
        return Fact("doubled_job", False, "one living job at most")
    names = ", ".join(f"{job.name} ({job.id})" for job in found)
    return Fact(
        "doubled_job", True, f"{len(found)} living jobs read the same subscriptions: {names}", len(found)
    )


def healthy(m: Measurements, down_fact: Fact, degraded_fact: Fact) -> Fact:
    """For recovery: RUNNING, moving or nothing waiting, caught up, few errors; None where that is not measurable."""
    job = m.job
    if down_fact.on or (m.jobs is not None and (job is None or not job.running)):
        return Fact("healthy", False, down_fact.text)
    counters = m.counters
    if counters is not None and counters.received > 0:
        ratio = counters.invalid / counters.received
        if ratio > m.limits.error_warning and (
            counters.received >= m.limits.least_received or counters.invalid >= 10
        ):
            return Fact("healthy", False, f"{percent(ratio)} of events are invalid", ratio, "ratio")
    if degraded_fact.on:
        return Fact("healthy", False, f"it has not caught up: {degraded_fact.text}")
    moves = moving(m)
    if moves is False and m.backlog != 0:
        return Fact("healthy", False, "the watermark stands still")
    if m.jobs is None or counters is None or (moves is None and m.backlog != 0):
        return Fact("healthy", None, "not everything could be measured")
    return Fact("healthy", True, "RUNNING, moving, few errors")


def deletion_at(m: Measurements) -> tuple[datetime, str] | None:
    """When Pub/Sub begins to delete unread data first, and in which subscription."""
    moments = [(at, queue.name) for queue in m.queues if (at := queue.deletion_at(m.now)) is not None]
    return min(moments) if moments else None


def deletion_words(at: datetime, name: str, now: datetime) -> str:
    """The data-loss clock in words."""
    if at <= now:
        return f"data of {name} has been deleted since {clock(at, now)}"
    return f"data will start to be deleted at {clock(at, now)} ({name}, in {duration((at - now).total_seconds())})"


def _stopped_since(jobs: Sequence[Job], job: Job) -> datetime | None:
    """Jobs that failed one after another are one outage: it began with the first after the last good one.

    Only the newest job's own time is sure here; earlier ones count when they ended without a
    RUNNING one in between, which their creation times show.
    """
    since = job.since
    for older in jobs[1:]:
        if older.since is None or since is None or job.created is None or older.since > job.created:
            break
        # The newer one never ran for long: the outage goes back to the older one's end.
        if older.state not in ("FAILED", "CANCELLED") or (since - job.created).total_seconds() > 600:
            break
        since, job = older.since, older
    return since
