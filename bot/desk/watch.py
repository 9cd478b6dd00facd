"""The watch (rules: "Facts"): every pipeline is probed every minute, alert or no alert.

A probe feeds the facts of the pipeline's incident; when nothing is open and it finds trouble, it
opens an incident itself and says which alert policy kept silent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from bot.core import lifecycle
from bot.core.alert_model import Kind, Severity
from bot.core.correlation import correlation_key
from bot.core.facts import Measured, from_measurements
from bot.core.folding import begin
from bot.core.holding import ALWAYS, Hold, Why, counted_from, measured_meanwhile
from bot.core.incident import Event, Incident
from bot.desk import holds
from bot.desk.change import change
from bot.desk.house import House
from bot.desk.kit import Kit
from bot.desk.ports import Tx
from pipeline.catalogue import Pipeline
from pipeline.errors import PipelineError
from pipeline.operations import ReadOperation, own
from pipeline.report import Report

log = structlog.get_logger()
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


def measured(report: Report) -> tuple[Measured, ...]:
    """The facts of a health report in the core's form."""
    return tuple(Measured(id=f.id, on=f.on, text=f.text, since=f.since) for f in report.facts)


def learn(tx: Tx, house: House, pipeline: Pipeline, report: Report) -> None:
    """What one probe means: for the incident that is open, or for the one that it opens."""
    healthy_fact = report.fact("healthy")
    healthy = healthy_fact.on if healthy_fact is not None else None
    deletion_at = _instant(report.data.get("deletion_at"))
    facts = measured(report)
    tx.put_value(f"facts:{pipeline.name}", {f.id: f.on for f in facts})
    facts = counted_from(facts, holds.over_at(tx, pipeline.name))
    held = holds.holds_now(tx, house, pipeline.name)
    standing = tx.open_incident(correlation_key(pipeline.project, pipeline.name, "stream"))
    if standing is not None:
        if any(hold.why is Why.MAINTENANCE for hold in held):
            facts = measured_meanwhile(facts, [fact.id for fact in standing.holding])
        events = lifecycle.probed(
            standing,
            healthy=healthy,
            verdict=report.verdict,
            severity=report.severity,
            measured=facts,
            deletion_at=deletion_at,
            now=tx.now(),
        )
        if events:
            change(tx, house, standing, standing.id, events)
        return
    if held and not any(fact.id == ALWAYS and fact.on for fact in facts):
        return
    _maybe_open(tx, house, pipeline, report, healthy, facts)


def _instant(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) and value else None


def _maybe_open(
    tx: Tx, house: House, pipeline: Pipeline, report: Report, healthy: bool | None, facts: Sequence[Measured]
) -> None:
    """Trouble that lasted for two probes and two minutes, while no alert came: an incident of the watch's own.

    "Down" opens at once: its fact already carries its own proof.
    """
    mark = f"trouble:{pipeline.name}"
    if healthy is not False or report.severity not in ("warning", "critical"):
        if tx.get_value(mark):
            tx.put_value(mark, None)
        return
    since = _instant(tx.get_value(mark))
    now = tx.now()
    down = any(f.id == "down" and f.on for f in facts)
    if since is None:
        tx.put_value(mark, now.isoformat())
    if not down and (since is None or now - since < BEFORE_OPENING):
        return
    tx.put_value(mark, None)
    last = tx.last_incident(correlation_key(pipeline.project, pipeline.name, "stream"))
    if last is not None and lifecycle.may_reopen_by_alert(last, now):
        events = lifecycle.reopen(last, now, "watch", report.verdict)
        opened = lifecycle.apply(last, events)
        events += from_measurements(opened, facts, now, "watch")
        change(tx, house, last, last.id, events)
        return
    open_from_probe(tx, house, pipeline, report, facts, last)


def title_of(verdict: str) -> str:
    """A title that may stand for hours: without the backlog and age of this moment, which are in the findings."""
    head = verdict.partition(": ")[0]
    return (head if " is down" in head else verdict.partition("; ")[0]).rstrip(".")[:150]


