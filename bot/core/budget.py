"""Billing budgets: what a budget notification says, and when it is an alert (Rules: Facts, budget).

Google repeats a budget's state several times a day, at least once each and in any order; the threshold in
it is the highest configured one, not the cost over the budget. So the figures of a period are folded
(`merge`), the ratio is computed here, and only a change that people care about is an alert (`step`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bot.core.alert_model import Alert, Kind, Severity, Unusable, rfc3339
from bot.core.policy import Thresholds
from bot.core.reading import read_moment, read_number, read_text

SOURCE = "billing-budget"
RESOURCE_TYPE = "billing_budget"
OVERRUN_FACT = "budget_overrun"
SHIPPED = Thresholds()
SCHEMA = "1.0"
KEY_MAX = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetNotification:
    """One notification, or the fold of several of one budget and period.

    `threshold` and `forecast` are fractions (1.0 = 100 %) of the highest configured threshold that the
    actual and the forecast cost crossed; None if none. `cost` and `amount` are in `currency`.
    """

    budget_id: str
    display_name: str
    account: str
    cost: float
    amount: float
    currency: str
    period_start: datetime
    threshold: float | None = None
    forecast: float | None = None
    amount_type: str = ""

    @property
    def key(self) -> str:
        """The alert's key: one budget in one period."""
        return f"{self.budget_id}@{rfc3339(self.period_start)}"

    @property
    def ratio(self) -> float | None:
        """Cost over budget, 1.0 = 100 %; None for a budget of zero, which has none."""
        return self.cost / self.amount if self.amount > 0 else None

    def overrun(self, limits: Thresholds = SHIPPED) -> bool:
        """More than the policy's share of the budget is spent (shipped: 120 %)."""
        return self.ratio is not None and self.ratio > limits.budget_overrun


def is_budget(attributes: Mapping[str, str], obj: object) -> bool:
    """Whether a Pub/Sub message is a budget notification and not a monitoring one."""
    return "budgetId" in attributes or (isinstance(obj, Mapping) and "budgetAmount" in obj)


def parse_budget(attributes: Mapping[str, str], obj: object) -> BudgetNotification:
    """The notification in a Pub/Sub message: its attributes and its decoded JSON data.

    Raises Unusable if the schema is another than 1.0 (absent attributes are forgiven, the budget then goes
    by its display name), or if cost, amount or period cannot be read.
    """
    if not isinstance(obj, Mapping):
        raise Unusable("the data of a budget notification must be a JSON object")
    schema = read_text(attributes.get("schemaVersion")) or SCHEMA
    if schema != SCHEMA:
        raise Unusable(f"budget schema {schema[:40]!r} is not known; {SCHEMA} is")
    display_name = read_text(obj.get("budgetDisplayName"))
    budget_id = read_text(attributes.get("budgetId")) or display_name
    if not budget_id or len(budget_id) > KEY_MAX:
        raise Unusable("the notification names no budget")
    period_start = read_moment(obj.get("costIntervalStart"))
    if period_start is None:
        raise Unusable("`costIntervalStart` is no time")
    amount = _needed(obj, "budgetAmount")
    if amount < 0:
        raise Unusable("`budgetAmount` is negative")
    return BudgetNotification(
        budget_id=budget_id,
        display_name=display_name or budget_id,
        account=read_text(attributes.get("billingAccountId")),
        cost=_needed(obj, "costAmount"),
        amount=amount,
        currency=read_text(obj.get("currencyCode"), 8),
        period_start=period_start,
        threshold=_crossed(obj, "alertThresholdExceeded"),
        forecast=_crossed(obj, "forecastThresholdExceeded"),
        amount_type=read_text(obj.get("budgetAmountType")),
    )


def severity_of(state: BudgetNotification, limits: Thresholds = SHIPPED) -> Severity | None:
    """None: figures only, no alert. The cost itself counts too: no rule may stand at exactly 100 %."""
    if state.overrun(limits):
        return Severity.CRITICAL
    if state.threshold is None and state.forecast is None:
        return None
    reached = max(state.threshold or 0.0, state.ratio or 0.0)
    return Severity.WARNING if reached >= 1 else Severity.INFO


def merge(previous: BudgetNotification, new: BudgetNotification) -> BudgetNotification:
    """Both as one, whichever came first: the figures at the highest cost, the highest thresholds.

    Raises ValueError if they are of different budgets or periods.
    """
    if previous.key != new.key:
        raise ValueError("two budgets or two periods have no common state")
    later = max(previous, new, key=_rank)
    return replace(
        later,
        threshold=_highest(previous.threshold, new.threshold),
        forecast=_highest(previous.forecast, new.forecast),
    )


