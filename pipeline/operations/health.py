"""pipeline.health: is it running, is it right, is it quick, and how long until data is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.background import Background, silent_issue
from pipeline.background import findings as past_findings
from pipeline.bottleneck import BEHIND_S, Bottleneck, bottleneck
from pipeline.causes import Issue, in_short, issue_type, stop_reason
from pipeline.gather import measure
from pipeline.gather_background import background
from pipeline.gather_speed import SpeedGauge
from pipeline.measurements import Measurements
from pipeline.operations.base import Context, ReadOperation
from pipeline.report import (
    Evidence,
    Fact,
    Finding,
    NextStep,
    Report,
    Severity,
    Table,
    clock,
    duration,
    number,
    percent,
    plural,
    worst,
)
from pipeline.rules import deletion_at, deletion_words, facts, rate_finding

_SOON_S: Final = 2 * 86400  # a deletion further off is told, but not in the first sentence
_REASON: Final = 120  # characters of a log line in the first sentence
_BACKLOG_S: Final = 120  # younger than this, what waits is on its way and no backlog


class Health(ReadOperation):
    """A fresh probe of one pipeline."""

    name = "pipeline.health"
    words = ("health",)
    summary = "Is the pipeline running, how many errors, how far behind, what is at stake"

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        now = ctx.now()
        measured = measure(ctx.clients, ctx.pipeline, now, ctx.deadline_s)
        past = Background()
        # Where Monitoring does not answer now, its past would only make a person wait.
        if measured.backlog is not None or measured.system_lag_s is not None:
            past = background(ctx.clients, ctx.pipeline, now, ctx.deadline_s)
        return report(ctx.pipeline.name, measured, past=past, held=_held(ctx, measured))


def _held(ctx: Context, m: Measurements) -> Bottleneck | None:
    """What holds a running pipeline back; asked only where it is behind, so that a healthy one costs nothing."""
    if m.job is None or not m.job.running or (m.system_lag_s or 0.0) < BEHIND_S:
        return None
    return bottleneck(SpeedGauge(ctx.clients, ctx.pipeline, m, ctx.deadline_s).speed())


def report(
    pipeline: str,
    m: Measurements,
    past: Background | None = None,
    held: Bottleneck | None = None,
) -> Report:
    """The report of one look at a pipeline (pure)."""
    known = {fact.id: fact for fact in facts(m)}
    seen = past_findings(m, past) if past is not None else []
    issue = issue_type(m) or silent_issue(seen)
    found = [
        *_state(m, known),
        *seen,
        *_errors(m, known),
        *_speed(m, known, held),
        *_waiting(m, known),
        *_dead_letters(m),
        *(
            Finding(f"gap_{i}", "unknown", f"Not measured: {gap.what}. {gap.reason}")
            for i, gap in enumerate(m.gaps)
        ),
    ]
    severity = worst(finding.severity for finding in found)
    if issue is not None and severity in ("warning", "critical"):
        text = f"Issue type: {issue.type}. {issue.reason}"
        found.append(Finding(f"{issue.type}_issue", "info", text, issue.evidence))
    if severity == "ok" and known["healthy"].on is None:
        severity = "unknown"
    if severity in ("ok", "info") and known["healthy"].on:
        found.append(Finding("healthy", "ok", _sentence(known["healthy"].text)))
    return Report(
        operation="pipeline.health",
        pipeline=pipeline,
        title=f"Health of {pipeline}",
        verdict=_verdict(pipeline, m, known, severity, issue, found, held),
        severity=severity,
        as_of=m.now,
        findings=tuple(found),
        tables=_tables(m),
        next=_next(known, m, severity, held),
        facts=tuple(known.values()),
        data=_data(m, issue, held),
    )


def _state(m: Measurements, known: Mapping[str, Fact]) -> list[Finding]:
    fact, job = known["down"], m.job
    evidence = (
        Evidence("state of the job", job.state if job else "no job", "", job.since if job else m.now),
    )
    text = _sentence(fact.text)
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
        out.append(Finding("doubled_job", "warning", _sentence(double.text)))
    return out


def _stale(m: Measurements) -> bool:
    """A job that says RUNNING for long while no metric moves or comes is not told apart from a dead one."""
    job = m.job
    if job is None or not job.running or job.since is None:
        return False
    return (m.now - job.since).total_seconds() > 300 and m.watermark_still_s is None


def _errors(m: Measurements, known: Mapping[str, Fact]) -> list[Finding]:
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
    return [Finding(name, severity, _sentence(fact.text), evidence)]


def _speed(m: Measurements, known: Mapping[str, Fact], held: Bottleneck | None) -> list[Finding]:
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
    why = [] if held is None or down else [Finding(held.kind, level, _sentence(_by(held)), held.evidence)]
    if fact.on:
        return [*why, Finding("degraded", "warning", f"Degraded: {fact.text}.", evidence)]
    parts = [f"{one.what} {duration(float(one.value or 0))}" for one in evidence]
    return [*why, Finding("lag", "ok" if fact.on is False else "info", _sentence(", ".join(parts)), evidence)]


def _by(held: Bottleneck) -> str:
    return f"held back by {held.text}"


def _waiting(m: Measurements, known: Mapping[str, Fact]) -> list[Finding]:
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
            out.append(Finding("deletion_clock", level, _sentence(deletion_words(*clock_, m.now)), (left_,)))
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
            Finding(waits, "warning" if oldest > m.limits.oldest_s else "ok", _sentence(text), evidence)
        )
    return out


def _dead_letters(m: Measurements) -> list[Finding]:
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


def _verdict(
    pipeline: str,
    m: Measurements,
    known: Mapping[str, Fact],
    severity: Severity,
    issue: Issue | None,
    found: list[Finding],
    held: Bottleneck | None,
) -> str:
    waiting = f"; {plural(m.backlog, 'message waits', 'messages wait')}" if m.backlog else ""
    if known["down"].on:
        return _down(pipeline, m, known, issue, waiting)
    if severity in ("critical", "warning"):
        parts = [f.text.rstrip(".") for f in found if f.severity == severity]
        word = "in serious trouble" if severity == "critical" else "in trouble"
        told = waiting if any(f.id == "backlog" for f in found) and "waiting" not in parts[0] else ""
        return f"{pipeline} is {word}{_kind(issue)}: {_lower(parts[0])}{told}."
    if severity == "unknown":
        reasons = [f.text.rstrip(".") for f in found if f.severity == "unknown"]
        return f"{pipeline} cannot be judged: {_lower(reasons[0]) if reasons else known['healthy'].text}."
    if m.job is not None and m.job.starting:
        return f"{pipeline} is starting: {known['down'].text}{waiting}."
    rate = known["error_rate"].value
    errors = f", {percent(rate)} errors" if rate is not None else ", too few events for an error rate"
    behind = f", newest data {duration(m.watermark_age_s)} behind" if m.watermark_age_s is not None else ""
    by = f", {_by(held)}" if held is not None else ""
    letters = m.dead_letters.count if m.dead_letters else 0
    dead = f"; {plural(letters, 'dead letter')} to look at" if letters else ""
    return f"{pipeline} is running{errors}{behind}{by}{dead}."


def _down(
    pipeline: str, m: Measurements, known: Mapping[str, Fact], issue: Issue | None, waiting: str
) -> str:
    """What stopped, what the logs say of it, what waits, and when data is lost."""
    at_stake, reason, text = deletion_at(m), stop_reason(m.errors), known["down"].text
    soon = at_stake is not None and (at_stake[0] - m.now).total_seconds() <= _SOON_S
    tail = f"; {deletion_words(*at_stake, m.now)}" if at_stake and soon else ""
    why = f" ({in_short(reason.example, _REASON)})" if reason else ""
    told = "" if "waiting" in text else waiting
    return f"{pipeline} is down{_kind(issue)}: {text}{why}{told}{tail}."


def _kind(issue: Issue | None) -> str:
    if issue is None:
        return ""
    return f" ({issue.type} issue, {issue.cause})" if issue.cause else f" ({issue.type} issue)"


def _tables(m: Measurements) -> tuple[Table, ...]:
    rows = tuple(
        (
            queue.name,
            "unknown" if queue.count is None else number(queue.count),
            "unknown" if queue.oldest_s is None else duration(queue.oldest_s),
            "unknown" if queue.retention_s is None else duration(queue.retention_s),
        )
        for queue in m.queues
    )
    out = [Table("Subscriptions", ("subscription", "waiting", "oldest", "kept for"), rows)] if rows else []
    if m.errors:
        lines = tuple((str(e.count), clock(e.last, m.now), e.source, e.shape) for e in m.errors[:5])
        out.append(Table("Errors in the logs (2 h)", ("count", "last", "from", "message"), lines))
    return tuple(out)


def _next(
    known: Mapping[str, Fact], m: Measurements, severity: Severity, held: Bottleneck | None
) -> tuple[NextStep, ...]:
    steps: list[NextStep] = []
    if known["down"].on:
        steps += [
            NextStep("Restart the pipeline", "pipeline.restart"),
            NextStep("Read the logs", "pipeline.logs"),
        ]
    elif severity in ("warning", "critical", "unknown"):
        steps.append(NextStep("Read the logs", "pipeline.logs"))
    if m.dead_letters and m.dead_letters.count:
        steps.append(NextStep("Look at dead letters", "dlq.peek"))
    if (known["error_rate"].value or 0) > m.limits.error_warning:
        steps.append(NextStep("Find the root cause", "pipeline.quality"))
    if held is not None:
        steps.append(NextStep("See where the time goes", "pipeline.perf"))
    if known["doubled_job"].on:
        steps.append(NextStep("Look at the jobs", "pipeline.jobs"))
    return tuple(steps)


# What the bot and scripts read beside the facts; names are part of the outside shape.
_DATA_KEYS: Final = (
    "jobs",
    "queues",
    "backlog",
    "deletion_at",
    "issue_type",
    "lag",
    "root_cause",
    "bottleneck",
)


def _data(m: Measurements, issue: Issue | None, held: Bottleneck | None) -> dict[str, Any]:
    at_stake = deletion_at(m)
    values: tuple[Any, ...] = (
        [{"id": j.id, "name": j.name, "state": j.state} for j in (m.jobs or ())[:10]],
        {q.name: {"count": q.count, "oldest_s": q.oldest_s, "retention_s": q.retention_s} for q in m.queues},
        m.backlog,
        at_stake[0].isoformat().replace("+00:00", "Z") if at_stake else None,
        issue.type if issue else None,
        {"system_lag_s": m.system_lag_s, "watermark_age_s": m.watermark_age_s},
        issue.cause if issue and issue.cause else None,
        {"kind": held.kind, "stage": held.stage.name} if held else None,
    )
    return dict(zip(_DATA_KEYS, values, strict=True))


def _sentence(text: str) -> str:
    return (text[:1].upper() + text[1:]).rstrip(".") + "."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
