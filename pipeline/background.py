"""What makes a look at a pipeline mean something: the same hour of other days, and what changed since.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Final

from pipeline.causes import Issue
from pipeline.jobs import Job
from pipeline.measurements import Measurements
from pipeline.report import Evidence, Finding, clock, duration, number

DAYS: Final = (1, 2, 7)  # yesterday, the day before, and the same weekday
SPAN_S: Final = 600.0
_LEAST: Final = 50.0  # fewer messages than this in ten minutes, and silence says nothing
_CHANGED: Final = timedelta(hours=24)
_SHOWN: Final = 6
_OWN_LABELS: Final = frozenset({"streamwatch_plan", "streamwatch_operation"})  # differ in every launch


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One figure now and at the same time of other days; None where nobody could measure it."""

    now: float | None
    days: tuple[float | None, ...] = ()

    @property
    def usual(self) -> float | None:
        """The middle of the days that are known; None with fewer than two."""
        known = [day for day in self.days if day is not None]
        return median(known) if len(known) >= 2 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """Published messages by topic in ten minutes, what waits, lag; and how many workers are allowed."""

    published: Mapping[str, Compared] = field(default_factory=dict)
    backlog: Compared = Compared(now=None)
    lag_s: Compared = Compared(now=None)
    most_workers: Compared = Compared(now=None)  # the greatest number allowed; its days are yesterday alone
    gaps: tuple[str, ...] = ()


def findings(m: Measurements, background: Background, changes: Sequence[str] = ()) -> list[Finding]:
    """Silent sources first, since they are trouble; then comparison and changes (``changes`` among them)."""
    return [*_silent(m, background), *_compared(m, background), *_changes(m, background, changes)]


def silent_issue(found: Sequence[Finding]) -> Issue | None:
    """A source that fell silent is a data issue (runbook "Identify Issue Type")."""
    silent = next((finding for finding in found if finding.id == "source_silent"), None)
    return None if silent is None else Issue("data", silent.text, silent.evidence)


def silent_topics(published: Mapping[str, Compared]) -> list[str]:
    """Topics to which nothing came in ten minutes, though much did at this time of each other day."""
    out = []
    for topic, compared in sorted(published.items()):
        days = [day for day in compared.days if day is not None]
        if compared.now == 0 and len(days) >= 2 and min(days) >= _LEAST:
            out.append(topic)
    return out


def _silent(m: Measurements, background: Background) -> list[Finding]:
    return silence(background.published, m.now)


def silence(published: Mapping[str, Compared], now: datetime) -> list[Finding]:
    """The sources that say nothing, by the topics they publish to; nothing where all speak."""
    topics = silent_topics(published)
    if not topics:
        return []
    usual = sum(published[topic].usual or 0.0 for topic in topics)
    names = " and ".join(topics)
    text = (
        f"{'The source of' if len(topics) == 1 else 'The sources of'} {names} "
        f"{'is' if len(topics) == 1 else 'are'} silent: nothing was published for {duration(SPAN_S)}, at this time of "
        f"other days it is {number(usual)}."
    )
    evidence = tuple(Evidence(f"published to {topic} in 10 min", 0, "messages", now) for topic in topics)
    return [Finding("source_silent", "warning", text, evidence)]


def _compared(m: Measurements, background: Background) -> list[Finding]:
    parts = []
    now_known = [one.now for one in background.published.values() if one.now is not None]
    usual_known = [one.usual for one in background.published.values() if one.usual is not None]
    if now_known and len(usual_known) == len(background.published):
        parts.append(f"{number(sum(now_known))} published in 10 min (usually {number(sum(usual_known))})")
    if background.backlog.now is not None and background.backlog.usual is not None:
        parts.append(f"{number(background.backlog.now)} waiting (usually {number(background.backlog.usual)})")
    if background.lag_s.now is not None and background.lag_s.usual is not None:
        parts.append(f"lag {duration(background.lag_s.now)} (usually {duration(background.lag_s.usual)})")
    if not parts:
        return []
    text = f"Against {clock(m.now, m.now)} of other days: {', '.join(parts)}."
    return [Finding("compared", "ok", text)]


def _changes(m: Measurements, background: Background, more: Sequence[str]) -> list[Finding]:
    jobs = sorted(_jobs(m.jobs or (), m.now), key=lambda one: one[0], reverse=True)
    told = [*_limit(background.most_workers), *more, *(text for _, text in jobs[:_SHOWN])]
    if not told:
        return []
    shown = "; ".join(told)
    return [Finding("changed", "ok", f"Changed within 24 h: {shown}.")]


def _jobs(jobs: Sequence[Job], now: datetime) -> list[tuple[datetime, str]]:
    out = []
    for job in jobs:
        if job.created is not None and now - job.created <= _CHANGED:
            how = " as an update" if any(other.replaced_by == job.id for other in jobs) else ""
            other = _other(job, jobs)
            out.append((job.created, f"job {job.id} was launched{how} at {clock(job.created, now)}{other}"))
        if job.ended and job.state != "UPDATED" and job.since is not None and now - job.since <= _CHANGED:
            out.append((job.since, f"job {job.id} ended as {job.state} at {clock(job.since, now)}"))
    return out


def _other(job: Job, jobs: Sequence[Job]) -> str:
    """In what a job differs from the one before it: the labels that its launch gave it, and Beam's version."""
    earlier = [
        (one.created, one) for one in jobs if one.created and job.created and one.created < job.created
    ]
    if not earlier:
        return ""
    _, before = max(earlier, key=lambda pair: pair[0])
    old, new = dict(before.labels), dict(job.labels)
    told = [
        f"{name} {old.get(name, 'none')} before, {new.get(name, 'none')} now"
        for name in sorted({*old, *new} - _OWN_LABELS)
        if old.get(name) != new.get(name)
    ]
    if before.sdk and job.sdk and before.sdk != job.sdk:
        told.append(f"Beam {before.sdk} before, {job.sdk} now")
    return f" ({'; '.join(told[:_SHOWN])})" if told else ""


def _limit(most: Compared) -> list[str]:
    before = most.days[0] if most.days else None
    if most.now is None or before is None or most.now == before:
        return []
    return [f"the greatest number of workers went from {number(before)} to {number(most.now)}"]
