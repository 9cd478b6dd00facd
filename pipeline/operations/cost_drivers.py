"""cost.drivers: what the money goes to.  Budgets tell spend; workers are an estimate and say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any, Final

from pipeline.chart import bar, bars_svg, store
from pipeline.errors import PipelineError
from pipeline.operations.base import Context, Param, ReadOperation
from pipeline.operations.cost_forecast import HOW_TO_KNOW, outlooks
from pipeline.operations.paid import living
from pipeline.report import Finding, Report, Table, clock, number, plural, worst
from pipeline.spend import Outlook

_CHARTS: Final = Path("var/charts")
_DAY_HOURS: Final = 24

Row = tuple[str, float, str]  # name, amount, currency


class CostDrivers(ReadOperation):
    """One budget for each service makes a breakdown; without an export there is no finer one."""

    name = "cost.drivers"
    words = ("cost", "drivers")
    summary = "What the money goes to, by budget and by job; --visualize draws it"
    params = (Param(name="visualize", type=bool, default=False, help="draw a chart and say where it is"),)

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        found = outlooks(ctx)
        spent = _sorted([(one.budget, one.so_far, one.currency) for one in found])
        workers, gaps = _workers(ctx)
        findings = [*_known(ctx, found), *gaps]
        path = _draw(ctx, spent or workers, findings) if params.get("visualize") else None
        tables = [
            Table("Spend of the period, by budget", ("driver", "amount", "share"), _rows(spent)),
            Table(
                "Workers a day, by job (estimate by list price)",
                ("driver", "amount", "share"),
                _rows(workers),
            ),
        ]
        return Report(
            operation=self.name,
            pipeline=ctx.pipeline.name,
            title=f"Cost drivers of {ctx.pipeline.name}",
            verdict=_verdict(ctx, spent, workers),
            severity=worst(finding.severity for finding in findings),
            as_of=ctx.now(),
            findings=tuple(findings),
            tables=tuple(table for table in tables if table.rows),
            data={
                "spend": [{"driver": n, "amount": round(a, 2), "currency": c} for n, a, c in spent],
                "workers_a_day": [{"driver": n, "amount": round(a, 2), "currency": c} for n, a, c in workers],
                "chart": str(path) if path else None,
            },
        )


def _workers(ctx: Context) -> tuple[list[Row], list[Finding]]:
    try:
        paid, gaps = living(ctx)
    except PipelineError as error:
        return [], [Finding("jobs", "unknown", f"Living jobs are not known: {error}")]
    rows = [(one.job.name, one.hour * _DAY_HOURS, one.currency) for one in paid if one.hour is not None]
    return _sorted(rows), gaps


def _known(ctx: Context, found: Sequence[Outlook]) -> list[Finding]:
    out = []
    for one in found:
        spent = f"{number(one.so_far, 2)} {one.currency}"
        text = f"{one.budget}: {spent} of its period, as of {clock(one.as_of, ctx.now())}."
        out.append(Finding("spend", "ok", text))
    if not found:
        text = f"What was spent is not known: no budget notification has come yet. {HOW_TO_KNOW}"
        out.append(Finding("spend", "unknown", text))
    text = (
        "Spend by service is not known. One budget for each service, with a Pub/Sub topic, makes it known; "
        "so does the BigQuery billing export, which is not read yet."
    )
    if len(found) < 2:
        out.append(Finding("by_service", "info", text))
    return out


def _draw(ctx: Context, rows: Sequence[Row], findings: list[Finding]) -> Path | None:
    if not rows:
        findings.append(Finding("chart", "info", "There is nothing to draw."))
        return None
    now = ctx.now()
    bars = [(name, amount, f"{number(amount, 2)} {currency}") for name, amount, currency in rows]
    svg = bars_svg(f"Cost drivers of {ctx.pipeline.name}", f"as of {clock(now)}", bars)
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        path = store(_CHARTS, f"cost-drivers-{stamp}", svg)
    except OSError as error:
        findings.append(
            Finding("chart", "warning", f"The chart cannot be written to {_CHARTS}: {error.strerror}.")
        )
        return None
    findings.append(Finding("chart", "ok", f"The chart is in {path}."))
    return path


def _sorted(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def _rows(rows: Sequence[Row]) -> tuple[tuple[str, ...], ...]:
    """Shares are told where all amounts are of one currency."""
    total = sum(amount for _, amount, _ in rows) if len({currency for _, _, currency in rows}) == 1 else 0.0
    return tuple(
        (name, f"{number(amount, 2)} {currency}", bar(amount / total) if total else "unknown")
        for name, amount, currency in rows
    )


def _verdict(ctx: Context, spent: Sequence[Row], workers: Sequence[Row]) -> str:
    if spent:
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
