"""cost.drivers: what the money goes to.  Export and budgets tell spend; workers are an estimate and say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.chart import Chart
from pipeline.errors import PipelineError
from pipeline.operations.base import Context, Param, ReadOperation
from pipeline.operations.cost_forecast import HOW_TO_KNOW, outlooks
from pipeline.operations.exported import Exported, read_export
from pipeline.operations.exported_spend import Row, shares, spend_of_month, spent_findings
from pipeline.operations.paid import living
from pipeline.report import Finding, Report, Table, clock, number, plural, worst
from pipeline.spend import Outlook

_DAY_HOURS: Final = 24


class CostDrivers(ReadOperation):
    """By service and by job where there is an export; else one budget for each service makes a breakdown."""

    name = "cost.drivers"
    words = ("cost", "drivers")
    summary = "What the money goes to, by service, budget and job; --visualize draws it"
    params = (
        Param(
            name="visualize", type=bool, default=False, help="draw a chart: a file here, a picture in Slack"
        ),
    )

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        exported = read_export(ctx, services=True, jobs=True)
        found = outlooks(ctx)
        services = _sorted([(one.service, one.net, one.currency) for one in exported.services])
        jobs = _sorted([(one.job, one.net, one.currency) for one in exported.jobs])
        spent = _sorted([(one.budget, one.so_far, one.currency) for one in found])
        workers, gaps = _workers(ctx)
        findings = [*spent_findings(exported, ctx.now()), *_known(ctx, found, exported), *gaps]
        chart = _chart(ctx, services or spent or workers, findings) if params.get("visualize") else None
        columns = ("driver", "amount", "share")
        tables = [
            Table("Spend of the month, by service (billing export)", columns, shares(services)),
            Table("Spend of the month, by Dataflow job (billing export)", columns, shares(jobs)),
            Table("Spend of the period, by budget", columns, shares(spent)),
            Table("Workers a day, by job (estimate by list price)", columns, shares(workers)),
        ]
        return Report(
            operation=self.name,
            pipeline=ctx.pipeline.name,
            title=f"Cost drivers of {ctx.pipeline.name}",
            verdict=_verdict(ctx, services, spent, workers),
            severity=worst(finding.severity for finding in findings),
            as_of=ctx.now(),
            findings=tuple(findings),
            tables=tuple(table for table in tables if table.rows),
            data={
                "spend": [{"driver": n, "amount": round(a, 2), "currency": c} for n, a, c in spent],
                "workers_a_day": [{"driver": n, "amount": round(a, 2), "currency": c} for n, a, c in workers],
                "services": spend_of_month(exported),
                "jobs": [{"driver": n, "amount": round(a, 2), "currency": c} for n, a, c in jobs],
                "drawing": chart.to_json() if chart else None,
            },
        )


def _workers(ctx: Context) -> tuple[list[Row], list[Finding]]:
    try:
        paid, gaps = living(ctx)
    except PipelineError as error:
        return [], [Finding("jobs", "unknown", f"Living jobs are not known: {error}")]
    rows = [(one.job.name, one.hour * _DAY_HOURS, one.currency) for one in paid if one.hour is not None]
    return _sorted(rows), gaps


def _known(ctx: Context, found: Sequence[Outlook], exported: Exported) -> list[Finding]:
    out = []
    for one in found:
        spent = f"{number(one.so_far, 2)} {one.currency}"
        text = f"{one.budget}: {spent} of its period, as of {clock(one.as_of, ctx.now())}."
        out.append(Finding("spend", "ok", text))
    if exported.services:
        return out
    if not found:
        text = f"What was spent is not known: no budget notification has come yet. {HOW_TO_KNOW}"
        out.append(Finding("spend", "unknown", text))
    if len(found) < 2:
        text = (
            "Spend by service is not known. One budget for each service, with a Pub/Sub topic, makes it known; "
            "so does the BigQuery billing export."
        )
        out.append(Finding("by_service", "info", text))
    return [*out, *exported.gaps]


def _chart(ctx: Context, rows: Sequence[Row], findings: list[Finding]) -> Chart | None:
    """What is to be drawn; whoever asked for it draws it, to where people see it."""
    if not rows:
        findings.append(Finding("chart", "info", "There is nothing to draw."))
        return None
    title, note = f"Cost drivers of {ctx.pipeline.name}", f"as of {clock(ctx.now())}"
    bars = tuple((name, amount, f"{number(amount, 2)} {currency}") for name, amount, currency in rows)
    return Chart(name=f"cost-drivers-{ctx.pipeline.name}", title=title, note=note, rows=bars)


def _sorted(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def _verdict(ctx: Context, services: Sequence[Row], spent: Sequence[Row], workers: Sequence[Row]) -> str:
    if services:
        name, amount, currency = services[0]
        first = f"{name} costs most: {number(amount, 2)} {currency} this month, of {plural(len(services), 'service')}"
    elif spent:
        name, amount, currency = spent[0]
        among = f", the most of {plural(len(spent), 'budget')}" if len(spent) > 1 else ""
        first = f"{name} stands at {number(amount, 2)} {currency}{among}"
    else:
        first = f"What {ctx.pipeline.name} spent is not known"
    if not workers:
        return f"{first}; what its workers cost is not known."
    name, amount, currency = workers[0]
    estimate = f"about {number(amount, 2)} {currency} a day for workers (estimate)"
    return f"{first}; of the jobs, {name} costs most: {estimate}."
