"""What a probe of a pipeline's health means (rules: "Facts", The watch).

It feeds the facts of the pipeline's incident; where nothing is open and it finds trouble, it opens an incident
itself and says which alert policy kept silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.core import lifecycle, matching, signals
from bot.core.alert_model import Kind, Severity
from bot.core.correlation import correlation_key, family
from bot.core.facts import Measured, from_measurements
from bot.core.folding import begin
from bot.core.holding import ALWAYS, Why, counted_from, measured_meanwhile
from bot.core.incident import Event, Incident
from bot.desk import holds
from bot.desk.change import change
from bot.desk.house import House
from bot.desk.ports import Tx
from pipeline.catalogue import Pipeline
from pipeline.report import Report

WATCH = "watch"
BEFORE_OPENING = timedelta(minutes=2)

# Which alert policy should have fired, by the finding that the probe made.
_POLICIES = {
    "stopped": "the policy on dataflow.googleapis.com/job/is_failed",
    "stuck": "the policy on dataflow.googleapis.com/job/data_watermark_age",
    "degraded": "the policy on dataflow.googleapis.com/job/system_lag",
    "error_rate_high": "the policy on the share of invalid events",
    "error_rate_critical": "the policy on the share of invalid events",
    "backlog": "the policy on pubsub.googleapis.com/subscription/oldest_unacked_message_age",
}

# What only tells that it is slow; each with a way through the runbook of performance.
_SLOW = frozenset({"degraded", "backlog", "hot_key", "slow_sink", "workers", "stage", "bigquery", "bigtable"})


def measured(report: Report) -> tuple[Measured, ...]:
    """The facts of a health report in the core's form."""
    return tuple(Measured(id=f.id, on=f.on, text=f.text, since=f.since) for f in report.facts)


def learn(tx: Tx, house: House, pipeline: Pipeline, report: Report) -> None:
    """What one probe means: for the incident that is open, or for the one that it opens."""
    healthy_fact = report.fact("healthy")
    healthy = healthy_fact.on if healthy_fact is not None else None
    # The pipeline does well with what comes; but something does not come that always did.
    if healthy and any(finding.id == "source_silent" for finding in report.findings):
        healthy = False
    deletion_at = _instant(report.data.get("deletion_at"))
    facts = measured(report)
    tx.put_value(f"facts:{pipeline.name}", {f.id: f.on for f in facts})
    facts = counted_from(facts, holds.over_at(tx, pipeline.name))
    held = holds.holds_now(tx, house, pipeline.name)
    standing = tx.open_incident(correlation_key(pipeline.project, pipeline.name, "stream"))
    if standing is not None:
        _forget_trouble(tx, pipeline)
        if any(hold.why is Why.MAINTENANCE for hold in held):
            facts = measured_meanwhile(facts, [fact.id for fact in standing.holding])
        events = signals.probed(
            standing,
            healthy=healthy,
            verdict=report.verdict,
            severity=report.severity,
            measured=facts,
            deletion_at=deletion_at,
            now=tx.now(),
        )
        events += _graver(tx, house, standing, report, facts, healthy)
        if events:
            change(tx, house, standing, standing.id, events)
        return
    if held and not any(fact.id == ALWAYS and fact.on for fact in facts):
        _forget_trouble(tx, pipeline)
        return
    _maybe_open(tx, house, pipeline, report, healthy, facts)


def _graver(
    tx: Tx,
    house: House,
    standing: Incident,
    report: Report,
    facts: Sequence[Measured],
    healthy: bool | None,
) -> list[Event]:
    """What was only slow, or only refused events, and stands still now; where alerts came, they say all this.

    Once it was critical people decide: what they lowered stays so.
    """
    events: list[Event] = []
    if healthy is not False or standing.declared or standing.alerts:
        return events
    if report.severity == "critical" and not standing.critical_ever:
        told = {"from": str(standing.severity), "to": str(Severity.CRITICAL), "reason": report.verdict}
        events.append(lifecycle.event("severity_changed", tx.now(), WATCH, **told))
    order, kind = list(Kind), _kind(report, facts)
    if order.index(kind) < order.index(standing.kind):
        runbook = house.runbook_names().get(kind, "")
        events += matching.becomes(standing, kind, runbook, tx.now(), WATCH)
    return events


def _instant(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) and value else None


