"""pipeline.dashboard: the alert policies and their notification channel as code, created or mended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.alerting import policies
from pipeline.errors import Refused
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
from pipeline.report import Finding, Report, Table, plural, worst


class Dashboard(ChangeOperation):
    """Run twice it changes nothing the second time; what people made themselves is never touched."""

    name = "pipeline.dashboard"
    words = ("dashboard",)
    summary = "Create or mend the alert policies and their notification channel in Cloud Monitoring"
    params = (
        Param(
            name="topic",
            type=str,
            default="monitoring-alerts",
            help="Pub/Sub topic that alerts go to, in the pipeline's project",
        ),
    )
    risk = Risk.CHANGE
    resumable = True

    def plan(self, ctx: Context, params: Mapping[str, Any]) -> Plan:
        topic = f"projects/{ctx.pipeline.project}/topics/{params.get('topic') or 'monitoring-alerts'}"
        channel, wrong = _looked_up(ctx, topic)
        titles = {one.key: one.title for one in policies(ctx.pipeline)}
        effects = [] if channel else [f"Create a notification channel to {topic}."]
        effects += [
            f'Create the alert policy "{titles[key]}".'
            if what == ["missing"]
            else f'Mend the alert policy "{titles[key]}": {", ".join(what)}.'
            for key, what in wrong.items()
        ]
        refusal = (
            None if effects else "Channel and alert policies are as they should be; nothing is to be done."
        )
        return Plan(
            id=plan_id(),
            operation=self.name,
            pipeline=ctx.pipeline.name,
            params={"topic": params.get("topic")},
            summary=f"{plural(len(wrong), 'alert policy', 'alert policies')} of {len(titles)} to be written.",
            effects=tuple(effects),
            warnings=("Cloud Monitoring's own service account must be allowed to publish to the topic.",),
            refusal=refusal,
            risk=Risk.CHANGE,
            made_at=ctx.now(),
            data={"topic": topic, "policies": list(wrong)},
        )

    def run(self, ctx: Context, plan: Plan, progress: ProgressSink) -> Report:
        from pipeline.google import alerting

        if plan.refusal:
            raise Refused(plan.refusal)
        project, topic = ctx.pipeline.project, str(plan.data["topic"])
        channel = alerting.channel_of(ctx.clients, project, topic, ctx.deadline_s)
        channel = channel or alerting.make_channel(ctx.clients, project, topic, ctx.deadline_s)
        # looked up again: a run that was killed half-way finds what it made
        there = alerting.policies_of(ctx.clients, ctx.pipeline, ctx.deadline_s)
        wanted = [one for one in policies(ctx.pipeline) if one.key in plan.data["policies"]]
        for number, policy in enumerate(wanted, 1):
            found = there.get(policy.key)
            if found is None or alerting.differences(policy, ctx.pipeline, channel, found):
                alerting.put(ctx.clients, policy, ctx.pipeline, channel, found, ctx.deadline_s)
            progress(Progress(policy.title, number, len(wanted)))
        text = f"Wrote {plural(len(wanted), 'alert policy', 'alert policies')}; they notify {topic}."
        return _report(ctx, plan, [Finding("written", "ok", text)])

    def verify(self, ctx: Context, plan: Plan) -> Report:
        channel, wrong = _looked_up(ctx, str(plan.data["topic"]))
        if channel and not wrong:
            text = "Verified: every alert policy is as the code has it, with its channel."
            return _report(ctx, plan, [Finding("verified", "ok", text)])
        parts = [f"{key} ({', '.join(what)})" for key, what in wrong.items()]
        parts += [] if channel else ["the notification channel is missing"]
        return _report(ctx, plan, [Finding("verified", "warning", f"Not verified: {'; '.join(parts)}.")])


def _looked_up(ctx: Context, topic: str) -> tuple[str | None, dict[str, list[str]]]:
    """(our channel, what is wrong with which policy)."""
    from pipeline.google import alerting

    channel = alerting.channel_of(ctx.clients, ctx.pipeline.project, topic, ctx.deadline_s)
    there = alerting.policies_of(ctx.clients, ctx.pipeline, ctx.deadline_s)
    wrong: dict[str, list[str]] = {}
    for policy in policies(ctx.pipeline):
        found = there.get(policy.key)
        what = ["missing"] if found is None else alerting.differences(policy, ctx.pipeline, channel, found)
        if what:
            wrong[policy.key] = what
    return channel, wrong


def _report(ctx: Context, plan: Plan, findings: list[Finding]) -> Report:
    rows = tuple((one.title, one.severity, one.kind, one.runbook) for one in policies(ctx.pipeline))
    return Report(
        operation=plan.operation,
        pipeline=plan.pipeline,
        title=f"Alert policies of {plan.pipeline}",
        verdict=findings[0].text,
        severity=worst(finding.severity for finding in findings),
        as_of=ctx.now(),
        findings=tuple(findings),
        tables=(Table("Alert policies", ("policy", "severity", "kind", "runbook"), rows),),
        data={"policies": list(plan.data["policies"]), "topic": plan.data["topic"]},
    )
