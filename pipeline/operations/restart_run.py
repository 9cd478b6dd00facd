"""The restart itself: launch once, wait for RUNNING, and watch that data moves again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from pipeline.errors import PipelineError, Refused
from pipeline.gather import measure
from pipeline.jobs import Job
from pipeline.masking import mask_text
from pipeline.operations.base import Context, Plan, Progress, ProgressSink
from pipeline.report import (
    Evidence,
    Finding,
    NextStep,
    Report,
    Severity,
    Table,
    clock,
    duration,
    plural,
    worst,
)
from pipeline.rules import facts
from pipeline.streaming.settings import template_parameters
from pipeline.waiting import looks

_RUNNING_S: Final = 20 * 60  # a launcher VM takes minutes
_DRAINED_S: Final = 30 * 60
_MOVING_S: Final = 10 * 60


def restart(ctx: Context, plan: Plan, progress: ProgressSink) -> Report:
    """Carries out a plan; repeating it after a kill finds the job that was launched and goes on."""
    from pipeline.google import dataflow

    if plan.refusal:
        raise Refused(plan.refusal)
    mode = str(plan.data["mode"])
    living = dataflow.active_jobs(ctx.clients, ctx.pipeline, named=True)
    newer = [job for job in living if job.id != plan.data["job_id"]]
    if newer:
        # Launched by this plan before it was interrupted, or by someone else: one is enough.
        progress(Progress(f"Job {newer[0].id} lives already; nothing is launched, it is watched"))
        return _wait_running(ctx, plan, newer[0], progress, launched=False)
    old = next((job for job in living if job.id == plan.data["job_id"]), None)
    if mode in ("drain", "await") and old is not None:
        stuck = _wait_end(ctx, plan, old, progress, drain=mode == "drain")
        if stuck is not None:
            return stuck
    if mode == "launch" and old is not None:
        raise Refused(f"Job {old.id} lives again ({old.state}); nothing was launched. Make a new plan.")
    return _wait_running(ctx, plan, _launch(ctx, plan, progress), progress, launched=True)


def _launch(ctx: Context, plan: Plan, progress: ProgressSink) -> Job:
    """One launch under the fixed name, directly after a last look at what lives."""
    from pipeline.google import dataflow

    update = plan.data["mode"] == "update"
    living = dataflow.active_jobs(ctx.clients, ctx.pipeline, named=True)
    alive = {job.id for job in living}
    if update and not alive:
        update = False  # it died since the plan: there is nothing to update
    if not update and alive:
        raise Refused(
            f"A job named {ctx.pipeline.job_name} lives ({', '.join(sorted(alive))}); no second is launched."
        )
    progress(Progress(f"Launching {ctx.pipeline.job_name}" + (" as an update" if update else "")))
    job = dataflow.launch(
        ctx.clients,
        ctx.pipeline,
        update=update,
        labels={"streamwatch_plan": plan.id},
        parameters=template_parameters(ctx.pipeline),
    )
    if job.id in alive and not update:
        raise Refused(
            f"Dataflow returned the living job {job.id} instead of a new one; nothing was launched."
        )
    return job


def _wait_end(ctx: Context, plan: Plan, job: Job, progress: ProgressSink, *, drain: bool) -> Report | None:
    """Waits until the old job has ended; a report when it does not, for a person to decide."""
    from pipeline.google import dataflow

    if drain and job.running:
        dataflow.drain(ctx.clients, ctx.pipeline, job.id)
        progress(Progress(f"Draining job {job.id}"))
    begun = ctx.now()
    for _ in looks(ctx.now, ctx.sleep, _DRAINED_S):
        job = dataflow.get_job(ctx.clients, ctx.pipeline, job.id)
        if job.ended:
            return None
        progress(
            Progress(f"Job {job.id} has been {job.state} for {duration((ctx.now() - begun).total_seconds())}")
        )
    text = (
        f"Job {job.id} is still {job.state} after {duration((ctx.now() - begun).total_seconds())}; nothing was "
        "launched. A person decides: wait longer, mend the sink that holds it, or cancel it and lose what it holds."
    )
    return _report(ctx, plan, [Finding("drain", "critical", text)], text, job)


def _wait_running(ctx: Context, plan: Plan, job: Job, progress: ProgressSink, *, launched: bool) -> Report:
    from pipeline.google import dataflow

    begun = ctx.now()
    for _ in looks(ctx.now, ctx.sleep, _RUNNING_S):
        job = dataflow.get_job(ctx.clients, ctx.pipeline, job.id)
        if job.running or job.ended:
            break
        progress(
            Progress(f"Job {job.id} has been {job.state} for {duration((ctx.now() - begun).total_seconds())}")
        )
    took = duration((ctx.now() - begun).total_seconds())
    if job.running:
        how = "Launched" if launched else "Found"
        text = f"{how} job {job.id}; RUNNING after {took}."
        progress(Progress(text))
        return _report(ctx, plan, [Finding("job", "ok", text, _state(job))], text, job)
    if job.ended:
        text = f"Job {job.id} ended as {job.state} after {took} and does not run."
    else:
        text = f"Job {job.id} is still {job.state} after {took}; it may yet start, look again before anything else."
    return _report(ctx, plan, [Finding("job", "critical", text, _state(job))], text, job, with_log=True)


def watch(ctx: Context, plan: Plan) -> Report:
    """Looks until the job runs and data moves, or for ten minutes."""
    before = plan.data.get("backlog")
    for _ in looks(ctx.now, ctx.sleep, _MOVING_S):
        measured = measure(ctx.clients, ctx.pipeline, ctx.now(), ctx.deadline_s, with_logs=False)
        known = {fact.id: fact for fact in facts(measured)}
        job = measured.job
        if known["down"].on is False or (job is not None and job.ended):
            break
    backlog = measured.backlog
    evidence = (Evidence("messages waiting", backlog, "messages", measured.now),)
    if known["down"].on is False:
        text = f"Verified: {known['down'].text}"
        if backlog is not None and before is not None:
            text += f"; waiting messages went from {before:,} to {backlog:,}"
        finding = Finding("verified", "ok", f"{text}.", evidence)
    elif job is not None and job.running:
        text = f"Not verified: {known['down'].text}"
        finding = Finding("verified", "warning", f"{text}.", evidence)
    else:
        text = f"Not verified: {known['down'].text}"
        finding = Finding("verified", "critical", f"{text}.", evidence)
    return Report(
        operation=plan.operation,
        pipeline=ctx.pipeline.name,
        title=f"Restart of {ctx.pipeline.name} verified"
        if finding.severity == "ok"
        else "Restart not verified",
        verdict=finding.text,
        severity=finding.severity,
        as_of=measured.now,
        findings=(finding,),
        next=(NextStep("Replay dead letters", "dlq.replay"),)
        if finding.severity == "ok"
        else (NextStep("Read the logs", "pipeline.logs"),),
        facts=tuple(known.values()),
        data={"job_id": job.id if job else None, "state": job.state if job else None, "backlog": backlog},
    )


def _state(job: Job) -> tuple[Evidence, ...]:
    return (Evidence("state of the job", job.state, "", job.since),)


def _report(
    ctx: Context,
    plan: Plan,
    findings: list[Finding],
    verdict: str,
    job: Job | None,
    *,
    with_log: bool = False,
) -> Report:
    lines = _launcher(ctx, job) if with_log and job is not None else ()
    if with_log and not lines:
        findings.append(Finding("launcher", "info", "The launcher's log holds no line about it."))
    tables = (Table(f"Launcher and job log ({plural(len(lines), 'line')})", ("at", "message"), tuple(lines)),)
    severity: Severity = worst(finding.severity for finding in findings)
    return Report(
        operation=plan.operation,
        pipeline=ctx.pipeline.name,
        title=f"Restart of {ctx.pipeline.name}",
        verdict=verdict,
        severity=severity,
        as_of=ctx.now(),
        findings=tuple(findings),
        tables=tables if lines else (),
        next=(NextStep("Read the logs", "pipeline.logs"),) if severity == "critical" else (),
        data={
            "plan": plan.id,
            "mode": plan.data["mode"],
            "job_id": job.id if job else None,
            "state": job.state if job else None,
        },
    )


def _launcher(ctx: Context, job: Job) -> Sequence[tuple[str, str]]:
    from pipeline.google.logs import log_lines

    now = ctx.now()
    try:
        lines = log_lines(
            ctx.clients,
            ctx.pipeline,
            since=(job.created or now) - timedelta(minutes=5),
            until=now,
            limit=20,
            severity="WARNING",
            job_ids=(job.id,),
        )
    except PipelineError as error:
        return ((clock(now), f"The log cannot be read: {error}"),)
    return tuple((clock(line.at, now), mask_text(line.text)[:300]) for line in reversed(lines))