def step(
    previous: BudgetNotification | None, new: BudgetNotification, limits: Thresholds = SHIPPED
) -> tuple[BudgetNotification, str | None]:
    """The state of the period with `new` in it, and what changed for people; None if nothing did.

    `previous` is the state of the same budget and period, None before the first notification. A repeated
    threshold, or one that arrives late, changes nothing.
    """
    state = new if previous is None else merge(previous, new)
    before = severity_of(previous, limits) if previous else None
    after = severity_of(state, limits)
    if after is None:
        return state, None
    if state.overrun(limits) and not (previous and previous.overrun(limits)):
        return state, f"cost is {_percent(state.ratio)} of the budget, over {_percent(limits.budget_overrun)}"
    if _higher(state.threshold, previous.threshold if previous else None):
        return state, f"the threshold of {_percent(state.threshold)} is crossed"
    if before is None or after > before:
        spent = f"cost is {_percent(state.ratio)} of the budget"
        return state, spent if after > Severity.INFO else f"the forecast crosses {_percent(state.forecast)}"
    if _higher(state.forecast, previous.forecast if previous else None):
        return state, f"the forecast crosses {_percent(state.forecast)}"
    return state, None


def reopens(
    decided: BudgetNotification, state: BudgetNotification, limits: Thresholds = SHIPPED
) -> str | None:
    """Why `state` overrides a decision to live with `decided` for the period; None if it does not.

    Rules: Facts, budget. Only a higher threshold, or 20 points more of the budget, reopens.
    """
    if _higher(state.threshold, decided.threshold):
        return f"the threshold of {_percent(state.threshold)} is crossed"
    if state.ratio is not None and decided.ratio is not None:
        # Rounded: 0.9 - 0.7 is a hair below 0.2 in binary, and 20 points all the same.
        points = round(state.ratio - decided.ratio, 9)
        if points >= limits.budget_reopen:
            return f"cost is {_percent(state.ratio)} of the budget, {points * 100:.0f} points more"
    return None


def to_alert(state: BudgetNotification, received_at: datetime, limits: Thresholds = SHIPPED) -> Alert | None:
    """The open alert of a budget and period; None where there are figures only. Begins at receipt (aware)."""
    severity = severity_of(state, limits)
    if severity is None:
        return None
    return Alert(
        source=SOURCE,
        key=state.key,
        state="open",
        title=f"Budget {state.display_name}",
        summary=summary_of(state),
        stated=severity,
        severity=severity,
        kind=Kind.COST,
        resource_type=RESOURCE_TYPE,
        resource_labels={
            "budget_id": state.budget_id,
            "budget_name": state.display_name,
            "billing_account_id": state.account,
        },
        resource_name=state.display_name,
        metric_type="billing/budget",
        observed=state.cost,
        observed_text=f"{state.cost:.2f} {state.currency}".strip(),
        threshold=state.amount,
        started_at=received_at.astimezone(UTC),
        facts=(OVERRUN_FACT,) if state.overrun(limits) else (),
    )


def summary_of(state: BudgetNotification) -> str:
    """One sentence with the figures, for people; the names in it are outside text."""
    share = f" ({_percent(state.ratio)})" if state.ratio is not None else ""
    parts = [f"{state.cost:,.2f} of {state.amount:,.2f} {state.currency}".strip() + share + " spent"]
    if state.threshold is not None:
        parts.append(f"threshold of {_percent(state.threshold)} crossed")
    if state.forecast is not None:
        parts.append(f"forecast crosses {_percent(state.forecast)}")
    return f"{', '.join(parts)}, in the period from {state.period_start:%Y-%m-%d}."


def _needed(obj: Mapping[str, object], name: str) -> float:
    number = read_number(obj.get(name))
    if number is None:
        raise Unusable(f"`{name}` is missing or no number")
    return number


def _crossed(obj: Mapping[str, object], name: str) -> float | None:
    """Google leaves the key out where no threshold is crossed; 0 would say the same."""
    number = read_number(obj.get(name))
    return number if number is not None and number > 0 else None


def _rank(state: BudgetNotification) -> tuple[float, float, str, str, str, str]:
    """Cost first; the rest only makes the fold the same in every order."""
    return state.cost, state.amount, state.display_name, state.currency, state.account, state.amount_type


def _highest(left: float | None, right: float | None) -> float | None:
    return max((value for value in (left, right) if value is not None), default=None)


def _higher(new: float | None, old: float | None) -> bool:
    return new is not None and (old is None or new > old)


def _percent(fraction: float | None) -> str:
    return f"{fraction * 100:,.0f} %" if fraction is not None else "an unknown share"
