"""``run flex``: the pipeline on Dataflow from its flex template, under its fixed name, once.

Planned, confirmed and watched as a restart is; what is asked first is more: the options are complete,
Dataflow itself accepts the launch (``validate_only``), and no job of that name, or of that name with a
suffix, lives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.errors import ConfigError, PipelineError, Refused
from pipeline.jobs import Job
from pipeline.operations import ChangeOperation, Context, Plan, Progress, ProgressSink, Risk, plan_id
from pipeline.operations.restart_run import restart, watch
from pipeline.operations.stores import lacking, make
from pipeline.report import Finding, Report
from pipeline.streaming.settings import read, template_parameters


class RunFlex(ChangeOperation):
    """Launches the template where no job lives."""

    name = "pipeline.run.flex"
    words = ("run", "flex")
    summary = "Launch the pipeline on Dataflow from its flex template"
    risk = Risk.CHANGE
    resumable = True

    def plan(self, ctx: Context, params: Mapping[str, Any]) -> Plan:
        return plan_flex(ctx)

    def run(self, ctx: Context, plan: Plan, progress: ProgressSink) -> Report:
        return run_flex(ctx, plan, progress)

    def verify(self, ctx: Context, plan: Plan) -> Report:
        return replace(watch(ctx, plan), title=f"Launch of {ctx.pipeline.name} looked at")


def plan_flex(ctx: Context) -> Plan:
    """What would be launched; ``refusal`` names every reason not to."""
    pipeline = ctx.pipeline
    parameters = template_parameters(pipeline)
    mistakes = option_mistakes(ctx, parameters)
    living = _living(ctx)
    if living:
        mistakes.append(_alive(living))
    elif not mistakes:
        mistakes += _dataflow_says(ctx, parameters)
    gaps, unsure = lacking(ctx)
    return Plan(
        id=plan_id(),
        operation=RunFlex.name,
        pipeline=pipeline.name,
        params={},
        summary=f"Launch {pipeline.job_name} from {pipeline.template or 'no template'}.",
        effects=(
            *(f"Creates {gap.what}." for gap in gaps),
            f"Launches {pipeline.template} under the fixed name {pipeline.job_name} in {pipeline.region}, "
            "then waits for RUNNING.",
            *(f"{name} = {value}" for name, value in parameters.items()),
        ),
        warnings=(f"Whether its tables are there is not known: {unsure}",) if unsure else (),
        refusal=" ".join(mistakes) or None,
        risk=Risk.CHANGE,
        made_at=ctx.now(),
        data={
            "mode": "launch",
            "job_id": None,
            "state": None,
            "backlog": None,
            "template": pipeline.template,
            "job_name": pipeline.job_name,
            "parameters": parameters,
            "creates": [gap.what for gap in gaps],
        },
    )


def run_flex(ctx: Context, plan: Plan, progress: ProgressSink) -> Report:
    """Creates the tables that the plan named, launches and waits for RUNNING.

    The launcher's log is in the report when it fails.

    Refused when a job lives that was not there when the plan was made: two jobs on one subscription
    split the stream.
    """
    if plan.refusal:
        raise Refused(plan.refusal)
    living = _living(ctx)
    if living:
        raise Refused(f"{_alive(living)} Nothing was launched.")
    if template_parameters(ctx.pipeline) != dict(plan.data["parameters"]):
        raise Refused(
            "pipelines.yaml changed since the plan was made; nothing was launched. Make a new plan."
        )
    made = make(ctx, plan.data["creates"], lambda text: progress(Progress(text)))
    report = restart(ctx, plan, progress)
    findings = tuple(Finding("created", "info", f"Created {what}.") for what in made)
    return replace(report, title=f"Launch of {ctx.pipeline.name}", findings=(*findings, *report.findings))


def option_mistakes(ctx: Context, parameters: Mapping[str, str]) -> list[str]:
    """Everything that pipelines.yaml lacks for a launch."""
    out = []
    if not ctx.pipeline.template.startswith("gs://"):
        out.append(f"pipelines.yaml names no template (gs://...) for {ctx.pipeline.name}.")
    try:
        read(parameters)
    except ConfigError as error:
        out += [f"{mistake}; mend it in pipelines.yaml." for mistake in error.mistakes]
    return out


def _living(ctx: Context) -> tuple[Job, ...]:
    from pipeline.google import dataflow

    name = ctx.pipeline.job_name
    found = dataflow.active_jobs(ctx.clients, ctx.pipeline, named=False, deadline_s=ctx.deadline_s)
    return tuple(job for job in found if job.name == name or job.name.startswith(f"{name}-"))


def _alive(living: tuple[Job, ...]) -> str:
    names = ", ".join(f"{job.name} ({job.id}, {job.state})" for job in living)
    return (
        f"A job lives already: {names}. A second would split its stream; "
        "update or replace it with `python -m pipeline restart`."
    )


def _dataflow_says(ctx: Context, parameters: Mapping[str, str]) -> list[str]:
    from pipeline.google import dataflow

    try:
        dataflow.check_launch(ctx.clients, ctx.pipeline, parameters)
    except PipelineError as error:
        return [str(error)]
    return []
