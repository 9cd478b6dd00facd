"""pipeline.cancel: stop a job at once, without a drain.  What it holds is lost; the plan says what that is.

For a drain that does not finish and for a job that must not write another row; everything else is
``pipeline.drain``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.errors import Refused
from pipeline.gather import measure
from pipeline.jobs import Job, doubles
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
from pipeline.report import Evidence, Fact, Finding, NextStep, Report, duration, number, plural
from pipeline.rules import facts, stands_still
from pipeline.waiting import looks

_CANCELLED_S: Final = 10 * 60


class Cancel(ChangeOperation):
    """Cancels one living job of the pipeline."""

    name = "pipeline.cancel"
    words = ("cancel",)
    summary = "Stop a job at once without a drain; what it holds in flight is lost"
    params = (Param(name="job", type=str, default=None, help="id of the job, where more than one lives"),)
    risk = Risk.DESTRUCTIVE
    resumable = True

    def plan(self, ctx: Context, params: Mapping[str, Any]) -> Plan:
        from pipeline.google import dataflow

        pipeline, now = ctx.pipeline, ctx.now()
        living = dataflow.active_jobs(ctx.clients, pipeline, named=False, deadline_s=ctx.deadline_s)
        ours = doubles(living, pipeline.job_name) or tuple(j for j in living if j.name == pipeline.job_name)
        wanted = str(params.get("job") or "")
        job, refusal = choose(ours, wanted, pipeline.job_name)
        measured = measure(ctx.clients, pipeline, now, ctx.deadline_s, with_logs=False)
        what = f"job {job.id} ({job.name}, {job.state})" if job else "nothing"
        return Plan(
            id=plan_id(),
            operation=self.name,
            pipeline=pipeline.name,
            params={"job": wanted or None},
            summary=f"Cancel {what} without a drain.",
            effects=_effects(measured, len(ours)) if job else (),
            warnings=_warnings(measured, job) if job else (),
            refusal=refusal,
            risk=Risk.DESTRUCTIVE,
            made_at=now,
            data={"job_id": job.id if job else None, "state": job.state if job else None},
        )

    def run(self, ctx: Context, plan: Plan, progress: ProgressSink) -> Report:
        from pipeline.google import dataflow

        if plan.refusal:
            raise Refused(plan.refusal)
        id_ = str(plan.data["job_id"])
        job = dataflow.get_job(ctx.clients, ctx.pipeline, id_)
        if job.ended and job.state != "CANCELLED":
            raise Refused(
                f"Job {id_} has ended as {job.state} since the plan was made; nothing was cancelled."
            )
        if not job.ended and job.state != "CANCELLING":
            dataflow.cancel(ctx.clients, ctx.pipeline, id_)
            progress(Progress(f"Cancelling job {id_}"))
        begun = ctx.now()
        for _ in looks(ctx.now, ctx.sleep, _CANCELLED_S):
            job = dataflow.get_job(ctx.clients, ctx.pipeline, id_)
            if job.ended:
                break
            progress(Progress(f"Job {id_} is {job.state}"))
        took = duration((ctx.now() - begun).total_seconds())
        return _done(ctx, plan, job, took)

    def verify(self, ctx: Context, plan: Plan) -> Report:
        from pipeline.google import dataflow

        job = dataflow.get_job(ctx.clients, ctx.pipeline, str(plan.data["job_id"]))
        measured = measure(ctx.clients, ctx.pipeline, ctx.now(), ctx.deadline_s, with_logs=False)
        return _verified(plan, job, measured)


def choose(
    ours: Sequence[Job], wanted: str, name: str, verb: str = "cancel"
) -> tuple[Job | None, str | None]:
    """The job that is meant, and why it must not be touched; None for the job where none is meant."""
    listed = ", ".join(f"{job.id} ({job.name}, {job.state})" for job in ours)
    if not ours:
        return None, f"No job named {name} lives; there is nothing to {verb}."
    if wanted:
        job = next((one for one in ours if one.id == wanted), None)
        if job is None:
            return None, f"No living job of {name} has the id {wanted}. There are: {listed}."
    elif len(ours) > 1:
        return None, f"{len(ours)} jobs live: {listed}. Say which with --job ID."
    else:
        job = ours[0]
    if job.state == "CANCELLING":
        return job, f"Job {job.id} is being cancelled already; wait for its end."
    return job, None


def _effects(m: Measurements, living: int) -> tuple[str, ...]:
    counters = m.counters
    held = (
        f"{number(counters.received)} events came in during the last {duration(m.limits.rate_s)}, and the longest "
        "window is open for 5 min"
        if counters
        else "how many events that is, is unknown: the counters cannot be read"
    )
    backlog = m.backlog
    waiting = (
        plural(backlog, "message waits", "messages wait") if backlog is not None else "what is there waits"
    )
    another = (
        "The other living job goes on reading."
        if living > 1
        else "No job reads the subscriptions afterwards; Pub/Sub begins to delete what stays unread for too long."
    )
    return (
        "Lost: everything that was read and acknowledged but not yet written, that is open windows and their "
        f"partial sums; {held}.",
        f"Kept: what the job has not acknowledged; {waiting} in the subscriptions for the next job.",
        another,
        "A cancelled job cannot be resumed. Launch a new one with `restart`.",
    )


def _warnings(m: Measurements, job: Job | None) -> tuple[str, ...]:
    out = []
    still = stands_still(m)
    if job is not None and job.running and (still is None or still < m.limits.still_s):
        out.append(
            "The job was not seen to stand still: a drain (`drain`, `restart --mode drain`) would lose nothing."
        )
    elif job is not None and job.running:
        out.append(
            f"The job has moved nothing for {duration(still or 0)}; a drain would probably not finish."
        )
    out.append("This counts as a loss of data and pages whoever the policy names for it.")
    return tuple(out)


def _loss(job: Job) -> Fact:
    """RULES "Facts": a job with state that is cancelled without drain has lost data."""
    if job.state in ("CANCELLED", "CANCELLING"):
        return Fact("data_loss", True, f"job {job.id} was cancelled without a drain", since=job.since)
    return Fact("data_loss", None, f"job {job.id} is {job.state}")


def _done(ctx: Context, plan: Plan, job: Job, took: str) -> Report:
    evidence = (Evidence("state of the job", job.state, "", job.since),)
    if job.state == "CANCELLED":
        finding = Finding(
            "cancelled", "ok", f"Job {job.id} is CANCELLED after {took}; what it held is lost.", evidence
        )
    elif job.ended:
        finding = Finding(
            "cancelled", "warning", f"Job {job.id} ended as {job.state}, not as CANCELLED.", evidence
        )
    else:
        text = (
            f"Job {job.id} is still {job.state} after {took}. Dataflow frees a stuck cancel by "
            f"`gcloud dataflow jobs cancel {job.id} --region {ctx.pipeline.region} --force`."
        )
        finding = Finding("cancelled", "critical", text, evidence)
    return Report(
        operation=plan.operation,
        pipeline=plan.pipeline,
        title=f"Cancel of {plan.pipeline}",
        verdict=finding.text,
        severity=finding.severity,
        as_of=ctx.now(),
        findings=(finding,),
        facts=(_loss(job),),
        data={"plan": plan.id, "job_id": job.id, "state": job.state},
    )


def _verified(plan: Plan, job: Job, m: Measurements) -> Report:
    down = next(fact for fact in facts(m) if fact.id == "down")
    evidence = (Evidence("state of the job", job.state, "", job.since),)
    if job.state == "CANCELLED":
        text = f"Verified: job {job.id} is CANCELLED"
        text += (
            "; another job of the pipeline runs." if down.on is False else "; no job of the pipeline runs."
        )
        finding = Finding("verified", "ok", text, evidence)
    else:
        finding = Finding("verified", "critical", f"Not verified: job {job.id} is {job.state}.", evidence)
    waiting = plural(m.backlog, "message") if m.backlog is not None else "an unknown number of messages"
    left = Finding("waiting", "info", f"{waiting} in the subscriptions, for the next job.")
    return Report(
        operation=plan.operation,
        pipeline=plan.pipeline,
        title="Cancel verified" if finding.severity == "ok" else "Cancel not verified",
        verdict=finding.text,
        severity=finding.severity,
        as_of=m.now,
        findings=(finding, left),
        next=() if down.on is False else (NextStep("Launch a new job", "pipeline.restart"),),
        facts=(_loss(job), down),
        data={"job_id": job.id, "state": job.state, "backlog": m.backlog},
    )
