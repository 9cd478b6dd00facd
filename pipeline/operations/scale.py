"""pipeline.scale: the workers that a running job may have, Bigtable's nodes, and what a change of them costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pipeline.errors import PipelineError, Refused
from pipeline.jobs import Job, Workers, current
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
from pipeline.operations.scale_nodes import plan_nodes, run_nodes, verify_nodes
from pipeline.operations.workers import HOURS, at_work, worker_hour
from pipeline.report import Evidence, Finding, NextStep, Report, number, plural
from pipeline.waiting import looks

_TAKEN_S: Final = 3 * 60
_ONE_THING: Final = "Workers and nodes are changed one after the other: say --min and --max, or --nodes."


class Scale(ChangeOperation):
    """Sets the worker range (the autoscaler keeps to it) or Bigtable's nodes; without a number it is a reading."""

    name = "pipeline.scale"
    words = ("scale",)
    summary = "Show and set how many workers the job may have, or Bigtable's nodes, with what that costs"
    params = (
        Param(name="min", type=int, default=None, help="least number of workers", minimum=1, maximum=1000),
        Param(name="max", type=int, default=None, help="greatest number of workers", minimum=1, maximum=1000),
        Param(
            name="nodes", type=int, default=None, help="nodes of Bigtable's cluster", minimum=1, maximum=1000
        ),
        Param(name="cluster", type=str, default=None, help="which cluster, where there are several"),
    )
    risk = Risk.CHANGE
    resumable = True

    def instead(self, params: Mapping[str, Any]) -> str:
        wanted = any(params.get(name) is not None for name in ("min", "max", "nodes"))
        return "" if wanted else "pipeline.workers"

    def plan(self, ctx: Context, params: Mapping[str, Any]) -> Plan:
        from pipeline.google import dataflow

        if params.get("nodes") is not None:
            plan = plan_nodes(ctx, self.name, params)
            both = params.get("min") is not None or params.get("max") is not None
            return replace(plan, refusal=_ONE_THING) if both else plan
        pipeline = ctx.pipeline
        job = current(dataflow.jobs_of(ctx.clients, pipeline, ctx.deadline_s))
        least, most = params.get("min"), params.get("max")
        now_at: Workers | None = None
        refusal = _not_running(job, pipeline.job_name)
        if job is not None and refusal is None:
            now_at = dataflow.workers_of(ctx.clients, pipeline, job.id, ctx.deadline_s)
            refusal = _senseless(now_at, least, most)
        effects, warnings = _words(ctx, now_at, least, most) if now_at and refusal is None else ((), ())
        return Plan(
            id=plan_id(),
            operation=self.name,
            pipeline=pipeline.name,
            params={"min": least, "max": most, "nodes": None, "cluster": None},
            summary=_summary(ctx, job, now_at, least, most),
            effects=effects,
            warnings=warnings,
            refusal=refusal,
            risk=Risk.CHANGE,
            made_at=ctx.now(),
            data={
                "job_id": job.id if job else None,
                "before": [now_at.least, now_at.most] if now_at else None,
                "machine": now_at.machine if now_at else None,
            },
        )

    def run(self, ctx: Context, plan: Plan, progress: ProgressSink) -> Report:
        from pipeline.google import dataflow

        if plan.refusal:
            raise Refused(plan.refusal)
        if plan.params.get("nodes") is not None:
            return _report(ctx, plan, run_nodes(ctx, plan, progress), "Bigtable's nodes changed")
        job = dataflow.get_job(ctx.clients, ctx.pipeline, str(plan.data["job_id"]))
        if not job.running:
            raise Refused(
                f"Job {job.id} has become {job.state} since the plan was made; nothing was changed."
            )
        progress(Progress(f"Changing the worker range of job {job.name}"))
        try:
            dataflow.set_workers(ctx.clients, ctx.pipeline, job.id, plan.params["min"], plan.params["max"])
        except Refused as error:
            raise Refused(
                f"{error.reason}. The worker range of a running job can be changed with Streaming Engine alone; "
                "without it launch the job again with another range (`restart`)."
            ) from error
        text = f"Dataflow took the worker range {_wanted(plan)} for job {job.name}."
        return _report(ctx, plan, Finding("taken", "ok", text), "Worker range changed")

    def verify(self, ctx: Context, plan: Plan) -> Report:
        from pipeline.google import dataflow

        if plan.params.get("nodes") is not None:
            return _report(ctx, plan, verify_nodes(ctx, plan), "Bigtable's nodes looked at")
        id_, name = str(plan.data["job_id"]), ctx.pipeline.job_name
        for _ in looks(ctx.now, ctx.sleep, _TAKEN_S, least=3, most=20):
            found = dataflow.workers_of(ctx.clients, ctx.pipeline, id_, ctx.deadline_s)
            if _holds(plan, found):
                break
        evidence = (Evidence("workers at work", at_work(ctx, id_), "workers", ctx.now()),)
        if _holds(plan, found):
            text = f"Verified: job {name} may have {found.words()}; the autoscaler needs minutes to follow."
            return _report(ctx, plan, Finding("verified", "ok", text, evidence), "Worker range verified")
        text = f"Not verified: job {name} has {found.words()}, wanted is {_wanted(plan)}."
        return _report(ctx, plan, Finding("verified", "warning", text, evidence), "Worker range not verified")