def open_from_probe(
    tx: Tx,
    house: House,
    pipeline: Pipeline,
    report: Report,
    facts: Sequence[Measured],
    last: Incident | None,
) -> int:
    """Open an incident without any alert and name the policy that should have fired."""
    now = tx.now()
    number = tx.next_number()
    policies = [_POLICIES[f.id] for f in report.findings if f.id in _POLICIES]
    silent = f" {policies[0].capitalize()} should have fired." if policies else ""
    quality = any(f.id.startswith("error_rate") for f in report.findings) and not any(
        f.id == "down" and f.on for f in facts
    )
    kind = Kind.QUALITY if quality else Kind.HEALTH
    reason = f"{report.verdict} Cloud Monitoring is silent: no alert came for this.{silent}"
    first = lifecycle.opened(
        project=pipeline.project,
        pipeline=pipeline.name,
        family="stream",
        title=title_of(report.verdict),
        kind=kind,
        severity=Severity.CRITICAL if report.severity == "critical" else Severity.WARNING,
        policy=house.policy,
        now=now,
        actor="watch",
        reason=reason,
        claimed=True,
        linked=[last.id] if last is not None else [],
        runbook=house.runbook_names().get(kind, ""),
    )
    state = begin(number, first)
    events: list[Event] = [first, lifecycle.event("noted", now, "watch", text=reason)]
    events += from_measurements(state, facts, now, "watch")
    change(tx, house, None, number, events)
    return number


class Watch:
    """Probes every pipeline when it is due, or at once when it is asked to."""

    def __init__(
        self,
        kit: Kit,
        *,
        monotonic: Callable[[], float],
        maintenances: Callable[[], tuple[Hold, ...]] = tuple,
    ) -> None:
        self._kit = kit
        self._store, self._house, self._wake = kit.store, kit.house, kit.wake
        self._monotonic = monotonic
        self._maintenances = maintenances
        # A clock that runs fast does not make the cloud answer faster: at most one probe a second.
        self._every = max(1.0, 60.0 / kit.speed)
        self._due: dict[str, float] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def at_once(self, pipeline: str | None = None) -> None:
        """Make a pipeline's next probe (or every pipeline's) due now."""
        for name in [pipeline] if pipeline else list(self._due):
            self._due[name] = 0.0

    async def turn(self) -> None:
        """Start the probes that are due."""
        now = self._monotonic()
        for pipeline in self._house().pipelines:
            if self._due.get(pipeline.name, 0.0) <= now and pipeline.name not in self._running:
                self._due[pipeline.name] = now + self._every
                task = asyncio.create_task(self._probe(pipeline))
                self._running[pipeline.name] = task
                task.add_done_callback(lambda _, name=pipeline.name: self._running.pop(name, None))  # type: ignore[misc]

    async def _probe(self, pipeline: Pipeline) -> None:
        operation = self._kit.registry["pipeline.health"]
        assert isinstance(operation, ReadOperation)
        ctx = self._kit.context(pipeline, requested_by="watch", sleep=lambda _: None)
        try:
            report = await asyncio.to_thread(operation.read, ctx, own(operation, {}))
        except PipelineError as error:
            report = Report(
                operation="pipeline.health",
                pipeline=pipeline.name,
                verdict=f"Nothing could be measured: {error}",
                severity="unknown",
                as_of=self._kit.now(),
            )
        except Exception:
            log.exception("probe_failed", action="probe_failed", pipeline=pipeline.name)
            return
        try:
            await asyncio.to_thread(self._kit.history.record_probe, report)
            standing = await asyncio.to_thread(self._maintenances)
            house = replace(self._house(), maintenances=standing)
            await self._store.awrite(lambda tx: learn(tx, house, pipeline, report))
        except Exception:
            log.exception("probe_not_stored", action="probe_not_stored", pipeline=pipeline.name)
        self._wake()
