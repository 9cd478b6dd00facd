"""pipeline.drain: stop one job and let it finish what it holds.  Nothing is lost, and nothing is launched.

For a second copy of a job, or one that nobody needs; to stop and start again is ``pipeline.restart --mode drain``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.errors import Refused
from pipeline.gather import measure
from pipeline.jobs import Job, doubles, stands
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
from pipeline.operations.cancel import choose
from pipeline.report import Evidence, Finding, NextStep, Report, duration
from pipeline.rules import stands_still
from pipeline.waiting import looks

_DRAINED_S: Final = 30 * 60


class Drain(ChangeOperation):
    """Drains one living job of the pipeline."""

    name = "pipeline.drain"
    words = ("drain",)
    summary = "Stop a job and let it finish what it holds; nothing is lost, nothing is launched"
    params = (Param(name="job", type=str, default=None, help="id of the job, where more than one lives"),)
    risk = Risk.CHANGE
    resumable = True

    def plan(self, ctx: Context, params: Mapping[str, Any]) -> Plan:
        from pipeline.google import dataflow

        pipeline, now = ctx.pipeline, ctx.now()
        living = dataflow.active_jobs(ctx.clients, pipeline, named=False, deadline_s=ctx.deadline_s)
        ours = doubles(living, pipeline.job_name) or tuple(j for j in living if j.name == pipeline.job_name)
        wanted = str(params.get("job") or "")
        job, refusal = choose(ours, wanted, pipeline.job_name, "drain")
        if job is not None and refusal is None and not job.running and job.state != "DRAINING":
            refusal = f"Job {job.id} is {job.state}; only a running job can be drained."
        still = stands_still(measure(ctx.clients, pipeline, now, ctx.deadline_s, with_logs=False))
        stuck = len(ours) == 1 and still is not None and still >= pipeline.limits.still_s
        what = f"job {job.id} ({job.name}, {job.state})" if job else "nothing"
        return Plan(
            id=plan_id(),
            operation=self.name,
            pipeline=pipeline.name,
            params={"job": wanted or None},
            summary=f"Drain {what}.",
            effects=_effects(len(ours)) if job else (),
            warnings=_warnings(len(ours), still if stuck else None) if job else (),
            refusal=refusal,
            risk=Risk.CHANGE,
            made_at=now,
            data={"job_id": job.id if job else None, "others": max(0, len(ours) - 1)},
        )

    def run(self, ctx: Context, plan: Plan, progress: ProgressSink) -> Report:
        from pipeline.google import dataflow

        if plan.refusal:
            raise Refused(plan.refusal)
        id_ = str(plan.data["job_id"])
        job = dataflow.get_job(ctx.clients, ctx.pipeline, id_)
        if job.ended and job.state != "DRAINED":
            raise Refused(f"Job {id_} has ended as {job.state} since the plan was made; nothing was drained.")
        if job.running:
            dataflow.drain(ctx.clients, ctx.pipeline, id_)
            progress(Progress(f"Draining job {id_}"))
        begun = ctx.now()
        for _ in looks(ctx.now, ctx.sleep, _DRAINED_S):
            job = dataflow.get_job(ctx.clients, ctx.pipeline, id_)
            if job.ended:
                break
            progress(Progress(f"Job {id_} is {job.state}"))
        took = duration((ctx.now() - begun).total_seconds())
        if job.state == "DRAINED":
            text = f"Job {id_} was drained in {took}; what it held is written."
            return _report(ctx, plan, Finding("drained", "ok", text, _state(job)), "Drain")
        if job.ended:
            text = f"Job {id_} {stands(job, ctx.now())} and was not drained: what it had not written is lost."
            return _report(ctx, plan, Finding("drained", "critical", text, _state(job)), "Drain")
        text = (
            f"Job {id_} is still {job.state} after {took}. A person decides: wait longer, mend the sink that holds "
            f"it, or `cancel --job {id_}` and lose what it holds."
        )
        return _report(ctx, plan, Finding("drained", "critical", text, _state(job)), "Drain")

    def verify(self, ctx: Context, plan: Plan) -> Report:
        from pipeline.google import dataflow

        job = dataflow.get_job(ctx.clients, ctx.pipeline, str(plan.data["job_id"]))
        if job.state != "DRAINED":
            text = f"Not verified: job {job.id} is {job.state}."
            return _report(
                ctx, plan, Finding("verified", "critical", text, _state(job)), "Drain not verified"
            )
        living = dataflow.active_jobs(ctx.clients, ctx.pipeline, named=True, deadline_s=ctx.deadline_s)
        left = f"job {living[0].name} goes on" if living else "no job of the pipeline lives"
        steps = () if living else (NextStep("Launch a new job", "pipeline.restart"),)
        finding = Finding("verified", "ok", f"Verified: job {job.id} is DRAINED; {left}.", _state(job))
        return _report(ctx, plan, finding, "Drain verified", steps)


def _effects(living: int) -> tuple[str, ...]:
    return (
        "It reads nothing more, writes what it holds, closes its windows before their time, and ends as DRAINED.",
        "Lost: nothing. What it has not read waits in the subscriptions.",
        *(("The other living job goes on reading, and gets the whole stream.",) if living > 1 else ()),
    )


def _warnings(living: int, still: float | None) -> tuple[str, ...]:
    out = []
    if living == 1:
        out.append(
            "It is the pipeline's only job: the pipeline is down from then on. To stop and start, "
            "`restart --mode drain`."
        )
    if still is not None:
        out.append(f"The job has moved nothing for {duration(still)}: a drain will probably not finish.")
    return tuple(out)


def _state(job: Job) -> tuple[Evidence, ...]:
    return (Evidence("state of the job", job.state, "", job.since),)


def _report(
    ctx: Context, plan: Plan, finding: Finding, title: str, steps: tuple[NextStep, ...] = ()
) -> Report:
    return Report(
        operation=plan.operation,
        pipeline=plan.pipeline,
        title=title,
        verdict=finding.text,
        severity=finding.severity,
        as_of=ctx.now(),
        findings=(finding,),
        next=steps,
        data={"plan": plan.id, "job_id": plan.data["job_id"]},
    )
