"""pipeline.dashboard: charts, alert policies and their notification channel as code, created or mended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.alerting import policies
from pipeline.charts import charts, dashboard, differs
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

UNCHANGED = "Unchanged: dashboard, alert policies and channel are as they should be."


@dataclass(frozen=True, slots=True)
class _Look:
    """What is there: our channel, what is wrong with which policy, their names, and the dashboard's state."""

    channel: str | None
    wrong: Mapping[str, list[str]]
    names: Mapping[str, str]
    charts: str  # "", "missing" or "changed"

    @property
    def fine(self) -> bool:
        return bool(self.channel) and not self.wrong and not self.charts


class Dashboard(ChangeOperation):
    """Run twice it changes nothing the second time; what people made themselves is never touched."""

    name = "pipeline.dashboard"
    words = ("dashboard",)
    summary = "Create or mend the dashboard, the alert policies and their channel in Cloud Monitoring"
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
        look = _looked(ctx, topic)
        return Plan(
            id=plan_id(),
            operation=self.name,
            pipeline=ctx.pipeline.name,
            params={"topic": params.get("topic")},
            summary=UNCHANGED if look.fine else _summary(ctx, look),
            effects=(UNCHANGED,) if look.fine else _effects(ctx, topic, look),
            warnings=()
            if look.fine
            else ("Cloud Monitoring's own service account must be allowed to publish to the topic.",),
            refusal=None,
            risk=Risk.CHANGE,
            made_at=ctx.now(),
            data={"topic": topic, "policies": list(look.wrong), "charts": look.charts, "fine": look.fine},
        )

    def run(self, ctx: Context, plan: Plan, progress: ProgressSink) -> Report:
        from pipeline.google import alerting, dashboards

        if plan.refusal:
            raise Refused(plan.refusal)
        if plan.data["fine"]:
            return _report(ctx, plan, [Finding("unchanged", "ok", UNCHANGED)])
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
        if plan.data["charts"]:
            drawn = dashboards.found(ctx.clients, ctx.pipeline, ctx.deadline_s)
            if drawn is None or differs(dashboard(ctx.pipeline), drawn):
                dashboards.put(ctx.clients, ctx.pipeline, drawn, ctx.deadline_s)
        text = f"Wrote {_amount(len(wanted), bool(plan.data['charts']))}; alerts go to {topic}."
        return _report(ctx, plan, [Finding("written", "ok", text)])

    def verify(self, ctx: Context, plan: Plan) -> Report:
        from pipeline.google import dashboards

        look = _looked(ctx, str(plan.data["topic"]))
        if look.fine:
            text = (
                "Verified: every alert policy is as the code has it, with its channel, and so is the dashboard: "
                f"{dashboards.link(ctx.pipeline)}"
            )
            return _report(ctx, plan, [Finding("verified", "ok", text)], look.names)
        parts = [f"{key} ({', '.join(what)})" for key, what in look.wrong.items()]
        parts += [] if look.channel else ["the notification channel is missing"]
        parts += [f"the dashboard is {look.charts}"] if look.charts else []
        text = f"Not verified: {'; '.join(parts)}."
        return _report(ctx, plan, [Finding("verified", "warning", text)], look.names)


def _looked(ctx: Context, topic: str) -> _Look:
    from pipeline.google import alerting, dashboards

    channel = alerting.channel_of(ctx.clients, ctx.pipeline.project, topic, ctx.deadline_s)
    there = alerting.policies_of(ctx.clients, ctx.pipeline, ctx.deadline_s)
    drawn = dashboards.found(ctx.clients, ctx.pipeline, ctx.deadline_s)
    wrong: dict[str, list[str]] = {}
    for policy in policies(ctx.pipeline):
        found = there.get(policy.key)
        what = ["missing"] if found is None else alerting.differences(policy, ctx.pipeline, channel, found)
        if what:
            wrong[policy.key] = what
    state = "missing" if drawn is None else "changed" if differs(dashboard(ctx.pipeline), drawn) else ""
    return _Look(channel, wrong, {key: str(one.name) for key, one in there.items()}, state)


def _amount(written: int, drawn: bool) -> str:
    parts = [plural(written, "alert policy", "alert policies")] if written or not drawn else []
    return " and ".join([*parts, *(["the dashboard"] if drawn else [])])


def _summary(ctx: Context, look: _Look) -> str:
    return (
        f"{_amount(len(look.wrong), bool(look.charts))} to be written; there are "
        f"{plural(len(policies(ctx.pipeline)), 'policy', 'policies')} and {plural(len(charts(ctx.pipeline)), 'chart')}."
    )


def _effects(ctx: Context, topic: str, look: _Look) -> tuple[str, ...]:
    titles = {one.key: one.title for one in policies(ctx.pipeline)}
    effects = [] if look.channel else [f"Create a notification channel to {topic}."]
    effects += [
        f'Create the alert policy "{titles[key]}".'
        if what == ["missing"]
        else f'Mend the alert policy "{titles[key]}": {", ".join(what)}.'
        for key, what in look.wrong.items()
    ]
    count = plural(len(charts(ctx.pipeline)), "chart")
    if look.charts == "missing":
        effects.append(f"Create the dashboard with {count}.")
    elif look.charts:
        effects.append(f"Mend the dashboard: its {count} replace what was changed by hand.")
    return tuple(effects)


def _report(
    ctx: Context, plan: Plan, findings: list[Finding], names: Mapping[str, str] | None = None
) -> Report:
    from pipeline.google import alerting, dashboards

    links = {key: alerting.link(ctx.pipeline.project, name) for key, name in (names or {}).items()}
    columns: tuple[str, ...] = ("policy", "severity", "kind", "runbook", *(("link",) if links else ()))
    rows = tuple(
        (one.title, one.severity, one.kind, one.runbook, *((links.get(one.key, ""),) if links else ()))
        for one in policies(ctx.pipeline)
    )
    drawn = dashboards.link(ctx.pipeline)
    return Report(
        operation=plan.operation,
        pipeline=plan.pipeline,
        title=f"Dashboard and alert policies of {plan.pipeline}",
        verdict=findings[0].text,
        severity=worst(finding.severity for finding in findings),
        as_of=ctx.now(),
        findings=tuple(findings),
        tables=(Table("Alert policies", columns, rows),),
        data={
            "policies": list(plan.data["policies"]),
            "topic": plan.data["topic"],
            "dashboard": drawn,
            "links": links,
        },
    )
