"""``dlq replay --as-job``: the same replay on Dataflow, for queues that are too large for one machine.

The canary goes from here and is watched; only then is the job launched, once, under its fixed name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pipeline.catalogue import Pipeline
from pipeline.errors import PipelineError, Refused
from pipeline.jobs import Job
from pipeline.operations.base import Context, Plan, Progress, ProgressSink
from pipeline.operations.dlq import size_of_queue
from pipeline.operations.dlq_run import replay
from pipeline.operations.dlq_words import report_of_run
from pipeline.report import Evidence, Finding, NextStep, Report, Severity, number, plural
from pipeline.streaming.replay_settings import MOST_SHARDS, parameters, read
from pipeline.waiting import looks

RECOMMENDED: Final = (
    100_000  # above so many one machine takes too long: half an hour at the usual rate is 900,000
)
_A_SHARD: Final = 20_000
_RUNNING_S: Final = 20 * 60  # a launcher VM takes minutes
_ENDED_S: Final = 30 * 60


def job_name(pipeline: Pipeline) -> str:
    """Fixed, and not a name that begins with the pipeline's own: that would look like a second pipeline."""
    return f"replay-{pipeline.job_name}"


def advice(ctx: Context, name: str) -> tuple[str, ...]:
    """What to do with a queue that is too large for one machine; nothing for a smaller one."""
    try:
        size, _, _ = size_of_queue(ctx, name)
    except PipelineError:
        return ()
    if size is None or size <= RECOMMENDED:
        return ()
    return (
        f"{name} holds {number(size)} messages, more than {number(RECOMMENDED)}: `--as-job` replays them on Dataflow.",
    )


def as_job(ctx: Context, plan: Plan) -> Plan:
    """The plan of an ordinary replay made that of a job; its figures are those of the sample."""
    pipeline = ctx.pipeline
    size, _, _ = size_of_queue(ctx, pipeline.dead_letter_subscription)
    shards = min(MOST_SHARDS, max(1, -(-(size or 0) // _A_SHARD)))
    given = parameters(pipeline, plan.id, plan.params["rule"], int(plan.params["rate"]), shards)
    return replace(
        plan,
        params={**plan.params, "as_job": True},
        summary=f"Replay the whole queue ({_count(size)} messages) on Dataflow, as job {job_name(pipeline)}.",
        effects=(
            f"Of a sample of {number(plan.data['seen'])}:",
            *plan.effects,
            f"The canary goes from here; then a job of {pipeline.replay_template} is launched under the fixed name "
            f"{job_name(pipeline)}, with {plural(shards, 'shard')}. It ends by itself.",
            "At least once: a shard that dies is repeated, and may send its last chunk again under the same replay_of.",
        ),
        refusal=plan.refusal or _refusal(ctx, given),
        data={**plan.data, "parameters": given, "follows": True, "canary_going": _canary(plan)},
    )


def run_job(ctx: Context, plan: Plan, progress: ProgressSink) -> Report:
    """Canary, launch, RUNNING.  Repeated after a kill it finds the job that was launched."""
    living = _living(ctx)
    if living and living[0].plan != plan.id:
        raise Refused(f"{_alive(living[0])} Nothing was sent.")
    if not living:
        first = replay(ctx, replace(plan, data={**plan.data, "going": plan.data["canary_going"]}), progress)
        if first.stopped or first.refused:
            return report_of_run(ctx, plan, first)
    job = living[0] if living else _launch(ctx, plan, progress)
    for _ in looks(ctx.now, ctx.sleep, _RUNNING_S):
        job = _look(ctx, job)
        if job.running or job.ended:
            break
        progress(Progress(f"Job {job.id} is {job.state}"))
    good = job.running or job.state == "DONE"
    text = (
        f"Job {job.id} is {job.state}; it replays until the queue gives nothing more and then ends by itself."
    )
    return _report(
        ctx, plan, job, text if good else f"Job {job.id} is {job.state} and replays nothing.", good
    )


def verify_job(ctx: Context, plan: Plan) -> Report:
    """Waits a while for the job's end and tells what is left."""
    from pipeline.google import dataflow

    pipeline = replace(ctx.pipeline, job_name=job_name(ctx.pipeline))
    jobs = [job for job in dataflow.jobs_of(ctx.clients, pipeline, ctx.deadline_s) if job.plan == plan.id]
    if not jobs:
        return _report(ctx, plan, None, f"There is no job of {plan.id}.", good=False)
    job = jobs[0]
    for _ in looks(ctx.now, ctx.sleep, _ENDED_S):
        job = _look(ctx, job)
        if job.ended:
            break
    size, _, _ = size_of_queue(ctx, ctx.pipeline.dead_letter_subscription)
    left = f"{_count(size)} messages are left in {ctx.pipeline.dead_letter_subscription}"
    if not job.ended:
        return _report(ctx, plan, job, f"Job {job.id} is still {job.state}; {left}.", good=True)
    return _report(ctx, plan, job, f"Job {job.id} ended as {job.state}; {left}.", good=job.state == "DONE")


def _canary(plan: Plan) -> int:
    return min(int(plan.params["canary"]), int(plan.data["going"]))


def _refusal(ctx: Context, given: dict[str, str]) -> str | None:
    if not ctx.pipeline.replay_template.startswith("gs://"):
        return f"pipelines.yaml names no replay_template (gs://...) for {ctx.pipeline.name}."
    read(given)
    living = _living(ctx)
    return _alive(living[0]) if living else None


def _launch(ctx: Context, plan: Plan, progress: ProgressSink) -> Job:
    from pipeline.google import dataflow

    progress(Progress(f"Launching {job_name(ctx.pipeline)}"))
    return dataflow.launch(
        ctx.clients,
        replace(ctx.pipeline, job_name=job_name(ctx.pipeline), template=ctx.pipeline.replay_template),
        update=False,
        labels={"streamwatch_plan": plan.id},
        parameters=dict(plan.data["parameters"]),
    )


def _living(ctx: Context) -> tuple[Job, ...]:
    from pipeline.google import dataflow

    pipeline = replace(ctx.pipeline, job_name=job_name(ctx.pipeline))
    return dataflow.active_jobs(ctx.clients, pipeline, named=True, deadline_s=ctx.deadline_s)


def _look(ctx: Context, job: Job) -> Job:
    from pipeline.google import dataflow

    return dataflow.get_job(ctx.clients, ctx.pipeline, job.id)


def _alive(job: Job) -> str:
    return f"A replay runs already: job {job.name} ({job.id}, {job.state}). Two would take each other's messages."


def _count(size: int | None) -> str:
    return "an unknown number of" if size is None else number(size)


def _report(ctx: Context, plan: Plan, job: Job | None, text: str, good: bool) -> Report:
    severity: Severity = "ok" if good else "critical"
    evidence = (Evidence("state of the job", job.state, "", job.since),) if job else ()
    return Report(
        operation=plan.operation,
        pipeline=ctx.pipeline.name,
        title=f"Replay of {ctx.pipeline.name} on Dataflow",
        verdict=text,
        severity=severity,
        as_of=ctx.now(),
        findings=(Finding("job", severity, text, evidence),),
        next=(NextStep("Look at what is left", "dlq.peek"),),
        data={"replay_id": plan.id, "job_id": job.id if job else None, "state": job.state if job else None},
    )
