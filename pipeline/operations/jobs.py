"""pipeline.jobs: the Dataflow jobs of a pipeline, and living ones that look like a second copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.jobs import current, doubles, lasts
from pipeline.operations.base import Context, Param, ReadOperation
from pipeline.report import Evidence, Finding, NextStep, Report, Table, age, clock, plural, worst


class Jobs(ReadOperation):
    """All jobs of the pipeline's fixed name, newest first."""

    name = "pipeline.jobs"
    words = ("jobs",)
    summary = "The Dataflow jobs of the pipeline and their states"
    params = (Param(name="limit", type=int, default=10, help="how many to show", minimum=1, maximum=400),)

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        from pipeline.google import dataflow

        now, pipeline = ctx.now(), ctx.pipeline
        named = dataflow.jobs_of(ctx.clients, pipeline, ctx.deadline_s)
        living = dataflow.active_jobs(ctx.clients, pipeline, named=False, deadline_s=ctx.deadline_s)
        shown = {job.id: job for job in (*living, *named)}
        ours = current(named)
        findings = []
        if ours is None:
            text = f"There is no job named {pipeline.job_name} in {pipeline.region}."
            findings.append(Finding("job", "critical", text))
        else:
            evidence = (Evidence("state", ours.state, "", ours.since or now),)
            level = worst(("ok" if ours.running else "info" if ours.starting else "critical",))
            findings.append(Finding("job", level, f"Job {ours.name} {lasts(ours, now)}.", evidence))
        double = doubles(living, pipeline.job_name)
        if double:
            text = f"{len(double)} living jobs read the same subscriptions and split the stream."
            findings.append(Finding("doubled_job", "warning", text))
        rows = tuple(
            (
                job.name,
                job.state,
                age(job.since, now) if job.since else "unknown",
                clock(job.created, now) if job.created else "unknown",
                job.id,
            )
            for job in list(shown.values())[: int(params.get("limit") or 10)]
        )
        steps = (
            ()
            if ours is None or ours.running or ours.starting
            else (NextStep("Restart", "pipeline.restart"),)
        )
        return Report(
            operation=self.name,
            pipeline=pipeline.name,
            title=f"Jobs of {pipeline.name}",
            verdict=" ".join(f.text for f in findings),
            severity=worst(f.severity for f in findings),
            as_of=now,
            findings=tuple(findings),
            tables=(Table(plural(len(shown), "job"), ("name", "state", "since", "created", "id"), rows),),
            next=steps or ((NextStep("Restart", "pipeline.restart"),) if ours is None else ()),
            data={"jobs": [{"id": j.id, "name": j.name, "state": j.state} for j in shown.values()]},
        )
