"""cost.forecast: what the month will have cost at its end, from what the budgets reported so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from pipeline.operations.base import Context, ReadOperation
from pipeline.operations.exported import Exported, read_export
from pipeline.report import (
    Evidence,
    Fact,
    Finding,
    NextStep,
    Report,
    Severity,
    Table,
    clock,
    number,
    percent,
    plural,
    worst,
)
from pipeline.spend import Outlook, outlook

_BACK: Final = timedelta(days=45)
HOW_TO_KNOW: Final = (
    "To make it known, connect a budget to a Pub/Sub topic (Billing, Budgets, Manage notifications) that "
    "Streamwatch reads, and name it in pipelines.yaml; or name the billing export there."
)


class CostForecast(ReadOperation):
    """A forecast rests on complete days; where there are too few it says so."""

    name = "cost.forecast"
    words = ("cost", "forecast")
    summary = "What the month will cost, and whether today is above normal"

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        now = ctx.now()
        exported = read_export(ctx)
        found = [*exported.outlooks, *outlooks(ctx)]
        findings = [finding for one in found for finding in _findings(one, exported)]
        if not found:
            text = f"No budget notification has come yet. {HOW_TO_KNOW}"
            findings = [Finding("spend", "unknown", text)]
        # An export that nobody turned on is no gap where the budgets tell enough.
        findings += [gap for gap in exported.gaps if gap.severity == "unknown" or not found]
        return Report(
            operation=self.name,
            pipeline=ctx.pipeline.name,
            title=f"Cost forecast of {ctx.pipeline.name}",
            verdict=_verdict(ctx.pipeline.name, found),
            severity=worst(finding.severity for finding in findings),
            as_of=now,
            findings=tuple(findings),
            tables=tuple(_table(one) for one in found if one.days),
            next=(NextStep("Look for leaks", "cost.leaks"),)
            if any(f.severity == "warning" for f in findings)
            else (),
            facts=cost_facts(exported.outlooks, found),
            data={
                "budgets": [_data(one) for one in found if one not in exported.outlooks],
                "export": [_data(one) for one in exported.outlooks],
            },
        )


def outlooks(ctx: Context) -> list[Outlook]:
    """Where each budget of the pipeline stands; none without a history or a notification."""
    if ctx.history is None:
        return []
    reports = ctx.history.budget_reports(ctx.pipeline.budgets or None, ctx.now() - _BACK)
    names = dict.fromkeys(report.budget for report in reports)
    found = (
        outlook([one for one in reports if one.budget == name], ctx.now(), ctx.pipeline.limits)
        for name in names
    )
    return [one for one in found if one is not None]


def cost_fact(one: Outlook) -> Fact | None:
    """RULES "Facts": today or yesterday against the mean of complete days; None where that is unknown."""
    if one.spike is None or not one.normal:
        return None
    highest = max(day for day in (one.today, one.yesterday) if day is not None)
    text = f"{one.budget}: {_money(highest, one)} in a day, normal is {_money(one.normal, one)}"
    return Fact("cost", one.spike, text, highest / one.normal, "ratio")


def cost_facts(exported: Sequence[Outlook], all_: Sequence[Outlook]) -> tuple[Fact, ...]:
    """What the export proves, which sees every service; where it proves nothing, what the budgets do."""
    of_export = tuple(fact for one in exported if (fact := cost_fact(one)) is not None)
    return of_export or tuple(fact for one in all_ if (fact := cost_fact(one)) is not None)


def _findings(one: Outlook, exported: Exported) -> list[Finding]:
    return [_ahead(one), normal_finding(one, exported)]


def normal_finding(one: Outlook, exported: Exported) -> Finding:
    """Today and yesterday beside what a day normally costs; names the service where the export tells it."""
    if one.normal is None:
        text = f"{one.budget}: what a day normally costs is not known, {plural(len(one.days), 'complete day')} only."
        return Finding("normal", "info", text)
    evidence = tuple(
        Evidence(f"cost of {what}", round(amount, 2), one.currency)
        for what, amount in (("today, so far", one.today), ("yesterday", one.yesterday))
        if amount is not None
    )
    normal = _money(one.normal, one)
    if one.spike:
        highest = max(day for day in (one.today, one.yesterday) if day is not None)
        text = (
            f"{one.budget}: {_money(highest, one)} in a day is {percent(highest / one.normal - 1)} above the normal "
            f"{normal}{exported.mostly(one)}."
        )
        return Finding("cost_spike", "warning", text, evidence)
    if one.spike is None:
        text = f"{one.budget}: normal is {normal} a day; the newest day is not complete, which proves nothing yet."
        return Finding("normal", "info", text, evidence)
    text = f"{one.budget}: yesterday was within {one.above * 100:g} % of the normal {normal} a day."
    return Finding("normal", "ok", text, evidence)


def _ahead(one: Outlook) -> Finding:
    evidence = (Evidence("so far", round(one.so_far, 2), one.currency, one.as_of),)
    if one.forecast is None:
        return Finding("forecast", "unknown", f"{one.budget}: no forecast, {one.basis}.", evidence)
    share = f", {percent(one.forecast / one.amount)} of the budget" if one.amount > 0 else ""
    text = (
        f"{one.budget}: {_money(one.so_far, one)} so far, about {_money(one.forecast, one)} by {one.ends}{share}; by "
        f"{one.basis}."
    )
    # Rules: Facts: a forecast alone is for information, however high.
    severity: Severity = "info" if one.amount > 0 and one.forecast > one.amount else "ok"
    return Finding("forecast", severity, text, evidence)


def _verdict(name: str, found: list[Outlook]) -> str:
    known = [one for one in found if one.forecast is not None]
    if not found:
        return f"What {name} will cost is not known: neither a budget notification nor a billing export tells it."
    if not known:
        return f"What {name} will cost is not known: {found[0].basis}."
    top = max(known, key=lambda one: (one.forecast or 0) / one.amount if one.amount > 0 else 0)
    over = "above" if top.amount > 0 and (top.forecast or 0) > top.amount else "within"
    spike = next((one for one in found if one.spike), None)
    dear = f" A day costs more than {spike.above * 100:g} % above normal." if spike else ""
    budget = f", {over} its budget of {_money(top.amount, top)}" if top.amount > 0 else ""
    return f"{top.budget} will be at about {_money(top.forecast or 0, top)} by {top.ends}{budget}.{dear}"


def _table(one: Outlook) -> Table:
    rows = [(day.day.isoformat(), _money(day.amount, one), "complete") for day in one.days]
    return Table(f"{one.budget} by day, as of {clock(one.as_of)}", ("day", "cost", "state"), tuple(rows))


def _data(one: Outlook) -> dict[str, Any]:
    return {
        "budget": one.budget,
        "currency": one.currency,
        "so_far": round(one.so_far, 2),
        "amount": round(one.amount, 2) if one.amount > 0 else None,
        "normal": round(one.normal, 2) if one.normal is not None else None,
        "forecast": round(one.forecast, 2) if one.forecast is not None else None,
        "basis": one.basis,
        "ends": one.ends.isoformat() if one.ends else None,
    }


def _money(amount: float, one: Outlook) -> str:
    return f"{number(amount, 2)} {one.currency}"
