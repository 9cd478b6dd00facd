"""pipeline.loadtest: marked clicks at a fixed rate, and how long they take.

Open loop: when an event is due does not depend on the answer to the one before, and its latency
counts from the moment it was due, so a slow answer cannot hide the wait of those behind it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pipeline.errors import PipelineError, Refused
from pipeline.gather import measure
from pipeline.measurements import Measurements
from pipeline.operations.base import (
    ChangeOperation,
    Context,
    Param,
    Plan,
    Progress,
    ProgressSink,
    Risk,
    plan_id,
)
from pipeline.report import (
    Evidence,
    Finding,
    NextStep,
    Report,
    Severity,
    Table,
    duration,
    number,
    plural,
    worst,
)
from pipeline.rules import facts
from pipeline.waiting import looks

# The attribute by which the pipeline stops an event before its sinks.
MARK: Final = "streamwatch_loadtest"
_TICK_S: Final = 0.1
_LOOK_S: Final = 10.0
_BATCH: Final = 500
_SENDERS: Final = 8
_CATCH_UP_S: Final = 300.0
_KEPT_UP: Final = 0.95  # of the wanted rate
_SLOW_S: Final = 60.0
_PRODUCTS: Final = 500


@dataclass(slots=True)
class Measured:
    """What a run saw; latencies in seconds from the moment each event was due."""

    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    error: str = ""
    lag_s: float = 0.0
    backlog: int = 0
    took_s: float = 0.0

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class LoadTest(ChangeOperation):
    """Never by itself, and never into a pipeline that is in trouble."""

    name = "pipeline.loadtest"
    words = ("loadtest",)
    summary = "Send marked events at a fixed rate and measure latency; they stop before the sinks"
    params = (
        Param(name="duration", type=int, default=60, help="seconds", minimum=1, maximum=3600),
        Param(name="rate", type=int, default=100, help="events a second", minimum=1, maximum=5000),
    )
    risk = Risk.CHANGE
    resumable = False

    def plan(self, ctx: Context, params: Mapping[str, Any]) -> Plan:
        seconds, rate = int(params.get("duration") or 60), int(params.get("rate") or 100)
        topic = ctx.pipeline.topic_of("click")
        measured = measure(ctx.clients, ctx.pipeline, ctx.now(), ctx.deadline_s, with_logs=False)
        refusal = _trouble(ctx, measured)
        if topic is None:
            refusal = f"{ctx.pipeline.name} has no topic for clicks in pipelines.yaml."
        usual = measured.counters.received / measured.limits.rate_s if measured.counters else None
        now_at = f"; it receives {number(usual, 1)} a second now" if usual is not None else ""
        return Plan(
            id=plan_id(),
            operation=self.name,
            pipeline=ctx.pipeline.name,
            params={"duration": seconds, "rate": rate},
            summary=f"Send {number(seconds * rate)} marked clicks, {rate} a second for {duration(seconds)}{now_at}.",
            effects=(
                f"To topic {topic}, each marked with the attribute {MARK}; the pipeline counts them and stops them "
                "before BigQuery and Bigtable.",
                "They cost what customers' events cost on the way: Pub/Sub, and workers that may be added.",
                "It stops at once when the pipeline goes down or refuses events.",
            ),
            warnings=(
                "A job of an older code version does not know the mark and would write them to the tables.",
            ),
            refusal=refusal,
            risk=Risk.CHANGE,
            made_at=ctx.now(),
            data={"topic": topic, "backlog": measured.backlog},
        )

    def run(self, ctx: Context, plan: Plan, progress: ProgressSink) -> Report:
        if plan.refusal:
            raise Refused(plan.refusal)
        measured = measure(ctx.clients, ctx.pipeline, ctx.now(), ctx.deadline_s, with_logs=False)
        if reason := _trouble(ctx, measured):
            raise Refused(f"{reason} That changed since the plan was made; nothing was sent.")
        return _report(ctx, plan, _send(ctx, plan, progress))

    def verify(self, ctx: Context, plan: Plan) -> Report:
        """Looks until what waits is what waited before, or for five minutes."""
        before, begun = int(plan.data.get("backlog") or 0), ctx.now()
        for _ in looks(ctx.now, ctx.sleep, _CATCH_UP_S, least=3, most=120):
            m = measure(ctx.clients, ctx.pipeline, ctx.now(), ctx.deadline_s, with_logs=False)
            if m.backlog is not None and m.backlog <= before + plan.params["rate"]:
                break
        took = duration((ctx.now() - begun).total_seconds())
        down = next(fact for fact in facts(m) if fact.id == "down")
        if down.on:
            finding = Finding("caught_up", "critical", f"After the load test: {down.text}.")
        elif m.backlog is None:
            finding = Finding(
                "caught_up", "unknown", "Whether it caught up is unknown: the backlog has no data."
            )
        elif m.backlog <= before + plan.params["rate"]:
            finding = Finding(
                "caught_up", "ok", f"Verified: the backlog is back where it was, seen after {took}."
            )
        else:
            waiting = plural(m.backlog, "message waits", "messages wait")
            finding = Finding("caught_up", "warning", f"Not caught up after {took}: {waiting}.")
        return _made(ctx, plan, [finding], (), finding.text, {"backlog": m.backlog})


def _trouble(ctx: Context, m: Measurements) -> str | None:
    """RULES "Operations at 03:10", Load test: not into a production pipeline that is in trouble."""
    if not ctx.pipeline.is_production:
        return None
    if ctx.facts.get("stream_incident"):
        return f"An incident of {ctx.pipeline.name} is open; a load test would make it worse."
    bad = [fact for fact in facts(m) if fact.id in ("down", "degraded", "error_rate") and fact.on]
    return f"{ctx.pipeline.name} is in trouble: {bad[0].text}." if bad else None


def _send(ctx: Context, plan: Plan, progress: ProgressSink) -> Measured:
    """Sends what is due at each tick; looks at the pipeline every ten seconds."""
    rate, total = int(plan.params["rate"]), int(plan.params["rate"]) * int(plan.params["duration"])
    out, lock = Measured(), threading.Lock()
    begun = looked = ctx.now()
    sent = 0
    sending: list[Future[None]] = []
    with ThreadPoolExecutor(max_workers=_SENDERS, thread_name_prefix="loadtest") as pool:
        while sent < total:
            due = min(total, int((ctx.now() - begun).total_seconds() * rate) + 1)
            for first in range(sent, due, _BATCH):
                numbers = range(first, min(due, first + _BATCH))
                sending.append(pool.submit(_publish, ctx, plan, begun, numbers, out, lock))
            sent = due
            if (ctx.now() - looked).total_seconds() >= _LOOK_S:
                looked = ctx.now()
                progress(Progress(f"{number(sent)} of {number(total)} sent", sent, total))
                if not _look(ctx, out):
                    break
            ctx.sleep(_TICK_S)
    for one in sending:
        one.result()  # what is no error of ours must not be lost in a thread
    out.took_s = (ctx.now() - begun).total_seconds()
    _look(ctx, out)
    return out


def _publish(
    ctx: Context, plan: Plan, begun: datetime, numbers: Sequence[int], out: Measured, lock: threading.Lock
) -> None:
    from pipeline.google import pubsub

    rate = int(plan.params["rate"])
    due = [begun + timedelta(seconds=index / rate) for index in numbers]
    messages = [(_event(plan, index, at), {MARK: plan.id}) for index, at in zip(numbers, due, strict=True)]
    try:
        pubsub.publish(ctx.clients, ctx.pipeline.project, str(plan.data["topic"]), messages)
    except PipelineError as error:
        with lock:
            out.failed += len(messages)
            out.error = str(error)
        return
    now = ctx.now()
    with lock:
        out.latencies += [max(0.0, (now - at).total_seconds()) for at in due]


def _event(plan: Plan, index: int, at: datetime) -> bytes:
    return json.dumps(
        {
            "event_type": "click",
            "event_id": f"{plan.id}-{index}",
            "product_id": f"loadtest-{index % _PRODUCTS}",
            "user_id": f"loadtest-{index % _PRODUCTS}",
            "timestamp": at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "session_id": plan.id,
            "page_type": "product",
        }
    ).encode()


def _look(ctx: Context, out: Measured) -> bool:
    """Keeps the worst that is seen; False when the test should end."""
    m = measure(ctx.clients, ctx.pipeline, ctx.now(), ctx.deadline_s, with_logs=False)
    out.lag_s = max(out.lag_s, m.system_lag_s or 0.0)
    out.backlog = max(out.backlog, m.backlog or 0)
    bad = [fact for fact in facts(m) if fact.id in ("down", "error_rate") and fact.on]
    if bad:
        out.error = f"stopped by itself: {bad[0].text}"
    return not bad


def _report(ctx: Context, plan: Plan, seen: Measured) -> Report:
    rate, wanted = int(plan.params["rate"]), int(plan.params["rate"]) * int(plan.params["duration"])
    stored = len(seen.latencies)
    reached = stored / seen.took_s if seen.took_s else 0.0
    p50, p95, p99 = (seen.percentile(share) for share in (0.5, 0.95, 0.99))
    evidence = (
        Evidence("stored by Pub/Sub", stored, "events", ctx.now()),
        Evidence("reached", round(reached, 1), "events/s"),
        Evidence("greatest system lag", round(seen.lag_s), "s"),
    )
    level: Severity = "ok" if stored >= _KEPT_UP * wanted and reached >= _KEPT_UP * rate else "warning"
    findings = [Finding("sent", level, f"{number(stored)} of {number(wanted)} events sent.", evidence)]
    slow: Severity = "warning" if seen.lag_s > _SLOW_S else "ok"
    most = f"the most that waited {number(seen.backlog)}"
    text = f"While it ran the greatest system lag was {duration(seen.lag_s)}, {most}."
    findings.append(Finding("lag", slow, text))
    if seen.error:
        findings.append(Finding("errors", "warning", f"{number(seen.failed)} not taken; {seen.error}"))
    rows = tuple(
        (name, f"{number(value * 1000)} ms") for name, value in (("p50", p50), ("p95", p95), ("p99", p99))
    )
    verdict = (
        f"{ctx.pipeline.name} got {number(stored)} marked events at {number(reached, 1)} a second: stored within "
        f"{number(p50 * 1000)} ms (p50) and {number(p99 * 1000)} ms (p99) of being due, system lag at most "
        f"{duration(seen.lag_s)}."
    )
    tables = (Table("From due to stored by Pub/Sub", ("percentile", "latency"), rows),)
    data = {"sent": stored, "failed": seen.failed, "p50_s": p50, "p99_s": p99, "lag_s": seen.lag_s}
    return _made(ctx, plan, findings, tables, verdict, data)


def _made(
    ctx: Context,
    plan: Plan,
    findings: list[Finding],
    tables: tuple[Table, ...],
    verdict: str,
    data: Mapping[str, Any],
) -> Report:
    return Report(
        operation=plan.operation,
        pipeline=plan.pipeline,
        title=f"Load test of {plan.pipeline}",
        verdict=verdict,
        severity=worst(finding.severity for finding in findings),
        as_of=ctx.now(),
        findings=tuple(findings),
        tables=tables,
        next=(NextStep("See where the time goes", "pipeline.perf"),),
        data=dict(data),
    )
