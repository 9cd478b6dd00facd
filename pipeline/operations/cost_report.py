"""cost.report: what is known of the cost, and plainly what is not.  Never a made-up figure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, get_args

from pipeline.errors import PipelineError
from pipeline.leaks import Kind
from pipeline.operations.base import Context, Param, ReadOperation
from pipeline.operations.cost_forecast import cost_facts, normal_finding, outlooks
from pipeline.operations.cost_leaks import leak_finding
from pipeline.operations.exported import Exported, read_export
from pipeline.operations.exported_spend import spend_of_month, spent_findings, spent_sentence, spent_table
from pipeline.operations.paid import found_leaks, living
from pipeline.report import (
    Evidence,
    Fact,
    Finding,
    NextStep,
    Report,
    Severity,
    Table,
    clock,
    percent,
    plural,
    worst,
)

if TYPE_CHECKING:
    from pipeline.history_budgets import BudgetReport

LEAKS = frozenset(get_args(Kind))


class CostReport(ReadOperation):
    """Budgets from their notifications, the billing export, the account, and living jobs as a hint at leaks."""

    name = "cost.report"
    words = ("cost", "report")
    summary = "Spend against budgets, as far as it is known, and leaks"
    params = (
        Param(name="budget", type=float, default=None, help="compare with this amount instead", minimum=0),
    )

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        now = ctx.now()
        limit = params.get("budget")
        exported = read_export(ctx, services=True)
        budgets = _budgets(ctx)
        compared = budgets or _against(exported, limit)
        findings = [_budget(report, limit, now, ctx.pipeline.limits.budget_overrun) for report in compared]
        if not budgets:
            findings.append(_unknown_spend(ctx, exported))
        findings += spent_findings(exported, now)
        findings += [normal_finding(one, exported) for one in exported.outlooks]
        findings += [_billing(ctx), *_leaks(ctx), *exported.gaps]
        severity = worst(finding.severity for finding in findings)
        return Report(
            operation=self.name,
            pipeline=ctx.pipeline.name,
            title=f"Cost of {ctx.pipeline.name}",
            verdict=_verdict(ctx, compared, limit, findings, exported),
            severity=severity,
            as_of=now,
            findings=tuple(findings),
            tables=(*_table(compared, limit, now), *spent_table(exported)),
            next=(NextStep("Look at the jobs", "pipeline.jobs"),)
            if severity in ("warning", "critical")
            else (),
            facts=(
                *(_fact(report, ctx.pipeline.limits.budget_overrun) for report in budgets),
                *cost_facts(exported.outlooks, outlooks(ctx)),
            ),
            data={
                "budgets": [_data(report, limit) for report in compared],
                "services": spend_of_month(exported),
            },
        )


def _against(exported: Exported, limit: float | None) -> list[BudgetReport]:
    """The month of the export beside an amount that the asker named, where no budget was reported."""
    if limit is None or len(exported.outlooks) != 1 or exported.today is None:
        return []
    from pipeline.history_budgets import BudgetReport

    (one,) = exported.outlooks
    spent = BudgetReport(
        budget=one.budget,
        period=exported.today.replace(day=1).isoformat(),
        cost=sum(service.net for service in exported.services),
        amount=limit,
        currency=one.currency,
        threshold=None,
        forecast=None,
        at=one.as_of,
    )
    return [spent]


def _budgets(ctx: Context) -> list[BudgetReport]:
    if ctx.history is None:
        return []
    return ctx.history.budgets(ctx.pipeline.budgets or None)


def _ratio(report: BudgetReport, limit: float | None) -> float | None:
    amount = report.amount if limit is None else limit
    return report.cost / amount if amount > 0 else None


def _budget(report: BudgetReport, limit: float | None, now: datetime, overrun: float) -> Finding:
    ratio = _ratio(report, limit)
    amount = report.amount if limit is None else limit
    spent = f"{_money(report.cost, report.currency)} of {_money(amount, report.currency)}"
    evidence = (
        Evidence("cost of the period", report.cost, report.currency, report.at),
        Evidence("budget", amount, report.currency, report.at),
    )
    begun = f"period since {report.period[:10]}, as of {clock(report.at, now)}"
    if ratio is None:
        return Finding(
            f"budget_{report.budget}", "info", f"{report.budget}: {spent}, no ratio; {begun}.", evidence
        )
    severity: Severity = "critical" if ratio > overrun else "warning" if ratio >= 1 else "ok"
    over = f", {_money(report.cost - amount, report.currency)} over" if ratio > 1 else ""
    ahead = (
        f"; the forecast crosses {percent(report.forecast)} of the budget"
        if report.forecast and limit is None
        else ""
    )
    if ahead and severity == "ok":
        severity = "info"
    return Finding(
        f"budget_{report.budget}",
        severity,
        f"{report.budget}: {spent} ({percent(ratio)}){over}; {begun}{ahead}.",
        evidence,
    )


def _unknown_spend(ctx: Context, exported: Exported) -> Finding:
    named = ", ".join(ctx.pipeline.budgets) or "none named in pipelines.yaml"
    severity: Severity = "info" if exported.services else "unknown"
    what = "How a budget stands" if exported.services else "What was spent"
    return Finding(
        "spend",
        severity,
        f"{what} is not known: no budget notification has come yet (budgets: {named}). To make it known, "
        "connect the budget to a Pub/Sub topic (Billing, Budgets, Manage notifications) that Streamwatch reads.",
    )


def _billing(ctx: Context) -> Finding:
    from pipeline.google.billing import project_billing

    project = ctx.pipeline.project
    try:
        found = project_billing(ctx.clients, project, ctx.deadline_s)
    except PipelineError as error:
        return Finding("billing", "unknown", f"The billing account of {project} is not known: {error}")
    if not found.enabled:
        return Finding("billing", "warning", f"Billing is off for {project}: its resources will stop.")
    return Finding("billing", "ok", f"{project} is billed to account {found.account}.")


def _leaks(ctx: Context) -> list[Finding]:
    try:
        paid, gaps = living(ctx)
    except PipelineError as error:
        return [Finding("leaks", "unknown", f"Living jobs are not known: {error}")]
    found = [leak_finding(leak) for leak in found_leaks(ctx, paid)]
    if not found:
        evidence = tuple(Evidence(f"job {one.job.name}", one.job.state, "", one.job.since) for one in paid)
        text = f"{plural(len(paid), 'living Dataflow job')} in {ctx.pipeline.region}."
        found = [Finding("leaks", "ok", text, evidence)]
    return [*found, *gaps]


def _fact(report: BudgetReport, overrun: float) -> Fact:
    ratio = report.ratio
    on = None if ratio is None else ratio > overrun
    text = f"{report.budget} at {percent(ratio)}" if ratio is not None else f"{report.budget} has no ratio"
    return Fact("budget_overrun", on, text, ratio, "ratio")


def _table(budgets: list[BudgetReport], limit: float | None, now: datetime) -> tuple[Table, ...]:
    if not budgets:
        return ()
    rows = []
    for report in budgets:
        ratio = _ratio(report, limit)
        amount = report.amount if limit is None else limit
        rows.append(
            (
                report.budget,
                report.period[:10],
                _money(report.cost, report.currency),
                _money(amount, report.currency),
                percent(ratio) if ratio is not None else "no ratio",
                clock(report.at, now),
            )
        )
    return (
        Table("Budgets", ("budget", "period since", "cost", "budget amount", "used", "as of"), tuple(rows)),
    )


def _verdict(
    ctx: Context,
    budgets: list[BudgetReport],
    limit: float | None,
    findings: list[Finding],
    exported: Exported,
) -> str:
    """The trouble and its cause in the first sentence: a budget that is over, a day far above normal, a leak."""
    stands = _stands(ctx, budgets, limit, exported)
    over = any((_ratio(report, limit) or 0) >= 1 for report in budgets)
    spike = next((f.text for f in findings if f.id == "cost_spike"), "")
    leak = next((f"{f.text[:1].lower()}{f.text[1:]}" for f in findings if f.id in LEAKS), "")
    trouble = [text.rstrip(".") for text in (stands if over else "", spike, leak) if text]
    if not trouble:
        return stands
    first = "; ".join(trouble)
    rest = "" if over or spike else f" {stands}"
    # A budget is named as it is written; a leak begins a sentence of its own.
    return f"{first if over or spike else first[:1].upper() + first[1:]}.{rest}"


def _stands(ctx: Context, budgets: list[BudgetReport], limit: float | None, exported: Exported) -> str:
    if not budgets and exported.services:
        return spent_sentence(exported)
    if not budgets:
        return f"The spend of {ctx.pipeline.name} is not known: no budget notification has come yet."
    top = max(budgets, key=lambda report: _ratio(report, limit) or 0)
    ratio = _ratio(top, limit)
    amount = top.amount if limit is None else limit
    spent = f"{_money(top.cost, top.currency)} of {_money(amount, top.currency)}"
    if ratio is None:
        return f"{top.budget} stands at {_money(top.cost, top.currency)}; a budget of zero has no ratio."
    state = "is overrun:" if ratio > 1 else "is used up:" if ratio == 1 else "stands at"
    return f"{top.budget} {state} {spent} ({percent(ratio)}) since {top.period[:10]}."


def _data(report: BudgetReport, limit: float | None) -> dict[str, Any]:
    return {
        "budget": report.budget,
        "period": report.period,
        "cost": report.cost,
        "amount": report.amount if limit is None else limit,
        "currency": report.currency,
        "ratio": _ratio(report, limit),
        "as_of": report.at.isoformat().replace("+00:00", "Z"),
    }


def _money(amount: float, currency: str) -> str:
    return f"{amount:,.2f} {currency}"
