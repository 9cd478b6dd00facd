"""cost.leaks: what is paid for without need, from living jobs and their metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.leaks import Leak, Paid
from pipeline.operations.base import Context, ReadOperation
from pipeline.operations.paid import found_leaks, hourly, living
from pipeline.report import Finding, NextStep, Report, Table, duration, number, percent, plural, worst


class CostLeaks(ReadOperation):
    """Jobs that run twice, are stuck, idle, forgotten, or larger than they need be."""

    name = "cost.leaks"
    words = ("cost", "leaks")
    summary = "Jobs that are paid for without need: doubled, stuck, idle, forgotten, over-provisioned"

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        paid, gaps = living(ctx)
        leaks = found_leaks(ctx, paid)
        findings = [leak_finding(leak) for leak in leaks] or [
            Finding("none", "ok", f"No leak in {plural(len(paid), 'living job')} of {ctx.pipeline.region}.")
        ]
        findings += gaps
        unknown = any(finding.severity == "unknown" for finding in gaps)
        return Report(
            operation=self.name,
            pipeline=ctx.pipeline.name,
            title=f"Leaks of {ctx.pipeline.name}",
            verdict=_verdict(ctx, leaks, paid, unknown),
            severity=worst(finding.severity for finding in findings),
            as_of=ctx.now(),
            findings=tuple(findings),
            tables=(_table(ctx, paid),) if paid else (),
            next=_next(leaks, ctx.pipeline.job_name),
            data={"leaks": [leak.kind for leak in leaks], "jobs": len(paid)},
        )


def leak_finding(leak: Leak) -> Finding:
    """The finding that says what leaks and what it costs."""
    text = f"{leak.text[:1].upper()}{leak.text[1:]}; {hourly(leak.paid)}."
    return Finding(leak.kind, "warning", text, leak.evidence)


def _verdict(ctx: Context, leaks: tuple[Leak, ...], paid: tuple[Paid, ...], unknown: bool) -> str:
    region = ctx.pipeline.region
    if leaks:
        first = leaks[0].text
        more = f"; and {plural(len(leaks) - 1, 'more leak')}" if len(leaks) > 1 else ""
        return f"Money leaks in {region}: {first}{more}."
    if unknown:
        return f"Whether money leaks in {region} is not known in full: not every figure could be measured."
    return f"No leak found: {plural(len(paid), 'living job')} in {region}, all at work for a pipeline."


def _table(ctx: Context, paid: tuple[Paid, ...]) -> Table:
    now = ctx.now()
    rows = tuple(
        (
            one.job.name,
            f"{one.job.state} for {duration(max(0.0, (now - one.job.since).total_seconds()))}"
            if one.job.since
            else one.job.state,
            str(one.workers) if one.workers is not None else "unknown",
            percent(one.busy) if one.busy is not None else "unknown",
            f"{number(one.hour, 2)} {one.currency}" if one.hour is not None else "unknown",
        )
        for one in paid
    )
    return Table(
        "Living jobs (cost: estimate by list price)", ("job", "state", "workers", "busy", "an hour"), rows
    )


def _next(leaks: tuple[Leak, ...], name: str) -> tuple[NextStep, ...]:
    kinds = {leak.kind for leak in leaks}
    steps = []
    before = max((leak.paid[0].workers_before or 0 for leak in leaks if leak.kind == "scaled_up"), default=0)
    if before:
        steps.append(NextStep(f"Back to {plural(before, 'worker')}", "pipeline.scale", {"max": before}))
    doubled = [paid.job for leak in leaks if leak.kind == "doubled_job" for paid in leak.paid]
    second = next((job for job in doubled if job.name != name), None)
    if second is not None:
        steps.append(NextStep("Drain the second job", "pipeline.drain", {"job": second.id}))
    if "stuck_job" in kinds:
        steps.append(NextStep("Restart it", "pipeline.restart"))
    if kinds - {"scaled_up"}:
        steps.append(NextStep("Look at the jobs", "pipeline.jobs"))
    return tuple(steps)