def _not_running(job: Job | None, name: str) -> str | None:
    if job is None:
        return f"There is no job named {name}; its range is set when one is launched."
    if not job.running:
        return f"Job {job.id} is {job.state}; the range of a running job alone can be changed."
    return None


def _senseless(now_at: Workers, least: int | None, most: int | None) -> str | None:
    if least is None and most is None:
        return (
            f"Nothing is to be changed: the job may have {now_at.words()}. "
            "Say --min N, --max N or both, or --nodes N."
        )
    low, high = least or now_at.least or 1, most or now_at.most
    if high and low > high:
        return f"A range of {low} to {high} workers is none; the least number is above the greatest."
    if (least or now_at.least) == now_at.least and (most or now_at.most) == now_at.most:
        return f"The job may have {now_at.words()} already; nothing is to be changed."
    return None


def _summary(
    ctx: Context, job: Job | None, now_at: Workers | None, least: int | None, most: int | None
) -> str:
    if job is None or now_at is None:
        return f"The worker range of {ctx.pipeline.job_name}."
    working = at_work(ctx, job.id)
    busy = f", {plural(working, 'is', 'are')} at work" if working is not None else ""
    wanted = Workers(least=least or now_at.least, most=most or now_at.most, machine="").words()
    if least is None and most is None:
        return f"Job {job.name} may have {now_at.words()}{busy}."
    return f"Give job {job.name} {wanted}; it may have {now_at.words()}{busy}."


def _words(
    ctx: Context, now_at: Workers, least: int | None, most: int | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    after = Workers(least=least or now_at.least, most=most or now_at.most, machine=now_at.machine)
    effects = [
        f"From {now_at.words()} to {after.words()}, while the job runs; nothing in flight is touched.",
        "The autoscaler decides within the range; Bigtable's nodes are not part of it (--nodes).",
        _cost(ctx, now_at, after),
    ]
    warnings = []
    if after.most > now_at.most:
        warnings += _quota(ctx, after.most - now_at.most, now_at.machine)
    elif after.most < now_at.most:
        warnings.append("With fewer workers a backlog takes longer to catch up; watch its age.")
    return tuple(effects), tuple(warnings)


def _quota(ctx: Context, more: int, machine: str) -> list[str]:
    """What stands in the way of so many more workers, or may; nothing where there is room."""
    from pipeline.google import quotas
    from pipeline.google.prices import shape_of

    shape, region = shape_of(machine), ctx.pipeline.region
    try:
        found = quotas.compute_quotas(ctx.clients, ctx.pipeline.project, region, ctx.now(), ctx.deadline_s)
    except PipelineError:
        found = ()
    cpus = next((one for one in found if one.name == quotas.CPUS), None)
    if shape is None or cpus is None:
        return [
            "Whether the quota of CPUs allows so many workers is not known here; "
            f"`gcloud compute regions describe {region} --project {ctx.pipeline.project}` shows it."
        ]
    if more * shape[0] <= cpus.free:
        return []
    return [
        f"The quota of CPUs in {region} has no room for them: {number(more * shape[0])} more are asked for, "
        f"{number(cpus.free)} of {number(cpus.limit)} are free."
    ]


def _cost(ctx: Context, before: Workers, after: Workers) -> str:
    """What the change costs by list, or that it is not known; never a made-up figure."""
    hour, currency, why = worker_hour(ctx, before.machine)
    if hour is None:
        return f"What that costs is not known: {why}."
    low, high = (after.least or 1) - (before.least or 1), after.most - before.most
    ends = [
        f"{name} {number(count * hour, 2)} {currency} an hour ({number(count * hour * HOURS)} a month)"
        for count, name in ((low, "at least"), (high, "at most"))
        if count
    ]
    return (
        f"Change of cost, an estimate by list price: {' and '.join(ends) or 'none'}; vCPU and memory only, without "
        "disks, Streaming Engine and discounts."
    )


def _holds(plan: Plan, found: Workers) -> bool:
    least, most = plan.params["min"], plan.params["max"]
    return (least is None or found.least == least) and (most is None or found.most == most)


def _wanted(plan: Plan) -> str:
    least, most = plan.params["min"], plan.params["max"]
    parts = [f"at least {least}" if least else "", f"at most {most}" if most else ""]
    return " and ".join(part for part in parts if part)


def _report(ctx: Context, plan: Plan, finding: Finding, title: str) -> Report:
    return Report(
        operation=plan.operation,
        pipeline=plan.pipeline,
        title=title,
        verdict=finding.text,
        severity=finding.severity,
        as_of=ctx.now(),
        findings=(finding,),
        next=(NextStep("See where the time goes", "pipeline.perf"),),
        data={key: value for key, value in plan.data.items() if key != "machine"},
    )