def _maybe_open(
    tx: Tx, house: House, pipeline: Pipeline, report: Report, healthy: bool | None, facts: Sequence[Measured]
) -> None:
    """Trouble that lasted for two probes and two minutes, while no alert came: an incident of the watch's own.

    "Down" opens at once: its fact already carries its own proof. So does a loss whose instant is known (a job that was
    cancelled), even where the next job runs well already; but not again, where it was resolved with it.
    """
    mark = _trouble(pipeline)
    last = tx.last_incident(correlation_key(pipeline.project, pipeline.name, "stream"))
    lost = any(f.id == ALWAYS and f.on and f.since and not _was_over(last, f.since) for f in facts)
    if not lost and (healthy is not False or report.severity not in ("warning", "critical")):
        _forget_trouble(tx, pipeline)
        return
    since = _instant(tx.get_value(mark))
    now = tx.now()
    down = any(f.id == "down" and f.on for f in facts)
    if since is None:
        tx.put_value(mark, now.isoformat())
    if not down and not lost and (since is None or now - since < BEFORE_OPENING):
        return
    tx.put_value(mark, None)
    if last is not None and lifecycle.may_reopen_by_alert(last, now):
        reopen_from_probe(tx, house, last, report.verdict, facts)
    else:
        _open_stream(tx, house, pipeline, report, facts, last)


def _trouble(pipeline: Pipeline) -> str:
    return f"trouble:{pipeline.name}"


def _forget_trouble(tx: Tx, pipeline: Pipeline) -> None:
    """What is told, held or over by now is not what the next bad look goes on with."""
    if tx.get_value(_trouble(pipeline)):
        tx.put_value(_trouble(pipeline), None)


def _was_over(last: Incident | None, since: datetime) -> bool:
    """Whether the last incident was resolved after it."""
    return last is not None and last.resolved_at is not None and since <= last.resolved_at


def title_of(verdict: str) -> str:
    """A title that may stand for hours: without the backlog and age of this moment, which are in the findings."""
    head = verdict.partition(": ")[0]
    return (head if " is down" in head else verdict.partition("; ")[0]).rstrip(".")[:150]


def _open_stream(
    tx: Tx,
    house: House,
    pipeline: Pipeline,
    report: Report,
    facts: Sequence[Measured],
    last: Incident | None,
) -> None:
    """Open an incident without any alert and name the policy that should have fired."""
    policies = [_POLICIES[f.id] for f in report.findings if f.id in _POLICIES]
    silent = f" {policies[0].capitalize()} should have fired." if policies else ""
    open_from_probe(
        tx,
        house,
        pipeline,
        kind=_kind(report, facts),
        severity=Severity.CRITICAL if report.severity == "critical" else Severity.WARNING,
        title=title_of(report.verdict),
        reason=f"{report.verdict} Cloud Monitoring is silent: no alert came for this.{silent}",
        facts=facts,
        last=last,
    )


def _kind(report: Report, facts: Sequence[Measured]) -> Kind:
    """Quality where events are refused or a source is silent and it runs, performance where it is only slow, else
    health."""
    found = {f.id for f in report.findings if f.severity in ("warning", "critical")}
    down = any(f.id == "down" and f.on for f in facts)
    if down or not found:
        return Kind.HEALTH
    if any(name.startswith(("error_rate", "source_silent")) for name in found):
        return Kind.QUALITY
    return Kind.PERFORMANCE if found <= _SLOW else Kind.HEALTH


def open_from_probe(
    tx: Tx,
    house: House,
    pipeline: Pipeline,
    *,
    kind: Kind,
    severity: Severity,
    title: str,
    reason: str,
    facts: Sequence[Measured],
    last: Incident | None,
) -> int:
    """Open an incident of the watch's own, with the facts that it measured; `last` is the one before, if any."""
    now = tx.now()
    number = tx.next_number()
    first = lifecycle.opened(
        project=pipeline.project,
        pipeline=pipeline.name,
        family=str(family(kind)),
        title=title,
        kind=kind,
        severity=severity,
        policy=house.policy,
        now=now,
        actor=WATCH,
        reason=reason,
        claimed=True,
        linked=[last.id] if last is not None else [],
        runbook=house.runbook_names().get(kind, ""),
    )
    state = begin(number, first)
    events: list[Event] = [first, lifecycle.event("noted", now, WATCH, text=reason)]
    events += from_measurements(state, facts, now, WATCH)
    change(tx, house, None, number, events)
    return number


def reopen_from_probe(tx: Tx, house: House, last: Incident, verdict: str, facts: Sequence[Measured]) -> None:
    """The trouble of an incident that was just resolved is back: it goes on."""
    now = tx.now()
    events = lifecycle.reopen(last, now, WATCH, verdict)
    events += from_measurements(lifecycle.apply(last, events), facts, now, WATCH)
    change(tx, house, last, last.id, events)
