"""pipeline.health: is it running, is it right, is it quick, and how long until data is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pipeline.background import Background, silent_issue
from pipeline.background import findings as past_findings
from pipeline.bottleneck import BEHIND_S, Bottleneck, bottleneck
from pipeline.causes import Issue, in_short, issue_type, stop_reason
from pipeline.errors import PipelineError
from pipeline.gaps import gap_findings
from pipeline.gaps import in_short as not_measured
from pipeline.gather import measure
from pipeline.gather_background import background
from pipeline.gather_sinks import sinks
from pipeline.gather_speed import SpeedGauge
from pipeline.measurements import Measurements
from pipeline.operations.base import Context, ReadOperation
from pipeline.operations.health_findings import (
    dead_letters,
    errors,
    held_by,
    sentence,
    speed,
    state,
    trend,
    waiting,
)
from pipeline.operations.perf import scaling
from pipeline.patience import Together, within
from pipeline.report import (
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
from pipeline.resources import constraint, quota_changes, quota_findings, quota_issue
from pipeline.rules import deletion_at, deletion_words, facts
from pipeline.schema_changes import Columns, schema_changes
from pipeline.service_health import ServiceHealth, relevant, service_issue
from pipeline.service_health import findings as service_findings
from pipeline.service_health import in_short as ill_service
from pipeline.sinks import Sinks
from pipeline.sinks import health_findings as sink_findings

if TYPE_CHECKING:
    from pipeline.google.quotas import Quota

ANSWER_S: Final = 6.0  # for the whole look; what has not answered by then was not measured
_SOON_S: Final = 2 * 86400  # a deletion further off is told, but not in the first sentence
_REASON: Final = 120  # characters of a log line in the first sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What explains a measurement: the past, what holds the pipeline back, Google itself, sinks, quotas."""

    past: Background | None = None
    held: Bottleneck | None = None
    google: ServiceHealth = field(default_factory=ServiceHealth)
    sinks: Sinks = field(default_factory=Sinks)
    quotas: tuple[Quota, ...] | None = None  # the fullest first; None where they could not be read
    quotas_before: tuple[Quota, ...] | None = None  # a day ago
    schemas: Mapping[str, Columns] = field(default_factory=dict)  # of the tables that could be looked at
    schemas_before: Mapping[str, Columns] = field(default_factory=dict)  # a day ago, as the history has it


class Health(ReadOperation):
    """A fresh probe of one pipeline."""

    name = "pipeline.health"
    words = ("health",)
    summary = "Is the pipeline running, how many errors, how far behind, what is at stake"

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        from pipeline.google.service_health import service_health

        now, clients, pipeline, wait_s = ctx.now(), ctx.clients, ctx.pipeline, ctx.deadline_s
        with (
            within(min(wait_s, ANSWER_S)),
            Together(max_workers=5, thread_name_prefix="health") as pool,
        ):
            google = pool.submit(service_health, clients, pipeline.project, wait_s)
            stores = pool.submit(sinks, clients, pipeline, now, wait_s, closely=False)
            columns = pool.submit(_schemas, ctx)
            quotas, before = (pool.submit(_quotas, ctx, at) for at in (now, now - timedelta(days=1)))
            measured = measure(clients, pipeline, now, wait_s)
            past = Background()
            # Where Monitoring does not answer now, its past would only make a person wait.
            if measured.backlog is not None or measured.system_lag_s is not None:
                past = background(clients, pipeline, now, wait_s)
            beside = Beside(
                past=past,
                held=_held(ctx, measured),
                google=relevant(google.result(), pipeline),
                sinks=stores.result(),
                quotas=quotas.result(),
                quotas_before=before.result(),
                schemas=columns.result(),
                schemas_before=_schemas_before(ctx, now),
            )
        return report(pipeline.name, measured, beside)


def _quotas(ctx: Context, now: datetime) -> tuple[Quota, ...] | None:
    from pipeline.google.quotas import compute_quotas

    try:
        return compute_quotas(ctx.clients, ctx.pipeline.project, ctx.pipeline.region, now, ctx.deadline_s)
    except PipelineError:
        return None  # Monitoring's silence is told by what needs it more


def _schemas(ctx: Context) -> Mapping[str, Columns]:
    from pipeline.google.schemas import schemas

    try:
        return schemas(ctx.clients, ctx.pipeline, ctx.deadline_s)
    except PipelineError:
        return {}  # `validate` tells of BigQuery that does not answer, and of tables that are not there


def _schemas_before(ctx: Context, now: datetime) -> Mapping[str, Columns]:
    if ctx.history is None:
        return {}
    try:
        return ctx.history.schemas_at(ctx.pipeline.name, now - timedelta(days=1))
    except PipelineError:
        return {}  # a history that does not answer is no reason to judge nothing


def _held(ctx: Context, m: Measurements) -> Bottleneck | None:
    """What holds a running pipeline back; asked only where it is behind, so that a healthy one costs nothing."""
    if m.job is None or not m.job.running or (m.system_lag_s or 0.0) < BEHIND_S:
        return None
    return bottleneck(SpeedGauge(ctx.clients, ctx.pipeline, m, ctx.deadline_s).speed())


def _issue(m: Measurements, seen: list[Finding], beside: Beside) -> Issue | None:
    """The kind of trouble; Google's own word is surer than what unreachable services leave in our logs."""
    found, google = issue_type(m), service_issue(beside.google, m.now)
    if google is not None and (found is None or found.type == "infrastructure"):
        return google
    return found or silent_issue(seen) or quota_issue(beside.quotas or ())


