"""What the project spends: a figure per day and service, budgets, and the notifications that budgets send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from sandbox.google.timeline import instant, rfc3339

ACCOUNT = "billingAccounts/01A2B3-C4D5E6-F7A8B9"
CURRENCY = "USD"
BUDGET_AMOUNT = 200.0
THRESHOLDS = (0.9, 1.0, 1.2)  # a healthy month stays below all of them
SPIKE_FACTOR = 9.0
DAILY = {
    "Cloud Dataflow": 2.9,
    "BigQuery": 0.8,
    "Cloud Bigtable": 1.1,
    "Cloud Pub/Sub": 0.4,
    "Cloud Logging": 0.1,
}
# Billing days and months are Pacific ones; winter time, all year, is exact enough for a sandbox.
PACIFIC_S = 8 * 3600.0


@dataclass(slots=True)
class Billing:
    """Spend of one project. `given` figures win over the computed ones; a spike multiplies Dataflow's."""

    enabled: bool = True
    spike_from: date | None = None
    spike_to: date | None = None
    given: dict[tuple[date, str], float] = field(default_factory=dict)

    def on(self, day: date) -> dict[str, float]:
        """Spend of a whole day by service, in CURRENCY."""
        out = {name: self._usual(day, name) for name in DAILY}
        if self.spike_from is not None and self.spike_from <= day <= (self.spike_to or date.max):
            out["Cloud Dataflow"] = round(out["Cloud Dataflow"] * SPIKE_FACTOR, 2)
        out.update({service: amount for (when, service), amount in self.given.items() if when == day})
        return out

    def month_to_date(self, at: float) -> float:
        """Everything from the month's first day up to and including the day of `at`."""
        today = billing_day(at)
        days = (today.replace(day=1) + timedelta(days=n) for n in range(today.day))
        return round(sum(sum(self.on(day).values()) for day in days), 2)

    def notification(self, budget: str, at: float) -> tuple[dict[str, Any], dict[str, str]]:
        """(data, attributes) of a budget's regular message to its topic at `at` (epoch seconds)."""
        cost = self.month_to_date(at)
        crossed = [limit for limit in THRESHOLDS if cost >= limit * BUDGET_AMOUNT]
        start = instant(at - PACIFIC_S).replace(day=1, hour=8, minute=0, second=0, microsecond=0)
        data: dict[str, Any] = {
            "budgetDisplayName": budget,
            "costAmount": cost,
            "costIntervalStart": _zulu(start),
            "budgetAmount": BUDGET_AMOUNT,
            "budgetAmountType": "SPECIFIED_AMOUNT",
            "currencyCode": CURRENCY,
        }
        if crossed:
            data["alertThresholdExceeded"] = max(crossed)
        attributes = {
            "billingAccountId": ACCOUNT.split("/")[1],
            "budgetId": budget_id(budget),
            "schemaVersion": "1.0",
        }
        return data, attributes

    def _usual(self, day: date, service: str) -> float:
        return round(DAILY[service] * Random(f"{service}:{day}").uniform(0.93, 1.07), 2)

    def describe(self, at: float, budgets: tuple[str, ...]) -> Mapping[str, Any]:
        """The last ten days and the budgets, as JSON."""
        today = billing_day(at)
        days = [today - timedelta(days=n) for n in range(9, -1, -1)]
        return {
            "currency": CURRENCY,
            "as_of": rfc3339(at),
            "month_to_date": self.month_to_date(at),
            "days": [{"day": d.isoformat(), "services": self.on(d)} for d in days],
            "budgets": [{"name": name, "amount": BUDGET_AMOUNT} for name in budgets],
        }


def billing_day(at: float) -> date:
    """The billing day (Pacific) in which `at` (epoch seconds) lies."""
    return instant(at - PACIFIC_S).date()


def _zulu(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def budget_id(name: str) -> str:
    """The id of the budget of that name, in the form of a UUID."""
    digits = f"{Random(name).getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
