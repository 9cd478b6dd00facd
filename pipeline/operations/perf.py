"""pipeline.perf: stage by stage, where the time goes, and which one holds the others back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pipeline.bottleneck import Bottleneck, Speed, Stage, bottleneck
from pipeline.errors import PipelineError
from pipeline.gather import error_groups, measure
from pipeline.measurements import Gap, LogError, Measurements
from pipeline.operations.base import Context, ReadOperation
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

if TYPE_CHECKING:
    from pipeline.google.metrics import Series

_HOUR_S: Final = 3600.0
_WINDOW_S: Final = 75 * 60.0
_FRESH_S: Final = 300.0
_USUAL_S: Final = 30.0
_LOGS: Final = 200


class Perf(ReadOperation):
    """Lag by stage, backlog, workers and sinks; names the bottleneck, or says that there is none."""

    name = "pipeline.perf"
    words = ("perf",)
    summary = "Where the time goes: lag by stage, workers, sinks, and the bottleneck"

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        now = ctx.now()
        measured = measure(ctx.clients, ctx.pipeline, now, ctx.deadline_s, with_logs=False)
        asked = _Asked(ctx, measured, now)
        speed = asked.speed()
        rates = asked.rates()
        return report(ctx.pipeline.name, measured, speed, rates, asked.gaps)


def report(
    name: str, m: Measurements, speed: Speed, rates: tuple[tuple[str, float], ...], gaps: list[Gap]
) -> Report:
    """The report of one look (pure)."""
    known = {fact.id: fact for fact in facts(m)}
    down = known["down"]
    found = None if down.on else bottleneck(speed)
    findings = [_first(down, speed, found), *_workers(speed), *_backlog(m)]
    if found is not None:
        findings.append(Finding("advice", "info", found.advice))
    findings += [
        Finding(f"gap_{i}", "unknown", f"Not measured: {g.what}. {g.reason}") for i, g in enumerate(gaps)
    ]
    return Report(
        operation="pipeline.perf",
        pipeline=name,
        title=f"Performance of {name}",
        verdict=_verdict(name, down, speed, found),
        severity=worst(finding.severity for finding in findings),
        as_of=m.now,
        findings=tuple(findings),
        tables=_tables(speed, rates),
        next=_next(down, found),
        facts=(down, known["degraded"]),
        data={
            "bottleneck": found.kind if found else None,
            "stage": found.stage.name if found else None,
            "lags": {stage.name: stage.lag_s for stage in speed.stages},
        },
    )


def _first(down: Fact, speed: Speed, found: Bottleneck | None) -> Finding:
    if down.on:
        return Finding("stopped", "critical", f"{down.text[:1].upper()}{down.text[1:]}.")
    if found is not None:
        return Finding(found.kind, "warning", f"Held back by {found.text}.", found.evidence)
    if not speed.stages:
        return Finding(
            "stages", "unknown", "The lag of the stages has no data; where the time goes is unknown."
        )
    slowest = max(speed.stages, key=lambda stage: stage.lag_s)
    evidence = (Evidence(f"system lag of {slowest.name}", round(slowest.lag_s), "s", speed.now),)
    return Finding("keeps_up", "ok", f"No stage is far behind; the slowest is {slowest.name}.", evidence)


def _workers(speed: Speed) -> list[Finding]:
    if speed.workers is None:
        return [Finding("workers", "info", "How many workers are at work is unknown: no data.")]
    most = f" of at most {speed.most_workers}" if speed.most_workers else ""
    busy = f", {percent(speed.utilisation)} busy" if speed.utilisation is not None else ""
    text = f"{plural(speed.workers, 'worker')}{most} at work{busy}."
    evidence = (Evidence("workers", speed.workers, "", speed.now),)
    full = speed.most_workers is not None and speed.workers >= speed.most_workers
    return [Finding("workers", "info" if full else "ok", text, evidence)]


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
        return f"{name} is held back by {found.text}."
    if not speed.stages:
        return f"Where the time of {name} goes is unknown: the lag of its stages has no data."
    slowest = max(speed.stages, key=lambda stage: stage.lag_s)
    return f"{name} keeps up: its slowest stage, {slowest.name}, is {duration(slowest.lag_s)} behind."


def _tables(speed: Speed, rates: tuple[tuple[str, float], ...]) -> tuple[Table, ...]:
    tables = []
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
    if found is None:
        return ()
    logs = NextStep("Read the logs", "pipeline.logs", {"severity": "WARNING"})
    return (NextStep("Set the worker range", "pipeline.scale"), logs) if found.kind == "workers" else (logs,)


class _Asked:
    """The questions to Monitoring and Logging; what does not answer becomes a gap."""

    def __init__(self, ctx: Context, measured: Measurements, now: datetime) -> None:
        self.gaps: list[Gap] = list(measured.gaps)
        self._ctx, self._now = ctx, now
        self._ids = {job.id for job in measured.jobs or () if not job.ended}
        self._backlog = measured.backlog

    def speed(self) -> Speed:
        with ThreadPoolExecutor(max_workers=5, thread_name_prefix="perf") as pool:
            stages = pool.submit(self._series, "per_stage_system_lag")
            busy = pool.submit(self._newest, "aggregated_worker_utilization")
            workers = pool.submit(self._newest, "active_worker_instances")
            most = pool.submit(self._newest, "max_worker_instances_limit")
            warnings = pool.submit(self._warnings)
        return Speed(
            now=self._now,
            stages=tuple(_stages(stages.result(), self._now)),
            utilisation=busy.result(),
            workers=_whole(workers.result()),
            most_workers=_whole(most.result()),
            backlog=self._backlog,
            warnings=warnings.result(),
        )

    def rates(self) -> tuple[tuple[str, float], ...]:
        """Elements of each transform and rows into BigQuery, per second over five minutes."""
        out = [
            (one.labels.get("ptransform", "elements"), self._rate(one))
            for one in self._series("elements_produced_count", _FRESH_S)
        ]
        out += [
            ("rows into BigQuery", self._rate(one)) for one in self._series("bigquery/write_count", _FRESH_S)
        ]
        return tuple(out)

    def _rate(self, one: Series) -> float:
        begin = self._now - timedelta(seconds=_FRESH_S)
        return sum(point.value for point in one.points if point.at > begin) / _FRESH_S

    def _series(self, metric: str, window_s: float = _WINDOW_S) -> tuple[Series, ...]:
        from pipeline.google import metrics

        ctx = self._ctx
        try:
            found = metrics.job_series(
                ctx.clients,
                ctx.pipeline.project,
                ctx.pipeline.job_name,
                metric,
                self._now,
                window_s,
                ctx.deadline_s,
            )
        except PipelineError as error:
            self.gaps.append(Gap(metric.replace("_", " "), str(error)))
            return ()
        return tuple(one for one in found if not self._ids or one.labels.get("job_id", "") in self._ids)

    def _newest(self, metric: str) -> float | None:
        fresh = [
            s.last.value
            for s in self._series(metric, _FRESH_S)
            if (self._now - s.last.at).total_seconds() <= _FRESH_S
        ]
        return max(fresh) if fresh else None

    def _warnings(self) -> tuple[LogError, ...]:
        from pipeline.google.logs import log_lines

        since = self._now - timedelta(minutes=30)
        try:
            lines = log_lines(
                self._ctx.clients,
                self._ctx.pipeline,
                since=since,
                until=self._now,
                limit=_LOGS,
                severity="WARNING",
            )
        except PipelineError as error:
            self.gaps.append(Gap("logs", str(error)))
            return ()
        return error_groups(lines)


def _stages(found: Iterable[Series], now: datetime) -> Iterable[Stage]:
    for one in found:
        if (now - one.last.at).total_seconds() > _FRESH_S:
            continue
        before = one.at(now - timedelta(seconds=_HOUR_S))
        yield Stage(
            name=one.labels.get("stage", "unnamed"),
            lag_s=one.last.value,
            before_s=before.value if before else None,
            since=_since(one),
        )


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _since(one: Series) -> datetime | None:
    """Since when the stage has been behind more than usual, without a break."""
    since = None
    for point in reversed(one.points):
        if point.value < _USUAL_S:
            break
        since = point.at
    return since