def report(pipeline: str, m: Measurements, beside: Beside | None = None) -> Report:
    """The report of one look at a pipeline (pure)."""
    beside = beside or Beside()
    held = beside.held
    known = {fact.id: fact for fact in facts(m)}
    changes = [
        *quota_changes(beside.quotas or (), beside.quotas_before or ()),
        *schema_changes(beside.schemas, beside.schemas_before),
    ]
    seen = past_findings(m, beside.past, changes) if beside.past is not None else []
    issue = _issue(m, seen, beside)
    judged = [
        *state(m, known),
        *seen,
        *errors(m, known),
        *speed(m, known, held),
        *sink_findings(m, beside.sinks),
        *waiting(m, known),
        *dead_letters(m),
        *gap_findings(m.gaps),
    ]
    severity = worst(finding.severity for finding in judged)
    # The others explain trouble and make none: not to know them is not unknown health.
    found = [
        *judged,
        *quota_findings(m, beside.quotas or ()),
        *service_findings(beside.google, m.now),
        *gap_findings(beside.sinks.gaps, "sink_gap"),
    ]
    if issue is not None and severity in ("warning", "critical"):
        text = f"Issue type: {issue.type}. {issue.reason}"
        found.append(Finding(f"{issue.type}_issue", "info", text, issue.evidence))
    if severity == "ok" and known["healthy"].on is None:
        severity = "unknown"
    if severity in ("ok", "info") and known["healthy"].on:
        found.append(Finding("healthy", "ok", sentence(known["healthy"].text)))
    return Report(
        operation="pipeline.health",
        pipeline=pipeline,
        title=f"Health of {pipeline}",
        verdict=_verdict(pipeline, m, known, severity, issue, judged, beside),
        severity=severity,
        as_of=m.now,
        findings=tuple(found),
        tables=_tables(m),
        next=_next(known, m, severity, held),
        facts=(*known.values(), constraint(m, beside.quotas), trend(m, known, held)),
        data=_data(m, issue, beside),
    )


def _verdict(
    pipeline: str,
    m: Measurements,
    known: Mapping[str, Fact],
    severity: Severity,
    issue: Issue | None,
    found: list[Finding],
    beside: Beside,
) -> str:
    waiting = f"; {plural(m.backlog, 'message waits', 'messages wait')}" if m.backlog else ""
    if known["down"].on:
        return _down(pipeline, m, known, issue, waiting)
    if severity in ("critical", "warning"):
        held = beside.held
        if severity == "warning" and held is not None and held.catches_up and known["degraded"].on:
            return f"{pipeline} {held.of_it}; until then it is degraded: {known['degraded'].text}."
        parts = [f.text.rstrip(".") for f in found if f.severity == severity]
        word = "in serious trouble" if severity == "critical" else "in trouble"
        told = waiting if any(f.id == "backlog" for f in found) and "waiting" not in parts[0] else ""
        return f"{pipeline} is {word}{_kind(issue)}: {_lower(parts[0])}{told}."
    if severity == "unknown":
        reasons = [f.text.rstrip(".") for f in found if f.severity == "unknown"]
        first = _lower(reasons[0]) if reasons else known["healthy"].text
        silent = "" if first.startswith("not measured") else not_measured(m.gaps)
        return f"{pipeline} cannot be judged: {first}{silent}."
    if m.job is not None and m.job.starting:
        return f"{pipeline} is starting: {known['down'].text}{waiting}."
    rate = known["error_rate"].value
    errors = f", {percent(rate)} errors" if rate is not None else ", too few events for an error rate"
    behind = f", newest data {duration(m.watermark_age_s)} behind" if m.watermark_age_s is not None else ""
    by = f", {held_by(beside.held)}" if beside.held is not None else ""
    letters = m.dead_letters.count if m.dead_letters else 0
    dead = f"; {plural(letters, 'dead letter')} to look at" if letters else ""
    ill = f"; {ill_service(beside.google.events[0])}" if beside.google.events else ""
    return f"{pipeline} is running{errors}{behind}{by}{dead}{ill}."


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
        steps += [*scaling(held), NextStep("See where the time goes", "pipeline.perf")]
    if known["doubled_job"].on:
        steps.append(NextStep("Look at the jobs", "pipeline.jobs"))
    return tuple(steps)


def _data(m: Measurements, issue: Issue | None, beside: Beside) -> dict[str, Any]:
    """What the bot and scripts read beside the facts; the names are part of the outside shape."""
    at_stake, held, google = deletion_at(m), beside.held, beside.google
    return {
        "jobs": [{"id": j.id, "name": j.name, "state": j.state} for j in (m.jobs or ())[:10]],
        "queues": {
            q.name: {"count": q.count, "oldest_s": q.oldest_s, "retention_s": q.retention_s} for q in m.queues
        },
        "backlog": m.backlog,
        "deletion_at": at_stake[0].isoformat().replace("+00:00", "Z") if at_stake else None,
        "issue_type": issue.type if issue else None,
        "root_cause": issue.cause if issue and issue.cause else None,
        "lag": {"system_lag_s": m.system_lag_s, "watermark_age_s": m.watermark_age_s},
        "bottleneck": {"kind": held.kind, "stage": held.stage.name} if held else None,
        # what the history makes hours of
        "events": {"jobs": list(m.counters.jobs), "totals": dict(m.counters.totals)} if m.counters else None,
        # what the history keeps where it changed
        "schemas": {table: dict(columns) for table, columns in beside.schemas.items()},
        "google": None if google.unknown else [event.title for event in google.events],
    }


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
