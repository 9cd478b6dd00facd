"""The part of the history that keeps the reports of budgets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Float, Index, String, Table, Text, select

from pipeline.history_base import Store, id_column, metadata, text

_budgets = Table(
    "budget_reports",
    metadata,
    id_column(),
    Column("budget", String(300), nullable=False),
    Column("budget_id", String(200), nullable=False),
    Column("period", String(64), nullable=False),
    Column("cost", Float, nullable=False),
    Column("amount", Float, nullable=False),
    Column("currency", String(8), nullable=False),
    Column("threshold", Float),
    Column("forecast", Float),
    Column("at", String(32), nullable=False),
    Column("raw", Text, nullable=False),
    Index("budget_reports_by_budget", "budget", "period"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReport:
    """One budget notification.

    ``period`` is the begin of the budget's period as Google wrote it; ``threshold`` and
    ``forecast`` are the highest configured ratios crossed by the cost and by its forecast, None
    when none was.
    """

    budget: str
    period: str
    cost: float
    amount: float
    currency: str
    threshold: float | None
    forecast: float | None
    at: datetime
    budget_id: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Cost by budget; None for a budget of zero (RULES "Facts": it has no ratio)."""
        return self.cost / self.amount if self.amount > 0 else None


class Budgets(Store):
    """The history's part that knows of budgets."""

    def record_budget(
        self,
        *,
        budget: str,
        period: str,
        cost: float,
        amount: float,
        currency: str,
        at: datetime,
        threshold: float | None = None,
        forecast: float | None = None,
        budget_id: str = "",
        raw: Mapping[str, Any] | None = None,
    ) -> None:
        """Stores one budget notification; repeats and any order are fine, see :meth:`budgets`."""
        row = {
            "budget": budget,
            "budget_id": budget_id,
            "period": period,
            "cost": cost,
            "amount": amount,
            "currency": currency,
            "threshold": threshold,
            "forecast": forecast,
            "at": text(at),
            "raw": json.dumps(dict(raw or {}), ensure_ascii=False),
        }
        with self._write() as connection:
            connection.execute(_budgets.insert(), row)

    def budgets(self, names: Sequence[str] | None = None) -> list[BudgetReport]:
        """Of each budget, the highest cost of its newest period; None asks for all budgets.

        Notifications repeat and overtake each other; cost only grows within a period, so its
        highest report is its newest (RULES "Facts": "Highest cost of the period counts").
        """
        query = select(_budgets).order_by(
            _budgets.c.budget, _budgets.c.period, _budgets.c.cost, _budgets.c.at
        )
        if names is not None:
            query = query.where(_budgets.c.budget.in_(list(names)) | _budgets.c.budget_id.in_(list(names)))
        found: dict[tuple[str, str], BudgetReport] = {}
        with self._read() as connection:
            for row in connection.execute(query).mappings():
                report = _budget(row)
                key = (report.budget, report.budget_id)
                before = found.get(key)
                if before is None or _period(report.period) >= _period(before.period):
                    found[key] = report
        return list(found.values())

    def budget_reports(self, names: Sequence[str] | None, since: datetime) -> list[BudgetReport]:
        """Every stored notification of these budgets (None: of all) at or after ``since``, oldest first."""
        query = select(_budgets).where(_budgets.c.at >= text(since)).order_by(_budgets.c.at, _budgets.c.cost)
        if names is not None:
            query = query.where(_budgets.c.budget.in_(list(names)) | _budgets.c.budget_id.in_(list(names)))
        with self._read() as connection:
            return [_budget(row) for row in connection.execute(query).mappings()]


def _period(written: str) -> datetime:
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _budget(row: Mapping[Any, Any]) -> BudgetReport:
    return BudgetReport(
        budget=row["budget"],
        budget_id=row["budget_id"],
        period=row["period"],
        cost=row["cost"],
        amount=row["amount"],
        currency=row["currency"],
        threshold=row["threshold"],
        forecast=row["forecast"],
        at=datetime.fromisoformat(row["at"]),
        raw=json.loads(row["raw"]),
    )
