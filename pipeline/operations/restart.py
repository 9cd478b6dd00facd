"""pipeline.restart: a running job of the fixed name again, without a second one and without loss.

Compatible update of a living job, launch of the same name when it is dead, drain and launch on
request.  It never cancels: what was acknowledged into a cancelled job's state would be lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from pipeline.errors import PipelineError
from pipeline.gather import error_groups, measure
from pipeline.jobs import Job, current, doubles, lasts
from pipeline.operations.base import ChangeOperation, Context, Param, Plan, ProgressSink, Risk, plan_id
from pipeline.operations.restart_run import restart, watch
from pipeline.report import Report, duration, plural
from pipeline.rules import stands_still

_ANEW: Final = (
    "Windows begin anew: summaries of those that were open, and of those that late events reach, will hold a part "
    "only; backfill them from raw_events."
)
_EFFECTS: Final[dict[str, tuple[str, ...]]] = {
    "launch": (
        "Launches {template} under the fixed name {name}.",
        "In flight: nothing; the dead job holds nothing. What was not acknowledged waits in the subscriptions "
        "and is read by the new job; what a failed job had acknowledged into its state is not recovered by it.",
        _ANEW,
    ),
    "update": (
        "Replaces job {id} compatibly (update) by one from {template}, under the same name {name}.",
        "In flight: kept; state and windows move to the new job. If the change is not compatible, the old job "
        "goes on and nothing is lost.",
    ),
    "drain": (
        "Drains job {id}, waits until it is DRAINED, then launches {template} as {name}.",
        "In flight: finished; but open windows close early and write partial aggregates. Nothing is read until "
        "the new job runs; it waits in the subscriptions.",
        _ANEW,
        "If the drain does not finish in time, it stops there and asks a person; it never cancels.",
    ),
    "await": (
        "Job {id} is {state}: waits for its end, then launches {template} as {name}.",
        "In flight: as the stop that is under way leaves it; new data waits in the subscriptions.",
        _ANEW,
    ),
}


class Restart(ChangeOperation):
    """Gets the pipeline's job running again."""

    name = "pipeline.restart"
    words = ("restart",)
    summary = "Restart the pipeline: update, or launch when dead, or drain and launch"
    params = (
        Param(
            name="mode",
            type=str,
            default="auto",
            help="auto: update a living job, launch a dead one; drain: drain and launch",
            choices=("auto", "update", "drain"),
        ),
    )
    risk = Risk.CHANGE
    resumable = True

    def plan(self, ctx: Context, params: Mapping[str, Any]) -> Plan:
        from pipeline.google import dataflow

        pipeline, now = ctx.pipeline, ctx.now()
        named = dataflow.jobs_of(ctx.clients, pipeline, ctx.deadline_s)
        living = dataflow.active_jobs(ctx.clients, pipeline, named=False, deadline_s=ctx.deadline_s)
        job = current(named)
        mode = _mode(str(params.get("mode") or "auto"), job)
        measured = measure(ctx.clients, pipeline, now, ctx.deadline_s, with_logs=False)
        words = {
            "template": pipeline.template,
            "name": pipeline.job_name,
            "id": job.id if job else "",
            "state": job.state if job else "absent",
        }
        stands = "There is no job of that name" if job is None else f"Job {job.id} {lasts(job, now)}"
        backlog = measured.backlog
        waiting = f"; {plural(backlog, 'message waits', 'messages wait')}" if backlog is not None else ""
        return Plan(
            id=plan_id(),
            operation=self.name,
            pipeline=pipeline.name,
            params={"mode": str(params.get("mode") or "auto")},
            summary=f"{_SUMMARIES[mode]} {pipeline.job_name}. {stands}{waiting}.",
            effects=tuple(line.format(**words) for line in _EFFECTS[mode]),
            warnings=tuple(_warnings(ctx, mode, job, stands_still(measured))),
            refusal=_refusal(ctx, mode, job, doubles(living, pipeline.job_name)),
            risk=Risk.CHANGE,
            made_at=now,
            data={
                "mode": mode,
                "job_id": job.id if job else None,
                "state": job.state if job else None,
                "backlog": backlog,
                "template": pipeline.template,
                "job_name": pipeline.job_name,
            },
        )

    def run(self, ctx: Context, plan: Plan, progress: ProgressSink) -> Report:
        return restart(ctx, plan, progress)

    def verify(self, ctx: Context, plan: Plan) -> Report:
        return watch(ctx, plan)


_SUMMARIES: Final = {
    "launch": "Launch",
    "update": "Update",
    "drain": "Drain and launch",
    "await": "Wait for the end of the old job and launch",
}


def _mode(wanted: str, job: Job | None) -> str:
    if job is None or job.ended:
        return "launch"
    if not job.running and not job.starting:
        return "await"
    return "drain" if wanted == "drain" else "update"


def _refusal(ctx: Context, mode: str, job: Job | None, double: tuple[Job, ...]) -> str | None:
    if double:
        ids = ", ".join(f"{one.name} ({one.id}, {one.state})" for one in double)
        return (
            f"{len(double)} living jobs split the stream already: {ids}. Drain the one that is too many "
            "(`drain --job ID`); a third must not be started."
        )
    if not ctx.pipeline.template:
        return f"pipelines.yaml names no template for {ctx.pipeline.name}; nothing can be launched."
    if job is not None and job.starting:
        return f"Job {job.id} is starting already ({job.state}); wait for it, or look at its logs."
    return None


def _warnings(ctx: Context, mode: str, job: Job | None, still_s: float | None) -> list[str]:
    out = []
    if still_s is not None and still_s >= ctx.pipeline.limits.still_s and mode == "drain":
        out.append(
            f"The job has moved nothing for {duration(still_s)}: a drain will probably not finish (a stuck sink "
            "keeps it); the run would then stop and ask."
        )
    if (
        mode == "update"
        and job is not None
        and job.running
        and (still_s is None or still_s < ctx.pipeline.limits.still_s)
    ):
        out.append("The job is RUNNING and was not seen to stand still; a restart may not be what it needs.")
    # Who cancels or drains a job knows why; its logs do not.
    if mode in ("launch", "await") and not (job and job.state in ("CANCELLED", "DRAINED")):
        out.append(_reason(ctx, job))
    return out


def _reason(ctx: Context, job: Job | None) -> str:
    """Why the job stopped, as far as the logs tell; not to know warns, it never blocks."""
    from pipeline.causes import classify, in_short, stop_reason
    from pipeline.google.logs import log_lines

    now = ctx.now()
    begin = (job.since if job and job.since else now) - timedelta(hours=1)
    try:
        lines = log_lines(
            ctx.clients, ctx.pipeline, since=begin, until=now, limit=100, job_ids=(job.id,) if job else ()
        )
    except PipelineError as error:
        return f"Why it stopped is unknown, the logs cannot be read: {error}"
    top = stop_reason(error_groups(lines))
    if top is None:
        return "Why it stopped is unknown: its logs hold no error. It may stop again for the same reason."
    kind = classify(top.example)
    hint = {
        "resource": " Make sure that the quota or permission is there now, or it will stop again.",
        "data": " Unless code or data changed since, it may stop again on the same data.",
    }.get(kind or "", "")
    return f"It stopped with: {in_short(top.example)}.{hint}"
