"""What one look at a pipeline shows, finding by finding.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.bottleneck import Bottleneck
from pipeline.causes import in_short, stop_reason
from pipeline.measurements import Measurements
from pipeline.report import Evidence, Fact, Finding, Severity, duration, plural
from pipeline.rules import deletion_at, deletion_words, rate_finding

_BACKLOG_S: Final = 120  # younger than this, what waits is on its way and no backlog


def state(m: Measurements, known: Mapping[str, Fact]) -> list[Finding]:
    fact, job = known["down"], m.job
    evidence = (
        Evidence("state of the job", job.state if job else "no job", "", job.since if job else m.now),
    )
    text = sentence(fact.text)
    if fact.on:
        reason = stop_reason(m.errors)
        why = f" The logs say: {in_short(reason.example)}" if reason else " The logs name no reason."
        stuck = job is not None and job.running
        out = [Finding("stuck" if stuck else "stopped", "critical", text + why, evidence)]
    elif m.jobs is None:
        out = [
            Finding("unknown", "unknown", "Unknown whether a job runs: the jobs cannot be listed.", evidence)
        ]
    elif fact.on is None and _stale(m):
        out = [Finding("unknown", "unknown", text, evidence)]
    elif fact.on is None:
        out = [Finding("starting", "info", text, evidence)]
    else:
        out = [Finding("running", "ok", text, evidence)]
    double = known["doubled_job"]
    if double.on:
        out.append(Finding("doubled_job", "warning", sentence(double.text)))
    return out


def _stale(m: Measurements) -> bool:
    """A job that says RUNNING for long while no metric moves or comes is not told apart from a dead one."""
    job = m.job
    if job is None or not job.running or job.since is None:
        return False
    return (m.now - job.since).total_seconds() > 300 and m.watermark_still_s is None


def errors(m: Measurements, known: Mapping[str, Fact]) -> list[Finding]:
    fact, counters = known["error_rate"], m.counters
    running = m.job is not None and m.job.running
    if counters is None:
        # A job that does not run has no counters; that it does not run is said already.
        level: Severity = "unknown" if running else "info"
        name = "unknown" if running else "few_events"
        return [Finding(name, level, "Error rate unknown: the counters of events have no data.")]
    evidence = (
        Evidence(f"events received in {duration(m.limits.rate_s)}", counters.received, "events", m.now),
        Evidence("of these invalid", counters.invalid, "events", m.now),
    )
    name, severity = rate_finding(fact.value, m.limits)
    return [Finding(name, severity, sentence(fact.text), evidence)]


def speed(m: Measurements, known: Mapping[str, Fact], held: Bottleneck | None) -> list[Finding]:
    if m.job is None or not m.job.running:
        return []
    evidence = tuple(
        Evidence(what, round(value, 1), "s", m.now)
        for what, value in (("system lag", m.system_lag_s), ("age of the watermark", m.watermark_age_s))
        if value is not None
    )
    fact = known["degraded"]
    if not evidence:
        return [Finding("unknown", "unknown", "Lag and freshness unknown: no data for them.")]
    down = known["down"].on
    level: Severity = "warning" if fact.on else "info"
    why = [] if held is None or down else [Finding(held.kind, level, sentence(held_by(held)), held.evidence)]
    if fact.on:
        return [*why, Finding("degraded", "warning", f"Degraded: {fact.text}.", evidence)]
    parts = [f"{one.what} {duration(float(one.value or 0))}" for one in evidence]
    return [*why, Finding("lag", "ok" if fact.on is False else "info", sentence(", ".join(parts)), evidence)]


def held_by(held: Bottleneck) -> str:
    return f"catches up: {held.text}" if held.catches_up else f"held back by {held.text}"


def trend(m: Measurements, known: Mapping[str, Fact], held: Bottleneck | None) -> Fact:
    """The runbook's degradation trend: a stage holds the pipeline back, and no limit is reached yet."""
    name = "degradation_trend"
    if m.system_lag_s is None or known["down"].on:
        return Fact(name, None, "the lag is not measured")
    if held is None or known["degraded"].on:
        return Fact(name, False, "no stage falls behind" if held is None else "it is degraded already")
    if held.catches_up:
        return Fact(name, False, held_by(held))
    return Fact(name, True, held_by(held), held.stage.lag_s, "s")


def waiting(m: Measurements, known: Mapping[str, Fact]) -> list[Finding]:
    out: list[Finding] = []
    loss, clock_ = known["data_loss"], deletion_at(m)
    if loss.on:
        out.append(Finding("data_loss", "critical", f"Data loss: {loss.text}."))
    if clock_ is not None:
        left = (clock_[0] - m.now).total_seconds()
        if left <= m.limits.deletion_warning_s or known["down"].on:
            level: Severity = "critical" if left <= 3600 else "warning"
            level = level if left <= m.limits.deletion_warning_s else "info"
            left_ = Evidence(f"time left in {clock_[1]}", round(left), "s", m.now)
            out.append(Finding("deletion_clock", level, sentence(deletion_words(*clock_, m.now)), (left_,)))
    if m.sources and all(queue.count is None for queue in m.sources):
        out.append(Finding("unknown", "unknown", "Backlog unknown: no data for it."))
    elif m.backlog is not None:
        oldest = max((q.oldest_s or 0 for q in m.sources), default=0)
        evidence = tuple(Evidence(f"waiting in {q.name}", q.count, "messages", m.now) for q in m.sources)
        text = f"{plural(m.backlog, 'message')} waiting" + (
            f", the oldest for {duration(oldest)}" if m.backlog else ""
        )
        waits = "backlog" if oldest > _BACKLOG_S else "waiting"
        out.append(
            Finding(waits, "warning" if oldest > m.limits.oldest_s else "ok", sentence(text), evidence)
        )
    return out


def dead_letters(m: Measurements) -> list[Finding]:
    queue = m.dead_letters
    if queue is None:
        return []
    if queue.count is None:
        return [Finding("unknown", "unknown", "Dead letters unknown: no data for their queue.")]
    evidence = (Evidence(f"messages in {queue.name}", queue.count, "messages", m.now),)
    if not queue.count:
        return [Finding("no_dead_letters", "ok", "No dead letters.", evidence)]
    age = f", the oldest for {duration(queue.oldest_s)}" if queue.oldest_s is not None else ""
    return [Finding("dead_letters", "info", f"{plural(queue.count, 'dead letter')}{age}.", evidence)]


def sentence(text: str) -> str:
    return (text[:1].upper() + text[1:]).rstrip(".") + "."
