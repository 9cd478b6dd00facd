"""pipeline.perf: stage by stage, where the time goes, and which one holds the others back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipeline.bottleneck import Bottleneck, Speed, bottleneck
from pipeline.gaps import Gap, gap_findings
from pipeline.gather import measure
from pipeline.gather_sinks import sinks
from pipeline.gather_speed import FRESH_S, SpeedGauge
from pipeline.measurements import Measurements
from pipeline.operations.base import Context, ReadOperation
from pipeline.patience import Together
from pipeline.report import (
    Evidence,
    Fact,
    Finding,
    NextStep,
    Report,
    Table,
    clock,
    duration,
    number,
    percent,
    plural,
    worst,
)
from pipeline.rules import facts
from pipeline.sinks import Sinks, perf_findings, query_table, sink_evidence

if TYPE_CHECKING:
    from pipeline.google.metrics import Series


class Perf(ReadOperation):
    """Lag by stage, backlog, workers, BigQuery and Bigtable; names the bottleneck, or says that there is none."""

    name = "pipeline.perf"
    words = ("perf",)
    summary = "Where the time goes: lag by stage, workers, sinks, and the bottleneck"

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        now = ctx.now()
        measured = measure(ctx.clients, ctx.pipeline, now, ctx.deadline_s, with_logs=False)
        if measured.backlog is None and measured.system_lag_s is None:
            # Monitoring does not answer: to ask it more would only make a person wait.
            return report(ctx.pipeline.name, measured, Speed(now=now), (), list(measured.gaps), Sinks())
        gauge = SpeedGauge(ctx.clients, ctx.pipeline, measured, ctx.deadline_s)
        with Together(max_workers=2, thread_name_prefix="perf") as pool:
            looking = pool.submit(sinks, ctx.clients, ctx.pipeline, now, ctx.deadline_s, closely=True)
            moved = pool.submit(_rates, gauge, now)
            speed, rates, stores = gauge.speed(), moved.result(), looking.result()
        return report(ctx.pipeline.name, measured, speed, rates, [*measured.gaps, *gauge.gaps], stores)


def report(
    name: str,
    m: Measurements,
    speed: Speed,
    rates: tuple[tuple[str, float], ...],
    gaps: list[Gap],
    stores: Sinks,
) -> Report:
    """The report of one look (pure)."""
    known = {fact.id: fact for fact in facts(m)}
    down = known["down"]
    found = None if down.on else bottleneck(speed)
    findings = [_first(down, speed, found, stores), *_workers(speed), *_backlog(m), *perf_findings(m, stores)]
    if found is not None:
        findings.append(Finding("advice", "info", found.advice))
    findings += gap_findings(gaps)
    severity = worst(finding.severity for finding in findings)
    # The stores explain; where they cannot be seen, where the time goes is known all the same.
    findings += gap_findings(stores.gaps, "sink_gap")
    return Report(
        operation="pipeline.perf",
        pipeline=name,
        title=f"Performance of {name}",
        verdict=_verdict(name, down, speed, found),
        severity=severity,
        as_of=m.now,
        findings=tuple(findings),
        tables=(*_tables(speed, rates, stores), *query_table(stores, m.now)),
        next=_next(down, found),
        facts=(down, known["degraded"]),
        data={
            "bottleneck": found.kind if found else None,
            "stage": found.stage.name if found else None,
            "bigquery_slots": stores.queries.slots if stores.queries else None,
            "bigtable_cpu": stores.cpu,
            "lags": {stage.name: stage.lag_s for stage in speed.stages},
        },
    )


def _first(down: Fact, speed: Speed, found: Bottleneck | None, stores: Sinks) -> Finding:
    if down.on:
        return Finding("stopped", "critical", f"{down.text[:1].upper()}{down.text[1:]}.")
    if found is not None:
        evidence = (*found.evidence, *sink_evidence(found, stores, speed.now))
        if found.catches_up:
            return Finding(found.kind, "info", f"Catches up: {found.text}.", found.evidence)
        return Finding(found.kind, "warning", f"Held back by {found.text}.", evidence)
    if not speed.stages:
        return Finding(
            "stages", "unknown", "The lag of the stages has no data; where the time goes is unknown."
        )
    slowest = max(speed.stages, key=lambda stage: stage.lag_s)
    evidence = (Evidence(f"system lag of {slowest.name}", round(slowest.lag_s), "s", speed.now),)
    return Finding("keeps_up", "ok", f"No stage is far behind; the slowest is {slowest.name}.", evidence)


def _workers(speed: Speed) -> list[Finding]:
    if speed.workers is None:
        return [Finding("worker_count", "info", "How many workers are at work is unknown: no data.")]
    most = f" of at most {speed.most_workers}" if speed.most_workers else ""
    busy = f", {percent(speed.utilisation)} busy" if speed.utilisation is not None else ""
    text = f"{plural(speed.workers, 'worker')}{most} at work{busy}."
    evidence = (Evidence("workers", speed.workers, "", speed.now),)
    full = speed.most_workers is not None and speed.workers >= speed.most_workers
    return [Finding("worker_count", "info" if full else "ok", text, evidence)]


def _backlog(m: Measurements) -> list[Finding]:
    backlog = m.backlog
    if backlog is None:
        return [Finding("backlog", "unknown", "What waits in the subscriptions is unknown: no data.")]
    oldest = max((q.oldest_s for q in m.sources if q.oldest_s is not None), default=None)
    age = f", the oldest for {duration(oldest)}" if backlog and oldest else ""
    evidence = (Evidence("waiting", backlog, "messages", m.now),)
    return [Finding("backlog", "ok", f"{plural(backlog, 'message waits', 'messages wait')}{age}.", evidence)]


def _verdict(name: str, down: Fact, speed: Speed, found: Bottleneck | None) -> str:
    if down.on:
        return f"{name} moves nothing, so no stage can be called slow: {down.text}."
    if found is not None:
        return f"{name} {found.of_it}."
    if not speed.stages:
        return f"Where the time of {name} goes is unknown: the lag of its stages has no data."
    slowest = max(speed.stages, key=lambda stage: stage.lag_s)
    return f"{name} keeps up: its slowest stage, {slowest.name}, is {duration(slowest.lag_s)} behind."


def _tables(speed: Speed, rates: tuple[tuple[str, float], ...], stores: Sinks) -> tuple[Table, ...]:
    tables = []
    rates += (("rows into BigQuery", stores.rows.now),) if stores.rows else ()
    if speed.stages:
        rows = tuple(
            (
                stage.name,
                duration(stage.lag_s),
                duration(stage.before_s) if stage.before_s is not None else "unknown",
                clock(stage.since, speed.now) if stage.since else "",
            )
            for stage in sorted(speed.stages, key=lambda stage: -stage.lag_s)
        )
        tables.append(Table("Stages", ("stage", "behind", "an hour before", "behind since"), rows))
    if rates:
        moved = tuple((what, number(rate, 1)) for what, rate in rates)
        tables.append(Table("Throughput, last 5 min", ("what", "per second"), moved))
    return tuple(tables)


def _next(down: Fact, found: Bottleneck | None) -> tuple[NextStep, ...]:
    if down.on:
        return (NextStep("Look at its health", "pipeline.health"),)
    if found is None or found.catches_up:
        return ()
    logs = NextStep("Read the logs", "pipeline.logs", {"severity": "WARNING"})
    return (*scaling(found), logs)


def scaling(found: Bottleneck) -> tuple[NextStep, ...]:
    """The change of the worker range that a bottleneck asks for; it is planned and confirmed as any other."""
    if found.kind != "workers":
        return ()
    if found.target is None:
        return (NextStep("Show the worker range", "pipeline.workers"),)
    return (NextStep(f"Allow {plural(found.target, 'worker')}", "pipeline.scale", {"max": found.target}),)


def _rates(gauge: SpeedGauge, now: datetime) -> tuple[tuple[str, float], ...]:
    """Elements of each transform, per second over five minutes."""

    def rate(one: Series) -> float:
        begin = now - timedelta(seconds=FRESH_S)
        return sum(point.value for point in one.points if point.at > begin) / FRESH_S

    return tuple(
        (one.labels.get("ptransform", "elements"), rate(one))
        for one in gauge.series("elements_produced_count", FRESH_S)
    )
