"""The spend of a month out of the billing export, in words, tables and data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipeline.chart import bar
from pipeline.operations.exported import Exported
from pipeline.report import Evidence, Finding, Table, clock, number

Row = tuple[str, float, str]  # name, amount, currency


def totals(exported: Exported) -> dict[str, tuple[float, float, float]]:
    """(net, credits, today) by currency: two currencies are never added up."""
    out: dict[str, tuple[float, float, float]] = {}
    for one in exported.services:
        net, credits_, today = out.get(one.currency, (0.0, 0.0, 0.0))
        out[one.currency] = (net + one.net, credits_ + one.credits, today + one.today)
    return out


def spent_findings(exported: Exported, now: datetime) -> list[Finding]:
    """The month so far, and that the running day is partial; one finding for each currency."""
    out = []
    for outlook in exported.outlooks:
        if outlook.currency not in totals(exported):
            continue
        net, credits_, today = totals(exported)[outlook.currency]
        text = (
            f"{outlook.budget}: {number(net, 2)} {outlook.currency} in this invoice month after "
            f"{number(abs(credits_), 2)} {outlook.currency} of credits; of today {number(today, 2)} "
            f"{outlook.currency} so far, a part of the day only: the export's newest row is of "
            f"{clock(outlook.as_of, now)}."
        )
        evidence = (
            Evidence("net of the month", round(net, 2), outlook.currency, outlook.as_of),
            Evidence("credits of the month", round(credits_, 2), outlook.currency, outlook.as_of),
            Evidence("today, so far", round(today, 2), outlook.currency, outlook.as_of),
        )
        out.append(Finding("spend_of_month", "ok", text, evidence))
    return out


def spent_sentence(exported: Exported) -> str:
    """The month so far in one sentence; empty without an export."""
    parts = [f"{number(net, 2)} {currency}" for currency, (net, _, _) in totals(exported).items()]
    if not parts:
        return ""
    newest = clock(exported.outlooks[0].as_of)
    who = exported.outlooks[0].budget.partition(" in ")[0]
    return f"{who} stands at {' and '.join(parts)} for this month, by the billing export as of {newest}."


def spent_table(exported: Exported) -> tuple[Table, ...]:
    """Services by what they cost this month; none without an export."""
    rows = tuple(
        (
            one.service,
            f"{number(one.net, 2)} {one.currency}",
            f"{number(one.credits, 2)} {one.currency}",
            f"{number(one.today, 2)} {one.currency}",
        )
        for one in exported.services
    )
    columns = ("service", "this month", "credits in it", "today, so far")
    return (Table("Spend by service (billing export)", columns, rows),) if rows else ()


def spend_of_month(exported: Exported) -> list[Mapping[str, Any]]:
    """The same as data; amounts to the cent."""
    return [
        {
            "service": one.service,
            "currency": one.currency,
            "gross": round(one.gross, 2),
            "credits": round(one.credits, 2),
            "net": round(one.net, 2),
            "today": round(one.today, 2),
        }
        for one in exported.services
    ]


def shares(rows: list[Row] | tuple[Row, ...]) -> tuple[tuple[str, ...], ...]:
    """Rows for people; shares are told where all amounts are of one currency."""
    total = sum(amount for _, amount, _ in rows) if len({currency for _, _, currency in rows}) == 1 else 0.0
    return tuple(
        (name, f"{number(amount, 2)} {currency}", bar(amount / total) if total else "unknown")
        for name, amount, currency in rows
    )
